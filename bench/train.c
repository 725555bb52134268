/* train.c - tokens per second of a training step, on one rank and on two, and its memory.
 * One step = zero, forward and backward of all rows, optimiser. --shape tiny: rows as in the hard
 * recipe, 26 prompt tokens and about 52 of response. --shape smollm2: SmolLM2-135M, 8 rows of 512
 * tokens, every token predicted. The figure is the best of --repeats, since the machine is
 * shared. */
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/rng.h"
#include "base/text.h"
#include "kernels/kernels.h"
#include "models/comm.h"
#include "models/trainer.h"

enum { ROWS_MAX = 128, LENGTH_MAX = 512, RANKS_MAX = 2 };

static const struct shape {
        const char *name;
        struct scope_model_config config;
        uint32_t rows, prompt, length, vary; /* row i has length + i * 11 % vary tokens */
        uint32_t context, microbatch, repeats;
} shapes[] = {
        { .name = "tiny",
                .config = { .model_type = "llama",
                        .layers = 2,
                        .hidden = 96,
                        .heads = 3,
                        .kv_heads = 3,
                        .head_dim = 32,
                        .ffn = 256,
                        .vocab = 21,
                        .positions_max = 128,
                        .rope_theta = 10000.0f,
                        .rms_eps = 1e-6f },
                .rows = 128,
                .prompt = 26,
                .length = 64,
                .vary = 29,
                .context = 104,
                .microbatch = 1024,
                .repeats = 10 },
        { .name = "smollm2",
                .config = { .model_type = "llama",
                        .layers = 30,
                        .hidden = 576,
                        .heads = 9,
                        .kv_heads = 3,
                        .head_dim = 64,
                        .ffn = 1536,
                        .vocab = 49152,
                        .positions_max = 8192,
                        .rope_theta = 100000.0f,
                        .rms_eps = 1e-5f,
                        .tied = true },
                .rows = 8,
                .prompt = 1,
                .length = 512,
                .vary = 1,
                .context = 512,
                .microbatch = 1024,
                .repeats = 2 },
};

struct settings {
        const struct shape *shape;
        uint32_t microbatch, repeats, ranks; /* ranks 0 = one, then two */
        bool recompute, json;
};

struct work {
        struct scope_trainer *trainer;
        struct scope_row rows[ROWS_MAX];
        uint32_t tokens[ROWS_MAX][LENGTH_MAX];
        float logp[ROWS_MAX][LENGTH_MAX], entropy[ROWS_MAX][LENGTH_MAX];
        float coef[ROWS_MAX][LENGTH_MAX];
        uint32_t begin[RANKS_MAX + 1];
        uint32_t microbatch;
        uint32_t token_count;
};

struct gang_member {
        struct work *work;
        unsigned rank;
};

static double now(clockid_t clock)
{
        struct timespec at;
        (void)clock_gettime(clock, &at); /* always there on Linux */
        return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec;
}

/* Tiny: lengths 64..92, a mean of 78, as measured for the hard recipe. train_torch.py has the
 * same. */
static void fill_rows(struct work *work, const struct shape *shape)
{
        struct scope_rng rng = scope_rng_make(7);
        for (uint32_t i = 0; i < shape->rows; i++) {
                uint32_t count = shape->length + i * 11 % shape->vary;
                for (uint32_t j = 0; j < count; j++) {
                        work->tokens[i][j] = (uint32_t)scope_rng_below(&rng, shape->config.vocab);
                        work->coef[i][j] = (float)scope_rng_normal(&rng) / 6000.0f;
                }
                work->rows[i] = (struct scope_row){ .tokens = work->tokens[i],
                        .count = count,
                        .first = shape->prompt,
                        .temperature = 1.0f,
                        .logp = work->logp[i],
                        .entropy = work->entropy[i],
                        .coef = work->coef[i] };
                work->token_count += count;
        }
}

