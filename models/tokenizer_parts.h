/* tokenizer_parts.h - what a tokenizer is made of; shared by its readers and its encoder, nobody
 * else.
 * Why: three file formats fill the same tables (tokenizer_build.c), one encoder reads them.
 * (1) Tokens of the vocabulary are kept by the bytes they stand for. Those with a character that is
 * no byte of the alphabet can never be met in text: `raw`, found by name only. (2) No look-up takes
 * more than SCOPE_PROBES_MAX steps: a file whose keys collide more than that is refused. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "models/tokenizer.h"

enum {
        SCOPE_TOKEN_BYTES_MAX = 1024,
        SCOPE_ADDED_MAX = 4096,
        SCOPE_SPLITS_MAX = 8,
        SCOPE_FRAME_MAX = 16,
        SCOPE_PROBES_MAX = 512,
        SCOPE_TOKENIZER_FILE_MAX = 64 << 20,
};

struct scope_pattern; /* tokenizer_pattern.h */

struct scope_token {
        uint32_t at, bytes; /* what it decodes to, in scope_tokenizer.text */
        uint32_t vocab_at, vocab_bytes; /* what it spells in the vocabulary; 0 bytes: not in it */
        bool present, special, added;
        bool raw;   /* its vocabulary text is not made of the alphabet */
        bool whole; /* its own bytes merge to it: a piece that equals it needs no merging */
        bool lstrip, rstrip, single_word, normalized; /* of added tokens */
};

/* Key of up to 8 bytes: the bytes themselves. Longer: a hash, and the token's bytes decide. */
struct scope_vocab_place {
        uint64_t key;
        uint32_t id, bytes; /* bytes 0: empty; the top bit: raw */
};

/* Tokens `left`, `right` side by side become `merged`; lower ranks first. */
struct scope_merge {
        uint32_t left, right, merged, rank; /* left SCOPE_TOKEN_NONE: an empty place of the table */
};

/* What is searched for in text, by id; sorted by bytes. Two sets: in raw text, in normalised. */
struct scope_added {
        uint32_t id, at, bytes;
};
struct scope_added_set {
        struct scope_added *items;
        uint32_t count, begin[257]; /* by first byte */
};

enum scope_split_behavior {
        SCOPE_SPLIT_ISOLATED,
        SCOPE_SPLIT_REMOVED,
        SCOPE_SPLIT_MERGED_WITH_PREVIOUS,
        SCOPE_SPLIT_MERGED_WITH_NEXT,
        SCOPE_SPLIT_CONTIGUOUS,
};
struct scope_split {
        struct scope_pattern *pattern; /* NULL: put a space in front that lacks one */
        enum scope_split_behavior behavior;
        bool invert;
};

struct scope_tokenizer {
        struct scope_token *tokens; /* [size], holes are not present */
        uint32_t size, tokens_capacity;
        char *text;                 /* all tokens' bytes */
        size_t text_bytes, text_capacity;
        uint32_t byte_ids[256];     /* the token that spells one byte, or SCOPE_TOKEN_NONE */
        uint32_t piece_bytes_max;   /* longest token of the vocabulary */
        struct scope_vocab_place *vocab; /* open addressing, vocab_mask + 1 places */
        uint32_t vocab_mask, vocab_probes, vocab_count;
        struct scope_merge *merges; /* the same, merge_mask + 1 places; NULL = no merges */
        uint32_t merge_mask, merge_probes, merge_count;
        bool ignore_merges;
        bool nfc;
        struct scope_added_set added[2]; /* 0: in raw text; 1: normalised ones */
        uint32_t added_count;
        struct scope_pattern *word;      /* a character of a word; NULL: nobody asks */
        struct scope_split splits[SCOPE_SPLITS_MAX];
        uint32_t split_count;
        uint32_t frame[2][SCOPE_FRAME_MAX], frame_count[2]; /* before and after a text */
};

/* Memory of a table that is read all over: on big pages where there are some. Not zeroed.
 * owns    gives: free()     thread  any */
