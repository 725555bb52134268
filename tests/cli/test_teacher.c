/* test_teacher.c - the teacher over real HTTP, as the refiner and a person with curl meet it. */
#include "tests/test.h"

#include <curl/curl.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "cli/teacher_server.h"
#include "tasks/refiner_prompt.h"
#include "tasks/teacher_reply.h"

struct fixture {
        struct scope_teacher_server *server;
        pthread_t thread;
        char base[64];
};

static void *serve(void *context)
{
        struct fixture *fixture = context;
        assert_true(scope_teacher_server_run(fixture->server) == SCOPE_OK);
        return NULL;
}

static struct scope_teacher_server_options options_with(const char *faults, const char *latency)
{
        struct scope_teacher_server_options options = {
                .listen = "127.0.0.1:0", .model = "exact", .concurrency = 8
        };
        options.script.retry_delay = 2000000000;
        options.script.huge_bytes = 1 << 20;
        options.script.seed = 3;
        (void)snprintf(options.script.faults, sizeof options.script.faults, "%s", faults);
        (void)snprintf(options.script.latency, sizeof options.script.latency, "%s", latency);
        return options;
}

static void start(struct fixture *fixture, const struct scope_teacher_server_options *options)
{
        struct scope_diag diag = { { 0 } };
        if (scope_teacher_server_create(options, &fixture->server, &diag) != SCOPE_OK)
                fail_msg("%s", diag.text);
        (void)snprintf(fixture->base, sizeof fixture->base, "http://127.0.0.1:%u",
                scope_teacher_server_port(fixture->server));
        assert_int_equal(pthread_create(&fixture->thread, NULL, serve, fixture), 0);
}

static struct scope_teacher_counts stop(struct fixture *fixture)
{
        scope_teacher_server_stop(fixture->server);
        assert_int_equal(pthread_join(fixture->thread, NULL), 0);
        struct scope_teacher_counts counts = scope_teacher_server_counts(fixture->server);
        scope_teacher_server_destroy(fixture->server);
        return counts;
}

/* ---- a client ---- */

struct result {
        CURLcode code;
        long status, retry_after;
        char type[64];
        double seconds;
        struct scope_text body;
};

static size_t take(char *bytes, size_t size, size_t count, void *context)
{
        scope_text_add(context, bytes, size * count);
        return size * count;
}

