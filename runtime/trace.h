/* trace.h - who was busy, and who was idle why.
 * Why: overlap is the product; it must be seen. Counters are written by one loop, read by any.
 * (1) Usage counters rise only. (2) Every nanosecond from the start of the loop to its end is
 * charged once: busy + idle = wall time, dead and stopped actors included. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "runtime/system.h"

struct scope_usage {
        _Atomic uint64_t busy_ns, messages, restarts;
        struct {
                _Atomic(const char *) cause;
                _Atomic uint64_t ns;
        } idle[SCOPE_IDLE_CAUSES];
        /* places in `idle`: what the actor says, what whoever withholds its work says; time is
         * charged to `cause`, one of the two */
        unsigned own, withheld, cause;
        uint64_t mark_ns;
        uint64_t queued_ns; /* of time charged to "computing" next: its job waited for cores */
        uint64_t waited_ns; /* all of it, so far */
};
enum { SCOPE_CAUSE_STARVED = 0 }; /* place of the first cause; where there is no `withheld` */

/* What happened on a loop; for tests and the simulator's checks.               thread  loop */
struct scope_loop_counts {
        uint64_t turns, dead_letters, late_replies, expired, refused;
        uint64_t requests, answered, forgotten; /* requests = answered + forgotten + outstanding */
        uint64_t monitors, downs, unmonitored;  /* monitors = downs + unmonitored + outstanding */
        uint64_t planted;
};

/* Adds to a counter that only this thread writes. */
static inline void scope_counter_add(_Atomic uint64_t *counter, uint64_t amount)
{
        atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + amount,
                memory_order_relaxed);
}

/* Charges up to `ns` of the time that jobs waited to "cores"; returns how much. */
uint64_t scope_usage_queued(struct scope_usage *usage, uint64_t ns);

/* The actor was idle from the last mark to `now_ns`. */
static inline void scope_usage_idle(struct scope_usage *usage, uint64_t now_ns)
{
        if (now_ns <= usage->mark_ns)
                return;
        uint64_t ns = now_ns - usage->mark_ns;
        if (usage->queued_ns != 0)
                ns -= scope_usage_queued(usage, ns);
        scope_counter_add(&usage->idle[usage->cause].ns, ns);
        usage->mark_ns = now_ns;
}

/* The actor was busy from the last mark to `now_ns`. */
static inline void scope_usage_busy(struct scope_usage *usage, uint64_t now_ns)
{
        if (now_ns <= usage->mark_ns)
                return;
        scope_counter_add(&usage->busy_ns, now_ns - usage->mark_ns);
        usage->mark_ns = now_ns;
}

/* Charges idle time to `cause` from the mark on. */
void scope_usage_cause(struct scope_usage *usage, const char *cause);
/* The same, where the actor itself says that it is starved; NULL = it is. */
void scope_usage_withheld(struct scope_usage *usage, const char *cause);
/* Time since the mark, whatever the actor said, to `cause`. */
void scope_usage_charge(struct scope_usage *usage, uint64_t now_ns, const char *cause);
