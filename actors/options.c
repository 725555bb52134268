#include "actors/options.h"

#include <stddef.h>
#include <string.h>

#include "actors/pipeline.h"
#include "base/limits.h"

#define RUN scope_run_options
#define ROLL scope_rollout_options
#define PRM scope_prm_options
#define TEACH scope_teacher_options
#define PIPE scope_pipeline_table
#define LEARN scope_learner_options

static const char *const prm_backends[] = { "arithmetic", "likelihood", "native", "http", "off",
        NULL };
static const char *const on_downs[] = { "degrade", "wait", "stop", NULL };
static const char *const styles[] = { "instruct", "prefix", "continue_final_message", NULL };
static const char *const updates[] = { "in_flight", "drain", NULL };
static const char *const dtypes[] = { "f32", "bf16", "int8", NULL }; /* enum scope_form */
static const char *const kvs[] = { "keep", "recompute", NULL };
static const char *const plays[] = { "native", "sim", "replay", NULL }; /* enum scope_play */
static const char *const recomputes[] = { "none", "layer", NULL };

static const struct scope_option run_rows[] = {
        SCOPE_TEXT_OPTION(RUN, name, "\"run\"", "directory of this run below dir"),
        SCOPE_TEXT_OPTION(RUN, dir, "\"runs\"", "where runs are kept"),
        SCOPE_INT_OPTION(RUN, seed, "0", 0, 1e15, "seed of data order, sampling and jitter"),
        SCOPE_INT_OPTION(RUN, steps, "200", 1, 1e9, "learner steps"),
        SCOPE_OPTION_END,
};
#define DATA scope_data_options
static const struct scope_option data_rows[] = {
        SCOPE_TEXT_OPTION(DATA, train, "\"builtin:chain?level=hard\"",
                "builtin:chain?..., a .jsonl or a .parquet file"),
        SCOPE_TEXT_OPTION(DATA, eval, "\"builtin:chain?level=hard&seed=1000003\"",
                "as train; never trained on"),
        SCOPE_TEXT_OPTION(DATA, prompt_key, "\"\"",
                "key of a file that holds the problem, as \"a.b\"; \"\" = found out"),
        SCOPE_TEXT_OPTION(DATA, answer_key, "\"\"", "the same for the bare answer"),
        SCOPE_TEXT_OPTION(DATA, solution_key, "\"\"", "the same for the worked solution"),
        SCOPE_TEXT_OPTION(DATA, prompt_format, "\"auto\"",
                "auto = the model's chat template, where it has one; plain; chatml, qwen2.5, "
                "qwen3, llama3, smollm2, ...; a .jinja file"),
        SCOPE_TEXT_OPTION(DATA, system, "\"You are a helpful assistant.\"",
                "message of a chat template; \"\" = none"),
        SCOPE_TEXT_OPTION(DATA, instruction,
                "\"Solve this step by step, and write the final answer inside \\\\boxed{}.\"",
                "follows the problem in a chat template; messages of a file stay as they are"),
        SCOPE_BOOL_OPTION(DATA, blank_line_hint, "false",
                "adds to the instruction: separate steps with a blank line"),
        SCOPE_TEXT_OPTION(DATA, template_variables, "\"\"",
                "JSON object for the chat template, as {\\\"enable_thinking\\\": false}"),
        SCOPE_TEXT_OPTION(DATA, template_date, "\"2024-07-26\"",
                "today, for chat templates that ask; \"\" = they cannot"),
        SCOPE_OPTION_END,
};
static const struct scope_option model_rows[] = {
        SCOPE_TEXT_OPTION(scope_model_options, path, "\"builtin:tiny\"",
                "a Hugging Face directory, or builtin:tiny (random weights)"),
        SCOPE_OPTION_END,
};
static const struct scope_option rollout_rows[] = {
        SCOPE_INT_OPTION(ROLL, prompts_per_step, "16", 1, 4096, "groups a learner step"),
        SCOPE_INT_OPTION(ROLL, group_size, "8", 2, SCOPE_GROUP_SAMPLES_MAX, "samples a prompt (G)"),
        SCOPE_FLOAT_OPTION(ROLL, temperature, "1.0", 0.01, 10, "of sampling and of training"),
        SCOPE_FLOAT_OPTION(ROLL, top_p, "1.0", 0.01, 1, "nucleus; 1 = off"),
        SCOPE_INT_OPTION(ROLL, max_prompt, "64", 1, SCOPE_PROMPT_TOKENS_MAX,
                "tokens; longer problems are skipped"),
        SCOPE_INT_OPTION(
                ROLL, max_response, "100", 1, SCOPE_RESPONSE_TOKENS_MAX, "tokens, EOS included"),
        SCOPE_INT_OPTION(ROLL, slots, "128", 1, 65536, "sequences one rollout decodes together"),
        SCOPE_ENUM_OPTION(ROLL, dtype, "f32", dtypes,
                "matrices while decoding; what rounding shifts, loss.correction weighs"),
        SCOPE_INT_OPTION(
                ROLL, attempts, "3", 1, 100, "leases of a group before it goes on incomplete"),
        SCOPE_INT_OPTION(ROLL, min_group, "0", 0, SCOPE_GROUP_SAMPLES_MAX,
                "samples an incomplete group needs; 0 = half of group_size"),
        SCOPE_DURATION_OPTION(ROLL, lease_timeout, "10m", 0.001, 86400, "of one lease"),
        SCOPE_DURATION_OPTION(ROLL, straggler, "0s", 0, 86400,
                "from admission: then a group with min_group samples goes on without the others; "
                "0 = never"),
        SCOPE_OPTION_END,
};
static const struct scope_option prm_rows[] = {
        SCOPE_ENUM_OPTION(PRM, backend, "arithmetic", prm_backends,
                "arithmetic = exact checker of the built-in task, and of equations in other "
                "texts; likelihood, native need path; http needs url"),
        SCOPE_TEXT_OPTION(PRM, path, "\"\"", "Hugging Face directory of the scorer"),
        SCOPE_INT_OPTION(PRM, max_len, "4096", 16, SCOPE_PROMPT_TOKENS_MAX,
                "tokens of problem and steps a scorer reads (http: counted in the policy's); steps "
                "beyond are unverified"),
        SCOPE_FLOAT_OPTION(PRM, tau, "0.5", 0, 1, "a step below it is wrong"),
        SCOPE_DURATION_OPTION(
                PRM, timeout, "60s", 0.001, 86400, "of one group's scores, retries included"),
        SCOPE_TEXT_OPTION(PRM, url, "\"\"",
                "http: server with POST /pooling, as vLLM has it for Qwen2.5-Math-PRM; builtin = "
                "our teacher, which checks arithmetic"),
        SCOPE_TEXT_OPTION(PRM, model, "\"prm\"", "http: model name sent along"),
        SCOPE_TEXT_OPTION(
                PRM, api_key_env, "\"\"", "http: environment variable that holds the key"),
        SCOPE_INT_OPTION(PRM, concurrency, "8", 1, 256, "http: calls in flight, a group each"),
        SCOPE_INT_OPTION(PRM, max_retries, "2", 0, 100, "http: of one call that failed"),
        SCOPE_INT_OPTION(PRM, circuit_failures, "5", 1, 1e6,
                "http: failures in a row after which groups go on as plain GRPO"),
        SCOPE_DURATION_OPTION(
                PRM, circuit_reset, "10s", 0.001, 86400, "http: until one probe is let through"),
        SCOPE_SIZE_OPTION(PRM, response_max, "4MiB", 1024, 1073741824, "http: bytes of one reply"),
        SCOPE_OPTION_END,
};
static const struct scope_option teacher_rows[] = {
        SCOPE_TEXT_OPTION(
                TEACH, url, "\"builtin\"", "OpenAI-compatible base (.../v1); builtin starts ours"),
        SCOPE_TEXT_OPTION(TEACH, model, "\"solver\"", "model name sent along"),
        SCOPE_TEXT_OPTION(TEACH, api_key_env, "\"\"", "environment variable that holds the key"),
        SCOPE_ENUM_OPTION(TEACH, style, "instruct", styles, "how a continuation is asked for"),
        SCOPE_ENUM_OPTION(TEACH, on_down, "degrade", on_downs, "what a dead teacher means"),
        SCOPE_BOOL_OPTION(
                TEACH, leak_filter, "true", "reject text that says it was given the answer"),
        SCOPE_BOOL_OPTION(TEACH, stream, "false", "ask for server-sent events"),
        SCOPE_INT_OPTION(TEACH, concurrency, "16", 1, 256, "calls in flight"),
        SCOPE_FLOAT_OPTION(TEACH, rate, "0", 0, 1e6, "calls/s that are begun; 0 = no limit"),
        SCOPE_INT_OPTION(TEACH, calls_max, "0", 0, 1e12, "of the whole run; 0 = no limit"),
        SCOPE_INT_OPTION(TEACH, max_retries, "3", 0, 100, "of one call, failed or rejected"),
        SCOPE_INT_OPTION(TEACH, next_on_reject, "1", 0, SCOPE_GROUP_SAMPLES_MAX,
                "next-best failures tried after a rejection"),
        SCOPE_FLOAT_OPTION(TEACH, temperature, "0.0", 0, 10, "of the first try"),
        SCOPE_FLOAT_OPTION(TEACH, retry_temperature, "0.6", 0, 10, "after a rejected answer"),
        SCOPE_DURATION_OPTION(
                TEACH, deadline, "60s", 0.001, 86400, "of one repair, retries included"),
        SCOPE_DURATION_OPTION(TEACH, connect_timeout, "5s", 0.001, 600, "of one connection"),
        SCOPE_DURATION_OPTION(
                TEACH, idle_timeout, "30s", 0.001, 86400, "without a byte; keep-alives count"),
        SCOPE_DURATION_OPTION(
                TEACH, backoff, "250ms", 0.001, 600, "first retry's longest wait; doubles"),
        SCOPE_DURATION_OPTION(
                TEACH, retry_after_max, "30s", 0, 86400, "a longer Retry-After is cut to it"),
        SCOPE_INT_OPTION(
                TEACH, circuit_failures, "5", 1, 1e6, "failures in a row that open the circuit"),
        SCOPE_DURATION_OPTION(
                TEACH, circuit_reset, "10s", 0.001, 86400, "until one probe is let through"),
        SCOPE_SIZE_OPTION(TEACH, response_max, "1MiB", 1024, 1073741824, "bytes of one reply"),
        SCOPE_OPTION_END,
};
static const struct scope_option pipeline_rows[] = {
        SCOPE_TEXT_OPTION(PIPE, strategy, "\"serial\"",
                "serial, sync_colocated, one_step_off, teacher_overlap, teacher_overlap_deep, "
                "pipelined, async"),
        SCOPE_ENUM_OPTION(PIPE, update, "in_flight", updates,
                "weights between two decode steps, or after a drain"),
        SCOPE_ENUM_OPTION(PIPE, kv, "keep", kvs, "of live contexts when weights change"),
        SCOPE_INT_OPTION(
                PIPE, queue_groups, "64", 1, 4096, "finished groups that may wait for the learner"),
        SCOPE_INT_OPTION(PIPE, teacher_groups, "0", 0, 4096,
                "credits of groups at the teacher, apart from the others; 0 = they keep theirs"),
        SCOPE_BOOL_OPTION(PIPE, drop_all_equal, "false",
                "after repair, groups without contrast are FILTERED and replaced"),
        SCOPE_OPTION_END,
};
static const struct scope_option learner_rows[] = {
        SCOPE_FLOAT_OPTION(LEARN, lr, "2e-4", 0, 10, "AdamW"),
        SCOPE_FLOAT_OPTION(LEARN, beta1, "0.9", 0, 0.999999, "AdamW"),
        SCOPE_FLOAT_OPTION(LEARN, beta2, "0.999", 0, 0.999999, "AdamW"),
        SCOPE_FLOAT_OPTION(LEARN, eps, "1e-8", 1e-20, 1, "AdamW"),
        SCOPE_FLOAT_OPTION(LEARN, weight_decay, "0.01", 0, 10, "decoupled; matrices only"),
        SCOPE_FLOAT_OPTION(LEARN, grad_clip, "1.0", 0, 1e9, "global norm; 0 = off"),
        SCOPE_INT_OPTION(LEARN, warmup, "0", 0, 1e9, "steps of linear warm-up, then constant"),
        SCOPE_INT_OPTION(
                LEARN, minibatch_prompts, "0", 0, 4096, "groups an update; 0 = prompts_per_step"),
        SCOPE_INT_OPTION(LEARN, passes, "1", 1, 64, "over each batch"),
        SCOPE_INT_OPTION(LEARN, microbatch_tokens, "4096", 16, 1 << 24, "of one rank in one job"),
        SCOPE_ENUM_OPTION(LEARN, recompute, "none", recomputes,
                "layer = activations of one layer at a time: less memory, a third more work"),
        SCOPE_INT_OPTION(
                LEARN, ranks, "0", 0, 64, "threads that share a step; 0 = cores of the placement"),
        SCOPE_OPTION_END,
};
static const struct scope_option checkpoint_rows[] = {
        SCOPE_INT_OPTION(
                scope_checkpoint_options, every, "50", 0, 1e9, "steps; 0 = only at the end"),
        SCOPE_INT_OPTION(scope_checkpoint_options, keep, "2", 1, 1e6, "newest checkpoints kept"),
        SCOPE_OPTION_END,
};
static const struct scope_option eval_rows[] = {
        SCOPE_INT_OPTION(scope_eval_options, every, "50", 0, 1e9, "steps; 0 = never"),
        SCOPE_INT_OPTION(
                scope_eval_options, problems, "256", 1, 1e6, "first problems of data.eval"),
        SCOPE_INT_OPTION(scope_eval_options, samples, "8", 1, 1024, "a problem"),
        SCOPE_FLOAT_OPTION(scope_eval_options, temperature, "1.0", 0, 10, "0 = greedy"),
        SCOPE_FLOAT_OPTION(scope_eval_options, top_p, "1.0", 0.01, 1, "nucleus; 1 = off"),
        SCOPE_OPTION_END,
};
static const struct scope_option metrics_rows[] = {
        SCOPE_BOOL_OPTION(scope_metrics_options, rollouts, "true", "write rollouts/*.jsonl"),
        SCOPE_BOOL_OPTION(scope_metrics_options, tokens, "false",
                "write ids and log-probabilities of every sample as well, 11 bytes a token: "
                "a learner trains on replayed rollouts as it did then"),
        SCOPE_BOOL_OPTION(scope_metrics_options, trail, "true",
                "write trail_STEP.jsonl: what happened to which group when, for `trace`"),
        SCOPE_INT_OPTION(scope_metrics_options, show_every, "25", 0, 1e9,
                "steps between rollouts shown on the terminal; 0 = never"),
        SCOPE_OPTION_END,
};

