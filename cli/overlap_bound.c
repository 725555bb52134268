/* overlap_bound.c - what the strategy could have reached with the stage times of this very run.
 * Why: the bound is computed from the same realised draws as the measurement; formulas are in
 * algorithm/overlap.h. */
#include <math.h>
#include <stdlib.h>

#include "cli/overlap_trail.h"

/* --- batches -------------------------------------------------------------------------------- */

struct batch {
        uint64_t *ids;
        uint32_t count;
        double *services, *begins, *ends, *teacher, *prefill;
        uint32_t *tokens;
        struct scope_trail_call *calls; /* of all batches, by batch and then by begin */
        uint64_t call_count, call_at;
        uint64_t *heads, *next; /* + 1; 0 = the end */
};

/* Trained groups of every batch (async: of every step), in the order of ids: lists through
 * `next`. */
static enum scope_err sort_members(const struct scope_overlap_trail *trail, struct batch *batch)
{
        bool in_order = scope_strategy_find(trail->setting.strategy)->in_order;
        batch->heads = calloc(trail->step_count + 1, sizeof *batch->heads);
        batch->next = calloc(trail->group_count + 1, sizeof *batch->next);
        if (batch->heads == NULL || batch->next == NULL)
                return SCOPE_ERR_MEMORY;
        for (uint64_t i = trail->group_count; i > 0; i--) {
                const struct scope_trail_group *group = &trail->groups[i - 1];
                uint64_t at = scope_trail_step(trail, group->batch);
                if (!in_order)
                        at = scope_trail_step(trail, group->trained) - (group->trained > 0);
                if (group->outcome != SCOPE_TRAINED || group->trained == 0 ||
                        at >= trail->step_count)
                        continue;
                batch->next[i - 1] = batch->heads[at];
                batch->heads[at] = i;
        }
        return SCOPE_OK;
}

static void gather_members(const struct scope_overlap_trail *trail, uint64_t b, struct batch *batch)
{
        batch->count = 0;
        for (uint64_t i = batch->heads[b]; i > 0 && batch->count < trail->setting.prompts_per_step;
                i = batch->next[i - 1])
                batch->ids[batch->count++] = i - 1;
}

/* Calls that could be sent at these times, at most so many a second: as scope_gate_begin. */
static void pace(const struct scope_overlap_trail *trail, double *begins, uint64_t count)
{
        double next = 0, apart = 1 / trail->setting.teacher_rate;
        for (uint64_t i = 0; i < count && trail->setting.teacher_rate > 0; i++) {
                begins[i] = fmax(begins[i], next);
                next = (next + apart < begins[i] ? begins[i] : next) + apart;
        }
}

/* Makespan of this batch's calls, in the order in which they were made. */
static double alone_at_teacher(const struct scope_overlap_trail *trail, struct batch *batch)
{
        uint64_t of = trail->groups[batch->ids[0]].batch, first, count = 0;
        while (batch->call_at < batch->call_count &&
                trail->groups[batch->calls[batch->call_at].group].batch < of)
                batch->call_at++;
        first = batch->call_at;
        for (; first + count < batch->call_count; count++)
                if (trail->groups[batch->calls[first + count].group].batch != of)
                        break;
        double *services = calloc(2 * count + 1, sizeof *services), makespan;
        if (services == NULL)
                return -1;
        for (uint64_t i = 0; i < count; i++)
                services[i] = batch->calls[first + i].service;
        pace(trail, services + count, count);
        makespan = scope_overlap_makespan(services + count, services, (uint32_t)count,
                trail->setting.teacher_concurrency, NULL);
        free(services);
        return makespan;
}

