#include "models/prompt_format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/text.h"
#include "models/chat_template.h"
#include "models/jinja.h"
#include "models/tokenizer.h"

struct scope_prompt_format {
        struct scope_chat_template *chat; /* NULL = plain */
        char *system, *instruction, *variables;
        bool blank_line_hint, has_date;
        struct tm date;
        char words[288];
};

static const char hint_words[] = " Separate steps with a blank line.";

void scope_prompt_format_destroy(struct scope_prompt_format *format)
{
        if (format == NULL)
                return;
        scope_chat_template_destroy(format->chat);
        free(format->system);
        free(format->instruction);
        free(format->variables);
        free(format);
}

const char *scope_prompt_format_words(const struct scope_prompt_format *format)
{
        return format != NULL ? format->words : "plain";
}

static enum scope_err load_file(
        const char *path, struct scope_chat_template **ret_template, struct scope_diag *diag)
{
        static const struct scope_chat_tokens none = { "", "", "", "", "" };
        char *bytes = NULL;
        size_t count = 0;
        enum scope_err err = scope_file_read(path, SCOPE_JINJA_SOURCE_MAX, &bytes, &count, diag);
        if (err == SCOPE_OK)
                err = scope_chat_template_create(path, bytes, count, &none, ret_template, diag);
        free(bytes);
        return err;
}

/* *ret_template stays NULL where the prompt is plain. */
static enum scope_err find_template(const char *path, const char *format,
        struct scope_chat_template **ret_template, struct scope_diag *diag)
{
        size_t count = strlen(format);
        if (strcmp(format, "plain") == 0)
                return SCOPE_OK;
        if (count > 6 && strcmp(format + count - 6, ".jinja") == 0)
                return load_file(format, ret_template, diag);
        if (strcmp(format, "auto") != 0)
                return scope_chat_template_builtin(format, ret_template, diag);
        if (strncmp(path, "builtin:", 8) == 0)
                return SCOPE_OK;
        struct scope_diag unused;
        enum scope_err err = scope_chat_template_load(path, ret_template, &unused);
        if (err == SCOPE_ERR_NOT_FOUND)
                return SCOPE_OK;
        return err == SCOPE_OK ? err : scope_diag_set(diag, err, "%s", unused.text);
}

static enum scope_err read_date(
        const char *words, struct scope_prompt_format *format, struct scope_diag *diag)
{
        if (words[0] == 0)
                return SCOPE_OK;
        const char *end = strptime(words, "%Y-%m-%d", &format->date);
        if (end == NULL || *end != 0)
                return scope_diag_set(diag, SCOPE_ERR_FORMAT,
                        "'%.40s' is no date; write it as 2024-07-26", words);
        format->has_date = true;
        return SCOPE_OK;
}

static enum scope_err render_one(struct scope_prompt_format *format, struct scope_diag *diag)
{
        static const struct scope_string problem = { "1+1=", 4 }, none = { "", 0 };
        struct scope_text text = { 0 };
        enum scope_err err = scope_prompt_format_render(format, problem, none, &text, diag);
        scope_text_fini(&text);
        return err;
}

/* A template that cannot render a problem is found out before a run, not in its first step. One
 * that refuses a system message gets none, and the words say so. */
static enum scope_err try_out(struct scope_prompt_format *format, struct scope_diag *diag)
{
        struct scope_diag first = { "" };
        enum scope_err err = render_one(format, &first);
        if (err == SCOPE_ERR_REFUSED && format->system[0] != 0) {
                char system = format->system[0];
                format->system[0] = 0;
                if (render_one(format, diag) == SCOPE_OK) {
                        size_t count = strlen(format->words);
                        (void)snprintf(format->words + count, sizeof format->words - count,
                                ", without a system message, which it refuses");
                        return SCOPE_OK;
                }
                format->system[0] = system;
        }
        return err == SCOPE_OK ? err : scope_diag_set(diag, err, "%s", first.text);
}

