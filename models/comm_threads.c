/* comm_threads.c - ranks that are threads of one process and read each other's memory.
 * Why: two cores train together without copies: every rank shows its pointer, and each rank sums
 * its own range of all of them, in rank order. Ranks that pass the same pointer (a shared arena)
 * copy nothing.
 *
 *   OPEN -(deadline passed | abort)-> FAILED    for good: waiting and later calls get the cause
 *
 * (1) A collective is: show the pointer, meet, work, meet. So a pointer is read only between the
 * two meetings.
 * (2) Meetings spin first, since ranks arrive together, then sleep: a core may be wanted by
 * others. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/limits.h"
#include "models/comm.h"

enum { SPINS = 4000, BLOCK = 512 };
static const uint64_t DEADLINE_DEFAULT_NS = 60000000000u;

struct threads {
        struct scope_comm comm;
        pthread_mutex_t mutex; /* guards sleeping on `met` */
        pthread_cond_t met;
        _Alignas(64) atomic_uint arrived;    /* at the meeting that is on */
        _Alignas(64) atomic_uint generation; /* meetings so far */
        atomic_uint sleepers;
        atomic_int failed;                   /* enum scope_err; SCOPE_OK while open */
        _Alignas(64) const float *shown[];   /* [size] */
};

static struct threads *threads_of(struct scope_comm *comm)
{
        return (struct threads *)comm;
}

/* Under the mutex. The first cause stays. */
static void fail(struct threads *threads, enum scope_err cause)
{
        /* relaxed, release: readers without the mutex pair with the acquire in spin() */
        if (atomic_load_explicit(&threads->failed, memory_order_relaxed) == SCOPE_OK)
                atomic_store_explicit(&threads->failed, (int)cause, memory_order_release);
        (void)pthread_cond_broadcast(&threads->met); /* fails only when not initialised */
}

static enum scope_err failure(struct threads *threads)
{
        /* acquire: pairs with the release in fail() */
        return (enum scope_err)atomic_load_explicit(&threads->failed, memory_order_acquire);
}

static bool is_over(struct threads *threads, unsigned generation)
{
        /* seq_cst: pairs with the store in arrive(): what ranks wrote before meeting is seen after
         * it, and a sleeper that was not counted there sees it */
        return atomic_load_explicit(&threads->generation, memory_order_seq_cst) != generation ||
               failure(threads) != SCOPE_OK;
}

/* Counts this rank in; the last one ends the meeting. Returns the meeting's number. A decoder
 * meets hundreds of times a token: no lock unless somebody sleeps. */
static unsigned arrive(struct threads *threads)
{
        /* relaxed: it cannot change before this rank has arrived */
        unsigned generation = atomic_load_explicit(&threads->generation, memory_order_relaxed);
        /* acq_rel: pairs with itself: the last one has seen what all wrote */
        unsigned arrived =
                1 + atomic_fetch_add_explicit(&threads->arrived, 1, memory_order_acq_rel);
        scope_assert(arrived <= threads->comm.size);
        if (arrived < threads->comm.size)
                return generation;
        /* relaxed: the next to touch it has seen the new generation */
        atomic_store_explicit(&threads->arrived, 0, memory_order_relaxed);
        /* seq_cst both: pair with is_over() and the count in sleep_until_over(): of a sleeper and
         * us, one sees the other */
        atomic_store_explicit(&threads->generation, generation + 1, memory_order_seq_cst);
        if (atomic_load_explicit(&threads->sleepers, memory_order_seq_cst) != 0) {
                (void)pthread_mutex_lock(&threads->mutex); /* fails only for misuse */
                (void)pthread_cond_broadcast(&threads->met);
                (void)pthread_mutex_unlock(&threads->mutex);
        }
        return generation;
}

static struct timespec deadline_of(const struct scope_comm *comm)
{
        struct timespec at;
        uint64_t wait_ns = comm->deadline_ns != 0 ? comm->deadline_ns : DEADLINE_DEFAULT_NS;
        (void)clock_gettime(CLOCK_MONOTONIC, &at); /* always there on Linux */
        uint64_t ns = (uint64_t)at.tv_nsec + wait_ns % 1000000000u;
        at.tv_sec += (time_t)(wait_ns / 1000000000u + ns / 1000000000u);
        at.tv_nsec = (long)(ns % 1000000000u);
        return at;
}

static void pause_briefly(void)
{
#ifdef __x86_64__
        __builtin_ia32_pause();
#endif
}

static void sleep_until_over(struct threads *threads, unsigned generation)
{
        const struct timespec deadline = deadline_of(&threads->comm);
        (void)pthread_mutex_lock(&threads->mutex);
        /* seq_cst: pairs with the load in arrive() */
        (void)atomic_fetch_add_explicit(&threads->sleepers, 1, memory_order_seq_cst);
        while (!is_over(threads, generation))
                if (pthread_cond_timedwait(&threads->met, &threads->mutex, &deadline) != 0 &&
                        !is_over(threads, generation))
                        fail(threads, SCOPE_ERR_DEADLINE);
        /* relaxed: one too many only costs a lock */
        (void)atomic_fetch_sub_explicit(&threads->sleepers, 1, memory_order_relaxed);
        (void)pthread_mutex_unlock(&threads->mutex);
}

