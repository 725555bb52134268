/* tokenizer_build.h - fills a tokenizer's tables.
 * Why: tokenizer.json, tiktoken and GGUF differ in how they say it, not in what they say.
 *   create -> token* -> merge* -> added* -> split*, frame* -> finish
 * Every function says what is wrong in `diag`; the caller destroys the tokenizer on failure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct scope_tokenizer;

struct scope_builder {
        struct scope_tokenizer *tokenizer;
        const char *source; /* for messages: "tokenizer.json" */
        struct scope_diag *diag;
        uint32_t merged_last; /* what the last merge made */
        uint32_t char_bytes[0x200]; /* the byte a character stands for, or SCOPE_TOKEN_NONE */
};

/* in      counts: at most so many tokens and merges will come
 * owns    gives builder->tokenizer, also when it fails */
enum scope_err scope_build_create(struct scope_builder *builder, const char *source,
        size_t vocab_count, size_t merge_count, struct scope_diag *diag);

/* The bytes that a text of the vocabulary stands for, through GPT-2's alphabet; false: some
 * character is not in it, `ret_bytes` is the text as it stands.
 * in      text: UTF-8 of at most SCOPE_TOKEN_BYTES_MAX bytes, room for as many in ret_bytes */
bool scope_build_spell(const struct scope_builder *builder, const char *text, size_t bytes,
        char *ret_bytes, uint32_t *ret_count);

/* A token of the vocabulary, by what it stands for.
 * errors  SCOPE_ERR_FORMAT: empty, too long, or the id or the bytes are another's;
 *         SCOPE_ERR_TOO_BIG: id over SCOPE_VOCAB_MAX */
enum scope_err scope_build_token(
        struct scope_builder *builder, int64_t id, const char *at, size_t bytes, bool raw);

/* Where the number of merges is known only after the tokens: created with none. */
enum scope_err scope_build_merges_expect(struct scope_builder *builder, size_t count);

/* errors  SCOPE_ERR_FORMAT: it stands twice */
enum scope_err scope_build_merge(struct scope_builder *builder, uint32_t left, uint32_t right,
        uint32_t merged, uint32_t rank);

/* A token that is found in text as it stands; it may be one of the vocabulary. */
struct scope_added_spec {
        const char *content;
        size_t bytes;
        int64_t id;
        bool special, single_word, lstrip, rstrip, normalized;
};
enum scope_err scope_build_added(
        struct scope_builder *builder, const struct scope_added_spec *spec);

/* How text is cut, in order. `pattern` NULL: a space goes in front of what has none. */
struct scope_split_spec {
        const char *pattern;
        size_t bytes;
        bool literal, invert;
        int behavior; /* enum scope_split_behavior */
};
enum scope_err scope_build_split(
        struct scope_builder *builder, const struct scope_split_spec *spec);

/* A token before (side 0) or behind (side 1) every text; each goes outside of those before it. */
enum scope_err scope_build_frame(struct scope_builder *builder, int side, uint32_t id);

/* Sorts, and finds what needs no merging. */
enum scope_err scope_build_finish(struct scope_builder *builder);

/* The patterns that everyone has. */
extern const char scope_pattern_gpt2[], scope_pattern_qwen2[], scope_pattern_llama3[];
