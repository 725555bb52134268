/* chat_template.h - messages to the text that a chat model was trained to read.
 * Why: templates matter a lot (algorithm.md 4.1); a model's own is in its directory or file, as a
 * Jinja program. The common ones are known by their hash and written by C instead; a model without
 * one is given one by name. Messages are plain: role and content, or any JSON where Jinja runs.
 * (1) Both ways give the same text; tests/models/test_chat_template.c compares them. (2) A template
 * is read-only after it was made: any thread may render. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct scope_chat_template;
struct scope_text;
struct tm;

enum { SCOPE_CHAT_TOKEN_BYTES_MAX = 64, SCOPE_CHAT_NAMES_BYTES = 256 };

/* Special tokens as templates name them; "" = the variable is not defined. */
struct scope_chat_tokens {
        char bos[SCOPE_CHAT_TOKEN_BYTES_MAX], eos[SCOPE_CHAT_TOKEN_BYTES_MAX],
                pad[SCOPE_CHAT_TOKEN_BYTES_MAX], unk[SCOPE_CHAT_TOKEN_BYTES_MAX],
                sep[SCOPE_CHAT_TOKEN_BYTES_MAX];
};

/* One that is built in: "chatml", "qwen2", "qwen2.5", "qwen2.5-math", "qwen3", "qwen3-nothink",
 * "llama3", "llama3.1", "smollm2".
 * owns    gives *ret_template
 * errors  SCOPE_ERR_NOT_FOUND: no such name, diag lists them; SCOPE_ERR_MEMORY     thread  any */
enum scope_err scope_chat_template_builtin(
        const char *name, struct scope_chat_template **ret_template, struct scope_diag *diag);

/* From Jinja text. in  name: for errors; tokens: copied
 * errors  as scope_jinja_compile */
enum scope_err scope_chat_template_create(const char *name, const char *source, size_t bytes,
        const struct scope_chat_tokens *tokens, struct scope_chat_template **ret_template,
        struct scope_diag *diag);

/* The template of a model: chat_template.jinja or tokenizer_config.json of a directory (a text, or
 * a list of named ones, of which "default" counts), or the metadata of a .gguf file.
 * errors  SCOPE_ERR_NOT_FOUND: it has none; else as above, and what reading gives
 * thread  setup, blocks */
enum scope_err scope_chat_template_load(
        const char *path, struct scope_chat_template **ret_template, struct scope_diag *diag);

void scope_chat_template_destroy(struct scope_chat_template *chat); /* accepts NULL */

/* What it is, for people: "qwen2.5, known by its hash", "Jinja of DIR/chat_template.jinja". */
const char *scope_chat_template_words(const struct scope_chat_template *chat);

struct scope_chat_message {
        const char *role;
        const char *content;
        size_t bytes; /* of content */
};

struct scope_chat_request {
        const struct scope_chat_message *messages;
        size_t count;
        const char *messages_json; /* an array, instead of `messages`; NULL = none */
        size_t json_bytes;
        const char *variables;       /* a JSON object of further variables; NULL = none */
        const struct tm *now;        /* what strftime_now gives; NULL = there is no such function */
        bool add_generation_prompt;  /* ends with the opening of the assistant's turn */
        bool continue_final_message; /* ends with the last message's content, its turn left open */
        bool jinja; /* runs the Jinja text even where a built-in one would do: for comparing */
};

/* Appends the text.
 * errors  SCOPE_ERR_ARGUMENT: both endings wanted, or no message to continue; SCOPE_ERR_FORMAT:
 *         messages or variables are no such JSON; SCOPE_ERR_UNSUPPORTED: a built-in one without
 *         Jinja text is asked for more than role and content; else as scope_jinja_render
 * thread  any */
enum scope_err scope_chat_template_render(const struct scope_chat_template *chat,
        const struct scope_chat_request *request, struct scope_text *text, struct scope_diag *diag);
