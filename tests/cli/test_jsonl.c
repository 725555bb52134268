/* JSON Lines: what is read, and where errors are said to be. */
#include "tests/test.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/jsonl.h"

static char path[64];

static struct scope_jsonl *reader_of(const char *text, size_t bytes)
{
        struct scope_jsonl *reader;
        assert_ok(scope_file_commit(path, text, bytes, NULL));
        assert_ok(scope_jsonl_open(path, &reader, NULL));
        return reader;
}

static void test_objects_come_line_by_line(void **state)
{
        (void)state;
        const char text[] = "{\"text\":\"a\\u0000b\"}\n\n  \r\n{\"ids\":[3,0,7]}\r\n{\"ids\":[]}";
        struct scope_jsonl *reader = reader_of(text, sizeof text - 1);
        const json_t *object;
        const char *bytes;
        size_t count;
        uint32_t list[4];
        struct scope_jsonl_ids ids = { .ids = list, .max = 4, .vocab = 8 };
        assert_ok(scope_jsonl_next(reader, &object, NULL));
        assert_ok(scope_jsonl_text(reader, object, "text", &bytes, &count, NULL));
        assert_int_equal(count, 3);
        assert_memory_equal(bytes, "a\0b", 3);
        assert_ok(scope_jsonl_next(reader, &object, NULL));
        assert_ok(scope_jsonl_ids(reader, object, "ids", &ids, NULL));
        assert_true(ids.count == 3 && list[0] == 3 && list[1] == 0 && list[2] == 7);
        assert_ok(scope_jsonl_next(reader, &object, NULL));
        assert_ok(scope_jsonl_ids(reader, object, "ids", &ids, NULL));
        assert_int_equal(ids.count, 0);
        assert_ok(scope_jsonl_next(reader, &object, NULL));
        assert_null(object);
        scope_jsonl_close(reader);
}

/* Reads all lines; the first error must name `where` and `what`. */
static void refuse(const char *text, const char *where, const char *what)
{
        struct scope_jsonl *reader = reader_of(text, strlen(text));
        struct scope_diag diag = { "" };
        const json_t *object = NULL;
        uint32_t list[4];
        struct scope_jsonl_ids ids = { .ids = list, .max = 4, .vocab = 8 };
        char place[128];
        enum scope_err err;
        (void)snprintf(place, sizeof place, "%s:%s: ", path, where);
        while ((err = scope_jsonl_next(reader, &object, &diag)) == SCOPE_OK && object != NULL)
                if ((err = scope_jsonl_ids(reader, object, "ids", &ids, &diag)) != SCOPE_OK)
                        break;
        assert_true(err != SCOPE_OK);
        if (strncmp(diag.text, place, strlen(place)) != 0 || strstr(diag.text, what) == NULL)
                fail_msg("%s gave %s", text, diag.text);
        scope_jsonl_close(reader);
}

static void test_errors_name_file_line_and_key(void **state)
{
        (void)state;
        struct scope_jsonl *reader;
        struct scope_diag diag = { "" };
        refuse("{\"ids\":[1]}\n{\"ids\":[1}\n", "2", "column");
        refuse("\n\n[1]\n", "3", "not an object");
        refuse("{\"ids\":[1]} {\"ids\":[1]}\n", "1", "column");
        refuse("{\"ids\":[1],\"ids\":[1]}\n", "1", "duplicate");
        refuse("{}\n", "1", "\"ids\" is missing");
        refuse("{\"ids\":\"1 2\"}\n", "1", "not a list");
        refuse("{\"ids\":[1,2.0]}\n", "1", "\"ids\"[1] is not a token id");
        refuse("{\"ids\":[-1]}\n", "1", "not a token id");
        refuse("{\"ids\":[1,2,8]}\n", "1", "the vocabulary has 8");
        refuse("{\"ids\":[1,2,3,4,5]}\n", "1", "the limit is 4");
        assert_int_equal(scope_jsonl_open("/nowhere/x", &reader, &diag), SCOPE_ERR_NOT_FOUND);
        assert_non_null(strstr(diag.text, "/nowhere/x: "));
}

static void test_lines_are_bounded(void **state)
{
        (void)state;
        size_t count = SCOPE_JSONL_BYTES_MAX + 2;
        char *text = malloc(count);
        const json_t *object;
        struct scope_diag diag = { "" };
        assert_non_null(text);
        memset(text, ' ', count);
        struct scope_jsonl *reader = reader_of(text, count);
        assert_int_equal(scope_jsonl_next(reader, &object, &diag), SCOPE_ERR_TOO_BIG);
        assert_non_null(strstr(diag.text, ":1: longer than"));
        scope_jsonl_close(reader);
        free(text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_objects_come_line_by_line),
                cmocka_unit_test(test_errors_name_file_line_and_key),
                cmocka_unit_test(test_lines_are_bounded),
        };
        (void)snprintf(path, sizeof path, "/tmp/scope-jsonl-%d", (int)getpid());
        int failed = cmocka_run_group_tests(tests, NULL, NULL);
        (void)unlink(path);
        return failed;
}
