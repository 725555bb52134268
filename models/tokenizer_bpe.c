/* tokenizer_bpe.c - one piece of text to ids. Short pieces are merged in small arrays, long ones
 * with a heap, so that a run of a million letters costs n log n and not n squared. Both give the
 * same ids (tests/models/test_tokenizer_bpe.c). */
#include <stdlib.h>

#include "base/check.h"
#include "models/tokenizer_parts.h"

#define NO_SYMBOL UINT32_MAX
enum { SHORT_BYTES_MAX = 40 };

/* A doubly linked list over an array, so that a merge moves nothing. */
struct scope_symbol {
        uint32_t id, previous, next;
};

const struct scope_merge *scope_merge_find(
        const struct scope_tokenizer *tokenizer, uint32_t left, uint32_t right)
{
        uint32_t at = scope_merge_place(left, right, tokenizer->merge_mask);
        for (uint32_t probe = 0; probe <= tokenizer->merge_probes; probe++) {
                const struct scope_merge *merge = &tokenizer->merges[at];
                if (merge->left == left && merge->right == right)
                        return merge;
                if (merge->left == SCOPE_TOKEN_NONE)
                        return NULL;
                at = (at + 1) & tokenizer->merge_mask;
        }
        return NULL;
}

/* --- short pieces --------------------------------------------------------------------------- */

struct short_piece {
        uint32_t id[SHORT_BYTES_MAX], rank[SHORT_BYTES_MAX], merged[SHORT_BYTES_MAX];
        uint32_t count;
};

/* What symbol `at` and the next one become; rank SCOPE_TOKEN_NONE: they stay apart. */
static void short_pair(
        const struct scope_tokenizer *tokenizer, struct short_piece *piece, uint32_t at)
{
        const struct scope_merge *merge = at + 1 < piece->count
                ? scope_merge_find(tokenizer, piece->id[at], piece->id[at + 1])
                : NULL;
        piece->rank[at] = merge != NULL ? merge->rank : SCOPE_TOKEN_NONE;
        piece->merged[at] = merge != NULL ? merge->merged : SCOPE_TOKEN_NONE;
}

static void short_merge(const struct scope_tokenizer *tokenizer, struct short_piece *piece)
{
        for (uint32_t i = 0; i < piece->count; i++)
                short_pair(tokenizer, piece, i);
        for (;;) {
                uint32_t best = 0;
                for (uint32_t i = 1; i < piece->count; i++)
                        if (piece->rank[i] < piece->rank[best])
                                best = i;
                if (piece->rank[best] == SCOPE_TOKEN_NONE)
                        return;
                piece->id[best] = piece->merged[best];
                piece->count--;
                for (uint32_t i = best + 1; i < piece->count; i++) {
                        piece->id[i] = piece->id[i + 1];
                        piece->rank[i] = piece->rank[i + 1];
                        piece->merged[i] = piece->merged[i + 1];
                }
                short_pair(tokenizer, piece, best);
                if (best > 0)
                        short_pair(tokenizer, piece, best - 1);
        }
}

static enum scope_err encode_short(const struct scope_tokenizer *tokenizer, const uint8_t *at,
        uint32_t bytes, struct scope_id_output *output)
{
        struct short_piece piece;
        enum scope_err err = SCOPE_OK;
        piece.count = 0;
        for (uint32_t i = 0; i < bytes; i++)
                if (tokenizer->byte_ids[at[i]] != SCOPE_TOKEN_NONE)
                        piece.id[piece.count++] = tokenizer->byte_ids[at[i]];
        output->missing |= piece.count < bytes;
        if (piece.count > 1 && tokenizer->merges != NULL)
                short_merge(tokenizer, &piece);
        for (uint32_t i = 0; i < piece.count && err == SCOPE_OK; i++)
                err = scope_id_put(output, piece.id[i]);
        return err;
}

/* --- long pieces ---------------------------------------------------------------------------- */

/* Candidates are rank << 32 | place: the order of merging. Stale ones stay until they surface. */
struct merger {
        const struct scope_tokenizer *tokenizer;
        struct scope_symbol *symbols;
        uint64_t *heap;
        size_t heap_count;
};

static void heap_push(struct merger *merger, uint64_t item)
{
        size_t at = merger->heap_count++;
        while (at > 0 && item < merger->heap[(at - 1) / 2]) {
                merger->heap[at] = merger->heap[(at - 1) / 2];
                at = (at - 1) / 2;
        }
        merger->heap[at] = item;
}

