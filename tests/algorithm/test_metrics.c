/* pass@k and the diversity figures. */
#include "tests/test.h"

#include <math.h>

#include "algorithm/metrics.h"
#include "base/arena.h"
#include "base/rng.h"
#include "tests/algorithm/defaults.h"

static void test_pass_at_vectors(void **state)
{
        (void)state;
        assert_close(scope_metrics_pass_at(10, 3, 1), 0.3, 1e-6);
        assert_close(scope_metrics_pass_at(10, 3, 5), 0.916667, 1e-6);
        assert_close(scope_metrics_pass_at(32, 4, 8), 0.704505, 1e-6);
        assert_true(scope_metrics_pass_at(16, 0, 4) == 0);
        assert_true(scope_metrics_pass_at(10, 8, 3) == 1);
        assert_true(scope_metrics_pass_at(8, 8, 8) == 1);
        assert_close(scope_metrics_pass_at(100000, 1, 1), 1e-5, 1e-12);
}

static void test_quantile(void **state)
{
        (void)state;
        double values[5] = { 5, 1, 4, 2, 3 };
        assert_true(scope_metrics_quantile(values, 5, 0.5) == 3);
        assert_close(scope_metrics_quantile(values, 5, 0.1), 1.4, 1e-12);
        assert_true(scope_metrics_quantile(values, 5, 1) == 5);
        assert_true(scope_metrics_quantile(values, 5, 0) == 1);
        assert_true(scope_metrics_quantile(NULL, 0, 0.5) == 0);
}

static struct scope_diversity diversity_of(const char *const *texts, uint32_t count)
{
        struct scope_arena arena;
        struct scope_string strings[8];
        struct scope_diversity diversity;
        for (uint32_t i = 0; i < count; i++)
                strings[i] = string_from(texts[i]);
        assert_ok(scope_arena_init(&arena, 1 << 16));
        double distinct_4 = -1;
        assert_ok(scope_metrics_diversity(strings, count, &arena, &diversity));
        scope_arena_reset(&arena);
        assert_ok(scope_metrics_distinct(strings, count, 4, &arena, &distinct_4));
        assert_close(distinct_4, diversity.distinct_4, 0);
        scope_arena_fini(&arena);
        return diversity;
}

static void test_equal_samples_have_no_diversity(void **state)
{
        (void)state;
        const char *const texts[2] = { "The cat sat, then left.", "the CAT sat , then left ." };
        struct scope_diversity diversity = diversity_of(texts, 2);
        assert_close(diversity.self_bleu, 1, 1e-12);
        assert_close(diversity.self_rouge, 1, 1e-12);
        assert_close(diversity.distinct_1, 0.5, 1e-12); /* 7 of 14 */
        assert_close(diversity.distinct_4, 0.5, 1e-12);
        assert_close(diversity.score, 0.25, 1e-12);
}

static void test_disjoint_samples_are_all_diversity(void **state)
{
        (void)state;
        const char *const texts[2] = { "a b c d e", "v w x y z" };
        struct scope_diversity diversity = diversity_of(texts, 2);
        assert_true(diversity.self_bleu == 0 && diversity.self_rouge == 0);
        assert_true(diversity.distinct_1 == 1 && diversity.distinct_4 == 1);
        assert_true(diversity.score == 1);
}

/* By hand. BLEU of "a b c d" against { "a b x d", "a b c" }: 1-grams 4 of 4, 2-grams 2 of 3,
 * 3-grams 1 of 2, 4-grams 0.1 of 1, the nearest length is its own. */
static void test_bleu_and_rouge_by_hand(void **state)
{
        (void)state;
        const char *const texts[3] = { "a b c d", "a b x d", "a b c" };
        struct scope_diversity diversity = diversity_of(texts, 3);
        double first = pow(1.0 * (2.0 / 3) * (1.0 / 2) * 0.1, 0.25);
        double second = pow(3.0 / 4 * (1.0 / 3) * (0.1 / 2) * 0.1, 0.25);
        double third = exp(1 - 4.0 / 3) * pow(1.0 * 1.0 * 1.0 * 0.1, 0.25);
        assert_close(diversity.self_bleu, (first + second + third) / 3, 1e-12);
        assert_close(diversity.self_rouge, (6.0 / 8 + 6.0 / 7 + 4.0 / 7) / 3, 1e-12);
        assert_close(diversity.distinct_1, 5.0 / 11, 1e-12);
        assert_close(diversity.distinct_4, 1, 1e-12);
}

/* Longest common subsequence of words of one letter, by the table that everybody knows. */
static uint32_t longest_common(const char *a, const char *b)
{
        static uint32_t table[301][301];
        uint32_t rows = (uint32_t)strlen(a), columns = (uint32_t)strlen(b);
        for (uint32_t i = 1; i <= rows; i++) {
                for (uint32_t j = 1; j <= columns; j++) {
                        uint32_t up = table[i - 1][j], left = table[i][j - 1];
                        table[i][j] = a[i - 1] == b[j - 1] ? table[i - 1][j - 1] + 1
                                      : up > left          ? up
                                                           : left;
                }
        }
        return table[rows][columns];
}

/* Of all lengths round the 64 words that are compared at once; every character is a word. */
static void test_rouge_of_long_samples(void **state)
{
        (void)state;
        struct scope_rng rng = scope_rng_make(5);
        for (int round = 0; round < 60; round++) {
                char text[2][301];
                const char *texts[2] = { text[0], text[1] };
                uint64_t kinds = 2 + scope_rng_below(&rng, 13);
                for (int side = 0; side < 2; side++) {
                        uint64_t length = 1 + scope_rng_below(&rng, round < 30 ? 130 : 300);
                        for (uint64_t i = 0; i < length; i++)
                                text[side][i] = "+-*/=<>()[]{},"[scope_rng_below(&rng, kinds)];
                        text[side][length] = '\0';
                }
                double lengths = (double)(strlen(text[0]) + strlen(text[1]));
                assert_close(diversity_of(texts, 2).self_rouge,
                        2.0 * longest_common(text[0], text[1]) / lengths, 1e-12);
        }
}

static void test_one_or_no_sample(void **state)
{
        (void)state;
        const char *const texts[1] = { "a b a" };
        struct scope_diversity diversity = diversity_of(texts, 1);
        assert_close(diversity.distinct_1, 2.0 / 3, 1e-12);
        assert_true(diversity.self_bleu == 0 && diversity.self_rouge == 0);
        diversity = diversity_of(texts, 0);
        assert_true(diversity.distinct_1 == 0);
}

static void test_small_scratch_is_refused(void **state)
{
        (void)state;
        struct scope_arena arena;
        struct scope_string text = string_from("a b c d e f g h i j k l m n o p q r s t u v w x y");
        struct scope_diversity diversity;
        assert_ok(scope_arena_init(&arena, 128));
        assert_int_equal(scope_metrics_diversity(&text, 1, &arena, &diversity), SCOPE_ERR_MEMORY);
        assert_int_equal(scope_metrics_diversity(&text, 65, &arena, &diversity),
                SCOPE_ERR_ARGUMENT);
        scope_arena_fini(&arena);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_pass_at_vectors),
                cmocka_unit_test(test_quantile),
                cmocka_unit_test(test_equal_samples_have_no_diversity),
                cmocka_unit_test(test_disjoint_samples_are_all_diversity),
                cmocka_unit_test(test_bleu_and_rouge_by_hand),
                cmocka_unit_test(test_rouge_of_long_samples),
                cmocka_unit_test(test_one_or_no_sample),
                cmocka_unit_test(test_small_scratch_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
