/* The grader against the 74 pairs of algorithm.md 2.4, its properties, and real gold answers. */
#include "tests/test.h"

#include <jansson.h>

#include "algorithm/grade.h"
#include "base/rng.h"
#include "tests/algorithm/defaults.h"

struct pair {
        int number;
        const char *gold, *prediction;
        bool want;
};

static const struct pair pairs[] = {
        { 1, "\\frac{1}{2}", "0.5", true },
        { 2, "\\frac{3}{4}", "0.75", true },
        { 3, "\\frac{1}{3}", "0.33", false },
        { 4, "\\frac{1}{3}", "0.333333", true },
        { 5, "\\frac{7}{9}", "\\dfrac{7}{9}", true },
        { 6, "\\frac{7}{9}", "\\tfrac79", true },
        { 7, "\\frac{2}{3}", "2/3", true },
        { 8, "\\frac{2}{3}", "\\frac{4}{6}", true },
        { 9, "-\\frac{5}{8}", "\\frac{-5}{8}", true },
        { 10, "1\\frac{3}{5}", "\\frac{8}{5}", true },
        { 11, "1,234", "1234", true },
        { 12, "12,\\!345", "12345", true },
        { 13, "1{,}000", "1000", true },
        { 14, "1,2", "12", false },
        { 15, "50", "50\\%", true },
        { 16, "25\\%", "0.25", false },
        { 17, "5", "x=5", true },
        { 18, "x=5", "5", true },
        { 19, "7", "f(2)=7", true },
        { 20, "y=2x+3", "2x+3", true },
        { 21, "10", "10\\text{ cm}", true },
        { 22, "10", "10\\,\\mathrm{cm}", true },
        { 23, "10", "10 cm", true },
        { 24, "36", "36\\text{ cm}^2", true },
        { 25, "10", "100", false },
        { 26, "60", "60^\\circ", true },
        { 27, "60", "60^{\\circ}", true },
        { 28, "60", "60 degrees", true },
        { 29, "\\$18", "18", true },
        { 30, "18.90", "\\$18.90", true },
        { 31, "18.9", "18.90", true },
        { 32, ".5", "0.5", true },
        { 33, "5", "5.0", true },
        { 34, "5", "5.", true },
        { 35, "-3", "-\\,3", true },
        { 36, "\\sqrt{2}", "\\sqrt2", true },
        { 37, "2\\sqrt{3}", "\\sqrt{12}", true },
        { 38, "\\frac{1}{\\sqrt{2}}", "\\frac{\\sqrt{2}}{2}", true },
        { 39, "\\sqrt[3]{8}", "2", true },
        { 40, "3\\pi", "\\pi\\cdot 3", true },
        { 41, "\\pi", "3.14", false },
        { 42, "(1,2)", "\\left(1,2\\right)", true },
        { 43, "(1,2)", "(1, 2)", true },
        { 44, "(1,2)", "[1,2]", false },
        { 45, "[0,1)", "[0, 1)", true },
        { 46, "(-\\infty,3]", "(-\\infty, 3]", true },
        { 47, "(-\\infty,2)\\cup(5,\\infty)", "(5,\\infty)\\cup(-\\infty,2)", true },
        { 48, "\\{1,2,3\\}", "\\{3,1,2\\}", true },
        { 49, "(1,2,3)", "(3,1,2)", false },
        { 50, "1,2,3", "3, 2, 1", true },
        { 51, "1,-1", "\\pm 1", true },
        { 52, "2 and 3", "2,3", true },
        { 53, "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}",
                "\\begin{bmatrix} 1 & 2 \\\\ 3 & 4 \\end{bmatrix}", true },
        { 54, "\\begin{pmatrix}1\\\\2\\end{pmatrix}",
                "\\begin{pmatrix}2\\\\1\\end{pmatrix}", false },
        { 55, "x^2+2x+1", "(x+1)^2", true },
        { 56, "(x-2)(x+2)", "x^2-4", true },
        { 57, "2x+3", "3+2x", true },
        { 58, "2x+3", "2y+3", false },
        { 59, "\\text{(B)}", "B", true },
        { 60, "\\text{Monday}", "monday", true },
        { 61, "\\text{even}", "odd", false },
        { 62, "2^{10}", "1024", true },
        { 63, "3+4i", "4i+3", true },
        { 64, "10^{-3}", "0.001", true },
        { 65, "1.5\\times 10^{3}", "1500", true },
        { 66, "4_{7}", "4", false },
        { 67, "x>3", "3<x", true },
        { 68, "x>3", "(3,\\infty)", true },
        { 69, "(3,\\infty)", "x>3", false },
        { 70, "0", "", false },
        { 71, "6", "\\boxed{6}", true },
        { 72, "\\frac{a}{b}", "a/b", true },
        { 73, "\\log_2 8", "3", true },
        { 74, "5!", "120", true },
};
enum { PAIR_COUNT = sizeof pairs / sizeof *pairs };

