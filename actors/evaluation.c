#include "actors/evaluation.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "algorithm/boxed.h"
#include "algorithm/metrics.h"
#include "algorithm/steps.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/rng.h"
#include "base/text.h"
#include "tasks/chain.h"
#include "tasks/dataset.h"

enum { NEAR_MAX = 3, DISTINCT_N = 4, ARENA_BYTES = 4 << 20 };

struct problem {
        uint32_t want, got, right, kept;        /* kept: samples whose text is held */
        struct scope_text texts;                /* one after another */
        uint32_t ends[SCOPE_GROUP_SAMPLES_MAX]; /* of each in `texts` */
        uint64_t right_bits, bare_bits;         /* of the samples that are kept */
        double distinct, majority;
        struct scope_diversity diversity;
};

struct scope_evaluation {
        struct scope_evaluation_options options;
        struct problem *problems;
        struct scope_arena arena; /* of one add */
        uint64_t got, tokens, no_box, failed, near[NEAR_MAX];
        bool unchecked; /* a problem has no exact checker */
        bool unmeasured; /* a sample's tokens are unknown */
        struct scope_evaluation_verdict verdict; /* of the last add */
        char names[SCOPE_EVALUATION_METRICS_MAX][32];
};

uint64_t scope_evaluation_seed(uint64_t run_seed, uint64_t problem, uint32_t sample)
{
        static const uint64_t APART = 0x65766170726f6265u; /* any constant: no training seed */
        return scope_sample_seed(run_seed ^ APART, problem, sample);
}

enum scope_err scope_evaluation_create(
        const struct scope_evaluation_options *options, struct scope_evaluation **ret_evaluation)
{
        if (options->problems == 0 || options->samples == 0)
                return SCOPE_ERR_ARGUMENT;
        struct scope_evaluation *evaluation = calloc(1, sizeof *evaluation);
        if (evaluation == NULL)
                return SCOPE_ERR_MEMORY;
        evaluation->options = *options;
        evaluation->problems = calloc(options->problems, sizeof *evaluation->problems);
        if (evaluation->problems == NULL ||
                scope_arena_init(&evaluation->arena, ARENA_BYTES) != SCOPE_OK) {
                scope_evaluation_destroy(evaluation);
                return SCOPE_ERR_MEMORY;
        }
        for (uint32_t i = 0; i < options->problems; i++)
                evaluation->problems[i].want = options->samples;
        *ret_evaluation = evaluation;
        return SCOPE_OK;
}

enum scope_err scope_evaluation_expect(
        struct scope_evaluation *evaluation, uint32_t problem, uint32_t samples)
{
        if (problem >= evaluation->options.problems || samples == 0 ||
                evaluation->problems[problem].got > 0)
                return SCOPE_ERR_ARGUMENT;
        evaluation->problems[problem].want = samples;
        return SCOPE_OK;
}

void scope_evaluation_destroy(struct scope_evaluation *evaluation)
{
        if (evaluation == NULL)
                return;
        for (uint32_t i = 0; i < evaluation->options.problems && evaluation->problems != NULL; i++)
                scope_text_fini(&evaluation->problems[i].texts);
        free(evaluation->problems);
        scope_arena_fini(&evaluation->arena);
        free(evaluation);
}

/* How near a failed sample came: steps from its first wrong one to its end. */
static void judge_failure(
        struct scope_evaluation *evaluation, struct scope_string problem, struct scope_string text)
{
        uint32_t ends[SCOPE_STEPS_MAX], verified = 0;
        float p[SCOPE_STEPS_MAX];
        struct scope_chain chain;
        if (scope_chain_parse(problem, &chain) != SCOPE_OK) {
                evaluation->unchecked = true;
                return;
        }
        uint32_t steps = scope_steps_split(text, ends, SCOPE_STEPS_MAX);
        scope_chain_judge(&chain, text, ends, steps, p);
        while (verified < steps && p[verified] >= 0.5f)
                verified++;
        evaluation->failed++;
        for (uint32_t c = 1; c <= NEAR_MAX; c++)
                evaluation->near[c - 1] += steps - verified <= c;
}

