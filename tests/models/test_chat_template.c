/* test_chat_template.c - chat formats by name and by file, and how a problem becomes a prompt. That
 * built-in ones equal the templates they stand for is oracle_jinja.py's to show. */
#include "tests/test.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "models/chat_template.h"
#include "models/prompt_format.h"

#define TEXT(words)                                                                                \
        {                                                                                          \
                words, sizeof words - 1                                                            \
        }

static const struct scope_chat_message two[] = { { "system", "Be brief.", 9 },
        { "user", " 1+1? ", 6 } };

static void expect(const struct scope_chat_template *chat, struct scope_chat_request request,
        const char *wanted)
{
        struct scope_text text = { 0 };
        struct scope_diag diag = { "" };
        if (request.messages == NULL && request.messages_json == NULL) {
                request.messages = two;
                request.count = 2;
        }
        if (scope_chat_template_render(chat, &request, &text, &diag) != SCOPE_OK)
                fail_msg("%s", diag.text);
        assert_string_equal(text.bytes, wanted);
        scope_text_fini(&text);
}

static void test_each_built_in_one_has_its_form(void **state)
{
        (void)state;
        static const struct {
                const char *name, *with_system, *without;
        } cases[] = {
                { "chatml",
                        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n 1+1? "
                        "<|im_end|>\n"
                        "<|im_start|>assistant\n",
                        "<|im_start|>user\n 1+1? <|im_end|>\n<|im_start|>assistant\n" },
                { "qwen2.5",
                        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n 1+1? "
                        "<|im_end|>\n"
                        "<|im_start|>assistant\n",
                        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a "
                        "helpful "
                        "assistant.<|im_end|>\n<|im_start|>user\n 1+1? <|im_end|>\n"
                        "<|im_start|>assistant\n" },
                { "qwen3-nothink",
                        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n 1+1? "
                        "<|im_end|>\n"
                        "<|im_start|>assistant\n<think>\n\n</think>\n\n",
                        "<|im_start|>user\n 1+1? <|im_end|>\n<|im_start|>assistant\n"
                        "<think>\n\n</think>\n\n" },
                { "llama3",
                        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief."
                        "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n1+1?<|eot_id|>"
                        "<|start_header_id|>assistant<|end_header_id|>\n\n",
                        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n1+1?<|eot_id|"
                        ">"
                        "<|start_header_id|>assistant<|end_header_id|>\n\n" },
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct scope_chat_template *chat = NULL;
                assert_ok(scope_chat_template_builtin(cases[i].name, &chat, NULL));
                expect(chat, (struct scope_chat_request){ .add_generation_prompt = true },
                        cases[i].with_system);
                expect(chat,
                        (struct scope_chat_request){
                                .messages = two + 1, .count = 1, .add_generation_prompt = true },
                        cases[i].without);
                scope_chat_template_destroy(chat);
        }
}

static void test_a_last_message_is_continued(void **state)
{
        (void)state;
        static const struct scope_chat_message chat_of[] = { { "user", "2+2?", 4 },
                { "assistant", "We add.\n\n", 9 } };
        struct scope_chat_request request = {
                .messages = chat_of, .count = 2, .continue_final_message = true
        };
        struct scope_chat_template *chat = NULL;
        assert_ok(scope_chat_template_builtin("chatml", &chat, NULL));
        expect(chat, request,
                "<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\nWe add.\n\n");
        scope_chat_template_destroy(chat);
        assert_ok(scope_chat_template_builtin("llama3", &chat, NULL)); /* strips its contents */
        expect(chat, request,
                "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n2+2?<|eot_id|>"
                "<|start_header_id|>assistant<|end_header_id|>\n\nWe add.");
        struct scope_text text = { 0 };
        request.add_generation_prompt = true;
        assert_int_equal(
                scope_chat_template_render(chat, &request, &text, NULL), SCOPE_ERR_ARGUMENT);
        assert_int_equal(text.count, 0);
        scope_chat_template_destroy(chat);
}

