/* Directories written and read again, replaced whole or not at all, and compared with transformers
 * where a Python that has it is named by SCOPE_PYTHON. */
#include "tests/test.h"

#include <ftw.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/text.h"
#include "models/engine.h"
#include "models/hf_directory.h"
#include "models/tokenizer.h"
#include "models/tokenizer_tiny.h"

static char root[64], directory[96];

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
        (void)status;
        (void)kind;
        (void)walk;
        return remove(path);
}

static int setup(void **state)
{
        (void)state;
        (void)snprintf(root, sizeof root, "/tmp/scope-hf-%d", (int)getpid());
        (void)snprintf(directory, sizeof directory, "%s/deep/model", root);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        (void)nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
        return 0;
}

static struct scope_model random_model(struct scope_model_config config, uint64_t seed)
{
        struct scope_model model = { 0 };
        assert_ok(scope_layout_create(&config, &model.layout));
        model.parameters = aligned_alloc(64, model.layout->float_count * sizeof(float));
        assert_non_null(model.parameters);
        scope_layout_randomise(model.layout, seed, model.parameters);
        return model;
}

static struct scope_model_config config_small(const char *type, bool tied)
{
        struct scope_model_config config = scope_model_config_tiny();
        (void)snprintf(config.model_type, sizeof config.model_type, "%s", type);
        config.qkv_bias = strcmp(type, "qwen2") == 0;
        config.qk_norm = strcmp(type, "qwen3") == 0;
        config.hidden = config.qk_norm ? 24 : 32; /* only qwen3 has heads of any width */
        config.heads = 4;
        config.kv_heads = 2;
        config.head_dim = 8;
        config.ffn = 40;
        config.tied = tied;
        return config;
}

static void round_trip(struct scope_model_config config)
{
        struct scope_model model = random_model(config, 3), read = { 0 };
        struct scope_diag diag = { "" };
        assert_ok(scope_model_save(directory, model.layout, model.parameters, NULL, &diag));
        if (scope_model_load(directory, &read, &diag) != SCOPE_OK)
                fail_msg("%s", diag.text);
        assert_int_equal(read.layout->hash, model.layout->hash);
        assert_memory_equal(&read.layout->config, &model.layout->config, sizeof config);
        assert_memory_equal(read.parameters, model.parameters,
                model.layout->float_count * sizeof(float));
        scope_model_fini(&model);
        scope_model_fini(&read);
        scope_model_fini(&read);
}

static void test_every_kind_reads_back_equal(void **state)
{
        (void)state;
        struct scope_model_config config = scope_model_config_tiny();
        round_trip(config);
        round_trip(config_small("llama", true));
        round_trip(config_small("qwen2", false));
        round_trip(config_small("qwen3", true));
        config = config_small("qwen2", false);
        config.head = SCOPE_HEAD_REWARD;
        config.eos_count = 3;
        config.eos[1] = 5;
        config.eos[2] = 7;
        config.bos = 4;
        config.rms_eps = 1e-6f;
        config.rope_theta = 1e6f;
        round_trip(config);
        config.eos_count = 0;
        memset(config.eos, 0, sizeof config.eos);
        round_trip(config);
        config.head = SCOPE_HEAD_CLASSES;
        round_trip(config);
        config = config_small("llama", false);
        config.rope_scaling = (struct scope_rope_scaling){ true, 32.0f, 1.0f, 4.0f, 8192 };
        config.qkv_bias = config.o_bias = true;
        round_trip(config);
}

static bool exists(const char *end)
{
        char path[160];
        (void)snprintf(path, sizeof path, "%s%s", directory, end);
        return access(path, F_OK) == 0;
}

