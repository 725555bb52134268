/* stages.h - what the stations share: options, resources, addresses.
 * Why: every actor gets one pointer to this and nothing else; it is written before the system
 * starts and read-only afterwards. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "actors/options.h"
#include "algorithm/strategy.h"
#include "models/config.h"
#include "runtime/actor.h"
#include "schemas/codec.h"

struct scope_comm;
struct scope_dataset;
struct scope_engine;
struct scope_layout;
struct scope_length_window;
struct scope_prompt_format;
struct scope_rollout_view;
struct scope_text;
struct scope_tokenizer;
struct scope_trainer;

enum { SCOPE_ROLLOUTS_MAX = 512 };

/* Of compute jobs, on cores that stations share: what others wait for goes first (the teacher's
 * latency begins when decoding and scores are there); what it produces is bounded by credit. */
enum scope_priority { SCOPE_PRIORITY_PRODUCE = 1, SCOPE_PRIORITY_TRAIN = 2 };

/* What the learner has done; survives its restarts. Written by the learner. */
struct scope_progress {
        uint64_t step; /* = the version of the weights */
};

/* What goes into a checkpoint beside weights and optimiser: all as of the end of `step`. */
struct scope_checkpoint_state {
        uint64_t step, problem_cursor, group_cursor;
        const uint8_t *window; /* scope_length_window_save */
        size_t window_bytes;
};

/* What stage_cost is asked for; the key, so that every strategy meets the same draws. */
enum scope_stage_cost {
        SCOPE_COST_PRM,    /* scores of one group, on one server; key = group */
        SCOPE_COST_LEARN,  /* forward, backward and update of one batch; key = version before */
        SCOPE_COST_EXPORT, /* until new weights can be had; key = version */
        SCOPE_COST_TRANSFER, /* of weights to one host; the learner's link serves one at a time */
};

/* Things built by the program or the simulation and lent to the actors; they outlive the system and
 * every incarnation of an actor. */
struct scope_resources {
        const struct scope_tokenizer *tokenizer;
        const struct scope_prompt_format *prompt_format; /* NULL = plain */
        const struct scope_layout *layout;
        const struct scope_dataset *train, *eval;
        struct scope_engine *rollout[SCOPE_ROLLOUTS_MAX];
        uint32_t rollout_count;
        /* of [[placement]]; zeroed = any */
        struct scope_workers rollout_workers[SCOPE_ROLLOUTS_MAX], learner_workers, prm_workers;
        struct scope_engine *evaluator; /* NULL = no evaluation */
        struct scope_engine *prm;       /* of the likelihood and native back ends */
        /* of the native back end: its tokenizer (NULL: it reads the policy's tokens), what it ends
         * in, and the tokens its engine takes */
        const struct scope_tokenizer *prm_tokenizer;
        enum scope_head prm_head;
        uint32_t prm_context;
        /* NULL, or SCOPE_COST_LEARN is timed: steps only cost time */
        struct scope_trainer *trainer;
        /* cost of a microbatch where trainer is NULL, and a hint elsewhere */
        uint64_t sim_microbatch_ns;
        /* Stages that are played: how long this one takes, whatever it does. `timed` says which
         * do: 1 << enum scope_stage_cost; the others take as long as they take. */
        uint64_t (*stage_cost)(
                void *played, enum scope_stage_cost stage, uint64_t key, uint64_t tokens);
        uint32_t timed, counted; /* counted: those whose cost depends on `tokens` */
        /* Replayed: the problem of a group, and the scores of a sample's steps [step_count], false
         * where none were recorded. NULL = as ever. */
        uint64_t (*problem_of)(void *played, uint64_t group);
        bool (*scores_of)(void *played, uint64_t group, uint32_t sample, uint32_t step_count,
                float *ret_p);
        void *played; /* context of these three */
        const char *teacher_key, *prm_key; /* the secrets themselves; NULL = none */
        uint64_t first_step;     /* of a resumed run */
        uint64_t first_problem;  /* data cursor */
        uint64_t first_group;
        uint64_t stream_bytes;          /* of rollouts/stream.jsonl of a resumed run, else 0 */
        uint64_t (*peak_rss)(void);     /* of the process, bytes; NULL = not known */
        /* What the program adds to the metrics of a step, names in static text; NULL = nothing. */
        uint32_t (*step_metrics)(void *context, struct scope_metric *ret_metrics, uint32_t max);
        void *step_metrics_context;
        struct scope_engine *reference; /* frozen policy, where loss.kl_beta > 0 */
        struct scope_progress *progress;
        /* of the selection statistics; groups pushes, same loop */
        struct scope_length_window *window;
        /* Writes a checkpoint, in an I/O job with no training job running. NULL = none. */
        enum scope_err (*checkpoint)(void *context, const struct scope_checkpoint_state *state);
        void *checkpoint_context;
};

static inline bool scope_stage_is_counted(
        const struct scope_resources *resources, enum scope_stage_cost stage)
{
        return (resources->counted >> stage & 1) != 0;
}

