/* score.c - log-probabilities of given tokens, and a process reward model's scores of steps.
 * Why: what the learner and the PRM actor see, for scripts: JSON lines in, JSON lines out.
 *   {"ids":[1,2,3]}                        -> {"logprobs":[null,-0.5,-2.25]}
 *   {"prompt":"2+2=","completion":"4"}     -> {"ids":[...],"completion_start":3,"logprobs":[...]}
 *   with --prm also                           "steps":["..."],"scores":[0.9,0.1],"verified":1
 * Lines that wait are scored together, a batch at a time, and answered in their order.
 * The PRM's steps are the completion's, split at blank lines, or those of "completions":[...] (as
 * TRL has them). A step past the PRM's context has the score null and is not verified. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "algorithm/localise.h"
#include "algorithm/steps.h"
#include "base/limits.h"
#include "base/text.h"
#include "cli/assembly.h"
#include "cli/commands.h"
#include "cli/jsonl.h"
#include "cli/options.h"
#include "models/engine.h"
#include "models/prm_input.h"
#include "models/tokenizer.h"
#include "runtime/compute_pool.h"

/* Of one batch; a line more may pass the last two. */
enum { BATCH_LINES = 64, BATCH_TOKENS = 16384, BATCH_BYTES = 16 << 20 };

struct score_flags {
        char model[512], prm[512];
        int64_t max_tokens, threads;
        double tau;
};
static struct score_flags flags;
static const struct scope_option rows[] = {
        SCOPE_TEXT_OPTION(score_flags, model, "", "a language model: a directory or .gguf file"),
        SCOPE_TEXT_OPTION(score_flags, prm, "", "a process reward model: a directory"),
        SCOPE_INT_OPTION(score_flags, max_tokens, "4096", 1, SCOPE_PROMPT_TOKENS_MAX,
                "longest line; at most the model's own context"),
        SCOPE_INT_OPTION(score_flags, threads, "0", 0, SCOPE_CORES_MAX, "0 = one a core"),
        SCOPE_FLOAT_OPTION(score_flags, tau, "0.5", 0, 1, "a step below it is wrong"),
        SCOPE_OPTION_END,
};

struct scorer {
        struct scope_model model;
        struct scope_tokenizer *tokenizer; /* NULL: its directory has none */
        struct scope_engine *engine;
        struct scope_compute_pool *pool; /* borrowed */
        uint64_t unspelled;           /* texts with a byte that no token spells */
        uint32_t context, used, *ids; /* [BATCH_TOKENS + context], used of them by this batch */
        float *values;                /* of ids */
        struct scope_engine_score items[BATCH_LINES];
        enum scope_prm_form form;
};

static void scorer_close(struct scorer *scorer)
{
        scope_engine_destroy(scorer->engine);
        scope_tokenizer_destroy(scorer->tokenizer);
        scope_model_fini(&scorer->model);
        free(scorer->ids);
        free(scorer->values);
}

static enum scope_err scorer_open(const char *path, struct scope_compute_pool *pool,
        struct scorer *scorer, struct scope_diag *diag)
{
        struct scope_diag unread = { "" };
        enum scope_err err = scope_model_load(path, &scorer->model, diag);
        if (err != SCOPE_OK)
                return err;
        struct scope_model_config *config = &scorer->model.layout->config;
        err = scope_tokenizer_load(path, &scorer->tokenizer, &unread);
        if (err != SCOPE_OK && err != SCOPE_ERR_NOT_FOUND)
                return scope_diag_set(diag, err, "%s", unread.text);
        if (err == SCOPE_OK && scope_tokenizer_size(scorer->tokenizer) < config->vocab)
                config->tokens_used = scope_tokenizer_size(scorer->tokenizer);
        scorer->pool = pool;
        scorer->context = (uint32_t)flags.max_tokens < config->positions_max
                ? (uint32_t)flags.max_tokens : config->positions_max;
        scorer->ids = calloc(BATCH_TOKENS + scorer->context, sizeof *scorer->ids);
        scorer->values = calloc(BATCH_TOKENS + scorer->context, sizeof *scorer->values);
        err = scope_assembly_frozen(&scorer->model, scorer->context,
                scope_compute_pool_threads(pool), &scorer->engine);
        if (scorer->ids == NULL || scorer->values == NULL)
                err = SCOPE_ERR_MEMORY;
        return err == SCOPE_OK ? SCOPE_OK
                               : scope_diag_set(diag, err, "%s: %s", path, scope_err_text(err));
}

