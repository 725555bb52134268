/* test_chain.c - problems come out as the recipe says, solutions are right, judgement is exact. */
#include "tests/test.h"

#include "base/text.h"
#include "tasks/chain.h"

static struct scope_string string(const char *text)
{
        return (struct scope_string){ text, (uint32_t)strlen(text) };
}

static struct scope_chain_options options_of(const char *spec)
{
        struct scope_chain_options options;
        struct scope_diag diag = { { 0 } };
        if (scope_chain_options_parse(spec, &options, &diag) != SCOPE_OK)
                fail_msg("%s", diag.text);
        return options;
}

static struct scope_chain chain_of(const char *problem)
{
        struct scope_chain chain;
        assert_ok(scope_chain_parse(string(problem), &chain));
        return chain;
}

/* ---- an evaluator that shares nothing with chain.c ---- */

static long evaluate(const char **at);

static long atom(const char **at)
{
        if (**at != '(')
                return strtol(*at, (char **)(uintptr_t)at, 10);
        ++*at;
        long value = evaluate(at);
        assert_int_equal(**at, ')');
        ++*at;
        return value;
}

static long evaluate(const char **at)
{
        long value = atom(at);
        while (**at == '+' || **at == '-' || **at == '*') {
                char op = *(*at)++;
                long right = atom(at);
                value = op == '+' ? value + right : op == '-' ? value - right : value * right;
        }
        return value;
}

/* Every step of `solution` is true arithmetic from the value before; returns the box. */
static long check_solution(const char *solution, long first, uint32_t op_count)
{
        long value = first, a, b, c;
        char op, box[32];
        int used;
        for (uint32_t i = 0; i < op_count; i++) {
                assert_int_equal(sscanf(solution, "%ld%c%ld=%ld%n", &a, &op, &b, &c, &used), 4);
                assert_int_equal(a, value);
                assert_int_equal(c, op == '+' ? a + b : op == '-' ? a - b : a * b);
                value = c;
                solution += used;
                assert_memory_equal(solution, "\n\n", 2);
                solution += 2;
        }
        (void)snprintf(box, sizeof box, "\\boxed{%ld}", value);
        assert_string_equal(solution, box);
        return value;
}

/* Tokens of the recipe: a blank line and "\boxed{" are one each, everything else a byte; plus
 * EOS. */
static uint32_t tokens_of(const char *text)
{
        uint32_t count = 0;
        while (*text != 0) {
                text += strncmp(text, "\n\n", 2) == 0       ? 2
                        : strncmp(text, "\\boxed{", 7) == 0 ? 7
                                                            : 1;
                count++;
        }
        return count;
}

struct figures {
        double mul_share, prompt_mean, solution_mean;
        uint32_t longest;
};

static struct figures measure(const char *spec, uint32_t ops_min, uint32_t ops_max)
{
        enum { PROBLEMS = 20000 };
        struct scope_chain_options options = options_of(spec);
        struct scope_text text = { 0 };
        uint64_t muls = 0, ops = 0, prompt = 0, solution = 0;
        struct figures figures = { 0 };
        for (uint64_t i = 0; i < PROBLEMS; i++) {
                struct scope_chain chain, again;
                scope_chain_make(&options, i, &chain);
                assert_in_range(chain.op_count, ops_min, ops_max);
                assert_in_range(chain.values[0], 1, 9);
                for (uint32_t j = 0; j < chain.op_count; j++) {
                        muls += chain.ops[j] == '*';
                        assert_in_range(chain.operands[j], chain.ops[j] == '*' ? 2 : 1, 9);
                        assert_in_range(chain.values[j + 1], 0, 99);
                }
                ops += chain.op_count;
                scope_text_clear(&text);
                scope_chain_write_problem(&chain, &text);
                prompt += tokens_of(text.bytes);
                const char *at = text.bytes;
                long value = evaluate(&at);
                assert_string_equal(at, "=");
                assert_ok(scope_chain_parse(string(text.bytes), &again));
                assert_memory_equal(&again, &chain, sizeof chain);
                scope_text_clear(&text);
                scope_chain_write_solution(&chain, &text);
                assert_int_equal(
                        check_solution(text.bytes, chain.values[0], chain.op_count), value);
                uint32_t tokens = tokens_of(text.bytes) + 1;
                solution += tokens;
                figures.longest = tokens > figures.longest ? tokens : figures.longest;
        }
        scope_text_fini(&text);
        figures.mul_share = (double)muls / (double)ops;
        figures.prompt_mean = (double)prompt / PROBLEMS;
        figures.solution_mean = (double)solution / PROBLEMS;
        print_message("# %s: * %.3f, prompt %.1f, solution %.1f tokens, longest %u\n", spec,
                figures.mul_share, figures.prompt_mean, figures.solution_mean, figures.longest);
        return figures;
}

