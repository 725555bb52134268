#include "cli/plan_rates.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

enum scope_err scope_plan_shape(
        const char *words, struct scope_model_config *ret_config, struct scope_diag *diag)
{
        struct scope_model_config config = { .model_type = "llama" };
        unsigned tied = 0;
        const struct {
                const char *name;
                uint32_t *to;
        } fields[] = { { "layers", &config.layers }, { "hidden", &config.hidden },
                { "heads", &config.heads }, { "kv_heads", &config.kv_heads },
                { "head_dim", &config.head_dim }, { "ffn", &config.ffn },
                { "vocab", &config.vocab }, { "tied", &tied } };
        enum { FIELDS = sizeof fields / sizeof fields[0] };
        for (const char *at = words; *at != 0;) {
                char name[16];
                unsigned value, i = 0;
                int used = 0;
                bool good = sscanf(at, "%15[a-z_]=%u%n", name, &value, &used) == 2 &&
                            (at[used] == ',' || at[used] == 0);
                while (good && i < FIELDS && strcmp(fields[i].name, name) != 0)
                        i++;
                if (!good || i == FIELDS)
                        return scope_diag_set(diag, SCOPE_ERR_FORMAT,
                                "\"%.40s\" is no part of a shape; write layers=28,hidden=3584,"
                                "heads=28,kv_heads=4,head_dim=128,ffn=18944,vocab=152064,tied=0",
                                at);
                *fields[i].to = value;
                at += used + (at[used] == ',');
        }
        config.tied = tied != 0;
        for (int i = 0; i + 1 < FIELDS; i++)
                if (*fields[i].to == 0)
                        return scope_diag_set(
                                diag, SCOPE_ERR_FORMAT, "a shape needs %s", fields[i].name);
        *ret_config = config;
        return SCOPE_OK;
}

double scope_plan_parameters(const struct scope_model_config *c)
{
        double hidden = c->hidden, head = c->head_dim;
        double attention = hidden * head * (2.0 * c->heads + 2.0 * c->kv_heads);
        double layer = attention + 3 * hidden * c->ffn + 2 * hidden;
        return layer * c->layers + hidden * c->vocab * (c->tied ? 1 : 2) + hidden;
}

/* --- memory --------------------------------------------------------------------------------- */

static double cache_bytes(const struct scope_plan *plan, const struct scope_model_config *c)
{
        return 2.0 * c->layers * c->kv_heads * c->head_dim * plan->parameter_bytes;
}

static void reckon_memory(struct scope_plan *plan)
{
        const struct scope_model_config *c = &plan->policy;
        double parameters = scope_plan_parameters(c);
        struct scope_plan_memory *rollout = &plan->memory[SCOPE_PLAN_ROLLOUT];
        struct scope_plan_memory *prm = &plan->memory[SCOPE_PLAN_PRM];
        struct scope_plan_memory *learner = &plan->memory[SCOPE_PLAN_LEARNER];
        memset(plan->memory, 0, sizeof plan->memory);
        double per_actor = fmax(1, plan->devices[SCOPE_PLAN_ROLLOUT] / fmax(1, plan->actors));
        rollout->weights = parameters * plan->parameter_bytes / per_actor;
        rollout->cache = plan->slots * plan->context * cache_bytes(plan, c) / per_actor;
        if (plan->scored) {
                prm->weights = scope_plan_parameters(&plan->scorer) * plan->parameter_bytes /
                               fmax(1, plan->devices[SCOPE_PLAN_PRM]);
                prm->cache = plan->samples * plan->context * cache_bytes(plan, &plan->scorer);
        }
        /* master weights, two moments and gradients in f32, each device its range of them */
        learner->weights = parameters * plan->parameter_bytes;
        learner->optimiser = 16 * parameters / fmax(1, plan->devices[SCOPE_PLAN_LEARNER]);
        /* what backward needs of a token: per layer the input, norms, q k v, attention and MLP */
        double layer =
                6.0 * c->hidden + (2.0 * c->heads + 2.0 * c->kv_heads) * c->head_dim + 3.0 * c->ffn;
        double kept = plan->recompute ? layer + (double)c->layers * c->hidden : layer * c->layers;
        learner->activations = plan->microbatch_tokens * kept * plan->parameter_bytes;
        for (int role = 0; role < SCOPE_PLAN_ROLES; role++) {
                struct scope_plan_memory *m = &plan->memory[role];
                m->total = m->weights + m->cache + m->optimiser + m->activations;
        }
}

