/* overlap_table.c - from trails to numbers, and numbers to words. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/bench_overlap.h"
#include "cli/idle_shares.h"

/* --- numbers -------------------------------------------------------------------------------- */

static enum scope_err report_of(
        struct scope_overlap_run *run, bool simulated, struct scope_diag *diag)
{
        enum scope_err err = scope_overlap_trail_report(run->trail,
                !simulated && run->end.has_alone ? &run->end.alone : NULL, run->end.cpu_s_per_group,
                &run->report);
        if (err == SCOPE_ERR_NOT_FOUND)
                return scope_diag_set(diag, err,
                        "strategy %s, eta %llu: too few steps to measure; --max-steps %llu or more",
                        run->setting.strategy, (unsigned long long)run->setting.eta,
                        (unsigned long long)(2 * run->setting.eta + 8));
        return err;
}

/* Real stages: how long each takes alone is what serial shows. */
static enum scope_err share_bounds(struct scope_overlap_table *table, struct scope_diag *diag)
{
        for (uint32_t r = 0; r < table->repeats; r++) {
                struct scope_overlap_run *serial = &table->arms[0].runs[r];
                enum scope_err err = report_of(serial, true, diag);
                if (err != SCOPE_OK)
                        return err;
                for (uint32_t a = 0; a < table->arm_count; a++) {
                        struct scope_trail_end *end = &table->arms[a].runs[r].end;
                        if (end->has_alone)
                                continue; /* read from a file */
                        end->has_alone = true;
                        end->alone = serial->report.stage;
                }
        }
        return SCOPE_OK;
}

enum scope_err scope_overlap_table_reckon(
        struct scope_overlap_table *table, struct scope_diag *diag)
{
        double values[4][SCOPE_OVERLAP_REPEATS_MAX];
        enum scope_err err = table->simulated ? SCOPE_OK : share_bounds(table, diag);
        for (uint32_t a = 0; a < table->arm_count && err == SCOPE_OK; a++) {
                struct scope_overlap_arm *arm = &table->arms[a];
                for (uint32_t r = 0; r < table->repeats && err == SCOPE_OK; r++) {
                        err = report_of(&arm->runs[r], table->simulated, diag);
                        const struct scope_overlap_report *report = &arm->runs[r].report;
                        arm->runs[r].end.cpu_s_per_group = report->cpu_s_per_group;
                        values[0][r] = report->groups_per_s;
                        values[1][r] = report->bound_groups_per_s;
                        values[2][r] = report->groups_per_s / report->bound_groups_per_s;
                        values[3][r] =
                                report->groups_per_s / table->arms[0].runs[r].report.groups_per_s;
                }
                for (uint32_t r = 0; r < table->repeats; r++)
                        arm->cpu_s_per_group +=
                                arm->runs[r].report.cpu_s_per_group / table->repeats;
                arm->measured = scope_interval_of(values[0], table->repeats);
                arm->bound = scope_interval_of(values[1], table->repeats);
                arm->ratio = scope_interval_of(values[2], table->repeats);
                arm->speedup = scope_interval_of(values[3], table->repeats);
        }
        return err;
}

void scope_overlap_table_fini(struct scope_overlap_table *table)
{
        for (uint32_t a = 0; a < table->arm_count; a++)
                for (uint32_t r = 0; r < table->repeats; r++) {
                        scope_overlap_trail_destroy(table->arms[a].runs[r].trail);
                        scope_trail_end_fini(&table->arms[a].runs[r].end);
                }
        memset(table, 0, sizeof *table);
}

/* --- words ---------------------------------------------------------------------------------- */

const struct scope_overlap_arm *scope_overlap_best(const struct scope_overlap_table *table)
{
        const struct scope_overlap_arm *best = &table->arms[0];
        for (uint32_t a = 1; a < table->arm_count; a++)
                if (table->arms[a].measured.mean > best->measured.mean)
                        best = &table->arms[a];
        return best;
}

/* Whose time is the bottleneck. */
static const char *binding_actor(const struct scope_overlap_run *run)
{
        static const char *const actors[] = { [SCOPE_BOUND_DECODE] = "rollout",
                [SCOPE_BOUND_PRM] = "prm",
                [SCOPE_BOUND_TEACHER] = "refiner",
                [SCOPE_BOUND_LEARNER] = "learner",
                [SCOPE_BOUND_CREDIT] = "groups" };
        const struct scope_batch_times *stage = &run->report.stage;
        if (run->report.binding == SCOPE_BOUND_CORES)
                return "cores";
        if (!scope_strategy_find(run->setting.strategy)->in_order)
                return actors[run->report.binding];
        double learn = stage->learn + stage->publish;
        if (stage->decode >= learn && stage->decode >= stage->teacher)
                return "rollout";
        return learn >= stage->teacher ? "learner" : "refiner";
}

