/* Credits and ages. */
#include "tests/test.h"

#include "algorithm/admission.h"
#include "tests/algorithm/defaults.h"

static uint32_t open_of(const struct scope_admission_options *options, uint32_t live,
        uint32_t at_teacher, uint32_t credit)
{
        struct scope_admission now = { 16, credit, live, at_teacher };
        return scope_admission_open(options, &now);
}

static void test_live_groups_stay_within_eta(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(admission, options);
        assert_int_equal(open_of(&options, 0, 0, 0), 48);
        assert_int_equal(open_of(&options, 47, 0, 0), 1);
        assert_int_equal(open_of(&options, 48, 0, 0), 0);
        assert_int_equal(open_of(&options, 60, 0, 0), 0);
        options.eta = 0;
        assert_int_equal(open_of(&options, 0, 0, 0), 16);
}

static void test_groups_at_the_teacher_hold_the_second_credit(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(admission, options);
        assert_int_equal(open_of(&options, 48, 10, 0), 0);
        assert_int_equal(open_of(&options, 48, 10, 12), 10);
        assert_int_equal(open_of(&options, 48, 20, 12), 12); /* the cap */
        struct scope_admission now = { 16, 2, 5, 1 };
        assert_true(scope_admission_teacher_open(&now));
        now.at_teacher = 2;
        assert_false(scope_admission_teacher_open(&now));
        now.teacher_credit = 0;
        assert_true(scope_admission_teacher_open(&now));
}

/* Whatever happens in whatever order, nobody but the teacher's holds more than (eta + 1) B. */
static void test_credit_is_never_exceeded_by_admission(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(admission, options);
        for (uint32_t live = 0; live < 100; live++) {
                for (uint32_t teacher = 0; teacher <= live; teacher++) {
                        uint32_t more = open_of(&options, live, teacher, 8);
                        uint32_t apart = teacher < 8 ? teacher : 8;
                        assert_true(more == 0 || live + more - apart <= 48);
                }
        }
}

static void test_age_is_judged_at_consumption(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(admission, options);
        assert_int_equal(scope_age_of(9, 5), 4);
        assert_int_equal(scope_age_of(5, 9), 0);
        assert_int_equal(scope_age_judge(&options, 2), SCOPE_AGE_FRESH);
        assert_int_equal(scope_age_judge(&options, 3), SCOPE_AGE_STALE);
        assert_int_equal(scope_age_judge(&options, 4), SCOPE_AGE_STALE);
        assert_int_equal(scope_age_judge(&options, 5), SCOPE_AGE_REJECTED);
        options.age_max = 5;
        assert_int_equal(scope_age_judge(&options, 5), SCOPE_AGE_STALE);
}

static void test_age_max_below_eta_is_refused(void **state)
{
        (void)state;
        struct scope_diag diag;
        SCOPE_DEFAULTS(admission, options);
        assert_ok(scope_admission_check(&options, &diag));
        options.eta = 5;
        assert_int_equal(scope_admission_check(&options, &diag), SCOPE_ERR_ARGUMENT);
        assert_non_null(strstr(diag.text, "age_max"));
}

static void test_deadline_shrinks_with_age(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(admission, options);
        assert_int_equal(scope_age_deadline_ns(&options, 0, 100), 500);
        assert_int_equal(scope_age_deadline_ns(&options, 4, 100), 100);
        assert_int_equal(scope_age_deadline_ns(&options, 5, 100), 0);
        assert_true(scope_age_deadline_ns(&options, 0, 0) == UINT64_MAX);
        assert_true(scope_age_deadline_ns(&options, 0, UINT64_MAX / 2) == UINT64_MAX);
}

static void check_stale(int stale, uint64_t now, double old, double young, double suffix)
{
        /* tokens 0..1 of version 1, 2..3 of version 3, 4..5 the teacher's */
        static const struct scope_segment segments[2] = {
                { 0, 4, SCOPE_SOURCE_POLICY, SCOPE_LOSS_POLICY, 1 },
                { 4, 2, SCOPE_SOURCE_TEACHER, SCOPE_LOSS_LIKELIHOOD, 1 },
        };
        static const struct scope_version_span spans[2] = { { 0, 2, 1, 1, 1 }, { 2, 2, 3, 1, 1 } };
        struct scope_trajectory trajectory = {
                .segments = segments, .segment_count = 2, .spans = spans, .span_count = 2,
                .token_count = 6
        };
        float weight[6] = { 2, 2, 2, 2, 1, 1 };
        SCOPE_DEFAULTS(admission, options);
        options.stale = stale;
        scope_age_weights(&options, now, 1, &trajectory, weight);
        const double want[6] = { old, old, young, young, suffix, suffix };
        for (int t = 0; t < 6; t++)
                assert_close(weight[t], want[t], 1e-6);
}

static void test_stale_says_how_to_train(void **state)
{
        (void)state;
        check_stale(SCOPE_STALE_PLAIN, 5, 2, 2, 1);
        check_stale(SCOPE_STALE_REWEIGHT, 3, 2, 2, 1); /* age 2: fresh */
        check_stale(SCOPE_STALE_REWEIGHT, 4, 4.0 / 3, 4.0 / 3, 1);
        check_stale(SCOPE_STALE_REWEIGHT, 5, 2.0 / 3, 2.0 / 3, 1);
        check_stale(SCOPE_STALE_MASK, 3, 2, 2, 1);
        check_stale(SCOPE_STALE_MASK, 5, 0, 2, 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_live_groups_stay_within_eta),
                cmocka_unit_test(test_groups_at_the_teacher_hold_the_second_credit),
                cmocka_unit_test(test_credit_is_never_exceeded_by_admission),
                cmocka_unit_test(test_age_is_judged_at_consumption),
                cmocka_unit_test(test_age_max_below_eta_is_refused),
                cmocka_unit_test(test_deadline_shrinks_with_age),
                cmocka_unit_test(test_stale_says_how_to_train),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