#define W scope_warmup_options
static const struct scope_option warmup_rows[] = {
        SCOPE_TEXT_OPTION(
                W, path, "\"\"", "where the warmed policy goes; \"\" = no warm-up in this run"),
        SCOPE_TEXT_OPTION(
                W, prm_path, "\"\"", "where the likelihood PRM goes; \"\" = none is made"),
        SCOPE_FLOAT_OPTION(
                W, target, "0.085", 0.001, 1, "sampled pass@1 to stop at, twice in a row"),
        SCOPE_FLOAT_OPTION(W, lr, "4e-3", 0, 10, "AdamW"),
        SCOPE_FLOAT_OPTION(W, beta2, "0.98", 0, 0.999999, "AdamW"),
        SCOPE_INT_OPTION(W, batch, "64", 1, 65536, "solutions a step"),
        SCOPE_INT_OPTION(W, warmup, "20", 0, 1e6, "steps of linear warm-up, then constant"),
        SCOPE_INT_OPTION(W, steps_max, "1500", 1, 1e9, "give up after so many"),
        SCOPE_INT_OPTION(W, test_every, "10", 1, 1e6, "steps"),
        SCOPE_INT_OPTION(W, test_from, "150", 0, 1e9, "first step that is tested"),
        SCOPE_INT_OPTION(W, test_problems, "256", 1, 1e6, "of data.eval"),
        SCOPE_INT_OPTION(W, test_samples, "4", 1, 1024, "a problem"),
        SCOPE_INT_OPTION(W, prm_steps, "250", 1, 1e9, "further steps for the likelihood PRM"),
        SCOPE_FLOAT_OPTION(W, prm_lr, "2.5e-3", 0, 10, "AdamW"),
        SCOPE_OPTION_END,
};

