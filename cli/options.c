#include "cli/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cli/config_value.h"
#include "cli/nearest.h"

enum { FLAG_BYTES_MAX = 48 };

/* Options that every command knows. */
enum common {
        COMMON_SET,
        COMMON_NAME,
        COMMON_MAX_STEPS,
        COMMON_RESUME,
        COMMON_DRY_RUN,
        COMMON_JSON,
        COMMON_VERBOSE,
        COMMON_QUIET,
        COMMON_HELP,
        COMMON_VERSION,
};

static const struct common_option {
        const char *flag, *letter, *value, *help; /* value "[=STEP]": may be left out */
        unsigned takes;                           /* 0 = every command does */
} common_options[] = {
        [COMMON_SET] = { "--set", NULL, "a.b=c", "set one configuration key; may be repeated",
                SCOPE_TAKES_SET },
        [COMMON_NAME] = { "--name", NULL, "NAME", "name of the run and its directory",
                SCOPE_TAKES_NAME },
        [COMMON_MAX_STEPS] = { "--max-steps", NULL, "N", "stop after N steps",
                SCOPE_TAKES_MAX_STEPS },
        [COMMON_RESUME] = { "--resume", NULL, "[=STEP]",
                "go on from the last checkpoint, or from STEP's", SCOPE_TAKES_RESUME },
        [COMMON_DRY_RUN] = { "--dry-run", NULL, NULL, "say what would be done, and stop",
                SCOPE_TAKES_DRY_RUN },
        [COMMON_JSON] = { "--json", NULL, NULL, "print JSON on standard output", 0 },
        [COMMON_VERBOSE] = { "--verbose", "-v", NULL, "more on each step", 0 },
        [COMMON_QUIET] = { "--quiet", "-q", NULL, "warnings only", 0 },
        [COMMON_HELP] = { "--help", "-h", NULL, "this; after a command, what it takes", 0 },
        [COMMON_VERSION] = { "--version", NULL, NULL, "version of the program and its libraries",
                0 },
};
enum { COMMON_COUNT = sizeof common_options / sizeof common_options[0] };

/* "max_steps" to "--max-steps", "n" to "-n". */
static const char *flag_of(const struct scope_option *row, char *flag, size_t bytes)
{
        (void)snprintf(flag, bytes, "%s%s", row->key[1] == 0 ? "-" : "--", row->key);
        for (char *at = flag; *at != 0; at++) {
                if (*at == '_')
                        *at = '-';
        }
        return flag;
}

/* --- errors ----------------------------------------------------------------------------------- */

static enum scope_err unknown_option(
        const struct scope_command *command, const char *word, struct scope_diag *diag)
{
        char flag[FLAG_BYTES_MAX], best[FLAG_BYTES_MAX] = "";
        char written[64];
        (void)snprintf(written, sizeof written, "%.*s", (int)strcspn(word, "="), word);
        unsigned least = scope_edit_distance_max(written) + 1;
        for (int i = 0; i < COMMON_COUNT; i++) {
                unsigned distance = scope_edit_distance(written, common_options[i].flag);
                if (distance < least) {
                        least = distance;
                        (void)snprintf(best, sizeof best, "%s", common_options[i].flag);
                }
        }
        const struct scope_option *row = command != NULL ? command->flags : NULL;
        for (; row != NULL && row->key != NULL; row++) {
                unsigned distance =
                        scope_edit_distance(written, flag_of(row, flag, sizeof flag));
                if (distance < least) {
                        least = distance;
                        (void)snprintf(best, sizeof best, "%s", flag);
                }
        }
        if (best[0] != 0)
                return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "unknown option \"%s\"; did you mean \"%s\"?", written, best);
        return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                "unknown option \"%s\"; `scope-runtime %s%s--help` lists what there is", written,
                command != NULL ? command->name : "", command != NULL ? " " : "");
}

