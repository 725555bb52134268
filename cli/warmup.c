#include "cli/warmup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "algorithm/grade.h"
#include "base/buffer.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/rng.h"
#include "base/text.h"
#include "cli/assembly.h"
#include "cli/sampling.h"
#include "cli/load.h"
#include "cli/options.h"
#include "models/comm.h"
#include "models/hf_directory.h"
#include "models/tokenizer.h"
#include "models/trainer.h"
#include "runtime/clock.h"
#include "runtime/compute_pool.h"
#include "tasks/dataset.h"

/* Problems of the warm-up lie far from those of the run: both are fresh. */
static const uint64_t FIRST_PROBLEM = (uint64_t)1 << 40;

struct warmup {
        const struct scope_warmup_options *options;
        struct scope_assembly assembly;
        struct scope_compute_pool *pool;
        struct scope_engine *engine;
        struct scope_arena arena;
        struct scope_row *rows;
        uint32_t row_count, split[SCOPE_CORES_MAX + 1];
        float lr, norm;
        uint64_t tokens, right, sampled;
};

static double now_s(void)
{
        return (double)scope_clock_ns(CLOCK_MONOTONIC) * 1e-9;
}

/* --- one step ------------------------------------------------------------------------------- */

/* prompt + solution + EOS as one row, loss on the solution only. */
static enum scope_err add_row(struct warmup *warmup, uint64_t index, struct scope_diag *diag)
{
        const struct scope_pipeline_options *options = warmup->assembly.options;
        size_t max = (size_t)(options->rollout.max_prompt + options->rollout.max_response),
               count = 0, more = 0;
        uint64_t unspelled = 0; /* the policy cannot write them anyway */
        uint32_t *tokens = scope_arena_take(&warmup->arena, max * sizeof *tokens);
        float *values = scope_arena_take(&warmup->arena, 3 * max * sizeof *values);
        struct scope_problem problem;
        if (tokens == NULL || values == NULL)
                return SCOPE_ERR_MEMORY;
        enum scope_err err = scope_sampling_problem(&warmup->assembly, warmup->assembly.train,
                index, &warmup->arena, tokens, (size_t)options->rollout.max_prompt, &count,
                &problem, &unspelled, diag);
        if (err != SCOPE_OK)
                return err;
        if (problem.solution.bytes == 0)
                return scope_diag_set(diag, SCOPE_ERR_UNSUPPORTED,
                        "%s: has no solutions to warm up on", options->data.train);
        err = scope_tokenizer_as_library(
                scope_tokenizer_encode(warmup->assembly.tokenizer, problem.solution.at,
                        problem.solution.bytes, tokens + count, max - count - 1, &more),
                &unspelled);
        if (err != SCOPE_OK)
                return scope_diag_set(diag, err, "solution of problem %" PRIu64 ": %s", index,
                        scope_err_text(err));
        tokens[count + more] = warmup->assembly.model.layout->config.eos[0];
        warmup->rows[warmup->row_count++] = (struct scope_row){ .tokens = tokens,
                .count = (uint32_t)(count + more + 1),
                .first = (uint32_t)count,
                .temperature = 1,
                .logp = values,
                .entropy = values + max,
                .coef = values + 2 * max };
        return SCOPE_OK;
}

static enum scope_err run_step(void *arg, unsigned rank, unsigned size)
{
        struct warmup *warmup = arg;
        struct scope_trainer *trainer = warmup->assembly.trainer;
        uint32_t limit = (uint32_t)warmup->assembly.options->learner.microbatch_tokens;
        enum scope_err err = SCOPE_OK;
        (void)size;
        scope_trainer_zero(trainer, rank);
        for (uint32_t begin = warmup->split[rank];
                begin < warmup->split[rank + 1] && err == SCOPE_OK;) {
                uint32_t end = begin, tokens = 0;
                while (end < warmup->split[rank + 1] &&
                        (end == begin || tokens + warmup->rows[end].count <= limit))
                        tokens += warmup->rows[end++].count;
                err = scope_trainer_forward(trainer, rank, warmup->rows + begin, end - begin);
                if (err == SCOPE_OK)
                        err = scope_trainer_backward(
                                trainer, rank, warmup->rows + begin, end - begin);
                begin = end;
        }
        float norm = 0;
        if (err == SCOPE_OK)
                err = scope_trainer_step(trainer, rank, warmup->lr, &norm);
        if (rank == 0)
                warmup->norm = norm;
        return err;
}

