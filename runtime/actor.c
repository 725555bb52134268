/* actor.c - the doors of actor.h but operations: messages, requests, timers, chance, itself. */
#include "runtime/actor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/planted.h"
#include "base/rng.h"
#include "runtime/core.h"

enum { REQUESTS_MAX = 4096, TIMERS_MAX = 256, MONITORS_MAX = 256, RETRY_NS = 1000000 };

static bool lives(const struct scope_actor *actor)
{
        return actor->life == SCOPE_ACTOR_RUNNING || actor->life == SCOPE_ACTOR_DRAINING;
}

/* --- sending ---------------------------------------------------------------------------------- */

/* Hands a message to its target; any slot it needs is reserved. */
static void dispatch(struct scope_loop *from, struct scope_actor *target,
        struct scope_message *message)
{
        if (target->loop != from) {
                scope_mailbox_append_shared(&target->mailbox, message);
                scope_loop_post(target);
                return;
        }
        if (from->system->ops->carry != NULL && from->system->ops->carry(target, message))
                return;
        scope_loop_arrive(from, target, message);
}

/* Everything that can refuse a message; on SCOPE_OK it carries a slot of *ret_target's lane. */
static enum scope_err admit(struct scope_actor *self, struct scope_address address,
        struct scope_message *message, struct scope_actor **ret_target)
{
        struct scope_system *system = self->system;
        scope_assert(message != NULL && message->lane < SCOPE_LANE_COUNT);
        if (!lives(self) || address.node != 0 || address.actor >= system->actor_count)
                return SCOPE_ERR_DOWN;
        struct scope_actor *target = system->actors[address.actor];
        /* Relaxed: a target that dies meanwhile treats the message as a dead letter. */
        uint32_t alive = atomic_load_explicit(&target->alive, memory_order_relaxed);
        if (alive == 0 || (address.incarnation != 0 && address.incarnation != alive))
                return SCOPE_ERR_DOWN;
        if (system->ops->refuse != NULL && system->ops->refuse(self, message) != SCOPE_OK)
                return SCOPE_ERR_AGAIN;
        bool reserved = target->loop == self->loop
                                ? scope_mailbox_reserve(&target->mailbox, message)
                                : scope_mailbox_reserve_shared(&target->mailbox, message);
        if (!reserved) {
                self->loop->counts.refused++;
                return SCOPE_ERR_AGAIN;
        }
        *ret_target = target;
        return SCOPE_OK;
}

enum scope_err scope_send(struct scope_actor *self, struct scope_address address,
        struct scope_message **message)
{
        struct scope_actor *target = NULL;
        enum scope_err err = admit(self, address, *message, &target);
        if (err != SCOPE_OK)
                return err;
        struct scope_message *sent = *message;
        *message = NULL;
        sent->target = address;
        if ((sent->flags & SCOPE_FLAG_DUTY) != 0) {
                /* A request passed on: whoever gets it answers the one who asked. */
                sent->flags &= (uint8_t)~SCOPE_FLAG_DUTY;
        } else {
                sent->flags &= (uint8_t)~(SCOPE_MESSAGE_REQUEST | SCOPE_MESSAGE_REPLY);
                sent->sender = scope_self(self);
                sent->correlation = 0;
        }
        dispatch(self->loop, target, sent);
        return SCOPE_OK;
}

static void request_late(void *owner, struct scope_timer_node *node)
{
        (void)owner;
        struct scope_pending *slot = scope_pending_of(node);
        if (SCOPE_PLANTED(DEADLINE_IGNORED))
                return;
        scope_pending_fail(slot->actor, slot, SCOPE_ERR_DEADLINE);
}

