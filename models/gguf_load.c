/* gguf_load.c - a model out of a GGUF file. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "models/gguf.h"
#include "models/gguf_model.h"
#include "models/gguf_names.h"
#include "models/gguf_write.h"
#include "models/hf_directory.h"

enum { KEY_BYTES = 96, ALIGN = 64, ROPE_FACTORS_MAX = 1 << 16 };

struct loader {
        const struct scope_gguf *file;
        struct scope_model_config *config;
        struct scope_diag *diag;
};

static enum scope_err unsupported(const struct loader *loader, const char *what, const char *why)
{
        return scope_diag_set(loader->diag, SCOPE_ERR_UNSUPPORTED,
                "gguf: %s is not supported: %s", what, why);
}

/* --- config ------------------------------------------------------------------------------ */

static void name_key(const struct loader *loader, const char *part, char ret_key[KEY_BYTES])
{
        (void)snprintf(ret_key, KEY_BYTES, "%.16s.%.64s", loader->config->model_type, part);
}

/* ARCH.`part`; missing: as it is, or an error when it is `needed`. */
static enum scope_err read_count(
        const struct loader *loader, const char *part, bool needed, uint32_t *ret_value)
{
        char key[KEY_BYTES];
        uint64_t value = 0;
        name_key(loader, part, key);
        enum scope_err err = scope_gguf_uint(loader->file, key, &value, loader->diag);
        if (err == SCOPE_ERR_NOT_FOUND && !needed)
                return SCOPE_OK;
        if (err == SCOPE_OK && value >= UINT32_MAX)
                return scope_diag_set(loader->diag, SCOPE_ERR_SHAPE, "gguf: \"%s\" = %llu", key,
                        (unsigned long long)value);
        if (err == SCOPE_OK)
                *ret_value = (uint32_t)value;
        return err;
}

static enum scope_err read_real(
        const struct loader *loader, const char *part, bool needed, float *ret_value)
{
        char key[KEY_BYTES];
        double value = 0;
        name_key(loader, part, key);
        enum scope_err err = scope_gguf_real(loader->file, key, &value, loader->diag);
        if (err == SCOPE_ERR_NOT_FOUND && !needed)
                return SCOPE_OK;
        if (err == SCOPE_OK)
                *ret_value = (float)value;
        return err;
}

static enum scope_err read_architecture(const struct loader *loader)
{
        static const char *const known[] = { "llama", "qwen2", "qwen3" };
        struct scope_gguf_text name = { NULL, 0 };
        enum scope_err err =
                scope_gguf_text(loader->file, "general.architecture", &name, loader->diag);
        if (err != SCOPE_OK)
                return err;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
                if (scope_gguf_text_is(name, known[i])) {
                        (void)snprintf(loader->config->model_type,
                                sizeof loader->config->model_type, "%s", known[i]); /* fits */
                        return SCOPE_OK;
                }
        return scope_diag_set(loader->diag, SCOPE_ERR_UNSUPPORTED,
                "gguf: general.architecture \"%.*s\" is not supported: llama, qwen2 and qwen3 are",
                (int)(name.count < 60 ? name.count : 60), name.bytes);
}

/* What would make the arithmetic another one. */
static enum scope_err check_variants(const struct loader *loader)
{
        static const struct {
                const char *part, *why;
        } off[] = { { "expert_count", "there are no mixtures of experts here" },
                { "attention.sliding_window", "there is no sliding window here" } };
        char key[KEY_BYTES];
        struct scope_gguf_text scaling = { NULL, 0 };
        enum scope_err err;
        for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
                uint32_t count = 0;
                err = read_count(loader, off[i].part, false, &count);
                if (err != SCOPE_OK)
                        return err;
                if (count != 0)
                        return unsupported(loader, off[i].part, off[i].why);
        }
        name_key(loader, "rope.scaling.type", key);
        err = scope_gguf_text(loader->file, key, &scaling, loader->diag);
        if (err == SCOPE_OK && !scope_gguf_text_is(scaling, "none"))
                return unsupported(loader, key, "only Llama 3's rope_freqs.weight is");
        float linear = 0;
        err = read_real(loader, "rope.scale_linear", false, &linear);
        if (err == SCOPE_OK && linear != 0 && linear != 1)
                return unsupported(loader, "rope.scale_linear", "use a model without it");
        return err;
}

