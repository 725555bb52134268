#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "runtime/file_store.h"

struct fixture {
        char directory[64];
        struct scope_file_store *store;
        bool mounted;
};

static int setup(void **state)
{
        struct fixture *fixture = calloc(1, sizeof *fixture);
        (void)snprintf(fixture->directory, sizeof fixture->directory, "/tmp/scope-files-XXXXXX");
        assert_non_null(mkdtemp(fixture->directory));
        assert_ok(scope_file_store_create(fixture->directory, &fixture->store));
        *state = fixture;
        return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
        (void)status;
        (void)type;
        (void)walk;
        return remove(path);
}

static int teardown(void **state)
{
        struct fixture *fixture = *state;
        scope_file_store_destroy(fixture->store);
        if (fixture->mounted)
                assert_int_equal(umount(fixture->directory), 0);
        (void)nftw(fixture->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        free(fixture);
        return 0;
}

static const char *path_of(const struct fixture *fixture, const char *name)
{
        static char path[256];
        (void)snprintf(path, sizeof path, "%s/%s", fixture->directory, name);
        return path;
}

static void assert_holds(const struct fixture *fixture, const char *name, const char *expected)
{
        char *bytes = NULL;
        size_t count = 0;
        assert_ok(scope_file_read(path_of(fixture, name), 1 << 24, &bytes, &count, NULL));
        assert_int_equal(count, strlen(expected));
        assert_memory_equal(bytes, expected, count);
        free(bytes);
}

static enum scope_err append(struct fixture *fixture, const char *name, const char *text)
{
        return scope_file_store_append(fixture->store, name, text, strlen(text));
}

static enum scope_err replace(struct fixture *fixture, const char *name, const char *text)
{
        return scope_file_store_replace(fixture->store, name, text, strlen(text));
}

static void test_append_adds_and_replace_replaces(void **state)
{
        struct fixture *fixture = *state;
        assert_ok(append(fixture, "metrics.jsonl", "one\n"));
        assert_ok(append(fixture, "metrics.jsonl", "two\n"));
        assert_ok(append(fixture, "metrics.jsonl", ""));
        assert_holds(fixture, "metrics.jsonl", "one\ntwo\n");
        assert_ok(replace(fixture, "status.json", "{1}"));
        assert_ok(replace(fixture, "status.json", "{}"));
        assert_holds(fixture, "status.json", "{}");
        assert_int_not_equal(access(path_of(fixture, ".status.json.tmp"), F_OK), 0);
}

static void test_parents_are_created(void **state)
{
        struct fixture *fixture = *state;
        assert_ok(append(fixture, "rollouts/deep/stream.jsonl", "x\n"));
        assert_ok(replace(fixture, "rollouts/other/file", "y"));
        assert_holds(fixture, "rollouts/deep/stream.jsonl", "x\n");
        assert_holds(fixture, "rollouts/other/file", "y");
}

static void test_names_that_lead_outside_are_refused(void **state)
{
        struct fixture *fixture = *state;
        static const char *const bad[] = { "", "/etc/passwd", "../x", "a/../b", "a/..", "./a",
                "a/./b", "a//b", "a/", "/", ".hidden", "a/.tmp", "a\nb", "a\x7f" };
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                assert_false(scope_file_name_valid(bad[i]));
                assert_int_equal(append(fixture, bad[i], "x\n"), SCOPE_ERR_ARGUMENT);
                assert_int_equal(replace(fixture, bad[i], "x\n"), SCOPE_ERR_ARGUMENT);
        }
        char *longest = calloc(1, 2000);
        memset(longest, 'a', 1999);
        assert_false(scope_file_name_valid(longest));
        free(longest);
        assert_true(scope_file_name_valid("a..b/c.d"));
}

