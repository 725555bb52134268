/* prm_input.h - a problem and the steps of a response as the tokens a process reward model reads.
 * Why: a model scores where it was trained to, and by position: one that finds no probability
 * there (an underflow to 0) must not shift the steps behind it (algorithm.md 3.2).
 *   marks  ChatML; the steps joined by, and ended with, <extra_0>; scored at these marks
 *          (Qwen2.5-Math-PRM)
 *   lines  the problem, then each step and a newline on their own; scored at the newline's last
 *          token (token classification, as TRL's PRMTrainer trains it)
 * Marks and turn markers inside the texts are left out: they would be counted. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "models/config.h"
#include "schemas/records.h"

struct scope_text;
struct scope_tokenizer;

enum scope_prm_form {
        SCOPE_PRM_FORM_NONE, /* a reward head whose tokenizer has no <extra_0> */
        SCOPE_PRM_FORM_MARKS,
        SCOPE_PRM_FORM_LINES,
};

/* thread  any */
enum scope_prm_form scope_prm_form_of(
        const struct scope_tokenizer *tokenizer, enum scope_head head);

struct scope_prm_input {
        uint32_t *ids;   /* [max], the caller's */
        uint32_t max, count;
        /* [steps], the caller's: the index of the token that scores it; UINT32_MAX: past max, the
         * step stays unverified */
        uint32_t *marks;
};

/* The text that a scorer with marks reads: Qwen2.5-Math-PRM's chat form, <extra_0> after each step.
 * Marks and other structure inside of problem and steps are left out.
 * in      steps: without the blank lines between them     thread  any */
void scope_prm_marked_text(struct scope_string problem, const struct scope_string *steps,
        uint32_t step_count, struct scope_text *text);

/* in      steps: without the blank lines between them
 * errors  SCOPE_ERR_MEMORY; SCOPE_ERR_INTERNAL: the
 *         marks are not as many as the steps     thread  any */
enum scope_err scope_prm_input_make(const struct scope_tokenizer *tokenizer,
        enum scope_prm_form form, struct scope_string problem, const struct scope_string *steps,
        uint32_t step_count, struct scope_prm_input *input);
