/* recorder.c - what a run leaves behind: metrics.jsonl, events.jsonl, rollouts/, status.json; and
 * what a person is shown while it runs.
 * Why: one actor owns the files, so that a slow or full disk delays nobody: everything is written
 * behind, tried again every second while it fails, and said once.
 * (1) Metrics, events and status are never dropped silently. (2) Rollouts wait in bounded memory;
 * the oldest go first and are counted. (3) The index names only lines that are in the stream. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/journal.h"
#include "actors/messages.h"
#include "actors/record_lines.h"
#include "actors/stages.h"
#include "actors/step_log.h"
#include "algorithm/grade.h"
#include "base/arena.h"
#include "base/check.h"
#include "models/tokenizer.h"
#include "runtime/ledger.h"

enum { TAG_METRICS = 1, TAG_EVENTS, TAG_STREAM, TAG_INDEX, TAG_REPLIES, TAG_STATUS };
enum { TIMER_RETRY = TAG_STATUS + 1, TIMER_FLUSH };
enum {
        LINES_BYTES_MAX = 64 << 20,
        STREAM_BYTES_MAX = 32 << 20,
        SHELF_MAX = 4096,   /* groups */
        DRAIN_FAILURES = 3, /* writes that fail in a row before a draining recorder gives up */
};
static const uint64_t RETRY_NS = 1000000000u, FLUSH_NS = 200000000u;

/* Index lines of the groups whose rollouts are in the stream's `waiting` or `flying`. */
struct shelf {
        struct scope_text heads;
        struct shelved {
                uint32_t stream_bytes, head_bytes, lines;
        } * groups;
        uint32_t count;
};

struct recorder {
        const struct scope_stages *stages;
        struct scope_journal metrics, events, stream, index, replies;
        struct shelf waiting, flying;
        bool offset_known; /* of the stream's end; not after a restart */
        uint64_t offset, begin_ns;
        struct scope_gauges gauges;
        struct scope_status status;
        struct scope_text line, chunk;
        struct scope_message *shown; /* the newest repaired group, or any, until it is shown */
        bool shown_repaired, finished, draining, retry_armed, flush_armed, disk_bad;
        bool status_dirty, status_busy, status_held;
        uint32_t status_failures;
        bool eval_seen;
        struct scope_step_log steps;
};

static double seconds_of(const struct scope_actor *self, const struct recorder *recorder)
{
        return (double)(scope_now_ns(self) - recorder->begin_ns) / 1e9;
}

/* --- status.json ------------------------------------------------------------------------------ */

static void write_status(struct scope_actor *self, struct recorder *recorder)
{
        const struct scope_ledger *ledger = scope_actor_ledger(self);
        const struct scope_resources *resources = &recorder->stages->resources;
        struct scope_status *status = &recorder->status;
        static const struct scope_string total = { "total", 5 };
        if (recorder->status_busy || recorder->status_held || !recorder->status_dirty)
                return;
        if (ledger != NULL)
                status->groups = scope_ledger_counts(ledger);
        status->teacher_calls = (uint64_t)scope_gauges_get(&recorder->gauges, "teacher/calls");
        status->rejected = (uint64_t)scope_gauges_get(&recorder->gauges, "teacher/rejected");
        status->peak_rss_bytes = resources->peak_rss != NULL ? resources->peak_rss() : 0;
        (void)scope_gauges_set(
                &status->seconds, total, seconds_of(self, recorder)); /* full: left out */
        scope_text_clear(&recorder->line);
        scope_line_status(&recorder->line, status);
        scope_text_add(&recorder->line, "\n", 1);
        enum scope_err err = recorder->line.failed
                                     ? SCOPE_ERR_MEMORY
                                     : scope_file_replace(self, "status.json", recorder->line.bytes,
                                               recorder->line.count, TAG_STATUS);
        recorder->status_busy = err == SCOPE_OK;
        recorder->status_held = err != SCOPE_OK && err != SCOPE_ERR_REFUSED;
        recorder->status_dirty = recorder->status_held;
}

