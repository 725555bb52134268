/* groups.c - the one owner of every live group: its trajectories, its deadlines, its single end.
 * Why: PRM, selector and refiner are asked and answer; if one place decides, a group cannot end
 * twice.
 * (1) A group is admitted in the ledger before its first lease; it ends there once. (2) A (group,
 * sample) slot is set once, by a trajectory whose lease is the newest. (3) Nothing that a teacher
 * or PRM does delays a group past its deadline: it goes on as plain GRPO, counted as degraded. (4)
 * With a stage barrier no group enters a stage before the whole batch has left the one before:
 * `serial` has no wall-clock decision. */
#include <stdlib.h>

#include "actors/groups.h"
#include "actors/idle.h"
#include "actors/messages.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/planted.h"
#include "runtime/ledger.h"

enum { TIMER_ADMIT = 1, TIMER_OFFER, TIMER_LEASE, TIMER_STRAGGLER };
static const uint64_t SECOND = 1000000000u;
static const uint64_t AVOID_NS = 20u * 1000000u; /* a rollout that was found dead */

/* By looking through all: with 256 rollouts and 1,536 live groups, what groups does with its
 * messages is 1 % of a simulated run (bench/README.md, scale). */
static struct scope_live_group *find(struct groups *groups, uint64_t id)
{
        for (uint32_t i = 0; i < groups->live_max; i++)
                if (groups->live[i].stage > SCOPE_STAGE_WANTED && groups->live[i].id == id)
                        return &groups->live[i];
        return NULL;
}

/* The version that trains next: the learner's own, whose notices may still be under way. */
static uint64_t now_of(const struct groups *groups)
{
        uint64_t step = groups->stages->resources.progress->step;
        return step > groups->version ? step : groups->version;
}

static struct scope_batches batches_of(const struct groups *groups)
{
        return (struct scope_batches){ groups->stages, groups->ledger, groups->live,
                groups->live_max, now_of(groups) };
}

/* --- admission ------------------------------------------------------------------------------ */

uint64_t scope_groups_still_needed(const struct groups *groups, uint64_t live)
{
        const struct scope_stages *stages = groups->stages;
        struct scope_ledger_counts counts = scope_ledger_counts(groups->ledger);
        uint64_t steps = (uint64_t)stages->options->run.steps;
        steps = steps > stages->resources.first_step ? steps - stages->resources.first_step : 0;
        uint64_t wanted = steps * scope_groups_batch_size(groups),
                 have = counts.ended[SCOPE_TRAINED] + live;
        return wanted > have ? wanted - have : 0;
}

static uint32_t count_wanted(const struct groups *groups)
{
        uint32_t count = 0;
        for (uint32_t i = 0; i < groups->live_max; i++)
                count += groups->live[i].stage == SCOPE_STAGE_WANTED;
        return count;
}

/* Asks for a prompt to fill `slot`. */
static bool want(struct scope_actor *self, struct groups *groups, struct scope_live_group *slot,
        uint64_t batch)
{
        const struct scope_stages *stages = groups->stages;
        struct scope_control control = { .value = stages->resources.first_problem +
                                                  scope_ledger_counts(groups->ledger).admitted +
                                                  count_wanted(groups) + groups->skipped };
        struct scope_message *message = NULL;
        if (scope_message_of_control(self, SCOPE_KIND_PROMPT_WANTED, SCOPE_LANE_CONTROL, &control,
                    &message) != SCOPE_OK)
                return false;
        slot->stage = SCOPE_STAGE_WANTED;
        slot->batch = batch;
        message->tag = scope_groups_tag(0, 0, 0, ASK_PROMPT);
        scope_outbox_request(
                self, &groups->outbox, stages->prompts, &message, 30 * SECOND, "a prompt");
        return true;
}

