/* key_map.h - 64-bit keys to 32-bit numbers.
 * Why: the ledger and the simulator look things up by id; one small table serves all.
 * Open addressing, at most half full; nothing is ever iterated in table order. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct scope_key_map {
        struct scope_key_entry *entries;
        uint32_t count, mask;
};

/* Room for `capacity` keys; more makes it grow.
 * errors  SCOPE_ERR_MEMORY, SCOPE_ERR_LIMIT: over 2^30 */
enum scope_err scope_key_map_init(struct scope_key_map *map, uint32_t capacity);
/* The value's place, until the next change of the map; NULL = not there. */
uint32_t *scope_key_map_find(const struct scope_key_map *map, uint64_t key);
/* Adds or overwrites.      errors  SCOPE_ERR_MEMORY: only when it has to grow */
enum scope_err scope_key_map_set(struct scope_key_map *map, uint64_t key, uint32_t value);
bool scope_key_map_remove(struct scope_key_map *map, uint64_t key); /* false = was not there */
void scope_key_map_fini(struct scope_key_map *map);
