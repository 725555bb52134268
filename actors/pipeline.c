#include "actors/pipeline.h"

#include <stdio.h>
#include <string.h>

#include "actors/messages.h"
#include "base/check.h"
#include "models/config.h"
#include "runtime/system.h"

extern const struct scope_actor_class scope_evaluator_class, scope_groups_class,
        scope_learner_class, scope_prm_class, scope_prm_http_class, scope_prompts_class,
        scope_queue_class, scope_recorder_class, scope_refiner_class, scope_reward_class,
        scope_rollout_class, scope_selector_class, scope_weights_class;

/* Mailboxes are sized by what the protocol can put into them: every live sample at once at reward
 * and groups, every live group at the stations behind. */
static enum scope_err add(struct scope_system *system, struct scope_stages *stages,
        const char *name, const struct scope_actor_class *class_, uint32_t data,
        struct scope_workers workers, struct scope_address *ret_address)
{
        struct scope_actor_options options = { .name = name,
                .class_ = class_,
                .args = stages,
                .essential = true,
                .workers = workers };
        options.mailbox[SCOPE_LANE_SYSTEM] = 1024;
        options.mailbox[SCOPE_LANE_CONTROL] = data > 1024 ? data : 1024;
        options.mailbox[SCOPE_LANE_DATA] = data;
        enum scope_err err = scope_system_add(system, &options, ret_address);
        ret_address->incarnation = 0; /* stations mean whichever life there is */
        return err;
}

static enum scope_err add_rollouts(
        struct scope_system *system, struct scope_stages *stages, uint32_t groups)
{
        for (uint32_t i = 0; i < stages->resources.rollout_count; i++) {
                char name[32];
                (void)snprintf(name, sizeof name, "rollout-%u", i);
                enum scope_err err = add(system, stages, name, &scope_rollout_class, groups,
                        stages->resources.rollout_workers[i], &stages->rollout[i]);
                if (err != SCOPE_OK)
                        return err;
        }
        return SCOPE_OK;
}

enum scope_err scope_pipeline_add(struct scope_system *system, struct scope_stages *stages)
{
        const struct scope_pipeline_options *options = stages->options;
        stages->strategy = scope_strategy_find(options->pipeline.strategy);
        if (stages->strategy == NULL || stages->resources.rollout_count == 0 ||
                stages->resources.rollout_count > SCOPE_ROLLOUTS_MAX)
                return SCOPE_ERR_ARGUMENT;
        stages->admission = options->pipeline.admission;
        if (stages->strategy->eta >= 0)
                stages->admission.eta = stages->strategy->eta;
        stages->limits = (struct scope_codec_limits){ .version_newest = UINT64_MAX,
                .vocab = stages->resources.layout != NULL ? stages->resources.layout->config.vocab
                                                          : 0,
                .group_samples_max = (uint32_t)options->rollout.group_size };
        uint32_t groups =
                (uint32_t)(scope_admission_credit(&stages->admission,
                                   (uint64_t)options->rollout.prompts_per_step) +
                           (uint64_t)options->pipeline.teacher_groups);
        uint32_t samples = groups * (uint32_t)options->rollout.group_size;
        const struct scope_workers any = { 0, 0 };
        const struct scope_actor_class *scorer = options->prm.backend == SCOPE_PRM_HTTP
                ? &scope_prm_http_class : &scope_prm_class;
        const struct {
                const char *name;
                const struct scope_actor_class *class_;
                uint32_t data;
                struct scope_workers workers;
                struct scope_address *ret_address;
        } behind[] = {
                { "prompts", &scope_prompts_class, groups, any, &stages->prompts },
                { "reward", &scope_reward_class, samples, any, &stages->reward },
                { "prm", scorer, groups, stages->resources.prm_workers, &stages->prm },
                { "selector", &scope_selector_class, groups, any, &stages->selector },
                { "refiner", &scope_refiner_class, groups, any, &stages->refiner },
                { "queue", &scope_queue_class, groups, any, &stages->queue },
                { "evaluator", &scope_evaluator_class, 16, any, &stages->evaluator },
                { "learner", &scope_learner_class, groups, stages->resources.learner_workers,
                        &stages->learner },
                { "weights", &scope_weights_class, 16, any, &stages->weights },
                { "recorder", &scope_recorder_class, 4 * groups, any, &stages->recorder },
        };
        /* the order of draining: sources first, the recorder last */
        enum scope_err err = add(
                system, stages, "groups", &scope_groups_class, samples, any, &stages->groups);
        if (err == SCOPE_OK)
                err = add_rollouts(system, stages, groups);
        for (size_t i = 0; i < sizeof behind / sizeof behind[0] && err == SCOPE_OK; i++)
                err = add(system, stages, behind[i].name, behind[i].class_, behind[i].data,
                        behind[i].workers, behind[i].ret_address);
        return err;
}
