/* hf_config.c - reading is a list of refusals: a key that changes the arithmetic and is not known
 * here ends the load with its name. */
#include "models/hf_config.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/text.h"

enum { CONFIG_BYTES_MAX = 1 << 20 };

struct reader {
        const char *path;
        json_t *root;
        struct scope_diag *diag;
};

static enum scope_err bad(const struct reader *reader, const char *key, const char *what)
{
        return scope_diag_set(reader->diag, SCOPE_ERR_FORMAT, "%s: %s %s", reader->path, key, what);
}

static enum scope_err unsupported(
        const struct reader *reader, const char *key, const char *value, const char *known)
{
        return scope_diag_set(reader->diag, SCOPE_ERR_UNSUPPORTED,
                "%s: %s = %.60s is not supported; %s", reader->path, key, value, known);
}

static enum scope_err reader_open(
        struct reader *reader, const char *json, size_t bytes)
{
        json_error_t error;
        reader->root = json_loadb(json, bytes, JSON_REJECT_DUPLICATES, &error);
        if (json_is_object(reader->root))
                return SCOPE_OK;
        bool parsed = reader->root != NULL;
        json_decref(reader->root);
        reader->root = NULL;
        return scope_diag_set(reader->diag, SCOPE_ERR_FORMAT, "%s:%d:%d: %s", reader->path,
                parsed ? 1 : error.line, parsed ? 1 : error.column,
                parsed ? "not an object" : error.text);
}

/* A missing or null key leaves what stands in *ret_value. */
static enum scope_err read_count(
        const struct reader *reader, const json_t *object, const char *key, uint32_t *ret_value)
{
        json_t *value = json_object_get(object, key);
        if (value == NULL || json_is_null(value))
                return SCOPE_OK;
        if (!json_is_integer(value) || json_integer_value(value) < 0 ||
                json_integer_value(value) >= UINT32_MAX)
                return bad(reader, key, "is not a count");
        *ret_value = (uint32_t)json_integer_value(value);
        return SCOPE_OK;
}

static enum scope_err read_real(
        const struct reader *reader, const json_t *object, const char *key, float *ret_value)
{
        json_t *value = json_object_get(object, key);
        if (value == NULL || json_is_null(value))
                return SCOPE_OK;
        if (!json_is_number(value))
                return bad(reader, key, "is not a number");
        *ret_value = (float)json_number_value(value);
        return SCOPE_OK;
}

/* A token id, or -1 or null for none (old Llama files). */
static enum scope_err read_id(const struct reader *reader, const char *key, uint32_t *ret_id)
{
        json_t *value = json_object_get(reader->root, key);
        if (json_is_integer(value) && json_integer_value(value) == -1)
                return SCOPE_OK;
        return read_count(reader, reader->root, key, ret_id);
}

/* One id or a list of them, added to those that stand. */
static enum scope_err read_eos(const struct reader *reader, struct scope_model_config *config)
{
        json_t *value = json_object_get(reader->root, "eos_token_id");
        size_t count = json_is_array(value) ? json_array_size(value) : 1;
        if (value == NULL || json_is_null(value))
                return SCOPE_OK;
        for (size_t i = 0; i < count; i++) {
                json_t *id = json_is_array(value) ? json_array_get(value, i) : value;
                uint32_t at = 0;
                if (!json_is_integer(id) || json_integer_value(id) < 0 ||
                        json_integer_value(id) >= UINT32_MAX)
                        return bad(reader, "eos_token_id", "is not a token id");
                while (at < config->eos_count && config->eos[at] != json_integer_value(id))
                        at++;
                if (at == SCOPE_EOS_MAX)
                        return bad(reader, "eos_token_id", "lists too many tokens");
                config->eos[at] = (uint32_t)json_integer_value(id);
                config->eos_count += at == config->eos_count;
        }
        return SCOPE_OK;
}

static bool is_set(const struct reader *reader, const char *key)
{
        json_t *value = json_object_get(reader->root, key);
        return value != NULL && !json_is_null(value) && !json_is_false(value);
}