static void test_tiny_models_carry_their_tokenizer_and_others_are_copied(void **state)
{
        (void)state;
        struct scope_model model = random_model(scope_model_config_tiny(), 1);
        struct scope_tokenizer *tokenizer;
        char like[128], extra[160];
        assert_ok(scope_model_save(directory, model.layout, model.parameters, NULL, NULL));
        assert_ok(scope_tokenizer_load(directory, &tokenizer, NULL));
        assert_int_equal(scope_tokenizer_size(tokenizer), SCOPE_TINY_VOCAB);
        scope_tokenizer_destroy(tokenizer);
        assert_true(exists("/generation_config.json") && exists("/tokenizer_config.json"));
        (void)snprintf(like, sizeof like, "%s/like", root);
        assert_ok(scope_directory_create(like, NULL));
        (void)snprintf(extra, sizeof extra, "%s/chat_template.jinja", like);
        assert_ok(scope_file_commit(extra, "{{x}}", 5, NULL));
        assert_ok(scope_model_save(directory, model.layout, model.parameters, like, NULL));
        assert_true(exists("/chat_template.jinja"));
        assert_false(exists("/tokenizer.json"));
        scope_model_fini(&model);
}

static void test_a_directory_is_replaced_whole_and_leaves_nothing_beside(void **state)
{
        (void)state;
        struct scope_model first = random_model(scope_model_config_tiny(), 1), read = { 0 };
        struct scope_model second = random_model(scope_model_config_tiny(), 2);
        char slashed[128];
        assert_ok(scope_model_save(directory, first.layout, first.parameters, NULL, NULL));
        (void)snprintf(slashed, sizeof slashed, "%s//", directory);
        assert_ok(scope_model_save(slashed, second.layout, second.parameters, NULL, NULL));
        assert_false(exists(".tmp") || exists(".old") || exists("/.tmp"));
        assert_ok(scope_model_load(directory, &read, NULL));
        assert_memory_equal(read.parameters, second.parameters,
                second.layout->float_count * sizeof(float));
        scope_model_fini(&first);
        scope_model_fini(&second);
        scope_model_fini(&read);
}

static void test_a_failed_save_harms_nothing(void **state)
{
        (void)state;
        struct scope_model first = random_model(scope_model_config_tiny(), 1), read = { 0 };
        struct scope_model second = random_model(scope_model_config_tiny(), 2);
        struct scope_diag diag = { "" };
        char blocked[128];
        assert_ok(scope_model_save(directory, first.layout, first.parameters, NULL, NULL));
        /* A file where DIRECTORY.tmp should be made: the save fails at its beginning. */
        (void)snprintf(blocked, sizeof blocked, "%s.tmp/x", directory);
        assert_ok(scope_directory_create(blocked, NULL));
        (void)snprintf(blocked, sizeof blocked, "%s.tmp/model.safetensors", directory);
        assert_ok(scope_directory_create(blocked, NULL));
        assert_int_not_equal(
                scope_model_save(directory, second.layout, second.parameters, NULL, &diag),
                SCOPE_OK);
        assert_true(strlen(diag.text) > 10);
        assert_ok(scope_model_load(directory, &read, NULL));
        assert_memory_equal(read.parameters, first.parameters,
                first.layout->float_count * sizeof(float));
        assert_int_equal(rmdir(blocked), 0);
        /* A directory that holds no model is somebody else's. */
        assert_int_equal(scope_model_save(root, second.layout, second.parameters, NULL, &diag),
                SCOPE_ERR_EXISTS);
        scope_model_fini(&first);
        scope_model_fini(&second);
        scope_model_fini(&read);
}

/* config.json with its first `find` replaced must be refused, and the message must hold `word`. */
static void refuse(const char *find, const char *replace, enum scope_err expected, const char *word)
{
        struct scope_model model = random_model(scope_model_config_tiny(), 1), read = { 0 };
        struct scope_diag diag = { "" };
        struct scope_text text = { 0 };
        char path[128], *bytes;
        size_t count;
        assert_ok(scope_model_save(directory, model.layout, model.parameters, NULL, NULL));
        (void)snprintf(path, sizeof path, "%s/config.json", directory);
        assert_ok(scope_file_read(path, 1 << 16, &bytes, &count, NULL));
        char *at = strstr(bytes, find);
        assert_non_null(at);
        scope_text_add(&text, bytes, (size_t)(at - bytes));
        scope_text_string(&text, replace);
        scope_text_string(&text, at + strlen(find));
        assert_ok(scope_file_commit(path, text.bytes, text.count, NULL));
        enum scope_err err = scope_model_load(directory, &read, &diag);
        if (err != expected || strstr(diag.text, word) == NULL)
                fail_msg("%s -> %s gave %s: %s", find, replace, scope_err_name(err), diag.text);
        assert_null(read.parameters);
        scope_text_fini(&text);
        scope_model_fini(&model);
        free(bytes);
}

