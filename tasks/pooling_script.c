#include "tasks/pooling_script.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "schemas/records.h"
#include "tasks/teacher_script_parts.h"

static const char mark[] = "<extra_0>", user[] = "<|im_start|>user\n",
                  assistant[] = "<|im_start|>assistant\n", end[] = "<|im_end|>";

/* What was asked about one text. */
struct asked {
        struct scope_string problem;
        struct scope_text steps; /* one after another, a blank line behind each */
        uint32_t ends[SCOPE_STEPS_MAX], count;
        float p[SCOPE_STEPS_MAX];
};

/* NULL, or what is wrong with the text. */
static const char *read_text(const char *text, struct asked *asked)
{
        const char *problem = strstr(text, user), *answer = strstr(text, assistant), *next;
        scope_text_clear(&asked->steps);
        asked->count = 0;
        if (problem == NULL || answer == NULL || (next = strstr(problem, end)) == NULL)
                return "an input is not a chat of a user and an assistant in ChatML";
        problem += sizeof user - 1;
        asked->problem = (struct scope_string){ problem, (uint32_t)(next - problem) };
        answer += sizeof assistant - 1;
        for (; (next = strstr(answer, mark)) != NULL; answer = next + sizeof mark - 1) {
                if (asked->count == SCOPE_STEPS_MAX)
                        return "an input has too many steps";
                scope_text_add(&asked->steps, answer, (size_t)(next - answer));
                scope_text_string(&asked->steps, "\n\n");
                asked->ends[asked->count++] = (uint32_t)asked->steps.count;
        }
        return asked->steps.failed ? "out of memory" : NULL;
}

static void write_row(struct scope_text *body, float p, enum scope_teacher_fault fault)
{
        bool logits = fault == SCOPE_TEACHER_FAULT_SILENT || fault == SCOPE_TEACHER_FAULT_REFUSAL;
        double right = fault == SCOPE_TEACHER_FAULT_WRONG ? 1 - (double)p : (double)p;
        scope_json_open(body, NULL, '[');
        scope_json_double(body, NULL, logits ? -3.5 : 1 - right);
        scope_json_double(body, NULL, logits ? 4.25 : right);
        scope_json_close(body, ']');
}

static void write_object(
        struct scope_text *body, int64_t index, struct asked *asked, enum scope_teacher_fault fault)
{
        uint32_t count = fault == SCOPE_TEACHER_FAULT_LENGTH ? asked->count / 2
                : fault == SCOPE_TEACHER_FAULT_EMPTY          ? 0
                                                              : asked->count;
        scope_json_open(body, NULL, '{');
        scope_json_int(body, "index", index);
        scope_json_text(body, "object", "pooling");
        scope_json_open(body, "data", '[');
        for (uint32_t i = 0; i < count; i++)
                write_row(body, asked->p[i], fault);
        scope_json_close(body, ']');
        scope_json_close(body, '}');
}

static void write_head(struct scope_text *body, const json_t *root, uint64_t random, time_t now)
{
        const char *model = json_string_value(json_object_get(root, "model"));
        char id[32];
        (void)snprintf(id, sizeof id, "pool-%016" PRIx64, random);
        scope_json_open(body, NULL, '{');
        scope_json_text(body, "id", id);
        scope_json_text(body, "object", "list");
        scope_json_int(body, "created", (int64_t)now);
        scope_json_text(body, "model", model != NULL ? model : "exact");
}

/* NULL, or what is wrong with the request. */
static const char *write_scores(const struct scope_teacher_script *script, const json_t *root,
        struct asked *asked, uint64_t random, time_t now, struct scope_teacher_response *response)
{
        const json_t *input = json_object_get(root, "input");
        struct scope_text *body = &response->body;
        size_t texts = json_is_string(input) ? 1 : json_array_size(input);
        if (texts == 0)
                return "the body has no \"input\": a text, or a list of texts";
        if (response->fault == SCOPE_TEACHER_FAULT_KEEP_ALIVE)
                scope_text_string(body, "\n\n");
        response->lead = body->count;
        write_head(body, root, random, now);
        scope_json_open(body, "data", '[');
        for (size_t i = 0; i < texts; i++) {
                const json_t *text = json_is_string(input) ? input : json_array_get(input, i);
                if (!json_is_string(text))
                        return "an input is not a text";
                const char *wrong = read_text(json_string_value(text), asked);
                if (wrong != NULL)
                        return wrong;
                struct scope_string steps = { asked->steps.bytes, (uint32_t)asked->steps.count };
                if (asked->count > 0)
                        script->judge(
                                asked->problem, steps, asked->ends, asked->count, asked->p);
                write_object(body, (int64_t)i, asked, response->fault);
        }
        scope_json_close(body, ']');
        if (response->fault == SCOPE_TEACHER_FAULT_HUGE) {
                scope_json_open(body, "more", '[');
                while (!body->failed && body->count < (size_t)script->options.huge_bytes)
                        scope_json_text(body, NULL, "and so on and so on and so on and so on");
                scope_json_close(body, ']');
        }
        scope_json_close(body, '}');
        if (response->fault == SCOPE_TEACHER_FAULT_CUT)
                response->cut = body->count / 2;
        return NULL;
}

void scope_pooling_script_answer(const struct scope_teacher_script *script, const void *request,
        size_t count, uint64_t random, time_t now, struct scope_teacher_response *ret_response)
{
        scope_teacher_script_begin(script, random, ret_response);
        if (ret_response->hang || scope_teacher_script_fault(script, now, false, ret_response))
                return;
        json_t *root = count > 0 ? json_loadb(request, count, 0, NULL) : NULL;
        struct asked *asked = calloc(1, sizeof *asked);
        const char *wrong = "the body is not JSON";
        if (asked == NULL)
                wrong = "out of memory";
        else if (root != NULL)
                wrong = write_scores(script, root, asked, random, now, ret_response);
        if (wrong != NULL) {
                scope_text_clear(&ret_response->body);
                ret_response->fault = SCOPE_TEACHER_FAULT_NONE;
                ret_response->lead = 0;
                ret_response->cut = SIZE_MAX;
                scope_teacher_script_refuse(ret_response, 400, wrong, "invalid_request_error");
        }
        if (asked != NULL)
                scope_text_fini(&asked->steps);
        free(asked);
        json_decref(root);
}
