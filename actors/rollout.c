/* rollout.c - an engine, fed with leases.
 * Why: the only station that samples. It never waits: it hands the engine's next step to the
 * compute pool and goes on with its mailbox until the step is done.
 * (1) A lease is answered once, after each of its samples was acknowledged or given up; what is
 * missing is leased again by groups, with the same seeds. (2) A sample's seed is H(run seed, group,
 * sample). (3) Weights are swapped between two steps; with update = "drain" only when nothing is
 * being decoded, and nothing new is begun until then. (4) A lease that asks for a newer version
 * than we have waits for it. (5) Without weights nothing is sampled. (6) Nothing is sampled for a
 * lease that has run out: its samples are somebody else's by then. */
#include <stdio.h>

#include "actors/idle.h"
#include "actors/messages.h"
#include "actors/record_lines.h"
#include "actors/stages.h"
#include "base/buffer.h"
#include "base/check.h"
#include "base/planted.h"
#include "base/rng.h"
#include "base/text.h"
#include "models/engine.h"
#include "models/tokenizer.h"

enum { LEASES_MAX = 256, TAG_STEP = 1, TIMER_WEIGHTS = 1 };
static const uint64_t TAG_WEIGHTS = (uint64_t)1 << 62;
static const uint64_t AGAIN_NS = 20u * 1000000u;
static const uint64_t REWARD_TIMEOUT_NS = (uint64_t)90 * 1000000000u;

struct lease {
        bool used, submitted;
        uint32_t generation; /* so that an answer for an earlier user of this slot is not ours */
        struct scope_reply_to groups;
        struct scope_message *message; /* the lease itself: prompt, gold and samples live in it */
        uint64_t version_min, submitted_ns;
        uint32_t unfinished, unacknowledged, delivered;
};

struct rollout {
        const struct scope_stages *stages;
        struct scope_engine *engine;
        struct scope_outbox outbox;
        struct scope_text text;
        struct lease leases[LEASES_MAX];
        struct scope_message *pending_weights; /* waits for a drain */
        uint64_t version;                      /* + 1; 0 = no weights yet */
        uint64_t cut_tokens; /* that the engine counted and the trail knows of */
        uint64_t expires_ns; /* no lease does before */
        uint32_t index;
        bool stepping;
        uint64_t due_ns, ended_ns; /* of a step; ended: as it was due, in the turn that ends it */
        struct {
                uint64_t began_ns, waited_ns, sampled, prompts; /* by then */
                uint32_t running;
        } under_way; /* the step of an engine that computes; began 0 = there is none */
        /* stands still until weights newer than this are taken, + 1; 0 = decodes */
        uint64_t still_since;
};

static enum scope_err rollout_init(struct scope_actor *self, void *state, void *args)
{
        struct rollout *rollout = state;
        const struct scope_stages *stages = args;
        rollout->stages = stages;
        if (sscanf(scope_self_name(self), "rollout-%u", &rollout->index) != 1 ||
                rollout->index >= stages->resources.rollout_count)
                return SCOPE_ERR_ARGUMENT;
        rollout->engine = stages->resources.rollout[rollout->index];
        /* an earlier life may have ended within a step: its job is over, its samples are nobody's
         * */
        rollout->engine->class_->end_step(rollout->engine, SCOPE_ERR_CANCELLED);
        rollout->cut_tokens = rollout->engine->class_->stats(rollout->engine).cancelled_tokens;
        for (uint32_t i = 0; i < LEASES_MAX; i++)
                rollout->leases[i].generation = scope_self(self).incarnation << 20;
        return SCOPE_OK;
}

/* Engine ids carry slot, generation and sample, so that results find their lease without a search.
 * */
static uint64_t engine_id(const struct rollout *rollout, const struct lease *lease, uint32_t sample)
{
        uint64_t slot = (uint64_t)(lease - rollout->leases);
        return (uint64_t)lease->generation << 32 | slot << 16 | sample;
}

static struct lease *lease_of(struct rollout *rollout, uint64_t id)
{
        struct lease *lease = &rollout->leases[(id >> 16 & 0xffff) % LEASES_MAX];
        return lease->used && lease->generation == (uint32_t)(id >> 32) ? lease : NULL;
}

/* --- leases --------------------------------------------------------------------------------- */

