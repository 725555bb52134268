#include <math.h>
#include <stdio.h>

#include "cli/plan_rates.h"
#include "tests/test.h"

static const char SEVEN_B[] =
        "layers=28,hidden=3584,heads=28,kv_heads=4,head_dim=128,ffn=18944,vocab=152064";

/* Round numbers: plan.prompt_tokens, plan.response_tokens, plan.longest, plan.refined,
 * plan.publish, plan.swap, plan.teacher_latency, and prices plan.price_in, plan.price_out of
 * plan.teacher_tokens_in, plan.teacher_tokens_out. */
static struct scope_plan example(void)
{
        struct scope_plan plan = { .scored = true,
                .devices = { 4, 1, 2 },
                .actors = 4,
                .prompts = 32,
                .samples = 8,
                .slots = 64,
                .teacher_calls = 16,
                .eta = 1,
                .parameter_bytes = 2,
                .microbatch_tokens = 1000,
                .context = 2000,
                .input = { .prompt_tokens = 100,
                        .response_tokens = 900,
                        .longest = 2,
                        .refined = 0.5,
                        .teacher_latency = 20000000000,
                        .publish = 1000000000,
                        .swap = 500000000,
                        .teacher_tokens_in = 1000,
                        .teacher_tokens_out = 500,
                        .price_in = 1,
                        .price_out = 4,
                        .use_bandwidth = 0.5,
                        .use_compute = 0.5 } };
        struct scope_diag diag;
        assert_ok(scope_plan_shape(SEVEN_B, &plan.policy, &diag)); /* plan.shape, plan.prm_shape */
        plan.scorer = plan.policy;
        return plan;
}

static void test_given_rates_give_the_formulas_of_the_survey(void **state)
{
        (void)state;
        struct scope_plan plan = example();
        /* plan.decode_rate, plan.prm_rate, plan.learn_rate */
        plan.rate[SCOPE_PLAN_ROLLOUT] = (struct scope_plan_rate){ 2000, SCOPE_PLAN_GIVEN };
        plan.rate[SCOPE_PLAN_PRM] = (struct scope_plan_rate){ 8000, SCOPE_PLAN_GIVEN };
        plan.rate[SCOPE_PLAN_LEARNER] = (struct scope_plan_rate){ 3200, SCOPE_PLAN_GIVEN };
        scope_plan_reckon(&plan);
        /* X_D = R rate / (G len), slowed by T_x / B; X_P; X_H = C / (m lambda); X_L = B / (T_L +
         * T_W) */
        assert_close(plan.rates.of[SCOPE_BOUND_DECODE], 1 / (8 * 900 / 8000.0 + 0.5 / 32), 1e-9);
        assert_close(plan.rates.of[SCOPE_BOUND_PRM], 8000 / (0.5 * 8 * 1000), 1e-9);
        assert_close(plan.rates.of[SCOPE_BOUND_TEACHER], 16 / (0.5 * 20), 1e-9);
        assert_close(plan.rates.of[SCOPE_BOUND_LEARNER], 32 / (32 * 8 * 1000 / 6400.0 + 1), 1e-9);
        double sample_s = 900 * 256 / 8000.0, sojourn_s = 2 * sample_s + 10 + 0.5;
        assert_close(plan.rates.of[SCOPE_BOUND_CREDIT], 2 * 32 / (sojourn_s + 41), 1e-9);
        assert_int_equal(plan.rates.binding, SCOPE_BOUND_CREDIT);
        assert_close(plan.rates.knee, 32 / 41.0 * (sojourn_s + 41) / 32 - 1, 1e-9);
        assert_close(plan.calls_a_step, 16, 1e-9);
        assert_close(plan.cost_a_step, 16 * (1000 * 1 + 500 * 4) * 1e-6, 1e-12);
        assert_close(plan.teacher_needed, 32 / 41.0 * 10, 1e-9);
}

static void test_a_simulation_by_the_token_is_planned_with_its_rates(void **state)
{
        (void)state;
        struct scope_plan plan = example();
        memset(plan.rate, 0, sizeof plan.rate);
        plan.rate[SCOPE_PLAN_PRM] = (struct scope_plan_rate){ 20000, SCOPE_PLAN_GIVEN };
        plan.decode = (struct scope_plan_served){ 1000, 0.1 }; /* 64 slots: 640 tokens/s */
        plan.learn = (struct scope_plan_served){ 8000, 50 };
        plan.teacher_rate = 0.25;
        scope_plan_reckon(&plan);
        double group = plan.samples * 900, row = plan.samples * 1000;
        assert_close(plan.rates.of[SCOPE_BOUND_DECODE],
                1 / (group / (640 * plan.actors) + 0.5 / 32), 1e-9);
        assert_close(
                plan.rates.of[SCOPE_BOUND_LEARNER], 32 / (fmax(32 * row / 8000, 50) + 1), 1e-9);
        assert_close(plan.rates.of[SCOPE_BOUND_TEACHER], 0.5, 1e-9); /* half of them need it */
        plan.slots = 200; /* --what-if rollout.slots=200: more than it can use */
        scope_plan_reckon(&plan);
        assert_close(plan.rates.of[SCOPE_BOUND_DECODE],
                1 / (group / (1000 * plan.actors) + 0.5 / 32), 1e-9);
}

