/* test_teacher_script.c - what the refiner writes the teacher understands, and it does as told. */
#include "tests/test.h"

#include "tasks/chain.h"
#include "tasks/refiner_prompt.h"
#include "tasks/teacher_reply.h"
#include "tasks/teacher_script.h"

#define PROBLEM "((9*9)+1)-5="

static struct scope_string string(const char *text)
{
        return (struct scope_string){ text, (uint32_t)strlen(text) };
}

static bool is(struct scope_string text, const char *want)
{
        return text.bytes == strlen(want) && memcmp(text.at, want, text.bytes) == 0;
}

static struct scope_teacher_script script_with(enum scope_teacher_fault fault, const char *latency)
{
        static const char *const names[] = {
#define X(name, key) key,
                SCOPE_TEACHER_FAULT_MAP(X)
#undef X
        };
        struct scope_teacher_script_options options = { .retry_delay = 1500000000,
                .huge_bytes = 100000 };
        struct scope_teacher_script script;
        struct scope_diag diag = { { 0 } };
        (void)snprintf(options.latency, sizeof options.latency, "%s", latency);
        if (fault != SCOPE_TEACHER_FAULT_NONE)
                (void)snprintf(options.faults, sizeof options.faults, "%s=1", names[fault]);
        if (scope_teacher_script_init(&script, &options, &diag) != SCOPE_OK)
                fail_msg("%s", diag.text);
        return script;
}

static struct scope_refiner_prompt prompt_with(
        const char *prefix, enum scope_refiner_form form, bool stream)
{
        return (struct scope_refiner_prompt){ string(PROBLEM), string("77"), string(prefix), form,
                "exact", 0, 200, stream };
}

static struct scope_teacher_response answer(const struct scope_teacher_script *script,
        const struct scope_refiner_prompt *prompt, uint64_t random)
{
        struct scope_text request = { 0 };
        struct scope_teacher_response response;
        scope_refiner_prompt_write(prompt, &request);
        assert_false(request.failed);
        scope_teacher_script_answer(script, request.bytes, request.count, random, 0, &response);
        assert_false(response.body.failed);
        scope_text_fini(&request);
        return response;
}

static struct scope_teacher_reply read_body(const struct scope_teacher_response *response)
{
        struct scope_teacher_reply reply;
        scope_teacher_reply_init(&reply, 4 << 20, 1 << 18);
        size_t count = response->cut < response->body.count ? response->cut : response->body.count;
        assert_ok(scope_teacher_reply_feed(&reply, response->body.bytes, count));
        scope_teacher_reply_end(&reply, response->cut == SIZE_MAX);
        return reply;
}

/* The content of the reply under `fault`; the rest of it in *ret_reply, which the caller finis. */
static const char *content(enum scope_teacher_fault fault, const char *prefix,
        enum scope_refiner_form form, bool stream, struct scope_teacher_reply *ret_reply)
{
        struct scope_teacher_script script = script_with(fault, "constant:20ms");
        struct scope_refiner_prompt prompt = prompt_with(prefix, form, stream);
        struct scope_teacher_response response = answer(&script, &prompt, 1);
        assert_int_equal(response.status, 200);
        assert_int_equal(response.fault, fault);
        assert_int_equal(response.latency_ns, 20000000);
        *ret_reply = read_body(&response);
        scope_text_fini(&response.body);
        return ret_reply->content.bytes;
}

/* ---- the prompt ---- */

