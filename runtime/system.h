/* system.h - actors put together: added, started, drained, watched.
 * Why: the program, the simulator and the tests build a system the same way and differ in one
 * call. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "runtime/actor.h"

struct scope_system;
struct scope_ledger;

/* Something worth telling a person; text lives as long as the call.  Called on the actor's loop. */
struct scope_notice {
        uint64_t now_ns;
        const char *actor, *name, *text;
};

struct scope_system_options {
        uint64_t seed;
        /* >= 1; loop 0 is the thread that calls scope_system_run */
        unsigned loops;
        unsigned compute_threads;        /* workers of the compute pool, >= 1 */
        const int *loop_cores, *compute_cores; /* core numbers to pin to, NULL or -1 = not pinned */
        const char *directory;           /* for files; NULL = file operations are refused */
        unsigned restarts_max;           /* of one actor within the window, then the system fails */
        uint64_t restart_window_ns;
        uint64_t wait_report_ns;         /* a wait older than this is reported */
        void (*notice)(void *context, const struct scope_notice *notice); /* may be NULL */
        void *notice_context;
};

struct scope_actor_options {
        const char *name;          /* unique, copied, < SCOPE_NAME_BYTES_MAX */
        const struct scope_actor_class *class_;
        void *args;                /* outlives the system */
        unsigned loop;
        /* capacity in messages; 0 = 64 system, 256 control, 256 data */
        uint32_t mailbox[SCOPE_LANE_COUNT];
        bool essential;            /* its final failure ends the system; else it stays down */
        struct scope_workers workers; /* its compute jobs run there; in simulation anywhere */
};

/* Real loops, threads and sockets. SIGPIPE is ignored from here on, unless it was handled.
 * errors  SCOPE_ERR_ARGUMENT, SCOPE_ERR_MEMORY, SCOPE_ERR_INTERNAL; SCOPE_ERR_NOT_FOUND,
 *         SCOPE_ERR_IO: the directory     owns  gives     thread  setup */
enum scope_err scope_system_create(const struct scope_system_options *options,
        struct scope_system **ret_system);

/* Shared by everything on loop 0; the system frees it.               thread  setup */
struct scope_ledger *scope_system_ledger(struct scope_system *system);

/* Adds and initialises an actor; its address is valid at once.
 * errors  SCOPE_ERR_EXISTS: the name; SCOPE_ERR_LIMIT; what init returned     thread  setup */
enum scope_err scope_system_add(struct scope_system *system,
        const struct scope_actor_options *options, struct scope_address *ret_address);

/* Runs until every actor is STOPPED (after scope_system_drain) or an essential one is finally down.
 * When it returns, no job runs any more and what was to be written is written. Returns SCOPE_OK or
 * the first cause; scope_system_cause says which actor and why.      thread  setup's */
enum scope_err scope_system_run(struct scope_system *system);
const char *scope_system_cause(const struct scope_system *system);

/* Asks every actor to drain, in the order they were added. Each stops once it is idle, nothing of
 * it is pending and all that were added before it have stopped: it can still answer those. Bounded:
 * after timeout_ns what is left is stopped as it is, and run returns SCOPE_ERR_DEADLINE.
 * thread  any; also a signal's uv handler, and a turn */
void scope_system_drain(struct scope_system *system, uint64_t timeout_ns);
void scope_system_abort(struct scope_system *system); /* stops at the next turn boundary */

/* Busy and idle time of one actor over all incarnations.  index 0.. until false. Busy: its own
 * turns. Idle causes are what actors say (scope_idle_cause), and the runtime's: "cores", a job of
 * it waited for free cores; "failure", it was dead; "tail", it had stopped before the others.
 * alive_ns = busy_ns + the sum of idle = the wall time of its loop. Exact after run, and
 * up to the present turn within one of the same loop; a close reading elsewhere. */
enum { SCOPE_IDLE_CAUSES = 16 };
struct scope_actor_usage {
        char name[32];
        uint64_t busy_ns, alive_ns, messages, restarts;
        struct {
                const char *cause;
                uint64_t ns;
        } idle[SCOPE_IDLE_CAUSES];
};
bool scope_system_usage(const struct scope_system *system, unsigned index,
        struct scope_actor_usage *ret_usage);

/* CPU time spent so far; for the share of it that the actors' loops themselves cost. Exact after
 * run. compute_ns: workers and the I/O thread, looking for work included; jobs_ns: of it what jobs
 * took that ended. False where no thread is real (a simulation).            thread  any */
struct scope_system_cpu {
        uint64_t loops_ns, compute_ns, jobs_ns;
};
bool scope_system_cpu(const struct scope_system *system, struct scope_system_cpu *ret_cpu);

/* Time inside jobs by what they did (trace_work.h), added up over the workers, io apart: index
 * 0.. until false; always false where no thread is real. What is under way is not in it before it
 * ends.     thread  any */
struct scope_system_work {
        const char *what;
        uint64_t ns;
        bool io;
};
bool scope_system_work(const struct scope_system *system, unsigned index,
        struct scope_system_work *ret_work);

/* One line an outstanding wait older than min_age_ns: "refiner waits for http teacher since 12.3
 * s". Returns the number of waits. The text is empty where there is none.   thread  loop 0 */
struct scope_text;
unsigned scope_system_waits(struct scope_system *system, uint64_t min_age_ns,
        struct scope_text *text);

/* Accepts NULL. Every actor's fini runs; loops are closed and must be empty.   thread  setup's */
void scope_system_destroy(struct scope_system *system);
