/* gguf_save.c - a model into a GGUF file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/gguf_blocks.h"
#include "models/gguf_model.h"
#include "models/gguf_names.h"
#include "models/gguf_tokenizer.h"
#include "models/gguf_write.h"

static const struct {
        uint32_t matrix_type;
        uint32_t file_type; /* of general.file_type: what most tensors are */
} forms[] = {
        [SCOPE_GGUF_AS_F32] = { SCOPE_GGUF_TENSOR_F32, 0 },
        [SCOPE_GGUF_AS_F16] = { SCOPE_GGUF_TENSOR_F16, 1 },
        [SCOPE_GGUF_AS_BF16] = { SCOPE_GGUF_TENSOR_BF16, 32 },
        [SCOPE_GGUF_AS_Q8_0] = { SCOPE_GGUF_TENSOR_Q8_0, 7 },
};

static void put_text(struct scope_gguf_writer *writer, const char *key, const char *text)
{
        scope_gguf_put_text(writer, key, text, strlen(text));
}

/* The last name of a path, but for what a run's checkpoints are all called. */
static const char *name_of(const char *directory, char *ret_name, size_t bytes)
{
        (void)snprintf(ret_name, bytes, "%s", directory);
        for (size_t count = strlen(ret_name); count > 1 && ret_name[count - 1] == '/';)
                ret_name[--count] = 0;
        const char *slash = strrchr(ret_name, '/');
        return slash != NULL ? slash + 1 : ret_name;
}

static void put_config(struct scope_gguf_writer *writer, const struct scope_model_config *config,
        const char *directory, enum scope_gguf_form form)
{
        const struct {
                const char *part;
                uint32_t value;
        } counts[] = {
                { "block_count", config->layers },
                { "context_length", config->positions_max },
                { "embedding_length", config->hidden },
                { "feed_forward_length", config->ffn },
                { "attention.head_count", config->heads },
                { "attention.head_count_kv", config->kv_heads },
                { "attention.key_length", config->head_dim },
                { "attention.value_length", config->head_dim },
                { "rope.dimension_count", config->head_dim },
                { "vocab_size", config->vocab },
        };
        char key[96], name[256];
        put_text(writer, "general.architecture", config->model_type);
        put_text(writer, "general.type", "model");
        put_text(writer, "general.name", name_of(directory, name, sizeof name));
        scope_gguf_put_uint(writer, "general.file_type", forms[form].file_type);
        scope_gguf_put_uint(writer, "general.quantization_version", 2);
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
                (void)snprintf(key, sizeof key, "%s.%s", config->model_type, counts[i].part);
                scope_gguf_put_uint(writer, key, counts[i].value);
        }
        (void)snprintf(key, sizeof key, "%s.rope.freq_base", config->model_type);
        scope_gguf_put_real(writer, key, config->rope_theta);
        (void)snprintf(
                key, sizeof key, "%s.attention.layer_norm_rms_epsilon", config->model_type);
        scope_gguf_put_real(writer, key, config->rms_eps);
}

static enum scope_err make_item(const struct scope_layout *layout, const struct scope_tensor *from,
        const float *parameters, enum scope_gguf_form form, struct scope_gguf_item *ret_item,
        struct scope_diag *diag)
{
        *ret_item = (struct scope_gguf_item){ .values = parameters + from->offset,
                .rows = from->rows, .columns = from->columns, .rank = from->rank,
                .head_rows = scope_gguf_head_rows(&layout->config, from),
                .type = from->rank == 2 ? forms[form].matrix_type : SCOPE_GGUF_TENSOR_F32 };
        if (from->columns % scope_gguf_block(ret_item->type)->elements != 0)
                ret_item->type = SCOPE_GGUF_TENSOR_F16;
        if (!scope_gguf_name(from, ret_item->name))
                return scope_diag_set(diag, SCOPE_ERR_UNSUPPORTED,
                        "GGUF has no name for \"%s\": only language models can be exported to it",
                        from->name);
        return SCOPE_OK;
}

enum scope_err scope_gguf_model_save(const char *path, const struct scope_layout *layout,
        const float *parameters, const char *directory, enum scope_gguf_form form,
        struct scope_diag *diag)
{
        const struct scope_model_config *config = &layout->config;
        const uint32_t half = config->head_dim / 2;
        struct scope_gguf_writer writer = { .value_count = 0 };
        struct scope_gguf_item *items = calloc((size_t)layout->tensor_count + 1, sizeof *items);
        float *factors = malloc(half * sizeof *factors);
        uint32_t count = 0;
        enum scope_err err = SCOPE_OK;
        if (items == NULL || factors == NULL)
                err = scope_diag_set(diag, SCOPE_ERR_MEMORY, "%s: out of memory", path);
        for (uint32_t i = 0; i < layout->tensor_count && err == SCOPE_OK; i++)
                err = make_item(
                        layout, &layout->tensors[i], parameters, form, &items[count++], diag);
        if (err == SCOPE_OK && config->rope_scaling.on) {
                scope_gguf_rope_factors(config, factors);
                items[count++] = (struct scope_gguf_item){ .name = "rope_freqs.weight",
                        .values = factors, .rows = 1, .columns = half, .rank = 1,
                        .type = SCOPE_GGUF_TENSOR_F32 };
        }
        if (err == SCOPE_OK) {
                put_config(&writer, config, directory, form);
                err = scope_gguf_put_tokenizer(&writer, directory, config, diag);
        }
        if (err == SCOPE_OK)
                err = scope_gguf_write(path, &writer, items, count, diag);
        scope_gguf_writer_fini(&writer);
        free(items);
        free(factors);
        return err;
}
