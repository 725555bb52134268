/* engine_native_job.c - what a rank does in one step: fill contexts, then decode its samples, token
 * by token; or pack its share of new weights; or score its share of texts. */
#include "models/engine_native.h"

#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/rng.h"
#include "runtime/trace_work.h"
#include "schemas/records.h"

static void flush(struct scope_native *native, unsigned rank)
{
        struct scope_native_worker *worker = &native->workers[rank];
        if (worker->row_count > 0)
                scope_decoder_forward(native->decoder, &native->cache, rank, worker->rows,
                        worker->row_count);
        worker->row_count = 0;
}

static void add_row(struct scope_native *native, unsigned rank, struct scope_decoder_row row)
{
        struct scope_native_worker *worker = &native->workers[rank];
        worker->rows[worker->row_count++] = row;
        if (worker->row_count == SCOPE_DECODER_ROWS)
                flush(native, rank);
}

static void fill_prompt(
        struct scope_native *native, unsigned rank, const struct scope_native_prompt_kv *kv)
{
        const struct scope_native_prompt *prompt = &native->prompts[kv->prompt];
        for (uint32_t i = 0; i + 1 < prompt->count; i++)
                add_row(native, rank, (struct scope_decoder_row){ prompt->tokens[i], i,
                        { .own = kv->run.blocks, .own_count = i + 1 } });
        native->workers[rank].prompt_tokens += prompt->count - 1;
}

/* The row that feeds own token `index` of a slot: its prompt's last, then what was sampled. */
static struct scope_decoder_row slot_row(
        const struct scope_native *native, const struct scope_native_slot *slot, uint32_t index)
{
        const struct scope_native_prompt_kv *kv = &native->kvs[slot->kv];
        const struct scope_native_prompt *prompt = &native->prompts[kv->prompt];
        return (struct scope_decoder_row){
                .token = index == 0 ? prompt->tokens[prompt->count - 1] : slot->tokens[index - 1],
                .position = prompt->count - 1 + index,
                .kv = { .shared = kv->run.blocks, .shared_count = prompt->count - 1,
                        .own = slot->run.blocks, .own_count = index + 1 },
        };
}

static bool is_eos(const struct scope_native *native, uint32_t token)
{
        const struct scope_model_config *config = &native->layout->config;
        for (uint32_t i = 0; i < config->eos_count; i++)
                if (config->eos[i] == token)
                        return true;
        return false;
}

/* Returns false when the slot cannot take a token of this version. */
static bool open_span(const struct scope_native *native, struct scope_native_slot *slot)
{
        if (slot->span_count > 0 &&
                slot->spans[slot->span_count - 1].version == native->weights.version)
                return true;
        if (slot->span_count == SCOPE_SPANS_MAX) {
                slot->done = true;
                slot->finish = SCOPE_FINISH_LENGTH;
                return false;
        }
        slot->spans[slot->span_count++] =
                (struct scope_engine_span){ slot->count, 0, native->weights.version };
        return true;
}

static bool is_stopped(const struct scope_native *native, const struct scope_native_slot *slot)
{
        const struct scope_native_request *request = &native->requests[slot->request];
        return request->stop != NULL &&
               request->stop(request->stop_context, slot->tokens, slot->count);
}

static void append(const struct scope_native *native, struct scope_native_slot *slot,
        const struct scope_decoder_draw *draw)
{
        slot->tokens[slot->count] = draw->token;
        slot->logp[slot->count++] = draw->logp;
        slot->spans[slot->span_count - 1].count++;
        if (is_eos(native, draw->token) || is_stopped(native, slot))
                slot->finish = SCOPE_FINISH_STOP;
        else if (slot->count == native->requests[slot->request].response_max)
                slot->finish = SCOPE_FINISH_LENGTH;
        else
                return;
        slot->done = true;
}

/* One token for each of slots[0, count), count <= SCOPE_DECODER_ROWS. */
static enum scope_err decode_rows(struct scope_native *native, unsigned rank,
        struct scope_native_slot **slots, uint32_t count)
{
        struct scope_native_worker *worker = &native->workers[rank];
        for (uint32_t i = 0; i < count; i++) {
                const struct scope_native_request *request = &native->requests[slots[i]->request];
                worker->rows[i] = slot_row(native, slots[i], slots[i]->count);
                worker->draws[i] = (struct scope_decoder_draw){ .temperature = request->temperature,
                        .top_p = request->top_p,
                        .uniform = scope_rng_at(request->seed, slots[i]->count) };
        }
        scope_decoder_forward(native->decoder, &native->cache, rank, worker->rows, count);
        enum scope_err err = scope_decoder_sample(native->decoder, rank, worker->draws, count);
        if (err != SCOPE_OK)
                return err;
        for (uint32_t i = 0; i < count; i++)
                append(native, slots[i], &worker->draws[i]);
        worker->sampled_tokens += count;
        return SCOPE_OK;
}