/* A slot of `self` whose node fires at `at_ns`. */
static enum scope_err take_timed(struct scope_actor *self, enum scope_pending_kind kind,
        uint32_t max, uint64_t at_ns, void (*fire)(void *, struct scope_timer_node *),
        struct scope_pending **ret_slot)
{
        const struct scope_env_ops *ops = self->system->ops;
        if (!lives(self))
                return SCOPE_ERR_DOWN;
        enum scope_err err = scope_pending_take(&self->pending, kind, max, ret_slot);
        if (err != SCOPE_OK)
                return err;
        struct scope_pending *slot = *ret_slot;
        slot->actor = self;
        slot->node.at_ns = at_ns;
        slot->node.tie = ops->tie != NULL ? ops->tie(self->loop) : 0;
        slot->node.fire = fire;
        err = scope_timer_heap_add(&self->loop->timers, &slot->node);
        if (err != SCOPE_OK)
                scope_pending_free(&self->pending, slot);
        return err;
}

enum scope_err scope_request(struct scope_actor *self, struct scope_address address,
        struct scope_message **message, uint64_t timeout_ns, const char *what,
        uint64_t *ret_correlation)
{
        struct scope_loop *loop = self->loop;
        scope_assert(((*message)->flags & SCOPE_FLAG_DUTY) == 0);
        if (timeout_ns == 0 || timeout_ns > UINT64_MAX - loop->now_ns)
                return SCOPE_ERR_ARGUMENT;
        struct scope_pending *slot = NULL;
        uint64_t deadline_ns = loop->now_ns + timeout_ns;
        enum scope_err err = take_timed(self, SCOPE_PENDING_REQUEST, REQUESTS_MAX, deadline_ns,
                request_late, &slot);
        if (err != SCOPE_OK)
                return err;
        struct scope_actor *target = NULL;
        err = admit(self, address, *message, &target);
        if (err != SCOPE_OK) {
                scope_timer_heap_remove(&loop->timers, &slot->node);
                scope_pending_free(&self->pending, slot);
                return err;
        }
        struct scope_message *sent = *message;
        *message = NULL;
        slot->tag = sent->tag;
        slot->trace = sent->trace;
        slot->lane = sent->lane;
        slot->target = (struct scope_address){ 0, target->index,
                atomic_load_explicit(&target->alive, memory_order_relaxed) };
        scope_wait_begin(slot, what, loop->now_ns, target->index);
        scope_wait_graph_arm(loop);
        sent->flags &= (uint8_t)~(SCOPE_MESSAGE_REPLY | SCOPE_FLAG_DUTY);
        sent->flags |= SCOPE_MESSAGE_REQUEST;
        sent->sender = scope_self(self);
        sent->target = address;
        sent->correlation = slot->id;
        sent->deadline_ns = deadline_ns;
        loop->counts.requests++;
        if (ret_correlation != NULL)
                *ret_correlation = slot->id;
        if (loop->system->ops->observe != NULL)
                loop->system->ops->observe(self, SCOPE_OBSERVE_REQUEST, sent);
        dispatch(loop, target, sent);
        return SCOPE_OK;
}

void scope_pending_fail(struct scope_actor *actor, struct scope_pending *slot, enum scope_err err)
{
        if (slot->failed)
                return;
        struct scope_loop *loop = actor->loop;
        struct scope_message *message =
                scope_loop_message(loop, actor, SCOPE_KIND_ERROR, slot->tag, err);
        scope_timer_heap_remove(&loop->timers, &slot->node);
        if (message == NULL) { /* no memory for 256 bytes: again in a moment */
                slot->node.at_ns = loop->now_ns + RETRY_NS;
                enum scope_err added = scope_timer_heap_add(&loop->timers, &slot->node);
                scope_assert(added == SCOPE_OK); /* the heap just lost this node: it has room */
                return;
        }
        slot->failed = true;
        message->lane = slot->lane;
        message->flags = SCOPE_MESSAGE_REPLY;
        message->correlation = slot->id;
        message->sender = slot->target;
        message->trace = slot->trace;
        scope_loop_arrive(loop, actor, message);
}

/* --- answering -------------------------------------------------------------------------------- */