static void test_parts_of_a_prompt_are_found_again(void **state)
{
        (void)state;
        /* our own marks inside the parts, as a student may write them */
        static const char *const prefixes[] = { "9*9=81\n\n", "a\n>>>\n\nb",
                "x\n\nSolution so far (checked, correct, frozen):\n<<<\ny", "Problem:\nz" };
        for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
                struct scope_refiner_prompt prompt = prompt_with(
                                                    prefixes[i], SCOPE_REFINER_INSTRUCT, false),
                                            parts;
                struct scope_text json = { 0 };
                scope_refiner_prompt_write(&prompt, &json);
                char *user = strstr(json.bytes, "\"user\",\"content\":\"") + 18;
                *strstr(user, "\"}") = 0;
                char text[4096];
                size_t count = 0;
                for (char *at = user; *at != 0; at++) {
                        if (*at == '\\' && at[1] == 'n')
                                text[count++] = '\n', at++;
                        else
                                text[count++] = *at;
                }
                scope_refiner_prompt_read((struct scope_string){ text, (uint32_t)count }, &parts);
                assert_true(is(parts.problem, PROBLEM));
                assert_true(is(parts.prefix, prefixes[i]));
                assert_true(is(parts.gold, "77"));
                scope_text_fini(&json);
        }
        struct scope_refiner_prompt bare;
        scope_refiner_prompt_read(string("1+2="), &bare);
        assert_true(is(bare.problem, "1+2=") && is(bare.prefix, "") && is(bare.gold, ""));
}

static void test_prompt_says_what_it_must(void **state)
{
        (void)state;
        struct scope_text json = { 0 };
        struct scope_refiner_prompt prompt =
                prompt_with("9*9=81\n\n", SCOPE_REFINER_INSTRUCT, true);
        scope_refiner_prompt_write(&prompt, &json);
        assert_non_null(strstr(json.bytes, SCOPE_REFUSAL_MARKER));
        assert_non_null(strstr(json.bytes, "\"max_tokens\":200"));
        assert_non_null(strstr(json.bytes, "\"include_usage\":true"));
        assert_null(strstr(json.bytes, "\"role\":\"assistant\""));
        scope_text_clear(&json);
        prompt.form = SCOPE_REFINER_PREFIX;
        scope_refiner_prompt_write(&prompt, &json);
        assert_non_null(strstr(json.bytes, "{\"role\":\"assistant\",\"content\":\"9*9=81\\n\\n\","
                                           "\"prefix\":true}]"));
        scope_text_clear(&json);
        prompt.form = SCOPE_REFINER_CONTINUE;
        prompt.stream = false;
        scope_refiner_prompt_write(&prompt, &json);
        assert_non_null(strstr(json.bytes, "\"continue_final_message\":true,"
                                           "\"add_generation_prompt\":false"));
        assert_null(strstr(json.bytes, "\"prefix\":true"));
        assert_null(strstr(json.bytes, "include_usage"));
        scope_text_clear(&json);
        prompt.prefix = string(""); /* k = 0: whatever the form, no empty message to go on from */
        scope_refiner_prompt_write(&prompt, &json);
        assert_non_null(strstr(json.bytes, "Write a complete solution."));
        assert_null(strstr(json.bytes, "\"role\":\"assistant\""));
        assert_null(strstr(json.bytes, SCOPE_REFUSAL_MARKER));
        scope_text_fini(&json);
}

/* ---- the answers ---- */

static void test_every_form_and_both_bodies_give_the_continuation(void **state)
{
        (void)state;
        for (int form = SCOPE_REFINER_INSTRUCT; form <= SCOPE_REFINER_CONTINUE; form++)
                for (int stream = 0; stream < 2; stream++) {
                        struct scope_teacher_reply reply;
                        assert_string_equal(content(SCOPE_TEACHER_FAULT_NONE, "9*9=81\n\n",
                                                    (enum scope_refiner_form)form, stream, &reply),
                                "81+1=82\n\n82-5=77\n\n\\boxed{77}");
                        assert_int_equal(reply.kind, SCOPE_REPLY_WHOLE);
                        assert_int_equal(reply.tokens_out, 7 + 1 + 7 + 1 + 4);
                        assert_true(reply.tokens_in > 100);
                        scope_teacher_reply_fini(&reply);
                        assert_string_equal(content(SCOPE_TEACHER_FAULT_NONE, "",
                                                    (enum scope_refiner_form)form, stream, &reply),
                                "9*9=81\n\n81+1=82\n\n82-5=77\n\n\\boxed{77}");
                        scope_teacher_reply_fini(&reply);
                }
}

