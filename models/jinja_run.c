/* jinja_run.c - the statements of a template, run.
 * (1) A loop's body, and a macro, have a scope of their own; if and set have none. (2) A loop is
 * left by its own break only. */
#include <string.h>

#include "base/text.h"
#include "models/jinja.h"
#include "models/jinja_parts.h"

enum flow { FLOW_NEXT, FLOW_BREAK, FLOW_CONTINUE };

static enum flow run_all(struct scope_jinja_run *run, struct scope_jinja_frame *frame,
        const struct scope_jinja_node *node);

/* A scope inside `parent`; NULL: the error is set. */
static struct scope_jinja_frame *inner_frame(
        struct scope_jinja_run *run, struct scope_jinja_frame *parent)
{
        struct scope_jinja_frame *inner = scope_jinja_alloc(run, sizeof *inner);
        if (inner == NULL)
                return NULL;
        inner->parent = parent;
        inner->names = scope_jinja_dict(run, SCOPE_JINJA_DICT);
        return run->err == SCOPE_OK ? inner : NULL;
}

static void write_text(struct scope_jinja_run *run, const char *at, size_t bytes)
{
        if (!scope_jinja_step(run, bytes))
                return;
        scope_text_add(run->out, at, bytes);
        if (run->out->failed)
                (void)scope_jinja_fail(run, SCOPE_ERR_LIMIT, "the output is over %d MiB long",
                        SCOPE_JINJA_OUTPUT_MAX >> 20);
}

static void output(struct scope_jinja_run *run, struct scope_jinja_frame *frame,
        const struct scope_jinja_node *node)
{
        struct scope_jinja_value value = scope_jinja_eval(run, frame, node->a);
        if (run->err != SCOPE_OK)
                return;
        run->line = node->line;
        struct scope_jinja_string string = scope_jinja_str(run, value);
        write_text(run, string.at, string.bytes);
}

/* ---- names ---- */

static void bind_one(struct scope_jinja_run *run, struct scope_jinja_frame *frame,
        const struct scope_jinja_node *target, struct scope_jinja_value value)
{
        struct scope_jinja_value name = scope_jinja_text(target->text.at, target->text.bytes);
        if (target->kind != SCOPE_JINJA_TARGET) {
                scope_jinja_put(run, frame->names, name, value);
                return;
        }
        struct scope_jinja_node reference = {
                .kind = SCOPE_JINJA_NAME, .line = target->line, .text = target->text
        };
        struct scope_jinja_value space = scope_jinja_eval(run, frame, &reference);
        if (run->err == SCOPE_OK && space.kind != SCOPE_JINJA_NAMESPACE)
                (void)scope_jinja_fail(run, SCOPE_ERR_FORMAT, "set '%.*s.%.*s': %s is no namespace",
                        (int)target->text.bytes, target->text.at, (int)target->text2.bytes,
                        target->text2.at, scope_jinja_kind_name(space));
        if (run->err == SCOPE_OK)
                scope_jinja_put(
                        run, space, scope_jinja_text(target->text2.at, target->text2.bytes), value);
}

static void bind(struct scope_jinja_run *run, struct scope_jinja_frame *frame,
        const struct scope_jinja_node *target, struct scope_jinja_value value)
{
        size_t wanted = 0;
        if (run->err != SCOPE_OK)
                return;
        if (target->kind != SCOPE_JINJA_ITEMS) {
                bind_one(run, frame, target, value);
                return;
        }
        struct scope_jinja_value items = scope_jinja_iterate(run, value);
        for (const struct scope_jinja_node *at = target->first; at != NULL; at = at->next)
                wanted++;
        if (run->err == SCOPE_OK && items.as.list->count != wanted)
                (void)scope_jinja_fail(run, SCOPE_ERR_FORMAT, "%zu names for %zu values", wanted,
                        items.as.list->count);
        size_t i = 0;
        for (const struct scope_jinja_node *at = target->first; at != NULL && run->err == SCOPE_OK;
                at = at->next)
                bind_one(run, frame, at, items.as.list->items[i++]);
}

/* ---- blocks whose text is a value ---- */

/* Runs `node` in a scope inside `frame`, with the output turned into a value. */
static struct scope_jinja_value capture(struct scope_jinja_run *run,
        struct scope_jinja_frame *frame, const struct scope_jinja_node *node)
{
        struct scope_jinja_frame *inner = inner_frame(run, frame);
        if (inner == NULL)
                return (struct scope_jinja_value){ 0 };
        struct scope_text text = { .limit = SCOPE_JINJA_OUTPUT_MAX }, *before = run->out;
        run->out = &text;
        (void)run_all(run, inner, node);
        run->out = before;
        struct scope_jinja_value value = { 0 };
        if (run->err == SCOPE_OK)
                value = scope_jinja_copy(run, text.bytes, text.count);
        scope_text_fini(&text);
        return value;
}

