#include "algorithm/objective.h"

#include <math.h>
#include <stddef.h>

#include "base/check.h"

static const char *const suffix_form_names[] = { "wll_sg", "luffy", "nll", NULL };
static const char *const agg_names[] = { "token_mean", "seq_mean_token_mean", "seq_sum_const",
        NULL };

const struct scope_option scope_objective_option_table[] = {
        SCOPE_BOOL_OPTION(scope_objective_options, clip_enable, "true",
                "clip the ratio of policy tokens"),
        SCOPE_FLOAT_OPTION(scope_objective_options, clip_lo, "0.2", 0, 1,
                "ratios below 1 - clip_lo push no further down"),
        SCOPE_FLOAT_OPTION(scope_objective_options, clip_hi, "0.2", 0, 100,
                "ratios above 1 + clip_hi push no further up"),
        SCOPE_FLOAT_OPTION(scope_objective_options, clip_dual, "3.0", 0, 1e6,
                "ratios above this push no further down, with a negative advantage; 0 = off"),
        SCOPE_ENUM_OPTION(scope_objective_options, suffix_form, "\"wll_sg\"", suffix_form_names,
                "objective of teacher tokens: weighted log-likelihood, LUFFY's shaped probability, "
                "log-likelihood"),
        SCOPE_BOOL_OPTION(scope_objective_options, suffix_use_adv, "false",
                "multiply the suffix objective by the advantage"),
        SCOPE_FLOAT_OPTION(scope_objective_options, suffix_lambda, "1.0", 0, 1000,
                "factor of the suffix objective"),
        SCOPE_FLOAT_OPTION(scope_objective_options, suffix_gamma, "0.1", 1e-6, 1000,
                "gamma of f(pi) = pi / (pi + gamma)"),
        SCOPE_ENUM_OPTION(scope_objective_options, agg, "\"token_mean\"", agg_names,
                "mean over all tokens, mean of the rows' means, or sums over agg_const"),
        SCOPE_FLOAT_OPTION(scope_objective_options, agg_const, "2048.0", 1, 1e9,
                "tokens that seq_sum_const divides by"),
        SCOPE_FLOAT_OPTION(scope_objective_options, kl_beta, "0.0", 0, 1000,
                "factor of the divergence (k3) from the reference model; 0 loads none"),
        SCOPE_FLOAT_OPTION(scope_objective_options, entropy_coef, "0.0", 0, 1000,
                "factor of the mean token entropy"),
        SCOPE_OPTION_END,
};

enum scope_err scope_objective_check(const struct scope_objective_options *options,
        struct scope_diag *diag)
{
        if (options->clip_dual == 0 || options->clip_dual > 1)
                return SCOPE_OK;
        return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                "loss.clip_dual is %g: a ratio bound must be above 1; 0 turns it off",
                options->clip_dual);
}

void scope_objective_scales(const struct scope_objective_options *options, const uint32_t *tokens,
        uint32_t row_count, double *ret_scale)
{
        uint64_t total = 0, rows = 0;
        for (uint32_t i = 0; i < row_count; i++) {
                total += tokens[i];
                rows += tokens[i] > 0;
        }
        for (uint32_t i = 0; i < row_count; i++) {
                double divisor = (double)total;
                if (options->agg == SCOPE_AGG_SEQ_MEAN_TOKEN_MEAN)
                        divisor = (double)rows * tokens[i];
                else if (options->agg == SCOPE_AGG_SEQ_SUM_CONST)
                        divisor = (double)rows * options->agg_const;
                ret_scale[i] = tokens[i] > 0 ? 1 / divisor : 0;
        }
}

/* What one token adds to the objective, and its derivative by log pi; both before 1/Z. */
struct term {
        double value, slope;
};

static const double log_ratio_max = 20;

/* weightless clipped surrogate of one m = 1 token. */
static struct term policy_term(const struct scope_objective_options *options, double log_ratio,
        double advantage, struct scope_objective_sums *sums)
{
        bool inside = fabs(log_ratio) <= log_ratio_max;
        double x = inside ? log_ratio : log_ratio > 0 ? log_ratio_max : -log_ratio_max;
        double ratio = exp(x);
        sums->ratio += ratio;
        if (ratio > sums->ratio_max)
                sums->ratio_max = ratio;
        double bound = ratio; /* where the clip holds the ratio */
        if (options->clip_enable && advantage > 0 && ratio >= 1 + options->clip_hi) {
                bound = 1 + options->clip_hi;
                sums->clipped_hi++;
        } else if (options->clip_enable && advantage < 0 && ratio <= 1 - options->clip_lo) {
                bound = 1 - options->clip_lo;
                sums->clipped_lo++;
        } else if (options->clip_enable && advantage < 0 && options->clip_dual > 0 &&
                ratio >= options->clip_dual) {
                bound = options->clip_dual;
                sums->clipped_dual++;
        } else if (inside) {
                return (struct term){ ratio * advantage, ratio * advantage };
        }
        return (struct term){ bound * advantage, 0 };
}