static void close_if_done(struct scope_actor *self, struct lease *lease)
{
        struct scope_control control = { .value = lease->delivered };
        struct scope_message *answer = NULL;
        if (lease->unfinished > 0 || lease->unacknowledged > 0)
                return;
        enum scope_err err = scope_message_of_control(
                self, SCOPE_KIND_LEASE_DONE, SCOPE_LANE_CONTROL, &control, &answer);
        if (err == SCOPE_OK)
                scope_reply_to(self, &lease->groups, &answer);
        else
                scope_reply_to_error(self, &lease->groups, err);
        scope_message_free(lease->message);
        lease->message = NULL;
        lease->used = false;
        lease->generation++;
}

/* Gives every sample of a fresh lease to the engine. Not while weights wait for a drain: a steady
 * stream of leases would put it off for ever, and every group would come back stale. */
static void submit(struct scope_actor *self, struct rollout *rollout, struct lease *lease)
{
        struct scope_lease record;
        if (rollout->pending_weights != NULL)
                return; /* the engine is running empty for them */
        if (rollout->version == 0 || rollout->version - 1 < lease->version_min ||
                lease->submitted ||
                scope_message_read_lease(self, lease->message, &rollout->stages->limits, &record) !=
                        SCOPE_OK)
                return;
        lease->submitted = true;
        lease->submitted_ns = scope_now_ns(self);
        for (uint32_t i = 0; i < record.sample_count; i++) {
                struct scope_engine_request request = {
                        .id = engine_id(rollout, lease, record.samples[i]),
                        .share = record.group,
                        .prompt = record.prompt,
                        .prompt_count = record.prompt_count,
                        .response_max = record.response_max,
                        .temperature = record.temperature,
                        .top_p = record.top_p,
                        .seed = scope_sample_seed(record.run_seed, record.group, record.samples[i]),
                };
                if (rollout->engine->class_->submit(rollout->engine, &request) != SCOPE_OK)
                        lease->unfinished--; /* stays missing: groups leases it again */
        }
        close_if_done(self, lease);
}

static void cancel_samples(struct rollout *rollout, const struct lease *lease)
{
        for (uint32_t sample = 0; sample < SCOPE_GROUP_SAMPLES_MAX; sample++)
                rollout->engine->class_->cancel(rollout->engine, engine_id(rollout, lease, sample));
}

static void note_expiry(struct rollout *rollout, const struct lease *lease)
{
        if (lease->groups.deadline_ns < rollout->expires_ns)
                rollout->expires_ns = lease->groups.deadline_ns;
}

static void forget_expired(struct scope_actor *self, struct rollout *rollout)
{
        uint64_t now_ns = scope_now_ns(self);
        if (now_ns < rollout->expires_ns)
                return;
        rollout->expires_ns = UINT64_MAX;
        for (uint32_t i = 0; i < LEASES_MAX; i++) {
                struct lease *lease = &rollout->leases[i];
                if (!lease->used)
                        continue;
                if (lease->groups.deadline_ns > now_ns) {
                        note_expiry(rollout, lease);
                        continue;
                }
                cancel_samples(rollout, lease);
                lease->unfinished = lease->unacknowledged = 0;
                close_if_done(self, lease); /* nobody waits for the answer any more */
        }
}

static void leased(
        struct scope_actor *self, struct rollout *rollout, struct scope_message **message)
{
        struct lease *lease = rollout->leases;
        struct scope_lease record;
        while (lease < rollout->leases + LEASES_MAX && lease->used)
                lease++;
        enum scope_err err = lease == rollout->leases + LEASES_MAX ? SCOPE_ERR_LIMIT
                             : scope_draining(self)                ? SCOPE_ERR_CANCELLED
                                                    : scope_message_read_lease(self, *message,
                                                              &rollout->stages->limits, &record);
        if (err != SCOPE_OK) {
                scope_reply_error(self, *message, err);
                return;
        }
        *lease = (struct lease){ .used = true,
                .generation = lease->generation,
                .groups = scope_reply_later(*message),
                .message = *message,
                .version_min = record.version_min,
                .unfinished = record.sample_count };
        *message = NULL;
        note_expiry(rollout, lease);
        submit(self, rollout, lease);
}

/* The lease is asked for no more: what is being decoded for it is in vain. */
static void cut(
        struct scope_actor *self, struct rollout *rollout, const struct scope_message *message)
{
        struct scope_control control;
        if (scope_message_read_control(self, message, &rollout->stages->limits, &control) !=
                SCOPE_OK)
                return;
        for (uint32_t i = 0; i < LEASES_MAX; i++) {
                struct lease *lease = &rollout->leases[i];
                struct scope_lease record;
                if (!lease->used || lease->groups.trace != control.group + 1 ||
                        scope_message_read_lease(self, lease->message, &rollout->stages->limits,
                                &record) != SCOPE_OK ||
                        record.token != control.value)
                        continue;
                if (lease->submitted)
                        cancel_samples(rollout, lease);
                lease->submitted = true;
                lease->unfinished = 0;
                close_if_done(self, lease);
        }
}

