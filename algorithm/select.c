#include "algorithm/select.h"

#include <math.h>
#include <stddef.h>

#include "algorithm/statistics.h"
#include "base/check.h"
#include "base/limits.h"

static const char *const zero_prefix_names[] = { "refine", "skip", NULL };

const struct scope_option scope_select_option_table[] = {
        SCOPE_INT_OPTION(scope_select_options, min_failures, "2", 2, SCOPE_GROUP_SAMPLES_MAX,
                "failures a group must have to be repaired"),
        SCOPE_INT_OPTION(scope_select_options, repairs_per_group, "1", 0, 1,
                "failed rollouts repaired in a group; 0 = plain GRPO"),
        SCOPE_FLOAT_OPTION(scope_select_options, gauss_denom, "2.0", 1e-3, 1e6,
                "c of exp(-(x - mean)^2 / (c variance)), the length weight"),
        SCOPE_BOOL_OPTION(scope_select_options, prefer_located, "true",
                "repair a rollout whose error was located, where there is one"),
        SCOPE_ENUM_OPTION(scope_select_options, zero_prefix, "\"refine\"", zero_prefix_names,
                "a rollout wrong from its first step on: refine or skip it"),
        SCOPE_BOOL_OPTION(scope_select_options, allow_truncated, "true",
                "repair rollouts that hit the length limit"),
        SCOPE_INT_OPTION(scope_select_options, force_k, "-1", -1, 0,
                "0 = keep no step of the chosen rollout; -1 = keep the verified ones"),
        SCOPE_OPTION_END,
};

bool scope_select_due(const struct scope_select_options *options, uint32_t failures)
{
        return options->repairs_per_group > 0 && (int64_t)failures >= options->min_failures;
}

/* 1 at the mean; 1 everywhere when the members do not differ. */
static double length_weight(double x, double mean, double variance, double denom)
{
        const double sigma_min = 1e-6, exponent_min = -80;
        if (variance <= 0)
                return 1;
        if (variance < sigma_min * sigma_min)
                variance = sigma_min * sigma_min;
        double exponent = -(x - mean) * (x - mean) / (denom * variance);
        return exp(exponent > exponent_min ? exponent : exponent_min);
}

double scope_select_score(const struct scope_select_options *options,
        const struct scope_candidate *candidate, const struct scope_length_moments *moments)
{
        if (candidate->steps == 0 || candidate->tokens == 0)
                return 0;
        double alpha = length_weight(candidate->steps, moments->step_mean, moments->step_variance,
                options->gauss_denom);
        double beta = length_weight(candidate->tokens, moments->token_mean,
                moments->token_variance, options->gauss_denom);
        double kept_steps = (double)candidate->kept_steps / candidate->steps;
        double kept_tokens = (double)candidate->kept_tokens / candidate->tokens;
        return alpha * beta * (kept_steps + kept_tokens);
}

static bool is_eligible(const struct scope_select_options *options,
        const struct scope_candidate *candidate)
{
        if (candidate->steps == 0 || candidate->tokens == 0)
                return false;
        if (candidate->truncated && !options->allow_truncated)
                return false;
        return candidate->kept_steps > 0 || options->zero_prefix == SCOPE_ZERO_PREFIX_REFINE;
}

struct ranked {
        const struct scope_candidate *candidate;
        double score;
};

/* A total order, as samples differ: score, then t/T, then the smaller sample. */
static bool is_before(const struct ranked *a, const struct ranked *b)
{
        if (a->score != b->score)
                return a->score > b->score;
        uint64_t left = (uint64_t)a->candidate->kept_tokens * b->candidate->tokens;
        uint64_t right = (uint64_t)b->candidate->kept_tokens * a->candidate->tokens;
        if (left != right)
                return left > right;
        return a->candidate->sample < b->candidate->sample;
}

static void insert(struct ranked *list, uint32_t count, struct ranked item)
{
        uint32_t at = count;
        while (at > 0 && is_before(&item, &list[at - 1])) {
                list[at] = list[at - 1];
                at--;
        }
        list[at] = item;
}

uint32_t scope_select_rank(const struct scope_select_options *options,
        const struct scope_select_request *request, struct scope_choice *ret_choices)
{
        scope_assert(request->candidate_count <= SCOPE_GROUP_SAMPLES_MAX);
        struct scope_length_moments moments = scope_length_moments((struct scope_length_members){
                request->member_steps, request->member_tokens, request->member_count });
        struct ranked list[SCOPE_GROUP_SAMPLES_MAX];
        uint32_t count = 0;
        bool located = false;
        for (uint32_t i = 0; i < request->candidate_count; i++) {
                const struct scope_candidate *candidate = &request->candidates[i];
                if (!is_eligible(options, candidate))
                        continue;
                if (options->prefer_located && candidate->located && !located) {
                        located = true;
                        count = 0; /* those without a located error no longer count */
                }
                if (located && !candidate->located)
                        continue;
                double score = scope_select_score(options, candidate, &moments);
                insert(list, count++, (struct ranked){ candidate, score });
        }
        for (uint32_t i = 0; i < count; i++) {
                const struct scope_candidate *candidate = list[i].candidate;
                bool keep = options->force_k != 0;
                ret_choices[i] = (struct scope_choice){
                        .sample = candidate->sample,
                        .kept_steps = keep ? candidate->kept_steps : 0,
                        .kept_tokens = keep ? candidate->kept_tokens : 0,
                        .steps = candidate->steps,
                        .tokens = candidate->tokens,
                        .score = (float)list[i].score,
                };
        }
        return count;
}
