/* advantage.h - group-normalised advantages (algorithm.md 1.6).
 * Why: a reward means something only beside its group's. (1) n <= G is the size; nothing assumes G.
 * (2) With all members, the advantages of a group sum to 0. (3) An all-equal group has advantage
 * 0. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/option.h"

enum scope_adv_std { SCOPE_ADV_STD_SAMPLE, SCOPE_ADV_STD_NONE, SCOPE_ADV_STD_POPULATION };
enum scope_adv_members { SCOPE_ADV_ALL, SCOPE_ADV_ON_POLICY };
enum scope_prm_reward { SCOPE_PRM_REWARD_OFF, SCOPE_PRM_REWARD_MEAN, SCOPE_PRM_REWARD_MIN,
        SCOPE_PRM_REWARD_PROD };

struct scope_advantage_options {
        int adv_std;            /* enum scope_adv_std */
        double adv_eps;
        int adv_members;        /* enum scope_adv_members: who defines mean and std */
        int prm_reward;         /* enum scope_prm_reward: added to the outcome before normalising */
        double prm_reward_coef;
};
extern const struct scope_option scope_advantage_option_table[]; /* [loss] */

/* What the PRM adds to a rollout's reward: mean, least or product of its step probabilities, 0
 * when off or without steps. The sum of it times prm_reward_coef with the outcome is the reward.
 * thread  any; pure */
float scope_advantage_prm_reward(const struct scope_advantage_options *options, const float *p,
        uint32_t step_count);

/* in      rewards [count]; prm [count]: of scope_advantage_prm_reward, NULL = 0; mixed [count]:
 * true where a
 *         teacher wrote part of it, NULL = none; count <= SCOPE_GROUP_SAMPLES_MAX
 * out     ret_advantages [count]
 * thread  any; pure */
void scope_advantage_group(const struct scope_advantage_options *options, const float *rewards,
        const float *prm, const bool *mixed, uint32_t count, float *ret_advantages);
