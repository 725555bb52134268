/* eval.c - how good a policy is: pass@k, majority, lengths and diversity on data.eval.
 * Why: the same numbers as during a run, for any checkpoint, without a run; and for the samples of
 * any other model, from a file, without any model. */
#include <stdio.h>
#include <string.h>

#include "actors/evaluation.h"
#include "base/buffer.h"
#include "base/text.h"
#include "cli/assembly.h"
#include "cli/config.h"
#include "cli/eval_samples.h"
#include "cli/load.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/sampling.h"
#include "runtime/compute_pool.h"
#include "tasks/dataset.h"

struct eval_flags {
        char checkpoint[512], samples[512], out[512];
        int64_t k;
};
static struct eval_flags flags;
static const struct scope_option rows[] = {
        SCOPE_TEXT_OPTION(
                eval_flags, checkpoint, "", "a Hugging Face directory instead of model.path"),
        SCOPE_TEXT_OPTION(eval_flags, samples, "",
                "grade the samples of a .jsonl file; no model, CONFIG may be left out"),
        SCOPE_TEXT_OPTION(eval_flags, out, "", "write every sample with its verdict to a file"),
        SCOPE_INT_OPTION(eval_flags, k, "10", 1, 65536,
                "pass@k of this k, besides 1, 2, 4, ... up to the samples of a problem"),
        SCOPE_OPTION_END,
};

struct evaluating {
        struct scope_evaluation *evaluation;
        struct scope_eval_writer *writer;
        enum scope_err err;
};

static void sampled(void *context, uint64_t problem, uint32_t sample,
        const struct scope_engine_result *result, struct scope_string text)
{
        struct evaluating *evaluating = context;
        struct scope_evaluation_sample record = {
                .problem = (uint32_t)problem, .text = text, .tokens = result->token_count
        };
        char number[24];
        (void)snprintf(number, sizeof number, "%u", record.problem);
        if (evaluating->err == SCOPE_OK)
                evaluating->err = scope_evaluation_add(evaluating->evaluation, &record);
        if (evaluating->err == SCOPE_OK)
                evaluating->err = scope_eval_writer_put(evaluating->writer, number, sample,
                        &record, scope_evaluation_verdict(evaluating->evaluation));
}

/* An engine with the model's weights, and a pool to run it on. */
static enum scope_err build(const struct scope_assembly *assembly, struct scope_engine **ret_engine,
        struct scope_compute_pool **ret_pool)
{
        struct scope_compute_pool_options pool = { .threads = assembly->cores.compute_count,
                .cores = assembly->cores.compute,
                .spin = true };
        size_t bytes = assembly->model.layout->float_count * sizeof(float);
        struct scope_buffer *weights = NULL;
        enum scope_err err = scope_compute_pool_create(&pool, ret_pool);
        if (err == SCOPE_OK)
                err = scope_assembly_engine(assembly, &assembly->model,
                        (uint32_t)assembly->options->rollout.slots, assembly->cores.compute_count,
                        ret_engine);
        if (err == SCOPE_OK)
                err = scope_buffer_create(bytes, &weights);
        if (err != SCOPE_OK)
                return err;
        memcpy(scope_buffer_data(weights), assembly->model.parameters, bytes);
        err = (*ret_engine)->class_->publish(*ret_engine, weights, 0, false);
        scope_buffer_drop(weights); /* the engine keeps its own reference */
        return err;
}

static enum scope_err evaluate(const struct scope_assembly *assembly,
        struct scope_evaluation *evaluation, struct scope_eval_writer *writer,
        struct scope_diag *diag)
{
        const struct scope_eval_options *options = &assembly->options->eval;
        struct scope_compute_pool *pool = NULL;
        struct scope_engine *engine = NULL;
        struct evaluating evaluating = { .evaluation = evaluation, .writer = writer };
        enum scope_err err = build(assembly, &engine, &pool);
        struct scope_sampling sampling = { .assembly = assembly,
                .pool = pool,
                .engine = engine,
                .data = assembly->eval,
                .problems = (uint64_t)options->problems,
                .samples = (uint32_t)options->samples,
                .seed = (uint64_t)assembly->options->run.seed,
                .seed_of = scope_evaluation_seed,
                .temperature = options->temperature,
                .top_p = options->top_p,
                .sampled = sampled,
                .context = &evaluating };
        if (err == SCOPE_OK)
                err = scope_sampling_run(&sampling, diag);
        scope_engine_destroy(engine);
        scope_compute_pool_destroy(pool);
        return err != SCOPE_OK ? err : evaluating.err;
}

