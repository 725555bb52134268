#include "tests/runtime/fixture.h"

struct notices {
        unsigned restarts, downs;
        char last[512];
};

static void take_notice(void *context, const struct scope_notice *notice)
{
        struct notices *notices = context;
        notices->restarts += strcmp(notice->name, "restart") == 0;
        notices->downs += strcmp(notice->name, "down") == 0;
        (void)snprintf(notices->last, sizeof notices->last, "%s", notice->text);
}

static struct scope_system *pair(struct script *left, struct script *right, bool essential,
        struct notices *notices)
{
        struct scope_system *system = NULL;
        struct scope_system_options options = fixture_options();
        struct scope_sim_options sim = fixture_sim();
        options.notice = take_notice;
        options.notice_context = notices;
        assert_ok(scope_simulation_create(&options, &sim, &system));
        fixture_add(system, "left", left, NULL, true);
        fixture_add(system, "right", right, NULL, essential);
        left->peer = right->self;
        left->peer.incarnation = 0;
        right->peer = left->self;
        return system;
}

/* --- restart ---------------------------------------------------------------------------------- */

static void fail_at_start(struct scope_actor *self, struct script *script,
        struct scope_message *message)
{
        if (message->kind == SCOPE_KIND_START) {
                char why[32];
                (void)snprintf(why, sizeof why, "attempt %u", script->starts);
                scope_fail(self, SCOPE_ERR_IO, why);
                scope_fail(self, SCOPE_ERR_NET, "second thought");
        }
        scope_message_free(message);
}

static void just_free(struct scope_actor *self, struct script *script,
        struct scope_message *message)
{
        (void)self;
        (void)script;
        scope_message_free(message);
}

static void test_restarts_are_limited_and_the_first_cause_is_kept(void **state)
{
        (void)state;
        struct notices notices = { 0 };
        struct script left = { .receive = just_free }, right = { .receive = fail_at_start };
        struct scope_system *system = pair(&left, &right, true, &notices);
        assert_int_equal(fixture_run(system), SCOPE_ERR_IO);
        assert_int_equal(right.starts, 4);
        assert_int_equal(right.finis, 4);
        assert_int_equal(notices.restarts, 3);
        assert_int_equal(notices.downs, 1);
        assert_non_null(strstr(scope_system_cause(system), "right: attempt 4"));
        assert_non_null(strstr(scope_system_cause(system), "first: attempt 1"));
        struct scope_actor_usage usage;
        assert_true(scope_system_usage(system, 1, &usage));
        assert_int_equal(usage.restarts, 3);
        scope_system_destroy(system);
        assert_int_equal(right.finis, 4);
}

/* --- a job outlives its actor ----------------------------------------------------------------- */

/* What it borrows is still there: neither fini nor another life came before its end. */
static enum scope_err look_around(void *arg, unsigned rank, unsigned size)
{
        struct script *script = arg;
        (void)rank;
        (void)size;
        assert_int_equal(script->starts, 1);
        assert_int_equal(script->finis, 0);
        script->number++;
        return SCOPE_OK;
}

static void die_at_work(struct scope_actor *self, struct script *script,
        struct scope_message *message)
{
        struct scope_job job = { .run = look_around, .arg = script, .cost_ns = 2ull * SECOND,
                .what = "outlive" };
        if (message->kind == SCOPE_KIND_START && script->starts == 1) {
                assert_ok(scope_compute(self, &job, 0));
                scope_fail(self, SCOPE_ERR_IO, "with a job on its way");
        } else if (message->kind == SCOPE_KIND_START) {
                script->context = script; /* the next life */
                stop(script);
        }
        assert_int_not_equal(message->kind, SCOPE_KIND_COMPUTE_DONE);
        scope_message_free(message);
}

static void test_the_next_life_waits_for_the_jobs_of_the_last(void **state)
{
        (void)state;
        struct notices notices = { 0 };
        struct script left = { .receive = just_free }, right = { .receive = die_at_work };
        struct scope_system *system = pair(&left, &right, true, &notices);
        struct scope_sim_result result;
        assert_ok(fixture_run(system));
        scope_simulation_result(system, &result);
        assert_int_equal(right.number, 1);
        assert_int_equal(right.starts, 2);
        assert_non_null(right.context);
        assert_true(result.virtual_ns >= 2ull * SECOND);
        scope_system_destroy(system);
        assert_int_equal(right.finis, 2);
}

static void stop_soon(struct scope_actor *self, struct script *script,
        struct scope_message *message)
{
        if (message->kind == SCOPE_KIND_START)
                assert_ok(scope_timer_start(self, 0, SECOND, NULL));
        if (message->kind == SCOPE_KIND_TIMER)
                stop(script);
        scope_message_free(message);
}

static void test_an_actor_that_is_not_essential_stays_down_alone(void **state)
{
        (void)state;
        struct notices notices = { 0 };
        struct script left = { .receive = stop_soon }, right = { .receive = fail_at_start };
        struct scope_system *system = pair(&left, &right, false, &notices);
        assert_ok(fixture_run(system));
        assert_int_equal(notices.downs, 1);
        scope_system_destroy(system);
}

/* --- what dies with an incarnation ------------------------------------------------------------ */

static enum scope_err never(void *arg, unsigned rank, unsigned size)
{
        (void)rank;
        (void)size;
        ++*(unsigned *)arg;
        return SCOPE_OK;
}

