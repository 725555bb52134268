#include "actors/teacher_report.h"

#include <stdio.h>
#include <string.h>

#include "actors/messages.h"
#include "base/check.h"
#include "base/text.h"

static void tell(struct scope_actor *self, struct scope_teacher_report *report, uint16_t kind,
        const struct scope_control *control)
{
        struct scope_message *message = NULL;
        if (scope_message_of_control(self, kind, SCOPE_LANE_CONTROL, control, &message) == SCOPE_OK)
                scope_outbox_send(self, &report->outbox, report->stages->recorder, &message);
}

static void note(struct scope_actor *self, struct scope_teacher_report *report,
        const struct scope_control *control)
{
        tell(self, report, SCOPE_KIND_NOTE, control);
}

void scope_teacher_report_event(
        struct scope_actor *self, struct scope_teacher_report *report, const char *text)
{
        struct scope_text line = { 0 };
        scope_event(self, "teacher", "%s", text);
        scope_json_open(&line, NULL, '{');
        scope_json_text(&line, "event", "teacher");
        scope_json_text(&line, "text", text);
        scope_json_close(&line, '}');
        if (!line.failed)
                note(self, report,
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

void scope_teacher_report_call(struct scope_actor *self, struct scope_teacher_report *report,
        const struct scope_teacher_report_call *call)
{
        struct scope_text line = { 0 };
        bool said = call->end == SCOPE_CALL_OK &&
                    !quotes(call->content, report->stages->resources.teacher_key);
        if (!report->stages->options->metrics.rollouts)
                return;
        scope_json_open(&line, NULL, '{');
        scope_json_text(&line, "of", "teacher");
        scope_json_uint(&line, "group", call->group);
        scope_json_uint(&line, "sample", call->sample);
        scope_json_uint(&line, "ns", call->latency_ns);
        scope_json_text(&line, "end",
                call->end == SCOPE_CALL_OK ? "ok" : scope_call_end_name(call->end));
        scope_json_bytes(&line, "problem", call->problem.at, call->problem.bytes);
        scope_json_bytes(&line, "prefix", call->prefix.at, call->prefix.bytes);
        if (said)
                scope_json_bytes(&line, "content", call->content.at, call->content.bytes);
        if (said && call->truncated)
                scope_json_bool(&line, "truncated", true);
        scope_json_close(&line, '}');
        if (!line.failed)
                tell(self, report, SCOPE_KIND_REPLIED,
                        &(struct scope_control){ .text = { line.bytes, (uint32_t)line.count } });
        scope_text_fini(&line);
}

void scope_teacher_report_state(
        struct scope_actor *self, struct scope_teacher_report *report, bool up)
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
        char names[SCOPE_CALL_ENDS][32];
        uint32_t count;
};

static void gauge(struct gauges *gauges, const char *name, double value)
{
        scope_assert(gauges->count < sizeof gauges->metrics / sizeof gauges->metrics[0]);
        gauges->metrics[gauges->count++] =
                (struct scope_metric){ { name, (uint32_t)strlen(name) }, value };
}

static void gauge_errors(struct gauges *gauges, const struct scope_gate *gate)
{
        uint64_t errors = 0;
        for (unsigned i = SCOPE_CALL_OK + 1; i < SCOPE_CALL_ENDS; i++) {
                (void)snprintf(gauges->names[i], sizeof gauges->names[i], "teacher/errors_%s",
                        scope_call_end_name((enum scope_call_end)i));
                gauge(gauges, gauges->names[i], (double)gate->ended[i]);
                errors += gate->ended[i];
        }
        gauge(gauges, "teacher/errors", (double)errors);
}

void scope_teacher_report_gauges(struct scope_actor *self, struct scope_teacher_report *report,
        const struct scope_gate *gate)
{
        const uint64_t *answered = report->answered;
        struct gauges gauges = { .count = 0 };
        uint64_t rejected = 0;
        for (unsigned i = SCOPE_REFINE_WRONG_ANSWER; i <= SCOPE_REFINE_NOT_TEXT; i++)
                rejected += answered[i];
        gauge_errors(&gauges, gate);
        gauge(&gauges, "teacher/calls", (double)gate->calls);
        gauge(&gauges, "teacher/ok", (double)gate->ended[SCOPE_CALL_OK]);
        gauge(&gauges, "teacher/retries", (double)report->retries);
        gauge(&gauges, "teacher/latency_p50", scope_latency_quantile(&gate->latency, 0.5));
        gauge(&gauges, "teacher/latency_p95", scope_latency_quantile(&gate->latency, 0.95));
        gauge(&gauges, "teacher/window", gate->window);
        gauge(&gauges, "teacher/circuit_open", gate->circuit != SCOPE_CIRCUIT_CLOSED);
        gauge(&gauges, "teacher/accepted", (double)answered[SCOPE_REFINE_ACCEPTED]);
        gauge(&gauges, "teacher/rejected", (double)rejected);
        gauge(&gauges, "teacher/refused", (double)answered[SCOPE_REFINE_REFUSED]);
        gauge(&gauges, "teacher/failed", (double)answered[SCOPE_REFINE_FAILED]);
        gauge(&gauges, "teacher/skipped", (double)answered[SCOPE_REFINE_SKIPPED]);
        gauge(&gauges, "teacher/tokens_in", (double)report->tokens_in);
        gauge(&gauges, "teacher/tokens_out", (double)report->tokens_out);
        note(self, report,
                &(struct scope_control){ .metrics = gauges.metrics, .metric_count = gauges.count });
}
