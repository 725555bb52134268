/* tokenizer_tiktoken.c - rank files: a line is BASE64 SPACE RANK. The pattern and the special
 * tokens are in no file; they go with the file's name.
 * tiktoken merges the pair whose concatenation has the lowest rank: as merges, that is one for each
 * way to cut a token into two tokens. */
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "models/tokenizer_build.h"
#include "models/tokenizer_parts.h"
#include "models/tokenizer_read.h"

struct family {
        const char *name;    /* of the file */
        const char *pattern;
        bool nfc, bos;
        void (*special)(uint32_t index, char *ret_name, size_t bytes);
        uint32_t special_count;
};

static void special_qwen(uint32_t index, char *ret_name, size_t bytes)
{
        static const char *const first[] = { "<|endoftext|>", "<|im_start|>", "<|im_end|>" };
        if (index < 3)
                (void)snprintf(ret_name, bytes, "%s", first[index]);
        else
                (void)snprintf(ret_name, bytes, "<|extra_%u|>", index - 3);
}

static void special_llama3(uint32_t index, char *ret_name, size_t bytes)
{
        static const char *const first[] = { "<|begin_of_text|>", "<|end_of_text|>",
                "<|reserved_special_token_0|>", "<|reserved_special_token_1|>",
                "<|reserved_special_token_2|>", "<|reserved_special_token_3|>",
                "<|start_header_id|>", "<|end_header_id|>", "<|reserved_special_token_4|>",
                "<|eot_id|>" };
        if (index < 10)
                (void)snprintf(ret_name, bytes, "%s", first[index]);
        else
                (void)snprintf(ret_name, bytes, "<|reserved_special_token_%u|>", index - 5);
}

static void special_gpt2(uint32_t index, char *ret_name, size_t bytes)
{
        (void)index;
        (void)snprintf(ret_name, bytes, "<|endoftext|>");
}

static const struct family families[] = {
        { "qwen.tiktoken", scope_pattern_qwen2, true, false, special_qwen, 208 },
        { "tokenizer.model", scope_pattern_llama3, false, true, special_llama3, 256 },
        { "gpt2.tiktoken", scope_pattern_gpt2, false, false, special_gpt2, 1 },
        { "r50k_base.tiktoken", scope_pattern_gpt2, false, false, special_gpt2, 1 },
};

struct lines {
        const char *at, *end;
        size_t number;
};

/* The next line's parts. */
static enum scope_err next_line(struct lines *lines, struct scope_builder *builder,
        char *ret_bytes, size_t *ret_count, uint32_t *ret_rank)
{
        const char *end = memchr(lines->at, '\n', (size_t)(lines->end - lines->at));
        if (end == NULL)
                end = lines->end;
        const char *space = memchr(lines->at, ' ', (size_t)(end - lines->at));
        uint32_t rank = 0;
        lines->number++;
        bool good = space != NULL
                && space > lines->at
                && scope_base64_decode(lines->at, (size_t)(space - lines->at), ret_bytes,
                        SCOPE_TOKEN_BYTES_MAX, ret_count)
                && end > space + 1 && end - space <= 8;
        for (const char *at = good ? space + 1 : end; good && at < end; at++) {
                good = *at >= '0' && *at <= '9';
                rank = 10 * rank + (uint32_t)(*at - '0');
        }
        if (!good)
                return scope_diag_set(builder->diag, SCOPE_ERR_FORMAT,
                        "%s:%zu: not \"BASE64 RANK\", or a token over %d bytes", builder->source,
                        lines->number, SCOPE_TOKEN_BYTES_MAX);
        *ret_rank = rank;
        lines->at = end < lines->end ? end + 1 : end;
        return SCOPE_OK;
}

/* Calls back for every way to cut `token` into two tokens. */
static enum scope_err cuts(struct scope_builder *builder, uint32_t id, bool count_only,
        size_t *ret_count)
{
        const struct scope_tokenizer *tokenizer = builder->tokenizer;
        const struct scope_token *token = &tokenizer->tokens[id];
        const uint8_t *at = (const uint8_t *)tokenizer->text + token->at;
        enum scope_err err = SCOPE_OK;
        for (uint32_t i = 1; i < token->bytes && err == SCOPE_OK; i++) {
                uint32_t left = scope_vocab_find(tokenizer, at, i, false);
                if (left == SCOPE_TOKEN_NONE)
                        continue;
                uint32_t right = scope_vocab_find(tokenizer, at + i, token->bytes - i, false);
                if (right == SCOPE_TOKEN_NONE)
                        continue;
                ++*ret_count;
                if (!count_only)
                        err = scope_build_merge(builder, left, right, id, id);
        }
        return err;
}

