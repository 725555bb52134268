/* learner.c - batches in, versions out.
 * Why: the one place that changes weights. Everything slow is a job: a microbatch of a rank,
 * an update, an export, a checkpoint; between two of them the loop is free.
 *
 * GATHERING -> [REFERENCE] -> [PROXIMAL] -> (MICROBATCH* -> UPDATE)* -> EXPORT -> [EVALUATING] ->
 * [SAVING] -> GATHERING
 *
 * (1) A group ends TRAINED in the ledger in the same turn in which its step is counted. (2) version
 * = steps done.
 * (3) Groups that an earlier life of this actor held end as FAILED. (4) Behind a barrier nothing is
 * pulled while an evaluation runs, so lines come in a fixed order. (5) The row split and so every
 * sum depend on the batch alone. */
#include <stdlib.h>
#include <string.h>

#include "actors/idle.h"
#include "actors/learner_batch.h"
#include "actors/learner_ranks.h"
#include "actors/messages.h"
#include "actors/publication.h"
#include "actors/stages.h"
#include "base/check.h"
#include "base/planted.h"
#include "models/engine.h"
#include "runtime/ledger.h"

enum phase { GATHERING, REFERENCE, PROXIMAL, MICROBATCH, UPDATE, EXPORT, EVALUATING, SAVING };
enum { BATCH_MAX = 4096, METRICS_MAX = 64 };
enum { TAG_JOB = 1, TAG_EVALUATE = 2, TAG_PUBLISH = 3, TAG_FINISHED = 4, TAG_RANK = 16 };
enum { TIMER_QUEUE = 1, TIMER_FINISHED = 2 };

static const uint64_t SECOND = 1000000000u, AGAIN_NS = 20u * 1000000u;

struct learner {
        const struct scope_stages *stages;
        struct scope_ledger *ledger;
        struct scope_outbox outbox;
        struct scope_batch batch;
        /* groups handed over; the first `batch size` of them train */
        struct scope_message *held[BATCH_MAX];
        uint32_t held_count;
        enum phase phase;
        bool finished, saved_last;
        uint32_t evaluations; /* asked for, not answered */
        uint32_t minibatch, pass;
        struct scope_ranks ranks;
        struct scope_publication publication;
        struct scope_engine_score *scores;
        uint64_t pulled_ns, began_ns, trained_ns, last_save;
        uint64_t waited_ns; /* for cores, when the step began */
        double wait_s;
        struct scope_checkpoint_state checkpoint;
        uint8_t *window;
};

static uint32_t batch_groups(const struct learner *learner)
{
        return (uint32_t)learner->stages->options->rollout.prompts_per_step;
}

static unsigned rank_count(const struct learner *learner)
{
        return (unsigned)learner->stages->options->learner.ranks;
}

static uint64_t version(const struct learner *learner)
{
        return learner->stages->resources.progress->step;
}

/* --- jobs ----------------------------------------------------------------------------------- */

static bool trains_here(const struct learner *learner)
{
        const struct scope_resources *resources = &learner->stages->resources;
        return resources->trainer != NULL && !scope_stage_is_timed(resources, SCOPE_COST_LEARN);
}

static uint64_t cost_of(const struct learner *learner, enum phase phase)
{
        const struct scope_resources *resources = &learner->stages->resources;
        if (!scope_stage_is_timed(resources, SCOPE_COST_LEARN))
                return resources->sim_microbatch_ns;
        if (phase == UPDATE && learner->minibatch == 0 && learner->pass == 0)
                return resources->stage_cost(resources->played, SCOPE_COST_LEARN,
                        version(learner), scope_batch_tokens(&learner->batch, learner->stages));
        if (phase == EXPORT)
                return resources->stage_cost(
                        resources->played, SCOPE_COST_EXPORT, version(learner), 0);
        return 0;
}

/* The job does part of `phase`. */
static void submit_job(struct scope_actor *self, struct learner *learner, enum phase phase,
        struct scope_job job, uint64_t tag)
{
        job.priority = SCOPE_PRIORITY_TRAIN;
        job.cost_only = job.run == NULL;
        job.timed = scope_stage_is_timed(&learner->stages->resources, SCOPE_COST_LEARN) &&
                    phase != SAVING;
        job.yields = job.yields || job.timed;
        job.cost_ns = cost_of(learner, phase);
        learner->phase = phase;
        scope_idle_cause(self,
                scope_idle_words[phase == EXPORT ? SCOPE_IDLE_WEIGHTS : SCOPE_IDLE_COMPUTING]);
        enum scope_err err = scope_compute(self, &job, tag);
        if (err != SCOPE_OK)
                scope_fail(self, err, "the compute pool refused a training job");
}

