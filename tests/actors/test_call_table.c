/* The table of calls under a small actor: one word is asked, any 200 is an answer. */
#include "tests/actors/world.h"

#include "actors/call_table.h"
#include "runtime/simulation.h"

enum { ASKED_MAX = 16, CALLS_MAX = 32, BODY_MAX = 8 };
#define MS(n) REFINER_MS(n)

struct ask {
        uint64_t at_ns, timeout_ns;
        /* the answer */
        uint32_t heard;
        enum scope_err err; /* SCOPE_OK: answered */
        uint64_t took_ns;
};

struct reply { /* what the server says to a call; zeroed: 200 after 10 ms */
        int32_t status;
        uint64_t latency_ns;
        int64_t retry_after_ns;
        uint32_t bytes;
};

struct test {
        struct station station;
        struct scope_call_options options;
        struct ask asks[ASKED_MAX];
        uint32_t count;
        struct reply replies[CALLS_MAX];
        uint32_t calls, probes, judged, fed;
        uint64_t poke_ns;
        bool idle_after_drain;
};

struct word {
        struct scope_call call;
        uint32_t bytes;
};

struct subject {
        struct test *test;
        struct scope_call_table table;
        uint64_t first_tag; /* of the first call */
};

static struct test *current; /* simulations have one thread */

/* --- the actor -------------------------------------------------------------------------------- */

static enum scope_err write_call(struct scope_actor *self, void *owner, struct scope_call *call,
        struct scope_http_request *http)
{
        (void)self;
        (void)owner;
        assert_true(http->timeout_ns > 0 && http->idle_timeout_ns == http->timeout_ns);
        http->url = call->held != NULL ? "http://127.0.0.1/word" : "http://127.0.0.1/probe";
        http->response_bytes_max = 64;
        return SCOPE_OK;
}

static bool feed(struct scope_call *call, const void *bytes, size_t count)
{
        struct word *word = (struct word *)call;
        (void)bytes;
        current->fed++;
        word->bytes += (uint32_t)count;
        return word->bytes <= BODY_MAX;
}

static enum scope_call_end judge(struct scope_actor *self, void *owner, struct scope_call *call,
        enum scope_err err, const struct scope_http_result *result)
{
        (void)self;
        (void)owner;
        (void)call;
        current->judged++;
        return scope_call_judge(err, result->status);
}

static void ended(struct scope_actor *self, void *owner, struct scope_call *call,
        enum scope_call_end end, enum scope_gate_change change, int32_t status)
{
        struct subject *subject = owner;
        (void)self;
        (void)end;
        (void)change;
        (void)status;
        current->probes += call->probe;
        if (subject->first_tag == 0)
                subject->first_tag = (uint64_t)call->life << 16 | call->index;
}

static void answered(struct scope_actor *self, void *owner, struct scope_call *call)
{
        struct subject *subject = owner;
        struct scope_message *message = NULL;
        assert_ok(scope_message_create(self, SCOPE_KIND_SCORED, SCOPE_LANE_CONTROL, 0, &message));
        scope_reply_to(self, &call->to, &message);
        scope_call_release(&subject->table, call);
}

static void give_up(
        struct scope_actor *self, void *owner, struct scope_call *call, enum scope_err err)
{
        struct subject *subject = owner;
        scope_reply_to_error(self, &call->to, err);
        scope_call_release(&subject->table, call);
}

static void clear(struct scope_call *call)
{
        ((struct word *)call)->bytes = 0;
}

/* Ends of calls that nobody waits for any more, then one that somebody does. */
static void poke(struct scope_actor *self, struct subject *subject)
{
        struct scope_http_result result = { .status = 200, .retry_after_ns = -1 };
        struct scope_message *message = NULL;
        uint32_t judged = current->judged, fed = current->fed;
        assert_ok(scope_message_create(
                self, SCOPE_KIND_HTTP_DONE, SCOPE_LANE_CONTROL, sizeof result, &message));
        memcpy(message->payload, &result, sizeof result);
        message->tag = subject->first_tag;
        scope_call_table_receive(self, &subject->table, message);
        message->kind = SCOPE_KIND_HTTP_DATA;
        scope_call_table_receive(self, &subject->table, message);
        message->tag = 2; /* a slot that is free */
        scope_call_table_receive(self, &subject->table, message);
        assert_int_equal(current->judged, judged);
        assert_int_equal(current->fed, fed);
        message->kind = SCOPE_KIND_HTTP_DONE;
        message->tag = subject->first_tag + (1 << 16); /* the life after */
        scope_call_table_receive(self, &subject->table, message);
        assert_int_equal(current->judged, judged + 1);
        scope_message_free(message);
}

