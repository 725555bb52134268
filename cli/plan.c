/* plan.c - `plan`: what a configuration needs and can reach, before it runs. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/load.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/overlap_report.h"
#include "cli/plan_rates.h"
#include "cli/trail_file.h"
#include "models/hf_config.h"
#include "models/tokenizer_tiny.h"
#include "models/trainer.h"
#include "tasks/latency_law.h"

struct plan_flags {
        char from[512], what_if[512];
};
static struct plan_flags flags;
static const struct scope_option rows[] = {
        SCOPE_TEXT_OPTION(plan_flags, from, "\"\"",
                "rates as recorded: a run's trail_STEP.jsonl, or one of bench overlap --out"),
        SCOPE_TEXT_OPTION(plan_flags, what_if, "\"\"",
                "a second column: rollout.count=6,teacher.concurrency=32,...; also prm.count, "
                "learner.count, rollout.slots, pipeline.eta"),
        SCOPE_OPTION_END,
};
static const char *const role_names[SCOPE_PLAN_ROLES] = { "rollout", "prm", "learner" };

/* --- from the configuration ----------------------------------------------------------------- */

/* How many devices "cuda:0-3", "cpu:1" or "cpu" name; 0 = this is no device. */
static double device_count(const char *device, bool *ret_gpu)
{
        unsigned first, last;
        *ret_gpu = strncmp(device, "cuda:", 5) == 0;
        const char *at = strchr(device, ':');
        if (strcmp(device, "cpu") == 0)
                return (double)sysconf(_SC_NPROCESSORS_ONLN);
        if (at == NULL)
                return 0;
        int read = sscanf(at + 1, "%u-%u", &first, &last);
        return read == 2 && last >= first ? last - first + 1 : read == 1 ? 1 : 0;
}

static enum scope_err read_devices(struct scope_plan *plan,
        const struct scope_pipeline_options *options, struct scope_diag *diag)
{
        bool gpu = false;
        plan->shared = true;
        for (uint32_t i = 0; i < options->placement_count; i++) {
                const struct scope_placement *placement = &options->placement[i];
                double count = device_count(placement->device, &gpu);
                int role = 0;
                while (role < SCOPE_PLAN_ROLES && strcmp(role_names[role], placement->role) != 0)
                        role++;
                if (count == 0 || role == SCOPE_PLAN_ROLES)
                        return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                                "placement[%u]: role \"%s\" on device \"%s\" is not known", i,
                                placement->role, placement->device);
                plan->devices[role] += count;
                if (role == SCOPE_PLAN_ROLLOUT)
                        plan->actors += (double)placement->count;
                plan->shared = plan->shared && !gpu;
        }
        double cores = (double)sysconf(_SC_NPROCESSORS_ONLN);
        for (int role = 0; role < SCOPE_PLAN_ROLES; role++)
                if (plan->devices[role] == 0 && (plan->shared || role != SCOPE_PLAN_PRM))
                        plan->devices[role] = plan->shared ? cores : 1;
        if (plan->actors == 0)
                plan->actors = 1;
        plan->parameter_bytes = plan->shared ? 4 : 2;
        plan->device_memory = (double)plan->input.device_memory;
        if (plan->device_memory == 0 && plan->shared)
                plan->device_memory =
                        (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
        return SCOPE_OK;
}

/* The model's own word, else plan.shape. */
static enum scope_err read_shape(const char *path, const char *shape, const char *key,
        struct scope_model_config *ret_config, struct scope_diag *diag)
{
        if (strcmp(path, "builtin:tiny") == 0) {
                *ret_config = scope_model_config_tiny();
                return SCOPE_OK;
        }
        enum scope_err err = scope_hf_config_load(path, ret_config, diag);
        if (err != SCOPE_ERR_NOT_FOUND)
                return err;
        if (shape[0] != 0)
                return scope_plan_shape(shape, ret_config, diag);
        return scope_diag_set(diag, SCOPE_ERR_NOT_FOUND,
                "%s: no config.json is there; put the model there, or its shape into %s", path,
                key);
}

static void set_rate(struct scope_plan *plan, enum scope_plan_role role, double value)
{
        if (value > 0)
                plan->rate[role] = (struct scope_plan_rate){ value, SCOPE_PLAN_GIVEN };
}

