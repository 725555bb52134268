/* groups_idle.c - groups withholds work, so it knows why others have none: the bubble ledger's
 * "starved" is split here. Why apart: it decides nothing; it only looks. */
#include "actors/groups.h"
#include "actors/idle.h"
#include "runtime/ledger.h"

struct look {
        uint32_t at[SCOPE_STAGE_COUNT];
        bool ends; /* nothing more will be admitted */
};

static struct look look_of(const struct groups *groups)
{
        struct look look = { .ends = false };
        for (uint32_t i = 0; i < groups->live_max; i++)
                look.at[groups->live[i].stage]++;
        uint64_t live = scope_ledger_counts(groups->ledger).live + look.at[SCOPE_STAGE_WANTED];
        look.ends = groups->finished || scope_groups_still_needed(groups, live) == 0;
        return look;
}

/* Nobody decodes: no prompt yet, or none may be admitted. */
static enum scope_idle decode_waits_for(const struct groups *groups, const struct look *look)
{
        if (look->ends)
                return SCOPE_IDLE_TAIL;
        if (look->at[SCOPE_STAGE_WANTED] > 0)
                return SCOPE_IDLE_STARVED;
        if (look->at[SCOPE_STAGE_OFFERED] > 0)
                return SCOPE_IDLE_BLOCKED;
        return groups->stages->strategy->in_order ? SCOPE_IDLE_BARRIER : SCOPE_IDLE_CREDIT;
}

/* A station behind decoding; `held`: groups that wait for a barrier before it. */
static enum scope_idle repair_waits_for(
        const struct look *look, uint32_t held, uint32_t to_come, bool met)
{
        if (held > 0)
                return SCOPE_IDLE_BARRIER;
        if (look->ends && to_come == 0)
                return SCOPE_IDLE_TAIL;
        return met ? SCOPE_IDLE_STARVED : SCOPE_IDLE_STARTUP;
}

static void say(struct scope_actor *self, struct scope_address whom, enum scope_idle cause)
{
        scope_idle_cause_of(
                self, whom, cause == SCOPE_IDLE_STARVED ? NULL : scope_idle_words[cause]);
}

void scope_groups_tell_idle(struct scope_actor *self, struct groups *groups)
{
        const struct scope_stages *stages = groups->stages;
        if (!groups->moved)
                return;
        groups->moved = false;
        struct look look = look_of(groups);
        enum scope_idle decode = decode_waits_for(groups, &look);
        uint32_t rolling = look.at[SCOPE_STAGE_WANTED] + look.at[SCOPE_STAGE_ROLLING],
                 complete = look.at[SCOPE_STAGE_COMPLETE], scored = look.at[SCOPE_STAGE_SCORED];
        uint32_t to_select = rolling + complete + look.at[SCOPE_STAGE_SCORING];
        scope_idle_cause(self, scope_idle_words[decode]);
        for (uint32_t i = 0; i < stages->resources.rollout_count && (int)decode != groups->told;
                i++)
                say(self, stages->rollout[i], decode);
        groups->told = (int)decode;
        say(self, stages->reward, look.ends && rolling == 0 ? SCOPE_IDLE_TAIL : SCOPE_IDLE_STARVED);
        say(self, stages->prm, repair_waits_for(&look, complete, rolling, groups->prm_met));
        say(self, stages->selector,
                repair_waits_for(&look, scored, to_select, groups->teacher_met));
        say(self, stages->refiner,
                repair_waits_for(&look, complete + scored,
                        to_select + look.at[SCOPE_STAGE_SELECTING], groups->teacher_met));
}
