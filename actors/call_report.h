/* call_report.h - what an actor that calls a server tells others: counters, events, whether the
 * server is there.
 * Why: everybody may hear how a server does, nobody may hear the key: every word said is ours, none
 * came over the wire. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "actors/call_gate.h"
#include "actors/stages.h"
#include "runtime/outbox.h"
#include "schemas/records.h"

struct scope_call_table;

struct scope_call_report {
        const char *who; /* "teacher", "prm": the event, and what gauges' names begin with */
        const struct scope_stages *stages;
        struct scope_outbox outbox;
        bool told_down; /* groups believe that there is no teacher */
};

/* One event for a person and for events.jsonl.                       thread  owner */
void scope_call_report_event(
        struct scope_actor *self, struct scope_call_report *report, const char *text);

/* The gauges of the calls, and `more` of the actor's own ("accepted" becomes "teacher/accepted"),
 * to the recorder. Sent before an answer, so that who acts on the answer finds its call counted. */
struct scope_call_gauge {
        const char *name;
        double value;
};
void scope_call_report_gauges(struct scope_actor *self, struct scope_call_report *report,
        const struct scope_call_table *calls, const struct scope_call_gauge *more, size_t count);

/* One call of the teacher that came to its end, for rollouts/replies.jsonl, where metrics.rollouts
 * says so: whoever replays the run gets the same words after the same time. Of a failed call no
 * words are kept, nor of a reply in which the key stands. */
struct scope_call_reply {
        uint64_t group, latency_ns;
        uint32_t sample;
        struct scope_string problem, prefix, content;
        enum scope_call_end end;
        bool truncated;
};
void scope_call_report_reply(struct scope_actor *self, struct scope_call_report *report,
        const struct scope_call_reply *reply);

/* To groups, when it is news: without a teacher they need no PRM and no selection either. */
void scope_call_report_state(struct scope_actor *self, struct scope_call_report *report, bool up);
