/* jinja_test.c - what may follow "is". */
#include <stddef.h>

#include "models/jinja.h"
#include "models/jinja_parts.h"

struct tested {
        struct scope_jinja_run *run;
        struct scope_jinja_value value, with; /* with: the argument */
};

static bool is_defined(const struct tested *t)
{
        return t->value.kind != SCOPE_JINJA_UNDEFINED;
}
static bool is_undefined(const struct tested *t)
{
        return t->value.kind == SCOPE_JINJA_UNDEFINED;
}
static bool is_none(const struct tested *t)
{
        return t->value.kind == SCOPE_JINJA_NONE;
}
static bool is_string(const struct tested *t)
{
        return t->value.kind == SCOPE_JINJA_STRING;
}
static bool is_mapping(const struct tested *t)
{
        return t->value.kind == SCOPE_JINJA_DICT;
}
static bool is_sequence(const struct tested *t)
{
        return t->value.kind == SCOPE_JINJA_STRING || t->value.kind == SCOPE_JINJA_LIST ||
               t->value.kind == SCOPE_JINJA_TUPLE || t->value.kind == SCOPE_JINJA_DICT ||
               t->value.kind == SCOPE_JINJA_UNDEFINED;
}
static bool is_iterable(const struct tested *t)
{
        return is_sequence(t) || t->value.kind == SCOPE_JINJA_GENERATOR ||
               t->value.kind == SCOPE_JINJA_LOOP;
}
static bool is_number(const struct tested *t)
{
        return scope_jinja_is_number(t->value);
}
static bool is_integer(const struct tested *t)
{
        return t->value.kind == SCOPE_JINJA_INT;
}
static bool is_float(const struct tested *t)
{
        return t->value.kind == SCOPE_JINJA_FLOAT;
}
static bool is_boolean(const struct tested *t)
{
        return t->value.kind == SCOPE_JINJA_BOOL;
}
static bool is_true(const struct tested *t)
{
        return t->value.kind == SCOPE_JINJA_BOOL && t->value.as.truth;
}
static bool is_false(const struct tested *t)
{
        return t->value.kind == SCOPE_JINJA_BOOL && !t->value.as.truth;
}
static bool is_callable(const struct tested *t)
{
        return t->value.kind == SCOPE_JINJA_MACRO || t->value.kind == SCOPE_JINJA_FUNCTION ||
               t->value.kind == SCOPE_JINJA_METHOD || t->value.kind == SCOPE_JINJA_UNDEFINED ||
               t->value.kind == SCOPE_JINJA_LOOP;
}
static bool is_equal(const struct tested *t)
{
        return scope_jinja_equal(t->run, t->value, t->with);
}
static bool is_unequal(const struct tested *t)
{
        return !scope_jinja_equal(t->run, t->value, t->with);
}
static bool is_less(const struct tested *t)
{
        return scope_jinja_order(t->run, t->value, t->with, "<") < 0;
}
static bool is_less_or_equal(const struct tested *t)
{
        return scope_jinja_order(t->run, t->value, t->with, "<=") <= 0;
}
static bool is_greater(const struct tested *t)
{
        return scope_jinja_order(t->run, t->value, t->with, ">") > 0;
}
static bool is_greater_or_equal(const struct tested *t)
{
        return scope_jinja_order(t->run, t->value, t->with, ">=") >= 0;
}
static bool is_in(const struct tested *t)
{
        return scope_jinja_contains(t->run, t->with, t->value);
}

/* Identity, where it does not depend on how Python keeps its objects. */
static bool is_same(const struct tested *t)
{
        bool simple = t->value.kind <= SCOPE_JINJA_BOOL || t->with.kind <= SCOPE_JINJA_BOOL;
        if (!simple)
                (void)scope_jinja_fail(t->run, SCOPE_ERR_UNSUPPORTED,
                        "test 'sameas' of anything but true, false and none");
        return t->value.kind == t->with.kind && scope_jinja_equal(t->run, t->value, t->with);
}

static bool divisible(const struct tested *t, struct scope_jinja_value by, bool odd)
{
        struct scope_jinja_value rest = scope_jinja_arithmetic(t->run, '%', t->value, by);
        return t->run->err == SCOPE_OK && scope_jinja_number(rest) == (odd ? 1 : 0);
}
static bool is_divisible(const struct tested *t)
{
        return divisible(t, t->with, false);
}
static bool is_even(const struct tested *t)
{
        return divisible(t, scope_jinja_int(2), false);
}
static bool is_odd(const struct tested *t)
{
        return divisible(t, scope_jinja_int(2), true);
}

static const struct row {
        const char *name;
        bool (*holds)(const struct tested *tested);
        size_t argument_count;
} rows[] = {
        { "defined", is_defined, 0 },
        { "undefined", is_undefined, 0 },
        { "none", is_none, 0 },
        { "string", is_string, 0 },
        { "mapping", is_mapping, 0 },
        { "sequence", is_sequence, 0 },
        { "iterable", is_iterable, 0 },
        { "number", is_number, 0 },
        { "integer", is_integer, 0 },
        { "float", is_float, 0 },
        { "boolean", is_boolean, 0 },
        { "true", is_true, 0 },
        { "false", is_false, 0 },
        { "callable", is_callable, 0 },
        { "odd", is_odd, 0 },
        { "even", is_even, 0 },
        { "divisibleby", is_divisible, 1 },
        { "equalto", is_equal, 1 },
        { "eq", is_equal, 1 },
        { "ne", is_unequal, 1 },
        { "lt", is_less, 1 },
        { "lessthan", is_less, 1 },
        { "le", is_less_or_equal, 1 },
        { "gt", is_greater, 1 },
        { "greaterthan", is_greater, 1 },
        { "ge", is_greater_or_equal, 1 },
        { "in", is_in, 1 },
        { "sameas", is_same, 1 },
};

static const struct row *find_row(struct scope_jinja_string name)
{
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
                if (scope_jinja_is(name, rows[i].name))
                        return &rows[i];
        return NULL;
}

bool scope_jinja_has_test(struct scope_jinja_string name)
{
        return find_row(name) != NULL;
}

bool scope_jinja_apply_test(struct scope_jinja_run *run, struct scope_jinja_string name,
        struct scope_jinja_value value, const struct scope_jinja_arguments *arguments)
{
        const struct row *row = find_row(name);
        if (run->err != SCOPE_OK)
                return false;
        if (row == NULL) {
                (void)scope_jinja_fail(run, SCOPE_ERR_UNSUPPORTED,
                        "test '%.*s' is not among those that we have",
                        (int)(name.bytes < 80 ? name.bytes : 80), name.at);
                return false;
        }
        if (arguments->place.as.list->count != row->argument_count ||
                arguments->named.as.dict->count != 0) {
                (void)scope_jinja_fail(run, SCOPE_ERR_FORMAT, "test '%s' takes %zu arguments",
                        row->name, row->argument_count);
                return false;
        }
        struct tested tested = { run, value, { 0 } };
        if (row->argument_count > 0)
                tested.with = arguments->place.as.list->items[0];
        return row->holds(&tested) && run->err == SCOPE_OK;
}
