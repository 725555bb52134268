/* Samples in, metrics out; and the lines of metrics.jsonl that they join. */
#include "tests/test.h"

#include "actors/evaluation.h"
#include "actors/step_log.h"
#include "algorithm/metrics.h"
#include "base/text.h"
#include "tasks/chain.h"
#include "tasks/dataset.h"

enum { PROBLEMS = 4, SAMPLES = 4 };

static struct scope_dataset *data;
static const struct scope_grade_options grade;

static int open_data(void **state)
{
        (void)state;
        return scope_dataset_open("builtin:chain?level=easy&seed=7", &data, NULL) == SCOPE_OK ? 0
                                                                                              : 1;
}

static int close_data(void **state)
{
        (void)state;
        scope_dataset_destroy(data);
        return 0;
}

/* The true solution of a problem; `wrong`: its box says something else. */
static struct scope_string solve(uint64_t index, bool wrong, struct scope_text *text)
{
        struct scope_chain_options options;
        struct scope_chain chain;
        assert_ok(scope_chain_options_parse("builtin:chain?level=easy&seed=7", &options, NULL));
        scope_chain_make(&options, index, &chain);
        scope_text_clear(text);
        scope_chain_write_solution(&chain, text);
        if (wrong) {
                text->count -= 1; /* "\boxed{12}" becomes "\boxed{120}" */
                scope_text_string(text, "0}");
        }
        return (struct scope_string){ text->bytes, (uint32_t)text->count };
}

static double metric_of(const struct scope_metric *metrics, uint32_t count, const char *name)
{
        for (uint32_t i = 0; i < count; i++)
                if (metrics[i].name.bytes == strlen(name) &&
                        memcmp(metrics[i].name.at, name, strlen(name)) == 0)
                        return metrics[i].value;
        fail_msg("no metric %s", name);
        return 0;
}

static struct scope_evaluation *make(void)
{
        struct scope_evaluation *evaluation = NULL;
        assert_ok(scope_evaluation_create(
                &(struct scope_evaluation_options){
                        .data = data, .grade = &grade, .problems = PROBLEMS, .samples = SAMPLES },
                &evaluation));
        return evaluation;
}

/* Sample s of problem p is right where s < p. */
static uint32_t run(
        bool backward, struct scope_evaluation *evaluation, struct scope_metric *metrics)
{
        struct scope_text text = { 0 };
        for (uint32_t i = 0; i < PROBLEMS * SAMPLES; i++) {
                uint32_t at = backward ? PROBLEMS * SAMPLES - 1 - i : i;
                uint32_t problem = at / SAMPLES, sample = at % SAMPLES;
                assert_int_equal(scope_evaluation_missing(evaluation), PROBLEMS * SAMPLES - i);
                assert_ok(scope_evaluation_add(evaluation,
                        &(struct scope_evaluation_sample){ .problem = problem,
                                .text = solve(problem, sample >= problem, &text),
                                .tokens = 10 + sample }));
        }
        scope_text_fini(&text);
        return scope_evaluation_metrics(evaluation, metrics);
}

