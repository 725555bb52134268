/* attention_cpu.c - attention as three small products on a few query rows and a block of keys.
 * Why: the copies of one block stay in the L1 or L2 cache however long a sequence is; scores are
 * vectors over keys (keys transposed), outputs vectors over the head. Rows that a later block meets
 * again are merged by their log-sum-exp (FlashAttention, arXiv 2205.14135). Missing rows of the
 * last few are zeros. */
#include "kernels/attention.h"

#include <math.h>

#include "base/check.h"
#include "kernels/cpu.h"
#include "kernels/simd.h"

enum { ROWS = SIMD_WIDTH == 16 ? 8 : 4 };
_Static_assert((int)ROWS <= (int)SCOPE_ATTENTION_ROWS, "scratch is sized for this many rows");
_Static_assert((int)SCOPE_ATTENTION_PAD % (int)SIMD_WIDTH == 0, "and padded to this vector");
enum { KEYS = SCOPE_ATTENTION_KEYS };

/* The scratch of one block of keys of one (sequence, key-value head), cut from args->scratch. */
struct workspace {
        size_t length, dim, padded_dim;     /* length: rows of the sequence */
        size_t key, keys;                   /* the block: rows [key, key + keys) of the sequence */
        float *keys_across, *values_across; /* [dim, KEYS] */
        float *straight;          /* [KEYS, padded_dim]: values forward, keys backward */
        float *dk, *dv;           /* [KEYS, padded_dim] */
        float *scores, *dscores;  /* [ROWS, KEYS] */
        float *q, *dout, *result; /* [ROWS, padded_dim] */
};

static size_t round_up(size_t value)
{
        return (value + SCOPE_ATTENTION_PAD - 1) / SCOPE_ATTENTION_PAD * SCOPE_ATTENTION_PAD;
}

static struct workspace workspace_cut(float *scratch, size_t length, size_t dim)
{
        struct workspace w = { .length = length, .dim = dim, .padded_dim = round_up(dim) };
        w.q = scratch;
        w.dout = w.q + ROWS * w.padded_dim;
        w.result = w.dout + ROWS * w.padded_dim;
        w.scores = w.result + ROWS * w.padded_dim;
        w.dscores = w.scores + ROWS * KEYS;
        w.straight = w.dscores + ROWS * KEYS;
        w.dk = w.straight + KEYS * w.padded_dim;
        w.dv = w.dk + KEYS * w.padded_dim;
        w.keys_across = w.dv + KEYS * w.padded_dim;
        w.values_across = w.keys_across + dim * KEYS;
        return w;
}

/* to[count, padded_dim] = scale * from, rows `stride` apart; what lies past dim and count is 0. */
static void copy_rows(float *to, const float *from, size_t stride, size_t count, size_t rows,
        const struct workspace *w, float scale)
{
        if (count < rows || w->dim < w->padded_dim)
                memset(to, 0, rows * w->padded_dim * sizeof(float));
        for (size_t i = 0; i < count; i++)
                for (size_t d = 0; d < w->dim; d++)
                        to[i * w->padded_dim + d] = scale * from[i * stride + d];
}

/* to[dim, KEYS] = from[keys, dim]^T; columns past keys, up to a whole vector, are 0. */
static void transpose(
        float *restrict to, const float *restrict from, size_t stride, const struct workspace *w)
{
        enum { TILE = 16 };
        for (size_t i = 0; i < w->keys; i += TILE) {
                size_t count = w->keys - i < TILE ? w->keys - i : TILE;
                for (size_t d = 0; d < w->dim; d++) {
                        float *row = to + d * KEYS + i;
                        for (size_t j = 0; j < count; j++)
                                row[j] = from[(i + j) * stride + d];
                        for (size_t j = count; j < TILE; j++)
                                row[j] = 0.0f;
                }
        }
}

/* out[r, j] = a[r] . column j of across, for j < limit rounded up to a vector. */
static void dots(
        float *out, const float *a, const float *across, size_t limit, const struct workspace *w)
{
        for (size_t j = 0; j < limit; j += SIMD_WIDTH) {
                simd_vec sum[ROWS] = { 0 };
                for (size_t d = 0; d < w->dim; d++) {
                        simd_vec column = simd_load(across + d * KEYS + j);
                        for (size_t r = 0; r < ROWS; r++)
                                sum[r] += a[r * w->padded_dim + d] * column;
                }
                for (size_t r = 0; r < ROWS; r++)
                        simd_store(out + r * KEYS + j, sum[r]);
        }
}

/* to[r] = sum over j < limit of weight[r, j] * from[j], one vector of lanes at a time. */
static void blend(
        float *to, const float *weight, const float *from, size_t limit, const struct workspace *w)
{
        for (size_t d = 0; d < w->padded_dim; d += SIMD_WIDTH) {
                simd_vec sum[ROWS] = { 0 };
                for (size_t j = 0; j < limit; j++) {
                        simd_vec value = simd_load(from + j * w->padded_dim + d);
                        for (size_t r = 0; r < ROWS; r++)
                                sum[r] += weight[r * KEYS + j] * value;
                }
                for (size_t r = 0; r < ROWS; r++)
                        simd_store(to + r * w->padded_dim + d, sum[r]);
        }
}

