/* sim_faults.c - which faults a seed has, and when they happen. */
#include <stdarg.h>
#include <stdio.h>

#include "runtime/sim.h"

const char *scope_fault_name(enum scope_fault fault)
{
        static const char *const names[] = {
#define X(name) #name,
                SCOPE_FAULT_MAP(X)
#undef X
        };
        return (unsigned)fault < SCOPE_FAULT_COUNT ? names[fault] : "UNKNOWN";
}

void scope_sim_faults_draw(struct scope_sim *sim)
{
        for (int fault = 0; fault < SCOPE_FAULT_COUNT; fault++) {
                uint64_t draw = scope_rng_next(&sim->rng);
                /* A message or a turn happens far more often than a job, a call or a file. */
                bool frequent = fault == SCOPE_FAULT_ACTOR_CRASH ||
                                fault == SCOPE_FAULT_MESSAGE_DELAY ||
                                fault == SCOPE_FAULT_MAILBOX_FULL;
                unsigned shift = (frequent ? 5 : 1) + (unsigned)(draw >> 8 & 7);
                bool on = (sim->options.faults >> fault & 1) != 0 && (draw & 1) != 0;
                sim->rates[fault] = on ? 65536u >> shift : 0;
        }
}

bool scope_sim_chance(struct scope_sim *sim, enum scope_fault fault)
{
        if (sim->rates[fault] == 0 || sim->now_ns >= sim->options.heal_ns ||
                sim->result.events >= sim->options.events_max / 2)
                return false;
        if ((scope_rng_next(&sim->rng) & 0xffff) >= sim->rates[fault])
                return false;
        sim->result.faults[fault]++;
        return true;
}

uint64_t scope_sim_tail(struct scope_sim *sim, uint64_t median_ns)
{
        uint64_t draw = scope_rng_next(&sim->rng);
        /* Each further doubling is half as likely. */
        unsigned doublings = (unsigned)__builtin_ctzll(draw | 64);
        uint64_t base = median_ns / 2 + 1;
        return (base << doublings) + (draw >> 32) % base;
}

void scope_sim_violation(struct scope_sim *sim, const char *format, ...)
{
        if (sim->result.violation != NULL)
                return; /* the first is kept */
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(sim->violation, sizeof sim->violation, format, arguments); /* may be cut */
        va_end(arguments);
        sim->result.violation = sim->violation;
}
