#include "cli/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/limits.h"
#include "cli/config_internal.h"
#include "cli/config_toml.h"
#include "cli/config_value.h"
#include "cli/nearest.h"

enum { ERRORS_MAX = 20, SOURCES_MAX = 256, FILE_BYTES_MAX = 1 << 20 };

/* --- reports ---------------------------------------------------------------------------------- */

static void report(struct scope_config *config, const struct scope_origin *origin,
        const char *format, ...) __attribute__((format(printf, 3, 4)));

static void report(struct scope_config *config, const struct scope_origin *origin,
        const char *format, ...)
{
        char words[1024];
        va_list args;
        config->error_count++;
        if (config->error_count == ERRORS_MAX + 1)
                scope_text_string(&config->errors, "more errors follow; these are the first\n");
        if (config->error_count > ERRORS_MAX)
                return;
        scope_origin_print(config, origin, &config->errors);
        va_start(args, format);
        (void)vsnprintf(words, sizeof words, format, args); /* cut is fine */
        va_end(args);
        scope_text_format(&config->errors, ": error: %s\n", words);
}

void scope_origin_print(const struct scope_config *config, const struct scope_origin *origin,
        struct scope_text *text)
{
        if (origin->source == SCOPE_ORIGIN_DEFAULT)
                scope_text_string(text, "default");
        else
                scope_text_string(text, config->sources[origin->source]);
        if (origin->line != 0)
                scope_text_format(text, ":%u:%u", origin->line, origin->column);
}

const char *scope_config_errors(const struct scope_config *config)
{
        return config->errors.bytes != NULL ? config->errors.bytes : "";
}

static enum scope_err outcome(const struct scope_config *config, unsigned errors_before)
{
        return config->error_count == errors_before ? SCOPE_OK : SCOPE_ERR_FORMAT;
}

/* --- which row a path means ------------------------------------------------------------------- */

void *scope_config_base(const struct scope_config_section *section, uint32_t element)
{
        return (char *)section->base + (section->count != NULL ? element * section->stride : 0);
}

struct scope_origin *scope_config_origin(const struct scope_config *config,
        const struct scope_config_section *section, uint32_t element,
        const struct scope_option *row)
{
        size_t at = config->first_origin[section - config->sections];
        return &config->origins[at + element * scope_row_count(section) +
                (size_t)(row - section->rows)];
}

size_t scope_row_count(const struct scope_config_section *section)
{
        size_t count = 0;
        while (section->rows[count].key != NULL)
                count++;
        return count;
}

/* Splits "placement[3].role" into "placement", 3 and "role"; -1 where there is no [n]. False for
 * a key without a table, and for tables inside a list's. */
static bool split(const char *path, char *table, size_t table_bytes, int *ret_element,
        const char **ret_key)
{
        const char *dot = strrchr(path, '.');
        size_t count = dot != NULL ? (size_t)(dot - path) : 0;
        if (dot == NULL || count >= table_bytes)
                return false;
        memcpy(table, path, count);
        table[count] = 0;
        char *bracket = strchr(table, '[');
        *ret_element = -1;
        if (bracket != NULL) {
                char *end;
                *ret_element = (int)strtol(bracket + 1, &end, 10);
                if (strcmp(end, "]") != 0)
                        return false;
                *bracket = 0;
        }
        *ret_key = dot + 1;
        return true;
}

/* Finds the row of `path`; a list is only found with its element, a table only without. The element
 * may lie beyond those there are: see present(). */
static bool find(const struct scope_config *config, const char *path,
        const struct scope_config_section **ret_section, const struct scope_option **ret_row,
        uint32_t *ret_element)
{
        char table[SCOPE_NAME_BYTES_MAX * 2];
        const char *key;
        int element;
        if (!split(path, table, sizeof table, &element, &key))
                return false;
        for (const struct scope_config_section *s = config->sections; s->name != NULL; s++) {
                if (strcmp(s->name, table) != 0 || (s->count != NULL) != (element >= 0))
                        continue;
                for (const struct scope_option *row = s->rows; row->key != NULL; row++) {
                        if (strcmp(row->key, key) == 0) {
                                *ret_section = s;
                                *ret_row = row;
                                *ret_element = element >= 0 ? (uint32_t)element : 0;
                                return true;
                        }
                }
        }
        return false;
}