static enum scope_err unknown_command(const struct scope_command *const *commands,
        const char *word, struct scope_diag *diag)
{
        const char *best = NULL;
        unsigned least = scope_edit_distance_max(word) + 1;
        for (; *commands != NULL; commands++) {
                unsigned distance = scope_edit_distance(word, (*commands)->name);
                size_t count = strlen(word);
                if (strncmp((*commands)->name, word, count) == 0)
                        distance = (*commands)->name[count] != ' '; /* 0: the first of two words */
                if (distance < least) {
                        least = distance;
                        best = (*commands)->name;
                }
        }
        if (best != NULL)
                return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "unknown command \"%s\"; did you mean \"%s\"?", word, best);
        return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                "unknown command \"%s\"; `scope-runtime --help` lists what there is", word);
}

/* --- the command ------------------------------------------------------------------------------ */

/* The command whose words stand at argv[0..]; *ret_used says how many they are. */
static const struct scope_command *find_command(const struct scope_command *const *commands,
        int count, char *const *argv, int *ret_used)
{
        const struct scope_command *found = NULL;
        *ret_used = 0;
        for (; *commands != NULL; commands++) {
                const char *space = strchr((*commands)->name, ' ');
                size_t first = space != NULL ? (size_t)(space - (*commands)->name)
                                             : strlen((*commands)->name);
                if (strncmp(argv[0], (*commands)->name, first) != 0 || argv[0][first] != 0)
                        continue;
                if (space == NULL && *ret_used == 0) {
                        found = *commands;
                        *ret_used = 1;
                } else if (space != NULL && count > 1 && strcmp(argv[1], space + 1) == 0) {
                        found = *commands;
                        *ret_used = 2;
                }
        }
        return found;
}

/* What a first word means: a command, or a configuration for "run". */
static enum scope_err take_command(const struct scope_command *const *commands, int count,
        char *const *argv, struct scope_arguments *arguments, int *ret_used,
        struct scope_diag *diag)
{
        static char run[] = "run"; /* argv is not const */
        char *const run_words[] = { run };
        int used;
        arguments->command = find_command(commands, count, argv, ret_used);
        if (arguments->command == NULL) {
                if (strpbrk(argv[0], "./") == NULL)
                        return unknown_command(commands, argv[0], diag);
                arguments->command = find_command(commands, 1, run_words, &used);
                if (arguments->command == NULL)
                        return SCOPE_OK; /* a configuration, and nobody to run it */
        }
        const struct scope_option *row = arguments->command->flags;
        for (; row != NULL && row->key != NULL; row++) {
                enum scope_err err = row->standard != NULL
                        ? scope_option_parse(row, arguments->command->base, row->standard, NULL)
                        : SCOPE_OK;
                scope_assert(err == SCOPE_OK); /* a default its own row refuses is our bug */
        }
        return SCOPE_OK;
}

/* --- options ---------------------------------------------------------------------------------- */

static enum scope_err read_count(
        const char *flag, const char *words, int64_t *ret_number, struct scope_diag *diag)
{
        char *end;
        errno = 0;
        long long number = strtoll(words, &end, 10);
        if (end == words || *end != 0 || errno != 0 || number < 0)
                return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "%s wants a whole number from 0 on, not \"%.40s\"", flag, words);
        *ret_number = number;
        return SCOPE_OK;
}

static enum scope_err take_common(enum common which, const char *value,
        struct scope_arguments *arguments, struct scope_diag *diag)
{
        switch (which) {
        case COMMON_SET:
                if (arguments->set_count == SCOPE_WORDS_MAX)
                        return scope_diag_set(diag, SCOPE_ERR_ARGUMENT, "too many --set");
                arguments->sets[arguments->set_count++] = value;
                break;
        case COMMON_NAME:
                arguments->name = value;
                break;
        case COMMON_MAX_STEPS:
                return read_count("--max-steps", value, &arguments->max_steps, diag);
        case COMMON_RESUME:
                arguments->resume = SCOPE_RESUME_LATEST;
                if (value != NULL)
                        return read_count("--resume", value, &arguments->resume, diag);
                break;
        case COMMON_DRY_RUN:
                arguments->dry_run = true;
                break;
        case COMMON_JSON:
                arguments->json = true;
                break;
        case COMMON_VERBOSE:
                arguments->verbose = true;
                break;
        case COMMON_QUIET:
                arguments->quiet = true;
                break;
        case COMMON_HELP:
                arguments->help = true;
                break;
        case COMMON_VERSION:
                arguments->version = true;
                break;
        }
        return SCOPE_OK;
}

