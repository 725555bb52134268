/* Rows dealt to ranks, a microbatch at a time. */
#include "actors/learner_ranks.h"

#include "base/rng.h"
#include "tests/actors/world.h"

enum { ROWS = 64, LIMIT = 100 };

/* Every row once, in order, each rank its own; together at most LIMIT tokens, or one row. */
static void check(struct scope_row *rows, uint32_t begin, uint32_t end, unsigned count)
{
        struct scope_pipeline_options options = { .learner.microbatch_tokens = LIMIT };
        struct scope_stages stages = { .options = &options };
        struct scope_batch batch = { .rows = rows, .row_count = ROWS };
        struct scope_ranks ranks = { .batch = &batch, .stages = &stages };
        uint32_t next = begin;
        scope_ranks_deal(&ranks, count, begin, end);
        assert_int_equal(ranks.at_work, 0);
        for (unsigned i = 0; i < count; i++) {
                struct scope_rank *rank = &ranks.of[i];
                assert_int_equal(rank->rank, i);
                assert_int_equal(rank->first, next);
                while (scope_rank_next(rank)) {
                        uint64_t tokens = 0;
                        assert_int_equal(rank->begin, next);
                        for (uint32_t r = rank->begin; r < rank->end; r++)
                                tokens += rows[r].count;
                        assert_true(tokens <= LIMIT || rank->end == rank->begin + 1);
                        /* the row after did not fit any more */
                        assert_true(rank->end == rank->last ||
                                    tokens + rows[rank->end].count > LIMIT);
                        next = rank->end;
                }
                assert_int_equal(next, rank->last);
                assert_false(scope_rank_next(rank));
                assert_int_equal(rank->begin, rank->end);
        }
        assert_int_equal(next, end);
}

static void test_each_row_is_in_one_microbatch_of_one_rank(void **state)
{
        struct scope_row rows[ROWS] = { { .count = 0 } };
        (void)state;
        for (uint64_t seed = 0; seed < 50; seed++) {
                for (uint32_t i = 0; i < ROWS; i++)
                        rows[i].count = 1 + (uint32_t)(120 * scope_rng_at(seed, i));
                for (unsigned count = 1; count <= 5; count++)
                        check(rows, seed % 2 == 0 ? 0 : 7, ROWS - (uint32_t)seed, count);
        }
}

static void test_ranks_beyond_the_rows_are_through_at_once(void **state)
{
        struct scope_row rows[ROWS] = { { .count = 5 }, { .count = 5 } };
        (void)state;
        check(rows, 0, 2, 4);
        check(rows, 0, 0, 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each_row_is_in_one_microbatch_of_one_rank),
                cmocka_unit_test(test_ranks_beyond_the_rows_are_through_at_once),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
