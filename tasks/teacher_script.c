#include "tasks/teacher_script.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "tasks/chain.h"
#include "tasks/refiner_prompt.h"
#include "tasks/teacher_script_parts.h"
#include "tasks/teacher_solutions.h"

enum { PIECE_BYTES = 12, PIECES_MAX = 1024, KEEP_ALIVES = 3 };

const char *const scope_teacher_manner_names[] = { "continue", "correct", "refuse", NULL };
const char *const scope_teacher_retry_names[] = { "seconds", "date", "absent", NULL };

static const char *const fault_names[] = {
#define X(name, key) key,
        SCOPE_TEACHER_FAULT_MAP(X)
#undef X
};

static enum scope_err bad_fault(const char *words, struct scope_diag *diag)
{
        struct scope_text names = { 0 };
        for (int i = 0; i < SCOPE_TEACHER_FAULT_COUNT; i++)
                scope_text_format(&names, "%s%s", i == 0 ? "" : ", ", fault_names[i]);
        enum scope_err err = scope_diag_set(diag, SCOPE_ERR_FORMAT,
                "faults '%.200s': want NAME=SHARE,... with shares in 0..1 and at most 1 together; "
                "names are %s",
                words, names.failed ? "" : names.bytes);
        scope_text_fini(&names);
        return err;
}

/* One "name=share"; *text moves behind it and a comma. False: malformed. */
static bool take_fault(const char **text, double *fault)
{
        size_t name = strcspn(*text, "=");
        char *end;
        if ((*text)[name] == 0)
                return false;
        double share = strtod(*text + name + 1, &end);
        if (end == *text + name + 1 || (*end != 0 && *end != ',') || !(share >= 0 && share <= 1))
                return false;
        for (int i = 0; i < SCOPE_TEACHER_FAULT_COUNT; i++)
                if (strlen(fault_names[i]) == name && strncmp(*text, fault_names[i], name) == 0) {
                        fault[i] = share;
                        *text = end + (*end == ',');
                        return true;
                }
        return false;
}

enum scope_err scope_teacher_script_init(struct scope_teacher_script *script,
        const struct scope_teacher_script_options *options, struct scope_diag *diag)
{
        struct scope_teacher_script made = { .options = *options };
        const char *at = options->faults;
        double sum = 0;
        while (*at != 0)
                if (!take_fault(&at, made.fault))
                        return bad_fault(options->faults, diag);
        for (int i = 0; i < SCOPE_TEACHER_FAULT_COUNT; i++)
                sum += made.fault[i];
        if (sum > 1 + 1e-9)
                return bad_fault(options->faults, diag);
        enum scope_err err = SCOPE_OK;
        if (options->law != NULL)
                made.latency = *options->law;
        else
                err = scope_latency_law_parse(options->latency, &made.latency, diag);
        if (err == SCOPE_OK)
                *script = made;
        return err;
}

/* ---- the request ---- */

struct call {
        struct scope_chain chain;
        struct scope_text solved; /* the answer, where the data set has it */
        bool in_data, refused;    /* refused: the data set cannot go on from this prefix */
        bool is_recorded;
        struct scope_teacher_recorded recorded;
        struct scope_string prefix;
        const char *model;
        uint32_t max_tokens; /* UINT32_MAX = not given */
        bool stream, usage;
};

static struct scope_string content_of(const json_t *message)
{
        const json_t *content = json_object_get(message, "content");
        if (!json_is_string(content))
                return (struct scope_string){ "", 0 };
        return (struct scope_string){ json_string_value(content),
                (uint32_t)json_string_length(content) };
}

static bool has_role(const json_t *message, const char *role)
{
        const char *value = json_string_value(json_object_get(message, "role"));
        return value != NULL && strcmp(value, role) == 0;
}

/* The last user's message holds the problem; an assistant's message after it is the prefix. */
static bool read_messages(const json_t *messages, struct scope_refiner_prompt *ret_parts)
{
        struct scope_string last = { "", 0 };
        for (size_t i = json_array_size(messages); i > 0; i--) {
                const json_t *message = json_array_get(messages, i - 1);
                if (i == json_array_size(messages) && has_role(message, "assistant"))
                        last = content_of(message);
                if (!has_role(message, "user"))
                        continue;
                scope_refiner_prompt_read(content_of(message), ret_parts);
                if (last.bytes > 0)
                        ret_parts->prefix = last;
                return true;
        }
        return false;
}

