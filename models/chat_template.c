#include "models/chat_template.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/text.h"
#include "models/chat_builtin.h"
#include "models/gguf.h"
#include "models/jinja.h"

enum { CONFIG_BYTES_MAX = 16 << 20 };

/* Marks the end of a message that is to be continued, as transformers does it: the white space at
 * its own end shows whether the template strips its contents. */
static const char continue_mark[] = "CONTINUE_FINAL_MESSAGE_TAG ";

struct scope_chat_template {
        const struct scope_chat_builtin *builtin; /* NULL: none stands for it */
        struct scope_jinja *jinja;                /* NULL: there is only the built-in one */
        struct scope_chat_tokens tokens;
        char words[192];
};

const char *scope_chat_template_words(const struct scope_chat_template *chat)
{
        return chat->words;
}

void scope_chat_template_destroy(struct scope_chat_template *chat)
{
        if (chat == NULL)
                return;
        scope_jinja_destroy(chat->jinja);
        free(chat);
}

enum scope_err scope_chat_template_builtin(
        const char *name, struct scope_chat_template **ret_template, struct scope_diag *diag)
{
        const struct scope_chat_builtin *builtin = scope_chat_builtin_named(name);
        if (builtin == NULL) {
                struct scope_text names = { 0 };
                scope_chat_builtin_names(&names);
                enum scope_err err = scope_diag_set(diag, SCOPE_ERR_NOT_FOUND,
                        "no chat template is called '%.60s'; there are %s", name,
                        names.failed ? "" : names.bytes);
                scope_text_fini(&names);
                return err;
        }
        struct scope_chat_template *chat = calloc(1, sizeof *chat);
        if (chat == NULL)
                return scope_diag_set(diag, SCOPE_ERR_MEMORY, "chat template: out of memory");
        chat->builtin = builtin;
        (void)snprintf(chat->words, sizeof chat->words, "%s, built in", name);
        *ret_template = chat;
        return SCOPE_OK;
}

enum scope_err scope_chat_template_create(const char *name, const char *source, size_t bytes,
        const struct scope_chat_tokens *tokens, struct scope_chat_template **ret_template,
        struct scope_diag *diag)
{
        struct scope_chat_template *chat = calloc(1, sizeof *chat);
        if (chat == NULL)
                return scope_diag_set(diag, SCOPE_ERR_MEMORY, "chat template: out of memory");
        enum scope_err err = scope_jinja_compile(name, source, bytes, &chat->jinja, diag);
        if (err != SCOPE_OK) {
                scope_chat_template_destroy(chat);
                return err;
        }
        chat->tokens = *tokens;
        chat->builtin = scope_chat_builtin_of_source(source, bytes);
        if (chat->builtin != NULL) {
                const char *bos = scope_chat_builtin_bos(chat->builtin);
                if (bos != NULL && strcmp(bos, tokens->bos) != 0)
                        chat->builtin = NULL; /* its text, for another tokenizer */
        }
        if (chat->builtin != NULL)
                (void)snprintf(chat->words, sizeof chat->words, "%s, known by its hash",
                        scope_chat_builtin_name(chat->builtin));
        else
                (void)snprintf(chat->words, sizeof chat->words, "Jinja of %.170s", name);
        *ret_template = chat;
        return SCOPE_OK;
}

/* ---- where models keep it ---- */

/* A token is a text, or an object with `content`. */
static void copy_token(const json_t *config, const char *key, char *ret_token)
{
        const json_t *token = json_object_get(config, key);
        if (json_is_object(token))
                token = json_object_get(token, "content");
        if (json_is_string(token) && json_string_length(token) < SCOPE_CHAT_TOKEN_BYTES_MAX)
                (void)snprintf(
                        ret_token, SCOPE_CHAT_TOKEN_BYTES_MAX, "%s", json_string_value(token));
}

static void read_tokens(const json_t *config, struct scope_chat_tokens *ret_tokens)
{
        /* A vocabulary of characters (char_ords) has S, E, P, U as its first four ids. */
        if (json_object_get(config, "char_ords") != NULL)
                *ret_tokens = (struct scope_chat_tokens){
                        .eos = "E", .pad = "P", .unk = "U", .sep = "S"
                };
        copy_token(config, "bos_token", ret_tokens->bos);
        copy_token(config, "eos_token", ret_tokens->eos);
        copy_token(config, "pad_token", ret_tokens->pad);
        copy_token(config, "unk_token", ret_tokens->unk);
        copy_token(config, "sep_token", ret_tokens->sep);
}

/* A text, or the one called "default" of a list; NULL = none. */
static const json_t *default_template(const json_t *value)
{
        for (size_t i = 0; i < json_array_size(value); i++) {
                const json_t *one = json_array_get(value, i);
                const char *name = json_string_value(json_object_get(one, "name"));
                if (name != NULL && strcmp(name, "default") == 0)
                        return json_object_get(one, "template");
        }
        return json_is_string(value) ? value : NULL;
}

static enum scope_err load_directory(
        const char *path, struct scope_chat_template **ret_template, struct scope_diag *diag)
{
        char config_path[SCOPE_PATH_BYTES_MAX], jinja_path[SCOPE_PATH_BYTES_MAX], *bytes = NULL;
        struct scope_chat_tokens tokens = { "", "", "", "", "" };
        size_t count = 0;
        json_error_t error;
        json_t *config = NULL;
        enum scope_err err = scope_path_format(jinja_path, diag, "%s/chat_template.jinja", path);
        if (err == SCOPE_OK)
                err = scope_path_format(config_path, diag, "%s/tokenizer_config.json", path);
        if (err == SCOPE_OK)
                err = scope_file_read(config_path, CONFIG_BYTES_MAX, &bytes, &count, diag);
        if (err != SCOPE_OK && err != SCOPE_ERR_NOT_FOUND)
                return err;
        if (err == SCOPE_OK) {
                /* model_max_length is often 10^30, too big for an integer; none is wanted here */
                config = json_loadb(
                        bytes, count, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
                free(bytes);
                bytes = NULL;
                if (!json_is_object(config)) {
                        json_decref(config);
                        return scope_diag_set(diag, SCOPE_ERR_FORMAT,
                                "%.300s: not a JSON object: %.100s", config_path, error.text);
                }
                read_tokens(config, &tokens);
        }
        err = scope_file_read(jinja_path, SCOPE_JINJA_SOURCE_MAX, &bytes, &count, diag);
        if (err == SCOPE_OK) {
                err = scope_chat_template_create(
                        jinja_path, bytes, count, &tokens, ret_template, diag);
        } else if (err == SCOPE_ERR_NOT_FOUND) {
                const json_t *text = default_template(json_object_get(config, "chat_template"));
                err = text != NULL
                              ? scope_chat_template_create(config_path, json_string_value(text),
                                        json_string_length(text), &tokens, ret_template, diag)
                              : scope_diag_set(diag, SCOPE_ERR_NOT_FOUND,
                                        "%.300s: has no chat template", path);
        }
        free(bytes);
        json_decref(config);
        return err;
}

/* Texts of `array` at the ids of the special tokens. */
static void gguf_tokens(
        const struct scope_gguf_tokenizer *tokenizer, struct scope_chat_tokens *ret_tokens)
{
        struct scope_gguf_text text;
        size_t at = 0;
        for (uint32_t id = 0; scope_gguf_text_next(tokenizer->tokens, &at, &text); id++) {
                char *to = id == tokenizer->bos       ? ret_tokens->bos
                           : id == tokenizer->eos     ? ret_tokens->eos
                           : id == tokenizer->pad     ? ret_tokens->pad
                           : id == tokenizer->unknown ? ret_tokens->unk
                                                      : NULL;
                if (to != NULL && text.count < SCOPE_CHAT_TOKEN_BYTES_MAX)
                        memcpy(to, text.bytes, text.count);
                if (to == ret_tokens->eos && id == tokenizer->pad)
                        memcpy(ret_tokens->pad, ret_tokens->eos, sizeof ret_tokens->pad);
        }
}

static enum scope_err load_gguf(
        const char *path, struct scope_chat_template **ret_template, struct scope_diag *diag)
{
        struct scope_gguf file = { 0 };
        struct scope_gguf_tokenizer tokenizer;
        struct scope_chat_tokens tokens = { "", "", "", "", "" };
        enum scope_err err = scope_gguf_open(path, &file, diag);
        if (err != SCOPE_OK)
                return err;
        err = scope_gguf_tokenizer(&file, &tokenizer, diag);
        if (err == SCOPE_OK && tokenizer.chat_template.count == 0)
                err = scope_diag_set(
                        diag, SCOPE_ERR_NOT_FOUND, "%.300s: has no chat template", path);
        if (err == SCOPE_OK) {
                gguf_tokens(&tokenizer, &tokens);
                err = scope_chat_template_create(path, tokenizer.chat_template.bytes,
                        tokenizer.chat_template.count, &tokens, ret_template, diag);
        }
        scope_gguf_fini(&file);
        return err;
}

enum scope_err scope_chat_template_load(
        const char *path, struct scope_chat_template **ret_template, struct scope_diag *diag)
{
        size_t count = strlen(path);
        if (count > 5 && strcmp(path + count - 5, ".gguf") == 0)
                return load_gguf(path, ret_template, diag);
        return load_directory(path, ret_template, diag);
}

/* ---- rendering ---- */

static enum scope_err read_messages(
        const struct scope_chat_request *request, json_t **ret_messages, struct scope_diag *diag)
{
        json_error_t error = { .text = "no array" };
        json_t *messages = NULL;
        if (request->messages_json != NULL) {
                messages = json_loadb(
                        request->messages_json, request->json_bytes, JSON_ALLOW_NUL, &error);
                if (json_is_array(messages)) {
                        *ret_messages = messages;
                        return SCOPE_OK;
                }
                json_decref(messages);
                return scope_diag_set(
                        diag, SCOPE_ERR_FORMAT, "messages are no JSON array: %.100s", error.text);
        }
        messages = json_array();
        for (size_t i = 0; i < request->count; i++) {
                const struct scope_chat_message *message = &request->messages[i];
                json_t *content = json_stringn(message->content, message->bytes);
                if (content == NULL) {
                        json_decref(messages);
                        return scope_diag_set(diag, SCOPE_ERR_FORMAT,
                                "message %zu: its content is no UTF-8", i + 1);
                }
                (void)json_array_append_new(messages,
                        json_pack("{s:s,s:o}", "role", message->role, "content", content));
        }
        if (json_array_size(messages) != request->count) {
                json_decref(messages);
                return scope_diag_set(diag, SCOPE_ERR_MEMORY, "messages: out of memory");
        }
        *ret_messages = messages;
        return SCOPE_OK;
}

static enum scope_err read_variables(
        const struct scope_chat_request *request, json_t **ret_variables, struct scope_diag *diag)
{
        json_error_t error = { .text = "no object" };
        json_t *variables = request->variables == NULL || request->variables[0] == 0
                                    ? json_object()
                                    : json_loads(request->variables, JSON_ALLOW_NUL, &error);
        if (json_is_object(variables)) {
                *ret_variables = variables;
                return SCOPE_OK;
        }
        json_decref(variables);
        return scope_diag_set(diag, SCOPE_ERR_FORMAT,
                "variables of the chat template are no JSON object: %.100s", error.text);
}

/* Puts the mark behind the last message's content. */
static enum scope_err mark_last(json_t *messages, struct scope_diag *diag)
{
        json_t *last = json_array_get(messages, json_array_size(messages) - 1);
        const json_t *content = json_object_get(last, "content");
        if (json_array_size(messages) == 0 || !json_is_string(content))
                return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "there is no last message with a text to continue");
        struct scope_text marked = { 0 };
        scope_text_add(&marked, json_string_value(content), json_string_length(content));
        scope_text_string(&marked, continue_mark);
        int failed = marked.failed ? -1
                                   : json_object_set_new(last, "content",
                                             json_stringn(marked.bytes, marked.count));
        scope_text_fini(&marked);
        return failed == 0 ? SCOPE_OK
                           : scope_diag_set(diag, SCOPE_ERR_MEMORY, "messages: out of memory");
}

/* Cuts `text` where the message ends that is to be continued. */
static enum scope_err cut_at_mark(struct scope_text *text, struct scope_diag *diag)
{
        size_t bytes = sizeof continue_mark - 2; /* without its space */
        for (size_t at = text->count + 1; at-- > 0;) {
                if (text->count - at < bytes || memcmp(text->bytes + at, continue_mark, bytes) != 0)
                        continue;
                bool kept = text->count - at > bytes && text->bytes[at + bytes] == ' ';
                while (!kept && at > 0 && strchr(" \t\n\r\v\f", text->bytes[at - 1]) != NULL &&
                        text->bytes[at - 1] != 0)
                        at--;
                text->count = at;
                text->bytes[at] = 0;
                return SCOPE_OK;
        }
        return scope_diag_set(diag, SCOPE_ERR_FORMAT,
                "the chat template leaves out the message that is to be continued");
}

static enum scope_err run_jinja(const struct scope_chat_template *chat, json_t *messages,
        json_t *variables, const struct scope_chat_request *request, struct scope_text *text,
        struct scope_diag *diag)
{
        static const char *const names[] = { "bos_token", "eos_token", "pad_token", "unk_token",
                "sep_token" };
        const char *tokens[] = { chat->tokens.bos, chat->tokens.eos, chat->tokens.pad,
                chat->tokens.unk, chat->tokens.sep };
        json_t *all = json_object();
        int failed = json_object_set(all, "messages", messages);
        failed |= json_object_set_new(
                all, "add_generation_prompt", json_boolean(request->add_generation_prompt));
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
                if (tokens[i][0] != 0)
                        failed |= json_object_set_new(all, names[i], json_string(tokens[i]));
        failed |= json_object_update(all, variables);
        enum scope_err err =
                failed != 0 ? scope_diag_set(diag, SCOPE_ERR_MEMORY, "variables: out of memory")
                            : scope_jinja_render(chat->jinja, all, request->now, text, diag);
        json_decref(all);
        return err;
}