/* What must be in the cache before this rank's samples go on. */
static void fill_contexts(struct scope_native *native, unsigned rank, unsigned planned)
{
        const char *before = scope_work_is("prefill");
        for (uint32_t i = 0; i < 2 * native->slot_count; i++) {
                const struct scope_native_prompt_kv *kv = &native->kvs[i];
                if (kv->prompt != SCOPE_NATIVE_NONE && kv->fill && kv->rank == planned)
                        fill_prompt(native, rank, kv);
        }
        for (uint32_t i = 0; i < native->slot_count; i++) {
                const struct scope_native_slot *slot = &native->slots[i];
                if (!scope_native_is_running(native, slot) || !slot->recompute ||
                        slot->rank != planned)
                        continue;
                for (uint32_t index = 0; index < slot->count; index++)
                        add_row(native, rank, slot_row(native, slot, index));
        }
        flush(native, rank);
        (void)scope_work_is(before);
}

static enum scope_err decode_share(struct scope_native *native, unsigned rank, unsigned planned)
{
        struct scope_native_worker *worker = &native->workers[rank];
        uint32_t active = 0;
        fill_contexts(native, rank, planned);
        for (uint32_t i = 0; i < native->slot_count; i++) {
                struct scope_native_slot *slot = &native->slots[i];
                if (scope_native_is_running(native, slot) && slot->rank == planned &&
                        open_span(native, slot))
                        worker->active[active++] = slot;
        }
        for (uint32_t token = 0; token < native->step_tokens && active > 0; token++) {
                uint32_t kept = 0;
                for (uint32_t first = 0, count; first < active; first += count) {
                        count = active - first < SCOPE_DECODER_ROWS ? active - first
                                                                    : SCOPE_DECODER_ROWS;
                        enum scope_err err =
                                decode_rows(native, rank, worker->active + first, count);
                        if (err != SCOPE_OK)
                                return err;
                }
                for (uint32_t i = 0; i < active; i++)
                        if (!worker->active[i]->done)
                                worker->active[kept++] = worker->active[i];
                active = kept;
        }
        return SCOPE_OK;
}

/* --- scoring ----------------------------------------------------------------------------- */

/* What both begin with. */
static uint32_t score_common(
        const struct scope_engine_score *item, const struct scope_engine_score *leader)
{
        uint32_t common = 0;
        while (leader != NULL && common < item->token_count && common < leader->token_count &&
                item->tokens[common] == leader->tokens[common])
                common++;
        return common;
}

/* Whole blocks, so that a row's sums are in the order they have alone. Row i of a language head is
 * about token i + 1, so the last common row is computed again. */
static uint32_t score_shared(const struct scope_native *native, uint32_t common)
{
        bool again = native->layout->config.head == SCOPE_HEAD_LANGUAGE && common > 0;
        return (common - again) / SCOPE_KV_BLOCK * SCOPE_KV_BLOCK;
}

static void score_flush(struct scope_native *native, unsigned rank)
{
        struct scope_native_worker *worker = &native->workers[rank];
        uint32_t count = worker->row_count;
        float values[SCOPE_DECODER_ROWS];
        if (count == 0)
                return;
        scope_decoder_forward(native->decoder, &native->cache, rank, worker->rows, count);
        if (native->layout->config.head == SCOPE_HEAD_LANGUAGE)
                scope_decoder_logp(native->decoder, rank, worker->targets, count, values);
        else
                scope_decoder_reward(native->decoder, rank, count, values);
        for (uint32_t i = 0; i < count; i++)
                if (worker->values[i] != NULL)
                        *worker->values[i] = values[i];
        worker->row_count = 0;
}

/* The rows of `item` from `shared` on; its own positions go to the run's blocks from `block` on. */
static void score_rows(struct scope_native *native, unsigned rank,
        const struct scope_engine_score *item, uint32_t shared, uint32_t block)
{
        struct scope_native_worker *worker = &native->workers[rank];
        bool language = native->layout->config.head == SCOPE_HEAD_LANGUAGE;
        const uint32_t *blocks = worker->score_run.blocks;
        if (language && shared == 0 && item->token_count > 0)
                item->ret_values[0] = 0;
        for (uint32_t i = shared; i < item->token_count; i++) {
                bool last = i + 1 == item->token_count; /* predicts nothing */
                uint32_t at = worker->row_count++;
                worker->rows[at] = (struct scope_decoder_row){ item->tokens[i], i,
                        { .shared = blocks, .shared_count = shared, .own = blocks + block,
                                .own_count = i - shared + 1 } };
                worker->targets[at] = language && !last ? item->tokens[i + 1] : 0;
                worker->values[at] = !language ? &item->ret_values[i]
                                   : last ? NULL : &item->ret_values[i + 1];
                if (worker->row_count == SCOPE_DECODER_ROWS)
                        score_flush(native, rank);
        }
        worker->prompt_tokens += item->token_count - shared;
}

