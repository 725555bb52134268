#include "tests/test.h"

#include <uv.h>

#include "runtime/http_curl.h"
#include "runtime/http_retry.h"
#include "runtime/spin.h"
#include "tests/runtime/http_peer.h"

#define MS(n) ((uint64_t)(n)*1000000u)

struct outcome {
        struct fixture *fixture;
        struct scope_http_call *call;
        char body[4096];
        size_t bytes;
        unsigned pieces, dones;
        enum scope_err err, data_err;
        struct scope_http_result result;
        bool cancel_at_data;
        unsigned follow; /* calls to start when done */
};

struct fixture {
        uv_loop_t loop;
        struct scope_http_client *client;
        struct http_peer *peer;
        unsigned done;
};

static void start(struct fixture *fixture, const char *path, struct scope_http_request *request,
        struct outcome *outcome)
{
        char url[256];
        struct scope_diag diag = { .text = "" };
        (void)snprintf(url, sizeof url, "http://127.0.0.1:%d%s", fixture->peer->port, path);
        if (request->method == NULL)
                request->method = "POST";
        request->url = url;
        if (request->timeout_ns == 0)
                request->timeout_ns = MS(10000);
        if (request->response_bytes_max == 0)
                request->response_bytes_max = 4096;
        outcome->fixture = fixture;
        if (scope_http_client_start(fixture->client, request, outcome, &diag, &outcome->call) !=
                SCOPE_OK)
                fail_msg("%s", diag.text);
}

static enum scope_err on_data(void *owner, const void *bytes, size_t count)
{
        struct outcome *outcome = owner;
        assert_true(outcome->bytes + count <= sizeof outcome->body);
        memcpy(outcome->body + outcome->bytes, bytes, count);
        outcome->bytes += count;
        outcome->pieces++;
        if (outcome->cancel_at_data)
                scope_http_client_cancel(outcome->call);
        return outcome->data_err;
}

static void on_done(void *owner, enum scope_err err, const struct scope_http_result *result)
{
        struct outcome *outcome = owner;
        outcome->err = err;
        outcome->result = *result;
        outcome->dones++;
        outcome->fixture->done++;
        if (outcome->follow > 0) {
                outcome->follow--;
                start(outcome->fixture, "/echo",
                        &(struct scope_http_request){ .body = "again", .body_bytes = 5 }, outcome);
        }
}

static int setup(void **state)
{
        struct fixture *fixture = calloc(1, sizeof *fixture);
        fixture->peer = http_peer_start();
        assert_int_equal(uv_loop_init(&fixture->loop), 0);
        assert_ok(scope_http_client_create(&fixture->loop,
                &(struct scope_http_handler){ .data = on_data, .done = on_done },
                &fixture->client));
        *state = fixture;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *fixture = *state;
        scope_http_client_destroy(fixture->client);
        (void)uv_run(&fixture->loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&fixture->loop), 0);
        http_peer_stop(fixture->peer);
        free(fixture);
        return 0;
}

static void run_until_done(struct fixture *fixture, unsigned count)
{
        uint64_t end_ns = scope_clock_ns(CLOCK_MONOTONIC) + MS(20000);
        while (fixture->done < count && scope_clock_ns(CLOCK_MONOTONIC) < end_ns)
                (void)uv_run(&fixture->loop, UV_RUN_ONCE);
        assert_int_equal(fixture->done, count);
}

static void run_for(struct fixture *fixture, uint64_t ns)
{
        uint64_t end_ns = scope_clock_ns(CLOCK_MONOTONIC) + ns;
        while (scope_clock_ns(CLOCK_MONOTONIC) < end_ns) {
                (void)uv_run(&fixture->loop, UV_RUN_NOWAIT);
                usleep(1000);
        }
}

static struct outcome call(
        struct fixture *fixture, const char *path, struct scope_http_request request)
{
        struct outcome outcome = { .fixture = fixture };
        unsigned before = fixture->done;
        start(fixture, path, &request, &outcome);
        assert_int_equal(fixture->done, before); /* never from inside start */
        run_until_done(fixture, before + 1);
        assert_int_equal(outcome.result.bytes, outcome.bytes);
        return outcome;
}

static void test_post_brings_status_and_body(void **state)
{
        struct outcome out = call(
                *state, "/echo", (struct scope_http_request){ .body = "hello", .body_bytes = 5 });
        assert_ok(out.err);
        assert_int_equal(out.result.status, 200);
        assert_int_equal(out.result.retry_after_ns, -1);
        assert_memory_equal(out.body, "hello", 5);
        out = call(*state, "/echo", (struct scope_http_request){ .method = "GET" });
        assert_ok(out.err);
        assert_int_equal(out.bytes, 0);
        out = call(*state, "/nowhere", (struct scope_http_request){ .method = "PUT" });
        assert_ok(out.err);
        assert_int_equal(out.result.status, 404);
}

