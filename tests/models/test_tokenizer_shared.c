/* The real Qwen3 tokenizer on real questions, beside what the library gave for them
 * (tests/oracle/tokenizer_shared.py). tokenizer_compare.py beside it compares 120,000 strings. */
#include "tests/test.h"

#include <jansson.h>

#include "base/text.h"
#include "models/tokenizer.h"
#include "models/tokenizer_parts.h"

static struct scope_tokenizer *load_qwen3(void)
{
        const char *path = test_shared("data/tokenizers/qwen3/tokenizer.json");
        struct scope_tokenizer *tokenizer = NULL;
        struct scope_diag diag = { "" };
        if (path == NULL)
                return NULL;
        if (scope_tokenizer_load(path, &tokenizer, &diag) != SCOPE_OK)
                fail_msg("%s", diag.text);
        return tokenizer;
}

static void add_line(const struct scope_tokenizer *tokenizer, const char *text, uint64_t *hash,
        size_t *total)
{
        enum { MAX = 8192 };
        static uint32_t ids[MAX];
        struct scope_text back = { 0 };
        size_t count;
        assert_ok(scope_tokenizer_encode(tokenizer, text, strlen(text), ids, MAX, &count));
        for (size_t i = 0; i < count; i++)
                for (int shift = 0; shift < 32; shift += 8)
                        *hash = (*hash ^ (ids[i] >> shift & 255)) * 0x100000001b3u;
        *total += count;
        scope_tokenizer_decode(tokenizer, ids, count, true, &back);
        assert_string_equal(back.bytes, text); /* all of it is in form C */
        scope_text_fini(&back);
}

static void test_real_questions_have_the_librarys_ids(void **state)
{
        (void)state;
        static const struct {
                const char *path, *key;
                size_t rows, tokens;
                uint64_t hash;
        } files[] = {
                { "data/gsm8k/test.jsonl", "question", 1319, 80865, 0x1b39d66ee6c4478fu },
                { "data/eval/math500.jsonl", "problem", 500, 35470, 0x4af4911d32a9fdbeu },
        };
        struct scope_tokenizer *tokenizer = load_qwen3();
        if (tokenizer == NULL)
                test_skip("no shared tokenizers");
        for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
                const char *path = test_shared(files[i].path);
                size_t rows = 0, tokens = 0;
                uint64_t hash = 0xcbf29ce484222325u;
                FILE *file = path != NULL ? fopen(path, "rb") : NULL;
                json_t *line;
                if (file == NULL)
                        continue;
                while ((line = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL)) != NULL) {
                        add_line(tokenizer, json_string_value(json_object_get(line, files[i].key)),
                                &hash, &tokens);
                        json_decref(line);
                        rows++;
                }
                (void)fclose(file);
                assert_int_equal(rows, files[i].rows);
                assert_int_equal(tokens, files[i].tokens);
                assert_true(hash == files[i].hash);
        }
        scope_tokenizer_destroy(tokenizer);
}

static void test_real_tokens_are_whole_as_merging_says(void **state)
{
        (void)state;
        struct scope_tokenizer *tokenizer = load_qwen3();
        if (tokenizer == NULL)
                test_skip("no shared tokenizers");
        uint32_t size = scope_tokenizer_size(tokenizer), whole = 0;
        bool *quick = malloc(size);
        assert_non_null(quick);
        for (uint32_t i = 0; i < size; i++)
                quick[i] = tokenizer->tokens[i].whole;
        assert_ok(scope_tokenizer_find_whole(tokenizer, false));
        for (uint32_t i = 0; i < size; i++) {
                assert_int_equal(quick[i], tokenizer->tokens[i].whole);
                whole += quick[i];
        }
        assert_true(whole > 150000);
        assert_int_equal(scope_tokenizer_id(tokenizer, "<|im_end|>"), 151645);
        assert_int_equal(scope_tokenizer_id(tokenizer, "<think>"), 151667);
        assert_false(scope_tokenizer_is_special(tokenizer, 151667));
        free(quick);
        scope_tokenizer_destroy(tokenizer);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_real_questions_have_the_librarys_ids),
                cmocka_unit_test(test_real_tokens_are_whole_as_merging_says),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
