/* trail_file.h - an audit trail as a file: JSON lines that people and scripts can read.
 * Why: a table that cannot be made again from the raw log is a claim; `bench overlap --from` reads
 * these files and nothing else.
 * Form: the first line is {"trail": schema, the setting}; then one line an event,
 * [kind, ns, group, sample, value, version, since ns, service ns], trailing zeros left out; then
 * one line an actor with its time by cause, and {"end": ...} with what was measured beside it. */
#pragma once

#include <stdio.h>

#include "cli/overlap_report.h"

enum { SCOPE_TRAIL_SCHEMA = 4, SCOPE_TRAIL_USAGE_MAX = 1024 };

/* What follows the events. */
struct scope_trail_end {
        struct scope_actor_usage *usage; /* [usage_count], malloc'ed */
        unsigned usage_count;
        double wall_s;          /* of the loops: what each actor's times must add up to */
        double cpu_s_per_group; /* 0 = cores are not shared, or not known */
        double cores_taken;     /* by other processes of the machine, the teacher's included */
        bool has_alone;
        struct scope_batch_times alone; /* stage times of the serial arm */
};

/* Failures show in ferror(file). */
void scope_trail_write_begin(
        FILE *file, const struct scope_overlap_setting *setting, uint64_t repeat);
void scope_trail_write_event(FILE *file, const struct scope_audit *event);
void scope_trail_write_end(FILE *file, const struct scope_trail_end *end);

/* Copies what actors did.      errors  SCOPE_ERR_MEMORY */
enum scope_err scope_trail_end_usage(
        struct scope_trail_end *end, const struct scope_actor_usage *usage, unsigned count);
void scope_trail_end_fini(struct scope_trail_end *end); /* accepts a zeroed one */

/* Reads a whole file into a new trail. A file cut short of its end line is refused.
 * owns    gives *ret_trail
 * errors  SCOPE_ERR_FORMAT: path:line and what, another schema says so; SCOPE_ERR_NOT_FOUND,
 *         SCOPE_ERR_IO, SCOPE_ERR_MEMORY */
enum scope_err scope_trail_read(const char *path, struct scope_overlap_trail **ret_trail,
        struct scope_overlap_setting *ret_setting, uint64_t *ret_repeat,
        struct scope_trail_end *ret_end, struct scope_diag *diag);

/* Calls `event` with every event, in order. A file that was cut off is read as far as it goes.
 * errors  as above     thread  any, blocks */
enum scope_err scope_trail_scan(const char *path,
        void (*event)(void *context, const struct scope_audit *event), void *context,
        struct scope_overlap_setting *ret_setting, struct scope_diag *diag);
