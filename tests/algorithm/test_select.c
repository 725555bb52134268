/* Equations 2 to 4 on the vector of algorithm.md 1.4, every knob, and indifference to order. */
#include "tests/test.h"

#include "algorithm/select.h"
#include "algorithm/statistics.h"
#include "base/rng.h"
#include "tests/algorithm/defaults.h"

static const uint32_t steps[] = { 6, 5, 8, 4, 7, 20, 6, 3 };
static const uint32_t tokens[] = { 300, 260, 420, 180, 350, 1900, 310, 140 };

enum { FAILURES = 6 };
static const struct scope_candidate failures[FAILURES] = {
        { .sample = 1, .steps = 5, .tokens = 260, .kept_steps = 3, .kept_tokens = 150,
                .located = true },
        { .sample = 2, .steps = 8, .tokens = 420, .kept_steps = 6, .kept_tokens = 310,
                .located = true },
        { .sample = 3, .steps = 4, .tokens = 180, .located = true },
        { .sample = 5, .steps = 20, .tokens = 1900, .kept_steps = 15, .kept_tokens = 1400,
                .located = true },
        { .sample = 6, .steps = 6, .tokens = 310, .kept_steps = 5, .kept_tokens = 250,
                .located = true },
        { .sample = 7, .steps = 3, .tokens = 140, .kept_steps = 1, .kept_tokens = 40,
                .located = true },
};

static struct scope_select_request request_of(const struct scope_candidate *candidates,
        uint32_t count)
{
        return (struct scope_select_request){
                .candidates = candidates, .candidate_count = count, .member_steps = steps,
                .member_tokens = tokens, .member_count = 8
        };
}

static void test_vector_of_the_specification(void **state)
{
        (void)state;
        static const double want[FAILURES] = { 0.966409, 1.466732, 0, 0.002009, 1.500992,
                0.345725 };
        SCOPE_DEFAULTS(select, options);
        struct scope_length_moments moments =
                scope_length_moments((struct scope_length_members){ steps, tokens, 8 });
        for (int i = 0; i < FAILURES; i++)
                assert_close(scope_select_score(&options, &failures[i], &moments), want[i], 5e-7);
        struct scope_choice choices[FAILURES];
        struct scope_select_request request = request_of(failures, FAILURES);
        assert_int_equal(scope_select_rank(&options, &request, choices), FAILURES);
        static const uint32_t order[FAILURES] = { 6, 2, 1, 7, 5, 3 };
        for (int i = 0; i < FAILURES; i++)
                assert_int_equal(choices[i].sample, order[i]);
        assert_int_equal(choices[0].kept_steps, 5);
        assert_int_equal(choices[0].kept_tokens, 250);
        assert_int_equal(choices[0].steps, 6);
        assert_int_equal(choices[0].tokens, 310);
        assert_close(choices[0].score, 1.500992, 1e-6);
}

static void test_order_of_candidates_does_not_matter(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(select, options);
        struct scope_rng rng = scope_rng_make(3);
        struct scope_candidate list[FAILURES];
        struct scope_choice first[FAILURES], next[FAILURES];
        for (int round = 0; round < 500; round++) {
                for (int i = 0; i < FAILURES; i++) {
                        list[i] = failures[i];
                        if (round % 2) { /* with ties */
                                list[i].steps = list[i].tokens = 4;
                                list[i].kept_steps = (uint32_t)scope_rng_below(&rng, 3);
                                list[i].kept_tokens = list[i].kept_steps;
                                list[i].located = scope_rng_below(&rng, 2) == 0;
                        }
                }
                struct scope_select_request request = request_of(list, FAILURES);
                uint32_t count = scope_select_rank(&options, &request, first);
                for (uint64_t i = FAILURES - 1; i > 0; i--) {
                        uint64_t j = scope_rng_below(&rng, i + 1);
                        struct scope_candidate swap = list[i];
                        list[i] = list[j];
                        list[j] = swap;
                }
                assert_int_equal(scope_select_rank(&options, &request, next), count);
                assert_memory_equal(first, next, count * sizeof *first);
        }
}

static void test_no_spread_weighs_everyone_alike(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(select, options);
        const uint32_t same[] = { 5, 5, 5 };
        struct scope_length_moments moments =
                scope_length_moments((struct scope_length_members){ same, same, 3 });
        struct scope_candidate far = { .steps = 50, .tokens = 10, .kept_steps = 25,
                .kept_tokens = 5 };
        assert_true(scope_select_score(&options, &far, &moments) == 1);
        moments = scope_length_moments((struct scope_length_members){ NULL, NULL, 0 });
        assert_true(scope_select_score(&options, &far, &moments) == 1);
}

