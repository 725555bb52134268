#include "cli/config_value.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cli/nearest.h"

struct unit {
        const char *name;
        double factor;
};

/* Biggest first: printing takes the first that divides. */
static const struct unit duration_units[] = {
        { "d", 86400e9 }, { "h", 3600e9 }, { "m", 60e9 }, { "s", 1e9 },
        { "ms", 1e6 },    { "us", 1e3 },   { "ns", 1 },   { NULL, 0 },
};
static const struct unit size_units[] = {
        { "TiB", 0x1p40 }, { "TB", 1e12 },    { "GiB", 0x1p30 }, { "GB", 1e9 }, { "MiB", 0x1p20 },
        { "MB", 1e6 },     { "KiB", 0x1p10 }, { "kB", 1e3 },     { "B", 1 },    { NULL, 0 },
};

static const struct unit *units_of(const struct scope_option *row)
{
        return row->type == SCOPE_OPTION_DURATION ? duration_units : size_units;
}

const char *scope_option_type_name(const struct scope_option *row)
{
        switch (row->type) {
        case SCOPE_OPTION_BOOL:
                return "true or false";
        case SCOPE_OPTION_INT:
                return "integer";
        case SCOPE_OPTION_FLOAT:
                return "number";
        case SCOPE_OPTION_TEXT:
                return "text";
        case SCOPE_OPTION_ENUM:
                return "choice";
        case SCOPE_OPTION_DURATION:
                return "duration";
        case SCOPE_OPTION_SIZE:
                return "size";
        }
        return "?";
}

void scope_toml_quote(const char *string, struct scope_text *text)
{
        scope_text_string(text, "\"");
        for (const char *at = string; *at != 0; at++) {
                unsigned char byte = (unsigned char)*at;
                if (byte == '"' || byte == '\\')
                        scope_text_format(text, "\\%c", byte);
                else if (byte == '\n')
                        scope_text_string(text, "\\n");
                else if (byte == '\t')
                        scope_text_string(text, "\\t");
                else if (byte < 0x20 || byte == 0x7f)
                        scope_text_format(text, "\\u%04x", byte);
                else
                        scope_text_add(text, at, 1);
        }
        scope_text_string(text, "\"");
}

/* The fewest digits that read back equal, always with a point or an exponent. */
static void print_double(double number, struct scope_text *text)
{
        char digits[40];
        for (int precision = 1; precision <= 17; precision++) {
                (void)snprintf(digits, sizeof digits, "%.*g", precision, number);
                if (strtod(digits, NULL) == number)
                        break;
        }
        scope_text_string(text, digits);
        if (strpbrk(digits, ".en") == NULL)
                scope_text_string(text, ".0");
}

static void print_with_unit(
        const struct unit *units, int64_t number, const char *quote, struct scope_text *text)
{
        const struct unit *unit = units;
        while (unit->factor > 1 && (number == 0 || number % (int64_t)unit->factor != 0))
                unit++;
        if (number == 0 && units == duration_units)
                unit = &duration_units[3]; /* "0s" */
        scope_text_format(text, "%s%" PRId64 "%s%s", quote, number / (int64_t)unit->factor,
                unit->name, quote);
}

/* A bound of the range: whole numbers without a point, durations and sizes with their unit. */
static void print_bound(const struct scope_option *row, double bound, struct scope_text *text)
{
        if (row->type == SCOPE_OPTION_DURATION && fabs(bound) < 9e9)
                print_with_unit(duration_units, (int64_t)llround(bound * 1e9), "", text);
        else if (row->type == SCOPE_OPTION_SIZE && fabs(bound) < 9e18)
                print_with_unit(size_units, (int64_t)bound, "", text);
        else if (bound == floor(bound) && fabs(bound) < 1e15)
                scope_text_format(text, "%.0f", bound);
        else
                scope_text_format(text, "%g", bound);
}

static bool has_range(const struct scope_option *row)
{
        return row->min < row->max &&
                (row->type == SCOPE_OPTION_INT || row->type == SCOPE_OPTION_FLOAT ||
                        row->type == SCOPE_OPTION_DURATION || row->type == SCOPE_OPTION_SIZE);
}

void scope_option_print_range(const struct scope_option *row, struct scope_text *text)
{
        if (row->type == SCOPE_OPTION_ENUM) {
                for (const char *const *name = row->names; *name != NULL; name++)
                        scope_text_format(text, "%s%s", name == row->names ? "" : " | ", *name);
        } else if (has_range(row)) {
                print_bound(row, row->min, text);
                scope_text_string(text, " to ");
                print_bound(row, row->max, text);
        }
}

/* --- errors --------------------------------------------------------------------------------- */

