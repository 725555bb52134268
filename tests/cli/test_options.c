#include "tests/test.h"

#include "cli/options.h"

static struct flags {
        char seeds[16];
        int64_t n;
        bool list;
} flags;
static const struct scope_option flag_rows[] = {
        SCOPE_TEXT_OPTION(flags, seeds, "0:10", "which seeds, from A to B"),
        SCOPE_INT_OPTION(flags, n, "3", 1, 100, "how many"),
        SCOPE_BOOL_OPTION(flags, list, "false", "only list"),
        SCOPE_OPTION_END,
};
static const struct scope_command run = { .name = "run", .words = "CONFIG...", .help = "train",
        .takes = SCOPE_TAKES_ALL };
static const struct scope_command check = { .name = "check", .words = "CONFIG...", .help = "c",
        .takes = SCOPE_TAKES_CONFIG };
static const struct scope_command arms = {
        .name = "bench arms", .words = "CONFIG", .help = "b", .flags = flag_rows, .base = &flags
};
static const struct scope_command overlap = { .name = "bench overlap", .words = "", .help = "o" };
static const struct scope_command *const commands[] = { &run, &check, &arms, &overlap, NULL };

static struct scope_arguments arguments;

/* Splits `line` at spaces and parses it. */
static const char *parse(const char *line)
{
        static char copy[512];
        static struct scope_diag diag;
        static char program[] = "scope-runtime";
        char *argv[40] = { program };
        int argc = 1;
        (void)snprintf(copy, sizeof copy, "%s", line);
        for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
                argv[argc++] = word;
        diag.text[0] = 0;
        enum scope_err err = scope_arguments_parse(argc, argv, commands, &arguments, &diag);
        assert_true((err == SCOPE_OK) == (diag.text[0] == 0));
        return diag.text;
}

static void test_a_configuration_alone_means_run(void **state)
{
        (void)state;
        assert_string_equal(parse("a.toml b.toml --set x.y=1 --resume --set=x.z=a=b"), "");
        assert_ptr_equal(arguments.command, &run);
        assert_int_equal(arguments.word_count, 2);
        assert_string_equal(arguments.words[1], "b.toml");
        assert_int_equal(arguments.set_count, 2);
        assert_string_equal(arguments.sets[1], "x.z=a=b");
        assert_int_equal(arguments.resume, SCOPE_RESUME_LATEST);
        assert_int_equal(arguments.max_steps, -1);
        assert_string_equal(parse("--max-steps 5 --resume=40 --name=n configs/a --json -q"), "");
        assert_ptr_equal(arguments.command, &run);
        assert_int_equal(arguments.resume, 40);
        assert_int_equal(arguments.max_steps, 5);
        assert_string_equal(arguments.name, "n");
        assert_true(arguments.json && arguments.quiet && !arguments.verbose);
}

static void test_commands_may_have_two_words_and_own_flags(void **state)
{
        (void)state;
        assert_string_equal(parse("bench arms a.toml --seeds 1:2 --list -n 7"), "");
        assert_ptr_equal(arguments.command, &arms);
        assert_int_equal(arguments.word_count, 1);
        assert_string_equal(flags.seeds, "1:2");
        assert_true(flags.list);
        assert_int_equal(flags.n, 7);
        assert_string_equal(parse("bench arms"), "");
        assert_string_equal(flags.seeds, "0:10"); /* defaults again */
        assert_false(flags.list);
        assert_int_equal(flags.n, 3);
        assert_string_equal(parse("bench overlap"), "");
        assert_ptr_equal(arguments.command, &overlap);
}

static void test_an_option_without_effect_is_refused(void **state)
{
        (void)state;
        struct scope_text help = { 0 };
        assert_string_equal(parse("check a.toml --set a.b=1 --name n --json"), "");
        assert_non_null(strstr(parse("check a.toml --resume"), "\"check\" has no use for --res"));
        assert_non_null(strstr(parse("--resume check a.toml"), "has no use for --resume"));
        assert_string_equal(parse("-q check a.toml"), "");
        assert_string_equal(parse("check --resume --help"), "");
        scope_arguments_help(commands, &check, &help);
        assert_non_null(strstr(help.bytes, "--name"));
        assert_null(strstr(help.bytes, "--resume"));
        scope_text_fini(&help);
}

