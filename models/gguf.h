/* gguf.h - the file of llama.cpp: typed metadata and quantised tensors in one file.
 * Why: this is the form in which people have models on a laptop. Files come from anywhere: every
 * count, size and place is checked against the file before anything is allocated from it.
 * (1) What an accessor gives points into the file's header and lives until _fini. (2) Texts are not
 * NUL-terminated and may be any bytes. (3) Keys and tensor names are unique. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
        SCOPE_GGUF_HEADER_BYTES_MAX = 256 << 20,
        SCOPE_GGUF_VALUES_MAX = 1 << 16,
        SCOPE_GGUF_TENSORS_MAX = 1 << 16,
        SCOPE_GGUF_NAME_BYTES_MAX = 64,
        SCOPE_GGUF_RANK_MAX = 4,
        SCOPE_GGUF_ALIGNMENT_MAX = 1 << 16,
};

enum scope_gguf_type { /* the numbers of the format */
        SCOPE_GGUF_U8,
        SCOPE_GGUF_I8,
        SCOPE_GGUF_U16,
        SCOPE_GGUF_I16,
        SCOPE_GGUF_U32,
        SCOPE_GGUF_I32,
        SCOPE_GGUF_F32,
        SCOPE_GGUF_BOOL,
        SCOPE_GGUF_TEXT,
        SCOPE_GGUF_ARRAY,
        SCOPE_GGUF_U64,
        SCOPE_GGUF_I64,
        SCOPE_GGUF_F64,
        SCOPE_GGUF_TYPES
};

struct scope_gguf_text {
        const char *bytes; /* NULL: there is none */
        size_t count;
};

struct scope_gguf_value {
        struct scope_gguf_text key;
        uint8_t type, element; /* enum scope_gguf_type; element: of an array, never ARRAY */
        uint64_t count;        /* of an array's elements; 1 else */
        const uint8_t *bytes;  /* all elements, as they stand in the file */
        size_t byte_count;
};

struct scope_gguf_tensor {
        struct scope_gguf_text name;
        uint64_t shape[SCOPE_GGUF_RANK_MAX]; /* fastest first: [columns, rows] */
        uint64_t elements, begin, bytes;     /* begin: within the data */
        uint32_t type;                       /* of gguf_blocks.h */
        uint8_t rank;
};

struct scope_gguf {
        struct scope_gguf_value *values;   /* sorted by key */
        struct scope_gguf_tensor *tensors; /* sorted by name */
        uint32_t value_count, tensor_count, version, alignment;
        uint8_t *header;                   /* NULL after _parse: the caller's */
        int fd;                            /* -1 after _parse */
        uint64_t data_begin, data_bytes;
};

/* Checks the first `count` bytes of a file that has `file_bytes`.
 * owns    borrows header until _fini; gives: scope_gguf_fini
 * errors  SCOPE_ERR_FORMAT, SCOPE_ERR_TOO_BIG, SCOPE_ERR_UNSUPPORTED: a version or tensor type
 *         nobody knows; SCOPE_ERR_AGAIN: the header is longer than `count`; SCOPE_ERR_MEMORY
 * thread  any */
enum scope_err scope_gguf_parse(const uint8_t *header, size_t count, uint64_t file_bytes,
        struct scope_gguf *ret_file, struct scope_diag *diag);

/* Opens a file and checks its header.
 * owns    gives
 * errors  as _parse without AGAIN, SCOPE_ERR_NOT_FOUND, SCOPE_ERR_IO     thread  any, blocks */
enum scope_err scope_gguf_open(
        const char *path, struct scope_gguf *ret_file, struct scope_diag *diag);
void scope_gguf_fini(struct scope_gguf *file); /* accepts a zeroed one */

/* --- metadata: all of it pure, thread any ---------------------------------------------------- */

/* NULL when there is none. */
const struct scope_gguf_value *scope_gguf_find(const struct scope_gguf *file, const char *key);

