/* check.h - asserts that stay on.
 * Why: a broken invariant is our bug; carrying on would train on garbage. Bad input is never
 * asserted. */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

/* Prints file, line and the condition to stderr and aborts.        thread  any */
__attribute__((noreturn)) void scope_check_fail(const char *file, int line, const char *condition);

#ifdef __cplusplus
}
#endif

#define scope_assert(condition)                                                                    \
        ((condition) ? (void)0 : scope_check_fail(__FILE__, __LINE__, #condition))
