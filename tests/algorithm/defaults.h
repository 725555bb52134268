/* defaults.h - option structs filled from their tables, as an empty configuration does it. */
#pragma once

#include <stdbool.h>

#include "base/option.h"
#include "schemas/records.h"
#include "tests/test.h"

/* Sets the field of one row from a TOML value. Fails the test on anything else. Not inline: for a
 * small struct gcc 12 warns of rows that it does not have. */
__attribute__((noinline, unused)) static void option_set(
        void *target, const struct scope_option *row, const char *text)
{
        char *field = (char *)target + row->offset;
        char *end = NULL;
        double number = strtod(text, &end);
        bool is_number = end != text && *end == '\0';
        char word[64];
        switch (row->type) {
        case SCOPE_OPTION_BOOL:
                assert_true(strcmp(text, "true") == 0 || strcmp(text, "false") == 0);
                *(bool *)(void *)field = text[0] == 't';
                return;
        case SCOPE_OPTION_INT:
                assert_true(is_number && number >= row->min && number <= row->max);
                *(int64_t *)(void *)field = (int64_t)number;
                return;
        case SCOPE_OPTION_FLOAT:
                assert_true(is_number && number >= row->min && number <= row->max);
                *(double *)(void *)field = number;
                return;
        case SCOPE_OPTION_ENUM:
                for (int i = 0; row->names[i] != NULL; i++) {
                        (void)snprintf(word, sizeof word, "\"%s\"", row->names[i]);
                        if (strcmp(word, text) == 0) {
                                *(int *)(void *)field = i;
                                return;
                        }
                }
                fail_msg("%s has no choice %s", row->key, text);
                return;
        case SCOPE_OPTION_TEXT:
                assert_true(text[0] == '"' && strlen(text) - 2 < row->bytes);
                memcpy(field, text + 1, strlen(text) - 2);
                field[strlen(text) - 2] = '\0';
                return;
        case SCOPE_OPTION_DURATION:
        case SCOPE_OPTION_SIZE:
                break;
        }
        fail_msg("%s: a type that these tests do not read", row->key);
}

static inline void options_default(void *target, const struct scope_option *table)
{
        for (const struct scope_option *row = table; row->key != NULL; row++)
                option_set(target, row, row->standard);
}

/* SCOPE_DEFAULTS(select, options): a struct scope_select_options `options` at standard values. */
#define SCOPE_DEFAULTS(part, name)                                                                 \
        struct scope_##part##_options name;                                                        \
        memset(&name, 0, sizeof name);                                                             \
        options_default(&name, scope_##part##_option_table)

static inline struct scope_string string_from(const char *text)
{
        return (struct scope_string){ text, (uint32_t)strlen(text) };
}