static uint64_t heap_pop(struct merger *merger)
{
        uint64_t top = merger->heap[0], last = merger->heap[--merger->heap_count];
        size_t at = 0, count = merger->heap_count;
        for (;;) {
                size_t child = 2 * at + 1;
                if (child >= count)
                        break;
                if (child + 1 < count && merger->heap[child + 1] < merger->heap[child])
                        child++;
                if (merger->heap[child] >= last)
                        break;
                merger->heap[at] = merger->heap[child];
                at = child;
        }
        merger->heap[at] = last;
        return top;
}

/* The pair of symbol `at` and its next becomes a candidate when it can merge. */
static void consider(struct merger *merger, uint32_t at)
{
        if (at == NO_SYMBOL || merger->symbols[at].next == NO_SYMBOL)
                return;
        const struct scope_merge *merge = scope_merge_find(merger->tokenizer,
                merger->symbols[at].id, merger->symbols[merger->symbols[at].next].id);
        if (merge != NULL)
                heap_push(merger, (uint64_t)merge->rank << 32 | at);
}

static void merge_all(struct merger *merger, uint32_t count)
{
        for (uint32_t i = 0; i + 1 < count; i++)
                consider(merger, i);
        while (merger->heap_count > 0) {
                uint64_t top = heap_pop(merger);
                uint32_t at = (uint32_t)top;
                struct scope_symbol *left = &merger->symbols[at];
                if (left->id == SCOPE_TOKEN_NONE || left->next == NO_SYMBOL)
                        continue;
                struct scope_symbol *right = &merger->symbols[left->next];
                const struct scope_merge *merge =
                        scope_merge_find(merger->tokenizer, left->id, right->id);
                if (merge == NULL || merge->rank != (uint32_t)(top >> 32))
                        continue;
                left->id = merge->merged;
                right->id = SCOPE_TOKEN_NONE;
                left->next = right->next;
                if (left->next != NO_SYMBOL)
                        merger->symbols[left->next].previous = at;
                consider(merger, left->previous);
                consider(merger, at);
        }
}

/* A piece of n bytes has n - 1 pairs, and each of at most n - 1 merges adds two. */
static enum scope_err reserve(struct scope_bpe_work *work, size_t bytes)
{
        if (bytes <= work->capacity)
                return SCOPE_OK;
        scope_bpe_work_fini(work);
        work->symbols = malloc(bytes * sizeof *work->symbols);
        work->heap = malloc(3 * bytes * sizeof *work->heap);
        if (work->symbols == NULL || work->heap == NULL) {
                scope_bpe_work_fini(work);
                return SCOPE_ERR_MEMORY;
        }
        work->capacity = bytes;
        return SCOPE_OK;
}

static enum scope_err encode_long(const struct scope_tokenizer *tokenizer,
        struct scope_bpe_work *work, const uint8_t *at, uint32_t bytes,
        struct scope_id_output *output)
{
        enum scope_err err = reserve(work, bytes);
        if (err != SCOPE_OK)
                return err;
        struct merger merger = { tokenizer, work->symbols, work->heap, 0 };
        uint32_t count = 0;
        for (uint32_t i = 0; i < bytes; i++)
                if (tokenizer->byte_ids[at[i]] != SCOPE_TOKEN_NONE) {
                        merger.symbols[count] = (struct scope_symbol){ tokenizer->byte_ids[at[i]],
                                count == 0 ? NO_SYMBOL : count - 1, count + 1 };
                        count++;
                }
        output->missing |= count < bytes;
        if (count == 0)
                return SCOPE_OK;
        merger.symbols[count - 1].next = NO_SYMBOL;
        if (tokenizer->merges != NULL)
                merge_all(&merger, count);
        for (uint32_t i = 0; err == SCOPE_OK && i != NO_SYMBOL; i = merger.symbols[i].next)
                err = scope_id_put(output, merger.symbols[i].id);
        return err;
}

/* --- either --------------------------------------------------------------------------------- */

enum scope_err scope_bpe_encode(const struct scope_tokenizer *tokenizer,
        struct scope_bpe_work *work, const uint8_t *at, size_t bytes,
        struct scope_id_output *output)
{
        scope_assert(bytes < UINT32_MAX);
        return bytes > SHORT_BYTES_MAX
                ? encode_long(tokenizer, work, at, (uint32_t)bytes, output)
                : encode_short(tokenizer, at, (uint32_t)bytes, output);
}

void scope_bpe_work_fini(struct scope_bpe_work *work)
{
        free(work->symbols);
        free(work->heap);
        *work = (struct scope_bpe_work){ 0 };
}
