/* call_table.h - requests that become calls to one server: slots, deadlines, rests, the one timer.
 * Why: a server is slow, busy, down or wrong as it pleases; who asks is owed one answer in time all
 * the same. What is asked, and what a reply is worth, is the actor's; when and how often is here.
 *
 *   request -> WAITING -(gate open)-> CALLING -answered, refused, out of tries-> FREE
 *                 ^                      |
 *                 +------ RESTING <------+ failed
 *
 * (1) A deadline counts from the arrival of its request and is never moved. (2) A request that was
 * taken ends in one `give_up`, or in `answered`. (3) While the server is down, or the budget spent,
 * nobody waits for it unless `patient`; now and then one call is the probe. (4) What comes for an
 * earlier user of a slot reaches nobody. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "actors/call_gate.h"
#include "runtime/actor.h"

struct scope_text;

enum scope_call_stage {
        SCOPE_CALL_FREE,
        SCOPE_CALL_WAITING,
        SCOPE_CALL_CALLING,
        SCOPE_CALL_RESTING
};

/* One request and its present call. First member of the actor's own struct, which is zeroed when
 * the slot is free. */
struct scope_call {
        enum scope_call_stage stage;
        bool probe;
        uint32_t index, life;       /* life: told apart from earlier users of the slot */
        uint32_t tries;             /* calls made */
        uint64_t order;             /* of arrival */
        struct scope_message *held; /* the request; NULL: a probe of the table's own */
        struct scope_reply_to to;
        uint64_t arrived_ns, deadline_ns, rest_until_ns;
        uint64_t http, number, began_ns; /* of the call under way */
};

struct scope_call_hooks {
        /* Fills url, headers, bearer, body and response_bytes_max, and may shorten the timeouts;
         * where it fails no call is made. */
        enum scope_err (*write)(struct scope_actor *self, void *owner, struct scope_call *call,
                struct scope_http_request *http);
        /* More of the reply; false: no more of it is wanted. */
        bool (*feed)(struct scope_call *call, const void *bytes, size_t count);
        /* What status line and reply say together. */
        enum scope_call_end (*judge)(struct scope_actor *self, void *owner, struct scope_call *call,
                enum scope_err err, const struct scope_http_result *result);
        /* A call ended, however: for those who count, and for news of the circuit. */
        void (*ended)(struct scope_actor *self, void *owner, struct scope_call *call,
                enum scope_call_end end, enum scope_gate_change change, int32_t status);
        /* The request's reply is OK: answer it and release, or call again. */
        void (*answered)(struct scope_actor *self, void *owner, struct scope_call *call);
        /* Nothing more will be tried: answer it and release. */
        void (*give_up)(struct scope_actor *self, void *owner, struct scope_call *call,
                enum scope_err err);
        void (*clear)(struct scope_call *call); /* frees the reply; accepts a zeroed one */
};

struct scope_call_options {
        struct scope_gate_options gate;
        const struct scope_call_hooks *hooks;
        void *owner;
        size_t call_bytes;         /* of the actor's struct */
        uint32_t requests_max;
        uint64_t retries_max;
        uint64_t probe_timeout_ns; /* of a call without a request; 0: a request is the probe */
        bool patient;              /* a request waits for a server that is down */
};

struct scope_call_table {
        struct scope_call_options options;
        struct scope_gate gate;
        uint8_t *calls;
        uint32_t slots;
        uint64_t order, timer, timer_due_ns, retries; /* calls made again */
};

enum scope_err scope_call_table_init(
        struct scope_call_table *table, const struct scope_call_options *options);
void scope_call_table_fini(struct scope_call_table *table); /* accepts a zeroed one */

/* `base` without slashes at its end, and `path`. */
void scope_call_url(const char *base, const char *path, struct scope_text *ret_url);

/* A slot for a request; NULL: all are taken.
 * owns    takes *message unless NULL     thread  owner */
struct scope_call *scope_call_take(struct scope_actor *self, struct scope_call_table *table,
        struct scope_message **message, uint64_t timeout_ns);
void scope_call_again(struct scope_call_table *table, struct scope_call *call); /* at once */
void scope_call_release(struct scope_call_table *table, struct scope_call *call);

/* What came for a call, and the timer; to be followed by advance.       thread  owner */
void scope_call_table_receive(struct scope_actor *self, struct scope_call_table *table,
        const struct scope_message *message);
/* At the end of every turn: deadlines, rests that are over, calls that may start, the timer, and
 * why the actor is idle.                                                thread  owner */
void scope_call_table_advance(struct scope_actor *self, struct scope_call_table *table);

/* Gives up on everybody at once.                                        thread  owner */
void scope_call_table_drain(struct scope_actor *self, struct scope_call_table *table);
bool scope_call_table_idle(const struct scope_call_table *table);
