/* gguf_tokenizer_json.c - from GGUF metadata to Hugging Face's files. */
#include "models/gguf_tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "models/gguf.h"
#include "models/gguf_pattern.h"

static int shown(struct scope_gguf_text text)
{
        return text.count < 100 ? (int)text.count : 100;
}

static enum scope_err find_pattern(const struct scope_gguf_tokenizer *tokenizer,
        const struct scope_gguf_pattern **ret_pattern, struct scope_diag *diag)
{
        if (!scope_gguf_text_is(tokenizer->model, "gpt2"))
                return scope_diag_set(diag, SCOPE_ERR_UNSUPPORTED,
                        "gguf: tokenizer.ggml.model \"%.*s\" is not supported: \"gpt2\" "
                        "(byte-level BPE) is", shown(tokenizer->model), tokenizer->model.bytes);
        for (const struct scope_gguf_pattern *p = scope_gguf_patterns; p->pre != NULL; p++)
                if (scope_gguf_text_is(tokenizer->pre, p->pre)) {
                        *ret_pattern = p;
                        return SCOPE_OK;
                }
        return scope_diag_set(diag, SCOPE_ERR_UNSUPPORTED,
                "gguf: tokenizer.ggml.pre \"%.*s\" is not supported: smollm, qwen2, llama-bpe and "
                "gpt-2 are", shown(tokenizer->pre),
                tokenizer->pre.bytes != NULL ? tokenizer->pre.bytes : "");
}

static int64_t type_of(const struct scope_gguf_tokenizer *tokenizer, uint64_t id)
{
        return tokenizer->types != NULL ? scope_gguf_integer_at(tokenizer->types, id)
                                        : SCOPE_GGUF_TOKEN_NORMAL;
}

/* Found in text as they stand, before the pattern. */
static bool is_added(int64_t type)
{
        return type == SCOPE_GGUF_TOKEN_CONTROL || type == SCOPE_GGUF_TOKEN_USER
                || type == SCOPE_GGUF_TOKEN_UNKNOWN;
}

static bool token_of(const struct scope_gguf_tokenizer *tokenizer, uint32_t id,
        struct scope_gguf_text *ret_text)
{
        size_t at = 0;
        for (uint64_t i = 0; scope_gguf_text_next(tokenizer->tokens, &at, ret_text); i++)
                if (i == id)
                        return true;
        return false;
}

/* {"id":..., "content":..., ...}; or of the id as a key, for tokenizer_config.json. */
static void put_added(struct scope_text *json, uint64_t id, struct scope_gguf_text token,
        int64_t type, bool keyed)
{
        char key[24];
        (void)snprintf(key, sizeof key, "%llu", (unsigned long long)id);
        scope_json_open(json, keyed ? key : NULL, '{');
        if (!keyed)
                scope_json_uint(json, "id", id);
        scope_json_bytes(json, "content", token.bytes, token.count);
        scope_json_bool(json, "single_word", false);
        scope_json_bool(json, "lstrip", false);
        scope_json_bool(json, "rstrip", false);
        scope_json_bool(json, "normalized", false);
        scope_json_bool(json, "special", type != SCOPE_GGUF_TOKEN_USER);
        scope_json_close(json, '}');
}

static void put_all_added(
        const struct scope_gguf_tokenizer *tokenizer, struct scope_text *json, bool keyed)
{
        struct scope_gguf_text token;
        size_t at = 0;
        for (uint64_t id = 0; scope_gguf_text_next(tokenizer->tokens, &at, &token); id++)
                if (is_added(type_of(tokenizer, id)))
                        put_added(json, id, token, type_of(tokenizer, id), keyed);
}

/* --- tokenizer.json ---------------------------------------------------------------------- */

/* The bos or eos that surrounds a text. */
static void put_frame_token(struct scope_text *json, struct scope_gguf_text token)
{
        scope_json_open(json, NULL, '{');
        scope_json_open(json, "SpecialToken", '{');
        scope_json_bytes(json, "id", token.bytes, token.count);
        scope_json_uint(json, "type_id", 0);
        scope_json_close(json, '}');
        scope_json_close(json, '}');
}

static void put_frame_text(struct scope_text *json, const char *name, uint64_t type)
{
        scope_json_open(json, NULL, '{');
        scope_json_open(json, "Sequence", '{');
        scope_json_text(json, "id", name);
        scope_json_uint(json, "type_id", type);
        scope_json_close(json, '}');
        scope_json_close(json, '}');
}

