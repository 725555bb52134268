/* export.c - `export` and `import`: a model from one form into another.
 * Why: what we train must open everywhere, and what people have must open here. What is read is a
 * Hugging Face directory, a run, one of its checkpoints or a GGUF file; what is written is told by
 * the name of the target. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "cli/checkpoint.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "models/gguf_model.h"
#include "models/hf_directory.h"
#include "models/hf_files.h"

enum dtype { DTYPE_F32, DTYPE_BF16, DTYPE_F16, DTYPE_Q8_0 };
static const char *const dtypes[] = { "f32", "bf16", "f16", "q8_0", NULL };

static struct export_flags {
        int dtype;
        int64_t shard;
} flags;
static const struct scope_option rows[] = {
        SCOPE_ENUM_OPTION(export_flags, dtype, "f32", dtypes,
                "of the weights; a directory holds f32 or bf16, a .gguf any"),
        SCOPE_SIZE_OPTION(export_flags, shard, "5GB", 1, 1e15,
                "largest safetensors file of a directory"),
        SCOPE_OPTION_END,
};

static enum scope_exit refuse(const struct scope_diag *diag)
{
        (void)fprintf(stderr, "error: %s\n", diag->text);
        return SCOPE_EXIT_PRECONDITION;
}

static bool holds(const char *directory, const char *name)
{
        char path[SCOPE_PATH_BYTES_MAX];
        return scope_path_format(path, NULL, "%s/%s", directory, name) == SCOPE_OK &&
               access(path, F_OK) == 0;
}

/* The directory with config.json that `source` means: itself, or a checkpoint's hf/. */
static enum scope_err find_model(const char *source, char *ret_path, struct scope_diag *diag)
{
        uint64_t step = 0;
        /* A run has a config.json of its own: its checkpoints come first. */
        if (holds(source, "hf/config.json"))
                return scope_path_format(ret_path, diag, "%s/hf", source);
        if (holds(source, "checkpoints")) {
                enum scope_err err = scope_checkpoint_newest(source, &step, diag);
                if (err != SCOPE_OK)
                        return err;
                return scope_path_format(ret_path, diag, "%s/checkpoints/step_%06llu/hf", source,
                        (unsigned long long)step);
        }
        if (scope_is_gguf(source) || holds(source, "config.json"))
                return scope_path_format(ret_path, diag, "%s", source);
        return scope_diag_set(diag, SCOPE_ERR_NOT_FOUND,
                "%.400s: no model: neither a .gguf file nor a directory with config.json, "
                "nor a run or checkpoint that holds one", source);
}

static enum scope_err check_dtype(const char *target, struct scope_diag *diag)
{
        const bool gguf = scope_is_gguf(target);
        if (!gguf && (flags.dtype == DTYPE_F16 || flags.dtype == DTYPE_Q8_0))
                return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "--dtype %s: a directory is written as f32 or bf16; for a GGUF file the "
                        "target must end in .gguf", dtypes[flags.dtype]);
        return SCOPE_OK;
}

static enum scope_err save(const char *target, const char *source, const struct scope_model *model,
        struct scope_diag *diag)
{
        static const enum scope_gguf_form forms[] = { [DTYPE_F32] = SCOPE_GGUF_AS_F32,
                [DTYPE_BF16] = SCOPE_GGUF_AS_BF16, [DTYPE_F16] = SCOPE_GGUF_AS_F16,
                [DTYPE_Q8_0] = SCOPE_GGUF_AS_Q8_0 };
        const struct scope_model_save_options options = { .like = source,
                .dtype = flags.dtype == DTYPE_BF16 ? SCOPE_DTYPE_BF16 : SCOPE_DTYPE_F32,
                .shard_bytes = (uint64_t)flags.shard };
        if (scope_is_gguf(target))
                return scope_gguf_model_save(target, model->layout, model->parameters, source,
                        forms[flags.dtype], diag);
        return scope_model_save_as(target, model->layout, model->parameters, &options, diag);
}

static enum scope_exit say(const char *source, const char *target, const struct scope_model *model,
        bool json)
{
        const struct scope_model_config *config = &model->layout->config;
        struct scope_text text = { 0 };
        if (json) {
                scope_json_open(&text, NULL, '{');
                scope_json_text(&text, "source", source);
                scope_json_text(&text, "target", target);
                scope_json_text(&text, "model_type", config->model_type);
                scope_json_uint(&text, "parameters", model->layout->parameter_count);
                scope_json_text(&text, "dtype", dtypes[flags.dtype]);
                scope_json_close(&text, '}');
                return scope_output_json(&text);
        }
        scope_text_format(&text, "%s -> %s: %s, %u layers, %.1f M parameters, %s\n", source,
                target, config->model_type, config->layers,
                (double)model->layout->parameter_count / 1e6, dtypes[flags.dtype]);
        return scope_output(&text);
}

static enum scope_exit convert(const char *source, const char *target, bool json)
{
        char path[SCOPE_PATH_BYTES_MAX];
        struct scope_model model = { 0 };
        struct scope_diag diag = { "" };
        if (check_dtype(target, &diag) != SCOPE_OK) {
                (void)fprintf(stderr, "error: %s\n", diag.text);
                return SCOPE_EXIT_USAGE;
        }
        if (access(target, F_OK) == 0) {
                (void)fprintf(stderr, "error: %s: exists: remove it or name another\n", target);
                return SCOPE_EXIT_PRECONDITION;
        }
        if (find_model(source, path, &diag) != SCOPE_OK
                || scope_model_load(path, &model, &diag) != SCOPE_OK)
                return refuse(&diag);
        enum scope_err err = save(target, path, &model, &diag);
        enum scope_exit code =
                err == SCOPE_OK ? say(path, target, &model, json) : refuse(&diag);
        scope_model_fini(&model);
        return code;
}

static enum scope_exit run_export(const struct scope_arguments *arguments)
{
        if (arguments->word_count != 2) {
                (void)fprintf(stderr, "error: export MODEL TARGET: two paths are needed; a TARGET "
                                      "that ends in .gguf becomes a GGUF file\n");
                return SCOPE_EXIT_USAGE;
        }
        return convert(arguments->words[0], arguments->words[1], arguments->json);
}

static enum scope_exit run_import(const struct scope_arguments *arguments)
{
        if (arguments->word_count != 2 || !scope_is_gguf(arguments->words[0])
                || scope_is_gguf(arguments->words[1])) {
                (void)fprintf(stderr, "error: import FILE.gguf DIRECTORY: a GGUF file and the name "
                                      "of a new directory are needed\n");
                return SCOPE_EXIT_USAGE;
        }
        return convert(arguments->words[0], arguments->words[1], arguments->json);
}

const struct scope_command scope_export_command = {
        .name = "export",
        .words = "MODEL TARGET",
        .help = "write a model, run or checkpoint as a GGUF file or a Hugging Face directory",
        .flags = rows,
        .base = &flags,
        .run = run_export,
};

const struct scope_command scope_import_command = {
        .name = "import",
        .words = "FILE.gguf DIRECTORY",
        .help = "make a Hugging Face directory of a GGUF file, tokenizer included",
        .flags = rows,
        .base = &flags,
        .run = run_import,
};
