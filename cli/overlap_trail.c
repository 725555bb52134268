/* overlap_trail.c - the audit trail as it comes: records of groups, calls and steps, and queues
 * watched while time passes. */
#include "cli/overlap_trail.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* Ids rise one by one: a jump beyond these is a broken trail, not a reason to allocate. */
enum { GROUP_JUMP_MAX = 1 << 16, STEP_JUMP_MAX = 1 << 10 };

enum scope_err scope_overlap_trail_create(
        const struct scope_overlap_setting *setting, struct scope_overlap_trail **ret_trail)
{
        struct scope_overlap_trail *trail = calloc(1, sizeof *trail);
        if (trail == NULL)
                return SCOPE_ERR_MEMORY;
        trail->setting = *setting;
        trail->first = trail->now = -1;
        trail->slice_s = 1e-3;
        trail->links[SCOPE_LINK_TEACHER].capacity = setting->teacher_concurrency;
        trail->links[SCOPE_LINK_QUEUE].capacity = setting->queue_groups;
        *ret_trail = trail;
        return SCOPE_OK;
}

void scope_overlap_trail_destroy(struct scope_overlap_trail *trail)
{
        if (trail == NULL)
                return;
        free(trail->groups);
        free(trail->samples);
        free(trail->steps);
        free(trail->calls);
        free(trail->drains);
        free(trail);
}

uint64_t scope_overlap_trail_groups(const struct scope_overlap_trail *trail)
{
        return trail->group_count;
}

/* --- memory --------------------------------------------------------------------------------- */

static void *grow(void *old, uint64_t had, uint64_t wants, size_t bytes)
{
        char *grown = realloc(old, wants * bytes);
        if (grown != NULL)
                memset(grown + had * bytes, 0, (wants - had) * bytes);
        return grown;
}

static uint64_t twice(uint64_t capacity, uint64_t index)
{
        capacity = capacity != 0 ? capacity : 256;
        while (capacity <= index)
                capacity *= 2;
        return capacity;
}

static bool make_room(struct scope_overlap_trail *trail, uint64_t index)
{
        uint64_t had = trail->group_capacity, wants = twice(had, index);
        uint64_t size = trail->setting.group_size;
        struct scope_trail_group *groups = grow(trail->groups, had, wants, sizeof *groups);
        if (groups != NULL)
                trail->groups = groups;
        struct scope_trail_sample *samples =
                grow(trail->samples, had * size, wants * size, sizeof *samples);
        if (samples != NULL)
                trail->samples = samples;
        if (groups == NULL || samples == NULL)
                return false;
        trail->group_capacity = wants;
        return true;
}

/* NULL: it lived before this trail began, or there is no memory. */
static struct scope_trail_group *group_of(struct scope_overlap_trail *trail, uint64_t id, bool new)
{
        if (!trail->has_group && new) {
                trail->has_group = true;
                trail->first_group = id;
        }
        if (trail->failed || !trail->has_group || id < trail->first_group)
                return NULL;
        uint64_t index = id - trail->first_group;
        if (index > trail->group_count + GROUP_JUMP_MAX ||
                (index >= trail->group_capacity && !make_room(trail, index))) {
                trail->failed = true;
                return NULL;
        }
        if (index >= trail->group_count)
                trail->group_count = index + 1;
        return &trail->groups[index];
}

static struct scope_trail_step *step_of(struct scope_overlap_trail *trail, uint64_t version)
{
        if (!trail->has_version) {
                trail->has_version = true;
                trail->first_version = version;
        }
        if (trail->failed || version < trail->first_version)
                return NULL;
        uint64_t index = version - trail->first_version;
        if (index > trail->step_count + STEP_JUMP_MAX) {
                trail->failed = true;
                return NULL;
        }
        if (index >= trail->step_capacity) {
                uint64_t had = trail->step_capacity, wants = twice(had, index);
                struct scope_trail_step *steps = grow(trail->steps, had, wants, sizeof *steps);
                if (steps == NULL) {
                        trail->failed = true;
                        return NULL;
                }
                trail->steps = steps;
                trail->step_capacity = wants;
        }
        if (index >= trail->step_count)
                trail->step_count = index + 1;
        return &trail->steps[index];
}

static void add_call(struct scope_overlap_trail *trail, uint64_t group, double began, double now)
{
        if (trail->call_count == trail->call_capacity) {
                uint64_t had = trail->call_capacity, wants = twice(had, had);
                struct scope_trail_call *calls = grow(trail->calls, had, wants, sizeof *calls);
                if (calls == NULL) {
                        trail->failed = true;
                        return;
                }
                trail->calls = calls;
                trail->call_capacity = wants;
        }
        trail->calls[trail->call_count++] = (struct scope_trail_call){ group, began, now - began };
}

/* Rollout event->value took weights: since when did it run empty for them? */
static void took(struct scope_overlap_trail *trail, const struct scope_audit *event)
{
        uint64_t at = scope_trail_step(trail, event->version);
        if (event->value >= SCOPE_ROLLOUTS_MAX || !trail->setting.drain)
                return;
        double before = trail->took_at[event->value];
        trail->took_at[event->value] = trail->now;
        if (before <= 0 || at >= trail->step_count)
                return;
        if (trail->drain_count == trail->drain_capacity) {
                uint64_t had = trail->drain_capacity, wants = twice(had, had);
                struct scope_trail_drain *drains = grow(trail->drains, had, wants, sizeof *drains);
                if (drains == NULL) {
                        trail->failed = true;
                        return;
                }
                trail->drains = drains;
                trail->drain_capacity = wants;
        }
        trail->drains[trail->drain_count++] =
                (struct scope_trail_drain){ fmax(trail->steps[at].exported, before), trail->now };
}

/* --- queues --------------------------------------------------------------------------------- */

static void enter(struct scope_overlap_trail *trail, enum scope_link at)
{
        trail->links[at].held++;
        trail->links[at].entered++;
}

static void leave(struct scope_overlap_trail *trail, enum scope_link at, double since)
{
        struct scope_trail_link *link = &trail->links[at];
        if (link->held == 0)
                return; /* it came before the trail began */
        link->held--;
        link->left++;
        link->sojourn += trail->now - since;
}

/* Half as many slices, each twice as long: the run is longer than was thought. */
static void fold(struct scope_overlap_trail *trail)
{
        for (int l = 0; l < SCOPE_LINKS; l++) {
                double *slices = trail->links[l].over_time;
                for (int i = 0; i < SCOPE_DEPTH_SLICES / 2; i++)
                        slices[i] = slices[2 * i] + slices[2 * i + 1];
                for (int i = SCOPE_DEPTH_SLICES / 2; i < SCOPE_DEPTH_SLICES; i++)
                        slices[i] = 0;
        }
        trail->slice_s *= 2;
}

static void watch(struct scope_overlap_trail *trail, struct scope_trail_link *link, double to)
{
        double passed = to - trail->now, begin = trail->now - trail->first, end = to - trail->first;
        double depth = (double)link->held;
        link->area += passed * depth;
        if (link->held == 0)
                link->empty_s += passed;
        if (link->capacity > 0 && link->held >= link->capacity)
                link->full_s += passed;
        uint64_t bin = link->held < SCOPE_DEPTH_BINS - 1 ? link->held : SCOPE_DEPTH_BINS - 1;
        link->at_depth[bin] += passed;
        for (int i = (int)(begin / trail->slice_s); depth > 0 && i < SCOPE_DEPTH_SLICES; i++) {
                double slice = trail->slice_s * i;
                double share = fmin(end, slice + trail->slice_s) - fmax(begin, slice);
                if (share <= 0)
                        break;
                link->over_time[i] += share * depth;
        }
}

/* Time passed since the event before: to whom does it count? */
static void pass(struct scope_overlap_trail *trail, double now)
{
        if (trail->now < 0)
                trail->first = trail->now = now;
        double passed = now - trail->now;
        bool learning = trail->claimed >= trail->setting.prompts_per_step;
        bool decoding = trail->links[SCOPE_LINK_DECODE].held > 0;
        if (passed <= 0)
                return;
        while (now - trail->first > trail->slice_s * SCOPE_DEPTH_SLICES)
                fold(trail);
        for (int l = 0; l < SCOPE_LINKS; l++)
                watch(trail, &trail->links[l], now);
        if (trail->at_teacher > 0)
                trail->teacher_busy += passed;
        if (trail->at_teacher > 0 && !decoding && !learning)
                trail->teacher_alone += passed;
        trail->now = now;
}

/* --- events --------------------------------------------------------------------------------- */

static void sampled(struct scope_overlap_trail *trail, struct scope_trail_group *group,
        const struct scope_audit *event)
{
        uint32_t tokens = (uint32_t)event->value;
        uint64_t index = (event->group - trail->first_group) * trail->setting.group_size;
        trail->sampled_tokens += tokens;
        if (group == NULL || event->sample >= trail->setting.group_size)
                return;
        struct scope_trail_sample *sample = &trail->samples[index + event->sample];
        group->tokens += tokens;
        group->redone += sample->tokens; /* an earlier lease's, or this one's: one of them */
        trail->redone_tokens += sample->tokens;
        sample->tokens = tokens;
        sample->ended = trail->now;
        sample->service_s = (float)((double)event->service_ns * 1e-9);
}

static void spanned(struct scope_overlap_trail *trail, struct scope_trail_group *group,
        const struct scope_audit *event)
{
        uint64_t age = trail->version > event->version ? trail->version - event->version : 0;
        trail->token_ages[age < SCOPE_STALENESS_BINS - 1 ? age : SCOPE_STALENESS_BINS - 1] +=
                event->value;
        trail->spans++;
        if (group != NULL && event->version > group->newest)
                group->newest = event->version;
}

