#include "tests/runtime/fixture.h"

#include "runtime/system.h"

struct log {
        unsigned waits;
        char first[256];
};

static void take_notice(void *context, const struct scope_notice *notice)
{
        struct log *log = context;
        if (strcmp(notice->name, "wait") == 0 && log->waits++ == 0)
                (void)snprintf(log->first, sizeof log->first, "%s", notice->text);
}

static void ask(struct scope_actor *self, struct script *script, struct scope_message *message)
{
        struct scope_text text = { 0 };
        if (message->kind == SCOPE_KIND_START) {
                struct scope_message *request = fixture_message(self, KIND_A);
                assert_ok(scope_request(self, script->peer, &request, 30ull * SECOND, "scores",
                        NULL));
                assert_ok(scope_timer_start(self, 0, 5ull * SECOND, NULL));
        } else if (message->kind == SCOPE_KIND_TIMER) {
                assert_int_equal(scope_system_waits(script->system, 6ull * SECOND, &text), 0);
                assert_int_equal(scope_system_waits(script->system, 0, &text), 1);
                assert_string_equal(text.bytes, "asker waits for slow: scores since 5.0 s\n");
        } else {
                assert_int_equal(message->err, SCOPE_ERR_DEADLINE);
                assert_int_equal(scope_system_waits(script->system, 0, &text), 0);
                stop(script);
        }
        scope_text_fini(&text);
        scope_message_free(message);
}

static void keep(struct scope_actor *self, struct script *script, struct scope_message *message)
{
        (void)self;
        if (message->kind == KIND_A)
                script->held = message;
        else
                scope_message_free(message);
}

static void test_a_wait_that_lasts_is_reported_once_by_name(void **state)
{
        (void)state;
        struct log log = { 0 };
        struct scope_system *system = NULL;
        struct script asker = { .receive = ask }, slow = { .receive = keep };
        struct scope_system_options options = fixture_options();
        struct scope_sim_options sim = fixture_sim();
        options.notice = take_notice;
        options.notice_context = &log;
        assert_ok(scope_simulation_create(&options, &sim, &system));
        fixture_add(system, "asker", &asker, NULL, true);
        fixture_add(system, "slow", &slow, NULL, true);
        asker.peer = slow.self;
        assert_ok(fixture_run(system));
        assert_int_equal(log.waits, 1);
        assert_string_equal(log.first, "asker waits for slow: scores since 10.0 s");
        scope_system_destroy(system);
}

static void be_traced(struct scope_actor *self, struct script *script,
        struct scope_message *message)
{
        struct scope_job job = { .cost_only = true, .cost_ns = 3 * MS, .what = "decode" };
        if (message->kind == SCOPE_KIND_START) {
                struct scope_message *traced = fixture_message(self, KIND_A);
                traced->trace = 42;
                assert_ok(scope_send(self, scope_self(self), &traced));
                scope_idle_cause(self, "teacher");
        } else if (message->kind == KIND_A) {
                assert_ok(scope_compute(self, &job, 0));
        } else {
                assert_int_equal(message->trace, 42);
                stop(script);
        }
        scope_message_free(message);
}

static void test_usage_says_who_did_what(void **state)
{
        (void)state;
        struct scope_system *system = NULL;
        struct script actor = { .receive = be_traced };
        struct scope_system_options options = fixture_options();
        struct scope_sim_options sim = fixture_sim();
        assert_ok(scope_simulation_create(&options, &sim, &system));
        fixture_add(system, "worker", &actor, NULL, true);
        assert_ok(fixture_run(system));
        struct scope_actor_usage usage;
        assert_true(scope_system_usage(system, 0, &usage));
        assert_int_equal(usage.messages, 3);
        assert_true(usage.busy_ns > 0 && usage.alive_ns >= 3 * MS);
        assert_string_equal(usage.idle[1].cause, "teacher");
        assert_true(usage.idle[1].ns >= 2 * MS);
        assert_false(scope_system_usage(system, 1, &usage));
        scope_system_destroy(system);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_wait_that_lasts_is_reported_once_by_name),
                cmocka_unit_test(test_usage_says_who_did_what),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
