/* config_print.c - the configuration back as text: resolved TOML, JSON, the list of keys. */
#include "cli/config.h"

#include <string.h>

#include "cli/config_internal.h"
#include "cli/config_value.h"

enum { COMMENT_COLUMN = 48 };

/* The first section of this name, so that sections which share a name print as one table. */
static bool is_first(
        const struct scope_config_section *sections, const struct scope_config_section *section)
{
        for (const struct scope_config_section *s = sections; s != section; s++) {
                if (strcmp(s->name, section->name) == 0)
                        return false;
        }
        return true;
}

static void pad(struct scope_text *text, size_t line_start, size_t column)
{
        do
                scope_text_string(text, " ");
        while (!text->failed && text->count - line_start < column);
}

static void print_rows(const struct scope_config *config,
        const struct scope_config_section *section, uint32_t element, struct scope_text *text)
{
        for (const struct scope_option *row = section->rows; row->key != NULL; row++) {
                size_t line_start = text->count;
                scope_text_format(text, "%s = ", row->key);
                scope_option_print(row, scope_config_base(section, element), text);
                pad(text, line_start, COMMENT_COLUMN);
                scope_text_string(text, "# ");
                scope_origin_print(
                        config, scope_config_origin(config, section, element, row), text);
                scope_text_string(text, "\n");
        }
}

void scope_config_print(const struct scope_config *config, struct scope_text *text)
{
        const char *gap = "";
        for (const struct scope_config_section *s = config->sections; s->name != NULL; s++) {
                for (uint32_t i = 0; s->count != NULL && i < *s->count; i++) {
                        scope_text_format(text, "%s[[%s]]\n", gap, s->name);
                        print_rows(config, s, i, text);
                        gap = "\n";
                }
                if (s->count != NULL || !is_first(config->sections, s))
                        continue;
                scope_text_format(text, "%s[%s]\n", gap, s->name);
                gap = "\n";
                for (const struct scope_config_section *same = s; same->name != NULL; same++) {
                        if (strcmp(same->name, s->name) == 0)
                                print_rows(config, same, 0, text);
                }
        }
}

static void json_rows(
        const struct scope_config_section *section, uint32_t element, struct scope_text *text)
{
        for (const struct scope_option *row = section->rows; row->key != NULL; row++)
                scope_option_json(row, scope_config_base(section, element), row->key, text);
}

void scope_config_json(
        const struct scope_config *config, const char *key, struct scope_text *text)
{
        scope_json_open(text, key, '{');
        for (const struct scope_config_section *s = config->sections; s->name != NULL; s++) {
                if (s->count != NULL) {
                        scope_json_open(text, s->name, '[');
                        for (uint32_t i = 0; i < *s->count; i++) {
                                scope_json_open(text, NULL, '{');
                                json_rows(s, i, text);
                                scope_json_close(text, '}');
                        }
                        scope_json_close(text, ']');
                } else if (is_first(config->sections, s)) {
                        scope_json_open(text, s->name, '{');
                        for (const struct scope_config_section *same = s; same->name != NULL;
                                same++) {
                                if (strcmp(same->name, s->name) == 0)
                                        json_rows(same, 0, text);
                        }
                        scope_json_close(text, '}');
                }
        }
        scope_json_close(text, '}');
}

/* The default as it would be printed back, so that "5" of a text reads as "\"5\"". */
static void print_default(const struct scope_option *row, struct scope_text *text)
{
        if (row->standard == NULL)
                scope_text_string(text, "(must be given)");
        else if (row->type == SCOPE_OPTION_BOOL || row->type == SCOPE_OPTION_INT ||
                row->type == SCOPE_OPTION_FLOAT || row->standard[0] == '"' ||
                row->standard[0] == '\'')
                scope_text_string(text, row->standard);
        else
                scope_toml_quote(row->standard, text);
}

void scope_config_print_keys(
        const struct scope_config_section *sections, struct scope_text *text)
{
        for (const struct scope_config_section *s = sections; s->name != NULL; s++) {
                if (is_first(sections, s))
                        scope_text_format(text, "%s%s%s%s  %s\n", s == sections ? "" : "\n",
                                s->count != NULL ? "[[" : "[", s->name,
                                s->count != NULL ? "]]" : "]", s->help);
                for (const struct scope_option *row = s->rows; row->key != NULL; row++) {
                        size_t line_start = text->count;
                        scope_text_format(text, "  %s", row->key);
                        pad(text, line_start, 24);
                        scope_text_string(text, scope_option_type_name(row));
                        pad(text, line_start, 39);
                        print_default(row, text);
                        pad(text, line_start, 56);
                        scope_text_string(text, row->help);
                        if (row->type == SCOPE_OPTION_ENUM || row->min < row->max) {
                                scope_text_string(text, "; ");
                                scope_option_print_range(row, text);
                        }
                        scope_text_string(text, "\n");
                }
        }
}

void scope_config_json_keys(
        const struct scope_config_section *sections, struct scope_text *text)
{
        scope_json_open(text, NULL, '[');
        for (const struct scope_config_section *s = sections; s->name != NULL; s++) {
                for (const struct scope_option *row = s->rows; row->key != NULL; row++) {
                        scope_json_open(text, NULL, '{');
                        scope_json_text(text, "section", s->name);
                        scope_json_text(text, "key", row->key);
                        scope_json_bool(text, "list", s->count != NULL);
                        scope_json_text(text, "type", scope_option_type_name(row));
                        if (row->standard != NULL)
                                scope_json_text(text, "default", row->standard);
                        if (row->type != SCOPE_OPTION_ENUM && row->min < row->max) {
                                scope_json_double(text, "min", row->min);
                                scope_json_double(text, "max", row->max);
                        }
                        if (row->type == SCOPE_OPTION_ENUM) {
                                scope_json_open(text, "names", '[');
                                for (const char *const *name = row->names; *name != NULL; name++)
                                        scope_json_text(text, NULL, *name);
                                scope_json_close(text, ']');
                        }
                        scope_json_text(text, "help", row->help);
                        scope_json_close(text, '}');
                }
        }
        scope_json_close(text, ']');
}
