#include "models/config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/rng.h"

enum { LAYERS_MAX = 1024, WIDTH_MAX = 1 << 17, HEADS_MAX = 1024, POSITIONS_MAX = 1 << 24 };
enum { ALIGN_FLOATS = 16 };
/* One matrix is at most 2^37 floats and a layer has 7, so no size_t below can wrap. */

static enum scope_err check_range(
        const char *field, uint32_t value, uint32_t max, struct scope_diag *diag)
{
        if (value >= 1 && value <= max)
                return SCOPE_OK;
        return scope_diag_set(
                diag, SCOPE_ERR_SHAPE, "model config: %s = %u, must be 1..%u", field, value, max);
}

static enum scope_err check_ids(const struct scope_model_config *config, struct scope_diag *diag)
{
        if (config->eos_count > SCOPE_EOS_MAX)
                return scope_diag_set(diag, SCOPE_ERR_SHAPE,
                        "model config: %u eos tokens, at most %d", config->eos_count,
                        SCOPE_EOS_MAX);
        for (uint32_t i = 0; i < config->eos_count; i++)
                if (config->eos[i] >= config->vocab)
                        return scope_diag_set(diag, SCOPE_ERR_SHAPE,
                                "model config: eos %u is not below vocab = %u", config->eos[i],
                                config->vocab);
        if (config->tokens_used > config->vocab)
                return scope_diag_set(diag, SCOPE_ERR_SHAPE,
                        "model config: %u tokens in use, vocab = %u", config->tokens_used,
                        config->vocab);
        return SCOPE_OK;
}

static enum scope_err check_scaling(
        const struct scope_rope_scaling *scaling, struct scope_diag *diag)
{
        if (!scaling->on)
                return SCOPE_OK;
        if (!(scaling->factor >= 1.0f) || !isfinite(scaling->factor) ||
                !(scaling->low_freq_factor > 0.0f) ||
                !(scaling->high_freq_factor > scaling->low_freq_factor) ||
                !isfinite(scaling->high_freq_factor))
                return scope_diag_set(diag, SCOPE_ERR_SHAPE,
                        "model config: rope_scaling has factor %g, low_freq_factor %g, "
                        "high_freq_factor %g: must be >= 1, > 0 and above the low one",
                        (double)scaling->factor, (double)scaling->low_freq_factor,
                        (double)scaling->high_freq_factor);
        return check_range("rope_scaling.original_max_position_embeddings",
                scaling->original_positions, POSITIONS_MAX, diag);
}

static enum scope_err check_relations(
        const struct scope_model_config *config, struct scope_diag *diag)
{
        if (config->heads % config->kv_heads != 0)
                return scope_diag_set(diag, SCOPE_ERR_SHAPE,
                        "model config: heads = %u is not a multiple of kv_heads = %u",
                        config->heads, config->kv_heads);
        if (config->head_dim % 2 != 0)
                return scope_diag_set(diag, SCOPE_ERR_SHAPE,
                        "model config: head_dim = %u is odd, rotary positions need pairs",
                        config->head_dim);
        if ((uint64_t)config->heads * config->head_dim > WIDTH_MAX)
                return scope_diag_set(diag, SCOPE_ERR_SHAPE,
                        "model config: heads * head_dim = %u * %u is over %d", config->heads,
                        config->head_dim, WIDTH_MAX);
        if (!(config->rope_theta > 0.0f) || !isfinite(config->rope_theta))
                return scope_diag_set(diag, SCOPE_ERR_SHAPE,
                        "model config: rope_theta = %g, must be positive",
                        (double)config->rope_theta);
        if (!(config->rms_eps > 0.0f) || !(config->rms_eps < 1.0f))
                return scope_diag_set(diag, SCOPE_ERR_SHAPE,
                        "model config: rms_eps = %g, must be above 0 and below 1",
                        (double)config->rms_eps);
        if (config->head != SCOPE_HEAD_LANGUAGE && config->head != SCOPE_HEAD_REWARD &&
                config->head != SCOPE_HEAD_CLASSES)
                return scope_diag_set(diag, SCOPE_ERR_SHAPE, "model config: head = %d is unknown",
                        (int)config->head);
        return SCOPE_OK;
}

