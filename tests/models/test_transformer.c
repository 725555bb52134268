/* Gradients against finite differences on small random models, everything against recorded PyTorch
 * results. */
#include "tests/models/fixture.h"

#include "base/rng.h"
#include "kernels/kernels.h"
#include "models/transformer.h"

enum { SEQUENCES = 3, TOKENS = 24, WANTED = 15 };

/* A batch of three sequences (lengths 10, 1, 13), of which 15 predictions are wanted. */
struct problem {
        struct scope_layout *layout;
        struct scope_transformer *transformer;
        float *parameters, *gradient;
        uint32_t tokens[TOKENS], positions[TOKENS], begin[SEQUENCES + 1];
        uint32_t rows[WANTED], targets[WANTED];
        float temperature[WANTED], coef[WANTED], entropy_coef[WANTED], logp[WANTED],
                entropy[WANTED];
        struct scope_transformer_batch batch;
        struct scope_transformer_wanted wanted;
};

static const struct scope_model_config base_config = { .model_type = "llama",
        .layers = 2,
        .hidden = 20,
        .heads = 4,
        .kv_heads = 2,
        .head_dim = 6,
        .ffn = 18,
        .vocab = 13,
        .positions_max = 64,
        .rope_theta = 100.0f,
        .rms_eps = 1e-5f };

static void fill_random(struct problem *p)
{
        struct scope_rng rng = scope_rng_make(3);
        const struct scope_model_config *c = &p->layout->config;
        const uint32_t drawn = c->tokens_used != 0 ? c->tokens_used : c->vocab;
        const uint32_t lengths[SEQUENCES] = { 10, 1, 13 };
        for (uint32_t s = 0, at = 0; s < SEQUENCES; s++) {
                p->begin[s + 1] = p->begin[s] + lengths[s];
                for (uint32_t j = 0; j < lengths[s]; j++, at++) {
                        p->tokens[at] = (uint32_t)scope_rng_below(&rng, p->layout->config.vocab);
                        p->positions[at] = j;
                }
        }
        for (uint32_t i = 0; i < WANTED; i++) {
                p->rows[i] = i < 5 ? i + 4 : i + 9; /* with a gap */
                p->targets[i] = (uint32_t)scope_rng_below(&rng, drawn);
                p->temperature[i] = i % 2 == 0 ? 1.0f : 0.6f;
                p->coef[i] = (float)scope_rng_normal(&rng);
                p->entropy_coef[i] = i % 3 == 0 ? 0.3f : 0.0f;
        }
        for (size_t i = 0; i < p->layout->tensor_count; i++) {
                const struct scope_tensor *t = &p->layout->tensors[i];
                for (size_t j = 0; j < (size_t)t->rows * t->columns; j++)
                        p->parameters[t->offset + j] =
                                (float)((t->rank == 1 ? 1.0 : 0.0) + 0.3 * scope_rng_normal(&rng));
        }
}

static struct problem *problem_create(
        const struct scope_model_config *config, const struct scope_kernels *kernels)
{
        struct problem *p = calloc(1, sizeof *p);
        assert_non_null(p);
        assert_ok(scope_layout_create(config, &p->layout));
        p->parameters = calloc(p->layout->float_count, sizeof(float));
        p->gradient = calloc(p->layout->float_count, sizeof(float));
        assert_true(p->parameters != NULL && p->gradient != NULL);
        assert_ok(scope_transformer_create(
                &(struct scope_transformer_options){ p->layout, kernels, TOKENS, 16, true, false },
                &p->transformer));
        fill_random(p);
        p->batch = (struct scope_transformer_batch){ p->tokens, p->positions, p->begin, TOKENS,
                SEQUENCES };
        p->wanted = (struct scope_transformer_wanted){ p->rows, p->targets, p->temperature, p->logp,
                p->entropy, p->coef, p->entropy_coef, WANTED };
        return p;
}

static void problem_destroy(struct problem *p)
{
        scope_transformer_destroy(p->transformer);
        scope_layout_destroy(p->layout);
        free(p->parameters);
        free(p->gradient);
        free(p);
}

static double objective(struct problem *p)
{
        double sum = 0.0;
        assert_ok(scope_transformer_forward(p->transformer, p->parameters, &p->batch));
        assert_ok(scope_transformer_logprob(p->transformer, p->parameters, &p->wanted));
        for (uint32_t i = 0; i < WANTED; i++)
                sum += (double)p->coef[i] * p->logp[i] + (double)p->entropy_coef[i] * p->entropy[i];
        return sum;
}

