#include "cli/run.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "actors/pipeline.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/text.h"
#include "cli/assembly.h"
#include "cli/checkpoint.h"
#include "cli/config.h"
#include "cli/load.h"
#include "cli/options.h"
#include "cli/run_overlap.h"
#include "cli/run_signals.h"
#include "cli/show.h"
#include "cli/teacher_process.h"
#include "cli/version.h"
#include "cli/warmup.h"
#include "models/comm.h"
#include "runtime/clock.h"
#include "runtime/ledger.h"
#include "runtime/system.h"

static const uint64_t DRAIN_NS = (uint64_t)60 * 1000000000u;

struct run {
        const struct scope_run_request *request;
        struct scope_pipeline_options *options;
        struct scope_run_result *result;
        struct scope_assembly assembly;
        struct scope_checkpointer checkpointer;
        struct scope_teacher_process teacher;
        struct scope_stages stages;
        struct scope_system *system;
        struct scope_show show;
        struct scope_run_overlap overlap;
        struct scope_text notices; /* JSON lines on their way to the recorder */
        char directory[SCOPE_PATH_BYTES_MAX];
        double began; /* seconds of the monotonic clock */
        bool made;    /* the directory was not there before */
};

static uint64_t peak_rss(void)
{
        struct rusage usage;
        return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss * 1024 : 0;
}

static double now_s(void)
{
        return (double)scope_clock_ns(CLOCK_MONOTONIC) * 1e-9;
}

/* --- the run directory ---------------------------------------------------------------------- */

static enum scope_err prepare_directory(struct run *run, struct scope_diag *diag)
{
        char part[SCOPE_PATH_BYTES_MAX];
        const struct scope_run_options *options = &run->options->run;
        int count = snprintf(
                run->directory, sizeof run->directory, "%s/%s", options->dir, options->name);
        if (count < 0 || count > 1000)
                return scope_diag_set(
                        diag, SCOPE_ERR_ARGUMENT, "run.dir and run.name are too long");
        struct stat status;
        bool there = stat(run->directory, &status) == 0;
        if (there && run->request->replace) {
                scope_directory_remove(run->directory);
                there = stat(run->directory, &status) == 0;
        }
        if (there && run->request->resume == SCOPE_RESUME_NO)
                return scope_diag_set(diag, SCOPE_ERR_EXISTS,
                        "%s: this run exists; use --resume to continue it, --name for a new one, "
                        "or remove it",
                        run->directory);
        if (!there && run->request->resume != SCOPE_RESUME_NO)
                return scope_diag_set(
                        diag, SCOPE_ERR_NOT_FOUND, "%s: there is no run to resume", run->directory);
        run->made = !there;
        static const char *const parts[] = { "rollouts", "checkpoints" };
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
                (void)snprintf(part, sizeof part, "%.*s/%s", 1000, run->directory, parts[i]);
                enum scope_err err = scope_directory_create(part, diag);
                if (err != SCOPE_OK)
                        return err;
        }
        return SCOPE_OK;
}

static enum scope_err commit(const struct run *run, const char *name, const struct scope_text *text,
        struct scope_diag *diag)
{
        char path[SCOPE_PATH_BYTES_MAX];
        if (text->failed)
                return SCOPE_ERR_MEMORY;
        (void)snprintf(path, sizeof path, "%.*s/%s", 1000, run->directory, name);
        return scope_file_commit(path, text->bytes, text->count, diag);
}

/* config.resolved.toml, config.json, env.json: what this run was, for whoever reads it later. */
static enum scope_err write_origins(const struct run *run, struct scope_diag *diag)
{
        struct scope_text text = { 0 };
        struct utsname name = { .machine = "" };
        enum scope_err err = SCOPE_OK;
        if (run->request->config != NULL) {
                scope_config_print(run->request->config, &text);
                err = commit(run, "config.resolved.toml", &text, diag);
                scope_text_clear(&text);
                scope_json_open(&text, NULL, '{');
                scope_config_json(run->request->config, "config", &text);
                scope_json_close(&text, '}');
                if (err == SCOPE_OK)
                        err = commit(run, "config.json", &text, diag);
                scope_text_clear(&text);
        }
        (void)uname(&name); /* empty names are fine */
        scope_json_open(&text, NULL, '{');
        scope_version_json(&text);
        scope_json_text(&text, "machine", name.machine);
        scope_json_text(&text, "kernel", name.release);
        scope_json_int(&text, "cores", sysconf(_SC_NPROCESSORS_ONLN));
        scope_json_int(&text, "compute_threads", run->assembly.cores.compute_count);
        scope_json_close(&text, '}');
        if (err == SCOPE_OK)
                err = commit(run, "env.json", &text, diag);
        scope_text_fini(&text);
        return err;
}

