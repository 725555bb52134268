#include "models/hf_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/text.h"
#include "models/gguf.h"
#include "models/gguf_tokenizer.h"
#include "models/hf_config.h"
#include "models/tokenizer_tiny.h"

enum { FILE_BYTES_MAX = 64 << 20, CONFIG_BYTES_MAX = 1 << 20 };

bool scope_is_gguf(const char *path)
{
        size_t count = strlen(path);
        return count > 5 && strcmp(path + count - 5, ".gguf") == 0;
}

static enum scope_err put_text(const char *directory, const char *name, struct scope_text *text,
        struct scope_diag *diag)
{
        char path[SCOPE_PATH_BYTES_MAX];
        enum scope_err err = scope_path_format(path, diag, "%s/%s", directory, name);
        if (err == SCOPE_OK && text->failed)
                err = scope_diag_set(diag, SCOPE_ERR_MEMORY, "%s: out of memory", path);
        if (err == SCOPE_OK)
                err = scope_file_commit(path, text->bytes, text->count, diag);
        scope_text_fini(text);
        return err;
}

/* A file that `from` has is copied as it is; one that it has not is no error. */
static enum scope_err copy(const char *from, const char *name, const char *to, bool *ret_copied,
        struct scope_diag *diag)
{
        char source[SCOPE_PATH_BYTES_MAX], target[SCOPE_PATH_BYTES_MAX], *bytes = NULL;
        size_t count = 0;
        enum scope_err err = scope_path_format(source, diag, "%s/%s", from, name);
        if (err == SCOPE_OK)
                err = scope_path_format(target, diag, "%s/%s", to, name);
        *ret_copied = err == SCOPE_OK && access(source, F_OK) == 0;
        if (!*ret_copied)
                return err;
        err = scope_file_read(source, FILE_BYTES_MAX, &bytes, &count, diag);
        if (err == SCOPE_OK)
                err = scope_file_commit(target, bytes, count, diag);
        free(bytes);
        return err;
}

/* --- config.json ------------------------------------------------------------------------- */

static const char *const dtype_names[] = {
        [SCOPE_DTYPE_F32] = "float32",
        [SCOPE_DTYPE_BF16] = "bfloat16",
        [SCOPE_DTYPE_F16] = "float16",
};

/* Where the text at `at` continues with `"key"`, a colon and a quote: what is behind it. */
static const char *value_of(const char *at, const char *key)
{
        size_t count = strlen(key);
        if (strncmp(at + 1, key, count) != 0 || at[count + 1] != '"')
                return NULL;
        at += count + 2;
        at += strspn(at, " \t\r\n");
        if (*at++ != ':')
                return NULL;
        at += strspn(at, " \t\r\n");
        return *at == '"' ? at + 1 : NULL;
}

/* Copies a config.json that was parsed before, with the text behind "dtype" or "torch_dtype" of the
 * outermost object replaced; without such a key it is put first. All else stays byte for byte. */
static void replace_dtype(const char *json, const char *name, struct scope_text *text)
{
        const char *copied = json, *end = NULL;
        bool said = false;
        int depth = 0;
        for (const char *at = json; *at != 0; at++) {
                depth += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
                if (*at != '"')
                        continue;
                const char *value = depth == 1 ? value_of(at, "torch_dtype") : NULL;
                if (value == NULL && depth == 1)
                        value = value_of(at, "dtype");
                if (value != NULL) {
                        scope_text_add(text, copied, (size_t)(value - copied));
                        scope_text_string(text, name);
                        at = value - 1;
                        said = true;
                }
                for (end = at + 1; *end != 0 && *end != '"'; end++)
                        end += *end == '\\' && end[1] != 0;
                if (value != NULL)
                        copied = end;
                if (*end == 0)
                        break;
                at = end;
        }
        if (!said) {
                const char *open = strchr(json, '{');
                scope_text_add(text, json, (size_t)(open + 1 - json));
                scope_text_format(text, "\n  \"torch_dtype\": \"%s\",", name);
                copied = open + 1;
        }
        scope_text_string(text, copied);
}

static bool same_ids(const struct scope_model_config *a, const struct scope_model_config *b)
{
        return a->bos == b->bos && a->pad == b->pad && a->eos_count == b->eos_count
                && memcmp(a->eos, b->eos, a->eos_count * sizeof *a->eos) == 0;
}

/* Does the directory's config.json say this very model? */
static bool same_model(const char *like, const struct scope_model_config *config)
{
        struct scope_model_config other;
        struct scope_layout *a = NULL, *b = NULL;
        bool same = scope_hf_config_load(like, &other, NULL) == SCOPE_OK
                && scope_layout_create(config, &a) == SCOPE_OK
                && scope_layout_create(&other, &b) == SCOPE_OK && a->hash == b->hash
                && strcmp(config->model_type, other.model_type) == 0
                && config->positions_max == other.positions_max && same_ids(config, &other);
        scope_layout_destroy(a);
        scope_layout_destroy(b);
        return same;
}

