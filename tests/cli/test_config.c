#include "tests/test.h"

#include <unistd.h>

#include "cli/config.h"
#include "cli/config_value.h"
#include "cli/nearest.h"

/* A little program's configuration: every type, a table in two halves, a list. */
struct rollout {
        int64_t group_size, wait, memory;
        double temperature;
        bool greedy;
        char path[16];
        int mode;
};
struct extra {
        int64_t slots;
};
struct must {
        char name[8];
};
struct place {
        char role[16];
        int64_t count;
};

static const char *const modes[] = { "plain", "reweight", "mask", NULL };
static const struct scope_option rollout_rows[] = {
        SCOPE_INT_OPTION(rollout, group_size, "8", 2, 64, "rollouts a prompt"),
        SCOPE_DURATION_OPTION(rollout, wait, "30s", 0.001, 600, "longest wait"),
        SCOPE_SIZE_OPTION(rollout, memory, "16MiB", 4096, 0x1p32, "memory of the cache"),
        SCOPE_FLOAT_OPTION(rollout, temperature, "1.0", 0, 2, "sampling temperature"),
        SCOPE_BOOL_OPTION(rollout, greedy, "false", "take the likeliest token"),
        SCOPE_TEXT_OPTION(rollout, path, "a \"b\"", "where it is"),
        SCOPE_ENUM_OPTION(rollout, mode, "plain", modes, "how to train on old groups"),
        SCOPE_OPTION_END,
};
static const struct scope_option extra_rows[] = {
        SCOPE_INT_OPTION(extra, slots, "4", 1, 1e6, "sequences at once"),
        SCOPE_OPTION_END,
};
static const struct scope_option must_rows[] = {
        SCOPE_TEXT_OPTION(must, name, NULL, "what to call it"),
        SCOPE_OPTION_END,
};
static const struct scope_option place_rows[] = {
        SCOPE_TEXT_OPTION(place, role, "learner", "which actor"),
        SCOPE_INT_OPTION(place, count, "1", 1, 64, "how many"),
        SCOPE_OPTION_END,
};

static struct rollout rollout;
static struct extra extra;
static struct must must;
static struct place places[3];
static uint32_t place_count;
static const struct scope_config_section sections[] = {
        { .name = "rollout", .rows = rollout_rows, .base = &rollout, .help = "how to sample" },
        { .name = "rollout", .rows = extra_rows, .base = &extra, .help = "" },
        { .name = "run", .rows = must_rows, .base = &must, .help = "the run" },
        { .name = "placement",
                .rows = place_rows,
                .base = places,
                .count = &place_count,
                .count_max = 3,
                .stride = sizeof places[0],
                .help = "who runs where" },
        { .name = NULL },
};

static struct scope_config *fresh(void)
{
        struct scope_config *config;
        assert_ok(scope_config_create(sections, &config));
        return config;
}

static void expect(const char *document, const char *errors)
{
        struct scope_config *config = fresh();
        (void)scope_config_text(config, "x.toml", document, strlen(document));
        assert_string_equal(scope_config_errors(config), errors);
        scope_config_destroy(config);
}

static void expect_set(const char *assignment, const char *errors)
{
        struct scope_config *config = fresh();
        enum scope_err err = scope_config_set(config, assignment);
        assert_string_equal(scope_config_errors(config), errors);
        assert_true((err == SCOPE_OK) == (errors[0] == 0));
        scope_config_destroy(config);
}

static void test_defaults_come_from_the_rows(void **state)
{
        (void)state;
        struct scope_config *config = fresh();
        assert_int_equal(rollout.group_size, 8);
        assert_int_equal(rollout.wait, 30000000000);
        assert_int_equal(rollout.memory, 16 << 20);
        assert_true(rollout.temperature == 1.0);
        assert_false(rollout.greedy);
        assert_string_equal(rollout.path, "a \"b\"");
        assert_int_equal(rollout.mode, 0);
        assert_int_equal(extra.slots, 4);
        assert_int_equal(place_count, 0);
        scope_config_destroy(config);
        scope_config_destroy(NULL);
}

static void test_unknown_key_names_the_nearest_of_its_table(void **state)
{
        (void)state;
        expect("[rollout]\n\ngroupsize = 4\n",
                "x.toml:3:1: error: unknown key \"rollout.groupsize\"; did you mean "
                "\"rollout.group_size\"? (section [rollout])\n");
        expect("[rollout]\nsltos = 4\n",
                "x.toml:2:1: error: unknown key \"rollout.sltos\"; did you mean "
                "\"rollout.slots\"? (section [rollout])\n");
}

