#include "kernels/binary_head.h"

#include <float.h>
#include <math.h>

#include "kernels/cpu.h"
#include "kernels/simd.h"

enum scope_err SCOPE_CPU(binary_head)(
        const struct scope_binary_head_args *args, struct scope_stream *stream)
{
        (void)stream;
        const size_t width = args->width, whole = width - width % SIMD_WIDTH, rest = width - whole;
        const float *no = args->weight, *yes = args->weight + width;
        const simd_vec least = simd_set(args->linear ? -FLT_MAX : 0.0f);
        for (size_t i = 0; i < args->rows; i++) {
                const float *x = args->x + i * width;
                simd_vec sum = { 0 }; /* of the difference yes - no: all that the softmax needs */
                for (size_t j = 0; j < whole; j += SIMD_WIDTH)
                        sum += simd_max(simd_load(x + j), least) *
                               (simd_load(yes + j) - simd_load(no + j));
                if (rest > 0)
                        sum += simd_max(simd_load_part(x + whole, rest, 0.0f), least) *
                               (simd_load_part(yes + whole, rest, 0.0f) -
                                       simd_load_part(no + whole, rest, 0.0f));
                float difference = simd_sum(sum) + args->bias[1] - args->bias[0];
                args->probability[i] = 1.0f / (1.0f + expf(-difference));
        }
        return SCOPE_OK;
}
