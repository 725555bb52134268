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

/* What a response says before its first special token; the EOS that ends it is none of those. */
static struct scope_string plain_text(const struct scope_trajectory *trajectory,
        const uint32_t *token_bytes, uint32_t *ret_tokens)
{
        const uint32_t count = trajectory->token_count;
        const bool ended = trajectory->finish == SCOPE_FINISH_STOP;
        uint32_t bytes = 0, at = 0;
        while (at < count && (token_bytes[at] > 0 || (ended && at + 1 == count)))
                bytes += token_bytes[at++];
        *ret_tokens = at;
        return (struct scope_string){ trajectory->text.at,
                bytes < trajectory->text.bytes ? bytes : trajectory->text.bytes };
}

/* The share of gold's characters and EOS, in order, that the response begins with. */
static float prefix_share(const struct scope_trajectory *trajectory, const uint32_t *token_bytes,
        uint32_t *ret_decided)
{
        uint32_t plain;
        const struct scope_string gold = trajectory->gold;
        const struct scope_string response = plain_text(trajectory, token_bytes, &plain);
        const uint32_t right = shared_prefix(gold, response), count = trajectory->token_count;
        const bool end = trajectory->finish == SCOPE_FINISH_STOP && plain == count &&
                right == gold.bytes && response.bytes == gold.bytes;
        uint32_t bytes = 0, at = 0;
        while (at < plain && bytes <= right)
                bytes += token_bytes[at++];
        const bool up_to_special = bytes <= right && plain < count;
        *ret_decided = up_to_special ? plain + 1 : at;
        return (float)(right + end) / (float)(gold.bytes + 1);
}

void scope_grade_trajectory(struct scope_trajectory *trajectory, const uint32_t *token_bytes,
        const struct scope_grade_options *options, uint32_t *ret_decided)
{
        const bool correct =
                scope_grade_response(trajectory->gold, trajectory->text, options, NULL).equal;
        trajectory->graded = true;
        trajectory->verdict = correct ? SCOPE_VERDICT_CORRECT : SCOPE_VERDICT_WRONG;
        trajectory->reward = correct ? 1.0f : 0.0f;
        *ret_decided = trajectory->token_count;
        if (options->reward == SCOPE_GRADE_REWARD_PREFIX)
                trajectory->reward = prefix_share(trajectory, token_bytes, ret_decided);
}

bool scope_grade_correct(const struct scope_trajectory *trajectory)
{
        if (trajectory->verdict == SCOPE_VERDICT_NONE)
                return trajectory->reward >= 0.5f;
        return trajectory->verdict == SCOPE_VERDICT_CORRECT;
}
