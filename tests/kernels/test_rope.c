#include "tests/kernels/kernels_test.h"

#include "kernels/rope.h"

enum { ROWS = 7, HEADS = 3, POSITIONS = 40 };
static const uint32_t positions[ROWS] = { 0, 1, 2, 39, 0, 17, 5 };

static void check_dim(const struct scope_kernels *table, uint32_t dim)
{
        const size_t count = (size_t)ROWS * HEADS * dim;
        struct arrays arrays = { .rng = scope_rng_make(dim) };
        float *angles = arrays_zeros(&arrays, (size_t)POSITIONS * dim);
        float *x = arrays_random(&arrays, count, 1.0), *before = arrays_copy(&arrays, x, count);
        float *want = arrays_copy(&arrays, x, count);
        scope_rope_table(&(struct scope_rope_table_args){ .theta = 10000.0f,
                                 .positions = POSITIONS,
                                 .head_dim = dim },
                angles);
        struct scope_rope_args args = { .x = x,
                .positions = positions,
                .table = angles,
                .rows = ROWS,
                .heads = HEADS,
                .head_dim = dim };
        assert_ok(table->rope(&args, NULL));
        args.x = want;
        assert_ok(scope_kernels_at(0)->rope(&args, NULL));
        assert_near(table, "x", x, want, count, 1e-6);
        args.x = x;
        args.inverse = true;
        assert_ok(table->rope(&args, NULL));
        assert_near(table, "turned back", x, before, count, 1e-6);
        arrays_free(&arrays);
}

static void check(const struct scope_kernels *table)
{
        const uint32_t dims[] = { 2, 6, 32, 64, 128 };
        for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++)
                check_dim(table, dims[i]);
}

static void test_rotation_equals_the_reference_and_turns_back(void **state)
{
        (void)state;
        for_each_table(check);
}

/* Element i pairs with i + dim/2, the first pair turning by one radian a position. */
static void test_halves_turn_against_each_other(void **state)
{
        (void)state;
        float angles[2 * 4], x[4] = { 1.0f, 0.0f, 0.0f, 2.0f };
        const uint32_t position = 1;
        scope_rope_table(
                &(struct scope_rope_table_args){ .theta = 10000.0f, .positions = 2, .head_dim = 4 },
                angles);
        assert_ok(scope_kernels_at(0)->rope(&(struct scope_rope_args){ .x = x,
                                                    .positions = &position,
                                                    .table = angles,
                                                    .rows = 1,
                                                    .heads = 1,
                                                    .head_dim = 4 },
                NULL));
        assert_close(x[0], cos(1.0), 1e-6);
        assert_close(x[2], sin(1.0), 1e-6);
        assert_close(x[1], -2.0 * sin(0.01), 1e-6);
        assert_close(x[3], 2.0 * cos(0.01), 1e-6);
}

/* Llama 3.1's numbers, worked out by transformers 5 (modeling_rope_utils), head_dim 16. */
static void test_scaled_waves_are_those_of_transformers(void **state)
{
        (void)state;
        static const double want[8] = { 1, 0.19392276, 0.037606031, 0.0072926651,
                0.00052484602, 3.4281024e-05, 6.6478697e-06, 1.2891732e-06 };
        float angles[2 * 16];
        scope_rope_table(&(struct scope_rope_table_args){ .theta = 500000.0f,
                                 .scaling = { true, 8.0f, 1.0f, 4.0f, 8192 },
                                 .positions = 2,
                                 .head_dim = 16 },
                angles);
        for (int i = 0; i < 8; i++)
                assert_close(atan2(angles[16 + 8 + i], angles[16 + i]) / want[i], 1.0, 2e-6);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rotation_equals_the_reference_and_turns_back),
                cmocka_unit_test(test_halves_turn_against_each_other),
                cmocka_unit_test(test_scaled_waves_are_those_of_transformers),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
