#include "actors/live_group.h"

#include <math.h>
#include <string.h>

#include "algorithm/grade.h"
#include "algorithm/localise.h"
#include "algorithm/mix.h"
#include "algorithm/select.h"
#include "algorithm/steps.h"
#include "base/arena.h"
#include "base/check.h"
#include "models/tokenizer.h"

static enum scope_err read_sample(struct scope_actor *self, const struct scope_stages *stages,
        const struct scope_live_group *group, uint32_t sample, struct scope_trajectory *ret)
{
        return scope_message_read_trajectory(self, group->samples[sample], &stages->limits, ret);
}

static uint32_t response_tokens(const struct scope_trajectory *trajectory)
{
        bool ended = trajectory->finish == SCOPE_FINISH_STOP && trajectory->token_count > 0;
        return trajectory->token_count - (ended ? 1 : 0);
}

uint32_t scope_live_group_lengths(struct scope_actor *self, const struct scope_stages *stages,
        const struct scope_live_group *group, uint32_t *ret_steps, uint32_t *ret_tokens,
        bool *ret_failed)
{
        uint32_t ends[SCOPE_STEPS_MAX], count = 0;
        for (uint32_t i = 0; i < SCOPE_GROUP_SAMPLES_MAX; i++) {
                struct scope_trajectory trajectory;
                if (group->samples[i] == NULL ||
                        read_sample(self, stages, group, i, &trajectory) != SCOPE_OK)
                        continue;
                ret_steps[count] = scope_steps_split(trajectory.text, ends, SCOPE_STEPS_MAX);
                ret_tokens[count] = response_tokens(&trajectory);
                ret_failed[count] = !scope_grade_correct(&trajectory);
                count++;
        }
        return count;
}

void scope_live_group_push(struct scope_actor *self, const struct scope_stages *stages,
        const struct scope_live_group *group, struct scope_length_window *window)
{
        uint32_t steps[SCOPE_GROUP_SAMPLES_MAX], tokens[SCOPE_GROUP_SAMPLES_MAX];
        bool failed[SCOPE_GROUP_SAMPLES_MAX];
        uint32_t count = scope_live_group_lengths(self, stages, group, steps, tokens, failed);
        count = scope_statistics_filter(
                &stages->options->scope.statistics, steps, tokens, failed, count, steps, tokens);
        for (uint32_t i = 0; i < count; i++)
                scope_length_window_push(window, steps[i], tokens[i]);
}

uint64_t scope_live_group_oldest(struct scope_actor *self, const struct scope_stages *stages,
        const struct scope_live_group *group)
{
        uint64_t oldest = UINT64_MAX;
        for (uint32_t i = 0; i < SCOPE_GROUP_SAMPLES_MAX; i++) {
                struct scope_trajectory trajectory;
                if (group->samples[i] == NULL ||
                        read_sample(self, stages, group, i, &trajectory) != SCOPE_OK)
                        continue;
                for (uint32_t span = 0; span < trajectory.span_count; span++)
                        if (trajectory.spans[span].version < oldest)
                                oldest = trajectory.spans[span].version;
        }
        return oldest;
}

/* One response as the PRM reads it: steps in bytes and in tokens. */
static enum scope_err fill_item(struct scope_actor *self, const struct scope_stages *stages,
        const struct scope_trajectory *trajectory, struct scope_score_item *ret)
{
        struct scope_arena *scratch = scope_scratch(self);
        uint32_t *ends = scope_arena_take(scratch, SCOPE_STEPS_MAX * sizeof *ends);
        uint32_t *token_ends = scope_arena_take(scratch, SCOPE_STEPS_MAX * sizeof *token_ends);
        uint32_t *bytes = scope_arena_take(scratch, (trajectory->token_count + 1) * sizeof *bytes);
        if (ends == NULL || token_ends == NULL || bytes == NULL)
                return SCOPE_ERR_MEMORY;
        for (uint32_t i = 0; i < trajectory->token_count; i++)
                bytes[i] = scope_tokenizer_token_bytes(
                        stages->resources.tokenizer, trajectory->tokens[i]);
        *ret = (struct scope_score_item){
                .sample = trajectory->sample,
                .text = trajectory->text,
                .step_ends = ends,
                .step_count = scope_steps_split(trajectory->text, ends, SCOPE_STEPS_MAX),
                .prompt = trajectory->prompt,
                .prompt_count = trajectory->prompt_count,
                .tokens = trajectory->tokens,
                .token_count = trajectory->token_count,
                .step_token_ends = token_ends,
        };
        return scope_steps_token_ends(
                ends, ret->step_count, bytes, trajectory->token_count, token_ends);
}

