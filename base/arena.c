#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { ALIGN = 64 };

enum scope_err scope_arena_init(struct scope_arena *arena, size_t capacity)
{
        scope_assert(arena != NULL);
        size_t rounded = (capacity + ALIGN - 1) & ~(size_t)(ALIGN - 1);
        *arena = (struct scope_arena){ 0 };
        if (rounded < capacity)
                return SCOPE_ERR_MEMORY;
        arena->base = aligned_alloc(ALIGN, rounded != 0 ? rounded : ALIGN);
        if (arena->base == NULL)
                return SCOPE_ERR_MEMORY;
        arena->capacity = rounded;
        return SCOPE_OK;
}

void *scope_arena_take(struct scope_arena *arena, size_t bytes)
{
        size_t rounded = (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
        if (rounded < bytes || rounded > arena->capacity - arena->used)
                return NULL;
        void *piece = arena->base + arena->used;
        arena->used += rounded;
        if (arena->used > arena->high)
                arena->high = arena->used;
        return memset(piece, 0, rounded);
}

char *scope_arena_copy_text(struct scope_arena *arena, const char *text, size_t count)
{
        char *copy = scope_arena_take(arena, count + 1);
        if (copy != NULL && count != 0)
                memcpy(copy, text, count);
        return copy;
}

void scope_arena_reset(struct scope_arena *arena)
{
        arena->used = 0;
}

void scope_arena_fini(struct scope_arena *arena)
{
        free(arena->base);
        *arena = (struct scope_arena){ 0 };
}
