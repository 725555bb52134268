#include "tests/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/compute_pool.h"
#include "runtime/spin.h"
#include "runtime/topology_hwloc.h"
#include "runtime/trace_work.h"
#include "tests/runtime/compute_board.h"

static void test_ranks_of_a_gang_run_at_the_same_time(void **state)
{
        (void)state;
        struct board board;
        struct piece pieces[8];
        struct scope_compute_pool *pool = pool_of(3);
        board_init(&board, 3);
        for (int i = 0; i < 8; i++) /* without gangs they deadlock at the barrier */
                submit(pool, &pieces[i], &board, i, run_gang, 3, 0);
        board_wait_done(&board, 8);
        assert_int_equal(board.sizes_wrong, 0);
        assert_int_equal(atomic_load(&board.ranks), 7);
        for (int i = 0; i < 8; i++)
                assert_ok(board.result[i]);
        scope_compute_pool_destroy(pool);
        board_fini(&board);
}

static void test_first_failing_rank_decides_the_result(void **state)
{
        (void)state;
        struct scope_compute_pool *pool = pool_of(3);
        struct scope_job job = { .run = run_fail, .cores = 3, .what = "test" };
        for (int i = 0; i < 50; i++)
                assert_int_equal(scope_compute_pool_run(pool, &job), SCOPE_ERR_SHAPE);
        job.cores = 1;
        assert_ok(scope_compute_pool_run(pool, &job));
        scope_compute_pool_destroy(pool);
}

static void test_priority_first_then_first_come(void **state)
{
        (void)state;
        struct board board;
        struct piece blocker, pieces[6];
        struct scope_compute_pool *pool = pool_of(1);
        static const uint8_t priority[6] = { 2, 1, 1, 0, 2, 0 };
        static const int expected[6] = { 3, 5, 1, 2, 0, 4 };
        board_init(&board, 1);
        submit(pool, &blocker, &board, 100, run_blocker, 1, 0);
        board_wait_waiting(&board, 1);
        for (int i = 0; i < 6; i++)
                submit(pool, &pieces[i], &board, i, run_note, 1, priority[i]);
        board_open(&board);
        board_wait_done(&board, 7);
        assert_memory_equal(board.order, expected, sizeof expected);
        scope_compute_pool_destroy(pool);
        board_fini(&board);
}

/* Narrow jobs, each submitting its follower while its worker is still taken, keep the pool so busy
 * that two workers are never free at once by chance. */
struct relay {
        struct piece pieces[128];
        struct scope_compute_pool *pool;
        struct board *board;
        atomic_int next;
        int count;
};

static enum scope_err run_relay(void *arg, unsigned rank, unsigned size)
{
        struct piece *piece = arg;
        struct relay *relay =
                (struct relay *)(void *)((char *)piece - (size_t)piece->number * sizeof *piece);
        int next = atomic_fetch_add_explicit(&relay->next, 1, memory_order_relaxed);
        if (next < relay->count)
                submit(relay->pool, &relay->pieces[next], relay->board, next, run_relay, 1, 0);
        return run_note(arg, rank, size);
}

static void test_wide_job_is_overtaken_a_bounded_number_of_times(void **state)
{
        (void)state;
        static struct relay relay;
        struct board board;
        struct piece wide, blocker;
        struct scope_compute_pool *pool = pool_of(2);
        relay.pool = pool;
        relay.board = &board;
        relay.count = 120;
        board_init(&board, 2);
        submit(pool, &blocker, &board, 200, run_blocker, 1, 0);
        board_wait_waiting(&board, 1);
        submit(pool, &wide, &board, 201, run_note_wide, 2, 0);
        atomic_store(&relay.next, 1);
        submit(pool, &relay.pieces[0], &board, 0, run_relay, 1, 0);
        /* One worker is blocked: the relay runs on the other one until the wide job stops it. */
        pthread_mutex_lock(&board.lock);
        while (board.events < SCOPE_COMPUTE_OVERTAKEN_MAX)
                pthread_cond_wait(&board.changed, &board.lock);
        pthread_mutex_unlock(&board.lock);
        usleep(20000);
        pthread_mutex_lock(&board.lock);
        assert_int_equal(board.events, SCOPE_COMPUTE_OVERTAKEN_MAX);
        pthread_mutex_unlock(&board.lock);
        board_open(&board);
        board_wait_done(&board, 122);
        assert_int_equal(board.order[SCOPE_COMPUTE_OVERTAKEN_MAX], 201);
        scope_compute_pool_destroy(pool);
        board_fini(&board);
}

