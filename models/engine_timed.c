/* engine_timed.c - an engine whose samples take drawn times: slots in parallel, first come first
 * served. Two ways: each sample has a time of its own; or all that run share the engine, which
 * takes so long for a step of so many (continuous batching).
 * Why: overlap is a matter of when, not of what; a sample of half a minute costs one event here,
 * not a thousand tokens.
 * (1) A sample's service time, or its length, is a pure function of its request: every strategy
 * meets the same ones. (2) A step lasts until the next sample ends, at most `quantum_ns`: so long
 * may a freed slot, new weights or a cancelled sample wait; where they share it, for at least one
 * token. (3) Tokens come at an even pace over the service time; version spans follow. */
#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "models/engine.h"

enum sample_state { SAMPLE_WAITING, SAMPLE_RUNNING, SAMPLE_FINISHED, SAMPLE_OVER };

struct sample {
        struct sample *next; /* of the list it is in */
        uint64_t id, share, begin_ns, service_ns;
        uint32_t *tokens;
        float *logp;
        uint32_t count, prompt_count;
        uint32_t left; /* tokens to come, where samples share the engine */
        struct scope_engine_span spans[SCOPE_SPANS_MAX];
        uint32_t span_count;
        uint8_t state, finish;
};

struct list {
        struct sample *first, **last;
};

struct timed {
        struct scope_engine engine;
        struct scope_engine_timed_options options;
        struct list waiting, finished;
        struct sample *unused, *collected;
        struct sample **running; /* [slots] */
        uint32_t running_count, waiting_count;
        uint64_t now_ns, step_ns; /* engine time: it stands still between steps */
        uint32_t step_tokens;     /* that each sample gets in this step, where they share it */
        uint64_t pause_ns, prefill_ns; /* to come: for new weights, for contexts under them */
        bool shared, stepping, has_weights, has_pending, recompute;
        uint64_t pending_version;
        struct scope_engine_stats stats;
};

static struct timed *timed_of(struct scope_engine *engine)
{
        return (struct timed *)engine; /* its first member */
}

static void push(struct list *list, struct sample *sample)
{
        sample->next = NULL;
        *list->last = sample;
        list->last = &sample->next;
}

static struct sample *pop(struct list *list)
{
        struct sample *sample = list->first;
        if (sample == NULL)
                return NULL;
        list->first = sample->next;
        if (list->first == NULL)
                list->last = &list->first;
        return sample;
}

static void free_sample(struct sample *sample)
{
        if (sample == NULL)
                return;
        free(sample->tokens);
        free(sample->logp);
        free(sample);
}

static struct sample *take_unused(struct timed *timed)
{
        struct sample *sample = timed->unused;
        if (sample != NULL) {
                timed->unused = sample->next;
                return sample;
        }
        sample = calloc(1, sizeof *sample);
        if (sample == NULL)
                return NULL;
        sample->tokens = calloc(timed->options.response_max, sizeof *sample->tokens);
        sample->logp = calloc(timed->options.response_max, sizeof *sample->logp);
        if (sample->tokens == NULL || sample->logp == NULL) {
                free_sample(sample);
                return NULL;
        }
        return sample;
}

static void drop(struct timed *timed, struct sample *sample)
{
        sample->next = timed->unused;
        timed->unused = sample;
}

/* One token of each of so many. */
static double token_ns(const struct timed *timed, uint32_t running)
{
        const struct scope_engine_step_law *law = &timed->options.step;
        double ns = law->base_ns + law->each_ns * running;
        return ns > law->least_ns ? ns : law->least_ns;
}

