/* config.h - the shape of a transformer, and where each tensor lies in its flat arena.
 * Why: one description covers Llama 3.x, SmolLM2, Qwen2/2.5, Qwen3 and the PRM head; parameters are
 * one array of floats, so that gradients, optimiser state, shards and weight transport are ranges
 * of it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "kernels/rope.h"

enum { SCOPE_EOS_MAX = 8, SCOPE_TENSOR_NAME_BYTES = 96 };

enum scope_head {
        SCOPE_HEAD_LANGUAGE, /* logits over the vocabulary */
        SCOPE_HEAD_REWARD,   /* score.0, ReLU, score.2: two classes a position (Qwen2.5-Math-PRM) */
        SCOPE_HEAD_CLASSES,  /* score alone: two classes a position (token classification) */
};

struct scope_model_config {
        char model_type[32];    /* "llama", "qwen2", "qwen3" */
        uint32_t layers, hidden, heads, kv_heads, head_dim, ffn, vocab, positions_max;
        float rope_theta, rms_eps;
        struct scope_rope_scaling rope_scaling;
        bool tied, qkv_bias, o_bias, qk_norm; /* qk_norm: Qwen3's norms of each head */
        enum scope_head head;
        uint32_t bos, pad;            /* UINT32_MAX = none */
        uint32_t eos[SCOPE_EOS_MAX], eos_count;
        /* Ids from here on are padding rows, which the tokenizer cannot write: never drawn, and of
         * no probability when sampling, scoring and training alike. 0 = none. Not part of hash. */
        uint32_t tokens_used;
};

/* Checks every bound and product.
 * errors  SCOPE_ERR_SHAPE, with the field's name in diag     thread  any */
enum scope_err scope_model_config_check(const struct scope_model_config *config,
        struct scope_diag *diag);

struct scope_tensor {
        /* Hugging Face's: "model.layers.0.self_attn.q_proj.weight" */
        char name[SCOPE_TENSOR_NAME_BYTES];
        uint32_t rows, columns;             /* [out, in]; vectors have rows = 1 */
        uint8_t rank;                       /* 1 or 2 as stored on disk */
        /* weight decay applies: matrices, not norms or biases */
        bool decay;
        size_t offset;                      /* floats from the arena's start, 16-float aligned */
};

/* Offsets of one layer's tensors; SIZE_MAX where the model has none. */
struct scope_layer_offsets {
        size_t input_norm, q, k, v, o, q_bias, k_bias, v_bias, o_bias, q_norm, k_norm, post_norm,
                gate, up, down;
};
struct scope_layout {
        struct scope_model_config config;
        struct scope_tensor *tensors;
        uint32_t tensor_count;
        struct scope_layer_offsets *layers;
        size_t embedding, final_norm, output;          /* output = embedding when tied */
        /* score_2: of both two-class heads, score_0: of SCOPE_HEAD_REWARD only */
        size_t score_0, score_0_bias, score_2, score_2_bias;
        size_t float_count;      /* of the arena, padding included (padding is always 0) */
        size_t parameter_count;  /* without padding */
        /* of config and offsets: two arenas with one hash are interchangeable */
        uint64_t hash;
};
enum scope_err scope_layout_create(const struct scope_model_config *config,
        struct scope_layout **ret_layout);
void scope_layout_destroy(struct scope_layout *layout); /* accepts NULL */

/* Initial weights: matrices normal(0, 1/sqrt(columns)), residual projections scaled by
 * 1/sqrt(2 layers), embeddings normal(0, 1), norms 1, biases 0. Measured: the tiny model learns the
 * built-in task about twice as fast as from normal(0, 0.02), which suits wide models. */
void scope_layout_randomise(const struct scope_layout *layout, uint64_t seed, float *parameters);