void *scope_table_alloc(size_t bytes);

static inline uint64_t scope_mix(uint64_t key)
{
        key *= 0x9e3779b97f4a7c15u;
        key ^= key >> 32;
        key *= 0xd6e8feb86659fd93u;
        return key ^ key >> 29;
}

static inline uint32_t scope_merge_place(uint32_t left, uint32_t right, uint32_t mask)
{
        return (uint32_t)(scope_mix((uint64_t)left << 32 | right) >> 16) & mask;
}

/* One to one for up to 8 bytes. */
static inline uint64_t scope_vocab_key(const uint8_t *at, size_t bytes)
{
        uint64_t key = bytes, word;
        uint32_t low, high;
        if (bytes < 4)
                return at[0] | (uint32_t)at[bytes / 2] << 8 | (uint32_t)at[bytes - 1] << 16;
        if (bytes <= 8) {
                memcpy(&low, at, sizeof low);
                memcpy(&high, at + bytes - sizeof high, sizeof high);
                return (uint64_t)high << 32 | low;
        }
        for (size_t i = 0; i + 8 < bytes; i += 8) {
                memcpy(&word, at + i, sizeof word);
                key = scope_mix(key ^ word);
        }
        memcpy(&word, at + bytes - sizeof word, sizeof word);
        return scope_mix(key ^ word);
}

static inline uint32_t scope_vocab_home(uint64_t key, uint32_t bytes, uint32_t mask)
{
        return (uint32_t)(scope_mix(key ^ (uint64_t)bytes << 56) >> 16) & mask;
}

/* The token of the vocabulary with these bytes, or SCOPE_TOKEN_NONE.     thread  any */
uint32_t scope_vocab_find(
        const struct scope_tokenizer *tokenizer, const uint8_t *at, size_t bytes, bool raw);

/* --- encoding's parts ----------------------------------------------------------------------- */

struct scope_id_output {
        uint32_t *ids;
        size_t count, max;
        bool missing; /* some byte had no token and was left out */
};

static inline enum scope_err scope_id_put(struct scope_id_output *output, uint32_t id)
{
        if (output->count == output->max)
                return SCOPE_ERR_TOO_BIG;
        output->ids[output->count++] = id;
        return SCOPE_OK;
}

/* NULL: the two stay apart.                                              thread  any */
const struct scope_merge *scope_merge_find(
        const struct scope_tokenizer *tokenizer, uint32_t left, uint32_t right);

struct scope_symbol;

/* Memory of long pieces, kept from one to the next; zeroed at first. */
struct scope_bpe_work {
        struct scope_symbol *symbols;
        uint64_t *heap;
        size_t capacity; /* bytes of text */
};
void scope_bpe_work_fini(struct scope_bpe_work *work);

/* Ids of one piece: spelled byte by byte, then adjacent pairs merged, lowest rank first and
 * leftmost of equals. n log n in the piece's bytes. A byte without a token is left out: what stood
 * around it is side by side then.
 * errors  SCOPE_ERR_TOO_BIG, SCOPE_ERR_MEMORY     thread  any */
enum scope_err scope_bpe_encode(const struct scope_tokenizer *tokenizer,
        struct scope_bpe_work *work, const uint8_t *at, size_t bytes,
        struct scope_id_output *output);

/* By bytes, the first of equals stays first. At most SCOPE_ADDED_MAX, once.    thread  setup */
void scope_added_sort(const char *text, struct scope_added_set *set);

/* The longest added token of the set that begins at `at`, or NULL.       thread  any */
const struct scope_added *scope_added_find(const struct scope_tokenizer *tokenizer,
        const struct scope_added_set *set, const uint8_t *at, size_t bytes);

/* Sets `whole` of each token.
 * in      short_way: false merges each token's bytes, for tests to compare with
 * errors  SCOPE_ERR_MEMORY     thread  setup */
enum scope_err scope_tokenizer_find_whole(struct scope_tokenizer *tokenizer, bool short_way);