void scope_actor_deliver(struct scope_loop *from, struct scope_actor *target,
        struct scope_message *message)
{
        scope_assert((message->flags & SCOPE_FLAG_COUNTED) == 0);
        dispatch(from, target, message);
}

void scope_reply_to(struct scope_actor *self, const struct scope_reply_to *to,
        struct scope_message **message)
{
        struct scope_message *sent = *message;
        *message = NULL;
        scope_assert(sent != NULL && (sent->flags & SCOPE_FLAG_DUTY) == 0);
        if (to->requester.actor >= self->system->actor_count || to->correlation == 0) {
                scope_message_release(sent);
                return;
        }
        sent->flags = SCOPE_MESSAGE_REPLY;
        sent->sender = scope_self(self);
        sent->target = to->requester;
        sent->correlation = to->correlation;
        sent->tag = to->tag;
        sent->trace = to->trace;
        sent->deadline_ns = 0;
        scope_actor_deliver(self->loop, self->system->actors[to->requester.actor], sent);
}

void scope_answer_error(struct scope_loop *loop, const struct scope_reply_to *to,
        struct scope_address sender, uint8_t lane, enum scope_err err)
{
        if (to->requester.actor >= loop->system->actor_count || to->correlation == 0)
                return;
        struct scope_actor *requester = loop->system->actors[to->requester.actor];
        struct scope_message *message =
                scope_loop_message(loop, requester, SCOPE_KIND_ERROR, to->tag, err);
        if (message == NULL) /* the requester's own deadline will answer */
                return;
        message->lane = lane;
        message->flags = SCOPE_MESSAGE_REPLY;
        message->sender = sender;
        message->target = to->requester;
        message->correlation = to->correlation;
        message->trace = to->trace;
        scope_actor_deliver(loop, requester, message);
}

static struct scope_reply_to reply_of(const struct scope_message *request)
{
        return (struct scope_reply_to){ request->sender, request->correlation, request->tag,
                request->trace, request->deadline_ns };
}

/* True when it was still to be answered; then it no longer is. */
static bool discharge(const struct scope_message *request)
{
        if ((request->flags & SCOPE_FLAG_DUTY) == 0)
                return false;
        /* The runtime's own bit of a message that is const to the actor. */
        ((struct scope_message *)request)->flags &= (uint8_t)~SCOPE_FLAG_DUTY;
        return true;
}

void scope_reply(struct scope_actor *self, const struct scope_message *request,
        struct scope_message **message)
{
        scope_assert(request != *message);
        struct scope_reply_to to = reply_of(request);
        if (!discharge(request))
                to.correlation = 0; /* answered before, or no request: the reply is dropped */
        scope_reply_to(self, &to, message);
}

void scope_reply_error(struct scope_actor *self, const struct scope_message *request,
        enum scope_err err)
{
        struct scope_reply_to to = reply_of(request);
        if (discharge(request))
                scope_answer_error(self->loop, &to, scope_self(self), request->lane, err);
}

struct scope_reply_to scope_reply_later(struct scope_message *request)
{
        struct scope_reply_to to = reply_of(request);
        if (!discharge(request))
                to.correlation = 0;
        return to;
}

void scope_reply_to_error(struct scope_actor *self, const struct scope_reply_to *to,
        enum scope_err err)
{
        scope_answer_error(self->loop, to, scope_self(self), SCOPE_LANE_DATA, err);
}

/* --- messages --------------------------------------------------------------------------------- */

enum scope_err scope_message_create(struct scope_actor *self, uint16_t kind, enum scope_lane lane,
        uint32_t bytes, struct scope_message **ret_message)
{
        scope_assert((unsigned)lane < SCOPE_LANE_COUNT);
        struct scope_message *message = NULL;
        enum scope_err err = scope_message_pool_take(&self->loop->pool, bytes, false, &message);
        if (err != SCOPE_OK)
                return err;
        message->kind = kind;
        message->lane = (uint8_t)lane;
        message->trace = self->loop->trace;
        *ret_message = message;
        return SCOPE_OK;
}

