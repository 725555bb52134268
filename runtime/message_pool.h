/* message_pool.h - where messages live.
 * Why: delivery allocates nothing: blocks come from free lists a size class, one pool a loop.
 * (1) A pool's memory is bounded: bytes_held <= bytes_max, but for blocks taken with `exempt`,
 * which are small and bounded by what they answer. (2) The thread that entered the pool takes
 * and frees without atomics; every other thread frees through `returned`, a stack the owner
 * empties.
 * (3) A block goes back to the pool it came from, wherever it is freed. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/message.h"

enum {
        SCOPE_POOL_CLASSES = 20,      /* 256 B << class */
        SCOPE_POOL_SLAB_BYTES = 65536 /* small blocks are cut from slabs of this size */
};

struct scope_block;

struct scope_message_pool {
        struct scope_block *free[SCOPE_POOL_CLASSES];
        void *slabs;
        size_t bytes_held, bytes_max;
        uint64_t blocks_out; /* taken and not yet seen back */
        _Alignas(64) _Atomic(struct scope_block *) returned;
};

void scope_message_pool_init(struct scope_message_pool *pool, size_t bytes_max);

/* A message with a zeroed header and `bytes` uninitialised payload bytes.
 * owns    gives
 * errors  SCOPE_ERR_TOO_BIG, SCOPE_ERR_MEMORY: the cap (not when `exempt`) or malloc
 * thread  the pool's */
enum scope_err scope_message_pool_take(struct scope_message_pool *pool, uint32_t bytes, bool exempt,
        struct scope_message **ret_message);

/* Attachment and block go back; no duty is looked at.     owns  takes     thread  any */
void scope_message_release(struct scope_message *message);

/* This thread owns `pool` from here on (NULL = none). */
void scope_message_pool_enter(struct scope_message_pool *pool);

/* Every block must be back.                               thread  the last one */
void scope_message_pool_fini(struct scope_message_pool *pool);