/* What was written, short enough for one line. */
static void describe(const struct scope_toml_value *value, struct scope_text *text)
{
        switch (value->kind) {
        case SCOPE_TOML_TABLE:
                scope_text_string(text, "a table");
                break;
        case SCOPE_TOML_LIST:
        case SCOPE_TOML_ARRAY:
                scope_text_string(text, "an array");
                break;
        case SCOPE_TOML_DATE:
                scope_text_string(text, "a date or time");
                break;
        case SCOPE_TOML_BOOL:
                scope_text_string(text, value->truth ? "true" : "false");
                break;
        case SCOPE_TOML_INT:
                scope_text_format(text, "%" PRId64, value->integer);
                break;
        case SCOPE_TOML_FLOAT:
                print_double(value->real, text);
                break;
        case SCOPE_TOML_TEXT: {
                char head[61];
                (void)snprintf(head, sizeof head, "%s", value->text);
                size_t count = strlen(head);
                bool cut = strlen(value->text) > count;
                while (cut && count > 0 && ((unsigned char)value->text[count] & 0xc0) == 0x80)
                        head[--count] = 0; /* never half a character */
                scope_toml_quote(head, text);
                if (cut)
                        scope_text_string(text, "...");
                break;
        }
        }
}

static enum scope_err refuse(const struct scope_toml_value *value, const char *why,
        const struct scope_text *detail, struct scope_diag *diag)
{
        struct scope_text text = { .limit = 400 };
        describe(value, &text);
        enum scope_err err = scope_diag_set(diag, SCOPE_ERR_ARGUMENT, "is %s, %s%s",
                text.bytes != NULL ? text.bytes : "", why,
                detail != NULL && detail->bytes != NULL ? detail->bytes : "");
        scope_text_fini(&text);
        return err;
}

static enum scope_err refuse_range(const struct scope_option *row,
        const struct scope_toml_value *value, struct scope_diag *diag)
{
        struct scope_text detail = { .limit = 300 };
        scope_option_print_range(row, &detail);
        scope_text_format(&detail, " (%s)", row->help);
        enum scope_err err = refuse(value, "out of range ", &detail, diag);
        scope_text_fini(&detail);
        return err;
}

static enum scope_err refuse_name(const struct scope_option *row,
        const struct scope_toml_value *value, struct scope_diag *diag)
{
        struct scope_text detail = { .limit = 400 };
        const char *best = NULL;
        unsigned least = scope_edit_distance_max(value->text) + 1;
        scope_option_print_range(row, &detail);
        for (const char *const *name = row->names; *name != NULL; name++) {
                unsigned distance = scope_edit_distance(value->text, *name);
                if (distance < least) {
                        least = distance;
                        best = *name;
                }
        }
        if (best != NULL)
                scope_text_format(&detail, "; did you mean \"%s\"?", best);
        enum scope_err err = refuse(value, "none of ", &detail, diag);
        scope_text_fini(&detail);
        return err;
}

/* --- in --------------------------------------------------------------------------------------- */

static bool in_range(const struct scope_option *row, double number)
{
        return !has_range(row) || (number >= row->min && number <= row->max);
}

static void store_int(const struct scope_option *row, void *base, int64_t number)
{
        memcpy((char *)base + row->offset, &number, sizeof number);
}

static enum scope_err assign_float(const struct scope_option *row, void *base,
        const struct scope_toml_value *value, struct scope_diag *diag)
{
        if (value->kind != SCOPE_TOML_FLOAT && value->kind != SCOPE_TOML_INT)
                return refuse(value, "but wants a number", NULL, diag);
        if (!isfinite(value->real))
                return refuse(value, "but wants a finite number", NULL, diag);
        if (!in_range(row, value->real))
                return refuse_range(row, value, diag);
        memcpy((char *)base + row->offset, &value->real, sizeof value->real);
        return SCOPE_OK;
}

/* "1.5GiB" to 1.5 * 2^30; false where number or unit is not there. */
static bool read_unit(const struct unit *units, const char *words, double *ret_number)
{
        char *end;
        /* strtod would also take hex, inf and nan */
        if (words[strspn(words, "0123456789.")] == 0 || strspn(words, "0123456789.") == 0)
                return false;
        size_t digits = strspn(words, "0123456789.");
        double number = strtod(words, &end);
        if ((size_t)(end - words) != digits)
                return false;
        while (*end == ' ')
                end++;
        for (const struct unit *unit = units; unit->name != NULL; unit++) {
                if (strcmp(end, unit->name) == 0) {
                        *ret_number = number * unit->factor;
                        return true;
                }
        }
        return false;
}

