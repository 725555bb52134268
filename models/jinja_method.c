/* jinja_method.c - methods of strings, mappings, lists and loop; the global functions. */
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "models/jinja.h"
#include "models/jinja_parts.h"

enum { RANGE_MAX = 100000 /* as Jinja's sandbox */, PARAMETERS_MAX = 3, SET_BYTES_MAX = 256 };

struct call {
        struct scope_jinja_run *run;
        struct scope_jinja_value self;
        const struct scope_jinja_arguments *arguments;
        const char *const *parameters;
};

struct scope_jinja_value scope_jinja_argument(struct scope_jinja_run *run,
        const struct scope_jinja_arguments *arguments, size_t index, const char *name)
{
        if (run->err != SCOPE_OK)
                return (struct scope_jinja_value){ 0 };
        if (index < arguments->place.as.list->count)
                return arguments->place.as.list->items[index];
        struct scope_jinja_value *named =
                scope_jinja_find(run, arguments->named, scope_jinja_words(name));
        return named != NULL ? *named : (struct scope_jinja_value){ 0 };
}

static struct scope_jinja_value argument(const struct call *call, size_t index)
{
        return scope_jinja_argument(call->run, call->arguments, index, call->parameters[index]);
}

static bool given(struct scope_jinja_value value)
{
        return value.kind != SCOPE_JINJA_UNDEFINED && value.kind != SCOPE_JINJA_NONE;
}

/* A text, or an error that says which argument is none. */
static struct scope_jinja_string text_argument(const struct call *call, size_t index)
{
        struct scope_jinja_value value = argument(call, index);
        if (value.kind == SCOPE_JINJA_STRING)
                return value.as.string;
        (void)scope_jinja_fail(call->run, SCOPE_ERR_FORMAT, "argument %zu is %s, not a string",
                index + 1, scope_jinja_kind_name(value));
        return (struct scope_jinja_string){ "", 0 };
}

static int64_t integer_argument(const struct call *call, size_t index, int64_t standard)
{
        struct scope_jinja_value value = argument(call, index);
        if (!given(value))
                return standard;
        if (value.kind == SCOPE_JINJA_INT)
                return value.as.integer;
        (void)scope_jinja_fail(call->run, SCOPE_ERR_FORMAT, "argument %zu is %s, not an integer",
                index + 1, scope_jinja_kind_name(value));
        return standard;
}

/* ---- text ---- */

struct scope_jinja_value scope_jinja_case(
        struct scope_jinja_run *run, struct scope_jinja_string text, char form)
{
        struct scope_jinja_value copy = scope_jinja_copy(run, text.at, text.bytes);
        bool inside = false; /* a word */
        if (run->err != SCOPE_OK)
                return copy;
        char *at = (char *)(uintptr_t)copy.as.string.at;
        for (size_t i = 0; i < text.bytes; i++) {
                unsigned char c = (unsigned char)at[i];
                bool lower = c >= 'a' && c <= 'z', upper = c >= 'A' && c <= 'Z';
                if (c >= 0x80)
                        return scope_jinja_fail(run, SCOPE_ERR_UNSUPPORTED,
                                "upper and lower case of letters beyond ASCII");
                bool up = form == 'u' || (form == 'c' && i == 0) || (form == 't' && !inside);
                if (up && lower)
                        at[i] = (char)(c - 32);
                else if (!up && upper)
                        at[i] = (char)(c + 32);
                inside = lower || upper;
        }
        return copy;
}

static bool in_set(const struct scope_jinja_string *set, const char *at, size_t bytes)
{
        for (size_t i = 0; i < set->bytes;) {
                size_t count = scope_jinja_character(set->at + i, set->bytes - i);
                if (count == bytes && memcmp(set->at + i, at, bytes) == 0)
                        return true;
                i += count;
        }
        return false;
}

