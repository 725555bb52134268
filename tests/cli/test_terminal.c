#include "tests/test.h"

#include <math.h>
#include <poll.h>
#include <pty.h>
#include <unistd.h>

#include "cli/terminal.h"
#include "cli/terminal_internal.h"

static const struct scope_terminal_style plain = { .width = 80 };
static const struct scope_terminal_style rich = { .unicode = true, .width = 80 };
static const struct scope_terminal_style colored = { .unicode = true, .color = true, .width = 80 };

static struct scope_text text;

static int clear(void **state)
{
        (void)state;
        scope_text_fini(&text);
        return 0;
}

static struct scope_terminal_words words(const char *string)
{
        return (struct scope_terminal_words){ string, strlen(string) };
}

static const char *clean(
        const struct scope_terminal_style *style, const char *string, unsigned columns)
{
        scope_text_clear(&text);
        scope_terminal_clean(&text, style, words(string), columns);
        return text.bytes != NULL ? text.bytes : "";
}

static void test_clean_leaves_no_control_or_hidden_character(void **state)
{
        (void)state;
        assert_string_equal(clean(&rich, "a\x1b[31mb\rc\td\ne", 80), "a\\x1b[31mb\\x0dc d⏎e");
        assert_string_equal(clean(&plain, "a\nb", 80), "a|b");
        assert_string_equal(clean(&rich, "x\u202Ey\u200Bz\uFEFF\xc2\x85", 80),
                "x\\u202ey\\u200bz\\ufeff\\u0085");
        assert_string_equal(clean(&rich, "\xff\xc3(\xe2\x82\xed\xa0\x80\xc0\xaf", 80),
                "\\xff\\xc3(\\xe2\\x82\\xed\\xa0\\x80\\xc0\\xaf");
        assert_string_equal(clean(&rich, "2\u00d73 \u6f22", 80), "2\u00d73 \u6f22");
        assert_string_equal(clean(&plain, "2\u00d73 \U0001f600", 80), "2\\u00d73 \\U0001f600");
        scope_text_clear(&text);
        scope_terminal_clean(&text, &rich, (struct scope_terminal_words){ "a\0b", 3 }, 80);
        assert_string_equal(text.bytes, "a\\x00b");
}

static void test_clean_cuts_at_the_width_with_an_ellipsis(void **state)
{
        (void)state;
        assert_string_equal(clean(&rich, "12345", 5), "12345");
        assert_string_equal(clean(&rich, "123456", 5), "1234…");
        assert_string_equal(clean(&plain, "123456", 5), "12...");
        assert_string_equal(clean(&rich, "\u6f22\u6f22\u6f22", 5), "\u6f22\u6f22…");
        assert_string_equal(clean(&rich, "\u6f22\u6f22\u6f22", 4), "\u6f22…");
        assert_string_equal(clean(&rich, "ab\x1b", 5), "ab…");
        assert_string_equal(clean(&plain, "1234", 2), "12");
        assert_string_equal(clean(&rich, "", 0), "");
}

static void test_times_and_counts_stay_short(void **state)
{
        (void)state;
        const double times[] = { 0.04, 8.4, 99.9, 125, 3780, 360000, NAN, -1 };
        const double counts[] = { 0, 999, 1000, 1900, 99900, 123456, 3.2e6, NAN };
        for (int i = 0; i < 8; i++) {
                scope_terminal_print_time(&text, times[i]);
                scope_text_string(&text, ";");
        }
        assert_string_equal(text.bytes, "0.0 s;8.4 s;99.9 s;2m05;1h03;100h00;-;-;");
        scope_text_clear(&text);
        for (int i = 0; i < 8; i++) {
                scope_terminal_print_count(&text, counts[i]);
                scope_text_string(&text, ";");
        }
        assert_string_equal(text.bytes, "0;999;1.0k;1.9k;99.9k;123k;3.2M;-;");
}

static const struct scope_terminal_step step = {
        .step = 42,
        .steps = 500,
        .reward = 0.61,
        .reward_change = 0.02,
        .cut = 0.38,
        .taught = 0.71,
        .length = 212,
        .entropy = 0.41,
        .stale_mean = 1.2,
        .stale_max = 3,
        .queue = 14,
        .queue_max = 64,
        .seconds = 8.4,
        .tokens_per_second = 1900,
        .remaining_seconds = 3780,
};