/* The answer out of the data set; false: the problem is not in it. */
static bool find_solution(const struct scope_teacher_script *script,
        const struct scope_refiner_prompt *parts, bool silent, struct call *call)
{
        enum scope_chain_manner manner = silent ? SCOPE_CHAIN_CORRECT
                                                : (enum scope_chain_manner)script->options.manner;
        if (script->solutions == NULL)
                return false;
        enum scope_err err = scope_teacher_solutions_continue(
                script->solutions, parts->problem, parts->prefix, manner, &call->solved);
        call->in_data = err != SCOPE_ERR_NOT_FOUND;
        call->refused = err != SCOPE_OK;
        call->solved.failed = call->solved.failed || err == SCOPE_ERR_MEMORY;
        return call->in_data;
}

/* What is wrong with the request, or NULL. */
static const char *read_call(const struct scope_teacher_script *script, const json_t *root,
        bool silent, struct call *ret_call)
{
        const json_t *max_tokens = json_object_get(root, "max_tokens");
        const json_t *options = json_object_get(root, "stream_options");
        struct scope_refiner_prompt parts;
        *ret_call = (struct call){ .max_tokens = UINT32_MAX };
        if (!json_is_object(root))
                return "the body is not a JSON object";
        if (!read_messages(json_object_get(root, "messages"), &parts))
                return "messages has none of role user";
        if (script->recorded != NULL) {
                ret_call->is_recorded = script->recorded(script->recorded_context, parts.problem,
                        parts.prefix, &ret_call->recorded);
                if (!ret_call->is_recorded)
                        return "the recording has no call for that problem";
        } else if (!find_solution(script, &parts, silent, ret_call) &&
                scope_chain_parse(parts.problem, &ret_call->chain) != SCOPE_OK)
                return script->solutions == NULL
                               ? "this teacher solves problems of builtin:chain only, like "
                                 "((9*9)+1)-5="
                               : "this teacher has no solution of that problem in its data set, "
                                 "and solves others of builtin:chain only";
        if (max_tokens != NULL && !json_is_null(max_tokens)) {
                json_int_t value = json_integer_value(max_tokens);
                if (!json_is_integer(max_tokens) || value < 1)
                        return "max_tokens is not a whole number above 0";
                ret_call->max_tokens = value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
        }
        ret_call->prefix = parts.prefix;
        ret_call->model = json_string_value(json_object_get(root, "model"));
        ret_call->stream = json_is_true(json_object_get(root, "stream"));
        ret_call->usage = json_is_true(json_object_get(options, "include_usage"));
        return NULL;
}

/* ---- the answer ---- */

struct answer {
        struct scope_text content;
        const char *finish;
        uint32_t tokens_in, tokens_out;
};

/* Length of the token at `at`: as the tiny models cut them, a blank line and "\boxed{" are one
 * each; of real text about three bytes, and never half a character. */
static size_t token_bytes(const char *at, bool real)
{
        if (real) {
                size_t bytes = 1;
                while (at[bytes] != 0 && (bytes < 3 || ((unsigned char)at[bytes] & 0xc0) == 0x80))
                        bytes++;
                return bytes;
        }
        return strncmp(at, "\n\n", 2) == 0 ? 2 : strncmp(at, "\\boxed{", 7) == 0 ? 7 : 1;
}

static uint32_t count_tokens(
        const char *text, bool real, uint32_t tokens_max, size_t *ret_bytes)
{
        uint32_t tokens = 0;
        size_t at = 0;
        while (text[at] != 0 && tokens < tokens_max) {
                at += token_bytes(text + at, real);
                tokens++;
        }
        *ret_bytes = at;
        return tokens;
}

/* "\boxed{77}" at the end becomes "\boxed{78}"; what is no integer becomes one. */
static void spoil_box(struct scope_text *content)
{
        static const char open[] = "\\boxed{";
        char *box = content->bytes, *next;
        long long value;
        if (box == NULL || (box = strstr(box, open)) == NULL)
                return;
        while ((next = strstr(box + 1, open)) != NULL)
                box = next;
        box += sizeof open - 2;
        if (sscanf(box, "{%lld", &value) != 1)
                value = 987654320;
        content->count = (size_t)(box - content->bytes);
        scope_text_format(content, "{%lld}", value + 1);
}

/* Appends what follows the prefix; false: it is refused. */
static bool go_on(const struct call *call, enum scope_chain_manner manner, struct scope_text *text)
{
        if (!call->in_data)
                return scope_chain_continue(&call->chain, call->prefix, manner, text) == SCOPE_OK;
        if (!call->refused)
                scope_text_add(text, call->solved.bytes, call->solved.count);
        text->failed = text->failed || call->solved.failed;
        return !call->refused;
}