/* One option at argv[0], its value perhaps at argv[1]. */
struct taken {
        const char *flag;  /* without "=value" */
        size_t flag_bytes;
        const char *value; /* behind "=", or NULL */
};

static bool is_flag(const struct taken *taken, const char *flag)
{
        return flag != NULL && strlen(flag) == taken->flag_bytes &&
                memcmp(flag, taken->flag, taken->flag_bytes) == 0;
}

/* Completes `taken` with the next word where a value must follow; counts the words used. */
static enum scope_err need_value(
        struct taken *taken, int count, char *const *argv, int *ret_used, struct scope_diag *diag)
{
        *ret_used = 1;
        if (taken->value != NULL)
                return SCOPE_OK;
        if (count < 2)
                return scope_diag_set(diag, SCOPE_ERR_ARGUMENT, "%s wants a value", argv[0]);
        taken->value = argv[1];
        *ret_used = 2;
        return SCOPE_OK;
}

static enum scope_err take_own(const struct scope_command *command,
        const struct scope_option *row, struct taken *taken, int count, char *const *argv,
        int *ret_used, struct scope_diag *diag)
{
        struct scope_diag inner = { "" };
        enum scope_err err = SCOPE_OK;
        *ret_used = 1;
        if (row->type == SCOPE_OPTION_BOOL && taken->value == NULL)
                taken->value = "true";
        else
                err = need_value(taken, count, argv, ret_used, diag);
        if (err != SCOPE_OK)
                return err;
        if (scope_option_parse(row, command->base, taken->value, &inner) != SCOPE_OK)
                return scope_diag_set(diag, SCOPE_ERR_ARGUMENT, "%.*s %s",
                        (int)taken->flag_bytes, taken->flag, inner.text);
        return SCOPE_OK;
}

static enum scope_err take_option(int count, char *const *argv, struct scope_arguments *arguments,
        unsigned *given, int *ret_used, struct scope_diag *diag)
{
        struct taken taken = { .flag = argv[0], .flag_bytes = strcspn(argv[0], "=") };
        char flag[FLAG_BYTES_MAX];
        if (argv[0][taken.flag_bytes] == '=')
                taken.value = argv[0] + taken.flag_bytes + 1;
        *ret_used = 1;
        for (int i = 0; i < COMMON_COUNT; i++) {
                const struct common_option *option = &common_options[i];
                if (!is_flag(&taken, option->flag) && !is_flag(&taken, option->letter))
                        continue;
                enum scope_err err = SCOPE_OK;
                *given |= option->takes;
                if (option->value == NULL && taken.value != NULL)
                        err = scope_diag_set(diag, SCOPE_ERR_ARGUMENT, "%s takes no value",
                                option->flag);
                else if (option->value != NULL && option->value[0] != '[')
                        err = need_value(&taken, count, argv, ret_used, diag);
                return err != SCOPE_OK
                        ? err
                        : take_common((enum common)i, taken.value, arguments, diag);
        }
        const struct scope_command *command = arguments->command;
        const struct scope_option *row = command != NULL ? command->flags : NULL;
        for (; row != NULL && row->key != NULL; row++) {
                if (is_flag(&taken, flag_of(row, flag, sizeof flag)))
                        return take_own(command, row, &taken, count, argv, ret_used, diag);
        }
        return unknown_option(command, argv[0], diag);
}

/* An option without effect is a mistake of whoever gave it. */
static enum scope_err check_taken(
        const struct scope_command *command, unsigned given, struct scope_diag *diag)
{
        for (int i = 0; command != NULL && i < COMMON_COUNT; i++)
                if ((common_options[i].takes & given & ~command->takes) != 0)
                        return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                                "\"%s\" has no use for %s; `scope-runtime %s --help` lists what "
                                "it takes",
                                command->name, common_options[i].flag, command->name);
        return SCOPE_OK;
}