static bool present(const struct scope_config_section *section, uint32_t element)
{
        return section->count == NULL || element < *section->count;
}

enum known { UNKNOWN, KNOWN_TABLE, KNOWN_LIST };

/* Is `name` a table of ours, or the way to one ("a" of "a.b")? */
static enum known find_table(const struct scope_config *config, const char *name)
{
        size_t count = strlen(name);
        for (const struct scope_config_section *s = config->sections; s->name != NULL; s++) {
                if (strncmp(s->name, name, count) != 0)
                        continue;
                if (s->name[count] == 0)
                        return s->count != NULL ? KNOWN_LIST : KNOWN_TABLE;
                if (s->name[count] == '.')
                        return KNOWN_TABLE;
        }
        return UNKNOWN;
}

/* --- what was meant --------------------------------------------------------------------------- */

/* The nearest key: by its whole path, or by its last part in another table. */
static void report_unknown_key(
        struct scope_config *config, const struct scope_origin *origin, const char *path)
{
        const struct scope_config_section *best = NULL;
        const struct scope_option *best_row = NULL;
        const char *dot = strrchr(path, '.'), *key = dot != NULL ? dot + 1 : path;
        unsigned least = scope_edit_distance_max(key) + 1;
        for (const struct scope_config_section *s = config->sections; s->name != NULL; s++) {
                size_t table = dot != NULL ? (size_t)(dot - path) : 0;
                bool same = strlen(s->name) == strcspn(path, ".[") && table > 0 &&
                        strncmp(s->name, path, strlen(s->name)) == 0;
                for (const struct scope_option *row = s->rows; row->key != NULL; row++) {
                        /* a key of another table costs one slip more */
                        unsigned distance = scope_edit_distance(key, row->key) + !same;
                        if (distance < least) {
                                least = distance;
                                best = s;
                                best_row = row;
                        }
                }
        }
        if (best != NULL)
                report(config, origin,
                        "unknown key \"%s\"; did you mean \"%s.%s\"? (section [%s])", path,
                        best->name, best_row->key, best->name);
        else
                report(config, origin,
                        "unknown key \"%s\"; `scope-runtime configs --keys` lists what there is",
                        path);
}

static void report_unknown_table(
        struct scope_config *config, const struct scope_origin *origin, const char *name)
{
        const char *best = NULL;
        unsigned least = scope_edit_distance_max(name) + 1;
        for (const struct scope_config_section *s = config->sections; s->name != NULL; s++) {
                unsigned distance = scope_edit_distance(name, s->name);
                if (distance < least) {
                        least = distance;
                        best = s->name;
                }
        }
        if (best != NULL)
                report(config, origin, "unknown section [%s]; did you mean [%s]?", name, best);
        else
                report(config, origin,
                        "unknown section [%s]; `scope-runtime configs --keys` lists what there is",
                        name);
}

/* --- values ----------------------------------------------------------------------------------- */

static void set_defaults(struct scope_config *config, const struct scope_config_section *section,
        uint32_t element, uint16_t source)
{
        for (const struct scope_option *row = section->rows; row->key != NULL; row++) {
                struct scope_diag diag = { "" };
                *scope_config_origin(config, section, element, row) =
                        (struct scope_origin){ .source = source };
                if (row->standard == NULL)
                        continue;
                enum scope_err err = scope_option_parse(
                        row, scope_config_base(section, element), row->standard, &diag);
                if (err != SCOPE_OK) /* our bug, said where it can be found */
                        report(config, &(struct scope_origin){ .source = SCOPE_ORIGIN_DEFAULT },
                                "\"%s.%s\" %s", section->name, row->key, diag.text);
        }
}

