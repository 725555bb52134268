/* attention_decode_cpu.c - scores 16 positions at a time, one chain over head_dim each; values
 * summed in four chains (position mod 4), then as a tree. */
#include "kernels/attention_decode.h"

#include <math.h>

#include "kernels/cpu.h"
#include "kernels/simd.h"

enum {
        VECTORS = SCOPE_KV_BLOCK / SIMD_WIDTH,
        TOGETHER = VECTORS == 1 ? SCOPE_HEADS_TOGETHER : 1, /* heads: what registers allow */
};

/* What one row's heads work on: `score` of head g begins at score + g pitch. */
struct part {
        const uint32_t *list;
        uint32_t count;  /* positions */
        float *score;    /* whole blocks */
        size_t pitch;
};

/* One key-value head of a layer. */
struct side {
        const float *at; /* keys or values of block 0 */
        size_t stride;   /* from block to block */
        uint32_t head_dim;
};

SIMD_INLINE void score_blocks(const struct side *keys, const uint32_t *list, const float *q,
        float *score, size_t pitch, const int together, const int heads)
{
        uint32_t D = keys->head_dim;
        simd_vec sum[SCOPE_HEADS_TOGETHER][4][VECTORS];
        SIMD_UNROLL
        for (int g = 0; g < heads; g++)
                SIMD_UNROLL
                for (int b = 0; b < together; b++)
                        SIMD_UNROLL
                        for (int v = 0; v < VECTORS; v++)
                                sum[g][b][v] = (simd_vec){ 0 };
        for (uint32_t d = 0; d < D; d++)
                SIMD_UNROLL
                for (int b = 0; b < together; b++)
                        SIMD_UNROLL
                        for (int v = 0; v < VECTORS; v++) {
                                simd_vec key = simd_load(keys->at + list[b] * keys->stride
                                        + d * SCOPE_KV_BLOCK + v * SIMD_WIDTH);
                                SIMD_UNROLL
                                for (int g = 0; g < heads; g++)
                                        sum[g][b][v] += q[(uint32_t)g * D + d] * key;
                        }
        SIMD_UNROLL
        for (int g = 0; g < heads; g++)
                SIMD_UNROLL
                for (int b = 0; b < together; b++)
                        SIMD_UNROLL
                        for (int v = 0; v < VECTORS; v++)
                                simd_store(score + (size_t)g * pitch + b * SCOPE_KV_BLOCK
                                                + v * SIMD_WIDTH, sum[g][b][v]);
}

/* Scores of one part, padded to whole blocks with minus infinity; returns the padded count. */
SIMD_INLINE uint32_t score_part(const struct side *keys, const float *q, const struct part *part,
        const int heads)
{
        uint32_t block = 0, blocks = (part->count + SCOPE_KV_BLOCK - 1) / SCOPE_KV_BLOCK;
        for (; block + 4 <= blocks; block += 4)
                score_blocks(keys, part->list + block, q, part->score + block * SCOPE_KV_BLOCK,
                        part->pitch, 4, heads);
        for (; block + 2 <= blocks; block += 2)
                score_blocks(keys, part->list + block, q, part->score + block * SCOPE_KV_BLOCK,
                        part->pitch, 2, heads);
        for (; block < blocks; block++)
                score_blocks(keys, part->list + block, q, part->score + block * SCOPE_KV_BLOCK,
                        part->pitch, 1, heads);
        for (int g = 0; g < heads; g++)
                for (uint32_t p = part->count; p < blocks * SCOPE_KV_BLOCK; p++)
                        part->score[(size_t)g * part->pitch + p] = -INFINITY;
        return blocks * SCOPE_KV_BLOCK;
}

/* score[count] becomes exp(scale (score - highest)); returns their sum. count is whole blocks, >
 * 0. */
static float exponentials(float *score, uint32_t count, float scale)
{
        simd_vec highest = simd_load(score), total = { 0 };
        for (uint32_t p = SIMD_WIDTH; p < count; p += SIMD_WIDTH)
                highest = simd_max(highest, simd_load(score + p));
        simd_vec top = simd_set(simd_largest(highest));
        for (uint32_t p = 0; p < count; p += SIMD_WIDTH) {
                simd_vec e = simd_exp((simd_load(score + p) - top) * scale);
                simd_store(score + p, e);
                total += e;
        }
        return simd_sum(total);
}

/* sum[g][c] += score of head g at this position x its values. */
SIMD_INLINE void add_position(const float *value, const struct part *part, uint32_t position,
        simd_vec (*sum)[4][2], const int c, const int vectors, const int heads)
{
        SIMD_UNROLL
        for (int v = 0; v < vectors; v++) {
                simd_vec values = simd_load(value + v * SIMD_WIDTH);
                SIMD_UNROLL
                for (int g = 0; g < heads; g++)
                        sum[g][c][v] += part->score[(size_t)g * part->pitch + position] * values;
        }
}

/* Adds p V of one part to `sum` [heads][4 chains][vectors]. */
SIMD_INLINE void add_values(const struct side *values, uint32_t column, const struct part *part,
        simd_vec (*sum)[4][2], const int vectors, const int heads)
{
        for (uint32_t first = 0; first < part->count; first += SCOPE_KV_BLOCK) {
                const float *block =
                        values->at + part->list[first / SCOPE_KV_BLOCK] * values->stride + column;
                uint32_t left = part->count - first, p = 0;
                left = left < SCOPE_KV_BLOCK ? left : SCOPE_KV_BLOCK;
                for (; p + 4 <= left; p += 4)
                        SIMD_UNROLL
                        for (int c = 0; c < 4; c++)
                                add_position(block + (p + (uint32_t)c) * values->head_dim, part,
                                        first + p + (uint32_t)c, sum, c, vectors, heads);
                for (; p < left; p++)
                        add_position(block + p * values->head_dim, part, first + p, sum, 0,
                                vectors, heads);
        }
}