static void test_unimportant_job_is_not_starved(void **state)
{
        (void)state;
        struct board board;
        struct piece blocker, low;
        static struct piece high[64];
        struct scope_compute_pool *pool = pool_of(1);
        board_init(&board, 1);
        submit(pool, &blocker, &board, 100, run_blocker, 1, 0);
        board_wait_waiting(&board, 1);
        submit(pool, &low, &board, 101, run_note, 1, 9);
        for (int i = 0; i < 64; i++)
                submit(pool, &high[i], &board, i, run_note, 1, 0);
        board_open(&board);
        board_wait_done(&board, 66);
        assert_int_equal(board.order[SCOPE_COMPUTE_OVERTAKEN_MAX], 101);
        scope_compute_pool_destroy(pool);
        board_fini(&board);
}

static pthread_t placed_on[64];

static enum scope_err run_placed(void *arg, unsigned rank, unsigned size)
{
        struct piece *piece = arg;
        placed_on[piece->number] = pthread_self();
        return run_note(arg, rank, size);
}

static void test_placed_jobs_run_where_they_may_and_nowhere_else(void **state)
{
        (void)state;
        enum { JOBS = 3 * SCOPE_COMPUTE_OVERTAKEN_MAX };
        struct board board;
        struct piece blocker, waiting;
        static struct piece pieces[JOBS];
        const struct scope_workers first = { 0, 1 }, second = { 1, 1 };
        struct scope_compute_pool *pool = pool_of(2);
        board_init(&board, 1);
        submit_at(pool, &blocker, &board, 100,
                (struct scope_job){ .run = run_blocker, .workers = first });
        board_wait_waiting(&board, 1);
        submit_at(pool, &waiting, &board, JOBS,
                (struct scope_job){ .run = run_placed, .cores = 2, .workers = first });
        for (int i = 0; i < JOBS; i++)
                submit_at(pool, &pieces[i], &board, i,
                        (struct scope_job){ .run = run_placed, .workers = second });
        board_wait_done(&board, JOBS); /* nobody is kept back by one that they cannot hinder */
        assert_int_equal(waiting.task.size, 1); /* cut to the workers it may have */
        board_open(&board);
        board_wait_done(&board, JOBS + 2);
        assert_int_equal(board.order[JOBS], JOBS);
        for (int i = 1; i < JOBS; i++)
                assert_true(pthread_equal(placed_on[i], placed_on[0]));
        assert_false(pthread_equal(placed_on[JOBS], placed_on[0]));
        scope_compute_pool_destroy(pool);
        board_fini(&board);
}

static void test_io_jobs_run_in_order_beside_compute(void **state)
{
        (void)state;
        struct board board;
        struct piece blocker, pieces[32];
        struct scope_compute_pool *pool = pool_of(1);
        board_init(&board, 1);
        submit(pool, &blocker, &board, 100, run_blocker, 1, 0);
        board_wait_waiting(&board, 1);
        for (int i = 0; i < 32; i++) {
                pieces[i] = (struct piece){ .board = &board, .number = i };
                pieces[i].task.job =
                        (struct scope_job){ .run = run_note, .arg = &pieces[i], .io = true };
                pieces[i].task.done = piece_done;
                pieces[i].task.owner = &pieces[i];
                scope_compute_pool_submit(pool, &pieces[i].task);
        }
        board_wait_done(&board, 32); /* the only worker is still blocked */
        for (int i = 0; i < 32; i++)
                assert_int_equal(board.order[i], i);
        board_open(&board);
        board_wait_done(&board, 33);
        scope_compute_pool_destroy(pool);
        board_fini(&board);
}

static void test_stop_cancels_what_waits_and_finishes_what_runs(void **state)
{
        (void)state;
        struct board board;
        struct piece blocker, waiting[4], late;
        struct scope_compute_pool *pool = pool_of(2);
        board_init(&board, 1);
        board.open = true;
        submit(pool, &blocker, &board, 0, run_blocker, 1, 0);
        for (int i = 0; i < 4; i++)
                submit(pool, &waiting[i], &board, 1 + i, run_blocker, 2, 0);
        scope_compute_pool_stop(pool);
        submit(pool, &late, &board, 5, run_blocker, 1, 0);
        assert_int_equal(board.done, 6);
        assert_int_equal(board.result[5], SCOPE_ERR_CANCELLED);
        assert_int_equal(scope_compute_pool_run(pool, &(struct scope_job){ .run = run_nothing }),
                SCOPE_ERR_CANCELLED);
        scope_compute_pool_destroy(pool);
        board_fini(&board);
}

struct submitter {
        struct scope_compute_pool *pool;
        struct board *board;
        struct piece pieces[200];
        int number;
};

