/* Equations in text: what is judged, what is left alone, and how it fares on real solutions. */
#include "tests/test.h"

#include <jansson.h>

#include "algorithm/equations.h"
#include "algorithm/steps.h"
#include "base/rng.h"

static struct scope_equations check(const char *text)
{
        return scope_equations_check((struct scope_string){ text, (uint32_t)strlen(text) });
}

static void test_verdicts(void **state)
{
        (void)state;
        static const struct {
                const char *text;
                uint32_t right, wrong, unjudged;
        } cases[] = {
                { "3*4 = 12", 1, 0, 0 },
                { "3*4 = 13", 0, 1, 0 },
                { "She makes 9 * 2 = $<<9*2=18>>18 every day", 2, 0, 0 },
                { "She makes 9 * 2 = $<<9*2=19>>19 every day", 0, 2, 0 },
                { "$\\frac{1}{2} \\times 6 = 3$", 1, 0, 0 },
                { "$\\frac{1}{2} \\times 6 = 4$", 0, 1, 0 },
                { "\\sqrt{16} + 2 = 6", 0, 0, 1 },
                { "20% of 50 = 10", 1, 0, 0 },
                { "20% of the 50 apples = 11 apples", 0, 1, 0 },
                { "80,000+50,000=$130,000", 1, 0, 0 },
                { "80,000+50,000=$130,001", 0, 1, 0 },
                { "2x + 3 = 7", 0, 0, 1 },
                { "- 3 + 4 = 7", 1, 0, 0 },
                { "* 3 + 4 = 8", 0, 1, 0 },
                { "1. 3 + 4 = 7", 1, 0, 0 },
                { "2 feet + 6 inches = 30 inches", 0, 0, 1 },
                { "5*2 = 10+3 = 13", 2, 0, 0 },
                { "10/3 = 3.33", 1, 0, 0 },
                { "10/3 = 3.43", 0, 1, 0 },
                { "17/5 = 3", 0, 0, 1 },
                { "6:00 + 2 = 8", 0, 0, 1 },
                { "3! = 6", 0, 0, 1 },
                { "5\xc2\xb2" " = 25", 1, 0, 0 },
                { "5^2 = 26", 0, 1, 0 },
                { "2**3 = 9", 0, 1, 0 },
                { "(3 + 4) * 2 = 14", 1, 0, 0 },
                { "5(3+4) = 36", 0, 1, 0 },
                { "x = 3 + 4 = 8", 0, 1, 1 },
                { "12 = 3 * 4 = 13", 0, 1, 1 },
                { "-3 + 5 = 2", 1, 0, 0 },
                { "7 - -3 = 10", 0, 0, 1 },
                { "\\boxed{12} = 12", 0, 0, 1 },
                { "The total is 3 + 4 = \\boxed{8}.", 0, 1, 0 },
                { "3 times 4 = 12", 1, 0, 0 },
                { "10 divided by 4 = 2.6", 0, 1, 0 },
                { "1/2 + 1/3 = 5/6", 1, 0, 0 },
                { "1/2 + 1/3 = 2/5", 0, 1, 0 },
                { "3 + 4 \xe2\x89\xa0" " 8", 0, 0, 0 },
                { "3 + 4 == 8", 0, 1, 0 },
                { "a = b", 0, 0, 1 },
                { "= 5", 0, 0, 1 },
                { "3 + = 5", 0, 0, 1 },
                { "f(3) = 9", 0, 0, 1 },
                { "99999999999999999999999999999999999999999*99999999999999999 = 1", 0, 0, 1 },
                { "1 / 0 = 5", 0, 0, 1 },
                { "5% + 3% = 8%", 1, 0, 0 },
                { "0.33 * 300 = 100", 0, 0, 1 },
                { "**3 + 4 = 8**", 0, 1, 0 },
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct scope_equations got = check(cases[i].text);
                if (got.right != cases[i].right || got.wrong != cases[i].wrong ||
                        got.unjudged != cases[i].unjudged)
                        fail_msg("%s: %u right, %u wrong, %u unjudged", cases[i].text, got.right,
                                got.wrong, got.unjudged);
        }
}

