/* main.c - scope-runtime: reads the command line and hands over to one command. */
#include <stdio.h>

#include "cli/load.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/version.h"

static enum scope_exit version(bool json)
{
        struct scope_text text = { 0 };
        if (json) {
                scope_json_open(&text, NULL, '{');
                scope_version_json(&text);
                scope_json_close(&text, '}');
                return scope_output_json(&text);
        }
        scope_version_print(&text);
        return scope_output(&text);
}

static enum scope_exit dispatch(const struct scope_arguments *arguments)
{
        struct scope_text text = { 0 };
        if (arguments->version)
                return version(arguments->json);
        if (arguments->help) {
                scope_arguments_help(scope_commands, arguments->command, &text);
                return scope_output(&text);
        }
        if (arguments->dry_run && arguments->word_count > 0)
                return scope_dry_run(arguments);
        if (arguments->command == NULL) {
                scope_arguments_help(scope_commands, NULL, &text);
                (void)fputs(text.failed ? "error: out of memory\n" : text.bytes, stderr);
                scope_text_fini(&text);
                (void)fputs("error: name a configuration or a command\n", stderr);
                return SCOPE_EXIT_USAGE;
        }
        return arguments->command->run(arguments);
}

int main(int argc, char **argv)
{
        struct scope_arguments arguments;
        struct scope_diag diag = { "" };
        if (scope_arguments_parse(argc, argv, scope_commands, &arguments, &diag) != SCOPE_OK) {
                (void)fprintf(stderr, "error: %s\n", diag.text);
                return SCOPE_EXIT_USAGE;
        }
        return (int)dispatch(&arguments);
}
