#include "cli/overlap_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/messages.h"
#include "actors/pipeline.h"
#include "algorithm/statistics.h"
#include "base/arena.h"
#include "base/check.h"
#include "cli/assembly.h"
#include "cli/stage_play.h"
#include "models/engine.h"
#include "models/tokenizer.h"
#include "models/tokenizer_tiny.h"
#include "runtime/ledger.h"
#include "runtime/simulation.h"
#include "tasks/dataset.h"

enum { RESPONSE_MAX = 128 };
static const uint64_t SECOND = 1000000000u;

struct world {
        struct scope_pipeline_options options;
        struct scope_stages stages;
        struct scope_system *system;
        struct scope_assembly words; /* tokenizer, prompts and data of the run that is replayed */
        struct scope_tokenizer *tokenizer; /* these three where rollouts are simulated */
        struct scope_layout *layout;
        struct scope_dataset *train;
        struct scope_stage_play *play;
        struct scope_arena arena; /* of the length window */
        struct scope_length_window window;
        struct scope_progress progress;
};

static void finished(void *context)
{
        struct world *world = context;
        scope_system_drain(world->system, 3600 * SECOND);
}

/* --- building ------------------------------------------------------------------------------- */

static enum scope_err build_engines(struct world *world, unsigned rollouts)
{
        struct scope_resources *resources = &world->stages.resources;
        for (unsigned i = 0; i < rollouts; i++) {
                enum scope_err err =
                        scope_stage_play_engine(world->play, &resources->rollout[i]);
                if (err != SCOPE_OK)
                        return err;
                resources->rollout_count = i + 1;
        }
        return SCOPE_OK;
}

static unsigned count_rollouts(const struct scope_pipeline_options *options)
{
        unsigned count = 0;
        for (uint32_t i = 0; i < options->placement_count; i++)
                if (strcmp(options->placement[i].role, "rollout") == 0)
                        count += (unsigned)options->placement[i].count;
        return count != 0 ? count : 1;
}

/* What the stages read and write with: simulated rollouts write the tiny model's tokens; those that
 * are replayed say again what their own model said. */
static enum scope_err build_words(
        struct world *world, struct scope_stage_play_parts *parts, struct scope_diag *diag)
{
        const struct scope_pipeline_options *options = &world->options;
        struct scope_model_config model = scope_model_config_tiny();
        if (options->stages.rollout == SCOPE_PLAY_REPLAY) {
                enum scope_err err = scope_assembly_load(&world->words, options, diag);
                *parts = (struct scope_stage_play_parts){ .tokenizer = world->words.tokenizer,
                        .prompt_format = world->words.prompt_format,
                        .layout = world->words.model.layout,
                        .train = world->words.train };
                return err;
        }
        if (strncmp(options->data.train, "builtin:chain", 13) != 0)
                return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "data.train = \"%s\": simulated stages write solutions of builtin:chain",
                        options->data.train);
        enum scope_err err = scope_tokenizer_tiny_create(&world->tokenizer);
        if (err == SCOPE_OK)
                err = scope_layout_create(&model, &world->layout);
        if (err == SCOPE_OK)
                err = scope_dataset_open(options->data.train, &world->train, diag);
        *parts = (struct scope_stage_play_parts){ .tokenizer = world->tokenizer,
                .layout = world->layout,
                .train = world->train };
        return err;
}

static enum scope_err build_stages(struct world *world, struct scope_diag *diag)
{
        static const struct scope_display display = { .finished = finished };
        const struct scope_pipeline_options *options = &world->options;
        struct scope_stage_play_parts parts;
        uint32_t window = scope_statistics_capacity(&options->scope.statistics,
                (uint32_t)(options->rollout.prompts_per_step * options->rollout.group_size));
        unsigned rollouts = count_rollouts(options);
        if (rollouts > SCOPE_ROLLOUTS_MAX)
                return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "placement: %u rollouts; the limit is %d", rollouts, SCOPE_ROLLOUTS_MAX);
        enum scope_err err = build_words(world, &parts, diag);
        if (err == SCOPE_OK)
                err = scope_arena_init(&world->arena, window * 8u + 4096);
        if (err == SCOPE_OK)
                err = scope_length_window_init(
                        &world->window, &world->arena, window != 0 ? window : 1);
        if (err == SCOPE_OK)
                err = scope_stage_play_create(options, &parts, &world->play, diag);
        if (err != SCOPE_OK)
                return err;
        world->stages.options = options;
        world->stages.display = &display;
        world->stages.display_context = world;
        world->stages.resources = (struct scope_resources){ .tokenizer = parts.tokenizer,
                .prompt_format = parts.prompt_format,
                .layout = parts.layout,
                .train = parts.train,
                .eval = parts.train,
                .progress = &world->progress,
                .window = &world->window };
        scope_stage_play_lend(world->play, &world->stages.resources);
        return build_engines(world, rollouts);
}

