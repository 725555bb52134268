#include "runtime/outbox.h"

#include <stdlib.h>

#include "base/check.h"

static const uint64_t RETRY_NS = 500 * 1000;

/* A request that cannot be sent becomes its own answer: an error, addressed to the sender. */
static void turn_into_error(
        struct scope_actor *self, struct scope_outbox_entry *entry, enum scope_err err)
{
        struct scope_message *answer = NULL;
        if (scope_message_create(self, SCOPE_KIND_ERROR, SCOPE_LANE_CONTROL, 0, &answer) !=
                SCOPE_OK) {
                scope_fail(self, SCOPE_ERR_MEMORY, "no message left for an error answer");
                return;
        }
        answer->tag = entry->message->tag;
        answer->trace = entry->message->trace;
        answer->err = err;
        scope_message_free(entry->message);
        *entry = (struct scope_outbox_entry){ .message = answer, .target = scope_self(self) };
}

/* True when the entry is done with: sent, or freed because nobody is there to take it. */
static bool try_entry(struct scope_actor *self, struct scope_outbox_entry *entry)
{
        for (int round = 0; round < 2; round++) {
                enum scope_err err;
                uint64_t now = scope_now_ns(self), correlation;
                if (entry->what == NULL)
                        err = scope_send(self, entry->target, &entry->message);
                else if (now >= entry->deadline_ns)
                        err = SCOPE_ERR_DEADLINE;
                else
                        err = scope_request(self, entry->target, &entry->message,
                                entry->deadline_ns - now, entry->what, &correlation);
                if (err == SCOPE_OK)
                        return true;
                if (err == SCOPE_ERR_AGAIN)
                        return false;
                if (entry->what == NULL) {
                        scope_message_free(entry->message);
                        return true;
                }
                turn_into_error(self, entry, err);
                if (entry->what != NULL)
                        return true; /* the actor has failed */
        }
        return false;
}

static bool grow(struct scope_outbox *outbox)
{
        uint32_t capacity = outbox->capacity != 0 ? outbox->capacity * 2 : 32;
        if (capacity > SCOPE_OUTBOX_MAX)
                return false;
        struct scope_outbox_entry *entries = malloc(capacity * sizeof *entries);
        if (entries == NULL)
                return false;
        for (uint32_t i = 0; i < outbox->count; i++)
                entries[i] = outbox->entries[(outbox->first + i) % outbox->capacity];
        free(outbox->entries);
        outbox->entries = entries;
        outbox->capacity = capacity;
        outbox->first = 0;
        return true;
}

static void arm(struct scope_actor *self, struct scope_outbox *outbox)
{
        uint64_t timer;
        if (outbox->count == 0 || outbox->armed)
                return;
        if (scope_timer_start(self, SCOPE_OUTBOX_TIMER, RETRY_NS, &timer) == SCOPE_OK)
                outbox->armed = true;
        else
                scope_fail(self, SCOPE_ERR_LIMIT, "no timer left for the outbox");
}

static void flush(struct scope_actor *self, struct scope_outbox *outbox)
{
        while (outbox->count > 0 && try_entry(self, &outbox->entries[outbox->first])) {
                outbox->first = (outbox->first + 1) % outbox->capacity;
                outbox->count--;
        }
        arm(self, outbox);
}

static void put(
        struct scope_actor *self, struct scope_outbox *outbox, struct scope_outbox_entry entry)
{
        if (outbox->count == 0 && try_entry(self, &entry))
                return;
        if (outbox->count == outbox->capacity && !grow(outbox)) {
                scope_message_free(entry.message);
                scope_fail(self, SCOPE_ERR_LIMIT, "too many sends are waiting for full mailboxes");
                return;
        }
        outbox->entries[(outbox->first + outbox->count) % outbox->capacity] = entry;
        outbox->count++;
        arm(self, outbox);
}

void scope_outbox_send(struct scope_actor *self, struct scope_outbox *outbox,
        struct scope_address target, struct scope_message **message)
{
        struct scope_outbox_entry entry = { .message = *message, .target = target };
        scope_assert(*message != NULL);
        *message = NULL;
        put(self, outbox, entry);
}

void scope_outbox_request(struct scope_actor *self, struct scope_outbox *outbox,
        struct scope_address target, struct scope_message **message, uint64_t timeout_ns,
        const char *what)
{
        struct scope_outbox_entry entry = { .message = *message,
                .target = target,
                .what = what,
                .deadline_ns = scope_now_ns(self) + timeout_ns };
        scope_assert(*message != NULL && what != NULL && timeout_ns > 0);
        *message = NULL;
        put(self, outbox, entry);
}

bool scope_outbox_timer(
        struct scope_actor *self, struct scope_outbox *outbox, const struct scope_message *message)
{
        if (message->tag != SCOPE_OUTBOX_TIMER)
                return false;
        outbox->armed = false;
        flush(self, outbox);
        return true;
}

void scope_outbox_fini(struct scope_outbox *outbox)
{
        for (uint32_t i = 0; i < outbox->count; i++)
                scope_message_free(outbox->entries[(outbox->first + i) % outbox->capacity].message);
        free(outbox->entries);
        *outbox = (struct scope_outbox){ 0 };
}
