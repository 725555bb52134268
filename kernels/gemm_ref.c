#include "kernels/gemm.h"

#include <stddef.h>

#include "kernels/ref.h"

enum scope_err scope_gemm_ref(const struct scope_gemm_args *args, struct scope_stream *stream)
{
        (void)stream;
        const size_t m = args->m, n = args->n, k = args->k;
        for (size_t i = 0; i < m; i++) {
                for (size_t j = 0; j < n; j++) {
                        double sum = args->bias != NULL ? args->bias[j] : 0.0;
                        for (size_t p = 0; p < k; p++)
                                sum += (double)args->x[i * k + p] * args->w[j * k + p];
                        float *y = &args->y[i * n + j];
                        *y = (float)(args->accumulate ? *y + sum : sum);
                }
        }
        return SCOPE_OK;
}

enum scope_err scope_gemm_input_ref(
        const struct scope_gemm_input_args *args, struct scope_stream *stream)
{
        (void)stream;
        const size_t m = args->m, n = args->n, k = args->k;
        for (size_t i = 0; i < m; i++) {
                for (size_t p = 0; p < k; p++) {
                        double sum = args->accumulate ? args->dx[i * k + p] : 0.0;
                        for (size_t j = 0; j < n; j++)
                                sum += (double)args->dy[i * n + j] * args->w[j * k + p];
                        args->dx[i * k + p] = (float)sum;
                }
        }
        return SCOPE_OK;
}

enum scope_err scope_gemm_weight_ref(
        const struct scope_gemm_weight_args *args, struct scope_stream *stream)
{
        (void)stream;
        const size_t m = args->m, n = args->n, k = args->k;
        for (size_t j = 0; j < n; j++) {
                for (size_t p = 0; p < k; p++) {
                        double sum = args->dw[j * k + p];
                        for (size_t i = 0; i < m; i++)
                                sum += (double)args->dy[i * n + j] * args->x[i * k + p];
                        args->dw[j * k + p] = (float)sum;
                }
                if (args->dbias == NULL)
                        continue;
                double sum = args->dbias[j];
                for (size_t i = 0; i < m; i++)
                        sum += args->dy[i * n + j];
                args->dbias[j] = (float)sum;
        }
        return SCOPE_OK;
}