/* Whether one more group may be admitted now, and to which batch. */
static bool may_admit(const struct groups *groups, uint64_t *ret_batch)
{
        struct scope_admission now = scope_groups_credits(groups);
        now.live += count_wanted(groups);
        *ret_batch = 0;
        if (scope_groups_still_needed(groups, now.live) == 0)
                return false;
        if (groups->stages->strategy->in_order) {
                struct scope_batches batches = batches_of(groups);
                return scope_batches_admit(&batches, ret_batch);
        }
        return scope_admission_open(&groups->stages->admission, &now) > 0;
}

static void admit(struct scope_actor *self, struct groups *groups)
{
        uint64_t batch;
        bool open = !groups->finished && !scope_draining(self);
        for (uint32_t i = 0; i < groups->live_max && open; i++)
                if (groups->live[i].stage == SCOPE_STAGE_FREE)
                        open = may_admit(groups, &batch) &&
                               want(self, groups, &groups->live[i], batch);
        groups->moved = true;
}

static void end_group(struct scope_actor *self, struct groups *groups,
        struct scope_live_group *group, enum scope_outcome outcome, uint64_t detail)
{
        enum scope_err err = scope_ledger_end(groups->ledger, group->id, outcome, detail);
        if (err == SCOPE_OK)
                scope_stages_audit(self, groups->stages,
                        (struct scope_audit){ .kind = SCOPE_AUDIT_ENDED,
                                .group = group->id,
                                .value = outcome,
                                .version = detail });
        if (outcome == SCOPE_FAILED)
                scope_event(self, "group", "group %llu failed: reason %llu",
                        (unsigned long long)group->id, (unsigned long long)detail);
        if (group->at_teacher)
                groups->at_teacher--;
        scope_live_group_clear(group);
        admit(self, groups);
}

/* --- leases --------------------------------------------------------------------------------- */

/* The one with the least to do; SCOPE_ROLLOUTS_MAX where all were found dead a moment ago. One that
 * died has nothing to do: without a moment's rest it would draw every lease, and groups would fail
 * in no time. */
static uint32_t pick_rollout(const struct groups *groups, uint64_t now_ns)
{
        uint32_t best = SCOPE_ROLLOUTS_MAX;
        for (uint32_t i = 0; i < groups->stages->resources.rollout_count; i++)
                if (groups->avoid_until_ns[i] <= now_ns &&
                        (best == SCOPE_ROLLOUTS_MAX || groups->load[i] < groups->load[best]))
                        best = i;
        return best;
}

static void lease_later(struct scope_actor *self, struct groups *groups)
{
        uint64_t timer;
        if (!groups->lease_armed &&
                scope_timer_start(self, TIMER_LEASE, AVOID_NS, &timer) == SCOPE_OK)
                groups->lease_armed = true;
}

/* Where rollouts stand still between versions, a lease lives through that too. */
static uint64_t lease_timeout_ns(const struct scope_stages *stages)
{
        uint64_t timeout_ns = (uint64_t)stages->options->rollout.lease_timeout;
        if (stages->admission.partial_rollout <= 0)
                return timeout_ns;
        return timeout_ns * (2 + (uint64_t)stages->admission.age_max);
}

