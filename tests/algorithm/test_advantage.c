/* Advantages of algorithm.md 1.6 and their properties. */
#include "tests/test.h"

#include "algorithm/advantage.h"
#include "base/rng.h"
#include "tests/algorithm/defaults.h"

static void check(const struct scope_advantage_options *options, const float *rewards,
        const bool *mixed, double right, double wrong)
{
        float advantages[8];
        scope_advantage_group(options, rewards, NULL, mixed, 8, advantages);
        for (int i = 0; i < 8; i++)
                assert_close(advantages[i], rewards[i] > 0 ? right : wrong, 1e-6);
}

static const float two_of_eight[8] = { 1, 0, 0, 0, 1, 0, 0, 0 };
static const float three_of_eight[8] = { 1, 1, 0, 0, 1, 0, 0, 0 };
static const float one_of_eight[8] = { 1 };

static void test_vectors_of_the_specification(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(advantage, options);
        check(&options, two_of_eight, NULL, 1.620182, -0.540061);
        check(&options, three_of_eight, NULL, 1.207612, -0.724567);
        check(&options, one_of_eight, NULL, 2.474867, -0.353552);
}

static void test_deviation_can_be_population_or_none(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(advantage, options);
        options.adv_std = SCOPE_ADV_STD_POPULATION;
        check(&options, two_of_eight, NULL, 0.75 / (0.4330127 + 1e-6), -0.25 / (0.4330127 + 1e-6));
        options.adv_std = SCOPE_ADV_STD_NONE;
        check(&options, two_of_eight, NULL, 0.75, -0.25);
}

static void test_eps_is_added_to_the_deviation(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(advantage, options);
        options.adv_std = SCOPE_ADV_STD_POPULATION;
        options.adv_eps = 0.4330127018922193;
        check(&options, two_of_eight, NULL, 0.8660254, -0.2886751);
}

static void test_members_on_policy_leave_the_repaired_out(void **state)
{
        (void)state;
        const bool mixed[8] = { true };
        SCOPE_DEFAULTS(advantage, options);
        options.adv_members = SCOPE_ADV_ON_POLICY;
        check(&options, one_of_eight, mixed, 1, 0); /* no spread among the others: not divided */
        options.adv_std = SCOPE_ADV_STD_NONE;
        check(&options, three_of_eight, mixed, 1 - 2.0 / 7, -2.0 / 7);
        check(&options, three_of_eight, NULL, 1 - 3.0 / 8, -3.0 / 8);
}

static void test_equal_rewards_give_no_advantage(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(advantage, options);
        float rewards[7], advantages[7];
        for (int i = 0; i < 7; i++)
                rewards[i] = 0.1f;
        scope_advantage_group(&options, rewards, NULL, NULL, 7, advantages);
        for (int i = 0; i < 7; i++)
                assert_true(advantages[i] == 0);
        scope_advantage_group(&options, rewards, NULL, NULL, 1, advantages);
        assert_true(advantages[0] == 0);
}

static void test_advantages_sum_to_zero(void **state)
{
        (void)state;
        struct scope_rng rng = scope_rng_make(9);
        SCOPE_DEFAULTS(advantage, options);
        for (int round = 0; round < 2000; round++) {
                float rewards[64], prm[64], advantages[64];
                uint32_t count = 1 + (uint32_t)scope_rng_below(&rng, 64);
                options.adv_std = (int)scope_rng_below(&rng, 3);
                for (uint32_t i = 0; i < count; i++) {
                        rewards[i] = (float)scope_rng_below(&rng, 2);
                        prm[i] = (float)scope_rng_uniform(&rng);
                }
                scope_advantage_group(&options, rewards, round % 2 ? prm : NULL, NULL, count,
                        advantages);
                double sum = 0;
                for (uint32_t i = 0; i < count; i++)
                        sum += advantages[i];
                assert_close(sum, 0, 1e-5);
        }
}

static void test_prm_reward_kinds(void **state)
{
        (void)state;
        const float p[] = { 0.5f, 0.25f, 1.0f };
        SCOPE_DEFAULTS(advantage, options);
        assert_true(scope_advantage_prm_reward(&options, p, 3) == 0);
        options.prm_reward = SCOPE_PRM_REWARD_MEAN;
        assert_close(scope_advantage_prm_reward(&options, p, 3), 1.75 / 3, 1e-7);
        options.prm_reward = SCOPE_PRM_REWARD_MIN;
        assert_true(scope_advantage_prm_reward(&options, p, 3) == 0.25f);
        options.prm_reward = SCOPE_PRM_REWARD_PROD;
        assert_true(scope_advantage_prm_reward(&options, p, 3) == 0.125f);
        assert_true(scope_advantage_prm_reward(&options, p, 0) == 0);
}

static void test_prm_reward_is_added_with_its_factor(void **state)
{
        (void)state;
        const float rewards[2] = { 1, 0 }, prm[2] = { 0.5f, 1.0f };
        float advantages[2];
        SCOPE_DEFAULTS(advantage, options);
        options.adv_std = SCOPE_ADV_STD_NONE;
        options.prm_reward_coef = 2;
        scope_advantage_group(&options, rewards, prm, NULL, 2, advantages);
        assert_true(advantages[0] == 0 && advantages[1] == 0); /* 1 + 2 * 0.5 = 0 + 2 * 1 */
        options.prm_reward_coef = 1;
        scope_advantage_group(&options, rewards, prm, NULL, 2, advantages);
        assert_true(advantages[0] == 0.25f && advantages[1] == -0.25f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_vectors_of_the_specification),
                cmocka_unit_test(test_deviation_can_be_population_or_none),
                cmocka_unit_test(test_eps_is_added_to_the_deviation),
                cmocka_unit_test(test_members_on_policy_leave_the_repaired_out),
                cmocka_unit_test(test_equal_rewards_give_no_advantage),
                cmocka_unit_test(test_advantages_sum_to_zero),
                cmocka_unit_test(test_prm_reward_kinds),
                cmocka_unit_test(test_prm_reward_is_added_with_its_factor),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
