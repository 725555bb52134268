#include "runtime/clock.h"

#include <time.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

enum { RATE_AFTER_NS = 2000000, SYNC_AFTER_NS = 1000000 };

static uint64_t real_ns(void)
{
        struct timespec now;
        (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t ticks(void)
{
#if defined(__x86_64__)
        return __rdtsc();
#else
        return 0;
#endif
}

/* Same rate in every power state and on every core. */
static bool counter_is_invariant(void)
{
#if defined(__x86_64__)
        unsigned a = 0, b = 0, c = 0, d = 0;
        return __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 && (d >> 8 & 1) != 0;
#else
        return false;
#endif
}

void scope_clock_init(struct scope_clock *clock)
{
        *clock = (struct scope_clock){ .counter = counter_is_invariant() };
        clock->first_ns = clock->base_ns = clock->last_ns = real_ns();
        clock->first_ticks = clock->base_ticks = ticks();
}

static uint64_t hand_out(struct scope_clock *clock, uint64_t now_ns)
{
        if (now_ns > clock->last_ns)
                clock->last_ns = now_ns;
        return clock->last_ns;
}

uint64_t scope_clock_sync(struct scope_clock *clock)
{
        clock->base_ns = real_ns();
        clock->base_ticks = ticks();
        uint64_t ns = clock->base_ns - clock->first_ns;
        uint64_t elapsed = clock->base_ticks - clock->first_ticks;
        if (ns >= UINT64_C(1) << 31) { /* keeps the product below in range, and the rate fresh */
                clock->first_ns = clock->base_ns;
                clock->first_ticks = clock->base_ticks;
        }
        if (clock->counter && ns >= RATE_AFTER_NS && ns < UINT64_C(1) << 31 && elapsed > ns / 2)
                clock->rate = (ns << 32) / elapsed;
        return hand_out(clock, clock->base_ns);
}

uint64_t scope_clock_now(struct scope_clock *clock)
{
        if (clock->rate == 0)
                return scope_clock_sync(clock);
        uint64_t elapsed = ticks() - clock->base_ticks;
        if (elapsed >= UINT64_C(1) << 31)
                return scope_clock_sync(clock);
        uint64_t since_ns = elapsed * clock->rate >> 32;
        if (since_ns >= SYNC_AFTER_NS)
                return scope_clock_sync(clock);
        return hand_out(clock, clock->base_ns + since_ns);
}