static void test_what_does_not_fit_is_said(void **state)
{
        (void)state;
        struct scope_chat_template *chat = NULL;
        struct scope_diag diag;
        struct scope_text text = { 0 };
        assert_int_equal(scope_chat_template_builtin("vicuna", &chat, &diag), SCOPE_ERR_NOT_FOUND);
        assert_non_null(strstr(diag.text, "qwen2.5-math"));
        assert_ok(scope_chat_template_builtin("chatml", &chat, NULL));
        static const struct {
                const char *messages, *variables, *words;
                enum scope_err err;
        } cases[] = {
                { "[{\"role\":\"tool\",\"content\":\"x\"}]", NULL, "takes messages of",
                        SCOPE_ERR_UNSUPPORTED },
                { "[{\"role\":\"user\",\"content\":\"x\"}]", "{\"a\":1}", "no variables",
                        SCOPE_ERR_UNSUPPORTED },
                { "[{\"role\":\"user\"", NULL, "no JSON array", SCOPE_ERR_FORMAT },
                { "[{\"role\":\"user\",\"content\":\"x\"}]", "[]", "no JSON object",
                        SCOPE_ERR_FORMAT },
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct scope_chat_request request = { .messages_json = cases[i].messages,
                        .json_bytes = strlen(cases[i].messages),
                        .variables = cases[i].variables };
                assert_int_equal(
                        scope_chat_template_render(chat, &request, &text, &diag), cases[i].err);
                if (strstr(diag.text, cases[i].words) == NULL)
                        fail_msg("%s", diag.text);
        }
        assert_int_equal(text.count, 0);
        scope_chat_template_destroy(chat);
}

/* ---- files and prompts ---- */

static char directory[64];

static void put(const char *name, const char *text)
{
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", directory, name);
        assert_ok(scope_file_commit(path, text, strlen(text), NULL));
}

static int set_up(void **state)
{
        (void)state;
        (void)strcpy(directory, "/tmp/scope-chat-XXXXXX");
        return mkdtemp(directory) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
        (void)state;
        scope_directory_remove(directory);
        return 0;
}

static const struct scope_prompt_format_options usual = { "auto", "Help.", "Box it.", "", "",
        false };

static void expect_prompt(const struct scope_prompt_format_options *options, const char *messages,
        const char *words, const char *wanted)
{
        struct scope_prompt_format *format = NULL;
        struct scope_text text = { 0 };
        struct scope_diag diag = { "" };
        struct scope_string brought = { messages, (uint32_t)strlen(messages) };
        if (scope_prompt_format_create(directory, options, &format, &diag) != SCOPE_OK)
                fail_msg("%s", diag.text);
        if (strstr(scope_prompt_format_words(format), words) == NULL)
                fail_msg("%s", scope_prompt_format_words(format));
        assert_ok(scope_prompt_format_render(
                format, (struct scope_string)TEXT("1+1="), brought, &text, &diag));
        assert_string_equal(text.bytes, wanted);
        scope_text_fini(&text);
        scope_prompt_format_destroy(format);
}

static void test_auto_is_the_models_own(void **state)
{
        (void)state;
        expect_prompt(&usual, "", "plain", "1+1="); /* an empty directory */
        put("tokenizer_config.json", "{\"bos_token\":{\"content\":\"<b>\"},\"chat_template\":[{"
                                     "\"name\":\"x\",\"template\":"
                                     "\"no\"},{\"name\":\"default\",\"template\":\"{{ bos_token "
                                     "}}{% for m in messages %}"
                                     "{{ m.role }}:{{ m.content }};{% endfor %}\"}]}");
        expect_prompt(&usual, "", "Jinja of", "<b>system:Help.;user:1+1=\n\nBox it.;");
        expect_prompt(
                &usual, "[{\"role\":\"user\",\"content\":\"own\"}]", "Jinja of", "<b>user:own;");
        put("chat_template.jinja", "{{ messages|length }}{{ bos_token }}"); /* goes first */
        expect_prompt(&usual, "", "chat_template.jinja", "2<b>");
        struct scope_prompt_format_options options = usual;
        options.format = "plain";
        expect_prompt(&options, "", "plain", "1+1=");
        options.format = "smollm2";
        options.system = options.instruction = "";
        options.blank_line_hint = true;
        expect_prompt(&options, "", "smollm2, built in",
                "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by "
                "Hugging "
                "Face<|im_end|>\n<|im_start|>user\n1+1=\n\nSeparate steps with a blank line."
                "<|im_end|>\n<|im_start|>assistant\n");
}

static void test_dates_and_variables_reach_the_template(void **state)
{
        (void)state;
        struct scope_prompt_format_options options = usual;
        put("chat_template.jinja",
                "{{ strftime_now('%d %b %Y') if strftime_now is defined else '-' }}"
                "{{ thinking|default('?') }}");
        expect_prompt(&options, "", "Jinja", "-?");
        options.date = "2025-02-03";
        options.variables = "{\"thinking\":[1]}";
        expect_prompt(&options, "", "Jinja", "03 Feb 2025[1]");
}

