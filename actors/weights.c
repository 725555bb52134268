/* weights.c - the newest published weights, and who has them.
 * Why: the learner publishes once and goes on; rollouts come, restart and fall behind, and each
 * gets the newest version when it is ready for it, never two at once.
 * (1) Only the newest version is kept. (2) A rollout has at most one transfer under way; versions
 * it missed meanwhile are skipped. (3) A transfer that fails is offered again. */
#include "actors/messages.h"
#include "actors/stages.h"
#include "base/buffer.h"
#include "base/check.h"

enum { TIMER_AGAIN = 1, TIMER_HOST };
static const uint64_t TAG_LEARNER = UINT64_MAX;
static const uint64_t APPLY_TIMEOUT_NS = (uint64_t)120 * 1000000000u;
static const uint64_t AGAIN_NS = 50 * 1000000u;

struct receiver {
        bool sending;
        uint64_t version; /* applied + 1; 0 = none */
};

struct weights {
        const struct scope_stages *stages;
        struct scope_outbox outbox;
        struct scope_message *newest; /* as the learner sent it */
        uint64_t version;
        struct receiver receivers[SCOPE_ROLLOUTS_MAX];
        bool armed;
        /* simulated hosts: whose turn it is at the learner's link, and how many still lack it */
        uint32_t host, hosts_left;
        bool linking;
};

static enum scope_err weights_init(struct scope_actor *self, void *state, void *args)
{
        struct weights *weights = state;
        (void)self;
        weights->stages = args;
        return SCOPE_OK;
}

/* A rollout may have to finish what it decodes first. */
static uint64_t apply_timeout_ns(const struct scope_stages *stages)
{
        bool drain = stages->options->pipeline.update == SCOPE_UPDATE_DRAIN;
        return APPLY_TIMEOUT_NS + (drain ? (uint64_t)stages->options->rollout.lease_timeout : 0);
}

/* Sends the newest version to rollout `index` if it lacks it and is not busy with another. */
static void offer(struct scope_actor *self, struct weights *weights, uint32_t index)
{
        struct receiver *receiver = &weights->receivers[index];
        struct scope_weights record;
        struct scope_message *message = NULL;
        if (weights->newest == NULL || receiver->sending ||
                receiver->version == weights->version + 1)
                return;
        enum scope_err err = scope_message_read_weights(
                self, weights->newest, &weights->stages->limits, &record);
        if (err == SCOPE_OK)
                err = scope_message_of_weights(
                        self, SCOPE_KIND_WEIGHTS, SCOPE_LANE_CONTROL, &record, &message);
        if (err != SCOPE_OK)
                return; /* the next version tries again */
        message->attachment = scope_buffer_keep(weights->newest->attachment);
        message->tag = weights->version * SCOPE_ROLLOUTS_MAX + index;
        receiver->sending = true;
        scope_outbox_request(self, &weights->outbox, weights->stages->rollout[index], &message,
                apply_timeout_ns(weights->stages), "a rollout to apply weights");
}

/* The link is free: the next host's transfer begins, if one lacks the newest weights. */
static void link_next(struct scope_actor *self, struct weights *weights)
{
        const struct scope_resources *resources = &weights->stages->resources;
        uint64_t timer, key = weights->version * SCOPE_ROLLOUTS_MAX + weights->host;
        if (weights->linking || weights->hosts_left == 0)
                return;
        uint64_t cost_ns = resources->stage_cost(
                resources->played, SCOPE_COST_TRANSFER, key, 0);
        weights->linking =
                scope_timer_start(self, TIMER_HOST, cost_ns, &timer) == SCOPE_OK;
}

static uint32_t rollouts_per_host(const struct weights *weights)
{
        return (uint32_t)weights->stages->options->sim.rollouts_per_host;
}

static void linked(struct scope_actor *self, struct weights *weights)
{
        uint32_t size = rollouts_per_host(weights), first = weights->host * size;
        uint32_t count = weights->stages->resources.rollout_count;
        weights->linking = false;
        for (uint32_t i = first; i < first + size && i < count; i++)
                offer(self, weights, i);
        weights->host = first + size < count ? weights->host + 1 : 0;
        weights->hosts_left--;
        link_next(self, weights);
}

static void offer_all(struct scope_actor *self, struct weights *weights)
{
        uint32_t count = weights->stages->resources.rollout_count;
        if (scope_stage_is_timed(&weights->stages->resources, SCOPE_COST_TRANSFER)) {
                weights->hosts_left = (count + rollouts_per_host(weights) - 1) /
                                      rollouts_per_host(weights);
                link_next(self, weights);
                return;
        }
        for (uint32_t i = 0; i < count; i++)
                offer(self, weights, i);
}

