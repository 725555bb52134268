/* core.h - the inside of systems, loops and actors. For runtime/ only.
 * Why: the core and the environments share these structs; everybody else sees names.
 * (1) A loop's fields and its actors' belong to the loop's thread, but for those marked *any*.
 * (2) An actor is in `ready` at most once, and then it is RUNNING or DRAINING. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/limits.h"
#include "runtime/clock.h"
#include "runtime/env.h"
#include "runtime/mailbox.h"
#include "runtime/message_pool.h"
#include "runtime/pending.h"
#include "runtime/timer_heap.h"
#include "runtime/trace.h"

enum scope_actor_life {
        SCOPE_ACTOR_NEW,
        SCOPE_ACTOR_READY,
        SCOPE_ACTOR_RUNNING,
        SCOPE_ACTOR_DRAINING,
        SCOPE_ACTOR_STOPPED,
        SCOPE_ACTOR_FAILED,
        SCOPE_ACTOR_LIVES
};

/* What ops->observe is told. */
enum scope_observation {
        SCOPE_OBSERVE_TURN,     /* receive is about to see the message */
        SCOPE_OBSERVE_REQUEST,  /* the message, a request, was sent by the actor */
        SCOPE_OBSERVE_FORGOTTEN,/* the actor cancelled the request with the message's correlation */
        SCOPE_OBSERVE_LIFE,     /* the actor's `life` changed; message NULL */
};

enum { SCOPE_RANDOM_STREAMS = 16, SCOPE_WHY_BYTES = 160, SCOPE_RESTARTS_KEPT = 64 };

struct scope_actor {
        struct scope_system *system;
        struct scope_loop *loop;
        const struct scope_actor_class *class_;
        void *state;
        uint32_t index, incarnation;
        enum scope_actor_life life;
        bool scheduled; /* in loop->ready */
        bool started, drain_called;
        bool unsettled; /* it failed, and its state stays until its last job has ended */
        uint32_t jobs;  /* compute jobs under way, wanted or not: they use what the state owns */
        enum scope_err failing; /* scope_fail was called in this turn */
        bool for_good;          /* and no restart is to follow */
        struct scope_mailbox mailbox;
        struct scope_pending_table pending;
        struct scope_arena scratch;
        uint64_t random_counts[SCOPE_RANDOM_STREAMS], random_seed;
        struct scope_usage usage;

        /* Any loop. */
        _Alignas(64) _Atomic uint32_t alive; /* the incarnation that takes mail, or 0 */
        _Atomic int down_err;                /* why the last incarnation died; OK = it stopped */
        _Atomic bool down;                   /* STOPPED, or FAILED for good */
        _Atomic bool posted;                 /* in loop->posted */
        struct scope_actor *posted_next;

        /* Rarely used. */
        char name[SCOPE_NAME_BYTES_MAX], why[SCOPE_WHY_BYTES], first_why[SCOPE_WHY_BYTES];
        void *args;
        struct scope_workers workers;
        bool essential;
        uint32_t capacity[SCOPE_LANE_COUNT];
        enum scope_err first_err;
        uint64_t restarts[SCOPE_RESTARTS_KEPT]; /* when, a ring */
        unsigned restart_count;
        struct scope_timer_node restart_node;
};

struct scope_loop {
        struct scope_system *system;
        void *env; /* the environment's */
        unsigned index;
        bool started;
        uint64_t now_ns;
        struct scope_clock clock;    /* for a real environment's now_ns */
        struct scope_actor *current; /* whose turn it is */
        uint64_t trace;              /* of the message whose turn it is */

        struct scope_actor **ready; /* a ring; capacity a power of two */
        uint32_t ready_head, ready_count, ready_mask;

        struct scope_timer_heap timers;
        struct scope_message_pool pool;
        struct scope_message *cancelled; /* requests freed unanswered in this turn */
        struct scope_operation *operations_free;
        struct scope_timer_node wait_node, drain_node;
        uint32_t orders_seen, deaths_seen;
        bool look_again; /* somebody is still to be told of a death */
        bool draining;   /* drain_node was armed */
        struct scope_loop_counts counts;

        /* Any thread. */
        _Alignas(64) _Atomic(struct scope_actor *) posted; /* with mail from other loops */
        _Atomic(struct scope_operation *) finished;        /* newest first */
};

struct scope_system {
        struct scope_system_options options; /* strings and arrays copied */
        const struct scope_env_ops *ops;
        void *env; /* the environment's */
        struct scope_loop *loops;
        struct scope_actor **actors;
        uint32_t actor_count, loop_count;
        struct scope_ledger *ledger;
        bool ran;

