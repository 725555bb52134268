/* live_group.h - one group on its way, and the messages made from what it holds.
 * Why: the groups actor decides when; how a score request or a finished group looks is here, as
 * plain functions.
 * (1) A sample's message is held as it came; records are decoded from it into the turn's scratch
 * arena.
 * (2) What a sample slot holds never changes once set.
 *
 * FREE -> WANTED -> ROLLING -> COMPLETE -> [SCORING -> SELECTING -> REFINING*] -> DECIDED ->
 * OFFERED -> FREE */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "actors/messages.h"
#include "actors/stages.h"
#include "algorithm/statistics.h"
#include "base/limits.h"

enum scope_group_stage {
        SCOPE_STAGE_FREE,
        SCOPE_STAGE_WANTED,    /* its prompt was asked for */
        SCOPE_STAGE_ROLLING,   /* samples are being decoded */
        SCOPE_STAGE_COMPLETE,  /* all samples are here; waits for the barrier where there is one */
        SCOPE_STAGE_SCORING,   /* at the PRM */
        SCOPE_STAGE_SCORED,    /* waits for the barrier */
        SCOPE_STAGE_SELECTING, /* at the selector */
        SCOPE_STAGE_REFINING,  /* at the teacher */
        SCOPE_STAGE_DECIDED,   /* nothing left to do; waits for the barrier */
        SCOPE_STAGE_OFFERED,   /* at the queue, not yet taken */
        SCOPE_STAGE_COUNT
};

struct scope_live_group {
        enum scope_group_stage stage;
        uint64_t id, admitted_ns, asked_ns; /* asked: PRM, selector, teacher or queue, last */
        uint64_t batch;       /* the version it is trained at; strategies in_order only */
        uint64_t version_min; /* of the weights that its samples begin with */
        struct scope_message *prompt;
        struct scope_message *samples[SCOPE_GROUP_SAMPLES_MAX];
        uint64_t lease[SCOPE_GROUP_SAMPLES_MAX]; /* newest token of each sample */
        uint32_t wanted, got;                    /* samples asked for, here */
        uint32_t attempts, leases_open, rollout; /* rollout: of the newest lease */
        struct scope_message *scored, *selected, *refined;
        uint32_t choice; /* of selected: the one at the teacher */
        uint32_t failures;
        uint8_t path;    /* enum scope_group_path */
        bool at_teacher; /* holds a teacher credit */
};

/* Lengths of its samples: K and T, and which failed.  out  arrays [group->got]; returns the count
 * */
uint32_t scope_live_group_lengths(struct scope_actor *self, const struct scope_stages *stages,
        const struct scope_live_group *group, uint32_t *ret_steps, uint32_t *ret_tokens,
        bool *ret_failed);

/* Adds the lengths of its statistics' members (scope.stats_members) to the window. */
void scope_live_group_push(struct scope_actor *self, const struct scope_stages *stages,
        const struct scope_live_group *group, struct scope_length_window *window);

/* The oldest version of any policy token it holds; UINT64_MAX without samples. */
uint64_t scope_live_group_oldest(struct scope_actor *self, const struct scope_stages *stages,
        const struct scope_live_group *group);

/* Requests made of it. all: score right rollouts too (loss.prm_reward).
 * errors  as scope_message_of_NAME, SCOPE_ERR_NOT_FOUND: nothing to ask for     owns  gives */
enum scope_err scope_live_group_score(struct scope_actor *self, const struct scope_stages *stages,
        const struct scope_live_group *group, bool all, struct scope_message **ret_message);
enum scope_err scope_live_group_select(struct scope_actor *self, const struct scope_stages *stages,
        const struct scope_live_group *group, const struct scope_length_window *window,
        struct scope_message **ret_message);
enum scope_err scope_live_group_refine(struct scope_actor *self, const struct scope_stages *stages,
        const struct scope_live_group *group, uint64_t timeout_ns,
        struct scope_message **ret_message);

/* The finished group as `kind`; the repair is built in when group->refined holds an accepted one.
 * out     ret_all_equal: every reward is the same (what a filter asks) */
enum scope_err scope_live_group_finish(struct scope_actor *self, const struct scope_stages *stages,
        const struct scope_live_group *group, uint16_t kind, struct scope_message **ret_message,
        bool *ret_all_equal);

/* The slot at `stage` with the lowest id not below `from`; NULL if none. */
struct scope_live_group *scope_live_group_lowest(struct scope_live_group *groups, uint32_t count,
        enum scope_group_stage stage, uint64_t from);

/* Frees every message; the slot is FREE afterwards. Accepts a zeroed one. */
void scope_live_group_clear(struct scope_live_group *group);