static enum scope_exit print(struct scope_evaluation *evaluation, bool json)
{
        struct scope_metric metrics[SCOPE_EVALUATION_METRICS_MAX];
        struct scope_text text = { 0 };
        uint32_t count = scope_evaluation_metrics(evaluation, metrics);
        if (json)
                scope_json_open(&text, NULL, '{');
        for (uint32_t i = 0; i < count; i++) {
                char name[64];
                (void)snprintf(
                        name, sizeof name, "%.*s", (int)metrics[i].name.bytes, metrics[i].name.at);
                if (json)
                        scope_json_double(&text, name, metrics[i].value);
                else
                        scope_text_format(&text, "%-24s %.4f\n", name, metrics[i].value);
        }
        if (!json)
                return scope_output(&text);
        scope_json_close(&text, '}');
        return scope_output_json(&text);
}

/* Samples of the policy itself. */
static enum scope_err sample_policy(const struct scope_pipeline_options *options,
        struct scope_eval_writer *writer, struct scope_evaluation **ret_evaluation,
        struct scope_diag *diag)
{
        struct scope_assembly assembly = { 0 };
        enum scope_err err = scope_assembly_load(&assembly, options, diag);
        if (err == SCOPE_OK) {
                struct scope_evaluation_options wanted = { .grade = &options->grade,
                        .data = assembly.eval,
                        .problems = (uint32_t)options->eval.problems,
                        .samples = (uint32_t)options->eval.samples,
                        .full = true,
                        .k = (uint32_t)flags.k };
                err = scope_evaluation_create(&wanted, ret_evaluation);
        }
        if (err == SCOPE_OK)
                err = evaluate(&assembly, *ret_evaluation, writer, diag);
        scope_assembly_fini(&assembly);
        return err;
}

/* Samples of a file, with the gold answers of data.eval where a configuration names it. */
static enum scope_err read_samples(const struct scope_pipeline_options *options, bool configured,
        struct scope_eval_writer *writer, struct scope_evaluation **ret_evaluation,
        struct scope_diag *diag)
{
        struct scope_dataset *data = NULL;
        enum scope_err err = configured && options->data.eval[0] != 0
                                     ? scope_dataset_open(options->data.eval, &data, diag)
                                     : SCOPE_OK;
        struct scope_eval_samples samples = { .path = flags.samples,
                .data = data,
                .grade = &options->grade,
                .k = (uint32_t)flags.k,
                .writer = writer };
        if (err == SCOPE_OK)
                err = scope_eval_samples_read(&samples, ret_evaluation, diag);
        scope_dataset_destroy(data);
        return err;
}

static enum scope_exit command(const struct scope_arguments *arguments)
{
        static struct scope_pipeline_options options; /* too big for a stack */
        struct scope_config *config = NULL;
        struct scope_evaluation *evaluation = NULL;
        struct scope_eval_writer *writer = NULL;
        struct scope_diag diag = { "" };
        bool from_file = flags.samples[0] != 0;
        enum scope_exit code = arguments->word_count == 0 && from_file
                                       ? scope_load_standard(arguments, &options, &config)
                                       : scope_load(arguments, &options, &config);
        if (code != SCOPE_EXIT_DONE)
                return code;
        scope_config_destroy(config);
        if (flags.checkpoint[0] != 0)
                (void)snprintf(
                        options.model.path, sizeof options.model.path, "%s", flags.checkpoint);
        enum scope_err err = flags.out[0] != 0
                                     ? scope_eval_writer_open(flags.out, &writer, &diag)
                                     : SCOPE_OK;
        if (err == SCOPE_OK && from_file)
                err = read_samples(
                        &options, arguments->word_count > 0, writer, &evaluation, &diag);
        else if (err == SCOPE_OK)
                err = sample_policy(&options, writer, &evaluation, &diag);
        enum scope_err closed = scope_eval_writer_close(writer, err == SCOPE_OK ? &diag : NULL);
        err = err != SCOPE_OK ? err : closed;
        if (err == SCOPE_OK)
                code = print(evaluation, arguments->json);
        else
                (void)fprintf(
                        stderr, "error: %s\n", diag.text[0] != 0 ? diag.text : scope_err_text(err));
        scope_evaluation_destroy(evaluation);
        return err == SCOPE_OK ? code : SCOPE_EXIT_PRECONDITION;
}

const struct scope_command scope_eval_command = { .name = "eval",
        .words = "CONFIG... | --samples FILE",
        .help = "pass@k, majority, lengths and diversity of a policy on data.eval, or of a file",
        .flags = rows,
        .base = &flags,
        .takes = SCOPE_TAKES_CONFIG,
        .run = command };