static void test_a_template_that_cannot_serve_is_found_out_at_once(void **state)
{
        (void)state;
        struct scope_prompt_format *format = NULL;
        struct scope_diag diag = { "" };
        put("chat_template.jinja", "{% if messages[0].role == 'system' %}"
                                   "{{ raise_exception('no system role') }}{% endif %}"
                                   "{{ messages[0].content }}");
        expect_prompt(&usual, "", "without a system message, which it refuses", "1+1=\n\nBox it.");
        put("chat_template.jinja", "a\n{{ messages[7].content }}");
        assert_int_equal(
                scope_prompt_format_create(directory, &usual, &format, &diag), SCOPE_ERR_FORMAT);
        assert_non_null(strstr(diag.text, "chat_template.jinja:2:"));
        put("chat_template.jinja", "{{ x|nosuch }}");
        assert_int_equal(scope_prompt_format_create(directory, &usual, &format, &diag),
                SCOPE_ERR_UNSUPPORTED);
        struct scope_prompt_format_options options = usual;
        options.format = "nosuch";
        assert_int_equal(scope_prompt_format_create(directory, &options, &format, &diag),
                SCOPE_ERR_NOT_FOUND);
        options.format = "chatml";
        options.date = "tomorrow";
        assert_int_equal(
                scope_prompt_format_create(directory, &options, &format, &diag), SCOPE_ERR_FORMAT);
        put("tokenizer_config.json", "{");
        assert_int_equal(
                scope_prompt_format_create(directory, &usual, &format, &diag), SCOPE_ERR_FORMAT);
        assert_non_null(strstr(diag.text, "tokenizer_config.json"));
}

static void test_qwen3_and_digits_as_they_are(void **state)
{
        (void)state;
        const char *path = test_shared("data/tokenizers/qwen3/tokenizer_config.json");
        if (path == NULL)
                test_skip("no ../shared/data/tokenizers/qwen3");
        char own[4096];
        (void)snprintf(own, sizeof own, "%.*s", (int)(strrchr(path, '/') - path), path);
        struct scope_chat_template *chat = NULL;
        static const struct scope_chat_message long_one[] = { { "user", "a", 1 },
                { "assistant", "<think>\nx\n</think>\n\nb", 22 }, { "user", "c", 1 },
                { "assistant", "<think>y</think>d", 17 } };
        assert_ok(scope_chat_template_load(own, &chat, NULL));
        assert_string_equal(scope_chat_template_words(chat), "qwen3, known by its hash");
        for (size_t count = 1; count <= 4; count++) {
                struct scope_text texts[2] = { { 0 }, { 0 } };
                for (int jinja = 0; jinja < 2; jinja++) {
                        struct scope_chat_request request = { .messages = long_one,
                                .count = count,
                                .jinja = jinja,
                                .add_generation_prompt = count % 2 };
                        assert_ok(scope_chat_template_render(chat, &request, &texts[jinja], NULL));
                }
                assert_string_equal(texts[0].bytes, texts[1].bytes);
                scope_text_fini(&texts[0]);
                scope_text_fini(&texts[1]);
        }
        scope_chat_template_destroy(chat);
        path = test_shared("data/models/digits/tokenizer_config.json");
        if (path == NULL)
                test_skip("no ../shared/data/models/digits");
        (void)snprintf(own, sizeof own, "%.*s", (int)(strrchr(path, '/') - path), path);
        assert_ok(scope_chat_template_load(own, &chat, NULL));
        static const struct scope_chat_message digits = { "user", "8,3:9,4", 7 };
        expect(chat,
                (struct scope_chat_request){
                        .messages = &digits, .count = 1, .add_generation_prompt = true },
                "8,3:9,4S");
        scope_chat_template_destroy(chat);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each_built_in_one_has_its_form),
                cmocka_unit_test(test_a_last_message_is_continued),
                cmocka_unit_test(test_what_does_not_fit_is_said),
                cmocka_unit_test_setup_teardown(test_auto_is_the_models_own, set_up, tear_down),
                cmocka_unit_test_setup_teardown(
                        test_dates_and_variables_reach_the_template, set_up, tear_down),
                cmocka_unit_test_setup_teardown(
                        test_a_template_that_cannot_serve_is_found_out_at_once, set_up, tear_down),
                cmocka_unit_test(test_qwen3_and_digits_as_they_are),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
