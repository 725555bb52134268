/* tokenizer_read.h - the parts of reading a tokenizer that several files share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "models/tokenizer_simdjson.h"

struct scope_builder;
struct scope_tokenizer;

enum scope_err scope_read_bad(
        struct scope_builder *builder, const char *what, const char *name, size_t bytes);
enum scope_err scope_read_unsupported(
        struct scope_builder *builder, const char *what, struct scope_dom_text name);
bool scope_read_is(struct scope_dom_text text, const char *word);
bool scope_read_absent(struct scope_dom_value value); /* or null */

/* normalizer, pre_tokenizer and decoder; before the tokens are read. */
enum scope_err scope_read_pipeline(struct scope_builder *builder, struct scope_dom_value root);

/* What the post-processor adds; after the tokens are read.     in  depth: 0 at the outside */
enum scope_err scope_read_frame(
        struct scope_builder *builder, struct scope_dom_value processor, int depth);

/* A merge by the vocabulary's texts of its halves, together at most SCOPE_TOKEN_BYTES_MAX. */
enum scope_err scope_read_merge(
        struct scope_builder *builder, const struct scope_dom_text *halves, uint32_t rank);

/* scope_tokenizer_parse; spare: as of scope_dom_parse. */
enum scope_err scope_tokenizer_parse_spare(const char *json, size_t bytes, bool spare,
        struct scope_tokenizer **ret_tokenizer, struct scope_diag *diag);

/* The text of a tokenizer_config.json with "char_ords": S, E, P, U and single characters.
 * owns    gives
 * errors  SCOPE_ERR_NOT_FOUND: it has none; SCOPE_ERR_FORMAT; SCOPE_ERR_UNSUPPORTED: not ASCII */
enum scope_err scope_tokenizer_parse_characters(const char *json, size_t bytes,
        struct scope_tokenizer **ret_tokenizer, struct scope_diag *diag);

/* The bytes of a tiktoken file; `name` says which pattern and special tokens go with it.
 * owns    gives
 * errors  SCOPE_ERR_UNSUPPORTED: a name that we do not know */
enum scope_err scope_tokenizer_parse_tiktoken(const char *name, const char *text, size_t bytes,
        struct scope_tokenizer **ret_tokenizer, struct scope_diag *diag);
