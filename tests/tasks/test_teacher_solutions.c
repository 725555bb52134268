/* test_teacher_solutions.c - a data set's own solutions as a teacher's answers: where the rest
 * begins, and what is refused. It never puts right what it was given. */
#include "tests/test.h"

#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/text.h"
#include "tasks/dataset.h"
#include "tasks/refiner_prompt.h"
#include "tasks/teacher_reply.h"
#include "tasks/teacher_script.h"
#include "tasks/teacher_solutions.h"

static const char lines[] =
        "{\"question\":\"Ann sold 48 clips, then half as many. How many?\",\"answer\":\"She sold "
        "48/2 = <<48/2=24>>24 later.\\nIn all 48+24 = <<48+24=72>>72 clips.\\n#### 72\"}\n"
        "{\"question\":\"A pen is $3. Bo buys 5 pens and pays with $20. Change of two such days?\","
        "\"answer\":\"Pens cost 3*5 = $<<3*5=15>>15.\\nThe change is 20-15 = $<<20-15=5>>5.\\n"
        "Two days give 5*2 = $<<5*2=10>>10, of 2*15 = <<2*15=30>>30 spent.\\n#### 10\"}\n";

static struct scope_dataset *dataset;
static struct scope_teacher_solutions *solutions;
#define CLIPS "Ann sold 48 clips, then half as many. How many?"
#define PENS "A pen is $3. Bo buys 5 pens and pays with $20. Change of two such days?"

static struct scope_string string(const char *text)
{
        return (struct scope_string){ text, (uint32_t)strlen(text) };
}

/* `wanted` NULL: refused. */
static void expect(const char *problem, const char *prefix, const char *wanted)
{
        struct scope_text text = { 0 };
        enum scope_err err = scope_teacher_solutions_continue(
                solutions, string(problem), string(prefix), SCOPE_CHAIN_CONTINUE, &text);
        if ((wanted == NULL) != (err == SCOPE_ERR_REFUSED) ||
                (wanted != NULL && strcmp(text.bytes, wanted) != 0))
                fail_msg("after '%s': %s '%s'", prefix, scope_err_name(err),
                        text.bytes != NULL ? text.bytes : "");
        assert_true(wanted != NULL || text.count == 0);
        scope_text_fini(&text);
}

static void test_no_prefix_gives_the_whole(void **state)
{
        (void)state;
        expect(CLIPS, "", "She sold 48/2 = 24 later.\n\nIn all 48+24 = 72 clips.\n\n\\boxed{72}");
        expect("  " CLIPS "\n", " \n",
                "She sold 48/2 = 24 later.\n\nIn all 48+24 = 72 clips.\n\n\\boxed{72}");
}

static void test_its_own_beginning_is_continued_where_it_ends(void **state)
{
        (void)state;
        expect(CLIPS, "She sold 48/2 = 24 later.", "\n\nIn all 48+24 = 72 clips.\n\n\\boxed{72}");
        expect(CLIPS, "She sold 48/2 = 24 later.\n\n", "In all 48+24 = 72 clips.\n\n\\boxed{72}");
        expect(CLIPS, "She sold 48/2 = 24 later.\n", "\nIn all 48+24 = 72 clips.\n\n\\boxed{72}");
        expect(CLIPS, "She  sold\n48/2 = 2", "4 later.\n\nIn all 48+24 = 72 clips.\n\n\\boxed{72}");
        expect(CLIPS, "She sold 48/2 = 24 later.\n\nIn all 48+24 = 72 clips.\n\n", "\\boxed{72}");
}

static void test_other_words_are_aligned_by_the_value_that_stands_last(void **state)
{
        (void)state;
        expect(CLIPS, "Half of 48 is 48 / 2 = 24 clips.\n\n",
                "In all 48+24 = 72 clips.\n\n\\boxed{72}");
        expect(CLIPS, "First, half of 48 makes 24.", "\n\nIn all 48+24 = 72 clips.\n\n\\boxed{72}");
        expect(CLIPS, "48/2=24\n\n48+24=72\n\nSo she sold 72.", "\n\n\\boxed{72}");
        expect(PENS, "5*3=15, so he pays $15.\n\n20-15=$5\n\n",
                "Two days give 5*2 = $10, of 2*15 = 30 spent.\n\n\\boxed{10}");
}

