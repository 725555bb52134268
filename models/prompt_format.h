/* prompt_format.h - a problem to the tokens of a prompt.
 * Why: rollouts, evaluation, warm-up and samples must put a problem to the policy in one way; which
 * way depends on the model and is said once, in [data] (algorithm.md 4.1). "plain" is the text of
 * the problem alone; a chat template gets a system message and the problem with an instruction.
 * Messages that a data set brings itself are used as they stand.
 * (1) Read-only after it was made: any thread may use it. (2) NULL stands for plain. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "schemas/records.h"

struct scope_prompt_format;
struct scope_text;
struct scope_tokenizer;

struct scope_prompt_format_options {
        const char *format; /* "auto": the model's own template, plain where it has none; "plain";
                             * the name of a built-in one; a file that ends in .jinja */
        const char *system, *instruction; /* "" = none */
        const char *variables;            /* JSON object for the template; "" = none */
        const char *date;                 /* "2024-07-26": what strftime_now gives; "" = none */
        bool blank_line_hint;             /* asks for a blank line between steps */
};

/* in      path: the model's directory, .gguf file, or "builtin:..."
 * owns    gives *ret_format, copies all texts
 * errors  SCOPE_ERR_NOT_FOUND: no such name; SCOPE_ERR_FORMAT: variables, date or template; as
 *         chat_template.h gives
 * thread  setup, blocks */
enum scope_err scope_prompt_format_create(const char *path,
        const struct scope_prompt_format_options *options, struct scope_prompt_format **ret_format,
        struct scope_diag *diag);
void scope_prompt_format_destroy(struct scope_prompt_format *format); /* accepts NULL */

/* For people: "plain", "chat template qwen2.5, known by its hash". */
const char *scope_prompt_format_words(const struct scope_prompt_format *format);

/* Appends what the model is to read.
 * in      messages: a JSON array, empty = none
 * errors  as scope_chat_template_render     thread  any */
enum scope_err scope_prompt_format_render(const struct scope_prompt_format *format,
        struct scope_string problem, struct scope_string messages, struct scope_text *text,
        struct scope_diag *diag);

/* The same as token ids; no BOS is added but the template's own.
 * errors  as above and as scope_tokenizer_encode (SCOPE_ERR_NOT_FOUND with all ids it has) */
enum scope_err scope_prompt_format_encode(const struct scope_prompt_format *format,
        const struct scope_tokenizer *tokenizer, struct scope_string problem,
        struct scope_string messages, uint32_t *ret_ids, size_t max, size_t *ret_count,
        struct scope_diag *diag);
