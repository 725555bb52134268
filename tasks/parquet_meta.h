/* parquet_meta.h - the footer of a Parquet file: its schema, and where each column lies.
 * Why: columns are found by it; every number in it is checked against the file before use. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
        SCOPE_PARQUET_NODES_MAX = 1024,
        SCOPE_PARQUET_DEPTH_MAX = 16,
        SCOPE_PARQUET_GROUPS_MAX = 1 << 16,
        SCOPE_PARQUET_NAME_MAX = 128,
};

enum scope_parquet_type { /* the numbers of the format */
        SCOPE_PARQUET_BOOLEAN,
        SCOPE_PARQUET_INT32,
        SCOPE_PARQUET_INT64,
        SCOPE_PARQUET_INT96,
        SCOPE_PARQUET_FLOAT,
        SCOPE_PARQUET_DOUBLE,
        SCOPE_PARQUET_BYTE_ARRAY,
        SCOPE_PARQUET_FIXED,
        SCOPE_PARQUET_TYPES
};

struct scope_parquet_node {
        char name[SCOPE_PARQUET_NAME_MAX];
        uint16_t parent; /* the root is node 0, its own parent */
        uint16_t children;
        int16_t leaf; /* column, -1: a group */
        uint8_t type; /* of a leaf */
        uint8_t max_def, max_rep;
        bool optional, repeated, is_list, decimal;
        bool inlined; /* its value stands where its parent's would: the inside of a list */
};

struct scope_parquet_chunk {
        uint64_t begin, bytes, value_count; /* begin: of the first page */
        uint32_t codec;
};

struct scope_parquet_meta {
        struct scope_parquet_node *nodes;
        struct scope_parquet_chunk *chunks; /* [group_count][leaf_count] */
        uint64_t *group_rows;               /* [group_count] */
        uint32_t node_count, leaf_count, group_count;
        uint16_t leaf_node[SCOPE_PARQUET_NODES_MAX];
};

/* in      bytes: the whole file, `name` for errors
 * owns    gives: scope_parquet_meta_fini
 * errors  SCOPE_ERR_FORMAT, SCOPE_ERR_UNSUPPORTED: encrypted; SCOPE_ERR_TOO_BIG;
 *         SCOPE_ERR_MEMORY */
enum scope_err scope_parquet_meta_read(const char *name, const uint8_t *bytes, size_t count,
        struct scope_parquet_meta *ret_meta, struct scope_diag *diag);
void scope_parquet_meta_fini(struct scope_parquet_meta *meta); /* accepts a zeroed one */

/* "prompt.content": the names from the root, those of lists left out. */
void scope_parquet_path(
        const struct scope_parquet_meta *meta, uint16_t node, char *ret_path, size_t bytes);