static bool grades(const char *gold, const char *prediction,
        const struct scope_grade_options *options)
{
        return scope_grade_equal(string_from(gold), string_from(prediction), options).equal;
}

static void test_pairs_of_the_table(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(grade, options);
        int bad = 0;
        assert_int_equal(PAIR_COUNT, 74);
        for (int i = 0; i < PAIR_COUNT; i++) {
                bool want = pairs[i].want;
                if (grades(pairs[i].gold, pairs[i].prediction, &options) == want)
                        continue;
                print_error("pair %d: %s and %s should %s\n", pairs[i].number, pairs[i].gold,
                        pairs[i].prediction, want ? "be equal" : "differ");
                bad++;
        }
        assert_int_equal(bad, 0);
}

/* But for relations, which an interval may answer and not the reverse, the order of the two does
 * not matter. */
static void test_pairs_are_symmetric(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(grade, options);
        for (int i = 0; i < PAIR_COUNT; i++) {
                bool there = grades(pairs[i].gold, pairs[i].prediction, &options);
                bool back = grades(pairs[i].prediction, pairs[i].gold, &options);
                assert_int_equal(there != back, pairs[i].number == 68 || pairs[i].number == 69);
        }
}

static void check_pairs(const struct pair *more, size_t count, const char *what)
{
        SCOPE_DEFAULTS(grade, options);
        int bad = 0;
        for (size_t i = 0; i < count; i++) {
                bool there = grades(more[i].gold, more[i].prediction, &options);
                bool back = grades(more[i].prediction, more[i].gold, &options);
                if (there == more[i].want && back == more[i].want)
                        continue;
                print_error("%s %d: %s and %s should %s\n", what, more[i].number, more[i].gold,
                        more[i].prediction, more[i].want ? "be equal" : "differ");
                bad++;
        }
        assert_int_equal(bad, 0);
}

static const struct pair values[] = {
        { 1, "\\frac{2+\\sqrt{3}}{4}", "\\frac{1}{2}+\\frac{\\sqrt{3}}{4}", true },
        { 2, "\\sqrt{8}+\\sqrt{2}", "3\\sqrt{2}", true },
        { 3, "\\sqrt{3+2\\sqrt{2}}", "1+\\sqrt{2}", true },
        { 4, "\\sqrt{2}", "1.41421356", true },
        { 5, "\\sqrt{2}", "1.4142", false },
        { 6, "10^{10}\\pi", "(10^{10}+1)\\pi", false },
        { 7, "2^{1000}", "2^{1000}+1", false },
        { 8, "2^{1000}", "4^{500}", true },
        { 9, "10^{-12}\\pi", "2\\cdot 10^{-12}\\pi", false },
        { 10, "(x+1)^{40}", "(1+x)^{40}", true },
        { 11, "(x+1)^{40}", "(x+1)^{40}+1", false },
        { 12, "\\frac{x^2-1}{x-1}", "x+1", true },
        { 13, "\\sqrt{x^2}", "x", false },
        { 14, "e^{i\\pi}", "-1", true },
        { 15, "i^2", "-1", true },
        { 16, "(1+i)(1-i)", "2", true },
        { 17, "\\sin 30^\\circ", "\\frac{1}{2}", true },
        { 18, "\\sin 30", "\\frac{1}{2}", false },
        { 19, "\\sin^2 x+\\cos^2 x+y", "y+1", false }, /* not the same variables */
        { 20, "2\\sin x\\cos x", "\\sin(2x)", true },
        { 21, "\\tan^{-1} 1", "\\frac{\\pi}{4}", true },
        { 22, "\\log 1000", "3", true },
        { 23, "\\ln e^2", "2", true },
        { 24, "\\log_{3} 81 + 1", "5", true },
        { 25, "\\binom{5}{2}", "10", true },
        { 26, "\\dbinom{100}{50}", "\\frac{100!}{50!50!}", true },
        { 27, "0.1\\overline{6}", "\\frac{1}{6}", true },
        { 28, "0.\\overline{3}", "1/3", true },
        { 29, "|-3|", "3", true },
        { 30, "\\lfloor 3.7 \\rfloor", "3", true },
        { 31, "\\lfloor \\pi \\rfloor", "3", true },
        { 32, "1.5e-3", "0.0015", true },
        { 33, "2e+3", "3+2e", true },
        { 34, "3 million", "3000000", true },
        { 35, "2^10", "1024", true },
        { 36, "sqrt(3)/2", "\\frac{\\sqrt{3}}{2}", true },
        { 37, "2pi", "2\\pi", true },
        { 38, "x_1+x_2", "x_2+x_1", true },
        { 39, "x_1", "x_2", false },
        { 40, "\\alpha\\beta", "\\beta \\alpha", true },
        { 41, "ab", "ba", true },
        { 42, "east", "seat", false },
        { 67, "abc", "cab", true },
        { 68, "yes", "no", false },
        { 69, "odd", "even", false },
        { 43, "5 apples", "5 pears", false },
        { 44, "2^{n+1}", "2\\cdot 2^n", true },
        { 45, "(n+1)!", "(1+n)!", true },
        { 46, "\\sqrt[3]{-8}", "-2", true },
        { 47, "(-2)^{1/3}", "-\\sqrt[3]{2}", true },
        { 48, "x-x", "0", false },
        { 49, "1011_2", "1011_{2}", true },
        { 50, "12_{\\text{five}}", "12_5", true },
        { 51, "1011_2", "1011_3", false },
        { 52, "1011_2", "11_{10}", false },
        { 53, "\\frac{1}{0}", "\\frac{x}{0}", false },
        { 54, "2+3=5", "5", true },
        { 55, "2+3=6", "6", false },
        { 56, "x=\\frac{1}{2}=0.5", "0.5", true },
        { 57, "7\\%", "7", true },
        { 58, "\\overline{AB}", "\\overline{BA}", false },
        { 59, "a/2b", "\\frac{ab}{2}", true },
        { 60, "-x^2", "x^2", false },
        { 61, "100!", "100!+1", false },
        { 62, "1/2/3", "\\frac{1}{6}", true },
        { 63, "\\frac{\\sqrt{5}-1}{2}", "0.618034", true },
        { 64, "\\frac{\\sqrt{5}-1}{2}", "0.618", false },
        { 65, "\\arcsin 1", "\\pi/2", true },
        { 66, "12345678901234567890123456789012345678901.5",
                "\\frac{24691357802469135780246913578024691357803}{2}", true },
};

