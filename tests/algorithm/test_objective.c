/* Coefficients of the hybrid objective: vectors of algorithm.md 1.7, differences, PyTorch. */
#include "tests/test.h"

#include <jansson.h>
#include <math.h>

#include "algorithm/advantage.h"
#include "algorithm/correction.h"
#include "algorithm/objective.h"
#include "base/rng.h"
#include "tests/algorithm/defaults.h"

static const struct scope_segment policy = { 0, 1, SCOPE_SOURCE_POLICY, SCOPE_LOSS_POLICY, 1 };
static const struct scope_segment teacher = {
        0, 1, SCOPE_SOURCE_TEACHER, SCOPE_LOSS_LIKELIHOOD, 1
};

struct outcome {
        double value, coef;
        struct scope_objective_sums sums;
};

/* One token on its own, 1/Z = 1. */
static struct outcome one_token(const struct scope_objective_options *options,
        const struct scope_segment *segment, double logp, double anchor, double advantage)
{
        float now = (float)logp, then = (float)anchor, coef = 77;
        struct outcome outcome = { 0 };
        struct scope_objective_row row = {
                .logp = &now, .logp_anchor = &then, .segments = segment, .segment_count = 1,
                .count = 1, .advantage = (float)advantage, .scale = 1
        };
        (void)scope_objective_coefficients(options, &row, &coef, &outcome.sums);
        outcome.value = outcome.sums.objective;
        outcome.coef = coef;
        return outcome;
}

static void check_clip(const struct scope_objective_options *options, double ratio,
        double advantage, double value, double coef)
{
        struct outcome outcome = one_token(options, &policy, log(ratio), 0, advantage);
        assert_close(outcome.value, value, 1e-6);
        assert_close(outcome.coef, coef, 1e-6);
}

static void test_clip_vectors(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(objective, options);
        check_clip(&options, 1.3, 1, 1.2, 0);
        check_clip(&options, 1.3, -1, -1.3, -1.3);
        check_clip(&options, 0.7, 1, 0.7, 0.7);
        check_clip(&options, 0.7, -1, -0.8, 0);
        check_clip(&options, 4, -1, -3, 0);
        check_clip(&options, 1, 2, 2, 2);
        options.clip_dual = 0;
        check_clip(&options, 4, -1, -4, -4);
        options.clip_lo = 0.4;
        check_clip(&options, 0.7, -1, -0.7, -0.7);
        options.clip_hi = 0.28;
        check_clip(&options, 1.27, 1, 1.27, 1.27);
        check_clip(&options, 1.3, 1, 1.28, 0);
        options.clip_enable = false;
        check_clip(&options, 1.3, 1, 1.3, 1.3);
        check_clip(&options, 0.5, -1, -0.5, -0.5);
}

static void test_clips_are_counted(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(objective, options);
        assert_int_equal(one_token(&options, &policy, log(1.3), 0, 1).sums.clipped_hi, 1);
        assert_int_equal(one_token(&options, &policy, log(0.7), 0, -1).sums.clipped_lo, 1);
        assert_int_equal(one_token(&options, &policy, log(4), 0, -1).sums.clipped_dual, 1);
        struct outcome free = one_token(&options, &policy, log(1.3), 0, 0);
        assert_int_equal(free.sums.clipped_hi + free.sums.clipped_lo, 0);
        assert_close(free.sums.ratio, 1.3, 1e-6);
        assert_close(free.sums.ratio_max, 1.3, 1e-6);
}

static void test_far_ratio_is_clamped(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(objective, options);
        options.clip_enable = false;
        struct outcome far = one_token(&options, &policy, 0, -30, 1);
        assert_close(far.value / exp(20), 1, 1e-6);
        assert_true(far.coef == 0);
}

static void test_suffix_table(void **state)
{
        (void)state;
        static const double table[][3] = { /* pi, wll_sg, luffy */
                { 0.001, 0.0099, 0.0098 }, { 0.01, 0.091, 0.083 }, { 0.1, 0.5, 0.25 },
                { 0.2, 0.667, 0.222 }, { 0.5, 0.833, 0.139 }, { 1.0, 0.909, 0.083 }
        };
        SCOPE_DEFAULTS(objective, options);
        for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
                double logp = log(table[i][0]);
                options.suffix_form = SCOPE_SUFFIX_WLL_SG;
                assert_close(one_token(&options, &teacher, logp, 0, 1).coef, table[i][1], 6e-4);
                options.suffix_form = SCOPE_SUFFIX_LUFFY;
                assert_close(one_token(&options, &teacher, logp, 0, 1).coef, table[i][2], 6e-4);
                options.suffix_form = SCOPE_SUFFIX_NLL;
                assert_true(one_token(&options, &teacher, logp, 0, 1).coef == 1);
        }
}

