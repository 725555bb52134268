/* Whole models in both forms: what transformers saved in shards and what the gguf package wrote of
 * the same weights load as one and the same model; what we write loads again bit for bit and says
 * what they say. tests/oracle/gguf_fixtures.py made the fixtures. */
#include "tests/test.h"

#include <float.h>
#include <jansson.h>
#include <math.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "models/chat_template.h"
#include "models/gguf.h"
#include "models/gguf_blocks.h"
#include "models/gguf_model.h"
#include "models/gguf_tokenizer.h"
#include "models/gguf_write.h"
#include "models/hf_directory.h"
#include "models/tokenizer.h"

static const char *const kinds[] = { "llama", "qwen2", "qwen3" };
enum { KINDS = 3 };
static char root[64];

static int setup(void **state)
{
        (void)state;
        (void)snprintf(root, sizeof root, "/tmp/scope-gguf-%d", (int)getpid());
        return scope_directory_create(root, NULL) == SCOPE_OK ? 0 : -1;
}

static int teardown(void **state)
{
        (void)state;
        scope_directory_remove(root);
        return 0;
}

/* A path in the fixtures, in one of a few static places. */
static const char *fixture(const char *kind, const char *end)
{
        static char paths[4][512];
        static int used;
        char name[256];
        char *path = paths[used++ % 4];
        (void)snprintf(name, sizeof name, "tests/fixtures/gguf/%s%s", kind, end);
        (void)snprintf(path, sizeof paths[0], "%.511s", test_source(name));
        return path;
}

static const char *made(const char *name)
{
        static char paths[4][512];
        static int used;
        char *path = paths[used++ % 4];
        (void)snprintf(path, sizeof paths[0], "%s/%s", root, name);
        return path;
}

static struct scope_model load(const char *path)
{
        struct scope_model model = { 0 };
        struct scope_diag diag = { "" };
        if (scope_model_load(path, &model, &diag) != SCOPE_OK)
                fail_msg("%s", diag.text);
        return model;
}

static void assert_same(const struct scope_model *a, const struct scope_model *b)
{
        const struct scope_model_config *x = &a->layout->config, *y = &b->layout->config;
        assert_true(a->layout->hash == b->layout->hash);
        assert_string_equal(x->model_type, y->model_type);
        assert_int_equal(x->positions_max, y->positions_max);
        assert_int_equal(x->bos, y->bos);
        assert_int_equal(x->pad, y->pad);
        assert_int_equal(x->eos_count, y->eos_count);
        for (uint32_t i = 0; i < x->eos_count; i++) /* the file has no order of them */
                assert_true(x->eos[i] == y->eos[0] || x->eos[i] == y->eos[1]);
        assert_memory_equal(
                a->parameters, b->parameters, a->layout->float_count * sizeof(float));
}

static void test_both_forms_are_one_model(void **state)
{
        (void)state;
        for (int i = 0; i < KINDS; i++) {
                struct scope_model directory = load(fixture(kinds[i], ""));
                struct scope_model file = load(fixture(kinds[i], ".gguf"));
                assert_same(&directory, &file);
                assert_true(directory.layout->config.rope_scaling.on == (i == 0));
                assert_true(directory.layout->config.qkv_bias == (i == 1));
                scope_model_fini(&directory);
                scope_model_fini(&file);
        }
}

static void assert_same_value(
        const struct scope_gguf_value *theirs, const struct scope_gguf_value *ours)
{
        if (ours == NULL)
                fail_msg("no %.*s", (int)theirs->key.count, theirs->key.bytes);
        if (theirs->type != ours->type || theirs->element != ours->element
                || theirs->byte_count != ours->byte_count
                || memcmp(theirs->bytes, ours->bytes, theirs->byte_count) != 0)
                fail_msg("%.*s is another", (int)theirs->key.count, theirs->key.bytes);
}

