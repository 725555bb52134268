#include "algorithm/admission.h"

#include <inttypes.h>
#include <math.h>

#include "base/check.h"

static const char *const stale_names[] = { "plain", "reweight", "mask", NULL };

const struct scope_option scope_admission_option_table[] = {
        SCOPE_INT_OPTION(scope_admission_options, eta, "2", 0, 1024,
                "versions a group may be old at the operating point"),
        SCOPE_INT_OPTION(scope_admission_options, age_max, "4", 0, 1024,
                "versions; an older group is rejected when it would be trained"),
        SCOPE_ENUM_OPTION(scope_admission_options, stale, "\"plain\"", stale_names,
                "training between eta and age_max: plain, with less weight, or young tokens only"),
        SCOPE_FLOAT_OPTION(scope_admission_options, partial_rollout, "0", 0, 16,
                "async: launch so many times the groups that are needed, stop decoding when enough "
                "are done, go on with the rest under the next weights; 0 = off"),
        SCOPE_OPTION_END,
};

enum scope_err scope_admission_check(const struct scope_admission_options *options,
        struct scope_diag *diag)
{
        if (options->age_max >= options->eta)
                return SCOPE_OK;
        return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                "pipeline.age_max is %" PRId64 ", below pipeline.eta %" PRId64
                ": raise age_max or lower eta", options->age_max, options->eta);
}

uint64_t scope_admission_enough(
        const struct scope_admission_options *options, uint64_t prompts_per_step)
{
        return (uint64_t)(options->eta + 1) * prompts_per_step;
}

uint64_t scope_admission_credit(
        const struct scope_admission_options *options, uint64_t prompts_per_step)
{
        uint64_t enough = scope_admission_enough(options, prompts_per_step);
        if (options->partial_rollout <= 1)
                return enough;
        return (uint64_t)ceil(options->partial_rollout * (double)enough - 1e-9);
}

uint32_t scope_admission_open(const struct scope_admission_options *options,
        const struct scope_admission *now)
{
        scope_assert(now->at_teacher <= now->live);
        uint32_t elsewhere = now->at_teacher < now->teacher_credit ? now->at_teacher :
                                                                     now->teacher_credit;
        uint64_t held = now->live - elsewhere;
        uint64_t credit = scope_admission_credit(options, now->prompts_per_step);
        uint64_t open = credit > held ? credit - held : 0;
        return open < UINT32_MAX ? (uint32_t)open : UINT32_MAX;
}

bool scope_admission_teacher_open(const struct scope_admission *now)
{
        return now->teacher_credit == 0 || now->at_teacher < now->teacher_credit;
}

uint64_t scope_age_of(uint64_t version_now, uint64_t version_oldest)
{
        return version_now > version_oldest ? version_now - version_oldest : 0;
}

enum scope_age scope_age_judge(const struct scope_admission_options *options, uint64_t age)
{
        if (age > (uint64_t)options->age_max)
                return SCOPE_AGE_REJECTED;
        return age > (uint64_t)options->eta ? SCOPE_AGE_STALE : SCOPE_AGE_FRESH;
}

uint64_t scope_age_deadline_ns(const struct scope_admission_options *options, uint64_t age,
        uint64_t step_ns)
{
        if (age > (uint64_t)options->age_max)
                return 0;
        if (step_ns == 0)
                return UINT64_MAX;
        uint64_t versions = (uint64_t)options->age_max - age + 1;
        return step_ns > UINT64_MAX / versions ? UINT64_MAX : versions * step_ns;
}

static bool is_policy_token(const struct scope_trajectory *trajectory, uint32_t token)
{
        for (uint32_t i = 0; i < trajectory->segment_count; i++) {
                const struct scope_segment *segment = &trajectory->segments[i];
                if (token - segment->begin < segment->count)
                        return segment->loss == SCOPE_LOSS_POLICY;
        }
        return false;
}

void scope_age_weights(const struct scope_admission_options *options, uint64_t version_now,
        uint64_t version_oldest, const struct scope_trajectory *trajectory, float *weight)
{
        uint64_t age = scope_age_of(version_now, version_oldest);
        if (options->stale == SCOPE_STALE_PLAIN ||
                scope_age_judge(options, age) != SCOPE_AGE_STALE)
                return;
        uint64_t eta = (uint64_t)options->eta, over = age - eta;
        float share = 1 - (float)over / (float)((uint64_t)options->age_max - eta + 1);
        for (uint32_t i = 0; i < trajectory->span_count; i++) {
                const struct scope_version_span *span = &trajectory->spans[i];
                bool old = scope_age_of(version_now, span->version) > eta;
                float factor = options->stale == SCOPE_STALE_REWEIGHT ? share : (old ? 0.0f : 1.0f);
                for (uint32_t t = span->begin; t < span->begin + span->count; t++) {
                        scope_assert(t < trajectory->token_count);
                        if (is_policy_token(trajectory, t))
                                weight[t] *= factor;
                }
        }
}
