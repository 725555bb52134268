/* Tables against each other, draws against the distribution they should follow, and broken
 * logits. */
#include "tests/test.h"

#include <math.h>

#include "base/rng.h"
#include "kernels/kernels.h"
#include "kernels/token_sample.h"

enum { VOCAB = 150, USED = 141, ROWS = 200 };

static float logits[ROWS * VOCAB], scratch[3 * (VOCAB + 64)];
static float temperature[ROWS], top_p[ROWS], uniform[ROWS], logp[ROWS];
static uint32_t tokens[ROWS];

static void fill(double spread)
{
        struct scope_rng rng = scope_rng_make(6);
        for (size_t i = 0; i < ROWS * VOCAB; i++)
                logits[i] = (float)(spread * scope_rng_normal(&rng));
        for (size_t i = 0; i < ROWS; i++) {
                for (size_t j = USED; j < VOCAB; j++)
                        logits[i * VOCAB + j] = 1000; /* padding rows: must not be looked at */
                temperature[i] = 0.5f + scope_rng_at(7, i);
                top_p[i] = 1;
                uniform[i] = scope_rng_at(8, i);
        }
}

static enum scope_err run(const struct scope_kernels *table, uint32_t rows)
{
        struct scope_token_sample_args args = { .logits = logits,
                .temperature = temperature,
                .top_p = top_p,
                .uniform = uniform,
                .tokens = tokens,
                .logp = logp,
                .scratch = scratch,
                .rows = rows,
                .vocab = VOCAB,
                .used = USED };
        return table->token_sample(&args, NULL);
}

static double probability(size_t row, size_t token)
{
        const float *logit = logits + row * VOCAB;
        double total = 0, at = temperature[row] > 0 ? temperature[row] : 1;
        for (size_t i = 0; i < USED; i++)
                total += exp(logit[i] / at);
        return exp(logit[token] / at) / total;
}

/* Where the drawn token lies on the unit interval that the draw walked, and that logp is right. */
static void check_row(size_t row)
{
        double mass = 0, below = 0, mine = probability(row, tokens[row]);
        uint32_t order[USED];
        assert_true(tokens[row] < USED);
        assert_close(logp[row], log(mine), 2e-5);
        for (uint32_t i = 0; i < USED; i++)
                order[i] = i;
        for (uint32_t i = 0; top_p[row] < 1 && i < USED; i++)
                for (uint32_t j = i + 1; j < USED; j++)
                        if (logits[row * VOCAB + order[j]] > logits[row * VOCAB + order[i]]) {
                                uint32_t held = order[i];
                                order[i] = order[j];
                                order[j] = held;
                        }
        uint32_t count = 0, place = USED;
        for (; count < USED && (top_p[row] >= 1 || mass < top_p[row]); count++) {
                mass += probability(row, order[count]);
                if (order[count] == tokens[row])
                        place = count;
                if (place == USED)
                        below = mass;
        }
        assert_true(place < count);
        assert_true(uniform[row] * mass >= below - 1e-5);
        assert_true(uniform[row] * mass <= below + mine + 1e-5);
}

static void test_draws_lie_where_uniform_points(void **state)
{
        (void)state;
        const struct scope_kernels *table;
        for (size_t t = 0; (table = scope_kernels_at(t)) != NULL; t++)
                for (int spread = 0; spread <= 6; spread += 3) {
                        fill(spread);
                        assert_ok(run(table, ROWS));
                        for (size_t i = 0; i < ROWS; i++)
                                check_row(i);
                }
}

static void test_nucleus_is_the_fewest_that_reach_top_p(void **state)
{
        (void)state;
        static const float shares[] = { 0.01f, 0.5f, 0.9f, 0.999f };
        const struct scope_kernels *table;
        fill(3);
        for (size_t t = 0; (table = scope_kernels_at(t)) != NULL; t++)
                for (size_t s = 0; s < sizeof shares / sizeof *shares; s++) {
                        for (size_t i = 0; i < ROWS; i++)
                                top_p[i] = shares[s];
                        assert_ok(run(table, 20));
                        for (size_t i = 0; i < 20; i++)
                                check_row(i);
                }
}

static void test_greedy_takes_the_lowest_of_the_highest(void **state)
{
        (void)state;
        const struct scope_kernels *table;
        fill(1);
        temperature[0] = 0;
        logits[17] = logits[100] = 9;
        for (size_t t = 0; (table = scope_kernels_at(t)) != NULL; t++) {
                assert_ok(run(table, 1));
                assert_int_equal(tokens[0], 17);
                assert_close(logp[0], log(probability(0, 17)), 1e-5);
        }
}

static void test_broken_logits_are_an_error_never_a_token(void **state)
{
        (void)state;
        static const float broken[] = { NAN, INFINITY, -INFINITY };
        const struct scope_kernels *table;
        for (size_t t = 0; (table = scope_kernels_at(t)) != NULL; t++)
                for (size_t b = 0; b < 3; b++)
                        for (size_t at = 0; at < USED; at += 17) {
                                fill(1);
                                logits[at] = broken[b];
                                assert_int_equal(run(table, 1), SCOPE_ERR_INTERNAL);
                        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_draws_lie_where_uniform_points),
                cmocka_unit_test(test_nucleus_is_the_fewest_that_reach_top_p),
                cmocka_unit_test(test_greedy_takes_the_lowest_of_the_highest),
                cmocka_unit_test(test_broken_logits_are_an_error_never_a_token),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
