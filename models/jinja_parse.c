/* jinja_parse.c - tokens of a template to a tree of statements; reading and forgetting a
 * template. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "models/jinja.h"
#include "models/jinja_parts.h"

#define OPERATOR SCOPE_JINJA_TOKEN_OPERATOR
#define NAME SCOPE_JINJA_TOKEN_NAME
#define BLOCK_END SCOPE_JINJA_TOKEN_BLOCK_END

struct scope_jinja {
        char name[128];
        struct scope_jinja_memory memory;
        const struct scope_jinja_node *statements;
};

static struct scope_jinja_node *parse_block(
        struct scope_jinja_reader *reader, const char *const *ends);

static void end_block(struct scope_jinja_reader *reader)
{
        if (!scope_jinja_skip(reader, BLOCK_END, NULL))
                scope_jinja_unexpected(reader, "'%}'");
}

/* The statements up to {% END %}, all of which is taken. */
static struct scope_jinja_node *parse_body(struct scope_jinja_reader *reader, const char *end)
{
        const char *const ends[] = { end, NULL };
        end_block(reader);
        struct scope_jinja_node *body = parse_block(reader, ends);
        scope_jinja_expect(reader, NAME, end);
        return body;
}

/* ---- statements; their first word is taken ---- */

static struct scope_jinja_node *parse_if(struct scope_jinja_reader *reader)
{
        static const char *const ends[] = { "elif", "else", "endif", NULL };
        struct scope_jinja_node *node = scope_jinja_node(reader, SCOPE_JINJA_IF);
        if (node == NULL || !scope_jinja_deeper(reader->run, &reader->depth)) {
                reader->depth -= node != NULL;
                return NULL;
        }
        node->a = scope_jinja_parse_expression(reader, true);
        end_block(reader);
        node->first = parse_block(reader, ends);
        if (scope_jinja_skip(reader, NAME, "elif"))
                node->b = parse_if(reader); /* takes the endif */
        else if (scope_jinja_skip(reader, NAME, "else"))
                node->b = parse_body(reader, "endif");
        else
                scope_jinja_expect(reader, NAME, "endif");
        reader->depth--;
        return node;
}

/* NAME, NAME.ATTRIBUTE (where allowed), or names with commas between. */
static struct scope_jinja_node *parse_target(struct scope_jinja_reader *reader, bool attribute)
{
        bool bracket = scope_jinja_skip(reader, OPERATOR, "(");
        struct scope_jinja_node *first = NULL, **tail = &first, *node;
        size_t count = 0;
        bool comma;
        do {
                node = scope_jinja_node(reader, SCOPE_JINJA_NAME);
                if (node == NULL)
                        return NULL;
                node->text = scope_jinja_peek(reader, 0)->text;
                scope_jinja_expect(reader, NAME, NULL);
                if (attribute && count == 0 && scope_jinja_skip(reader, OPERATOR, ".")) {
                        node->kind = SCOPE_JINJA_TARGET;
                        node->text2 = scope_jinja_peek(reader, 0)->text;
                        scope_jinja_expect(reader, NAME, NULL);
                }
                *tail = node;
                tail = &node->next;
                count++;
                comma = scope_jinja_skip(reader, OPERATOR, ",");
        } while (comma && reader->run->err == SCOPE_OK && scope_jinja_at(reader, NAME, NULL) &&
                 !scope_jinja_at(reader, NAME, "in"));
        if (bracket)
                scope_jinja_expect(reader, OPERATOR, ")");
        if (count == 1 && !comma)
                return first;
        node = scope_jinja_node(reader, SCOPE_JINJA_ITEMS);
        if (node != NULL)
                node->first = first;
        return node;
}

