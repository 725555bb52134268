#include "models/jinja_value.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "models/jinja.h"
#include "models/jinja_parts.h"

enum { CHUNK_BYTES = 16 << 10 };

/* ---- memory ---- */

struct scope_jinja_chunk {
        struct scope_jinja_chunk *next;
        size_t used, capacity;
        max_align_t bytes[];
};

void *scope_jinja_take(struct scope_jinja_memory *memory, size_t bytes)
{
        struct scope_jinja_chunk *chunk = memory->chunks;
        size_t wanted = (bytes + 15) & ~(size_t)15;
        if (bytes > memory->max || wanted > memory->max - memory->used)
                return NULL;
        if (chunk == NULL || wanted > chunk->capacity - chunk->used) {
                size_t capacity = wanted > CHUNK_BYTES ? wanted : CHUNK_BYTES;
                chunk = malloc(sizeof *chunk + capacity);
                if (chunk == NULL)
                        return NULL;
                *chunk = (struct scope_jinja_chunk){ memory->chunks, 0, capacity };
                memory->chunks = chunk;
        }
        void *taken = (char *)chunk->bytes + chunk->used;
        chunk->used += wanted;
        memory->used += wanted;
        memset(taken, 0, wanted);
        return taken;
}

void scope_jinja_memory_fini(struct scope_jinja_memory *memory)
{
        while (memory->chunks != NULL) {
                struct scope_jinja_chunk *next = memory->chunks->next;
                free(memory->chunks);
                memory->chunks = next;
        }
}

void *scope_jinja_alloc(struct scope_jinja_run *run, size_t bytes)
{
        if (run->err != SCOPE_OK || !scope_jinja_step(run, bytes))
                return NULL;
        void *taken = scope_jinja_take(&run->memory, bytes);
        if (taken == NULL)
                (void)scope_jinja_fail(run, SCOPE_ERR_LIMIT,
                        "the template needs more than %zu MiB of memory", run->memory.max >> 20);
        return taken;
}

struct scope_jinja_value scope_jinja_fail(
        struct scope_jinja_run *run, enum scope_err err, const char *format, ...)
{
        char words[480];
        va_list arguments;
        if (run->err != SCOPE_OK)
                return (struct scope_jinja_value){ 0 };
        va_start(arguments, format);
        (void)vsnprintf(words, sizeof words, format, arguments);
        va_end(arguments);
        run->err = scope_diag_set(run->diag, err, "%.120s:%u: %s", run->name, run->line, words);
        return (struct scope_jinja_value){ 0 };
}

bool scope_jinja_step(struct scope_jinja_run *run, size_t bytes)
{
        run->steps += 1 + bytes / 64;
        if (run->err == SCOPE_OK && run->steps > SCOPE_JINJA_STEPS_MAX)
                (void)scope_jinja_fail(run, SCOPE_ERR_LIMIT, "the template takes over %d steps",
                        SCOPE_JINJA_STEPS_MAX);
        return run->err == SCOPE_OK;
}

bool scope_jinja_deeper(struct scope_jinja_run *run, uint32_t *depth)
{
        if (run->err == SCOPE_OK && *depth >= SCOPE_JINJA_DEPTH_MAX)
                (void)scope_jinja_fail(
                        run, SCOPE_ERR_LIMIT, "nested deeper than %d", SCOPE_JINJA_DEPTH_MAX);
        (*depth)++;
        return run->err == SCOPE_OK;
}

/* ---- making ---- */

struct scope_jinja_value scope_jinja_bool(bool truth)
{
        return (struct scope_jinja_value){ SCOPE_JINJA_BOOL, { .truth = truth } };
}

struct scope_jinja_value scope_jinja_int(int64_t integer)
{
        return (struct scope_jinja_value){ SCOPE_JINJA_INT, { .integer = integer } };
}

struct scope_jinja_value scope_jinja_text(const char *at, size_t bytes)
{
        return (struct scope_jinja_value){ SCOPE_JINJA_STRING, { .string = { at, bytes } } };
}

struct scope_jinja_value scope_jinja_words(const char *words)
{
        return scope_jinja_text(words, strlen(words));
}

struct scope_jinja_value scope_jinja_undefined(const char *name, size_t bytes)
{
        return (struct scope_jinja_value){ SCOPE_JINJA_UNDEFINED, { .string = { name, bytes } } };
}

struct scope_jinja_value scope_jinja_copy(struct scope_jinja_run *run, const char *at, size_t bytes)
{
        char *copy = scope_jinja_alloc(run, bytes + 1);
        if (copy == NULL)
                return (struct scope_jinja_value){ 0 };
        if (bytes > 0)
                memcpy(copy, at, bytes);
        return scope_jinja_text(copy, bytes);
}

