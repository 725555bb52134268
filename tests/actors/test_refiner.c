/* The refiner in the simulated environment: every answer, every wait, every way a teacher fails. */
#include "tests/actors/world.h"

#include <jansson.h>

#include "actors/call_gate.h"
#include "algorithm/mix.h"
#include "base/text.h"
#include "runtime/simulation.h"
#include "tasks/refiner_prompt.h"
#include "tasks/teacher_script.h"

/* The teacher of a test: a script, and what it does to call number i. */
struct teacher {
        struct world world;
        struct scope_teacher_script script;
        uint32_t calls;
        uint64_t call_ns[1024];
        double temperature[1024];
        /* Fills status and body instead of the script; false: let the script answer. */
        bool (*rude)(struct teacher *teacher, uint32_t call, struct scope_sim_http *http);
        int32_t status;
        uint32_t rude_from, rude_to; /* calls */
        const char *content;
};

static void set_body(struct scope_sim_http *http, const char *text)
{
        http->body_bytes = strlen(text);
        assert_true(http->body_bytes <= http->body_capacity);
        memcpy(http->body, text, http->body_bytes);
}

/* How the server is told to go on in the middle of a text. */
static void check_style(const json_t *body, int style)
{
        const json_t *messages = json_object_get(body, "messages");
        const json_t *last = json_array_get(messages, json_array_size(messages) - 1);
        const char *role = json_string_value(json_object_get(last, "role"));
        assert_string_equal(role, style == SCOPE_STYLE_INSTRUCT ? "user" : "assistant");
        assert_int_equal(
                json_is_true(json_object_get(last, "prefix")), style == SCOPE_STYLE_PREFIX);
        assert_int_equal(json_is_true(json_object_get(body, "continue_final_message")),
                style == SCOPE_STYLE_CONTINUE);
}

static void check_request(struct teacher *teacher, const struct scope_http_request *request)
{
        json_t *body = json_loadb(request->body, request->body_bytes, 0, NULL);
        assert_non_null(body);
        assert_string_equal(request->url, "http://127.0.0.1:1/v1/chat/completions");
        assert_string_equal(request->method, "POST");
        assert_string_equal(request->bearer, REFINER_KEY);
        const struct scope_teacher_options *options = &teacher->world.options.teacher;
        assert_int_equal(request->connect_timeout_ns, options->connect_timeout);
        assert_int_equal(request->idle_timeout_ns, options->idle_timeout);
        assert_int_equal(request->response_bytes_max, options->response_max);
        check_style(body, options->style);
        assert_string_equal(json_string_value(json_object_get(body, "model")), "solver");
        teacher->temperature[teacher->calls] =
                json_number_value(json_object_get(body, "temperature"));
        json_decref(body);
}

static void http(void *context, struct scope_sim_http *call)
{
        struct teacher *teacher = context;
        struct scope_teacher_response response;
        uint32_t number = teacher->calls;
        assert_true(number < 1024);
        check_request(teacher, call->request);
        teacher->calls++;
        call->status = 200;
        call->retry_after_ns = -1;
        call->latency_ns = REFINER_MS(20);
        if (teacher->rude != NULL && number >= teacher->rude_from && number < teacher->rude_to &&
                teacher->rude(teacher, number, call))
                return;
        scope_teacher_script_answer(&teacher->script, call->request->body,
                call->request->body_bytes, call->random, 0, &response);
        call->status = response.status;
        call->latency_ns = response.latency_ns;
        assert_false(response.body.failed);
        if (response.body.count <= call->body_capacity) {
                call->body_bytes = response.body.count;
                memcpy(call->body, response.body.bytes, response.body.count);
        }
        scope_text_fini(&response.body);
}

static void teacher_init(struct teacher *teacher, uint32_t requests)
{
        struct scope_teacher_script_options options = { .latency = "constant:20ms" };
        *teacher = (struct teacher){ .calls = 0 };
        world_init(&teacher->world, requests);
        assert_ok(scope_teacher_script_init(&teacher->script, &options, NULL));
        teacher->rude_to = UINT32_MAX;
}

