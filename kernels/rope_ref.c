#include "kernels/rope.h"

#include <stddef.h>

#include "kernels/ref.h"

enum scope_err scope_rope_ref(const struct scope_rope_args *args, struct scope_stream *stream)
{
        (void)stream;
        const size_t half = args->head_dim / 2;
        for (size_t i = 0; i < args->rows; i++) {
                const float *cosine = args->table + (size_t)args->positions[i] * args->head_dim;
                const float *sine = cosine + half;
                for (size_t h = 0; h < args->heads; h++) {
                        float *x = args->x + (i * args->heads + h) * args->head_dim;
                        for (size_t j = 0; j < half; j++) {
                                double a = x[j], b = x[j + half], c = cosine[j];
                                double s = args->inverse ? -sine[j] : sine[j];
                                x[j] = (float)(a * c - b * s);
                                x[j + half] = (float)(b * c + a * s);
                        }
                }
        }
        return SCOPE_OK;
}