static struct scope_jinja_node *parse_for(struct scope_jinja_reader *reader)
{
        static const char *const ends[] = { "else", "endfor", NULL };
        struct scope_jinja_node *node = scope_jinja_node(reader, SCOPE_JINJA_FOR);
        if (node == NULL)
                return NULL;
        node->a = parse_target(reader, false);
        scope_jinja_expect(reader, NAME, "in");
        node->b = scope_jinja_parse_iterable(reader);
        if (scope_jinja_at(reader, OPERATOR, ",")) {
                scope_jinja_unexpected(reader, "brackets around a tuple to walk over");
                return NULL;
        }
        if (scope_jinja_skip(reader, NAME, "if"))
                node->c = scope_jinja_parse_expression(reader, false);
        if (scope_jinja_at(reader, NAME, "recursive")) {
                (void)scope_jinja_fail(
                        reader->run, SCOPE_ERR_UNSUPPORTED, "a recursive {%% for %%}");
                return NULL;
        }
        end_block(reader);
        reader->loops++;
        node->first = parse_block(reader, ends);
        reader->loops--;
        if (scope_jinja_skip(reader, NAME, "else"))
                node->d = parse_body(reader, "endfor");
        else
                scope_jinja_expect(reader, NAME, "endfor");
        return node;
}

static struct scope_jinja_node *parse_set(struct scope_jinja_reader *reader)
{
        struct scope_jinja_node *node = scope_jinja_node(reader, SCOPE_JINJA_SET);
        if (node == NULL)
                return NULL;
        node->a = parse_target(reader, true);
        if (scope_jinja_skip(reader, OPERATOR, "=")) {
                node->b = scope_jinja_parse_expression(reader, true);
                return node;
        }
        if (scope_jinja_at(reader, OPERATOR, "|"))
                node->c = scope_jinja_node(reader, SCOPE_JINJA_BLOCK_TEXT);
        while (scope_jinja_skip(reader, OPERATOR, "|"))
                node->c = scope_jinja_parse_filters(reader, node->c);
        node->flag = true;
        node->first = parse_body(reader, "endset");
        return node;
}

static struct scope_jinja_node *parse_macro(struct scope_jinja_reader *reader)
{
        struct scope_jinja_node *node = scope_jinja_node(reader, SCOPE_JINJA_MACRO_DEFINITION),
                                **tail;
        if (node == NULL)
                return NULL;
        node->text = scope_jinja_peek(reader, 0)->text;
        scope_jinja_expect(reader, NAME, NULL);
        scope_jinja_expect(reader, OPERATOR, "(");
        tail = &node->a;
        while (reader->run->err == SCOPE_OK && !scope_jinja_skip(reader, OPERATOR, ")")) {
                struct scope_jinja_node *parameter = scope_jinja_node(reader, SCOPE_JINJA_ARGUMENT);
                if (parameter == NULL)
                        return NULL;
                parameter->text = scope_jinja_peek(reader, 0)->text;
                scope_jinja_expect(reader, NAME, NULL);
                if (scope_jinja_skip(reader, OPERATOR, "="))
                        parameter->a = scope_jinja_parse_expression(reader, false);
                *tail = parameter;
                tail = &parameter->next;
                if (!scope_jinja_skip(reader, OPERATOR, ",") &&
                        !scope_jinja_at(reader, OPERATOR, ")"))
                        scope_jinja_unexpected(reader, "',' or ')'");
        }
        uint32_t loops = reader->loops;
        reader->loops = 0; /* a break in a macro is not of the loop around it */
        node->first = parse_body(reader, "endmacro");
        reader->loops = loops;
        return node;
}

static struct scope_jinja_node *parse_filter_block(struct scope_jinja_reader *reader)
{
        struct scope_jinja_node *node = scope_jinja_node(reader, SCOPE_JINJA_FILTER_BLOCK);
        if (node == NULL)
                return NULL;
        node->a = scope_jinja_node(reader, SCOPE_JINJA_BLOCK_TEXT);
        do
                node->a = scope_jinja_parse_filters(reader, node->a);
        while (node->a != NULL && scope_jinja_skip(reader, OPERATOR, "|"));
        node->first = parse_body(reader, "endfilter");
        return node;
}