struct scope_jinja_value scope_jinja_strip(
        struct scope_jinja_string text, const struct scope_jinja_string *set, bool left, bool right)
{
        size_t begin = 0, end = 0, count;
        for (size_t at = 0; at < text.bytes; at += count) {
                count = scope_jinja_character(text.at + at, text.bytes - at);
                bool goes = set != NULL ? in_set(set, text.at + at, count)
                                        : scope_jinja_space(text.at + at, text.bytes - at) > 0;
                if (goes && left && begin == at)
                        begin = at + count;
                if (!goes)
                        end = at + count;
        }
        if (!right)
                end = text.bytes;
        if (end < begin)
                end = begin;
        return scope_jinja_text(text.at + begin, end - begin);
}

struct scope_jinja_value scope_jinja_replace(struct scope_jinja_run *run,
        struct scope_jinja_string text, struct scope_jinja_string from,
        struct scope_jinja_string to, int64_t count)
{
        struct scope_text out = { .limit = SCOPE_JINJA_OUTPUT_MAX };
        size_t at = 0;
        for (int64_t done = 0; count < 0 || done < count; done++) {
                const char *found = NULL;
                if (from.bytes > 0 && at < text.bytes)
                        found = memmem(text.at + at, text.bytes - at, from.at, from.bytes);
                else if (from.bytes == 0 && at <= text.bytes)
                        found = text.at + at;
                if (found == NULL || out.failed)
                        break;
                scope_text_add(&out, text.at + at, (size_t)(found - text.at) - at);
                scope_text_add(&out, to.at, to.bytes);
                at = (size_t)(found - text.at) + from.bytes;
                if (from.bytes == 0) { /* between all characters */
                        size_t next = at < text.bytes
                                              ? scope_jinja_character(text.at + at, text.bytes - at)
                                              : 0;
                        scope_text_add(&out, text.at + at, next);
                        at += next > 0 ? next : 1;
                }
        }
        if (at < text.bytes)
                scope_text_add(&out, text.at + at, text.bytes - at);
        if (out.failed)
                (void)scope_jinja_fail(run, SCOPE_ERR_LIMIT, "'replace' makes a text over %d MiB",
                        SCOPE_JINJA_OUTPUT_MAX >> 20);
        struct scope_jinja_value value = scope_jinja_copy(run, out.bytes, out.count);
        scope_text_fini(&out);
        return value;
}

static struct scope_jinja_value method_replace(const struct call *call)
{
        struct scope_jinja_string from = text_argument(call, 0), to = text_argument(call, 1);
        return scope_jinja_replace(
                call->run, call->self.as.string, from, to, integer_argument(call, 2, -1));
}

static struct scope_jinja_value strip(const struct call *call, bool left, bool right)
{
        if (!given(argument(call, 0)))
                return scope_jinja_strip(call->self.as.string, NULL, left, right);
        struct scope_jinja_string set = text_argument(call, 0);
        if (set.bytes > SET_BYTES_MAX)
                return scope_jinja_fail(call->run, SCOPE_ERR_UNSUPPORTED,
                        "'strip' of more than %d characters", SET_BYTES_MAX);
        return scope_jinja_strip(call->self.as.string, &set, left, right);
}
static struct scope_jinja_value method_strip(const struct call *call)
{
        return strip(call, true, true);
}
static struct scope_jinja_value method_lstrip(const struct call *call)
{
        return strip(call, true, false);
}
static struct scope_jinja_value method_rstrip(const struct call *call)
{
        return strip(call, false, true);
}

static bool has_affix(struct scope_jinja_string text, struct scope_jinja_string affix, bool end)
{
        if (affix.bytes > text.bytes)
                return false;
        size_t at = end ? text.bytes - affix.bytes : 0;
        return affix.bytes == 0 || memcmp(text.at + at, affix.at, affix.bytes) == 0;
}

