/* Scores of steps over HTTP: what is believed, and the server that stands in for a real one. */
#include "tests/test.h"

#include <jansson.h>

#include "schemas/records.h"
#include "tasks/pooling_reply.h"
#include "tasks/pooling_script.h"

static const uint32_t counts[] = { 2, 0, 1 };

static void believe(const char *body, float a, float b, float c)
{
        float p[3];
        const char *wrong = scope_pooling_read(body, strlen(body), counts, 3, p);
        if (wrong != NULL)
                fail_msg("%s: %s", body, wrong);
        assert_close(p[0], a, 1e-7);
        assert_close(p[1], b, 1e-7);
        assert_close(p[2], c, 1e-7);
}

static void test_every_documented_row_is_read(void **state)
{
        (void)state;
        believe("{\"data\":[{\"index\":0,\"data\":[[0.25,0.75],[1,0]]},{\"index\":1,\"data\":[]},"
                "{\"index\":2,\"data\":[[0.5,0.5]]}]}", 0.75f, 0, 0.5f);
        /* any order, more keys, one class, half precision that does not quite add up */
        believe("{\"id\":\"pool-1\",\"object\":\"list\",\"data\":["
                "{\"index\":2,\"object\":\"pooling\",\"data\":[0.125]},"
                "{\"index\":1,\"data\":[]},{\"index\":0,\"data\":[[0.5],[0.3340,0.6665]]}],"
                "\"usage\":{\"prompt_tokens\":9}}", 0.5f, 0.6665f, 0.125f);
}

static void refuse(const char *body, const char *words)
{
        float p[3] = { 7, 7, 7 };
        const char *wrong = scope_pooling_read(body, strlen(body), counts, 3, p);
        if (wrong == NULL || strstr(wrong, words) == NULL)
                fail_msg("%s gave %s", body, wrong != NULL ? wrong : "no error");
        assert_true(p[0] == 7 && p[1] == 7 && p[2] == 7); /* believed as a whole or not at all */
}

#define BODY(rows) "{\"data\":[{\"index\":0,\"data\":" rows "},{\"index\":1,\"data\":[]}," \
                   "{\"index\":2,\"data\":[0.5]}]}"

static void test_anything_else_is_refused(void **state)
{
        (void)state;
        refuse("", "not JSON");
        refuse("<html>", "not JSON");
        refuse("[]", "no list");
        refuse("{\"error\":{\"message\":\"no\"}}", "no list");
        refuse("{\"data\":\"AACAPw==\"}", "no list");
        refuse("{\"data\":[{\"index\":0,\"data\":[1,1]}]}", "as many answers");
        refuse("{\"data\":[{\"index\":0,\"data\":[1,1]},{\"index\":0,\"data\":[1,1]},"
               "{\"index\":2,\"data\":[1]}]}", "a text has no scores");
        refuse("{\"data\":[{\"index\":0,\"data\":[1,1]},{\"data\":[]},{\"index\":2,\"data\":[1]}]}",
                "a text has no scores");
        refuse(BODY("\"AACAPw==\""), "a text has no scores");
        refuse(BODY("[1]"), "as many scores as steps");
        refuse(BODY("[1,1,1]"), "as many scores as steps");
        refuse(BODY("[[0.1,0.2,0.7],1]"), "neither one class nor two");
        refuse(BODY("[[],1]"), "neither one class nor two");
        refuse(BODY("[[-3.5,4.25],1]"), "activation");
        refuse(BODY("[1.5,1]"), "activation");
        refuse(BODY("[null,1]"), "activation");
        refuse(BODY("[\"1\",1]"), "activation");
        refuse(BODY("[[0.9,0.9],1]"), "softmax");
        refuse(BODY("[[-0.5,0.9],1]"), "softmax");
}

/* --- the server ------------------------------------------------------------------------------- */

/* Right where the step holds "ok"; the problem must have come whole. */
static void judge(struct scope_string problem, struct scope_string text, const uint32_t *ends,
        uint32_t count, float *ret_p)
{
        assert_int_equal(problem.bytes, 3);
        assert_memory_equal(problem.at, "2+2", 3);
        for (uint32_t i = 0, at = 0; i < count; at = ends[i++])
                ret_p[i] = memmem(text.at + at, ends[i] - at, "ok", 2) != NULL ? 0.875f : 0.25f;
}

