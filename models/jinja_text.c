/* jinja_text.c - values as text: Python's str(), repr() and json.dumps(), and code points. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "models/jinja.h"
#include "models/jinja_parts.h"

/* ---- code points ---- */

size_t scope_jinja_character(const char *at, size_t bytes)
{
        unsigned char lead = (unsigned char)at[0];
        size_t wanted = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4, count = 1;
        while (count < wanted && count < bytes && ((unsigned char)at[count] & 0xc0) == 0x80)
                count++;
        return count;
}

static uint32_t code_point(const char *at, size_t bytes)
{
        const unsigned char *u = (const unsigned char *)at;
        if (bytes == 2)
                return (u[0] & 31u) << 6 | (u[1] & 63u);
        if (bytes == 3)
                return (u[0] & 15u) << 12 | (u[1] & 63u) << 6 | (u[2] & 63u);
        if (bytes == 4)
                return (u[0] & 7u) << 18 | (u[1] & 63u) << 12 | (u[2] & 63u) << 6 | (u[3] & 63u);
        return u[0];
}

size_t scope_jinja_space(const char *at, size_t bytes)
{
        if (bytes == 0)
                return 0;
        size_t count = scope_jinja_character(at, bytes);
        uint32_t c = code_point(at, count);
        bool space = (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) ||
                     (count == 2 && (c == 0x85 || c == 0xa0)) || c == 0x1680 ||
                     (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
                     c == 0x205f || c == 0x3000;
        return space ? count : 0;
}

size_t scope_jinja_characters(struct scope_jinja_string string)
{
        size_t count = 0;
        for (size_t at = 0; at < string.bytes; count++)
                at += scope_jinja_character(string.at + at, string.bytes - at);
        return count;
}

size_t scope_jinja_byte_of(struct scope_jinja_string string, size_t index)
{
        size_t at = 0;
        for (size_t i = 0; i < index && at < string.bytes; i++)
                at += scope_jinja_character(string.at + at, string.bytes - at);
        return at;
}

/* ---- str and repr ---- */

static void write_integer(int64_t value, struct scope_text *text)
{
        scope_text_format(text, "%" PRId64, value);
}

/* The fewest digits that read back equal, in Python's form: 1.0, 1e+16, 1e-05. */
static void write_float(double value, struct scope_text *text)
{
        char digits[40] = "";
        if (!isfinite(value)) {
                scope_text_string(text, isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
                return;
        }
        for (int precision = 1; precision <= 17; precision++) {
                (void)snprintf(digits, sizeof digits, "%.*e", precision - 1, value);
                if (strtod(digits, NULL) == value)
                        break;
        }
        char *mark = strchr(digits, 'e');
        int exponent = mark != NULL ? atoi(mark + 1) : 0;
        int count = 0;
        for (const char *at = digits; at < mark; at++)
                count += *at >= '0' && *at <= '9';
        if (exponent >= -4 && exponent < 16) {
                int places = count - 1 - exponent;
                (void)snprintf(digits, sizeof digits, "%.*f", places > 1 ? places : 1, value);
                scope_text_string(text, digits);
        } else
                scope_text_string(text, digits);
}

static void write_quoted(struct scope_jinja_string string, struct scope_text *text)
{
        bool single = memchr(string.at, '\'', string.bytes) != NULL,
             twofold = memchr(string.at, '"', string.bytes) != NULL;
        char quote = single && !twofold ? '"' : '\'';
        scope_text_add(text, &quote, 1);
        for (size_t at = 0; at < string.bytes;) {
                size_t bytes = scope_jinja_character(string.at + at, string.bytes - at);
                uint32_t c = code_point(string.at + at, bytes);
                if (c == (unsigned char)quote || c == '\\')
                        scope_text_format(text, "\\%c", (int)c);
                else if (c == '\n' || c == '\t' || c == '\r')
                        scope_text_format(text, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
                else if (c < 32 || c == 127 || (bytes == 2 && (c <= 0xa0 || c == 0xad)))
                        scope_text_format(text, "\\x%02x", (unsigned)c);
                else
                        scope_text_add(text, string.at + at, bytes);
                at += bytes;
        }
        scope_text_add(text, &quote, 1);
}

static void write_items(
        struct scope_jinja_run *run, struct scope_jinja_value value, struct scope_text *text)
{
        bool tuple = value.kind == SCOPE_JINJA_TUPLE;
        const struct scope_jinja_list *list = value.as.list;
        scope_text_string(text, tuple ? "(" : "[");
        for (size_t i = 0; i < list->count && run->err == SCOPE_OK; i++) {
                scope_text_string(text, i > 0 ? ", " : "");
                scope_jinja_write(run, list->items[i], true, text);
        }
        scope_text_string(text, tuple ? list->count == 1 ? ",)" : ")" : "]");
}

static void write_pairs(
        struct scope_jinja_run *run, const struct scope_jinja_dict *dict, struct scope_text *text)
{
        scope_text_string(text, "{");
        for (size_t i = 0; i < dict->count && run->err == SCOPE_OK; i++) {
                scope_text_string(text, i > 0 ? ", " : "");
                scope_jinja_write(run, dict->pairs[i].key, true, text);
                scope_text_string(text, ": ");
                scope_jinja_write(run, dict->pairs[i].value, true, text);
        }
        scope_text_string(text, "}");
}

static void write_deep(struct scope_jinja_run *run, struct scope_jinja_value value, bool repr,
        struct scope_text *text)
{
        switch (value.kind) {
        case SCOPE_JINJA_UNDEFINED:
                scope_text_string(text, repr ? "Undefined" : "");
                break;
        case SCOPE_JINJA_NONE:
                scope_text_string(text, "None");
                break;
        case SCOPE_JINJA_BOOL:
                scope_text_string(text, value.as.truth ? "True" : "False");
                break;
        case SCOPE_JINJA_INT:
                write_integer(value.as.integer, text);
                break;
        case SCOPE_JINJA_FLOAT:
                write_float(value.as.real, text);
                break;
        case SCOPE_JINJA_STRING:
                if (repr)
                        write_quoted(value.as.string, text);
                else
                        scope_text_add(text, value.as.string.at, value.as.string.bytes);
                break;
        case SCOPE_JINJA_LIST:
        case SCOPE_JINJA_TUPLE:
                write_items(run, value, text);
                break;
        case SCOPE_JINJA_DICT:
                write_pairs(run, value.as.dict, text);
                break;
        default:
                (void)scope_jinja_fail(run, SCOPE_ERR_UNSUPPORTED, "%s cannot be written as text",
                        scope_jinja_kind_name(value));
                break;
        }
}

void scope_jinja_write(struct scope_jinja_run *run, struct scope_jinja_value value, bool repr,
        struct scope_text *text)
{
        size_t before = text->count;
        if (scope_jinja_deeper(run, &run->depth))
                write_deep(run, value, repr, text);
        run->depth--;
        (void)scope_jinja_step(run, text->count - before);
        if (text->failed)
                (void)scope_jinja_fail(run, SCOPE_ERR_LIMIT, "the text is over %d MiB long",
                        SCOPE_JINJA_OUTPUT_MAX >> 20);
}

struct scope_jinja_string scope_jinja_str(
        struct scope_jinja_run *run, struct scope_jinja_value value)
{
        if (value.kind == SCOPE_JINJA_STRING)
                return value.as.string;
        struct scope_text text = { .limit = SCOPE_JINJA_OUTPUT_MAX };
        scope_jinja_write(run, value, false, &text);
        struct scope_jinja_value copy = scope_jinja_copy(run, text.bytes, text.count);
        scope_text_fini(&text);
        if (copy.kind != SCOPE_JINJA_STRING)
                return (struct scope_jinja_string){ "", 0 };
        return copy.as.string;
}

/* ---- JSON ---- */

static void write_json_string(struct scope_jinja_string string, struct scope_text *text)
{
        scope_text_string(text, "\"");
        for (size_t i = 0; i < string.bytes; i++) {
                unsigned char c = (unsigned char)string.at[i];
                const char *short_form = c == '"'    ? "\\\""
                                         : c == '\\' ? "\\\\"
                                         : c == '\n' ? "\\n"
                                         : c == '\r' ? "\\r"
                                         : c == '\t' ? "\\t"
                                         : c == '\f' ? "\\f"
                                         : c == '\b' ? "\\b"
                                                     : NULL;
                if (short_form != NULL)
                        scope_text_string(text, short_form);
                else if (c < 32)
                        scope_text_format(text, "\\u%04x", c);
                else
                        scope_text_add(text, (const char *)&c, 1);
        }
        scope_text_string(text, "\"");
}

static void new_line(int64_t indent, uint32_t level, struct scope_text *text)
{
        if (indent < 0)
                return;
        scope_text_string(text, "\n");
        for (int64_t i = 0; i < indent * (int64_t)level && !text->failed; i++)
                scope_text_string(text, " ");
}

struct dumping {
        int64_t indent; /* -1 = on one line */
        bool sort_keys;
};

static void dump(struct scope_jinja_run *run, struct scope_jinja_value value,
        const struct dumping *how, uint32_t level, struct scope_text *text);

static void dump_key(
        struct scope_jinja_run *run, struct scope_jinja_value key, struct scope_text *text)
{
        if (key.kind == SCOPE_JINJA_STRING) {
                write_json_string(key.as.string, text);
        } else if (key.kind == SCOPE_JINJA_INT) {
                scope_text_string(text, "\"");
                write_integer(key.as.integer, text);
                scope_text_string(text, "\"");
        } else
                (void)scope_jinja_fail(run, SCOPE_ERR_UNSUPPORTED, "tojson: a key that is %s",
                        scope_jinja_kind_name(key));
}

/* The pair that comes next after `last` in the order of the keys. */
static size_t next_sorted(
        struct scope_jinja_run *run, const struct scope_jinja_dict *dict, size_t last)
{
        size_t best = dict->count;
        for (size_t i = 0; i < dict->count && run->err == SCOPE_OK; i++) {
                struct scope_jinja_value key = dict->pairs[i].key;
                bool later = last == dict->count ||
                             scope_jinja_order(run, key, dict->pairs[last].key, "<") > 0;
                if (later && (best == dict->count ||
                                     scope_jinja_order(run, key, dict->pairs[best].key, "<") < 0))
                        best = i;
        }
        return best;
}

static void dump_dict(struct scope_jinja_run *run, const struct scope_jinja_dict *dict,
        const struct dumping *how, uint32_t level, struct scope_text *text)
{
        size_t last = dict->count;
        scope_text_string(text, "{");
        for (size_t i = 0; i < dict->count && run->err == SCOPE_OK; i++) {
                size_t at = how->sort_keys ? next_sorted(run, dict, last) : i;
                if (at == dict->count)
                        break;
                last = at;
                scope_text_string(text, i == 0 ? "" : how->indent >= 0 ? "," : ", ");
                new_line(how->indent, level + 1, text);
                dump_key(run, dict->pairs[at].key, text);
                scope_text_string(text, ": ");
                dump(run, dict->pairs[at].value, how, level + 1, text);
        }
        if (dict->count > 0)
                new_line(how->indent, level, text);
        scope_text_string(text, "}");
}

static void dump_list(struct scope_jinja_run *run, const struct scope_jinja_list *list,
        const struct dumping *how, uint32_t level, struct scope_text *text)
{
        scope_text_string(text, "[");
        for (size_t i = 0; i < list->count && run->err == SCOPE_OK; i++) {
                scope_text_string(text, i == 0 ? "" : how->indent >= 0 ? "," : ", ");
                new_line(how->indent, level + 1, text);
                dump(run, list->items[i], how, level + 1, text);
        }
        if (list->count > 0)
                new_line(how->indent, level, text);
        scope_text_string(text, "]");
}

static void dump_one(struct scope_jinja_run *run, struct scope_jinja_value value,
        const struct dumping *how, uint32_t level, struct scope_text *text)
{
        switch (value.kind) {
        case SCOPE_JINJA_NONE:
                scope_text_string(text, "null");
                break;
        case SCOPE_JINJA_BOOL:
                scope_text_string(text, value.as.truth ? "true" : "false");
                break;
        case SCOPE_JINJA_INT:
                write_integer(value.as.integer, text);
                break;
        case SCOPE_JINJA_FLOAT:
                if (isfinite(value.as.real))
                        write_float(value.as.real, text);
                else
                        scope_text_string(text, isnan(value.as.real) ? "NaN"
                                                : value.as.real > 0  ? "Infinity"
                                                                     : "-Infinity");
                break;
        case SCOPE_JINJA_STRING:
                write_json_string(value.as.string, text);
                break;
        case SCOPE_JINJA_LIST:
        case SCOPE_JINJA_TUPLE:
                dump_list(run, value.as.list, how, level, text);
                break;
        case SCOPE_JINJA_DICT:
                dump_dict(run, value.as.dict, how, level, text);
                break;
        default:
                (void)scope_jinja_fail(run, SCOPE_ERR_FORMAT, "filter 'tojson': %s is not JSON",
                        scope_jinja_kind_name(value));
                break;
        }
}

static void dump(struct scope_jinja_run *run, struct scope_jinja_value value,
        const struct dumping *how, uint32_t level, struct scope_text *text)
{
        if (scope_jinja_deeper(run, &run->depth))
                dump_one(run, value, how, level, text);
        run->depth--;
        (void)scope_jinja_step(run, 0);
}

void scope_jinja_json(struct scope_jinja_run *run, struct scope_jinja_value value, int64_t indent,
        bool sort_keys, struct scope_text *text)
{
        struct dumping how = { indent, sort_keys };
        dump(run, value, &how, 0, text);
        (void)scope_jinja_step(run, text->count);
        if (text->failed)
                (void)scope_jinja_fail(run, SCOPE_ERR_LIMIT, "the text is over %d MiB long",
                        SCOPE_JINJA_OUTPUT_MAX >> 20);
}
