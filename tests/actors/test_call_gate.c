/* The gate alone: no HTTP, no messages, time is a number. */
#include "tests/test.h"

#include "actors/call_gate.h"

static const uint64_t SECOND = 1000000000u;

static struct scope_gate gate_of(uint32_t concurrency, uint32_t failures, uint64_t calls)
{
        struct scope_gate gate;
        scope_gate_init(&gate, &(struct scope_gate_options){ concurrency, failures, calls,
                                       10 * SECOND, SECOND, 30 * SECOND, 0 });
        return gate;
}

static enum scope_gate_change end_call(struct scope_gate *gate, uint64_t now_ns, uint64_t call,
        enum scope_call_end end, bool probe)
{
        return scope_gate_end(
                gate, &(struct scope_gate_end){ now_ns, call, SECOND / 10, -1, end, probe });
}

static void test_judge_sorts_statuses(void **state)
{
        (void)state;
        assert_int_equal(scope_call_judge(SCOPE_OK, 200), SCOPE_CALL_OK);
        assert_int_equal(scope_call_judge(SCOPE_ERR_NET, 200), SCOPE_CALL_NET);
        assert_int_equal(scope_call_judge(SCOPE_ERR_NET, 0), SCOPE_CALL_NET);
        assert_int_equal(scope_call_judge(SCOPE_ERR_DEADLINE, 0), SCOPE_CALL_TIMEOUT);
        assert_int_equal(scope_call_judge(SCOPE_ERR_DEADLINE, 200), SCOPE_CALL_TIMEOUT);
        assert_int_equal(scope_call_judge(SCOPE_ERR_TOO_BIG, 200), SCOPE_CALL_MALFORMED);
        assert_int_equal(scope_call_judge(SCOPE_ERR_ARGUMENT, 0), SCOPE_CALL_FATAL);
        assert_int_equal(scope_call_judge(SCOPE_OK, 302), SCOPE_CALL_REFUSED);
        assert_int_equal(scope_call_judge(SCOPE_OK, 400), SCOPE_CALL_REFUSED);
        assert_int_equal(scope_call_judge(SCOPE_OK, 429), SCOPE_CALL_BUSY);
        assert_int_equal(scope_call_judge(SCOPE_OK, 500), SCOPE_CALL_SERVER);
        assert_int_equal(scope_call_judge(SCOPE_OK, 503), SCOPE_CALL_OVERLOADED);
        static const int32_t fatal[] = { 401, 402, 403, 404, 422 };
        for (unsigned i = 0; i < 5; i++) {
                assert_int_equal(scope_call_judge(SCOPE_OK, fatal[i]), SCOPE_CALL_FATAL);
                assert_true(strlen(scope_call_advice(fatal[i])) > 10);
        }
}

static void test_window_never_exceeds_concurrency(void **state)
{
        (void)state;
        struct scope_gate gate = gate_of(3, 5, 0);
        for (unsigned i = 0; i < 3; i++) {
                assert_true(scope_gate_open(&gate, 0));
                (void)scope_gate_begin(&gate, 0, false);
        }
        assert_false(scope_gate_open(&gate, 0));
        for (uint64_t call = 1; call <= 3; call++)
                assert_int_equal(end_call(&gate, 1, call, SCOPE_CALL_OK, false), SCOPE_GATE_SAME);
        assert_close(gate.window, 3, 0);
}

