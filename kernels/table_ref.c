/* table_ref.c - the reference's row of the table. */
#include "kernels/ref.h"

const struct scope_kernels scope_kernels_ref = { .name = "ref",
        .variant = "",
#define X(op) .op = scope_##op##_ref,
        SCOPE_KERNEL_MAP(X)
#undef X
};
