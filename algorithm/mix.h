/* mix.h - prefix of the policy + suffix of the teacher = one trajectory (eq. 5).
 * Why: this is where implementations break. The prefix is the sampled token ids with their
 * log-probabilities, never re-tokenised text; the suffix has no behaviour log-probability and
 * nobody may read one. A suffix is judged as text before it is tokenised (check), and as tokens
 * when it is joined (build). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "algorithm/grade.h"
#include "base/error.h"
#include "schemas/records.h"

struct scope_arena;

struct scope_suffix {
        struct scope_string problem, gold, prefix;
        struct scope_string text; /* the teacher's reply as it came */
        bool leak_filter;         /* reject text that says it was given the answer */
};

/* Judges a reply by its text: reasoning block and leading white space removed, a restated prefix
 * stripped once; then refusal, emptiness, repetition, leaks, exactly one box, and the answer
 * against gold.
 * out     *ret_text: the part of suffix->text to tokenise; written only on SCOPE_REFINE_ACCEPTED
 * thread  any; pure */
enum scope_refine_verdict scope_suffix_check(const struct scope_suffix *suffix,
        const struct scope_grade_options *grade, struct scope_string *ret_text);

struct scope_mix {
        const struct scope_trajectory *failed;
        uint32_t kept_tokens, kept_bytes; /* of failed->tokens and failed->text */
        const uint32_t *suffix;           /* EOS last */
        uint32_t suffix_count;
        struct scope_string suffix_text;  /* without EOS */
        uint32_t response_max;            /* tokens, EOS included */
};

/* Builds the mixed trajectory: correct, reward 1, parent = the failed sample, branch = kept_tokens.
 * out     ret_mixed; `prompt` is borrowed from mix->failed, all else lies in `arena`; segments are
 *         those of the kept tokens (one, of the policy; none when nothing is kept) and then the
 *         teacher's
 * errors  SCOPE_ERR_TOO_BIG: longer than response_max; SCOPE_ERR_FORMAT: empty suffix, or a cut
 *         past the end; SCOPE_ERR_LIMIT: too many segments; SCOPE_ERR_MEMORY: arena full
 * thread  any */
enum scope_err scope_mix_build(const struct scope_mix *mix, struct scope_arena *arena,
        struct scope_trajectory *ret_mixed);