static void test_suffix_vector(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(objective, options);
        struct outcome outcome = one_token(&options, &teacher, log(0.2), 0, 1);
        assert_close(outcome.sums.suffix_f, 0.666667, 1e-6);
        assert_close(outcome.value, -1.072959, 1e-6);
        assert_close(outcome.coef, 0.666667, 1e-6);
        options.suffix_form = SCOPE_SUFFIX_LUFFY;
        assert_close(one_token(&options, &teacher, log(0.2), 0, 1).coef, 0.222222, 1e-6);
}

static void test_suffix_knobs(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(objective, options);
        assert_close(one_token(&options, &teacher, log(0.2), 0, -3).coef, 0.666667, 1e-6);
        options.suffix_use_adv = true;
        assert_close(one_token(&options, &teacher, log(0.2), 0, -3).coef, -2, 1e-6);
        options.suffix_lambda = 0.3;
        assert_close(one_token(&options, &teacher, log(0.2), 0, 1).coef, 0.2, 1e-6);
        options.suffix_gamma = 0.2;
        assert_close(one_token(&options, &teacher, log(0.2), 0, 1).coef, 0.15, 1e-6);
}

static void test_wll_sg_never_pushes_a_teacher_token_down(void **state)
{
        (void)state;
        SCOPE_DEFAULTS(objective, options);
        for (double logp = -120; logp <= 0; logp += 0.01) {
                struct outcome outcome = one_token(&options, &teacher, logp, 0, -5);
                assert_true(outcome.coef >= 0 && isfinite(outcome.value));
        }
}

static void test_check_refuses_a_dual_clip_below_one(void **state)
{
        (void)state;
        struct scope_diag diag;
        SCOPE_DEFAULTS(objective, options);
        assert_ok(scope_objective_check(&options, &diag));
        options.clip_dual = 0;
        assert_ok(scope_objective_check(&options, NULL));
        options.clip_dual = 1;
        assert_int_equal(scope_objective_check(&options, &diag), SCOPE_ERR_ARGUMENT);
        assert_non_null(strstr(diag.text, "clip_dual"));
}

static void test_scales_of_each_aggregation(void **state)
{
        (void)state;
        const uint32_t tokens[4] = { 10, 0, 30, 20 };
        double scale[4];
        SCOPE_DEFAULTS(objective, options);
        scope_objective_scales(&options, tokens, 4, scale);
        assert_true(scale[0] == 1.0 / 60 && scale[1] == 0 && scale[3] == 1.0 / 60);
        options.agg = SCOPE_AGG_SEQ_MEAN_TOKEN_MEAN;
        scope_objective_scales(&options, tokens, 4, scale);
        assert_true(scale[0] == 1.0 / 30 && scale[1] == 0 && scale[2] == 1.0 / 90);
        options.agg = SCOPE_AGG_SEQ_SUM_CONST;
        options.agg_const = 100;
        scope_objective_scales(&options, tokens, 4, scale);
        assert_true(scale[0] == 1.0 / 300 && scale[1] == 0 && scale[2] == 1.0 / 300);
}

/* A random row of three segments: policy, context only, teacher. */
enum { ROW = 12 };
struct sample {
        float logp[ROW], anchor[ROW], ref[ROW], entropy[ROW], weight[ROW], coef[ROW];
        struct scope_segment segments[3];
        struct scope_objective_row row;
};