static void submit(struct scope_actor *self, struct learner *learner, enum phase phase,
        enum scope_err (*run)(void *, unsigned, unsigned), unsigned cores, const char *what)
{
        struct scope_job job = { .run = run,
                .arg = learner,
                .cores = (uint8_t)cores,
                .io = phase == SAVING,
                .what = what };
        submit_job(self, learner, phase, job, TAG_JOB);
}

static enum scope_err run_update(void *arg, unsigned rank, unsigned size)
{
        struct learner *learner = arg;
        float norm = 0;
        (void)size;
        enum scope_err err = scope_trainer_step(learner->stages->resources.trainer, rank,
                scope_batch_learning_rate(learner->stages, version(learner) + 1), &norm);
        if (rank == 0)
                learner->batch.grad_norm = norm;
        return err;
}

static enum scope_err run_export(void *arg, unsigned rank, unsigned size)
{
        struct learner *learner = arg;
        (void)rank;
        (void)size;
        return scope_publication_export(
                &learner->publication, learner->stages->resources.trainer);
}

static enum scope_err run_save(void *arg, unsigned rank, unsigned size)
{
        struct learner *learner = arg;
        const struct scope_resources *resources = &learner->stages->resources;
        (void)rank;
        (void)size;
        return resources->checkpoint(resources->checkpoint_context, &learner->checkpoint);
}

/* --- talking -------------------------------------------------------------------------------- */

static void send_control(struct scope_actor *self, struct learner *learner, uint16_t kind,
        struct scope_address target, const struct scope_control *control)
{
        struct scope_message *message = NULL;
        enum scope_err err =
                scope_message_of_control(self, kind, SCOPE_LANE_CONTROL, control, &message);
        if (err == SCOPE_OK)
                scope_outbox_send(self, &learner->outbox, target, &message);
        else
                scope_event(self, "message", "a message was not sent: %s", scope_err_text(err));
}

static void publish(struct scope_actor *self, struct learner *learner)
{
        struct scope_message *message = NULL;
        if (!scope_publication_has(&learner->publication, version(learner)))
                return; /* nothing yet, or an export is on its way */
        if (scope_publication_message(&learner->publication, self, learner->stages,
                    SCOPE_KIND_WEIGHTS, &message) != SCOPE_OK)
                return;
        message->tag = TAG_PUBLISH;
        scope_outbox_request(self, &learner->outbox, learner->stages->weights, &message,
                60 * SECOND, "weights to be taken");
}

static void end_group(struct scope_actor *self, struct learner *learner, uint64_t group,
        enum scope_outcome outcome, uint64_t detail)
{
        struct scope_control control = {
                .group = group, .value = outcome, .version = version(learner)
        };
        if (scope_ledger_end(learner->ledger, group, outcome, detail) != SCOPE_OK)
                return;
        scope_stages_audit(self, learner->stages,
                (struct scope_audit){ .kind = SCOPE_AUDIT_ENDED,
                        .group = group,
                        .value = outcome,
                        .version = detail });
        send_control(self, learner, SCOPE_KIND_GROUP_END, learner->stages->groups, &control);
}

/* --- the batch ------------------------------------------------------------------------------ */

static void pull(struct scope_actor *self, struct learner *learner)
{
        struct scope_control control = { .version = version(learner) };
        uint32_t need = batch_groups(learner);
        if (learner->phase != GATHERING || learner->finished || scope_draining(self))
                return;
        control.value = learner->held_count < need ? need - learner->held_count : 0;
        learner->pulled_ns = scope_now_ns(self);
        if (control.value > 0)
                send_control(self, learner, SCOPE_KIND_PULL, learner->stages->queue, &control);
        bool first = version(learner) == learner->stages->resources.first_step;
        scope_idle_cause(
                self, scope_idle_words[first ? SCOPE_IDLE_STARTUP : SCOPE_IDLE_STARVED]);
}

