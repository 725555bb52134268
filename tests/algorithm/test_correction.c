/* Weights of stale tokens: every mode and mask, and teacher tokens left alone. */
#include "tests/test.h"

#include <math.h>

#include "algorithm/correction.h"
#include "tests/algorithm/defaults.h"

/* Three policy tokens, two of the teacher with numbers that must not be read. */
static const struct scope_segment mixed[] = {
        { 0, 3, SCOPE_SOURCE_POLICY, SCOPE_LOSS_POLICY, 1 },
        { 3, 2, SCOPE_SOURCE_TEACHER, SCOPE_LOSS_LIKELIHOOD, 1 },
};

struct outcome {
        float weight[5];
        struct scope_correction_sums sums;
};

/* `ratios`: train / mu of the three policy tokens. */
static struct outcome weigh(const struct scope_correction_options *options, double a, double b,
        double c)
{
        const float mu[5] = { -1, -2, -3, NAN, NAN };
        const float train[5] = { (float)(-1 + log(a)), (float)(-2 + log(b)), (float)(-3 + log(c)),
                NAN, NAN };
        struct scope_correction_row row = { mu, train, mixed, 2, 5 };
        struct outcome outcome = { .weight = { 77, 77, 77, 77, 77 } };
        scope_correction_weights(options, &row, outcome.weight, &outcome.sums);
        return outcome;
}

static void check_weights(const struct outcome *outcome, double a, double b, double c,
        double suffix)
{
        const double want[5] = { a, b, c, suffix, suffix };
        for (int t = 0; t < 5; t++)
                assert_close(outcome->weight[t], want[t], 1e-5);
}

static void test_fresh_tokens_weigh_one(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(correction, options);
        struct outcome outcome = weigh(&options, 1, 1, 1);
        check_weights(&outcome, 1, 1, 1, 1);
        assert_true(outcome.sums.k1 == 0 && outcome.sums.k3 == 0);
        assert_int_equal(outcome.sums.tokens, 3);
}

static void test_token_weights_are_truncated(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(correction, options);
        options.seq_mask = SCOPE_SEQ_MASK_OFF;
        struct outcome outcome = weigh(&options, 0.5, 1.5, 3);
        check_weights(&outcome, 0.5, 1.5, 2, 1);
        assert_int_equal(outcome.sums.truncated_tokens, 1);
        options.tis_cap = 1;
        outcome = weigh(&options, 0.5, 1.5, 3);
        check_weights(&outcome, 0.5, 1, 1, 1);
}

static void test_sequence_weight_is_the_truncated_product(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(correction, options);
        options.seq_mask = SCOPE_SEQ_MASK_OFF;
        options.tis = SCOPE_TIS_SEQUENCE;
        struct outcome outcome = weigh(&options, 0.5, 1.5, 1.2);
        check_weights(&outcome, 0.9, 0.9, 0.9, 1);
        outcome = weigh(&options, 2, 2, 2);
        check_weights(&outcome, 2, 2, 2, 1);
}

static void test_bypass_and_off_add_no_weight(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(correction, options);
        options.seq_mask = SCOPE_SEQ_MASK_OFF;
        options.correction = SCOPE_CORRECTION_BYPASS;
        struct outcome outcome = weigh(&options, 0.5, 1.5, 3);
        check_weights(&outcome, 1, 1, 1, 1);
        options.correction = SCOPE_CORRECTION_DECOUPLED;
        options.tis = SCOPE_TIS_OFF;
        outcome = weigh(&options, 0.5, 1.5, 3);
        check_weights(&outcome, 1, 1, 1, 1);
}

static void test_geometric_mask_rejects_far_sequences(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(correction, options);
        struct outcome outcome = weigh(&options, 1.08, 1.08, 1.08);
        assert_int_equal(outcome.sums.rejected_rows, 0);
        outcome = weigh(&options, 1.12, 1.12, 1.12);
        check_weights(&outcome, 0, 0, 0, 1);
        assert_int_equal(outcome.sums.rejected_rows, 1);
        assert_int_equal(outcome.sums.masked_tokens, 3);
        outcome = weigh(&options, 0.8, 0.9, 0.9);
        check_weights(&outcome, 0, 0, 0, 1);
        options.seq_mask_lo = 0.5;
        outcome = weigh(&options, 0.8, 0.9, 0.9);
        check_weights(&outcome, 0.8, 0.9, 0.9, 1);
        options.seq_mask_hi = 1.5;
        outcome = weigh(&options, 1.12, 1.12, 1.12);
        check_weights(&outcome, 1.12, 1.12, 1.12, 1);
}

