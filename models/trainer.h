/* trainer.h - forward, coefficients, backward, step: a learner without an opinion on objectives.
 * Why: what to maximise is algorithm/'s; the trainer turns "coefficient a token" into gradients.
 * The logit gradient of token t is coef_t * (onehot - softmax) / temperature + the entropy term
 * (algorithm.md 1.7).
 *
 *   per minibatch: zero -> [ forward -> caller fills coef -> backward ] per microbatch -> step
 *
 * All of it runs inside compute jobs on `ranks` workers at once (struct scope_job.run's rank and
 * size); rank r handles the rows that scope_trainer_rows gave it and the parameter range it owns.
 * Row split, summing order and so every result depend on the rows and the number of ranks only,
 * never on timing.
 * thread  the gang's; create, export and destroy: the owner's with no job running. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "models/config.h"

struct scope_buffer;
struct scope_comm;
struct scope_trainer;

/* One sequence. Position i predicts token i + 1; values are stored at the index of the token they
 * are about (index 0 is never predicted). Rows are packed, not padded. */
struct scope_row {
        const uint32_t *tokens;
        uint32_t count;         /* <= context_max */
        /* values wanted for tokens [first, count), first >= 1 (the prompt's end) */
        uint32_t first;
        float temperature;      /* logits are divided by it */
        float *logp, *entropy;  /* [count] out of forward, nats */
        /* [count] in to backward: d objective / d logp, sign of maximisation, 1/Z included */
        float *coef;
        float entropy_coef;     /* d objective / d entropy of each wanted token, 1/Z included */
        /* reserved distribution target [count - first, vocab]; NULL = none */
        const float *target;
};

/* What backward needs of forward: kept, or computed once more from each layer's input. Recomputing
 * costs about a third more arithmetic and keeps hidden floats a token and layer, not all
 * activations. The same numbers either way, to the bit. */
enum scope_recompute {
        SCOPE_RECOMPUTE_NONE,
        SCOPE_RECOMPUTE_LAYER,
};

struct scope_trainer_options {
        const struct scope_layout *layout; /* borrowed */
        struct scope_comm *comm;           /* borrowed; its size = the number of ranks */
        uint32_t context_max;
        uint32_t microbatch_tokens;        /* of one rank: sizes the activation memory; for tiny
                                            * models 512..1024 is fastest (caches) */
        enum scope_recompute recompute;
        float lr, beta1, beta2, eps, weight_decay, grad_clip; /* grad_clip 0 = off */
};
/* owns    gives
 * errors  SCOPE_ERR_SHAPE: microbatch_tokens < context_max, or no ranks; SCOPE_ERR_ARGUMENT: a rate
 *         out of range; SCOPE_ERR_UNSUPPORTED: a reward head, or SCOPE_CPU names no table;
 *         SCOPE_ERR_MEMORY
 * thread  setup */
enum scope_err scope_trainer_create(const struct scope_trainer_options *options,
        struct scope_trainer **ret_trainer);
void scope_trainer_destroy(struct scope_trainer *trainer); /* accepts NULL */

/* The f32 master parameters, in the layout's order. Owner's, no job running. */
float *scope_trainer_parameters(struct scope_trainer *trainer);

/* Which rows rank `rank` takes: contiguous, balanced by tokens, deterministic.   pure */
void scope_trainer_split(const struct scope_row *rows, uint32_t row_count, unsigned size,
        uint32_t *ret_begin /* [size + 1] */);

/* Zeroes this rank's gradient. */
void scope_trainer_zero(struct scope_trainer *trainer, unsigned rank);

/* Rows of one rank, together at most microbatch_tokens: fills logp and entropy, and keeps the
 * activations for one backward.   errors  SCOPE_ERR_SHAPE: too many tokens, token >= vocab;
 * SCOPE_ERR_ARGUMENT: temperature; SCOPE_ERR_UNSUPPORTED: a target */
enum scope_err scope_trainer_forward(struct scope_trainer *trainer, unsigned rank,
        struct scope_row *rows, uint32_t row_count);

/* Adds the gradient of the rows of the last forward. */
enum scope_err scope_trainer_backward(struct scope_trainer *trainer, unsigned rank,
        struct scope_row *rows, uint32_t row_count);

/* Sums gradients over ranks, clips by the global norm, AdamW (decoupled decay, bias-corrected) on
 * the range this rank owns, gathers. Every rank calls it; lr is this step's.
 * out  ret_grad_norm: before clipping, the same on every rank
 * errors  SCOPE_ERR_INTERNAL: the norm is not finite: nothing is changed */
enum scope_err scope_trainer_step(struct scope_trainer *trainer, unsigned rank, float lr,
        float *ret_grad_norm);

/* A copy of the parameters as a shareable buffer.   owns  gives */
enum scope_err scope_trainer_export(
        struct scope_trainer *trainer, struct scope_buffer **ret_weights);

/* Optimiser state for checkpoints: first and second moments [float_count] each, and the step
 * count. */
struct scope_trainer_state {
        float *first, *second;
        uint64_t *steps;
};
struct scope_trainer_state scope_trainer_state(struct scope_trainer *trainer);
