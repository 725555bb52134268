/* jinja_filter.c - what may follow "|". */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "models/jinja.h"
#include "models/jinja_parts.h"

enum { PARAMETERS_MAX = 4, INDENT_MAX = 64, SORT_MAX = 4096 };

struct filtering {
        struct scope_jinja_run *run;
        struct scope_jinja_value value;
        const struct scope_jinja_arguments *arguments;
        const char *const *parameters;
        const char *name;
};

static struct scope_jinja_value argument(const struct filtering *f, size_t index)
{
        return scope_jinja_argument(f->run, f->arguments, index, f->parameters[index]);
}

static bool given(struct scope_jinja_value value)
{
        return value.kind != SCOPE_JINJA_UNDEFINED && value.kind != SCOPE_JINJA_NONE;
}

static bool flag(const struct filtering *f, size_t index)
{
        struct scope_jinja_value value = argument(f, index);
        return scope_jinja_truth(&value);
}

static int64_t integer(const struct filtering *f, size_t index, int64_t standard)
{
        struct scope_jinja_value value = argument(f, index);
        if (given(value) && value.kind != SCOPE_JINJA_INT)
                (void)scope_jinja_fail(f->run, SCOPE_ERR_UNSUPPORTED,
                        "filter '%s': '%s' is %s, not an integer", f->name, f->parameters[index],
                        scope_jinja_kind_name(value));
        return value.kind == SCOPE_JINJA_INT ? value.as.integer : standard;
}

static struct scope_jinja_value wrong(const struct filtering *f)
{
        return scope_jinja_fail(f->run, SCOPE_ERR_FORMAT, "filter '%s' of %s", f->name,
                scope_jinja_kind_name(f->value));
}

static struct scope_jinja_value iterate(const struct filtering *f)
{
        return scope_jinja_iterate(f->run, f->value);
}

/* ---- text ---- */

static struct scope_jinja_value filter_trim(const struct filtering *f)
{
        struct scope_jinja_string text = scope_jinja_str(f->run, f->value);
        struct scope_jinja_value set = argument(f, 0);
        if (!given(set))
                return scope_jinja_strip(text, NULL, true, true);
        if (set.kind != SCOPE_JINJA_STRING || set.as.string.bytes > 256)
                return scope_jinja_fail(
                        f->run, SCOPE_ERR_UNSUPPORTED, "filter 'trim' of such a set");
        return scope_jinja_strip(text, &set.as.string, true, true);
}

static struct scope_jinja_value filter_upper(const struct filtering *f)
{
        return scope_jinja_case(f->run, scope_jinja_str(f->run, f->value), 'u');
}
static struct scope_jinja_value filter_lower(const struct filtering *f)
{
        return scope_jinja_case(f->run, scope_jinja_str(f->run, f->value), 'l');
}
static struct scope_jinja_value filter_capitalize(const struct filtering *f)
{
        return scope_jinja_case(f->run, scope_jinja_str(f->run, f->value), 'c');
}

static struct scope_jinja_value filter_replace(const struct filtering *f)
{
        struct scope_jinja_string text = scope_jinja_str(f->run, f->value),
                                  from = scope_jinja_str(f->run, argument(f, 0)),
                                  to = scope_jinja_str(f->run, argument(f, 1));
        return scope_jinja_replace(f->run, text, from, to, integer(f, 2, -1));
}

static struct scope_jinja_value filter_string(const struct filtering *f)
{
        struct scope_jinja_string text = scope_jinja_str(f->run, f->value);
        return scope_jinja_text(text.at, text.bytes);
}

