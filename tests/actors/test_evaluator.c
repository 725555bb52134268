/* The evaluator in the simulated environment; its engine solves every other sample. */
#include "tests/test.h"

#include "actors/evaluation.h"
#include "actors/messages.h"
#include "actors/stages.h"
#include "base/arena.h"
#include "base/buffer.h"
#include "base/rng.h"
#include "base/text.h"
#include "models/engine.h"
#include "models/tokenizer.h"
#include "models/tokenizer_tiny.h"
#include "runtime/simulation.h"
#include "runtime/system.h"
#include "tasks/chain.h"
#include "tasks/dataset.h"

extern const struct scope_actor_class scope_evaluator_class;

enum { PROBLEMS = 6, SAMPLES = 4, RESPONSE_MAX = 256, EOS = 2, ASKS_MAX = 8 };
static const uint64_t SECOND = 1000000000u;

struct world {
        struct scope_system *system;
        struct scope_pipeline_options options;
        struct scope_stages stages;
        struct scope_tokenizer *tokenizer;
        struct scope_dataset *data;
        struct scope_buffer *weights;
        uint32_t asks, wanted, good, errors; /* asks at once; good answers wanted in all */
        enum scope_err last_err;
        double sum;               /* of the metrics of each good answer, times aside */
        uint64_t steps[ASKS_MAX]; /* control.step of the good answers */
        bool same;
};

/* The solution, in tokens; wrong in its box for odd seeds. */
static void respond(void *context, const struct scope_engine_request *request, uint32_t *ret_tokens,
        float *ret_logp, uint32_t *ret_count, uint8_t *ret_finish)
{
        struct world *world = context;
        struct scope_text prompt = { 0 }, text = { 0 };
        struct scope_chain chain;
        size_t count = 0;
        if (request->response_max != 0) { /* the actor's, not the expectation's */
                assert_close(request->temperature, world->options.eval.temperature, 0);
                assert_close(request->top_p, world->options.eval.top_p, 0);
        }
        scope_tokenizer_decode(
                world->tokenizer, request->prompt, request->prompt_count, true, &prompt);
        assert_ok(scope_chain_parse(
                (struct scope_string){ prompt.bytes, (uint32_t)prompt.count }, &chain));
        scope_chain_write_solution(&chain, &text);
        if (scope_hash64(request->seed) % 2 == 1) {
                text.count--;
                scope_text_string(&text, "0}");
        }
        assert_ok(scope_tokenizer_encode(
                world->tokenizer, text.bytes, text.count, ret_tokens, RESPONSE_MAX - 1, &count));
        ret_tokens[count] = EOS;
        for (size_t i = 0; i <= count; i++)
                ret_logp[i] = -1;
        *ret_count = (uint32_t)count + 1;
        *ret_finish = SCOPE_FINISH_STOP;
        scope_text_fini(&prompt);
        scope_text_fini(&text);
}

/* What the actor must report: the same samples, added up without it. */
static double expected_sum(struct world *world)
{
        struct scope_evaluation *evaluation = NULL;
        struct scope_metric metrics[SCOPE_EVALUATION_METRICS_MAX];
        struct scope_arena arena;
        double sum = 0;
        assert_ok(scope_arena_init(&arena, 1 << 16));
        assert_ok(scope_evaluation_create(&(struct scope_evaluation_options){ .data = world->data,
                                                  .grade = &world->options.grade,
                                                  .problems = PROBLEMS,
                                                  .samples = SAMPLES },
                &evaluation));
        for (uint32_t i = 0; i < PROBLEMS * SAMPLES; i++) {
                uint32_t prompt[128], tokens[RESPONSE_MAX], count;
                float logp[RESPONSE_MAX];
                uint8_t finish;
                size_t prompt_count;
                struct scope_problem problem;
                struct scope_text text = { 0 };
                scope_arena_reset(&arena);
                assert_ok(scope_dataset_get(world->data, i / SAMPLES, &arena, &problem));
                assert_ok(scope_tokenizer_encode(world->tokenizer, problem.text.at,
                        problem.text.bytes, prompt, 128, &prompt_count));
                struct scope_engine_request request = { .prompt = prompt,
                        .prompt_count = (uint32_t)prompt_count,
                        .seed = scope_evaluation_seed(
                                (uint64_t)world->options.run.seed, i / SAMPLES, i % SAMPLES) };
                respond(world, &request, tokens, logp, &count, &finish);
                scope_tokenizer_decode(world->tokenizer, tokens, count, true, &text);
                assert_ok(scope_evaluation_add(
                        evaluation, &(struct scope_evaluation_sample){ .problem = i / SAMPLES,
                                            .text = { text.bytes, (uint32_t)text.count },
                                            .tokens = count }));
                scope_text_fini(&text);
        }
        uint32_t count = scope_evaluation_metrics(evaluation, metrics);
        for (uint32_t i = 0; i < count; i++)
                sum += metrics[i].value;
        scope_evaluation_destroy(evaluation);
        scope_arena_fini(&arena);
        return sum;
}