/* Leases every sample that is not here; one lease goes to one rollout. */
static void lease(struct scope_actor *self, struct groups *groups, struct scope_live_group *group)
{
        const struct scope_stages *stages = groups->stages;
        const struct scope_rollout_options *options = &stages->options->rollout;
        uint32_t samples[SCOPE_GROUP_SAMPLES_MAX], count = 0;
        uint32_t rollout = pick_rollout(groups, scope_now_ns(self));
        struct scope_message *message = NULL;
        struct scope_prompt prompt;
        if (rollout == SCOPE_ROLLOUTS_MAX) {
                lease_later(self, groups);
                return;
        }
        if (scope_message_read_prompt(self, group->prompt, &stages->limits, &prompt) != SCOPE_OK) {
                end_group(self, groups, group, SCOPE_FAILED, SCOPE_FAILURE_MALFORMED);
                return;
        }
        groups->lease_token++;
        for (uint32_t i = 0; i < group->wanted; i++) {
                if (group->samples[i] != NULL)
                        continue;
                samples[count++] = i;
                group->lease[i] = groups->lease_token;
                scope_stages_audit(self, stages,
                        (struct scope_audit){ .kind = SCOPE_AUDIT_LEASED,
                                .group = group->id,
                                .sample = i,
                                .value = groups->lease_token });
        }
        struct scope_lease record = { .group = group->id,
                .token = groups->lease_token,
                .run_seed = (uint64_t)stages->options->run.seed,
                .attempt = group->attempts,
                .samples = samples,
                .sample_count = count,
                .prompt = prompt.tokens,
                .prompt_count = prompt.token_count,
                .response_max = (uint32_t)options->max_response,
                .temperature = (float)options->temperature,
                .top_p = (float)options->top_p,
                .version_min = group->version_min,
                .gold = prompt.gold };
        if (scope_message_of_lease(self, SCOPE_KIND_LEASE, SCOPE_LANE_DATA, &record, &message) !=
                SCOPE_OK) {
                end_group(self, groups, group, SCOPE_FAILED, SCOPE_FAILURE_MALFORMED);
                return;
        }
        message->tag = scope_groups_tag(group->id, count, rollout, ASK_LEASE);
        message->trace = group->id + 1;
        group->attempts++;
        group->leases_open++;
        group->rollout = rollout;
        groups->load[rollout] += count;
        scope_outbox_request(self, &groups->outbox, stages->rollout[rollout], &message,
                lease_timeout_ns(stages), "samples of a group");
}

static void advance(struct scope_actor *self, struct groups *groups);

static void seal(struct scope_actor *self, struct groups *groups, struct scope_live_group *group)
{
        uint32_t steps[SCOPE_GROUP_SAMPLES_MAX], tokens[SCOPE_GROUP_SAMPLES_MAX];
        bool failed[SCOPE_GROUP_SAMPLES_MAX];
        uint32_t count =
                scope_live_group_lengths(self, groups->stages, group, steps, tokens, failed);
        group->failures = 0;
        for (uint32_t i = 0; i < count; i++)
                group->failures += failed[i];
        group->stage = SCOPE_STAGE_COMPLETE;
        scope_stages_audit(self, groups->stages,
                (struct scope_audit){ .kind = SCOPE_AUDIT_SEALED,
                        .group = group->id,
                        .value = count,
                        .since_ns = group->admitted_ns });
        scope_stages_audit(self, groups->stages,
                (struct scope_audit){ SCOPE_AUDIT_STATS, .group = group->id, .value = count });
        if (groups->stages->options->scope.statistics.stats_scope == SCOPE_STATS_WINDOW &&
                !groups->stages->strategy->stage_barrier)
                scope_live_group_push(self, groups->stages, group, groups->window);
        advance(self, groups);
}

/* Samples without which a group is none. */
static uint64_t least_of(const struct groups *groups, const struct scope_live_group *group)
{
        int64_t least = groups->stages->options->rollout.min_group;
        if (least != 0)
                return (uint64_t)least;
        return group->wanted / 2 > 2 ? group->wanted / 2 : 2;
}

/* Its time is over and it has enough: the others are not waited for. */
static bool seal_late(
        struct scope_actor *self, struct groups *groups, struct scope_live_group *group)
{
        uint64_t limit_ns = (uint64_t)groups->stages->options->rollout.straggler;
        if (limit_ns == 0 || group->stage != SCOPE_STAGE_ROLLING ||
                scope_now_ns(self) - group->admitted_ns < limit_ns ||
                group->got < least_of(groups, group))
                return false;
        scope_groups_cut(self, groups, group);
        seal(self, groups, group);
        return true;
}