static void ask_all_then_fail(struct scope_actor *self, struct script *script,
        struct scope_message *message)
{
        static unsigned ran;
        struct scope_job job = { .run = never, .arg = &ran, .cost_ns = 20 * MS, .what = "job" };
        if (message->kind != SCOPE_KIND_START) {
                script->count[0] += message->kind != KIND_C; /* nothing of before may come */
        } else if (script->starts == 1) {
                struct scope_message *ask = fixture_message(self, KIND_A);
                assert_ok(scope_timer_start(self, 1, 5 * MS, NULL));
                assert_ok(scope_compute(self, &job, 2));
                assert_ok(scope_file_append(self, "f", "x", 1, 3));
                assert_ok(scope_request(self, script->peer, &ask, 50 * MS, "answer", NULL));
                assert_ok(scope_timer_start(self, 1, MS / 2, NULL));
                scope_fail(self, SCOPE_ERR_INTERNAL, "on purpose");
        } else {
                assert_ok(scope_timer_start(self, 4, 100 * MS, NULL));
                script->count[1]++;
        }
        if (message->kind == SCOPE_KIND_TIMER && message->tag == 4) {
                script->count[0]--;
                stop(script);
        }
        scope_message_free(message);
}

static void answer_soon(struct scope_actor *self, struct script *script,
        struct scope_message *message)
{
        if (message->kind == KIND_A) {
                script->held = message;
                assert_ok(scope_timer_start(self, 0, 2 * MS, NULL));
                return;
        }
        if (message->kind == SCOPE_KIND_TIMER) {
                struct scope_message *answer = fixture_message(self, KIND_B);
                scope_reply(self, script->held, &answer); /* nobody is there any more */
                scope_message_free(script->held);
                script->held = NULL;
        }
        scope_message_free(message);
}

static void test_nothing_of_an_incarnation_reaches_the_next(void **state)
{
        (void)state;
        struct notices notices = { 0 };
        struct script left = { .receive = ask_all_then_fail }, right = { .receive = answer_soon };
        struct scope_system *system = pair(&left, &right, true, &notices);
        assert_ok(fixture_run(system));
        assert_int_equal(left.starts, 2);
        assert_int_equal(left.count[0], 0);
        assert_int_equal(left.count[1], 1);
        scope_system_destroy(system);
}

/* --- those who wait --------------------------------------------------------------------------- */

static void watch(struct scope_actor *self, struct script *script, struct scope_message *message)
{
        switch (message->kind) {
        case SCOPE_KIND_START:
                assert_ok(scope_monitor(self, script->peer));
                script->peer.incarnation = 1;
                for (int i = 0; i < 3; i++) {
                        struct scope_message *ask = fixture_message(self, KIND_A);
                        assert_ok(scope_request(self, script->peer, &ask, 100ull * SECOND, "answer",
                                NULL));
                }
                break;
        case SCOPE_KIND_ERROR:
                assert_int_equal(message->err, SCOPE_ERR_DOWN);
                script->count[0]++;
                break;
        case SCOPE_KIND_DOWN:
                assert_int_equal(message->err, SCOPE_ERR_DEVICE);
                assert_int_equal(message->sender.actor, script->peer.actor);
                assert_int_equal(message->sender.incarnation, script->peer.incarnation);
                script->count[1]++;
                if (script->count[1] == 1) { /* dead already: told at once */
                        struct scope_message *late = fixture_message(self, KIND_A);
                        assert_int_equal(scope_send(self, script->peer, &late), SCOPE_ERR_DOWN);
                        scope_message_free(late);
                        assert_ok(scope_monitor(self, script->peer));
                }
                break;
        default:
                break;
        }
        scope_message_free(message);
        if (script->count[0] == 3 && script->count[1] == 2)
                stop(script);
}

static void take_one_then_fail(struct scope_actor *self, struct script *script,
        struct scope_message *message)
{
        if (message->kind == KIND_A && script->count[0]++ == 0) {
                /* One is held by a token, two stand in the mailbox or in flight. */
                (void)scope_reply_later(message);
                scope_fail(self, SCOPE_ERR_DEVICE, "on purpose");
        }
        scope_message_free(message);
}

static void test_requesters_and_monitors_are_told_of_a_death_at_once(void **state)
{
        (void)state;
        struct notices notices = { 0 };
        struct script left = { .receive = watch }, right = { .receive = take_one_then_fail };
        struct scope_system *system = pair(&left, &right, true, &notices);
        assert_ok(fixture_run(system));
        struct scope_sim_result result;
        scope_simulation_result(system, &result);
        assert_true(result.virtual_ns < SECOND);
        assert_int_equal(left.count[1], 2);
        scope_system_destroy(system);
}

static void test_abort_ends_at_once(void **state)
{
        (void)state;
        struct notices notices = { 0 };
        struct script left = { .receive = just_free }, right = { .receive = just_free };
        struct scope_system *system = pair(&left, &right, true, &notices);
        scope_system_abort(system);
        assert_int_equal(scope_system_run(system), SCOPE_ERR_CANCELLED);
        assert_string_equal(scope_system_cause(system), "aborted");
        scope_system_destroy(system);
        assert_int_equal(left.finis, 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_restarts_are_limited_and_the_first_cause_is_kept),
                cmocka_unit_test(test_the_next_life_waits_for_the_jobs_of_the_last),
                cmocka_unit_test(test_an_actor_that_is_not_essential_stays_down_alone),
                cmocka_unit_test(test_nothing_of_an_incarnation_reaches_the_next),
                cmocka_unit_test(test_requesters_and_monitors_are_told_of_a_death_at_once),
                cmocka_unit_test(test_abort_ends_at_once),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
