/* supervisor.c - how actors begin, fail, come back and stop.
 * Why: a failure is contained in one incarnation: its mail, waits and timers die with it, those
 * who wait for it are told, and it comes back clean, unless it fails more often than the options
 * allow. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/planted.h"
#include "runtime/core.h"

enum { BACKOFF_NS = 10000000, BACKOFF_DOUBLINGS_MAX = 7 };

void scope_actor_live(struct scope_actor *actor, enum scope_actor_life life)
{
        actor->life = life;
        if (actor->system->ops->observe != NULL)
                actor->system->ops->observe(actor, SCOPE_OBSERVE_LIFE, NULL);
}

enum scope_err scope_actor_begin(struct scope_actor *actor)
{
        struct scope_loop *loop = actor->loop;
        memset(actor->state, 0, actor->class_->state_bytes);
        actor->incarnation++;
        actor->started = actor->drain_called = false;
        actor->failing = SCOPE_OK;
        scope_actor_live(actor, SCOPE_ACTOR_NEW);
        struct scope_message *start =
                scope_loop_message(loop, actor, SCOPE_KIND_START, 0, SCOPE_OK);
        if (start == NULL)
                return SCOPE_ERR_MEMORY;
        enum scope_err err = actor->class_->init(actor, actor->state, actor->args);
        if (err == SCOPE_OK && actor->failing != SCOPE_OK)
                err = actor->failing;
        if (err != SCOPE_OK) {
                if (actor->class_->fini != NULL)
                        actor->class_->fini(actor, actor->state);
                scope_message_release(start);
                return err;
        }
        scope_mailbox_append(&actor->mailbox, start);
        if (actor->incarnation > 1)
                scope_usage_charge(&actor->usage, loop->now_ns, "failure");
        else
                actor->usage.mark_ns = loop->now_ns;
        scope_usage_cause(&actor->usage, "starved");
        scope_actor_live(actor, SCOPE_ACTOR_READY);
        /* Release: whoever sees the incarnation may append; START is in the lane before. */
        atomic_store_explicit(&actor->alive, actor->incarnation, memory_order_release);
        return SCOPE_OK;
}

void scope_actor_start(struct scope_actor *actor)
{
        scope_assert(actor->life == SCOPE_ACTOR_READY);
        scope_actor_live(actor, SCOPE_ACTOR_RUNNING);
        if (actor->incarnation == 1)
                actor->usage.mark_ns = actor->loop->now_ns; /* not what setup took */
        scope_loop_schedule(actor->loop, actor);
}

/* --- death ------------------------------------------------------------------------------------ */

void scope_actor_flush(struct scope_actor *actor, enum scope_err err)
{
        struct scope_message *message = NULL;
        while ((message = scope_mailbox_pop(&actor->mailbox)) != NULL) {
                actor->loop->counts.dead_letters++;
                if ((message->flags & SCOPE_MESSAGE_REPLY) != 0)
                        scope_message_release(message);
                else
                        scope_message_discard(actor->loop, message, err);
        }
}

static void forget_pending(struct scope_actor *actor)
{
        for (uint32_t i = 0; i < actor->pending.slots; i++) {
                struct scope_pending *slot = scope_pending_at(&actor->pending, i);
                if (SCOPE_PLANTED(OLD_TIMERS_KEPT) && slot->kind == SCOPE_PENDING_TIMER)
                        continue;
                if (slot->kind != SCOPE_PENDING_NONE)
                        scope_pending_drop(actor, slot);
        }
}

/* The incarnation ends: no mail, no waits, no turns. Its state stays until fini. */
static void bury(struct scope_actor *actor, enum scope_err why, enum scope_err answer)
{
        struct scope_system *system = actor->system;
        struct scope_loop *loop = actor->loop;
        scope_usage_idle(&actor->usage, loop->now_ns);
        /* Relaxed: published by the release of `deaths` below. */
        atomic_store_explicit(&actor->down_err, (int)why, memory_order_relaxed);
        atomic_store_explicit(&actor->alive, 0, memory_order_relaxed);
        scope_loop_unschedule(loop, actor);
        forget_pending(actor);
        scope_actor_flush(actor, answer);
        /* Release: everything this incarnation sent; pairs with the acquire in sweep. */
        atomic_fetch_add_explicit(&system->deaths, 1, memory_order_release);
}