/* A configuration that simulates stages by the token is planned with their rates. */
static enum scope_err read_served(const char *words, double given, struct scope_plan_served *ret,
        struct scope_diag *diag)
{
        struct scope_tokens_law law;
        enum scope_err err = scope_tokens_law_parse(words, &law, diag);
        if (err == SCOPE_OK && given == 0)
                *ret = (struct scope_plan_served){ law.rate, law.least_s };
        return err;
}

static enum scope_err read_plan(struct scope_plan *plan,
        const struct scope_pipeline_options *options, struct scope_diag *diag)
{
        const struct scope_strategy *strategy = scope_strategy_find(options->pipeline.strategy);
        *plan = (struct scope_plan){ .input = options->plan,
                .prompts = (double)options->rollout.prompts_per_step,
                .samples = (double)options->rollout.group_size,
                .slots = (double)options->rollout.slots,
                .teacher_calls = (double)options->teacher.concurrency,
                .teacher_rate = options->teacher.rate,
                .eta = (double)(strategy != NULL && strategy->eta >= 0
                                        ? strategy->eta
                                        : options->pipeline.admission.eta),
                .microbatch_tokens = (double)options->learner.microbatch_tokens,
                .recompute = options->learner.recompute != SCOPE_RECOMPUTE_NONE,
                .context = (double)(options->rollout.max_prompt + options->rollout.max_response),
                .scored = options->prm.backend == SCOPE_PRM_NATIVE ||
                          options->prm.backend == SCOPE_PRM_LIKELIHOOD };
        struct scope_plan_options *in = &plan->input;
        if (options->scope.select.repairs_per_group == 0) {
                plan->scored = false;
                in->refined = 0;
        }
        if (in->prompt_tokens == 0)
                in->prompt_tokens = (double)options->rollout.max_prompt / 2;
        if (in->response_tokens == 0)
                in->response_tokens = (double)options->rollout.max_response / 2;
        set_rate(plan, SCOPE_PLAN_ROLLOUT, in->decode_rate);
        set_rate(plan, SCOPE_PLAN_PRM, in->prm_rate);
        set_rate(plan, SCOPE_PLAN_LEARNER, in->learn_rate);
        enum scope_err err = read_served(options->sim.decode, in->decode_rate, &plan->decode, diag);
        if (err == SCOPE_OK)
                err = read_served(options->sim.learn, in->learn_rate, &plan->learn, diag);
        if (err == SCOPE_OK)
                err = read_devices(plan, options, diag);
        if (err == SCOPE_OK)
                err = read_shape(options->model.path, in->shape, "plan.shape", &plan->policy, diag);
        if (err == SCOPE_OK && plan->scored)
                err = read_shape(
                        options->prm.path, in->prm_shape, "plan.prm_shape", &plan->scorer, diag);
        return err;
}

/* --- from a recorded run --------------------------------------------------------------------- */

static void recorded(struct scope_plan *plan, enum scope_plan_role role, double tokens, double s)
{
        if (role == SCOPE_PLAN_ROLLOUT)
                plan->decode = (struct scope_plan_served){ 0 };
        if (role == SCOPE_PLAN_LEARNER)
                plan->learn = (struct scope_plan_served){ 0 };
        if (tokens > 0 && s > 0 && plan->devices[role] > 0)
                plan->rate[role] = (struct scope_plan_rate){ tokens / s / plan->devices[role],
                        SCOPE_PLAN_RECORDED };
}

/* What the stages did there: lengths, tokens/s of each, share and time of repairs. Only response
 * tokens are in a trail, so rates are of those. */
