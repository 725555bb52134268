/* The scorer behind HTTP in the simulated environment: what is asked, what is believed, and every
 * way a server fails. */
#include "tests/actors/world.h"

#include <jansson.h>

#include "actors/prm_answer.h"
#include "algorithm/localise.h"
#include "algorithm/steps.h"
#include "base/text.h"
#include "models/tokenizer.h"
#include "runtime/simulation.h"
#include "tasks/pooling_script.h"

extern const struct scope_actor_class scope_prm_http_class;

enum { ASKED_MAX = 64, ITEMS = 2, STEPS = 16, TOKENS = 256 };

struct item {
        struct scope_text text;
        uint32_t tokens[TOKENS], step_ends[STEPS], step_token_ends[STEPS], bytes[TOKENS];
        float expected[STEPS];
        struct scope_score_item item;
};

/* One test: a problem with a right and a wrong answer, asked `count` times, `every_ns` apart. */
struct test {
        struct station station;
        struct scope_teacher_script script;
        struct scope_text problem, gold;
        uint32_t prompt[TOKENS];
        struct item items[ITEMS];
        uint32_t count, begun, calls, in_flight_max;
        uint64_t every_ns, call_ns[256];
        uint32_t steps_sent; /* marks of the last call */
        /* In place of the script: true where it filled status and body itself. */
        bool (*rude)(struct test *test, uint32_t call, struct scope_sim_http *http);
        uint32_t rude_to; /* calls */
        int32_t status;
        /* answers */
        uint32_t scored, failed;
        enum scope_err err[ASKED_MAX]; /* SCOPE_OK: scored */
        uint64_t asked_ns[ASKED_MAX], took_ns[ASKED_MAX];
        bool any_scores; /* faults: do not compare */
        char words[2048];
        double gauges[32];
        char names[32][32];
        uint32_t gauge_count;
};

static void say(struct scope_sim_http *call, const char *body)
{
        call->body_bytes = strlen(body);
        assert_true(call->body_bytes <= call->body_capacity);
        memcpy(call->body, body, call->body_bytes);
}

static void check_request(struct test *test, const struct scope_http_request *request)
{
        json_t *body = json_loadb(request->body, request->body_bytes, 0, NULL);
        const struct scope_prm_options *options = &test->station.options.prm;
        const char *at;
        assert_non_null(body);
        assert_string_equal(request->url, "http://127.0.0.1:8000/pooling");
        assert_string_equal(request->method, "POST");
        assert_string_equal(request->bearer, REFINER_KEY);
        assert_int_equal(request->response_bytes_max, options->response_max);
        assert_true(request->timeout_ns <= (uint64_t)options->timeout);
        assert_string_equal(json_string_value(json_object_get(body, "model")), options->model);
        assert_int_equal(json_array_size(json_object_get(body, "input")), ITEMS);
        test->steps_sent = 0;
        for (size_t i = 0; i < ITEMS; i++) {
                const json_t *text = json_array_get(json_object_get(body, "input"), i);
                assert_non_null(strstr(json_string_value(text), test->problem.bytes));
                for (at = json_string_value(text); (at = strstr(at, "<extra_0>")) != NULL; at++)
                        test->steps_sent++;
        }
        json_decref(body);
}

static void http(void *context, struct scope_sim_http *call)
{
        struct test *test = ((struct station *)context)->test;
        struct scope_teacher_response response;
        uint32_t number = test->calls++;
        assert_true(number < 256);
        check_request(test, call->request);
        call->status = 200;
        call->retry_after_ns = -1;
        call->latency_ns = REFINER_MS(20);
        if (test->rude != NULL && number < test->rude_to && test->rude(test, number, call))
                return;
        scope_pooling_script_answer(&test->script, call->request->body, call->request->body_bytes,
                call->random, 0, &response);
        assert_false(response.body.failed);
        call->status = response.status;
        call->latency_ns = response.latency_ns;
        if (response.body.count <= call->body_capacity)
                say(call, response.body.bytes);
        scope_text_fini(&response.body);
}

/* --- the peer --------------------------------------------------------------------------------- */

