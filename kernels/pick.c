/* pick.c - which tables this machine can run, and the one to use. */
#include "kernels/kernels.h"

#include <cblas.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "kernels/ref.h"

extern const struct scope_kernels scope_kernels_cpu_generic;
#ifdef __x86_64__
extern const struct scope_kernels scope_kernels_cpu_avx2, scope_kernels_cpu_avx512;
#endif

static const struct scope_kernels *const tables[] = {
        &scope_kernels_ref,
        &scope_kernels_cpu_generic,
#ifdef __x86_64__
        &scope_kernels_cpu_avx2,
        &scope_kernels_cpu_avx512,
#endif
};
enum { TABLE_COUNT = sizeof tables / sizeof tables[0] };

/* Must ask for at least what meson.build compiles the variant with. */
static bool runs_here(const struct scope_kernels *table)
{
#ifdef __x86_64__
        if (strcmp(table->variant, "avx2") == 0)
                return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
        if (strcmp(table->variant, "avx512") == 0)
                return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                       __builtin_cpu_supports("fma");
#endif
        (void)table;
        return true;
}

const struct scope_kernels *scope_kernels_at(size_t index)
{
        for (size_t i = 0; i < TABLE_COUNT; i++)
                if (runs_here(tables[i]) && index-- == 0)
                        return tables[i];
        return NULL;
}

const struct scope_kernels *scope_kernels_pick(enum scope_device device)
{
        scope_assert(device == SCOPE_DEVICE_CPU);
        openblas_set_num_threads(1);
        const char *wanted = getenv("SCOPE_CPU");
        const struct scope_kernels *best = NULL, *table;
        for (size_t i = 0; (table = scope_kernels_at(i)) != NULL; i++) {
                const char *name = table->variant[0] != '\0' ? table->variant : table->name;
                if (wanted == NULL || strcmp(wanted, name) == 0)
                        best = table;
        }
        return best;
}
