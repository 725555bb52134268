/* correction.h - weights for tokens that an older policy sampled (algorithm.md 6).
 * Why: rollouts 4 versions old, trained as if fresh, destroyed the policy in every trial; with
 * truncated weights they cost little. Three policies: behaviour mu (sampler), proximal (frozen at
 * the learner step's start), current. (1) mu exists on m = 1 tokens only: every ratio and
 * statistic is over those. (2) Weights are constants to the gradient. (3) The loss keeps its
 * pre-mask token count, or masking would inflate the gradient. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/option.h"
#include "schemas/records.h"

enum scope_correction_mode {
        SCOPE_CORRECTION_DECOUPLED, /* ratio against proximal, weight proximal / mu */
        SCOPE_CORRECTION_BYPASS     /* ratio against mu itself, no extra weight */
};
enum scope_tis { SCOPE_TIS_TOKEN, SCOPE_TIS_SEQUENCE, SCOPE_TIS_OFF };
enum scope_seq_mask {
        SCOPE_SEQ_MASK_GEO,     /* exp(mean log ratio) outside [seq_mask_lo, seq_mask_hi] */
        SCOPE_SEQ_MASK_PRODUCT, /* the product of ratios outside it (seq-MIS) */
        SCOPE_SEQ_MASK_K3,      /* mean(ratio - log ratio - 1) over k3_max */
        SCOPE_SEQ_MASK_OFF
};
enum scope_mixed_on_reject { SCOPE_MIXED_MASK_PREFIX, SCOPE_MIXED_DROP };

struct scope_correction_options {
        int correction;      /* enum scope_correction_mode */
        int tis;             /* enum scope_tis */
        double tis_cap;
        int seq_mask;        /* enum scope_seq_mask */
        double seq_mask_lo, seq_mask_hi, k3_max;
        double token_mask;   /* tokens with a larger ratio are masked; 0 = off */
        int mixed_on_reject; /* enum scope_mixed_on_reject: the suffix of a masked prefix */
};
extern const struct scope_option scope_correction_option_table[]; /* [loss] */

struct scope_correction_row {
        const float *logp_behaviour; /* mu [count]; read on m = 1 tokens only */
        const float *logp_train;     /* [count]: proximal when decoupled, current when bypassing */
        const struct scope_segment *segments;
        uint32_t segment_count, count;
};
struct scope_correction_sums { /* over rows; add with scope_correction_sums_add */
        uint64_t rows, rejected_rows;
        uint64_t tokens, truncated_tokens, masked_tokens; /* m = 1 */
        double ratio, ratio_max;      /* train / mu, before truncation; sum, maximum */
        double weight, weight_square; /* sums: effective sample size = w^2 / w2 */
        double k1, k3;                /* sums of log mu - log train; of r - 1 - log r */
};

/* Weights of one row.
 * out     ret_weight [count]: 1 on teacher tokens (0 if dropped), 0 on masked ones; *sums is added
 *         to
 * thread  any; pure */
void scope_correction_weights(const struct scope_correction_options *options,
        const struct scope_correction_row *row, float *ret_weight,
        struct scope_correction_sums *sums);

void scope_correction_sums_add(struct scope_correction_sums *sums,
        const struct scope_correction_sums *more);