        /* Any thread. */
        _Atomic uint32_t orders; /* rises with every death, drain, stop, abort: look around */
        _Atomic uint32_t deaths;
        _Atomic uint64_t drain_timeout_ns; /* 0 = not draining */
        _Atomic bool aborted;
        _Atomic bool failed;         /* set after `cause` is written, once */
        _Atomic bool cause_taken;    /* whoever sets it writes `cause` */
        _Atomic uint32_t actors_up;  /* neither STOPPED nor finally FAILED */
        enum scope_err cause_err;
        char cause[2 * SCOPE_WHY_BYTES + 128];
};

/* --- turn.c ----------------------------------------------------------------------------------- */
/* Takes posted mail, finished operations and orders; fires timers that are due. */
void scope_loop_collect(struct scope_loop *loop);
/* The head of `ready`, removed; NULL = none. */
struct scope_actor *scope_loop_ready_take(struct scope_loop *loop);
/* At most `quantum` turns of an actor taken from `ready`; it goes back there if mail is left. */
void scope_loop_run(struct scope_loop *loop, struct scope_actor *actor, unsigned quantum);
/* Calls the actor's drain, as a turn. */
void scope_loop_drain_turn(struct scope_loop *loop, struct scope_actor *actor);
void scope_loop_schedule(struct scope_loop *loop, struct scope_actor *actor);
void scope_loop_unschedule(struct scope_loop *loop, struct scope_actor *actor);
/* A message that carries its slot, or needs none, reaches its target on this loop. owns takes */
void scope_loop_arrive(struct scope_loop *loop, struct scope_actor *target,
        struct scope_message *message);
/* Mail was appended from another loop.      thread  any */
void scope_loop_post(struct scope_actor *target);
/* The loop this thread has entered, or NULL. */
struct scope_loop *scope_loop_here(void);
/* A small uncounted message to an actor of this loop; NULL = no memory. */
struct scope_message *scope_loop_message(struct scope_loop *loop, struct scope_actor *actor,
        enum scope_kind kind, uint64_t tag, enum scope_err err);
/* Answers the requests that were freed unanswered in this turn. */
void scope_loop_answer_cancelled(struct scope_loop *loop, enum scope_err err);

/* --- actor.c ---------------------------------------------------------------------------------- */

/* Delivers without a slot: replies and errors. Any loop's actor. owns takes */
void scope_actor_deliver(struct scope_loop *from, struct scope_actor *target,
        struct scope_message *message);
/* Answers a request by its address. */
void scope_answer_error(struct scope_loop *loop, const struct scope_reply_to *to,
        struct scope_address sender, uint8_t lane, enum scope_err err);
/* Frees a message that nobody will receive; a request is answered `err`. */
void scope_message_discard(struct scope_loop *loop, struct scope_message *message,
        enum scope_err err);
/* Puts an error for the request in `slot` into the actor's own mailbox, once. */
void scope_pending_fail(struct scope_actor *actor, struct scope_pending *slot, enum scope_err err);
/* Ends the slot and cancels what runs for it. */
void scope_pending_drop(struct scope_actor *actor, struct scope_pending *slot);

/* --- supervisor.c ----------------------------------------------------------------------------- */
void scope_actor_live(struct scope_actor *actor, enum scope_actor_life life);
/* NEW to READY: zeroed state, init, START in the mailbox, an address that works.
 * errors  what init returned, SCOPE_ERR_MEMORY */
enum scope_err scope_actor_begin(struct scope_actor *actor);
void scope_actor_start(struct scope_actor *actor); /* READY to RUNNING */
/* Empties a dead actor's mailbox: requests are answered `err`. */
void scope_actor_flush(struct scope_actor *actor, enum scope_err err);
/* Restarts of the actor within the window that ends now. */
unsigned scope_supervisor_recent(const struct scope_actor *actor);
/* A turn ended with `failing` set. */
void scope_supervisor_fail(struct scope_actor *actor);
/* One compute job of this or an earlier incarnation is over. */
void scope_supervisor_job_ended(struct scope_actor *actor);
/* Looks around when orders changed: deaths, drain. */
void scope_supervisor_orders(struct scope_loop *loop);
/* DRAINING and nothing left to do: STOPPED. */
void scope_supervisor_try_stop(struct scope_actor *actor);

/* --- system.c --------------------------------------------------------------------------------- */
/* Orders rise by one and every loop looks around.       thread  any */
void scope_system_order(struct scope_system *system);
/* The first cause that ends the system; later ones are ignored.      thread  any */
void scope_system_fail(struct scope_system *system, enum scope_err err, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
bool scope_system_draining(const struct scope_system *system); /* thread  any */
void scope_system_notice(struct scope_actor *actor, const char *name, const char *text);

/* --- wait_graph.c ----------------------------------------------------------------------------- */
void scope_wait_graph_arm(struct scope_loop *loop);