void scope_message_free(struct scope_message *message)
{
        if (message == NULL)
                return;
        struct scope_loop *loop = scope_loop_here();
        if ((message->flags & SCOPE_FLAG_DUTY) == 0 || loop == NULL) {
                scope_message_release(message);
                return;
        }
        message->next = loop->cancelled;
        loop->cancelled = message;
}

void scope_message_discard(struct scope_loop *loop, struct scope_message *message,
        enum scope_err err)
{
        if ((message->flags & SCOPE_MESSAGE_REQUEST) != 0) {
                struct scope_reply_to to = reply_of(message);
                scope_answer_error(loop, &to, message->target, message->lane, err);
        }
        scope_message_release(message);
}

/* --- waits that end --------------------------------------------------------------------------- */

void scope_pending_drop(struct scope_actor *actor, struct scope_pending *slot)
{
        struct scope_loop *loop = actor->loop;
        struct scope_operation *operation = slot->operation;
        scope_timer_heap_remove(&loop->timers, &slot->node);
        if (slot->kind == SCOPE_PENDING_REQUEST) {
                loop->counts.forgotten++;
                if (loop->system->ops->observe != NULL) {
                        struct scope_message probe = { .correlation = slot->id };
                        loop->system->ops->observe(actor, SCOPE_OBSERVE_FORGOTTEN, &probe);
                }
        }
        if (slot->kind == SCOPE_PENDING_MONITOR)
                loop->counts.unmonitored++;
        scope_pending_free(&actor->pending, slot);
        if (operation != NULL) {
                operation->pending = 0;
                operation->cancelled = true;
                if (loop->system->ops->cancel != NULL)
                        loop->system->ops->cancel(operation);
        }
}

enum scope_err scope_monitor(struct scope_actor *self, struct scope_address target)
{
        struct scope_loop *loop = self->loop;
        if (target.node != 0 || target.actor >= self->system->actor_count)
                return SCOPE_ERR_NOT_FOUND;
        if (!lives(self))
                return SCOPE_ERR_DOWN;
        const struct scope_actor *monitored = self->system->actors[target.actor];
        uint32_t alive = atomic_load_explicit(&monitored->alive, memory_order_relaxed);
        struct scope_pending *slot = NULL;
        enum scope_err err =
                scope_pending_take(&self->pending, SCOPE_PENDING_MONITOR, MONITORS_MAX, &slot);
        if (err != SCOPE_OK)
                return err;
        slot->actor = self;
        slot->target = target;
        if (target.incarnation == 0)
                slot->target.incarnation = alive;
        loop->counts.monitors++;
        if (slot->target.incarnation != alive || alive == 0)
                loop->look_again = true; /* dead already: the next look around tells */
        return SCOPE_OK;
}

/* --- time, chance ----------------------------------------------------------------------------- */

uint64_t scope_now_ns(const struct scope_actor *self)
{
        return self->loop->now_ns;
}

uint64_t scope_waited_ns(const struct scope_actor *self)
{
        return self->usage.waited_ns;
}

static void timer_due(void *owner, struct scope_timer_node *node)
{
        struct scope_loop *loop = owner;
        struct scope_pending *slot = scope_pending_of(node);
        struct scope_message *message =
                scope_loop_message(loop, slot->actor, SCOPE_KIND_TIMER, slot->tag, SCOPE_OK);
        if (message == NULL) {
                node->at_ns = loop->now_ns + RETRY_NS;
                enum scope_err added = scope_timer_heap_add(&loop->timers, node);
                scope_assert(added == SCOPE_OK); /* the heap just lost this node: it has room */
                return;
        }
        message->correlation = slot->id;
        message->trace = slot->trace;
        message->target.incarnation = slot->target.incarnation;
        scope_loop_arrive(loop, slot->actor, message);
}

