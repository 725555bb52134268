/* record_lines.h - what the files of a run say, as text.
 * Why: the recorder decides when to write, this is how it looks: plain functions, easy to test.
 * (1) A line is one JSON object without its newline. (2) Names and their order depend on what was
 * said, never on when: two runs that said the same have the same lines, times aside. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "runtime/ledger.h"
#include "schemas/records.h"

struct scope_engine_result;

enum { SCOPE_GAUGES_MAX = 96, SCOPE_GAUGE_NAME_BYTES = 48 };

/* Named numbers in the order of their names. */
struct scope_gauges {
        struct scope_gauge {
                char name[SCOPE_GAUGE_NAME_BYTES];
                double value;
        } at[SCOPE_GAUGES_MAX];
        uint32_t count;
};

/* Sets `name` to `value`, or adds to it. A name too long or one too many is dropped: false. */
bool scope_gauges_set(struct scope_gauges *gauges, struct scope_string name, double value);
bool scope_gauges_add(struct scope_gauges *gauges, struct scope_string name, double value);
double scope_gauges_get(const struct scope_gauges *gauges, const char *name); /* 0 if not there */

/* True when `name` begins with `prefix`; *ret_rest is what follows. */
bool scope_name_after(struct scope_string name, const char *prefix, struct scope_string *ret_rest);

/* {"step":..,"t":..,metrics in their order, then the gauges that are not among them} */
struct scope_step_line {
        uint64_t step;
        double seconds; /* since the recorder started */
        const struct scope_metric *metrics;
        uint32_t metric_count;
        const struct scope_gauges *gauges;
};
void scope_line_step(struct scope_text *text, const struct scope_step_line *line);

/* Adds an evaluation to a whole step line: its metrics, and "eval/step" where it was of another. */
void scope_line_step_evaluated(struct scope_text *line, uint64_t line_step,
        const struct scope_gauges *evaluation, uint64_t evaluation_step);

/* `event` is one JSON object: "t" is put in front. Anything else becomes {"t":..,"text":".."}. */
void scope_line_event(struct scope_text *text, double seconds, struct scope_string event);

/* One rollout of a group; the repaired one carries the student's failed response too. */
void scope_line_rollout(struct scope_text *text, const struct scope_group *group, uint32_t index);

/* A sample as the engine gave it, for rollouts/replies.jsonl: ids (u32) and log-probabilities
 * (f32), little-endian in base64, so that they come back to the bit. */
void scope_line_sample(struct scope_text *text, uint64_t group, uint32_t sample,
        const struct scope_engine_result *result);

/* The group's line of the index, left open: `"offset":N}` is to follow when N is known. `bytes`
 * [trajectory_count] are the lengths of its rollout lines, newline included. */
void scope_line_index(
        struct scope_text *text, const struct scope_group *group, const uint32_t *bytes);

struct scope_status {
        const char *state; /* "running", "done", "interrupted", "failed" */
        uint64_t steps;
        struct scope_ledger_counts groups;
        struct scope_gauges before, after; /* of evaluations, without "eval/" */
        uint64_t teacher_calls, salvaged, rejected, degraded;
        struct scope_gauges seconds; /* per phase */
        uint64_t peak_rss_bytes;
};
void scope_line_status(struct scope_text *text, const struct scope_status *status);
