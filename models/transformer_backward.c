/* transformer_backward.c - the gradient by hand, last operation first (as in llm.c).
 * `residual` is the gradient of the residual stream; every block adds to it through its norm. */
#include <string.h>

#include "base/check.h"
#include "base/yield.h"
#include "kernels/attention.h"
#include "kernels/embedding.h"
#include "kernels/gemm.h"
#include "kernels/rmsnorm.h"
#include "kernels/rope.h"
#include "kernels/swiglu.h"
#include "kernels/token_logprob.h"
#include "models/transformer_state.h"

/* What every step needs. */
struct pass {
        const struct scope_transformer *t;
        const float *parameters;
        float *gradient;
        const struct scope_transformer_batch *batch;
};

/* Through y = x W^T + b: W's and b's gradient, then dx (+)= dy W. */
static enum scope_err linear(const struct pass *pass, const float *dy, const float *x,
        size_t weight, size_t bias, uint32_t n, uint32_t k, float *dx, bool accumulate)
{
        const struct scope_kernels *kernels = pass->t->kernels;
        scope_yield();
        SCOPE_TRY(kernels->gemm_weight(
                &(struct scope_gemm_weight_args){ .dy = dy,
                        .x = x,
                        .dw = pass->gradient + weight,
                        .dbias = bias != SIZE_MAX ? pass->gradient + bias : NULL,
                        .m = pass->t->rows,
                        .n = n,
                        .k = k },
                NULL));
        return kernels->gemm_input(&(struct scope_gemm_input_args){ .dy = dy,
                                           .w = pass->parameters + weight,
                                           .dx = dx,
                                           .m = pass->t->rows,
                                           .n = n,
                                           .k = k,
                                           .accumulate = accumulate },
                NULL);
}

static enum scope_err norm(const struct pass *pass, const float *x, size_t weight,
        const float *inverse, const float *dy, float *dx, uint32_t rows, uint32_t width)
{
        return pass->t->kernels->rmsnorm_backward(&(struct scope_rmsnorm_backward_args){ .x = x,
                                                          .weight = pass->parameters + weight,
                                                          .inverse = inverse,
                                                          .dy = dy,
                                                          .dx = dx,
                                                          .dweight = pass->gradient + weight,
                                                          .rows = rows,
                                                          .width = width },
                NULL);
}

/* Turns *dx back and takes it through the head norm, if there is one; *dx is then the gradient of
 * the projection's output. `spare` is memory of the same size, swapped with *dx. */
static enum scope_err unrotate(const struct pass *pass, float **dx, float **spare, const float *raw,
        const float *inverse, size_t weight, uint32_t heads)
{
        const struct scope_model_config *c = &pass->t->layout->config;
        const uint32_t rows = pass->t->rows;
        SCOPE_TRY(pass->t->kernels->rope(&(struct scope_rope_args){ .x = *dx,
                                                 .positions = pass->batch->positions,
                                                 .table = pass->t->rope,
                                                 .rows = rows,
                                                 .heads = heads,
                                                 .head_dim = c->head_dim,
                                                 .inverse = true },
                NULL));
        if (!c->qk_norm)
                return SCOPE_OK;
        memset(*spare, 0, (size_t)rows * heads * c->head_dim * sizeof(float));
        SCOPE_TRY(norm(pass, raw, weight, inverse, *dx, *spare, rows * heads, c->head_dim));
        float *swap = *dx;
        *dx = *spare;
        *spare = swap;
        return SCOPE_OK;
}

static enum scope_err attention_block(const struct pass *pass, uint32_t index)
{
        const struct scope_transformer *t = pass->t;
        const struct scope_model_config *c = &t->layout->config;
        const struct scope_layer_offsets *at = &t->layout->layers[index];
        const struct scope_activations *a = &t->layers[index];
        const struct scope_activation_gradients *g = &t->gradients;
        const uint32_t query = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
        SCOPE_TRY(linear(pass, g->residual, a->attended, at->o, at->o_bias, c->hidden, query,
                g->attended, false));
        SCOPE_TRY(t->kernels->attention_backward(&(struct scope_attention_backward_args){ .q = a->q,
                                                         .k = a->k,
                                                         .v = a->v,
                                                         .out = a->attended,
                                                         .lse = a->lse,
                                                         .dout = g->attended,
                                                         .dq = g->q,
                                                         .dk = g->k,
                                                         .dv = g->v,
                                                         .scratch = t->attention,
                                                         .begin = pass->batch->begin,
                                                         .sequences = pass->batch->sequences,
                                                         .heads = c->heads,
                                                         .kv_heads = c->kv_heads,
                                                         .head_dim = c->head_dim },
                NULL));
        float *dq = g->q, *dk = g->k, *spare = g->attended; /* dout has been used: [R, Q], Q >= K */
        SCOPE_TRY(unrotate(pass, &dq, &spare, a->q_raw, a->q_inverse, at->q_norm, c->heads));
        SCOPE_TRY(unrotate(pass, &dk, &spare, a->k_raw, a->k_inverse, at->k_norm, c->kv_heads));
        const float *x = a->input_normed;
        SCOPE_TRY(linear(pass, dq, x, at->q, at->q_bias, query, c->hidden, g->normed, false));
        SCOPE_TRY(linear(pass, dk, x, at->k, at->k_bias, kv, c->hidden, g->normed, true));
        SCOPE_TRY(linear(pass, g->v, x, at->v, at->v_bias, kv, c->hidden, g->normed, true));
        return norm(pass, a->input, at->input_norm, a->input_inverse, g->normed, g->residual,
                t->rows, c->hidden);
}

