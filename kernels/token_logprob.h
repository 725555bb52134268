/* token_logprob.h - how likely was the taken token: log-softmax of logits / temperature, and its
 * entropy. Callers walk the rows in blocks, and a large vocabulary in pieces as well, so that
 * logits are never stored for all tokens. */
#pragma once

#include <stdint.h>

/* What is known of a row after some pieces of its vocabulary, with z = logit / temperature: the
 * largest z, the sums of e = exp(z - largest) and of e (z - largest), and the target's z. */
struct scope_token_partial {
        float largest, sum, weighted, taken;
};

struct scope_token_logprob_args {
        const float *logits;      /* [rows, vocab] */
        const uint32_t *targets;  /* [rows] */
        const float *temperature; /* [rows], > 0 */
        float *logp, *entropy;    /* [rows] out, nats; entropy = -sum p log p at that temperature */
        uint32_t rows, vocab;
        /* NULL: `vocab` is the whole vocabulary. Else the logits are those of ids first ... first +
         * vocab, pieces come in order from 0, and the last call's logp and entropy count. */
        struct scope_token_partial *partial; /* [rows], kept for backward */
        uint32_t first;
};

/* logits become d f / d logits of f = sum over rows of coef * logp + entropy_coef * entropy. */
struct scope_token_logprob_backward_args {
        float *logits;
        const uint32_t *targets;
        const float *temperature, *coef, *entropy_coef; /* [rows] */
        uint32_t rows, vocab;
        const struct scope_token_partial *partial; /* NULL, or as forward left it, for one piece */
        uint32_t first;
};
