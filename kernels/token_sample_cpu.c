/* token_sample_cpu.c - weights e^(logit - highest) in one pass, summed by blocks; the draw skips
 * whole blocks. The nucleus is popped from a heap of the tokens that can be in it, never a full
 * sort. */
#include "kernels/token_sample.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>

#include "kernels/cpu.h"
#include "kernels/simd.h"

enum { BLOCK = 64 };

/* Of the nucleus: a token and its weight; its place in the heap or in the list of popped ones. */
struct candidate {
        float weight;
        uint32_t token;
};

SIMD_INLINE float highest_of(const float *logit, uint32_t used)
{
        float best = logit[0];
        uint32_t i = 0;
        if (used >= SIMD_WIDTH) {
                simd_vec high = simd_load(logit);
                for (i = SIMD_WIDTH; i + SIMD_WIDTH <= used; i += SIMD_WIDTH)
                        high = simd_max(high, simd_load(logit + i));
                best = simd_largest(high);
        }
        for (; i < used; i++)
                best = logit[i] > best ? logit[i] : best;
        return best;
}

/* weight[i] = e^((logit[i] - highest) inverse), zeros up to a whole block; sums by block, then in
 * all. The total is NaN when a logit is infinite or NaN: x - x is 0 for finite x only. */
static double weights_of(const float *logit, uint32_t used, float highest, float inverse,
        float *weight, float *block_sum)
{
        double total = 0;
        simd_vec broken = { 0 };
        for (uint32_t first = 0; first < used; first += BLOCK) {
                float *out = weight + first, rest[BLOCK];
                const float *from = logit + first;
                simd_vec sum = { 0 };
                if (used - first < BLOCK) {
                        for (uint32_t i = 0; i < BLOCK; i++)
                                rest[i] = first + i < used ? from[i] : -FLT_MAX;
                        from = rest;
                }
                for (int i = 0; i < BLOCK; i += SIMD_WIDTH) {
                        simd_vec x = simd_load(from + i);
                        simd_vec e = simd_exp((x - simd_set(highest)) * inverse);
                        broken += x - x;
                        simd_store(out + i, e);
                        sum += e;
                }
                block_sum[first / BLOCK] = simd_sum(sum);
                total += block_sum[first / BLOCK];
        }
        return total + simd_sum(broken);
}

static uint32_t draw_any(const float *weight, const float *block_sum, uint32_t used, double goal)
{
        double passed = 0;
        uint32_t block = 0, blocks = (used + BLOCK - 1) / BLOCK, last = 0;
        while (block + 1 < blocks && passed + block_sum[block] <= goal)
                passed += block_sum[block++];
        for (uint32_t i = block * BLOCK; i < used; i++) {
                passed += weight[i];
                if (passed > goal)
                        return i;
                last = weight[i] > 0 ? i
                                     : last; /* rounding may leave goal unpassed at the very end */
        }
        return last;
}

static bool before(const struct candidate *a, const struct candidate *b)
{
        return a->weight > b->weight || (a->weight == b->weight && a->token < b->token);
}

static void sift(struct candidate *heap, uint32_t count, uint32_t at)
{
        for (;;) {
                uint32_t child = 2 * at + 1;
                if (child >= count)
                        return;
                if (child + 1 < count && before(&heap[child + 1], &heap[child]))
                        child++;
                if (!before(&heap[child], &heap[at]))
                        return;
                struct candidate held = heap[at];
                heap[at] = heap[child];
                heap[child] = held;
                at = child;
        }
}

/* A token with less than (1 - top_p) / used of the mass cannot be in the nucleus: all such together
 * have less than 1 - top_p. Popped candidates gather at the array's end, most likely last. */
static uint32_t draw_nucleus(const float *weight, uint32_t used, double total, float top_p,
        float uniform, struct candidate *heap)
{
        float least = (float)((1 - (double)top_p) / used * total * 0.999);
        uint32_t count = 0;
        for (uint32_t i = 0; i < used; i++)
                if (weight[i] >= least)
                        heap[count++] = (struct candidate){ weight[i], i };
        for (uint32_t at = count / 2; at-- > 0;)
                sift(heap, count, at);
        uint32_t left = count;
        double mass = 0, passed = 0;
        while (left > 0 && mass < top_p * total) {
                struct candidate top = heap[0];
                heap[0] = heap[--left];
                heap[left] = top;
                mass += top.weight;
                sift(heap, left, 0);
        }
        for (uint32_t i = count; i-- > left;) {
                passed += heap[i].weight;
                if (passed > uniform * mass)
                        return heap[i].token;
        }
        return heap[left].token;
}

static enum scope_err sample_row(const struct scope_token_sample_args *args, size_t row)
{
        const float *logit = args->logits + row * args->vocab;
        uint32_t used = args->used, token = 0;
        bool greedy = !(args->temperature[row] > 0);
        float inverse = greedy ? 1 : 1 / args->temperature[row];
        float *weight = args->scratch, *block_sum = args->scratch + used + BLOCK;
        float highest = highest_of(logit, used);
        double total = weights_of(logit, used, highest, inverse, weight, block_sum);
        if (!isfinite(total))
                return SCOPE_ERR_INTERNAL;
        if (greedy)
                while (logit[token] != highest)
                        token++;
        else if (args->top_p[row] < 1)
                token = draw_nucleus(weight, used, total, args->top_p[row], args->uniform[row],
                        (struct candidate *)(void *)block_sum);
        else
                token = draw_any(weight, block_sum, used, args->uniform[row] * total);
        args->tokens[row] = token;
        args->logp[row] = (float)((double)((logit[token] - highest) * inverse) - log(total));
        return SCOPE_OK;
}

enum scope_err SCOPE_CPU(token_sample)(const struct scope_token_sample_args *args,
        struct scope_stream *stream)
{
        (void)stream;
        for (size_t row = 0; row < args->rows; row++) {
                enum scope_err err = sample_row(args, row);
                if (err != SCOPE_OK)
                        return err;
        }
        return SCOPE_OK;
}
