/* overlap_report.c - what a trail says: speed, staleness, waste, queues, waits. */
#include "cli/overlap_report.h"

#include <math.h>
#include <stdlib.h>

#include "cli/overlap_trail.h"

#define X(name, word) word,
const char *const scope_waste_words[SCOPE_WASTES] = { SCOPE_WASTE_MAP(X) };
#undef X
const char *const scope_link_words[SCOPE_LINKS] = { "decode", "repair", "teacher", "queue",
        "learner" };

struct window {
        uint64_t from, to; /* places in `steps` */
};

static int rising(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;
        return (x > y) - (x < y);
}

static void percentiles(double *values, uint64_t count, double ret[3])
{
        static const double at[3] = { 0.50, 0.95, 0.99 };
        qsort(values, count, sizeof *values, rising);
        for (int i = 0; i < 3; i++)
                ret[i] = count > 0 ? values[(uint64_t)(at[i] * (double)(count - 1))] : 0;
}

/* Means over the groups that were trained in the window: what it took to make these. */
static void mean_services(const struct scope_overlap_trail *trail, struct window window,
        struct scope_overlap_report *report)
{
        uint32_t size = trail->setting.group_size;
        double groups = 0;
        for (uint64_t i = 0; i < trail->group_count; i++) {
                const struct scope_trail_group *group = &trail->groups[i];
                uint64_t at = scope_trail_step(trail, group->trained);
                double longest = 0;
                if (group->outcome != SCOPE_TRAINED || group->trained == 0 || at <= window.from ||
                        at > window.to)
                        continue;
                groups++;
                for (uint32_t s = 0; s < size; s++) {
                        const struct scope_trail_sample *sample = &trail->samples[i * size + s];
                        report->sample_s += scope_trail_slot_s(trail, sample) / size;
                        longest = fmax(longest, (double)sample->service_s);
                }
                report->teacher_calls += group->calls;
                report->prm_s += group->prm_s;
                report->teacher_s += group->teacher_s;
                report->sojourn_s += longest + group->prm_s + group->teacher_s;
        }
        if (groups == 0)
                return;
        report->sample_s /= groups;
        report->prm_s /= groups;
        report->teacher_s /= groups;
        report->teacher_calls /= groups;
        report->sojourn_s /= groups;
}

/* --- what became of the groups -------------------------------------------------------------- */

static void bin(uint64_t bins[SCOPE_STALENESS_BINS], uint64_t age)
{
        bins[age < SCOPE_STALENESS_BINS - 1 ? age : SCOPE_STALENESS_BINS - 1]++;
}

static double after(uint64_t version, uint64_t before)
{
        return version > before ? (double)(version - before) : 0;
}

static void add_age(const struct scope_trail_group *group, struct scope_overlap_report *report)
{
        const uint64_t *at = group->version_at;
        uint64_t trainer = group->trained - 1;
        uint64_t age = trainer > group->oldest ? trainer - group->oldest : 0;
        report->staleness_mean += (double)age;
        report->newest_mean += after(trainer, group->newest);
        report->aged_in_flight += after(at[SCOPE_AT_SEALED], group->oldest);
        report->aged_before_teacher += after(at[SCOPE_AT_TEACHER], at[SCOPE_AT_SEALED]);
        report->aged_at_teacher += after(at[SCOPE_AT_DECIDED], at[SCOPE_AT_TEACHER]);
        report->aged_in_queue += after(trainer, at[SCOPE_AT_DECIDED]);
        bin(report->staleness, age);
        if (age > report->staleness_max)
                report->staleness_max = age;
}

static void mean_ages(const struct scope_overlap_trail *trail, double trained,
        struct scope_overlap_report *report)
{
        double tokens = 0, ages = 0;
        double *const sums[] = { &report->staleness_mean, &report->newest_mean,
                &report->aged_in_flight, &report->aged_before_teacher, &report->aged_at_teacher,
                &report->aged_in_queue };
        for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++)
                *sums[i] = trained > 0 ? *sums[i] / trained : 0;
        for (int i = 0; i < SCOPE_STALENESS_BINS; i++) {
                report->token_ages[i] = trail->token_ages[i];
                tokens += (double)trail->token_ages[i];
                ages += (double)i * (double)trail->token_ages[i];
        }
        report->token_age_mean = tokens > 0 ? ages / tokens : 0;
        report->spans_per_sample = trail->trained_samples > 0
                                           ? (double)trail->spans / (double)trail->trained_samples
                                           : 0;
}