static enum scope_err run_count(void *arg, unsigned rank, unsigned size)
{
        struct piece *piece = arg;
        struct board *board = piece->board;
        unsigned now = 1 + atomic_fetch_add_explicit(&board->inside, 1, memory_order_relaxed);
        unsigned seen = atomic_load_explicit(&board->inside_max, memory_order_relaxed);
        (void)rank;
        (void)size;
        while (now > seen && !atomic_compare_exchange_weak_explicit(&board->inside_max, &seen, now,
                                     memory_order_relaxed, memory_order_relaxed))
                ;
        atomic_fetch_sub_explicit(&board->inside, 1, memory_order_relaxed);
        return SCOPE_OK;
}

static void *submitter_main(void *arg)
{
        struct submitter *self = arg;
        for (int i = 0; i < 200; i++)
                submit(self->pool, &self->pieces[i], self->board, self->number, run_count,
                        (uint8_t)(1 + (i * 7 + self->number) % 5), (uint8_t)(i % 3));
        return NULL;
}

static void test_many_submitters_of_mixed_widths_all_finish(void **state)
{
        (void)state;
        static struct submitter submitters[4];
        struct board board;
        pthread_t threads[4];
        struct scope_compute_pool *pool = pool_of(3);
        board_init(&board, 1);
        for (int i = 0; i < 4; i++) {
                submitters[i].pool = pool;
                submitters[i].board = &board;
                submitters[i].number = i;
                assert_int_equal(
                        pthread_create(&threads[i], NULL, submitter_main, &submitters[i]), 0);
        }
        for (int i = 0; i < 4; i++)
                (void)pthread_join(threads[i], NULL);
        board_wait_done(&board, 800);
        assert_in_range(atomic_load(&board.inside_max), 1, 3);
        scope_compute_pool_destroy(pool);
        board_fini(&board);
}

static void test_usage_counts_ranks_and_time(void **state)
{
        (void)state;
        struct scope_compute_usage usage;
        struct scope_compute_pool *pool = pool_of(2);
        for (int i = 0; i < 10; i++)
                assert_ok(scope_compute_pool_run(
                        pool, &(struct scope_job){ .run = run_nothing, .cores = 2 }));
        for (unsigned worker = 0; worker < 2; worker++) {
                assert_true(scope_compute_pool_usage(pool, worker, &usage));
                assert_int_equal(usage.jobs, 10);
                assert_true(usage.cpu_ns > 0);
        }
        assert_true(scope_compute_pool_usage(pool, 2, &usage));
        assert_int_equal(usage.jobs, 0);
        assert_false(scope_compute_pool_usage(pool, 3, &usage));
        scope_compute_pool_destroy(pool);
        scope_compute_pool_destroy(NULL);
}

/* A job that does two things, the second of them under a name of its own. */
static enum scope_err run_two_kinds(void *arg, unsigned rank, unsigned size)
{
        static const char second[] = "second"; /* the same name as in other memory */
        const char **before = arg;
        uint64_t until_ns = scope_clock_ns(CLOCK_MONOTONIC) + 2000000;
        (void)size;
        before[rank] = scope_work_is(second);
        while (scope_clock_ns(CLOCK_MONOTONIC) < until_ns)
                ;
        assert_string_equal(scope_work_is(NULL), "second");
        return SCOPE_OK;
}

static uint64_t time_of(struct scope_compute_pool *pool, unsigned worker, const char *wanted)
{
        const char *what;
        uint64_t ns;
        for (unsigned i = 0; scope_compute_pool_work(pool, worker, i, &what, &ns); i++)
                if (strcmp(what, wanted) == 0)
                        return ns;
        return 0;
}

static void test_time_is_charged_to_what_is_done(void **state)
{
        (void)state;
        struct scope_compute_usage usage;
        struct scope_compute_pool *pool = pool_of(2);
        const char *before[2] = { NULL, NULL };
        assert_null(scope_work_is("nothing")); /* no job of a pool */
        assert_ok(scope_compute_pool_run(
                pool, &(struct scope_job){ .run = run_nothing, .cores = 2, .what = "second" }));
        for (int i = 0; i < 3; i++)
                assert_ok(scope_compute_pool_run(pool,
                        &(struct scope_job){ .run = run_two_kinds, .arg = before, .cores = 2,
                                .what = "first" }));
        for (unsigned worker = 0; worker < 2; worker++) {
                assert_string_equal(before[worker], "first");
                assert_true(scope_compute_pool_usage(pool, worker, &usage));
                assert_true(time_of(pool, worker, "second") >= 3 * 2000000);
                assert_int_equal(time_of(pool, worker, "first") + time_of(pool, worker, "second"),
                        usage.busy_ns);
        }
        scope_compute_pool_destroy(pool);
}