static enum scope_err subject_init(struct scope_actor *self, void *state, void *args)
{
        static const struct scope_call_hooks hooks = { .write = write_call,
                .feed = feed,
                .judge = judge,
                .ended = ended,
                .answered = answered,
                .give_up = give_up,
                .clear = clear };
        struct subject *subject = state;
        struct scope_call_options options = current->options;
        (void)self;
        (void)args;
        options.hooks = &hooks;
        options.owner = subject;
        options.call_bytes = sizeof(struct word);
        return scope_call_table_init(&subject->table, &options);
}

static void subject_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct subject *subject = state;
        uint64_t timeout_ns;
        if (message->kind == SCOPE_KIND_SCORE) {
                memcpy(&timeout_ns, message->payload, sizeof timeout_ns);
                if (scope_call_take(self, &subject->table, &message, timeout_ns) == NULL)
                        scope_reply_error(self, message, SCOPE_ERR_AGAIN);
        } else if (message->kind == SCOPE_KIND_NOTE) {
                poke(self, subject);
        } else {
                scope_call_table_receive(self, &subject->table, message);
        }
        scope_message_free(message);
        scope_call_table_advance(self, &subject->table);
}

static void subject_drain(struct scope_actor *self, void *state)
{
        struct subject *subject = state;
        scope_call_table_drain(self, &subject->table);
        current->idle_after_drain = scope_call_table_idle(&subject->table);
        assert_int_equal(subject->table.gate.in_flight, 0);
}

static bool subject_idle(const void *state)
{
        return scope_call_table_idle(&((const struct subject *)state)->table);
}

static void subject_fini(struct scope_actor *self, void *state)
{
        (void)self;
        scope_call_table_fini(&((struct subject *)state)->table);
}

static const struct scope_actor_class subject_class = { .name = "subject",
        .state_bytes = sizeof(struct subject),
        .init = subject_init,
        .receive = subject_receive,
        .drain = subject_drain,
        .idle = subject_idle,
        .fini = subject_fini };

/* --- the server and the peer ------------------------------------------------------------------ */

static void http(void *context, struct scope_sim_http *call)
{
        struct test *test = ((struct station *)context)->test;
        assert_true(test->calls < CALLS_MAX);
        const struct reply *reply = &test->replies[test->calls];
        test->calls++;
        call->status = reply->status != 0 ? reply->status : 200;
        call->latency_ns = reply->latency_ns != 0 ? reply->latency_ns : MS(10);
        call->retry_after_ns = reply->retry_after_ns != 0 ? reply->retry_after_ns : -1;
        call->body_bytes = reply->bytes;
        memset(call->body, 'x', reply->bytes);
}

static void begin(struct scope_actor *peer, struct station *station)
{
        struct test *test = station->test;
        for (uint32_t i = 0; i < test->count; i++)
                station_timer(peer, 1000 + i, test->asks[i].at_ns);
        if (test->poke_ns != 0)
                station_timer(peer, 1, test->poke_ns);
}

static void hear(struct scope_actor *peer, struct station *station, struct scope_message **message)
{
        struct test *test = station->test;
        uint64_t tag = (*message)->tag;
        if ((*message)->kind == SCOPE_KIND_TIMER && tag == 1) {
                station_control(peer, station, SCOPE_KIND_NOTE, (struct scope_control){ 0 });
        } else if ((*message)->kind == SCOPE_KIND_TIMER) {
                struct scope_message *ask = NULL;
                assert_ok(scope_message_create(peer, SCOPE_KIND_SCORE, SCOPE_LANE_DATA, 8, &ask));
                memcpy(ask->payload, &test->asks[tag - 1000].timeout_ns, 8);
                station_ask(peer, station, ask, tag - 1000);
        } else {
                struct ask *ask = &test->asks[tag];
                assert_true(tag < test->count);
                ask->err = (*message)->kind == SCOPE_KIND_ERROR ? (*message)->err : SCOPE_OK;
                ask->took_ns = scope_now_ns(peer) - ask->at_ns;
                ask->heard++;
        }
}

/* `count` requests at once, in order; a minute for each; one call at a time; no retries. */
static void test_init(struct test *test, uint32_t count)
{
        *test = (struct test){ .count = count };
        test->station = (struct station){
                .class_ = &subject_class, .begin = begin, .hear = hear, .http = http, .test = test
        };
        test->options = (struct scope_call_options){
                .gate = { .concurrency = 1,
                        .failures_max = 100,
                        .reset_ns = MS(1000),
                        .backoff_ns = 1,
                        .retry_after_max_ns = MS(60000) },
                .requests_max = ASKED_MAX
        };
        for (uint32_t i = 0; i < count; i++)
                test->asks[i] = (struct ask){ .at_ns = 1000 * i, .timeout_ns = MS(60000) };
        station_init(&test->station, "");
        current = test;
}

