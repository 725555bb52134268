/* decode_model.c - tokens a second of the native engine with a real model, from memory's view.
 * usage: bench_decode_model --model DIR|FILE.gguf [--dtype f32|bf16|int8] [--prompt N]
 *        [--response N] [--cores N] [--turns | --batch N]
 * A round: `batch` sequences with prompts of their own are filled, then decoded greedily together;
 * tokens_per_s is of the steps after the first, which fills. One JSON object a round. --turns: each
 * line of standard input is a batch size and begins a round, so that another program can take turns
 * with this one. `share` is the rate over what memory alone would allow: weights once a step, keys
 * and values once a row, at the speed of reading that was measured right before. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/rng.h"
#include "bench/machine.h"
#include "kernels/gemm_packed.h"
#include "models/engine.h"
#include "models/hf_directory.h"
#include "runtime/compute_pool.h"

enum { BATCH_MAX = 64, CORES_MAX = 64 };

struct setup {
        const char *model;
        enum scope_form form;
        uint32_t batch, prompt, response;
        unsigned cores;
        bool turns;
};

struct run {
        const struct setup *setup;
        struct scope_compute_pool *pool;
        struct scope_layout *layout;
        struct scope_buffer *weights;
};

static double now(void)
{
        struct timespec time;
        (void)clock_gettime(CLOCK_MONOTONIC, &time);
        return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Bytes that a step reads whatever the batch: every matrix once. */
static double weight_bytes(const struct scope_layout *layout, enum scope_form form)
{
        static const double bytes[] = { [SCOPE_FORM_F32] = 4, [SCOPE_FORM_BF16] = 2,
                [SCOPE_FORM_INT8] = 1 + 2.0 / SCOPE_SCALE_BLOCK };
        const struct scope_model_config *c = &layout->config;
        double count = (double)layout->parameter_count;
        if (!c->tied) /* of the embedding only rows are read */
                count -= (double)c->vocab * c->hidden;
        return count * bytes[form];
}

/* Of one row, in the middle of the response. */
static double kv_bytes(const struct setup *setup, const struct scope_model_config *config)
{
        double positions = setup->prompt + setup->response / 2.0;
        return positions * config->layers * 2.0 * config->kv_heads * config->head_dim * 4;
}

/* Shares are new ones each round: nothing of the last is found again. */
static void submit_all(const struct run *run, struct scope_engine *engine, uint32_t batch)
{
        static uint64_t share;
        const struct setup *setup = run->setup;
        uint32_t vocab = run->layout->config.vocab;
        uint32_t *prompt = malloc(setup->prompt * sizeof *prompt);
        scope_assert(prompt != NULL);
        for (uint32_t i = 0; i < batch; i++) {
                for (uint32_t t = 0; t < setup->prompt; t++)
                        prompt[t] = (uint32_t)(scope_hash_pair(i, t) % vocab);
                struct scope_engine_request request = { .id = i, .share = ++share, .prompt = prompt,
                        .prompt_count = setup->prompt, .response_max = setup->response,
                        .top_p = 1 };
                scope_assert(engine->class_->submit(engine, &request) == SCOPE_OK);
        }
        free(prompt);
}

/* Seconds of one step; false when there is none. */
static bool step(const struct run *run, struct scope_engine *engine, double *ret_seconds)
{
        struct scope_engine_job of;
        if (engine->class_->begin_step(engine, &of) != SCOPE_OK)
                return false;
        struct scope_job job = { .run = of.run, .arg = of.arg, .cores = of.cores };
        double begin = now();
        engine->class_->end_step(engine, scope_compute_pool_run(run->pool, &job));
        *ret_seconds = now() - begin;
        return true;
}

static void one_round(const struct run *run, struct scope_engine *engine, uint32_t batch)
{
        const struct setup *setup = run->setup;
        struct scope_engine_result result;
        struct scope_bench_machine machine = scope_bench_machine(run->pool, setup->cores);
        double fill = 0, decode = 0, seconds;
        uint64_t hash = 0;
        submit_all(run, engine, batch);
        scope_assert(step(run, engine, &fill));
        struct scope_engine_stats filled = engine->class_->stats(engine);
        while (step(run, engine, &seconds))
                decode += seconds;
        uint64_t tokens = engine->class_->stats(engine).sampled_tokens - filled.sampled_tokens;
        for (; engine->class_->collect(engine, &result);) {
                scope_assert(result.token_count == setup->response);
                for (uint32_t i = 0; i < result.token_count; i++)
                        hash = scope_hash_pair(hash, result.tokens[i]);
        }
        double rate = (double)tokens / decode;
        double bytes = weight_bytes(run->layout, setup->form)
                + batch * kv_bytes(setup, &run->layout->config);
        double bound = machine.read / bytes * batch;
        printf("{\"batch\": %u, \"tokens_per_s\": %.2f, \"prompt_tokens_per_s\": %.1f, "
               "\"read_gb_per_s\": %.2f, \"gemm_gflops\": %.0f, \"bound_tokens_per_s\": %.1f, "
               "\"share\": %.3f, \"tokens_hash\": \"%016llx\"}\n",
                batch, rate, batch * (double)setup->prompt / fill, machine.read / 1e9,
                machine.flop / 1e9, bound, rate / bound, (unsigned long long)hash);
        (void)fflush(stdout);
}

