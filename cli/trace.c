/* trace.c - `trace RUN`: a run's audit trail as a timeline that Perfetto and Chrome open.
 * Actors are tracks (a rollout's slots and the teacher's calls are lanes of their own), a group is
 * a flow from its last sample over PRM, teacher and queue to the step that trained it, weight
 * versions are instants, the queue is a counter.
 * Form: the JSON of the Trace Event Format: "X" a span, "s" "t" "f" a flow, "i" an instant, "C" a
 * counter, "M" a name; times in microseconds. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "actors/call_gate.h"
#include "actors/messages.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/options.h"
#include "cli/trail_file.h"

enum {
        LANES = 4096,
        TRACK_LANES = 4096,
        LEARNER = 1,
        PRM,
        QUEUE,
        WEIGHTS,
        TEACHER = 10000,
        ROLLOUT = 20000
};

struct trace_flags {
        char steps[64], o[512];
};
static struct trace_flags flags;
static const struct scope_option rows[] = {
        SCOPE_TEXT_OPTION(trace_flags, steps, "\"\"", "A:B = from step A up to B; \"\" = all"),
        SCOPE_TEXT_OPTION(trace_flags, o, "\"\"", "the file to write; \"\" = standard output"),
        SCOPE_OPTION_END,
};

/* Spans that may overlap: each goes to the first lane that is free. */
struct lanes {
        uint64_t *until; /* [LANES], ns; grows as they are used */
        uint32_t count;
};

struct trace {
        FILE *out;
        uint64_t first_step, last_step; /* wanted: (first, last] */
        uint64_t from_ns, to_ns;        /* what that is in time */
        uint64_t begin_ns;              /* of the trail */
        bool begun;                     /* something was written */
        struct lanes teacher, rollout[SCOPE_ROLLOUTS_MAX];
};

/* --- lines ---------------------------------------------------------------------------------- */

static void open_line(struct trace *trace, char phase, uint32_t track, uint64_t ns)
{
        (void)fprintf(trace->out, "%s{\"ph\":\"%c\",\"pid\":1,\"tid\":%u,\"ts\":%" PRIu64 ".%03u",
                trace->begun ? ",\n" : "", phase, track, (ns - trace->from_ns) / 1000,
                (unsigned)((ns - trace->from_ns) % 1000));
        trace->begun = true;
}

static void span(struct trace *trace, uint32_t track, uint64_t since_ns, uint64_t now_ns)
{
        uint64_t ns = now_ns - since_ns;
        open_line(trace, 'X', track, since_ns);
        (void)fprintf(trace->out, ",\"dur\":%" PRIu64 ".%03u", ns / 1000, (unsigned)(ns % 1000));
}

/* Part of the flow of a group, inside the span that was written last. */
static void flow(struct trace *trace, char phase, uint32_t track, uint64_t ns, uint64_t group)
{
        open_line(trace, phase, track, ns);
        (void)fprintf(trace->out, ",\"name\":\"group\",\"cat\":\"group\",\"id\":%" PRIu64 "%s}",
                group, phase == 'f' ? ",\"bp\":\"e\"" : "");
}

static void name_track(struct trace *trace, uint32_t track, const char *format, unsigned index)
{
        char name[64];
        (void)snprintf(name, sizeof name, "%s", format);
        (void)fprintf(trace->out,
                "%s{\"ph\":\"M\",\"pid\":1,\"tid\":%u,\"name\":\"thread_name\",\"args\":{\"name\":"
                "\"%s",
                trace->begun ? ",\n" : "", track, name);
        if (index != UINT32_MAX)
                (void)fprintf(trace->out, " %u", index);
        (void)fprintf(trace->out,
                "\"}},\n{\"ph\":\"M\",\"pid\":1,\"tid\":%u,\"name\":"
                "\"thread_sort_index\",\"args\":{\"sort_index\":%u}}",
                track, track);
        trace->begun = true;
}

/* Spans come in the order of their ends, so that the last end of a lane is its latest. */
static uint32_t lane_of(struct trace *trace, struct lanes *lanes, uint32_t first_track,
        const char *name, uint64_t since_ns, uint64_t now_ns)
{
        uint32_t lane = 0;
        if (lanes->until == NULL)
                lanes->until = calloc(LANES, sizeof *lanes->until);
        if (lanes->until == NULL)
                return first_track; /* they overlap, then */
        while (lane < lanes->count && lanes->until[lane] > since_ns)
                lane++;
        if (lane == LANES)
                lane = LANES - 1;
        if (lane == lanes->count) {
                lanes->count++;
                name_track(trace, first_track + lane, name, lane);
        }
        lanes->until[lane] = now_ns;
        return first_track + lane;
}

/* --- events --------------------------------------------------------------------------------- */

