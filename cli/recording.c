#include "cli/recording.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/rng.h"
#include "cli/recording_parts.h"
#include "tasks/latency_law.h"
#include "tasks/teacher_script.h"

/* --- what is in it -------------------------------------------------------------------------- */

static enum scope_err missing(const struct scope_recording *recording, const char *stage,
        const char *why, struct scope_diag *diag)
{
        return scope_diag_set(diag, SCOPE_ERR_NOT_FOUND, "%s: the %s is not in this recording: %s",
                recording->directory, stage, why);
}

static enum scope_err check_settings(const struct scope_recording *recording,
        const struct scope_pipeline_options *options, struct scope_diag *diag)
{
        const struct scope_overlap_setting *setting = &recording->setting;
        if (options->stages.rollout == SCOPE_PLAY_REPLAY &&
                options->rollout.group_size > setting->group_size)
                return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "rollout.group_size = %lld: the groups of %s have %u samples; set it to "
                        "%u or less",
                        (long long)options->rollout.group_size, recording->directory,
                        setting->group_size, setting->group_size);
        if (options->stages.learner == SCOPE_PLAY_REPLAY &&
                options->rollout.prompts_per_step != setting->prompts_per_step)
                return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "rollout.prompts_per_step = %lld: the steps of %s took what %u groups "
                        "take; set it to %u, or stages.learner = \"sim\"",
                        (long long)options->rollout.prompts_per_step, recording->directory,
                        setting->prompts_per_step, setting->prompts_per_step);
        return SCOPE_OK;
}

enum scope_err scope_recording_check(const struct scope_recording *recording,
        const struct scope_pipeline_options *options, struct scope_diag *diag)
{
        static const char words[] = "record it with metrics.rollouts = true";
        const struct scope_stages_options *stages = &options->stages;
        bool repairs = options->scope.select.repairs_per_group > 0;
        bool scores = repairs && options->prm.backend != SCOPE_PRM_OFF;
        if (stages->rollout == SCOPE_PLAY_REPLAY && recording->groups.count == 0)
                return missing(recording, "rollout",
                        recording->decoded.count == 0 ? "no sample was finished"
                                                      : "rollouts/stream.jsonl names no group that "
                                                        "the trail has; record it with "
                                                        "metrics.rollouts = true",
                        diag);
        if (stages->prm == SCOPE_PLAY_REPLAY && scores && recording->scored.count == 0)
                return missing(recording, "prm", words, diag);
        if (stages->teacher == SCOPE_PLAY_REPLAY && repairs && recording->calls.count == 0)
                return missing(recording, "teacher",
                        "no call of it was kept; record a run that repairs (scope.arm), with "
                        "metrics.rollouts = true",
                        diag);
        if (stages->learner == SCOPE_PLAY_REPLAY && recording->learn.count == 0)
                return missing(recording, "learner", "it made no step", diag);
        return check_settings(recording, options, diag);
}

const struct scope_overlap_setting *scope_recording_setting(const struct scope_recording *recording)
{
        return &recording->setting;
}

bool scope_recording_shares_cores(const struct scope_recording *recording,
        const struct scope_pipeline_options *options)
{
        const struct scope_overlap_setting *setting = &recording->setting;
        const struct scope_strategy *strategy = scope_strategy_find(setting->strategy);
        struct scope_recorded_law law;
        bool alone = (strategy != NULL && strategy->eta == 0) ||
                     scope_recording_step_law(recording, &law);
        return setting->cores > 0 && alone && options->placement_count == 0 &&
               options->stages.rollout == SCOPE_PLAY_REPLAY &&
               options->stages.learner == SCOPE_PLAY_REPLAY;
}

uint64_t scope_recording_calls(const struct scope_recording *recording)
{
        return recording->calls.count;
}

uint64_t scope_recording_groups(const struct scope_recording *recording)
{
        return recording->groups.count;
}

const struct scope_recorded_group *scope_recording_group_at(
        const struct scope_recording *recording, uint64_t index)
{
        return ROW(recording->groups, struct scope_recorded_group, index);
}

uint64_t scope_recording_decode_ns(const struct scope_recording *recording)
{
        uint64_t sum = 0, count = recording->decoded.count;
        for (uint64_t i = 0; i < count; i++)
                sum += ROW(recording->decoded, struct scope_recorded_decode, i)->service_ns;
        return count > 0 ? sum / count : 0;
}

