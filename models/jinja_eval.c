/* jinja_eval.c - the expressions of a template, computed as Python computes them. Integers have 64
 * bits here: what does not fit is an error, never another number. */
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "models/jinja.h"
#include "models/jinja_parts.h"

static struct scope_jinja_value undefined_use(
        struct scope_jinja_run *run, struct scope_jinja_value value)
{
        return scope_jinja_fail(run, SCOPE_ERR_FORMAT, "'%.*s' is undefined",
                (int)(value.as.string.bytes < 80 ? value.as.string.bytes : 80),
                value.as.string.at != NULL ? value.as.string.at : "");
}

/* ---- items, attributes, slices ---- */

static bool is_dict(struct scope_jinja_value value)
{
        return value.kind == SCOPE_JINJA_DICT || value.kind == SCOPE_JINJA_NAMESPACE;
}

static struct scope_jinja_value loop_attribute(
        const struct scope_jinja_loop *loop, struct scope_jinja_string name)
{
        size_t index = loop->index0, count = loop->items->count;
        if (scope_jinja_is(name, "index"))
                return scope_jinja_int((int64_t)index + 1);
        if (scope_jinja_is(name, "index0"))
                return scope_jinja_int((int64_t)index);
        if (scope_jinja_is(name, "revindex"))
                return scope_jinja_int((int64_t)(count - index));
        if (scope_jinja_is(name, "revindex0"))
                return scope_jinja_int((int64_t)(count - index) - 1);
        if (scope_jinja_is(name, "first"))
                return scope_jinja_bool(index == 0);
        if (scope_jinja_is(name, "last"))
                return scope_jinja_bool(index + 1 == count);
        if (scope_jinja_is(name, "length"))
                return scope_jinja_int((int64_t)count);
        if (scope_jinja_is(name, "depth"))
                return scope_jinja_int(1); /* only a recursive loop is deeper */
        if (scope_jinja_is(name, "depth0"))
                return scope_jinja_int(0);
        if (scope_jinja_is(name, "previtem") && index > 0)
                return loop->items->items[index - 1];
        if (scope_jinja_is(name, "nextitem") && index + 1 < count)
                return loop->items->items[index + 1];
        return scope_jinja_undefined(name.at, name.bytes);
}

struct scope_jinja_value scope_jinja_attribute(
        struct scope_jinja_run *run, struct scope_jinja_value value, struct scope_jinja_string name)
{
        if (run->err != SCOPE_OK)
                return (struct scope_jinja_value){ 0 };
        if (value.kind == SCOPE_JINJA_UNDEFINED)
                return undefined_use(run, value);
        if (name.bytes > 0 && name.at[0] == '_')
                return scope_jinja_fail(
                        run, SCOPE_ERR_UNSUPPORTED, "attribute '%.*s'", (int)name.bytes, name.at);
        struct scope_jinja_value method = scope_jinja_bind(run, value, name);
        if (method.kind != SCOPE_JINJA_UNDEFINED || run->err != SCOPE_OK)
                return method;
        if (is_dict(value)) {
                const struct scope_jinja_value *found =
                        scope_jinja_find(run, value, scope_jinja_text(name.at, name.bytes));
                if (found != NULL)
                        return *found;
        }
        if (value.kind == SCOPE_JINJA_LOOP)
                return loop_attribute(value.as.loop, name);
        return scope_jinja_undefined(name.at, name.bytes);
}

/* Index of one of `count`, from behind where negative; SIZE_MAX where there is none. */
static size_t index_of(struct scope_jinja_value key, size_t count)
{
        int64_t index = key.kind == SCOPE_JINJA_BOOL ? key.as.truth : key.as.integer;
        if (index < 0)
                index += (int64_t)count;
        return index >= 0 && (uint64_t)index < count ? (size_t)index : SIZE_MAX;
}

static struct scope_jinja_value item_of_text(
        struct scope_jinja_run *run, struct scope_jinja_string text, struct scope_jinja_value key)
{
        size_t index = index_of(key, scope_jinja_characters(text));
        if (!scope_jinja_step(run, text.bytes) || index == SIZE_MAX)
                return (struct scope_jinja_value){ 0 };
        size_t at = scope_jinja_byte_of(text, index);
        return scope_jinja_text(text.at + at, scope_jinja_character(text.at + at, text.bytes - at));
}

