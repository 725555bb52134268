/* The engine's promises: a sample depends on nothing but itself, weights swap between steps,
 * results come once, and nothing is allocated after create. Gangs of two are two threads without a
 * barrier. */
#include "tests/test.h"

#include <malloc.h>
#include <math.h>
#include <pthread.h>

#include "base/buffer.h"
#include "base/rng.h"
#include "models/engine.h"
#include "models/tokenizer_tiny.h"
#include "schemas/records.h"

enum { SAMPLES_MAX = 256, RESPONSE_MAX = 40, CONTEXT_MAX = 80 };

struct sample {
        uint32_t tokens[CONTEXT_MAX];
        float logp[CONTEXT_MAX];
        uint32_t count, span_count;
        struct scope_engine_span spans[8];
        uint8_t finish;
        bool came;
};

static struct scope_layout *layout;
static struct scope_buffer *weights[3];
static struct sample results[SAMPLES_MAX];

/* Scaled up, so that the tiny random model has opinions and its samples differ. */
static int setup(void **state)
{
        (void)state;
        struct scope_model_config config = scope_model_config_tiny();
        assert_ok(scope_layout_create(&config, &layout));
        for (uint64_t w = 0; w < 3; w++) {
                assert_ok(scope_buffer_create(layout->float_count * sizeof(float), &weights[w]));
                float *parameters = scope_buffer_data(weights[w]);
                scope_layout_randomise(layout, 40 + w, parameters);
                for (uint32_t i = 0; i < layout->tensor_count; i++)
                        for (size_t j = 0;
                                layout->tensors[i].rank == 2 &&
                                j < (size_t)layout->tensors[i].rows * layout->tensors[i].columns;
                                j++)
                                parameters[layout->tensors[i].offset + j] *= 6;
        }
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        for (int w = 0; w < 3; w++)
                scope_buffer_drop(weights[w]);
        scope_layout_destroy(layout);
        return 0;
}

static struct scope_engine *engine_of(uint32_t slots, uint8_t cores)
{
        struct scope_engine *engine;
        struct scope_engine_options options = { .layout = layout, .slots = slots,
                .context_max = CONTEXT_MAX, .cores = cores };
        assert_ok(scope_engine_native_create(&options, &engine));
        return engine;
}

struct rank {
        const struct scope_engine_job *job;
        unsigned rank;
        enum scope_err err;
};

static void *rank_main(void *arg)
{
        struct rank *rank = arg;
        rank->err = rank->job->run(rank->job->arg, rank->rank, rank->job->cores);
        return NULL;
}

static enum scope_err job_run(const struct scope_engine_job *job)
{
        struct rank ranks[4];
        pthread_t threads[4];
        enum scope_err err = SCOPE_OK;
        for (unsigned r = 0; r < job->cores; r++) {
                ranks[r] = (struct rank){ job, r, SCOPE_OK };
                assert_int_equal(pthread_create(&threads[r], NULL, rank_main, &ranks[r]), 0);
        }
        for (unsigned r = 0; r < job->cores; r++) {
                assert_int_equal(pthread_join(threads[r], NULL), 0);
                err = err == SCOPE_OK ? ranks[r].err : err;
        }
        return err;
}

static void collect_all(struct scope_engine *engine)
{
        struct scope_engine_result result;
        while (engine->class_->collect(engine, &result)) {
                assert_true(result.id < SAMPLES_MAX && result.token_count <= CONTEXT_MAX);
                struct sample *sample = &results[result.id];
                assert_false(sample->came);
                assert_true(result.span_count >= 1 && result.span_count <= 8);
                memcpy(sample->tokens, result.tokens, result.token_count * sizeof *result.tokens);
                memcpy(sample->logp, result.logp, result.token_count * sizeof *result.logp);
                memcpy(sample->spans, result.spans, result.span_count * sizeof *result.spans);
                sample->count = result.token_count;
                sample->span_count = result.span_count;
                sample->finish = result.finish;
                sample->came = true;
        }
}

