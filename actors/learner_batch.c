#include "actors/learner_batch.h"

#include <math.h>
#include <string.h>

#include "algorithm/admission.h"
#include "algorithm/advantage.h"
#include "algorithm/grade.h"
#include "algorithm/localise.h"
#include "base/check.h"
#include "base/limits.h"
#include "schemas/codec.h"
#include "tasks/chain.h"

enum scope_err scope_batch_init(struct scope_batch *batch, const struct scope_stages *stages)
{
        const struct scope_rollout_options *options = &stages->options->rollout;
        size_t rows = (size_t)options->prompts_per_step * (size_t)options->group_size;
        size_t tokens = (size_t)(options->max_prompt + options->max_response);
        *batch = (struct scope_batch){ 0 };
        /* ten floats a token, and per row the records, segments and spans with room for alignment
         * */
        return scope_arena_init(
                &batch->arena, rows * (tokens * 10 * sizeof(float) + 8192) + (4 << 20));
}

void scope_batch_fini(struct scope_batch *batch)
{
        scope_arena_fini(&batch->arena);
}

static uint64_t oldest_version(const struct scope_trajectory *trajectory, uint64_t newest)
{
        uint64_t oldest = newest;
        for (uint32_t i = 0; i < trajectory->span_count; i++)
                if (trajectory->spans[i].version < oldest)
                        oldest = trajectory->spans[i].version;
        return oldest;
}

/* Tokens at the end that carry no loss are not even looked at: nothing depends on them. */
static uint32_t trained_segments(const struct scope_trajectory *trajectory, uint32_t *ret_end)
{
        uint32_t count = trajectory->segment_count;
        while (count > 0 && trajectory->segments[count - 1].loss == SCOPE_LOSS_NONE)
                count--;
        *ret_end = 0;
        if (count > 0)
                *ret_end = trajectory->segments[count - 1].begin +
                        trajectory->segments[count - 1].count;
        return count;
}

static enum scope_err build_row(struct scope_batch *batch, const struct scope_stages *stages,
        const struct scope_trajectory *trajectory, float advantage)
{
        uint32_t prompt = trajectory->prompt_count, response;
        uint32_t segment_count = trained_segments(trajectory, &response);
        uint32_t count = prompt + response;
        struct scope_row *row = &batch->rows[batch->row_count];
        struct scope_batch_row *detail = &batch->details[batch->row_count];
        uint32_t *tokens = scope_arena_take(&batch->arena, count * sizeof *tokens);
        float *floats =
                scope_arena_take(&batch->arena, (3 * (size_t)count + 2 * (size_t)response) * 4 + 4);
        if (tokens == NULL || floats == NULL)
                return SCOPE_ERR_MEMORY;
        memcpy(tokens, trajectory->prompt, prompt * sizeof *tokens);
        if (response > 0)
                memcpy(tokens + prompt, trajectory->tokens, response * sizeof *tokens);
        *row = (struct scope_row){ .tokens = tokens,
                .count = count,
                .first = prompt,
                .logp = floats,
                .entropy = floats + count,
                .coef = floats + 2 * (size_t)count,
                .temperature = trajectory->span_count > 0
                                       ? trajectory->spans[0].temperature
                                       : (float)stages->options->rollout.temperature };
        *detail = (struct scope_batch_row){ .trajectory = trajectory,
                .segment_count = segment_count,
                .advantage = advantage,
                .version_oldest = oldest_version(trajectory, batch->version),
                .anchor = floats + 3 * (size_t)count,
                .weight = floats + 3 * (size_t)count + response };
        if (stages->resources.reference != NULL) {
                detail->reference = scope_arena_take(&batch->arena, count * sizeof(float));
                if (detail->reference == NULL)
                        return SCOPE_ERR_MEMORY;
        }
        batch->row_count++;
        batch->token_count += count;
        return SCOPE_OK;
}