static void free_batch(struct learner *learner, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++)
                scope_message_free(learner->held[i]);
        learner->held_count -= count;
        memmove(learner->held, learner->held + count,
                learner->held_count * sizeof learner->held[0]);
}

static void begin_minibatch(struct scope_actor *self, struct learner *learner);

/* The next microbatch of one rank, if it has one. A rank without rows has one, to zero its
 * gradient. */
static bool next_microbatch(struct scope_actor *self, struct learner *learner, enum phase phase,
        struct scope_rank *rank, bool first)
{
        if (!scope_rank_next(rank) && !(first && phase == MICROBATCH))
                return false;
        struct scope_job job = { .run = scope_rank_microbatch,
                .arg = rank,
                .cores = 1,
                .yields = true,
                .what = "train a microbatch" };
        if (phase == PROXIMAL) {
                job.run = scope_rank_anchor;
                job.what = "proximal log-probabilities";
        }
        if (!trains_here(learner))
                job.run = NULL;
        submit_job(self, learner, phase, job, TAG_RANK + rank->rank);
        return true;
}

static void ranks_done(struct scope_actor *self, struct learner *learner, enum phase phase)
{
        if (phase == PROXIMAL)
                begin_minibatch(self, learner);
        else
                submit(self, learner, UPDATE, trains_here(learner) ? run_update : NULL,
                        rank_count(learner), "update");
}

/* Rows [begin, end) through every rank. */
static void begin_ranks(struct scope_actor *self, struct learner *learner, enum phase phase,
        uint32_t begin, uint32_t end)
{
        struct scope_ranks *ranks = &learner->ranks;
        scope_ranks_deal(ranks, rank_count(learner), begin, end);
        for (unsigned i = 0; i < ranks->count; i++)
                ranks->at_work += next_microbatch(self, learner, phase, &ranks->of[i], true);
        if (ranks->at_work == 0)
                ranks_done(self, learner, phase);
}

static void begin_minibatch(struct scope_actor *self, struct learner *learner)
{
        uint32_t begin, end;
        scope_batch_minibatch(&learner->batch, learner->minibatch, &begin, &end);
        begin_ranks(self, learner, MICROBATCH, begin, end);
}

static void begin_proximal(struct scope_actor *self, struct learner *learner)
{
        if (learner->batch.proximal)
                begin_ranks(self, learner, PROXIMAL, 0, learner->batch.row_count);
        else
                begin_minibatch(self, learner);
}

/* Log-probabilities of every row under the frozen reference. */
static void begin_reference(struct scope_actor *self, struct learner *learner)
{
        struct scope_engine *reference = learner->stages->resources.reference;
        struct scope_engine_job engine_job;
        if (reference == NULL) {
                begin_proximal(self, learner);
                return;
        }
        for (uint32_t i = 0; i < learner->batch.row_count; i++)
                learner->scores[i] = (struct scope_engine_score){ learner->batch.rows[i].tokens,
                        learner->batch.rows[i].count, learner->batch.details[i].reference };
        enum scope_err err = reference->class_->begin_score(
                reference, learner->scores, learner->batch.row_count, &engine_job);
        struct scope_job job = { .run = engine_job.run,
                .arg = engine_job.arg,
                .cores = engine_job.cores,
                .priority = SCOPE_PRIORITY_TRAIN,
                .cost_only = engine_job.run == NULL,
                .cost_ns = engine_job.cost_ns,
                .what = "reference log-probabilities" };
        learner->phase = REFERENCE;
        scope_idle_cause(self, scope_idle_words[SCOPE_IDLE_COMPUTING]);
        if (err == SCOPE_OK)
                err = scope_compute(self, &job, TAG_JOB);
        if (err != SCOPE_OK)
                scope_fail(self, err, "the reference model could not be run");
}

/* Groups too old to train: they waited here, handed over for a step that an earlier life never
 * finished. */