/* --- the peer: a learner ---------------------------------------------------------------------- */

struct peer {
        struct world *world;
        struct scope_outbox outbox;
        uint64_t version;
};

static void ask(struct scope_actor *self, struct peer *peer)
{
        struct scope_weights weights = { .version = ++peer->version,
                .base_version = peer->version };
        struct scope_message *message = NULL;
        assert_ok(scope_message_of_weights(
                self, SCOPE_KIND_EVALUATE, SCOPE_LANE_CONTROL, &weights, &message));
        message->attachment = scope_buffer_keep(peer->world->weights);
        scope_outbox_request(self, &peer->outbox, peer->world->stages.evaluator, &message,
                100 * SECOND, "an evaluation");
}

static void answered(
        struct scope_actor *self, struct peer *peer, const struct scope_message *message)
{
        struct world *world = peer->world;
        struct scope_control control;
        if (message->kind == SCOPE_KIND_ERROR) {
                world->errors++;
                world->last_err = message->err;
                if (world->wanted > 0)
                        ask(self, peer);
        } else {
                double sum = 0;
                assert_ok(
                        scope_message_read_control(self, message, &world->stages.limits, &control));
                for (uint32_t i = 0; i < control.metric_count; i++)
                        if (memcmp(control.metrics[i].name.at, "eval/", 5) == 0)
                                sum += control.metrics[i].value;
                world->same = world->same && (world->good == 0 || sum == world->sum);
                world->sum = sum;
                assert_true(world->good < ASKS_MAX);
                world->steps[world->good++] = control.step;
        }
        bool over = world->wanted > 0 ? world->good == world->wanted
                                      : world->good + world->errors == world->asks;
        if (over)
                scope_system_drain(world->system, 10 * SECOND);
        else if (world->good + world->errors >= world->asks && message->kind != SCOPE_KIND_ERROR)
                ask(self, peer);
}

static enum scope_err peer_init(struct scope_actor *self, void *state, void *args)
{
        (void)self;
        ((struct peer *)state)->world = args;
        return SCOPE_OK;
}

static void peer_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct peer *peer = state;
        if (message->kind == SCOPE_KIND_START)
                for (uint32_t i = 0; i < peer->world->asks; i++)
                        ask(self, peer);
        else if (message->kind == SCOPE_KIND_TIMER)
                assert_true(scope_outbox_timer(self, &peer->outbox, message));
        else
                answered(self, peer, message);
        scope_message_free(message);
}

static void peer_fini(struct scope_actor *self, void *state)
{
        (void)self;
        scope_outbox_fini(&((struct peer *)state)->outbox);
}

static const struct scope_actor_class peer_class = { .name = "peer",
        .state_bytes = sizeof(struct peer),
        .init = peer_init,
        .receive = peer_receive,
        .fini = peer_fini };

/* --- a run ------------------------------------------------------------------------------------ */

static void world_init(struct world *world, uint32_t asks, uint32_t slots)
{
        struct scope_engine_sim_options engine = { .slots = slots,
                .response_max = RESPONSE_MAX,
                .vocab = SCOPE_TINY_VOCAB,
                .cores = 1,
                .step_cost_ns = 1000000,
                .respond = respond,
                .context = world };
        *world = (struct world){ .asks = asks, .same = true };
        world->options.run.seed = 3;
        world->options.eval.problems = PROBLEMS;
        world->options.eval.samples = SAMPLES;
        world->options.eval.temperature = 0.5;
        world->options.eval.top_p = 0.75;
        world->options.rollout.max_prompt = 128;
        world->options.rollout.max_response = RESPONSE_MAX;
        assert_ok(scope_tokenizer_tiny_create(&world->tokenizer));
        assert_ok(scope_dataset_open("builtin:chain?level=easy&seed=7", &world->data, NULL));
        assert_ok(scope_buffer_create(64, &world->weights));
        world->stages.options = &world->options;
        world->stages.limits.version_newest = UINT64_MAX;
        world->stages.resources.tokenizer = world->tokenizer;
        world->stages.resources.eval = world->data;
        if (slots > 0)
                assert_ok(scope_engine_sim_create(&engine, &world->stages.resources.evaluator));
}

