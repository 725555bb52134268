/* jsonl.h - JSON Lines in, JSON Lines out: one object a line, for commands that others script.
 * Why: tokenize, generate, score and grade read and write alike, and say where a line is wrong:
 *   answers.jsonl:12: "ids" is not a list of token ids
 *
 *   scope_jsonl_open -> { scope_jsonl_next -> fields -> scope_jsonl_put }* -> scope_jsonl_close
 *
 * (1) One line is in memory at a time, at most SCOPE_JSONL_BYTES_MAX, and those taken. (2) Blank
 * lines are skipped, but counted. (3) An answer line is written at once, and who answers several
 * together waits for none of them (scope_jsonl_ready): a filter in a pipe is never behind.
 * thread  owner */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { SCOPE_JSONL_BYTES_MAX = 16 << 20 };

struct scope_jsonl;
struct scope_text;

/* Opens a file; NULL or "-" is standard input.
 * owns    gives
 * errors  SCOPE_ERR_NOT_FOUND, SCOPE_ERR_IO, SCOPE_ERR_MEMORY */
enum scope_err scope_jsonl_open(
        const char *path, struct scope_jsonl **ret_reader, struct scope_diag *diag);
void scope_jsonl_close(struct scope_jsonl *reader); /* accepts NULL */

/* The object of the next line that is not blank; NULL at the end of the file.
 * owns    borrowed until the next call
 * errors  SCOPE_ERR_FORMAT: not one JSON object; SCOPE_ERR_TOO_BIG; SCOPE_ERR_IO */
enum scope_err scope_jsonl_next(
        struct scope_jsonl *reader, const json_t **ret_object, struct scope_diag *diag);

/* Whether _next would not wait for whoever writes the lines: to answer before more is asked.
 * thread  owner */
bool scope_jsonl_ready(struct scope_jsonl *reader);

/* The object last read, to be kept while others are; its line's bytes.
 * owns    gives: json_decref */
json_t *scope_jsonl_take(struct scope_jsonl *reader, size_t *ret_bytes);

/* Sets diag to FILE:LINE: and what is wrong there, of the line last read; returns `err`. */
enum scope_err scope_jsonl_bad(const struct scope_jsonl *reader, enum scope_err err,
        struct scope_diag *diag, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* A text field: its bytes, which may hold NUL.     errors  SCOPE_ERR_FORMAT: absent, no text */
enum scope_err scope_jsonl_text(const struct scope_jsonl *reader, const json_t *object,
        const char *key, const char **ret_bytes, size_t *ret_count, struct scope_diag *diag);

/* An answer: a text, or a number as a text, for which `digits` has room.
 * errors  SCOPE_ERR_FORMAT: absent, or neither */
struct scope_jsonl_answer {
        const char *bytes;
        size_t count;
        char digits[40];
};
enum scope_err scope_jsonl_answer(const struct scope_jsonl *reader, const json_t *object,
        const char *key, struct scope_jsonl_answer *ret_answer, struct scope_diag *diag);

/* A list of token ids below `vocab` (0: any), at most `max` of them.
 * errors  SCOPE_ERR_FORMAT; SCOPE_ERR_TOO_BIG: more than max */
struct scope_jsonl_ids {
        uint32_t *ids; /* [max], the caller's */
        size_t max, count;
        uint32_t vocab;
};
enum scope_err scope_jsonl_ids(const struct scope_jsonl *reader, const json_t *object,
        const char *key, struct scope_jsonl_ids *ids, struct scope_diag *diag);

/* Warns on stderr where `count` texts had bytes that no token spells. */
void scope_jsonl_unspelled(uint64_t count);

/* Writes one finished object to standard output as a line, and clears it.
 * errors  SCOPE_ERR_MEMORY: it failed while it was built; SCOPE_ERR_IO: nobody reads any more */
enum scope_err scope_jsonl_put(struct scope_text *object, struct scope_diag *diag);