static void fini(struct scope_actor *actor, enum scope_err answer)
{
        if (actor->class_->fini != NULL)
                actor->class_->fini(actor, actor->state);
        scope_loop_answer_cancelled(actor->loop, answer);
}

static void go_down(struct scope_actor *actor)
{
        atomic_store_explicit(&actor->down, true, memory_order_release);
        atomic_fetch_sub_explicit(&actor->system->actors_up, 1, memory_order_acq_rel);
}

/* --- restart ---------------------------------------------------------------------------------- */

unsigned scope_supervisor_recent(const struct scope_actor *actor)
{
        uint64_t now_ns = actor->loop->now_ns, window_ns = actor->system->options.restart_window_ns;
        unsigned kept = actor->restart_count < SCOPE_RESTARTS_KEPT ? actor->restart_count
                                                                   : SCOPE_RESTARTS_KEPT;
        unsigned recent = 0;
        for (unsigned i = 0; i < kept; i++)
                recent += now_ns - actor->restarts[i] <= window_ns;
        return recent;
}

static void failed(struct scope_actor *actor, enum scope_err err);

static void restart(void *owner, struct scope_timer_node *node)
{
        (void)owner;
        size_t at = offsetof(struct scope_actor, restart_node);
        struct scope_actor *actor = (struct scope_actor *)((char *)node - at);
        scope_counter_add(&actor->usage.restarts, 1);
        enum scope_err err = scope_actor_begin(actor);
        if (err == SCOPE_OK) {
                scope_actor_start(actor);
                return;
        }
        if (actor->failing == SCOPE_OK)
                (void)snprintf(actor->why, sizeof actor->why, "could not start again");
        scope_actor_live(actor, SCOPE_ACTOR_FAILED);
        failed(actor, err);
}

static void give_up(struct scope_actor *actor, enum scope_err err, unsigned recent)
{
        struct scope_system *system = actor->system;
        go_down(actor);
        char text[2 * SCOPE_WHY_BYTES + 128];
        if (recent == 0)
                (void)snprintf(text, sizeof text, "%s (%s)", actor->why, scope_err_text(err));
        else
                (void)snprintf(text, sizeof text, "%s (%s) after %u restarts; first: %s (%s)",
                        actor->why, scope_err_text(err), recent, actor->first_why,
                        scope_err_text(actor->first_err));
        scope_system_notice(actor, "down", text);
        if (actor->essential)
                scope_system_fail(system, actor->first_err, "%s: %s", actor->name, text);
        scope_system_order(system);
}

/* The actor is FAILED and buried: it comes back, or stays down. */
static void failed(struct scope_actor *actor, enum scope_err err)
{
        struct scope_system *system = actor->system;
        struct scope_loop *loop = actor->loop;
        unsigned recent = scope_supervisor_recent(actor);
        if (recent == 0) {
                actor->first_err = err;
                memcpy(actor->first_why, actor->why, sizeof actor->why);
        }
        if (actor->for_good) {
                actor->first_err = err;
                give_up(actor, err, 0);
                return;
        }
        if (recent >= system->options.restarts_max) {
                give_up(actor, err, recent);
                return;
        }
        char text[SCOPE_WHY_BYTES + 64];
        (void)snprintf(text, sizeof text, "%s (%s), restart %u", actor->why, scope_err_text(err),
                recent + 1);
        scope_system_notice(actor, "restart", text);
        actor->restarts[actor->restart_count++ % SCOPE_RESTARTS_KEPT] = loop->now_ns;
        unsigned doublings = recent < BACKOFF_DOUBLINGS_MAX ? recent : BACKOFF_DOUBLINGS_MAX;
        actor->restart_node.at_ns =
                loop->now_ns + (recent == 0 ? 0 : (uint64_t)BACKOFF_NS << (doublings - 1));
        actor->restart_node.tie = system->ops->tie != NULL ? system->ops->tie(loop) : 0;
        actor->restart_node.fire = restart;
        if (scope_timer_heap_add(&loop->timers, &actor->restart_node) != SCOPE_OK)
                give_up(actor, SCOPE_ERR_MEMORY, recent);
}

