/* turn.c - a loop's work: collecting what arrived, and one actor's turn. */
#include <string.h>

#include "base/check.h"
#include "base/planted.h"
#include "runtime/core.h"

enum { QUANTUM = 16 }; /* turns of one actor in a row: its state is warm, and nobody starves */

static _Thread_local struct scope_loop *loop_here;

struct scope_loop *scope_loop_here(void)
{
        return loop_here;
}

void scope_loop_enter(struct scope_loop *loop)
{
        scope_assert(loop_here == NULL);
        loop_here = loop;
        scope_message_pool_enter(&loop->pool);
        loop->now_ns = loop->system->ops->now_ns(loop);
        if (loop->started)
                return;
        loop->started = true;
        for (uint32_t i = 0; i < loop->system->actor_count; i++) {
                struct scope_actor *actor = loop->system->actors[i];
                if (actor->loop == loop && actor->life == SCOPE_ACTOR_READY)
                        scope_actor_start(actor);
        }
}

void scope_loop_leave(struct scope_loop *loop)
{
        scope_assert(loop_here == loop);
        loop->now_ns = loop->system->ops->now_ns(loop);
        for (uint32_t i = 0; i < loop->system->actor_count; i++) {
                struct scope_actor *actor = loop->system->actors[i];
                if (actor->loop != loop)
                        continue;
                if (atomic_load_explicit(&actor->alive, memory_order_relaxed) != 0)
                        scope_usage_idle(&actor->usage, loop->now_ns);
                else
                        scope_usage_charge(&actor->usage, loop->now_ns,
                                actor->life == SCOPE_ACTOR_FAILED ? "failure" : "tail");
        }
        scope_message_pool_enter(NULL);
        loop_here = NULL;
}

/* --- who runs next ---------------------------------------------------------------------------- */

void scope_loop_unschedule(struct scope_loop *loop, struct scope_actor *actor)
{
        uint32_t kept = 0;
        for (uint32_t i = 0; i < loop->ready_count; i++) {
                struct scope_actor *other = loop->ready[(loop->ready_head + i) & loop->ready_mask];
                if (other != actor)
                        loop->ready[(loop->ready_head + kept++) & loop->ready_mask] = other;
        }
        loop->ready_count = kept;
        actor->scheduled = false;
}

void scope_loop_schedule(struct scope_loop *loop, struct scope_actor *actor)
{
        if (actor->scheduled ||
                (actor->life != SCOPE_ACTOR_RUNNING && actor->life != SCOPE_ACTOR_DRAINING))
                return;
        actor->scheduled = true;
        scope_assert(loop->ready_count <= loop->ready_mask);
        loop->ready[(loop->ready_head + loop->ready_count++) & loop->ready_mask] = actor;
}

struct scope_actor *scope_loop_ready_take(struct scope_loop *loop)
{
        if (loop->ready_count == 0)
                return NULL;
        struct scope_actor *actor = loop->ready[loop->ready_head];
        loop->ready_head = (loop->ready_head + 1) & loop->ready_mask;
        loop->ready_count--;
        return actor;
}

void scope_loop_arrive(struct scope_loop *loop, struct scope_actor *target,
        struct scope_message *message)
{
        scope_mailbox_append(&target->mailbox, message);
        if (atomic_load_explicit(&target->alive, memory_order_relaxed) == 0) {
                scope_actor_flush(target, SCOPE_ERR_DOWN);
                return;
        }
        if (SCOPE_PLANTED(WAKE_LOST) && (++loop->counts.planted & 63) == 0)
                return;
        scope_loop_schedule(loop, target);
}

void scope_loop_post(struct scope_actor *target)
{
        struct scope_loop *loop = target->loop;
        /* Acquire-release: either the loop, which clears `posted` before it looks into the mailbox,
         * sees our message, or we see `posted` clear. Pairs with the exchange in posted_collect. */
        if (atomic_exchange_explicit(&target->posted, true, memory_order_acq_rel))
                return;
        struct scope_actor *head = atomic_load_explicit(&loop->posted, memory_order_relaxed);
        do {
                target->posted_next = head;
                /* Release: posted_next; pairs with the acquire in posted_collect. */
        } while (!atomic_compare_exchange_weak_explicit(&loop->posted, &head, target,
                memory_order_release, memory_order_relaxed));
        if (head == NULL)
                loop->system->ops->wake(loop);
}

