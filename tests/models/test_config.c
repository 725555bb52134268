#include "tests/test.h"

#include <math.h>

#include "models/config.h"

static const struct scope_model_config tiny = { .model_type = "llama",
        .layers = 2,
        .hidden = 96,
        .heads = 3,
        .kv_heads = 3,
        .head_dim = 32,
        .ffn = 256,
        .vocab = 21,
        .positions_max = 128,
        .rope_theta = 10000.0f,
        .rms_eps = 1e-6f,
        .eos = { 1 },
        .eos_count = 1 };

static void assert_refused(const struct scope_model_config *config, const char *field)
{
        struct scope_diag diag = { "" };
        struct scope_layout *layout = NULL;
        assert_int_equal(scope_model_config_check(config, &diag), SCOPE_ERR_SHAPE);
        if (strstr(diag.text, field) == NULL)
                fail_msg("\"%s\" does not name %s", diag.text, field);
        assert_int_equal(scope_layout_create(config, &layout), SCOPE_ERR_SHAPE);
        assert_null(layout);
}

static void test_bad_shapes_are_refused_by_name(void **state)
{
        (void)state;
        struct scope_model_config config = tiny;
        assert_ok(scope_model_config_check(&config, NULL));
        config.layers = 0;
        assert_refused(&config, "layers");
        config = tiny;
        config.hidden = UINT32_MAX;
        assert_refused(&config, "hidden");
        config = tiny;
        config.kv_heads = 2;
        assert_refused(&config, "kv_heads");
        config = tiny;
        config.head_dim = 31;
        assert_refused(&config, "head_dim");
        config = tiny;
        config.heads = config.kv_heads = 1024;
        config.head_dim = 1024;
        assert_refused(&config, "heads * head_dim");
        config = tiny;
        config.vocab = UINT32_MAX;
        assert_refused(&config, "vocab");
        config = tiny;
        config.rope_theta = NAN;
        assert_refused(&config, "rope_theta");
        config = tiny;
        config.rms_eps = 0.0f;
        assert_refused(&config, "rms_eps");
        config = tiny;
        config.tokens_used = 22;
        assert_refused(&config, "tokens in use");
        config = tiny;
        config.rope_scaling = (struct scope_rope_scaling){ true, 8.0f, 4.0f, 1.0f, 8192 };
        assert_refused(&config, "rope_scaling");
        config.rope_scaling = (struct scope_rope_scaling){ true, 8.0f, 1.0f, 4.0f, 0 };
        assert_refused(&config, "original_max_position_embeddings");
        config.rope_scaling.on = false;
        assert_ok(scope_model_config_check(&config, NULL));
        config = tiny;
        config.eos[0] = 21;
        assert_refused(&config, "eos");
        config = tiny;
        config.eos_count = SCOPE_EOS_MAX + 1;
        assert_refused(&config, "eos");
        config = tiny;
        config.head = (enum scope_head)7;
        assert_refused(&config, "head");
}

static void test_tiny_model_has_its_parameters(void **state)
{
        (void)state;
        struct scope_layout *layout = NULL;
        assert_ok(scope_layout_create(&tiny, &layout));
        assert_int_equal(layout->parameter_count, 225696); /* tiny-recipe's figure */
        scope_layout_destroy(layout);
        scope_layout_destroy(NULL);
}

/* Aligned, in order, without overlap or gap but padding. */
static void check_places(const struct scope_model_config *config)
{
        struct scope_layout *layout = NULL;
        size_t end = 0, parameters = 0;
        assert_ok(scope_layout_create(config, &layout));
        for (uint32_t i = 0; i < layout->tensor_count; i++) {
                const struct scope_tensor *t = &layout->tensors[i];
                size_t count = (size_t)t->rows * t->columns;
                assert_int_equal(t->offset % 16, 0);
                assert_int_equal(t->offset, (end + 15) / 16 * 16);
                assert_true(t->decay == (t->rank == 2));
                end = t->offset + count;
                parameters += count;
        }
        assert_int_equal(layout->float_count, (end + 15) / 16 * 16);
        assert_int_equal(layout->parameter_count, parameters);
        scope_layout_destroy(layout);
}

