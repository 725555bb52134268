/* actor.h - what an actor is, and its only doors to the outside.
 * Why: the same actor code runs on real loops and in the simulator. An actor calls nothing that
 * waits, reads a clock, draws a random number, touches a file, a socket or a thread but through
 * this header.
 *
 *   NEW -init-> READY -start-> RUNNING -drain-> DRAINING -(queue and doors empty)-> STOPPED -fini->
 *           RUNNING | DRAINING -fail-> FAILED -fini-> (restarted: NEW, incarnation + 1)
 *   scope_system_add    scope_system_start    scope_system_drain    supervisor.c
 *
 * (1) receive runs to completion, one message a turn, never two turns of one actor at once.
 * (2) Every request gets exactly one of: reply, SCOPE_KIND_ERROR (err says why; DEADLINE included).
 * (3) Messages from one sender to one target on one lane arrive in order. System before control
 * before data.
 * (4) Timers, requests, jobs, files and HTTP of an incarnation die with it: no completion reaches
 * the next. A job that runs already runs to its end: fini and the next incarnation wait for it.
 * (5) A turn is atomic: what it sent before it failed was sent. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "runtime/message.h"

struct scope_arena;
struct scope_ledger;

struct scope_actor_class {
        const char *name;
        size_t state_bytes;   /* zeroed before init of each incarnation */
        size_t scratch_bytes; /* of the arena that is reset before every turn; 0 = 64 KiB */
        /* `args` is what scope_system_add was given; it outlives the actor. Sends are not allowed
         * yet. */
        enum scope_err (*init)(struct scope_actor *self, void *state, void *args);
        void (*receive)(struct scope_actor *self, void *state, struct scope_message *message);
        /* Asked to finish: stop taking new work. May be NULL. */
        void (*drain)(struct scope_actor *self, void *state);
        /* True when nothing of ours is unfinished; asked while draining. NULL = always. */
        bool (*idle)(const void *state);
        /* Accepts half-built state. May be NULL. */
        void (*fini)(struct scope_actor *self, void *state);
};

/* --- messages ------------------------------------------------------------------------------- */

/* Fire and forget. *message is NULL on success and still the caller's on failure. A request that
 * was received and not answered is passed on: its new receiver answers the one who asked.
 * owns    takes *message on success
 * errors  SCOPE_ERR_AGAIN: the target's lane is full; SCOPE_ERR_DOWN: that incarnation is dead
 * thread  owner */
enum scope_err scope_send(struct scope_actor *self, struct scope_address target,
        struct scope_message **message);

/* As scope_send, and exactly one message with this correlation will come back within timeout_ns: a
 * reply, or SCOPE_KIND_ERROR. `what` (static text) names the wait in the wait graph.
 * The reply echoes `tag`. timeout_ns 0 is not allowed.      thread  owner */
enum scope_err scope_request(struct scope_actor *self, struct scope_address target,
        struct scope_message **message, uint64_t timeout_ns, const char *what,
        uint64_t *ret_correlation);

/* Answers `request` with *message; never fails with AGAIN: a slot was kept when the request was
 * sent. A dead requester is fine (the reply is dropped and counted). `request` is still the
 * caller's to free; it may be freed earlier if the caller kept its sender, correlation, tag and
 * trace: use _to.
 * owns    takes *message     thread  owner */
void scope_reply(struct scope_actor *self, const struct scope_message *request,
        struct scope_message **message);
/* Answers with SCOPE_KIND_ERROR. */
void scope_reply_error(struct scope_actor *self, const struct scope_message *request,
        enum scope_err err);

/* What is needed to answer a request later, after its message is freed. Taking it moves the duty to
 * answer from the message to the holder. */
struct scope_reply_to {
        struct scope_address requester;
        uint64_t correlation, tag, trace, deadline_ns;
};
struct scope_reply_to scope_reply_later(struct scope_message *request);
void scope_reply_to(struct scope_actor *self, const struct scope_reply_to *to,
        struct scope_message **message);
void scope_reply_to_error(struct scope_actor *self, const struct scope_reply_to *to,
        enum scope_err err);

/* SCOPE_KIND_DOWN comes once, when this incarnation of `target` (0 = the one alive) fails, at once
 * when it is dead already; never when it stops in order.
 * errors  SCOPE_ERR_LIMIT: over 256 monitors; SCOPE_ERR_NOT_FOUND     thread  owner */
enum scope_err scope_monitor(struct scope_actor *self, struct scope_address target);

/* This incarnation ends after the turn; the supervisor decides what follows. `why` is copied. */
void scope_fail(struct scope_actor *self, enum scope_err err, const char *why);
/* As scope_fail where no new life would fare better: the actor is not restarted. An essential one
 * ends the system. */
void scope_fail_for_good(struct scope_actor *self, enum scope_err err, const char *why);

/* --- time, chance --------------------------------------------------------------------------- */

uint64_t scope_now_ns(const struct scope_actor *self); /* monotonic; constant within a turn */

/* One SCOPE_KIND_TIMER with `tag` after `after_ns`. At most 256 live timers an actor.
 * errors  SCOPE_ERR_LIMIT     thread  owner */
enum scope_err scope_timer_start(struct scope_actor *self, uint64_t tag, uint64_t after_ns,
        uint64_t *ret_timer);
