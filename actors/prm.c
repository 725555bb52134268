/* prm.c - how likely each step is right.
 * Why: the process reward model finds the first wrong step of a failed rollout. Back ends here: the
 * exact checker of the built-in task or of the arithmetic that any text says, the likelihood of
 * each step under a policy, a two-class head. One behind HTTP is prm_http.c.
 * (1) One answer a request, in order. (2) A step whose score cannot be had gets p = 0: unverified.
 * (3) Engine work runs as compute jobs; requests wait their turn meanwhile. */
#include <math.h>

#include "actors/idle.h"
#include "actors/messages.h"
#include "actors/prm_answer.h"
#include "actors/stages.h"
#include "algorithm/steps.h"
#include "base/arena.h"
#include "base/check.h"
#include "models/engine.h"
#include "models/prm_input.h"

enum { TAG_SCORE = 1 };

struct prm {
        const struct scope_stages *stages;
        struct scope_engine *engine;
        struct scope_arena arena; /* of the request at the engine */
        /* requests waiting, linked by next; the first is at the engine */
        struct scope_message *first;
        struct scope_message **last;
        struct scope_engine_score scores[SCOPE_GROUP_SAMPLES_MAX];
        uint32_t *marks[SCOPE_GROUP_SAMPLES_MAX]; /* native, with its own tokenizer */
        enum scope_prm_form form;
        struct scope_outbox outbox;
        bool running;
        uint64_t began_ns; /* of the job under way; 0 = none */
        uint64_t waited_ns; /* for cores, by then */
};

static enum scope_err prm_init(struct scope_actor *self, void *state, void *args)
{
        struct prm *prm = state;
        (void)self;
        prm->stages = args;
        prm->engine = prm->stages->resources.prm;
        prm->last = &prm->first;
        int backend = prm->stages->options->prm.backend;
        if ((backend == SCOPE_PRM_LIKELIHOOD || backend == SCOPE_PRM_NATIVE) && prm->engine == NULL)
                return SCOPE_ERR_NOT_FOUND;
        if (backend == SCOPE_PRM_NATIVE && prm->stages->resources.prm_tokenizer != NULL)
                prm->form = scope_prm_form_of(prm->stages->resources.prm_tokenizer,
                        prm->stages->resources.prm_head);
        if (prm->engine != NULL) /* an earlier life may have ended within a job */
                prm->engine->class_->end_step(prm->engine, SCOPE_ERR_CANCELLED);
        return scope_arena_init(&prm->arena, 64 << 20);
}

/* The one answer; the message stays the caller's to free. */
static void reply(struct scope_actor *self, struct prm *prm, struct scope_message *message,
        const struct scope_score_request *request, const struct scope_step_scores *scores)
{
        struct scope_reply_to to = scope_reply_later(message);
        scope_prm_answer(self, prm->stages, &prm->outbox, &to, request, scores,
                prm->began_ns != 0 ? prm->began_ns : scope_now_ns(self),
                prm->began_ns != 0 ? prm->waited_ns : scope_waited_ns(self));
        prm->began_ns = 0;
}

/* Every step of every item, at once: by the exact checker of the built-in task where the problem
 * is of it, else by the arithmetic that the steps say. */
static void check_exactly(struct scope_actor *self, struct prm *prm, struct scope_message *message)
{
        struct scope_step_scores scores[SCOPE_GROUP_SAMPLES_MAX];
        const struct scope_resources *resources = &prm->stages->resources;
        struct scope_score_request request = { 0 };
        enum scope_err err =
                scope_message_read_score_request(self, message, &prm->stages->limits, &request);
        for (uint32_t i = 0; i < request.item_count && err == SCOPE_OK; i++) {
                const struct scope_score_item *item = &request.items[i];
                float *p = scope_arena_take(scope_scratch(self), item->step_count * sizeof *p + 4);
                if (p == NULL) {
                        err = SCOPE_ERR_MEMORY;
                        break;
                }
                bool recorded = resources->scores_of != NULL &&
                                resources->scores_of(resources->played, request.group,
                                        item->sample, item->step_count, p);
                if (!recorded)
                        scope_prm_exact(
                                request.problem, item->text, item->step_ends, item->step_count, p);
                scores[i] = scope_prm_scores(prm->stages, item, p);
        }
        if (err == SCOPE_OK)
                reply(self, prm, message, &request, scores);
        else
                scope_reply_error(self, message, err);
        scope_message_free(message);
}