/* Start-up and end are not in what was measured. */
static bool in_window(int cause)
{
        return cause != SCOPE_IDLE_STARTUP && cause != SCOPE_IDLE_TAIL;
}

struct scope_overlap_gap scope_overlap_gap_of(const struct scope_overlap_arm *arm)
{
        const struct scope_overlap_run *run = &arm->runs[0];
        struct scope_overlap_gap gap = { .share = 1 - arm->ratio.mean,
                .actor = binding_actor(run) };
        bool cores = run->report.binding == SCOPE_BOUND_CORES;
        struct scope_idle_shares shares = scope_idle_shares_of(
                run->end.usage, run->end.usage_count, cores ? "learner" : gap.actor);
        double left = fmax(0, gap.share), idle = 0;
        for (int i = SCOPE_IDLE_FIRST; i < SCOPE_IDLE_COUNT; i++)
                idle += in_window(i) ? shares.idle[i] : 0;
        for (int i = SCOPE_IDLE_FIRST; i < SCOPE_IDLE_COUNT && gap.share > 0; i++) {
                if (!in_window(i) || (cores && i == SCOPE_IDLE_CORES))
                        continue; /* whoever waits for cores leaves none idle */
                gap.by[i] = cores ? fmin(shares.idle[i], left)
                                  : gap.share * shares.idle[i] / fmax(idle, 1e-12);
                left -= gap.by[i];
        }
        gap.between_jobs = cores ? left : 0;
        return gap;
}

static void gap_words(const struct scope_overlap_arm *arm, char *words, size_t bytes)
{
        struct scope_overlap_gap gap = scope_overlap_gap_of(arm);
        int used = snprintf(words, bytes, "%.1f %%", 100 * gap.share);
        if (gap.share < 0.005)
                return;
        used += snprintf(words + used, bytes - (size_t)used, ": %s", gap.actor);
        for (int i = SCOPE_IDLE_FIRST; i < SCOPE_IDLE_COUNT; i++)
                if (gap.by[i] >= 0.1 * gap.share && (size_t)used < bytes)
                        used += snprintf(words + used, bytes - (size_t)used, " %s %.1f",
                                scope_idle_words[i], 100 * gap.by[i]);
        if (gap.between_jobs >= 0.1 * gap.share && (size_t)used < bytes)
                (void)snprintf(words + used, bytes - (size_t)used, " between jobs %.1f",
                        100 * gap.between_jobs);
}

static void async_advice(const struct scope_overlap_run *run, enum scope_bound_term binding,
        char *words, size_t bytes)
{
        unsigned long long eta = run->setting.eta;
        double knee = fmax(0, ceil(run->report.knee));
        unsigned concurrency = run->setting.teacher_concurrency;
        unsigned pool = run->setting.teacher_groups;
        unsigned more = pool > 0 ? pool + (pool + 1) / 2 : concurrency;
        switch (binding) {
        case SCOPE_BOUND_CREDIT:
                (void)snprintf(words, bytes,
                        "credit-bound, eta %llu -> %.0f or teacher pool (pipeline.teacher_groups) "
                        "%u -> %u",
                        eta, fmax(knee, (double)eta + 1), pool, more);
                break;
        case SCOPE_BOUND_TEACHER:
                (void)snprintf(words, bytes, "teacher-bound, teacher.concurrency %u -> %.0f",
                        concurrency, ceil(1.25 * (double)concurrency));
                break;
        case SCOPE_BOUND_DECODE:
                (void)snprintf(words, bytes, "decode-bound, more rollouts or rollout.slots");
                break;
        case SCOPE_BOUND_PRM:
                (void)snprintf(words, bytes, "PRM-bound, a faster PRM");
                break;
        case SCOPE_BOUND_CORES:
                (void)snprintf(words, bytes,
                        "the cores bind: more of them, or less work; eta beyond %.0f only ages "
                        "groups",
                        knee);
                break;
        case SCOPE_BOUND_LEARNER:
        case SCOPE_BOUND_TERMS:
        default:
                (void)snprintf(words, bytes,
                        "learner-bound, more learner devices; eta beyond %.0f only ages groups",
                        knee);
                break;
        }
}

