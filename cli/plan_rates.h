/* plan_rates.h - what a configuration needs and can reach, reckoned before anything runs.
 * Why: memory that does not fit, a stage that starves the others and a teacher bill are cheaper on
 * paper. Every figure is from given numbers, a recorded run, or the device's bandwidth and compute;
 * which of them is kept beside it.
 * Formulas: the survey of asynchronous RL, 4.1 and 4.2 (algorithm/overlap.h). A device here is a
 * GPU, or one core. */
#pragma once

#include <stdbool.h>

#include "actors/options.h"
#include "algorithm/overlap.h"
#include "models/config.h"

enum scope_plan_role { SCOPE_PLAN_ROLLOUT, SCOPE_PLAN_PRM, SCOPE_PLAN_LEARNER, SCOPE_PLAN_ROLES };

enum scope_plan_source {
        SCOPE_PLAN_UNKNOWN,
        SCOPE_PLAN_GIVEN,
        SCOPE_PLAN_RECORDED,
        SCOPE_PLAN_ESTIMATED
};

struct scope_plan_rate {
        double value; /* tokens/s of one device */
        enum scope_plan_source source;
};

/* What one device of a role holds, bytes. */
struct scope_plan_memory {
        double weights, cache, optimiser, activations, total;
};

struct scope_plan {
        struct scope_plan_options input; /* 0s replaced by what they stand for */
        struct scope_model_config policy, scorer;
        bool scored;                              /* a PRM with weights */
        double devices[SCOPE_PLAN_ROLES], actors; /* actors: rollouts */
        bool shared;                              /* cores that all roles use */
        bool recompute;                           /* activations of one layer at a time are kept */
        /* recorded: CPU-seconds of a group, all stages; admission to batch. 0 = not */
        double group_cpu_s, sojourn_s;
        double prompts, samples, slots, teacher_calls, eta; /* B, G, of one rollout, C */
        double teacher_rate;                                /* calls/s; 0 = no limit */
        double parameter_bytes;                             /* of weights that are only read */
        double microbatch_tokens, context;
        /* sim.decode and sim.learn by the token: of one rollout, of the learner; 0 = not */
        struct scope_plan_served {
                double rate, least_s;
        } decode, learn;
        struct scope_plan_rate rate[SCOPE_PLAN_ROLES];
        struct scope_plan_memory memory[SCOPE_PLAN_ROLES];
        double device_memory; /* 0 = not known */
        struct scope_capacity capacity;
        struct scope_rates rates;                 /* groups/s; NaN rates where one is not known */
        double best[SCOPE_PLAN_ROLES], best_rate; /* the same devices split better */
        double teacher_needed;                    /* calls in flight at the rate of the stages */
        double calls_a_step, cost_a_step;         /* cost NaN: no price */
};

/* "layers=28,hidden=3584,heads=28,kv_heads=4,head_dim=128,ffn=18944,vocab=152064[,tied=1]".
 * errors  SCOPE_ERR_FORMAT, with the word in diag     thread  any */
enum scope_err scope_plan_shape(
        const char *words, struct scope_model_config *ret_config, struct scope_diag *diag);

/* Parameters of a model of this shape, its head in.              thread  any; pure */
double scope_plan_parameters(const struct scope_model_config *config);

/* False: a device of this role holds more than it has; true where that is not known.  pure */
bool scope_plan_fits(const struct scope_plan *plan, enum scope_plan_role role);

/* Fills memory, rates, best and cost from the fields before them.  thread  any; pure */
void scope_plan_reckon(struct scope_plan *plan);
