/* fuzz_gguf.c - a whole file's bytes: whatever the header says, what is accepted lies in the file,
 * and everything that is built on it (config, tokenizer, tokenizer.json) stays within it. */
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "models/gguf.h"
#include "models/gguf_blocks.h"
#include "models/gguf_model.h"
#include "models/gguf_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void walk(const struct scope_gguf *file, const uint8_t *data, size_t bytes)
{
        for (uint32_t i = 0; i < file->value_count; i++) {
                const struct scope_gguf_value *value = &file->values[i];
                struct scope_gguf_text text;
                uint64_t count = 0;
                size_t at = 0;
                scope_assert(value->bytes >= data);
                scope_assert(value->bytes + value->byte_count <= data + bytes);
                while (value->element == SCOPE_GGUF_TEXT && scope_gguf_text_next(value, &at, &text))
                        count++;
                scope_assert(value->element != SCOPE_GGUF_TEXT || count == value->count);
                if (value->count > 0 && value->element <= SCOPE_GGUF_I32)
                        (void)scope_gguf_integer_at(value, value->count - 1);
                if (value->count > 0 && value->element == SCOPE_GGUF_F64)
                        (void)scope_gguf_real_at(value, value->count - 1);
        }
}

static void check_tensors(const struct scope_gguf *file, const uint8_t *data)
{
        for (uint32_t i = 0; i < file->tensor_count; i++) {
                const struct scope_gguf_tensor *tensor = &file->tensors[i];
                const struct scope_gguf_block *block = scope_gguf_block(tensor->type);
                float values[256];
                scope_assert(block != NULL && tensor->rank >= 1);
                scope_assert(tensor->begin + tensor->bytes <= file->data_bytes);
                if (block->unpack != NULL) /* one block: there is at least one */
                        block->unpack(data + file->data_begin + tensor->begin, 1, values);
        }
}

static void build_on(const struct scope_gguf *file)
{
        struct scope_gguf_tokenizer tokenizer;
        struct scope_model_config config;
        struct scope_text json = { .limit = 1 << 24 }, settings = { .limit = 1 << 24 };
        struct scope_diag diag;
        /* Reading factors needs a file: models without them only. */
        if (scope_gguf_tensor(file, "rope_freqs.weight") == NULL
                && scope_gguf_config(file, &config, &diag) == SCOPE_OK)
                scope_assert(scope_model_config_check(&config, NULL) == SCOPE_OK);
        if (scope_gguf_tokenizer(file, &tokenizer, &diag) != SCOPE_OK)
                return;
        (void)scope_gguf_tokenizer_json(&tokenizer, &json, &diag);
        (void)scope_gguf_tokenizer_config_json(&tokenizer, 1, &settings, &diag);
        scope_text_fini(&json);
        scope_text_fini(&settings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
        struct scope_gguf file;
        struct scope_diag diag;
        if (bytes < 2)
                return 0;
        /* The first two bytes: how much of the rest is here at first. */
        const size_t part = (data[0] | (size_t)data[1] << 8) % (bytes - 1);
        data += 2;
        bytes -= 2;
        if (part <= bytes && scope_gguf_parse(data, part, bytes, &file, &diag) == SCOPE_OK)
                scope_gguf_fini(&file);
        if (scope_gguf_parse(data, bytes, bytes, &file, &diag) != SCOPE_OK)
                return 0;
        walk(&file, data, bytes);
        check_tensors(&file, data);
        build_on(&file);
        scope_gguf_fini(&file);
        return 0;
}