/* Decoding alone: when every sample of the batch is over is in batch->ends. */
static double alone_at_decoder(const struct scope_overlap_trail *trail, struct batch *batch)
{
        const struct scope_overlap_setting *setting = &trail->setting;
        uint32_t samples = 0;
        for (uint32_t i = 0; i < batch->count; i++)
                for (uint32_t s = 0; s < setting->group_size; s++) {
                        const struct scope_trail_sample *sample =
                                &trail->samples[batch->ids[i] * setting->group_size + s];
                        batch->tokens[samples] = sample->tokens;
                        batch->prefill[samples] =
                                s == 0 ? scope_trail_prefill_s(trail, sample) : 0;
                        batch->services[samples++] = (double)sample->service_s;
                }
        if (scope_step_law_is(&setting->step))
                return scope_overlap_shared_makespan(&setting->step, batch->tokens, batch->prefill,
                        samples, setting->slots, batch->ends);
        return scope_overlap_makespan(NULL, batch->services, samples, setting->slots, batch->ends);
}

/* Stage times of a batch from the services of its samples, scores and calls: each stage alone. */
static struct scope_batch_times from_services(
        const struct scope_overlap_trail *trail, struct batch *batch)
{
        const struct scope_overlap_setting *setting = &trail->setting;
        struct scope_batch_times times = { 0 };
        uint32_t calls = 0, servers = setting->teacher_concurrency;
        double prm_free = 0;
        times.decode = alone_at_decoder(trail, batch);
        /* streamed: to the PRM in the order of sealing, to the teacher in the order of scores */
        for (uint32_t i = 0; i < batch->count; i++) {
                double sealed = 0;
                for (uint32_t s = 0; s < setting->group_size; s++)
                        sealed = fmax(sealed, batch->ends[i * setting->group_size + s]);
                batch->begins[i] = sealed;
        }
        for (uint32_t i = 0; i < batch->count; i++) {
                uint32_t at = i; /* insertion: batches are small */
                double sealed = batch->begins[i];
                uint64_t id = batch->ids[i];
                for (; at > 0 && batch->begins[at - 1] > sealed; at--) {
                        batch->begins[at] = batch->begins[at - 1];
                        batch->ids[at] = batch->ids[at - 1];
                }
                batch->begins[at] = sealed;
                batch->ids[at] = id;
        }
        for (uint32_t i = 0; i < batch->count; i++) {
                const struct scope_trail_group *record = &trail->groups[batch->ids[i]];
                times.prm += record->prm_s;
                times.streamed = fmax(times.streamed, batch->begins[i]);
                if (record->prm_s > 0)
                        prm_free = fmax(prm_free, batch->begins[i]) + record->prm_s;
                if (record->calls == 0)
                        continue;
                batch->teacher[calls] = record->teacher_s;
                batch->begins[calls++] = record->prm_s > 0 ? prm_free : batch->begins[i];
        }
        times.streamed = fmax(times.streamed, prm_free);
        if (calls > 0 && servers > 0) {
                times.teacher = alone_at_teacher(trail, batch);
                pace(trail, batch->begins, calls);
                times.streamed =
                        fmax(times.streamed, scope_overlap_makespan(batch->begins, batch->teacher,
                                                     calls, servers, NULL));
        }
        return times;
}

/* What was seen of a batch that had the machine for itself (serial). */
static struct scope_batch_times from_clock(
        const struct scope_overlap_trail *trail, const struct batch *batch)
{
        struct scope_batch_times times = { 0 };
        double admitted = INFINITY, sealed = 0, scored = 0, decided = 0;
        for (uint32_t i = 0; i < batch->count; i++) {
                const struct scope_trail_group *record = &trail->groups[batch->ids[i]];
                admitted = fmin(admitted, record->admitted);
                sealed = fmax(sealed, record->sealed);
                scored = fmax(scored, record->scored);
                decided = fmax(decided, record->decided);
        }
        scored = fmax(scored, sealed);
        times.decode = sealed - admitted;
        times.prm = scored - sealed;
        times.teacher = fmax(decided - scored, 0);
        for (uint32_t i = 0; i < batch->count; i++) {
                const struct scope_trail_group *record = &trail->groups[batch->ids[i]];
                times.streamed = fmax(times.streamed,
                        record->sealed - admitted + record->prm_s + record->teacher_s);
        }
        return times;
}

static const struct scope_overlap_trail *sorted; /* qsort has no context */

