/* What tokenizers need of Unicode: form C beside utf8proc's own, and patterns read as Oniguruma
 * reads them. */
#include "tests/test.h"

#include <utf8proc.h>

#include "base/rng.h"
#include "base/text.h"
#include "base/utf8.h"
#include "models/tokenizer_normalise.h"
#include "models/tokenizer_pattern.h"

static void put_character(struct scope_text *text, uint32_t c)
{
        utf8proc_uint8_t bytes[4];
        scope_text_add(text, (const char *)bytes,
                (size_t)utf8proc_encode_char((utf8proc_int32_t)c, bytes));
}

static void check_nfc(const struct scope_text *text)
{
        struct scope_text mine = { 0 };
        utf8proc_uint8_t *theirs = NULL;
        utf8proc_ssize_t count = utf8proc_map((const utf8proc_uint8_t *)text->bytes,
                (utf8proc_ssize_t)text->count, &theirs, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
        assert_ok(scope_nfc((const uint8_t *)text->bytes, text->count, &mine));
        assert_int_equal(mine.count, count);
        assert_memory_equal(mine.bytes, theirs, mine.count);
        if (scope_nfc_quick((const uint8_t *)text->bytes, text->count))
                assert_memory_equal(mine.bytes, text->bytes, text->count);
        free(theirs);
        scope_text_fini(&mine);
}

static bool is_surrogate(uint32_t c)
{
        return c >= 0xd800 && c < 0xe000;
}

/* Starters that no normalisation changes, and never the second half of a composition. */
static void test_safe_characters_are_safe(void **state)
{
        (void)state;
        uint32_t safe = 0;
        for (uint32_t c = 0; c < 0x110000; c++) {
                utf8proc_int32_t parts[8];
                int boundary = 0;
                if (is_surrogate(c))
                        continue;
                utf8proc_ssize_t count = utf8proc_decompose_char((utf8proc_int32_t)c, parts, 8,
                        UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, &boundary);
                if (scope_nfc_is_safe(c)) {
                        struct scope_text text = { 0 };
                        put_character(&text, c);
                        check_nfc(&text);
                        scope_text_fini(&text);
                        assert_int_equal(
                                utf8proc_get_property((utf8proc_int32_t)c)->combining_class, 0);
                        safe++;
                }
                for (utf8proc_ssize_t i = 1; i < count; i++)
                        assert_false(scope_nfc_is_safe((uint32_t)parts[i]));
        }
        assert_true(safe > 40000);
}

static void test_form_c_is_that_of_utf8proc(void **state)
{
        (void)state;
        static const uint32_t ranges[][2] = { { 0x20, 0x250 }, { 0x300, 0x370 }, { 0x370, 0x600 },
                { 0x900, 0xe00 }, { 0x1100, 0x1200 }, { 0x1e00, 0x2000 }, { 0x2100, 0x2130 },
                { 0x3040, 0x3100 }, { 0xac00, 0xac80 }, { 0xf900, 0xfb50 }, { 0x11000, 0x11500 },
                { 0x1d150, 0x1d200 }, { 0x2f800, 0x2fa20 }, { 0x20, 0x110000 } };
        struct scope_rng rng = scope_rng_make(3);
        for (int round = 0; round < 30000; round++) {
                struct scope_text text = { 0 };
                for (uint64_t i = 1 + scope_rng_below(&rng, 12); i > 0; i--) {
                        const uint32_t *range = ranges[scope_rng_below(
                                &rng, sizeof ranges / sizeof *ranges)];
                        uint32_t c = range[0] +
                                (uint32_t)scope_rng_below(&rng, range[1] - range[0]);
                        put_character(&text, is_surrogate(c) ? 0x301 : c);
                }
                check_nfc(&text);
                scope_text_fini(&text);
        }
}

/* Marks of falling classes: utf8proc's own order would take a minute for these, and then some. */
static void test_a_letter_under_many_marks(void **state)
{
        (void)state;
        static const uint32_t marks[] = { 0x345, 0x301, 0x316, 0x327, 0x334 };
        struct scope_text text = { 0 }, form = { 0 };
        for (int count = 0; count < 100; count++) {
                scope_text_clear(&text);
                put_character(&text, 'a');
                for (int i = 0; i < count; i++)
                        put_character(&text, marks[i % 5]);
                check_nfc(&text);
        }
        scope_text_clear(&text);
        put_character(&text, 'a');
        for (int i = 0; i < 300000; i++)
                put_character(&text, marks[i % 5]);
        assert_ok(scope_nfc((const uint8_t *)text.bytes, text.count, &form));
        assert_int_equal(form.count, text.count - 1); /* the first acute joins the a */
        scope_text_fini(&text);
        scope_text_fini(&form);
}

/* --- patterns ------------------------------------------------------------------------------- */

static size_t matches(const char *pattern, const char *text, size_t *ret_ends, size_t max)
{
        struct scope_pattern *made = NULL;
        struct scope_diag diag = { "" };
        struct scope_pattern_search search = { .text = (const uint8_t *)text,
                .bytes = strlen(text) };
        size_t count = 0;
        if (scope_pattern_create(pattern, strlen(pattern), false, &made, &diag) != SCOPE_OK)
                fail_msg("%s", diag.text);
        while (count < max && scope_pattern_next(made, &search) == SCOPE_OK)
                ret_ends[count++] = search.end;
        scope_pattern_search_fini(&search);
        scope_pattern_destroy(made);
        return count;
}

static void test_white_space_is_unicodes(void **state)
{
        (void)state;
        size_t ends[4];
        assert_int_equal(matches("\\s", "\xe1\xa0\x8e", ends, 4), 0); /* U+180E */
        assert_int_equal(matches("\\S", "\xe1\xa0\x8e", ends, 4), 1);
        assert_int_equal(matches("[^\\s]", "\xe1\xa0\x8e\xe3\x80\x80", ends, 4), 1);
        assert_int_equal(matches("\\s+", "\xc2\x85\xe2\x80\x83 \x0b", ends, 4), 1);
        assert_int_equal(matches("\\d", "5\xd9\xa5\xc2\xb2", ends, 4), 2); /* not superscripts */
        assert_int_equal(matches("\\u0041\\x42\\x{43}", "ABC", ends, 4), 1);
}

static void test_empty_matches_move_on(void **state)
{
        (void)state;
        size_t ends[16];
        /* "éxb": before é, before x, "b"; none at the end, where "b" ended. */
        assert_int_equal(matches("b*", "\xc3\xa9xb", ends, 16), 3);
        assert_int_equal(ends[0], 0);
        assert_int_equal(ends[1], 2);
        assert_int_equal(ends[2], 4);
        assert_int_equal(matches("b*", "", ends, 16), 1);
}

static void test_patterns_that_engines_read_differently_are_refused(void **state)
{
        (void)state;
        static const char *const refused[] = {
                "^a", "a$", "\\w+", "\\bx", "\\h", "\\R", "\\X", "\\1", "(a)\\1", "[a[b]]",
                "[[:alpha:]]", "[a&&b]", "[]a]", "[^]a]", "a{2}?", "a{1,2}+", "a{,2}", "a{",
                "(?i)a", "(?<n>a)", "(?R)", "(*FAIL)", "(?#x)", "\\Z", "\\K", "\\x80", "\\x{}",
                "\\u00", "\\p", "\\pL", "[\\S]", "[\\s-a]", "(?i:stra)", "(?i:\xc3\xa4)", "\\",
                "\\\xc3\xa4", "\\C", "\\G" };
        static const char *const broken[] = { "(a", "a)", "[a", "\\p{Nonsense}", "*", "[b-a]" };
        struct scope_pattern *pattern = NULL;
        struct scope_diag diag;
        for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
                enum scope_err err = scope_pattern_create(
                        refused[i], strlen(refused[i]), false, &pattern, &diag);
                if (err != SCOPE_ERR_UNSUPPORTED || strstr(diag.text, "byte") == NULL)
                        fail_msg("%s gave %s: %s", refused[i], scope_err_name(err), diag.text);
        }
        for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
                enum scope_err err = scope_pattern_create(
                        broken[i], strlen(broken[i]), false, &pattern, &diag);
                if (err != SCOPE_ERR_FORMAT || strstr(diag.text, "byte") == NULL)
                        fail_msg("%s gave %s: %s", broken[i], scope_err_name(err), diag.text);
        }
        assert_null(pattern);
}