enum scope_err scope_arguments_parse(int argc, char *const *argv,
        const struct scope_command *const *commands, struct scope_arguments *ret_arguments,
        struct scope_diag *diag)
{
        struct scope_arguments arguments = { .max_steps = -1, .resume = SCOPE_RESUME_NO };
        bool options_over = false;
        unsigned given = 0; /* enum scope_takes */
        int used = 1;
        for (int i = 1; i < argc; i += used) {
                enum scope_err err = SCOPE_OK;
                used = 1;
                if (!options_over && strcmp(argv[i], "--") == 0) {
                        options_over = true;
                } else if (!options_over && argv[i][0] == '-' && argv[i][1] != 0) {
                        err = take_option(argc - i, argv + i, &arguments, &given, &used, diag);
                } else {
                        if (arguments.command == NULL && arguments.word_count == 0)
                                err = take_command(commands, argc - i, argv + i, &arguments,
                                        &used, diag);
                        else
                                used = 0;
                        if (err == SCOPE_OK && used == 0) { /* no command: a word */
                                if (arguments.word_count == SCOPE_WORDS_MAX)
                                        return scope_diag_set(
                                                diag, SCOPE_ERR_ARGUMENT, "too many words");
                                arguments.words[arguments.word_count++] = argv[i];
                                used = 1;
                        }
                }
                if (err != SCOPE_OK)
                        return err;
        }
        *ret_arguments = arguments;
        return arguments.help || arguments.version ? SCOPE_OK
                                                   : check_taken(arguments.command, given, diag);
}

/* --- help ------------------------------------------------------------------------------------- */

static void help_flags(const struct scope_command *command, struct scope_text *text)
{
        char flag[FLAG_BYTES_MAX], left[96];
        struct scope_text range = { .limit = 256 };
        const struct scope_option *row = command->flags;
        for (; row != NULL && row->key != NULL; row++) {
                (void)flag_of(row, flag, sizeof flag);
                (void)snprintf(left, sizeof left, "%s%s", flag,
                        row->type == SCOPE_OPTION_BOOL ? "" : " VALUE");
                scope_text_clear(&range);
                scope_option_print_range(row, &range);
                scope_text_format(text, "  %-22s %s%s%s", left, row->help,
                        range.count != 0 ? "; " : "", range.count != 0 ? range.bytes : "");
                if (row->standard != NULL && row->standard[0] != 0 &&
                        strcmp(row->standard, "\"\"") != 0 && row->type != SCOPE_OPTION_BOOL)
                        scope_text_format(text, " (default %s)", row->standard);
                scope_text_string(text, "\n");
        }
        scope_text_fini(&range);
}

void scope_arguments_help(const struct scope_command *const *commands,
        const struct scope_command *command, struct scope_text *text)
{
        if (command != NULL) {
                scope_text_format(text, "scope-runtime %s%s%s\n%s\n", command->name,
                        command->words[0] != 0 ? " " : "", command->words, command->help);
                if (command->flags != NULL)
                        scope_text_string(text, "\nIts options:\n");
                help_flags(command, text);
        } else {
                scope_text_string(text,
                        "scope-runtime CONFIG.toml [MORE.toml ...] [options]\n"
                        "scope-runtime COMMAND [words] [options]\n"
                        "Trains a language model with SCOPE: failed rollouts are cut at their "
                        "first wrong step,\na teacher writes the rest, and the policy learns from "
                        "both.\n\nCommands:\n");
                for (const struct scope_command *const *at = commands; *at != NULL; at++)
                        scope_text_format(text, "  %-22s %s\n", (*at)->name, (*at)->help);
        }
        scope_text_string(text, "\nOptions:\n");
        for (int i = 0; i < COMMON_COUNT; i++) {
                const struct common_option *option = &common_options[i];
                const char *value = option->value != NULL ? option->value : "";
                char left[64];
                if (command != NULL && (option->takes & ~command->takes) != 0)
                        continue;
                (void)snprintf(left, sizeof left, "%s%s%s%s%s",
                        option->letter != NULL ? option->letter : "",
                        option->letter != NULL ? ", " : "", option->flag,
                        value[0] != 0 && value[0] != '[' ? " " : "", value);
                scope_text_format(text, "  %-22s %s\n", left, option->help);
        }
        scope_text_string(text,
                "\nExit codes: 0 done, 1 the run failed, 2 bad configuration or usage, 3 something "
                "it needs\nis missing, 130 interrupted with a checkpoint written.\n");
}