static int by_batch(const void *a, const void *b)
{
        const struct scope_trail_call *x = a, *y = b;
        uint64_t of_x = sorted->groups[x->group].batch, of_y = sorted->groups[y->group].batch;
        if (of_x != of_y)
                return of_x < of_y ? -1 : 1;
        return (x->began > y->began) - (x->began < y->began);
}

static enum scope_err open_batch(const struct scope_overlap_trail *trail, struct batch *batch)
{
        size_t groups = trail->setting.prompts_per_step,
               samples = groups * trail->setting.group_size;
        *batch = (struct batch){ .ids = calloc(groups, sizeof *batch->ids),
                .services = calloc(samples, sizeof *batch->services),
                .begins = calloc(groups, sizeof *batch->begins),
                .ends = calloc(samples, sizeof *batch->ends),
                .prefill = calloc(samples, sizeof *batch->prefill),
                .tokens = calloc(samples, sizeof *batch->tokens),
                .teacher = calloc(groups, sizeof *batch->teacher),
                .calls = calloc(trail->call_count + 1, sizeof *batch->calls) };
        if (batch->ids == NULL || batch->services == NULL || batch->begins == NULL ||
                batch->ends == NULL || batch->teacher == NULL || batch->calls == NULL ||
                batch->prefill == NULL || batch->tokens == NULL)
                return SCOPE_ERR_MEMORY;
        for (uint64_t i = 0; i < trail->call_count; i++) {
                struct scope_trail_call call = trail->calls[i];
                call.group -= trail->first_group;
                if (trail->calls[i].group >= trail->first_group && call.group < trail->group_count)
                        batch->calls[batch->call_count++] = call;
        }
        sorted = trail;
        qsort(batch->calls, batch->call_count, sizeof *batch->calls, by_batch);
        return sort_members(trail, batch);
}

static void close_batch(struct batch *batch)
{
        free(batch->heads);
        free(batch->next);
        free(batch->ids);
        free(batch->services);
        free(batch->begins);
        free(batch->ends);
        free(batch->teacher);
        free(batch->calls);
        free(batch->prefill);
        free(batch->tokens);
}

static bool has_services(const struct scope_overlap_trail *trail)
{
        for (uint64_t i = 0; i < trail->group_count * trail->setting.group_size; i++)
                if (trail->samples[i].service_s > 0)
                        return true;
        return false;
}

/* Times of every batch, and their means. */
static enum scope_err stage_times(const struct scope_overlap_trail *trail, uint64_t count,
        struct scope_batch_times *ret_times, struct scope_batch_times *ret_mean)
{
        struct batch batch;
        bool services = has_services(trail);
        enum scope_err err = open_batch(trail, &batch);
        *ret_mean = (struct scope_batch_times){ 0 };
        for (uint64_t b = 0; b < count && err == SCOPE_OK; b++) {
                const struct scope_trail_step *step = &trail->steps[b + 1];
                gather_members(trail, b, &batch);
                struct scope_batch_times times =
                        services ? from_services(trail, &batch) : from_clock(trail, &batch);
                times.learn = step->stepped - step->began;
                times.publish = step->exported - step->stepped;
                ret_times[b] = times;
                ret_mean->decode += times.decode / (double)count;
                ret_mean->prm += times.prm / (double)count;
                ret_mean->teacher += times.teacher / (double)count;
                ret_mean->streamed += times.streamed / (double)count;
                ret_mean->learn += times.learn / (double)count;
                ret_mean->publish += times.publish / (double)count;
        }
        close_batch(&batch);
        return err;
}

/* --- bounds --------------------------------------------------------------------------------- */

struct window {
        uint64_t from, to, versions; /* steps; all that were made */
};

