#include "tests/runtime/fixture.h"

/* --- no allocation a message: malloc and friends are wrapped by the linker -------------------- */

static bool counting;
static uint64_t allocations;

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__real_aligned_alloc(size_t align, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void *__wrap_aligned_alloc(size_t align, size_t bytes);

void *__wrap_malloc(size_t bytes)
{
        allocations += counting;
        return __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
        allocations += counting;
        return __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
        allocations += counting;
        return __real_realloc(old, bytes);
}

void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
        allocations += counting;
        return __real_aligned_alloc(align, bytes);
}

enum { WARM = 100, ROUNDS = 5000 };

static void echo(struct scope_actor *self, struct script *script, struct scope_message *message)
{
        (void)script;
        if (message->kind == KIND_A) {
                struct scope_message *answer = fixture_message(self, KIND_B);
                scope_reply(self, message, &answer);
                assert_null(answer);
        } else if (message->kind == KIND_B) {
                struct scope_message *back = fixture_message(self, KIND_B);
                assert_ok(scope_send(self, message->sender, &back));
        }
        scope_message_free(message);
}

static void ask_and_send(struct scope_actor *self, struct script *script,
        struct scope_message *message)
{
        unsigned round = script->count[0]++;
        counting = round >= WARM && round < ROUNDS;
        if (round == ROUNDS)
                stop(script);
        else if (round % 2 == 0) {
                struct scope_message *ask = fixture_message(self, KIND_A);
                assert_ok(scope_request(self, script->peer, &ask, SECOND, "echo", NULL));
        } else {
                struct scope_message *send = fixture_message(self, KIND_B);
                assert_ok(scope_send(self, script->peer, &send));
                assert_ok(scope_timer_start(self, 1, SECOND, &script->number));
                scope_timer_stop(self, script->number);
        }
        scope_message_free(message);
}

static void test_messages_requests_and_timers_allocate_nothing(void **state)
{
        (void)state;
        struct scope_system *system = NULL;
        struct script asker = { .receive = ask_and_send }, echoer = { .receive = echo };
        struct scope_system_options options = fixture_options();
        struct scope_sim_options sim = fixture_sim();
        assert_ok(scope_simulation_create(&options, &sim, &system));
        fixture_add(system, "asker", &asker, NULL, false);
        fixture_add(system, "echoer", &echoer, NULL, false);
        asker.peer = echoer.self;
        assert_ok(fixture_run(system));
        assert_int_equal(asker.count[0], ROUNDS + 1);
        assert_int_equal(allocations, 0);
        scope_system_destroy(system);
}

/* --- a pair of actors for the rest ------------------------------------------------------------ */

typedef void receive_function(struct scope_actor *self, struct script *script,
        struct scope_message *message);

/* `left` asks or sends to `right`; returns what the run returned. */
static enum scope_err play(struct script *left, struct script *right, const uint32_t *mailbox)
{
        struct scope_system *system = NULL;
        struct scope_system_options options = fixture_options();
        struct scope_sim_options sim = fixture_sim();
        assert_ok(scope_simulation_create(&options, &sim, &system));
        fixture_add(system, "left", left, NULL, true);
        fixture_add(system, "right", right, mailbox, true);
        left->peer = right->self;
        right->peer = left->self;
        enum scope_err err = fixture_run(system);
        scope_system_destroy(system);
        return err;
}

static void ask_once(struct scope_actor *self, struct script *script, struct scope_message *message)
{
        if (message->kind == SCOPE_KIND_START) {
                struct scope_message *ask = fixture_message(self, KIND_A);
                ask->tag = 99;
                assert_ok(scope_request(self, script->peer, &ask, SECOND, "answer",
                        &script->number));
        } else {
                script->count[1]++;
                script->err = message->err;
                script->count[2] = message->kind;
                assert_int_equal(message->tag, 99);
                assert_int_equal(message->correlation, script->number);
                assert_true((message->flags & SCOPE_MESSAGE_REPLY) != 0);
                script->number = scope_now_ns(self);
                stop(script);
        }
        scope_message_free(message);
}

static void drop(struct scope_actor *self, struct script *script, struct scope_message *message)
{
        (void)self;
        (void)script;
        scope_message_free(message);
}

static void hold(struct scope_actor *self, struct script *script, struct scope_message *message)
{
        (void)self;
        if (message->kind == KIND_A)
                script->held = message;
        else
                scope_message_free(message);
}

