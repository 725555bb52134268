#include "tasks/teacher_reply.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum shape { SHAPE_UNKNOWN, SHAPE_JSON, SHAPE_EVENTS };

void scope_teacher_reply_init(
        struct scope_teacher_reply *reply, size_t bytes_max, size_t content_max)
{
        *reply = (struct scope_teacher_reply){ .kind = SCOPE_REPLY_RETRYABLE,
                .bytes_max = bytes_max };
        reply->content.limit = content_max + 1;
        scope_text_string(&reply->content, "");
}

void scope_teacher_reply_fini(struct scope_teacher_reply *reply)
{
        scope_text_fini(&reply->content);
        scope_text_fini(&reply->line);
        scope_text_fini(&reply->data);
}

/* The first fault stands; what comes after it is not believed. */
static void fail(struct scope_teacher_reply *reply, enum scope_reply_kind kind, const char *words,
        const char *detail)
{
        if (reply->failed)
                return;
        reply->failed = true;
        reply->kind = kind;
        (void)snprintf(reply->error, sizeof reply->error, "%s%.*s", words, 100, detail);
        for (char *at = reply->error; *at != 0; at++)
                if ((unsigned char)*at < 0x20 || *at == 0x7f)
                        *at = ' '; /* it goes into a log line */
}

/* ---- one JSON object: a completion, a chunk of one, or an error ---- */

static const char *text_at(const json_t *object, const char *key)
{
        const char *text = json_string_value(json_object_get(object, key));
        return text != NULL ? text : "";
}

/* Words by which services say that trying again is of no use, as whole codes or types. */
static enum scope_reply_kind kind_of_error(const char *word)
{
        static const char *const fatal[] = { "insufficient_quota", "invalid_api_key",
                "authentication_error", "permission_error", "model_not_found",
                "insufficient_balance", "billing_hard_limit_reached", "not_found_error" };
        static const char *const refused[] = { "context_length_exceeded", "invalid_request_error",
                "content_filter", "content_policy_violation", "unsupported_parameter" };
        for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++)
                if (strcmp(word, fatal[i]) == 0)
                        return SCOPE_REPLY_FATAL;
        for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
                if (strcmp(word, refused[i]) == 0)
                        return SCOPE_REPLY_REFUSED;
        return SCOPE_REPLY_RETRYABLE;
}

/* {"error": {"message", "type", "code"}}, {"error": "text"}, or {"object": "error", "message"}. */
static bool take_error(struct scope_teacher_reply *reply, const json_t *root)
{
        const json_t *error = json_object_get(root, "error");
        if (strcmp(text_at(root, "object"), "error") == 0)
                error = root;
        if (error == NULL || json_is_null(error))
                return false;
        enum scope_reply_kind kind = kind_of_error(text_at(error, "code"));
        if (kind == SCOPE_REPLY_RETRYABLE)
                kind = kind_of_error(text_at(error, "type"));
        const char *message =
                json_is_string(error) ? json_string_value(error) : text_at(error, "message");
        fail(reply, kind, "the service says: ", message);
        return true;
}

static uint32_t count_at(const json_t *usage, const char *key)
{
        json_int_t value = json_integer_value(json_object_get(usage, key));
        return value <= 0 ? 0 : value > INT32_MAX ? INT32_MAX : (uint32_t)value;
}

static void take_choice(struct scope_teacher_reply *reply, const json_t *choice)
{
        const json_t *part = json_object_get(choice, "delta");
        if (part == NULL)
                part = json_object_get(choice, "message");
        const json_t *content = json_object_get(part, "content");
        if (json_is_string(content))
                scope_text_add(
                        &reply->content, json_string_value(content), json_string_length(content));
        const char *refusal = text_at(part, "refusal");
        if (refusal[0] != 0)
                fail(reply, SCOPE_REPLY_REFUSED, "the service refuses: ", refusal);
        const char *finish = text_at(choice, "finish_reason");
        if (finish[0] != 0)
                (void)snprintf(reply->finish, sizeof reply->finish, "%s", finish);
}

static void take_object(struct scope_teacher_reply *reply, const json_t *root)
{
        const json_t *usage = json_object_get(root, "usage"), *choice;
        size_t i;
        if (!json_is_object(root)) {
                fail(reply, SCOPE_REPLY_RETRYABLE, "malformed: ", "not a JSON object");
                return;
        }
        if (take_error(reply, root))
                return;
        if (json_is_object(usage)) {
                reply->tokens_in = count_at(usage, "prompt_tokens");
                reply->tokens_out = count_at(usage, "completion_tokens");
        }
        json_array_foreach(json_object_get(root, "choices"), i,
                choice) if (json_integer_value(json_object_get(choice, "index")) == 0)
                take_choice(reply, choice);
}

static void take_json(struct scope_teacher_reply *reply, const struct scope_text *text)
{
        json_error_t error;
        if (text->failed)
                return;
        json_t *root = json_loadb(text->bytes, text->count, 0, &error);
        if (root == NULL)
                fail(reply, SCOPE_REPLY_RETRYABLE, "malformed JSON: ", error.text);
        else
                take_object(reply, root);
        json_decref(root);
}

/* ---- events: https://html.spec.whatwg.org/multipage/server-sent-events.html ---- */