static enum scope_err train_step(
        struct warmup *warmup, uint64_t step, double lr, struct scope_diag *diag)
{
        uint64_t batch = (uint64_t)warmup->options->batch, wanted = 0;
        enum scope_err err = SCOPE_OK;
        scope_arena_reset(&warmup->arena);
        warmup->row_count = 0;
        for (uint64_t i = 0; i < batch && err == SCOPE_OK; i++)
                err = add_row(warmup, FIRST_PROBLEM + step * batch + i, diag);
        if (err != SCOPE_OK)
                return err;
        for (uint32_t i = 0; i < warmup->row_count; i++) {
                wanted += warmup->rows[i].count - warmup->rows[i].first;
                warmup->tokens += warmup->rows[i].count;
        }
        for (uint32_t i = 0; i < warmup->row_count; i++)
                for (uint32_t t = warmup->rows[i].first; t < warmup->rows[i].count; t++)
                        warmup->rows[i].coef[t] = 1.0f / (float)wanted;
        double ramp = warmup->options->warmup > 0
                              ? ((double)step + 1) / (double)warmup->options->warmup
                              : 1;
        warmup->lr = (float)(lr * (ramp < 1 ? ramp : 1));
        scope_trainer_split(
                warmup->rows, warmup->row_count, warmup->assembly.comm->size, warmup->split);
        struct scope_job job = {
                .run = run_step, .arg = warmup, .cores = (uint8_t)warmup->assembly.comm->size
        };
        err = scope_compute_pool_run(warmup->pool, &job);
        if (err != SCOPE_OK)
                return scope_diag_set(diag, err, "warm-up step %" PRIu64 " failed: %s", step,
                        scope_err_text(err));
        return SCOPE_OK;
}

/* --- the test ------------------------------------------------------------------------------- */

static void count_right(void *context, uint64_t problem, uint32_t sample,
        const struct scope_engine_result *result, struct scope_string text)
{
        struct warmup *warmup = context;
        struct scope_problem record;
        (void)sample;
        (void)result;
        scope_arena_reset(&warmup->arena);
        if (scope_dataset_get(warmup->assembly.eval, problem, &warmup->arena, &record) != SCOPE_OK)
                return;
        warmup->sampled++;
        warmup->right +=
                scope_grade_response(record.gold, text, &warmup->assembly.options->grade, NULL)
                        .equal;
}

static uint64_t seed_of(uint64_t seed, uint64_t problem, uint32_t sample)
{
        return scope_sample_seed(seed, problem, sample);
}

static enum scope_err test(
        struct warmup *warmup, uint64_t version, double *ret_pass, struct scope_diag *diag)
{
        struct scope_buffer *weights = NULL;
        enum scope_err err = scope_trainer_export(warmup->assembly.trainer, &weights);
        if (err == SCOPE_OK)
                err = warmup->engine->class_->publish(warmup->engine, weights, version, false);
        scope_buffer_drop(weights); /* the engine keeps its own reference */
        if (err != SCOPE_OK)
                return scope_diag_set(
                        diag, err, "weights could not be published: %s", scope_err_text(err));
        warmup->right = warmup->sampled = 0;
        struct scope_sampling sampling = { .assembly = &warmup->assembly,
                .pool = warmup->pool,
                .engine = warmup->engine,
                .data = warmup->assembly.eval,
                .problems = (uint64_t)warmup->options->test_problems,
                .samples = (uint32_t)warmup->options->test_samples,
                .seed = scope_hash_pair(
                        (uint64_t)warmup->assembly.options->run.seed, 0x7e57 + version),
                .seed_of = seed_of,
                .temperature = 1,
                .top_p = 1,
                .sampled = count_right,
                .context = warmup };
        err = scope_sampling_run(&sampling, diag);
        *ret_pass = warmup->sampled > 0 ? (double)warmup->right / (double)warmup->sampled : 0;
        return err;
}