static enum scope_err threads_barrier(struct scope_comm *comm, unsigned rank)
{
        struct threads *threads = threads_of(comm);
        scope_assert(rank < comm->size);
        if (failure(threads) != SCOPE_OK)
                return failure(threads);
        const unsigned generation = arrive(threads);
        for (unsigned i = 0; i < SPINS && !is_over(threads, generation); i++)
                pause_briefly();
        if (!is_over(threads, generation))
                sleep_until_over(threads, generation);
        return failure(threads);
}

static enum scope_err show(struct scope_comm *comm, unsigned rank, const float *data)
{
        scope_assert(rank < comm->size);
        threads_of(comm)->shown[rank] = data;
        return threads_barrier(comm, rank);
}

/* data[begin, end) becomes the sum of everybody's, in rank order. */
static void sum_range(struct threads *threads, float *data, size_t begin, size_t end)
{
        float sum[BLOCK];
        for (size_t at = begin; at < end; at += BLOCK) {
                const size_t count = end - at < BLOCK ? end - at : BLOCK;
                memcpy(sum, threads->shown[0] + at, count * sizeof(float));
                for (unsigned r = 1; r < threads->comm.size; r++)
                        for (size_t i = 0; i < count; i++)
                                sum[i] += threads->shown[r][at + i];
                memcpy(data + at, sum, count * sizeof(float));
        }
}

static enum scope_err threads_reduce_scatter(
        struct scope_comm *comm, unsigned rank, float *data, const size_t *begin)
{
        enum scope_err err = show(comm, rank, data);
        if (err != SCOPE_OK)
                return err;
        sum_range(threads_of(comm), data, begin[rank], begin[rank + 1]);
        return threads_barrier(comm, rank);
}

static enum scope_err threads_all_gather(
        struct scope_comm *comm, unsigned rank, float *data, const size_t *begin)
{
        struct threads *threads = threads_of(comm);
        enum scope_err err = show(comm, rank, data);
        if (err != SCOPE_OK)
                return err;
        for (unsigned r = 0; r < comm->size; r++)
                if (threads->shown[r] != data)
                        memcpy(data + begin[r], threads->shown[r] + begin[r],
                                (begin[r + 1] - begin[r]) * sizeof(float));
        return threads_barrier(comm, rank);
}

static enum scope_err threads_all_reduce(
        struct scope_comm *comm, unsigned rank, float *data, size_t count)
{
        size_t begin[SCOPE_CORES_MAX + 1];
        for (unsigned r = 0; r <= comm->size; r++)
                begin[r] = count * r / comm->size;
        enum scope_err err = threads_reduce_scatter(comm, rank, data, begin);
        return err == SCOPE_OK ? threads_all_gather(comm, rank, data, begin) : err;
}

static enum scope_err threads_broadcast(
        struct scope_comm *comm, unsigned rank, unsigned root, float *data, size_t count)
{
        struct threads *threads = threads_of(comm);
        scope_assert(root < comm->size);
        enum scope_err err = show(comm, rank, data);
        if (err != SCOPE_OK)
                return err;
        if (threads->shown[root] != data)
                memcpy(data, threads->shown[root], count * sizeof(float));
        return threads_barrier(comm, rank);
}

static void threads_abort(struct scope_comm *comm)
{
        struct threads *threads = threads_of(comm);
        (void)pthread_mutex_lock(&threads->mutex);
        fail(threads, SCOPE_ERR_CANCELLED);
        (void)pthread_mutex_unlock(&threads->mutex);
}

static void threads_destroy(struct scope_comm *comm)
{
        struct threads *threads = threads_of(comm);
        (void)pthread_cond_destroy(&threads->met); /* nobody waits: the gang has ended */
        (void)pthread_mutex_destroy(&threads->mutex);
        free(threads);
}

static const struct scope_comm_class threads_class = {
        .name = "threads",
        .barrier = threads_barrier,
        .all_reduce = threads_all_reduce,
        .reduce_scatter = threads_reduce_scatter,
        .all_gather = threads_all_gather,
        .broadcast = threads_broadcast,
        .abort = threads_abort,
        .destroy = threads_destroy,
};

enum scope_err scope_comm_threads_create(unsigned size, struct scope_comm **ret_comm)
{
        if (size == 0 || size > SCOPE_CORES_MAX)
                return SCOPE_ERR_ARGUMENT;
        size_t bytes = (sizeof(struct threads) + size * sizeof(float *) + 63) & ~(size_t)63;
        struct threads *threads = aligned_alloc(64, bytes);
        if (threads == NULL)
                return SCOPE_ERR_MEMORY;
        memset(threads, 0, bytes);
        threads->comm = (struct scope_comm){ .class_ = &threads_class, .size = size };
        atomic_init(&threads->arrived, 0);
        atomic_init(&threads->generation, 0);
        atomic_init(&threads->sleepers, 0);
        atomic_init(&threads->failed, SCOPE_OK);
        pthread_condattr_t monotonic;
        (void)pthread_condattr_init(&monotonic); /* these four cannot fail with glibc */
        (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        (void)pthread_cond_init(&threads->met, &monotonic);
        (void)pthread_condattr_destroy(&monotonic);
        (void)pthread_mutex_init(&threads->mutex, NULL);
        *ret_comm = &threads->comm;
        return SCOPE_OK;
}
