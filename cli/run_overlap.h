/* run_overlap.h - the bubble ledger, staleness and queues of an ordinary run.
 * Why: what `bench overlap` says of strategies, metrics.jsonl and status.json say of every run.
 * (1) Memory is bounded: of a long run the newest groups are kept, from 32768 up to twice that. */
#pragma once

#include <stdio.h>

#include "actors/stages.h"
#include "cli/core_times.h"
#include "cli/overlap_report.h"

struct scope_text;

/* The setting of a run under these options, on so many rollouts and shared cores. */
struct scope_overlap_setting scope_overlap_setting_of(
        const struct scope_pipeline_options *options, unsigned rollouts, double cores);

/* Adds what simulated rollouts take: for a setting of stages that are (to be) simulated.
 * errors  SCOPE_ERR_FORMAT: sim.decode */
enum scope_err scope_overlap_setting_simulated(struct scope_overlap_setting *setting,
        const struct scope_pipeline_options *options, unsigned rollouts, struct scope_diag *diag);

struct scope_run_overlap {
        struct scope_overlap_setting setting;
        struct scope_overlap_trail *trail, *next; /* next: begun when trail was half full */
        const struct scope_system *system;
        /* somebody else who listens; NULL = nobody */
        void (*audit)(void *context, const struct scope_audit *event);
        void *audit_context;
        FILE *file; /* the same as JSON lines; NULL = not kept */
        uint64_t sampled_tokens; /* by rollouts; what was given up is not in it */
        /* seconds that earlier steps' metrics said */
        double told[4][SCOPE_IDLE_CAUSES + 2], told_core[SCOPE_CORE_COUNT];
};

/* errors  SCOPE_ERR_MEMORY */
enum scope_err scope_run_overlap_init(
        struct scope_run_overlap *overlap, const struct scope_overlap_setting *setting);
void scope_run_overlap_fini(struct scope_run_overlap *overlap); /* accepts a zeroed one */

/* Keeps the trail in a file as well (cli/trail_file.h); an existing one is replaced.
 * errors  SCOPE_ERR_IO, with the path in diag */
enum scope_err scope_run_overlap_keep(
        struct scope_run_overlap *overlap, const char *path, struct scope_diag *diag);

/* Writes the end of that file and closes it. False: it could not be written, wholly or in part. */
bool scope_run_overlap_kept(struct scope_run_overlap *overlap, double wall_s, uint64_t trained);

/* For scope_stages.audit; the context is a scope_run_overlap. */
void scope_run_overlap_event(void *context, const struct scope_audit *event);

/* For scope_resources.step_metrics: "time/learner/starved" and so on, seconds since the call
 * before; those of one actor add up to its wall time, those of "time/cores/" to that of all compute
 * threads. Always the same names. */
uint32_t scope_run_overlap_metrics(void *context, struct scope_metric *ret_metrics, uint32_t max);

/* {"idle": .., "busy": .., "wall_s": .., "staleness": .., "waste": .., "queues": ..}: the value of
 * "overlap" in status.json. */
void scope_run_overlap_json(
        const struct scope_run_overlap *overlap, double wall_s, struct scope_text *text);