static void refuse(struct scope_actor *self, struct script *script, struct scope_message *message)
{
        (void)script;
        if (message->kind == KIND_A) {
                scope_reply_error(self, message, SCOPE_ERR_REFUSED);
                scope_reply_error(self, message, SCOPE_ERR_IO); /* a second answer goes nowhere */
        }
        scope_message_free(message);
}

static void answer_later(struct scope_actor *self, struct script *script,
        struct scope_message *message)
{
        static struct scope_reply_to to;
        if (message->kind == KIND_A) {
                to = scope_reply_later(message);
                assert_ok(scope_timer_start(self, 5, 10 * MS, NULL));
        } else if (message->kind == SCOPE_KIND_TIMER) {
                assert_int_equal(message->tag, 5);
                struct scope_message *answer = fixture_message(self, KIND_B);
                scope_reply_to(self, &to, &answer);
                script->count[0]++;
        }
        scope_message_free(message);
}

static void fail_on_request(struct scope_actor *self, struct script *script,
        struct scope_message *message)
{
        if (message->kind == KIND_A) {
                script->held = message; /* fini frees it: it was not answered */
                scope_fail(self, SCOPE_ERR_DEVICE, "on purpose");
                return;
        }
        scope_message_free(message);
}

static void test_a_request_gets_exactly_one_answer_whatever_happens(void **state)
{
        (void)state;
        static const struct {
                receive_function *right;
                unsigned kind;
                enum scope_err err;
                uint64_t at_least_ns, at_most_ns;
        } cases[] = {
                { echo, KIND_B, SCOPE_OK, 0, MS },
                { answer_later, KIND_B, SCOPE_OK, 10 * MS, 11 * MS },
                { drop, SCOPE_KIND_ERROR, SCOPE_ERR_CANCELLED, 0, MS },
                { refuse, SCOPE_KIND_ERROR, SCOPE_ERR_REFUSED, 0, MS },
                { hold, SCOPE_KIND_ERROR, SCOPE_ERR_DEADLINE, SECOND, SECOND + MS },
                { fail_on_request, SCOPE_KIND_ERROR, SCOPE_ERR_DOWN, 0, MS },
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct script left = { .receive = ask_once }, right = { .receive = cases[i].right };
                assert_ok(play(&left, &right, NULL));
                assert_int_equal(left.count[1], 1);
                assert_int_equal(left.count[2], cases[i].kind);
                assert_int_equal(left.err, cases[i].err);
                assert_true(left.number >= cases[i].at_least_ns &&
                            left.number <= cases[i].at_most_ns);
        }
}

/* --- order and bounds ------------------------------------------------------------------------- */

static void flood(struct scope_actor *self, struct script *script, struct scope_message *message)
{
        if (message->kind == SCOPE_KIND_START)
                for (uint64_t i = 0;; i++) {
                        struct scope_message *data = fixture_message(self, KIND_A);
                        struct scope_message *same = data;
                        data->tag = i;
                        script->err = scope_send(self, script->peer, &data);
                        if (script->err == SCOPE_OK)
                                continue;
                        assert_ptr_equal(data, same); /* still ours */
                        scope_message_free(data);
                        script->count[0] = (unsigned)i;
                        struct scope_message *control = NULL;
                        assert_ok(scope_message_create(self, KIND_STOP, SCOPE_LANE_CONTROL, 0,
                                &control));
                        assert_ok(scope_send(self, script->peer, &control));
                        break;
                }
        scope_message_free(message);
}

static void see_order(struct scope_actor *self, struct script *script,
        struct scope_message *message)
{
        (void)self;
        if (message->kind == KIND_STOP)
                assert_int_equal(script->number, 0); /* control came before data */
        if (message->kind == KIND_A) {
                assert_int_equal(message->tag, script->number++);
                if (script->number == 8)
                        stop(script);
        }
        scope_message_free(message);
}

static void test_full_lane_returns_again_and_keeps_order(void **state)
{
        (void)state;
        struct script left = { .receive = flood }, right = { .receive = see_order };
        assert_ok(play(&left, &right, (const uint32_t[]){ 8, 8, 8 }));
        assert_int_equal(left.err, SCOPE_ERR_AGAIN);
        assert_int_equal(left.count[0], 8);
        assert_int_equal(right.number, 8);
}

