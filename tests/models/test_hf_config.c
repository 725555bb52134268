/* What config.json of the known families says, in the forms that are found, and what is refused. */
#include "tests/test.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "models/hf_config.h"

#define SIZES                                                                                      \
        "\"hidden_size\":64,\"intermediate_size\":128,\"num_hidden_layers\":2,"                    \
        "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"vocab_size\":200,"                  \
        "\"hidden_act\":\"silu\",\"rms_norm_eps\":1e-05,\"max_position_embeddings\":4096"
#define LLAMA "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\"," SIZES
#define SCALING                                                                                    \
        "\"factor\":32.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"                        \
        "\"original_max_position_embeddings\":8192"

static struct scope_model_config parse(const char *json)
{
        struct scope_model_config config;
        struct scope_diag diag = { "" };
        if (scope_hf_config_parse("config.json", json, strlen(json), &config, &diag) != SCOPE_OK)
                fail_msg("%s", diag.text);
        return config;
}

static void refuse(const char *json, enum scope_err expected, const char *word)
{
        struct scope_model_config config = { .layers = 77 };
        struct scope_diag diag = { "" };
        enum scope_err err =
                scope_hf_config_parse("config.json", json, strlen(json), &config, &diag);
        if (err != expected || strstr(diag.text, word) == NULL)
                fail_msg("%s gave %s: %s", json, scope_err_name(err), diag.text);
        assert_int_equal(config.layers, 77);
}

static void check_scaling(const struct scope_model_config *config)
{
        const struct scope_rope_scaling *s = &config->rope_scaling;
        assert_true(s->on && s->factor == 32.0f && s->low_freq_factor == 1.0f &&
                s->high_freq_factor == 4.0f && s->original_positions == 8192);
        assert_true(config->rope_theta == 500000.0f);
}

static void test_llama_3_scaling_in_all_three_spellings(void **state)
{
        (void)state;
        struct scope_model_config config = parse(LLAMA ",\"rope_theta\":500000.0,\"rope_scaling\":{"
                "\"rope_type\":\"llama3\"," SCALING "},\"eos_token_id\":[1,8,9]}");
        check_scaling(&config);
        assert_int_equal(config.eos_count, 3);
        assert_int_equal(config.head_dim, 16);
        config = parse(LLAMA ",\"rope_theta\":500000.0,\"rope_scaling\":{\"type\":\"llama3\","
                SCALING "}}");
        check_scaling(&config);
        config = parse(LLAMA ",\"rope_parameters\":{\"rope_type\":\"llama3\","
                "\"rope_theta\":500000.0," SCALING "}}");
        check_scaling(&config);
        config = parse(LLAMA ",\"rope_parameters\":{\"rope_type\":\"default\","
                "\"rope_theta\":1e6},\"rope_scaling\":null,\"pad_token_id\":-1}");
        assert_true(!config.rope_scaling.on && config.rope_theta == 1e6f);
        assert_true(config.pad == UINT32_MAX && !config.qkv_bias && !config.o_bias);
}

static void test_families_have_their_biases_norms_and_heads(void **state)
{
        (void)state;
        struct scope_model_config config = parse("{\"architectures\":[\"Qwen2ForCausalLM\"],"
                "\"model_type\":\"qwen2\",\"use_sliding_window\":false,\"sliding_window\":32768,"
                "\"max_window_layers\":21,\"tie_word_embeddings\":true,"
                "\"layer_types\":[\"full_attention\",\"full_attention\"]," SIZES "}");
        assert_true(config.qkv_bias && !config.o_bias && !config.qk_norm && config.tied);
        config = parse("{\"architectures\":[\"Qwen3ForCausalLM\"],\"model_type\":\"qwen3\","
                "\"attention_bias\":false,\"head_dim\":128," SIZES "}");
        assert_true(!config.qkv_bias && config.qk_norm && config.head_dim == 128);
        config = parse("{\"architectures\":[\"Qwen3ForCausalLM\"],\"model_type\":\"qwen3\","
                "\"attention_bias\":true," SIZES "}");
        assert_true(config.qkv_bias && config.o_bias);
        config = parse("{\"architectures\":[\"Qwen2ForProcessRewardModel\"],"
                "\"model_type\":\"qwen2\",\"rope_theta\":10000," SIZES "}");
        assert_int_equal(config.head, SCOPE_HEAD_REWARD);
        assert_true(config.rms_eps == 1e-5f && config.rope_theta == 10000.0f);
        config = parse("{\"architectures\":[\"Qwen2ForTokenClassification\"],"
                "\"model_type\":\"qwen2\",\"id2label\":{\"0\":\"LABEL_0\",\"1\":\"LABEL_1\"},"
                SIZES "}");
        assert_int_equal(config.head, SCOPE_HEAD_CLASSES);
}

