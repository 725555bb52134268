/* engine_native.c - continuous batching on the CPU.
 * A request waits until a slot is free, runs there until it ends, and stays until its result was
 * collected and the next step begins:
 *
 *   FREE -submit-> WAITING -admit-> RUNNING -decode-> FINISHED -collect-> COLLECTED -begin-> FREE
 *
 * The keys and values of a prompt but for its last token are computed once for the samples that
 * share it. Each sample begins by feeding that last token into its own blocks: no case of its own
 * for the first token.
 * (1) Between begin_step and end_step only a job touches slots, and each rank only those that plan
 * gave it.
 * (2) Samples whose prompt is computed in this step are on the rank that computes it: no barrier.
 * Of a team (models/transformer_decode.h) all are on rank 0, which the others help.
 * (3) The block pool holds the longest sequence of every slot, so taking a block never fails. */
#include "models/engine_native.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "schemas/records.h"

/* FLOP_NS: a careful guess of one core's speed; what it decides shows in no result. */
enum { STEP_TOKENS_MAX = 8, STEP_NS_AIM = 8000000, FLOP_NS = 30, WAITING_MAX = 4096,
        PROMPT_BYTES_MAX = 64 << 20, SLOTS_MAX = 1 << 16 };

static struct scope_native *native_of(struct scope_engine *engine)
{
        return (struct scope_native *)engine; /* its first member */
}

/* --- submit and cancel ------------------------------------------------------------------- */

static enum scope_err check_request(const struct scope_native *native,
        const struct scope_engine_request *request)
{
        uint32_t vocab = native->layout->config.vocab;
        if (native->layout->config.head != SCOPE_HEAD_LANGUAGE)
                return SCOPE_ERR_UNSUPPORTED;
        if (request->prompt_count == 0 || request->response_max == 0
                || request->prompt_count > native->context_max
                || request->response_max > native->context_max - request->prompt_count)
                return SCOPE_ERR_SHAPE;
        for (uint32_t i = 0; i < request->prompt_count; i++)
                if (request->prompt[i] >= vocab)
                        return SCOPE_ERR_SHAPE;
        if (!(request->temperature >= 0) || !isfinite(request->temperature)
                || !(request->top_p > 0) || !(request->top_p <= 1))
                return SCOPE_ERR_ARGUMENT;
        for (uint32_t i = 0; i < native->request_count; i++) {
                uint8_t state = native->requests[i].state;
                if (state != SCOPE_NATIVE_FREE && state != SCOPE_NATIVE_COLLECTED &&
                        native->requests[i].id == request->id)
                        return SCOPE_ERR_EXISTS;
        }
        return SCOPE_OK;
}

/* The entry of this share and prompt, made when there is none. There are as many entries as
 * requests. */
static uint32_t prompt_keep(struct scope_native *native, const struct scope_engine_request *request)
{
        size_t bytes = request->prompt_count * sizeof *request->prompt;
        uint32_t unused = SCOPE_NATIVE_NONE;
        for (uint32_t i = 0; i < native->request_count; i++) {
                struct scope_native_prompt *prompt = &native->prompts[i];
                if (prompt->refs == 0) {
                        unused = unused == SCOPE_NATIVE_NONE ? i : unused;
                } else if (prompt->share == request->share && prompt->count == request->prompt_count
                        && memcmp(prompt->tokens, request->prompt, bytes) == 0) {
                        prompt->refs++;
                        return i;
                }
        }
        scope_assert(unused != SCOPE_NATIVE_NONE);
        struct scope_native_prompt *prompt = &native->prompts[unused];
        prompt->share = request->share;
        prompt->count = request->prompt_count;
        prompt->refs = 1;
        prompt->kv = SCOPE_NATIVE_NONE;
        memcpy(prompt->tokens, request->prompt, bytes);
        return unused;
}

