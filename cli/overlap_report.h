/* overlap_report.h - what a run's audit trail says about overlap: speed, staleness, waste, who
 * waited for whom, and what was possible.
 * Why: one reading of the trail, whether it comes from a run that goes on, from the simulator or
 * from a file: a table can be made again from the raw log.
 * (1) Memory: about 200 bytes a group and 24 a sample. (2) Events come in the order of time. */
#pragma once

#include "actors/stages.h"
#include "algorithm/overlap.h"
#include "runtime/system.h"

struct scope_text;
struct scope_overlap_trail;

/* What the trail does not say of itself. */
struct scope_overlap_setting {
        char strategy[32];
        uint64_t eta; /* of admission, under the strategy's rules */
        uint32_t prompts_per_step, group_size, slots,
                teacher_concurrency; /* slots of all rollouts */
        uint32_t queue_groups, teacher_groups;
        double teacher_rate; /* teacher.rate; 0 = no limit */
        bool drain;     /* pipeline.update */
        double partial; /* pipeline.partial_rollout */
        double swap_s;
        double cores;    /* shared by all stages; 0 = each has its own */
        struct scope_step_law step; /* of simulated decoding; of the pool of all rollouts */
        char about[128]; /* the value of a sweep; "" = none */
};

enum { SCOPE_STALENESS_BINS = 32, SCOPE_DEPTH_BINS = 1024, SCOPE_DEPTH_SLICES = 128 };

/* Generated tokens that no step trained. */
#define SCOPE_WASTE_MAP(X)                                                                         \
        X(STALE, "stale")           /* of groups that were too old */                              \
        X(FILTERED, "filtered")     /* of groups without contrast */                               \
        X(FAILED, "failed")         /* of groups that failed */                                    \
        X(REDONE, "redone")         /* of samples that were sampled again */                       \
        X(CUT, "cut")               /* of stragglers and lost leases, given up before their end */ \
        X(UNFINISHED, "unfinished") /* of groups that lived when the run ended */
enum scope_waste {
#define X(name, word) SCOPE_WASTE_##name,
        SCOPE_WASTE_MAP(X)
#undef X
                SCOPE_WASTES
};
extern const char *const scope_waste_words[SCOPE_WASTES];

/* Where groups wait, one after the other; the teacher is a part of repair. */
enum scope_link {
        SCOPE_LINK_DECODE,  /* admitted -> all samples are here */
        SCOPE_LINK_REPAIR,  /* -> decided: barrier, PRM, selection, teacher */
        SCOPE_LINK_TEACHER, /* holds a credit at the teacher */
        SCOPE_LINK_QUEUE,   /* the learner's */
        SCOPE_LINK_LEARNER, /* claimed -> trained */
        SCOPE_LINKS
};
extern const char *const scope_link_words[SCOPE_LINKS];

struct scope_link_report {
        double mean, p50, p95; /* groups, weighted by time */
        double little;         /* rate x mean sojourn: what `mean` must be */
        double empty, full;    /* shares of time; full: 0 where there is no bound */
        uint32_t slices;
        double over_time[SCOPE_DEPTH_SLICES]; /* mean depth of equal slices of the run */
};

struct scope_overlap_report {
        uint64_t steps, groups; /* in the window; groups: trained */
        double seconds, startup_s, groups_per_s, useful_tokens_per_s, generated_tokens_per_s;
        double useful;              /* share of generated tokens that were trained */
        double waste[SCOPE_WASTES]; /* shares; with `useful` they make 1 */
        /* versions at training: of a group's oldest token (staleness), its newest; tokens by age */
        double staleness_mean, newest_mean, token_age_mean, spans_per_sample;
        uint64_t staleness_max, staleness[SCOPE_STALENESS_BINS]; /* groups; the last: and older */
        uint64_t token_ages[SCOPE_STALENESS_BINS];
        /* staleness_mean, by where the group was meanwhile: decoding, before the teacher (barrier,
         * PRM), at the teacher, in the learner's queue */
        double aged_in_flight, aged_before_teacher, aged_at_teacher, aged_in_queue;
        double teacher_busy_s, teacher_alone_s, teacher_hidden;
        double refined_generated, refined_consumed, refined_of_eligible; /* shares */
        double to_reward_s[3], to_refined_s[3], to_trained_s[3];         /* p50, p95, p99 */
        struct scope_link_report links[SCOPE_LINKS];
        /* means a batch: of services alone (simulated), or of what was seen (real) */
        struct scope_batch_times stage;
        /* means: of a sample (how long it holds its slot), then of a group; the last: number */
        double sample_s, prm_s, teacher_s, sojourn_s, teacher_calls;
        double cpu_s_per_group; /* jobs and loops; 0 = not known */
        double bound_groups_per_s;
        enum scope_bound_term binding; /* without in_order, or SCOPE_BOUND_CORES */
        double knee;
};

/* owns  gives; accepts NULL to destroy */
enum scope_err scope_overlap_trail_create(
        const struct scope_overlap_setting *setting, struct scope_overlap_trail **ret_trail);
void scope_overlap_trail_destroy(struct scope_overlap_trail *trail);

/* For stages->audit; the context is the trail.     thread  owner */
void scope_overlap_trail_event(void *context, const struct scope_audit *event);

uint64_t scope_overlap_trail_groups(const struct scope_overlap_trail *trail);

/* Speed, bound and what is hidden of the teacher are of the run without its start-up (eta + 2
 * steps) and its end (eta + 1 steps, while it empties), where it is long enough; ages, waste,
 * queues and waits are of the whole run.
 * alone: stage times of a serial run on the same machine, NULL = computed from services.
 * cpu_s_per_group: where the trail does not say it of its window. It is what this run's own jobs
 * and loops took, for shared cores can do no more than that work; threads that look for work are
 * left out, decoding in small batches and groups that no step trained are not: these show beside
 * the CPU time of serial.
 * errors  SCOPE_ERR_NOT_FOUND: too few steps, the whole run's part is there; SCOPE_ERR_MEMORY */
enum scope_err scope_overlap_trail_report(const struct scope_overlap_trail *trail,
        const struct scope_batch_times *alone, double cpu_s_per_group,
        struct scope_overlap_report *ret_report);
