#include "algorithm/advantage.h"

#include <math.h>
#include <stddef.h>

#include "base/check.h"
#include "base/limits.h"

static const char *const adv_std_names[] = { "sample", "none", "population", NULL };
static const char *const adv_members_names[] = { "all", "on_policy", NULL };
static const char *const prm_reward_names[] = { "off", "mean", "min", "prod", NULL };

const struct scope_option scope_advantage_option_table[] = {
        SCOPE_ENUM_OPTION(scope_advantage_options, adv_std, "\"sample\"", adv_std_names,
                "what advantages are divided by: standard deviation (n - 1), nothing, or (n)"),
        SCOPE_FLOAT_OPTION(scope_advantage_options, adv_eps, "1e-6", 0, 1,
                "added to the standard deviation"),
        SCOPE_ENUM_OPTION(scope_advantage_options, adv_members, "\"all\"", adv_members_names,
                "rollouts that define mean and deviation: all, or those without teacher tokens"),
        SCOPE_ENUM_OPTION(scope_advantage_options, prm_reward, "\"off\"", prm_reward_names,
                "added to the outcome: nothing, or the mean, least or product of step scores"),
        SCOPE_FLOAT_OPTION(scope_advantage_options, prm_reward_coef, "1.0", 0, 100,
                "factor of prm_reward"),
        SCOPE_OPTION_END,
};

float scope_advantage_prm_reward(const struct scope_advantage_options *options, const float *p,
        uint32_t step_count)
{
        if (options->prm_reward == SCOPE_PRM_REWARD_OFF || step_count == 0)
                return 0;
        double sum = 0, least = p[0], product = 1;
        for (uint32_t j = 0; j < step_count; j++) {
                sum += p[j];
                product *= p[j];
                if (p[j] < least)
                        least = p[j];
        }
        if (options->prm_reward == SCOPE_PRM_REWARD_MEAN)
                return (float)(sum / step_count);
        return (float)(options->prm_reward == SCOPE_PRM_REWARD_MIN ? least : product);
}

/* Mean and standard deviation of those values that count. Differences from the first keep an
 * all-equal group exactly at its mean. */
static void moments(const struct scope_advantage_options *options, const double *values,
        const bool *skip, uint32_t count, double *ret_mean, double *ret_deviation)
{
        double first = 0, sum = 0, square = 0;
        uint32_t n = 0;
        for (uint32_t i = 0; i < count; i++) {
                if (skip != NULL && skip[i])
                        continue;
                if (n == 0)
                        first = values[i];
                sum += values[i] - first;
                n++;
        }
        double mean = n > 0 ? first + sum / n : 0;
        for (uint32_t i = 0; i < count; i++) {
                if (skip == NULL || !skip[i])
                        square += (values[i] - mean) * (values[i] - mean);
        }
        uint32_t divisor = options->adv_std == SCOPE_ADV_STD_SAMPLE && n > 0 ? n - 1 : n;
        *ret_mean = mean;
        *ret_deviation = divisor > 0 ? sqrt(square / divisor) : 0;
}

void scope_advantage_group(const struct scope_advantage_options *options, const float *rewards,
        const float *prm, const bool *mixed, uint32_t count, float *ret_advantages)
{
        scope_assert(count <= SCOPE_GROUP_SAMPLES_MAX);
        double values[SCOPE_GROUP_SAMPLES_MAX], mean, deviation;
        for (uint32_t i = 0; i < count; i++)
                values[i] = rewards[i] + (prm != NULL ? options->prm_reward_coef * prm[i] : 0);
        const bool *skip = options->adv_members == SCOPE_ADV_ON_POLICY ? mixed : NULL;
        moments(options, values, skip, count, &mean, &deviation);
        /* Without spread among the members a repaired rollout would be divided by eps alone. */
        double divisor = options->adv_std == SCOPE_ADV_STD_NONE || deviation == 0 ?
                1 :
                deviation + options->adv_eps;
        for (uint32_t i = 0; i < count; i++)
                ret_advantages[i] = (float)((values[i] - mean) / divisor);
}
