/* The vector exp against the C library's in double (this program's own vector width). */
#include "tests/test.h"

#include <math.h>

#include "kernels/simd.h"

static void test_exp_is_good_to_two_ulp(void **state)
{
        (void)state;
        double worst = 0.0;
        for (float x = -87.0f; x <= 88.0f; x += 0.00137f) {
                float got = simd_exp(simd_set(x))[SIMD_WIDTH - 1];
                double want = exp((double)x);
                float rounded = (float)want;
                double ulp = (double)nextafterf(rounded, INFINITY) - rounded;
                worst = fmax(worst, fabs(got - want) / ulp);
        }
        assert_close(worst, 0.0, 2.0);
}

static void test_exp_of_extremes(void **state)
{
        (void)state;
        assert_true(simd_exp(simd_set(0.0f))[0] == 1.0f);
        assert_true(simd_exp(simd_set(-INFINITY))[0] == 0.0f);
        assert_true(simd_exp(simd_set(-1e30f))[0] == 0.0f);
        assert_true(isfinite(simd_exp(simd_set(1e30f))[0]));
}

static void test_parts_leave_their_surroundings_alone(void **state)
{
        (void)state;
        float from[SIMD_WIDTH], to[SIMD_WIDTH + 1] = { 0 };
        for (int i = 0; i < SIMD_WIDTH; i++)
                from[i] = (float)(i + 1);
        simd_store_part(to, SIMD_WIDTH - 1, simd_load_part(from, 2, -3.0f));
        assert_true(to[0] == 1.0f && to[1] == 2.0f && to[2] == -3.0f);
        assert_true(to[SIMD_WIDTH - 1] == 0.0f);
        assert_true(simd_sum(simd_load(from)) == SIMD_WIDTH * (SIMD_WIDTH + 1) / 2.0f);
        assert_true(simd_largest(simd_load(from)) == (float)SIMD_WIDTH);
        assert_true(simd_min(simd_set(2.0f), simd_set(-2.0f))[0] == -2.0f);
        assert_true(simd_keep_below(simd_set(1.0f), 5, 6)[1] == 0.0f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_exp_is_good_to_two_ulp),
                cmocka_unit_test(test_exp_of_extremes),
                cmocka_unit_test(test_parts_leave_their_surroundings_alone),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
