/* tokenizer_pattern.h - the regular expressions of tokenizers, by PCRE2.
 * Why: files are written for Oniguruma. What PCRE2 reads differently is rewritten (white space and
 * digits in Unicode's sense) or refused by name, so that a pattern that compiles cuts alike.
 * (1) A match is bounded: JIT where there is one, a match limit always. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct scope_pattern;
struct scope_text;

/* owns    gives
 * errors  SCOPE_ERR_UNSUPPORTED: what PCRE2 would read differently; SCOPE_ERR_FORMAT: no pattern;
 *         both say where, counted in bytes     thread  setup */
enum scope_err scope_pattern_create(const char *text, size_t bytes, bool literal,
        struct scope_pattern **ret_pattern, struct scope_diag *diag);
void scope_pattern_destroy(struct scope_pattern *pattern); /* accepts NULL */

/* The next match at or after `from`; empty ones too, but none at the end of the last match.
 * Start with a zeroed search.
 * owns    gives the search's memory: scope_pattern_search_fini
 * errors  SCOPE_ERR_NOT_FOUND: no more; SCOPE_ERR_LIMIT; SCOPE_ERR_MEMORY     thread  any */
struct scope_pattern_search {
        const uint8_t *text; /* valid UTF-8 */
        size_t bytes, from;
        size_t begin, end;   /* of the match */
        bool matched;        /* `end` is that of a match before */
        void *memory;        /* kept from one search to the next */
};
enum scope_err scope_pattern_next(
        const struct scope_pattern *pattern, struct scope_pattern_search *search);
void scope_pattern_search_fini(struct scope_pattern_search *search);

/* Rewrites a pattern as PCRE2 has to read it; open to tests.        thread  any */
enum scope_err scope_pattern_translate(
        const char *text, size_t bytes, struct scope_text *ret_pattern, struct scope_diag *diag);