struct frame {
        struct scope_gguf_text bos, eos; /* no bytes: none */
        uint32_t bos_id, eos_id;
};

static void put_template(struct scope_text *json, const struct frame *frame)
{
        static const char *const names[] = { "single", "pair" };
        scope_json_open(json, NULL, '{');
        scope_json_text(json, "type", "TemplateProcessing");
        for (int pair = 0; pair < 2; pair++) {
                scope_json_open(json, names[pair], '[');
                for (int text = 0; text <= pair; text++) {
                        if (frame->bos.bytes != NULL)
                                put_frame_token(json, frame->bos);
                        put_frame_text(json, text == 0 ? "A" : "B", (uint64_t)text);
                        if (frame->eos.bytes != NULL)
                                put_frame_token(json, frame->eos);
                }
                scope_json_close(json, ']');
        }
        scope_json_open(json, "special_tokens", '{');
        for (int i = 0; i < 2; i++) {
                struct scope_gguf_text token = i == 0 ? frame->bos : frame->eos;
                char key[SCOPE_GGUF_NAME_BYTES_MAX * 4];
                if (token.bytes == NULL || (i == 1 && frame->bos_id == frame->eos_id))
                        continue;
                (void)snprintf(key, sizeof key, "%.*s", shown(token), token.bytes);
                scope_json_open(json, key, '{');
                scope_json_bytes(json, "id", token.bytes, token.count);
                scope_json_open(json, "ids", '[');
                scope_json_uint(json, NULL, i == 0 ? frame->bos_id : frame->eos_id);
                scope_json_close(json, ']');
                scope_json_open(json, "tokens", '[');
                scope_json_bytes(json, NULL, token.bytes, token.count);
                scope_json_close(json, ']');
                scope_json_close(json, '}');
        }
        scope_json_close(json, '}');
        scope_json_close(json, '}');
}

static enum scope_err put_post_processor(const struct scope_gguf_tokenizer *tokenizer,
        const struct scope_gguf_pattern *pattern, struct scope_text *json, struct scope_diag *diag)
{
        struct frame frame = { .bos_id = tokenizer->bos, .eos_id = tokenizer->eos };
        bool bos = tokenizer->add_bos_said ? tokenizer->add_bos : pattern->add_bos;
        bool eos = tokenizer->add_eos_said && tokenizer->add_eos;
        if ((bos && !token_of(tokenizer, frame.bos_id, &frame.bos))
                || (eos && !token_of(tokenizer, frame.eos_id, &frame.eos)))
                return scope_diag_set(diag, SCOPE_ERR_FORMAT,
                        "gguf: bos or eos is to be added, and is no token");
        if (!bos && !eos) {
                scope_json_raw(json, "post_processor", pattern->post_processor,
                        strlen(pattern->post_processor));
                return SCOPE_OK;
        }
        if (frame.bos.count > 100 || frame.eos.count > 100)
                return scope_diag_set(diag, SCOPE_ERR_FORMAT, "gguf: bos or eos is a long text");
        scope_json_open(json, "post_processor", '{');
        scope_json_text(json, "type", "Sequence");
        scope_json_open(json, "processors", '[');
        if (strcmp(pattern->post_processor, "null") != 0)
                scope_json_raw(json, NULL, pattern->post_processor,
                        strlen(pattern->post_processor));
        put_template(json, &frame);
        scope_json_close(json, ']');
        scope_json_close(json, '}');
        return SCOPE_OK;
}

/* Keys of an object are texts of any bytes: written as a text and a colon by hand. */
static void put_vocab(const struct scope_gguf_tokenizer *tokenizer, struct scope_text *json)
{
        struct scope_gguf_text token;
        size_t at = 0;
        scope_json_open(json, "vocab", '{');
        for (uint64_t id = 0; scope_gguf_text_next(tokenizer->tokens, &at, &token); id++) {
                if (type_of(tokenizer, id) == SCOPE_GGUF_TOKEN_UNUSED)
                        continue; /* a filler: no text becomes it */
                scope_json_bytes(json, NULL, token.bytes, token.count);
                scope_text_format(json, ":%llu", (unsigned long long)id);
        }
        scope_json_close(json, '}');
}