static struct scope_jinja_value affix(const struct call *call, bool end)
{
        struct scope_jinja_value wanted = argument(call, 0);
        if (wanted.kind != SCOPE_JINJA_TUPLE)
                return scope_jinja_bool(
                        has_affix(call->self.as.string, text_argument(call, 0), end));
        bool found = false;
        for (size_t i = 0; i < wanted.as.list->count; i++)
                found = found || (wanted.as.list->items[i].kind == SCOPE_JINJA_STRING &&
                                         has_affix(call->self.as.string,
                                                 wanted.as.list->items[i].as.string, end));
        return scope_jinja_bool(found);
}
static struct scope_jinja_value method_startswith(const struct call *call)
{
        return affix(call, false);
}
static struct scope_jinja_value method_endswith(const struct call *call)
{
        return affix(call, true);
}
static struct scope_jinja_value method_removeprefix(const struct call *call)
{
        struct scope_jinja_string self = call->self.as.string, cut = text_argument(call, 0);
        size_t skip = has_affix(self, cut, false) ? cut.bytes : 0;
        return scope_jinja_text(self.at + skip, self.bytes - skip);
}
static struct scope_jinja_value method_removesuffix(const struct call *call)
{
        struct scope_jinja_string self = call->self.as.string, cut = text_argument(call, 0);
        return scope_jinja_text(self.at, self.bytes - (has_affix(self, cut, true) ? cut.bytes : 0));
}

/* Words between white space; what is left after `most` cuts is one piece. */
static struct scope_jinja_value split_words(const struct call *call, int64_t most)
{
        struct scope_jinja_value list = scope_jinja_list(call->run, SCOPE_JINJA_LIST);
        struct scope_jinja_string rest = call->self.as.string;
        for (int64_t cuts = 0; call->run->err == SCOPE_OK; cuts++) {
                rest = scope_jinja_strip(rest, NULL, true, false).as.string;
                size_t end = 0;
                if (rest.bytes == 0)
                        break;
                if (cuts == most) {
                        scope_jinja_push(
                                call->run, list, scope_jinja_strip(rest, NULL, false, true));
                        break;
                }
                while (end < rest.bytes && scope_jinja_space(rest.at + end, rest.bytes - end) == 0)
                        end += scope_jinja_character(rest.at + end, rest.bytes - end);
                scope_jinja_push(call->run, list, scope_jinja_text(rest.at, end));
                (void)scope_jinja_step(call->run, rest.bytes);
                rest = (struct scope_jinja_string){ rest.at + end, rest.bytes - end };
        }
        return list;
}

static struct scope_jinja_value method_split(const struct call *call)
{
        int64_t most = integer_argument(call, 1, -1);
        if (!given(argument(call, 0)))
                return split_words(call, most);
        struct scope_jinja_string mark = text_argument(call, 0), rest = call->self.as.string;
        struct scope_jinja_value list = scope_jinja_list(call->run, SCOPE_JINJA_LIST);
        if (call->run->err == SCOPE_OK && mark.bytes == 0)
                return scope_jinja_fail(call->run, SCOPE_ERR_FORMAT, "'split' at an empty string");
        for (int64_t cuts = 0; call->run->err == SCOPE_OK && cuts != most; cuts++) {
                const char *found = memmem(rest.at, rest.bytes, mark.at, mark.bytes);
                if (found == NULL)
                        break;
                size_t bytes = (size_t)(found - rest.at);
                scope_jinja_push(call->run, list, scope_jinja_text(rest.at, bytes));
                (void)scope_jinja_step(call->run, bytes);
                rest = (struct scope_jinja_string){ found + mark.bytes,
                        rest.bytes - bytes - mark.bytes };
        }
        scope_jinja_push(call->run, list, scope_jinja_text(rest.at, rest.bytes));
        return list;
}

