/* idle_shares.h - the bubble ledger of a run: what share of its time an actor spent on what.
 * Why: the table of `bench overlap`, its page, a run's metrics and its status say the same. */
#pragma once

#include "actors/idle.h"
#include "runtime/system.h"

struct scope_text;

struct scope_idle_shares {
        double busy;                   /* own turns, jobs and calls */
        double idle[SCOPE_IDLE_COUNT]; /* from SCOPE_IDLE_FIRST on; with busy they make 1 */
        double alive_s;                /* of all of them together */
        unsigned count;
};

/* Mean over all actors called `role` or `role-NUMBER`; all zero where there is none.
 * thread  any; pure */
struct scope_idle_shares scope_idle_shares_of(
        const struct scope_actor_usage *usage, unsigned count, const char *role);

/* Seconds by word of one actor: [0] is its own turns, then scope_idle_words from COMPUTING on. */
double scope_idle_busy_s(const struct scope_actor_usage *usage);
double scope_idle_seconds(const struct scope_actor_usage *usage, enum scope_idle cause);

/* {"actor": {cause: share}} of every actor, causes that took no time left out; and {"actor": busy}
 * under another key. */
void scope_idle_shares_json(const struct scope_actor_usage *usage, unsigned count,
        const char *idle_key, const char *busy_key, struct scope_text *text);

/* The largest of |busy + idle - wall| / wall over all actors. */
double scope_idle_error(const struct scope_actor_usage *usage, unsigned count, double wall_s);