static void test_tensors_fill_the_arena(void **state)
{
        (void)state;
        struct scope_model_config config = tiny;
        check_places(&config);
        config.qkv_bias = config.o_bias = config.qk_norm = config.tied = true;
        config.hidden = 20;
        config.kv_heads = 1;
        config.head_dim = 6;
        check_places(&config);
        config.head = SCOPE_HEAD_REWARD;
        check_places(&config);
        config.head = SCOPE_HEAD_CLASSES;
        check_places(&config);
}

static void test_absent_tensors_have_no_offset(void **state)
{
        (void)state;
        struct scope_layout *layout = NULL;
        struct scope_model_config config = tiny;
        config.tied = true;
        assert_ok(scope_layout_create(&config, &layout));
        assert_int_equal(layout->output, layout->embedding);
        assert_true(layout->layers[1].q_bias == SIZE_MAX && layout->layers[1].q_norm == SIZE_MAX);
        assert_true(layout->score_0 == SIZE_MAX);
        scope_layout_destroy(layout);
        config.head = SCOPE_HEAD_REWARD;
        assert_ok(scope_layout_create(&config, &layout));
        assert_true(layout->output == SIZE_MAX && layout->score_2_bias != SIZE_MAX);
        scope_layout_destroy(layout);
        config.head = SCOPE_HEAD_CLASSES;
        assert_ok(scope_layout_create(&config, &layout));
        assert_true(layout->score_0 == SIZE_MAX && layout->score_2 != SIZE_MAX);
        scope_layout_destroy(layout);
}

static uint64_t hash_of(const struct scope_model_config *config)
{
        struct scope_layout *layout = NULL;
        assert_ok(scope_layout_create(config, &layout));
        uint64_t hash = layout->hash;
        scope_layout_destroy(layout);
        return hash;
}

static void test_hash_tells_arenas_apart(void **state)
{
        (void)state;
        struct scope_model_config config = tiny;
        assert_true(hash_of(&config) == hash_of(&tiny));
        config.positions_max = 64; /* gives no float another meaning */
        assert_true(hash_of(&config) == hash_of(&tiny));
        config.rope_theta = 500000.0f;
        assert_true(hash_of(&config) != hash_of(&tiny));
        config = tiny;
        config.rope_scaling = (struct scope_rope_scaling){ true, 8.0f, 1.0f, 4.0f, 64 };
        assert_true(hash_of(&config) != hash_of(&tiny));
        config = tiny;
        config.tokens_used = 20; /* the same floats */
        assert_true(hash_of(&config) == hash_of(&tiny));
        config.heads = config.kv_heads = 6;
        config.head_dim = 16; /* same sizes, other meaning */
        assert_true(hash_of(&config) != hash_of(&tiny));
}

static void test_initial_weights_have_their_spread(void **state)
{
        (void)state;
        struct scope_layout *layout = NULL;
        assert_ok(scope_layout_create(&tiny, &layout));
        float *p = malloc(layout->float_count * sizeof *p);
        float *again = malloc(layout->float_count * sizeof *again);
        assert_true(p != NULL && again != NULL);
        scope_layout_randomise(layout, 5, p);
        scope_layout_randomise(layout, 5, again);
        assert_memory_equal(p, again, layout->float_count * sizeof *p);
        scope_layout_randomise(layout, 6, again);
        assert_memory_not_equal(p, again, layout->float_count * sizeof *p);
        double gate = 0.0, down = 0.0;
        const size_t count = 256 * 96;
        for (size_t i = 0; i < count; i++) {
                gate += pow(p[layout->layers[0].gate + i], 2.0);
                down += pow(p[layout->layers[0].down + i], 2.0);
        }
        assert_close(sqrt(gate / (double)count), 1 / sqrt(96), 0.0025);
        assert_close(sqrt(down / (double)count), 1 / sqrt(256) / 2, 0.0008); /* 2 layers: / 2 */
        assert_true(p[layout->final_norm] == 1.0f);
        free(p);
        free(again);
        scope_layout_destroy(layout);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_bad_shapes_are_refused_by_name),
                cmocka_unit_test(test_tiny_model_has_its_parameters),
                cmocka_unit_test(test_tensors_fill_the_arena),
                cmocka_unit_test(test_absent_tensors_have_no_offset),
                cmocka_unit_test(test_hash_tells_arenas_apart),
                cmocka_unit_test(test_initial_weights_have_their_spread),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