static enum scope_err timed_submit(
        struct scope_engine *engine, const struct scope_engine_request *request)
{
        struct timed *timed = timed_of(engine);
        if (request->prompt_count == 0 || request->response_max == 0 ||
                request->response_max > timed->options.response_max)
                return SCOPE_ERR_SHAPE;
        if (timed->waiting_count == timed->options.waiting_max)
                return SCOPE_ERR_AGAIN;
        struct sample *sample = take_unused(timed);
        if (sample == NULL)
                return SCOPE_ERR_MEMORY;
        sample->id = request->id;
        sample->share = request->share;
        sample->prompt_count = request->prompt_count;
        sample->span_count = 0;
        sample->state = SAMPLE_WAITING;
        sample->service_ns = timed->options.respond(timed->options.context, request,
                sample->tokens, sample->logp, &sample->count, &sample->finish);
        scope_assert(sample->count >= 1 && sample->count <= request->response_max);
        sample->left = sample->count;
        if (timed->shared) /* alone */
                sample->service_ns = (uint64_t)(sample->count * token_ns(timed, 1) +
                                                timed->options.step.prompt_ns *
                                                        sample->prompt_count);
        push(&timed->waiting, sample);
        timed->waiting_count++;
        return SCOPE_OK;
}

/* Those that wait stay in their list until their turn; those that run leave at the next step. */
static void timed_cancel(struct scope_engine *engine, uint64_t id)
{
        struct timed *timed = timed_of(engine);
        for (struct sample *sample = timed->waiting.first; sample != NULL; sample = sample->next)
                if (sample->id == id)
                        sample->state = SAMPLE_OVER;
        for (struct sample *sample = timed->finished.first; sample != NULL; sample = sample->next)
                if (sample->id == id)
                        sample->state = SAMPLE_OVER;
        for (uint32_t i = 0; i < timed->running_count; i++)
                if (timed->running[i]->id == id)
                        timed->running[i]->state = SAMPLE_OVER;
}

static enum scope_err timed_publish(struct scope_engine *engine, struct scope_buffer *weights,
        uint64_t version, bool recompute_kv)
{
        struct timed *timed = timed_of(engine);
        (void)weights; /* their content plays no part here */
        timed->has_pending = true;
        timed->recompute = recompute_kv;
        timed->pending_version = version;
        return SCOPE_OK;
}

/* Tokens that a running sample has by now. */
static uint32_t shown(const struct timed *timed, const struct sample *sample)
{
        uint64_t past = timed->now_ns - sample->begin_ns;
        if (timed->shared)
                return sample->count - sample->left;
        if (past >= sample->service_ns)
                return sample->count;
        return (uint32_t)((double)sample->count * ((double)past / (double)sample->service_ns));
}

/* It was cancelled: what was decoded of it was in vain. */
static void give_up(struct timed *timed, struct sample *sample)
{
        timed->stats.cancelled_tokens += shown(timed, sample);
        drop(timed, sample);
}

/* From its next token on it is decoded with the engine's version. */
static void open_span(const struct timed *timed, struct sample *sample, uint32_t begin)
{
        struct scope_engine_span *last = NULL;
        if (sample->span_count > 0) {
                last = &sample->spans[sample->span_count - 1];
                last->count = begin - last->begin;
        }
        /* nothing was decoded with the one before, or there is no room to say more */
        if (last != NULL && (last->count == 0 || sample->span_count == SCOPE_SPANS_MAX)) {
                last->version = timed->stats.version;
                return;
        }
        sample->spans[sample->span_count++] =
                (struct scope_engine_span){ begin, 0, timed->stats.version };
}

/* New weights: decoding pauses for swap_ns, and for prefilling what lives where KV is not kept. */
static void swap(struct timed *timed)
{
        uint64_t live = 0;
        timed->stats.version = timed->pending_version;
        timed->has_pending = false;
        for (uint32_t i = 0; i < timed->running_count; i++) {
                live += shown(timed, timed->running[i]);
                open_span(timed, timed->running[i], shown(timed, timed->running[i]));
        }
        if (timed->has_weights)
                timed->pause_ns += timed->options.swap_ns;
        if (timed->recompute && timed->options.prefill_rate > 0)
                timed->prefill_ns += (uint64_t)((double)live * 1e9 / timed->options.prefill_rate);
        timed->has_weights = true;
}

/* Its prompt is computed by then: somebody who runs has the same. */
static bool is_prefilled(const struct timed *timed, const struct sample *sample)
{
        for (uint32_t i = 0; i < timed->running_count; i++)
                if (timed->running[i]->share == sample->share)
                        return true;
        return false;
}