static void test_values(void **state)
{
        (void)state;
        check_pairs(values, sizeof values / sizeof *values, "value");
}

static void test_kinds(void **state)
{
        (void)state;
        static const struct pair kinds[] = {
                { 1, "2x>6", "x>3", true },
                { 2, "x>3", "x<3", false },
                { 3, "-x>-3", "x>3", false },
                { 4, "-x>-3", "x<3", true },
                { 5, "x\\ge 3", "3 \\leq x", true },
                { 6, "x>=3", "x\\geq3", true },
                { 7, "x\\ge 3", "x>3", false },
                { 8, "1<x\\le 2", "2\\geq x > 1", true },
                { 9, "1<x\\le 2", "1\\le x<2", false },
                { 10, "y=2x+3", "2x-y+3=0", true },
                { 11, "y=2x+3", "2x-y+4=0", false },
                { 12, "x^2+y^2=1", "y^2=1-x^2", true },
                { 13, "x^2+y^2=1", "2x^2+2y^2=2", true },
                { 14, "x^2+y^2=1", "x^2+y^2=4", false },
                { 15, "x\\neq 2", "2\\ne x", true },
                { 16, "\\{5\\}", "5", true },
                { 17, "\\{\\}", "\\emptyset", true },
                { 18, "\\{\\sqrt{4},\\frac{6}{2}\\}", "\\{3,2\\}", true },
                { 19, "\\langle 1,2\\rangle", "(1,2)", true },
                { 20, "(x,y)=(1,2)", "(1,2)", true },
                { 21, "\\left(\\begin{array}{cc}1&2\\\\3&4\\end{array}\\right)",
                        "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", true },
                { 22, "\\begin{pmatrix}\\sqrt{8}&x+x\\end{pmatrix}",
                        "\\begin{bmatrix}2\\sqrt{2}&2x\\end{bmatrix}", true },
                { 23, "\\begin{pmatrix}1&2\\end{pmatrix}",
                        "\\begin{pmatrix}1\\\\2\\end{pmatrix}", false },
                { 24, "x=1,y=2", "y=2,x=1", true },
                { 25, "x=1,y=2", "x=2,y=1", false },
                { 26, "(1,2),(3,4)", "(3,4),(1,2)", true },
                { 27, "3\\pm 2\\sqrt{2}", "3\\pm\\sqrt{8}", true },
                { 28, "\\frac{1\\pm\\sqrt{5}}{2}",
                        "\\frac{1+\\sqrt{5}}{2},\\frac{1-\\sqrt{5}}{2}", true },
                { 29, "[0,\\frac{1}{2})\\cup(1,2]", "(1,2]\\cup[0,0.5)", true },
                { 30, "(0,1)", "(0,1]", false },
                { 31, "x \\in [-2,7]", "[-2, 7]", true },
                { 32, "xy=3", "x+y=3", false },
                { 33, "f(x)=x^2+2x", "x(x+2)", true },
                { 34, "a=b", "b=a", true },
                { 35, "1,2", "1", false },
                { 36, "\\mathbb{R}", "(-\\infty,\\infty)", true },
                { 37, "\\text{all real numbers}", "(-\\infty, \\infty)", true },
                { 38, "\\text{No solution}", "\\varnothing", true },
                { 39, "\\{x \\mid 2x>6\\}", "x>3", true },
                { 40, "\\{x : x>3\\}", "\\{x | 3<x\\}", true },
                { 41, "\\{x \\mid x>3\\}", "\\{x \\mid x<3\\}", false },
        };
        check_pairs(kinds, sizeof kinds / sizeof *kinds, "kind");
}

