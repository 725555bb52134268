/* sim.c - `sim`: the whole pipeline, simulated, over many seeds on many threads.
 * Why: anybody can ask whether this build survives its faults, and gets the command that replays
 * a failure. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "base/text.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/sim_run.h"
#include "runtime/clock.h"

enum { THREADS_MAX = 256, ALL_FAULTS = (1 << SCOPE_FAULT_COUNT) - 1, SHOWN_MAX = 10 };
static const uint64_t SEEDS_MAX = 10000000;

struct sim_flags {
        char seeds[64], faults[512];
        int64_t threads;
};
static struct sim_flags flags;
static const struct scope_option rows[] = {
        SCOPE_TEXT_OPTION(sim_flags, seeds, "\"0:1000\"", "A:B = A up to B - 1; or one seed"),
        SCOPE_TEXT_OPTION(sim_flags, faults, "\"all\"",
                "all, none, or names with commas: ACTOR_CRASH,HTTP_HANG"),
        SCOPE_INT_OPTION(sim_flags, threads, "0", 0, THREADS_MAX, "seeds at once; 0 = one a core"),
        SCOPE_OPTION_END,
};

struct sim {
        struct scope_sim_parts *parts;
        uint64_t first, count;
        uint32_t faults;
        unsigned threads;
        bool show;                    /* progress */
        struct scope_sim_seed *seeds; /* [count] */
        double began_s, seconds, cpu_s;
};

struct worker {
        struct sim *sim;
        unsigned number;
        pthread_t thread;
};

static double clock_s(clockid_t id)
{
        return (double)scope_clock_ns(id) * 1e-9;
}

/* --- what was asked ------------------------------------------------------------------------- */

static bool read_seeds(struct sim *sim)
{
        char *end = NULL;
        if (flags.seeds[0] < '0' || flags.seeds[0] > '9')
                return false;
        sim->first = strtoull(flags.seeds, &end, 10);
        sim->count = 1;
        if (*end == ':' && end[1] >= '0' && end[1] <= '9') {
                uint64_t last = strtoull(end + 1, &end, 10);
                if (last <= sim->first)
                        return false;
                sim->count = last - sim->first;
        }
        return *end == '\0' && sim->count <= SEEDS_MAX;
}

static bool read_faults(struct sim *sim)
{
        char words[sizeof flags.faults], *rest = NULL;
        sim->faults = 0;
        if (strcmp(flags.faults, "all") == 0)
                sim->faults = ALL_FAULTS;
        if (strcmp(flags.faults, "all") == 0 || strcmp(flags.faults, "none") == 0)
                return true;
        (void)snprintf(words, sizeof words, "%s", flags.faults);
        for (char *word = strtok_r(words, ",", &rest); word != NULL;
                word = strtok_r(NULL, ",", &rest)) {
                unsigned fault = 0;
                while (fault < SCOPE_FAULT_COUNT &&
                        strcmp(word, scope_fault_name((enum scope_fault)fault)) != 0)
                        fault++;
                if (fault == SCOPE_FAULT_COUNT)
                        return false;
                sim->faults |= UINT32_C(1) << fault;
        }
        return sim->faults != 0;
}

static enum scope_exit read_flags(struct sim *sim)
{
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        if (!read_seeds(sim)) {
                (void)fprintf(
                        stderr, "error: --seeds %s: A:B with A < B, or one seed\n", flags.seeds);
                return SCOPE_EXIT_USAGE;
        }
        if (!read_faults(sim)) {
                (void)fprintf(stderr, "error: --faults %s: all, none, or some of", flags.faults);
                for (int i = 0; i < SCOPE_FAULT_COUNT; i++)
                        (void)fprintf(stderr, "%s %s", i > 0 ? "," : "",
                                scope_fault_name((enum scope_fault)i));
                (void)fprintf(stderr, "\n");
                return SCOPE_EXIT_USAGE;
        }
        sim->threads = flags.threads != 0 ? (unsigned)flags.threads
                       : online < 1       ? 1
                                          : (unsigned)online;
        if (sim->threads > THREADS_MAX)
                sim->threads = THREADS_MAX;
        if (sim->threads > sim->count)
                sim->threads = (unsigned)sim->count;
        return SCOPE_EXIT_DONE;
}