static const struct scope_option solver_rows[] = {
        SCOPE_TEXT_OPTION(scope_solver_options, latency, "\"constant:0ms\"",
                "of each answer: constant:20ms, uniform:5ms-50ms, lognormal:..., see teacher "
                "--help"),
        SCOPE_TEXT_OPTION(scope_solver_options, faults, "\"\"",
                "what goes wrong how often, see teacher --help"),
        SCOPE_OPTION_END,
};

#define STAGES scope_stages_options
static const struct scope_option stages_rows[] = {
        SCOPE_ENUM_OPTION(STAGES, rollout, "native", plays,
                "native = decodes; sim = solutions in the times of sim.decode; replay = what the "
                "run of `replay` sampled, in its times"),
        SCOPE_ENUM_OPTION(STAGES, prm, "native", plays,
                "native = prm.backend; sim = exact scores in the times of sim.prm; replay"),
        SCOPE_ENUM_OPTION(STAGES, teacher, "native", plays,
                "native = teacher.url; sim = our own, in the times of solver.latency; replay"),
        SCOPE_ENUM_OPTION(STAGES, learner, "native", plays,
                "native = trains; sim, replay = only takes time: the weights stay as they are"),
        SCOPE_TEXT_OPTION(STAGES, replay, "\"\"", "directory of the run that is replayed"),
        SCOPE_OPTION_END,
};