static void sample_make(struct sample *sample, struct scope_rng *rng)
{
        for (int t = 0; t < ROW; t++) {
                sample->logp[t] = (float)(-4 * scope_rng_uniform(rng));
                sample->anchor[t] = sample->logp[t] + (float)(0.3 * scope_rng_normal(rng));
                sample->ref[t] = sample->logp[t] + (float)(0.3 * scope_rng_normal(rng));
                sample->entropy[t] = (float)scope_rng_uniform(rng);
                sample->weight[t] = (float)(2 * scope_rng_uniform(rng));
        }
        sample->segments[0] =
                (struct scope_segment){ 0, 5, SCOPE_SOURCE_POLICY, SCOPE_LOSS_POLICY, 1 };
        sample->segments[1] =
                (struct scope_segment){ 5, 2, SCOPE_SOURCE_HINT, SCOPE_LOSS_NONE, 1 };
        sample->segments[2] =
                (struct scope_segment){ 7, 5, SCOPE_SOURCE_TEACHER, SCOPE_LOSS_LIKELIHOOD, 0.5f };
        sample->row = (struct scope_objective_row){
                .logp = sample->logp, .entropy = sample->entropy, .logp_anchor = sample->anchor,
                .logp_ref = sample->ref, .weight = sample->weight, .segments = sample->segments,
                .segment_count = 3, .count = ROW,
                .advantage = (float)scope_rng_normal(rng), .scale = 0.125
        };
}

static double objective_of(const struct scope_objective_options *options,
        const struct sample *sample, float *ret_coef)
{
        struct scope_objective_sums sums = { 0 };
        (void)scope_objective_coefficients(options, &sample->row, ret_coef, &sums);
        return sums.objective;
}

/* Derivative by central differences. The value of wll_sg slopes by f'(pi) log pi more than its
 * coefficient says, as the weight is held: that part is taken off here. */
static double slope_of(const struct scope_objective_options *options, struct sample *sample, int t)
{
        const float step = 1.0f / 1024;
        float kept = sample->logp[t], coef[ROW];
        sample->logp[t] = kept + step;
        double above = objective_of(options, sample, coef), high = sample->logp[t];
        sample->logp[t] = kept - step;
        double below = objective_of(options, sample, coef), low = sample->logp[t];
        sample->logp[t] = kept;
        double slope = (above - below) / (high - low);
        if (t >= 7 && options->suffix_form == SCOPE_SUFFIX_WLL_SG) {
                double pi = exp(kept), gamma = options->suffix_gamma;
                double factor = options->suffix_lambda *
                        (options->suffix_use_adv ? sample->row.advantage : 1);
                slope -= sample->row.scale * 0.5 * sample->weight[t] * factor * kept * gamma * pi /
                        ((pi + gamma) * (pi + gamma));
        }
        return slope;
}

/* Within a step of a corner of the clip the derivative does not exist. */
static bool at_corner(const struct scope_objective_options *options, const struct sample *sample,
        int t)
{
        double ratio = exp(sample->logp[t] - sample->anchor[t]);
        return options->clip_enable && t < 5 &&
                (fabs(ratio - 1 - options->clip_hi) < 0.01 ||
                        fabs(ratio - 1 + options->clip_lo) < 0.01 ||
                        fabs(ratio - options->clip_dual) < 0.01);
}

static void test_coefficients_are_the_derivative(void **state)
{
        (void)state;
        struct scope_rng rng = scope_rng_make(21);
        struct sample sample;
        SCOPE_DEFAULTS(objective, options);
        for (int round = 0; round < 600; round++) {
                options.clip_enable = round % 5 != 0;
                options.clip_dual = round % 2 ? 1.4 : 0;
                options.suffix_form = round % 3;
                options.suffix_use_adv = round % 4 == 0;
                options.kl_beta = round % 7 == 0 ? 0.3 : 0;
                options.entropy_coef = round % 6 == 0 ? 0.2 : 0;
                sample_make(&sample, &rng);
                (void)objective_of(&options, &sample, sample.coef);
                for (int t = 0; t < ROW; t++) {
                        if (t == 5 || t == 6)
                                assert_true(sample.coef[t] == 0);
                        else if (!at_corner(&options, &sample, t))
                                assert_close(sample.coef[t], slope_of(&options, &sample, t), 2e-5);
                }
        }
}

static void test_masked_tokens_are_out_whatever_they_hold(void **state)
{
        (void)state;
        struct scope_rng rng = scope_rng_make(2);
        struct sample sample;
        SCOPE_DEFAULTS(objective, options);
        sample_make(&sample, &rng);
        sample.weight[2] = 0;
        sample.anchor[2] = NAN;
        sample.anchor[8] = NAN; /* of a teacher token: never read */
        assert_true(isfinite(objective_of(&options, &sample, sample.coef)));
        assert_true(sample.coef[2] == 0 && isfinite(sample.coef[8]));
}

