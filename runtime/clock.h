/* clock.h - monotonic time that is cheap to read.
 * Why: every turn is timed; clock_gettime costs as much as the rest of a short turn (25 to 30 ns
 * in a virtual machine), the processor's counter a third of that. The counter only interpolates:
 * whenever the loop collects, `sync` reads the real clock and starts again from it.
 * (1) Never goes backward. (2) Where the counter is not invariant, or its rate is not known yet,
 * every reading is the real clock's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* The real clock, or a thread's or process's.     thread  any */
static inline uint64_t scope_clock_ns(clockid_t clock)
{
        struct timespec now = { 0 };
        (void)clock_gettime(clock, &now); /* a clock that does not exist reads 0 */
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct scope_clock {
        uint64_t base_ns, base_ticks;   /* the last sync */
        uint64_t first_ns, first_ticks; /* the first: the rate is measured from it */
        uint64_t last_ns;               /* the latest reading handed out */
        uint64_t rate;                  /* nanoseconds a tick in 2^-32; 0 = not known */
        bool counter;                   /* the counter may be used */
};

void scope_clock_init(struct scope_clock *clock);
/* Reads the real clock.                                thread  owner */
uint64_t scope_clock_sync(struct scope_clock *clock);
/* Interpolates; syncs when the last sync is over 1 ms old.       thread  owner */
uint64_t scope_clock_now(struct scope_clock *clock);
