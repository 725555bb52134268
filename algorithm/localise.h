/* localise.h - from step scores to the prefix worth keeping.
 * Why: everything up to the first wrong step is the policy's own good work (eq. 1). The cap keeps
 * the last step and the box out of it: a wrong answer cannot have a prefix that already answers.
 * (1) kept steps <= verified steps. (2) Kept tokens are those of the kept steps. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/option.h"
#include "schemas/records.h"

enum scope_prefix_cap {
        SCOPE_PREFIX_CAP_LAST_AND_BOXED, /* k <= K - 1, and before the first step with a box */
        SCOPE_PREFIX_CAP_LAST,           /* k <= K - 1 */
        SCOPE_PREFIX_CAP_NONE
};

struct scope_localise_options {
        int prefix_cap; /* enum scope_prefix_cap */
};
extern const struct scope_option scope_localise_option_table[]; /* [scope] */

/* k: steps before the first p < tau; NaN counts as wrong.    thread  any; pure */
uint32_t scope_localise_verified(const float *p, uint32_t step_count, double tau);

struct scope_prefix {
        uint32_t steps, tokens, bytes; /* kept, after the cap */
        bool located;                  /* the scorer found a wrong step: verified < step_count */
};

/* Applies the cap to `verified`.
 * in      item: text, step_ends, step_token_ends, step_count; verified <= item->step_count
 * thread  any; pure */
struct scope_prefix scope_localise_prefix(const struct scope_localise_options *options,
        const struct scope_score_item *item, uint32_t verified);
