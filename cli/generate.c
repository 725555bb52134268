/* generate.c - texts continued by a model, a JSON object a line:
 *   {"prompt": "..."} or {"ids": [...]}  ->  {"ids": [...], "text", "logprobs": [...], "finish"}
 * Answers come in the order of the questions, `samples` lines each; as many run together as there
 * are slots, and what runs together shows in no answer. */
#include <jansson.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/rng.h"
#include "base/text.h"
#include "cli/jsonl.h"
#include "cli/options.h"
#include "models/engine.h"
#include "models/hf_directory.h"
#include "models/tokenizer.h"
#include "runtime/compute_pool.h"
#include "schemas/records.h"

enum { THREADS_MAX = 64, STOPS_MAX = 16 };

struct generate_flags {
        char model[4096], stop[1024];
        double temperature, top_p;
        int64_t max_tokens, samples, seed, threads, slots, context;
        int dtype; /* enum scope_form */
        bool logprobs;
};
static struct generate_flags flags;
static const char *const dtypes[] = { "f32", "bf16", "int8", NULL };
static const struct scope_option rows[] = {
        SCOPE_TEXT_OPTION(generate_flags, model, "", "a Hugging Face directory or a .gguf"),
        SCOPE_FLOAT_OPTION(generate_flags, temperature, "0", 0, 100, "0 = greedy"),
        SCOPE_FLOAT_OPTION(generate_flags, top_p, "1", 0.01, 1, "nucleus; 1 = off"),
        SCOPE_TEXT_OPTION(generate_flags, stop, "",
                "ends a text where it would begin; several: a JSON list"),
        SCOPE_INT_OPTION(generate_flags, max_tokens, "128", 1, 32768, "of one answer"),
        SCOPE_INT_OPTION(generate_flags, samples, "1", 1, 64, "answers to each line"),
        SCOPE_INT_OPTION(generate_flags, seed, "0", 0, 1e15, "of the draws"),
        SCOPE_BOOL_OPTION(generate_flags, logprobs, "true", "of the tokens, in the answer"),
        SCOPE_INT_OPTION(generate_flags, threads, "2", 1, THREADS_MAX, "pinned, one a core"),
        SCOPE_INT_OPTION(generate_flags, slots, "32", 1, 1024, "texts decoded together"),
        SCOPE_INT_OPTION(generate_flags, context, "2048", 2, 65536, "tokens, prompt and answer"),
        SCOPE_ENUM_OPTION(generate_flags, dtype, "f32", dtypes, "what matrices are rounded to"),
        SCOPE_OPTION_END,
};

/* What --stop names. */
struct stops {
        json_t *list; /* owns the words; NULL: there is but one, or none */
        const char *words[STOPS_MAX];
        size_t count, longest; /* longest: bytes */
};

struct answer {
        struct scope_text line, tail; /* tail: of the text, where a stop is looked for */
        const struct stops *stops;
        const struct scope_tokenizer *tokenizer;
        bool ready;
};

struct work {
        struct scope_model model;
        struct scope_tokenizer *tokenizer;
        struct scope_jsonl *reader;
        struct scope_compute_pool *pool;
        struct scope_engine *engine;
        struct scope_jsonl_ids ids;
        struct stops stops;
        struct answer *answers; /* [window]: answer i in place i % window */
        uint64_t begun, told, lines, window;
        uint32_t samples_left;
        bool ended;
        struct scope_text text;
        uint64_t unspelled; /* prompts with a byte that no token spells */
};

static enum scope_err create_pool(struct work *work)
{
        int cores[THREADS_MAX];
        unsigned count = 0;
        cpu_set_t allowed;
        bool known = sched_getaffinity(0, sizeof allowed, &allowed) == 0;
        for (int cpu = 0; known && cpu < CPU_SETSIZE && count < flags.threads; cpu++)
                if (CPU_ISSET(cpu, &allowed))
                        cores[count++] = cpu;
        struct scope_compute_pool_options options = { .threads = (unsigned)flags.threads,
                .cores = count == flags.threads ? cores : NULL, .spin = true };
        return scope_compute_pool_create(&options, &work->pool);
}

