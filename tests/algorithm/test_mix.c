/* The suffix as text and the mixed trajectory as tokens. */
#include "tests/test.h"

#include "algorithm/mix.h"
#include "base/arena.h"
#include "tests/algorithm/defaults.h"

static struct scope_string accepted;

static enum scope_refine_verdict check(const char *prefix, const char *text)
{
        SCOPE_DEFAULTS(grade, options);
        struct scope_suffix suffix = {
                .problem = string_from("What is 2+3+4?"), .gold = string_from("9"),
                .prefix = string_from(prefix), .text = string_from(text), .leak_filter = true
        };
        accepted = (struct scope_string){ NULL, 0 };
        return scope_suffix_check(&suffix, &options, &accepted);
}

static void check_accepted(const char *prefix, const char *text, const char *want)
{
        assert_int_equal(check(prefix, text), SCOPE_REFINE_ACCEPTED);
        assert_int_equal(accepted.bytes, strlen(want));
        assert_memory_equal(accepted.at, want, accepted.bytes);
}

static void test_good_suffix_is_accepted(void **state)
{
        (void)state;
        check_accepted("2+3=5\n\n", "5+4=9\n\n\\boxed{9}", "5+4=9\n\n\\boxed{9}");
        check_accepted("", "2+3=5\n\n5+4=9\n\n\\boxed{9}", "2+3=5\n\n5+4=9\n\n\\boxed{9}");
}

static void test_reasoning_and_outer_space_go(void **state)
{
        (void)state;
        check_accepted("2+3=5\n\n", "<think>hm \\boxed{1}</think>\n\n  so \\boxed{9}\n ",
                "so \\boxed{9}");
}

static void test_wrong_or_missing_or_double_box_is_wrong(void **state)
{
        (void)state;
        assert_int_equal(check("", "\\boxed{8}"), SCOPE_REFINE_WRONG_ANSWER);
        assert_int_equal(check("", "it is 9"), SCOPE_REFINE_WRONG_ANSWER);
        assert_int_equal(check("", "\\boxed{9} or \\boxed{9}"), SCOPE_REFINE_WRONG_ANSWER);
        assert_int_equal(check("", "\\boxed{9"), SCOPE_REFINE_WRONG_ANSWER);
}

static void test_refusal_marker_refuses(void **state)
{
        (void)state;
        assert_int_equal(check("2+3=6\n\n", SCOPE_REFUSAL_MARKER), SCOPE_REFINE_REFUSED);
        assert_int_equal(check("x", "I say [[prefix_is_wrong]]. \\boxed{9}"), SCOPE_REFINE_REFUSED);
}

static void test_nothing_is_empty(void **state)
{
        (void)state;
        assert_int_equal(check("x", " \n "), SCOPE_REFINE_EMPTY);
        assert_int_equal(check("x", "<think>\\boxed{9}</think> "), SCOPE_REFINE_EMPTY);
}

static void test_restated_prefix_is_stripped_once(void **state)
{
        (void)state;
        check_accepted("1+1=2\n\n2+3=5\n\n", "1+1=2\n\n2+3=5\n\n5+4=9 \\boxed{9}",
                "5+4=9 \\boxed{9}");
        check_accepted("1+1=2\n\n2+3=5\n\n", "2+3=5\n\n5+4=9 \\boxed{9}", "5+4=9 \\boxed{9}");
        assert_int_equal(check("2+3=5\n\n", "2+3=5\n\n2+3=5\n\n\\boxed{9}"), SCOPE_REFINE_REPEATS);
        assert_int_equal(check("2+3=5\n\n", "2+3=5\n"), SCOPE_REFINE_REPEATS);
        /* its first 32 bytes, then something else: it cannot be stripped */
        assert_int_equal(check("We add the first two numbers of the sum: 5.\n\n",
                                 "We add the first two numbers of the list. \\boxed{9}"),
                SCOPE_REFINE_REPEATS);
        check_accepted("2+3=5\n\n", "2+3=55 is not so. \\boxed{9}", "2+3=55 is not so. \\boxed{9}");
}