static void set_state(struct scope_actor *self, struct recorder *recorder, const char *state)
{
        recorder->status.state = state;
        recorder->status_dirty = true;
        write_status(self, recorder);
}

/* --- the disk --------------------------------------------------------------------------------- */

static bool something_held(const struct recorder *recorder)
{
        return recorder->metrics.held || recorder->events.held || recorder->stream.held ||
               recorder->index.held || recorder->replies.held || recorder->status_held;
}

static void arm_retry(struct scope_actor *self, struct recorder *recorder)
{
        uint64_t timer;
        if (!something_held(recorder) || recorder->retry_armed)
                return;
        recorder->retry_armed = scope_timer_start(self, TIMER_RETRY, RETRY_NS, &timer) == SCOPE_OK;
}

static void launch(struct scope_actor *self, struct recorder *recorder)
{
        (void)scope_journal_launch(self, &recorder->metrics);
        (void)scope_journal_launch(self, &recorder->events);
        (void)scope_journal_launch(self, &recorder->index);
        (void)scope_journal_launch(self, &recorder->replies);
        if (scope_journal_launch(self, &recorder->stream)) {
                struct shelf empty = recorder->flying;
                recorder->flying = recorder->waiting;
                recorder->waiting = empty;
                scope_assert(empty.count == 0);
        }
        write_status(self, recorder);
        arm_retry(self, recorder);
}

static void add_event(
        struct scope_actor *self, struct recorder *recorder, struct scope_string event)
{
        scope_text_clear(&recorder->line);
        scope_line_event(&recorder->line, seconds_of(self, recorder), event);
        (void)scope_journal_add(&recorder->events, recorder->line.bytes, recorder->line.count);
}

static uint64_t lost_lines(const struct recorder *recorder)
{
        return recorder->metrics.lost + recorder->events.lost + recorder->stream.lost +
               recorder->index.lost + recorder->replies.lost;
}

static void disk_failed(
        struct scope_actor *self, struct recorder *recorder, const char *name, enum scope_err err)
{
        if (recorder->disk_bad)
                return;
        recorder->disk_bad = true;
        scope_event(self, "disk",
                "%s: %s; kept in memory (rollouts up to %d MiB) and tried again "
                "every second: free space in, or write access to, the run directory",
                name, scope_err_text(err), STREAM_BYTES_MAX >> 20);
}

static void disk_recovered(struct scope_actor *self, struct recorder *recorder)
{
        char text[160];
        if (!recorder->disk_bad || something_held(recorder))
                return;
        recorder->disk_bad = false;
        int count = snprintf(text, sizeof text,
                "{\"event\":\"disk\",\"text\":\"writing again\",\"lines_lost\":%llu}",
                (unsigned long long)lost_lines(recorder));
        add_event(self, recorder, (struct scope_string){ text, (uint32_t)count });
        scope_event(self, "disk", "the run directory can be written again; lines lost: %llu",
                (unsigned long long)lost_lines(recorder));
}

static void retry(struct scope_actor *self, struct recorder *recorder)
{
        recorder->retry_armed = false;
        scope_journal_retry(self, &recorder->metrics);
        scope_journal_retry(self, &recorder->events);
        scope_journal_retry(self, &recorder->stream);
        scope_journal_retry(self, &recorder->index);
        scope_journal_retry(self, &recorder->replies);
        recorder->status_held = false;
        launch(self, recorder);
}

/* The stream's lines are on disk: now their offsets are known, and the index may name them. */
static void index_flown(struct recorder *recorder)
{
        struct shelf *shelf = &recorder->flying;
        size_t at = 0;
        for (uint32_t i = 0; i < shelf->count; i++) {
                const struct shelved *group = &shelf->groups[i];
                scope_text_clear(&recorder->line);
                scope_text_add(&recorder->line, shelf->heads.bytes + at, group->head_bytes);
                if (recorder->offset_known)
                        scope_text_format(&recorder->line, ",\"offset\":%llu}",
                                (unsigned long long)recorder->offset);
                else
                        scope_text_string(&recorder->line, ",\"offset\":null}");
                (void)scope_journal_add(
                        &recorder->index, recorder->line.bytes, recorder->line.count);
                recorder->offset += group->stream_bytes;
                at += group->head_bytes;
        }
        scope_text_clear(&shelf->heads);
        shelf->count = 0;
}