static enum scope_err run(struct teacher *teacher, uint64_t seed, uint32_t faults)
{
        struct scope_system_options options = world_options(&teacher->world, seed);
        struct scope_sim_options sim = {
                .seed = seed,
                .faults = faults,
                .heal_ns = REFINER_MS(20000),
                .stop_ns = REFINER_MS(600000),
                .events_max = 1000000,
                .http = http,
                .context = teacher,
        };
        assert_ok(scope_simulation_create(&options, &sim, &teacher->world.system));
        world_add(&teacher->world);
        return scope_system_run(teacher->world.system);
}

/* --- answers ---------------------------------------------------------------------------------- */

static void test_good_suffixes_are_accepted(void **state)
{
        (void)state;
        struct teacher teacher;
        teacher_init(&teacher, 12);
        assert_ok(run(&teacher, 1, 0));
        for (uint32_t i = 0; i < 12; i++) {
                const struct asked *asked = &teacher.world.asked[i];
                struct scope_text problem = { 0 }, solution = { 0 }, gold = { 0 };
                world_problem(i, &problem, &solution, &gold);
                assert_int_equal(asked->verdict, SCOPE_REFINE_ACCEPTED);
                assert_int_equal(asked->calls, 1);
                assert_int_equal(asked->last_token, EOS);
                /* what came is the end of the one solution, nothing before it */
                size_t count = strlen(asked->text);
                assert_true(count > 0 && count <= solution.count);
                assert_string_equal(asked->text, solution.bytes + solution.count - count);
                assert_int_equal(asked->text[0] == '\n', false);
                scope_text_fini(&problem);
                scope_text_fini(&solution);
                scope_text_fini(&gold);
        }
        assert_int_equal(teacher.world.states, 0);
        assert_close(world_gauge(&teacher.world, "teacher/calls"), 12, 0);
        assert_close(world_gauge(&teacher.world, "teacher/accepted"), 12, 0);
        assert_close(world_gauge(&teacher.world, "teacher/errors"), 0, 0);
        assert_close(world_gauge(&teacher.world, "teacher/latency_p50"), 0.02, 0.005);
        world_fini(&teacher.world);
}

static bool say(struct teacher *teacher, uint32_t call, struct scope_sim_http *http)
{
        char body[1024];
        (void)call;
        (void)snprintf(body, sizeof body,
                "\n\n{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
                "\"%s\"},\"finish_reason\":\"stop\"}],"
                "\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}",
                teacher->content);
        set_body(http, body);
        return true;
}

/* One request that gets `content` from calls `from` to `to`. */
static struct asked say_once(const char *content, uint32_t to, struct teacher *ret)
{
        teacher_init(ret, 1);
        ret->rude = say;
        ret->content = content;
        ret->rude_to = to;
        assert_ok(run(ret, 1, 0));
        return ret->world.asked[0];
}

static void test_rejected_reply_gets_one_warmer_try(void **state)
{
        (void)state;
        struct teacher teacher;
        struct asked asked = say_once("1+1=3\\n\\n\\\\boxed{3000}", 1, &teacher);
        assert_int_equal(asked.verdict, SCOPE_REFINE_ACCEPTED);
        assert_int_equal(asked.calls, 2);
        assert_close(teacher.temperature[0], 0, 0);
        assert_close(teacher.temperature[1], 0.625, 0);
        world_fini(&teacher.world);
        asked = say_once("1+1=3\\n\\n\\\\boxed{3000}", 100, &teacher);
        assert_int_equal(asked.verdict, SCOPE_REFINE_WRONG_ANSWER);
        assert_int_equal(asked.calls, 2); /* although max_retries = 2: the single retry */
        assert_close(world_gauge(&teacher.world, "teacher/rejected"), 1, 0);
        assert_close(world_gauge(&teacher.world, "teacher/tokens_in"), 14, 0);
        assert_close(world_gauge(&teacher.world, "teacher/tokens_out"), 6, 0);
        world_fini(&teacher.world);
}

