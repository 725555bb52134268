/* option.h - one row a configuration key, beside the struct it fills.
 * Why: parsing, ranges, defaults, --help, the resolved file and the docs come from the same rows,
 * and a new sampler or objective brings its own keys. `cli/` owns the sections; nobody else parses
 * text. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum scope_option_type {
        SCOPE_OPTION_BOOL,     /* bool */
        SCOPE_OPTION_INT,      /* int64_t */
        SCOPE_OPTION_FLOAT,    /* double */
        SCOPE_OPTION_TEXT,     /* char[bytes] */
        SCOPE_OPTION_ENUM,     /* int, an index into `names` */
        SCOPE_OPTION_DURATION, /* int64_t ns; written "30s", "250ms", "1m", or seconds */
        SCOPE_OPTION_SIZE,     /* int64_t bytes; written "4GiB", "16MiB", or a number of bytes */
};

struct scope_option {
        const char *key;                /* "group_size" */
        enum scope_option_type type;
        size_t offset, bytes;           /* of the field in its struct; `bytes` for TEXT only */
        const char *standard;           /* the default, as a user would write it in TOML */
        double min, max;                /* inclusive; DURATION in s, SIZE in bytes */
        const char *const *names;       /* ENUM: NULL-terminated */
        const char *help;               /* one line with the unit */
};

/* Row makers: S is the struct, F its field. A table ends with a row whose key is NULL. */
#define SCOPE_BOOL_OPTION(S, F, standard, help)                                                    \
        { #F, SCOPE_OPTION_BOOL, offsetof(struct S, F), 0, standard, 0, 0, NULL, help }
#define SCOPE_INT_OPTION(S, F, standard, min, max, help)                                           \
        { #F, SCOPE_OPTION_INT, offsetof(struct S, F), 0, standard, min, max, NULL, help }
#define SCOPE_FLOAT_OPTION(S, F, standard, min, max, help)                                         \
        { #F, SCOPE_OPTION_FLOAT, offsetof(struct S, F), 0, standard, min, max, NULL, help }
#define SCOPE_TEXT_OPTION(S, F, standard, help)                                                    \
        { #F, SCOPE_OPTION_TEXT, offsetof(struct S, F), sizeof(((struct S *)0)->F), standard, 0,   \
                0, NULL, help }
#define SCOPE_ENUM_OPTION(S, F, standard, names, help)                                             \
        { #F, SCOPE_OPTION_ENUM, offsetof(struct S, F), 0, standard, 0, 0, names, help }
#define SCOPE_DURATION_OPTION(S, F, standard, min, max, help)                                      \
        { #F, SCOPE_OPTION_DURATION, offsetof(struct S, F), 0, standard, min, max, NULL, help }
#define SCOPE_SIZE_OPTION(S, F, standard, min, max, help)                                          \
        { #F, SCOPE_OPTION_SIZE, offsetof(struct S, F), 0, standard, min, max, NULL, help }
#define SCOPE_OPTION_END { NULL, SCOPE_OPTION_BOOL, 0, 0, NULL, 0, 0, NULL, NULL }

#ifdef __cplusplus
}
#endif
