/* loop.h - one event loop of the real environment: actors' turns, and libuv between them.
 * Why: an actor's turn and a socket's callback run on one thread, so neither needs a lock; a loop
 * with nothing to do sleeps, and whoever brings work pays for the wake-up only then.
 *
 *      AWAKE --(nothing to do)--> ASLEEP --(event, timer)--> AWAKE
 *      AWAKE | ASLEEP --wake--> NOTIFIED --(loop looks around)--> AWAKE       ASLEEP: uv_async_send
 *
 * (1) Only wake is called from other threads. (2) A wake is not lost: a loop goes to sleep from
 * AWAKE only, and is AWAKE again before it looks around. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct scope_loop;
struct scope_uv_loop;
struct uv_loop_s;

/* `core` is driven by it; `spin`: it may look briefly for work before it sleeps.
 * errors  SCOPE_ERR_MEMORY, SCOPE_ERR_INTERNAL     owns  gives, borrows `core`     thread  setup */
enum scope_err scope_uv_loop_create(
        struct scope_loop *core, bool spin, struct scope_uv_loop **ret_loop);

struct uv_loop_s *scope_uv_loop_handle(struct scope_uv_loop *loop);

/* Runs the core's loop on this thread until the system is finished.     thread  the loop's */
void scope_uv_loop_drive(struct scope_uv_loop *loop);

/* Also from a signal handler.                                           thread  any */
void scope_uv_loop_wake(struct scope_uv_loop *loop);

/* CPU time its thread used while driving: exact afterwards, up to 10 ms old meanwhile. */
uint64_t scope_uv_loop_cpu_ns(const struct scope_uv_loop *loop);

/* Operations that were posted after the loop stopped are finished.      thread  setup's */
void scope_uv_loop_finish_posted(struct scope_uv_loop *loop);

/* Runs close callbacks; every other handle was closed before. Accepts NULL.   thread  setup's */
void scope_uv_loop_destroy(struct scope_uv_loop *loop);
