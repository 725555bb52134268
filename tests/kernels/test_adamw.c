#include "tests/kernels/kernels_test.h"

#include "kernels/adamw.h"

static void check(const struct scope_kernels *table)
{
        enum { COUNT = 16 * 9 + 5, STEPS = 5 };
        struct arrays arrays = { .rng = scope_rng_make(5) };
        float *p = arrays_random(&arrays, COUNT, 1.0), *p_ref = arrays_copy(&arrays, p, COUNT);
        float *m = arrays_zeros(&arrays, COUNT), *m_ref = arrays_zeros(&arrays, COUNT);
        float *v = arrays_zeros(&arrays, COUNT), *v_ref = arrays_zeros(&arrays, COUNT);
        for (int step = 1; step <= STEPS; step++) {
                struct scope_adamw_args args = { .parameters = p,
                        .first = m,
                        .second = v,
                        .gradient = arrays_random(&arrays, COUNT, 1.0),
                        .count = COUNT,
                        .lr = 1e-2f,
                        .beta1 = 0.9f,
                        .beta2 = 0.98f,
                        .eps = 1e-8f,
                        .weight_decay = 0.1f,
                        .correction1 = (float)(1.0 - pow(0.9, step)),
                        .correction2 = (float)(1.0 - pow(0.98, step)),
                        .gradient_scale = 0.5f };
                assert_ok(table->adamw(&args, NULL));
                args.parameters = p_ref;
                args.first = m_ref;
                args.second = v_ref;
                assert_ok(scope_kernels_at(0)->adamw(&args, NULL));
        }
        assert_near(table, "parameters", p, p_ref, COUNT, 1e-6);
        assert_near(table, "first", m, m_ref, COUNT, 1e-6);
        assert_near(table, "second", v, v_ref, COUNT, 1e-6);
        double got, want;
        assert_ok(table->square_sum(&(struct scope_square_sum_args){ p, COUNT, &got }, NULL));
        assert_ok(scope_kernels_at(0)->square_sum(
                &(struct scope_square_sum_args){ p, COUNT, &want }, NULL));
        assert_close(got, want, 1e-9 * want);
        arrays_free(&arrays);
}

static void test_steps_and_norm_equal_the_reference(void **state)
{
        (void)state;
        for_each_table(check);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_steps_and_norm_equal_the_reference),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
