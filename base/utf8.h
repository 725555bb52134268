/* utf8.h - where UTF-8 is broken and how much of it is one mistake.
 * Why: text from outside may hold any bytes; what replaces bad ones must be the same everywhere.
 * (1) The longest run of bytes that begins a character and then breaks off counts as one mistake,
 * as WHATWG, Python and Rust do it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct scope_text;

/* Bytes of the character at `at` (RFC 3629), 0 where there is none.
 * in      left >= 1     thread  any */
size_t scope_utf8_sequence(const uint8_t *at, size_t left);

/* Bytes of the mistake at `at`, where scope_utf8_sequence gives 0; ret_open: only the end of the
 * text makes it one, more bytes could complete the character.
 * thread  any */
size_t scope_utf8_mistake(const uint8_t *at, size_t left, bool *ret_open);

bool scope_utf8_valid(const uint8_t *bytes, size_t count); /* thread  any */

/* Appends the text with U+FFFD for each mistake; bytes may be NULL where count is 0. thread  any */
void scope_utf8_repair(const uint8_t *bytes, size_t count, struct scope_text *text);

/* The character at `at`, which must be one; ret_bytes: how long.   thread  any */
uint32_t scope_utf8_character(const uint8_t *at, uint32_t *ret_bytes);

#ifdef __cplusplus
}
#endif
