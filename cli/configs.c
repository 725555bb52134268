/* configs.c - `configs`: the configurations the program carries, and every key there is. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cli/load.h"
#include "cli/options.h"
#include "cli/output.h"

struct embedded {
        const char *name, *about, *text;
};

static const struct embedded configs[] = {
#include "cli/configs_table.inc"
        { NULL, NULL, NULL },
};

static struct configs_flags {
        bool keys;
} flags;
static const struct scope_option flag_rows[] = {
        SCOPE_BOOL_OPTION(configs_flags, keys, "false", "list every key with type, default, range"),
        SCOPE_OPTION_END,
};

static const struct embedded *find(const char *name)
{
        for (const struct embedded *config = configs; config->name != NULL; config++) {
                if (strcmp(config->name, name) == 0)
                        return config;
        }
        return NULL;
}

const char *scope_configs_carried(const char *path)
{
        static const char folder[] = "configs/", ending[] = ".toml";
        char name[64];
        size_t bytes = strlen(path);
        if (strncmp(path, folder, strlen(folder)) != 0 || bytes >= sizeof name ||
                bytes < strlen(folder) + strlen(ending) ||
                strcmp(path + bytes - strlen(ending), ending) != 0)
                return NULL;
        (void)snprintf(name, sizeof name, "%.*s", (int)(bytes - strlen(folder) - strlen(ending)),
                path + strlen(folder));
        const struct embedded *config = find(name);
        return config != NULL ? config->text : NULL;
}

static enum scope_exit copy(const struct embedded *config, const char *path)
{
        struct scope_diag diag;
        FILE *there = fopen(path, "rb");
        if (there != NULL) {
                (void)fclose(there);
                (void)fprintf(stderr, "error: %s: exists already\n", path);
                return SCOPE_EXIT_PRECONDITION;
        }
        if (scope_file_commit(path, config->text, strlen(config->text), &diag) != SCOPE_OK) {
                (void)fprintf(stderr, "error: %s\n", diag.text);
                return SCOPE_EXIT_PRECONDITION;
        }
        return SCOPE_EXIT_DONE;
}

static void list(bool json, struct scope_text *text)
{
        if (json)
                scope_json_open(text, NULL, '[');
        for (const struct embedded *config = configs; config->name != NULL; config++) {
                if (json) {
                        scope_json_open(text, NULL, '{');
                        scope_json_text(text, "name", config->name);
                        scope_json_text(text, "about", config->about);
                        scope_json_close(text, '}');
                } else {
                        scope_text_format(text, "%-16s %s\n", config->name, config->about);
                }
        }
        if (json)
                scope_json_close(text, ']');
}

static void list_keys(bool json, struct scope_text *text)
{
        static struct scope_pipeline_options options; /* only its layout is asked for */
        if (json)
                scope_config_json_keys(scope_load_sections(&options), text);
        else
                scope_config_print_keys(scope_load_sections(&options), text);
}

static enum scope_exit run(const struct scope_arguments *arguments)
{
        const char *verb = arguments->word_count > 0 ? arguments->words[0] : "list";
        bool one = strcmp(verb, "show") == 0 && arguments->word_count == 2;
        bool two = strcmp(verb, "copy") == 0 && arguments->word_count == 3;
        struct scope_text text = { 0 };
        if (one || two) {
                const struct embedded *config = find(arguments->words[1]);
                if (config == NULL) {
                        (void)fprintf(stderr,
                                "error: no configuration \"%s\"; `scope-runtime configs` lists "
                                "what there is\n",
                                arguments->words[1]);
                        return SCOPE_EXIT_USAGE;
                }
                if (two)
                        return copy(config, arguments->words[2]);
                scope_text_string(&text, config->text);
        } else if (strcmp(verb, "list") == 0 && arguments->word_count <= 1) {
                if (flags.keys)
                        list_keys(arguments->json, &text);
                else
                        list(arguments->json, &text);
                if (arguments->json)
                        return scope_output_json(&text);
        } else {
                (void)fprintf(stderr, "error: configs [list | show NAME | copy NAME FILE]\n");
                return SCOPE_EXIT_USAGE;
        }
        return scope_output(&text);
}

const struct scope_command scope_configs_command = {
        .name = "configs",
        .words = "[list | show NAME | copy NAME FILE]",
        .help = "configurations that come with the program, and every key they may hold",
        .flags = flag_rows,
        .base = &flags,
        .run = run,
};