static void ask(struct scope_actor *peer, struct test *test)
{
        struct scope_score_item items[ITEMS];
        struct scope_message *message = NULL;
        for (uint32_t i = 0; i < ITEMS; i++)
                items[i] = test->items[i].item;
        struct scope_score_request request = { .group = 5,
                .problem = { test->problem.bytes, (uint32_t)test->problem.count },
                .items = items,
                .item_count = ITEMS };
        assert_ok(scope_message_of_score_request(
                peer, SCOPE_KIND_SCORE, SCOPE_LANE_DATA, &request, &message));
        test->asked_ns[test->begun] = scope_now_ns(peer);
        station_ask(peer, &test->station, message, test->begun++);
}

static void begin(struct scope_actor *peer, struct station *station)
{
        struct test *test = station->test;
        struct scope_message *bad = NULL;
        assert_ok(scope_message_create(peer, SCOPE_KIND_SCORE, SCOPE_LANE_DATA, 16, &bad));
        memset(bad->payload, 0, 16);
        station_ask(peer, station, bad, ASKED_MAX);
        for (uint32_t i = 0; i < test->count; i++)
                station_timer(peer, 1000 + i, i * test->every_ns);
}

static void heard_scores(struct scope_actor *peer, struct test *test, struct scope_message *message)
{
        struct scope_score_answer answer;
        assert_ok(scope_message_read_score_answer(
                peer, message, &test->station.stages.limits, &answer));
        assert_int_equal(answer.group, 5);
        assert_int_equal(answer.score_count, ITEMS);
        for (uint32_t i = 0; i < ITEMS; i++) {
                const struct scope_step_scores *scores = &answer.scores[i];
                assert_int_equal(scores->sample, 2 * i);
                assert_int_equal(scores->step_count, test->items[i].item.step_count);
                assert_int_equal(scores->verified, scope_localise_verified(scores->p,
                        scores->step_count, test->station.options.prm.tau));
                for (uint32_t step = 0; step < scores->step_count && !test->any_scores; step++)
                        assert_close(scores->p[step], test->items[i].expected[step], 1e-7);
        }
}

static void heard_note(struct scope_actor *peer, struct test *test, struct scope_message *message)
{
        struct scope_control control;
        assert_ok(scope_message_read_control(
                peer, message, &test->station.stages.limits, &control));
        size_t words = strlen(test->words);
        (void)snprintf(test->words + words, sizeof test->words - words, "%.*s",
                (int)control.text.bytes, control.text.at != NULL ? control.text.at : "");
        assert_null(strstr(test->words, REFINER_KEY));
        for (uint32_t i = 0; i < control.metric_count; i++) {
                assert_true(control.metric_count <= 32);
                (void)snprintf(test->names[i], sizeof test->names[i], "%.*s",
                        (int)control.metrics[i].name.bytes, control.metrics[i].name.at);
                test->gauges[i] = control.metrics[i].value;
                test->gauge_count = control.metric_count;
        }
}

static void hear(struct scope_actor *peer, struct station *station, struct scope_message **message)
{
        struct test *test = station->test;
        uint64_t tag = (*message)->tag;
        if ((*message)->kind == SCOPE_KIND_TIMER) {
                ask(peer, test);
        } else if ((*message)->kind == SCOPE_KIND_NOTE) {
                heard_note(peer, test, *message);
        } else if ((*message)->kind == SCOPE_KIND_REPLIED) {
                return; /* for a replay: test_prm.c */
        } else if (tag == ASKED_MAX) { /* what nobody can read */
                assert_int_equal((*message)->kind, SCOPE_KIND_ERROR);
        } else {
                bool scored = (*message)->kind == SCOPE_KIND_SCORED;
                assert_true(tag < test->begun && test->took_ns[tag] == 0);
                test->took_ns[tag] = scope_now_ns(peer) - test->asked_ns[tag] + 1;
                test->err[tag] = scored ? SCOPE_OK : (*message)->err;
                test->scored += scored;
                test->failed += !scored;
                if (scored)
                        heard_scores(peer, test, *message);
        }
}

