/* samples.c - what training will see: problems, token ids, steps, and that the reference answer is
 * rewarded. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "algorithm/grade.h"
#include "algorithm/steps.h"
#include "base/arena.h"
#include "base/limits.h"
#include "base/text.h"
#include "cli/assembly.h"
#include "cli/config.h"
#include "cli/jsonl.h"
#include "cli/load.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/sampling.h"
#include "models/prompt_format.h"
#include "tasks/dataset.h"

struct samples_flags {
        int64_t n;
};
static struct samples_flags flags;
static const struct scope_option rows[] = {
        SCOPE_INT_OPTION(samples_flags, n, "3", 1, 1000, "how many problems"),
        SCOPE_OPTION_END,
};

/* One problem as JSON: ids of the prompt, steps of the reference solution with their token ends,
 * its reward. */
static enum scope_err describe(const struct scope_assembly *assembly, uint64_t index,
        struct scope_arena *arena, struct scope_text *text, uint64_t *unspelled,
        struct scope_diag *diag)
{
        size_t max = (size_t)assembly->options->rollout.max_prompt, count = 0;
        uint32_t ends[SCOPE_STEPS_MAX];
        uint32_t *ids = scope_arena_take(arena, max * sizeof *ids);
        struct scope_problem problem;
        if (ids == NULL)
                return SCOPE_ERR_MEMORY;
        enum scope_err err = scope_sampling_problem(assembly, assembly->train, index, arena, ids,
                max, &count, &problem, unspelled, diag);
        if (err != SCOPE_OK)
                return err;
        scope_json_open(text, NULL, '{');
        scope_json_uint(text, "problem", index);
        scope_json_bytes(text, "text", problem.text.at, problem.text.bytes);
        scope_json_bytes(text, "gold", problem.gold.at, problem.gold.bytes);
        struct scope_text prompt = { 0 };
        err = scope_prompt_format_render(
                assembly->prompt_format, problem.text, problem.messages, &prompt, diag);
        scope_json_bytes(text, "prompt", prompt.bytes != NULL ? prompt.bytes : "", prompt.count);
        scope_text_fini(&prompt);
        if (err != SCOPE_OK)
                return err;
        scope_json_open(text, "ids", '[');
        for (size_t i = 0; i < count; i++)
                scope_json_uint(text, NULL, ids[i]);
        scope_json_close(text, ']');
        scope_json_open(text, "steps", '[');
        uint32_t steps = scope_steps_split(problem.solution, ends, SCOPE_STEPS_MAX);
        for (uint32_t i = 0; i < steps; i++) {
                struct scope_string step = scope_steps_text(problem.solution, ends, i);
                scope_json_bytes(text, NULL, step.at, step.bytes);
        }
        scope_json_close(text, ']');
        bool right = scope_grade_response(
                problem.gold, problem.solution, &assembly->options->grade, NULL)
                             .equal;
        scope_json_int(text, "reference_reward", right);
        scope_json_close(text, '}');
        return SCOPE_OK;
}

static enum scope_err print_plain(const struct scope_assembly *assembly, uint64_t index,
        struct scope_arena *arena, struct scope_text *text)
{
        struct scope_problem problem;
        uint32_t ends[SCOPE_STEPS_MAX];
        enum scope_err err = scope_dataset_get(assembly->train, index, arena, &problem);
        if (err != SCOPE_OK)
                return err;
        scope_text_format(text, "problem %" PRIu64 ": %.*s\n", index, (int)problem.text.bytes,
                problem.text.at);
        uint32_t steps = scope_steps_split(problem.solution, ends, SCOPE_STEPS_MAX);
        for (uint32_t i = 0; i < steps; i++) {
                struct scope_string step = scope_steps_text(problem.solution, ends, i);
                scope_text_format(text, "  step %2u  %.*s\n", i + 1, (int)step.bytes, step.at);
        }
        bool right = scope_grade_response(
                problem.gold, problem.solution, &assembly->options->grade, NULL)
                             .equal;
        scope_text_format(text, "  gold %.*s, reward of the reference %d\n",
                (int)problem.gold.bytes, problem.gold.at, right);
        return SCOPE_OK;
}

static enum scope_err show(const struct scope_assembly *assembly, bool json,
        struct scope_text *text, struct scope_diag *diag)
{
        struct scope_arena arena = { 0 };
        uint64_t count = assembly->train->count, unspelled = 0;
        enum scope_err err = scope_arena_init(&arena, 4 << 20);
        if (json) {
                scope_json_open(text, NULL, '{');
                scope_json_open(text, "samples", '[');
        }
        for (uint64_t i = 0; i < (uint64_t)flags.n && i < count && err == SCOPE_OK; i++) {
                scope_arena_reset(&arena);
                err = json ? describe(assembly, i, &arena, text, &unspelled, diag)
                           : print_plain(assembly, i, &arena, text);
        }
        if (json) {
                scope_json_close(text, ']');
                scope_json_close(text, '}');
        }
        scope_jsonl_unspelled(unspelled);
        scope_arena_fini(&arena);
        return err;
}

static enum scope_exit command(const struct scope_arguments *arguments)
{
        static struct scope_pipeline_options options; /* too big for a stack */
        struct scope_config *config = NULL;
        struct scope_assembly assembly = { 0 };
        struct scope_text text = { 0 };
        struct scope_diag diag = { "" };
        enum scope_exit code = scope_load(arguments, &options, &config);
        if (code != SCOPE_EXIT_DONE)
                return code;
        scope_config_destroy(config);
        if (options.warmup.path[0] != 0) /* the warmed policy has the built-in tokenizer */
                (void)snprintf(options.model.path, sizeof options.model.path, "builtin:tiny");
        enum scope_err err = scope_assembly_load(&assembly, &options, &diag);
        if (err == SCOPE_OK)
                err = show(&assembly, arguments->json, &text, &diag);
        scope_assembly_fini(&assembly);
        if (err == SCOPE_OK)
                return arguments->json ? scope_output_json(&text) : scope_output(&text);
        (void)fprintf(stderr, "error: %s\n", diag.text[0] != 0 ? diag.text : scope_err_text(err));
        scope_text_fini(&text);
        return SCOPE_EXIT_PRECONDITION;
}

const struct scope_command scope_samples_command = { .name = "samples",
        .words = "CONFIG...",
        .help = "a few problems as training sees them: ids, steps, reward of the reference",
        .flags = rows,
        .base = &flags,
        .takes = SCOPE_TAKES_CONFIG,
        .run = command };