static enum scope_err read_heads(const struct loader *loader)
{
        struct scope_model_config *config = loader->config;
        uint32_t value_length = 0, rotated = 0;
        enum scope_err err = read_count(loader, "attention.head_count", true, &config->heads);
        config->kv_heads = config->heads;
        if (err == SCOPE_OK)
                err = read_count(loader, "attention.head_count_kv", false, &config->kv_heads);
        if (err != SCOPE_OK)
                return err;
        config->head_dim = config->heads != 0 ? config->hidden / config->heads : 0;
        err = read_count(loader, "attention.key_length", false, &config->head_dim);
        value_length = rotated = config->head_dim;
        if (err == SCOPE_OK)
                err = read_count(loader, "attention.value_length", false, &value_length);
        if (err == SCOPE_OK)
                err = read_count(loader, "rope.dimension_count", false, &rotated);
        if (err == SCOPE_OK && value_length != config->head_dim)
                return unsupported(loader, "attention.value_length",
                        "keys and values have one length here");
        if (err == SCOPE_OK && rotated != config->head_dim)
                return unsupported(loader, "rope.dimension_count", "all of a head is rotated here");
        return err;
}

/* A missing id is none; one that is no token, too: writers put -1 as u32. */
static enum scope_err read_id(const struct loader *loader, const char *key, uint32_t *ret_id)
{
        uint64_t id = UINT32_MAX;
        enum scope_err err = scope_gguf_uint(loader->file, key, &id, loader->diag);
        *ret_id = id < loader->config->vocab ? (uint32_t)id : UINT32_MAX;
        return err == SCOPE_ERR_NOT_FOUND ? SCOPE_OK : err;
}

static void add_eos(struct scope_model_config *config, uint32_t id)
{
        for (uint32_t i = 0; i < config->eos_count; i++)
                if (config->eos[i] == id)
                        return;
        if (id < config->vocab && config->eos_count < SCOPE_EOS_MAX)
                config->eos[config->eos_count++] = id;
}

static enum scope_err read_ids(const struct loader *loader)
{
        static const char *const ends[] = { "tokenizer.ggml.eos_token_id",
                "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id" };
        struct scope_model_config *config = loader->config;
        const struct scope_gguf_value *all = NULL;
        enum scope_err err = read_id(loader, "tokenizer.ggml.bos_token_id", &config->bos);
        if (err == SCOPE_OK)
                err = read_id(loader, "tokenizer.ggml.padding_token_id", &config->pad);
        if (err != SCOPE_OK)
                return err;
        /* What our own export keeps, in its order. */
        err = scope_gguf_array(
                loader->file, "scope.eos_token_ids", SCOPE_GGUF_I64, &all, loader->diag);
        if (err == SCOPE_OK) {
                for (uint64_t i = 0; i < all->count; i++) {
                        int64_t id = scope_gguf_integer_at(all, i);
                        if (id >= 0 && id < config->vocab)
                                add_eos(config, (uint32_t)id);
                }
                return SCOPE_OK;
        }
        err = err == SCOPE_ERR_NOT_FOUND ? SCOPE_OK : err;
        for (size_t i = 0; i < sizeof ends / sizeof *ends && err == SCOPE_OK; i++) {
                uint32_t id;
                err = read_id(loader, ends[i], &id);
                add_eos(config, id);
        }
        return err;
}

/* Rows of the embedding, and what is told by the presence of a tensor. */
static enum scope_err read_tensors(const struct loader *loader)
{
        struct scope_model_config *config = loader->config;
        const struct scope_gguf_tensor *embedding =
                scope_gguf_tensor(loader->file, "token_embd.weight");
        if (embedding == NULL || embedding->rank != 2 || embedding->shape[1] > SCOPE_VOCAB_MAX)
                return scope_diag_set(loader->diag, SCOPE_ERR_FORMAT,
                        "gguf: no tensor \"token_embd.weight\" of two dimensions");
        config->vocab = (uint32_t)embedding->shape[1];
        config->tied = scope_gguf_tensor(loader->file, "output.weight") == NULL;
        config->qkv_bias = scope_gguf_tensor(loader->file, "blk.0.attn_q.bias") != NULL;
        config->o_bias = scope_gguf_tensor(loader->file, "blk.0.attn_output.bias") != NULL;
        config->qk_norm = strcmp(config->model_type, "qwen3") == 0;
        const bool qwen2 = strcmp(config->model_type, "qwen2") == 0;
        if (config->qkv_bias != (qwen2 || config->o_bias) || (qwen2 && config->o_bias))
                return unsupported(loader, config->model_type,
                        "with just these biases no Hugging Face model exists");
        return SCOPE_OK;
}

/* Llama 3 stores by what each frequency is divided, not why. Waves are told apart by how often
 * they turn in the original context, so contexts are tried with the factors that all files have. */