SIMD_INLINE void out_columns(const struct side *values, uint32_t column, const struct part *parts,
        const float *scale, float *out, const int vectors, const int heads)
{
        simd_vec sum[SCOPE_HEADS_TOGETHER][4][2];
        SIMD_UNROLL
        for (int g = 0; g < heads; g++)
                SIMD_UNROLL
                for (int c = 0; c < 4; c++)
                        SIMD_UNROLL
                        for (int v = 0; v < vectors; v++)
                                sum[g][c][v] = (simd_vec){ 0 };
        add_values(values, column, &parts[0], sum, vectors, heads);
        add_values(values, column, &parts[1], sum, vectors, heads);
        SIMD_UNROLL
        for (int g = 0; g < heads; g++)
                SIMD_UNROLL
                for (int v = 0; v < vectors; v++)
                        simd_store(out + (uint32_t)g * values->head_dim + column + v * SIMD_WIDTH,
                                ((sum[g][0][v] + sum[g][1][v]) + (sum[g][2][v] + sum[g][3][v]))
                                        * scale[g]);
}

/* Columns that fill no vector. */
static void out_rest(const struct side *values, uint32_t first, const struct part *parts,
        const float *scale, float *out, uint32_t heads)
{
        for (uint32_t g = 0; g < heads; g++)
                for (uint32_t d = first; d < values->head_dim; d++) {
                        float sum = 0;
                        for (int i = 0; i < 2; i++)
                                for (uint32_t p = 0; p < parts[i].count; p++)
                                        sum += parts[i].score[g * parts[i].pitch + p]
                                                * values->at[parts[i].list[p / SCOPE_KV_BLOCK]
                                                                * values->stride
                                                        + p % SCOPE_KV_BLOCK * values->head_dim
                                                        + d];
                        out[g * values->head_dim + d] = sum * scale[g];
                }
}

/* `heads` heads from h on, which share a key-value head. */
SIMD_INLINE void few_heads(const struct scope_attention_decode_args *args, size_t row, uint32_t h,
        const int heads)
{
        uint32_t D = args->head_dim, kv = h / (args->heads / args->kv_heads), d = 0;
        size_t stride = scope_kv_block_floats(args->kv_heads, D);
        size_t width = (size_t)args->kv_heads * D * SCOPE_KV_BLOCK; /* keys of a block */
        struct side keys = { args->blocks + (size_t)kv * D * SCOPE_KV_BLOCK, stride, D };
        struct side values = { keys.at + width, stride, D };
        const float *q = args->q + (row * args->heads + h) * D;
        float *out = args->out + (row * args->heads + h) * D, scale[SCOPE_HEADS_TOGETHER];
        const struct scope_attention_decode_row *of = &args->row[row];
        size_t pitch = ((size_t)of->shared_count + of->own_count + 3 * SCOPE_KV_BLOCK)
                / SCOPE_KV_BLOCK * SCOPE_KV_BLOCK;
        struct part parts[2] = { { of->shared, of->shared_count, args->scratch, pitch },
                { of->own, of->own_count, NULL, pitch } };
        uint32_t count = score_part(&keys, q, &parts[0], heads);
        parts[1].score = args->scratch + count;
        count += score_part(&keys, q, &parts[1], heads);
        for (int g = 0; g < heads; g++)
                scale[g] = 1 / exponentials(args->scratch + (size_t)g * pitch, count,
                        1 / sqrtf((float)D));
        if (heads < 4) /* four heads of two vectors are more than there are registers */
                for (; d + 2 * SIMD_WIDTH <= D; d += 2 * SIMD_WIDTH)
                        out_columns(&values, d, parts, scale, out, 2, heads);
        for (; d + SIMD_WIDTH <= D; d += SIMD_WIDTH)
                out_columns(&values, d, parts, scale, out, 1, heads);
        out_rest(&values, d, parts, scale, out, (uint32_t)heads);
}

/* Heads [begin, end) of one row, all of one key-value head. */
static void heads_of(const struct scope_attention_decode_args *args, size_t row, uint32_t begin,
        uint32_t end)
{
        while (TOGETHER > 1 && end - begin > 1) {
                uint32_t count = end - begin < TOGETHER ? end - begin : TOGETHER;
                if (count == 2)
                        few_heads(args, row, begin, TOGETHER > 1 ? 2 : 1);
                else if (count == 3)
                        few_heads(args, row, begin, TOGETHER > 1 ? 3 : 1);
                else
                        few_heads(args, row, begin, TOGETHER);
                begin += count;
        }
        for (; begin < end; begin++)
                few_heads(args, row, begin, 1);
}

enum scope_err SCOPE_CPU(attention_decode)(const struct scope_attention_decode_args *args,
        struct scope_stream *stream)
{
        (void)stream;
        uint32_t group = args->heads / args->kv_heads;
        if (args->begin == args->end)
                return SCOPE_OK;
        uint32_t first = args->begin / args->heads, last = (args->end - 1) / args->heads;
        /* Rows of one prompt stand side by side: its blocks of one head stay in the first cache. */
        for (uint32_t kv = 0; kv < args->kv_heads; kv++)
                for (uint32_t row = first; row <= last; row++) {
                        uint32_t from = row * args->heads + kv * group, to = from + group;
                        from = from > args->begin ? from : args->begin;
                        to = to < args->end ? to : args->end;
                        if (from < to)
                                heads_of(args, row, from - row * args->heads,
                                        to - row * args->heads);
                }
        return SCOPE_OK;
}