enum scope_err scope_prompt_format_create(const char *path,
        const struct scope_prompt_format_options *options, struct scope_prompt_format **ret_format,
        struct scope_diag *diag)
{
        struct scope_prompt_format *format = calloc(1, sizeof *format);
        if (format == NULL)
                return scope_diag_set(diag, SCOPE_ERR_MEMORY, "prompt format: out of memory");
        enum scope_err err = find_template(path, options->format, &format->chat, diag);
        format->system = strdup(options->system);
        format->instruction = strdup(options->instruction);
        format->variables = strdup(options->variables);
        format->blank_line_hint = options->blank_line_hint;
        if (format->system == NULL || format->instruction == NULL || format->variables == NULL)
                err = scope_diag_set(diag, SCOPE_ERR_MEMORY, "prompt format: out of memory");
        if (err == SCOPE_OK)
                err = read_date(options->date, format, diag);
        if (format->chat != NULL)
                (void)snprintf(format->words, sizeof format->words, "chat template %s",
                        scope_chat_template_words(format->chat));
        else
                (void)snprintf(format->words, sizeof format->words, "plain");
        if (err == SCOPE_OK)
                err = try_out(format, diag);
        if (err != SCOPE_OK) {
                scope_prompt_format_destroy(format);
                return err;
        }
        *ret_format = format;
        return SCOPE_OK;
}

/* System message, and the problem with its instruction. */
static enum scope_err render_problem(const struct scope_prompt_format *format,
        struct scope_chat_request *request, struct scope_string problem, struct scope_text *text,
        struct scope_diag *diag)
{
        struct scope_text user = { 0 };
        bool hint = format->blank_line_hint;
        scope_text_add(&user, problem.at, problem.bytes);
        if (format->instruction[0] != 0 || hint)
                scope_text_string(&user, "\n\n");
        scope_text_string(&user, format->instruction);
        if (hint) /* a space between two sentences, none at the begin */
                scope_text_string(&user, hint_words + (format->instruction[0] == 0));
        struct scope_chat_message messages[2] = {
                { "system", format->system, strlen(format->system) },
                { "user", user.bytes, user.count },
        };
        bool system = format->system[0] != 0;
        request->messages = system ? messages : messages + 1;
        request->count = system ? 2 : 1;
        enum scope_err err =
                user.failed ? scope_diag_set(diag, SCOPE_ERR_MEMORY, "prompt: out of memory")
                            : scope_chat_template_render(format->chat, request, text, diag);
        scope_text_fini(&user);
        return err;
}

enum scope_err scope_prompt_format_render(const struct scope_prompt_format *format,
        struct scope_string problem, struct scope_string messages, struct scope_text *text,
        struct scope_diag *diag)
{
        if (format == NULL || format->chat == NULL) {
                scope_text_add(text, problem.at, problem.bytes);
                return text->failed
                               ? scope_diag_set(diag, SCOPE_ERR_MEMORY, "prompt: out of memory")
                               : SCOPE_OK;
        }
        struct scope_chat_request request = { .variables = format->variables,
                .now = format->has_date ? &format->date : NULL,
                .add_generation_prompt = true };
        if (messages.bytes == 0)
                return render_problem(format, &request, problem, text, diag);
        request.messages_json = messages.at;
        request.json_bytes = messages.bytes;
        return scope_chat_template_render(format->chat, &request, text, diag);
}

enum scope_err scope_prompt_format_encode(const struct scope_prompt_format *format,
        const struct scope_tokenizer *tokenizer, struct scope_string problem,
        struct scope_string messages, uint32_t *ret_ids, size_t max, size_t *ret_count,
        struct scope_diag *diag)
{
        if (format == NULL || format->chat == NULL) /* the text as it lies */
                return scope_tokenizer_encode(
                        tokenizer, problem.at, problem.bytes, ret_ids, max, ret_count);
        struct scope_text text = { 0 };
        enum scope_err err = scope_prompt_format_render(format, problem, messages, &text, diag);
        if (err == SCOPE_OK)
                err = scope_tokenizer_encode(
                        tokenizer, text.bytes, text.count, ret_ids, max, ret_count);
        scope_text_fini(&text);
        return err;
}