static void test_busy_halves_once_a_round_and_success_grows_back(void **state)
{
        (void)state;
        struct scope_gate gate = gate_of(8, 5, 0);
        for (unsigned i = 0; i < 8; i++)
                (void)scope_gate_begin(&gate, 0, false);
        for (uint64_t call = 1; call <= 8; call++)
                (void)end_call(&gate, 1, call, SCOPE_CALL_BUSY, false);
        assert_close(gate.window, 4, 0); /* eight refusals of one round are one halving */
        assert_int_equal(gate.circuit, SCOPE_CIRCUIT_CLOSED); /* busy is not down */
        for (unsigned i = 0; i < 5; i++) {
                uint64_t call = scope_gate_begin(&gate, 0, false);
                (void)end_call(&gate, 2, call, SCOPE_CALL_OK, false);
        }
        assert_true(gate.window >= 5 && gate.window < 5.3);
        for (unsigned i = 0; i < 20; i++) {
                uint64_t call = scope_gate_begin(&gate, 0, false);
                (void)end_call(&gate, 3, call, SCOPE_CALL_BUSY, false);
        }
        assert_close(gate.window, 1, 0);
        assert_true(scope_gate_open(&gate, 4)); /* one call is always allowed */
}

static void test_retry_after_holds_and_is_clamped(void **state)
{
        (void)state;
        struct scope_gate gate = gate_of(8, 5, 0);
        uint64_t call = scope_gate_begin(&gate, 0, false);
        (void)scope_gate_end(&gate, &(struct scope_gate_end){ SECOND, call, 1,
                                            (int64_t)(3600 * SECOND), SCOPE_CALL_BUSY, false });
        assert_false(scope_gate_open(&gate, 30 * SECOND));
        assert_true(scope_gate_open(&gate, 31 * SECOND));
        for (uint64_t draw = 0; draw < 100; draw++) {
                uint64_t ns = scope_gate_rest_ns(
                        &gate, 1, (int64_t)(3600 * SECOND), draw * 0x9e3779b97f4a7c15u);
                assert_true(ns >= 30 * SECOND && ns < 31 * SECOND);
        }
}

static void test_rest_is_full_jitter_and_bounded(void **state)
{
        (void)state;
        struct scope_gate gate = gate_of(8, 5, 0);
        uint64_t low = UINT64_MAX, high = 0;
        for (uint64_t draw = 0; draw < 1000; draw++) {
                uint64_t ns = scope_gate_rest_ns(&gate, 3, -1, draw * 0x9e3779b97f4a7c15u);
                low = ns < low ? ns : low;
                high = ns > high ? ns : high;
                assert_true(scope_gate_rest_ns(&gate, 1000, -1, draw * 0x9e3779b97f4a7c15u) <
                            64 * SECOND);
        }
        assert_true(low < SECOND / 2 && high > 3 * SECOND && high < 4 * SECOND);
}

static void test_failures_in_a_row_open_and_a_probe_closes(void **state)
{
        (void)state;
        struct scope_gate gate = gate_of(8, 3, 0);
        (void)end_call(&gate, 1, scope_gate_begin(&gate, 0, false), SCOPE_CALL_NET, false);
        (void)end_call(&gate, 1, scope_gate_begin(&gate, 0, false), SCOPE_CALL_OK, false);
        (void)end_call(&gate, 1, scope_gate_begin(&gate, 0, false), SCOPE_CALL_NET, false);
        (void)end_call(&gate, 1, scope_gate_begin(&gate, 0, false), SCOPE_CALL_SERVER, false);
        assert_int_equal(gate.circuit, SCOPE_CIRCUIT_CLOSED); /* the success began a new row */
        assert_int_equal(
                end_call(&gate, 1, scope_gate_begin(&gate, 0, false), SCOPE_CALL_TIMEOUT, false),
                SCOPE_GATE_OPENED);
        assert_false(scope_gate_open(&gate, 5 * SECOND));
        assert_false(scope_gate_probe_due(&gate, 5 * SECOND));
        assert_true(scope_gate_probe_due(&gate, 11 * SECOND));
        uint64_t call = scope_gate_begin(&gate, 0, true);
        assert_false(scope_gate_probe_due(&gate, 12 * SECOND)); /* one probe at a time */
        assert_int_equal(
                end_call(&gate, 12 * SECOND, call, SCOPE_CALL_NET, true), SCOPE_GATE_OPENED);
        assert_false(scope_gate_probe_due(&gate, 21 * SECOND));
        assert_true(scope_gate_probe_due(&gate, 22 * SECOND));
        call = scope_gate_begin(&gate, 0, true);
        assert_int_equal(
                end_call(&gate, 23 * SECOND, call, SCOPE_CALL_OK, true), SCOPE_GATE_CLOSED);
        assert_true(scope_gate_open(&gate, 23 * SECOND));
}