/* The problem and an item's steps as the scorer's own tokenizer writes them. */
static enum scope_err marked_sequence(struct prm *prm, const struct scope_score_request *request,
        uint32_t index)
{
        const struct scope_score_item *item = &request->items[index];
        const struct scope_resources *resources = &prm->stages->resources;
        struct scope_string *steps =
                scope_arena_take(&prm->arena, item->step_count * sizeof *steps + 4);
        struct scope_prm_input input = { .max = resources->prm_context };
        input.ids = scope_arena_take(&prm->arena, input.max * sizeof *input.ids);
        input.marks = scope_arena_take(&prm->arena, item->step_count * sizeof *input.marks + 4);
        float *values = scope_arena_take(&prm->arena, input.max * sizeof *values);
        if (steps == NULL || input.ids == NULL || input.marks == NULL || values == NULL)
                return SCOPE_ERR_MEMORY;
        for (uint32_t step = 0; step < item->step_count; step++)
                steps[step] = scope_steps_text(item->text, item->step_ends, step);
        enum scope_err err = scope_prm_input_make(resources->prm_tokenizer, prm->form,
                request->problem, steps, item->step_count, &input);
        prm->marks[index] = input.marks;
        prm->scores[index] = (struct scope_engine_score){ input.ids, input.count, values };
        return err;
}

/* Every item as one sequence, in the arena: prompt and response as sampled, or as the scorer
 * writes them. */
static enum scope_err sequences(struct prm *prm, const struct scope_score_request *request)
{
        for (uint32_t i = 0; i < request->item_count && prm->form != SCOPE_PRM_FORM_NONE; i++) {
                enum scope_err err = marked_sequence(prm, request, i);
                if (err != SCOPE_OK || i + 1 == request->item_count)
                        return err;
        }
        for (uint32_t i = 0; i < request->item_count; i++) {
                const struct scope_score_item *item = &request->items[i];
                uint32_t count = item->prompt_count + item->token_count;
                uint32_t *tokens = scope_arena_take(&prm->arena, count * sizeof *tokens + 4);
                float *values = scope_arena_take(&prm->arena, count * sizeof *values + 4);
                if (tokens == NULL || values == NULL)
                        return SCOPE_ERR_MEMORY;
                for (uint32_t t = 0; t < count; t++)
                        tokens[t] = t < item->prompt_count ? item->prompt[t]
                                                           : item->tokens[t - item->prompt_count];
                prm->scores[i] = (struct scope_engine_score){ tokens, count, values };
        }
        return SCOPE_OK;
}

static void drop_first(struct prm *prm)
{
        struct scope_message *message = prm->first;
        prm->first = message->next;
        if (prm->first == NULL)
                prm->last = &prm->first;
        message->next = NULL;
        scope_message_free(message);
}

/* Prompts and answers of the request that waits first, where its cost depends on them. */
static uint64_t first_tokens(struct scope_actor *self, struct prm *prm)
{
        struct scope_score_request request;
        uint64_t tokens = 0;
        if (!scope_stage_is_counted(&prm->stages->resources, SCOPE_COST_PRM) ||
                scope_message_read_score_request(
                        self, prm->first, &prm->stages->limits, &request) != SCOPE_OK)
                return 0;
        for (uint32_t i = 0; i < request.item_count; i++)
                tokens += request.items[i].prompt_count + request.items[i].token_count;
        return tokens;
}

/* One server that takes as long as the simulation says. */
static void start_timed(struct scope_actor *self, struct prm *prm)
{
        const struct scope_resources *resources = &prm->stages->resources;
        if (prm->first == NULL || prm->running)
                return;
        struct scope_job job = { .cores = 1,
                .priority = SCOPE_PRIORITY_PRODUCE,
                .cost_only = true,
                .timed = true,
                .cost_ns = resources->stage_cost(resources->played, SCOPE_COST_PRM,
                        prm->first->trace - 1, first_tokens(self, prm)),
                .what = "score steps" };
        enum scope_err err = scope_compute(self, &job, TAG_SCORE);
        prm->running = err == SCOPE_OK;
        prm->began_ns = scope_now_ns(self);
        prm->waited_ns = scope_waited_ns(self);
        scope_idle_cause(self, scope_idle_words[SCOPE_IDLE_COMPUTING]);
        if (err != SCOPE_OK)
                scope_fail(self, err, "the compute pool refused a PRM job");
}

static void start_next(struct scope_actor *self, struct prm *prm)
{
        if (prm->stages->options->prm.backend == SCOPE_PRM_ARITHMETIC) {
                start_timed(self, prm);
                return;
        }
        while (prm->first != NULL && !prm->running) {
                struct scope_score_request request;
                struct scope_engine_job engine_job;
                scope_arena_reset(&prm->arena);
                enum scope_err err = scope_message_read_score_request(
                        self, prm->first, &prm->stages->limits, &request);
                if (err == SCOPE_OK)
                        err = sequences(prm, &request);
                if (err == SCOPE_OK)
                        err = prm->engine->class_->begin_score(
                                prm->engine, prm->scores, request.item_count, &engine_job);
                if (err == SCOPE_OK) {
                        struct scope_job job = { .run = engine_job.run,
                                .arg = engine_job.arg,
                                .cores = engine_job.cores,
                                .priority = SCOPE_PRIORITY_PRODUCE,
                                .cost_only = engine_job.run == NULL,
                                .hold = prm->first->next != NULL,
                                .cost_ns = engine_job.cost_ns,
                                .what = "score steps" };
                        err = scope_compute(self, &job, TAG_SCORE);
                }
                prm->running = err == SCOPE_OK;
                prm->began_ns = scope_now_ns(self);
                prm->waited_ns = scope_waited_ns(self);
                scope_idle_cause(self,
                        scope_idle_words[prm->running ? SCOPE_IDLE_COMPUTING : SCOPE_IDLE_STARVED]);
                if (err != SCOPE_OK) {
                        scope_reply_error(self, prm->first, err);
                        drop_first(prm);
                }
        }
}