static struct scope_jinja_value filter_indent(const struct filtering *f)
{
        struct scope_jinja_string text = scope_jinja_str(f->run, f->value);
        int64_t width = integer(f, 0, 4);
        bool first = flag(f, 1), blank = flag(f, 2);
        struct scope_text out = { .limit = SCOPE_JINJA_OUTPUT_MAX };
        if (width < 0 || width > INDENT_MAX)
                return scope_jinja_fail(f->run, SCOPE_ERR_UNSUPPORTED,
                        "filter 'indent' by more than %d", INDENT_MAX);
        for (size_t at = 0, line = 0; at < text.bytes || line == 0; line++) {
                const char *newline =
                        at < text.bytes ? memchr(text.at + at, '\n', text.bytes - at) : NULL;
                size_t end = newline != NULL ? (size_t)(newline - text.at) : text.bytes;
                bool indented = line == 0 ? first : blank || end > at;
                for (int64_t i = 0; indented && i < width; i++)
                        scope_text_string(&out, " ");
                scope_text_add(&out, text.at + at, end - at);
                if (newline != NULL)
                        scope_text_string(&out, "\n");
                if (newline != NULL && end + 1 == text.bytes && blank)
                        for (int64_t i = 0; i < width; i++)
                                scope_text_string(&out, " ");
                at = end + 1;
        }
        if (out.failed)
                (void)scope_jinja_fail(f->run, SCOPE_ERR_LIMIT, "filter 'indent' makes too much");
        struct scope_jinja_value value = scope_jinja_copy(f->run, out.bytes, out.count);
        scope_text_fini(&out);
        return value;
}

static struct scope_jinja_value filter_tojson(const struct filtering *f)
{
        struct scope_text text = { .limit = SCOPE_JINJA_OUTPUT_MAX };
        if (given(argument(f, 2)) || flag(f, 0))
                return scope_jinja_fail(f->run, SCOPE_ERR_UNSUPPORTED,
                        "filter 'tojson' with ensure_ascii or separators");
        int64_t indent = integer(f, 1, -1);
        if (indent > INDENT_MAX)
                return scope_jinja_fail(f->run, SCOPE_ERR_UNSUPPORTED,
                        "filter 'tojson' with indent over %d", INDENT_MAX);
        if (f->run->err == SCOPE_OK)
                scope_jinja_json(f->run, f->value, indent, flag(f, 3), &text);
        struct scope_jinja_value value = scope_jinja_copy(f->run, text.bytes, text.count);
        scope_text_fini(&text);
        return value;
}

/* ---- numbers ---- */

/* The number a text spells, Python's way; false where it spells none. */
static bool spelled(struct scope_jinja_string text, bool whole, struct scope_jinja_value *ret_value)
{
        char digits[64], *end;
        struct scope_jinja_string bare = scope_jinja_strip(text, NULL, true, true).as.string;
        if (bare.bytes == 0 || bare.bytes >= sizeof digits)
                return false;
        memcpy(digits, bare.at, bare.bytes);
        digits[bare.bytes] = 0;
        if (strspn(digits, whole ? "+-0123456789" : "+-.0123456789eE") != bare.bytes)
                return false;
        if (whole)
                *ret_value = scope_jinja_int(strtoll(digits, &end, 10));
        else
                *ret_value = (struct scope_jinja_value){ SCOPE_JINJA_FLOAT,
                        { .real = strtod(digits, &end) } };
        return *end == 0;
}

static struct scope_jinja_value filter_int(const struct filtering *f)
{
        struct scope_jinja_value value = f->value, standard = argument(f, 0);
        if (value.kind == SCOPE_JINJA_UNDEFINED)
                return wrong(f);
        if (value.kind == SCOPE_JINJA_STRING) {
                if (spelled(value.as.string, true, &value))
                        return value;
                if (!spelled(value.as.string, false, &value))
                        value.kind = SCOPE_JINJA_NONE;
        }
        if (value.kind == SCOPE_JINJA_INT || value.kind == SCOPE_JINJA_BOOL)
                return scope_jinja_int((int64_t)scope_jinja_number(value));
        if (value.kind == SCOPE_JINJA_FLOAT && fabs(value.as.real) < 9e18)
                return scope_jinja_int((int64_t)value.as.real);
        return given(standard) ? standard : scope_jinja_int(0);
}

