/* parquet_column.h - one column of one row group, decoded: levels and values.
 * Why: pages are compressed, encoded and numbered by definition and repetition levels (Dremel);
 * what comes out of here is plain.
 * Read: data pages v1 and v2; PLAIN, PLAIN_DICTIONARY, RLE_DICTIONARY, and RLE of booleans; not
 * compressed, SNAPPY, GZIP, ZSTD; BOOLEAN, INT32, INT64, FLOAT, DOUBLE, BYTE_ARRAY.
 * (1) Bounded: entries, bytes of a page, bytes of a column. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "tasks/parquet_meta.h"

enum {
        SCOPE_PARQUET_ENTRIES_MAX = 1 << 23,
        SCOPE_PARQUET_PAGE_MAX = 64 << 20,
        SCOPE_PARQUET_COLUMN_MAX = 1 << 30, /* bytes of all its pages */
};

struct scope_parquet_value {
        union {
                int64_t integer; /* BOOLEAN, INT32, INT64 */
                double real;
                const uint8_t *bytes;
        } as;
        uint32_t count; /* of bytes */
};

struct scope_parquet_column {
        uint8_t *defs, *reps;               /* [entry_count] */
        struct scope_parquet_value *values; /* of the entries whose def is the highest */
        size_t entry_count, value_count;

        /* the reader's own */
        size_t entry_capacity, value_capacity, page_bytes;
        struct scope_parquet_value *dictionary;
        size_t dictionary_count;
        struct scope_parquet_page *pages; /* buffers that values point into */
};

/* in      path: of the column, for errors
 * owns    gives: scope_parquet_column_fini; values point into `bytes` or the column
 * errors  SCOPE_ERR_FORMAT, SCOPE_ERR_UNSUPPORTED: encoding, codec or type, by name;
 *         SCOPE_ERR_TOO_BIG, SCOPE_ERR_MEMORY; diag names file, column and, where we lack
 *         something, what to do about it */
enum scope_err scope_parquet_column_read(const char *name, const char *path, const uint8_t *bytes,
        const struct scope_parquet_node *node, const struct scope_parquet_chunk *chunk,
        struct scope_parquet_column *ret_column, struct scope_diag *diag);
void scope_parquet_column_fini(struct scope_parquet_column *column); /* accepts a zeroed one */
