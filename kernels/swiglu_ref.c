#include "kernels/swiglu.h"

#include <math.h>

#include "kernels/ref.h"

enum scope_err scope_swiglu_ref(const struct scope_swiglu_args *args, struct scope_stream *stream)
{
        (void)stream;
        for (size_t i = 0; i < args->count; i++) {
                double gate = args->gate[i];
                args->out[i] = (float)(gate / (1.0 + exp(-gate)) * args->up[i]);
        }
        return SCOPE_OK;
}

enum scope_err scope_swiglu_backward_ref(
        const struct scope_swiglu_backward_args *args, struct scope_stream *stream)
{
        (void)stream;
        for (size_t i = 0; i < args->count; i++) {
                double gate = args->gate[i], up = args->up[i], dout = args->dout[i];
                double sigmoid = 1.0 / (1.0 + exp(-gate));
                args->dup[i] = (float)(dout * gate * sigmoid);
                args->dgate[i] = (float)(dout * up * sigmoid * (1.0 + gate * (1.0 - sigmoid)));
        }
        return SCOPE_OK;
}