static enum scope_err bound_in_order(const struct scope_overlap_trail *trail,
        const struct scope_strategy *strategy, struct window window,
        const struct scope_batch_times *alone, struct scope_overlap_report *report)
{
        struct scope_batch_times *times = calloc(window.versions, sizeof *times);
        double *done = calloc(window.versions, sizeof *done);
        enum scope_err err = times != NULL && done != NULL ? SCOPE_OK : SCOPE_ERR_MEMORY;
        if (err == SCOPE_OK)
                err = stage_times(trail, window.versions, times, &report->stage);
        for (uint64_t b = 0; b < window.versions && alone != NULL && err == SCOPE_OK; b++)
                times[b] = *alone;
        if (alone != NULL) /* in here they waited for each other */
                report->stage = *alone;
        if (err == SCOPE_OK && scope_overlap_in_order(strategy, times, (uint32_t)window.versions,
                                       trail->setting.swap_s, done) < 0)
                err = SCOPE_ERR_MEMORY;
        if (err == SCOPE_OK)
                report->bound_groups_per_s =
                        (double)report->groups / (done[window.to - 1] - done[window.from - 1]);
        free(times);
        free(done);
        return err;
}

/* Decoding time that drains cost a step: until the longest sample of those under way ends, slots
 * stand empty. From up to 256 drains of the window. */
static double drained_s(const struct scope_overlap_trail *trail, struct window window)
{
        enum { DRAINS_MAX = 256 };
        double begin = trail->steps[window.from].exported, end = trail->steps[window.to].exported;
        double lost = 0, seen = 0, all = 0, rollouts = 0;
        uint64_t samples = trail->group_count * trail->setting.group_size;
        for (uint32_t i = 0; i < SCOPE_ROLLOUTS_MAX; i++)
                rollouts += trail->took_at[i] > 0;
        for (uint64_t d = 0; d < trail->drain_count; d++) {
                const struct scope_trail_drain *drain = &trail->drains[d];
                double used = 0;
                if (drain->to <= begin || drain->to > end)
                        continue;
                all++;
                if (seen >= DRAINS_MAX)
                        continue;
                seen++;
                for (uint64_t i = 0; i < samples; i++) {
                        const struct scope_trail_sample *sample = &trail->samples[i];
                        if (sample->ended > drain->from && sample->ended <= drain->to)
                                used += fmin(sample->ended - drain->from,
                                        scope_trail_slot_s(trail, sample));
                }
                lost += trail->setting.swap_s +
                        fmax(0, drain->to - drain->from - used / trail->setting.slots);
        }
        if (seen == 0)
                return 0;
        return lost / seen * all / fmax(1, rollouts) / (double)(window.to - window.from);
}

static struct scope_capacity capacity_of(const struct scope_overlap_trail *trail,
        const struct scope_batch_times *alone, const struct scope_overlap_report *report)
{
        const struct scope_overlap_setting *setting = &trail->setting;
        double prompts = (double)setting->prompts_per_step;
        struct scope_capacity capacity = { .prompts_per_step = prompts,
                .eta = (double)(setting->eta + 1) * fmax(1, setting->partial) - 1,
                .slots = setting->slots,
                .samples = setting->group_size,
                .sample_s = report->sample_s,
                .prm_s = report->prm_s,
                .prm_servers = 1,
                .teacher_s = report->teacher_s,
                .teacher_concurrency = setting->teacher_concurrency,
                .teacher_calls = report->teacher_calls,
                .teacher_rate = setting->teacher_rate,
                .learn_s = report->stage.learn,
                .publish_s = report->stage.publish,
                .lost_s = setting->swap_s,
                .in_turn = setting->partial > 0 && setting->eta == 0,
                .sojourn_s = report->sojourn_s };
        if (alone == NULL)
                return capacity;
        /* a whole batch at once is how this machine decodes fastest */
        capacity.slots = capacity.samples = 1;
        capacity.sample_s = alone->decode / prompts;
        capacity.prm_s = alone->prm / prompts;
        capacity.learn_s = alone->learn;
        capacity.publish_s = alone->publish;
        capacity.sojourn_s = alone->decode + alone->prm + report->teacher_s;
        return capacity;
}