static void set_pace(
        struct scope_actor *self, struct rollout *rollout, const struct scope_message *message)
{
        struct scope_control control;
        if (scope_message_read_control(self, message, &rollout->stages->limits, &control) ==
                SCOPE_OK)
                rollout->still_since = control.value != 0 ? 0 : control.version + 1;
}

/* --- results -------------------------------------------------------------------------------- */

static enum scope_err trajectory_of(struct scope_actor *self, struct rollout *rollout,
        const struct lease *lease, const struct scope_engine_result *result,
        struct scope_message **ret_message)
{
        struct scope_version_span spans[SCOPE_SPANS_MAX];
        struct scope_segment segment = { .begin = 0,
                .count = result->token_count,
                .source = SCOPE_SOURCE_POLICY,
                .loss = SCOPE_LOSS_POLICY,
                .weight = 1.0f };
        struct scope_lease record;
        enum scope_err err =
                scope_message_read_lease(self, lease->message, &rollout->stages->limits, &record);
        if (err != SCOPE_OK)
                return err;
        if (result->span_count > SCOPE_SPANS_MAX)
                return SCOPE_ERR_LIMIT;
        for (uint32_t i = 0; i < result->span_count; i++)
                spans[i] =
                        (struct scope_version_span){ result->spans[i].begin, result->spans[i].count,
                                result->spans[i].version, record.temperature, record.top_p };
        scope_text_clear(&rollout->text);
        scope_tokenizer_decode(rollout->stages->resources.tokenizer, result->tokens,
                result->token_count, true, &rollout->text);
        if (rollout->text.failed)
                return SCOPE_ERR_MEMORY;
        struct scope_trajectory trajectory = {
                .group = record.group,
                .lease = record.token,
                .sample = (uint32_t)(result->id & 0xffff),
                .attempt = record.attempt,
                .worker = rollout->index,
                .parent = SCOPE_NO_PARENT,
                .finish = result->finish,
                .prompt = record.prompt,
                .prompt_count = record.prompt_count,
                .tokens = result->tokens,
                .logp = result->logp,
                .token_count = result->token_count,
                .segments = &segment,
                .segment_count = result->token_count > 0 ? 1 : 0,
                .spans = spans,
                .span_count = result->span_count,
                .text = { rollout->text.bytes != NULL ? rollout->text.bytes : "",
                        (uint32_t)rollout->text.count },
                .gold = record.gold,
        };
        return scope_message_of_trajectory(
                self, SCOPE_KIND_TRAJECTORY, SCOPE_LANE_DATA, &trajectory, ret_message);
}

/* For rollouts/replies.jsonl: what a learner needs of a replay of this run. */
static void record(struct scope_actor *self, struct rollout *rollout, const struct lease *lease,
        const struct scope_engine_result *result)
{
        const struct scope_metrics_options *metrics = &rollout->stages->options->metrics;
        struct scope_message *message = NULL;
        if (!metrics->rollouts || !metrics->tokens)
                return;
        scope_text_clear(&rollout->text);
        scope_line_sample(&rollout->text, lease->groups.trace - 1,
                (uint32_t)(result->id & 0xffff), result);
        struct scope_control control = {
                .text = { rollout->text.bytes, (uint32_t)rollout->text.count }
        };
        if (!rollout->text.failed &&
                scope_message_of_control(self, SCOPE_KIND_REPLIED, SCOPE_LANE_CONTROL, &control,
                        &message) == SCOPE_OK)
                scope_outbox_send(
                        self, &rollout->outbox, rollout->stages->recorder, &message);
}