/* --- building ------------------------------------------------------------------------------- */

static void finished(void *context)
{
        struct run *run = context;
        scope_system_drain(run->system, DRAIN_NS);
}

static void step_done(
        void *context, uint64_t step, const struct scope_metric *metrics, uint32_t count)
{
        struct run *run = context;
        scope_show_step(&run->show, step, metrics, count);
}

static void rollout_shown(void *context, uint64_t step, const struct scope_rollout_view *view)
{
        struct run *run = context;
        scope_show_rollout(&run->show, step, view);
}

static const struct scope_display display = {
        .step = step_done, .rollout = rollout_shown, .finished = finished
};

static void noticed(void *context, const struct scope_notice *notice)
{
        struct run *run = context;
        scope_show_notice(&run->show, notice);
        scope_json_open(&run->notices, NULL, '{');
        scope_json_double(&run->notices, "t", (double)notice->now_ns * 1e-9 - run->began);
        scope_json_text(&run->notices, "actor", notice->actor != NULL ? notice->actor : "");
        scope_json_text(&run->notices, "event", notice->name);
        scope_json_text(&run->notices, "text", notice->text);
        scope_json_close(&run->notices, '}');
        scope_text_string(&run->notices, "\n");
}

/* The secret that an environment variable holds, where one is named. */
static enum scope_err read_key(const char *key, const char *variable, const char **ret_secret,
        struct scope_diag *diag)
{
        if (variable[0] == 0)
                return SCOPE_OK;
        *ret_secret = getenv(variable);
        if (*ret_secret != NULL && (*ret_secret)[0] != 0)
                return SCOPE_OK;
        return scope_diag_set(diag, SCOPE_ERR_NOT_FOUND,
                "%s = \"%s\": that environment variable is not set", key, variable);
}

static enum scope_err find_teacher(struct run *run, struct scope_diag *diag)
{
        struct scope_teacher_options *options = &run->options->teacher;
        if (run->options->scope.select.repairs_per_group == 0)
                return SCOPE_OK; /* this arm asks nobody */
        if (strcmp(options->url, "builtin") == 0 ||
                run->options->stages.teacher != SCOPE_PLAY_NATIVE)
                return scope_teacher_process_start(
                        &run->teacher, run->options, options->url, sizeof options->url, diag);
        return read_key("teacher.api_key_env", options->api_key_env,
                &run->stages.resources.teacher_key, diag);
}

/* The built-in scoring server is the teacher's process, whose first job may be this. */
static enum scope_err find_scorer(struct run *run, struct scope_diag *diag)
{
        struct scope_prm_options *options = &run->options->prm;
        if (options->backend != SCOPE_PRM_HTTP || run->options->stages.prm != SCOPE_PLAY_NATIVE)
                return SCOPE_OK;
        if (strcmp(options->url, "builtin") != 0)
                return read_key("prm.api_key_env", options->api_key_env,
                        &run->stages.resources.prm_key, diag);
        if (run->teacher.pid <= 0)
                return scope_teacher_process_start(
                        &run->teacher, run->options, options->url, sizeof options->url, diag);
        (void)snprintf(options->url, sizeof options->url, "%s", run->options->teacher.url);
        return SCOPE_OK;
}

static enum scope_err warm_up(struct run *run, struct scope_diag *diag)
{
        struct scope_warmup_result result;
        if (run->options->warmup.path[0] == 0)
                return SCOPE_OK;
        return scope_warmup_run(run->options, run->request->quiet, &result, diag);
}

