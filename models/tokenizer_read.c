/* tokenizer_read.c - tokenizer.json into tables: the vocabulary, merges and added tokens here, how
 * text is cut and framed in tokenizer_pipeline.c. */
#include "models/tokenizer_read.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/tokenizer.h"
#include "models/tokenizer_build.h"
#include "models/tokenizer_parts.h"

enum scope_err scope_read_bad(
        struct scope_builder *builder, const char *what, const char *name, size_t bytes)
{
        return scope_diag_set(builder->diag, SCOPE_ERR_FORMAT, "%s: %s \"%.*s\"", builder->source,
                what, (int)(bytes < 100 ? bytes : 100), name);
}

static enum scope_err bad(struct scope_builder *builder, const char *what, const char *name)
{
        return scope_read_bad(builder, what, name, strlen(name));
}

enum scope_err scope_read_unsupported(
        struct scope_builder *builder, const char *what, struct scope_dom_text name)
{
        return scope_diag_set(builder->diag, SCOPE_ERR_UNSUPPORTED,
                "%s: %s \"%.*s\" is not supported", builder->source, what,
                (int)(name.bytes < 100 ? name.bytes : 100), name.at != NULL ? name.at : "");
}

bool scope_read_is(struct scope_dom_text text, const char *word)
{
        return text.at != NULL && text.bytes == strlen(word)
                && memcmp(text.at, word, text.bytes) == 0;
}

bool scope_read_absent(struct scope_dom_value value)
{
        return scope_dom_type(value) <= SCOPE_DOM_NULL;
}

/* --- model ---------------------------------------------------------------------------------- */

static enum scope_err read_token(
        void *context, struct scope_dom_text name, struct scope_dom_value value)
{
        struct scope_builder *builder = context;
        char bytes[SCOPE_TOKEN_BYTES_MAX];
        uint32_t count = 0;
        int64_t id;
        bool raw = false;
        if (!scope_dom_integer(value, &id))
                return scope_read_bad(builder, "the id is not a number of", name.at, name.bytes);
        if (name.bytes <= SCOPE_TOKEN_BYTES_MAX)
                raw = !scope_build_spell(builder, name.at, name.bytes, bytes, &count);
        else
                count = SCOPE_TOKEN_BYTES_MAX + 1; /* refused by its length */
        return scope_build_token(builder, id, count <= SCOPE_TOKEN_BYTES_MAX ? bytes : name.at,
                count, raw);
}

static enum scope_err half(
        void *context, struct scope_dom_text key, struct scope_dom_value value)
{
        struct scope_dom_text *halves = context;
        (void)key;
        halves[halves[0].at != NULL] = scope_dom_text(value);
        return SCOPE_OK;
}

/* "a b" or ["a", "b"]. No token of the alphabet holds a space, so the first one parts the
 * halves. */
static bool split_merge(struct scope_dom_value merge, struct scope_dom_text *halves)
{
        struct scope_dom_text both = scope_dom_text(merge);
        if (both.at == NULL) {
                if (scope_dom_count(merge) == 2)
                        (void)scope_dom_each(merge, half, halves);
        } else {
                const char *space = memchr(both.at, ' ', both.bytes);
                if (space == NULL)
                        return false;
                halves[0] = (struct scope_dom_text){ both.at, (size_t)(space - both.at) };
                halves[1] = (struct scope_dom_text){ space + 1,
                        both.bytes - halves[0].bytes - 1 };
        }
        return halves[0].at != NULL && halves[1].at != NULL
                && halves[0].bytes + halves[1].bytes <= SCOPE_TOKEN_BYTES_MAX;
}

struct merge_reader {
        struct scope_builder *builder;
        uint32_t rank;
};

/* The token of a merge. Most vocabularies are numbered as they were merged: the next one is it. */
static uint32_t merged_id(struct scope_builder *builder, const char *at, uint32_t bytes, bool raw)
{
        const struct scope_tokenizer *tokenizer = builder->tokenizer;
        uint32_t next = builder->merged_last + 1;
        if (next >= tokenizer->size || tokenizer->tokens[next].vocab_bytes != bytes
                || tokenizer->tokens[next].raw != raw
                || memcmp(tokenizer->text + tokenizer->tokens[next].vocab_at, at, bytes) != 0)
                next = scope_vocab_find(tokenizer, (const uint8_t *)at, bytes, raw);
        builder->merged_last = next;
        return next;
}

