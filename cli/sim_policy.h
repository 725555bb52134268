/* sim_policy.h - the simulated outside: a policy that writes solutions, right or wrong on order,
 * and a teacher behind simulated HTTP.
 * Why: fault simulation and overlap simulation need the same words, so that reward, PRM, selector
 * and refiner do their real work on them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "models/engine.h"
#include "models/tokenizer.h"
#include "runtime/simulation.h"
#include "tasks/teacher_script.h"

struct scope_sim_policy {
        const struct scope_tokenizer *tokenizer; /* of the tiny model */
        uint32_t eos;
        struct scope_text text;
};

/* The solution of the request's problem, at most response_max tokens; wrong: every result from a
 * place on that `where` draws is off by one.
 * out     *ret_tokens [response_max]     returns  their number     thread  owner */
uint32_t scope_sim_policy_write(struct scope_sim_policy *policy,
        const struct scope_engine_request *request, bool wrong, uint64_t where,
        uint32_t *ret_tokens, uint8_t *ret_finish);
void scope_sim_policy_fini(struct scope_sim_policy *policy);

/* Answers a simulated call as the script says for that draw. */
void scope_sim_teach(const struct scope_teacher_script *script, uint64_t draw,
        struct scope_sim_http *call);