/* An interval may answer a relation; the option says who may say which. */
static void test_relation_to_interval(void **state)
{
        (void)state;
        static const char *const both[][2] = {
                { "x>3", "(3,\\infty)" },
                { "x\\le -1", "(-\\infty,-1]" },
                { "-2\\le x<7", "[-2,7)" },
                { "x<1 or x>3", "(-\\infty,1)\\cup(3,\\infty)" },
                { "x\\ne 2", "(-\\infty,2)\\cup(2,\\infty)" },
                { "\\{x \\mid x>3\\}", "(3,\\infty)" },
                { "\\theta\\ge\\frac{\\pi}{2}", "[0.5\\pi,\\infty)" },
        };
        SCOPE_DEFAULTS(grade, options);
        for (size_t i = 0; i < sizeof both / sizeof *both; i++) {
                options.relation_to_interval = SCOPE_GRADE_INTERVAL_GOLD;
                assert_true(grades(both[i][0], both[i][1], &options));
                assert_false(grades(both[i][1], both[i][0], &options));
                options.relation_to_interval = SCOPE_GRADE_INTERVAL_BOTH;
                assert_true(grades(both[i][0], both[i][1], &options));
                assert_true(grades(both[i][1], both[i][0], &options));
                options.relation_to_interval = SCOPE_GRADE_INTERVAL_NEVER;
                assert_false(grades(both[i][0], both[i][1], &options));
                assert_false(grades(both[i][1], both[i][0], &options));
        }
}

static void test_base_subscript(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(grade, options);
        assert_false(grades("52_8", "52", &options));
        options.base_subscript_strict = false;
        assert_true(grades("52_8", "52", &options));
        assert_false(grades("52_8", "53", &options));
}

static void test_stages_and_steps(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(grade, options);
        struct scope_string half = string_from("\\frac12"), dot5 = string_from("0.5");
        struct scope_grade_result result = scope_grade_equal(half, half, &options);
        assert_true(result.stage == SCOPE_GRADE_STRING && result.steps == 0);
        result = scope_grade_equal(half, string_from("\\dfrac{1}{2}"), &options);
        assert_true(result.stage == SCOPE_GRADE_STRING);
        result = scope_grade_equal(half, dot5, &options);
        assert_true(result.stage == SCOPE_GRADE_VALUE && result.steps > 0 && result.steps < 1000);
        result = scope_grade_equal(half, string_from("2"), &options);
        assert_true(result.stage == SCOPE_GRADE_UNEQUAL && !result.equal);
        assert_string_equal(scope_grade_stage_names[SCOPE_GRADE_VALUE], "value");
}

static void test_percent_as_ratio(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(grade, options);
        assert_false(grades("25\\%", "0.25", &options));
        assert_true(grades("50", "50\\%", &options));
        assert_true(grades("50", "50 percent", &options));
        options.percent = SCOPE_GRADE_PERCENT_RATIO;
        assert_true(grades("25\\%", "0.25", &options));
        assert_true(grades("25\\%", "\\frac{1}{4}", &options));
        assert_true(grades("25 percent", "25%", &options));
        assert_false(grades("50", "50\\%", &options));
}

static void test_require_reduced(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(grade, options);
        assert_true(grades("\\frac{2}{3}", "4/6", &options));
        options.require_reduced = true;
        assert_false(grades("\\frac{2}{3}", "4/6", &options));
        assert_false(grades("2", "\\frac{4}{2}", &options));
        assert_true(grades("\\frac{2}{3}", "2/3", &options));
        assert_true(grades("\\frac{1}{2}", "0.5", &options));
}