static struct scope_jinja_value filter_float(const struct filtering *f)
{
        struct scope_jinja_value value = f->value, standard = argument(f, 0);
        if (value.kind == SCOPE_JINJA_UNDEFINED)
                return wrong(f);
        if (value.kind == SCOPE_JINJA_STRING && !spelled(value.as.string, false, &value))
                value.kind = SCOPE_JINJA_NONE;
        if (scope_jinja_is_number(value))
                return (struct scope_jinja_value){ SCOPE_JINJA_FLOAT,
                        { .real = scope_jinja_number(value) } };
        return given(standard) ? standard
                               : (struct scope_jinja_value){ SCOPE_JINJA_FLOAT, { .real = 0 } };
}

static struct scope_jinja_value filter_abs(const struct filtering *f)
{
        if (!scope_jinja_is_number(f->value))
                return wrong(f);
        if (f->value.kind == SCOPE_JINJA_BOOL)
                return scope_jinja_int(f->value.as.truth);
        if (scope_jinja_number(f->value) >= 0)
                return f->value;
        if (f->value.kind == SCOPE_JINJA_FLOAT)
                return (struct scope_jinja_value){ SCOPE_JINJA_FLOAT,
                        { .real = -f->value.as.real } };
        return scope_jinja_arithmetic(f->run, '-', scope_jinja_int(0), f->value);
}

/* ---- items ---- */

static struct scope_jinja_value filter_length(const struct filtering *f)
{
        switch (f->value.kind) {
        case SCOPE_JINJA_UNDEFINED:
                return scope_jinja_int(0);
        case SCOPE_JINJA_STRING:
                (void)scope_jinja_step(f->run, f->value.as.string.bytes);
                return scope_jinja_int((int64_t)scope_jinja_characters(f->value.as.string));
        case SCOPE_JINJA_LIST:
        case SCOPE_JINJA_TUPLE:
                return scope_jinja_int((int64_t)f->value.as.list->count);
        case SCOPE_JINJA_DICT:
                return scope_jinja_int((int64_t)f->value.as.dict->count);
        default:
                return wrong(f);
        }
}

static struct scope_jinja_value filter_default(const struct filtering *f)
{
        bool missing = f->value.kind == SCOPE_JINJA_UNDEFINED ||
                       (flag(f, 1) && !scope_jinja_truth(&f->value));
        if (!missing)
                return f->value;
        bool none = f->arguments->place.as.list->count + f->arguments->named.as.dict->count == 0;
        return none ? scope_jinja_text("", 0) : argument(f, 0);
}

/* value.a.b for "a.b"; a number is an index. */
static struct scope_jinja_value path_of(
        struct scope_jinja_run *run, struct scope_jinja_value value, struct scope_jinja_value path)
{
        if (path.kind != SCOPE_JINJA_STRING)
                return scope_jinja_item(run, value, path);
        struct scope_jinja_string rest = path.as.string;
        for (bool more = true; more && run->err == SCOPE_OK;) {
                const char *dot = rest.bytes > 0 ? memchr(rest.at, '.', rest.bytes) : NULL;
                size_t bytes = dot != NULL ? (size_t)(dot - rest.at) : rest.bytes;
                struct scope_jinja_value key = scope_jinja_text(rest.at, bytes), index;
                if (bytes > 0 && rest.at[0] >= '0' && rest.at[0] <= '9' &&
                        spelled(key.as.string, true, &index))
                        key = index;
                value = scope_jinja_item(run, value, key);
                more = dot != NULL;
                rest = (struct scope_jinja_string){ rest.at + bytes + more,
                        rest.bytes - bytes - more };
        }
        return value;
}

