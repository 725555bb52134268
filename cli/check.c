/* check.c - `check` and `--dry-run`: what a configuration says, without starting anything. */
#include <stdio.h>

#include "base/text.h"
#include "cli/batch.h"
#include "cli/load.h"
#include "cli/options.h"
#include "cli/output.h"
#include "tasks/dataset.h"

static struct scope_pipeline_options options; /* too big for a stack */

/* What the data sets are, where they are here. Returns DONE, or PRECONDITION where one is here and
 * cannot be read. */
static enum scope_exit print_data(struct scope_text *text, bool json)
{
        const char *names[] = { options.data.train, options.data.eval };
        static const char *const keys[] = { "train", "eval" };
        const struct scope_dataset_keys wanted = { options.data.prompt_key, options.data.answer_key,
                options.data.solution_key };
        enum scope_exit result = SCOPE_EXIT_DONE;
        for (int i = 0; i < 2; i++) {
                struct scope_dataset *dataset = NULL;
                struct scope_diag diag = { "" };
                char words[800];
                enum scope_err err = scope_dataset_open_keyed(names[i], &wanted, &dataset, &diag);
                if (err == SCOPE_OK)
                        (void)snprintf(words, sizeof words, "%s, %llu problems", dataset->form,
                                (unsigned long long)dataset->count);
                else
                        (void)snprintf(words, sizeof words, "%s", diag.text);
                if (err != SCOPE_OK && err != SCOPE_ERR_NOT_FOUND) {
                        (void)fprintf(stderr, "error: data.%s: %s\n", keys[i], diag.text);
                        result = SCOPE_EXIT_PRECONDITION;
                }
                if (json)
                        scope_json_text(text, keys[i], words);
                else
                        scope_text_format(text, "# data.%s: %s\n", keys[i], words);
                scope_dataset_destroy(dataset);
        }
        return result;
}

static void print_json(
        const struct scope_config *config, enum scope_exit *data, struct scope_text *text)
{
        scope_json_open(text, NULL, '{');
        scope_json_open(text, "batch", '{');
        scope_batch_json(config, text);
        scope_json_close(text, '}');
        if (data != NULL) {
                scope_json_open(text, "data", '{');
                *data = print_data(text, true);
                scope_json_close(text, '}');
        }
        scope_config_json(config, "config", text);
        scope_json_close(text, '}');
}

static enum scope_exit check(const struct scope_arguments *arguments)
{
        struct scope_config *config;
        struct scope_text text = { 0 };
        enum scope_exit result = scope_load(arguments, &options, &config);
        if (result != SCOPE_EXIT_DONE)
                return result;
        if (arguments->json) {
                print_json(config, &result, &text);
        } else {
                scope_config_print(config, &text);
                result = print_data(&text, false);
        }
        scope_config_destroy(config);
        enum scope_exit printed =
                arguments->json ? scope_output_json(&text) : scope_output(&text);
        return printed != SCOPE_EXIT_DONE ? printed : result;
}

enum scope_exit scope_dry_run(const struct scope_arguments *arguments)
{
        struct scope_config *config;
        struct scope_text text = { 0 };
        enum scope_exit result = scope_load(arguments, &options, &config);
        if (result != SCOPE_EXIT_DONE)
                return result;
        if (arguments->json)
                print_json(config, NULL, &text);
        else
                scope_batch_print(config, &text);
        scope_config_destroy(config);
        return arguments->json ? scope_output_json(&text) : scope_output(&text);
}

const struct scope_command scope_check_command = {
        .name = "check",
        .words = "CONFIG...",
        .help = "check a configuration; print all of it, with where each value comes from",
        .takes = SCOPE_TAKES_CONFIG | SCOPE_TAKES_DRY_RUN,
        .run = check,
};
