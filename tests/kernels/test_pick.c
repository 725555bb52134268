#include "tests/kernels/kernels_test.h"

static void test_reference_comes_first_and_the_last_is_picked(void **state)
{
        (void)state;
        (void)unsetenv("SCOPE_CPU"); /* fails only for a bad name */
        size_t count = 0;
        assert_string_equal(scope_kernels_at(0)->name, "ref");
        while (scope_kernels_at(count) != NULL)
                count++;
        assert_true(count >= 2);
        assert_ptr_equal(scope_kernels_pick(SCOPE_DEVICE_CPU), scope_kernels_at(count - 1));
}

static void test_environment_overrules(void **state)
{
        (void)state;
        (void)setenv("SCOPE_CPU", "ref", 1);
        assert_string_equal(scope_kernels_pick(SCOPE_DEVICE_CPU)->name, "ref");
        (void)setenv("SCOPE_CPU", "generic", 1);
        assert_string_equal(scope_kernels_pick(SCOPE_DEVICE_CPU)->variant, "generic");
        (void)setenv("SCOPE_CPU", "abacus", 1);
        assert_null(scope_kernels_pick(SCOPE_DEVICE_CPU));
        (void)unsetenv("SCOPE_CPU");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_reference_comes_first_and_the_last_is_picked),
                cmocka_unit_test(test_environment_overrules),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
