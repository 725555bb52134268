/* select.h - which failed rollout is worth repairing (eqs. 2 to 4).
 * Why: long verified progress at a typical length; an outlier's progress says little.
 * (1) The order of candidates does not matter but for exact ties, which the sample number settles.
 * (2) No state: the members of the statistics come with the request. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/option.h"
#include "schemas/records.h"

enum scope_zero_prefix { SCOPE_ZERO_PREFIX_REFINE, SCOPE_ZERO_PREFIX_SKIP };

struct scope_select_options {
        int64_t min_failures;      /* f below which a group stays plain */
        int64_t repairs_per_group; /* 1, or 0 = never repair: plain GRPO */
        double gauss_denom;        /* 2 = the usual Gaussian */
        bool prefer_located;       /* only candidates with a located error, where there is one */
        int zero_prefix;           /* enum scope_zero_prefix: what to do with k = 0 */
        bool allow_truncated;      /* candidates that hit the length limit */
        int64_t force_k;           /* -1; 0 = keep nothing: the teacher writes everything */
};
extern const struct scope_option scope_select_option_table[]; /* [scope] */

/* Whether a group with `failures` of its `samples` wrong is to be repaired: enough failures, and
 * one is left afterwards, or the advantages would vanish.    thread  any; pure */
bool scope_select_due(const struct scope_select_options *options, uint32_t failures);

/* S of one candidate; 0 when K or T is 0.    thread  any; pure */
struct scope_length_moments;
double scope_select_score(const struct scope_select_options *options,
        const struct scope_candidate *candidate, const struct scope_length_moments *moments);

/* Ranks the candidates, best first; the first is the argmax, the next ones are for when it is
 * rejected.
 * in      request->candidate_count <= SCOPE_GROUP_SAMPLES_MAX
 * out     ret_choices [candidate_count]; returns how many are eligible
 * thread  any; pure */
uint32_t scope_select_rank(const struct scope_select_options *options,
        const struct scope_select_request *request, struct scope_choice *ret_choices);
