#include "actors/call_report.h"

#include <stdio.h>
#include <string.h>

#include "actors/call_table.h"
#include "actors/messages.h"
#include "base/check.h"
#include "base/text.h"

static void tell(struct scope_actor *self, struct scope_call_report *report, uint16_t kind,
        const struct scope_control *control)
{
        struct scope_message *message = NULL;
        if (scope_message_of_control(self, kind, SCOPE_LANE_CONTROL, control, &message) == SCOPE_OK)
                scope_outbox_send(self, &report->outbox, report->stages->recorder, &message);
}

void scope_call_report_event(
        struct scope_actor *self, struct scope_call_report *report, const char *text)
{
        struct scope_text line = { 0 };
        scope_event(self, report->who, "%s", text);
        scope_json_open(&line, NULL, '{');
        scope_json_text(&line, "event", report->who);
        scope_json_text(&line, "text", text);
        scope_json_close(&line, '}');
        if (!line.failed)
                tell(self, report, SCOPE_KIND_NOTE,
                        &(struct scope_control){ .text = { line.bytes, (uint32_t)line.count } });
        scope_text_fini(&line);
}

static bool quotes(struct scope_string text, const char *words)
{
        size_t count = words != NULL ? strlen(words) : 0;
        for (size_t at = 0; count > 0 && at + count <= text.bytes; at++)
                if (memcmp(text.at + at, words, count) == 0)
                        return true;
        return false;
}

void scope_call_report_reply(struct scope_actor *self, struct scope_call_report *report,
        const struct scope_call_reply *reply)
{
        struct scope_text line = { 0 };
        bool said = reply->end == SCOPE_CALL_OK &&
                    !quotes(reply->content, report->stages->resources.teacher_key);
        if (!report->stages->options->metrics.rollouts)
                return;
        scope_json_open(&line, NULL, '{');
        scope_json_text(&line, "of", "teacher");
        scope_json_uint(&line, "group", reply->group);
        scope_json_uint(&line, "sample", reply->sample);
        scope_json_uint(&line, "ns", reply->latency_ns);
        scope_json_text(&line, "end",
                reply->end == SCOPE_CALL_OK ? "ok" : scope_call_end_name(reply->end));
        scope_json_bytes(&line, "problem", reply->problem.at, reply->problem.bytes);
        scope_json_bytes(&line, "prefix", reply->prefix.at, reply->prefix.bytes);
        if (said)
                scope_json_bytes(&line, "content", reply->content.at, reply->content.bytes);
        if (said && reply->truncated)
                scope_json_bool(&line, "truncated", true);
        scope_json_close(&line, '}');
        if (!line.failed)
                tell(self, report, SCOPE_KIND_REPLIED,
                        &(struct scope_control){ .text = { line.bytes, (uint32_t)line.count } });
        scope_text_fini(&line);
}

void scope_call_report_state(struct scope_actor *self, struct scope_call_report *report, bool up)
{
        struct scope_message *message = NULL;
        struct scope_control state = { .value = up };
        if (report->told_down == !up)
                return;
        if (scope_message_of_control(
                    self, SCOPE_KIND_TEACHER, SCOPE_LANE_CONTROL, &state, &message) != SCOPE_OK)
                return;
        report->told_down = !up;
        scope_outbox_send(self, &report->outbox, report->stages->groups, &message);
}

struct gauges {
        struct scope_metric metrics[16 + SCOPE_CALL_ENDS];
        char names[16 + SCOPE_CALL_ENDS][32];
        uint32_t count;
};

/* "teacher/calls", "teacher/errors_net": `kind` stands before the name. */
static void gauge(struct gauges *gauges, const char *who, const char *kind, const char *name,
        double value)
{
        uint32_t at = gauges->count++;
        scope_assert(at < sizeof gauges->metrics / sizeof gauges->metrics[0]);
        int bytes = snprintf(
                gauges->names[at], sizeof gauges->names[at], "%s/%s%s", who, kind, name);
        scope_assert(bytes > 0 && bytes < (int)sizeof gauges->names[at]);
        gauges->metrics[at] =
                (struct scope_metric){ { gauges->names[at], (uint32_t)bytes }, value };
}

void scope_call_report_gauges(struct scope_actor *self, struct scope_call_report *report,
        const struct scope_call_table *calls, const struct scope_call_gauge *more, size_t count)
{
        const struct scope_gate *gate = &calls->gate;
        struct gauges gauges = { .count = 0 };
        uint64_t errors = 0;
        for (unsigned i = SCOPE_CALL_OK + 1; i < SCOPE_CALL_ENDS; i++) {
                gauge(&gauges, report->who, "errors_",
                        scope_call_end_name((enum scope_call_end)i), (double)gate->ended[i]);
                errors += gate->ended[i];
        }
        const struct scope_call_gauge rows[] = {
                { "errors", (double)errors },
                { "calls", (double)gate->calls },
                { "ok", (double)gate->ended[SCOPE_CALL_OK] },
                { "retries", (double)calls->retries },
                { "latency_p50", scope_latency_quantile(&gate->latency, 0.5) },
                { "latency_p95", scope_latency_quantile(&gate->latency, 0.95) },
                { "window", gate->window },
                { "circuit_open", gate->circuit != SCOPE_CIRCUIT_CLOSED },
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
                gauge(&gauges, report->who, "", rows[i].name, rows[i].value);
        for (size_t i = 0; i < count; i++)
                gauge(&gauges, report->who, "", more[i].name, more[i].value);
        tell(self, report, SCOPE_KIND_NOTE,
                &(struct scope_control){ .metrics = gauges.metrics, .metric_count = gauges.count });
}
