/* token_sample.h - draws the next token of each row, and says how likely it was.
 * logp is log-softmax of logits / temperature over ids [0, used), before top_p. Temperature 0 is
 * greedy: the highest logit (lowest id of equals), logp at temperature 1.
 * The draw: with top_p = 1 the first id, in order of ids, whose cumulated probability passes
 * `uniform`; else the same within the nucleus, the fewest most likely tokens (lower id first of
 * equals) that reach top_p together. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Returns SCOPE_ERR_INTERNAL when a row's logits are not finite: the weights are broken. */
struct scope_token_sample_args {
        const float *logits;                 /* [rows, vocab] */
        const float *temperature, *top_p;    /* [rows]: >= 0; in (0, 1] */
        const float *uniform;                /* [rows] in [0, 1) */
        uint32_t *tokens;                    /* [rows] out */
        float *logp;                         /* [rows] out, nats */
        float *scratch;                      /* scope_token_sample_scratch() floats */
        uint32_t rows, vocab, used; /* ids >= used are padding: never drawn, no probability */
};

static inline size_t scope_token_sample_scratch(uint32_t vocab)
{
        return 3 * ((size_t)vocab + 64);
}
