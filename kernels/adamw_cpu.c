#include "kernels/adamw.h"

#include <math.h>

#include "kernels/cpu.h"

/* Plain loops: with these flags the compiler turns them into vectors, square root included. */
enum scope_err SCOPE_CPU(adamw)(const struct scope_adamw_args *args, struct scope_stream *stream)
{
        (void)stream;
        float *restrict parameters = args->parameters;
        float *restrict first = args->first, *restrict second = args->second;
        const float *restrict gradient = args->gradient;
        const float beta1 = args->beta1, beta2 = args->beta2, scale = args->gradient_scale;
        const float keep = 1.0f - args->lr * args->weight_decay;
        const float rate = args->lr / args->correction1, root = 1.0f / sqrtf(args->correction2);
        for (size_t i = 0; i < args->count; i++) {
                float g = gradient[i] * scale;
                first[i] = beta1 * first[i] + (1.0f - beta1) * g;
                second[i] = beta2 * second[i] + (1.0f - beta2) * g * g;
                parameters[i] = parameters[i] * keep -
                                rate * first[i] / (sqrtf(second[i]) * root + args->eps);
        }
        return SCOPE_OK;
}

enum scope_err SCOPE_CPU(square_sum)(
        const struct scope_square_sum_args *args, struct scope_stream *stream)
{
        (void)stream;
        enum { LANES = 16 };
        double lanes[LANES] = { 0 }, sum = 0.0;
        size_t i = 0;
        for (; i + LANES <= args->count; i += LANES)
                for (size_t j = 0; j < LANES; j++)
                        lanes[j] += (double)args->x[i + j] * args->x[i + j];
        for (; i < args->count; i++)
                lanes[0] += (double)args->x[i] * args->x[i];
        for (size_t j = 0; j < LANES; j++)
                sum += lanes[j];
        *args->ret_sum = sum;
        return SCOPE_OK;
}