static enum scope_err add_stop(struct stops *stops, const char *word, struct scope_diag *diag)
{
        size_t bytes = word != NULL ? strlen(word) : 0;
        if (bytes == 0 || stops->count == STOPS_MAX)
                return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "--stop: a JSON list wants 1 to %d texts, none of them empty", STOPS_MAX);
        stops->words[stops->count++] = word;
        stops->longest = bytes > stops->longest ? bytes : stops->longest;
        return SCOPE_OK;
}

/* A text as it stands, or a JSON list of texts, which can say "\n". */
static enum scope_err read_stops(struct stops *stops, struct scope_diag *diag)
{
        if (flags.stop[0] == 0)
                return SCOPE_OK;
        stops->list = json_loads(flags.stop, 0, NULL); /* objects and lists only */
        if (!json_is_array(stops->list))
                return add_stop(stops, flags.stop, diag);
        enum scope_err err = json_array_size(stops->list) > 0 ? SCOPE_OK
                : add_stop(stops, NULL, diag);
        for (size_t i = 0; err == SCOPE_OK && i < json_array_size(stops->list); i++)
                err = add_stop(stops, json_string_value(json_array_get(stops->list, i)), diag);
        return err;
}

static enum scope_err open_all(
        struct work *work, const struct scope_arguments *arguments, struct scope_diag *diag)
{
        struct scope_buffer *weights = NULL;
        enum scope_err err = scope_model_load(flags.model, &work->model, diag);
        if (err == SCOPE_OK)
                err = scope_tokenizer_load(flags.model, &work->tokenizer, diag);
        if (err == SCOPE_OK)
                err = scope_jsonl_open(arguments->word_count == 1 ? arguments->words[0] : NULL,
                        &work->reader, diag);
        if (err != SCOPE_OK)
                return err;
        uint32_t vocab = work->model.layout->config.vocab;
        uint32_t known = scope_tokenizer_size(work->tokenizer);
        size_t bytes = work->model.layout->float_count * sizeof(float);
        struct scope_engine_options options = { .layout = work->model.layout,
                .slots = (uint32_t)flags.slots, .context_max = (uint32_t)flags.context,
                .tokens_used = known < vocab ? known : vocab, .cores = (uint8_t)flags.threads,
                .weights = (enum scope_form)flags.dtype };
        work->window = 2 * (uint64_t)flags.slots;
        work->answers = calloc(work->window, sizeof *work->answers);
        work->ids = (struct scope_jsonl_ids){ .max = (size_t)flags.context, .vocab = vocab };
        work->ids.ids = malloc(work->ids.max * sizeof *work->ids.ids);
        if (work->answers == NULL || work->ids.ids == NULL)
                return SCOPE_ERR_MEMORY;
        if ((err = create_pool(work)) == SCOPE_OK)
                err = scope_engine_native_create(&options, &work->engine);
        if (err == SCOPE_OK)
                err = scope_buffer_create(bytes, &weights);
        if (err != SCOPE_OK)
                return err;
        memcpy(scope_buffer_data(weights), work->model.parameters, bytes);
        err = work->engine->class_->publish(work->engine, weights, 0, false);
        scope_buffer_drop(weights); /* the engine keeps its own reference */
        return err;
}

/* The prompt of a line, into work->ids. */
static enum scope_err read_prompt(
        struct work *work, const json_t *object, struct scope_diag *diag)
{
        const char *text;
        size_t bytes;
        if (json_object_get(object, "ids") != NULL)
                return scope_jsonl_ids(work->reader, object, "ids", &work->ids, diag);
        enum scope_err err = scope_jsonl_text(work->reader, object, "prompt", &text, &bytes, diag);
        if (err != SCOPE_OK)
                return err;
        err = scope_tokenizer_as_library(
                scope_tokenizer_encode_framed(work->tokenizer, text, bytes, work->ids.ids,
                        work->ids.max, &work->ids.count),
                &work->unspelled);
        return err == SCOPE_OK ? err : scope_jsonl_bad(work->reader, err, diag,
                "cannot be tokenized in --context %lld: %s", (long long)flags.context,
                scope_err_text(err));
}

