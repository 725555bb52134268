/* main.c - scope-runtime: reads the command line and hands over to one command. */
#include <stdio.h>

#include "cli/load.h"
#include "cli/options.h"
#include "cli/version.h"

static enum scope_exit show(struct scope_text *text, FILE *where, enum scope_exit result)
{
        bool failed = text->failed || fputs(text->bytes, where) == EOF || fflush(where) == EOF;
        scope_text_fini(text);
        return failed ? SCOPE_EXIT_PRECONDITION : result;
}

static enum scope_exit version(bool json)
{
        struct scope_text text = { 0 };
        if (json) {
                scope_json_open(&text, NULL, '{');
                scope_version_json(&text);
                scope_json_close(&text, '}');
                scope_text_string(&text, "\n");
        } else {
                scope_version_print(&text);
        }
        return show(&text, stdout, SCOPE_EXIT_DONE);
}

static enum scope_exit dispatch(const struct scope_arguments *arguments)
{
        struct scope_text text = { 0 };
        if (arguments->version)
                return version(arguments->json);
        if (arguments->help) {
                scope_arguments_help(scope_commands, arguments->command, &text);
                return show(&text, stdout, SCOPE_EXIT_DONE);
        }
        if (arguments->dry_run && arguments->word_count > 0)
                return scope_dry_run(arguments);
        if (arguments->command == NULL) {
                scope_arguments_help(scope_commands, NULL, &text);
                return show(&text, stderr, SCOPE_EXIT_USAGE);
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
