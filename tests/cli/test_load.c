#include "tests/test.h"

#include <fcntl.h>
#include <unistd.h>

#include "algorithm/select.h"
#include "base/file.h"
#include "cli/batch.h"
#include "cli/load.h"
#include "cli/options.h"

static struct scope_pipeline_options options;
static struct scope_config *config;
static char said[4096]; /* on stderr */

static void write_file(const char *path, const char *words)
{
        assert_ok(scope_file_commit(path, words, strlen(words), NULL));
}

/* Loads with stderr caught. */
static enum scope_exit load(const char *path, const char *set, const char *more)
{
        struct scope_arguments arguments = { .words = { path },
                .word_count = path != NULL,
                .sets = { set, more },
                .set_count = (set != NULL) + (more != NULL),
                .max_steps = -1,
                .resume = SCOPE_RESUME_NO };
        FILE *caught = tmpfile();
        int before = dup(STDERR_FILENO);
        assert_non_null(caught);
        assert_int_not_equal(dup2(fileno(caught), STDERR_FILENO), -1);
        enum scope_exit result = scope_load(&arguments, &options, &config);
        assert_int_not_equal(dup2(before, STDERR_FILENO), -1);
        (void)close(before);
        rewind(caught);
        said[fread(said, 1, sizeof said - 1, caught)] = 0;
        (void)fclose(caught);
        return result;
}

static void drop(void)
{
        scope_config_destroy(config);
        config = NULL;
}

static void test_the_shipped_configurations_pass(void **state)
{
        (void)state;
        assert_int_equal(
                load(test_source("configs/quickstart.toml"), NULL, NULL), SCOPE_EXIT_DONE);
        assert_string_equal(said, "");
        assert_int_equal(options.rollout.group_size, 8);
        assert_int_equal(options.placement_count, 0);
        drop();
        assert_int_equal(load(test_source("configs/smollm2.toml"), NULL, NULL), SCOPE_EXIT_DONE);
        assert_string_equal(said, "");
        drop();
        assert_int_equal(
                load(test_source("configs/qwen2.5-1.5b.toml"), NULL, NULL), SCOPE_EXIT_DONE);
        assert_string_equal(said, "");
        drop();
        assert_int_equal(load(test_source("configs/8xa100.toml"), NULL, NULL), SCOPE_EXIT_DONE);
        assert_int_equal(options.placement_count, 3);
        assert_string_equal(options.placement[0].role, "rollout");
        assert_int_equal(options.placement[0].count, 4);
        assert_string_equal(options.placement[2].device, "cuda:5-7");
        drop();
}

static void test_the_batch_table_multiplies_out(void **state)
{
        (void)state;
        struct scope_text text = { 0 };
        assert_int_equal(load(test_source("configs/8xa100.toml"), NULL, NULL), SCOPE_EXIT_DONE);
        scope_batch_print(config, &text);
        assert_non_null(strstr(text.bytes, "  128 prompts x 8 samples                        =    "
                                           "     1024  rollouts\n"));
        assert_non_null(strstr(text.bytes, "  1024 rollouts / (256 slots x 4 actors)         =    "
                                           "        1  waves of decoding\n"));
        scope_text_clear(&text);
        scope_json_open(&text, NULL, '{');
        scope_batch_json(config, &text);
        scope_json_close(&text, '}');
        assert_non_null(strstr(text.bytes, "\"rollouts_per_step\":1024,"));
        assert_non_null(strstr(text.bytes, "\"updates_per_step\":2,"));
        scope_text_fini(&text);
        drop();
}

static void test_an_arm_presets_what_the_user_did_not_set(void **state)
{
        (void)state;
        const char *quickstart = test_source("configs/quickstart.toml");
        assert_int_equal(load(quickstart, "scope.arm=grpo", NULL), SCOPE_EXIT_DONE);
        assert_int_equal(options.scope.select.repairs_per_group, 0);
        drop();
        assert_int_equal(load(quickstart, "scope.arm=grpo", "scope.repairs_per_group=1"),
                SCOPE_EXIT_DONE);
        assert_int_equal(options.scope.select.repairs_per_group, 1);
        drop();
        assert_int_equal(load(quickstart, "scope.arm=grop", NULL), SCOPE_EXIT_USAGE);
        assert_non_null(strstr(said, "--set scope.arm=grop: error: \"scope.arm\" is \"grop\", "
                                     "none of scope | grpo | replace"));
}

static void test_impossible_arithmetic_is_refused_at_its_line(void **state)
{
        (void)state;
        char path[] = "/tmp/scope_test_load_XXXXXX", expected[256];
        assert_int_not_equal(mkstemp(path), -1);
        write_file(path, "[rollout]\nprompts_per_step = 16\n[learner]\nminibatch_prompts = 5\n");
        assert_int_equal(load(path, NULL, NULL), SCOPE_EXIT_USAGE);
        (void)snprintf(expected, sizeof expected,
                "%s:4:21: error: rollout.prompts_per_step = 16 is not a multiple of "
                "learner.minibatch_prompts = 5\n",
                path);
        assert_string_equal(said, expected);
        assert_null(config);
        assert_int_equal(unlink(path), 0);
}

#define CARRIED                                                                                    \
        "`scope-runtime configs` lists those that the program carries, `configs copy NAME FILE` "  \
        "writes one\n"

static void test_files_that_are_not_there_are_a_precondition(void **state)
{
        (void)state;
        assert_int_equal(load("/nonexistent/x.toml", NULL, NULL), SCOPE_EXIT_PRECONDITION);
        assert_string_equal(said,
                "error: /nonexistent/x.toml: cannot open: No such file or directory\n" CARRIED);
        assert_int_equal(load(NULL, NULL, NULL), SCOPE_EXIT_USAGE);
        assert_string_equal(said, "error: no configuration file was named; " CARRIED);
}

static void test_name_and_max_steps_are_settings_like_others(void **state)
{
        (void)state;
        struct scope_arguments arguments = { .words = { test_source("configs/quickstart.toml") },
                .word_count = 1,
                .name = "other",
                .max_steps = 7,
                .resume = SCOPE_RESUME_NO };
        assert_int_equal(scope_load(&arguments, &options, &config), SCOPE_EXIT_DONE);
        assert_string_equal(options.run.name, "other");
        assert_int_equal(options.run.steps, 7);
        drop();
}

static void test_every_key_has_a_help_and_a_sound_default(void **state)
{
        (void)state;
        const struct scope_config_section *section = scope_load_sections(&options);
        assert_ok(scope_config_create(section, &config)); /* aborts on a default out of range */
        for (; section->name != NULL; section++) {
                for (const struct scope_option *row = section->rows; row->key != NULL; row++) {
                        assert_true(row->help != NULL && row->help[0] != 0);
                        assert_true(row->type != SCOPE_OPTION_TEXT || row->bytes > 1);
                }
        }
        drop();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_shipped_configurations_pass),
                cmocka_unit_test(test_the_batch_table_multiplies_out),
                cmocka_unit_test(test_an_arm_presets_what_the_user_did_not_set),
                cmocka_unit_test(test_impossible_arithmetic_is_refused_at_its_line),
                cmocka_unit_test(test_files_that_are_not_there_are_a_precondition),
                cmocka_unit_test(test_name_and_max_steps_are_settings_like_others),
                cmocka_unit_test(test_every_key_has_a_help_and_a_sound_default),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