static void test_words_alone_have_derived_nothing(void **state)
{
        (void)state;
        expect(CLIPS, "Let us think.\n\nShe sold some, then more.\n\n",
                "She sold 48/2 = 24 later.\n\nIn all 48+24 = 72 clips.\n\n\\boxed{72}");
        expect(CLIPS, "She thinks.", /* begins as the solution does, too */
                "\n\nShe sold 48/2 = 24 later.\n\nIn all 48+24 = 72 clips.\n\n\\boxed{72}");
        expect(CLIPS, "She has 48.", NULL); /* a value, and no result of the solution */
        expect(CLIPS, "So \\boxed{x}.", NULL);
}

static void test_what_cannot_stand_is_refused(void **state)
{
        (void)state;
        expect(CLIPS, "48/2 = 25", NULL);            /* a value that is no result */
        expect(CLIPS, "48/3 = 24", NULL);            /* the value, wrongly derived */
        expect(CLIPS, "48/2=24\n\n24*24=576", NULL); /* away again */
        expect(CLIPS, "48/2=24\n\n48+24=72\n\n\\boxed{72}", NULL);
        /* the rest needs the 15 of a step that was skipped */
        expect(PENS, "The change is 20 - 3*5 = 5.", NULL);
}

static void test_a_fault_may_be_ordered_that_hides_errors(void **state)
{
        (void)state;
        struct scope_text text = { 0 };
        assert_ok(scope_teacher_solutions_continue(
                solutions, string(CLIPS), string("48/2 = 25\n\n"), SCOPE_CHAIN_CORRECT, &text));
        assert_string_equal(text.bytes, "In all 48+24 = 72 clips.\n\n\\boxed{72}");
        scope_text_fini(&text);
        assert_int_equal(scope_teacher_solutions_continue(solutions, string("Another?"), string(""),
                                 SCOPE_CHAIN_CONTINUE, &text),
                SCOPE_ERR_NOT_FOUND);
}

static void ask(
        const char *problem, const char *prefix, const char *faults, const char *wanted, int status)
{
        struct scope_teacher_script_options options = { .retry_delay = 1, .huge_bytes = 1024 };
        struct scope_teacher_script script;
        struct scope_teacher_response response;
        struct scope_teacher_reply reply;
        struct scope_text request = { 0 };
        struct scope_refiner_prompt prompt = { string(problem), string("72"), string(prefix),
                SCOPE_REFINER_INSTRUCT, "own", 0, 400, false };
        (void)snprintf(options.latency, sizeof options.latency, "constant:0");
        (void)snprintf(options.faults, sizeof options.faults, "%s", faults);
        assert_ok(scope_teacher_script_init(&script, &options, NULL));
        script.solutions = solutions;
        scope_refiner_prompt_write(&prompt, &request);
        scope_teacher_script_answer(&script, request.bytes, request.count, 1, 0, &response);
        assert_int_equal(response.status, status);
        if (status == 200) {
                scope_teacher_reply_init(&reply, 1 << 20, 1 << 20);
                assert_ok(
                        scope_teacher_reply_feed(&reply, response.body.bytes, response.body.count));
                scope_teacher_reply_end(&reply, true);
                assert_string_equal(reply.content.bytes, wanted);
                scope_teacher_reply_fini(&reply);
        } else
                assert_non_null(strstr(response.body.bytes, wanted));
        scope_text_fini(&response.body);
        scope_text_fini(&request);
}