static void assert_same_file(const char *theirs_path, const char *ours_path)
{
        struct scope_gguf theirs, ours;
        char key[128];
        assert_ok(scope_gguf_open(theirs_path, &theirs, NULL));
        assert_ok(scope_gguf_open(ours_path, &ours, NULL));
        for (uint32_t i = 0; i < theirs.value_count; i++) {
                const struct scope_gguf_value *value = &theirs.values[i];
                (void)snprintf(key, sizeof key, "%.*s", (int)value->key.count, value->key.bytes);
                assert_same_value(value, scope_gguf_find(&ours, key));
        }
        assert_int_equal(theirs.tensor_count, ours.tensor_count);
        for (uint32_t i = 0; i < theirs.tensor_count; i++) {
                const struct scope_gguf_tensor *a = &theirs.tensors[i], *b = &ours.tensors[i];
                assert_true(a->name.count == b->name.count && a->elements == b->elements);
                assert_memory_equal(a->name.bytes, b->name.bytes, a->name.count);
                float *x = malloc(a->elements * sizeof *x), *y = malloc(a->elements * sizeof *y);
                assert_ok(scope_gguf_read(&theirs, a, x, NULL));
                assert_ok(scope_gguf_read(&ours, b, y, NULL));
                for (uint64_t j = 0; j < a->elements; j++) /* factors: in another order of sums */
                        assert_true(x[j] == y[j]
                                || (a->elements == 8 && fabsf(x[j] - y[j]) < 1e-6f * x[j]));
                free(x);
                free(y);
        }
        scope_gguf_fini(&theirs);
        scope_gguf_fini(&ours);
}

/* Every key and tensor of the gguf package's file stands in ours, with the same bytes. */
static void test_exports_say_what_the_package_says(void **state)
{
        (void)state;
        for (int i = 0; i < KINDS; i++) {
                struct scope_model model = load(fixture(kinds[i], ""));
                struct scope_diag diag = { "" };
                const char *path = made(i == 0 ? "a.gguf" : i == 1 ? "b.gguf" : "c.gguf");
                if (scope_gguf_model_save(path, model.layout, model.parameters,
                            fixture(kinds[i], ""), SCOPE_GGUF_AS_F32, &diag) != SCOPE_OK)
                        fail_msg("%s", diag.text);
                assert_same_file(fixture(kinds[i], ".gguf"), path);
                struct scope_model again = load(path);
                assert_same(&model, &again);
                assert_int_equal(scope_gguf_model_save(path, model.layout, model.parameters,
                        fixture(kinds[i], ""), SCOPE_GGUF_AS_F32, &diag), SCOPE_ERR_EXISTS);
                scope_model_fini(&model);
                scope_model_fini(&again);
        }
}

static void test_smaller_forms_hold_what_their_blocks_can(void **state)
{
        (void)state;
        static const struct {
                enum scope_gguf_form form;
                uint32_t type;
                const char *path;
        } forms[] = { { SCOPE_GGUF_AS_F16, SCOPE_GGUF_TENSOR_F16, "f16.gguf" },
                { SCOPE_GGUF_AS_BF16, SCOPE_GGUF_TENSOR_BF16, "bf16.gguf" },
                { SCOPE_GGUF_AS_Q8_0, SCOPE_GGUF_TENSOR_Q8_0, "q8.gguf" } };
        struct scope_model model = load(fixture("llama", ""));
        for (int i = 0; i < 3; i++) {
                const struct scope_gguf_block *block = scope_gguf_block(forms[i].type);
                assert_ok(scope_gguf_model_save(made(forms[i].path), model.layout, model.parameters,
                        fixture("llama", ".gguf"), forms[i].form, NULL));
                struct scope_model again = load(made(forms[i].path));
                for (uint32_t t = 0; t < model.layout->tensor_count; t++) {
                        const struct scope_tensor *tensor = &model.layout->tensors[t];
                        const size_t count = (size_t)tensor->rows * tensor->columns;
                        const float *from = model.parameters + tensor->offset;
                        uint8_t *bytes = malloc(count * 4);
                        float *expected = malloc(count * sizeof *expected);
                        memcpy(expected, from, count * sizeof *expected);
                        if (tensor->rank == 2) {
                                block->pack(from, count / block->elements, bytes);
                                block->unpack(bytes, count / block->elements, expected);
                        }
                        assert_memory_equal(again.parameters + tensor->offset, expected,
                                count * sizeof *expected);
                        free(bytes);
                        free(expected);
                }
                scope_model_fini(&again);
        }
        scope_model_fini(&model);
}

