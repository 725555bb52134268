/* strategy.h - the overlap strategies: rules of admission and of barriers, one row each.
 * Why: one pipeline reads these rules (actors/), one bound is computed from them (overlap.h), so a
 * measurement and the bound beside it can never speak of different strategies.
 * Definitions: async-rl survey section 4.2; a batch is prompts_per_step groups in the order of
 * their admission, batch b = groups [bB, (b+1)B); training it makes version b + 1.
 *
 * Gates of batch b, in the words of the rows below:
 *   decode   begins when version >= b - eta (lag), and, where stage_barrier, decode of b - 1 is
 *            over, and, where one_producer, every group of b - 1 is decided
 *   prm      stage_barrier: when all of b is decoded and b - 1 has left the PRM
 *   teacher  stage_barrier: when all of b is scored and b - 1 has left the teacher
 *   train    in_order: when all of b is decided, in order of id; train_apart: and every group of
 *            b + 1 has left the PRM (decoding and learning never overlap)
 * Without in_order groups flow on their own: live groups <= (eta + 1) * B, batches are whatever is
 * finished first. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct scope_strategy {
        const char *name;
        bool stage_barrier, in_order, one_producer, train_apart;
        bool colocated;      /* local stages take turns on all devices, and pay for the switch */
        bool eval_barrier;   /* admission waits for a running evaluation: a fixed order */
        int64_t eta;         /* versions; -1 = [pipeline] eta */
        const char *help;
};

/* Ends with a row whose name is NULL.     thread  any; pure */
extern const struct scope_strategy scope_strategies[];
const struct scope_strategy *scope_strategy_find(const char *name); /* NULL: there is none */
