#include "cli/sim_audit.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "runtime/ledger.h"
#include "runtime/system.h"

enum { GROUPS_MAX = 1 << 20 };

static void violate(struct scope_sim_audit *audit, const char *what)
{
        if (audit->violation == NULL)
                audit->violation = what; /* the first is the cause */
}

static struct scope_sim_group *group_of(struct scope_sim_audit *audit, uint64_t id)
{
        uint64_t capacity = audit->capacity != 0 ? audit->capacity : 64;
        while (id >= capacity && capacity < GROUPS_MAX)
                capacity *= 2;
        if (id >= capacity) {
                violate(audit, "a run admits groups without end");
                return NULL;
        }
        if (capacity > audit->capacity) {
                struct scope_sim_group *grown = realloc(audit->groups, capacity * sizeof *grown);
                scope_assert(grown != NULL); /* a simulation without memory proves nothing */
                memset(grown + audit->capacity, 0, (capacity - audit->capacity) * sizeof *grown);
                audit->groups = grown;
                audit->capacity = capacity;
        }
        return &audit->groups[id];
}

/* --- one sample ----------------------------------------------------------------------------- */

static void leased(struct scope_sim_audit *audit, struct scope_sim_group *group,
        const struct scope_audit *event)
{
        if (event->value <= group->lease[event->sample])
                violate(audit, "I6: a lease is not newer than the one before");
        if ((group->accepted >> event->sample & 1) != 0)
                violate(audit, "I6: a sample that is here was leased again");
        if (group->ended)
                violate(audit, "I1: a group that ended was leased");
        group->lease[event->sample] = event->value;
}

static void accepted(struct scope_sim_audit *audit, struct scope_sim_group *group,
        const struct scope_audit *event)
{
        if (event->value != group->lease[event->sample])
                violate(audit, "I7: a sample was accepted from a lease that was replaced");
        if ((group->accepted >> event->sample & 1) != 0)
                violate(audit, "I3: a sample was accepted twice");
        group->accepted |= (uint8_t)(1u << event->sample);
}

static void trained(struct scope_sim_audit *audit, struct scope_sim_group *group,
        const struct scope_audit *event)
{
        uint64_t age = event->value > event->version ? event->value - event->version : 0;
        if (group->trained[event->sample])
                violate(audit, "I3: a sample was trained twice");
        if (group->ended)
                violate(audit, "I3: a group was trained after its end");
        if (age > (uint64_t)audit->stages->admission.age_max)
                violate(audit, "I4: a group older than age_max was trained");
        if (audit->stages->strategy->in_order && event->value != group->batch)
                violate(audit, "order: a group was trained in another batch than its own");
        if (audit->stages->strategy->in_order && age > (uint64_t)audit->stages->strategy->eta)
                violate(audit, "I4: a group is older than its strategy lets it be");
        if ((group->accepted >> event->sample & 1) == 0)
                violate(audit, "I5: a sample was trained that was never accepted");
        if (group->trained_count == 0)
                audit->coverage->ages[age < SCOPE_SIM_AGES - 1 ? age : SCOPE_SIM_AGES - 1]++;
        group->trained[event->sample] = true;
        group->trained_count++;
}

/* --- one group ------------------------------------------------------------------------------ */

static void admitted(struct scope_sim_audit *audit, struct scope_sim_group *group,
        const struct scope_audit *event)
{
        if (group->admitted)
                violate(audit, "I1: a group was admitted twice");
        group->admitted = true;
        group->batch = event->value;
}

static void leave_teacher(struct scope_sim_audit *audit, struct scope_sim_group *group)
{
        audit->at_teacher -= group->at_teacher;
        group->at_teacher = false;
}

static void ended(struct scope_sim_audit *audit, struct scope_sim_group *group,
        const struct scope_audit *event)
{
        if (!group->admitted || group->ended)
                violate(audit, "I1: a group ended twice, or before it was admitted");
        if (event->value == SCOPE_TRAINED && group->trained_count != group->stats)
                violate(audit, "I5: statistics used other samples than were trained");
        if (event->value != SCOPE_TRAINED && group->trained_count != 0)
                violate(audit, "I3: a group was trained and ended as something else");
        scope_assert(event->value < SCOPE_OUTCOME_COUNT);
        leave_teacher(audit, group);
        group->ended = true;
        group->outcome = (uint8_t)event->value;
        audit->coverage->outcomes[event->value]++;
        if (event->value == SCOPE_FAILED && event->version < SCOPE_FAILURE_COUNT)
                audit->coverage->failures[event->version]++;
}

