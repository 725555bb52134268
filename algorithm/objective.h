/* objective.h - the hybrid objective as one coefficient a token (eq. 6; algorithm.md 1.7 and 1.8).
 * Why: the trainer only knows "d objective / d log pi"; what to maximise is decided here.
 *   m = 1:  weight * min(rho A, clip(rho, 1 - lo, 1 + hi) A)    rho = pi / pi_anchor; dual clip
 *   m = 0:  lambda * w * log pi    w = f(pi) = pi / (pi + gamma), constant to the gradient
 * (1) Maximisation: coefficients point uphill. (2) Where w multiplies log pi it is never
 * differentiated: below pi = 0.1157 that would push teacher tokens down. (3) 1/Z is known before
 * backward and is in every coefficient. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/option.h"
#include "schemas/records.h"

enum scope_suffix_form {
        SCOPE_SUFFIX_WLL_SG, /* sg[f(pi)] log pi */
        SCOPE_SUFFIX_LUFFY,  /* f(pi), differentiated */
        SCOPE_SUFFIX_NLL     /* log pi */
};
enum scope_agg {
        SCOPE_AGG_TOKEN_MEAN,          /* 1 / tokens of the minibatch */
        SCOPE_AGG_SEQ_MEAN_TOKEN_MEAN, /* 1 / (rows * tokens of the row): the printed 1/|O'| */
        SCOPE_AGG_SEQ_SUM_CONST        /* 1 / (rows * agg_const) */
};

struct scope_objective_options {
        bool clip_enable;
        double clip_lo, clip_hi;
        double clip_dual;       /* for A < 0 the ratio counts up to here; 0 = off */
        int suffix_form;        /* enum scope_suffix_form */
        bool suffix_use_adv;    /* times the advantage */
        double suffix_lambda, suffix_gamma;
        int agg;                /* enum scope_agg */
        double agg_const;       /* tokens */
        double kl_beta;         /* of k3 against the reference, on m = 1 tokens */
        double entropy_coef;
};
extern const struct scope_option scope_objective_option_table[]; /* [loss] */

/* errors  SCOPE_ERR_ARGUMENT: clip_dual between 0 and 1    thread  any; pure */
enum scope_err scope_objective_check(const struct scope_objective_options *options,
        struct scope_diag *diag);

/* 1/Z of every row of a minibatch.
 * in      tokens [row_count]: those that are trained on, of segments whose loss is not NONE
 * out     ret_scale [row_count]; 0 for a row without tokens, which does not count as a row
 * thread  any; pure */
void scope_objective_scales(const struct scope_objective_options *options, const uint32_t *tokens,
        uint32_t row_count, double *ret_scale);

/* One trajectory; arrays are over its response tokens [count]. */
struct scope_objective_row {
        const float *logp, *entropy;  /* current, nats; entropy may be NULL */
        const float *logp_anchor;     /* proximal when decoupled, mu when bypassing; m = 1 only */
        const float *logp_ref;        /* reference; may be NULL when kl_beta is 0 */
        const float *weight;          /* of scope_correction_weights; NULL = 1 */
        const struct scope_segment *segments;
        uint32_t segment_count, count;
        float advantage;
        double scale;                 /* of scope_objective_scales */
};

struct scope_objective_sums { /* over rows; add with scope_objective_sums_add */
        double objective; /* the value maximised, 1/Z included */
        uint64_t policy_tokens, suffix_tokens;
        uint64_t clipped_lo, clipped_hi, clipped_dual; /* m = 1 tokens that the clip took */
        double ratio, ratio_max;         /* pi / anchor; sum, maximum */
        double suffix_f, suffix_logp;    /* sums of f(pi), of log pi, on teacher tokens */
        double policy_coef, suffix_coef; /* sums of |coefficient|: the suffix's share */
        double entropy, kl_ref;          /* sums over trained tokens, over m = 1 tokens */
};

/* Coefficients of one row.
 * out     ret_coef [count], 0 on tokens without loss; returns d objective / d entropy of each
 *         trained token; *sums is added to
 * thread  any; pure */
float scope_objective_coefficients(const struct scope_objective_options *options,
        const struct scope_objective_row *row, float *ret_coef, struct scope_objective_sums *sums);

void scope_objective_sums_add(struct scope_objective_sums *sums,
        const struct scope_objective_sums *more);