static void test_a_step_is_one_line(void **state)
{
        (void)state;
        scope_terminal_print_step(&text, &plain, &step);
        assert_string_equal(text.bytes,
                "step  42/500  reward 0.61 (+0.02)  cut 38%  teach 71% ok  len 212  ent 0.41  "
                "stale 1.2/3  q 14/64  8.4 s  1.9k tok/s  eta 1h03\n");
        scope_text_clear(&text);
        scope_terminal_print_step(&text, &colored, &step);
        assert_ptr_equal(strstr(text.bytes, "\x1b[1mstep  42/500\x1b[0m  reward 0.61 "
                                            "\x1b[32m(+0.02)\x1b[0m  cut 38%"),
                text.bytes);
        scope_text_clear(&text);
        scope_terminal_print_summary(&text, &step);
        assert_string_equal(text.bytes,
                "step=42 steps=500 reward=0.61 cut=0.38 taught=0.71 length=212 entropy=0.41 "
                "stale_mean=1.2 stale_max=3 seconds=8.4 tokens_per_second=1900 "
                "remaining_seconds=3780 queue=14 queue_max=64\n");
}

static void test_unknown_numbers_print_as_a_dash(void **state)
{
        (void)state;
        struct scope_terminal_step none = step;
        none.reward_change = none.cut = none.taught = none.remaining_seconds = NAN;
        scope_terminal_print_step(&text, &plain, &none);
        assert_string_equal(text.bytes,
                "step  42/500  reward 0.61  len 212  ent 0.41  stale 1.2/3  q 14/64  8.4 s  "
                "1.9k tok/s  eta -\n");
}

static void test_tables_line_up(void **state)
{
        (void)state;
        const struct scope_terminal_row rows[] = {
                { "model", "builtin:tiny, 225,696 parameters" },
                { "a step", "16 prompts x 8 samples = 128 rollouts" },
                { "né", "x" },
        };
        scope_terminal_print_table(&text, &plain, "quickstart", rows, 3);
        assert_string_equal(text.bytes,
                "quickstart\n"
                "  model   builtin:tiny, 225,696 parameters\n"
                "  a step  16 prompts x 8 samples = 128 rollouts\n"
                "  né      x\n");
}

static void test_the_final_table_tells_all_groups(void **state)
{
        (void)state;
        const struct scope_terminal_score scores[] = { { "pass@1", 0.1, 0.398 },
                { "pass@8", NAN, 0.81 } };
        const struct scope_terminal_actor actors[] = { { "rollout", 0.83 }, { "learner", 0.55 } };
        const struct scope_terminal_use uses[] = { { "backward", 0.41 }, { "decode", 0.3 } };
        const struct scope_terminal_final final = {
                .state = "done",
                .directory = "runs/quickstart",
                .steps = 200,
                .seconds = 125,
                .scores = scores,
                .score_count = 2,
                .admitted = 3210,
                .trained = 3200,
                .stale = 4,
                .filtered = 3,
                .failed = 2,
                .live = 1,
                .teacher_calls = 3000,
                .salvaged = 2950,
                .rejected = 50,
                .degraded = 7,
                .stale_mean = 0.25,
                .stale_max = 2,
                .actors = actors,
                .actor_count = 2,
                .uses = uses,
                .use_count = 2,
                .cores = 2,
                .decode_rate = 1234,
                .train_rate = 95.4,
                .decode_tokens = 24000,
                .train_tokens = 999,
                .peak_rss_bytes = 123000000,
        };
        scope_terminal_print_final(&text, &rich, &final);
        assert_string_equal(text.bytes,
                "done after 200 steps, 2m05\n"
                "  pass@1      0.100 → 0.398  (+0.298)\n"
                "  pass@8      - → 0.810\n"
                "  groups      3210 admitted = 3200 trained + 4 stale + 3 filtered + 2 failed + 1 "
                "live\n"
                "  teacher     3000 calls; groups: 2950 salvaged, 50 rejected, 7 degraded\n"
                "  staleness   mean 0.25, at most 2 versions\n"
                "  idle        rollout 17%, learner 45%\n"
                "  cores       2 x 2m05: backward 41%, decode 30%\n"
                "  speed       decode 1.2k tok/s (24.0k tokens), train 95 tok/s (999 tokens)\n"
                "  memory      123 MB at most\n"
                "  files       runs/quickstart\n");
}

