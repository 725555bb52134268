/* gguf_put_tokenizer.c - from Hugging Face's tokenizer files to GGUF metadata. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/text.h"
#include "models/config.h"
#include "models/gguf.h"
#include "models/gguf_pattern.h"
#include "models/gguf_tokenizer.h"
#include "models/gguf_write.h"
#include "models/hf_files.h"

enum { FILE_BYTES_MAX = 64 << 20, TEMPLATE_BYTES_MAX = 1 << 20 };

struct row {
        const char *text; /* NULL: a filler */
        int32_t type;     /* enum scope_gguf_token */
};

struct exporter {
        struct scope_gguf_writer *writer;
        const struct scope_model_config *config;
        const char *directory; /* or a .gguf file */
        bool from_gguf;
        char path[SCOPE_PATH_BYTES_MAX]; /* of the file that is being read */
        json_t *root;                    /* tokenizer.json */
        json_t *settings;                /* tokenizer_config.json; NULL: there is none */
        struct row *rows;                /* [config->vocab] */
        struct scope_diag *diag;
};

static enum scope_err bad(const struct exporter *exporter, const char *what)
{
        return scope_diag_set(
                exporter->diag, SCOPE_ERR_FORMAT, "%s: %s", exporter->path, what);
}

static enum scope_err name_file(struct exporter *exporter, const char *name)
{
        return scope_path_format(
                exporter->path, exporter->diag, "%s/%s", exporter->directory, name);
}

static enum scope_err load_json(
        struct exporter *exporter, const char *name, size_t json_flags, json_t **ret_root)
{
        char *bytes = NULL;
        size_t count = 0;
        json_error_t error;
        enum scope_err err = name_file(exporter, name);
        if (err == SCOPE_OK)
                err = scope_file_read(
                        exporter->path, FILE_BYTES_MAX, &bytes, &count, exporter->diag);
        if (err != SCOPE_OK)
                return err;
        *ret_root = json_loadb(bytes, count, JSON_REJECT_DUPLICATES | json_flags, &error);
        free(bytes);
        if (!json_is_object(*ret_root))
                return scope_diag_set(exporter->diag, SCOPE_ERR_FORMAT, "%s:%d:%d: %s",
                        exporter->path, error.line, error.column, error.text);
        return SCOPE_OK;
}

static bool is_type(json_t *object, const char *type)
{
        const char *found = json_string_value(json_object_get(object, "type"));
        return found != NULL && strcmp(found, type) == 0;
}

/* --- which pattern it is ----------------------------------------------------------------- */

/* One step of a pre_tokenizer in the words of scope_gguf_pattern.canonical; false: none of them. */
static bool step_word(json_t *step, struct scope_text *word)
{
        if (word->count != 0)
                scope_text_string(word, "|");
        if (is_type(step, "ByteLevel")) {
                json_t *regex = json_object_get(step, "use_regex");
                scope_text_string(word, json_is_false(regex) ? "bytes" : "bytes+regex");
                return !json_is_true(json_object_get(step, "add_prefix_space"));
        }
        if (is_type(step, "Digits")) {
                scope_text_string(word, "digits");
                return json_is_true(json_object_get(step, "individual_digits"));
        }
        const char *regex = json_string_value(
                json_object_get(json_object_get(step, "pattern"), "Regex"));
        const char *behavior = json_string_value(json_object_get(step, "behavior"));
        if (!is_type(step, "Split") || regex == NULL || behavior == NULL
                || strcmp(behavior, "Isolated") != 0
                || json_is_true(json_object_get(step, "invert")))
                return false;
        scope_text_format(word, "split:%s", regex);
        return true;
}

static bool pattern_word(json_t *pre, struct scope_text *word)
{
        json_t *steps = json_object_get(pre, "pretokenizers"), *step;
        size_t i;
        if (!is_type(pre, "Sequence"))
                return step_word(pre, word);
        json_array_foreach(steps, i, step)
                if (!step_word(step, word))
                        return false;
        return true;
}

/* {"type":"Sequence","normalizers":[...]} of one step is that step; of none is none. */
static bool is_nfc(json_t *normalizer, bool *ret_nfc)
{
        json_t *steps = json_object_get(normalizer, "normalizers");
        if (is_type(normalizer, "Sequence") && json_array_size(steps) <= 1)
                normalizer = json_array_get(steps, 0);
        *ret_nfc = is_type(normalizer, "NFC");
        return *ret_nfc || normalizer == NULL || json_is_null(normalizer);
}

