/* A vocabulary of characters out of tokenizer_config.json, and the model that came with one. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "models/hf_directory.h"
#include "models/tokenizer.h"
#include "tests/test.h"

/* A directory with this tokenizer_config.json and nothing else; loads it. */
static enum scope_err load(
        const char *config, struct scope_tokenizer **ret_tokenizer, struct scope_diag *diag)
{
        char directory[] = "characters-XXXXXX", path[64];
        assert_non_null(mkdtemp(directory));
        (void)snprintf(path, sizeof path, "%s/tokenizer_config.json", directory);
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_true(fputs(config, file) >= 0);
        assert_int_equal(fclose(file), 0);
        enum scope_err err = scope_tokenizer_load(directory, ret_tokenizer, diag);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rmdir(directory), 0);
        return err;
}

static void check_digits(const struct scope_tokenizer *tokenizer)
{
        const uint32_t want[] = { 12, 14, 7, 15, 13, 14, 4, 0 }; /* S is token 0 */
        uint32_t ids[16];
        size_t count = 0;
        struct scope_text text = { 0 };
        assert_int_equal(scope_tokenizer_size(tokenizer), 16);
        assert_ok(scope_tokenizer_encode(tokenizer, "8,3:9,0S", 8, ids, 16, &count));
        assert_int_equal(count, 8);
        assert_memory_equal(ids, want, sizeof want);
        ids[8] = 1; /* E */
        scope_tokenizer_decode(tokenizer, ids, 9, true, &text);
        assert_string_equal(text.bytes, "8,3:9,0");
        assert_int_equal(scope_tokenizer_encode(tokenizer, "x", 1, ids, 16, &count),
                SCOPE_ERR_NOT_FOUND);
        scope_text_fini(&text);
}

static void test_characters_are_ids_behind_four_special_ones(void **state)
{
        (void)state;
        struct scope_tokenizer *tokenizer = NULL;
        struct scope_diag diag = { 0 };
        assert_ok(load("{\"char_ords\": [48,49,50,51,52,53,54,55,56,57,44,58]}", &tokenizer,
                &diag));
        check_digits(tokenizer);
        scope_tokenizer_destroy(tokenizer);
}

static void test_bad_characters_are_refused(void **state)
{
        (void)state;
        struct scope_tokenizer *tokenizer = NULL;
        struct scope_diag diag = { 0 };
        assert_int_equal(load("{\"char_ords\": [48, 48]}", &tokenizer, &diag), SCOPE_ERR_FORMAT);
        assert_int_equal(
                load("{\"char_ords\": [48, 960]}", &tokenizer, &diag), SCOPE_ERR_UNSUPPORTED);
        assert_int_equal(load("{\"char_ords\": [", &tokenizer, &diag), SCOPE_ERR_FORMAT);
        assert_int_equal(load("{}", &tokenizer, &diag), SCOPE_ERR_NOT_FOUND);
        assert_null(tokenizer);
}

static void test_the_digits_model_loads(void **state)
{
        (void)state;
        char directory[4096];
        const char *config = test_shared("data/models/digits/config.json");
        struct scope_tokenizer *tokenizer = NULL;
        struct scope_model model = { 0 };
        if (config == NULL)
                test_skip("no data/models/digits below SCOPE_SHARED");
        (void)snprintf(directory, sizeof directory, "%.*s",
                (int)(strlen(config) - strlen("/config.json")), config);
        assert_ok(scope_tokenizer_load(directory, &tokenizer, NULL));
        check_digits(tokenizer);
        assert_ok(scope_model_load(directory, &model, NULL));
        assert_int_equal(model.layout->config.vocab, 16);
        assert_int_equal(model.layout->config.layers, 4);
        scope_model_fini(&model);
        scope_tokenizer_destroy(tokenizer);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_characters_are_ids_behind_four_special_ones),
                cmocka_unit_test(test_bad_characters_are_refused),
                cmocka_unit_test(test_the_digits_model_loads),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