static void test_fatal_opens_at_once(void **state)
{
        (void)state;
        struct scope_gate gate = gate_of(8, 0, 0);
        assert_int_equal(
                end_call(&gate, 1, scope_gate_begin(&gate, 0, false), SCOPE_CALL_SERVER, false),
                SCOPE_GATE_SAME);
        uint64_t first = scope_gate_begin(&gate, 0, false);
        uint64_t second = scope_gate_begin(&gate, 0, false);
        assert_int_equal(end_call(&gate, 1, first, SCOPE_CALL_FATAL, false), SCOPE_GATE_OPENED);
        assert_int_equal(end_call(&gate, 1, second, SCOPE_CALL_FATAL, false), SCOPE_GATE_SAME);
}

static void test_budget_is_never_passed(void **state)
{
        (void)state;
        struct scope_gate gate = gate_of(8, 3, 2);
        (void)scope_gate_begin(&gate, 0, false);
        assert_true(scope_gate_open(&gate, 0));
        (void)scope_gate_begin(&gate, 0, false);
        assert_false(scope_gate_open(&gate, 0));
        assert_true(scope_gate_spent(&gate));
}

static void test_latency_quantiles_are_within_a_bucket(void **state)
{
        (void)state;
        struct scope_latency latency = { .total = 0 };
        assert_close(scope_latency_quantile(&latency, 0.5), 0, 0);
        for (uint64_t i = 1; i <= 100; i++)
                scope_latency_add(&latency, i * SECOND / 100);
        assert_close(scope_latency_quantile(&latency, 0.5), 0.5, 0.08);
        assert_close(scope_latency_quantile(&latency, 0.95), 0.95, 0.15);
        scope_latency_add(&latency, UINT64_MAX);
        scope_latency_add(&latency, 0);
        assert_true(scope_latency_quantile(&latency, 1) > 1e9);
}

static void test_a_rate_keeps_calls_apart_and_forgives_lateness(void **state)
{
        (void)state;
        struct scope_gate gate;
        scope_gate_init(&gate,
                &(struct scope_gate_options){ .concurrency = 100, .apart_ns = SECOND / 2 });
        (void)scope_gate_begin(&gate, 10 * SECOND, false);
        assert_false(scope_gate_open(&gate, 10 * SECOND));
        assert_int_equal(scope_gate_held_ns(&gate), 10 * SECOND + SECOND / 2);
        /* a timer that is late does not make it slower */
        (void)scope_gate_begin(&gate, 10 * SECOND + SECOND / 2 + 1000, false);
        assert_int_equal(scope_gate_held_ns(&gate), 11 * SECOND);
        /* nothing is saved up either */
        (void)scope_gate_begin(&gate, 60 * SECOND, false);
        assert_false(scope_gate_open(&gate, 60 * SECOND));
        assert_true(scope_gate_open(&gate, 60 * SECOND + SECOND / 2));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_judge_sorts_statuses),
                cmocka_unit_test(test_window_never_exceeds_concurrency),
                cmocka_unit_test(test_busy_halves_once_a_round_and_success_grows_back),
                cmocka_unit_test(test_retry_after_holds_and_is_clamped),
                cmocka_unit_test(test_rest_is_full_jitter_and_bounded),
                cmocka_unit_test(test_failures_in_a_row_open_and_a_probe_closes),
                cmocka_unit_test(test_fatal_opens_at_once),
                cmocka_unit_test(test_budget_is_never_passed),
                cmocka_unit_test(test_latency_quantiles_are_within_a_bucket),
                cmocka_unit_test(test_a_rate_keeps_calls_apart_and_forgives_lateness),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
