#include "kernels/rmsnorm.h"

#include <math.h>

#include "kernels/cpu.h"
#include "kernels/simd.h"

/* sum of a[j] * b[j] * c[j]; c NULL = 1. */
static float triple_sum(const float *a, const float *b, const float *c, size_t count)
{
        simd_vec sum = { 0 };
        size_t j = 0;
        for (; j + SIMD_WIDTH <= count; j += SIMD_WIDTH) {
                simd_vec term = simd_load(a + j) * simd_load(b + j);
                sum += c != NULL ? term * simd_load(c + j) : term;
        }
        if (j < count) {
                simd_vec term = simd_load_part(a + j, count - j, 0.0f) *
                                simd_load_part(b + j, count - j, 0.0f);
                sum += c != NULL ? term * simd_load_part(c + j, count - j, 0.0f) : term;
        }
        return simd_sum(sum);
}

enum scope_err SCOPE_CPU(rmsnorm)(
        const struct scope_rmsnorm_args *args, struct scope_stream *stream)
{
        (void)stream;
        const size_t width = args->width;
        for (size_t i = 0; i < args->rows; i++) {
                const float *x = args->x + i * width;
                float *y = args->y + i * width;
                float inverse =
                        1.0f / sqrtf(triple_sum(x, x, NULL, width) / (float)width + args->eps);
                for (size_t j = 0; j < width; j++)
                        y[j] = x[j] * inverse * args->weight[j];
                if (args->inverse != NULL)
                        args->inverse[i] = inverse;
        }
        return SCOPE_OK;
}

/* As the reference: dx = r (g - n mean(g n)) with r = inverse, n = x r, g = dy weight. */
enum scope_err SCOPE_CPU(rmsnorm_backward)(
        const struct scope_rmsnorm_backward_args *args, struct scope_stream *stream)
{
        (void)stream;
        const size_t width = args->width;
        const float *restrict weight = args->weight;
        float *restrict dweight = args->dweight;
        for (size_t i = 0; i < args->rows; i++) {
                const float *restrict x = args->x + i * width, *restrict dy = args->dy + i * width;
                float *restrict dx = args->dx + i * width;
                const float inverse = args->inverse[i];
                const float mean = triple_sum(dy, weight, x, width) * inverse / (float)width;
                for (size_t j = 0; j < width; j++) {
                        float n = x[j] * inverse;
                        dx[j] += inverse * (dy[j] * weight[j] - n * mean);
                        dweight[j] += dy[j] * n;
                }
        }
        return SCOPE_OK;
}
