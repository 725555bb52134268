/* refiner_prompt.h - what the teacher is asked, as an OpenAI-compatible request, and back.
 * Why: the refiner writes it and our own teacher reads it; one file holds the words, so that they
 * cannot drift apart (algorithm.md 4.2). The teacher is told to refuse a prefix that it finds
 * wrong: putting it right in silence would teach the policy the wrong prefix (decision 10). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "schemas/records.h"

struct scope_text;

/* How the server is made to go on in the middle of a text. */
enum scope_refiner_form {
        SCOPE_REFINER_INSTRUCT, /* by words: any server */
        SCOPE_REFINER_PREFIX,   /* "prefix": true on the assistant's message: DeepSeek, Mistral */
        SCOPE_REFINER_CONTINUE, /* "continue_final_message": true: vLLM, SGLang */
};

struct scope_refiner_prompt {
        struct scope_string problem, gold;
        struct scope_string prefix; /* empty: nothing is kept, a whole solution is wanted (k = 0) */
        enum scope_refiner_form form;
        const char *model;
        double temperature;
        uint32_t max_tokens;
        bool stream;
};

/* Appends the JSON body of POST /v1/chat/completions.    thread  any; pure */
void scope_refiner_prompt_write(const struct scope_refiner_prompt *prompt, struct scope_text *text);

/* Finds the parts again in the text of the user's message. `prefix` is empty where it does not
 * stand there; `gold` where none is given. A text without our words is a bare problem.
 * owns    parts point into `user`     thread  any; pure */
void scope_refiner_prompt_read(struct scope_string user, struct scope_refiner_prompt *ret_parts);