static void test_list_ordered(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(grade, options);
        assert_true(grades("1,2,3", "3, 2, 1", &options));
        options.list_ordered = true;
        assert_false(grades("1,2,3", "3, 2, 1", &options));
        assert_true(grades("1,2,3", "1, 2, 3.0", &options));
        assert_true(grades("\\{1,2\\}", "\\{2,1\\}", &options)); /* a set has no order */
        assert_true(grades("1,-1", "\\pm 1", &options));
}

static void test_fallback_to_last_number(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(grade, options);
        struct scope_string text = string_from("so the answer is 1,234."), answer;
        assert_false(scope_grade_response(string_from("1234"), text, &options, &answer).equal);
        assert_int_equal(answer.bytes, 0);
        options.fallback = SCOPE_GRADE_FALLBACK_LAST_NUMBER;
        assert_true(scope_grade_response(string_from("1234"), text, &options, &answer).equal);
        text = string_from("it is 7 \\boxed{"); /* cut off: no way round the box */
        assert_false(scope_grade_response(string_from("7"), text, &options, NULL).equal);
}

static void test_more_notations(void **state)
{
        (void)state;
        static const struct pair more[] = {
                { 1, "100,200,300", "100, 200, 300", true },
                { 2, "(100,200)", "(100, 200)", true },
                { 3, "x=5", "y=5", false },
                { 4, "x = 5.0", "x=5", true },
                { 5, "x=1, x=2", "2,1", true },
                { 6, "[-2,7]", "x \\in [-2,7]", true },
                { 7, "7 3/4", "7.75", true },
                { 8, "-1\\frac{3}{5}", "-\\frac{8}{5}", true },
                { 9, "2^{-2}", "\\dfrac14", true },
                { 10, "4^{1/2}", "2", true },
                { 11, "-2^2", "-4", true },
                { 12, "-2^2", "4", false },
                { 13, "\\frac{1}{0}", "\\frac{2}{0}", false },
                { 14, "10000000000000000000000000000000000000001",
                        "10000000000000000000000000000000000000002", false },
                { 15, "\\$1,000", "1000 dollars", true },
                { 16, "5\\text{ m/s}", "5", true },
                { 17, "5m", "5", false },
                { 18, "\\text{(A), (C)}", "(C), (A)", true },
                { 19, "A,B", "b, a", true },
                { 20, "\\left\\{1,2\\right\\}", "\\{2, 1\\}", true },
                { 21, "1, 1, 2", "1, 2, 2", false },
                { 22, "2 \\pm \\sqrt{3}", "2-\\sqrt{3}, 2+\\sqrt{3}", true },
                { 23, "\\left[\\frac12,1\\right)", "[0.5,1)", true },
                { 24, "0.3333333", "1/3", true },
                { 25, "0.33333", "1/3", false },
                { 26, "1000000.000001", "1000000.000002", true },
                { 27, "20!", "2432902008176640000", true },
                { 28, "2\xc3\x97" "3", "6", true },
                { 29, "", "", false },
                { 30, "   ", "   ", false },
                { 31, "\\frac{\\frac{1}{2}}{3}", "1/6", true },
                { 32, "3(4+5)", "27", true },
                { 33, "90^\\circ", "90 degrees", true },
                { 34, "x", "X", true },
                { 35, "2x", "2X", false },
                { 36, "(10,\\!080)", "10080", true },
                { 37, "(1{,}000,2)", "(1000,2)", true },
                { 38, "11,\\! 111,\\! 100", "11111100", true },
                { 39, "(1,\\!2)", "(1,2)", true },
        };
        check_pairs(more, sizeof more / sizeof *more, "notation");
}

static void test_long_and_deep_answers_are_only_unequal(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(grade, options);
        char text[4096];
        for (int kind = 0; kind < 5; kind++) {
                static const char fill[] = "{(,/\\";
                memset(text, fill[kind], sizeof text);
                struct scope_string whole = { text, sizeof text }, part = { text, 500 };
                assert_true(scope_grade_equal(whole, whole, &options).equal);
                assert_false(scope_grade_equal(string_from("1"), part, &options).equal);
                assert_false(scope_grade_equal(part, string_from("1"), &options).equal);
                assert_false(scope_grade_equal(part, whole, &options).equal);
        }
}

