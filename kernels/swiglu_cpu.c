#include "kernels/swiglu.h"

#include "kernels/cpu.h"
#include "kernels/simd.h"

static simd_vec sigmoid(simd_vec x)
{
        return 1.0f / (1.0f + simd_exp(-x));
}

enum scope_err SCOPE_CPU(swiglu)(const struct scope_swiglu_args *args, struct scope_stream *stream)
{
        (void)stream;
        size_t i = 0;
        for (; i + SIMD_WIDTH <= args->count; i += SIMD_WIDTH) {
                simd_vec gate = simd_load(args->gate + i);
                simd_store(args->out + i, gate * sigmoid(gate) * simd_load(args->up + i));
        }
        if (i < args->count) {
                size_t rest = args->count - i;
                simd_vec gate = simd_load_part(args->gate + i, rest, 0.0f);
                simd_vec up = simd_load_part(args->up + i, rest, 0.0f);
                simd_store_part(args->out + i, rest, gate * sigmoid(gate) * up);
        }
        return SCOPE_OK;
}

static void gradient(
        simd_vec gate, simd_vec up, simd_vec dout, simd_vec *ret_dgate, simd_vec *ret_dup)
{
        simd_vec s = sigmoid(gate);
        *ret_dup = dout * gate * s;
        *ret_dgate = dout * up * s * (1.0f + gate * (1.0f - s));
}

enum scope_err SCOPE_CPU(swiglu_backward)(
        const struct scope_swiglu_backward_args *args, struct scope_stream *stream)
{
        (void)stream;
        simd_vec dgate, dup;
        size_t i = 0;
        for (; i + SIMD_WIDTH <= args->count; i += SIMD_WIDTH) {
                gradient(simd_load(args->gate + i), simd_load(args->up + i),
                        simd_load(args->dout + i), &dgate, &dup);
                simd_store(args->dgate + i, dgate);
                simd_store(args->dup + i, dup);
        }
        if (i < args->count) {
                size_t rest = args->count - i;
                gradient(simd_load_part(args->gate + i, rest, 0.0f),
                        simd_load_part(args->up + i, rest, 0.0f),
                        simd_load_part(args->dout + i, rest, 0.0f), &dgate, &dup);
                simd_store_part(args->dgate + i, rest, dgate);
                simd_store_part(args->dup + i, rest, dup);
        }
        return SCOPE_OK;
}
