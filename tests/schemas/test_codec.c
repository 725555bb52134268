/* test_codec.c - what is encoded comes back; what is damaged or senseless is refused. */
#include "tests/test.h"

#include <math.h>
#include <time.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/rng.h"
#include "schemas/codec.h"
#include "tests/schemas/examples.h"

static const struct scope_codec_limits limits = {
        .vocab = 21, .version_newest = 42, .group_samples_max = 8
};
static struct scope_arena arena;

/* The same calls for every record, through void pointers. */
struct codec {
        const char *name;
        const void *example;
        size_t bytes;
        enum scope_err (*encode)(
                const void *record, const uint8_t **ret_bytes, uint32_t *ret_count);
        enum scope_err (*decode)(const uint8_t *bytes, size_t count, void *ret_record);
};
#define X(name)                                                                                    \
        static enum scope_err encode_##name(                                                       \
                const void *record, const uint8_t **ret_bytes, uint32_t *ret_count)                \
        {                                                                                          \
                return scope_encode_##name(record, ret_bytes, ret_count);                          \
        }                                                                                          \
        static enum scope_err decode_##name(const uint8_t *bytes, size_t count, void *ret_record)  \
        {                                                                                          \
                return scope_decode_##name(bytes, count, &limits, &arena, ret_record);             \
        }