#define SIM scope_sim_stage_options
static const struct scope_option sim_rows[] = {
        SCOPE_TEXT_OPTION(SIM, decode, "\"lognormal:2s,0.5\"",
                "of one sample alone, slot to EOS; a law as solver.latency; or, of a rollout whose "
                "slots share it, tokens:3000,12ms: tokens/s of all that run, least time of a step"),
        SCOPE_TEXT_OPTION(SIM, length, "\"\"",
                "tokens of an answer, as lognormal:800,0.6,4096; at least its words and at most "
                "rollout.max_response; \"\" = its words"),
        SCOPE_TEXT_OPTION(SIM, prm, "\"constant:50ms\"",
                "scores of one group on one server; or tokens:20000, of prompts and answers"),
        SCOPE_TEXT_OPTION(SIM, learn, "\"constant:1s\"",
                "forward, backward and update of one batch; or tokens:50000, of its prompts and "
                "answers"),
        SCOPE_TEXT_OPTION(SIM, publish, "\"constant:100ms\"",
                "from an update to weights that can be had; the learner waits"),
        SCOPE_TEXT_OPTION(SIM, transfer, "\"constant:0s\"",
                "of new weights to one host; the learner's link serves one host after the other"),
        SCOPE_INT_OPTION(SIM, rollouts_per_host, "8", 1, 512, "share one transfer of weights"),
        SCOPE_DURATION_OPTION(
                SIM, swap, "20ms", 0, 3600, "decoding pauses so long to take new weights"),
        SCOPE_FLOAT_OPTION(SIM, prefill_rate, "0", 0, 1e12,
                "tokens/s of live contexts, where pipeline.kv = recompute, and of prompts, where "
                "sim.decode is tokens:...; 0 = at once"),
        SCOPE_FLOAT_OPTION(SIM, refined, "0.5", 0, 1, "share of groups that need repair"),
        SCOPE_OPTION_END,
};

