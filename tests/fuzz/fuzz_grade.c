/* The grader on arbitrary bytes: first byte the options, then gold, a zero byte, prediction. */
#include <stdint.h>
#include <string.h>

#include "algorithm/boxed.h"
#include "algorithm/grade.h"
#include "algorithm/steps.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size < 1 || size > 4096)
                return 0;
        struct scope_grade_options options = {
                .percent = data[0] & 1, .require_reduced = data[0] & 2,
                .list_ordered = data[0] & 4, .fallback = data[0] >> 3 & 1,
                .base_subscript_strict = data[0] & 16, .relation_to_interval = data[0] >> 5 & 3
        };
        if (options.relation_to_interval == 3)
                options.relation_to_interval = SCOPE_GRADE_INTERVAL_BOTH;
        const char *text = (const char *)data + 1;
        const char *zero = memchr(text, 0, size - 1);
        uint32_t gold_bytes = (uint32_t)(zero != NULL ? (size_t)(zero - text) : size - 1);
        struct scope_string gold = { text, gold_bytes }, prediction = { text, 0 }, answer;
        if (zero != NULL)
                prediction = (struct scope_string){ zero + 1, (uint32_t)(size - 2 - gold_bytes) };
        struct scope_grade_result there = scope_grade_equal(gold, prediction, &options);
        struct scope_grade_result back = scope_grade_equal(prediction, gold, &options);
        scope_assert(there.equal == (there.stage != SCOPE_GRADE_UNEQUAL));
        scope_assert(there.steps <= SCOPE_GRADE_STEPS_MAX + 1);
        /* One-sided: an interval for a relation; and a budget may run out on one way only. */
        bool ran_out = there.steps > SCOPE_GRADE_STEPS_MAX || back.steps > SCOPE_GRADE_STEPS_MAX;
        if (options.relation_to_interval != SCOPE_GRADE_INTERVAL_GOLD && !ran_out)
                scope_assert(there.equal == back.equal);
        struct scope_string self = { text, gold_bytes };
        bool blank = true;
        for (uint32_t i = 0; i < self.bytes; i++)
                blank = blank && strchr(" \t\n\v\f\r", self.at[i]) != NULL && self.at[i] != 0;
        scope_assert(scope_grade_equal(self, self, &options).equal == !blank);
        (void)scope_grade_response(gold, prediction, &options, &answer);
        if (scope_boxed_find(prediction, &answer))
                scope_assert(answer.bytes > 0 && answer.at >= prediction.at &&
                        answer.at + answer.bytes <= prediction.at + prediction.bytes);
        uint32_t ends[8], count = scope_steps_split(prediction, ends, 8);
        scope_assert(count == 0 || ends[count - 1] == prediction.bytes);
        return 0;
}