/* Without merges a pattern splits nothing that would have grown together: any will do. */
static enum scope_err find_pattern(
        struct exporter *exporter, const struct scope_gguf_pattern **ret_pattern)
{
        json_t *model = json_object_get(exporter->root, "model");
        struct scope_text word = { 0 };
        bool nfc = false, known = pattern_word(
                json_object_get(exporter->root, "pre_tokenizer"), &word);
        known = is_nfc(json_object_get(exporter->root, "normalizer"), &nfc) && known;
        const bool whole = json_is_true(json_object_get(model, "ignore_merges"));
        const bool free_choice = json_array_size(json_object_get(model, "merges")) == 0 && !nfc
                && word.bytes != NULL && strcmp(word.bytes, "bytes") == 0;
        *ret_pattern = NULL;
        for (const struct scope_gguf_pattern *p = scope_gguf_patterns; p->pre != NULL && known; p++)
                if (*ret_pattern == NULL
                        && (strcmp(p->canonical, free_choice ? "bytes+regex" : word.bytes) == 0)
                        && p->nfc == nfc && (p->ignore_merges == whole || free_choice))
                        *ret_pattern = p;
        scope_text_fini(&word);
        if (*ret_pattern == NULL)
                return scope_diag_set(exporter->diag, SCOPE_ERR_UNSUPPORTED,
                        "%s: its pre_tokenizer or normalizer has no name in GGUF that we know "
                        "(smollm, qwen2, llama-bpe and gpt-2 have)", exporter->path);
        return SCOPE_OK;
}

/* --- tokens ------------------------------------------------------------------------------ */

static enum scope_err put_row(
        struct exporter *exporter, const char *text, json_t *id, int32_t type)
{
        if (!json_is_integer(id) || json_integer_value(id) < 0)
                return bad(exporter, "a token's id is not a number");
        if (json_integer_value(id) >= exporter->config->vocab)
                return scope_diag_set(exporter->diag, SCOPE_ERR_FORMAT,
                        "%s: \"%.100s\" has id %lld, the model has %u rows", exporter->path, text,
                        (long long)json_integer_value(id), exporter->config->vocab);
        struct row *row = &exporter->rows[json_integer_value(id)];
        if (row->text != NULL && strcmp(row->text, text) != 0)
                return scope_diag_set(exporter->diag, SCOPE_ERR_FORMAT,
                        "%s: \"%.100s\" and \"%.100s\" have one id", exporter->path, row->text,
                        text);
        *row = (struct row){ text, type };
        return SCOPE_OK;
}

static enum scope_err read_rows(struct exporter *exporter)
{
        json_t *model = json_object_get(exporter->root, "model");
        json_t *vocab = json_object_get(model, "vocab"), *value;
        json_t *added = json_object_get(exporter->root, "added_tokens");
        const char *text;
        size_t i;
        enum scope_err err = SCOPE_OK;
        if (!is_type(model, "BPE") || !json_is_object(vocab))
                return bad(exporter, "is no BPE tokenizer");
        json_object_foreach(vocab, text, value) {
                if (err == SCOPE_OK)
                        err = put_row(exporter, text, value, SCOPE_GGUF_TOKEN_NORMAL);
        }
        json_array_foreach(added, i, value) {
                text = json_string_value(json_object_get(value, "content"));
                if (text == NULL)
                        return bad(exporter, "an added token has no content");
                if (err == SCOPE_OK)
                        err = put_row(exporter, text, json_object_get(value, "id"),
                                json_is_true(json_object_get(value, "special"))
                                        ? SCOPE_GGUF_TOKEN_CONTROL : SCOPE_GGUF_TOKEN_USER);
        }
        return err;
}

static void put_rows(struct exporter *exporter)
{
        const uint32_t count = exporter->config->vocab;
        scope_gguf_put_array(exporter->writer, "tokenizer.ggml.tokens", SCOPE_GGUF_TEXT, count);
        for (uint32_t i = 0; i < count; i++) {
                char filler[24];
                (void)snprintf(filler, sizeof filler, "[PAD%u]", i);
                const char *text = exporter->rows[i].text;
                text = text != NULL ? text : filler;
                scope_gguf_put_text_element(exporter->writer, text, strlen(text));
        }
        scope_gguf_put_array(exporter->writer, "tokenizer.ggml.token_type", SCOPE_GGUF_I32, count);
        for (uint32_t i = 0; i < count; i++)
                scope_gguf_put_int_element(exporter->writer, exporter->rows[i].text != NULL
                        ? exporter->rows[i].type : SCOPE_GGUF_TOKEN_UNUSED);
}