static void test_faults_of_content_do_as_they_are_called(void **state)
{
        (void)state;
        const enum scope_refiner_form form = SCOPE_REFINER_INSTRUCT;
        struct scope_teacher_reply reply;
        for (int stream = 0; stream < 2; stream++) {
                const char *wrong = "9*9=80\n\n", *good = "9*9=81\n\n";
                assert_string_equal(content(SCOPE_TEACHER_FAULT_NONE, wrong, form, stream, &reply),
                        "80+1=81\n\n81-5=76\n\n\\boxed{76}");
                scope_teacher_reply_fini(&reply);
                assert_string_equal(
                        content(SCOPE_TEACHER_FAULT_SILENT, wrong, form, stream, &reply),
                        "81+1=82\n\n82-5=77\n\n\\boxed{77}");
                scope_teacher_reply_fini(&reply);
                assert_string_equal(content(SCOPE_TEACHER_FAULT_WRONG, good, form, stream, &reply),
                        "81+1=82\n\n82-5=77\n\n\\boxed{78}");
                scope_teacher_reply_fini(&reply);
                assert_string_equal(
                        content(SCOPE_TEACHER_FAULT_REFUSAL, good, form, stream, &reply),
                        SCOPE_REFUSAL_MARKER);
                scope_teacher_reply_fini(&reply);
                assert_string_equal(
                        content(SCOPE_TEACHER_FAULT_EMPTY, good, form, stream, &reply), "");
                assert_int_equal(reply.kind, SCOPE_REPLY_WHOLE);
                scope_teacher_reply_fini(&reply);
                assert_string_equal(content(SCOPE_TEACHER_FAULT_LENGTH, good, form, stream, &reply),
                        "81+1=82\n\n82");
                assert_int_equal(reply.kind, SCOPE_REPLY_TRUNCATED);
                scope_teacher_reply_fini(&reply);
                (void)content(SCOPE_TEACHER_FAULT_KEEP_ALIVE, good, form, stream, &reply);
                assert_int_equal(reply.kind, SCOPE_REPLY_WHOLE);
                assert_int_equal(reply.keep_alives, 3);
                scope_teacher_reply_fini(&reply);
                static const enum scope_teacher_fault broken[] = { SCOPE_TEACHER_FAULT_CUT,
                        SCOPE_TEACHER_FAULT_GARBAGE, SCOPE_TEACHER_FAULT_ERROR_CHUNK };
                for (int i = 0; i < 3; i++) {
                        (void)content(broken[i], good, form, stream, &reply);
                        assert_int_equal(reply.kind, SCOPE_REPLY_RETRYABLE);
                        scope_teacher_reply_fini(&reply);
                }
                (void)content(SCOPE_TEACHER_FAULT_HUGE, good, form, stream, &reply);
                assert_true(reply.content.count >= 100000);
                scope_teacher_reply_fini(&reply);
        }
}

static void test_refusing_teacher_refuses_wrong_prefixes_only(void **state)
{
        (void)state;
        struct scope_teacher_script script = script_with(SCOPE_TEACHER_FAULT_NONE, "constant:0");
        script.options.manner = SCOPE_CHAIN_REFUSE;
        static const char *const prefixes[] = { "9*9=80\n\n", "9*9=81\n\n" };
        for (int i = 0; i < 2; i++) {
                struct scope_refiner_prompt prompt =
                        prompt_with(prefixes[i], SCOPE_REFINER_INSTRUCT, false);
                struct scope_teacher_response response = answer(&script, &prompt, 1);
                struct scope_teacher_reply reply = read_body(&response);
                assert_int_equal(strstr(reply.content.bytes, SCOPE_REFUSAL_MARKER) != NULL, i == 0);
                scope_teacher_reply_fini(&reply);
                scope_text_fini(&response.body);
        }
}

