/* bench_overlap.h - one table of `bench overlap`: arms, their runs, and what is said of them.
 * Why: running, reading again from files, and printing are three files around these structs. */
#pragma once

#include "actors/idle.h"
#include "algorithm/interval.h"
#include "cli/trail_file.h"

enum { SCOPE_OVERLAP_ARMS_MAX = 32, SCOPE_OVERLAP_REPEATS_MAX = 16 };

struct scope_overlap_run {
        bool done;
        struct scope_overlap_setting setting;
        struct scope_overlap_trail *trail;
        struct scope_trail_end end;
        struct scope_overlap_report report;
};

struct scope_overlap_arm {
        char label[64];
        struct scope_overlap_run runs[SCOPE_OVERLAP_REPEATS_MAX];
        /* means over repeats */
        struct scope_interval measured, bound, ratio, speedup;
        double cpu_s_per_group; /* 0 = not known */
        double label_y; /* the page's */
};

/* The first arm is serial. */
struct scope_overlap_table {
        struct scope_overlap_arm arms[SCOPE_OVERLAP_ARMS_MAX];
        uint32_t arm_count, repeats;
        bool simulated;
        unsigned number; /* of a sweep's values, from 0 */
        char about[128]; /* the value of a sweep; "" = none */
};

/* Reports, bounds and intervals of every run from its trail; fills end.alone and
 * end.cpu_s_per_group where the trails do not bring them.
 * errors  as scope_overlap_trail_report, words in diag */
enum scope_err scope_overlap_table_reckon(
        struct scope_overlap_table *table, struct scope_diag *diag);
void scope_overlap_table_fini(struct scope_overlap_table *table);

/* For people (stderr), for scripts (an element of "arms" each), and as a page. */
void scope_overlap_table_print(const struct scope_overlap_table *table);
void scope_overlap_table_json(const struct scope_overlap_table *table, struct scope_text *text);
void scope_overlap_table_html(struct scope_overlap_table *table, struct scope_text *text);

/* The best arm: the fastest. */
const struct scope_overlap_arm *scope_overlap_best(const struct scope_overlap_table *table);

/* 1 - measured / bound, charged to what the actor that binds waited for, in proportion. */
struct scope_overlap_gap {
        double share;
        const char *actor; /* "cores" where these bind: then `by` is why none was at work */
        double by[SCOPE_IDLE_COUNT], between_jobs;
};
struct scope_overlap_gap scope_overlap_gap_of(const struct scope_overlap_arm *arm);

/* One line: what to change first. */
void scope_overlap_advice(const struct scope_overlap_arm *arm, char *words, size_t bytes);

/* Staleness, waste, queues and waits of one run, as members of an open object. */
void scope_overlap_report_json(const struct scope_overlap_report *report, struct scope_text *text);

/* What ran when, in a window of a few steps: an SVG of its own. */
void scope_overlap_gantt(const struct scope_overlap_arm *arm, struct scope_text *text);
