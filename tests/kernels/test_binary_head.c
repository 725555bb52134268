#include "tests/kernels/kernels_test.h"

#include "kernels/binary_head.h"

static void check_width(const struct scope_kernels *table, uint32_t width, bool linear)
{
        enum { ROWS = 6 };
        struct arrays arrays = { .rng = scope_rng_make(width) };
        struct scope_binary_head_args args = { .x = arrays_random(
                                                       &arrays, (size_t)ROWS * width, 1.0),
                .weight = arrays_random(&arrays, 2 * (size_t)width, 0.5),
                .bias = arrays_random(&arrays, 2, 0.5),
                .probability = arrays_zeros(&arrays, ROWS),
                .rows = ROWS,
                .width = width,
                .linear = linear };
        const float *want = args.probability;
        assert_ok(scope_kernels_at(0)->binary_head(&args, NULL));
        args.probability = arrays_zeros(&arrays, ROWS);
        assert_ok(table->binary_head(&args, NULL));
        assert_near(table, "probability", args.probability, want, ROWS, 2e-6);
        arrays_free(&arrays);
}

static void check(const struct scope_kernels *table)
{
        for (int linear = 0; linear < 2; linear++) {
                check_width(table, 8, linear);
                check_width(table, 96, linear);
                check_width(table, 101, linear);
        }
}

static void test_head_equals_the_reference(void **state)
{
        (void)state;
        for_each_table(check);
}

/* x = -2: behind a ReLU only the biases are left. */
static void check_sign(const struct scope_kernels *table)
{
        const float x = -2.0f, weight[2] = { 0.5f, 1.0f }, bias[2] = { 0.25f, 0.5f };
        float probability = 0.0f;
        struct scope_binary_head_args args = { &x, weight, bias, &probability, 1, 1, false };
        assert_ok(table->binary_head(&args, NULL));
        assert_close(probability, 1.0 / (1.0 + exp(-0.25)), 1e-6);
        args.linear = true;
        assert_ok(table->binary_head(&args, NULL));
        assert_close(probability, 1.0 / (1.0 + exp(0.75)), 1e-6);
}

static void test_linear_heads_keep_what_is_negative(void **state)
{
        (void)state;
        for_each_table(check_sign);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_head_equals_the_reference),
                cmocka_unit_test(test_linear_heads_keep_what_is_negative),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