struct scope_jinja_value scope_jinja_list(struct scope_jinja_run *run, enum scope_jinja_kind kind)
{
        struct scope_jinja_list *list = scope_jinja_alloc(run, sizeof *list);
        if (list == NULL)
                return (struct scope_jinja_value){ 0 };
        return (struct scope_jinja_value){ kind, { .list = list } };
}

/* Room for one more of `bytes` each; NULL: the error is set. */
static void *grow(
        struct scope_jinja_run *run, void *items, size_t count, size_t *capacity, size_t bytes)
{
        if (count < *capacity)
                return items;
        size_t more = *capacity == 0 ? 4 : *capacity * 2;
        void *grown = scope_jinja_alloc(run, more * bytes);
        if (grown == NULL)
                return NULL;
        if (count > 0)
                memcpy(grown, items, count * bytes);
        *capacity = more;
        return grown;
}

void scope_jinja_push(
        struct scope_jinja_run *run, struct scope_jinja_value list, struct scope_jinja_value item)
{
        if (run->err != SCOPE_OK || !scope_jinja_step(run, 0))
                return;
        struct scope_jinja_list *to = list.as.list;
        struct scope_jinja_value *items =
                grow(run, to->items, to->count, &to->capacity, sizeof *items);
        if (items == NULL)
                return;
        to->items = items;
        items[to->count++] = item;
}

struct scope_jinja_value scope_jinja_dict(struct scope_jinja_run *run, enum scope_jinja_kind kind)
{
        struct scope_jinja_dict *dict = scope_jinja_alloc(run, sizeof *dict);
        if (dict == NULL)
                return (struct scope_jinja_value){ 0 };
        return (struct scope_jinja_value){ kind, { .dict = dict } };
}

void scope_jinja_put(struct scope_jinja_run *run, struct scope_jinja_value dict,
        struct scope_jinja_value key, struct scope_jinja_value value)
{
        struct scope_jinja_value *there = scope_jinja_find(run, dict, key);
        if (run->err != SCOPE_OK)
                return;
        if (there != NULL) {
                *there = value;
                return;
        }
        struct scope_jinja_dict *to = dict.as.dict;
        struct scope_jinja_pair *pairs =
                grow(run, to->pairs, to->count, &to->capacity, sizeof *pairs);
        if (pairs == NULL)
                return;
        to->pairs = pairs;
        pairs[to->count++] = (struct scope_jinja_pair){ key, value };
}

static struct scope_jinja_value of_object(struct scope_jinja_run *run, const json_t *json)
{
        struct scope_jinja_value dict = scope_jinja_dict(run, SCOPE_JINJA_DICT);
        json_t *object = (json_t *)(uintptr_t)json; /* jansson walks objects that may change */
        for (void *at = json_object_iter(object); at != NULL && run->err == SCOPE_OK;
                at = json_object_iter_next(object, at)) {
                const char *key = json_object_iter_key(at);
                scope_jinja_put(run, dict, scope_jinja_words(key),
                        scope_jinja_of_json(run, json_object_iter_value(at)));
        }
        return dict;
}

struct scope_jinja_value scope_jinja_of_json(struct scope_jinja_run *run, const struct json_t *json)
{
        struct scope_jinja_value value = { SCOPE_JINJA_NONE, { 0 } };
        if (!scope_jinja_deeper(run, &run->depth)) {
                run->depth--;
                return (struct scope_jinja_value){ 0 };
        }
        switch (json_typeof(json)) {
        case JSON_OBJECT:
                value = of_object(run, json);
                break;
        case JSON_ARRAY:
                value = scope_jinja_list(run, SCOPE_JINJA_LIST);
                for (size_t i = 0; i < json_array_size(json) && run->err == SCOPE_OK; i++)
                        scope_jinja_push(
                                run, value, scope_jinja_of_json(run, json_array_get(json, i)));
                break;
        case JSON_STRING:
                value = scope_jinja_text(json_string_value(json), json_string_length(json));
                break;
        case JSON_INTEGER:
                value = scope_jinja_int(json_integer_value(json));
                break;
        case JSON_REAL:
                value = (struct scope_jinja_value){ SCOPE_JINJA_FLOAT,
                        { .real = json_real_value(json) } };
                break;
        case JSON_TRUE:
        case JSON_FALSE:
                value = scope_jinja_bool(json_is_true(json));
                break;
        case JSON_NULL:
                break;
        }
        run->depth--;
        return value;
}

