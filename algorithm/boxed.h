/* boxed.h - where the final answer of a response stands.
 * Why: reward is decided on it, and the prefix cut must stay in front of it (algorithm.md 2.1).
 * The last \boxed or \fbox wins; escaped braces do not count; a box cut off by truncation is no
 * answer, and an earlier one is not taken in its place. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "schemas/records.h"

/* The content of the last box after the last reasoning block, unwrapped while it is itself a box.
 * out     *ret_answer points into `response`; not empty, <= SCOPE_ANSWER_BYTES_MAX; written only
 *         on true
 * thread  any; pure */
bool scope_boxed_find(struct scope_string response, struct scope_string *ret_answer);

/* The last number standing in the text: the fallback for responses without a box.
 * out     as scope_boxed_find    thread  any; pure */
bool scope_boxed_last_number(struct scope_string response, struct scope_string *ret_answer);

/* How many \boxed and \fbox there are, whole or not.    thread  any; pure */
uint32_t scope_boxed_count(struct scope_string text);

/* The byte where the first \boxed or \fbox begins; text.bytes if none.    thread  any; pure */
uint32_t scope_boxed_first(struct scope_string text);

/* Index of the brace that closes the one at `open`, escaped ones aside; text.bytes when there is
 * none.    thread  any; pure */
uint32_t scope_boxed_close(struct scope_string text, uint32_t open);

/* `text` after its last closing reasoning tag, or all of it.    thread  any; pure */
struct scope_string scope_boxed_skip_reasoning(struct scope_string text);
