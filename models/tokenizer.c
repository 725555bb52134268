/* tokenizer.c - encoding and decoding.
 *   text -> added tokens of raw text -> form C -> added tokens of normalised text
 *        -> cut by the patterns, one after the other -> merged piece by piece
 * Added tokens are leftmost, then longest. */
#include "models/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "base/utf8.h"
#include "models/tokenizer_normalise.h"
#include "models/tokenizer_parts.h"
#include "models/tokenizer_pattern.h"

enum { ENCODE_BYTES_MAX = 16 << 20 };

/* One call. */
struct encoder {
        const struct scope_tokenizer *tokenizer;
        struct scope_id_output output;
        struct scope_bpe_work work;
        struct scope_pattern_search searches[SCOPE_SPLITS_MAX]; /* one a stage, for its memory */
        struct scope_text normal, spaced;
};

/* --- pieces --------------------------------------------------------------------------------- */

static enum scope_err encode_piece(struct encoder *encoder, const uint8_t *at, size_t bytes)
{
        const struct scope_tokenizer *tokenizer = encoder->tokenizer;
        uint32_t id = scope_vocab_find(tokenizer, at, bytes, false);
        if (id != SCOPE_TOKEN_NONE
                && (tokenizer->ignore_merges || tokenizer->tokens[id].whole))
                return scope_id_put(&encoder->output, id);
        return scope_bpe_encode(tokenizer, &encoder->work, at, bytes, &encoder->output);
}

static enum scope_err cut(
        struct encoder *encoder, uint32_t stage, const uint8_t *at, size_t bytes);

/* One stage of cutting. Its segments are matches and what lies between them; a segment waits here
 * where its behavior may join it to the next one. */
struct cutter {
        struct encoder *encoder;
        uint32_t stage;
        const uint8_t *text;
        size_t begin, end; /* of the waiting one */
        bool waiting, previous; /* previous: the last segment was a match */
};

static enum scope_err flush(struct cutter *cutter)
{
        if (!cutter->waiting)
                return SCOPE_OK;
        cutter->waiting = false;
        return cut(cutter->encoder, cutter->stage + 1, cutter->text + cutter->begin,
                cutter->end - cutter->begin);
}

static enum scope_err segment(struct cutter *cutter, size_t begin, size_t end, bool match)
{
        const struct scope_split *split = &cutter->encoder->tokenizer->splits[cutter->stage];
        bool previous = cutter->previous, join = false;
        match ^= split->invert;
        cutter->previous = match;
        switch (split->behavior) {
        case SCOPE_SPLIT_ISOLATED:
                break;
        case SCOPE_SPLIT_REMOVED:
                if (match)
                        return SCOPE_OK;
                break;
        case SCOPE_SPLIT_CONTIGUOUS:
                join = match == previous;
                break;
        case SCOPE_SPLIT_MERGED_WITH_PREVIOUS:
                join = match && !previous;
                break;
        case SCOPE_SPLIT_MERGED_WITH_NEXT:
                join = !match && previous;
                break;
        }
        enum scope_err err = SCOPE_OK;
        if (!join)
                err = flush(cutter);
        if (!cutter->waiting)
                cutter->begin = begin;
        cutter->end = end;
        cutter->waiting = true;
        return err;
}

static enum scope_err cut_by_pattern(
        struct encoder *encoder, uint32_t stage, const uint8_t *at, size_t bytes)
{
        const struct scope_pattern *pattern = encoder->tokenizer->splits[stage].pattern;
        struct scope_pattern_search *search = &encoder->searches[stage];
        struct cutter cutter = { .encoder = encoder, .stage = stage, .text = at };
        enum scope_err err = SCOPE_OK;
        size_t done = 0;
        *search = (struct scope_pattern_search){ .text = at, .bytes = bytes,
                .memory = search->memory };
        while (err == SCOPE_OK && (err = scope_pattern_next(pattern, search)) == SCOPE_OK) {
                if (done < search->begin)
                        err = segment(&cutter, done, search->begin, false);
                if (err == SCOPE_OK)
                        err = segment(&cutter, search->begin, search->end, true);
                done = search->end;
        }
        if (err != SCOPE_ERR_NOT_FOUND || search->from <= bytes)
                return err;
        err = done < bytes ? segment(&cutter, done, bytes, false) : SCOPE_OK;
        return err == SCOPE_OK ? flush(&cutter) : err;
}

static enum scope_err cut(struct encoder *encoder, uint32_t stage, const uint8_t *at, size_t bytes)
{
        const struct scope_tokenizer *tokenizer = encoder->tokenizer;
        if (bytes == 0)
                return SCOPE_OK;
        if (stage == tokenizer->split_count)
                return encode_piece(encoder, at, bytes);
        if (tokenizer->splits[stage].pattern != NULL)
                return cut_by_pattern(encoder, stage, at, bytes);
        if (at[0] == ' ')
                return cut(encoder, stage + 1, at, bytes);
        scope_text_clear(&encoder->spaced);
        scope_text_add(&encoder->spaced, " ", 1);
        scope_text_add(&encoder->spaced, (const char *)at, bytes);
        if (encoder->spaced.failed)
                return SCOPE_ERR_MEMORY;
        return cut(encoder, stage + 1, (const uint8_t *)encoder->spaced.bytes,
                encoder->spaced.count);
}