static enum scope_err build_group(struct scope_batch *batch, const struct scope_stages *stages,
        const struct scope_group *group)
{
        float rewards[SCOPE_GROUP_SAMPLES_MAX], advantages[SCOPE_GROUP_SAMPLES_MAX];
        bool mixed[SCOPE_GROUP_SAMPLES_MAX];
        for (uint32_t i = 0; i < group->trajectory_count; i++) {
                rewards[i] = group->trajectories[i].reward;
                mixed[i] = i == group->repaired;
        }
        scope_advantage_group(&stages->options->loss.advantage, rewards, group->step_means, mixed,
                group->trajectory_count, advantages);
        for (uint32_t i = 0; i < group->trajectory_count; i++) {
                enum scope_err err =
                        build_row(batch, stages, &group->trajectories[i], advantages[i]);
                if (err != SCOPE_OK)
                        return err;
        }
        return SCOPE_OK;
}

/* Tokens of a row that carry loss: what the normaliser counts. */
static uint32_t trained_tokens(const struct scope_trajectory *trajectory)
{
        uint32_t count = 0;
        for (uint32_t i = 0; i < trajectory->segment_count; i++)
                if (trajectory->segments[i].loss != SCOPE_LOSS_NONE)
                        count += trajectory->segments[i].count;
        return count;
}

static enum scope_err set_scales(struct scope_batch *batch, const struct scope_stages *stages)
{
        uint32_t *counts = scope_arena_take(&batch->arena, (batch->row_count + 1) * sizeof *counts);
        double *scales = scope_arena_take(&batch->arena, (batch->row_count + 1) * sizeof *scales);
        if (counts == NULL || scales == NULL)
                return SCOPE_ERR_MEMORY;
        for (uint32_t i = 0; i < batch->row_count; i++)
                counts[i] = trained_tokens(batch->details[i].trajectory);
        for (uint32_t m = 0; m < batch->minibatch_count; m++) {
                uint32_t begin, end;
                scope_batch_minibatch(batch, m, &begin, &end);
                scope_objective_scales(&stages->options->loss.objective, counts + begin,
                        end - begin, scales + begin);
        }
        for (uint32_t i = 0; i < batch->row_count; i++)
                batch->details[i].scale = scales[i];
        return SCOPE_OK;
}

enum scope_err scope_batch_build(struct scope_batch *batch, const struct scope_stages *stages,
        struct scope_message *const *messages, uint32_t count, uint64_t version)
{
        const struct scope_learner_options *options = &stages->options->learner;
        uint32_t rows = 0;
        scope_arena_reset(&batch->arena);
        batch->row_count = batch->token_count = 0;
        batch->group_count = count;
        batch->version = version;
        batch->queued = count > 0 ? messages[count - 1]->tag : 0;
        memset(batch->objective, 0, sizeof batch->objective);
        memset(batch->correction, 0, sizeof batch->correction);
        batch->groups = scope_arena_take(&batch->arena, (count + 1) * sizeof *batch->groups);
        if (batch->groups == NULL)
                return SCOPE_ERR_MEMORY;
        for (uint32_t i = 0; i < count; i++) {
                enum scope_err err = scope_decode_group(messages[i]->payload, messages[i]->bytes,
                        &stages->limits, &batch->arena, &batch->groups[i]);
                if (err != SCOPE_OK)
                        return err;
                rows += batch->groups[i].trajectory_count;
        }
        batch->rows = scope_arena_take(&batch->arena, (rows + 1) * sizeof *batch->rows);
        batch->details = scope_arena_take(&batch->arena, (rows + 1) * sizeof *batch->details);
        if (batch->rows == NULL || batch->details == NULL)
                return SCOPE_ERR_MEMORY;
        batch->minibatch_groups =
                options->minibatch_prompts != 0 ? (uint32_t)options->minibatch_prompts : count;
        batch->minibatch_count = (count + batch->minibatch_groups - 1) / batch->minibatch_groups;
        batch->proximal = batch->minibatch_count > 1 || options->passes > 1;
        for (uint32_t i = 0; i < count; i++) {
                enum scope_err err = build_group(batch, stages, &batch->groups[i]);
                if (err != SCOPE_OK)
                        return err;
        }
        return set_scales(batch, stages);
}

