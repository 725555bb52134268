/* eval_samples.h - samples that somebody made already, graded; and samples written down.
 * Why: `eval --samples FILE` gives the figures of any model's answers, ours or not; `eval --out
 * FILE` writes lines that it reads again.
 *   {"problem":3,"gold":"\\frac12","text":"so \\boxed{0.5}"}
 * problem: a number or a text ("id", "question" and "prompt" are taken too) that all samples of it
 * share. gold ("ground_truth"): left out where the problem is a number of data.eval. text
 * ("response", "completion"): a whole response, or a list of them; "prediction": maybe a bare
 * answer. tokens: how many, where known. Other keys are left alone. */
#pragma once

#include <stdio.h>

#include "actors/evaluation.h"

struct scope_eval_writer; /* of --out */

/* Opens a file for samples, new or emptied.      owns  gives  errors  SCOPE_ERR_IO, _MEMORY */
enum scope_err scope_eval_writer_open(
        const char *path, struct scope_eval_writer **ret_writer, struct scope_diag *diag);

/* One sample as a line: problem, sample, gold, text, answer, equal, stage, tokens. `problem` is
 * JSON. NULL writer: nothing.                    errors  SCOPE_ERR_MEMORY, SCOPE_ERR_IO */
enum scope_err scope_eval_writer_put(struct scope_eval_writer *writer, const char *problem,
        uint32_t sample, const struct scope_evaluation_sample *record,
        const struct scope_evaluation_verdict *verdict);

/* What could not be written is an error here at the latest.   owns  takes; accepts NULL */
enum scope_err scope_eval_writer_close(struct scope_eval_writer *writer, struct scope_diag *diag);

struct scope_eval_samples {
        const char *path;
        const struct scope_dataset *data;        /* NULL: every line has its gold */
        const struct scope_grade_options *grade; /* borrowed, also by the evaluation */
        uint32_t k;                              /* as in scope_evaluation_options */
        struct scope_eval_writer *writer;        /* may be NULL */
};

/* Reads the file twice: who is sampled how often, then the samples.
 * owns    gives the evaluation, full and complete
 * errors  SCOPE_ERR_FORMAT with FILE:LINE; SCOPE_ERR_TOO_BIG: over a million problems */
enum scope_err scope_eval_samples_read(const struct scope_eval_samples *samples,
        struct scope_evaluation **ret_evaluation, struct scope_diag *diag);