static enum scope_err put_merges(struct exporter *exporter)
{
        json_t *merges = json_object_get(json_object_get(exporter->root, "model"), "merges");
        json_t *merge;
        size_t i;
        struct scope_text both = { 0 };
        enum scope_err err = SCOPE_OK;
        scope_gguf_put_array(exporter->writer, "tokenizer.ggml.merges", SCOPE_GGUF_TEXT,
                json_array_size(merges));
        json_array_foreach(merges, i, merge) {
                const char *left = json_string_value(json_array_get(merge, 0));
                const char *right = json_string_value(json_array_get(merge, 1));
                scope_text_clear(&both);
                if (left != NULL && right != NULL)
                        scope_text_format(&both, "%s %s", left, right);
                else if (json_is_string(merge))
                        scope_text_string(&both, json_string_value(merge));
                else
                        err = bad(exporter, "a merge is not two tokens");
                if (err != SCOPE_OK)
                        break;
                scope_gguf_put_text_element(exporter->writer, both.bytes, both.count);
        }
        scope_text_fini(&both);
        return err;
}

/* --- ids and flags ----------------------------------------------------------------------- */

/* The id of what tokenizer_config.json calls `key`, a text or {"content": text}; `standard` when
 * it does not say or the text is no token. */
static uint32_t id_of(const struct exporter *exporter, const char *key, uint32_t standard)
{
        json_t *name = json_object_get(exporter->settings, key);
        if (json_is_object(name))
                name = json_object_get(name, "content");
        for (uint32_t i = 0; i < exporter->config->vocab && json_is_string(name); i++)
                if (exporter->rows[i].text != NULL
                        && strcmp(exporter->rows[i].text, json_string_value(name)) == 0)
                        return i;
        return standard;
}

static void put_id(struct exporter *exporter, const char *key, uint32_t id)
{
        if (id < exporter->config->vocab)
                scope_gguf_put_uint(exporter->writer, key, id);
}

/* All end tokens: llama.cpp knows an end of text and an end of turn, and so do we; the whole list
 * stands under a key of our own. */
static void put_ends(struct exporter *exporter)
{
        const struct scope_model_config *config = exporter->config;
        const uint32_t first = config->eos_count != 0 ? config->eos[0] : UINT32_MAX;
        const uint32_t eos = id_of(exporter, "eos_token", first);
        put_id(exporter, "tokenizer.ggml.eos_token_id", eos);
        for (uint32_t i = 0, put = 0; i < config->eos_count && put == 0; i++)
                if (config->eos[i] != eos) {
                        put_id(exporter, "tokenizer.ggml.eot_token_id", config->eos[i]);
                        put++;
                }
        scope_gguf_put_array(
                exporter->writer, "scope.eos_token_ids", SCOPE_GGUF_I32, config->eos_count);
        for (uint32_t i = 0; i < config->eos_count; i++)
                scope_gguf_put_int_element(exporter->writer, (int32_t)config->eos[i]);
}

/* Does the post_processor put the token of `id` first (place 0) or last (place 1)? */
static bool frames(json_t *processor, const char *text, bool last)
{
        json_t *all = json_object_get(processor, "processors"), *each;
        size_t i;
        if (is_type(processor, "Sequence")) {
                json_array_foreach(all, i, each)
                        if (frames(each, text, last))
                                return true;
                return false;
        }
        json_t *single = json_object_get(processor, "single");
        size_t count = json_array_size(single);
        if (!is_type(processor, "TemplateProcessing") || count == 0)
                return false;
        json_t *piece = json_object_get(
                json_array_get(single, last ? count - 1 : 0), "SpecialToken");
        const char *name = json_string_value(json_object_get(piece, "id"));
        return name != NULL && strcmp(name, text) == 0;
}

static void put_ids(struct exporter *exporter)
{
        const struct scope_model_config *config = exporter->config;
        json_t *post = json_object_get(exporter->root, "post_processor");
        const uint32_t bos = id_of(exporter, "bos_token", config->bos);
        const uint32_t first = config->eos_count != 0 ? config->eos[0] : UINT32_MAX;
        const uint32_t eos = id_of(exporter, "eos_token", first);
        put_id(exporter, "tokenizer.ggml.bos_token_id", bos);
        put_ends(exporter);
        put_id(exporter, "tokenizer.ggml.padding_token_id",
                id_of(exporter, "pad_token", config->pad));
        put_id(exporter, "tokenizer.ggml.unknown_token_id",
                id_of(exporter, "unk_token", UINT32_MAX));
        const char *bos_text = bos < config->vocab ? exporter->rows[bos].text : NULL;
        const char *eos_text = eos < config->vocab ? exporter->rows[eos].text : NULL;
        scope_gguf_put_bool(exporter->writer, "tokenizer.ggml.add_bos_token",
                bos_text != NULL && frames(post, bos_text, false));
        scope_gguf_put_bool(exporter->writer, "tokenizer.ggml.add_eos_token",
                eos_text != NULL && frames(post, eos_text, true));
        scope_gguf_put_bool(exporter->writer, "tokenizer.ggml.add_space_prefix", false);
}