static enum scope_err read_rope_factors(const struct loader *loader)
{
        struct scope_model_config *config = loader->config, tried = *config;
        const struct scope_gguf_tensor *tensor =
                scope_gguf_tensor(loader->file, "rope_freqs.weight");
        const uint32_t half = config->head_dim / 2;
        if (tensor == NULL)
                return SCOPE_OK;
        if (tensor->rank != 1 || tensor->elements != half || half == 0 || half > ROPE_FACTORS_MAX)
                return scope_diag_set(loader->diag, SCOPE_ERR_FORMAT,
                        "gguf: \"rope_freqs.weight\" is not head_dim / 2 = %u numbers", half);
        float *wanted = malloc(half * sizeof *wanted), *made = malloc(half * sizeof *made);
        enum scope_err err = wanted != NULL && made != NULL
                ? scope_gguf_read(loader->file, tensor, wanted, loader->diag)
                : SCOPE_ERR_MEMORY;
        float factor = 0;
        for (uint32_t i = 0; i < half && err == SCOPE_OK; i++)
                factor = fmaxf(factor, wanted[i]);
        tried.rope_scaling = (struct scope_rope_scaling){ .on = true, .factor = factor,
                .low_freq_factor = 1, .high_freq_factor = 4 };
        bool found = false;
        for (uint32_t shift = 13, n = 0; n < 20 && err == SCOPE_OK && !found; n++) {
                /* 8192 first, then from small to large */
                shift = n == 0 ? 13 : n;
                tried.rope_scaling.original_positions = 1u << shift;
                scope_gguf_rope_factors(&tried, made);
                found = true;
                for (uint32_t i = 0; i < half && found; i++)
                        found = fabsf(made[i] - wanted[i]) <= 1e-5f * fabsf(wanted[i]);
        }
        free(wanted);
        free(made);
        if (err == SCOPE_OK && !found)
                return unsupported(loader, "rope_freqs.weight",
                        "its numbers are not Llama 3's scaling with factors 1 and 4");
        if (err == SCOPE_OK)
                config->rope_scaling = tried.rope_scaling;
        return err;
}

enum scope_err scope_gguf_config(const struct scope_gguf *file,
        struct scope_model_config *ret_config, struct scope_diag *diag)
{
        struct scope_model_config config = { .positions_max = 2048, .rope_theta = 10000,
                .bos = UINT32_MAX, .pad = UINT32_MAX, .head = SCOPE_HEAD_LANGUAGE };
        const struct loader loader = { file, &config, diag };
        enum scope_err err = read_architecture(&loader);
        if (err == SCOPE_OK)
                err = check_variants(&loader);
        if (err == SCOPE_OK)
                err = read_count(&loader, "block_count", true, &config.layers);
        if (err == SCOPE_OK)
                err = read_count(&loader, "embedding_length", true, &config.hidden);
        if (err == SCOPE_OK)
                err = read_count(&loader, "feed_forward_length", true, &config.ffn);
        if (err == SCOPE_OK)
                err = read_count(&loader, "context_length", false, &config.positions_max);
        if (err == SCOPE_OK)
                err = read_real(
                        &loader, "attention.layer_norm_rms_epsilon", true, &config.rms_eps);
        if (err == SCOPE_OK)
                err = read_real(&loader, "rope.freq_base", false, &config.rope_theta);
        if (err == SCOPE_OK)
                err = read_heads(&loader);
        if (err == SCOPE_OK)
                err = read_tensors(&loader);
        if (err == SCOPE_OK)
                err = read_ids(&loader);
        if (err == SCOPE_OK)
                err = scope_model_config_check(&config, diag);
        if (err == SCOPE_OK)
                err = read_rope_factors(&loader);
        if (err == SCOPE_OK)
                err = scope_model_config_check(&config, diag);
        if (err == SCOPE_OK)
                *ret_config = config;
        return err;
}

/* --- weights ----------------------------------------------------------------------------- */

/* The tensor of the file, of the shape that the layout wants. */
static enum scope_err find(const struct loader *loader, const struct scope_tensor *wanted,
        const struct scope_gguf_tensor **ret_found)
{
        char name[SCOPE_GGUF_NAME_BYTES_MAX + 1];
        if (!scope_gguf_name(wanted, name))
                return unsupported(loader, wanted->name, "GGUF has no name for it");
        const struct scope_gguf_tensor *found = scope_gguf_tensor(loader->file, name);
        if (found == NULL)
                return scope_diag_set(
                        loader->diag, SCOPE_ERR_NOT_FOUND, "gguf: no tensor \"%s\"", name);
        const uint64_t rows = found->rank == 2 ? found->shape[1] : 1;
        if (found->rank != wanted->rank || rows != wanted->rows
                || found->shape[0] != wanted->columns)
                return scope_diag_set(loader->diag, SCOPE_ERR_FORMAT,
                        "gguf: \"%s\" should have %u x %u numbers by the metadata, has %llu x %llu "
                        "(rank %u)", name, wanted->rows, wanted->columns, (unsigned long long)rows,
                        (unsigned long long)found->shape[0], found->rank);
        *ret_found = found;
        return SCOPE_OK;
}

