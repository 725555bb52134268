/* Sampler and trainer agree: what the engine says a token's log-probability was is what the trainer
 * finds for it at the same weights. One decodes position by position over packed weights, the other
 * takes whole sequences: this is the test that both are the same model. */
#include "tests/test.h"

#include <math.h>

#include "base/buffer.h"
#include "base/rng.h"
#include "models/comm.h"
#include "models/engine.h"
#include "models/half.h"
#include "models/tokenizer_tiny.h"
#include "models/trainer.h"

enum { SAMPLES = 24, PROMPT_MAX = 30, RESPONSE_MAX = 50, CONTEXT_MAX = PROMPT_MAX + RESPONSE_MAX };

struct text {
        uint32_t tokens[CONTEXT_MAX], count, prompt_count;
        float sampled[CONTEXT_MAX], logp[CONTEXT_MAX], entropy[CONTEXT_MAX], temperature;
};
static struct text texts[SAMPLES];

static void sample_all(const struct scope_layout *layout, struct scope_buffer *weights,
        enum scope_form form)
{
        struct scope_engine *engine;
        struct scope_engine_job job;
        struct scope_engine_result result;
        struct scope_engine_options options = { .layout = layout, .slots = 10,
                .context_max = CONTEXT_MAX, .cores = 1, .weights = form };
        assert_ok(scope_engine_native_create(&options, &engine));
        assert_ok(engine->class_->publish(engine, weights, 1, false));
        for (uint32_t i = 0; i < SAMPLES; i++) {
                struct text *text = &texts[i];
                text->prompt_count = 1 + (i / 4 * 11) % PROMPT_MAX;
                text->temperature = 0.6f + 0.2f * (float)(i % 4);
                for (uint32_t t = 0; t < text->prompt_count; t++)
                        text->tokens[t] = 2 + (uint32_t)(scope_hash_pair(i / 4, t) % 17);
                struct scope_engine_request request = { .id = i, .share = i / 4,
                        .prompt = text->tokens, .prompt_count = text->prompt_count,
                        .response_max = RESPONSE_MAX, .temperature = text->temperature,
                        .top_p = i % 3 == 0 ? 0.8f : 1, .seed = i };
                assert_ok(engine->class_->submit(engine, &request));
        }
        while (engine->class_->begin_step(engine, &job) == SCOPE_OK) {
                assert_ok(job.run(job.arg, 0, 1));
                engine->class_->end_step(engine, SCOPE_OK);
                while (engine->class_->collect(engine, &result)) {
                        struct text *text = &texts[result.id];
                        text->count = text->prompt_count + result.token_count;
                        memcpy(text->tokens + text->prompt_count, result.tokens,
                                result.token_count * sizeof *result.tokens);
                        memcpy(text->sampled + text->prompt_count, result.logp,
                                result.token_count * sizeof *result.logp);
                }
        }
        scope_engine_destroy(engine);
}

struct gap {
        double worst, mean; /* of |logp_decode - logp_train| */
};

/* The sampler rounds its weights to `form`; the trainer has them as they are. `rounded`: as they
 * are is already bf16, as in most checkpoints. */
static struct gap compare(
        struct scope_model_config config, float scale, enum scope_form form, bool rounded)
{
        struct scope_layout *layout;
        struct scope_comm *comm;
        struct scope_trainer *trainer;
        struct scope_buffer *weights;
        struct gap gap = { 0, 0 };
        uint32_t tokens = 0;
        assert_ok(scope_layout_create(&config, &layout));
        assert_ok(scope_comm_one_create(&comm));
        struct scope_trainer_options options = { .layout = layout, .comm = comm,
                .context_max = CONTEXT_MAX, .microbatch_tokens = CONTEXT_MAX, .lr = 1e-4f,
                .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f };
        assert_ok(scope_trainer_create(&options, &trainer));
        scope_layout_randomise(layout, 5, scope_trainer_parameters(trainer));
        for (size_t i = 0; i < layout->float_count; i++) { /* opinions, not noise around uniform */
                float *weight = &scope_trainer_parameters(trainer)[i];
                *weight *= scale;
                if (rounded)
                        *weight = scope_bf16_widen(scope_bf16_narrow(*weight));
        }
        assert_ok(scope_trainer_export(trainer, &weights));
        sample_all(layout, weights, form);
        for (uint32_t i = 0; i < SAMPLES; i++) {
                struct text *text = &texts[i];
                struct scope_row row = { .tokens = text->tokens, .count = text->count,
                        .first = text->prompt_count, .temperature = text->temperature,
                        .logp = text->logp, .entropy = text->entropy };
                assert_true(text->count > text->prompt_count);
                assert_ok(scope_trainer_forward(trainer, 0, &row, 1));
                for (uint32_t t = text->prompt_count; t < text->count; t++) {
                        double here = fabs((double)text->logp[t] - text->sampled[t]);
                        gap.worst = here > gap.worst || !isfinite(here) ? here : gap.worst;
                        gap.mean += here;
                        tokens++;
                }
        }
        scope_buffer_drop(weights);
        scope_trainer_destroy(trainer);
        scope_comm_destroy(comm);
        scope_layout_destroy(layout);
        gap.mean /= tokens;
        return gap;
}

static struct scope_model_config config_of(const char *family)
{
        struct scope_model_config config = scope_model_config_tiny();
        if (strcmp(family, "llama") == 0)
                return config;
        memcpy(config.model_type, family, strlen(family) + 1);
        config.tied = true;
        config.kv_heads = 1;
        config.qkv_bias = strcmp(family, "qwen2") == 0;
        config.qk_norm = !config.qkv_bias;
        config.head_dim = config.qk_norm ? 20 : config.head_dim;
        return config;
}

static void test_sampled_logp_equals_trained_logp(void **state)
{
        (void)state;
        static const char *const families[] = { "llama", "qwen2", "qwen3" };
        for (int i = 0; i < 3; i++) {
                struct gap gap = compare(config_of(families[i]), i < 2 ? 3 : 2, SCOPE_FORM_F32,
                        false);
                print_message("# %s: |logp_decode - logp_train| <= %.2g\n", families[i],
                        gap.worst);
                assert_true(gap.worst <= 1e-3);
        }
}

/* What rounding the weights for sampling costs, and that it costs nothing when they are bf16. */
static void test_rounded_weights_sample_nearly_what_is_trained(void **state)
{
        (void)state;
        static const struct {
                enum scope_form form;
                bool rounded;
                float scale; /* of the weights; at 3 a rounded model is another one */
                double worst, mean;
        } cases[] = { { SCOPE_FORM_BF16, true, 2, 1e-3, 1e-4 },
                { SCOPE_FORM_BF16, false, 1.5f, 0.15, 0.02 },
                { SCOPE_FORM_INT8, false, 1.5f, 1, 0.06 } };
        static const char *const families[] = { "llama", "qwen2", "qwen3" };
        for (int i = 0; i < 3; i++)
                for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
                        struct gap gap = compare(config_of(families[i]), cases[c].scale,
                                cases[c].form, cases[c].rounded);
                        print_message("# %s, form %d%s: off by %.2g on average, %.2g at most\n",
                                families[i], cases[c].form, cases[c].rounded ? " of bf16" : "",
                                gap.mean, gap.worst);
                        assert_true(gap.worst <= cases[c].worst && gap.mean <= cases[c].mean);
                }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sampled_logp_equals_trained_logp),
                cmocka_unit_test(test_rounded_weights_sample_nearly_what_is_trained),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
