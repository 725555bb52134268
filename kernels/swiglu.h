/* swiglu.h - out = gate * sigmoid(gate) * up, element by element. */
#pragma once

#include <stddef.h>

struct scope_swiglu_args {
        const float *gate, *up;
        float *out;
        size_t count;
};

struct scope_swiglu_backward_args {
        const float *gate, *up, *dout;
        float *dgate, *dup; /* written; may be dout's or gate's and up's own memory */
        size_t count;
};