static void test_numbers_a_form_cannot_hold_are_refused(void **state)
{
        (void)state;
        struct scope_model model = load(fixture("qwen2", ""));
        struct scope_diag diag = { "" };
        model.parameters[model.layout->layers[1].gate] = 70000.0f;
        assert_int_equal(scope_gguf_model_save(made("no.gguf"), model.layout, model.parameters,
                fixture("qwen2", ""), SCOPE_GGUF_AS_F16, &diag), SCOPE_ERR_ARGUMENT);
        assert_non_null(strstr(diag.text, "blk.1.ffn_gate.weight holds 70000"));
        assert_int_not_equal(access(made("no.gguf"), F_OK), 0);
        assert_int_not_equal(access(made("no.gguf.tmp"), F_OK), 0);
        model.parameters[model.layout->layers[1].gate] = FLT_MAX; /* rounds to infinity */
        assert_int_equal(scope_gguf_model_save(made("no.gguf"), model.layout, model.parameters,
                fixture("qwen2", ""), SCOPE_GGUF_AS_BF16, &diag), SCOPE_ERR_ARGUMENT);
        scope_model_fini(&model);
}

static json_t *load_json(const char *directory, const char *name)
{
        char path[600];
        json_error_t error;
        (void)snprintf(path, sizeof path, "%s/%s", directory, name);
        json_t *root_json = json_load_file(path, JSON_DECODE_INT_AS_REAL, &error);
        if (root_json == NULL)
                fail_msg("%s: %s", path, error.text);
        return root_json;
}

static json_t *at(json_t *object, const char *a, const char *b)
{
        json_t *value = json_object_get(object, a);
        return b != NULL ? json_object_get(value, b) : value;
}

/* The merges of both, in the old form. */
static void assert_same_merges(json_t *pairs, json_t *texts)
{
        json_t *pair;
        size_t i;
        assert_int_equal(json_array_size(pairs), json_array_size(texts));
        json_array_foreach(pairs, i, pair) {
                char both[128];
                (void)snprintf(both, sizeof both, "%s %s",
                        json_string_value(json_array_get(pair, 0)),
                        json_string_value(json_array_get(pair, 1)));
                assert_string_equal(both, json_string_value(json_array_get(texts, i)));
        }
}

static void test_an_import_has_the_tokenizer_that_was_exported(void **state)
{
        (void)state;
        for (int i = 0; i < KINDS; i++) {
                struct scope_model model = load(fixture(kinds[i], ".gguf"));
                struct scope_diag diag = { "" };
                if (scope_model_save(made("import"), model.layout, model.parameters,
                            fixture(kinds[i], ".gguf"), &diag) != SCOPE_OK)
                        fail_msg("%s", diag.text);
                struct scope_model again = load(made("import"));
                assert_same(&model, &again);
                json_t *theirs = load_json(fixture(kinds[i], ""), "tokenizer.json");
                json_t *ours = load_json(made("import"), "tokenizer.json");
                json_t *config = load_json(made("import"), "tokenizer_config.json");
                json_t *their_config = load_json(fixture(kinds[i], ""), "tokenizer_config.json");
                /* Added tokens stand in our vocabulary as well, as in SmolLM2's own file. */
                json_t *value;
                const char *word;
                json_object_foreach(at(theirs, "model", "vocab"), word, value)
                        assert_true(json_equal(value, json_object_get(
                                at(ours, "model", "vocab"), word)));
                assert_same_merges(at(theirs, "model", "merges"), at(ours, "model", "merges"));
                assert_true(json_equal(at(theirs, "added_tokens", NULL),
                        at(ours, "added_tokens", NULL)));
                assert_true(json_equal(at(theirs, "normalizer", NULL),
                        at(ours, "normalizer", NULL)));
                assert_true(json_equal(at(theirs, "pre_tokenizer", NULL),
                        at(ours, "pre_tokenizer", NULL)));
                assert_true(json_equal(at(theirs, "model", "ignore_merges"),
                        at(ours, "model", "ignore_merges")));
                assert_true(json_equal(at(their_config, "eos_token", NULL),
                        at(config, "eos_token", NULL)));
                assert_true(json_string_length(at(config, "chat_template", NULL)) > 100);
                json_decref(theirs);
                json_decref(ours);
                json_decref(config);
                json_decref(their_config);
                scope_model_fini(&model);
                scope_model_fini(&again);
        }
}