static void waste(const struct scope_overlap_trail *trail, const struct scope_trail_group *group,
        struct scope_overlap_report *report)
{
        static const enum scope_waste of[] = { [SCOPE_REJECTED_STALE] = SCOPE_WASTE_STALE,
                [SCOPE_FILTERED] = SCOPE_WASTE_FILTERED,
                [SCOPE_FAILED] = SCOPE_WASTE_FAILED,
                [SCOPE_OUTCOME_COUNT] = SCOPE_WASTE_UNFINISHED };
        double all = fmax(1, (double)(trail->sampled_tokens + trail->cut_tokens));
        double tokens = (double)(group->tokens - group->redone) / all;
        report->waste[SCOPE_WASTE_REDONE] += (double)group->redone / all;
        if (group->outcome == SCOPE_TRAINED)
                report->useful += tokens;
        else
                report->waste[of[group->outcome]] += tokens;
}

/* Waste, shares of refined groups, staleness. */
static void fates(const struct scope_overlap_trail *trail, struct scope_overlap_report *report)
{
        double generated = 0, trained = 0, eligible = 0, refined = 0, refined_trained = 0;
        for (uint64_t i = 0; i < trail->group_count; i++) {
                const struct scope_trail_group *group = &trail->groups[i];
                bool decided = group->decided > 0, was = group->path == SCOPE_GROUP_REPAIRED;
                waste(trail, group, report);
                generated += decided;
                refined += decided && was;
                eligible += decided && group->path != SCOPE_GROUP_PLAIN;
                if (!decided || group->outcome != SCOPE_TRAINED || group->trained == 0)
                        continue;
                trained++;
                refined_trained += was;
                add_age(group, report);
        }
        report->waste[SCOPE_WASTE_CUT] =
                (double)trail->cut_tokens /
                fmax(1, (double)(trail->sampled_tokens + trail->cut_tokens));
        report->refined_generated = generated > 0 ? refined / generated : 0;
        report->refined_consumed = trained > 0 ? refined_trained / trained : 0;
        report->refined_of_eligible = eligible > 0 ? refined / eligible : 1;
        mean_ages(trail, trained, report);
}

/* --- waiting -------------------------------------------------------------------------------- */

static enum scope_err waits(
        const struct scope_overlap_trail *trail, struct scope_overlap_report *report)
{
        double *values = calloc(trail->group_count + 1, sizeof *values);
        uint64_t rewards = 0, refined = 0, trained = 0;
        if (values == NULL)
                return SCOPE_ERR_MEMORY;
        for (uint64_t i = 0; i < trail->group_count; i++)
                if (trail->groups[i].sealed > 0)
                        values[rewards++] = trail->groups[i].sealed - trail->groups[i].admitted;
        percentiles(values, rewards, report->to_reward_s);
        for (uint64_t i = 0; i < trail->group_count; i++)
                if (trail->groups[i].decided > 0 && trail->groups[i].path == SCOPE_GROUP_REPAIRED)
                        values[refined++] = trail->groups[i].decided - trail->groups[i].admitted;
        percentiles(values, refined, report->to_refined_s);
        for (uint64_t i = 0; i < trail->group_count; i++)
                if (trail->groups[i].ended > 0 && trail->groups[i].outcome == SCOPE_TRAINED)
                        values[trained++] = trail->groups[i].ended - trail->groups[i].admitted;
        percentiles(values, trained, report->to_trained_s);
        free(values);
        return SCOPE_OK;
}

/* Depth below which the queue was for `share` of the time. */
static double depth_at(const struct scope_trail_link *link, double seconds, double share)
{
        double past = 0;
        for (int i = 0; i < SCOPE_DEPTH_BINS; i++) {
                past += link->at_depth[i];
                if (past >= share * seconds)
                        return i;
        }
        return SCOPE_DEPTH_BINS - 1;
}

