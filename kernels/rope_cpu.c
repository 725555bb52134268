#include "kernels/rope.h"

#include <stddef.h>

#include "kernels/cpu.h"

enum scope_err SCOPE_CPU(rope)(const struct scope_rope_args *args, struct scope_stream *stream)
{
        (void)stream;
        const size_t half = args->head_dim / 2;
        const float turn = args->inverse ? -1.0f : 1.0f;
        for (size_t i = 0; i < args->rows; i++) {
                const float *restrict cosine =
                        args->table + (size_t)args->positions[i] * args->head_dim;
                const float *restrict sine = cosine + half;
                for (size_t h = 0; h < args->heads; h++) {
                        float *restrict low = args->x + (i * args->heads + h) * args->head_dim;
                        float *restrict high = low + half;
                        for (size_t j = 0; j < half; j++) {
                                float a = low[j], b = high[j], s = turn * sine[j];
                                low[j] = a * cosine[j] - b * s;
                                high[j] = b * cosine[j] + a * s;
                        }
                }
        }
        return SCOPE_OK;
}
