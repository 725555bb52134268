#include "runtime/message_pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/limits.h"

#if defined(__SANITIZE_ADDRESS__)
#define POOL_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_POISON 1
#endif
#endif
#ifdef POOL_POISON
#include <sanitizer/asan_interface.h>
#define poison(start, bytes) ASAN_POISON_MEMORY_REGION(start, bytes)
#define unpoison(start, bytes) ASAN_UNPOISON_MEMORY_REGION(start, bytes)
#else
#define poison(start, bytes) ((void)(start), (void)(bytes))
#define unpoison(start, bytes) ((void)(start), (void)(bytes))
#endif

enum {
        BLOCK_BYTES_MIN = 256,
        SLAB_CLASS_MAX = 6, /* 16 KiB: larger blocks are allocated one by one */
        SLAB_HEADER_BYTES = 64
};

/* The payload follows. */
struct scope_block {
        _Alignas(64) struct scope_message_pool *pool;
        struct scope_block *next;
        uint32_t size_class;
        struct scope_message message;
};
enum { MESSAGE_AT = offsetof(struct scope_block, message) };
static_assert(sizeof(struct scope_block) == 128, "payload starts on a cache line");
static_assert((size_t)BLOCK_BYTES_MIN << (SCOPE_POOL_CLASSES - 1) >=
                      SCOPE_MESSAGE_BYTES_MAX + sizeof(struct scope_block),
        "the largest message fits the largest class");

static _Thread_local struct scope_message_pool *pool_here;

void scope_message_pool_enter(struct scope_message_pool *pool)
{
        pool_here = pool;
}

void scope_message_pool_init(struct scope_message_pool *pool, size_t bytes_max)
{
        *pool = (struct scope_message_pool){ .bytes_max = bytes_max };
        atomic_init(&pool->returned, NULL);
}

static size_t class_bytes(uint32_t size_class)
{
        return (size_t)BLOCK_BYTES_MIN << size_class;
}

static uint32_t class_of(size_t bytes)
{
        if (bytes <= BLOCK_BYTES_MIN)
                return 0;
        return (uint32_t)(64 - __builtin_clzll((bytes - 1) / BLOCK_BYTES_MIN));
}

static void block_keep(struct scope_message_pool *pool, struct scope_block *block)
{
        block->next = pool->free[block->size_class];
        pool->free[block->size_class] = block;
        poison(&block->message, class_bytes(block->size_class) - MESSAGE_AT);
}

/* Takes back what other threads freed. */
static void collect_returned(struct scope_message_pool *pool)
{
        /* Acquire: pairs with the release in scope_message_release. */
        struct scope_block *block =
                atomic_exchange_explicit(&pool->returned, NULL, memory_order_acquire);
        while (block != NULL) {
                struct scope_block *next = block->next;
                block_keep(pool, block);
                pool->blocks_out--;
                block = next;
        }
}

/* Gives cached big blocks back to the heap. */
static void trim(struct scope_message_pool *pool)
{
        for (uint32_t c = SLAB_CLASS_MAX + 1; c < SCOPE_POOL_CLASSES; c++)
                while (pool->free[c] != NULL) {
                        struct scope_block *block = pool->free[c];
                        pool->free[c] = block->next;
                        pool->bytes_held -= class_bytes(c);
                        unpoison(block, class_bytes(c));
                        free(block);
                }
}

static bool fits(const struct scope_message_pool *pool, size_t bytes)
{
        return pool->bytes_held <= pool->bytes_max && bytes <= pool->bytes_max - pool->bytes_held;
}

/* Adds free blocks of this class. */
static bool grow(struct scope_message_pool *pool, uint32_t size_class, bool exempt)
{
        bool slab = size_class <= SLAB_CLASS_MAX;
        size_t bytes = slab ? (size_t)SCOPE_POOL_SLAB_BYTES : class_bytes(size_class);
        if (!exempt && !fits(pool, bytes))
                trim(pool);
        if (!exempt && !fits(pool, bytes))
                return false;
        uint8_t *memory = aligned_alloc(64, slab ? bytes + SLAB_HEADER_BYTES : bytes);
        if (memory == NULL)
                return false;
        pool->bytes_held += bytes;
        if (slab) {
                *(void **)memory = pool->slabs;
                pool->slabs = memory;
                memory += SLAB_HEADER_BYTES;
        }
        for (size_t at = 0; at < bytes; at += class_bytes(size_class)) {
                struct scope_block *block = (struct scope_block *)(memory + at);
                block->pool = pool;
                block->size_class = size_class;
                block_keep(pool, block);
        }
        return true;
}

/* Field by field: for the whole struct compilers choose `rep stos`, which costs more than the
 * rest of a round trip's allocation. */
static inline void message_clear(struct scope_message *message, uint32_t bytes, uint8_t *payload)
{
        static_assert(sizeof(struct scope_message) == 96, "a new field must be cleared here");
        message->next = NULL;
        message->kind = 0;
        message->lane = message->flags = 0;
        message->bytes = bytes;
        message->sender = message->target = (struct scope_address){ 0 };
        message->correlation = 0;
        message->deadline_ns = 0;
        message->trace = 0;
        message->tag = 0;
        message->err = SCOPE_OK;
        message->attachment = NULL;
        message->payload = payload;
}

/* The free list was empty. */
__attribute__((noinline)) static bool refill(struct scope_message_pool *pool, uint32_t size_class,
        bool exempt)
{
        collect_returned(pool);
        return pool->free[size_class] != NULL || grow(pool, size_class, exempt);
}

enum scope_err scope_message_pool_take(struct scope_message_pool *pool, uint32_t bytes, bool exempt,
        struct scope_message **ret_message)
{
        if (bytes > SCOPE_MESSAGE_BYTES_MAX)
                return SCOPE_ERR_TOO_BIG;
        uint32_t size_class = class_of(sizeof(struct scope_block) + bytes);
        if (pool->free[size_class] == NULL && !refill(pool, size_class, exempt))
                return SCOPE_ERR_MEMORY;
        struct scope_block *block = pool->free[size_class];
        pool->free[size_class] = block->next;
        pool->blocks_out++;
        unpoison(&block->message, class_bytes(size_class) - MESSAGE_AT);
        message_clear(&block->message, bytes, (uint8_t *)(block + 1));
        *ret_message = &block->message;
        return SCOPE_OK;
}

void scope_message_release(struct scope_message *message)
{
        struct scope_block *block = (struct scope_block *)((uint8_t *)message - MESSAGE_AT);
        struct scope_message_pool *pool = block->pool;
        if (message->attachment != NULL)
                scope_buffer_drop(message->attachment);
        if (pool == pool_here) {
                scope_assert(pool->blocks_out > 0);
                pool->blocks_out--;
                block_keep(pool, block);
                return;
        }
        struct scope_block *head = atomic_load_explicit(&pool->returned, memory_order_relaxed);
        do {
                block->next = head;
                /* Release: our last use of the block; pairs with collect_returned. */
        } while (!atomic_compare_exchange_weak_explicit(&pool->returned, &head, block,
                memory_order_release, memory_order_relaxed));
}

void scope_message_pool_fini(struct scope_message_pool *pool)
{
        collect_returned(pool);
        scope_assert(pool->blocks_out == 0);
        trim(pool);
        while (pool->slabs != NULL) {
                void *slab = pool->slabs;
                pool->slabs = *(void **)slab;
                unpoison(slab, SCOPE_POOL_SLAB_BYTES + SLAB_HEADER_BYTES);
                free(slab);
        }
        *pool = (struct scope_message_pool){ 0 };
}