/* The `count` ids that were just written become item `index`. */
static void scorer_add(struct scorer *scorer, uint32_t index, uint32_t count)
{
        scorer->items[index] = (struct scope_engine_score){ scorer->ids + scorer->used, count,
                scorer->values + scorer->used };
        scorer->used += count;
}

/* The values of the first `count` items; the next batch begins anew. */
static enum scope_err scorer_run(struct scorer *scorer, uint32_t count)
{
        struct scope_engine_job engine_job;
        bool nothing = scorer->engine == NULL || scorer->used == 0;
        scorer->used = 0;
        if (nothing)
                return SCOPE_OK;
        const struct scope_engine_class *class_ = scorer->engine->class_;
        enum scope_err err =
                class_->begin_score(scorer->engine, scorer->items, count, &engine_job);
        if (err != SCOPE_OK)
                return err;
        struct scope_job job = {
                .run = engine_job.run, .arg = engine_job.arg, .cores = engine_job.cores
        };
        err = scope_compute_pool_run(scorer->pool, &job);
        class_->end_step(scorer->engine, err);
        return err;
}

static void put_float(struct scope_text *text, float value)
{
        char number[32];
        int bytes = snprintf(number, sizeof number, "%.9g", (double)value);
        scope_json_raw(text, NULL, number, (size_t)bytes);
}

/* --- log-probabilities ----------------------------------------------------------------------- */

static enum scope_err encode(const struct scope_jsonl *reader, const json_t *object,
        const char *key, struct scorer *scorer, uint32_t *count, struct scope_diag *diag)
{
        const char *bytes;
        size_t length, added = 0;
        enum scope_err err = scope_jsonl_text(reader, object, key, &bytes, &length, diag);
        if (err != SCOPE_OK)
                return err;
        if (scorer->tokenizer == NULL)
                return scope_jsonl_bad(reader, SCOPE_ERR_NOT_FOUND, diag,
                        "\"%s\" needs a tokenizer, and %s has none; give \"ids\"", key,
                        flags.model);
        bool begins = *count == 0 && length > 0; /* with the BOS of models that want one */
        err = scope_tokenizer_as_library(
                (begins ? scope_tokenizer_encode_framed : scope_tokenizer_encode)(scorer->tokenizer,
                        bytes, length, scorer->ids + scorer->used + *count,
                        scorer->context - *count, &added),
                &scorer->unspelled);
        *count += (uint32_t)added;
        if (err == SCOPE_ERR_TOO_BIG)
                return scope_jsonl_bad(reader, err, diag, "longer than %u tokens", scorer->context);
        if (err != SCOPE_OK)
                return scope_jsonl_bad(reader, err, diag, "\"%s\": %s", key, scope_err_text(err));
        return SCOPE_OK;
}

/* The tokens of a line become item `index`; *ret_start is where its completion begins. */
static enum scope_err read_tokens(const struct scope_jsonl *reader, const json_t *object,
        struct scorer *scorer, uint32_t index, uint32_t *ret_start, struct scope_diag *diag)
{
        uint32_t count = 0;
        enum scope_err err;
        if (json_object_get(object, "ids") != NULL) {
                struct scope_jsonl_ids ids = { .ids = scorer->ids + scorer->used,
                        .max = scorer->context,
                        .vocab = scorer->model.layout->config.vocab };
                err = scope_jsonl_ids(reader, object, "ids", &ids, diag);
                count = (uint32_t)ids.count;
        } else {
                err = encode(reader, object, "prompt", scorer, &count, diag);
                *ret_start = count;
                if (err == SCOPE_OK)
                        err = encode(reader, object, "completion", scorer, &count, diag);
        }
        if (err == SCOPE_OK)
                scorer_add(scorer, index, count);
        return err;
}