static void test_unknown_key_finds_its_name_in_another_table(void **state)
{
        (void)state;
        expect("[run]\n  group_size = 4\n",
                "x.toml:2:3: error: unknown key \"run.group_size\"; did you mean "
                "\"rollout.group_size\"? (section [rollout])\n");
        expect("temperatur = 4\n",
                "x.toml:1:1: error: unknown key \"temperatur\"; did you mean "
                "\"rollout.temperature\"? (section [rollout])\n");
}

static void test_unknown_key_far_from_all_says_where_the_list_is(void **state)
{
        (void)state;
        expect("run.zzzzzzzz = 1\n",
                "x.toml:1:5: error: unknown key \"run.zzzzzzzz\"; `scope-runtime configs --keys` "
                "lists what there is\n");
        expect("run.\"na.me\" = 1\n\"x[0].y\" = 2\n",
                "x.toml:1:5: error: unknown key \"run.\"na?me\"\"; `scope-runtime configs --keys` "
                "lists what there is\n"
                "x.toml:2:1: error: unknown key \"\"x?0??y\"\"; `scope-runtime configs --keys` "
                "lists what there is\n");
}

static void test_unknown_section_is_one_error(void **state)
{
        (void)state;
        expect("[rolout]\ngroup_size = 4\nslots = 3\n",
                "x.toml:1:2: error: unknown section [rolout]; did you mean [rollout]?\n");
        expect("[[nobody.knows]]\na = 1\n",
                "x.toml:1:3: error: unknown section [nobody]; `scope-runtime configs --keys` lists "
                "what there is\n"
                "x.toml:1:10: error: unknown section [nobody.knows]; `scope-runtime configs "
                "--keys` lists what there is\n");
}

static void test_wrong_type_says_what_is_wanted(void **state)
{
        (void)state;
        expect("[rollout]\ngroup_size = \"8\"\ntemperature = true\ngreedy = 1\npath = 7\n"
               "mode = 2\nmemory = 1979-05-27\n",
                "x.toml:2:14: error: \"rollout.group_size\" is \"8\", but wants an integer\n"
                "x.toml:3:15: error: \"rollout.temperature\" is true, but wants a number\n"
                "x.toml:4:10: error: \"rollout.greedy\" is 1, but wants true or false\n"
                "x.toml:5:8: error: \"rollout.path\" is 7, but wants text in quotes\n"
                "x.toml:6:8: error: \"rollout.mode\" is 2, but wants one of its names in quotes\n"
                "x.toml:7:10: error: \"rollout.memory\" is a date or time, but wants a size, as "
                "\"16MiB\" or a number of bytes\n");
        expect("rollout.group_size = 8.0\n",
                "x.toml:1:22: error: \"rollout.group_size\" is 8.0, but wants an integer\n");
        expect("rollout.wait = []\n",
                "x.toml:1:9: error: \"rollout.wait\" is an array, but wants duration\n");
        expect("rollout.wait = [1]\n",
                "x.toml:1:16: error: \"rollout.wait\" is an array, but wants a duration, as "
                "\"30s\" or a number of seconds\n");
}

static void test_out_of_range_shows_the_range_with_its_unit(void **state)
{
        (void)state;
        expect("[rollout]\ngroup_size = 65\ntemperature = -0.5\nwait = \"11m\"\nmemory = 1\n",
                "x.toml:2:14: error: \"rollout.group_size\" is 65, out of range 2 to 64 (rollouts "
                "a prompt)\n"
                "x.toml:3:15: error: \"rollout.temperature\" is -0.5, out of range 0 to 2 "
                "(sampling temperature)\n"
                "x.toml:4:8: error: \"rollout.wait\" is \"11m\", out of range 1ms to 10m (longest "
                "wait)\n"
                "x.toml:5:10: error: \"rollout.memory\" is 1, out of range 4KiB to 4GiB (memory of "
                "the cache)\n");
        expect("rollout.temperature = nan\n",
                "x.toml:1:23: error: \"rollout.temperature\" is nan, but wants a finite number\n");
}

