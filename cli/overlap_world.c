#include "cli/overlap_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/messages.h"
#include "actors/pipeline.h"
#include "algorithm/statistics.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/rng.h"
#include "cli/assembly.h"
#include "cli/sim_policy.h"
#include "models/tokenizer_tiny.h"
#include "runtime/ledger.h"
#include "tasks/dataset.h"
#include "tasks/latency_law.h"

enum { DECODE, PRM, LEARN, PUBLISH, TRANSFER, LAWS };
/* shares of the mean decode time that a step may last: what a freed slot may wait */
enum { QUANTA = 256, RESPONSE_MAX = 128, LAW_SAMPLES = 1000 };
static const uint64_t SECOND = 1000000000u;

struct world {
        struct scope_pipeline_options options;
        struct scope_stages stages;
        struct scope_system *system;
        struct scope_tokenizer *tokenizer;
        struct scope_layout *layout;
        struct scope_dataset *train;
        struct scope_latency_law laws[LAWS];
        struct scope_arena arena; /* of the length window */
        struct scope_length_window window;
        struct scope_progress progress;
        struct scope_teacher_script script;
        struct scope_sim_policy policy;
};

/* --- draws ---------------------------------------------------------------------------------- */

static uint64_t draw(const struct world *world, int law, uint64_t key)
{
        uint64_t seed = scope_hash_pair((uint64_t)world->options.run.seed, (uint64_t)law + 77);
        struct scope_rng rng = scope_rng_make(scope_hash_pair(seed, key));
        return scope_latency_law_draw_ns(&world->laws[law], &rng);
}

static uint64_t stage_cost(void *context, enum scope_stage_cost stage, uint64_t key)
{
        const struct world *world = context;
        static const int laws[] = {
                [SCOPE_COST_PRM] = PRM, [SCOPE_COST_LEARN] = LEARN, [SCOPE_COST_EXPORT] = PUBLISH,
                [SCOPE_COST_TRANSFER] = TRANSFER
        };
        return draw(world, laws[stage], key);
}

/* A group either needs repair, with about two of three samples wrong, or has none that is. */
static uint64_t respond(void *context, const struct scope_engine_request *request,
        uint32_t *ret_tokens, float *ret_logp, uint32_t *ret_count, uint8_t *ret_finish)
{
        struct world *world = context;
        uint64_t seed = scope_hash_pair((uint64_t)world->options.run.seed, 99);
        struct scope_rng group = scope_rng_make(scope_hash_pair(seed, request->share));
        struct scope_rng own = scope_rng_make(request->seed);
        bool hard = scope_rng_uniform(&group) < world->options.sim.refined;
        bool wrong = hard && scope_rng_below(&own, 3) < 2;
        *ret_count = scope_sim_policy_write(
                &world->policy, request, wrong, scope_rng_next(&own), ret_tokens, ret_finish);
        for (uint32_t i = 0; i < *ret_count; i++)
                ret_logp[i] = -0.125f;
        return draw(world, DECODE, request->seed);
}

static void teach(void *context, struct scope_sim_http *call)
{
        struct world *world = context;
        uint64_t words = scope_hash_bytes(call->request->body, call->request->body_bytes);
        scope_sim_teach(
                &world->script, scope_hash_pair((uint64_t)world->options.run.seed, words), call);
}

static void finished(void *context)
{
        struct world *world = context;
        scope_system_drain(world->system, 3600 * SECOND);
}

/* --- building ------------------------------------------------------------------------------- */

static enum scope_err read_laws(struct world *world, struct scope_diag *diag)
{
        const struct scope_sim_stage_options *sim = &world->options.sim;
        const char *const words[LAWS] = { sim->decode, sim->prm, sim->learn, sim->publish,
                sim->transfer };
        struct scope_teacher_script_options script = { .seed = 0 };
        enum scope_err err = SCOPE_OK;
        for (int i = 0; i < LAWS && err == SCOPE_OK; i++)
                err = scope_latency_law_parse(words[i], &world->laws[i], diag);
        (void)snprintf(script.latency, sizeof script.latency, "%s", world->options.solver.latency);
        (void)snprintf(script.faults, sizeof script.faults, "%s", world->options.solver.faults);
        return err == SCOPE_OK ? scope_teacher_script_init(&world->script, &script, diag) : err;
}

