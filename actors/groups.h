/* groups.h - the inside of the groups actor: its state, and what its files share.
 * Why: who owns a group decides everything about it. groups.c admits, leases and ends;
 * groups_repair.c asks PRM, selector and refiner; groups_pace.c lets rollouts stand still;
 * groups_idle.c says why others have no work. Nobody else includes this. */
#pragma once

#include <assert.h>

#include "actors/batches.h"
#include "actors/live_group.h"
#include "algorithm/admission.h"

/* What an answer is about: tag = group, samples asked for, rollout, ask. */
enum scope_groups_ask { ASK_PROMPT, ASK_LEASE, ASK_SCORE, ASK_SELECT, ASK_REFINE, ASK_OFFER };

struct groups {
        const struct scope_stages *stages;
        struct scope_ledger *ledger;
        struct scope_live_group *live;
        struct scope_length_window *window;
        struct scope_outbox outbox;
        uint32_t live_max, load[SCOPE_ROLLOUTS_MAX], at_teacher;
        uint64_t avoid_until_ns[SCOPE_ROLLOUTS_MAX];
        uint64_t lease_token, skipped, version, version_ns, step_ns;
        uint32_t filtered_in_row;
        bool teacher_down, finished, retry_armed, lease_armed, straggler_armed;
        bool still;           /* rollouts were told to stand still */
        uint64_t still_since; /* at this version */
        bool prm_met, teacher_met;       /* the first group has reached them */
        bool moved;                      /* a group did, since idle causes were told */
        int told;                        /* to rollouts: enum scope_idle */
};

/* Partial rollouts: tells rollouts to stand still when enough is decoded, or to go on. */
void scope_groups_set_pace(struct scope_actor *self, struct groups *groups);
/* Ends the leases of a group: what has not come is not waited for. */
void scope_groups_cut(
        struct scope_actor *self, struct groups *groups, const struct scope_live_group *group);

/* Says of rollouts, PRM, selector, refiner and itself why they have no work now. */
void scope_groups_tell_idle(struct scope_actor *self, struct groups *groups);
/* Groups that the steps still to come will train: admitting more would be work for nobody. */
uint64_t scope_groups_still_needed(const struct groups *groups, uint64_t live);

static inline uint64_t scope_groups_tag(
        uint64_t group, uint32_t samples, uint32_t rollout, enum scope_groups_ask ask)
{
        static_assert(SCOPE_GROUP_SAMPLES_MAX < 256 && SCOPE_ROLLOUTS_MAX <= 1024, "bits of a tag");
        return group << 22 | (uint64_t)samples << 14 | (uint64_t)rollout << 4 | (uint64_t)ask;
}

static inline uint32_t scope_groups_batch_size(const struct groups *groups)
{
        return (uint32_t)groups->stages->options->rollout.prompts_per_step;
}

struct scope_admission scope_groups_credits(const struct groups *groups);

/* Sends a request about the group, which is at `stage` from then on. */
void scope_groups_ask(struct scope_actor *self, struct groups *groups,
        struct scope_live_group *group, struct scope_message **message, struct scope_address whom,
        enum scope_groups_ask what, enum scope_group_stage stage, uint64_t timeout_ns);

/* Nothing is left to do for it but to be trained; frees its credit at the teacher. */
void scope_groups_decide(struct scope_actor *self, struct groups *groups,
        struct scope_live_group *group, enum scope_group_path path);

/* COMPLETE -> SCORING where a repair is due and possible, else DECIDED. */
void scope_groups_begin_repair(
        struct scope_actor *self, struct groups *groups, struct scope_live_group *group);
/* SCORED -> SELECTING, or DECIDED. */
void scope_groups_begin_select(
        struct scope_actor *self, struct groups *groups, struct scope_live_group *group);
/* -> REFINING, or DECIDED. */
void scope_groups_begin_refine(
        struct scope_actor *self, struct groups *groups, struct scope_live_group *group);
/* The refiner's answer; keeps *message where it is the repair. */
void scope_groups_refined(struct scope_actor *self, struct groups *groups,
        struct scope_live_group *group, struct scope_message **message);