static void test_product_mask_grows_with_length(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(correction, options);
        options.seq_mask = SCOPE_SEQ_MASK_PRODUCT;
        struct outcome outcome = weigh(&options, 1.08, 1.08, 1.08); /* 1.26 together */
        check_weights(&outcome, 0, 0, 0, 1);
        outcome = weigh(&options, 1.08, 1, 1);
        check_weights(&outcome, 1.08, 1, 1, 1);
}

static void test_k3_mask(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(correction, options);
        options.seq_mask = SCOPE_SEQ_MASK_K3;
        struct outcome outcome = weigh(&options, 1.1, 0.9, 1.1); /* 0.0049 */
        assert_int_equal(outcome.sums.rejected_rows, 0);
        options.k3_max = 0.004;
        outcome = weigh(&options, 1.1, 0.9, 1.1);
        assert_int_equal(outcome.sums.rejected_rows, 1);
}

static void test_token_mask_drops_single_tokens(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(correction, options);
        options.seq_mask = SCOPE_SEQ_MASK_OFF;
        options.token_mask = 5;
        struct outcome outcome = weigh(&options, 6, 1, 0.5);
        check_weights(&outcome, 0, 1, 0.5, 1);
        assert_int_equal(outcome.sums.masked_tokens, 1);
        assert_int_equal(outcome.sums.rejected_rows, 0);
}

static void test_rejected_mixed_row_can_be_dropped(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(correction, options);
        options.mixed_on_reject = SCOPE_MIXED_DROP;
        struct outcome outcome = weigh(&options, 2, 2, 2);
        check_weights(&outcome, 0, 0, 0, 0);
        outcome = weigh(&options, 1, 1, 1);
        check_weights(&outcome, 1, 1, 1, 1);
}

static void test_nan_is_rejected(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(correction, options);
        struct outcome outcome = weigh(&options, NAN, 1, 1);
        check_weights(&outcome, 0, 0, 0, 1);
}

static void test_all_teacher_row_is_never_rejected(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(correction, options);
        options.mixed_on_reject = SCOPE_MIXED_DROP;
        const struct scope_segment whole = { 0, 2, SCOPE_SOURCE_TEACHER, SCOPE_LOSS_LIKELIHOOD, 1 };
        const float nan[2] = { NAN, NAN };
        float weight[2];
        struct scope_correction_sums sums = { 0 };
        struct scope_correction_row row = { nan, nan, &whole, 1, 2 };
        scope_correction_weights(&options, &row, weight, &sums);
        assert_true(weight[0] == 1 && weight[1] == 1);
        assert_int_equal(sums.tokens, 0);
}

static void test_statistics_are_over_policy_tokens(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(correction, options);
        options.seq_mask = SCOPE_SEQ_MASK_OFF;
        struct outcome outcome = weigh(&options, 0.5, 1, 4);
        assert_close(outcome.sums.ratio, 5.5, 1e-5);
        assert_close(outcome.sums.ratio_max, 4, 1e-5);
        assert_close(outcome.sums.k1, -log(2), 1e-5);
        assert_close(outcome.sums.k3, -0.5 + 0 + 3 - log(2), 1e-5);
        assert_close(outcome.sums.weight, 3.5, 1e-5);
        assert_close(outcome.sums.weight_square, 0.25 + 1 + 4, 1e-5);
        struct scope_correction_sums twice = outcome.sums;
        scope_correction_sums_add(&twice, &outcome.sums);
        assert_close(twice.ratio + twice.weight + twice.weight_square + twice.k1 + twice.k3,
                2 * (outcome.sums.ratio + outcome.sums.weight + outcome.sums.weight_square +
                            outcome.sums.k1 + outcome.sums.k3), 1e-9);
        assert_int_equal(twice.tokens + twice.rows + twice.truncated_tokens, 6 + 2 + 2);
        assert_true(twice.ratio_max == outcome.sums.ratio_max);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fresh_tokens_weigh_one),
                cmocka_unit_test(test_token_weights_are_truncated),
                cmocka_unit_test(test_sequence_weight_is_the_truncated_product),
                cmocka_unit_test(test_bypass_and_off_add_no_weight),
                cmocka_unit_test(test_geometric_mask_rejects_far_sequences),
                cmocka_unit_test(test_product_mask_grows_with_length),
                cmocka_unit_test(test_k3_mask),
                cmocka_unit_test(test_token_mask_drops_single_tokens),
                cmocka_unit_test(test_rejected_mixed_row_can_be_dropped),
                cmocka_unit_test(test_nan_is_rejected),
                cmocka_unit_test(test_all_teacher_row_is_never_rejected),
                cmocka_unit_test(test_statistics_are_over_policy_tokens),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
