/* groups_repair.c - what the groups actor asks of PRM, selector and refiner, one group at a time.
 * Why: a repair is a small conversation of its own: due? scored, selected, refined, next choice
 * after a rejection. Whatever happens in it, it ends in scope_groups_decide. */
#include "actors/groups.h"
#include "actors/messages.h"
#include "base/check.h"
#include "base/planted.h"
#include "runtime/ledger.h"

static const uint64_t SECOND = 1000000000u;

struct scope_admission scope_groups_credits(const struct groups *groups)
{
        return (struct scope_admission){ .prompts_per_step = scope_groups_batch_size(groups),
                .teacher_credit = (uint32_t)groups->stages->options->pipeline.teacher_groups,
                .live = (uint32_t)scope_ledger_counts(groups->ledger).live,
                .at_teacher = groups->at_teacher };
}

static bool teacher_open(const struct groups *groups)
{
        struct scope_admission now = scope_groups_credits(groups);
        return !groups->teacher_down && scope_admission_teacher_open(&now);
}

void scope_groups_decide(struct scope_actor *self, struct groups *groups,
        struct scope_live_group *group, enum scope_group_path path)
{
        group->path = (uint8_t)path;
        group->stage = SCOPE_STAGE_DECIDED;
        groups->moved = true;
        if (group->at_teacher) {
                group->at_teacher = false;
                if (!SCOPE_PLANTED(TEACHER_CREDIT_KEPT))
                        groups->at_teacher--;
        }
        scope_stages_audit(self, groups->stages,
                (struct scope_audit){ .kind = SCOPE_AUDIT_DECIDED,
                        .group = group->id,
                        .value = path,
                        .version = groups->at_teacher });
}

void scope_groups_ask(struct scope_actor *self, struct groups *groups,
        struct scope_live_group *group, struct scope_message **message, struct scope_address whom,
        enum scope_groups_ask what, enum scope_group_stage stage, uint64_t timeout_ns)
{
        static const char *const waits[] = { "a prompt", "samples of a group", "step scores",
                "a selection", "the teacher", "the queue" };
        (*message)->tag = scope_groups_tag(group->id, 0, 0, what);
        (*message)->trace = group->id + 1;
        group->stage = stage;
        group->asked_ns = scope_now_ns(self);
        groups->prm_met |= what == ASK_SCORE;
        groups->teacher_met |= what == ASK_REFINE;
        groups->moved = true;
        scope_outbox_request(self, &groups->outbox, whom, message, timeout_ns, waits[what]);
}

/* COMPLETE -> SCORING where a repair is due and possible, else DECIDED. */
void scope_groups_begin_repair(
        struct scope_actor *self, struct groups *groups, struct scope_live_group *group)
{
        const struct scope_stages *stages = groups->stages;
        bool due = scope_select_due(&stages->options->scope.select, group->failures);
        bool dense = stages->options->loss.advantage.prm_reward != SCOPE_PRM_REWARD_OFF;
        bool possible = teacher_open(groups);
        struct scope_message *message = NULL;
        if ((!due && !dense) || stages->options->prm.backend == SCOPE_PRM_OFF) {
                scope_groups_decide(self, groups, group, SCOPE_GROUP_PLAIN);
                return;
        }
        if (!dense && !possible) {
                scope_groups_decide(self, groups, group, SCOPE_GROUP_DEGRADED);
                return;
        }
        if (scope_live_group_score(self, stages, group, dense, &message) != SCOPE_OK) {
                scope_groups_decide(
                        self, groups, group, due ? SCOPE_GROUP_DEGRADED : SCOPE_GROUP_PLAIN);
                return;
        }
        scope_groups_ask(self, groups, group, &message, stages->prm, ASK_SCORE, SCOPE_STAGE_SCORING,
                (uint64_t)stages->options->prm.timeout);
}

