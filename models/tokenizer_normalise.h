/* tokenizer_normalise.h - Unicode's normal form C, by utf8proc.
 * Why: Qwen's tokenizers read "e" + accent as the one letter it looks like.
 * (1) Time is n log n, also for a letter under a million accents. (2) The Unicode version is
 * utf8proc's (15.0 in Debian 12); README lists what that means. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct scope_text;

/* True: the text is in form C. False: it may not be.
 * in      valid UTF-8     thread  any */
bool scope_nfc_quick(const uint8_t *at, size_t bytes);

/* Appends the text's form C.
 * in      valid UTF-8
 * errors  SCOPE_ERR_MEMORY (ret_text->failed is the caller's to check)     thread  any */
enum scope_err scope_nfc(const uint8_t *at, size_t bytes, struct scope_text *ret_text);

/* Letters and signs that form C leaves alone whatever stands before them; open to tests. */
bool scope_nfc_is_safe(uint32_t character);