struct scope_jinja_value scope_jinja_item(
        struct scope_jinja_run *run, struct scope_jinja_value value, struct scope_jinja_value key)
{
        bool index = key.kind == SCOPE_JINJA_INT || key.kind == SCOPE_JINJA_BOOL;
        if (run->err != SCOPE_OK)
                return (struct scope_jinja_value){ 0 };
        if (value.kind == SCOPE_JINJA_UNDEFINED)
                return undefined_use(run, value);
        if (value.kind == SCOPE_JINJA_DICT) {
                const struct scope_jinja_value *found = scope_jinja_find(run, value, key);
                if (found != NULL)
                        return *found;
        } else if (index && (value.kind == SCOPE_JINJA_LIST || value.kind == SCOPE_JINJA_TUPLE)) {
                size_t at = index_of(key, value.as.list->count);
                if (at != SIZE_MAX)
                        return value.as.list->items[at];
        } else if (index && value.kind == SCOPE_JINJA_STRING)
                return item_of_text(run, value.as.string, key);
        if (key.kind == SCOPE_JINJA_STRING)
                return scope_jinja_attribute(run, value, key.as.string);
        return scope_jinja_undefined("item", 4);
}

/* Python's slice.indices: where to begin, how many steps of `stride`. False: an error. */
static bool slice_range(struct scope_jinja_run *run, const struct scope_jinja_value bounds[3],
        size_t count, int64_t *ret_begin, int64_t *ret_stride, size_t *ret_steps)
{
        int64_t n = (int64_t)count, value[3] = { 0, 0, 1 };
        bool given[3];
        for (int i = 0; i < 3; i++) {
                given[i] = bounds[i].kind != SCOPE_JINJA_UNDEFINED &&
                           bounds[i].kind != SCOPE_JINJA_NONE;
                if (given[i] && bounds[i].kind != SCOPE_JINJA_INT) {
                        (void)scope_jinja_fail(run, SCOPE_ERR_FORMAT, "a slice bound is %s",
                                scope_jinja_kind_name(bounds[i]));
                        return false;
                }
                if (given[i])
                        value[i] = bounds[i].as.integer;
        }
        if (value[2] == 0) {
                (void)scope_jinja_fail(run, SCOPE_ERR_FORMAT, "a slice with stride 0");
                return false;
        }
        bool back = value[2] < 0;
        int64_t low = back ? -1 : 0, high = back ? n - 1 : n;
        for (int i = 0; i < 2; i++) {
                if (!given[i])
                        value[i] = (i == 0) == back ? high : low;
                else if (value[i] < 0)
                        value[i] = value[i] + n < low ? low : value[i] + n;
                else if (value[i] > high)
                        value[i] = high;
        }
        if (back ? value[0] <= value[1] : value[0] >= value[1])
                *ret_steps = 0;
        else {
                uint64_t span = (uint64_t)(back ? value[0] - value[1] : value[1] - value[0]);
                uint64_t stride = back ? 0 - (uint64_t)value[2] : (uint64_t)value[2];
                *ret_steps = (size_t)((span - 1) / stride + 1);
        }
        *ret_begin = value[0];
        *ret_stride = value[2];
        return true;
}

static struct scope_jinja_value slice_of_text(struct scope_jinja_run *run,
        struct scope_jinja_string text, const struct scope_jinja_value bounds[3])
{
        int64_t begin, stride;
        size_t steps;
        if (!scope_jinja_step(run, text.bytes) ||
                !slice_range(run, bounds, scope_jinja_characters(text), &begin, &stride, &steps))
                return (struct scope_jinja_value){ 0 };
        if (steps == 0)
                return scope_jinja_text("", 0);
        if (stride == 1) {
                size_t at = scope_jinja_byte_of(text, (size_t)begin);
                struct scope_jinja_string rest = { text.at + at, text.bytes - at };
                return scope_jinja_text(rest.at, scope_jinja_byte_of(rest, steps));
        }
        struct scope_jinja_value list =
                scope_jinja_iterate(run, scope_jinja_text(text.at, text.bytes));
        struct scope_text joined = { .limit = SCOPE_JINJA_OUTPUT_MAX };
        for (size_t i = 0; i < steps && scope_jinja_step(run, 0); i++) {
                const struct scope_jinja_value *item =
                        &list.as.list->items[begin + (int64_t)i * stride];
                scope_text_add(&joined, item->as.string.at, item->as.string.bytes);
        }
        struct scope_jinja_value out = scope_jinja_copy(run, joined.bytes, joined.count);
        scope_text_fini(&joined);
        return out;
}

