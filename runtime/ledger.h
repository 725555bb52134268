/* ledger.h - a log of set-once slots and terminal records.
 * Why: delivery is at least once everywhere; this is the one place where "again" becomes "already".
 * Knows nothing of groups or samples: a `key` owns numbered slots and one terminal record.
 * (1) A slot is set once: the first value wins for ever. (2) A key has at most one terminal record,
 * and none before it is admitted. (3) admitted = sum of terminals by outcome + live, always. First
 * implementation: in memory, at most `live_max` live keys; ended keys keep 1 bit for ever (keys
 * are handed out in rising order; a sliding bitmap). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum { SCOPE_LEDGER_OUTCOMES_MAX = 8 };

struct scope_ledger;

enum scope_err scope_ledger_create(uint32_t live_max, uint32_t slots_max,
        struct scope_ledger **ret_ledger);
void scope_ledger_destroy(struct scope_ledger *ledger); /* accepts NULL */

/* errors  SCOPE_ERR_EXISTS: admitted before; SCOPE_ERR_LIMIT: live_max keys are live;
 *         SCOPE_ERR_ARGUMENT: key is not above every admitted key */
enum scope_err scope_ledger_admit(struct scope_ledger *ledger, uint64_t key);

/* errors  SCOPE_ERR_EXISTS: set before (*ret_value = the winner, if not NULL);
 *         SCOPE_ERR_NOT_FOUND: not live; SCOPE_ERR_ARGUMENT: slot >= slots_max */
enum scope_err scope_ledger_set(struct scope_ledger *ledger, uint64_t key, uint32_t slot,
        uint64_t value, uint64_t *ret_value);

/* errors  SCOPE_ERR_NOT_FOUND: key not live or slot not set */
enum scope_err scope_ledger_get(const struct scope_ledger *ledger, uint64_t key, uint32_t slot,
        uint64_t *ret_value);

/* outcome < SCOPE_LEDGER_OUTCOMES_MAX; detail is the caller's (step, age, rule, reason).
 * errors  SCOPE_ERR_EXISTS: already ended; SCOPE_ERR_NOT_FOUND: never admitted */
enum scope_err scope_ledger_end(struct scope_ledger *ledger, uint64_t key, uint32_t outcome,
        uint64_t detail);

bool scope_ledger_live(const struct scope_ledger *ledger, uint64_t key);

struct scope_ledger_counts {
        uint64_t admitted, live, ended[SCOPE_LEDGER_OUTCOMES_MAX];
};
struct scope_ledger_counts scope_ledger_counts(const struct scope_ledger *ledger);

/* The live keys in rising order: start with *cursor 0; false at the end. */
bool scope_ledger_next_live(const struct scope_ledger *ledger, uint32_t *cursor,
        uint64_t *ret_key);
/* As above, those that have slot `has` set and slot `lacks` not; UINT32_MAX = whichever. */
bool scope_ledger_next_where(const struct scope_ledger *ledger, uint32_t *cursor, uint32_t has,
        uint32_t lacks, uint64_t *ret_key);
