#include "actors/batches.h"

#include "runtime/ledger.h"

static uint32_t size_of(const struct scope_batches *batches)
{
        return (uint32_t)batches->stages->options->rollout.prompts_per_step;
}

uint32_t scope_batches_members(const struct scope_batches *batches, uint64_t batch)
{
        uint32_t count = 0, cursor = 0;
        uint64_t id, held;
        while (scope_ledger_next_live(batches->ledger, &cursor, &id))
                count += scope_ledger_get(batches->ledger, id, SCOPE_SLOT_BATCH, &held) ==
                                 SCOPE_OK &&
                         held == batch;
        for (uint32_t i = 0; i < batches->live_max; i++)
                count += batches->live[i].stage == SCOPE_STAGE_WANTED &&
                         batches->live[i].batch == batch;
        return count;
}

/* The whole batch stands at `stage` or beyond. */
static bool past(const struct scope_batches *batches, uint64_t batch, enum scope_group_stage stage)
{
        if (batch < batches->now)
                return true;
        for (uint32_t i = 0; i < batches->live_max; i++)
                if (batches->live[i].stage != SCOPE_STAGE_FREE && batches->live[i].stage < stage &&
                        batches->live[i].batch == batch)
                        return false;
        return scope_batches_members(batches, batch) >= size_of(batches);
}

static bool previous_past(
        const struct scope_batches *batches, uint64_t batch, enum scope_group_stage stage)
{
        return batch == 0 || past(batches, batch - 1, stage);
}

static bool decode_open(const struct scope_batches *batches, uint64_t batch)
{
        const struct scope_strategy *strategy = batches->stages->strategy;
        if (batch > batches->now + (uint64_t)strategy->eta ||
                batch >= (uint64_t)batches->stages->options->run.steps)
                return false;
        if (strategy->one_producer && !previous_past(batches, batch, SCOPE_STAGE_DECIDED))
                return false;
        return !strategy->stage_barrier || previous_past(batches, batch, SCOPE_STAGE_COMPLETE);
}

bool scope_batches_admit(const struct scope_batches *batches, uint64_t *ret_batch)
{
        uint64_t last = batches->now + (uint64_t)batches->stages->strategy->eta;
        for (uint64_t batch = batches->now; batch <= last; batch++) {
                uint32_t members = scope_batches_members(batches, batch);
                if (members >= size_of(batches))
                        continue;
                *ret_batch = batch;
                /* one that began is completed whatever stands before it */
                return members > 0 || decode_open(batches, batch);
        }
        return false;
}

bool scope_batches_open(
        const struct scope_batches *batches, uint64_t batch, enum scope_group_stage stage)
{
        const struct scope_strategy *strategy = batches->stages->strategy;
        if (!strategy->stage_barrier)
                return true; /* streamed: the queue alone waits for a whole batch */
        if (stage == SCOPE_STAGE_COMPLETE)
                return past(batches, batch, SCOPE_STAGE_COMPLETE) &&
                       previous_past(batches, batch, SCOPE_STAGE_SCORED);
        if (stage == SCOPE_STAGE_SCORED)
                return past(batches, batch, SCOPE_STAGE_SCORED) &&
                       previous_past(batches, batch, SCOPE_STAGE_DECIDED);
        if (!past(batches, batch, SCOPE_STAGE_DECIDED))
                return false;
        return !strategy->train_apart ||
               batch + 1 >= (uint64_t)batches->stages->options->run.steps ||
               past(batches, batch + 1, SCOPE_STAGE_SCORED);
}