static void to_teacher(struct scope_sim_audit *audit, struct scope_sim_group *group,
        const struct scope_audit *event)
{
        uint64_t credits = (uint64_t)audit->stages->options->pipeline.teacher_groups;
        if (group->at_teacher)
                violate(audit, "credit: a group took a teacher's credit twice");
        group->at_teacher = true;
        audit->at_teacher++;
        if (audit->at_teacher != event->value)
                violate(audit, "credit: groups lost count of the teacher's credits");
        if (credits > 0 && audit->at_teacher > credits)
                violate(audit, "credit: more groups are at the teacher than it has credits");
}

static void decided(struct scope_sim_audit *audit, struct scope_sim_group *group,
        const struct scope_audit *event)
{
        if (group->decided)
                violate(audit, "I1: a group was decided twice");
        group->decided = true;
        leave_teacher(audit, group);
        if (audit->at_teacher != event->version)
                violate(audit, "credit: a group left the teacher and its credit did not");
        audit->coverage->paths[event->value]++;
}

void scope_sim_audit_event(void *context, const struct scope_audit *event)
{
        struct scope_sim_audit *audit = context;
        if (event->kind == SCOPE_AUDIT_WEIGHTS || event->kind >= SCOPE_AUDIT_SAMPLED)
                return; /* of interest for time only */
        struct scope_sim_group *group = group_of(audit, event->group);
        scope_assert(event->sample < SCOPE_SIM_SAMPLES_MAX);
        if (group == NULL)
                return;
        switch (event->kind) {
        case SCOPE_AUDIT_ADMITTED:
                admitted(audit, group, event);
                break;
        case SCOPE_AUDIT_LEASED:
                leased(audit, group, event);
                break;
        case SCOPE_AUDIT_ACCEPTED:
                accepted(audit, group, event);
                break;
        case SCOPE_AUDIT_TRAINED:
                trained(audit, group, event);
                break;
        case SCOPE_AUDIT_ENDED:
                ended(audit, group, event);
                break;
        case SCOPE_AUDIT_STATS:
                group->stats = (uint8_t)event->value;
                break;
        case SCOPE_AUDIT_TEACHER:
                to_teacher(audit, group, event);
                break;
        case SCOPE_AUDIT_REFINED:
                audit->coverage->verdicts[event->value % SCOPE_REFINE_COUNT]++;
                break;
        case SCOPE_AUDIT_DECIDED:
                decided(audit, group, event);
                break;
        default:
                break;
        }
}

/* --- the whole ------------------------------------------------------------------------------ */

const char *scope_sim_audit_check(const struct scope_sim_audit *audit, struct scope_system *system)
{
        const struct scope_stages *stages = audit->stages;
        struct scope_ledger_counts counts = scope_ledger_counts(scope_system_ledger(system));
        uint64_t credits = scope_admission_credit(&stages->admission,
                                   (uint64_t)stages->options->rollout.prompts_per_step) +
                           (uint64_t)stages->options->pipeline.teacher_groups;
        if (audit->violation != NULL)
                return audit->violation;
        if (counts.live > credits)
                return "I8: more groups are live than there is credit for";
        return scope_simulation_check(system); /* I2 among them */
}

const char *scope_sim_audit_end(const struct scope_sim_audit *audit, struct scope_system *system)
{
        struct scope_ledger_counts counts = scope_ledger_counts(scope_system_ledger(system));
        uint64_t admitted = 0, ends[SCOPE_OUTCOME_COUNT] = { 0 };
        for (uint64_t i = 0; i < audit->capacity; i++) {
                const struct scope_sim_group *group = &audit->groups[i];
                admitted += group->admitted;
                if (group->ended)
                        ends[group->outcome]++;
                if (group->trained_count > 0 && !group->ended)
                        return "I1: a group was trained and never ended";
        }
        if (admitted != counts.admitted)
                return "I11: the ledger admitted other groups than were told";
        for (int outcome = 0; outcome < SCOPE_OUTCOME_COUNT; outcome++)
                if (ends[outcome] != counts.ended[outcome])
                        return "I11: the ends that were told do not add up to the ledger";
        if (audit->stages->resources.progress->step < (uint64_t)audit->stages->options->run.steps)
                return "I9: the run did not finish after all faults had healed";
        return NULL;
}

void scope_sim_audit_fini(struct scope_sim_audit *audit)
{
        free(audit->groups);
        *audit = (struct scope_sim_audit){ 0 };
}
