#include "models/tokenizer_build.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/text.h"
#include "models/tokenizer_normalise.h"
#include "models/tokenizer_parts.h"
#include "models/tokenizer_pattern.h"

#define RAW (1u << 31)
enum { TEXT_BYTES_MAX = 256 << 20, MERGES_MAX = 8 * SCOPE_VOCAB_MAX, BIG_PAGE = 2 << 20 };

const char scope_pattern_gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+|"
                                  " ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const char scope_pattern_qwen2[] =
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
        " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const char scope_pattern_llama3[] =
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
        " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

static enum scope_err bad(
        struct scope_builder *builder, const char *what, const char *name, size_t bytes)
{
        return scope_diag_set(builder->diag, SCOPE_ERR_FORMAT, "%s: %s \"%.*s\"", builder->source,
                what, (int)(bytes < 100 ? bytes : 100), name);
}

static enum scope_err no_memory(struct scope_builder *builder)
{
        return scope_diag_set(
                builder->diag, SCOPE_ERR_MEMORY, "%s: out of memory", builder->source);
}

/* GPT-2's alphabet: printable bytes are themselves, the other 68 are U+0100 and on, in order. */
static void fill_alphabet(uint32_t *char_bytes)
{
        uint32_t other = 0x100;
        memset(char_bytes, 0xff, 0x200 * sizeof *char_bytes);
        for (uint32_t byte = 0; byte < 256; byte++) {
                bool itself =
                        (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
                char_bytes[itself ? byte : other++] = byte;
        }
}

void *scope_table_alloc(size_t bytes)
{
        size_t page = bytes >= BIG_PAGE ? BIG_PAGE : 64;
        size_t whole = (bytes + page - 1) / page * page;
        void *table = aligned_alloc(page, whole != 0 ? whole : page);
        if (table != NULL && page == BIG_PAGE)
                (void)madvise(table, whole, MADV_HUGEPAGE); /* only faster */
        return table;
}

static uint32_t places_for(size_t count)
{
        size_t places = 2;
        while (places < count + count / 2 + 1)
                places *= 2;
        return (uint32_t)places;
}

enum scope_err scope_build_create(struct scope_builder *builder, const char *source,
        size_t vocab_count, size_t merge_count, struct scope_diag *diag)
{
        *builder = (struct scope_builder){ .source = source, .diag = diag };
        fill_alphabet(builder->char_bytes);
        if (vocab_count > SCOPE_VOCAB_MAX)
                return scope_diag_set(diag, SCOPE_ERR_TOO_BIG, "%s: %zu tokens, the limit is %d",
                        source, vocab_count, SCOPE_VOCAB_MAX);
        struct scope_tokenizer *tokenizer = calloc(1, sizeof *tokenizer);
        builder->tokenizer = tokenizer;
        if (tokenizer == NULL)
                return no_memory(builder);
        memset(tokenizer->byte_ids, 0xff, sizeof tokenizer->byte_ids);
        tokenizer->vocab_mask = places_for(vocab_count) - 1;
        size_t places = ((size_t)tokenizer->vocab_mask + 1) * sizeof *tokenizer->vocab;
        size_t tokens = (vocab_count + vocab_count / 64 + 256) * sizeof *tokenizer->tokens;
        tokenizer->vocab = scope_table_alloc(places);
        tokenizer->tokens = scope_table_alloc(tokens);
        if (tokenizer->vocab == NULL || tokenizer->tokens == NULL)
                return no_memory(builder);
        memset(tokenizer->vocab, 0, places);
        memset(tokenizer->tokens, 0, tokens);
        tokenizer->tokens_capacity = (uint32_t)(tokens / sizeof *tokenizer->tokens);
        return scope_build_merges_expect(builder, merge_count);
}

enum scope_err scope_build_merges_expect(struct scope_builder *builder, size_t count)
{
        struct scope_tokenizer *tokenizer = builder->tokenizer;
        size_t places = places_for(count);
        scope_assert(tokenizer->merges == NULL);
        if (count > MERGES_MAX)
                return scope_diag_set(builder->diag, SCOPE_ERR_TOO_BIG,
                        "%s: %zu merges, the limit is %d", builder->source, count, MERGES_MAX);
        if (count == 0)
                return SCOPE_OK;
        tokenizer->merge_mask = (uint32_t)places - 1;
        tokenizer->merges = scope_table_alloc(places * sizeof *tokenizer->merges);
        if (tokenizer->merges == NULL)
                return no_memory(builder);
        memset(tokenizer->merges, 0xff, places * sizeof *tokenizer->merges);
        return SCOPE_OK;
}

bool scope_build_spell(const struct scope_builder *builder, const char *text, size_t bytes,
        char *ret_bytes, uint32_t *ret_count)
{
        const uint8_t *at = (const uint8_t *)text, *end = at + bytes;
        uint32_t count = 0;
        for (; at < end; count++) {
                uint32_t character = at[0];
                bool two = (at[0] & 0xe0) == 0xc0 && at + 1 < end;
                if (two)
                        character = (at[0] & 0x1fu) << 6 | (at[1] & 0x3fu);
                if ((at[0] >= 0x80 && !two) || character >= 0x200
                        || builder->char_bytes[character] == SCOPE_TOKEN_NONE) {
                        memcpy(ret_bytes, text, bytes);
                        *ret_count = (uint32_t)bytes;
                        return false;
                }
                ret_bytes[count] = (char)builder->char_bytes[character];
                at += two ? 2 : 1;
        }
        *ret_count = count;
        return true;
}

/* --- tokens --------------------------------------------------------------------------------- */

static bool same(const struct scope_tokenizer *tokenizer, const struct scope_vocab_place *place,
        uint64_t key, uint32_t measure, const void *at)
{
        return place->key == key && place->bytes == measure
                && ((measure & ~RAW) <= 8
                        || memcmp(tokenizer->text + tokenizer->tokens[place->id].vocab_at, at,
                                   measure & ~RAW) == 0);
}

uint32_t scope_vocab_find(
        const struct scope_tokenizer *tokenizer, const uint8_t *at, size_t bytes, bool raw)
{
        if (bytes == 0 || bytes > tokenizer->piece_bytes_max)
                return SCOPE_TOKEN_NONE;
        uint64_t key = scope_vocab_key(at, bytes);
        uint32_t measure = (uint32_t)bytes | (raw ? RAW : 0);
        uint32_t place = scope_vocab_home(key, measure, tokenizer->vocab_mask);
        for (uint32_t probe = 0; probe <= tokenizer->vocab_probes; probe++) {
                const struct scope_vocab_place *found = &tokenizer->vocab[place];
                if (found->bytes == 0)
                        return SCOPE_TOKEN_NONE;
                if (same(tokenizer, found, key, measure, at))
                        return found->id;
                place = (place + 1) & tokenizer->vocab_mask;
        }
        return SCOPE_TOKEN_NONE;
}

/* Appends to the tokens' text. */
static enum scope_err keep_text(
        struct scope_builder *builder, const char *at, size_t bytes, uint32_t *ret_at)
{
        struct scope_tokenizer *tokenizer = builder->tokenizer;
        if (tokenizer->text_bytes + bytes > TEXT_BYTES_MAX)
                return scope_diag_set(builder->diag, SCOPE_ERR_TOO_BIG,
                        "%s: more than %d bytes of tokens", builder->source, TEXT_BYTES_MAX);
        if (tokenizer->text_bytes + bytes > tokenizer->text_capacity) {
                size_t capacity = 2 * tokenizer->text_capacity + bytes + 4096;
                char *text = realloc(tokenizer->text, capacity);
                if (text == NULL)
                        return no_memory(builder);
                tokenizer->text = text;
                tokenizer->text_capacity = capacity;
        }
        memcpy(tokenizer->text + tokenizer->text_bytes, at, bytes);
        *ret_at = (uint32_t)tokenizer->text_bytes;
        tokenizer->text_bytes += bytes;
        return SCOPE_OK;
}

static enum scope_err reach(
        struct scope_builder *builder, int64_t id, const char *name, size_t bytes)
{
        struct scope_tokenizer *tokenizer = builder->tokenizer;
        if (id < 0)
                return bad(builder, "the id is not a number of", name, bytes);
        if (id >= SCOPE_VOCAB_MAX)
                return scope_diag_set(builder->diag, SCOPE_ERR_TOO_BIG,
                        "%s: id %lld of \"%.*s\" is over the limit of %d", builder->source,
                        (long long)id, (int)(bytes < 100 ? bytes : 100), name, SCOPE_VOCAB_MAX);
        if (bytes == 0 || bytes > SCOPE_TOKEN_BYTES_MAX)
                return bad(builder, "empty or too long token", name, bytes);
        if (id >= tokenizer->tokens_capacity) {
                uint32_t capacity = tokenizer->tokens_capacity;
                while (capacity <= id)
                        capacity = capacity != 0 ? 2 * capacity : 256;
                struct scope_token *tokens =
                        realloc(tokenizer->tokens, capacity * sizeof *tokens);
                if (tokens == NULL)
                        return no_memory(builder);
                memset(tokens + tokenizer->tokens_capacity, 0,
                        (capacity - tokenizer->tokens_capacity) * sizeof *tokens);
                tokenizer->tokens = tokens;
                tokenizer->tokens_capacity = capacity;
        }
        if (id >= tokenizer->size)
                tokenizer->size = (uint32_t)id + 1;
        return SCOPE_OK;
}

/* Finds the token's place in the table; one with the same bytes may be there already. */
static enum scope_err enter(struct scope_builder *builder, uint32_t id, const char *at,
        uint32_t bytes, bool raw)
{
        struct scope_tokenizer *tokenizer = builder->tokenizer;
        uint64_t key = scope_vocab_key((const uint8_t *)at, bytes);
        uint32_t measure = bytes | (raw ? RAW : 0), probes = 0;
        uint32_t place = scope_vocab_home(key, measure, tokenizer->vocab_mask);
        scope_assert(tokenizer->vocab_count < tokenizer->vocab_mask);
        while (tokenizer->vocab[place].bytes != 0) {
                if (same(tokenizer, &tokenizer->vocab[place], key, measure, at))
                        return bad(builder, "duplicate token", at, bytes);
                place = (place + 1) & tokenizer->vocab_mask;
                if (++probes > SCOPE_PROBES_MAX)
                        return bad(builder, "too many tokens look alike to", at, bytes);
        }
        if (probes > tokenizer->vocab_probes)
                tokenizer->vocab_probes = probes;
        tokenizer->vocab[place] = (struct scope_vocab_place){ key, id, measure };
        tokenizer->vocab_count++;
        return SCOPE_OK;
}

enum scope_err scope_build_token(
        struct scope_builder *builder, int64_t id, const char *at, size_t bytes, bool raw)
{
        struct scope_tokenizer *tokenizer = builder->tokenizer;
        enum scope_err err = reach(builder, id, at, bytes);
        if (err != SCOPE_OK)
                return err;
        struct scope_token *token = &tokenizer->tokens[id];
        if (token->present) {
                bool again = token->vocab_bytes == bytes
                        && memcmp(tokenizer->text + token->vocab_at, at, bytes) == 0;
                return bad(builder, again ? "duplicate token" : "two tokens have the id of", at,
                        bytes);
        }
        *token = (struct scope_token){ .bytes = (uint32_t)bytes, .present = true, .raw = raw };
        err = keep_text(builder, at, bytes, &token->at);
        token->vocab_at = token->at;
        token->vocab_bytes = token->bytes;
        if (err == SCOPE_OK)
                err = enter(builder, (uint32_t)id, at, (uint32_t)bytes, raw);
        if (err != SCOPE_OK)
                return err;
        if (bytes > tokenizer->piece_bytes_max)
                tokenizer->piece_bytes_max = (uint32_t)bytes;
        if (bytes == 1 && !raw)
                tokenizer->byte_ids[(uint8_t)at[0]] = (uint32_t)id;
        return SCOPE_OK;
}

enum scope_err scope_build_merge(struct scope_builder *builder, uint32_t left, uint32_t right,
        uint32_t merged, uint32_t rank)
{
        struct scope_tokenizer *tokenizer = builder->tokenizer;
        const struct scope_token *token = &tokenizer->tokens[merged];
        uint32_t place = scope_merge_place(left, right, tokenizer->merge_mask), probes = 0;
        scope_assert(tokenizer->merges != NULL);
        scope_assert(tokenizer->merge_count < tokenizer->merge_mask);
        while (tokenizer->merges[place].left != SCOPE_TOKEN_NONE) {
                const struct scope_merge *other = &tokenizer->merges[place];
                if (other->left == left && other->right == right)
                        return bad(builder, "a merge stands twice:", tokenizer->text + token->at,
                                token->bytes);
                place = (place + 1) & tokenizer->merge_mask;
                if (++probes > SCOPE_PROBES_MAX)
                        return bad(builder, "too many merges look alike to",
                                tokenizer->text + token->at, token->bytes);
        }
        if (probes > tokenizer->merge_probes)
                tokenizer->merge_probes = probes;
        tokenizer->merges[place] = (struct scope_merge){ left, right, merged, rank };
        tokenizer->merge_count++;
        return SCOPE_OK;
}

/* --- added tokens --------------------------------------------------------------------------- */

/* The bytes that are searched for: the content, normalised where the text is. */
static enum scope_err added_needle(struct scope_builder *builder,
        const struct scope_added_spec *spec, struct scope_added *ret_item)
{
        struct scope_tokenizer *tokenizer = builder->tokenizer;
        struct scope_text needle = { 0 };
        enum scope_err err = SCOPE_OK;
        if (spec->normalized && tokenizer->nfc)
                err = scope_nfc((const uint8_t *)spec->content, spec->bytes, &needle);
        else
                scope_text_add(&needle, spec->content, spec->bytes);
        if (err != SCOPE_OK || needle.failed || needle.count == 0) {
                scope_text_fini(&needle);
                return no_memory(builder);
        }
        *ret_item = (struct scope_added){ (uint32_t)spec->id, 0, (uint32_t)needle.count };
        err = keep_text(builder, needle.bytes, needle.count, &ret_item->at);
        scope_text_fini(&needle);
        return err;
}

enum scope_err scope_build_added(
        struct scope_builder *builder, const struct scope_added_spec *spec)
{
        struct scope_tokenizer *tokenizer = builder->tokenizer;
        struct scope_added_set *set = &tokenizer->added[spec->normalized];
        enum scope_err err = reach(builder, spec->id, spec->content, spec->bytes);
        if (err != SCOPE_OK)
                return err;
        if (tokenizer->added_count == SCOPE_ADDED_MAX)
                return scope_diag_set(builder->diag, SCOPE_ERR_TOO_BIG,
                        "%s: more than %d added tokens", builder->source, SCOPE_ADDED_MAX);
        struct scope_token *token = &tokenizer->tokens[spec->id];
        if (token->added)
                return bad(builder, "added twice:", spec->content, spec->bytes);
        char bytes[SCOPE_TOKEN_BYTES_MAX];
        uint32_t count;
        bool raw = !scope_build_spell(builder, spec->content, spec->bytes, bytes, &count);
        uint32_t known = scope_vocab_find(tokenizer, (const uint8_t *)bytes, count, raw);
        if (known != SCOPE_TOKEN_NONE ? known != (uint32_t)spec->id : token->present)
                return bad(builder, "the id is another token's:", spec->content, spec->bytes);
        if (set->items == NULL)
                set->items = calloc(SCOPE_ADDED_MAX, sizeof *set->items);
        if (set->items == NULL)
                return no_memory(builder);
        err = added_needle(builder, spec, &set->items[set->count]);
        if (err != SCOPE_OK)
                return err;
        uint32_t at;
        err = keep_text(builder, spec->content, spec->bytes, &at);
        if (err != SCOPE_OK)
                return err;
        *token = (struct scope_token){ .at = at, .vocab_at = token->vocab_at,
                .vocab_bytes = token->vocab_bytes, .bytes = (uint32_t)spec->bytes, .present = true,
                .added = true, .special = spec->special, .raw = token->raw,
                .whole = token->whole, .lstrip = spec->lstrip, .rstrip = spec->rstrip,
                .single_word = spec->single_word, .normalized = spec->normalized };
        set->count++;
        tokenizer->added_count++;
        return SCOPE_OK;
}

/* --- the rest ------------------------------------------------------------------------------- */

enum scope_err scope_build_split(
        struct scope_builder *builder, const struct scope_split_spec *spec)
{
        struct scope_tokenizer *tokenizer = builder->tokenizer;
        struct scope_diag inner = { "" };
        if (tokenizer->split_count == SCOPE_SPLITS_MAX)
                return scope_diag_set(builder->diag, SCOPE_ERR_TOO_BIG,
                        "%s: more than %d pre-tokenizers", builder->source, SCOPE_SPLITS_MAX);
        struct scope_split *split = &tokenizer->splits[tokenizer->split_count];
        *split = (struct scope_split){ .behavior = (enum scope_split_behavior)spec->behavior,
                .invert = spec->invert };
        if (spec->pattern != NULL) {
                enum scope_err err = scope_pattern_create(
                        spec->pattern, spec->bytes, spec->literal, &split->pattern, &inner);
                if (err != SCOPE_OK)
                        return scope_diag_set(
                                builder->diag, err, "%s: %s", builder->source, inner.text);
        }
        tokenizer->split_count++;
        return SCOPE_OK;
}

enum scope_err scope_build_frame(struct scope_builder *builder, int side, uint32_t id)
{
        struct scope_tokenizer *tokenizer = builder->tokenizer;
        uint32_t *ids = tokenizer->frame[side], *count = &tokenizer->frame_count[side];
        if (*count == SCOPE_FRAME_MAX)
                return scope_diag_set(builder->diag, SCOPE_ERR_TOO_BIG,
                        "%s: more than %d tokens around a text", builder->source, SCOPE_FRAME_MAX);
        if (id >= tokenizer->size || !tokenizer->tokens[id].present)
                return scope_diag_set(builder->diag, SCOPE_ERR_FORMAT,
                        "%s: the post-processor adds id %u, which is no token", builder->source,
                        id);
        ids[(*count)++] = id;
        return SCOPE_OK;
}

enum scope_err scope_build_finish(struct scope_builder *builder)
{
        static const char word[] = "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200C}\\x{200D}]";
        struct scope_tokenizer *tokenizer = builder->tokenizer;
        bool asked = false;
        for (int i = 0; i < 2; i++) {
                scope_added_sort(tokenizer->text, &tokenizer->added[i]);
                for (uint32_t j = 0; j < tokenizer->added[i].count; j++)
                        asked |= tokenizer->tokens[tokenizer->added[i].items[j].id].single_word;
        }
        enum scope_err err = SCOPE_OK;
        if (!tokenizer->ignore_merges) /* else every token of the vocabulary counts as whole */
                err = scope_tokenizer_find_whole(tokenizer, true);
        if (err == SCOPE_OK && asked)
                err = scope_pattern_create(
                        word, sizeof word - 1, false, &tokenizer->word, builder->diag);
        return err == SCOPE_ERR_MEMORY ? no_memory(builder) : err;
}