static void test_entropy_coefficient_is_a_row_constant(void **state)
{
        (void)state;
        struct scope_rng rng = scope_rng_make(4);
        struct sample sample;
        struct scope_objective_sums with = { 0 }, without = { 0 };
        SCOPE_DEFAULTS(objective, options);
        sample_make(&sample, &rng);
        float coef = scope_objective_coefficients(&options, &sample.row, sample.coef, &without);
        assert_true(coef == 0);
        options.entropy_coef = 0.25;
        coef = scope_objective_coefficients(&options, &sample.row, sample.coef, &with);
        assert_true(coef == 0.25f * 0.125f);
        assert_close(with.objective - without.objective, 0.25 * 0.125 * with.entropy, 1e-12);
        assert_int_equal(with.policy_tokens, 5);
        assert_int_equal(with.suffix_tokens, 5);
}

static void test_sums_of_rows_add_up(void **state)
{
        (void)state;
        struct scope_rng rng = scope_rng_make(6);
        struct sample sample;
        struct scope_objective_sums both = { 0 }, first = { 0 }, second = { 0 };
        SCOPE_DEFAULTS(objective, options);
        options.kl_beta = 0.1;
        for (int i = 0; i < 2; i++) {
                sample_make(&sample, &rng);
                struct scope_objective_sums *part = i ? &second : &first;
                (void)scope_objective_coefficients(&options, &sample.row, sample.coef, &both);
                (void)scope_objective_coefficients(&options, &sample.row, sample.coef, part);
        }
        scope_objective_sums_add(&first, &second);
        assert_close(first.objective, both.objective, 1e-12);
        assert_close(first.ratio, both.ratio, 1e-12);
        assert_true(first.ratio_max == both.ratio_max);
        assert_close(first.suffix_f + first.suffix_logp, both.suffix_f + both.suffix_logp, 1e-12);
        assert_close(first.policy_coef + first.suffix_coef + first.entropy + first.kl_ref,
                both.policy_coef + both.suffix_coef + both.entropy + both.kl_ref, 1e-12);
        assert_int_equal(first.policy_tokens + first.suffix_tokens, 20);
        assert_int_equal(first.clipped_lo + first.clipped_hi + first.clipped_dual,
                both.clipped_lo + both.clipped_hi + both.clipped_dual);
}

/* ---- the recorded reference ---- */

/* Sets every row of `table` that the case's options name. */
static void options_from_json(void *options, const struct scope_option *table, json_t *object)
{
        options_default(options, table);
        for (const struct scope_option *row = table; row->key != NULL; row++) {
                json_t *value = json_object_get(object, row->key);
                char text[64];
                if (value == NULL)
                        continue;
                if (json_is_string(value))
                        (void)snprintf(text, sizeof text, "\"%s\"", json_string_value(value));
                else if (json_is_boolean(value))
                        (void)snprintf(text, sizeof text, "%s",
                                json_is_true(value) ? "true" : "false");
                else
                        (void)snprintf(text, sizeof text, "%.17g", json_number_value(value));
                option_set(options, row, text);
        }
}

static uint32_t floats_from_json(json_t *object, const char *key, float *ret)
{
        json_t *list = key != NULL ? json_object_get(object, key) : object;
        for (size_t i = 0; i < json_array_size(list); i++)
                ret[i] = (float)json_number_value(json_array_get(list, i));
        return (uint32_t)json_array_size(list);
}

struct recorded {
        struct scope_objective_options objective;
        struct scope_correction_options correction;
        uint32_t row_count;
        float advantages[8];
        double scales[8];
        struct scope_objective_sums sums;
};

static void cut_segments(json_t *object, uint32_t count, struct scope_segment segments[2])
{
        uint32_t kept = (uint32_t)json_integer_value(json_object_get(object, "kept"));
        segments[0] = (struct scope_segment){ 0, kept, SCOPE_SOURCE_POLICY, SCOPE_LOSS_POLICY, 1 };
        segments[1] = (struct scope_segment){ kept, count - kept, SCOPE_SOURCE_TEACHER,
                SCOPE_LOSS_LIKELIHOOD, 1 };
}