/* to[j] += sum over r of weight[r, j] * from[r], for j < limit. */
static void spread(
        float *to, const float *weight, const float *from, size_t limit, const struct workspace *w)
{
        for (size_t d = 0; d < w->padded_dim; d += SIMD_WIDTH) {
                simd_vec row[ROWS];
                for (size_t r = 0; r < ROWS; r++)
                        row[r] = simd_load(from + r * w->padded_dim + d);
                for (size_t j = 0; j < limit; j++) {
                        simd_vec sum = simd_load(to + j * w->padded_dim + d);
                        for (size_t r = 0; r < ROWS; r++)
                                sum += weight[r * KEYS + j] * row[r];
                        simd_store(to + j * w->padded_dim + d, sum);
                }
        }
}

/* scores[j] of the first `count` become exp(scores - largest), the rest of the block 0. Returns
 * the logarithm of their sum, and 1/sum. */
static float soften(float *scores, size_t count, size_t limit, float *ret_inverse)
{
        simd_vec top = simd_set(-INFINITY), sum = { 0 };
        size_t j = 0;
        for (; j + SIMD_WIDTH <= count; j += SIMD_WIDTH)
                top = simd_max(top, simd_load(scores + j));
        if (j < count)
                top = simd_max(top, simd_load_part(scores + j, count - j, -INFINITY));
        const float largest = simd_largest(top);
        for (j = 0; j < limit; j += SIMD_WIDTH) {
                simd_vec e = simd_exp(simd_load(scores + j) - largest);
                e = simd_keep_below(e, (int32_t)j, (int32_t)count);
                sum += e;
                simd_store(scores + j, e);
        }
        const float total = simd_sum(sum);
        *ret_inverse = 1.0f / total;
        return largest + logf(total);
}

/* Blocks of keys of one head; of all heads together, number `block` is taken, its head returned. */
static size_t blocks(const struct workspace *w)
{
        return (w->length + KEYS - 1) / KEYS;
}

static size_t take_block(struct workspace *w, size_t block)
{
        w->key = block % blocks(w) * KEYS;
        w->keys = w->length - w->key < KEYS ? w->length - w->key : KEYS;
        return block / blocks(w);
}

/* How many keys of the block the row i of the sequence sees. */
static size_t keys_seen(const struct workspace *w, size_t i)
{
        return i < w->key ? 0 : i + 1 - w->key < w->keys ? i + 1 - w->key : w->keys;
}

/* out and lse hold the softmax over earlier keys; adds those of `result`, of which lse_new is the
 * log-sum-exp and `inverse` the scale. */
static void merge(
        float *out, float *lse, const float *result, float lse_new, float inverse, size_t dim)
{
        float larger = fmaxf(*lse, lse_new);
        float sum = larger + logf(expf(*lse - larger) + expf(lse_new - larger));
        float keep = expf(*lse - sum), add = expf(lse_new - sum) * inverse;
        for (size_t d = 0; d < dim; d++)
                out[d] = keep * out[d] + add * result[d];
        *lse = sum;
}

static void head_forward(
        const struct scope_attention_args *args, size_t first, size_t head, struct workspace *w)
{
        const size_t stride = (size_t)args->heads * w->dim;
        const float scale = 1.0f / sqrtf((float)w->dim);
        for (size_t i = w->key; i < w->length; i += ROWS) {
                const size_t count = w->length - i < ROWS ? w->length - i : ROWS;
                const size_t limit = keys_seen(w, i + count - 1);
                const size_t at = (first + i) * stride + head * w->dim;
                copy_rows(w->q, args->q + at, stride, count, ROWS, w, scale);
                dots(w->scores, w->q, w->keys_across, limit, w);
                float lse[ROWS], inverse[ROWS];
                for (size_t r = 0; r < count; r++)
                        lse[r] = soften(
                                w->scores + r * KEYS, keys_seen(w, i + r), limit, &inverse[r]);
                blend(w->result, w->scores, w->straight, limit, w);
                for (size_t r = 0; r < count; r++) {
                        float *out = args->out + at + r * stride;
                        float *kept = args->lse + (first + i + r) * args->heads + head;
                        const float *result = w->result + r * w->padded_dim;
                        if (w->key != 0) {
                                merge(out, kept, result, lse[r], inverse[r], w->dim);
                                continue;
                        }
                        for (size_t d = 0; d < w->dim; d++)
                                out[d] = result[d] * inverse[r];
                        *kept = lse[r];
                }
        }
}

