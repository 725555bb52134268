/* steps.h - a response text as reasoning steps.
 * Why: the PRM judges steps, the selector counts them, the cut keeps whole ones (algorithm.md 1.3).
 * A delimiter is a run of two or more newlines, blanks between them allowed. A step owns the
 * delimiter that follows it. (1) ends rise strictly. (2) The last end is text.bytes: the steps
 * cover the text. (3) No step is blank: blank bytes belong to the step before them, at the very
 * start to the first step. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "schemas/records.h"

/* Finds the byte at which each step ends (exclusive), delimiter included.
 * in      capacity >= 1: of ret_ends; text beyond that many steps joins the last one
 * out     ret_ends [capacity]; returns K, 0 for a blank text
 * thread  any; pure */
uint32_t scope_steps_split(struct scope_string text, uint32_t *ret_ends, uint32_t capacity);

/* Step `index` without surrounding white space: what a scorer reads. Spans of tokens never use it.
 * owns    borrows text    thread  any; pure */
struct scope_string scope_steps_text(struct scope_string text, const uint32_t *ends,
        uint32_t index);

/* For each step the smallest token count whose decoded bytes cover it. A token that straddles a
 * cut is inside.
 * in      ends [count] rising; token_bytes [token_count]: decoded length of each response token,
 *         EOS 0
 * out     ret_token_ends [count], never falling; written only on SCOPE_OK
 * errors  SCOPE_ERR_SHAPE: the tokens decode to fewer bytes than the last end
 * thread  any; pure */
enum scope_err scope_steps_token_ends(const uint32_t *ends, uint32_t count,
        const uint32_t *token_bytes, uint32_t token_count, uint32_t *ret_token_ends);