struct scope_jinja_value scope_jinja_slice(struct scope_jinja_run *run,
        struct scope_jinja_value value, const struct scope_jinja_value bounds[3])
{
        int64_t begin, stride;
        size_t steps;
        if (run->err != SCOPE_OK)
                return (struct scope_jinja_value){ 0 };
        if (value.kind == SCOPE_JINJA_UNDEFINED)
                return undefined_use(run, value);
        if (value.kind == SCOPE_JINJA_STRING)
                return slice_of_text(run, value.as.string, bounds);
        if (value.kind != SCOPE_JINJA_LIST && value.kind != SCOPE_JINJA_TUPLE)
                return scope_jinja_fail(
                        run, SCOPE_ERR_FORMAT, "a slice of %s", scope_jinja_kind_name(value));
        if (!slice_range(run, bounds, value.as.list->count, &begin, &stride, &steps))
                return (struct scope_jinja_value){ 0 };
        struct scope_jinja_value out = scope_jinja_list(run, value.kind);
        for (size_t i = 0; i < steps && run->err == SCOPE_OK; i++)
                scope_jinja_push(run, out, value.as.list->items[begin + (int64_t)i * stride]);
        return out;
}

bool scope_jinja_is_key(struct scope_jinja_run *run, struct scope_jinja_value key)
{
        if (key.kind == SCOPE_JINJA_TUPLE)
                (void)scope_jinja_fail(run, SCOPE_ERR_UNSUPPORTED, "a tuple as a key");
        else if (key.kind == SCOPE_JINJA_LIST || key.kind == SCOPE_JINJA_DICT)
                (void)scope_jinja_fail(
                        run, SCOPE_ERR_FORMAT, "%s as a key", scope_jinja_kind_name(key));
        return run->err == SCOPE_OK;
}

bool scope_jinja_contains(
        struct scope_jinja_run *run, struct scope_jinja_value value, struct scope_jinja_value item)
{
        if (run->err != SCOPE_OK)
                return false;
        if (value.kind == SCOPE_JINJA_STRING) {
                if (item.kind != SCOPE_JINJA_STRING) {
                        (void)scope_jinja_fail(run, SCOPE_ERR_FORMAT, "'in': %s in a string",
                                scope_jinja_kind_name(item));
                        return false;
                }
                return scope_jinja_step(run, value.as.string.bytes) &&
                       (item.as.string.bytes == 0 ||
                               memmem(value.as.string.at, value.as.string.bytes, item.as.string.at,
                                       item.as.string.bytes) != NULL);
        }
        if (value.kind == SCOPE_JINJA_DICT)
                return scope_jinja_is_key(run, item) && scope_jinja_find(run, value, item) != NULL;
        struct scope_jinja_value list = scope_jinja_iterate(run, value);
        for (size_t i = 0; run->err == SCOPE_OK && i < list.as.list->count; i++)
                if (scope_jinja_equal(run, list.as.list->items[i], item))
                        return true;
        return false;
}

/* ---- operators ---- */

static struct scope_jinja_value joined(
        struct scope_jinja_run *run, struct scope_jinja_string a, struct scope_jinja_string b)
{
        char *copy = scope_jinja_alloc(run, a.bytes + b.bytes + 1);
        if (copy == NULL)
                return (struct scope_jinja_value){ 0 };
        if (a.bytes > 0)
                memcpy(copy, a.at, a.bytes);
        if (b.bytes > 0)
                memcpy(copy + a.bytes, b.at, b.bytes);
        return scope_jinja_text(copy, a.bytes + b.bytes);
}

static struct scope_jinja_value joined_lists(
        struct scope_jinja_run *run, struct scope_jinja_value a, struct scope_jinja_value b)
{
        struct scope_jinja_value list = scope_jinja_list(run, a.kind);
        for (size_t i = 0; run->err == SCOPE_OK && i < a.as.list->count; i++)
                scope_jinja_push(run, list, a.as.list->items[i]);
        for (size_t i = 0; run->err == SCOPE_OK && i < b.as.list->count; i++)
                scope_jinja_push(run, list, b.as.list->items[i]);
        return list;
}