static void test_bad_units_and_names_are_refused(void **state)
{
        (void)state;
        expect("[rollout]\nwait = \"30 sec\"\nmemory = \"4gb\"\nmode = \"reweigh\"\n",
                "x.toml:2:8: error: \"rollout.wait\" is \"30 sec\", not a number with ns, us, ms, "
                "s, m, h or d\n"
                "x.toml:3:10: error: \"rollout.memory\" is \"4gb\", not a number with B, kB, MB, "
                "GB, KiB, MiB, GiB or TiB\n"
                "x.toml:4:8: error: \"rollout.mode\" is \"reweigh\", none of plain | reweight | "
                "mask; did you mean \"reweight\"?\n");
        expect("rollout.wait = \"0x10s\"\n",
                "x.toml:1:16: error: \"rollout.wait\" is \"0x10s\", not a number with ns, us, ms, "
                "s, m, h or d\n");
        expect("rollout.wait = \"s\"\n",
                "x.toml:1:16: error: \"rollout.wait\" is \"s\", not a number with ns, us, ms, s, "
                "m, h or d\n");
}

static void test_text_too_long_or_with_a_nul_is_refused(void **state)
{
        (void)state;
        expect("rollout.path = \"0123456789abcdef\"\n",
                "x.toml:1:16: error: \"rollout.path\" is \"0123456789abcdef\", too long: 16 bytes, "
                "at most 15 fit\n");
        expect("rollout.path = \"a\\u0000b\"\n",
                "x.toml:1:16: error: \"rollout.path\" is \"a\", and holds a NUL\n");
}

static void test_values_and_tables_are_not_mixed_up(void **state)
{
        (void)state;
        expect("rollout = 3\n", "x.toml:1:1: error: [rollout] is a section, not a value\n");
        expect("[rollout.group_size]\na = 1\n",
                "x.toml:1:10: error: \"rollout.group_size\" is a table, but wants integer\n");
        expect("[placement]\nrole = \"x\"\n",
                "x.toml:1:2: error: [placement] is a list of tables: write [[placement]]\n");
        expect("[[run]]\nname = \"x\"\n",
                "x.toml:1:3: error: [run] is one table, not a list [[run]]\n");
        expect("[[placement]]\nrole = \"x\"\nrol = \"y\"\n",
                "x.toml:3:1: error: unknown key \"placement[0].rol\"; did you mean "
                "\"placement.role\"? (section [placement])\n");
        expect("[[placement]]\ninner = {role = \"y\"}\n",
                "x.toml:2:1: error: unknown section [placement[0].inner]; `scope-runtime configs "
                "--keys` lists what there is\n");
        expect("[[placement]]\n[[placement]]\n[[placement]]\n[[placement]]\nrole = \"x\"\n",
                "x.toml:1:3: error: 4 tables [[placement]], at most 3 fit\n");
}

static void test_syntax_error_has_a_place(void **state)
{
        (void)state;
        struct scope_config *config = fresh();
        const char *document = "[rollout]\ngroup_size = \n";
        assert_int_equal(scope_config_text(config, "x.toml", document, strlen(document)),
                SCOPE_ERR_FORMAT);
        assert_memory_equal(scope_config_errors(config), "x.toml:2:14: error: ", 20);
        scope_config_destroy(config);
        config = fresh();
        document = "[rollout]\nslots = 1\nslots = 2\n";
        assert_int_equal(scope_config_text(config, "x.toml", document, strlen(document)),
                SCOPE_ERR_FORMAT);
        assert_memory_equal(scope_config_errors(config), "x.toml:3:", 9);
        scope_config_destroy(config);
}

static void test_set_takes_toml_values_and_bare_words(void **state)
{
        (void)state;
        struct scope_config *config = fresh();
        assert_ok(scope_config_set(config, "rollout.group_size=16"));
        assert_ok(scope_config_set(config, "rollout.path=12"));
        assert_ok(scope_config_set(config, "run.name=\"a=b\""));
        assert_ok(scope_config_set(config, "rollout.mode=mask"));
        assert_ok(scope_config_set(config, "rollout.wait=1.5"));
        assert_ok(scope_config_set(config, "rollout.temperature=5e-1"));
        assert_ok(scope_config_set(config, "rollout.greedy=true"));
        assert_ok(scope_config_set(config, "placement=[{role = \"prm\", count = 2}, {}]"));
        assert_int_equal(rollout.group_size, 16);
        assert_string_equal(rollout.path, "12");
        assert_string_equal(must.name, "a=b");
        assert_int_equal(rollout.mode, 2);
        assert_int_equal(rollout.wait, 1500000000);
        assert_true(rollout.temperature == 0.5 && rollout.greedy);
        assert_int_equal(place_count, 2);
        assert_string_equal(places[0].role, "prm");
        assert_int_equal(places[0].count, 2);
        assert_string_equal(places[1].role, "learner");
        scope_config_destroy(config);
}