/* One step; false when there was nothing to do. */
static bool step(struct scope_engine *engine)
{
        struct scope_engine_job job;
        enum scope_err err = engine->class_->begin_step(engine, &job);
        if (err == SCOPE_ERR_AGAIN)
                return false;
        assert_ok(err);
        err = job_run(&job);
        engine->class_->end_step(engine, err);
        assert_ok(err);
        collect_all(engine);
        return true;
}

static uint32_t prompt_of(uint64_t share, uint32_t *ret_prompt)
{
        uint32_t count = 1 + (uint32_t)(share * 7 % 35);
        for (uint32_t i = 0; i < count; i++)
                ret_prompt[i] = 2 + (uint32_t)(scope_hash_pair(share, i) % 17);
        return count;
}

static enum scope_err submit(struct scope_engine *engine, uint64_t id, uint64_t share, float top_p)
{
        uint32_t prompt[64];
        struct scope_engine_request request = { .id = id, .share = share, .prompt = prompt,
                .prompt_count = prompt_of(share, prompt), .response_max = RESPONSE_MAX,
                .temperature = id % 5 == 4 ? 0 : 0.7f + 0.1f * (float)(id % 4), .top_p = top_p,
                .seed = scope_hash_pair(9, id) };
        return engine->class_->submit(engine, &request);
}

static void publish(struct scope_engine *engine, unsigned which, uint64_t version, bool recompute)
{
        assert_ok(engine->class_->publish(engine, weights[which], version, recompute));
}

static void assert_same(const struct sample *a, const struct sample *b)
{
        assert_true(a->came && b->came);
        assert_int_equal(a->count, b->count);
        assert_int_equal(a->finish, b->finish);
        assert_memory_equal(a->tokens, b->tokens, a->count * sizeof *a->tokens);
        assert_memory_equal(a->logp, b->logp, a->count * sizeof *a->logp);
}

static void run_all(uint32_t slots, uint8_t cores, uint32_t count, struct sample *ret_samples)
{
        struct scope_engine *engine = engine_of(slots, cores);
        memset(results, 0, sizeof results);
        publish(engine, 0, 1, false);
        for (uint64_t id = 0; id < count; id++)
                assert_ok(submit(engine, id, id / 8, id % 3 == 0 ? 0.9f : 1));
        while (step(engine))
                ;
        scope_engine_destroy(engine);
        memcpy(ret_samples, results, count * sizeof *results);
}

static void test_a_sample_is_the_same_alone_in_a_batch_and_on_two_cores(void **state)
{
        (void)state;
        static struct sample together[64], other[64];
        uint32_t stops = 0, tokens = 0;
        run_all(64, 1, 64, together);
        for (int i = 0; i < 64; i++) {
                stops += together[i].finish == SCOPE_FINISH_STOP;
                tokens += together[i].count;
        }
        assert_true(stops > 5 && stops < 64 && tokens > 500); /* the test sees both ends */
        run_all(64, 2, 64, other);
        for (int i = 0; i < 64; i++)
                assert_same(&together[i], &other[i]);
        run_all(5, 2, 64, other); /* waiting, and prompts whose samples come one by one */
        for (int i = 0; i < 64; i++)
                assert_same(&together[i], &other[i]);
        for (uint64_t id = 0; id < 64; id++) {
                struct scope_engine *engine = engine_of(1, 1);
                memset(results, 0, sizeof results);
                publish(engine, 0, 1, false);
                assert_ok(submit(engine, id, id / 8, id % 3 == 0 ? 0.9f : 1));
                while (step(engine))
                        ;
                scope_engine_destroy(engine);
                assert_same(&together[id], &results[id]);
        }
}