/* Groups that are in it still count from when they came. */
static double time_of_those_inside(const struct scope_overlap_trail *trail, enum scope_link at)
{
        double sum = 0;
        for (uint64_t i = 0; i < trail->group_count; i++) {
                const struct scope_trail_group *group = &trail->groups[i];
                double since = -1;
                if (group->admitted <= 0 && group->tokens == 0)
                        continue;
                if (group->outcome != SCOPE_OUTCOME_COUNT)
                        continue;
                if (at == SCOPE_LINK_DECODE && group->sealed <= 0)
                        since = group->admitted;
                if (at == SCOPE_LINK_REPAIR && group->sealed > 0 && group->decided <= 0)
                        since = group->sealed;
                if (at == SCOPE_LINK_TEACHER && group->at_teacher > 0 && group->decided <= 0)
                        since = group->at_teacher;
                if (at == SCOPE_LINK_QUEUE && group->queued > 0 && group->claimed <= 0)
                        since = group->queued;
                if (at == SCOPE_LINK_LEARNER && group->claimed > 0)
                        since = group->claimed;
                sum += since >= 0 ? trail->now - since : 0;
        }
        return sum;
}

static void links(const struct scope_overlap_trail *trail, struct scope_overlap_report *report)
{
        double all = trail->now - trail->first;
        for (int l = 0; l < SCOPE_LINKS && all > 0; l++) {
                const struct scope_trail_link *link = &trail->links[l];
                struct scope_link_report *ret = &report->links[l];
                ret->mean = link->area / all;
                ret->p50 = depth_at(link, all, 0.50);
                ret->p95 = depth_at(link, all, 0.95);
                ret->little =
                        (link->sojourn + time_of_those_inside(trail, (enum scope_link)l)) / all;
                ret->empty = link->empty_s / all;
                ret->full = link->full_s / all;
                ret->slices = (uint32_t)fmin(SCOPE_DEPTH_SLICES, ceil(all / trail->slice_s));
                for (uint32_t i = 0; i < ret->slices; i++)
                        ret->over_time[i] =
                                link->over_time[i] / fmin(trail->slice_s, all - trail->slice_s * i);
        }
}

static void hidden(double busy_s, double alone_s, struct scope_overlap_report *report)
{
        report->teacher_busy_s = busy_s;
        report->teacher_alone_s = alone_s;
        report->teacher_hidden = busy_s > 0 ? 1 - alone_s / busy_s : 1;
}

/* --- the report ----------------------------------------------------------------------------- */

static void speed(const struct scope_overlap_trail *trail, struct window window,
        struct scope_overlap_report *report)
{
        double begin = trail->steps[window.from].exported;
        report->steps = window.to - window.from;
        report->groups = report->steps * trail->setting.prompts_per_step;
        report->startup_s = begin - trail->first;
        report->seconds = trail->steps[window.to].exported - begin;
        report->groups_per_s = (double)report->groups / report->seconds;
        for (uint64_t v = window.from + 1; v <= window.to; v++)
                report->useful_tokens_per_s += (double)trail->steps[v].tokens / report->seconds;
}

enum scope_err scope_overlap_trail_report(const struct scope_overlap_trail *trail,
        const struct scope_batch_times *alone, double cpu_s_per_group,
        struct scope_overlap_report *ret_report)
{
        struct scope_overlap_report *report = ret_report;
        uint64_t eta = trail->setting.eta;
        struct window window = { .from = eta + 2 };
        *report = (struct scope_overlap_report){ 0 };
        if (trail->failed)
                return SCOPE_ERR_MEMORY;
        report->generated_tokens_per_s = (double)(trail->sampled_tokens + trail->cut_tokens) /
                                         fmax(1e-9, trail->now - trail->first);
        hidden(trail->teacher_busy, trail->teacher_alone, report);
        fates(trail, report);
        links(trail, report);
        enum scope_err err = waits(trail, report);
        if (err != SCOPE_OK)
                return err;
        uint64_t versions = trail->step_count > 0 ? trail->step_count - 1 : 0;
        window.to = versions > eta + 1 ? versions - eta - 1 : 0;
        if (window.to <= window.from)
                return SCOPE_ERR_NOT_FOUND;
        speed(trail, window, report);
        const struct scope_trail_step *from = &trail->steps[window.from],
                                      *to = &trail->steps[window.to];
        hidden(to->teacher_busy - from->teacher_busy, to->teacher_alone - from->teacher_alone,
                report);
        mean_services(trail, window, report);
        if (from->cpu_s > 0 && to->cpu_s > from->cpu_s)
                cpu_s_per_group = (to->cpu_s - from->cpu_s) / (double)report->groups;
        report->cpu_s_per_group = cpu_s_per_group;
        return scope_overlap_bound(trail, window.from, window.to, alone, cpu_s_per_group, report);
}
