/* Ranks that meet, ranks that do not. */
#include "tests/test.h"

#include <pthread.h>
#include <time.h>

#include "models/comm.h"

enum { SIZE = 3, COUNT = 1301 };

struct member {
        struct scope_comm *comm;
        unsigned rank;
        float *data;
        size_t count;
        const size_t *begin;
        enum scope_err err;
};

/* Runs `body` as SIZE threads, rank r with members[r]. */
static void run(struct member *members, void *(*body)(void *))
{
        pthread_t threads[SIZE];
        for (unsigned r = 0; r < SIZE; r++)
                assert_int_equal(pthread_create(&threads[r], NULL, body, &members[r]), 0);
        for (unsigned r = 0; r < SIZE; r++)
                assert_int_equal(pthread_join(threads[r], NULL), 0);
}

/* Values whose float sum depends on the order. */
static float value(unsigned rank, size_t i)
{
        return (rank == 1 ? 1e7f : 0.3f) + (float)(i % 17) * 0.37f * (float)(rank + 1);
}

static float sum_in_rank_order(size_t i)
{
        float sum = value(0, i);
        for (unsigned r = 1; r < SIZE; r++)
                sum += value(r, i);
        return sum;
}

static struct scope_comm *fill(struct member *members, float data[SIZE][COUNT], const size_t *begin)
{
        struct scope_comm *comm = NULL;
        assert_ok(scope_comm_threads_create(SIZE, &comm));
        for (unsigned r = 0; r < SIZE; r++) {
                members[r] = (struct member){ comm, r, data[r], COUNT, begin, SCOPE_OK };
                for (size_t i = 0; i < COUNT; i++)
                        data[r][i] = value(r, i);
        }
        return comm;
}

static void *all_reduce(void *arg)
{
        struct member *m = arg;
        m->err = m->comm->class_->all_reduce(m->comm, m->rank, m->data, m->count);
        return NULL;
}

static void test_all_reduce_sums_in_rank_order(void **state)
{
        (void)state;
        static float data[SIZE][COUNT];
        struct member members[SIZE];
        struct scope_comm *comm = fill(members, data, NULL);
        run(members, all_reduce);
        for (unsigned r = 0; r < SIZE; r++) {
                assert_ok(members[r].err);
                for (size_t i = 0; i < COUNT; i++)
                        assert_true(data[r][i] == sum_in_rank_order(i));
        }
        scope_comm_destroy(comm);
}

static void *reduce_then_gather(void *arg)
{
        struct member *m = arg;
        m->err = m->comm->class_->reduce_scatter(m->comm, m->rank, m->data, m->begin);
        for (size_t i = 0; i < COUNT; i++) /* only the own range may count from here on */
                if (i < m->begin[m->rank] || i >= m->begin[m->rank + 1])
                        m->data[i] = -1.0f;
        if (m->err == SCOPE_OK)
                m->err = m->comm->class_->all_gather(m->comm, m->rank, m->data, m->begin);
        return NULL;
}

static void test_reduce_scatter_then_all_gather_is_all_reduce(void **state)
{
        (void)state;
        static float data[SIZE][COUNT];
        const size_t begin[SIZE + 1] = { 0, 700, 700, COUNT }; /* rank 1 owns nothing */
        struct member members[SIZE];
        struct scope_comm *comm = fill(members, data, begin);
        run(members, reduce_then_gather);
        for (unsigned r = 0; r < SIZE; r++) {
                assert_ok(members[r].err);
                for (size_t i = 0; i < COUNT; i++)
                        assert_true(data[r][i] == sum_in_rank_order(i));
        }
        scope_comm_destroy(comm);
}

static void *broadcast_from_two(void *arg)
{
        struct member *m = arg;
        m->err = m->comm->class_->broadcast(m->comm, m->rank, 2, m->data, m->count);
        return NULL;
}

static void test_broadcast_copies_the_root(void **state)
{
        (void)state;
        static float data[SIZE][COUNT];
        struct member members[SIZE];
        struct scope_comm *comm = fill(members, data, NULL);
        run(members, broadcast_from_two);
        for (unsigned r = 0; r < SIZE; r++)
                for (size_t i = 0; i < COUNT; i++)
                        assert_true(data[r][i] == value(2, i));
        scope_comm_destroy(comm);
}

static void *gather_shared(void *arg)
{
        struct member *m = arg;
        for (size_t i = m->begin[m->rank]; i < m->begin[m->rank + 1]; i++)
                m->data[i] = (float)m->rank;
        m->err = m->comm->class_->all_gather(m->comm, m->rank, m->data, m->begin);
        return NULL;
}