/* Ends a sample whose last two tokens rise; counts how often it is asked. */
static bool rises(void *context, const uint32_t *tokens, uint32_t count)
{
        uint32_t *asked = context;
        assert_int_equal(++*asked, count); /* once a token, in order */
        return count > 1 && tokens[count - 1] > tokens[count - 2];
}

static void test_a_stop_ends_a_sample_with_the_token_that_completes_it(void **state)
{
        (void)state;
        static struct sample whole[32];
        uint32_t asked[32] = { 0 }, prompt[64], stopped = 0;
        struct scope_engine *engine = engine_of(8, 2);
        run_all(8, 2, 32, whole);
        memset(results, 0, sizeof results);
        publish(engine, 0, 1, false);
        for (uint64_t id = 0; id < 32; id++) {
                struct scope_engine_request request = { .id = id, .share = id / 8, .prompt = prompt,
                        .prompt_count = prompt_of(id / 8, prompt), .response_max = RESPONSE_MAX,
                        .temperature = id % 5 == 4 ? 0 : 0.7f + 0.1f * (float)(id % 4),
                        .top_p = id % 3 == 0 ? 0.9f : 1, .seed = scope_hash_pair(9, id),
                        .stop = rises, .stop_context = &asked[id] };
                assert_ok(engine->class_->submit(engine, &request));
        }
        while (step(engine))
                ;
        scope_engine_destroy(engine);
        for (int i = 0; i < 32; i++) {
                uint32_t count = 1;
                while (count < whole[i].count &&
                        (count < 2 || whole[i].tokens[count - 1] <= whole[i].tokens[count - 2]))
                        count++;
                assert_true(results[i].came);
                assert_int_equal(results[i].count, count);
                assert_memory_equal(results[i].tokens, whole[i].tokens, count * sizeof(uint32_t));
                assert_memory_equal(results[i].logp, whole[i].logp, count * sizeof(float));
                stopped += count < whole[i].count;
                if (count < whole[i].count)
                        assert_int_equal(results[i].finish, SCOPE_FINISH_STOP);
        }
        assert_true(stopped > 20);
}

/* logp by scoring prompt and response as one text, at temperature 1. */
static void score_sample(struct scope_engine *engine, uint64_t share, const struct sample *sample,
        float *ret_logp)
{
        uint32_t tokens[CONTEXT_MAX], count = prompt_of(share, tokens);
        float values[CONTEXT_MAX];
        struct scope_engine_job job;
        memcpy(tokens + count, sample->tokens, sample->count * sizeof *tokens);
        struct scope_engine_score item = { tokens, count + sample->count, values };
        assert_ok(engine->class_->begin_score(engine, &item, 1, &job));
        assert_ok(job_run(&job));
        engine->class_->end_step(engine, SCOPE_OK);
        assert_close(values[0], 0, 0);
        memcpy(ret_logp, values + count, sample->count * sizeof *values);
}

static void test_logp_equals_scoring_the_whole_text(void **state)
{
        (void)state;
        static struct sample samples[40];
        struct scope_engine *engine = engine_of(8, 2);
        float logp[CONTEXT_MAX];
        publish(engine, 0, 1, false);
        run_all(40, 1, 40, samples);
        for (uint64_t id = 0; id < 40; id++)
                for (uint32_t i = 0; id % 4 == 3 && i < samples[id].count; i++) {
                        if (i == 0) /* those at temperature 1 */
                                score_sample(engine, id / 8, &samples[id], logp);
                        assert_close(samples[id].logp[i], logp[i], 2e-5);
                }
        scope_engine_destroy(engine);
}

