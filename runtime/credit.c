#include "runtime/credit.h"

#include <stddef.h>

#include "base/check.h"
#include "base/planted.h"

enum scope_err scope_credit_init(struct scope_credit *credit, uint32_t cap)
{
        *credit = (struct scope_credit){ .cap = cap };
        return scope_key_map_init(&credit->owners, cap);
}

enum scope_err scope_credit_take(struct scope_credit *credit, uint64_t owner)
{
        if (scope_credit_has(credit, owner))
                return SCOPE_ERR_EXISTS;
        if (credit->held >= credit->cap)
                return SCOPE_ERR_AGAIN;
        enum scope_err err = scope_key_map_set(&credit->owners, owner, 1);
        if (err != SCOPE_OK)
                return err;
        credit->held++;
        return SCOPE_OK;
}

enum scope_err scope_credit_give(struct scope_credit *credit, uint64_t owner)
{
        if (!scope_key_map_remove(&credit->owners, owner)) {
                if (SCOPE_PLANTED(CREDIT_GIVEN_TWICE) && credit->held > 0)
                        credit->held--;
                return SCOPE_ERR_NOT_FOUND;
        }
        scope_assert(credit->held > 0);
        credit->held--;
        return SCOPE_OK;
}

bool scope_credit_has(const struct scope_credit *credit, uint64_t owner)
{
        return scope_key_map_find(&credit->owners, owner) != NULL;
}

void scope_credit_cap(struct scope_credit *credit, uint32_t cap)
{
        credit->cap = cap;
}

void scope_credit_fini(struct scope_credit *credit)
{
        scope_key_map_fini(&credit->owners);
        *credit = (struct scope_credit){ 0 };
}
