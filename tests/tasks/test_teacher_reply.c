/* test_teacher_reply.c - whatever a service sends, however it is cut in pieces, reads the same. */
#include "tests/test.h"

#include "tasks/teacher_reply.h"

struct expected {
        enum scope_reply_kind kind;
        const char *content, *error; /* error: some words of it */
        uint32_t tokens_in, tokens_out;
};

static struct scope_teacher_reply read_pieces(const char *body, size_t count, size_t piece)
{
        struct scope_teacher_reply reply;
        scope_teacher_reply_init(&reply, 1 << 20, 1 << 16);
        for (size_t at = 0; at < count; at += piece)
                assert_ok(scope_teacher_reply_feed(
                        &reply, body + at, count - at < piece ? count - at : piece));
        scope_teacher_reply_end(&reply, true);
        return reply;
}

static void expect(const char *body, struct expected want)
{
        size_t count = strlen(body);
        for (size_t piece = 1; piece <= count; piece++) {
                struct scope_teacher_reply reply = read_pieces(body, count, piece);
                if (reply.kind != want.kind || strstr(reply.error, want.error) == NULL)
                        fail_msg("pieces of %zu: kind %d, error '%s' of: %s", piece, reply.kind,
                                reply.error, body);
                assert_string_equal(reply.content.bytes, want.content);
                assert_int_equal(reply.tokens_in, want.tokens_in);
                assert_int_equal(reply.tokens_out, want.tokens_out);
                scope_teacher_reply_fini(&reply);
        }
}

#define WHOLE(content, finish)                                                                     \
        "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":" content      \
        "},\"finish_reason\":" finish                                                              \
        "}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}"
#define PIECE(content)                                                                             \
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" content "\"}}]}\n\n"
#define FINISH(reason) "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"" reason "\"}]}\n\n"
#define USAGE "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}\n\n"
#define DONE "data: [DONE]\n\n"

static void test_one_object_is_read(void **state)
{
        (void)state;
        expect(WHOLE("\"1+1=2 \xc3\xa9\"", "\"stop\""),
                (struct expected){ SCOPE_REPLY_WHOLE, "1+1=2 \xc3\xa9", "", 7, 3 });
        expect("\n\r\n \n" WHOLE("\"x\"", "\"stop\"") "\n",
                (struct expected){ SCOPE_REPLY_WHOLE, "x", "", 7, 3 });
        expect(WHOLE("\"x\"", "\"length\""),
                (struct expected){ SCOPE_REPLY_TRUNCATED, "x", "max_tokens", 7, 3 });
        expect(WHOLE("\"\"", "\"stop\""), (struct expected){ SCOPE_REPLY_WHOLE, "", "", 7, 3 });
        expect(WHOLE("null", "\"stop\""), (struct expected){ SCOPE_REPLY_WHOLE, "", "", 7, 3 });
        expect(WHOLE("\"x\"", "\"content_filter\""),
                (struct expected){ SCOPE_REPLY_REFUSED, "x", "content_filter", 7, 3 });
        expect(WHOLE("\"x\"", "\"insufficient_system_resource\""),
                (struct expected){ SCOPE_REPLY_RETRYABLE, "x", "insufficient_system", 7, 3 });
        expect(WHOLE("\"x\"", "null"),
                (struct expected){ SCOPE_REPLY_RETRYABLE, "x", "without a finish_reason", 7, 3 });
        /* only choice 0 counts; usage may be absent or absurd */
        expect("{\"choices\":[{\"index\":1,\"message\":{\"content\":\"no\"},\"finish_reason\":"
               "\"stop\"},"
               "{\"index\":0,\"message\":{\"content\":\"yes\"},\"finish_reason\":\"stop\"}],"
               "\"usage\":{\"prompt_tokens\":-5,\"completion_tokens\":99999999999}}",
                (struct expected){ SCOPE_REPLY_WHOLE, "yes", "", 0, INT32_MAX });
}