static void sampled(struct trace *trace, const struct scope_audit *event)
{
        char name[48];
        if (event->version >= SCOPE_ROLLOUTS_MAX)
                return;
        (void)snprintf(name, sizeof name, "rollout-%" PRIu64 " slot", event->version);
        uint32_t track = lane_of(trace, &trace->rollout[event->version],
                ROLLOUT + (uint32_t)event->version * TRACK_LANES, name, event->since_ns,
                event->now_ns);
        span(trace, track, event->since_ns, event->now_ns);
        (void)fprintf(trace->out,
                ",\"name\":\"sample\",\"args\":{\"group\":%" PRIu64 ",\"sample\":%u,\"tokens\":"
                "%" PRIu64 "}}",
                event->group, event->sample, event->value);
        if (event->sample == 0)
                flow(trace, 's', track, event->now_ns, event->group);
}

static void called(struct trace *trace, const struct scope_audit *event)
{
        uint32_t track = lane_of(
                trace, &trace->teacher, TEACHER, "teacher call", event->since_ns, event->now_ns);
        span(trace, track, event->since_ns, event->now_ns);
        (void)fprintf(trace->out,
                ",\"name\":\"call\",\"args\":{\"group\":%" PRIu64 ",\"end\":\"%s\"}}", event->group,
                scope_call_end_name((enum scope_call_end)event->value));
        flow(trace, 't', track, event->now_ns, event->group);
}

static void stepped(struct trace *trace, const struct scope_audit *event)
{
        span(trace, LEARNER, event->since_ns, event->now_ns);
        (void)fprintf(trace->out,
                ",\"name\":\"step %" PRIu64 "\",\"args\":{\"tokens\":%" PRIu64 "}}", event->version,
                event->value);
}

static void queue_depth(struct trace *trace, const struct scope_audit *event)
{
        open_line(trace, 'C', QUEUE, event->now_ns);
        (void)fprintf(trace->out, ",\"name\":\"groups waiting\",\"args\":{\"groups\":%" PRIu64 "}}",
                event->value);
}

static void instant(struct trace *trace, uint32_t track, uint64_t ns, const char *name,
        uint64_t version, char scope)
{
        open_line(trace, 'i', track, ns);
        (void)fprintf(
                trace->out, ",\"s\":\"%c\",\"name\":\"%s %" PRIu64 "\"}", scope, name, version);
}

static void each(void *context, const struct scope_audit *event)
{
        struct trace *trace = context;
        uint64_t since_ns = event->since_ns != 0 ? event->since_ns : event->now_ns;
        if (since_ns < trace->from_ns || since_ns > event->now_ns || event->now_ns > trace->to_ns)
                return;
        switch (event->kind) {
        case SCOPE_AUDIT_SAMPLED:
                sampled(trace, event);
                break;
        case SCOPE_AUDIT_SCORED:
                span(trace, PRM, since_ns, event->now_ns);
                (void)fprintf(trace->out, ",\"name\":\"score\",\"args\":{\"group\":%" PRIu64 "}}",
                        event->group);
                flow(trace, 't', PRM, event->now_ns, event->group);
                break;
        case SCOPE_AUDIT_CALLED:
                called(trace, event);
                break;
        case SCOPE_AUDIT_QUEUED:
                queue_depth(trace, event);
                break;
        case SCOPE_AUDIT_CLAIMED:
                queue_depth(trace, event);
                flow(trace, 'f', LEARNER, event->now_ns, event->group);
                break;
        case SCOPE_AUDIT_STEPPED:
                stepped(trace, event);
                break;
        case SCOPE_AUDIT_EXPORTED:
                span(trace, WEIGHTS, since_ns, event->now_ns);
                (void)fprintf(trace->out, ",\"name\":\"publish %" PRIu64 "\"}", event->version);
                instant(trace, WEIGHTS, event->now_ns, "version", event->version, 'g');
                break;
        case SCOPE_AUDIT_WEIGHTS:
                if (event->value < SCOPE_ROLLOUTS_MAX)
                        instant(trace, ROLLOUT + (uint32_t)event->value * TRACK_LANES,
                                event->now_ns, "version", event->version, 't');
                break;
        default:
                break;
        }
}

/* First pass: the window in time. */
static void find_window(void *context, const struct scope_audit *event)
{
        struct trace *trace = context;
        if (trace->begin_ns == 0)
                trace->begin_ns = event->now_ns;
        if (event->kind == SCOPE_AUDIT_STEPPED && event->version == trace->first_step)
                trace->from_ns = event->now_ns;
        if (event->kind == SCOPE_AUDIT_STEPPED && event->version == trace->first_step + 1 &&
                trace->from_ns == UINT64_MAX)
                trace->from_ns = trace->begin_ns; /* the trail begins with this step */
        if (event->kind == SCOPE_AUDIT_EXPORTED && event->version == trace->last_step)
                trace->to_ns = event->now_ns;
}

/* --- files ---------------------------------------------------------------------------------- */