enum scope_err scope_model_config_check(
        const struct scope_model_config *config, struct scope_diag *diag)
{
        const struct {
                const char *field;
                uint32_t value, max;
        } ranges[] = {
                { "layers", config->layers, LAYERS_MAX },
                { "hidden", config->hidden, WIDTH_MAX },
                { "heads", config->heads, HEADS_MAX },
                { "kv_heads", config->kv_heads, HEADS_MAX },
                { "head_dim", config->head_dim, WIDTH_MAX },
                { "ffn", config->ffn, WIDTH_MAX },
                { "vocab", config->vocab, SCOPE_VOCAB_MAX },
                { "positions_max", config->positions_max, POSITIONS_MAX },
        };
        enum scope_err err = SCOPE_OK;
        for (size_t i = 0; i < sizeof ranges / sizeof ranges[0] && err == SCOPE_OK; i++)
                err = check_range(ranges[i].field, ranges[i].value, ranges[i].max, diag);
        if (err == SCOPE_OK)
                err = check_relations(config, diag);
        if (err == SCOPE_OK)
                err = check_scaling(&config->rope_scaling, diag);
        if (err == SCOPE_OK)
                err = check_ids(config, diag);
        return err;
}

static size_t round_up(size_t floats)
{
        return (floats + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
}

/* Appends a tensor; returns its offset. rows 0 makes a vector; layer < 0: the name as it is. */
static size_t add(
        struct scope_layout *layout, size_t rows, size_t columns, int layer, const char *name)
{
        struct scope_tensor *tensor = &layout->tensors[layout->tensor_count++];
        const size_t floats = (rows > 0 ? rows : 1) * columns;
        char prefix[32] = "";
        if (layer >= 0)
                (void)snprintf(prefix, sizeof prefix, "model.layers.%d.", layer); /* fits */
        int bytes = snprintf(tensor->name, sizeof tensor->name, "%s%s", prefix, name);
        scope_assert(bytes > 0 && (size_t)bytes < sizeof tensor->name);
        tensor->rows = rows > 0 ? (uint32_t)rows : 1;
        tensor->columns = (uint32_t)columns;
        tensor->rank = rows > 0 ? 2 : 1;
        tensor->decay = rows > 0;
        tensor->offset = layout->float_count;
        layout->parameter_count += floats;
        layout->float_count += round_up(floats);
        return tensor->offset;
}

/* q, k, v and gate, up stand side by side, so that a product may take them as one matrix. */
static void add_layer(struct scope_layout *layout, int layer)
{
        const struct scope_model_config *c = &layout->config;
        const size_t query = (size_t)c->heads * c->head_dim, kv = (size_t)c->kv_heads * c->head_dim;
        struct scope_layer_offsets *at = &layout->layers[layer];
        memset(at, 0xff, sizeof *at); /* SIZE_MAX: absent */
        at->input_norm = add(layout, 0, c->hidden, layer, "input_layernorm.weight");
        at->q = add(layout, query, c->hidden, layer, "self_attn.q_proj.weight");
        at->k = add(layout, kv, c->hidden, layer, "self_attn.k_proj.weight");
        at->v = add(layout, kv, c->hidden, layer, "self_attn.v_proj.weight");
        if (c->qkv_bias) {
                at->q_bias = add(layout, 0, query, layer, "self_attn.q_proj.bias");
                at->k_bias = add(layout, 0, kv, layer, "self_attn.k_proj.bias");
                at->v_bias = add(layout, 0, kv, layer, "self_attn.v_proj.bias");
        }
        if (c->qk_norm) {
                at->q_norm = add(layout, 0, c->head_dim, layer, "self_attn.q_norm.weight");
                at->k_norm = add(layout, 0, c->head_dim, layer, "self_attn.k_norm.weight");
        }
        at->o = add(layout, c->hidden, query, layer, "self_attn.o_proj.weight");
        if (c->o_bias)
                at->o_bias = add(layout, 0, c->hidden, layer, "self_attn.o_proj.bias");
        at->post_norm = add(layout, 0, c->hidden, layer, "post_attention_layernorm.weight");
        at->gate = add(layout, c->ffn, c->hidden, layer, "mlp.gate_proj.weight");
        at->up = add(layout, c->ffn, c->hidden, layer, "mlp.up_proj.weight");
        at->down = add(layout, c->hidden, c->ffn, layer, "mlp.down_proj.weight");
}

static void add_head(struct scope_layout *layout)
{
        const struct scope_model_config *c = &layout->config;
        layout->output = layout->score_0 = layout->score_0_bias = SIZE_MAX;
        layout->score_2 = layout->score_2_bias = SIZE_MAX;
        if (c->head == SCOPE_HEAD_REWARD) {
                layout->score_0 = add(layout, c->hidden, c->hidden, -1, "score.0.weight");
                layout->score_0_bias = add(layout, 0, c->hidden, -1, "score.0.bias");
                layout->score_2 = add(layout, 2, c->hidden, -1, "score.2.weight");
                layout->score_2_bias = add(layout, 0, 2, -1, "score.2.bias");
        } else if (c->head == SCOPE_HEAD_CLASSES) {
                layout->score_2 = add(layout, 2, c->hidden, -1, "score.weight");
                layout->score_2_bias = add(layout, 0, 2, -1, "score.bias");
        } else if (c->tied) {
                layout->output = layout->embedding;
        } else {
                layout->output = add(layout, c->vocab, c->hidden, -1, "lm_head.weight");
        }
}

/* Of everything that gives a float in the arena its meaning. */
static uint64_t hash_of(const struct scope_layout *layout)
{
        const struct scope_model_config *c = &layout->config;
        const uint32_t numbers[] = { c->layers, c->hidden, c->heads, c->kv_heads, c->head_dim,
                c->ffn, c->vocab, c->tied, c->qkv_bias, c->qk_norm, (uint32_t)c->head };
        const float reals[] = { c->rope_theta, c->rms_eps };
        const struct scope_rope_scaling *scaling = &c->rope_scaling;
        const float scales[] = { scaling->factor, scaling->low_freq_factor,
                scaling->high_freq_factor, (float)scaling->original_positions };
        uint64_t hash = scope_hash_pair(
                scope_hash_bytes(numbers, sizeof numbers), scope_hash_bytes(reals, sizeof reals));
        if (scaling->on) /* other models keep the hash they always had */
                hash = scope_hash_pair(hash, scope_hash_bytes(scales, sizeof scales));
        for (uint32_t i = 0; i < layout->tensor_count; i++) {
                const struct scope_tensor *t = &layout->tensors[i];
                hash = scope_hash_pair(hash, scope_hash_bytes(t->name, strlen(t->name)));
                hash = scope_hash_pair(hash, t->offset);
                hash = scope_hash_pair(hash, ((uint64_t)t->rows << 32) | t->columns);
        }
        return hash;
}

enum scope_err scope_layout_create(
        const struct scope_model_config *config, struct scope_layout **ret_layout)
{
        enum { PER_LAYER_MAX = sizeof(struct scope_layer_offsets) / sizeof(size_t), OTHER_MAX = 6 };
        enum scope_err err = scope_model_config_check(config, NULL);
        if (err != SCOPE_OK)
                return err;
        struct scope_layout *layout = calloc(1, sizeof *layout);
        if (layout == NULL)
                return SCOPE_ERR_MEMORY;
        layout->config = *config;
        layout->tensors =
                calloc((size_t)config->layers * PER_LAYER_MAX + OTHER_MAX, sizeof *layout->tensors);
        layout->layers = calloc(config->layers, sizeof *layout->layers);
        if (layout->tensors == NULL || layout->layers == NULL) {
                scope_layout_destroy(layout);
                return SCOPE_ERR_MEMORY;
        }
        layout->embedding =
                add(layout, config->vocab, config->hidden, -1, "model.embed_tokens.weight");
        for (uint32_t i = 0; i < config->layers; i++)
                add_layer(layout, (int)i);
        layout->final_norm = add(layout, 0, config->hidden, -1, "model.norm.weight");
        add_head(layout);
        layout->hash = hash_of(layout);
        *ret_layout = layout;
        return SCOPE_OK;
}

void scope_layout_destroy(struct scope_layout *layout)
{
        if (layout == NULL)
                return;
        free(layout->tensors);
        free(layout->layers);
        free(layout);
}

static bool ends_with(const char *name, const char *end)
{
        size_t length = strlen(name), tail = strlen(end);
        return length >= tail && strcmp(name + length - tail, end) == 0;
}

void scope_layout_randomise(const struct scope_layout *layout, uint64_t seed, float *parameters)
{
        const double residual = 1.0 / sqrt(2.0 * layout->config.layers);
        memset(parameters, 0, layout->float_count * sizeof(float));
        for (uint32_t i = 0; i < layout->tensor_count; i++) {
                const struct scope_tensor *t = &layout->tensors[i];
                const size_t count = (size_t)t->rows * t->columns;
                struct scope_rng rng = scope_rng_make(scope_hash_pair(seed, i));
                double scale = 1.0 / sqrt((double)t->columns);
                if (ends_with(t->name, "embed_tokens.weight"))
                        scale = 1.0;
                if (ends_with(t->name, "o_proj.weight") || ends_with(t->name, "down_proj.weight"))
                        scale *= residual;
                for (size_t j = 0; j < count; j++) {
                        if (t->rank == 2)
                                parameters[t->offset + j] = (float)(scale * scope_rng_normal(&rng));
                        else if (!ends_with(t->name, "bias"))
                                parameters[t->offset + j] = 1.0f;
                }
        }
}