static void test_faults_of_status_and_retry_after(void **state)
{
        (void)state;
        struct scope_refiner_prompt prompt = prompt_with("", SCOPE_REFINER_INSTRUCT, true);
        static const struct {
                enum scope_teacher_fault fault;
                int32_t status;
        } cases[] = { { SCOPE_TEACHER_FAULT_BUSY, 429 }, { SCOPE_TEACHER_FAULT_ERROR, 500 },
                { SCOPE_TEACHER_FAULT_UNAVAILABLE, 503 } };
        for (int i = 0; i < 3; i++) {
                struct scope_teacher_script script = script_with(cases[i].fault, "constant:0");
                static const char *const want[] = { "2", "Thu, 01 Jan 1970 00:00:02 GMT", "" };
                for (int form = 0; form < 3; form++) {
                        script.options.retry_after = form;
                        struct scope_teacher_response response = answer(&script, &prompt, 1);
                        assert_int_equal(response.status, cases[i].status);
                        assert_string_equal(response.retry_after, i == 0 ? want[form] : "");
                        scope_text_fini(&response.body);
                }
        }
        struct scope_teacher_script hangs = script_with(SCOPE_TEACHER_FAULT_HANG, "constant:0");
        struct scope_teacher_response response = answer(&hangs, &prompt, 1);
        assert_true(response.hang);
        assert_int_equal(response.body.count, 0);
}

static void test_bad_requests_get_a_400_that_says_why(void **state)
{
        (void)state;
        static const char *const requests[][2] = {
                { "", "not JSON" },
                { "[]", "not a JSON object" },
                { "{}", "role user" },
                { "{\"messages\":[{\"role\":\"system\",\"content\":\"1+2=\"}]}", "role user" },
                { "{\"messages\":[{\"role\":\"user\",\"content\":\"How are you?\"}]}",
                        "builtin:chain" },
                { "{\"messages\":[{\"role\":\"user\",\"content\":[1]}]}", "builtin:chain" },
                { "{\"messages\":[{\"role\":\"user\",\"content\":\"1+2=\"}],\"max_tokens\":0}",
                        "max_tokens" },
        };
        struct scope_teacher_script script = script_with(SCOPE_TEACHER_FAULT_NONE, "constant:0");
        for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
                struct scope_teacher_response response;
                scope_teacher_script_answer(
                        &script, requests[i][0], strlen(requests[i][0]), 1, 0, &response);
                assert_int_equal(response.status, 400);
                assert_non_null(strstr(response.body.bytes, requests[i][1]));
                scope_text_fini(&response.body);
        }
}

static void test_shares_of_faults_come_out_and_repeat(void **state)
{
        (void)state;
        struct scope_teacher_script_options options = { .latency = "uniform:10ms-30ms",
                .faults = "busy=0.2,wrong=0.3" };
        struct scope_teacher_script script;
        struct scope_diag diag;
        uint32_t counts[SCOPE_TEACHER_FAULT_COUNT + 1] = { 0 };
        struct scope_refiner_prompt prompt = prompt_with("", SCOPE_REFINER_INSTRUCT, false);
        assert_ok(scope_teacher_script_init(&script, &options, &diag));
        for (uint64_t i = 0; i < 4000; i++) {
                uint64_t random = scope_hash_pair(7, i);
                struct scope_teacher_response a = answer(&script, &prompt, random);
                struct scope_teacher_response b = answer(&script, &prompt, random);
                assert_int_equal(a.fault, b.fault);
                assert_int_equal(a.latency_ns, b.latency_ns);
                assert_string_equal(a.body.bytes, b.body.bytes);
                assert_in_range(a.latency_ns, 10000000, 30000000);
                counts[a.fault]++;
                scope_text_fini(&a.body);
                scope_text_fini(&b.body);
        }
        assert_in_range(counts[SCOPE_TEACHER_FAULT_BUSY], 700, 900);
        assert_in_range(counts[SCOPE_TEACHER_FAULT_WRONG], 1080, 1320);
        assert_int_equal(counts[SCOPE_TEACHER_FAULT_NONE],
                4000 - counts[SCOPE_TEACHER_FAULT_BUSY] - counts[SCOPE_TEACHER_FAULT_WRONG]);
}