static void file_done(
        struct scope_actor *self, struct recorder *recorder, uint64_t tag, enum scope_err err)
{
        struct scope_journal *const journals[] = { [TAG_METRICS] = &recorder->metrics,
                [TAG_EVENTS] = &recorder->events,
                [TAG_STREAM] = &recorder->stream,
                [TAG_INDEX] = &recorder->index,
                [TAG_REPLIES] = &recorder->replies };
        const char *name = "status.json";
        if (tag == TAG_STATUS) {
                recorder->status_busy = false;
                recorder->status_held = err != SCOPE_OK;
                recorder->status_dirty = recorder->status_dirty || recorder->status_held;
                recorder->status_failures = err != SCOPE_OK ? recorder->status_failures + 1 : 0;
        } else {
                scope_assert(tag >= TAG_METRICS && tag <= TAG_REPLIES);
                name = journals[tag]->name;
                if (scope_journal_done(journals[tag], err) && tag == TAG_STREAM)
                        index_flown(recorder);
        }
        if (err != SCOPE_OK)
                disk_failed(self, recorder, name, err);
        else
                disk_recovered(self, recorder);
        launch(self, recorder);
}

/* --- rollouts --------------------------------------------------------------------------------- */

static void drop_oldest(struct recorder *recorder)
{
        struct shelf *shelf = &recorder->waiting;
        const struct shelved first = shelf->groups[0];
        scope_journal_trim(&recorder->stream, first.stream_bytes, first.lines);
        memmove(shelf->heads.bytes, shelf->heads.bytes + first.head_bytes,
                shelf->heads.count - first.head_bytes + 1);
        shelf->heads.count -= first.head_bytes;
        shelf->count--;
        memmove(shelf->groups, shelf->groups + 1, shelf->count * sizeof *shelf->groups);
}

static void keep_rollouts(struct recorder *recorder, const struct scope_group *group)
{
        uint32_t bytes[SCOPE_GROUP_SAMPLES_MAX];
        struct scope_text *chunk = &recorder->chunk, *line = &recorder->line;
        struct shelf *shelf = &recorder->waiting;
        scope_text_clear(chunk);
        scope_text_clear(line);
        scope_assert(group->trajectory_count <= SCOPE_GROUP_SAMPLES_MAX);
        for (uint32_t i = 0; i < group->trajectory_count; i++) {
                size_t begin = chunk->count;
                scope_line_rollout(chunk, group, i);
                if (i + 1 < group->trajectory_count)
                        scope_text_add(chunk, "\n", 1);
                bytes[i] = (uint32_t)(chunk->count - begin) + (i + 1 == group->trajectory_count);
        }
        scope_line_index(line, group, bytes);
        if (chunk->failed || line->failed || recorder->stream.off || group->trajectory_count == 0) {
                recorder->stream.lost += recorder->stream.off ? 0 : group->trajectory_count;
                return;
        }
        while (shelf->count > 0 &&
                (shelf->count == SHELF_MAX ||
                        recorder->stream.waiting.count + chunk->count + 2 > STREAM_BYTES_MAX))
                drop_oldest(recorder);
        if (!scope_journal_add(&recorder->stream, chunk->bytes, chunk->count))
                return;
        scope_text_add(&shelf->heads, line->bytes, line->count);
        if (shelf->heads.failed) { /* no memory: let everything go that waits */
                scope_journal_trim(&recorder->stream, recorder->stream.waiting.count, 1);
                scope_text_clear(&shelf->heads);
                shelf->count = 0;
                return;
        }
        shelf->groups[shelf->count++] = (struct shelved){ (uint32_t)chunk->count + 1,
                (uint32_t)line->count, group->trajectory_count };
}

