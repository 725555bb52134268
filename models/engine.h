/* engine.h - something that continues prompts: native decoding, a simulation, later a remote
 * server.
 * Why: rollout, evaluator and PRM actors work with any of them and never wait: they submit, run the
 * job the engine hands out on the compute pool, and collect what it finished.
 *
 *   submit* -> [ begin_step -> job runs (on `cores` workers) -> end_step -> collect* ] repeated
 *
 * (1) Between begin_step and end_step only `submit`, `cancel`, `publish` and `stats` may be called;
 * they take effect at the next begin_step. So weights are swapped between two decode steps, never
 * within one.
 * (2) A sample's tokens depend on its prompt, seed, parameters and the weights' versions only: not
 * on what else is in the batch, on slots or on the number of cores. Draw i of a sample is
 * scope_rng_at(seed, i).
 * (3) logp is log-softmax of logits / temperature over the vocabulary (padding rows masked), before
 * top-p, f32.
 * thread  the owner's, but for the job's run, which the owner gives to the pool. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "kernels/gemm_packed.h"
#include "models/config.h"

struct scope_buffer;
struct scope_engine;

struct scope_engine_request {
        uint64_t id;            /* the caller's; unique among live requests */
        uint64_t share;         /* requests of one share and prompt use one prompt KV (the group) */
        const uint32_t *prompt; /* copied */
        uint32_t prompt_count, response_max;
        float temperature, top_p; /* temperature 0 = greedy (logp at temperature 1) */
        uint64_t seed;
        /* Whether the sample ends with its last token, as at an EOS; NULL = never (and simulated
         * engines ask their `respond`). After each token, in order; within the job, on any worker.
         * The context is borrowed until the result was collected. */
        bool (*stop)(void *context, const uint32_t *tokens, uint32_t count);
        void *stop_context;
};

struct scope_engine_span {
        uint32_t begin, count;
        uint64_t version;
};

/* Valid until the next begin_step. */
struct scope_engine_result {
        uint64_t id;
        const uint32_t *tokens;
        const float *logp;
        uint32_t token_count; /* EOS included */
        const struct scope_engine_span *spans;
        uint32_t span_count;
        uint8_t finish;       /* enum scope_finish of schemas/records.h */
        uint64_t service_ns;  /* slot to EOS, alone; 0 = the engine does not know */
};

struct scope_engine_stats {
        uint32_t slots, running, waiting;
        uint64_t prompt_tokens, sampled_tokens, steps;
        uint64_t cancelled_tokens; /* of samples that had been cancelled when a step began */
        uint64_t version;
};

/* Items one after another that begin alike share the work of what they begin with, short ones are
 * computed together; a value is the same, to the bit, in whatever company.
 * Log-probability of given tokens under the current weights, or class probabilities of a PRM
 * head. */
struct scope_engine_score {
        const uint32_t *tokens;
        uint32_t token_count;
        /* [token_count]; language head: logp of token i given those before (first: 0); reward head:
         * probability of class 1 at position i */
        float *ret_values;
};

/* What an engine does for one step: the fields of the actor's compute job. */
enum scope_engine_work {
        SCOPE_ENGINE_DECODE,
        SCOPE_ENGINE_SWAP,   /* takes new weights; nothing is decoded */
        SCOPE_ENGINE_PREFILL /* computes live contexts again under new weights */
};
struct scope_engine_job {
        enum scope_err (*run)(void *arg, unsigned rank, unsigned size);
        void *arg;
        uint8_t cores;
        uint64_t cost_ns; /* virtual time; the sim engine's only effect */
        enum scope_engine_work work;
};

struct scope_engine_class {
        const char *name;
        enum scope_err (*submit)(
                struct scope_engine *engine, const struct scope_engine_request *request);
        void (*cancel)(struct scope_engine *engine, uint64_t id); /* its result never comes */
        /* Swaps to `weights` (f32 parameters in the layout's order; the engine keeps a reference of
         * its own) at the next begin_step. recompute_kv: live contexts are prefilled again with the
         * new weights. */
        enum scope_err (*publish)(struct scope_engine *engine, struct scope_buffer *weights,
                uint64_t version, bool recompute_kv);
        /* errors  SCOPE_ERR_AGAIN: nothing to do; SCOPE_ERR_NOT_FOUND: no weights yet */
        enum scope_err (*begin_step)(struct scope_engine *engine, struct scope_engine_job *ret_job);
        /* Nothing happens when no step is under way: a restarted owner cannot know. */
        void (*end_step)(struct scope_engine *engine, enum scope_err job_err);
        bool (*collect)(struct scope_engine *engine, struct scope_engine_result *ret_result);
        /* As begin_step, for scoring; the arrays are borrowed until the job has run. */
        enum scope_err (*begin_score)(struct scope_engine *engine,
                const struct scope_engine_score *items, uint32_t item_count,
                struct scope_engine_job *ret_job);
        struct scope_engine_stats (*stats)(const struct scope_engine *engine);
        void (*destroy)(struct scope_engine *engine);
};
/* Every engine begins with this. */
struct scope_engine {
        const struct scope_engine_class *class_;
};

struct scope_engine_options {
        const struct scope_layout *layout; /* borrowed for the engine's life */
        uint32_t slots;                    /* sequences decoded together */
        uint32_t context_max;              /* prompt + response tokens */
        uint32_t tokens_used;              /* ids from here on are padding rows; 0 = vocab */
        uint8_t cores;
        enum scope_form weights;        /* what matrices are rounded to; sums stay f32 */
};

/* The CPU engine: continuous batching over `slots`, finished sequences leave at once, prompt KV
 * shared.
 * owns  gives; allocates everything here, nothing per step     thread  setup */
enum scope_err scope_engine_native_create(const struct scope_engine_options *options,
        struct scope_engine **ret_engine);

/* A stand-in for tests and simulations: `respond` writes a sample's tokens and logp at once (a pure
 * function of its arguments), steps only cost time. */
struct scope_engine_sim_options {
        uint32_t slots, response_max, vocab;
        uint8_t cores;
        uint64_t step_cost_ns;
        void (*respond)(void *context, const struct scope_engine_request *request,
                uint32_t *ret_tokens, float *ret_logp, uint32_t *ret_count, uint8_t *ret_finish);
        void *context;
};
enum scope_err scope_engine_sim_create(const struct scope_engine_sim_options *options,
        struct scope_engine **ret_engine);

/* A decode step, one token of each of n running samples: max(least, base + each * n), and for
 * every prompt that nobody running shares, its tokens in front. */
struct scope_engine_step_law {
        double least_ns, base_ns, each_ns, prompt_ns; /* the last: of one prompt token */
};

/* As sim, but in times: engine_timed.c. `respond` returns the sample's service time, or, where a
 * step's time is given, what it says takes as many steps as it has tokens. */
struct scope_engine_timed_options {
        uint32_t slots, waiting_max, response_max;
        uint64_t quantum_ns;  /* longest step; > 0 */
        uint64_t swap_ns;     /* decoding pauses so long for new weights */
        double prefill_rate;  /* tokens/s, where KV is recomputed; 0 = at once */
        struct scope_engine_step_law step; /* zeroed = samples take what `respond` returns */
        uint64_t (*respond)(void *context, const struct scope_engine_request *request,
                uint32_t *ret_tokens, float *ret_logp, uint32_t *ret_count, uint8_t *ret_finish);
        void *context;
};
enum scope_err scope_engine_timed_create(const struct scope_engine_timed_options *options,
        struct scope_engine **ret_engine);

void scope_engine_destroy(struct scope_engine *engine); /* accepts NULL */