/* --- what would make the arithmetic another one ---------------------------------------------- */

static enum scope_err check_layer_types(const struct reader *reader)
{
        json_t *types = json_object_get(reader->root, "layer_types"), *type;
        size_t i;
        json_array_foreach(types, i, type)
        {
                const char *name = json_string_value(type);
                if (name == NULL || strcmp(name, "full_attention") != 0)
                        return unsupported(reader, "layer_types", name != NULL ? name : "(no text)",
                                "every layer attends to everything here");
        }
        return SCOPE_OK;
}

static enum scope_err check_variants(const struct reader *reader)
{
        static const struct {
                const char *key, *why;
        } off[] = {
                { "mlp_bias", "feed-forward layers have no bias here" },
                { "use_sliding_window", "there is no sliding window here" },
                { "num_experts", "there are no mixtures of experts here" },
                { "num_local_experts", "there are no mixtures of experts here" },
                { "quantization_config", "dequantise the model first" },
                { "partial_rotary_factor", "all of a head is rotated here" },
        };
        const char *act = json_string_value(json_object_get(reader->root, "hidden_act"));
        if (act != NULL && strcmp(act, "silu") != 0 && strcmp(act, "swish") != 0)
                return unsupported(reader, "hidden_act", act, "only \"silu\" is");
        for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
                json_t *value = json_object_get(reader->root, off[i].key);
                if (is_set(reader, off[i].key) &&
                        !(json_is_number(value) && json_number_value(value) == 1.0 &&
                                strcmp(off[i].key, "partial_rotary_factor") == 0))
                        return unsupported(reader, off[i].key, "(set)", off[i].why);
        }
        return check_layer_types(reader);
}

/* --- rotary positions ------------------------------------------------------------------------ */

/* `rope` is rope_scaling (with "type" in old files) or rope_parameters. */
static enum scope_err read_scaling(const struct reader *reader, const char *key, const json_t *rope,
        struct scope_model_config *config)
{
        struct scope_rope_scaling *scaling = &config->rope_scaling;
        const char *type = json_string_value(json_object_get(rope, "rope_type"));
        if (type == NULL)
                type = json_string_value(json_object_get(rope, "type"));
        if (!json_is_object(rope))
                return bad(reader, key, "is not an object");
        if (json_object_get(rope, "mrope_section") != NULL)
                return unsupported(reader, key, "mrope", "pictures and video are not read here");
        if (type == NULL && json_object_size(rope) > 0 &&
                json_object_get(rope, "rope_theta") == NULL)
                return bad(reader, key, "has no rope_type");
        json_t *partial = json_object_get(rope, "partial_rotary_factor");
        if (json_is_number(partial) && json_number_value(partial) != 1.0)
                return unsupported(
                        reader, key, "partial_rotary_factor", "all of a head is rotated here");
        if (type == NULL || strcmp(type, "default") == 0)
                return SCOPE_OK;
        if (strcmp(type, "llama3") != 0)
                return unsupported(
                        reader, key, type, "rope_type can be \"default\" or \"llama3\"");
        scaling->on = true;
        enum scope_err err = read_real(reader, rope, "factor", &scaling->factor);
        if (err == SCOPE_OK)
                err = read_real(reader, rope, "low_freq_factor", &scaling->low_freq_factor);
        if (err == SCOPE_OK)
                err = read_real(reader, rope, "high_freq_factor", &scaling->high_freq_factor);
        if (err == SCOPE_OK)
                err = read_count(reader, rope, "original_max_position_embeddings",
                        &scaling->original_positions);
        return err;
}