bool scope_plan_fits(const struct scope_plan *plan, enum scope_plan_role role)
{
        return plan->device_memory == 0 || plan->memory[role].total <= plan->device_memory;
}

/* --- rates ---------------------------------------------------------------------------------- */

static void estimate(struct scope_plan *plan, enum scope_plan_role role, double value)
{
        if (plan->rate[role].source != SCOPE_PLAN_UNKNOWN || !(value > 0))
                return;
        plan->rate[role] = (struct scope_plan_rate){ value, SCOPE_PLAN_ESTIMATED };
}

/* Decoding reads weights and caches once a step for all slots; the rest is bound by compute: two
 * operations a parameter and token forward, six with backward. */
static void estimate_rates(struct scope_plan *plan)
{
        const struct scope_plan_options *in = &plan->input;
        double read = plan->memory[SCOPE_PLAN_ROLLOUT].weights +
                      plan->slots * (in->prompt_tokens + in->response_tokens / 2) *
                              cache_bytes(plan, &plan->policy);
        double flops = in->compute * 1e12 * in->use_compute;
        double parameters = scope_plan_parameters(&plan->policy);
        double by_bandwidth = plan->slots * in->bandwidth * 1e9 * in->use_bandwidth / read;
        double by_compute = flops / (2 * parameters);
        estimate(plan, SCOPE_PLAN_ROLLOUT, fmin(by_bandwidth, by_compute));
        if (plan->scored)
                estimate(plan, SCOPE_PLAN_PRM, flops / (2 * scope_plan_parameters(&plan->scorer)));
        estimate(plan, SCOPE_PLAN_LEARNER, flops / (6 * parameters));
}

/* Rates that the configuration simulates with: a rollout with all slots taken. */
static void serve_rates(struct scope_plan *plan)
{
        const struct scope_plan_served *decode = &plan->decode;
        double rate = decode->rate;
        if (decode->least_s > 0)
                rate = fmin(rate, plan->slots / decode->least_s);
        if (rate > 0)
                plan->rate[SCOPE_PLAN_ROLLOUT] = (struct scope_plan_rate){
                        rate * plan->actors / plan->devices[SCOPE_PLAN_ROLLOUT], SCOPE_PLAN_GIVEN
                };
        if (plan->learn.rate > 0)
                plan->rate[SCOPE_PLAN_LEARNER] = (struct scope_plan_rate){
                        plan->learn.rate / plan->devices[SCOPE_PLAN_LEARNER], SCOPE_PLAN_GIVEN
                };
}

static struct scope_capacity capacity_of(const struct scope_plan *plan, const double *devices)
{
        const struct scope_plan_options *in = &plan->input;
        double answer = in->response_tokens, row = in->prompt_tokens + answer;
        double latency_s = (double)in->teacher_latency * 1e-9;
        double rollout_rate = plan->rate[SCOPE_PLAN_ROLLOUT].value * devices[SCOPE_PLAN_ROLLOUT];
        double learn_rate = plan->rate[SCOPE_PLAN_LEARNER].value * devices[SCOPE_PLAN_LEARNER];
        struct scope_capacity c = { .prompts_per_step = plan->prompts,
                .eta = plan->eta,
                .slots = plan->slots * plan->actors,
                .samples = plan->samples,
                .sample_s =
                        rollout_rate > 0 ? answer * plan->slots * plan->actors / rollout_rate : 0,
                .teacher_s = in->refined * latency_s,
                .teacher_concurrency = plan->teacher_calls,
                .learn_s = plan->prompts * plan->samples * row / learn_rate,
                .teacher_calls = in->refined,
                .teacher_rate = plan->teacher_rate,
                .publish_s = (double)in->publish * 1e-9,
                .lost_s = (double)in->swap * 1e-9 };
        c.learn_s = fmax(c.learn_s, plan->learn.least_s);
        if (plan->scored) {
                c.prm_s = in->refined * plan->samples * row / plan->rate[SCOPE_PLAN_PRM].value;
                c.prm_servers = devices[SCOPE_PLAN_PRM];
        }
        c.sojourn_s = c.sample_s * in->longest + in->refined * latency_s;
        if (plan->scored)
                c.sojourn_s += c.prm_s / c.prm_servers;
        return c;
}

