/* yield.h - a place in a long computation where more urgent work may go first.
 * Why: a layer of a big model takes long, and whoever waits for the core should not wait for all of
 * them; the computation does not know who that is. The thread's owner (runtime/compute_pool.c)
 * says what happens here; where nobody said so, nothing does.
 * (1) Between two yields a computation holds no lock and waits for nobody. */
#pragma once

#include <stddef.h>

struct scope_yield {
        void (*run)(void *arg);
        void *arg;
};
extern _Thread_local struct scope_yield scope_yield_here;

/* thread  any; may run another job on the caller's stack */
static inline void scope_yield(void)
{
        if (scope_yield_here.run != NULL)
                scope_yield_here.run(scope_yield_here.arg);
}