static enum scope_err read_trail(struct scope_plan *plan, const char *path, struct scope_diag *diag)
{
        struct scope_overlap_trail *trail = NULL;
        struct scope_overlap_setting setting;
        struct scope_trail_end end;
        struct scope_overlap_report report;
        struct scope_plan_options *in = &plan->input;
        uint64_t repeat;
        enum scope_err err = scope_trail_read(path, &trail, &setting, &repeat, &end, diag);
        if (err != SCOPE_OK)
                return err;
        err = scope_overlap_trail_report(trail, NULL, end.cpu_s_per_group, &report);
        scope_overlap_trail_destroy(trail);
        plan->group_cpu_s = plan->shared ? end.cpu_s_per_group : 0;
        scope_trail_end_fini(&end);
        if (err != SCOPE_OK)
                return scope_diag_set(diag, err,
                        "%s: too few steps: start-up and end of a run are no steady state", path);
        double samples = setting.group_size;
        in->prompt_tokens = 0;
        in->response_tokens = report.useful_tokens_per_s / report.groups_per_s / samples;
        in->refined = report.refined_generated;
        if (in->refined > 0)
                in->teacher_latency = (int64_t)(report.teacher_s / in->refined * 1e9);
        in->publish = (int64_t)(report.stage.publish * 1e9);
        plan->sojourn_s = report.sojourn_s;
        double group_tokens = samples * in->response_tokens;
        if (report.sample_s > 0)
                recorded(plan, SCOPE_PLAN_ROLLOUT, in->response_tokens * setting.slots,
                        report.sample_s);
        else /* a real engine does not time a sample alone */
                recorded(plan, SCOPE_PLAN_ROLLOUT, setting.prompts_per_step * group_tokens,
                        report.stage.decode);
        recorded(plan, SCOPE_PLAN_PRM, in->refined * group_tokens, report.prm_s);
        recorded(plan, SCOPE_PLAN_LEARNER, setting.prompts_per_step * group_tokens,
                report.stage.learn);
        return SCOPE_OK;
}

/* --- what if -------------------------------------------------------------------------------- */

static enum scope_err change(struct scope_plan *plan, const char *words, struct scope_diag *diag)
{
        const struct {
                const char *name;
                double *to;
        } knobs[] = { { "rollout.count", &plan->actors }, { "rollout.slots", &plan->slots },
                { "prm.count", &plan->devices[SCOPE_PLAN_PRM] },
                { "learner.count", &plan->devices[SCOPE_PLAN_LEARNER] },
                { "teacher.concurrency", &plan->teacher_calls }, { "pipeline.eta", &plan->eta } };
        enum { KNOBS = sizeof knobs / sizeof knobs[0] };
        double a_rollout = plan->devices[SCOPE_PLAN_ROLLOUT] / plan->actors;
        for (const char *at = words; *at != 0;) {
                char name[32];
                unsigned value = 0, i = 0;
                int used = 0;
                bool good = sscanf(at, "%31[a-z._]=%u%n", name, &value, &used) == 2 &&
                            (at[used] == ',' || at[used] == 0);
                while (good && i < KNOBS && strcmp(knobs[i].name, name) != 0)
                        i++;
                bool zero = value == 0 && (i >= KNOBS || strcmp(name, "pipeline.eta") != 0);
                if (!good || i == KNOBS || zero || value > 65536)
                        return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                                "--what-if: \"%.40s\" is none of rollout.count, rollout.slots, "
                                "prm.count, learner.count, teacher.concurrency, pipeline.eta with "
                                "a whole number",
                                at);
                *knobs[i].to = value;
                at += used + (at[used] == ',');
        }
        plan->devices[SCOPE_PLAN_ROLLOUT] = a_rollout * plan->actors;
        return SCOPE_OK;
}

/* --- what is printed ------------------------------------------------------------------------ */

static const char *const sources[] = { "not known", "given", "recorded", "estimated" };

/* Three digits that mean something, "-" for what is not known. */
static const char *number(char buffer[32], double value, const char *unit)
{
        static const char *const prefixes[] = { "", "k", "M", "G", "T" };
        int i = 0;
        if (isnan(value))
                return "-";
        if (isinf(value))
                return "no limit";
        for (; i < 4 && value >= 1000; i++)
                value /= 1000;
        (void)snprintf(buffer, 32, "%.3g%s%s%s", value,
                prefixes[i][0] != 0 || unit[0] != 0 ? " " : "", prefixes[i], unit);
        return buffer;
}

static void line(struct scope_text *text, const char *label, const struct scope_plan *plans,
        int count, double (*value)(const struct scope_plan *plan), const char *unit)
{
        char buffer[32];
        scope_text_format(text, "  %-34s", label);
        for (int i = 0; i < count; i++)
                scope_text_format(text, " %16s", number(buffer, value(&plans[i]), unit));
        scope_text_string(text, "\n");
}

