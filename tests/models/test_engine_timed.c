/* Samples that share an engine in simulated time: schedules reckoned by hand. */
#include "tests/test.h"

#include "models/engine.h"
#include "schemas/records.h"

struct run {
        uint64_t now_ns, ended_ns[16], service_ns[16];
        uint32_t steps;
};

/* As many tokens as its seed says. */
static uint64_t respond(void *context, const struct scope_engine_request *request,
        uint32_t *ret_tokens, float *ret_logp, uint32_t *ret_count, uint8_t *ret_finish)
{
        (void)context;
        *ret_count = (uint32_t)request->seed;
        for (uint32_t i = 0; i < *ret_count; i++) {
                ret_tokens[i] = i;
                ret_logp[i] = 0;
        }
        *ret_finish = SCOPE_FINISH_STOP;
        return 7; /* of no account where a step has a law */
}

static struct scope_engine *engine_of(uint32_t slots, uint64_t quantum_ns)
{
        struct scope_engine *engine = NULL;
        const struct scope_engine_timed_options options = { .slots = slots,
                .waiting_max = 16,
                .response_max = 64,
                .quantum_ns = quantum_ns,
                .step = { .least_ns = 30, .each_ns = 10, .prompt_ns = 5 },
                .respond = respond };
        assert_ok(scope_engine_timed_create(&options, &engine));
        assert_ok(engine->class_->publish(engine, NULL, 1, false));
        return engine;
}

static void submit(struct scope_engine *engine, uint64_t id, uint64_t share, uint32_t prompt_count,
        uint32_t tokens)
{
        static const uint32_t prompt[8];
        const struct scope_engine_request request = { .id = id,
                .share = share,
                .prompt = prompt,
                .prompt_count = prompt_count,
                .response_max = 64,
                .seed = tokens };
        assert_ok(engine->class_->submit(engine, &request));
}

static bool step(struct scope_engine *engine, struct run *run)
{
        struct scope_engine_job job;
        struct scope_engine_result result;
        if (engine->class_->begin_step(engine, &job) != SCOPE_OK)
                return false;
        run->now_ns += job.cost_ns;
        run->steps++;
        engine->class_->end_step(engine, SCOPE_OK);
        while (engine->class_->collect(engine, &result)) {
                run->ended_ns[result.id] = run->now_ns;
                run->service_ns[result.id] = result.service_ns;
        }
        return true;
}

/* Two slots, 30 ns a token for one as for two: prompt of 4 tokens and three rounds, 20 + 90; then
 * the third comes in with its prompt of 2, and both that run end after two rounds, 10 + 60. */
static void test_slots_share_a_step_and_a_prompt_is_computed_once(void **state)
{
        (void)state;
        struct scope_engine *engine = engine_of(2, 1000000);
        struct run run = { 0 };
        submit(engine, 0, 1, 4, 3);
        submit(engine, 1, 1, 4, 5);
        submit(engine, 2, 2, 2, 2);
        while (step(engine, &run))
                ;
        assert_int_equal(run.ended_ns[0], 110);
        assert_int_equal(run.ended_ns[1], 180);
        assert_int_equal(run.ended_ns[2], 180);
        assert_int_equal(run.steps, 2);
        /* alone: with its prompt */
        assert_int_equal(run.service_ns[0], 3 * 30 + 20);
        assert_int_equal(run.service_ns[2], 2 * 30 + 10);
        scope_engine_destroy(engine);
}

/* From three on the step takes longer the more run: 5 at 50, then 4 at 40, then 1 at 30. */
static void test_more_samples_make_a_step_longer(void **state)
{
        (void)state;
        struct scope_engine *engine = engine_of(8, 1000000);
        struct run run = { 0 };
        for (uint64_t id = 0; id < 5; id++)
                submit(engine, id, id, 1, id == 0 ? 2 : id == 4 ? 10 : 4);
        while (step(engine, &run))
                ;
        uint64_t prompts = 5 * 5;
        assert_int_equal(run.ended_ns[0], prompts + 2 * 50);
        assert_int_equal(run.ended_ns[1], prompts + 2 * 50 + 2 * 40);
        assert_int_equal(run.ended_ns[3], run.ended_ns[1]);
        assert_int_equal(run.ended_ns[4], prompts + 2 * 50 + 2 * 40 + 6 * 30);
        scope_engine_destroy(engine);
}

/* Who comes waits for a token, not for the sample that runs; what was cut counts its tokens. */
static void test_a_quantum_bounds_the_wait_of_who_comes(void **state)
{
        (void)state;
        struct scope_engine *engine = engine_of(4, 65);
        struct run run = { 0 };
        submit(engine, 0, 0, 1, 50);
        assert_true(step(engine, &run));
        assert_int_equal(run.now_ns, 5 + 2 * 30); /* two tokens fit */
        submit(engine, 1, 1, 1, 1);
        assert_true(step(engine, &run));
        assert_int_equal(run.ended_ns[1], 65 + 5 + 30);
        engine->class_->cancel(engine, 0);
        assert_false(step(engine, &run));
        assert_int_equal(engine->class_->stats(engine).cancelled_tokens, 3);
        assert_int_equal(engine->class_->stats(engine).sampled_tokens, 1);
        scope_engine_destroy(engine);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_slots_share_a_step_and_a_prompt_is_computed_once),
                cmocka_unit_test(test_more_samples_make_a_step_longer),
                cmocka_unit_test(test_a_quantum_bounds_the_wait_of_who_comes),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
