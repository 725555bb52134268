#include "cli/assembly.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/rng.h"
#include "cli/stage_play.h"
#include "models/comm.h"
#include "models/engine.h"
#include "models/prm_input.h"
#include "models/prompt_format.h"
#include "models/tokenizer.h"
#include "models/tokenizer_tiny.h"
#include "models/trainer.h"
#include "tasks/dataset.h"

/* --- parts ---------------------------------------------------------------------------------- */

static enum scope_err load_model(
        const char *path, uint64_t seed, struct scope_model *ret_model, struct scope_diag *diag)
{
        if (strcmp(path, "builtin:tiny") != 0)
                return scope_model_load(path, ret_model, diag);
        struct scope_model_config config = scope_model_config_tiny();
        enum scope_err err = scope_layout_create(&config, &ret_model->layout);
        if (err != SCOPE_OK)
                return err;
        size_t bytes = (ret_model->layout->float_count * sizeof(float) + 63) & ~(size_t)63;
        ret_model->parameters = aligned_alloc(64, bytes);
        if (ret_model->parameters == NULL)
                return SCOPE_ERR_MEMORY;
        scope_layout_randomise(ret_model->layout, seed, ret_model->parameters);
        return SCOPE_OK;
}

static enum scope_err load_tokenizer(
        const char *path, struct scope_tokenizer **ret_tokenizer, struct scope_diag *diag)
{
        if (strcmp(path, "builtin:tiny") != 0)
                return scope_tokenizer_load(path, ret_tokenizer, diag);
        return scope_tokenizer_parse(scope_tokenizer_tiny_json(),
                strlen(scope_tokenizer_tiny_json()), ret_tokenizer, diag);
}

static void set_tokens_used(
        const struct scope_tokenizer *tokenizer, struct scope_model_config *config)
{
        uint32_t size = scope_tokenizer_size(tokenizer);
        config->tokens_used = size < config->vocab ? size : config->vocab;
}

static enum scope_err load_prompt_format(const struct scope_pipeline_options *options,
        struct scope_prompt_format **ret_format, struct scope_diag *diag)
{
        const struct scope_data_options *data = &options->data;
        const struct scope_prompt_format_options wanted = { .format = data->prompt_format,
                .system = data->system,
                .instruction = data->instruction,
                .variables = data->template_variables,
                .date = data->template_date,
                .blank_line_hint = data->blank_line_hint };
        return scope_prompt_format_create(options->model.path, &wanted, ret_format, diag);
}

enum scope_err scope_assembly_load(struct scope_assembly *assembly,
        const struct scope_pipeline_options *options, struct scope_diag *diag)
{
        const struct scope_dataset_keys keys = { options->data.prompt_key,
                options->data.answer_key, options->data.solution_key };
        *assembly = (struct scope_assembly){ .options = options };
        uint64_t seed = (uint64_t)options->run.seed;
        enum scope_err err = scope_cores_find(options, &assembly->cores, diag);
        if (err == SCOPE_OK)
                err = load_model(options->model.path, seed, &assembly->model, diag);
        if (err == SCOPE_OK)
                err = load_tokenizer(options->model.path, &assembly->tokenizer, diag);
        if (err == SCOPE_OK) /* what it cannot write is not drawn, and learnt as impossible */
                set_tokens_used(assembly->tokenizer, &assembly->model.layout->config);
        if (err == SCOPE_OK)
                err = load_prompt_format(options, &assembly->prompt_format, diag);
        if (err == SCOPE_OK)
                err = scope_dataset_open_keyed(options->data.train, &keys, &assembly->train, diag);
        if (err == SCOPE_OK)
                err = scope_dataset_open_keyed(options->data.eval, &keys, &assembly->eval, diag);
        if (err == SCOPE_OK && assembly->model.layout->config.head != SCOPE_HEAD_LANGUAGE)
                err = scope_diag_set(diag, SCOPE_ERR_UNSUPPORTED,
                        "%s: has a reward head; model.path needs a language model",
                        options->model.path);
        return err;
}

