/* engine_sim.c - an engine without a model: what a sample says is a pure function, when it comes is
 * a count of steps. A sample of n tokens runs for n steps, at most `slots` run at once, in order of
 * submission. */
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "models/engine.h"
#include "schemas/records.h"

enum { LIVE_MAX = 4096 };

enum sample_state { SAMPLE_LIVE, SAMPLE_FINISHED, SAMPLE_COLLECTED, SAMPLE_CANCELLED };

struct sample {
        uint64_t id;
        uint32_t *tokens;
        float *logp;
        uint32_t count, shown; /* of them decoded by now */
        struct scope_engine_span spans[SCOPE_SPANS_MAX];
        uint32_t span_count;
        uint8_t state, finish;
};

struct sim {
        struct scope_engine engine;
        struct scope_engine_sim_options options;
        struct sample *samples;                   /* [LIVE_MAX] */
        uint32_t queue[LIVE_MAX], queue_count;    /* in order of submission */
        uint32_t step_count;                      /* of the queue that are in this step */
        uint32_t unused[LIVE_MAX], unused_count;  /* a stack */
        uint32_t *tokens;
        float *logp;
        bool stepping, has_weights, has_pending;
        uint64_t pending_version;
        struct scope_engine_stats stats;
};

static struct sim *sim_of(struct scope_engine *engine)
{
        return (struct sim *)engine; /* its first member */
}

static enum scope_err sim_submit(struct scope_engine *engine,
        const struct scope_engine_request *request)
{
        struct sim *sim = sim_of(engine);
        if (request->prompt_count == 0 || request->response_max == 0
                || request->response_max > sim->options.response_max)
                return SCOPE_ERR_SHAPE;
        for (uint32_t i = 0; i < sim->queue_count; i++)
                if (sim->samples[sim->queue[i]].id == request->id
                        && sim->samples[sim->queue[i]].state <= SAMPLE_FINISHED)
                        return SCOPE_ERR_EXISTS;
        if (sim->unused_count == 0)
                return SCOPE_ERR_AGAIN;
        uint32_t at = sim->unused[--sim->unused_count];
        struct sample *sample = &sim->samples[at];
        sim->queue[sim->queue_count++] = at;
        sample->id = request->id;
        sample->shown = sample->span_count = 0;
        sample->state = SAMPLE_LIVE;
        sim->options.respond(sim->options.context, request, sample->tokens, sample->logp,
                &sample->count, &sample->finish);
        scope_assert(sample->count >= 1 && sample->count <= request->response_max);
        return SCOPE_OK;
}

static void sim_cancel(struct scope_engine *engine, uint64_t id)
{
        struct sim *sim = sim_of(engine);
        for (uint32_t i = 0; i < sim->queue_count; i++) {
                struct sample *sample = &sim->samples[sim->queue[i]];
                if (sample->id == id && sample->state <= SAMPLE_FINISHED)
                        sample->state = SAMPLE_CANCELLED;
        }
}

static enum scope_err sim_publish(struct scope_engine *engine, struct scope_buffer *weights,
        uint64_t version, bool recompute_kv)
{
        struct sim *sim = sim_of(engine);
        (void)weights; /* their content plays no part here */
        (void)recompute_kv;
        sim->has_pending = true;
        sim->pending_version = version;
        return SCOPE_OK;
}

/* Drops those that are over from the queue; returns how many live. */
static uint32_t tidy(struct sim *sim)
{
        uint32_t kept = 0, live = 0;
        for (uint32_t i = 0; i < sim->queue_count; i++) {
                uint32_t at = sim->queue[i];
                if (sim->samples[at].state == SAMPLE_CANCELLED)
                        sim->stats.cancelled_tokens += sim->samples[at].shown;
                if (sim->samples[at].state <= SAMPLE_FINISHED)
                        sim->queue[kept++] = at;
                else
                        sim->unused[sim->unused_count++] = at;
                live += sim->samples[at].state == SAMPLE_LIVE;
        }
        sim->queue_count = kept;
        return live;
}

static enum scope_err run(void *arg, unsigned rank, unsigned size)
{
        (void)arg; /* time passes, nothing is computed */
        (void)rank;
        (void)size;
        return SCOPE_OK;
}

static enum scope_err sim_begin_step(struct scope_engine *engine, struct scope_engine_job *ret_job)
{
        struct sim *sim = sim_of(engine);
        scope_assert(!sim->stepping);
        uint32_t live = tidy(sim);
        if (sim->has_pending) {
                sim->stats.version = sim->pending_version;
                sim->has_pending = false;
                sim->has_weights = true;
        }
        if (!sim->has_weights)
                return SCOPE_ERR_NOT_FOUND;
        if (live == 0)
                return SCOPE_ERR_AGAIN;
        sim->stepping = true;
        sim->step_count = sim->queue_count; /* what comes later has its first token later */
        *ret_job = (struct scope_engine_job){ .run = run, .arg = sim, .cores = sim->options.cores,
                .cost_ns = sim->options.step_cost_ns };
        return SCOPE_OK;
}

