/* compute_pool.h - pinned worker threads with one arbiter, and one thread for blocking I/O.
 * Why: two actors whose kernels each start two threads on two cores make both slow. Here a job
 * says how many workers it wants, gets exactly these at one moment (a gang), and nobody else runs
 * on them but guests.
 * (1) A worker runs one rank of one job at a time. (2) Ranks of a job are handed out together, to
 * workers that it allows. (3) Best priority first, then first come. A job that does not fit yet may
 * be overtaken, but at most SCOPE_COMPUTE_OVERTAKEN_MAX times: then nothing starts before it on a
 * worker that it could use. So none starves. (4) Every submitted task is done exactly once.
 * (5) A job with `yields` lets jobs of better priority run on its workers at its next scope_yield
 * (base/yield.h), as guests: on its stack, one deep, at most SCOPE_COMPUTE_OVERTAKEN_MAX in a row
 * before it goes on to the yield after. So its ranks must not wait for each other.
 * (6) Workers of a job with `hold` stay free for SCOPE_COMPUTE_HOLD_NS after it, but for jobs of at
 * least its priority: the next of a row of short jobs comes as soon as its actor heard of this
 * one, and should not find another job begun meanwhile. It leaves cores idle: two cores with enough
 * to do were used to 0.93 without decoding's hold, to 0.895 with it; one_step_off behind a teacher
 * took 0.286 s a step with it, 0.306 without. So who is waited for holds, who just flows does not.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "runtime/actor.h"

struct scope_compute_pool;

enum { SCOPE_COMPUTE_OVERTAKEN_MAX = 16, SCOPE_COMPUTE_HOLD_NS = 200000 };

struct scope_compute_pool_options {
        unsigned threads; /* workers; >= 1, <= SCOPE_CORES_MAX */
        const int *cores; /* [threads] core numbers, -1 or NULL = not pinned */
        bool spin;        /* workers may look briefly for work before they sleep */
};

/* A job on its way. The caller owns the memory, fills the first group and keeps it until `done`. */
struct scope_compute_task {
        struct scope_job job;
        /* Called once, on the thread that finished last, without a lock held: hand over and
         * return. It may free the task. */
        void (*done)(struct scope_compute_task *task, enum scope_err err);
        void *owner; /* the caller's word */
        /* the pool's */
        struct scope_compute_task *next;
        /* how long it waited for workers, guests on them included; of these the sum over ranks */
        uint64_t submitted_ns, queued_ns, suspended_ns;
        uint32_t overtaken, err_rank;
        uint16_t size, left;
        enum scope_err err;
};

/* owns    gives
 * errors  SCOPE_ERR_MEMORY, SCOPE_ERR_INTERNAL: a thread did not start     thread  setup */
enum scope_err scope_compute_pool_create(const struct scope_compute_pool_options *options,
        struct scope_compute_pool **ret_pool);

/* Never waits. job.cores is cut to [1, workers]; io jobs go to the I/O thread, in order.
 * owns    borrows `task` until done     thread  any */
void scope_compute_pool_submit(struct scope_compute_pool *pool, struct scope_compute_task *task);

/* Submits and waits; returns the job's result. For programs without actors, never in a turn.
 * thread  any but a worker */
enum scope_err scope_compute_pool_run(struct scope_compute_pool *pool, const struct scope_job *job);

/* Compute jobs not yet started are done with SCOPE_ERR_CANCELLED; running ones and all io jobs
 * finish (what was to be written is written). Waits for them. Later submits are done with
 * SCOPE_ERR_CANCELLED at once. */
void scope_compute_pool_stop(struct scope_compute_pool *pool);

/* Stops and frees; accepts NULL.                                     thread  setup's */
void scope_compute_pool_destroy(struct scope_compute_pool *pool);

unsigned scope_compute_pool_threads(const struct scope_compute_pool *pool);

struct scope_compute_usage {
        uint64_t cpu_ns;  /* the thread's own clock: work, hand-over and looking for work */
        uint64_t busy_ns; /* wall time inside jobs that ended */
        uint64_t jobs;    /* ranks run */
};
/* Worker 0.., then the I/O thread; false past the end.               thread  any, not after stop */
bool scope_compute_pool_usage(struct scope_compute_pool *pool, unsigned worker,
        struct scope_compute_usage *ret_usage);

/* What a worker's time went to: runtime/trace_work.h.                      thread  any */
bool scope_compute_pool_work(struct scope_compute_pool *pool, unsigned worker, unsigned index,
        const char **ret_what, uint64_t *ret_ns);
