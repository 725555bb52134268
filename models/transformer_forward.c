/* transformer_forward.c - embedding, layers, final norm, and the two heads. */
#include <string.h>

#include "base/check.h"
#include "base/yield.h"
#include "kernels/attention.h"
#include "kernels/binary_head.h"
#include "kernels/embedding.h"
#include "kernels/gemm.h"
#include "kernels/rmsnorm.h"
#include "kernels/rope.h"
#include "kernels/swiglu.h"
#include "kernels/token_logprob.h"
#include "models/transformer_state.h"

/* y = x W^T (+ b), W [n, k] at `weight` of the arena. */
static enum scope_err linear(const struct scope_transformer *t, const float *parameters,
        const float *x, size_t weight, size_t bias, float *y, uint32_t n, uint32_t k)
{
        scope_yield();
        return t->kernels->gemm(&(struct scope_gemm_args){ .x = x,
                                        .w = parameters + weight,
                                        .bias = bias != SIZE_MAX ? parameters + bias : NULL,
                                        .y = y,
                                        .m = t->rows,
                                        .n = n,
                                        .k = k },
                NULL);
}

/* sum = x + y W^T (+ b): what a block adds to the residual stream. */
static enum scope_err add_linear(const struct scope_transformer *t, const float *parameters,
        const float *y, size_t weight, size_t bias, uint32_t k, const float *x, float *sum)
{
        const uint32_t hidden = t->layout->config.hidden;
        if (sum != x)
                memcpy(sum, x, (size_t)t->rows * hidden * sizeof(float));
        scope_yield();
        return t->kernels->gemm(&(struct scope_gemm_args){ .x = y,
                                        .w = parameters + weight,
                                        .bias = bias != SIZE_MAX ? parameters + bias : NULL,
                                        .y = sum,
                                        .m = t->rows,
                                        .n = hidden,
                                        .k = k,
                                        .accumulate = true },
                NULL);
}

static enum scope_err norm(const struct scope_transformer *t, const float *x, const float *weight,
        float *y, float *inverse, uint32_t rows, uint32_t width)
{
        return t->kernels->rmsnorm(&(struct scope_rmsnorm_args){ .x = x,
                                           .weight = weight,
                                           .y = y,
                                           .inverse = inverse,
                                           .rows = rows,
                                           .width = width,
                                           .eps = t->layout->config.rms_eps },
                NULL);
}

static enum scope_err rotate(const struct scope_transformer *t, float *x,
        const struct scope_transformer_batch *batch, uint32_t heads)
{
        return t->kernels->rope(&(struct scope_rope_args){ .x = x,
                                        .positions = batch->positions,
                                        .table = t->rope,
                                        .rows = t->rows,
                                        .heads = heads,
                                        .head_dim = t->layout->config.head_dim },
                NULL);
}

/* q, k, v of a layer: projected, normed a head where the model does, rotated. */
static enum scope_err project(const struct scope_transformer *t, const float *parameters,
        const struct scope_transformer_batch *batch, const struct scope_layer_offsets *at,
        const struct scope_activations *a)
{
        const struct scope_model_config *c = &t->layout->config;
        const uint32_t query = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
        float *q = c->qk_norm ? a->q_raw : a->q, *k = c->qk_norm ? a->k_raw : a->k;
        const float *x = a->input_normed;
        SCOPE_TRY(linear(t, parameters, x, at->q, at->q_bias, q, query, c->hidden));
        SCOPE_TRY(linear(t, parameters, x, at->k, at->k_bias, k, kv, c->hidden));
        SCOPE_TRY(linear(t, parameters, x, at->v, at->v_bias, a->v, kv, c->hidden));
        if (c->qk_norm) {
                SCOPE_TRY(norm(t, q, parameters + at->q_norm, a->q, a->q_inverse,
                        t->rows * c->heads, c->head_dim));
                SCOPE_TRY(norm(t, k, parameters + at->k_norm, a->k, a->k_inverse,
                        t->rows * c->kv_heads, c->head_dim));
        }
        SCOPE_TRY(rotate(t, a->q, batch, c->heads));
        return rotate(t, a->k, batch, c->kv_heads);
}