/* --- setup ------------------------------------------------------------------------------------ */

static void fill_item(struct test *test, uint32_t index)
{
        struct item *item = &test->items[index];
        const struct scope_tokenizer *tokenizer = test->station.tokenizer;
        size_t count;
        test->problem.count = test->gold.count = 0;
        world_problem(3, &test->problem, &item->text, &test->gold);
        char *digit = strstr(item->text.bytes, "\\boxed{") + 7;
        if (index > 0)
                *digit = *digit == '9' ? '8' : '9';
        assert_ok(scope_tokenizer_encode(tokenizer, item->text.bytes, item->text.count,
                item->tokens, TOKENS, &count));
        struct scope_string text = { item->text.bytes, (uint32_t)item->text.count };
        struct scope_string problem = { test->problem.bytes, (uint32_t)test->problem.count };
        for (size_t t = 0; t < count; t++)
                item->bytes[t] = scope_tokenizer_token_bytes(tokenizer, item->tokens[t]);
        uint32_t steps = scope_steps_split(text, item->step_ends, STEPS);
        assert_ok(scope_steps_token_ends(item->step_ends, steps, item->bytes, (uint32_t)count,
                item->step_token_ends));
        scope_prm_exact(problem, text, item->step_ends, steps, item->expected);
        assert_close(item->expected[steps - 1], index == 0, 0);
        item->item = (struct scope_score_item){ .sample = 2 * index,
                .text = text,
                .step_ends = item->step_ends,
                .step_count = steps,
                .prompt = test->prompt,
                .tokens = item->tokens,
                .token_count = (uint32_t)count,
                .step_token_ends = item->step_token_ends };
}

static void test_init(struct test *test, uint32_t count, const char *more)
{
        struct scope_teacher_script_options script = { .latency = "constant:20ms" };
        char toml[1024];
        size_t prompt;
        *test = (struct test){ .count = count, .rude_to = UINT32_MAX };
        test->station = (struct station){ .class_ = &scope_prm_http_class, .begin = begin,
                .hear = hear, .http = http, .test = test };
        (void)snprintf(toml, sizeof toml, "[prm]\nbackend = \"http\"\nmodel = \"qwen\"\n"
                "url = \"http://127.0.0.1:8000/\"\n%s", more);
        station_init(&test->station, toml);
        test->station.stages.resources.prm_key = REFINER_KEY;
        for (uint32_t i = 0; i < ITEMS; i++)
                fill_item(test, i);
        assert_ok(scope_tokenizer_encode(test->station.tokenizer, test->problem.bytes,
                test->problem.count, test->prompt, TOKENS, &prompt));
        for (uint32_t i = 0; i < ITEMS; i++)
                test->items[i].item.prompt_count = (uint32_t)prompt;
        assert_ok(scope_teacher_script_init(&test->script, &script, NULL));
        test->script.judge = scope_prm_exact;
}

static void test_fini(struct test *test)
{
        for (uint32_t i = 0; i < ITEMS; i++)
                scope_text_fini(&test->items[i].text);
        scope_text_fini(&test->problem);
        scope_text_fini(&test->gold);
        station_fini(&test->station);
}

static double gauge(const struct test *test, const char *name)
{
        for (uint32_t i = 0; i < test->gauge_count; i++)
                if (strcmp(test->names[i], name) == 0)
                        return test->gauges[i];
        fail_msg("no gauge %s", name);
        return 0;
}

/* Every request was answered once, and the counts say so. */
static void run(struct test *test)
{
        station_run(&test->station, "prm");
        assert_int_equal(test->begun, test->count);
        assert_int_equal(test->scored + test->failed, test->count);
        assert_close(gauge(test, "prm/unscored"), test->failed, 0);
}

/* --- scores ----------------------------------------------------------------------------------- */

