#include "algorithm/correction.h"

#include <math.h>
#include <stddef.h>

#include "base/check.h"

static const char *const correction_names[] = { "decoupled", "bypass", NULL };
static const char *const tis_names[] = { "token", "sequence", "off", NULL };
static const char *const seq_mask_names[] = { "geo", "product", "k3", "off", NULL };
static const char *const mixed_names[] = { "mask_prefix", "drop", NULL };

const struct scope_option scope_correction_option_table[] = {
        SCOPE_ENUM_OPTION(scope_correction_options, correction, "\"decoupled\"", correction_names,
                "the clipped ratio's denominator: the policy at the step's start, or the sampler"),
        SCOPE_ENUM_OPTION(scope_correction_options, tis, "\"token\"", tis_names,
                "truncated importance weight of decoupled: by token, by sequence, off"),
        SCOPE_FLOAT_OPTION(scope_correction_options, tis_cap, "2.0", 1, 1e6,
                "largest importance weight"),
        SCOPE_ENUM_OPTION(scope_correction_options, seq_mask, "\"geo\"", seq_mask_names,
                "sequences too far from the policy are masked, measured by the ratios' geometric "
                "mean, product, or k3"),
        SCOPE_FLOAT_OPTION(scope_correction_options, seq_mask_lo, "0.9", 0, 1,
                "least ratio of geo and product"),
        SCOPE_FLOAT_OPTION(scope_correction_options, seq_mask_hi, "1.1", 1, 1e6,
                "largest ratio of geo and product"),
        SCOPE_FLOAT_OPTION(scope_correction_options, k3_max, "0.01", 0, 1e3,
                "largest mean of ratio - 1 - log ratio, nats"),
        SCOPE_FLOAT_OPTION(scope_correction_options, token_mask, "0.0", 0, 1e6,
                "tokens with a larger ratio are masked; 0 = off"),
        SCOPE_ENUM_OPTION(scope_correction_options, mixed_on_reject, "\"mask_prefix\"", mixed_names,
                "a repaired rollout whose prefix is masked keeps its suffix, or is dropped"),
        SCOPE_OPTION_END,
};

struct row_measure {
        double log_sum, k3_sum; /* of log ratio; of ratio - 1 - log ratio */
        uint32_t count;         /* m = 1 tokens */
};

static double log_ratio(const struct scope_correction_row *row, uint32_t token)
{
        const double limit = 20;
        double x = (double)row->logp_train[token] - row->logp_behaviour[token];
        return x > limit ? limit : x < -limit ? -limit : x;
}

static struct row_measure measure(const struct scope_correction_row *row)
{
        struct row_measure measure = { 0 };
        for (uint32_t i = 0; i < row->segment_count; i++) {
                const struct scope_segment *segment = &row->segments[i];
                if (segment->loss != SCOPE_LOSS_POLICY)
                        continue;
                for (uint32_t t = segment->begin; t < segment->begin + segment->count; t++) {
                        double x = log_ratio(row, t);
                        measure.log_sum += x;
                        measure.k3_sum += exp(x) - 1 - x;
                        measure.count++;
                }
        }
        return measure;
}

static double clamped_exp(double x)
{
        return exp(x > 80 ? 80 : x < -80 ? -80 : x);
}

/* Written so that NaN is rejected. */
static bool is_rejected(const struct scope_correction_options *options,
        const struct row_measure *measure)
{
        if (measure->count == 0 || options->seq_mask == SCOPE_SEQ_MASK_OFF)
                return false;
        if (options->seq_mask == SCOPE_SEQ_MASK_K3)
                return !(measure->k3_sum / measure->count <= options->k3_max);
        double ratio = options->seq_mask == SCOPE_SEQ_MASK_GEO ?
                exp(measure->log_sum / measure->count) :
                clamped_exp(measure->log_sum);
        return !(ratio >= options->seq_mask_lo && ratio <= options->seq_mask_hi);
}

/* Weight of one m = 1 token of a row that is not rejected. */
static double token_weight(const struct scope_correction_options *options,
        const struct row_measure *row, double ratio, struct scope_correction_sums *sums)
{
        if (options->token_mask > 0 && ratio > options->token_mask) {
                sums->masked_tokens++;
                return 0;
        }
        if (options->correction == SCOPE_CORRECTION_BYPASS || options->tis == SCOPE_TIS_OFF)
                return 1;
        double weight = options->tis == SCOPE_TIS_TOKEN ? ratio : clamped_exp(row->log_sum);
        if (weight > options->tis_cap) {
                sums->truncated_tokens++;
                weight = options->tis_cap;
        }
        return weight;
}

static void weigh_policy(const struct scope_correction_options *options,
        const struct scope_correction_row *row, const struct scope_segment *segment,
        const struct row_measure *measured, bool rejected, float *ret_weight,
        struct scope_correction_sums *sums)
{
        for (uint32_t t = segment->begin; t < segment->begin + segment->count; t++) {
                double x = log_ratio(row, t), ratio = exp(x);
                double weight = 0;
                if (rejected)
                        sums->masked_tokens++;
                else
                        weight = token_weight(options, measured, ratio, sums);
                ret_weight[t] = (float)weight;
                sums->tokens++;
                sums->ratio += ratio;
                if (ratio > sums->ratio_max)
                        sums->ratio_max = ratio;
                sums->weight += weight;
                sums->weight_square += weight * weight;
                sums->k1 -= x;
                sums->k3 += ratio - 1 - x;
        }
}

void scope_correction_weights(const struct scope_correction_options *options,
        const struct scope_correction_row *row, float *ret_weight,
        struct scope_correction_sums *sums)
{
        struct row_measure measured = measure(row);
        bool rejected = is_rejected(options, &measured);
        float suffix = rejected && options->mixed_on_reject == SCOPE_MIXED_DROP ? 0.0f : 1.0f;
        for (uint32_t i = 0; i < row->segment_count; i++) {
                const struct scope_segment *segment = &row->segments[i];
                scope_assert(segment->begin + segment->count <= row->count);
                if (segment->loss == SCOPE_LOSS_POLICY) {
                        weigh_policy(options, row, segment, &measured, rejected, ret_weight, sums);
                        continue;
                }
                for (uint32_t t = segment->begin; t < segment->begin + segment->count; t++)
                        ret_weight[t] = suffix;
        }
        sums->rows++;
        sums->rejected_rows += rejected;
}

void scope_correction_sums_add(struct scope_correction_sums *sums,
        const struct scope_correction_sums *more)
{
        sums->rows += more->rows;
        sums->rejected_rows += more->rejected_rows;
        sums->tokens += more->tokens;
        sums->truncated_tokens += more->truncated_tokens;
        sums->masked_tokens += more->masked_tokens;
        sums->ratio += more->ratio;
        if (more->ratio_max > sums->ratio_max)
                sums->ratio_max = more->ratio_max;
        sums->weight += more->weight;
        sums->weight_square += more->weight_square;
        sums->k1 += more->k1;
        sums->k3 += more->k3;
}