static void solve(const struct scope_teacher_script *script, const struct call *call,
        enum scope_teacher_fault fault, struct answer *answer)
{
        enum scope_chain_manner manner = fault == SCOPE_TEACHER_FAULT_SILENT
                                                 ? SCOPE_CHAIN_CORRECT
                                                 : (enum scope_chain_manner)script->options.manner;
        struct scope_text *content = &answer->content;
        size_t bytes;
        answer->finish = "stop";
        scope_text_string(content, "");
        if (fault == SCOPE_TEACHER_FAULT_EMPTY)
                return;
        if (fault == SCOPE_TEACHER_FAULT_REFUSAL || !go_on(call, manner, content))
                scope_text_string(content, SCOPE_REFUSAL_MARKER);
        if (fault == SCOPE_TEACHER_FAULT_WRONG)
                spoil_box(content);
        if (content->failed)
                return;
        uint32_t limit = call->max_tokens;
        uint32_t all = count_tokens(content->bytes, call->in_data, UINT32_MAX, &bytes);
        if (fault == SCOPE_TEACHER_FAULT_LENGTH && limit > all / 2)
                limit = all / 2;
        answer->tokens_out = count_tokens(content->bytes, call->in_data, limit, &bytes);
        if (answer->tokens_out < all) {
                content->count = bytes;
                content->bytes[bytes] = 0;
                answer->finish = "length";
        }
}

/* ---- the body ---- */

static void write_usage(struct scope_text *body, const struct answer *answer)
{
        scope_json_open(body, "usage", '{');
        scope_json_uint(body, "prompt_tokens", answer->tokens_in);
        scope_json_uint(body, "completion_tokens", answer->tokens_out);
        scope_json_uint(body, "total_tokens", (uint64_t)answer->tokens_in + answer->tokens_out);
        scope_json_close(body, '}');
}

static void write_head(struct scope_text *body, const struct call *call, uint64_t random,
        time_t now, const char *object)
{
        char id[32];
        (void)snprintf(id, sizeof id, "chatcmpl-%016" PRIx64, random);
        scope_json_open(body, NULL, '{');
        scope_json_text(body, "id", id);
        scope_json_text(body, "object", object);
        scope_json_int(body, "created", (int64_t)now);
        scope_json_text(body, "model", call->model != NULL ? call->model : "exact");
}

static void write_whole(struct scope_text *body, const struct call *call,
        const struct answer *answer, uint64_t random, time_t now)
{
        write_head(body, call, random, now, "chat.completion");
        scope_json_open(body, "choices", '[');
        scope_json_open(body, NULL, '{');
        scope_json_int(body, "index", 0);
        scope_json_open(body, "message", '{');
        scope_json_text(body, "role", "assistant");
        scope_json_bytes(body, "content", answer->content.bytes, answer->content.count);
        scope_json_close(body, '}');
        scope_json_text(body, "finish_reason", answer->finish);
        scope_json_close(body, '}');
        scope_json_close(body, ']');
        write_usage(body, answer);
        scope_json_close(body, '}');
}

/* One event: a piece of content, or the finish reason where `piece` is NULL. */
static void write_chunk(struct scope_text *body, const struct call *call, const char *piece,
        size_t bytes, const char *finish, uint64_t random, time_t now)
{
        scope_text_string(body, "data: ");
        write_head(body, call, random, now, "chat.completion.chunk");
        scope_json_open(body, "choices", '[');
        scope_json_open(body, NULL, '{');
        scope_json_int(body, "index", 0);
        scope_json_open(body, "delta", '{');
        if (piece != NULL)
                scope_json_bytes(body, "content", piece, bytes);
        scope_json_close(body, '}');
        if (finish != NULL)
                scope_json_text(body, "finish_reason", finish);
        else
                scope_json_raw(body, "finish_reason", "null", 4);
        scope_json_close(body, '}');
        scope_json_close(body, ']');
        if (call->usage)
                scope_json_raw(body, "usage", "null", 4);
        scope_json_close(body, '}');
        scope_text_string(body, "\n\n");
}

static void write_error(struct scope_text *body, const char *message, const char *type)
{
        scope_json_open(body, NULL, '{');
        scope_json_open(body, "error", '{');
        scope_json_text(body, "message", message);
        scope_json_text(body, "type", type);
        scope_json_raw(body, "code", "null", 4);
        scope_json_close(body, '}');
        scope_json_close(body, '}');
}