#define PLAN scope_plan_options
static const struct scope_option plan_rows[] = {
        SCOPE_TEXT_OPTION(PLAN, shape, "\"\"",
                "of the policy where model.path is not here: \"layers=28,hidden=3584,...\""),
        SCOPE_TEXT_OPTION(PLAN, prm_shape, "\"\"", "as shape, of the scorer of prm.path"),
        SCOPE_FLOAT_OPTION(PLAN, prompt_tokens, "0", 0, 1e6, "mean; 0 = rollout.max_prompt / 2"),
        SCOPE_FLOAT_OPTION(
                PLAN, response_tokens, "0", 0, 1e6, "mean; 0 = rollout.max_response / 2"),
        SCOPE_FLOAT_OPTION(
                PLAN, longest, "2", 1, 100, "longest answer of a group over the mean answer"),
        SCOPE_FLOAT_OPTION(PLAN, decode_rate, "0", 0, 1e12,
                "tokens/s of one rollout device, all slots busy; 0 = sim.decode where that is "
                "tokens:..., else from bandwidth"),
        SCOPE_FLOAT_OPTION(
                PLAN, prm_rate, "0", 0, 1e12, "tokens/s of one PRM device; 0 = from compute"),
        SCOPE_FLOAT_OPTION(PLAN, learn_rate, "0", 0, 1e12,
                "trained tokens/s of one learner device; 0 = as decode_rate, of sim.learn"),
        SCOPE_FLOAT_OPTION(PLAN, refined, "0.5", 0, 1, "share of groups that need repair"),
        SCOPE_DURATION_OPTION(
                PLAN, teacher_latency, "20s", 0, 86400, "mean of one call, retries included"),
        SCOPE_FLOAT_OPTION(PLAN, teacher_tokens_in, "0", 0, 1e9,
                "billed a call; 0 = prompt and half an answer"),
        SCOPE_FLOAT_OPTION(
                PLAN, teacher_tokens_out, "0", 0, 1e9, "billed a call; 0 = half an answer"),
        SCOPE_FLOAT_OPTION(PLAN, price_in, "0", 0, 1e6, "of a million tokens; 0 = not known"),
        SCOPE_FLOAT_OPTION(PLAN, price_out, "0", 0, 1e6, "of a million tokens; 0 = not known"),
        SCOPE_DURATION_OPTION(PLAN, publish, "0s", 0, 3600, "learner waits for publication"),
        SCOPE_DURATION_OPTION(PLAN, swap, "0s", 0, 3600, "decoding waits for new weights"),
        SCOPE_SIZE_OPTION(PLAN, device_memory, "0", 0, 1e15,
                "of one device; 0 = not known, or this machine's for cpu"),
        SCOPE_FLOAT_OPTION(PLAN, bandwidth, "0", 0, 1e6, "GB/s of one device; 0 = not known"),
        SCOPE_FLOAT_OPTION(PLAN, compute, "0", 0, 1e6, "TFLOP/s of one device; 0 = not known"),
        SCOPE_FLOAT_OPTION(PLAN, use_bandwidth, "0.6", 0.01, 1, "share of bandwidth reached"),
        SCOPE_FLOAT_OPTION(PLAN, use_compute, "0.4", 0.01, 1, "share of compute reached"),
        SCOPE_OPTION_END,
};

