#include "cli/load.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "algorithm/arms.h"
#include "base/check.h"
#include "cli/options.h"

enum { SECTIONS_MAX = 64 };

#define CARRIED                                                                                    \
        "`scope-runtime configs` lists those that the program carries, `configs copy NAME FILE` "  \
        "writes one\n"

static const struct scope_option placement_rows[] = {
        SCOPE_TEXT_OPTION(scope_placement, role, NULL, "which actor: rollout, learner, prm, ..."),
        SCOPE_INT_OPTION(scope_placement, count, "1", 1, 512, "how many of it"),
        SCOPE_TEXT_OPTION(scope_placement, device, "\"cpu\"", "\"cpu:0-1\", \"cuda:4-6\""),
        SCOPE_TEXT_OPTION(scope_placement, as, "\"thread\"", "thread or process"),
        SCOPE_OPTION_END,
};

const struct scope_config_section *scope_load_sections(struct scope_pipeline_options *options)
{
        static struct scope_config_section sections[SECTIONS_MAX];
        size_t count = 0;
        memset(sections, 0, sizeof sections);
        for (const struct scope_option_section *from = scope_option_sections;
                from->section != NULL; from++) {
                scope_assert(count + 2 < SECTIONS_MAX);
                sections[count++] = (struct scope_config_section){
                        .name = from->section,
                        .rows = from->rows,
                        .base = (char *)options + from->offset,
                        .help = from->help,
                };
        }
        sections[count] = (struct scope_config_section){
                .name = "placement",
                .rows = placement_rows,
                .base = options->placement,
                .count = &options->placement_count,
                .count_max = SCOPE_PLACEMENTS_MAX,
                .stride = sizeof options->placement[0],
                .help = "who runs where",
        };
        return sections;
}

/* An arm is a name for other defaults: what a file or --set says still wins. */
static void apply_arm(struct scope_config *config, const char *name)
{
        char origin[64], words[160];
        const struct scope_arm *arm = scope_arm_find(name);
        if (arm == NULL) {
                struct scope_text known = { .limit = sizeof words };
                for (const struct scope_arm *each = scope_arms; each->name != NULL; each++)
                        scope_text_format(
                                &known, "%s%s", known.count != 0 ? " | " : "", each->name);
                (void)snprintf(words, sizeof words, "\"scope.arm\" is \"%.32s\", none of %s", name,
                        known.bytes != NULL ? known.bytes : "");
                scope_text_fini(&known);
                scope_config_report(config, "scope.arm", words);
                return;
        }
        (void)snprintf(origin, sizeof origin, "arm %s", name);
        for (const struct scope_arm_set *set = arm->sets; set->key != NULL; set++)
                (void)scope_config_preset(config, set->key, set->value, origin); /* reported */
}

static void apply_flags(
        struct scope_config *config, const struct scope_arguments *arguments)
{
        char text[512];
        if (arguments->name != NULL) {
                (void)snprintf(text, sizeof text, "run.name=%s", arguments->name);
                (void)scope_config_set(config, text);
        }
        if (arguments->max_steps >= 0) {
                (void)snprintf(
                        text, sizeof text, "run.steps=%lld", (long long)arguments->max_steps);
                (void)scope_config_set(config, text);
        }
}

enum scope_exit scope_load(const struct scope_arguments *arguments,
        struct scope_pipeline_options *options, struct scope_config **ret_config)
{
        if (arguments->word_count > 0)
                return scope_load_standard(arguments, options, ret_config);
        *ret_config = NULL;
        (void)fprintf(stderr, "error: no configuration file was named; " CARRIED);
        return SCOPE_EXIT_USAGE;
}

enum scope_exit scope_load_standard(const struct scope_arguments *arguments,
        struct scope_pipeline_options *options, struct scope_config **ret_config)
{
        struct scope_config *config = NULL;
        struct scope_diag diag = { "" };
        const char *key = "";
        enum scope_exit result = SCOPE_EXIT_USAGE;
        *ret_config = NULL;
        memset(options, 0, sizeof *options);
        if (scope_config_create(scope_load_sections(options), &config) != SCOPE_OK) {
                (void)fprintf(stderr, "error: out of memory\n");
                return SCOPE_EXIT_PRECONDITION;
        }
        for (uint32_t i = 0; i < arguments->word_count; i++) {
                const char *path = arguments->words[i], *carried = scope_configs_carried(path);
                if (carried != NULL && access(path, F_OK) != 0)
                        (void)scope_config_text(config, path, carried, strlen(carried));
                else if (scope_config_file(config, path) == SCOPE_ERR_NOT_FOUND)
                        result = SCOPE_EXIT_PRECONDITION;
        }
        for (uint32_t i = 0; i < arguments->set_count; i++)
                (void)scope_config_set(config, arguments->sets[i]); /* finish knows */
        apply_flags(config, arguments);
        apply_arm(config, options->scope.arm);
        if (scope_config_finish(config) == SCOPE_OK &&
                scope_pipeline_options_check(options, &key, &diag) != SCOPE_OK)
                scope_config_report(config, key, diag.text);
        if (scope_config_errors(config)[0] != 0) {
                (void)fputs(scope_config_errors(config), stderr);
                if (result == SCOPE_EXIT_PRECONDITION)
                        (void)fputs(CARRIED, stderr);
                scope_config_destroy(config);
                return result;
        }
        *ret_config = config;
        return SCOPE_EXIT_DONE;
}
