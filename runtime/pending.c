#include "runtime/pending.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { INDEX_BITS = 13 };
_Static_assert(SCOPE_PENDING_MAX <= 1 << INDEX_BITS, "an index fits into an id");

struct scope_pending *scope_pending_at(const struct scope_pending_table *table, uint32_t index)
{
        if (index >= SCOPE_PENDING_MAX)
                return NULL;
        /* Acquire: the chunk's zeroed bytes; pairs with the release in `fresh`. */
        struct scope_pending *chunk = atomic_load_explicit(
                &table->chunks[index / SCOPE_PENDING_CHUNK], memory_order_acquire);
        return chunk == NULL ? NULL : &chunk[index % SCOPE_PENDING_CHUNK];
}

/* A slot never used before. */
static struct scope_pending *fresh(struct scope_pending_table *table)
{
        if (table->slots == SCOPE_PENDING_MAX)
                return NULL;
        uint32_t index = table->slots;
        if (index % SCOPE_PENDING_CHUNK == 0) {
                struct scope_pending *chunk = calloc(SCOPE_PENDING_CHUNK, sizeof(*chunk));
                if (chunk == NULL)
                        return NULL;
                /* Release: pairs with the acquire in scope_pending_at. */
                atomic_store_explicit(&table->chunks[index / SCOPE_PENDING_CHUNK], chunk,
                        memory_order_release);
        }
        table->slots++;
        struct scope_pending *slot = scope_pending_at(table, index);
        slot->index = index;
        return slot;
}

enum scope_err scope_pending_take(struct scope_pending_table *table, enum scope_pending_kind kind,
        uint32_t max, struct scope_pending **ret_slot)
{
        scope_assert(kind != SCOPE_PENDING_NONE && kind < SCOPE_PENDING_KINDS);
        if (table->counts[kind] >= max)
                return SCOPE_ERR_LIMIT;
        struct scope_pending *slot = table->free;
        if (slot != NULL)
                table->free = slot->next_free;
        else
                slot = fresh(table);
        if (slot == NULL)
                return SCOPE_ERR_MEMORY;
        scope_assert(slot->kind == SCOPE_PENDING_NONE && slot->node.position == 0);
        slot->kind = kind;
        slot->id = ++table->generation << INDEX_BITS | slot->index;
        slot->operation = NULL;
        slot->failed = slot->reported = false;
        table->counts[kind]++;
        *ret_slot = slot;
        return SCOPE_OK;
}

struct scope_pending *scope_pending_find(struct scope_pending_table *table, uint64_t id)
{
        uint32_t index = id & ((1u << INDEX_BITS) - 1);
        if (id == 0 || index >= table->slots)
                return NULL;
        struct scope_pending *slot = scope_pending_at(table, index);
        return slot->id == id ? slot : NULL;
}

void scope_pending_free(struct scope_pending_table *table, struct scope_pending *slot)
{
        scope_assert(slot->kind != SCOPE_PENDING_NONE && slot->node.position == 0);
        scope_wait_end(slot);
        table->counts[slot->kind]--;
        slot->kind = SCOPE_PENDING_NONE;
        slot->id = 0;
        slot->next_free = table->free;
        table->free = slot;
}

void scope_pending_fini(struct scope_pending_table *table)
{
        for (uint32_t c = 0; c < SCOPE_PENDING_CHUNKS; c++)
                free(atomic_load_explicit(&table->chunks[c], memory_order_relaxed));
        memset(table, 0, sizeof *table);
}

void scope_wait_begin(struct scope_pending *slot, const char *what, uint64_t now_ns,
        uint32_t target)
{
        atomic_store_explicit(&slot->wait.what, what, memory_order_relaxed);
        atomic_store_explicit(&slot->wait.since_ns, now_ns, memory_order_relaxed);
        atomic_store_explicit(&slot->wait.target, target, memory_order_relaxed);
        /* Release: the fields above; pairs with the acquire in scope_wait_read. */
        atomic_store_explicit(&slot->wait.id, slot->id, memory_order_release);
}

void scope_wait_end(struct scope_pending *slot)
{
        atomic_store_explicit(&slot->wait.id, 0, memory_order_relaxed);
        /* Keeps the fields of the slot's next wait behind this zero; pairs with the fence of the
         * reader, which then sees that the id has changed. */
        atomic_thread_fence(memory_order_release);
}

bool scope_wait_read(struct scope_pending *slot, struct scope_wait_view *ret_view)
{
        /* Acquire: pairs with the release in scope_wait_begin. */
        uint64_t id = atomic_load_explicit(&slot->wait.id, memory_order_acquire);
        if (id == 0)
                return false;
        ret_view->what = atomic_load_explicit(&slot->wait.what, memory_order_relaxed);
        ret_view->since_ns = atomic_load_explicit(&slot->wait.since_ns, memory_order_relaxed);
        ret_view->target = atomic_load_explicit(&slot->wait.target, memory_order_relaxed);
        /* Pairs with the fence in scope_wait_end. */
        atomic_thread_fence(memory_order_acquire);
        return atomic_load_explicit(&slot->wait.id, memory_order_relaxed) == id;
}
