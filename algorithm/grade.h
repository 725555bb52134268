/* grade.h - are two final answers the same?
 * Why: reward and repair both rest on it. Two stages, either may accept (algorithm.md 2.3): equal
 * strings after normalisation; equal values, as numbers, expressions in variables and relations,
 * also inside lists, tuples, sets, intervals, unions and matrices.
 * (1) Malformed input, overflow or a spent budget = not equal, never a failure. (2) Same verdict
 * with gold and prediction exchanged, but where a relation meets an interval. (3) Every answer
 * equals itself unless it is empty. (4) Stack only; work bounded by steps, not by a clock, so that
 * a verdict is the same on every machine. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/option.h"
#include "schemas/records.h"

enum scope_grade_percent {
        SCOPE_GRADE_PERCENT_DROP, /* 50% = 50 */
        SCOPE_GRADE_PERCENT_RATIO /* 50% = 1/2 */
};
enum scope_grade_fallback { SCOPE_GRADE_FALLBACK_NONE, SCOPE_GRADE_FALLBACK_LAST_NUMBER };
enum scope_grade_interval {
        SCOPE_GRADE_INTERVAL_NEVER,
        SCOPE_GRADE_INTERVAL_GOLD, /* gold x>3 may be answered (3,\infty), not the reverse */
        SCOPE_GRADE_INTERVAL_BOTH
};
enum { SCOPE_GRADE_STEPS_MAX = 100000 }; /* of one call: below 2 ms */

/* What a response earns: 1 when its answer equals the gold answer, else 0; or, where an answer has
 * no box and partial progress shows, the share of its leading characters that are right. */
enum scope_grade_reward {
        SCOPE_GRADE_REWARD_EQUAL,
        SCOPE_GRADE_REWARD_PREFIX,
};

struct scope_grade_options {
        int percent;          /* enum scope_grade_percent */
        bool require_reduced; /* 4/6 is not 2/3 */
        bool list_ordered;    /* 1,2 is not 2,1 */
        int fallback;         /* enum scope_grade_fallback */
        bool base_subscript_strict; /* 4_7 is not 4 */
        int relation_to_interval;   /* enum scope_grade_interval */
        int reward;                 /* enum scope_grade_reward */
};
extern const struct scope_option scope_grade_option_table[]; /* [grade] */

enum scope_grade_stage {
        SCOPE_GRADE_UNEQUAL,
        SCOPE_GRADE_STRING, /* equal after normalisation */
        SCOPE_GRADE_VALUE   /* equal as expressions, lists, sets, relations, ... */
};
extern const char *const scope_grade_stage_names[]; /* "none", "string", "value" */
struct scope_grade_result {
        bool equal;
        enum scope_grade_stage stage; /* the one that accepted */
        uint32_t steps; /* spent; SCOPE_GRADE_STEPS_MAX + 1 when they ran out */
};

/* Compares two answers, already taken out of their boxes (a box around them is unwrapped).
 * thread  any; pure */
struct scope_grade_result scope_grade_equal(struct scope_string gold,
        struct scope_string prediction, const struct scope_grade_options *options);

/* Byte by byte.                                                           thread  any; pure */
struct scope_grade_result scope_grade_literal(struct scope_string gold, struct scope_string text);

/* Fills reward and verdict of a sampled response, by its own text and gold answer. The reward is by
 * options->reward: 1 or 0 as the verdict (eq. 7), or the share of gold's characters and EOS, in
 * order, that the response begins with (a special token but the last EOS is a wrong character).
 * in      token_bytes [token_count]: decoded length of each response token, special ones 0
 * out     *ret_decided: leading tokens that the reward depends on. With "prefix" those up to the
 *         first wrong one, else all: what follows is noise to a policy gradient
 * thread  any; pure */
void scope_grade_trajectory(struct scope_trajectory *trajectory, const uint32_t *token_bytes,
        const struct scope_grade_options *options, uint32_t *ret_decided);

/* Not a failure (step 3 of algorithm.md 1.2): its answer is the gold one, whatever share of a
 * reward a wrong one may earn.                                            thread  any; pure */
bool scope_grade_correct(const struct scope_trajectory *trajectory);

/* Finds the answer of a whole response and compares it: equal = reward 1, else 0 (eq. 7). With
 * reward = "prefix" all of the response is the answer, and compared byte by byte.
 * out     *ret_answer, may be NULL: what was compared, {NULL, 0} when there is no answer
 * thread  any; pure */
struct scope_grade_result scope_grade_response(struct scope_string gold,
        struct scope_string response, const struct scope_grade_options *options,
        struct scope_string *ret_answer);

/* The same of a text that may be a bare answer or a whole response: where no box is in it, all of
 * it behind its reasoning block is the answer (and then, with the option, its last number).
 * thread  any; pure */
struct scope_grade_result scope_grade_any(struct scope_string gold, struct scope_string text,
        const struct scope_grade_options *options);