static void drop_stale(struct scope_actor *self, struct learner *learner)
{
        uint32_t kept = 0;
        for (uint32_t i = 0; i < learner->held_count; i++) {
                struct scope_group group;
                enum scope_err err = scope_message_read_group(
                        self, learner->held[i], &learner->stages->limits, &group);
                uint64_t age =
                        err == SCOPE_OK ? scope_age_of(version(learner), group.version_oldest) : 0;
                if (err == SCOPE_OK && scope_ledger_live(learner->ledger, group.group) &&
                        (scope_age_judge(&learner->stages->admission, age) != SCOPE_AGE_REJECTED ||
                                SCOPE_PLANTED(STALE_OFF_BY_ONE))) {
                        learner->held[kept++] = learner->held[i];
                        continue;
                }
                if (err == SCOPE_OK)
                        end_group(self, learner, group.group, SCOPE_REJECTED_STALE, age);
                scope_message_free(learner->held[i]);
        }
        learner->held_count = kept;
}

static void begin_batch(struct scope_actor *self, struct learner *learner)
{
        uint64_t now = scope_now_ns(self);
        enum scope_err err = scope_batch_build(&learner->batch, learner->stages, learner->held,
                batch_groups(learner), version(learner));
        if (err != SCOPE_OK) {
                scope_fail(self, err, "a batch could not be laid out");
                return;
        }
        learner->wait_s = (double)(now - learner->pulled_ns) * 1e-9;
        learner->began_ns = now;
        learner->waited_ns = scope_waited_ns(self);
        learner->minibatch = learner->pass = 0;
        begin_reference(self, learner);
}

static void arrived(
        struct scope_actor *self, struct learner *learner, struct scope_message **message)
{
        if (learner->held_count == BATCH_MAX) {
                scope_fail(self, SCOPE_ERR_LIMIT, "more groups were handed over than asked for");
                return;
        }
        learner->held[learner->held_count++] = *message;
        *message = NULL;
        if (learner->phase != GATHERING || learner->held_count < batch_groups(learner))
                return;
        drop_stale(self, learner);
        if (learner->held_count < batch_groups(learner))
                pull(self, learner);
        else
                begin_batch(self, learner);
}

/* --- after an update ------------------------------------------------------------------------ */

static void send_step(struct scope_actor *self, struct learner *learner)
{
        struct scope_metric metrics[METRICS_MAX];
        uint32_t count =
                scope_batch_metrics(&learner->batch, learner->stages, metrics, METRICS_MAX - 5);
        double train_s = (double)(learner->trained_ns - learner->began_ns) * 1e-9;
        const struct scope_metric more[] = {
                { { "optim/lr", 8 }, scope_batch_learning_rate(learner->stages, version(learner)) },
                { { "time/train", 10 }, train_s },
                { { "time/wait_batch", 15 }, learner->wait_s },
                { { "time/step", 9 }, learner->wait_s + train_s },
                { { "time/tokens_per_s", 17 },
                        (double)learner->batch.token_count / (learner->wait_s + train_s + 1e-9) },
        };
        memcpy(metrics + count, more, sizeof more);
        struct scope_control control = { .step = version(learner),
                .version = version(learner),
                .metrics = metrics,
                .metric_count = count + 5 };
        send_control(self, learner, SCOPE_KIND_STEP, learner->stages->recorder, &control);
}

/* The step counts from this turn on: ledger, version and notices belong together. */
static void commit_step(struct scope_actor *self, struct learner *learner)
{
        learner->trained_ns = scope_now_ns(self);
        learner->stages->resources.progress->step++;
        learner->saved_last = false;
        for (uint32_t g = 0; g < learner->batch.group_count; g++) {
                const struct scope_group *group = &learner->batch.groups[g];
                scope_batch_audit(self, learner->stages, &learner->batch, group);
                if (!SCOPE_PLANTED(TERMINAL_FORGOTTEN) || group->group % 7 != 3)
                        end_group(self, learner, group->group, SCOPE_TRAINED, version(learner));
        }
        scope_stages_audit(self, learner->stages,
                (struct scope_audit){ .kind = SCOPE_AUDIT_STEPPED,
                        .version = version(learner),
                        .value = learner->batch.token_count,
                        .since_ns = learner->began_ns,
                        .service_ns = scope_service_ns(
                                self, learner->began_ns, learner->waited_ns) });
        send_step(self, learner);
        free_batch(learner, batch_groups(learner));
        submit(self, learner, EXPORT, run_export, 1, "export weights");
}

