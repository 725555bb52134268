#include "actors/record_lines.h"

#include <string.h>

#include "actors/messages.h"
#include "base/base64.h"
#include "base/check.h"
#include "models/engine.h"

static struct scope_gauge *find(struct scope_gauges *gauges, struct scope_string name)
{
        uint32_t at = 0;
        if (name.bytes == 0 || name.bytes >= SCOPE_GAUGE_NAME_BYTES)
                return NULL;
        char key[SCOPE_GAUGE_NAME_BYTES] = { 0 };
        memcpy(key, name.at, name.bytes);
        while (at < gauges->count && strcmp(gauges->at[at].name, key) < 0)
                at++;
        if (at < gauges->count && strcmp(gauges->at[at].name, key) == 0)
                return &gauges->at[at];
        if (gauges->count == SCOPE_GAUGES_MAX)
                return NULL;
        memmove(&gauges->at[at + 1], &gauges->at[at], (gauges->count - at) * sizeof gauges->at[0]);
        gauges->count++;
        memcpy(gauges->at[at].name, key, sizeof key);
        gauges->at[at].value = 0;
        return &gauges->at[at];
}

bool scope_gauges_set(struct scope_gauges *gauges, struct scope_string name, double value)
{
        struct scope_gauge *gauge = find(gauges, name);
        if (gauge != NULL)
                gauge->value = value;
        return gauge != NULL;
}

bool scope_gauges_add(struct scope_gauges *gauges, struct scope_string name, double value)
{
        struct scope_gauge *gauge = find(gauges, name);
        if (gauge != NULL)
                gauge->value += value;
        return gauge != NULL;
}

double scope_gauges_get(const struct scope_gauges *gauges, const char *name)
{
        for (uint32_t i = 0; i < gauges->count; i++)
                if (strcmp(gauges->at[i].name, name) == 0)
                        return gauges->at[i].value;
        return 0;
}

bool scope_name_after(struct scope_string name, const char *prefix, struct scope_string *ret_rest)
{
        size_t count = strlen(prefix);
        if (name.bytes <= count || memcmp(name.at, prefix, count) != 0)
                return false;
        *ret_rest = (struct scope_string){ name.at + count, name.bytes - (uint32_t)count };
        return true;
}

static bool among(const struct scope_metric *metrics, uint32_t count, const char *name)
{
        size_t bytes = strlen(name);
        for (uint32_t i = 0; i < count; i++)
                if (metrics[i].name.bytes == bytes && memcmp(metrics[i].name.at, name, bytes) == 0)
                        return true;
        return false;
}

/* Milliseconds are as fine as a reader of these files needs. */
static void add_seconds(struct scope_text *text, const char *key, double seconds)
{
        scope_json_double(text, key, (double)(int64_t)(seconds * 1000 + 0.5) / 1000);
}

void scope_line_step(struct scope_text *text, const struct scope_step_line *line)
{
        scope_json_open(text, NULL, '{');
        scope_json_uint(text, "step", line->step);
        add_seconds(text, "t", line->seconds);
        for (uint32_t i = 0; i < line->metric_count; i++) {
                char name[128] = { 0 };
                struct scope_string from = line->metrics[i].name;
                memcpy(name, from.at, from.bytes < sizeof name ? from.bytes : sizeof name - 1);
                scope_json_double(text, name, line->metrics[i].value);
        }
        for (uint32_t i = 0; i < line->gauges->count; i++) {
                const struct scope_gauge *gauge = &line->gauges->at[i];
                if (!among(line->metrics, line->metric_count, gauge->name))
                        scope_json_double(text, gauge->name, gauge->value);
        }
        scope_json_close(text, '}');
}

void scope_line_step_evaluated(struct scope_text *line, uint64_t line_step,
        const struct scope_gauges *evaluation, uint64_t evaluation_step)
{
        struct scope_text more = { 0 };
        scope_assert(line->count > 2 && line->bytes[line->count - 1] == '}');
        scope_json_open(&more, NULL, '{');
        for (uint32_t i = 0; i < evaluation->count; i++)
                scope_json_double(&more, evaluation->at[i].name, evaluation->at[i].value);
        if (line_step != evaluation_step)
                scope_json_uint(&more, "eval/step", evaluation_step);
        scope_json_close(&more, '}');
        if (!more.failed && more.count > 2) { /* the braces between become a comma */
                line->bytes[line->count - 1] = ',';
                scope_text_add(line, more.bytes + 1, more.count - 1);
        }
        scope_text_fini(&more);
}