/* --- the chat template ------------------------------------------------------------------- */

/* A text, or the one called "default" of a list. */
static const char *template_text(json_t *value)
{
        json_t *each;
        size_t i;
        if (json_is_string(value))
                return json_string_value(value);
        json_array_foreach(value, i, each) {
                const char *name = json_string_value(json_object_get(each, "name"));
                if (name != NULL && strcmp(name, "default") == 0)
                        return json_string_value(json_object_get(each, "template"));
        }
        return NULL;
}

static enum scope_err put_chat_template(struct exporter *exporter)
{
        const char *text = template_text(json_object_get(exporter->settings, "chat_template"));
        char *bytes = NULL;
        size_t count = text != NULL ? strlen(text) : 0;
        enum scope_err err = name_file(exporter, "chat_template.jinja");
        if (err == SCOPE_OK && !exporter->from_gguf && access(exporter->path, F_OK) == 0) {
                err = scope_file_read(
                        exporter->path, TEMPLATE_BYTES_MAX, &bytes, &count, exporter->diag);
                text = bytes;
        }
        if (err == SCOPE_OK && text != NULL)
                scope_gguf_put_text(exporter->writer, "tokenizer.chat_template", text, count);
        free(bytes);
        return err;
}

static enum scope_err load_directory(struct exporter *exporter)
{
        /* Its model_max_length is often 10^30, which is no integer here; none is wanted. */
        enum scope_err err = load_json(exporter, "tokenizer_config.json", JSON_DECODE_INT_AS_REAL,
                &exporter->settings);
        if (err == SCOPE_ERR_NOT_FOUND)
                err = SCOPE_OK; /* then config.json alone says the ids */
        return err == SCOPE_OK ? load_json(exporter, "tokenizer.json", 0, &exporter->root) : err;
}

/* From one GGUF file into another: through the texts that a directory would hold. */
static enum scope_err load_gguf(struct exporter *exporter)
{
        struct scope_gguf file;
        struct scope_gguf_tokenizer tokenizer;
        struct scope_text root = { 0 }, settings = { 0 };
        enum scope_err err = scope_gguf_open(exporter->directory, &file, exporter->diag);
        (void)snprintf(exporter->path, sizeof exporter->path, "%s", exporter->directory);
        if (err != SCOPE_OK)
                return err;
        err = scope_gguf_tokenizer(&file, &tokenizer, exporter->diag);
        if (err == SCOPE_OK)
                err = scope_gguf_tokenizer_json(&tokenizer, &root, exporter->diag);
        if (err == SCOPE_OK)
                err = scope_gguf_tokenizer_config_json(&tokenizer,
                        exporter->config->positions_max, &settings, exporter->diag);
        if (err == SCOPE_OK) {
                exporter->root = json_loadb(root.bytes, root.count, JSON_REJECT_DUPLICATES, NULL);
                exporter->settings = json_loadb(settings.bytes, settings.count, 0, NULL);
                if (exporter->root == NULL || exporter->settings == NULL)
                        err = bad(exporter, "two of its tokens are spelled alike");
        }
        scope_text_fini(&root);
        scope_text_fini(&settings);
        scope_gguf_fini(&file);
        return err;
}

static enum scope_err export_all(struct exporter *exporter)
{
        const struct scope_gguf_pattern *pattern = NULL;
        enum scope_err err = exporter->from_gguf ? load_gguf(exporter) : load_directory(exporter);
        if (err == SCOPE_OK)
                err = find_pattern(exporter, &pattern);
        if (err == SCOPE_OK)
                err = read_rows(exporter);
        if (err != SCOPE_OK)
                return err;
        scope_gguf_put_text(exporter->writer, "tokenizer.ggml.model", "gpt2", 4);
        scope_gguf_put_text(
                exporter->writer, "tokenizer.ggml.pre", pattern->pre, strlen(pattern->pre));
        put_rows(exporter);
        err = put_merges(exporter);
        if (err != SCOPE_OK)
                return err;
        put_ids(exporter);
        return put_chat_template(exporter);
}

enum scope_err scope_gguf_put_tokenizer(struct scope_gguf_writer *writer, const char *directory,
        const struct scope_model_config *config, struct scope_diag *diag)
{
        struct exporter exporter = { .writer = writer, .config = config, .directory = directory,
                .from_gguf = scope_is_gguf(directory), .diag = diag };
        exporter.rows = calloc((size_t)config->vocab + 1, sizeof *exporter.rows);
        enum scope_err err = exporter.rows != NULL
                ? export_all(&exporter)
                : scope_diag_set(diag, SCOPE_ERR_MEMORY, "%s: out of memory", directory);
        free(exporter.rows);
        json_decref(exporter.settings);
        json_decref(exporter.root);
        return err;
}
