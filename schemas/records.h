/* records.h - what stations say to each other, as plain C.
 * Why: actors, algorithm and tests work on these; how they look on the wire is codec.h's affair.
 * (1) Pointers inside a decoded record lead into the message's payload or the arena given to
 * decode, and live no longer than either. (2) Arrays of one record that describe tokens have one
 * length. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Text of known length; not NUL-terminated, may hold any bytes that are valid UTF-8. */
struct scope_string {
        const char *at;
        uint32_t bytes;
};

/* One problem on its way to a rollout. */
struct scope_prompt {
        uint64_t group;   /* monotone, never reused in a run */
        uint64_t problem; /* index in the data set */
        struct scope_string text, gold;
        const uint32_t *tokens;
        uint32_t token_count;
};

/* Permission to sample `samples` of `group`; a later lease for the same sample has a larger
 * token. */
struct scope_lease {
        uint64_t group, token, run_seed;
        uint32_t attempt;
        const uint32_t *samples;
        uint32_t sample_count;
        const uint32_t *prompt;
        uint32_t prompt_count;
        uint32_t response_max; /* tokens, EOS included */
        float temperature, top_p;
        uint64_t version_min;     /* the oldest weights that may be used */
        struct scope_string gold; /* echoed in the trajectory, for the grader */
};

enum scope_source {
        SCOPE_SOURCE_POLICY,
        SCOPE_SOURCE_TEACHER,
        SCOPE_SOURCE_HINT,
        SCOPE_SOURCE_COUNT
};
enum scope_loss_kind {
        SCOPE_LOSS_NONE,       /* context only */
        SCOPE_LOSS_POLICY,     /* clipped policy gradient, m = 1 */
        SCOPE_LOSS_LIKELIHOOD, /* weighted likelihood, m = 0 */
        SCOPE_LOSS_COUNT
};
enum scope_finish {
        SCOPE_FINISH_STOP,   /* the policy ended with EOS, which is the last token */
        SCOPE_FINISH_LENGTH, /* response_max reached */
        SCOPE_FINISH_CANCELLED,
        SCOPE_FINISH_COUNT
};
/* Whether the answer is the gold one. Beside the reward, which may be a share (grade.reward): what
 * failed, and may be repaired, is what is not correct. algorithm/grade.h has the question. */
enum scope_verdict {
        SCOPE_VERDICT_NONE, /* a writer that knew no verdicts: its rewards are 0 or 1 */
        SCOPE_VERDICT_WRONG,
        SCOPE_VERDICT_CORRECT,
        SCOPE_VERDICT_COUNT
};

/* A run of response tokens with one origin. Segments cover [0, token_count) in order without
 * gaps. */
struct scope_segment {
        uint32_t begin, count;
        uint8_t source, loss; /* enum scope_source, enum scope_loss_kind */
        float weight;
};

/* A run of policy tokens sampled with one version and one setting. Spans cover the policy
 * segments. */
struct scope_version_span {
        uint32_t begin, count;
        uint64_t version;
        float temperature, top_p;
};

#define SCOPE_NO_PARENT UINT32_MAX

struct scope_trajectory {
        uint64_t group, lease;
        uint32_t sample, attempt, worker;
        /* sample it was cut from and the token where; SCOPE_NO_PARENT, 0 */
        uint32_t parent, branch;
        uint8_t finish;          /* enum scope_finish */
        bool graded;
        float reward;            /* 0 to 1 when graded */
        const uint32_t *prompt;
        uint32_t prompt_count;
        const uint32_t *tokens;  /* the response as sampled, EOS included where it ended so */
        /* behaviour log-probability [token_count] nats, at the sampling temperature before top-p;
         * 0 on tokens that no policy sampled: never read there */
        const float *logp;
        uint32_t token_count;
        const struct scope_segment *segments;
        uint32_t segment_count;
        const struct scope_version_span *spans;
        uint32_t span_count;
        struct scope_string text; /* the response decoded, without EOS */
        struct scope_string gold; /* of the problem */
        uint8_t verdict;          /* enum scope_verdict */
};

/* PRM: question and answer. Steps are byte ranges of the response text (algorithm/steps.h). */
struct scope_score_item {
        uint32_t sample;
        struct scope_string text;
        const uint32_t *step_ends; /* exclusive byte offsets, rising */
        uint32_t step_count;
        const uint32_t *prompt;    /* for scorers that read tokens */
        uint32_t prompt_count;
        const uint32_t *tokens;
        uint32_t token_count;
        const uint32_t *step_token_ends; /* exclusive token counts covering each step */
};
struct scope_score_request {
        uint64_t group;
        struct scope_string problem;
        const struct scope_score_item *items;
        uint32_t item_count;
};
struct scope_step_scores {
        uint32_t sample;
        const float *p; /* probability that the step is correct [step_count] */
        uint32_t step_count;
        uint32_t verified; /* steps before the first p < tau, = step_count when none (eq. 1) */
};
struct scope_score_answer {
        uint64_t group;
        const struct scope_step_scores *scores;
        uint32_t score_count;
};