static void test_problems_are_those_of_the_recipe(void **state)
{
        (void)state;
        struct figures easy = measure("builtin:chain?level=easy", 3, 6);
        struct figures hard = measure("builtin:chain?level=hard", 5, 8);
        assert_close(easy.mul_share, 0.29, 0.01);
        assert_close(hard.mul_share, 0.26, 0.01);
        assert_close(easy.prompt_mean, 18, 1);
        assert_close(easy.solution_mean, 37, 1.5);
        assert_close(hard.prompt_mean, 26, 1);
        assert_close(hard.solution_mean, 52, 1.5);
        assert_true(easy.longest <= 52 && hard.longest <= 68);
}

static void test_problem_depends_on_seed_and_index_only(void **state)
{
        (void)state;
        struct scope_chain_options options = options_of("builtin:chain?level=hard&seed=7");
        struct scope_chain a, b;
        uint32_t equal = 0;
        scope_chain_make(&options, 5, &a);
        for (uint64_t i = 0; i < 100; i++) {
                scope_chain_make(&options, i, &b);
                equal += memcmp(&a, &b, sizeof a) == 0;
        }
        assert_int_equal(equal, 1);
        options.seed = 8;
        scope_chain_make(&options, 5, &b);
        assert_memory_not_equal(&a, &b, sizeof a);
        /* Recorded: a change here changes every run's data. */
        struct scope_text text = { 0 };
        scope_chain_write_problem(&a, &text);
        assert_string_equal(text.bytes, "((((((1*8)-4)+3)+2)-2)*4)*2=");
        scope_text_fini(&text);
}

static void test_all_keys_are_read(void **state)
{
        (void)state;
        struct scope_chain_options o =
                options_of("builtin:chain?ops=2-4&operands=1-12&values=0-200&"
                           "mul=0.5&count=256&seed=18446744073709551615");
        assert_int_equal(o.ops_min, 2);
        assert_int_equal(o.ops_max, 4);
        assert_int_equal(o.operand_max, 12);
        assert_int_equal(o.value_max, 200);
        assert_close(o.mul_share, 0.5, 0);
        assert_int_equal(o.count, 256);
        assert_true(o.seed == UINT64_MAX);
        o = options_of("builtin:chain");
        assert_int_equal(o.ops_min, 5);
        assert_int_equal(o.ops_max, 8);
        o = options_of("builtin:chain?ops=7");
        assert_int_equal(o.ops_min, 7);
        assert_int_equal(o.ops_max, 7);
}

static void test_bad_words_are_refused_by_name(void **state)
{
        (void)state;
        static const char *const specs[][2] = {
                { "builtin:chains", "builtin:chain?" },
                { "builtin:chain?level=medium", "easy and hard" },
                { "builtin:chain?op=5-8", "unknown key" },
                { "builtin:chain?ops", "key=value" },
                { "builtin:chain?ops=8-5", "ops=8-5" },
                { "builtin:chain?ops=0-5", "1-64" },
                { "builtin:chain?ops=5-65", "1-64" },
                { "builtin:chain?ops=5-8x", "ops=5-8x" },
                { "builtin:chain?operands=2-9", "1-N" },
                { "builtin:chain?values=1-99", "0-N" },
                { "builtin:chain?mul=1", "0..0.9" },
                { "builtin:chain?mul=nan", "0..0.9" },
                { "builtin:chain?mul=", "0..0.9" },
                { "builtin:chain?count=0", "whole number" },
                { "builtin:chain?seed=-1", "whole number" },
                { "builtin:chain?seed=18446744073709551616", "whole number" },
                { "builtin:chain?operands=1-99&values=0-50", "would not fit" },
                { "builtin:chain?"
                  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=1",
                        "too long" },
        };
        for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
                struct scope_chain_options options = { .seed = 77 };
                struct scope_diag diag = { { 0 } };
                assert_int_equal(
                        scope_chain_options_parse(specs[i][0], &options, &diag), SCOPE_ERR_FORMAT);
                if (strstr(diag.text, specs[i][1]) == NULL)
                        fail_msg("%s: '%s' does not say '%s'", specs[i][0], diag.text, specs[i][1]);
                assert_int_equal(options.seed, 77);
        }
}

