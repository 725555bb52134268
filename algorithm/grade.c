#include "algorithm/grade.h"

#include <string.h>

#include "algorithm/boxed.h"
#include "algorithm/grade_parts.h"
#include "base/limits.h"

static const char *const percent_names[] = { "drop", "ratio", NULL };
static const char *const fallback_names[] = { "none", "last_number", NULL };
static const char *const interval_names[] = { "never", "gold", "both", NULL };
static const char *const reward_names[] = { "equal", "prefix", NULL };
const char *const scope_grade_stage_names[] = { "none", "string", "value", NULL };

const struct scope_option scope_grade_option_table[] = {
        SCOPE_ENUM_OPTION(scope_grade_options, percent, "\"drop\"", percent_names,
                "a percent sign means nothing, or a hundredth"),
        SCOPE_BOOL_OPTION(scope_grade_options, require_reduced, "false",
                "a fraction must be in lowest terms"),
        SCOPE_BOOL_OPTION(scope_grade_options, list_ordered, "false",
                "a list without brackets must be in the right order"),
        SCOPE_ENUM_OPTION(scope_grade_options, fallback, "\"none\"", fallback_names,
                "the answer of a response without a box: none, or its last number"),
        SCOPE_BOOL_OPTION(scope_grade_options, base_subscript_strict, "true",
                "52_8 is not 52; false: the base is left out of the comparison"),
        SCOPE_ENUM_OPTION(scope_grade_options, relation_to_interval, "\"gold\"", interval_names,
                "(3,\\infty) answers x>3: never, where the gold answer is the relation, or both"),
        SCOPE_ENUM_OPTION(scope_grade_options, reward, "\"equal\"", reward_names,
                "equal = 1 or 0; prefix = share of leading characters right, EOS included; what "
                "follows the first wrong one carries no loss"),
        SCOPE_OPTION_END,
};

static struct scope_string clean(struct scope_string text)
{
        struct scope_string inside;
        if (scope_boxed_find(text, &inside))
                text = inside;
        while (text.bytes > 0 && scope_is_space(text.at[0]))
                text = grade_part(text, 1, text.bytes);
        while (text.bytes > 0 && scope_is_space(text.at[text.bytes - 1]))
                text.bytes--;
        return text;
}

static enum scope_grade_stage compare(struct grade_work *work, struct scope_string gold,
        struct scope_string prediction, bool thousands)
{
        struct grade_line a, b;
        grade_normalise(work, gold, thousands, &a);
        grade_normalise(work, prediction, thousands, &b);
        struct scope_string left = { a.at, a.count }, right = { b.at, b.count };
        if (a.failed || b.failed || a.count == 0 || b.count == 0)
                return SCOPE_GRADE_UNEQUAL;
        if (scope_string_equal(left, right))
                return SCOPE_GRADE_STRING;
        return grade_parts_equal(work, left, right) ? SCOPE_GRADE_VALUE : SCOPE_GRADE_UNEQUAL;
}

static bool has_comma(struct scope_string text)
{
        return memchr(text.at, ',', text.bytes) != NULL;
}

struct scope_grade_result scope_grade_equal(struct scope_string gold,
        struct scope_string prediction, const struct scope_grade_options *options)
{
        struct scope_string a = clean(gold), b = clean(prediction);
        struct grade_work work = { .options = options };
        enum scope_grade_stage stage = SCOPE_GRADE_UNEQUAL;
        if (a.bytes > 0 && scope_string_equal(a, b))
                stage = SCOPE_GRADE_STRING;
        bool fit = a.bytes > 0 && b.bytes > 0 && a.bytes <= SCOPE_ANSWER_BYTES_MAX &&
                b.bytes <= SCOPE_ANSWER_BYTES_MAX;
        if (stage == SCOPE_GRADE_UNEQUAL && fit)
                stage = compare(&work, a, b, true);
        /* 1,234 may be two numbers after all, if the other side writes them apart. */
        if (stage == SCOPE_GRADE_UNEQUAL && fit && has_comma(a) && has_comma(b))
                stage = compare(&work, a, b, false);
        return (struct scope_grade_result){ stage != SCOPE_GRADE_UNEQUAL, stage, work.steps };
}

struct scope_grade_result scope_grade_response(struct scope_string gold,
        struct scope_string response, const struct scope_grade_options *options,
        struct scope_string *ret_answer)
{
        struct scope_string answer = { NULL, 0 };
        if (options->reward == SCOPE_GRADE_REWARD_PREFIX) {
                if (ret_answer != NULL)
                        *ret_answer = response;
                return scope_grade_literal(gold, response);
        }
        bool found = scope_boxed_find(response, &answer);
        if (!found && options->fallback == SCOPE_GRADE_FALLBACK_LAST_NUMBER &&
                scope_boxed_count(response) == 0)
                found = scope_boxed_last_number(response, &answer);
        if (ret_answer != NULL)
                *ret_answer = answer;
        if (!found)
                return (struct scope_grade_result){ false, SCOPE_GRADE_UNEQUAL, 0 };
        return scope_grade_equal(gold, answer, options);
}

struct scope_grade_result scope_grade_any(struct scope_string gold, struct scope_string text,
        const struct scope_grade_options *options)
{
        if (scope_boxed_count(text) == 0) {
                struct scope_grade_result result =
                        scope_grade_equal(gold, scope_boxed_skip_reasoning(text), options);
                if (result.equal)
                        return result;
        }
        return scope_grade_response(gold, text, options, NULL);
}