/* Selector: question and answer. Lengths of the statistics' members come along, so it keeps no
 * state. */
struct scope_candidate {
        uint32_t sample;
        uint32_t steps, tokens;               /* K, T (T without EOS) */
        uint32_t kept_steps, kept_tokens;     /* k, t after the cap */
        bool located, truncated;              /* a wrong step was found; hit the length limit */
};
struct scope_select_request {
        uint64_t group;
        const struct scope_candidate *candidates;
        uint32_t candidate_count;
        /* of the rollouts that define mean and variance */
        const uint32_t *member_steps, *member_tokens;
        uint32_t member_count;
};
struct scope_choice {
        uint32_t sample, kept_steps, kept_tokens, steps, tokens;
        float score; /* S of eq. 4 */
};
struct scope_select_answer {
        uint64_t group;
        const struct scope_choice *choices; /* best first */
        uint32_t choice_count;
};

/* Refiner: question and answer. */
struct scope_refine_request {
        uint64_t group;
        uint32_t sample;
        struct scope_string problem, gold, prefix; /* prefix = decoded text of the kept tokens */
        uint32_t kept_steps;
        uint32_t suffix_max; /* tokens, EOS included */
        uint64_t timeout_ns;
};
/* The whole reply that a teacher is told to give when it finds the prefix wrong. */
#define SCOPE_REFUSAL_MARKER "[[PREFIX_IS_WRONG]]"

enum scope_refine_verdict {
        SCOPE_REFINE_ACCEPTED,
        SCOPE_REFINE_WRONG_ANSWER,  /* the grader says no, or no box, or two */
        SCOPE_REFINE_REFUSED,       /* the teacher found the prefix wrong */
        SCOPE_REFINE_TOO_LONG,
        SCOPE_REFINE_EMPTY,
        SCOPE_REFINE_REPEATS,       /* restates the prefix */
        SCOPE_REFINE_LEAKS,         /* mentions the given answer as given */
        SCOPE_REFINE_NOT_TEXT,      /* tokens the policy's vocabulary cannot spell */
        SCOPE_REFINE_FAILED,        /* no usable reply within the deadline */
        SCOPE_REFINE_SKIPPED,       /* circuit open or budget spent: nothing was sent */
        SCOPE_REFINE_COUNT
};
struct scope_refine_answer {
        uint64_t group;
        uint32_t sample;
        uint8_t verdict;        /* enum scope_refine_verdict */
        const uint32_t *tokens; /* the suffix, EOS last; empty unless accepted */
        uint32_t token_count;
        struct scope_string text;
        uint32_t calls, tokens_in, tokens_out;
        uint64_t latency_ns;
};

/* A finished group, for the learner. */
enum scope_group_path {
        SCOPE_GROUP_PLAIN,    /* fewer than two failures, or repair is off */
        SCOPE_GROUP_REPAIRED, /* one trajectory is mixed */
        SCOPE_GROUP_KEPT,     /* a repair was tried and not accepted */
        SCOPE_GROUP_DEGRADED, /* a repair was due, and teacher or PRM was not to be had */
        SCOPE_GROUP_PATH_COUNT
};
struct scope_group {
        uint64_t group, problem;
        uint8_t path;             /* enum scope_group_path */
        uint64_t version_oldest;  /* of any token */
        uint64_t admitted_ns, finished_ns;
        uint32_t repaired;        /* index in trajectories, SCOPE_NO_PARENT if none */
        uint32_t kept_steps, steps; /* of the repaired one */
        const struct scope_trajectory *trajectories;
        uint32_t trajectory_count; /* n <= G: statistics use n */
        /* mean PRM probability [trajectory_count], where scored; may be NULL */
        const float *step_means;
        struct scope_string problem_text, gold;
        /* of a repaired group: the failed response before its repair */
        struct scope_string student;
        const uint32_t *student_step_ends; /* byte ends in `student` [student_step_count] */
        const float *student_step_p;
        uint32_t student_step_count;
};

/* Weights: what there is and how to get it. In a process the message's attachment holds them. */
enum scope_weights_transport {
        SCOPE_WEIGHTS_MEMORY,
        SCOPE_WEIGHTS_DISK,
        SCOPE_WEIGHTS_TCP,
        SCOPE_WEIGHTS_NCCL
};
enum scope_swap_rule { SCOPE_SWAP_IN_FLIGHT, SCOPE_SWAP_DRAIN };
struct scope_weights {
        uint64_t run, term, version, base_version; /* base_version = version: not a delta */
        uint64_t layout_hash, bytes;
        uint8_t dtype, transport, swap; /* enum scope_dtype and the two above */
        const uint64_t *chunk_hashes; /* of 1 MiB chunks */
        uint32_t chunk_count;
};

/* Everything small: verbs between groups, queue, learner, evaluator, recorder. Numbers by name. */
struct scope_metric {
        struct scope_string name;
        double value;
};
struct scope_control {
        uint32_t verb; /* actors/messages.h says which */
        uint64_t group, step, version, value;
        const struct scope_metric *metrics;
        uint32_t metric_count;
        struct scope_string text;
};

#ifdef __cplusplus
}
#endif