static void test_figures_of_known_samples(void **state)
{
        (void)state;
        struct scope_evaluation *evaluation = make();
        struct scope_metric metrics[SCOPE_EVALUATION_METRICS_MAX];
        uint32_t count = run(false, evaluation, metrics);
        /* right: 0, 1, 2, 3 of 4 */
        assert_close(metric_of(metrics, count, "eval/pass@1"), 6.0 / 16, 1e-12);
        assert_close(metric_of(metrics, count, "eval/pass@2"),
                (0 + (1 - 3.0 / 6) + (1 - 1.0 / 6) + 1) / 4, 1e-12);
        assert_close(metric_of(metrics, count, "eval/pass@4"), 0.75, 1e-12);
        assert_close(metric_of(metrics, count, "eval/len_mean"), 11.5, 1e-12);
        assert_close(metric_of(metrics, count, "eval/no_box_frac"), 0, 0);
        assert_close(metric_of(metrics, count, "eval/all_wrong_frac"), 0.25, 1e-12);
        /* every failure is wrong in its last step only */
        assert_close(metric_of(metrics, count, "eval/near_miss@1"), 1, 0);
        assert_close(metric_of(metrics, count, "eval/near_miss@3"), 1, 0);
        double distinct = metric_of(metrics, count, "eval/distinct-4");
        assert_true(distinct > 0.2 && distinct < 0.6); /* four nearly equal texts a problem */
        assert_int_equal(scope_evaluation_missing(evaluation), 0);
        assert_int_equal(scope_evaluation_add(evaluation, &(struct scope_evaluation_sample){ 0 }),
                SCOPE_ERR_ARGUMENT);
        scope_evaluation_destroy(evaluation);
}

static void test_order_of_samples_does_not_matter(void **state)
{
        (void)state;
        struct scope_evaluation *there = make(), *back = make();
        struct scope_metric a[SCOPE_EVALUATION_METRICS_MAX], b[SCOPE_EVALUATION_METRICS_MAX];
        uint32_t count = run(false, there, a);
        assert_int_equal(run(true, back, b), count);
        for (uint32_t i = 0; i < count; i++)
                assert_memory_equal(&a[i].value, &b[i].value, sizeof a[i].value);
        scope_evaluation_destroy(there);
        scope_evaluation_destroy(back);
}

static void test_unfinished_problems_are_left_out(void **state)
{
        (void)state;
        struct scope_evaluation *evaluation = make();
        struct scope_metric metrics[SCOPE_EVALUATION_METRICS_MAX];
        struct scope_text text = { 0 };
        assert_ok(scope_evaluation_add(evaluation,
                &(struct scope_evaluation_sample){
                        .problem = 1, .text = solve(1, false, &text), .tokens = 3 }));
        assert_int_equal(scope_evaluation_metrics(evaluation, metrics), 0);
        scope_text_fini(&text);
        scope_evaluation_destroy(evaluation);
}

/* Samples with gold answers of their own: [problem][sample]; NULL ends a problem. */
static const struct {
        const char *gold, *texts[6];
} votes[] = {
        { "\\frac12", { "\\boxed{0.5}", "\\boxed{3}", "\\boxed{\\frac{2}{4}}", "\\boxed{4}" } },
        { "7", { "\\boxed{8}", "\\boxed{7}", "\\boxed{8.0}", "no idea" } }, /* 8 wins */
        { "7", { "\\boxed{8}", "\\boxed{7}", "\\boxed{9}", "no idea" } },   /* one of three */
        { "x+1", { "nothing", "said", "at", "all" } },
};

static uint32_t vote(bool backward, struct scope_evaluation *evaluation,
        struct scope_metric *metrics)
{
        for (uint32_t i = 0; i < PROBLEMS * SAMPLES; i++) {
                uint32_t at = backward ? PROBLEMS * SAMPLES - 1 - i : i;
                const char *gold = votes[at / SAMPLES].gold;
                const char *text = votes[at / SAMPLES].texts[at % SAMPLES];
                assert_ok(scope_evaluation_add(evaluation,
                        &(struct scope_evaluation_sample){ .problem = at / SAMPLES,
                                .text = { text, (uint32_t)strlen(text) },
                                .gold = { gold, (uint32_t)strlen(gold) } }));
                assert_true(scope_evaluation_verdict(evaluation)->gold.at == gold);
        }
        return scope_evaluation_metrics(evaluation, metrics);
}