/* likelihood: the least probability of a step's tokens (tiny-recipe.md 6); native: the probability
 * of class 1 at the step's mark, or at its last token. */
static float step_probability(const struct prm *prm, const struct scope_score_item *item,
        uint32_t index, uint32_t step)
{
        const float *values = prm->scores[index].ret_values;
        if (prm->form != SCOPE_PRM_FORM_NONE) {
                uint32_t mark = prm->marks[index][step];
                return mark != UINT32_MAX ? values[mark] : 0; /* too long: unverified */
        }
        uint32_t begin = step == 0 ? 0 : item->step_token_ends[step - 1];
        uint32_t end = item->step_token_ends[step];
        const float *response = values + item->prompt_count;
        if (end <= begin)
                return 0;
        if (prm->stages->options->prm.backend == SCOPE_PRM_NATIVE)
                return response[end - 1];
        float least = 0;
        for (uint32_t t = begin; t < end; t++)
                least = response[t] < least ? response[t] : least;
        return expf(least);
}

static void scored(struct scope_actor *self, struct prm *prm, enum scope_err err)
{
        struct scope_step_scores scores[SCOPE_GROUP_SAMPLES_MAX];
        struct scope_score_request request = { 0 };
        prm->running = false;
        scope_idle_cause(self, scope_idle_words[SCOPE_IDLE_STARVED]);
        if (prm->stages->options->prm.backend == SCOPE_PRM_ARITHMETIC) {
                struct scope_message *message = prm->first;
                prm->first = message->next;
                if (prm->first == NULL)
                        prm->last = &prm->first;
                check_exactly(self, prm, message);
                start_next(self, prm);
                return;
        }
        prm->engine->class_->end_step(prm->engine, err);
        if (err == SCOPE_OK)
                err = scope_message_read_score_request(
                        self, prm->first, &prm->stages->limits, &request);
        for (uint32_t i = 0; i < request.item_count && err == SCOPE_OK; i++) {
                const struct scope_score_item *item = &request.items[i];
                float *p = scope_arena_take(scope_scratch(self), item->step_count * sizeof *p + 4);
                if (p == NULL) {
                        err = SCOPE_ERR_MEMORY;
                        break;
                }
                for (uint32_t step = 0; step < item->step_count; step++)
                        p[step] = step_probability(prm, item, i, step);
                scores[i] = scope_prm_scores(prm->stages, item, p);
        }
        if (err == SCOPE_OK)
                reply(self, prm, prm->first, &request, scores);
        else
                scope_reply_error(self, prm->first, err);
        drop_first(prm);
        start_next(self, prm);
}

static void prm_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct prm *prm = state;
        switch (message->kind) {
        case SCOPE_KIND_SCORE:
                if (prm->stages->options->prm.backend == SCOPE_PRM_ARITHMETIC &&
                        !scope_stage_is_timed(&prm->stages->resources, SCOPE_COST_PRM)) {
                        check_exactly(self, prm, message);
                        return;
                }
                message->next = NULL;
                *prm->last = message;
                prm->last = &message->next;
                start_next(self, prm);
                return;
        case SCOPE_KIND_COMPUTE_DONE:
                scored(self, prm, message->err);
                break;
        case SCOPE_KIND_TIMER:
                (void)scope_outbox_timer(self, &prm->outbox, message); /* it has no other timer */
                break;
        case SCOPE_KIND_START:
        default:
                break;
        }
        scope_message_free(message);
}

static bool prm_idle(const void *state)
{
        const struct prm *prm = state;
        return prm->first == NULL && prm->outbox.count == 0;
}

static void prm_fini(struct scope_actor *self, void *state)
{
        struct prm *prm = state;
        (void)self;
        while (prm->first != NULL)
                drop_first(prm);
        scope_arena_fini(&prm->arena);
        scope_outbox_fini(&prm->outbox);
}

const struct scope_actor_class scope_prm_class = {
        .name = "prm",
        .state_bytes = sizeof(struct prm),
        .scratch_bytes = 16 << 20,
        .init = prm_init,
        .receive = prm_receive,
        .idle = prm_idle,
        .fini = prm_fini,
};
