/* groups_pace.c - what groups tells rollouts besides leases: stand still, go on, give it up.
 * Why: partial rollouts and stragglers are decided where all groups are seen.
 * (1) A rollout that missed a word does no harm: it decodes on, or until newer weights. */
#include "actors/groups.h"
#include "actors/messages.h"
#include "runtime/ledger.h"

static void tell(struct scope_actor *self, struct groups *groups, uint32_t rollout, uint16_t kind,
        const struct scope_control *control)
{
        struct scope_message *message = NULL;
        if (scope_message_of_control(self, kind, SCOPE_LANE_CONTROL, control, &message) == SCOPE_OK)
                scope_outbox_send(
                        self, &groups->outbox, groups->stages->rollout[rollout], &message);
}

void scope_groups_cut(
        struct scope_actor *self, struct groups *groups, const struct scope_live_group *group)
{
        for (uint32_t i = 0; i < group->wanted; i++)
                if (group->samples[i] == NULL) {
                        struct scope_control control = { .group = group->id,
                                .value = group->lease[i] };
                        tell(self, groups, group->rollout, SCOPE_KIND_LEASE_CUT, &control);
                        return; /* a lease holds every sample that is missing */
                }
}

void scope_groups_set_pace(struct scope_actor *self, struct groups *groups)
{
        const struct scope_stages *stages = groups->stages;
        uint64_t rolling = 0, step = stages->resources.progress->step;
        uint64_t enough =
                scope_admission_enough(&stages->admission, scope_groups_batch_size(groups));
        if (stages->admission.partial_rollout <= 0)
                return;
        for (uint32_t i = 0; i < groups->live_max; i++)
                rolling += groups->live[i].stage == SCOPE_STAGE_ROLLING;
        uint64_t live = scope_ledger_counts(groups->ledger).live;
        bool still = live - rolling >= enough && !groups->finished;
        if (still == groups->still && (!still || groups->still_since == step))
                return;
        groups->still = still;
        groups->still_since = step;
        struct scope_control control = { .value = !still, .version = step };
        for (uint32_t i = 0; i < stages->resources.rollout_count; i++)
                tell(self, groups, i, SCOPE_KIND_PACE, &control);
}
