/* pooling_script.h - a server of process reward models in place of one with a GPU.
 * Why: a run that scores over HTTP can be tried, and every way such a server fails can be had, with
 * nothing but this program. It answers POST /pooling as vLLM does for Qwen2.5-Math-PRM: a row
 * [wrong, right] for each <extra_0> of each text (pooling_reply.h), as script->judge has it.
 * (1) A response is a pure function of options, request and one random number. */
#pragma once

#include "tasks/teacher_script.h"

/* Answers one request. Faults are the script's, of which wrong turns the scores round, length and
 * empty leave some or all of them out, and silent and refusal send logits instead.
 * in, out, thread: as scope_teacher_script_answer */
void scope_pooling_script_answer(const struct scope_teacher_script *script,
        const void *request, size_t count, uint64_t random, time_t now,
        struct scope_teacher_response *ret_response);