static void test_every_style_is_asked_and_accepted(void **state)
{
        (void)state;
        for (int style = SCOPE_STYLE_INSTRUCT; style <= SCOPE_STYLE_CONTINUE; style++) {
                struct teacher teacher;
                teacher_init(&teacher, 1);
                teacher.world.options.teacher.style = style;
                teacher.world.asked[0].kept = 1; /* without a prefix all styles are alike */
                assert_ok(run(&teacher, 1, 0));
                assert_int_equal(teacher.world.asked[0].verdict, SCOPE_REFINE_ACCEPTED);
                world_fini(&teacher.world);
        }
}

static void test_verdicts(void **state)
{
        (void)state;
        struct teacher teacher;
        char gold[64], content[256];
        struct scope_text problem = { 0 }, solution = { 0 }, answer = { 0 };
        world_problem(0, &problem, &solution, &answer);
        (void)snprintf(gold, sizeof gold, "\\\\boxed{%s}", answer.bytes);
        assert_int_equal(
                say_once(SCOPE_REFUSAL_MARKER, 100, &teacher).verdict, SCOPE_REFINE_REFUSED);
        assert_int_equal(teacher.calls, 1); /* a refusal is no reason to ask again */
        world_fini(&teacher.world);
        assert_int_equal(say_once("  ", 100, &teacher).verdict, SCOPE_REFINE_EMPTY);
        world_fini(&teacher.world);
        (void)snprintf(content, sizeof content, "As the given answer is known,\\n\\n%s", gold);
        assert_int_equal(say_once(content, 100, &teacher).verdict, SCOPE_REFINE_LEAKS);
        world_fini(&teacher.world);
        (void)snprintf(
                content, sizeof content, "So it is:\\n\\n%s", gold); /* no token has letters */
        assert_int_equal(say_once(content, 100, &teacher).verdict, SCOPE_REFINE_NOT_TEXT);
        world_fini(&teacher.world);
        (void)snprintf(content, sizeof content, "%.180s%s",
                "1+1=2\\n\\n1+1=2\\n\\n1+1=2\\n\\n1+1=2\\n\\n1+1=2\\n\\n1+1=2\\n\\n", gold);
        teacher_init(&teacher, 1);
        teacher.rude = say;
        teacher.content = content;
        teacher.world.asked[0].suffix_max = 20;
        assert_ok(run(&teacher, 1, 0));
        assert_int_equal(teacher.world.asked[0].verdict, SCOPE_REFINE_TOO_LONG);
        world_fini(&teacher.world);
        scope_text_fini(&problem);
        scope_text_fini(&solution);
        scope_text_fini(&answer);
}

/* --- failures --------------------------------------------------------------------------------- */

static bool fail_with_status(struct teacher *teacher, uint32_t call, struct scope_sim_http *http)
{
        (void)call;
        http->status = teacher->status;
        set_body(http, "{\"error\":{\"message\":\"Incorrect API key: " REFINER_KEY "\"}}");
        return true;
}

static bool hang(struct teacher *teacher, uint32_t call, struct scope_sim_http *http)
{
        (void)teacher;
        (void)call;
        http->latency_ns = REFINER_MS(3600000);
        return true;
}

static bool busy_for_3_s(struct teacher *teacher, uint32_t call, struct scope_sim_http *http)
{
        (void)teacher;
        (void)call;
        http->status = 429;
        http->retry_after_ns = (int64_t)REFINER_MS(3000);
        return true;
}

static bool no_quota(struct teacher *teacher, uint32_t call, struct scope_sim_http *http)
{
        (void)teacher;
        (void)call;
        http->status = 429;
        set_body(http, "{\"error\":{\"message\":\"m\",\"code\":\"insufficient_quota\"}}");
        return true;
}