static inline bool scope_stage_is_timed(
        const struct scope_resources *resources, enum scope_stage_cost stage)
{
        return (resources->timed >> stage & 1) != 0;
}

/* The audit trail: what happened to which group when. The simulator's invariants, the event log
 * of a run and the tables of `bench overlap` are made of it and of nothing else. Called inside the
 * turn. since_ns: begin of what ends here (0 = an instant). service: service_ns = now - since, less
 * what was waited for cores. Fields not listed are 0. */
enum scope_audit_kind {
        SCOPE_AUDIT_ADMITTED, /* group, value = its batch where they train in order */
        SCOPE_AUDIT_LEASED,   /* group, sample, value = lease token */
        SCOPE_AUDIT_ACCEPTED, /* group, sample, value = lease token */
        SCOPE_AUDIT_TRAINED,  /* group, sample, version = oldest, value = the learner's version */
        SCOPE_AUDIT_ENDED,    /* group, value = outcome, version = detail of the ledger */
        SCOPE_AUDIT_WEIGHTS,  /* value = rollout, version = applied */
        SCOPE_AUDIT_STATS,    /* group, value = number of samples the statistics used */
        SCOPE_AUDIT_TEACHER,  /* group took a credit there; value = credits that are taken now */
        SCOPE_AUDIT_REFINED,  /* group, value = verdict */
        SCOPE_AUDIT_DECIDED,  /* group, value = path, version = credits at the teacher taken now */
        SCOPE_AUDIT_SAMPLED,  /* group, sample, value = tokens, version = worker; since = submitted,
                               * service_ns = slot to EOS where the engine knows */
        SCOPE_AUDIT_SEALED,   /* group, value = samples; since = admitted */
        SCOPE_AUDIT_SCORED,   /* group; since = its scores were begun; service */
        SCOPE_AUDIT_CALLED,   /* group, value = enum scope_call_end; since = a call was sent */
        SCOPE_AUDIT_QUEUED,   /* group, version = oldest, value = held now */
        SCOPE_AUDIT_CLAIMED,  /* group, version = the learner's, value = held now */
        /* version: the new one, value = tokens trained; since = it began; service */
        SCOPE_AUDIT_STEPPED,
        /* version; since = stepped: weights can be had. service_ns = CPU time of jobs and loops so
         * far, where whoever listens puts it in */
        SCOPE_AUDIT_EXPORTED,
        SCOPE_AUDIT_SPAN, /* of a sample about to be TRAINED: value = its tokens of `version` */
        SCOPE_AUDIT_CUT,      /* value = tokens of samples that were given up, version = worker */
        /* a step of an engine that computes: value = tokens sampled, version = prompt tokens (both
         * 0: it took weights), sample = how many ran; service */
        SCOPE_AUDIT_DECODED,
        SCOPE_AUDIT_KINDS
};
struct scope_audit {
        enum scope_audit_kind kind;
        uint64_t group, version, value;
        uint32_t sample;
        uint64_t now_ns, since_ns, service_ns; /* now_ns: filled in by scope_stages_audit */
};

/* One rollout as a person reads it. */
struct scope_rollout_view {
        struct scope_string problem, gold, student, suffix; /* suffix empty: not repaired */
        const uint32_t *step_ends;                          /* of student */
        const float *step_p;                                /* NULL: not scored */
        uint32_t step_count, kept_steps;
        uint64_t group;
        bool correct;
};

/* What a person is shown. Called by the recorder on its loop; pointers live as long as the call. */
struct scope_display {
        void (*step)(
                void *context, uint64_t step, const struct scope_metric *metrics, uint32_t count);
        /* A repaired (else any) group of this step, with the PRM's scores of what it was. */
        void (*rollout)(void *context, uint64_t step, const struct scope_rollout_view *view);
        void (*finished)(void *context);
};

struct scope_stages {
        const struct scope_pipeline_options *options;
        const struct scope_strategy *strategy;
        struct scope_admission_options admission; /* of the options, under the strategy's rules */
        struct scope_resources resources;
        struct scope_codec_limits limits;
        struct scope_address prompts, rollout[SCOPE_ROLLOUTS_MAX], reward, groups, prm, selector,
                refiner, queue, learner, weights, evaluator, recorder;
        void (*audit)(void *context, const struct scope_audit *event);
        void *audit_context;
        /* Lines for a person: called by the recorder with each finished step and chosen
         * rollouts. */
        const struct scope_display *display;
        void *display_context;
        /* JSON lines of the runtime's own notices, for events.jsonl: written on loop 0 between
         * turns, emptied by the recorder. NULL = none. */
        struct scope_text *notices;
};

static inline void scope_stages_audit(
        const struct scope_actor *self, const struct scope_stages *stages, struct scope_audit event)
{
        event.now_ns = scope_now_ns(self);
        if (stages->audit != NULL)
                stages->audit(stages->audit_context, &event);
}