static void *run_rank(void *arg)
{
        const struct gang_member *member = arg;
        struct work *work = member->work;
        const unsigned rank = member->rank;
        float norm;
        scope_trainer_zero(work->trainer, rank);
        for (uint32_t i = work->begin[rank]; i < work->begin[rank + 1];) {
                uint32_t count = 0, tokens = 0;
                while (i + count < work->begin[rank + 1] &&
                        tokens + work->rows[i + count].count <= work->microbatch)
                        tokens += work->rows[i + count++].count;
                scope_assert(
                        scope_trainer_forward(work->trainer, rank, &work->rows[i], count) == 0);
                scope_assert(
                        scope_trainer_backward(work->trainer, rank, &work->rows[i], count) == 0);
                i += count;
        }
        scope_assert(scope_trainer_step(work->trainer, rank, 2e-4f, &norm) == SCOPE_OK);
        return NULL;
}

/* Of the best step. CPU seconds are of all ranks; who else runs hardly matters. The peak is of
 * resident memory since the program began, less what it had then and less weights and moments. */
struct cost {
        double seconds, cpu_seconds, extra_bytes;
};

/* A line of /proc/self/status, in bytes. */
static double status_bytes(const char *key)
{
        char line[128];
        double kilobytes = 0;
        FILE *file = fopen("/proc/self/status", "r");
        scope_assert(file != NULL);
        while (fgets(line, sizeof line, file) != NULL)
                if (strncmp(line, key, strlen(key)) == 0)
                        kilobytes = strtod(line + strlen(key), NULL);
        (void)fclose(file); /* read only */
        return 1024 * kilobytes;
}

static void create_trainer(struct work *work, const struct settings *settings,
        const struct scope_layout *layout, struct scope_comm *comm)
{
        const struct scope_trainer_options options = { .layout = layout,
                .comm = comm,
                .context_max = settings->shape->context,
                .microbatch_tokens = settings->microbatch,
                .recompute = settings->recompute ? SCOPE_RECOMPUTE_LAYER : SCOPE_RECOMPUTE_NONE,
                .lr = 2e-4f,
                .beta1 = 0.9f,
                .beta2 = 0.999f,
                .eps = 1e-8f,
                .weight_decay = 0.01f,
                .grad_clip = 1.0f };
        scope_assert(scope_trainer_create(&options, &work->trainer) == SCOPE_OK);
        scope_layout_randomise(layout, 1, scope_trainer_parameters(work->trainer));
        fill_rows(work, settings->shape);
        work->microbatch = settings->microbatch;
        scope_trainer_split(work->rows, settings->shape->rows, comm->size, work->begin);
}

static struct cost measure(
        const struct settings *settings, const struct scope_layout *layout, unsigned ranks)
{
        struct scope_comm *comm = NULL;
        struct work *work = calloc(1, sizeof *work);
        scope_assert(work != NULL);
        enum scope_err err =
                ranks == 1 ? scope_comm_one_create(&comm) : scope_comm_threads_create(ranks, &comm);
        scope_assert(err == SCOPE_OK);
        const double before = status_bytes("VmRSS:");
        create_trainer(work, settings, layout, comm);
        struct cost best = { INFINITY, INFINITY, 0 };
        for (unsigned i = 0; i <= settings->repeats; i++) {
                struct gang_member members[RANKS_MAX] = { { work, 0 }, { work, 1 } };
                pthread_t second;
                const double start = now(CLOCK_MONOTONIC);
                const double cpu_start = now(CLOCK_PROCESS_CPUTIME_ID);
                if (ranks == 2)
                        scope_assert(pthread_create(&second, NULL, run_rank, &members[1]) == 0);
                (void)run_rank(&members[0]);
                if (ranks == 2)
                        (void)pthread_join(second, NULL); /* created above, joined once */
                if (i > 0) {                              /* the first one warms up */
                        best.seconds = fmin(best.seconds, now(CLOCK_MONOTONIC) - start);
                        best.cpu_seconds =
                                fmin(best.cpu_seconds, now(CLOCK_PROCESS_CPUTIME_ID) - cpu_start);
                }
        }
        best.extra_bytes = status_bytes("VmHWM:") - before -
                           3.0 * sizeof(float) * (double)layout->float_count;
        scope_trainer_destroy(work->trainer);
        scope_comm_destroy(comm);
        free(work);
        return best;
}

static uint32_t row_tokens(const struct shape *shape)
{
        uint32_t tokens = 0;
        for (uint32_t i = 0; i < shape->rows; i++)
                tokens += shape->length + i * 11 % shape->vary;
        return tokens;
}

