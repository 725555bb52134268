/* env.h - the seam between the shared core and an environment (real or simulated).
 * Why: life cycle, mailboxes, requests, timers and supervision are written once; an environment
 * brings a clock, compute, files and HTTP, and drives the loops. Internal: actors include
 * actor.h only.
 *
 *   loop thread of an environment:
 *      scope_loop_enter(loop);
 *      while (!scope_system_finished(system))
 *              if (!scope_loop_turns(loop, 256))
 *                      sleep until wake(loop) or scope_loop_next_ns(loop);
 *      scope_loop_leave(loop);
 *
 * (1) Every operation handed to an environment comes back exactly once through
 * scope_operation_finish or _post, cancelled or not, also when the environment is destroyed.
 * (2) wake may be called from any thread, at any time between create and destroy, also for a loop
 * that is not asleep; it must not be lost by a loop that is about to sleep. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/actor.h"
#include "runtime/system.h"

struct scope_loop;

enum scope_operation_kind {
        SCOPE_OPERATION_COMPUTE,
        SCOPE_OPERATION_APPEND,
        SCOPE_OPERATION_REPLACE,
        SCOPE_OPERATION_HTTP,
        SCOPE_OPERATION_KINDS
};

/* One job, file write or HTTP call under way. Made and recycled by the core; it outlives the
 * actor. */
struct scope_operation {
        struct scope_operation *next;  /* the environment's, until it finishes or posts */
        struct scope_loop *loop;       /* of the actor */
        struct scope_address actor;    /* incarnation that asked */
        enum scope_operation_kind kind;
        enum scope_err err;            /* of a posted operation */
        bool cancelled;                /* the result is not wanted; the core sets it */
        uint64_t pending;              /* core: the actor's slot; 0 once that is gone */
        uint64_t tag, trace, begin_ns;
        uint64_t queued_ns;            /* COMPUTE: it waited so long for cores */
        const char *what;
        struct scope_message *done;    /* core: the completion, made in advance */
        struct scope_job job;          /* COMPUTE */
        char *name;                    /* APPEND, REPLACE: checked, relative; the core's */
        void *bytes;                   /* APPEND, REPLACE: the core's copy */
        size_t count;
        struct scope_http_result http; /* HTTP: the environment fills it before it finishes */
        /* ops->operation_bytes of the environment's own follow, zeroed: scope_operation_env */
};

static inline void *scope_operation_env(struct scope_operation *operation)
{
        return operation + 1;
}

/* What an environment provides. A NULL function is not there. */
struct scope_env_ops {
        const char *name;
        size_t operation_bytes;
        bool one_loop; /* every actor is put on loop 0 */

        /* Monotonic; cheap: read after every turn.                                  thread  loop */
        uint64_t (*now_ns)(struct scope_loop *loop);
        /* Actors of `loop` have mail, or the system's orders changed.               thread  any */
        void (*wake)(struct scope_loop *loop);

        /* Starts it. On failure nothing was started and finish must not be called. `request` is
         * NULL but for HTTP; it is borrowed for the call: copy.                     thread  loop */
        enum scope_err (*start)(struct scope_operation *operation,
                const struct scope_http_request *request);
        /* The result is not wanted any more: HTTP stops, the rest may run on. Finishes it sooner or
         * later, also inside this call.                                             thread  loop */
        void (*cancel)(struct scope_operation *operation);

        /* scope_system_run: drives loops until scope_system_finished, then joins its threads. */
        enum scope_err (*run)(struct scope_system *system);
        /* After this call no job runs any more; more calls do nothing. NULL: none runs but in
         * `run`. */
        void (*still)(struct scope_system *system);
        /* Every actor's fini has run. Finishes what is under way, frees system->env. */
        void (*destroy)(struct scope_system *system);

        /* --- the simulator's; all NULL in a real environment ------------------------------- */

        /* May refuse a send with AGAIN (a fault) before anything happened. */
        enum scope_err (*refuse)(struct scope_actor *self, const struct scope_message *message);
        /* True: the environment holds the message and calls scope_loop_arrive later. */
        bool (*carry)(struct scope_actor *target, struct scope_message *message);
        /* Extra nanoseconds for an actor's timer. */
        uint64_t (*late)(struct scope_actor *self);
        /* Orders timers of equal time. */
        uint64_t (*tie)(struct scope_loop *loop);
        /* Something happened; see enum scope_observation. */
        void (*observe)(struct scope_actor *actor, int observation,
                const struct scope_message *message);
};

/* --- what an environment calls ---------------------------------------------------------------- */

/* Makes system, loops and their pools. The environment then sets system->env and loop->env.
 * errors  SCOPE_ERR_MEMORY, SCOPE_ERR_ARGUMENT     owns  gives     thread  setup */
enum scope_err scope_core_create(const struct scope_system_options *options,
        const struct scope_env_ops *ops, struct scope_system **ret_system);

/* This thread is the loop from here on, until leave. Starts the loop's actors the first time. */
void scope_loop_enter(struct scope_loop *loop);
void scope_loop_leave(struct scope_loop *loop);

/* Takes posted mail, finished operations and orders, fires due timers, runs at most `turns_max`
 * turns. True when more could run at once.     thread  loop */
bool scope_loop_turns(struct scope_loop *loop, unsigned turns_max);

/* When the next timer is due; UINT64_MAX = never.                   thread  loop */
uint64_t scope_loop_next_ns(const struct scope_loop *loop);

/* All stopped, aborted, or failed.                                  thread  any */
bool scope_system_finished(const struct scope_system *system);

/* The operation is over: delivers its completion if it is still wanted and recycles it.
 * owns    takes operation     thread  the operation's loop */
void scope_operation_finish(struct scope_operation *operation, enum scope_err err);
/* The same from any thread; wakes the loop. */
void scope_operation_post(struct scope_operation *operation, enum scope_err err);
/* HTTP: the next bytes of the body, copied into one message.
 * errors  SCOPE_ERR_MEMORY: the pool's cap; SCOPE_ERR_CANCELLED: not wanted     thread  loop */
enum scope_err scope_operation_data(struct scope_operation *operation, const void *bytes,
        size_t count);