static enum scope_err native_submit(struct scope_engine *engine,
        const struct scope_engine_request *request)
{
        struct scope_native *native = native_of(engine);
        enum scope_err err = check_request(native, request);
        uint32_t at = 0;
        if (err != SCOPE_OK)
                return err;
        while (at < native->request_count && native->requests[at].state != SCOPE_NATIVE_FREE)
                at++;
        if (at == native->request_count)
                return SCOPE_ERR_AGAIN;
        native->requests[at] = (struct scope_native_request){ .id = request->id,
                .seed = request->seed,
                .prompt = prompt_keep(native, request),
                .response_max = request->response_max,
                .next = SCOPE_NATIVE_NONE,
                .temperature = request->temperature,
                .top_p = request->top_p,
                .stop = request->stop,
                .stop_context = request->stop_context,
                .state = SCOPE_NATIVE_WAITING };
        if (native->waiting_count++ == 0)
                native->waiting_first = at;
        else
                native->requests[native->waiting_last].next = at;
        native->waiting_last = at;
        return SCOPE_OK;
}

static void request_free(struct scope_native *native, uint32_t at)
{
        struct scope_native_request *request = &native->requests[at];
        scope_assert(
                request->state != SCOPE_NATIVE_FREE && native->prompts[request->prompt].refs > 0);
        native->prompts[request->prompt].refs--;
        request->state = SCOPE_NATIVE_FREE;
}

static uint32_t waiting_pop(struct scope_native *native)
{
        uint32_t at = native->waiting_first;
        native->waiting_first = native->requests[at].next;
        native->waiting_count--;
        return at;
}

static void waiting_remove(struct scope_native *native, uint32_t at)
{
        uint32_t previous = SCOPE_NATIVE_NONE, here = native->waiting_first;
        while (here != at) {
                previous = here;
                here = native->requests[here].next;
        }
        if (previous == SCOPE_NATIVE_NONE)
                native->waiting_first = native->requests[at].next;
        else
                native->requests[previous].next = native->requests[at].next;
        if (native->waiting_last == at)
                native->waiting_last = previous;
        native->waiting_count--;
        request_free(native, at);
}

static void native_cancel(struct scope_engine *engine, uint64_t id)
{
        struct scope_native *native = native_of(engine);
        for (uint32_t i = 0; i < native->request_count; i++)
                if (native->requests[i].state == SCOPE_NATIVE_WAITING &&
                        native->requests[i].id == id) {
                        waiting_remove(native, i);
                        return;
                }
        for (uint32_t i = 0; i < native->slot_count; i++) {
                struct scope_native_slot *slot = &native->slots[i];
                if (slot->request != SCOPE_NATIVE_NONE && native->requests[slot->request].id == id)
                        slot->cancelled = true; /* a job may be running: begin_step frees it */
        }
}

static enum scope_err native_publish(struct scope_engine *engine, struct scope_buffer *weights,
        uint64_t version, bool recompute_kv)
{
        struct scope_native *native = native_of(engine);
        if (scope_buffer_bytes(weights) != native->layout->float_count * sizeof(float))
                return SCOPE_ERR_SHAPE;
        /* A version that was never used is skipped, but not its wish for new contexts. */
        recompute_kv =
                recompute_kv || (native->pending.buffer != NULL && native->pending.recompute);
        scope_buffer_drop(native->pending.buffer);
        native->pending = (struct scope_native_published){ scope_buffer_keep(weights), version,
                recompute_kv };
        return SCOPE_OK;
}

/* --- begin_step: who runs, with what, where ---------------------------------------------- */

