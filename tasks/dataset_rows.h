/* dataset_rows.h - rows of a file, as JSON objects, to problems.
 * Why: JSON Lines and Parquet bring the same shapes; one place knows them. The form is told from
 * the keys of the first row, and every other row must have it:
 *   question, answer with "#### 18"          GSM8K
 *   question, answer                         anything else with a bare answer
 *   problem, answer or solution              MATH: without `answer`, the last \boxed{} of the
 *                                            solution
 *   prompt, reward_model.ground_truth        verl; extra_info.answer is the solution
 *   prompt, answer | ground_truth | solution TRL and ours; of a solution, its \boxed{} or ####
 *   prompt, completions, labels              stepwise; the last completion has the \boxed{} or ####
 *   question.problem, question.ground_truth_answer    PRM800K
 *   messages                                 the last assistant's message is the solution, or
 *                                            beside them answer | ground_truth | solution
 *   prompt of the form a,b:m,n alone         the next n terms of a, b, ... modulo m are computed
 * A prompt is a text, or messages of which the last of the user counts; these are kept as well.
 * Keys that the caller names go before all of that.
 * (1) Every row is read and judged when it is added: a bad one is found before a run starts. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct json_t; /* of jansson */
struct scope_dataset;
struct scope_dataset_keys;
struct scope_dataset_rows;

/* owns    gives; keeps copies of path and keys
 * errors  SCOPE_ERR_MEMORY     thread  setup */
enum scope_err scope_dataset_rows_create(const char *path, const struct scope_dataset_keys *keys,
        struct scope_dataset_rows **ret_rows, struct scope_diag *diag);

/* The next row; `number` stands in errors as "path:number".
 * owns    borrows `object`
 * errors  SCOPE_ERR_FORMAT, SCOPE_ERR_TOO_BIG, SCOPE_ERR_MEMORY, with words */
enum scope_err scope_dataset_rows_add(struct scope_dataset_rows *rows, uint64_t number,
        const struct json_t *object, struct scope_diag *diag);

/* A row that cannot be read at all: "path:number: what".     errors  always SCOPE_ERR_FORMAT */
enum scope_err scope_dataset_rows_fault(const struct scope_dataset_rows *rows, uint64_t number,
        const char *what, struct scope_diag *diag);

/* All rows are there.
 * owns    takes rows where it succeeds; gives *ret_dataset
 * errors  SCOPE_ERR_FORMAT: there is none; SCOPE_ERR_MEMORY */
enum scope_err scope_dataset_rows_finish(struct scope_dataset_rows *rows,
        struct scope_dataset **ret_dataset, struct scope_diag *diag);

void scope_dataset_rows_destroy(struct scope_dataset_rows *rows); /* accepts NULL */

/* Top-level keys and paths that any form looks at, or that `keys` names: a reader of columns needs
 * no others. "a.b" is wanted where b inside of a is. */
bool scope_dataset_rows_wants(const struct scope_dataset_keys *keys, const char *path);