static struct scope_jinja_value repeated(
        struct scope_jinja_run *run, struct scope_jinja_string text, int64_t count)
{
        struct scope_text whole = { .limit = SCOPE_JINJA_OUTPUT_MAX };
        for (int64_t i = 0; i < count && !whole.failed && text.bytes > 0; i++)
                scope_text_add(&whole, text.at, text.bytes);
        if (whole.failed)
                (void)scope_jinja_fail(run, SCOPE_ERR_LIMIT, "'*' makes a text over %d MiB",
                        SCOPE_JINJA_OUTPUT_MAX >> 20);
        struct scope_jinja_value value = scope_jinja_copy(run, whole.bytes, whole.count);
        scope_text_fini(&whole);
        return value;
}

static int64_t whole_of(struct scope_jinja_value value)
{
        return value.kind == SCOPE_JINJA_BOOL ? value.as.truth : value.as.integer;
}

/* True, and *ret_value, where the result is an integer that fits. */
static bool integer_arithmetic(char operator, int64_t a, int64_t b, int64_t *ret_value)
{
        int64_t value = 1;
        switch (operator) {
        case '+':
                return !__builtin_add_overflow(a, b, ret_value);
        case '-':
                return !__builtin_sub_overflow(a, b, ret_value);
        case '*':
                return !__builtin_mul_overflow(a, b, ret_value);
        case 'd':
        case '%':
                if (b == -1) { /* the smallest over -1 does not fit */
                        *ret_value = 0;
                        return operator== '%' || !__builtin_sub_overflow(0, a, ret_value);
                }
                value = a / b - (a % b != 0 && (a < 0) != (b < 0));
                *ret_value = operator== 'd' ? value : a - value * b;
                return true;
        default: /* 'p', b >= 0 */
                for (int64_t i = 0; i < b && i < 64; i++)
                        if (__builtin_mul_overflow(value, a, &value))
                                return false;
                *ret_value = value;
                return b <= 64 || (a >= -1 && a <= 1 && (a != -1 || (b & 1) == 0));
        }
}

static struct scope_jinja_value real_arithmetic(char operator, double a, double b)
{
        double value = operator== '+' ? a + b :
                       operator== '-' ? a - b
                       :
                       operator== '*' ? a * b
                       :
                       operator== '/' ? a / b
                       :
                       operator== 'd' ? floor(a / b)
                       :
                       operator== '%' ? a - floor(a / b) * b
                                      : pow(a, b);
        return (struct scope_jinja_value){ SCOPE_JINJA_FLOAT, { .real = value } };
}

static struct scope_jinja_value numbers(struct scope_jinja_run *run, char operator,
        struct scope_jinja_value a, struct scope_jinja_value b)
{
        bool divides = operator== '/' || operator== 'd' || operator== '%', whole;
        int64_t value;
        if (divides && scope_jinja_number(b) == 0)
                return scope_jinja_fail(run, SCOPE_ERR_FORMAT, "division by zero");
        whole = a.kind != SCOPE_JINJA_FLOAT &&
                b.kind != SCOPE_JINJA_FLOAT &&
                operator!= '/' &&(operator!= 'p' || whole_of(b) >= 0);
        if (!whole)
                return real_arithmetic(operator, scope_jinja_number(a), scope_jinja_number(b));
        if (!integer_arithmetic(operator, whole_of(a), whole_of(b), &value))
                return scope_jinja_fail(
                        run, SCOPE_ERR_UNSUPPORTED, "an integer that does not fit 64 bits");
        return scope_jinja_int(value);
}