/* Slots whose result was taken or is not wanted any more become free. */
static void slots_free(struct scope_native *native)
{
        for (uint32_t i = 0; i < native->slot_count; i++) {
                struct scope_native_slot *slot = &native->slots[i];
                if (slot->request == SCOPE_NATIVE_NONE || !(slot->cancelled
                                || native->requests[slot->request].state == SCOPE_NATIVE_COLLECTED))
                        continue;
                if (native->requests[slot->request].state != SCOPE_NATIVE_COLLECTED)
                        native->stats.cancelled_tokens += slot->count;
                scope_kv_run_release(&native->cache, &slot->run);
                if (slot->kv != SCOPE_NATIVE_NONE)
                        native->kvs[slot->kv].refs--;
                request_free(native, slot->request);
                slot->request = slot->kv = SCOPE_NATIVE_NONE;
        }
}

static uint32_t prompt_kv_keep(struct scope_native *native, uint32_t prompt)
{
        uint32_t at = native->prompts[prompt].kv;
        if (at != SCOPE_NATIVE_NONE && native->kvs[at].version == native->weights.version) {
                native->kvs[at].refs++;
                return at;
        }
        /* Those without refs may still be wanted by a request that is admitted later in this
         * turn. */
        for (at = 0; native->kvs[at].refs != 0 || native->kvs[at].prompt != SCOPE_NATIVE_NONE; at++)
                scope_assert(at + 1 < 2 * native->slot_count);
        native->prompts[prompt].kv = at;
        native->kvs[at].version = native->weights.version;
        native->kvs[at].prompt = prompt;
        native->kvs[at].refs = 1;
        native->kvs[at].fill = native->prompts[prompt].count > 1;
        return at;
}

static void admit(struct scope_native *native)
{
        for (uint32_t i = 0; i < native->slot_count && native->waiting_count > 0; i++) {
                struct scope_native_slot *slot = &native->slots[i];
                if (slot->request != SCOPE_NATIVE_NONE)
                        continue;
                slot->request = waiting_pop(native);
                slot->kv = prompt_kv_keep(native, native->requests[slot->request].prompt);
                slot->count = slot->span_count = 0;
                slot->recompute = slot->done = slot->cancelled = false;
                native->requests[slot->request].state = SCOPE_NATIVE_RUNNING;
        }
}

/* After admission, so that a prompt is not given up a moment before its next sample enters. */
static void prompt_kvs_free(struct scope_native *native)
{
        for (uint32_t i = 0; i < 2 * native->slot_count; i++) {
                struct scope_native_prompt_kv *kv = &native->kvs[i];
                if (kv->refs != 0 || kv->prompt == SCOPE_NATIVE_NONE)
                        continue;
                scope_kv_run_release(&native->cache, &kv->run);
                if (native->prompts[kv->prompt].kv == i)
                        native->prompts[kv->prompt].kv = SCOPE_NATIVE_NONE;
                kv->prompt = SCOPE_NATIVE_NONE;
        }
}

static uint32_t tokens_left(const struct scope_native *native, const struct scope_native_slot *slot)
{
        uint32_t left = native->requests[slot->request].response_max - slot->count;
        return left < native->step_tokens ? left : native->step_tokens;
}

static uint64_t row_ns(const struct scope_native *native)
{
        return 2 * native->layout->parameter_count / FLOP_NS + 1;
}

static void choose_step_tokens(struct scope_native *native)
{
        uint32_t running = 0;
        for (uint32_t i = 0; i < native->slot_count; i++)
                running += scope_native_is_running(native, &native->slots[i]);
        uint64_t iteration_ns = running * row_ns(native) / native->cores + 1;
        uint64_t tokens = STEP_NS_AIM / iteration_ns;
        native->step_tokens = tokens < 1 ? 1 : tokens > STEP_TOKENS_MAX ? STEP_TOKENS_MAX
                                                                      : (uint32_t)tokens;
}

/* Ranks with work of their own: of a team only the leader has. */
static unsigned planned_ranks(const struct scope_native *native)
{
        return scope_decoder_is_team(native->decoder) ? 1 : native->cores;
}