SCOPE_RECORD_MAP(X)
#undef X
#define X(name)                                                                                    \
        { #name, &example_##name, sizeof(struct scope_##name), encode_##name, decode_##name },
static const struct codec codecs[] = { SCOPE_RECORD_MAP(X) };
#undef X
enum { CODEC_COUNT = sizeof codecs / sizeof codecs[0] };

union record {
#define X(name) struct scope_##name name;
        SCOPE_RECORD_MAP(X)
#undef X
};

/* An aligned copy in exactly as many bytes, so that a sanitizer sees a read past the end. */
static uint8_t *copy(const uint8_t *bytes, size_t count)
{
        uint8_t *block = malloc(count != 0 ? count : 1);
        assert_non_null(block);
        memcpy(block, bytes, count);
        return block;
}

static enum scope_err recode(const struct codec *codec, const void *record,
        union record *ret_record, uint8_t **ret_block)
{
        const uint8_t *bytes;
        uint32_t count;
        assert_ok(codec->encode(record, &bytes, &count));
        *ret_block = copy(bytes, count);
        return codec->decode(*ret_block, count, ret_record);
}

/* ---- round trips ---- */

#define SAME(field) assert_true(a->field == b->field)
#define SAME_TEXT(field)                                                                           \
        do {                                                                                       \
                assert_int_equal(a->field.bytes, b->field.bytes);                                  \
                assert_memory_equal(a->field.at, b->field.at, a->field.bytes);                     \
        } while (0)
#define SAME_ARRAY(field, count)                                                                   \
        do {                                                                                       \
                assert_int_equal(a->count, b->count);                                              \
                assert_memory_equal(a->field, b->field, a->count * sizeof a->field[0]);            \
        } while (0)

static void same_trajectory(const struct scope_trajectory *a, const struct scope_trajectory *b)
{
        SAME(group), SAME(lease), SAME(sample), SAME(attempt), SAME(worker), SAME(parent);
        SAME(branch), SAME(finish), SAME(graded), SAME(reward), SAME(verdict), SAME(segment_count),
                SAME(span_count);
        SAME_ARRAY(prompt, prompt_count);
        SAME_ARRAY(tokens, token_count);
        SAME_ARRAY(logp, token_count);
        SAME_TEXT(text);
        SAME_TEXT(gold);
        for (uint32_t i = 0; i < a->segment_count; i++)
                SAME(segments[i].begin), SAME(segments[i].count), SAME(segments[i].source),
                        SAME(segments[i].loss), SAME(segments[i].weight);
        for (uint32_t i = 0; i < a->span_count; i++)
                SAME(spans[i].begin), SAME(spans[i].count), SAME(spans[i].version),
                        SAME(spans[i].temperature), SAME(spans[i].top_p);
}

#define ROUND_TRIP(kind)                                                                           \
        const struct scope_##kind *a = &example_##kind, *b;                                        \
        const uint8_t *bytes;                                                                      \
        uint32_t count;                                                                            \
        struct scope_##kind back;                                                                  \
        (void)state;                                                                               \
        scope_arena_reset(&arena);                                                                 \
        assert_ok(scope_encode_##kind(a, &bytes, &count));                                         \
        assert_ok(scope_decode_##kind(bytes, count, &limits, &arena, &back));                      \
        b = &back;

static void test_prompt_comes_back(void **state)
{
        ROUND_TRIP(prompt)
        SAME(group), SAME(problem);
        SAME_TEXT(text);
        SAME_TEXT(gold);
        SAME_ARRAY(tokens, token_count);
}

static void test_lease_comes_back(void **state)
{
        ROUND_TRIP(lease)
        SAME(group), SAME(token), SAME(run_seed), SAME(attempt), SAME(response_max);
        SAME(temperature), SAME(top_p), SAME(version_min);
        SAME_ARRAY(samples, sample_count);
        SAME_ARRAY(prompt, prompt_count);
        SAME_TEXT(gold);
}

static void test_trajectory_comes_back(void **state)
{
        ROUND_TRIP(trajectory)
        same_trajectory(a, b);
}

static void test_score_request_comes_back(void **state)
{
        ROUND_TRIP(score_request)
        SAME(group), SAME(item_count), SAME(items[0].sample);
        SAME_TEXT(problem);
        SAME_TEXT(items[0].text);
        SAME_ARRAY(items[0].step_ends, items[0].step_count);
        SAME_ARRAY(items[0].step_token_ends, items[0].step_count);
        SAME_ARRAY(items[0].prompt, items[0].prompt_count);
        SAME_ARRAY(items[0].tokens, items[0].token_count);
}

static void test_score_answer_comes_back(void **state)
{
        ROUND_TRIP(score_answer)
        SAME(group), SAME(score_count), SAME(scores[0].sample), SAME(scores[0].verified);
        SAME_ARRAY(scores[0].p, scores[0].step_count);
}

static void test_select_request_comes_back(void **state)
{
        ROUND_TRIP(select_request)
        SAME(group), SAME(candidate_count), SAME(candidates[0].sample), SAME(candidates[0].steps);
        SAME(candidates[0].tokens), SAME(candidates[0].kept_steps), SAME(candidates[0].kept_tokens);
        SAME(candidates[0].located), SAME(candidates[0].truncated);
        SAME_ARRAY(member_steps, member_count);
        SAME_ARRAY(member_tokens, member_count);
}

static void test_select_answer_comes_back(void **state)
{
        ROUND_TRIP(select_answer)
        SAME(group), SAME(choice_count), SAME(choices[0].sample), SAME(choices[0].kept_steps);
        SAME(choices[0].kept_tokens), SAME(choices[0].steps), SAME(choices[0].tokens);
        SAME(choices[0].score);
}

static void test_refine_request_comes_back(void **state)
{
        ROUND_TRIP(refine_request)
        SAME(group), SAME(sample), SAME(kept_steps), SAME(suffix_max), SAME(timeout_ns);
        SAME_TEXT(problem);
        SAME_TEXT(gold);
        SAME_TEXT(prefix);
}

static void test_refine_answer_comes_back(void **state)
{
        ROUND_TRIP(refine_answer)
        SAME(group), SAME(sample), SAME(verdict), SAME(calls), SAME(tokens_in), SAME(tokens_out);
        SAME(latency_ns);
        SAME_ARRAY(tokens, token_count);
        SAME_TEXT(text);
}

static void test_group_comes_back(void **state)
{
        ROUND_TRIP(group)
        SAME(group), SAME(problem), SAME(path), SAME(version_oldest), SAME(admitted_ns);
        SAME(finished_ns), SAME(repaired), SAME(kept_steps), SAME(steps), SAME(trajectory_count);
        SAME_ARRAY(step_means, trajectory_count);
        SAME_TEXT(problem_text);
        SAME_TEXT(gold);
        SAME_TEXT(student);
        SAME_ARRAY(student_step_ends, student_step_count);
        SAME_ARRAY(student_step_p, student_step_count);
        for (uint32_t i = 0; i < a->trajectory_count; i++)
                same_trajectory(&a->trajectories[i], &b->trajectories[i]);
}

static void test_weights_come_back(void **state)
{
        ROUND_TRIP(weights)
        SAME(run), SAME(term), SAME(version), SAME(base_version), SAME(layout_hash), SAME(bytes);
        SAME(dtype), SAME(transport), SAME(swap);
        SAME_ARRAY(chunk_hashes, chunk_count);
}

static void test_control_comes_back(void **state)
{
        ROUND_TRIP(control)
        SAME(verb), SAME(group), SAME(step), SAME(version), SAME(value), SAME(metric_count);
        SAME_TEXT(text);
        for (uint32_t i = 0; i < a->metric_count; i++) {
                SAME_TEXT(metrics[i].name);
                SAME(metrics[i].value);
        }
}

static void test_a_record_of_defaults_is_aligned_and_comes_back(void **state)
{
        (void)state;
        struct scope_select_answer none = { 0 }, back = example_select_answer;
        const uint8_t *bytes;
        uint32_t count;
        assert_ok(scope_encode_select_answer(&none, &bytes, &count));
        assert_int_equal((uintptr_t)bytes % 8, 0);
        assert_ok(scope_decode_select_answer(bytes, count, &limits, &arena, &back));
        assert_int_equal(back.choice_count, 0);
        assert_int_equal(back.group, 0);
}

static void test_empty_and_absent_parts_come_back(void **state)
{
        (void)state;
        struct scope_trajectory none = { .parent = SCOPE_NO_PARENT,
                .finish = SCOPE_FINISH_CANCELLED };
        union record back;
        uint8_t *block;
        assert_ok(recode(&codecs[2], &none, &back, &block));
        assert_int_equal(back.trajectory.token_count, 0);
        assert_null(back.trajectory.tokens);
        assert_int_equal(back.trajectory.text.bytes, 0);
        assert_non_null(back.trajectory.text.at);
        free(block);
        struct scope_group unscored = example_group;
        unscored.step_means = NULL;
        assert_ok(recode(&codecs[9], &unscored, &back, &block));
        assert_null(back.group.step_means);
        assert_int_equal(back.group.trajectory_count, 3);
        free(block);
}

/* ---- meaning: each rule broken once ---- */

/* A valid record, changed by `change`, must be refused as meaningless, with nothing written. */
#define REFUSED(kind, change)                                                                      \
        do {                                                                                       \
                struct scope_##kind r = example_##kind;                                            \
                struct scope_##kind before, after;                                                 \
                const uint8_t *bytes;                                                              \
                uint32_t count;                                                                    \
                scope_arena_reset(&arena);                                                         \
                change;                                                                            \
                assert_ok(scope_encode_##kind(&r, &bytes, &count));                                \
                memset(&before, 0x5a, sizeof before);                                              \
                memset(&after, 0x5a, sizeof after);                                                \
                enum scope_err refused =                                                           \
                        scope_decode_##kind(bytes, count, &limits, &arena, &after);                \
                if (refused != SCOPE_ERR_FORMAT)                                                   \
                        fail_msg("%s: %s gave %s", #kind, #change, scope_err_name(refused));       \
                assert_memory_equal(&before, &after, sizeof after);                                \
                assert_int_equal(arena.used, 0);                                                   \
        } while (0)

static const uint32_t token_over[] = { 5, 21, 7, 1, 2 };
static const float logp_above[] = { -1, 0.5f, 0, 0, 0 };
static const float logp_nan[] = { -1, NAN, 0, 0, 0 };
static const float logp_infinite[] = { -1, -INFINITY, 0, 0, 0 };

static void test_tokens_and_numbers_out_of_range_are_refused(void **state)
{
        (void)state;
        REFUSED(prompt, r.tokens = token_over);
        REFUSED(lease, r.prompt = token_over);
        REFUSED(lease, r.samples = token_over);
        REFUSED(lease, r.sample_count = 0);
        REFUSED(lease, r.response_max = 0);
        REFUSED(lease, r.response_max = SCOPE_RESPONSE_TOKENS_MAX + 1);
        REFUSED(lease, r.temperature = -1);
        REFUSED(lease, r.temperature = NAN);
        REFUSED(lease, r.top_p = 0);
        REFUSED(lease, r.top_p = 1.5f);
        REFUSED(lease, r.version_min = 43);
        REFUSED(trajectory, r.tokens = token_over);
        REFUSED(trajectory, r.prompt = token_over);
        REFUSED(trajectory, r.logp = logp_above);
        REFUSED(trajectory, r.logp = logp_nan);
        REFUSED(trajectory, r.logp = logp_infinite);
        REFUSED(trajectory, r.sample = 8);
        REFUSED(trajectory, r.parent = 8);
        REFUSED(trajectory, r.branch = 6);
        REFUSED(trajectory, r.parent = SCOPE_NO_PARENT);
        REFUSED(trajectory, r.finish = SCOPE_FINISH_COUNT);
        REFUSED(trajectory, r.reward = 1.5f);
        REFUSED(trajectory, r.reward = NAN);
        REFUSED(trajectory, r.verdict = SCOPE_VERDICT_COUNT);
}

/* Segments and spans of the example, with one member changed. */
#define SEGMENT_REFUSED(index, change)                                                             \
        do {                                                                                       \
                struct scope_segment s[2] = { example_segments[0], example_segments[1] };          \
                s[index].change;                                                                   \
                REFUSED(trajectory, r.segments = s);                                               \
        } while (0)
#define SPAN_REFUSED(index, change)                                                                \
        do {                                                                                       \
                struct scope_version_span s[2] = { example_spans[0], example_spans[1] };           \
                s[index].change;                                                                   \
                REFUSED(trajectory, r.spans = s);                                                  \
        } while (0)

static void test_segments_and_spans_that_do_not_cover_are_refused(void **state)
{
        (void)state;
        REFUSED(trajectory, r.segment_count = 1);
        REFUSED(trajectory, r.segment_count = 0);
        SEGMENT_REFUSED(0, begin = 1);
        SEGMENT_REFUSED(1, begin = 2);
        SEGMENT_REFUSED(1, count = 1);
        SEGMENT_REFUSED(1, count = 0xffffffffu);
        SEGMENT_REFUSED(1, count = 0);
        SEGMENT_REFUSED(0, source = SCOPE_SOURCE_COUNT);
        SEGMENT_REFUSED(0, source = SCOPE_SOURCE_TEACHER);
        SEGMENT_REFUSED(1, loss = SCOPE_LOSS_COUNT);
        SEGMENT_REFUSED(1, loss = SCOPE_LOSS_POLICY);
        SEGMENT_REFUSED(1, weight = -1);
        SEGMENT_REFUSED(1, weight = INFINITY);
        REFUSED(trajectory, r.span_count = 1);
        REFUSED(trajectory, r.span_count = 0);
        SPAN_REFUSED(0, begin = 1);
        SPAN_REFUSED(0, count = 2);
        SPAN_REFUSED(1, begin = 2);
        SPAN_REFUSED(1, count = 1);
        SPAN_REFUSED(1, count = 3);
        SPAN_REFUSED(1, count = 0xffffffffu);
        SPAN_REFUSED(1, count = 0);
        SPAN_REFUSED(1, version = 43);
        SPAN_REFUSED(1, temperature = -1);
        SPAN_REFUSED(1, top_p = 0);
}

static void test_spans_may_run_over_neighbouring_policy_segments(void **state)
{
        (void)state;
        struct scope_segment segments[] = { { 0, 2, SCOPE_SOURCE_POLICY, SCOPE_LOSS_POLICY, 1 },
                { 2, 1, SCOPE_SOURCE_HINT, SCOPE_LOSS_NONE, 0 },
                { 3, 1, SCOPE_SOURCE_POLICY, SCOPE_LOSS_POLICY, 1 },
                { 4, 1, SCOPE_SOURCE_POLICY, SCOPE_LOSS_NONE, 1 } };
        struct scope_version_span spans[] = { { 0, 1, 1, 1, 1 }, { 1, 1, 2, 1, 1 },
                { 3, 2, 2, 1, 1 } };
        struct scope_trajectory record = example_trajectory;
        union record back;
        uint8_t *block;
        record.segments = segments, record.segment_count = 4;
        record.spans = spans, record.span_count = 3;
        assert_ok(recode(&codecs[2], &record, &back, &block));
        free(block);
        spans[1].count = 2; /* into the hint */
        assert_int_equal(recode(&codecs[2], &record, &back, &block), SCOPE_ERR_FORMAT);
        free(block);
}

static void test_senseless_scores_and_choices_are_refused(void **state)
{
        (void)state;
        static const uint32_t falling[] = { 4, 3 }, equal[] = { 4, 4 }, zero[] = { 0, 4 };
        static const uint32_t wrapping[] = { 0xffffffffu, 4 }, over[] = { 2, 6 },
                              text_over[] = { 4, 10 };
        static const float above[] = { 0.5f, 1.5f, 0 }, below[] = { 0.5f, -0.5f, 0 },
                           nan[] = { NAN, 0, 0 };
#define ITEM_REFUSED(change)                                                                       \
        do {                                                                                       \
                struct scope_score_item i = example_items[0];                                      \
                i.change;                                                                          \
                REFUSED(score_request, r.items = &i);                                              \
        } while (0)
        ITEM_REFUSED(sample = 8);
        ITEM_REFUSED(step_ends = falling);
        ITEM_REFUSED(step_ends = equal);
        ITEM_REFUSED(step_ends = zero);
        ITEM_REFUSED(step_ends = wrapping);
        ITEM_REFUSED(step_ends = text_over);
        ITEM_REFUSED(step_token_ends = falling);
        ITEM_REFUSED(step_token_ends = over);
        ITEM_REFUSED(tokens = token_over);
        ITEM_REFUSED(prompt = token_over);
#define SCORES_REFUSED(change)                                                                     \
        do {                                                                                       \
                struct scope_step_scores s = example_scores[0];                                    \
                s.change;                                                                          \
                REFUSED(score_answer, r.scores = &s);                                              \
        } while (0)
        SCORES_REFUSED(sample = 8);
        SCORES_REFUSED(p = above);
        SCORES_REFUSED(p = below);
        SCORES_REFUSED(p = nan);
        SCORES_REFUSED(verified = 4);
#define PART_REFUSED(kind, part, list, change)                                                     \
        do {                                                                                       \
                struct scope_##part p = example_##list[0];                                         \
                p.change;                                                                          \
                REFUSED(kind, r.list = &p);                                                        \
        } while (0)
        PART_REFUSED(select_request, candidate, candidates, sample = 8);
        PART_REFUSED(select_request, candidate, candidates, kept_steps = 7);
        PART_REFUSED(select_request, candidate, candidates, kept_tokens = 51);
        PART_REFUSED(select_request, candidate, candidates, steps = SCOPE_STEPS_MAX + 1);
        PART_REFUSED(select_answer, choice, choices, sample = 8);
        PART_REFUSED(select_answer, choice, choices, kept_steps = 7);
        PART_REFUSED(select_answer, choice, choices, kept_tokens = 51);
        PART_REFUSED(select_answer, choice, choices, score = NAN);
}

static void test_senseless_refinements_groups_and_weights_are_refused(void **state)
{
        (void)state;
        static const uint64_t chunks[] = { 1, 2, 3, 4 };
        struct scope_trajectory twin[] = { EXAMPLE_TRAJECTORY(2), EXAMPLE_TRAJECTORY(5),
                EXAMPLE_TRAJECTORY(2) };
        struct scope_trajectory alien[] = { EXAMPLE_TRAJECTORY(2), EXAMPLE_TRAJECTORY(5),
                EXAMPLE_TRAJECTORY(7) };
        struct scope_metric infinite = { EXAMPLE_TEXT("loss"), INFINITY };
        alien[1].group = 12;
        REFUSED(refine_request, r.sample = 8);
        REFUSED(refine_request, r.suffix_max = SCOPE_RESPONSE_TOKENS_MAX + 1);
        REFUSED(refine_answer, r.verdict = SCOPE_REFINE_COUNT);
        REFUSED(refine_answer, r.verdict = SCOPE_REFINE_REFUSED);
        REFUSED(refine_answer, r.token_count = 0);
        REFUSED(refine_answer, r.tokens = token_over);
        REFUSED(group, r.path = SCOPE_GROUP_PATH_COUNT);
        REFUSED(group, r.path = SCOPE_GROUP_PLAIN);
        REFUSED(group, r.repaired = SCOPE_NO_PARENT);
        REFUSED(group, r.repaired = 3);
        REFUSED(group, r.kept_steps = 7);
        REFUSED(group, r.version_oldest = 43);
        REFUSED(group, r.version_oldest = 42);
        REFUSED(group, (r.trajectory_count = 0, r.step_means = NULL));
        REFUSED(group, r.trajectories = twin);
        REFUSED(group, r.trajectories = alien);
        REFUSED(group, r.step_means = logp_above);
        REFUSED(group, r.student_step_p = logp_above);
        REFUSED(group, r.student.bytes = 9);
        REFUSED(weights, r.base_version = 44);
        REFUSED(weights, r.chunk_count = 2);
        REFUSED(weights, (r.chunk_hashes = chunks, r.chunk_count = 4));
        REFUSED(weights, r.dtype = SCOPE_DTYPE_COUNT);
        REFUSED(weights, r.transport = SCOPE_WEIGHTS_NCCL + 1);
        REFUSED(weights, r.swap = SCOPE_SWAP_DRAIN + 1);
        REFUSED(control, (r.metrics = &infinite, r.metric_count = 1));
}

static void test_too_long_is_refused_on_both_sides(void **state)
{
        (void)state;
        const uint8_t *bytes;
        uint32_t count;
        char *long_text = calloc(1, SCOPE_TEXT_BYTES_MAX + 1);
        struct scope_prompt prompt = example_prompt;
        prompt.text = (struct scope_string){ long_text, SCOPE_TEXT_BYTES_MAX + 1 };
        assert_int_equal(scope_encode_prompt(&prompt, &bytes, &count), SCOPE_ERR_TOO_BIG);
        prompt.text.bytes--;
        assert_ok(scope_encode_prompt(&prompt, &bytes, &count));
        struct scope_metric metric = { { long_text, SCOPE_TEXT_BYTES_MAX }, 1 }, *metrics;
        struct scope_control control = example_control;
        metrics = calloc(80, sizeof *metrics);
        for (int i = 0; i < 80; i++)
                metrics[i] = metric;
        control.metrics = metrics, control.metric_count = 80;
        assert_int_equal(scope_encode_control(&control, &bytes, &count), SCOPE_ERR_TOO_BIG);
        /* The builder is good again after a failure. */
        assert_ok(scope_encode_control(&example_control, &bytes, &count));
        free(metrics);
        free(long_text);
}

static void test_full_arena_is_an_error_that_takes_nothing(void **state)
{
        (void)state;
        struct scope_arena small;
        struct scope_group back;
        const uint8_t *bytes;
        uint32_t count;
        assert_ok(scope_arena_init(&small, 512));
        assert_ok(scope_encode_group(&example_group, &bytes, &count));
        assert_int_equal(
                scope_decode_group(bytes, count, &limits, &small, &back), SCOPE_ERR_MEMORY);
        assert_int_equal(small.used, 0);
        scope_arena_fini(&small);
}

/* ---- damage ---- */

static void test_wrong_identifier_and_alignment_are_refused(void **state)
{
        (void)state;
        const uint8_t *bytes;
        uint32_t count;
        union record back;
        for (int i = 0; i < CODEC_COUNT; i++) {
                assert_ok(codecs[i].encode(codecs[i].example, &bytes, &count));
                uint8_t *block = malloc(count + 8u);
                for (int j = 0; j < CODEC_COUNT; j++)
                        assert_int_equal(codecs[j].decode(bytes, count, &back),
                                i == j ? SCOPE_OK : SCOPE_ERR_VERIFY);
                memcpy(block + 4, bytes, count);
                assert_int_equal(codecs[i].decode(block + 4, count, &back), SCOPE_ERR_VERIFY);
                free(block);
        }
}

/* Cut anywhere: refused or, where only padding went, still the same record; never a crash. */
static void test_truncation_at_every_length_never_crashes(void **state)
{
        (void)state;
        const uint8_t *bytes;
        uint32_t count;
        union record back;
        for (int i = 0; i < CODEC_COUNT; i++) {
                assert_ok(codecs[i].encode(codecs[i].example, &bytes, &count));
                for (uint32_t cut = 0; cut < count; cut++) {
                        uint8_t *block = copy(bytes, cut);
                        scope_arena_reset(&arena);
                        enum scope_err err = codecs[i].decode(block, cut, &back);
                        if (cut + 8 < count)
                                assert_int_not_equal(err, SCOPE_OK);
                        free(block);
                }
        }
}

/* Reads everything a decoded record promises, by encoding it again. */
static void test_random_damage_never_crashes(void **state)
{
        (void)state;
        struct scope_rng rng = scope_rng_make(20260110);
        uint64_t accepted = 0;
        union record back;
        for (int round = 0; round < 100000; round++) {
                const struct codec *codec = &codecs[scope_rng_below(&rng, CODEC_COUNT)];
                const uint8_t *bytes;
                uint32_t count;
                assert_ok(codec->encode(codec->example, &bytes, &count));
                uint8_t *block = copy(bytes, count);
                for (uint64_t flips = 1 + scope_rng_below(&rng, 4); flips > 0; flips--)
                        block[scope_rng_below(&rng, count)] ^=
                                (uint8_t)(1u << scope_rng_below(&rng, 8));
                scope_arena_reset(&arena);
                if (codec->decode(block, count, &back) == SCOPE_OK) {
                        accepted++;
                        assert_ok(codec->encode(&back, &bytes, &count));
                }
                free(block);
        }
        print_message("# %llu of 100000 damaged buffers still mean something\n",
                (unsigned long long)accepted);
        assert_in_range(accepted, 1000, 90000);
}

/* ---- evolution and cost ---- */

/* example_lease as the first version wrote it. Never change these bytes: see messages.fbs. */
static const uint32_t lease_of_first_version[] = {
#include "tests/schemas/lease_v1.inc"
};

static void test_lease_of_the_first_version_still_decodes(void **state)
{
        (void)state;
        const struct scope_lease *a = &example_lease, *b;
        struct scope_lease back;
        uint8_t *block =
                copy((const uint8_t *)lease_of_first_version, sizeof lease_of_first_version);
        assert_ok(scope_decode_lease(block, sizeof lease_of_first_version, &limits, &arena, &back));
        b = &back;
        SAME(group), SAME(token), SAME(run_seed), SAME(attempt), SAME(response_max);
        SAME(temperature), SAME(top_p), SAME(version_min);
        SAME_ARRAY(samples, sample_count);
        SAME_ARRAY(prompt, prompt_count);
        free(block);
}

static double thread_seconds(void)
{
        struct timespec now;
        (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Prints, asserts nothing: an absolute time is no test. */
static void test_cost_is_shown(void **state)
{
        (void)state;
        enum { ROUNDS = 20000 };
        for (int i = 0; i < CODEC_COUNT; i++) {
                const uint8_t *bytes;
                uint32_t count = 0;
                union record back;
                double start = thread_seconds();
                for (int round = 0; round < ROUNDS; round++)
                        assert_true(
                                codecs[i].encode(codecs[i].example, &bytes, &count) == SCOPE_OK);
                double middle = thread_seconds();
                for (int round = 0; round < ROUNDS; round++) {
                        scope_arena_reset(&arena);
                        assert_true(codecs[i].decode(bytes, count, &back) == SCOPE_OK);
                }
                print_message("# %-14s %4u bytes: encode %5.0f ns, decode %5.0f ns\n",
                        codecs[i].name, count, (middle - start) * 1e9 / ROUNDS,
                        (thread_seconds() - middle) * 1e9 / ROUNDS);
        }
}

static int setup(void **state)
{
        (void)state;
        return scope_arena_init(&arena, 1 << 20);
}

static int teardown(void **state)
{
        (void)state;
        scope_arena_fini(&arena);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_prompt_comes_back),
                cmocka_unit_test(test_lease_comes_back),
                cmocka_unit_test(test_trajectory_comes_back),
                cmocka_unit_test(test_score_request_comes_back),
                cmocka_unit_test(test_score_answer_comes_back),
                cmocka_unit_test(test_select_request_comes_back),
                cmocka_unit_test(test_select_answer_comes_back),
                cmocka_unit_test(test_refine_request_comes_back),
                cmocka_unit_test(test_refine_answer_comes_back),
                cmocka_unit_test(test_group_comes_back),
                cmocka_unit_test(test_weights_come_back),
                cmocka_unit_test(test_control_comes_back),
                cmocka_unit_test(test_a_record_of_defaults_is_aligned_and_comes_back),
                cmocka_unit_test(test_empty_and_absent_parts_come_back),
                cmocka_unit_test(test_tokens_and_numbers_out_of_range_are_refused),
                cmocka_unit_test(test_segments_and_spans_that_do_not_cover_are_refused),
                cmocka_unit_test(test_spans_may_run_over_neighbouring_policy_segments),
                cmocka_unit_test(test_senseless_scores_and_choices_are_refused),
                cmocka_unit_test(test_senseless_refinements_groups_and_weights_are_refused),
                cmocka_unit_test(test_too_long_is_refused_on_both_sides),
                cmocka_unit_test(test_full_arena_is_an_error_that_takes_nothing),
                cmocka_unit_test(test_wrong_identifier_and_alignment_are_refused),
                cmocka_unit_test(test_truncation_at_every_length_never_crashes),
                cmocka_unit_test(test_random_damage_never_crashes),
                cmocka_unit_test(test_lease_of_the_first_version_still_decodes),
                cmocka_unit_test(test_cost_is_shown),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