static enum scope_err keep_config(const char *directory, const char *like, enum scope_dtype dtype,
        struct scope_diag *diag)
{
        char path[SCOPE_PATH_BYTES_MAX], *bytes = NULL;
        size_t count = 0;
        struct scope_text text = { 0 };
        enum scope_err err = scope_path_format(path, diag, "%s/%s", like, "config.json");
        if (err == SCOPE_OK)
                err = scope_file_read(path, CONFIG_BYTES_MAX, &bytes, &count, diag);
        if (err == SCOPE_OK) {
                replace_dtype(bytes, dtype_names[dtype], &text);
                err = put_text(directory, "config.json", &text, diag);
        }
        free(bytes);
        return err;
}

static enum scope_err new_config(const char *directory, const struct scope_model_config *config,
        enum scope_dtype dtype, struct scope_diag *diag)
{
        struct scope_text ours = { 0 }, text = { 0 };
        scope_hf_config_write(config, &ours);
        if (!ours.failed)
                replace_dtype(ours.bytes, dtype_names[dtype], &text);
        text.failed = text.failed || ours.failed;
        scope_text_fini(&ours);
        return put_text(directory, "config.json", &text, diag);
}

static enum scope_err put_configs(const char *directory, const struct scope_model_config *config,
        const char *like, enum scope_dtype dtype, struct scope_diag *diag)
{
        const bool kept = like != NULL && !scope_is_gguf(like) && same_model(like, config);
        struct scope_text generation = { 0 };
        bool copied = false;
        enum scope_err err = kept ? keep_config(directory, like, dtype, diag)
                                  : new_config(directory, config, dtype, diag);
        if (err == SCOPE_OK && kept)
                err = copy(like, "generation_config.json", directory, &copied, diag);
        if (err != SCOPE_OK || copied || config->head != SCOPE_HEAD_LANGUAGE)
                return err;
        scope_hf_generation_write(config, &generation);
        return put_text(directory, "generation_config.json", &generation, diag);
}

/* --- the tokenizer ----------------------------------------------------------------------- */

static enum scope_err copy_tokenizer(
        const char *like, const char *directory, struct scope_diag *diag)
{
        static const char *const names[] = { "tokenizer.json", "tokenizer_config.json",
                "special_tokens_map.json", "vocab.json", "merges.txt", "added_tokens.json",
                "chat_template.jinja", "chat_template.json", "tokenizer.model", "qwen.tiktoken" };
        enum scope_err err = SCOPE_OK;
        bool copied;
        for (size_t i = 0; i < sizeof names / sizeof *names && err == SCOPE_OK; i++)
                err = copy(like, names[i], directory, &copied, diag);
        return err;
}

static enum scope_err tokenizer_from_gguf(const char *path, const char *directory,
        uint32_t positions_max, struct scope_diag *diag)
{
        struct scope_gguf file;
        struct scope_gguf_tokenizer tokenizer;
        struct scope_text json = { 0 }, config = { 0 };
        enum scope_err err = scope_gguf_open(path, &file, diag);
        if (err != SCOPE_OK)
                return err;
        err = scope_gguf_tokenizer(&file, &tokenizer, diag);
        if (err == SCOPE_OK)
                err = scope_gguf_tokenizer_json(&tokenizer, &json, diag);
        if (err == SCOPE_OK)
                err = scope_gguf_tokenizer_config_json(&tokenizer, positions_max, &config, diag);
        if (err == SCOPE_OK)
                err = put_text(directory, "tokenizer.json", &json, diag);
        if (err == SCOPE_OK)
                err = put_text(directory, "tokenizer_config.json", &config, diag);
        scope_text_fini(&json);
        scope_text_fini(&config);
        scope_gguf_fini(&file);
        return err;
}

static bool has_tiny_tokens(const struct scope_model_config *config)
{
        return config->vocab == SCOPE_TINY_VOCAB && config->pad == SCOPE_TINY_PAD
                && config->eos_count == 1 && config->eos[0] == SCOPE_TINY_EOS;
}

static enum scope_err put_tiny_tokenizer(const char *directory, struct scope_diag *diag)
{
        struct scope_text json = { 0 }, config = { 0 };
        scope_text_string(&json, scope_tokenizer_tiny_json());
        scope_text_string(&config, scope_tokenizer_tiny_config_json());
        enum scope_err err = put_text(directory, "tokenizer.json", &json, diag);
        if (err == SCOPE_OK)
                return put_text(directory, "tokenizer_config.json", &config, diag);
        scope_text_fini(&config);
        return err;
}

enum scope_err scope_hf_files_write(const char *directory, const struct scope_model_config *config,
        const char *like, enum scope_dtype dtype, struct scope_diag *diag)
{
        enum scope_err err = put_configs(directory, config, like, dtype, diag);
        if (err != SCOPE_OK)
                return err;
        if (like != NULL && scope_is_gguf(like))
                return tokenizer_from_gguf(like, directory, config->positions_max, diag);
        if (like != NULL)
                return copy_tokenizer(like, directory, diag);
        return has_tiny_tokens(config) ? put_tiny_tokenizer(directory, diag) : SCOPE_OK;
}