static void test_gather_of_a_shared_arena_copies_nothing(void **state)
{
        (void)state;
        static float data[SIZE][COUNT];
        const size_t begin[SIZE + 1] = { 0, 400, 800, COUNT };
        struct member members[SIZE];
        struct scope_comm *comm = fill(members, data, begin);
        for (unsigned r = 0; r < SIZE; r++)
                members[r].data = data[0];
        run(members, gather_shared);
        for (size_t i = 0; i < COUNT; i++)
                assert_true(data[0][i] == (i < 400 ? 0.0f : i < 800 ? 1.0f : 2.0f));
        scope_comm_destroy(comm);
}

static void *meet_often(void *arg)
{
        struct member *m = arg;
        for (size_t i = 0; i < m->count && m->err == SCOPE_OK; i++)
                m->err = m->comm->class_->barrier(m->comm, m->rank);
        return NULL;
}

static void *stay_away(void *arg)
{
        struct member *m = arg;
        if (m->rank != 1)
                return meet_often(arg);
        return NULL;
}

static void test_a_rank_that_never_comes_fails_the_others_by_deadline(void **state)
{
        (void)state;
        static float data[SIZE][COUNT];
        struct member members[SIZE];
        struct scope_comm *comm = fill(members, data, NULL);
        comm->deadline_ns = 20000000;
        run(members, stay_away);
        assert_int_equal(members[0].err, SCOPE_ERR_DEADLINE);
        assert_int_equal(members[2].err, SCOPE_ERR_DEADLINE);
        assert_int_equal(
                comm->class_->barrier(comm, 1), SCOPE_ERR_DEADLINE); /* too late for ever */
        scope_comm_destroy(comm);
}

static void *abort_soon(void *arg)
{
        struct member *m = arg;
        if (m->rank != 1)
                return meet_often(arg);
        const struct timespec soon = { .tv_nsec = 5000000 };
        (void)nanosleep(&soon, NULL); /* shorter is fine */
        m->comm->class_->abort(m->comm);
        return NULL;
}

static void test_abort_wakes_the_waiting(void **state)
{
        (void)state;
        static float data[SIZE][COUNT];
        struct member members[SIZE];
        struct scope_comm *comm = fill(members, data, NULL);
        run(members, abort_soon);
        assert_int_equal(members[0].err, SCOPE_ERR_CANCELLED);
        assert_int_equal(members[2].err, SCOPE_ERR_CANCELLED);
        assert_int_equal(comm->class_->barrier(comm, 1), SCOPE_ERR_CANCELLED);
        scope_comm_destroy(comm);
}

static void test_many_meetings_in_a_row(void **state)
{
        (void)state;
        static float data[SIZE][COUNT];
        struct member members[SIZE];
        struct scope_comm *comm = fill(members, data, NULL);
        run(members, meet_often);
        for (unsigned r = 0; r < SIZE; r++)
                assert_ok(members[r].err);
        scope_comm_destroy(comm);
}

static void test_one_rank_keeps_its_data_until_aborted(void **state)
{
        (void)state;
        struct scope_comm *comm = NULL;
        float data[2] = { 1.5f, -2.0f };
        assert_ok(scope_comm_one_create(&comm));
        assert_ok(comm->class_->all_reduce(comm, 0, data, 2));
        assert_true(data[0] == 1.5f && data[1] == -2.0f);
        comm->class_->abort(comm);
        assert_int_equal(comm->class_->barrier(comm, 0), SCOPE_ERR_CANCELLED);
        scope_comm_destroy(comm);
        scope_comm_destroy(NULL);
}

static void test_no_ranks_or_too_many_are_refused(void **state)
{
        (void)state;
        struct scope_comm *comm = NULL;
        assert_int_equal(scope_comm_threads_create(0, &comm), SCOPE_ERR_ARGUMENT);
        assert_int_equal(scope_comm_threads_create(100000, &comm), SCOPE_ERR_ARGUMENT);
        assert_null(comm);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_all_reduce_sums_in_rank_order),
                cmocka_unit_test(test_reduce_scatter_then_all_gather_is_all_reduce),
                cmocka_unit_test(test_broadcast_copies_the_root),
                cmocka_unit_test(test_gather_of_a_shared_arena_copies_nothing),
                cmocka_unit_test(test_a_rank_that_never_comes_fails_the_others_by_deadline),
                cmocka_unit_test(test_abort_wakes_the_waiting),
                cmocka_unit_test(test_many_meetings_in_a_row),
                cmocka_unit_test(test_one_rank_keeps_its_data_until_aborted),
                cmocka_unit_test(test_no_ranks_or_too_many_are_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