/* Prefilling what comes in is a part of the step that it is in. */
static void fill_slots(struct timed *timed)
{
        uint32_t kept = 0;
        for (uint32_t i = 0; i < timed->running_count; i++) {
                if (timed->running[i]->state == SAMPLE_RUNNING)
                        timed->running[kept++] = timed->running[i];
                else
                        give_up(timed, timed->running[i]);
        }
        timed->running_count = kept;
        while (timed->running_count < timed->options.slots && timed->waiting.first != NULL) {
                struct sample *sample = pop(&timed->waiting);
                timed->waiting_count--;
                if (sample->state == SAMPLE_OVER) {
                        drop(timed, sample);
                        continue;
                }
                sample->state = SAMPLE_RUNNING;
                sample->begin_ns = timed->now_ns;
                open_span(timed, sample, 0);
                if (timed->shared && !is_prefilled(timed, sample))
                        timed->step_ns += (uint64_t)(timed->options.step.prompt_ns *
                                                     sample->prompt_count);
                timed->running[timed->running_count++] = sample;
        }
}

/* A step lasts until the first sample ends, at most a quantum. */
static void set_step(struct timed *timed)
{
        uint64_t quantum = timed->options.quantum_ns;
        if (timed->shared) {
                double token = token_ns(timed, timed->running_count);
                uint32_t tokens = (uint32_t)fmin(fmax((double)quantum / token, 1), UINT32_MAX);
                for (uint32_t i = 0; i < timed->running_count; i++)
                        if (timed->running[i]->left < tokens)
                                tokens = timed->running[i]->left;
                timed->step_tokens = tokens;
                timed->step_ns += (uint64_t)(token * tokens);
                return;
        }
        timed->step_ns = quantum;
        for (uint32_t i = 0; i < timed->running_count; i++) {
                const struct sample *sample = timed->running[i];
                uint64_t end = sample->begin_ns + sample->service_ns;
                if (end < timed->now_ns + timed->step_ns)
                        timed->step_ns = end > timed->now_ns ? end - timed->now_ns : 0;
        }
}

static enum scope_err timed_begin_step(
        struct scope_engine *engine, struct scope_engine_job *ret_job)
{
        struct timed *timed = timed_of(engine);
        scope_assert(!timed->stepping);
        if (timed->has_pending)
                swap(timed);
        if (!timed->has_weights)
                return SCOPE_ERR_NOT_FOUND;
        /* a pause is a step of its own: nothing is decoded in it */
        if (timed->pause_ns > 0 || timed->prefill_ns > 0) {
                uint64_t *pause = timed->pause_ns > 0 ? &timed->pause_ns : &timed->prefill_ns;
                *ret_job = (struct scope_engine_job){ .cores = 1,
                        .cost_ns = *pause,
                        .work = pause == &timed->pause_ns ? SCOPE_ENGINE_SWAP
                                                          : SCOPE_ENGINE_PREFILL };
                *pause = 0;
                timed->step_ns = timed->step_tokens = 0;
                timed->stepping = true;
                return SCOPE_OK;
        }
        timed->step_ns = timed->step_tokens = 0;
        fill_slots(timed);
        if (timed->running_count == 0)
                return SCOPE_ERR_AGAIN;
        set_step(timed);
        timed->stepping = true;
        *ret_job = (struct scope_engine_job){ .cores = 1, .cost_ns = timed->step_ns };
        return SCOPE_OK;
}

/* Lets a step's time pass for a sample that runs; true: it has ended. */
static bool advance(const struct timed *timed, struct sample *sample)
{
        sample->left -= timed->step_tokens;
        return timed->shared ? sample->left == 0
                             : sample->begin_ns + sample->service_ns <= timed->now_ns;
}