/* One timer for the group that is due next; they are due in the order of their admission. */
static void watch_stragglers(struct scope_actor *self, struct groups *groups)
{
        uint64_t limit_ns = (uint64_t)groups->stages->options->rollout.straggler;
        uint64_t now_ns = scope_now_ns(self), wait_ns = UINT64_MAX, timer;
        if (limit_ns == 0 || groups->straggler_armed)
                return;
        for (uint32_t i = 0; i < groups->live_max; i++) {
                const struct scope_live_group *group = &groups->live[i];
                uint64_t age_ns = now_ns - group->admitted_ns;
                if (group->stage == SCOPE_STAGE_ROLLING && age_ns < limit_ns &&
                        limit_ns - age_ns < wait_ns)
                        wait_ns = limit_ns - age_ns;
        }
        if (wait_ns != UINT64_MAX)
                groups->straggler_armed =
                        scope_timer_start(self, TIMER_STRAGGLER, wait_ns, &timer) == SCOPE_OK;
}

static void seal_stragglers(struct scope_actor *self, struct groups *groups)
{
        groups->straggler_armed = false;
        for (uint32_t i = 0; i < groups->live_max; i++)
                (void)seal_late(self, groups, &groups->live[i]);
        watch_stragglers(self, groups);
}

/* A lease came back, done or not: lease again what is missing, or make do with what is here. */
static void lease_ended(
        struct scope_actor *self, struct groups *groups, struct scope_live_group *group)
{
        const struct scope_rollout_options *options = &groups->stages->options->rollout;
        uint64_t least = least_of(groups, group);
        if (group->leases_open > 0)
                group->leases_open--;
        if (group->stage != SCOPE_STAGE_ROLLING || group->leases_open > 0 ||
                SCOPE_PLANTED(LEASE_NOT_REPEATED))
                return;
        if (group->attempts < options->attempts)
                lease(self, groups, group);
        else if (group->got >= least)
                seal(self, groups, group);
        else
                end_group(self, groups, group, SCOPE_FAILED, SCOPE_FAILURE_INCOMPLETE);
}

/* No sample of a group begins with older weights. Without batches: than the newest at its
 * admission, where a credit was freed for it; they may still be on their way. */
static uint64_t oldest_allowed(const struct groups *groups, uint64_t batch)
{
        uint64_t eta = (uint64_t)groups->stages->admission.eta;
        if (!groups->stages->strategy->in_order)
                return now_of(groups);
        return batch > eta ? batch - eta : 0;
}

static void prompt_arrived(
        struct scope_actor *self, struct groups *groups, struct scope_message **message)
{
        struct scope_live_group *group = groups->live;
        struct scope_ledger_counts counts = scope_ledger_counts(groups->ledger);
        while (group < groups->live + groups->live_max && group->stage != SCOPE_STAGE_WANTED)
                group++;
        if (group == groups->live + groups->live_max || groups->finished)
                return; /* asked for by an earlier life, or no longer wanted */
        uint64_t id = groups->stages->resources.first_group + counts.admitted;
        if (scope_ledger_admit(groups->ledger, id) != SCOPE_OK)
                return; /* the slot stays WANTED and is asked for again */
        if (groups->stages->strategy->in_order) {
                enum scope_err err =
                        scope_ledger_set(groups->ledger, id, SCOPE_SLOT_BATCH, group->batch, NULL);
                scope_assert(err == SCOPE_OK); /* it was admitted a moment ago */
        }
        *group = (struct scope_live_group){ .stage = SCOPE_STAGE_ROLLING,
                .id = id,
                .batch = group->batch,
                .version_min = oldest_allowed(groups, group->batch),
                .admitted_ns = scope_now_ns(self),
                .prompt = *message,
                .wanted = (uint32_t)groups->stages->options->rollout.group_size };
        *message = NULL;
        scope_stages_audit(self, groups->stages,
                (struct scope_audit){
                        .kind = SCOPE_AUDIT_ADMITTED, .group = id, .value = group->batch });
        lease(self, groups, group);
        watch_stragglers(self, groups);
}

/* A prompt that cannot be had (too long, malformed) is passed over; its slot asks for the next one.
 * */
