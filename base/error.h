/* error.h - the one list of error codes.
 * Why: a function that can fail returns enum scope_err; name and text come from the same map. */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

#define SCOPE_ERR_MAP(X)                                                                           \
        X(AGAIN, "full or empty, try again")                                                       \
        X(ARGUMENT, "argument out of range")                                                       \
        X(SHAPE, "shape out of bounds")                                                            \
        X(FORMAT, "malformed input")                                                               \
        X(VERIFY, "bytes failed verification")                                                     \
        X(TOO_BIG, "larger than the limit")                                                        \
        X(NOT_FOUND, "not found")                                                                  \
        X(EXISTS, "already exists")                                                                \
        X(REFUSED, "refused")                                                                      \
        X(UNSUPPORTED, "not supported")                                                            \
        X(MEMORY, "out of memory")                                                                 \
        X(IO, "input/output failed")                                                               \
        X(NO_SPACE, "no space left on device")                                                     \
        X(NET, "network failed")                                                                   \
        X(DEADLINE, "deadline passed")                                                             \
        X(CANCELLED, "cancelled")                                                                  \
        X(DOWN, "the actor is down")                                                               \
        X(STALE, "stale")                                                                          \
        X(DEVICE, "device failed")                                                                 \
        X(LIMIT, "a configured limit was reached")                                                 \
        X(INTERNAL, "internal error")

enum scope_err {
        SCOPE_OK = 0,
#define X(name, text) SCOPE_ERR_##name,
        SCOPE_ERR_MAP(X)
#undef X
        SCOPE_ERR_COUNT
};

/* "SHAPE" for SCOPE_ERR_SHAPE, "OK" for SCOPE_OK; never NULL.       thread  any */
const char *scope_err_name(enum scope_err err);

/* One clause of plain English; never NULL.                          thread  any */
const char *scope_err_text(enum scope_err err);

/* What went wrong with input from outside, in words a user can act on: what, where, what to do.
 * Functions that read outside bytes take one; NULL is allowed and means "not interested". */
struct scope_diag {
        char text[640];
};

/* Formats into `diag` (cut at its size) and returns `err`, so that a reader can write
 * `return scope_diag_set(diag, SCOPE_ERR_FORMAT, "%s:%u: ...", ...)`.
 * thread  any, `diag` is the caller's */
enum scope_err scope_diag_set(struct scope_diag *diag, enum scope_err err, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif
