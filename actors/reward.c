/* reward.c - right or wrong.
 * Why: verdict and reward are computed here, on the trusted side, whoever sampled the text: correct
 * where the final answer is equivalent to the gold one, and worth 1, else 0 (algorithm.md eq. 7),
 * or what else grade.reward says. The simplest station: read it first.
 * (1) A trajectory is acknowledged to its rollout only after groups acknowledged it here. */
#include "actors/messages.h"
#include "actors/stages.h"
#include "algorithm/grade.h"
#include "base/arena.h"
#include "base/check.h"
#include "models/tokenizer.h"

enum { WAITING_MAX = 4096 };
static const uint64_t GROUPS_TIMEOUT_NS = (uint64_t)60 * 1000000000u;

/* A rollout whose trajectory is on its way to groups. */
struct waiting {
        struct scope_reply_to rollout;
        bool used;
};

struct reward {
        const struct scope_stages *stages;
        struct scope_outbox outbox;
        struct waiting waiting[WAITING_MAX];
        uint32_t next;
};

static enum scope_err reward_init(struct scope_actor *self, void *state, void *args)
{
        struct reward *reward = state;
        (void)self;
        reward->stages = args;
        return SCOPE_OK;
}

static struct waiting *free_slot(struct reward *reward)
{
        for (uint32_t i = 0; i < WAITING_MAX; i++) {
                struct waiting *slot = &reward->waiting[(reward->next + i) % WAITING_MAX];
                if (!slot->used) {
                        reward->next = (uint32_t)(slot - reward->waiting) + 1;
                        return slot;
                }
        }
        return NULL;
}

/* Reward and verdict. Tokens after those that decided the reward stay, without loss. */
static enum scope_err judge(struct scope_actor *self, const struct scope_stages *stages,
        struct scope_trajectory *trajectory)
{
        const uint32_t count = trajectory->token_count;
        uint32_t decided;
        uint32_t *bytes = scope_arena_take(scope_scratch(self), (count + 1) * sizeof *bytes);
        struct scope_segment *segments =
                scope_arena_take(scope_scratch(self), 2 * sizeof *segments);
        if (bytes == NULL || segments == NULL)
                return SCOPE_ERR_MEMORY;
        for (uint32_t i = 0; i < count; i++)
                bytes[i] = scope_tokenizer_token_bytes(
                        stages->resources.tokenizer, trajectory->tokens[i]);
        scope_grade_trajectory(trajectory, bytes, &stages->options->grade, &decided);
        if (decided == count || trajectory->segment_count != 1)
                return SCOPE_OK;
        segments[0] = segments[1] = trajectory->segments[0];
        segments[0].count = segments[1].begin = decided;
        segments[1].count = count - decided;
        segments[1].loss = SCOPE_LOSS_NONE;
        trajectory->segments = segments;
        trajectory->segment_count = 2;
        return SCOPE_OK;
}

static void grade(struct scope_actor *self, struct reward *reward, struct scope_message *message)
{
        const struct scope_stages *stages = reward->stages;
        struct scope_trajectory trajectory;
        struct scope_message *graded = NULL;
        struct waiting *slot = free_slot(reward);
        enum scope_err err = slot == NULL ? SCOPE_ERR_LIMIT
                                          : scope_message_read_trajectory(
                                                    self, message, &stages->limits, &trajectory);
        if (err == SCOPE_OK)
                err = judge(self, stages, &trajectory);
        if (err == SCOPE_OK)
                err = scope_message_of_trajectory(
                        self, SCOPE_KIND_GRADED, SCOPE_LANE_DATA, &trajectory, &graded);
        if (err != SCOPE_OK) {
                scope_reply_error(self, message, err);
                return;
        }
        slot->used = true;
        slot->rollout = scope_reply_later(message);
        graded->tag = (uint64_t)(slot - reward->waiting);
        graded->trace = trajectory.group + 1;
        scope_outbox_request(self, &reward->outbox, stages->groups, &graded, GROUPS_TIMEOUT_NS,
                "groups to take a trajectory");
}

/* Groups took it, or did not: the rollout learns the same. */
static void pass_on(
        struct scope_actor *self, struct reward *reward, const struct scope_message *message)
{
        struct waiting *slot = message->tag < WAITING_MAX ? &reward->waiting[message->tag] : NULL;
        struct scope_message *taken = NULL;
        if (slot == NULL || !slot->used)
                return;
        slot->used = false;
        enum scope_err err = message->kind == SCOPE_KIND_ERROR
                                     ? message->err
                                     : scope_message_create(self, SCOPE_KIND_TAKEN,
                                               SCOPE_LANE_CONTROL, 0, &taken);
        if (err == SCOPE_OK)
                scope_reply_to(self, &slot->rollout, &taken);
        else
                scope_reply_to_error(self, &slot->rollout, err);
}

static void reward_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct reward *reward = state;
        switch (message->kind) {
        case SCOPE_KIND_TRAJECTORY:
                grade(self, reward, message);
                break;
        case SCOPE_KIND_TAKEN:
        case SCOPE_KIND_ERROR:
                pass_on(self, reward, message);
                break;
        case SCOPE_KIND_TIMER:
                /* it has no other timer */
                (void)scope_outbox_timer(self, &reward->outbox, message);
                break;
        case SCOPE_KIND_START:
        default:
                break;
        }
        scope_message_free(message);
}

static void reward_fini(struct scope_actor *self, void *state)
{
        struct reward *reward = state;
        (void)self;
        scope_outbox_fini(&reward->outbox);
}

const struct scope_actor_class scope_reward_class = {
        .name = "reward",
        .state_bytes = sizeof(struct reward),
        .scratch_bytes = 4 << 20,
        .init = reward_init,
        .receive = reward_receive,
        .fini = reward_fini,
};