/* The rate of the stages alone: credit is chosen, not owned. */
static double stages_rate(const struct scope_rates *rates)
{
        double least = INFINITY;
        for (int term = 0; term < SCOPE_BOUND_TERMS; term++)
                if (term != SCOPE_BOUND_CREDIT)
                        least = fmin(least, rates->of[term]);
        return least;
}

static void search_split(struct scope_plan *plan)
{
        double total = 0, least_prm = plan->scored ? 1 : 0;
        for (int role = 0; role < SCOPE_PLAN_ROLES; role++)
                total += plan->devices[role];
        plan->best_rate = 0;
        for (double r = 1; r + least_prm + 1 <= total; r++)
                for (double p = least_prm; r + p + 1 <= total; p++) {
                        double devices[SCOPE_PLAN_ROLES] = { r, p, total - r - p };
                        if (!plan->scored && p > 0)
                                break;
                        /* one rollout a device, each with its slots */
                        struct scope_plan other = *plan;
                        other.actors = plan->actors * r / plan->devices[SCOPE_PLAN_ROLLOUT];
                        struct scope_capacity c = capacity_of(&other, devices);
                        struct scope_rates rates = scope_overlap_rates(&c);
                        double rate = stages_rate(&rates);
                        if (rate > plan->best_rate * (1 + 1e-9)) {
                                plan->best_rate = rate;
                                memcpy(plan->best, devices, sizeof devices);
                        }
                }
}

/* All roles on the same cores: what a group costs, over what there is. */
static void share_cores(struct scope_plan *plan)
{
        plan->capacity.cores = plan->devices[SCOPE_PLAN_LEARNER];
        plan->capacity.cpu_s = plan->group_cpu_s;
        if (plan->group_cpu_s > 0)
                return;
        const struct scope_plan_options *in = &plan->input;
        double row = in->prompt_tokens + in->response_tokens;
        double s = plan->samples * in->response_tokens / plan->rate[SCOPE_PLAN_ROLLOUT].value +
                   plan->samples * row / plan->rate[SCOPE_PLAN_LEARNER].value;
        if (plan->scored)
                s += in->refined * plan->samples * row / plan->rate[SCOPE_PLAN_PRM].value;
        plan->capacity.cpu_s = s;
}

void scope_plan_reckon(struct scope_plan *plan)
{
        struct scope_plan_options *in = &plan->input;
        reckon_memory(plan);
        serve_rates(plan);
        estimate_rates(plan);
        if (in->teacher_tokens_in == 0)
                in->teacher_tokens_in = in->prompt_tokens + in->response_tokens / 2;
        if (in->teacher_tokens_out == 0)
                in->teacher_tokens_out = in->response_tokens / 2;
        plan->calls_a_step = plan->prompts * in->refined;
        plan->cost_a_step = in->price_in + in->price_out > 0
                                    ? plan->calls_a_step * 1e-6 *
                                              (in->teacher_tokens_in * in->price_in +
                                                      in->teacher_tokens_out * in->price_out)
                                    : NAN;
        bool known = (plan->rate[SCOPE_PLAN_ROLLOUT].value > 0 || plan->group_cpu_s > 0) &&
                     plan->rate[SCOPE_PLAN_LEARNER].value > 0 &&
                     (!plan->scored || plan->rate[SCOPE_PLAN_PRM].value > 0);
        plan->rates = (struct scope_rates){ .least = NAN, .knee = NAN };
        for (int term = 0; term < SCOPE_BOUND_TERMS; term++)
                plan->rates.of[term] = NAN;
        plan->teacher_needed = plan->best_rate = NAN;
        if (!known)
                return;
        plan->capacity = capacity_of(plan, plan->devices);
        if (plan->shared)
                share_cores(plan);
        if (plan->sojourn_s > 0)
                plan->capacity.sojourn_s = plan->sojourn_s;
        plan->rates = scope_overlap_rates(&plan->capacity);
        /* the others at full speed */
        struct scope_rates others = plan->rates;
        others.of[SCOPE_BOUND_TEACHER] = INFINITY;
        plan->teacher_needed = stages_rate(&others) * plan->capacity.teacher_s;
        if (!plan->shared)
                search_split(plan);
}
