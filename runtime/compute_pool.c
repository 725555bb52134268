#include "runtime/compute_pool.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/yield.h"
#include "runtime/spin.h"
#include "runtime/thread.h"
#include "runtime/topology_hwloc.h"
#include "runtime/trace_work.h"

/* One semaphore a worker carries both the wake-up and the memory order of the hand-over: task and
 * rank are written before sem_post and read after sem_wait. Each hand-over is one post and one
 * wait, a guest's too. */
struct worker {
        _Alignas(64) sem_t wake;
        struct scope_compute_pool *pool;
        struct scope_compute_task *task; /* NULL after wake = stop */
        unsigned rank;
        int core;
        bool assigned; /* this and what follows: under the pool's lock */
        uint8_t held_priority;
        uint64_t held_until_ns;           /* 0 = not held */
        struct scope_compute_task *guest; /* waits for the next yield of `task`, or runs in it */
        unsigned guest_rank, guests;      /* in a row */
        /* Says that `guest` waits. Relaxed: a yield that misses it is followed by another, one that
         * sees it takes the semaphore. */
        atomic_bool called;
        /* the worker's own */
        bool nested;
        uint64_t suspended_ns; /* of this rank, for guests */
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
        unsigned threads, started;
        bool stopping, stopped;
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

/* How a worker can take a rank of a task. */
enum seat { NO_SEAT, FREE, AS_GUEST };

static bool starved(const struct scope_compute_task *task)
{
        return task->overtaken >= SCOPE_COMPUTE_OVERTAKEN_MAX;
}

/* Needs the lock, as the next ones do. */
static enum seat seat_for(const struct worker *worker, const struct scope_compute_task *task)
{
        unsigned priority = task->job.priority;
        if (worker->held_until_ns != 0 && priority > worker->held_priority && !starved(task))
                return NO_SEAT;
        if (!worker->assigned)
                return FREE;
        const struct scope_compute_task *host = worker->task;
        return host->job.yields && priority < host->job.priority && worker->guest == NULL &&
                               worker->guests < SCOPE_COMPUTE_OVERTAKEN_MAX
                       ? AS_GUEST
                       : NO_SEAT;
}

static unsigned seats_for(
        const struct scope_compute_pool *pool, const struct scope_compute_task *task)
{
        unsigned count = 0;
        for (unsigned i = 0; i < task->job.workers.count; i++)
                count += seat_for(&pool->workers[task->job.workers.first + i], task) != NO_SEAT;
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
        for (struct scope_compute_task *at = pool->queue; at != NULL; at = at->next) {
                if (at == task && starved(task))
                        return false;
                if (at != task && starved(at) && overlap(&at->job, &task->job))
                        return true;
        }
        return false;
}

/* The link to the task to start now, or NULL. */
static struct scope_compute_task **choose(struct scope_compute_pool *pool)
{
        struct scope_compute_task **best = NULL;
        for (struct scope_compute_task **at = &pool->queue; *at != NULL; at = &(*at)->next) {
                if ((*at)->size > seats_for(pool, *at) || kept_back(pool, *at))
                        continue;
                if (starved(*at))
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

static void seat(struct worker *worker, struct scope_compute_task *task, unsigned rank)
{
        worker->held_until_ns = 0;
        if (!worker->assigned) {
                worker->assigned = true;
                worker->task = task;
                worker->rank = rank;
        } else {
                worker->guest = task;
                worker->guest_rank = rank;
                worker->guests++;
                atomic_store_explicit(&worker->called, true, memory_order_relaxed);
        }
        (void)sem_post(&worker->wake); /* cannot fail: at most three are pending */
}

/* To free workers first. */
static void hand_out(struct scope_compute_pool *pool, struct scope_compute_task *task)
{
        struct worker *workers = &pool->workers[task->job.workers.first];
        unsigned rank = 0;
        task->left = task->size;
        for (enum seat want = FREE; want <= AS_GUEST; want++)
                for (unsigned i = 0; i < task->job.workers.count && rank < task->size; i++)
                        if (seat_for(&workers[i], task) == want)
                                seat(&workers[i], task, rank++);
        scope_assert(rank == task->size);
}

static void dispatch(struct scope_compute_pool *pool)
{
        struct scope_compute_task **link;
        while ((link = choose(pool)) != NULL)
                hand_out(pool, take(pool, link));
}

static enum scope_err run_rank(
        struct worker *worker, struct scope_compute_task *task, unsigned rank)
{
        uint64_t begin_ns = scope_clock_ns(CLOCK_MONOTONIC), before_ns = worker->suspended_ns;
        if (rank == 0 && !task->job.io)
                task->queued_ns = begin_ns - task->submitted_ns;
        scope_work_begin(&worker->work, task->job.what, begin_ns);
        enum scope_err err = task->job.run(task->job.arg, rank, task->size);
        uint64_t end_ns = scope_clock_ns(CLOCK_MONOTONIC);
        scope_work_end(&worker->work, end_ns);
        uint64_t ns = end_ns - begin_ns - (worker->suspended_ns - before_ns);
        atomic_fetch_add_explicit(&worker->busy_ns, ns, memory_order_relaxed);
        atomic_fetch_add_explicit(&worker->jobs, 1, memory_order_relaxed);
        return err;
}

/* Needs the lock. Returns true when it was the last rank. */
static bool end_rank(
        struct worker *worker, struct scope_compute_task *task, unsigned rank, enum scope_err err)
{
        if (err != SCOPE_OK && rank < task->err_rank) {
                task->err = err;
                task->err_rank = rank;
        }
        if (task->job.hold) {
                worker->held_until_ns = scope_clock_ns(CLOCK_MONOTONIC) + SCOPE_COMPUTE_HOLD_NS;
                worker->held_priority = task->job.priority;
        }
        return --task->left == 0;
}

/* Returns until when the worker is held, or 0. */
static uint64_t finish_rank(
        struct worker *worker, struct scope_compute_task *task, unsigned rank, enum scope_err err)
{
        struct scope_compute_pool *pool = worker->pool;
        (void)pthread_mutex_lock(&pool->lock);
        bool last = end_rank(worker, task, rank, err);
        task->suspended_ns += worker->suspended_ns;
        worker->suspended_ns = 0;
        worker->guests = 0;
        worker->task = worker->guest; /* one that came after the last yield: a task as any now */
        worker->rank = worker->guest_rank;
        worker->assigned = worker->guest != NULL;
        worker->guest = NULL;
        atomic_store_explicit(&worker->called, false, memory_order_relaxed);
        if (worker->assigned)
                worker->held_until_ns = 0;
        if (last)
                task->queued_ns += task->suspended_ns / task->size;
        dispatch(pool);
        uint64_t held_until_ns = worker->held_until_ns;
        (void)pthread_mutex_unlock(&pool->lock);
        if (last)
                task->done(task, task->err);
        return held_until_ns;
}

static bool woken(void *arg)
{
        return sem_trywait(arg) == 0;
}

static void take_wake(struct worker *worker)
{
        while (sem_wait(&worker->wake) != 0) /* EINTR: a signal handler ran here */
                ;
}

/* Until a task is handed over, or the hold ends: false. */
static bool wait_held(struct worker *worker, uint64_t until_ns)
{
        struct timespec until = { .tv_sec = (time_t)(until_ns / 1000000000u),
                .tv_nsec = (long)(until_ns % 1000000000u) };
        int failed;
        if (scope_spin_until(&worker->spin, woken, &worker->wake))
                return true;
        do {
                failed = sem_clockwait(&worker->wake, CLOCK_MONOTONIC, &until);
        } while (failed != 0 && errno == EINTR);
        if (failed != 0)
                return false;
        /* the thread sanitizer does not know sem_clockwait, but what was written under the lock */
        (void)pthread_mutex_lock(&worker->pool->lock);
        (void)pthread_mutex_unlock(&worker->pool->lock);
        return true;
}

/* The hold, if there still is one, is over. Needs the lock. */
static void let_go(struct worker *worker)
{
        if (worker->held_until_ns == 0)
                return;
        worker->held_until_ns = 0;
        dispatch(worker->pool);
}

static void wait_for_work(struct worker *worker, uint64_t held_until_ns)
{
        uint64_t begin_ns;
        if (held_until_ns != 0) {
                if (wait_held(worker, held_until_ns))
                        return;
                (void)pthread_mutex_lock(&worker->pool->lock);
                let_go(worker);
                (void)pthread_mutex_unlock(&worker->pool->lock);
        }
        if (scope_spin_until(&worker->spin, woken, &worker->wake))
                return;
        begin_ns = scope_clock_ns(CLOCK_MONOTONIC);
        take_wake(worker);
        scope_spin_slept(&worker->spin, scope_clock_ns(CLOCK_MONOTONIC) - begin_ns);
}

/* One guest, whose semaphore was taken. Returns until when the worker is held for another. */
static uint64_t run_guest(struct worker *worker)
{
        struct scope_compute_pool *pool = worker->pool;
        struct scope_compute_task *task = worker->guest;
        atomic_store_explicit(&worker->called, false, memory_order_relaxed);
        enum scope_err err = run_rank(worker, task, worker->guest_rank);
        (void)pthread_mutex_lock(&pool->lock);
        bool last = end_rank(worker, task, worker->guest_rank, err);
        worker->guest = NULL;
        dispatch(pool);
        if (worker->guests == SCOPE_COMPUTE_OVERTAKEN_MAX)
                worker->held_until_ns = 0;
        uint64_t held_until_ns = worker->held_until_ns;
        bool another = worker->guest != NULL;
        (void)pthread_mutex_unlock(&pool->lock);
        if (last)
                task->done(task, task->err);
        return another ? UINT64_MAX : held_until_ns;
}

/* Is there a guest now? Ends the hold if not. */
static bool has_guest(struct worker *worker)
{
        (void)pthread_mutex_lock(&worker->pool->lock);
        let_go(worker);
        bool has = worker->guest != NULL;
        (void)pthread_mutex_unlock(&worker->pool->lock);
        return has;
}

/* scope_yield of the job that this worker runs. */
static void yield(void *arg)
{
        struct worker *worker = arg;
        if (worker->nested || !atomic_load_explicit(&worker->called, memory_order_relaxed))
                return;
        const char *what = scope_work_is(NULL);
        uint64_t begin_ns = scope_clock_ns(CLOCK_MONOTONIC);
        scope_work_end(&worker->work, begin_ns);
        worker->nested = true;
        for (bool another = true; another;) {
                take_wake(worker);
                uint64_t held_until_ns = run_guest(worker);
                bool woken = held_until_ns != 0 && held_until_ns != UINT64_MAX &&
                             wait_held(worker, held_until_ns);
                another = has_guest(worker);
                if (woken)
                        (void)sem_post(&worker->wake); /* taken again, or it was the stop's */
        }
        worker->nested = false;
        (void)pthread_mutex_lock(&worker->pool->lock);
        worker->guests = 0;
        dispatch(worker->pool);
        (void)pthread_mutex_unlock(&worker->pool->lock);
        uint64_t end_ns = scope_clock_ns(CLOCK_MONOTONIC);
        worker->suspended_ns += end_ns - begin_ns;
        scope_work_begin(&worker->work, what, end_ns);
}

static void thread_begin(struct worker *worker, const char *name)
{
        (void)pthread_setname_np(pthread_self(), name); /* only for people who look */
        (void)scope_thread_pin(worker->core);               /* unbound is slower, not wrong */
}

static void *worker_main(void *arg)
{
        struct worker *worker = arg;
        uint64_t held_until_ns = 0;
        thread_begin(worker, "scope-compute");
        scope_yield_here = (struct scope_yield){ .run = yield, .arg = worker };
        for (;;) {
                wait_for_work(worker, held_until_ns);
                struct scope_compute_task *task = worker->task;
                if (task == NULL)
                        break;
                unsigned rank = worker->rank;
                enum scope_err err = run_rank(worker, task, rank);
                held_until_ns = finish_rank(worker, task, rank, err);
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
                enum scope_err err = run_rank(io, task, 0);
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
        *pool = (struct scope_compute_pool){ .threads = options->threads };
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
        unsigned cores = task->job.cores == 0 || task->job.io ? 1 : task->job.cores;
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
        task->queued_ns = task->suspended_ns = 0;
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
