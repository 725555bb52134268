/* step_log.h - metrics.jsonl as one object a step, evaluations included.
 * Why: an evaluation ends after the step whose weights it measures; who reads the file wants it on
 * that step's line. The line waits where an evaluation is due, until that comes or the next step
 * is done; an evaluation that comes later joins the next line, which then says "eval/step".
 * (1) Every step and every evaluation given is in the journal once after flush. (2) Steps that
 * await nothing are never held back. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "actors/journal.h"
#include "actors/record_lines.h"

struct scope_step_log {
        struct scope_journal *journal; /* borrowed */
        struct scope_text held, line;  /* held: waits for its evaluation; empty = none */
        uint64_t held_step, evaluated_step;
        struct scope_gauges evaluated; /* waits for the next line; empty = none */
};

void scope_step_log_fini(struct scope_step_log *log); /* accepts a zeroed one */

/* All of the metrics are an evaluation's: "eval/...", "time/eval". */
bool scope_step_log_is_evaluation(const struct scope_metric *metrics, uint32_t count);

/* False from these but _empty: the journal had no room for a line, which is lost and counted. */
bool scope_step_log_step(
        struct scope_step_log *log, const struct scope_step_line *line, bool awaits_evaluation);
bool scope_step_log_evaluation(struct scope_step_log *log, const struct scope_step_line *line);
bool scope_step_log_empty(const struct scope_step_log *log); /* nothing waits */
bool scope_step_log_flush(struct scope_step_log *log, double seconds);