enum scope_err scope_transformer_layer(const struct scope_transformer *t, const float *parameters,
        const struct scope_transformer_batch *batch, uint32_t index, float *output)
{
        const struct scope_model_config *c = &t->layout->config;
        const struct scope_layer_offsets *at = &t->layout->layers[index];
        const struct scope_activations *a = &t->layers[index];
        SCOPE_TRY(norm(t, a->input, parameters + at->input_norm, a->input_normed, a->input_inverse,
                t->rows, c->hidden));
        SCOPE_TRY(project(t, parameters, batch, at, a));
        SCOPE_TRY(t->kernels->attention(&(struct scope_attention_args){ .q = a->q,
                                                .k = a->k,
                                                .v = a->v,
                                                .out = a->attended,
                                                .lse = a->lse,
                                                .scratch = t->attention,
                                                .begin = batch->begin,
                                                .sequences = batch->sequences,
                                                .heads = c->heads,
                                                .kv_heads = c->kv_heads,
                                                .head_dim = c->head_dim },
                NULL));
        SCOPE_TRY(add_linear(t, parameters, a->attended, at->o, at->o_bias, c->heads * c->head_dim,
                a->input, a->middle));
        SCOPE_TRY(norm(t, a->middle, parameters + at->post_norm, a->middle_normed,
                a->middle_inverse, t->rows, c->hidden));
        const float *x = a->middle_normed;
        SCOPE_TRY(linear(t, parameters, x, at->gate, SIZE_MAX, a->gate, c->ffn, c->hidden));
        SCOPE_TRY(linear(t, parameters, x, at->up, SIZE_MAX, a->up, c->ffn, c->hidden));
        SCOPE_TRY(t->kernels->swiglu(&(struct scope_swiglu_args){ .gate = a->gate,
                                             .up = a->up,
                                             .out = a->swiglu,
                                             .count = (size_t)t->rows * c->ffn },
                NULL));
        if (output == NULL)
                return SCOPE_OK;
        return add_linear(
                t, parameters, a->swiglu, at->down, SIZE_MAX, c->ffn, a->middle, output);
}

static enum scope_err check_batch(
        const struct scope_transformer *t, const struct scope_transformer_batch *batch)
{
        if (batch->rows > t->rows_max)
                return SCOPE_ERR_SHAPE;
        scope_assert(batch->begin[0] == 0);
        scope_assert(batch->begin[batch->sequences] == batch->rows);
        for (uint32_t s = 0; s < batch->sequences; s++)
                if (batch->begin[s + 1] - batch->begin[s] > t->length_max)
                        return SCOPE_ERR_SHAPE;
        for (uint32_t i = 0; i < batch->rows; i++)
                if (batch->tokens[i] >= t->layout->config.vocab ||
                        batch->positions[i] >= t->length_max)
                        return SCOPE_ERR_SHAPE;
        return SCOPE_OK;
}

enum scope_err scope_transformer_forward(struct scope_transformer *t, const float *parameters,
        const struct scope_transformer_batch *batch)
{
        const struct scope_model_config *c = &t->layout->config;
        SCOPE_TRY(check_batch(t, batch));
        t->rows = batch->rows;
        SCOPE_TRY(t->kernels->embedding(&(struct scope_embedding_args){ .tokens = batch->tokens,
                                                .table = parameters + t->layout->embedding,
                                                .out = t->layers[0].input,
                                                .rows = t->rows,
                                                .width = c->hidden },
                NULL));
        for (uint32_t i = 0; i < c->layers; i++)
                SCOPE_TRY(scope_transformer_layer(t, parameters, batch, i,
                        i + 1 < c->layers ? t->layers[i + 1].input : t->output));
        return norm(t, t->output, parameters + t->layout->final_norm, t->output_normed,
                t->output_inverse, t->rows, c->hidden);
}

void scope_transformer_gather(struct scope_transformer *t, const uint32_t *rows, uint32_t count)
{
        const uint32_t hidden = t->layout->config.hidden;
        scope_assert(count <= t->head.rows_max);
        for (uint32_t i = 0; i < count; i++) {
                scope_assert(rows[i] < t->rows);
                memcpy(t->head.hidden + (size_t)i * hidden,
                        t->output_normed + (size_t)rows[i] * hidden, hidden * sizeof(float));
        }
}