/* --- the whole ------------------------------------------------------------------------------ */

static enum scope_err build(struct warmup *warmup, const struct scope_pipeline_options *options,
        struct scope_diag *diag)
{
        size_t tokens = (size_t)(options->rollout.max_prompt + options->rollout.max_response);
        size_t batch = (size_t)warmup->options->batch;
        enum scope_err err = scope_assembly_load(&warmup->assembly, options, diag);
        if (err == SCOPE_OK)
                err = scope_assembly_build(&warmup->assembly, diag);
        if (err == SCOPE_OK)
                err = scope_assembly_engine(&warmup->assembly, &warmup->assembly.model,
                        (uint32_t)options->rollout.slots, warmup->assembly.cores.compute_count,
                        &warmup->engine);
        if (err == SCOPE_OK)
                err = scope_arena_init(&warmup->arena, batch * (tokens * 16 + 4096) + (1 << 20));
        warmup->rows = calloc(batch, sizeof *warmup->rows);
        if (err == SCOPE_OK && warmup->rows == NULL)
                err = SCOPE_ERR_MEMORY;
        struct scope_compute_pool_options pool = { .threads = warmup->assembly.cores.compute_count,
                .cores = warmup->assembly.cores.compute,
                .spin = true };
        if (err == SCOPE_OK)
                err = scope_compute_pool_create(&pool, &warmup->pool);
        return err;
}

static enum scope_err save(
        struct warmup *warmup, const char *path, const char *stamp, struct scope_diag *diag)
{
        char file[SCOPE_PATH_BYTES_MAX];
        enum scope_err err = scope_model_save(path, warmup->assembly.model.layout,
                scope_trainer_parameters(warmup->assembly.trainer), NULL, diag);
        (void)snprintf(file, sizeof file, "%s/warmup.json", path);
        return err == SCOPE_OK ? scope_file_commit(file, stamp, strlen(stamp), diag) : err;
}

static enum scope_err train_until(struct warmup *warmup, bool quiet,
        struct scope_warmup_result *result, struct scope_diag *diag)
{
        const struct scope_warmup_options *options = warmup->options;
        int in_row = 0;
        for (uint64_t step = 0; step < (uint64_t)options->steps_max; step++) {
                enum scope_err err = train_step(warmup, step, options->lr, diag);
                if (err != SCOPE_OK)
                        return err;
                result->steps = step + 1;
                bool due = (step + 1) % (uint64_t)options->test_every == 0 &&
                           step + 1 >= (uint64_t)options->test_from;
                if (!due)
                        continue;
                err = test(warmup, step + 1, &result->pass_at_1, diag);
                if (err != SCOPE_OK)
                        return err;
                if (!quiet)
                        (void)fprintf(stderr,
                                "warm-up  step %4" PRIu64
                                "  %6.2f M tokens  pass@1 %.3f (target %.3f)\n",
                                step + 1, (double)warmup->tokens * 1e-6, result->pass_at_1,
                                options->target);
                in_row = result->pass_at_1 >= options->target ? in_row + 1 : 0;
                if (in_row == 2)
                        return SCOPE_OK;
        }
        return scope_diag_set(diag, SCOPE_ERR_LIMIT,
                "warm-up reached pass@1 %.3f after %lld steps, not warmup.target = %.3f; raise "
                "warmup.steps_max or "
                "try another run.seed",
                result->pass_at_1, (long long)options->steps_max, options->target);
}

