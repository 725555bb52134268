/* credit.h - how much may be under way, and who holds it.
 * Why: back-pressure is one number; a number that may be given back twice, or by somebody who
 * never had it, drifts. A pool knows its holders: one credit an owner.
 * (1) held = number of owners. (2) A credit is given only while held < cap; lowering the cap
 * takes none away. Pools are separate: a group at the teacher holds one of the teacher's, too. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "runtime/key_map.h"

struct scope_credit {
        struct scope_key_map owners;
        uint32_t cap, held;
};

/* errors  SCOPE_ERR_MEMORY */
enum scope_err scope_credit_init(struct scope_credit *credit, uint32_t cap);
/* errors  SCOPE_ERR_AGAIN: all are held; SCOPE_ERR_EXISTS: `owner` has one; SCOPE_ERR_MEMORY */
enum scope_err scope_credit_take(struct scope_credit *credit, uint64_t owner);
/* errors  SCOPE_ERR_NOT_FOUND: `owner` has none */
enum scope_err scope_credit_give(struct scope_credit *credit, uint64_t owner);
bool scope_credit_has(const struct scope_credit *credit, uint64_t owner);
void scope_credit_cap(struct scope_credit *credit, uint32_t cap);
void scope_credit_fini(struct scope_credit *credit);