/* --- running -------------------------------------------------------------------------------- */

static void progress(const struct sim *sim, uint64_t done)
{
        double seconds = clock_s(CLOCK_MONOTONIC) - sim->began_s;
        (void)fprintf(stderr, "\rsim: seed %" PRIu64 " of %" PRIu64 ", %.0f a second   ", done,
                sim->count, (double)done / (seconds + 1e-9));
        (void)fflush(stderr); /* to a terminal: nothing is lost */
}

/* Every threads-th seed: which thread runs a seed never matters, and none waits for another. */
static void *work(void *arg)
{
        const struct worker *worker = arg;
        struct sim *sim = worker->sim;
        for (uint64_t i = worker->number; i < sim->count; i += sim->threads) {
                enum scope_err err =
                        scope_sim_run(sim->parts, sim->first + i, sim->faults, &sim->seeds[i]);
                if (err != SCOPE_OK && err != SCOPE_ERR_VERIFY)
                        (void)snprintf(sim->seeds[i].violation, sizeof sim->seeds[i].violation,
                                "it could not be built: %s", scope_err_text(err));
                if (sim->show && worker->number == 0 && i / sim->threads % 16 == 0)
                        progress(sim, i);
        }
        return NULL;
}

static enum scope_err run(struct sim *sim)
{
        struct worker workers[THREADS_MAX];
        unsigned started = 1;
        enum scope_err err = scope_sim_parts_create(&sim->parts);
        sim->seeds = calloc(sim->count, sizeof *sim->seeds);
        if (err != SCOPE_OK || sim->seeds == NULL)
                return SCOPE_ERR_MEMORY;
        sim->began_s = clock_s(CLOCK_MONOTONIC);
        for (unsigned i = 0; i < sim->threads; i++)
                workers[i] = (struct worker){ .sim = sim, .number = i };
        while (started < sim->threads &&
                pthread_create(&workers[started].thread, NULL, work, &workers[started]) == 0)
                started++;
        (void)work(&workers[0]);
        for (unsigned i = started; i < sim->threads; i++)
                (void)work(&workers[i]); /* threads that could not be had */
        for (unsigned i = 1; i < started; i++)
                (void)pthread_join(workers[i].thread, NULL); /* it was created */
        sim->seconds = clock_s(CLOCK_MONOTONIC) - sim->began_s;
        sim->cpu_s = clock_s(CLOCK_PROCESS_CPUTIME_ID);
        if (sim->show)
                (void)fprintf(stderr, "\r%60s\r", "");
        return SCOPE_OK;
}

/* --- what came out -------------------------------------------------------------------------- */

struct total {
        uint64_t events, failures, admitted, steps, trace_hash, transitions;
        uint64_t faults[SCOPE_FAULT_COUNT];
        struct scope_sim_coverage coverage;
};

static void add(uint64_t *sums, const uint64_t *values, size_t count)
{
        for (size_t i = 0; i < count; i++)
                sums[i] += values[i];
}

static struct total total_of(const struct sim *sim)
{
        struct total total = { .trace_hash = 0 };
        for (uint64_t i = 0; i < sim->count; i++) {
                const struct scope_sim_seed *seed = &sim->seeds[i];
                const struct scope_sim_coverage *coverage = &seed->coverage;
                total.events += seed->result.events;
                total.failures += seed->violation[0] != 0;
                total.admitted += seed->admitted;
                total.steps += seed->steps;
                total.transitions |= seed->result.transitions;
                total.trace_hash = scope_hash_pair(total.trace_hash, seed->result.trace_hash);
                add(total.faults, seed->result.faults, SCOPE_FAULT_COUNT);
                add(total.coverage.outcomes, coverage->outcomes, SCOPE_OUTCOME_COUNT);
                add(total.coverage.failures, coverage->failures, SCOPE_FAILURE_COUNT);
                add(total.coverage.paths, coverage->paths, SCOPE_GROUP_PATH_COUNT);
                add(total.coverage.verdicts, coverage->verdicts, SCOPE_REFINE_COUNT);
                add(total.coverage.ages, coverage->ages, SCOPE_SIM_AGES);
        }
        return total;
}