/* --- timers, random numbers, limits ----------------------------------------------------------- */

static void use_timers(struct scope_actor *self, struct script *script,
        struct scope_message *message)
{
        if (message->kind == SCOPE_KIND_START) {
                for (uint64_t tag = 1; tag <= 256; tag++)
                        assert_ok(scope_timer_start(self, tag, (300 - tag) * MS,
                                tag == 200 ? &script->number : NULL));
                assert_int_equal(scope_timer_start(self, 0, MS, NULL), SCOPE_ERR_LIMIT);
                scope_timer_stop(self, script->number);
                scope_timer_stop(self, script->number);
                scope_timer_stop(self, 0);
                script->number = 257;
        } else if (message->kind == SCOPE_KIND_TIMER) {
                assert_int_not_equal(message->tag, 200);
                assert_true(message->tag < script->number);
                assert_true(scope_now_ns(self) >= (300 - message->tag) * MS);
                script->number = message->tag;
                if (++script->count[0] == 255)
                        stop(script);
        }
        scope_message_free(message);
}

static void test_timers_fire_in_order_and_stopped_ones_never(void **state)
{
        (void)state;
        struct script left = { .receive = use_timers }, right = { .receive = drop };
        assert_ok(play(&left, &right, NULL));
        assert_int_equal(left.count[0], 255);
}

static void draw(struct scope_actor *self, struct script *script, struct scope_message *message)
{
        script->number = scope_random(self, 3);
        assert_true(script->number != scope_random(self, 3));
        assert_true(scope_random(self, 4) != scope_random(self, 4));
        scope_message_free(message);
        stop(script);
}

static void test_random_depends_on_seed_and_name_only(void **state)
{
        (void)state;
        struct script a = { .receive = draw }, b = { .receive = draw };
        struct script c = { .receive = draw }, d = { .receive = draw };
        assert_ok(play(&a, &b, NULL));
        assert_ok(play(&c, &d, NULL));
        assert_true(a.number == c.number && b.number == d.number && a.number != b.number);
}

/* --- compute, files, HTTP --------------------------------------------------------------------- */

static enum scope_err job_run(void *arg, unsigned rank, unsigned size)
{
        assert_int_equal(rank, 0);
        assert_int_equal(size, 1);
        ++*(unsigned *)arg;
        return SCOPE_OK;
}

static void use_world(struct scope_actor *self, struct script *script,
        struct scope_message *message)
{
        static const struct scope_http_request request = { .method = "GET",
                .url = "http://127.0.0.1:1/x", .response_bytes_max = 1000, .timeout_ns = SECOND };
        struct scope_job job = { .run = job_run, .arg = &script->count[0], .cores = 1,
                .cost_ns = 5 * MS, .what = "job" };
        struct scope_http_request remote = request;
        remote.url = "http://example.com/";
        switch (message->kind) {
        case SCOPE_KIND_START:
                assert_ok(scope_compute(self, &job, 11));
                assert_int_equal(scope_file_append(self, "../x", "", 0, 1), SCOPE_ERR_ARGUMENT);
                assert_int_equal(scope_file_append(self, "/x", "", 0, 1), SCOPE_ERR_ARGUMENT);
                assert_int_equal(scope_file_append(self, "a/../x", "", 0, 1), SCOPE_ERR_ARGUMENT);
                assert_int_equal(scope_http_start(self, &remote, 1, NULL), SCOPE_ERR_ARGUMENT);
                break;
        case SCOPE_KIND_COMPUTE_DONE:
                assert_int_equal(message->tag, 11);
                assert_true(scope_now_ns(self) >= 5 * MS);
                assert_ok(scope_file_append(self, "log", "one\n", 4, 21));
                assert_ok(scope_file_append(self, "log", "two\n", 4, 22));
                assert_ok(scope_file_replace(self, "dir/state", "s", 1, 23));
                break;
        case SCOPE_KIND_FILE_DONE:
                assert_ok(message->err);
                assert_int_equal(message->tag, 21 + script->count[1]);
                if (++script->count[1] == 3)
                        assert_ok(scope_http_start(self, &request, 31, &script->number));
                break;
        case SCOPE_KIND_HTTP_DATA:
                script->count[2] += message->bytes;
                break;
        case SCOPE_KIND_HTTP_DONE:
                assert_ok(message->err);
                assert_int_equal(((struct scope_http_result *)message->payload)->status, 200);
                stop(script);
                break;
        default:
                fail();
        }
        scope_message_free(message);
}

