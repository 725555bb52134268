/* evaluator.c - samples fixed problems with given weights and reports how good they are.
 * Why: progress is measured beside training, with the same seeds every time. Its steps take turns
 * with everybody's: with a lower priority, a busy asynchronous run would see its first figure at
 * the end.
 * (1) One evaluation at a time; QUEUE_MAX more may wait, further ones are refused. (2) Every
 * request is answered: EVALUATED, or an error. (3) Weights are swapped only between evaluations. */
#include <stdlib.h>

#include "actors/evaluation.h"
#include "actors/idle.h"
#include "actors/messages.h"
#include "actors/stages.h"
#include "base/text.h"
#include "base/check.h"
#include "models/engine.h"
#include "models/prompt_format.h"
#include "models/tokenizer.h"
#include "runtime/outbox.h"
#include "tasks/dataset.h"

enum { QUEUE_MAX = 4, TAG_STEP = 1 };

struct evaluator {
        const struct scope_stages *stages;
        struct scope_engine *engine;
        struct scope_message *waiting[QUEUE_MAX]; /* oldest first */
        uint32_t waiting_count;
        struct scope_message *current; /* the request being answered, with its weights */
        struct scope_evaluation *evaluation;
        struct scope_text text;
        uint32_t *prompt; /* [rollout.max_prompt] */
        uint64_t version, began_ns;
        uint64_t life; /* the high bits of engine ids: tells evaluations apart */
        uint32_t next_problem, in_engine;
        bool stepping;
};

static enum scope_err evaluator_init(struct scope_actor *self, void *state, void *args)
{
        struct evaluator *evaluator = state;
        evaluator->stages = args;
        evaluator->engine = evaluator->stages->resources.evaluator;
        evaluator->life = (uint64_t)scope_self(self).incarnation << 48;
        /* An earlier life may have ended within a step: its job is over, its samples nobody's. */
        if (evaluator->engine != NULL)
                evaluator->engine->class_->end_step(evaluator->engine, SCOPE_ERR_CANCELLED);
        evaluator->prompt = malloc(
                (size_t)evaluator->stages->options->rollout.max_prompt * sizeof *evaluator->prompt);
        return evaluator->prompt != NULL ? SCOPE_OK : SCOPE_ERR_MEMORY;
}

static void let_go(struct evaluator *evaluator)
{
        scope_evaluation_destroy(evaluator->evaluation);
        evaluator->evaluation = NULL;
        scope_message_free(evaluator->current);
        evaluator->current = NULL;
}

static void cancel(struct scope_actor *self, struct evaluator *evaluator, enum scope_err err)
{
        uint64_t submitted = (uint64_t)evaluator->next_problem *
                             (uint64_t)evaluator->stages->options->eval.samples;
        for (uint64_t i = 0; i < submitted; i++)
                evaluator->engine->class_->cancel(evaluator->engine, evaluator->life | i);
        evaluator->in_engine = 0;
        scope_reply_error(self, evaluator->current, err);
        let_go(evaluator);
}

/* --- one evaluation --------------------------------------------------------------------------- */

static uint32_t problem_count(const struct evaluator *evaluator)
{
        uint64_t wanted = (uint64_t)evaluator->stages->options->eval.problems;
        uint64_t there = evaluator->stages->resources.eval->count;
        return (uint32_t)(wanted < there ? wanted : there);
}

static enum scope_err prepare(struct scope_actor *self, struct evaluator *evaluator)
{
        const struct scope_stages *stages = evaluator->stages;
        struct scope_message *request = evaluator->current;
        struct scope_weights weights;
        if (evaluator->engine == NULL || stages->resources.eval == NULL)
                return SCOPE_ERR_UNSUPPORTED;
        enum scope_err err = scope_message_read_weights(self, request, &stages->limits, &weights);
        if (err == SCOPE_OK && request->attachment == NULL)
                err = SCOPE_ERR_FORMAT;
        if (err == SCOPE_OK)
                err = scope_evaluation_create(
                        &(struct scope_evaluation_options){ .data = stages->resources.eval,
                                .grade = &stages->options->grade,
                                .problems = problem_count(evaluator),
                                .samples = (uint32_t)stages->options->eval.samples },
                        &evaluator->evaluation);
        if (err == SCOPE_OK)
                err = evaluator->engine->class_->publish(
                        evaluator->engine, request->attachment, weights.version, false);
        evaluator->version = weights.version;
        evaluator->next_problem = 0;
        evaluator->in_engine = 0;
        evaluator->life += (uint64_t)1 << 40;
        evaluator->began_ns = scope_now_ns(self);
        return err;
}