static double of_decode(const struct scope_plan *p)
{
        return p->rates.of[SCOPE_BOUND_DECODE];
}
static double of_prm(const struct scope_plan *p)
{
        return p->rates.of[SCOPE_BOUND_PRM];
}
static double of_teacher(const struct scope_plan *p)
{
        return p->rates.of[SCOPE_BOUND_TEACHER];
}
static double of_learner(const struct scope_plan *p)
{
        return p->rates.of[SCOPE_BOUND_LEARNER];
}
static double of_credit(const struct scope_plan *p)
{
        return p->rates.of[SCOPE_BOUND_CREDIT];
}
static double of_cores(const struct scope_plan *p)
{
        return p->rates.of[SCOPE_BOUND_CORES];
}
static double of_least(const struct scope_plan *p)
{
        return p->rates.least;
}
static double of_step(const struct scope_plan *p)
{
        return p->prompts / p->rates.least;
}
static double of_knee(const struct scope_plan *p)
{
        return isnan(p->rates.knee) ? NAN : fmax(0, ceil(p->rates.knee));
}
static double of_needed(const struct scope_plan *p)
{
        return ceil(p->teacher_needed);
}
static double of_calls(const struct scope_plan *p)
{
        return p->calls_a_step;
}
static double of_cost(const struct scope_plan *p)
{
        return p->cost_a_step;
}
static double of_best(const struct scope_plan *p)
{
        return p->best_rate;
}

static void print_memory(struct scope_text *text, const struct scope_plan *plan)
{
        char a[32], b[32], c[32], d[32], e[32];
        double all = 0;
        scope_text_format(text, "memory of one device\n  %-10s %12s %12s %12s %12s %12s\n", "",
                "weights", "cache", "optimiser", "activations", "all");
        for (int role = 0; role < SCOPE_PLAN_ROLES; role++) {
                const struct scope_plan_memory *m = &plan->memory[role];
                if (m->total == 0)
                        continue;
                all = plan->shared ? all + m->total : fmax(all, m->total);
                scope_text_format(text, "  %-10s %12s %12s %12s %12s %12s%s\n", role_names[role],
                        number(a, m->weights, "B"), number(b, m->cache, "B"),
                        number(c, m->optimiser, "B"), number(d, m->activations, "B"),
                        number(e, m->total, "B"),
                        scope_plan_fits(plan, (enum scope_plan_role)role) ? "" : "  does not fit");
        }
        if (plan->device_memory > 0)
                scope_text_format(text, "  %s of %s%s\n", number(a, all, "B"),
                        number(b, plan->device_memory, "B"),
                        plan->shared ? ", together on this machine" : " at most");
}

static void print_rates(struct scope_text *text, const struct scope_plan *plans, int count)
{
        scope_text_format(text, "groups a second, each stage alone%s\n",
                count > 1 ? "  (what if: right)" : "");
        if (plans[0].shared) {
                line(text, "cores, shared by all", plans, count, of_cores, "");
        } else {
                line(text, "decode", plans, count, of_decode, "");
                line(text, "prm", plans, count, of_prm, "");
                line(text, "learner", plans, count, of_learner, "");
        }
        line(text, "teacher", plans, count, of_teacher, "");
        line(text, "credit at this eta", plans, count, of_credit, "");
        line(text, "all together: the least", plans, count, of_least, "");
        line(text, "seconds a step", plans, count, of_step, "s");
        line(text, "eta at the knee", plans, count, of_knee, "");
        line(text, "teacher calls in flight needed", plans, count, of_needed, "");
        line(text, "teacher calls a step", plans, count, of_calls, "");
        line(text, "cost of them a step", plans, count, of_cost, "");
        if (!plans[0].shared)
                line(text, "the same devices split best", plans, count, of_best, "");
        scope_text_format(text, "  %-34s", "what binds");
        for (int i = 0; i < count; i++)
                scope_text_format(text, " %16s",
                        isnan(plans[i].rates.least)
                                ? "-"
                                : scope_bound_term_name(plans[i].rates.binding));
        scope_text_string(text, "\n");
}

