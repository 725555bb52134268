/* test_parquet.c - Parquet files by pyarrow give the problems that the same rows as JSON Lines
 * give; what we do not read is refused by name; hostile bytes are refused. The files are made by
 * oracle_parquet.py. */
#include "tests/test.h"

#include "base/arena.h"
#include "base/file.h"
#include "tasks/dataset.h"
#include "tasks/parquet.h"

static struct scope_arena arena;

static struct scope_dataset *open_fixture(const char *name)
{
        char path[128];
        struct scope_dataset *dataset = NULL;
        struct scope_diag diag = { "" };
        (void)snprintf(path, sizeof path, "tests/fixtures/parquet/%s", name);
        if (scope_dataset_open(test_source(path), &dataset, &diag) != SCOPE_OK)
                fail_msg("%s", diag.text);
        return dataset;
}

static void same(struct scope_string a, struct scope_string b, const char *name, uint64_t i)
{
        if (a.bytes != b.bytes || (a.bytes > 0 && memcmp(a.at, b.at, a.bytes) != 0))
                fail_msg("%s, row %u: '%.*s' is not '%.*s'", name, (unsigned)i, (int)a.bytes, a.at,
                        (int)b.bytes, b.at);
}

static void test_every_file_equals_its_lines(void **state)
{
        (void)state;
        static const char *const shapes[] = { "verl", "flat", "real", "stepwise" };
        static const char *const forms[] = { "snappy", "none", "gzip2", "zstd" };
        uint64_t rows = 0;
        for (int s = 0; s < 4; s++)
                for (int f = 0; f < 4; f++) {
                        char lines[64], name[64];
                        (void)snprintf(lines, sizeof lines, "%s.jsonl", shapes[s]);
                        (void)snprintf(name, sizeof name, "%s_%s.parquet", shapes[s], forms[f]);
                        struct scope_dataset *a = open_fixture(lines), *b = open_fixture(name);
                        assert_int_equal(a->count, b->count);
                        assert_string_equal(a->form, b->form);
                        for (uint64_t i = 0; i < a->count; i++, rows++) {
                                struct scope_problem x, y;
                                assert_ok(scope_dataset_get(a, i, &arena, &x));
                                assert_ok(scope_dataset_get(b, i, &arena, &y));
                                same(x.text, y.text, name, i);
                                same(x.gold, y.gold, name, i);
                                same(x.solution, y.solution, name, i);
                                if (x.messages.bytes != y.messages.bytes)
                                        fail_msg("%s, row %u: messages '%.*s'", name, (unsigned)i,
                                                (int)y.messages.bytes, y.messages.at);
                        }
                        scope_dataset_destroy(a);
                        scope_dataset_destroy(b);
                }
        print_message("# %u rows\n", (unsigned)rows);
}

static void test_what_is_not_read_is_refused_by_name(void **state)
{
        (void)state;
        static const struct {
                const char *name, *words[2];
                enum scope_err err;
        } cases[] = {
                { "brotli", { "compression BROTLI", "to_json" }, SCOPE_ERR_UNSUPPORTED },
                { "delta", { "column \"problem\": encoding DELTA_BYTE_ARRAY", "lines=True" },
                        SCOPE_ERR_UNSUPPORTED },
                { "decimal", { "column \"answer\"", "decimal" }, SCOPE_ERR_UNSUPPORTED },
                { "columns", { "no column holds problems", "data.prompt_key" }, SCOPE_ERR_FORMAT },
                { "rows", { "no problem in it", "" }, SCOPE_ERR_FORMAT },
                { "answer", { ".parquet:2: ", "the answer is empty" }, SCOPE_ERR_FORMAT },
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                char path[128];
                struct scope_dataset *dataset = NULL;
                struct scope_diag diag = { "" };
                (void)snprintf(
                        path, sizeof path, "tests/fixtures/parquet/bad_%s.parquet", cases[i].name);
                assert_int_equal(
                        scope_dataset_open(test_source(path), &dataset, &diag), cases[i].err);
                if (strstr(diag.text, cases[i].words[0]) == NULL ||
                        strstr(diag.text, cases[i].words[1]) == NULL)
                        fail_msg("%s: %s", cases[i].name, diag.text);
        }
}

/* Every cut, and every byte turned, of a file: an error or a data set, never anything else. */
static void test_hostile_bytes_are_refused(void **state)
{
        (void)state;
        static const char *const names[] = { "verl_gzip2", "flat_none", "stepwise_zstd" };
        uint32_t refused = 0, opened = 0;
        for (size_t n = 0; n < 3; n++) {
                char path[128], *bytes = NULL;
                size_t count = 0;
                (void)snprintf(path, sizeof path, "tests/fixtures/parquet/%s.parquet", names[n]);
                assert_ok(scope_file_read(test_source(path), 1 << 20, &bytes, &count, NULL));
                for (size_t i = 0; i < count; i += 3) {
                        struct scope_dataset *dataset = NULL;
                        struct scope_diag diag = { "" };
                        uint8_t before = (uint8_t)bytes[i];
                        bytes[i] = (char)(before ^ (i % 2 == 0 ? 0xff : 1 << i % 8));
                        enum scope_err err = scope_dataset_of_parquet(
                                "h", (const uint8_t *)bytes, count, NULL, &dataset, &diag);
                        assert_true((err == SCOPE_OK) == (dataset != NULL));
                        assert_true(err == SCOPE_OK || diag.text[0] != 0);
                        refused += err != SCOPE_OK;
                        opened += err == SCOPE_OK;
                        scope_dataset_destroy(dataset);
                        bytes[i] = (char)before;
                        if (i % 7 == 0)
                                assert_int_not_equal(
                                        scope_dataset_of_parquet("h", (const uint8_t *)bytes, i,
                                                NULL, &dataset, &diag),
                                        SCOPE_OK);
                }
                free(bytes);
        }
        print_message("# %u refused, %u still a data set\n", refused, opened);
        assert_true(refused > 1000 && opened > 1000);
}

static void test_prompts_of_digits(void **state)
{
        (void)state;
        const char *path = test_shared("data/models/digits/train.parquet");
        struct scope_dataset *dataset = NULL;
        struct scope_problem problem;
        if (path == NULL)
                test_skip("no ../shared/data/models/digits");
        assert_ok(scope_dataset_open(path, &dataset, NULL));
        assert_int_equal(dataset->count, 800);
        assert_non_null(strstr(dataset->form, "digit sequences"));
        assert_ok(scope_dataset_get(dataset, 0, &arena, &problem));
        same(problem.text, (struct scope_string){ "8,3:9,4", 7 }, "digits", 0);
        same(problem.gold, (struct scope_string){ "7,2,6,1", 7 }, "digits", 0);
        assert_int_equal(problem.messages.bytes, 37);
        scope_dataset_destroy(dataset);
}

static int setup(void **state)
{
        (void)state;
        return scope_arena_init(&arena, 1 << 16);
}

static int teardown(void **state)
{
        (void)state;
        scope_arena_fini(&arena);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_file_equals_its_lines),
                cmocka_unit_test(test_what_is_not_read_is_refused_by_name),
                cmocka_unit_test(test_hostile_bytes_are_refused),
                cmocka_unit_test(test_prompts_of_digits),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
