/* spin.h - how long a waiting thread looks again before it sleeps.
 * Why: a sleep and its wake-up cost 5 to 50 us (a wake-up between the cores of a virtual machine is
 * dear); work that comes back sooner is caught by looking. Looking yields, so whoever can run does.
 * A wait that turned out short sets the budget to the maximum and a long one halves it, so that a
 * busy thread catches its next work at once and an idle one soon stops burning its core.
 * (1) budget_ns is 0 for ever (no spare core) or within [SCOPE_SPIN_NS_MIN, SCOPE_SPIN_NS_MAX]. */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "runtime/clock.h"

enum { SCOPE_SPIN_NS_MIN = 500, SCOPE_SPIN_NS_MAX = 20000 };

struct scope_spin {
        uint32_t budget_ns;
};

static inline void scope_spin_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#endif
}

/* Calls ready(arg) until it is true or the budget is spent; what ready said last.
 * thread  owner */
static inline bool scope_spin_until(const struct scope_spin *spin, bool (*ready)(void *arg),
        void *arg)
{
        if (ready(arg))
                return true;
        if (spin->budget_ns == 0)
                return false;
        uint64_t end_ns = scope_clock_ns(CLOCK_MONOTONIC) + spin->budget_ns;
        do {
                for (int look = 0; look < 16; look++, scope_spin_relax())
                        if (ready(arg))
                                return true;
                (void)sched_yield();
        } while (scope_clock_ns(CLOCK_MONOTONIC) < end_ns);
        return false;
}

/* Tells the budget how long a wait was that ended in sleep.          thread  owner */
static inline void scope_spin_slept(struct scope_spin *spin, uint64_t waited_ns)
{
        uint32_t less = spin->budget_ns / 2;
        if (spin->budget_ns == 0)
                return;
        if (waited_ns < 2 * SCOPE_SPIN_NS_MAX) /* the wake-up itself is in there too */
                spin->budget_ns = SCOPE_SPIN_NS_MAX;
        else
                spin->budget_ns = less > SCOPE_SPIN_NS_MIN ? less : SCOPE_SPIN_NS_MIN;
}
