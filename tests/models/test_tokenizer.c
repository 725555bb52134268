/* Ids as the tokenizers library gives them (recorded by oracle_tokenizers.py), and refusals by
 * name. */
#include "tests/test.h"

#include <jansson.h>

#include "base/file.h"
#include "base/text.h"
#include "models/tokenizer.h"
#include "models/tokenizer_tiny.h"

static json_t *recorded; /* the whole file, for all tests */

static int open_cases(void **state)
{
        (void)state;
        recorded = json_load_file(test_source("tests/models/tokenizer_cases.json"), 0, NULL);
        return recorded != NULL ? 0 : -1;
}

static int close_cases(void **state)
{
        (void)state;
        json_decref(recorded);
        return 0;
}

static json_t *cases(void)
{
        return json_object_get(recorded, "tokenizers");
}

static void check_case(const struct scope_tokenizer *tokenizer, json_t *item)
{
        const char *text = json_string_value(json_object_get(item, "text"));
        json_t *expected = json_object_get(item, "ids");
        uint32_t ids[512];
        size_t count;
        struct scope_text back = { 0 };
        assert_ok(scope_tokenizer_encode(tokenizer, text, strlen(text), ids, 512, &count));
        assert_int_equal(count, json_array_size(expected));
        for (size_t i = 0; i < count; i++)
                assert_int_equal(ids[i], json_integer_value(json_array_get(expected, i)));
        scope_tokenizer_decode(tokenizer, ids, count, false, &back);
        assert_int_equal(back.count, strlen(text));
        assert_memory_equal(back.count != 0 ? back.bytes : "", text, back.count);
        scope_text_fini(&back);
}

static void test_ids_equal_those_of_the_tokenizers_library(void **state)
{
        (void)state;
        json_t *list = cases(), *item;
        size_t i, j, seen = 0;
        for (i = 0; i < json_array_size(list); i++) {
                json_t *one = json_array_get(list, i);
                const char *json = json_string_value(json_object_get(one, "json"));
                struct scope_tokenizer *tokenizer;
                struct scope_diag diag = { "" };
                if (scope_tokenizer_parse(json, strlen(json), &tokenizer, &diag) != SCOPE_OK)
                        fail_msg("%s", diag.text);
                json_array_foreach(json_object_get(one, "cases"), j, item) {
                        check_case(tokenizer, item);
                        seen++;
                }
                scope_tokenizer_destroy(tokenizer);
        }
        assert_true(seen > 120);
}

static void test_the_recorded_text_is_still_the_built_in_one(void **state)
{
        (void)state;
        json_t *json = json_object_get(json_array_get(cases(), 0), "json");
        assert_string_equal(json_string_value(json), scope_tokenizer_tiny_json());
}

static void test_tiny_tokens_are_where_their_names_say(void **state)
{
        (void)state;
        static const char text[] = "12+-*=()}\n\n\\boxed{<eos>";
        static const uint32_t expected[] = { SCOPE_TINY_DIGIT + 1, SCOPE_TINY_DIGIT + 2,
                SCOPE_TINY_PLUS, SCOPE_TINY_MINUS, SCOPE_TINY_TIMES, SCOPE_TINY_EQUALS,
                SCOPE_TINY_OPEN, SCOPE_TINY_CLOSE, SCOPE_TINY_BRACE, SCOPE_TINY_BLANK_LINE,
                SCOPE_TINY_BOXED, SCOPE_TINY_EOS };
        struct scope_tokenizer *tokenizer;
        uint32_t ids[16];
        size_t count;
        assert_ok(scope_tokenizer_tiny_create(&tokenizer));
        assert_int_equal(scope_tokenizer_size(tokenizer), SCOPE_TINY_VOCAB);
        assert_ok(scope_tokenizer_encode(tokenizer, text, strlen(text), ids, 16, &count));
        assert_int_equal(count, sizeof expected / sizeof *expected);
        assert_memory_equal(ids, expected, sizeof expected);
        assert_int_equal(scope_tokenizer_token_bytes(tokenizer, SCOPE_TINY_EOS), 0);
        assert_int_equal(scope_tokenizer_token_bytes(tokenizer, SCOPE_TINY_BLANK_LINE), 2);
        assert_int_equal(scope_tokenizer_token_bytes(tokenizer, SCOPE_TINY_BOXED), 7);
        assert_int_equal(scope_tokenizer_token_bytes(tokenizer, 1000), 0);
        struct scope_text back = { 0 };
        scope_tokenizer_decode(tokenizer, ids, count, true, &back);
        assert_string_equal(back.bytes, "12+-*=()}\n\n\\boxed{");
        scope_text_fini(&back);
        scope_tokenizer_destroy(tokenizer);
}