enum scope_err scope_live_group_score(struct scope_actor *self, const struct scope_stages *stages,
        const struct scope_live_group *group, bool all, struct scope_message **ret_message)
{
        struct scope_score_item items[SCOPE_GROUP_SAMPLES_MAX];
        struct scope_score_request request = { .group = group->id, .items = items };
        struct scope_prompt prompt;
        enum scope_err err =
                scope_message_read_prompt(self, group->prompt, &stages->limits, &prompt);
        for (uint32_t i = 0; i < SCOPE_GROUP_SAMPLES_MAX && err == SCOPE_OK; i++) {
                struct scope_trajectory trajectory;
                if (group->samples[i] == NULL)
                        continue;
                err = read_sample(self, stages, group, i, &trajectory);
                if (err != SCOPE_OK || (scope_grade_correct(&trajectory) && !all))
                        continue;
                struct scope_score_item *item = &items[request.item_count];
                err = fill_item(self, stages, &trajectory, item);
                if (err == SCOPE_OK && item->step_count > 0)
                        request.item_count++;
        }
        if (err != SCOPE_OK)
                return err;
        if (request.item_count == 0)
                return SCOPE_ERR_NOT_FOUND;
        request.problem = prompt.text;
        return scope_message_of_score_request(
                self, SCOPE_KIND_SCORE, SCOPE_LANE_DATA, &request, ret_message);
}

/* The kept prefix of one failed sample under its scores. */
static enum scope_err prefix_of(struct scope_actor *self, const struct scope_stages *stages,
        const struct scope_live_group *group, const struct scope_step_scores *scores,
        struct scope_trajectory *ret_trajectory, struct scope_score_item *ret_item,
        struct scope_prefix *ret_prefix)
{
        enum scope_err err;
        if (scores->sample >= SCOPE_GROUP_SAMPLES_MAX || group->samples[scores->sample] == NULL)
                return SCOPE_ERR_FORMAT;
        err = read_sample(self, stages, group, scores->sample, ret_trajectory);
        if (err == SCOPE_OK)
                err = fill_item(self, stages, ret_trajectory, ret_item);
        if (err != SCOPE_OK)
                return err;
        if (scores->step_count != ret_item->step_count || scores->verified > scores->step_count)
                return SCOPE_ERR_FORMAT;
        *ret_prefix =
                scope_localise_prefix(&stages->options->scope.localise, ret_item, scores->verified);
        return SCOPE_OK;
}

enum scope_err scope_live_group_select(struct scope_actor *self, const struct scope_stages *stages,
        const struct scope_live_group *group, const struct scope_length_window *window,
        struct scope_message **ret_message)
{
        const struct scope_statistics_options *statistics = &stages->options->scope.statistics;
        struct scope_candidate candidates[SCOPE_GROUP_SAMPLES_MAX];
        uint32_t steps[SCOPE_GROUP_SAMPLES_MAX], tokens[SCOPE_GROUP_SAMPLES_MAX];
        bool failed[SCOPE_GROUP_SAMPLES_MAX];
        struct scope_select_request request = { .group = group->id, .candidates = candidates };
        struct scope_score_answer scored = { 0 };
        enum scope_err err =
                scope_message_read_score_answer(self, group->scored, &stages->limits, &scored);
        for (uint32_t i = 0; i < scored.score_count && err == SCOPE_OK; i++) {
                struct scope_trajectory trajectory;
                struct scope_score_item item;
                struct scope_prefix prefix;
                err = prefix_of(
                        self, stages, group, &scored.scores[i], &trajectory, &item, &prefix);
                if (err != SCOPE_OK || scope_grade_correct(&trajectory))
                        continue;
                candidates[request.candidate_count++] = (struct scope_candidate){
                        .sample = trajectory.sample,
                        .steps = item.step_count,
                        .tokens = response_tokens(&trajectory),
                        .kept_steps = prefix.steps,
                        .kept_tokens = prefix.tokens,
                        .located = prefix.located,
                        .truncated = trajectory.finish == SCOPE_FINISH_LENGTH,
                };
        }
        if (err != SCOPE_OK)
                return err;
        uint32_t count = scope_live_group_lengths(self, stages, group, steps, tokens, failed);
        count = scope_statistics_filter(statistics, steps, tokens, failed, count, steps, tokens);
        struct scope_length_members members = scope_statistics_members(
                statistics, window, (struct scope_length_members){ steps, tokens, count });
        request.member_steps = members.steps;
        request.member_tokens = members.tokens;
        request.member_count = members.count;
        return scope_message_of_select_request(
                self, SCOPE_KIND_SELECT, SCOPE_LANE_DATA, &request, ret_message);
}