/* Names past the limit share the last place: no time is lost. */
static enum scope_err run_many_kinds(void *arg, unsigned rank, unsigned size)
{
        (void)rank;
        (void)size;
        char(*names)[8] = arg;
        for (int i = 0; i < 2 * SCOPE_WORK_NAMES; i++)
                (void)scope_work_is(names[i]);
        return SCOPE_OK;
}

static void test_too_many_names_lose_no_time(void **state)
{
        (void)state;
        static char names[2 * SCOPE_WORK_NAMES][8];
        struct scope_compute_usage usage;
        struct scope_compute_pool *pool = pool_of(1);
        const char *what;
        uint64_t ns, sum = 0;
        unsigned count = 0;
        for (int i = 0; i < 2 * SCOPE_WORK_NAMES; i++)
                (void)snprintf(names[i], sizeof names[i], "n%d", i);
        assert_ok(scope_compute_pool_run(pool,
                &(struct scope_job){ .run = run_many_kinds, .arg = names, .cores = 1 }));
        for (; scope_compute_pool_work(pool, 0, count, &what, &ns); count++)
                sum += ns;
        assert_int_equal(count, SCOPE_WORK_NAMES);
        assert_true(scope_compute_pool_usage(pool, 0, &usage));
        assert_int_equal(sum, usage.busy_ns);
        scope_compute_pool_destroy(pool);
}

static void test_unbindable_core_degrades(void **state)
{
        (void)state;
        int cores[2] = { SCOPE_CORES_MAX + 700, -1 };
        struct scope_compute_pool *pool = NULL;
        assert_ok(scope_compute_pool_create(
                &(struct scope_compute_pool_options){ .threads = 2, .cores = cores }, &pool));
        for (int i = 0; i < 4; i++)
                assert_ok(scope_compute_pool_run(
                        pool, &(struct scope_job){ .run = run_nothing, .cores = 2 }));
        scope_compute_pool_destroy(pool);
}

static void test_topology_lists_what_may_be_used(void **state)
{
        (void)state;
        struct scope_topology here, four = { .core_count = 4, .physical_count = 4 };
        scope_topology_read(&here);
        assert_in_range(here.core_count, 1, SCOPE_CORES_MAX);
        assert_in_range(here.physical_count, 1, here.core_count);
        assert_true(scope_topology_may_spin(&four, 4, 4));
        assert_false(scope_topology_may_spin(&four, 5, 1));
        assert_false(scope_topology_may_spin(&four, 1, 5));
}

/* Printed, never a gate: the round trip of a job that does nothing. */
static void test_round_trip_is_reported(void **state)
{
        (void)state;
        struct scope_topology here;
        struct scope_compute_pool *pool = NULL;
        scope_topology_read(&here);
        for (int spin = 0; spin < 2; spin++) {
                uint64_t best = UINT64_MAX;
                assert_ok(scope_compute_pool_create(
                        &(struct scope_compute_pool_options){
                                .threads = 1, .cores = here.cores, .spin = spin == 1 },
                        &pool));
                for (int round = 0; round < 5; round++) {
                        uint64_t begin_ns = scope_clock_ns(CLOCK_MONOTONIC);
                        for (int i = 0; i < 400; i++)
                                assert_ok(scope_compute_pool_run(pool,
                                        &(struct scope_job){ .run = run_nothing, .cores = 1 }));
                        uint64_t ns = (scope_clock_ns(CLOCK_MONOTONIC) - begin_ns) / 400;
                        best = ns < best ? ns : best;
                }
                print_message("# round trip %s: %.1f us\n", spin == 1 ? "spinning" : "sleeping",
                        (double)best / 1000);
                scope_compute_pool_destroy(pool);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ranks_of_a_gang_run_at_the_same_time),
                cmocka_unit_test(test_first_failing_rank_decides_the_result),
                cmocka_unit_test(test_priority_first_then_first_come),
                cmocka_unit_test(test_wide_job_is_overtaken_a_bounded_number_of_times),
                cmocka_unit_test(test_unimportant_job_is_not_starved),
                cmocka_unit_test(test_placed_jobs_run_where_they_may_and_nowhere_else),
                cmocka_unit_test(test_io_jobs_run_in_order_beside_compute),
                cmocka_unit_test(test_stop_cancels_what_waits_and_finishes_what_runs),
                cmocka_unit_test(test_many_submitters_of_mixed_widths_all_finish),
                cmocka_unit_test(test_usage_counts_ranks_and_time),
                cmocka_unit_test(test_time_is_charged_to_what_is_done),
                cmocka_unit_test(test_too_many_names_lose_no_time),
                cmocka_unit_test(test_unbindable_core_degrades),
                cmocka_unit_test(test_topology_lists_what_may_be_used),
                cmocka_unit_test(test_round_trip_is_reported),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
