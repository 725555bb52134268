/* learner_ranks.h - rows of a minibatch dealt to ranks; each takes its own, a microbatch at a time.
 * Why: ranks that begin each microbatch together wait each time for the one with more tokens, and
 * together for cores; on their own they meet at the update only.
 * (1) The deal and the microbatches depend on the rows and the number of ranks alone. (2) A rank
 * has one microbatch under way at most. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "actors/learner_batch.h"

struct scope_ranks;
struct scope_rank {
        struct scope_ranks *ranks;
        unsigned rank;
        uint32_t first, last; /* its rows: [first, last) */
        uint32_t begin, end;  /* of these the microbatch under way, or the last one before */
};

struct scope_ranks {
        struct scope_batch *batch; /* the caller's, as the next */
        const struct scope_stages *stages;
        unsigned count, at_work; /* at_work: the caller's count of ranks that are not through */
        struct scope_rank of[SCOPE_RANKS_MAX];
};

/* Deals rows [begin, end) of the batch; no rank has begun, none is at work.       thread  owner */
void scope_ranks_deal(struct scope_ranks *ranks, unsigned count, uint32_t begin, uint32_t end);

/* On to its next rows: one at least, together at most learner.microbatch_tokens. False: it is
 * through.     thread  owner */
bool scope_rank_next(struct scope_rank *rank);

/* Jobs on one core, `arg` is the rank: forward, coefficients, backward of its microbatch, the first
 * zeroes its gradient; and forward alone, log-probabilities kept as anchor. */
enum scope_err scope_rank_microbatch(void *arg, unsigned worker, unsigned size);
enum scope_err scope_rank_anchor(void *arg, unsigned worker, unsigned size);
