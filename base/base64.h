/* base64.h - bytes as text that goes through anything (RFC 4648, padded).
 * Why: rank files of tokenizers come in it, and numbers that must come back to the bit go in it
 * into lines of JSON. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct scope_text;

/* A JSON string of it, as scope_json_text.     thread  owner */
void scope_json_base64(struct scope_text *text, const char *key, const void *bytes, size_t count);

/* out     *ret_bytes [at most max]
 * returns false: not base64 with its padding, or more than max bytes     thread  any; pure */
bool scope_base64_decode(
        const char *at, size_t count, void *ret_bytes, size_t max, size_t *ret_count);
