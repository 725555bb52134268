/* teacher_script_parts.h - what the answers of the scripted teacher share: latency and faults.
 * Why: completions (teacher_script.c) and scores of steps (pooling_script.c) come from one server,
 * and are late or broken in the same ways. Nobody else includes this. */
#pragma once

#include "tasks/teacher_script.h"

/* An empty 200 with its latency and fault drawn; `hang` set where nothing is ever sent. */
void scope_teacher_script_begin(const struct scope_teacher_script *script, uint64_t random,
        struct scope_teacher_response *ret_response);

/* Faults that need no answer to the question. False: there is none of them. */
bool scope_teacher_script_fault(const struct scope_teacher_script *script, time_t now, bool stream,
        struct scope_teacher_response *response);

/* An error object in place of an answer. */
void scope_teacher_script_refuse(struct scope_teacher_response *response, int32_t status,
        const char *message, const char *type);