static void dispatch(struct scope_teacher_reply *reply)
{
        struct scope_text *data = &reply->data;
        bool error = reply->event_error;
        reply->event_error = false;
        if (data->count == 0)
                return;
        if (data->count == 6 && memcmp(data->bytes, "[DONE]", 6) == 0)
                reply->done = true;
        else if (!reply->done && !reply->failed)
                take_json(reply, data);
        if (error)
                fail(reply, SCOPE_REPLY_RETRYABLE, "the service sent an event of type error", "");
        scope_text_clear(data);
}

static bool has_name(const struct scope_text *line, size_t name_bytes, const char *name)
{
        return name_bytes == strlen(name) && memcmp(line->bytes, name, name_bytes) == 0;
}

static void take_line(struct scope_teacher_reply *reply)
{
        struct scope_text *line = &reply->line;
        if (line->count == 0) {
                dispatch(reply);
                return;
        }
        const char *colon = memchr(line->bytes, ':', line->count);
        size_t name = colon != NULL ? (size_t)(colon - line->bytes) : line->count;
        size_t value = colon != NULL ? name + 1 : line->count;
        if (value < line->count && line->bytes[value] == ' ')
                value++;
        if (name == 0)
                reply->keep_alives++;
        else if (has_name(line, name, "data")) {
                if (reply->data.count > 0)
                        scope_text_add(&reply->data, "\n", 1);
                scope_text_add(&reply->data, line->bytes + value, line->count - value);
        } else if (has_name(line, name, "event"))
                reply->event_error = strcmp(line->bytes + value, "error") == 0;
        else if (!has_name(line, name, "id") && !has_name(line, name, "retry"))
                fail(reply, SCOPE_REPLY_RETRYABLE, "neither JSON nor events: ", line->bytes);
        scope_text_clear(line);
}

/* Lines end with LF, CR or CRLF; the two of the last may come apart. */
static void feed_events(struct scope_teacher_reply *reply, const char *bytes, size_t count)
{
        size_t begin = 0;
        for (size_t i = 0; i < count; i++) {
                if (bytes[i] == '\n' && reply->skip_newline) {
                        reply->skip_newline = false;
                        begin = i + 1;
                        continue;
                }
                reply->skip_newline = false;
                if (bytes[i] != '\n' && bytes[i] != '\r')
                        continue;
                scope_text_add(&reply->line, bytes + begin, i - begin);
                take_line(reply);
                reply->skip_newline = bytes[i] == '\r';
                begin = i + 1;
        }
        scope_text_add(&reply->line, bytes + begin, count - begin);
}

/* ---- the edge ---- */

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

enum scope_err scope_teacher_reply_feed(
        struct scope_teacher_reply *reply, const void *bytes, size_t count)
{
        const char *at = bytes;
        if (count > reply->bytes_max - reply->bytes)
                return SCOPE_ERR_TOO_BIG;
        reply->bytes += count;
        while (reply->shape == SHAPE_UNKNOWN && count > 0) {
                if (is_blank(*at)) {
                        reply->keep_alives += *at == '\n';
                        at++, count--;
                } else
                        reply->shape = *at == '{' || *at == '[' ? SHAPE_JSON : SHAPE_EVENTS;
        }
        if (reply->shape == SHAPE_JSON)
                scope_text_add(&reply->line, at, count);
        else if (reply->shape == SHAPE_EVENTS)
                feed_events(reply, at, count);
        if (reply->content.failed)
                return SCOPE_ERR_TOO_BIG;
        return reply->line.failed || reply->data.failed ? SCOPE_ERR_MEMORY : SCOPE_OK;
}

/* What finish_reason means. One that is missing or unknown is no success. */
static void judge_finish(struct scope_teacher_reply *reply)
{
        if (strcmp(reply->finish, "stop") == 0)
                reply->kind = SCOPE_REPLY_WHOLE;
        else if (strcmp(reply->finish, "length") == 0) {
                reply->kind = SCOPE_REPLY_TRUNCATED;
                (void)snprintf(reply->error, sizeof reply->error, "cut at max_tokens");
        } else if (strcmp(reply->finish, "content_filter") == 0 ||
                   strcmp(reply->finish, "tool_calls") == 0)
                fail(reply, SCOPE_REPLY_REFUSED, "finish_reason ", reply->finish);
        else if (reply->finish[0] != 0)
                fail(reply, SCOPE_REPLY_RETRYABLE, "finish_reason ", reply->finish);
        else {
                reply->broken_off = reply->done;
                fail(reply, SCOPE_REPLY_RETRYABLE, "the answer ended without a finish_reason", "");
        }
}

void scope_teacher_reply_end(struct scope_teacher_reply *reply, bool whole)
{
        bool finished = reply->finish[0] != 0;
        if (!whole && !finished)
                fail(reply, SCOPE_REPLY_RETRYABLE, "the connection broke off", "");
        else if (reply->shape == SHAPE_UNKNOWN)
                fail(reply, SCOPE_REPLY_RETRYABLE, "an empty body", "");
        else if (reply->shape == SHAPE_JSON)
                take_json(reply, &reply->line);
        else {
                /* Some services leave the last blank line away, or the last newline. */
                if (reply->line.count > 0)
                        take_line(reply);
                dispatch(reply);
        }
        if (reply->content.failed || reply->line.failed || reply->data.failed)
                fail(reply, SCOPE_REPLY_RETRYABLE, "over the limit of bytes", "");
        if (!reply->failed)
                judge_finish(reply);
}