static void deliver(
        struct scope_actor *self, struct rollout *rollout, const struct scope_engine_result *result)
{
        struct lease *lease = lease_of(rollout, result->id);
        struct scope_message *message = NULL;
        if (lease == NULL)
                return;
        lease->unfinished--;
        scope_stages_audit(self, rollout->stages,
                (struct scope_audit){ .kind = SCOPE_AUDIT_SAMPLED,
                        .group = lease->groups.trace - 1,
                        .sample = (uint32_t)(result->id & 0xffff),
                        .value = result->token_count,
                        .version = rollout->index,
                        .since_ns = lease->submitted_ns,
                        .service_ns = result->service_ns });
        record(self, rollout, lease, result);
        if (trajectory_of(self, rollout, lease, result, &message) == SCOPE_OK) {
                message->tag = result->id;
                message->trace = lease->groups.trace;
                lease->unacknowledged++;
                scope_outbox_request(self, &rollout->outbox, rollout->stages->reward, &message,
                        REWARD_TIMEOUT_NS, "a trajectory to be graded");
        }
        close_if_done(self, lease);
}

static void acknowledged(
        struct scope_actor *self, struct rollout *rollout, const struct scope_message *message)
{
        struct lease *lease = lease_of(rollout, message->tag);
        if (message->tag == TAG_WEIGHTS || lease == NULL)
                return;
        lease->unacknowledged--;
        if (message->kind == SCOPE_KIND_TAKEN)
                lease->delivered++;
        close_if_done(self, lease);
}

/* --- the engine ----------------------------------------------------------------------------- */

static bool decoding(const struct rollout *rollout)
{
        struct scope_engine_stats stats = rollout->engine->class_->stats(rollout->engine);
        return stats.running + stats.waiting > 0;
}

static void apply_weights(struct scope_actor *self, struct rollout *rollout);

static bool stands_still(const struct rollout *rollout)
{
        return rollout->still_since != 0 && rollout->version <= rollout->still_since;
}

/* Why the engine has nothing to do; "starved" is for groups to explain. */
static enum scope_idle idle_because(const struct rollout *rollout)
{
        if (rollout->version == 0)
                return SCOPE_IDLE_STARTUP;
        if (stands_still(rollout))
                return SCOPE_IDLE_BARRIER; /* enough is decoded */
        for (uint32_t i = 0; i < LEASES_MAX; i++)
                if (rollout->leases[i].used && !rollout->leases[i].submitted)
                        return SCOPE_IDLE_WEIGHTS; /* newer ones are asked for */
        return SCOPE_IDLE_STARVED;
}

static void tell_cut(struct scope_actor *self, struct rollout *rollout)
{
        uint64_t now = rollout->engine->class_->stats(rollout->engine).cancelled_tokens;
        if (now == rollout->cut_tokens)
                return;
        scope_stages_audit(self, rollout->stages,
                (struct scope_audit){ .kind = SCOPE_AUDIT_CUT,
                        .value = now - rollout->cut_tokens,
                        .version = rollout->index });
        rollout->cut_tokens = now;
}

static void note_begin(struct scope_actor *self, struct rollout *rollout)
{
        struct scope_engine_stats stats = rollout->engine->class_->stats(rollout->engine);
        rollout->under_way.began_ns = scope_now_ns(self);
        rollout->under_way.waited_ns = scope_waited_ns(self);
        rollout->under_way.sampled = stats.sampled_tokens;
        rollout->under_way.prompts = stats.prompt_tokens;
        rollout->under_way.running = stats.running;
}

/* What so many tokens take on these cores: for whoever plays this run again. */
static void tell_decoded(struct scope_actor *self, struct rollout *rollout)
{
        struct scope_engine_stats stats = rollout->engine->class_->stats(rollout->engine);
        uint64_t began_ns = rollout->under_way.began_ns;
        if (began_ns == 0)
                return;
        rollout->under_way.began_ns = 0;
        scope_stages_audit(self, rollout->stages,
                (struct scope_audit){ .kind = SCOPE_AUDIT_DECODED,
                        .sample = rollout->under_way.running,
                        .value = stats.sampled_tokens - rollout->under_way.sampled,
                        .version = stats.prompt_tokens - rollout->under_way.prompts,
                        .since_ns = began_ns,
                        .service_ns = scope_service_ns(
                                self, began_ns, rollout->under_way.waited_ns) });
}

