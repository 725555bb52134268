#include "runtime/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/planted.h"
#include "runtime/key_map.h"

#define NONE UINT32_MAX /* an enumerator must fit an int */

enum { SLOTS_MAX = 1 << 16 };

/* A live key. Its values and set-bits lie at the same index in the ledger's arrays. */
struct entry {
        uint64_t key;
        uint32_t older, newer; /* live keys in rising order */
        bool live;
};

/* Keys rise, so what was ever admitted is a short list of runs. */
struct run {
        uint64_t first, last;
};

struct scope_ledger {
        uint32_t live_max, slots_max, words; /* words of set-bits an entry */
        struct entry *entries;
        uint64_t *values, *set;
        uint32_t *free_entries, free_count;
        uint32_t oldest, newest;
        struct scope_key_map by_key;
        struct run *runs;
        size_t run_count, run_capacity;
        struct scope_ledger_counts counts;
};

enum scope_err scope_ledger_create(uint32_t live_max, uint32_t slots_max,
        struct scope_ledger **ret_ledger)
{
        if (live_max == 0 || live_max >= NONE / 2 || slots_max == 0 || slots_max > SLOTS_MAX)
                return SCOPE_ERR_ARGUMENT;
        struct scope_ledger *ledger = calloc(1, sizeof(*ledger));
        if (ledger == NULL)
                return SCOPE_ERR_MEMORY;
        ledger->live_max = live_max;
        ledger->slots_max = slots_max;
        ledger->words = (slots_max + 63) / 64;
        ledger->oldest = ledger->newest = NONE;
        ledger->entries = calloc(live_max, sizeof(*ledger->entries));
        ledger->values = calloc(live_max, slots_max * sizeof(*ledger->values));
        ledger->set = calloc(live_max, ledger->words * sizeof(*ledger->set));
        ledger->free_entries = calloc(live_max, sizeof(*ledger->free_entries));
        if (scope_key_map_init(&ledger->by_key, live_max) != SCOPE_OK || ledger->entries == NULL ||
                ledger->values == NULL || ledger->set == NULL || ledger->free_entries == NULL) {
                scope_ledger_destroy(ledger);
                return SCOPE_ERR_MEMORY;
        }
        for (uint32_t i = 0; i < live_max; i++)
                ledger->free_entries[ledger->free_count++] = live_max - 1 - i;
        *ret_ledger = ledger;
        return SCOPE_OK;
}

void scope_ledger_destroy(struct scope_ledger *ledger)
{
        if (ledger == NULL)
                return;
        scope_key_map_fini(&ledger->by_key);
        free(ledger->entries);
        free(ledger->values);
        free(ledger->set);
        free(ledger->free_entries);
        free(ledger->runs);
        free(ledger);
}