/* Of async with these stages, for whoever thinks of it. */
static double knee_of(const struct scope_overlap_trail *trail,
        const struct scope_batch_times *alone, double cpu_s_per_group,
        const struct scope_overlap_report *report)
{
        struct scope_capacity capacity = capacity_of(trail, alone, report);
        capacity.cores = trail->setting.cores;
        capacity.cpu_s = capacity.cores > 0 ? cpu_s_per_group : 0;
        double knee = scope_overlap_rates(&capacity).knee;
        return isfinite(knee) ? knee : 0;
}

/* Partial rollouts at eta 0: decoding never lacks a sample, so its groups come at an even pace;
 * their calls are made as they come, the batch trains when all are back, and decoding stands still
 * meanwhile. Mean over the window. */
static enum scope_err bound_in_turn(const struct scope_overlap_trail *trail, struct window window,
        struct scope_overlap_report *report)
{
        const struct scope_overlap_setting *setting = &trail->setting;
        struct batch batch;
        double seconds = 0;
        enum scope_err err = open_batch(trail, &batch);
        double work = setting->group_size * report->sample_s / setting->slots;
        for (uint64_t b = window.from; b < window.to && err == SCOPE_OK; b++) {
                const struct scope_trail_step *step = &trail->steps[b + 1];
                uint32_t calls = 0;
                gather_members(trail, b, &batch);
                for (uint32_t i = 0; i < batch.count; i++) {
                        const struct scope_trail_group *group = &trail->groups[batch.ids[i]];
                        if (group->calls == 0)
                                continue;
                        batch.begins[calls] = work * (i + 1) + group->prm_s;
                        batch.teacher[calls++] = group->teacher_s;
                }
                pace(trail, batch.begins, calls);
                double taught = calls > 0 ? scope_overlap_makespan(batch.begins, batch.teacher,
                                                    calls, setting->teacher_concurrency, NULL)
                                          : 0;
                seconds += fmax(taught, work * setting->prompts_per_step) + setting->swap_s +
                           step->exported - step->began;
        }
        close_batch(&batch);
        if (err == SCOPE_OK && (double)report->groups / seconds < report->bound_groups_per_s) {
                report->bound_groups_per_s = (double)report->groups / seconds;
                report->binding = SCOPE_BOUND_DECODE;
        }
        return err;
}

enum scope_err scope_overlap_bound(const struct scope_overlap_trail *trail, uint64_t from,
        uint64_t to, const struct scope_batch_times *alone, double cpu_s_per_group,
        struct scope_overlap_report *report)
{
        struct window window = { from, to, trail->step_count - 1 };
        const struct scope_strategy *strategy = scope_strategy_find(trail->setting.strategy);
        double cores = cpu_s_per_group > 0 && trail->setting.cores > 0
                               ? trail->setting.cores / cpu_s_per_group
                               : INFINITY;
        if (strategy == NULL)
                return SCOPE_ERR_ARGUMENT;
        if (strategy->in_order) {
                enum scope_err err = bound_in_order(trail, strategy, window, alone, report);
                report->binding = SCOPE_BOUND_TERMS;
                if (err == SCOPE_OK && cores < report->bound_groups_per_s) {
                        report->bound_groups_per_s = cores;
                        report->binding = SCOPE_BOUND_CORES;
                }
                report->knee = knee_of(trail, alone, cpu_s_per_group, report);
                return err;
        }
        for (uint64_t v = window.from; v < window.to; v++) {
                const struct scope_trail_step *step = &trail->steps[v + 1];
                double share = 1 / (double)(window.to - window.from);
                report->stage.learn += (step->stepped - step->began) * share;
                report->stage.publish += (step->exported - step->stepped) * share;
        }
        struct scope_capacity capacity = capacity_of(trail, alone, report);
        if (trail->setting.drain)
                capacity.lost_s = drained_s(trail, window);
        capacity.cpu_s = trail->setting.cores > 0 ? cpu_s_per_group : 0;
        capacity.cores = trail->setting.cores;
        struct scope_rates rates = scope_overlap_rates(&capacity);
        report->bound_groups_per_s = rates.least;
        report->binding = rates.binding;
        report->knee = rates.knee;
        return capacity.in_turn && alone == NULL ? bound_in_turn(trail, window, report) : SCOPE_OK;
}
