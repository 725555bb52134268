#include "kernels/adamw.h"

#include <math.h>

#include "kernels/ref.h"

enum scope_err scope_adamw_ref(const struct scope_adamw_args *args, struct scope_stream *stream)
{
        (void)stream;
        for (size_t i = 0; i < args->count; i++) {
                double g = (double)args->gradient[i] * args->gradient_scale;
                double first = args->beta1 * args->first[i] + (1.0 - args->beta1) * g;
                double second = args->beta2 * args->second[i] + (1.0 - args->beta2) * g * g;
                double p = args->parameters[i] * (1.0 - args->lr * args->weight_decay);
                p -= args->lr * (first / args->correction1) /
                     (sqrt(second / args->correction2) + args->eps);
                args->first[i] = (float)first;
                args->second[i] = (float)second;
                args->parameters[i] = (float)p;
        }
        return SCOPE_OK;
}

enum scope_err scope_square_sum_ref(
        const struct scope_square_sum_args *args, struct scope_stream *stream)
{
        (void)stream;
        double sum = 0.0;
        for (size_t i = 0; i < args->count; i++)
                sum += (double)args->x[i] * args->x[i];
        *args->ret_sum = sum;
        return SCOPE_OK;
}
