/* cpu.h - the fast implementations, compiled once per instruction set.
 * Why: meson builds the same x_cpu.c files as "generic", "avx2" and "avx512" with those compiler
 * flags and SCOPE_CPU_VARIANT set to the name, so that one program runs everywhere and picks by
 * cpuid. SCOPE_CPU(op) is this variant's name of an operation: scope_gemm_cpu_avx2. Included by
 * *_cpu.c only. */
#pragma once

#include "kernels/kernels.h"

#define SCOPE_CPU_JOIN_(op, variant) scope_##op##_cpu_##variant
#define SCOPE_CPU_JOIN(op, variant) SCOPE_CPU_JOIN_(op, variant)
#define SCOPE_CPU(op) SCOPE_CPU_JOIN(op, SCOPE_CPU_VARIANT)

#define X(op)                                                                                      \
        enum scope_err SCOPE_CPU(op)(                                                              \
                const struct scope_##op##_args *args, struct scope_stream *stream);
SCOPE_KERNEL_MAP(X)
#undef X

extern const struct scope_kernels SCOPE_CPU(kernels);