/* What is dear for its length: the budget ends it, whatever the machine. */
static void test_pathological_answers_end_within_the_budget(void **state)
{
        (void)state;
        static const char *const repeat[][3] = {
                { "", "1+", "1" }, { "", "\\sqrt{", "2" }, { "", "\\frac{1}{1+", "2" },
                { "", "(x+1)", "" }, { "", "x^{", "2" }, { "", "((", "" }, { "", "\\sin ", "x" },
                { "", "|x", "|" }, { "", "99999999999999999999999999999999999/7+", "1" },
                { "", "1/99999999999999999989+", "1" }, { "", "2^{1000}+", "1" },
                { "", "2048!+", "1" }, { "", "\\binom{4096}{2048}+", "1" },
                { "", "\\sqrt[64]{3}+", "1" }, { "", "1,", "1" }, { "", "x_1+y,", "1" },
                { "\\{", "\\sqrt{2}+x,", "1\\}" }, { "", "(1,2),", "(1,2)" }, { "", "x<", "1" },
                { "", "\\pm ", "1" }, { "", "1\\pm 2,", "1" }, { "", "1=", "1" },
                { "\\begin{pmatrix}", "x&", "1\\end{pmatrix}" }, { "", "(((1,2),2),", "1" },
                { "", "(0,x)\\cup", "(0,y)" }, { "", "a^b", "" }, { "", "e^{x}\\ln x+", "y" },
                { "", "\\text{ cm}", "" }, { "", "{", "" }, { "", "\\frac", "" },
                { "", "12345678901234567890", "" }, { "0.", "\\overline{9", "}" },
        };
        SCOPE_DEFAULTS(grade, options);
        enum { KINDS = sizeof repeat / sizeof *repeat };
        static char text[KINDS][600];
        uint32_t most = 0;
        for (int i = 0; i < KINDS; i++) {
                strcpy(text[i], repeat[i][0]);
                while (strlen(text[i]) + strlen(repeat[i][1]) + strlen(repeat[i][2]) < 500)
                        strcat(text[i], repeat[i][1]);
                strcat(text[i], repeat[i][2]);
                for (const char *at = repeat[i][1]; *at != 0; at++)
                        if (*at == '{' && strchr(at, '}') == NULL && strlen(text[i]) < 510)
                                strcat(text[i], "}");
        }
        for (int i = 0; i < KINDS; i++) {
                for (int j = 0; j < KINDS; j++) {
                        char other[640] = "0+"; /* not the same text where i is j */
                        strcpy(other + 2, text[j]);
                        uint32_t steps = scope_grade_equal(
                                string_from(text[i]), string_from(other), &options).steps;
                        assert_true(steps <= SCOPE_GRADE_STEPS_MAX + 1);
                        most = steps > most ? steps : most;
                }
        }
        print_message("# most steps of one call: %u\n", most);
}

/* Random strings of the grammar's own pieces: equal to themselves, one verdict both ways. */
static void test_random_answers_equal_themselves(void **state)
{
        (void)state;
        static const char *const pieces[] = { "1", "2", "0.5", "\\frac", "{", "}", "12", "x", "+",
                "-", ",", "(", ")", "[", "]", "\\{", "\\}", "\\sqrt", "^", "_", "=", "\\pm", " ",
                "\\text{", " cm", "\\%", "\\pi", "\\cup", "and ", "/", "!", ".", "\\\\", "&",
                "\\begin{pmatrix}", "\\end{pmatrix}", "$", "\\in", "\\left(", "\\boxed{", "<",
                "\\le", "|", "\\sin ", "\\log", "e", "i", "\\binom", "\\overline{", "*", "2^10" };
        SCOPE_DEFAULTS(grade, options);
        options.relation_to_interval = SCOPE_GRADE_INTERVAL_BOTH; /* the other two are one-sided */
        struct scope_rng rng = scope_rng_make(11);
        for (int round = 0; round < 20000; round++) {
                char text[2][128] = { "", "" };
                for (int side = 0; side < 2; side++) {
                        uint64_t length = scope_rng_below(&rng, 8);
                        for (uint64_t i = 0; i < length; i++)
                                strcat(text[side], pieces[scope_rng_below(&rng,
                                        sizeof pieces / sizeof *pieces)]);
                }
                bool blank = text[0][strspn(text[0], " ")] == '\0';
                if (grades(text[0], text[0], &options) == blank)
                        fail_msg("%s against itself", text[0]);
                if (grades(text[0], text[1], &options) != grades(text[1], text[0], &options))
                        fail_msg("%s and %s", text[0], text[1]);
        }
}

/* Where neither truth nor math-verify decides: our rule, with its reason in
 * tests/oracle/grade_judged.tsv. */
static const struct {
        const char *kind;
        bool equal;
} rules[] = {
        { "approximate", false }, { "bare", false }, { "coordinates", false }, { "twice", false },
        { "per cent", true }, { "in text", true }, { "angle brackets", true },
        { "plain text", true },
};

static bool expected(const json_t *pair)
{
        const char *kind = json_string_value(json_object_get(pair, "kind"));
        const json_t *truth = json_object_get(pair, "truth");
        if (!json_is_null(truth))
                return json_is_true(truth);
        for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
                if (strcmp(rules[i].kind, kind) == 0)
                        return rules[i].equal;
        }
        return json_is_true(json_object_get(pair, "math_verify"));
}