void scope_batch_minibatch(
        const struct scope_batch *batch, uint32_t index, uint32_t *ret_begin, uint32_t *ret_end)
{
        uint32_t first = index * batch->minibatch_groups, row = 0;
        uint32_t last = first + batch->minibatch_groups;
        *ret_begin = *ret_end = 0;
        for (uint32_t i = 0; i < batch->group_count; i++) {
                if (i == first)
                        *ret_begin = row;
                row += batch->groups[i].trajectory_count;
                if (i + 1 == last || i + 1 == batch->group_count) {
                        *ret_end = row;
                        return;
                }
        }
}

void scope_batch_anchor(struct scope_batch *batch, uint32_t begin, uint32_t end)
{
        for (uint32_t i = begin; i < end; i++)
                memcpy(batch->details[i].anchor, batch->rows[i].logp + batch->rows[i].first,
                        (batch->rows[i].count - batch->rows[i].first) * sizeof(float));
}

void scope_batch_coefficients(struct scope_batch *batch, const struct scope_stages *stages,
        unsigned rank, uint32_t begin, uint32_t end)
{
        const struct scope_loss_options *options = &stages->options->loss;
        bool bypass = options->correction.correction == SCOPE_CORRECTION_BYPASS;
        if (!batch->proximal)
                scope_batch_anchor(batch, begin, end);
        for (uint32_t i = begin; i < end; i++) {
                struct scope_row *row = &batch->rows[i];
                struct scope_batch_row *detail = &batch->details[i];
                const struct scope_trajectory *trajectory = detail->trajectory;
                const float *logp = row->logp + row->first;
                uint32_t count = row->count - row->first;
                struct scope_correction_row correction = { .logp_behaviour = trajectory->logp,
                        .logp_train = bypass ? logp : detail->anchor,
                        .segments = trajectory->segments,
                        .segment_count = detail->segment_count,
                        .count = count };
                scope_correction_weights(&options->correction, &correction, detail->weight,
                        &batch->correction[rank]);
                scope_age_weights(&stages->admission, batch->version, detail->version_oldest,
                        trajectory, detail->weight);
                struct scope_objective_row objective = { .logp = logp,
                        .entropy = row->entropy + row->first,
                        .logp_anchor = bypass ? trajectory->logp : detail->anchor,
                        .logp_ref =
                                detail->reference != NULL ? detail->reference + row->first : NULL,
                        .weight = detail->weight,
                        .segments = trajectory->segments,
                        .segment_count = detail->segment_count,
                        .count = count,
                        .advantage = detail->advantage,
                        .scale = detail->scale };
                row->entropy_coef = scope_objective_coefficients(&options->objective, &objective,
                        row->coef + row->first, &batch->objective[rank]);
        }
}

float scope_batch_learning_rate(const struct scope_stages *stages, uint64_t step)
{
        const struct scope_learner_options *options = &stages->options->learner;
        double warm = options->warmup > 0 && step < (uint64_t)options->warmup
                              ? (double)step / (double)options->warmup
                              : 1;
        return (float)(options->lr * warm);
}

/* --- metrics -------------------------------------------------------------------------------- */

struct writer {
        struct scope_metric *metrics;
        uint32_t count, max;
};

static void put(struct writer *writer, const char *name, double value)
{
        if (writer->count < writer->max)
                writer->metrics[writer->count++] =
                        (struct scope_metric){ { name, (uint32_t)strlen(name) },
                                isfinite(value) ? value : 0 };
}

static double share(double part, double whole)
{
        return whole > 0 ? part / whole : 0;
}

