/* overlap_trail.h - the inside of a trail: what is kept of every group, call and step.
 * Why: collecting (overlap_trail.c), bounds (overlap_bound.c), numbers (overlap_report.c) and the
 * Gantt chart (overlap_gantt.c) read the same records. Nobody else includes this. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "actors/messages.h"
#include "cli/overlap_report.h"

struct scope_trail_group {
        uint64_t batch, trained; /* trained: the version it helped to make */
        uint64_t oldest, newest; /* versions of its policy tokens */
        uint64_t version_at[4];  /* of the learner when it was sealed, sent to the teacher, decided,
                                   * claimed */
        double admitted, sealed, scored, at_teacher, decided, queued, claimed, ended, prm_s,
                teacher_s;
        uint32_t tokens, redone, calls; /* tokens: redone ones included */
        uint8_t outcome, path;          /* outcome SCOPE_OUTCOME_COUNT: lives */
};
enum { SCOPE_AT_SEALED, SCOPE_AT_TEACHER, SCOPE_AT_DECIDED, SCOPE_AT_CLAIMED };

struct scope_trail_sample {
        double ended;
        float service_s; /* 0 = not known */
        uint32_t tokens;
};

struct scope_trail_call {
        uint64_t group;
        double began, service;
};

/* A rollout ran empty for new weights. */
struct scope_trail_drain {
        double from, to;
};

struct scope_trail_step {
        double began, stepped, exported;
        double cpu_s; /* of the process by then; 0 = not known */
        double teacher_busy, teacher_alone; /* by then */
        uint64_t tokens;
};

/* One queue while it is watched: who is in it, and what that adds up to. */
struct scope_trail_link {
        uint64_t held, capacity; /* 0 = no bound of its own */
        uint64_t entered, left;
        double area, sojourn, empty_s, full_s;
        double at_depth[SCOPE_DEPTH_BINS];    /* seconds; the last: and deeper */
        double over_time[SCOPE_DEPTH_SLICES]; /* area of each slice of time */
};

struct scope_overlap_trail {
        struct scope_overlap_setting setting;
        struct scope_trail_group *groups;   /* [group_count], by id from first_group on */
        struct scope_trail_sample *samples; /* [group][group_size] */
        struct scope_trail_step *steps;     /* [step_count], by version from first_version on */
        struct scope_trail_call *calls;     /* of the teacher, in order of their ends */
        uint64_t group_count, group_capacity, first_group;
        uint64_t step_count, step_capacity, first_version;
        uint64_t call_count, call_capacity;
        struct scope_trail_drain *drains; /* where the setting says so, in order of their ends */
        uint64_t drain_count, drain_capacity;
        double took_at[SCOPE_ROLLOUTS_MAX]; /* weights, last; 0 = never */
        uint64_t sampled_tokens, redone_tokens, cut_tokens, version; /* cut: not in sampled */
        uint64_t token_ages[SCOPE_STALENESS_BINS], spans, trained_samples;
        bool has_group, has_version;
        bool failed; /* out of memory, or a broken trail: no report */
        /* who works now, and what that adds up to */
        struct scope_trail_link links[SCOPE_LINKS];
        uint64_t claimed, at_teacher;
        double now, first, teacher_busy, teacher_alone, slice_s;
};

/* Of a version, or of the batch that makes it: its place in `steps`. */
static inline uint64_t scope_trail_step(const struct scope_overlap_trail *trail, uint64_t version)
{
        return version > trail->first_version ? version - trail->first_version : 0;
}

/* Of a sample, where samples share decoders: its prompt's part of the time that it takes alone. */
static inline double scope_trail_prefill_s(
        const struct scope_overlap_trail *trail, const struct scope_trail_sample *sample)
{
        const struct scope_step_law *step = &trail->setting.step;
        if (!scope_step_law_is(step))
                return 0;
        double rest = (double)sample->service_s -
                      (double)sample->tokens * scope_step_law_s(step, step->engines);
        return rest > 1e-6 * (double)sample->service_s ? rest : 0; /* it is kept in an f32 */
}

/* How long it holds its slot while all slots are taken. */
static inline double scope_trail_slot_s(
        const struct scope_overlap_trail *trail, const struct scope_trail_sample *sample)
{
        const struct scope_overlap_setting *setting = &trail->setting;
        if (!scope_step_law_is(&setting->step))
                return (double)sample->service_s;
        return (double)sample->tokens * scope_step_law_s(&setting->step, setting->slots) +
               scope_trail_prefill_s(trail, sample) * setting->slots /
                       (setting->step.engines * setting->group_size);
}

/* The bound of the strategy, from the trail's own stage times or from `alone`; fills stage,
 * binding, knee and bound_groups_per_s. (from, to] are the window: places in `steps`.
 * errors  SCOPE_ERR_MEMORY; SCOPE_ERR_ARGUMENT: the strategy is not known */
enum scope_err scope_overlap_bound(const struct scope_overlap_trail *trail, uint64_t from,
        uint64_t to, const struct scope_batch_times *alone, double cpu_s_per_group,
        struct scope_overlap_report *report);