static enum scope_err read_ranks(struct scope_builder *builder, const char *text, size_t bytes)
{
        struct lines lines = { text, text + bytes, 0 };
        char token[SCOPE_TOKEN_BYTES_MAX + 4];
        size_t count = 0;
        uint32_t rank = 0;
        enum scope_err err = SCOPE_OK;
        while (err == SCOPE_OK && lines.at < lines.end) {
                err = next_line(&lines, builder, token, &count, &rank);
                if (err == SCOPE_OK)
                        err = scope_build_token(builder, rank, token, count, false);
        }
        return err;
}

static enum scope_err read_merges(struct scope_builder *builder)
{
        uint32_t size = builder->tokenizer->size;
        size_t count = 0;
        enum scope_err err = SCOPE_OK;
        for (uint32_t id = 0; id < size; id++)
                (void)cuts(builder, id, true, &count);
        err = scope_build_merges_expect(builder, count);
        for (uint32_t id = 0; id < size && err == SCOPE_OK; id++)
                err = cuts(builder, id, false, &count);
        return err;
}

static enum scope_err read_specials(struct scope_builder *builder, const struct family *family)
{
        enum scope_err err = SCOPE_OK;
        uint32_t first = builder->tokenizer->size;
        char name[64];
        for (uint32_t i = 0; i < family->special_count && err == SCOPE_OK; i++) {
                family->special(i, name, sizeof name);
                const struct scope_added_spec spec = { .content = name, .bytes = strlen(name),
                        .id = (int64_t)first + i, .special = true };
                err = scope_build_added(builder, &spec);
        }
        if (err == SCOPE_OK && family->bos)
                err = scope_build_frame(builder, 0, first);
        return err;
}

static enum scope_err parse(struct scope_builder *builder, const struct family *family,
        const char *text, size_t bytes, struct scope_diag *diag)
{
        size_t lines = 1;
        for (const char *at = text; (at = memchr(at, '\n', (size_t)(text + bytes - at))) != NULL;
                at++)
                lines++;
        const struct scope_split_spec split = { .pattern = family->pattern,
                .bytes = strlen(family->pattern), .behavior = SCOPE_SPLIT_ISOLATED };
        enum scope_err err = scope_build_create(builder, family->name, lines, 0, diag);
        if (err == SCOPE_OK)
                err = read_ranks(builder, text, bytes);
        for (int i = 0; err == SCOPE_OK && i < 256; i++)
                if (builder->tokenizer->byte_ids[i] == SCOPE_TOKEN_NONE)
                        return scope_diag_set(diag, SCOPE_ERR_FORMAT,
                                "%s: no token for the byte %d", family->name, i);
        if (err == SCOPE_OK)
                err = read_merges(builder);
        if (err != SCOPE_OK)
                return err;
        builder->tokenizer->nfc = family->nfc;
        builder->tokenizer->ignore_merges = true;
        err = read_specials(builder, family);
        if (err == SCOPE_OK)
                err = scope_build_split(builder, &split);
        return err == SCOPE_OK ? scope_build_finish(builder) : err;
}

enum scope_err scope_tokenizer_parse_tiktoken(const char *name, const char *text, size_t bytes,
        struct scope_tokenizer **ret_tokenizer, struct scope_diag *diag)
{
        struct scope_builder builder = { 0 };
        const struct family *family = NULL;
        for (size_t i = 0; i < sizeof families / sizeof *families; i++)
                if (strcmp(name, families[i].name) == 0)
                        family = &families[i];
        if (family == NULL)
                return scope_diag_set(diag, SCOPE_ERR_UNSUPPORTED,
                        "%.200s: a rank file does not say which pattern it goes with; known by "
                        "name are qwen.tiktoken, tokenizer.model (Llama 3), gpt2.tiktoken and "
                        "r50k_base.tiktoken", name);
        if (bytes > SCOPE_TOKENIZER_FILE_MAX)
                return scope_diag_set(diag, SCOPE_ERR_TOO_BIG, "%s: %zu bytes, the limit is %d",
                        name, bytes, SCOPE_TOKENIZER_FILE_MAX);
        enum scope_err err = parse(&builder, family, text, bytes, diag);
        if (err != SCOPE_OK) {
                scope_tokenizer_destroy(builder.tokenizer);
                return err;
        }
        *ret_tokenizer = builder.tokenizer;
        return SCOPE_OK;
}
