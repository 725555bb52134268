#include "cli/sim_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/pipeline.h"
#include "actors/prm_answer.h"
#include "algorithm/statistics.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/rng.h"
#include "base/text.h"
#include "cli/config.h"
#include "cli/load.h"
#include "cli/sim_audit.h"
#include "cli/sim_draw.h"
#include "cli/sim_policy.h"
#include "models/engine.h"
#include "models/tokenizer.h"
#include "models/tokenizer_tiny.h"
#include "runtime/ledger.h"
#include "tasks/dataset.h"
#include "tasks/teacher_script.h"

enum { EVENTS_MAX = 400000, COMPUTE_THREADS = 4 };
static const uint64_t SECOND = 1000000000u;
/* What a healed run may take until it must be done; a wait that only a long timeout ends is not
 * healed. */
static const uint64_t PATIENCE_NS = 600u * SECOND, DRAIN_NS = 120u * SECOND;

struct scope_sim_parts {
        struct scope_pipeline_options options;
        struct scope_tokenizer *tokenizer;
        struct scope_layout *layout;
        struct scope_dataset *train, *eval;
};

struct world {
        const struct scope_sim_parts *parts;
        struct scope_pipeline_options options;
        struct scope_stages stages;
        struct scope_system *system;
        struct scope_sim_audit audit;
        struct scope_arena arena; /* of the length window */
        struct scope_length_window window;
        struct scope_progress progress;
        struct scope_teacher_script script;
        struct scope_sim_policy policy;
};

/* --- parts ---------------------------------------------------------------------------------- */

enum scope_err scope_sim_parts_create(struct scope_sim_parts **ret_parts)
{
        struct scope_sim_parts *parts = calloc(1, sizeof *parts);
        struct scope_config *config = NULL;
        struct scope_diag diag;
        struct scope_model_config model = scope_model_config_tiny();
        if (parts == NULL)
                return SCOPE_ERR_MEMORY;
        enum scope_err err = scope_config_create(scope_load_sections(&parts->options), &config);
        scope_config_destroy(config);
        if (err == SCOPE_OK)
                err = scope_tokenizer_tiny_create(&parts->tokenizer);
        if (err == SCOPE_OK)
                err = scope_layout_create(&model, &parts->layout);
        if (err == SCOPE_OK)
                err = scope_dataset_open("builtin:chain?ops=2-4&seed=1", &parts->train, &diag);
        if (err == SCOPE_OK)
                err = scope_dataset_open("builtin:chain?ops=2-4&seed=2", &parts->eval, &diag);
        if (err != SCOPE_OK) {
                scope_sim_parts_destroy(parts);
                return err;
        }
        (void)snprintf(
                parts->options.data.train, sizeof parts->options.data.train, "builtin:chain");
        *ret_parts = parts;
        return SCOPE_OK;
}

void scope_sim_parts_destroy(struct scope_sim_parts *parts)
{
        if (parts == NULL)
                return;
        scope_dataset_destroy(parts->eval);
        scope_dataset_destroy(parts->train);
        scope_layout_destroy(parts->layout);
        scope_tokenizer_destroy(parts->tokenizer);
        free(parts);
}

/* --- the simulated outside ------------------------------------------------------------------ */

/* A policy that is right about half of the time. */
static void respond(void *context, const struct scope_engine_request *request, uint32_t *ret_tokens,
        float *ret_logp, uint32_t *ret_count, uint8_t *ret_finish)
{
        struct world *world = context;
        struct scope_rng rng = scope_rng_make(request->seed);
        struct scope_engine_request cut = *request;
        bool wrong = scope_rng_below(&rng, 5) < 3;
        uint64_t where = scope_rng_next(&rng);
        if (scope_rng_below(&rng, 16) == 0)
                cut.response_max = 8; /* now and then */
        *ret_count = scope_sim_policy_write(&world->policy, &cut, wrong, where, ret_tokens,
                ret_finish);
        for (uint32_t i = 0; i < *ret_count; i++)
                ret_logp[i] = -0.125f;
}

static void teach(void *context, struct scope_sim_http *call)
{
        struct world *world = context;
        scope_sim_teach(&world->script, call->random, call);
}

/* Nothing is written; what would be must be consistent. */
static enum scope_err save(void *context, const struct scope_checkpoint_state *state)
{
        const struct world *world = context;
        return state->step == world->progress.step ? SCOPE_OK : SCOPE_ERR_INTERNAL;
}

static void finished(void *context)
{
        struct world *world = context;
        scope_system_drain(world->system, DRAIN_NS);
}

static const char *invariant(void *context, struct scope_system *system)
{
        const struct world *world = context;
        return scope_sim_audit_check(&world->audit, system);
}

/* --- building ------------------------------------------------------------------------------- */

static enum scope_err build_engines(struct world *world, const struct scope_sim_setting *setting)
{
        struct scope_resources *resources = &world->stages.resources;
        struct scope_engine_sim_options options = { .slots = setting->slots,
                .response_max = (uint32_t)world->options.rollout.max_response,
                .vocab = world->parts->layout->config.vocab,
                .cores = 1,
                .step_cost_ns = setting->decode_ns,
                .respond = respond,
                .context = world };
        enum scope_err err = scope_engine_sim_create(&options, &resources->evaluator);
        for (uint32_t i = 0; i < setting->rollouts && err == SCOPE_OK; i++)
                err = scope_engine_sim_create(&options, &resources->rollout[i]);
        resources->rollout_count = setting->rollouts;
        return err;
}