static void rollouts(
        struct scope_actor *self, struct recorder *recorder, struct scope_message **message)
{
        struct scope_group group;
        if (scope_message_read_group(self, *message, &recorder->stages->limits, &group) != SCOPE_OK)
                return; /* the queue counts the same bytes as a failed group */
        recorder->status.salvaged += group.path == SCOPE_GROUP_REPAIRED;
        recorder->status.degraded += group.path == SCOPE_GROUP_DEGRADED;
        if (recorder->stages->options->metrics.rollouts)
                keep_rollouts(recorder, &group);
        bool repaired = group.repaired < group.trajectory_count;
        bool wanted = recorder->stages->display != NULL &&
                      recorder->stages->display->rollout != NULL &&
                      recorder->stages->options->metrics.show_every > 0;
        if (wanted && (repaired || !recorder->shown_repaired)) {
                scope_message_free(recorder->shown);
                recorder->shown = *message;
                recorder->shown_repaired = repaired;
                *message = NULL;
        }
        launch(self, recorder);
}

/* --- what a person sees ----------------------------------------------------------------------- */

/* The teacher's part of a mixed trajectory, as text in recorder->chunk. */
static struct scope_string suffix_text(
        struct recorder *recorder, const struct scope_trajectory *trajectory)
{
        const struct scope_tokenizer *tokenizer = recorder->stages->resources.tokenizer;
        scope_text_clear(&recorder->chunk);
        for (uint32_t i = 0; i < trajectory->segment_count && tokenizer != NULL; i++)
                if (trajectory->segments[i].source == SCOPE_SOURCE_TEACHER)
                        scope_tokenizer_decode(tokenizer,
                                trajectory->tokens + trajectory->segments[i].begin,
                                trajectory->segments[i].count, true, &recorder->chunk);
        return (struct scope_string){ recorder->chunk.bytes, (uint32_t)recorder->chunk.count };
}

static void show_rollout(struct scope_actor *self, struct recorder *recorder, uint64_t step)
{
        const struct scope_stages *stages = recorder->stages;
        struct scope_group group;
        uint64_t every = (uint64_t)stages->options->metrics.show_every;
        if (recorder->shown == NULL || every == 0 || step % every != 0)
                return;
        if (scope_message_read_group(self, recorder->shown, &stages->limits, &group) == SCOPE_OK &&
                group.trajectory_count > 0) {
                struct scope_rollout_view view = { .problem = group.problem_text,
                        .gold = group.gold,
                        .group = group.group };
                if (group.repaired < group.trajectory_count) {
                        view.student = group.student;
                        view.step_ends = group.student_step_ends;
                        view.step_p = group.student_step_p;
                        view.step_count = group.student_step_count;
                        view.kept_steps = group.kept_steps;
                        view.suffix = suffix_text(recorder, &group.trajectories[group.repaired]);
                } else {
                        view.student = group.trajectories[0].text;
                        view.correct = scope_grade_correct(&group.trajectories[0]);
                }
                stages->display->rollout(stages->display_context, step, &view);
        }
        scope_message_free(recorder->shown);
        recorder->shown = NULL;
        recorder->shown_repaired = false;
}

/* The step's metrics and the gauges that are not among them, in scratch memory. */
static void show_step(
        struct scope_actor *self, struct recorder *recorder, const struct scope_control *step)
{
        const struct scope_display *display = recorder->stages->display;
        uint32_t count = step->metric_count + recorder->gauges.count;
        if (display == NULL || display->step == NULL)
                return;
        struct scope_metric *metrics =
                scope_arena_take(scope_scratch(self), (count + 1) * sizeof *metrics);
        if (metrics == NULL)
                return;
        if (step->metric_count > 0)
                memcpy(metrics, step->metrics, step->metric_count * sizeof *metrics);
        for (uint32_t i = 0; i < recorder->gauges.count; i++) {
                const struct scope_gauge *gauge = &recorder->gauges.at[i];
                metrics[step->metric_count + i] =
                        (struct scope_metric){ { gauge->name, (uint32_t)strlen(gauge->name) },
                                gauge->value };
        }
        display->step(recorder->stages->display_context, step->step, metrics, count);
}

