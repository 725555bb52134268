/* quickstart.c - `make quickstart`: warm-up, the SCOPE run, the same run as plain GRPO, both curves
 * side by side. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/config.h"
#include "cli/load.h"
#include "cli/options.h"
#include "cli/run.h"
#include "cli/show.h"

static struct scope_run_result results[2];

/* The user's --set come last: they win. */
static enum scope_exit run_arm(
        const struct scope_arguments *given, const char *arm, struct scope_run_result *ret_result)
{
        static struct scope_pipeline_options options; /* too big for a stack */
        struct scope_arguments arguments = *given;
        struct scope_config *config = NULL;
        char arm_set[64], name_set[96];
        (void)snprintf(arm_set, sizeof arm_set, "scope.arm=%s", arm);
        (void)snprintf(name_set, sizeof name_set, "run.name=%s-%s",
                given->name != NULL ? given->name : "quickstart", arm);
        if (arguments.word_count == 0)
                arguments.words[arguments.word_count++] = "configs/quickstart.toml";
        if (arguments.set_count + 2 > SCOPE_WORDS_MAX)
                return SCOPE_EXIT_USAGE;
        arguments.name = NULL;
        memmove(arguments.sets + 2, arguments.sets, arguments.set_count * sizeof arguments.sets[0]);
        arguments.sets[0] = arm_set;
        arguments.sets[1] = name_set;
        arguments.set_count += 2;
        enum scope_exit code = scope_load(&arguments, &options, &config);
        if (code != SCOPE_EXIT_DONE)
                return code;
        if (!given->quiet)
                (void)fprintf(stderr, "\n=== %s ===\n", arm);
        struct scope_run_request request = { .options = &options,
                .config = config,
                .resume = SCOPE_RESUME_NO,
                .quiet = given->quiet,
                .verbose = given->verbose,
                .replace = true };
        code = scope_run_execute(&request, ret_result);
        scope_config_destroy(config);
        return code;
}

static enum scope_exit command(const struct scope_arguments *arguments)
{
        static const char *const arms[] = { "scope", "grpo" };
        for (size_t i = 0; i < 2; i++) {
                enum scope_exit code = run_arm(arguments, arms[i], &results[i]);
                if (code != SCOPE_EXIT_DONE)
                        return code;
        }
        scope_show_curves(arms, results);
        if (arguments->json) {
                struct scope_text text = { 0 };
                scope_json_open(&text, NULL, '{');
                for (size_t i = 0; i < 2; i++)
                        scope_show_json(&results[i], arms[i], &text);
                scope_json_close(&text, '}');
                (void)puts(text.failed ? "{}" : text.bytes);
                scope_text_fini(&text);
        }
        return SCOPE_EXIT_DONE;
}

const struct scope_command scope_quickstart_command = { .name = "quickstart",
        .words = "[CONFIG...]",
        .help = "the whole story on this machine: warm-up, SCOPE and plain GRPO, side by side",
        .takes = SCOPE_TAKES_CONFIG,
        .run = command };