enum scope_err scope_read_merge(
        struct scope_builder *builder, const struct scope_dom_text *halves, uint32_t rank)
{
        const struct scope_tokenizer *tokenizer = builder->tokenizer;
        char bytes[2 * SCOPE_TOKEN_BYTES_MAX];
        uint32_t left, right;
        bool raw_left = !scope_build_spell(builder, halves[0].at, halves[0].bytes, bytes, &left);
        bool raw_right = !scope_build_spell(
                builder, halves[1].at, halves[1].bytes, bytes + left, &right);
        const uint8_t *at = (const uint8_t *)bytes;
        uint32_t a = scope_vocab_find(tokenizer, at, left, raw_left);
        uint32_t b = scope_vocab_find(tokenizer, at + left, right, raw_right);
        uint32_t both;
        if (raw_left || raw_right) { /* spelled as it stands: no text can ask for it */
                memcpy(bytes, halves[0].at, halves[0].bytes);
                memcpy(bytes + halves[0].bytes, halves[1].at, halves[1].bytes);
                left = (uint32_t)halves[0].bytes;
                right = (uint32_t)halves[1].bytes;
        }
        both = merged_id(builder, bytes, left + right, raw_left || raw_right);
        if (a == SCOPE_TOKEN_NONE || b == SCOPE_TOKEN_NONE || both == SCOPE_TOKEN_NONE)
                return scope_read_bad(builder, "a merge names a token that the vocabulary lacks:",
                        bytes, left + right);
        return scope_build_merge(builder, a, b, both, rank);
}

static enum scope_err read_merge(
        void *context, struct scope_dom_text key, struct scope_dom_value value)
{
        struct merge_reader *reader = context;
        struct scope_dom_text halves[2] = { { NULL, 0 }, { NULL, 0 } };
        struct scope_dom_text text = scope_dom_text(value);
        (void)key;
        if (!split_merge(value, halves))
                return scope_read_bad(reader->builder, "a merge is not two tokens:",
                        text.at != NULL ? text.at : "(not text)",
                        text.at != NULL ? text.bytes : strlen("(not text)"));
        return scope_read_merge(reader->builder, halves, reader->rank++);
}

/* Options that would change what text becomes. */
static enum scope_err check_model(struct scope_builder *builder, struct scope_dom_value model)
{
        static const char *const empty[] = { "dropout", "continuing_subword_prefix",
                "end_of_word_suffix" };
        struct scope_dom_value type = scope_dom_get(model, "type");
        if (!scope_read_absent(type) && !scope_read_is(scope_dom_text(type), "BPE"))
                return scope_read_unsupported(builder, "model", scope_dom_text(type));
        for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
                struct scope_dom_value value = scope_dom_get(model, empty[i]);
                if (!scope_read_absent(value)
                        && !(scope_dom_type(value) == SCOPE_DOM_TEXT
                                && scope_dom_text(value).bytes == 0))
                        return scope_read_unsupported(builder, "model",
                                (struct scope_dom_text){ empty[i], strlen(empty[i]) });
        }
        if (scope_dom_type(scope_dom_get(model, "vocab")) != SCOPE_DOM_OBJECT)
                return bad(builder, "not an object:", "model.vocab");
        if (scope_dom_type(scope_dom_get(model, "merges")) != SCOPE_DOM_ARRAY)
                return bad(builder, "not an array:", "model.merges");
        return SCOPE_OK;
}

/* What stands in for unknown characters is never needed where every byte has a token. */
static enum scope_err check_unknown(struct scope_builder *builder, struct scope_dom_value model)
{
        static const char *const names[] = { "unk_token", "byte_fallback" };
        bool complete = true;
        for (int i = 0; i < 256; i++)
                complete &= builder->tokenizer->byte_ids[i] != SCOPE_TOKEN_NONE;
        for (size_t i = 0; i < 2 && !complete; i++) {
                struct scope_dom_value value = scope_dom_get(model, names[i]);
                if (i == 0 ? !scope_read_absent(value) : scope_dom_is_true(value))
                        return scope_read_unsupported(builder,
                                "a vocabulary without a token for each byte, and",
                                (struct scope_dom_text){ names[i], strlen(names[i]) });
        }
        return SCOPE_OK;
}

/* --- added tokens --------------------------------------------------------------------------- */

