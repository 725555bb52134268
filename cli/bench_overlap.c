/* bench_overlap.c - strategies beside each other and beside their bounds.
 * Why: every arm of a repeat has the same seed, data order and sample budget; arms are interleaved,
 * so that a slow minute of the machine hits all of them; each number can be made again from the
 * trails in --out. */
#include "cli/bench_overlap.h"

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/text.h"
#include "cli/assembly.h"
#include "cli/config.h"
#include "cli/load.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/overlap_world.h"
#include "cli/recording.h"
#include "cli/run.h"
#include "cli/run_overlap.h"
#include "cli/warmup.h"

enum { SETS = 12, SWEEP_MAX = 64 };

struct bench_flags {
        char strategies[256], eta[64], sweep[128], out[512], from[512], replay[512];
        int64_t repeat;
        bool sim;
};
static struct bench_flags flags;
static const struct scope_option rows[] = {
        SCOPE_TEXT_OPTION(bench_flags, strategies,
                "serial,one_step_off,teacher_overlap,teacher_overlap_deep,pipelined,async",
                "by comma; serial is always run"),
        SCOPE_TEXT_OPTION(bench_flags, eta, "1,2,4", "of async, by comma"),
        SCOPE_INT_OPTION(bench_flags, repeat, "3", 1, SCOPE_OVERLAP_REPEATS_MAX,
                "times, each with a seed of its own"),
        SCOPE_BOOL_OPTION(bench_flags, sim, "false", "stages that only take time, in virtual time"),
        SCOPE_TEXT_OPTION(bench_flags, replay, "",
                "a run's directory: its stages again under each strategy, in virtual time; CONFIG "
                "is that run's own where none is given"),
        SCOPE_TEXT_OPTION(bench_flags, sweep, "", "key=a:b:n, a table for each of n values"),
        SCOPE_TEXT_OPTION(bench_flags, out, "", "directory for trails and report.html"),
        SCOPE_TEXT_OPTION(
                bench_flags, from, "", "make the table again from the trails in this directory"),
        SCOPE_OPTION_END,
};

/* Stages take virtual time. */
static bool simulates(void)
{
        return flags.sim || flags.replay[0] != 0;
}

/* One arm of one repeat while it runs. */
struct listener {
        struct scope_overlap_trail *trail;
        FILE *file; /* NULL = not written */
};

static void listen(void *context, const struct scope_audit *event)
{
        struct listener *listener = context;
        scope_overlap_trail_event(listener->trail, event);
        if (listener->file != NULL)
                scope_trail_write_event(listener->file, event);
}

static double cpu_seconds(void)
{
        struct rusage usage;
        if (getrusage(RUSAGE_SELF, &usage) != 0)
                return 0;
        return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* CPU time that the whole machine spent so far; 0 where it does not say. */
static double machine_cpu_seconds(void)
{
        unsigned long long user, nice, system, idle, wait, irq, soft, steal;
        FILE *file = fopen("/proc/stat", "re");
        if (file == NULL)
                return 0;
        int count = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice,
                &system, &idle, &wait, &irq, &soft, &steal);
        (void)fclose(file); /* only read from */
        long ticks = sysconf(_SC_CLK_TCK);
        if (count != 8 || ticks <= 0)
                return 0;
        return (double)(user + nice + system + irq + soft + steal) / (double)ticks;
}

/* --- what is replayed ----------------------------------------------------------------------- */

/* The run of --replay itself: to be held beside the arm of its own strategy. */
static struct {
        enum scope_err err;
        struct scope_diag diag;
        struct scope_overlap_setting setting;
        struct scope_recording *recording; /* NULL: the arms say what is wrong with it */
        double groups_per_s;
        bool shares; /* cores, in the newest arm */
} recorded;

