#include "tests/kernels/kernels_test.h"

#include "kernels/swiglu.h"

struct problem {
        struct scope_swiglu_args args;
        const float *dout;
};

static double value(void *context)
{
        struct problem *p = context;
        assert_ok(scope_kernels_at(0)->swiglu(&p->args, NULL));
        return inner(p->args.out, p->dout, p->args.count);
}

static void check(const struct scope_kernels *table)
{
        enum { COUNT = 16 * 5 + 11 };
        struct arrays arrays = { .rng = scope_rng_make(5) };
        float *gate = arrays_random(&arrays, COUNT, 3.0), *up = arrays_random(&arrays, COUNT, 1.0);
        float *want = arrays_zeros(&arrays, COUNT), *got = arrays_zeros(&arrays, COUNT);
        struct problem p = { .args = { .gate = gate, .up = up, .out = want, .count = COUNT },
                .dout = arrays_random(&arrays, COUNT, 1.0) };
        gate[3] = 200.0f; /* sigmoid 1 and 0: no overflow */
        gate[4] = -200.0f;
        (void)value(&p);
        assert_ok(table->swiglu(
                &(struct scope_swiglu_args){ .gate = gate, .up = up, .out = got, .count = COUNT },
                NULL));
        assert_near(table, "out", got, want, COUNT, 1e-6);
        float *dgate = arrays_zeros(&arrays, COUNT), *dup = arrays_zeros(&arrays, COUNT);
        struct scope_swiglu_backward_args backward = {
                .gate = gate, .up = up, .dout = p.dout, .dgate = dgate, .dup = dup, .count = COUNT
        };
        assert_ok(table->swiglu_backward(&backward, NULL));
        gate[3] = gate[4] = up[3] = up[4] = dgate[3] = dgate[4] = dup[3] = dup[4] = 0.0f;
        (void)value(&p);
        assert_ok(table->swiglu_backward(&backward, NULL));
        assert_slope(table, "gate", gate, dgate, COUNT, value, &p);
        assert_slope(table, "up", up, dup, COUNT, value, &p);
        float *separate = arrays_copy(&arrays, dgate, COUNT);
        backward.dgate = gate; /* in place, as the contract allows */
        backward.dup = up;
        assert_ok(table->swiglu_backward(&backward, NULL));
        assert_memory_equal(gate, separate, COUNT * sizeof(float));
        arrays_free(&arrays);
}

static void test_swiglu_equals_the_reference_and_its_slope(void **state)
{
        (void)state;
        for_each_table(check);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_swiglu_equals_the_reference_and_its_slope),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
