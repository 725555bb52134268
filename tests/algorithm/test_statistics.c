/* The window of lengths, its moments and its saved form. */
#include "tests/test.h"

#include "algorithm/statistics.h"
#include "base/arena.h"
#include "tests/algorithm/defaults.h"

static const uint32_t steps[] = { 6, 5, 8, 4, 7, 20, 6, 3 };
static const uint32_t tokens[] = { 300, 260, 420, 180, 350, 1900, 310, 140 };
static const struct scope_length_members eight = { steps, tokens, 8 };

static void test_moments_are_exact(void **state)
{
        (void)state;
        struct scope_length_moments moments = scope_length_moments(eight);
        assert_true(moments.step_mean == 7.375 && moments.token_mean == 482.5);
        assert_true(moments.step_variance == 24.984375);
        assert_true(moments.token_variance == 294018.75);
        assert_int_equal(moments.count, 8);
        moments = scope_length_moments((struct scope_length_members){ NULL, NULL, 0 });
        assert_true(moments.step_variance == 0 && moments.step_mean == 0);
}

static void test_moments_do_not_overflow(void **state)
{
        (void)state;
        const uint32_t large[] = { UINT32_MAX, UINT32_MAX, 0 };
        struct scope_length_moments moments =
                scope_length_moments((struct scope_length_members){ large, large, 3 });
        double mean = 2.0 * UINT32_MAX / 3;
        assert_close(moments.step_mean / mean, 1, 1e-15);
        assert_close(moments.step_variance / (mean * mean / 2), 1, 1e-14);
}

static void window_make(struct scope_length_window *window, struct scope_arena *arena,
        uint32_t capacity)
{
        assert_ok(scope_arena_init(arena, 1 << 16));
        assert_ok(scope_length_window_init(window, arena, capacity));
}

static void test_window_keeps_the_last(void **state)
{
        (void)state;
        struct scope_arena arena;
        struct scope_length_window window;
        window_make(&window, &arena, 3);
        assert_int_equal(scope_length_window_init(&window, &arena, 0), SCOPE_ERR_ARGUMENT);
        for (uint32_t i = 1; i <= 5; i++)
                scope_length_window_push(&window, i, 10 * i);
        struct scope_length_members members = { window.steps, window.tokens, window.count };
        assert_true(scope_length_moments(members).step_mean == 4);
        assert_true(scope_length_moments(members).token_mean == 40);
        scope_length_window_clear(&window);
        assert_int_equal(window.count, 0);
        scope_arena_fini(&arena);
}

static void test_saved_window_goes_on_as_the_unbroken_one(void **state)
{
        (void)state;
        struct scope_arena arena, arena_two;
        struct scope_length_window window, other;
        uint8_t bytes[256], again[256];
        window_make(&window, &arena, 5);
        window_make(&other, &arena_two, 5);
        for (uint32_t i = 0; i < 8; i++)
                scope_length_window_push(&window, steps[i], tokens[i]);
        size_t count = scope_length_window_bytes(5);
        scope_length_window_save(&window, bytes);
        assert_ok(scope_length_window_load(&other, bytes, count));
        for (uint32_t i = 0; i < 3; i++) {
                scope_length_window_push(&window, i, i);
                scope_length_window_push(&other, i, i);
        }
        scope_length_window_save(&window, bytes);
        scope_length_window_save(&other, again);
        assert_memory_equal(bytes, again, count);
        scope_arena_fini(&arena);
        scope_arena_fini(&arena_two);
}

static void test_window_of_another_size_takes_the_newest(void **state)
{
        (void)state;
        struct scope_arena arena, arena_two;
        struct scope_length_window window, small;
        uint8_t bytes[256];
        window_make(&window, &arena, 5);
        window_make(&small, &arena_two, 2);
        for (uint32_t i = 1; i <= 7; i++)
                scope_length_window_push(&window, i, i);
        scope_length_window_save(&window, bytes);
        assert_ok(scope_length_window_load(&small, bytes, scope_length_window_bytes(5)));
        assert_int_equal(small.steps[0] + small.steps[1], 13);
        scope_arena_fini(&arena);
        scope_arena_fini(&arena_two);
}