static void test_set_errors_name_the_argument(void **state)
{
        (void)state;
        expect_set("rollout.group_size",
                "--set rollout.group_size: error: not of the form section.key=value\n");
        expect_set("rollout..x=1",
                "--set rollout..x=1: error: not of the form section.key=value\n");
        expect_set("=1", "--set =1: error: not of the form section.key=value\n");
        expect_set("rollout.slot=1",
                "--set rollout.slot=1: error: unknown key \"rollout.slot\"; did you mean "
                "\"rollout.slots\"? (section [rollout])\n");
        expect_set("rollout.slots=many",
                "--set rollout.slots=many: error: \"rollout.slots\" is \"many\", but wants an "
                "integer\n");
        expect_set("rollout.path=\"x",
                "--set rollout.path=\"x: error: \"rollout.path\" is \"x, which is not a TOML "
                "value\n");
        expect_set("placement.role=x",
                "--set placement.role=x: error: [[placement]] is a list: set it whole, as "
                "'placement=[{key = value}, ...]'\n");
        expect_set("rollout={slots = 0}",
                "--set rollout={slots = 0}: error: \"rollout.slots\" is 0, out of range 1 to "
                "1000000 (sequences at once)\n");
        expect_set("rollout={slots = 2}", "");
}

static void test_later_sources_win_and_lists_replace(void **state)
{
        (void)state;
        struct scope_config *config = fresh();
        const char *one = "[rollout]\ngroup_size = 4\nslots = 9\n"
                          "[[placement]]\nrole = \"a\"\ncount = 5\n[[placement]]\nrole = \"b\"\n";
        const char *two = "rollout.group_size = 6\n[[placement]]\nrole = \"c\"\n";
        assert_ok(scope_config_text(config, "one.toml", one, strlen(one)));
        assert_ok(scope_config_text(config, "two.toml", two, strlen(two)));
        assert_int_equal(rollout.group_size, 6);
        assert_int_equal(extra.slots, 9);
        assert_int_equal(place_count, 1);
        assert_string_equal(places[0].role, "c");
        assert_int_equal(places[0].count, 1);
        const char *three = "placement = []\n";
        assert_ok(scope_config_text(config, "three.toml", three, strlen(three)));
        assert_int_equal(place_count, 0);
        scope_config_destroy(config);
}

static void test_a_refused_value_leaves_the_field_alone(void **state)
{
        (void)state;
        struct scope_config *config = fresh();
        assert_int_equal(scope_config_set(config, "rollout.group_size=1"), SCOPE_ERR_FORMAT);
        assert_int_equal(rollout.group_size, 8);
        assert_int_equal(scope_config_finish(config), SCOPE_ERR_FORMAT);
        scope_config_destroy(config);
}

static void test_what_must_be_given_is_asked_for_at_the_end(void **state)
{
        (void)state;
        struct scope_config *config = fresh();
        assert_int_equal(scope_config_finish(config), SCOPE_ERR_FORMAT);
        assert_string_equal(scope_config_errors(config),
                "default: error: \"run.name\" must be given (what to call it)\n");
        scope_config_destroy(config);
        config = fresh();
        assert_ok(scope_config_set(config, "run.name=x"));
        assert_ok(scope_config_finish(config));
        scope_config_destroy(config);
}

static void test_report_points_at_the_place_of_the_value(void **state)
{
        (void)state;
        struct scope_config *config = fresh();
        const char *document = "rollout.slots = 9\n";
        assert_ok(scope_config_text(config, "x.toml", document, strlen(document)));
        scope_config_report(config, "rollout.slots", "too few for group_size");
        scope_config_report(config, "rollout.wait", "too short");
        assert_string_equal(scope_config_errors(config),
                "x.toml:1:17: error: too few for group_size\n"
                "default: error: too short\n");
        double number = 0;
        assert_true(scope_config_number(config, "rollout.wait", &number) && number == 30);
        assert_false(scope_config_number(config, "rollout.path", &number));
        assert_false(scope_config_number(config, "rollout.nothing", &number));
        assert_false(scope_config_number(config, "placement[0].count", &number));
        assert_string_equal(scope_config_word(config, "rollout.path"), "a \"b\"");
        assert_null(scope_config_word(config, "rollout.wait"));
        scope_config_destroy(config);
}