static bool ever_admitted(const struct scope_ledger *ledger, uint64_t key)
{
        size_t low = 0, high = ledger->run_count;
        while (low < high) {
                size_t middle = (low + high) / 2;
                if (ledger->runs[middle].last < key)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < ledger->run_count && ledger->runs[low].first <= key;
}

static uint64_t highest(const struct scope_ledger *ledger)
{
        return ledger->runs[ledger->run_count - 1].last;
}

static enum scope_err remember(struct scope_ledger *ledger, uint64_t key)
{
        if (ledger->run_count > 0 && highest(ledger) + 1 == key) {
                ledger->runs[ledger->run_count - 1].last = key;
                return SCOPE_OK;
        }
        if (ledger->run_count == ledger->run_capacity) {
                size_t capacity = ledger->run_capacity == 0 ? 16 : 2 * ledger->run_capacity;
                struct run *runs = realloc(ledger->runs, capacity * sizeof(*runs));
                if (runs == NULL)
                        return SCOPE_ERR_MEMORY;
                ledger->runs = runs;
                ledger->run_capacity = capacity;
        }
        ledger->runs[ledger->run_count++] = (struct run){ .first = key, .last = key };
        return SCOPE_OK;
}

enum scope_err scope_ledger_admit(struct scope_ledger *ledger, uint64_t key)
{
        if (ledger->run_count > 0 && key <= highest(ledger))
                return ever_admitted(ledger, key) ? SCOPE_ERR_EXISTS : SCOPE_ERR_ARGUMENT;
        if (ledger->free_count == 0)
                return SCOPE_ERR_LIMIT;
        enum scope_err err = remember(ledger, key);
        if (err != SCOPE_OK)
                return err;
        uint32_t index = ledger->free_entries[--ledger->free_count];
        /* Never grows: the map was made for live_max keys. */
        err = scope_key_map_set(&ledger->by_key, key, index);
        scope_assert(err == SCOPE_OK);
        ledger->entries[index] = (struct entry){
                .key = key, .older = ledger->newest, .newer = NONE, .live = true
        };
        if (ledger->newest == NONE)
                ledger->oldest = index;
        else
                ledger->entries[ledger->newest].newer = index;
        ledger->newest = index;
        memset(&ledger->set[(size_t)index * ledger->words], 0,
                ledger->words * sizeof(*ledger->set));
        ledger->counts.admitted++;
        ledger->counts.live++;
        return SCOPE_OK;
}

enum scope_err scope_ledger_set(struct scope_ledger *ledger, uint64_t key, uint32_t slot,
        uint64_t value, uint64_t *ret_value)
{
        if (slot >= ledger->slots_max)
                return SCOPE_ERR_ARGUMENT;
        const uint32_t *index = scope_key_map_find(&ledger->by_key, key);
        if (index == NULL)
                return SCOPE_ERR_NOT_FOUND;
        uint64_t *word = &ledger->set[(size_t)*index * ledger->words + slot / 64];
        uint64_t *place = &ledger->values[(size_t)*index * ledger->slots_max + slot];
        uint64_t bit = UINT64_C(1) << slot % 64;
        if ((*word & bit) != 0 && !SCOPE_PLANTED(LEDGER_SLOT_TWICE)) {
                if (ret_value != NULL)
                        *ret_value = *place;
                return SCOPE_ERR_EXISTS;
        }
        *word |= bit;
        *place = value;
        return SCOPE_OK;
}

enum scope_err scope_ledger_get(const struct scope_ledger *ledger, uint64_t key, uint32_t slot,
        uint64_t *ret_value)
{
        const uint32_t *index = scope_key_map_find(&ledger->by_key, key);
        if (index == NULL || slot >= ledger->slots_max)
                return SCOPE_ERR_NOT_FOUND;
        if ((ledger->set[(size_t)*index * ledger->words + slot / 64] >> slot % 64 & 1) == 0)
                return SCOPE_ERR_NOT_FOUND;
        *ret_value = ledger->values[(size_t)*index * ledger->slots_max + slot];
        return SCOPE_OK;
}

enum scope_err scope_ledger_end(struct scope_ledger *ledger, uint64_t key, uint32_t outcome,
        uint64_t detail)
{
        (void)detail; /* for the ledger on disk */
        if (outcome >= SCOPE_LEDGER_OUTCOMES_MAX)
                return SCOPE_ERR_ARGUMENT;
        const uint32_t *found = scope_key_map_find(&ledger->by_key, key);
        if (found == NULL) {
                if (!ever_admitted(ledger, key))
                        return SCOPE_ERR_NOT_FOUND;
                if (SCOPE_PLANTED(LEDGER_END_TWICE))
                        ledger->counts.ended[outcome]++;
                return SCOPE_ERR_EXISTS;
        }
        uint32_t index = *found;
        struct entry *entry = &ledger->entries[index];
        if (entry->older == NONE)
                ledger->oldest = entry->newer;
        else
                ledger->entries[entry->older].newer = entry->newer;
        if (entry->newer == NONE)
                ledger->newest = entry->older;
        else
                ledger->entries[entry->newer].older = entry->older;
        entry->live = false; /* `newer` stays: an iteration that stands here goes on from it */
        (void)scope_key_map_remove(&ledger->by_key, key); /* it was found above */
        ledger->free_entries[ledger->free_count++] = index;
        ledger->counts.live--;
        ledger->counts.ended[outcome]++;
        return SCOPE_OK;
}

bool scope_ledger_live(const struct scope_ledger *ledger, uint64_t key)
{
        return scope_key_map_find(&ledger->by_key, key) != NULL;
}

struct scope_ledger_counts scope_ledger_counts(const struct scope_ledger *ledger)
{
        return ledger->counts;
}

bool scope_ledger_next_live(const struct scope_ledger *ledger, uint32_t *cursor, uint64_t *ret_key)
{
        uint32_t index = *cursor == 0 ? ledger->oldest : ledger->entries[*cursor - 1].newer;
        while (index != NONE && !ledger->entries[index].live)
                index = ledger->entries[index].newer;
        if (index == NONE)
                return false;
        *cursor = index + 1;
        *ret_key = ledger->entries[index].key;
        return true;
}

static bool is_set(const struct scope_ledger *ledger, uint64_t key, uint32_t slot)
{
        uint64_t value;
        return scope_ledger_get(ledger, key, slot, &value) == SCOPE_OK;
}

bool scope_ledger_next_where(const struct scope_ledger *ledger, uint32_t *cursor, uint32_t has,
        uint32_t lacks, uint64_t *ret_key)
{
        while (scope_ledger_next_live(ledger, cursor, ret_key))
                if ((has == UINT32_MAX || is_set(ledger, *ret_key, has)) &&
                        (lacks == UINT32_MAX || !is_set(ledger, *ret_key, lacks)))
                        return true;
        return false;
}
