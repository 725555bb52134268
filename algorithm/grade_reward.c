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

/* The share of gold's characters and EOS, in order, that the response begins with. */
static float prefix_share(const struct scope_trajectory *trajectory)
{
        const struct scope_string gold = trajectory->gold, response = trajectory->text;
        const uint32_t right = shared_prefix(gold, response);
        const bool end = trajectory->finish == SCOPE_FINISH_STOP && right == gold.bytes &&
                response.bytes == gold.bytes;
        return (float)(right + end) / (float)(gold.bytes + 1);
}

void scope_grade_trajectory(struct scope_trajectory *trajectory,
        const struct scope_grade_options *options)
{
        const bool correct =
                scope_grade_response(trajectory->gold, trajectory->text, options, NULL).equal;
        trajectory->graded = true;
        trajectory->verdict = correct ? SCOPE_VERDICT_CORRECT : SCOPE_VERDICT_WRONG;
        trajectory->reward = correct ? 1.0f : 0.0f;
        if (options->reward == SCOPE_GRADE_REWARD_PREFIX)
                trajectory->reward = prefix_share(trajectory);
}

bool scope_grade_correct(const struct scope_trajectory *trajectory)
{
        if (trajectory->verdict == SCOPE_VERDICT_NONE)
                return trajectory->reward >= 0.5f;
        return trajectory->verdict == SCOPE_VERDICT_CORRECT;
}