static void test_the_live_line_fits_the_width(void **state)
{
        (void)state;
        const struct scope_terminal_actor actors[] = { { "rollout", 0.83 }, { "prm", 0.04 },
                { "teacher", 2.0 }, { "learner", NAN } };
        scope_terminal_print_live(&text, &plain, actors, 4, "");
        assert_string_equal(text.bytes, "rollout #####.  prm ......  teacher ######  learner "
                                        "......  ");
        for (unsigned width = 10; width < 80; width++) {
                struct scope_terminal_style style = { .unicode = true, .width = width };
                scope_text_clear(&text);
                scope_terminal_print_live(
                        &text, &style, actors, 4, "learner waits for queue since 12.3 s");
                assert_true(scope_terminal_columns(text.bytes != NULL ? text.bytes : "") < width);
        }
}

static const char student[] = "9*9=81\n\n81+1=82\n\n82-5=78\n\n78+8=86\n\n\\boxed{86}";
static const uint32_t ends[] = { 8, 17, 26, 35, 45 };
static const float scores[] = { 0.98f, 0.97f, 0.04f, 0.9f, 0.8f };

static struct scope_terminal_sample sample(void)
{
        return (struct scope_terminal_sample){
                .step = 50,
                .group = 812,
                .problem = words("(((9*9)+1)-5)+8="),
                .gold = words("85"),
                .student = words(student),
                .suffix = words("82-5=77\n\n77+8=85\n\n\\boxed{85}\n"),
                .step_ends = ends,
                .step_p = scores,
                .step_count = 5,
                .kept_steps = 2,
                .tau = 0.5,
                .repaired = true,
        };
}

static void test_a_repaired_rollout_shows_steps_cut_and_suffix(void **state)
{
        (void)state;
        struct scope_terminal_sample view = sample();
        scope_terminal_print_sample(&text, &rich, &view);
        assert_string_equal(text.bytes,
                "step 50, group 812\n"
                "  problem   (((9*9)+1)-5)+8=\n"
                "    ✓ 0.98   9*9=81\n"
                "    ✓ 0.97   81+1=82\n"
                "    ✗ 0.04   82-5=78\n"
                "    ✂ 2 of 5 steps kept, the teacher goes on\n"
                "    »        82-5=77\n"
                "    »        77+8=85\n"
                "    »        \\boxed{85}\n"
                "  verdict   student wrong, repaired; the answer is 85\n");
        scope_text_clear(&text);
        scope_terminal_print_sample(&text, &plain, &view);
        assert_non_null(strstr(text.bytes, "\n    + 0.98   9*9=81\n"));
        assert_non_null(strstr(text.bytes, "\n    x 0.04   82-5=78\n"));
        assert_non_null(strstr(text.bytes, "\n    8< 2 of 5 steps kept"));
        view.kept_steps = 1; /* the next one was right: it was not kept for what it holds */
        scope_text_clear(&text);
        scope_terminal_print_sample(&text, &plain, &view);
        assert_non_null(strstr(text.bytes, "8< 1 of 5 steps kept (the answer never is), the"));
}

static unsigned count_lines(void)
{
        unsigned lines = 0;
        for (const char *at = text.bytes; *at != 0; at++)
                lines += *at == '\n';
        return lines;
}

static void test_a_plain_rollout_has_no_cut(void **state)
{
        (void)state;
        struct scope_terminal_sample view = sample();
        view.repaired = false;
        view.step_p = NULL;
        view.suffix = words("");
        scope_terminal_print_sample(&text, &rich, &view);
        assert_string_equal(text.bytes,
                "step 50, group 812\n"
                "  problem   (((9*9)+1)-5)+8=\n"
                "             9*9=81\n"
                "    ⋮ 3 steps\n"
                "             \\boxed{86}\n"
                "  verdict   wrong; the answer is 85\n");
        scope_text_clear(&text);
        view.step_count = 0; /* nobody split it */
        scope_terminal_print_sample(&text, &rich, &view);
        assert_string_equal(text.bytes,
                "step 50, group 812\n"
                "  problem   (((9*9)+1)-5)+8=\n"
                "             9*9=81\n"
                "    ⋮ 3 lines\n"
                "             \\boxed{86}\n"
                "  verdict   wrong; the answer is 85\n");
}