static struct scope_jinja_value method_rsplit(const struct call *call)
{
        int64_t most = integer_argument(call, 1, -1);
        struct scope_jinja_string mark = text_argument(call, 0), rest = call->self.as.string;
        struct scope_jinja_value back = scope_jinja_list(call->run, SCOPE_JINJA_LIST),
                                 list = scope_jinja_list(call->run, SCOPE_JINJA_LIST);
        if (call->run->err == SCOPE_OK && mark.bytes == 0)
                return scope_jinja_fail(call->run, SCOPE_ERR_FORMAT, "'rsplit' at an empty string");
        for (size_t at = rest.bytes; most != 0 && at >= mark.bytes && call->run->err == SCOPE_OK;) {
                if (!scope_jinja_step(call->run, mark.bytes) ||
                        memcmp(rest.at + at - mark.bytes, mark.at, mark.bytes) != 0) {
                        at--;
                        continue;
                }
                scope_jinja_push(call->run, back, scope_jinja_text(rest.at + at, rest.bytes - at));
                (void)scope_jinja_step(call->run, rest.bytes - at);
                rest.bytes = at = at - mark.bytes;
                most--;
        }
        scope_jinja_push(call->run, list, scope_jinja_text(rest.at, rest.bytes));
        for (size_t i = call->run->err == SCOPE_OK ? back.as.list->count : 0; i > 0; i--)
                scope_jinja_push(call->run, list, back.as.list->items[i - 1]);
        return list;
}

/* Bytes of the line end at `at`, or 0. */
static size_t line_end(const char *at, size_t bytes)
{
        unsigned char c = (unsigned char)at[0];
        if (c == '\r' && bytes > 1 && at[1] == '\n')
                return 2;
        if ((c >= 10 && c <= 13) || (c >= 0x1c && c <= 0x1e))
                return 1;
        if (bytes >= 2 && memcmp(at, "\xc2\x85", 2) == 0)
                return 2;
        return bytes >= 3 && (memcmp(at, "\xe2\x80\xa8", 3) == 0 ||
                                     memcmp(at, "\xe2\x80\xa9", 3) == 0)
                       ? 3
                       : 0;
}

static struct scope_jinja_value method_splitlines(const struct call *call)
{
        struct scope_jinja_value list = scope_jinja_list(call->run, SCOPE_JINJA_LIST);
        struct scope_jinja_string text = call->self.as.string;
        size_t begin = 0, at = 0;
        while (at < text.bytes && call->run->err == SCOPE_OK) {
                size_t end = line_end(text.at + at, text.bytes - at);
                if (end > 0) {
                        scope_jinja_push(
                                call->run, list, scope_jinja_text(text.at + begin, at - begin));
                        begin = at + end;
                }
                at += end > 0 ? end : 1;
        }
        if (begin < text.bytes)
                scope_jinja_push(
                        call->run, list, scope_jinja_text(text.at + begin, text.bytes - begin));
        return list;
}

static struct scope_jinja_value characters_before(struct scope_jinja_string text, size_t at)
{
        text.bytes = at;
        return scope_jinja_int((int64_t)scope_jinja_characters(text));
}

static struct scope_jinja_value method_find(const struct call *call)
{
        struct scope_jinja_string text = call->self.as.string, wanted = text_argument(call, 0);
        if (wanted.bytes == 0)
                return scope_jinja_int(0);
        const char *found = memmem(text.at, text.bytes, wanted.at, wanted.bytes);
        return found != NULL ? characters_before(text, (size_t)(found - text.at))
                             : scope_jinja_int(-1);
}

static struct scope_jinja_value method_rfind(const struct call *call)
{
        struct scope_jinja_string text = call->self.as.string, wanted = text_argument(call, 0);
        for (size_t end = text.bytes; end >= wanted.bytes; end--) {
                if (!scope_jinja_step(call->run, wanted.bytes))
                        break;
                if (memcmp(text.at + end - wanted.bytes, wanted.at, wanted.bytes) == 0)
                        return characters_before(text, end - wanted.bytes);
                if (end == 0)
                        break;
        }
        return scope_jinja_int(-1);
}