/* One table of counters; names ends where count does. */
struct table {
        const char *name, *const *names;
        const uint64_t *counts;
        size_t count;
};
enum { TABLES = 7 };

static const char *const failure_names[] = { "incomplete", "groups_lost", "queue_lost",
        "learner_lost", "malformed" };
static const char *const path_names[] = { "plain", "repaired", "kept", "degraded" };
static const char *const verdict_names[] = { "accepted", "wrong_answer", "refused", "too_long",
        "empty", "repeats", "leaks", "not_text", "failed", "skipped" };
/* Versions between a group's oldest token and the weights that it trained. */
static const char *const age_names[] = { "0", "1", "2", "3", "4", "5", "6 or more" };
/* The arrows of runtime/actor.h. */
static const struct {
        const char *name;
        uint8_t from, to;
} arrows[] = { { "new-ready", 0, 1 }, { "ready-running", 1, 2 }, { "running-draining", 2, 3 },
        { "draining-stopped", 3, 4 }, { "running-failed", 2, 5 }, { "draining-failed", 3, 5 },
        { "failed-new", 5, 0 } };
enum { ARROWS = sizeof arrows / sizeof arrows[0] };

struct tables {
        const char *fault_names[SCOPE_FAULT_COUNT], *outcome_names[SCOPE_OUTCOME_COUNT],
                *arrow_names[ARROWS];
        uint64_t arrow_seen[ARROWS];
        struct table at[TABLES];
};

static void tables_fill(struct tables *tables, const struct total *total)
{
        const struct scope_sim_coverage *coverage = &total->coverage;
        for (unsigned i = 0; i < SCOPE_FAULT_COUNT; i++)
                tables->fault_names[i] = scope_fault_name((enum scope_fault)i);
        for (unsigned i = 0; i < SCOPE_OUTCOME_COUNT; i++)
                tables->outcome_names[i] = scope_outcome_name(i);
        for (unsigned i = 0; i < ARROWS; i++) {
                tables->arrow_names[i] = arrows[i].name;
                tables->arrow_seen[i] =
                        total->transitions >> (arrows[i].from * 8 + arrows[i].to) & 1;
        }
        const struct table filled[TABLES] = {
                { "faults", tables->fault_names, total->faults, SCOPE_FAULT_COUNT },
                { "transitions", tables->arrow_names, tables->arrow_seen, ARROWS },
                { "terminals", tables->outcome_names, coverage->outcomes, SCOPE_OUTCOME_COUNT },
                { "failures", failure_names, coverage->failures, SCOPE_FAILURE_COUNT },
                { "paths", path_names, coverage->paths, SCOPE_GROUP_PATH_COUNT },
                { "verdicts", verdict_names, coverage->verdicts, SCOPE_REFINE_COUNT },
                { "ages", age_names, coverage->ages, SCOPE_SIM_AGES },
        };
        memcpy(tables->at, filled, sizeof filled);
}

static void print_failures(const struct sim *sim, FILE *where)
{
        unsigned shown = 0;
        for (uint64_t i = 0; i < sim->count && shown < SHOWN_MAX; i++) {
                if (sim->seeds[i].violation[0] == 0)
                        continue;
                shown++;
                (void)fprintf(where,
                        "seed %" PRIu64 ": %s\n  replay: scope-runtime sim --seeds %" PRIu64
                        " --faults %s\n",
                        sim->first + i, sim->seeds[i].violation, sim->first + i, flags.faults);
        }
}

