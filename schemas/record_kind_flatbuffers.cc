/* record_kind_flatbuffers.cc - the rows of every record: first what it means as a whole, then its
 * fields.
 * Why C++: types come from the structs of records.h, slots from the accessors that flatc writes. */
#include "schemas/record_kind.h"

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <flatbuffers/flatbuffers.h>

#include "base/limits.h"
#include "messages_generated.h"

enum {
        MEMBERS_MAX = 1 << 16, /* rollouts that define mean and variance */
        METRICS_MAX = 1024,
        CHUNKS_MAX = 1 << 20,
        CHUNK_BYTES = 1 << 20,
};

template <class T> static constexpr scope_field_type type_of()
{
        if (std::is_same<T, bool>::value)
                return SCOPE_FIELD_BOOL;
        if (std::is_same<T, uint8_t>::value)
                return SCOPE_FIELD_U8;
        if (std::is_same<T, uint32_t>::value)
                return SCOPE_FIELD_U32;
        if (std::is_same<T, uint64_t>::value)
                return SCOPE_FIELD_U64;
        if (std::is_same<T, float>::value)
                return SCOPE_FIELD_F32;
        if (std::is_same<T, double>::value)
                return SCOPE_FIELD_F64;
        if (std::is_same<T, scope_string>::value)
                return SCOPE_FIELD_TEXT;
        if (std::is_same<T, const uint32_t *>::value)
                return SCOPE_FIELD_U32S;
        if (std::is_same<T, const uint64_t *>::value)
                return SCOPE_FIELD_U64S;
        if (std::is_same<T, const float *>::value)
                return SCOPE_FIELD_F32S;
        return SCOPE_FIELD_PARTS;
}

using wire_prompt = wire::Prompt;
using wire_lease = wire::Lease;
using wire_segment = wire::Segment;
using wire_version_span = wire::VersionSpan;
using wire_trajectory = wire::Trajectory;
using wire_score_item = wire::ScoreItem;
using wire_score_request = wire::ScoreRequest;
using wire_step_scores = wire::StepScores;
using wire_score_answer = wire::ScoreAnswer;
using wire_candidate = wire::Candidate;
using wire_select_request = wire::SelectRequest;
using wire_choice = wire::Choice;
using wire_select_answer = wire::SelectAnswer;
using wire_refine_request = wire::RefineRequest;
using wire_refine_answer = wire::RefineAnswer;
using wire_group = wire::Group;
using wire_weights = wire::Weights;
using wire_metric = wire::Metric;
using wire_control = wire::Control;