static struct scope_jinja_value method_count(const struct call *call)
{
        struct scope_jinja_string text = call->self.as.string, wanted = text_argument(call, 0);
        int64_t count = 0;
        const char *at = text.at, *end = text.at + text.bytes;
        if (wanted.bytes == 0)
                return scope_jinja_int((int64_t)scope_jinja_characters(text) + 1);
        while ((at = memmem(at, (size_t)(end - at), wanted.at, wanted.bytes)) != NULL) {
                at += wanted.bytes;
                count++;
        }
        return scope_jinja_int(count);
}

static struct scope_jinja_value method_join(const struct call *call)
{
        struct scope_jinja_value items = scope_jinja_iterate(call->run, argument(call, 0));
        struct scope_text text = { .limit = SCOPE_JINJA_OUTPUT_MAX };
        for (size_t i = 0; call->run->err == SCOPE_OK && i < items.as.list->count; i++) {
                struct scope_jinja_value item = items.as.list->items[i];
                if (item.kind != SCOPE_JINJA_STRING)
                        (void)scope_jinja_fail(call->run, SCOPE_ERR_FORMAT, "'join' of %s",
                                scope_jinja_kind_name(item));
                if (i > 0)
                        scope_text_add(&text, call->self.as.string.at, call->self.as.string.bytes);
                if (call->run->err == SCOPE_OK)
                        scope_jinja_write(call->run, item, false, &text);
        }
        struct scope_jinja_value value = scope_jinja_copy(call->run, text.bytes, text.count);
        scope_text_fini(&text);
        return value;
}

static struct scope_jinja_value method_upper(const struct call *call)
{
        return scope_jinja_case(call->run, call->self.as.string, 'u');
}
static struct scope_jinja_value method_lower(const struct call *call)
{
        return scope_jinja_case(call->run, call->self.as.string, 'l');
}
static struct scope_jinja_value method_capitalize(const struct call *call)
{
        return scope_jinja_case(call->run, call->self.as.string, 'c');
}
static struct scope_jinja_value method_title(const struct call *call)
{
        return scope_jinja_case(call->run, call->self.as.string, 't');
}

static struct scope_jinja_value method_isdigit(const struct call *call)
{
        struct scope_jinja_string text = call->self.as.string;
        for (size_t i = 0; i < text.bytes; i++) {
                if ((unsigned char)text.at[i] >= 0x80)
                        return scope_jinja_fail(
                                call->run, SCOPE_ERR_UNSUPPORTED, "'isdigit' of text beyond ASCII");
                if (text.at[i] < '0' || text.at[i] > '9')
                        return scope_jinja_bool(false);
        }
        return scope_jinja_bool(text.bytes > 0);
}

/* ---- mappings and loop ---- */

static struct scope_jinja_value pairs_of(const struct call *call, bool key, bool value)
{
        struct scope_jinja_value list = scope_jinja_list(call->run, SCOPE_JINJA_LIST);
        const struct scope_jinja_dict *dict = call->self.as.dict;
        for (size_t i = 0; call->run->err == SCOPE_OK && i < dict->count; i++) {
                struct scope_jinja_value item = key ? dict->pairs[i].key : dict->pairs[i].value;
                if (key && value) {
                        struct scope_jinja_value both =
                                scope_jinja_list(call->run, SCOPE_JINJA_TUPLE);
                        scope_jinja_push(call->run, both, dict->pairs[i].key);
                        scope_jinja_push(call->run, both, dict->pairs[i].value);
                        item = both;
                }
                scope_jinja_push(call->run, list, item);
        }
        return list;
}
static struct scope_jinja_value method_items(const struct call *call)
{
        return pairs_of(call, true, true);
}
static struct scope_jinja_value method_keys(const struct call *call)
{
        return pairs_of(call, true, false);
}
static struct scope_jinja_value method_values(const struct call *call)
{
        return pairs_of(call, false, true);
}
static struct scope_jinja_value method_get(const struct call *call)
{
        const struct scope_jinja_value *found =
                scope_jinja_find(call->run, call->self, argument(call, 0));
        struct scope_jinja_value standard = argument(call, 1);
        if (found != NULL)
                return *found;
        if (call->arguments->place.as.list->count < 2)
                standard.kind = SCOPE_JINJA_NONE;
        return standard;
}

