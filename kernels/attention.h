/* attention.h - causal attention of packed sequences; query heads share key-value heads in equal
 * groups. Sequence s is rows [begin[s], begin[s + 1]); no row sees another sequence or a later row.
 * Nothing of size rows^2 is kept: backward recomputes the probabilities from `lse`. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct scope_attention_args {
        const float *q, *k, *v; /* [rows, heads, head_dim], [rows, kv_heads, head_dim] twice */
        float *out;             /* [rows, heads, head_dim] */
        float *lse;     /* [rows, heads] out: log of the softmax's denominator, scaled scores */
        float *scratch; /* scope_attention_scratch() floats, 64-byte aligned */
        const uint32_t *begin; /* [sequences + 1] */
        uint32_t sequences, heads, kv_heads, head_dim;
};

/* Writes dq, dk, dv (does not add). */
struct scope_attention_backward_args {
        const float *q, *k, *v, *out, *lse, *dout;
        float *dq, *dk, *dv;
        float *scratch;
        const uint32_t *begin;
        uint32_t sequences, heads, kv_heads, head_dim;
};

/* Query rows handled together, keys in a block; head sizes are padded to the widest vector. */
enum { SCOPE_ATTENTION_ROWS = 8, SCOPE_ATTENTION_KEYS = 128, SCOPE_ATTENTION_PAD = 16 };

/* Floats of scratch for either direction, whatever the lengths: two transposed and three straight
 * copies of a block's keys or values, two blocks of scores, four of rows. */
static inline size_t scope_attention_scratch(size_t head_dim)
{
        size_t pad = SCOPE_ATTENTION_PAD, rows = SCOPE_ATTENTION_ROWS;
        size_t keys = SCOPE_ATTENTION_KEYS, dim = (head_dim + pad - 1) / pad * pad;
        return keys * (2 * head_dim + 3 * dim + 2 * rows) + 4 * rows * dim;
}
