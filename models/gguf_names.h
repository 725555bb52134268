/* gguf_names.h - what llama.cpp calls a tensor. For gguf_load.c and gguf_save.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "models/config.h"
#include "models/gguf.h"

/* The name in the file of a tensor of the layout; false: it has none there.     pure */
bool scope_gguf_name(
        const struct scope_tensor *tensor, char ret_name[SCOPE_GGUF_NAME_BYTES_MAX + 1]);

/* Rows of a head whose halves stand interleaved in the file: of q and k in the architecture
 * "llama", which rotates neighbours. 0: they stand as they are.     pure */
uint32_t scope_gguf_head_rows(
        const struct scope_model_config *config, const struct scope_tensor *tensor);

/* rope_freqs.weight: by what each frequency is divided; [head_dim / 2].     pure */
void scope_gguf_rope_factors(const struct scope_model_config *config, float *ret_factors);
