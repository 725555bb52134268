/* Every form of tokenizer.json that we read, beside the tokenizers library: ids, ids with BOS and
 * EOS, and text back, all recorded by tests/oracle/tokenizer_forms.py. */
#include "tests/test.h"

#include <jansson.h>

#include "base/text.h"
#include "base/utf8.h"
#include "models/token_stream.h"
#include "models/tokenizer.h"

enum { IDS_MAX = 1024 };

static json_t *recorded;

static int open_cases(void **state)
{
        (void)state;
        recorded = json_load_file(test_source("tests/models/tokenizer_forms.json"), 0, NULL);
        return recorded != NULL ? 0 : -1;
}

static int close_cases(void **state)
{
        (void)state;
        json_decref(recorded);
        return 0;
}

static struct scope_tokenizer *parse(json_t *one)
{
        const char *json = json_string_value(json_object_get(one, "json"));
        struct scope_tokenizer *tokenizer = NULL;
        struct scope_diag diag = { "" };
        if (scope_tokenizer_parse(json, strlen(json), &tokenizer, &diag) != SCOPE_OK)
                fail_msg("%s: %s", json_string_value(json_object_get(one, "name")), diag.text);
        return tokenizer;
}

static void check_ids(
        const char *name, const char *text, const uint32_t *ids, size_t count, json_t *expected)
{
        bool same = count == json_array_size(expected);
        for (size_t i = 0; same && i < count; i++)
                same = ids[i] == json_integer_value(json_array_get(expected, i));
        if (!same)
                fail_msg("%s: \"%s\" gives %zu ids (first %u), expected %zu", name, text, count,
                        count != 0 ? ids[0] : 0, json_array_size(expected));
}

static void check_back(const struct scope_tokenizer *tokenizer, const char *name,
        const uint32_t *ids, size_t count, const char *expected)
{
        struct scope_token_stream stream;
        struct scope_text back = { 0 };
        scope_token_stream_init(&stream, tokenizer, true);
        scope_text_string(&back, "");
        for (size_t i = 0; i < count; i++) {
                scope_token_stream_push(&stream, ids[i], &back);
                assert_true(scope_utf8_valid((const uint8_t *)back.bytes, back.count));
        }
        scope_token_stream_finish(&stream, &back);
        if (strcmp(back.bytes, expected) != 0)
                fail_msg("%s: back comes \"%s\", expected \"%s\"", name, back.bytes, expected);
        scope_text_fini(&back);
}

static void check_case(const struct scope_tokenizer *tokenizer, const char *name, json_t *item)
{
        json_t *texts = json_object_get(recorded, "texts");
        size_t place = (size_t)json_integer_value(json_array_get(item, 0)), count;
        const char *text = json_string_value(json_array_get(texts, place));
        json_t *expected = json_array_get(item, 1), *framed = json_array_get(item, 2);
        const char *back = json_string_value(json_array_get(item, 3));
        uint32_t ids[IDS_MAX];
        assert_ok(scope_tokenizer_encode(tokenizer, text, strlen(text), ids, IDS_MAX, &count));
        check_ids(name, text, ids, count, expected);
        if (json_integer_value(json_array_get(item, 3)) != -1) /* the library's is broken */
                check_back(tokenizer, name, ids, count, back != NULL ? back : text);
        assert_ok(scope_tokenizer_encode_framed(
                tokenizer, text, strlen(text), ids, IDS_MAX, &count));
        check_ids(name, text, ids, count, json_is_array(framed) ? framed : expected);
}

static void test_every_form_equals_the_library(void **state)
{
        (void)state;
        json_t *list = json_object_get(recorded, "tokenizers"), *one, *item;
        size_t i, j, forms = 0, seen = 0;
        json_array_foreach(list, i, one) {
                struct scope_tokenizer *tokenizer = parse(one);
                json_array_foreach(json_object_get(one, "cases"), j, item) {
                        check_case(tokenizer,
                                json_string_value(json_object_get(one, "name")), item);
                        seen++;
                }
                scope_tokenizer_destroy(tokenizer);
                forms++;
        }
        assert_true(forms >= 28 && seen > 700);
}

static size_t unhex(const char *hex, uint8_t *ret_bytes)
{
        size_t count = strlen(hex) / 2;
        for (size_t i = 0; i < count; i++) {
                unsigned byte = 0;
                assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
                ret_bytes[i] = (uint8_t)byte;
        }
        return count;
}

