/* gguf_tokenizer.c - what a GGUF file says about its tokenizer. */
#include "models/gguf.h"

#include "base/limits.h"

/* What may be missing stays what it was. */
static enum scope_err optional(enum scope_err err)
{
        return err == SCOPE_ERR_NOT_FOUND ? SCOPE_OK : err;
}

static enum scope_err read_id(const struct scope_gguf *file, const char *key, uint32_t *ret_id,
        struct scope_diag *diag)
{
        uint64_t id = UINT32_MAX;
        *ret_id = UINT32_MAX;
        enum scope_err err = optional(scope_gguf_uint(file, key, &id, diag));
        if (err == SCOPE_OK && id < SCOPE_VOCAB_MAX)
                *ret_id = (uint32_t)id; /* writers put -1 as u32 for none */
        return err;
}

static enum scope_err read_flag(const struct scope_gguf *file, const char *key, bool *ret_flag,
        bool *ret_said, struct scope_diag *diag)
{
        enum scope_err err = scope_gguf_bool(file, key, ret_flag, diag);
        if (ret_said != NULL)
                *ret_said = err == SCOPE_OK;
        return optional(err);
}

static enum scope_err read_array(const struct scope_gguf *file, const char *key,
        enum scope_gguf_type kind, uint64_t count, const struct scope_gguf_value **ret_array,
        struct scope_diag *diag)
{
        enum scope_err err = optional(scope_gguf_array(file, key, kind, ret_array, diag));
        if (err == SCOPE_OK && *ret_array != NULL && count != 0 && (*ret_array)->count != count)
                return scope_diag_set(diag, SCOPE_ERR_FORMAT,
                        "gguf: \"%s\" has %llu elements for %llu tokens", key,
                        (unsigned long long)(*ret_array)->count, (unsigned long long)count);
        return err;
}

static enum scope_err read_arrays(const struct scope_gguf *file,
        struct scope_gguf_tokenizer *tokenizer, struct scope_diag *diag)
{
        enum scope_err err = scope_gguf_array(
                file, "tokenizer.ggml.tokens", SCOPE_GGUF_TEXT, &tokenizer->tokens, diag);
        if (err != SCOPE_OK)
                return err;
        const uint64_t count = tokenizer->tokens->count;
        if (count == 0 || count > SCOPE_VOCAB_MAX)
                return scope_diag_set(diag, SCOPE_ERR_FORMAT,
                        "gguf: \"tokenizer.ggml.tokens\" has %llu tokens, must be 1..%d",
                        (unsigned long long)count, SCOPE_VOCAB_MAX);
        err = read_array(file, "tokenizer.ggml.token_type", SCOPE_GGUF_I64, count,
                &tokenizer->types, diag);
        if (err == SCOPE_OK)
                err = read_array(file, "tokenizer.ggml.scores", SCOPE_GGUF_F64, count,
                        &tokenizer->scores, diag);
        if (err == SCOPE_OK)
                err = read_array(file, "tokenizer.ggml.merges", SCOPE_GGUF_TEXT, 0,
                        &tokenizer->merges, diag);
        return err;
}

enum scope_err scope_gguf_tokenizer(const struct scope_gguf *file,
        struct scope_gguf_tokenizer *ret_tokenizer, struct scope_diag *diag)
{
        struct scope_gguf_tokenizer t = { .tokens = NULL };
        const struct {
                const char *key;
                uint32_t *id;
        } ids[] = {
                { "tokenizer.ggml.bos_token_id", &t.bos },
                { "tokenizer.ggml.eos_token_id", &t.eos },
                { "tokenizer.ggml.eot_token_id", &t.eot },
                { "tokenizer.ggml.padding_token_id", &t.pad },
                { "tokenizer.ggml.unknown_token_id", &t.unknown },
        };
        enum scope_err err = scope_gguf_text(file, "tokenizer.ggml.model", &t.model, diag);
        if (err == SCOPE_OK)
                err = optional(scope_gguf_text(file, "tokenizer.ggml.pre", &t.pre, diag));
        if (err == SCOPE_OK)
                err = optional(scope_gguf_text(
                        file, "tokenizer.chat_template", &t.chat_template, diag));
        if (err == SCOPE_OK)
                err = read_arrays(file, &t, diag);
        for (size_t i = 0; i < sizeof ids / sizeof *ids && err == SCOPE_OK; i++)
                err = read_id(file, ids[i].key, ids[i].id, diag);
        if (err == SCOPE_OK)
                err = read_flag(file, "tokenizer.ggml.add_bos_token", &t.add_bos, &t.add_bos_said,
                        diag);
        if (err == SCOPE_OK)
                err = read_flag(file, "tokenizer.ggml.add_eos_token", &t.add_eos, &t.add_eos_said,
                        diag);
        if (err == SCOPE_OK)
                err = read_flag(file, "tokenizer.ggml.add_space_prefix", &t.add_space_prefix, NULL,
                        diag);
        if (err == SCOPE_OK)
                *ret_tokenizer = t;
        return err;
}
