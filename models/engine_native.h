/* engine_native.h - what the two halves of the native engine share: engine_native.c decides who
 * runs, with what and where; engine_native_job.c computes it. Nobody else includes this. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "models/engine.h"
#include "models/kv_cache.h"
#include "models/transformer_decode.h"

#define SCOPE_NATIVE_NONE UINT32_MAX /* no request, no prompt, no context */

enum scope_native_state {
        SCOPE_NATIVE_FREE,
        SCOPE_NATIVE_WAITING,
        SCOPE_NATIVE_RUNNING,
        SCOPE_NATIVE_FINISHED,
        SCOPE_NATIVE_COLLECTED
};

struct scope_native_prompt {
        uint64_t share;
        uint32_t *tokens;
        uint32_t count, refs; /* refs: live requests; 0 = a free entry */
        uint32_t kv;          /* of the current version, or SCOPE_NATIVE_NONE */
};

/* Keys and values of a prompt's first count - 1 tokens under one version. */
struct scope_native_prompt_kv {
        struct scope_kv_run run;
        uint64_t version;
        uint32_t prompt, refs; /* refs: slots; 0 = a free entry */
        unsigned rank;
        bool fill;             /* to be computed in this step */
};

struct scope_native_request {
        uint64_t id, seed;
        uint32_t prompt, response_max, next; /* next: of those that wait */
        float temperature, top_p;
        bool (*stop)(void *context, const uint32_t *tokens, uint32_t count);
        void *stop_context;
        uint8_t state;
};

struct scope_native_slot {
        uint32_t request, kv; /* SCOPE_NATIVE_NONE = free */
        struct scope_kv_run run;
        uint32_t *tokens;
        float *logp;
        uint32_t count; /* sampled; run holds as many positions, the last prompt token first */
        struct scope_engine_span spans[SCOPE_SPANS_MAX];
        uint32_t span_count;
        unsigned rank;
        bool recompute, done, cancelled;
        uint8_t finish;
};

/* Rows waiting to be computed together, and what one rank counted. */
struct scope_native_worker {
        struct scope_decoder_row rows[SCOPE_DECODER_ROWS];
        uint32_t row_count, targets[SCOPE_DECODER_ROWS]; /* of rows that are scored */
        float *values[SCOPE_DECODER_ROWS];               /* NULL: not wanted */
        struct scope_decoder_draw draws[SCOPE_DECODER_ROWS];
        struct scope_native_slot **active; /* [slots] */
        struct scope_kv_run score_run;
        uint64_t prompt_tokens, sampled_tokens, load;
};

enum scope_native_step {
        SCOPE_NATIVE_STEP_NONE,
        SCOPE_NATIVE_STEP_PACK,
        SCOPE_NATIVE_STEP_DECODE,
        SCOPE_NATIVE_STEP_SCORE
};

struct scope_native {
        struct scope_engine engine;
        const struct scope_layout *layout;
        struct scope_decoder *decoder;
        struct scope_kv_cache cache;
        struct scope_native_prompt *prompts;     /* [request_count] */
        /* [2 * slot_count]: old ones are given up after new ones are named. */
        struct scope_native_prompt_kv *kvs;
        struct scope_native_request *requests;   /* [request_count] */
        struct scope_native_slot *slots;
        struct scope_native_worker *workers;     /* [cores] */
        uint32_t *token_memory, *block_memory;
        float *logp_memory;
        struct scope_native_slot **active_memory;
        uint32_t slot_count, request_count, context_max, waiting_first, waiting_last, waiting_count;
        unsigned cores;
        /* weights: in use; pending: published; packing: on its way from one to the other. */
        struct scope_native_published {
                struct scope_buffer *buffer;
                uint64_t version;
                bool recompute;
        } weights, pending, packing;
        enum scope_native_step step;
        uint32_t step_tokens, score_count;
        const struct scope_engine_score *score;
        struct scope_engine_stats stats;
};

static inline bool scope_native_is_running(
        const struct scope_native *native, const struct scope_native_slot *slot)
{
        return slot->request != SCOPE_NATIVE_NONE &&
               native->requests[slot->request].state == SCOPE_NATIVE_RUNNING;
}

/* The job of every step: what native->step says, this rank's share. */
enum scope_err scope_native_run(void *arg, unsigned rank, unsigned size);