static struct scope_jinja_value method_cycle(const struct call *call)
{
        const struct scope_jinja_list *list = call->arguments->place.as.list;
        if (list->count == 0)
                return scope_jinja_fail(call->run, SCOPE_ERR_FORMAT, "'cycle' of nothing");
        return list->items[call->self.as.loop->index0 % list->count];
}

/* ---- the table of methods ---- */

static const struct method_row {
        enum scope_jinja_kind kind;
        const char *name;
        struct scope_jinja_value (*run)(const struct call *call);
        const char *parameters[PARAMETERS_MAX]; /* "*": any number */
} methods[] = {
        { SCOPE_JINJA_STRING, "startswith", method_startswith, { "prefix" } },
        { SCOPE_JINJA_STRING, "endswith", method_endswith, { "suffix" } },
        { SCOPE_JINJA_STRING, "split", method_split, { "sep", "maxsplit" } },
        { SCOPE_JINJA_STRING, "rsplit", method_rsplit, { "sep", "maxsplit" } },
        { SCOPE_JINJA_STRING, "splitlines", method_splitlines, { 0 } },
        { SCOPE_JINJA_STRING, "strip", method_strip, { "chars" } },
        { SCOPE_JINJA_STRING, "lstrip", method_lstrip, { "chars" } },
        { SCOPE_JINJA_STRING, "rstrip", method_rstrip, { "chars" } },
        { SCOPE_JINJA_STRING, "replace", method_replace, { "old", "new", "count" } },
        { SCOPE_JINJA_STRING, "upper", method_upper, { 0 } },
        { SCOPE_JINJA_STRING, "lower", method_lower, { 0 } },
        { SCOPE_JINJA_STRING, "capitalize", method_capitalize, { 0 } },
        { SCOPE_JINJA_STRING, "title", method_title, { 0 } },
        { SCOPE_JINJA_STRING, "find", method_find, { "sub" } },
        { SCOPE_JINJA_STRING, "rfind", method_rfind, { "sub" } },
        { SCOPE_JINJA_STRING, "count", method_count, { "sub" } },
        { SCOPE_JINJA_STRING, "join", method_join, { "items" } },
        { SCOPE_JINJA_STRING, "isdigit", method_isdigit, { 0 } },
        { SCOPE_JINJA_STRING, "removeprefix", method_removeprefix, { "prefix" } },
        { SCOPE_JINJA_STRING, "removesuffix", method_removesuffix, { "suffix" } },
        { SCOPE_JINJA_DICT, "items", method_items, { 0 } },
        { SCOPE_JINJA_DICT, "keys", method_keys, { 0 } },
        { SCOPE_JINJA_DICT, "values", method_values, { 0 } },
        { SCOPE_JINJA_DICT, "get", method_get, { "key", "default" } },
        { SCOPE_JINJA_LOOP, "cycle", method_cycle, { "*" } },
};

/* What Python has on these values and we do not: said by name instead of "undefined". */
static const char *const others[] = { "append", "casefold", "center", "clear", "copy", "encode",
        "expandtabs", "extend", "format", "format_map", "index", "insert", "isalnum", "isalpha",
        "islower", "isnumeric", "isspace", "istitle", "isupper", "ljust", "partition", "pop",
        "popitem", "remove", "reverse", "rindex", "rjust", "rpartition", "setdefault", "sort",
        "swapcase", "translate", "update", "zfill" };