/* Lists replace: the first mention in a source empties what sources before it said. */
static void apply_list(struct scope_config *config, const struct scope_origin *origin,
        const struct scope_toml_value *value)
{
        const struct scope_config_section *section;
        const struct scope_option *row;
        uint32_t element;
        if (find(config, value->path, &section, &row, &element)) {
                report(config, origin, "\"%s\" is an array, but wants %s", value->path,
                        scope_option_type_name(row));
                return;
        }
        for (const struct scope_config_section *s = config->sections; s->name != NULL; s++) {
                if (strcmp(s->name, value->path) != 0)
                        continue;
                if (s->count == NULL) {
                        report(config, origin, "[%s] is one table, not a list [[%s]]", s->name,
                                s->name);
                } else if (value->integer > s->count_max) {
                        report(config, origin, "%lld tables [[%s]], at most %u fit",
                                (long long)value->integer, s->name, s->count_max);
                } else {
                        *s->count = (uint32_t)value->integer;
                        for (uint32_t i = 0; i < *s->count; i++)
                                set_defaults(config, s, i, SCOPE_ORIGIN_DEFAULT);
                }
                return;
        }
        report_unknown_table(config, origin, value->path);
}

static void apply_table(struct scope_config *config, const struct scope_origin *origin,
        const struct scope_toml_value *value)
{
        enum known known = find_table(config, value->path);
        const struct scope_config_section *section;
        const struct scope_option *row;
        uint32_t at;
        if (value->path[strlen(value->path) - 1] == ']')
                return; /* an element: its list was judged already */
        if (find(config, value->path, &section, &row, &at))
                report(config, origin, "\"%s\" is a table, but wants %s", value->path,
                        scope_option_type_name(row));
        else if (known == KNOWN_LIST)
                report(config, origin, "[%s] is a list of tables: write [[%s]]", value->path,
                        value->path);
        else if (known == UNKNOWN)
                report_unknown_table(config, origin, value->path);
}

/* Is the table that holds `path` unknown, or misused, and so reported already? */
static bool excused(const struct scope_config *config, const char *path)
{
        char table[512 + 1];
        (void)snprintf(table, sizeof table, "%s", path);
        char *dot = strrchr(table, '.');
        if (dot == NULL)
                return false;
        *dot = 0;
        char *bracket = strrchr(table, '[');
        bool element = bracket != NULL && table[strlen(table) - 1] == ']';
        if (element)
                *bracket = 0;
        enum known known = find_table(config, table);
        return known == UNKNOWN || (known == KNOWN_LIST) != element;
}

static void apply_value(struct scope_config *config, struct scope_origin origin,
        const struct scope_toml_value *value)
{
        const struct scope_config_section *section;
        const struct scope_option *row;
        struct scope_diag diag = { "" };
        uint32_t element;
        if (!find(config, value->path, &section, &row, &element)) {
                origin.line = value->key_line;
                origin.column = value->key_column;
                if (find_table(config, value->path) != UNKNOWN)
                        report(config, &origin, "[%s] is a section, not a value", value->path);
                else if (!excused(config, value->path))
                        report_unknown_key(config, &origin, value->path);
                return;
        }
        if (!present(section, element))
                return; /* of a list that was refused */
        void *base = scope_config_base(section, element);
        if (scope_option_assign(row, base, value, &diag) != SCOPE_OK)
                report(config, &origin, "\"%s\" %s", value->path, diag.text);
        else
                *scope_config_origin(config, section, element, row) = origin;
}

static void apply(struct scope_config *config, uint16_t source, const struct scope_toml *toml,
        bool with_places)
{
        for (size_t i = 0; i < toml->count; i++) {
                const struct scope_toml_value *value = &toml->values[i];
                struct scope_origin at_key = { .source = source }, at_value = at_key;
                if (with_places) {
                        at_key.line = value->key_line;
                        at_key.column = value->key_column;
                        at_value.line = value->line;
                        at_value.column = value->column;
                }
                if (value->kind == SCOPE_TOML_LIST)
                        apply_list(config, &at_key, value);
                else if (value->kind == SCOPE_TOML_TABLE)
                        apply_table(config, &at_key, value);
                else
                        apply_value(config, at_value, value);
        }
}

/* --- sources ---------------------------------------------------------------------------------- */

static enum scope_err add_source(
        struct scope_config *config, const char *name, uint16_t *ret_source)
{
        static const struct scope_origin nowhere = { .source = SCOPE_ORIGIN_DEFAULT };
        char *copy = config->source_count < SOURCES_MAX ? strdup(name) : NULL;
        if (copy == NULL) {
                report(config, &nowhere, "%.200s: too many files and --set", name);
                return SCOPE_ERR_LIMIT;
        }
        config->sources[config->source_count] = copy;
        *ret_source = (uint16_t)config->source_count++;
        return SCOPE_OK;
}

