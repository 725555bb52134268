/* chain.h - multi-step arithmetic: problems, their exact solutions, and judgement of either.
 * Why: a task that a tiny model can learn in minutes and whose every step can be judged exactly.
 * A problem is n operations from left to right, fully parenthesised: "((9*9)+1)-5=". A solution has
 * one evaluated operation a step, a blank line between, the box last: "9*9=81\n\n81+1=82\n\n...".
 * (1) Problem i of (options, seed) is a pure function of those: nothing is stored. (2) Every
 * intermediate value of a made problem lies in 0..value_max; parsed ones may leave it, within
 * SCOPE_CHAIN_VALUE_MAX. Everything here is pure and may run on any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "schemas/records.h"

struct scope_text;

enum {
        SCOPE_CHAIN_OPS_MAX = 64,
        SCOPE_CHAIN_VALUE_MAX = 1000000000, /* |value| of anything we read or compute */
};

struct scope_chain_options {
        uint32_t ops_min, ops_max; /* operations a problem, each count equally likely */
        int32_t operand_max;       /* operands 1..operand_max, of '*' from 2 */
        int32_t value_max;         /* every value in 0..value_max */
        double mul_share; /* how often the operator drawn is '*'; '+' and '-' share the rest */
        uint64_t count, seed;
};

struct scope_chain {
        uint32_t op_count;
        char ops[SCOPE_CHAIN_OPS_MAX]; /* '+', '-', '*' */
        int64_t operands[SCOPE_CHAIN_OPS_MAX];
        int64_t values[SCOPE_CHAIN_OPS_MAX + 1]; /* values[0] is the first operand */
};

/* Reads "builtin:chain?ops=5-8&operands=1-9&values=0-99&mul=0.34&count=N&seed=S", or level=easy
 * (3..6 operations) or level=hard (5..8, the default); later keys overrule earlier ones.
 * errors  SCOPE_ERR_FORMAT: unknown key, bad number or range; `diag` says which and what is
 * right */
enum scope_err scope_chain_options_parse(
        const char *spec, struct scope_chain_options *ret_options, struct scope_diag *diag);

/* Problem `index`; options as scope_chain_options_parse makes them. */
void scope_chain_make(
        const struct scope_chain_options *options, uint64_t index, struct scope_chain *ret_chain);

/* Reads a problem text; white space around it is allowed.
 * errors  SCOPE_ERR_FORMAT: not such a problem; SCOPE_ERR_TOO_BIG: over the bounds above */
enum scope_err scope_chain_parse(struct scope_string text, struct scope_chain *ret_chain);

/* Appends the problem text; the whole solution; the bare answer. */
void scope_chain_write_problem(const struct scope_chain *chain, struct scope_text *text);
void scope_chain_write_solution(const struct scope_chain *chain, struct scope_text *text);
void scope_chain_write_answer(const struct scope_chain *chain, struct scope_text *text);

/* Judges each step: 1 where it is exactly the right operation on the value that stands last, that
 * value belongs to the true chain and so does the result; else 0. The box is the step after the
 * last operation. Nothing is right after a wrong step: its value stands last.
 * in      step_ends [step_count] exclusive byte offsets, as algorithm/steps.h makes them
 * out     ret_p [step_count] */
void scope_chain_judge(const struct scope_chain *chain, struct scope_string response,
        const uint32_t *step_ends, uint32_t step_count, float *ret_p);

enum scope_chain_manner {
        SCOPE_CHAIN_CONTINUE, /* from the value that stands last, right or wrong */
        SCOPE_CHAIN_CORRECT,  /* the true rest, whatever stands there: a fault to switch on */
        SCOPE_CHAIN_REFUSE,   /* the true rest, or nothing when a step of the prefix is wrong */
};

/* Appends what follows `prefix`: the rest of a step it breaks off, then one step an operation that
 * is left, then the box. Starts with the blank line only where the prefix lacks it.
 * errors  SCOPE_ERR_REFUSED: the manner refuses, or the prefix is no start of a solution (no value
 *         stands last, or it has a box already); nothing was appended */
enum scope_err scope_chain_continue(const struct scope_chain *chain, struct scope_string prefix,
        enum scope_chain_manner manner, struct scope_text *text);