static enum scope_err read_rope(const struct reader *reader, struct scope_model_config *config)
{
        json_t *parameters = json_object_get(reader->root, "rope_parameters");
        json_t *scaling = json_object_get(reader->root, "rope_scaling");
        enum scope_err err = read_real(reader, reader->root, "rope_theta", &config->rope_theta);
        if (err == SCOPE_OK && scaling != NULL && !json_is_null(scaling))
                err = read_scaling(reader, "rope_scaling", scaling, config);
        if (err != SCOPE_OK || parameters == NULL || json_is_null(parameters))
                return err;
        config->rope_scaling = (struct scope_rope_scaling){ 0 }; /* the newer form rules */
        err = read_real(reader, parameters, "rope_theta", &config->rope_theta);
        return err == SCOPE_OK ? read_scaling(reader, "rope_parameters", parameters, config) : err;
}

/* --- family and head ------------------------------------------------------------------------- */

static enum scope_err check_labels(const struct reader *reader)
{
        json_t *names = json_object_get(reader->root, "id2label");
        json_t *count = json_object_get(reader->root, "num_labels");
        if ((json_is_object(names) && json_object_size(names) != 2) ||
                (json_is_integer(count) && json_integer_value(count) != 2))
                return unsupported(reader, json_is_object(names) ? "id2label" : "num_labels",
                        "(not two labels)", "a step is wrong (0) or right (1)");
        return SCOPE_OK;
}

static enum scope_err read_head(const struct reader *reader, struct scope_model_config *config)
{
        static const struct {
                const char *type, *prefix;
        } families[] = { { "llama", "Llama" }, { "qwen2", "Qwen2" }, { "qwen3", "Qwen3" } };
        const char *name = json_string_value(
                json_array_get(json_object_get(reader->root, "architectures"), 0));
        if (name == NULL)
                return SCOPE_OK; /* a bare config: a language model */
        for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
                size_t bytes = strlen(families[i].prefix);
                if (strcmp(config->model_type, families[i].type) != 0 ||
                        strncmp(name, families[i].prefix, bytes) != 0)
                        continue;
                if (strcmp(name + bytes, "ForCausalLM") == 0)
                        return SCOPE_OK;
                if (strcmp(name, "Qwen2ForProcessRewardModel") == 0) {
                        config->head = SCOPE_HEAD_REWARD;
                        return SCOPE_OK;
                }
                if (strcmp(name + bytes, "ForTokenClassification") == 0) {
                        config->head = SCOPE_HEAD_CLASSES;
                        return check_labels(reader);
                }
        }
        return unsupported(reader, "architectures", name,
                "Llama, Qwen2 and Qwen3 are, as ForCausalLM or ForTokenClassification, and "
                "Qwen2ForProcessRewardModel");
}

static enum scope_err read_kind(const struct reader *reader, struct scope_model_config *config)
{
        const char *type = json_string_value(json_object_get(reader->root, "model_type"));
        if (type == NULL)
                return bad(reader, "model_type", "is missing");
        config->qk_norm = strcmp(type, "qwen3") == 0;
        if (strcmp(type, "qwen2") == 0) /* its code says so, its file does not */
                config->qkv_bias = true;
        else if (config->qk_norm || strcmp(type, "llama") == 0)
                config->qkv_bias = config->o_bias = is_set(reader, "attention_bias");
        else
                return unsupported(reader, "model_type", type,
                        "\"llama\" (SmolLM2 too), \"qwen2\" and \"qwen3\" are");
        (void)snprintf(config->model_type, sizeof config->model_type, "%s", type);
        config->tied = is_set(reader, "tie_word_embeddings");
        enum scope_err err = read_head(reader, config);
        return err == SCOPE_OK ? check_variants(reader) : err;
}