static enum scope_err apply_document(struct scope_config *config, uint16_t source,
        const char *bytes, size_t count, bool with_places)
{
        struct scope_toml toml = { 0 };
        struct scope_origin origin = { .source = source };
        struct scope_diag diag = { "" };
        unsigned before = config->error_count;
        enum scope_err err = scope_toml_parse(
                bytes, count, &toml, &origin.line, &origin.column, &diag);
        if (!with_places)
                origin.line = 0;
        if (err != SCOPE_OK) {
                report(config, &origin, "%s", diag.text);
                return err;
        }
        apply(config, source, &toml, with_places);
        scope_toml_fini(&toml);
        return outcome(config, before);
}

enum scope_err scope_config_text(
        struct scope_config *config, const char *name, const char *bytes, size_t count)
{
        uint16_t source;
        enum scope_err err = add_source(config, name, &source);
        if (err != SCOPE_OK)
                return err;
        return apply_document(config, source, bytes, count, true);
}

enum scope_err scope_config_file(struct scope_config *config, const char *path)
{
        char *bytes;
        size_t count;
        struct scope_diag diag = { "" };
        enum scope_err err = scope_file_read(path, FILE_BYTES_MAX, &bytes, &count, &diag);
        if (err != SCOPE_OK) {
                config->error_count++;
                scope_text_format(&config->errors, "error: %s\n", diag.text);
                return err;
        }
        err = scope_config_text(config, path, bytes, count);
        free(bytes);
        return err;
}

/* A key of the --set form: bare words with dots between. */
static bool is_key(const char *key)
{
        static const char word[] = "abcdefghijklmnopqrstuvwxyz"
                                   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
        for (;;) {
                size_t count = strspn(key, word);
                if (count == 0)
                        return false;
                if (key[count] == 0)
                        return true;
                if (key[count] != '.')
                        return false;
                key += count + 1;
        }
}

static enum scope_err set_row(struct scope_config *config, uint16_t source, const char *key,
        const char *words)
{
        const struct scope_config_section *section;
        const struct scope_option *row;
        uint32_t element;
        struct scope_origin origin = { .source = source };
        struct scope_diag diag = { "" };
        if (!find(config, key, &section, &row, &element)) {
                char table[512];
                (void)snprintf(table, sizeof table, "%.*s", (int)strcspn(key, "."), key);
                if (find_table(config, table) == KNOWN_LIST)
                        report(config, &origin,
                                "[[%s]] is a list: set it whole, as '%s=[{key = value}, ...]'",
                                table, table);
                else
                        report_unknown_key(config, &origin, key);
                return SCOPE_ERR_FORMAT;
        }
        enum scope_err err = scope_option_parse(
                row, scope_config_base(section, element), words, &diag);
        if (err != SCOPE_OK) {
                report(config, &origin, "\"%s\" %s", key, diag.text);
                return SCOPE_ERR_FORMAT;
        }
        *scope_config_origin(config, section, element, row) = origin;
        return SCOPE_OK;
}

enum scope_err scope_config_set(struct scope_config *config, const char *assignment)
{
        struct scope_text text = { .limit = 1 << 16 };
        uint16_t source;
        const char *equals = strchr(assignment, '=');
        scope_text_format(&text, "--set %s", assignment);
        enum scope_err err =
                add_source(config, text.failed ? "--set" : text.bytes, &source);
        scope_text_clear(&text);
        if (err != SCOPE_OK)
                goto done;
        if (equals != NULL)
                scope_text_add(&text, assignment, (size_t)(equals - assignment));
        if (equals == NULL || text.failed || !is_key(text.bytes != NULL ? text.bytes : "")) {
                report(config, &(struct scope_origin){ .source = source },
                        "not of the form section.key=value");
                err = SCOPE_ERR_FORMAT;
        } else if (find_table(config, text.bytes) != UNKNOWN) {
                scope_text_format(&text, " = %s\n", equals + 1); /* a whole list or table */
                err = text.failed ? SCOPE_ERR_TOO_BIG
                                  : apply_document(config, source, text.bytes, text.count, false);
        } else {
                err = set_row(config, source, text.bytes, equals + 1);
        }
done:
        scope_text_fini(&text);
        return err;
}