/* Rewards as sampled: the repaired rollout counts as the failure it was. */
static void group_metrics(const struct scope_batch *batch, struct writer *writer)
{
        uint32_t all_wrong = 0, all_right = 0, zero_std = 0, samples = 0, clipped = 0;
        double length = 0, length_max = 0, reward = 0, sampled = 0, squares = 0;
        for (uint32_t g = 0; g < batch->group_count; g++) {
                const struct scope_group *group = &batch->groups[g];
                uint32_t before = 0, unlike = 0;
                for (uint32_t i = 0; i < group->trajectory_count; i++) {
                        const struct scope_trajectory *trajectory = &group->trajectories[i];
                        bool success = scope_grade_correct(trajectory);
                        const double earned = i != group->repaired ? (double)trajectory->reward : 0;
                        unlike += trajectory->reward != group->trajectories[0].reward;
                        before += success && i != group->repaired;
                        sampled += earned;
                        squares += earned * earned;
                        reward += trajectory->reward;
                        length += trajectory->token_count;
                        length_max = fmax(length_max, trajectory->token_count);
                        clipped += trajectory->finish == SCOPE_FINISH_LENGTH;
                }
                samples += group->trajectory_count;
                all_wrong += before == 0;
                all_right += before == group->trajectory_count;
                zero_std += unlike == 0;
        }
        const double mean = share(sampled, samples);
        put(writer, "reward/mean", mean);
        put(writer, "reward/std", sqrt(fmax(0, share(squares, samples) - mean * mean)));
        put(writer, "reward/trained_mean", share(reward, samples));
        put(writer, "group/all_wrong_frac", share(all_wrong, batch->group_count));
        put(writer, "group/all_right_frac", share(all_right, batch->group_count));
        put(writer, "group/zero_std_frac", share(zero_std, batch->group_count));
        put(writer, "completion/len_mean", share(length, samples));
        put(writer, "completion/len_max", length_max);
        put(writer, "completion/clipped_frac", share(clipped, samples));
}

/* A kept step that the exact checker refuses: the trap of algorithm.md decision 10. */
static bool prefix_is_bad(const struct scope_group *group)
{
        float p[SCOPE_STEPS_MAX];
        struct scope_chain chain;
        if (group->student_step_count == 0 || group->student_step_count > SCOPE_STEPS_MAX ||
                scope_chain_parse(group->problem_text, &chain) != SCOPE_OK)
                return false;
        scope_chain_judge(
                &chain, group->student, group->student_step_ends, group->student_step_count, p);
        for (uint32_t i = 0; i < group->kept_steps && i < group->student_step_count; i++)
                if (p[i] < 0.5f)
                        return true;
        return false;
}

/* Of what the PRM said of the repaired rollouts. */
static void prm_metrics(
        const struct scope_batch *batch, const struct scope_stages *stages, struct writer *writer)
{
        uint32_t scored = 0, unlocated = 0;
        double confidence = 0;
        for (uint32_t g = 0; g < batch->group_count; g++) {
                const struct scope_group *group = &batch->groups[g];
                if (group->student_step_count == 0 || group->student_step_p == NULL)
                        continue;
                uint32_t verified = scope_localise_verified(group->student_step_p,
                        group->student_step_count, stages->options->prm.tau);
                scored++;
                if (verified == group->student_step_count)
                        unlocated++;
                else
                        confidence += 1 - (double)group->student_step_p[verified];
        }
        put(writer, "scope/no_error_found_frac", share(unlocated, scored));
        put(writer, "scope/prm_first_error_conf", share(confidence, scored - unlocated));
}

static void scope_metrics(const struct scope_batch *batch, struct writer *writer)
{
        uint32_t paths[SCOPE_GROUP_PATH_COUNT] = { 0 }, bad = 0;
        double keep = 0;
        for (uint32_t g = 0; g < batch->group_count; g++) {
                const struct scope_group *group = &batch->groups[g];
                paths[group->path % SCOPE_GROUP_PATH_COUNT]++;
                if (group->repaired == SCOPE_NO_PARENT)
                        continue;
                keep += share(group->kept_steps, group->steps);
                bad += prefix_is_bad(group);
        }
        uint32_t repaired = paths[SCOPE_GROUP_REPAIRED];
        uint32_t eligible = batch->group_count - paths[SCOPE_GROUP_PLAIN];
        put(writer, "scope/eligible_frac", share(eligible, batch->group_count));
        put(writer, "scope/repaired", repaired);
        put(writer, "scope/rejected", paths[SCOPE_GROUP_KEPT]);
        put(writer, "scope/degraded", paths[SCOPE_GROUP_DEGRADED]);
        put(writer, "scope/teacher_success_frac",
                share(repaired, repaired + paths[SCOPE_GROUP_KEPT]));
        put(writer, "scope/cut_frac", share(repaired, batch->group_count));
        put(writer, "scope/cut_pos_mean", share(keep, repaired));
        put(writer, "scope/bad_prefix_frac", share(bad, repaired));
}

