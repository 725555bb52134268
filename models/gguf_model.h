/* gguf_model.h - a whole model out of a GGUF file and into one.
 * Why: the names, the order of rotary pairs and the metadata keys of llama.cpp on one side, our
 * layout (Hugging Face's names and order) on the other. */
#pragma once

#include "base/error.h"
#include "models/config.h"

struct scope_gguf;
struct scope_model;

/* The shape of the model: llama, qwen2 and qwen3, language heads only.
 * errors  SCOPE_ERR_UNSUPPORTED: another architecture, scaling, experts, ... by name;
 *         SCOPE_ERR_NOT_FOUND: a key or tensor that must be there; SCOPE_ERR_FORMAT, _SHAPE
 * thread  any, blocks */
enum scope_err scope_gguf_config(const struct scope_gguf *file,
        struct scope_model_config *ret_config, struct scope_diag *diag);

/* Reads the model. Every tensor is found, of its right shape, before memory is taken; one that the
 * model has no place for is refused by name: without it the model would compute something else.
 * owns    gives
 * errors  as above, as scope_gguf_open     thread  any, blocks */
enum scope_err scope_gguf_model_load(
        const char *path, struct scope_model *ret_model, struct scope_diag *diag);

enum scope_gguf_form {
        SCOPE_GGUF_AS_F32,
        SCOPE_GGUF_AS_F16,
        SCOPE_GGUF_AS_BF16,
        SCOPE_GGUF_AS_Q8_0
};

/* Writes the model, with the tokenizer of `directory` or of a .gguf file, into `path`, which must
 * not exist. Vectors stay F32; a matrix whose rows are no whole blocks of Q8_0 becomes F16, as in
 * llama.cpp.
 * errors  SCOPE_ERR_UNSUPPORTED: a reward head; as scope_gguf_write, as scope_gguf_put_tokenizer
 * thread  any, blocks */
enum scope_err scope_gguf_model_save(const char *path, const struct scope_layout *layout,
        const float *parameters, const char *directory, enum scope_gguf_form form,
        struct scope_diag *diag);