static void test_majority_and_diversity(void **state)
{
        (void)state;
        struct scope_evaluation *there = NULL, *back = NULL;
        struct scope_evaluation_options options = { .grade = &grade,
                .problems = PROBLEMS,
                .samples = SAMPLES,
                .full = true,
                .k = 3 };
        struct scope_metric a[SCOPE_EVALUATION_METRICS_MAX], b[SCOPE_EVALUATION_METRICS_MAX];
        assert_ok(scope_evaluation_create(&options, &there));
        assert_ok(scope_evaluation_create(&options, &back));
        uint32_t count = vote(false, there, a);
        assert_close(metric_of(a, count, "eval/maj@4"), (1 + 0 + 1.0 / 3 + 0) / 4, 1e-12);
        assert_close(metric_of(a, count, "eval/avg@4"), 4.0 / 16, 1e-12);
        assert_close(metric_of(a, count, "eval/pass@3"), (1 + 0.75 + 0.75 + 0) / 4, 1e-12);
        assert_close(metric_of(a, count, "eval/no_box_frac"), 6.0 / 16, 1e-12);
        assert_close(metric_of(a, count, "eval/distinct-1_p90"), 0.91, 0.08);
        assert_int_equal(vote(true, back, b), count);
        for (uint32_t i = 0; i < count; i++) {
                assert_close(a[i].value, b[i].value, 1e-12);
                assert_true(memcmp(a[i].name.at, "eval/len_", 9) != 0); /* unknown */
        }
        scope_evaluation_destroy(there);
        scope_evaluation_destroy(back);
}

/* Problems of one and of three samples: pass@1 counts both, avg@n and maj@n say nothing. */
static void test_problems_of_several_sizes(void **state)
{
        (void)state;
        struct scope_evaluation *evaluation = NULL;
        struct scope_evaluation_options options = {
                .grade = &grade, .problems = 2, .samples = 1, .full = true
        };
        struct scope_metric metrics[SCOPE_EVALUATION_METRICS_MAX];
        struct scope_evaluation_sample sample = { .gold = { "7", 1 }, .text = { "7", 1 } };
        assert_ok(scope_evaluation_create(&options, &evaluation));
        assert_ok(scope_evaluation_expect(evaluation, 1, 3));
        assert_int_equal(scope_evaluation_expect(evaluation, 2, 3), SCOPE_ERR_ARGUMENT);
        assert_int_equal(scope_evaluation_missing(evaluation), 4);
        assert_ok(scope_evaluation_add(evaluation, &sample)); /* no box: wrong */
        sample = (struct scope_evaluation_sample){
                .problem = 1, .gold = { "7", 1 }, .text = { "7", 1 }, .bare = true
        };
        assert_ok(scope_evaluation_add(evaluation, &sample));
        assert_int_equal(scope_evaluation_expect(evaluation, 1, 4), SCOPE_ERR_ARGUMENT);
        assert_ok(scope_evaluation_add(evaluation, &sample));
        sample.text = (struct scope_string){ "8", 1 };
        assert_ok(scope_evaluation_add(evaluation, &sample));
        assert_int_equal(scope_evaluation_add(evaluation, &sample), SCOPE_ERR_ARGUMENT);
        uint32_t count = scope_evaluation_metrics(evaluation, metrics);
        assert_close(metric_of(metrics, count, "eval/pass@1"), 1.0 / 3, 1e-12);
        for (uint32_t i = 0; i < count; i++)
                assert_true(metrics[i].name.at[5] != 'a' || metrics[i].name.at[6] != 'v');
        sample.gold.bytes = 0;
        scope_evaluation_destroy(evaluation);
        assert_ok(scope_evaluation_create(&options, &evaluation));
        assert_int_equal(scope_evaluation_add(evaluation, &sample), SCOPE_ERR_ARGUMENT);
        scope_evaluation_destroy(evaluation);
}

static void test_seeds_are_apart_from_training(void **state)
{
        (void)state;
        assert_true(scope_evaluation_seed(1, 2, 3) == scope_evaluation_seed(1, 2, 3));
        assert_true(scope_evaluation_seed(1, 2, 3) != scope_evaluation_seed(1, 2, 4));
        assert_true(scope_evaluation_seed(1, 2, 3) != scope_evaluation_seed(1, 3, 3));
        assert_true(scope_evaluation_seed(0, 0, 0) != 0);
}

