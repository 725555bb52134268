#include "cli/sampling.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/text.h"
#include "cli/jsonl.h"
#include "models/prompt_format.h"
#include "models/tokenizer.h"
#include "runtime/compute_pool.h"
#include "tasks/dataset.h"

enum scope_err scope_sampling_problem(const struct scope_assembly *assembly,
        const struct scope_dataset *data, uint64_t index, struct scope_arena *arena,
        uint32_t *ret_tokens, size_t max, size_t *ret_count, struct scope_problem *ret_problem,
        uint64_t *unspelled, struct scope_diag *diag)
{
        struct scope_diag words = { "" };
        enum scope_err err = scope_dataset_get(data, index, arena, ret_problem);
        if (err == SCOPE_OK)
                err = scope_tokenizer_as_library(
                        scope_prompt_format_encode(assembly->prompt_format, assembly->tokenizer,
                                ret_problem->text, ret_problem->messages, ret_tokens, max,
                                ret_count, &words),
                        unspelled);
        if (err == SCOPE_OK && *ret_count == 0)
                err = SCOPE_ERR_FORMAT;
        if (err != SCOPE_OK)
                return scope_diag_set(diag, err,
                        "problem %" PRIu64 ": %.400s (rollout.max_prompt = %zu tokens)", index,
                        words.text[0] != 0 ? words.text : scope_err_text(err), max);
        return SCOPE_OK;
}

static enum scope_err submit_problem(const struct scope_sampling *sampling, uint64_t problem,
        struct scope_arena *arena, uint32_t *tokens, uint64_t *unspelled, struct scope_diag *diag)
{
        const struct scope_rollout_options *options = &sampling->assembly->options->rollout;
        struct scope_problem record;
        size_t count = 0;
        scope_arena_reset(arena);
        enum scope_err err = scope_sampling_problem(sampling->assembly, sampling->data, problem,
                arena, tokens, (size_t)options->max_prompt, &count, &record, unspelled, diag);
        for (uint32_t sample = 0; sample < sampling->samples && err == SCOPE_OK; sample++) {
                struct scope_engine_request request = {
                        .id = (problem - sampling->first_problem) * sampling->samples + sample,
                        .share = problem,
                        .prompt = tokens,
                        .prompt_count = (uint32_t)count,
                        .response_max = (uint32_t)options->max_response,
                        .temperature = (float)sampling->temperature,
                        .top_p = (float)sampling->top_p,
                        .seed = sampling->seed_of(sampling->seed, problem, sample),
                };
                err = sampling->engine->class_->submit(sampling->engine, &request);
                if (err != SCOPE_OK)
                        (void)scope_diag_set(
                                diag, err, "the engine refused a sample: %s", scope_err_text(err));
        }
        return err;
}

/* One engine step on the pool; finished samples go to the callback. */
static enum scope_err step(
        const struct scope_sampling *sampling, struct scope_text *text, struct scope_diag *diag)
{
        struct scope_engine *engine = sampling->engine;
        struct scope_engine_job engine_job;
        struct scope_engine_result result;
        enum scope_err err = engine->class_->begin_step(engine, &engine_job);
        if (err == SCOPE_OK) {
                struct scope_job job = {
                        .run = engine_job.run, .arg = engine_job.arg, .cores = engine_job.cores
                };
                err = scope_compute_pool_run(sampling->pool, &job);
                engine->class_->end_step(engine, err);
        }
        if (err != SCOPE_OK)
                return scope_diag_set(diag, err, "decoding failed: %s", scope_err_text(err));
        while (engine->class_->collect(engine, &result)) {
                scope_text_clear(text);
                scope_tokenizer_decode(sampling->assembly->tokenizer, result.tokens,
                        result.token_count, true, text);
                struct scope_string string = { text->bytes != NULL ? text->bytes : "",
                        (uint32_t)text->count };
                sampling->sampled(sampling->context,
                        sampling->first_problem + result.id / sampling->samples,
                        (uint32_t)(result.id % sampling->samples), &result, string);
        }
        return SCOPE_OK;
}

enum scope_err scope_sampling_run(const struct scope_sampling *sampling, struct scope_diag *diag)
{
        struct scope_text text = { 0 };
        struct scope_arena arena = { 0 };
        uint64_t next = 0, unspelled = 0;
        uint32_t *tokens =
                malloc((size_t)sampling->assembly->options->rollout.max_prompt * sizeof *tokens);
        enum scope_err err = tokens == NULL ? SCOPE_ERR_MEMORY : scope_arena_init(&arena, 1 << 20);
        while (err == SCOPE_OK) {
                struct scope_engine_stats stats = sampling->engine->class_->stats(sampling->engine);
                if (next < sampling->problems && stats.running + stats.waiting < 2 * stats.slots) {
                        err = submit_problem(sampling, sampling->first_problem + next++, &arena,
                                tokens, &unspelled, diag);
                        continue;
                }
                if (stats.running + stats.waiting == 0)
                        break;
                err = step(sampling, &text, diag);
        }
        scope_jsonl_unspelled(unspelled);
        free(tokens);
        scope_arena_fini(&arena);
        scope_text_fini(&text);
        return err;
}