static void test_weights_swap_between_steps_and_spans_say_where(void **state)
{
        (void)state;
        struct scope_engine *engine = engine_of(16, 2);
        memset(results, 0, sizeof results);
        publish(engine, 0, 10, false);
        for (uint64_t id = 0; id < 16; id++)
                assert_ok(submit(engine, id, id / 4, 1));
        assert_true(step(engine)); /* packs */
        assert_true(step(engine));
        publish(engine, 1, 11, false);
        publish(engine, 2, 12, false); /* 11 is never used */
        assert_int_equal(engine->class_->stats(engine).version, 10);
        while (step(engine))
                ;
        assert_int_equal(engine->class_->stats(engine).version, 12);
        uint32_t crossed = 0;
        for (int id = 0; id < 16; id++) {
                const struct sample *sample = &results[id];
                uint32_t covered = 0;
                assert_true(sample->came);
                for (uint32_t s = 0; s < sample->span_count; s++) {
                        assert_int_equal(sample->spans[s].begin, covered);
                        assert_int_equal(sample->spans[s].version, s == 0 ? 10 : 12);
                        covered += sample->spans[s].count;
                }
                assert_int_equal(covered, sample->count);
                crossed += sample->span_count == 2;
        }
        assert_true(crossed > 4);
        scope_engine_destroy(engine);
}

/* With contexts recomputed, what follows the swap is what the new weights say about the whole
 * text. */
static void test_recompute_makes_contexts_those_of_the_new_weights(void **state)
{
        (void)state;
        struct scope_engine *engine = engine_of(16, 2), *judge = engine_of(1, 1);
        memset(results, 0, sizeof results);
        publish(judge, 1, 11, false);
        publish(engine, 0, 10, false);
        for (uint64_t id = 3; id < 64; id += 4) /* temperature 1 */
                assert_ok(submit(engine, id, id / 8, 1));
        assert_true(step(engine));
        assert_true(step(engine));
        publish(engine, 1, 11, true);
        while (step(engine))
                ;
        uint32_t checked = 0;
        for (uint64_t id = 3; id < 64; id += 4) {
                float logp[CONTEXT_MAX];
                if (results[id].span_count < 2)
                        continue;
                score_sample(judge, id / 8, &results[id], logp);
                for (uint32_t i = results[id].spans[1].begin; i < results[id].count; i++, checked++)
                        assert_close(results[id].logp[i], logp[i], 2e-5);
        }
        assert_true(checked > 50);
        scope_engine_destroy(engine);
        scope_engine_destroy(judge);
}

static void test_a_prompt_shared_across_a_swap_is_computed_again_for_new_samples(void **state)
{
        (void)state;
        struct scope_engine *engine = engine_of(12, 1);
        memset(results, 0, sizeof results);
        publish(engine, 1, 1, false);
        for (uint64_t id = 0; id < 8; id++)
                assert_ok(submit(engine, id, 2, 1));
        assert_true(step(engine));
        assert_true(step(engine));
        publish(engine, 0, 2, false);
        assert_true(step(engine));
        assert_true(engine->class_->stats(engine).running > 0); /* the old context is still live */
        assert_ok(submit(engine, 40, 2, 1));
        while (step(engine))
                ;
        struct sample late = results[40];
        scope_engine_destroy(engine);
        engine = engine_of(1, 1);
        memset(results, 0, sizeof results);
        publish(engine, 0, 2, false);
        assert_ok(submit(engine, 40, 2, 1));
        while (step(engine))
                ;
        assert_same(&late, &results[40]);
        scope_engine_destroy(engine);
}

static void test_cancelled_samples_never_come_and_free_their_place(void **state)
{
        (void)state;
        struct scope_engine *engine = engine_of(4, 1);
        memset(results, 0, sizeof results);
        publish(engine, 0, 1, false);
        for (uint64_t id = 0; id < 12; id++)
                assert_ok(submit(engine, id, id / 8, 1));
        assert_true(step(engine));
        assert_true(step(engine));
        for (uint64_t id = 0; id < 12; id += 2)
                engine->class_->cancel(engine, id); /* running, finished and waiting ones */
        engine->class_->cancel(engine, 999);
        bool early[12];
        for (int id = 0; id < 12; id++)
                early[id] = results[id].came;
        while (step(engine))
                ;
        for (int id = 0; id < 12; id++)
                assert_int_equal(results[id].came, id % 2 == 1 || early[id]);
        struct scope_engine_stats stats = engine->class_->stats(engine);
        for (int id = 0; id < 12; id++)
                stats.sampled_tokens -= results[id].came ? results[id].count : 0;
        assert_true(stats.cancelled_tokens > 0);
        assert_int_equal(stats.sampled_tokens, stats.cancelled_tokens); /* the rest was in vain */
        assert_int_equal(engine->class_->stats(engine).running, 0);
        assert_int_equal(engine->class_->stats(engine).waiting, 0);
        scope_engine_destroy(engine);
}