static void test_the_script_plays_around_it(void **state)
{
        (void)state;
        ask(CLIPS, "48/2=24\n\n", "", "In all 48+24 = 72 clips.\n\n\\boxed{72}", 200);
        ask(CLIPS, "48/2=25\n\n", "", SCOPE_REFUSAL_MARKER, 200);
        ask(CLIPS, "48/2=25\n\n", "silent=1", "In all 48+24 = 72 clips.\n\n\\boxed{72}", 200);
        ask(CLIPS, "48/2=24\n\n", "wrong=1", "In all 48+24 = 72 clips.\n\n\\boxed{73}", 200);
        ask(CLIPS, "48/2=24\n\n", "refusal=1", SCOPE_REFUSAL_MARKER, 200);
        ask("2+2=", "", "", "2+2=4\n\n\\boxed{4}", 200); /* builtin:chain goes on being solved */
        ask("Who?", "", "", "no solution of that problem in its data set", 400);
}

/* Every solution of GSM8K, cut behind every step: as itself, and as a student's bare equations. */
static void test_gsm8k_is_continued_from_each_of_its_steps(void **state)
{
        (void)state;
        const char *path = test_shared("data/gsm8k/train.jsonl");
        struct scope_dataset *gsm = NULL;
        struct scope_teacher_solutions *known = NULL;
        uint32_t cuts = 0, kept = 0;
        if (path == NULL)
                test_skip("no ../shared/data/gsm8k");
        assert_ok(scope_dataset_open(path, &gsm, NULL));
        assert_ok(scope_teacher_solutions_create(gsm, &known, NULL));
        for (uint64_t i = 0; i < gsm->count; i += 5) {
                struct scope_problem problem;
                struct scope_text whole = { 0 }, rest = { 0 };
                assert_ok(scope_dataset_get(gsm, i, NULL, &problem));
                assert_ok(scope_teacher_solutions_continue(
                        known, problem.text, string(""), SCOPE_CHAIN_CONTINUE, &whole));
                for (char *at = strstr(whole.bytes, "\n\n"); at != NULL;
                        at = strstr(at + 2, "\n\n")) {
                        struct scope_string prefix = { whole.bytes,
                                (uint32_t)(at + 2 - whole.bytes) };
                        scope_text_clear(&rest);
                        if (scope_teacher_solutions_continue(known, problem.text, prefix,
                                    SCOPE_CHAIN_CONTINUE, &rest) == SCOPE_OK) {
                                assert_string_equal(rest.bytes, at + 2);
                                kept++;
                        }
                        cuts++;
                }
                scope_text_fini(&whole);
                scope_text_fini(&rest);
        }
        print_message("# %u of %u cuts continued\n", kept, cuts);
        assert_int_equal(kept, cuts);
        scope_teacher_solutions_destroy(known);
        scope_dataset_destroy(gsm);
}

static int setup(void **state)
{
        (void)state;
        char path[] = "/tmp/scope-solutions-XXXXXX.jsonl";
        int fd = mkstemps(path, 6);
        if (fd < 0 || write(fd, lines, sizeof lines - 1) != (ssize_t)sizeof lines - 1)
                return -1;
        (void)close(fd);
        enum scope_err err = scope_dataset_open(path, &dataset, NULL);
        (void)unlink(path);
        return err == SCOPE_OK &&
                               scope_teacher_solutions_create(dataset, &solutions, NULL) == SCOPE_OK
                       ? 0
                       : -1;
}

static int teardown(void **state)
{
        (void)state;
        scope_teacher_solutions_destroy(solutions);
        scope_dataset_destroy(dataset);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_no_prefix_gives_the_whole),
                cmocka_unit_test(test_its_own_beginning_is_continued_where_it_ends),
                cmocka_unit_test(test_other_words_are_aligned_by_the_value_that_stands_last),
                cmocka_unit_test(test_words_alone_have_derived_nothing),
                cmocka_unit_test(test_what_cannot_stand_is_refused),
                cmocka_unit_test(test_a_fault_may_be_ordered_that_hides_errors),
                cmocka_unit_test(test_the_script_plays_around_it),
                cmocka_unit_test(test_gsm8k_is_continued_from_each_of_its_steps),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