static struct scope_jinja_value filter_join(const struct filtering *f)
{
        struct scope_jinja_value items = iterate(f), attribute = argument(f, 1);
        struct scope_jinja_string between = scope_jinja_str(f->run, argument(f, 0));
        struct scope_text text = { .limit = SCOPE_JINJA_OUTPUT_MAX };
        for (size_t i = 0; f->run->err == SCOPE_OK && i < items.as.list->count; i++) {
                struct scope_jinja_value item = items.as.list->items[i];
                if (given(attribute))
                        item = path_of(f->run, item, attribute);
                if (i > 0)
                        scope_text_add(&text, between.at, between.bytes);
                scope_jinja_write(f->run, item, false, &text);
        }
        struct scope_jinja_value value = scope_jinja_copy(f->run, text.bytes, text.count);
        scope_text_fini(&text);
        return value;
}

static struct scope_jinja_value one_of(const struct filtering *f, bool last)
{
        if (last && f->value.kind == SCOPE_JINJA_GENERATOR)
                return wrong(f);
        struct scope_jinja_value items = iterate(f);
        if (f->run->err != SCOPE_OK)
                return items;
        size_t count = items.as.list->count;
        if (count == 0)
                return scope_jinja_undefined("an item of nothing", 18);
        return items.as.list->items[last ? count - 1 : 0];
}
static struct scope_jinja_value filter_first(const struct filtering *f)
{
        return one_of(f, false);
}
static struct scope_jinja_value filter_last(const struct filtering *f)
{
        return one_of(f, true);
}

static struct scope_jinja_value filter_list(const struct filtering *f)
{
        struct scope_jinja_value items = iterate(f),
                                 list = scope_jinja_list(f->run, SCOPE_JINJA_LIST);
        for (size_t i = 0; f->run->err == SCOPE_OK && i < items.as.list->count; i++)
                scope_jinja_push(f->run, list, items.as.list->items[i]);
        return list;
}

static struct scope_jinja_value filter_items(const struct filtering *f)
{
        struct scope_jinja_value list = scope_jinja_list(f->run, SCOPE_JINJA_GENERATOR);
        if (f->value.kind == SCOPE_JINJA_UNDEFINED)
                return list;
        if (f->value.kind != SCOPE_JINJA_DICT)
                return wrong(f);
        for (size_t i = 0; f->run->err == SCOPE_OK && i < f->value.as.dict->count; i++) {
                struct scope_jinja_value both = scope_jinja_list(f->run, SCOPE_JINJA_TUPLE);
                scope_jinja_push(f->run, both, f->value.as.dict->pairs[i].key);
                scope_jinja_push(f->run, both, f->value.as.dict->pairs[i].value);
                scope_jinja_push(f->run, list, both);
        }
        return list;
}

static struct scope_jinja_value filter_reverse(const struct filtering *f)
{
        const struct scope_jinja_value bounds[3] = { { 0 }, { 0 }, scope_jinja_int(-1) };
        if (f->value.kind == SCOPE_JINJA_STRING)
                return scope_jinja_slice(f->run, f->value, bounds);
        struct scope_jinja_value items = iterate(f), back;
        back = scope_jinja_list(f->run, SCOPE_JINJA_GENERATOR);
        for (size_t i = f->run->err == SCOPE_OK ? items.as.list->count : 0; i > 0; i--)
                scope_jinja_push(f->run, back, items.as.list->items[i - 1]);
        return back;
}

/* Names with a suffix of the arguments of `f`, from `skip` on: those of an inner filter or test. */
static struct scope_jinja_arguments rest_of(const struct filtering *f, size_t skip)
{
        struct scope_jinja_arguments rest = { scope_jinja_list(f->run, SCOPE_JINJA_LIST),
                f->arguments->named };
        for (size_t i = skip; f->run->err == SCOPE_OK && i < f->arguments->place.as.list->count;
                i++)
                scope_jinja_push(f->run, rest.place, f->arguments->place.as.list->items[i]);
        return rest;
}