static unsigned idlest(const struct scope_native *native)
{
        unsigned best = 0;
        for (unsigned rank = 1; rank < planned_ranks(native); rank++)
                if (native->workers[rank].load < native->workers[best].load)
                        best = rank;
        return best;
}

/* Spreads rows over ranks; a prompt to compute goes first and takes its samples with it (2). */
static void spread(struct scope_native *native)
{
        for (unsigned rank = 0; rank < native->cores; rank++)
                native->workers[rank].load = 0;
        for (uint32_t i = 0; i < 2 * native->slot_count; i++) {
                struct scope_native_prompt_kv *kv = &native->kvs[i];
                if (kv->prompt == SCOPE_NATIVE_NONE || !kv->fill)
                        continue;
                kv->rank = idlest(native);
                uint64_t *load = &native->workers[kv->rank].load;
                *load += native->prompts[kv->prompt].count;
                for (uint32_t s = 0; s < native->slot_count; s++) {
                        struct scope_native_slot *slot = &native->slots[s];
                        if (scope_native_is_running(native, slot) && slot->kv == i)
                                *load += tokens_left(native, slot) +
                                         (slot->recompute ? slot->count : 0);
                }
        }
        for (uint32_t s = 0; s < native->slot_count; s++) {
                struct scope_native_slot *slot = &native->slots[s];
                if (!scope_native_is_running(native, slot))
                        continue;
                slot->rank = native->kvs[slot->kv].rank;
                if (native->kvs[slot->kv].fill)
                        continue;
                slot->rank = idlest(native);
                native->workers[slot->rank].load += tokens_left(native, slot)
                        + (slot->recompute ? slot->count : 0);
        }
}

/* Returns the rows of the busiest rank; 0 = nothing to do. */
static uint64_t plan(struct scope_native *native)
{
        uint64_t busiest = 0, total = 0;
        bool filling = false;
        choose_step_tokens(native);
        spread(native);
        for (unsigned rank = 0; rank < native->cores; rank++) {
                uint64_t load = native->workers[rank].load;
                total += load;
                busiest = load > busiest ? load : busiest;
        }
        for (uint32_t i = 0; i < 2 * native->slot_count; i++)
                if (native->kvs[i].prompt != SCOPE_NATIVE_NONE) {
                        scope_kv_run_reserve(&native->cache, &native->kvs[i].run,
                                native->prompts[native->kvs[i].prompt].count - 1);
                        filling = filling || native->kvs[i].fill;
                }
        if (filling && busiest * planned_ranks(native) > total + total / 4) {
                native->step_tokens = 1; /* one big group can spread once its prompt stands */
                spread(native);
        }
        for (uint32_t i = 0; i < native->slot_count; i++)
                if (scope_native_is_running(native, &native->slots[i]))
                        scope_kv_run_reserve(&native->cache, &native->slots[i].run,
                                native->slots[i].count + tokens_left(native, &native->slots[i]));
        return busiest;
}

static void job_fill(struct scope_native *native, enum scope_native_step step, uint64_t rows,
        struct scope_engine_job *ret_job)
{
        native->step = step;
        *ret_job = (struct scope_engine_job){ .run = scope_native_run, .arg = native,
                .cores = (uint8_t)native->cores, .cost_ns = 20000 + rows * row_ns(native) };
}

/* --- the steps --------------------------------------------------------------------------- */

/* What was packed is in use now. */
static void weights_swap(struct scope_native *native)
{
        uint64_t version = native->packing.version;
        scope_buffer_drop(native->weights.buffer);
        native->weights = native->packing;
        native->packing.buffer = NULL;
        native->stats.version = version;
        scope_decoder_use(native->decoder, scope_buffer_data(native->weights.buffer));
        for (uint32_t i = 0; native->weights.recompute && i < native->slot_count; i++) {
                struct scope_native_slot *slot = &native->slots[i];
                if (!scope_native_is_running(native, slot))
                        continue;
                struct scope_native_prompt_kv *kv = &native->kvs[slot->kv];
                slot->recompute = true;
                kv->fill = native->prompts[kv->prompt].count > 1;
                kv->version = version;
        }
}