static void test_leaks_are_rejected_unless_the_problem_says_so(void **state)
{
        (void)state;
        const char *leak = "Since the Known Answer is 9, \\boxed{9}";
        assert_int_equal(check("x", leak), SCOPE_REFINE_LEAKS);
        SCOPE_DEFAULTS(grade, options);
        struct scope_suffix suffix = {
                .problem = string_from("Explain the known answer"), .gold = string_from("9"),
                .prefix = string_from("x"), .text = string_from(leak), .leak_filter = true
        };
        assert_int_equal(scope_suffix_check(&suffix, &options, &accepted), SCOPE_REFINE_ACCEPTED);
        suffix.problem = string_from("x");
        suffix.leak_filter = false;
        assert_int_equal(scope_suffix_check(&suffix, &options, &accepted), SCOPE_REFINE_ACCEPTED);
}

/* A failed rollout of six tokens in two versions. */
static const uint32_t tokens[6] = { 10, 11, 12, 13, 14, 15 }, prompt[2] = { 1, 2 };
static const float logp[6] = { -0.1f, -0.2f, -0.3f, -0.4f, -0.5f, -0.6f };
static const struct scope_segment segment = { 0, 6, SCOPE_SOURCE_POLICY, SCOPE_LOSS_POLICY, 1 };
static const struct scope_version_span spans[2] = { { 0, 2, 7, 1, 1 }, { 2, 4, 8, 1, 1 } };
static const uint32_t suffix_tokens[2] = { 20, 99 };

static struct scope_trajectory failed_make(void)
{
        return (struct scope_trajectory){
                .group = 5, .lease = 6, .sample = 3, .worker = 2, .parent = SCOPE_NO_PARENT,
                .finish = SCOPE_FINISH_LENGTH, .graded = true, .prompt = prompt, .prompt_count = 2,
                .tokens = tokens, .logp = logp, .token_count = 6, .segments = &segment,
                .segment_count = 1, .spans = spans, .span_count = 2, .text = string_from("abcdef")
        };
}

static struct scope_mix mix_make(const struct scope_trajectory *failed, uint32_t kept)
{
        return (struct scope_mix){
                .failed = failed, .kept_tokens = kept, .kept_bytes = kept, .suffix = suffix_tokens,
                .suffix_count = 2, .suffix_text = string_from("\\boxed{9}"), .response_max = 8
        };
}

static void test_mixed_is_prefix_then_teacher(void **state)
{
        (void)state;
        struct scope_arena arena;
        struct scope_trajectory failed = failed_make(), mixed;
        struct scope_mix mix = mix_make(&failed, 3);
        assert_ok(scope_arena_init(&arena, 4096));
        assert_ok(scope_mix_build(&mix, &arena, &mixed));
        assert_int_equal(mixed.token_count, 5);
        static const uint32_t want[5] = { 10, 11, 12, 20, 99 };
        assert_memory_equal(mixed.tokens, want, sizeof want);
        assert_memory_equal(mixed.logp, logp, 3 * sizeof *logp);
        assert_true(mixed.logp[3] == 0 && mixed.logp[4] == 0);
        assert_int_equal(mixed.segment_count, 2);
        assert_int_equal(mixed.segments[0].begin, 0);
        assert_int_equal(mixed.segments[0].count, 3);
        assert_int_equal(mixed.segments[0].loss, SCOPE_LOSS_POLICY);
        assert_int_equal(mixed.segments[1].begin, 3);
        assert_int_equal(mixed.segments[1].count, 2);
        assert_int_equal(mixed.segments[1].source, SCOPE_SOURCE_TEACHER);
        assert_int_equal(mixed.segments[1].loss, SCOPE_LOSS_LIKELIHOOD);
        assert_int_equal(mixed.span_count, 2);
        assert_int_equal(mixed.spans[1].count, 1);
        assert_int_equal(mixed.spans[1].version, 8);
        assert_true(mixed.graded && mixed.reward == 1);
        assert_int_equal(mixed.finish, SCOPE_FINISH_STOP);
        assert_int_equal(mixed.sample, 3);
        assert_int_equal(mixed.parent, 3);
        assert_int_equal(mixed.branch, 3);
        assert_int_equal(mixed.text.bytes, 12);
        assert_memory_equal(mixed.text.at, "abc\\boxed{9}", 12);
        scope_arena_fini(&arena);
}

