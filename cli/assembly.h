/* assembly.h - everything a run needs, built from its settings.
 * Why: run, warmup, eval and bench use the same model, tokenizer, data sets and cores, and take
 * them apart in the same order. What is missing on this machine is said here, before anything
 * starts.
 * (1) Built in the order of the struct, torn down in reverse; a zeroed one may be torn down. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "actors/stages.h"
#include "algorithm/statistics.h"
#include "base/arena.h"
#include "cli/placement.h"
#include "models/hf_directory.h"

struct scope_compute_pool;
struct scope_stage_play;

struct scope_assembly {
        const struct scope_pipeline_options *options;
        struct scope_cores cores;
        struct scope_model model, prm_model;
        struct scope_tokenizer *tokenizer, *prm_tokenizer;
        struct scope_prompt_format *prompt_format;
        uint32_t prm_context; /* tokens the PRM's engine takes */
        struct scope_dataset *train, *eval;
        struct scope_comm *comm;
        struct scope_trainer *trainer; /* NULL: nothing native asks for weights */
        struct scope_stage_play *play; /* NULL: every stage is native */
        struct scope_engine *rollout[SCOPE_ROLLOUTS_MAX], *evaluator, *prm, *reference;
        struct scope_arena arena; /* of the window */
        struct scope_length_window window;
        struct scope_progress progress;
};

/* Loads model, tokenizer and data sets. Enough for sampling problems and prompts. */
enum scope_err scope_assembly_load(struct scope_assembly *assembly,
        const struct scope_pipeline_options *options, struct scope_diag *diag);

/* On top of load: trainer, engines and statistics for a run. */
enum scope_err scope_assembly_build(struct scope_assembly *assembly, struct scope_diag *diag);

/* What the actors are lent. */
struct scope_resources scope_assembly_resources(struct scope_assembly *assembly);

/* An engine for `model`, `slots` wide, its steps on `cores` workers; the caller destroys it. */
enum scope_err scope_assembly_engine(const struct scope_assembly *assembly,
        const struct scope_model *model, uint32_t slots, unsigned cores,
        struct scope_engine **ret_engine);

/* An engine that only scores, with these weights for good: sequences up to context_max tokens. */
enum scope_err scope_assembly_frozen(const struct scope_model *model, uint32_t context_max,
        unsigned cores, struct scope_engine **ret_engine);

void scope_assembly_fini(struct scope_assembly *assembly);
