/* Prompts, asked for one cursor after another. */
#include "tests/actors/world.h"

#include "base/text.h"
#include "models/tokenizer.h"
#include "tasks/dataset.h"

extern const struct scope_actor_class scope_prompts_class;

enum { ASKS_MAX = 512 };
static const uint64_t TOO_LONG = UINT64_MAX;

/* Problem i is "1+i="; number `long_one` has more tokens than max_prompt, number `foreign` - 1 a
 * character that no token spells. */
struct asks {
        struct scope_dataset data;
        uint64_t foreign;
        uint64_t long_one, problem[ASKS_MAX];
        uint32_t count, answered;
};

static enum scope_err get(const struct scope_dataset *dataset, uint64_t index,
        struct scope_arena *arena, struct scope_problem *ret_problem)
{
        const struct asks *asks = (const struct asks *)dataset;
        char *text = scope_arena_take(arena, 64);
        assert_non_null(text);
        (void)snprintf(text, 64,
                index == asks->long_one      ? "1+%llu+1+1+1+1+1+1+1+1+1+1="
                : index + 1 == asks->foreign ? "1+%llu\xc3\xa9="
                                             : "1+%llu=",
                (unsigned long long)index);
        *ret_problem = (struct scope_problem){ .text = { text, (uint32_t)strlen(text) },
                .gold = { "7", 1 } };
        return SCOPE_OK;
}

static void begin(struct scope_actor *peer, struct station *station)
{
        const struct asks *asks = station->test;
        for (uint32_t i = 0; i < asks->count; i++) {
                struct scope_control control = { .value = i, .group = i + 1000 };
                struct scope_message *message = NULL;
                assert_ok(scope_message_of_control(
                        peer, SCOPE_KIND_PROMPT_WANTED, SCOPE_LANE_CONTROL, &control, &message));
                station_ask(peer, station, message, i);
        }
}

static void hear(struct scope_actor *peer, struct station *station, struct scope_message **message)
{
        struct asks *asks = station->test;
        struct scope_text text = { 0 };
        struct scope_prompt prompt;
        asks->answered++;
        asks->problem[(*message)->tag] = TOO_LONG;
        if ((*message)->kind == SCOPE_KIND_ERROR)
                return;
        assert_ok(scope_message_read_prompt(peer, *message, &station->stages.limits, &prompt));
        assert_int_equal(prompt.group, (*message)->tag + 1000);
        scope_tokenizer_decode(station->tokenizer, prompt.tokens, prompt.token_count, true, &text);
        if (prompt.problem + 1 == asks->foreign) {
                char plain[32];
                (void)snprintf(plain, sizeof plain, "1+%u=", (unsigned)prompt.problem);
                assert_string_equal(text.bytes, plain);
        } else {
                assert_int_equal(text.count, prompt.text.bytes);
                assert_memory_equal(text.bytes, prompt.text.at, text.count);
        }
        assert_int_equal(atoi(prompt.text.at + 2), prompt.problem);
        scope_text_fini(&text);
        asks->problem[(*message)->tag] = prompt.problem;
}

/* Asks for cursors 0.. of `epochs` rounds of `count` problems. */
static void ask(struct asks *asks, const char *train, uint64_t count, uint32_t epochs, int seed)
{
        char toml[256];
        struct station station = {
                .class_ = &scope_prompts_class, .begin = begin, .hear = hear, .test = asks
        };
        asks->data = (struct scope_dataset){ .count = count, .get = get };
        asks->count = (uint32_t)count * epochs;
        (void)snprintf(toml, sizeof toml,
                "[run]\nseed = %d\n[rollout]\nmax_prompt = 16\n[data]\ntrain = \"%s\"\n", seed,
                train);
        station_init(&station, toml);
        station.stages.resources.train = &asks->data;
        station_run(&station, "prompts");
        assert_int_equal(asks->answered, asks->count);
        uint32_t told = asks->foreign == 0 ? 0 : epochs >= 10 ? 2 : 1; /* the first, the tenth */
        assert_int_equal(station.notices, told + (asks->long_one < count)); /* said once */
        station_fini(&station);
}

static void test_a_file_is_walked_whole_each_epoch_in_a_new_order(void **state)
{
        (void)state;
        static const uint64_t counts[] = { 1, 2, 3, 7, 16, 17, 100 };
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
                struct asks asks = { .long_one = TOO_LONG }, again = asks, other = asks;
                uint64_t count = counts[i];
                size_t bytes = count * sizeof asks.problem[0];
                ask(&asks, "a.jsonl", count, 3, 5);
                for (uint64_t epoch = 0; epoch < 3; epoch++) {
                        bool seen[128] = { false };
                        for (uint64_t at = 0; at < count; at++) {
                                uint64_t problem = asks.problem[epoch * count + at];
                                assert_true(problem < count && !seen[problem]);
                                seen[problem] = true;
                        }
                }
                ask(&again, "a.jsonl", count, 3, 5);
                assert_memory_equal(asks.problem, again.problem, 3 * bytes);
                ask(&other, "a.jsonl", count, 3, 6);
                if (count < 16)
                        continue; /* few orders: two may be alike */
                assert_memory_not_equal(asks.problem, asks.problem + count, bytes);
                assert_memory_not_equal(asks.problem, other.problem, bytes);
        }
}

static void test_a_generated_set_is_walked_in_order(void **state)
{
        (void)state;
        struct asks asks = { .long_one = TOO_LONG };
        ask(&asks, "builtin:chain?level=easy", 20, 2, 5);
        for (uint64_t i = 0; i < 40; i++)
                assert_int_equal(asks.problem[i], i % 20);
}

static void test_a_problem_too_long_is_an_error_said_once(void **state)
{
        (void)state;
        struct asks asks = { .long_one = 3 };
        ask(&asks, "builtin:chain?level=easy", 5, 3, 5);
        for (uint64_t i = 0; i < 15; i++)
                assert_int_equal(asks.problem[i], i % 5 == 3 ? TOO_LONG : i % 5);
}

static void test_what_no_token_spells_is_left_out_and_said_now_and_then(void **state)
{
        (void)state;
        struct asks asks = { .long_one = TOO_LONG, .foreign = 3 };
        ask(&asks, "builtin:chain?level=easy", 5, 12, 5);
        for (uint64_t i = 0; i < 60; i++)
                assert_int_equal(asks.problem[i], i % 5);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_file_is_walked_whole_each_epoch_in_a_new_order),
                cmocka_unit_test(test_a_generated_set_is_walked_in_order),
                cmocka_unit_test(test_a_problem_too_long_is_an_error_said_once),
                cmocka_unit_test(test_what_no_token_spells_is_left_out_and_said_now_and_then),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
