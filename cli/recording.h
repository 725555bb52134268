/* recording.h - a run's directory, read as what its stages took and said.
 * Why: whoever replays a run, or draws from its times, needs a sample's words and decode time, a
 * group's scores, what the teacher answered and when, what a step took. Sources: trail_STEP.jsonl
 * (times), rollouts/index.jsonl and stream.jsonl (words), rollouts/replies.jsonl (scorer,
 * teacher; tokens and log-probabilities where metrics.tokens was on).
 * (1) A decode time is from slot to EOS: what a sample waited for a slot is taken out; who computed
 * is played by what its tokens cost instead. Other times are without waits for cores. (2) Groups
 * without words (filtered, or alive when the run ended) are not in it. (3) Whoever asks for a group
 * that is not in it gets another one, the same at every call: a recording begins again at its end.
 * (4) Read-only after load, but for the teacher's place among calls that were alike. */
#pragma once

#include "actors/stages.h"
#include "cli/overlap_report.h"

struct scope_latency_law;
struct scope_recording;
struct scope_teacher_recorded;

struct scope_recorded_sample {
        uint64_t group, service_ns;
        uint32_t sample, tokens; /* EOS included */
        bool whole;              /* it stopped by itself */
        size_t text, text_bytes; /* scope_recording_text */
};
struct scope_recorded_group {
        uint64_t group, problem;
        size_t first_sample; /* of scope_recording_samples */
        uint32_t sample_count;
        size_t text, text_bytes; /* of the problem */
};

/* in      directory: of a run whose metrics.trail and metrics.rollouts were on
 * owns    gives
 * errors  SCOPE_ERR_NOT_FOUND: no such run, or no trail in it; SCOPE_ERR_FORMAT: file:line and
 *         what, another schema says so; SCOPE_ERR_IO, SCOPE_ERR_MEMORY     thread  setup, blocks */
enum scope_err scope_recording_load(
        const char *directory, struct scope_recording **ret_recording, struct scope_diag *diag);
void scope_recording_destroy(struct scope_recording *recording); /* accepts NULL */

/* That it has what replaying these stages needs, and was made under settings that fit.
 * in      teacher: the run asks one
 * errors  SCOPE_ERR_NOT_FOUND: which stage is not in it, and how to record it;
 *         SCOPE_ERR_ARGUMENT: a setting that does not fit */
enum scope_err scope_recording_check(const struct scope_recording *recording,
        const struct scope_pipeline_options *options, struct scope_diag *diag);

const struct scope_overlap_setting *scope_recording_setting(
        const struct scope_recording *recording);

/* Decoding, scoring and learning shared cores: they share them again, under any strategy, each
 * drawing what it took of them alone. So it is where that is known: since schema 4 of the trail, or
 * where they took turns. Otherwise each stage is played on a machine of its own. */
bool scope_recording_shares_cores(const struct scope_recording *recording,
        const struct scope_pipeline_options *options);

/* What decoding took of the cores that it had, ns: a round of one token for each sample that runs,
 * each of these tokens, each token of a prompt, new weights; and a step of it, in the mean. */
struct scope_recorded_law {
        double round_ns, token_ns, prompt_ns, swap_ns, step_ns;
};
/* False: too few steps of an engine that computes were recorded. */
bool scope_recording_step_law(
        const struct scope_recording *recording, struct scope_recorded_law *ret_law);

uint64_t scope_recording_groups(const struct scope_recording *recording);
uint64_t scope_recording_calls(const struct scope_recording *recording); /* of the teacher */
const struct scope_recorded_group *scope_recording_group_at(
        const struct scope_recording *recording, uint64_t index);
uint64_t scope_recording_decode_ns(const struct scope_recording *recording); /* mean of a sample */
/* Of this group, or in its place; there is at least one. */
const struct scope_recorded_group *scope_recording_group(
        const struct scope_recording *recording, uint64_t group);
const struct scope_recorded_sample *scope_recording_sample(const struct scope_recording *recording,
        const struct scope_recorded_group *group, uint32_t sample);
const char *scope_recording_text(const struct scope_recording *recording, size_t text);

/* The same to the bit. False: it was recorded without metrics.tokens. */
bool scope_recording_tokens(const struct scope_recording *recording,
        const struct scope_recorded_sample *sample, const uint32_t **ret_ids,
        const float **ret_logp, uint32_t *ret_count, uint8_t *ret_finish);
bool scope_recording_has_tokens(const struct scope_recording *recording); /* of any sample */

/* Of a stage that is in it; the key as scope_resources.stage_cost has it. */
uint64_t scope_recording_cost(
        const struct scope_recording *recording, enum scope_stage_cost stage, uint64_t key);

/* Scores of the steps of a sample. False: none of so many steps were recorded. */
bool scope_recording_scores(const struct scope_recording *recording, uint64_t group,
        uint32_t sample, uint32_t step_count, float *ret_p);

/* For scope_teacher_script.recorded; the context is the recording. Calls with this problem and
 * prefix in the order in which they were recorded, then from the first again; where this prefix was
 * never sent, calls with the problem alone. */
bool scope_recording_call(void *recording, struct scope_string problem, struct scope_string prefix,
        struct scope_teacher_recorded *ret_recorded);

/* A law in words (tasks/latency_law.h; LENGTH: of tokens), or "trace:DIRECTORY": one of the times
 * that this run's stage took.
 * owns    gives *ret_values, what the law draws from: free; NULL where it needs none
 * errors  as scope_latency_law_parse and scope_recording_load; SCOPE_ERR_NOT_FOUND: not in it */
enum scope_recorded_time {
        SCOPE_RECORDED_DECODE,
        SCOPE_RECORDED_PRM,
        SCOPE_RECORDED_TEACHER,
        SCOPE_RECORDED_LEARN,
        SCOPE_RECORDED_PUBLISH,
        SCOPE_RECORDED_LENGTH /* tokens x 10^9 */
};
enum scope_err scope_recording_law(const char *words, enum scope_recorded_time of,
        struct scope_latency_law *ret_law, uint64_t **ret_values, struct scope_diag *diag);
