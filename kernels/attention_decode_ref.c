#include "kernels/attention_decode.h"

#include <math.h>

#include "kernels/ref.h"

/* Position p of a row: its block's floats and the place within. */
static const float *find(const struct scope_attention_decode_args *args, size_t row, uint32_t p,
        uint32_t *ret_place)
{
        const struct scope_attention_decode_row *of = &args->row[row];
        const uint32_t *list = p < of->shared_count ? of->shared : of->own;
        uint32_t at = p < of->shared_count ? p : p - of->shared_count;
        *ret_place = at % SCOPE_KV_BLOCK;
        return args->blocks
                + list[at / SCOPE_KV_BLOCK] * scope_kv_block_floats(args->kv_heads, args->head_dim);
}

static void head(const struct scope_attention_decode_args *args, size_t row, uint32_t h)
{
        uint32_t D = args->head_dim, kv = h / (args->heads / args->kv_heads), place;
        uint32_t count = args->row[row].shared_count + args->row[row].own_count;
        const float *q = args->q + (row * args->heads + h) * D;
        float *out = args->out + (row * args->heads + h) * D, *score = args->scratch;
        double highest = -INFINITY, total = 0;
        for (uint32_t p = 0; p < count; p++) {
                const float *block = find(args, row, p, &place);
                double dot = 0;
                for (uint32_t d = 0; d < D; d++)
                        dot += (double)q[d] * block[(kv * D + d) * SCOPE_KV_BLOCK + place];
                score[p] = (float)(dot / sqrt(D));
                highest = score[p] > highest ? score[p] : highest;
        }
        for (uint32_t p = 0; p < count; p++)
                total += exp(score[p] - highest);
        for (uint32_t d = 0; d < D; d++) {
                double sum = 0;
                for (uint32_t p = 0; p < count; p++) {
                        const float *block = find(args, row, p, &place);
                        const float *values = block + (size_t)args->kv_heads * D * SCOPE_KV_BLOCK;
                        sum += exp(score[p] - highest) / total
                                * values[(kv * SCOPE_KV_BLOCK + place) * D + d];
                }
                out[d] = (float)sum;
        }
}

enum scope_err scope_attention_decode_ref(const struct scope_attention_decode_args *args,
        struct scope_stream *stream)
{
        (void)stream;
        for (uint32_t unit = args->begin; unit < args->end; unit++)
                head(args, unit / args->heads, unit % args->heads);
        return SCOPE_OK;
}