/* ---- asking ---- */

bool scope_jinja_truth(const struct scope_jinja_value *value)
{
        switch (value->kind) {
        case SCOPE_JINJA_UNDEFINED:
        case SCOPE_JINJA_NONE:
                return false;
        case SCOPE_JINJA_BOOL:
                return value->as.truth;
        case SCOPE_JINJA_INT:
                return value->as.integer != 0;
        case SCOPE_JINJA_FLOAT:
                return value->as.real != 0;
        case SCOPE_JINJA_STRING:
                return value->as.string.bytes > 0;
        case SCOPE_JINJA_LIST:
        case SCOPE_JINJA_TUPLE:
                return value->as.list->count > 0;
        case SCOPE_JINJA_DICT:
                return value->as.dict->count > 0;
        case SCOPE_JINJA_LOOP: /* has a length, which is over 0 while it runs */
        case SCOPE_JINJA_GENERATOR:
        case SCOPE_JINJA_NAMESPACE:
        case SCOPE_JINJA_MACRO:
        case SCOPE_JINJA_FUNCTION:
        case SCOPE_JINJA_METHOD:
                break;
        }
        return true;
}

bool scope_jinja_is_number(struct scope_jinja_value value)
{
        return value.kind == SCOPE_JINJA_BOOL || value.kind == SCOPE_JINJA_INT ||
               value.kind == SCOPE_JINJA_FLOAT;
}

double scope_jinja_number(struct scope_jinja_value value)
{
        if (value.kind == SCOPE_JINJA_FLOAT)
                return value.as.real;
        return value.kind == SCOPE_JINJA_BOOL ? (double)value.as.truth : (double)value.as.integer;
}

static int64_t whole(struct scope_jinja_value value)
{
        return value.kind == SCOPE_JINJA_BOOL ? (int64_t)value.as.truth : value.as.integer;
}

static int order_numbers(struct scope_jinja_value a, struct scope_jinja_value b)
{
        if (a.kind != SCOPE_JINJA_FLOAT && b.kind != SCOPE_JINJA_FLOAT)
                return (whole(a) > whole(b)) - (whole(a) < whole(b));
        double x = scope_jinja_number(a), y = scope_jinja_number(b);
        return (x > y) - (x < y);
}

