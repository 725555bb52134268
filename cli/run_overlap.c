#include "cli/run_overlap.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/idle.h"
#include "base/check.h"
#include "base/text.h"
#include "cli/bench_overlap.h"
#include "cli/idle_shares.h"
#include "cli/trail_file.h"
#include "tasks/latency_law.h"

enum { GROUPS_KEPT = 1 << 15, USAGE_MAX = 1024, BUSY = -1, REST = -2 };

struct scope_overlap_setting scope_overlap_setting_of(
        const struct scope_pipeline_options *options, unsigned rollouts, double cores)
{
        const struct scope_strategy *strategy = scope_strategy_find(options->pipeline.strategy);
        bool repairs = options->scope.select.repairs_per_group > 0;
        struct scope_overlap_setting setting = {
                .prompts_per_step = (uint32_t)options->rollout.prompts_per_step,
                .group_size = (uint32_t)options->rollout.group_size,
                .slots = (uint32_t)options->rollout.slots * rollouts,
                .teacher_concurrency = repairs ? (uint32_t)options->teacher.concurrency : 0,
                .queue_groups = (uint32_t)options->pipeline.queue_groups,
                .teacher_groups = (uint32_t)options->pipeline.teacher_groups,
                .teacher_rate = repairs ? options->teacher.rate : 0,
                .drain = options->pipeline.update == SCOPE_UPDATE_DRAIN,
                .partial = options->pipeline.admission.partial_rollout,
                .cores = cores
        };
        scope_assert(strategy != NULL);
        setting.eta =
                (uint64_t)(strategy->eta >= 0 ? strategy->eta : options->pipeline.admission.eta);
        (void)snprintf(setting.strategy, sizeof setting.strategy, "%s", strategy->name);
        return setting;
}

enum scope_err scope_overlap_setting_simulated(struct scope_overlap_setting *setting,
        const struct scope_pipeline_options *options, unsigned rollouts, struct scope_diag *diag)
{
        struct scope_tokens_law served;
        enum scope_err err = scope_tokens_law_parse(options->sim.decode, &served, diag);
        if (err != SCOPE_OK)
                return err;
        setting->swap_s = (double)options->sim.swap * 1e-9;
        if (served.rate > 0)
                setting->step = (struct scope_step_law){ .least_s = served.least_s,
                        .each_s = 1 / served.rate,
                        .engines = rollouts };
        return SCOPE_OK;
}

enum scope_err scope_run_overlap_init(
        struct scope_run_overlap *overlap, const struct scope_overlap_setting *setting)
{
        *overlap = (struct scope_run_overlap){ .setting = *setting };
        return scope_overlap_trail_create(setting, &overlap->trail);
}

void scope_run_overlap_fini(struct scope_run_overlap *overlap)
{
        scope_overlap_trail_destroy(overlap->trail);
        scope_overlap_trail_destroy(overlap->next);
        overlap->trail = overlap->next = NULL;
        if (overlap->file != NULL)
                (void)fclose(overlap->file); /* the run never began */
        overlap->file = NULL;
}

enum scope_err scope_run_overlap_keep(
        struct scope_run_overlap *overlap, const char *path, struct scope_diag *diag)
{
        overlap->file = fopen(path, "we");
        if (overlap->file == NULL)
                return scope_diag_set(diag, SCOPE_ERR_IO, "%s: %s", path, strerror(errno));
        scope_trail_write_begin(overlap->file, &overlap->setting, 0);
        return SCOPE_OK;
}

/* A second trail begins when the first is half full, and takes its place when that is full. */
static void turn_page(struct scope_run_overlap *overlap)
{
        uint64_t groups = scope_overlap_trail_groups(overlap->trail);
        if (groups >= GROUPS_KEPT && overlap->next == NULL)
                /* no memory: tried again at the next event */
                (void)scope_overlap_trail_create(&overlap->setting, &overlap->next);
        if (groups >= 2 * GROUPS_KEPT && overlap->next != NULL) {
                scope_overlap_trail_destroy(overlap->trail);
                overlap->trail = overlap->next;
                overlap->next = NULL;
        }
}

