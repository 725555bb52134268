/* The selector answers what algorithm/select says, and an error to nonsense. */
#include "tests/actors/world.h"

#include "algorithm/select.h"

extern const struct scope_actor_class scope_selector_class;

static const uint32_t steps[] = { 3, 4, 5, 9 }, tokens[] = { 30, 40, 45, 80 };
static const struct scope_candidate candidates[] = {
        { .sample = 0,
                .steps = 4,
                .tokens = 40,
                .kept_steps = 1,
                .kept_tokens = 10,
                .located = true },
        { .sample = 2,
                .steps = 4,
                .tokens = 41,
                .kept_steps = 3,
                .kept_tokens = 31,
                .located = true },
        { .sample = 5, .steps = 9, .tokens = 80, .kept_steps = 8, .kept_tokens = 70 },
};
static const struct scope_select_request request = { .group = 9,
        .candidates = candidates,
        .candidate_count = 3,
        .member_steps = steps,
        .member_tokens = tokens,
        .member_count = 4 };

static void begin(struct scope_actor *peer, struct station *station)
{
        struct scope_message *good = NULL, *bad = NULL;
        assert_ok(scope_message_of_select_request(
                peer, SCOPE_KIND_SELECT, SCOPE_LANE_DATA, &request, &good));
        assert_ok(scope_message_create(peer, SCOPE_KIND_SELECT, SCOPE_LANE_DATA, 64, &bad));
        memset(bad->payload, 0xff, 64);
        station_ask(peer, station, good, 1);
        station_ask(peer, station, bad, 2);
}

static void hear(struct scope_actor *peer, struct station *station, struct scope_message **message)
{
        struct scope_choice expected[3];
        struct scope_select_answer answer;
        ++*(uint32_t *)station->test;
        if ((*message)->tag == 2) {
                assert_int_equal((*message)->kind, SCOPE_KIND_ERROR);
                assert_int_equal((*message)->err, SCOPE_ERR_VERIFY);
                return;
        }
        assert_int_equal((*message)->kind, SCOPE_KIND_SELECTED);
        assert_ok(
                scope_message_read_select_answer(peer, *message, &station->stages.limits, &answer));
        assert_int_equal(answer.group, 9);
        assert_int_equal(answer.choice_count,
                scope_select_rank(&station->options.scope.select, &request, expected));
        assert_true(answer.choice_count > 1);
        for (uint32_t i = 0; i < answer.choice_count; i++)
                assert_memory_equal(&answer.choices[i], &expected[i], sizeof expected[i]);
}

static void test_choices_are_those_of_the_algorithm(void **state)
{
        (void)state;
        uint32_t answers = 0;
        struct station station = {
                .class_ = &scope_selector_class, .begin = begin, .hear = hear, .test = &answers
        };
        station_init(&station, "");
        station_run(&station, "selector");
        assert_int_equal(answers, 2);
        station_fini(&station);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_choices_are_those_of_the_algorithm),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