static void evaluate(struct scope_actor *self, struct learner *learner)
{
        struct scope_message *message = NULL;
        if (scope_publication_message(&learner->publication, self, learner->stages,
                    SCOPE_KIND_EVALUATE, &message) != SCOPE_OK)
                return;
        message->tag = TAG_EVALUATE;
        learner->evaluations++;
        scope_outbox_request(self, &learner->outbox, learner->stages->evaluator, &message,
                3600 * SECOND, "an evaluation");
}

static void save_or_gather(struct scope_actor *self, struct learner *learner);

static void after_export(struct scope_actor *self, struct learner *learner)
{
        const struct scope_pipeline_options *options = learner->stages->options;
        uint64_t step = version(learner);
        bool last = step >= (uint64_t)options->run.steps;
        bool due = options->eval.every > 0 && learner->stages->resources.evaluator != NULL &&
                   (step % (uint64_t)options->eval.every == 0 || last);
        scope_publication_commit(&learner->publication, step);
        scope_stages_audit(self, learner->stages,
                (struct scope_audit){ .kind = SCOPE_AUDIT_EXPORTED,
                        .version = step,
                        .since_ns = learner->trained_ns });
        publish(self, learner);
        if (due)
                evaluate(self, learner);
        if (learner->evaluations > 0 && (learner->stages->strategy->eval_barrier || last))
                learner->phase = EVALUATING;
        else
                save_or_gather(self, learner);
        if (learner->phase == EVALUATING)
                scope_idle_cause(self, scope_idle_words[SCOPE_IDLE_BARRIER]);
}

static void evaluated(
        struct scope_actor *self, struct learner *learner, const struct scope_message *message)
{
        struct scope_control control;
        learner->evaluations--;
        if (message->kind == SCOPE_KIND_ERROR)
                scope_event(self, "evaluation", "an evaluation was lost: %s",
                        scope_err_text(message->err));
        else if (scope_message_read_control(self, message, &learner->stages->limits, &control) ==
                 SCOPE_OK)
                send_control(self, learner, SCOPE_KIND_STEP, learner->stages->recorder, &control);
        if (learner->phase == EVALUATING && learner->evaluations == 0)
                save_or_gather(self, learner);
}

/* The run ends when the recorder hears of it: it is told until it answers. */
static void tell_recorder(struct scope_actor *self, struct learner *learner)
{
        struct scope_control control = { .step = version(learner), .version = version(learner) };
        struct scope_message *message = NULL;
        enum scope_err err = scope_message_of_control(
                self, SCOPE_KIND_FINISHED, SCOPE_LANE_CONTROL, &control, &message);
        if (err != SCOPE_OK) {
                scope_fail(self, err, "no message left to say that the run is finished");
                return;
        }
        message->tag = TAG_FINISHED;
        scope_outbox_request(self, &learner->outbox, learner->stages->recorder, &message,
                60 * SECOND, "the recorder to close the run");
}

static void again_later(struct scope_actor *self, uint64_t what)
{
        uint64_t timer;
        enum scope_err err = scope_timer_start(self, what, AGAIN_NS, &timer);
        if (err != SCOPE_OK)
                scope_fail(self, err, "no timer left");
}

static void finish(struct scope_actor *self, struct learner *learner)
{
        struct scope_control control = { .step = version(learner), .version = version(learner) };
        learner->phase = GATHERING;
        if (learner->finished)
                return;
        learner->finished = true;
        scope_idle_cause(self, scope_idle_words[SCOPE_IDLE_TAIL]);
        send_control(self, learner, SCOPE_KIND_FINISHED, learner->stages->groups, &control);
        tell_recorder(self, learner);
}

static void gather(struct scope_actor *self, struct learner *learner)
{
        learner->phase = GATHERING;
        if (version(learner) >= (uint64_t)learner->stages->options->run.steps) {
                finish(self, learner);
                return;
        }
        if (scope_draining(self))
                return;
        drop_stale(self, learner);
        if (learner->held_count >= batch_groups(learner))
                begin_batch(self, learner);
        else
                pull(self, learner);
}