static enum scope_err read_config(const struct reader *reader, struct scope_model_config *config)
{
        const struct {
                const char *key;
                uint32_t *value;
        } counts[] = {
                { "num_hidden_layers", &config->layers },
                { "hidden_size", &config->hidden },
                { "num_attention_heads", &config->heads },
                { "num_key_value_heads", &config->kv_heads },
                { "head_dim", &config->head_dim },
                { "intermediate_size", &config->ffn },
                { "vocab_size", &config->vocab },
                { "max_position_embeddings", &config->positions_max },
        };
        *config = (struct scope_model_config){ .positions_max = 2048,
                .rope_theta = 10000,
                .rms_eps = 1e-6f,
                .bos = UINT32_MAX,
                .pad = UINT32_MAX };
        enum scope_err err = read_kind(reader, config);
        for (size_t i = 0; i < sizeof counts / sizeof *counts && err == SCOPE_OK; i++)
                err = read_count(reader, reader->root, counts[i].key, counts[i].value);
        if (err == SCOPE_OK)
                err = read_id(reader, "bos_token_id", &config->bos);
        if (err == SCOPE_OK)
                err = read_id(reader, "pad_token_id", &config->pad);
        if (err == SCOPE_OK)
                err = read_rope(reader, config);
        if (err == SCOPE_OK)
                err = read_real(reader, reader->root, "rms_norm_eps", &config->rms_eps);
        if (err == SCOPE_OK)
                err = read_eos(reader, config);
        if (err != SCOPE_OK)
                return err;
        if (config->kv_heads == 0)
                config->kv_heads = config->heads;
        if (config->head_dim == 0 && config->heads != 0)
                config->head_dim = config->hidden / config->heads;
        return SCOPE_OK;
}

enum scope_err scope_hf_config_parse(const char *path, const char *json, size_t bytes,
        struct scope_model_config *ret_config, struct scope_diag *diag)
{
        struct reader reader = { .path = path, .diag = diag };
        struct scope_model_config config;
        enum scope_err err = reader_open(&reader, json, bytes);
        if (err == SCOPE_OK)
                err = read_config(&reader, &config);
        json_decref(reader.root);
        if (err == SCOPE_OK)
                err = scope_model_config_check(&config, diag);
        if (err == SCOPE_OK)
                *ret_config = config;
        return err;
}

static enum scope_err read_file(const char *directory, const char *name, char *ret_path,
        char **ret_bytes, size_t *ret_count, struct scope_diag *diag)
{
        enum scope_err err = scope_path_format(ret_path, diag, "%s/%s", directory, name);
        if (err != SCOPE_OK)
                return err;
        return scope_file_read(ret_path, CONFIG_BYTES_MAX, ret_bytes, ret_count, diag);
}

/* A directory without the file is as good as one that adds nothing. */
static enum scope_err merge_generation(
        const char *directory, struct scope_model_config *config, struct scope_diag *diag)
{
        char path[SCOPE_PATH_BYTES_MAX], *bytes = NULL;
        size_t count = 0;
        struct scope_diag unread = { "" };
        struct reader reader = { .path = path, .diag = diag };
        enum scope_err err = read_file(
                directory, "generation_config.json", path, &bytes, &count, &unread);
        if (err == SCOPE_ERR_NOT_FOUND)
                return SCOPE_OK;
        if (err != SCOPE_OK)
                return scope_diag_set(diag, err, "%s", unread.text);
        err = reader_open(&reader, bytes, count);
        if (err == SCOPE_OK)
                err = read_eos(&reader, config);
        json_decref(reader.root);
        free(bytes);
        return err;
}

enum scope_err scope_hf_config_load(const char *directory, struct scope_model_config *ret_config,
        struct scope_diag *diag)
{
        char path[SCOPE_PATH_BYTES_MAX], *bytes = NULL;
        size_t count = 0;
        struct scope_model_config config;
        enum scope_err err = read_file(directory, "config.json", path, &bytes, &count, diag);
        if (err != SCOPE_OK)
                return err;
        err = scope_hf_config_parse(path, bytes, count, &config, diag);
        free(bytes);
        if (err == SCOPE_OK)
                err = merge_generation(directory, &config, diag);
        if (err == SCOPE_OK)
                err = scope_model_config_check(&config, diag);
        if (err == SCOPE_OK)
                *ret_config = config;
        return err;
}

/* --- writing --------------------------------------------------------------------------------- */

