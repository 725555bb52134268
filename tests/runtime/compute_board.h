/* compute_board.h - jobs of the compute pool that write down what became of them.
 * Why: tests of the pool and of its guests. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "runtime/compute_pool.h"
#include "tests/test.h"

/* Everything a test's jobs write; ranks of a gang meet at `barrier`. */
struct board {
        pthread_barrier_t barrier;
        pthread_mutex_t lock;
        pthread_cond_t changed;
        bool open;
        unsigned waiting, done, sizes_wrong, events;
        int order[256];
        enum scope_err result[256];
        atomic_uint inside, inside_max, ranks;
};

struct piece {
        struct scope_compute_task task;
        struct board *board;
        int number;
};

static inline void board_init(struct board *board, unsigned gang)
{
        memset(board, 0, sizeof *board);
        assert_int_equal(pthread_barrier_init(&board->barrier, NULL, gang), 0);
        assert_int_equal(pthread_mutex_init(&board->lock, NULL), 0);
        assert_int_equal(pthread_cond_init(&board->changed, NULL), 0);
}

static inline void board_fini(struct board *board)
{
        (void)pthread_cond_destroy(&board->changed);
        (void)pthread_mutex_destroy(&board->lock);
        (void)pthread_barrier_destroy(&board->barrier);
}

static inline void board_open(struct board *board)
{
        pthread_mutex_lock(&board->lock);
        board->open = true;
        pthread_cond_broadcast(&board->changed);
        pthread_mutex_unlock(&board->lock);
}

static inline void board_wait_done(struct board *board, unsigned count)
{
        pthread_mutex_lock(&board->lock);
        while (board->done < count)
                pthread_cond_wait(&board->changed, &board->lock);
        pthread_mutex_unlock(&board->lock);
}

static inline void board_wait_waiting(struct board *board, unsigned count)
{
        pthread_mutex_lock(&board->lock);
        while (board->waiting < count)
                pthread_cond_wait(&board->changed, &board->lock);
        pthread_mutex_unlock(&board->lock);
}

static inline void piece_done(struct scope_compute_task *task, enum scope_err err)
{
        struct piece *piece = task->owner;
        struct board *board = piece->board;
        pthread_mutex_lock(&board->lock);
        board->result[piece->number] = err;
        board->done++;
        pthread_cond_broadcast(&board->changed);
        pthread_mutex_unlock(&board->lock);
}

/* Holds its worker until the board opens. */
static inline enum scope_err run_blocker(void *arg, unsigned rank, unsigned size)
{
        struct piece *piece = arg;
        struct board *board = piece->board;
        (void)rank;
        (void)size;
        pthread_mutex_lock(&board->lock);
        board->waiting++;
        pthread_cond_broadcast(&board->changed);
        while (!board->open)
                pthread_cond_wait(&board->changed, &board->lock);
        pthread_mutex_unlock(&board->lock);
        return SCOPE_OK;
}

static inline enum scope_err run_note(void *arg, unsigned rank, unsigned size)
{
        struct piece *piece = arg;
        struct board *board = piece->board;
        (void)size;
        if (rank == 0) {
                pthread_mutex_lock(&board->lock);
                board->order[board->events++] = piece->number;
                pthread_cond_broadcast(&board->changed);
                pthread_mutex_unlock(&board->lock);
        }
        return SCOPE_OK;
}

static inline enum scope_err run_gang(void *arg, unsigned rank, unsigned size)
{
        struct piece *piece = arg;
        struct board *board = piece->board;
        atomic_fetch_or_explicit(&board->ranks, 1u << rank, memory_order_relaxed);
        if (size != 3) {
                board->sizes_wrong++;
                return SCOPE_ERR_INTERNAL;
        }
        for (int meeting = 0; meeting < 20; meeting++)
                (void)pthread_barrier_wait(&board->barrier);
        return SCOPE_OK;
}

/* Both ranks are inside when the event is noted: what follows it really came after. */
static inline enum scope_err run_note_wide(void *arg, unsigned rank, unsigned size)
{
        struct piece *piece = arg;
        enum scope_err err = run_note(arg, rank, size);
        (void)pthread_barrier_wait(&piece->board->barrier);
        return err;
}

static inline enum scope_err run_fail(void *arg, unsigned rank, unsigned size)
{
        (void)arg;
        (void)size;
        return rank == 1 ? SCOPE_ERR_SHAPE : rank == 2 ? SCOPE_ERR_DEVICE : SCOPE_OK;
}

static inline enum scope_err run_nothing(void *arg, unsigned rank, unsigned size)
{
        (void)arg;
        (void)rank;
        (void)size;
        return SCOPE_OK;
}

static inline struct scope_compute_pool *pool_of(unsigned threads)
{
        struct scope_compute_pool *pool = NULL;
        assert_ok(scope_compute_pool_create(
                &(struct scope_compute_pool_options){ .threads = threads }, &pool));
        return pool;
}

static inline void submit(struct scope_compute_pool *pool, struct piece *piece, struct board *board,
        int number, enum scope_err (*run)(void *, unsigned, unsigned), uint8_t cores,
        uint8_t priority)
{
        *piece = (struct piece){ .board = board, .number = number };
        piece->task.job = (struct scope_job){
                .run = run, .arg = piece, .cores = cores, .priority = priority, .what = "test"
        };
        piece->task.done = piece_done;
        piece->task.owner = piece;
        scope_compute_pool_submit(pool, &piece->task);
}

static inline void submit_at(struct scope_compute_pool *pool, struct piece *piece,
        struct board *board, int number, struct scope_job job)
{
        *piece = (struct piece){ .board = board, .number = number };
        piece->task.job = job;
        piece->task.job.arg = piece;
        piece->task.done = piece_done;
        piece->task.owner = piece;
        scope_compute_pool_submit(pool, &piece->task);
}