static enum scope_err submit_problem(struct scope_actor *self, struct evaluator *evaluator)
{
        const struct scope_stages *stages = evaluator->stages;
        const struct scope_pipeline_options *options = stages->options;
        uint32_t samples = (uint32_t)options->eval.samples, index = evaluator->next_problem;
        struct scope_problem problem;
        uint64_t unspelled = 0; /* read without what no token spells, as prompts.c does */
        size_t count = 0;
        enum scope_err err =
                scope_dataset_get(stages->resources.eval, index, scope_scratch(self), &problem);
        if (err == SCOPE_OK)
                err = scope_tokenizer_as_library(
                        scope_prompt_format_encode(stages->resources.prompt_format,
                                stages->resources.tokenizer, problem.text, problem.messages,
                                evaluator->prompt, (size_t)options->rollout.max_prompt, &count,
                                NULL),
                        &unspelled);
        for (uint32_t sample = 0; sample < samples && err == SCOPE_OK; sample++) {
                struct scope_engine_request request = {
                        .id = evaluator->life | ((uint64_t)index * samples + sample),
                        .share = evaluator->life | index,
                        .prompt = evaluator->prompt,
                        .prompt_count = (uint32_t)count,
                        .response_max = (uint32_t)options->rollout.max_response,
                        .temperature = (float)options->eval.temperature,
                        .top_p = (float)options->eval.top_p,
                        .seed = scope_evaluation_seed((uint64_t)options->run.seed, index, sample),
                };
                err = evaluator->engine->class_->submit(evaluator->engine, &request);
        }
        evaluator->next_problem++;
        evaluator->in_engine += samples;
        return err;
}

static void report(struct scope_actor *self, struct evaluator *evaluator)
{
        struct scope_metric metrics[SCOPE_EVALUATION_METRICS_MAX + 1];
        struct scope_message *answer = NULL;
        uint32_t count = scope_evaluation_metrics(evaluator->evaluation, metrics);
        metrics[count++] = (struct scope_metric){ { "time/eval", 9 },
                (double)(scope_now_ns(self) - evaluator->began_ns) / 1e9 };
        struct scope_control control = { .step = evaluator->version,
                .version = evaluator->version,
                .metrics = metrics,
                .metric_count = count };
        enum scope_err err = scope_message_of_control(
                self, SCOPE_KIND_EVALUATED, SCOPE_LANE_CONTROL, &control, &answer);
        if (err == SCOPE_OK)
                scope_reply(self, evaluator->current, &answer);
        else
                scope_reply_error(self, evaluator->current, err);
        let_go(evaluator);
}

static void begin_next(struct scope_actor *self, struct evaluator *evaluator)
{
        while (evaluator->current == NULL && evaluator->waiting_count > 0) {
                evaluator->current = evaluator->waiting[0];
                evaluator->waiting_count--;
                for (uint32_t i = 0; i < evaluator->waiting_count; i++)
                        evaluator->waiting[i] = evaluator->waiting[i + 1];
                enum scope_err err = prepare(self, evaluator);
                if (err == SCOPE_OK)
                        return;
                scope_reply_error(self, evaluator->current, err);
                let_go(evaluator);
        }
}

/* Keeps the engine's slots full, and one decode step under way. */
static void step(struct scope_actor *self, struct evaluator *evaluator)
{
        struct scope_engine_job decode;
        enum scope_err err = SCOPE_OK;
        if (evaluator->stepping)
                return;
        begin_next(self, evaluator);
        if (evaluator->current == NULL) {
                scope_idle_cause(self, scope_idle_words[SCOPE_IDLE_STARVED]);
                return;
        }
        uint32_t slots = evaluator->engine->class_->stats(evaluator->engine).slots;
        while (err == SCOPE_OK && evaluator->in_engine < 2 * slots &&
                evaluator->next_problem < problem_count(evaluator))
                err = submit_problem(self, evaluator);
        if (err == SCOPE_OK)
                err = evaluator->engine->class_->begin_step(evaluator->engine, &decode);
        if (err != SCOPE_OK) {
                cancel(self, evaluator, err);
                return;
        }
        struct scope_job job = { .run = decode.run,
                .arg = decode.arg,
                .cores = decode.cores,
                .priority = SCOPE_PRIORITY_TRAIN,
                .cost_only = decode.run == NULL,
                .cost_ns = decode.cost_ns,
                .what = "evaluate" };
        err = scope_compute(self, &job, TAG_STEP);
        evaluator->stepping = err == SCOPE_OK;
        scope_idle_cause(self, scope_idle_words[SCOPE_IDLE_COMPUTING]);
        if (err != SCOPE_OK)
                scope_fail(self, err, "the compute pool refused a decode step");
}

