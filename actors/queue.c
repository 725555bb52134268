/* queue.c - the learner's bounded inbox of finished groups.
 * Why: the one place where a group waits for the learner, and so where its age is judged and where
 * back-pressure begins: a group that finds the queue full stays with its owner, who keeps its
 * credit.
 * (1) held <= queue_groups. (2) A group is handed over once, when the learner asked for it and it
 * is young enough; older ones are REJECTED_STALE and counted. (3) Where batches train in order, one
 * is handed over whole, at its version, in the order of group ids. */
#include <stdlib.h>

#include "actors/idle.h"
#include "actors/messages.h"
#include "actors/stages.h"
#include "algorithm/admission.h"
#include "base/check.h"
#include "base/planted.h"
#include "runtime/ledger.h"

struct entry {
        struct scope_message *message;
        uint64_t group, version_oldest, batch;
};

struct queue {
        const struct scope_stages *stages;
        struct scope_ledger *ledger;
        struct scope_outbox outbox;
        struct entry *held; /* [capacity], in order of arrival */
        uint32_t count, capacity;
        /* groups that found the queue full, in order; answered when taken */
        struct scope_message *parked;
        uint64_t wanted, version; /* of the learner's open PULL */
};

static enum scope_err queue_init(struct scope_actor *self, void *state, void *args)
{
        struct queue *queue = state;
        queue->stages = args;
        queue->ledger = scope_actor_ledger(self);
        if (queue->ledger == NULL)
                return SCOPE_ERR_REFUSED;
        queue->capacity = (uint32_t)queue->stages->options->pipeline.queue_groups;
        queue->held = calloc(queue->capacity, sizeof *queue->held);
        return queue->held != NULL ? SCOPE_OK : SCOPE_ERR_MEMORY;
}

static void notify_end(struct scope_actor *self, struct queue *queue, uint64_t group,
        enum scope_outcome outcome, uint64_t detail)
{
        struct scope_control control = {
                .group = group, .value = outcome, .version = queue->version
        };
        struct scope_message *message = NULL;
        scope_stages_audit(self, queue->stages,
                (struct scope_audit){ .kind = SCOPE_AUDIT_ENDED,
                        .group = group,
                        .value = outcome,
                        .version = detail });
        if (scope_message_of_control(
                    self, SCOPE_KIND_GROUP_END, SCOPE_LANE_CONTROL, &control, &message) == SCOPE_OK)
                scope_outbox_send(self, &queue->outbox, queue->stages->groups, &message);
}

/* The group at `at` of the queue goes to the learner, or ends because it is too old. */
static void hand_over(struct scope_actor *self, struct queue *queue, uint32_t at)
{
        struct entry entry = queue->held[at];
        uint64_t age = scope_age_of(queue->version, entry.version_oldest);
        enum scope_age verdict = scope_age_judge(&queue->stages->admission, age);
        for (uint32_t i = at + 1; i < queue->count; i++)
                queue->held[i - 1] = queue->held[i];
        queue->count--;
        if (SCOPE_PLANTED(STALE_OFF_BY_ONE) &&
                age == (uint64_t)queue->stages->admission.age_max + 1)
                verdict = SCOPE_AGE_STALE;
        if (verdict == SCOPE_AGE_REJECTED) {
                if (scope_ledger_end(queue->ledger, entry.group, SCOPE_REJECTED_STALE, age) ==
                        SCOPE_OK)
                        notify_end(self, queue, entry.group, SCOPE_REJECTED_STALE, age);
                scope_message_free(entry.message);
                return;
        }
        if (scope_ledger_set(queue->ledger, entry.group, SCOPE_SLOT_CLAIMED, queue->version,
                    NULL) != SCOPE_OK) {
                scope_message_free(entry.message); /* it ended meanwhile */
                return;
        }
        scope_stages_audit(self, queue->stages,
                (struct scope_audit){ .kind = SCOPE_AUDIT_CLAIMED,
                        .group = entry.group,
                        .version = queue->version,
                        .value = queue->count });
        entry.message->kind = SCOPE_KIND_BATCH;
        entry.message->tag = queue->count; /* still waiting */
        queue->wanted--;
        scope_outbox_send(self, &queue->outbox, queue->stages->learner, &entry.message);
}

/* The next entry to hand over; `count` where there is none. */
static uint32_t next_of(const struct queue *queue)
{
        uint32_t best = queue->count;
        if (!queue->stages->strategy->in_order || SCOPE_PLANTED(BATCHES_MIXED))
                return queue->count > 0 ? 0 : best;
        for (uint32_t i = 0; i < queue->count; i++)
                if (queue->held[i].batch == queue->version &&
                        (best == queue->count || queue->held[i].group < queue->held[best].group))
                        best = i;
        return best;
}

/* All that is asked for is here, or any part of it will do. */
static bool enough(const struct queue *queue)
{
        uint32_t count = 0;
        if (!queue->stages->strategy->in_order)
                return true;
        for (uint32_t i = 0; i < queue->count; i++)
                count += queue->held[i].batch == queue->version;
        return count >= queue->wanted;
}

