/* message.h - what actors exchange.
 * Why: one envelope for requests, replies, timers, completions and deaths, so that an actor has one
 * input and a test, a simulator or a network can stand on the other side.
 * (1) A message has one owner; send takes it and nulls the sender's pointer on success only.
 * (2) `payload` is 16-byte aligned and `bytes` long; pipeline payloads are one FlatBuffer each.
 * (3) No field holds a pointer that means anything to another actor but `attachment`, a shared
 * read-only buffer of which the message owns one reference. */
#pragma once

#include <stdint.h>

#include "base/error.h"

struct scope_actor;
struct scope_buffer;

enum scope_lane { SCOPE_LANE_SYSTEM, SCOPE_LANE_CONTROL, SCOPE_LANE_DATA, SCOPE_LANE_COUNT };

/* Kinds below SCOPE_KIND_USER are the runtime's own; actors/messages.h numbers the rest. */
enum scope_kind {
        SCOPE_KIND_NONE,
        SCOPE_KIND_START,        /* first message of every incarnation */
        SCOPE_KIND_TIMER,        /* tag = the timer's tag */
        SCOPE_KIND_COMPUTE_DONE, /* tag = the job's tag, err = its result */
        SCOPE_KIND_FILE_DONE,    /* tag, err */
        SCOPE_KIND_HTTP_DATA,    /* tag; payload = the next bytes of the body */
        SCOPE_KIND_HTTP_DONE,    /* tag, err; payload = struct scope_http_result */
        SCOPE_KIND_DOWN,         /* sender = the monitored actor's dead incarnation, err = why */
        SCOPE_KIND_ERROR,        /* the reply a request gets when it gets no other; err = why */
        SCOPE_KIND_USER = 32,
};

/* Of `flags`; the bits from 16 up are the runtime's own. */
enum { SCOPE_MESSAGE_REQUEST = 1, SCOPE_MESSAGE_REPLY = 2 };

/* Names an actor for as long as the system lives; never a pointer. incarnation 0 = whichever is
 * alive; a message to a dead incarnation is a dead letter (a request is answered
 * SCOPE_ERR_DOWN). */
struct scope_address {
        uint32_t node, actor, incarnation;
};

struct scope_message {
        struct scope_message *next; /* owner's use: lists of held messages */
        uint16_t kind;
        uint8_t lane, flags;
        uint32_t bytes;
        struct scope_address sender, target;
        uint64_t correlation; /* of a request and its reply, never 0 */
        uint64_t deadline_ns; /* absolute; 0 = none; an expired message is not delivered */
        uint64_t trace;       /* group id + 1, or 0; what a turn sends has its message's */
        uint64_t tag;         /* the caller's own word, echoed in completions and replies */
        enum scope_err err;
        struct scope_buffer *attachment;
        uint8_t *payload;
};

/* A message of `bytes` payload bytes (uninitialised) from the pool of the calling actor's loop.
 * owns    gives
 * errors  SCOPE_ERR_TOO_BIG: over SCOPE_MESSAGE_BYTES_MAX; SCOPE_ERR_MEMORY: the pool's cap
 * thread  owner */
enum scope_err scope_message_create(struct scope_actor *self, uint16_t kind, enum scope_lane lane,
        uint32_t bytes, struct scope_message **ret_message);

/* Gives block and attachment back; NULL is allowed. A request freed without a reply is answered
 * SCOPE_ERR_CANCELLED by the runtime when its receiver's turn ends.       thread  owner */
void scope_message_free(struct scope_message *message);