/* One value. A missing key is SCOPE_ERR_NOT_FOUND and leaves *ret_value as it was; another type is
 * SCOPE_ERR_FORMAT, with key and type in diag. uint takes every integer type that holds a count. */
enum scope_err scope_gguf_uint(const struct scope_gguf *file, const char *key, uint64_t *ret_value,
        struct scope_diag *diag);
enum scope_err scope_gguf_real(const struct scope_gguf *file, const char *key, double *ret_value,
        struct scope_diag *diag);
enum scope_err scope_gguf_bool(
        const struct scope_gguf *file, const char *key, bool *ret_value, struct scope_diag *diag);
enum scope_err scope_gguf_text(const struct scope_gguf *file, const char *key,
        struct scope_gguf_text *ret_value, struct scope_diag *diag);

/* An array of texts, of integers or of reals, by `kind` = TEXT, I64 or F64 (any width counts).
 * errors  as above; NULL is never given with SCOPE_OK */
enum scope_err scope_gguf_array(const struct scope_gguf *file, const char *key,
        enum scope_gguf_type kind, const struct scope_gguf_value **ret_array,
        struct scope_diag *diag);

/* Element i < array->count of an array of integers (or bools), of reals. */
int64_t scope_gguf_integer_at(const struct scope_gguf_value *array, uint64_t i);
double scope_gguf_real_at(const struct scope_gguf_value *array, uint64_t i);

/* Texts lie one after the other: they are walked. `at` begins as 0.
 * out  false at the end */
bool scope_gguf_text_next(
        const struct scope_gguf_value *array, size_t *at, struct scope_gguf_text *ret_text);

bool scope_gguf_text_is(struct scope_gguf_text text, const char *string);

/* What stands in a file about its tokenizer. Absent: an array is NULL, a text has no bytes, an id
 * is UINT32_MAX. All arrays that are there have as many elements as `tokens`, but for merges. */
struct scope_gguf_tokenizer {
        struct scope_gguf_text model;          /* "gpt2": byte-level BPE; "llama": sentencepiece */
        struct scope_gguf_text pre;            /* "smollm", "qwen2", "llama-bpe": the pattern */
        struct scope_gguf_text chat_template;
        const struct scope_gguf_value *tokens; /* texts, in the order of their ids */
        const struct scope_gguf_value *types;  /* integers: enum scope_gguf_token */
        const struct scope_gguf_value *scores; /* reals */
        const struct scope_gguf_value *merges; /* texts: "left right" */
        uint32_t bos, eos, eot, pad, unknown;
        bool add_bos, add_eos, add_space_prefix;
        bool add_bos_said, add_eos_said;       /* else what the model's family does */
};
enum scope_gguf_token {
        SCOPE_GGUF_TOKEN_NORMAL = 1,
        SCOPE_GGUF_TOKEN_UNKNOWN,
        SCOPE_GGUF_TOKEN_CONTROL,
        SCOPE_GGUF_TOKEN_USER,
        SCOPE_GGUF_TOKEN_UNUSED,
        SCOPE_GGUF_TOKEN_BYTE,
};
/* errors  SCOPE_ERR_NOT_FOUND: no tokenizer.ggml.model or .tokens; SCOPE_ERR_FORMAT */
enum scope_err scope_gguf_tokenizer(const struct scope_gguf *file,
        struct scope_gguf_tokenizer *ret_tokenizer, struct scope_diag *diag);

/* --- tensors --------------------------------------------------------------------------------- */

/* NULL when there is none. */
const struct scope_gguf_tensor *scope_gguf_tensor(const struct scope_gguf *file, const char *name);

/* All numbers of a tensor as f32, in the order of the file: `tensor->elements` of them.
 * errors  SCOPE_ERR_UNSUPPORTED: a type we do not read; SCOPE_ERR_IO     thread  any, blocks */
enum scope_err scope_gguf_read(const struct scope_gguf *file,
        const struct scope_gguf_tensor *tensor, float *ret_values, struct scope_diag *diag);