static void test_gauss_denom_widens_the_weight(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(select, options);
        struct scope_length_moments moments = { 10, 4, 10, 0, 2 };
        struct scope_candidate candidate = { .steps = 12, .tokens = 10, .kept_steps = 12 };
        assert_close(scope_select_score(&options, &candidate, &moments), 0.60653066, 1e-8);
        options.gauss_denom = 1;
        assert_close(scope_select_score(&options, &candidate, &moments), 0.36787944, 1e-8);
}

static void test_located_errors_come_first(void **state)
{
        (void)state;
        struct scope_candidate list[FAILURES];
        struct scope_choice choices[FAILURES];
        SCOPE_DEFAULTS(select, options);
        memcpy(list, failures, sizeof list);
        list[4].located = false; /* the best one: the PRM found nothing wrong with it */
        struct scope_select_request request = request_of(list, FAILURES);
        assert_int_equal(scope_select_rank(&options, &request, choices), FAILURES - 1);
        assert_int_equal(choices[0].sample, 2);
        options.prefer_located = false;
        assert_int_equal(scope_select_rank(&options, &request, choices), FAILURES);
        assert_int_equal(choices[0].sample, 6);
        options.prefer_located = true;
        for (int i = 0; i < FAILURES; i++)
                list[i].located = false;
        assert_int_equal(scope_select_rank(&options, &request, choices), FAILURES);
        assert_int_equal(choices[0].sample, 6);
}

static void test_zero_prefix_can_be_skipped(void **state)
{
        (void)state;
        struct scope_choice choices[1];
        SCOPE_DEFAULTS(select, options);
        struct scope_select_request request = request_of(&failures[2], 1);
        assert_int_equal(scope_select_rank(&options, &request, choices), 1);
        options.zero_prefix = SCOPE_ZERO_PREFIX_SKIP;
        assert_int_equal(scope_select_rank(&options, &request, choices), 0);
}

static void test_truncated_can_be_refused(void **state)
{
        (void)state;
        struct scope_choice choices[1];
        struct scope_candidate cut = failures[0];
        cut.truncated = true;
        SCOPE_DEFAULTS(select, options);
        struct scope_select_request request = request_of(&cut, 1);
        assert_int_equal(scope_select_rank(&options, &request, choices), 1);
        options.allow_truncated = false;
        assert_int_equal(scope_select_rank(&options, &request, choices), 0);
}

static void test_empty_response_is_no_candidate(void **state)
{
        (void)state;
        struct scope_choice choices[1];
        struct scope_candidate empty = { .sample = 0, .located = true };
        SCOPE_DEFAULTS(select, options);
        struct scope_select_request request = request_of(&empty, 1);
        assert_int_equal(scope_select_rank(&options, &request, choices), 0);
}

static void test_force_k_chooses_alike_and_keeps_nothing(void **state)
{
        (void)state;
        struct scope_choice choices[FAILURES];
        SCOPE_DEFAULTS(select, options);
        options.force_k = 0;
        struct scope_select_request request = request_of(failures, FAILURES);
        assert_int_equal(scope_select_rank(&options, &request, choices), FAILURES);
        assert_int_equal(choices[0].sample, 6);
        assert_int_equal(choices[0].kept_steps, 0);
        assert_int_equal(choices[0].kept_tokens, 0);
}

static void test_due_needs_two_failures_and_a_repair(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(select, options);
        assert_false(scope_select_due(&options, 0));
        assert_false(scope_select_due(&options, 1));
        assert_true(scope_select_due(&options, 2));
        assert_true(scope_select_due(&options, 8));
        options.min_failures = 4;
        assert_false(scope_select_due(&options, 3));
        options.repairs_per_group = 0;
        assert_false(scope_select_due(&options, 8));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_vector_of_the_specification),
                cmocka_unit_test(test_order_of_candidates_does_not_matter),
                cmocka_unit_test(test_no_spread_weighs_everyone_alike),
                cmocka_unit_test(test_gauss_denom_widens_the_weight),
                cmocka_unit_test(test_located_errors_come_first),
                cmocka_unit_test(test_zero_prefix_can_be_skipped),
                cmocka_unit_test(test_truncated_can_be_refused),
                cmocka_unit_test(test_empty_response_is_no_candidate),
                cmocka_unit_test(test_force_k_chooses_alike_and_keeps_nothing),
                cmocka_unit_test(test_due_needs_two_failures_and_a_repair),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
