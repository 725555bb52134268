#include "tests/test.h"

#include "base/rng.h"
#include "runtime/ledger.h"

static void test_a_slot_is_set_once_and_the_first_value_wins(void **state)
{
        (void)state;
        struct scope_ledger *ledger = NULL;
        uint64_t value = 0;
        assert_ok(scope_ledger_create(4, 70, &ledger));
        assert_ok(scope_ledger_admit(ledger, 10));
        assert_int_equal(scope_ledger_get(ledger, 10, 69, &value), SCOPE_ERR_NOT_FOUND);
        assert_ok(scope_ledger_set(ledger, 10, 69, 5, NULL));
        assert_int_equal(scope_ledger_set(ledger, 10, 69, 6, &value), SCOPE_ERR_EXISTS);
        assert_int_equal(value, 5);
        assert_ok(scope_ledger_get(ledger, 10, 69, &value));
        assert_int_equal(value, 5);
        assert_int_equal(scope_ledger_set(ledger, 10, 70, 1, NULL), SCOPE_ERR_ARGUMENT);
        assert_int_equal(scope_ledger_set(ledger, 11, 0, 1, NULL), SCOPE_ERR_NOT_FOUND);
        scope_ledger_destroy(ledger);
}

static void test_a_key_ends_once_and_never_lives_again(void **state)
{
        (void)state;
        struct scope_ledger *ledger = NULL;
        assert_ok(scope_ledger_create(2, 1, &ledger));
        assert_int_equal(scope_ledger_end(ledger, 1, 0, 0), SCOPE_ERR_NOT_FOUND);
        assert_ok(scope_ledger_admit(ledger, 1));
        assert_int_equal(scope_ledger_admit(ledger, 1), SCOPE_ERR_EXISTS);
        assert_int_equal(scope_ledger_end(ledger, 1, SCOPE_LEDGER_OUTCOMES_MAX, 0),
                SCOPE_ERR_ARGUMENT);
        assert_ok(scope_ledger_end(ledger, 1, 3, 0));
        assert_int_equal(scope_ledger_end(ledger, 1, 3, 0), SCOPE_ERR_EXISTS);
        assert_int_equal(scope_ledger_admit(ledger, 1), SCOPE_ERR_EXISTS);
        assert_int_equal(scope_ledger_set(ledger, 1, 0, 0, NULL), SCOPE_ERR_NOT_FOUND);
        assert_ok(scope_ledger_admit(ledger, 5));
        assert_int_equal(scope_ledger_admit(ledger, 3), SCOPE_ERR_ARGUMENT);
        assert_ok(scope_ledger_admit(ledger, 6));
        assert_int_equal(scope_ledger_admit(ledger, 7), SCOPE_ERR_LIMIT);
        scope_ledger_destroy(ledger);
}

static void test_live_keys_are_listed_in_order_also_while_they_end(void **state)
{
        (void)state;
        struct scope_ledger *ledger = NULL;
        assert_ok(scope_ledger_create(8, 1, &ledger));
        for (uint64_t key = 1; key <= 8; key++)
                assert_ok(scope_ledger_admit(ledger, key));
        assert_ok(scope_ledger_end(ledger, 1, 0, 0));
        assert_ok(scope_ledger_end(ledger, 5, 0, 0));
        uint32_t cursor = 0;
        uint64_t key = 0, expected[] = { 2, 3, 4, 6, 7, 8 };
        unsigned seen = 0;
        while (scope_ledger_next_live(ledger, &cursor, &key)) {
                assert_int_equal(key, expected[seen++]);
                assert_ok(scope_ledger_end(ledger, key, 1, 0));
        }
        assert_int_equal(seen, 6);
        assert_int_equal(scope_ledger_counts(ledger).live, 0);
        scope_ledger_destroy(ledger);
}

enum { KEYS = 2000, LIVE = 32, SLOTS = 4 };

/* Against the plainest model there is: arrays over all keys. */
static void test_random_operations_agree_with_a_model(void **state)
{
        (void)state;
        static uint8_t status[KEYS + 1]; /* 0 never, 1 live, 2 ended */
        static uint64_t values[KEYS + 1][SLOTS];
        struct scope_ledger *ledger = NULL;
        struct scope_rng rng = scope_rng_make(3);
        assert_ok(scope_ledger_create(LIVE, SLOTS, &ledger));
        uint64_t last = 0, admitted = 0, ended = 0;
        while (last + 4 < KEYS) {
                uint64_t key = last > 40 ? last - scope_rng_below(&rng, 40) : last;
                uint32_t slot = (uint32_t)scope_rng_below(&rng, SLOTS);
                uint64_t value = scope_rng_next(&rng) | 1;
                switch (scope_rng_below(&rng, 3)) {
                case 0:
                        key = last + 1 + scope_rng_below(&rng, 3);
                        if (admitted - ended == LIVE) {
                                assert_int_equal(scope_ledger_admit(ledger, key), SCOPE_ERR_LIMIT);
                                break;
                        }
                        assert_ok(scope_ledger_admit(ledger, key));
                        status[key] = 1;
                        last = key;
                        admitted++;
                        break;
                case 1:
                        assert_int_equal(scope_ledger_set(ledger, key, slot, value, NULL),
                                status[key] != 1           ? SCOPE_ERR_NOT_FOUND
                                : values[key][slot] != 0 ? SCOPE_ERR_EXISTS
                                                         : SCOPE_OK);
                        if (status[key] == 1 && values[key][slot] == 0)
                                values[key][slot] = value;
                        break;
                default:
                        assert_int_equal(scope_ledger_end(ledger, key, slot, 0),
                                status[key] == 0   ? SCOPE_ERR_NOT_FOUND
                                : status[key] == 1 ? SCOPE_OK
                                                   : SCOPE_ERR_EXISTS);
                        ended += status[key] == 1;
                        status[key] = status[key] == 1 ? 2 : status[key];
                }
                struct scope_ledger_counts counts = scope_ledger_counts(ledger);
                assert_int_equal(counts.admitted, admitted);
                assert_int_equal(counts.live, admitted - ended);
                assert_int_equal(scope_ledger_live(ledger, key), status[key] == 1);
        }
        for (uint64_t key = 1; key <= last; key++)
                for (uint32_t slot = 0; slot < SLOTS && status[key] == 1; slot++) {
                        uint64_t value = 0;
                        (void)scope_ledger_get(ledger, key, slot, &value); /* 0 when not set */
                        assert_int_equal(value, values[key][slot]);
                }
        scope_ledger_destroy(ledger);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_slot_is_set_once_and_the_first_value_wins),
                cmocka_unit_test(test_a_key_ends_once_and_never_lives_again),
                cmocka_unit_test(test_live_keys_are_listed_in_order_also_while_they_end),
                cmocka_unit_test(test_random_operations_agree_with_a_model),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
