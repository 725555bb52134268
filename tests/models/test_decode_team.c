/* Ranks that compute every row together: the same bits as one rank alone, whatever the weights are
 * rounded to (rollout.dtype); logits near those of unrounded weights; no memory taken while
 * decoding. */
#include "tests/test.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/buffer.h"
#include "base/rng.h"
#include "models/engine.h"
#include "schemas/records.h"

enum { CONTEXT_MAX = 96, SAMPLES = 11, RESPONSE = 24, SCORED = 70 };

/* Over 4 MiB in every form: a team. Odd sizes, groups of three heads. */
static struct scope_model_config config_of(void)
{
        return (struct scope_model_config){ .model_type = "qwen2", .layers = 3, .hidden = 252,
                .heads = 9, .kv_heads = 3, .head_dim = 28, .ffn = 1030, .vocab = 6007,
                .positions_max = 4096, .rope_theta = 10000, .rms_eps = 1e-5f, .qkv_bias = true,
                .tokens_used = 5990, .bos = UINT32_MAX, .pad = UINT32_MAX };
}

struct sample {
        uint32_t tokens[RESPONSE], count;
        float logp[RESPONSE];
};

static struct scope_layout *layout;
static struct scope_buffer *weights;

static int setup(void **state)
{
        (void)state;
        struct scope_model_config config = config_of();
        assert_ok(scope_layout_create(&config, &layout));
        assert_ok(scope_buffer_create(layout->float_count * sizeof(float), &weights));
        scope_layout_randomise(layout, 8, scope_buffer_data(weights));
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        scope_buffer_drop(weights);
        scope_layout_destroy(layout);
        return 0;
}

/* --- allocations are counted ------------------------------------------------------------- */