struct scope_jinja_value scope_jinja_arithmetic(struct scope_jinja_run *run, char operator,
        struct scope_jinja_value a, struct scope_jinja_value b)
{
        static const char *const names[] = { "+", "-", "*", "/", "//", "%", "**", "~" };
        static const char codes[] = "+-*/d%p~";
        bool list_a = a.kind == SCOPE_JINJA_LIST || a.kind == SCOPE_JINJA_TUPLE;
        if (run->err != SCOPE_OK)
                return (struct scope_jinja_value){ 0 };
        if (operator== '~') {
                struct scope_jinja_string first = scope_jinja_str(run, a);
                return joined(run, first, scope_jinja_str(run, b));
        }
        bool formats = operator == '%' && a.kind == SCOPE_JINJA_STRING;
        if (a.kind == SCOPE_JINJA_UNDEFINED)
                return undefined_use(run, a);
        if (b.kind == SCOPE_JINJA_UNDEFINED && !formats)
                return undefined_use(run, b);
        if (scope_jinja_is_number(a) && scope_jinja_is_number(b))
                return numbers(run, operator, a, b);
        if (operator== '+' && a.kind == SCOPE_JINJA_STRING && b.kind == a.kind)
                return joined(run, a.as.string, b.as.string);
        if (operator== '+' && list_a && a.kind == b.kind)
                return joined_lists(run, a, b);
        bool count_a = a.kind == SCOPE_JINJA_INT || a.kind == SCOPE_JINJA_BOOL,
             count_b = b.kind == SCOPE_JINJA_INT || b.kind == SCOPE_JINJA_BOOL;
        if (operator== '*' && a.kind == SCOPE_JINJA_STRING && count_b)
                return repeated(run, a.as.string, whole_of(b));
        if (operator== '*' && b.kind == SCOPE_JINJA_STRING && count_a)
                return repeated(run, b.as.string, whole_of(a));
        bool list_b = b.kind == SCOPE_JINJA_LIST || b.kind == SCOPE_JINJA_TUPLE;
        bool known = (operator== '%' && a.kind == SCOPE_JINJA_STRING) ||
                     (operator== '*' &&(list_a || list_b));
        return scope_jinja_fail(run, known ? SCOPE_ERR_UNSUPPORTED : SCOPE_ERR_FORMAT,
                "'%s' between %s and %s", names[strchr(codes, operator) - codes],
                scope_jinja_kind_name(a), scope_jinja_kind_name(b));
}

static bool compare(struct scope_jinja_run *run, char operator, struct scope_jinja_value a,
        struct scope_jinja_value b)
{
        switch (operator) {
        case '=':
                return scope_jinja_equal(run, a, b);
        case '!':
                return !scope_jinja_equal(run, a, b);
        case 'i':
                return scope_jinja_contains(run, b, a);
        case 'n':
                return !scope_jinja_contains(run, b, a);
        default:
                break;
        }
        if (a.kind == SCOPE_JINJA_UNDEFINED || b.kind == SCOPE_JINJA_UNDEFINED) {
                (void)undefined_use(run, a.kind == SCOPE_JINJA_UNDEFINED ? a : b);
                return false;
        }
        if (operator== '<')
                return scope_jinja_order(run, a, b, "<") < 0;
        if (operator== '>')
                return scope_jinja_order(run, a, b, ">") > 0;
        if (operator== 'l')
                return scope_jinja_order(run, a, b, "<=") <= 0;
        return scope_jinja_order(run, a, b, ">=") >= 0;
}

static struct scope_jinja_value eval_compare(struct scope_jinja_run *run,
        struct scope_jinja_frame *frame, const struct scope_jinja_node *node)
{
        struct scope_jinja_value left = scope_jinja_eval(run, frame, node->a);
        bool holds = true;
        for (const struct scope_jinja_node *at = node->first;
                at != NULL && holds && run->err == SCOPE_OK; at = at->next) {
                struct scope_jinja_value right = scope_jinja_eval(run, frame, at->a);
                if (run->err != SCOPE_OK)
                        break;
                holds = compare(run, at->operator, left, right);
                left = right;
        }
        return scope_jinja_bool(holds);
}

static struct scope_jinja_value eval_unary(struct scope_jinja_run *run,
        struct scope_jinja_frame *frame, const struct scope_jinja_node *node)
{
        struct scope_jinja_value value = scope_jinja_eval(run, frame, node->a);
        if (run->err != SCOPE_OK)
                return value;
        if (node->operator== 'n')
                return scope_jinja_bool(!scope_jinja_truth(&value));
        if (value.kind == SCOPE_JINJA_UNDEFINED)
                return undefined_use(run, value);
        if (!scope_jinja_is_number(value))
                return scope_jinja_fail(run, SCOPE_ERR_FORMAT, "'%c' before %s", node->operator,
                        scope_jinja_kind_name(value));
        struct scope_jinja_value zero = scope_jinja_int(0);
        if (value.kind == SCOPE_JINJA_FLOAT) {
                value.as.real = node->operator== '-' ? -value.as.real : value.as.real;
                return value;
        }
        return scope_jinja_arithmetic(run, node->operator, zero, value);
}