static enum scope_err build_stages(struct run *run, struct scope_diag *diag)
{
        enum scope_err err = scope_assembly_load(&run->assembly, run->options, diag);
        if (err == SCOPE_OK)
                err = scope_assembly_build(&run->assembly, diag);
        if (err != SCOPE_OK)
                return err;
        bool trains = run->options->stages.learner == SCOPE_PLAY_NATIVE;
        run->options->learner.ranks = trains ? run->assembly.comm->size : 1;
        /* a scorer that is played scores by the exact checker, or says what was recorded */
        if (run->options->stages.prm != SCOPE_PLAY_NATIVE &&
                run->options->prm.backend != SCOPE_PRM_OFF)
                run->options->prm.backend = SCOPE_PRM_ARITHMETIC;
        const char *teacher_key = run->stages.resources.teacher_key;
        const char *prm_key = run->stages.resources.prm_key;
        run->stages.options = run->options;
        run->stages.resources = scope_assembly_resources(&run->assembly);
        run->stages.resources.teacher_key = teacher_key;
        run->stages.resources.prm_key = prm_key;
        run->stages.resources.peak_rss = peak_rss;
        if (trains) /* else there is nothing that was not there before */
                run->stages.resources.checkpoint = scope_checkpoint_save;
        run->stages.resources.checkpoint_context = &run->checkpointer;
        struct scope_overlap_setting setting = scope_overlap_setting_of(run->options,
                run->assembly.cores.rollout_count, run->assembly.cores.compute_count);
        err = scope_run_overlap_init(&run->overlap, &setting);
        if (err != SCOPE_OK)
                return err;
        run->overlap.audit = run->request->audit;
        run->overlap.audit_context = run->request->audit_context;
        run->stages.audit = scope_run_overlap_event;
        run->stages.audit_context = &run->overlap;
        run->stages.resources.step_metrics = scope_run_overlap_metrics;
        run->stages.resources.step_metrics_context = &run->overlap;
        run->stages.display = &display;
        run->stages.display_context = run;
        run->notices.limit = 1 << 20;
        run->stages.notices = &run->notices;
        run->checkpointer.assembly = &run->assembly;
        run->checkpointer.keep = (uint64_t)run->options->checkpoint.keep;
        (void)snprintf(run->checkpointer.directory, sizeof run->checkpointer.directory, "%.*s",
                1000, run->directory);
        if (strncmp(run->options->model.path, "builtin:", 8) != 0)
                (void)snprintf(run->checkpointer.like, sizeof run->checkpointer.like, "%s",
                        run->options->model.path);
        if (run->request->resume == SCOPE_RESUME_NO)
                return SCOPE_OK;
        if (!trains)
                return scope_diag_set(diag, SCOPE_ERR_REFUSED,
                        "--resume: a run whose learner is played (stages.learner) trains nothing, "
                        "so there is nothing to go on from");
        uint64_t step = (uint64_t)run->request->resume;
        if (run->request->resume == SCOPE_RESUME_LATEST)
                err = scope_checkpoint_newest(run->directory, &step, diag);
        if (err == SCOPE_OK)
                err = scope_checkpoint_load(
                        &run->assembly, run->directory, step, &run->stages.resources, diag);
        run->checkpointer.saved = step;
        char path[SCOPE_PATH_BYTES_MAX];
        struct stat status;
        (void)snprintf(path, sizeof path, "%.*s/rollouts/stream.jsonl", 1000, run->directory);
        if (err == SCOPE_OK && stat(path, &status) == 0)
                run->stages.resources.stream_bytes = (uint64_t)status.st_size;
        return err;
}

/* A resumed run begins a file of its own: what was written before its checkpoint stays. */
static enum scope_err keep_trail(struct run *run, struct scope_diag *diag)
{
        char path[SCOPE_PATH_BYTES_MAX];
        if (!run->options->metrics.trail || run->request->audit != NULL)
                return SCOPE_OK;
        (void)snprintf(path, sizeof path, "%.*s/trail_%06" PRIu64 ".jsonl", 1000, run->directory,
                run->stages.resources.first_step);
        return scope_run_overlap_keep(&run->overlap, path, diag);
}

