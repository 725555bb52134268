/* What training may choose or cut must not show: activations kept or computed again, a vocabulary
 * whole or in pieces. */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "models/comm.h"
#include "models/config.h"
#include "models/trainer.h"
#include "tests/test.h"

enum { ROWS = 3, LENGTH = 24, MICROBATCH_MAX = 512 };

/* One step of a trainer on random rows, and what came of it. */
struct run {
        struct scope_layout *layout;
        struct scope_comm *comm;
        struct scope_trainer *trainer;
        struct scope_row rows[ROWS];
        uint32_t tokens[ROWS][LENGTH];
        float logp[ROWS][LENGTH], entropy[ROWS][LENGTH], coef[ROWS][LENGTH], norm;
};

static void fill_rows(struct run *run)
{
        struct scope_rng rng = scope_rng_make(11);
        for (uint32_t i = 0; i < ROWS; i++) {
                for (uint32_t j = 0; j < LENGTH; j++) {
                        run->tokens[i][j] =
                                (uint32_t)scope_rng_below(&rng, run->layout->config.vocab);
                        run->coef[i][j] = (float)scope_rng_normal(&rng);
                }
                run->rows[i] = (struct scope_row){ .tokens = run->tokens[i],
                        .count = LENGTH - 5 * i,
                        .first = 1 + i,
                        .temperature = 1.0f - 0.2f * (float)i,
                        .logp = run->logp[i],
                        .entropy = run->entropy[i],
                        .coef = run->coef[i],
                        .entropy_coef = 0.1f };
        }
}

/* Two microbatches, so that a second forward meets what the first left. */
static void run_init(struct run *run, const struct scope_model_config *config,
        enum scope_recompute recompute, uint32_t microbatch)
{
        *run = (struct run){ 0 };
        assert_ok(scope_layout_create(config, &run->layout));
        assert_ok(scope_comm_one_create(&run->comm));
        assert_ok(scope_trainer_create(&(struct scope_trainer_options){ .layout = run->layout,
                                               .comm = run->comm,
                                               .context_max = LENGTH,
                                               .microbatch_tokens = microbatch,
                                               .recompute = recompute,
                                               .lr = 1e-3f,
                                               .beta1 = 0.9f,
                                               .beta2 = 0.999f,
                                               .eps = 1e-8f },
                &run->trainer));
        scope_layout_randomise(run->layout, 5, scope_trainer_parameters(run->trainer));
        fill_rows(run);
        scope_trainer_zero(run->trainer, 0);
        for (uint32_t i = 0; i < ROWS; i += 2) {
                const uint32_t count = i + 2 <= ROWS ? 2 : 1;
                assert_ok(scope_trainer_forward(run->trainer, 0, run->rows + i, count));
                assert_ok(scope_trainer_backward(run->trainer, 0, run->rows + i, count));
        }
        assert_ok(scope_trainer_step(run->trainer, 0, 1e-3f, &run->norm));
}

static void run_fini(struct run *run)
{
        scope_trainer_destroy(run->trainer);
        scope_comm_destroy(run->comm);
        scope_layout_destroy(run->layout);
}

static const struct scope_model_config small = { .model_type = "qwen3",
        .layers = 3,
        .hidden = 24,
        .heads = 4,
        .kv_heads = 2,
        .head_dim = 8,
        .ffn = 20,
        .vocab = 37,
        .positions_max = 64,
        .rope_theta = 100.0f,
        .rms_eps = 1e-5f,
        .qkv_bias = true,
        .qk_norm = true };

/* Moments are running means of gradients: their bits are the gradients'. */
static void test_recomputed_activations_give_the_same_bits(void **state)
{
        (void)state;
        struct run kept, again;
        run_init(&kept, &small, SCOPE_RECOMPUTE_NONE, 2 * LENGTH);
        run_init(&again, &small, SCOPE_RECOMPUTE_LAYER, 2 * LENGTH);
        const size_t bytes = kept.layout->float_count * sizeof(float);
        assert_true(kept.norm > 0.01f);
        assert_memory_equal(&kept.norm, &again.norm, sizeof kept.norm);
        assert_memory_equal(kept.logp, again.logp, sizeof kept.logp);
        assert_memory_equal(scope_trainer_state(kept.trainer).first,
                scope_trainer_state(again.trainer).first, bytes);
        assert_memory_equal(scope_trainer_parameters(kept.trainer),
                scope_trainer_parameters(again.trainer), bytes);
        run_fini(&again);
        run_fini(&kept);
}

static double gap(const float *a, const float *b, size_t count)
{
        double largest = 1e-6, worst = 0.0;
        for (size_t i = 0; i < count; i++) {
                largest = fmax(largest, fabs((double)a[i]));
                worst = fmax(worst, fabs((double)a[i] - b[i]));
        }
        return worst / largest;
}

/* The head cuts a vocabulary of 5000 in three for microbatches of 512 tokens, and not for 48. */
static void test_a_vocabulary_in_pieces_trains_alike(void **state)
{
        (void)state;
        struct run whole, pieces;
        struct scope_model_config large = small;
        large.vocab = 5000;
        large.tokens_used = 4990;
        large.tied = true;
        run_init(&whole, &large, SCOPE_RECOMPUTE_NONE, 2 * LENGTH);
        run_init(&pieces, &large, SCOPE_RECOMPUTE_NONE, MICROBATCH_MAX);
        for (uint32_t i = 0; i < ROWS; i++)
                for (uint32_t j = whole.rows[i].first; j < whole.rows[i].count; j++) {
                        assert_close(whole.logp[i][j], pieces.logp[i][j], 1e-5);
                        assert_close(whole.entropy[i][j], pieces.entropy[i][j], 1e-5);
                }
        for (uint32_t i = 0; i < whole.layout->tensor_count; i++) {
                const struct scope_tensor *t = &whole.layout->tensors[i];
                assert_true(gap(scope_trainer_state(whole.trainer).first + t->offset,
                                    scope_trainer_state(pieces.trainer).first + t->offset,
                                    (size_t)t->rows * t->columns) < 1e-5);
        }
        run_fini(&pieces);
        run_fini(&whole);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_recomputed_activations_give_the_same_bits),
                cmocka_unit_test(test_a_vocabulary_in_pieces_trains_alike),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