static void test_what_is_no_problem_is_refused(void **state)
{
        (void)state;
        static const char *const texts[] = { "", "=", "1=", "1+=", "1+2", "1+2=3",
                "(1+2)=", "((1+2)+3=", "1/2=", "1+2=x",
                "(1+2+3=", "()+1=", "1+-2=", "12345678901+1=" };
        struct scope_chain chain;
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
                assert_int_equal(scope_chain_parse(string(texts[i]), &chain), SCOPE_ERR_FORMAT);
        assert_int_equal(scope_chain_parse(string("999999999*9="), &chain), SCOPE_ERR_TOO_BIG);
        char deep[200];
        memset(deep, '(', sizeof deep);
        assert_int_equal(scope_chain_parse((struct scope_string){ deep, sizeof deep }, &chain),
                SCOPE_ERR_TOO_BIG);
        assert_ok(scope_chain_parse(string(" \n((9*9)+1)-5= \n"), &chain));
        assert_int_equal(chain.values[3], 77);
}

/* ---- judging ---- */

/* Judges a response whose steps end at each blank line; writes "110" and the like. */
static const char *judged(const char *problem, const char *response)
{
        static char marks[64];
        uint32_t ends[64], count = 0;
        float p[64];
        struct scope_chain chain = chain_of(problem);
        for (const char *at = response; (at = strstr(at, "\n\n")) != NULL; at += 2)
                ends[count++] = (uint32_t)(at - response) + 2;
        if (count == 0 || ends[count - 1] < strlen(response))
                ends[count++] = (uint32_t)strlen(response);
        scope_chain_judge(&chain, string(response), ends, count, p);
        for (uint32_t i = 0; i < count; i++) {
                assert_true(p[i] == 0 || p[i] == 1);
                marks[i] = p[i] == 1 ? '1' : '0';
        }
        marks[count] = 0;
        return marks;
}

#define PROBLEM "((9*9)+1)-5="

