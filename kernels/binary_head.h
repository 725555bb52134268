/* binary_head.h - the end of a two-class reward head: ReLU, two logits, probability of class 1. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct scope_binary_head_args {
        const float *x;      /* [rows, width]: before the ReLU */
        const float *weight; /* [2, width] */
        const float *bias;   /* [2] */
        float *probability;  /* [rows] out: softmax of the two logits, class 1 */
        uint32_t rows, width;
        bool linear;         /* no ReLU */
};