static enum scope_err build_system(struct run *run, struct scope_diag *diag)
{
        struct scope_system_options options = { .seed = (uint64_t)run->options->run.seed,
                .loops = 1,
                .compute_threads = run->assembly.cores.compute_count,
                .compute_cores = run->assembly.cores.compute,
                .directory = run->directory,
                .restarts_max = 5,
                .restart_window_ns = 60u * 1000000000ull,
                .wait_report_ns = 60u * 1000000000ull, /* a step of a real model takes as long */
                .notice = noticed,
                .notice_context = run };
        enum scope_err err = scope_system_create(&options, &run->system);
        run->show.system = run->overlap.system = run->system;
        if (err == SCOPE_OK)
                err = scope_pipeline_add(run->system, &run->stages);
        if (err != SCOPE_OK)
                return scope_diag_set(
                        diag, err, "the actors could not be put together: %s", scope_err_text(err));
        return SCOPE_OK;
}

/* --- running -------------------------------------------------------------------------------- */

static void collect(struct run *run)
{
        struct scope_ledger_counts counts = scope_ledger_counts(scope_system_ledger(run->system));
        struct scope_run_result *result = run->result;
        result->admitted = counts.admitted;
        result->live = counts.live;
        result->trained = counts.ended[0];
        result->stale = counts.ended[1];
        result->filtered = counts.ended[2];
        result->failed = counts.ended[3];
        result->steps = run->assembly.progress.step;
        while (result->usage_count < SCOPE_USAGE_MAX &&
                scope_system_usage(run->system, result->usage_count,
                        &result->usage[result->usage_count]))
                result->usage_count++;
        result->sampled_tokens = run->overlap.sampled_tokens;
        result->cores = run->assembly.cores.compute_count;
        scope_show_result(&run->show, result);
}

/* Where the time went, how old groups were, what waited where. */
static bool set_overlap(const struct run *run, json_t *status)
{
        struct scope_text text = { 0 };
        scope_run_overlap_json(&run->overlap, run->result->wall_s, &text);
        json_t *overlap = text.failed ? NULL : json_loads(text.bytes, 0, NULL);
        scope_text_fini(&text);
        return json_object_set_new(status, "overlap", overlap) == 0;
}

/* The recorder wrote status.json while it lived. What it could not know any more is put in here:
 * how it ended, and the ledger's last word. */
static void settle_status(const struct run *run, const char *state)
{
        char path[SCOPE_PATH_BYTES_MAX];
        (void)snprintf(path, sizeof path, "%.*s/status.json", 1000, run->directory);
        json_t *status = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
        json_t *groups = json_object_get(status, "groups");
        const struct scope_run_result *result = run->result;
        if (groups != NULL && json_object_set_new(status, "state", json_string(state)) == 0 &&
                json_object_set_new(
                        groups, "admitted", json_integer((json_int_t)result->admitted)) == 0 &&
                json_object_set_new(groups, "trained", json_integer((json_int_t)result->trained)) ==
                        0 &&
                json_object_set_new(groups, "stale", json_integer((json_int_t)result->stale)) ==
                        0 &&
                json_object_set_new(
                        groups, "filtered", json_integer((json_int_t)result->filtered)) == 0 &&
                json_object_set_new(groups, "failed", json_integer((json_int_t)result->failed)) ==
                        0 &&
                json_object_set_new(groups, "live", json_integer((json_int_t)result->live)) == 0 &&
                set_overlap(run, status)) {
                char *text = json_dumps(status, JSON_COMPACT);
                if (text != NULL && scope_file_commit(path, text, strlen(text), NULL) != SCOPE_OK)
                        (void)fprintf(
                                stderr, "warning: %s could not be brought up to date\n", path);
                free(text);
        }
        json_decref(status);
}

static enum scope_exit finish(struct run *run, enum scope_err err, int signals)
{
        const struct scope_checkpointer *saver = &run->checkpointer;
        collect(run);
        /* steps that were trained and cannot be had again: no exit code may hide that */
        bool lost = saver->saved < run->result->steps && saver->diag.text[0] != 0;
        const char *state = lost              ? "failed"
                            : signals > 0     ? "interrupted"
                            : err == SCOPE_OK ? "done"
                                              : "failed";
        settle_status(run, state);
        if (run->overlap.file != NULL &&
                !scope_run_overlap_kept(&run->overlap, run->result->wall_s, run->result->trained))
                (void)fprintf(stderr, "warning: the trail in %s could not be written whole\n",
                        run->directory);
        scope_show_end(&run->show, run->system, state, run->result);
        if (lost) {
                (void)fprintf(stderr,
                        "error: the last checkpoint, of step %" PRIu64 ", could not be written: "
                        "%s\n",
                        run->result->steps, saver->diag.text);
                return SCOPE_EXIT_FAILED;
        }
        if (signals > 0) {
                run->result->interrupted = true;
                return SCOPE_EXIT_INTERRUPTED;
        }
        if (err == SCOPE_OK)
                return SCOPE_EXIT_DONE;
        (void)fprintf(stderr, "error: the run failed: %s\n", scope_system_cause(run->system));
        return SCOPE_EXIT_FAILED;
}

