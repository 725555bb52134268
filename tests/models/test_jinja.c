/* test_jinja.c - templates as jinja2 runs them, bounds, and what errors say. Cases are recorded by
 * oracle_jinja.py, which compares live where the packages are there. */
#include "tests/test.h"

#include <jansson.h>
#include <time.h>

#include "base/text.h"
#include "models/jinja.h"

static const struct tm now = { .tm_year = 124, .tm_mon = 6, .tm_mday = 26, .tm_wday = 5 };

static enum scope_err run(const char *template, size_t bytes, const json_t *variables,
        struct scope_text *out, struct scope_diag *diag)
{
        struct scope_jinja *jinja = NULL;
        enum scope_err err = scope_jinja_compile("chat", template, bytes, &jinja, diag);
        if (err == SCOPE_OK)
                err = scope_jinja_render(jinja, variables, &now, out, diag);
        scope_jinja_destroy(jinja);
        return err;
}

static enum scope_err run_words(const char *template, struct scope_diag *diag)
{
        struct scope_text out = { 0 };
        json_t *none = json_object();
        enum scope_err err = run(template, strlen(template), none, &out, diag);
        assert_true(err == SCOPE_OK || out.count == 0);
        scope_text_fini(&out);
        json_decref(none);
        return err;
}

static void test_recorded_cases_come_out_as_from_jinja2(void **state)
{
        (void)state;
        json_t *all = json_load_file(test_source("tests/fixtures/jinja.json"), 0, NULL);
        assert_non_null(all);
        json_t *templates = json_object_get(all, "templates"),
               *variables = json_object_get(all, "variables"),
               *cases = json_object_get(all, "cases");
        size_t equal = 0, refused = 0, unsupported = 0;
        for (size_t i = 0; i < json_array_size(cases); i++) {
                const json_t *row = json_array_get(cases, i);
                const json_t *template = json_array_get(
                        templates, (size_t)json_integer_value(json_array_get(row, 0)));
                const json_t *values = json_array_get(
                        variables, (size_t)json_integer_value(json_array_get(row, 1)));
                const json_t *wanted = json_object_get(json_array_get(row, 2), "out");
                struct scope_text out = { 0 };
                struct scope_diag diag = { "" };
                enum scope_err err = run(json_string_value(template), json_string_length(template),
                        values, &out, &diag);
                if (err != SCOPE_OK) {
                        assert_non_null(strstr(diag.text, "chat:"));
                        if (wanted != NULL && err != SCOPE_ERR_UNSUPPORTED)
                                fail_msg("%s: %s", json_string_value(template), diag.text);
                        unsupported += wanted != NULL;
                        refused += wanted == NULL;
                        scope_text_fini(&out);
                        continue;
                }
                if (wanted == NULL)
                        fail_msg("%s: jinja2 refuses it", json_string_value(template));
                if (out.count != json_string_length(wanted) ||
                        (out.count > 0 &&
                                memcmp(out.bytes, json_string_value(wanted), out.count) != 0))
                        fail_msg("%s:\n%s\nwanted\n%s", json_string_value(template), out.bytes,
                                json_string_value(wanted));
                equal++;
                scope_text_fini(&out);
        }
        print_message("# %zu equal, %zu refused by both, %zu not supported\n", equal, refused,
                unsupported);
        assert_true(equal > 400 && refused > 50 && unsupported < 5);
        json_decref(all);
}

static void test_errors_name_line_and_construct(void **state)
{
        (void)state;
        static const struct {
                const char *template, *words;
                enum scope_err err;
        } cases[] = {
                { "a\n{{ x|nosuch }}", "chat:2: filter 'nosuch'", SCOPE_ERR_UNSUPPORTED },
                { "a\n\n{% include 'x' %}", "chat:3: '{% include %}'", SCOPE_ERR_UNSUPPORTED },
                { "{% for x in y recursive %}{% endfor %}", "recursive", SCOPE_ERR_UNSUPPORTED },
                { "{{ 'a'.zfill(3) }}", "method 'zfill' of a string", SCOPE_ERR_UNSUPPORTED },
                { "{{ ''.__class__ }}", "attribute '__class__'", SCOPE_ERR_UNSUPPORTED },
                { "\n\n{{ raise_exception('no system role') }}",
                        "chat:3: raise_exception: no system role", SCOPE_ERR_REFUSED },
                { "{% if a %}\nb", "want endif", SCOPE_ERR_FORMAT },
                { "x\n{{ a.b.c }}", "chat:2: 'a' is undefined", SCOPE_ERR_FORMAT },
                { "{{ 9223372036854775807 + 1 }}", "64 bits", SCOPE_ERR_UNSUPPORTED },
                { "{{ 'É'|lower }}", "beyond ASCII", SCOPE_ERR_UNSUPPORTED },
                { "{{ '%s' % 1 }}", "'%' between a string and an integer", SCOPE_ERR_UNSUPPORTED },
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct scope_diag diag = { "" };
                assert_int_equal(run_words(cases[i].template, &diag), cases[i].err);
                if (strstr(diag.text, cases[i].words) == NULL)
                        fail_msg("%s: %s", cases[i].template, diag.text);
        }
}