static void staleness_metrics(const struct scope_batch *batch, struct writer *writer)
{
        double sum = 0, max = 0;
        for (uint32_t g = 0; g < batch->group_count; g++) {
                double age = (double)scope_age_of(batch->version, batch->groups[g].version_oldest);
                sum += age;
                max = fmax(max, age);
        }
        put(writer, "staleness/mean", share(sum, batch->group_count));
        put(writer, "staleness/max", max);
}

uint32_t scope_batch_metrics(struct scope_batch *batch, const struct scope_stages *stages,
        struct scope_metric *ret_metrics, uint32_t max)
{
        struct writer writer = { ret_metrics, 0, max };
        struct scope_objective_sums objective = { 0 };
        struct scope_correction_sums correction = { 0 };
        for (unsigned rank = 0; rank < SCOPE_RANKS_MAX; rank++) {
                scope_objective_sums_add(&objective, &batch->objective[rank]);
                scope_correction_sums_add(&correction, &batch->correction[rank]);
        }
        double policy = (double)objective.policy_tokens, suffix = (double)objective.suffix_tokens;
        group_metrics(batch, &writer);
        scope_metrics(batch, &writer);
        prm_metrics(batch, stages, &writer);
        put(&writer, "scope/teacher_tokens_frac", share(suffix, policy + suffix));
        put(&writer, "scope/suffix_f_mean", share(objective.suffix_f, suffix));
        put(&writer, "scope/suffix_grad_frac",
                share(objective.suffix_coef, objective.suffix_coef + objective.policy_coef));
        put(&writer, "optim/objective", objective.objective);
        put(&writer, "optim/grad_norm", batch->grad_norm);
        put(&writer, "entropy/mean", share(objective.entropy, policy + suffix));
        if (stages->resources.reference != NULL)
                put(&writer, "kl/ref", share(objective.kl_ref, policy));
        put(&writer, "mismatch_kl", share(correction.k3, (double)correction.tokens));
        put(&writer, "is_ratio/mean", share(correction.ratio, (double)correction.tokens));
        put(&writer, "is_ratio/max", correction.ratio_max);
        put(&writer, "is_ratio/truncated_frac",
                share((double)correction.truncated_tokens, (double)correction.tokens));
        put(&writer, "is_ratio/masked_frac",
                share((double)correction.masked_tokens, (double)correction.tokens));
        put(&writer, "clip/low_frac", share((double)objective.clipped_lo, policy));
        put(&writer, "clip/high_frac", share((double)objective.clipped_hi, policy));
        staleness_metrics(batch, &writer);
        put(&writer, "tokens/trained", policy + suffix);
        put(&writer, "tokens/batch", batch->token_count);
        put(&writer, "queue/groups/depth", (double)batch->queued);
        return writer.count;
}

uint64_t scope_batch_tokens(const struct scope_batch *batch, const struct scope_stages *stages)
{
        uint64_t tokens = 0;
        for (uint32_t i = 0; i < batch->row_count; i++)
                tokens += batch->rows[i].count;
        return tokens * (uint64_t)stages->options->learner.passes;
}

void scope_batch_audit(const struct scope_actor *self, const struct scope_stages *stages,
        const struct scope_batch *batch, const struct scope_group *group)
{
        for (uint32_t i = 0; i < group->trajectory_count; i++) {
                const struct scope_trajectory *trajectory = &group->trajectories[i];
                for (uint32_t s = 0; s < trajectory->span_count; s++)
                        scope_stages_audit(self, stages,
                                (struct scope_audit){ .kind = SCOPE_AUDIT_SPAN,
                                        .group = group->group,
                                        .sample = trajectory->sample,
                                        .version = trajectory->spans[s].version,
                                        .value = trajectory->spans[s].count });
                scope_stages_audit(self, stages,
                        (struct scope_audit){ .kind = SCOPE_AUDIT_TRAINED,
                                .group = group->group,
                                .sample = trajectory->sample,
                                .version = group->version_oldest,
                                .value = batch->version });
        }
}
