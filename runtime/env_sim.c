/* env_sim.c - the simulated environment: one thread, virtual time, a seeded scheduler. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "runtime/sim.h"

enum { TURN_NS = 1000, OVERDUE_EVERY = 256, MANY = 64, LOOKED_AT = 4 };

static uint64_t sim_now_ns(struct scope_loop *loop)
{
        const struct scope_sim *sim = sim_of(loop);
        return sim != NULL ? sim->now_ns : 0;
}

static void sim_wake(struct scope_loop *loop)
{
        (void)loop; /* the one loop looks around before every event */
}

static uint64_t sim_tie(struct scope_loop *loop)
{
        return scope_rng_next(&sim_of(loop)->rng);
}

static uint64_t sim_late(struct scope_actor *self)
{
        struct scope_sim *sim = self->system->env;
        return scope_sim_chance(sim, SCOPE_FAULT_TIMER_LATE) ? scope_sim_tail(sim, 1000000) : 0;
}

static enum scope_err sim_refuse(struct scope_actor *self, const struct scope_message *message)
{
        (void)message;
        return scope_sim_chance(self->system->env, SCOPE_FAULT_MAILBOX_FULL) ? SCOPE_ERR_AGAIN
                                                                             : SCOPE_OK;
}

enum scope_err scope_sim_schedule(struct scope_sim *sim, struct scope_timer_node *node,
        uint64_t at_ns)
{
        node->at_ns = at_ns;
        node->tie = scope_rng_next(&sim->rng);
        return scope_timer_heap_add(&sim->system->loops[0].timers, node);
}

/* --- operations ------------------------------------------------------------------------------- */

static void unlink_operation(struct sim_operation *own)
{
        own->next->previous = own->previous;
        own->previous->next = own->next;
        free(own->body);
        own->body = NULL;
}

void scope_sim_finish(struct scope_sim *sim, struct sim_operation *own, enum scope_err err)
{
        scope_timer_heap_remove(&sim->system->loops[0].timers, &own->node);
        unlink_operation(own);
        scope_operation_finish(own->operation, err);
}

static enum scope_err sim_start(struct scope_operation *operation,
        const struct scope_http_request *request)
{
        struct scope_sim *sim = sim_of(operation->loop);
        struct sim_operation *own = scope_operation_env(operation);
        own->operation = operation;
        own->next = &sim->operations;
        own->previous = sim->operations.previous;
        own->previous->next = own;
        sim->operations.previous = own;
        enum scope_err err = SCOPE_OK;
        if (operation->kind == SCOPE_OPERATION_COMPUTE)
                err = scope_sim_compute_start(sim, own);
        else if (operation->kind == SCOPE_OPERATION_HTTP)
                err = scope_sim_http_start(sim, own, request);
        else
                err = scope_sim_disk_start(sim, own);
        if (err != SCOPE_OK)
                unlink_operation(own);
        return err;
}

static void sim_cancel(struct scope_operation *operation)
{
        struct scope_sim *sim = sim_of(operation->loop);
        struct sim_operation *own = scope_operation_env(operation);
        bool stops = operation->kind == SCOPE_OPERATION_HTTP ||
                     (operation->kind == SCOPE_OPERATION_COMPUTE &&
                             scope_sim_compute_cancel(sim, own));
        if (stops)
                scope_sim_finish(sim, own, SCOPE_ERR_CANCELLED);
}

/* --- the run ---------------------------------------------------------------------------------- */

/* Kills any actor at any turn boundary; never often enough to exhaust its restarts by itself,
 * because that would be the configured end of the run and not a bug. */
static void crash(struct scope_sim *sim)
{
        struct scope_system *system = sim->system;
        uint64_t draw = scope_rng_next(&sim->rng);
        struct scope_actor *actor = system->actors[draw % system->actor_count];
        bool lives = actor->life == SCOPE_ACTOR_RUNNING || actor->life == SCOPE_ACTOR_DRAINING;
        if (!lives || scope_supervisor_recent(actor) + 1 >= system->options.restarts_max) {
                sim->result.faults[SCOPE_FAULT_ACTOR_CRASH]--; /* it did not happen */
                return;
        }
        scope_fail(actor, SCOPE_ERR_INTERNAL, "simulated crash");
        scope_supervisor_fail(actor);
}

/* A drain lasts few turns: more of them are tried, or nobody ever dies in one. */
static void maybe_crash(struct scope_sim *sim)
{
        unsigned tries = scope_system_draining(sim->system) ? 16 : 1;
        for (unsigned i = 0; i < tries; i++)
                if (scope_sim_chance(sim, SCOPE_FAULT_ACTOR_CRASH)) {
                        crash(sim);
                        return;
                }
}

static void turn(struct scope_sim *sim, struct scope_loop *loop)
{
        uint32_t chosen = (uint32_t)scope_rng_below(&sim->rng, loop->ready_count);
        struct scope_actor **head = &loop->ready[loop->ready_head];
        struct scope_actor **other = &loop->ready[(loop->ready_head + chosen) & loop->ready_mask];
        struct scope_actor *swapped = *head;
        *head = *other;
        *other = swapped;
        sim->now_ns += TURN_NS; /* the turn sees the time it began at */
        scope_loop_run(loop, scope_loop_ready_take(loop), 1);
}

