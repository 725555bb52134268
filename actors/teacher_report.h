/* teacher_report.h - what the refiner tells others: counters, events, whether there is a teacher.
 * Why: everybody may hear how the teacher does, nobody may hear the key: every word said is ours,
 * none came over the wire. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "actors/stages.h"
#include "actors/teacher_gate.h"
#include "runtime/outbox.h"
#include "schemas/records.h"

struct scope_teacher_report {
        const struct scope_stages *stages;
        struct scope_outbox outbox;
        bool told_down; /* groups believe that there is no teacher */
        uint64_t answered[SCOPE_REFINE_COUNT], retries, tokens_in, tokens_out;
};

/* One event for a person and for events.jsonl.                       thread  owner */
void scope_teacher_report_event(
        struct scope_actor *self, struct scope_teacher_report *report, const char *text);

/* One call that came to its end, for rollouts/replies.jsonl, where metrics.rollouts says so:
 * whoever replays the run gets the same words after the same time. Of a failed call no words are
 * kept, nor of a reply in which the key stands. */
struct scope_teacher_report_call {
        uint64_t group, latency_ns;
        uint32_t sample;
        struct scope_string problem, prefix, content;
        enum scope_call_end end;
        bool truncated;
};
void scope_teacher_report_call(struct scope_actor *self, struct scope_teacher_report *report,
        const struct scope_teacher_report_call *call);

/* To groups, when it is news: without a teacher they need no PRM and no selection either. */
void scope_teacher_report_state(
        struct scope_actor *self, struct scope_teacher_report *report, bool up);

/* The teacher/... gauges, to the recorder. Sent before an answer, so that who acts on the answer
 * finds its call counted. */
void scope_teacher_report_gauges(struct scope_actor *self, struct scope_teacher_report *report,
        const struct scope_gate *gate);