/* ---- names, calls ---- */

static struct scope_jinja_value look_up(struct scope_jinja_run *run,
        struct scope_jinja_frame *frame, struct scope_jinja_string name)
{
        struct scope_jinja_value key = scope_jinja_text(name.at, name.bytes);
        for (; frame != NULL && run->err == SCOPE_OK; frame = frame->parent) {
                const struct scope_jinja_value *found = scope_jinja_find(run, frame->names, key);
                if (found != NULL)
                        return *found;
        }
        return run->err == SCOPE_OK ? scope_jinja_global(run, name)
                                    : (struct scope_jinja_value){ 0 };
}

static bool eval_arguments(struct scope_jinja_run *run, struct scope_jinja_frame *frame,
        const struct scope_jinja_node *node, struct scope_jinja_arguments *ret_arguments)
{
        ret_arguments->place = scope_jinja_list(run, SCOPE_JINJA_LIST);
        ret_arguments->named = scope_jinja_dict(run, SCOPE_JINJA_DICT);
        for (; node != NULL && run->err == SCOPE_OK; node = node->next) {
                struct scope_jinja_value value = scope_jinja_eval(run, frame, node->a);
                if (run->err != SCOPE_OK)
                        break;
                if (node->text.bytes > 0)
                        scope_jinja_put(run, ret_arguments->named,
                                scope_jinja_text(node->text.at, node->text.bytes), value);
                else
                        scope_jinja_push(run, ret_arguments->place, value);
        }
        return run->err == SCOPE_OK;
}

static struct scope_jinja_value eval_call(struct scope_jinja_run *run,
        struct scope_jinja_frame *frame, const struct scope_jinja_node *node)
{
        struct scope_jinja_value callee = scope_jinja_eval(run, frame, node->a);
        struct scope_jinja_arguments arguments;
        if (!eval_arguments(run, frame, node->first, &arguments))
                return (struct scope_jinja_value){ 0 };
        run->line = node->line;
        switch (callee.kind) {
        case SCOPE_JINJA_MACRO:
                return scope_jinja_call_macro(run, callee.as.macro, &arguments);
        case SCOPE_JINJA_FUNCTION:
                return scope_jinja_call_global(run, callee.as.function, &arguments);
        case SCOPE_JINJA_METHOD:
                return scope_jinja_call_method(run, callee.as.method, &arguments);
        case SCOPE_JINJA_UNDEFINED:
                return undefined_use(run, callee);
        default:
                return scope_jinja_fail(run, SCOPE_ERR_FORMAT, "%s cannot be called",
                        scope_jinja_kind_name(callee));
        }
}

/* ---- all ---- */

static struct scope_jinja_value eval_items(struct scope_jinja_run *run,
        struct scope_jinja_frame *frame, const struct scope_jinja_node *node)
{
        struct scope_jinja_value list =
                scope_jinja_list(run, node->flag ? SCOPE_JINJA_TUPLE : SCOPE_JINJA_LIST);
        for (const struct scope_jinja_node *at = node->first; at != NULL && run->err == SCOPE_OK;
                at = at->next)
                scope_jinja_push(run, list, scope_jinja_eval(run, frame, at));
        return list;
}

static struct scope_jinja_value eval_pairs(struct scope_jinja_run *run,
        struct scope_jinja_frame *frame, const struct scope_jinja_node *node)
{
        struct scope_jinja_value dict = scope_jinja_dict(run, SCOPE_JINJA_DICT);
        for (const struct scope_jinja_node *at = node->first; at != NULL && run->err == SCOPE_OK;
                at = at->next->next) {
                struct scope_jinja_value key = scope_jinja_eval(run, frame, at);
                if (run->err != SCOPE_OK || !scope_jinja_is_key(run, key))
                        break;
                scope_jinja_put(run, dict, key, scope_jinja_eval(run, frame, at->next));
        }
        return dict;
}

static struct scope_jinja_value eval_filter(struct scope_jinja_run *run,
        struct scope_jinja_frame *frame, const struct scope_jinja_node *node)
{
        struct scope_jinja_value value = scope_jinja_eval(run, frame, node->a);
        struct scope_jinja_arguments arguments;
        if (run->err != SCOPE_OK || !eval_arguments(run, frame, node->first, &arguments))
                return (struct scope_jinja_value){ 0 };
        run->line = node->line;
        if (node->kind == SCOPE_JINJA_FILTER)
                return scope_jinja_apply_filter(run, node->text, value, &arguments);
        bool holds = scope_jinja_apply_test(run, node->text, value, &arguments);
        return scope_jinja_bool(holds != node->flag);
}