static const struct method_row *find_method(
        enum scope_jinja_kind kind, struct scope_jinja_string name)
{
        for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
                if (methods[i].kind == kind && scope_jinja_is(name, methods[i].name))
                        return &methods[i];
        return NULL;
}

struct scope_jinja_value scope_jinja_bind(
        struct scope_jinja_run *run, struct scope_jinja_value self, struct scope_jinja_string name)
{
        if (find_method(self.kind, name) == NULL) {
                bool has = self.kind == SCOPE_JINJA_STRING || self.kind == SCOPE_JINJA_LIST;
                for (size_t i = 0; has && i < sizeof others / sizeof others[0]; i++)
                        if (scope_jinja_is(name, others[i]))
                                return scope_jinja_fail(run, SCOPE_ERR_UNSUPPORTED,
                                        "method '%s' of %s is not among those that we have",
                                        others[i], scope_jinja_kind_name(self));
                return (struct scope_jinja_value){ 0 };
        }
        struct scope_jinja_method *method = scope_jinja_alloc(run, sizeof *method);
        if (method == NULL)
                return (struct scope_jinja_value){ 0 };
        *method = (struct scope_jinja_method){ self, name };
        return (struct scope_jinja_value){ SCOPE_JINJA_METHOD, { .method = method } };
}

/* No more arguments than there are, and by no other name. */
static bool arguments_fit(struct scope_jinja_run *run,
        const struct scope_jinja_arguments *arguments, const char *const *parameters,
        const char *name)
{
        size_t count = 0;
        if (parameters[0] != NULL && strcmp(parameters[0], "*") == 0)
                return true;
        while (count < PARAMETERS_MAX && parameters[count] != NULL)
                count++;
        bool fit = arguments->place.as.list->count <= count;
        for (size_t i = 0; i < arguments->named.as.dict->count; i++) {
                bool known = false;
                for (size_t p = 0; p < count; p++)
                        known = known ||
                                scope_jinja_is(arguments->named.as.dict->pairs[i].key.as.string,
                                        parameters[p]);
                fit = fit && known;
        }
        if (!fit)
                (void)scope_jinja_fail(run, SCOPE_ERR_UNSUPPORTED,
                        "'%s' with arguments that we do not have", name);
        return fit;
}

struct scope_jinja_value scope_jinja_call_method(struct scope_jinja_run *run,
        const struct scope_jinja_method *method, const struct scope_jinja_arguments *arguments)
{
        const struct method_row *row = find_method(method->self.kind, method->name);
        if (run->err != SCOPE_OK || row == NULL ||
                !arguments_fit(run, arguments, row->parameters, row->name))
                return (struct scope_jinja_value){ 0 };
        struct call call = { run, method->self, arguments, row->parameters };
        size_t bytes = method->self.kind == SCOPE_JINJA_STRING ? method->self.as.string.bytes : 0;
        return scope_jinja_step(run, bytes) ? row->run(&call) : (struct scope_jinja_value){ 0 };
}

/* ---- global functions ---- */

static struct scope_jinja_value global_range(const struct call *call)
{
        struct scope_jinja_value list = scope_jinja_list(call->run, SCOPE_JINJA_LIST);
        bool one = call->arguments->place.as.list->count < 2;
        int64_t begin = one ? 0 : integer_argument(call, 0, 0),
                end = integer_argument(call, one ? 0 : 1, 0), stride = integer_argument(call, 2, 1);
        if (stride == 0)
                return scope_jinja_fail(call->run, SCOPE_ERR_FORMAT, "'range' with stride 0");
        for (int64_t at = begin;
                call->run->err == SCOPE_OK && (stride > 0 ? at < end : at > end);) {
                if (list.as.list->count == RANGE_MAX)
                        return scope_jinja_fail(call->run, SCOPE_ERR_LIMIT,
                                "'range' of more than %d numbers", RANGE_MAX);
                scope_jinja_push(call->run, list, scope_jinja_int(at));
                if (__builtin_add_overflow(at, stride, &at))
                        break;
        }
        return list;
}

