/* run.h - one training run from a checked configuration to its end.
 * Why: `run`, `quickstart` and `bench arms` do the same thing and differ in what they show. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "actors/options.h"
#include "actors/stages.h"
#include "base/error.h"
#include "cli/commands.h"
#include "runtime/system.h"

struct scope_config;

struct scope_run_request {
        /* teacher.url = "builtin" is replaced by the real address */
        struct scope_pipeline_options *options;
        const struct scope_config *config; /* written into the run directory; may be NULL */
        int64_t resume;                    /* a step, or one of SCOPE_RESUME_* of options.h */
        /* replace: an existing run directory is removed first */
        bool quiet, verbose, replace;
        /* Listens to the audit trail; NULL = nobody. */
        void (*audit)(void *context, const struct scope_audit *event);
        void *audit_context;
};

/* Points of the learning curve: evaluations, with the share of all-wrong groups around them. */
enum { SCOPE_CURVE_MAX = 64, SCOPE_USAGE_MAX = SCOPE_ROLLOUTS_MAX + 16 };
struct scope_curve_point {
        uint64_t step;
        double pass_at_1, pass_at_8, all_wrong, distinct_4, near_miss_1, entropy;
};
struct scope_run_result {
        struct scope_curve_point curve[SCOPE_CURVE_MAX];
        uint32_t curve_count;
        uint64_t steps, repaired, rejected, degraded, admitted, trained, stale, filtered, failed,
                live;
        double wall_s; /* of the actors' loop: busy and idle times add up to it */
        double seconds, staleness_mean, groups_per_s, eligible, median_step_s;
        uint64_t sampled_tokens, trained_tokens;
        double trained_s; /* of forward, backward and update, elapsed */
        unsigned cores;   /* compute threads */
        bool interrupted;
        struct scope_actor_usage usage[SCOPE_USAGE_MAX]; /* of the first actors, in their order */
        unsigned usage_count;
};

/* Runs it. Errors are printed to stderr in the form of the commands.     thread  setup, blocks */
enum scope_exit scope_run_execute(
        const struct scope_run_request *request, struct scope_run_result *ret_result);
