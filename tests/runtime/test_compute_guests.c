#include "tests/test.h"

#include <pthread.h>
#include <sched.h>

#include "base/yield.h"
#include "runtime/compute_pool.h"
#include "tests/runtime/compute_board.h"

/* Yields until the board opens, then notes its end. */
static enum scope_err run_host(void *arg, unsigned rank, unsigned size)
{
        struct piece *piece = arg;
        struct board *board = piece->board;
        bool open = false;
        pthread_mutex_lock(&board->lock);
        board->waiting++;
        pthread_cond_broadcast(&board->changed);
        pthread_mutex_unlock(&board->lock);
        while (!open) {
                scope_yield();
                (void)sched_yield();
                pthread_mutex_lock(&board->lock);
                open = board->open;
                pthread_mutex_unlock(&board->lock);
        }
        return run_note(arg, rank, size);
}

/* Yields three times after the board opened, and notes itself before each and at its end. */
static enum scope_err run_counting_host(void *arg, unsigned rank, unsigned size)
{
        enum scope_err err = run_blocker(arg, rank, size);
        for (int i = 0; i < 3 && err == SCOPE_OK; i++) {
                scope_yield();
                err = run_note(arg, rank, size);
        }
        return err;
}

static void submit_host(struct scope_compute_pool *pool, struct piece *piece, struct board *board,
        enum scope_err (*run)(void *, unsigned, unsigned), uint8_t cores, bool yields)
{
        submit_at(pool, piece, board, 100,
                (struct scope_job){
                        .run = run, .cores = cores, .priority = 2, .yields = yields });
}

static void test_better_job_runs_as_a_guest_at_a_yield(void **state)
{
        (void)state;
        struct board board;
        struct piece host, guests[8];
        struct scope_compute_pool *pool = pool_of(2);
        board_init(&board, 2);
        submit_host(pool, &host, &board, run_host, 2, true);
        board_wait_waiting(&board, 2);
        for (int i = 0; i < 8; i++) /* both of its ranks at one time: they meet */
                submit(pool, &guests[i], &board, i, run_note_wide, 2, 1);
        board_wait_done(&board, 8); /* the host is still there */
        for (int i = 0; i < 8; i++)
                assert_int_equal(board.order[i], i);
        board_open(&board);
        board_wait_done(&board, 9);
        assert_true(host.task.queued_ns > 0); /* while guests ran it waited */
        scope_compute_pool_destroy(pool);
        board_fini(&board);
}

static void test_no_guest_without_leave_or_better_priority(void **state)
{
        (void)state;
        for (int leave = 0; leave < 2; leave++) {
                struct board board;
                struct piece host, waiting;
                struct scope_compute_pool *pool = pool_of(1);
                board_init(&board, 1);
                submit_host(pool, &host, &board, run_host, 1, leave == 1);
                board_wait_waiting(&board, 1);
                submit(pool, &waiting, &board, 0, run_note, 1, leave == 1 ? 2 : 1);
                board_open(&board);
                board_wait_done(&board, 2);
                assert_int_equal(board.order[0], 100);
                assert_int_equal(board.order[1], 0);
                scope_compute_pool_destroy(pool);
                board_fini(&board);
        }
}

static void test_guests_in_a_row_are_bounded(void **state)
{
        (void)state;
        enum { ROW = SCOPE_COMPUTE_OVERTAKEN_MAX, GUESTS = 2 * ROW + 3 };
        struct board board;
        struct piece host;
        static struct piece guests[GUESTS];
        struct scope_compute_pool *pool = pool_of(1);
        board_init(&board, 1);
        submit_host(pool, &host, &board, run_counting_host, 1, true);
        board_wait_waiting(&board, 1);
        for (int i = 0; i < GUESTS; i++)
                submit(pool, &guests[i], &board, i, run_note, 1, 1);
        board_open(&board);
        board_wait_done(&board, GUESTS + 1);
        assert_int_equal(board.order[ROW], 100);
        assert_int_equal(board.order[2 * ROW + 1], 100);
        assert_int_equal(board.order[GUESTS + 2], 100);
        scope_compute_pool_destroy(pool);
        board_fini(&board);
}