static struct scope_jinja_value filter_map(const struct filtering *f)
{
        const struct scope_jinja_list *place = f->arguments->place.as.list;
        struct scope_jinja_value items = iterate(f), attribute, standard,
                                 out = scope_jinja_list(f->run, SCOPE_JINJA_GENERATOR);
        struct scope_jinja_arguments rest = rest_of(f, 1);
        attribute = scope_jinja_argument(f->run, f->arguments, SIZE_MAX, "attribute");
        standard = scope_jinja_argument(f->run, f->arguments, SIZE_MAX, "default");
        bool by_name = place->count > 0 && place->items[0].kind == SCOPE_JINJA_STRING;
        if (f->run->err == SCOPE_OK && !by_name && !given(attribute))
                return scope_jinja_fail(
                        f->run, SCOPE_ERR_FORMAT, "filter 'map' wants a filter or attribute=");
        for (size_t i = 0; f->run->err == SCOPE_OK && i < items.as.list->count; i++) {
                struct scope_jinja_value item = items.as.list->items[i];
                if (by_name)
                        item = scope_jinja_apply_filter(
                                f->run, place->items[0].as.string, item, &rest);
                else
                        item = path_of(f->run, item, attribute);
                if (!by_name && item.kind == SCOPE_JINJA_UNDEFINED && given(standard))
                        item = standard;
                scope_jinja_push(f->run, out, item);
        }
        return out;
}

/* select and reject, selectattr and rejectattr: the items for which a test holds, or not. */
static struct scope_jinja_value choose(const struct filtering *f, bool attribute, bool wanted)
{
        const struct scope_jinja_list *place = f->arguments->place.as.list;
        size_t test = attribute ? 1 : 0;
        struct scope_jinja_value items = iterate(f),
                                 out = scope_jinja_list(f->run, SCOPE_JINJA_GENERATOR);
        struct scope_jinja_arguments rest = rest_of(f, test + 1);
        if (f->run->err == SCOPE_OK && attribute && place->count == 0)
                return scope_jinja_fail(
                        f->run, SCOPE_ERR_FORMAT, "filter '%s' wants an attribute", f->name);
        if (f->run->err == SCOPE_OK && place->count > test &&
                place->items[test].kind != SCOPE_JINJA_STRING)
                return scope_jinja_fail(
                        f->run, SCOPE_ERR_FORMAT, "filter '%s' wants the name of a test", f->name);
        for (size_t i = 0; f->run->err == SCOPE_OK && i < items.as.list->count; i++) {
                struct scope_jinja_value item = items.as.list->items[i], looked = item;
                if (attribute)
                        looked = path_of(f->run, item, place->items[0]);
                bool holds = place->count > test
                                     ? scope_jinja_apply_test(
                                               f->run, place->items[test].as.string, looked, &rest)
                                     : scope_jinja_truth(&looked);
                if (holds == wanted)
                        scope_jinja_push(f->run, out, item);
        }
        return out;
}
static struct scope_jinja_value filter_select(const struct filtering *f)
{
        return choose(f, false, true);
}
static struct scope_jinja_value filter_reject(const struct filtering *f)
{
        return choose(f, false, false);
}
static struct scope_jinja_value filter_selectattr(const struct filtering *f)
{
        return choose(f, true, true);
}
static struct scope_jinja_value filter_rejectattr(const struct filtering *f)
{
        return choose(f, true, false);
}

/* What items are sorted and told apart by: texts without case, unless told otherwise. */
static struct scope_jinja_value sort_key(const struct filtering *f, struct scope_jinja_value item,
        bool case_sensitive, struct scope_jinja_value attribute)
{
        if (given(attribute))
                item = path_of(f->run, item, attribute);
        if (item.kind == SCOPE_JINJA_STRING && !case_sensitive)
                return scope_jinja_case(f->run, item.as.string, 'l');
        return item;
}