/* The final answer of a sample; the whole text where it may be bare. */
static struct scope_string answer_of(struct scope_string text, bool bare)
{
        struct scope_string answer = { NULL, 0 };
        if (!scope_boxed_find(text, &answer) && bare)
                answer = scope_boxed_skip_reasoning(text);
        return answer;
}

static int by_bytes(const void *a, const void *b)
{
        const struct scope_string *x = a, *y = b;
        uint32_t least = x->bytes < y->bytes ? x->bytes : y->bytes;
        int order = least > 0 ? memcmp(x->at, y->at, least) : 0;
        return order != 0 ? order : (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* Whether the answer that most samples give is right; of n answers that as many give, and a right
 * one among them, 1/n. Right answers are one; wrong ones are sorted, so that their order does not
 * matter, and joined where the grader has them equal. */
static double majority_of(const struct problem *problem, const struct scope_string *texts,
        const struct scope_grade_options *grade)
{
        struct scope_string wrong[SCOPE_GROUP_SAMPLES_MAX];
        uint32_t votes[SCOPE_GROUP_SAMPLES_MAX], count = 0, kinds = 0, right = 0, tied = 1;
        for (uint32_t i = 0; i < problem->kept; i++) {
                bool is_right = (problem->right_bits >> i & 1) != 0;
                right += is_right;
                if (!is_right)
                        wrong[count++] =
                                answer_of(texts[i], (problem->bare_bits >> i & 1) != 0);
        }
        qsort(wrong, count, sizeof *wrong, by_bytes);
        for (uint32_t i = 0; i < count; i++) {
                uint32_t kind = 0;
                if (wrong[i].bytes == 0)
                        continue; /* no answer is no vote */
                while (kind < kinds && !scope_grade_equal(wrong[kind], wrong[i], grade).equal)
                        kind++;
                if (kind == kinds) {
                        wrong[kinds] = wrong[i];
                        votes[kinds++] = 0;
                }
                votes[kind]++;
        }
        for (uint32_t kind = 0; kind < kinds; kind++) {
                tied += votes[kind] == right;
                if (votes[kind] > right)
                        return 0;
        }
        return right > 0 ? 1.0 / tied : 0;
}

/* The last sample is here: what is wanted of the texts is taken, and they are let go. */
static enum scope_err complete(struct scope_evaluation *evaluation, struct problem *problem)
{
        struct scope_string texts[SCOPE_GROUP_SAMPLES_MAX];
        struct scope_arena scratch = { 0 };
        const char *at = problem->texts.bytes != NULL ? problem->texts.bytes : "";
        for (uint32_t i = 0, begin = 0; i < problem->kept; begin = problem->ends[i++])
                texts[i] = (struct scope_string){ at + begin, problem->ends[i] - begin };
        enum scope_err err = scope_arena_init(&scratch, 32 * problem->texts.count + 8192);
        if (err == SCOPE_OK && evaluation->options.full) {
                err = scope_metrics_diversity(
                        texts, problem->kept, &scratch, &problem->diversity);
                problem->distinct = problem->diversity.distinct_4;
                problem->majority = majority_of(problem, texts, evaluation->options.grade);
        } else if (err == SCOPE_OK) {
                err = scope_metrics_distinct(
                        texts, problem->kept, DISTINCT_N, &scratch, &problem->distinct);
        }
        scope_arena_fini(&scratch);
        scope_text_fini(&problem->texts);
        return err;
}

/* Gold and question of a sample: its own, or else the data set's. */
static enum scope_err find_record(struct scope_evaluation *evaluation,
        const struct scope_evaluation_sample *sample, struct scope_problem *ret_record)
{
        scope_arena_reset(&evaluation->arena);
        *ret_record = (struct scope_problem){ .text = { NULL, 0 } };
        if (evaluation->options.data != NULL) {
                enum scope_err err = scope_dataset_get(evaluation->options.data, sample->problem,
                        &evaluation->arena, ret_record);
                if (err != SCOPE_OK)
                        return err;
        }
        if (sample->gold.bytes > 0)
                ret_record->gold = sample->gold;
        if (sample->question.bytes > 0)
                ret_record->text = sample->question;
        return ret_record->gold.bytes > 0 ? SCOPE_OK : SCOPE_ERR_ARGUMENT;
}

/* Holds on to the text, for when the problem is complete. */
static bool keep(struct problem *problem, const struct scope_evaluation_sample *sample, bool right)
{
        if (problem->kept == SCOPE_GROUP_SAMPLES_MAX)
                return true;
        scope_text_add(&problem->texts, sample->text.at, sample->text.bytes);
        if (problem->texts.failed || problem->texts.count > UINT32_MAX)
                return false;
        problem->right_bits |= (uint64_t)right << problem->kept;
        problem->bare_bits |= (uint64_t)sample->bare << problem->kept;
        problem->ends[problem->kept++] = (uint32_t)problem->texts.count;
        return true;
}

enum scope_err scope_evaluation_add(
        struct scope_evaluation *evaluation, const struct scope_evaluation_sample *sample)
{
        struct scope_problem record;
        const struct scope_grade_options *grade = evaluation->options.grade;
        if (sample->problem >= evaluation->options.problems ||
                evaluation->problems[sample->problem].got ==
                        evaluation->problems[sample->problem].want)
                return SCOPE_ERR_ARGUMENT;
        struct problem *problem = &evaluation->problems[sample->problem];
        enum scope_err err = find_record(evaluation, sample, &record);
        if (err != SCOPE_OK)
                return err;
        struct scope_evaluation_verdict *verdict = &evaluation->verdict;
        verdict->gold = record.gold;
        verdict->answer = answer_of(sample->text, sample->bare);
        verdict->result = sample->bare
                                  ? scope_grade_any(record.gold, sample->text, grade)
                                  : scope_grade_response(record.gold, sample->text, grade, NULL);
        bool right = verdict->result.equal;
        if (!keep(problem, sample, right))
                return SCOPE_ERR_MEMORY;
        problem->right += right;
        problem->got++;
        evaluation->got++;
        evaluation->tokens += sample->tokens;
        evaluation->unmeasured = evaluation->unmeasured || sample->tokens == 0;
        evaluation->no_box += verdict->answer.bytes == 0;
        if (!right)
                judge_failure(evaluation, record.text, sample->text);
        return problem->got == problem->want ? complete(evaluation, problem) : SCOPE_OK;
}

const struct scope_evaluation_verdict *scope_evaluation_verdict(
        const struct scope_evaluation *evaluation)
{
        return &evaluation->verdict;
}

uint64_t scope_evaluation_missing(const struct scope_evaluation *evaluation)
{
        uint64_t want = 0;
        for (uint32_t i = 0; i < evaluation->options.problems; i++)
                want += evaluation->problems[i].want;
        return want - evaluation->got;
}

struct list {
        struct scope_evaluation *evaluation;
        struct scope_metric *metrics;
        uint32_t count;
};

/* Named `stem`, followed by `number` where that is not 0. */
static void put(struct list *list, double value, const char *stem, unsigned number)
{
        scope_assert(list->count < SCOPE_EVALUATION_METRICS_MAX);
        char *name = list->evaluation->names[list->count];
        size_t size = sizeof list->evaluation->names[0];
        int bytes = number > 0 ? snprintf(name, size, "%s%u", stem, number)
                               : snprintf(name, size, "%s", stem);
        scope_assert(bytes > 0 && (size_t)bytes < size);
        list->metrics[list->count++] = (struct scope_metric){ { name, (uint32_t)bytes }, value };
}

static bool is_complete(const struct problem *problem)
{
        return problem->got == problem->want;
}

/* Sums over the problems that are complete, in their order. */
struct sums {
        uint32_t count, all_wrong, fewest, most; /* fewest, most: samples of one problem */
        double distinct, majority;
};

static struct sums sum_up(const struct scope_evaluation *evaluation)
{
        struct sums sums = { .fewest = UINT32_MAX };
        for (uint32_t i = 0; i < evaluation->options.problems; i++) {
                const struct problem *problem = &evaluation->problems[i];
                if (!is_complete(problem))
                        continue;
                sums.count++;
                sums.all_wrong += problem->right == 0;
                sums.distinct += problem->distinct;
                sums.majority += problem->majority;
                sums.fewest = problem->want < sums.fewest ? problem->want : sums.fewest;
                sums.most = problem->want > sums.most ? problem->want : sums.most;
        }
        return sums;
}

/* Mean pass@k; pass@1 is the mean share of right samples, avg@n. */
static double pass_at(const struct scope_evaluation *evaluation, uint32_t k, uint32_t count)
{
        double sum = 0;
        for (uint32_t i = 0; i < evaluation->options.problems; i++) {
                const struct problem *problem = &evaluation->problems[i];
                if (is_complete(problem))
                        sum += scope_metrics_pass_at(problem->want, problem->right, k);
        }
        return sum / count;
}

/* p10, median and p90 over problems of the figure at `offset` of their diversity. */
static void put_quantiles(struct list *list, const char *stem, size_t offset, double *room)
{
        static const struct {
                const char *name;
                double q;
        } quantiles[] = { { "p10", 0.1 }, { "p50", 0.5 }, { "p90", 0.9 } };
        const struct scope_evaluation *evaluation = list->evaluation;
        for (size_t q = 0; q < sizeof quantiles / sizeof *quantiles; q++) {
                uint32_t count = 0;
                char name[32];
                for (uint32_t i = 0; i < evaluation->options.problems; i++) {
                        const struct problem *problem = &evaluation->problems[i];
                        if (is_complete(problem))
                                memcpy(&room[count++], (const char *)&problem->diversity + offset,
                                        sizeof *room);
                }
                (void)snprintf(name, sizeof name, "%s_%s", stem, quantiles[q].name);
                put(list, scope_metrics_quantile(room, count, quantiles[q].q), name, 0);
        }
}

static void put_full(struct list *list, const struct sums *sums)
{
        double *room = malloc(sums->count * sizeof *room);
        if (sums->fewest == sums->most) {
                put(list, pass_at(list->evaluation, 1, sums->count), "eval/avg@", sums->most);
                if (sums->most <= SCOPE_GROUP_SAMPLES_MAX)
                        put(list, sums->majority / sums->count, "eval/maj@", sums->most);
        }
        if (room != NULL) {
                put_quantiles(list, "eval/distinct-1",
                        offsetof(struct scope_diversity, distinct_1), room);
                put_quantiles(list, "eval/distinct-4",
                        offsetof(struct scope_diversity, distinct_4), room);
                put_quantiles(list, "eval/self_bleu",
                        offsetof(struct scope_diversity, self_bleu), room);
                put_quantiles(list, "eval/self_rouge",
                        offsetof(struct scope_diversity, self_rouge), room);
                put_quantiles(list, "eval/diversity", offsetof(struct scope_diversity, score),
                        room);
        }
        free(room);
}

uint32_t scope_evaluation_metrics(
        struct scope_evaluation *evaluation, struct scope_metric *ret_metrics)
{
        struct list list = { evaluation, ret_metrics, 0 };
        struct sums sums = sum_up(evaluation);
        if (sums.count == 0)
                return 0;
        for (uint32_t k = 1; k <= sums.fewest; k *= 2)
                put(&list, pass_at(evaluation, k, sums.count), "eval/pass@", k);
        uint32_t k = evaluation->options.k;
        if (k <= sums.fewest && (k & (k - 1)) != 0)
                put(&list, pass_at(evaluation, k, sums.count), "eval/pass@", k);
        double got = (double)evaluation->got;
        if (!evaluation->unmeasured)
                put(&list, (double)evaluation->tokens / got, "eval/len_mean", 0);
        put(&list, (double)evaluation->no_box / got, "eval/no_box_frac", 0);
        put(&list, (double)sums.all_wrong / sums.count, "eval/all_wrong_frac", 0);
        put(&list, sums.distinct / sums.count, "eval/distinct-", DISTINCT_N);
        for (unsigned c = 1; c <= NEAR_MAX && !evaluation->unchecked; c++)
                put(&list,
                        evaluation->failed > 0
                                ? (double)evaluation->near[c - 1] / (double)evaluation->failed
                                : 0,
                        "eval/near_miss@", c);
        if (evaluation->options.full)
                put_full(&list, &sums);
        return list.count;
}