/* Kept tokens of the chosen sample, in bytes of its text. force_k may keep less than the scores
 * allow. */
static uint32_t kept_bytes(const struct scope_score_item *item, const struct scope_choice *choice)
{
        return choice->kept_steps == 0 ? 0 : item->step_ends[choice->kept_steps - 1];
}

static enum scope_err read_choice(struct scope_actor *self, const struct scope_stages *stages,
        const struct scope_live_group *group, struct scope_choice *ret)
{
        struct scope_select_answer selected;
        enum scope_err err =
                scope_message_read_select_answer(self, group->selected, &stages->limits, &selected);
        if (err != SCOPE_OK)
                return err;
        if (group->choice >= selected.choice_count)
                return SCOPE_ERR_NOT_FOUND;
        *ret = selected.choices[group->choice];
        if (ret->sample >= SCOPE_GROUP_SAMPLES_MAX || group->samples[ret->sample] == NULL)
                return SCOPE_ERR_FORMAT;
        return SCOPE_OK;
}

enum scope_err scope_live_group_refine(struct scope_actor *self, const struct scope_stages *stages,
        const struct scope_live_group *group, uint64_t timeout_ns,
        struct scope_message **ret_message)
{
        struct scope_trajectory trajectory;
        struct scope_score_item item;
        struct scope_choice choice;
        struct scope_prompt prompt;
        enum scope_err err = read_choice(self, stages, group, &choice);
        if (err == SCOPE_OK)
                err = read_sample(self, stages, group, choice.sample, &trajectory);
        if (err == SCOPE_OK)
                err = fill_item(self, stages, &trajectory, &item);
        if (err == SCOPE_OK)
                err = scope_message_read_prompt(self, group->prompt, &stages->limits, &prompt);
        if (err != SCOPE_OK)
                return err;
        uint32_t response_max = (uint32_t)stages->options->rollout.max_response;
        if (choice.kept_steps > item.step_count || choice.kept_tokens >= response_max)
                return SCOPE_ERR_NOT_FOUND;
        struct scope_refine_request request = {
                .group = group->id,
                .sample = choice.sample,
                .problem = prompt.text,
                .gold = prompt.gold,
                .prefix = { trajectory.text.at, kept_bytes(&item, &choice) },
                .kept_steps = choice.kept_steps,
                .suffix_max = response_max - choice.kept_tokens,
                .timeout_ns = timeout_ns,
        };
        return scope_message_of_refine_request(
                self, SCOPE_KIND_REFINE, SCOPE_LANE_DATA, &request, ret_message);
}

/* Replaces trajectories[at] by the mixed one, and notes what a reader wants to see of the old one.
 * */
static enum scope_err apply_repair(struct scope_actor *self, const struct scope_stages *stages,
        const struct scope_live_group *live, struct scope_trajectory *trajectories,
        struct scope_group *record)
{
        struct scope_refine_answer answer;
        struct scope_score_answer scored;
        struct scope_score_item item;
        struct scope_choice choice;
        enum scope_err err =
                scope_message_read_refine_answer(self, live->refined, &stages->limits, &answer);
        if (err == SCOPE_OK)
                err = read_choice(self, stages, live, &choice);
        if (err == SCOPE_OK)
                err = scope_message_read_score_answer(self, live->scored, &stages->limits, &scored);
        if (err != SCOPE_OK)
                return err;
        uint32_t at = 0;
        while (at < record->trajectory_count && trajectories[at].sample != choice.sample)
                at++;
        if (at == record->trajectory_count || answer.sample != choice.sample)
                return SCOPE_ERR_FORMAT;
        struct scope_trajectory failed = trajectories[at];
        err = fill_item(self, stages, &failed, &item);
        if (err != SCOPE_OK)
                return err;
        struct scope_mix mix = { .failed = &failed,
                .kept_tokens = choice.kept_tokens,
                .kept_bytes = kept_bytes(&item, &choice),
                .suffix = answer.tokens,
                .suffix_count = answer.token_count,
                .suffix_text = answer.text,
                .response_max = (uint32_t)stages->options->rollout.max_response };
        err = scope_mix_build(&mix, scope_scratch(self), &trajectories[at]);
        if (err != SCOPE_OK)
                return err;
        record->repaired = at;
        record->kept_steps = choice.kept_steps;
        record->steps = item.step_count;
        record->student = failed.text;
        record->student_step_ends = item.step_ends;
        for (uint32_t i = 0; i < scored.score_count; i++)
                if (scored.scores[i].sample == choice.sample &&
                        scored.scores[i].step_count == item.step_count)
                        record->student_step_p = scored.scores[i].p;
        record->student_step_count = record->student_step_p != NULL ? item.step_count : 0;
        return SCOPE_OK;
}