static void step(struct scope_actor *self, struct rollout *rollout)
{
        static const enum scope_idle works[] = { [SCOPE_ENGINE_DECODE] = SCOPE_IDLE_COMPUTING,
                [SCOPE_ENGINE_SWAP] = SCOPE_IDLE_WEIGHTS,
                [SCOPE_ENGINE_PREFILL] = SCOPE_IDLE_PREFILL };
        struct scope_engine_job engine_job;
        if (rollout->stepping)
                return;
        forget_expired(self, rollout);
        if (rollout->pending_weights != NULL && !decoding(rollout))
                apply_weights(self, rollout);
        enum scope_err err = SCOPE_ERR_AGAIN;
        if (!stands_still(rollout))
                err = rollout->engine->class_->begin_step(rollout->engine, &engine_job);
        tell_cut(self, rollout);
        if (err != SCOPE_OK) {
                scope_idle_cause(self, scope_idle_words[idle_because(rollout)]);
                return;
        }
        struct scope_job job = { .run = engine_job.run,
                .arg = engine_job.arg,
                .cores = engine_job.cores,
                .priority = SCOPE_PRIORITY_PRODUCE,
                .cost_only = engine_job.run == NULL,
                .timed = engine_job.run == NULL,
                /* a batch waits for its last sample: nobody goes between two steps */
                .hold = rollout->stages->strategy->stage_barrier,
                .cost_ns = engine_job.cost_ns,
                .since_ns = rollout->ended_ns,
                .what = "decode" };
        uint64_t since_ns = rollout->ended_ns != 0 ? rollout->ended_ns : scope_now_ns(self);
        rollout->due_ns = since_ns + engine_job.cost_ns;
        if (engine_job.run != NULL)
                note_begin(self, rollout);
        err = scope_compute(self, &job, TAG_STEP);
        rollout->stepping = err == SCOPE_OK;
        scope_idle_cause(self, scope_idle_words[works[engine_job.work]]);
        if (err != SCOPE_OK)
                scope_fail(self, err, "the compute pool refused a decode step");
}

static void stepped(struct scope_actor *self, struct rollout *rollout, enum scope_err err)
{
        struct scope_engine_result result;
        rollout->stepping = false;
        rollout->engine->class_->end_step(rollout->engine, err);
        if (err != SCOPE_OK) {
                scope_fail(self, err, "a decode step failed");
                return;
        }
        tell_decoded(self, rollout);
        while (rollout->engine->class_->collect(rollout->engine, &result))
                deliver(self, rollout, &result);
}

/* --- weights -------------------------------------------------------------------------------- */

static void apply_weights(struct scope_actor *self, struct rollout *rollout)
{
        struct scope_message *message = rollout->pending_weights;
        struct scope_weights record;
        bool recompute = rollout->stages->options->pipeline.kv == SCOPE_KV_RECOMPUTE;
        enum scope_err err =
                scope_message_read_weights(self, message, &rollout->stages->limits, &record);
        bool known = err == SCOPE_OK && rollout->version == record.version + 1; /* offered again */
        if (err == SCOPE_OK && rollout->version > record.version + 1)
                err = SCOPE_ERR_STALE;
        if (err == SCOPE_OK && !known)
                err = rollout->engine->class_->publish(
                        rollout->engine, message->attachment, record.version, recompute);
        if (err == SCOPE_OK) {
                rollout->version = record.version + 1;
                scope_reply_taken(self, message);
        } else {
                scope_reply_error(self, message, err);
        }
        scope_message_free(message);
        rollout->pending_weights = NULL; /* submit asks */
        for (uint32_t i = 0; i < LEASES_MAX; i++)
                if (rollout->leases[i].used)
                        submit(self, rollout, &rollout->leases[i]);
}

/* What the announcement says must be what came: size, layout, hash of every chunk. */
static enum scope_err verify_weights(struct scope_actor *self, const struct rollout *rollout,
        const struct scope_message *message)
{
        enum { CHUNK = 1 << 20 };
        struct scope_weights record;
        enum scope_err err =
                scope_message_read_weights(self, message, &rollout->stages->limits, &record);
        if (err != SCOPE_OK)
                return err;
        if (message->attachment == NULL ||
                scope_buffer_bytes(message->attachment) != record.bytes ||
                record.chunk_count != (record.bytes + CHUNK - 1) / CHUNK)
                return SCOPE_ERR_VERIFY;
        if (rollout->stages->resources.layout != NULL &&
                record.layout_hash != rollout->stages->resources.layout->hash)
                return SCOPE_ERR_VERIFY;
        const uint8_t *bytes = scope_buffer_data(message->attachment);
        for (uint32_t i = 0; i < record.chunk_count; i++) {
                uint64_t left = record.bytes - (uint64_t)i * CHUNK;
                if (scope_hash_words(bytes + (size_t)i * CHUNK, left < CHUNK ? left : CHUNK) !=
                        record.chunk_hashes[i])
                        return SCOPE_ERR_VERIFY;
        }
        return SCOPE_OK;
}