/* Pairs that tests/oracle/grade_pairs.py made of our own answers, with math-verify's verdicts. */
static void test_pairs_beside_math_verify(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(grade, options);
        json_t *pairs_read =
                json_load_file(test_source("tests/fixtures/grade_pairs.json"), 0, NULL);
        int bad = 0, agree = 0;
        assert_true(json_array_size(pairs_read) > 500);
        for (size_t i = 0; i < json_array_size(pairs_read); i++) {
                const json_t *pair = json_array_get(pairs_read, i);
                const char *gold = json_string_value(json_object_get(pair, "gold"));
                const char *text = json_string_value(json_object_get(pair, "prediction"));
                bool equal = grades(gold, text, &options);
                agree += equal == json_is_true(json_object_get(pair, "math_verify"));
                if (equal == expected(pair))
                        continue;
                print_error("%s: %s and %s\n",
                        json_string_value(json_object_get(pair, "kind")), gold, text);
                bad++;
        }
        print_message("# %d of %d verdicts are math-verify's\n", agree,
                (int)json_array_size(pairs_read));
        json_decref(pairs_read);
        assert_int_equal(bad, 0);
}

/* The answer of one line of a data set, as text. */
static bool answer_of(const char *line, char *ret_text, size_t bytes)
{
        json_t *object = json_loads(line, 0, NULL);
        json_t *answer = json_object_get(object, "answer");
        bool found = true;
        if (json_is_string(answer))
                (void)snprintf(ret_text, bytes, "%s", json_string_value(answer));
        else if (json_is_number(answer))
                (void)snprintf(ret_text, bytes, "%.17g", json_number_value(answer));
        else
                found = false;
        json_decref(object);
        return found;
}

static int check_file(const char *name, const struct scope_grade_options *options)
{
        static char line[1 << 16], last[512], text[512], dressed[600];
        const char *path = test_shared(name);
        FILE *file = path != NULL ? fopen(path, "r") : NULL;
        int count = 0;
        if (file == NULL)
                return 0;
        while (fgets(line, sizeof line, file) != NULL) {
                if (!answer_of(line, text, sizeof text))
                        continue;
                (void)snprintf(dressed, sizeof dressed, "so \\boxed{ %s }.", text);
                if (!grades(text, text, options))
                        fail_msg("%s: %s differs from itself", name, text);
                struct scope_string gold = string_from(text), response = string_from(dressed);
                if (!scope_grade_response(gold, response, options, NULL).equal)
                        fail_msg("%s: %s in a box differs", name, text);
                (void)snprintf(dressed, sizeof dressed, "$\\displaystyle %s$", text);
                if (!grades(text, dressed, options))
                        fail_msg("%s: %s differs from %s", name, text, dressed);
                if (grades(text, last, options) != grades(last, text, options))
                        fail_msg("%s: %s and %s are not symmetric", name, text, last);
                memcpy(last, text, sizeof last);
                count++;
        }
        (void)fclose(file);
        return count;
}

static void test_real_gold_answers(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(grade, options);
        int count = check_file("data/eval/math500.jsonl", &options) +
                check_file("data/eval/aime24.jsonl", &options) +
                check_file("data/eval/amc23.jsonl", &options);
        if (count == 0) {
                print_message("# the evaluation sets are not here\n");
                skip();
        }
        assert_true(count >= 500);
}

static float prefix_reward(const char *gold, const char *response, bool ended)
{
        SCOPE_DEFAULTS(grade, options);
        options.reward = SCOPE_GRADE_REWARD_PREFIX;
        struct scope_trajectory trajectory = { .gold = string_from(gold),
                .text = string_from(response),
                .finish = ended ? SCOPE_FINISH_STOP : SCOPE_FINISH_LENGTH };
        uint32_t bytes[8], decided;
        while (trajectory.token_count < trajectory.text.bytes)
                bytes[trajectory.token_count++] = 1;
        if (ended)
                bytes[trajectory.token_count++] = 0;
        scope_grade_trajectory(&trajectory, bytes, &options, &decided);
        assert_true(trajectory.graded);
        assert_in_range(decided, trajectory.token_count > 0, trajectory.token_count);
        assert_int_equal(scope_grade_correct(&trajectory), strcmp(gold, response) == 0);
        return trajectory.reward;
}

