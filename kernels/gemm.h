/* gemm.h - the three products of a linear layer y = x W^T + b. All row-major and dense. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* y[m,n] = x[m,k] w[n,k]^T (+ bias[n]) (+ y when accumulate). */
struct scope_gemm_args {
        const float *x, *w, *bias; /* bias NULL = none */
        float *y;
        uint32_t m, n, k;
        bool accumulate;
};

/* dx[m,k] = dy[m,n] w[n,k] (+ dx when accumulate). */
struct scope_gemm_input_args {
        const float *dy, *w;
        float *dx;
        uint32_t m, n, k;
        bool accumulate;
};

/* dw[n,k] += dy[m,n]^T x[m,k];  dbias[n] += sum over rows of dy. */
struct scope_gemm_weight_args {
        const float *dy, *x;
        float *dw, *dbias; /* dbias NULL = none */
        uint32_t m, n, k;
};
