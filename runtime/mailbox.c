#include "runtime/mailbox.h"

#include <stddef.h>

#include "base/check.h"
#include "base/planted.h"

void scope_mailbox_init(struct scope_mailbox *box, const uint32_t capacity[SCOPE_LANE_COUNT])
{
        *box = (struct scope_mailbox){ 0 };
        atomic_init(&box->remote, NULL);
        atomic_init(&box->starved, 0);
        for (int lane = 0; lane < SCOPE_LANE_COUNT; lane++) {
                uint32_t slots = capacity[lane] + (SCOPE_PLANTED(MAILBOX_OFF_BY_ONE) ? 1 : 0);
                box->lanes[lane].capacity = capacity[lane];
                box->lanes[lane].local_free = slots / 2;
                atomic_init(&box->shared_free[lane], slots - slots / 2);
        }
}

/* Takes up to half, rounded up, of a lane's shared slots. Relaxed: slots are only counted; the
 * messages they stand for are published by `remote`. */
static uint32_t take_shared(atomic_uint *shared_free, uint32_t wanted_max)
{
        uint32_t found = atomic_load_explicit(shared_free, memory_order_relaxed);
        uint32_t taken = 0;
        do {
                taken = found - found / 2;
                if (taken > wanted_max)
                        taken = wanted_max;
                if (taken == 0)
                        return 0;
        } while (!atomic_compare_exchange_weak_explicit(shared_free, &found, found - taken,
                memory_order_relaxed, memory_order_relaxed));
        return taken;
}

bool scope_mailbox_borrow(struct scope_mailbox *box, uint8_t lane)
{
        box->lanes[lane].local_free = take_shared(&box->shared_free[lane], UINT32_MAX);
        return box->lanes[lane].local_free != 0;
}

bool scope_mailbox_reserve_shared(struct scope_mailbox *box, struct scope_message *message)
{
        scope_assert(message->lane < SCOPE_LANE_COUNT);
        if (take_shared(&box->shared_free[message->lane], 1) == 0) {
                /* Relaxed: a hint for the owner's next pop. */
                atomic_fetch_or_explicit(&box->starved, 1u << message->lane, memory_order_relaxed);
                return false;
        }
        message->flags |= SCOPE_FLAG_COUNTED | SCOPE_FLAG_SHARED;
        return true;
}

void scope_mailbox_append_shared(struct scope_mailbox *box, struct scope_message *message)
{
        struct scope_message *head = atomic_load_explicit(&box->remote, memory_order_relaxed);
        do {
                message->next = head;
                /* Release: the message's bytes; pairs with the acquire in
                 * scope_mailbox_collect_remote. */
        } while (!atomic_compare_exchange_weak_explicit(&box->remote, &head, message,
                memory_order_release, memory_order_relaxed));
}

void scope_mailbox_collect_remote(struct scope_mailbox *box)
{
        /* Acquire: pairs with the release in scope_mailbox_append_shared. */
        struct scope_message *newest =
                atomic_exchange_explicit(&box->remote, NULL, memory_order_acquire);
        struct scope_message *oldest = NULL;
        while (newest != NULL) {
                struct scope_message *next = newest->next;
                newest->next = oldest;
                oldest = newest;
                newest = next;
        }
        while (oldest != NULL) {
                struct scope_message *next = oldest->next;
                scope_mailbox_append(box, oldest);
                oldest = next;
        }
}

void scope_mailbox_slot_free(struct scope_mailbox *box, struct scope_message *message)
{
        struct scope_lane_queue *queue = &box->lanes[message->lane];
        unsigned bit = 1u << message->lane;
        bool shared = (message->flags & SCOPE_FLAG_SHARED) != 0;
        queue->counted--;
        message->flags &= (uint8_t)~(SCOPE_FLAG_COUNTED | SCOPE_FLAG_SHARED);
        if (!shared && (atomic_load_explicit(&box->starved, memory_order_relaxed) & bit) != 0) {
                atomic_fetch_and_explicit(&box->starved, ~bit, memory_order_relaxed);
                shared = true;
        }
        if (shared || queue->local_free >= queue->capacity / 2)
                atomic_fetch_add_explicit(&box->shared_free[message->lane], 1,
                        memory_order_relaxed);
        else
                queue->local_free++;
}