/* Computes what waits; then values that items up to `end` share with their leader are known. */
static void score_settle(struct scope_native *native, unsigned rank, uint32_t leader, uint32_t end)
{
        score_flush(native, rank);
        for (uint32_t i = leader + 1; i < end; i++) {
                const struct scope_engine_score *item = &native->score[i];
                uint32_t common = score_common(item, &native->score[leader]);
                memcpy(item->ret_values, native->score[leader].ret_values,
                        common * sizeof *item->ret_values);
        }
}

/* Items [first, end): as many as fit this rank's run stand in it together, so that short ones fill
 * a forward. The leader is the first of them; the others keep only what they do not share with it.
 * The next leader takes the place of the last, but for what they share. */
static void score_items(struct scope_native *native, unsigned rank, uint32_t first, uint32_t end)
{
        const struct scope_engine_score *items = native->score;
        uint32_t blocks = native->workers[rank].score_run.block_count, leader = first, used = 0;
        for (uint32_t i = first; i < end; i++) {
                uint32_t common = i > first ? score_common(&items[i], &items[leader]) : 0;
                uint32_t shared = score_shared(native, common);
                uint32_t own = scope_kv_blocks(items[i].token_count - shared);
                if (i == first || own > blocks - used) {
                        score_settle(native, rank, leader, i + 1);
                        score_rows(native, rank, &items[i], shared, shared / SCOPE_KV_BLOCK);
                        leader = i;
                        used = scope_kv_blocks(items[i].token_count);
                } else {
                        score_rows(native, rank, &items[i], shared, used);
                        used += own;
                }
        }
        if (first < end)
                score_settle(native, rank, leader, end);
}

/* Items are split where the tokens before them pass rank / size of all tokens. */
static void score_share(struct scope_native *native, unsigned rank, unsigned size)
{
        uint64_t total = 0, before = 0;
        uint32_t first = native->score_count, end = 0;
        for (uint32_t i = 0; i < native->score_count; i++)
                total += native->score[i].token_count;
        for (uint32_t i = 0; i < native->score_count; i++) {
                if (before * size >= total * rank && before * size < total * (rank + 1)) {
                        first = i < first ? i : first;
                        end = i + 1;
                }
                before += native->score[i].token_count;
        }
        score_items(native, rank, first, end);
}

static enum scope_err compute_share(struct scope_native *native, unsigned rank, unsigned size)
{
        enum scope_err err = SCOPE_OK;
        if (native->step == SCOPE_NATIVE_STEP_SCORE)
                score_share(native, rank, size);
        for (unsigned planned = rank; planned < native->cores && err == SCOPE_OK
                && native->step == SCOPE_NATIVE_STEP_DECODE;
                planned += size)
                err = decode_share(native, rank, planned);
        return err;
}

/* Rank 0 does as if it were alone, and whatever it computes the others compute with it. */
static enum scope_err compute_as_team(struct scope_native *native, unsigned rank, unsigned size)
{
        if (rank != 0 && size == native->cores)
                scope_decoder_follow(native->decoder, rank);
        if (rank != 0)
                return SCOPE_OK;
        scope_decoder_lead(native->decoder, size == native->cores ? size : 1);
        enum scope_err err = compute_share(native, 0, 1);
        scope_decoder_release(native->decoder);
        return err;
}

/* The pool may come with fewer workers than were planned for (the simulator comes with one). */
enum scope_err scope_native_run(void *arg, unsigned rank, unsigned size)
{
        struct scope_native *native = arg;
        scope_assert(size >= 1 && size <= native->cores && rank < size);
        if (native->step == SCOPE_NATIVE_STEP_PACK) {
                (void)scope_work_is("pack weights");
                scope_decoder_pack(
                        native->decoder, scope_buffer_data(native->packing.buffer), rank, size);
        } else if (scope_decoder_is_team(native->decoder))
                return compute_as_team(native, rank, size);
        else
                return compute_share(native, rank, size);
        return SCOPE_OK;
}
