/* grade_reward.c - how much a response is worth: right or wrong, or how far it is right. */
#include "algorithm/boxed.h"
#include "algorithm/grade.h"

static uint32_t shared_prefix(struct scope_string a, struct scope_string b)
{
        uint32_t count = 0;
        while (count < a.bytes && count < b.bytes && a.at[count] == b.at[count])
                count++;
        return count;
}

struct scope_grade_result scope_grade_literal(struct scope_string gold, struct scope_string text)
{
        const bool equal =
                gold.bytes == text.bytes && shared_prefix(gold, text) == gold.bytes;
        return (struct scope_grade_result){
                equal, equal ? SCOPE_GRADE_STRING : SCOPE_GRADE_UNEQUAL, 0
        };
}

float scope_grade_reward(struct scope_string gold, struct scope_string response, bool ended,
        const struct scope_grade_options *options)
{
        if (options->reward == SCOPE_GRADE_REWARD_EQUAL)
                return scope_grade_response(gold, response, options, NULL).equal ? 1.0f : 0.0f;
        const uint32_t right = shared_prefix(gold, response);
        const bool end = ended && right == gold.bytes && response.bytes == gold.bytes;
        return (float)(right + end) / (float)(gold.bytes + 1);
}
