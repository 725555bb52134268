/* Weights between a scripted learner and two scripted rollouts. */
#include "tests/actors/world.h"

#include "base/buffer.h"

extern const struct scope_actor_class scope_weights_class;

enum verb { PUBLISH = 1, APPLY, REFUSE, WANT, CRASH };

/* At 1 s, 2 s, ...: the learner publishes `value`; rollout `value` answers what it holds, or
 * asks. */
struct moment {
        enum verb verb;
        uint32_t value;
};
struct script {
        struct moment moments[8];
        /* what each rollout was sent, in order */
        uint64_t sent[2][6];
        uint32_t asked; /* how often the learner was asked */
};
static const struct script scripts[] = {
        { .moments = { { PUBLISH, 1 } }, .sent = { { 1 }, { 1 } }, .asked = 1 },
        /* busy with 1: 2 is skipped; the other one was ready for it */
        { .moments = { { PUBLISH, 1 }, { APPLY, 1 }, { PUBLISH, 2 }, { PUBLISH, 3 }, { APPLY, 0 } },
                .sent = { { 1, 3 }, { 1, 2 } },
                .asked = 1 },
        /* an older one, late */
        { .moments = { { PUBLISH, 3 }, { APPLY, 0 }, { APPLY, 1 }, { PUBLISH, 2 } },
                .sent = { { 3 }, { 3 } },
                .asked = 1 },
        /* a failed transfer is offered again; the newest by then */
        { .moments = { { PUBLISH, 1 }, { REFUSE, 0 }, { PUBLISH, 2 }, { REFUSE, 0 } },
                .sent = { { 1, 1, 2 }, { 1 } },
                .asked = 1 },
        /* a rollout's new life has nothing */
        { .moments = { { PUBLISH, 1 }, { APPLY, 0 }, { WANT, 0 }, { WANT, 7 } },
                .sent = { { 1, 1 }, { 1 } },
                .asked = 1 },
        /* a new life of this actor asks the learner and serves all again */
        { .moments = { { PUBLISH, 1 }, { APPLY, 0 }, { APPLY, 1 }, { CRASH, 0 }, { PUBLISH, 1 } },
                .sent = { { 1, 1 }, { 1, 1 } },
                .asked = 2 },
};

struct seen {
        const struct script *script;
        struct scope_message *held[2];
        uint64_t sent[2][6];
        uint32_t count[2], errors;
};

static void publish(struct scope_actor *peer, struct station *station, uint64_t version, bool whole)
{
        struct scope_weights weights = { .version = version, .base_version = version, .bytes = 64 };
        struct scope_message *message = NULL;
        assert_ok(scope_message_of_weights(
                peer, SCOPE_KIND_WEIGHTS, SCOPE_LANE_CONTROL, &weights, &message));
        if (whole)
                assert_ok(scope_buffer_create(64, &message->attachment));
        station_ask(peer, station, message, 100);
}

static void begin(struct scope_actor *peer, struct station *station)
{
        station->stages.resources.rollout_count = 2;
        publish(peer, station, 9, false); /* nothing attached: refused */
        for (uint64_t i = 0; i < 8; i++)
                station_timer(peer, i, REFINER_MS(1000) * (i + 1));
}

static void act(struct scope_actor *peer, struct station *station, const struct moment *now)
{
        struct seen *seen = station->test;
        struct scope_message **held = &seen->held[now->value % 2];
        switch (now->verb) {
        case PUBLISH:
                publish(peer, station, now->value, true);
                break;
        case APPLY:
        case REFUSE:
                assert_non_null(*held);
                if (now->verb == APPLY)
                        scope_reply_taken(peer, *held);
                else
                        scope_reply_error(peer, *held, SCOPE_ERR_VERIFY);
                scope_message_free(*held);
                *held = NULL;
                break;
        case WANT:
                station_control(peer, station, SCOPE_KIND_WEIGHTS_WANTED,
                        (struct scope_control){ .value = now->value });
                break;
        case CRASH:
                station_crash(peer, station);
                break;
        default:
                break;
        }
}

static void hear(struct scope_actor *peer, struct station *station, struct scope_message **message)
{
        struct seen *seen = station->test;
        struct scope_weights weights;
        if ((*message)->kind == SCOPE_KIND_TIMER) {
                act(peer, station, &seen->script->moments[(*message)->tag]);
        } else if ((*message)->kind == SCOPE_KIND_WEIGHTS_WANTED) {
                scope_reply_taken(peer, *message);
        } else if ((*message)->kind == SCOPE_KIND_WEIGHTS) {
                uint32_t rollout = (*message)->tag % SCOPE_ROLLOUTS_MAX;
                assert_ok(scope_message_read_weights(
                        peer, *message, &station->stages.limits, &weights));
                assert_non_null((*message)->attachment);
                assert_true(rollout < 2 && seen->count[rollout] < 6);
                scope_message_free(seen->held[rollout]); /* of a life that is over */
                seen->sent[rollout][seen->count[rollout]++] = weights.version;
                seen->held[rollout] = *message;
                *message = NULL;
        } else if ((*message)->kind == SCOPE_KIND_ERROR) {
                assert_int_equal((*message)->err, SCOPE_ERR_FORMAT);
                seen->errors++;
        }
}

static void test_each_rollout_gets_the_newest_when_it_is_ready(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
                struct seen seen = { .script = &scripts[i] };
                struct station station = {
                        .class_ = &scope_weights_class, .begin = begin, .hear = hear, .test = &seen
                };
                station_init(&station, "");
                station_run(&station, "weights");
                for (uint32_t rollout = 0; rollout < 2; rollout++) {
                        assert_memory_equal(seen.sent[rollout], scripts[i].sent[rollout],
                                sizeof seen.sent[rollout]);
                        scope_message_free(seen.held[rollout]);
                }
                assert_int_equal(
                        station_heard(&station, SCOPE_KIND_WEIGHTS_WANTED), scripts[i].asked);
                assert_int_equal(seen.errors, 1);
                station_fini(&station);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each_rollout_gets_the_newest_when_it_is_ready),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
