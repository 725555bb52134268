/* scope_string.h - the few things everybody does to text of known length.
 * Why: what counts as white space is decided once; steps, answers and data sets agree on it. */
#pragma once

#include <stdbool.h>
#include <string.h>

#include "schemas/records.h"

static inline bool scope_is_space(char c)
{
        return c == ' ' || (c >= '\t' && c <= '\r');
}

static inline bool scope_is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static inline bool scope_is_letter(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Without white space at both ends.     thread  any; pure */
static inline struct scope_string scope_string_trim(struct scope_string text)
{
        while (text.bytes > 0 && scope_is_space(text.at[0])) {
                text.at++;
                text.bytes--;
        }
        while (text.bytes > 0 && scope_is_space(text.at[text.bytes - 1]))
                text.bytes--;
        return text;
}

static inline bool scope_string_equal(struct scope_string a, struct scope_string b)
{
        return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.at, b.at, a.bytes) == 0);
}

/* Whether `word` stands at `at`. */
static inline bool scope_string_begins(struct scope_string text, uint32_t at, const char *word)
{
        size_t bytes = strlen(word);
        return at <= text.bytes && text.bytes - at >= bytes &&
               memcmp(text.at + at, word, bytes) == 0;
}