/* Nothing uses the state of the dead any more: it is given back, and a new life may begin. */
static void settle(struct scope_actor *actor)
{
        enum scope_err err = actor->failing;
        actor->unsettled = false;
        fini(actor, SCOPE_ERR_DOWN);
        actor->failing = SCOPE_OK;
        /* Relaxed: only this loop writes it. */
        if (!atomic_load_explicit(&actor->down, memory_order_relaxed))
                failed(actor, err);
        scope_system_order(actor->system);
}

void scope_supervisor_fail(struct scope_actor *actor)
{
        scope_assert(actor->failing != SCOPE_OK && !actor->unsettled);
        scope_actor_live(actor, SCOPE_ACTOR_FAILED);
        bury(actor, actor->failing, SCOPE_ERR_DOWN);
        actor->unsettled = true;
        if (actor->jobs == 0)
                settle(actor);
        else
                scope_system_order(actor->system); /* who waits for it need not wait for its jobs */
}

void scope_supervisor_job_ended(struct scope_actor *actor)
{
        scope_assert(actor->jobs > 0);
        if (--actor->jobs == 0 && actor->unsettled && actor->life == SCOPE_ACTOR_FAILED)
                settle(actor);
}

/* --- orders: deaths and drain ----------------------------------------------------------------- */

/* False: no memory to tell now. */
static bool tell_down(struct scope_actor *actor, struct scope_pending *slot, enum scope_err why)
{
        struct scope_loop *loop = actor->loop;
        if (slot->failed)
                return true;
        if (why == SCOPE_OK) { /* it stopped in order: nothing to tell */
                scope_pending_drop(actor, slot);
                return true;
        }
        if (SCOPE_PLANTED(DOWN_DROPPED)) {
                scope_pending_free(&actor->pending, slot);
                return true;
        }
        struct scope_message *down = scope_loop_message(loop, actor, SCOPE_KIND_DOWN, 0, why);
        if (down == NULL)
                return false;
        slot->failed = true;
        down->sender = slot->target;
        down->correlation = slot->id;
        scope_loop_arrive(loop, actor, down);
        return true;
}

/* Requests and monitors of one actor whose target incarnation is dead. */
static bool sweep_actor(struct scope_actor *actor)
{
        struct scope_system *system = actor->system;
        bool told = true;
        /* What the dead sent before it died is in the mailbox first. */
        scope_mailbox_collect(&actor->mailbox);
        for (uint32_t i = 0; i < actor->pending.slots; i++) {
                struct scope_pending *slot = scope_pending_at(&actor->pending, i);
                if (slot->kind != SCOPE_PENDING_REQUEST && slot->kind != SCOPE_PENDING_MONITOR)
                        continue;
                struct scope_actor *target = system->actors[slot->target.actor];
                if (atomic_load_explicit(&target->alive, memory_order_relaxed) ==
                        slot->target.incarnation && slot->target.incarnation != 0)
                        continue;
                enum scope_err why = (enum scope_err)atomic_load_explicit(&target->down_err,
                        memory_order_relaxed);
                if (slot->kind == SCOPE_PENDING_REQUEST)
                        scope_pending_fail(actor, slot, SCOPE_ERR_DOWN);
                else
                        told = tell_down(actor, slot, why) && told;
        }
        return told;
}

static void sweep(struct scope_loop *loop)
{
        /* Acquire: pairs with the release in bury. */
        uint32_t deaths = atomic_load_explicit(&loop->system->deaths, memory_order_acquire);
        if (deaths == loop->deaths_seen && !loop->look_again)
                return;
        loop->deaths_seen = deaths;
        bool told = true;
        for (uint32_t i = 0; i < loop->system->actor_count; i++) {
                struct scope_actor *actor = loop->system->actors[i];
                if (actor->loop == loop &&
                        atomic_load_explicit(&actor->alive, memory_order_relaxed) != 0)
                        told = sweep_actor(actor) && told;
        }
        loop->look_again = !told;
}

