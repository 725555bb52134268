#include "runtime/key_map.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/rng.h"

struct scope_key_entry {
        uint64_t key;
        uint32_t value;
        bool used;
};

enum scope_err scope_key_map_init(struct scope_key_map *map, uint32_t capacity)
{
        *map = (struct scope_key_map){ 0 };
        if (capacity > 1u << 30)
                return SCOPE_ERR_LIMIT;
        uint32_t places = 16;
        while (places < 2 * (uint64_t)capacity)
                places *= 2;
        map->entries = calloc(places, sizeof(*map->entries));
        if (map->entries == NULL)
                return SCOPE_ERR_MEMORY;
        map->mask = places - 1;
        return SCOPE_OK;
}

/* Where `key` is or would be. */
static uint32_t place_of(const struct scope_key_map *map, uint64_t key)
{
        uint32_t at = (uint32_t)scope_hash64(key) & map->mask;
        while (map->entries[at].used && map->entries[at].key != key)
                at = (at + 1) & map->mask;
        return at;
}

uint32_t *scope_key_map_find(const struct scope_key_map *map, uint64_t key)
{
        struct scope_key_entry *entry = &map->entries[place_of(map, key)];
        return entry->used ? &entry->value : NULL;
}

static enum scope_err grow(struct scope_key_map *map)
{
        struct scope_key_map larger;
        enum scope_err err = scope_key_map_init(&larger, map->mask + 1);
        if (err != SCOPE_OK)
                return err;
        for (uint32_t at = 0; at <= map->mask; at++)
                if (map->entries[at].used)
                        larger.entries[place_of(&larger, map->entries[at].key)] = map->entries[at];
        larger.count = map->count;
        free(map->entries);
        *map = larger;
        return SCOPE_OK;
}

enum scope_err scope_key_map_set(struct scope_key_map *map, uint64_t key, uint32_t value)
{
        uint32_t *found = scope_key_map_find(map, key);
        if (found != NULL) {
                *found = value;
                return SCOPE_OK;
        }
        if (2 * ((uint64_t)map->count + 1) > (uint64_t)map->mask + 1) {
                enum scope_err err = grow(map);
                if (err != SCOPE_OK)
                        return err;
        }
        map->entries[place_of(map, key)] =
                (struct scope_key_entry){ .key = key, .value = value, .used = true };
        map->count++;
        return SCOPE_OK;
}

bool scope_key_map_remove(struct scope_key_map *map, uint64_t key)
{
        uint32_t hole = place_of(map, key);
        if (!map->entries[hole].used)
                return false;
        /* Closes the hole: an entry moves back when its own place is not between hole and entry. */
        for (uint32_t at = hole;;) {
                at = (at + 1) & map->mask;
                if (!map->entries[at].used)
                        break;
                uint32_t home = (uint32_t)scope_hash64(map->entries[at].key) & map->mask;
                if (((at - home) & map->mask) < ((at - hole) & map->mask))
                        continue;
                map->entries[hole] = map->entries[at];
                hole = at;
        }
        map->entries[hole].used = false;
        scope_assert(map->count > 0);
        map->count--;
        return true;
}

void scope_key_map_fini(struct scope_key_map *map)
{
        free(map->entries);
        *map = (struct scope_key_map){ 0 };
}