/* --- messages --------------------------------------------------------------------------------- */

/* "tokens_per_s" stands under time/ too, and is none. */
static bool is_rate(struct scope_string name)
{
        static const char end[] = "_per_s";
        return name.bytes >= sizeof end - 1 &&
               memcmp(name.at + name.bytes - (sizeof end - 1), end, sizeof end - 1) == 0;
}

static void gather(struct recorder *recorder, const struct scope_control *step)
{
        struct scope_string rest;
        struct scope_gauges eval = { .count = 0 };
        for (uint32_t i = 0; i < step->metric_count; i++) {
                const struct scope_metric *metric = &step->metrics[i];
                if (scope_name_after(metric->name, "time/", &rest) && !is_rate(rest))
                        (void)scope_gauges_add(&recorder->status.seconds, rest, metric->value);
                else if (scope_name_after(metric->name, "eval/", &rest))
                        (void)scope_gauges_set(&eval, rest, metric->value);
        }
        if (eval.count == 0)
                return;
        if (recorder->eval_seen)
                recorder->status.after = eval;
        else
                recorder->status.before = eval;
        recorder->eval_seen = true;
}

static bool awaits_evaluation(const struct recorder *recorder, uint64_t step)
{
        const struct scope_stages *stages = recorder->stages;
        uint64_t every = (uint64_t)stages->options->eval.every;
        return every > 0 && stages->resources.evaluator != NULL &&
               (step % every == 0 || step >= (uint64_t)stages->options->run.steps);
}

static void write_step(
        struct scope_actor *self, struct recorder *recorder, const struct scope_control *step)
{
        struct scope_step_line line = { step->step, seconds_of(self, recorder), step->metrics,
                step->metric_count, &recorder->gauges };
        bool kept;
        if (!scope_step_log_is_evaluation(step->metrics, step->metric_count)) {
                kept = scope_step_log_step(
                        &recorder->steps, &line, awaits_evaluation(recorder, step->step));
        } else {
                kept = scope_step_log_evaluation(&recorder->steps, &line);
        }
        if (!kept)
                disk_failed(self, recorder, recorder->metrics.name, SCOPE_ERR_LIMIT);
}

static void flush(struct scope_actor *self, struct recorder *recorder)
{
        if (!scope_step_log_flush(&recorder->steps, seconds_of(self, recorder)))
                disk_failed(self, recorder, recorder->metrics.name, SCOPE_ERR_LIMIT);
        recorder->flush_armed = false;
        launch(self, recorder);
}

/* Those before us in the order of draining may still have an evaluation to tell: a line that waits
 * for one gets a moment. */
static void flush_soon(struct scope_actor *self, struct recorder *recorder)
{
        uint64_t timer;
        if (!recorder->draining || recorder->flush_armed || scope_step_log_empty(&recorder->steps))
                return;
        recorder->flush_armed = scope_timer_start(self, TIMER_FLUSH, FLUSH_NS, &timer) == SCOPE_OK;
        if (!recorder->flush_armed)
                flush(self, recorder);
}

/* The learner's metrics and what the program adds to them, in scratch memory. */
static void add_metrics(
        struct scope_actor *self, const struct recorder *recorder, struct scope_control *control)
{
        enum { MORE_MAX = 64 };
        const struct scope_resources *resources = &recorder->stages->resources;
        if (resources->step_metrics == NULL ||
                scope_step_log_is_evaluation(control->metrics, control->metric_count))
                return;
        struct scope_metric *metrics = scope_arena_take(
                scope_scratch(self), (control->metric_count + MORE_MAX) * sizeof *metrics);
        if (metrics == NULL)
                return; /* the step's own are worth more */
        if (control->metric_count > 0)
                memcpy(metrics, control->metrics, control->metric_count * sizeof *metrics);
        control->metric_count += resources->step_metrics(resources->step_metrics_context,
                metrics + control->metric_count, MORE_MAX);
        control->metrics = metrics;
}