/* A real tokenizer, all of it: through GGUF and back it cuts texts as before. */
static void test_the_qwen3_tokenizer_survives(void **state)
{
        (void)state;
        static const char *const texts[] = { "Janet’s ducks lay 16 eggs per day.\n\nShe eats 3.",
                "naïve café 日本語 😀\t\tdef f(x):\n    return x**2", "<think>\n1+1=2\n</think>",
                "<|im_start|>user\nHi<|im_end|>\n", "e\u0301 \r\n   \r\n  x" };
        const char *path = test_shared("data/tokenizers/qwen3/tokenizer.json");
        const struct scope_model_config config = { .model_type = "qwen3", .vocab = 151936,
                .bos = UINT32_MAX, .pad = 151643, .eos = { 151645 }, .eos_count = 1 };
        struct scope_gguf_writer writer = { .value_count = 0 };
        struct scope_gguf_tokenizer view;
        struct scope_tokenizer *theirs = NULL, *ours = NULL;
        struct scope_text json = { 0 };
        struct scope_diag diag = { "" };
        struct scope_gguf file;
        char directory[4096];
        if (path == NULL)
                test_skip("no shared tokenizers");

        (void)snprintf(directory, sizeof directory, "%.*s",
                (int)(strlen(path) - strlen("/tokenizer.json")), path);
        if (scope_gguf_put_tokenizer(&writer, directory, &config, &diag) != SCOPE_OK)
                fail_msg("%s", diag.text);
        assert_ok(scope_gguf_write(made("qwen3.gguf"), &writer, NULL, 0, NULL));
        assert_ok(scope_gguf_open(made("qwen3.gguf"), &file, NULL));
        assert_ok(scope_gguf_tokenizer(&file, &view, NULL));
        assert_true(scope_gguf_text_is(view.pre, "qwen2") && view.eos == 151645);
        assert_int_equal(view.tokens->count, 151936);
        assert_int_equal(scope_gguf_integer_at(view.types, 151935), SCOPE_GGUF_TOKEN_UNUSED);
        assert_ok(scope_gguf_tokenizer_json(&view, &json, NULL));
        if (scope_tokenizer_parse(json.bytes, json.count, &ours, &diag) != SCOPE_OK)
                fail_msg("%s", diag.text);
        assert_ok(scope_tokenizer_load(directory, &theirs, NULL));
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
                uint32_t a[128], b[128];
                size_t a_count = 0, b_count = 0;
                assert_ok(scope_tokenizer_encode(
                        theirs, texts[i], strlen(texts[i]), a, 128, &a_count));
                assert_ok(scope_tokenizer_encode(
                        ours, texts[i], strlen(texts[i]), b, 128, &b_count));
                assert_int_equal(a_count, b_count);
                assert_memory_equal(a, b, a_count * sizeof *a);
        }
        scope_tokenizer_destroy(ours);
        scope_tokenizer_destroy(theirs);
        scope_text_fini(&json);
        scope_gguf_writer_fini(&writer);
        scope_gguf_fini(&file);
}