static enum scope_err assign_with_unit(const struct scope_option *row, void *base,
        const struct scope_toml_value *value, struct scope_diag *diag)
{
        bool duration = row->type == SCOPE_OPTION_DURATION;
        double scale = duration ? 1e9 : 1, number;
        if (value->kind == SCOPE_TOML_INT || value->kind == SCOPE_TOML_FLOAT)
                number = value->real * scale;
        else if (value->kind != SCOPE_TOML_TEXT)
                return refuse(value,
                        duration ? "but wants a duration, as \"30s\" or a number of seconds"
                                 : "but wants a size, as \"16MiB\" or a number of bytes",
                        NULL, diag);
        else if (!read_unit(units_of(row), value->text, &number))
                return refuse(value,
                        duration ? "not a number with ns, us, ms, s, m, h or d"
                                 : "not a number with B, kB, MB, GB, KiB, MiB, GiB or TiB",
                        NULL, diag);
        if (!(fabs(number) < 9.2e18) || !in_range(row, number / scale))
                return refuse_range(row, value, diag);
        store_int(row, base, (int64_t)llround(number));
        return SCOPE_OK;
}

static enum scope_err assign_text(const struct scope_option *row, void *base,
        const struct scope_toml_value *value, struct scope_diag *diag)
{
        struct scope_text detail = { .limit = 64 };
        if (value->kind != SCOPE_TOML_TEXT)
                return refuse(value, "but wants text in quotes", NULL, diag);
        if (memchr(value->text, 0, value->text_count) != NULL)
                return refuse(value, "and holds a NUL", NULL, diag);
        if (value->text_count >= row->bytes) {
                scope_text_format(&detail, "%zu bytes, at most %zu fit", value->text_count,
                        row->bytes - 1);
                enum scope_err err = refuse(value, "too long: ", &detail, diag);
                scope_text_fini(&detail);
                return err;
        }
        memset((char *)base + row->offset, 0, row->bytes);
        memcpy((char *)base + row->offset, value->text, value->text_count);
        return SCOPE_OK;
}

static enum scope_err assign_name(const struct scope_option *row, void *base,
        const struct scope_toml_value *value, struct scope_diag *diag)
{
        if (value->kind != SCOPE_TOML_TEXT)
                return refuse(value, "but wants one of its names in quotes", NULL, diag);
        for (int i = 0; row->names[i] != NULL; i++) {
                if (strcmp(row->names[i], value->text) == 0 &&
                        strlen(value->text) == value->text_count) {
                        memcpy((char *)base + row->offset, &i, sizeof i);
                        return SCOPE_OK;
                }
        }
        return refuse_name(row, value, diag);
}

enum scope_err scope_option_assign(const struct scope_option *row, void *base,
        const struct scope_toml_value *value, struct scope_diag *diag)
{
        scope_assert(row->key != NULL);
        switch (row->type) {
        case SCOPE_OPTION_BOOL:
                if (value->kind != SCOPE_TOML_BOOL)
                        return refuse(value, "but wants true or false", NULL, diag);
                memcpy((char *)base + row->offset, &value->truth, sizeof value->truth);
                return SCOPE_OK;
        case SCOPE_OPTION_INT:
                if (value->kind != SCOPE_TOML_INT)
                        return refuse(value, "but wants an integer", NULL, diag);
                if (!in_range(row, value->real))
                        return refuse_range(row, value, diag);
                store_int(row, base, value->integer);
                return SCOPE_OK;
        case SCOPE_OPTION_FLOAT:
                return assign_float(row, base, value, diag);
        case SCOPE_OPTION_TEXT:
                return assign_text(row, base, value, diag);
        case SCOPE_OPTION_ENUM:
                return assign_name(row, base, value, diag);
        case SCOPE_OPTION_DURATION:
        case SCOPE_OPTION_SIZE:
                return assign_with_unit(row, base, value, diag);
        }
        scope_assert(false);
        return SCOPE_ERR_INTERNAL;
}

/* A bare word to the value it most likely is; a word that is no number stays text. */
static struct scope_toml_value guess(const char *words)
{
        struct scope_toml_value value = { .path = "", .kind = SCOPE_TOML_TEXT };
        char *end;
        value.text = words;
        value.text_count = strlen(words);
        if (strcmp(words, "true") == 0 || strcmp(words, "false") == 0) {
                value.kind = SCOPE_TOML_BOOL;
                value.truth = words[0] == 't';
        } else if (words[0] != 0 && strspn(words, "+-.0123456789eE") == value.text_count) {
                errno = 0;
                value.integer = strtoll(words, &end, 10);
                value.real = (double)value.integer;
                if (*end == 0 && errno == 0) {
                        value.kind = SCOPE_TOML_INT;
                        return value;
                }
                value.real = strtod(words, &end);
                if (*end == 0)
                        value.kind = SCOPE_TOML_FLOAT;
        }
        return value;
}