static void test_preset_gives_way_to_files_and_set(void **state)
{
        (void)state;
        struct scope_config *config = fresh();
        struct scope_text text = { 0 };
        assert_ok(scope_config_set(config, "rollout.slots=9"));
        assert_ok(scope_config_preset(config, "rollout.slots", "5", "arm x"));
        assert_ok(scope_config_preset(config, "rollout.group_size", "5", "arm x"));
        assert_int_equal(extra.slots, 9);
        assert_int_equal(rollout.group_size, 5);
        scope_config_print(config, &text);
        assert_non_null(
                strstr(text.bytes, "group_size = 5                                  # arm x\n"));
        assert_int_equal(
                scope_config_preset(config, "rollout.none", "5", "arm x"), SCOPE_ERR_FORMAT);
        scope_text_fini(&text);
        scope_config_destroy(config);
}

static void test_many_errors_are_cut_at_twenty(void **state)
{
        (void)state;
        struct scope_config *config = fresh();
        for (int i = 0; i < 30; i++)
                (void)scope_config_set(config, "rollout.slots=0");
        const char *at = scope_config_errors(config);
        int lines = 0;
        for (; *at != 0; at++)
                lines += *at == '\n';
        assert_int_equal(lines, 21);
        scope_config_destroy(config);
}

static void test_missing_file_is_reported(void **state)
{
        (void)state;
        struct scope_config *config = fresh();
        assert_int_equal(scope_config_file(config, "/nonexistent/x.toml"), SCOPE_ERR_NOT_FOUND);
        assert_string_equal(scope_config_errors(config),
                "error: /nonexistent/x.toml: cannot open: No such file or directory\n");
        scope_config_destroy(config);
}

static void test_printed_toml_names_origins_and_reads_back(void **state)
{
        (void)state;
        struct scope_config *config = fresh();
        struct scope_text first = { 0 }, second = { 0 };
        const char *document = "[rollout]\ngroup_size = 4\npath = \"a\\nb\"\nwait = 0.25\n"
                               "[[placement]]\nrole = \"a\"\n";
        assert_ok(scope_config_text(config, "x.toml", document, strlen(document)));
        assert_ok(scope_config_set(config, "run.name=x"));
        scope_config_print(config, &first);
        assert_string_equal(first.bytes,
                "[rollout]\n"
                "group_size = 4                                  # x.toml:2:14\n"
                "wait = \"250ms\"                                  # x.toml:4:8\n"
                "memory = \"16MiB\"                                # default\n"
                "temperature = 1.0                               # default\n"
                "greedy = false                                  # default\n"
                "path = \"a\\nb\"                                   # x.toml:3:8\n"
                "mode = \"plain\"                                  # default\n"
                "slots = 4                                       # default\n"
                "\n[run]\n"
                "name = \"x\"                                      # --set run.name=x\n"
                "\n[[placement]]\n"
                "role = \"a\"                                      # x.toml:6:8\n"
                "count = 1                                       # default\n");
        scope_config_destroy(config);
        config = fresh();
        assert_ok(scope_config_text(config, "y.toml", first.bytes, first.count));
        assert_ok(scope_config_finish(config));
        assert_string_equal(rollout.path, "a\nb");
        assert_int_equal(rollout.wait, 250000000);
        scope_config_json(config, NULL, &second);
        assert_string_equal(second.bytes,
                "{\"rollout\":{\"group_size\":4,\"wait\":0.25,\"memory\":16777216,"
                "\"temperature\":1,\"greedy\":false,\"path\":\"a\\nb\",\"mode\":\"plain\","
                "\"slots\":4},\"run\":{\"name\":\"x\"},\"placement\":[{\"role\":\"a\","
                "\"count\":1}]}");
        scope_config_destroy(config);
        scope_text_fini(&first);
        scope_text_fini(&second);
}