const struct scope_recorded_group *scope_recording_group(
        const struct scope_recording *recording, uint64_t group)
{
        size_t low = 0, high = recording->groups.count;
        scope_assert(high > 0);
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                if (ROW(recording->groups, struct scope_recorded_group, middle)->group < group)
                        low = middle + 1;
                else
                        high = middle;
        }
        if (low < recording->groups.count) {
                const struct scope_recorded_group *found =
                        ROW(recording->groups, struct scope_recorded_group, low);
                if (found->group == group)
                        return found;
        }
        return ROW(recording->groups, struct scope_recorded_group, group % recording->groups.count);
}

const struct scope_recorded_sample *scope_recording_sample(const struct scope_recording *recording,
        const struct scope_recorded_group *group, uint32_t sample)
{
        const struct scope_recorded_sample *first =
                ROW(recording->samples, struct scope_recorded_sample, group->first_sample);
        for (uint32_t i = 0; i < group->sample_count; i++)
                if (first[i].sample == sample)
                        return &first[i];
        return &first[sample % group->sample_count]; /* it was lost then */
}

bool scope_recording_has_tokens(const struct scope_recording *recording)
{
        return recording->tokens.count > 0;
}

bool scope_recording_tokens(const struct scope_recording *recording,
        const struct scope_recorded_sample *sample, const uint32_t **ret_ids,
        const float **ret_logp, uint32_t *ret_count, uint8_t *ret_finish)
{
        struct scope_recorded_tokens key = { .group = sample->group, .sample = sample->sample };
        if (recording->tokens.count == 0)
                return false;
        const struct scope_recorded_tokens *found = bsearch(&key, recording->tokens.at,
                recording->tokens.count, sizeof key, scope_recorded_by_tokens);
        if (found == NULL)
                return false;
        *ret_ids = ROW(recording->ids, uint32_t, found->first);
        *ret_logp = ROW(recording->logp, float, found->first);
        *ret_count = found->count;
        *ret_finish = found->finish;
        return true;
}

static uint64_t scored_ns(const struct scope_recording *recording, uint64_t group)
{
        struct scope_recorded_scoring key = { .group = group };
        const struct scope_recorded_scoring *found = bsearch(&key, recording->scored.at,
                recording->scored.count, sizeof key, scope_recorded_by_scored);
        if (found == NULL)
                found = ROW(recording->scored, struct scope_recorded_scoring,
                        group % recording->scored.count);
        return found->ns;
}

uint64_t scope_recording_cost(
        const struct scope_recording *recording, enum scope_stage_cost stage, uint64_t key)
{
        const struct scope_recorded_rows *rows =
                stage == SCOPE_COST_LEARN ? &recording->learn : &recording->publish;
        if (stage == SCOPE_COST_PRM)
                return recording->scored.count > 0
                               ? scored_ns(recording, scope_recording_group(recording, key)->group)
                               : 0;
        if (stage == SCOPE_COST_TRANSFER || rows->count == 0)
                return 0; /* within decoding */
        return *ROW(*rows, uint64_t, key % rows->count);
}

bool scope_recording_scores(const struct scope_recording *recording, uint64_t group,
        uint32_t sample, uint32_t step_count, float *ret_p)
{
        const struct scope_recorded_group *played = scope_recording_group(recording, group);
        struct scope_recorded_score key = { .group = played->group,
                .sample = scope_recording_sample(recording, played, sample)->sample };
        if (recording->scores.count == 0)
                return false;
        const struct scope_recorded_score *found = bsearch(&key, recording->scores.at,
                recording->scores.count, sizeof key, scope_recorded_by_score);
        if (found == NULL || found->step_count != step_count)
                return false;
        if (step_count > 0)
                memcpy(ret_p, ROW(recording->p, float, found->first), step_count * sizeof *ret_p);
        return true;
}