enum scope_err scope_timer_start(struct scope_actor *self, uint64_t tag, uint64_t after_ns,
        uint64_t *ret_timer)
{
        struct scope_loop *loop = self->loop;
        struct scope_pending *slot = NULL;
        uint64_t late_ns = loop->system->ops->late != NULL ? loop->system->ops->late(self) : 0;
        uint64_t room_ns = UINT64_MAX - loop->now_ns;
        uint64_t wait_ns = after_ns > room_ns - late_ns ? room_ns : after_ns + late_ns;
        enum scope_err err = take_timed(self, SCOPE_PENDING_TIMER, TIMERS_MAX,
                loop->now_ns + wait_ns, timer_due, &slot);
        if (err != SCOPE_OK)
                return err;
        slot->tag = tag;
        slot->trace = loop->trace;
        slot->target = scope_self(self);
        if (ret_timer != NULL)
                *ret_timer = slot->id;
        return SCOPE_OK;
}

void scope_timer_stop(struct scope_actor *self, uint64_t timer)
{
        struct scope_pending *slot = scope_pending_find(&self->pending, timer);
        if (slot != NULL && slot->kind == SCOPE_PENDING_TIMER)
                scope_pending_drop(self, slot);
}

uint64_t scope_random(struct scope_actor *self, uint32_t stream)
{
        /* Streams may share a counter; each draw still depends on the actor's own calls only. */
        uint64_t *count = &self->random_counts[stream % SCOPE_RANDOM_STREAMS];
        return scope_hash_pair(scope_hash_pair(self->random_seed, stream), ++*count);
}

/* --- the actor itself ------------------------------------------------------------------------- */

struct scope_address scope_self(const struct scope_actor *self)
{
        return (struct scope_address){ 0, self->index, self->incarnation };
}

const char *scope_self_name(const struct scope_actor *self)
{
        return self->name;
}

struct scope_arena *scope_scratch(struct scope_actor *self)
{
        return &self->scratch;
}

bool scope_draining(const struct scope_actor *self)
{
        return self->life == SCOPE_ACTOR_DRAINING;
}

struct scope_ledger *scope_actor_ledger(struct scope_actor *self)
{
        return self->loop->index == 0 ? self->system->ledger : NULL;
}

void scope_fail(struct scope_actor *self, enum scope_err err, const char *why)
{
        if (self->failing != SCOPE_OK)
                return; /* the first cause is kept */
        self->failing = err != SCOPE_OK ? err : SCOPE_ERR_INTERNAL;
        (void)snprintf(self->why, sizeof self->why, "%s", why != NULL ? why : "");
}

void scope_fail_for_good(struct scope_actor *self, enum scope_err err, const char *why)
{
        scope_fail(self, err, why);
        self->for_good = true;
}

void scope_event(struct scope_actor *self, const char *name, const char *format, ...)
{
        const struct scope_system_options *options = &self->system->options;
        if (options->notice == NULL)
                return;
        char text[512];
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(text, sizeof text, format, arguments); /* a long text is cut */
        va_end(arguments);
        options->notice(options->notice_context,
                &(struct scope_notice){ self->loop->now_ns, self->name, name, text });
}

void scope_idle_cause(struct scope_actor *self, const char *cause)
{
        scope_usage_cause(&self->usage, cause);
}

void scope_idle_cause_of(struct scope_actor *self, struct scope_address whom, const char *cause)
{
        struct scope_system *system = self->system;
        if (whom.node != 0 || whom.actor >= system->actor_count)
                return;
        struct scope_actor *other = system->actors[whom.actor];
        if (other->loop != self->loop)
                return; /* its counters are another thread's */
        if (atomic_load_explicit(&other->alive, memory_order_relaxed) != 0)
                scope_usage_idle(&other->usage, self->loop->now_ns);
        scope_usage_withheld(&other->usage, cause);
}
