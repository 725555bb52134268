#include "models/kv_cache.h"

#include <stdlib.h>

#include "base/check.h"

enum { ALIGN = 64 };

enum scope_err scope_kv_cache_init(struct scope_kv_cache *cache,
        const struct scope_model_config *config, uint32_t block_count)
{
        *cache = (struct scope_kv_cache){ .block_count = block_count, .free_count = block_count,
                .layers = config->layers,
                .block_floats = scope_kv_block_floats(config->kv_heads, config->head_dim) };
        size_t block_bytes = cache->block_floats * config->layers * sizeof(float);
        if (block_count > (SIZE_MAX / 2 - ALIGN) / block_bytes)
                return SCOPE_ERR_MEMORY;
        /* Not aligned_alloc: zero pages that nobody has used yet cost nothing. */
        cache->memory = calloc(1, block_count * block_bytes + ALIGN);
        cache->free = malloc(block_count * sizeof *cache->free);
        if (cache->memory == NULL || cache->free == NULL) {
                scope_kv_cache_fini(cache);
                return SCOPE_ERR_MEMORY;
        }
        cache->base = (float *)(((uintptr_t)cache->memory + ALIGN - 1) / ALIGN * ALIGN);
        for (uint32_t i = 0; i < block_count; i++)
                cache->free[i] = block_count - 1 - i;
        return SCOPE_OK;
}

void scope_kv_cache_fini(struct scope_kv_cache *cache)
{
        free(cache->memory);
        free(cache->free);
        *cache = (struct scope_kv_cache){ 0 };
}

void scope_kv_run_reserve(
        struct scope_kv_cache *cache, struct scope_kv_run *run, uint32_t positions)
{
        while (run->block_count < scope_kv_blocks(positions)) {
                scope_assert(cache->free_count > 0);
                run->blocks[run->block_count++] = cache->free[--cache->free_count];
        }
}

void scope_kv_run_release(struct scope_kv_cache *cache, struct scope_kv_run *run)
{
        while (run->block_count > 0) {
                scope_assert(cache->free_count < cache->block_count);
                cache->free[cache->free_count++] = run->blocks[--run->block_count];
        }
}