/* An object on one line, as far as a glance tells; what it holds is its sender's affair. */
static bool one_line_object(struct scope_string text)
{
        if (text.bytes < 2 || text.at[0] != '{' || text.at[text.bytes - 1] != '}')
                return false;
        for (uint32_t i = 0; i < text.bytes; i++)
                if ((unsigned char)text.at[i] < 0x20)
                        return false;
        return true;
}

void scope_line_event(struct scope_text *text, double seconds, struct scope_string event)
{
        scope_json_open(text, NULL, '{');
        add_seconds(text, "t", seconds);
        if (!one_line_object(event)) {
                scope_json_bytes(text, "text", event.at, event.bytes);
                scope_json_close(text, '}');
                return;
        }
        if (event.bytes > 2) {
                scope_text_add(text, ",", 1);
                scope_text_add(text, event.at + 1, event.bytes - 2);
        }
        scope_json_close(text, '}');
}

static const char *path_name(uint8_t path)
{
        static const char *const names[SCOPE_GROUP_PATH_COUNT] = { "plain", "repaired", "kept",
                "degraded" };
        scope_assert(path < SCOPE_GROUP_PATH_COUNT);
        return names[path];
}

static void add_segments(struct scope_text *text, const struct scope_trajectory *trajectory)
{
        static const char *const sources[SCOPE_SOURCE_COUNT] = { "policy", "teacher", "hint" };
        static const char *const losses[SCOPE_LOSS_COUNT] = { "none", "policy", "likelihood" };
        scope_json_open(text, "segments", '[');
        for (uint32_t i = 0; i < trajectory->segment_count; i++) {
                const struct scope_segment *segment = &trajectory->segments[i];
                scope_assert(
                        segment->source < SCOPE_SOURCE_COUNT && segment->loss < SCOPE_LOSS_COUNT);
                scope_json_open(text, NULL, '{');
                scope_json_uint(text, "begin", segment->begin);
                scope_json_uint(text, "count", segment->count);
                scope_json_text(text, "source", sources[segment->source]);
                scope_json_text(text, "loss", losses[segment->loss]);
                scope_json_double(text, "weight", (double)segment->weight);
                scope_json_close(text, '}');
        }
        scope_json_close(text, ']');
        scope_json_open(text, "versions", '[');
        for (uint32_t i = 0; i < trajectory->span_count; i++) {
                const struct scope_version_span *span = &trajectory->spans[i];
                scope_json_open(text, NULL, '{');
                scope_json_uint(text, "begin", span->begin);
                scope_json_uint(text, "count", span->count);
                scope_json_uint(text, "version", span->version);
                scope_json_close(text, '}');
        }
        scope_json_close(text, ']');
}

static void add_student(struct scope_text *text, const struct scope_group *group)
{
        scope_json_bytes(text, "student", group->student.at, group->student.bytes);
        scope_json_uint(text, "kept_steps", group->kept_steps);
        scope_json_open(text, "step_ends", '[');
        for (uint32_t i = 0; i < group->student_step_count; i++)
                scope_json_uint(text, NULL, group->student_step_ends[i]);
        scope_json_close(text, ']');
        if (group->student_step_p == NULL)
                return;
        scope_json_open(text, "step_p", '[');
        for (uint32_t i = 0; i < group->student_step_count; i++)
                scope_json_double(text, NULL, (double)group->student_step_p[i]);
        scope_json_close(text, ']');
}

static const char *const finishes[SCOPE_FINISH_COUNT] = { "stop", "length", "cancelled" };

void scope_line_rollout(struct scope_text *text, const struct scope_group *group, uint32_t index)
{
        scope_assert(index < group->trajectory_count);
        const struct scope_trajectory *trajectory = &group->trajectories[index];
        scope_assert(trajectory->finish < SCOPE_FINISH_COUNT);
        scope_json_open(text, NULL, '{');
        scope_json_uint(text, "group", group->group);
        scope_json_uint(text, "sample", trajectory->sample);
        scope_json_uint(text, "problem", group->problem);
        scope_json_double(text, "reward", (double)trajectory->reward);
        scope_json_uint(text, "tokens", trajectory->token_count);
        scope_json_text(text, "finish", finishes[trajectory->finish]);
        scope_json_uint(text, "worker", trajectory->worker);
        scope_json_uint(text, "attempt", trajectory->attempt);
        scope_json_bytes(text, "text", trajectory->text.at, trajectory->text.bytes);
        if (trajectory->parent != SCOPE_NO_PARENT) {
                scope_json_uint(text, "parent", trajectory->parent);
                scope_json_uint(text, "branch", trajectory->branch);
        }
        add_segments(text, trajectory);
        if (index == group->repaired)
                add_student(text, group);
        scope_json_close(text, '}');
}

