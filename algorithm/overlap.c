#include "algorithm/overlap.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/check.h"

static double later(double a, double b)
{
        return a > b ? a : b;
}

/* When each stage of the last eta + 2 batches was over. */
struct ends {
        double decode, prm, teacher, done;
};

static double done_of(const struct ends *ends, uint32_t batch, int64_t lag)
{
        int64_t at = (int64_t)batch - 1 - lag;
        return at >= 0 ? ends[at].done : 0;
}

/* Decode, PRM and teacher of batch b, as soon as its gates open. */
static void produce(const struct scope_strategy *strategy, const struct scope_batch_times *times,
        double swap_s, struct ends *ends, uint32_t b)
{
        const struct ends *before = b > 0 ? &ends[b - 1] : NULL;
        double begin = done_of(ends, b, strategy->eta);
        if (b > 0 && strategy->eta == 0)
                begin += swap_s; /* nothing decodes while the new weights are taken */
        if (!strategy->stage_barrier) {
                ends[b].decode = ends[b].prm = ends[b].teacher = begin + times->streamed;
                return;
        }
        if (before != NULL)
                begin = later(begin, before->decode);
        if (before != NULL && strategy->one_producer)
                begin = later(begin, before->teacher);
        ends[b].decode = begin + times->decode;
        ends[b].prm = later(ends[b].decode, before != NULL ? before->prm : 0) + times->prm;
        ends[b].teacher = later(ends[b].prm, before != NULL ? before->teacher : 0) + times->teacher;
}

double scope_overlap_in_order(const struct scope_strategy *strategy,
        const struct scope_batch_times *batches, uint32_t count, double swap_s, double *ret_done)
{
        struct ends *ends = calloc(count + 1, sizeof *ends);
        double last = 0;
        scope_assert(strategy->in_order);
        if (ends == NULL)
                return -1;
        uint32_t produced = 0;
        for (uint32_t b = 0; b < count; b++) {
                uint32_t needed = strategy->train_apart && b + 1 < count ? b + 1 : b;
                for (; produced <= needed; produced++)
                        produce(strategy, &batches[produced], swap_s, ends, produced);
                double begin = later(ends[b].teacher, b > 0 ? ends[b - 1].done : 0);
                if (needed > b)
                        begin = later(begin, ends[b + 1].prm);
                ends[b].done = begin + batches[b].learn + batches[b].publish;
                last = ends[b].done;
                if (ret_done != NULL)
                        ret_done[b] = last;
        }
        free(ends);
        return last;
}

/* In a heap, the earliest on top: a server by when it is free, a sample by when it ends. */
struct place {
        double at;
        uint32_t index;
};

/* Brings the top, which is not the earliest any more, to where it belongs. */
static void sift(struct place *heap, uint32_t count)
{
        uint32_t at = 0;
        for (;;) {
                uint32_t least = 2 * at + 1;
                if (least >= count)
                        return;
                if (least + 1 < count && heap[least + 1].at < heap[least].at)
                        least++;
                if (heap[at].at <= heap[least].at)
                        return;
                struct place swapped = heap[at];
                heap[at] = heap[least];
                heap[least] = swapped;
                at = least;
        }
}

double scope_overlap_makespan(const double *begins, const double *services, uint32_t count,
        uint32_t servers, double *ret_ends)
{
        struct place *free_at = calloc(servers, sizeof *free_at);
        double last = 0;
        scope_assert(servers > 0);
        if (free_at == NULL)
                return -1;
        for (uint32_t i = 0; i < count; i++) {
                double end = later(begins != NULL ? begins[i] : 0, free_at[0].at) + services[i];
                free_at[0].at = end;
                sift(free_at, servers);
                if (ret_ends != NULL)
                        ret_ends[i] = end;
                last = later(last, end);
        }
        free(free_at);
        return last;
}

bool scope_step_law_is(const struct scope_step_law *law)
{
        return law->least_s + law->base_s + law->each_s > 0;
}