static void test_bad_requests_are_refused(void **state)
{
        (void)state;
        struct scope_engine *engine = engine_of(2, 1);
        struct scope_engine_job job;
        uint32_t prompt[CONTEXT_MAX] = { 2, 3 }, bad[] = { 2, 21 };
        struct scope_engine_request good = { .id = 1, .prompt = prompt, .prompt_count = 2,
                .response_max = 4, .temperature = 1, .top_p = 1 }, request;
        assert_int_equal(engine->class_->begin_step(engine, &job), SCOPE_ERR_NOT_FOUND);
        publish(engine, 0, 1, false);
#define REFUSED(field, value, err)                                                                 \
        request = good;                                                                            \
        request.field = value;                                                                     \
        assert_int_equal(engine->class_->submit(engine, &request), err)
        REFUSED(prompt_count, 0, SCOPE_ERR_SHAPE);
        REFUSED(response_max, 0, SCOPE_ERR_SHAPE);
        REFUSED(response_max, UINT32_MAX, SCOPE_ERR_SHAPE);
        REFUSED(prompt_count, CONTEXT_MAX - 3, SCOPE_ERR_SHAPE);
        REFUSED(prompt, bad, SCOPE_ERR_SHAPE);
        REFUSED(temperature, NAN, SCOPE_ERR_ARGUMENT);
        REFUSED(temperature, -1, SCOPE_ERR_ARGUMENT);
        REFUSED(top_p, 0, SCOPE_ERR_ARGUMENT);
        REFUSED(top_p, 1.5f, SCOPE_ERR_ARGUMENT);
        assert_ok(engine->class_->submit(engine, &good));
        REFUSED(response_max, 4, SCOPE_ERR_EXISTS);
        enum scope_err err = SCOPE_OK;
        for (good.id = 2; good.id < 100000 && err == SCOPE_OK; good.id++)
                err = engine->class_->submit(engine, &good);
        assert_int_equal(err, SCOPE_ERR_AGAIN);
        struct scope_engine_score item = { bad, 2, NULL };
        assert_int_equal(engine->class_->begin_score(engine, &item, 1, &job), SCOPE_ERR_SHAPE);
        scope_engine_destroy(engine);
}

static void test_an_id_may_come_again_once_its_result_was_taken(void **state)
{
        (void)state;
        struct scope_engine *engine = engine_of(2, 1);
        struct scope_engine_job job;
        struct scope_engine_result result;
        uint32_t prompt[] = { 2, 3 };
        struct scope_engine_request request = { .id = 7, .prompt = prompt, .prompt_count = 2,
                .response_max = 1, .temperature = 1, .top_p = 1 };
        publish(engine, 0, 1, false);
        assert_ok(engine->class_->submit(engine, &request));
        do {
                assert_ok(engine->class_->begin_step(engine, &job));
                assert_ok(job.run(job.arg, 0, 1));
                engine->class_->end_step(engine, SCOPE_OK);
        } while (!engine->class_->collect(engine, &result));
        assert_ok(engine->class_->submit(engine, &request));
        assert_int_equal(engine->class_->submit(engine, &request), SCOPE_ERR_EXISTS);
        scope_engine_destroy(engine);
}