static enum scope_err read_added(
        void *context, struct scope_dom_text key, struct scope_dom_value value)
{
        struct scope_builder *builder = context;
        struct scope_dom_text content = scope_dom_text(scope_dom_get(value, "content"));
        struct scope_added_spec spec = { .content = content.at, .bytes = content.bytes,
                .special = scope_dom_is_true(scope_dom_get(value, "special")),
                .single_word = scope_dom_is_true(scope_dom_get(value, "single_word")),
                .lstrip = scope_dom_is_true(scope_dom_get(value, "lstrip")),
                .rstrip = scope_dom_is_true(scope_dom_get(value, "rstrip")),
                .normalized = scope_dom_is_true(scope_dom_get(value, "normalized")) };
        (void)key;
        if (content.at == NULL)
                return bad(builder, "added token without", "content");
        if (!scope_dom_integer(scope_dom_get(value, "id"), &spec.id))
                return scope_read_bad(
                        builder, "the id is not a number of", content.at, content.bytes);
        return scope_build_added(builder, &spec);
}

/* --- whole ---------------------------------------------------------------------------------- */

static enum scope_err read_root(
        struct scope_builder *builder, struct scope_dom_value root, struct scope_diag *diag)
{
        struct scope_dom_value model = scope_dom_get(root, "model");
        struct scope_dom_value added = scope_dom_get(root, "added_tokens");
        struct scope_dom_value vocab = scope_dom_get(model, "vocab");
        struct scope_dom_value merges = scope_dom_get(model, "merges");
        *builder = (struct scope_builder){ .source = "tokenizer.json", .diag = diag };
        if (scope_dom_type(model) != SCOPE_DOM_OBJECT)
                return bad(builder, "not an object:", "model");
        if (!scope_read_absent(added) && scope_dom_type(added) != SCOPE_DOM_ARRAY)
                return bad(builder, "not an array:", "added_tokens");
        enum scope_err err = check_model(builder, model);
        if (err == SCOPE_OK)
                err = scope_build_create(builder, "tokenizer.json", scope_dom_count(vocab),
                        scope_dom_count(merges), diag);
        if (err == SCOPE_OK)
                builder->tokenizer->ignore_merges =
                        scope_dom_is_true(scope_dom_get(model, "ignore_merges"));
        if (err == SCOPE_OK)
                err = scope_read_pipeline(builder, root);
        if (err == SCOPE_OK)
                err = scope_dom_each(vocab, read_token, builder);
        if (err == SCOPE_OK)
                err = check_unknown(builder, model);
        struct merge_reader reader = { builder, 0 };
        if (err == SCOPE_OK)
                err = scope_dom_each(merges, read_merge, &reader);
        if (err == SCOPE_OK)
                err = scope_dom_each(added, read_added, builder);
        if (err == SCOPE_OK)
                err = scope_read_frame(builder, scope_dom_get(root, "post_processor"), 0);
        return err == SCOPE_OK ? scope_build_finish(builder) : err;
}

/* Where it breaks off: a slow reader knows the line. */
static enum scope_err say_where(const char *json, size_t bytes, struct scope_diag *diag)
{
        json_error_t error;
        json_t *root = json_loadb(json, bytes, 0, &error);
        if (root != NULL) {
                json_decref(root);
                return scope_diag_set(diag, SCOPE_ERR_FORMAT, "tokenizer.json: not JSON");
        }
        return scope_diag_set(diag, SCOPE_ERR_FORMAT, "tokenizer.json:%d:%d: %s", error.line,
                error.column, error.text);
}

enum scope_err scope_tokenizer_parse_spare(const char *json, size_t bytes, bool spare,
        struct scope_tokenizer **ret_tokenizer, struct scope_diag *diag)
{
        struct scope_builder builder = { 0 };
        struct scope_dom_value root;
        struct scope_dom *dom;
        if (bytes > SCOPE_TOKENIZER_FILE_MAX)
                return scope_diag_set(diag, SCOPE_ERR_TOO_BIG,
                        "tokenizer.json: %zu bytes, the limit is %d", bytes,
                        SCOPE_TOKENIZER_FILE_MAX);
        enum scope_err err = scope_dom_parse(json, bytes, spare, &dom, &root);
        if (err == SCOPE_ERR_FORMAT)
                return say_where(json, bytes, diag);
        if (err != SCOPE_OK)
                return scope_diag_set(diag, err, "tokenizer.json: out of memory");
        err = read_root(&builder, root, diag);
        scope_dom_destroy(dom);
        if (err != SCOPE_OK) {
                scope_tokenizer_destroy(builder.tokenizer);
                return err;
        }
        *ret_tokenizer = builder.tokenizer;
        return SCOPE_OK;
}

enum scope_err scope_tokenizer_parse(const char *json, size_t bytes,
        struct scope_tokenizer **ret_tokenizer, struct scope_diag *diag)
{
        return scope_tokenizer_parse_spare(json, bytes, false, ret_tokenizer, diag);
}