static void test_other_arithmetic_is_refused_by_name(void **state)
{
        (void)state;
        static const struct {
                const char *key, *word;
        } cases[] = {
                { "\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4.0}", "yarn" },
                { "\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":4.0}", "linear" },
                { "\"rope_scaling\":{\"rope_type\":\"dynamic\",\"factor\":4.0}", "dynamic" },
                { "\"rope_scaling\":{\"type\":\"mrope\",\"mrope_section\":[8,12,12]}", "mrope" },
                { "\"rope_parameters\":{\"rope_type\":\"longrope\"}", "longrope" },
                { "\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":1e4,"
                  "\"partial_rotary_factor\":0.5}", "partial_rotary_factor" },
                { "\"partial_rotary_factor\":0.5", "partial_rotary_factor" },
                { "\"use_sliding_window\":true", "use_sliding_window" },
                { "\"layer_types\":[\"full_attention\",\"sliding_attention\"]",
                  "sliding_attention" },
                { "\"mlp_bias\":true", "mlp_bias" },
                { "\"num_experts\":8", "num_experts" },
                { "\"quantization_config\":{\"bits\":4}", "quantization_config" },
                { "\"hidden_act\":\"gelu\"", "gelu" },
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct scope_text text = { 0 };
                scope_text_format(&text, "{\"model_type\":\"llama\",%s}", cases[i].key);
                refuse(text.bytes, SCOPE_ERR_UNSUPPORTED, cases[i].word);
                scope_text_fini(&text);
        }
        static const char *const types[] = { "mistral", "mixtral", "qwen2_moe", "qwen3_moe",
                "gemma2", "qwen2_vl", "gpt2" };
        for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
                struct scope_text text = { 0 };
                scope_text_format(&text, "{\"model_type\":\"%s\"," SIZES "}", types[i]);
                refuse(text.bytes, SCOPE_ERR_UNSUPPORTED, types[i]);
                scope_text_fini(&text);
        }
        refuse("{\"architectures\":[\"Qwen2ForRewardModel\"],\"model_type\":\"qwen2\"}",
                SCOPE_ERR_UNSUPPORTED, "Qwen2ForRewardModel");
        refuse("{\"architectures\":[\"Qwen3ForProcessRewardModel\"],\"model_type\":\"qwen3\"}",
                SCOPE_ERR_UNSUPPORTED, "Qwen3ForProcessRewardModel");
        refuse("{\"architectures\":[\"Qwen2ForTokenClassification\"],\"model_type\":\"qwen2\","
                "\"id2label\":{\"0\":\"a\",\"1\":\"b\",\"2\":\"c\"}}",
                SCOPE_ERR_UNSUPPORTED, "id2label");
}

static void test_malformed_files_are_refused_with_their_key(void **state)
{
        (void)state;
        refuse("[1]", SCOPE_ERR_FORMAT, "not an object");
        refuse("{\"model_type\":\"llama\",}", SCOPE_ERR_FORMAT, "config.json:1:");
        refuse("{" SIZES "}", SCOPE_ERR_FORMAT, "model_type");
        refuse(LLAMA ",\"rope_scaling\":{\"factor\":8}}", SCOPE_ERR_FORMAT, "rope_type");
        refuse(LLAMA ",\"rope_scaling\":8}", SCOPE_ERR_FORMAT, "rope_scaling");
        refuse(LLAMA ",\"rope_scaling\":{\"rope_type\":\"llama3\"}}", SCOPE_ERR_SHAPE,
                "rope_scaling");
        refuse(LLAMA ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":\"8\"}}",
                SCOPE_ERR_FORMAT, "factor");
        refuse(LLAMA ",\"rope_theta\":\"big\"}", SCOPE_ERR_FORMAT, "rope_theta");
        refuse(LLAMA ",\"eos_token_id\":\"</s>\"}", SCOPE_ERR_FORMAT, "eos_token_id");
        refuse(LLAMA ",\"eos_token_id\":[0,1,2,3,4,5,6,7,8]}", SCOPE_ERR_FORMAT, "eos_token_id");
        refuse(LLAMA ",\"eos_token_id\":200}", SCOPE_ERR_SHAPE, "eos");
}

static void put(const char *directory, const char *name, const char *text)
{
        char path[256];
        (void)snprintf(path, sizeof path, "%s/%s", directory, name);
        assert_ok(scope_file_commit(path, text, strlen(text), NULL));
}

static void test_generation_config_adds_its_eos_ids(void **state)
{
        (void)state;
        char directory[] = "/tmp/scope-hf-config-XXXXXX";
        struct scope_model_config config;
        struct scope_diag diag = { "" };
        assert_non_null(mkdtemp(directory));
        assert_int_equal(scope_hf_config_load(directory, &config, &diag), SCOPE_ERR_NOT_FOUND);
        assert_non_null(strstr(diag.text, "config.json"));
        put(directory, "config.json", LLAMA ",\"eos_token_id\":151}");
        assert_ok(scope_hf_config_load(directory, &config, &diag));
        assert_int_equal(config.eos_count, 1);
        put(directory, "generation_config.json", "{\"eos_token_id\":[153,151]}");
        assert_ok(scope_hf_config_load(directory, &config, &diag));
        assert_int_equal(config.eos_count, 2);
        assert_int_equal(config.eos[0], 151);
        assert_int_equal(config.eos[1], 153);
        put(directory, "generation_config.json", "{\"eos_token_id\":[-5]}");
        assert_int_equal(scope_hf_config_load(directory, &config, &diag), SCOPE_ERR_FORMAT);
        assert_non_null(strstr(diag.text, "generation_config.json"));
        scope_directory_remove(directory);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_llama_3_scaling_in_all_three_spellings),
                cmocka_unit_test(test_families_have_their_biases_norms_and_heads),
                cmocka_unit_test(test_other_arithmetic_is_refused_by_name),
                cmocka_unit_test(test_malformed_files_are_refused_with_their_key),
                cmocka_unit_test(test_generation_config_adds_its_eos_ids),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
