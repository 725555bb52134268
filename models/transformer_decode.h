/* transformer_decode.h - the transformer over single positions of many sequences, with packed
 * weights.
 * Why: decoding, prefill and scoring are one thing: rows that each append to a sequence and look
 * back.
 * (1) A row's results depend on its token, position, sequence and the weights: not on other rows or
 * ranks.
 * (2) Where the weights fit a core's cache, ranks share them, which they only read, and nothing
 * else: no barrier within a step. Else they are a team: rank 0 leads, the others follow, all have
 * the same rows and each computes a part of every stage: memory is read once for all.
 *
 *   rank 0:  lead -> { forward, sample, logp, reward }* -> release        others:  follow */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "kernels/gemm_packed.h"
#include "models/config.h"
#include "models/kv_cache.h"

enum { SCOPE_DECODER_ROWS = 64 }; /* of one forward */

struct scope_decoder;

/* One position. Its keys and values go to place kv.own_count - 1 of its own blocks, and it sees
 * everything up to there. Rows of one sequence may stand in one forward, in order. */
struct scope_decoder_row {
        uint32_t token, position;
        struct scope_attention_decode_row kv;
};
struct scope_decoder_draw {
        float temperature, top_p, uniform;
        uint32_t token; /* out */
        float logp;     /* out */
};

struct scope_decoder_options {
        const struct scope_layout *layout; /* borrowed for the decoder's life */
        uint32_t context_max, tokens_used; /* ids from tokens_used on are padding */
        unsigned ranks;
        enum scope_form weights;        /* what matrices are rounded to */
};

/* owns  gives; allocates everything here     errors  SCOPE_ERR_MEMORY, SCOPE_ERR_UNSUPPORTED:
 *       SCOPE_CPU names no table that runs here    thread  setup */
enum scope_err scope_decoder_create(
        const struct scope_decoder_options *options, struct scope_decoder **ret_decoder);
void scope_decoder_destroy(struct scope_decoder *decoder); /* accepts NULL */

/* Packs this rank's share of the matrices. Every rank of `size` must have done so, and nobody may
 * be in a forward, before _use makes `weights` current: norms, biases and embeddings are read from
 * there. */
void scope_decoder_pack(struct scope_decoder *decoder, const float *weights, unsigned rank,
        unsigned size);
void scope_decoder_use(struct scope_decoder *decoder, const float *weights);

/* Whether the ranks are a team. Then rank 0 alone calls the four below, between lead and release,
 * while every other rank is in follow; or it leads a team of one.
 * thread  any; follow and lead: each on its own */
bool scope_decoder_is_team(const struct scope_decoder *decoder);
void scope_decoder_lead(struct scope_decoder *decoder, unsigned size);
void scope_decoder_follow(struct scope_decoder *decoder, unsigned rank);
void scope_decoder_release(struct scope_decoder *decoder);

/* Computes `count` <= SCOPE_DECODER_ROWS rows; the three below read what it left for this rank. */
void scope_decoder_forward(struct scope_decoder *decoder, const struct scope_kv_cache *cache,
        unsigned rank, const struct scope_decoder_row *rows, uint32_t count);

/* One draw a row.   errors  SCOPE_ERR_INTERNAL: logits are not finite */
enum scope_err scope_decoder_sample(struct scope_decoder *decoder, unsigned rank,
        struct scope_decoder_draw *draws, uint32_t count);

/* Log-probability of targets[i] after row i. */
void scope_decoder_logp(struct scope_decoder *decoder, unsigned rank, const uint32_t *targets,
        uint32_t count, float *ret_logp);

/* Probability of class 1 at each row; needs a reward head. */
void scope_decoder_reward(struct scope_decoder *decoder, unsigned rank, uint32_t count,
        float *ret_probability);
