/* safetensors.h - the file that holds tensors: 8 bytes of header length, a JSON header, raw
 * little-endian data.
 * Why: files come from anywhere, so the header is believed only after it was checked as a whole:
 * every range
 * in bounds and of its shape's size, all ranges together covering the data once. Nothing is
 * allocated from a number that was not checked against the file's real size. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"
#include "base/error.h"

enum {
        SCOPE_SAFETENSORS_HEADER_BYTES_MAX = 16 << 20,
        SCOPE_SAFETENSORS_RANK_MAX = 8,
        SCOPE_SAFETENSORS_DEPTH_MAX = 4,
        SCOPE_SAFETENSORS_COUNT_MAX = 1 << 16,
};

struct scope_safetensor {
        const char *name;
        uint64_t shape[SCOPE_SAFETENSORS_RANK_MAX];
        uint64_t begin, end; /* bytes within the data */
        uint8_t rank, dtype; /* dtype: enum scope_dtype; COUNT: none of ours */
};

struct scope_safetensors {
        struct scope_safetensor *tensors; /* sorted by name */
        uint32_t count;
        char *names;
        int fd;                           /* -1 after _parse */
        uint64_t data_begin, data_bytes;
};

/* Checks a header of which the data has `data_bytes`.
 * owns    gives: scope_safetensors_fini
 * errors  SCOPE_ERR_FORMAT, SCOPE_ERR_TOO_BIG, SCOPE_ERR_UNSUPPORTED: a dtype nobody knows
 * thread  any */
enum scope_err scope_safetensors_parse(const char *header, size_t header_bytes, uint64_t data_bytes,
        struct scope_safetensors *ret_file, struct scope_diag *diag);

/* Opens a file and checks its header.
 * owns    gives
 * errors  as _parse, SCOPE_ERR_NOT_FOUND, SCOPE_ERR_IO
 * thread  any, blocks */
enum scope_err scope_safetensors_open(const char *path, struct scope_safetensors *ret_file,
        struct scope_diag *diag);
void scope_safetensors_fini(struct scope_safetensors *file); /* accepts a zeroed one */

/* NULL when there is none of this name.                     thread  any */
const struct scope_safetensor *scope_safetensors_find(const struct scope_safetensors *file,
        const char *name);

/* All numbers of a tensor as f32 into ret_values: as many as its shape says.
 * errors  SCOPE_ERR_UNSUPPORTED: not F32, BF16 or F16; SCOPE_ERR_IO     thread  any, blocks */
enum scope_err scope_safetensors_read(const struct scope_safetensors *file,
        const struct scope_safetensor *tensor, float *ret_values, struct scope_diag *diag);

/* One f32 tensor to write; rank 1 has its length in columns. */
struct scope_safetensors_item {
        const char *name;
        const float *values;
        uint32_t rows, columns;
        uint8_t rank; /* 1 or 2 */
};
/* Writes a file of tensors, flushed to disk; `path` must not exist. dtype: F32 or BF16.
 * errors  SCOPE_ERR_NO_SPACE, SCOPE_ERR_IO, SCOPE_ERR_EXISTS, SCOPE_ERR_MEMORY     thread  any,
 * blocks */
enum scope_err scope_safetensors_write(const char *path, const struct scope_safetensors_item *items,
        uint32_t count, enum scope_dtype dtype, struct scope_diag *diag);
