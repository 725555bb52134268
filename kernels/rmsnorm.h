/* rmsnorm.h - y = x / sqrt(mean(x^2) + eps) * weight, a row (or a head) at a time. */
#pragma once

#include <stdint.h>

struct scope_rmsnorm_args {
        const float *x, *weight; /* [rows, width], [width] */
        float *y;                /* [rows, width]; may be x */
        float *inverse; /* [rows] out: 1 / sqrt(mean + eps), for backward; NULL = not wanted */
        uint32_t rows, width;
        float eps;
};

/* dx += gradient through the norm; dweight += sum over rows. */
struct scope_rmsnorm_backward_args {
        const float *x, *weight, *inverse, *dy;
        float *dx, *dweight;
        uint32_t rows, width;
};