static void read_recorded(void)
{
        char path[SCOPE_PATH_BYTES_MAX + 32];
        struct scope_overlap_trail *trail = NULL;
        struct scope_overlap_report report = { 0 };
        struct scope_diag unsaid;
        struct scope_trail_end end;
        uint64_t repeat;
        (void)snprintf(path, sizeof path, "%s/trail_000000.jsonl", flags.replay);
        (void)scope_recording_load(flags.replay, &recorded.recording, &unsaid);
        recorded.err = scope_trail_read(
                path, &trail, &recorded.setting, &repeat, &end, &recorded.diag);
        if (recorded.err != SCOPE_OK)
                return;
        recorded.err = scope_overlap_trail_report(trail, NULL, 0, &report);
        recorded.groups_per_s = report.groups_per_s;
        scope_overlap_trail_destroy(trail);
        scope_trail_end_fini(&end);
}

/* --- arms ----------------------------------------------------------------------------------- */

static struct scope_overlap_arm *add_arm(
        struct scope_overlap_table *table, const char *strategy, uint64_t eta)
{
        if (table->arm_count == SCOPE_OVERLAP_ARMS_MAX)
                return NULL;
        struct scope_overlap_arm *arm = &table->arms[table->arm_count++];
        const struct scope_strategy *row = scope_strategy_find(strategy);
        if (row->eta >= 0)
                (void)snprintf(arm->label, sizeof arm->label, "%s", strategy);
        else
                (void)snprintf(arm->label, sizeof arm->label, "%s eta %" PRIu64, strategy, eta);
        for (uint32_t r = 0; r < SCOPE_OVERLAP_REPEATS_MAX; r++) {
                (void)snprintf(arm->runs[r].setting.strategy, sizeof arm->runs[r].setting.strategy,
                        "%s", strategy);
                arm->runs[r].setting.eta = row->eta >= 0 ? (uint64_t)row->eta : eta;
        }
        return arm;
}

static bool add_etas(struct scope_overlap_table *table, const char *strategy)
{
        char etas[sizeof flags.eta];
        char *rest;
        (void)snprintf(etas, sizeof etas, "%s", flags.eta);
        for (char *word = strtok_r(etas, ",", &rest); word != NULL;
                word = strtok_r(NULL, ",", &rest)) {
                char *end;
                errno = 0;
                unsigned long eta = strtoul(word, &end, 10);
                if (*word < '0' || *word > '9' || *end != 0 || errno != 0 || eta > 1024) {
                        (void)fprintf(stderr,
                                "error: --eta: \"%s\" is no number of versions from 0 to 1024\n",
                                word);
                        return false;
                }
                if (add_arm(table, strategy, eta) == NULL) {
                        (void)fprintf(stderr, "error: more than %d arms\n", SCOPE_OVERLAP_ARMS_MAX);
                        return false;
                }
        }
        return true;
}

static bool read_arms(struct scope_overlap_table *table)
{
        char names[sizeof flags.strategies];
        char *rest;
        (void)snprintf(names, sizeof names, "%s", flags.strategies);
        (void)add_arm(table, "serial", 0);
        for (char *name = strtok_r(names, ",", &rest); name != NULL;
                name = strtok_r(NULL, ",", &rest)) {
                const struct scope_strategy *row = scope_strategy_find(name);
                if (row == NULL) {
                        (void)fprintf(
                                stderr, "error: --strategies: \"%s\" is none; there are", name);
                        for (row = scope_strategies; row->name != NULL; row++)
                                (void)fprintf(stderr, " %s", row->name);
                        (void)fputc('\n', stderr);
                        return false;
                }
                if (strcmp(name, "serial") == 0)
                        continue;
                if (row->eta < 0 ? !add_etas(table, name) : add_arm(table, name, 0) == NULL)
                        return false;
        }
        return true;
}

/* --- one run -------------------------------------------------------------------------------- */