/* By insertion: short lists, and stable. */
static struct scope_jinja_value filter_sort(const struct filtering *f)
{
        struct scope_jinja_value items = filter_list(f), attribute = argument(f, 2), keys;
        bool reverse = flag(f, 0), case_sensitive = flag(f, 1);
        keys = scope_jinja_list(f->run, SCOPE_JINJA_LIST);
        if (f->run->err == SCOPE_OK && items.as.list->count > SORT_MAX)
                return scope_jinja_fail(
                        f->run, SCOPE_ERR_LIMIT, "filter 'sort' of more than %d items", SORT_MAX);
        for (size_t i = 0; f->run->err == SCOPE_OK && i < items.as.list->count; i++) {
                struct scope_jinja_value item = items.as.list->items[i],
                                         key = sort_key(f, item, case_sensitive, attribute);
                size_t at = i;
                scope_jinja_push(f->run, keys, key);
                while (f->run->err == SCOPE_OK && at > 0 && scope_jinja_step(f->run, 0)) {
                        int order =
                                scope_jinja_order(f->run, key, keys.as.list->items[at - 1], "<");
                        if (reverse ? order <= 0 : order >= 0)
                                break;
                        keys.as.list->items[at] = keys.as.list->items[at - 1];
                        items.as.list->items[at] = items.as.list->items[at - 1];
                        at--;
                }
                if (f->run->err != SCOPE_OK)
                        break;
                keys.as.list->items[at] = key;
                items.as.list->items[at] = item;
        }
        return items;
}

/* The pairs of a mapping, in the order of their keys, or of their values where by='value'. */
static struct scope_jinja_value filter_dictsort(const struct filtering *f)
{
        static const char *const parameters[] = { "reverse", "case_sensitive", "attribute" };
        struct scope_jinja_value by = argument(f, 1);
        struct scope_jinja_arguments arguments = { scope_jinja_list(f->run, SCOPE_JINJA_LIST),
                scope_jinja_dict(f->run, SCOPE_JINJA_DICT) };
        bool by_value = by.kind == SCOPE_JINJA_STRING && scope_jinja_is(by.as.string, "value");
        if (f->value.kind != SCOPE_JINJA_DICT)
                return wrong(f);
        scope_jinja_push(f->run, arguments.place, scope_jinja_bool(flag(f, 2)));
        scope_jinja_push(f->run, arguments.place, scope_jinja_bool(flag(f, 0)));
        scope_jinja_push(f->run, arguments.place, scope_jinja_int(by_value ? 1 : 0));
        struct filtering pairs = { f->run, filter_items(f), &arguments, parameters, f->name };
        return filter_sort(&pairs);
}

static struct scope_jinja_value filter_unique(const struct filtering *f)
{
        struct scope_jinja_value items = iterate(f), attribute = argument(f, 1);
        struct scope_jinja_value seen = scope_jinja_list(f->run, SCOPE_JINJA_LIST),
                                 out = scope_jinja_list(f->run, SCOPE_JINJA_GENERATOR);
        bool case_sensitive = flag(f, 0);
        for (size_t i = 0; f->run->err == SCOPE_OK && i < items.as.list->count; i++) {
                struct scope_jinja_value item = items.as.list->items[i],
                                         key = sort_key(f, item, case_sensitive, attribute);
                if (!scope_jinja_is_key(f->run, key) || scope_jinja_contains(f->run, seen, key))
                        continue;
                scope_jinja_push(f->run, seen, key);
                scope_jinja_push(f->run, out, item);
        }
        return out;
}

static struct scope_jinja_value filter_sum(const struct filtering *f)
{
        struct scope_jinja_value items = iterate(f), attribute = argument(f, 0),
                                 sum = argument(f, 1);
        if (!given(sum))
                sum = scope_jinja_int(0);
        for (size_t i = 0; f->run->err == SCOPE_OK && i < items.as.list->count; i++) {
                struct scope_jinja_value item = items.as.list->items[i];
                if (given(attribute))
                        item = path_of(f->run, item, attribute);
                sum = scope_jinja_arithmetic(f->run, '+', sum, item);
        }
        return sum;
}

/* ---- the table ---- */