/* -beta k3 of one m = 1 token. */
static struct term kl_term(double beta, double logp, double logp_ref,
        struct scope_objective_sums *sums)
{
        double x = logp_ref - logp;
        bool inside = fabs(x) <= log_ratio_max;
        x = inside ? x : x > 0 ? log_ratio_max : -log_ratio_max;
        double k3 = exp(x) - 1 - x;
        sums->kl_ref += k3;
        return (struct term){ -beta * k3, inside ? -beta * (1 - exp(x)) : 0 };
}

/* One teacher token. The slope of wll_sg leaves f(pi) out: it is a weight, not something to raise.
 * */
static struct term suffix_term(const struct scope_objective_options *options, double logp,
        double advantage, struct scope_objective_sums *sums)
{
        double pi = exp(logp), gamma = options->suffix_gamma;
        double shape = pi / (pi + gamma);
        double factor = options->suffix_lambda * (options->suffix_use_adv ? advantage : 1);
        sums->suffix_f += shape;
        sums->suffix_logp += logp;
        switch ((enum scope_suffix_form)options->suffix_form) {
        case SCOPE_SUFFIX_WLL_SG:
                return (struct term){ factor * shape * logp, factor * shape };
        case SCOPE_SUFFIX_LUFFY:
                return (struct term){ factor * shape, factor * shape * gamma / (pi + gamma) };
        case SCOPE_SUFFIX_NLL:
                return (struct term){ factor * logp, factor };
        }
        scope_assert(!"suffix form");
        return (struct term){ 0, 0 };
}

static struct term token_term(const struct scope_objective_options *options,
        const struct scope_objective_row *row, bool policy, uint32_t t,
        struct scope_objective_sums *sums)
{
        if (!policy) {
                sums->suffix_tokens++;
                return suffix_term(options, row->logp[t], row->advantage, sums);
        }
        sums->policy_tokens++;
        double log_ratio = (double)row->logp[t] - row->logp_anchor[t];
        struct term term = policy_term(options, log_ratio, row->advantage, sums);
        if (options->kl_beta > 0) {
                struct term kl = kl_term(options->kl_beta, row->logp[t], row->logp_ref[t], sums);
                term.value += kl.value;
                term.slope += kl.slope;
        }
        return term;
}

float scope_objective_coefficients(const struct scope_objective_options *options,
        const struct scope_objective_row *row, float *ret_coef, struct scope_objective_sums *sums)
{
        scope_assert(options->kl_beta == 0 || row->logp_ref != NULL);
        scope_assert(options->entropy_coef == 0 || row->entropy != NULL);
        for (uint32_t t = 0; t < row->count; t++)
                ret_coef[t] = 0;
        for (uint32_t i = 0; i < row->segment_count; i++) {
                const struct scope_segment *segment = &row->segments[i];
                scope_assert(segment->begin + segment->count <= row->count);
                if (segment->loss == SCOPE_LOSS_NONE)
                        continue;
                bool policy = segment->loss == SCOPE_LOSS_POLICY;
                double *share = policy ? &sums->policy_coef : &sums->suffix_coef;
                for (uint32_t t = segment->begin; t < segment->begin + segment->count; t++) {
                        struct term term = token_term(options, row, policy, t, sums);
                        double weight = row->scale * segment->weight *
                                (row->weight != NULL ? row->weight[t] : 1);
                        /* A masked token is out whatever its numbers are. */
                        double coef = weight != 0 ? weight * term.slope : 0;
                        ret_coef[t] = (float)coef;
                        *share += fabs(coef);
                        sums->objective += weight != 0 ? weight * term.value : 0;
                        if (row->entropy != NULL) {
                                sums->entropy += row->entropy[t];
                                sums->objective +=
                                        row->scale * options->entropy_coef * row->entropy[t];
                        }
                }
        }
        return (float)(options->entropy_coef * row->scale);
}

void scope_objective_sums_add(struct scope_objective_sums *sums,
        const struct scope_objective_sums *more)
{
        sums->objective += more->objective;
        sums->policy_tokens += more->policy_tokens;
        sums->suffix_tokens += more->suffix_tokens;
        sums->clipped_lo += more->clipped_lo;
        sums->clipped_hi += more->clipped_hi;
        sums->clipped_dual += more->clipped_dual;
        sums->ratio += more->ratio;
        if (more->ratio_max > sums->ratio_max)
                sums->ratio_max = more->ratio_max;
        sums->suffix_f += more->suffix_f;
        sums->suffix_logp += more->suffix_logp;
        sums->policy_coef += more->policy_coef;
        sums->suffix_coef += more->suffix_coef;
        sums->entropy += more->entropy;
        sums->kl_ref += more->kl_ref;
}
