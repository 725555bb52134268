/* sim_watch.c - what the simulator checks by itself, apart from the code it checks.
 * Why: the core's own books cannot show that the core is wrong; these are kept from what is
 * seen. */
#include <stdlib.h>

#include "base/check.h"
#include "runtime/ledger.h"
#include "runtime/sim.h"

static const uint64_t GRACE_NS = 1000000000; /* an answer may stand in a full mailbox */

static void fold(struct scope_sim *sim, uint64_t value)
{
        uint64_t hash = (sim->result.trace_hash ^ value) * 0x9fb21c651e98df25u;
        sim->result.trace_hash = hash ^ hash >> 32;
}

static uint64_t open_key(const struct scope_actor *actor, uint64_t correlation)
{
        return scope_hash_pair(actor->index, correlation);
}

static void open_add(struct scope_sim *sim, const struct scope_actor *actor,
        const struct scope_message *request)
{
        if (sim->open_count == sim->open_capacity) {
                uint32_t capacity = sim->open_capacity == 0 ? 256 : 2 * sim->open_capacity;
                struct sim_open *grown = realloc(sim->open, capacity * sizeof(*grown));
                scope_assert(grown != NULL); /* a simulation without memory proves nothing */
                sim->open = grown;
                sim->open_capacity = capacity;
        }
        uint64_t key = open_key(actor, request->correlation);
        enum scope_err err = scope_key_map_set(&sim->open_index, key, sim->open_count);
        scope_assert(err == SCOPE_OK);
        sim->open[sim->open_count++] = (struct sim_open){ key, request->deadline_ns };
}

static bool open_remove(struct scope_sim *sim, uint64_t key)
{
        const uint32_t *found = scope_key_map_find(&sim->open_index, key);
        if (found == NULL)
                return false;
        uint32_t index = *found;
        (void)scope_key_map_remove(&sim->open_index, key); /* it was found */
        sim->open[index] = sim->open[--sim->open_count];
        if (index < sim->open_count) {
                uint32_t *moved = scope_key_map_find(&sim->open_index, sim->open[index].key);
                scope_assert(moved != NULL);
                *moved = index;
        }
        return true;
}

static void watch_turn(struct scope_sim *sim, const struct scope_actor *actor,
        const struct scope_message *message)
{
        fold(sim, sim->now_ns);
        fold(sim, (uint64_t)actor->index << 32 | actor->incarnation);
        fold(sim, (uint64_t)message->kind << 40 | (uint64_t)message->lane << 32 | message->bytes);
        fold(sim, (uint64_t)message->sender.actor << 32 | (uint32_t)message->err);
        fold(sim, message->correlation);
        if (message->target.incarnation != 0 && message->target.incarnation != actor->incarnation)
                scope_sim_violation(sim, "%s: message of kind %u for incarnation %u reached %u",
                        actor->name, message->kind, message->target.incarnation,
                        actor->incarnation);
        if ((message->flags & SCOPE_MESSAGE_REPLY) != 0 &&
                !open_remove(sim, open_key(actor, message->correlation)))
                scope_sim_violation(sim, "I13: %s: a second answer, or one to no request (kind %u)",
                        actor->name, message->kind);
}

void scope_sim_observe(struct scope_actor *actor, int observation,
        const struct scope_message *message)
{
        struct scope_sim *sim = actor->system->env;
        if (sim == NULL)
                return; /* the system is being made */
        switch ((enum scope_observation)observation) {
        case SCOPE_OBSERVE_TURN:
                watch_turn(sim, actor, message);
                break;
        case SCOPE_OBSERVE_REQUEST:
                open_add(sim, actor, message);
                break;
        case SCOPE_OBSERVE_FORGOTTEN:
                (void)open_remove(sim, open_key(actor, message->correlation)); /* or its error
                                                                                * was seen */
                break;
        case SCOPE_OBSERVE_LIFE: {
                unsigned from = sim->lives[actor->index], to = actor->life;
                sim->lives[actor->index] = (uint8_t)to;
                sim->result.transitions |= UINT64_C(1) << (from * 8 + to);
                fold(sim, (uint64_t)actor->index << 8 | to);
                break;
        }
        }
}

void scope_sim_overdue(struct scope_sim *sim)
{
        for (uint32_t i = 0; i < sim->open_count; i++)
                if (sim->open[i].deadline_ns + GRACE_NS < sim->now_ns)
                        scope_sim_violation(sim, "I13: a request was not answered in time");
}

void scope_sim_watch_fini(struct scope_sim *sim)
{
        scope_key_map_fini(&sim->open_index);
        free(sim->open);
}

/* --- the runtime's invariants ----------------------------------------------------------------- */

static const char *check_actor(const struct scope_actor *actor)
{
        uint32_t counted = 0;
        for (int lane = 0; lane < SCOPE_LANE_COUNT; lane++) {
                if (actor->mailbox.lanes[lane].counted > actor->capacity[lane])
                        return "I8: a lane holds more than its capacity";
                counted += actor->mailbox.lanes[lane].counted;
        }
        if (counted > actor->mailbox.queued)
                return "I8: more counted messages than messages";
        bool runs = actor->life == SCOPE_ACTOR_RUNNING || actor->life == SCOPE_ACTOR_DRAINING;
        if (runs && actor->mailbox.queued != 0 && !actor->scheduled)
                return "I12: an actor has mail and is not scheduled";
        if (runs)
                return NULL;
        if (actor->scheduled)
                return "I12: an actor is dead and scheduled";
        if (actor->life == SCOPE_ACTOR_READY)
                return NULL;
        if (actor->mailbox.queued != 0)
                return "I12: a dead actor has mail";
        for (int kind = 0; kind < SCOPE_PENDING_KINDS; kind++)
                if (actor->pending.counts[kind] != 0)
                        return "I12: a dead actor waits for something";
        return NULL;
}

const char *scope_simulation_check(struct scope_system *system)
{
        const struct scope_loop_counts *counts = &system->loops[0].counts;
        uint64_t requests = 0, monitors = 0;
        for (uint32_t i = 0; i < system->actor_count; i++) {
                const struct scope_actor *actor = system->actors[i];
                const char *wrong = check_actor(actor);
                if (wrong != NULL)
                        return wrong;
                requests += actor->pending.counts[SCOPE_PENDING_REQUEST];
                monitors += actor->pending.counts[SCOPE_PENDING_MONITOR];
        }
        if (counts->requests != counts->answered + counts->forgotten + requests)
                return "I13: requests are not answered + forgotten + outstanding";
        if (counts->monitors != counts->downs + counts->unmonitored + monitors)
                return "a monitor was not told of a death";
        struct scope_ledger_counts ledger = scope_ledger_counts(system->ledger);
        uint64_t ended = 0;
        for (int outcome = 0; outcome < SCOPE_LEDGER_OUTCOMES_MAX; outcome++)
                ended += ledger.ended[outcome];
        if (ledger.admitted != ended + ledger.live)
                return "I2: admitted is not ended + live";
        return NULL;
}
