/* simulation.h - the other environment: virtual time, a seeded scheduler, faults.
 * Why: a distributed bug is found by ten thousand seeds, not by luck; a failing seed replays
 * exactly. A simulated system is a struct scope_system whose doors lead here: one thread, one heap
 * of events ordered by (virtual time, seeded draw, sequence). No real clock, file, socket or thread
 * is touched.
 * (1) Same seed, same options, same trace hash - on any compiler and address layout.
 * (2) After `heal_ns`, or half of the events, no new fault happens; the run must then finish
 * (liveness). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "runtime/system.h"

/* Which faults may happen; each seed draws a subset and a rate for each (swarm testing). */
#define SCOPE_FAULT_MAP(X)                                                                         \
        X(ACTOR_CRASH) X(MESSAGE_DELAY) X(MESSAGE_REORDER) X(COMPUTE_SLOW) X(COMPUTE_FAIL)         \
        X(HTTP_SLOW) X(HTTP_FAIL) X(HTTP_GARBAGE) X(HTTP_HANG) X(HTTP_CUT) X(HTTP_BUSY)            \
        X(FILE_SLOW) X(FILE_FULL) X(FILE_FAIL) X(MAILBOX_FULL) X(TIMER_LATE)
enum scope_fault {
#define X(name) SCOPE_FAULT_##name,
        SCOPE_FAULT_MAP(X)
#undef X
        SCOPE_FAULT_COUNT
};
const char *scope_fault_name(enum scope_fault fault);

/* The peer of simulated HTTP: fills status and body for a request (both within scratch memory of
 * the simulator, `body` capacity given), and the latency before the first byte. Faults are applied
 * after. */
struct scope_sim_http {
        const struct scope_http_request *request;
        uint64_t random;    /* a draw for this call */
        char *body;
        size_t body_capacity, body_bytes; /* out: body_bytes */
        int32_t status;                   /* out */
        int64_t retry_after_ns;           /* out, -1 */
        uint64_t latency_ns;              /* out */
};

struct scope_sim_options {
        uint64_t seed;
        uint32_t faults;          /* bit set of enum scope_fault that may be drawn; 0 = none */
        uint64_t heal_ns;         /* virtual time at which faults stop */
        uint64_t stop_ns;         /* virtual time by which everything must have stopped */
        uint64_t events_max;      /* a run that takes more is one that never ends */
        bool yields; /* jobs that yield make room for more urgent ones, as in the compute pool */
        void (*http)(void *context, struct scope_sim_http *call);
        /* Called after every event; returns NULL or what is wrong (static or long-lived text). */
        const char *(*invariant)(void *context, struct scope_system *system);
        void *context;
};

struct scope_sim_result {
        uint64_t events, trace_hash, virtual_ns;
        uint64_t faults[SCOPE_FAULT_COUNT];       /* how often each happened */
        uint64_t transitions;                     /* bit (from*8+to) of actor states seen */
        const char *violation;                    /* NULL = none; lives as long as the system */
};

/* A system as scope_system_create makes, but simulated; scope_system_run runs the simulation and
 * returns SCOPE_ERR_VERIFY after a violation. A crash never exhausts an actor's restarts by itself:
 * with restarts_max < 2 there are none.
 * options->loops and cores are ignored; compute_threads bounds jobs that overlap in virtual
 * time. */
enum scope_err scope_simulation_create(const struct scope_system_options *options,
        const struct scope_sim_options *sim, struct scope_system **ret_system);
void scope_simulation_result(
        const struct scope_system *system, struct scope_sim_result *ret_result);

/* The runtime's own invariants, for `invariant` callbacks to begin with: I8 (mailbox bounds), I12
 * (no actor both dead and scheduled), I13 (each request exactly one answer). NULL = they hold. */
const char *scope_simulation_check(struct scope_system *system);

/* What a simulated file holds; NULL when it does not exist. */
const char *scope_simulation_file(struct scope_system *system, const char *name, size_t *ret_bytes);