static void test_broken_weights_end_samples_with_an_error_not_with_tokens(void **state)
{
        (void)state;
        struct scope_engine *engine = engine_of(2, 1);
        struct scope_engine_job job;
        struct scope_buffer *broken;
        memset(results, 0, sizeof results);
        assert_ok(scope_buffer_create(layout->float_count * sizeof(float), &broken));
        memset(scope_buffer_data(broken), 0xff, layout->float_count * sizeof(float));
        assert_ok(engine->class_->publish(engine, broken, 1, false));
        scope_buffer_drop(broken);
        assert_ok(submit(engine, 0, 1, 1));
        assert_true(step(engine));
        assert_ok(engine->class_->begin_step(engine, &job));
        enum scope_err err = job_run(&job);
        assert_int_equal(err, SCOPE_ERR_INTERNAL);
        engine->class_->end_step(engine, err);
        struct scope_engine_result result;
        assert_true(engine->class_->collect(engine, &result));
        assert_int_equal(result.finish, SCOPE_FINISH_CANCELLED);
        assert_int_equal(result.token_count, 0);
        publish(engine, 0, 2, true);
        assert_ok(submit(engine, 1, 1, 1));
        while (step(engine))
                ;
        assert_true(results[1].came && results[1].count > 0); /* the engine lives on */
        scope_engine_destroy(engine);
}

static void test_padding_rows_of_the_vocabulary_are_never_sampled(void **state)
{
        (void)state;
        struct scope_engine *engine;
        struct scope_engine_options options = { .layout = layout, .slots = 64,
                .context_max = CONTEXT_MAX, .tokens_used = 9, .cores = 1 };
        assert_ok(scope_engine_native_create(&options, &engine));
        memset(results, 0, sizeof results);
        publish(engine, 0, 1, false);
        for (uint64_t id = 0; id < 64; id++)
                assert_ok(submit(engine, id, id / 8, 1));
        while (step(engine))
                ;
        for (int id = 0; id < 64; id++)
                for (uint32_t i = 0; i < results[id].count; i++)
                        assert_true(results[id].tokens[i] < 9);
        scope_engine_destroy(engine);
}

static void test_steps_allocate_nothing(void **state)
{
        (void)state;
        struct scope_engine *engine = engine_of(16, 1);
        struct scope_engine_job job;
        memset(results, 0, sizeof results);
        publish(engine, 0, 1, false);
        for (uint64_t id = 0; id < 64; id++)
                assert_ok(submit(engine, id, id / 8, 0.9f));
        struct mallinfo2 before = mallinfo2();
        while (engine->class_->begin_step(engine, &job) == SCOPE_OK) {
                assert_ok(job.run(job.arg, 0, 1));
                engine->class_->end_step(engine, SCOPE_OK);
                collect_all(engine);
        }
        struct mallinfo2 after = mallinfo2();
        assert_int_equal(before.uordblks, after.uordblks);
        assert_int_equal(before.hblkhd, after.hblkhd);
        assert_true(results[63].came);
        scope_engine_destroy(engine);
}

/* --- reward head ------------------------------------------------------------------------- */

