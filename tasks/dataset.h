/* dataset.h - problems by index, wherever they come from.
 * Why: prompts, evaluation and warm-up ask for "problem i"; a new kind of file is one reader and
 * one row of the table in dataset.c.
 * (1) Problem i never changes. (2) A data set that opened is whole: every line was read and is
 * within bounds. (3) After open it is read-only: any thread may get. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "schemas/records.h"

struct scope_arena;

struct scope_problem {
        struct scope_string text, gold; /* gold: the final answer alone */
        struct scope_string solution;   /* a worked one; empty where there is none */
        struct scope_string messages;   /* a chat that the file brings, as JSON; empty: none */
};

/* Which keys hold what, where a file names them in its own way; NULL or "" = found out. "a.b" is
 * b inside of a. */
struct scope_dataset_keys {
        const char *prompt, *answer, *solution;
};

struct scope_dataset {
        uint64_t count;   /* problems; > 0 */
        const char *form; /* what was recognised, for people: "GSM8K (question, answer)" */
        /* Filled by the reader. `get` may build strings in `arena`. */
        enum scope_err (*get)(const struct scope_dataset *dataset, uint64_t index,
                struct scope_arena *arena, struct scope_problem *ret_problem);
        void (*destroy)(struct scope_dataset *dataset);
};

/* Opens "builtin:chain?...", a .jsonl or a .parquet file.
 * owns    gives *ret_dataset
 * errors  SCOPE_ERR_NOT_FOUND, SCOPE_ERR_FORMAT: `diag` has "file:line: what", SCOPE_ERR_TOO_BIG,
 *         SCOPE_ERR_UNSUPPORTED: no reader for such a name, SCOPE_ERR_MEMORY, SCOPE_ERR_IO
 * thread  setup, blocks */
enum scope_err scope_dataset_open(
        const char *name, struct scope_dataset **ret_dataset, struct scope_diag *diag);

/* The same with keys; NULL = all found out. */
enum scope_err scope_dataset_open_keyed(const char *name, const struct scope_dataset_keys *keys,
        struct scope_dataset **ret_dataset, struct scope_diag *diag);

/* Problem `index` modulo count, so that a data cursor may run over the end.
 * owns    strings live as long as `arena` is not reset and the data set is not destroyed
 * errors  SCOPE_ERR_MEMORY: arena full     thread  any */
enum scope_err scope_dataset_get(const struct scope_dataset *dataset, uint64_t index,
        struct scope_arena *arena, struct scope_problem *ret_problem);

/* Accepts NULL. */
void scope_dataset_destroy(struct scope_dataset *dataset);

/* The readers. All but the first fill rows (tasks/dataset_rows.h): what is said there about forms
 * holds for both kinds of file. */
enum scope_err scope_dataset_open_chain(const char *name, const struct scope_dataset_keys *keys,
        struct scope_dataset **ret_dataset, struct scope_diag *diag);

/* One JSON object a line; blank lines are skipped. */
enum scope_err scope_dataset_open_jsonl(const char *path, const struct scope_dataset_keys *keys,
        struct scope_dataset **ret_dataset, struct scope_diag *diag);

/* The part of Parquet that tasks/parquet.h reads. */
enum scope_err scope_dataset_open_parquet(const char *path, const struct scope_dataset_keys *keys,
        struct scope_dataset **ret_dataset, struct scope_diag *diag);