static void test_a_rollout_takes_at_most_ten_lines(void **state)
{
        (void)state;
        enum { STEPS = 40 };
        char long_student[STEPS * 8 + 1], long_suffix[STEPS * 8 + 1];
        uint32_t long_ends[STEPS];
        float p[STEPS];
        for (uint32_t i = 0; i < STEPS; i++) {
                (void)snprintf(long_student + 8 * i, 9, "step%02u\n\n", i);
                (void)snprintf(long_suffix + 8 * i, 9, "more%02u\n\n", i);
                long_ends[i] = 8 * (i + 1);
                p[i] = 0.9f;
        }
        struct scope_terminal_sample view = sample();
        view.student = words(long_student);
        view.suffix = words(long_suffix);
        view.step_ends = long_ends;
        view.step_p = p;
        view.step_count = STEPS;
        for (uint32_t kept = 0; kept <= STEPS; kept++) {
                view.kept_steps = kept;
                scope_text_clear(&text);
                scope_terminal_print_sample(&text, &rich, &view);
                assert_in_range(count_lines(), 6, 10);
        }
        view.suffix = view.student = words("\n\n");
        view.step_count = view.kept_steps = 0;
        scope_text_clear(&text);
        scope_terminal_print_sample(&text, &rich, &view);
        assert_int_equal(count_lines(), 4);
}

static void test_curves_stand_side_by_side_on_one_scale(void **state)
{
        (void)state;
        const double x[] = { 0, 50, 100, 150, 200 };
        const double scope_y[] = { 0.087, 0.239, 0.273, 0.32, 0.398 };
        const double grpo_y[] = { 0.087, 0.116, 0.188, 0.212, 0.27 };
        const struct scope_terminal_curve left = { "SCOPE", x, scope_y, 5 };
        const struct scope_terminal_curve right = { "GRPO", x, grpo_y, 5 };
        const struct scope_terminal_style narrow = { .width = 60 };
        scope_terminal_print_curves(&text, &narrow, "pass@1", &left, &right);
        assert_string_equal(text.bytes,
                "pass@1    SCOPE  0.087 -> 0.398     GRPO  0.087 -> 0.270\n"
                "   0.40 |                   ..##   |                       \n"
                "        |           ....########   |                       \n"
                "        |    .##################   |               .....###\n"
                "   0.20 |  .####################   |       ...#############\n"
                "        |.######################   |...####################\n"
                "        |#######################   |#######################\n"
                "         0                   200    0                   200\n");
        scope_text_clear(&text);
        scope_terminal_print_curves(&text, &rich, "pass@1", &left, &right);
        assert_non_null(strstr(text.bytes, "pass@1    SCOPE  0.087 → 0.398                GRPO  "
                                           "0.087 → 0.270\n"
                                           "   0.40 │                           ▂▃▄▅▆█   │"));
}

static void test_curves_accept_one_point_and_none(void **state)
{
        (void)state;
        const double x[] = { 0 }, y[] = { 0 };
        const struct scope_terminal_curve left = { "SCOPE", x, y, 1 };
        const struct scope_terminal_curve right = { "GRPO", NULL, NULL, 0 };
        scope_terminal_print_curves(&text, &plain, "all-wrong", &left, &right);
        assert_int_equal(count_lines(), 8);
        assert_false(text.failed);
}

/* What went through a pseudo terminal, or through a pipe. */
/* All there is: a pseudo terminal hands its bytes over piece by piece. */
static size_t drain(int fd, char *bytes, size_t capacity)
{
        struct pollfd wait = { .fd = fd, .events = POLLIN };
        size_t count = 0;
        while (count + 1 < capacity && poll(&wait, 1, 200) == 1 && (wait.revents & POLLIN) != 0) {
                ssize_t got = read(fd, bytes + count, capacity - 1 - count);
                assert_true(got >= 0);
                if (got == 0)
                        break;
                count += (size_t)got;
        }
        bytes[count] = 0;
        return count;
}