static int order_texts(struct scope_jinja_string a, struct scope_jinja_string b)
{
        size_t shared = a.bytes < b.bytes ? a.bytes : b.bytes;
        int order = shared > 0 ? memcmp(a.at, b.at, shared) : 0;
        return order != 0 ? (order > 0) - (order < 0) : (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

static bool equal_dicts(
        struct scope_jinja_run *run, struct scope_jinja_value a, struct scope_jinja_value b)
{
        if (a.as.dict->count != b.as.dict->count)
                return false;
        for (size_t i = 0; i < a.as.dict->count; i++) {
                const struct scope_jinja_pair *pair = &a.as.dict->pairs[i];
                const struct scope_jinja_value *other = scope_jinja_find(run, b, pair->key);
                if (other == NULL || !scope_jinja_equal(run, pair->value, *other))
                        return false;
        }
        return true;
}

static bool equal_lists(struct scope_jinja_run *run, const struct scope_jinja_list *a,
        const struct scope_jinja_list *b)
{
        if (a->count != b->count)
                return false;
        for (size_t i = 0; i < a->count; i++)
                if (!scope_jinja_equal(run, a->items[i], b->items[i]))
                        return false;
        return true;
}

bool scope_jinja_equal(
        struct scope_jinja_run *run, struct scope_jinja_value a, struct scope_jinja_value b)
{
        bool equal = false;
        if (scope_jinja_is_number(a) && scope_jinja_is_number(b))
                return order_numbers(a, b) == 0 && scope_jinja_number(a) == scope_jinja_number(a) &&
                       scope_jinja_number(b) == scope_jinja_number(b);
        if (a.kind != b.kind)
                return false;
        if (!scope_jinja_step(run, a.kind == SCOPE_JINJA_STRING ? a.as.string.bytes : 0))
                return false;
        if (!scope_jinja_deeper(run, &run->depth)) {
                run->depth--;
                return false;
        }
        switch (a.kind) {
        case SCOPE_JINJA_UNDEFINED:
        case SCOPE_JINJA_NONE:
                equal = true;
                break;
        case SCOPE_JINJA_STRING:
                equal = order_texts(a.as.string, b.as.string) == 0;
                break;
        case SCOPE_JINJA_LIST:
        case SCOPE_JINJA_TUPLE:
                equal = equal_lists(run, a.as.list, b.as.list);
                break;
        case SCOPE_JINJA_DICT:
                equal = equal_dicts(run, a, b);
                break;
        case SCOPE_JINJA_FUNCTION:
                equal = a.as.function == b.as.function;
                break;
        default: /* by identity */
                equal = a.as.list == b.as.list;
                break;
        }
        run->depth--;
        return equal;
}

static int order_lists(struct scope_jinja_run *run, const struct scope_jinja_list *a,
        const struct scope_jinja_list *b, const char *operator)
{
        for (size_t i = 0; i < a->count && i < b->count && run->err == SCOPE_OK; i++)
                if (!scope_jinja_equal(run, a->items[i], b->items[i]))
                        return scope_jinja_order(run, a->items[i], b->items[i], operator);
        return (a->count > b->count) - (a->count < b->count);
}

int scope_jinja_order(struct scope_jinja_run *run, struct scope_jinja_value a,
        struct scope_jinja_value b, const char *operator)
{
        int order = 0;
        if (scope_jinja_is_number(a) && scope_jinja_is_number(b))
                return order_numbers(a, b);
        if (a.kind == SCOPE_JINJA_STRING && b.kind == SCOPE_JINJA_STRING)
                return scope_jinja_step(run, a.as.string.bytes)
                               ? order_texts(a.as.string, b.as.string)
                               : 0;
        bool lists =
                a.kind == b.kind && (a.kind == SCOPE_JINJA_LIST || a.kind == SCOPE_JINJA_TUPLE);
        if (!lists) {
                (void)scope_jinja_fail(run, SCOPE_ERR_FORMAT, "'%s' between %s and %s", operator,
                        scope_jinja_kind_name(a), scope_jinja_kind_name(b));
                return 0;
        }
        if (scope_jinja_deeper(run, &run->depth))
                order = order_lists(run, a.as.list, b.as.list, operator);
        run->depth--;
        return order;
}

struct scope_jinja_value *scope_jinja_find(
        struct scope_jinja_run *run, struct scope_jinja_value dict, struct scope_jinja_value key)
{
        if (run->err != SCOPE_OK)
                return NULL;
        if (!scope_jinja_step(run, dict.as.dict->count * 8))
                return NULL;
        for (size_t i = 0; i < dict.as.dict->count; i++) {
                struct scope_jinja_pair *pair = &dict.as.dict->pairs[i];
                bool texts = pair->key.kind == SCOPE_JINJA_STRING && key.kind == pair->key.kind;
                if (texts ? order_texts(pair->key.as.string, key.as.string) == 0
                          : scope_jinja_equal(run, pair->key, key))
                        return &pair->value;
        }
        return NULL;
}

const char *scope_jinja_kind_name(struct scope_jinja_value value)
{
        static const char *const names[] = { "an undefined value", "none", "a boolean",
                "an integer", "a float", "a string", "a list", "a tuple", "a generator",
                "a mapping", "a namespace", "loop", "a macro", "a function", "a method" };
        return names[value.kind];
}

static struct scope_jinja_value characters_of(
        struct scope_jinja_run *run, struct scope_jinja_string text)
{
        struct scope_jinja_value list = scope_jinja_list(run, SCOPE_JINJA_LIST);
        for (size_t at = 0; at < text.bytes && run->err == SCOPE_OK;) {
                size_t bytes = scope_jinja_character(text.at + at, text.bytes - at);
                scope_jinja_push(run, list, scope_jinja_text(text.at + at, bytes));
                at += bytes;
        }
        return list;
}

struct scope_jinja_value scope_jinja_iterate(
        struct scope_jinja_run *run, struct scope_jinja_value value)
{
        struct scope_jinja_value list = scope_jinja_list(run, SCOPE_JINJA_LIST);
        if (run->err != SCOPE_OK)
                return list;
        switch (value.kind) {
        case SCOPE_JINJA_UNDEFINED:
                return list;
        case SCOPE_JINJA_LIST:
        case SCOPE_JINJA_TUPLE:
                return value;
        case SCOPE_JINJA_GENERATOR:
                *list.as.list = *value.as.list;
                *value.as.list = (struct scope_jinja_list){ 0 };
                return list;
        case SCOPE_JINJA_STRING:
                return characters_of(run, value.as.string);
        case SCOPE_JINJA_DICT:
                for (size_t i = 0; i < value.as.dict->count; i++)
                        scope_jinja_push(run, list, value.as.dict->pairs[i].key);
                return list;
        default:
                return scope_jinja_fail(run, SCOPE_ERR_FORMAT, "%s cannot be iterated",
                        scope_jinja_kind_name(value));
        }
}