/* To the end; everybody was answered once. */
static void run(struct test *test)
{
        station_run(&test->station, "subject");
        for (uint32_t i = 0; i < test->count; i++)
                assert_int_equal(test->asks[i].heard, 1);
        station_fini(&test->station);
}

static bool about(uint64_t ns, uint64_t expected_ns)
{
        return ns >= expected_ns && ns < expected_ns + MS(1);
}

/* --- claims ----------------------------------------------------------------------------------- */

static void test_a_full_table_takes_nobody(void **state)
{
        (void)state;
        static struct test test;
        test_init(&test, 5);
        test.options.requests_max = 3;
        test.asks[4].at_ns = MS(100); /* there is room again */
        run(&test);
        static const enum scope_err expected[] = { SCOPE_OK, SCOPE_OK, SCOPE_OK, SCOPE_ERR_AGAIN,
                SCOPE_OK };
        for (uint32_t i = 0; i < test.count; i++)
                assert_int_equal(test.asks[i].err, expected[i]);
        assert_true(about(test.asks[3].took_ns, 0));
        assert_true(about(test.asks[2].took_ns, MS(30))); /* in order of arrival */
        assert_int_equal(test.calls, 4);
}

static void test_what_comes_for_an_earlier_life_reaches_nobody(void **state)
{
        (void)state;
        static struct test test;
        test_init(&test, 1);
        test.options.retries_max = 1;
        test.replies[0].status = 500;
        test.replies[1].latency_ns = MS(100);
        test.poke_ns = MS(50);
        run(&test);
        assert_int_equal(test.calls, 2);
        assert_int_equal(test.asks[0].err, SCOPE_OK);
        assert_true(about(test.asks[0].took_ns, MS(50))); /* the poke's, not the server's */
        assert_int_equal(test.judged, 2);                 /* what the server said then came late */
}

static void test_a_rest_beyond_the_deadline_is_not_begun(void **state)
{
        (void)state;
        static struct test test;
        test_init(&test, 2);
        test.options.retries_max = 3;
        test.options.gate.concurrency = 2;
        test.replies[0] = (struct reply){ .status = 500, .retry_after_ns = (int64_t)MS(5000) };
        test.replies[1] = test.replies[0];
        test.asks[0].timeout_ns = MS(4000);
        run(&test);
        assert_int_equal(test.asks[0].err, SCOPE_ERR_DEADLINE);
        assert_true(about(test.asks[0].took_ns, MS(10)));
        assert_int_equal(test.asks[1].err, SCOPE_OK);
        assert_true(about(test.asks[1].took_ns, MS(5020)));
}

/* A 429 holds everybody; the one that rests until then, and the one that waits, have no more
 * time than before. */
static void test_deadlines_hold_while_nothing_may_be_sent(void **state)
{
        (void)state;
        static struct test test;
        test_init(&test, 3);
        test.options.retries_max = 3;
        test.replies[0] = (struct reply){ .status = 429, .retry_after_ns = (int64_t)MS(5000) };
        test.replies[1].latency_ns = UINT64_MAX;
        test.asks[0].timeout_ns = MS(6000);
        test.asks[1].timeout_ns = MS(3000);
        run(&test);
        assert_true(about(test.asks[0].took_ns, MS(6000))); /* it hung */
        assert_true(about(test.asks[1].took_ns, MS(3000)));
        assert_int_equal(test.asks[0].err, SCOPE_ERR_DEADLINE);
        assert_int_equal(test.asks[1].err, SCOPE_ERR_DEADLINE);
        assert_int_equal(test.asks[2].err, SCOPE_OK);
        assert_true(about(test.asks[2].took_ns, MS(6010)));
}

/* A timer may be late, and a call may end by itself after the deadline: no rest follows. */
static void test_after_the_deadline_nothing_is_tried_again(void **state)
{
        (void)state;
        static struct test test;
        for (uint64_t seed = 0; seed < 20; seed++) {
                test_init(&test, 4);
                test.options.retries_max = 100;
                test.options.gate.backoff_ns = MS(64);
                test.options.gate.failures_max = 0;
                test.station.faults = 1u << SCOPE_FAULT_TIMER_LATE;
                test.station.seed = seed;
                for (uint32_t i = 0; i < CALLS_MAX; i++)
                        test.replies[i] = (struct reply){ .status = 500, .latency_ns = MS(500) };
                for (uint32_t i = 0; i < test.count; i++)
                        test.asks[i].timeout_ns = MS(2000);
                run(&test);
                for (uint32_t i = 0; i < test.count; i++)
                        assert_true(test.asks[i].took_ns < MS(2200));
        }
}

