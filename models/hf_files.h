/* hf_files.h - the files of a Hugging Face directory beside its weights. For hf_save.c.
 * Why: what stands in the directory that a model came from, and that we do not understand, must
 * come out again: keys of config.json, generation settings, tokenizer and template files. */
#pragma once

#include "base/dtype.h"
#include "base/error.h"
#include "models/config.h"

/* Writes config.json, generation_config.json and the tokenizer's files into `directory`.
 * in      like: NULL, a directory, or a .gguf file. A directory whose config.json says the same
 *         model keeps that file but for its dtype
 * errors  those of reading `like` and of writing     thread  any, blocks */
enum scope_err scope_hf_files_write(const char *directory, const struct scope_model_config *config,
        const char *like, enum scope_dtype dtype, struct scope_diag *diag);

/* Is `path` meant as a GGUF file: does it end in .gguf?     thread  any */
bool scope_is_gguf(const char *path);
