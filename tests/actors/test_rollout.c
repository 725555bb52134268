/* A rollout with the native engine on random tiny weights; groups, reward and weights scripted. */
#include "tests/actors/world.h"

#include "base/buffer.h"
#include "base/rng.h"
#include "models/engine.h"
#include "models/tokenizer_tiny.h"

extern const struct scope_actor_class scope_rollout_class;

enum { SAMPLES = 4, RESPONSE_MAX = 32, NEWER = 1, PROMPT = 6, REFUSED = 2 };

struct script {
        const char *toml;
        uint32_t slots;
        uint64_t seed;        /* of the run, in the lease */
        bool split;           /* two leases of two samples each */
        bool corrupt;         /* one byte of the weights */
        bool refuse;          /* reward takes all samples but one */
        uint64_t version_min; /* of the lease */
        uint64_t newer_us;    /* version 2 comes so long after the lease; 0 = never */
};
struct seen {
        const struct script *script;
        struct scope_layout *layout;
        uint32_t tokens[SAMPLES][RESPONSE_MAX], count[SAMPLES], samples, spans_max;
        float logp[SAMPLES][RESPONSE_MAX];
        uint64_t oldest, newest; /* versions of any token */
        uint32_t leases, leases_done, delivered;
        uint64_t newer_taken_ns, first_ns, last_ns; /* of the weights; trajectories */
        enum scope_err refused;
};

static void publish(struct scope_actor *peer, struct station *station, uint64_t version)
{
        const struct seen *seen = station->test;
        struct scope_buffer *buffer = NULL;
        struct scope_message *message = NULL;
        size_t bytes = seen->layout->float_count * sizeof(float);
        assert_ok(scope_buffer_create(bytes, &buffer));
        scope_layout_randomise(seen->layout, 21, scope_buffer_data(buffer));
        uint64_t hash = scope_hash_words(scope_buffer_data(buffer), bytes);
        assert_true(bytes <= 1 << 20); /* one chunk */
        if (seen->script->corrupt)
                ((uint8_t *)scope_buffer_data(buffer))[bytes / 2] ^= 1;
        struct scope_weights weights = { .version = version,
                .base_version = version,
                .layout_hash = seen->layout->hash,
                .bytes = bytes,
                .chunk_hashes = &hash,
                .chunk_count = 1 };
        assert_ok(scope_message_of_weights(
                peer, SCOPE_KIND_WEIGHTS, SCOPE_LANE_CONTROL, &weights, &message));
        message->attachment = buffer;
        station_ask(peer, station, message, version);
}

static void lease(struct scope_actor *peer, struct station *station, uint32_t first, uint32_t count)
{
        static const uint32_t prompt[PROMPT] = { 3, 12, 8, 12, 4, 15 };
        static const uint32_t samples[SAMPLES] = { 0, 1, 2, 3 };
        const struct script *script = ((struct seen *)station->test)->script;
        struct scope_message *message = NULL;
        struct scope_lease record = { .group = 40,
                .token = 5,
                .run_seed = script->seed,
                .samples = samples + first,
                .sample_count = count,
                .prompt = prompt,
                .prompt_count = PROMPT,
                .response_max = RESPONSE_MAX,
                .temperature = 1,
                .top_p = 1,
                .version_min = script->version_min,
                .gold = { "7", 1 } };
        assert_ok(
                scope_message_of_lease(peer, SCOPE_KIND_LEASE, SCOPE_LANE_DATA, &record, &message));
        station_ask(peer, station, message, 100 + first);
        ((struct seen *)station->test)->leases++;
}

static void begin(struct scope_actor *peer, struct station *station)
{
        const struct script *script = ((struct seen *)station->test)->script;
        lease(peer, station, 0, script->split ? 2 : SAMPLES);
        if (script->split)
                lease(peer, station, 2, 2);
        if (script->newer_us > 0)
                station_timer(peer, NEWER, script->newer_us * 1000);
}

static void keep(struct scope_actor *peer, struct station *station, struct scope_message *message)
{
        struct seen *seen = station->test;
        struct scope_trajectory trajectory;
        assert_ok(
                scope_message_read_trajectory(peer, message, &station->stages.limits, &trajectory));
        uint32_t sample = trajectory.sample;
        assert_int_equal(trajectory.group, 40);
        assert_int_equal(trajectory.lease, 5);
        assert_true(sample < SAMPLES && seen->count[sample] == 0);
        seen->samples++;
        seen->count[sample] = trajectory.token_count;
        memcpy(seen->tokens[sample], trajectory.tokens, trajectory.token_count * 4);
        memcpy(seen->logp[sample], trajectory.logp, trajectory.token_count * 4);
        for (uint32_t i = 0; i < trajectory.span_count; i++) {
                uint64_t version = trajectory.spans[i].version;
                seen->oldest = seen->oldest == 0 || version < seen->oldest ? version : seen->oldest;
                seen->newest = version > seen->newest ? version : seen->newest;
        }
        if (trajectory.span_count > seen->spans_max)
                seen->spans_max = trajectory.span_count;
        seen->first_ns = seen->first_ns == 0 ? scope_now_ns(peer) : seen->first_ns;
        seen->last_ns = scope_now_ns(peer);
        if (seen->script->refuse && sample == REFUSED)
                scope_reply_error(peer, message, SCOPE_ERR_DOWN);
        else
                scope_reply_taken(peer, message);
}

