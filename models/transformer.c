/* transformer.c - the memory of a transformer: one block, cut into activations. */
#include "models/transformer.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "kernels/attention.h"
#include "kernels/rope.h"
#include "models/transformer_state.h"

/* A block of logits is 4 MB: its product runs at full speed and it stays in the last cache. */
enum { ALIGN_FLOATS = 16, HEAD_ROWS_MAX = 512, HEAD_FLOATS = 1 << 20 };

/* Cuts pieces from `base`; with base NULL only counts, so that one function both sizes and places.
 * */
struct cutter {
        float *base;
        size_t used;
};

static void cut(struct cutter *cutter, float **ret_piece, size_t rows, size_t columns)
{
        *ret_piece = cutter->base != NULL ? cutter->base + cutter->used : NULL;
        cutter->used += (rows * columns + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
}

static void cut_layer(struct cutter *cutter, const struct scope_model_config *config, size_t rows,
        struct scope_activations *a)
{
        const size_t query = (size_t)config->heads * config->head_dim;
        const size_t kv = (size_t)config->kv_heads * config->head_dim;
        cut(cutter, &a->input_normed, rows, config->hidden);
        cut(cutter, &a->input_inverse, rows, 1);
        cut(cutter, &a->q, rows, query);
        cut(cutter, &a->k, rows, kv);
        cut(cutter, &a->v, rows, kv);
        if (config->qk_norm) {
                cut(cutter, &a->q_raw, rows, query);
                cut(cutter, &a->k_raw, rows, kv);
                cut(cutter, &a->q_inverse, rows, config->heads);
                cut(cutter, &a->k_inverse, rows, config->kv_heads);
        }
        cut(cutter, &a->attended, rows, query);
        cut(cutter, &a->lse, rows, config->heads);
        cut(cutter, &a->middle, rows, config->hidden);
        cut(cutter, &a->middle_normed, rows, config->hidden);
        cut(cutter, &a->middle_inverse, rows, 1);
        cut(cutter, &a->gate, rows, config->ffn);
        cut(cutter, &a->up, rows, config->ffn);
        cut(cutter, &a->swiglu, rows, config->ffn);
}

static void cut_gradients(struct cutter *cutter, const struct scope_model_config *config,
        size_t rows, struct scope_activation_gradients *g)
{
        const size_t query = (size_t)config->heads * config->head_dim;
        const size_t kv = (size_t)config->kv_heads * config->head_dim;
        cut(cutter, &g->residual, rows, config->hidden);
        cut(cutter, &g->normed, rows, config->hidden);
        cut(cutter, &g->attended, rows, query);
        cut(cutter, &g->q, rows, query);
        cut(cutter, &g->k, rows, kv);
        cut(cutter, &g->v, rows, kv);
        cut(cutter, &g->swiglu, rows, config->ffn);
        cut(cutter, &g->gate, rows, config->ffn);
        cut(cutter, &g->up, rows, config->ffn);
}

/* Floats needed; places every pointer when `base` is given. */
static size_t place(struct scope_transformer *t, bool training, float *base)
{
        const struct scope_model_config *config = &t->layout->config;
        const size_t rows = t->rows_max, block = t->head.rows_max;
        struct cutter cutter = { .base = base };
        for (uint32_t i = 0; i < config->layers; i++) {
                if (i == 0 || (training && !t->recompute))
                        cut_layer(&cutter, config, rows, &t->layers[i]);
                else
                        t->layers[i] = t->layers[0];
                if (i == 0 || training)
                        cut(&cutter, &t->layers[i].input, rows, config->hidden);
        }
        cut(&cutter, &t->output, rows, config->hidden);
        cut(&cutter, &t->output_normed, rows, config->hidden);
        cut(&cutter, &t->output_inverse, rows, 1);
        if (training)
                cut_gradients(&cutter, config, rows, &t->gradients);
        float *partial;
        cut(&cutter, &t->head.hidden, block, config->hidden);
        cut(&cutter, &t->head.dhidden, training ? block : 0, config->hidden);
        cut(&cutter, &t->head.logits, block, t->head.columns_max);
        cut(&cutter, &partial, rows, sizeof(struct scope_token_partial) / sizeof(float));
        t->head.partial = (struct scope_token_partial *)(void *)partial;
        cut(&cutter, &t->rope, t->length_max, config->head_dim);
        cut(&cutter, &t->attention, scope_attention_scratch(config->head_dim), 1);
        return cutter.used;
}

static void size_head(struct scope_transformer *t)
{
        const struct scope_model_config *config = &t->layout->config;
        struct scope_head_block *head = &t->head;
        head->rows_max = scope_lesser(HEAD_ROWS_MAX, t->rows_max);
        head->columns_max = config->hidden; /* reward head: score.0 of the rows */
        if (config->head == SCOPE_HEAD_LANGUAGE)
                head->columns_max = scope_lesser(config->vocab, HEAD_FLOATS / head->rows_max);
}

enum scope_err scope_transformer_create(
        const struct scope_transformer_options *options, struct scope_transformer **ret_transformer)
{
        const struct scope_model_config *config = &options->layout->config;
        scope_assert(options->rows_max > 0);
        scope_assert(options->length_max > 0);
        if (options->training && config->head != SCOPE_HEAD_LANGUAGE)
                return SCOPE_ERR_UNSUPPORTED;
        struct scope_transformer *t = calloc(1, sizeof *t);
        if (t == NULL)
                return SCOPE_ERR_MEMORY;
        t->layout = options->layout;
        t->kernels = options->kernels;
        t->rows_max = options->rows_max;
        t->length_max = options->length_max;
        t->recompute = options->recompute;
        size_head(t);
        t->layers = calloc(config->layers, sizeof *t->layers);
        if (t->layers == NULL)
                goto fail;
        const size_t bytes = place(t, options->training, NULL) * sizeof(float);
        t->memory = aligned_alloc(ALIGN_FLOATS * sizeof(float), bytes);
        if (t->memory == NULL)
                goto fail;
        memset(t->memory, 0, bytes); /* touched here, so that no step pays for page faults */
        (void)place(t, options->training, t->memory); /* the size is known by now */
        scope_rope_table(&(struct scope_rope_table_args){ config->rope_theta,
                                 config->rope_scaling, t->length_max, config->head_dim },
                t->rope);
        *ret_transformer = t;
        return SCOPE_OK;
fail:
        scope_transformer_destroy(t);
        return SCOPE_ERR_MEMORY;
}

void scope_transformer_destroy(struct scope_transformer *transformer)
{
        if (transformer == NULL)
                return;
        free(transformer->memory);
        free(transformer->layers);
        free(transformer);
}