double scope_step_law_s(const struct scope_step_law *law, double running)
{
        return later(law->least_s, law->base_s + law->each_s * running / law->engines);
}

static void take_place(struct place *heap, uint32_t *count, struct place one)
{
        uint32_t at = (*count)++;
        for (; at > 0 && heap[(at - 1) / 2].at > one.at; at = (at - 1) / 2)
                heap[at] = heap[(at - 1) / 2];
        heap[at] = one;
}

static struct place leave(struct place *heap, uint32_t *count)
{
        struct place first = heap[0];
        heap[0] = heap[--*count];
        sift(heap, *count);
        return first;
}

double scope_overlap_shared_makespan(const struct scope_step_law *law, const uint32_t *tokens,
        const double *prefill_s, uint32_t count, uint32_t slots, double *ret_ends)
{
        /* clock and `at` of a place: tokens that each who ran all the time has got */
        struct place *heap = calloc(slots, sizeof *heap);
        double now = 0, clock = 0;
        scope_assert(slots > 0 && law->engines > 0);
        if (heap == NULL)
                return -1;
        for (uint32_t next = 0, running = 0; next < count || running > 0;) {
                for (; next < count && running < slots; next++) {
                        now += prefill_s[next] / law->engines;
                        take_place(heap, &running, (struct place){ clock + tokens[next], next });
                }
                now += scope_step_law_s(law, running) * (heap[0].at - clock);
                clock = heap[0].at;
                while (running > 0 && heap[0].at <= clock) {
                        struct place ended = leave(heap, &running);
                        if (ret_ends != NULL)
                                ret_ends[ended.index] = now;
                }
        }
        free(heap);
        return now;
}

const char *scope_bound_term_name(enum scope_bound_term term)
{
        static const char *const names[] = { "decode", "prm", "teacher", "learner", "credit",
                "cores" };
        scope_assert(term < SCOPE_BOUND_TERMS);
        return names[term];
}

static double per(double amount, double seconds)
{
        return seconds > 0 ? amount / seconds : INFINITY;
}

struct scope_rates scope_overlap_rates(const struct scope_capacity *c)
{
        struct scope_rates rates = { 0 };
        double step_s = c->learn_s + c->publish_s;
        double learner = per(c->prompts_per_step, step_s);
        rates.of[SCOPE_BOUND_PRM] = per(c->prm_servers, c->prm_s);
        rates.of[SCOPE_BOUND_TEACHER] = per(c->teacher_concurrency, c->teacher_s);
        if (c->teacher_rate > 0)
                rates.of[SCOPE_BOUND_TEACHER] = fmin(
                        rates.of[SCOPE_BOUND_TEACHER], per(c->teacher_rate, c->teacher_calls));
        rates.of[SCOPE_BOUND_LEARNER] = learner;
        rates.of[SCOPE_BOUND_CREDIT] =
                per((c->eta + 1) * c->prompts_per_step, c->sojourn_s + step_s);
        rates.of[SCOPE_BOUND_CORES] = per(c->cores, c->cpu_s);
        /* of every step's time decoding loses lost_s: X = X_D (1 - lost X / B), solved for X */
        double work = c->samples * c->sample_s / (c->slots > 0 ? c->slots : 1);
        rates.of[SCOPE_BOUND_DECODE] = per(1, work + c->lost_s / c->prompts_per_step);
        if (c->in_turn) /* T = T_Dwork + T_L + T_W + T_x */
                rates.of[SCOPE_BOUND_DECODE] =
                        per(1, work + (c->lost_s + step_s) / c->prompts_per_step);
        rates.least = INFINITY;
        double stages = INFINITY;
        for (int term = 0; term < SCOPE_BOUND_TERMS; term++) {
                if (rates.of[term] < rates.least) {
                        rates.least = rates.of[term];
                        rates.binding = (enum scope_bound_term)term;
                }
                if (term != SCOPE_BOUND_CREDIT && rates.of[term] < stages)
                        stages = rates.of[term];
        }
        rates.knee = stages * (c->sojourn_s + step_s) / c->prompts_per_step - 1;
        return rates;
}