/* Every stage is the recorded one but those that the user has drawn from laws. */
static enum scope_exit replay_stages(struct scope_pipeline_options *options)
{
        struct scope_stages_options *stages = &options->stages;
        int *const choices[] = { &stages->rollout, &stages->prm, &stages->teacher,
                &stages->learner };
        struct scope_diag diag = { "" };
        const char *key;
        for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++)
                if (*choices[i] == SCOPE_PLAY_NATIVE)
                        *choices[i] = SCOPE_PLAY_REPLAY;
        (void)snprintf(stages->replay, sizeof stages->replay, "%s", flags.replay);
        if (scope_pipeline_options_check(options, &key, &diag) == SCOPE_OK)
                return SCOPE_EXIT_DONE;
        (void)fprintf(stderr, "error: %s\n", diag.text);
        return SCOPE_EXIT_USAGE;
}

static enum scope_exit load(const struct scope_arguments *given,
        const struct scope_overlap_run *run, uint32_t repeat, const char *swept,
        struct scope_pipeline_options *options, struct scope_config **ret_config)
{
        static char sets[SETS][160];
        struct scope_arguments arguments = *given;
        size_t count = 0;
        static const char *const fixed[] = { "eval.every=0", "checkpoint.every=0",
                "metrics.show_every=0", "metrics.rollouts=false", "scope.stats_scope=window" };
        static const char *const async_only[] = { "pipeline.teacher_groups=0",
                "pipeline.partial_rollout=0", "rollout.straggler=\"0s\"" };
        if (given->set_count + SETS > SCOPE_WORDS_MAX)
                return SCOPE_EXIT_USAGE;
        for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
                (void)snprintf(sets[count++], sizeof sets[0], "%s", fixed[i]);
        (void)snprintf(
                sets[count++], sizeof sets[0], "pipeline.strategy=%s", run->setting.strategy);
        (void)snprintf(sets[count++], sizeof sets[0], "run.name=overlap-%s", run->setting.strategy);
        if (swept[0] != 0)
                (void)snprintf(sets[count++], sizeof sets[0], "%s", swept);
        if (scope_strategy_find(run->setting.strategy)->eta < 0)
                (void)snprintf(
                        sets[count++], sizeof sets[0], "pipeline.eta=%" PRIu64, run->setting.eta);
        /* what the user says comes first, what makes the arm comes last */
        for (size_t i = 0; i < count; i++)
                arguments.sets[arguments.set_count++] = sets[i];
        if (scope_strategy_find(run->setting.strategy)->in_order)
                /* async's own: the file may set them for its arms */
                for (size_t i = 0; i < sizeof async_only / sizeof async_only[0]; i++)
                        arguments.sets[arguments.set_count++] = async_only[i];
        enum scope_exit code = scope_load(&arguments, options, ret_config);
        options->run.seed += (int64_t)repeat;
        options->warmup.path[0] = 0; /* done, once for all: no run's CPU time has it in */
        return code == SCOPE_EXIT_DONE && flags.replay[0] != 0 ? replay_stages(options) : code;
}

static enum scope_err settle(struct scope_overlap_run *run,
        const struct scope_pipeline_options *options, unsigned rollouts, double cores,
        struct scope_diag *diag)
{
        bool replays = options->stages.rollout == SCOPE_PLAY_REPLAY && recorded.recording != NULL;
        bool swaps = simulates() && options->stages.rollout != SCOPE_PLAY_REPLAY;
        struct scope_recorded_law law;
        recorded.shares = recorded.recording != NULL &&
                          scope_recording_shares_cores(recorded.recording, options);
        run->setting = scope_overlap_setting_of(options, rollouts, recorded.shares ? 1 : cores);
        if (replays && scope_recording_step_law(recorded.recording, &law)) {
                run->setting.swap_s = law.swap_ns * 1e-9;
                run->setting.step = (struct scope_step_law){ .base_s = law.round_ns * 1e-9,
                        .each_s = law.token_ns * 1e-9,
                        .engines = recorded.shares ? 1 : rollouts };
        }
        return swaps ? scope_overlap_setting_simulated(&run->setting, options, rollouts, diag)
                     : SCOPE_OK;
}

