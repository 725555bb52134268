/* decode.c - tokens a second of the native engine, from submit to result.
 * usage: bench_decode [--shape tiny|mid] [--batch N] [--cores N] [--seconds S]
 * Without --batch: 1, 8, 64, 128. Prompts of 26 tokens are shared by groups of 8, responses have 52
 * tokens (no EOS): the averages of the arithmetic task. One JSON object a line. Beside each figure
 * stand its share of what this machine does at best: `flop_share` of the packed gemm alone, weights
 * in cache; `byte_share` of reading the weights once an iteration at the speed of memory (over 1
 * where they stay in cache). */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/rng.h"
#include "bench/machine.h"
#include "kernels/kernels.h"
#include "models/engine.h"
#include "models/tokenizer_tiny.h"
#include "runtime/compute_pool.h"

enum { PROMPT = 26, RESPONSE = 52, GROUP = 8 };

struct setup {
        const char *shape;
        uint32_t batch;
        unsigned cores;
        double seconds;
};

static double now(void)
{
        struct timespec time;
        (void)clock_gettime(CLOCK_MONOTONIC, &time);
        return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* All threads' time on a core: what a busy machine spoils less. */
static double cpu_now(void)
{
        struct timespec time;
        (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
        return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* --- the engine ---------------------------------------------------------------------------- */

static void submit_batch(struct scope_engine *engine, uint32_t batch, uint64_t round)
{
        uint32_t prompt[PROMPT];
        for (uint32_t i = 0; i < batch; i++) {
                uint64_t share = round * batch + i / GROUP;
                for (uint32_t t = 0; t < PROMPT; t++)
                        prompt[t] = 2 + (uint32_t)(scope_hash_pair(share, t) % 17);
                struct scope_engine_request request = { .id = i, .share = share, .prompt = prompt,
                        .prompt_count = PROMPT, .response_max = RESPONSE, .temperature = 1,
                        .top_p = 1, .seed = scope_hash_pair(round, i) };
                scope_assert(engine->class_->submit(engine, &request) == SCOPE_OK);
        }
}

static void run_batch(struct scope_engine *engine, struct scope_compute_pool *pool)
{
        struct scope_engine_job step;
        struct scope_engine_result result;
        while (engine->class_->begin_step(engine, &step) == SCOPE_OK) {
                struct scope_job job = { .run = step.run, .arg = step.arg, .cores = step.cores };
                engine->class_->end_step(engine, scope_compute_pool_run(pool, &job));
                while (engine->class_->collect(engine, &result))
                        scope_assert(result.token_count == RESPONSE);
        }
}

static void measure(const struct setup *setup, struct scope_compute_pool *pool,
        const struct scope_layout *layout, struct scope_buffer *weights,
        const struct scope_bench_machine *machine)
{
        struct scope_engine *engine;
        struct scope_engine_options options = { .layout = layout, .slots = setup->batch,
                .context_max = PROMPT + RESPONSE, .cores = (uint8_t)setup->cores };
        scope_assert(scope_engine_native_create(&options, &engine) == SCOPE_OK);
        scope_assert(engine->class_->publish(engine, weights, 1, false) == SCOPE_OK);
        submit_batch(engine, setup->batch, 0);
        run_batch(engine, pool);
        double begin = now(), cpu_begin = cpu_now(), best = 0;
        uint64_t rounds = 0;
        do {
                double from = now();
                submit_batch(engine, setup->batch, ++rounds);
                run_batch(engine, pool);
                double rate = setup->batch * (double)RESPONSE / (now() - from);
                best = rate > best ? rate : best;
        } while (now() - begin < setup->seconds);
        double rate = (double)rounds * setup->batch * RESPONSE / (now() - begin);
        double cpu_us = 1e6 * (cpu_now() - cpu_begin) / ((double)rounds * setup->batch * RESPONSE);
        double weight_flop = 2.0 * (double)layout->parameter_count;
        /* Ranks read the weights for up to 64 of their own rows at a time. */
        double passes = (setup->batch + 63) / 64 / (double)setup->batch;
        unsigned readers = setup->batch < setup->cores ? 1 : setup->cores;
        if (setup->batch / readers <= 64)
                passes = readers / (double)setup->batch;
        printf("{\"shape\": \"%s\", \"batch\": %u, \"cores\": %u, \"tokens_per_s\": %.0f, "
               "\"best_round\": %.0f, \"cpu_us_per_token\": %.2f, \"flop_share\": %.3f, "
               "\"byte_share\": %.3f}\n",
                setup->shape, setup->batch, setup->cores, rate, best, cpu_us,
                rate * weight_flop / machine->flop,
                rate * passes * 4.0 * (double)layout->parameter_count / machine->read);
        scope_engine_destroy(engine);
}

static struct scope_model_config config_of(const char *shape)
{
        struct scope_model_config config = scope_model_config_tiny();
        if (strcmp(shape, "mid") == 0) { /* too big for caches: 4 layers as in SmolLM2-135M */
                config.layers = 4;
                config.hidden = 576;
                config.heads = 9;
                config.kv_heads = 3;
                config.head_dim = 64;
                config.ffn = 1536;
                config.vocab = 4096;
        }
        config.eos_count = 0;
        return config;
}

int main(int argc, char **argv)
{
        static const struct option names[] = { { "shape", required_argument, NULL, 's' },
                { "batch", required_argument, NULL, 'b' },
                { "cores", required_argument, NULL, 'c' },
                { "seconds", required_argument, NULL, 't' }, { 0 } };
        static const uint32_t batches[] = { 1, 8, 64, 128 };
        static const int pins[] = { 0, 1 };
        struct setup setup = { .shape = "tiny", .cores = 2, .seconds = 1 };
        for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
                if (option == 's')
                        setup.shape = optarg;
                else if (option == 'b')
                        setup.batch = (uint32_t)atoi(optarg);
                else if (option == 'c')
                        setup.cores = (unsigned)atoi(optarg) == 1 ? 1 : 2;
                else if (option == 't')
                        setup.seconds = atof(optarg);
                else
                        return 2;
        }
        struct scope_compute_pool *pool;
        struct scope_compute_pool_options options = { .threads = setup.cores, .cores = pins,
                .spin = true };
        struct scope_model_config config = config_of(setup.shape);
        struct scope_layout *layout;
        struct scope_buffer *weights;
        scope_assert(scope_compute_pool_create(&options, &pool) == SCOPE_OK);
        scope_assert(scope_layout_create(&config, &layout) == SCOPE_OK);
        scope_assert(
                scope_buffer_create(layout->float_count * sizeof(float), &weights) == SCOPE_OK);
        scope_layout_randomise(layout, 1, scope_buffer_data(weights));
        struct scope_bench_machine machine = scope_bench_machine(pool, setup.cores);
        printf("{\"kernels\": \"%s\", \"gemm_gflops\": %.0f, \"read_gb_per_s\": %.1f}\n",
                scope_kernels_pick(SCOPE_DEVICE_CPU)->variant, machine.flop / 1e9,
                machine.read / 1e9);
        bool all = setup.batch == 0;
        for (size_t i = 0; i < (all ? sizeof batches / sizeof *batches : 1); i++) {
                setup.batch = all ? batches[i] : setup.batch;
                measure(&setup, pool, layout, weights, &machine);
        }
        scope_buffer_drop(weights);
        scope_layout_destroy(layout);
        scope_compute_pool_destroy(pool);
        return 0;
}