static void test_guest_that_came_after_the_last_yield_runs_next(void **state)
{
        (void)state;
        struct board board;
        struct piece host, guest, after;
        struct scope_compute_pool *pool = pool_of(1);
        board_init(&board, 1);
        submit_host(pool, &host, &board, run_blocker, 1, true);
        board_wait_waiting(&board, 1);
        submit(pool, &after, &board, 1, run_note, 1, 2);
        submit(pool, &guest, &board, 0, run_note, 1, 1);
        board_open(&board);
        board_wait_done(&board, 3);
        assert_int_equal(board.order[0], 0);
        assert_int_equal(board.order[1], 1);
        scope_compute_pool_destroy(pool);
        board_fini(&board);
}

/* A row of short jobs: each is submitted when the one before is done, as an actor does. */
struct row {
        struct piece pieces[4];
        struct scope_compute_pool *pool;
        struct board *board;
};

static void row_done(struct scope_compute_task *task, enum scope_err err)
{
        struct piece *piece = task->owner;
        struct row *row =
                (struct row *)(void *)((char *)piece - (size_t)piece->number * sizeof *piece);
        int next = piece->number + 1;
        if (next < 4) {
                submit_at(row->pool, &row->pieces[next], row->board, next,
                        (struct scope_job){ .run = run_note, .priority = 1, .hold = true });
                row->pieces[next].task.done = row_done; /* the worker is here: it cannot run yet */
        }
        piece_done(task, err);
}

static void test_row_of_held_jobs_is_not_broken(void **state)
{
        (void)state;
        for (int hosted = 0; hosted < 2; hosted++) {
                struct board board;
                struct piece host, low;
                struct row row = { .board = &board };
                struct scope_compute_pool *pool = pool_of(1);
                row.pool = pool;
                board_init(&board, 1);
                submit_host(pool, &host, &board, hosted == 1 ? run_counting_host : run_blocker, 1,
                        hosted == 1);
                board_wait_waiting(&board, 1);
                submit(pool, &low, &board, 50, run_note, 1, 2);
                row.pieces[0] = (struct piece){ .board = &board, .number = 0 };
                row.pieces[0].task = (struct scope_compute_task){ .done = row_done,
                        .owner = &row.pieces[0],
                        .job = { .run = run_note,
                                .arg = &row.pieces[0],
                                .priority = 1,
                                .hold = true } };
                scope_compute_pool_submit(pool, &row.pieces[0].task);
                board_open(&board);
                board_wait_done(&board, 6); /* low too: a hold ends by itself */
                for (int i = 0; i < 4; i++)
                        assert_int_equal(board.order[i], i);
                scope_compute_pool_destroy(pool);
                board_fini(&board);
        }
}

static void test_stop_while_a_hold_or_a_guest_waits(void **state)
{
        (void)state;
        for (int hosted = 0; hosted < 2; hosted++) {
                struct board board;
                struct piece host, guest;
                struct scope_compute_pool *pool = pool_of(2);
                board_init(&board, 1);
                if (hosted == 1) {
                        submit_host(pool, &host, &board, run_host, 2, true);
                        board_wait_waiting(&board, 2);
                }
                submit_at(pool, &guest, &board, 0,
                        (struct scope_job){ .run = run_note, .priority = 1, .hold = true });
                board_open(&board);
                if (hosted == 0)
                        board_wait_done(&board, 1);
                scope_compute_pool_stop(pool);
                assert_int_equal(board.done, 1 + hosted);
                scope_compute_pool_destroy(pool);
                board_fini(&board);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_better_job_runs_as_a_guest_at_a_yield),
                cmocka_unit_test(test_no_guest_without_leave_or_better_priority),
                cmocka_unit_test(test_guests_in_a_row_are_bounded),
                cmocka_unit_test(test_guest_that_came_after_the_last_yield_runs_next),
                cmocka_unit_test(test_row_of_held_jobs_is_not_broken),
                cmocka_unit_test(test_stop_while_a_hold_or_a_guest_waits),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
