/* score.c - log-probabilities of given tokens, and a process reward model's scores of steps.
 * Why: what the learner and the PRM actor see, for scripts: JSON lines in, JSON lines out.
 *   {"ids":[1,2,3]}                        -> {"logprobs":[null,-0.5,-2.25]}
 *   {"prompt":"2+2=","completion":"4"}     -> {"ids":[...],"completion_start":3,"logprobs":[...]}
 *   with --prm also                           "steps":["..."],"scores":[0.9,0.1],"verified":1
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
        uint32_t context, *ids;
        float *values;
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
        scorer->ids = calloc(scorer->context, sizeof *scorer->ids);
        scorer->values = calloc(scorer->context, sizeof *scorer->values);
        err = scope_assembly_frozen(&scorer->model, scorer->context,
                scope_compute_pool_threads(pool), &scorer->engine);
        if (scorer->ids == NULL || scorer->values == NULL)
                err = SCOPE_ERR_MEMORY;
        return err == SCOPE_OK ? SCOPE_OK
                               : scope_diag_set(diag, err, "%s: %s", path, scope_err_text(err));
}

/* scorer->values of the first `count` of scorer->ids. */
static enum scope_err scorer_run(struct scorer *scorer, uint32_t count)
{
        const struct scope_engine_class *class_ = scorer->engine->class_;
        struct scope_engine_score item = { scorer->ids, count, scorer->values };
        struct scope_engine_job engine_job;
        enum scope_err err = class_->begin_score(scorer->engine, &item, 1, &engine_job);
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
        err = (begins ? scope_tokenizer_encode_framed : scope_tokenizer_encode)(scorer->tokenizer,
                bytes, length, scorer->ids + *count, scorer->context - *count, &added);
        *count += (uint32_t)added;
        if (err == SCOPE_ERR_TOO_BIG)
                return scope_jsonl_bad(reader, err, diag, "longer than %u tokens", scorer->context);
        if (err != SCOPE_OK)
                return scope_jsonl_bad(reader, err, diag, "\"%s\": %s", key, scope_err_text(err));
        return SCOPE_OK;
}

static enum scope_err score_tokens(const struct scope_jsonl *reader, const json_t *object,
        struct scorer *scorer, struct scope_text *line, struct scope_diag *diag)
{
        bool given = json_object_get(object, "ids") != NULL;
        uint32_t count = 0, start = 0;
        enum scope_err err;
        if (given) {
                struct scope_jsonl_ids ids = { .ids = scorer->ids,
                        .max = scorer->context,
                        .vocab = scorer->model.layout->config.vocab };
                err = scope_jsonl_ids(reader, object, "ids", &ids, diag);
                count = (uint32_t)ids.count;
        } else {
                err = encode(reader, object, "prompt", scorer, &count, diag);
                start = count;
                if (err == SCOPE_OK)
                        err = encode(reader, object, "completion", scorer, &count, diag);
        }
        if (err == SCOPE_OK && count > 0)
                err = scorer_run(scorer, count);
        if (err != SCOPE_OK)
                return diag->text[0] != 0 ? err : scope_jsonl_bad(reader, err, diag, "%s",
                                                          scope_err_text(err));
        if (!given) {
                scope_json_open(line, "ids", '[');
                for (uint32_t i = 0; i < count; i++)
                        scope_json_uint(line, NULL, scorer->ids[i]);
                scope_json_close(line, ']');
                scope_json_uint(line, "completion_start", start);
        }
        scope_json_open(line, "logprobs", '[');
        for (uint32_t i = 0; i < count; i++) {
                if (i == 0)
                        scope_json_raw(line, NULL, "null", 4);
                else
                        put_float(line, scorer->values[i]);
        }
        scope_json_close(line, ']');
        return SCOPE_OK;
}

/* --- steps ----------------------------------------------------------------------------------- */

struct steps {
        struct scope_string at[SCOPE_STEPS_MAX];
        uint32_t count, marks[SCOPE_STEPS_MAX];
        float p[SCOPE_STEPS_MAX];
};

static enum scope_err read_steps(const struct scope_jsonl *reader, const json_t *object,
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

static void put_steps(const struct steps *steps, struct scope_text *line)
{
        scope_json_open(line, "steps", '[');
        for (uint32_t i = 0; i < steps->count; i++)
                scope_json_bytes(line, NULL, steps->at[i].at, steps->at[i].bytes);
        scope_json_close(line, ']');
        scope_json_open(line, "scores", '[');
        for (uint32_t i = 0; i < steps->count; i++) {
                if (steps->marks[i] == UINT32_MAX)
                        scope_json_raw(line, NULL, "null", 4);
                else
                        put_float(line, steps->p[i]);
        }
        scope_json_close(line, ']');
        scope_json_uint(line, "verified",
                scope_localise_verified(steps->p, steps->count, flags.tau));
}

static enum scope_err score_steps(const struct scope_jsonl *reader, const json_t *object,
        struct scorer *scorer, struct scope_text *line, struct scope_diag *diag)
{
        static struct steps steps; /* too big for a stack */
        const char *problem;
        size_t bytes;
        enum scope_err err = scope_jsonl_text(reader, object, "prompt", &problem, &bytes, diag);
        if (err == SCOPE_OK)
                err = read_steps(reader, object, &steps, diag);
        if (err != SCOPE_OK)
                return err;
        struct scope_prm_input input = { .ids = scorer->ids, .max = scorer->context,
                .marks = steps.marks };
        err = scope_prm_input_make(scorer->tokenizer, scorer->form,
                (struct scope_string){ problem, (uint32_t)bytes }, steps.at, steps.count, &input);
        if (err == SCOPE_OK && input.count > 0)
                err = scorer_run(scorer, input.count);
        if (err != SCOPE_OK)
                return scope_jsonl_bad(reader, err, diag, "%s", scope_err_text(err));
        for (uint32_t i = 0; i < steps.count; i++)
                steps.p[i] = steps.marks[i] != UINT32_MAX ? scorer->values[steps.marks[i]] : 0;
        put_steps(&steps, line);
        return SCOPE_OK;
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

static enum scope_err score_all(const char *path, struct scope_compute_pool *pool,
        struct scope_diag *diag)
{
        struct scorer model = { 0 }, prm = { 0 };
        struct scope_jsonl *reader = NULL;
        struct scope_text line = { 0 };
        const json_t *object = NULL;
        enum scope_err err = open_both(pool, &model, &prm, diag);
        if (err == SCOPE_OK)
                err = scope_jsonl_open(path, &reader, diag);
        while (err == SCOPE_OK) {
                err = scope_jsonl_next(reader, &object, diag);
                if (err != SCOPE_OK || object == NULL)
                        break;
                scope_json_open(&line, NULL, '{');
                if (model.engine != NULL)
                        err = score_tokens(reader, object, &model, &line, diag);
                if (err == SCOPE_OK && prm.engine != NULL)
                        err = score_steps(reader, object, &prm, &line, diag);
                scope_json_close(&line, '}');
                if (err == SCOPE_OK)
                        err = scope_jsonl_put(&line, diag);
        }
        scope_text_fini(&line);
        scope_jsonl_close(reader);
        scorer_close(&model);
        scorer_close(&prm);
        return err;
}

static enum scope_exit command(const struct scope_arguments *arguments)
{
        struct scope_compute_pool *pool = NULL;
        struct scope_diag diag = { "" };
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        unsigned threads = flags.threads != 0 ? (unsigned)flags.threads
                : online > 16 ? 16 : online < 1 ? 1 : (unsigned)online;
        if (arguments->word_count > 1 || arguments->set_count > 0 ||
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