static void test_damaged_window_changes_nothing(void **state)
{
        (void)state;
        struct scope_arena arena;
        struct scope_length_window window;
        uint8_t bytes[256];
        window_make(&window, &arena, 3);
        scope_length_window_push(&window, 9, 9);
        scope_length_window_save(&window, bytes);
        size_t count = scope_length_window_bytes(3);
        assert_int_equal(scope_length_window_load(&window, bytes, count - 1), SCOPE_ERR_FORMAT);
        assert_int_equal(scope_length_window_load(&window, bytes, 3), SCOPE_ERR_FORMAT);
        bytes[4] = 4; /* more members than capacity */
        assert_int_equal(scope_length_window_load(&window, bytes, count), SCOPE_ERR_FORMAT);
        assert_int_equal(window.count, 1);
        scope_arena_fini(&arena);
}

static void test_members_follow_the_scope(void **state)
{
        (void)state;
        struct scope_arena arena;
        struct scope_length_window window;
        SCOPE_DEFAULTS(statistics, options);
        assert_int_equal(options.stats_scope, SCOPE_STATS_WINDOW);
        assert_int_equal(options.stats_window, 0);
        window_make(&window, &arena, 100);
        for (uint32_t i = 0; i < SCOPE_STATS_WARM_COUNT - 1; i++)
                scope_length_window_push(&window, 1, 1);
        assert_int_equal(scope_statistics_members(&options, &window, eight).count, 8);
        options.stats_scope = SCOPE_STATS_BATCH; /* complete by definition */
        assert_int_equal(scope_statistics_members(&options, &window, eight).count, 63);
        options.stats_scope = SCOPE_STATS_WINDOW;
        scope_length_window_push(&window, 1, 1);
        assert_int_equal(scope_statistics_members(&options, &window, eight).count, 64);
        options.stats_scope = SCOPE_STATS_GROUP;
        assert_int_equal(scope_statistics_members(&options, &window, eight).count, 8);
        scope_arena_fini(&arena);
}

static void test_capacity_is_the_batch_or_what_is_set(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(statistics, options);
        assert_int_equal(scope_statistics_capacity(&options, 1024), 1024);
        options.stats_window = 256;
        assert_int_equal(scope_statistics_capacity(&options, 1024), 256);
        options.stats_scope = SCOPE_STATS_BATCH;
        assert_int_equal(scope_statistics_capacity(&options, 1024), 1024);
}

static void test_filter_takes_all_or_failed(void **state)
{
        (void)state;
        const bool failed[8] = { false, true, true };
        uint32_t k[8], t[8];
        SCOPE_DEFAULTS(statistics, options);
        assert_int_equal(scope_statistics_filter(&options, steps, tokens, failed, 8, k, t), 8);
        options.stats_members = SCOPE_STATS_FAILED;
        assert_int_equal(scope_statistics_filter(&options, steps, tokens, failed, 8, k, t), 2);
        assert_int_equal(k[0], 5);
        assert_int_equal(t[1], 420);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_moments_are_exact),
                cmocka_unit_test(test_moments_do_not_overflow),
                cmocka_unit_test(test_window_keeps_the_last),
                cmocka_unit_test(test_saved_window_goes_on_as_the_unbroken_one),
                cmocka_unit_test(test_window_of_another_size_takes_the_newest),
                cmocka_unit_test(test_damaged_window_changes_nothing),
                cmocka_unit_test(test_members_follow_the_scope),
                cmocka_unit_test(test_capacity_is_the_batch_or_what_is_set),
                cmocka_unit_test(test_filter_takes_all_or_failed),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