/* Filters over the text of a block; its name in the tree is BLOCK_TEXT. */
static struct scope_jinja_value filtered(struct scope_jinja_run *run,
        struct scope_jinja_frame *frame, const struct scope_jinja_node *filters,
        struct scope_jinja_value text)
{
        struct scope_jinja_frame inner = { .parent = frame,
                .names = scope_jinja_dict(run, SCOPE_JINJA_DICT) };
        if (filters == NULL || run->err != SCOPE_OK)
                return text;
        scope_jinja_put(run, inner.names, scope_jinja_words(""), text);
        return scope_jinja_eval(run, &inner, filters);
}

static void set(struct scope_jinja_run *run, struct scope_jinja_frame *frame,
        const struct scope_jinja_node *node)
{
        struct scope_jinja_value value;
        if (node->flag)
                value = filtered(run, frame, node->c, capture(run, frame, node->first));
        else
                value = scope_jinja_eval(run, frame, node->b);
        bind(run, frame, node->a, value);
}

/* ---- loops ---- */

/* The items for which the loop's "if" holds. */
static struct scope_jinja_value chosen(struct scope_jinja_run *run, struct scope_jinja_frame *frame,
        const struct scope_jinja_node *node, struct scope_jinja_value items)
{
        if (node->c == NULL || run->err != SCOPE_OK)
                return items;
        struct scope_jinja_value kept = scope_jinja_list(run, SCOPE_JINJA_LIST);
        for (size_t i = 0; run->err == SCOPE_OK && i < items.as.list->count; i++) {
                struct scope_jinja_frame inner = { .parent = frame,
                        .names = scope_jinja_dict(run, SCOPE_JINJA_DICT) };
                bind(run, &inner, node->a, items.as.list->items[i]);
                struct scope_jinja_value keep = scope_jinja_eval(run, &inner, node->c);
                if (run->err == SCOPE_OK && scope_jinja_truth(&keep))
                        scope_jinja_push(run, kept, items.as.list->items[i]);
        }
        return kept;
}

static void loop_over(struct scope_jinja_run *run, struct scope_jinja_frame *frame,
        const struct scope_jinja_node *node, const struct scope_jinja_list *items)
{
        struct scope_jinja_loop *loop = scope_jinja_alloc(run, sizeof *loop);
        if (loop == NULL)
                return;
        loop->items = items;
        struct scope_jinja_value value = { SCOPE_JINJA_LOOP, { .loop = loop } };
        for (; loop->index0 < items->count && run->err == SCOPE_OK; loop->index0++) {
                struct scope_jinja_frame *inner = inner_frame(run, frame);
                if (inner == NULL)
                        break;
                scope_jinja_put(run, inner->names, scope_jinja_words("loop"), value);
                bind(run, inner, node->a, items->items[loop->index0]);
                if (run_all(run, inner, node->first) == FLOW_BREAK)
                        break;
        }
}

static enum flow run_for(struct scope_jinja_run *run, struct scope_jinja_frame *frame,
        const struct scope_jinja_node *node)
{
        struct scope_jinja_value over = scope_jinja_eval(run, frame, node->b);
        if (run->err == SCOPE_OK)
                over = chosen(run, frame, node, scope_jinja_iterate(run, over));
        if (run->err != SCOPE_OK)
                return FLOW_NEXT;
        if (over.as.list->count > 0) {
                loop_over(run, frame, node, over.as.list);
                return FLOW_NEXT;
        }
        struct scope_jinja_frame *inner = node->d != NULL ? inner_frame(run, frame) : NULL;
        return inner != NULL ? run_all(run, inner, node->d) : FLOW_NEXT;
}

static enum flow run_if(struct scope_jinja_run *run, struct scope_jinja_frame *frame,
        const struct scope_jinja_node *node)
{
        struct scope_jinja_value holds = scope_jinja_eval(run, frame, node->a);
        if (run->err != SCOPE_OK)
                return FLOW_NEXT;
        return run_all(run, frame, scope_jinja_truth(&holds) ? node->first : node->b);
}

/* ---- macros ---- */