static void write_stream(struct scope_text *body, const struct call *call,
        const struct answer *answer, uint64_t random, time_t now, enum scope_teacher_fault fault)
{
        const struct scope_text *content = &answer->content;
        bool preempt = fault == SCOPE_TEACHER_FAULT_PREEMPT;
        bool break_off = fault == SCOPE_TEACHER_FAULT_ERROR_CHUNK;
        size_t end = break_off || preempt ? content->count / 2 : content->count;
        size_t piece = end < (size_t)PIECE_BYTES * PIECES_MAX ? PIECE_BYTES : end / PIECES_MAX;
        for (size_t at = 0; at < end; at += piece)
                write_chunk(body, call, content->bytes + at, end - at < piece ? end - at : piece,
                        NULL, random, now);
        if (break_off) {
                scope_text_string(body, "data: ");
                write_error(body, "the upstream server failed", "server_error");
                scope_text_string(body, "\n\n");
                return;
        }
        if (!preempt)
                write_chunk(body, call, NULL, 0, answer->finish, random, now);
        if (call->usage && !preempt) {
                scope_text_string(body, "data: ");
                write_head(body, call, random, now, "chat.completion.chunk");
                scope_json_open(body, "choices", '[');
                scope_json_close(body, ']');
                write_usage(body, answer);
                scope_json_close(body, '}');
                scope_text_string(body, "\n\n");
        }
        scope_text_string(body, "data: [DONE]\n\n");
}

/* ---- the response ---- */

static enum scope_teacher_fault draw_fault(
        const struct scope_teacher_script *script, struct scope_rng *rng)
{
        double mark = scope_rng_uniform(rng);
        for (int i = 0; i < SCOPE_TEACHER_FAULT_COUNT; i++) {
                if (mark < script->fault[i])
                        return (enum scope_teacher_fault)i;
                mark -= script->fault[i];
        }
        return SCOPE_TEACHER_FAULT_NONE;
}

static void set_retry_after(const struct scope_teacher_script_options *options, time_t now,
        struct scope_teacher_response *response)
{
        int64_t seconds = (options->retry_delay + 999999999) / 1000000000;
        time_t then = now + (time_t)seconds;
        struct tm utc;
        if (options->retry_after == SCOPE_TEACHER_RETRY_SECONDS)
                (void)snprintf(response->retry_after, sizeof response->retry_after, "%lld",
                        (long long)seconds);
        else if (options->retry_after == SCOPE_TEACHER_RETRY_DATE && gmtime_r(&then, &utc) != NULL)
                (void)strftime(response->retry_after, sizeof response->retry_after,
                        "%a, %d %b %Y %H:%M:%S GMT", &utc);
}

void scope_teacher_script_refuse(struct scope_teacher_response *response, int32_t status,
        const char *message, const char *type)
{
        response->status = status;
        response->content_type = "application/json";
        write_error(&response->body, message, type);
}

bool scope_teacher_script_fault(const struct scope_teacher_script *script, time_t now, bool stream,
        struct scope_teacher_response *response)
{
        switch (response->fault) {
        case SCOPE_TEACHER_FAULT_BUSY:
                scope_teacher_script_refuse(
                        response, 429, "rate limit reached", "rate_limit_exceeded");
                set_retry_after(&script->options, now, response);
                return true;
        case SCOPE_TEACHER_FAULT_ERROR:
                scope_teacher_script_refuse(response, 500, "internal error", "server_error");
                return true;
        case SCOPE_TEACHER_FAULT_UNAVAILABLE:
                scope_teacher_script_refuse(
                        response, 503, "the server is overloaded", "server_is_overloaded");
                return true;
        case SCOPE_TEACHER_FAULT_GARBAGE:
                response->content_type = "text/html";
                scope_text_string(&response->body,
                        "<!DOCTYPE html>\n<html><head><title>Welcome"
                        "</title></head><body>It works.</body></html>\n");
                return true;
        case SCOPE_TEACHER_FAULT_ERROR_CHUNK:
                if (!stream)
                        scope_teacher_script_refuse(
                                response, 200, "the upstream server failed", "server_error");
                return !stream;
        default:
                return false;
        }
}

