/* overlap.h - what an overlap strategy can reach at best, from realised stage times.
 * Why: "x times faster than serial" says nothing while nobody knows how fast it could be; every
 * measurement is printed beside its bound, and the gap is charged to causes.
 * Source of the formulas: the survey of asynchronous RL, sections 4.1 and 4.2. The bound of
 * strategies that train batches in order is the recursion over the gates of strategy.h; its closed
 * forms for constant times are those of the survey's table (tests/algorithm/test_overlap.c). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "algorithm/strategy.h"

/* How long `engines` equal decoders take for a step, a token of each of `running` samples that are
 * spread evenly over them: max(least_s, base_s + each_s * running / engines). Zeroed = there is no
 * such law: samples take times of their own. */
struct scope_step_law {
        double least_s, base_s, each_s, engines;
};
bool scope_step_law_is(const struct scope_step_law *law);
double scope_step_law_s(const struct scope_step_law *law, double running);

/* One batch, each stage alone and from cold, in seconds. */
struct scope_batch_times {
        double decode, prm, teacher, learn, publish;
        /* streamed through decode, PRM and teacher without a barrier (teacher_overlap) */
        double streamed;
};

/* When version `count` can be had at the earliest: batches go through the gates as soon as these
 * open, each stage takes one batch at a time.
 * in      batches [count], in order; swap_s: decoding pauses so long for new weights
 * out     ret_done [count] when each batch's weights can be had, or NULL
 * returns seconds; strategies in_order only     thread  any; pure */
double scope_overlap_in_order(const struct scope_strategy *strategy,
        const struct scope_batch_times *batches, uint32_t count, double swap_s, double *ret_done);

/* Makespan of jobs on `servers` equal servers, first come first served; *ret_ends [count] (or NULL)
 * = when each is over. in: begins [count] or NULL = all at 0, rising.    thread  any; pure
 * errors  negative: out of memory */
double scope_overlap_makespan(const double *begins, const double *services, uint32_t count,
        uint32_t servers, double *ret_ends);

/* The same where samples share decoders: of so many tokens each, `slots` at a time; prefill_s
 * [count]: of its prompt, 0 where another one's is the same, in front of the step that it comes
 * into.
 * thread  any; pure     errors  negative: out of memory */
double scope_overlap_shared_makespan(const struct scope_step_law *law, const uint32_t *tokens,
        const double *prefill_s, uint32_t count, uint32_t slots, double *ret_ends);

/* Long-run rates of stages that work on their own (async), groups/s. */
struct scope_capacity {
        double prompts_per_step, eta;
        double slots, samples, sample_s; /* decode: all slots, G, mean seconds of one sample */
        double prm_s, prm_servers;       /* mean over all groups, those never scored too */
        double teacher_s, teacher_concurrency; /* seconds of calls a group, over all groups */
        double teacher_calls, teacher_rate;    /* calls a group; calls/s at most, 0 = no limit */
        double learn_s, publish_s;             /* of one step */
        double lost_s;       /* decoding stands still so long a step: T_x, drain */
        bool in_turn;        /* decoding stands still while the learner works (partial rollouts) */
        double sojourn_s;    /* admission to batch without waiting: for credit */
        double cpu_s, cores; /* shared cores: CPU-seconds a group; 0 = not shared */
};
enum scope_bound_term {
        SCOPE_BOUND_DECODE,
        SCOPE_BOUND_PRM,
        SCOPE_BOUND_TEACHER,
        SCOPE_BOUND_LEARNER,
        SCOPE_BOUND_CREDIT,
        SCOPE_BOUND_CORES,
        SCOPE_BOUND_TERMS
};
const char *scope_bound_term_name(enum scope_bound_term term);

struct scope_rates {
        double of[SCOPE_BOUND_TERMS]; /* groups/s; infinite where there is no such stage */
        double least;
        enum scope_bound_term binding;
        double knee; /* eta below which credit binds: X (s + T_L + T_y) / B - 1 */
};
/* thread  any; pure */
struct scope_rates scope_overlap_rates(const struct scope_capacity *capacity);
