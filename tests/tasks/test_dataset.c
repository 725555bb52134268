/* test_dataset.c - each form of line is read, each fault is named with its file and line. */
#include "tests/test.h"

#include <unistd.h>

#include "base/arena.h"
#include "tasks/dataset.h"

static struct scope_arena arena;

static bool is(struct scope_string text, const char *want)
{
        return text.bytes == strlen(want) && memcmp(text.at, want, text.bytes) == 0;
}

/* A file with these bytes; removed by the next call. */
static const char *file_with(const char *bytes, size_t count)
{
        static char path[64];
        if (path[0] != 0)
                (void)unlink(path);
        strcpy(path, "test_dataset_XXXXXX.jsonl");
        int fd = mkstemps(path, 6);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, bytes, count), (ssize_t)count);
        (void)close(fd);
        return path;
}

static struct scope_dataset *open_text(const char *text)
{
        struct scope_dataset *dataset = NULL;
        struct scope_diag diag = { { 0 } };
        if (scope_dataset_open(file_with(text, strlen(text)), &dataset, &diag) != SCOPE_OK)
                fail_msg("%s", diag.text);
        return dataset;
}

static struct scope_problem get(const struct scope_dataset *dataset, uint64_t index)
{
        struct scope_problem problem;
        assert_ok(scope_dataset_get(dataset, index, &arena, &problem));
        return problem;
}

static void test_builtin_chain_is_a_data_set(void **state)
{
        (void)state;
        struct scope_dataset *dataset = NULL;
        struct scope_diag diag = { { 0 } };
        assert_ok(scope_dataset_open("builtin:chain?ops=1&count=10&seed=3", &dataset, NULL));
        assert_int_equal(dataset->count, 10);
        struct scope_problem a = get(dataset, 4), b = get(dataset, 14);
        assert_int_equal(a.text.bytes, b.text.bytes);
        assert_memory_equal(a.text.at, b.text.at, a.text.bytes);
        assert_true(a.gold.bytes > 0 && a.solution.bytes > a.gold.bytes);
        scope_dataset_destroy(dataset);
        assert_int_equal(
                scope_dataset_open("builtin:chain?x=1", &dataset, &diag), SCOPE_ERR_FORMAT);
        assert_non_null(strstr(diag.text, "unknown key"));
        assert_int_equal(
                scope_dataset_open("builtin:maze", &dataset, &diag), SCOPE_ERR_UNSUPPORTED);
        assert_int_equal(scope_dataset_open("data.csv", &dataset, &diag), SCOPE_ERR_UNSUPPORTED);
        assert_int_equal(scope_dataset_open("no/such.jsonl", &dataset, &diag), SCOPE_ERR_NOT_FOUND);
        assert_non_null(strstr(diag.text, "no/such.jsonl"));
        scope_dataset_destroy(NULL);
}

static void test_full_arena_is_an_error(void **state)
{
        (void)state;
        struct scope_dataset *dataset = NULL;
        struct scope_arena small;
        struct scope_problem problem;
        assert_ok(scope_arena_init(&small, 64));
        assert_ok(scope_dataset_open("builtin:chain", &dataset, NULL));
        assert_int_equal(scope_dataset_get(dataset, 0, &small, &problem), SCOPE_ERR_MEMORY);
        scope_dataset_destroy(dataset);
        scope_arena_fini(&small);
}

static void test_each_form_is_recognised(void **state)
{
        (void)state;
        struct scope_dataset *d = open_text("\xef\xbb\xbf\n  \r\n{\"question\":\"How many?\","
                                            "\"answer\":\"1+1=2\\n#### 1,234 \"}\r\n");
        assert_int_equal(d->count, 1);
        assert_non_null(strstr(d->form, "GSM8K"));
        assert_true(is(get(d, 0).text, "How many?"));
        assert_true(is(get(d, 0).gold, "1234"));
        assert_true(is(get(d, 0).solution, "1+1=2\n#### 1,234 "));
        scope_dataset_destroy(d);

        d = open_text(
                "{\"problem\":\"P\",\"answer\":27.0}\n{\"problem\":\"Q\",\"answer\":\" x^2 \","
                "\"solution\":\"S\"}\n{\"problem\":\"R\",\"solution\":\"\\\\boxed{1} so "
                "\\\\boxed{\\\\frac{1}{2}\\\\}}\"}");
        assert_int_equal(d->count, 3);
        assert_true(is(get(d, 0).gold, "27"));
        assert_true(is(get(d, 0).solution, ""));
        assert_true(is(get(d, 1).gold, "x^2"));
        assert_true(is(get(d, 1).solution, "S"));
        assert_true(is(get(d, 2).gold, "\\frac{1}{2}\\}"));
        scope_dataset_destroy(d);

        d = open_text(
                "{\"prompt\":[{\"role\":\"system\",\"content\":\"a\"},{\"role\":\"user\","
                "\"content\":\"b\"},{\"role\":\"assistant\",\"content\":\"c\"}],\"answer\":-4}\n"
                "{\"prompt\":\"p\",\"answer\":0.5}");
        assert_true(is(get(d, 0).text, "b"));
        assert_true(is(get(d, 0).gold, "-4"));
        assert_true(is(get(d, 1).text, "p"));
        assert_true(is(get(d, 1).gold, "0.5"));
        scope_dataset_destroy(d);

        d = open_text("{\"question\":\"q\",\"answer\":\"4\"}");
        assert_true(is(get(d, 0).gold, "4"));
        scope_dataset_destroy(d);
}