static void test_a_reply_that_is_not_wanted_ends_the_call(void **state)
{
        (void)state;
        static struct test test;
        test_init(&test, 1);
        test.replies[0].bytes = 60;
        run(&test);
        assert_int_equal(test.asks[0].err, SCOPE_ERR_NET);
        assert_int_equal(test.judged, 0);
}

/* One calls, one rests, one waits; then nobody does. */
static void test_drain_answers_everybody_at_once(void **state)
{
        (void)state;
        static struct test test;
        test_init(&test, 3);
        test.station.stay_ns = MS(1000);
        test.options.retries_max = 3;
        test.replies[0] = (struct reply){ .status = 500, .retry_after_ns = (int64_t)MS(5000) };
        test.replies[1].latency_ns = UINT64_MAX;
        run(&test);
        assert_int_equal(test.calls, 2);
        assert_true(test.idle_after_drain);
        for (uint32_t i = 0; i < test.count; i++) {
                assert_int_equal(test.asks[i].err, SCOPE_ERR_CANCELLED);
                assert_true(about(test.asks[i].took_ns, MS(1000)));
        }
}

/* Down from the first call on, up from the fourth. */
static void down(struct test *test)
{
        test_init(test, 6);
        test->options.retries_max = 3;
        test->options.gate.failures_max = 1;
        for (uint32_t i = 0; i < 3; i++)
                test->replies[i].status = 500;
        for (uint32_t i = 2; i < 6; i++)
                test->asks[i].at_ns = MS(1100) * (i - 1);
}

static void test_nobody_waits_for_a_server_that_is_down(void **state)
{
        (void)state;
        static struct test test;
        static const bool ok[] = { false, false, false, false, true, true };
        down(&test); /* a request is the probe */
        run(&test);
        for (uint32_t i = 0; i < test.count; i++) {
                assert_int_equal(test.asks[i].err, ok[i] ? SCOPE_OK : SCOPE_ERR_NET);
                assert_true(test.asks[i].took_ns < MS(11));
        }
        assert_int_equal(test.calls, 5);
        assert_int_equal(test.probes, 3);
        down(&test); /* the table's own is: at 1, 2 and 3 s */
        test.options.probe_timeout_ns = MS(500);
        run(&test);
        for (uint32_t i = 0; i < test.count; i++)
                assert_int_equal(test.asks[i].err, ok[i] ? SCOPE_OK : SCOPE_ERR_NET);
        assert_int_equal(test.calls, 1 + 3 + 2);
        assert_int_equal(test.probes, 3);
}

static void test_the_patient_wait_for_it(void **state)
{
        (void)state;
        static struct test test;
        down(&test);
        test.options.probe_timeout_ns = MS(500);
        test.options.patient = true;
        run(&test);
        for (uint32_t i = 0; i < test.count; i++)
                assert_int_equal(test.asks[i].err, SCOPE_OK);
        assert_true(test.asks[0].took_ns > MS(3000) && test.asks[0].took_ns < MS(3200));
}

static void test_nobody_waits_for_a_budget_that_is_spent(void **state)
{
        (void)state;
        static struct test test;
        test_init(&test, 4);
        test.options.gate.calls_max = 2;
        test.options.patient = true;
        run(&test);
        assert_int_equal(test.calls, 2);
        for (uint32_t i = 0; i < test.count; i++)
                assert_int_equal(test.asks[i].err, i < 2 ? SCOPE_OK : SCOPE_ERR_NET);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_full_table_takes_nobody),
                cmocka_unit_test(test_what_comes_for_an_earlier_life_reaches_nobody),
                cmocka_unit_test(test_a_rest_beyond_the_deadline_is_not_begun),
                cmocka_unit_test(test_deadlines_hold_while_nothing_may_be_sent),
                cmocka_unit_test(test_after_the_deadline_nothing_is_tried_again),
                cmocka_unit_test(test_a_reply_that_is_not_wanted_ends_the_call),
                cmocka_unit_test(test_drain_answers_everybody_at_once),
                cmocka_unit_test(test_nobody_waits_for_a_server_that_is_down),
                cmocka_unit_test(test_the_patient_wait_for_it),
                cmocka_unit_test(test_nobody_waits_for_a_budget_that_is_spent),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