/* --- added tokens --------------------------------------------------------------------------- */

/* Unicode's White_Space. */
static bool is_space(uint32_t c)
{
        return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680
                || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f
                || c == 0x205f || c == 0x3000;
}

static size_t character_before(const uint8_t *text, size_t at)
{
        do
                at--;
        while (at > 0 && (text[at] & 0xc0) == 0x80);
        return at;
}

/* Is the character that begins at `at` one of a word? */
static bool in_word(const struct encoder *encoder, const uint8_t *text, size_t at)
{
        struct scope_pattern_search search = { .text = text + at };
        uint32_t count;
        (void)scope_utf8_character(text + at, &count);
        search.bytes = count;
        bool found = scope_pattern_next(encoder->tokenizer->word, &search) == SCOPE_OK;
        scope_pattern_search_fini(&search);
        return found;
}

static bool within_word(
        const struct encoder *encoder, const uint8_t *text, size_t begin, size_t end, size_t bytes)
{
        return (begin > 0 && in_word(encoder, text, character_before(text, begin)))
                || (end < bytes && in_word(encoder, text, end));
}

/* The spaces that a token takes with it. */
static void strip(const struct scope_token *token, const uint8_t *text, size_t bytes, size_t floor,
        size_t *begin, size_t *end)
{
        uint32_t count;
        while (token->lstrip && *begin > floor) {
                size_t before = character_before(text, *begin);
                if (before < floor || !is_space(scope_utf8_character(text + before, &count)))
                        break;
                *begin = before;
        }
        while (token->rstrip && *end < bytes && is_space(scope_utf8_character(text + *end, &count)))
                *end += count;
}

static enum scope_err between(
        struct encoder *encoder, int set, const uint8_t *at, size_t bytes);

/* Finds the added tokens of one set; what lies between them goes on. */
static enum scope_err find_added(
        struct encoder *encoder, int set, const uint8_t *text, size_t bytes)
{
        const struct scope_tokenizer *tokenizer = encoder->tokenizer;
        const struct scope_added_set *added = &tokenizer->added[set];
        enum scope_err err = SCOPE_OK;
        size_t done = 0, i = 0;
        while (err == SCOPE_OK && added->count != 0 && i < bytes) {
                const struct scope_added *item = added->begin[text[i]] == added->begin[text[i] + 1]
                        ? NULL
                        : scope_added_find(tokenizer, added, text + i, bytes - i);
                if (item == NULL) {
                        i++;
                        continue;
                }
                const struct scope_token *token = &tokenizer->tokens[item->id];
                size_t begin = i, end = i + item->bytes;
                i = end;
                if (token->single_word && within_word(encoder, text, begin, end, bytes))
                        continue;
                strip(token, text, bytes, done, &begin, &end);
                if (begin > done)
                        err = between(encoder, set, text + done, begin - done);
                if (err == SCOPE_OK)
                        err = scope_id_put(&encoder->output, item->id);
                done = end;
        }
        if (err == SCOPE_OK && done < bytes)
                err = between(encoder, set, text + done, bytes - done);
        return err;
}

static enum scope_err between(struct encoder *encoder, int set, const uint8_t *at, size_t bytes)
{
        if (set == 1)
                return cut(encoder, 0, at, bytes);
        if (!encoder->tokenizer->nfc || scope_nfc_quick(at, bytes))
                return find_added(encoder, 1, at, bytes);
        scope_text_clear(&encoder->normal);
        enum scope_err err = scope_nfc(at, bytes, &encoder->normal);
        if (err != SCOPE_OK || encoder->normal.failed)
                return SCOPE_ERR_MEMORY;
        return find_added(
                encoder, 1, (const uint8_t *)encoder->normal.bytes, encoder->normal.count);
}

/* --- outside -------------------------------------------------------------------------------- */

static enum scope_err encode(
        struct encoder *encoder, const char *text, size_t bytes, bool framed)
{
        const struct scope_tokenizer *tokenizer = encoder->tokenizer;
        const uint8_t *at = (const uint8_t *)text;
        struct scope_text repaired = { 0 };
        enum scope_err err = SCOPE_OK;
        if (bytes > ENCODE_BYTES_MAX)
                return SCOPE_ERR_TOO_BIG;
        /* Outermost first. */
        for (uint32_t i = framed ? tokenizer->frame_count[0] : 0; i > 0 && err == SCOPE_OK; i--)
                err = scope_id_put(&encoder->output, tokenizer->frame[0][i - 1]);
        if (!scope_utf8_valid(at, bytes)) {
                scope_utf8_repair(at, bytes, &repaired);
                if (repaired.failed)
                        err = SCOPE_ERR_MEMORY;
                at = (const uint8_t *)repaired.bytes;
                bytes = repaired.count;
        }
        if (err == SCOPE_OK)
                err = find_added(encoder, 0, at, bytes);
        for (uint32_t i = 0; framed && i < tokenizer->frame_count[1] && err == SCOPE_OK; i++)
                err = scope_id_put(&encoder->output, tokenizer->frame[1][i]);
        scope_text_fini(&repaired);
        return err;
}