/* What made the directory: the settings that matter, as text. Equal text, equal weights. */
static void describe(const struct scope_pipeline_options *options,
        const struct scope_warmup_options *warmup, unsigned ranks, struct scope_text *text)
{
        scope_json_open(text, NULL, '{');
        scope_json_text(text, "train", options->data.train);
        scope_json_text(text, "eval", options->data.eval);
        scope_json_text(text, "model", options->model.path);
        if (strncmp(options->model.path, "builtin:", 8) != 0 ||
                strcmp(options->data.prompt_format, "auto") != 0) { /* else prompts are plain */
                scope_json_text(text, "prompt_format", options->data.prompt_format);
                scope_json_text(text, "system", options->data.system);
                scope_json_text(text, "instruction", options->data.instruction);
                scope_json_bool(text, "blank_line_hint", options->data.blank_line_hint);
                scope_json_text(text, "template_variables", options->data.template_variables);
                scope_json_text(text, "template_date", options->data.template_date);
        }
        scope_json_int(text, "seed", options->run.seed);
        scope_json_uint(text, "ranks", ranks);
        scope_json_int(text, "batch", warmup->batch);
        scope_json_double(text, "lr", warmup->lr);
        scope_json_double(text, "beta1", options->learner.beta1);
        scope_json_double(text, "beta2", warmup->beta2);
        scope_json_double(text, "eps", options->learner.eps);
        scope_json_double(text, "weight_decay", options->learner.weight_decay);
        scope_json_double(text, "grad_clip", options->learner.grad_clip);
        scope_json_int(text, "warmup", warmup->warmup);
        scope_json_double(text, "target", warmup->target);
        scope_json_int(text, "test_every", warmup->test_every);
        scope_json_int(text, "test_from", warmup->test_from);
        scope_json_int(text, "test_problems", warmup->test_problems);
        scope_json_int(text, "test_samples", warmup->test_samples);
        scope_json_int(text, "prm_steps", warmup->prm_path[0] != 0 ? warmup->prm_steps : 0);
        scope_json_double(text, "prm_lr", warmup->prm_lr);
        scope_json_close(text, '}');
        scope_text_string(text, "\n");
}

static bool already_there(const char *path, const char *stamp)
{
        char file[SCOPE_PATH_BYTES_MAX];
        char *bytes = NULL;
        size_t count = 0;
        (void)snprintf(file, sizeof file, "%s/warmup.json", path);
        bool same = scope_file_read(file, 1 << 16, &bytes, &count, NULL) == SCOPE_OK &&
                    strcmp(bytes, stamp) == 0;
        free(bytes);
        return same;
}

static enum scope_err train_prm(struct warmup *warmup, const char *stamp, uint64_t from, bool quiet,
        struct scope_diag *diag)
{
        const struct scope_warmup_options *options = warmup->options;
        for (uint64_t step = from; step < from + (uint64_t)options->prm_steps; step++) {
                enum scope_err err = train_step(warmup, step, options->prm_lr, diag);
                if (err != SCOPE_OK)
                        return err;
        }
        if (!quiet)
                (void)fprintf(stderr, "warm-up  likelihood PRM: %lld further steps, saved in %s\n",
                        (long long)options->prm_steps, options->prm_path);
        return save(warmup, options->prm_path, stamp, diag);
}

