/* fuzz_config.c - any bytes as a configuration file, and their first line as --set.
 * Claims: no crash; what is accepted prints as TOML that is accepted again and prints the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cli/config.h"

struct table {
        int64_t integer, duration, size;
        double number;
        bool truth;
        char text[24];
        int name;
};

static const char *const names[] = { "one", "two", NULL };
static const struct scope_option rows[] = {
        SCOPE_INT_OPTION(table, integer, "8", -5, 64, "an integer"),
        SCOPE_DURATION_OPTION(table, duration, "30s", 0, 1e9, "a duration"),
        SCOPE_SIZE_OPTION(table, size, "16MiB", 0, 0x1p60, "a size"),
        SCOPE_FLOAT_OPTION(table, number, "1.0", -1e300, 1e300, "a number"),
        SCOPE_BOOL_OPTION(table, truth, "false", "a truth"),
        SCOPE_TEXT_OPTION(table, text, "x", "a text"),
        SCOPE_ENUM_OPTION(table, name, "one", names, "a name"),
        SCOPE_OPTION_END,
};
static struct table table, list[4];
static uint32_t list_count;
static const struct scope_config_section sections[] = {
        { .name = "table", .rows = rows, .base = &table, .help = "" },
        { .name = "list",
                .rows = rows,
                .base = list,
                .count = &list_count,
                .count_max = 4,
                .stride = sizeof list[0],
                .help = "" },
        { .name = NULL },
};

static struct scope_config *fresh(void)
{
        struct scope_config *config = NULL;
        enum scope_err err = scope_config_create(sections, &config);
        if (err != SCOPE_OK)
                abort();
        return config;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct scope_text first = { 0 }, second = { 0 };
        struct scope_config *config = fresh();
        const uint8_t *end = size != 0 ? memchr(data, '\n', size) : NULL;
        size_t line = end != NULL ? (size_t)(end - data) : size;
        char *assignment = strndup((const char *)data, line);
        (void)scope_config_set(config, assignment); /* refused or not: it must not crash */
        free(assignment);
        (void)scope_config_text(config, "fuzz.toml", (const char *)data, size);
        if (scope_config_finish(config) == SCOPE_OK) {
                struct scope_config *again;
                scope_config_print(config, &first);
                again = fresh();
                (void)scope_config_text(again, "fuzz.toml", first.bytes, first.count);
                scope_assert(scope_config_errors(again)[0] == 0);
                scope_text_clear(&first);
                scope_text_clear(&second);
                scope_config_json(config, NULL, &first);
                scope_config_json(again, NULL, &second);
                scope_assert(strcmp(first.bytes, second.bytes) == 0);
                scope_config_destroy(again);
        }
        scope_config_destroy(config);
        scope_text_fini(&first);
        scope_text_fini(&second);
        return 0;
}