/* --- metrics.jsonl ---------------------------------------------------------------------------- */

static struct scope_step_line line_of(uint64_t step, const struct scope_metric *metric)
{
        static const struct scope_gauges gauges = { .at = { { "teacher/calls", 3 } }, .count = 1 };
        return (struct scope_step_line){ step, 1.5, metric, 1, &gauges };
}

static const struct scope_metric loss = { { "loss", 4 }, 0.5 },
                                 eval = { { "eval/pass@1", 11 }, 0.25 };

static void test_evaluation_joins_the_line_of_its_step(void **state)
{
        (void)state;
        struct scope_journal journal;
        scope_journal_init(&journal, "metrics.jsonl", 1, 1 << 20);
        struct scope_step_log log = { .journal = &journal };
        struct scope_step_line one = line_of(1, &loss), two = line_of(2, &loss),
                               at = line_of(1, &eval);
        assert_true(scope_step_log_is_evaluation(&eval, 1));
        assert_false(scope_step_log_is_evaluation(&loss, 1));
        assert_true(scope_step_log_step(&log, &one, true));
        assert_int_equal(journal.waiting.count, 0); /* it waits for its evaluation */
        assert_true(scope_step_log_evaluation(&log, &at));
        assert_true(scope_step_log_step(&log, &two, false));
        assert_string_equal(journal.waiting.bytes,
                "{\"step\":1,\"t\":1.5,\"loss\":0.5,\"teacher/calls\":3,\"eval/pass@1\":0.25}\n"
                "{\"step\":2,\"t\":1.5,\"loss\":0.5,\"teacher/calls\":3}\n");
        scope_step_log_fini(&log);
        scope_journal_fini(&journal);
}

static void test_late_evaluation_joins_the_next_line_and_says_so(void **state)
{
        (void)state;
        struct scope_journal journal;
        scope_journal_init(&journal, "metrics.jsonl", 1, 1 << 20);
        struct scope_step_log log = { .journal = &journal };
        struct scope_step_line first = line_of(0, &eval), one = line_of(1, &loss);
        struct scope_step_line two = line_of(2, &loss), late = line_of(1, &eval);
        assert_true(scope_step_log_evaluation(&log, &first));
        assert_true(scope_step_log_step(&log, &one, true));
        assert_true(scope_step_log_step(&log, &two, true));
        assert_true(scope_step_log_evaluation(&log, &late));
        assert_true(scope_step_log_flush(&log, 2));
        assert_true(scope_step_log_flush(&log, 2)); /* again: nothing is left */
        assert_string_equal(journal.waiting.bytes,
                "{\"step\":1,\"t\":1.5,\"loss\":0.5,\"teacher/calls\":3,\"eval/pass@1\":0.25,"
                "\"eval/step\":0}\n"
                "{\"step\":2,\"t\":1.5,\"loss\":0.5,\"teacher/calls\":3}\n"
                "{\"step\":1,\"t\":2,\"eval/pass@1\":0.25}\n");
        scope_step_log_fini(&log);
        scope_journal_fini(&journal);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_figures_of_known_samples),
                cmocka_unit_test(test_order_of_samples_does_not_matter),
                cmocka_unit_test(test_unfinished_problems_are_left_out),
                cmocka_unit_test(test_majority_and_diversity),
                cmocka_unit_test(test_problems_of_several_sizes),
                cmocka_unit_test(test_seeds_are_apart_from_training),
                cmocka_unit_test(test_evaluation_joins_the_line_of_its_step),
                cmocka_unit_test(test_late_evaluation_joins_the_next_line_and_says_so),
        };
        return cmocka_run_group_tests(tests, open_data, close_data);
}