static uint64_t mean_decode_ns(const struct world *world)
{
        uint64_t sum = 0;
        for (uint64_t i = 0; i < LAW_SAMPLES; i++)
                sum += draw(world, DECODE, i) / LAW_SAMPLES;
        return sum;
}

static enum scope_err build_engines(struct world *world, unsigned rollouts)
{
        struct scope_resources *resources = &world->stages.resources;
        uint64_t quantum = mean_decode_ns(world) / QUANTA;
        struct scope_engine_timed_options options = {
                .slots = (uint32_t)world->options.rollout.slots,
                .waiting_max = 1 << 20,
                .response_max = (uint32_t)world->options.rollout.max_response,
                .quantum_ns = quantum > 0 ? quantum : 1,
                .swap_ns = (uint64_t)world->options.sim.swap,
                .prefill_rate = world->options.sim.prefill_rate,
                .respond = respond,
                .context = world
        };
        for (unsigned i = 0; i < rollouts; i++) {
                enum scope_err err = scope_engine_timed_create(&options, &resources->rollout[i]);
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

static enum scope_err build_stages(struct world *world, struct scope_diag *diag)
{
        static const struct scope_display display = { .finished = finished };
        const struct scope_pipeline_options *options = &world->options;
        struct scope_model_config model = scope_model_config_tiny();
        uint32_t window = scope_statistics_capacity(&options->scope.statistics,
                (uint32_t)(options->rollout.prompts_per_step * options->rollout.group_size));
        unsigned rollouts = count_rollouts(options);
        if (strncmp(options->data.train, "builtin:chain", 13) != 0)
                return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "data.train = \"%s\": simulated stages write solutions of builtin:chain",
                        options->data.train);
        if (rollouts > SCOPE_ROLLOUTS_MAX)
                return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "placement: %u rollouts; the limit is %d", rollouts, SCOPE_ROLLOUTS_MAX);
        enum scope_err err = read_laws(world, diag);
        if (err == SCOPE_OK)
                err = scope_tokenizer_tiny_create(&world->tokenizer);
        if (err == SCOPE_OK)
                err = scope_layout_create(&model, &world->layout);
        if (err == SCOPE_OK)
                err = scope_dataset_open(options->data.train, &world->train, diag);
        if (err == SCOPE_OK)
                err = scope_arena_init(&world->arena, window * 8u + 4096);
        if (err == SCOPE_OK)
                err = scope_length_window_init(
                        &world->window, &world->arena, window != 0 ? window : 1);
        if (err != SCOPE_OK)
                return err;
        world->policy = (struct scope_sim_policy){ .tokenizer = world->tokenizer,
                .eos = world->layout->config.eos[0] };
        world->stages.options = options;
        world->stages.display = &display;
        world->stages.display_context = world;
        world->stages.resources = (struct scope_resources){ .tokenizer = world->tokenizer,
                .layout = world->layout,
                .train = world->train,
                .eval = world->train,
                .stage_cost = stage_cost,
                .stage_cost_context = world,
                .progress = &world->progress,
                .window = &world->window };
        return build_engines(world, rollouts);
}

static enum scope_err build(struct world *world, struct scope_diag *diag)
{
        enum scope_err err = build_stages(world, diag);
        struct scope_system_options options = { .seed = (uint64_t)world->options.run.seed,
                .loops = 1,
                /* each stage has its own machine: none waits for another's */
                .compute_threads = world->stages.resources.rollout_count + 8,
                .directory = "simulated",
                .restarts_max = 5,
                .restart_window_ns = 60 * SECOND,
                .wait_report_ns = 3600 * SECOND };
        struct scope_sim_options sim = { .seed = (uint64_t)world->options.run.seed,
                .stop_ns = UINT64_MAX / 4,
                .events_max = UINT64_MAX,
                .http = teach,
                .context = world };
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
        scope_dataset_destroy(world->train);
        scope_layout_destroy(world->layout);
        scope_tokenizer_destroy(world->tokenizer);
        scope_arena_fini(&world->arena);
        scope_sim_policy_fini(&world->policy);
        free(world);
}

/* What a simulation of time alone does without. */
static void settle_options(struct scope_pipeline_options *options)
{
        options->eval.every = 0;
        options->checkpoint.every = 0;
        options->metrics.rollouts = false;
        options->metrics.show_every = 0;
        options->prm.backend = SCOPE_PRM_ARITHMETIC;
        options->rollout.max_response = RESPONSE_MAX;
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