static void prompt_failed(struct scope_actor *self, struct groups *groups, enum scope_err err)
{
        for (uint32_t i = 0; i < groups->live_max; i++)
                if (groups->live[i].stage == SCOPE_STAGE_WANTED) {
                        groups->live[i].stage = SCOPE_STAGE_FREE;
                        break;
                }
        if (err != SCOPE_ERR_DOWN && err != SCOPE_ERR_DEADLINE && err != SCOPE_ERR_CANCELLED)
                groups->skipped++;
        uint64_t timer;
        if (!groups->retry_armed &&
                scope_timer_start(self, TIMER_ADMIT, SECOND / 100, &timer) == SCOPE_OK)
                groups->retry_armed = true;
}

static void graded(struct scope_actor *self, struct groups *groups, struct scope_message **message)
{
        struct scope_trajectory trajectory;
        enum scope_err err =
                scope_message_read_trajectory(self, *message, &groups->stages->limits, &trajectory);
        if (err != SCOPE_OK) {
                scope_reply_error(self, *message, err);
                return;
        }
        scope_reply_taken(self, *message);
        struct scope_live_group *group = find(groups, trajectory.group);
        if (group == NULL || group->stage != SCOPE_STAGE_ROLLING ||
                trajectory.sample >= group->wanted)
                return;
        bool current = trajectory.lease == group->lease[trajectory.sample];
        if (SCOPE_PLANTED(STALE_LEASE_ACCEPTED))
                current = true;
        if (!current || scope_ledger_set(groups->ledger, group->id, trajectory.sample,
                                trajectory.lease, NULL) != SCOPE_OK)
                return;
        scope_stages_audit(self, groups->stages,
                (struct scope_audit){ .kind = SCOPE_AUDIT_ACCEPTED,
                        .group = group->id,
                        .sample = trajectory.sample,
                        .value = trajectory.lease });
        group->samples[trajectory.sample] = *message;
        *message = NULL;
        if (++group->got == group->wanted)
                seal(self, groups, group);
        else
                (void)seal_late(self, groups, group);
}

/* --- the end -------------------------------------------------------------------------------- */

static void offer(struct scope_actor *self, struct groups *groups, struct scope_live_group *group)
{
        /* batches' worth: then an all-equal group trains all the same */
        enum { FILTERED_IN_ROW_MAX = 16 };
        const struct scope_stages *stages = groups->stages;
        struct scope_message *message = NULL, *copy = NULL;
        bool all_equal = false;
        if (scope_live_group_finish(self, stages, group, SCOPE_KIND_GROUP, &message, &all_equal) !=
                SCOPE_OK) {
                end_group(self, groups, group, SCOPE_FAILED, SCOPE_FAILURE_MALFORMED);
                return;
        }
        if (stages->options->pipeline.drop_all_equal && all_equal &&
                groups->filtered_in_row < FILTERED_IN_ROW_MAX * scope_groups_batch_size(groups)) {
                groups->filtered_in_row++;
                scope_message_free(message);
                end_group(self, groups, group, SCOPE_FILTERED, SCOPE_FILTER_ALL_EQUAL);
                return;
        }
        groups->filtered_in_row = 0;
        if (group->stage != SCOPE_STAGE_OFFERED &&
                scope_live_group_finish(
                        self, stages, group, SCOPE_KIND_ROLLOUTS, &copy, &all_equal) == SCOPE_OK)
                scope_outbox_send(self, &groups->outbox, stages->recorder, &copy);
        scope_groups_ask(self, groups, group, &message, stages->queue, ASK_OFFER,
                SCOPE_STAGE_OFFERED, 3600 * SECOND);
}

/* The next slot at `stage`, of `batch` where there are batches, in order of id: order never depends
 * on slots or on who answered first. */
static struct scope_live_group *next_of(
        struct groups *groups, enum scope_group_stage stage, uint64_t batch, uint64_t from)
{
        struct scope_live_group *group;
        for (;; from = group->id + 1) { /* ids are finitely many: each is passed over once */
                group = scope_live_group_lowest(groups->live, groups->live_max, stage, from);
                if (group == NULL || !groups->stages->strategy->stage_barrier ||
                        group->batch == batch)
                        return group;
        }
}