static double mean_age(const struct total *total)
{
        double sum = 0, groups = 0;
        for (int age = 0; age < SCOPE_SIM_AGES; age++) {
                groups += (double)total->coverage.ages[age];
                sum += age * (double)total->coverage.ages[age];
        }
        return groups > 0 ? sum / groups : 0;
}

static enum scope_exit print_table(
        const struct sim *sim, const struct total *total, const struct tables *tables)
{
        struct scope_text text = { 0 };
        for (int t = 0; t < TABLES; t++)
                for (size_t i = 0; i < tables->at[t].count; i++)
                        scope_text_format(&text, "%-12s %-16s %12" PRIu64 "%s\n",
                                i == 0 ? tables->at[t].name : "", tables->at[t].names[i],
                                tables->at[t].counts[i],
                                tables->at[t].counts[i] == 0 ? "  never" : "");
        scope_text_format(&text, "trained groups were %.2f versions old on average%s\n",
                mean_age(total),
                total->failures == 0 ? ", none older than its pipeline.age_max" : "");
        scope_text_format(&text,
                "%" PRIu64 " seeds, %" PRIu64 " failed; %" PRIu64 " events, %.0f a seed; %" PRIu64
                " steps of %" PRIu64 " groups; %.1f s, %.1f s of CPU; trace %016" PRIx64 "\n",
                sim->count, total->failures, total->events,
                (double)total->events / (double)sim->count, total->steps, total->admitted,
                sim->seconds, sim->cpu_s, total->trace_hash);
        return scope_output(&text);
}

static enum scope_exit print_json(
        const struct sim *sim, const struct total *total, const struct tables *tables)
{
        struct scope_text text = { 0 };
        char hash[17];
        (void)snprintf(hash, sizeof hash, "%016" PRIx64, total->trace_hash);
        scope_json_open(&text, NULL, '{');
        scope_json_uint(&text, "seeds", sim->count);
        scope_json_uint(&text, "failures", total->failures);
        scope_json_uint(&text, "events", total->events);
        scope_json_double(&text, "events_per_seed", (double)total->events / (double)sim->count);
        scope_json_open(&text, "coverage", '{');
        for (int t = 0; t < TABLES; t++) {
                scope_json_open(&text, tables->at[t].name, '{');
                for (size_t i = 0; i < tables->at[t].count; i++)
                        scope_json_uint(&text, tables->at[t].names[i], tables->at[t].counts[i]);
                scope_json_close(&text, '}');
        }
        scope_json_close(&text, '}');
        scope_json_double(&text, "mean_age", mean_age(total));
        scope_json_text(&text, "trace_hash", hash);
        scope_json_double(&text, "seconds", sim->seconds);
        scope_json_double(&text, "cpu_seconds", sim->cpu_s);
        scope_json_close(&text, '}');
        return scope_output_json(&text);
}

static enum scope_exit command(const struct scope_arguments *arguments)
{
        struct sim sim = { .show = !arguments->quiet && !arguments->json && isatty(STDERR_FILENO) };
        struct tables tables;
        enum scope_exit code = read_flags(&sim);
        if (code != SCOPE_EXIT_DONE)
                return code;
        if (run(&sim) == SCOPE_OK) {
                struct total total = total_of(&sim);
                tables_fill(&tables, &total);
                print_failures(&sim, stderr);
                code = arguments->json ? print_json(&sim, &total, &tables)
                                       : print_table(&sim, &total, &tables);
                if (total.failures > 0)
                        code = SCOPE_EXIT_FAILED;
        } else {
                (void)fprintf(stderr, "error: out of memory\n");
                code = SCOPE_EXIT_PRECONDITION;
        }
        free(sim.seeds);
        scope_sim_parts_destroy(sim.parts);
        return code;
}

const struct scope_command scope_sim_command = { .name = "sim",
        .words = "",
        .help = "the whole pipeline in simulated time under faults; finds and replays failures",
        .flags = rows,
        .base = &flags,
        .run = command };
