/* batches.h - which batch a group belongs to, and which gates are open (algorithm/strategy.h).
 * Why: strategies that train whole batches in order differ in nothing but these gates; the groups
 * actor asks, and every answer follows from the ledger and the table of live groups.
 * (1) Batch b is trained at version b. A group's batch is a set-once slot of the ledger: it
 * survives this actor. (2) A batch has at most prompts_per_step members; one that ends untrained
 * makes room for another. (3) Gates of a batch that is trained are open: nothing waits for it. */
#pragma once

#include "actors/live_group.h"

struct scope_ledger;

struct scope_batches {
        const struct scope_stages *stages;
        const struct scope_ledger *ledger;
        const struct scope_live_group *live; /* [live_max] */
        uint32_t live_max;
        uint64_t now; /* the version that trains next */
};

/* Groups that were admitted or are asked for, and have not ended.      thread  owner; pure */
uint32_t scope_batches_members(const struct scope_batches *batches, uint64_t batch);

/* The oldest batch that lacks members and may begin to decode. False: none may now. */
bool scope_batches_admit(const struct scope_batches *batches, uint64_t *ret_batch);

/* Whether groups of `batch` at that stage may go on: COMPLETE to the PRM, SCORED to the teacher,
 * DECIDED to the learner. Strategies without batches: always. */
bool scope_batches_open(
        const struct scope_batches *batches, uint64_t batch, enum scope_group_stage stage);
