/* pooling_reply.h - scores of steps as a server of process reward models gives them.
 * Why: vLLM serves Qwen2.5-Math-PRM and its like behind POST /pooling: texts in, for each a row of
 * class probabilities at each step's mark. What comes is somebody else's: all of it is checked.
 *
 *   {"data":[{"index":0,"data":[[0.1,0.9],[0.7,0.3]]}, ...]}
 *
 * A row is [wrong, right] as of a two-class head, or [right] or a bare number of a one-class one;
 * probabilities, not logits. (1) Believed as a whole or not at all. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Reads a whole body.
 * in      step_counts [text_count]: the rows that each text must have
 * out     ret_p: probabilities of "right", text after text; written only when all is well. Returns
 *         NULL, or what is wrong as static text
 * thread  any; pure */
const char *scope_pooling_read(const void *body, size_t bytes, const uint32_t *step_counts,
        uint32_t text_count, float *ret_p);
