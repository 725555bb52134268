/* ref.h - the plain reference of every operation: loops and double sums, what the others are
 * tested against. */
#pragma once

#include "kernels/kernels.h"

#define X(op)                                                                                      \
        enum scope_err scope_##op##_ref(                                                           \
                const struct scope_##op##_args *args, struct scope_stream *stream);
SCOPE_KERNEL_MAP(X)
#undef X

extern const struct scope_kernels scope_kernels_ref;