static void timed_end_step(struct scope_engine *engine, enum scope_err job_err)
{
        struct timed *timed = timed_of(engine);
        uint32_t kept = 0;
        if (!timed->stepping)
                return;
        timed->stepping = false;
        if (job_err != SCOPE_OK)
                return; /* no time passed */
        timed->stats.steps++;
        timed->now_ns += timed->step_ns;
        for (uint32_t i = 0; i < timed->running_count; i++) {
                struct sample *sample = timed->running[i];
                if (sample->state == SAMPLE_OVER) {
                        give_up(timed, sample);
                } else if (advance(timed, sample)) {
                        struct scope_engine_span *last = &sample->spans[sample->span_count - 1];
                        last->count = sample->count - last->begin;
                        if (last->count == 0 && sample->span_count > 1)
                                sample->span_count--;
                        timed->stats.sampled_tokens += sample->count;
                        sample->state = SAMPLE_FINISHED;
                        push(&timed->finished, sample);
                } else {
                        timed->running[kept++] = sample;
                }
        }
        timed->running_count = kept;
}

static bool timed_collect(struct scope_engine *engine, struct scope_engine_result *ret_result)
{
        struct timed *timed = timed_of(engine);
        if (timed->collected != NULL)
                drop(timed, timed->collected);
        timed->collected = NULL;
        for (struct sample *sample = pop(&timed->finished); sample != NULL;
                sample = pop(&timed->finished)) {
                if (sample->state == SAMPLE_OVER) {
                        give_up(timed, sample);
                        continue;
                }
                timed->collected = sample; /* the result points into it */
                *ret_result = (struct scope_engine_result){ .id = sample->id,
                        .tokens = sample->tokens,
                        .logp = sample->logp,
                        .token_count = sample->count,
                        .spans = sample->spans,
                        .span_count = sample->span_count,
                        .service_ns = sample->service_ns,
                        .finish = sample->finish };
                return true;
        }
        return false;
}

static enum scope_err timed_begin_score(struct scope_engine *engine,
        const struct scope_engine_score *items, uint32_t item_count,
        struct scope_engine_job *ret_job)
{
        (void)engine;
        (void)items;
        (void)item_count;
        (void)ret_job;
        return SCOPE_ERR_UNSUPPORTED; /* the PRM's time is drawn by its own station */
}

static struct scope_engine_stats timed_stats(const struct scope_engine *engine)
{
        const struct timed *timed = (const struct timed *)engine;
        struct scope_engine_stats stats = timed->stats;
        stats.slots = timed->options.slots;
        stats.running = timed->running_count;
        stats.waiting = timed->waiting_count;
        return stats;
}

static void free_list(struct sample *first)
{
        while (first != NULL) {
                struct sample *next = first->next;
                free_sample(first);
                first = next;
        }
}

static void timed_destroy(struct scope_engine *engine)
{
        struct timed *timed = timed_of(engine);
        free_list(timed->waiting.first);
        free_list(timed->finished.first);
        free_list(timed->unused);
        free_sample(timed->collected);
        for (uint32_t i = 0; i < timed->running_count; i++)
                free_sample(timed->running[i]);
        free(timed->running);
        free(timed);
}

static const struct scope_engine_class timed_class = {
        .name = "timed",
        .submit = timed_submit,
        .cancel = timed_cancel,
        .publish = timed_publish,
        .begin_step = timed_begin_step,
        .end_step = timed_end_step,
        .collect = timed_collect,
        .begin_score = timed_begin_score,
        .stats = timed_stats,
        .destroy = timed_destroy,
};

enum scope_err scope_engine_timed_create(
        const struct scope_engine_timed_options *options, struct scope_engine **ret_engine)
{
        if (options->slots == 0 || options->respond == NULL || options->quantum_ns == 0 ||
                options->response_max == 0 || options->response_max > SCOPE_RESPONSE_TOKENS_MAX)
                return SCOPE_ERR_ARGUMENT;
        struct timed *timed = calloc(1, sizeof *timed);
        if (timed == NULL)
                return SCOPE_ERR_MEMORY;
        timed->engine.class_ = &timed_class;
        timed->options = *options;
        timed->shared = options->step.least_ns + options->step.base_ns + options->step.each_ns > 0;
        timed->waiting.last = &timed->waiting.first;
        timed->finished.last = &timed->finished.first;
        timed->running = calloc(options->slots, sizeof *timed->running);
        if (timed->running == NULL) {
                timed_destroy(&timed->engine);
                return SCOPE_ERR_MEMORY;
        }
        *ret_engine = &timed->engine;
        return SCOPE_OK;
}