/* model_max_length = 10^30 in tokenizer_config.json is no reason to refuse it. */
static void test_chat_templates_of_both_forms_load(void **state)
{
        (void)state;
        for (int i = 0; i < 2 * KINDS; i++) {
                struct scope_chat_template *chat = NULL;
                struct scope_diag diag = { "" };
                const char *path = fixture(kinds[i / 2], i % 2 == 0 ? "" : ".gguf");
                if (scope_chat_template_load(path, &chat, &diag) != SCOPE_OK)
                        fail_msg("%s", diag.text);
                scope_chat_template_destroy(chat);
        }
}

/* --- directories ------------------------------------------------------------------------- */

static void test_shards_are_written_and_read_back(void **state)
{
        (void)state;
        struct scope_model model = load(fixture("qwen3", "")); /* bf16: nothing is rounded */
        const struct scope_model_save_options options = { .like = fixture("qwen3", ""),
                .dtype = SCOPE_DTYPE_BF16, .shard_bytes = 20000 };
        assert_ok(scope_model_save_as(
                made("shards"), model.layout, model.parameters, &options, NULL));
        struct scope_model again = load(made("shards"));
        assert_same(&model, &again);
        json_t *index = load_json(made("shards"), "model.safetensors.index.json");
        json_t *config = load_json(made("shards"), "config.json");
        assert_int_equal(json_real_value(at(index, "metadata", "total_size")),
                2 * model.layout->parameter_count);
        assert_int_equal(
                json_object_size(at(index, "weight_map", NULL)), model.layout->tensor_count);
        assert_string_equal(json_string_value(at(config, "dtype", NULL)), "bfloat16");
        assert_null(at(config, "torch_dtype", NULL));
        json_decref(index);
        json_decref(config);
        scope_model_fini(&model);
        scope_model_fini(&again);
}

/* Writes DIRECTORY/NAME. */
static void put(const char *directory, const char *name, const char *text)
{
        char path[600];
        (void)snprintf(path, sizeof path, "%s/%s", directory, name);
        assert_ok(scope_file_commit(path, text, strlen(text), NULL));
}

static void get(const char *directory, const char *name, char **ret_bytes)
{
        char path[600];
        size_t count;
        (void)snprintf(path, sizeof path, "%s/%s", directory, name);
        assert_ok(scope_file_read(path, 1 << 20, ret_bytes, &count, NULL));
}

static void test_what_we_do_not_know_is_kept(void **state)
{
        (void)state;
        struct scope_model model = load(fixture("qwen2", ""));
        struct scope_diag diag = { "" };
        struct scope_text text = { 0 };
        assert_ok(scope_model_save(made("like"), model.layout, model.parameters,
                fixture("qwen2", ""), NULL));
        char *config = NULL;
        get(made("like"), "config.json", &config);
        /* Keys of ours inside of others' objects are others' keys. */
        scope_text_string(
                &text, "{ \"odd\": {\"dtype\": \"int3\", \"torch_dtype\": [1e-5, \"}\"]},");
        scope_text_string(&text, strchr(config, '{') + 1);
        put(made("like"), "config.json", text.bytes);
        put(made("like"), "generation_config.json",
                "{\"eos_token_id\": 300, \"temperature\": 0.7}");
        put(made("like"), "chat_template.jinja", "{{ 1 }}");
        if (scope_model_save(made("kept"), model.layout, model.parameters, made("like"), &diag)
                != SCOPE_OK)
                fail_msg("%s", diag.text);
        char *kept = NULL;
        get(made("kept"), "config.json", &kept);
        char *generation = NULL;
        get(made("kept"), "generation_config.json", &generation);
        char *template_text = NULL;
        get(made("kept"), "chat_template.jinja", &template_text);
        assert_string_equal(kept, text.bytes); /* float32 both times: byte for byte */
        assert_non_null(strstr(generation, "0.7"));
        assert_string_equal(template_text, "{{ 1 }}");
        struct scope_model again = load(made("kept"));
        assert_same(&model, &again);
        /* Another model does not take over what is said about that one. */
        struct scope_model other = load(fixture("qwen3", ""));
        assert_ok(scope_model_save(
                made("kept"), other.layout, other.parameters, made("like"), NULL));
        free(kept);
        get(made("kept"), "config.json", &kept);
        assert_null(strstr(kept, "odd"));
        scope_text_fini(&text);
        free(config);
        free(kept);
        free(generation);
        free(template_text);
        scope_model_fini(&model);
        scope_model_fini(&again);
        scope_model_fini(&other);
}