static void one(const char *text, const char *form, const char *problem, const char *gold,
        const char *solution)
{
        struct scope_dataset *d = open_text(text);
        if (strstr(d->form, form) == NULL)
                fail_msg("%s: %s", text, d->form);
        assert_true(is(get(d, 0).text, problem));
        assert_true(is(get(d, 0).gold, gold));
        assert_true(is(get(d, 0).solution, solution));
        scope_dataset_destroy(d);
}

static void test_shapes_of_other_projects_are_recognised(void **state)
{
        (void)state;
#define CHAT "[{\"role\":\"user\",\"content\":\"b\"}]"
        one("{\"data_source\":\"g\",\"prompt\":" CHAT ",\"reward_model\":{\"style\":\"rule\","
            "\"ground_truth\":\"18\"},\"extra_info\":{\"answer\":\"1+1\\n#### 18\"}}",
                "verl", "b", "18", "1+1\n#### 18");
        one("{\"prompt\":\"p\",\"ground_truth\":7}", "prompt, answer", "p", "7", "");
        one("{\"prompt\":" CHAT ",\"solution\":\"So \\\\boxed{4}.\"}", "prompt, answer", "b", "4",
                "So \\boxed{4}.");
        one("{\"prompt\":\"p\",\"completions\":[\"one\",\"\\\\boxed{2}\"],\"labels\":[true,true]}",
                "stepwise", "p", "2", "one\n\n\\boxed{2}");
        one("{\"question\":{\"problem\":\"q\",\"ground_truth_answer\":\"3\"},\"label\":{}}",
                "PRM800K", "q", "3", "");
        one("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
            "{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":\"assistant\",\"content\":"
            "\"w\\n#### 1,000\"}]}",
                "messages", "ab", "1000", "w\n#### 1,000");
        one("{\"prompt\":\"0,3:9,2\"}", "digit sequences", "0,3:9,2", "6,0", "");
        struct scope_dataset *d = open_text("{\"prompt\":[{\"role\":\"system\",\"content\":\"s\"},"
                                            "{\"role\":\"user\",\"content\":\"b\"},{\"role\":"
                                            "\"assistant\",\"content\":\"c\"}],\"answer\":1}");
        assert_true(is(get(d, 0).messages, "[{\"role\":\"system\",\"content\":\"s\"},"
                                           "{\"role\":\"user\",\"content\":\"b\"}]"));
        scope_dataset_destroy(d);
}

static void test_keys_may_be_told(void **state)
{
        (void)state;
        static const char text[] = "{\"in\":{\"q\":\"Q\"},\"final\":\"5\",\"problem\":\"x\","
                                   "\"answer\":\"y\"}";
        const struct scope_dataset_keys keys = { "in.q", "final", NULL };
        struct scope_dataset *dataset = NULL;
        assert_ok(
                scope_dataset_open_keyed(file_with(text, sizeof text - 1), &keys, &dataset, NULL));
        assert_true(is(get(dataset, 0).text, "Q"));
        assert_true(is(get(dataset, 0).gold, "5"));
        assert_non_null(strstr(dataset->form, "in.q"));
        scope_dataset_destroy(dataset);
}

static void refused(const char *text, enum scope_err want, const char *line, const char *what)
{
        struct scope_dataset *dataset = NULL;
        struct scope_diag diag = { { 0 } };
        assert_int_equal(scope_dataset_open(file_with(text, strlen(text)), &dataset, &diag), want);
        assert_null(dataset);
        if (strstr(diag.text, line) == NULL || strstr(diag.text, what) == NULL)
                fail_msg("'%s' says neither '%s' nor '%s'", diag.text, line, what);
}

#define GOOD "{\"problem\":\"P\",\"answer\":\"1\"}\n"
#define GSM "{\"question\":\"q\",\"answer\":\"#### 1\"}\n"

