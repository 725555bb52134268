#include "algorithm/localise.h"

#include <stddef.h>

#include "algorithm/boxed.h"
#include "base/check.h"

static const char *const prefix_cap_names[] = { "last_and_boxed", "last", "none", NULL };

const struct scope_option scope_localise_option_table[] = {
        SCOPE_ENUM_OPTION(scope_localise_options, prefix_cap, "\"last_and_boxed\"",
                prefix_cap_names, "steps never kept: the last and any with a box, the last, none"),
        SCOPE_OPTION_END,
};

uint32_t scope_localise_verified(const float *p, uint32_t step_count, double tau)
{
        uint32_t k = 0;
        while (k < step_count && p[k] >= (float)tau) /* false for NaN */
                k++;
        return k;
}

/* Steps that end before the first box begins. */
static uint32_t steps_before_box(const struct scope_score_item *item)
{
        uint32_t first = scope_boxed_first(item->text), k = 0;
        while (k < item->step_count && item->step_ends[k] <= first)
                k++;
        return k;
}

struct scope_prefix scope_localise_prefix(const struct scope_localise_options *options,
        const struct scope_score_item *item, uint32_t verified)
{
        scope_assert(verified <= item->step_count);
        struct scope_prefix prefix = { .steps = verified, .located = verified < item->step_count };
        if (options->prefix_cap != SCOPE_PREFIX_CAP_NONE && prefix.steps == item->step_count &&
                prefix.steps > 0)
                prefix.steps--;
        if (options->prefix_cap == SCOPE_PREFIX_CAP_LAST_AND_BOXED) {
                uint32_t unboxed = steps_before_box(item);
                if (prefix.steps > unboxed)
                        prefix.steps = unboxed;
        }
        if (prefix.steps > 0) {
                prefix.bytes = item->step_ends[prefix.steps - 1];
                prefix.tokens = item->step_token_ends[prefix.steps - 1];
        }
        return prefix;
}