/* GET where `body` is NULL. */
static struct result call(const struct fixture *fixture, const char *path, const char *body,
        const char *header, long timeout_ms)
{
        struct result result = { .retry_after = -1 };
        char url[160];
        curl_off_t retry = 0;
        char *type = NULL;
        CURL *curl = curl_easy_init();
        struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
        if (header != NULL)
                headers = curl_slist_append(headers, header);
        scope_text_string(&result.body, "");
        (void)snprintf(url, sizeof url, "%s%s", fixture->base, path);
        (void)curl_easy_setopt(curl, CURLOPT_URL, url);
        (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
        (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        (void)curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
        (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms);
        (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
        (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &result.body);
        if (body != NULL)
                (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
        result.code = curl_easy_perform(curl);
        (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &result.status);
        (void)curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &retry);
        (void)curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
        (void)curl_easy_getinfo(curl, CURLINFO_TOTAL_TIME, &result.seconds);
        (void)snprintf(result.type, sizeof result.type, "%s", type != NULL ? type : "");
        result.retry_after = (long)retry;
        curl_slist_free_all(headers);
        curl_easy_cleanup(curl);
        return result;
}

static struct scope_string string(const char *text)
{
        return (struct scope_string){ text, (uint32_t)strlen(text) };
}

static struct result ask(
        const struct fixture *fixture, const char *prefix, bool stream, long timeout_ms)
{
        struct scope_refiner_prompt prompt = { string("((9*9)+1)-5="), string("77"), string(prefix),
                SCOPE_REFINER_INSTRUCT, "exact", 0, 200, stream };
        struct scope_text body = { 0 };
        scope_refiner_prompt_write(&prompt, &body);
        struct result result = call(fixture, "/v1/chat/completions", body.bytes,
                "Content-Type: application/json", timeout_ms);
        scope_text_fini(&body);
        return result;
}

/* Reads the body as the refiner does and frees it. */
static struct scope_teacher_reply reply_of(struct result *result)
{
        struct scope_teacher_reply reply;
        scope_teacher_reply_init(&reply, 8 << 20, 4 << 20);
        assert_ok(scope_teacher_reply_feed(&reply, result->body.bytes, result->body.count));
        scope_teacher_reply_end(&reply, result->code == CURLE_OK);
        scope_text_fini(&result->body);
        return reply;
}

/* ---- tests ---- */

static void test_a_whole_exchange_with_and_without_stream(void **state)
{
        (void)state;
        struct fixture fixture;
        struct scope_teacher_server_options options = options_with("", "constant:30ms");
        start(&fixture, &options);
        for (int stream = 0; stream < 2; stream++) {
                struct result result = ask(&fixture, "9*9=80\n\n", stream, 5000);
                assert_int_equal(result.code, CURLE_OK);
                assert_int_equal(result.status, 200);
                assert_string_equal(result.type, stream ? "text/event-stream" : "application/json");
                assert_true(result.seconds >= 0.03);
                struct scope_teacher_reply reply = reply_of(&result);
                assert_int_equal(reply.kind, SCOPE_REPLY_WHOLE);
                assert_string_equal(reply.content.bytes, "80+1=81\n\n81-5=76\n\n\\boxed{76}");
                assert_true(reply.tokens_in > 0 && reply.tokens_out == 20);
                scope_teacher_reply_fini(&reply);
        }
        struct scope_teacher_counts counts = stop(&fixture);
        assert_int_equal(counts.calls, 2);
        assert_int_equal(counts.faults + counts.throttled + counts.gone, 0);
}

static void test_other_paths_and_methods(void **state)
{
        (void)state;
        static const struct {
                const char *path, *body;
                long status;
                const char *says;
        } cases[] = {
                { "/health", NULL, 200, "\"status\":\"ok\"" },
                { "/v1/models", NULL, 200, "\"id\":\"exact\"" },
                { "/v1/chat/completions", NULL, 405, "method" },
                { "/health", "{}", 405, "method" },
                { "/v1/completions", "{}", 404, "path" },
                { "/v1/chat/completions", "", 400, "not JSON" },
                { "/v1/chat/completions",
                        "{\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}", 400,
                        "builtin:chain" },
                { "/v1/chat/completions",
                        "{\"messages\":[{\"role\":\"user\",\"content\":\"(2*3)+4=\"}]}", 200,
                        "2*3=6\\n\\n6+4=10\\n\\n\\\\boxed{10}" },
        };
        struct fixture fixture;
        struct scope_teacher_server_options options = options_with("", "constant:0");
        start(&fixture, &options);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct result result = call(&fixture, cases[i].path, cases[i].body, NULL, 5000);
                assert_int_equal(result.code, CURLE_OK);
                assert_int_equal(result.status, cases[i].status);
                if (strstr(result.body.bytes, cases[i].says) == NULL)
                        fail_msg("%s: %s", cases[i].path, result.body.bytes);
                scope_text_fini(&result.body);
        }
        size_t count = (8 << 20) + 10;
        char *large = malloc(count + 1);
        memset(large, ' ', count);
        large[count] = 0;
        struct result result = call(&fixture, "/v1/chat/completions", large, NULL, 5000);
        assert_int_equal(result.status, 413);
        scope_text_fini(&result.body);
        free(large);
        (void)stop(&fixture);
}

static void test_key_is_asked_for_where_one_is_set(void **state)
{
        (void)state;
        struct fixture fixture;
        struct scope_diag diag = { { 0 } };
        struct scope_teacher_server_options options = options_with("", "constant:0");
        strcpy(options.api_key_env, "TEST_TEACHER_KEY");
        (void)unsetenv("TEST_TEACHER_KEY");
        assert_int_equal(
                scope_teacher_server_create(&options, &fixture.server, &diag), SCOPE_ERR_ARGUMENT);
        assert_non_null(strstr(diag.text, "TEST_TEACHER_KEY is not set"));
        (void)setenv("TEST_TEACHER_KEY", "s3cret", 1);
        start(&fixture, &options);
        static const char *const headers[] = { NULL, "Authorization: Bearer s3creT",
                "Authorization: s3cret", "Authorization: Bearer s3cret" };
        for (int i = 0; i < 4; i++) {
                struct result result = call(&fixture, "/v1/models", NULL, headers[i], 5000);
                assert_int_equal(result.status, i == 3 ? 200 : 401);
                assert_null(strstr(result.body.bytes, "s3cret"));
                scope_text_fini(&result.body);
        }
        struct result result = call(&fixture, "/health", NULL, NULL, 5000);
        assert_int_equal(result.status, 200);
        scope_text_fini(&result.body);
        (void)stop(&fixture);
}

static void test_bad_addresses_are_refused(void **state)
{
        (void)state;
        static const char *const bad[] = { "", "8089", "localhost:8089", "127.0.0.1",
                "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:80x", "127.0.0.1:-1", ":80", "[::1:80",
                "1.2.3:80" };
        struct scope_teacher_server *server;
        struct scope_diag diag;
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
                struct scope_teacher_server_options options = options_with("", "constant:0");
                strcpy(options.listen, bad[i]);
                assert_int_equal(
                        scope_teacher_server_create(&options, &server, &diag), SCOPE_ERR_ARGUMENT);
                assert_non_null(strstr(diag.text, "want ADDRESS:PORT"));
        }
        struct scope_teacher_server_options open = options_with("", "constant:0");
        strcpy(open.listen, "0.0.0.0:0");
        assert_int_equal(scope_teacher_server_create(&open, &server, &diag), SCOPE_ERR_ARGUMENT);
        assert_non_null(strstr(diag.text, "others could reach it"));
        struct scope_teacher_server_options slow = options_with("", "slow");
        assert_int_equal(scope_teacher_server_create(&slow, &server, &diag), SCOPE_ERR_FORMAT);
}

static void test_port_in_use_is_said_so(void **state)
{
        (void)state;
        struct fixture fixture;
        struct scope_teacher_server *second = NULL;
        struct scope_diag diag = { { 0 } };
        struct scope_teacher_server_options options = options_with("", "constant:0");
        start(&fixture, &options);
        (void)snprintf(options.listen, sizeof options.listen, "127.0.0.1:%u",
                scope_teacher_server_port(fixture.server));
        assert_int_equal(scope_teacher_server_create(&options, &second, &diag), SCOPE_ERR_EXISTS);
        assert_non_null(strstr(diag.text, options.listen));
        assert_non_null(strstr(diag.text, "in use"));
        (void)stop(&fixture);
}

static void test_faults_reach_the_client(void **state)
{
        (void)state;
        static const struct {
                const char *faults;
                CURLcode code;
                long status;
                enum scope_reply_kind kind;
        } cases[] = {
                { "busy=1", CURLE_OK, 429, SCOPE_REPLY_RETRYABLE },
                { "error=1", CURLE_OK, 500, SCOPE_REPLY_RETRYABLE },
                { "unavailable=1", CURLE_OK, 503, SCOPE_REPLY_RETRYABLE },
                { "cut=1", CURLE_PARTIAL_FILE, 200, SCOPE_REPLY_RETRYABLE },
                { "garbage=1", CURLE_OK, 200, SCOPE_REPLY_RETRYABLE },
                { "keep_alive=1", CURLE_OK, 200, SCOPE_REPLY_WHOLE },
                { "error_chunk=1", CURLE_OK, 200, SCOPE_REPLY_RETRYABLE },
                { "length=1", CURLE_OK, 200, SCOPE_REPLY_TRUNCATED },
                { "empty=1", CURLE_OK, 200, SCOPE_REPLY_WHOLE },
                { "huge=1", CURLE_OK, 200, SCOPE_REPLY_WHOLE },
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
                for (int stream = 0; stream < 2; stream++) {
                        struct fixture fixture;
                        struct scope_teacher_server_options options =
                                options_with(cases[i].faults, "constant:5ms");
                        start(&fixture, &options);
                        struct result result = ask(&fixture, "9*9=81\n\n", stream, 5000);
                        bool broken = cases[i].code != CURLE_OK;
                        if ((result.code != CURLE_OK) != broken || result.status != cases[i].status)
                                fail_msg("%s: %s, %ld", cases[i].faults,
                                        curl_easy_strerror(result.code), result.status);
                        assert_int_equal(result.retry_after, i == 0 ? 2 : 0);
                        struct scope_teacher_reply reply = reply_of(&result);
                        assert_int_equal(reply.kind, cases[i].kind);
                        assert_int_equal(reply.keep_alives, i == 5 ? 3 : 0);
                        assert_true(i != 9 || reply.content.count >= 1 << 20);
                        scope_teacher_reply_fini(&reply);
                        assert_int_equal(stop(&fixture).faults, 1);
                }
}

static void test_hanging_calls_end_with_their_client_and_at_stop(void **state)
{
        (void)state;
        struct fixture fixture;
        struct scope_teacher_server_options options = options_with("hang=1", "constant:0");
        options.concurrency = 1;
        start(&fixture, &options);
        for (int i = 0; i < 3; i++) { /* were the place not freed, the second would get a 429 */
                struct result result = ask(&fixture, "", i == 1, 100);
                assert_int_equal(result.code, CURLE_OPERATION_TIMEDOUT);
                assert_int_equal(result.body.count, 0);
                scope_text_fini(&result.body);
                for (int wait = 0; wait < 200; wait++) {
                        struct result health = call(&fixture, "/health", NULL, NULL, 5000);
                        bool free_again = strstr(health.body.bytes, "\"active\":0") != NULL;
                        scope_text_fini(&health.body);
                        if (free_again)
                                break;
                        (void)usleep(5000);
                }
        }
        struct scope_teacher_counts counts = stop(&fixture);
        assert_int_equal(counts.calls, 3);
        assert_int_equal(counts.gone, 3);
        assert_int_equal(counts.throttled, 0);
}

struct many {
        const struct fixture *fixture;
        long status;
        double seconds;
        pthread_t thread;
};

static void *ask_one(void *context)
{
        struct many *one = context;
        struct result result = ask(one->fixture, "", false, 10000);
        one->status = result.code == CURLE_OK ? result.status : -1;
        one->seconds = result.seconds;
        scope_text_fini(&result.body);
        return NULL;
}

static void test_calls_wait_together_and_the_surplus_is_turned_away(void **state)
{
        (void)state;
        enum { CLIENTS = 12 };
        struct fixture fixture;
        struct many many[CLIENTS];
        struct scope_teacher_server_options options = options_with("", "constant:300ms");
        uint32_t good = 0, busy = 0;
        struct timespec begin, end;
        start(&fixture, &options);
        (void)clock_gettime(CLOCK_MONOTONIC, &begin);
        for (int i = 0; i < CLIENTS; i++) {
                many[i].fixture = &fixture;
                assert_int_equal(pthread_create(&many[i].thread, NULL, ask_one, &many[i]), 0);
        }
        for (int i = 0; i < CLIENTS; i++) {
                assert_int_equal(pthread_join(many[i].thread, NULL), 0);
                good += many[i].status == 200 && many[i].seconds >= 0.3;
                busy += many[i].status == 429;
        }
        (void)clock_gettime(CLOCK_MONOTONIC, &end);
        assert_int_equal(good + busy, CLIENTS);
        assert_in_range(good, 8, CLIENTS); /* a client that comes late may find a place again */
        struct scope_teacher_counts counts = stop(&fixture);
        assert_int_equal(counts.calls, good);
        assert_int_equal(counts.throttled, busy);
        print_message("# %u calls of 300 ms together in %.0f ms, %u turned away\n", good,
                (double)(end.tv_sec - begin.tv_sec) * 1e3 +
                        (double)(end.tv_nsec - begin.tv_nsec) * 1e-6,
                busy);
}

static void test_stop_breaks_off_what_waits(void **state)
{
        (void)state;
        struct fixture fixture;
        struct many one;
        struct scope_teacher_server_options options = options_with("", "constant:60");
        start(&fixture, &options);
        one.fixture = &fixture;
        assert_int_equal(pthread_create(&one.thread, NULL, ask_one, &one), 0);
        (void)usleep(100000);
        (void)stop(&fixture);
        assert_int_equal(pthread_join(one.thread, NULL), 0);
        assert_int_equal(one.status, -1);
        assert_true(one.seconds < 10);
        /* stop before run, and twice */
        struct scope_teacher_server *server;
        assert_ok(scope_teacher_server_create(&options, &server, NULL));
        scope_teacher_server_stop(server);
        scope_teacher_server_stop(server);
        assert_ok(scope_teacher_server_run(server));
        scope_teacher_server_destroy(server);
        scope_teacher_server_destroy(NULL);
}

static int setup(void **state)
{
        (void)state;
        return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : -1;
}

static int teardown(void **state)
{
        (void)state;
        curl_global_cleanup();
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_whole_exchange_with_and_without_stream),
                cmocka_unit_test(test_other_paths_and_methods),
                cmocka_unit_test(test_key_is_asked_for_where_one_is_set),
                cmocka_unit_test(test_bad_addresses_are_refused),
                cmocka_unit_test(test_port_in_use_is_said_so),
                cmocka_unit_test(test_faults_reach_the_client),
                cmocka_unit_test(test_hanging_calls_end_with_their_client_and_at_stop),
                cmocka_unit_test(test_calls_wait_together_and_the_surplus_is_turned_away),
                cmocka_unit_test(test_stop_breaks_off_what_waits),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
