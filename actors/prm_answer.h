/* prm_answer.h - what both scorers share: the exact checker, and the one answer of a request.
 * Why: wherever step probabilities come from, what is said of them is the same. */
#pragma once

#include "actors/stages.h"
#include "schemas/records.h"

struct scope_outbox;

/* Probabilities of each step by the exact checker of the built-in task where the problem is of it,
 * else by the arithmetic that the steps say.
 * out     ret_p [count]     thread  any; pure */
void scope_prm_exact(struct scope_string problem, struct scope_string text, const uint32_t *ends,
        uint32_t count, float *ret_p);

/* One item's scores; `p` is borrowed. */
struct scope_step_scores scope_prm_scores(const struct scope_stages *stages,
        const struct scope_score_item *item, const float *p);

/* Answers a request with `scores` [item_count], and records them for a replay.
 * in      outbox: the scorer's; since_ns: when its scoring began; waited_ns: what
 *         scope_waited_ns said then     thread  owner */
void scope_prm_answer(struct scope_actor *self, const struct scope_stages *stages,
        struct scope_outbox *outbox, const struct scope_reply_to *to,
        const struct scope_score_request *request, const struct scope_step_scores *scores,
        uint64_t since_ns, uint64_t waited_ns);
