/* gemm_cpu.c - products by OpenBLAS, one thread, in panels of rows that stay in the L2 cache. */
#include "kernels/gemm.h"

#include <cblas.h>
#include <string.h>

#include "base/check.h"
#include "kernels/cpu.h"

enum { PANEL_ROWS = 512 };

static void fill_bias(const float *bias, float *y, size_t rows, size_t n, bool accumulate)
{
        for (size_t i = 0; i < rows; i++)
                for (size_t j = 0; j < n; j++)
                        y[i * n + j] = accumulate ? y[i * n + j] + bias[j] : bias[j];
}

enum scope_err SCOPE_CPU(gemm)(const struct scope_gemm_args *args, struct scope_stream *stream)
{
        (void)stream;
        scope_assert(args->n > 0 && args->k > 0);
        const int n = (int)args->n, k = (int)args->k;
        for (size_t i = 0; i < args->m; i += PANEL_ROWS) {
                int rows = (int)(args->m - i < PANEL_ROWS ? args->m - i : PANEL_ROWS);
                float *y = args->y + i * args->n;
                if (args->bias != NULL)
                        fill_bias(args->bias, y, (size_t)rows, args->n, args->accumulate);
                float beta = args->accumulate || args->bias != NULL ? 1.0f : 0.0f;
                cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, n, k, 1.0f,
                        args->x + i * args->k, k, args->w, k, beta, y, n);
        }
        return SCOPE_OK;
}

enum scope_err SCOPE_CPU(gemm_input)(
        const struct scope_gemm_input_args *args, struct scope_stream *stream)
{
        (void)stream;
        scope_assert(args->n > 0 && args->k > 0);
        const int n = (int)args->n, k = (int)args->k;
        for (size_t i = 0; i < args->m; i += PANEL_ROWS) {
                int rows = (int)(args->m - i < PANEL_ROWS ? args->m - i : PANEL_ROWS);
                cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, k, n, 1.0f,
                        args->dy + i * args->n, n, args->w, k, args->accumulate ? 1.0f : 0.0f,
                        args->dx + i * args->k, k);
        }
        return SCOPE_OK;
}

enum scope_err SCOPE_CPU(gemm_weight)(
        const struct scope_gemm_weight_args *args, struct scope_stream *stream)
{
        (void)stream;
        scope_assert(args->n > 0 && args->k > 0);
        const int n = (int)args->n, k = (int)args->k;
        for (size_t i = 0; i < args->m; i += PANEL_ROWS) {
                int rows = (int)(args->m - i < PANEL_ROWS ? args->m - i : PANEL_ROWS);
                const float *dy = args->dy + i * args->n;
                cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, n, k, rows, 1.0f, dy, n,
                        args->x + i * args->k, k, 1.0f, args->dw, k);
                for (size_t row = 0; args->dbias != NULL && row < (size_t)rows; row++)
                        for (size_t j = 0; j < args->n; j++)
                                args->dbias[j] += dy[row * args->n + j];
        }
        return SCOPE_OK;
}
