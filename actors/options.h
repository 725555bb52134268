/* options.h - every knob of a run, one struct a table of the configuration file.
 * Why: stations read these; cli/ fills them from the rows in options.c. Knobs of pure functions
 * stand beside them in algorithm/. Units are in the rows' help texts. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "algorithm/arms.h"
#include "base/error.h"
#include "base/option.h"

struct scope_run_options {
        char name[64], dir[256];
        int64_t seed, steps;
};

struct scope_data_options {
        char train[512], eval[512];
        char prompt_key[128], answer_key[128], solution_key[128];
        char prompt_format[512], system[1024], instruction[1024];
        char template_variables[1024], template_date[16];
        bool blank_line_hint;
};

struct scope_model_options {
        char path[512];
};

struct scope_rollout_options {
        int64_t prompts_per_step, group_size, max_prompt, max_response, slots, attempts, min_group;
        double temperature, top_p;
        int64_t lease_timeout, straggler;
        int dtype; /* enum scope_form */
};

enum scope_prm_backend {
        SCOPE_PRM_ARITHMETIC,
        SCOPE_PRM_LIKELIHOOD,
        SCOPE_PRM_NATIVE,
        SCOPE_PRM_HTTP,
        SCOPE_PRM_OFF
};
struct scope_prm_options {
        int backend;
        char path[512];
        char url[512], model[128], api_key_env[64]; /* of the HTTP back end */
        double tau;
        int64_t timeout, max_len;
        int64_t concurrency, max_retries, circuit_failures, circuit_reset, response_max;
};

enum scope_on_down { SCOPE_DOWN_DEGRADE, SCOPE_DOWN_WAIT, SCOPE_DOWN_STOP };
enum scope_teacher_style { SCOPE_STYLE_INSTRUCT, SCOPE_STYLE_PREFIX, SCOPE_STYLE_CONTINUE };
struct scope_teacher_options {
        char url[512], model[128], api_key_env[64];
        int style, on_down;
        bool stream, leak_filter;
        int64_t concurrency, calls_max, max_retries, next_on_reject;
        double rate, temperature, retry_temperature;
        int64_t deadline, connect_timeout, idle_timeout, backoff, retry_after_max;
        int64_t circuit_failures, circuit_reset, response_max;
};

enum scope_update { SCOPE_UPDATE_IN_FLIGHT, SCOPE_UPDATE_DRAIN };
enum scope_kv { SCOPE_KV_KEEP, SCOPE_KV_RECOMPUTE };
struct scope_pipeline_table {
        char strategy[32];
        int update, kv;
        int64_t queue_groups, teacher_groups;
        bool drop_all_equal;
        struct scope_admission_options admission;
};

struct scope_learner_options {
        double lr, beta1, beta2, eps, weight_decay, grad_clip;
        int64_t warmup, minibatch_prompts, passes, microbatch_tokens, ranks;
        int recompute; /* enum scope_recompute */
};

struct scope_checkpoint_options {
        int64_t every, keep;
};

struct scope_eval_options {
        int64_t every, problems, samples;
        double temperature, top_p;
};

struct scope_metrics_options {
        bool rollouts;      /* rollouts/stream.jsonl and its index */
        bool tokens;        /* and what a learner needs of them, into rollouts/replies.jsonl */
        bool trail;         /* trail_STEP.jsonl: cli/trail_file.h */
        int64_t show_every; /* a rollout on the terminal every so many steps; 0 = never */
};

/* Not an actor's: what `scope-runtime warmup` makes, and a run makes first. */
struct scope_warmup_options {
        char path[512];     /* of the warmed policy */
        char prm_path[512]; /* of the likelihood PRM, "" = none */
        double target, lr, prm_lr, beta2;
        int64_t batch, warmup, steps_max, test_every, test_from, test_problems, test_samples,
                prm_steps;
};

/* Our own teacher, started where teacher.url = "builtin". */
struct scope_solver_options {
        char latency[128], faults[256];
};

/* Who does a stage's work: itself; nobody, it takes drawn times (sim); nobody, it takes the times
 * and says the words of a recorded run (replay). */
enum scope_play { SCOPE_PLAY_NATIVE, SCOPE_PLAY_SIM, SCOPE_PLAY_REPLAY };
struct scope_stages_options {
        int rollout, prm, teacher, learner; /* enum scope_play */
        char replay[512];
};

/* Laws of simulated stages (tasks/latency_law.h); the teacher's is solver.latency. */
struct scope_sim_stage_options {
        char decode[128], length[128], prm[128], learn[128], publish[128], transfer[128];
        double prefill_rate, refined;
        int64_t swap, rollouts_per_host;
};

/* What `plan` reckons with; 0 = estimated from the device. Nothing else reads it. */
struct scope_plan_options {
        char shape[192], prm_shape[192];
        double prompt_tokens, response_tokens, longest, decode_rate, prm_rate, learn_rate, refined;
        double teacher_tokens_in, teacher_tokens_out, price_in, price_out;
        double bandwidth, compute, use_bandwidth, use_compute;
        int64_t teacher_latency, publish, swap, device_memory;
};

struct scope_placement {
        char role[32], device[32], as[16];
        int64_t count;
};
enum { SCOPE_PLACEMENTS_MAX = 64 };

struct scope_pipeline_options {
        struct scope_run_options run;
        struct scope_data_options data;
        struct scope_model_options model;
        struct scope_rollout_options rollout;
        struct scope_prm_options prm;
        struct scope_scope_options scope;
        struct scope_teacher_options teacher;
        struct scope_pipeline_table pipeline;
        struct scope_loss_options loss;
        struct scope_grade_options grade;
        struct scope_learner_options learner;
        struct scope_checkpoint_options checkpoint;
        struct scope_eval_options eval;
        struct scope_metrics_options metrics;
        struct scope_warmup_options warmup;
        struct scope_solver_options solver;
        struct scope_stages_options stages;
        struct scope_sim_stage_options sim;
        struct scope_plan_options plan;
        struct scope_placement placement[SCOPE_PLACEMENTS_MAX];
        uint32_t placement_count;
};

/* The tables of the configuration file in their order; ends with a NULL section. One section may
 * have several rows here: their keys share the table. */
struct scope_option_section {
        const char *section;
        const struct scope_option *rows;
        size_t offset; /* of the struct inside scope_pipeline_options */
        const char *help;
};
extern const struct scope_option_section scope_option_sections[];

/* What rows cannot say: arithmetic between values, strategies that refuse a value. One call reports
 * one error; *ret_key names the key it is about.    errors  SCOPE_ERR_ARGUMENT, words in diag
 * thread  any */
enum scope_err scope_pipeline_options_check(const struct scope_pipeline_options *options,
        const char **ret_key, struct scope_diag *diag);