static void test_scores_are_those_of_the_server(void **state)
{
        (void)state;
        static struct test test;
        test_init(&test, 20, "tau = 0.25\n");
        run(&test);
        assert_int_equal(test.scored, 20);
        assert_int_equal(test.calls, 20); /* a call a group */
        assert_int_equal(test.steps_sent,
                test.items[0].item.step_count + test.items[1].item.step_count);
        assert_close(gauge(&test, "prm/ok"), 20, 0);
        assert_true(gauge(&test, "prm/latency_p50") > 0.015);
        test_fini(&test);
}

static void test_steps_that_max_len_leaves_no_room_for_are_unverified(void **state)
{
        (void)state;
        static struct test test;
        test_init(&test, 1, "max_len = 40\n");
        uint32_t sent = 0;
        for (uint32_t i = 0; i < ITEMS; i++) {
                struct item *item = &test.items[i];
                for (uint32_t step = 0; step < item->item.step_count; step++) {
                        bool fits = item->item.prompt_count + item->step_token_ends[step] + step + 1
                                <= 40;
                        sent += fits;
                        if (!fits)
                                item->expected[step] = 0;
                }
        }
        run(&test);
        assert_int_equal(test.scored, 1);
        assert_int_equal(test.steps_sent, sent);
        assert_true(sent > 0 && sent < test.items[0].item.step_count +
                test.items[1].item.step_count);
        test_fini(&test);
}

/* Two at a time take ten rounds of 20 ms for 20 groups. */
static void test_concurrency_bounds_the_calls_in_flight(void **state)
{
        (void)state;
        static struct test test;
        test_init(&test, 20, "concurrency = 2\n");
        run(&test);
        assert_int_equal(test.scored, 20);
        assert_true(test.took_ns[19] >= REFINER_MS(200) && test.took_ns[0] < REFINER_MS(30));
        test_fini(&test);
}

/* --- failures --------------------------------------------------------------------------------- */

static bool with_status(struct test *test, uint32_t call, struct scope_sim_http *http_call)
{
        (void)call;
        http_call->status = test->status;
        say(http_call, "{\"error\":\"" REFINER_KEY "\"}");
        return true;
}

static bool with_nonsense(struct test *test, uint32_t call, struct scope_sim_http *http_call)
{
        static const char *const bodies[] = { "<html>", "{\"data\":[]}",
                "{\"data\":[{\"index\":0,\"data\":[[4.5,-1]]},{\"index\":1,\"data\":[]}]}" };
        (void)test;
        say(http_call, bodies[call % 3]);
        return true;
}

static bool never(struct test *test, uint32_t call, struct scope_sim_http *http_call)
{
        (void)test;
        (void)call;
        http_call->latency_ns = UINT64_MAX;
        return true;
}

static void test_what_fails_is_tried_again(void **state)
{
        (void)state;
        static struct test test;
        test_init(&test, 1, "max_retries = 2\n");
        test.rude = with_nonsense;
        test.rude_to = 2;
        run(&test);
        assert_int_equal(test.scored, 1);
        assert_int_equal(test.calls, 3);
        assert_close(gauge(&test, "prm/retries"), 2, 0);
        assert_close(gauge(&test, "prm/errors_malformed"), 2, 0);
        test_fini(&test);
        test_init(&test, 1, "max_retries = 1\n");
        test.rude = with_nonsense;
        run(&test);
        assert_int_equal(test.failed, 1);
        assert_int_equal(test.calls, 2);
        test_fini(&test);
}

static void test_what_would_fail_again_is_not_tried_again(void **state)
{
        (void)state;
        static struct test test;
        static const int32_t statuses[] = { 400, 401, 404 };
        for (int i = 0; i < 3; i++) {
                test_init(&test, 1, "");
                test.rude = with_status;
                test.status = statuses[i];
                run(&test);
                assert_int_equal(test.failed, 1);
                assert_int_equal(test.calls, 1);
                test_fini(&test);
        }
}

static void test_no_answer_comes_after_the_deadline(void **state)
{
        (void)state;
        static struct test test;
        test_init(&test, 3, "timeout = \"2s\"\ncircuit_failures = 100\n");
        test.rude = never;
        run(&test);
        assert_int_equal(test.failed, 3);
        for (uint32_t i = 0; i < 3; i++) {
                assert_int_equal(test.err[i], SCOPE_ERR_DEADLINE);
                assert_true(test.took_ns[i] >= REFINER_MS(2000) &&
                        test.took_ns[i] < REFINER_MS(2010));
        }
        test_fini(&test);
}

