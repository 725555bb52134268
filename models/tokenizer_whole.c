/* tokenizer_whole.c - which tokens of the vocabulary their own bytes merge to.
 * Why: most pieces of text are such a token and then need no merging. Merging each token's bytes
 * at load would answer it too, in a tenth of a second for a real vocabulary; here that is only the
 * way for the few tokens that the short way cannot judge.
 *
 * Short way. Let `t` be made by one merge only, (a, b), and so on down to bytes, every merge ranked
 * over those that made its halves. Then merging runs through ranks in order, and `t` is whole if
 * `a` and `b` are and no pair across their border comes in between. Those pairs are seen by
 * undoing, last merge first, whatever stands at the border: before the merge of rank r that ended
 * it, a border pair had to rank below r (or equal, right of it, since the leftmost goes first). */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "models/tokenizer_parts.h"

/* How a token is made. */
struct made {
        uint32_t left, right, rank; /* rank SCOPE_TOKEN_NONE: by no merge */
        bool many;                  /* by several */
        bool plain;                 /* all of it down to bytes is as the short way needs it */
        bool whole;
};

struct judge {
        struct scope_tokenizer *tokenizer;
        struct made *made;     /* [size] */
        struct scope_merge *by_rank; /* [merge_count] */
        struct scope_bpe_work work;
};

static uint32_t pair_rank(const struct scope_tokenizer *tokenizer, uint32_t left, uint32_t right)
{
        const struct scope_merge *merge = scope_merge_find(tokenizer, left, right);
        return merge != NULL ? merge->rank : SCOPE_TOKEN_NONE;
}

/* Does no pair across the border of `left` and `right` come before they are complete? */
static bool border_holds(const struct judge *judge, uint32_t left, uint32_t right)
{
        for (;;) {
                const struct made *a = &judge->made[left], *b = &judge->made[right];
                bool left_byte = a->rank == SCOPE_TOKEN_NONE;
                bool right_byte = b->rank == SCOPE_TOKEN_NONE;
                if (left_byte && right_byte)
                        return true;
                if (left_byte || (!right_byte && b->rank >= a->rank)) {
                        right = b->left;
                        if (pair_rank(judge->tokenizer, left, right) <= b->rank)
                                return false;
                } else {
                        left = a->right;
                        if (pair_rank(judge->tokenizer, left, right) < a->rank)
                                return false;
                }
        }
}

static enum scope_err by_merging(struct judge *judge, uint32_t id, bool *ret_whole)
{
        const struct scope_tokenizer *tokenizer = judge->tokenizer;
        const struct scope_token *token = &tokenizer->tokens[id];
        uint32_t ids[2];
        struct scope_id_output output = { ids, 0, 2, false };
        enum scope_err err = scope_bpe_encode(tokenizer, &judge->work,
                (const uint8_t *)tokenizer->text + token->vocab_at, token->vocab_bytes, &output);
        *ret_whole = err == SCOPE_OK && output.count == 1 && ids[0] == id && !output.missing;
        return err == SCOPE_ERR_TOO_BIG ? SCOPE_OK : err;
}

/* ok: how everything is made; needs ranks 0 .. merge_count - 1, one each. */
static bool list_made(struct judge *judge)
{
        const struct scope_tokenizer *tokenizer = judge->tokenizer;
        memset(judge->by_rank, 0xff, (size_t)tokenizer->merge_count * sizeof *judge->by_rank);
        for (uint32_t id = 0; id < tokenizer->size; id++) {
                const struct scope_token *token = &tokenizer->tokens[id];
                judge->made[id] = (struct made){ .rank = SCOPE_TOKEN_NONE,
                        .plain = token->vocab_bytes == 1 && !token->raw,
                        .whole = token->whole };
        }
        for (uint32_t i = 0; tokenizer->merges != NULL && i <= tokenizer->merge_mask; i++) {
                const struct scope_merge *merge = &tokenizer->merges[i];
                if (merge->left == SCOPE_TOKEN_NONE)
                        continue;
                if (merge->rank >= tokenizer->merge_count
                        || judge->by_rank[merge->rank].left != SCOPE_TOKEN_NONE)
                        return false;
                judge->by_rank[merge->rank] = *merge;
        }
        for (uint32_t rank = 0; rank < tokenizer->merge_count; rank++) {
                const struct scope_merge *merge = &judge->by_rank[rank];
                struct made *made = &judge->made[merge->merged];
                made->many |= made->rank != SCOPE_TOKEN_NONE;
                made->left = merge->left;
                made->right = merge->right;
                made->rank = rank;
        }
        return true;
}

/* rank SCOPE_TOKEN_NONE (a byte) is below all. */
static bool ranks_over(const struct made *whole, const struct made *half)
{
        return half->rank == SCOPE_TOKEN_NONE || half->rank < whole->rank;
}

static enum scope_err judge_by_rank(struct judge *judge)
{
        struct scope_tokenizer *tokenizer = judge->tokenizer;
        enum scope_err err = SCOPE_OK;
        for (uint32_t rank = 0; rank < tokenizer->merge_count && err == SCOPE_OK; rank++) {
                const struct scope_merge *merge = &judge->by_rank[rank];
                struct scope_token *token = &tokenizer->tokens[merge->merged];
                struct made *made = &judge->made[merge->merged];
                const struct made *left = &judge->made[merge->left];
                const struct made *right = &judge->made[merge->right];
                made->plain = !made->many && left->plain && right->plain
                        && ranks_over(made, left) && ranks_over(made, right);
                if (made->plain)
                        token->whole = left->whole && right->whole
                                && border_holds(judge, merge->left, merge->right);
                else if (!token->raw)
                        err = by_merging(judge, merge->merged, &token->whole);
                made->whole = token->whole;
        }
        return err;
}

enum scope_err scope_tokenizer_find_whole(struct scope_tokenizer *tokenizer, bool short_way)
{
        struct judge judge = { .tokenizer = tokenizer };
        enum scope_err err = SCOPE_OK;
        judge.made = scope_table_alloc(((size_t)tokenizer->size + 1) * sizeof *judge.made);
        judge.by_rank =
                scope_table_alloc(((size_t)tokenizer->merge_count + 1) * sizeof *judge.by_rank);
        if (judge.made == NULL || judge.by_rank == NULL)
                err = SCOPE_ERR_MEMORY;
        for (int i = 0; i < 256; i++)
                if (tokenizer->byte_ids[i] != SCOPE_TOKEN_NONE)
                        tokenizer->tokens[tokenizer->byte_ids[i]].whole = true;
        if (err == SCOPE_OK && short_way && list_made(&judge))
                err = judge_by_rank(&judge);
        else
                for (uint32_t id = 0; id < tokenizer->size && err == SCOPE_OK; id++) {
                        struct scope_token *token = &tokenizer->tokens[id];
                        if (token->vocab_bytes > 1 && !token->raw)
                                err = by_merging(&judge, id, &token->whole);
                }
        free(judge.made);
        free(judge.by_rank);
        scope_bpe_work_fini(&judge.work);
        return err;
}