/* Mean step probability of each trajectory, where it was scored; NaN is not allowed on the wire, so
 * 0. */
static enum scope_err fill_means(struct scope_actor *self, const struct scope_stages *stages,
        const struct scope_live_group *live, struct scope_group *record)
{
        struct scope_score_answer scored;
        float *means =
                scope_arena_take(scope_scratch(self), SCOPE_GROUP_SAMPLES_MAX * sizeof *means);
        enum scope_err err =
                scope_message_read_score_answer(self, live->scored, &stages->limits, &scored);
        if (err != SCOPE_OK || means == NULL)
                return err != SCOPE_OK ? err : SCOPE_ERR_MEMORY;
        for (uint32_t i = 0; i < record->trajectory_count; i++)
                for (uint32_t j = 0; j < scored.score_count; j++)
                        if (scored.scores[j].sample == record->trajectories[i].sample)
                                means[i] =
                                        scope_advantage_prm_reward(&stages->options->loss.advantage,
                                                scored.scores[j].p, scored.scores[j].step_count);
        record->step_means = means;
        return SCOPE_OK;
}

enum scope_err scope_live_group_finish(struct scope_actor *self, const struct scope_stages *stages,
        const struct scope_live_group *live, uint16_t kind, struct scope_message **ret_message,
        bool *ret_all_equal)
{
        struct scope_trajectory trajectories[SCOPE_GROUP_SAMPLES_MAX];
        struct scope_group record = { .group = live->id,
                .path = live->path,
                .version_oldest = scope_live_group_oldest(self, stages, live),
                .admitted_ns = live->admitted_ns,
                .finished_ns = scope_now_ns(self),
                .repaired = SCOPE_NO_PARENT,
                .trajectories = trajectories };
        struct scope_prompt prompt;
        enum scope_err err =
                scope_message_read_prompt(self, live->prompt, &stages->limits, &prompt);
        for (uint32_t i = 0; i < SCOPE_GROUP_SAMPLES_MAX && err == SCOPE_OK; i++)
                if (live->samples[i] != NULL)
                        err = read_sample(
                                self, stages, live, i, &trajectories[record.trajectory_count++]);
        if (err == SCOPE_OK && live->path == SCOPE_GROUP_REPAIRED)
                err = apply_repair(self, stages, live, trajectories, &record);
        if (err == SCOPE_OK && live->scored != NULL)
                err = fill_means(self, stages, live, &record);
        if (err != SCOPE_OK)
                return err;
        record.problem = prompt.problem;
        record.problem_text = prompt.text;
        record.gold = prompt.gold;
        *ret_all_equal = true;
        for (uint32_t i = 1; i < record.trajectory_count; i++)
                if (trajectories[i].reward != trajectories[0].reward)
                        *ret_all_equal = false;
        return scope_message_of_group(self, kind, SCOPE_LANE_DATA, &record, ret_message);
}

struct scope_live_group *scope_live_group_lowest(struct scope_live_group *groups, uint32_t count,
        enum scope_group_stage stage, uint64_t from)
{
        struct scope_live_group *best = NULL;
        for (uint32_t i = 0; i < count; i++)
                if (groups[i].stage == stage && groups[i].id >= from &&
                        (best == NULL || groups[i].id < best->id))
                        best = &groups[i];
        return best;
}

void scope_live_group_clear(struct scope_live_group *group)
{
        for (uint32_t i = 0; i < SCOPE_GROUP_SAMPLES_MAX; i++)
                scope_message_free(group->samples[i]);
        scope_message_free(group->prompt);
        scope_message_free(group->scored);
        scope_message_free(group->selected);
        scope_message_free(group->refined);
        *group = (struct scope_live_group){ 0 };
}