static enum scope_err build_stages(struct world *world, const struct scope_sim_setting *setting)
{
        static const struct scope_display display = { .finished = finished };
        const struct scope_pipeline_options *options = &world->options;
        uint32_t window = scope_statistics_capacity(&options->scope.statistics,
                (uint32_t)(options->rollout.prompts_per_step * options->rollout.group_size));
        enum scope_err err = scope_arena_init(&world->arena, window * 8u + 4096);
        if (err == SCOPE_OK)
                err = scope_length_window_init(
                        &world->window, &world->arena, window != 0 ? window : 1);
        world->stages = (struct scope_stages){ .options = options,
                .resources = { .tokenizer = world->parts->tokenizer,
                        .layout = world->parts->layout,
                        .train = world->parts->train,
                        .eval = world->parts->eval,
                        .sim_microbatch_ns = setting->microbatch_ns,
                        .progress = &world->progress,
                        .window = &world->window,
                        .checkpoint = save,
                        .checkpoint_context = world },
                .audit = scope_sim_audit_event,
                .audit_context = &world->audit,
                .display = &display,
                .display_context = world };
        world->audit.stages = &world->stages;
        return err == SCOPE_OK ? build_engines(world, setting) : err;
}

static enum scope_err build(struct world *world, uint64_t seed, uint32_t faults)
{
        struct scope_teacher_script_options script = { .seed = 0 };
        struct scope_diag diag;
        const char *key;
        struct scope_sim_setting setting = scope_sim_draw(
                seed, (faults >> SCOPE_FAULT_HTTP_GARBAGE & 1) != 0, &world->options, &script);
        enum scope_err err = scope_teacher_script_init(&world->script, &script, &diag);
        world->script.judge = scope_prm_exact;
        if (err == SCOPE_OK)
                err = scope_pipeline_options_check(&world->options, &key, &diag);
        scope_assert(err == SCOPE_OK); /* a drawn configuration is a good one */
        struct scope_system_options options = { .seed = seed,
                .loops = 1,
                .compute_threads = COMPUTE_THREADS,
                .directory = "simulated",
                .restarts_max = 60,
                .restart_window_ns = 5 * SECOND,
                .wait_report_ns = 10 * SECOND };
        struct scope_sim_options sim = { .seed = scope_hash_pair(seed, 2),
                .faults = faults,
                .heal_ns = setting.heal_ns,
                .stop_ns = setting.heal_ns + PATIENCE_NS,
                .events_max = EVENTS_MAX,
                .http = teach,
                .invariant = invariant,
                .context = world };
        err = build_stages(world, &setting);
        if (err == SCOPE_OK)
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
        scope_engine_destroy(resources->evaluator);
        scope_sim_audit_fini(&world->audit);
        scope_arena_fini(&world->arena);
        scope_sim_policy_fini(&world->policy);
        free(world);
}

/* --- running -------------------------------------------------------------------------------- */

static void judge(struct world *world, enum scope_err err, struct scope_sim_seed *seed)
{
        const char *end = scope_sim_audit_end(&world->audit, world->system);
        scope_simulation_result(world->system, &seed->result);
        if (seed->result.violation != NULL)
                (void)snprintf(
                        seed->violation, sizeof seed->violation, "%s", seed->result.violation);
        else if (err != SCOPE_OK)
                (void)snprintf(seed->violation, sizeof seed->violation,
                        "I9: the run failed: %s: %s", scope_err_name(err),
                        scope_system_cause(world->system));
        else if (end != NULL)
                (void)snprintf(seed->violation, sizeof seed->violation, "%s", end);
        seed->result.violation = seed->violation[0] != 0 ? seed->violation : NULL;
}

enum scope_err scope_sim_run(const struct scope_sim_parts *parts, uint64_t seed, uint32_t faults,
        struct scope_sim_seed *ret_seed)
{
        struct world *world = calloc(1, sizeof *world);
        memset(ret_seed, 0, sizeof *ret_seed);
        if (world == NULL)
                return SCOPE_ERR_MEMORY;
        world->parts = parts;
        world->policy = (struct scope_sim_policy){ .tokenizer = parts->tokenizer,
                .eos = parts->layout->config.eos[0] };
        world->options = parts->options;
        world->audit.coverage = &ret_seed->coverage;
        enum scope_err err = build(world, seed, faults);
        if (err == SCOPE_OK) {
                judge(world, scope_system_run(world->system), ret_seed);
                struct scope_ledger_counts counts =
                        scope_ledger_counts(scope_system_ledger(world->system));
                ret_seed->steps = world->progress.step;
                ret_seed->admitted = counts.admitted;
                ret_seed->live = counts.live;
                err = ret_seed->result.violation != NULL ? SCOPE_ERR_VERIFY : SCOPE_OK;
        }
        world_destroy(world);
        return err;
}