static void measure(const struct run *run)
{
        const struct setup *setup = run->setup;
        static const uint32_t batches[] = { 1, 8, 32 };
        struct scope_engine *engine;
        struct scope_engine_options options = { .layout = run->layout, .slots = BATCH_MAX,
                .context_max = setup->prompt + setup->response, .cores = (uint8_t)setup->cores,
                .weights = setup->form };
        double seconds;
        scope_assert(scope_engine_native_create(&options, &engine) == SCOPE_OK);
        scope_assert(engine->class_->publish(engine, run->weights, 1, false) == SCOPE_OK);
        while (step(run, engine, &seconds))
                ; /* packs */
        if (setup->turns)
                for (unsigned batch; scanf("%u", &batch) == 1 && batch > 0 && batch <= BATCH_MAX;)
                        one_round(run, engine, batch);
        else if (setup->batch != 0)
                one_round(run, engine, setup->batch);
        else
                for (size_t i = 0; i < sizeof batches / sizeof *batches; i++)
                        one_round(run, engine, batches[i]);
        scope_engine_destroy(engine);
}

static bool read_form(const char *name, enum scope_form *ret_form)
{
        static const char *const names[] = { [SCOPE_FORM_F32] = "f32", [SCOPE_FORM_BF16] = "bf16",
                [SCOPE_FORM_INT8] = "int8" };
        for (int i = 0; i < 3; i++)
                if (strcmp(name, names[i]) == 0) {
                        *ret_form = (enum scope_form)i;
                        return true;
                }
        return false;
}

static bool read_options(int argc, char **argv, struct setup *setup)
{
        static const struct option names[] = { { "model", required_argument, NULL, 'm' },
                { "dtype", required_argument, NULL, 'd' },
                { "prompt", required_argument, NULL, 'p' },
                { "response", required_argument, NULL, 'r' },
                { "batch", required_argument, NULL, 'b' },
                { "cores", required_argument, NULL, 'c' }, { "turns", no_argument, NULL, 't' },
                { 0 } };
        for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
                uint32_t number = optarg != NULL ? (uint32_t)strtoul(optarg, NULL, 10) : 0;
                if (option == 'm')
                        setup->model = optarg;
                else if (option == 'd' && !read_form(optarg, &setup->form))
                        return false;
                else if (option == 'p')
                        setup->prompt = number;
                else if (option == 'r')
                        setup->response = number;
                else if (option == 'b')
                        setup->batch = number;
                else if (option == 'c')
                        setup->cores = number;
                else if (option == 't')
                        setup->turns = true;
                else if (option != 'd')
                        return false;
        }
        return setup->model != NULL && setup->prompt > 0 && setup->response > 1
                && setup->batch <= BATCH_MAX && setup->cores > 0 && setup->cores <= CORES_MAX;
}

int main(int argc, char **argv)
{
        struct setup setup = { .prompt = 128, .response = 96, .cores = 2 };
        struct run run = { .setup = &setup };
        struct scope_model model = { 0 };
        struct scope_diag diag = { "" };
        int pins[CORES_MAX];
        if (!read_options(argc, argv, &setup)) {
                (void)fprintf(stderr, "usage: bench_decode_model --model DIR [--dtype "
                                      "f32|bf16|int8] [--prompt N] [--response N] [--cores N] "
                                      "[--batch N (1 to 64) | --turns]\n");
                return 2;
        }
        if (scope_model_load(setup.model, &model, &diag) != SCOPE_OK) {
                (void)fprintf(stderr, "error: %s\n", diag.text);
                return 3;
        }
        for (unsigned i = 0; i < setup.cores; i++)
                pins[i] = (int)i;
        struct scope_compute_pool_options options = { .threads = setup.cores, .cores = pins,
                .spin = true };
        size_t bytes = model.layout->float_count * sizeof(float);
        scope_assert(scope_compute_pool_create(&options, &run.pool) == SCOPE_OK);
        scope_assert(scope_buffer_create(bytes, &run.weights) == SCOPE_OK);
        memcpy(scope_buffer_data(run.weights), model.parameters, bytes);
        model.layout->config.eos_count = 0; /* responses are of one length */
        run.layout = model.layout;
        measure(&run);
        scope_buffer_drop(run.weights);
        scope_model_fini(&model);
        scope_compute_pool_destroy(run.pool);
        return 0;
}