static void test_chunks_are_streamed(void **state)
{
        struct outcome out =
                call(*state, "/chunked", (struct scope_http_request){ .method = "GET" });
        assert_ok(out.err);
        assert_int_equal(out.bytes, 30);
        assert_true(out.pieces >= 2);
}

static void test_blank_lines_keep_a_call_alive(void **state)
{
        struct outcome out = call(*state, "/blank",
                (struct scope_http_request){ .method = "GET", .idle_timeout_ns = MS(200) });
        assert_ok(out.err);
        assert_memory_equal(out.body, "\n\n\n\n\n\n\n\nanswer", 14);
}

static void test_bearer_and_headers_are_sent(void **state)
{
        static const char *const headers[] = { "X-One: 1", "Content-Type: application/json", NULL };
        struct outcome out = call(*state, "/auth",
                (struct scope_http_request){ .headers = headers, .bearer = "canary-4711" });
        assert_ok(out.err);
        assert_memory_equal(out.body, "yes", 3);
        out = call(*state, "/auth", (struct scope_http_request){ .headers = headers });
        assert_memory_equal(out.body, "no", 2);
}

static void test_redirect_is_not_followed(void **state)
{
        struct outcome out =
                call(*state, "/redirect", (struct scope_http_request){ .method = "GET" });
        assert_ok(out.err);
        assert_int_equal(out.result.status, 302);
}

static void test_retry_after_in_every_form(void **state)
{
        static const struct {
                const char *path;
                int64_t ns;
        } forms[] = {
                { "/retry/seconds", 7000000000 },
                { "/retry/ms", 250000000 },
                { "/retry/date", 20000000000 },
                { "/retry/past", 0 },
                { "/retry/garbage", -1 },
                { "/retry/none", -1 },
        };
        for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
                struct outcome out = call(*state, forms[i].path,
                        (struct scope_http_request){ .body = "x", .body_bytes = 1 });
                assert_ok(out.err);
                assert_int_equal(out.result.status, 429);
                assert_true(out.result.retry_after_ns == forms[i].ns);
        }
}

static int64_t retry_of(const char *line, time_t now)
{
        struct scope_http_retry retry = { 0 };
        scope_http_retry_header(&retry, line, strlen(line));
        return scope_http_retry_ns(&retry, now);
}

static void test_retry_after_reads_only_what_it_understands(void **state)
{
        (void)state;
        assert_true(retry_of("Retry-After: 1.5\r\n", 0) == 1500000000);
        assert_true(retry_of("RETRY-AFTER:0", 0) == 0);
        assert_true(
                retry_of("Retry-After: 99999999999999999999\r\n", 0) == SCOPE_HTTP_RETRY_NS_MAX);
        assert_true(retry_of("Retry-After: -5\r\n", 0) == -1);
        assert_true(retry_of("Retry-After: 1e9\r\n", 0) == -1);
        assert_true(retry_of("Retry-After: 1.2.3\r\n", 0) == -1);
        assert_true(retry_of("Retry-After:\r\n", 0) == -1);
        assert_true(retry_of("Retry-Afterwards: 5\r\n", 0) == -1);
        assert_true(retry_of("retry-after-ms: nan\r\n", 0) == -1);
        assert_true(retry_of("Retry-After: Sun, 06 Nov 1994 08:49:37 GMT", 784111777 - 30) ==
                    30000000000);
        struct scope_http_retry retry = { 0 };
        scope_http_retry_header(&retry, "Retry-After: 5", 14);
        scope_http_retry_header(&retry, "HTTP/1.1 200 OK", 15);
        assert_true(scope_http_retry_ns(&retry, 0) == -1);
}

static void test_silence_ends_in_deadline(void **state)
{
        uint64_t begin_ns = scope_clock_ns(CLOCK_MONOTONIC);
        struct outcome out =
                call(*state, "/hang", (struct scope_http_request){ .timeout_ns = MS(80) });
        assert_int_equal(out.err, SCOPE_ERR_DEADLINE);
        assert_int_equal(out.result.status, 0);
        assert_true(strlen(out.result.text) > 5);
        out = call(*state, "/hang", (struct scope_http_request){ .idle_timeout_ns = MS(60) });
        assert_int_equal(out.err, SCOPE_ERR_DEADLINE);
        out = call(*state, "/hang_body", (struct scope_http_request){ .idle_timeout_ns = MS(60) });
        assert_int_equal(out.err, SCOPE_ERR_DEADLINE);
        assert_int_equal(out.result.status, 200);
        assert_memory_equal(out.body, "half", 4);
        assert_true(scope_clock_ns(CLOCK_MONOTONIC) - begin_ns < MS(5000));
}