/* One more token of a sample that has a slot; the last one ends it. */
static void advance(struct sim *sim, struct sample *sample)
{
        struct scope_engine_span *last = NULL;
        if (sample->span_count > 0)
                last = &sample->spans[sample->span_count - 1];
        if (last == NULL || last->version != sim->stats.version) {
                if (sample->span_count == SCOPE_SPANS_MAX) {
                        sample->count = sample->shown; /* as the native engine does */
                        sample->finish = SCOPE_FINISH_LENGTH;
                        sample->state = SAMPLE_FINISHED;
                        return;
                }
                last = &sample->spans[sample->span_count++];
                *last = (struct scope_engine_span){ sample->shown, 0, sim->stats.version };
        }
        last->count++;
        sim->stats.sampled_tokens++;
        if (++sample->shown == sample->count)
                sample->state = SAMPLE_FINISHED;
}

static void sim_end_step(struct scope_engine *engine, enum scope_err job_err)
{
        struct sim *sim = sim_of(engine);
        uint32_t running = 0;
        if (!sim->stepping)
                return;
        sim->stepping = false;
        sim->stats.steps++;
        if (job_err != SCOPE_OK)
                return; /* nothing was decoded; the next step does it */
        for (uint32_t i = 0; i < sim->step_count && running < sim->options.slots; i++) {
                struct sample *sample = &sim->samples[sim->queue[i]];
                if (sample->state != SAMPLE_LIVE)
                        continue;
                running++;
                advance(sim, sample);
        }
}

static bool sim_collect(struct scope_engine *engine, struct scope_engine_result *ret_result)
{
        struct sim *sim = sim_of(engine);
        struct sample *first = NULL;
        for (uint32_t i = 0; i < sim->queue_count && first == NULL; i++)
                if (sim->samples[sim->queue[i]].state == SAMPLE_FINISHED)
                        first = &sim->samples[sim->queue[i]];
        if (first == NULL)
                return false;
        first->state = SAMPLE_COLLECTED;
        *ret_result = (struct scope_engine_result){ .id = first->id, .tokens = first->tokens,
                .logp = first->logp, .token_count = first->count, .spans = first->spans,
                .span_count = first->span_count, .finish = first->finish };
        return true;
}

static enum scope_err sim_begin_score(struct scope_engine *engine,
        const struct scope_engine_score *items, uint32_t item_count,
        struct scope_engine_job *ret_job)
{
        (void)engine;
        (void)items;
        (void)item_count;
        (void)ret_job;
        return SCOPE_ERR_UNSUPPORTED; /* a simulated PRM answers without an engine */
}

static struct scope_engine_stats sim_stats(const struct scope_engine *engine)
{
        const struct sim *sim = (const struct sim *)engine;
        struct scope_engine_stats stats = sim->stats;
        uint32_t live = 0;
        for (uint32_t i = 0; i < sim->queue_count; i++)
                live += sim->samples[sim->queue[i]].state == SAMPLE_LIVE;
        stats.slots = sim->options.slots;
        stats.running = live < stats.slots ? live : stats.slots;
        stats.waiting = live - stats.running;
        return stats;
}

static void sim_destroy(struct scope_engine *engine)
{
        struct sim *sim = sim_of(engine);
        free(sim->samples);
        free(sim->tokens);
        free(sim->logp);
        free(sim);
}

static const struct scope_engine_class sim_class = {
        .name = "sim", .submit = sim_submit, .cancel = sim_cancel, .publish = sim_publish,
        .begin_step = sim_begin_step, .end_step = sim_end_step, .collect = sim_collect,
        .begin_score = sim_begin_score, .stats = sim_stats, .destroy = sim_destroy,
};

enum scope_err scope_engine_sim_create(const struct scope_engine_sim_options *options,
        struct scope_engine **ret_engine)
{
        if (options->slots == 0 || options->cores == 0 || options->respond == NULL
                || options->response_max == 0 || options->response_max > SCOPE_RESPONSE_TOKENS_MAX)
                return SCOPE_ERR_ARGUMENT;
        struct sim *sim = calloc(1, sizeof *sim);
        if (sim == NULL)
                return SCOPE_ERR_MEMORY;
        size_t floats = (size_t)LIVE_MAX * options->response_max;
        sim->engine.class_ = &sim_class;
        sim->options = *options;
        sim->samples = calloc(LIVE_MAX, sizeof *sim->samples);
        sim->tokens = calloc(floats, sizeof *sim->tokens);
        sim->logp = calloc(floats, sizeof *sim->logp);
        if (sim->samples == NULL || sim->tokens == NULL || sim->logp == NULL) {
                sim_destroy(&sim->engine);
                return SCOPE_ERR_MEMORY;
        }
        while (sim->unused_count < LIVE_MAX) {
                uint32_t i = LIVE_MAX - 1 - sim->unused_count;
                sim->unused[sim->unused_count++] = i;
                sim->samples[i].tokens = sim->tokens + (size_t)i * options->response_max;
                sim->samples[i].logp = sim->logp + (size_t)i * options->response_max;
        }
        *ret_engine = &sim->engine;
        return SCOPE_OK;
}