static enum scope_exit run_real(struct scope_overlap_run *run,
        struct scope_pipeline_options *options, const struct scope_config *config,
        struct listener *listener)
{
        static struct scope_run_result result;
        struct scope_run_request request = { .options = options,
                .config = config,
                .resume = SCOPE_RESUME_NO,
                .quiet = true,
                .replace = true,
                .audit = listen,
                .audit_context = listener };
        double before = cpu_seconds(), machine = machine_cpu_seconds();
        enum scope_exit code = scope_run_execute(&request, &result);
        if (code != SCOPE_EXIT_DONE)
                return code;
        double own = cpu_seconds() - before, all = machine_cpu_seconds() - machine;
        run->end.cores_taken = fmax(0, all - own) / fmax(1e-9, result.wall_s);
        run->end.wall_s = result.wall_s;
        return scope_trail_end_usage(&run->end, result.usage, result.usage_count) == SCOPE_OK
                       ? SCOPE_EXIT_DONE
                       : SCOPE_EXIT_FAILED;
}

static double computing_s(const struct scope_overlap_world_result *result)
{
        uint64_t ns = 0;
        for (unsigned i = 0; i < result->usage_count; i++)
                for (int c = 0; c < SCOPE_IDLE_CAUSES; c++) {
                        const char *cause = result->usage[i].idle[c].cause;
                        if (cause != NULL &&
                                strcmp(cause, scope_idle_words[SCOPE_IDLE_COMPUTING]) == 0)
                                ns += result->usage[i].idle[c].ns;
                }
        return (double)ns * 1e-9;
}

static enum scope_exit run_simulated(struct scope_overlap_run *run,
        const struct scope_pipeline_options *options, struct listener *listener)
{
        static struct scope_overlap_world_result result;
        struct scope_diag diag = { "" };
        enum scope_err err = scope_overlap_world_run(options, listen, listener, &result, &diag);
        if (err != SCOPE_OK) {
                (void)fprintf(
                        stderr, "error: %s\n", diag.text[0] != 0 ? diag.text : scope_err_text(err));
                return err == SCOPE_ERR_ARGUMENT || err == SCOPE_ERR_FORMAT ||
                                       err == SCOPE_ERR_NOT_FOUND || err == SCOPE_ERR_UNSUPPORTED
                               ? SCOPE_EXIT_PRECONDITION
                               : SCOPE_EXIT_FAILED;
        }
        run->end.wall_s = (double)result.virtual_ns * 1e-9;
        if (recorded.shares) /* one machine: the bound counts all that it computes */
                run->end.cpu_s_per_group = computing_s(&result) / fmax(1, (double)result.trained);
        return scope_trail_end_usage(&run->end, result.usage, result.usage_count) == SCOPE_OK
                       ? SCOPE_EXIT_DONE
                       : SCOPE_EXIT_FAILED;
}

static void trail_path(char *path, size_t bytes, const struct scope_overlap_table *table,
        uint32_t arm, uint32_t repeat)
{
        (void)snprintf(path, bytes, "%s/%02u-%s%s%02u-%s-eta%" PRIu64 "-%u.trail.jsonl", flags.out,
                table->number, table->about, table->about[0] != 0 ? "-" : "", arm,
                table->arms[arm].runs[repeat].setting.strategy,
                table->arms[arm].runs[repeat].setting.eta, repeat);
}