static enum scope_exit execute(struct run *run, struct scope_diag *diag)
{
        /* before anything is touched: is this the machine it was written for? */
        struct scope_cores cores;
        enum scope_err err = scope_cores_find(run->options, &cores, diag);
        if (err == SCOPE_OK)
                err = prepare_directory(run, diag);
        if (err == SCOPE_OK)
                err = warm_up(run, diag);
        if (err == SCOPE_OK)
                err = find_teacher(run, diag);
        if (err == SCOPE_OK)
                err = find_scorer(run, diag);
        if (err == SCOPE_OK)
                err = build_stages(run, diag);
        if (err == SCOPE_OK)
                err = keep_trail(run, diag);
        if (err == SCOPE_OK)
                err = write_origins(run, diag);
        if (err == SCOPE_OK)
                scope_show_begin(&run->show, run->options, &run->assembly, run->directory,
                        run->request, run->teacher.pid > 0);
        if (err == SCOPE_OK)
                err = build_system(run, diag);
        if (err != SCOPE_OK) {
                if (run->made) /* it never began: its name stays free */
                        scope_directory_remove(run->directory);
                (void)fprintf(stderr, "error: %s\n",
                        diag->text[0] != 0 ? diag->text : scope_err_text(err));
                return err == SCOPE_ERR_LIMIT ? SCOPE_EXIT_FAILED : SCOPE_EXIT_PRECONDITION;
        }
        scope_signals_start(run->system);
        run->began = now_s();
        err = scope_system_run(run->system);
        run->result->seconds = run->result->wall_s = now_s() - run->began;
        return finish(run, err, scope_signals_stop());
}

enum scope_exit scope_run_execute(
        const struct scope_run_request *request, struct scope_run_result *ret_result)
{
        struct scope_diag diag = { "" };
        struct run *run = calloc(1, sizeof *run);
        *ret_result = (struct scope_run_result){ 0 };
        if (run == NULL) {
                (void)fprintf(stderr, "error: out of memory\n");
                return SCOPE_EXIT_PRECONDITION;
        }
        run->request = request;
        run->options = request->options;
        run->result = ret_result;
        enum scope_exit code = execute(run, &diag);
        scope_system_destroy(run->system);
        scope_teacher_process_stop(&run->teacher);
        scope_assembly_fini(&run->assembly);
        scope_run_overlap_fini(&run->overlap);
        scope_show_fini(&run->show);
        scope_text_fini(&run->notices);
        free(run);
        return code;
}

/* --- the command ---------------------------------------------------------------------------- */

static enum scope_exit command(const struct scope_arguments *arguments)
{
        static struct scope_pipeline_options options; /* too big for a stack */
        struct scope_config *config = NULL;
        static struct scope_run_result result;
        enum scope_exit code = scope_load(arguments, &options, &config);
        if (code != SCOPE_EXIT_DONE)
                return code;
        struct scope_run_request request = { .options = &options,
                .config = config,
                .resume = arguments->resume,
                .quiet = arguments->quiet,
                .verbose = arguments->verbose };
        code = scope_run_execute(&request, &result);
        if (code == SCOPE_EXIT_INTERRUPTED && !arguments->quiet)
                (void)fputs("the same command with --resume goes on from there\n", stderr);
        if (arguments->json && (code == SCOPE_EXIT_DONE || code == SCOPE_EXIT_INTERRUPTED)) {
                struct scope_text text = { 0 };
                scope_show_json(&result, NULL, &text);
                (void)puts(text.failed ? "{}" : text.bytes);
                scope_text_fini(&text);
        }
        scope_config_destroy(config);
        return code;
}

const struct scope_command scope_run_command = { .name = "run",
        .words = "CONFIG...",
        .help = "train; the command word may be left out",
        .takes = SCOPE_TAKES_ALL,
        .run = command };
