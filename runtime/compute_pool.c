#include "runtime/compute_pool.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "runtime/spin.h"
#include "runtime/thread.h"
#include "runtime/topology_hwloc.h"
#include "runtime/trace_work.h"

/* One semaphore a worker carries both the wake-up and the memory order of the hand-over: task and
 * rank are written before sem_post and read after sem_wait. */
struct worker {
        _Alignas(64) sem_t wake;
        struct scope_compute_pool *pool;
        struct scope_compute_task *task; /* NULL after wake = stop */
        unsigned rank;
        int core;
        bool assigned; /* under the pool's lock */
        struct scope_spin spin;
        pthread_t thread;
        /* Written by the worker, read by anyone: relaxed, they are counters and order nothing. */
        _Atomic uint64_t busy_ns, jobs;
        struct scope_work work;
        uint64_t cpu_ns; /* of the whole life, set when the thread ended */
};

struct scope_compute_pool {
        /* Guards what follows, `assigned` of workers, and tasks between submit and done. */
        pthread_mutex_t lock;
        pthread_cond_t io_wake;
        struct scope_compute_task *queue; /* waiting compute tasks in order of arrival */
        struct scope_compute_task *io_queue;
        unsigned threads, free_count, started;
        bool stopping, stopped;
        atomic_uint unpinned; /* relaxed: a counter */
        struct worker io;
        struct worker workers[];
};

static void list_append(struct scope_compute_task **list, struct scope_compute_task *task)
{
        task->next = NULL;
        while (*list != NULL)
                list = &(*list)->next;
        *list = task;
}

/* Free workers among those that may run it. Needs the lock, as the next three do. */
static unsigned free_for(const struct scope_compute_pool *pool, const struct scope_job *job)
{
        unsigned count = 0;
        for (unsigned i = 0; i < job->workers.count; i++)
                count += !pool->workers[job->workers.first + i].assigned;
        return count;
}

static bool overlap(const struct scope_job *one, const struct scope_job *two)
{
        return one->workers.first < two->workers.first + two->workers.count &&
               two->workers.first < one->workers.first + one->workers.count;
}

/* One that was overtaken too often waits for some of its workers, and it is not behind. */
static bool kept_back(
        const struct scope_compute_pool *pool, const struct scope_compute_task *task)
{
        bool starved = task->overtaken >= SCOPE_COMPUTE_OVERTAKEN_MAX;
        for (struct scope_compute_task *at = pool->queue; at != NULL; at = at->next) {
                if (at == task && starved)
                        return false;
                if (at != task && at->overtaken >= SCOPE_COMPUTE_OVERTAKEN_MAX &&
                        overlap(&at->job, &task->job))
                        return true;
        }
        return false;
}

/* The link to the task to start now, or NULL. */
static struct scope_compute_task **choose(struct scope_compute_pool *pool)
{
        struct scope_compute_task **best = NULL;
        for (struct scope_compute_task **at = &pool->queue; *at != NULL; at = &(*at)->next) {
                if ((*at)->size > free_for(pool, &(*at)->job) || kept_back(pool, *at))
                        continue;
                if ((*at)->overtaken >= SCOPE_COMPUTE_OVERTAKEN_MAX)
                        return at;
                if (best == NULL || (*at)->job.priority < (*best)->job.priority)
                        best = at;
        }
        return best;
}

/* Takes *link out of the queue; everyone who came earlier or matters more, and could have run on
 * one of its workers, was overtaken. */
static struct scope_compute_task *take(
        struct scope_compute_pool *pool, struct scope_compute_task **link)
{
        struct scope_compute_task *task = *link;
        bool earlier = true;
        for (struct scope_compute_task *other = pool->queue; other != NULL; other = other->next) {
                if (other == task)
                        earlier = false;
                else if ((earlier || other->job.priority < task->job.priority) &&
                         overlap(&other->job, &task->job))
                        other->overtaken++;
        }
        *link = task->next;
        return task;
}

static void hand_out(struct scope_compute_pool *pool, struct scope_compute_task *task)
{
        unsigned rank = 0, size = task->size;
        task->left = task->size;
        task->queued_ns = scope_clock_ns(CLOCK_MONOTONIC) - task->submitted_ns;
        pool->free_count -= size;
        for (unsigned i = 0; rank < size; i++) {
                scope_assert(i < task->job.workers.count);
                struct worker *worker = &pool->workers[task->job.workers.first + i];
                if (worker->assigned)
                        continue;
                worker->assigned = true;
                worker->task = task;
                worker->rank = rank++;
                (void)sem_post(&worker->wake); /* cannot fail: at most two are pending */
        }
}

static void dispatch(struct scope_compute_pool *pool)
{
        struct scope_compute_task **link;
        while (pool->free_count > 0 && (link = choose(pool)) != NULL)
                hand_out(pool, take(pool, link));
}