/* The next of the calls from `first` on that compare equal with `key`. */
static const struct scope_recorded_call *next_of(struct scope_recorded_rows *rows,
        const struct scope_recorded_call *key, int (*order)(const void *, const void *))
{
        size_t low = 0, high = rows->count, count = 0;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                if (order(ROW(*rows, struct scope_recorded_call, middle), key) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        while (low + count < rows->count) {
                struct scope_recorded_call same =
                        *ROW(*rows, struct scope_recorded_call, low + count);
                same.text = 0;
                if (order(&same, key) != 0)
                        break;
                count++;
        }
        if (count == 0)
                return NULL;
        struct scope_recorded_call *first = ROW(*rows, struct scope_recorded_call, low);
        return first + first->next++ % count;
}

bool scope_recording_call(void *context, struct scope_string problem, struct scope_string prefix,
        struct scope_teacher_recorded *ret_recorded)
{
        struct scope_recording *recording = context;
        const struct scope_recorded_call key = { .exact = scope_recorded_hash(problem, prefix),
                .problem = scope_hash_bytes(problem.at, problem.bytes) };
        const struct scope_recorded_call *call =
                next_of(&recording->calls, &key, scope_recorded_by_exact);
        if (call == NULL)
                call = next_of(&recording->by_problem, &key, scope_recorded_by_problem);
        if (call == NULL)
                return false;
        *ret_recorded =
                (struct scope_teacher_recorded){ .end = (enum scope_teacher_recorded_end)call->end,
                        .status = call->status,
                        .latency_ns = call->ns,
                        .content = { scope_recording_text(recording, call->text),
                                (uint32_t)call->text_bytes } };
        return true;
}

/* --- laws ----------------------------------------------------------------------------------- */

static const struct scope_recorded_rows *rows_of(
        const struct scope_recording *recording, enum scope_recorded_time of)
{
        switch (of) {
        case SCOPE_RECORDED_PRM:
                return &recording->scored;
        case SCOPE_RECORDED_TEACHER:
                return &recording->calls;
        case SCOPE_RECORDED_LEARN:
                return &recording->learn;
        case SCOPE_RECORDED_PUBLISH:
                return &recording->publish;
        case SCOPE_RECORDED_DECODE:
        case SCOPE_RECORDED_LENGTH:
        default:
                return &recording->decoded;
        }
}

static uint64_t time_at(
        const struct scope_recorded_rows *rows, enum scope_recorded_time of, size_t i)
{
        switch (of) {
        case SCOPE_RECORDED_DECODE:
                return ROW(*rows, struct scope_recorded_decode, i)->service_ns;
        case SCOPE_RECORDED_LENGTH:
                return ROW(*rows, struct scope_recorded_decode, i)->tokens * UINT64_C(1000000000);
        case SCOPE_RECORDED_PRM:
                return ROW(*rows, struct scope_recorded_scoring, i)->ns;
        case SCOPE_RECORDED_TEACHER:
                return ROW(*rows, struct scope_recorded_call, i)->ns;
        case SCOPE_RECORDED_LEARN:
        case SCOPE_RECORDED_PUBLISH:
        default:
                return *ROW(*rows, uint64_t, i);
        }
}

static void collect(struct scope_recording *recording, enum scope_recorded_time of,
        struct scope_recorded_rows *times)
{
        const struct scope_recorded_rows *rows = rows_of(recording, of);
        for (size_t i = 0; i < rows->count; i++)
                scope_recorded_add_number(recording, times, time_at(rows, of, i));
}

enum scope_err scope_recording_law(const char *words, enum scope_recorded_time of,
        struct scope_latency_law *ret_law, uint64_t **ret_values, struct scope_diag *diag)
{
        static const char *const names[] = { "rollout", "prm", "teacher", "learner",
                "publication", "rollout" };
        struct scope_recording *recording = NULL;
        struct scope_recorded_rows times = { 0 };
        *ret_values = NULL;
        if (strncmp(words, "trace:", 6) != 0)
                return (of == SCOPE_RECORDED_LENGTH ? scope_length_law_parse
                                                    : scope_latency_law_parse)(
                        words, ret_law, diag);
        enum scope_err err = scope_recording_load(words + 6, &recording, diag);
        if (err != SCOPE_OK)
                return err;
        collect(recording, of, &times);
        if (recording->failed)
                err = SCOPE_ERR_MEMORY;
        else if (times.count == 0)
                err = missing(recording, names[of], "nothing to draw its times from", diag);
        scope_recording_destroy(recording);
        if (err != SCOPE_OK) {
                free(times.at);
                return err;
        }
        *ret_values = times.at;
        *ret_law = (struct scope_latency_law){
                .kind = SCOPE_LATENCY_EMPIRICAL, .values = times.at, .count = times.count
        };
        return SCOPE_OK;
}