static void print(struct scope_text *text, const struct scope_plan *plans, int count)
{
        char a[32];
        const struct scope_plan *plan = &plans[0];
        print_memory(text, plan);
        scope_text_string(text, "tokens a second of one device\n");
        for (int role = 0; role < SCOPE_PLAN_ROLES; role++) {
                if (role == SCOPE_PLAN_PRM && !plan->scored)
                        continue;
                scope_text_format(text, "  %-10s %12s  x %.0f, %s\n", role_names[role],
                        plan->rate[role].value > 0 ? number(a, plan->rate[role].value, "") : "-",
                        plan->devices[role], sources[plan->rate[role].source]);
        }
        print_rates(text, plans, count);
        if (isnan(plan->rates.least))
                scope_text_string(text,
                        "A rate is not known: give plan.decode_rate, plan.learn_rate "
                        "(and plan.prm_rate), or plan.bandwidth and "
                        "plan.compute of a device.\n");
        else if (!plan->shared && plan->best_rate > 1.02 * of_least(plan))
                scope_text_format(text, "split best: %.0f rollout, %.0f prm, %.0f learner\n",
                        plan->best[0], plan->best[1], plan->best[2]);
        if (plan->rates.knee > plan->eta + 0.5)
                scope_text_format(text,
                        "eta %.0f is below the knee: credit holds the stages back\n", plan->eta);
}

static void json_plan(struct scope_text *text, const char *key, const struct scope_plan *plan)
{
        scope_json_open(text, key, '{');
        scope_json_open(text, "memory_bytes", '{');
        for (int role = 0; role < SCOPE_PLAN_ROLES; role++)
                scope_json_double(text, role_names[role], plan->memory[role].total);
        scope_json_close(text, '}');
        scope_json_double(text, "device_memory_bytes", plan->device_memory);
        scope_json_open(text, "tokens_per_s", '{');
        for (int role = 0; role < SCOPE_PLAN_ROLES; role++) {
                scope_json_open(text, role_names[role], '{');
                scope_json_double(text, "value", plan->rate[role].value);
                scope_json_text(text, "source", sources[plan->rate[role].source]);
                scope_json_double(text, "devices", plan->devices[role]);
                scope_json_double(text, "best_devices", plan->best[role]);
                scope_json_close(text, '}');
        }
        scope_json_close(text, '}');
        scope_json_open(text, "groups_per_s", '{');
        for (int term = 0; term < SCOPE_BOUND_TERMS; term++)
                scope_json_double(text, scope_bound_term_name((enum scope_bound_term)term),
                        plan->rates.of[term]);
        scope_json_double(text, "least", plan->rates.least);
        scope_json_double(text, "best_split", plan->best_rate);
        scope_json_close(text, '}');
        scope_json_double(text, "knee", plan->rates.knee);
        scope_json_double(text, "teacher_calls_needed", plan->teacher_needed);
        scope_json_double(text, "teacher_calls_per_step", plan->calls_a_step);
        scope_json_double(text, "cost_per_step", plan->cost_a_step);
        scope_json_close(text, '}');
}

static enum scope_exit run(const struct scope_arguments *arguments)
{
        static struct scope_pipeline_options options; /* too big for a stack */
        struct scope_plan plans[2];
        struct scope_config *config = NULL;
        struct scope_diag diag = { "" };
        struct scope_text text = { 0 };
        int count = flags.what_if[0] != 0 ? 2 : 1;
        enum scope_exit code = scope_load(arguments, &options, &config);
        if (code != SCOPE_EXIT_DONE)
                return code;
        scope_config_destroy(config);
        enum scope_err err = read_plan(&plans[0], &options, &diag);
        if (err == SCOPE_OK && flags.from[0] != 0)
                err = read_trail(&plans[0], flags.from, &diag);
        plans[1] = plans[0];
        if (err == SCOPE_OK && count > 1)
                err = change(&plans[1], flags.what_if, &diag);
        if (err != SCOPE_OK) {
                (void)fprintf(stderr, "error: %s\n", diag.text);
                return err == SCOPE_ERR_ARGUMENT || err == SCOPE_ERR_UNSUPPORTED
                               ? SCOPE_EXIT_USAGE
                               : SCOPE_EXIT_PRECONDITION;
        }
        for (int i = 0; i < count; i++)
                scope_plan_reckon(&plans[i]);
        if (arguments->json) {
                scope_json_open(&text, NULL, '{');
                json_plan(&text, "plan", &plans[0]);
                if (count > 1)
                        json_plan(&text, "what_if", &plans[1]);
                scope_json_close(&text, '}');
                return scope_output_json(&text);
        }
        print(&text, plans, count);
        return scope_output(&text);
}

const struct scope_command scope_plan_command = {
        .name = "plan",
        .words = "CONFIG...",
        .help = "memory, rates, the knee, the best split of devices and the teacher's bill",
        .flags = rows,
        .base = &flags,
        .takes = SCOPE_TAKES_CONFIG,
        .run = run,
};