static void define(struct scope_jinja_run *run, struct scope_jinja_frame *frame,
        const struct scope_jinja_node *node)
{
        struct scope_jinja_macro *macro = scope_jinja_alloc(run, sizeof *macro);
        if (macro == NULL)
                return;
        *macro = (struct scope_jinja_macro){ node, frame };
        struct scope_jinja_value value = { SCOPE_JINJA_MACRO, { .macro = macro } };
        scope_jinja_put(
                run, frame->names, scope_jinja_text(node->text.at, node->text.bytes), value);
}

struct scope_jinja_value scope_jinja_call_macro(struct scope_jinja_run *run,
        const struct scope_jinja_macro *macro, const struct scope_jinja_arguments *arguments)
{
        const struct scope_jinja_node *node = macro->node;
        struct scope_jinja_frame *frame = inner_frame(run, macro->frame);
        size_t index = 0, named = 0;
        if (frame == NULL)
                return (struct scope_jinja_value){ 0 };
        for (const struct scope_jinja_node *at = node->a; at != NULL && run->err == SCOPE_OK;
                at = at->next, index++) {
                struct scope_jinja_value name = scope_jinja_text(at->text.at, at->text.bytes);
                struct scope_jinja_value *given = scope_jinja_find(run, arguments->named, name);
                struct scope_jinja_value value = scope_jinja_undefined(at->text.at, at->text.bytes);
                named += given != NULL;
                if (index < arguments->place.as.list->count)
                        value = arguments->place.as.list->items[index];
                else if (given != NULL)
                        value = *given;
                else if (at->a != NULL)
                        value = scope_jinja_eval(run, frame, at->a);
                if (run->err == SCOPE_OK)
                        scope_jinja_put(run, frame->names, name, value);
        }
        if (run->err == SCOPE_OK && (arguments->place.as.list->count > index ||
                                            arguments->named.as.dict->count > named))
                return scope_jinja_fail(run, SCOPE_ERR_FORMAT,
                        "macro '%.*s' is given arguments that it does not have",
                        (int)node->text.bytes, node->text.at);
        if (run->err != SCOPE_OK)
                return (struct scope_jinja_value){ 0 };
        return capture(run, frame, node->first);
}

/* ---- all ---- */

static enum flow run_one(struct scope_jinja_run *run, struct scope_jinja_frame *frame,
        const struct scope_jinja_node *node)
{
        struct scope_jinja_value text;
        struct scope_jinja_frame *inner;
        switch (node->kind) {
        case SCOPE_JINJA_DATA:
                write_text(run, node->text.at, node->text.bytes);
                break;
        case SCOPE_JINJA_OUTPUT:
                output(run, frame, node);
                break;
        case SCOPE_JINJA_IF:
                return run_if(run, frame, node);
        case SCOPE_JINJA_FOR:
                return run_for(run, frame, node);
        case SCOPE_JINJA_SET:
                set(run, frame, node);
                break;
        case SCOPE_JINJA_MACRO_DEFINITION:
                define(run, frame, node);
                break;
        case SCOPE_JINJA_FILTER_BLOCK:
                text = filtered(run, frame, node->a, capture(run, frame, node->first));
                if (run->err == SCOPE_OK) {
                        struct scope_jinja_string string = scope_jinja_str(run, text);
                        write_text(run, string.at, string.bytes);
                }
                break;
        case SCOPE_JINJA_GROUP:
                inner = inner_frame(run, frame);
                if (inner != NULL)
                        (void)run_all(run, inner, node->first);
                break;
        case SCOPE_JINJA_BREAK:
                return FLOW_BREAK;
        case SCOPE_JINJA_CONTINUE:
                return FLOW_CONTINUE;
        default: /* expressions are no statements */
                (void)scope_jinja_fail(run, SCOPE_ERR_INTERNAL, "a tree that is none");
                break;
        }
        return FLOW_NEXT;
}

static enum flow run_all(struct scope_jinja_run *run, struct scope_jinja_frame *frame,
        const struct scope_jinja_node *node)
{
        enum flow flow = FLOW_NEXT;
        if (scope_jinja_deeper(run, &run->depth)) {
                for (; node != NULL && flow == FLOW_NEXT && run->err == SCOPE_OK;
                        node = node->next) {
                        run->line = node->line;
                        if (scope_jinja_step(run, 0))
                                flow = run_one(run, frame, node);
                }
        }
        run->depth--;
        return flow;
}

void scope_jinja_run_template(struct scope_jinja_run *run, struct scope_jinja_frame *frame,
        const struct scope_jinja_node *statements)
{
        (void)run_all(run, frame, statements);
}