static void test_nothing_kept_is_all_teacher(void **state)
{
        (void)state;
        struct scope_arena arena;
        struct scope_trajectory failed = failed_make(), mixed;
        struct scope_mix mix = mix_make(&failed, 0);
        assert_ok(scope_arena_init(&arena, 4096));
        assert_ok(scope_mix_build(&mix, &arena, &mixed));
        assert_int_equal(mixed.segment_count, 1);
        assert_int_equal(mixed.segments[0].source, SCOPE_SOURCE_TEACHER);
        assert_int_equal(mixed.segments[0].count, 2);
        assert_int_equal(mixed.span_count, 0);
        scope_arena_fini(&arena);
}

/* Wherever it is cut: segments cover the tokens, policy first, and spans the policy's. */
static void test_mask_is_ones_then_zeros(void **state)
{
        (void)state;
        struct scope_arena arena;
        struct scope_trajectory failed = failed_make(), mixed;
        assert_ok(scope_arena_init(&arena, 4096));
        for (uint32_t kept = 0; kept <= 6; kept++) {
                struct scope_mix mix = mix_make(&failed, kept);
                uint32_t policy = 0, at = 0, spanned = 0;
                assert_ok(scope_mix_build(&mix, &arena, &mixed));
                for (uint32_t i = 0; i < mixed.segment_count; i++) {
                        assert_int_equal(mixed.segments[i].begin, at);
                        at += mixed.segments[i].count;
                        assert_true(i == 0 || mixed.segments[i].loss == SCOPE_LOSS_LIKELIHOOD);
                        if (mixed.segments[i].loss == SCOPE_LOSS_POLICY)
                                policy += mixed.segments[i].count;
                }
                for (uint32_t i = 0; i < mixed.span_count; i++)
                        spanned += mixed.spans[i].count;
                assert_int_equal(at, mixed.token_count);
                assert_int_equal(policy, kept);
                assert_int_equal(spanned, kept);
                scope_arena_reset(&arena);
        }
        scope_arena_fini(&arena);
}

static void test_impossible_mixes_are_refused(void **state)
{
        (void)state;
        struct scope_arena arena;
        struct scope_trajectory failed = failed_make(), mixed = { .group = 77 };
        assert_ok(scope_arena_init(&arena, 256));
        struct scope_mix mix = mix_make(&failed, 3);
        mix.response_max = 4;
        assert_int_equal(scope_mix_build(&mix, &arena, &mixed), SCOPE_ERR_TOO_BIG);
        mix = mix_make(&failed, 7);
        mix.response_max = 100;
        assert_int_equal(scope_mix_build(&mix, &arena, &mixed), SCOPE_ERR_FORMAT);
        mix = mix_make(&failed, 3);
        mix.suffix_count = 0;
        assert_int_equal(scope_mix_build(&mix, &arena, &mixed), SCOPE_ERR_FORMAT);
        mix = mix_make(&failed, 3);
        failed.segment_count = 16;
        assert_int_equal(scope_mix_build(&mix, &arena, &mixed), SCOPE_ERR_LIMIT);
        failed.segment_count = 1;
        assert_int_equal(scope_mix_build(&mix, &arena, &mixed), SCOPE_ERR_MEMORY);
        assert_int_equal(mixed.group, 77);
        scope_arena_fini(&arena);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_good_suffix_is_accepted),
                cmocka_unit_test(test_reasoning_and_outer_space_go),
                cmocka_unit_test(test_wrong_or_missing_or_double_box_is_wrong),
                cmocka_unit_test(test_refusal_marker_refuses),
                cmocka_unit_test(test_nothing_is_empty),
                cmocka_unit_test(test_restated_prefix_is_stripped_once),
                cmocka_unit_test(test_leaks_are_rejected_unless_the_problem_says_so),
                cmocka_unit_test(test_mixed_is_prefix_then_teacher),
                cmocka_unit_test(test_nothing_kept_is_all_teacher),
                cmocka_unit_test(test_mask_is_ones_then_zeros),
                cmocka_unit_test(test_impossible_mixes_are_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