static void test_links_and_special_files_are_refused(void **state)
{
        struct fixture *fixture = *state;
        char path[256];
        (void)snprintf(path, sizeof path, "%s", path_of(fixture, "real"));
        assert_ok(append(fixture, "real", "kept\n"));
        assert_int_equal(symlink(path, path_of(fixture, "link")), 0);
        assert_int_equal(symlink("/tmp", path_of(fixture, "folder")), 0);
        assert_int_equal(mkfifo(path_of(fixture, "pipe"), 0600), 0);
        assert_int_equal(mkdir(path_of(fixture, "directory"), 0700), 0);
        assert_int_equal(append(fixture, "link", "x\n"), SCOPE_ERR_REFUSED);
        assert_int_equal(replace(fixture, "link", "x\n"), SCOPE_ERR_REFUSED);
        assert_int_equal(append(fixture, "folder/x", "x\n"), SCOPE_ERR_REFUSED);
        assert_int_equal(replace(fixture, "folder/x", "x\n"), SCOPE_ERR_REFUSED);
        assert_int_equal(append(fixture, "pipe", "x\n"), SCOPE_ERR_REFUSED);
        assert_int_equal(replace(fixture, "pipe", "x\n"), SCOPE_ERR_REFUSED);
        assert_int_equal(append(fixture, "directory", "x\n"), SCOPE_ERR_REFUSED);
        assert_int_equal(replace(fixture, "directory", "x\n"), SCOPE_ERR_REFUSED);
        assert_int_equal(append(fixture, "real/x", "x\n"), SCOPE_ERR_REFUSED);
        assert_holds(fixture, "real", "kept\n");
}

static void test_torn_last_line_is_cut_before_the_next(void **state)
{
        struct fixture *fixture = *state;
        char *long_tail = malloc(10001);
        memset(long_tail, 'x', 10000);
        long_tail[10000] = 0;
        assert_ok(append(fixture, "a", "whole\n"));
        assert_ok(append(fixture, "a", "tor")); /* as a killed program leaves it */
        assert_ok(append(fixture, "a", "next\n"));
        assert_holds(fixture, "a", "whole\nnext\n");
        assert_ok(append(fixture, "a", long_tail));
        assert_ok(append(fixture, "a", "third\n"));
        assert_holds(fixture, "a", "whole\nnext\nthird\n");
        assert_ok(append(fixture, "b", long_tail));
        assert_ok(append(fixture, "b", "first\n"));
        assert_holds(fixture, "b", "first\n");
        free(long_tail);
}

static void test_missing_directory_is_reported(void **state)
{
        struct scope_file_store *store = NULL;
        (void)state;
        assert_int_equal(scope_file_store_create("/tmp/scope-no-such-directory", &store),
                SCOPE_ERR_NOT_FOUND);
        assert_null(store);
        scope_file_store_destroy(NULL);
}

/* A file system of our own, 64 KiB large; only root, or who may make namespaces, can mount. */
static void test_full_disk_leaves_no_torn_file(void **state)
{
        struct fixture *fixture = *state;
        bool mounted = mount("none", fixture->directory, "tmpfs", 0, "size=64k") == 0 ||
                       (unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
                               mount("none", fixture->directory, "tmpfs", 0, "size=64k") == 0);
        if (!mounted) {
                print_message("# skipped: cannot mount a small tmpfs: %s\n", strerror(errno));
                skip();
        }
        fixture->mounted = true;
        scope_file_store_destroy(fixture->store);
        fixture->store = NULL;
        assert_ok(scope_file_store_create(fixture->directory, &fixture->store));
        char *big = malloc(100001);
        memset(big, 'x', 100000);
        big[99999] = '\n';
        big[100000] = 0;
        assert_ok(append(fixture, "a", "whole\n"));
        assert_ok(replace(fixture, "s", "old"));
        assert_int_equal(append(fixture, "a", big), SCOPE_ERR_NO_SPACE);
        assert_holds(fixture, "a", "whole\n");
        assert_int_equal(replace(fixture, "s", big), SCOPE_ERR_NO_SPACE);
        assert_holds(fixture, "s", "old");
        assert_ok(append(fixture, "a", "next\n")); /* what was torn gave its space back */
        assert_ok(replace(fixture, "s", "new"));
        assert_holds(fixture, "a", "whole\nnext\n");
        assert_holds(fixture, "s", "new");
        free(big);
}

#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                FILE_TEST(test_append_adds_and_replace_replaces),
                FILE_TEST(test_parents_are_created),
                FILE_TEST(test_names_that_lead_outside_are_refused),
                FILE_TEST(test_links_and_special_files_are_refused),
                FILE_TEST(test_torn_last_line_is_cut_before_the_next),
                cmocka_unit_test(test_missing_directory_is_reported),
                FILE_TEST(test_full_disk_leaves_no_torn_file),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