static void test_a_pattern_that_explodes_ends(void **state)
{
        (void)state;
        struct scope_pattern *pattern = NULL;
        char text[64];
        struct scope_pattern_search search = { .text = (const uint8_t *)text,
                .bytes = sizeof text };
        memset(text, 'a', sizeof text);
        assert_ok(scope_pattern_create("(?:a|a)*[^a]", 12, false, &pattern, NULL));
        assert_int_equal(scope_pattern_next(pattern, &search), SCOPE_ERR_LIMIT);
        scope_pattern_search_fini(&search);
        scope_pattern_destroy(pattern);
}

static void test_a_literal_means_itself(void **state)
{
        (void)state;
        struct scope_pattern *pattern = NULL;
        struct scope_pattern_search search = { .text = (const uint8_t *)"ab.*a.*", .bytes = 7 };
        assert_ok(scope_pattern_create(".*", 2, true, &pattern, NULL));
        assert_ok(scope_pattern_next(pattern, &search));
        assert_int_equal(search.begin, 2);
        assert_ok(scope_pattern_next(pattern, &search));
        assert_int_equal(search.begin, 5);
        assert_int_equal(scope_pattern_next(pattern, &search), SCOPE_ERR_NOT_FOUND);
        scope_pattern_search_fini(&search);
        scope_pattern_destroy(pattern);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_safe_characters_are_safe),
                cmocka_unit_test(test_form_c_is_that_of_utf8proc),
                cmocka_unit_test(test_a_letter_under_many_marks),
                cmocka_unit_test(test_white_space_is_unicodes),
                cmocka_unit_test(test_empty_matches_move_on),
                cmocka_unit_test(test_patterns_that_engines_read_differently_are_refused),
                cmocka_unit_test(test_a_pattern_that_explodes_ends),
                cmocka_unit_test(test_a_literal_means_itself),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