static void refuse_index(const char *index, enum scope_err expected, const char *word)
{
        struct scope_model model = { 0 };
        struct scope_diag diag = { "" };
        put(made("index"), "model.safetensors.index.json", index);
        enum scope_err err = scope_model_load(made("index"), &model, &diag);
        if (err != expected || strstr(diag.text, word) == NULL)
                fail_msg("%s gave %s: %s", index, scope_err_name(err), diag.text);
        assert_null(model.parameters);
}

static void test_indexes_that_lead_elsewhere_are_refused(void **state)
{
        (void)state;
        char *config = NULL;
        get(fixture("qwen2", ""), "config.json", &config);
        assert_ok(scope_directory_create(made("index"), NULL));
        put(made("index"), "config.json", config);
        refuse_index("{", SCOPE_ERR_FORMAT, "index.json:1");
        refuse_index("{}", SCOPE_ERR_FORMAT, "no weight_map");
        refuse_index("{\"weight_map\":{}}", SCOPE_ERR_NOT_FOUND, "embed_tokens");
        refuse_index("{\"weight_map\":{\"model.embed_tokens.weight\":\"../x.safetensors\"}}",
                SCOPE_ERR_FORMAT, "is no name of a safetensors file");
        refuse_index("{\"weight_map\":{\"model.embed_tokens.weight\":\"/etc/passwd\"}}",
                SCOPE_ERR_FORMAT, "is no name");
        refuse_index("{\"weight_map\":{\"model.embed_tokens.weight\":\".safetensors\"}}",
                SCOPE_ERR_FORMAT, "is no name");
        refuse_index("{\"weight_map\":{\"model.embed_tokens.weight\":\"m.safetensors\"}}",
                SCOPE_ERR_NOT_FOUND, "m.safetensors");
        refuse_index("{\"weight_map\":{\"model.embed_tokens.weight\":7}}", SCOPE_ERR_NOT_FOUND,
                "embed_tokens");
        free(config);
}

/* --- files that lie ---------------------------------------------------------------------- */

/* The fixture with its first `find` replaced by as many bytes must be refused. */
static void refuse_file(const char *kind, const char *find, const char *replace, size_t count,
        enum scope_err expected, const char *word)
{
        struct scope_model model = { 0 };
        struct scope_diag diag = { "" };
        char *bytes = NULL;
        size_t size;
        assert_ok(scope_file_read(fixture(kind, ".gguf"), 1 << 20, &bytes, &size, NULL));
        char *place = memmem(bytes, size, find, count);
        assert_non_null(place);
        memcpy(place, replace, count);
        assert_ok(scope_file_commit(made("lie.gguf"), bytes, size, NULL));
        enum scope_err err = scope_model_load(made("lie.gguf"), &model, &diag);
        if (err != expected || strstr(diag.text, word) == NULL)
                fail_msg("%s gave %s: %s", replace, scope_err_name(err), diag.text);
        assert_null(model.parameters);
        free(bytes);
}