/* Only a writer without verdicts is read by its reward. */
static void test_a_verdict_stands_whatever_the_reward(void **state)
{
        (void)state;
        struct scope_trajectory trajectory = { .reward = 0.5f };
        assert_true(scope_grade_correct(&trajectory));
        trajectory.reward = 0.49f;
        assert_false(scope_grade_correct(&trajectory));
        trajectory.verdict = SCOPE_VERDICT_CORRECT;
        assert_true(scope_grade_correct(&trajectory));
        trajectory.verdict = SCOPE_VERDICT_WRONG;
        trajectory.reward = 0.9f;
        assert_false(scope_grade_correct(&trajectory));
}

/* grade.reward = "prefix": gold has n characters and its end, each worth 1/(n + 1). */
static void test_prefix_reward_is_the_share_of_leading_characters(void **state)
{
        (void)state;
        assert_close(prefix_reward("7,2,6", "7,2,6", true), 1, 1e-7);
        assert_close(prefix_reward("7,2,6", "7,2,6", false), 5.0 / 6, 1e-7);
        assert_close(prefix_reward("7,2,6", "7,2,61", true), 5.0 / 6, 1e-7);
        assert_close(prefix_reward("7,2,6", "7,3,6", true), 2.0 / 6, 1e-7);
        assert_close(prefix_reward("7,2,6", "7,2", true), 3.0 / 6, 1e-7);
        assert_close(prefix_reward("7,2,6", "", true), 0, 1e-7);
        assert_close(prefix_reward("", "", true), 1, 1e-7); /* no term asked for: end at once */
        assert_close(prefix_reward("", "1", true), 0, 1e-7);
}

/* Up to the first wrong character; a special token is one, wherever it hides. */
static void test_tokens_that_decide_a_reward(void **state)
{
        enum { TOKENS = 5 };
        static const uint32_t plain[TOKENS] = { 1, 2, 1, 1, 0 }; /* "7" ",2" "," "6" EOS */
        static const uint32_t middle[TOKENS] = { 1, 2, 0, 2, 0 }, first[TOKENS] = { 0, 3, 1, 1, 0 };
        static const uint32_t twice[TOKENS] = { 3, 1, 1, 0, 0 };
        static const struct {
                const char *gold;
                const uint32_t *bytes;
                uint32_t right, decided; /* of gold's characters and end; of the tokens */
        } rows[] = { { "7,2,6", plain, 6, 5 }, { "7,2,61", plain, 5, 5 }, { "7,2,5", plain, 4, 4 },
                { "7,2", plain, 3, 3 }, { "7,3", plain, 2, 2 }, { "7", plain, 1, 2 },
                { "8", plain, 0, 1 }, { "", plain, 0, 1 }, { "7,2,6", middle, 3, 3 },
                { "7,2,6", first, 0, 1 }, { "7,2,6", twice, 5, 4 }, { "7,3", twice, 2, 1 } };
        (void)state;
        SCOPE_DEFAULTS(grade, options);
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                uint32_t decided;
                struct scope_trajectory trajectory = { .gold = string_from(rows[i].gold),
                        .text = string_from("7,2,6"),
                        .token_count = TOKENS,
                        .finish = SCOPE_FINISH_STOP };
                options.reward = SCOPE_GRADE_REWARD_EQUAL;
                scope_grade_trajectory(&trajectory, rows[i].bytes, &options, &decided);
                assert_int_equal(decided, TOKENS);
                options.reward = SCOPE_GRADE_REWARD_PREFIX;
                scope_grade_trajectory(&trajectory, rows[i].bytes, &options, &decided);
                assert_int_equal(decided, rows[i].decided);
                assert_close(trajectory.reward,
                        (double)rows[i].right / (double)(trajectory.gold.bytes + 1), 1e-6);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_pairs_of_the_table),
                cmocka_unit_test(test_pairs_are_symmetric),
                cmocka_unit_test(test_values),
                cmocka_unit_test(test_kinds),
                cmocka_unit_test(test_relation_to_interval),
                cmocka_unit_test(test_base_subscript),
                cmocka_unit_test(test_stages_and_steps),
                cmocka_unit_test(test_pathological_answers_end_within_the_budget),
                cmocka_unit_test(test_percent_as_ratio),
                cmocka_unit_test(test_require_reduced),
                cmocka_unit_test(test_list_ordered),
                cmocka_unit_test(test_fallback_to_last_number),
                cmocka_unit_test(test_more_notations),
                cmocka_unit_test(test_long_and_deep_answers_are_only_unequal),
                cmocka_unit_test(test_random_answers_equal_themselves),
                cmocka_unit_test(test_pairs_beside_math_verify),
                cmocka_unit_test(test_real_gold_answers),
                cmocka_unit_test(test_prefix_reward_is_the_share_of_leading_characters),
                cmocka_unit_test(test_a_verdict_stands_whatever_the_reward),
                cmocka_unit_test(test_tokens_that_decide_a_reward),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