static void each(struct scope_actor *self, struct groups *groups, enum scope_group_stage stage,
        uint64_t batch,
        void (*step)(struct scope_actor *, struct groups *, struct scope_live_group *))
{
        for (uint32_t i = 0; i < groups->live_max; i++) {
                struct scope_live_group *group = next_of(groups, stage, batch, 0);
                if (group == NULL)
                        return;
                step(self, groups, group);
        }
}

/* Statistics of exactly this batch, in the order of groups. */
static void push_batch(struct scope_actor *self, struct groups *groups, uint64_t batch)
{
        int scope = groups->stages->options->scope.statistics.stats_scope;
        uint64_t after = 0;
        struct scope_live_group *next = next_of(groups, SCOPE_STAGE_COMPLETE, batch, 0);
        if (scope == SCOPE_STATS_GROUP || next == NULL)
                return;
        if (scope == SCOPE_STATS_BATCH)
                scope_length_window_clear(groups->window);
        for (; next != NULL; next = next_of(groups, SCOPE_STAGE_COMPLETE, batch, after)) {
                after = next->id + 1;
                scope_live_group_push(self, groups->stages, next, groups->window);
        }
}

/* Moves every group of the batch that may move; without batches, of all. */
static void advance_batch(struct scope_actor *self, struct groups *groups, uint64_t batch)
{
        struct scope_batches batches = batches_of(groups);
        if (scope_batches_open(&batches, batch, SCOPE_STAGE_COMPLETE)) {
                if (groups->stages->strategy->stage_barrier)
                        push_batch(self, groups, batch);
                each(self, groups, SCOPE_STAGE_COMPLETE, batch, scope_groups_begin_repair);
        }
        if (scope_batches_open(&batches, batch, SCOPE_STAGE_SCORED))
                each(self, groups, SCOPE_STAGE_SCORED, batch, scope_groups_begin_select);
}

static void offer_batch(struct scope_actor *self, struct groups *groups, uint64_t batch)
{
        struct scope_batches batches = batches_of(groups);
        if (scope_batches_open(&batches, batch, SCOPE_STAGE_DECIDED))
                each(self, groups, SCOPE_STAGE_DECIDED, batch, offer);
}

static void advance(struct scope_actor *self, struct groups *groups)
{
        groups->moved = true;
        uint64_t batches = 1, now = now_of(groups);
        if (groups->stages->strategy->stage_barrier)
                batches += (uint64_t)groups->stages->admission.eta;
        for (uint64_t i = 0; i < batches; i++)
                advance_batch(self, groups, now + i);
        /* A batch may be offered because the next one got on (train_apart): so all have moved. */
        for (uint64_t i = 0; i < batches; i++)
                offer_batch(self, groups, now + i);
        if (groups->stages->strategy->in_order)
                admit(self, groups); /* the next batch may begin */
}

/* Another station ended a group, or the learner has a new version. */
static void group_end(
        struct scope_actor *self, struct groups *groups, const struct scope_message *message)
{
        struct scope_control control;
        if (scope_message_read_control(self, message, &groups->stages->limits, &control) !=
                SCOPE_OK)
                return;
        if (control.version > groups->version) {
                uint64_t now = scope_now_ns(self), took = now - groups->version_ns;
                if (groups->version_ns != 0)
                        groups->step_ns =
                                groups->step_ns == 0 ? took : (3 * groups->step_ns + took) / 4;
                groups->version = control.version;
                groups->version_ns = now;
        }
        admit(self, groups);
}

/* --- the actor ------------------------------------------------------------------------------ */

/* `group` is NULL where it is gone: all its samples came, and it ended, before its lease did. */
static void lease_answered(struct scope_actor *self, struct groups *groups,
        struct scope_live_group *group, const struct scope_message *message)
{
        uint32_t rollout = (uint32_t)(message->tag >> 4 & 0x3ff),
                 samples = (uint32_t)(message->tag >> 14 & 0xff);
        bool down = message->kind == SCOPE_KIND_ERROR && message->err == SCOPE_ERR_DOWN;
        scope_assert(rollout < SCOPE_ROLLOUTS_MAX && groups->load[rollout] >= samples);
        groups->load[rollout] -= samples;
        if (down)
                groups->avoid_until_ns[rollout] = scope_now_ns(self) + AVOID_NS;
        if (group == NULL)
                return;
        if (down && group->stage == SCOPE_STAGE_ROLLING)
                /* it was the rollout that failed: how often it may is the supervisor's to say */
                group->attempts--;
        lease_ended(self, groups, group);
}