static void posted_collect(struct scope_loop *loop)
{
        if (atomic_load_explicit(&loop->posted, memory_order_relaxed) == NULL)
                return;
        /* Acquire: pairs with the release in scope_loop_post. */
        struct scope_actor *actor =
                atomic_exchange_explicit(&loop->posted, NULL, memory_order_acquire);
        while (actor != NULL) {
                struct scope_actor *next = actor->posted_next;
                (void)atomic_exchange_explicit(&actor->posted, false, memory_order_acq_rel);
                if (atomic_load_explicit(&actor->alive, memory_order_relaxed) == 0)
                        scope_actor_flush(actor, SCOPE_ERR_DOWN);
                else
                        scope_loop_schedule(loop, actor);
                actor = next;
        }
}

static void finished_collect(struct scope_loop *loop)
{
        if (atomic_load_explicit(&loop->finished, memory_order_relaxed) == NULL)
                return;
        /* Acquire: pairs with the release in scope_operation_post. */
        struct scope_operation *newest =
                atomic_exchange_explicit(&loop->finished, NULL, memory_order_acquire);
        struct scope_operation *oldest = NULL;
        while (newest != NULL) {
                struct scope_operation *next = newest->next;
                newest->next = oldest;
                oldest = newest;
                newest = next;
        }
        while (oldest != NULL) {
                struct scope_operation *next = oldest->next;
                scope_operation_finish(oldest, oldest->err);
                oldest = next;
        }
}

void scope_loop_collect(struct scope_loop *loop)
{
        loop->now_ns = loop->system->ops->now_ns(loop);
        posted_collect(loop);
        finished_collect(loop);
        scope_supervisor_orders(loop);
        struct scope_timer_node *node = NULL;
        while ((node = scope_timer_heap_take(&loop->timers, loop->now_ns)) != NULL)
                node->fire(loop, node);
}

uint64_t scope_loop_next_ns(const struct scope_loop *loop)
{
        return scope_timer_heap_next_ns(&loop->timers);
}

struct scope_message *scope_loop_message(struct scope_loop *loop, struct scope_actor *actor,
        enum scope_kind kind, uint64_t tag, enum scope_err err)
{
        struct scope_message *message = NULL;
        if (scope_message_pool_take(&loop->pool, 0, true, &message) != SCOPE_OK)
                return NULL;
        message->kind = (uint16_t)kind;
        message->lane = kind == SCOPE_KIND_START || kind == SCOPE_KIND_DOWN ? SCOPE_LANE_SYSTEM
                                                                          : SCOPE_LANE_CONTROL;
        message->tag = tag;
        message->err = err;
        message->target = scope_self(actor);
        return message;
}

/* --- a turn ----------------------------------------------------------------------------------- */

/* Replies, timers and completions carry the id of what they end; false = it is over already. */
static bool still_wanted(struct scope_actor *actor, struct scope_message *message)
{
        struct scope_pending *slot = scope_pending_find(&actor->pending, message->correlation);
        if (slot == NULL) {
                actor->loop->counts.late_replies++;
                return SCOPE_PLANTED(OLD_REPLY_DELIVERED) &&
                       (message->flags & SCOPE_MESSAGE_REPLY) != 0;
        }
        if (message->kind == SCOPE_KIND_HTTP_DATA)
                return true;
        if ((message->flags & SCOPE_MESSAGE_REPLY) != 0) {
                if (slot->kind != SCOPE_PENDING_REQUEST)
                        return false;
                message->tag = slot->tag;
                if (SCOPE_PLANTED(ANSWERED_TWICE) && message->kind != SCOPE_KIND_ERROR)
                        return true;
                actor->loop->counts.answered++;
        }
        if (message->kind == SCOPE_KIND_DOWN)
                actor->loop->counts.downs++;
        scope_timer_heap_remove(&actor->loop->timers, &slot->node);
        scope_pending_free(&actor->pending, slot);
        return true;
}

/* False: the message was not for this incarnation, not in time or not wanted, and is gone. */
static bool admissible(struct scope_actor *actor, struct scope_message *message)
{
        struct scope_loop *loop = actor->loop;
        bool other = message->target.incarnation != 0 &&
                     message->target.incarnation != actor->incarnation;
        if (other && !SCOPE_PLANTED(OLD_REPLY_DELIVERED) &&
                !(SCOPE_PLANTED(OLD_TIMERS_KEPT) && message->kind == SCOPE_KIND_TIMER)) {
                loop->counts.dead_letters++;
                scope_message_discard(loop, message, SCOPE_ERR_DOWN);
                return false;
        }
        /* An actor may send itself one, as the outbox does: it answers no slot. */
        bool completion = message->kind > SCOPE_KIND_START &&
                          message->kind <= SCOPE_KIND_ERROR && message->correlation != 0;
        if (completion || (message->flags & SCOPE_MESSAGE_REPLY) != 0) {
                if (still_wanted(actor, message))
                        return true;
                scope_message_release(message);
                return false;
        }
        if (message->deadline_ns != 0 && message->deadline_ns < loop->now_ns &&
                !SCOPE_PLANTED(DEADLINE_IGNORED)) {
                loop->counts.expired++;
                scope_message_discard(loop, message, SCOPE_ERR_DEADLINE);
                return false;
        }
        return true;
}