static enum scope_exit run_one(const struct scope_arguments *given,
        struct scope_overlap_table *table, uint32_t at, uint32_t repeat)
{
        static struct scope_pipeline_options options; /* too big for a stack */
        struct scope_overlap_run *run = &table->arms[at].runs[repeat];
        struct scope_config *config = NULL;
        struct scope_cores cores = { 0 };
        struct scope_diag diag = { "" };
        struct listener listener = { 0 };
        char path[SCOPE_PATH_BYTES_MAX];
        enum scope_exit code = load(given, run, repeat, table->about, &options, &config);
        if (code != SCOPE_EXIT_DONE)
                return code;
        unsigned rollouts = 0;
        for (uint32_t i = 0; i < options.placement_count; i++)
                if (strcmp(options.placement[i].role, "rollout") == 0)
                        rollouts += (unsigned)options.placement[i].count;
        enum scope_err err = simulates() ? SCOPE_OK : scope_cores_find(&options, &cores, &diag);
        if (err == SCOPE_OK)
                err = settle(run, &options, rollouts > 0 ? rollouts : 1,
                        (double)cores.compute_count, &diag);
        if (err != SCOPE_OK) {
                (void)fprintf(stderr, "error: %s\n", diag.text);
                scope_config_destroy(config);
                return SCOPE_EXIT_PRECONDITION;
        }
        if (scope_overlap_trail_create(&run->setting, &run->trail) != SCOPE_OK) {
                scope_config_destroy(config);
                return SCOPE_EXIT_FAILED;
        }
        (void)snprintf(run->setting.about, sizeof run->setting.about, "%s", table->about);
        listener.trail = run->trail;
        if (flags.out[0] != 0) {
                trail_path(path, sizeof path, table, at, repeat);
                listener.file = fopen(path, "we");
                if (listener.file == NULL) {
                        (void)fprintf(stderr, "error: %s: %s\n", path, strerror(errno));
                        scope_config_destroy(config);
                        return SCOPE_EXIT_PRECONDITION;
                }
                scope_trail_write_begin(listener.file, &run->setting, repeat);
        }
        code = simulates() ? run_simulated(run, &options, &listener)
                         : run_real(run, &options, config, &listener);
        scope_config_destroy(config);
        bool written = listener.file == NULL || !ferror(listener.file);
        if (listener.file != NULL && (fclose(listener.file) != 0 || !written)) {
                (void)fprintf(stderr, "error: %s: could not be written\n", path);
                return SCOPE_EXIT_FAILED;
        }
        run->done = code == SCOPE_EXIT_DONE;
        return code;
}

/* The last lines of every trail: what could be known only when all arms had run. */
static enum scope_exit write_ends(const struct scope_overlap_table *table)
{
        char path[SCOPE_PATH_BYTES_MAX];
        for (uint32_t a = 0; a < table->arm_count && flags.out[0] != 0; a++)
                for (uint32_t r = 0; r < table->repeats; r++) {
                        trail_path(path, sizeof path, table, a, r);
                        FILE *file = fopen(path, "ae");
                        if (file == NULL) {
                                (void)fprintf(stderr, "error: %s: %s\n", path, strerror(errno));
                                return SCOPE_EXIT_FAILED;
                        }
                        scope_trail_write_end(file, &table->arms[a].runs[r].end);
                        bool failed = ferror(file) != 0;
                        if (fclose(file) != 0 || failed) {
                                (void)fprintf(stderr, "error: %s: could not be written\n", path);
                                return SCOPE_EXIT_FAILED;
                        }
                }
        return SCOPE_EXIT_DONE;
}

/* --- tables --------------------------------------------------------------------------------- */

static enum scope_exit finish(
        struct scope_overlap_table *table, struct scope_text *json, struct scope_text *html)
{
        struct scope_diag diag = { "" };
        enum scope_err err = scope_overlap_table_reckon(table, &diag);
        if (err != SCOPE_OK) {
                (void)fprintf(
                        stderr, "error: %s\n", diag.text[0] != 0 ? diag.text : scope_err_text(err));
                return SCOPE_EXIT_FAILED;
        }
        scope_overlap_table_print(table);
        scope_overlap_table_json(table, json);
        scope_overlap_table_html(table, html);
        return SCOPE_EXIT_DONE;
}