#define AT(field) offsetof(struct scope_pipeline_options, field)
const struct scope_option_section scope_option_sections[] = {
        { "run", run_rows, AT(run), "what this run is called and how long it is" },
        { "data", data_rows, AT(data), "problems" },
        { "model", model_rows, AT(model), "the policy" },
        { "rollout", rollout_rows, AT(rollout), "sampling" },
        { "prm", prm_rows, AT(prm), "the process reward model" },
        { "scope", scope_scope_option_table, AT(scope),
                "which failures are repaired, and where they are cut" },
        { "scope", scope_localise_option_table, AT(scope.localise), NULL },
        { "scope", scope_statistics_option_table, AT(scope.statistics), NULL },
        { "scope", scope_select_option_table, AT(scope.select), NULL },
        { "teacher", teacher_rows, AT(teacher), "who writes the rest" },
        { "pipeline", pipeline_rows, AT(pipeline),
                "what overlaps with what, and how old a group may be" },
        { "pipeline", scope_admission_option_table, AT(pipeline.admission), NULL },
        { "loss", scope_advantage_option_table, AT(loss.advantage), "the objective" },
        { "loss", scope_objective_option_table, AT(loss.objective), NULL },
        { "loss", scope_correction_option_table, AT(loss.correction), NULL },
        { "grade", scope_grade_option_table, AT(grade), "when two answers are the same" },
        { "learner", learner_rows, AT(learner), "the optimiser" },
        { "checkpoint", checkpoint_rows, AT(checkpoint), "what is kept" },
        { "eval", eval_rows, AT(eval), "how good it is" },
        { "metrics", metrics_rows, AT(metrics), "what is written and shown" },
        { "warmup", warmup_rows, AT(warmup), "the tiny policy's supervised start" },
        { "solver", solver_rows, AT(solver), "our own teacher, where teacher.url = \"builtin\"" },
        { "stages", stages_rows, AT(stages), "which stages work, and which are played" },
        { "sim", sim_rows, AT(sim), "what simulated stages take" },
        { "plan", plan_rows, AT(plan), "what `plan` reckons with" },
        { NULL, NULL, 0, NULL },
};

static enum scope_err refuse(const char **ret_key, const char *key)
{
        *ret_key = key;
        return SCOPE_ERR_ARGUMENT;
}