static enum scope_err take_result(
        struct evaluator *evaluator, const struct scope_engine_result *result)
{
        uint64_t mask = ((uint64_t)1 << 40) - 1;
        if (evaluator->current == NULL || (result->id & ~mask) != evaluator->life)
                return SCOPE_OK; /* of an earlier evaluation */
        evaluator->in_engine--;
        scope_text_clear(&evaluator->text);
        scope_tokenizer_decode(evaluator->stages->resources.tokenizer, result->tokens,
                result->token_count, true, &evaluator->text);
        if (evaluator->text.failed)
                return SCOPE_ERR_MEMORY;
        struct scope_evaluation_sample sample = {
                .problem = (uint32_t)((result->id & mask) /
                                      (uint64_t)evaluator->stages->options->eval.samples),
                .text = { evaluator->text.bytes != NULL ? evaluator->text.bytes : "",
                        (uint32_t)evaluator->text.count },
                .tokens = result->token_count
        };
        return scope_evaluation_add(evaluator->evaluation, &sample);
}

static void stepped(struct scope_actor *self, struct evaluator *evaluator, enum scope_err err)
{
        struct scope_engine_result result;
        evaluator->stepping = false;
        scope_idle_cause(self, scope_idle_words[SCOPE_IDLE_STARVED]);
        evaluator->engine->class_->end_step(evaluator->engine, err);
        while (err == SCOPE_OK && evaluator->engine->class_->collect(evaluator->engine, &result))
                err = take_result(evaluator, &result);
        if (evaluator->current == NULL)
                return;
        if (err != SCOPE_OK)
                cancel(self, evaluator, err);
        else if (scope_evaluation_missing(evaluator->evaluation) == 0)
                report(self, evaluator);
}

/* --- messages --------------------------------------------------------------------------------- */

static void evaluator_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct evaluator *evaluator = state;
        switch (message->kind) {
        case SCOPE_KIND_EVALUATE:
                if (evaluator->waiting_count == QUEUE_MAX || scope_draining(self)) {
                        scope_reply_error(self, message,
                                scope_draining(self) ? SCOPE_ERR_CANCELLED : SCOPE_ERR_AGAIN);
                        break;
                }
                evaluator->waiting[evaluator->waiting_count++] = message;
                message = NULL;
                break;
        case SCOPE_KIND_COMPUTE_DONE:
                stepped(self, evaluator, message->err);
                break;
        default: /* START; nothing else is meant for the evaluator */
                break;
        }
        scope_message_free(message);
        step(self, evaluator);
}

/* Nobody waits for these figures any more. The step under way runs to its end. */
static void evaluator_drain(struct scope_actor *self, void *state)
{
        struct evaluator *evaluator = state;
        while (evaluator->waiting_count > 0) {
                struct scope_message *request = evaluator->waiting[--evaluator->waiting_count];
                scope_reply_error(self, request, SCOPE_ERR_CANCELLED);
                scope_message_free(request);
        }
        if (evaluator->current != NULL)
                cancel(self, evaluator, SCOPE_ERR_CANCELLED);
}

static bool evaluator_idle(const void *state)
{
        return !((const struct evaluator *)state)->stepping;
}

static void evaluator_fini(struct scope_actor *self, void *state)
{
        struct evaluator *evaluator = state;
        (void)self;
        for (uint32_t i = 0; i < evaluator->waiting_count; i++)
                scope_message_free(evaluator->waiting[i]);
        let_go(evaluator);
        free(evaluator->prompt);
        scope_text_fini(&evaluator->text);
}

const struct scope_actor_class scope_evaluator_class = {
        .name = "evaluator",
        .state_bytes = sizeof(struct evaluator),
        .scratch_bytes = 8 << 20,
        .init = evaluator_init,
        .receive = evaluator_receive,
        .drain = evaluator_drain,
        .idle = evaluator_idle,
        .fini = evaluator_fini,
};