static struct scope_jinja_node *parse_generation(struct scope_jinja_reader *reader)
{
        struct scope_jinja_node *node = scope_jinja_node(reader, SCOPE_JINJA_GROUP);
        uint32_t loops = reader->loops;
        reader->loops = 0; /* it is a macro of its own, in transformers too */
        if (node != NULL)
                node->first = parse_body(reader, "endgeneration");
        reader->loops = loops;
        return node;
}

static struct scope_jinja_node *parse_leave(
        struct scope_jinja_reader *reader, enum scope_jinja_node_kind kind)
{
        if (reader->loops == 0)
                (void)scope_jinja_fail(reader->run, SCOPE_ERR_FORMAT, "'%s' outside of a loop",
                        kind == SCOPE_JINJA_BREAK ? "break" : "continue");
        return scope_jinja_node(reader, kind);
}

/* Behind "{%". */
static struct scope_jinja_node *parse_statement(struct scope_jinja_reader *reader)
{
        const struct scope_jinja_token *word = scope_jinja_peek(reader, 0);
        if (scope_jinja_skip(reader, NAME, "if"))
                return parse_if(reader);
        if (scope_jinja_skip(reader, NAME, "for"))
                return parse_for(reader);
        if (scope_jinja_skip(reader, NAME, "set"))
                return parse_set(reader);
        if (scope_jinja_skip(reader, NAME, "macro"))
                return parse_macro(reader);
        if (scope_jinja_skip(reader, NAME, "filter"))
                return parse_filter_block(reader);
        if (scope_jinja_skip(reader, NAME, "generation"))
                return parse_generation(reader);
        if (scope_jinja_skip(reader, NAME, "break"))
                return parse_leave(reader, SCOPE_JINJA_BREAK);
        if (scope_jinja_skip(reader, NAME, "continue"))
                return parse_leave(reader, SCOPE_JINJA_CONTINUE);
        reader->run->line = word->line;
        static const char *const known[] = { "extends", "block", "include", "import", "from",
                "call", "with", "autoescape", "do", "trans", "debug", NULL };
        for (const char *const *name = known; *name != NULL; name++)
                if (word->kind == NAME && scope_jinja_is(word->text, *name)) {
                        (void)scope_jinja_fail(reader->run, SCOPE_ERR_UNSUPPORTED,
                                "'{%% %s %%}' is not among the statements that we have", *name);
                        return NULL;
                }
        scope_jinja_unexpected(reader, "a statement");
        return NULL;
}

static struct scope_jinja_node *parse_output(struct scope_jinja_reader *reader)
{
        struct scope_jinja_node *node = scope_jinja_node(reader, SCOPE_JINJA_OUTPUT);
        if (node == NULL)
                return NULL;
        node->a = scope_jinja_parse_expression(reader, true);
        if (!scope_jinja_skip(reader, SCOPE_JINJA_TOKEN_VARIABLE_END, NULL))
                scope_jinja_unexpected(reader, "'}}'");
        return node;
}

static struct scope_jinja_node *parse_data(struct scope_jinja_reader *reader)
{
        struct scope_jinja_node *node = scope_jinja_node(reader, SCOPE_JINJA_DATA);
        if (node != NULL)
                node->text = scope_jinja_peek(reader, 0)->text;
        reader->at++;
        return node;
}

static bool at_one_of(struct scope_jinja_reader *reader, const char *const *ends)
{
        for (; *ends != NULL; ends++)
                if (scope_jinja_at(reader, NAME, *ends))
                        return true;
        return false;
}

/* Statements up to "{% END" with END one of `ends`; the reader stands before END. With no ends: up
 * to the end of the template. */