/* The job did not run: as if it had never begun, unless newer weights came meanwhile. */
static void weights_keep_pending(struct scope_native *native)
{
        if (native->pending.buffer == NULL) {
                native->pending = native->packing;
        } else {
                native->pending.recompute |= native->packing.recompute;
                scope_buffer_drop(native->packing.buffer);
        }
        native->packing.buffer = NULL;
}

static enum scope_err native_begin_step(
        struct scope_engine *engine, struct scope_engine_job *ret_job)
{
        struct scope_native *native = native_of(engine);
        scope_assert(native->step == SCOPE_NATIVE_STEP_NONE);
        if (native->pending.buffer == NULL && native->weights.buffer == NULL)
                return SCOPE_ERR_NOT_FOUND;
        slots_free(native);
        if (native->pending.buffer != NULL) {
                prompt_kvs_free(native);
                native->packing = native->pending;
                native->pending.buffer = NULL;
                job_fill(native, SCOPE_NATIVE_STEP_PACK, 1, ret_job);
                ret_job->work = SCOPE_ENGINE_SWAP;
                return SCOPE_OK;
        }
        admit(native);
        prompt_kvs_free(native);
        uint64_t rows = plan(native);
        if (rows == 0)
                return SCOPE_ERR_AGAIN;
        job_fill(native, SCOPE_NATIVE_STEP_DECODE, rows, ret_job);
        for (uint32_t i = 0; i < native->slot_count; i++)
                if (native->slots[i].recompute)
                        ret_job->work = SCOPE_ENGINE_PREFILL; /* and decodes one token besides */
        return SCOPE_OK;
}

static void end_decode(struct scope_native *native, enum scope_err job_err)
{
        native->stats.steps++;
        for (unsigned rank = 0; rank < native->cores; rank++) {
                native->stats.prompt_tokens += native->workers[rank].prompt_tokens;
                native->stats.sampled_tokens += native->workers[rank].sampled_tokens;
                native->workers[rank].prompt_tokens = native->workers[rank].sampled_tokens = 0;
        }
        for (uint32_t i = 0; i < 2 * native->slot_count; i++)
                native->kvs[i].fill = false;
        for (uint32_t i = 0; i < native->slot_count; i++) {
                struct scope_native_slot *slot = &native->slots[i];
                if (!scope_native_is_running(native, slot))
                        continue;
                slot->recompute = false;
                if (job_err != SCOPE_OK && !slot->done) {
                        slot->done = true; /* its cache may be half written */
                        slot->finish = SCOPE_FINISH_CANCELLED;
                }
                if (slot->done) {
                        native->requests[slot->request].state = SCOPE_NATIVE_FINISHED;
                        scope_kv_run_release(&native->cache, &slot->run);
                }
        }
}

static void native_end_step(struct scope_engine *engine, enum scope_err job_err)
{
        struct scope_native *native = native_of(engine);
        enum scope_native_step step = native->step;
        native->step = SCOPE_NATIVE_STEP_NONE;
        if (step == SCOPE_NATIVE_STEP_DECODE)
                end_decode(native, job_err);
        if (step == SCOPE_NATIVE_STEP_PACK && job_err == SCOPE_OK)
                weights_swap(native);
        else if (step == SCOPE_NATIVE_STEP_PACK)
                weights_keep_pending(native);
}

