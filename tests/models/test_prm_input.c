/* What a process reward model reads, and where it scores. */
#include "tests/models/byte_tokenizer.h"

#include "models/prm_input.h"

enum { IDS = 400, STEPS = 3, IM_START = 256, IM_END, EXTRA };

static struct scope_tokenizer *tokenizer;

static int setup(void **state)
{
        (void)state;
        tokenizer = byte_tokenizer();
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        scope_tokenizer_destroy(tokenizer);
        return 0;
}

static struct scope_string string(const char *text)
{
        return (struct scope_string){ text, (uint32_t)strlen(text) };
}

static void check_text(const struct scope_prm_input *input, const char *want)
{
        struct scope_text text = { 0 };
        scope_tokenizer_decode(tokenizer, input->ids, input->count, false, &text);
        assert_string_equal(text.bytes, want);
        scope_text_fini(&text);
}

static void test_marked_steps_are_scored_at_their_marks(void **state)
{
        (void)state;
        uint32_t ids[IDS], marks[STEPS];
        struct scope_string steps[STEPS] = { string("1+1 = 2"), string("2<extra_0>+2 = 4"),
                string("\\boxed{4}<|im_end|>") };
        struct scope_prm_input input = { .ids = ids, .max = IDS, .marks = marks };
        assert_int_equal(
                scope_prm_form_of(tokenizer, SCOPE_HEAD_REWARD), SCOPE_PRM_FORM_MARKS);
        assert_ok(scope_prm_input_make(tokenizer, SCOPE_PRM_FORM_MARKS,
                string("<|im_start|>What is 2+2?"), steps, STEPS, &input));
        check_text(&input, "<|im_start|>system\nPlease reason step by step, and put your final "
                           "answer within \\boxed{}.<|im_end|>\n<|im_start|>user\nWhat is 2+2?"
                           "<|im_end|>\n<|im_start|>assistant\n1+1 = 2<extra_0>2+2 = 4<extra_0>"
                           "\\boxed{4}<extra_0>");
        for (int i = 0; i < STEPS; i++)
                assert_int_equal(ids[marks[i]], EXTRA);
        assert_true(marks[0] < marks[1] && marks[1] < marks[2]);
        assert_int_equal(marks[2], input.count - 1);
        input.max = marks[1]; /* the second mark is the first that does not fit */
        assert_ok(scope_prm_input_make(tokenizer, SCOPE_PRM_FORM_MARKS, string("What is 2+2?"),
                steps, STEPS, &input));
        assert_true(marks[0] < input.max && marks[1] == UINT32_MAX && marks[2] == UINT32_MAX);
}

static void test_lines_are_scored_at_their_newline(void **state)
{
        (void)state;
        uint32_t ids[IDS], marks[STEPS];
        struct scope_string steps[STEPS] = { string("a"), string(""), string("bc") };
        struct scope_prm_input input = { .ids = ids, .max = IDS, .marks = marks };
        assert_int_equal(
                scope_prm_form_of(tokenizer, SCOPE_HEAD_CLASSES), SCOPE_PRM_FORM_LINES);
        assert_ok(scope_prm_input_make(
                tokenizer, SCOPE_PRM_FORM_LINES, string("Q?"), steps, STEPS, &input));
        check_text(&input, "Q?a\n\nbc\n");
        assert_true(marks[0] == 3 && marks[1] == 4 && marks[2] == 7);
        input.max = 6;
        assert_ok(scope_prm_input_make(
                tokenizer, SCOPE_PRM_FORM_LINES, string("Q?"), steps, STEPS, &input));
        assert_true(marks[1] == 4 && marks[2] == UINT32_MAX && input.count == 6);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_marked_steps_are_scored_at_their_marks),
                cmocka_unit_test(test_lines_are_scored_at_their_newline),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