static void test_everything_is_bounded(void **state)
{
        (void)state;
        static const char *const cases[] = {
                "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
                "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
                "{% set ns = namespace(a='x') %}{% for i in range(99) %}"
                "{% set ns.a = ns.a + ns.a %}{% endfor %}",
                "{% for a in range(99999) %}{{ 'x' * 1000 }}{% endfor %}",
                "{{ 'x' * 9999999999 }}",
                "{{ range(10000000)|length }}",
                "{% set ns = namespace() %}{% set ns.a = [ns] %}{{ ns.a == [[ns.a]] }}"
                "{% for i in range(999) %}{% set ns.a = [ns.a] %}{% endfor %}{{ ns.a }}",
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct scope_diag diag = { "" };
                enum scope_err err = run_words(cases[i], &diag);
                if (err != SCOPE_ERR_LIMIT && err != SCOPE_ERR_UNSUPPORTED)
                        fail_msg("%s: %s %s", cases[i], scope_err_name(err), diag.text);
        }
}

/* `count` times `piece`, then `end`. */
static enum scope_err run_deep(const char *piece, size_t count, const char *end)
{
        struct scope_text text = { 0 }, out = { 0 };
        struct scope_diag diag = { "" };
        json_t *none = json_object();
        for (size_t i = 0; i < count; i++)
                scope_text_string(&text, piece);
        scope_text_string(&text, end);
        enum scope_err err = run(text.bytes, text.count, none, &out, &diag);
        scope_text_fini(&text);
        scope_text_fini(&out);
        json_decref(none);
        return err;
}

static void test_deep_sources_are_refused(void **state)
{
        (void)state;
        assert_int_equal(run_deep("{% if 1 %}", 5000, ""), SCOPE_ERR_LIMIT);
        struct scope_text text = { 0 };
        scope_text_string(&text, "{{ ");
        for (int i = 0; i < 20000; i++)
                scope_text_string(&text, "not ");
        assert_int_equal(run_deep(text.bytes, 1, " }}"), SCOPE_ERR_LIMIT);
        scope_text_clear(&text);
        scope_text_string(&text, "{{ 1");
        for (int i = 0; i < 20000; i++)
                scope_text_string(&text, i % 2 == 0 ? " + 1" : "|abs");
        assert_int_equal(run_deep(text.bytes, 1, " }}"), SCOPE_ERR_LIMIT);
        scope_text_fini(&text);
        assert_int_equal(run_deep("x", SCOPE_JINJA_SOURCE_MAX + 1, ""), SCOPE_ERR_TOO_BIG);
}

static void test_one_template_serves_many_runs(void **state)
{
        (void)state;
        static const char template[] = "{% set x = n * 2 %}{{ x }}{{ strftime_now is defined }}";
        struct scope_jinja *jinja = NULL;
        struct scope_text out = { 0 };
        assert_ok(scope_jinja_compile("t", template, strlen(template), &jinja, NULL));
        for (int i = 0; i < 3; i++) {
                json_t *variables = json_pack("{s:i}", "n", i);
                assert_ok(scope_jinja_render(jinja, variables, i == 2 ? &now : NULL, &out, NULL));
                json_decref(variables);
        }
        assert_string_equal(out.bytes, "0False2False4True");
        scope_text_fini(&out);
        scope_jinja_destroy(jinja);
        scope_jinja_destroy(NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_recorded_cases_come_out_as_from_jinja2),
                cmocka_unit_test(test_errors_name_line_and_construct),
                cmocka_unit_test(test_everything_is_bounded),
                cmocka_unit_test(test_deep_sources_are_refused),
                cmocka_unit_test(test_one_template_serves_many_runs),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