void scope_timer_stop(struct scope_actor *self, uint64_t timer); /* 0 and unknown are ignored */

/* The next draw of this actor's stream `stream`; seeded from the run seed, actor name and
 * stream. */
uint64_t scope_random(struct scope_actor *self, uint32_t stream);

/* --- compute -------------------------------------------------------------------------------- */

/* A job runs on `cores` workers at once (a gang): run(arg, rank, size) is called on each, and they
 * may use barriers among themselves. In simulation it runs on the simulator's thread with size 1
 * after cost_ns of virtual time, unless `cost_only`. A `timed` job takes cost_ns in real time too,
 * and no worker meanwhile. io jobs run on the one I/O thread and may block. */
struct scope_workers {
        uint16_t first, count; /* of the pool's; count 0 = any */
};
struct scope_job {
        enum scope_err (*run)(void *arg, unsigned rank, unsigned size);
        /* borrowed until SCOPE_KIND_COMPUTE_DONE, or until fini if the actor dies before */
        void *arg;
        uint8_t cores, priority; /* priority 0 first */
        bool io, cost_only, timed, yields, hold; /* the last two: compute_pool.h (5), (6) */
        uint64_t cost_ns;
        /* of a timed job that follows another at once: when that one was due, so that lateness does
         * not add up; 0 = now */
        uint64_t since_ns;
        struct scope_workers workers; /* who may run it; of an actor's jobs: the actor's */
        const char *what; /* static text, for the wait graph and the workers' time */
};

/* SCOPE_KIND_COMPUTE_DONE with `tag` and the first failing rank's result will come.
 * errors  SCOPE_ERR_LIMIT: over 64 jobs of this actor pending     thread  owner */
enum scope_err scope_compute(struct scope_actor *self, const struct scope_job *job, uint64_t tag);

/* How long its jobs have waited for workers so far, for others on these within a job too. */
uint64_t scope_waited_ns(const struct scope_actor *self);

/* --- files ---------------------------------------------------------------------------------- */

/* Names are relative to the run directory and are checked: no "..", no absolute path. Both finish
 * with SCOPE_KIND_FILE_DONE (tag, err); bytes are copied. Operations of one actor finish in order.
 * append: all or, on SCOPE_ERR_NO_SPACE, nothing but a torn last line which the next append cuts
 * off.
 * commit: atomic replace (base/file.h).                       thread  owner */
enum scope_err scope_file_append(struct scope_actor *self, const char *name, const void *bytes,
        size_t count, uint64_t tag);
enum scope_err scope_file_replace(struct scope_actor *self, const char *name, const void *bytes,
        size_t count, uint64_t tag);

/* --- HTTP ----------------------------------------------------------------------------------- */

struct scope_http_request {
        const char *method, *url;   /* http:// to loopback or https:// */
        const char *const *headers; /* "Name: value", NULL-terminated */
        /* sent as Authorization; never logged, wiped after use; may be NULL */
        const char *bearer;
        const void *body;
        size_t body_bytes, response_bytes_max;
        uint64_t connect_timeout_ns, idle_timeout_ns, timeout_ns;
};
struct scope_http_result {
        int32_t status;          /* 0 when no response line came */
        /* -1 when absent or unreadable; seconds, HTTP-date and retry-after-ms */
        int64_t retry_after_ns;
        uint64_t bytes;          /* of body delivered */
        char text[160];          /* the transport's own words on failure, without headers */
};

/* Zero or more SCOPE_KIND_HTTP_DATA, then one SCOPE_KIND_HTTP_DONE, all with `tag`. Everything in
 * `request` is copied.
 * errors  SCOPE_ERR_LIMIT: over 256 calls of this actor in flight; SCOPE_ERR_ARGUMENT: bad URL */
enum scope_err scope_http_start(struct scope_actor *self, const struct scope_http_request *request,
        uint64_t tag, uint64_t *ret_call);
void scope_http_cancel(struct scope_actor *self, uint64_t call); /* nothing more will come */

/* --- the actor itself ----------------------------------------------------------------------- */

struct scope_address scope_self(const struct scope_actor *self);
const char *scope_self_name(const struct scope_actor *self);
struct scope_arena *scope_scratch(struct scope_actor *self); /* reset before every turn */
bool scope_draining(const struct scope_actor *self);

/* The ledger of this loop, which survives the actor; NULL where the system was given none.
 * Actors that use it share a loop.                            thread  owner */
struct scope_ledger *scope_actor_ledger(struct scope_actor *self);

/* Counted event for the outside (log, page): printed by cli/, never on a hot path. `text` is
 * copied. Names are static text: "restart", "wait", "degraded". */
void scope_event(struct scope_actor *self, const char *name, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* Time not busy is charged to a cause until the next call: "starved", "computing", "barrier", ...
 * Default, and after a restart, "starved". Static text; at most 16 for one actor. */
void scope_idle_cause(struct scope_actor *self, const char *cause);

/* Whoever withholds work from an actor of the same loop knows why that one is idle: while it says
 * of itself "starved", its time is charged to `cause` instead; NULL = it is starved. */
void scope_idle_cause_of(struct scope_actor *self, struct scope_address whom, const char *cause);
