/* transformer_state.h - what transformer*.c share: the activations of one batch.
 * Why: forward writes them, backward reads them. Shapes: R rows, h hidden, Q = heads * head_dim,
 * K = kv_heads * head_dim, F = ffn. Without training all layers are the same memory. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"
#include "kernels/token_logprob.h"
#include "models/config.h"
#include "models/transformer.h"

#define SCOPE_TRY(call)                                                                            \
        do {                                                                                       \
                enum scope_err try_err = (call);                                                   \
                if (try_err != SCOPE_OK)                                                           \
                        return try_err;                                                            \
        } while (0)

struct scope_activations {
        float *input, *input_normed;   /* [R, h] */
        float *q, *k, *v;              /* [R, Q], [R, K] twice: normed and rotated */
        float *q_raw, *k_raw;          /* before the head norms; NULL without them */
        float *attended;               /* [R, Q] */
        float *middle, *middle_normed; /* [R, h] */
        float *gate, *up, *swiglu;     /* [R, F] */
        float *input_inverse, *middle_inverse, *q_inverse, *k_inverse, *lse; /* [R], [R, heads] */
};

/* Gradients of the activations of the layer at hand. */
struct scope_activation_gradients {
        float *residual, *normed; /* [R, h] */
        float *attended, *q, *k, *v;
        float *swiglu, *gate, *up;
};

/* The head works on `rows_max` predictions and `columns_max` ids at a time: logits of a large
 * vocabulary are never all there. */
struct scope_head_block {
        uint32_t rows_max, columns_max;
        float *hidden, *dhidden; /* [rows_max, h] */
        float *logits;           /* [rows_max, columns_max]; reward head: [rows_max, h] */
        struct scope_token_partial *partial; /* [R] of the wanted predictions, for backward */
};

struct scope_transformer {
        const struct scope_layout *layout;
        const struct scope_kernels *kernels;
        uint32_t rows_max, length_max;
        uint32_t rows; /* of the last forward */
        bool recompute; /* of `layers` only the inputs are apart, the rest is one memory */
        struct scope_activations *layers;
        float *output, *output_normed, *output_inverse; /* [R, h], [R, h], [R] */
        struct scope_activation_gradients gradients;
        struct scope_head_block head;
        float *rope;      /* [length_max, head_dim] */
        float *attention; /* scratch */
        float *memory;    /* all of the above */
};

/* Fills the activations of layer `index` from its input. `output`, its result, may be NULL. */
enum scope_err scope_transformer_layer(const struct scope_transformer *transformer,
        const float *parameters, const struct scope_transformer_batch *batch, uint32_t index,
        float *output);

/* head.hidden[i] = the normed output of row rows[i]. */
void scope_transformer_gather(
        struct scope_transformer *transformer, const uint32_t *rows, uint32_t count);

/* head.logits [count, columns] of the gathered rows and ids [first, first + columns). */
enum scope_err scope_transformer_logits(struct scope_transformer *transformer,
        const float *parameters, uint32_t count, uint32_t first, uint32_t columns);

/* Ids that have a probability: all but padding rows. */
static inline uint32_t scope_transformer_ids(const struct scope_transformer *transformer)
{
        const struct scope_model_config *config = &transformer->layout->config;
        return config->tokens_used != 0 ? config->tokens_used : config->vocab;
}

static inline uint32_t scope_lesser(uint32_t a, uint32_t b)
{
        return a < b ? a : b;
}