static void hear(struct scope_actor *peer, struct station *station, struct scope_message **message)
{
        struct seen *seen = station->test;
        struct scope_control control;
        switch ((*message)->kind) {
        case SCOPE_KIND_WEIGHTS_WANTED:
                scope_reply_taken(peer, *message);
                publish(peer, station, 1);
                break;
        case SCOPE_KIND_TIMER:
                publish(peer, station, 2);
                break;
        case SCOPE_KIND_TRAJECTORY:
                keep(peer, station, *message);
                break;
        case SCOPE_KIND_TAKEN:
                if ((*message)->tag == 2)
                        seen->newer_taken_ns = scope_now_ns(peer);
                break;
        case SCOPE_KIND_ERROR:
                if ((*message)->tag < 100) /* weights; an unanswered lease ends as one too */
                        seen->refused = (*message)->err;
                break;
        case SCOPE_KIND_LEASE_DONE:
                assert_ok(scope_message_read_control(
                        peer, *message, &station->stages.limits, &control));
                seen->leases_done++;
                seen->delivered += (uint32_t)control.value;
                break;
        default:
                break;
        }
}

static void run(const struct script *script, struct seen *seen)
{
        struct scope_model_config config = scope_model_config_tiny();
        struct station station = { .class_ = &scope_rollout_class,
                .begin = begin,
                .hear = hear,
                .test = seen,
                .stay_ns = REFINER_MS(2000) };
        *seen = (struct seen){ .script = script };
        station_init(&station, script->toml);
        assert_ok(scope_layout_create(&config, &seen->layout));
        struct scope_engine_options options = { .layout = seen->layout,
                .slots = script->slots,
                .context_max = PROMPT + RESPONSE_MAX,
                .tokens_used = SCOPE_TINY_VOCAB,
                .cores = 1 };
        assert_ok(scope_engine_native_create(&options, &station.stages.resources.rollout[0]));
        station.stages.resources.layout = seen->layout;
        station_run(&station, "rollout-0");
        station_fini(&station);
        scope_engine_destroy(station.stages.resources.rollout[0]);
        scope_layout_destroy(seen->layout);
}

static struct seen first, second;

static void test_a_lease_is_answered_once_with_what_was_taken(void **state)
{
        (void)state;
        run(&(struct script){ .toml = "", .slots = 2, .refuse = true }, &first);
        assert_int_equal(first.samples, SAMPLES);
        assert_int_equal(first.leases_done, 1);
        assert_int_equal(first.delivered, SAMPLES - 1);
        run(&(struct script){ .toml = "", .slots = 8, .split = true }, &first);
        assert_int_equal(first.leases_done, 2);
        assert_int_equal(first.delivered, SAMPLES);
}

static void test_tokens_depend_on_run_seed_group_and_sample_alone(void **state)
{
        (void)state;
        run(&(struct script){ .toml = "", .slots = 1, .seed = 3 }, &first);
        run(&(struct script){ .toml = "", .slots = 8, .seed = 3, .split = true }, &second);
        assert_int_equal(first.samples, SAMPLES);
        assert_memory_equal(first.tokens, second.tokens, sizeof first.tokens);
        assert_memory_equal(first.count, second.count, sizeof first.count);
        for (uint32_t i = 0; i < SAMPLES; i++)
                for (uint32_t t = 0; t < first.count[i]; t++)
                        assert_close(first.logp[i][t], second.logp[i][t], 1e-5);
        for (uint32_t i = 1; i < SAMPLES; i++)
                assert_memory_not_equal(first.tokens[0], first.tokens[i], sizeof first.tokens[0]);
        run(&(struct script){ .toml = "", .slots = 8, .seed = 4 }, &second);
        assert_memory_not_equal(first.tokens, second.tokens, sizeof first.tokens);
}

static void test_a_lease_waits_for_the_version_it_asks_for(void **state)
{
        (void)state;
        run(&(struct script){ .toml = "", .slots = 8, .version_min = 2, .newer_us = 900000 },
                &first);
        assert_int_equal(first.samples, SAMPLES);
        assert_int_equal(first.oldest, 2);
        assert_true(first.first_ns >= REFINER_MS(900));
}

static void test_weights_are_swapped_in_flight_or_after_a_drain(void **state)
{
        (void)state;
        run(&(struct script){ .toml = "[pipeline]\nupdate = \"in_flight\"\n",
                    .slots = 8,
                    .newer_us = 200 },
                &first);
        assert_int_equal(first.samples, SAMPLES);
        assert_int_equal(first.spans_max, 2);
        assert_int_equal(first.newest, 2);
        assert_true(first.newer_taken_ns < first.last_ns);
        run(
                &(struct script){
                        .toml = "[pipeline]\nupdate = \"drain\"\n", .slots = 8, .newer_us = 200 },
                &second);
        assert_int_equal(second.samples, SAMPLES);
        assert_int_equal(second.newest, 1);
        assert_true(second.newer_taken_ns > first.newer_taken_ns);
        /* the weights are the same, so the tokens are too, whichever way the contexts were kept */
        assert_memory_equal(first.tokens, second.tokens, sizeof first.tokens);
        run(
                &(struct script){
                        .toml = "[pipeline]\nkv = \"recompute\"\n", .slots = 8, .newer_us = 200 },
                &second);
        assert_int_equal(second.newest, 2);
        assert_memory_equal(first.tokens, second.tokens, sizeof first.tokens);
}

static void test_corrupt_weights_are_refused_and_nothing_is_sampled(void **state)
{
        (void)state;
        run(&(struct script){ .toml = "", .slots = 8, .corrupt = true }, &first);
        assert_int_equal(first.refused, SCOPE_ERR_VERIFY);
        assert_int_equal(first.samples, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_lease_is_answered_once_with_what_was_taken),
                cmocka_unit_test(test_tokens_depend_on_run_seed_group_and_sample_alone),
                cmocka_unit_test(test_a_lease_waits_for_the_version_it_asks_for),
                cmocka_unit_test(test_weights_are_swapped_in_flight_or_after_a_drain),
                cmocka_unit_test(test_corrupt_weights_are_refused_and_nothing_is_sampled),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