/* d objective / d step along `direction`, by a four-point rule. */
static double slope(struct problem *p, const struct scope_tensor *t, const float *direction)
{
        const size_t count = (size_t)t->rows * t->columns;
        const double step = 4e-3, at[4] = { -2, -1, 1, 2 }, weight[4] = { 1, -8, 8, -1 };
        float *values = p->parameters + t->offset;
        float *saved = malloc(count * sizeof *saved);
        double sum = 0.0;
        assert_non_null(saved);
        memcpy(saved, values, count * sizeof *saved);
        for (int i = 0; i < 4; i++) {
                for (size_t j = 0; j < count; j++)
                        values[j] = (float)(saved[j] + at[i] * step * direction[j]);
                sum += weight[i] * objective(p);
        }
        memcpy(values, saved, count * sizeof *saved);
        free(saved);
        return sum / (12.0 * step);
}

/* Along random directions of each tensor: every element counts, noise is averaged. */
static void check_gradient(
        const struct scope_model_config *config, const struct scope_kernels *kernels)
{
        struct problem *p = problem_create(config, kernels);
        struct scope_rng rng = scope_rng_make(11);
        (void)objective(p); /* backward needs the activations at these parameters */
        assert_ok(scope_transformer_backward(
                p->transformer, p->parameters, &p->batch, &p->wanted, p->gradient));
        for (uint32_t i = 0; i < p->layout->tensor_count; i++) {
                const struct scope_tensor *t = &p->layout->tensors[i];
                const size_t count = (size_t)t->rows * t->columns;
                float *direction = malloc(count * sizeof *direction);
                assert_non_null(direction);
                for (int trial = 0; trial < 2; trial++) {
                        double expected = 0.0, length = 0.0;
                        for (size_t j = 0; j < count; j++) {
                                direction[j] =
                                        (float)(scope_rng_normal(&rng) / sqrt((double)count));
                                expected += (double)direction[j] * p->gradient[t->offset + j];
                                length += fabs((double)direction[j] * p->gradient[t->offset + j]);
                        }
                        double got = slope(p, t, direction);
                        if (fabs(got - expected) > 2e-3 * length + 2e-4)
                                fail_msg("%s %s %s: slope %.7g, gradient says %.7g", kernels->name,
                                        kernels->variant, t->name, got, expected);
                }
                free(direction);
        }
        problem_destroy(p);
}

static void check_all_tables(const struct scope_model_config *config)
{
        const struct scope_kernels *kernels;
        for (size_t i = 0; (kernels = scope_kernels_at(i)) != NULL; i++)
                check_gradient(config, kernels);
}

static void test_gradient_of_grouped_query_untied(void **state)
{
        (void)state;
        check_all_tables(&base_config);
}

static void test_gradient_of_tied_head(void **state)
{
        (void)state;
        struct scope_model_config config = base_config;
        config.tied = true;
        config.kv_heads = 4;
        check_all_tables(&config);
}

static void test_gradient_with_biases(void **state)
{
        (void)state;
        struct scope_model_config config = base_config;
        config.qkv_bias = config.o_bias = true;
        config.kv_heads = 1;
        check_all_tables(&config);
}

static void test_gradient_with_head_norms(void **state)
{
        (void)state;
        struct scope_model_config config = base_config;
        config.qk_norm = true;
        config.tied = true;
        config.head_dim = 18;
        check_all_tables(&config);
}

/* Padding rows of the vocabulary, as if they were not there: so does the sampler see them. */
static void test_gradient_without_padding_rows(void **state)
{
        (void)state;
        struct scope_model_config config = base_config;
        config.tokens_used = 9;
        check_all_tables(&config);
        struct problem *p = problem_create(&config, scope_kernels_pick(SCOPE_DEVICE_CPU));
        double sum = 0.0;
        (void)objective(p);
        assert_ok(scope_transformer_backward(
                p->transformer, p->parameters, &p->batch, &p->wanted, p->gradient));
        for (size_t i = 9 * (size_t)config.hidden; i < (size_t)config.vocab * config.hidden; i++)
                assert_true(p->gradient[p->layout->output + i] == 0.0f);
        for (uint32_t i = 0; i < 9; i++) { /* one prediction's whole distribution */
                p->rows[i] = 7;
                p->targets[i] = i;
                p->temperature[i] = 0.8f;
        }
        (void)objective(p);
        for (uint32_t i = 0; i < 9; i++)
                sum += exp(p->logp[i]);
        assert_close(sum, 1.0, 1e-5);
        problem_destroy(p);
}

