/* pending.h - everything an incarnation waits for: requests, timers, operations, monitors.
 * Why: one table answers "is this still wanted", "what dies with the actor", "who waits for whom".
 * (1) An id is never used twice by one actor, so a late answer matches nothing. 0 is no id.
 * (2) Slots do not move: the wait graph reads `wait` from another loop while the owner writes. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/message.h"
#include "runtime/timer_heap.h"

enum scope_pending_kind {
        SCOPE_PENDING_NONE,
        SCOPE_PENDING_REQUEST,
        SCOPE_PENDING_TIMER,
        SCOPE_PENDING_COMPUTE,
        SCOPE_PENDING_FILE,
        SCOPE_PENDING_HTTP,
        SCOPE_PENDING_MONITOR,
        SCOPE_PENDING_KINDS
};

/* Published for readers on other loops: consistent when `id` is the same before and after. */
struct scope_wait {
        _Atomic uint64_t id; /* 0 = nobody waits here */
        _Atomic(const char *) what;
        _Atomic uint64_t since_ns;
        _Atomic uint32_t target; /* actor index, or UINT32_MAX */
};

struct scope_operation;

struct scope_pending {
        struct scope_wait wait;
        uint64_t id;
        enum scope_pending_kind kind;
        uint32_t index;
        struct scope_pending *next_free;
        struct scope_actor *actor; /* whose table it is */
        uint64_t tag, trace;
        struct scope_address target; /* REQUEST, MONITOR: the incarnation asked */
        uint8_t lane;                /* REQUEST: its error comes back on the lane it went out on */
        bool failed;                 /* REQUEST: its error is in the mailbox */
        bool reported;               /* the wait was reported */
        struct scope_operation *operation;
        struct scope_timer_node node; /* deadline or timer */
};

static inline struct scope_pending *scope_pending_of(struct scope_timer_node *node)
{
        return (struct scope_pending *)((char *)node - offsetof(struct scope_pending, node));
}

enum {
        SCOPE_PENDING_CHUNK = 64,
        SCOPE_PENDING_CHUNKS = 96,
        SCOPE_PENDING_MAX = SCOPE_PENDING_CHUNK * SCOPE_PENDING_CHUNKS,
};

struct scope_pending_table {
        _Atomic(struct scope_pending *) chunks[SCOPE_PENDING_CHUNKS];
        struct scope_pending *free;
        uint32_t slots; /* ever used */
        uint32_t counts[SCOPE_PENDING_KINDS];
        uint64_t generation;
};

/* errors  SCOPE_ERR_LIMIT: `max` of this kind are outstanding; SCOPE_ERR_MEMORY
 * thread  owner */
enum scope_err scope_pending_take(struct scope_pending_table *table, enum scope_pending_kind kind,
        uint32_t max, struct scope_pending **ret_slot);
/* NULL when `id` is unknown or over. */
struct scope_pending *scope_pending_find(struct scope_pending_table *table, uint64_t id);
/* The caller has removed `node` from its heap. */
void scope_pending_free(struct scope_pending_table *table, struct scope_pending *slot);
/* The slot of that index, used or not, or NULL past the end.     thread  any (reads `wait` only) */
struct scope_pending *scope_pending_at(const struct scope_pending_table *table, uint32_t index);
void scope_pending_fini(struct scope_pending_table *table);

struct scope_wait_view {
        const char *what;
        uint64_t since_ns;
        uint32_t target;
};

/* Publishes / withdraws the wait; the owner's. */
void scope_wait_begin(struct scope_pending *slot, const char *what, uint64_t now_ns,
        uint32_t target);
void scope_wait_end(struct scope_pending *slot);
/* False when nobody waits in this slot, or no longer.                thread  any */
bool scope_wait_read(struct scope_pending *slot, struct scope_wait_view *ret_view);