static enum scope_exit run_table(const struct scope_arguments *given, const char *about,
        unsigned number, struct scope_text *json, struct scope_text *html)
{
        struct scope_overlap_table *table = calloc(1, sizeof *table);
        enum scope_exit code = SCOPE_EXIT_DONE;
        if (table == NULL)
                return SCOPE_EXIT_FAILED;
        table->repeats = (uint32_t)flags.repeat;
        table->simulated = simulates();
        table->number = number;
        (void)snprintf(table->about, sizeof table->about, "%s", about);
        if (!read_arms(table))
                code = SCOPE_EXIT_USAGE;
        for (uint32_t r = 0; r < table->repeats && code == SCOPE_EXIT_DONE; r++)
                for (uint32_t a = 0; a < table->arm_count && code == SCOPE_EXIT_DONE; a++)
                        code = run_one(given, table, a, r);
        if (code == SCOPE_EXIT_DONE)
                code = finish(table, json, html);
        if (code == SCOPE_EXIT_DONE)
                code = write_ends(table);
        scope_overlap_table_fini(table);
        free(table);
        return code;
}

/* The file's place in the table: arms by strategy and eta, in the order of the names. */
static struct scope_overlap_arm *place_of(
        struct scope_overlap_table *table, const struct scope_overlap_setting *setting)
{
        for (uint32_t a = 0; a < table->arm_count; a++)
                if (strcmp(table->arms[a].runs[0].setting.strategy, setting->strategy) == 0 &&
                        table->arms[a].runs[0].setting.eta == setting->eta)
                        return &table->arms[a];
        return add_arm(table, setting->strategy, setting->eta);
}

/* The table of this value of a sweep. */
static struct scope_overlap_table *table_of(
        struct scope_overlap_table **tables, uint32_t *count, const char *about)
{
        for (uint32_t i = 0; i < *count; i++)
                if (strcmp(tables[i]->about, about) == 0)
                        return tables[i];
        if (*count == SWEEP_MAX || (tables[*count] = calloc(1, sizeof **tables)) == NULL)
                return NULL;
        (void)snprintf(tables[*count]->about, sizeof tables[*count]->about, "%s", about);
        return tables[(*count)++];
}

static enum scope_exit take_file(
        struct scope_overlap_table **tables, uint32_t *count, const char *path)
{
        struct scope_diag diag = { "" };
        struct scope_overlap_trail *trail = NULL;
        struct scope_overlap_setting setting;
        struct scope_trail_end end;
        uint64_t repeat = 0;
        enum scope_err err = scope_trail_read(path, &trail, &setting, &repeat, &end, &diag);
        struct scope_overlap_table *table =
                err == SCOPE_OK ? table_of(tables, count, setting.about) : NULL;
        struct scope_overlap_arm *arm = table != NULL ? place_of(table, &setting) : NULL;
        if (arm == NULL || repeat >= SCOPE_OVERLAP_REPEATS_MAX || arm->runs[repeat].done) {
                (void)fprintf(stderr, "error: %s\n",
                        err != SCOPE_OK ? diag.text : "too many arms or repeats, or one twice");
                scope_overlap_trail_destroy(trail);
                scope_trail_end_fini(&end);
                return SCOPE_EXIT_PRECONDITION;
        }
        arm->runs[repeat].done = true;
        arm->runs[repeat].trail = trail;
        arm->runs[repeat].setting = setting;
        arm->runs[repeat].end = end;
        table->simulated = !end.has_alone;
        if (repeat + 1 > table->repeats)
                table->repeats = (uint32_t)repeat + 1;
        return SCOPE_EXIT_DONE;
}

static bool is_whole(const struct scope_overlap_table *table)
{
        for (uint32_t a = 0; a < table->arm_count; a++)
                for (uint32_t r = 0; r < table->repeats; r++)
                        if (!table->arms[a].runs[r].done ||
                                strcmp(table->arms[0].runs[r].setting.strategy, "serial") != 0) {
                                (void)fprintf(stderr,
                                        "error: %s: a trail of %s, or of serial, is missing\n",
                                        flags.from, table->arms[a].label);
                                return false;
                        }
        return true;
}

