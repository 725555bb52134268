#include "tests/kernels/kernels_test.h"

#include "kernels/token_logprob.h"

enum { ROWS = 9 };

struct problem {
        struct scope_token_logprob_args args;
        const float *coef, *entropy_coef;
};

static double value(void *context)
{
        struct problem *p = context;
        assert_ok(scope_kernels_at(0)->token_logprob(&p->args, NULL));
        return inner(p->args.logp, p->coef, ROWS) + inner(p->args.entropy, p->entropy_coef, ROWS);
}

static void check_vocab(const struct scope_kernels *table, uint32_t vocab)
{
        const size_t count = (size_t)ROWS * vocab;
        struct arrays arrays = { .rng = scope_rng_make(vocab) };
        uint32_t targets[ROWS];
        float temperature[ROWS];
        for (uint32_t i = 0; i < ROWS; i++) {
                targets[i] = (i * 7 + vocab - 1) % vocab;
                temperature[i] = 0.5f + 0.25f * (float)(i % 4);
        }
        float *logits = arrays_random(&arrays, count, 2.0);
        struct problem p = { .coef = arrays_random(&arrays, ROWS, 1.0),
                .entropy_coef = arrays_random(&arrays, ROWS, 1.0),
                .args = { .logits = logits,
                        .targets = targets,
                        .temperature = temperature,
                        .logp = arrays_zeros(&arrays, ROWS),
                        .entropy = arrays_zeros(&arrays, ROWS),
                        .rows = ROWS,
                        .vocab = vocab } };
        (void)value(&p);
        struct scope_token_logprob_args args = p.args;
        args.logp = arrays_zeros(&arrays, ROWS);
        args.entropy = arrays_zeros(&arrays, ROWS);
        assert_ok(table->token_logprob(&args, NULL));
        assert_near(table, "logp", args.logp, p.args.logp, ROWS, 1e-6);
        assert_near(table, "entropy", args.entropy, p.args.entropy, ROWS, 2e-6);
        struct scope_token_logprob_backward_args backward = { .logits = arrays_copy(
                                                                      &arrays, logits, count),
                .targets = targets,
                .temperature = temperature,
                .coef = p.coef,
                .entropy_coef = p.entropy_coef,
                .rows = ROWS,
                .vocab = vocab };
        assert_ok(table->token_logprob_backward(&backward, NULL));
        assert_slope(table, "logits", logits, backward.logits, count, value, &p);
        arrays_free(&arrays);
}

/* A vocabulary in pieces of `piece` ids must give what it gives at once. */
static void check_pieces(const struct scope_kernels *table, uint32_t vocab, uint32_t piece)
{
        const size_t count = (size_t)ROWS * vocab;
        struct arrays arrays = { .rng = scope_rng_make(vocab + piece) };
        struct scope_token_partial partial[ROWS];
        uint32_t targets[ROWS];
        for (uint32_t i = 0; i < ROWS; i++)
                targets[i] = (i * 7 + vocab - 1) % vocab;
        float *logits = arrays_random(&arrays, count, 3.0), *cut = arrays_zeros(&arrays, count);
        float *temperature = arrays_random(&arrays, ROWS, 0.0);
        for (uint32_t i = 0; i < ROWS; i++)
                temperature[i] = 0.5f + 0.25f * (float)(i % 4);
        struct scope_token_logprob_args whole = { logits, targets, temperature,
                arrays_zeros(&arrays, ROWS), arrays_zeros(&arrays, ROWS), ROWS, vocab, NULL, 0 };
        struct scope_token_logprob_backward_args slope = { arrays_copy(&arrays, logits, count),
                targets, temperature, arrays_random(&arrays, ROWS, 1.0),
                arrays_random(&arrays, ROWS, 1.0), ROWS, vocab, NULL, 0 };
        struct scope_token_logprob_args part = whole;
        part.logp = arrays_zeros(&arrays, ROWS);
        part.entropy = arrays_zeros(&arrays, ROWS);
        part.partial = partial;
        part.logits = cut;
        struct scope_token_logprob_backward_args back = slope;
        back.logits = cut;
        back.partial = partial;
        assert_ok(scope_kernels_at(0)->token_logprob(&whole, NULL));
        assert_ok(scope_kernels_at(0)->token_logprob_backward(&slope, NULL));
        for (int pass = 0; pass < 2; pass++)
                for (uint32_t first = 0; first < vocab; first += piece) {
                        part.first = back.first = first;
                        part.vocab = back.vocab = vocab - first < piece ? vocab - first : piece;
                        for (uint32_t i = 0; i < ROWS; i++)
                                memcpy(cut + i * part.vocab, logits + i * vocab + first,
                                        part.vocab * sizeof(float));
                        if (pass == 0)
                                assert_ok(table->token_logprob(&part, NULL));
                        else
                                assert_ok(table->token_logprob_backward(&back, NULL));
                        for (uint32_t i = 0; i < ROWS && pass == 1; i++)
                                assert_near(table, "piece", cut + i * part.vocab,
                                        slope.logits + i * vocab + first, part.vocab, 2e-6);
                }
        assert_near(table, "logp", part.logp, whole.logp, ROWS, 1e-6);
        assert_near(table, "entropy", part.entropy, whole.entropy, ROWS, 3e-6);
        arrays_free(&arrays);
}

static void check_all_pieces(const struct scope_kernels *table)
{
        check_pieces(table, 21, 1);
        check_pieces(table, 21, 8);
        check_pieces(table, 1003, 256);
        check_pieces(table, 1003, 1003);
}

static void test_a_vocabulary_in_pieces_gives_the_same(void **state)
{
        (void)state;
        for_each_table(check_all_pieces);
}

static void check(const struct scope_kernels *table)
{
        const uint32_t vocabs[] = { 1, 2, 16, 21, 32, 1003 };
        for (size_t i = 0; i < sizeof vocabs / sizeof vocabs[0]; i++)
                check_vocab(table, vocabs[i]);
}

static void test_logprob_equals_the_reference_and_its_slope(void **state)
{
        (void)state;
        for_each_table(check);
}

static void check_certain(const struct scope_kernels *table)
{
        float logits[3] = { -1000.0f, 5.0f, 1000.0f }, temperature = 1.0f, logp, entropy;
        const uint32_t impossible = 0, certain = 2;
        struct scope_token_logprob_args args = { .logits = logits,
                .targets = &certain,
                .temperature = &temperature,
                .logp = &logp,
                .entropy = &entropy,
                .rows = 1,
                .vocab = 3 };
        assert_ok(table->token_logprob(&args, NULL));
        assert_close(logp, 0.0, 1e-6);
        assert_close(entropy, 0.0, 1e-6);
        args.targets = &impossible;
        assert_ok(table->token_logprob(&args, NULL));
        assert_close(logp, -2000.0, 1e-2);
}

static void test_certain_and_impossible_tokens_stay_finite(void **state)
{
        (void)state;
        for_each_table(check_certain);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_logprob_equals_the_reference_and_its_slope),
                cmocka_unit_test(test_a_vocabulary_in_pieces_gives_the_same),
                cmocka_unit_test(test_certain_and_impossible_tokens_stay_finite),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