/* One event; false = nothing can happen any more. */
static bool step(struct scope_sim *sim, struct scope_loop *loop)
{
        struct scope_timer_node *node = scope_timer_heap_take(&loop->timers, sim->now_ns);
        loop->now_ns = sim->now_ns;
        if (node != NULL) {
                node->fire(loop, node);
                return true;
        }
        if (loop->ready_count != 0) {
                maybe_crash(sim);
                if (loop->ready_count != 0)
                        turn(sim, loop);
                return true;
        }
        uint64_t next_ns = scope_timer_heap_next_ns(&loop->timers);
        if (next_ns == UINT64_MAX)
                return loop->look_again;
        sim->now_ns = next_ns;
        return true;
}

/* All actors are looked at after every event; where there are very many, so seldom that it comes to
 * LOOKED_AT of them an event: what is wrong stays so. */
static void check(struct scope_sim *sim)
{
        struct scope_system *system = sim->system;
        uint64_t every = system->actor_count < MANY ? 1 : system->actor_count / LOOKED_AT;
        if (sim->result.events % every != 0)
                return;
        const char *wrong = sim->options.invariant != NULL
                                    ? sim->options.invariant(sim->options.context, system)
                                    : scope_simulation_check(system);
        if (wrong != NULL)
                scope_sim_violation(sim, "%s", wrong);
}

/* Says what everybody waits for. */
static void stuck(struct scope_sim *sim, const char *why)
{
        struct scope_text text = { .limit = sizeof sim->violation };
        (void)scope_system_waits(sim->system, 0, &text); /* the count is in the lines */
        scope_sim_violation(sim, "I9: %s at %llu ns. %s", why, (unsigned long long)sim->now_ns,
                text.bytes != NULL ? text.bytes : "");
        scope_text_fini(&text);
}

static enum scope_err sim_run(struct scope_system *system)
{
        struct scope_sim *sim = system->env;
        struct scope_loop *loop = &system->loops[0];
        scope_loop_enter(loop);
        while (!scope_system_finished(system) && sim->result.violation == NULL) {
                loop->now_ns = sim->now_ns;
                scope_supervisor_orders(loop);
                if (scope_system_finished(system))
                        break;
                if (!step(sim, loop))
                        stuck(sim, "nothing can happen any more");
                sim->result.events++;
                check(sim);
                if (sim->result.events % OVERDUE_EVERY == 0)
                        scope_sim_overdue(sim);
                if (sim->now_ns > sim->options.stop_ns)
                        stuck(sim, "not everything has stopped");
                else if (sim->result.events >= sim->options.events_max)
                        stuck(sim, "too many events");
        }
        sim->result.virtual_ns = sim->now_ns;
        scope_loop_leave(loop);
        return sim->result.violation != NULL ? SCOPE_ERR_VERIFY : SCOPE_OK;
}

static void sim_free(struct scope_sim *sim)
{
        scope_sim_net_fini(sim);
        scope_sim_disk_fini(sim);
        scope_sim_watch_fini(sim);
        free(sim);
}

static void sim_destroy(struct scope_system *system)
{
        struct scope_sim *sim = system->env;
        while (sim->operations.next != &sim->operations)
                scope_sim_finish(sim, sim->operations.next, SCOPE_ERR_CANCELLED);
        sim_free(sim);
        system->env = NULL;
}

static const struct scope_env_ops sim_ops = {
        .name = "simulated",
        .operation_bytes = sizeof(struct sim_operation),
        .one_loop = true,
        .now_ns = sim_now_ns,
        .wake = sim_wake,
        .start = sim_start,
        .cancel = sim_cancel,
        .run = sim_run,
        .destroy = sim_destroy,
        .refuse = sim_refuse,
        .carry = scope_sim_carry,
        .late = sim_late,
        .tie = sim_tie,
        .observe = scope_sim_observe,
};

enum scope_err scope_simulation_create(const struct scope_system_options *options,
        const struct scope_sim_options *sim_options, struct scope_system **ret_system)
{
        struct scope_sim *sim = calloc(1, sizeof(*sim));
        if (sim == NULL)
                return SCOPE_ERR_MEMORY;
        sim->options = *sim_options;
        sim->rng = scope_rng_make(sim_options->seed);
        sim->letters.next = sim->letters.previous = &sim->letters;
        sim->operations.next = sim->operations.previous = &sim->operations;
        sim->workers_free = options->compute_threads;
        sim->disk_ns = calloc(SCOPE_ACTORS_MAX, sizeof(*sim->disk_ns));
        enum scope_err err = scope_key_map_init(&sim->channels, 64);
        if (err == SCOPE_OK)
                err = scope_key_map_init(&sim->open_index, 256);
        struct scope_system_options own = *options;
        own.loops = 1;
        own.loop_cores = own.compute_cores = NULL;
        if (err != SCOPE_OK || sim->disk_ns == NULL) {
                sim_free(sim);
                return SCOPE_ERR_MEMORY;
        }
        err = scope_core_create(&own, &sim_ops, ret_system);
        if (err != SCOPE_OK) {
                sim_free(sim);
                return err;
        }
        sim->system = *ret_system;
        (*ret_system)->env = sim;
        scope_sim_faults_draw(sim);
        return SCOPE_OK;
}

void scope_simulation_result(const struct scope_system *system, struct scope_sim_result *ret_result)
{
        const struct scope_sim *sim = system->env;
        *ret_result = sim->result;
}