static void test_models_we_cannot_honour_are_refused_by_name(void **state)
{
        (void)state;
#define REFUSE(kind, find, replace, err, word)                                                     \
        refuse_file(kind, find, replace, sizeof find - 1, err, word)
        REFUSE("llama", "\5\0\0\0\0\0\0\0llama", "\5\0\0\0\0\0\0\0mamba", SCOPE_ERR_UNSUPPORTED,
                "\"mamba\" is not supported");
        REFUSE("llama", "blk.1.ffn_up.weight", "blk.1.ffn_no.weight", SCOPE_ERR_NOT_FOUND,
                "blk.1.ffn_up.weight");
        REFUSE("llama", "llama.block_count\4\0\0\0\2", "llama.block_count\4\0\0\0\1",
                SCOPE_ERR_UNSUPPORTED, "no place for tensor \"blk.1.");
        REFUSE("llama", "llama.embedding_length\4\0\0\0\40", "llama.embedding_length\4\0\0\0\100",
                SCOPE_ERR_FORMAT, "token_embd.weight");
        REFUSE("llama", "llama.block_count\4\0\0\0\2\0\0\0",
                "llama.block_count\4\0\0\0\377\377\377\377", SCOPE_ERR_SHAPE, "block_count");
        REFUSE("llama", "llama.attention.value_length\4\0\0\0\20",
                "llama.attention.value_length\4\0\0\0\22", SCOPE_ERR_UNSUPPORTED, "value_length");
        REFUSE("qwen2", "blk.0.attn_q.bias", "blk.0.attn_q.boas", SCOPE_ERR_UNSUPPORTED, "biases");
        REFUSE("qwen3", "qwen3.attention.head_count\4", "qwen3.attention.head_count\6",
                SCOPE_ERR_FORMAT, "head_count\" is f32, not a count");
        REFUSE("qwen3", "output_norm.weight", "output_nerm.weight", SCOPE_ERR_NOT_FOUND,
                "output_norm");
#undef REFUSE
}

static void test_unknown_patterns_are_refused_by_name(void **state)
{
        (void)state;
        struct scope_model model = load(fixture("qwen2", ""));
        struct scope_diag diag = { "" };
        char *json = NULL;
        get(fixture("qwen2", ""), "tokenizer.json", &json);
        assert_ok(scope_model_save(made("odd"), model.layout, model.parameters,
                fixture("qwen2", ""), NULL));
        char *place = strstr(json, "Isolated");
        assert_non_null(place);
        memcpy(place, "Removed\"", 8);
        memmove(place + 8, place + 9, strlen(place + 9) + 1);
        put(made("odd"), "tokenizer.json", json);
        assert_int_equal(scope_gguf_model_save(made("odd.gguf"), model.layout, model.parameters,
                made("odd"), SCOPE_GGUF_AS_F32, &diag), SCOPE_ERR_UNSUPPORTED);
        assert_non_null(strstr(diag.text, "pre_tokenizer"));
        struct scope_gguf_tokenizer tokenizer = {
                .model = { "gpt2", 4 }, .pre = { "dbrx", 4 }, .bos = UINT32_MAX
        };
        struct scope_text text = { 0 };
        assert_int_equal(scope_gguf_tokenizer_json(&tokenizer, &text, &diag),
                SCOPE_ERR_UNSUPPORTED);
        assert_non_null(strstr(diag.text, "\"dbrx\""));
        tokenizer.model = (struct scope_gguf_text){ "llama", 5 };
        assert_int_equal(scope_gguf_tokenizer_json(&tokenizer, &text, &diag),
                SCOPE_ERR_UNSUPPORTED);
        assert_non_null(strstr(diag.text, "\"llama\""));
        free(json);
        scope_model_fini(&model);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_both_forms_are_one_model),
                cmocka_unit_test(test_exports_say_what_the_package_says),
                cmocka_unit_test(test_smaller_forms_hold_what_their_blocks_can),
                cmocka_unit_test(test_numbers_a_form_cannot_hold_are_refused),
                cmocka_unit_test(test_an_import_has_the_tokenizer_that_was_exported),
                cmocka_unit_test(test_the_qwen3_tokenizer_survives),
                cmocka_unit_test(test_chat_templates_of_both_forms_load),
                cmocka_unit_test(test_shards_are_written_and_read_back),
                cmocka_unit_test(test_what_we_do_not_know_is_kept),
                cmocka_unit_test(test_indexes_that_lead_elsewhere_are_refused),
                cmocka_unit_test(test_models_we_cannot_honour_are_refused_by_name),
                cmocka_unit_test(test_unknown_patterns_are_refused_by_name),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