static void test_cut_connection_is_a_network_error(void **state)
{
        static const char *const paths[] = { "/cut", "/cut_chunked", "/garbage" };
        for (int i = 0; i < 3; i++) {
                struct outcome out =
                        call(*state, paths[i], (struct scope_http_request){ .method = "GET" });
                assert_int_equal(out.err, SCOPE_ERR_NET);
                assert_true(strlen(out.result.text) > 5);
        }
}

static void test_nobody_listening_is_a_network_error(void **state)
{
        struct fixture *fixture = *state;
        struct outcome out = { .fixture = fixture };
        assert_ok(scope_http_client_start(fixture->client,
                &(struct scope_http_request){ .method = "GET",
                        .url = "http://127.0.0.1:1/",
                        .timeout_ns = MS(5000),
                        .bearer = "canary-4711" },
                &out, NULL, &out.call));
        run_until_done(fixture, 1);
        assert_int_equal(out.err, SCOPE_ERR_NET);
        assert_null(strstr(out.result.text, "canary"));
}

static void test_body_over_the_cap_is_refused(void **state)
{
        static const char *const paths[] = { "/endless", "/huge", "/headers" };
        for (int i = 0; i < 3; i++) {
                struct outcome out = call(*state, paths[i],
                        (struct scope_http_request){ .method = "GET", .response_bytes_max = 100 });
                assert_int_equal(out.err, SCOPE_ERR_TOO_BIG);
                assert_true(out.bytes <= 100);
        }
        struct outcome out = call(*state, "/echo",
                (struct scope_http_request){
                        .body = "12345", .body_bytes = 5, .response_bytes_max = 5 });
        assert_ok(out.err);
        out = call(*state, "/echo",
                (struct scope_http_request){
                        .body = "12345", .body_bytes = 5, .response_bytes_max = 4 });
        assert_int_equal(out.err, SCOPE_ERR_TOO_BIG);
}

static void test_handler_error_ends_the_call(void **state)
{
        struct fixture *fixture = *state;
        struct outcome out = { .data_err = SCOPE_ERR_MEMORY };
        start(fixture, "/chunked", &(struct scope_http_request){ .method = "GET" }, &out);
        run_until_done(fixture, 1);
        assert_int_equal(out.err, SCOPE_ERR_MEMORY);
        assert_int_equal(out.pieces, 1);
}

static void test_cancelled_call_says_nothing_more(void **state)
{
        struct fixture *fixture = *state;
        struct outcome early = { 0 }, inside = { .cancel_at_data = true }, waiting = { 0 };
        start(fixture, "/echo", &(struct scope_http_request){ .body = "x", .body_bytes = 1 },
                &early);
        scope_http_client_cancel(early.call);
        start(fixture, "/chunked", &(struct scope_http_request){ .method = "GET" }, &inside);
        start(fixture, "/hang", &(struct scope_http_request){ .method = "GET" }, &waiting);
        run_for(fixture, MS(60));
        scope_http_client_cancel(waiting.call);
        run_for(fixture, MS(20));
        assert_int_equal(fixture->done, 0);
        assert_int_equal(early.pieces + waiting.pieces, 0);
        assert_int_equal(inside.pieces, 1);
}

static void test_connections_are_reused(void **state)
{
        struct fixture *fixture = *state;
        struct outcome outs[4] = { { .follow = 24 }, { .follow = 24 }, { .follow = 24 },
                { .follow = 24 } };
        for (int i = 0; i < 4; i++)
                start(fixture, "/echo",
                        &(struct scope_http_request){ .body = "again", .body_bytes = 5 }, &outs[i]);
        for (int i = 0; i < 4; i++)
                outs[i].bytes = 0;
        run_until_done(fixture, 100);
        assert_int_equal(atomic_load(&fixture->peer->requests), 100);
        assert_in_range(atomic_load(&fixture->peer->connections), 1, 4);
        for (int i = 0; i < 4; i++)
                assert_int_equal(outs[i].dones, 25);
}

static void test_many_hanging_calls_end_in_time(void **state)
{
        struct fixture *fixture = *state;
        static struct outcome outs[128];
        memset(outs, 0, sizeof outs);
        uint64_t begin_ns = scope_clock_ns(CLOCK_MONOTONIC);
        for (int i = 0; i < 128; i++)
                start(fixture, "/hang", &(struct scope_http_request){ .timeout_ns = MS(250) },
                        &outs[i]);
        run_until_done(fixture, 128);
        for (int i = 0; i < 128; i++)
                assert_int_equal(outs[i].err, SCOPE_ERR_DEADLINE);
        assert_true(scope_clock_ns(CLOCK_MONOTONIC) - begin_ns < MS(8000));
}