void scope_line_sample(struct scope_text *text, uint64_t group, uint32_t sample,
        const struct scope_engine_result *result)
{
        scope_json_open(text, NULL, '{');
        scope_json_text(text, "of", "rollout");
        scope_json_uint(text, "group", group);
        scope_json_uint(text, "sample", sample);
        scope_json_text(text, "finish", finishes[result->finish]);
        scope_json_base64(
                text, "ids", result->tokens, result->token_count * sizeof *result->tokens);
        scope_json_base64(text, "logp", result->logp, result->token_count * sizeof *result->logp);
        scope_json_close(text, '}');
}

void scope_line_index(
        struct scope_text *text, const struct scope_group *group, const uint32_t *bytes)
{
        scope_json_open(text, NULL, '{');
        scope_json_uint(text, "group", group->group);
        scope_json_uint(text, "problem", group->problem);
        scope_json_text(text, "path", path_name(group->path));
        scope_json_uint(text, "version", group->version_oldest);
        scope_json_bytes(text, "text", group->problem_text.at, group->problem_text.bytes);
        scope_json_bytes(text, "gold", group->gold.at, group->gold.bytes);
        scope_json_open(text, "rewards", '[');
        for (uint32_t i = 0; i < group->trajectory_count; i++)
                scope_json_double(text, NULL, (double)group->trajectories[i].reward);
        scope_json_close(text, ']');
        if (group->repaired != SCOPE_NO_PARENT) {
                scope_json_uint(text, "repaired", group->repaired);
                scope_json_uint(text, "cut", group->kept_steps);
                scope_json_uint(text, "steps", group->steps);
        }
        scope_json_open(text, "bytes", '[');
        for (uint32_t i = 0; i < group->trajectory_count; i++)
                scope_json_uint(text, NULL, bytes[i]);
        scope_json_close(text, ']');
}

static void add_gauges(struct scope_text *text, const char *key, const struct scope_gauges *gauges)
{
        scope_json_open(text, key, '{');
        for (uint32_t i = 0; i < gauges->count; i++)
                scope_json_double(text, gauges->at[i].name, gauges->at[i].value);
        scope_json_close(text, '}');
}

void scope_line_status(struct scope_text *text, const struct scope_status *status)
{
        /* Promised to whoever reads the file, whatever the program calls them. */
        static const char *const ends[] = { [SCOPE_TRAINED] = "trained",
                [SCOPE_REJECTED_STALE] = "stale", [SCOPE_FILTERED] = "filtered",
                [SCOPE_FAILED] = "failed" };
        scope_json_open(text, NULL, '{');
        scope_json_text(text, "state", status->state);
        scope_json_uint(text, "steps", status->steps);
        scope_json_open(text, "groups", '{');
        scope_json_uint(text, "admitted", status->groups.admitted);
        for (unsigned i = 0; i < SCOPE_OUTCOME_COUNT; i++)
                scope_json_uint(text, ends[i], status->groups.ended[i]);
        scope_json_uint(text, "live", status->groups.live);
        scope_json_close(text, '}');
        scope_json_open(text, "eval", '{');
        add_gauges(text, "before", &status->before);
        add_gauges(text, "after", &status->after);
        scope_json_close(text, '}');
        scope_json_open(text, "teacher", '{');
        scope_json_uint(text, "calls", status->teacher_calls);
        scope_json_uint(text, "salvaged", status->salvaged);
        scope_json_uint(text, "rejected", status->rejected);
        scope_json_uint(text, "degraded", status->degraded);
        scope_json_close(text, '}');
        add_gauges(text, "seconds", &status->seconds);
        scope_json_uint(text, "peak_rss_bytes", status->peak_rss_bytes);
        scope_json_close(text, '}');
}