static void test_a_reward_head_scores_and_does_not_sample(void **state)
{
        (void)state;
        struct scope_model_config config = scope_model_config_tiny();
        struct scope_layout *reward;
        struct scope_buffer *buffer;
        struct scope_engine *engine;
        struct scope_engine_job job;
        config.head = SCOPE_HEAD_REWARD;
        assert_ok(scope_layout_create(&config, &reward));
        assert_ok(scope_buffer_create(reward->float_count * sizeof(float), &buffer));
        scope_layout_randomise(reward, 5, scope_buffer_data(buffer));
        float *bias = (float *)scope_buffer_data(buffer) + reward->score_2_bias;
        bias[1] = 1.5f;
        memset((float *)scope_buffer_data(buffer) + reward->score_2, 0,
                2 * (size_t)config.hidden * sizeof(float));
        struct scope_engine_options options = { .layout = reward, .slots = 1,
                .context_max = CONTEXT_MAX, .cores = 2 };
        assert_ok(scope_engine_native_create(&options, &engine));
        assert_ok(engine->class_->publish(engine, buffer, 1, false));
        uint32_t tokens[CONTEXT_MAX];
        float values[3][CONTEXT_MAX];
        for (uint32_t i = 0; i < CONTEXT_MAX; i++)
                tokens[i] = 2 + i % 10;
        struct scope_engine_score items[] = { { tokens, CONTEXT_MAX, values[0] },
                { tokens, 3, values[1] }, { tokens, 0, values[2] } };
        assert_ok(engine->class_->begin_score(engine, items, 3, &job));
        assert_ok(job_run(&job));
        engine->class_->end_step(engine, SCOPE_OK);
        for (int i = 0; i < CONTEXT_MAX; i++) /* the bias alone is left */
                assert_close(values[0][i], 1 / (1 + exp(-1.5)), 1e-6);
        assert_memory_equal(
                values[0], values[1], 3 * sizeof(float)); /* later tokens do not matter */
        assert_int_equal(submit(engine, 0, 1, 1), SCOPE_ERR_UNSUPPORTED);
        scope_engine_destroy(engine);
        scope_buffer_drop(buffer);
        scope_layout_destroy(reward);
}

/* Items that begin alike one after another: the same bits as alone, for less work. */
static void check_shared(enum scope_head head)
{
        enum { ITEMS = 5 };
        static const uint32_t lengths[ITEMS] = { 30, 30, 21, 21, 40 }, same[ITEMS] = { 0, 20, 21,
                21, 1 };
        struct scope_model_config config = scope_model_config_tiny();
        struct scope_layout *shape;
        struct scope_buffer *buffer;
        struct scope_engine *engine;
        struct scope_engine_job job;
        uint32_t tokens[ITEMS][CONTEXT_MAX];
        float values[ITEMS][CONTEXT_MAX], alone[CONTEXT_MAX];
        struct scope_engine_score items[ITEMS];
        config.head = head;
        assert_ok(scope_layout_create(&config, &shape));
        assert_ok(scope_buffer_create(shape->float_count * sizeof(float), &buffer));
        scope_layout_randomise(shape, 5, scope_buffer_data(buffer));
        struct scope_engine_options options = { .layout = shape, .slots = 1,
                .context_max = CONTEXT_MAX, .cores = 1 };
        assert_ok(scope_engine_native_create(&options, &engine));
        assert_ok(engine->class_->publish(engine, buffer, 1, false));
        for (uint32_t i = 0; i < ITEMS; i++) {
                for (uint32_t t = 0; t < lengths[i]; t++)
                        tokens[i][t] = i > 0 && t < same[i] ? tokens[i - 1][t]
                                                            : 2 + (t * 7 + i) % 15;
                items[i] = (struct scope_engine_score){ tokens[i], lengths[i], values[i] };
        }
        assert_ok(engine->class_->begin_score(engine, items, ITEMS, &job));
        assert_ok(job_run(&job));
        engine->class_->end_step(engine, SCOPE_OK);
        for (uint32_t i = 0; i < ITEMS; i++) {
                struct scope_engine_score one = { tokens[i], lengths[i], alone };
                assert_ok(engine->class_->begin_score(engine, &one, 1, &job));
                assert_ok(job_run(&job));
                engine->class_->end_step(engine, SCOPE_OK);
                assert_memory_equal(alone, values[i], lengths[i] * sizeof(float));
        }
        scope_engine_destroy(engine);
        scope_buffer_drop(buffer);
        scope_layout_destroy(shape);
}

static void test_scored_items_share_what_they_begin_with(void **state)
{
        (void)state;
        check_shared(SCOPE_HEAD_LANGUAGE);
        check_shared(SCOPE_HEAD_REWARD);
        check_shared(SCOPE_HEAD_CLASSES);
}

