/* kv_cache.h - keys and values of all sequences, in blocks of 16 positions taken from one pool.
 * Why: sequences grow, end and share prompts without copies; what ends is used again at once, still
 * warm.
 * (1) A block is in the free list or in exactly one run. (2) Nothing is allocated after init.
 * thread  the owner's; blocks of a run are written by the one rank that computes it */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "kernels/attention_decode.h"
#include "models/config.h"

struct scope_kv_cache {
        void *memory;
        float *base;         /* [layers][blocks][block_floats], 64-byte aligned */
        uint32_t *free;      /* a stack */
        uint32_t block_count, free_count, layers;
        size_t block_floats; /* of one layer */
};

/* The blocks of one run of positions, in order. `blocks` is the caller's, sized for its longest. */
struct scope_kv_run {
        uint32_t *blocks;
        uint32_t block_count;
};

static inline uint32_t scope_kv_blocks(uint32_t positions)
{
        return positions / SCOPE_KV_BLOCK + (positions % SCOPE_KV_BLOCK != 0);
}

/* owns    gives: scope_kv_cache_fini     errors  SCOPE_ERR_MEMORY */
enum scope_err scope_kv_cache_init(struct scope_kv_cache *cache,
        const struct scope_model_config *config, uint32_t block_count);
void scope_kv_cache_fini(struct scope_kv_cache *cache); /* accepts a zeroed one */

static inline float *scope_kv_layer(const struct scope_kv_cache *cache, uint32_t layer)
{
        return cache->base + (size_t)layer * cache->block_count * cache->block_floats;
}

/* Takes blocks until `positions` fit. The pool was sized so that there are enough: asserted. */
void scope_kv_run_reserve(struct scope_kv_cache *cache, struct scope_kv_run *run,
        uint32_t positions);
void scope_kv_run_release(struct scope_kv_cache *cache, struct scope_kv_run *run);
