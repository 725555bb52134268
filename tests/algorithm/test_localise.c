/* Verified prefix and cap. */
#include "tests/test.h"

#include <math.h>

#include "algorithm/localise.h"
#include "algorithm/steps.h"
#include "tests/algorithm/defaults.h"

static void test_verified_stops_at_the_first_drop(void **state)
{
        (void)state;
        const float p[] = { 0.9f, 0.5f, 0.2f, 0.99f };
        assert_int_equal(scope_localise_verified(p, 4, 0.5), 2);
        assert_int_equal(scope_localise_verified(p, 2, 0.5), 2);
        assert_int_equal(scope_localise_verified(p, 4, 0.95), 0);
        assert_int_equal(scope_localise_verified(p, 0, 0.5), 0);
        const float edge[] = { 0.7f, NAN };
        assert_int_equal(scope_localise_verified(edge, 2, 0.7), 1);
}

struct fixture {
        uint32_t ends[8], token_ends[8];
        struct scope_score_item item;
};

/* One token a byte. */
static void fixture_make(struct fixture *fixture, const char *text)
{
        uint32_t bytes[128];
        for (int i = 0; i < 128; i++)
                bytes[i] = 1;
        fixture->item = (struct scope_score_item){
                .text = string_from(text), .step_ends = fixture->ends,
                .step_token_ends = fixture->token_ends, .token_count = (uint32_t)strlen(text)
        };
        fixture->item.step_count = scope_steps_split(fixture->item.text, fixture->ends, 8);
        assert_ok(scope_steps_token_ends(fixture->ends, fixture->item.step_count, bytes,
                fixture->item.token_count, fixture->token_ends));
}

static void test_located_error_keeps_the_steps_before_it(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(localise, options);
        struct fixture fixture;
        fixture_make(&fixture, "a\n\nb\n\nc\n\n\\boxed{1}");
        struct scope_prefix prefix = scope_localise_prefix(&options, &fixture.item, 2);
        assert_true(prefix.located);
        assert_int_equal(prefix.steps, 2);
        assert_int_equal(prefix.bytes, 6);
        assert_int_equal(prefix.tokens, 6);
        prefix = scope_localise_prefix(&options, &fixture.item, 0);
        assert_int_equal(prefix.steps + prefix.bytes + prefix.tokens, 0);
}

static void test_cap_drops_the_last_step_and_any_box(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(localise, options);
        struct fixture fixture;
        fixture_make(&fixture, "a\n\n\\boxed{2}\n\nb\n\nc");
        struct scope_prefix prefix = scope_localise_prefix(&options, &fixture.item, 4);
        assert_false(prefix.located);
        assert_int_equal(prefix.steps, 1);
        options.prefix_cap = SCOPE_PREFIX_CAP_LAST;
        assert_int_equal(scope_localise_prefix(&options, &fixture.item, 4).steps, 3);
        assert_int_equal(scope_localise_prefix(&options, &fixture.item, 3).steps, 3);
        options.prefix_cap = SCOPE_PREFIX_CAP_NONE;
        assert_int_equal(scope_localise_prefix(&options, &fixture.item, 4).steps, 4);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_verified_stops_at_the_first_drop),
                cmocka_unit_test(test_located_error_keeps_the_steps_before_it),
                cmocka_unit_test(test_cap_drops_the_last_step_and_any_box),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