enum scope_err SCOPE_CPU(attention)(
        const struct scope_attention_args *args, struct scope_stream *stream)
{
        (void)stream;
        scope_assert(args->heads % args->kv_heads == 0);
        const size_t dim = args->head_dim, stride = (size_t)args->kv_heads * dim;
        const size_t group = args->heads / args->kv_heads;
        for (size_t s = 0; s < args->sequences; s++) {
                const size_t first = args->begin[s];
                struct workspace w = workspace_cut(args->scratch, args->begin[s + 1] - first, dim);
                for (size_t block = 0; block < args->kv_heads * blocks(&w); block++) {
                        const size_t kv = take_block(&w, block);
                        const size_t at = (first + w.key) * stride + kv * dim;
                        transpose(w.keys_across, args->k + at, stride, &w);
                        copy_rows(w.straight, args->v + at, stride, w.keys, w.keys, &w, 1.0f);
                        for (size_t h = 0; h < group; h++)
                                head_forward(args, first, kv * group + h, &w);
                }
        }
        return SCOPE_OK;
}

/* scores become probabilities p, dscores p (dp - inner): the gradient of the scaled scores. */
static void soften_backward(
        float *scores, float *dscores, size_t count, size_t limit, float lse, float inner)
{
        for (size_t j = 0; j < limit; j += SIMD_WIDTH) {
                simd_vec p = simd_exp(simd_load(scores + j) - lse);
                p = simd_keep_below(p, (int32_t)j, (int32_t)count);
                simd_store(scores + j, p);
                simd_store(dscores + j, p * (simd_load(dscores + j) - inner));
        }
}

static float inner_product(const float *a, const float *b, size_t count)
{
        simd_vec sum = { 0 };
        size_t d = 0;
        for (; d + SIMD_WIDTH <= count; d += SIMD_WIDTH)
                sum += simd_load(a + d) * simd_load(b + d);
        if (d < count)
                sum += simd_load_part(a + d, count - d, 0.0f) *
                       simd_load_part(b + d, count - d, 0.0f);
        return simd_sum(sum);
}

static void head_backward(const struct scope_attention_backward_args *args, size_t first,
        size_t head, struct workspace *w)
{
        const size_t stride = (size_t)args->heads * w->dim;
        const float scale = 1.0f / sqrtf((float)w->dim);
        for (size_t i = w->key; i < w->length; i += ROWS) {
                const size_t count = w->length - i < ROWS ? w->length - i : ROWS;
                const size_t limit = keys_seen(w, i + count - 1);
                const size_t at = (first + i) * stride + head * w->dim;
                copy_rows(w->q, args->q + at, stride, count, ROWS, w, scale);
                copy_rows(w->dout, args->dout + at, stride, count, ROWS, w, 1.0f);
                dots(w->scores, w->q, w->keys_across, limit, w);
                dots(w->dscores, w->dout, w->values_across, limit, w);
                for (size_t r = 0; r < ROWS; r++) {
                        const size_t row = r < count ? r : 0; /* missing rows: no key is kept */
                        soften_backward(w->scores + r * KEYS, w->dscores + r * KEYS,
                                r < count ? keys_seen(w, i + r) : 0, limit,
                                args->lse[(first + i + row) * args->heads + head],
                                inner_product(args->dout + at + row * stride,
                                        args->out + at + row * stride, w->dim));
                }
                spread(w->dv, w->scores, w->dout, limit, w);
                spread(w->dk, w->dscores, w->q, limit, w);
                blend(w->result, w->dscores, w->straight, limit, w);
                for (size_t r = 0; r < count; r++) {
                        float *dq = args->dq + at + r * stride;
                        for (size_t d = 0; d < w->dim; d++)
                                dq[d] = (w->key != 0 ? dq[d] : 0.0f) +
                                        w->result[r * w->padded_dim + d] * scale;
                }
        }
}

enum scope_err SCOPE_CPU(attention_backward)(
        const struct scope_attention_backward_args *args, struct scope_stream *stream)
{
        (void)stream;
        scope_assert(args->heads % args->kv_heads == 0);
        const size_t dim = args->head_dim, stride = (size_t)args->kv_heads * dim;
        const size_t group = args->heads / args->kv_heads, bytes = dim * sizeof(float);
        for (size_t s = 0; s < args->sequences; s++) {
                const size_t first = args->begin[s];
                struct workspace w = workspace_cut(args->scratch, args->begin[s + 1] - first, dim);
                for (size_t block = 0; block < args->kv_heads * blocks(&w); block++) {
                        const size_t kv = take_block(&w, block);
                        const size_t at = (first + w.key) * stride + kv * dim;
                        transpose(w.keys_across, args->k + at, stride, &w);
                        transpose(w.values_across, args->v + at, stride, &w);
                        copy_rows(w.straight, args->k + at, stride, w.keys, w.keys, &w, 1.0f);
                        memset(w.dk, 0, w.keys * w.padded_dim * sizeof(float));
                        memset(w.dv, 0, w.keys * w.padded_dim * sizeof(float));
                        for (size_t h = 0; h < group; h++)
                                head_backward(args, first, kv * group + h, &w);
                        for (size_t i = 0; i < w.keys; i++) {
                                memcpy(args->dk + at + i * stride, w.dk + i * w.padded_dim, bytes);
                                memcpy(args->dv + at + i * stride, w.dv + i * w.padded_dim, bytes);
                        }
                }
        }
        return SCOPE_OK;
}