/* The trail of a run that holds `step`: the newest file that began at or before it. */
static enum scope_err find_trail(
        const char *run, uint64_t step, char path[SCOPE_PATH_BYTES_MAX], struct scope_diag *diag)
{
        struct stat status;
        uint64_t best = 0;
        bool found = false;
        (void)snprintf(path, SCOPE_PATH_BYTES_MAX, "%s", run);
        if (stat(run, &status) == 0 && !S_ISDIR(status.st_mode))
                return SCOPE_OK;
        DIR *directory = opendir(run);
        if (directory == NULL)
                return scope_diag_set(
                        diag, scope_err_from_errno(errno), "%s: %s", run, strerror(errno));
        for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
                uint64_t begins;
                int used = 0;
                if (sscanf(entry->d_name, "trail_%" SCNu64 ".jsonl%n", &begins, &used) != 1 ||
                        used == 0 || entry->d_name[used] != 0)
                        continue;
                if (!found || (begins <= step && begins > best) || (best > step && begins < best))
                        best = begins;
                found = true;
        }
        (void)closedir(directory);
        if (!found)
                return scope_diag_set(diag, SCOPE_ERR_NOT_FOUND,
                        "%s: there is no trail_*.jsonl; the run had metrics.trail = false", run);
        (void)snprintf(
                path, SCOPE_PATH_BYTES_MAX, "%.*s/trail_%06" PRIu64 ".jsonl", 1000, run, best);
        return SCOPE_OK;
}

static enum scope_err write_trace(struct trace *trace, const char *path, struct scope_diag *diag)
{
        struct scope_overlap_setting setting;
        trace->from_ns = trace->to_ns = UINT64_MAX;
        enum scope_err err = scope_trail_scan(path, find_window, trace, &setting, diag);
        if (err != SCOPE_OK)
                return err;
        if (trace->from_ns == UINT64_MAX)
                return scope_diag_set(diag, SCOPE_ERR_NOT_FOUND,
                        "%s: step %" PRIu64 " is not in it", path, trace->first_step);
        (void)fprintf(trace->out,
                "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"strategy\":\"%s\","
                "\"eta\":%" PRIu64 "},\"traceEvents\":[\n",
                setting.strategy, setting.eta);
        name_track(trace, LEARNER, "learner", UINT32_MAX);
        name_track(trace, PRM, "prm", UINT32_MAX);
        name_track(trace, QUEUE, "queue", UINT32_MAX);
        name_track(trace, WEIGHTS, "weights", UINT32_MAX);
        err = scope_trail_scan(path, each, trace, &setting, diag);
        (void)fputs("\n]}\n", trace->out);
        free(trace->teacher.until);
        for (int i = 0; i < SCOPE_ROLLOUTS_MAX; i++)
                free(trace->rollout[i].until);
        return err;
}

static enum scope_exit refuse(const char *words, enum scope_exit code)
{
        (void)fprintf(stderr, "error: %s\n", words);
        return code;
}

static enum scope_exit run(const struct scope_arguments *arguments)
{
        static struct trace trace; /* too big for a stack */
        struct scope_diag diag = { "" };
        char path[SCOPE_PATH_BYTES_MAX];
        int used = 0;
        trace = (struct trace){ .last_step = UINT64_MAX, .out = stdout };
        if (arguments->word_count != 1)
                return refuse("trace takes one run: a directory of runs/, or a trail file",
                        SCOPE_EXIT_USAGE);
        if (flags.steps[0] != 0 &&
                (sscanf(flags.steps, "%" SCNu64 ":%" SCNu64 "%n", &trace.first_step,
                         &trace.last_step, &used) != 2 ||
                        flags.steps[used] != 0 || trace.first_step >= trace.last_step))
                return refuse("--steps wants A:B, two whole numbers, A < B", SCOPE_EXIT_USAGE);
        if (find_trail(arguments->words[0], trace.first_step, path, &diag) != SCOPE_OK)
                return refuse(diag.text, SCOPE_EXIT_PRECONDITION);
        if (flags.o[0] != 0 && (trace.out = fopen(flags.o, "we")) == NULL) {
                (void)scope_diag_set(&diag, SCOPE_ERR_IO, "%s: %s", flags.o, strerror(errno));
                return refuse(diag.text, SCOPE_EXIT_PRECONDITION);
        }
        enum scope_err err = write_trace(&trace, path, &diag);
        bool failed = fflush(trace.out) != 0 || ferror(trace.out);
        if (trace.out != stdout && fclose(trace.out) != 0)
                failed = true;
        if (err != SCOPE_OK)
                return refuse(diag.text[0] != 0 ? diag.text : scope_err_text(err),
                        SCOPE_EXIT_PRECONDITION);
        if (failed)
                return refuse("the trace could not be written", SCOPE_EXIT_PRECONDITION);
        return SCOPE_EXIT_DONE;
}

const struct scope_command scope_trace_command = {
        .name = "trace",
        .words = "RUN",
        .help = "a run as a timeline for Perfetto or chrome://tracing",
        .flags = rows,
        .base = &flags,
        .run = run,
};
