/* attention_decode.h - each row asks its own sequence's keys and values, which lie in blocks of 16
 * positions.
 * Why: sequences grow a token at a time and share their prompt; blocks need no copy and no padding.
 * A row sees `shared_count` positions in its shared blocks (the prompt), then `own_count` in its
 * own.
 * (1) A row's result depends on its own q, blocks and counts only. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
        SCOPE_KV_BLOCK = 16,      /* positions */
        SCOPE_HEADS_TOGETHER = 4, /* of one key-value head, at most: they read its keys once */
};

struct scope_attention_decode_row {
        const uint32_t *shared, *own; /* block numbers */
        uint32_t shared_count, own_count;
};

/* Block b of this layer begins at blocks + b * scope_kv_block_floats(): keys [kv_heads, head_dim,
 * 16], then values [kv_heads, 16, head_dim]. Keys lie position by position in the last place, so
 * that 16 scores are computed at once; places past the count hold anything. */
struct scope_attention_decode_args {
        const float *q;      /* [rows, heads, head_dim] */
        const float *blocks;
        const struct scope_attention_decode_row *row; /* [rows] */
        float *out;          /* [rows, heads, head_dim] */
        float *scratch;      /* scope_attention_decode_scratch() floats */
        uint32_t rows, heads, kv_heads, head_dim;
        uint32_t begin, end; /* of rows x heads: only these are computed */
};

static inline size_t scope_kv_block_floats(uint32_t kv_heads, uint32_t head_dim)
{
        return (size_t)2 * kv_heads * head_dim * SCOPE_KV_BLOCK;
}

/* For rows that see up to context_max positions (both parts end in a block of their own). */
static inline size_t scope_attention_decode_scratch(uint32_t context_max)
{
        return ((size_t)context_max + 3 * SCOPE_KV_BLOCK) * SCOPE_HEADS_TOGETHER;
}

/* Writes one position's key and value of one head [head_dim] into place `place` of a block. */
struct scope_kv_put {
        float *block;
        const float *k, *v;
        uint32_t place, head, kv_heads, head_dim;
};
static inline void scope_kv_block_put(const struct scope_kv_put *put)
{
        size_t width = put->head_dim;
        float *keys = put->block + put->head * width * SCOPE_KV_BLOCK;
        float *values = keys + put->kv_heads * width * SCOPE_KV_BLOCK;
        for (size_t d = 0; d < width; d++)
                keys[d * SCOPE_KV_BLOCK + put->place] = put->k[d];
        for (size_t d = 0; d < width; d++)
                values[put->place * width + d] = put->v[d];
}