void scope_groups_begin_select(
        struct scope_actor *self, struct groups *groups, struct scope_live_group *group)
{
        struct scope_message *message = NULL;
        if (!scope_select_due(&groups->stages->options->scope.select, group->failures)) {
                scope_groups_decide(self, groups, group, SCOPE_GROUP_PLAIN);
                return;
        }
        if (groups->teacher_down || scope_live_group_select(self, groups->stages, group,
                                            groups->window, &message) != SCOPE_OK) {
                scope_groups_decide(self, groups, group, SCOPE_GROUP_DEGRADED);
                return;
        }
        scope_groups_ask(self, groups, group, &message, groups->stages->selector, ASK_SELECT,
                SCOPE_STAGE_SELECTING, 30 * SECOND);
}

/* How long the teacher may take: its own deadline, and where groups age, no longer than this one
 * may. What follows, waiting for the learner's next batch, has no share of it: with one, simulated
 * (overlap-sim, async, age_max 2, teacher 60 s), 14 instead of 15 % of tokens grew too old and 5 %
 * more groups were trained, but 69 instead of 88 % of the failures were repaired. */
static uint64_t teacher_time(
        struct scope_actor *self, struct groups *groups, const struct scope_live_group *group)
{
        const struct scope_stages *stages = groups->stages;
        uint64_t longest = (uint64_t)stages->options->teacher.deadline;
        if (stages->strategy->in_order)
                return longest; /* its age is its batch's, whenever the teacher answers */
        uint64_t age = scope_age_of(groups->version, scope_live_group_oldest(self, stages, group));
        uint64_t left = scope_age_deadline_ns(&stages->admission, age, groups->step_ns);
        return left < longest ? left : longest;
}

void scope_groups_begin_refine(
        struct scope_actor *self, struct groups *groups, struct scope_live_group *group)
{
        struct scope_message *message = NULL;
        uint64_t timeout_ns = teacher_time(self, groups, group);
        if (!group->at_teacher && !teacher_open(groups))
                timeout_ns = 0;
        enum scope_err err = timeout_ns == 0 ? SCOPE_ERR_DEADLINE
                                             : scope_live_group_refine(self, groups->stages, group,
                                                       timeout_ns, &message);
        if (err != SCOPE_OK) {
                /* no candidate left to try is the end of a tried repair, anything else a degraded
                 * one */
                scope_groups_decide(self, groups, group,
                        err == SCOPE_ERR_NOT_FOUND ? SCOPE_GROUP_KEPT : SCOPE_GROUP_DEGRADED);
                return;
        }
        if (!group->at_teacher) {
                group->at_teacher = true;
                groups->at_teacher++;
                scope_stages_audit(self, groups->stages,
                        (struct scope_audit){ .kind = SCOPE_AUDIT_TEACHER,
                                .group = group->id,
                                .value = groups->at_teacher });
        }
        scope_groups_ask(self, groups, group, &message, groups->stages->refiner, ASK_REFINE,
                SCOPE_STAGE_REFINING, timeout_ns + SECOND);
}

void scope_groups_refined(struct scope_actor *self, struct groups *groups,
        struct scope_live_group *group, struct scope_message **message)
{
        struct scope_refine_answer answer;
        enum scope_err err =
                scope_message_read_refine_answer(self, *message, &groups->stages->limits, &answer);
        if (err == SCOPE_OK)
                scope_stages_audit(self, groups->stages,
                        (struct scope_audit){ .kind = SCOPE_AUDIT_REFINED,
                                .group = group->id,
                                .value = answer.verdict,
                                .since_ns = group->asked_ns });
        if (err != SCOPE_OK || answer.verdict == SCOPE_REFINE_FAILED ||
                answer.verdict == SCOPE_REFINE_SKIPPED) {
                scope_groups_decide(self, groups, group, SCOPE_GROUP_DEGRADED);
        } else if (answer.verdict == SCOPE_REFINE_ACCEPTED) {
                group->refined = *message;
                *message = NULL;
                scope_groups_decide(self, groups, group, SCOPE_GROUP_REPAIRED);
        } else if (group->choice < groups->stages->options->teacher.next_on_reject) {
                group->choice++;
                scope_groups_begin_refine(self, groups, group);
        } else {
                scope_groups_decide(self, groups, group, SCOPE_GROUP_KEPT);
        }
}
