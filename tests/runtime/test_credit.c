#include "tests/test.h"

#include "base/rng.h"
#include "runtime/credit.h"

static void test_one_credit_an_owner_up_to_the_cap(void **state)
{
        (void)state;
        struct scope_credit credit;
        assert_ok(scope_credit_init(&credit, 2));
        assert_ok(scope_credit_take(&credit, 7));
        assert_int_equal(scope_credit_take(&credit, 7), SCOPE_ERR_EXISTS);
        assert_ok(scope_credit_take(&credit, 8));
        assert_int_equal(scope_credit_take(&credit, 9), SCOPE_ERR_AGAIN);
        assert_int_equal(scope_credit_give(&credit, 9), SCOPE_ERR_NOT_FOUND);
        assert_ok(scope_credit_give(&credit, 7));
        assert_int_equal(scope_credit_give(&credit, 7), SCOPE_ERR_NOT_FOUND);
        assert_int_equal(credit.held, 1);
        assert_ok(scope_credit_take(&credit, 9));
        scope_credit_fini(&credit);
}

static void test_a_lower_cap_takes_nothing_away(void **state)
{
        (void)state;
        struct scope_credit credit;
        assert_ok(scope_credit_init(&credit, 3));
        for (uint64_t owner = 0; owner < 3; owner++)
                assert_ok(scope_credit_take(&credit, owner));
        scope_credit_cap(&credit, 1);
        assert_ok(scope_credit_give(&credit, 0));
        assert_ok(scope_credit_give(&credit, 1));
        assert_int_equal(scope_credit_take(&credit, 5), SCOPE_ERR_AGAIN);
        scope_credit_cap(&credit, 100);
        for (uint64_t owner = 10; owner < 109; owner++)
                assert_ok(scope_credit_take(&credit, owner));
        assert_int_equal(scope_credit_take(&credit, 200), SCOPE_ERR_AGAIN);
        scope_credit_fini(&credit);
}

enum { KEYS = 200 };

static void test_key_map_agrees_with_an_array(void **state)
{
        (void)state;
        struct scope_key_map map;
        struct scope_rng rng = scope_rng_make(1);
        uint32_t model[KEYS] = { 0 };
        assert_ok(scope_key_map_init(&map, 4));
        for (int i = 0; i < 20000; i++) {
                uint64_t key = scope_rng_below(&rng, KEYS);
                if (scope_rng_below(&rng, 2) == 0) {
                        model[key] = 1 + (uint32_t)scope_rng_below(&rng, 1000);
                        assert_ok(scope_key_map_set(&map, key, model[key]));
                } else {
                        assert_int_equal(scope_key_map_remove(&map, key), model[key] != 0);
                        model[key] = 0;
                }
                key = scope_rng_below(&rng, KEYS);
                const uint32_t *found = scope_key_map_find(&map, key);
                assert_int_equal(found != NULL ? *found : 0, model[key]);
        }
        scope_key_map_fini(&map);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_one_credit_an_owner_up_to_the_cap),
                cmocka_unit_test(test_a_lower_cap_takes_nothing_away),
                cmocka_unit_test(test_key_map_agrees_with_an_array),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
