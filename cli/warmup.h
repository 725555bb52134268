/* warmup.h - a tiny policy that can do a little, made on the spot.
 * Why: reinforcement learning needs a policy that sometimes succeeds. Supervised learning on clean
 * solutions, stopped on measured pass@1 and not on a step count: learning is a phase change
 * (tiny-recipe.md 2).
 * (1) Result: a Hugging Face directory, and beside it the settings that made it; the same settings
 * are not trained again. (2) Pure function of settings and cores: same seed, same bytes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct scope_pipeline_options;

struct scope_warmup_result {
        bool cached;
        uint64_t steps, tokens;
        double pass_at_1, seconds;
};

/* Trains, or finds what was trained before. One line a test goes to stderr unless `quiet`.
 * errors  SCOPE_ERR_LIMIT: target not reached within steps_max; what files say     thread  setup,
 * blocks */
enum scope_err scope_warmup_run(const struct scope_pipeline_options *options, bool quiet,
        struct scope_warmup_result *ret_result, struct scope_diag *diag);