static void test_faults_are_named_with_file_and_line(void **state)
{
        (void)state;
        const enum scope_err bad = SCOPE_ERR_FORMAT;
        refused(GOOD "\n{\"problem\": \"P\", \"ans", bad, ".jsonl:3: ", "not JSON");
        refused(GOOD "[1]", bad, ".jsonl:2: ", "one JSON object");
        refused(GOOD "3 4", bad, ".jsonl:2: ", "not JSON");
        refused("{\"text\":\"P\"}", bad, ".jsonl:1: ", "\"question\" and \"answer\"");
        refused("{\"question\":\"P\"}", bad, ".jsonl:1: ", "want \"question\"");
        refused(GOOD GSM, bad, ".jsonl:2: ", "no text in \"problem\"");
        refused(GOOD "{\"problem\":\"  \",\"answer\":\"1\"}", bad,
                ":2: ", "no text in \"problem\"");
        refused(GOOD "{\"problem\":7,\"answer\":\"1\"}", bad, ":2: ", "no text in \"problem\"");
        refused(GOOD "{\"problem\":\"P\",\"answer\":\" \"}", bad, ":2: ", "answer is empty");
        refused(GOOD "{\"problem\":\"P\",\"answer\":[1]}", bad,
                ":2: ", "neither a text nor a number");
        refused(GOOD "{\"problem\":\"P\"}", bad, ":2: ", "no \"answer\"");
        refused(GOOD "{\"problem\":\"P\",\"solution\":\"\\\\boxed{1\"}", bad, ":2: ", "no whole");
        refused(GSM "{\"question\":\"q\",\"answer\":\"1\"}", bad, ":2: ", "####");
        refused(GSM "{\"question\":\"q\",\"answer\":1}", bad, ":2: ", "####");
        refused("{\"prompt\":[{\"role\":\"system\",\"content\":\"a\"}],\"answer\":1}", bad,
                ":1: ", "no text in \"prompt\"");
        refused(GOOD "{\"problem\":\"\xff\",\"answer\":\"1\"}", bad, ":2: ", "not JSON");
        refused("", bad, ".jsonl: ", "no problem in it");
        refused("\n \n", bad, ".jsonl: ", "no problem in it");
}

static void test_long_things_are_refused(void **state)
{
        (void)state;
        static const char head[] = "{\"problem\":\"P\",\"answer\":\"";
        size_t body = sizeof head - 1, count = body + (5 << 20);
        char *text = malloc(count + 4);
        if (text == NULL) {
                fail_msg("no memory for a line of 5 MiB");
                return; /* gcc does not know that fail_msg does not come back */
        }
        memcpy(text, head, body);
        memset(text + body, 'x', count - body);
        memcpy(text + body + 600, "\"}", 3);
        refused(text, SCOPE_ERR_FORMAT, ":1: ", "longer than 512 bytes");
        memset(text + body + 600, 'x', 3);
        memcpy(text + count, "\"}", 3);
        refused(text, SCOPE_ERR_FORMAT, ":1: ", "longer than 4 MiB");
        /* as an array, nothing but depth */
        memset(text, '[', 1 << 20);
        text[1 << 20] = 0;
        refused(text, SCOPE_ERR_FORMAT, ":1: ", "not JSON");
        free(text);
}

/* Shared files: [name, problems, index, its gold]. */
static void read_shared(const char *name, uint64_t count, uint64_t index, const char *gold)
{
        const char *path = test_shared(name);
        struct scope_dataset *dataset = NULL;
        struct scope_diag diag = { { 0 } };
        if (path == NULL) {
                print_message("# %s is not here\n", name);
                skip();
        }
        if (scope_dataset_open(path, &dataset, &diag) != SCOPE_OK)
                fail_msg("%s", diag.text);
        print_message("# %s: %llu problems, %s\n", name, (unsigned long long)dataset->count,
                dataset->form);
        assert_int_equal(dataset->count, count);
        for (uint64_t i = 0; i < count; i++)
                assert_true(get(dataset, i).gold.bytes > 0);
        struct scope_string found = get(dataset, index).gold;
        if (!is(found, gold))
                fail_msg("%s, problem %u: gold is '%.*s'", name, (unsigned)index, (int)found.bytes,
                        found.at);
        scope_dataset_destroy(dataset);
}

static void test_gsm8k_is_read(void **state)
{
        (void)state;
        read_shared("data/gsm8k/test.jsonl", 1319, 0, "18");
        read_shared("data/gsm8k/train.jsonl", 7473, 0, "72");
}

static void test_math500_and_contests_are_read(void **state)
{
        (void)state;
        read_shared("data/eval/math500.jsonl", 500, 0, "\\left( 3, \\frac{\\pi}{2} \\right)");
        read_shared("data/eval/aime24.jsonl", 30, 0, "204");
        read_shared("data/eval/amc23.jsonl", 40, 0, "27");
}

static int setup(void **state)
{
        (void)state;
        return scope_arena_init(&arena, 1 << 20);
}

static int teardown(void **state)
{
        (void)state;
        (void)unlink(file_with("", 0));
        scope_arena_fini(&arena);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_builtin_chain_is_a_data_set),
                cmocka_unit_test(test_full_arena_is_an_error),
                cmocka_unit_test(test_each_form_is_recognised),
                cmocka_unit_test(test_shapes_of_other_projects_are_recognised),
                cmocka_unit_test(test_keys_may_be_told),
                cmocka_unit_test(test_faults_are_named_with_file_and_line),
                cmocka_unit_test(test_long_things_are_refused),
                cmocka_unit_test(test_gsm8k_is_read),
                cmocka_unit_test(test_math500_and_contests_are_read),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
