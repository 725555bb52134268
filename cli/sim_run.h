/* sim_run.h - one seed of the whole pipeline, simulated.
 * Why: ten thousand small runs with faults find what no test of ours would think of. The actors
 * are the real ones; time, disk, compute, teacher and policy are not. `scope-runtime sim` and
 * tests/simulation share it.
 * (1) A run is a pure function of (seed, faults). (2) Invariants are checked after every event;
 * the first violation ends the seed. Their numbers are those of actors.md 3.6. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "actors/messages.h"
#include "runtime/simulation.h"

/* What every seed shares and none changes: tokenizer, layout, problems, standard options. */
struct scope_sim_parts;

/* owns    gives; accepts NULL to destroy     errors  SCOPE_ERR_MEMORY     thread  setup */
enum scope_err scope_sim_parts_create(struct scope_sim_parts **ret_parts);
void scope_sim_parts_destroy(struct scope_sim_parts *parts);

enum { SCOPE_SIM_AGES = 7 };
/* What groups met on their way, counted. */
struct scope_sim_coverage {
        uint64_t outcomes[SCOPE_OUTCOME_COUNT], failures[SCOPE_FAILURE_COUNT];
        uint64_t paths[SCOPE_GROUP_PATH_COUNT], verdicts[SCOPE_REFINE_COUNT];
        uint64_t ages[SCOPE_SIM_AGES]; /* trained groups by age in versions; the last: and older */
};

struct scope_sim_seed {
        struct scope_sim_result result; /* its violation points to `violation`, or is NULL */
        struct scope_sim_coverage coverage;
        uint64_t steps, admitted, live;
        char violation[512];
};

/* in      faults: bit set of enum scope_fault that the seed may draw
 * out     *ret_seed, whatever happens; moving it invalidates result.violation
 * errors  SCOPE_ERR_VERIFY: a violation; others: it could not be built     thread  any; blocks */
enum scope_err scope_sim_run(const struct scope_sim_parts *parts, uint64_t seed, uint32_t faults,
        struct scope_sim_seed *ret_seed);