enum scope_err scope_config_preset(
        struct scope_config *config, const char *path, const char *words, const char *origin)
{
        const struct scope_config_section *section;
        const struct scope_option *row;
        uint32_t element;
        uint16_t source;
        if (find(config, path, &section, &row, &element) &&
                scope_config_origin(config, section, element, row)->source != SCOPE_ORIGIN_DEFAULT)
                return SCOPE_OK;
        enum scope_err err = add_source(config, origin, &source);
        return err != SCOPE_OK ? err : set_row(config, source, path, words);
}

/* --- life ------------------------------------------------------------------------------------- */

enum scope_err scope_config_create(
        const struct scope_config_section *sections, struct scope_config **ret_config)
{
        size_t section_count = 0, origin_count = 0;
        while (sections[section_count].name != NULL)
                section_count++;
        struct scope_config *config = calloc(1, sizeof *config);
        if (config == NULL)
                return SCOPE_ERR_MEMORY;
        config->sections = sections;
        config->errors.limit = 1 << 16;
        config->first_origin = calloc(section_count + 1, sizeof *config->first_origin);
        config->sources = calloc(SOURCES_MAX, sizeof *config->sources);
        if (config->first_origin == NULL || config->sources == NULL)
                goto fail;
        for (size_t i = 0; i < section_count; i++) {
                config->first_origin[i] = origin_count;
                origin_count += scope_row_count(&sections[i]) *
                        (sections[i].count != NULL ? sections[i].count_max : 1);
        }
        config->origins = calloc(origin_count + 1, sizeof *config->origins);
        if (config->origins == NULL)
                goto fail;
        for (const struct scope_config_section *s = sections; s->name != NULL; s++) {
                if (s->count != NULL)
                        *s->count = 0;
                else
                        set_defaults(config, s, 0, SCOPE_ORIGIN_DEFAULT);
        }
        if (config->error_count != 0)
                scope_check_fail(__FILE__, __LINE__, config->errors.bytes);
        *ret_config = config;
        return SCOPE_OK;
fail:
        scope_config_destroy(config);
        return SCOPE_ERR_MEMORY;
}

enum scope_err scope_config_finish(struct scope_config *config)
{
        for (const struct scope_config_section *s = config->sections; s->name != NULL; s++) {
                uint32_t elements = s->count != NULL ? *s->count : 1;
                for (uint32_t i = 0; i < elements; i++) {
                        for (const struct scope_option *row = s->rows; row->key != NULL; row++) {
                                struct scope_origin *origin =
                                        scope_config_origin(config, s, i, row);
                                if (row->standard == NULL &&
                                        origin->source == SCOPE_ORIGIN_DEFAULT)
                                        report(config, origin,
                                                "\"%s.%s\" must be given (%s)", s->name, row->key,
                                                row->help);
                        }
                }
        }
        return outcome(config, 0);
}

void scope_config_report(struct scope_config *config, const char *path, const char *words)
{
        const struct scope_config_section *section;
        const struct scope_option *row;
        uint32_t element;
        struct scope_origin origin = { .source = SCOPE_ORIGIN_DEFAULT };
        if (find(config, path, &section, &row, &element) && present(section, element))
                origin = *scope_config_origin(config, section, element, row);
        report(config, &origin, "%s", words);
}

bool scope_config_number(
        const struct scope_config *config, const char *path, double *ret_number)
{
        const struct scope_config_section *section;
        const struct scope_option *row;
        uint32_t element;
        if (!find(config, path, &section, &row, &element) || !present(section, element))
                return false;
        return scope_option_number(row, scope_config_base(section, element), ret_number);
}

const char *scope_config_word(const struct scope_config *config, const char *path)
{
        const struct scope_config_section *section;
        const struct scope_option *row;
        uint32_t element;
        if (!find(config, path, &section, &row, &element) || !present(section, element) ||
                row->type != SCOPE_OPTION_TEXT)
                return NULL;
        return (const char *)scope_config_base(section, element) + row->offset;
}

void scope_config_destroy(struct scope_config *config)
{
        if (config == NULL)
                return;
        for (size_t i = 0; i < config->source_count; i++)
                free(config->sources[i]);
        free(config->sources);
        free(config->first_origin);
        free(config->origins);
        scope_text_fini(&config->errors);
        free(config);
}