void scope_overlap_advice(const struct scope_overlap_arm *arm, char *words, size_t bytes)
{
        const struct scope_overlap_run *run = &arm->runs[0];
        const struct scope_overlap_report *report = &run->report;
        struct scope_idle_shares learner =
                scope_idle_shares_of(run->end.usage, run->end.usage_count, "learner");
        int used = snprintf(words, bytes, "%s: learner starved %.0f %%: ", arm->label,
                100 * learner.idle[SCOPE_IDLE_STARVED]);
        words += used;
        bytes -= (size_t)used;
        if (!scope_strategy_find(run->setting.strategy)->in_order)
                async_advice(run, report->binding, words, bytes);
        else if (report->binding == SCOPE_BOUND_CORES)
                (void)snprintf(words, bytes, "the cores bind: more of them, or less work");
        else
                (void)snprintf(words, bytes,
                        "stages wait for each other (decode %.3g s, prm %.3g, teacher %.3g, learn "
                        "%.3g a batch); let groups flow: async, eta %.0f",
                        report->stage.decode, report->stage.prm, report->stage.teacher,
                        report->stage.learn, fmax(1, ceil(report->knee)));
}

/* --- for people ----------------------------------------------------------------------------- */

static void print_arm(const struct scope_overlap_arm *arm)
{
        const struct scope_overlap_report *report = &arm->runs[0].report;
        char faster[32], gap[160], cpu[16] = "";
        gap_words(arm, gap, sizeof gap);
        if (arm->cpu_s_per_group > 0)
                (void)snprintf(cpu, sizeof cpu, "%.1f", 1e3 * arm->cpu_s_per_group);
        (void)snprintf(faster, sizeof faster, "%.2f +- %.2f", arm->speedup.mean,
                isnan(arm->speedup.half) ? 0 : arm->speedup.half);
        (void)fprintf(stderr,
                "%-24s %9.4g %9.4g %6.3f %15s %6s %6.2f / %-3llu %6.2f %6.2f / %.2f  %s\n",
                arm->label, arm->measured.mean, arm->bound.mean, arm->ratio.mean, faster, cpu,
                report->staleness_mean, (unsigned long long)report->staleness_max,
                report->teacher_hidden, report->refined_generated, report->refined_consumed, gap);
}

/* Why an arm is above its bound. */
static void print_above(
        const struct scope_overlap_table *table, const struct scope_overlap_arm *arm)
{
        const struct scope_overlap_run *run = &arm->runs[0];
        (void)fprintf(stderr, "  %s is above its bound: ", arm->label);
        if (!table->simulated)
                (void)fprintf(stderr,
                        "that is what serial's stages would take, which ran in other minutes\n");
        else if (run->setting.cores > 0) /* replayed on shared cores */
                (void)fprintf(stderr,
                        "that of the shared cores is a mean of all steps, recorded start-up "
                        "included\n");
        else
                (void)fprintf(stderr,
                        "composition drift, refined share %.3f made, %.3f trained\n",
                        run->report.refined_generated, run->report.refined_consumed);
}

void scope_overlap_table_print(const struct scope_overlap_table *table)
{
        char words[256];
        (void)fprintf(stderr, "\n%s stages%s%s, %u repeat%s; start-up and end left out\n",
                table->simulated ? "simulated" : "real", table->about[0] != 0 ? ", " : "",
                table->about, table->repeats, table->repeats == 1 ? "" : "s");
        (void)fprintf(stderr, "%-24s %9s %9s %6s %15s %6s %11s %7s %13s  %s\n", "strategy",
                "groups/s", "bound", "ratio", "over serial", "CPU ms", "staleness", "teacher",
                "refined",
                "gap to the bound: who,");
        (void)fprintf(stderr, "%-24s %9s %9s %6s %15s %6s %11s %7s %13s  %s\n", "", "", "", "", "",
                "/group", "mean / max", "hidden", "made / used", "waited for what");
        for (uint32_t a = 0; a < table->arm_count; a++)
                print_arm(&table->arms[a]);
        double taken = 0;
        for (uint32_t a = 0; a < table->arm_count; a++)
                for (uint32_t r = 0; r < table->repeats; r++)
                        taken += table->arms[a].runs[r].end.cores_taken /
                                 (table->arm_count * table->repeats);
        if (!table->simulated)
                (void)fprintf(stderr,
                        "  other processes, our own teacher's included, took %.2f cores; bounds "
                        "are those of a quiet machine\n",
                        taken);
        for (uint32_t a = 0; a < table->arm_count; a++)
                if (table->arms[a].ratio.mean > (table->simulated ? 1.0005 : 1.005))
                        print_above(table, &table->arms[a]);
        scope_overlap_advice(scope_overlap_best(table), words, sizeof words);
        (void)fprintf(stderr, "advice: %s\n", words);
}
