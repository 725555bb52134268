/* The table of algorithm.md 2.1, and what it leaves open. */
#include "tests/test.h"

#include "algorithm/boxed.h"
#include "tests/algorithm/defaults.h"

/* `want` NULL: no answer. */
static void check(const char *response, const char *want)
{
        struct scope_string answer = { NULL, 0 };
        bool found = scope_boxed_find(string_from(response), &answer);
        if (found != (want != NULL))
                fail_msg("%s: %s", response, found ? "an answer" : "no answer");
        if (found && (answer.bytes != strlen(want) || memcmp(answer.at, want, answer.bytes) != 0))
                fail_msg("%s: %.*s, expected %s", response, (int)answer.bytes, answer.at, want);
}

static void test_table_of_extractions(void **state)
{
        (void)state;
        check("\\boxed{\\frac{1}{2}} ok", "\\frac{1}{2}");
        check("\\boxed{1} b \\boxed{2}", "2");
        check("\\boxed 5$ then", "5");
        check("\\boxed{1} and \\boxed{", NULL);
        check("\\boxed{a{b}c", NULL);
        check("\\fbox{3}", "3");
        check("\\boxed{}", NULL);
        check("\\boxed{\\text{a}\\}}", "\\text{a}\\}");
        check("\\boxed{5} text \\boxed 7$", "7");
        check("\\boxed{3}. So \\boxed{x=3}", "x=3");
}

static void test_box_forms(void **state)
{
        (void)state;
        check("\\boxed5", "5");
        check("\\boxed  { 5 }", "5");
        check("\\boxed{\\boxed{6}}", "6");
        check("\\boxed{ \\fbox{6} }", "6");
        check("\\boxed\\frac{1}{2}.", "\\frac{1}{2}.");
        check("{\\boxed 5}", "5");
        check("\\boxedness{5}", NULL);
        check("\\\\boxed{5}", NULL); /* a line break, then a word */
        check("\\boxed", NULL);
        check("\\boxed   ", NULL);
        check("\\boxed\\frac{1", NULL);
        check("", NULL);
}

static void test_answer_after_reasoning_only(void **state)
{
        (void)state;
        check("<think>\\boxed{1}</think> so \\boxed{2}", "2");
        check("<think>\\boxed{1}</think> no box", NULL);
        check("<think>\\boxed{1}", "1"); /* never closed: nothing to skip */
}

static void test_long_answer_is_none(void **state)
{
        (void)state;
        char text[700] = "\\boxed{";
        memset(text + 7, '1', 512);
        text[7 + 512] = '}';
        struct scope_string answer;
        assert_true(scope_boxed_find(string_from(text), &answer));
        assert_int_equal(answer.bytes, 512);
        text[7 + 512] = '1';
        text[7 + 513] = '}';
        assert_false(scope_boxed_find(string_from(text), &answer));
}

static void test_boxes_are_counted_whole_or_not(void **state)
{
        (void)state;
        assert_int_equal(scope_boxed_count(string_from("\\boxed{1} \\fbox{2} \\boxed{")), 3);
        assert_int_equal(scope_boxed_count(string_from("none")), 0);
        assert_int_equal(scope_boxed_first(string_from("ab\\boxed{1}\\boxed{2}")), 2);
        assert_int_equal(scope_boxed_first(string_from("none")), 4);
}

static void check_number(const char *text, const char *want)
{
        struct scope_string answer;
        assert_int_equal(scope_boxed_last_number(string_from(text), &answer), want != NULL);
        if (want == NULL)
                return;
        assert_int_equal(answer.bytes, strlen(want));
        assert_memory_equal(answer.at, want, answer.bytes);
}

static void test_last_number(void **state)
{
        (void)state;
        check_number("3 and 4.50, done.", "4.50");
        check_number("it is 1,234.", "1,234");
        check_number("1,2", "2");
        check_number("7 -3", "-3");
        check_number("7-3", "3");
        check_number("a = .5", ".5");
        check_number("3/4", "3/4");
        check_number("none", NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_table_of_extractions),
                cmocka_unit_test(test_box_forms),
                cmocka_unit_test(test_answer_after_reasoning_only),
                cmocka_unit_test(test_long_answer_is_none),
                cmocka_unit_test(test_boxes_are_counted_whole_or_not),
                cmocka_unit_test(test_last_number),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