#define ROW(S, F, SLOT, RULE, MAX, LENGTH, COUNT_AT, PART)                                         \
        scope_record_field                                                                         \
        {                                                                                          \
                type_of<decltype(scope_##S::F)>(), SCOPE_RULE_##RULE, SCOPE_LENGTH_##LENGTH,       \
                        uint16_t(offsetof(scope_##S, F)), uint16_t(COUNT_AT),                      \
                        uint16_t(wire_##S::VT_##SLOT), uint32_t(MAX), PART                         \
        }
#define ONE(S, F, SLOT, RULE) ROW(S, F, SLOT, RULE, 0, OWN, 0, nullptr)
#define ENUM(S, F, SLOT, COUNT) ROW(S, F, SLOT, AT_MOST, (COUNT)-1, OWN, 0, nullptr)
#define COUNT(S, F, SLOT, MAX) ROW(S, F, SLOT, AT_MOST, MAX, OWN, 0, nullptr)
#define TEXT(S, F, SLOT) ROW(S, F, SLOT, ANY, SCOPE_TEXT_BYTES_MAX, OWN, 0, nullptr)
#define MANY(S, F, SLOT, N, RULE, MAX)                                                             \
        ROW(S, F, SLOT, RULE, MAX, OWN, offsetof(scope_##S, N), nullptr)
#define MORE(S, F, SLOT, N, RULE, WHOSE)                                                           \
        ROW(S, F, SLOT, RULE, UINT32_MAX, WHOSE, offsetof(scope_##S, N), nullptr)
#define PARTS(S, F, SLOT, N, MAX, PART)                                                            \
        ROW(S, F, SLOT, ANY, MAX, OWN, offsetof(scope_##S, N), &scope_##PART##_kind)
/* Kinds of parts are seen in this file only, those of whole records outside. */
#define KIND_AS(LINKAGE, S, IDENTIFIER, MEANING)                                                   \
        static_assert(sizeof S##_fields / sizeof S##_fields[0] <= SCOPE_RECORD_FIELDS_MAX, "");    \
        LINKAGE const scope_record_kind scope_##S##_kind = { IDENTIFIER,                           \
                uint32_t(sizeof S##_fields / sizeof S##_fields[0]), uint32_t(sizeof(scope_##S)),   \
                S##_fields, MEANING };
#define PART(S, MEANING) KIND_AS(static, S, "", MEANING)
#define RECORD(S, IDENTIFIER, MEANING) KIND_AS(, S, IDENTIFIER, MEANING)

template <class T, bool (*check)(const T &, const scope_codec_limits &)>
static bool means(const void *record, const scope_codec_limits *limits)
{
        return check(*static_cast<const T *>(record), *limits);
}

static const scope_record_field prompt_fields[] = {
        ONE(prompt, group, GROUP, ANY),
        ONE(prompt, problem, PROBLEM, ANY),
        TEXT(prompt, text, TEXT),
        TEXT(prompt, gold, GOLD),
        MANY(prompt, tokens, TOKENS, token_count, TOKEN, SCOPE_PROMPT_TOKENS_MAX),
};
RECORD(prompt, "PRM1", nullptr)

static bool sampling_means(float temperature, float top_p)
{
        return temperature >= 0 && top_p > 0 && top_p <= 1;
}

static bool lease_means(const scope_lease &lease, const scope_codec_limits &)
{
        return lease.sample_count > 0 && lease.response_max > 0 &&
               sampling_means(lease.temperature, lease.top_p);
}

static const scope_record_field lease_fields[] = {
        ONE(lease, group, GROUP, ANY),
        ONE(lease, token, TOKEN, ANY),
        ONE(lease, run_seed, RUN_SEED, ANY),
        ONE(lease, attempt, ATTEMPT, ANY),
        MANY(lease, samples, SAMPLES, sample_count, SAMPLE, SCOPE_GROUP_SAMPLES_MAX),
        MANY(lease, prompt, PROMPT, prompt_count, TOKEN, SCOPE_PROMPT_TOKENS_MAX),
        COUNT(lease, response_max, RESPONSE_MAX, SCOPE_RESPONSE_TOKENS_MAX),
        ONE(lease, temperature, TEMPERATURE, ANY),
        ONE(lease, top_p, TOP_P, ANY),
        ONE(lease, version_min, VERSION_MIN, VERSION),
        TEXT(lease, gold, GOLD),
};
RECORD(lease, "LSE1", (means<scope_lease, lease_means>))

/* A policy gradient needs the behaviour policy's own tokens: others have no
 * log-probability. */
static bool segment_means(const scope_segment &segment, const scope_codec_limits &)
{
        return segment.count > 0 &&
               (segment.loss != SCOPE_LOSS_POLICY || segment.source == SCOPE_SOURCE_POLICY);
}

static const scope_record_field segment_fields[] = {
        ONE(segment, begin, BEGIN, ANY),
        ONE(segment, count, COUNT, ANY),
        ENUM(segment, source, SOURCE, SCOPE_SOURCE_COUNT),
        ENUM(segment, loss, LOSS, SCOPE_LOSS_COUNT),
        ONE(segment, weight, WEIGHT, NOT_NEGATIVE),
};
PART(segment, (means<scope_segment, segment_means>))

static bool version_span_means(const scope_version_span &span, const scope_codec_limits &)
{
        return span.count > 0 && sampling_means(span.temperature, span.top_p);
}

static const scope_record_field version_span_fields[] = {
        ONE(version_span, begin, BEGIN, ANY),
        ONE(version_span, count, COUNT, ANY),
        ONE(version_span, version, VERSION, VERSION),
        ONE(version_span, temperature, TEMPERATURE, ANY),
        ONE(version_span, top_p, TOP_P, ANY),
};
PART(version_span, (means<scope_version_span, version_span_means>))

static bool segments_cover_tokens(const scope_trajectory &trajectory)
{
        uint64_t covered = 0;
        for (uint32_t i = 0; i < trajectory.segment_count; i++) {
                if (trajectory.segments[i].begin != covered)
                        return false;
                covered += trajectory.segments[i].count;
        }
        return covered == trajectory.token_count;
}

/* Spans follow each other through the policy's segments, no gap, no overlap, nothing outside. */
static bool spans_cover_policy(const scope_trajectory &trajectory)
{
        uint64_t covered = 0;
        uint32_t next = 0;
        for (uint32_t i = 0; i < trajectory.segment_count; i++) {
                const scope_segment &segment = trajectory.segments[i];
                uint64_t at = segment.begin, end = at + segment.count;
                if (segment.source != SCOPE_SOURCE_POLICY) {
                        if (covered > at)
                                return false;
                        continue;
                }
                while (at < end) {
                        if (covered <= at) {
                                if (next == trajectory.span_count ||
                                        trajectory.spans[next].begin != at)
                                        return false;
                                covered = at + trajectory.spans[next++].count;
                        }
                        at = covered < end ? covered : end;
                }
        }
        return next == trajectory.span_count && covered <= trajectory.token_count;
}

static bool trajectory_means(const scope_trajectory &trajectory, const scope_codec_limits &limits)
{
        bool has_parent = trajectory.parent != SCOPE_NO_PARENT;
        if (has_parent && trajectory.parent >= limits.group_samples_max)
                return false;
        if (trajectory.branch > (has_parent ? trajectory.token_count : 0))
                return false;
        if (trajectory.graded && !(trajectory.reward >= 0 && trajectory.reward <= 1))
                return false;
        return segments_cover_tokens(trajectory) && spans_cover_policy(trajectory);
}

static const scope_record_field trajectory_fields[] = {
        ONE(trajectory, group, GROUP, ANY),
        ONE(trajectory, lease, LEASE, ANY),
        ONE(trajectory, sample, SAMPLE, SAMPLE),
        ONE(trajectory, attempt, ATTEMPT, ANY),
        ONE(trajectory, worker, WORKER, ANY),
        ONE(trajectory, parent, PARENT, ANY),
        ONE(trajectory, branch, BRANCH, ANY),
        ENUM(trajectory, finish, FINISH, SCOPE_FINISH_COUNT),
        ONE(trajectory, graded, GRADED, ANY),
        ONE(trajectory, reward, REWARD, ANY),
        MANY(trajectory, prompt, PROMPT, prompt_count, TOKEN, SCOPE_PROMPT_TOKENS_MAX),
        MANY(trajectory, tokens, TOKENS, token_count, TOKEN, SCOPE_RESPONSE_TOKENS_MAX),
        MORE(trajectory, logp, LOGP, token_count, NOT_POSITIVE, SAME),
        PARTS(trajectory, segments, SEGMENTS, segment_count, SCOPE_SEGMENTS_MAX, segment),
        PARTS(trajectory, spans, SPANS, span_count, SCOPE_SPANS_MAX, version_span),
        TEXT(trajectory, text, TEXT),
        TEXT(trajectory, gold, GOLD),
        ENUM(trajectory, verdict, VERDICT, SCOPE_VERDICT_COUNT),
};
RECORD(trajectory, "TRJ1", (means<scope_trajectory, trajectory_means>))

static bool score_item_means(const scope_score_item &item, const scope_codec_limits &)
{
        uint32_t last = item.step_count;
        if (last == 0)
                return true;
        if (item.step_ends[0] == 0 || item.step_ends[last - 1] > item.text.bytes)
                return false;
        return item.step_token_ends == nullptr ||
               item.step_token_ends[last - 1] <= item.token_count;
}

static const scope_record_field score_item_fields[] = {
        ONE(score_item, sample, SAMPLE, SAMPLE),
        TEXT(score_item, text, TEXT),
        MANY(score_item, step_ends, STEP_ENDS, step_count, RISING, SCOPE_STEPS_MAX),
        MANY(score_item, prompt, PROMPT, prompt_count, TOKEN, SCOPE_PROMPT_TOKENS_MAX),
        MANY(score_item, tokens, TOKENS, token_count, TOKEN, SCOPE_RESPONSE_TOKENS_MAX),
        MORE(score_item, step_token_ends, STEP_TOKEN_ENDS, step_count, NOT_FALLING, SAME_OR_NONE),
};
PART(score_item, (means<scope_score_item, score_item_means>))

static const scope_record_field score_request_fields[] = {
        ONE(score_request, group, GROUP, ANY),
        TEXT(score_request, problem, PROBLEM),
        PARTS(score_request, items, ITEMS, item_count, SCOPE_GROUP_SAMPLES_MAX, score_item),
};
RECORD(score_request, "SCQ1", nullptr)

static bool step_scores_means(const scope_step_scores &scores, const scope_codec_limits &)
{
        return scores.verified <= scores.step_count;
}

static const scope_record_field step_scores_fields[] = {
        ONE(step_scores, sample, SAMPLE, SAMPLE),
        MANY(step_scores, p, P, step_count, PROBABILITY, SCOPE_STEPS_MAX),
        ONE(step_scores, verified, VERIFIED, ANY),
};
PART(step_scores, (means<scope_step_scores, step_scores_means>))

static const scope_record_field score_answer_fields[] = {
        ONE(score_answer, group, GROUP, ANY),
        PARTS(score_answer, scores, SCORES, score_count, SCOPE_GROUP_SAMPLES_MAX, step_scores),
};
RECORD(score_answer, "SCA1", nullptr)

template <class T> static bool kept_means(const T &part, const scope_codec_limits &)
{
        return part.kept_steps <= part.steps && part.kept_tokens <= part.tokens;
}

static const scope_record_field candidate_fields[] = {
        ONE(candidate, sample, SAMPLE, SAMPLE),
        COUNT(candidate, steps, STEPS, SCOPE_STEPS_MAX),
        COUNT(candidate, tokens, TOKENS, SCOPE_RESPONSE_TOKENS_MAX),
        ONE(candidate, kept_steps, KEPT_STEPS, ANY),
        ONE(candidate, kept_tokens, KEPT_TOKENS, ANY),
        ONE(candidate, located, LOCATED, ANY),
        ONE(candidate, truncated, TRUNCATED, ANY),
};
PART(candidate, (means<scope_candidate, kept_means<scope_candidate>>))

static const scope_record_field select_request_fields[] = {
        ONE(select_request, group, GROUP, ANY),
        PARTS(select_request, candidates, CANDIDATES, candidate_count, SCOPE_GROUP_SAMPLES_MAX,
                candidate),
        MANY(select_request, member_steps, MEMBER_STEPS, member_count, ANY, MEMBERS_MAX),
        MORE(select_request, member_tokens, MEMBER_TOKENS, member_count, ANY, SAME),
};
RECORD(select_request, "SLQ1", nullptr)

static const scope_record_field choice_fields[] = {
        ONE(choice, sample, SAMPLE, SAMPLE),
        ONE(choice, kept_steps, KEPT_STEPS, ANY),
        ONE(choice, kept_tokens, KEPT_TOKENS, ANY),
        COUNT(choice, steps, STEPS, SCOPE_STEPS_MAX),
        COUNT(choice, tokens, TOKENS, SCOPE_RESPONSE_TOKENS_MAX),
        ONE(choice, score, SCORE, ANY),
};
PART(choice, (means<scope_choice, kept_means<scope_choice>>))

static const scope_record_field select_answer_fields[] = {
        ONE(select_answer, group, GROUP, ANY),
        PARTS(select_answer, choices, CHOICES, choice_count, SCOPE_GROUP_SAMPLES_MAX, choice),
};
RECORD(select_answer, "SLA1", nullptr)

static const scope_record_field refine_request_fields[] = {
        ONE(refine_request, group, GROUP, ANY),
        ONE(refine_request, sample, SAMPLE, SAMPLE),
        TEXT(refine_request, problem, PROBLEM),
        TEXT(refine_request, gold, GOLD),
        TEXT(refine_request, prefix, PREFIX),
        COUNT(refine_request, kept_steps, KEPT_STEPS, SCOPE_STEPS_MAX),
        COUNT(refine_request, suffix_max, SUFFIX_MAX, SCOPE_RESPONSE_TOKENS_MAX),
        ONE(refine_request, timeout_ns, TIMEOUT_NS, ANY),
};
RECORD(refine_request, "RFQ1", nullptr)

static bool refine_answer_means(const scope_refine_answer &answer, const scope_codec_limits &)
{
        return (answer.verdict == SCOPE_REFINE_ACCEPTED) == (answer.token_count > 0);
}

static const scope_record_field refine_answer_fields[] = {
        ONE(refine_answer, group, GROUP, ANY),
        ONE(refine_answer, sample, SAMPLE, SAMPLE),
        ENUM(refine_answer, verdict, VERDICT, SCOPE_REFINE_COUNT),
        MANY(refine_answer, tokens, TOKENS, token_count, TOKEN, SCOPE_RESPONSE_TOKENS_MAX),
        TEXT(refine_answer, text, TEXT),
        ONE(refine_answer, calls, CALLS, ANY),
        ONE(refine_answer, tokens_in, TOKENS_IN, ANY),
        ONE(refine_answer, tokens_out, TOKENS_OUT, ANY),
        ONE(refine_answer, latency_ns, LATENCY_NS, ANY),
};
RECORD(refine_answer, "RFA1", (means<scope_refine_answer, refine_answer_means>))

static bool group_means(const scope_group &group, const scope_codec_limits &limits)
{
        uint64_t seen = 0;
        bool repaired = group.repaired != SCOPE_NO_PARENT;
        if (group.trajectory_count == 0 || group.trajectory_count > limits.group_samples_max)
                return false;
        if (repaired != (group.path == SCOPE_GROUP_REPAIRED) ||
                (repaired && group.repaired >= group.trajectory_count) ||
                group.kept_steps > group.steps)
                return false;
        uint32_t last = group.student_step_count;
        if (last > 0 && group.student_step_ends[last - 1] > group.student.bytes)
                return false;
        for (uint32_t i = 0; i < group.trajectory_count; i++) {
                const scope_trajectory &trajectory = group.trajectories[i];
                uint64_t bit = uint64_t(1) << trajectory.sample;
                if (trajectory.group != group.group || (seen & bit) != 0)
                        return false;
                seen |= bit;
                for (uint32_t s = 0; s < trajectory.span_count; s++)
                        if (trajectory.spans[s].version < group.version_oldest)
                                return false;
        }
        return true;
}
static_assert(SCOPE_GROUP_SAMPLES_MAX <= 64, "`seen` above is one word");

static const scope_record_field group_fields[] = {
        ONE(group, group, GROUP, ANY),
        ONE(group, problem, PROBLEM, ANY),
        ENUM(group, path, PATH, SCOPE_GROUP_PATH_COUNT),
        ONE(group, version_oldest, VERSION_OLDEST, VERSION),
        ONE(group, admitted_ns, ADMITTED_NS, ANY),
        ONE(group, finished_ns, FINISHED_NS, ANY),
        ONE(group, repaired, REPAIRED, ANY),
        ONE(group, kept_steps, KEPT_STEPS, ANY),
        COUNT(group, steps, STEPS, SCOPE_STEPS_MAX),
        PARTS(group, trajectories, TRAJECTORIES, trajectory_count, SCOPE_GROUP_SAMPLES_MAX,
                trajectory),
        MORE(group, step_means, STEP_MEANS, trajectory_count, PROBABILITY, SAME_OR_NONE),
        TEXT(group, problem_text, PROBLEM_TEXT),
        TEXT(group, gold, GOLD),
        TEXT(group, student, STUDENT),
        MANY(group, student_step_ends, STUDENT_STEP_ENDS, student_step_count, RISING,
                SCOPE_STEPS_MAX),
        MORE(group, student_step_p, STUDENT_STEP_P, student_step_count, PROBABILITY,
                SAME_OR_NONE),
};
RECORD(group, "GRP1", (means<scope_group, group_means>))

/* A new version is above every known one by nature: `version_newest` says nothing here. */
static bool weights_means(const scope_weights &weights, const scope_codec_limits &)
{
        uint64_t chunks = weights.bytes / CHUNK_BYTES + (weights.bytes % CHUNK_BYTES != 0);
        return weights.base_version <= weights.version &&
               (weights.chunk_count == 0 || weights.chunk_count == chunks);
}

static const scope_record_field weights_fields[] = {
        ONE(weights, run, RUN, ANY),
        ONE(weights, term, TERM, ANY),
        ONE(weights, version, VERSION, ANY),
        ONE(weights, base_version, BASE_VERSION, ANY),
        ONE(weights, layout_hash, LAYOUT_HASH, ANY),
        ONE(weights, bytes, BYTES, ANY),
        ENUM(weights, dtype, DTYPE, SCOPE_DTYPE_COUNT),
        ENUM(weights, transport, TRANSPORT, SCOPE_WEIGHTS_NCCL + 1),
        ENUM(weights, swap, SWAP, SCOPE_SWAP_DRAIN + 1),
        MANY(weights, chunk_hashes, CHUNK_HASHES, chunk_count, ANY, CHUNKS_MAX),
};
RECORD(weights, "WGT1", (means<scope_weights, weights_means>))

static const scope_record_field metric_fields[] = {
        TEXT(metric, name, NAME),
        ONE(metric, value, VALUE, ANY),
};
PART(metric, nullptr)

static const scope_record_field control_fields[] = {
        ONE(control, verb, VERB, ANY),
        ONE(control, group, GROUP, ANY),
        ONE(control, step, STEP, ANY),
        ONE(control, version, VERSION, ANY),
        ONE(control, value, VALUE, ANY),
        PARTS(control, metrics, METRICS, metric_count, METRICS_MAX, metric),
        TEXT(control, text, TEXT),
};
RECORD(control, "CTL1", nullptr)