static void test_nothing_and_help_need_no_command(void **state)
{
        (void)state;
        assert_string_equal(parse(""), "");
        assert_null(arguments.command);
        assert_string_equal(parse("--help"), "");
        assert_true(arguments.help);
        assert_string_equal(parse("check -h"), "");
        assert_true(arguments.help);
        assert_ptr_equal(arguments.command, &check);
        assert_string_equal(parse("check -- --name"), "");
        assert_string_equal(arguments.words[0], "--name");
        assert_string_equal(parse("check -"), "");
        assert_string_equal(arguments.words[0], "-");
}

static void test_errors_name_what_was_meant(void **state)
{
        (void)state;
        assert_string_equal(parse("chekc"), "unknown command \"chekc\"; did you mean \"check\"?");
        assert_string_equal(parse("ch"), "unknown command \"ch\"; did you mean \"check\"?");
        assert_string_equal(parse("xyzzy"),
                "unknown command \"xyzzy\"; `scope-runtime --help` lists what there is");
        assert_string_equal(parse("bench"), "unknown command \"bench\"; did you mean \"bench "
                                            "arms\"?");
        assert_string_equal(parse("a.toml --dryrun"),
                "unknown option \"--dryrun\"; did you mean \"--dry-run\"?");
        assert_string_equal(parse("bench arms --sedes=4:5"),
                "unknown option \"--sedes\"; did you mean \"--seeds\"?");
        assert_string_equal(parse("check --frobnicate"),
                "unknown option \"--frobnicate\"; `scope-runtime check --help` lists what there "
                "is");
}

static void test_values_are_checked(void **state)
{
        (void)state;
        assert_string_equal(parse("a.toml --name"), "--name wants a value");
        assert_string_equal(parse("a.toml --json=1"), "--json takes no value");
        assert_string_equal(parse("a.toml --max-steps -4"),
                "--max-steps wants a whole number from 0 on, not \"-4\"");
        assert_string_equal(parse("a.toml --resume=last"),
                "--resume wants a whole number from 0 on, not \"last\"");
        assert_string_equal(parse("bench arms -n 0"), "-n is 0, out of range 1 to 100 (how many)");
        assert_string_equal(parse("bench arms -n"), "-n wants a value");
        assert_string_equal(parse("bench arms --list=2"),
                "--list is 2, but wants true or false");
}

static void test_help_lists_commands_and_flags(void **state)
{
        (void)state;
        struct scope_text text = { 0 };
        scope_arguments_help(commands, NULL, &text);
        assert_non_null(strstr(text.bytes, "\n  bench arms             b\n"));
        assert_non_null(strstr(text.bytes, "\n  --resume[=STEP]        go on"));
        assert_non_null(strstr(text.bytes, "\n  -h, --help             this"));
        scope_text_clear(&text);
        scope_arguments_help(commands, &arms, &text);
        assert_memory_equal(text.bytes, "scope-runtime bench arms CONFIG\nb\n", 34);
        assert_non_null(
                strstr(text.bytes, "\n  --seeds VALUE          which seeds, from A to B (default "
                                   "0:10)\n"));
        assert_non_null(strstr(
                text.bytes, "\n  -n VALUE               how many; 1 to 100 (default 3)\n"));
        scope_text_fini(&text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_configuration_alone_means_run),
                cmocka_unit_test(test_commands_may_have_two_words_and_own_flags),
                cmocka_unit_test(test_an_option_without_effect_is_refused),
                cmocka_unit_test(test_nothing_and_help_need_no_command),
                cmocka_unit_test(test_errors_name_what_was_meant),
                cmocka_unit_test(test_values_are_checked),
                cmocka_unit_test(test_help_lists_commands_and_flags),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