static void test_errors_are_told_apart(void **state)
{
        (void)state;
        expect("{\"error\":{\"message\":\"slow\\u000adown\",\"type\":\"rate_limit_exceeded\"}}",
                (struct expected){ SCOPE_REPLY_RETRYABLE, "", "slow down", 0, 0 });
        expect("{\"error\":{\"message\":\"pay\",\"code\":\"insufficient_quota\",\"type\":\"x\"}}",
                (struct expected){ SCOPE_REPLY_FATAL, "", "pay", 0, 0 });
        expect("{\"error\":{\"message\":\"key\",\"type\":\"authentication_error\",\"code\":null}}",
                (struct expected){ SCOPE_REPLY_FATAL, "", "key", 0, 0 });
        expect("{\"error\":{\"message\":\"long\",\"code\":\"context_length_exceeded\"}}",
                (struct expected){ SCOPE_REPLY_REFUSED, "", "long", 0, 0 });
        expect("{\"object\":\"error\",\"message\":\"vexed\",\"type\":\"InternalServerError\"}",
                (struct expected){ SCOPE_REPLY_RETRYABLE, "", "vexed", 0, 0 });
        expect("{\"error\":\"words\"}",
                (struct expected){ SCOPE_REPLY_RETRYABLE, "", "words", 0, 0 });
        expect("{\"choices\":[{\"message\":{\"content\":null,\"refusal\":\"I will not\"},"
               "\"finish_reason\":\"stop\"}]}",
                (struct expected){ SCOPE_REPLY_REFUSED, "", "I will not", 0, 0 });
}

static void test_what_is_no_completion_is_retryable(void **state)
{
        (void)state;
        expect("", (struct expected){ SCOPE_REPLY_RETRYABLE, "", "empty body", 0, 0 });
        expect("\n\n \n", (struct expected){ SCOPE_REPLY_RETRYABLE, "", "empty body", 0, 0 });
        expect("{}",
                (struct expected){ SCOPE_REPLY_RETRYABLE, "", "without a finish_reason", 0, 0 });
        expect("[1,2]", (struct expected){ SCOPE_REPLY_RETRYABLE, "", "not a JSON object", 0, 0 });
        expect("{\"choices\":[{\"mess",
                (struct expected){ SCOPE_REPLY_RETRYABLE, "", "malformed", 0, 0 });
        expect("{\"choices\":7}",
                (struct expected){ SCOPE_REPLY_RETRYABLE, "", "without a", 0, 0 });
        expect("{\"choices\":[7,null,{\"message\":3}]}",
                (struct expected){ SCOPE_REPLY_RETRYABLE, "", "without a", 0, 0 });
        expect("<!DOCTYPE html>\n<html>\n",
                (struct expected){ SCOPE_REPLY_RETRYABLE, "", "neither", 0, 0 });
        expect(WHOLE("\"\xff\"", "\"stop\""),
                (struct expected){ SCOPE_REPLY_RETRYABLE, "", "malformed", 0, 0 });
        expect("data: nonsense\n\n",
                (struct expected){ SCOPE_REPLY_RETRYABLE, "", "malformed", 0, 0 });
}

static void test_a_stream_is_read(void **state)
{
        (void)state;
        const struct expected good = { SCOPE_REPLY_WHOLE, "2\xc3\xa9=4", "", 7, 3 };
        expect(PIECE("2") PIECE("\xc3\xa9=") PIECE("4") FINISH("stop") USAGE DONE, good);
        expect(": ping\n\n: OPENROUTER PROCESSING\n\n" PIECE("2\xc3\xa9=4") ":\n" FINISH("stop")
                        USAGE DONE,
                good);
        /* CRLF, CR, no space, several data lines, other fields */
        expect("id: 1\r\nevent: message\r\ndata:{\"choices\":[{\"delta\":\r\n"
               "data: {\"content\":\"2\xc3\xa9=4\"}}]}\r\n\r\n" FINISH("stop") USAGE DONE,
                good);
        expect("retry: 5\rdata: {\"choices\":[{\"delta\":{\"content\":\"2\xc3\xa9=4\"},"
               "\"finish_reason\":\"stop\"}]}\r\r" USAGE DONE,
                good);
        /* usage before the end, no [DONE], last blank line or newline missing */
        expect(USAGE PIECE("2\xc3\xa9=4") FINISH("stop"), good);
        expect(USAGE PIECE(
                       "2\xc3\xa9=4") "data: "
                                      "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}",
                good);
        expect(PIECE("2\xc3\xa9=4") FINISH("stop") USAGE "data: [DONE]", good);
        /* nothing after [DONE] counts */
        expect(PIECE("2\xc3\xa9=4") FINISH("stop") USAGE DONE PIECE("more"), good);
        expect(PIECE("2") FINISH("length") DONE,
                (struct expected){ SCOPE_REPLY_TRUNCATED, "2", "max_tokens", 0, 0 });
}

