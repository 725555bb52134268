/* hf_directory.h - a model as a Hugging Face directory: config.json, model.safetensors, tokenizer
 * files.
 * Why: what we train opens in every other tool, and what others trained opens here. */
#pragma once

#include <stddef.h>

#include "base/dtype.h"
#include "base/error.h"
#include "models/config.h"

struct scope_model {
        struct scope_layout *layout;
        float *parameters; /* [layout->float_count], 64-byte aligned */
};

/* Reads a directory (config.json; model.safetensors, or the shards of its index; F32, BF16, F16),
 * or a file that ends in .gguf. Everything is checked before it is allocated (actors.md 5, items 19
 * and 20); missing tensors are errors; unknown ones are ignored in a directory, refused in a GGUF.
 * errors  SCOPE_ERR_NOT_FOUND, SCOPE_ERR_FORMAT, SCOPE_ERR_UNSUPPORTED, SCOPE_ERR_TOO_BIG with
 *         file, place and remedy in diag     owns  gives     thread  any, blocks */
enum scope_err scope_model_load(const char *path, struct scope_model *ret_model,
        struct scope_diag *diag);
void scope_model_fini(struct scope_model *model); /* accepts a zeroed one */

struct scope_model_save_options {
        /* whose config.json, generation_config.json, tokenizer and template files are kept: a
         * directory or a .gguf file. NULL: the built-in ones, when the tokenizer is the tiny one */
        const char *like;
        enum scope_dtype dtype;   /* of the weights: F32 or BF16; config.json says it */
        uint64_t shard_bytes;     /* several files and an index when one would be larger */
};
#define SCOPE_SHARD_BYTES 5000000000u

/* Writes a complete directory, atomically: into `directory`.tmp, flushed, renamed; an existing one
 * is replaced. Keys of config.json that we do not know are kept when it says the same model.
 * `parameters` f32 in the layout's order.
 * errors  SCOPE_ERR_NO_SPACE, SCOPE_ERR_IO: nothing of the old directory is harmed     thread  any,
 *         blocks */
enum scope_err scope_model_save_as(const char *directory, const struct scope_layout *layout,
        const float *parameters, const struct scope_model_save_options *options,
        struct scope_diag *diag);

/* The same in F32, in files of at most SCOPE_SHARD_BYTES. */
enum scope_err scope_model_save(const char *directory, const struct scope_layout *layout,
        const float *parameters, const char *like, struct scope_diag *diag);
