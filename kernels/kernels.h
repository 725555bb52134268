/* kernels.h - arithmetic on buffers: one table of operations, several implementations of it.
 * Why: callers name an operation and never know who computes it: plain loops ("ref"), vectors
 * ("cpu", compiled once per instruction set and chosen by cpuid), later a GPU.
 * (1) No kernel takes memory, starts a thread or keeps a pointer: parallelism is the caller's rows.
 * (2) Same arguments, same table: same bits. (3) Shapes and ids were checked by the caller;
 * kernels assert.
 * Operation x: contract x.h (struct scope_x_args), x_ref.c, x_cpu.c, one line of the map. */
#pragma once

#include <stddef.h>

#include "base/error.h"

#define SCOPE_KERNEL_MAP(X)                                                                        \
        X(gemm)                                                                                    \
        X(gemm_input)                                                                              \
        X(gemm_weight)                                                                             \
        X(rmsnorm)                                                                                 \
        X(rmsnorm_backward)                                                                        \
        X(rope)                                                                                    \
        X(attention)                                                                               \
        X(attention_backward)                                                                      \
        X(swiglu)                                                                                  \
        X(swiglu_backward)                                                                         \
        X(embedding)                                                                               \
        X(embedding_backward)                                                                      \
        X(token_logprob)                                                                           \
        X(token_logprob_backward)                                                                  \
        X(binary_head)                                                                             \
        X(square_sum)                                                                              \
        X(adamw)                                                                                   \
        X(gemm_packed)                                                                             \
        X(attention_decode)                                                                        \
        X(token_sample)

struct scope_stream; /* where a device queues work; NULL on the CPU: done when the call returns */

#define X(op) struct scope_##op##_args;
SCOPE_KERNEL_MAP(X)
#undef X

struct scope_kernels {
        const char *name;    /* "ref", "cpu" */
        const char *variant; /* of "cpu": "generic", "avx2", "avx512"; else "" */
#define X(op)                                                                                      \
        enum scope_err (*op)(const struct scope_##op##_args *args, struct scope_stream *stream);
        SCOPE_KERNEL_MAP(X)
#undef X
};

enum scope_device {
        SCOPE_DEVICE_CPU,
};

/* The best table this machine can run; the environment variable SCOPE_CPU (ref, generic, avx2,
 * avx512) overrules. Sets OpenBLAS to one thread: our workers are the threads.
 * out     NULL when SCOPE_CPU names a table that does not exist or cannot run here
 * thread  setup */
const struct scope_kernels *scope_kernels_pick(enum scope_device device);

/* Table `index` of those this machine can run, "ref" first; NULL past the last. For tests.
 * thread  any */
const struct scope_kernels *scope_kernels_at(size_t index);