static void report(struct scope_text *text, const struct settings *settings, unsigned ranks,
        struct cost cost, double parameters)
{
        const double tokens = row_tokens(settings->shape);
        scope_json_open(text, NULL, '{');
        scope_json_uint(text, "ranks", ranks);
        scope_json_double(text, "seconds", cost.seconds);
        scope_json_double(text, "cpu_seconds", cost.cpu_seconds);
        scope_json_double(text, "tokens_per_second", tokens / cost.seconds);
        scope_json_double(text, "gflops_6n", 6e-9 * parameters * tokens / cost.seconds);
        scope_json_double(text, "extra_bytes", cost.extra_bytes);
        scope_json_close(text, '}');
}

static bool parse(int argc, char **argv, struct settings *ret_settings)
{
        struct settings settings = { .shape = &shapes[0] };
        for (int i = 1; i < argc; i++) {
                const bool more = i + 1 < argc;
                if (strcmp(argv[i], "--json") == 0) {
                        settings.json = true;
                } else if (strcmp(argv[i], "--recompute") == 0) {
                        settings.recompute = true;
                } else if (strcmp(argv[i], "--repeats") == 0 && more) {
                        settings.repeats = (uint32_t)strtoul(argv[++i], NULL, 10);
                } else if (strcmp(argv[i], "--microbatch") == 0 && more) {
                        settings.microbatch = (uint32_t)strtoul(argv[++i], NULL, 10);
                } else if (strcmp(argv[i], "--ranks") == 0 && more) {
                        settings.ranks = (uint32_t)strtoul(argv[++i], NULL, 10);
                } else if (strcmp(argv[i], "--shape") == 0 && more) {
                        settings.shape = &shapes[strcmp(argv[++i], "tiny") == 0 ? 0 : 1];
                        if (strcmp(argv[i], settings.shape->name) != 0)
                                return false;
                } else {
                        return false;
                }
        }
        if (settings.repeats == 0)
                settings.repeats = settings.shape->repeats;
        if (settings.microbatch == 0)
                settings.microbatch = settings.shape->microbatch;
        *ret_settings = settings;
        return settings.ranks <= RANKS_MAX;
}

int main(int argc, char **argv)
{
        struct settings settings;
        if (!parse(argc, argv, &settings)) {
                (void)fprintf(stderr, "usage: train [--json] [--shape tiny|smollm2] [--ranks 1|2] "
                                      "[--repeats N] [--microbatch TOKENS] [--recompute]\n");
                return 2;
        }
        struct scope_layout *layout = NULL;
        scope_assert(scope_layout_create(&settings.shape->config, &layout) == SCOPE_OK);
        const struct scope_kernels *kernels = scope_kernels_pick(SCOPE_DEVICE_CPU);
        scope_assert(kernels != NULL);
        const uint32_t tokens = row_tokens(settings.shape);
        struct scope_text text = { 0 };
        scope_json_open(&text, NULL, '{');
        scope_json_text(&text, "kernels", kernels->name);
        scope_json_text(&text, "variant", kernels->variant);
        scope_json_text(&text, "shape", settings.shape->name);
        scope_json_uint(&text, "parameters", layout->parameter_count);
        scope_json_uint(&text, "rows", settings.shape->rows);
        scope_json_uint(&text, "tokens", tokens);
        scope_json_open(&text, "results", '[');
        for (unsigned ranks = 1; ranks <= RANKS_MAX; ranks++) {
                if (settings.ranks != 0 && settings.ranks != ranks)
                        continue;
                struct cost cost = measure(&settings, layout, ranks);
                report(&text, &settings, ranks, cost, (double)layout->parameter_count);
                if (!settings.json)
                        printf("%s %s, %u rank(s): %.1f ms a step (CPU %.1f ms), %.0f tokens/s, "
                               "%.0f MB above weights and moments\n",
                                kernels->name, kernels->variant, ranks, 1e3 * cost.seconds,
                                1e3 * cost.cpu_seconds, tokens / cost.seconds,
                                1e-6 * cost.extra_bytes);
        }
        scope_json_close(&text, ']');
        scope_json_close(&text, '}');
        if (settings.json)
                printf("%s\n", text.bytes);
        scope_text_fini(&text);
        scope_layout_destroy(layout);
        return 0;
}
