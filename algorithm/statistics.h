/* statistics.h - mean and variance of rollout lengths, for the Gaussian of eq. 3.
 * Why: only behind a barrier is there a batch to speak of; a stream has a trailing window.
 * (1) Sums are integers, so the result does not depend on the order of members. (2) The window is
 * the whole state: saving and loading it gives bit-equal weights afterwards. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/option.h"

struct scope_arena;

enum scope_stats_scope {
        SCOPE_STATS_BATCH,  /* every rollout of the training batch; needs a barrier */
        SCOPE_STATS_WINDOW, /* the last W rollouts; the group itself until 64 are in */
        SCOPE_STATS_GROUP   /* the rollouts of this prompt */
};
enum scope_stats_members { SCOPE_STATS_ALL, SCOPE_STATS_FAILED };

enum { SCOPE_STATS_WARM_COUNT = 64 }; /* members a window needs before it is believed */

struct scope_statistics_options {
        int stats_scope;      /* enum scope_stats_scope */
        int64_t stats_window; /* W, rollouts; 0 = prompts_per_step * group_size */
        int stats_members;    /* enum scope_stats_members */
};
extern const struct scope_option scope_statistics_option_table[]; /* [scope] */

/* Members that the window or the batch holds.
 * in      rollouts: prompts_per_step * group_size
 * thread  any; pure */
uint32_t scope_statistics_capacity(const struct scope_statistics_options *options,
        uint32_t rollouts);

/* A ring of (K, T). The arrays are in ring order: [0, count) are valid, in any order. */
struct scope_length_window {
        uint32_t *steps, *tokens;
        uint32_t capacity, count, next;
};

/* errors  SCOPE_ERR_ARGUMENT: capacity 0; SCOPE_ERR_MEMORY     owns  lives in `arena` */
enum scope_err scope_length_window_init(struct scope_length_window *window,
        struct scope_arena *arena, uint32_t capacity);

/* Adds one rollout, dropping the oldest when full. */
void scope_length_window_push(struct scope_length_window *window, uint32_t steps, uint32_t tokens);

/* Forgets everything: what `batch` does at its barrier. */
void scope_length_window_clear(struct scope_length_window *window);

/* Bytes of the saved form of a window of that capacity. */
size_t scope_length_window_bytes(uint32_t capacity);

/* Writes exactly scope_length_window_bytes(window->capacity) bytes, little-endian. */
void scope_length_window_save(const struct scope_length_window *window, uint8_t *ret_bytes);

/* Reads a saved window; of another capacity, its newest members.
 * errors  SCOPE_ERR_FORMAT: lengths or indices make no sense; the window is untouched */
enum scope_err scope_length_window_load(struct scope_length_window *window, const uint8_t *bytes,
        size_t count);

/* Lengths of some rollouts, as a select request carries them. */
struct scope_length_members {
        const uint32_t *steps, *tokens;
        uint32_t count;
};

/* The rollouts of one group that count as members.
 * in      steps, tokens, failed [count]
 * out     ret_steps, ret_tokens [count], filled in order; returns how many
 * thread  any; pure */
uint32_t scope_statistics_filter(const struct scope_statistics_options *options,
        const uint32_t *steps, const uint32_t *tokens, const bool *failed, uint32_t count,
        uint32_t *ret_steps, uint32_t *ret_tokens);

/* Which lengths define mean and variance for this group: the window's or the group's own.
 * owns    borrows both    thread  any; pure */
struct scope_length_members scope_statistics_members(const struct scope_statistics_options *options,
        const struct scope_length_window *window, struct scope_length_members group);

/* Population moments. count 0 gives zeros.    thread  any; pure */
struct scope_length_moments {
        double step_mean, step_variance, token_mean, token_variance;
        uint32_t count;
};
struct scope_length_moments scope_length_moments(struct scope_length_members members);