static void test_padding_of_the_gradient_stays_zero(void **state)
{
        (void)state;
        struct problem *p = problem_create(&base_config, scope_kernels_pick(SCOPE_DEVICE_CPU));
        (void)objective(p);
        assert_ok(scope_transformer_backward(
                p->transformer, p->parameters, &p->batch, &p->wanted, p->gradient));
        for (uint32_t i = 0; i + 1 < p->layout->tensor_count; i++) {
                const struct scope_tensor *t = &p->layout->tensors[i];
                size_t at = t->offset + (size_t)t->rows * t->columns;
                for (; at < p->layout->tensors[i + 1].offset; at++)
                        assert_true(p->gradient[at] == 0.0f);
        }
        problem_destroy(p);
}

static void test_sequences_do_not_see_each_other(void **state)
{
        (void)state;
        struct problem *p = problem_create(&base_config, scope_kernels_pick(SCOPE_DEVICE_CPU));
        float before[WANTED];
        (void)objective(p);
        memcpy(before, p->logp, sizeof before);
        for (uint32_t i = 0; i < 11; i++) /* the first two sequences */
                p->tokens[i] = (p->tokens[i] + 1) % p->layout->config.vocab;
        (void)objective(p);
        for (uint32_t i = 5; i < WANTED; i++) /* predictions of the third */
                assert_close(p->logp[i], before[i], 1e-5);
        assert_true(fabsf(p->logp[0] - before[0]) > 1e-4f);
        problem_destroy(p);
}

static void test_a_later_token_changes_nothing_before_it(void **state)
{
        (void)state;
        struct problem *p = problem_create(&base_config, scope_kernels_pick(SCOPE_DEVICE_CPU));
        float before[WANTED];
        (void)objective(p);
        memcpy(before, p->logp, sizeof before);
        p->tokens[20] = (p->tokens[20] + 1) % p->layout->config.vocab;
        (void)objective(p);
        for (uint32_t i = 0; i < WANTED; i++)
                if (p->rows[i] < 20)
                        assert_close(p->logp[i], before[i], 1e-5);
        problem_destroy(p);
}

static void test_too_long_and_unknown_tokens_are_refused(void **state)
{
        (void)state;
        struct problem *p = problem_create(&base_config, scope_kernels_pick(SCOPE_DEVICE_CPU));
        p->tokens[3] = p->layout->config.vocab;
        assert_int_equal(scope_transformer_forward(p->transformer, p->parameters, &p->batch),
                SCOPE_ERR_SHAPE);
        p->tokens[3] = 0;
        p->begin[1] = p->begin[2] = 24; /* 24 > length_max 16 */
        assert_int_equal(scope_transformer_forward(p->transformer, p->parameters, &p->batch),
                SCOPE_ERR_SHAPE);
        problem_destroy(p);
}

