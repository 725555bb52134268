#include "cli/sim_policy.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "schemas/records.h"
#include "tasks/chain.h"
#include "tasks/pooling_script.h"

/* Every number that is a result, from there on, is off by one: wrong, and still a solution to
 * read. */
static void spoil(char *text, size_t bytes, uint64_t where)
{
        for (size_t i = (size_t)(where % bytes); i < bytes; i++)
                if (i > 0 && text[i] >= '0' && text[i] <= '9' &&
                        (text[i - 1] == '=' || text[i - 1] == '{'))
                        text[i] = (char)('0' + (text[i] - '0' + 1) % 10);
}

uint32_t scope_sim_policy_write(struct scope_sim_policy *policy,
        const struct scope_engine_request *request, bool wrong, uint64_t where,
        uint32_t *ret_tokens, uint8_t *ret_finish)
{
        struct scope_text *text = &policy->text;
        struct scope_chain chain;
        size_t count = 0;
        scope_text_clear(text);
        scope_tokenizer_decode(
                policy->tokenizer, request->prompt, request->prompt_count, true, text);
        enum scope_err err = scope_chain_parse(
                (struct scope_string){ text->bytes, (uint32_t)text->count }, &chain);
        scope_assert(err == SCOPE_OK); /* prompts come from our own generator */
        scope_text_clear(text);
        scope_chain_write_solution(&chain, text);
        scope_assert(!text->failed);
        if (wrong)
                spoil(text->bytes, text->count, where);
        err = scope_tokenizer_encode(policy->tokenizer, text->bytes, text->count, ret_tokens,
                request->response_max - 1, &count);
        scope_assert(err == SCOPE_OK || err == SCOPE_ERR_TOO_BIG);
        *ret_finish = err == SCOPE_OK ? SCOPE_FINISH_STOP : SCOPE_FINISH_LENGTH;
        if (err == SCOPE_OK)
                ret_tokens[count++] = policy->eos;
        return (uint32_t)count;
}

void scope_sim_policy_fini(struct scope_sim_policy *policy)
{
        scope_text_fini(&policy->text);
}

void scope_sim_teach(
        const struct scope_teacher_script *script, uint64_t draw, struct scope_sim_http *call)
{
        struct scope_teacher_response response;
        bool scores = strstr(call->request->url, "/pooling") != NULL;
        (scores ? scope_pooling_script_answer : scope_teacher_script_answer)(
                script, call->request->body, call->request->body_bytes, draw, 0, &response);
        scope_assert(!response.body.failed);
        call->status = response.status;
        call->latency_ns = response.hang ? UINT64_MAX : response.latency_ns;
        call->body_bytes = response.body.count < response.cut ? response.body.count : response.cut;
        if (call->body_bytes > call->body_capacity)
                call->body_bytes = call->body_capacity;
        if (call->body_bytes > 0)
                memcpy(call->body, response.body.bytes, call->body_bytes);
        if (response.retry_after[0] >= '0' && response.retry_after[0] <= '9')
                call->retry_after_ns =
                        (int64_t)(strtoull(response.retry_after, NULL, 10) * 1000000000u);
        scope_text_fini(&response.body);
}
