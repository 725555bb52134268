/* arena.h - memory taken piece by piece and given back all at once.
 * Why: one turn, one job or one object's life is one allocation pattern; no per-piece free, no
 * leak.
 * (1) Pieces are zeroed and 64-byte aligned. (2) capacity is fixed at init; used <= capacity. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct scope_arena {
        uint8_t *base;
        size_t used, capacity, high; /* bytes; `high` = the most ever used */
};

/* Takes `capacity` bytes from the heap.
 * errors  SCOPE_ERR_MEMORY     thread  owner */
enum scope_err scope_arena_init(struct scope_arena *arena, size_t capacity);

/* Zeroed, 64-byte aligned; NULL when the arena is full: callers check.   thread  owner */
void *scope_arena_take(struct scope_arena *arena, size_t bytes);

/* A NUL-terminated copy of `count` bytes; NULL when full.                thread  owner */
char *scope_arena_copy_text(struct scope_arena *arena, const char *text, size_t count);

/* Forgets every piece; keeps the memory.                                 thread  owner */
void scope_arena_reset(struct scope_arena *arena);

/* Accepts a zeroed arena.                                                thread  owner */
void scope_arena_fini(struct scope_arena *arena);

#ifdef __cplusplus
}
#endif