/* Where the first of the stops begins in `text`; its end if none does. */
static size_t first_stop(const struct stops *stops, const struct scope_text *text)
{
        size_t end = text->count;
        for (size_t i = 0; text->bytes != NULL && i < stops->count; i++) {
                const char *word = stops->words[i];
                const char *at = memmem(text->bytes, text->count, word, strlen(word));
                if (at != NULL && (size_t)(at - text->bytes) < end)
                        end = (size_t)(at - text->bytes);
        }
        return end;
}

/* Whether the last token completes a stop. The tail holds what may still become one. */
static bool stop_found(void *context, const uint32_t *tokens, uint32_t count)
{
        struct answer *answer = context;
        struct scope_text *tail = &answer->tail;
        size_t kept = answer->stops->longest - 1;
        if (count == 1)
                scope_text_clear(tail);
        scope_tokenizer_decode(answer->tokenizer, tokens + count - 1, 1, true, tail);
        if (first_stop(answer->stops, tail) < tail->count)
                return true;
        if (tail->count > kept) {
                memmove(tail->bytes, tail->bytes + tail->count - kept, kept);
                tail->count = kept;
        }
        return false;
}

static enum scope_err submit(struct work *work, struct scope_diag *diag)
{
        struct answer *answer = &work->answers[work->begun % work->window];
        uint64_t room = work->ids.count < work->ids.max ? work->ids.max - work->ids.count : 0;
        if (work->ids.count == 0 || room == 0)
                return scope_jsonl_bad(work->reader, SCOPE_ERR_SHAPE, diag,
                        "a prompt of %zu tokens; it needs 1 to %zu: raise --context",
                        work->ids.count, work->ids.max - 1);
        uint64_t most = (uint64_t)flags.max_tokens;
        struct scope_engine_request request = { .id = work->begun, .share = work->lines,
                .prompt = work->ids.ids, .prompt_count = (uint32_t)work->ids.count,
                .response_max = (uint32_t)(most < room ? most : room),
                .temperature = (float)flags.temperature, .top_p = (float)flags.top_p,
                .seed = scope_hash_pair((uint64_t)flags.seed, work->begun),
                .stop = work->stops.count > 0 ? stop_found : NULL, .stop_context = answer };
        answer->tokenizer = work->tokenizer;
        answer->stops = &work->stops;
        enum scope_err err = work->engine->class_->submit(work->engine, &request);
        if (err == SCOPE_OK) {
                work->begun++;
                work->samples_left--;
        }
        return err;
}

/* Submits until the window is full, or no question waits. */
static enum scope_err fill(struct work *work, struct scope_diag *diag)
{
        const json_t *object = NULL;
        while (!work->ended && work->begun - work->told < work->window) {
                enum scope_err err = SCOPE_OK;
                if (work->samples_left == 0) {
                        if (work->begun > work->told && !scope_jsonl_ready(work->reader))
                                return SCOPE_OK; /* answer meanwhile */
                        err = scope_jsonl_next(work->reader, &object, diag);
                        work->ended = err == SCOPE_OK && object == NULL;
                        if (err != SCOPE_OK || work->ended)
                                return err;
                        if ((err = read_prompt(work, object, diag)) != SCOPE_OK)
                                return err;
                        work->samples_left = (uint32_t)flags.samples;
                        work->lines++;
                }
                if ((err = submit(work, diag)) != SCOPE_OK)
                        return err == SCOPE_ERR_AGAIN ? SCOPE_OK : err;
        }
        return SCOPE_OK;
}

/* The text, without the stop that ended it. */
static void write_text(struct work *work, const struct scope_engine_result *result)
{
        struct scope_text *text = &work->text;
        scope_text_clear(text);
        for (uint32_t i = 0; i < result->token_count; i++)
                scope_tokenizer_decode(work->tokenizer, result->tokens + i, 1, true, text);
        text->count = first_stop(&work->stops, text);
}