static enum scope_err render(const struct scope_chat_template *chat, json_t *messages,
        json_t *variables, const struct scope_chat_request *request, struct scope_text *text,
        struct scope_diag *diag)
{
        bool fits = chat->builtin != NULL &&
                    scope_chat_builtin_fits(chat->builtin, messages, variables);
        if (fits && !(request->jinja && chat->jinja != NULL)) {
                scope_chat_builtin_render(
                        chat->builtin, messages, variables, request->add_generation_prompt, text);
                return text->failed ? scope_diag_set(diag, SCOPE_ERR_MEMORY, "chat: out of memory")
                                    : SCOPE_OK;
        }
        if (chat->jinja != NULL)
                return run_jinja(chat, messages, variables, request, text, diag);
        return scope_diag_set(diag, SCOPE_ERR_UNSUPPORTED,
                "the chat template %s takes messages of system, user and assistant with a text "
                "each, and no variables",
                chat->words);
}

enum scope_err scope_chat_template_render(const struct scope_chat_template *chat,
        const struct scope_chat_request *request, struct scope_text *text, struct scope_diag *diag)
{
        json_t *messages = NULL, *variables = NULL;
        struct scope_text out = { 0 };
        if (request->add_generation_prompt && request->continue_final_message)
                return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "a chat cannot open a new turn and continue the last one");
        enum scope_err err = read_messages(request, &messages, diag);
        if (err == SCOPE_OK)
                err = read_variables(request, &variables, diag);
        if (err == SCOPE_OK && request->continue_final_message)
                err = mark_last(messages, diag);
        if (err == SCOPE_OK)
                err = render(chat, messages, variables, request, &out, diag);
        if (err == SCOPE_OK && request->continue_final_message)
                err = cut_at_mark(&out, diag);
        if (err == SCOPE_OK)
                scope_text_add(text, out.bytes != NULL ? out.bytes : "", out.count);
        if (err == SCOPE_OK && text->failed)
                err = scope_diag_set(diag, SCOPE_ERR_MEMORY, "chat: out of memory");
        scope_text_fini(&out);
        json_decref(variables);
        json_decref(messages);
        return err;
}
