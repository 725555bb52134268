/* table_cpu.c - one instruction set's row of the table. */
#include "kernels/cpu.h"

#define TEXT_(word) #word
#define TEXT(word) TEXT_(word)

const struct scope_kernels SCOPE_CPU(kernels) = { .name = "cpu",
        .variant = TEXT(SCOPE_CPU_VARIANT),
#define X(op) .op = SCOPE_CPU(op),
        SCOPE_KERNEL_MAP(X)
#undef X
};