static struct scope_jinja_value eval_slice(struct scope_jinja_run *run,
        struct scope_jinja_frame *frame, const struct scope_jinja_node *node)
{
        struct scope_jinja_value value = scope_jinja_eval(run, frame, node->a), bounds[3] = { 0 };
        const struct scope_jinja_node *given[3] = { node->b, node->c, node->d };
        for (int i = 0; i < 3; i++)
                if (given[i] != NULL)
                        bounds[i] = scope_jinja_eval(run, frame, given[i]);
        return scope_jinja_slice(run, value, bounds);
}

static struct scope_jinja_value eval_logic(struct scope_jinja_run *run,
        struct scope_jinja_frame *frame, const struct scope_jinja_node *node)
{
        struct scope_jinja_value value =
                scope_jinja_eval(run, frame, node->kind == SCOPE_JINJA_CHOICE ? node->b : node->a);
        if (run->err != SCOPE_OK)
                return value;
        bool holds = scope_jinja_truth(&value);
        if (node->kind == SCOPE_JINJA_CHOICE) {
                if (holds || node->c != NULL)
                        return scope_jinja_eval(run, frame, holds ? node->a : node->c);
                return scope_jinja_undefined("the inline if without else", 26);
        }
        return holds == (node->kind == SCOPE_JINJA_OR) ? value
                                                       : scope_jinja_eval(run, frame, node->b);
}

static struct scope_jinja_value eval_deep(struct scope_jinja_run *run,
        struct scope_jinja_frame *frame, const struct scope_jinja_node *node)
{
        struct scope_jinja_value a, b;
        switch (node->kind) {
        case SCOPE_JINJA_CONST:
                return node->value;
        case SCOPE_JINJA_NAME:
                return look_up(run, frame, node->text);
        case SCOPE_JINJA_BLOCK_TEXT:
                return look_up(run, frame, (struct scope_jinja_string){ "", 0 });
        case SCOPE_JINJA_ITEMS:
                return eval_items(run, frame, node);
        case SCOPE_JINJA_PAIRS:
                return eval_pairs(run, frame, node);
        case SCOPE_JINJA_UNARY:
                return eval_unary(run, frame, node);
        case SCOPE_JINJA_BINARY:
                a = scope_jinja_eval(run, frame, node->a);
                b = scope_jinja_eval(run, frame, node->b);
                run->line = run->err == SCOPE_OK ? node->line : run->line;
                return scope_jinja_arithmetic(run, node->operator, a, b);
        case SCOPE_JINJA_AND:
        case SCOPE_JINJA_OR:
        case SCOPE_JINJA_CHOICE:
                return eval_logic(run, frame, node);
        case SCOPE_JINJA_COMPARE:
                return eval_compare(run, frame, node);
        case SCOPE_JINJA_ATTRIBUTE:
                return scope_jinja_attribute(
                        run, scope_jinja_eval(run, frame, node->a), node->text);
        case SCOPE_JINJA_ITEM:
                a = scope_jinja_eval(run, frame, node->a);
                return scope_jinja_item(run, a, scope_jinja_eval(run, frame, node->b));
        case SCOPE_JINJA_SLICE:
                return eval_slice(run, frame, node);
        case SCOPE_JINJA_CALL:
                return eval_call(run, frame, node);
        case SCOPE_JINJA_FILTER:
        case SCOPE_JINJA_TEST:
                return eval_filter(run, frame, node);
        default: /* statements are no expressions */
                return scope_jinja_fail(run, SCOPE_ERR_INTERNAL, "a tree that is none");
        }
}

struct scope_jinja_value scope_jinja_eval(struct scope_jinja_run *run,
        struct scope_jinja_frame *frame, const struct scope_jinja_node *node)
{
        struct scope_jinja_value value = { 0 };
        if (scope_jinja_deeper(run, &run->depth)) {
                run->line = node->line;
                if (scope_jinja_step(run, 0))
                        value = eval_deep(run, frame, node);
        }
        run->depth--;
        return run->err == SCOPE_OK ? value : (struct scope_jinja_value){ 0 };
}