static void published(
        struct scope_actor *self, struct weights *weights, struct scope_message **message)
{
        struct scope_weights record;
        enum scope_err err =
                scope_message_read_weights(self, *message, &weights->stages->limits, &record);
        if (err == SCOPE_OK && (*message)->attachment == NULL)
                err = SCOPE_ERR_FORMAT;
        if (err != SCOPE_OK) {
                scope_reply_error(self, *message, err);
                return;
        }
        scope_reply_taken(self, *message);
        if (weights->newest != NULL && record.version <= weights->version)
                return; /* an older one, late */
        scope_message_free(weights->newest);
        weights->newest = *message;
        weights->version = record.version;
        *message = NULL;
        offer_all(self, weights);
}

static void applied(
        struct scope_actor *self, struct weights *weights, const struct scope_message *message)
{
        if (message->tag == TAG_LEARNER)
                return;
        uint32_t index = (uint32_t)(message->tag % SCOPE_ROLLOUTS_MAX);
        struct receiver *receiver = &weights->receivers[index];
        receiver->sending = false;
        if (message->kind != SCOPE_KIND_ERROR) {
                receiver->version = message->tag / SCOPE_ROLLOUTS_MAX + 1;
                scope_stages_audit(self, weights->stages,
                        (struct scope_audit){ .kind = SCOPE_AUDIT_WEIGHTS,
                                .value = index,
                                .version = receiver->version - 1 });
                offer(self, weights, index);
        } else if (!weights->armed && !scope_draining(self)) {
                uint64_t timer;
                weights->armed = scope_timer_start(self, TIMER_AGAIN, AGAIN_NS, &timer) == SCOPE_OK;
        }
}

/* A rollout began a life without weights. control.value = its index. */
static void wanted(struct scope_actor *self, struct weights *weights, struct scope_message *message)
{
        struct scope_control control;
        enum scope_err err =
                scope_message_read_control(self, message, &weights->stages->limits, &control);
        if (err == SCOPE_OK && control.value >= weights->stages->resources.rollout_count)
                err = SCOPE_ERR_ARGUMENT;
        if (err != SCOPE_OK) {
                scope_reply_error(self, message, err);
                return;
        }
        scope_reply_taken(self, message);
        weights->receivers[control.value].version = 0;
        offer(self, weights, (uint32_t)control.value);
}

/* A new life knows nothing; the learner sends what it published last, or will. */
static void ask_learner(struct scope_actor *self, struct weights *weights)
{
        struct scope_control control = { 0 };
        struct scope_message *message = NULL;
        if (scope_message_of_control(self, SCOPE_KIND_WEIGHTS_WANTED, SCOPE_LANE_CONTROL, &control,
                    &message) != SCOPE_OK) {
                scope_fail(self, SCOPE_ERR_MEMORY, "no message left to ask for weights");
                return;
        }
        message->tag = TAG_LEARNER;
        scope_outbox_request(self, &weights->outbox, weights->stages->learner, &message,
                APPLY_TIMEOUT_NS, "the learner's weights");
}

static void weights_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct weights *weights = state;
        switch (message->kind) {
        case SCOPE_KIND_WEIGHTS:
                published(self, weights, &message);
                break;
        case SCOPE_KIND_WEIGHTS_WANTED:
                wanted(self, weights, message);
                break;
        case SCOPE_KIND_TAKEN:
        case SCOPE_KIND_ERROR:
                applied(self, weights, message);
                break;
        case SCOPE_KIND_TIMER:
                if (scope_outbox_timer(self, &weights->outbox, message))
                        break;
                if (message->tag == TIMER_HOST) {
                        linked(self, weights);
                } else {
                        weights->armed = false;
                        offer_all(self, weights);
                }
                break;
        case SCOPE_KIND_START:
                ask_learner(self, weights);
                break;
        default:
                break;
        }
        scope_message_free(message);
}

static void weights_fini(struct scope_actor *self, void *state)
{
        struct weights *weights = state;
        (void)self;
        scope_message_free(weights->newest);
        scope_outbox_fini(&weights->outbox);
}

const struct scope_actor_class scope_weights_class = {
        .name = "weights",
        .state_bytes = sizeof(struct weights),
        .init = weights_init,
        .receive = weights_receive,
        .fini = weights_fini,
};