static void answer(struct work *work, const struct scope_engine_result *result)
{
        struct answer *answer = &work->answers[result->id % work->window];
        struct scope_text *line = &answer->line;
        write_text(work, result);
        scope_json_open(line, NULL, '{');
        scope_json_open(line, "ids", '[');
        for (uint32_t i = 0; i < result->token_count; i++)
                scope_json_uint(line, NULL, result->tokens[i]);
        scope_json_close(line, ']');
        scope_json_bytes(line, "text", work->text.bytes != NULL ? work->text.bytes : "",
                work->text.count);
        if (flags.logprobs) {
                scope_json_open(line, "logprobs", '[');
                for (uint32_t i = 0; i < result->token_count; i++)
                        scope_json_double(line, NULL, (double)result->logp[i]);
                scope_json_close(line, ']');
        }
        scope_json_text(line, "finish", result->finish == SCOPE_FINISH_STOP ? "stop" : "length");
        scope_json_close(line, '}');
        answer->ready = true;
}

static enum scope_err generate(struct work *work, struct scope_diag *diag)
{
        struct scope_engine_job step;
        struct scope_engine_result result;
        enum scope_err err = SCOPE_OK;
        for (;;) {
                enum scope_err bad = fill(work, diag); /* what came before it is answered first */
                work->ended = work->ended || bad != SCOPE_OK;
                err = err == SCOPE_OK ? bad : err;
                enum scope_err begun = work->engine->class_->begin_step(work->engine, &step);
                if (begun != SCOPE_OK)
                        return begun == SCOPE_ERR_AGAIN ? err : begun;
                struct scope_job job = { .run = step.run, .arg = step.arg, .cores = step.cores };
                enum scope_err ran = scope_compute_pool_run(work->pool, &job);
                work->engine->class_->end_step(work->engine, ran);
                if (ran != SCOPE_OK)
                        return ran;
                while (work->engine->class_->collect(work->engine, &result))
                        answer(work, &result);
                for (struct answer *next;
                        (next = &work->answers[work->told % work->window])->ready;
                        work->told++) {
                        next->ready = false;
                        if ((ran = scope_jsonl_put(&next->line, diag)) != SCOPE_OK)
                                return ran;
                }
        }
}

static enum scope_exit command(const struct scope_arguments *arguments)
{
        struct work work = { 0 };
        struct scope_diag diag = { "" };
        if (flags.model[0] == 0 || arguments->word_count > 1) {
                (void)fprintf(stderr, "error: give --model PATH, and at most one file to read\n");
                return SCOPE_EXIT_USAGE;
        }
        enum scope_err misused = read_stops(&work.stops, &diag), err = misused;
        if (err == SCOPE_OK)
                err = open_all(&work, arguments, &diag);
        if (err == SCOPE_OK)
                err = generate(&work, &diag);
        if (err != SCOPE_OK)
                (void)fprintf(stderr, "error: %s\n",
                        diag.text[0] != 0 ? diag.text : scope_err_text(err));
        scope_jsonl_unspelled(work.unspelled);
        scope_engine_destroy(work.engine);
        scope_compute_pool_destroy(work.pool);
        scope_jsonl_close(work.reader);
        scope_tokenizer_destroy(work.tokenizer);
        scope_model_fini(&work.model);
        for (uint64_t i = 0; work.answers != NULL && i < work.window; i++) {
                scope_text_fini(&work.answers[i].line);
                scope_text_fini(&work.answers[i].tail);
        }
        json_decref(work.stops.list);
        free(work.answers);
        free(work.ids.ids);
        scope_text_fini(&work.text);
        return err == SCOPE_OK ? SCOPE_EXIT_DONE
                : misused != SCOPE_OK ? SCOPE_EXIT_USAGE : SCOPE_EXIT_PRECONDITION;
}

const struct scope_command scope_generate_command = {
        .name = "generate",
        .words = "[FILE.jsonl]",
        .help = "continue prompts: JSON Lines in, JSON Lines out",
        .flags = rows,
        .base = &flags,
        .run = command,
};