static void test_an_orderly_end_within_an_answer_is_told_apart(void **state)
{
        (void)state;
        static const struct {
                const char *body;
                bool broken_off;
        } cases[] = { { PIECE("2") DONE, true }, { PIECE("2"), false },
                { PIECE("2") FINISH("stop") DONE, false },
                { PIECE("2") "data: {\"error\":{\"message\":\"upstream\"}}\n\n" DONE, false } };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct scope_teacher_reply reply =
                        read_pieces(cases[i].body, strlen(cases[i].body), 5);
                assert_int_equal(reply.broken_off, cases[i].broken_off);
                scope_teacher_reply_fini(&reply);
        }
}

static void test_a_broken_stream_is_no_success(void **state)
{
        (void)state;
        expect(PIECE("2") PIECE("="),
                (struct expected){ SCOPE_REPLY_RETRYABLE, "2=", "without a finish_reason", 0, 0 });
        expect(PIECE("2") DONE, (struct expected){ SCOPE_REPLY_RETRYABLE, "2", "without a", 0, 0 });
        expect(PIECE("2") "data: {\"error\":{\"message\":\"upstream\"}}\n\n" FINISH("stop") DONE,
                (struct expected){ SCOPE_REPLY_RETRYABLE, "2", "upstream", 0, 0 });
        expect(PIECE("2") "event: error\ndata: {\"detail\":\"x\"}\n\n" FINISH("stop") DONE,
                (struct expected){ SCOPE_REPLY_RETRYABLE, "2", "type error", 0, 0 });
        expect(PIECE("2") "data: {\"cho",
                (struct expected){ SCOPE_REPLY_RETRYABLE, "2", "malformed", 0, 0 });
        expect(": ping\n\n: ping\n\n",
                (struct expected){ SCOPE_REPLY_RETRYABLE, "", "without a finish_reason", 0, 0 });
}

static void test_a_broken_connection_is_retryable_unless_all_was_there(void **state)
{
        (void)state;
        static const char *const bodies[] = { "", WHOLE("\"x\"", "\"stop\""), PIECE("2"),
                PIECE("2") FINISH("stop") };
        for (int i = 0; i < 4; i++) {
                struct scope_teacher_reply reply;
                scope_teacher_reply_init(&reply, 1 << 20, 1 << 16);
                assert_ok(scope_teacher_reply_feed(&reply, bodies[i], strlen(bodies[i])));
                scope_teacher_reply_end(&reply, false);
                assert_int_equal(reply.kind, i < 3 ? SCOPE_REPLY_RETRYABLE : SCOPE_REPLY_WHOLE);
                scope_teacher_reply_fini(&reply);
        }
}

static void test_limits_hold(void **state)
{
        (void)state;
        struct scope_teacher_reply reply;
        scope_teacher_reply_init(&reply, 100, 10);
        assert_int_equal(scope_teacher_reply_feed(&reply, "\n", 1), SCOPE_OK);
        char blank[100];
        memset(blank, '\n', sizeof blank);
        assert_int_equal(scope_teacher_reply_feed(&reply, blank, 100), SCOPE_ERR_TOO_BIG);
        assert_ok(scope_teacher_reply_feed(&reply, blank, 99));
        assert_int_equal(reply.keep_alives, 100);
        scope_teacher_reply_fini(&reply);
        scope_teacher_reply_init(&reply, 1000, 10);
        static const char ten[] = PIECE("0123456789"), eleven[] = PIECE("x");
        assert_ok(scope_teacher_reply_feed(&reply, ten, strlen(ten)));
        assert_int_equal(
                scope_teacher_reply_feed(&reply, eleven, strlen(eleven)), SCOPE_ERR_TOO_BIG);
        scope_teacher_reply_end(&reply, false);
        assert_int_equal(reply.kind, SCOPE_REPLY_RETRYABLE);
        scope_teacher_reply_fini(&reply);
        struct scope_teacher_reply zeroed = { 0 };
        scope_teacher_reply_fini(&zeroed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_one_object_is_read),
                cmocka_unit_test(test_errors_are_told_apart),
                cmocka_unit_test(test_what_is_no_completion_is_retryable),
                cmocka_unit_test(test_a_stream_is_read),
                cmocka_unit_test(test_an_orderly_end_within_an_answer_is_told_apart),
                cmocka_unit_test(test_a_broken_stream_is_no_success),
                cmocka_unit_test(test_a_broken_connection_is_retryable_unless_all_was_there),
                cmocka_unit_test(test_limits_hold),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