void scope_loop_answer_cancelled(struct scope_loop *loop, enum scope_err err)
{
        /* Each was delivered and freed unanswered; discard answers it by its REQUEST flag. */
        while (loop->cancelled != NULL) {
                struct scope_message *message = loop->cancelled;
                loop->cancelled = message->next;
                scope_message_discard(loop, message, err);
        }
}

/* Everything that follows whatever code of the actor ran. */
static void turn_end(struct scope_loop *loop, struct scope_actor *actor)
{
        loop->current = NULL;
        loop->trace = 0;
        if (loop->cancelled != NULL)
                scope_loop_answer_cancelled(loop, SCOPE_ERR_CANCELLED);
        if (actor->failing != SCOPE_OK)
                scope_supervisor_fail(actor);
        else if (actor->life == SCOPE_ACTOR_DRAINING)
                scope_supervisor_try_stop(actor);
}

void scope_loop_drain_turn(struct scope_loop *loop, struct scope_actor *actor)
{
        scope_assert(actor->life == SCOPE_ACTOR_RUNNING && !actor->drain_called);
        actor->drain_called = true;
        scope_actor_live(actor, SCOPE_ACTOR_DRAINING);
        loop->current = actor;
        scope_arena_reset(&actor->scratch);
        if (actor->class_->drain != NULL)
                actor->class_->drain(actor, actor->state);
        turn_end(loop, actor);
}

static void receive(struct scope_loop *loop, struct scope_actor *actor,
        struct scope_message *message)
{
        const struct scope_env_ops *ops = loop->system->ops;
        scope_usage_idle(&actor->usage, loop->now_ns);
        if ((message->flags & SCOPE_MESSAGE_REQUEST) != 0)
                message->flags |= SCOPE_FLAG_DUTY;
        loop->current = actor;
        loop->trace = message->trace;
        if (actor->scratch.used != 0)
                scope_arena_reset(&actor->scratch);
        actor->class_->receive(actor, actor->state, message);
        loop->now_ns = ops->now_ns(loop);
        scope_usage_busy(&actor->usage, loop->now_ns);
        scope_counter_add(&actor->usage.messages, 1);
        loop->counts.turns++;
}

/* One turn; false when there was no mail. */
static bool turn(struct scope_loop *loop, struct scope_actor *actor)
{
        struct scope_message *message = scope_mailbox_pop(&actor->mailbox);
        if (message == NULL)
                return false;
        bool start = message->kind == SCOPE_KIND_START;
        if (admissible(actor, message)) {
                if (loop->system->ops->observe != NULL)
                        loop->system->ops->observe(actor, SCOPE_OBSERVE_TURN, message);
                receive(loop, actor, message);
        }
        turn_end(loop, actor);
        if (start && actor->life == SCOPE_ACTOR_RUNNING) {
                actor->started = true;
                if (scope_system_draining(loop->system))
                        scope_loop_drain_turn(loop, actor);
        }
        return true;
}

void scope_loop_run(struct scope_loop *loop, struct scope_actor *actor, unsigned quantum)
{
        uint32_t incarnation = actor->incarnation;
        bool mail = true;
        while (mail && quantum-- > 0 && turn(loop, actor) &&
                atomic_load_explicit(&actor->alive, memory_order_relaxed) == incarnation)
                mail = !scope_mailbox_empty(&actor->mailbox);
        actor->scheduled = false;
        if (mail && !scope_mailbox_empty(&actor->mailbox))
                scope_loop_schedule(loop, actor);
}

bool scope_loop_turns(struct scope_loop *loop, unsigned turns_max)
{
        scope_loop_collect(loop);
        for (uint64_t end = loop->counts.turns + turns_max; loop->counts.turns < end;) {
                struct scope_actor *actor = scope_loop_ready_take(loop);
                if (actor == NULL)
                        return loop->look_again;
                scope_loop_run(loop, actor, QUANTUM);
                /* Acquire as in scope_supervisor_orders: the end of the run is an order, too. */
                if (atomic_load_explicit(&loop->system->orders, memory_order_acquire) !=
                        loop->orders_seen)
                        return true;
        }
        return loop->ready_count != 0;
}