static const struct row {
        const char *name;
        struct scope_jinja_value (*run)(const struct filtering *f);
        const char *parameters[PARAMETERS_MAX]; /* "*": the filter looks itself */
} rows[] = {
        { "trim", filter_trim, { "chars" } },
        { "length", filter_length, { 0 } },
        { "count", filter_length, { 0 } },
        { "tojson", filter_tojson, { "ensure_ascii", "indent", "separators", "sort_keys" } },
        { "default", filter_default, { "default_value", "boolean" } },
        { "d", filter_default, { "default_value", "boolean" } },
        { "join", filter_join, { "d", "attribute" } },
        { "upper", filter_upper, { 0 } },
        { "lower", filter_lower, { 0 } },
        { "capitalize", filter_capitalize, { 0 } },
        { "replace", filter_replace, { "old", "new", "count" } },
        { "first", filter_first, { 0 } },
        { "last", filter_last, { 0 } },
        { "items", filter_items, { 0 } },
        { "list", filter_list, { 0 } },
        { "string", filter_string, { 0 } },
        { "safe", filter_string, { 0 } },
        { "int", filter_int, { "default" } },
        { "float", filter_float, { "default" } },
        { "abs", filter_abs, { 0 } },
        { "map", filter_map, { "*" } },
        { "select", filter_select, { "*" } },
        { "reject", filter_reject, { "*" } },
        { "selectattr", filter_selectattr, { "*" } },
        { "rejectattr", filter_rejectattr, { "*" } },
        { "sort", filter_sort, { "reverse", "case_sensitive", "attribute" } },
        { "dictsort", filter_dictsort, { "case_sensitive", "by", "reverse" } },
        { "unique", filter_unique, { "case_sensitive", "attribute" } },
        { "reverse", filter_reverse, { 0 } },
        { "sum", filter_sum, { "attribute", "start" } },
        { "indent", filter_indent, { "width", "first", "blank" } },
};

static const struct row *find_row(struct scope_jinja_string name)
{
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
                if (scope_jinja_is(name, rows[i].name))
                        return &rows[i];
        return NULL;
}

bool scope_jinja_has_filter(struct scope_jinja_string name)
{
        return find_row(name) != NULL;
}

static bool arguments_fit(const struct row *row, const struct scope_jinja_arguments *arguments)
{
        size_t count = 0;
        if (row->parameters[0] != NULL && strcmp(row->parameters[0], "*") == 0)
                return true;
        while (count < PARAMETERS_MAX && row->parameters[count] != NULL)
                count++;
        for (size_t i = 0; i < arguments->named.as.dict->count; i++) {
                bool known = false;
                for (size_t p = 0; p < count; p++)
                        known = known ||
                                scope_jinja_is(arguments->named.as.dict->pairs[i].key.as.string,
                                        row->parameters[p]);
                if (!known)
                        return false;
        }
        return arguments->place.as.list->count <= count;
}

struct scope_jinja_value scope_jinja_apply_filter(struct scope_jinja_run *run,
        struct scope_jinja_string name, struct scope_jinja_value value,
        const struct scope_jinja_arguments *arguments)
{
        const struct row *row = find_row(name);
        if (run->err != SCOPE_OK)
                return (struct scope_jinja_value){ 0 };
        if (row == NULL)
                return scope_jinja_fail(run, SCOPE_ERR_UNSUPPORTED,
                        "filter '%.*s' is not among those that we have",
                        (int)(name.bytes < 80 ? name.bytes : 80), name.at);
        if (!arguments_fit(row, arguments))
                return scope_jinja_fail(run, SCOPE_ERR_UNSUPPORTED,
                        "filter '%s' with arguments that we do not have", row->name);
        struct filtering filtering = { run, value, arguments, row->parameters, row->name };
        struct scope_jinja_value out = { 0 };
        /* map of map of map: the depth of calls is bounded here too */
        if (scope_jinja_deeper(run, &run->depth) && scope_jinja_step(run, 0))
                out = row->run(&filtering);
        run->depth--;
        return out;
}