static void test_what_cannot_be_spelled_or_does_not_fit_is_refused(void **state)
{
        (void)state;
        struct scope_tokenizer *tokenizer;
        uint32_t ids[4];
        size_t count;
        assert_ok(scope_tokenizer_tiny_create(&tokenizer));
        assert_int_equal(scope_tokenizer_encode(tokenizer, "1a", 2, ids, 4, &count),
                SCOPE_ERR_NOT_FOUND);
        assert_int_equal(scope_tokenizer_encode(tokenizer, "1\n2", 3, ids, 4, &count),
                SCOPE_ERR_NOT_FOUND);
        assert_int_equal(scope_tokenizer_encode(tokenizer, "12345", 5, ids, 4, &count),
                SCOPE_ERR_TOO_BIG);
        assert_int_equal(count, 4);
        assert_ok(scope_tokenizer_encode(tokenizer, "", 0, ids, 4, &count));
        assert_int_equal(count, 0);
        scope_tokenizer_destroy(tokenizer);
}

/* The built-in text with its first `find` replaced must be refused with `expected`, naming
 * `word`. */
static void refuse(const char *find, const char *replace, enum scope_err expected, const char *word)
{
        const char *json = scope_tokenizer_tiny_json(), *at = strstr(json, find);
        struct scope_tokenizer *tokenizer = NULL;
        struct scope_diag diag = { "" };
        struct scope_text text = { 0 };
        assert_non_null(at);
        scope_text_add(&text, json, (size_t)(at - json));
        scope_text_string(&text, replace);
        scope_text_string(&text, at + strlen(find));
        enum scope_err err = scope_tokenizer_parse(text.bytes, text.count, &tokenizer, &diag);
        if (err != expected || strstr(diag.text, word) == NULL)
                fail_msg("%s -> %s gave %s: %s", find, replace, scope_err_name(err), diag.text);
        assert_null(tokenizer);
        scope_text_fini(&text);
}

static void test_foreign_and_hostile_forms_are_refused_by_name(void **state)
{
        (void)state;
        refuse("\"normalizer\": null", "\"normalizer\": {\"type\": \"NFKC\"}",
                SCOPE_ERR_UNSUPPORTED, "NFKC");
        refuse("\"BPE\"", "\"Unigram\"", SCOPE_ERR_UNSUPPORTED, "Unigram");
        refuse("\"pre_tokenizer\": {\"type\": \"ByteLevel\"",
                "\"pre_tokenizer\": {\"type\": \"Metaspace\"", SCOPE_ERR_UNSUPPORTED, "Metaspace");
        refuse("\"decoder\": {\"type\": \"ByteLevel\"", "\"decoder\": {\"type\": \"Fuse\"",
                SCOPE_ERR_UNSUPPORTED, "Fuse");
        refuse("\"post_processor\": null", "\"post_processor\": {\"type\": \"BertProcessing\"}",
                SCOPE_ERR_UNSUPPORTED, "BertProcessing");
        refuse("\"truncation\": null", "\"truncation\": {}", SCOPE_ERR_UNSUPPORTED, "truncation");
        refuse("\"unk_token\": null", "\"unk_token\": \"0\"", SCOPE_ERR_UNSUPPORTED, "unk_token");
        refuse("\"byte_fallback\": false", "\"byte_fallback\": true", SCOPE_ERR_UNSUPPORTED,
                "byte_fallback");
        refuse("\"merges\": []", "\"merges\": [\"1 2\"]", SCOPE_ERR_FORMAT, "12");
        refuse("\"merges\": []", "\"merges\": [7]", SCOPE_ERR_FORMAT, "merge");
        refuse("\"merges\": []", "\"merges\": {}", SCOPE_ERR_FORMAT, "merges");
        refuse("\"0\": 2", "\"0\": 3", SCOPE_ERR_FORMAT, "id");
        refuse("\"0\": 2", "\"0\": -2", SCOPE_ERR_FORMAT, "id");
        refuse("\"0\": 2", "\"0\": 99999999999", SCOPE_ERR_TOO_BIG, "99999999999");
        refuse("\"0\": 2", "\"0\": 2, \"0\": 2", SCOPE_ERR_FORMAT, "duplicate");
        refuse("\"0\": 2", "\"\": 2", SCOPE_ERR_FORMAT, "empty");
        refuse("{\"id\": 1,", "{\"id\": 7,", SCOPE_ERR_FORMAT, "<eos>");
        refuse("{\"id\": 1, \"content\": \"<eos>\"", "{\"id\": 0, \"content\": \"<pad>\"",
                SCOPE_ERR_FORMAT, "twice");
        refuse("\"vocab\": {", "\"vocab\": ", SCOPE_ERR_FORMAT, "tokenizer.json:");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ids_equal_those_of_the_tokenizers_library),
                cmocka_unit_test(test_the_recorded_text_is_still_the_built_in_one),
                cmocka_unit_test(test_tiny_tokens_are_where_their_names_say),
                cmocka_unit_test(test_what_cannot_be_spelled_or_does_not_fit_is_refused),
                cmocka_unit_test(test_foreign_and_hostile_forms_are_refused_by_name),
        };
        return cmocka_run_group_tests(tests, open_cases, close_cases);
}