static enum scope_err build(struct world *world, struct scope_diag *diag)
{
        enum scope_err err = build_stages(world, diag);
        struct scope_system_options options = { .seed = (uint64_t)world->options.run.seed,
                .loops = 1,
                .directory = "simulated",
                .restarts_max = 5,
                .restart_window_ns = 60 * SECOND,
                .wait_report_ns = 3600 * SECOND };
        struct scope_sim_options sim = { .seed = (uint64_t)world->options.run.seed,
                .stop_ns = UINT64_MAX / 4,
                .events_max = UINT64_MAX,
                .http = scope_stage_play_teach };
        if (err != SCOPE_OK)
                return err;
        /* else each stage has its own machine: none waits for another's */
        bool shares = scope_stage_play_shares_cores(world->play);
        options.compute_threads = shares ? 1 : world->stages.resources.rollout_count + 8;
        sim.yields = shares;
        sim.context = world->play;
        err = scope_simulation_create(&options, &sim, &world->system);
        if (err == SCOPE_OK)
                err = scope_pipeline_add(world->system, &world->stages);
        return err;
}

static void world_destroy(struct world *world)
{
        struct scope_resources *resources = &world->stages.resources;
        scope_system_destroy(world->system);
        for (uint32_t i = 0; i < resources->rollout_count; i++)
                scope_engine_destroy(resources->rollout[i]);
        scope_assembly_fini(&world->words);
        scope_dataset_destroy(world->train);
        scope_layout_destroy(world->layout);
        scope_tokenizer_destroy(world->tokenizer);
        scope_arena_fini(&world->arena);
        scope_stage_play_destroy(world->play);
        free(world);
}

/* What a simulation of time alone does without. */
static void settle_options(struct scope_pipeline_options *options)
{
        struct scope_stages_options *stages = &options->stages;
        int *const choices[] = { &stages->rollout, &stages->prm, &stages->teacher,
                &stages->learner };
        for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++)
                if (*choices[i] == SCOPE_PLAY_NATIVE) /* would take real time */
                        *choices[i] = SCOPE_PLAY_SIM;
        options->eval.every = 0;
        options->checkpoint.every = 0;
        options->metrics.rollouts = false;
        options->metrics.show_every = 0;
        if (stages->prm == SCOPE_PLAY_SIM || options->prm.backend != SCOPE_PRM_OFF)
                options->prm.backend = SCOPE_PRM_ARITHMETIC;
        if (stages->rollout == SCOPE_PLAY_SIM)
                options->rollout.max_response = options->sim.length[0] != 0
                        ? options->rollout.max_response : RESPONSE_MAX;
        options->learner.microbatch_tokens = 1 << 24;
        options->learner.minibatch_prompts = 0;
        options->learner.passes = 1;
        options->learner.ranks = 1;
        /* patience beyond any law */
        options->rollout.lease_timeout = 86400ll * (int64_t)SECOND;
        options->prm.timeout = 86400ll * (int64_t)SECOND;
        (void)snprintf(options->teacher.url, sizeof options->teacher.url, "http://127.0.0.1/v1");
}

enum scope_err scope_overlap_world_run(const struct scope_pipeline_options *options,
        void (*audit)(void *context, const struct scope_audit *event), void *context,
        struct scope_overlap_world_result *ret_result, struct scope_diag *diag)
{
        struct world *world = calloc(1, sizeof *world);
        memset(ret_result, 0, sizeof *ret_result);
        if (world == NULL)
                return SCOPE_ERR_MEMORY;
        world->options = *options;
        settle_options(&world->options);
        world->stages.audit = audit;
        world->stages.audit_context = context;
        enum scope_err err = build(world, diag);
        if (err == SCOPE_OK) {
                struct scope_sim_result result;
                err = scope_system_run(world->system);
                if (err != SCOPE_OK)
                        (void)scope_diag_set(diag, err, "the simulated run failed: %s",
                                scope_system_cause(world->system));
                scope_simulation_result(world->system, &result);
                struct scope_ledger_counts counts =
                        scope_ledger_counts(scope_system_ledger(world->system));
                ret_result->virtual_ns = result.virtual_ns;
                ret_result->events = result.events;
                ret_result->admitted = counts.admitted;
                ret_result->trained = counts.ended[SCOPE_TRAINED];
                ret_result->stale = counts.ended[SCOPE_REJECTED_STALE];
                ret_result->filtered = counts.ended[SCOPE_FILTERED];
                ret_result->failed = counts.ended[SCOPE_FAILED];
                while (ret_result->usage_count < SCOPE_WORLD_ACTORS_MAX &&
                        scope_system_usage(world->system, ret_result->usage_count,
                                &ret_result->usage[ret_result->usage_count]))
                        ret_result->usage_count++;
        }
        world_destroy(world);
        return err;
}
