/* sampling.h - an engine run to the end, without actors: for warm-up, eval and samples.
 * Why: these commands have one thing to do and may wait for it. */
#pragma once

#include <stdint.h>

#include "cli/assembly.h"
#include "models/engine.h"

struct scope_sampling {
        const struct scope_assembly *assembly;
        struct scope_compute_pool *pool;
        struct scope_engine *engine; /* with weights */
        const struct scope_dataset *data;
        uint64_t first_problem, problems, seed;
        uint32_t samples;
        uint64_t (*seed_of)(uint64_t seed, uint64_t problem, uint32_t sample);
        double temperature, top_p;
        /* One finished sample; `text` without EOS. Pointers live as long as the call. */
        void (*sampled)(void *context, uint64_t problem, uint32_t sample,
                const struct scope_engine_result *result, struct scope_string text);
        void *context;
};

/* Samples every problem `samples` times.
 * errors  what data set, tokenizer, engine or a job say, words in diag     thread  any, blocks */
enum scope_err scope_sampling_run(const struct scope_sampling *sampling, struct scope_diag *diag);

/* Problem `index` with its prompt's ids in `tokens` [max]; adds to *unspelled where bytes of it had
 * to be left out (models/tokenizer.h). */
struct scope_problem;
enum scope_err scope_sampling_problem(const struct scope_assembly *assembly,
        const struct scope_dataset *data, uint64_t index, struct scope_arena *arena,
        uint32_t *ret_tokens, size_t max, size_t *ret_count, struct scope_problem *ret_problem,
        uint64_t *unspelled, struct scope_diag *diag);
