/* overlap_world.h - the pipeline with stages that only take time, in virtual time.
 * Why: whether an overlap strategy pays is a question of durations and capacities alone; a
 * simulated hour costs seconds. Actors, admission, queue, refiner and gates are the real ones;
 * decoding, PRM, learner, publication and the teacher's latency are drawn from [sim] and
 * solver.latency, or taken from the run of stages.replay.
 * (1) A draw depends on the seed and on what it is for (sample, group, version, the words sent to
 * the teacher), never on when: every strategy meets the same ones. (2) No faults but those that
 * solver.faults asks for. */
#pragma once

#include "actors/stages.h"
#include "runtime/system.h"

enum { SCOPE_WORLD_ACTORS_MAX = 1024 };

struct scope_overlap_world_result {
        uint64_t virtual_ns, events, trained, stale, filtered, failed, admitted;
        struct scope_actor_usage usage[SCOPE_WORLD_ACTORS_MAX]; /* of the whole run */
        unsigned usage_count;
};

/* Runs run.steps steps. `audit` is called with every event of the trail, in order of time.
 * in      options: checked; data.train must be builtin:chain
 * errors  SCOPE_ERR_ARGUMENT, SCOPE_ERR_FORMAT: a law, a data set (words in diag);
 *         others: the run failed     thread  any; blocks */
enum scope_err scope_overlap_world_run(const struct scope_pipeline_options *options,
        void (*audit)(void *context, const struct scope_audit *event), void *context,
        struct scope_overlap_world_result *ret_result, struct scope_diag *diag);