static bool native_collect(struct scope_engine *engine, struct scope_engine_result *ret_result)
{
        struct scope_native *native = native_of(engine);
        for (uint32_t i = 0; i < native->slot_count; i++) {
                struct scope_native_slot *slot = &native->slots[i];
                if (slot->request == SCOPE_NATIVE_NONE || slot->cancelled
                        || native->requests[slot->request].state != SCOPE_NATIVE_FINISHED)
                        continue;
                native->requests[slot->request].state = SCOPE_NATIVE_COLLECTED;
                *ret_result =
                        (struct scope_engine_result){ .id = native->requests[slot->request].id,
                                .tokens = slot->tokens,
                                .logp = slot->logp,
                                .token_count = slot->count,
                                .spans = slot->spans,
                                .span_count = slot->span_count,
                                .finish = slot->finish };
                return true;
        }
        return false;
}

static enum scope_err native_begin_score(struct scope_engine *engine,
        const struct scope_engine_score *items, uint32_t item_count,
        struct scope_engine_job *ret_job)
{
        struct scope_native *native = native_of(engine);
        uint64_t rows = 0;
        scope_assert(native->step == SCOPE_NATIVE_STEP_NONE);
        if (native->pending.buffer == NULL && native->weights.buffer == NULL)
                return SCOPE_ERR_NOT_FOUND;
        for (uint32_t i = 0; i < item_count; i++) {
                rows += items[i].token_count;
                if (items[i].token_count > native->context_max)
                        return SCOPE_ERR_SHAPE;
                for (uint32_t t = 0; t < items[i].token_count; t++)
                        if (items[i].tokens[t] >= native->layout->config.vocab)
                                return SCOPE_ERR_SHAPE;
        }
        if (rows == 0)
                return SCOPE_ERR_AGAIN;
        if (native->pending.buffer != NULL) { /* once a version: not worth a job of its own */
                native->packing = native->pending;
                native->pending.buffer = NULL;
                scope_decoder_pack(
                        native->decoder, scope_buffer_data(native->packing.buffer), 0, 1);
                weights_swap(native);
        }
        native->score = items;
        native->score_count = item_count;
        job_fill(native, SCOPE_NATIVE_STEP_SCORE, rows / native->cores + 1, ret_job);
        return SCOPE_OK;
}

static struct scope_engine_stats native_stats(const struct scope_engine *engine)
{
        const struct scope_native *native = (const struct scope_native *)engine;
        struct scope_engine_stats stats = native->stats;
        stats.slots = native->slot_count;
        stats.waiting = native->waiting_count;
        for (uint32_t i = 0; i < native->slot_count; i++)
                stats.running += scope_native_is_running(native, &native->slots[i]);
        return stats;
}

/* --- life -------------------------------------------------------------------------------- */

static void native_destroy(struct scope_engine *engine)
{
        struct scope_native *native = native_of(engine);
        scope_buffer_drop(native->weights.buffer);
        scope_buffer_drop(native->pending.buffer);
        scope_buffer_drop(native->packing.buffer);
        scope_decoder_destroy(native->decoder);
        scope_kv_cache_fini(&native->cache);
        free(native->prompts);
        free(native->kvs);
        free(native->requests);
        free(native->slots);
        free(native->workers);
        free(native->token_memory);
        free(native->logp_memory);
        free(native->block_memory);
        free(native->active_memory);
        free(native);
}

static const struct scope_engine_class native_class = {
        .name = "native", .submit = native_submit, .cancel = native_cancel,
        .publish = native_publish, .begin_step = native_begin_step, .end_step = native_end_step,
        .collect = native_collect, .begin_score = native_begin_score, .stats = native_stats,
        .destroy = native_destroy,
};