static uint32_t context_of(const struct scope_pipeline_options *options)
{
        return (uint32_t)(options->rollout.max_prompt + options->rollout.max_response);
}

enum scope_err scope_assembly_engine(const struct scope_assembly *assembly,
        const struct scope_model *model, uint32_t slots, unsigned cores,
        struct scope_engine **ret_engine)
{
        const struct scope_rollout_options *rollout = &assembly->options->rollout;
        struct scope_engine_options options = { .layout = model->layout,
                .slots = slots,
                .weights = (enum scope_form)rollout->dtype,
                .context_max = (uint32_t)(rollout->max_prompt + rollout->max_response),
                .cores = (uint8_t)(cores < UINT8_MAX ? cores : UINT8_MAX) };
        return scope_engine_native_create(&options, ret_engine);
}

enum scope_err scope_assembly_frozen(const struct scope_model *model, uint32_t context_max,
        unsigned cores, struct scope_engine **ret_engine)
{
        struct scope_buffer *weights = NULL;
        size_t bytes = model->layout->float_count * sizeof(float);
        struct scope_engine_options options = { .layout = model->layout,
                .slots = 1,
                .context_max = context_max,
                .cores = (uint8_t)cores };
        enum scope_err err = scope_engine_native_create(&options, ret_engine);
        if (err == SCOPE_OK)
                err = scope_buffer_create(bytes, &weights);
        if (err != SCOPE_OK)
                return err;
        memcpy(scope_buffer_data(weights), model->parameters, bytes);
        err = (*ret_engine)->class_->publish(*ret_engine, weights, 0, false);
        scope_buffer_drop(weights); /* the engine keeps its own reference */
        return err;
}

static enum scope_err build_trainer(struct scope_assembly *assembly)
{
        const struct scope_pipeline_options *options = assembly->options;
        unsigned ranks = assembly->cores.learner.count;
        if (options->learner.ranks != 0)
                ranks = (unsigned)options->learner.ranks;
        enum scope_err err = ranks == 1 ? scope_comm_one_create(&assembly->comm)
                                        : scope_comm_threads_create(ranks, &assembly->comm);
        if (err != SCOPE_OK)
                return err;
        const struct scope_learner_options *learner = &options->learner;
        struct scope_trainer_options trainer = { .layout = assembly->model.layout,
                .comm = assembly->comm,
                .context_max =
                        (uint32_t)(options->rollout.max_prompt + options->rollout.max_response),
                .microbatch_tokens = (uint32_t)learner->microbatch_tokens,
                .recompute = (enum scope_recompute)learner->recompute,
                .lr = (float)learner->lr,
                .beta1 = (float)learner->beta1,
                .beta2 = (float)learner->beta2,
                .eps = (float)learner->eps,
                .weight_decay = (float)learner->weight_decay,
                .grad_clip = (float)learner->grad_clip };
        err = scope_trainer_create(&trainer, &assembly->trainer);
        if (err == SCOPE_OK)
                memcpy(scope_trainer_parameters(assembly->trainer), assembly->model.parameters,
                        assembly->model.layout->float_count * sizeof(float));
        return err;
}

static enum scope_err build_window(struct scope_assembly *assembly)
{
        const struct scope_pipeline_options *options = assembly->options;
        uint64_t rollouts =
                (uint64_t)(options->rollout.prompts_per_step * options->rollout.group_size);
        uint64_t window = (uint64_t)options->scope.statistics.stats_window;
        if (window == 0)
                window = rollouts;
        /* behind a barrier the window holds a whole batch, whatever its length otherwise */
        if (options->scope.statistics.stats_scope == SCOPE_STATS_BATCH)
                window = rollouts;
        enum scope_err err = scope_arena_init(&assembly->arena, window * 8 + 4096);
        if (err != SCOPE_OK)
                return err;
        return scope_length_window_init(&assembly->window, &assembly->arena, (uint32_t)window);
}

/* What a native scorer reads its input with: its own tokenizer, or the policy's tokens where a
 * reward head comes without <extra_0> but knows as many tokens. */