static enum scope_err encode_call(const struct scope_tokenizer *tokenizer, const char *text,
        size_t bytes, bool framed, struct scope_id_output output, size_t *ret_count)
{
        struct encoder encoder = { .tokenizer = tokenizer, .output = output };
        enum scope_err err = encode(&encoder, text, bytes, framed);
        for (uint32_t i = 0; i < SCOPE_SPLITS_MAX; i++)
                scope_pattern_search_fini(&encoder.searches[i]);
        scope_bpe_work_fini(&encoder.work);
        scope_text_fini(&encoder.normal);
        scope_text_fini(&encoder.spaced);
        *ret_count = encoder.output.count;
        return err == SCOPE_OK && encoder.output.missing ? SCOPE_ERR_NOT_FOUND : err;
}

enum scope_err scope_tokenizer_encode(const struct scope_tokenizer *tokenizer, const char *text,
        size_t bytes, uint32_t *ret_ids, size_t max, size_t *ret_count)
{
        struct scope_id_output output = { ret_ids, 0, max, false };
        return encode_call(tokenizer, text, bytes, false, output, ret_count);
}

enum scope_err scope_tokenizer_encode_framed(const struct scope_tokenizer *tokenizer,
        const char *text, size_t bytes, uint32_t *ret_ids, size_t max, size_t *ret_count)
{
        struct scope_id_output output = { ret_ids, 0, max, false };
        return encode_call(tokenizer, text, bytes, true, output, ret_count);
}

void scope_tokenizer_decode(const struct scope_tokenizer *tokenizer, const uint32_t *ids,
        size_t count, bool skip_special, struct scope_text *text)
{
        for (size_t i = 0; i < count; i++) {
                if (ids[i] >= tokenizer->size)
                        continue;
                const struct scope_token *token = &tokenizer->tokens[ids[i]];
                if (token->present && !(skip_special && token->special))
                        scope_text_add(text, tokenizer->text + token->at, token->bytes);
        }
}

uint32_t scope_tokenizer_token_bytes(const struct scope_tokenizer *tokenizer, uint32_t id)
{
        if (id >= tokenizer->size || tokenizer->tokens[id].special)
                return 0;
        return tokenizer->tokens[id].bytes;
}

uint32_t scope_tokenizer_size(const struct scope_tokenizer *tokenizer)
{
        return tokenizer->size;
}

uint32_t scope_tokenizer_id(const struct scope_tokenizer *tokenizer, const char *text)
{
        size_t bytes = strlen(text);
        for (int set = 0; set < 2; set++)
                for (uint32_t i = 0; i < tokenizer->added[set].count; i++) {
                        uint32_t id = tokenizer->added[set].items[i].id;
                        const struct scope_token *token = &tokenizer->tokens[id];
                        if (token->bytes == bytes
                                && memcmp(tokenizer->text + token->at, text, bytes) == 0)
                                return id;
                }
        uint32_t id = scope_vocab_find(tokenizer, (const uint8_t *)text, bytes, false);
        if (id == SCOPE_TOKEN_NONE)
                id = scope_vocab_find(tokenizer, (const uint8_t *)text, bytes, true);
        return id != SCOPE_TOKEN_NONE && !tokenizer->tokens[id].added ? id : SCOPE_TOKEN_NONE;
}

const char *scope_tokenizer_spelling(
        const struct scope_tokenizer *tokenizer, uint32_t id, uint32_t *ret_bytes)
{
        if (id >= tokenizer->size || !tokenizer->tokens[id].present)
                return NULL;
        *ret_bytes = tokenizer->tokens[id].bytes;
        return tokenizer->text + tokenizer->tokens[id].at;
}

bool scope_tokenizer_is_special(const struct scope_tokenizer *tokenizer, uint32_t id)
{
        return id < tokenizer->size && tokenizer->tokens[id].special;
}

void scope_tokenizer_destroy(struct scope_tokenizer *tokenizer)
{
        if (tokenizer == NULL)
                return;
        free(tokenizer->tokens);
        free(tokenizer->text);
        free(tokenizer->vocab);
        free(tokenizer->merges);
        for (int i = 0; i < 2; i++)
                free(tokenizer->added[i].items);
        for (uint32_t i = 0; i < tokenizer->split_count; i++)
                scope_pattern_destroy(tokenizer->splits[i].pattern);
        scope_pattern_destroy(tokenizer->word);
        free(tokenizer);
}