static atomic_uint counting, allocations;

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__real_aligned_alloc(size_t align, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void *__wrap_aligned_alloc(size_t align, size_t bytes);

static void count(void)
{
        atomic_fetch_add(&allocations, atomic_load(&counting));
}

void *__wrap_malloc(size_t bytes)
{
        count();
        return __real_malloc(bytes);
}

void *__wrap_calloc(size_t items, size_t bytes)
{
        count();
        return __real_calloc(items, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
        count();
        return __real_realloc(old, bytes);
}

void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
        count();
        return __real_aligned_alloc(align, bytes);
}

/* --- ranks on threads --------------------------------------------------------------------- */

struct rank {
        const struct scope_engine_job *job;
        pthread_barrier_t *ready; /* threads are made: what the job takes is counted from here */
        unsigned rank, size;
        enum scope_err err;
};

static void *rank_main(void *arg)
{
        struct rank *rank = arg;
        (void)pthread_barrier_wait(rank->ready);
        rank->err = rank->job->run(rank->job->arg, rank->rank, rank->size);
        (void)pthread_barrier_wait(rank->ready);
        return NULL;
}

static enum scope_err job_run(const struct scope_engine_job *job, unsigned size)
{
        struct rank ranks[4];
        pthread_t threads[4];
        pthread_barrier_t ready;
        enum scope_err err = SCOPE_OK;
        assert_int_equal(pthread_barrier_init(&ready, NULL, size + 1), 0);
        for (unsigned r = 0; r < size; r++) {
                ranks[r] = (struct rank){ job, &ready, r, size, SCOPE_OK };
                assert_int_equal(pthread_create(&threads[r], NULL, rank_main, &ranks[r]), 0);
        }
        atomic_store(&counting, 1);
        (void)pthread_barrier_wait(&ready);
        (void)pthread_barrier_wait(&ready);
        atomic_store(&counting, 0);
        for (unsigned r = 0; r < size; r++) {
                assert_int_equal(pthread_join(threads[r], NULL), 0);
                err = err == SCOPE_OK ? ranks[r].err : err;
        }
        (void)pthread_barrier_destroy(&ready);
        return err;
}

static struct scope_engine *engine_of(uint8_t cores, enum scope_form form)
{
        struct scope_engine *engine;
        struct scope_engine_options options = { .layout = layout, .slots = 8,
                .context_max = CONTEXT_MAX, .cores = cores, .weights = form };
        assert_ok(scope_engine_native_create(&options, &engine));
        assert_ok(engine->class_->publish(engine, weights, 1, false));
        return engine;
}

/* A few groups with shared prompts; more samples than slots. */
static void decode(uint8_t cores, unsigned size, enum scope_form form, struct sample *ret_samples)
{
        struct scope_engine *engine = engine_of(cores, form);
        struct scope_engine_job job;
        struct scope_engine_result result;
        uint32_t prompt[CONTEXT_MAX];
        for (uint32_t i = 0; i < SAMPLES; i++) {
                uint32_t length = 1 + i / 3 * 19;
                for (uint32_t t = 0; t < length; t++)
                        prompt[t] = (uint32_t)(scope_hash_pair(i / 3, t) % 5990);
                struct scope_engine_request request = { .id = i, .share = i / 3, .prompt = prompt,
                        .prompt_count = length, .response_max = RESPONSE - i % 4,
                        .temperature = 0.5f * (float)(i % 3), .top_p = i % 2 ? 0.9f : 1,
                        .seed = i };
                assert_ok(engine->class_->submit(engine, &request));
        }
        memset(ret_samples, 0, SAMPLES * sizeof *ret_samples);
        while (engine->class_->begin_step(engine, &job) == SCOPE_OK) {
                enum scope_err err = job_run(&job, size);
                engine->class_->end_step(engine, err);
                assert_ok(err);
                while (engine->class_->collect(engine, &result)) {
                        struct sample *sample = &ret_samples[result.id];
                        sample->count = result.token_count;
                        memcpy(sample->tokens, result.tokens, sample->count * sizeof(uint32_t));
                        memcpy(sample->logp, result.logp, sample->count * sizeof(float));
                        for (uint32_t t = 0; t < sample->count; t++)
                                assert_true(result.tokens[t] < 5990);
                }
        }
        scope_engine_destroy(engine);
}

static void test_a_team_decodes_as_one_rank_does(void **state)
{
        (void)state;
        static struct sample alone[SAMPLES], team[SAMPLES];
        static const uint8_t cores[] = { 2, 3 };
        for (int form = SCOPE_FORM_F32; form <= SCOPE_FORM_INT8; form++) {
                decode(1, 1, (enum scope_form)form, alone);
                for (size_t i = 0; i < sizeof cores / sizeof *cores; i++) {
                        decode(cores[i], cores[i], (enum scope_form)form, team);
                        assert_memory_equal(alone, team, sizeof alone);
                }
        }
        decode(3, 1, SCOPE_FORM_INT8, team); /* a pool may come with fewer */
        assert_memory_equal(alone, team, sizeof alone);
        for (uint32_t i = 0; i < SAMPLES; i++)
                assert_int_equal(alone[i].count, RESPONSE - i % 4);
}

static void test_decoding_takes_no_memory(void **state)
{
        (void)state;
        static struct sample samples[SAMPLES];
        atomic_store(&allocations, 0);
        decode(2, 2, SCOPE_FORM_BF16, samples);
        assert_int_equal(atomic_load(&allocations), 0);
        assert_true(samples[0].count > 0);
}

static void score(uint8_t cores, enum scope_form form, const uint32_t *tokens, float *ret_values)
{
        struct scope_engine *engine = engine_of(cores, form);
        struct scope_engine_job job;
        struct scope_engine_score items[] = { { tokens, SCORED, ret_values },
                { tokens + 3, 5, ret_values + SCORED } };
        assert_ok(engine->class_->begin_score(engine, items, 2, &job));
        assert_ok(job_run(&job, cores));
        engine->class_->end_step(engine, SCOPE_OK);
        scope_engine_destroy(engine);
}

/* Log-probabilities of given texts: a team's are one rank's, rounded ones are near the exact. */
static void test_a_team_scores_as_one_rank_does(void **state)
{
        (void)state;
        uint32_t tokens[SCORED];
        static float exact[SCORED + 5], alone[SCORED + 5], team[SCORED + 5];
        for (uint32_t i = 0; i < SCORED; i++)
                tokens[i] = (uint32_t)(scope_hash_pair(77, i) % 5990);
        score(1, SCOPE_FORM_F32, tokens, exact);
        for (int form = SCOPE_FORM_F32; form <= SCOPE_FORM_INT8; form++) {
                double worst = 0, sum = 0;
                score(1, (enum scope_form)form, tokens, alone);
                score(2, (enum scope_form)form, tokens, team);
                assert_memory_equal(alone, team, sizeof alone);
                for (uint32_t i = 0; i < SCORED + 5; i++) {
                        worst = fmax(worst, fabs((double)alone[i] - exact[i]));
                        sum += fabs((double)alone[i] - exact[i]) / (SCORED + 5);
                }
                print_message("# form %d: logp off by %.2g on average, %.2g at most\n", form, sum,
                        worst);
                assert_true(worst <= (form == SCOPE_FORM_F32 ? 0
                                : form == SCOPE_FORM_BF16 ? 2e-2 : 8e-2));
        }
}

static void test_broken_weights_are_told_by_every_rank(void **state)
{
        (void)state;
        struct scope_engine *engine = engine_of(2, SCOPE_FORM_BF16);
        struct scope_engine_job job;
        struct scope_buffer *broken;
        const uint32_t prompt[] = { 1, 2 };
        assert_ok(scope_buffer_create(layout->float_count * sizeof(float), &broken));
        memcpy(scope_buffer_data(broken), scope_buffer_data(weights),
                layout->float_count * sizeof(float));
        ((float *)scope_buffer_data(broken))[layout->final_norm] = NAN;
        assert_ok(engine->class_->publish(engine, broken, 2, false));
        for (uint64_t i = 0; i < 3; i++) {
                struct scope_engine_request request = { .id = i, .share = i, .prompt = prompt,
                        .prompt_count = 2, .response_max = 4, .temperature = 1, .top_p = 1 };
                assert_ok(engine->class_->submit(engine, &request));
        }
        assert_ok(engine->class_->begin_step(engine, &job));
        assert_ok(job_run(&job, 2)); /* packs */
        engine->class_->end_step(engine, SCOPE_OK);
        assert_ok(engine->class_->begin_step(engine, &job));
        assert_int_equal(job_run(&job, 2), SCOPE_ERR_INTERNAL);
        engine->class_->end_step(engine, SCOPE_ERR_INTERNAL);
        scope_engine_destroy(engine);
        scope_buffer_drop(broken);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_team_decodes_as_one_rank_does),
                cmocka_unit_test(test_decoding_takes_no_memory),
                cmocka_unit_test(test_a_team_scores_as_one_rank_does),
                cmocka_unit_test(test_broken_weights_are_told_by_every_rank),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
