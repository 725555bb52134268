/* evaluation.h - how good a policy is: samples in, metrics out.
 * Why: the evaluator actor and `scope-runtime eval` must mean the same by every number.
 * (1) The result does not depend on the order in which samples come: sums run over problems in
 * their order. (2) Seeds are the same in every evaluation of a run, so that two of them differ by
 * the policy alone. (3) Texts are kept only until their problem is complete: at most
 * SCOPE_GROUP_SAMPLES_MAX of one problem, which are what diversity and majority are about. */
#pragma once

#include <stdint.h>

#include "algorithm/grade.h"
#include "base/error.h"
#include "schemas/records.h"

struct scope_dataset;
struct scope_evaluation;

enum { SCOPE_EVALUATION_METRICS_MAX = 48 };

struct scope_evaluation_options {
        const struct scope_dataset *data;        /* borrowed; NULL: samples bring their gold */
        const struct scope_grade_options *grade; /* borrowed */
        uint32_t problems, samples;              /* the first problems; samples of each */
        bool full;                               /* majority and diversity too, which are dear */
        uint32_t k;                              /* pass@k of this k too; 0: powers of two only */
};

/* owns    gives
 * errors  SCOPE_ERR_ARGUMENT: nothing to sample; SCOPE_ERR_MEMORY */
enum scope_err scope_evaluation_create(
        const struct scope_evaluation_options *options, struct scope_evaluation **ret_evaluation);
void scope_evaluation_destroy(struct scope_evaluation *evaluation); /* accepts NULL */

/* The seed to sample with: fixed by run seed, problem and sample, apart from every training seed.
 * thread  any; pure */
uint64_t scope_evaluation_seed(uint64_t run_seed, uint64_t problem, uint32_t sample);

/* `problem` has another number of samples than the others.
 * errors  SCOPE_ERR_ARGUMENT: no such problem, no samples, or samples of it are here already */
enum scope_err scope_evaluation_expect(
        struct scope_evaluation *evaluation, uint32_t problem, uint32_t samples);

/* One finished sample of `problem` (0-based); `text` without EOS, `tokens` with it.
 * in      gold, question: over the data set's, or in place of it; bare: the text may be an answer
 *         alone, without a box
 * errors  SCOPE_ERR_ARGUMENT: no such problem, or all its samples are here;
 *         SCOPE_ERR_MEMORY */
struct scope_evaluation_sample {
        uint32_t problem;
        struct scope_string text;
        uint32_t tokens; /* 0: unknown */
        struct scope_string gold, question;
        bool bare;
};
enum scope_err scope_evaluation_add(
        struct scope_evaluation *evaluation, const struct scope_evaluation_sample *sample);

/* What the last add found.    owns  borrows gold until the next call, answer from the text */
struct scope_evaluation_verdict {
        struct scope_string gold, answer;
        struct scope_grade_result result;
};
const struct scope_evaluation_verdict *scope_evaluation_verdict(
        const struct scope_evaluation *evaluation);

uint64_t scope_evaluation_missing(const struct scope_evaluation *evaluation); /* samples */

/* eval/pass@1, @2, @4 .. and @k <= samples (of the problem with the fewest), eval/len_mean (tokens,
 * where known), eval/no_box_frac, eval/all_wrong_frac, eval/distinct-4, and where every problem has
 * an exact checker eval/near_miss@1..3. Full: eval/avg@n and eval/maj@n where all problems have n
 * samples, and p10, p50 and p90 over problems of eval/distinct-1, eval/distinct-4, eval/self_bleu,
 * eval/self_rouge and eval/diversity, their mean with the last two turned (algorithm.md 7).
 * Over the problems that are complete; none: no metrics.
 * out     ret_metrics [SCOPE_EVALUATION_METRICS_MAX]; names live as long as the evaluation
 * owns    borrows    thread  owner */
uint32_t scope_evaluation_metrics(
        struct scope_evaluation *evaluation, struct scope_metric *ret_metrics);