/* Broken text in: as if it had been repaired before, and repaired as Python does it. */
static void test_broken_text_reads_as_the_replacement_character(void **state)
{
        (void)state;
        struct scope_tokenizer *tokenizer =
                parse(json_array_get(json_object_get(recorded, "tokenizers"), 0));
        json_t *item;
        size_t i, count, clean;
        json_array_foreach(json_object_get(recorded, "bytes"), i, item) {
                const char *text = json_string_value(json_array_get(item, 1));
                uint8_t bytes[64];
                uint32_t ids[256], expected[256];
                struct scope_text repaired = { 0 };
                size_t broken = unhex(json_string_value(json_array_get(item, 0)), bytes);
                size_t length = json_string_length(json_array_get(item, 1));
                scope_utf8_repair(bytes, broken, &repaired);
                assert_int_equal(repaired.count, length);
                assert_memory_equal(repaired.bytes, text, length);
                assert_ok(scope_tokenizer_encode(
                        tokenizer, (const char *)bytes, broken, ids, 256, &count));
                assert_ok(scope_tokenizer_encode(tokenizer, text, length, expected, 256, &clean));
                assert_int_equal(count, clean);
                assert_memory_equal(ids, expected, count * sizeof *ids);
                scope_text_fini(&repaired);
        }
        assert_true(i > 40);
        scope_tokenizer_destroy(tokenizer);
}

/* Bytes through a stream, one token each: what comes out never ends within a character, and all
 * together is the repaired text. */
static void test_a_stream_never_gives_half_a_character(void **state)
{
        (void)state;
        struct scope_tokenizer *tokenizer =
                parse(json_array_get(json_object_get(recorded, "tokenizers"), 0));
        uint32_t byte_ids[256], length;
        json_t *item;
        size_t i;
        for (uint32_t id = 0; id < scope_tokenizer_size(tokenizer); id++) {
                const char *spelling = scope_tokenizer_spelling(tokenizer, id, &length);
                if (length == 1)
                        byte_ids[(uint8_t)spelling[0]] = id;
        }
        json_array_foreach(json_object_get(recorded, "bytes"), i, item) {
                struct scope_token_stream stream;
                struct scope_text out = { 0 };
                uint8_t bytes[64];
                size_t count = unhex(json_string_value(json_array_get(item, 0)), bytes);
                size_t expected = json_string_length(json_array_get(item, 1));
                scope_token_stream_init(&stream, tokenizer, false);
                for (size_t j = 0; j < count; j++) {
                        scope_token_stream_push(&stream, byte_ids[bytes[j]], &out);
                        assert_true(scope_utf8_valid((const uint8_t *)out.bytes, out.count));
                }
                scope_token_stream_finish(&stream, &out);
                assert_int_equal(out.count, expected);
                assert_memory_equal(
                        out.bytes, json_string_value(json_array_get(item, 1)), expected);
                scope_text_fini(&out);
        }
        scope_tokenizer_destroy(tokenizer);
}

static void test_special_tokens_are_found_by_their_text(void **state)
{
        (void)state;
        json_t *list = json_object_get(recorded, "tokenizers"), *one;
        size_t i;
        json_array_foreach(list, i, one) {
                const char *name = json_string_value(json_object_get(one, "name"));
                if (strcmp(name, "llama3") != 0)
                        continue;
                struct scope_tokenizer *tokenizer = parse(one);
                uint32_t begin = scope_tokenizer_id(tokenizer, "<|begin_of_text|>"), ids[8];
                uint32_t tool = scope_tokenizer_id(tokenizer, "<tool>");
                size_t count;
                assert_int_not_equal(begin, SCOPE_TOKEN_NONE);
                assert_true(scope_tokenizer_is_special(tokenizer, begin));
                assert_int_equal(scope_tokenizer_token_bytes(tokenizer, begin), 0);
                assert_false(scope_tokenizer_is_special(tokenizer, tool));
                assert_int_equal(scope_tokenizer_token_bytes(tokenizer, tool), 6);
                assert_int_equal(scope_tokenizer_id(tokenizer, "<tool"), SCOPE_TOKEN_NONE);
                assert_int_equal(scope_tokenizer_id(tokenizer, ""), SCOPE_TOKEN_NONE);
                assert_ok(scope_tokenizer_encode(tokenizer, " ", 1, ids, 8, &count));
                assert_int_equal(scope_tokenizer_id(tokenizer, " "), ids[0]);
                assert_ok(scope_tokenizer_encode_framed(tokenizer, "", 0, ids, 8, &count));
                assert_int_equal(ids[0], begin);
                assert_int_equal(ids[1], tool);
                assert_int_equal(scope_tokenizer_encode_framed(
                        tokenizer, "a", 1, ids, 2, &count), SCOPE_ERR_TOO_BIG);
                scope_tokenizer_destroy(tokenizer);
                return;
        }
        fail_msg("no llama3 among the recorded ones");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_form_equals_the_library),
                cmocka_unit_test(test_broken_text_reads_as_the_replacement_character),
                cmocka_unit_test(test_a_stream_never_gives_half_a_character),
                cmocka_unit_test(test_special_tokens_are_found_by_their_text),
        };
        return cmocka_run_group_tests(tests, open_cases, close_cases);
}