static void test_configs_we_cannot_honour_are_refused_by_name(void **state)
{
        (void)state;
        refuse("\"silu\"", "\"gelu\"", SCOPE_ERR_UNSUPPORTED, "gelu");
        refuse("\"model_type\":\"llama\"", "\"model_type\":\"mamba\"", SCOPE_ERR_UNSUPPORTED,
                "mamba");
        refuse("LlamaForCausalLM", "LlamaForSequenceClassification", SCOPE_ERR_UNSUPPORTED,
                "Sequence");
        refuse("LlamaForCausalLM", "LlamaForTokenClassification", SCOPE_ERR_NOT_FOUND,
                "score.weight");
        refuse("\"attention_bias\":false", "\"attention_bias\":true", SCOPE_ERR_NOT_FOUND,
                "q_proj.bias");
        refuse("\"hidden_size\":96", "\"hidden_size\":128", SCOPE_ERR_FORMAT, "embed_tokens");
        refuse("\"hidden_size\":96", "\"hidden_size\":-1", SCOPE_ERR_FORMAT, "hidden_size");
        refuse("\"hidden_size\":96", "\"hidden_size\":4000000000", SCOPE_ERR_SHAPE, "hidden");
        refuse("\"num_hidden_layers\":2", "\"num_hidden_layers\":3", SCOPE_ERR_NOT_FOUND,
                "layers.2.");
        refuse("\"vocab_size\":21", "\"vocab_size\":1", SCOPE_ERR_SHAPE, "eos");
        refuse("{", "{{", SCOPE_ERR_FORMAT, "config.json:1");
        struct scope_model model;
        struct scope_diag diag;
        assert_int_equal(scope_model_load("/nowhere", &model, &diag), SCOPE_ERR_NOT_FOUND);
        assert_non_null(strstr(diag.text, "/nowhere/config.json"));
}

static void test_models_of_others_load(void **state)
{
        (void)state;
        const char *path = test_shared("data/models/digits/config.json");
        struct scope_model model;
        struct scope_diag diag = { "" };
        char other[4096];
        if (path == NULL)
                test_skip("no shared models");

        (void)snprintf(
                other, sizeof other, "%.*s", (int)(strlen(path) - strlen("/config.json")), path);
        if (scope_model_load(other, &model, &diag) != SCOPE_OK)
                fail_msg("%s", diag.text);
        assert_int_equal(model.layout->config.layers, 4);
        assert_int_equal(model.layout->config.eos[0], 1);
        double sum = 0;
        for (size_t i = 0; i < model.layout->float_count; i++)
                sum += fabs((double)model.parameters[i]);
        assert_true(isfinite(sum) && sum > 100);
        scope_model_fini(&model);
}

/* --- transformers ------------------------------------------------------------------------ */

enum { ROWS = 24 };