static enum scope_err swiglu_block(const struct pass *pass, uint32_t index)
{
        const struct scope_transformer *t = pass->t;
        const struct scope_model_config *c = &t->layout->config;
        const struct scope_layer_offsets *at = &t->layout->layers[index];
        const struct scope_activations *a = &t->layers[index];
        const struct scope_activation_gradients *g = &t->gradients;
        SCOPE_TRY(linear(pass, g->residual, a->swiglu, at->down, SIZE_MAX, c->hidden, c->ffn,
                g->swiglu, false));
        SCOPE_TRY(t->kernels->swiglu_backward(&(struct scope_swiglu_backward_args){ .gate = a->gate,
                                                      .up = a->up,
                                                      .dout = g->swiglu,
                                                      .dgate = g->gate,
                                                      .dup = g->up,
                                                      .count = (size_t)t->rows * c->ffn },
                NULL));
        const float *x = a->middle_normed;
        SCOPE_TRY(
                linear(pass, g->gate, x, at->gate, SIZE_MAX, c->ffn, c->hidden, g->normed, false));
        SCOPE_TRY(linear(pass, g->up, x, at->up, SIZE_MAX, c->ffn, c->hidden, g->normed, true));
        return norm(pass, a->middle, at->post_norm, a->middle_inverse, g->normed, g->residual,
                t->rows, c->hidden);
}

/* A piece of the vocabulary of one block of predictions: logits again, their gradient, then W's
 * and the hidden rows'. */
static enum scope_err head_piece(const struct pass *pass, struct scope_transformer *t,
        const struct scope_transformer_wanted *wanted, uint32_t at, uint32_t count, uint32_t first,
        uint32_t columns)
{
        const uint32_t hidden = t->layout->config.hidden;
        const size_t weight = t->layout->output + (size_t)first * hidden;
        SCOPE_TRY(scope_transformer_logits(t, pass->parameters, count, first, columns));
        SCOPE_TRY(t->kernels->token_logprob_backward(
                &(struct scope_token_logprob_backward_args){ .logits = t->head.logits,
                        .targets = wanted->targets + at,
                        .temperature = wanted->temperature + at,
                        .coef = wanted->coef + at,
                        .entropy_coef = wanted->entropy_coef + at,
                        .rows = count,
                        .vocab = columns,
                        .partial = t->head.partial + at,
                        .first = first },
                NULL));
        SCOPE_TRY(t->kernels->gemm_weight(&(struct scope_gemm_weight_args){ .dy = t->head.logits,
                                                  .x = t->head.hidden,
                                                  .dw = pass->gradient + weight,
                                                  .m = count,
                                                  .n = columns,
                                                  .k = hidden },
                NULL));
        return t->kernels->gemm_input(&(struct scope_gemm_input_args){ .dy = t->head.logits,
                                              .w = pass->parameters + weight,
                                              .dx = t->head.dhidden,
                                              .m = count,
                                              .n = columns,
                                              .k = hidden,
                                              .accumulate = first > 0 },
                NULL);
}

static enum scope_err head_block(const struct pass *pass, struct scope_transformer *t,
        const struct scope_transformer_wanted *wanted, uint32_t at, uint32_t count)
{
        const uint32_t hidden = t->layout->config.hidden, ids = scope_transformer_ids(t);
        scope_transformer_gather(t, wanted->rows + at, count);
        for (uint32_t first = 0; first < ids; first += t->head.columns_max) {
                scope_yield();
                SCOPE_TRY(head_piece(pass, t, wanted, at, count, first,
                        scope_lesser(ids - first, t->head.columns_max)));
        }
        for (uint32_t i = 0; i < count; i++)
                memcpy(t->gradients.normed + (size_t)wanted->rows[at + i] * hidden,
                        t->head.dhidden + (size_t)i * hidden, hidden * sizeof(float));
        return SCOPE_OK;
}

static enum scope_err head(const struct pass *pass, struct scope_transformer *t,
        const struct scope_transformer_wanted *wanted)
{
        const uint32_t hidden = t->layout->config.hidden;
        const size_t bytes = (size_t)t->rows * hidden * sizeof(float);
        memset(t->gradients.normed, 0, bytes); /* rows nobody asked for have no gradient */
        memset(t->gradients.residual, 0, bytes);
        for (uint32_t i = 0; i < wanted->count; i += t->head.rows_max)
                SCOPE_TRY(head_block(pass, t, wanted, i,
                        scope_lesser(wanted->count - i, t->head.rows_max)));
        return norm(pass, t->output, t->layout->final_norm, t->output_inverse, t->gradients.normed,
                t->gradients.residual, t->rows, hidden);
}

enum scope_err scope_transformer_backward(struct scope_transformer *transformer,
        const float *parameters, const struct scope_transformer_batch *batch,
        const struct scope_transformer_wanted *wanted, float *gradient)
{
        const struct pass pass = { transformer, parameters, gradient, batch };
        const struct scope_layout *layout = transformer->layout;
        scope_assert(transformer->gradients.residual != NULL);
        scope_assert(batch->rows == transformer->rows);
        SCOPE_TRY(head(&pass, transformer, wanted));
        for (uint32_t i = layout->config.layers; i-- > 0;) {
                if (transformer->recompute && i + 1 < layout->config.layers) /* the last is there */
                        SCOPE_TRY(scope_transformer_layer(
                                transformer, parameters, batch, i, NULL));
                SCOPE_TRY(swiglu_block(&pass, i));
                SCOPE_TRY(attention_block(&pass, i));
        }
        return transformer->kernels->embedding_backward(
                &(struct scope_embedding_backward_args){ .tokens = batch->tokens,
                        .dout = transformer->gradients.residual,
                        .dtable = gradient + layout->embedding,
                        .rows = batch->rows,
                        .width = layout->config.hidden },
                NULL);
}