static enum scope_exit read_tables(struct scope_text *json, struct scope_text *html)
{
        struct scope_overlap_table *tables[SWEEP_MAX];
        uint32_t count = 0;
        char pattern[SCOPE_PATH_BYTES_MAX];
        glob_t found;
        enum scope_exit code = SCOPE_EXIT_DONE;
        (void)snprintf(pattern, sizeof pattern, "%s/*.trail.jsonl", flags.from);
        if (glob(pattern, 0, NULL, &found) != 0) {
                (void)fprintf(stderr, "error: %s: no trails there\n", flags.from);
                return SCOPE_EXIT_PRECONDITION;
        }
        for (size_t i = 0; i < found.gl_pathc && code == SCOPE_EXIT_DONE; i++)
                code = take_file(tables, &count, found.gl_pathv[i]);
        globfree(&found);
        for (uint32_t i = 0; i < count && code == SCOPE_EXIT_DONE; i++)
                code = is_whole(tables[i]) ? finish(tables[i], json, html)
                                           : SCOPE_EXIT_PRECONDITION;
        for (uint32_t i = 0; i < count; i++) {
                scope_overlap_table_fini(tables[i]);
                free(tables[i]);
        }
        return code;
}

/* --- the command ---------------------------------------------------------------------------- */

struct sweep {
        char key[96];
        double from, to;
        unsigned count;
};

static bool read_sweep(struct sweep *sweep)
{
        int used = 0;
        if (sscanf(flags.sweep, "%95[^=]=%lf:%lf:%u%n", sweep->key, &sweep->from, &sweep->to,
                    &sweep->count, &used) == 4 &&
                flags.sweep[used] == 0 && sweep->count >= 1 && sweep->count <= SWEEP_MAX &&
                isfinite(sweep->from) && isfinite(sweep->to))
                return true;
        (void)fprintf(stderr,
                "error: --sweep: \"%s\": want key=a:b:n, such as pipeline.eta=1:8:4, n up to %d\n",
                flags.sweep, SWEEP_MAX);
        return false;
}

static void swept_value(const struct sweep *sweep, unsigned i, char *words, size_t bytes)
{
        double part = sweep->count > 1 ? (double)i / (double)(sweep->count - 1) : 0;
        double value = sweep->from + (sweep->to - sweep->from) * part;
        bool whole = rint(sweep->from) == sweep->from && rint(sweep->to) == sweep->to;
        (void)snprintf(words, bytes, "%s=%.12g", sweep->key, whole ? rint(value) : value);
}

static enum scope_exit warm_up(const struct scope_arguments *given)
{
        static struct scope_pipeline_options options;
        struct scope_config *config = NULL;
        struct scope_warmup_result result;
        struct scope_diag diag = { "" };
        enum scope_exit code = scope_load(given, &options, &config);
        scope_config_destroy(config);
        if (code != SCOPE_EXIT_DONE || options.warmup.path[0] == 0)
                return code;
        if (scope_warmup_run(&options, given->quiet, &result, &diag) == SCOPE_OK)
                return SCOPE_EXIT_DONE;
        (void)fprintf(stderr, "error: %s\n", diag.text);
        return SCOPE_EXIT_FAILED;
}

static enum scope_exit write_page(const struct scope_text *html)
{
        char path[SCOPE_PATH_BYTES_MAX];
        struct scope_diag diag = { "" };
        if (flags.out[0] == 0)
                return SCOPE_EXIT_DONE;
        (void)snprintf(path, sizeof path, "%s/report.html", flags.out);
        if (!html->failed && scope_file_commit(path, html->bytes, html->count, &diag) == SCOPE_OK) {
                (void)fprintf(stderr, "report: %s\n", path);
                return SCOPE_EXIT_DONE;
        }
        (void)fprintf(stderr, "error: %s: %s\n", path, diag.text);
        return SCOPE_EXIT_FAILED;
}