static void step(
        struct scope_actor *self, struct recorder *recorder, const struct scope_message *message)
{
        struct scope_control control;
        if (scope_message_read_control(self, message, &recorder->stages->limits, &control) !=
                SCOPE_OK) {
                scope_event(self, "malformed", "a step's metrics do not decode: line left out");
                return;
        }
        add_metrics(self, recorder, &control);
        write_step(self, recorder, &control);
        gather(recorder, &control);
        if (control.step > recorder->status.steps)
                recorder->status.steps = control.step;
        recorder->status_dirty = true;
        show_step(self, recorder, &control);
        if (!scope_step_log_is_evaluation(control.metrics, control.metric_count))
                show_rollout(self, recorder, control.step);
        flush_soon(self, recorder);
        launch(self, recorder);
}

static void note(
        struct scope_actor *self, struct recorder *recorder, const struct scope_message *message)
{
        struct scope_control control;
        if (scope_message_read_control(self, message, &recorder->stages->limits, &control) !=
                SCOPE_OK)
                return;
        for (uint32_t i = 0; i < control.metric_count; i++)
                (void)scope_gauges_set(
                        &recorder->gauges, control.metrics[i].name, control.metrics[i].value);
        if (control.text.bytes > 0)
                add_event(self, recorder, control.text);
        launch(self, recorder);
}

/* What the scorer or the teacher said, as they wrote it. */
static void replied(
        struct scope_actor *self, struct recorder *recorder, const struct scope_message *message)
{
        struct scope_control control;
        if (scope_message_read_control(self, message, &recorder->stages->limits, &control) !=
                        SCOPE_OK ||
                control.text.bytes == 0)
                return;
        (void)scope_journal_add(&recorder->replies, control.text.at, control.text.bytes);
        launch(self, recorder);
}

static void finished(struct scope_actor *self, struct recorder *recorder)
{
        const struct scope_display *display = recorder->stages->display;
        if (recorder->finished)
                return;
        recorder->finished = true;
        (void)scope_step_log_flush(
                &recorder->steps, seconds_of(self, recorder)); /* counts losses */
        set_state(self, recorder, "done");
        launch(self, recorder);
        if (display != NULL && display->finished != NULL)
                display->finished(recorder->stages->display_context);
}

/* What the runtime noticed since the last turn; the last newline is the journal's to write. */
static void take_notices(struct scope_actor *self, struct recorder *recorder)
{
        struct scope_text *notices = recorder->stages->notices;
        if (notices == NULL || notices->count == 0)
                return;
        (void)scope_journal_add(
                &recorder->events, notices->bytes, notices->count - 1);
        scope_text_clear(notices);
        launch(self, recorder);
}

static void recorder_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct recorder *recorder = state;
        take_notices(self, recorder);
        switch (message->kind) {
        case SCOPE_KIND_START:
                recorder->begin_ns = scope_now_ns(self);
                recorder->offset_known = scope_self(self).incarnation <= 1;
                set_state(self, recorder, "running");
                launch(self, recorder);
                break;
        case SCOPE_KIND_STEP:
                step(self, recorder, message);
                break;
        case SCOPE_KIND_NOTE:
                note(self, recorder, message);
                break;
        case SCOPE_KIND_REPLIED:
                replied(self, recorder, message);
                break;
        case SCOPE_KIND_ROLLOUTS:
                rollouts(self, recorder, &message);
                break;
        case SCOPE_KIND_FINISHED:
                scope_reply_taken(self, message);
                finished(self, recorder);
                break;
        case SCOPE_KIND_FILE_DONE:
                file_done(self, recorder, message->tag, message->err);
                break;
        case SCOPE_KIND_TIMER:
                if (message->tag == TIMER_RETRY)
                        retry(self, recorder);
                if (message->tag == TIMER_FLUSH)
                        flush(self, recorder);
                break;
        default: /* nothing else is meant for the recorder */
                break;
        }
        scope_message_free(message);
}