static void check_recorded_row(struct recorded *recorded, json_t *object, uint32_t index)
{
        float logp[16], prox[16], mu[16], ref[16], entropy[16], want[16], weight[16], coef[16];
        struct scope_segment segments[2];
        struct scope_correction_sums sums = { 0 };
        uint32_t count = floats_from_json(object, "logp", logp);
        (void)floats_from_json(object, "prox", prox);
        (void)floats_from_json(object, "mu", mu);
        (void)floats_from_json(object, "ref", ref);
        (void)floats_from_json(object, "entropy", entropy);
        (void)floats_from_json(object, "coef", want);
        cut_segments(object, count, segments);
        bool decoupled = recorded->correction.correction == SCOPE_CORRECTION_DECOUPLED;
        struct scope_correction_row measured = { mu, decoupled ? prox : logp, segments, 2, count };
        scope_correction_weights(&recorded->correction, &measured, weight, &sums);
        struct scope_objective_row row = {
                .logp = logp, .entropy = entropy, .logp_anchor = decoupled ? prox : mu,
                .logp_ref = ref, .weight = weight, .segments = segments, .segment_count = 2,
                .count = count, .advantage = recorded->advantages[index],
                .scale = recorded->scales[index]
        };
        float entropy_coef =
                scope_objective_coefficients(&recorded->objective, &row, coef, &recorded->sums);
        for (uint32_t t = 0; t < count; t++)
                assert_close(coef[t], want[t], 1e-6 * fabs(want[t]) + 1e-9);
        json_t *recorded_coef = json_object_get(object, "entropy_coef");
        assert_close(entropy_coef, json_number_value(recorded_coef), 1e-9);
}

static void check_recorded_case(json_t *object)
{
        struct recorded recorded = { 0 };
        struct scope_advantage_options advantage;
        json_t *options = json_object_get(object, "options");
        json_t *rows = json_object_get(object, "rows");
        float rewards[8], advantages[8], logp[16];
        uint32_t tokens[8];
        memset(&advantage, 0, sizeof advantage);
        options_from_json(&advantage, scope_advantage_option_table, options);
        options_from_json(&recorded.objective, scope_objective_option_table, options);
        options_from_json(&recorded.correction, scope_correction_option_table, options);
        recorded.correction.seq_mask = SCOPE_SEQ_MASK_OFF; /* the reference masks nothing */
        recorded.row_count = floats_from_json(object, "rewards", rewards);
        (void)floats_from_json(object, "advantages", recorded.advantages);
        scope_advantage_group(&advantage, rewards, NULL, NULL, recorded.row_count, advantages);
        for (uint32_t i = 0; i < recorded.row_count; i++) {
                assert_close(advantages[i], recorded.advantages[i], 1e-6);
                tokens[i] = floats_from_json(json_array_get(rows, i), "logp", logp);
        }
        scope_objective_scales(&recorded.objective, tokens, recorded.row_count, recorded.scales);
        for (uint32_t i = 0; i < recorded.row_count; i++)
                check_recorded_row(&recorded, json_array_get(rows, i), i);
        assert_close(recorded.sums.objective,
                json_number_value(json_object_get(object, "objective")), 1e-7); /* f32 weights */
}

static void test_recorded_gradients_of_pytorch(void **state)
{
        (void)state;
        json_error_t error;
        json_t *cases = json_load_file(test_source("tests/fixtures/objective.json"), 0, &error);
        assert_non_null(cases);
        assert_int_equal(json_array_size(cases), 8);
        for (size_t i = 0; i < json_array_size(cases); i++)
                check_recorded_case(json_array_get(cases, i));
        json_decref(cases);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_clip_vectors),
                cmocka_unit_test(test_clips_are_counted),
                cmocka_unit_test(test_far_ratio_is_clamped),
                cmocka_unit_test(test_suffix_table),
                cmocka_unit_test(test_suffix_vector),
                cmocka_unit_test(test_suffix_knobs),
                cmocka_unit_test(test_wll_sg_never_pushes_a_teacher_token_down),
                cmocka_unit_test(test_check_refuses_a_dual_clip_below_one),
                cmocka_unit_test(test_scales_of_each_aggregation),
                cmocka_unit_test(test_coefficients_are_the_derivative),
                cmocka_unit_test(test_masked_tokens_are_out_whatever_they_hold),
                cmocka_unit_test(test_entropy_coefficient_is_a_row_constant),
                cmocka_unit_test(test_sums_of_rows_add_up),
                cmocka_unit_test(test_recorded_gradients_of_pytorch),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