static void answer_call(const struct scope_teacher_script *script, const struct call *call,
        size_t request_bytes, uint64_t random, time_t now, struct scope_teacher_response *response)
{
        struct answer answer = { .tokens_in = (uint32_t)(request_bytes / 4) };
        enum scope_teacher_fault fault = response->fault;
        struct scope_text *body = &response->body;
        if (scope_teacher_script_fault(script, now, call->stream, response))
                return;
        solve(script, call, fault, &answer);
        while (fault == SCOPE_TEACHER_FAULT_HUGE && !answer.content.failed &&
                answer.content.count < (size_t)script->options.huge_bytes)
                scope_text_string(&answer.content, " and so on and so on and so on and so on");
        if (fault == SCOPE_TEACHER_FAULT_KEEP_ALIVE)
                for (int i = 0; i < KEEP_ALIVES; i++)
                        scope_text_string(body, call->stream ? ": keep-alive\n\n" : "\n");
        response->lead = body->count;
        if (call->stream) {
                response->content_type = "text/event-stream";
                write_stream(body, call, &answer, random, now, fault);
        } else
                write_whole(body, call, &answer, random, now);
        if (fault == SCOPE_TEACHER_FAULT_CUT)
                response->cut = body->count / 2;
        body->failed = body->failed || answer.content.failed;
        scope_text_fini(&answer.content);
}

/* As it was answered then. */
static void answer_recorded(const struct call *call, size_t request_bytes, uint64_t random,
        time_t now, struct scope_teacher_response *response)
{
        const struct scope_teacher_recorded *recorded = &call->recorded;
        bool truncated = recorded->end == SCOPE_TEACHER_RECORDED_TRUNCATED;
        struct answer answer = { .tokens_in = (uint32_t)(request_bytes / 4),
                .tokens_out = recorded->content.bytes / 4,
                .content = { .bytes = (char *)(uintptr_t)recorded->content.at,
                        .count = recorded->content.bytes }, /* only read */
                .finish = truncated ? "length" : "stop" };
        response->latency_ns = recorded->latency_ns;
        response->fault = SCOPE_TEACHER_FAULT_NONE;
        if (recorded->end == SCOPE_TEACHER_RECORDED_STATUS)
                scope_teacher_script_refuse(response, recorded->status, "as recorded", "recorded");
        if (recorded->end == SCOPE_TEACHER_RECORDED_GARBAGE)
                scope_text_string(&response->body, "as recorded: no chat completion\n");
        response->hang = recorded->end == SCOPE_TEACHER_RECORDED_HANG;
        if (response->body.count > 0 || response->hang)
                return;
        if (call->stream) {
                response->content_type = "text/event-stream";
                write_stream(&response->body, call, &answer, random, now, false);
        } else {
                write_whole(&response->body, call, &answer, random, now);
        }
        if (recorded->end == SCOPE_TEACHER_RECORDED_CUT)
                response->cut = response->body.count / 2;
}

void scope_teacher_script_begin(const struct scope_teacher_script *script, uint64_t random,
        struct scope_teacher_response *ret_response)
{
        struct scope_rng rng = scope_rng_make(random);
        *ret_response = (struct scope_teacher_response){
                .status = 200, .content_type = "application/json", .cut = SIZE_MAX
        };
        ret_response->latency_ns = scope_latency_law_draw_ns(&script->latency, &rng);
        ret_response->fault = draw_fault(script, &rng);
        if (script->recorded != NULL)
                ret_response->fault = SCOPE_TEACHER_FAULT_NONE;
        ret_response->hang = ret_response->fault == SCOPE_TEACHER_FAULT_HANG;
}

void scope_teacher_script_answer(const struct scope_teacher_script *script, const void *request,
        size_t count, uint64_t random, time_t now, struct scope_teacher_response *ret_response)
{
        struct call call = { .in_data = false };
        json_error_t error;
        scope_teacher_script_begin(script, random, ret_response);
        if (ret_response->hang)
                return;
        json_t *root = json_loadb(request, count, 0, &error);
        bool silent = ret_response->fault == SCOPE_TEACHER_FAULT_SILENT;
        const char *wrong =
                root == NULL ? "the body is not JSON" : read_call(script, root, silent, &call);
        if (wrong != NULL) {
                ret_response->fault = SCOPE_TEACHER_FAULT_NONE;
                scope_teacher_script_refuse(ret_response, 400, wrong, "invalid_request_error");
        } else if (call.is_recorded) {
                answer_recorded(&call, count, random, now, ret_response);
        } else
                answer_call(script, &call, count, random, now, ret_response);
        scope_text_fini(&call.solved);
        json_decref(root);
}