static void test_server_errors_are_retried(void **state)
{
        (void)state;
        struct teacher teacher;
        teacher_init(&teacher, 1);
        teacher.rude = fail_with_status;
        teacher.status = 500;
        teacher.rude_to = 2;
        assert_ok(run(&teacher, 1, 0));
        assert_int_equal(teacher.world.asked[0].verdict, SCOPE_REFINE_ACCEPTED);
        assert_int_equal(teacher.world.asked[0].calls, 3);
        assert_close(world_gauge(&teacher.world, "teacher/errors_server"), 2, 0);
        assert_close(world_gauge(&teacher.world, "teacher/retries"), 2, 0);
        world_fini(&teacher.world);
}

static void test_retry_after_is_obeyed(void **state)
{
        (void)state;
        struct teacher teacher;
        teacher_init(&teacher, 2);
        teacher.world.asked[1].at_ns = REFINER_MS(100); /* held back by the first one's 429 */
        teacher.rude = busy_for_3_s;
        teacher.rude_to = 1;
        assert_ok(run(&teacher, 1, 0));
        assert_int_equal(teacher.world.asked[0].verdict, SCOPE_REFINE_ACCEPTED);
        assert_int_equal(teacher.world.asked[1].verdict, SCOPE_REFINE_ACCEPTED);
        assert_true(teacher.world.asked[0].took_ns >= REFINER_MS(3000));
        assert_true(teacher.world.asked[0].took_ns < REFINER_MS(3300));
        assert_true(teacher.world.asked[1].took_ns >= REFINER_MS(2900));
        assert_close(world_gauge(&teacher.world, "teacher/errors_busy"), 1, 0);
        world_fini(&teacher.world);
}

static void test_deadline_is_kept_when_the_teacher_hangs(void **state)
{
        (void)state;
        struct teacher teacher;
        teacher_init(&teacher, 6);
        teacher.rude = hang;
        teacher.world.options.teacher.circuit_failures = 1000;
        teacher.world.asked[1].timeout_ns = REFINER_MS(500);
        assert_ok(run(&teacher, 1, 0));
        for (uint32_t i = 0; i < 6; i++) {
                const struct asked *asked = &teacher.world.asked[i];
                uint64_t limit = REFINER_MS(i == 1 ? 500 : 10000);
                assert_false(asked->error);
                assert_true(asked->took_ns >= limit && asked->took_ns < limit + REFINER_MS(10));
                assert_int_equal(asked->verdict,
                        asked->calls > 0 ? SCOPE_REFINE_FAILED : SCOPE_REFINE_SKIPPED);
        }
        world_fini(&teacher.world);
}

/* Dead for the first calls: the circuit opens, nothing is sent, a probe finds it alive again. */
static void test_dead_teacher_opens_the_circuit_until_a_probe_succeeds(void **state)
{
        (void)state;
        struct teacher teacher;
        teacher_init(&teacher, 40);
        teacher.rude = fail_with_status;
        teacher.status = 500;
        teacher.rude_to = 9;
        for (uint32_t i = 20; i < 40; i++)
                teacher.world.asked[i].at_ns = REFINER_MS(i < 30 ? 2000 : 15000);
        assert_ok(run(&teacher, 1, 0));
        for (uint32_t i = 0; i < 40; i++) {
                enum scope_refine_verdict verdict = teacher.world.asked[i].verdict;
                if (i >= 30)
                        assert_int_equal(verdict, SCOPE_REFINE_ACCEPTED);
                else if (i >= 20)
                        assert_int_equal(verdict, SCOPE_REFINE_SKIPPED);
                else
                        assert_true(
                                verdict == SCOPE_REFINE_SKIPPED || verdict == SCOPE_REFINE_FAILED);
        }
        assert_int_equal(teacher.world.states, 2);
        assert_false(teacher.world.up[0]);
        assert_true(teacher.world.up[1]);
        assert_true(teacher.world.up_ns[1] - teacher.world.up_ns[0] >= REFINER_MS(3000));
        assert_int_equal(teacher.world.events, 2);
        assert_true(teacher.calls < 9 + 3 + 12);
        world_fini(&teacher.world);
}