static void peer_http(void *context, struct scope_sim_http *call)
{
        (void)context;
        assert_string_equal(call->request->url, "http://127.0.0.1:1/x");
        memset(call->body, 'x', 500);
        call->body_bytes = 500;
        call->status = 200;
        call->latency_ns = MS;
}

static void test_compute_files_and_http_come_back(void **state)
{
        (void)state;
        struct scope_system *system = NULL;
        struct script user = { .receive = use_world };
        struct scope_system_options options = fixture_options();
        struct scope_sim_options sim = fixture_sim();
        sim.http = peer_http;
        assert_ok(scope_simulation_create(&options, &sim, &system));
        fixture_add(system, "user", &user, NULL, true);
        assert_ok(fixture_run(system));
        assert_int_equal(user.count[0], 1);
        assert_int_equal(user.count[2], 500);
        size_t bytes = 0;
        const char *log = scope_simulation_file(system, "log", &bytes);
        assert_int_equal(bytes, 8);
        assert_memory_equal(log, "one\ntwo\n", 8);
        assert_null(scope_simulation_file(system, "other", &bytes));
        scope_system_destroy(system);
}

/* --- drain ------------------------------------------------------------------------------------ */

static void drain_while_waiting(struct scope_actor *self, struct script *script,
        struct scope_message *message)
{
        if (message->kind == SCOPE_KIND_START) {
                struct scope_message *ask = fixture_message(self, KIND_A);
                assert_ok(scope_request(self, script->peer, &ask, SECOND, "late", NULL));
                stop(script);
        } else {
                script->err = message->err;
                script->count[0]++;
        }
        scope_message_free(message);
}

static void test_drain_waits_for_answers_and_stops_in_order(void **state)
{
        (void)state;
        struct script left = { .receive = drain_while_waiting };
        struct script right = { .receive = answer_later };
        assert_ok(play(&left, &right, NULL));
        assert_int_equal(left.count[0], 1);
        assert_ok(left.err);
        assert_int_equal(left.drains, 1);
        assert_int_equal(right.drains, 1);
        assert_int_equal(left.finis, 1);
}

static void test_drain_gives_up_after_its_time(void **state)
{
        (void)state;
        struct script left = { .receive = drain_while_waiting };
        struct script right = { .receive = answer_later, .busy = true };
        assert_int_equal(play(&left, &right, NULL), SCOPE_ERR_DEADLINE);
        assert_int_equal(right.finis, 1);
}

static void test_bad_actors_are_refused(void **state)
{
        (void)state;
        struct scope_system *system = NULL;
        struct script first = { .receive = drop };
        struct scope_system_options options = fixture_options();
        struct scope_sim_options sim = fixture_sim();
        assert_ok(scope_simulation_create(&options, &sim, &system));
        fixture_add(system, "one", &first, NULL, false);
        struct scope_actor_options again = { .name = "one", .class_ = &script_class,
                .args = &first };
        struct scope_address address;
        assert_int_equal(scope_system_add(system, &again, &address), SCOPE_ERR_EXISTS);
        again.name = "a name of more than thirty-one characters";
        assert_int_equal(scope_system_add(system, &again, &address), SCOPE_ERR_ARGUMENT);
        struct script bad = { .receive = drop, .init_err = SCOPE_ERR_FORMAT };
        again.name = "bad";
        again.args = &bad;
        assert_int_equal(scope_system_add(system, &again, &address), SCOPE_ERR_FORMAT);
        assert_int_equal(bad.finis, 1);
        scope_system_destroy(system);
        assert_int_equal(first.finis, 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_messages_requests_and_timers_allocate_nothing),
                cmocka_unit_test(test_a_request_gets_exactly_one_answer_whatever_happens),
                cmocka_unit_test(test_full_lane_returns_again_and_keeps_order),
                cmocka_unit_test(test_timers_fire_in_order_and_stopped_ones_never),
                cmocka_unit_test(test_random_depends_on_seed_and_name_only),
                cmocka_unit_test(test_compute_files_and_http_come_back),
                cmocka_unit_test(test_drain_waits_for_answers_and_stops_in_order),
                cmocka_unit_test(test_drain_gives_up_after_its_time),
                cmocka_unit_test(test_bad_actors_are_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