static enum scope_err run_rank(
        struct worker *worker, const struct scope_job *job, unsigned rank, unsigned size)
{
        uint64_t begin_ns = scope_clock_ns(CLOCK_MONOTONIC);
        scope_work_begin(&worker->work, job->what, begin_ns);
        enum scope_err err = job->run(job->arg, rank, size);
        uint64_t end_ns = scope_clock_ns(CLOCK_MONOTONIC);
        scope_work_end(&worker->work, end_ns);
        atomic_fetch_add_explicit(&worker->busy_ns, end_ns - begin_ns, memory_order_relaxed);
        atomic_fetch_add_explicit(&worker->jobs, 1, memory_order_relaxed);
        return err;
}

static void finish_rank(
        struct worker *worker, struct scope_compute_task *task, unsigned rank, enum scope_err err)
{
        struct scope_compute_pool *pool = worker->pool;
        (void)pthread_mutex_lock(&pool->lock);
        if (err != SCOPE_OK && rank < task->err_rank) {
                task->err = err;
                task->err_rank = rank;
        }
        worker->assigned = false;
        worker->task = NULL;
        pool->free_count++;
        bool last = --task->left == 0;
        dispatch(pool);
        (void)pthread_mutex_unlock(&pool->lock);
        if (last)
                task->done(task, task->err);
}

static bool woken(void *arg)
{
        return sem_trywait(arg) == 0;
}

static void wait_for_work(struct worker *worker)
{
        uint64_t begin_ns;
        if (scope_spin_until(&worker->spin, woken, &worker->wake))
                return;
        begin_ns = scope_clock_ns(CLOCK_MONOTONIC);
        while (sem_wait(&worker->wake) != 0) /* EINTR: a signal handler ran here */
                ;
        scope_spin_slept(&worker->spin, scope_clock_ns(CLOCK_MONOTONIC) - begin_ns);
}

static void thread_begin(struct worker *worker, const char *name)
{
        (void)pthread_setname_np(pthread_self(), name); /* only for people who look */
        if (scope_thread_pin(worker->core) != SCOPE_OK)
                atomic_fetch_add_explicit(&worker->pool->unpinned, 1, memory_order_relaxed);
}

static void *worker_main(void *arg)
{
        struct worker *worker = arg;
        thread_begin(worker, "scope-compute");
        for (wait_for_work(worker); worker->task != NULL; wait_for_work(worker)) {
                struct scope_compute_task *task = worker->task;
                unsigned rank = worker->rank;
                enum scope_err err = run_rank(worker, &task->job, rank, task->size);
                finish_rank(worker, task, rank, err);
        }
        worker->cpu_ns = scope_clock_ns(CLOCK_THREAD_CPUTIME_ID);
        return NULL;
}

static void *io_main(void *arg)
{
        struct worker *io = arg;
        struct scope_compute_pool *pool = io->pool;
        thread_begin(io, "scope-io");
        (void)pthread_mutex_lock(&pool->lock);
        for (;;) {
                while (pool->io_queue == NULL && !pool->stopping)
                        (void)pthread_cond_wait(&pool->io_wake, &pool->lock);
                struct scope_compute_task *task = pool->io_queue;
                if (task == NULL)
                        break;
                pool->io_queue = task->next;
                (void)pthread_mutex_unlock(&pool->lock);
                enum scope_err err = run_rank(io, &task->job, 0, 1);
                task->done(task, err);
                (void)pthread_mutex_lock(&pool->lock);
        }
        (void)pthread_mutex_unlock(&pool->lock);
        io->cpu_ns = scope_clock_ns(CLOCK_THREAD_CPUTIME_ID);
        return NULL;
}

static void worker_init(struct worker *worker, struct scope_compute_pool *pool, int core, bool spin)
{
        worker->pool = pool;
        worker->core = core;
        worker->spin.budget_ns = spin ? SCOPE_SPIN_NS_MAX : 0;
        (void)sem_init(&worker->wake, 0, 0); /* private and 0: cannot fail */
}

enum scope_err scope_compute_pool_create(
        const struct scope_compute_pool_options *options, struct scope_compute_pool **ret_pool)
{
        scope_assert(options->threads >= 1 && options->threads <= SCOPE_CORES_MAX);
        size_t bytes = sizeof(struct scope_compute_pool) + options->threads * sizeof(struct worker);
        struct scope_compute_pool *pool = aligned_alloc(64, (bytes + 63) / 64 * 64);
        if (pool == NULL)
                return SCOPE_ERR_MEMORY;
        *pool = (struct scope_compute_pool){ .threads = options->threads,
                .free_count = options->threads };
        (void)pthread_mutex_init(&pool->lock, NULL);
        (void)pthread_cond_init(&pool->io_wake, NULL);
        worker_init(&pool->io, pool, -1, false);
        for (unsigned i = 0; i < pool->threads; i++) {
                pool->workers[i] = (struct worker){ .task = NULL };
                worker_init(&pool->workers[i], pool,
                        options->cores == NULL ? -1 : options->cores[i], options->spin);
        }
        if (scope_thread_create(&pool->io.thread, io_main, &pool->io) != SCOPE_OK) {
                pool->stopped = true; /* no thread to stop */
                goto fail;
        }
        for (; pool->started < pool->threads; pool->started++) {
                struct worker *worker = &pool->workers[pool->started];
                if (scope_thread_create(&worker->thread, worker_main, worker) != SCOPE_OK)
                        goto fail;
        }
        *ret_pool = pool;
        return SCOPE_OK;
fail:
        scope_compute_pool_destroy(pool);
        return SCOPE_ERR_INTERNAL;
}

