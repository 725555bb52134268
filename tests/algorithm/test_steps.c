/* Steps of a text, and the tokens that cover them. */
#include "tests/test.h"

#include "algorithm/steps.h"
#include "base/rng.h"
#include "tests/algorithm/defaults.h"

static uint32_t split(const char *text, uint32_t *ends)
{
        return scope_steps_split(string_from(text), ends, 8);
}

static void test_blank_line_ends_a_step(void **state)
{
        (void)state;
        uint32_t ends[8];
        assert_int_equal(split("a\n\nb\n\n\\boxed{1}", ends), 3);
        assert_int_equal(ends[0], 3);
        assert_int_equal(ends[1], 6);
        assert_int_equal(ends[2], 15);
}

static void test_single_newline_does_not_end_a_step(void **state)
{
        (void)state;
        uint32_t ends[8];
        assert_int_equal(split("a\nb\nc", ends), 1);
        assert_int_equal(ends[0], 5);
}

static void test_newlines_with_blanks_between_are_one_delimiter(void **state)
{
        (void)state;
        uint32_t ends[8];
        assert_int_equal(split("a\n \t\n\n\r\n b", ends), 2);
        assert_int_equal(ends[0], 8);
        assert_int_equal(ends[1], 10);
}

static void test_blank_ends_belong_to_their_neighbours(void **state)
{
        (void)state;
        uint32_t ends[8];
        assert_int_equal(split("\n\na\n\nb\n\n  \n", ends), 2);
        assert_int_equal(ends[0], 5);
        assert_int_equal(ends[1], 11);
        assert_int_equal(split(" \n\n ", ends), 0);
        assert_int_equal(split("", ends), 0);
}

static void test_too_many_steps_join_the_last(void **state)
{
        (void)state;
        uint32_t ends[2];
        struct scope_string text = string_from("a\n\nb\n\nc\n\nd");
        assert_int_equal(scope_steps_split(text, ends, 2), 2);
        assert_int_equal(ends[0], 3);
        assert_int_equal(ends[1], 10);
        assert_int_equal(scope_steps_split(text, ends, 1), 1);
        assert_int_equal(ends[0], 10);
}

static void test_step_text_is_trimmed(void **state)
{
        (void)state;
        uint32_t ends[8];
        struct scope_string text = string_from("\n\n a b\n\nc \n");
        assert_int_equal(scope_steps_split(text, ends, 8), 2);
        struct scope_string first = scope_steps_text(text, ends, 0);
        assert_int_equal(first.bytes, 3);
        assert_memory_equal(first.at, "a b", 3);
        assert_int_equal(scope_steps_text(text, ends, 1).bytes, 1);
}

static void test_tokens_cover_their_steps(void **state)
{
        (void)state;
        uint32_t ends[8], token_ends[8];
        /* "a" ".\n\n" "b" "\n\nc" and an EOS without bytes: the last delimiter merged with text */
        const uint32_t bytes[] = { 1, 3, 1, 3, 0 };
        assert_int_equal(split("a.\n\nb\n\nc", ends), 3);
        assert_ok(scope_steps_token_ends(ends, 3, bytes, 5, token_ends));
        assert_int_equal(token_ends[0], 2);
        assert_int_equal(token_ends[1], 4);
        assert_int_equal(token_ends[2], 4);
}

static void test_too_few_tokens_are_refused(void **state)
{
        (void)state;
        const uint32_t ends[] = { 3, 6 }, bytes[] = { 3, 2 };
        uint32_t token_ends[2] = { 77, 77 };
        assert_int_equal(scope_steps_token_ends(ends, 2, bytes, 2, token_ends), SCOPE_ERR_SHAPE);
        assert_int_equal(token_ends[0], 77);
}

/* Any text in any tokens: steps cover it; the tokens kept are the least that cover the step. */
static void test_random_texts_are_covered(void **state)
{
        (void)state;
        struct scope_rng rng = scope_rng_make(5);
        for (int round = 0; round < 3000; round++) {
                char text[64];
                uint32_t ends[16], token_bytes[64], token_ends[16], tokens = 0, count = 0;
                uint32_t length = (uint32_t)scope_rng_below(&rng, sizeof text);
                for (uint32_t i = 0; i < length; i++)
                        text[i] = "ab\n\n\n "[scope_rng_below(&rng, 6)];
                for (uint32_t at = 0; at < length; at += token_bytes[tokens++]) {
                        token_bytes[tokens] = 1 + (uint32_t)scope_rng_below(&rng, 4);
                        if (token_bytes[tokens] > length - at)
                                token_bytes[tokens] = length - at;
                }
                count = scope_steps_split((struct scope_string){ text, length }, ends, 16);
                assert_ok(scope_steps_token_ends(ends, count, token_bytes, tokens, token_ends));
                assert_true(count == 0 || ends[count - 1] == length);
                for (uint32_t k = 0; k < count; k++) {
                        uint32_t covered = 0;
                        for (uint32_t t = 0; t < token_ends[k]; t++)
                                covered += token_bytes[t];
                        assert_true(covered >= ends[k]);
                        assert_true(covered - token_bytes[token_ends[k] - 1] < ends[k]);
                        assert_true(k == 0 || ends[k] > ends[k - 1]);
                        struct scope_string whole = { text, length };
                        assert_true(scope_steps_text(whole, ends, k).bytes > 0);
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_blank_line_ends_a_step),
                cmocka_unit_test(test_single_newline_does_not_end_a_step),
                cmocka_unit_test(test_newlines_with_blanks_between_are_one_delimiter),
                cmocka_unit_test(test_blank_ends_belong_to_their_neighbours),
                cmocka_unit_test(test_too_many_steps_join_the_last),
                cmocka_unit_test(test_step_text_is_trimmed),
                cmocka_unit_test(test_tokens_cover_their_steps),
                cmocka_unit_test(test_too_few_tokens_are_refused),
                cmocka_unit_test(test_random_texts_are_covered),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