static void test_a_step_is_wrong_by_one_false_equation(void **state)
{
        (void)state;
        const char *text = "She has 3 * 4 = 12 eggs.\nSo 12 - 2 = 10.\n\nNothing to count here.\n\n"
                           "10 + 5 = 15, and 15 / 5 = 4.\n\nThe answer is \\boxed{4}.";
        struct scope_string string = { text, (uint32_t)strlen(text) };
        uint32_t ends[8], count = scope_steps_split(string, ends, 8);
        float p[8];
        assert_int_equal(count, 4);
        scope_equations_judge(string, ends, count, p);
        assert_true(p[0] == 1 && p[1] == 1 && p[2] == 0 && p[3] == 1);
}

static void test_long_and_hostile_lines_end(void **state)
{
        (void)state;
        enum { BYTES = 20000 };
        static const char *const pieces[] = { "(", "-", "1=", "2^", "9^9^9=", "\\frac{", "<<1=1",
                "((1)", "x", "1,000=", "=" };
        char *text = malloc(BYTES);
        assert_non_null(text);
        for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
                size_t bytes = strlen(pieces[i]);
                for (size_t at = 0; at < BYTES; at++)
                        text[at] = pieces[i][at % bytes];
                (void)scope_equations_check((struct scope_string){ text, BYTES });
        }
        free(text);
}

/* Replaces the first number behind an equals sign by one that is off by `off`. */
static bool corrupt(const char *line, int off, char *ret_line, size_t bytes)
{
        const char *at = strchr(line, '=');
        char *end;
        if (at == NULL)
                return false;
        at += 1 + strspn(at + 1, " $");
        if (strncmp(at, "<<", 2) == 0)
                at = strstr(at, ">>") != NULL ? strstr(at, ">>") + 2 : at;
        long value = strtol(at, &end, 10);
        if (end == at || *end == '.' || *end == ',' || *end == '/' || value + off < 0)
                return false;
        (void)snprintf(ret_line, bytes, "%.*s%ld%s", (int)(at - line), line, value + off, end);
        return true;
}

struct tally {
        uint32_t lines, flagged, right, corrupted, caught;
};

static void tally_solution(struct tally *tally, char *solution, struct scope_rng *rng)
{
        char bad[8192];
        char *rest = NULL;
        for (char *line = strtok_r(solution, "\n", &rest); line != NULL;
                line = strtok_r(NULL, "\n", &rest)) {
                struct scope_equations got = check(line);
                tally->lines++;
                tally->right += got.right;
                tally->flagged += got.wrong > 0;
                int off = (int)scope_rng_below(rng, 20) - 10;
                if (got.right > 0 && off != 0 && corrupt(line, off, bad, sizeof bad)) {
                        tally->corrupted++;
                        tally->caught += check(bad).wrong > 0;
                }
        }
}

/* The solutions hold some false equations of their own: 29 lines in the whole of GSM8K were looked
 * at by hand, 26 of them say something false (192*100=$1920, 2*8 = 24). */
static void test_gsm8k_solutions_are_not_flagged_and_corrupted_ones_are(void **state)
{
        (void)state;
        const char *path = test_shared("data/gsm8k/test.jsonl");
        struct tally tally = { 0 };
        struct scope_rng rng = scope_rng_make(4);
        char *line = NULL;
        size_t capacity = 0;
        if (path == NULL)
                test_skip("no shared GSM8K");
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        while (getline(&line, &capacity, file) > 0) {
                json_t *row = json_loads(line, 0, NULL);
                char *solution = strdup(json_string_value(json_object_get(row, "answer")));
                assert_non_null(solution);
                tally_solution(&tally, solution, &rng);
                free(solution);
                json_decref(row);
        }
        free(line);
        (void)fclose(file);
        print_message("# %u lines, %u equations right, %u lines flagged; %u of %u corrupted lines "
                      "caught\n",
                tally.lines, tally.right, tally.flagged, tally.caught, tally.corrupted);
        assert_true(tally.flagged * 500 <= tally.lines);
        assert_true(tally.caught * 100 >= tally.corrupted * 90);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_verdicts),
                cmocka_unit_test(test_a_step_is_wrong_by_one_false_equation),
                cmocka_unit_test(test_long_and_hostile_lines_end),
                cmocka_unit_test(test_gsm8k_solutions_are_not_flagged_and_corrupted_ones_are),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
