/* adamw.h - one optimiser step on a range, and the norm that clips it. */
#pragma once

#include <stddef.h>

/* Decoupled weight decay, bias corrected: m, v are running means of g and g^2, then
 * p = p (1 - lr decay) - lr (m / correction1) / (sqrt(v / correction2) + eps), where
 * g = gradient * scale. */
struct scope_adamw_args {
        float *parameters, *first, *second;
        const float *gradient;
        size_t count;
        float lr, beta1, beta2, eps, weight_decay;
        float correction1, correction2; /* 1 - beta^step */
        float gradient_scale;           /* the clip; 1 = none */
};

struct scope_square_sum_args {
        const float *x;
        size_t count;
        double *ret_sum; /* of squares */
};