static void test_the_best_split_is_no_worse_and_uses_every_device(void **state)
{
        (void)state;
        struct scope_plan plan = example();
        plan.teacher_calls = 1000;
        for (int role = 0; role < SCOPE_PLAN_ROLES; role++)
                plan.rate[role] = (struct scope_plan_rate){ 3000, SCOPE_PLAN_GIVEN };
        plan.rate[SCOPE_PLAN_LEARNER].value = 1000;
        scope_plan_reckon(&plan);
        double sum = 0, stages = INFINITY;
        for (int role = 0; role < SCOPE_PLAN_ROLES; role++)
                sum += plan.best[role];
        for (int term = 0; term < SCOPE_BOUND_TERMS; term++)
                if (term != SCOPE_BOUND_CREDIT)
                        stages = fmin(stages, plan.rates.of[term]);
        assert_close(sum, 7, 0);
        assert_true(plan.best_rate > stages);
        assert_true(plan.best[SCOPE_PLAN_LEARNER] > 2); /* it was the slow one */
}

static void test_memory_of_seven_billion_parameters(void **state)
{
        (void)state;
        struct scope_plan plan = example();
        assert_close(scope_plan_parameters(&plan.policy), 7.616e9, 0.005e9); /* its model card */
        scope_plan_reckon(&plan);
        assert_close(plan.memory[SCOPE_PLAN_ROLLOUT].weights, 15.2e9, 0.1e9);
        assert_close(plan.memory[SCOPE_PLAN_ROLLOUT].cache, 64.0 * 2000 * 2 * 28 * 4 * 128 * 2, 1);
        assert_close(plan.memory[SCOPE_PLAN_LEARNER].optimiser,
                16 * scope_plan_parameters(&plan.policy) / 2, 1e3);
        plan.microbatch_tokens *= 2;
        double before = plan.memory[SCOPE_PLAN_LEARNER].activations;
        scope_plan_reckon(&plan);
        assert_close(plan.memory[SCOPE_PLAN_LEARNER].activations, 2 * before, 1);
        plan.recompute = true; /* the inputs of 28 layers, and one layer */
        scope_plan_reckon(&plan);
        assert_true(plan.memory[SCOPE_PLAN_LEARNER].activations < before / 4);
        plan.recompute = false;
        scope_plan_reckon(&plan);
        assert_true(scope_plan_fits(&plan, SCOPE_PLAN_LEARNER)); /* nobody said what there is */
        plan.device_memory = 80e9;                               /* plan.device_memory */
        assert_true(scope_plan_fits(&plan, SCOPE_PLAN_PRM));
        assert_false(scope_plan_fits(&plan, SCOPE_PLAN_LEARNER));
}

static void test_a_device_gives_estimates_and_nothing_gives_none(void **state)
{
        (void)state;
        struct scope_plan plan = example();
        scope_plan_reckon(&plan);
        assert_true(isnan(plan.rates.least) && isnan(plan.rates.of[SCOPE_BOUND_LEARNER]));
        plan.input.compute = 300;    /* plan.compute, plan.use_compute */
        plan.input.bandwidth = 2000; /* plan.bandwidth, plan.use_bandwidth */
        scope_plan_reckon(&plan);
        double parameters = scope_plan_parameters(&plan.policy);
        assert_int_equal(plan.rate[SCOPE_PLAN_LEARNER].source, SCOPE_PLAN_ESTIMATED);
        assert_close(plan.rate[SCOPE_PLAN_LEARNER].value, 150e12 / (6 * parameters), 1);
        assert_close(plan.rate[SCOPE_PLAN_PRM].value, 150e12 / (2 * parameters), 1);
        double read = 2 * parameters + 64 * 550.0 * 2 * 28 * 4 * 128 * 2;
        assert_close(plan.rate[SCOPE_PLAN_ROLLOUT].value, 64 * 1000e9 / read, 1);
        assert_true(plan.rates.least > 0);
}

static void test_shapes_are_read_strictly(void **state)
{
        (void)state;
        struct scope_model_config config;
        struct scope_diag diag;
        assert_int_equal(scope_plan_shape("layers=2,hidde=3", &config, &diag), SCOPE_ERR_FORMAT);
        assert_non_null(strstr(diag.text, "\"hidde=3\""));
        assert_int_equal(scope_plan_shape("layers=2", &config, &diag), SCOPE_ERR_FORMAT);
        assert_non_null(strstr(diag.text, "needs hidden"));
        assert_int_equal(scope_plan_shape("layers=x", &config, &diag), SCOPE_ERR_FORMAT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_given_rates_give_the_formulas_of_the_survey),
                cmocka_unit_test(test_a_simulation_by_the_token_is_planned_with_its_rates),
                cmocka_unit_test(test_the_best_split_is_no_worse_and_uses_every_device),
                cmocka_unit_test(test_memory_of_seven_billion_parameters),
                cmocka_unit_test(test_a_device_gives_estimates_and_nothing_gives_none),
                cmocka_unit_test(test_shapes_are_read_strictly),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