static void put_tokens(const struct scope_engine_score *item, bool given, uint32_t start,
        struct scope_text *line)
{
        if (!given) {
                scope_json_open(line, "ids", '[');
                for (uint32_t i = 0; i < item->token_count; i++)
                        scope_json_uint(line, NULL, item->tokens[i]);
                scope_json_close(line, ']');
                scope_json_uint(line, "completion_start", start);
        }
        scope_json_open(line, "logprobs", '[');
        for (uint32_t i = 0; i < item->token_count; i++) {
                if (i == 0)
                        scope_json_raw(line, NULL, "null", 4);
                else
                        put_float(line, item->ret_values[i]);
        }
        scope_json_close(line, ']');
}

/* --- steps ----------------------------------------------------------------------------------- */

struct steps {
        struct scope_string at[SCOPE_STEPS_MAX];
        uint32_t count, marks[SCOPE_STEPS_MAX];
        float p[SCOPE_STEPS_MAX];
};

/* Texts of the line's object, which must outlive them. */
static enum scope_err split_steps(const struct scope_jsonl *reader, const json_t *object,
        struct steps *steps, struct scope_diag *diag)
{
        const json_t *list = json_object_get(object, "completions"), *text;
        const char *bytes;
        size_t length, i;
        uint32_t ends[SCOPE_STEPS_MAX];
        steps->count = 0;
        if (list == NULL) {
                enum scope_err err =
                        scope_jsonl_text(reader, object, "completion", &bytes, &length, diag);
                if (err != SCOPE_OK)
                        return err;
                struct scope_string all = { bytes, (uint32_t)length };
                steps->count = scope_steps_split(all, ends, SCOPE_STEPS_MAX);
                for (uint32_t step = 0; step < steps->count; step++)
                        steps->at[step] = scope_steps_text(all, ends, step);
                return SCOPE_OK;
        }
        if (!json_is_array(list) || json_array_size(list) > SCOPE_STEPS_MAX)
                return scope_jsonl_bad(reader, SCOPE_ERR_FORMAT, diag,
                        "\"completions\" is not a list of at most %d steps", SCOPE_STEPS_MAX);
        json_array_foreach(list, i, text)
        {
                if (!json_is_string(text))
                        return scope_jsonl_bad(reader, SCOPE_ERR_FORMAT, diag,
                                "\"completions\"[%zu] is not a text", i);
                steps->at[steps->count++] = (struct scope_string){ json_string_value(text),
                        (uint32_t)json_string_length(text) };
        }
        return SCOPE_OK;
}

/* The steps of a line, as the PRM reads them, become item `index`. */
static enum scope_err read_steps(const struct scope_jsonl *reader, const json_t *object,
        struct scorer *scorer, uint32_t index, struct steps *steps, struct scope_diag *diag)
{
        const char *problem;
        size_t bytes;
        enum scope_err err = scope_jsonl_text(reader, object, "prompt", &problem, &bytes, diag);
        if (err == SCOPE_OK)
                err = split_steps(reader, object, steps, diag);
        if (err != SCOPE_OK)
                return err;
        struct scope_prm_input input = { .ids = scorer->ids + scorer->used,
                .max = scorer->context, .marks = steps->marks };
        err = scope_prm_input_make(scorer->tokenizer, scorer->form,
                (struct scope_string){ problem, (uint32_t)bytes }, steps->at, steps->count, &input);
        if (err != SCOPE_OK)
                return scope_jsonl_bad(reader, err, diag, "%s", scope_err_text(err));
        scorer_add(scorer, index, input.count);
        return SCOPE_OK;
}