/* Log-probability of every token at every place, by scoring each continuation. */
static void write_expected(const struct scope_model *model, const char *path)
{
        const struct scope_layout *layout = model->layout;
        uint32_t vocab = layout->config.vocab, tokens[ROWS], head[3] = { ROWS, vocab,
                (uint32_t)layout->parameter_count };
        static uint32_t texts[ROWS * SCOPE_TINY_VOCAB][ROWS + 1];
        static float values[ROWS * SCOPE_TINY_VOCAB][ROWS + 1];
        static struct scope_engine_score items[ROWS * SCOPE_TINY_VOCAB];
        struct scope_engine_options options = {
                .layout = layout, .slots = 1, .context_max = ROWS + 1, .cores = 1
        };
        struct scope_engine *engine;
        struct scope_engine_job job;
        struct scope_buffer *weights;
        assert_ok(scope_engine_native_create(&options, &engine));
        assert_ok(scope_buffer_create(layout->float_count * sizeof(float), &weights));
        memcpy(scope_buffer_data(weights), model->parameters, layout->float_count * sizeof(float));
        assert_ok(engine->class_->publish(engine, weights, 1, false));
        for (uint32_t i = 0; i < ROWS; i++)
                tokens[i] = 2 + i * 7 % 19;
        for (uint32_t i = 0; i < ROWS * vocab; i++) {
                memcpy(texts[i], tokens, sizeof tokens);
                texts[i][i / vocab + 1] = i % vocab;
                items[i] = (struct scope_engine_score){ texts[i], i / vocab + 2, values[i] };
        }
        assert_ok(engine->class_->begin_score(engine, items, ROWS * vocab, &job));
        assert_ok(job.run(job.arg, 0, 1));
        engine->class_->end_step(engine, SCOPE_OK);
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(head, 4, 3, file), 3);
        assert_int_equal(fwrite(tokens, 4, ROWS, file), ROWS);
        for (uint32_t i = 0; i < ROWS * vocab; i++)
                assert_int_equal(fwrite(&values[i][i / vocab + 1], 4, 1, file), 1);
        for (uint32_t i = 0; i < layout->tensor_count; i++) {
                size_t count = (size_t)layout->tensors[i].rows * layout->tensors[i].columns;
                assert_int_equal(
                        fwrite(model->parameters + layout->tensors[i].offset, 4, count, file),
                        count);
        }
        assert_int_equal(fclose(file), 0);
        scope_buffer_drop(weights);
        scope_engine_destroy(engine);
}

static void ask_transformers(const char *python, struct scope_model_config config)
{
        struct scope_model model = random_model(config, 11);
        char expected[128], command[8192];
        (void)snprintf(expected, sizeof expected, "%s/expected", root);
        /* Larger weights, so that a wrong rotation or scale would show. */
        for (size_t i = 0; i < model.layout->float_count; i++)
                model.parameters[i] *= 2;
        assert_ok(scope_model_save(directory, model.layout, model.parameters, NULL, NULL));
        write_expected(&model, expected);
        (void)snprintf(command, sizeof command, "'%s' '%s' '%s' '%s' 1>&2", python,
                test_source("tests/models/oracle_transformers.py"), directory, expected);
        FILE *oracle = popen(command, "w");
        assert_non_null(oracle);
        for (uint32_t i = 0; i < model.layout->tensor_count; i++)
                (void)fprintf(oracle, "%s\n", model.layout->tensors[i].name);
        assert_int_equal(pclose(oracle), 0);
        scope_model_fini(&model);
}

static void test_transformers_reads_the_same_weights_and_computes_the_same(void **state)
{
        (void)state;
        const char *python = getenv("SCOPE_PYTHON");
        if (python == NULL)
                test_skip("SCOPE_PYTHON names no Python that has transformers");

        ask_transformers(python, scope_model_config_tiny());
        ask_transformers(python, config_small("llama", true));
        ask_transformers(python, config_small("qwen2", false));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_kind_reads_back_equal),
                cmocka_unit_test(test_tiny_models_carry_their_tokenizer_and_others_are_copied),
                cmocka_unit_test(test_a_directory_is_replaced_whole_and_leaves_nothing_beside),
                cmocka_unit_test(test_a_failed_save_harms_nothing),
                cmocka_unit_test(test_configs_we_cannot_honour_are_refused_by_name),
                cmocka_unit_test(test_models_of_others_load),
                cmocka_unit_test(test_transformers_reads_the_same_weights_and_computes_the_same),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