static enum scope_err build_prm_tokenizer(struct scope_assembly *assembly, struct scope_diag *diag)
{
        const char *path = assembly->options->prm.path;
        const struct scope_model_config *config = &assembly->prm_model.layout->config;
        struct scope_diag unread = { "" };
        enum scope_err err = load_tokenizer(path, &assembly->prm_tokenizer, &unread);
        if (err != SCOPE_OK && (err != SCOPE_ERR_NOT_FOUND || config->head != SCOPE_HEAD_REWARD))
                return scope_diag_set(diag, err, "%s", unread.text);
        if (err == SCOPE_OK && scope_prm_form_of(assembly->prm_tokenizer, config->head) !=
                        SCOPE_PRM_FORM_NONE) {
                uint32_t size = scope_tokenizer_size(assembly->prm_tokenizer);
                if (size <= config->vocab)
                        return SCOPE_OK;
                return scope_diag_set(diag, SCOPE_ERR_FORMAT,
                        "%s: the tokenizer has %u tokens, config.json %u", path, size,
                        config->vocab);
        }
        scope_tokenizer_destroy(assembly->prm_tokenizer);
        assembly->prm_tokenizer = NULL;
        if (config->vocab == assembly->model.layout->config.vocab)
                return SCOPE_OK;
        return scope_diag_set(diag, SCOPE_ERR_UNSUPPORTED,
                "%s: a reward model whose tokenizer has no <extra_0>, nor the policy's vocabulary",
                path);
}

static enum scope_err build_prm(struct scope_assembly *assembly, struct scope_diag *diag)
{
        const struct scope_pipeline_options *options = assembly->options;
        bool native = options->prm.backend == SCOPE_PRM_NATIVE;
        enum scope_err err = load_model(options->prm.path, 0, &assembly->prm_model, diag);
        if (err != SCOPE_OK)
                return err;
        const struct scope_model_config *config = &assembly->prm_model.layout->config;
        if (native != (config->head != SCOPE_HEAD_LANGUAGE))
                return scope_diag_set(diag, SCOPE_ERR_UNSUPPORTED,
                        "%s: prm.backend = \"%s\" needs a model with a %s head",
                        options->prm.path, native ? "native" : "likelihood",
                        native ? "two-class" : "language");
        if (!native && config->vocab != assembly->model.layout->config.vocab)
                return scope_diag_set(diag, SCOPE_ERR_UNSUPPORTED,
                        "%s: a likelihood PRM reads the policy's tokens: it needs the policy's "
                        "vocabulary",
                        options->prm.path);
        if (native)
                err = build_prm_tokenizer(assembly, diag);
        assembly->prm_context = context_of(options);
        if (assembly->prm_tokenizer != NULL)
                assembly->prm_context = (uint32_t)options->prm.max_len < config->positions_max
                        ? (uint32_t)options->prm.max_len : config->positions_max;
        return err != SCOPE_OK ? err
                : scope_assembly_frozen(&assembly->prm_model, assembly->prm_context,
                        assembly->cores.prm.count, &assembly->prm);
}

static enum scope_err build_play(struct scope_assembly *assembly, struct scope_diag *diag)
{
        enum { QUANTUM_LEAST_NS = 2000000 }; /* finer steps would keep the loop busy */
        const struct scope_stage_play_parts parts = { .tokenizer = assembly->tokenizer,
                .prompt_format = assembly->prompt_format,
                .layout = assembly->model.layout,
                .train = assembly->train,
                .quantum_least_ns = QUANTUM_LEAST_NS };
        if (!scope_stage_play_wanted(assembly->options))
                return SCOPE_OK;
        return scope_stage_play_create(assembly->options, &parts, &assembly->play, diag);
}

static enum scope_err build_rollout(struct scope_assembly *assembly, unsigned index)
{
        const struct scope_pipeline_options *options = assembly->options;
        if (options->stages.rollout != SCOPE_PLAY_NATIVE)
                return scope_stage_play_engine(assembly->play, &assembly->rollout[index]);
        return scope_assembly_engine(assembly, &assembly->model, (uint32_t)options->rollout.slots,
                assembly->cores.rollout[index].count, &assembly->rollout[index]);
}