#define HEAD "<|im_start|>system\\nBe right.<|im_end|>\\n<|im_start|>user\\n2+2<|im_end|>\\n" \
             "<|im_start|>assistant\\n"

static struct scope_teacher_response ask(const char *faults, const char *body)
{
        struct scope_teacher_script_options options = { .latency = "constant:20ms",
                .huge_bytes = 100000 };
        struct scope_teacher_script script;
        struct scope_teacher_response response;
        (void)snprintf(options.faults, sizeof options.faults, "%s", faults);
        assert_ok(scope_teacher_script_init(&script, &options, NULL));
        script.judge = judge;
        scope_pooling_script_answer(&script, body, strlen(body), 5, 0, &response);
        assert_false(response.body.failed);
        return response;
}

static const char question[] = "{\"model\":\"prm\",\"input\":[\"" HEAD "ok<extra_0>no<extra_0>\",\""
                               HEAD "\",\"" HEAD "ok ok<extra_0><|im_end|>\"]}";

static void test_the_server_answers_as_its_judge_says(void **state)
{
        (void)state;
        struct scope_teacher_response response = ask("", question);
        assert_int_equal(response.status, 200);
        assert_int_equal(response.latency_ns, 20000000);
        believe(response.body.bytes, 0.875f, 0.25f, 0.875f);
        json_t *root = json_loads(response.body.bytes, 0, NULL);
        assert_string_equal(json_string_value(json_object_get(root, "model")), "prm");
        json_decref(root);
        scope_text_fini(&response.body);
        static const uint32_t one[] = { 1 };
        float p;
        response = ask("", "{\"input\":\"" HEAD "ok<extra_0>\"}"); /* one text, as vLLM takes it */
        assert_null(scope_pooling_read(response.body.bytes, response.body.count, one, 1, &p));
        assert_close(p, 0.875, 0);
        scope_text_fini(&response.body);
}

static void test_the_server_names_what_it_cannot_read(void **state)
{
        (void)state;
        static const char *const bodies[][2] = { { "{", "not JSON" }, { "{}", "input" },
                { "{\"input\":[]}", "input" }, { "{\"input\":[7]}", "not a text" },
                { "{\"input\":\"2+2\"}", "ChatML" } };
        for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
                struct scope_teacher_response response = ask("", bodies[i][0]);
                assert_int_equal(response.status, 400);
                assert_non_null(strstr(response.body.bytes, bodies[i][1]));
                scope_text_fini(&response.body);
        }
}

static void test_its_faults_are_refused_or_turn_scores_round(void **state)
{
        (void)state;
        static const char *const faults[] = { "silent=1", "refusal=1", "length=1", "empty=1",
                "garbage=1", "error_chunk=1" };
        float p[3];
        for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
                struct scope_teacher_response response = ask(faults[i], question);
                assert_int_equal(response.status, 200);
                assert_non_null(scope_pooling_read(
                        response.body.bytes, response.body.count, counts, 3, p));
                scope_text_fini(&response.body);
        }
        struct scope_teacher_response response = ask("wrong=1", question);
        believe(response.body.bytes, 0.125f, 0.75f, 0.125f);
        scope_text_fini(&response.body);
        response = ask("huge=1", question);
        assert_true(response.body.count >= 100000);
        believe(response.body.bytes, 0.875f, 0.25f, 0.875f);
        scope_text_fini(&response.body);
        response = ask("cut=1", question);
        assert_true(response.cut < response.body.count);
        scope_text_fini(&response.body);
        response = ask("keep_alive=1", question);
        assert_true(response.lead > 0);
        believe(response.body.bytes, 0.875f, 0.25f, 0.875f);
        scope_text_fini(&response.body);
        response = ask("hang=1", question);
        assert_true(response.hang);
        response = ask("busy=1", question);
        assert_int_equal(response.status, 429);
        scope_text_fini(&response.body);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_documented_row_is_read),
                cmocka_unit_test(test_anything_else_is_refused),
                cmocka_unit_test(test_the_server_answers_as_its_judge_says),
                cmocka_unit_test(test_the_server_names_what_it_cannot_read),
                cmocka_unit_test(test_its_faults_are_refused_or_turn_scores_round),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
