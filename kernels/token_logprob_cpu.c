#include "kernels/token_logprob.h"

#include <math.h>

#include "kernels/cpu.h"
#include "kernels/simd.h"

static struct scope_token_partial sums_of(const float *logits, size_t vocab, float scale)
{
        const size_t whole = vocab - vocab % SIMD_WIDTH, rest = vocab - whole;
        simd_vec top = simd_set(-INFINITY), sum = { 0 }, weighted = { 0 };
        for (size_t j = 0; j < whole; j += SIMD_WIDTH)
                top = simd_max(top, simd_load(logits + j) * scale);
        if (rest > 0)
                top = simd_max(top, simd_load_part(logits + whole, rest, -INFINITY) * scale);
        const float largest = simd_largest(top);
        for (size_t j = 0; j < whole; j += SIMD_WIDTH) {
                simd_vec z = simd_load(logits + j) * scale - largest, e = simd_exp(z);
                sum += e;
                weighted += e * z;
        }
        if (rest > 0) {
                simd_vec z =
                        simd_load_part(logits + whole, rest, largest / scale) * scale - largest;
                simd_vec e = simd_keep_below(simd_exp(z), 0, (int32_t)rest);
                sum += e;
                weighted += e * z;
        }
        return (struct scope_token_partial){ largest, simd_sum(sum), simd_sum(weighted),
                -INFINITY };
}

/* Both seen from the larger of the two `largest`. */
static struct scope_token_partial joined(
        struct scope_token_partial a, struct scope_token_partial b)
{
        const float largest = fmaxf(a.largest, b.largest);
        const float down_a = a.largest - largest, down_b = b.largest - largest;
        const float e_a = expf(down_a), e_b = expf(down_b);
        return (struct scope_token_partial){ largest, e_a * a.sum + e_b * b.sum,
                e_a * (a.weighted + down_a * a.sum) + e_b * (b.weighted + down_b * b.sum),
                a.taken };
}

enum scope_err SCOPE_CPU(token_logprob)(
        const struct scope_token_logprob_args *args, struct scope_stream *stream)
{
        (void)stream;
        for (size_t i = 0; i < args->rows; i++) {
                const float *logits = args->logits + i * args->vocab;
                const float scale = 1.0f / args->temperature[i];
                struct scope_token_partial sums = sums_of(logits, args->vocab, scale);
                if (args->first > 0)
                        sums = joined(args->partial[i], sums);
                const uint32_t target = args->targets[i] - args->first; /* earlier ids wrap */
                if (target < args->vocab)
                        sums.taken = logits[target] * scale;
                float log_sum = logf(sums.sum);
                args->logp[i] = sums.taken - sums.largest - log_sum;
                args->entropy[i] = log_sum - sums.weighted / sums.sum;
                if (args->partial != NULL)
                        args->partial[i] = sums;
        }
        return SCOPE_OK;
}

/* (coef (taken - p) - entropy_coef p (log p + H)) / T, where log p + H is z - largest minus its
 * mean, weighted / sum. */
enum scope_err SCOPE_CPU(token_logprob_backward)(
        const struct scope_token_logprob_backward_args *args, struct scope_stream *stream)
{
        (void)stream;
        const size_t whole = args->vocab - args->vocab % SIMD_WIDTH, rest = args->vocab - whole;
        for (size_t i = 0; i < args->rows; i++) {
                float *logits = args->logits + i * args->vocab;
                const float scale = 1.0f / args->temperature[i];
                const struct scope_token_partial sums =
                        args->partial != NULL ? args->partial[i]
                                              : sums_of(logits, args->vocab, scale);
                const uint32_t target = args->targets[i] - args->first; /* earlier ids wrap */
                const float unit = -scale / sums.sum, mean = sums.weighted / sums.sum;
                const float coef = args->coef[i], entropy_coef = args->entropy_coef[i];
                for (size_t j = 0; j < whole; j += SIMD_WIDTH) {
                        simd_vec z = simd_load(logits + j) * scale - sums.largest;
                        simd_vec d = simd_exp(z) * (coef + entropy_coef * (z - mean)) * unit;
                        simd_store(logits + j, d);
                }
                if (rest > 0) {
                        simd_vec z =
                                simd_load_part(logits + whole, rest, 0.0f) * scale - sums.largest;
                        simd_vec d = simd_exp(z) * (coef + entropy_coef * (z - mean)) * unit;
                        simd_store_part(logits + whole, rest, d);
                }
                if (target < args->vocab)
                        logits[target] += coef * scale;
        }
        return SCOPE_OK;
}