static enum scope_err check_batch(
        const struct scope_pipeline_options *options, const char **ret_key, struct scope_diag *diag)
{
        int64_t prompts = options->rollout.prompts_per_step,
                mini = options->learner.minibatch_prompts;
        if (mini != 0 && prompts % mini != 0) {
                (void)scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "rollout.prompts_per_step = %lld is not a multiple of "
                        "learner.minibatch_prompts = %lld",
                        (long long)prompts, (long long)mini);
                return refuse(ret_key, "learner.minibatch_prompts");
        }
        if (options->rollout.min_group > options->rollout.group_size) {
                (void)scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "rollout.min_group = %lld is more than rollout.group_size = %lld",
                        (long long)options->rollout.min_group,
                        (long long)options->rollout.group_size);
                return refuse(ret_key, "rollout.min_group");
        }
        if (options->learner.microbatch_tokens <
                options->rollout.max_prompt + options->rollout.max_response) {
                (void)scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "learner.microbatch_tokens = %lld cannot hold one sequence: "
                        "rollout.max_prompt + "
                        "rollout.max_response = %lld",
                        (long long)options->learner.microbatch_tokens,
                        (long long)(options->rollout.max_prompt + options->rollout.max_response));
                return refuse(ret_key, "learner.microbatch_tokens");
        }
        return SCOPE_OK;
}

/* What only one strategy, or every one but one, can do. */
static enum scope_err check_flow(const struct scope_pipeline_options *options,
        const struct scope_strategy *strategy, const char **ret_key, struct scope_diag *diag)
{
        const struct scope_pipeline_table *pipeline = &options->pipeline;
        const struct scope_admission_options *admission = &pipeline->admission;
        double partial = admission->partial_rollout;
        if (options->rollout.straggler > 0 && strategy->eval_barrier) {
                (void)scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "rollout.straggler cuts groups by the clock, and strategy \"%s\" promises "
                        "that two runs of one seed are the same: use another strategy, or 0",
                        strategy->name);
                return refuse(ret_key, "rollout.straggler");
        }
        if (pipeline->teacher_groups > 0 && strategy->in_order) {
                (void)scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "pipeline.teacher_groups = %lld: strategy \"%s\" admits whole batches, so "
                        "a credit that the teacher holds would admit nobody; use \"async\", or 0",
                        (long long)pipeline->teacher_groups, strategy->name);
                return refuse(ret_key, "pipeline.teacher_groups");
        }
        if (partial > 0 && (strategy->in_order || partial < 1)) {
                (void)scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "pipeline.partial_rollout = %g: it is 0 or at least 1, and trains what is "
                        "decoded first, which strategy \"%s\" %s",
                        partial, strategy->name,
                        strategy->in_order ? "may not: use \"async\"" : "can");
                return refuse(ret_key, "pipeline.partial_rollout");
        }
        if (partial > 0 && pipeline->update == SCOPE_UPDATE_DRAIN) {
                (void)scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "pipeline.partial_rollout interrupts rollouts for new weights, "
                        "pipeline.update = \"drain\" waits for their end: use \"in_flight\"");
                return refuse(ret_key, "pipeline.update");
        }
        if (partial > 1 && admission->age_max <= admission->eta) {
                (void)scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "pipeline.age_max = %lld rejects every rollout that is interrupted and "
                        "goes on: with pipeline.partial_rollout it must be above eta = %lld",
                        (long long)admission->age_max, (long long)admission->eta);
                return refuse(ret_key, "pipeline.age_max");
        }
        return SCOPE_OK;
}

static enum scope_err check_strategy(
        const struct scope_pipeline_options *options, const char **ret_key, struct scope_diag *diag)
{
        const struct scope_strategy *strategy = scope_strategy_find(options->pipeline.strategy);
        if (strategy == NULL) {
                (void)scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "pipeline.strategy = \"%s\" is not known; there are serial, "
                        "sync_colocated, one_step_off, teacher_overlap, teacher_overlap_deep, "
                        "pipelined and async",
                        options->pipeline.strategy);
                return refuse(ret_key, "pipeline.strategy");
        }
        if (options->scope.statistics.stats_scope == SCOPE_STATS_BATCH &&
                !strategy->stage_barrier) {
                (void)scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "scope.stats_scope = \"batch\" needs a whole batch at once, which strategy "
                        "\"%s\" never "
                        "has; use \"window\"",
                        strategy->name);
                return refuse(ret_key, "scope.stats_scope");
        }
        if (check_flow(options, strategy, ret_key, diag) != SCOPE_OK)
                return SCOPE_ERR_ARGUMENT;
        /* a batch that waits for one more group must not find its place taken by the next ones */
        int64_t ahead = (strategy->eta + 1) * options->rollout.prompts_per_step;
        if (strategy->in_order && options->pipeline.queue_groups < ahead) {
                (void)scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "pipeline.queue_groups = %lld cannot hold the %lld whole batches of %lld "
                        "groups that strategy \"%s\" has under way: set it to %lld or more",
                        (long long)options->pipeline.queue_groups, (long long)strategy->eta + 1,
                        (long long)options->rollout.prompts_per_step, strategy->name,
                        (long long)ahead);
                return refuse(ret_key, "pipeline.queue_groups");
        }
        if (strategy->eta > options->pipeline.admission.age_max) {
                (void)scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "pipeline.age_max = %lld rejects what strategy \"%s\" trains on: its "
                        "groups are up to %lld versions old",
                        (long long)options->pipeline.admission.age_max, strategy->name,
                        (long long)strategy->eta);
                return refuse(ret_key, "pipeline.age_max");
        }
        if (scope_admission_check(&options->pipeline.admission, diag) != SCOPE_OK)
                return refuse(ret_key, "pipeline.age_max");
        return SCOPE_OK;
}