static void check_torch(const char *name, const struct scope_kernels *kernels)
{
        struct fixture *f = fixture_load(name);
        struct scope_transformer *t = NULL;
        float *gradient = calloc(f->layout->float_count, sizeof(float));
        assert_non_null(gradient);
        assert_ok(scope_transformer_create(
                &(struct scope_transformer_options){ f->layout, kernels, 16, 16, true, false },
                &t));
        for (uint32_t i = 0; i < f->row_count; i++) { /* one row a batch */
                const struct scope_row *row = &f->rows[i];
                const json_t *recorded = json_array_get(json_object_get(f->root, "rows"), i);
                const uint32_t count = row->count - row->first, begin[2] = { 0, row->count - 1 };
                uint32_t positions[FIXTURE_LENGTH_MAX], rows[FIXTURE_LENGTH_MAX];
                float temperature[FIXTURE_LENGTH_MAX], entropy_coef[FIXTURE_LENGTH_MAX];
                for (uint32_t j = 0; j < FIXTURE_LENGTH_MAX; j++) {
                        positions[j] = j;
                        rows[j] = row->first - 1 + j;
                        temperature[j] = row->temperature;
                        entropy_coef[j] = row->entropy_coef;
                }
                const struct scope_transformer_batch batch = { row->tokens, positions, begin,
                        row->count - 1, 1 };
                const struct scope_transformer_wanted wanted = { rows, row->tokens + row->first,
                        temperature, row->logp, row->entropy, row->coef + row->first, entropy_coef,
                        count };
                assert_ok(scope_transformer_forward(t, f->parameters, &batch));
                assert_ok(scope_transformer_logprob(t, f->parameters, &wanted));
                for (uint32_t j = 0; j < count; j++) {
                        assert_close(row->logp[j], fixture_at(recorded, "logp", j), 5e-6);
                        assert_close(row->entropy[j], fixture_at(recorded, "entropy", j), 5e-6);
                }
                assert_ok(scope_transformer_backward(t, f->parameters, &batch, &wanted, gradient));
        }
        assert_close(fixture_gap(f, json_object_get(f->root, "gradients"), gradient, 1.0), 0, 2e-5);
        scope_transformer_destroy(t);
        free(gradient);
        fixture_destroy(f);
}

static void test_logprob_entropy_and_gradients_equal_torch(void **state)
{
        (void)state;
        const char *const names[] = { "llama_untied", "llama_tied", "qwen2" };
        const struct scope_kernels *kernels;
        for (size_t i = 0; (kernels = scope_kernels_at(i)) != NULL; i++)
                for (size_t j = 0; j < sizeof names / sizeof names[0]; j++)
                        check_torch(names[j], kernels);
}

static void test_reward_head_equals_torch(void **state)
{
        (void)state;
        struct fixture *f = fixture_load("qwen2_reward");
        const struct scope_kernels *kernels;
        for (size_t i = 0; (kernels = scope_kernels_at(i)) != NULL; i++) {
                struct scope_transformer *t = NULL;
                assert_ok(scope_transformer_create(
                        &(struct scope_transformer_options){
                                f->layout, kernels, 16, 16, false, false },
                        &t));
                for (uint32_t r = 0; r < f->row_count; r++) {
                        const json_t *recorded =
                                json_array_get(json_object_get(f->root, "rows"), r);
                        uint32_t positions[FIXTURE_LENGTH_MAX], begin[2] = { 0, f->rows[r].count };
                        float probability[FIXTURE_LENGTH_MAX];
                        for (uint32_t j = 0; j < FIXTURE_LENGTH_MAX; j++)
                                positions[j] = j;
                        assert_ok(scope_transformer_forward(t, f->parameters,
                                &(struct scope_transformer_batch){ f->rows[r].tokens, positions,
                                        begin, f->rows[r].count, 1 }));
                        assert_ok(scope_transformer_reward(t, f->parameters, probability));
                        for (uint32_t j = 0; j < f->rows[r].count; j++)
                                assert_close(probability[j], fixture_at(recorded, "probability", j),
                                        2e-6);
                }
                scope_transformer_destroy(t);
        }
        fixture_destroy(f);
}

static void test_reward_head_cannot_be_trained(void **state)
{
        (void)state;
        struct fixture *f = fixture_load("qwen2_reward");
        struct scope_transformer *t = NULL;
        assert_int_equal(scope_transformer_create(&(struct scope_transformer_options){ f->layout,
                                                          scope_kernels_at(0), 16, 16, true,
                                                          false },
                                 &t),
                SCOPE_ERR_UNSUPPORTED);
        fixture_destroy(f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_gradient_of_grouped_query_untied),
                cmocka_unit_test(test_gradient_of_tied_head),
                cmocka_unit_test(test_gradient_with_biases),
                cmocka_unit_test(test_gradient_with_head_norms),
                cmocka_unit_test(test_gradient_without_padding_rows),
                cmocka_unit_test(test_padding_of_the_gradient_stays_zero),
                cmocka_unit_test(test_sequences_do_not_see_each_other),
                cmocka_unit_test(test_a_later_token_changes_nothing_before_it),
                cmocka_unit_test(test_too_long_and_unknown_tokens_are_refused),
                cmocka_unit_test(test_logprob_entropy_and_gradients_equal_torch),
                cmocka_unit_test(test_reward_head_equals_torch),
                cmocka_unit_test(test_reward_head_cannot_be_trained),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