static void test_fatal_statuses_open_at_once_and_say_what_to_do(void **state)
{
        (void)state;
        static const int32_t statuses[] = { 401, 402, 403, 404, 422, 429 };
        for (unsigned i = 0; i < 6; i++) {
                struct teacher teacher;
                teacher_init(&teacher, 3);
                teacher.world.asked[1].at_ns = teacher.world.asked[2].at_ns = REFINER_MS(100);
                teacher.rude = statuses[i] == 429 ? no_quota : fail_with_status;
                teacher.status = statuses[i];
                assert_ok(run(&teacher, 1, 0));
                assert_int_equal(teacher.world.asked[0].verdict, SCOPE_REFINE_FAILED);
                assert_int_equal(teacher.world.asked[0].calls, 1);
                assert_int_equal(teacher.world.asked[1].verdict, SCOPE_REFINE_SKIPPED);
                assert_int_equal(teacher.world.asked[2].verdict, SCOPE_REFINE_SKIPPED);
                assert_non_null(strstr(teacher.world.words, scope_call_advice(statuses[i])));
                world_fini(&teacher.world);
        }
}

static void test_budget_is_kept(void **state)
{
        (void)state;
        struct teacher teacher;
        teacher_init(&teacher, 20);
        teacher.world.options.teacher.calls_max = 7;
        assert_ok(run(&teacher, 1, 0));
        uint32_t accepted = 0, skipped = 0;
        for (uint32_t i = 0; i < 20; i++) {
                accepted += teacher.world.asked[i].verdict == SCOPE_REFINE_ACCEPTED;
                skipped += teacher.world.asked[i].verdict == SCOPE_REFINE_SKIPPED;
        }
        assert_int_equal(teacher.calls, 7);
        assert_int_equal(accepted, 7);
        assert_int_equal(skipped, 13);
        assert_int_equal(teacher.world.states, 1);
        assert_false(teacher.world.up[0]);
        world_fini(&teacher.world);
}

static void test_wait_retries_until_the_teacher_is_back(void **state)
{
        (void)state;
        struct teacher teacher;
        teacher_init(&teacher, 4);
        teacher.world.options.teacher.on_down = SCOPE_DOWN_WAIT;
        teacher.world.options.teacher.deadline = (int64_t)REFINER_MS(60000);
        for (uint32_t i = 0; i < 4; i++)
                teacher.world.asked[i].timeout_ns = REFINER_MS(60000);
        teacher.rude = fail_with_status;
        teacher.status = 503;
        teacher.rude_to = 12;
        assert_ok(run(&teacher, 1, 0));
        for (uint32_t i = 0; i < 4; i++)
                assert_int_equal(teacher.world.asked[i].verdict, SCOPE_REFINE_ACCEPTED);
        assert_int_equal(teacher.world.states, 0); /* groups go on asking */
        world_fini(&teacher.world);
}

static void test_stop_ends_the_system_with_the_reason(void **state)
{
        (void)state;
        struct teacher teacher;
        teacher_init(&teacher, 8);
        teacher.world.options.teacher.on_down = SCOPE_DOWN_STOP;
        for (uint32_t i = 0; i < 8; i++)
                teacher.world.asked[i].at_ns = REFINER_MS(100) * i;
        teacher.rude = fail_with_status;
        teacher.status = 401;
        enum scope_err err = run(&teacher, 1, 0);
        assert_int_equal(err, SCOPE_ERR_NET);
        assert_non_null(strstr(scope_system_cause(teacher.world.system), "refiner"));
        assert_non_null(strstr(scope_system_cause(teacher.world.system), "fatal (HTTP 401)"));
        /* at once: another life of the refiner would find the same teacher */
        assert_null(strstr(scope_system_cause(teacher.world.system), "restart"));
        world_fini(&teacher.world);
}

