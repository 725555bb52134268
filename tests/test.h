/* test.h - what every test program includes: cmocka in the order it wants, and helpers. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Leaves a test function, visibly and with the reason. cmocka's own skip() prints "not ok # SKIP",
 * which is a failure for meson; tests/tap makes a skipped test of the line below. */
#define test_skip(reason)                                                                          \
        do {                                                                                       \
                print_message("# skipped: %s\n", reason);                                          \
                return;                                                                            \
        } while (0)

/* The same where the reason was printed as the comment before. */
#undef skip
#define skip()                                                                                     \
        do {                                                                                       \
                print_message("# skipped\n");                                                      \
                return;                                                                            \
        } while (0)

#define assert_ok(call) assert_int_equal((call), SCOPE_OK)

/* Fails with both values when |a - b| > tolerance (absolute). */
#define assert_close(a, b, tolerance)                                                              \
        do {                                                                                       \
                double close_a = (a), close_b = (b);                                               \
                double close_gap = close_a > close_b ? close_a - close_b : close_b - close_a;      \
                if (!(close_gap <= (tolerance)))                                                   \
                        fail_msg("%s = %.9g, expected %.9g +- %g", #a, close_a, close_b,           \
                                (double)(tolerance));                                              \
        } while (0)

/* Path below the directory of shared inputs, or NULL when that is absent (then skip visibly). */
static inline const char *test_shared(const char *name)
{
        static char path[4096];
        const char *root = getenv("SCOPE_SHARED");
        if (root == NULL)
                return NULL;
        (void)snprintf(path, sizeof path, "%s/%s", root, name);
        FILE *file = fopen(path, "rb");
        if (file == NULL)
                return NULL;
        (void)fclose(file);
        return path;
}

/* Path below the source tree (fixtures). */
static inline const char *test_source(const char *name)
{
        static char path[4096];
        const char *root = getenv("SCOPE_SOURCE");
        (void)snprintf(path, sizeof path, "%s/%s", root != NULL ? root : ".", name);
        return path;
}
