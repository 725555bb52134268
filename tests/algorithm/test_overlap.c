/* Bounds: the recursion over the gates against the closed forms of the survey's table, schedules
 * reckoned by hand, and the terms of the long-run rates. */
#include "tests/test.h"

#include <math.h>

#include "algorithm/overlap.h"

enum { BATCHES = 50 };

/* Seconds a batch far from the start, for constant times. */
static double pace(const char *name, struct scope_batch_times times)
{
        struct scope_batch_times batches[BATCHES];
        double done[BATCHES];
        for (int i = 0; i < BATCHES; i++)
                batches[i] = times;
        assert_true(scope_overlap_in_order(
                            scope_strategy_find(name), batches, BATCHES, 0, done) > 0);
        return (done[BATCHES - 5] - done[BATCHES - 15]) / 10;
}

static void test_constant_times_give_the_closed_forms(void **state)
{
        (void)state;
        const struct scope_batch_times t = { .decode = 31,
                .prm = 2,
                .teacher = 17,
                .learn = 40,
                .publish = 3,
                .streamed = 37 };
        assert_close(pace("serial", t), 31 + 2 + 17 + 40 + 3, 1e-9);
        assert_close(pace("one_step_off", t), fmax(31 + 2 + 17, 40 + 3), 1e-9);
        assert_close(pace("teacher_overlap", t), 37 + 40 + 3, 1e-9);
        assert_close(pace("pipelined", t), 40 + 3, 1e-9);
}

static void test_jobs_go_to_the_server_that_is_free_first(void **state)
{
        (void)state;
        const double services[] = { 5, 2, 4, 1 }, begins[] = { 0, 0, 0, 9 };
        double ends[4];
        assert_close(scope_overlap_makespan(NULL, services, 4, 2, ends), 6, 0);
        assert_true(ends[0] == 5 && ends[1] == 2 && ends[2] == 6 && ends[3] == 6);
        assert_close(scope_overlap_makespan(begins, services, 4, 2, NULL), 10, 0);
}

/* The same schedules as tests/models/test_engine_timed.c has, in seconds. */
static void test_samples_that_share_a_decoder(void **state)
{
        (void)state;
        const struct scope_step_law law = { .least_s = 30, .each_s = 10, .engines = 1 };
        const uint32_t tokens[] = { 3, 5, 2 }, more[] = { 2, 4, 4, 4, 10 };
        const double prefill[] = { 20, 0, 10 }, prompts[] = { 5, 5, 5, 5, 5 };
        double ends[5];
        assert_true(scope_step_law_is(&law));
        assert_close(scope_overlap_shared_makespan(&law, tokens, prefill, 3, 2, ends), 180, 0);
        assert_true(ends[0] == 110 && ends[1] == 180 && ends[2] == 180);
        assert_close(scope_overlap_shared_makespan(&law, more, prompts, 5, 8, ends),
                25 + 2 * 50 + 2 * 40 + 6 * 30, 0);
        assert_true(ends[0] == 125 && ends[1] == 205 && ends[3] == 205);
        /* two decoders, half of them on each */
        const struct scope_step_law two = { .base_s = 1, .each_s = 10, .engines = 2 };
        const uint32_t same[] = { 6, 6, 6, 6 };
        const double none[4] = { 0 };
        assert_close(scope_overlap_shared_makespan(&two, same, none, 4, 4, NULL), 6 * 21, 0);
}

static void test_a_rate_of_the_teacher_binds_by_calls(void **state)
{
        (void)state;
        struct scope_capacity capacity = { .prompts_per_step = 4,
                .eta = 100,
                .slots = 8,
                .samples = 4,
                .sample_s = 1,
                .teacher_s = 2,
                .teacher_concurrency = 16,
                .learn_s = 1 };
        assert_close(scope_overlap_rates(&capacity).of[SCOPE_BOUND_TEACHER], 8, 1e-9);
        capacity.teacher_calls = 0.5;
        capacity.teacher_rate = 0.75;
        struct scope_rates rates = scope_overlap_rates(&capacity);
        assert_close(rates.of[SCOPE_BOUND_TEACHER], 1.5, 1e-9);
        assert_int_equal(rates.binding, SCOPE_BOUND_TEACHER);
        assert_close(rates.of[SCOPE_BOUND_DECODE], 2, 1e-9);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_constant_times_give_the_closed_forms),
                cmocka_unit_test(test_jobs_go_to_the_server_that_is_free_first),
                cmocka_unit_test(test_samples_that_share_a_decoder),
                cmocka_unit_test(test_a_rate_of_the_teacher_binds_by_calls),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