static struct scope_audit with_cpu(
        const struct scope_run_overlap *overlap, const struct scope_audit *event)
{
        struct scope_audit with = *event;
        struct scope_system_cpu cpu;
        if (event->kind == SCOPE_AUDIT_EXPORTED && overlap->system != NULL &&
                scope_system_cpu(overlap->system, &cpu))
                with.service_ns = cpu.loops_ns + cpu.jobs_ns;
        return with;
}

void scope_run_overlap_event(void *context, const struct scope_audit *told)
{
        struct scope_run_overlap *overlap = context;
        struct scope_audit with = with_cpu(overlap, told), *event = &with;
        if (overlap->audit != NULL)
                overlap->audit(overlap->audit_context, event);
        if (overlap->file != NULL)
                scope_trail_write_event(overlap->file, event);
        if (event->kind == SCOPE_AUDIT_SAMPLED)
                overlap->sampled_tokens += event->value;
        if (overlap->trail == NULL)
                return;
        if (event->kind == SCOPE_AUDIT_ADMITTED)
                turn_page(overlap);
        scope_overlap_trail_event(overlap->trail, event);
        if (overlap->next != NULL)
                scope_overlap_trail_event(overlap->next, event);
}

/* --- metrics -------------------------------------------------------------------------------- */

static const struct row {
        const char *role, *name;
        int actor, cause; /* enum scope_idle, BUSY, or REST: what the others leave */
} rows[] = {
#define ROW(actor, role, word, cause)                                                              \
        {                                                                                          \
                role, "time/" role "/" word, actor, cause                                          \
        }
        ROW(0, "learner", "busy", BUSY),
        ROW(0, "learner", "starved", SCOPE_IDLE_STARVED),
        ROW(0, "learner", "barrier", SCOPE_IDLE_BARRIER),
        ROW(0, "learner", "weights", SCOPE_IDLE_WEIGHTS),
        ROW(0, "learner", "cores", SCOPE_IDLE_CORES),
        ROW(0, "learner", "startup", SCOPE_IDLE_STARTUP),
        ROW(0, "learner", "rest", REST),
        ROW(1, "rollout", "busy", BUSY),
        ROW(1, "rollout", "starved", SCOPE_IDLE_STARVED),
        ROW(1, "rollout", "blocked", SCOPE_IDLE_BLOCKED),
        ROW(1, "rollout", "barrier", SCOPE_IDLE_BARRIER),
        ROW(1, "rollout", "credit", SCOPE_IDLE_CREDIT),
        ROW(1, "rollout", "weights", SCOPE_IDLE_WEIGHTS),
        ROW(1, "rollout", "prefill", SCOPE_IDLE_PREFILL),
        ROW(1, "rollout", "cores", SCOPE_IDLE_CORES),
        ROW(1, "rollout", "rest", REST),
        ROW(2, "prm", "busy", BUSY),
        ROW(2, "prm", "starved", SCOPE_IDLE_STARVED),
        ROW(2, "prm", "barrier", SCOPE_IDLE_BARRIER),
        ROW(2, "prm", "rest", REST),
        ROW(3, "refiner", "busy", BUSY),
        ROW(3, "refiner", "starved", SCOPE_IDLE_STARVED),
        ROW(3, "refiner", "barrier", SCOPE_IDLE_BARRIER),
        ROW(3, "refiner", "throttled", SCOPE_IDLE_THROTTLED),
        ROW(3, "refiner", "failure", SCOPE_IDLE_FAILURE),
        ROW(3, "refiner", "rest", REST),
#undef ROW
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static unsigned read_usage(const struct scope_system *system, struct scope_actor_usage *usage)
{
        unsigned count = 0;
        while (count < USAGE_MAX && scope_system_usage(system, count, &usage[count]))
                count++;
        return count;
}

static void core_metrics(struct scope_run_overlap *overlap, const struct scope_actor_usage *usage,
        struct scope_metric *ret_metrics)
{
        static const char *const names[SCOPE_CORE_COUNT] = {
#define X(name, word, what) "time/cores/" word,
                SCOPE_CORE_MAP(X)
#undef X
        };
        double alive_s = usage != NULL ? (double)usage->alive_ns * 1e-9 : 0;
        struct scope_core_times times =
                scope_core_times_of(overlap->system, (unsigned)overlap->setting.cores, alive_s);
        for (int use = 0; use < SCOPE_CORE_COUNT; use++) {
                ret_metrics[use] = (struct scope_metric){
                        { names[use], (uint32_t)strlen(names[use]) },
                        times.seconds[use] - overlap->told_core[use]
                };
                overlap->told_core[use] = times.seconds[use];
        }
}

uint32_t scope_run_overlap_metrics(void *context, struct scope_metric *ret_metrics, uint32_t max)
{
        struct scope_run_overlap *overlap = context;
        static struct scope_actor_usage usage[USAGE_MAX]; /* one run at a time, on its loop */
        struct scope_idle_shares shares = { 0 };
        unsigned count = overlap->system != NULL ? read_usage(overlap->system, usage) : 0;
        double rest = 0;
        if (max < ROWS + SCOPE_CORE_COUNT)
                return 0;
        core_metrics(overlap, count > 0 ? usage : NULL, ret_metrics + ROWS);
        for (uint32_t i = 0; i < ROWS; i++) {
                const struct row *row = &rows[i];
                double *told = &overlap->told[row->actor][row->cause + 2];
                if (row->cause == BUSY) {
                        shares = scope_idle_shares_of(usage, count, row->role);
                        if (shares.count > 0)
                                shares.alive_s /= shares.count;
                        rest = 1;
                }
                double share = row->cause == REST   ? fmax(rest, 0)
                               : row->cause == BUSY ? shares.busy
                                                    : shares.idle[row->cause];
                rest -= share;
                double seconds = share * shares.alive_s;
                ret_metrics[i] = (struct scope_metric){ { row->name, (uint32_t)strlen(row->name) },
                        seconds - *told };
                *told = seconds;
        }
        return ROWS + SCOPE_CORE_COUNT;
}

bool scope_run_overlap_kept(struct scope_run_overlap *overlap, double wall_s, uint64_t trained)
{
        struct scope_actor_usage *usage = calloc(USAGE_MAX, sizeof *usage);
        struct scope_system_cpu cpu = { 0 };
        FILE *file = overlap->file;
        struct scope_trail_end end = { .usage = usage,
                .usage_count = usage != NULL ? read_usage(overlap->system, usage) : 0,
                .wall_s = wall_s };
        overlap->file = NULL;
        if (trained > 0 && scope_system_cpu(overlap->system, &cpu))
                end.cpu_s_per_group =
                        (double)(cpu.loops_ns + cpu.compute_ns) * 1e-9 / (double)trained;
        scope_trail_write_end(file, &end);
        free(usage);
        bool written = !ferror(file);
        return fclose(file) == 0 && written;
}

void scope_run_overlap_json(
        const struct scope_run_overlap *overlap, double wall_s, struct scope_text *text)
{
        struct scope_actor_usage *usage = calloc(USAGE_MAX, sizeof *usage);
        struct scope_overlap_report report = { 0 };
        struct scope_system_cpu cpu = { 0 };
        unsigned count = usage != NULL ? read_usage(overlap->system, usage) : 0;
        scope_json_open(text, NULL, '{');
        scope_json_double(text, "wall_s", wall_s);
        scope_idle_shares_json(usage, count, "idle", "busy", text);
        if (scope_system_cpu(overlap->system, &cpu)) {
                scope_json_double(text, "loops_cpu_s", (double)cpu.loops_ns * 1e-9);
                scope_json_double(text, "compute_cpu_s", (double)cpu.compute_ns * 1e-9);
        }
        if (overlap->trail != NULL) {
                enum scope_err err = scope_overlap_trail_report(overlap->trail, NULL, 0, &report);
                if (err == SCOPE_OK || err == SCOPE_ERR_NOT_FOUND)
                        scope_overlap_report_json(&report, text);
        }
        scope_json_close(text, '}');
        free(usage);
}
