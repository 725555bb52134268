/* gguf_write.h - builds a GGUF file: metadata in memory, tensors packed row by row as they go out.
 * Why: a trained model leaves in the form that llama.cpp and its many children read.
 *   zeroed -> put* -> scope_gguf_write -> scope_gguf_writer_fini
 * (1) Version 3, alignment 32. (2) What fails while it is built fails at _write. thread  owner */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "models/gguf.h"

struct scope_gguf_writer {
        struct scope_text values;
        uint64_t value_count;
};
void scope_gguf_writer_fini(struct scope_gguf_writer *writer); /* accepts a zeroed one */

void scope_gguf_put_uint(struct scope_gguf_writer *writer, const char *key, uint32_t value);
void scope_gguf_put_real(struct scope_gguf_writer *writer, const char *key, float value);
void scope_gguf_put_bool(struct scope_gguf_writer *writer, const char *key, bool value);
void scope_gguf_put_text(
        struct scope_gguf_writer *writer, const char *key, const char *bytes, size_t count);

/* `count` elements must follow, each of `element`: TEXT or I32. */
void scope_gguf_put_array(struct scope_gguf_writer *writer, const char *key,
        enum scope_gguf_type element, uint64_t count);
void scope_gguf_put_text_element(
        struct scope_gguf_writer *writer, const char *bytes, size_t count);
void scope_gguf_put_int_element(struct scope_gguf_writer *writer, int32_t value);

struct scope_gguf_item {
        char name[SCOPE_GGUF_NAME_BYTES_MAX + 1];
        const float *values;    /* [rows, columns] */
        uint32_t rows, columns; /* rank 1 has its length in columns */
        uint8_t rank;
        uint32_t type;          /* of gguf_blocks.h: F32, F16, BF16 or Q8_0 */
        /* 0, or rows of one head: its halves are written interleaved, as rotary pairs */
        uint32_t head_rows;
};

/* Row (or number, of a vector) of the source that stands at place `at` of the file.     pure */
uint32_t scope_gguf_source_row(uint32_t head_rows, uint32_t at);

/* Writes `path`, which must not exist, whole or not at all.
 * errors  SCOPE_ERR_EXISTS, SCOPE_ERR_NO_SPACE, SCOPE_ERR_IO, SCOPE_ERR_MEMORY; SCOPE_ERR_ARGUMENT:
 *         a number that the type cannot hold
 * thread  any, blocks */
enum scope_err scope_gguf_write(const char *path, const struct scope_gguf_writer *writer,
        const struct scope_gguf_item *items, uint32_t count, struct scope_diag *diag);