enum scope_err scope_warmup_run(const struct scope_pipeline_options *given, bool quiet,
        struct scope_warmup_result *ret_result, struct scope_diag *diag)
{
        const struct scope_warmup_options *options = &given->warmup;
        struct scope_pipeline_options settings = *given;
        struct warmup warmup = { .options = options };
        struct scope_text stamp = { 0 };
        double began = now_s();
        *ret_result = (struct scope_warmup_result){ 0 };
        (void)snprintf(settings.model.path, sizeof settings.model.path, "builtin:tiny");
        settings.prm.backend = SCOPE_PRM_OFF;
        settings.loss.objective.kl_beta = 0;
        settings.learner.beta2 = options->beta2;
        settings.eval.every = 0;
        settings.stages = (struct scope_stages_options){ .rollout = SCOPE_PLAY_NATIVE };
        enum scope_err err = build(&warmup, &settings, diag);
        if (err == SCOPE_OK)
                describe(&settings, options, warmup.assembly.comm->size, &stamp);
        if (err == SCOPE_OK && stamp.failed)
                err = SCOPE_ERR_MEMORY;
        if (err == SCOPE_OK && already_there(options->path, stamp.bytes) &&
                (options->prm_path[0] == 0 || already_there(options->prm_path, stamp.bytes))) {
                ret_result->cached = true;
        } else if (err == SCOPE_OK) {
                err = train_until(&warmup, quiet, ret_result, diag);
                if (err == SCOPE_OK)
                        err = save(&warmup, options->path, stamp.bytes, diag);
                if (err == SCOPE_OK && options->prm_path[0] != 0)
                        err = train_prm(&warmup, stamp.bytes, ret_result->steps, quiet, diag);
        }
        ret_result->tokens = warmup.tokens;
        ret_result->seconds = now_s() - began;
        if (err == SCOPE_OK && !quiet)
                (void)fprintf(stderr, "warm-up  %s %s (%.1f s)\n",
                        ret_result->cached ? "found in" : "done, saved in", options->path,
                        ret_result->seconds);
        scope_compute_pool_destroy(warmup.pool);
        scope_engine_destroy(warmup.engine);
        scope_arena_fini(&warmup.arena);
        free(warmup.rows);
        scope_text_fini(&stamp);
        scope_assembly_fini(&warmup.assembly);
        return err;
}

/* --- the command ---------------------------------------------------------------------------- */

static enum scope_exit command(const struct scope_arguments *arguments)
{
        static struct scope_pipeline_options options; /* too big for a stack */
        struct scope_config *config = NULL;
        struct scope_warmup_result result;
        struct scope_diag diag = { "" };
        enum scope_exit code = scope_load(arguments, &options, &config);
        if (code != SCOPE_EXIT_DONE)
                return code;
        scope_config_destroy(config);
        if (options.warmup.path[0] == 0) {
                (void)fprintf(stderr,
                        "error: warmup.path is empty: say where the policy goes, for example "
                        "--set warmup.path=runs/warm\n");
                return SCOPE_EXIT_USAGE;
        }
        enum scope_err err = scope_warmup_run(&options, arguments->quiet, &result, &diag);
        if (err != SCOPE_OK) {
                (void)fprintf(
                        stderr, "error: %s\n", diag.text[0] != 0 ? diag.text : scope_err_text(err));
                return err == SCOPE_ERR_LIMIT ? SCOPE_EXIT_FAILED : SCOPE_EXIT_PRECONDITION;
        }
        if (arguments->json) {
                struct scope_text text = { 0 };
                scope_json_open(&text, NULL, '{');
                scope_json_text(&text, "path", options.warmup.path);
                scope_json_bool(&text, "cached", result.cached);
                scope_json_uint(&text, "steps", result.steps);
                scope_json_uint(&text, "tokens", result.tokens);
                scope_json_double(&text, "pass@1", result.pass_at_1);
                scope_json_double(&text, "seconds", result.seconds);
                scope_json_close(&text, '}');
                (void)puts(text.failed ? "{}" : text.bytes);
                scope_text_fini(&text);
        }
        return SCOPE_EXIT_DONE;
}

const struct scope_command scope_warmup_command = { .name = "warmup",
        .words = "CONFIG...",
        .help = "train the tiny policy by supervised learning until it sometimes succeeds",
        .takes = SCOPE_TAKES_CONFIG,
        .run = command };
