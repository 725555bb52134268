/* metrics.h - what is reported about samples (algorithm.md 7).
 * Why: one definition each, so that arms and papers can be compared. Words are runs of letters and
 * digits, or one other character, lower-case: independent of any model's tokenizer.
 * Scratch comes from the caller's arena; SCOPE_ERR_MEMORY when it is full. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "schemas/records.h"

struct scope_arena;

/* Chance that k of n samples hold one of the c right ones: 1 - C(n-c,k)/C(n,k), in its stable
 * product.
 * in      1 <= k <= n, c <= n; thread  any; pure */
double scope_metrics_pass_at(uint32_t n, uint32_t c, uint32_t k);

/* The q-quantile, 0 <= q <= 1, linear between ranks; sorts `values` in place. 0 of none. */
double scope_metrics_quantile(double *values, uint32_t count, double q);

/* Unique n-grams / n-grams of the samples of one prompt, pooled; 0 where there is none.
 * errors  SCOPE_ERR_MEMORY: scratch too small; SCOPE_ERR_ARGUMENT: count over
 *         SCOPE_GROUP_SAMPLES_MAX, n is 0 */
enum scope_err scope_metrics_distinct(const struct scope_string *texts, uint32_t count, uint32_t n,
        struct scope_arena *scratch, double *ret_share);

struct scope_diversity {
        double distinct_1, distinct_4; /* unique n-grams / n-grams, samples pooled */
        double self_bleu;              /* mean BLEU-4 of each sample against the others */
        double self_rouge;             /* mean ROUGE-L F1 over pairs */
        double score; /* mean of distinct-1, distinct-4, 1 - self-BLEU, 1 - self-ROUGE-L */
};

/* Diversity of the samples of one prompt. One sample or none: self_bleu and self_rouge are 0.
 * errors  SCOPE_ERR_MEMORY: scratch too small; SCOPE_ERR_ARGUMENT: count over
 *         SCOPE_GROUP_SAMPLES_MAX */
enum scope_err scope_metrics_diversity(const struct scope_string *texts, uint32_t count,
        struct scope_arena *scratch, struct scope_diversity *ret_diversity);
