/* text.h - a growing run of bytes, and JSON written into it.
 * Why: every line we print, store or send as text is built here; one escape routine, one number
 * format.
 * (1) `bytes` is always NUL-terminated once something was added. (2) An allocation failure or
 * passing `limit` sets `failed` and later calls do nothing: check once, at the end. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct scope_text {
        char *bytes;
        size_t count, capacity, limit; /* limit 0 = SIZE_MAX */
        bool failed;
        uint8_t depth;       /* open JSON objects and arrays */
        uint64_t first_bits; /* bit d: nothing written yet at depth d */
};

void scope_text_add(struct scope_text *text, const char *bytes, size_t count);
void scope_text_string(struct scope_text *text, const char *string);
void scope_text_format(struct scope_text *text, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
void scope_text_clear(struct scope_text *text); /* keeps the memory */
void scope_text_fini(struct scope_text *text);  /* accepts a zeroed one */

/* JSON. Commas are added where they belong; `key` NULL inside arrays and at the top.
 * Text that is not valid UTF-8 has its bad bytes replaced by U+FFFD. Non-finite numbers become
 * null. Doubles print with the fewest digits that read back equal (%.17g at worst). */
void scope_json_open(struct scope_text *text, const char *key, char bracket); /* '{' or '[' */
void scope_json_close(struct scope_text *text, char bracket);                 /* '}' or ']' */
void scope_json_text(struct scope_text *text, const char *key, const char *value);
void scope_json_bytes(struct scope_text *text, const char *key, const char *value, size_t count);
void scope_json_double(struct scope_text *text, const char *key, double value);
void scope_json_int(struct scope_text *text, const char *key, int64_t value);
void scope_json_uint(struct scope_text *text, const char *key, uint64_t value);
void scope_json_bool(struct scope_text *text, const char *key, bool value);
void scope_json_raw(struct scope_text *text, const char *key, const char *json, size_t count);

#ifdef __cplusplus
}
#endif