/* Every tensor of the layout is there, and nothing else. */
static enum scope_err check_tensors(
        const struct loader *loader, const struct scope_layout *layout)
{
        bool *used = calloc((size_t)loader->file->tensor_count + 1, sizeof *used);
        enum scope_err err = used != NULL ? SCOPE_OK : SCOPE_ERR_MEMORY;
        const struct scope_gguf_tensor *found =
                scope_gguf_tensor(loader->file, "rope_freqs.weight");
        if (used != NULL && found != NULL)
                used[found - loader->file->tensors] = true;
        for (uint32_t i = 0; i < layout->tensor_count && err == SCOPE_OK; i++) {
                err = find(loader, &layout->tensors[i], &found);
                if (err == SCOPE_OK)
                        used[found - loader->file->tensors] = true;
        }
        for (uint32_t i = 0; i < loader->file->tensor_count && err == SCOPE_OK; i++)
                if (!used[i])
                        err = scope_diag_set(loader->diag, SCOPE_ERR_UNSUPPORTED,
                                "gguf: a %s model has no place for tensor \"%.*s\"",
                                layout->config.model_type,
                                (int)loader->file->tensors[i].name.count,
                                loader->file->tensors[i].name.bytes);
        free(used);
        return err;
}

/* Puts rows, which stand as in the file, where the layout has them. */
static enum scope_err reorder(
        const struct loader *loader, const struct scope_tensor *tensor, float *values)
{
        const uint32_t head = scope_gguf_head_rows(loader->config, tensor);
        const size_t width = tensor->rank == 2 ? tensor->columns : 1;
        const uint32_t rows = tensor->rank == 2 ? tensor->rows : tensor->columns;
        if (head == 0)
                return SCOPE_OK;
        float *copy = malloc((size_t)head * width * sizeof *copy);
        if (copy == NULL)
                return scope_diag_set(loader->diag, SCOPE_ERR_MEMORY, "gguf: out of memory");
        for (uint32_t begin = 0; begin < rows; begin += head) { /* rows = heads * head_dim */
                float *place = values + begin * width;
                memcpy(copy, place, (size_t)head * width * sizeof *copy);
                for (uint32_t i = 0; i < head; i++)
                        memcpy(place + scope_gguf_source_row(head, i) * width, copy + i * width,
                                width * sizeof *copy);
        }
        free(copy);
        return SCOPE_OK;
}

static enum scope_err load_weights(const struct loader *loader, struct scope_model *model)
{
        const struct scope_layout *layout = model->layout;
        const size_t bytes = layout->float_count * sizeof(float);
        const struct scope_gguf_tensor *found = NULL;
        enum scope_err err = check_tensors(loader, layout);
        if (err != SCOPE_OK)
                return err;
        model->parameters = aligned_alloc(ALIGN, bytes);
        if (model->parameters == NULL)
                return scope_diag_set(
                        loader->diag, SCOPE_ERR_MEMORY, "gguf: out of memory: %zu bytes", bytes);
        memset(model->parameters, 0, bytes);
        for (uint32_t i = 0; i < layout->tensor_count && err == SCOPE_OK; i++) {
                float *values = model->parameters + layout->tensors[i].offset;
                err = find(loader, &layout->tensors[i], &found);
                if (err == SCOPE_OK)
                        err = scope_gguf_read(loader->file, found, values, loader->diag);
                if (err == SCOPE_OK)
                        err = reorder(loader, &layout->tensors[i], values);
        }
        return err;
}

enum scope_err scope_gguf_model_load(
        const char *path, struct scope_model *ret_model, struct scope_diag *diag)
{
        struct scope_gguf file;
        struct scope_model_config config;
        struct scope_model model = { 0 };
        struct scope_diag why = { "" };
        const struct loader loader = { &file, &config, &why };
        enum scope_err err = scope_gguf_open(path, &file, diag);
        if (err != SCOPE_OK)
                return err;
        err = scope_gguf_config(&file, &config, &why);
        if (err == SCOPE_OK)
                err = scope_layout_create(&config, &model.layout);
        if (err == SCOPE_OK)
                err = load_weights(&loader, &model);
        scope_gguf_fini(&file);
        if (err != SCOPE_OK) {
                scope_model_fini(&model);
                return scope_diag_set(diag, err, "%.300s: %.320s", path,
                        why.text[0] != 0 ? why.text : scope_err_text(err));
        }
        *ret_model = model;
        return SCOPE_OK;
}
