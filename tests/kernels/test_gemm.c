#include "tests/kernels/kernels_test.h"

#include "kernels/gemm.h"

static const uint32_t shapes[][3] = { { 1, 1, 1 }, { 3, 5, 7 }, { 17, 21, 96 }, { 64, 96, 96 },
        { 33, 256, 96 }, { 33, 96, 256 }, { 700, 18, 34 } };
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static void check_forward(
        const struct scope_kernels *table, const uint32_t *shape, bool bias, bool accumulate)
{
        const uint32_t m = shape[0], n = shape[1], k = shape[2];
        struct arrays arrays = { .rng = scope_rng_make(m + n + k) };
        struct scope_gemm_args args = { .x = arrays_random(&arrays, (size_t)m * k, 1.0),
                .w = arrays_random(&arrays, (size_t)n * k, 1.0),
                .bias = bias ? arrays_random(&arrays, n, 1.0) : NULL,
                .y = arrays_random(&arrays, (size_t)m * n, 1.0),
                .m = m,
                .n = n,
                .k = k,
                .accumulate = accumulate };
        float *got = args.y, *want = arrays_copy(&arrays, got, (size_t)m * n);
        assert_ok(table->gemm(&args, NULL));
        args.y = want;
        assert_ok(scope_kernels_at(0)->gemm(&args, NULL));
        assert_near(table, "y", got, want, (size_t)m * n, 2e-6);
        arrays_free(&arrays);
}

static void check_backward(
        const struct scope_kernels *table, const uint32_t *shape, bool bias, bool accumulate)
{
        const uint32_t m = shape[0], n = shape[1], k = shape[2];
        struct arrays arrays = { .rng = scope_rng_make(m * n + k) };
        const float *dy = arrays_random(&arrays, (size_t)m * n, 1.0);
        struct scope_gemm_input_args input = { .dy = dy,
                .w = arrays_random(&arrays, (size_t)n * k, 1.0),
                .dx = arrays_random(&arrays, (size_t)m * k, 1.0),
                .m = m,
                .n = n,
                .k = k,
                .accumulate = accumulate };
        float *dx = input.dx, *want = arrays_copy(&arrays, dx, (size_t)m * k);
        assert_ok(table->gemm_input(&input, NULL));
        input.dx = want;
        assert_ok(scope_kernels_at(0)->gemm_input(&input, NULL));
        assert_near(table, "dx", dx, want, (size_t)m * k, 2e-6);
        struct scope_gemm_weight_args weight = { .dy = dy,
                .x = arrays_random(&arrays, (size_t)m * k, 1.0),
                .dw = arrays_random(&arrays, (size_t)n * k, 1.0),
                .dbias = bias ? arrays_random(&arrays, n, 1.0) : NULL,
                .m = m,
                .n = n,
                .k = k };
        float *dw = weight.dw, *dbias = weight.dbias;
        weight.dw = arrays_copy(&arrays, dw, (size_t)n * k);
        weight.dbias = bias ? arrays_copy(&arrays, dbias, n) : NULL;
        assert_ok(scope_kernels_at(0)->gemm_weight(&weight, NULL));
        float *want_dw = weight.dw, *want_dbias = weight.dbias;
        weight.dw = dw;
        weight.dbias = dbias;
        assert_ok(table->gemm_weight(&weight, NULL));
        assert_near(table, "dw", dw, want_dw, (size_t)n * k, 3e-6);
        if (bias)
                assert_near(table, "dbias", dbias, want_dbias, n, 3e-6);
        arrays_free(&arrays);
}

static void check(const struct scope_kernels *table)
{
        for (size_t i = 0; i < SHAPES; i++)
                for (unsigned flags = 0; flags < 4; flags++) {
                        check_forward(table, shapes[i], (flags & 1) != 0, (flags & 2) != 0);
                        check_backward(table, shapes[i], (flags & 1) != 0, (flags & 2) != 0);
                }
}

static void test_products_equal_the_reference(void **state)
{
        (void)state;
        for_each_table(check);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_products_equal_the_reference),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
