/* call_gate.h - when a call to a server may start, and what its end means.
 * Why: limits, backing off and giving up are arithmetic on what happened; kept apart from HTTP and
 * messages they can be read and tested by themselves.
 *
 *   CLOSED -(failures_max in a row, or a fatal one)-> OPEN -(reset_ns)-> HALF_OPEN: one probe
 *   OPEN, HALF_OPEN -(a success)-> CLOSED        HALF_OPEN -(a failure)-> OPEN
 *
 * (1) in_flight <= window <= concurrency. (2) calls <= calls_max where that is not 0.
 * Concurrency adapts as congestion windows do: half on "busy", one more for each window of
 * successes; calls that began before the last halving do not halve again. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct scope_http_result;

enum scope_call_end {
        SCOPE_CALL_OK,
        SCOPE_CALL_NET,        /* no response: connection refused, reset, cut */
        SCOPE_CALL_TIMEOUT,    /* connect, idle or whole */
        /* 429, or a stream broken off for another call: slower, please; not a failure */
        SCOPE_CALL_BUSY,
        SCOPE_CALL_OVERLOADED, /* 503, 529: slower, and a failure */
        SCOPE_CALL_SERVER,     /* other 5xx, 408, 409, 425, an error inside a 200 */
        SCOPE_CALL_MALFORMED,  /* a 200 that is no complete chat completion */
        SCOPE_CALL_DECLINED,   /* this request, for what it says: no failure of the server */
        SCOPE_CALL_REFUSED,    /* 400, 413, other 4xx, a redirect: again would be the same */
        SCOPE_CALL_FATAL,      /* 401, 402, 403, 404, 422, quota: nobody's call can succeed */
        SCOPE_CALL_ENDS
};
/* "net", "timeout", ...: the end of a metric's name. */
const char *scope_call_end_name(enum scope_call_end end);

/* What a response line and the transport's error say; a 200 is OK as far as they know.
 * thread  any; pure */
enum scope_call_end scope_call_judge(enum scope_err err, int32_t status);

/* What to do about a fatal status, for a person; static text. */
const char *scope_call_advice(int32_t status);

enum { SCOPE_LATENCY_BUCKETS = 256 };
struct scope_latency { /* four buckets for each doubling of nanoseconds */
        uint32_t counts[SCOPE_LATENCY_BUCKETS];
        uint64_t total;
};
void scope_latency_add(struct scope_latency *latency, uint64_t ns);
/* The middle of the bucket in which the q-quantile lies, in seconds; 0 of none. */
double scope_latency_quantile(const struct scope_latency *latency, double q);

struct scope_gate_options {
        uint32_t concurrency, failures_max; /* 0 failures: the circuit opens on fatal ends only */
        uint64_t calls_max;                 /* 0 = no budget */
        uint64_t reset_ns, backoff_ns, retry_after_max_ns;
        uint64_t apart_ns; /* between the beginnings of two calls; 0 = no limit */
};
enum scope_circuit { SCOPE_CIRCUIT_CLOSED, SCOPE_CIRCUIT_OPEN, SCOPE_CIRCUIT_HALF_OPEN };

struct scope_gate {
        struct scope_gate_options options;
        enum scope_circuit circuit;
        uint64_t probe_at_ns, hold_until_ns; /* of OPEN; after a Retry-After */
        uint64_t next_ns;                    /* the rate lets the next call begin */
        double window;
        uint32_t in_flight, failures; /* failures in a row */
        uint64_t calls, ended[SCOPE_CALL_ENDS], halved_at_call;
        struct scope_latency latency; /* of calls that ended OK */
};
void scope_gate_init(struct scope_gate *gate, const struct scope_gate_options *options);

bool scope_gate_spent(const struct scope_gate *gate);                 /* the budget is used up */
bool scope_gate_open(const struct scope_gate *gate, uint64_t now_ns); /* a call may start */
/* A call is held back until then, by a Retry-After or by the rate. */
uint64_t scope_gate_held_ns(const struct scope_gate *gate);
bool scope_gate_probe_due(const struct scope_gate *gate, uint64_t now_ns);

/* A call starts; `probe` moves OPEN to HALF_OPEN. Returns the call's number, to be given back. */
uint64_t scope_gate_begin(struct scope_gate *gate, uint64_t now_ns, bool probe);
/* A call was cancelled: nothing is learned. A cancelled probe leaves the circuit OPEN. */
void scope_gate_cancel(struct scope_gate *gate, uint64_t now_ns, bool probe);

enum scope_gate_change { SCOPE_GATE_SAME, SCOPE_GATE_OPENED, SCOPE_GATE_CLOSED };
struct scope_gate_end {
        uint64_t now_ns, call, latency_ns;
        int64_t retry_after_ns; /* -1 = none */
        enum scope_call_end end;
        bool probe;
};
/* OPENED also when a probe failed. */
enum scope_gate_change scope_gate_end(struct scope_gate *gate, const struct scope_gate_end *end);

/* How long before attempt `attempt` (1 = the first retry): anywhere up to backoff_ns doubled each
 * time, so that those who failed together do not return together; never before a Retry-After, which
 * is believed up to retry_after_max_ns. `random` is a fresh draw.       thread  any; pure */
uint64_t scope_gate_rest_ns(
        const struct scope_gate *gate, uint32_t attempt, int64_t retry_after_ns, uint64_t random);