static enum scope_exit run_tables(
        const struct scope_arguments *arguments, struct scope_text *json, struct scope_text *html)
{
        struct sweep sweep = { .count = 1 };
        char about[128] = "";
        enum scope_exit code = SCOPE_EXIT_DONE;
        if (flags.sweep[0] != 0 && !read_sweep(&sweep))
                return SCOPE_EXIT_USAGE;
        if (!simulates())
                code = warm_up(arguments);
        for (unsigned i = 0; i < sweep.count && code == SCOPE_EXIT_DONE; i++) {
                if (flags.sweep[0] != 0)
                        swept_value(&sweep, i, about, sizeof about);
                code = run_table(arguments, about, i, json, html);
        }
        return code;
}

static void tell_recorded(struct scope_text *json)
{
        if (recorded.err != SCOPE_OK) {
                (void)fprintf(stderr, "recorded: nothing to hold this beside: %s\n",
                        recorded.diag.text[0] != 0 ? recorded.diag.text : "too few steps");
                return;
        }
        (void)fprintf(stderr,
                "recorded: %s, eta %" PRIu64 ": %.3f groups/s in %s itself; %s\n",
                recorded.setting.strategy, recorded.setting.eta, recorded.groups_per_s,
                flags.replay,
                recorded.shares ? "decoding, PRM and learner share its cores again"
                                : "each stage has its own machine, and takes what it took there");
        scope_json_open(json, "recorded", '{');
        scope_json_text(json, "strategy", recorded.setting.strategy);
        scope_json_uint(json, "eta", recorded.setting.eta);
        scope_json_double(json, "groups_per_s", recorded.groups_per_s);
        scope_json_bool(json, "shares_cores", recorded.shares);
        scope_json_close(json, '}');
}

static enum scope_exit command(const struct scope_arguments *given)
{
        struct scope_arguments arguments = *given;
        struct scope_text json = { 0 }, html = { 0 };
        struct scope_diag diag = { "" };
        enum scope_exit code = SCOPE_EXIT_DONE;
        static char resolved[SCOPE_PATH_BYTES_MAX];
        (void)snprintf(resolved, sizeof resolved, "%s/config.resolved.toml", flags.replay);
        if (arguments.word_count == 0 && flags.from[0] == 0)
                arguments.words[arguments.word_count++] =
                        flags.replay[0] != 0 ? resolved
                        : flags.sim          ? "configs/overlap-sim.toml"
                                             : "configs/quickstart.toml";
        if (flags.out[0] != 0 && scope_directory_create(flags.out, &diag) != SCOPE_OK) {
                (void)fprintf(stderr, "error: %s\n", diag.text);
                return SCOPE_EXIT_PRECONDITION;
        }
        if (flags.replay[0] != 0)
                read_recorded();
        scope_json_open(&json, NULL, '{');
        scope_json_open(&json, "arms", '[');
        code = flags.from[0] != 0 ? read_tables(&json, &html)
                                  : run_tables(&arguments, &json, &html);
        scope_json_close(&json, ']');
        if (code == SCOPE_EXIT_DONE && flags.replay[0] != 0)
                tell_recorded(&json);
        scope_json_close(&json, '}');
        if (code == SCOPE_EXIT_DONE)
                code = write_page(&html);
        if (code == SCOPE_EXIT_DONE && given->json)
                code = scope_output_json(&json);
        scope_text_fini(&json);
        scope_text_fini(&html);
        scope_recording_destroy(recorded.recording);
        recorded.recording = NULL;
        return code;
}

const struct scope_command scope_bench_overlap_command = { .name = "bench overlap",
        .words = "[CONFIG...]",
        .help = "overlap strategies beside each other and beside their bounds",
        .flags = rows,
        .base = &flags,
        .takes = SCOPE_TAKES_SET | SCOPE_TAKES_MAX_STEPS,
        .run = command };