/* --- life ------------------------------------------------------------------------------------- */

static enum scope_err recorder_init(struct scope_actor *self, void *state, void *args)
{
        struct recorder *recorder = state;
        (void)self;
        recorder->stages = args;
        recorder->offset = recorder->stages->resources.stream_bytes;
        recorder->status.state = "running";
        recorder->status.steps = recorder->stages->resources.first_step;
        scope_journal_init(&recorder->metrics, "metrics.jsonl", TAG_METRICS, LINES_BYTES_MAX);
        scope_journal_init(&recorder->events, "events.jsonl", TAG_EVENTS, LINES_BYTES_MAX);
        scope_journal_init(
                &recorder->stream, "rollouts/stream.jsonl", TAG_STREAM, STREAM_BYTES_MAX);
        scope_journal_init(&recorder->index, "rollouts/index.jsonl", TAG_INDEX, LINES_BYTES_MAX);
        scope_journal_init(
                &recorder->replies, "rollouts/replies.jsonl", TAG_REPLIES, STREAM_BYTES_MAX);
        recorder->steps.journal = &recorder->metrics;
        recorder->line.limit = recorder->chunk.limit = STREAM_BYTES_MAX;
        recorder->waiting.groups = calloc(SHELF_MAX, sizeof *recorder->waiting.groups);
        recorder->flying.groups = calloc(SHELF_MAX, sizeof *recorder->flying.groups);
        return recorder->waiting.groups == NULL || recorder->flying.groups == NULL
                       ? SCOPE_ERR_MEMORY
                       : SCOPE_OK;
}

/* From here on failures count anew, and DRAIN_FAILURES of them in a row end it. */
static void recorder_drain(struct scope_actor *self, void *state)
{
        struct recorder *recorder = state;
        recorder->draining = true;
        recorder->metrics.failures = recorder->events.failures = 0;
        recorder->stream.failures = recorder->index.failures = 0;
        recorder->replies.failures = recorder->status_failures = 0;
        flush_soon(self, recorder);
        if (!recorder->finished)
                recorder->status.state = "interrupted";
        recorder->status_dirty = true;
        launch(self, recorder);
}

static bool settled(const struct scope_journal *journal)
{
        return scope_journal_empty(journal) ||
               (journal->held && journal->failures >= DRAIN_FAILURES);
}

/* Everything is on disk, or the disk has refused often enough. */
static bool recorder_idle(const void *state)
{
        const struct recorder *recorder = state;
        bool status_settled =
                (!recorder->status_dirty && !recorder->status_busy) ||
                (recorder->status_held && recorder->status_failures >= DRAIN_FAILURES);
        return status_settled && scope_step_log_empty(&recorder->steps) &&
               settled(&recorder->metrics) && settled(&recorder->events) &&
               settled(&recorder->stream) && settled(&recorder->index) &&
               settled(&recorder->replies);
}

static void recorder_fini(struct scope_actor *self, void *state)
{
        struct recorder *recorder = state;
        (void)self;
        scope_journal_fini(&recorder->metrics);
        scope_journal_fini(&recorder->events);
        scope_journal_fini(&recorder->stream);
        scope_journal_fini(&recorder->index);
        scope_journal_fini(&recorder->replies);
        scope_text_fini(&recorder->waiting.heads);
        scope_text_fini(&recorder->flying.heads);
        free(recorder->waiting.groups);
        free(recorder->flying.groups);
        scope_text_fini(&recorder->line);
        scope_text_fini(&recorder->chunk);
        scope_step_log_fini(&recorder->steps);
        scope_message_free(recorder->shown);
}

const struct scope_actor_class scope_recorder_class = {
        .name = "recorder",
        .state_bytes = sizeof(struct recorder),
        .scratch_bytes = 2 << 20,
        .init = recorder_init,
        .receive = recorder_receive,
        .drain = recorder_drain,
        .idle = recorder_idle,
        .fini = recorder_fini,
};
