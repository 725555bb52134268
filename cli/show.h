/* show.h - what a run tells a person, and what it remembers for the end.
 * Why: the recorder hands out numbers by name; the terminal draws structs; this is the piece
 * between. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cli/run.h"
#include "cli/terminal.h"

struct scope_assembly;
struct scope_metric;
struct scope_notice;
struct scope_rollout_view;
struct scope_system;
struct scope_text;

enum { SCOPE_SHOW_ACTORS_MAX = 32 };

struct scope_show {
        const struct scope_pipeline_options *options;
        const struct scope_system *system; /* for the live line; NULL = none yet */
        const char *directory;
        struct scope_terminal terminal;
        struct scope_text text;
        bool quiet, verbose, begun;
        double summary_s; /* when the last summary for logs was printed, and at which step */
        uint64_t summary_step;
        /* at the last step */
        uint64_t busy_ns[SCOPE_SHOW_ACTORS_MAX], alive_ns[SCOPE_SHOW_ACTORS_MAX];
        struct scope_curve_point curve[SCOPE_CURVE_MAX];
        uint32_t curve_count;
        double all_wrong, entropy, staleness, staleness_max, repaired, degraded, eligible, groups;
        uint64_t curve_steps, steps, first_step;
        uint64_t calls, rejected; /* of the teacher; of its answers */
        double trained_tokens, trained_s;
        char waits[160]; /* who waits for what, of the last such notice */
        double reward; /* of the step before */
        double *seconds;
        uint64_t seconds_capacity;
};

/* `directory` outlives it. own_teacher: the one at options->teacher.url is this run's process. */
void scope_show_begin(struct scope_show *show, const struct scope_pipeline_options *options,
        const struct scope_assembly *assembly, const char *directory,
        const struct scope_run_request *request, bool own_teacher);
void scope_show_step(
        struct scope_show *show, uint64_t step, const struct scope_metric *metrics, uint32_t count);
void scope_show_rollout(
        struct scope_show *show, uint64_t step, const struct scope_rollout_view *view);
void scope_show_notice(struct scope_show *show, const struct scope_notice *notice);

/* Curve and sums into the result. */
void scope_show_result(const struct scope_show *show, struct scope_run_result *result);

/* The final table. */
void scope_show_end(struct scope_show *show, const struct scope_system *system, const char *state,
        const struct scope_run_result *result);
void scope_show_fini(struct scope_show *show); /* accepts a zeroed one */

/* Two runs side by side: pass@1, pass@8, share of all-wrong groups; on stderr. */
void scope_show_curves(const char *const *names, const struct scope_run_result *results);

/* The result as one JSON object in `key` of an open one, or at the top (NULL). */
void scope_show_json(
        const struct scope_run_result *result, const char *key, struct scope_text *text);