static void test_a_tty_keeps_the_live_line_last(void **state)
{
        (void)state;
        int master, slave;
        char bytes[512];
        struct scope_terminal terminal;
        if (openpty(&master, &slave, NULL, NULL, NULL) != 0)
                test_skip("no pseudo terminals here");
        FILE *out = fdopen(slave, "w");
        assert_int_equal(setenv("TERM", "xterm", 1), 0);
        assert_int_equal(setenv("LC_ALL", "C.UTF-8", 1), 0);
        assert_int_equal(setenv("COLUMNS", "100", 1), 0);
        assert_int_equal(unsetenv("NO_COLOR"), 0);
        scope_terminal_init(&terminal, out);
        assert_true(terminal.tty && terminal.style.color && terminal.style.unicode);
        assert_int_equal(terminal.style.width, 100);
        scope_terminal_live(&terminal, "busy");
        scope_terminal_live(&terminal, "busy");
        scope_terminal_show(&terminal, "a line\n");
        scope_terminal_fini(&terminal);
        (void)drain(master, bytes, sizeof bytes);
        assert_string_equal(bytes, "\r\x1b[Kbusy\r\x1b[Ka line\r\nbusy\r\x1b[K");
        assert_int_equal(setenv("NO_COLOR", "1", 1), 0);
        scope_terminal_init(&terminal, out);
        assert_true(terminal.tty && !terminal.style.color);
        scope_terminal_fini(&terminal);
        assert_int_equal(setenv("TERM", "dumb", 1), 0);
        scope_terminal_init(&terminal, out);
        assert_false(terminal.tty || terminal.style.color);
        scope_terminal_fini(&terminal);
        (void)fclose(out);
        (void)close(master);
}

static void test_a_pipe_gets_no_escapes(void **state)
{
        (void)state;
        int ends_of_pipe[2];
        char bytes[512];
        struct scope_terminal terminal;
        assert_int_equal(pipe(ends_of_pipe), 0);
        FILE *out = fdopen(ends_of_pipe[1], "w");
        assert_int_equal(setenv("LC_ALL", "C", 1), 0);
        scope_terminal_init(&terminal, out);
        assert_false(terminal.tty || terminal.style.color || terminal.style.unicode);
        scope_terminal_live(&terminal, "busy");
        scope_terminal_show(&terminal, "a line\n");
        scope_terminal_fini(&terminal);
        scope_terminal_fini(&terminal);
        (void)fclose(out);
        (void)drain(ends_of_pipe[0], bytes, sizeof bytes);
        assert_string_equal(bytes, "a line\n");
        (void)close(ends_of_pipe[0]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_clean_leaves_no_control_or_hidden_character),
                cmocka_unit_test(test_clean_cuts_at_the_width_with_an_ellipsis),
                cmocka_unit_test_teardown(test_times_and_counts_stay_short, clear),
                cmocka_unit_test_teardown(test_a_step_is_one_line, clear),
                cmocka_unit_test_teardown(test_unknown_numbers_print_as_a_dash, clear),
                cmocka_unit_test_teardown(test_tables_line_up, clear),
                cmocka_unit_test_teardown(test_the_final_table_tells_all_groups, clear),
                cmocka_unit_test_teardown(test_the_live_line_fits_the_width, clear),
                cmocka_unit_test_teardown(
                        test_a_repaired_rollout_shows_steps_cut_and_suffix, clear),
                cmocka_unit_test_teardown(test_a_plain_rollout_has_no_cut, clear),
                cmocka_unit_test_teardown(test_a_rollout_takes_at_most_ten_lines, clear),
                cmocka_unit_test_teardown(test_curves_stand_side_by_side_on_one_scale, clear),
                cmocka_unit_test_teardown(test_curves_accept_one_point_and_none, clear),
                cmocka_unit_test(test_a_tty_keeps_the_live_line_last),
                cmocka_unit_test(test_a_pipe_gets_no_escapes),
        };
        return cmocka_run_group_tests(tests, NULL, clear);
}