/* --- the simulated engine ---------------------------------------------------------------- */

static void respond(void *context, const struct scope_engine_request *request, uint32_t *ret_tokens,
        float *ret_logp, uint32_t *ret_count, uint8_t *ret_finish)
{
        (void)context;
        *ret_count = 1 + (uint32_t)(request->id % 5);
        *ret_finish = SCOPE_FINISH_STOP;
        for (uint32_t i = 0; i < *ret_count; i++) {
                ret_tokens[i] = (uint32_t)request->id;
                ret_logp[i] = -1;
        }
}

static void test_the_simulated_engine_takes_a_step_a_token(void **state)
{
        (void)state;
        struct scope_engine *engine;
        struct scope_engine_job job;
        struct scope_engine_sim_options options = { .slots = 2, .response_max = 8, .vocab = 21,
                .cores = 2, .step_cost_ns = 700, .respond = respond };
        uint32_t steps = 0;
        memset(results, 0, sizeof results);
        assert_ok(scope_engine_sim_create(&options, &engine));
        assert_int_equal(engine->class_->begin_step(engine, &job), SCOPE_ERR_NOT_FOUND);
        assert_ok(engine->class_->publish(engine, weights[0], 1, false));
        for (uint64_t id = 0; id < 5; id++) { /* 1, 2, 3, 4, 5 tokens */
                uint32_t prompt = 2;
                struct scope_engine_request request = { .id = id, .prompt = &prompt,
                        .prompt_count = 1, .response_max = 8, .temperature = 1, .top_p = 1 };
                assert_ok(engine->class_->submit(engine, &request));
        }
        engine->class_->cancel(engine, 3);
        while (engine->class_->begin_step(engine, &job) == SCOPE_OK) {
                assert_int_equal(job.cost_ns, 700);
                assert_ok(job.run(job.arg, 0, 1));
                engine->class_->end_step(engine, SCOPE_OK);
                if (++steps == 3)
                        assert_ok(engine->class_->publish(engine, weights[0], 2, false));
                collect_all(engine);
        }
        /* Two slots: 1 then 3 tokens in one, 2 then 5 in the other. */
        assert_int_equal(steps, 7);
        for (int id = 0; id < 5; id++)
                assert_int_equal(results[id].came, id != 3);
        assert_int_equal(results[4].span_count, 2);
        assert_int_equal(results[4].spans[1].begin, 1);
        assert_int_equal(results[4].spans[1].version, 2);
        scope_engine_destroy(engine);
        scope_engine_destroy(NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_sample_is_the_same_alone_in_a_batch_and_on_two_cores),
                cmocka_unit_test(test_a_stop_ends_a_sample_with_the_token_that_completes_it),
                cmocka_unit_test(test_logp_equals_scoring_the_whole_text),
                cmocka_unit_test(test_weights_swap_between_steps_and_spans_say_where),
                cmocka_unit_test(test_recompute_makes_contexts_those_of_the_new_weights),
                cmocka_unit_test(
                        test_a_prompt_shared_across_a_swap_is_computed_again_for_new_samples),
                cmocka_unit_test(test_cancelled_samples_never_come_and_free_their_place),
                cmocka_unit_test(test_bad_requests_are_refused),
                cmocka_unit_test(test_an_id_may_come_again_once_its_result_was_taken),
                cmocka_unit_test(test_broken_weights_end_samples_with_an_error_not_with_tokens),
                cmocka_unit_test(test_padding_rows_of_the_vocabulary_are_never_sampled),
                cmocka_unit_test(test_steps_allocate_nothing),
                cmocka_unit_test(test_a_reward_head_scores_and_does_not_sample),
                cmocka_unit_test(test_scored_items_share_what_they_begin_with),
                cmocka_unit_test(test_the_simulated_engine_takes_a_step_a_token),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
