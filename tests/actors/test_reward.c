/* Reward between a scripted rollout and scripted groups. */
#include "tests/actors/world.h"

extern const struct scope_actor_class scope_reward_class;

enum groups_do { TAKE, REFUSE, KEEP_SILENT };

/* One trajectory: its text, and what becomes of it. */
static const struct script {
        const char *text; /* NULL: bytes that mean nothing */
        enum groups_do groups;
        float reward;
        enum scope_err err; /* what the rollout hears */
        uint32_t lossless;  /* tokens at the end, behind what decided the reward */
} by_answer[] = {
        { "1+6=7\n\n\\boxed{7}", TAKE, 1, SCOPE_OK, 0 },
        { "1+6=8\n\n\\boxed{8}", TAKE, 0, SCOPE_OK, 0 },
        { "1+6=7", TAKE, 0, SCOPE_OK, 0 }, /* no box */
        { "\\boxed{2+5}", TAKE, 1, SCOPE_OK, 0 }, /* by its value: the whole grader */
        { "\\boxed{2+6}", TAKE, 0, SCOPE_OK, 0 },
        { "\\boxed{7}", REFUSE, 1, SCOPE_ERR_STALE, 0 },
        { "\\boxed{7}", KEEP_SILENT, 1, SCOPE_ERR_DEADLINE, 0 },
        { NULL, TAKE, 0, SCOPE_ERR_VERIFY, 0 },
};
enum { SCRIPTS = sizeof by_answer / sizeof by_answer[0] };

/* grade.reward = "prefix": half of "7" and its end is no success. */
static const struct script by_prefix[] = {
        { "7", TAKE, 1, SCOPE_OK, 0 },
        { "71", TAKE, 0.5f, SCOPE_OK, 1 }, /* EOS */
        { "7+6=", TAKE, 0.5f, SCOPE_OK, 3 },
        { "861", TAKE, 0, SCOPE_OK, 3 },
        { "", TAKE, 0, SCOPE_OK, 0 }, /* the early end is what was wrong */
};

struct seen {
        const struct script *scripts;
        uint32_t script_count;
        bool graded[SCRIPTS], answered[SCRIPTS];
        struct scope_message *kept;
};

/* The segments cover the response; those behind what decided the reward carry no loss. */
static void expect_loss(const struct scope_trajectory *trajectory, uint32_t lossless)
{
        const struct scope_segment *first = trajectory->segments;
        const struct scope_segment *last = first + trajectory->segment_count - 1;
        assert_int_equal(trajectory->segment_count, lossless > 0 ? 2 : 1);
        assert_int_equal(first->loss, SCOPE_LOSS_POLICY);
        assert_int_equal(first->begin, 0);
        assert_int_equal(first->count, trajectory->token_count - lossless);
        assert_int_equal(last->begin + last->count, trajectory->token_count);
        assert_int_equal(last->loss, lossless > 0 ? SCOPE_LOSS_NONE : SCOPE_LOSS_POLICY);
}

static void begin(struct scope_actor *peer, struct station *station)
{
        const struct seen *seen = station->test;
        const struct script *scripts = seen->scripts;
        for (uint32_t i = 0; i < seen->script_count; i++) {
                struct station_sample sample;
                struct scope_message *message = NULL;
                if (scripts[i].text == NULL) {
                        assert_ok(scope_message_create(
                                peer, SCOPE_KIND_TRAJECTORY, SCOPE_LANE_DATA, 32, &message));
                        memset(message->payload, 1, 32);
                } else {
                        station_sample(station, i, i, scripts[i].text, 1, &sample);
                        assert_ok(scope_message_of_trajectory(peer, SCOPE_KIND_TRAJECTORY,
                                SCOPE_LANE_DATA, &sample.trajectory, &message));
                }
                station_ask(peer, station, message, i);
        }
}

static void hear(struct scope_actor *peer, struct station *station, struct scope_message **message)
{
        struct seen *seen = station->test;
        struct scope_trajectory trajectory;
        if ((*message)->kind != SCOPE_KIND_GRADED) { /* what the rollout hears */
                const struct script *script = &seen->scripts[(*message)->tag];
                bool error = (*message)->kind == SCOPE_KIND_ERROR;
                assert_false(seen->answered[(*message)->tag]);
                seen->answered[(*message)->tag] = true;
                assert_int_equal(error ? (*message)->err : SCOPE_OK, script->err);
                assert_int_equal(seen->graded[(*message)->tag], script->text != NULL);
                assert_int_equal(
                        scope_now_ns(peer) > REFINER_MS(59000), script->groups == KEEP_SILENT);
                return;
        }
        assert_ok(scope_message_read_trajectory(
                peer, *message, &station->stages.limits, &trajectory));
        const struct script *script = &seen->scripts[trajectory.group];
        assert_false(seen->answered[trajectory.group]); /* not before groups took it */
        seen->graded[trajectory.group] = true;
        assert_true(trajectory.graded);
        assert_close(trajectory.reward, script->reward, 0);
        assert_int_equal(trajectory.verdict,
                script->reward < 1 ? SCOPE_VERDICT_WRONG : SCOPE_VERDICT_CORRECT);
        expect_loss(&trajectory, script->lossless);
        if (script->groups == TAKE)
                scope_reply_taken(peer, *message);
        else if (script->groups == REFUSE)
                scope_reply_error(peer, *message, script->err);
        else {
                seen->kept = *message;
                *message = NULL;
        }
}

static void run(const char *toml, const struct script *scripts, uint32_t script_count)
{
        struct seen seen = { .scripts = scripts, .script_count = script_count };
        struct station station = { .class_ = &scope_reward_class,
                .begin = begin,
                .hear = hear,
                .test = &seen,
                .stay_ns = REFINER_MS(100000) };
        station_init(&station, toml);
        station_run(&station, "reward");
        for (uint32_t i = 0; i < script_count; i++)
                assert_true(seen.answered[i]);
        scope_message_free(seen.kept);
        station_fini(&station);
}

static void test_rollouts_hear_what_groups_said(void **state)
{
        (void)state;
        run("", by_answer, SCRIPTS);
}

static void test_a_share_of_the_reward_is_no_success(void **state)
{
        (void)state;
        run("[grade]\nreward = \"prefix\"\n", by_prefix, sizeof by_prefix / sizeof by_prefix[0]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rollouts_hear_what_groups_said),
                cmocka_unit_test(test_a_share_of_the_reward_is_no_success),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