static struct scope_jinja_value made_dict(const struct call *call, enum scope_jinja_kind kind)
{
        struct scope_jinja_value dict = scope_jinja_dict(call->run, kind);
        const struct scope_jinja_list *place = call->arguments->place.as.list;
        const struct scope_jinja_dict *named = call->arguments->named.as.dict;
        if (place->count > 1 || (place->count == 1 && place->items[0].kind != SCOPE_JINJA_DICT))
                return scope_jinja_fail(
                        call->run, SCOPE_ERR_UNSUPPORTED, "a mapping made of anything but one");
        const struct scope_jinja_dict *from = place->count == 1 ? place->items[0].as.dict : NULL;
        for (size_t i = 0; from != NULL && i < from->count; i++)
                scope_jinja_put(call->run, dict, from->pairs[i].key, from->pairs[i].value);
        for (size_t i = 0; i < named->count; i++)
                scope_jinja_put(call->run, dict, named->pairs[i].key, named->pairs[i].value);
        return dict;
}
static struct scope_jinja_value global_namespace(const struct call *call)
{
        return made_dict(call, SCOPE_JINJA_NAMESPACE);
}
static struct scope_jinja_value global_dict(const struct call *call)
{
        return made_dict(call, SCOPE_JINJA_DICT);
}

static struct scope_jinja_value global_raise(const struct call *call)
{
        struct scope_jinja_string words = scope_jinja_str(call->run, argument(call, 0));
        return scope_jinja_fail(call->run, SCOPE_ERR_REFUSED, "raise_exception: %.*s",
                (int)(words.bytes < 300 ? words.bytes : 300), words.at);
}

static struct scope_jinja_value global_strftime(const struct call *call)
{
        char form[128], out[256];
        struct scope_jinja_string words = text_argument(call, 0);
        if (call->run->err != SCOPE_OK || words.bytes == 0)
                return scope_jinja_text("", 0);
        if (words.bytes + 1 > sizeof form)
                return scope_jinja_fail(
                        call->run, SCOPE_ERR_UNSUPPORTED, "'strftime_now' with so long a form");
        memcpy(form, words.at, words.bytes);
        form[words.bytes] = 0;
        size_t count = strftime(out, sizeof out, form, call->run->now);
        return scope_jinja_copy(call->run, out, count);
}

static const struct {
        const char *name;
        struct scope_jinja_value (*run)(const struct call *call);
        const char *parameters[PARAMETERS_MAX];
} globals[] = {
        { "range", global_range, { "start", "stop", "step" } },
        { "namespace", global_namespace, { "*" } },
        { "dict", global_dict, { "*" } },
        { "raise_exception", global_raise, { "message" } },
        { "strftime_now", global_strftime, { "format" } },
};

struct scope_jinja_value scope_jinja_global(
        struct scope_jinja_run *run, struct scope_jinja_string name)
{
        for (uint32_t i = 0; i < sizeof globals / sizeof globals[0]; i++) {
                bool there = globals[i].run != global_strftime || run->now != NULL;
                if (there && scope_jinja_is(name, globals[i].name))
                        return (struct scope_jinja_value){ SCOPE_JINJA_FUNCTION,
                                { .function = i } };
        }
        return scope_jinja_undefined(name.at, name.bytes);
}

struct scope_jinja_value scope_jinja_call_global(struct scope_jinja_run *run, uint32_t function,
        const struct scope_jinja_arguments *arguments)
{
        if (run->err != SCOPE_OK || !arguments_fit(run, arguments, globals[function].parameters,
                                            globals[function].name))
                return (struct scope_jinja_value){ 0 };
        struct call call = { run, { 0 }, arguments, globals[function].parameters };
        return globals[function].run(&call);
}
