/* sim_compute.c - jobs in virtual time on a bounded number of workers; where the options say so,
 * jobs that yield stand back for more urgent ones, and go on where they were. */
#include "runtime/sim.h"

enum { COST_STANDARD_NS = 1000 };

static void compute_done(void *owner, struct scope_timer_node *node);

static unsigned workers_of(const struct scope_sim *sim, const struct scope_operation *operation)
{
        unsigned all = sim->system->options.compute_threads;
        if (operation->job.io)
                return 0; /* the I/O thread's */
        return operation->job.cores < all ? operation->job.cores : all;
}

static uint64_t cost_of(struct scope_sim *sim, struct sim_operation *own)
{
        const struct scope_job *job = &own->operation->job;
        uint64_t cost_ns = job->cost_ns != 0 ? job->cost_ns : COST_STANDARD_NS;
        if (own->left_ns != 0)
                return own->left_ns;
        if (scope_sim_chance(sim, SCOPE_FAULT_COMPUTE_SLOW))
                cost_ns = scope_sim_tail(sim, 8 * cost_ns);
        if (scope_sim_chance(sim, SCOPE_FAULT_COMPUTE_FAIL))
                own->err = SCOPE_ERR_DEVICE;
        return cost_ns;
}

static void run(struct scope_sim *sim, struct sim_operation *own)
{
        uint64_t cost_ns = cost_of(sim, own);
        sim->workers_free -= workers_of(sim, own->operation);
        own->operation->queued_ns = sim->now_ns - own->operation->begin_ns - own->worked_ns;
        own->started_ns = sim->now_ns;
        own->running = true;
        own->node.fire = compute_done;
        if (scope_sim_schedule(sim, &own->node, sim->now_ns + cost_ns) != SCOPE_OK) {
                sim->workers_free += workers_of(sim, own->operation);
                scope_sim_finish(sim, own, SCOPE_ERR_MEMORY);
        }
}

/* The most urgent first; jobs behind it wait, also if they would fit: a gang must not starve. */
static void run_queued(struct scope_sim *sim)
{
        while (sim->queue != NULL &&
                workers_of(sim, sim->queue->operation) <= sim->workers_free) {
                struct sim_operation *own = sim->queue;
                sim->queue = own->queued;
                run(sim, own);
        }
}

static void compute_done(void *owner, struct scope_timer_node *node)
{
        struct scope_sim *sim = sim_of(owner);
        struct sim_operation *own = (struct sim_operation *)node; /* its first field */
        const struct scope_job *job = &own->operation->job;
        if (own->err == SCOPE_OK && !job->cost_only)
                own->err = job->run(job->arg, 0, 1);
        sim->workers_free += workers_of(sim, own->operation);
        scope_sim_finish(sim, own, own->err);
        run_queued(sim);
}

static void enqueue(struct scope_sim *sim, struct sim_operation *own, bool before_equals)
{
        struct sim_operation **place = &sim->queue;
        while (*place != NULL &&
                (*place)->operation->job.priority + before_equals <= own->operation->job.priority)
                place = &(*place)->queued;
        own->queued = *place;
        *place = own;
}

/* Takes the workers of jobs that yield from them until the first in the queue has enough. */
static void make_room(struct scope_sim *sim)
{
        struct sim_operation *first = sim->queue, *next;
        struct sim_operation *own = sim->operations.next;
        for (; own != &sim->operations; own = next) {
                const struct scope_job *job = &own->operation->job;
                next = own->next;
                if (workers_of(sim, first->operation) <= sim->workers_free)
                        return;
                if (own->operation->kind != SCOPE_OPERATION_COMPUTE || !own->running || job->io ||
                        !job->yields || job->priority <= first->operation->job.priority)
                        continue;
                scope_timer_heap_remove(&sim->system->loops[0].timers, &own->node);
                own->worked_ns += sim->now_ns - own->started_ns;
                own->left_ns = own->node.at_ns > sim->now_ns ? own->node.at_ns - sim->now_ns : 1;
                own->running = false;
                sim->workers_free += workers_of(sim, own->operation);
                enqueue(sim, own, true);
        }
}

enum scope_err scope_sim_compute_start(struct scope_sim *sim, struct sim_operation *own)
{
        if (own->operation->job.io) {
                run(sim, own);
                return SCOPE_OK;
        }
        enqueue(sim, own, false);
        if (sim->options.yields && sim->queue == own)
                make_room(sim);
        run_queued(sim);
        return SCOPE_OK;
}

bool scope_sim_compute_cancel(struct scope_sim *sim, struct sim_operation *own)
{
        if (own->running)
                return false; /* its end finds nobody who wants it */
        for (struct sim_operation **place = &sim->queue; *place != NULL; place = &(*place)->queued)
                if (*place == own) {
                        *place = own->queued;
                        return true;
                }
        return true;
}
