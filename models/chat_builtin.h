/* chat_builtin.h - the chat formats that are written by C.
 * Why: what most models need is four lines of text around a problem; it should not take an
 * interpreter, and a model without a template can be given one by name. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct json_t; /* of jansson */
struct scope_chat_builtin;
struct scope_text;

/* By name, by the text of the template it stands for; NULL = none. */
const struct scope_chat_builtin *scope_chat_builtin_named(const char *name);
const struct scope_chat_builtin *scope_chat_builtin_of_source(const char *source, size_t bytes);
const char *scope_chat_builtin_name(const struct scope_chat_builtin *builtin);
/* The BOS token that it writes; NULL = none. */
const char *scope_chat_builtin_bos(const struct scope_chat_builtin *builtin);
/* All names, commas between. */
void scope_chat_builtin_names(struct scope_text *text);

/* Messages and variables are such that it gives what the template gives: roles system, user and
 * assistant, contents that are texts, no other keys, no variable that it does not know. */
bool scope_chat_builtin_fits(const struct scope_chat_builtin *builtin,
        const struct json_t *messages, const struct json_t *variables);

/* Appends the text of messages that fit. */
void scope_chat_builtin_render(const struct scope_chat_builtin *builtin,
        const struct json_t *messages, const struct json_t *variables, bool generation_prompt,
        struct scope_text *text);