static void put_steps(const struct scope_engine_score *item, struct steps *steps,
        struct scope_text *line)
{
        scope_json_open(line, "steps", '[');
        for (uint32_t i = 0; i < steps->count; i++)
                scope_json_bytes(line, NULL, steps->at[i].at, steps->at[i].bytes);
        scope_json_close(line, ']');
        scope_json_open(line, "scores", '[');
        for (uint32_t i = 0; i < steps->count; i++) {
                bool scored = steps->marks[i] != UINT32_MAX;
                steps->p[i] = scored ? item->ret_values[steps->marks[i]] : 0;
                if (scored)
                        put_float(line, steps->p[i]);
                else
                        scope_json_raw(line, NULL, "null", 4);
        }
        scope_json_close(line, ']');
        scope_json_uint(line, "verified",
                scope_localise_verified(steps->p, steps->count, flags.tau));
}

/* --- the command ----------------------------------------------------------------------------- */

static enum scope_err open_both(struct scope_compute_pool *pool, struct scorer *model,
        struct scorer *prm, struct scope_diag *diag)
{
        enum scope_err err = SCOPE_OK;
        if (flags.model[0] != 0)
                err = scorer_open(flags.model, pool, model, diag);
        if (err == SCOPE_OK && flags.model[0] != 0 &&
                model->model.layout->config.head != SCOPE_HEAD_LANGUAGE)
                err = scope_diag_set(diag, SCOPE_ERR_UNSUPPORTED,
                        "%s: has no language head; give it as --prm", flags.model);
        if (err != SCOPE_OK || flags.prm[0] == 0)
                return err;
        err = scorer_open(flags.prm, pool, prm, diag);
        if (err != SCOPE_OK)
                return err;
        if (prm->tokenizer == NULL)
                return scope_diag_set(diag, SCOPE_ERR_NOT_FOUND, "%s: has no tokenizer", flags.prm);
        prm->form = scope_prm_form_of(prm->tokenizer, prm->model.layout->config.head);
        if (prm->form == SCOPE_PRM_FORM_NONE)
                return scope_diag_set(diag, SCOPE_ERR_UNSUPPORTED,
                        "%s: is no process reward model: a two-class head, with <extra_0> in its "
                        "tokenizer or for token classification, is needed",
                        flags.prm);
        return SCOPE_OK;
}

/* --- a batch --------------------------------------------------------------------------------- */

struct question {
        json_t *object; /* ours */
        uint32_t start;
        struct steps *steps; /* NULL without --prm */
};

struct batch {
        struct scope_jsonl *reader;
        struct scorer model, prm;
        struct question questions[BATCH_LINES];
        uint32_t count;
        bool ended;
        struct scope_text line;
};

static enum scope_err read_question(
        struct batch *batch, struct question *question, struct scope_diag *diag)
{
        const json_t *object;
        enum scope_err err = scope_jsonl_next(batch->reader, &object, diag);
        batch->ended = err != SCOPE_OK || object == NULL;
        if (batch->ended)
                return err;
        if (batch->model.engine != NULL)
                err = read_tokens(batch->reader, object, &batch->model, batch->count,
                        &question->start, diag);
        if (err != SCOPE_OK || batch->prm.engine == NULL)
                return err;
        if (question->steps == NULL)
                question->steps = malloc(sizeof *question->steps);
        if (question->steps == NULL)
                return SCOPE_ERR_MEMORY;
        return read_steps(
                batch->reader, object, &batch->prm, batch->count, question->steps, diag);
}