enum scope_err scope_transformer_logits(struct scope_transformer *t, const float *parameters,
        uint32_t count, uint32_t first, uint32_t columns)
{
        const uint32_t hidden = t->layout->config.hidden;
        scope_assert(columns <= t->head.columns_max);
        return t->kernels->gemm(
                &(struct scope_gemm_args){ .x = t->head.hidden,
                        .w = parameters + t->layout->output + (size_t)first * hidden,
                        .y = t->head.logits,
                        .m = count,
                        .n = columns,
                        .k = hidden },
                NULL);
}

static enum scope_err logprob_block(struct scope_transformer *t, const float *parameters,
        const struct scope_transformer_wanted *wanted, uint32_t at, uint32_t count)
{
        const uint32_t ids = scope_transformer_ids(t);
        scope_transformer_gather(t, wanted->rows + at, count);
        for (uint32_t first = 0; first < ids; first += t->head.columns_max) {
                scope_yield();
                const uint32_t columns = scope_lesser(ids - first, t->head.columns_max);
                SCOPE_TRY(scope_transformer_logits(t, parameters, count, first, columns));
                SCOPE_TRY(t->kernels->token_logprob(
                        &(struct scope_token_logprob_args){ .logits = t->head.logits,
                                .targets = wanted->targets + at,
                                .temperature = wanted->temperature + at,
                                .logp = wanted->logp + at,
                                .entropy = wanted->entropy + at,
                                .rows = count,
                                .vocab = columns,
                                .partial = t->head.partial + at,
                                .first = first },
                        NULL));
        }
        return SCOPE_OK;
}

enum scope_err scope_transformer_logprob(struct scope_transformer *t, const float *parameters,
        const struct scope_transformer_wanted *wanted)
{
        scope_assert(t->layout->config.head == SCOPE_HEAD_LANGUAGE);
        scope_assert(wanted->count <= t->rows_max);
        for (uint32_t i = 0; i < wanted->count; i += t->head.rows_max)
                SCOPE_TRY(logprob_block(t, parameters, wanted, i,
                        scope_lesser(wanted->count - i, t->head.rows_max)));
        return SCOPE_OK;
}

/* What the binary head looks at, of rows [first, first + count): the output itself, or score.0 of
 * it. */
static enum scope_err reward_input(const struct scope_transformer *t, const float *parameters,
        uint32_t first, uint32_t count, const float **ret_x)
{
        const struct scope_layout *layout = t->layout;
        const uint32_t hidden = layout->config.hidden;
        const float *x = t->output_normed + (size_t)first * hidden;
        *ret_x = layout->config.head == SCOPE_HEAD_CLASSES ? x : t->head.logits;
        if (*ret_x == x)
                return SCOPE_OK;
        return t->kernels->gemm(&(struct scope_gemm_args){ .x = x,
                                        .w = parameters + layout->score_0,
                                        .bias = parameters + layout->score_0_bias,
                                        .y = t->head.logits,
                                        .m = count,
                                        .n = hidden,
                                        .k = hidden },
                NULL);
}

enum scope_err scope_transformer_reward(
        struct scope_transformer *t, const float *parameters, float *ret_probability)
{
        const struct scope_layout *layout = t->layout;
        scope_assert(layout->config.head != SCOPE_HEAD_LANGUAGE);
        for (uint32_t i = 0; i < t->rows; i += t->head.rows_max) {
                uint32_t left = t->rows - i,
                         count = left < t->head.rows_max ? left : t->head.rows_max;
                const float *x;
                SCOPE_TRY(reward_input(t, parameters, i, count, &x));
                SCOPE_TRY(t->kernels->binary_head(
                        &(struct scope_binary_head_args){ .x = x,
                                .weight = parameters + layout->score_2,
                                .bias = parameters + layout->score_2_bias,
                                .probability = ret_probability + i,
                                .rows = count,
                                .width = layout->config.hidden,
                                .linear = layout->config.head == SCOPE_HEAD_CLASSES },
                        NULL));
        }
        return SCOPE_OK;
}