static void answered(
        struct scope_actor *self, struct groups *groups, struct scope_message **message)
{
        uint64_t tag = (*message)->tag;
        enum scope_groups_ask what = (enum scope_groups_ask)(tag % 16);
        struct scope_live_group *group = find(groups, tag >> 22);
        bool error = (*message)->kind == SCOPE_KIND_ERROR;
        if (what == ASK_PROMPT && error)
                prompt_failed(self, groups, (*message)->err);
        else if (what == ASK_PROMPT)
                prompt_arrived(self, groups, message);
        if (what == ASK_LEASE)
                lease_answered(self, groups, group, *message);
        if (group == NULL)
                return;
        if (what == ASK_SCORE && group->stage == SCOPE_STAGE_SCORING) {
                if (error) {
                        scope_groups_decide(self, groups, group, SCOPE_GROUP_DEGRADED);
                } else {
                        group->scored = *message;
                        *message = NULL;
                        group->stage = SCOPE_STAGE_SCORED;
                }
        } else if (what == ASK_SELECT && group->stage == SCOPE_STAGE_SELECTING) {
                if (error) {
                        scope_groups_decide(self, groups, group, SCOPE_GROUP_DEGRADED);
                } else {
                        group->selected = *message;
                        *message = NULL;
                        scope_groups_begin_refine(self, groups, group);
                }
        } else if (what == ASK_REFINE && group->stage == SCOPE_STAGE_REFINING) {
                if (error)
                        scope_groups_decide(self, groups, group, SCOPE_GROUP_DEGRADED);
                else
                        scope_groups_refined(self, groups, group, message);
        } else if (what == ASK_OFFER && group->stage == SCOPE_STAGE_OFFERED) {
                if (error && scope_ledger_live(groups->ledger, group->id) &&
                        !scope_draining(self)) {
                        uint64_t timer;
                        if (!SCOPE_PLANTED(OFFER_NOT_REPEATED))
                                (void)scope_timer_start(self, TIMER_OFFER, SECOND / 100, &timer);
                } else {
                        scope_live_group_clear(group);
                        admit(self, groups);
                }
        }
        advance(self, groups);
}

static void timer(
        struct scope_actor *self, struct groups *groups, const struct scope_message *message)
{
        if (scope_outbox_timer(self, &groups->outbox, message))
                return;
        if (message->tag == TIMER_ADMIT) {
                groups->retry_armed = false;
                admit(self, groups);
        }
        if (message->tag == TIMER_LEASE) {
                groups->lease_armed = false;
                for (uint32_t i = 0; i < groups->live_max; i++)
                        if (groups->live[i].stage == SCOPE_STAGE_ROLLING &&
                                groups->live[i].leases_open == 0)
                                lease(self, groups, &groups->live[i]);
        }
        if (message->tag == TIMER_STRAGGLER)
                seal_stragglers(self, groups);
        if (message->tag == TIMER_OFFER) {
                /* the queue was down: what it never took is offered again */
                for (uint32_t i = 0; i < groups->live_max; i++) {
                        struct scope_live_group *group = &groups->live[i];
                        uint64_t held;
                        if (group->stage != SCOPE_STAGE_OFFERED)
                                continue;
                        if (scope_ledger_get(groups->ledger, group->id, SCOPE_SLOT_QUEUED, &held) ==
                                        SCOPE_OK ||
                                !scope_ledger_live(groups->ledger, group->id))
                                scope_live_group_clear(group);
                        else
                                offer(self, groups, group);
                }
                admit(self, groups);
        }
}