static struct scope_jinja_node *parse_block(
        struct scope_jinja_reader *reader, const char *const *ends)
{
        struct scope_jinja_node *first = NULL, **tail = &first, *node;
        if (!scope_jinja_deeper(reader->run, &reader->depth)) {
                reader->depth--;
                return NULL;
        }
        while (reader->run->err == SCOPE_OK) {
                if (scope_jinja_at(reader, SCOPE_JINJA_TOKEN_END, NULL)) {
                        while (ends[0] != NULL && ends[1] != NULL)
                                ends++; /* the last is what closes it */
                        if (*ends != NULL)
                                scope_jinja_unexpected(reader, *ends);
                        break;
                }
                if (scope_jinja_at(reader, SCOPE_JINJA_TOKEN_DATA, NULL)) {
                        node = parse_data(reader);
                } else if (scope_jinja_skip(reader, SCOPE_JINJA_TOKEN_VARIABLE_BEGIN, NULL)) {
                        node = parse_output(reader);
                } else {
                        reader->at++; /* the only thing left: "{%" */
                        if (at_one_of(reader, ends))
                                break;
                        node = parse_statement(reader);
                        if (node != NULL)
                                end_block(reader);
                }
                if (node == NULL)
                        break;
                *tail = node;
                tail = &node->next;
        }
        reader->depth--;
        return first;
}

/* ---- the whole ---- */

enum scope_err scope_jinja_compile(const char *name, const char *source, size_t bytes,
        struct scope_jinja **ret_jinja, struct scope_diag *diag)
{
        static const char *const no_ends[] = { NULL };
        if (bytes > SCOPE_JINJA_SOURCE_MAX)
                return scope_diag_set(diag, SCOPE_ERR_TOO_BIG,
                        "%.120s: the template is over %d KiB", name, SCOPE_JINJA_SOURCE_MAX >> 10);
        struct scope_jinja *jinja = calloc(1, sizeof *jinja);
        if (jinja == NULL)
                return scope_diag_set(diag, SCOPE_ERR_MEMORY, "%.120s: out of memory", name);
        (void)strncpy(jinja->name, name, sizeof jinja->name - 1);
        struct scope_jinja_run run = {
                .name = jinja->name, .memory.max = SCOPE_JINJA_MEMORY_MAX * 4, .diag = diag
        };
        struct scope_jinja_reader reader = { .run = &run };
        struct scope_jinja_value copy = scope_jinja_copy(&run, source, bytes);
        if (run.err == SCOPE_OK)
                scope_jinja_lex(&reader, (char *)(uintptr_t)copy.as.string.at, bytes);
        if (run.err == SCOPE_OK)
                jinja->statements = parse_block(&reader, no_ends);
        jinja->memory = run.memory;
        if (run.err != SCOPE_OK) {
                scope_jinja_destroy(jinja);
                return run.err;
        }
        *ret_jinja = jinja;
        return SCOPE_OK;
}

enum scope_err scope_jinja_render(const struct scope_jinja *jinja, const struct json_t *variables,
        const struct tm *now, struct scope_text *text, struct scope_diag *diag)
{
        struct scope_text out = { .limit = SCOPE_JINJA_OUTPUT_MAX };
        struct scope_jinja_run run = { .name = jinja->name,
                .memory.max = SCOPE_JINJA_MEMORY_MAX,
                .out = &out,
                .now = now,
                .diag = diag };
        struct scope_jinja_frame globals = { .names = scope_jinja_of_json(&run, variables) };
        if (run.err == SCOPE_OK && globals.names.kind != SCOPE_JINJA_DICT)
                (void)scope_jinja_fail(&run, SCOPE_ERR_FORMAT, "the variables are no object");
        /* what the template sets at its top level shadows the variables, as in Jinja */
        struct scope_jinja_frame frame = { .parent = &globals,
                .names = scope_jinja_dict(&run, SCOPE_JINJA_DICT) };
        if (run.err == SCOPE_OK)
                scope_jinja_run_template(&run, &frame, jinja->statements);
        if (run.err == SCOPE_OK)
                scope_text_add(text, out.bytes != NULL ? out.bytes : "", out.count);
        scope_text_fini(&out);
        scope_jinja_memory_fini(&run.memory);
        return run.err;
}

void scope_jinja_destroy(struct scope_jinja *jinja)
{
        if (jinja == NULL)
                return;
        scope_jinja_memory_fini(&jinja->memory);
        free(jinja);
}