static void take(struct scope_actor *self, struct queue *queue, struct scope_message *message);

static void serve(struct scope_actor *self, struct queue *queue)
{
        if (!enough(queue))
                return;
        while (queue->wanted > 0 && next_of(queue) < queue->count) {
                hand_over(self, queue, next_of(queue));
                while (queue->parked != NULL && queue->count < queue->capacity &&
                        !SCOPE_PLANTED(PARKED_FORGOTTEN)) {
                        struct scope_message *message = queue->parked;
                        queue->parked = message->next;
                        message->next = NULL;
                        take(self, queue, message);
                }
        }
}

/* Takes the message: into the queue, or frees it when the group has ended. */
static void take(struct scope_actor *self, struct queue *queue, struct scope_message *message)
{
        struct scope_group group;
        enum scope_err err =
                scope_message_read_group(self, message, &queue->stages->limits, &group);
        if (err == SCOPE_OK)
                err = scope_ledger_set(queue->ledger, group.group, SCOPE_SLOT_QUEUED, 1, NULL);
        scope_reply_taken(self, message);
        if (err != SCOPE_OK) {
                scope_message_free(message); /* taken before, or ended */
                return;
        }
        message->flags = 0;
        struct entry *entry = &queue->held[queue->count++];
        *entry = (struct entry){
                .message = message, .group = group.group, .version_oldest = group.version_oldest
        };
        (void)scope_ledger_get(queue->ledger, group.group, SCOPE_SLOT_BATCH, &entry->batch);
        scope_stages_audit(self, queue->stages,
                (struct scope_audit){ .kind = SCOPE_AUDIT_QUEUED,
                        .group = group.group,
                        .version = group.version_oldest,
                        .value = queue->count });
}

static void offered(struct scope_actor *self, struct queue *queue, struct scope_message *message)
{
        if (queue->count == queue->capacity) {
                struct scope_message **last = &queue->parked;
                while (*last != NULL)
                        last = &(*last)->next;
                message->next = NULL;
                *last = message;
                return;
        }
        take(self, queue, message);
        serve(self, queue);
}

static void pulled(struct scope_actor *self, struct queue *queue, struct scope_message *message)
{
        struct scope_control control;
        if (scope_message_read_control(self, message, &queue->stages->limits, &control) ==
                SCOPE_OK) {
                queue->wanted = control.value;
                queue->version = control.version;
                serve(self, queue);
        }
        scope_message_free(message);
}

/* Groups that an earlier life of this actor held are lost. */
static void forget_lost(struct scope_actor *self, struct queue *queue)
{
        uint32_t cursor = 0;
        uint64_t id;
        while (scope_ledger_next_where(
                queue->ledger, &cursor, SCOPE_SLOT_QUEUED, SCOPE_SLOT_CLAIMED, &id)) {
                if (scope_ledger_end(queue->ledger, id, SCOPE_FAILED, SCOPE_FAILURE_QUEUE_LOST) ==
                        SCOPE_OK)
                        notify_end(self, queue, id, SCOPE_FAILED, SCOPE_FAILURE_QUEUE_LOST);
        }
}

/* It only keeps: full of what nobody asked for, or of what is no whole batch yet. */
static enum scope_idle idle_because(const struct queue *queue)
{
        if (queue->count == 0)
                return SCOPE_IDLE_STARVED;
        return queue->wanted == 0 ? SCOPE_IDLE_BLOCKED : SCOPE_IDLE_BARRIER;
}

static void queue_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct queue *queue = state;
        switch (message->kind) {
        case SCOPE_KIND_START:
                forget_lost(self, queue);
                scope_message_free(message);
                break;
        case SCOPE_KIND_GROUP:
                offered(self, queue, message);
                break;
        case SCOPE_KIND_PULL:
                pulled(self, queue, message);
                break;
        case SCOPE_KIND_TIMER:
                (void)scope_outbox_timer(self, &queue->outbox, message); /* it has no other timer */
                scope_message_free(message);
                break;
        default:
                scope_message_free(message);
                break;
        }
        scope_idle_cause(self, scope_idle_words[idle_because(queue)]);
}

static void queue_fini(struct scope_actor *self, void *state)
{
        struct queue *queue = state;
        (void)self;
        for (uint32_t i = 0; i < queue->count && queue->held != NULL; i++)
                scope_message_free(queue->held[i].message);
        while (queue->parked != NULL) {
                struct scope_message *next = queue->parked->next;
                scope_message_free(queue->parked);
                queue->parked = next;
        }
        free(queue->held);
        scope_outbox_fini(&queue->outbox);
}

const struct scope_actor_class scope_queue_class = {
        .name = "queue",
        .state_bytes = sizeof(struct queue),
        .scratch_bytes = 16 << 20,
        .init = queue_init,
        .receive = queue_receive,
        .fini = queue_fini,
};