static void put_model(const struct scope_gguf_tokenizer *tokenizer,
        const struct scope_gguf_pattern *pattern, struct scope_text *json)
{
        struct scope_gguf_text merge;
        size_t at = 0;
        scope_json_open(json, "model", '{');
        scope_json_text(json, "type", "BPE");
        scope_json_raw(json, "dropout", "null", 4);
        scope_json_raw(json, "unk_token", "null", 4);
        scope_json_raw(json, "continuing_subword_prefix", "null", 4);
        scope_json_raw(json, "end_of_word_suffix", "null", 4);
        scope_json_bool(json, "fuse_unk", false);
        scope_json_bool(json, "byte_fallback", false);
        scope_json_bool(json, "ignore_merges", pattern->ignore_merges);
        put_vocab(tokenizer, json);
        scope_json_open(json, "merges", '[');
        while (tokenizer->merges != NULL && scope_gguf_text_next(tokenizer->merges, &at, &merge))
                scope_json_bytes(json, NULL, merge.bytes, merge.count);
        scope_json_close(json, ']');
        scope_json_close(json, '}');
}

enum scope_err scope_gguf_tokenizer_json(const struct scope_gguf_tokenizer *tokenizer,
        struct scope_text *json, struct scope_diag *diag)
{
        const struct scope_gguf_pattern *pattern = NULL;
        enum scope_err err = find_pattern(tokenizer, &pattern, diag);
        if (err != SCOPE_OK)
                return err;
        scope_json_open(json, NULL, '{');
        scope_json_text(json, "version", "1.0");
        scope_json_raw(json, "truncation", "null", 4);
        scope_json_raw(json, "padding", "null", 4);
        scope_json_open(json, "added_tokens", '[');
        put_all_added(tokenizer, json, false);
        scope_json_close(json, ']');
        scope_json_raw(json, "normalizer", pattern->normalizer, strlen(pattern->normalizer));
        scope_json_raw(
                json, "pre_tokenizer", pattern->pre_tokenizer, strlen(pattern->pre_tokenizer));
        err = put_post_processor(tokenizer, pattern, json, diag);
        if (err != SCOPE_OK)
                return err;
        scope_json_raw(json, "decoder", pattern->decoder, strlen(pattern->decoder));
        put_model(tokenizer, pattern, json);
        scope_json_close(json, '}');
        scope_text_string(json, "\n");
        return json->failed ? scope_diag_set(diag, SCOPE_ERR_MEMORY, "gguf: out of memory")
                            : SCOPE_OK;
}

/* --- tokenizer_config.json --------------------------------------------------------------- */

static void put_name(const struct scope_gguf_tokenizer *tokenizer, const char *key, uint32_t id,
        struct scope_text *json)
{
        struct scope_gguf_text token;
        if (id != UINT32_MAX && token_of(tokenizer, id, &token))
                scope_json_bytes(json, key, token.bytes, token.count);
        else
                scope_json_raw(json, key, "null", 4);
}

enum scope_err scope_gguf_tokenizer_config_json(const struct scope_gguf_tokenizer *tokenizer,
        uint32_t positions_max, struct scope_text *json, struct scope_diag *diag)
{
        const struct scope_gguf_pattern *pattern = NULL;
        enum scope_err err = find_pattern(tokenizer, &pattern, diag);
        if (err != SCOPE_OK)
                return err;
        scope_json_open(json, NULL, '{');
        scope_json_bool(json, "add_bos_token",
                tokenizer->add_bos_said ? tokenizer->add_bos : pattern->add_bos);
        scope_json_bool(json, "add_eos_token", tokenizer->add_eos_said && tokenizer->add_eos);
        scope_json_bool(json, "add_prefix_space", false);
        scope_json_open(json, "added_tokens_decoder", '{');
        put_all_added(tokenizer, json, true);
        scope_json_close(json, '}');
        put_name(tokenizer, "bos_token", tokenizer->bos, json);
        if (tokenizer->chat_template.bytes != NULL)
                scope_json_bytes(json, "chat_template", tokenizer->chat_template.bytes,
                        tokenizer->chat_template.count);
        scope_json_bool(json, "clean_up_tokenization_spaces", false);
        put_name(tokenizer, "eos_token", tokenizer->eos, json);
        scope_json_uint(json, "model_max_length", positions_max);
        put_name(tokenizer, "pad_token", tokenizer->pad, json);
        scope_json_text(json, "tokenizer_class", "PreTrainedTokenizerFast");
        put_name(tokenizer, "unk_token", tokenizer->unknown, json);
        scope_json_close(json, '}');
        scope_text_string(json, "\n");
        return json->failed ? scope_diag_set(diag, SCOPE_ERR_MEMORY, "gguf: out of memory")
                            : SCOPE_OK;
}
