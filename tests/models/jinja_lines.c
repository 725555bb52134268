/* jinja_lines.c - templates in, texts out, one JSON object a line: what oracle_jinja.py talks to.
 * {"template": T, "variables": {...}} gives {"out": TEXT} or {"error": WORDS, "code": NAME}. With
 * "chat": true it goes through chat_template.h, which says in "words" what it took; "continue":
 * true leaves the last turn open. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "models/chat_template.h"
#include "models/jinja.h"

static const struct tm now = { .tm_year = 124, .tm_mon = 6, .tm_mday = 26, .tm_wday = 5 };

static enum scope_err chat(
        const json_t *row, struct scope_text *out, char *ret_words, struct scope_diag *diag)
{
        struct scope_chat_tokens tokens = { "", "", "", "", "" };
        json_t *variables = json_deep_copy(json_object_get(row, "variables"));
        const json_t *template = json_object_get(row, "template");
        char *messages = json_dumps(json_object_get(variables, "messages"), 0);
        bool prompt = json_is_true(json_object_get(variables, "add_generation_prompt"));
        (void)snprintf(tokens.bos, sizeof tokens.bos, "%s",
                json_string_value(json_object_get(variables, "bos_token")));
        (void)snprintf(tokens.eos, sizeof tokens.eos, "%s",
                json_string_value(json_object_get(variables, "eos_token")));
        static const char *const known[] = { "messages", "add_generation_prompt", "bos_token",
                "eos_token" };
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
                (void)json_object_del(variables, known[i]);
        char *rest = json_dumps(variables, 0);
        struct scope_chat_request request = { .messages_json = messages,
                .json_bytes = strlen(messages),
                .variables = rest,
                .now = &now,
                .continue_final_message = json_is_true(json_object_get(row, "continue")) };
        request.add_generation_prompt = prompt && !request.continue_final_message;
        struct scope_chat_template *made = NULL;
        enum scope_err err = scope_chat_template_create("t", json_string_value(template),
                json_string_length(template), &tokens, &made, diag);
        if (err == SCOPE_OK) {
                (void)snprintf(ret_words, 64, "%s", scope_chat_template_words(made));
                err = scope_chat_template_render(made, &request, out, diag);
        }
        scope_chat_template_destroy(made);
        free(rest);
        free(messages);
        json_decref(variables);
        return err;
}

static enum scope_err jinja(const json_t *row, struct scope_text *out, struct scope_diag *diag)
{
        const json_t *template = json_object_get(row, "template");
        struct scope_jinja *made = NULL;
        enum scope_err err = scope_jinja_compile(
                "t", json_string_value(template), json_string_length(template), &made, diag);
        if (err == SCOPE_OK)
                err = scope_jinja_render(made, json_object_get(row, "variables"), &now, out, diag);
        scope_jinja_destroy(made);
        return err;
}

static void answer(const json_t *row)
{
        char words[64] = "";
        struct scope_diag diag = { "" };
        struct scope_text out = { 0 }, line = { 0 };
        enum scope_err err = json_is_true(json_object_get(row, "chat"))
                                     ? chat(row, &out, words, &diag)
                                     : jinja(row, &out, &diag);
        scope_json_open(&line, NULL, '{');
        if (err != SCOPE_OK) {
                scope_json_text(&line, "error", diag.text);
                scope_json_text(&line, "code", scope_err_name(err));
        } else
                scope_json_bytes(&line, "out", out.bytes != NULL ? out.bytes : "", out.count);
        scope_json_text(&line, "words", words);
        scope_json_close(&line, '}');
        (void)puts(line.failed ? "{}" : line.bytes);
        scope_text_fini(&out);
        scope_text_fini(&line);
}

int main(void)
{
        char *line = NULL;
        size_t capacity = 0;
        ssize_t count;
        while ((count = getline(&line, &capacity, stdin)) > 0) {
                json_t *row = json_loadb(line, (size_t)count, JSON_ALLOW_NUL, NULL);
                answer(row);
                json_decref(row);
        }
        free(line);
        return 0;
}