enum scope_err scope_assembly_build(struct scope_assembly *assembly, struct scope_diag *diag)
{
        const struct scope_pipeline_options *options = assembly->options;
        const struct scope_stages_options *stages = &options->stages;
        uint32_t slots = (uint32_t)options->rollout.slots;
        bool learned = stages->prm == SCOPE_PLAY_NATIVE &&
                       (options->prm.backend == SCOPE_PRM_LIKELIHOOD ||
                               options->prm.backend == SCOPE_PRM_NATIVE);
        bool learns = stages->learner == SCOPE_PLAY_NATIVE;
        enum scope_err err = build_play(assembly, diag);
        if (err == SCOPE_OK &&
                (learns || stages->rollout == SCOPE_PLAY_NATIVE || options->eval.every > 0))
                err = build_trainer(assembly);
        for (unsigned i = 0; i < assembly->cores.rollout_count && err == SCOPE_OK; i++)
                err = build_rollout(assembly, i);
        if (err == SCOPE_OK && options->eval.every > 0)
                err = scope_assembly_engine(assembly, &assembly->model, slots,
                        assembly->cores.compute_count, &assembly->evaluator);
        if (err == SCOPE_OK && learned)
                err = build_prm(assembly, diag);
        if (err == SCOPE_OK && options->loss.objective.kl_beta > 0 && learns)
                err = scope_assembly_frozen(&assembly->model, context_of(options),
                        assembly->cores.learner.count, &assembly->reference);
        return err == SCOPE_OK ? build_window(assembly) : err;
}

struct scope_resources scope_assembly_resources(struct scope_assembly *assembly)
{
        struct scope_resources resources = { .tokenizer = assembly->tokenizer,
                .prompt_format = assembly->prompt_format,
                .layout = assembly->model.layout,
                .train = assembly->train,
                .eval = assembly->eval,
                .rollout_count = assembly->cores.rollout_count,
                .learner_workers = assembly->cores.learner,
                .prm_workers = assembly->cores.prm,
                .evaluator = assembly->evaluator,
                .prm = assembly->prm,
                .prm_tokenizer = assembly->prm_tokenizer,
                .prm_head = assembly->prm_model.layout != NULL
                        ? assembly->prm_model.layout->config.head : SCOPE_HEAD_LANGUAGE,
                .prm_context = assembly->prm_context,
                .reference = assembly->reference,
                .trainer = assembly->trainer,
                .progress = &assembly->progress,
                .window = &assembly->window };
        memcpy(resources.rollout, assembly->rollout, sizeof resources.rollout);
        memcpy(resources.rollout_workers, assembly->cores.rollout, sizeof assembly->cores.rollout);
        if (assembly->play != NULL)
                scope_stage_play_lend(assembly->play, &resources);
        return resources;
}

void scope_assembly_fini(struct scope_assembly *assembly)
{
        scope_engine_destroy(assembly->reference);
        scope_engine_destroy(assembly->prm);
        scope_engine_destroy(assembly->evaluator);
        for (unsigned i = 0; i < SCOPE_ROLLOUTS_MAX; i++)
                scope_engine_destroy(assembly->rollout[i]);
        scope_stage_play_destroy(assembly->play);
        scope_trainer_destroy(assembly->trainer);
        scope_comm_destroy(assembly->comm);
        scope_dataset_destroy(assembly->eval);
        scope_dataset_destroy(assembly->train);
        scope_prompt_format_destroy(assembly->prompt_format);
        scope_tokenizer_destroy(assembly->prm_tokenizer);
        scope_tokenizer_destroy(assembly->tokenizer);
        scope_model_fini(&assembly->prm_model);
        scope_model_fini(&assembly->model);
        scope_arena_fini(&assembly->arena);
        *assembly = (struct scope_assembly){ 0 };
}
