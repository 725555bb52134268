#include "tests/test.h"

#include <math.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/base64.h"
#include "base/buffer.h"
#include "base/file.h"
#include "base/rng.h"
#include "base/text.h"

static void test_every_error_has_a_name_and_a_text(void **state)
{
        (void)state;
        for (int err = 0; err < SCOPE_ERR_COUNT; err++) {
                assert_string_not_equal(scope_err_name((enum scope_err)err), "UNKNOWN");
                assert_true(strlen(scope_err_text((enum scope_err)err)) > 3);
        }
        assert_string_equal(scope_err_name((enum scope_err)999), "UNKNOWN");
}

static void test_arena_pieces_are_aligned_zeroed_and_bounded(void **state)
{
        (void)state;
        struct scope_arena arena;
        assert_ok(scope_arena_init(&arena, 256));
        uint8_t *first = scope_arena_take(&arena, 1);
        assert_int_equal((uintptr_t)first % 64, 0);
        memset(first, 0xff, 64);
        assert_non_null(scope_arena_take(&arena, 192));
        assert_null(scope_arena_take(&arena, 1));
        assert_null(scope_arena_take(&arena, SIZE_MAX));
        scope_arena_reset(&arena);
        uint8_t *again = scope_arena_take(&arena, 64);
        assert_ptr_equal(again, first);
        assert_int_equal(again[5], 0);
        scope_arena_fini(&arena);
        scope_arena_fini(&arena);
}

static void test_json_escapes_and_separates(void **state)
{
        (void)state;
        struct scope_text text = { 0 };
        scope_json_open(&text, NULL, '{');
        scope_json_text(&text, "a\"b", "x\n\\\x01");
        scope_json_bytes(&text, "bad", "\xff\xc3\xa9\xed\xa0\x80", 6);
        scope_json_open(&text, "list", '[');
        scope_json_int(&text, NULL, -3);
        scope_json_double(&text, NULL, 0.1);
        scope_json_double(&text, NULL, NAN);
        scope_json_close(&text, ']');
        scope_json_bool(&text, "yes", true);
        scope_json_close(&text, '}');
        assert_false(text.failed);
        assert_string_equal(text.bytes,
                "{\"a\\\"b\":\"x\\n\\\\\\u0001\",\"bad\":\"\\ufffd\xc3\xa9\\ufffd\\ufffd\\ufffd\","
                "\"list\":[-3,0.1,null],\"yes\":true}");
        scope_text_fini(&text);
}

static void test_text_limit_sets_failed_and_keeps_what_was(void **state)
{
        (void)state;
        struct scope_text text = { .limit = 8 };
        scope_text_string(&text, "1234567");
        assert_false(text.failed);
        scope_text_string(&text, "8");
        assert_true(text.failed);
        assert_string_equal(text.bytes, "1234567");
        scope_text_fini(&text);
}

static void test_sample_seeds_differ_and_draws_are_uniform(void **state)
{
        (void)state;
        assert_true(scope_sample_seed(1, 2, 3) != scope_sample_seed(1, 3, 2));
        assert_true(scope_sample_seed(1, 2, 3) == scope_sample_seed(1, 2, 3));
        struct scope_rng rng = scope_rng_make(7);
        double sum = 0, square = 0;
        unsigned bins[10] = { 0 };
        for (int i = 0; i < 100000; i++) {
                double z = scope_rng_normal(&rng);
                sum += z;
                square += z * z;
                bins[scope_rng_below(&rng, 10)]++;
                float u = scope_rng_at(99, (uint64_t)i);
                assert_true(u >= 0 && u < 1);
        }
        assert_close(sum / 100000, 0, 0.02);
        assert_close(square / 100000, 1, 0.02);
        for (int i = 0; i < 10; i++)
                assert_close(bins[i], 10000, 500);
}

static void test_commit_replaces_whole_files_and_reads_are_bounded(void **state)
{
        (void)state;
        char path[] = "/tmp/scope_test_base_XXXXXX";
        struct scope_diag diag;
        char *bytes;
        size_t count;
        assert_int_not_equal(mkstemp(path), -1);
        assert_ok(scope_file_commit(path, "old", 3, &diag));
        assert_ok(scope_file_commit(path, "newer", 5, &diag));
        assert_ok(scope_file_read(path, 5, &bytes, &count, &diag));
        assert_string_equal(bytes, "newer");
        free(bytes);
        assert_int_equal(scope_file_read(path, 4, &bytes, &count, &diag), SCOPE_ERR_TOO_BIG);
        assert_int_equal(scope_file_read("/nonexistent/x", 4, &bytes, &count, &diag),
                SCOPE_ERR_NOT_FOUND);
        assert_non_null(strstr(diag.text, "/nonexistent/x"));
        assert_int_equal(scope_file_commit("/nonexistent/x", "a", 1, &diag), SCOPE_ERR_NOT_FOUND);
        assert_int_equal(unlink(path), 0);
}

static void test_buffer_lives_until_the_last_drop(void **state)
{
        (void)state;
        struct scope_buffer *buffer;
        assert_ok(scope_buffer_create(100, &buffer));
        assert_int_equal(scope_buffer_bytes(buffer), 100);
        assert_int_equal((uintptr_t)scope_buffer_data(buffer) % 64, 0);
        struct scope_buffer *again = scope_buffer_keep(buffer);
        scope_buffer_drop(buffer);
        memset(scope_buffer_data(again), 1, 100);
        scope_buffer_drop(again);
        scope_buffer_drop(NULL);
}

static void test_base64_comes_back_and_what_is_none_is_refused(void **state)
{
        (void)state;
        static const char *const pairs[][2] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" },
                { "foo", "Zm9v" }, { "foob", "Zm9vYg==" } }; /* of RFC 4648 */
        uint8_t bytes[512], back[512];
        size_t count;
        for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
                struct scope_text text = { 0 };
                scope_json_base64(&text, NULL, pairs[i][0], strlen(pairs[i][0]));
                assert_int_equal(text.count, strlen(pairs[i][1]) + 2);
                assert_memory_equal(text.bytes + 1, pairs[i][1], text.count - 2);
                scope_text_fini(&text);
        }
        for (size_t i = 0; i < sizeof bytes; i++)
                bytes[i] = (uint8_t)(i * 37 + i / 256);
        for (size_t size = 500; size <= sizeof bytes; size++) {
                struct scope_text text = { 0 };
                scope_json_base64(&text, NULL, bytes, size);
                assert_true(scope_base64_decode(
                        text.bytes + 1, text.count - 2, back, sizeof back, &count));
                assert_int_equal(count, size);
                assert_memory_equal(back, bytes, size);
                assert_false(scope_base64_decode(
                        text.bytes + 1, text.count - 2, back, size - 1, &count));
                scope_text_fini(&text);
        }
        static const char *const none[] = { "Zg=", "Z===", "Zg==Zg==", "Z\n==", "Zg-_", "=" };
        for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
                assert_false(scope_base64_decode(none[i], strlen(none[i]), back, 512, &count));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_error_has_a_name_and_a_text),
                cmocka_unit_test(test_arena_pieces_are_aligned_zeroed_and_bounded),
                cmocka_unit_test(test_json_escapes_and_separates),
                cmocka_unit_test(test_text_limit_sets_failed_and_keeps_what_was),
                cmocka_unit_test(test_sample_seeds_differ_and_draws_are_uniform),
                cmocka_unit_test(test_commit_replaces_whole_files_and_reads_are_bounded),
                cmocka_unit_test(test_buffer_lives_until_the_last_drop),
                cmocka_unit_test(test_base64_comes_back_and_what_is_none_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