/* Stops what has not stopped by itself. */
static void drain_late(void *owner, struct scope_timer_node *node)
{
        (void)node;
        struct scope_loop *loop = owner;
        for (uint32_t i = 0; i < loop->system->actor_count; i++) {
                struct scope_actor *actor = loop->system->actors[i];
                if (actor->loop != loop ||
                        atomic_load_explicit(&actor->down, memory_order_relaxed))
                        continue;
                scope_system_fail(loop->system, SCOPE_ERR_DEADLINE,
                        "%s was not done when the time to drain was over", actor->name);
                if (actor->life == SCOPE_ACTOR_FAILED) {
                        if (!actor->unsettled)
                                scope_timer_heap_remove(&loop->timers, &actor->restart_node);
                } else {
                        bury(actor, SCOPE_OK, SCOPE_ERR_CANCELLED);
                        scope_actor_live(actor, SCOPE_ACTOR_STOPPED);
                }
                go_down(actor);
        }
        scope_system_order(loop->system);
}

static void drain(struct scope_loop *loop)
{
        struct scope_system *system = loop->system;
        if (!loop->draining) {
                loop->draining = true;
                uint64_t timeout_ns =
                        atomic_load_explicit(&system->drain_timeout_ns, memory_order_relaxed);
                loop->drain_node.fire = drain_late;
                loop->drain_node.at_ns = timeout_ns > UINT64_MAX - loop->now_ns
                                                 ? UINT64_MAX
                                                 : loop->now_ns + timeout_ns;
                if (scope_timer_heap_add(&loop->timers, &loop->drain_node) != SCOPE_OK)
                        scope_system_fail(system, SCOPE_ERR_MEMORY, "no memory to drain");
        }
        for (uint32_t i = 0; i < system->actor_count; i++) {
                struct scope_actor *actor = system->actors[i];
                if (actor->loop != loop)
                        continue;
                if (actor->life == SCOPE_ACTOR_RUNNING && actor->started && !actor->drain_called)
                        scope_loop_drain_turn(loop, actor);
                else if (actor->life == SCOPE_ACTOR_DRAINING)
                        scope_supervisor_try_stop(actor);
        }
}

void scope_supervisor_orders(struct scope_loop *loop)
{
        /* Acquire: pairs with the release in scope_system_order. */
        uint32_t orders = atomic_load_explicit(&loop->system->orders, memory_order_acquire);
        if (orders == loop->orders_seen && !loop->look_again)
                return;
        loop->orders_seen = orders;
        sweep(loop);
        if (scope_system_draining(loop->system))
                drain(loop);
}

/* An actor stays while one that was added before it is up: that one may still ask it something. */
static bool earlier_are_down(const struct scope_actor *actor)
{
        for (uint32_t i = 0; i < actor->index; i++)
                /* Acquire: pairs with the release in go_down; what it sent is in our mailbox. */
                if (!atomic_load_explicit(&actor->system->actors[i]->down, memory_order_acquire))
                        return false;
        return true;
}

void scope_supervisor_try_stop(struct scope_actor *actor)
{
        const uint32_t *counts = actor->pending.counts;
        if (counts[SCOPE_PENDING_REQUEST] + counts[SCOPE_PENDING_COMPUTE] +
                        counts[SCOPE_PENDING_FILE] + counts[SCOPE_PENDING_HTTP] !=
                0)
                return;
        if (!earlier_are_down(actor) || !scope_mailbox_empty(&actor->mailbox))
                return;
        if (actor->class_->idle != NULL && !actor->class_->idle(actor->state))
                return;
        bury(actor, SCOPE_OK, SCOPE_ERR_DOWN);
        scope_actor_live(actor, SCOPE_ACTOR_STOPPED);
        go_down(actor);
        scope_system_order(actor->system);
}
