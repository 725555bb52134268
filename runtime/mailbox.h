/* mailbox.h - many senders, one receiver, three lanes, bounded.
 * Why: an actor is reachable from any thread without a lock, and a sender on the receiver's own
 * loop pays for no atomic operation at all.
 * (1) Only the owner pops. (2) Each lane holds at most `capacity` counted messages: a message
 * carries one of the lane's slots from push to pop; free slots lie either with the owner's loop
 * (local_free) or where other loops take them (shared_free). (3) One sender's order is kept
 * within a lane.
 * (4) Replies and the runtime's own messages are uncounted: what they answer was bounded when
 * asked.
 * (5) Neither side starves the other: the owner's loop keeps at most half of a lane's slots when
 * idle, and after another loop found shared_free empty (`starved`) it gets the next slot that
 * comes free. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/message.h"

/* The runtime's own bits of scope_message.flags, above SCOPE_MESSAGE_REQUEST and _REPLY. */
enum {
        SCOPE_FLAG_DUTY = 0x10,    /* a delivered request that nobody has answered yet */
        SCOPE_FLAG_COUNTED = 0x20, /* carries a slot of its lane */
        SCOPE_FLAG_SHARED = 0x40,  /* ... that was taken from shared_free */
};

struct scope_lane_queue {
        struct scope_message *head, *tail;
        uint32_t counted;    /* messages here that carry a slot */
        uint32_t local_free; /* slots */
        uint32_t capacity;
};

struct scope_mailbox {
        /* Owner's. */
        struct scope_lane_queue lanes[SCOPE_LANE_COUNT];
        uint32_t queued; /* messages in all lanes */
        /* Everybody's, on its own cache line. */
        _Alignas(64) _Atomic(struct scope_message *) remote; /* newest first */
        atomic_uint shared_free[SCOPE_LANE_COUNT];
        atomic_uint starved; /* bit a lane */
};

void scope_mailbox_init(struct scope_mailbox *box, const uint32_t capacity[SCOPE_LANE_COUNT]);

/* --- for the functions below ------------------------------------------------------------------ */

bool scope_mailbox_borrow(struct scope_mailbox *box, uint8_t lane); /* shared slots become local */
void scope_mailbox_collect_remote(struct scope_mailbox *box);
void scope_mailbox_slot_free(struct scope_mailbox *box, struct scope_message *message);

/* --- the owner's loop ------------------------------------------------------------------------- */

/* Takes a slot for `message` and marks it; false = the lane is full.     thread  owner's loop */
static inline bool scope_mailbox_reserve(struct scope_mailbox *box, struct scope_message *message)
{
        struct scope_lane_queue *queue = &box->lanes[message->lane];
        if (queue->local_free == 0 && !scope_mailbox_borrow(box, message->lane))
                return false;
        queue->local_free--;
        message->flags |= SCOPE_FLAG_COUNTED;
        return true;
}

/* Appends a message that carries a slot or needs none.
 * owns    takes     thread  owner's loop */
static inline void scope_mailbox_append(struct scope_mailbox *box, struct scope_message *message)
{
        struct scope_lane_queue *queue = &box->lanes[message->lane];
        message->next = NULL;
        if (queue->head == NULL)
                queue->head = message;
        else
                queue->tail->next = message;
        queue->tail = message;
        queue->counted += (message->flags & SCOPE_FLAG_COUNTED) != 0;
        box->queued++;
}

/* Moves what other threads appended into the lanes.     thread  owner's loop */
static inline void scope_mailbox_collect(struct scope_mailbox *box)
{
        /* Relaxed: a glance; collect_remote acquires. */
        if (atomic_load_explicit(&box->remote, memory_order_relaxed) != NULL)
                scope_mailbox_collect_remote(box);
}

/* The first of system, control, data; NULL = empty. Its slot is free again.
 * owns    gives     thread  owner's loop */
static inline struct scope_message *scope_mailbox_pop(struct scope_mailbox *box)
{
        scope_mailbox_collect(box);
        if (box->queued == 0)
                return NULL;
        struct scope_lane_queue *queue = box->lanes;
        while (queue->head == NULL)
                queue++;
        struct scope_message *message = queue->head;
        queue->head = message->next;
        message->next = NULL;
        box->queued--;
        if ((message->flags & SCOPE_FLAG_COUNTED) != 0)
                scope_mailbox_slot_free(box, message);
        return message;
}

/* True when nothing is queued or on its way from another thread.     thread  owner's loop */
static inline bool scope_mailbox_empty(const struct scope_mailbox *box)
{
        return box->queued == 0 &&
               atomic_load_explicit(&box->remote, memory_order_relaxed) == NULL;
}

/* --- any other thread ------------------------------------------------------------------------- */

/* As scope_mailbox_reserve and _append.                                       thread  any other */
bool scope_mailbox_reserve_shared(struct scope_mailbox *box, struct scope_message *message);
void scope_mailbox_append_shared(struct scope_mailbox *box, struct scope_message *message);