static void test_planted_errors_are_found_at_their_step(void **state)
{
        (void)state;
        static const char *const cases[][2] = {
                { "9*9=81\n\n81+1=82\n\n82-5=77\n\n\\boxed{77}", "1111" },
                { "9*9=81\n\n81+1=82\n\n82-5=77\n\n\\boxed{77}\n\n", "1111" },
                { "9*9=81\n\n81+1=82\n\n82-5=77\n\n\\boxed{78}", "1110" },
                { "9*9=81\n\n81+1=82\n\n82-5=76\n\n\\boxed{76}", "1100" },
                { "9*9=80\n\n80+1=81\n\n81-5=76\n\n\\boxed{76}", "0000" },
                /* silently put right again: the wrong value stood last */
                { "9*9=80\n\n81+1=82\n\n82-5=77\n\n\\boxed{77}", "0000" },
                { "9*9=81\n\n81-1=80\n\n80-5=75", "100" },     /* another operation */
                { "9*9=81\n\n82-5=77\n\n\\boxed{77}", "100" }, /* one left out */
                { "9*9=81\n\n9*9=81\n\n81+1=82", "100" },      /* one twice */
                { "9*9=81\n\n\\boxed{77}", "10" },
                { "9*9=81\n\n81+1=82\n\n82-5=77\n\n\\boxed{77}\n\n\\boxed{77}", "11110" },
                { "9*9=81\n\n81+1=8", "10" },
                { "9 * 9 = 81", "0" }, /* another notation is another language here */
                { "09*9=81", "0" },
                { "81", "0" },
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
                assert_string_equal(judged(PROBLEM, cases[i][0]), cases[i][1]);
}

/* ---- continuing ---- */

/* What follows, or "refused". */
static const char *continued(const char *prefix, enum scope_chain_manner manner)
{
        static struct scope_text text;
        struct scope_chain chain = chain_of(PROBLEM);
        scope_text_clear(&text);
        scope_text_string(&text, "");
        enum scope_err err = scope_chain_continue(&chain, string(prefix), manner, &text);
        if (err == SCOPE_OK)
                return text.bytes;
        assert_int_equal(err, SCOPE_ERR_REFUSED);
        assert_int_equal(text.count, 0);
        return "refused";
}

static void test_every_true_prefix_is_completed_to_the_solution(void **state)
{
        (void)state;
        static const char solution[] = "9*9=81\n\n81+1=82\n\n82-5=77\n\n\\boxed{77}";
        for (size_t cut = 0; cut + 1 < sizeof solution; cut++) {
                char whole[256];
                if (cut > 0 && solution[cut - 1] == '\n' && solution[cut] == '\n')
                        continue; /* half a blank line: the whole one follows */
                for (int manner = SCOPE_CHAIN_CONTINUE; manner <= SCOPE_CHAIN_REFUSE; manner++) {
                        (void)snprintf(whole, sizeof whole, "%.*s", (int)cut, solution);
                        const char *rest = continued(whole, (enum scope_chain_manner)manner);
                        (void)snprintf(whole, sizeof whole, "%.*s%s", (int)cut, solution, rest);
                        assert_string_equal(whole, solution);
                }
        }
}

static void test_wrong_value_is_carried_on_corrected_or_refused_by_manner(void **state)
{
        (void)state;
        static const char wrong[] = "9*9=80\n\n";
        assert_string_equal(
                continued(wrong, SCOPE_CHAIN_CONTINUE), "80+1=81\n\n81-5=76\n\n\\boxed{76}");
        assert_string_equal(
                continued(wrong, SCOPE_CHAIN_CORRECT), "81+1=82\n\n82-5=77\n\n\\boxed{77}");
        assert_string_equal(continued(wrong, SCOPE_CHAIN_REFUSE), "refused");
        /* the right value, but not by the chain: still refused, still carried on */
        static const char other[] = "9*9=81\n\n80+2=82\n\n";
        assert_string_equal(continued(other, SCOPE_CHAIN_CONTINUE), "82-5=77\n\n\\boxed{77}");
        assert_string_equal(continued(other, SCOPE_CHAIN_REFUSE), "refused");
        static const char negative[] = "9*9=81\n\n81+1=-3\n\n";
        assert_string_equal(continued(negative, SCOPE_CHAIN_CONTINUE), "-3-5=-8\n\n\\boxed{-8}");
        /* more steps than operations */
        static const char longer[] = "9*9=1\n\n1+1=2\n\n2-5=3\n\n3+4=7\n\n";
        assert_string_equal(continued(longer, SCOPE_CHAIN_CONTINUE), "\\boxed{7}");
        assert_string_equal(continued(longer, SCOPE_CHAIN_CORRECT), "\\boxed{77}");
        /* a step broken off, in a wrong prefix; without the blank line */
        assert_string_equal(
                continued("9*9=80\n\n80+", SCOPE_CHAIN_CONTINUE), "1=81\n\n81-5=76\n\n\\boxed{76}");
        assert_string_equal(
                continued("9*9=80", SCOPE_CHAIN_CONTINUE), "\n\n80+1=81\n\n81-5=76\n\n\\boxed{76}");
}

static void test_what_is_no_start_is_refused(void **state)
{
        (void)state;
        static const char *const prefixes[] = { "hello\n\n", "9*9=\n\n", "9*9=x\n\n", "\\boxed{77}",
                "9*9=81\n\n\\boxed{81}", "9*9=99999999999\n\n",
                "9*9=999999999\n\n999999999+1=1000000001\n\n", "9*9=81\n\nnonsense",
                "9*9=8.1\n\n" };
        for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
                assert_string_equal(continued(prefixes[i], SCOPE_CHAIN_CONTINUE), "refused");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_problems_are_those_of_the_recipe),
                cmocka_unit_test(test_problem_depends_on_seed_and_index_only),
                cmocka_unit_test(test_all_keys_are_read),
                cmocka_unit_test(test_bad_words_are_refused_by_name),
                cmocka_unit_test(test_what_is_no_problem_is_refused),
                cmocka_unit_test(test_planted_errors_are_found_at_their_step),
                cmocka_unit_test(test_every_true_prefix_is_completed_to_the_solution),
                cmocka_unit_test(test_wrong_value_is_carried_on_corrected_or_refused_by_manner),
                cmocka_unit_test(test_what_is_no_start_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