enum scope_err scope_option_parse(
        const struct scope_option *row, void *base, const char *words, struct scope_diag *diag)
{
        if (words[0] == '"' || words[0] == '\'') {
                struct scope_text document = { .limit = 1 << 16 };
                struct scope_toml toml = { 0 };
                uint32_t line, column;
                scope_text_format(&document, "v = %s\n", words);
                enum scope_err err = document.failed ? SCOPE_ERR_TOO_BIG
                                                     : scope_toml_parse(document.bytes,
                                                               document.count, &toml, &line,
                                                               &column, NULL);
                if (err != SCOPE_OK || toml.count != 1)
                        err = scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                                "is %.60s, which is not a TOML value", words);
                else
                        err = scope_option_assign(row, base, &toml.values[0], diag);
                scope_text_fini(&document);
                scope_toml_fini(&toml);
                return err;
        }
        struct scope_toml_value value = guess(words);
        /* where text is wanted, a word is text whatever it looks like */
        if (row->type == SCOPE_OPTION_TEXT || row->type == SCOPE_OPTION_ENUM)
                value.kind = SCOPE_TOML_TEXT;
        return scope_option_assign(row, base, &value, diag);
}

/* --- out -------------------------------------------------------------------------------------- */

static int64_t load_int(const struct scope_option *row, const void *base)
{
        int64_t number;
        memcpy(&number, (const char *)base + row->offset, sizeof number);
        return number;
}

static const char *load_name(const struct scope_option *row, const void *base)
{
        int index;
        memcpy(&index, (const char *)base + row->offset, sizeof index);
        for (int i = 0; row->names[i] != NULL; i++) {
                if (i == index)
                        return row->names[i];
        }
        return "?";
}

void scope_option_print(const struct scope_option *row, const void *base, struct scope_text *text)
{
        const char *field = (const char *)base + row->offset;
        double real;
        bool truth;
        switch (row->type) {
        case SCOPE_OPTION_BOOL:
                memcpy(&truth, field, sizeof truth);
                scope_text_string(text, truth ? "true" : "false");
                break;
        case SCOPE_OPTION_INT:
                scope_text_format(text, "%" PRId64, load_int(row, base));
                break;
        case SCOPE_OPTION_FLOAT:
                memcpy(&real, field, sizeof real);
                print_double(real, text);
                break;
        case SCOPE_OPTION_TEXT:
                scope_toml_quote(field, text);
                break;
        case SCOPE_OPTION_ENUM:
                scope_toml_quote(load_name(row, base), text);
                break;
        case SCOPE_OPTION_DURATION:
        case SCOPE_OPTION_SIZE:
                print_with_unit(units_of(row), load_int(row, base), "\"", text);
                break;
        }
}

void scope_option_json(const struct scope_option *row, const void *base, const char *key,
        struct scope_text *text)
{
        const char *field = (const char *)base + row->offset;
        double number = 0;
        bool truth;
        switch (row->type) {
        case SCOPE_OPTION_BOOL:
                memcpy(&truth, field, sizeof truth);
                scope_json_bool(text, key, truth);
                break;
        case SCOPE_OPTION_INT:
        case SCOPE_OPTION_SIZE:
                scope_json_int(text, key, load_int(row, base));
                break;
        case SCOPE_OPTION_TEXT:
                scope_json_text(text, key, field);
                break;
        case SCOPE_OPTION_ENUM:
                scope_json_text(text, key, load_name(row, base));
                break;
        case SCOPE_OPTION_FLOAT:
        case SCOPE_OPTION_DURATION:
                (void)scope_option_number(row, base, &number); /* both have one */
                scope_json_double(text, key, number);
                break;
        }
}

bool scope_option_number(const struct scope_option *row, const void *base, double *ret_number)
{
        switch (row->type) {
        case SCOPE_OPTION_INT:
        case SCOPE_OPTION_SIZE:
                *ret_number = (double)load_int(row, base);
                return true;
        case SCOPE_OPTION_DURATION:
                *ret_number = (double)load_int(row, base) / 1e9;
                return true;
        case SCOPE_OPTION_FLOAT:
                memcpy(ret_number, (const char *)base + row->offset, sizeof *ret_number);
                return true;
        case SCOPE_OPTION_BOOL:
        case SCOPE_OPTION_TEXT:
        case SCOPE_OPTION_ENUM:
                return false;
        }
        return false;
}
