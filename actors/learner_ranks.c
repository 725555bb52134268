#include "actors/learner_ranks.h"

#include "base/check.h"

void scope_ranks_deal(struct scope_ranks *ranks, unsigned count, uint32_t begin, uint32_t end)
{
        uint32_t split[SCOPE_RANKS_MAX + 1];
        scope_assert(count >= 1 && count <= SCOPE_RANKS_MAX);
        scope_trainer_split(ranks->batch->rows + begin, end - begin, count, split);
        ranks->count = count;
        ranks->at_work = 0;
        for (unsigned i = 0; i < count; i++)
                ranks->of[i] = (struct scope_rank){ .ranks = ranks,
                        .rank = i,
                        .first = begin + split[i],
                        .last = begin + split[i + 1],
                        .begin = begin + split[i],
                        .end = begin + split[i] };
}

bool scope_rank_next(struct scope_rank *rank)
{
        const struct scope_row *rows = rank->ranks->batch->rows;
        uint64_t limit = (uint64_t)rank->ranks->stages->options->learner.microbatch_tokens;
        uint64_t tokens = 0;
        rank->begin = rank->end;
        while (rank->end < rank->last &&
                (rank->end == rank->begin || tokens + rows[rank->end].count <= limit))
                tokens += rows[rank->end++].count;
        return rank->end > rank->begin;
}

static enum scope_err forward(const struct scope_rank *rank)
{
        if (rank->begin == rank->end)
                return SCOPE_OK;
        return scope_trainer_forward(rank->ranks->stages->resources.trainer, rank->rank,
                rank->ranks->batch->rows + rank->begin, rank->end - rank->begin);
}

enum scope_err scope_rank_anchor(void *arg, unsigned worker, unsigned size)
{
        const struct scope_rank *rank = arg;
        (void)worker;
        (void)size;
        enum scope_err err = forward(rank);
        if (err == SCOPE_OK)
                scope_batch_anchor(rank->ranks->batch, rank->begin, rank->end);
        return err;
}

enum scope_err scope_rank_microbatch(void *arg, unsigned worker, unsigned size)
{
        const struct scope_rank *rank = arg;
        struct scope_batch *batch = rank->ranks->batch;
        const struct scope_stages *stages = rank->ranks->stages;
        (void)worker;
        (void)size;
        if (rank->begin == rank->first)
                scope_trainer_zero(stages->resources.trainer, rank->rank);
        enum scope_err err = forward(rank);
        if (err != SCOPE_OK || rank->begin == rank->end)
                return err;
        scope_batch_coefficients(batch, stages, rank->rank, rank->begin, rank->end);
        return scope_trainer_backward(stages->resources.trainer, rank->rank,
                batch->rows + rank->begin, rank->end - rank->begin);
}