static void test_durations_and_sizes_print_in_the_largest_whole_unit(void **state)
{
        (void)state;
        static const struct {
                const char *in, *out;
        } durations[] = { { "90s", "\"90s\"" }, { "120", "\"2m\"" }, { "0.001", "\"1ms\"" },
                { "\"1500us\"", "\"1500us\"" }, { "\"0.5 m\"", "\"30s\"" } },
          sizes[] = { { "4096", "\"4KiB\"" }, { "1000000", "\"1MB\"" }, { "5001", "\"5001B\"" },
                  { "1.5KiB", NULL }, { "1GiB", "\"1GiB\"" } };
        for (size_t i = 0; i < 5; i++) {
                struct scope_text text = { 0 };
                assert_ok(scope_option_parse(&rollout_rows[1], &rollout, durations[i].in, NULL));
                scope_option_print(&rollout_rows[1], &rollout, &text);
                assert_string_equal(text.bytes, durations[i].out);
                scope_text_clear(&text);
                enum scope_err err =
                        scope_option_parse(&rollout_rows[2], &rollout, sizes[i].in, NULL);
                scope_option_print(&rollout_rows[2], &rollout, &text);
                assert_int_equal(err, sizes[i].out != NULL ? SCOPE_OK : SCOPE_ERR_ARGUMENT);
                if (sizes[i].out != NULL)
                        assert_string_equal(text.bytes, sizes[i].out);
                scope_text_fini(&text);
        }
}

static void test_keys_are_listed_for_people_and_programs(void **state)
{
        (void)state;
        struct scope_text text = { 0 };
        scope_config_print_keys(sections, &text);
        assert_non_null(strstr(text.bytes, "[rollout]  how to sample\n"));
        assert_non_null(strstr(text.bytes,
                "  group_size            integer        8                rollouts a prompt; 2 to "
                "64\n"));
        assert_non_null(strstr(text.bytes, "\n[[placement]]  who runs where\n"));
        assert_null(strstr(strstr(text.bytes, "[rollout]") + 1, "[rollout]"));
        scope_text_clear(&text);
        scope_config_json_keys(sections, &text);
        assert_non_null(strstr(text.bytes, "{\"section\":\"run\",\"key\":\"name\",\"list\":false,"
                                           "\"type\":\"text\",\"help\":\"what to call it\"}"));
        scope_text_fini(&text);
}

static void test_edit_distance_counts_slips(void **state)
{
        (void)state;
        assert_int_equal(scope_edit_distance("", ""), 0);
        assert_int_equal(scope_edit_distance("abc", ""), 3);
        assert_int_equal(scope_edit_distance("abc", "acb"), 1);
        assert_int_equal(scope_edit_distance("kitten", "sitting"), 3);
        assert_int_equal(scope_edit_distance("groupsize", "group_size"), 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_defaults_come_from_the_rows),
                cmocka_unit_test(test_unknown_key_names_the_nearest_of_its_table),
                cmocka_unit_test(test_unknown_key_finds_its_name_in_another_table),
                cmocka_unit_test(test_unknown_key_far_from_all_says_where_the_list_is),
                cmocka_unit_test(test_unknown_section_is_one_error),
                cmocka_unit_test(test_wrong_type_says_what_is_wanted),
                cmocka_unit_test(test_out_of_range_shows_the_range_with_its_unit),
                cmocka_unit_test(test_bad_units_and_names_are_refused),
                cmocka_unit_test(test_text_too_long_or_with_a_nul_is_refused),
                cmocka_unit_test(test_values_and_tables_are_not_mixed_up),
                cmocka_unit_test(test_syntax_error_has_a_place),
                cmocka_unit_test(test_set_takes_toml_values_and_bare_words),
                cmocka_unit_test(test_set_errors_name_the_argument),
                cmocka_unit_test(test_later_sources_win_and_lists_replace),
                cmocka_unit_test(test_a_refused_value_leaves_the_field_alone),
                cmocka_unit_test(test_what_must_be_given_is_asked_for_at_the_end),
                cmocka_unit_test(test_report_points_at_the_place_of_the_value),
                cmocka_unit_test(test_preset_gives_way_to_files_and_set),
                cmocka_unit_test(test_many_errors_are_cut_at_twenty),
                cmocka_unit_test(test_missing_file_is_reported),
                cmocka_unit_test(test_printed_toml_names_origins_and_reads_back),
                cmocka_unit_test(test_durations_and_sizes_print_in_the_largest_whole_unit),
                cmocka_unit_test(test_keys_are_listed_for_people_and_programs),
                cmocka_unit_test(test_edit_distance_counts_slips),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