static void ended(struct scope_overlap_trail *trail, struct scope_trail_group *group,
        const struct scope_audit *event)
{
        if (group->outcome != SCOPE_OUTCOME_COUNT)
                return;
        if (group->sealed <= 0)
                leave(trail, SCOPE_LINK_DECODE, group->admitted);
        else if (group->decided <= 0)
                leave(trail, SCOPE_LINK_REPAIR, group->sealed);
        else if (group->queued > 0 && group->claimed <= 0)
                leave(trail, SCOPE_LINK_QUEUE, group->queued);
        else if (group->claimed > 0)
                leave(trail, SCOPE_LINK_LEARNER, group->claimed);
        if (group->at_teacher > 0 && group->decided <= 0)
                leave(trail, SCOPE_LINK_TEACHER, group->at_teacher);
        group->ended = trail->now;
        group->outcome = (uint8_t)event->value;
}

/* On its way through the repair. */
static void repair_event(struct scope_overlap_trail *trail, struct scope_trail_group *group,
        const struct scope_audit *event, double since)
{
        double now = trail->now;
        switch (event->kind) {
        case SCOPE_AUDIT_SCORED:
                group->scored = now;
                group->prm_s = now - since;
                break;
        case SCOPE_AUDIT_TEACHER:
                group->at_teacher = now;
                group->version_at[SCOPE_AT_TEACHER] = trail->version;
                enter(trail, SCOPE_LINK_TEACHER);
                trail->at_teacher++;
                break;
        case SCOPE_AUDIT_CALLED:
                group->teacher_s += now - since;
                group->calls++;
                add_call(trail, event->group, since, now);
                break;
        case SCOPE_AUDIT_DECIDED:
                leave(trail, SCOPE_LINK_REPAIR, group->sealed);
                if (group->at_teacher > 0)
                        leave(trail, SCOPE_LINK_TEACHER, group->at_teacher);
                else
                        group->version_at[SCOPE_AT_TEACHER] = trail->version;
                group->decided = now;
                group->path = (uint8_t)event->value;
                group->version_at[SCOPE_AT_DECIDED] = trail->version;
                trail->at_teacher = event->version;
                break;
        default:
                break;
        }
}

static void group_event(
        struct scope_overlap_trail *trail, const struct scope_audit *event, double since)
{
        struct scope_trail_group *group =
                group_of(trail, event->group, event->kind == SCOPE_AUDIT_ADMITTED);
        double now = trail->now;
        if (event->kind == SCOPE_AUDIT_SAMPLED)
                sampled(trail, group, event);
        if (event->kind == SCOPE_AUDIT_SPAN)
                spanned(trail, group, event);
        if (group == NULL)
                return;
        switch (event->kind) {
        case SCOPE_AUDIT_ADMITTED:
                *group = (struct scope_trail_group){
                        .batch = event->value, .admitted = now, .outcome = SCOPE_OUTCOME_COUNT
                };
                enter(trail, SCOPE_LINK_DECODE);
                break;
        case SCOPE_AUDIT_SEALED:
                leave(trail, SCOPE_LINK_DECODE, group->admitted);
                enter(trail, SCOPE_LINK_REPAIR);
                group->sealed = now;
                group->version_at[SCOPE_AT_SEALED] = trail->version;
                break;
        case SCOPE_AUDIT_QUEUED:
                enter(trail, SCOPE_LINK_QUEUE);
                group->queued = now;
                break;
        case SCOPE_AUDIT_CLAIMED:
                leave(trail, SCOPE_LINK_QUEUE, group->queued);
                enter(trail, SCOPE_LINK_LEARNER);
                group->claimed = now;
                group->version_at[SCOPE_AT_CLAIMED] = event->version;
                trail->claimed++;
                break;
        case SCOPE_AUDIT_TRAINED:
                group->oldest = event->version;
                group->trained = event->value + 1;
                trail->trained_samples++;
                break;
        case SCOPE_AUDIT_ENDED:
                ended(trail, group, event);
                break;
        default:
                repair_event(trail, group, event, since);
                break;
        }
}

void scope_overlap_trail_event(void *context, const struct scope_audit *event)
{
        struct scope_overlap_trail *trail = context;
        double now = (double)event->now_ns * 1e-9, since = (double)event->since_ns * 1e-9;
        if (event->kind == SCOPE_AUDIT_DECODED)
                return; /* of interest for a replay */
        pass(trail, now);
        if (event->kind == SCOPE_AUDIT_STEPPED) {
                struct scope_trail_step *step = step_of(trail, event->version);
                trail->version = event->version;
                if (step == NULL)
                        return;
                step->began = since;
                step->stepped = now;
                step->tokens = event->value;
        } else if (event->kind == SCOPE_AUDIT_EXPORTED) {
                struct scope_trail_step *step = step_of(trail, event->version);
                trail->claimed = 0;
                trail->version = event->version;
                if (step == NULL)
                        return;
                step->exported = now;
                step->cpu_s = (double)event->service_ns * 1e-9;
                step->teacher_busy = trail->teacher_busy;
                step->teacher_alone = trail->teacher_alone;
        } else if (event->kind == SCOPE_AUDIT_WEIGHTS) {
                took(trail, event);
        } else if (event->kind == SCOPE_AUDIT_CUT) {
                trail->cut_tokens += event->value;
        } else {
                group_event(trail, event, since);
        }
}