static void test_bad_faults_are_refused(void **state)
{
        (void)state;
        static const char *const bad[] = { "busy", "busy=", "busy=2", "busy=-1", "busy=nan",
                "bus=0.1", "busy=0.1;cut=0.1", "busy=0.5,cut=0.6", "=1", ",", "busy=0.1,,cut=0.1" };
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
                struct scope_teacher_script_options options = { .latency = "constant:0" };
                struct scope_teacher_script script;
                struct scope_diag diag = { { 0 } };
                (void)snprintf(options.faults, sizeof options.faults, "%s", bad[i]);
                assert_int_equal(
                        scope_teacher_script_init(&script, &options, &diag), SCOPE_ERR_FORMAT);
                assert_non_null(strstr(diag.text, "keep_alive"));
        }
}

static double mean_of(const char *words, double *ret_least)
{
        struct scope_latency_law law;
        struct scope_rng rng = scope_rng_make(5);
        double sum = 0;
        enum { DRAWS = 200000 };
        assert_ok(scope_latency_law_parse(words, &law, NULL));
        *ret_least = 1e9;
        for (int i = 0; i < DRAWS; i++) {
                double seconds = (double)scope_latency_law_draw_ns(&law, &rng) * 1e-9;
                *ret_least = seconds < *ret_least ? seconds : *ret_least;
                sum += seconds;
        }
        return sum / DRAWS;
}

static void test_latencies_have_the_means_they_claim(void **state)
{
        (void)state;
        double least;
        assert_close(mean_of("constant:1.5", &least), 1.5, 1e-6);
        assert_close(mean_of("uniform:100ms-300ms", &least), 0.2, 0.002);
        assert_close(mean_of("lognormal:200ms,0.8", &least), 0.2, 0.003);
        assert_close(mean_of("pareto:50us,3", &least), 75e-6, 2e-6); /* min * alpha / (alpha - 1) */
        assert_true(least >= 50e-6 - 1e-9);
        static const char *const bad[] = { "", "constant", "constant:", "constant:-1",
                "constant:1h", "constant:2m-3m", "uniform:20ms", "uniform:20ms-10ms", "uniform:1,2",
                "lognormal:1s", "lognormal:1s,0", "lognormal:1s,x", "pareto:1s,-1", "pareto:1s,101",
                "constant:3601", "normal:1,2", "constant:nan" };
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
                struct scope_latency_law law;
                struct scope_diag diag;
                assert_int_equal(scope_latency_law_parse(bad[i], &law, &diag), SCOPE_ERR_FORMAT);
                assert_non_null(strstr(diag.text, "lognormal:200ms,0.8"));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parts_of_a_prompt_are_found_again),
                cmocka_unit_test(test_prompt_says_what_it_must),
                cmocka_unit_test(test_every_form_and_both_bodies_give_the_continuation),
                cmocka_unit_test(test_faults_of_content_do_as_they_are_called),
                cmocka_unit_test(test_refusing_teacher_refuses_wrong_prefixes_only),
                cmocka_unit_test(test_faults_of_status_and_retry_after),
                cmocka_unit_test(test_bad_requests_get_a_400_that_says_why),
                cmocka_unit_test(test_shares_of_faults_come_out_and_repeat),
                cmocka_unit_test(test_bad_faults_are_refused),
                cmocka_unit_test(test_latencies_have_the_means_they_claim),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