static void weights_arrived(
        struct scope_actor *self, struct rollout *rollout, struct scope_message **message)
{
        enum scope_err err = rollout->pending_weights != NULL
                                     ? SCOPE_ERR_AGAIN
                                     : verify_weights(self, rollout, *message);
        if (err != SCOPE_OK) {
                scope_reply_error(self, *message, err);
                return;
        }
        rollout->pending_weights = *message;
        *message = NULL;
        bool now = rollout->stages->options->pipeline.update == SCOPE_UPDATE_IN_FLIGHT ||
                   rollout->version == 0 || (!rollout->stepping && !decoding(rollout));
        if (now)
                apply_weights(self, rollout);
}

static void ask_for_weights(struct scope_actor *self, struct rollout *rollout)
{
        struct scope_control control = { .value = rollout->index };
        struct scope_message *message = NULL;
        if (scope_message_of_control(self, SCOPE_KIND_WEIGHTS_WANTED, SCOPE_LANE_CONTROL, &control,
                    &message) != SCOPE_OK) {
                scope_fail(self, SCOPE_ERR_MEMORY, "no message left to ask for weights");
                return;
        }
        message->tag = TAG_WEIGHTS;
        scope_outbox_request(self, &rollout->outbox, rollout->stages->weights, &message,
                (uint64_t)10 * 1000000000u, "weights");
}

/* Later: at once would be a busy wait for the restart of a dead actor. */
static void ask_again_later(struct scope_actor *self)
{
        uint64_t timer;
        enum scope_err err = scope_timer_start(self, TIMER_WEIGHTS, AGAIN_NS, &timer);
        if (err != SCOPE_OK)
                scope_fail(self, err, "no timer left to ask for weights");
}

/* --- the actor ------------------------------------------------------------------------------ */

static void rollout_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct rollout *rollout = state;
        switch (message->kind) {
        case SCOPE_KIND_START:
                ask_for_weights(self, rollout);
                break;
        case SCOPE_KIND_LEASE:
                leased(self, rollout, &message);
                break;
        case SCOPE_KIND_WEIGHTS:
                weights_arrived(self, rollout, &message);
                break;
        case SCOPE_KIND_LEASE_CUT:
                cut(self, rollout, message);
                break;
        case SCOPE_KIND_PACE:
                set_pace(self, rollout, message);
                break;
        case SCOPE_KIND_COMPUTE_DONE:
                rollout->ended_ns = rollout->due_ns;
                stepped(self, rollout, message->err);
                break;
        case SCOPE_KIND_TAKEN:
                acknowledged(self, rollout, message);
                break;
        case SCOPE_KIND_ERROR:
                if (message->tag == TAG_WEIGHTS && !scope_draining(self))
                        ask_again_later(self);
                else
                        acknowledged(self, rollout, message);
                break;
        case SCOPE_KIND_TIMER:
                if (!scope_outbox_timer(self, &rollout->outbox, message) && !scope_draining(self))
                        ask_for_weights(self, rollout);
                break;
        default:
                break;
        }
        step(self, rollout);
        rollout->ended_ns = 0;
        scope_message_free(message);
}

static void forget_samples(struct rollout *rollout)
{
        for (uint32_t i = 0; i < LEASES_MAX; i++)
                if (rollout->leases[i].used)
                        cancel_samples(rollout, &rollout->leases[i]);
}

/* Decoding stops; leases are answered with what was delivered. */
static void rollout_drain(struct scope_actor *self, void *state)
{
        struct rollout *rollout = state;
        forget_samples(rollout);
        for (uint32_t i = 0; i < LEASES_MAX; i++) {
                rollout->leases[i].unfinished = 0;
                if (rollout->leases[i].used)
                        close_if_done(self, &rollout->leases[i]);
        }
}

static void rollout_fini(struct scope_actor *self, void *state)
{
        struct rollout *rollout = state;
        (void)self;
        if (rollout->engine != NULL)
                forget_samples(rollout);
        for (uint32_t i = 0; i < LEASES_MAX; i++)
                scope_message_free(rollout->leases[i].message);
        scope_message_free(rollout->pending_weights);
        scope_outbox_fini(&rollout->outbox);
        scope_text_fini(&rollout->text);
}

const struct scope_actor_class scope_rollout_class = {
        .name = "rollout",
        .state_bytes = sizeof(struct rollout),
        .scratch_bytes = 4 << 20,
        .init = rollout_init,
        .receive = rollout_receive,
        .drain = rollout_drain,
        .fini = rollout_fini,
};