static void test_destroy_cancels_what_is_under_way(void **state)
{
        struct fixture *fixture = *state;
        struct outcome out = { 0 }, fresh = { 0 };
        start(fixture, "/hang", &(struct scope_http_request){ .idle_timeout_ns = MS(9000) }, &out);
        run_for(fixture, MS(20));
        start(fixture, "/hang", &(struct scope_http_request){ .method = "GET" }, &fresh);
        scope_http_client_destroy(fixture->client);
        fixture->client = NULL;
        assert_int_equal(out.err, SCOPE_ERR_CANCELLED);
        assert_int_equal(fresh.err, SCOPE_ERR_CANCELLED);
        scope_http_client_destroy(NULL);
}

static void test_only_safe_urls_are_allowed(void **state)
{
        static const char *const good[] = { "http://127.0.0.1:80/x", "http://localhost/",
                "http://[::1]:9/", "http://127.8.9.1/", "https://api.example.com/v1",
                "HTTPS://example.com" };
        static const char *const bad[] = { "http://example.com/", "ftp://127.0.0.1/",
                "file:///etc/passwd", "http://user:pa55@127.0.0.1/", "https://u@example.com/",
                "http://127.0.0.1.evil.com/", "http://localhost.evil.com/", "http://", "",
                "nonsense", "http://128.0.0.1/", "http://0.0.0.0/", "http://127.0.0.1:99999/",
                "gopher://localhost", "http://[::2]/" };
        struct scope_diag diag;
        (void)state;
        for (size_t i = 0; i < sizeof good / sizeof *good; i++)
                assert_ok(scope_http_url_check(good[i], &diag));
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                diag.text[0] = 0;
                if (scope_http_url_check(bad[i], &diag) != SCOPE_ERR_ARGUMENT)
                        fail_msg("allowed: %s", bad[i]);
                assert_true(strlen(diag.text) > 5);
                assert_null(strstr(diag.text, "pa55"));
        }
        assert_int_equal(scope_http_url_check(NULL, NULL), SCOPE_ERR_ARGUMENT);
}

static void test_unsafe_requests_are_refused(void **state)
{
        struct fixture *fixture = *state;
        static const char *const injected[] = { "X: 1\r\nEvil: 2", NULL }, *const nameless[] = {
                "x", NULL
        };
        const struct scope_http_request requests[] = {
                { .method = "GET /x", .timeout_ns = 1 },
                { .method = "", .timeout_ns = 1 },
                { .method = NULL, .timeout_ns = 1 },
                { .method = "GET", .timeout_ns = 0 },
                { .method = "GET", .timeout_ns = 1, .headers = injected },
                { .method = "GET", .timeout_ns = 1, .headers = nameless },
                { .method = "GET", .timeout_ns = 1, .bearer = "key\n" },
        };
        struct scope_http_call *unused;
        for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
                struct scope_http_request request = requests[i];
                struct scope_diag diag = { .text = "" };
                request.url = "http://127.0.0.1/";
                assert_int_equal(
                        scope_http_client_start(fixture->client, &request, NULL, &diag, &unused),
                        SCOPE_ERR_ARGUMENT);
                assert_true(strlen(diag.text) > 5);
                assert_null(strstr(diag.text, "key\n"));
        }
}

#define HTTP_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                HTTP_TEST(test_post_brings_status_and_body),
                HTTP_TEST(test_chunks_are_streamed),
                HTTP_TEST(test_blank_lines_keep_a_call_alive),
                HTTP_TEST(test_bearer_and_headers_are_sent),
                HTTP_TEST(test_redirect_is_not_followed),
                HTTP_TEST(test_retry_after_in_every_form),
                cmocka_unit_test(test_retry_after_reads_only_what_it_understands),
                HTTP_TEST(test_silence_ends_in_deadline),
                HTTP_TEST(test_cut_connection_is_a_network_error),
                HTTP_TEST(test_nobody_listening_is_a_network_error),
                HTTP_TEST(test_body_over_the_cap_is_refused),
                HTTP_TEST(test_handler_error_ends_the_call),
                HTTP_TEST(test_cancelled_call_says_nothing_more),
                HTTP_TEST(test_connections_are_reused),
                HTTP_TEST(test_many_hanging_calls_end_in_time),
                HTTP_TEST(test_destroy_cancels_what_is_under_way),
                cmocka_unit_test(test_only_safe_urls_are_allowed),
                HTTP_TEST(test_unsafe_requests_are_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