/* Mixes of played and native stages that cannot be. */
static enum scope_err check_stages(
        const struct scope_pipeline_options *options, const char **ret_key, struct scope_diag *diag)
{
        const struct scope_stages_options *stages = &options->stages;
        bool replays = stages->rollout == SCOPE_PLAY_REPLAY || stages->prm == SCOPE_PLAY_REPLAY ||
                       stages->teacher == SCOPE_PLAY_REPLAY ||
                       stages->learner == SCOPE_PLAY_REPLAY;
        if (replays && stages->replay[0] == 0) {
                (void)scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "a stage is \"replay\", and stages.replay names no run to take it from");
                return refuse(ret_key, "stages.replay");
        }
        if (stages->prm == SCOPE_PLAY_REPLAY && stages->rollout != SCOPE_PLAY_REPLAY) {
                (void)scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "stages.prm = \"replay\" with stages.rollout = \"%s\": recorded scores "
                        "are of recorded rollouts; set both to replay, or prm to sim with "
                        "sim.prm = \"trace:%s\" for the recorded times alone",
                        plays[stages->rollout], stages->replay);
                return refuse(ret_key, "stages.prm");
        }
        if (stages->rollout == SCOPE_PLAY_SIM &&
                strncmp(options->data.train, "builtin:chain", 13) != 0) {
                (void)scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "data.train = \"%.200s\": simulated rollouts write solutions of "
                        "builtin:chain, and know no other", options->data.train);
                return refuse(ret_key, "stages.rollout");
        }
        return SCOPE_OK;
}

enum scope_err scope_pipeline_options_check(
        const struct scope_pipeline_options *options, const char **ret_key, struct scope_diag *diag)
{
        enum scope_err err = check_batch(options, ret_key, diag);
        if (err == SCOPE_OK)
                err = check_strategy(options, ret_key, diag);
        if (err == SCOPE_OK)
                err = check_stages(options, ret_key, diag);
        if (err != SCOPE_OK)
                return err;
        if ((options->prm.backend == SCOPE_PRM_LIKELIHOOD ||
                    options->prm.backend == SCOPE_PRM_NATIVE) &&
                options->prm.path[0] == 0) {
                (void)scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "prm.backend = \"%s\" needs prm.path", prm_backends[options->prm.backend]);
                return refuse(ret_key, "prm.path");
        }
        if (options->prm.backend == SCOPE_PRM_HTTP && options->prm.url[0] == 0) {
                (void)scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "prm.backend = \"http\" needs prm.url, as http://127.0.0.1:8000 of "
                        "vllm serve Qwen/Qwen2.5-Math-PRM-7B, or \"builtin\"");
                return refuse(ret_key, "prm.url");
        }
        if (options->loss.correction.seq_mask_lo > options->loss.correction.seq_mask_hi) {
                (void)scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "loss.seq_mask_lo = %g is above loss.seq_mask_hi = %g",
                        options->loss.correction.seq_mask_lo, options->loss.correction.seq_mask_hi);
                return refuse(ret_key, "loss.seq_mask_lo");
        }
        if (scope_objective_check(&options->loss.objective, diag) != SCOPE_OK)
                return refuse(ret_key, "loss.clip_dual");
        return SCOPE_OK;
}