void scope_compute_pool_submit(struct scope_compute_pool *pool, struct scope_compute_task *task)
{
        scope_assert(task->job.run != NULL && task->done != NULL);
        unsigned cores = task->job.cores == 0 ? 1 : task->job.cores;
        struct scope_workers *workers = &task->job.workers;
        if (workers->count == 0)
                *workers = (struct scope_workers){ 0, (uint16_t)pool->threads };
        scope_assert(workers->first + workers->count <= pool->threads);
        task->size = (uint16_t)(cores < workers->count ? cores : workers->count);
        task->left = 0;
        task->overtaken = 0;
        task->err = SCOPE_OK;
        task->err_rank = UINT32_MAX;
        task->submitted_ns = scope_clock_ns(CLOCK_MONOTONIC);
        task->queued_ns = 0;
        (void)pthread_mutex_lock(&pool->lock);
        bool refused = pool->stopping;
        if (!refused && task->job.io) {
                list_append(&pool->io_queue, task);
                (void)pthread_cond_signal(&pool->io_wake);
        } else if (!refused) {
                list_append(&pool->queue, task);
                dispatch(pool);
        }
        (void)pthread_mutex_unlock(&pool->lock);
        if (refused)
                task->done(task, SCOPE_ERR_CANCELLED);
}

static void run_done(struct scope_compute_task *task, enum scope_err err)
{
        task->err = err;
        (void)sem_post(task->owner); /* one waiter, one post */
}

enum scope_err scope_compute_pool_run(struct scope_compute_pool *pool, const struct scope_job *job)
{
        sem_t finished;
        struct scope_compute_task task = { .job = *job, .done = run_done, .owner = &finished };
        (void)sem_init(&finished, 0, 0);
        scope_compute_pool_submit(pool, &task);
        while (sem_wait(&finished) != 0)
                ;
        (void)sem_destroy(&finished);
        return task.err;
}

void scope_compute_pool_stop(struct scope_compute_pool *pool)
{
        if (pool->stopped)
                return;
        (void)pthread_mutex_lock(&pool->lock);
        struct scope_compute_task *waiting = pool->queue;
        pool->queue = NULL;
        pool->stopping = true;
        (void)pthread_cond_signal(&pool->io_wake);
        (void)pthread_mutex_unlock(&pool->lock);
        while (waiting != NULL) {
                struct scope_compute_task *task = waiting;
                waiting = task->next;
                task->done(task, SCOPE_ERR_CANCELLED);
        }
        for (unsigned i = 0; i < pool->started; i++)
                (void)sem_post(&pool->workers[i].wake); /* after the job in hand it finds no task */
        for (unsigned i = 0; i < pool->started; i++)
                (void)pthread_join(pool->workers[i].thread, NULL);
        (void)pthread_join(pool->io.thread, NULL);
        pool->stopped = true;
}

void scope_compute_pool_destroy(struct scope_compute_pool *pool)
{
        if (pool == NULL)
                return;
        scope_compute_pool_stop(pool);
        for (unsigned i = 0; i < pool->threads; i++)
                (void)sem_destroy(&pool->workers[i].wake);
        (void)sem_destroy(&pool->io.wake);
        (void)pthread_cond_destroy(&pool->io_wake);
        (void)pthread_mutex_destroy(&pool->lock);
        free(pool);
}

unsigned scope_compute_pool_threads(const struct scope_compute_pool *pool)
{
        return pool->threads;
}

unsigned scope_compute_pool_unpinned(const struct scope_compute_pool *pool)
{
        return atomic_load_explicit(&pool->unpinned, memory_order_relaxed);
}

bool scope_compute_pool_work(struct scope_compute_pool *pool, unsigned worker, unsigned index,
        const char **ret_what, uint64_t *ret_ns)
{
        if (worker > pool->threads)
                return false;
        struct worker *of = worker == pool->threads ? &pool->io : &pool->workers[worker];
        return scope_work_read(&of->work, index, ret_what, ret_ns);
}

bool scope_compute_pool_usage(
        struct scope_compute_pool *pool, unsigned worker, struct scope_compute_usage *ret_usage)
{
        clockid_t clock;
        if (worker > pool->threads)
                return false;
        struct worker *of = worker == pool->threads ? &pool->io : &pool->workers[worker];
        ret_usage->busy_ns = atomic_load_explicit(&of->busy_ns, memory_order_relaxed);
        ret_usage->jobs = atomic_load_explicit(&of->jobs, memory_order_relaxed);
        ret_usage->cpu_ns = of->cpu_ns;
        if (!pool->stopped && pthread_getcpuclockid(of->thread, &clock) == 0)
                ret_usage->cpu_ns = scope_clock_ns(clock);
        return true;
}