/* Reads what there is, up to a batch; waits for the first line only. */
static enum scope_err gather(struct batch *batch, struct scope_diag *diag)
{
        size_t bytes = 0, line_bytes;
        batch->count = 0;
        while (batch->count < BATCH_LINES && batch->model.used < BATCH_TOKENS &&
                batch->prm.used < BATCH_TOKENS && bytes < BATCH_BYTES) {
                struct question *question = &batch->questions[batch->count];
                if (batch->count > 0 && !scope_jsonl_ready(batch->reader))
                        break;
                enum scope_err err = read_question(batch, question, diag);
                if (err != SCOPE_OK || batch->ended)
                        return err;
                question->object = scope_jsonl_take(batch->reader, &line_bytes);
                bytes += line_bytes;
                batch->count++;
        }
        return SCOPE_OK;
}

static enum scope_err answer(struct batch *batch, struct scope_diag *diag)
{
        struct scope_text *line = &batch->line;
        enum scope_err err = scorer_run(&batch->model, batch->count);
        if (err == SCOPE_OK)
                err = scorer_run(&batch->prm, batch->count);
        for (uint32_t i = 0; i < batch->count; i++) {
                struct question *question = &batch->questions[i];
                bool given = json_object_get(question->object, "ids") != NULL;
                scope_json_open(line, NULL, '{');
                if (err == SCOPE_OK && batch->model.engine != NULL)
                        put_tokens(&batch->model.items[i], given, question->start, line);
                if (err == SCOPE_OK && batch->prm.engine != NULL)
                        put_steps(&batch->prm.items[i], question->steps, line);
                scope_json_close(line, '}');
                if (err == SCOPE_OK)
                        err = scope_jsonl_put(line, diag);
                json_decref(question->object);
        }
        return err;
}

static enum scope_err score_all(const char *path, struct scope_compute_pool *pool,
        struct scope_diag *diag)
{
        static struct batch batch; /* too big for a stack */
        enum scope_err err = open_both(pool, &batch.model, &batch.prm, diag);
        if (err == SCOPE_OK)
                err = scope_jsonl_open(path, &batch.reader, diag);
        while (err == SCOPE_OK && !batch.ended) {
                struct scope_diag bad = { "" }; /* what came before it is answered first */
                enum scope_err gathered = gather(&batch, &bad);
                err = answer(&batch, diag);
                if (err == SCOPE_OK && gathered != SCOPE_OK) {
                        *diag = bad;
                        err = gathered;
                }
        }
        scope_jsonl_unspelled(batch.model.unspelled);
        scope_text_fini(&batch.line);
        scope_jsonl_close(batch.reader);
        scorer_close(&batch.model);
        scorer_close(&batch.prm);
        for (uint32_t i = 0; i < BATCH_LINES; i++)
                free(batch.questions[i].steps);
        return err;
}

static enum scope_exit command(const struct scope_arguments *arguments)
{
        struct scope_compute_pool *pool = NULL;
        struct scope_diag diag = { "" };
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        unsigned threads = flags.threads != 0 ? (unsigned)flags.threads
                : online > 16 ? 16 : online < 1 ? 1 : (unsigned)online;
        if (arguments->word_count > 1 ||
                (flags.model[0] == 0 && flags.prm[0] == 0)) {
                (void)fprintf(stderr, "error: score needs --model DIR, --prm DIR or both, and "
                                      "reads one file or standard input\n");
                return SCOPE_EXIT_USAGE;
        }
        struct scope_compute_pool_options options = { .threads = threads };
        enum scope_err err = scope_compute_pool_create(&options, &pool);
        if (err == SCOPE_OK)
                err = score_all(
                        arguments->word_count > 0 ? arguments->words[0] : NULL, pool, &diag);
        if (err != SCOPE_OK)
                (void)fprintf(
                        stderr, "error: %s\n", diag.text[0] != 0 ? diag.text : scope_err_text(err));
        scope_compute_pool_destroy(pool);
        return err == SCOPE_OK ? SCOPE_EXIT_DONE : SCOPE_EXIT_PRECONDITION;
}

const struct scope_command scope_score_command = { .name = "score",
        .words = "[FILE]",
        .help = "log-probabilities of given tokens, PRM scores of steps; JSON lines in and out",
        .flags = rows,
        .base = &flags,
        .run = command };