static void test_drain_answers_everybody_at_once(void **state)
{
        (void)state;
        struct teacher teacher;
        teacher_init(&teacher, 10);
        teacher.rude = hang;
        teacher.world.answered = 0;
        struct scope_system_options options = world_options(&teacher.world, 1);
        struct scope_sim_options sim = { .seed = 1,
                .stop_ns = REFINER_MS(600000),
                .events_max = 100000,
                .http = http,
                .context = &teacher };
        assert_ok(scope_simulation_create(&options, &sim, &teacher.world.system));
        world_add(&teacher.world);
        teacher.world.stay_ns = 0;
        scope_system_drain(teacher.world.system, REFINER_MS(60000));
        assert_ok(scope_system_run(teacher.world.system));
        for (uint32_t i = 0; i < 10; i++)
                assert_true(teacher.world.asked[i].took_ns < REFINER_MS(100));
        world_fini(&teacher.world);
}

/* --- chance ----------------------------------------------------------------------------------- */

static void test_faults_never_lose_or_repeat_an_answer(void **state)
{
        (void)state;
        uint32_t verdicts[SCOPE_REFINE_COUNT] = { 0 }, errors = 0;
        for (uint64_t seed = 0; seed < 400; seed++) {
                struct teacher teacher;
                struct scope_sim_result result;
                uint32_t faults = 0;
                for (unsigned fault = 0; fault < SCOPE_FAULT_COUNT; fault++)
                        faults |= 1u << fault;
                faults &= ~(1u << SCOPE_FAULT_ACTOR_CRASH | 1u << SCOPE_FAULT_FILE_SLOW |
                            1u << SCOPE_FAULT_FILE_FULL | 1u << SCOPE_FAULT_FILE_FAIL);
                teacher_init(&teacher, 40);
                teacher.world.options.teacher.on_down =
                        seed % 4 == 3 ? SCOPE_DOWN_WAIT : SCOPE_DOWN_DEGRADE;
                teacher.world.options.teacher.stream = seed % 2 == 1;
                for (uint32_t i = 0; i < 40; i++)
                        teacher.world.asked[i].at_ns = REFINER_MS(200) * i;
                enum scope_err err = run(&teacher, seed, faults);
                scope_simulation_result(teacher.world.system, &result);
                if (err != SCOPE_OK || result.violation != NULL)
                        fail_msg("seed %llu: %s, %s", (unsigned long long)seed,
                                scope_system_cause(teacher.world.system),
                                result.violation != NULL ? result.violation : "no violation");
                for (uint32_t i = 0; i < 40; i++) {
                        const struct asked *asked = &teacher.world.asked[i];
                        assert_true(asked->answered);
                        errors += asked->error;
                        if (!asked->error)
                                verdicts[asked->verdict]++;
                        assert_true(asked->took_ns < REFINER_MS(12000));
                }
                world_fini(&teacher.world);
        }
        assert_true(verdicts[SCOPE_REFINE_ACCEPTED] > 4000);
        assert_true(verdicts[SCOPE_REFINE_FAILED] > 100 && verdicts[SCOPE_REFINE_SKIPPED] > 100);
        assert_true(errors < 400);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_good_suffixes_are_accepted),
                cmocka_unit_test(test_rejected_reply_gets_one_warmer_try),
                cmocka_unit_test(test_every_style_is_asked_and_accepted),
                cmocka_unit_test(test_verdicts),
                cmocka_unit_test(test_server_errors_are_retried),
                cmocka_unit_test(test_retry_after_is_obeyed),
                cmocka_unit_test(test_deadline_is_kept_when_the_teacher_hangs),
                cmocka_unit_test(test_dead_teacher_opens_the_circuit_until_a_probe_succeeds),
                cmocka_unit_test(test_fatal_statuses_open_at_once_and_say_what_to_do),
                cmocka_unit_test(test_budget_is_kept),
                cmocka_unit_test(test_wait_retries_until_the_teacher_is_back),
                cmocka_unit_test(test_stop_ends_the_system_with_the_reason),
                cmocka_unit_test(test_drain_answers_everybody_at_once),
                cmocka_unit_test(test_faults_never_lose_or_repeat_an_answer),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