/* Three failures open it; then groups are answered at once, one probe a second tries again, and the
 * first that succeeds closes it. */
static void test_a_server_that_is_down_costs_nobody_time(void **state)
{
        (void)state;
        static struct test test;
        test_init(&test, 40, "max_retries = 0\ncircuit_failures = 3\ncircuit_reset = \"1s\"\n");
        test.every_ns = REFINER_MS(100);
        test.rude = with_status;
        test.rude_to = 5; /* three, and two probes */
        test.status = 500;
        run(&test);
        for (uint32_t i = 3; i < 10; i++) {
                assert_int_equal(test.err[i], SCOPE_ERR_NET);
                assert_true(test.took_ns[i] < REFINER_MS(1));
        }
        assert_true(test.failed > 25 && test.failed < 38);
        assert_int_equal(test.calls, 5 + test.scored);
        assert_int_equal(test.err[39], SCOPE_OK);
        assert_non_null(strstr(test.words, "no scores to be had: server (HTTP 500), 3 failures"));
        assert_non_null(strstr(test.words, "answers again"));
        assert_close(gauge(&test, "prm/circuit_open"), 0, 0);
        test_fini(&test);
}

static void test_a_reply_over_response_max_is_not_read(void **state)
{
        (void)state;
        static struct test test;
        test_init(&test, 1, "response_max = 1024\nmax_retries = 0\n");
        test.script.options.huge_bytes = 5000;
        test.script.fault[SCOPE_TEACHER_FAULT_HUGE] = 1;
        run(&test);
        assert_int_equal(test.failed, 1);
        test_fini(&test);
}

/* Whatever the network and the server do, each is answered once, in time. */
static void test_faults_of_every_kind_lose_no_request(void **state)
{
        (void)state;
        static struct test test;
        uint32_t scored = 0, failed = 0;
        for (uint64_t seed = 0; seed < 40; seed++) {
                test_init(&test, ASKED_MAX, "timeout = \"3s\"\ncircuit_reset = \"1s\"\n");
                test.every_ns = REFINER_MS(150);
                test.any_scores = true;
                test.station.seed = seed;
                test.station.faults = 1u << SCOPE_FAULT_HTTP_SLOW | 1u << SCOPE_FAULT_HTTP_FAIL |
                        1u << SCOPE_FAULT_HTTP_CUT | 1u << SCOPE_FAULT_HTTP_GARBAGE |
                        1u << SCOPE_FAULT_HTTP_HANG | 1u << SCOPE_FAULT_HTTP_BUSY;
                for (int fault = 0; fault < SCOPE_TEACHER_FAULT_COUNT; fault++)
                        if (fault != SCOPE_TEACHER_FAULT_HANG && fault != SCOPE_TEACHER_FAULT_HUGE)
                                test.script.fault[fault] = 0.01;
                run(&test);
                for (uint32_t i = 0; i < test.count; i++)
                        assert_true(test.took_ns[i] <= REFINER_MS(3100));
                scored += test.scored;
                failed += test.failed;
                test_fini(&test);
        }
        print_message("# %u scored, %u not\n", scored, failed);
        assert_true(scored > failed && failed > 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_scores_are_those_of_the_server),
                cmocka_unit_test(test_steps_that_max_len_leaves_no_room_for_are_unverified),
                cmocka_unit_test(test_concurrency_bounds_the_calls_in_flight),
                cmocka_unit_test(test_what_fails_is_tried_again),
                cmocka_unit_test(test_what_would_fail_again_is_not_tried_again),
                cmocka_unit_test(test_no_answer_comes_after_the_deadline),
                cmocka_unit_test(test_a_server_that_is_down_costs_nobody_time),
                cmocka_unit_test(test_a_reply_over_response_max_is_not_read),
                cmocka_unit_test(test_faults_of_every_kind_lose_no_request),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
