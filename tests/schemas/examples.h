/* examples.h - one valid record of each kind in which no field has its default value.
 * Why: a field that encode, decode or a copy forgets then shows. Pointers lead to static memory. */
#pragma once

#include "schemas/records.h"

#define EXAMPLE_TEXT(string)                                                                       \
        {                                                                                          \
                string, sizeof(string) - 1                                                         \
        }

static const uint32_t example_prompt_tokens[] = { 5, 6, 7 };
static const uint32_t example_tokens[] = { 10, 11, 12, 13, 1 };
static const float example_logp[] = { -0.5f, -1.25f, -0.125f, 0, 0 };
static const uint32_t example_samples[] = { 0, 3, 7 };
static const uint32_t example_step_ends[] = { 4, 9 };
static const uint32_t example_step_token_ends[] = { 2, 5 };
static const float example_p[] = { 0.75f, 0.25f, 1.0f };

static const struct scope_prompt example_prompt = {
        .group = 11,
        .problem = 12,
        .text = EXAMPLE_TEXT("2*3="),
        .gold = EXAMPLE_TEXT("6"),
        .tokens = example_prompt_tokens,
        .token_count = 3,
};
static const struct scope_lease example_lease = {
        .group = 11,
        .token = 3,
        .run_seed = 0x0123456789abcdefu,
        .attempt = 2,
        .samples = example_samples,
        .sample_count = 3,
        .prompt = example_prompt_tokens,
        .prompt_count = 3,
        .response_max = 100,
        .temperature = 0.75f,
        .top_p = 0.5f,
        .version_min = 40,
        .gold = EXAMPLE_TEXT("6"),
};
static const struct scope_segment example_segments[] = {
        { 0, 3, SCOPE_SOURCE_POLICY, SCOPE_LOSS_POLICY, 0.5f },
        { 3, 2, SCOPE_SOURCE_TEACHER, SCOPE_LOSS_LIKELIHOOD, 0.25f },
};
static const struct scope_version_span example_spans[] = {
        { 0, 1, 41, 1.0f, 0.9f },
        { 1, 2, 42, 0.5f, 1.0f },
};
#define EXAMPLE_TRAJECTORY(number)                                                                 \
        {                                                                                          \
                .group = 11, .lease = 3, .sample = number, .attempt = 1, .worker = 9, .parent = 1, \
                .branch = 3, .finish = SCOPE_FINISH_LENGTH, .graded = true, .reward = 1,           \
                .verdict = SCOPE_VERDICT_CORRECT,                                                  \
                .prompt = example_prompt_tokens, .prompt_count = 3, .tokens = example_tokens,      \
                .logp = example_logp, .token_count = 5, .segments = example_segments,              \
                .segment_count = 2, .spans = example_spans, .span_count = 2,                       \
                .text = EXAMPLE_TEXT("2*3=6\n\n\\boxed{6}"), .gold = EXAMPLE_TEXT("6"),            \
        }
static const struct scope_trajectory example_trajectories[] = {
        EXAMPLE_TRAJECTORY(2),
        EXAMPLE_TRAJECTORY(5),
        EXAMPLE_TRAJECTORY(7),
};
#define example_trajectory example_trajectories[0]

static const struct scope_score_item example_items[] = { {
        .sample = 4,
        .text = EXAMPLE_TEXT("2*3=\n\n6+1"),
        .step_ends = example_step_ends,
        .step_count = 2,
        .prompt = example_prompt_tokens,
        .prompt_count = 3,
        .tokens = example_tokens,
        .token_count = 5,
        .step_token_ends = example_step_token_ends,
} };
static const struct scope_score_request example_score_request = {
        .group = 11,
        .problem = EXAMPLE_TEXT("2*3="),
        .items = example_items,
        .item_count = 1,
};
static const struct scope_step_scores example_scores[] = { { 4, example_p, 3, 1 } };
static const struct scope_score_answer example_score_answer = { 11, example_scores, 1 };
static const struct scope_candidate example_candidates[] = { { 4, 6, 50, 2, 20, true, true } };
static const struct scope_select_request example_select_request = {
        .group = 11,
        .candidates = example_candidates,
        .candidate_count = 1,
        .member_steps = example_step_ends,
        .member_tokens = example_step_token_ends,
        .member_count = 2,
};
static const struct scope_choice example_choices[] = { { 4, 2, 20, 6, 50, -1.5f } };
static const struct scope_select_answer example_select_answer = { 11, example_choices, 1 };
static const struct scope_refine_request example_refine_request = {
        .group = 11,
        .sample = 4,
        .problem = EXAMPLE_TEXT("2*3="),
        .gold = EXAMPLE_TEXT("6"),
        .prefix = EXAMPLE_TEXT("2*"),
        .kept_steps = 2,
        .suffix_max = 60,
        .timeout_ns = 5000000000u,
};
static const struct scope_refine_answer example_refine_answer = {
        .group = 11,
        .sample = 4,
        .verdict = SCOPE_REFINE_ACCEPTED,
        .tokens = example_tokens,
        .token_count = 5,
        .text = EXAMPLE_TEXT("3=6"),
        .calls = 2,
        .tokens_in = 30,
        .tokens_out = 20,
        .latency_ns = 77,
};
static const struct scope_refine_answer example_refine_refusal = {
        .group = 11,
        .sample = 4,
        .verdict = SCOPE_REFINE_REFUSED,
};
static const uint32_t example_student_ends[] = { 4, 10 };
static const struct scope_group example_group = {
        .group = 11,
        .problem = 12,
        .path = SCOPE_GROUP_REPAIRED,
        .version_oldest = 41,
        .admitted_ns = 5,
        .finished_ns = 6,
        .repaired = 1,
        .kept_steps = 2,
        .steps = 6,
        .trajectories = example_trajectories,
        .trajectory_count = 3,
        .step_means = example_p,
        .problem_text = { "(1+2)*3=", 8 },
        .gold = { "9", 1 },
        .student = { "1+2\n\n3*3=8", 10 },
        .student_step_ends = example_student_ends,
        .student_step_p = example_p,
        .student_step_count = 2,
};
static const uint64_t example_hashes[] = { 1, 2, 3 };
static const struct scope_weights example_weights = {
        .run = 1,
        .term = 2,
        .version = 43,
        .base_version = 42,
        .layout_hash = 4,
        .bytes = (2 << 20) + 5,
        .dtype = SCOPE_DTYPE_BF16,
        .transport = SCOPE_WEIGHTS_TCP,
        .swap = SCOPE_SWAP_DRAIN,
        .chunk_hashes = example_hashes,
        .chunk_count = 3,
};
static const struct scope_metric example_metrics[] = {
        { EXAMPLE_TEXT("scope/rate"), 0.5 },
        { EXAMPLE_TEXT("loss"), -1e300 },
};
static const struct scope_control example_control = {
        .verb = 3,
        .group = 11,
        .step = 12,
        .version = 42,
        .value = 14,
        .metrics = example_metrics,
        .metric_count = 2,
        .text = EXAMPLE_TEXT("why"),
};
