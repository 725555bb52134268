/* hf_config.h - config.json and generation_config.json: a model's shape as Hugging Face writes it.
 * Why: one place knows the families (Llama 3.x, SmolLM2, Qwen2, Qwen2.5, Qwen3, the two PRM heads)
 * and what of them our transformer computes. All else is refused by name: it would load and then
 * compute something else. */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "models/config.h"

struct scope_text;

/* Reads the text of a config.json; `path` is for messages. Both forms of rotary positions:
 * rope_theta + rope_scaling, and rope_parameters (transformers 5).
 * errors  SCOPE_ERR_FORMAT; SCOPE_ERR_UNSUPPORTED: another architecture, scaling, activation, ...;
 *         SCOPE_ERR_SHAPE: a bound     thread  any */
enum scope_err scope_hf_config_parse(const char *path, const char *json, size_t bytes,
        struct scope_model_config *ret_config, struct scope_diag *diag);

/* Of a directory. The EOS ids of generation_config.json, which instruct models add to, join those
 * of config.json.     errors  as above; SCOPE_ERR_NOT_FOUND     thread  any, blocks */
enum scope_err scope_hf_config_load(const char *directory, struct scope_model_config *ret_config,
        struct scope_diag *diag);

/* The texts of the two files.     thread  any */
void scope_hf_config_write(const struct scope_model_config *config, struct scope_text *text);
void scope_hf_generation_write(const struct scope_model_config *config, struct scope_text *text);