/* The fewest digits that read back as the same float. */
static void json_float(struct scope_text *text, const char *key, float value)
{
        char number[32];
        for (int digits = 1; digits <= 9; digits++) {
                (void)snprintf(number, sizeof number, "%.*g", digits, (double)value);
                if (strtof(number, NULL) == value)
                        break;
        }
        scope_json_raw(text, key, number, strlen(number));
}

static void json_id(struct scope_text *text, const char *key, uint32_t id)
{
        if (id == UINT32_MAX)
                scope_json_raw(text, key, "null", 4);
        else
                scope_json_uint(text, key, id);
}

static void json_ids(struct scope_text *text, const struct scope_model_config *config)
{
        json_id(text, "bos_token_id", config->bos);
        json_id(text, "pad_token_id", config->pad);
        if (config->eos_count == 1) {
                scope_json_uint(text, "eos_token_id", config->eos[0]);
                return;
        }
        if (config->eos_count == 0) {
                json_id(text, "eos_token_id", UINT32_MAX);
                return;
        }
        scope_json_open(text, "eos_token_id", '[');
        for (uint32_t i = 0; i < config->eos_count; i++)
                scope_json_uint(text, NULL, config->eos[i]);
        scope_json_close(text, ']');
}

static void json_class(struct scope_text *text, const struct scope_model_config *config)
{
        static const char *const heads[] = { "ForCausalLM", "ForProcessRewardModel",
                "ForTokenClassification" };
        const char *family = "Llama";
        if (strcmp(config->model_type, "qwen2") == 0)
                family = "Qwen2";
        if (strcmp(config->model_type, "qwen3") == 0)
                family = "Qwen3";
        char name[64];
        (void)snprintf(name, sizeof name, "%s%s", family, heads[config->head]);
        scope_json_open(text, "architectures", '[');
        scope_json_text(text, NULL, name);
        scope_json_close(text, ']');
        if (config->head == SCOPE_HEAD_CLASSES)
                scope_json_uint(text, "num_labels", 2);
}

/* The older form: every transformers reads it. */
static void json_rope(struct scope_text *text, const struct scope_model_config *config)
{
        const struct scope_rope_scaling *scaling = &config->rope_scaling;
        json_float(text, "rope_theta", config->rope_theta);
        if (!scaling->on)
                return;
        scope_json_open(text, "rope_scaling", '{');
        scope_json_text(text, "rope_type", "llama3");
        json_float(text, "factor", scaling->factor);
        json_float(text, "low_freq_factor", scaling->low_freq_factor);
        json_float(text, "high_freq_factor", scaling->high_freq_factor);
        scope_json_uint(text, "original_max_position_embeddings", scaling->original_positions);
        scope_json_close(text, '}');
}

void scope_hf_config_write(const struct scope_model_config *config, struct scope_text *text)
{
        scope_json_open(text, NULL, '{');
        json_class(text, config);
        scope_json_text(text, "model_type", config->model_type);
        scope_json_text(text, "torch_dtype", "float32");
        scope_json_text(text, "hidden_act", "silu");
        scope_json_uint(text, "num_hidden_layers", config->layers);
        scope_json_uint(text, "hidden_size", config->hidden);
        scope_json_uint(text, "num_attention_heads", config->heads);
        scope_json_uint(text, "num_key_value_heads", config->kv_heads);
        scope_json_uint(text, "head_dim", config->head_dim);
        scope_json_uint(text, "intermediate_size", config->ffn);
        scope_json_uint(text, "vocab_size", config->vocab);
        scope_json_uint(text, "max_position_embeddings", config->positions_max);
        json_float(text, "rms_norm_eps", config->rms_eps);
        json_rope(text, config);
        scope_json_bool(text, "tie_word_embeddings", config->tied);
        scope_json_bool(text, "attention_bias", config->o_bias);
        json_ids(text, config);
        scope_json_close(text, '}');
        scope_text_string(text, "\n");
}

void scope_hf_generation_write(const struct scope_model_config *config, struct scope_text *text)
{
        scope_json_open(text, NULL, '{');
        json_ids(text, config);
        scope_json_close(text, '}');
        scope_text_string(text, "\n");
}
