#include "tests/kernels/kernels_test.h"

#include "kernels/rmsnorm.h"

struct problem {
        const struct scope_kernels *table;
        struct scope_rmsnorm_args args;
        const float *dy;
};

static double value(void *context)
{
        struct problem *p = context;
        assert_ok(scope_kernels_at(0)->rmsnorm(&p->args, NULL));
        return inner(p->args.y, p->dy, (size_t)p->args.rows * p->args.width);
}

static void check_width(const struct scope_kernels *table, uint32_t width)
{
        enum { ROWS = 5 };
        const size_t count = (size_t)ROWS * width;
        struct arrays arrays = { .rng = scope_rng_make(width) };
        float *x = arrays_random(&arrays, count, 1.0), *weight = arrays_random(&arrays, width, 1.0);
        float *want = arrays_zeros(&arrays, count), *inverse = arrays_zeros(&arrays, ROWS);
        struct problem p = { .table = table,
                .dy = arrays_random(&arrays, count, 1.0),
                .args = { .x = x,
                        .weight = weight,
                        .y = want,
                        .inverse = inverse,
                        .rows = ROWS,
                        .width = width,
                        .eps = 0.1f } };
        (void)value(&p);
        struct scope_rmsnorm_args args = p.args;
        args.y = arrays_zeros(&arrays, count);
        args.inverse = arrays_zeros(&arrays, ROWS);
        assert_ok(table->rmsnorm(&args, NULL));
        assert_near(table, "y", args.y, want, count, 2e-6);
        assert_near(table, "inverse", args.inverse, inverse, ROWS, 2e-6);
        float *dx = arrays_zeros(&arrays, count), *dweight = arrays_zeros(&arrays, width);
        const struct scope_rmsnorm_backward_args backward = { .x = x,
                .weight = weight,
                .inverse = inverse,
                .dy = p.dy,
                .dx = dx,
                .dweight = dweight,
                .rows = ROWS,
                .width = width };
        assert_ok(table->rmsnorm_backward(&backward, NULL));
        assert_slope(table, "x", x, dx, count, value, &p);
        assert_slope(table, "weight", weight, dweight, width, value, &p);
        float *once = arrays_copy(&arrays, dx, count);
        assert_ok(table->rmsnorm_backward(&backward, NULL)); /* it adds */
        for (size_t i = 0; i < count; i++)
                assert_close(dx[i], 2.0 * once[i], 1e-5);
        arrays_free(&arrays);
}

static void check(const struct scope_kernels *table)
{
        const uint32_t widths[] = { 1, 6, 16, 32, 96, 101 };
        for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
                check_width(table, widths[i]);
}

static void test_norm_equals_the_reference_and_its_slope(void **state)
{
        (void)state;
        for_each_table(check);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_norm_equals_the_reference_and_its_slope),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