static void run(struct world *world, uint64_t seed, uint32_t faults)
{
        struct scope_system_options options = { .seed = seed,
                .loops = 1,
                .compute_threads = 1,
                .restarts_max = 50,
                .restart_window_ns = SECOND,
                .wait_report_ns = 10 * SECOND };
        struct scope_sim_options sim = { .seed = seed,
                .faults = faults,
                .heal_ns = 2 * SECOND,
                .stop_ns = 900 * SECOND,
                .events_max = 1000000 };
        assert_ok(scope_simulation_create(&options, &sim, &world->system));
        struct scope_actor_options peer = {
                .name = "peer", .class_ = &peer_class, .args = world, .essential = true
        };
        struct scope_actor_options evaluator = { .name = "evaluator",
                .class_ = &scope_evaluator_class,
                .args = &world->stages,
                .essential = true };
        struct scope_address address;
        assert_ok(scope_system_add(world->system, &peer, &address));
        assert_ok(scope_system_add(world->system, &evaluator, &world->stages.evaluator));
        world->stages.evaluator.incarnation = 0;
        if (scope_system_run(world->system) != SCOPE_OK)
                fail_msg("seed %llu: %s", (unsigned long long)seed,
                        scope_system_cause(world->system));
}

static void world_fini(struct world *world)
{
        scope_system_destroy(world->system);
        scope_engine_destroy(world->stages.resources.evaluator);
        scope_dataset_destroy(world->data);
        scope_tokenizer_destroy(world->tokenizer);
        scope_buffer_drop(world->weights);
}

static void test_figures_are_those_of_the_samples(void **state)
{
        (void)state;
        static const uint32_t slots[] = { 1, 3, 64 };
        for (unsigned i = 0; i < 3; i++) {
                struct world world;
                world_init(&world, 1, slots[i]);
                run(&world, 1, 0);
                assert_int_equal(world.good, 1);
                assert_int_equal(world.steps[0], 1);
                assert_close(world.sum, expected_sum(&world), 0);
                world_fini(&world);
        }
}

static void test_evaluations_follow_each_other_and_a_flood_is_refused(void **state)
{
        (void)state;
        struct world world;
        world_init(&world, 8, 8);
        run(&world, 1, 0);
        assert_int_equal(world.good, 5); /* one, and four that wait */
        assert_int_equal(world.errors, 3);
        assert_int_equal(world.last_err, SCOPE_ERR_AGAIN);
        for (uint32_t i = 0; i < 5; i++)
                assert_int_equal(world.steps[i], i + 1);
        assert_true(world.same);
        world_fini(&world);
}

static void test_without_an_engine_it_says_so(void **state)
{
        (void)state;
        struct world world;
        world_init(&world, 1, 0);
        run(&world, 1, 0);
        assert_int_equal(world.errors, 1);
        assert_int_equal(world.last_err, SCOPE_ERR_UNSUPPORTED);
        world_fini(&world);
}

static void test_crashes_and_failed_steps_leave_no_trace(void **state)
{
        (void)state;
        uint32_t errors = 0;
        for (uint64_t seed = 0; seed < 200; seed++) {
                struct world world;
                world_init(&world, 1, 8);
                world.wanted = 3;
                run(&world, seed,
                        1u << SCOPE_FAULT_ACTOR_CRASH | 1u << SCOPE_FAULT_COMPUTE_FAIL |
                                1u << SCOPE_FAULT_COMPUTE_SLOW | 1u << SCOPE_FAULT_MAILBOX_FULL |
                                1u << SCOPE_FAULT_MESSAGE_DELAY);
                assert_int_equal(world.good, 3);
                assert_true(world.same);
                errors += world.errors;
                world_fini(&world);
        }
        assert_true(errors > 50);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_figures_are_those_of_the_samples),
                cmocka_unit_test(test_evaluations_follow_each_other_and_a_flood_is_refused),
                cmocka_unit_test(test_without_an_engine_it_says_so),
                cmocka_unit_test(test_crashes_and_failed_steps_leave_no_trace),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