static void save(struct scope_actor *self, struct learner *learner)
{
        const struct scope_resources *resources = &learner->stages->resources;
        struct scope_ledger_counts counts = scope_ledger_counts(learner->ledger);
        uint64_t ended = counts.admitted - counts.live;
        scope_length_window_save(resources->window, learner->window);
        learner->checkpoint = (struct scope_checkpoint_state){ .step = version(learner),
                .problem_cursor = resources->first_problem + ended,
                .group_cursor = resources->first_group + ended,
                .window = learner->window,
                .window_bytes = scope_length_window_bytes(resources->window->capacity) };
        submit(self, learner, SAVING, run_save, 1, "save a checkpoint");
}

static void save_or_gather(struct scope_actor *self, struct learner *learner)
{
        const struct scope_pipeline_options *options = learner->stages->options;
        uint64_t step = version(learner), every = (uint64_t)options->checkpoint.every;
        bool last = step >= (uint64_t)options->run.steps || scope_draining(self);
        bool due = step > 0 && !learner->saved_last && ((every > 0 && step % every == 0) || last);
        if (due && learner->stages->resources.checkpoint != NULL &&
                step > learner->stages->resources.first_step)
                save(self, learner);
        else
                gather(self, learner);
}

static void saved(struct scope_actor *self, struct learner *learner, enum scope_err err)
{
        if (err != SCOPE_OK)
                scope_event(self, "checkpoint",
                        "checkpoint of step %llu failed: %s; training goes on",
                        (unsigned long long)version(learner), scope_err_text(err));
        learner->saved_last = true;
        gather(self, learner);
}

/* --- the actor ------------------------------------------------------------------------------ */

static void rank_done(struct scope_actor *self, struct learner *learner, uint64_t rank)
{
        struct scope_ranks *ranks = &learner->ranks;
        scope_assert(rank < ranks->count);
        if (!next_microbatch(self, learner, learner->phase, &ranks->of[rank], false) &&
                --ranks->at_work == 0)
                ranks_done(self, learner, learner->phase);
}

static void job_done(
        struct scope_actor *self, struct learner *learner, enum scope_err err, uint64_t tag)
{
        if (learner->phase == SAVING) {
                saved(self, learner, err);
                return;
        }
        if (learner->phase == REFERENCE)
                learner->stages->resources.reference->class_->end_step(
                        learner->stages->resources.reference, err);
        if (err != SCOPE_OK) {
                scope_fail(self, err,
                        learner->phase == UPDATE ? "the update failed (is the gradient finite?)"
                                                 : "a training job failed");
                return;
        }
        switch (learner->phase) {
        case REFERENCE:
                begin_proximal(self, learner);
                break;
        case PROXIMAL:
        case MICROBATCH:
                rank_done(self, learner, tag - TAG_RANK);
                break;
        case UPDATE:
                if (++learner->minibatch == learner->batch.minibatch_count) {
                        learner->minibatch = 0;
                        learner->pass++;
                }
                if (learner->pass < (uint32_t)learner->stages->options->learner.passes)
                        begin_minibatch(self, learner);
                else
                        commit_step(self, learner);
                break;
        case EXPORT:
                after_export(self, learner);
                break;
        case GATHERING:
        case EVALUATING:
        case SAVING:
        default:
                break;
        }
}

static void forget_lost(struct scope_actor *self, struct learner *learner)
{
        uint32_t cursor = 0;
        uint64_t id;
        while (!SCOPE_PLANTED(CLAIM_FORGOTTEN) &&
                scope_ledger_next_where(
                        learner->ledger, &cursor, SCOPE_SLOT_CLAIMED, UINT32_MAX, &id))
                end_group(self, learner, id, SCOPE_FAILED, SCOPE_FAILURE_LEARNER_LOST);
}

static bool holds(struct scope_actor *self, const struct learner *learner, uint64_t id)
{
        for (uint32_t i = 0; i < learner->held_count; i++) {
                struct scope_group group;
                if (scope_message_read_group(
                            self, learner->held[i], &learner->stages->limits, &group) == SCOPE_OK &&
                        group.group == id)
                        return true;
        }
        return false;
}

/* The queue died a moment ago: what it had claimed for us and not sent is lost, and so is what we
 * asked for. */
