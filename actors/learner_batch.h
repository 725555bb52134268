/* learner_batch.h - a batch of groups as rows for the trainer, and what the step was like.
 * Why: the learner's messages and jobs are one matter, which number goes where is another.
 * (1) Everything lies in one arena that is reset before the next batch. (2) Row order is group
 * order, then trajectory order: with the row split it fixes every sum. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "actors/stages.h"
#include "algorithm/correction.h"
#include "algorithm/objective.h"
#include "base/arena.h"
#include "models/trainer.h"

enum { SCOPE_RANKS_MAX = 64 };

/* One trajectory with its numbers; arrays over response tokens, up to the last that carries loss,
 * unless said otherwise. */
struct scope_batch_row {
        const struct scope_trajectory *trajectory;
        uint32_t segment_count;      /* without those at the end that carry no loss */
        float advantage;
        double scale;
        uint64_t version_oldest;
        float *anchor, *weight;      /* proximal log-probability; importance weight */
        float *reference;            /* NULL without loss.kl_beta; over prompt + response */
};

struct scope_batch {
        struct scope_arena arena;
        struct scope_group *groups;
        struct scope_row *rows;          /* [row_count], as the trainer wants them */
        struct scope_batch_row *details; /* [row_count] */
        uint32_t group_count, row_count, token_count;
        uint32_t minibatch_groups, minibatch_count;
        uint64_t version;                /* the learner's when the batch began */
        uint64_t queued;                 /* groups left in the queue when it was handed over */
        bool proximal;                   /* the anchor was computed beforehand */
        struct scope_objective_sums objective[SCOPE_RANKS_MAX];
        struct scope_correction_sums correction[SCOPE_RANKS_MAX];
        float grad_norm;                 /* of the last update */
};

/* Sizes the arena for the largest batch of these options.   errors  SCOPE_ERR_MEMORY   thread
 * setup */
enum scope_err scope_batch_init(struct scope_batch *batch, const struct scope_stages *stages);
void scope_batch_fini(struct scope_batch *batch); /* accepts a zeroed one */

/* Decodes the groups' messages (borrowed until the next build) and lays out rows, advantages and
 * scales.
 * errors  what decode says; SCOPE_ERR_MEMORY     thread  owner */
enum scope_err scope_batch_build(struct scope_batch *batch, const struct scope_stages *stages,
        struct scope_message *const *messages, uint32_t count, uint64_t version);

/* Rows [ret_begin, ret_end) of minibatch `index`. */
void scope_batch_minibatch(const struct scope_batch *batch, uint32_t index, uint32_t *ret_begin,
        uint32_t *ret_end);

/* After forward: coefficients of rows [begin, end), sums added to rank's.   thread  rank's own rows
 * */
void scope_batch_coefficients(struct scope_batch *batch, const struct scope_stages *stages,
        unsigned rank, uint32_t begin, uint32_t end);

/* After a forward without backward: keeps the log-probabilities as anchor.   thread  rank's own
 * rows */
void scope_batch_anchor(struct scope_batch *batch, uint32_t begin, uint32_t end);

/* Prompts and answers, as often as they are gone through.     thread  any; pure */
uint64_t scope_batch_tokens(const struct scope_batch *batch, const struct scope_stages *stages);

/* SPAN and TRAINED of every trajectory of a group of the batch.     thread  owner */
void scope_batch_audit(const struct scope_actor *self, const struct scope_stages *stages,
        const struct scope_batch *batch, const struct scope_group *group);

/* Of the step that makes version `step`: a linear warm-up, then constant.    thread  any; pure */
float scope_batch_learning_rate(const struct scope_stages *stages, uint64_t step);

/* The step in numbers, names as in metrics.jsonl.
 * out     ret_metrics [max]; returns how many were written
 * owns    names are static     thread  owner */
uint32_t scope_batch_metrics(struct scope_batch *batch, const struct scope_stages *stages,
        struct scope_metric *ret_metrics, uint32_t max);