static void teacher_state(
        struct scope_actor *self, struct groups *groups, const struct scope_message *message)
{
        struct scope_control control;
        if (scope_message_read_control(self, message, &groups->stages->limits, &control) ==
                SCOPE_OK)
                groups->teacher_down = control.value == 0;
}

/* Groups that an earlier life of this actor held are lost; those at the queue or the learner live
 * on. */
static void forget_lost(struct scope_actor *self, struct groups *groups)
{
        uint32_t cursor = 0;
        uint64_t id;
        while (scope_ledger_next_where(
                groups->ledger, &cursor, UINT32_MAX, SCOPE_SLOT_QUEUED, &id)) {
                if (scope_ledger_end(groups->ledger, id, SCOPE_FAILED, SCOPE_FAILURE_GROUPS_LOST) ==
                        SCOPE_OK)
                        scope_stages_audit(self, groups->stages,
                                (struct scope_audit){ .kind = SCOPE_AUDIT_ENDED,
                                        .group = id,
                                        .value = SCOPE_FAILED,
                                        .version = SCOPE_FAILURE_GROUPS_LOST });
        }
}

static void groups_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct groups *groups = state;
        switch (message->kind) {
        case SCOPE_KIND_START:
                forget_lost(self, groups);
                groups->still = scope_self(self).incarnation > 1; /* as far as we know */
                admit(self, groups);
                break;
        case SCOPE_KIND_GRADED:
                graded(self, groups, &message);
                break;
        case SCOPE_KIND_GROUP_END:
                group_end(self, groups, message);
                break;
        case SCOPE_KIND_TEACHER:
                teacher_state(self, groups, message);
                break;
        case SCOPE_KIND_FINISHED:
                groups->finished = true;
                break;
        case SCOPE_KIND_TIMER:
                timer(self, groups, message);
                break;
        case SCOPE_KIND_PROMPT:
        case SCOPE_KIND_LEASE_DONE:
        case SCOPE_KIND_SCORED:
        case SCOPE_KIND_SELECTED:
        case SCOPE_KIND_REFINED:
        case SCOPE_KIND_TAKEN:
        case SCOPE_KIND_ERROR:
                answered(self, groups, &message);
                break;
        default:
                break;
        }
        if (groups->moved)
                scope_groups_set_pace(self, groups);
        scope_groups_tell_idle(self, groups);
        scope_message_free(message);
}

static enum scope_err groups_init(struct scope_actor *self, void *state, void *args)
{
        struct groups *groups = state;
        const struct scope_stages *stages = args;
        const struct scope_rollout_options *options = &stages->options->rollout;
        const struct scope_admission_options *admission = &stages->admission;
        uint64_t batch = (uint64_t)options->prompts_per_step;
        groups->stages = stages;
        groups->ledger = scope_actor_ledger(self);
        if (groups->ledger == NULL)
                return SCOPE_ERR_REFUSED;
        groups->window = stages->resources.window;
        groups->version = stages->resources.progress->step;
        groups->finished = groups->version >= (uint64_t)stages->options->run.steps;
        groups->live_max = (uint32_t)(scope_admission_credit(admission, batch) +
                                      (uint64_t)stages->options->pipeline.teacher_groups);
        groups->live = calloc(groups->live_max, sizeof *groups->live);
        if (groups->live == NULL)
                return SCOPE_ERR_MEMORY;
        return SCOPE_OK;
}

static void groups_drain(struct scope_actor *self, void *state)
{
        struct groups *groups = state;
        (void)self;
        groups->finished = true;
}

static void groups_fini(struct scope_actor *self, void *state)
{
        struct groups *groups = state;
        (void)self;
        for (uint32_t i = 0; i < groups->live_max && groups->live != NULL; i++)
                scope_live_group_clear(&groups->live[i]);
        free(groups->live);
        scope_outbox_fini(&groups->outbox);
}

const struct scope_actor_class scope_groups_class = {
        .name = "groups",
        .state_bytes = sizeof(struct groups),
        .scratch_bytes = 64 << 20,
        .init = groups_init,
        .receive = groups_receive,
        .drain = groups_drain,
        .fini = groups_fini,
};