static void watch_queue(struct scope_actor *self, struct learner *learner)
{
        uint32_t cursor = 0;
        uint64_t id;
        while (scope_ledger_next_where(
                learner->ledger, &cursor, SCOPE_SLOT_CLAIMED, UINT32_MAX, &id))
                if (!holds(self, learner, id))
                        end_group(self, learner, id, SCOPE_FAILED, SCOPE_FAILURE_QUEUE_LOST);
        if (scope_monitor(self, learner->stages->queue) != SCOPE_OK)
                scope_event(self, "monitor", "the queue is not watched");
        pull(self, learner);
}

static void timer(
        struct scope_actor *self, struct learner *learner, const struct scope_message *message)
{
        if (scope_outbox_timer(self, &learner->outbox, message))
                return;
        if (message->tag == TIMER_QUEUE)
                watch_queue(self, learner);
        if (message->tag == TIMER_FINISHED)
                tell_recorder(self, learner);
}

static void started(struct scope_actor *self, struct learner *learner)
{
        forget_lost(self, learner);
        if (scope_monitor(self, learner->stages->queue) != SCOPE_OK)
                scope_event(self, "monitor", "the queue is not watched");
        submit(self, learner, EXPORT, run_export, 1, "export weights");
}

static void learner_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct learner *learner = state;
        switch (message->kind) {
        case SCOPE_KIND_START:
                started(self, learner);
                break;
        case SCOPE_KIND_BATCH:
                arrived(self, learner, &message);
                break;
        case SCOPE_KIND_COMPUTE_DONE:
                job_done(self, learner, message->err, message->tag);
                break;
        case SCOPE_KIND_EVALUATED:
                evaluated(self, learner, message);
                break;
        case SCOPE_KIND_WEIGHTS_WANTED:
                scope_reply_taken(self, message);
                publish(self, learner);
                break;
        case SCOPE_KIND_ERROR:
                if (message->tag == TAG_EVALUATE)
                        evaluated(self, learner, message);
                if (message->tag == TAG_FINISHED && !scope_draining(self))
                        again_later(self, TIMER_FINISHED);
                break;
        case SCOPE_KIND_DOWN: /* at once would be a busy wait for the queue's restart */
                again_later(self, TIMER_QUEUE);
                break;
        case SCOPE_KIND_TIMER:
                timer(self, learner, message);
                break;
        case SCOPE_KIND_TAKEN:
        default:
                break;
        }
        scope_message_free(message);
}

/* Between steps: save what the last checkpoint lacks, and that was it. In a step: it is finished
 * first. */
static void learner_drain(struct scope_actor *self, void *state)
{
        struct learner *learner = state;
        if (learner->phase == EVALUATING || learner->phase == GATHERING)
                save_or_gather(self, learner);
}

static bool learner_idle(const void *state)
{
        const struct learner *learner = state;
        return learner->phase == GATHERING || learner->phase == EVALUATING;
}

static enum scope_err learner_init(struct scope_actor *self, void *state, void *args)
{
        struct learner *learner = state;
        const struct scope_stages *stages = args;
        learner->stages = stages;
        learner->ledger = scope_actor_ledger(self);
        if (learner->ledger == NULL)
                return SCOPE_ERR_REFUSED;
        size_t rows = (size_t)stages->options->rollout.prompts_per_step *
                      (size_t)stages->options->rollout.group_size;
        learner->scores = calloc(rows + 1, sizeof *learner->scores);
        learner->window = calloc(1, scope_length_window_bytes(stages->resources.window->capacity));
        if (learner->scores == NULL || learner->window == NULL)
                return SCOPE_ERR_MEMORY;
        enum scope_err err = scope_publication_init(&learner->publication);
        if (err != SCOPE_OK)
                return err;
        learner->ranks.batch = &learner->batch;
        learner->ranks.stages = stages;
        return scope_batch_init(&learner->batch, stages);
}

static void learner_fini(struct scope_actor *self, void *state)
{
        struct learner *learner = state;
        (void)self;
        free_batch(learner, learner->held_count);
        scope_batch_fini(&learner->batch);
        scope_publication_fini(&learner->publication);
        free(learner->scores);
        free(learner->window);
        scope_outbox_fini(&learner->outbox);
}

const struct scope_actor_class scope_learner_class = {
        .name = "learner",
        .state_bytes = sizeof(struct learner),
        .scratch_bytes = 32 << 20,
        .init = learner_init,
        .receive = learner_receive,
        .drain = learner_drain,
        .idle = learner_idle,
        .fini = learner_fini,
};