/* Memory is not touched here: what a run never reaches costs nothing. */
static bool allocate(struct scope_native *native)
{
        size_t context = native->context_max, slots = native->slot_count;
        size_t lists = 3 * slots + native->cores;
        native->prompts = calloc(native->request_count, sizeof *native->prompts);
        native->requests = calloc(native->request_count, sizeof *native->requests);
        native->kvs = calloc(2 * slots, sizeof *native->kvs);
        native->slots = calloc(slots, sizeof *native->slots);
        native->workers = calloc(native->cores, sizeof *native->workers);
        native->token_memory = calloc((native->request_count + slots) * context,
                sizeof *native->token_memory);
        native->logp_memory = calloc(slots * context, sizeof *native->logp_memory);
        native->block_memory = calloc(lists * scope_kv_blocks(native->context_max),
                sizeof *native->block_memory);
        native->active_memory = calloc(slots * native->cores, sizeof(struct scope_native_slot *));
        return native->prompts != NULL && native->requests != NULL && native->kvs != NULL
                && native->slots != NULL && native->workers != NULL && native->token_memory != NULL
                && native->logp_memory != NULL && native->block_memory != NULL
                && native->active_memory != NULL;
}

static void place(struct scope_native *native)
{
        size_t context = native->context_max, blocks = scope_kv_blocks(native->context_max);
        uint32_t *tokens = native->token_memory, *list = native->block_memory;
        for (uint32_t i = 0; i < native->request_count; i++, tokens += context)
                native->prompts[i].tokens = tokens;
        for (uint32_t i = 0; i < native->slot_count; i++, tokens += context, list += blocks) {
                native->slots[i].request = native->slots[i].kv = SCOPE_NATIVE_NONE;
                native->slots[i].tokens = tokens;
                native->slots[i].logp = native->logp_memory + i * context;
                native->slots[i].run.blocks = list;
        }
        for (uint32_t i = 0; i < 2 * native->slot_count; i++, list += blocks) {
                native->kvs[i].prompt = SCOPE_NATIVE_NONE;
                native->kvs[i].run.blocks = list;
        }
        for (unsigned rank = 0; rank < native->cores; rank++, list += blocks) {
                native->workers[rank].active = native->active_memory + rank * native->slot_count;
                native->workers[rank].score_run.blocks = list;
                scope_kv_run_reserve(&native->cache, &native->workers[rank].score_run,
                        native->context_max);
        }
}

enum scope_err scope_engine_native_create(const struct scope_engine_options *options,
        struct scope_engine **ret_engine)
{
        uint32_t vocab = options->layout->config.vocab, used = options->tokens_used;
        if (used == 0)
                used = options->layout->config.tokens_used;
        if (options->slots == 0 || options->slots > SLOTS_MAX || options->cores == 0
                || options->context_max == 0 || used > vocab
                || options->context_max > SCOPE_PROMPT_TOKENS_MAX + SCOPE_RESPONSE_TOKENS_MAX)
                return SCOPE_ERR_ARGUMENT;
        struct scope_native *native = calloc(1, sizeof *native);
        if (native == NULL)
                return SCOPE_ERR_MEMORY;
        uint32_t waiting = PROMPT_BYTES_MAX / (options->context_max * sizeof(uint32_t));
        native->engine.class_ = &native_class;
        native->layout = options->layout;
        native->slot_count = options->slots;
        native->context_max = options->context_max;
        native->cores = options->cores;
        native->request_count = options->slots + (waiting < WAITING_MAX ? waiting : WAITING_MAX);
        /* A sequence has two partly filled blocks: where its prompt ends and where it ends. */
        enum scope_err err = scope_kv_cache_init(&native->cache, &options->layout->config,
                (scope_kv_blocks(options->context_max) + 1) * options->slots
                        + scope_kv_blocks(options->context_max) * options->cores);
        if (err == SCOPE_OK)
                err = allocate(native) ? SCOPE_OK : SCOPE_ERR_MEMORY;
        if (err == SCOPE_OK)
                err = scope_decoder_create(
                        &(struct scope_decoder_options){ .layout = options->layout,
                                .context_max = options->context_max,
                                .tokens_used = used != 0 ? used : vocab, .ranks = options->cores,
                                .weights = options->weights },
                        &native->decoder);
        if (err != SCOPE_OK) {
                native_destroy(&native->engine);
                return err;
        }
        place(native);
        *ret_engine = &native->engine;
        return SCOPE_OK;
}
