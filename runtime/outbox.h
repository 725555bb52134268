/* outbox.h - sends that wait their turn.
 * Why: a full mailbox is a normal path; every actor needs the same small answer to it: keep the
 * order, try again soon, never block, never drop.
 * (1) Messages of one outbox leave in the order they were given. (2) At most SCOPE_OUTBOX_MAX wait;
 * past that the actor fails with SCOPE_ERR_LIMIT, which is a sizing bug said aloud. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "runtime/actor.h"

enum { SCOPE_OUTBOX_MAX = 4096 };

struct scope_outbox_entry {
        struct scope_message *message;
        struct scope_address target;
        const char *what;     /* NULL: a plain send */
        uint64_t deadline_ns; /* of a request */
};

/* Ring of waiting sends; zeroed is empty. */
struct scope_outbox {
        struct scope_outbox_entry *entries;
        uint32_t first, count, capacity;
        bool armed;
};

/* Timer tag an actor must hand to scope_outbox_timer; no actor chooses it for itself. */
#define SCOPE_OUTBOX_TIMER 0xffffffff00000001ull

/* As scope_send, but a full target is no error: the message waits here. A message to a dead
 * incarnation is freed.
 * owns    takes *message always     thread  owner */
void scope_outbox_send(struct scope_actor *self, struct scope_outbox *outbox,
        struct scope_address target, struct scope_message **message);

/* As scope_request; the answer's `tag` is message->tag. Time spent waiting here counts against
 * timeout_ns. A request that cannot be sent comes back as SCOPE_KIND_ERROR like any other.
 * owns    takes *message always     thread  owner */
void scope_outbox_request(struct scope_actor *self, struct scope_outbox *outbox,
        struct scope_address target, struct scope_message **message, uint64_t timeout_ns,
        const char *what);

/* For every SCOPE_KIND_TIMER: true when the timer was the outbox's own.   thread  owner */
bool scope_outbox_timer(struct scope_actor *self, struct scope_outbox *outbox,
        const struct scope_message *message);

/* Frees what waits; accepts a zeroed one.                                 thread  owner */
void scope_outbox_fini(struct scope_outbox *outbox);
