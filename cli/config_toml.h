/* config_toml.h - a TOML 1.0 document as a flat list of values with their places.
 * Why: the C++ library stays behind one function; configuration errors need line and column.
 * (1) Tables come before what is in them, then by place in the document. (2) Paths are dotted, list
 * elements are numbered: "rollout.group_size", "placement[0].role". A part of a key that is not a
 * bare word stands in quotes, what is no letter or digit replaced by "?": it matches no key of
 * ours, and dots and brackets of a path always mean what they say. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum scope_toml_kind {
        SCOPE_TOML_TABLE,
        SCOPE_TOML_LIST,  /* of tables, or empty; `integer` = how many; its tables follow */
        SCOPE_TOML_ARRAY, /* of anything else; what is in it is not listed */
        SCOPE_TOML_TEXT,
        SCOPE_TOML_INT,
        SCOPE_TOML_FLOAT,
        SCOPE_TOML_BOOL,
        SCOPE_TOML_DATE,
};

struct scope_toml_value {
        const char *path;
        enum scope_toml_kind kind;
        const char *text; /* of TEXT, NUL-terminated; may hold more NULs within text_count */
        size_t text_count;
        int64_t integer;
        double real; /* of FLOAT, and of INT as near as a double comes */
        bool truth;
        uint32_t line, column;         /* of the value, from 1 */
        uint32_t key_line, key_column; /* of its key; the value's where it has none */
};

struct scope_toml {
        struct scope_toml_value *values;
        size_t count;
        char *strings; /* what the paths and texts point into */
};

/* Parses a whole document of `count` bytes.
 * out     ret_line, ret_column: place of a syntax error, 0 where it has none
 * owns    gives *ret_toml: scope_toml_fini
 * errors  SCOPE_ERR_FORMAT: not TOML 1.0, reason in diag; SCOPE_ERR_TOO_BIG: too many values or a
 *         key too long; SCOPE_ERR_MEMORY
 * thread  any */
enum scope_err scope_toml_parse(const char *bytes, size_t count, struct scope_toml *ret_toml,
        uint32_t *ret_line, uint32_t *ret_column, struct scope_diag *diag);

/* Accepts a zeroed one. */
void scope_toml_fini(struct scope_toml *toml);

/* "3.3.0" */
const char *scope_toml_library_version(void);

#ifdef __cplusplus
}
#endif
