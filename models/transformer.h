/* transformer.h - the one transformer, run over packed sequences: forward, heads, backward.
 * Why: trainer and scoring share it. RMSNorm, rotary positions, grouped-query attention, SwiGLU,
 * tied or untied head, optional biases and head norms. A transformer holds activations only;
 * weights are the caller's.
 * Backward reads every layer's activations, kept, or computed again from the layer's input: by the
 * same kernels in the same order, so gradients are the same to the bit.
 * (1) Memory is taken at create, none later. (2) One thread at a time; ranks have one each. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct scope_kernels;
struct scope_layout;
struct scope_transformer;

struct scope_transformer_options {
        const struct scope_layout *layout;   /* borrowed */
        const struct scope_kernels *kernels; /* borrowed */
        uint32_t rows_max;                   /* tokens of one batch */
        uint32_t length_max;                 /* tokens of one sequence */
        bool training;                       /* keep what backward needs */
        bool recompute;                      /* of it, keep only each layer's input */
};

/* Sequence s is rows [begin[s], begin[s + 1]), begin[0] = 0. */
struct scope_transformer_batch {
        const uint32_t *tokens, *positions; /* [rows]; below vocab and length_max */
        const uint32_t *begin;              /* [sequences + 1] */
        uint32_t rows, sequences;
};

/* The predictions looked at: row rows[i] of the batch predicts token targets[i]. No row appears
 * twice. */
struct scope_transformer_wanted {
        const uint32_t *rows, *targets;
        const float *temperature;
        float *logp, *entropy;            /* written by logprob */
        const float *coef, *entropy_coef; /* read by backward */
        uint32_t count;
};

/* errors  SCOPE_ERR_MEMORY; SCOPE_ERR_UNSUPPORTED: training a reward head     owns  gives
 * thread  setup */
enum scope_err scope_transformer_create(const struct scope_transformer_options *options,
        struct scope_transformer **ret_transformer);
void scope_transformer_destroy(struct scope_transformer *transformer); /* accepts NULL */

/* Runs the layers and the final norm.     errors  SCOPE_ERR_SHAPE: over rows_max or length_max */
enum scope_err scope_transformer_forward(struct scope_transformer *transformer,
        const float *parameters, const struct scope_transformer_batch *batch);

/* Log-probability and entropy of the wanted predictions of the last forward (language head). */
enum scope_err scope_transformer_logprob(struct scope_transformer *transformer,
        const float *parameters, const struct scope_transformer_wanted *wanted);

/* Probability of class 1 at each row of the last forward (two-class heads, which have no
 * backward). */
enum scope_err scope_transformer_reward(
        struct scope_transformer *transformer, const float *parameters, float *ret_probability);

/* gradient += d f / d parameters, f = sum over wanted of coef * logp + entropy_coef * entropy, at
 * the last forward, whose batch and parameters are given again unchanged. */
enum scope_err scope_transformer_backward(struct scope_transformer *transformer,
        const float *parameters, const struct scope_transformer_batch *batch,
        const struct scope_transformer_wanted *wanted, float *gradient);
