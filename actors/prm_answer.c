#include "actors/prm_answer.h"

#include "actors/idle.h"
#include "actors/messages.h"
#include "algorithm/equations.h"
#include "algorithm/localise.h"
#include "base/text.h"
#include "tasks/chain.h"

void scope_prm_exact(struct scope_string problem, struct scope_string text, const uint32_t *ends,
        uint32_t count, float *ret_p)
{
        struct scope_chain chain;
        if (scope_chain_parse(problem, &chain) == SCOPE_OK)
                scope_chain_judge(&chain, text, ends, count, ret_p);
        else
                scope_equations_judge(text, ends, count, ret_p);
}

struct scope_step_scores scope_prm_scores(const struct scope_stages *stages,
        const struct scope_score_item *item, const float *p)
{
        return (struct scope_step_scores){ .sample = item->sample,
                .p = p,
                .step_count = item->step_count,
                .verified = scope_localise_verified(
                        p, item->step_count, stages->options->prm.tau) };
}

/* For rollouts/replies.jsonl: what a replay of this run scores. */
static void record(struct scope_actor *self, const struct scope_stages *stages,
        struct scope_outbox *outbox, uint64_t group, uint64_t ns,
        const struct scope_step_scores *scores, uint32_t count)
{
        struct scope_text line = { 0 };
        struct scope_message *message = NULL;
        if (!stages->options->metrics.rollouts)
                return;
        scope_json_open(&line, NULL, '{');
        scope_json_text(&line, "of", "prm");
        scope_json_uint(&line, "group", group);
        scope_json_uint(&line, "ns", ns);
        scope_json_open(&line, "scores", '[');
        for (uint32_t i = 0; i < count; i++) {
                scope_json_open(&line, NULL, '{');
                scope_json_uint(&line, "sample", scores[i].sample);
                scope_json_open(&line, "p", '[');
                for (uint32_t step = 0; step < scores[i].step_count; step++)
                        scope_json_double(&line, NULL, (double)scores[i].p[step]);
                scope_json_close(&line, ']');
                scope_json_close(&line, '}');
        }
        scope_json_close(&line, ']');
        scope_json_close(&line, '}');
        struct scope_control control = { .text = { line.bytes, (uint32_t)line.count } };
        if (!line.failed && scope_message_of_control(self, SCOPE_KIND_REPLIED, SCOPE_LANE_CONTROL,
                                    &control, &message) == SCOPE_OK)
                scope_outbox_send(self, outbox, stages->recorder, &message);
        scope_text_fini(&line);
}

void scope_prm_answer(struct scope_actor *self, const struct scope_stages *stages,
        struct scope_outbox *outbox, const struct scope_reply_to *to,
        const struct scope_score_request *request, const struct scope_step_scores *scores,
        uint64_t since_ns, uint64_t waited_ns)
{
        uint64_t service_ns = scope_service_ns(self, since_ns, waited_ns);
        struct scope_score_answer answer = {
                .group = request->group, .scores = scores, .score_count = request->item_count
        };
        struct scope_message *answered = NULL;
        scope_stages_audit(self, stages,
                (struct scope_audit){ .kind = SCOPE_AUDIT_SCORED,
                        .group = request->group,
                        .since_ns = since_ns,
                        .service_ns = service_ns });
        record(self, stages, outbox, request->group, service_ns, scores, request->item_count);
        enum scope_err err = scope_message_of_score_answer(
                self, SCOPE_KIND_SCORED, SCOPE_LANE_DATA, &answer, &answered);
        if (err == SCOPE_OK)
                scope_reply_to(self, to, &answered);
        else
                scope_reply_to_error(self, to, err);
}
