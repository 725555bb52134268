#include "runtime/trace.h"

#include <string.h>

#include "base/check.h"

static unsigned place_of(struct scope_usage *usage, const char *cause)
{
        for (unsigned i = 0;; i++) {
                const char *known =
                        atomic_load_explicit(&usage->idle[i].cause, memory_order_relaxed);
                if (known == NULL)
                        /* The last place is for all that found none. Release: none needed, the
                         * text is static. */
                        atomic_store_explicit(&usage->idle[i].cause,
                                i == SCOPE_IDLE_CAUSES - 1 ? "other" : cause,
                                memory_order_relaxed);
                else if (strcmp(known, cause) != 0 && i < SCOPE_IDLE_CAUSES - 1)
                        continue;
                return i;
        }
}

static void settle(struct scope_usage *usage)
{
        usage->cause = usage->own == SCOPE_CAUSE_STARVED ? usage->withheld : usage->own;
}

void scope_usage_cause(struct scope_usage *usage, const char *cause)
{
        unsigned own = place_of(usage, cause);
        if (own != usage->own)
                usage->queued_ns = 0;
        usage->own = own;
        settle(usage);
}

void scope_usage_withheld(struct scope_usage *usage, const char *cause)
{
        usage->withheld = cause != NULL ? place_of(usage, cause) : SCOPE_CAUSE_STARVED;
        settle(usage);
}

void scope_usage_charge(struct scope_usage *usage, uint64_t now_ns, const char *cause)
{
        unsigned before = usage->cause;
        usage->cause = place_of(usage, cause);
        usage->queued_ns = 0;
        scope_usage_idle(usage, now_ns);
        usage->cause = before;
}

uint64_t scope_usage_queued(struct scope_usage *usage, uint64_t ns)
{
        const char *cause =
                atomic_load_explicit(&usage->idle[usage->cause].cause, memory_order_relaxed);
        if (strcmp(cause, "computing") != 0)
                return 0;
        uint64_t queued_ns = usage->queued_ns < ns ? usage->queued_ns : ns;
        usage->queued_ns -= queued_ns;
        scope_counter_add(&usage->idle[place_of(usage, "cores")].ns, queued_ns);
        return queued_ns;
}
