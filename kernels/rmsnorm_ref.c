#include "kernels/rmsnorm.h"

#include <math.h>
#include <stddef.h>

#include "kernels/ref.h"

enum scope_err scope_rmsnorm_ref(const struct scope_rmsnorm_args *args, struct scope_stream *stream)
{
        (void)stream;
        for (size_t i = 0; i < args->rows; i++) {
                const float *x = args->x + i * args->width;
                float *y = args->y + i * args->width;
                double sum = 0.0;
                for (size_t j = 0; j < args->width; j++)
                        sum += (double)x[j] * x[j];
                double inverse = 1.0 / sqrt(sum / args->width + args->eps);
                for (size_t j = 0; j < args->width; j++)
                        y[j] = (float)(x[j] * inverse * args->weight[j]);
                if (args->inverse != NULL)
                        args->inverse[i] = (float)inverse;
        }
        return SCOPE_OK;
}

/* With r = inverse, n = x r, g = dy weight:  dx = r (g - n mean(g n)). */
enum scope_err scope_rmsnorm_backward_ref(
        const struct scope_rmsnorm_backward_args *args, struct scope_stream *stream)
{
        (void)stream;
        const size_t width = args->width;
        for (size_t i = 0; i < args->rows; i++) {
                const float *x = args->x + i * width, *dy = args->dy + i * width;
                double inverse = args->inverse[i], mean = 0.0;
                for (size_t j = 0; j < width; j++)
                        mean += (double)dy[j] * args->weight[j] * x[j] * inverse;
                mean /= (double)width;
                for (size_t j = 0; j < width; j++) {
                        double g = (double)dy[j] * args->weight[j], n = x[j] * inverse;
                        args->dx[i * width + j] += (float)(inverse * (g - n * mean));
                        args->dweight[j] += (float)(dy[j] * n);
                }
        }
        return SCOPE_OK;
}
