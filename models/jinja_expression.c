/* jinja_expression.c - tokens of an expression to a tree, in Jinja's order of binding:
 * inline if, or, and, not, comparisons, + -, ~, * / // %, **, unary, then . [] () | is. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/jinja.h"
#include "models/jinja_parts.h"

#define OPERATOR SCOPE_JINJA_TOKEN_OPERATOR
#define NAME SCOPE_JINJA_TOKEN_NAME

static struct scope_jinja_node *parse_unary(struct scope_jinja_reader *reader, bool with_filter);
static struct scope_jinja_node *parse_primary(struct scope_jinja_reader *reader);
static struct scope_jinja_node *parse_postfix(
        struct scope_jinja_reader *reader, struct scope_jinja_node *node);

/* ---- helpers ---- */

bool scope_jinja_is(struct scope_jinja_string text, const char *words)
{
        size_t bytes = strlen(words);
        return text.bytes == bytes && memcmp(text.at, words, bytes) == 0;
}

struct scope_jinja_token *scope_jinja_peek(struct scope_jinja_reader *reader, size_t ahead)
{
        size_t at = reader->at + ahead;
        return &reader->tokens[at < reader->token_count ? at : reader->token_count - 1];
}

bool scope_jinja_at(
        struct scope_jinja_reader *reader, enum scope_jinja_token_kind kind, const char *text)
{
        const struct scope_jinja_token *token = scope_jinja_peek(reader, 0);
        return token->kind == kind && (text == NULL || scope_jinja_is(token->text, text));
}

bool scope_jinja_skip(
        struct scope_jinja_reader *reader, enum scope_jinja_token_kind kind, const char *text)
{
        bool there = reader->run->err == SCOPE_OK && scope_jinja_at(reader, kind, text);
        reader->at += there;
        return there;
}

void scope_jinja_unexpected(struct scope_jinja_reader *reader, const char *wanted)
{
        const struct scope_jinja_token *token = scope_jinja_peek(reader, 0);
        int shown = token->text.bytes < 40 ? (int)token->text.bytes : 40;
        reader->run->line = token->line;
        if (token->kind == SCOPE_JINJA_TOKEN_END)
                (void)scope_jinja_fail(
                        reader->run, SCOPE_ERR_FORMAT, "the template ends; want %s", wanted);
        else
                (void)scope_jinja_fail(reader->run, SCOPE_ERR_FORMAT, "unexpected '%.*s'; want %s",
                        shown, token->text.at, wanted);
}

void scope_jinja_expect(
        struct scope_jinja_reader *reader, enum scope_jinja_token_kind kind, const char *text)
{
        char wanted[32];
        (void)snprintf(wanted, sizeof wanted, "'%s'", text != NULL ? text : "a name");
        if (!scope_jinja_skip(reader, kind, text))
                scope_jinja_unexpected(reader, text != NULL ? wanted : "a name");
}

struct scope_jinja_node *scope_jinja_node(
        struct scope_jinja_reader *reader, enum scope_jinja_node_kind kind)
{
        reader->run->line = scope_jinja_peek(reader, 0)->line;
        struct scope_jinja_node *node = scope_jinja_alloc(reader->run, sizeof *node);
        if (node == NULL)
                return NULL;
        node->kind = kind;
        node->line = reader->run->line;
        return node;
}

static struct scope_jinja_node *pair(struct scope_jinja_reader *reader,
        enum scope_jinja_node_kind kind, char operator, struct scope_jinja_node * a,
        struct scope_jinja_node *b)
{
        struct scope_jinja_node *node = scope_jinja_node(reader, kind);
        if (node == NULL)
                return NULL;
        node->operator= operator;
        node->a = a;
        node->b = b;
        return node;
}

static bool ends_expression(struct scope_jinja_reader *reader)
{
        enum scope_jinja_token_kind kind = scope_jinja_peek(reader, 0)->kind;
        return kind == SCOPE_JINJA_TOKEN_VARIABLE_END || kind == SCOPE_JINJA_TOKEN_BLOCK_END ||
               kind == SCOPE_JINJA_TOKEN_END;
}

/* ---- literals ---- */

/* Items up to `close`, which is taken. */
static void parse_items(
        struct scope_jinja_reader *reader, const char *close, struct scope_jinja_node **tail)
{
        while (reader->run->err == SCOPE_OK && !scope_jinja_skip(reader, OPERATOR, close)) {
                struct scope_jinja_node *item = scope_jinja_parse_expression(reader, false);
                if (item == NULL)
                        return;
                *tail = item;
                tail = &item->next;
                if (!scope_jinja_skip(reader, OPERATOR, ",") &&
                        !scope_jinja_at(reader, OPERATOR, close))
                        scope_jinja_unexpected(reader, "',' or the end of the list");
        }
}

static struct scope_jinja_node *parse_pairs(struct scope_jinja_reader *reader)
{
        struct scope_jinja_node *node = scope_jinja_node(reader, SCOPE_JINJA_PAIRS), **tail;
        if (node == NULL)
                return NULL;
        tail = &node->first;
        while (reader->run->err == SCOPE_OK && !scope_jinja_skip(reader, OPERATOR, "}")) {
                struct scope_jinja_node *key = scope_jinja_parse_expression(reader, false);
                scope_jinja_expect(reader, OPERATOR, ":");
                struct scope_jinja_node *value = scope_jinja_parse_expression(reader, false);
                if (key == NULL || value == NULL)
                        return NULL;
                *tail = key;
                key->next = value;
                tail = &value->next;
                if (!scope_jinja_skip(reader, OPERATOR, ",") &&
                        !scope_jinja_at(reader, OPERATOR, "}"))
                        scope_jinja_unexpected(reader, "',' or '}'");
        }
        return node;
}

/* Behind "(": one expression, or a tuple. */
static struct scope_jinja_node *parse_bracketed(struct scope_jinja_reader *reader)
{
        struct scope_jinja_node *node = NULL;
        if (scope_jinja_skip(reader, OPERATOR, ")")) {
                node = scope_jinja_node(reader, SCOPE_JINJA_ITEMS);
                if (node != NULL)
                        node->flag = true;
                return node;
        }
        node = scope_jinja_parse_expression(reader, true);
        scope_jinja_expect(reader, OPERATOR, ")");
        return node;
}

static struct scope_jinja_value number_of(struct scope_jinja_reader *reader)
{
        const struct scope_jinja_token *token = scope_jinja_peek(reader, 0);
        char digits[64];
        size_t count = 0;
        for (size_t i = 0; i < token->text.bytes; i++) {
                if (count + 1 == sizeof digits)
                        return scope_jinja_fail(
                                reader->run, SCOPE_ERR_UNSUPPORTED, "a number of so many digits");
                if (token->text.at[i] != '_')
                        digits[count++] = token->text.at[i];
        }
        digits[count] = 0;
        if (token->kind == SCOPE_JINJA_TOKEN_FLOAT)
                return (struct scope_jinja_value){ SCOPE_JINJA_FLOAT,
                        { .real = strtod(digits, NULL) } };
        errno = 0;
        long long whole = strtoll(digits, NULL, 10);
        if (errno != 0)
                return scope_jinja_fail(
                        reader->run, SCOPE_ERR_UNSUPPORTED, "an integer over 64 bits");
        return scope_jinja_int(whole);
}

/* Strings that stand side by side are one. */
static struct scope_jinja_value string_of(struct scope_jinja_reader *reader)
{
        struct scope_jinja_value whole = scope_jinja_text("", 0);
        for (; reader->run->err == SCOPE_OK &&
                scope_jinja_at(reader, SCOPE_JINJA_TOKEN_STRING, NULL);
                reader->at++) {
                const struct scope_jinja_token *token = scope_jinja_peek(reader, 0);
                struct scope_jinja_value next = scope_jinja_text(token->text.at, token->text.bytes);
                whole = whole.as.string.bytes == 0
                                ? next
                                : scope_jinja_arithmetic(reader->run, '~', whole, next);
        }
        return whole;
}

static struct scope_jinja_node *parse_name(struct scope_jinja_reader *reader)
{
        static const char *const words[] = { "true", "True", "false", "False", "none", "None" };
        struct scope_jinja_node *node = scope_jinja_node(reader, SCOPE_JINJA_NAME);
        if (node == NULL)
                return NULL;
        node->text = scope_jinja_peek(reader, 0)->text;
        reader->at++;
        for (int i = 0; i < 6; i++) {
                if (!scope_jinja_is(node->text, words[i]))
                        continue;
                node->kind = SCOPE_JINJA_CONST;
                node->value = i < 4 ? scope_jinja_bool(i < 2)
                                    : (struct scope_jinja_value){ SCOPE_JINJA_NONE, { 0 } };
        }
        return node;
}

static struct scope_jinja_node *parse_primary(struct scope_jinja_reader *reader)
{
        const struct scope_jinja_token *token = scope_jinja_peek(reader, 0);
        struct scope_jinja_node *node = NULL;
        reader->run->line = token->line;
        if (token->kind == NAME)
                return parse_name(reader);
        if (token->kind == SCOPE_JINJA_TOKEN_STRING || token->kind == SCOPE_JINJA_TOKEN_INT ||
                token->kind == SCOPE_JINJA_TOKEN_FLOAT) {
                node = scope_jinja_node(reader, SCOPE_JINJA_CONST);
                if (node == NULL)
                        return NULL;
                if (token->kind == SCOPE_JINJA_TOKEN_STRING) {
                        node->value = string_of(reader);
                } else {
                        node->value = number_of(reader);
                        reader->at++;
                }
                return node;
        }
        if (scope_jinja_skip(reader, OPERATOR, "("))
                return parse_bracketed(reader);
        if (scope_jinja_skip(reader, OPERATOR, "[")) {
                node = scope_jinja_node(reader, SCOPE_JINJA_ITEMS);
                if (node != NULL)
                        parse_items(reader, "]", &node->first);
                return node;
        }
        if (scope_jinja_skip(reader, OPERATOR, "{"))
                return parse_pairs(reader);
        scope_jinja_unexpected(reader, "an expression");
        return NULL;
}

/* ---- what follows a value ---- */

struct scope_jinja_node *scope_jinja_parse_arguments(struct scope_jinja_reader *reader)
{
        struct scope_jinja_node *first = NULL, **tail = &first;
        while (reader->run->err == SCOPE_OK && !scope_jinja_skip(reader, OPERATOR, ")")) {
                struct scope_jinja_node *argument = scope_jinja_node(reader, SCOPE_JINJA_ARGUMENT);
                const struct scope_jinja_token *name = scope_jinja_peek(reader, 0),
                                               *equals = scope_jinja_peek(reader, 1);
                if (argument == NULL)
                        return NULL;
                if (scope_jinja_at(reader, OPERATOR, "*") ||
                        scope_jinja_at(reader, OPERATOR, "**")) {
                        (void)scope_jinja_fail(
                                reader->run, SCOPE_ERR_UNSUPPORTED, "'*' before an argument");
                        return NULL;
                }
                if (name->kind == NAME && equals->kind == OPERATOR &&
                        scope_jinja_is(equals->text, "=")) {
                        argument->text = name->text;
                        reader->at += 2;
                }
                argument->a = scope_jinja_parse_expression(reader, false);
                *tail = argument;
                tail = &argument->next;
                if (!scope_jinja_skip(reader, OPERATOR, ",") &&
                        !scope_jinja_at(reader, OPERATOR, ")"))
                        scope_jinja_unexpected(reader, "',' or ')'");
        }
        return first;
}

static struct scope_jinja_node *optional_bound(struct scope_jinja_reader *reader)
{
        if (scope_jinja_at(reader, OPERATOR, ":") || scope_jinja_at(reader, OPERATOR, "]"))
                return NULL;
        return scope_jinja_parse_expression(reader, false);
}

/* Behind "[". */
static struct scope_jinja_node *parse_subscript(
        struct scope_jinja_reader *reader, struct scope_jinja_node *of)
{
        struct scope_jinja_node *first = optional_bound(reader);
        struct scope_jinja_node *node = pair(reader, SCOPE_JINJA_ITEM, 0, of, first);
        if (node == NULL)
                return NULL;
        if (scope_jinja_skip(reader, OPERATOR, ":")) {
                node->kind = SCOPE_JINJA_SLICE;
                node->c = optional_bound(reader);
                if (scope_jinja_skip(reader, OPERATOR, ":"))
                        node->d = optional_bound(reader);
        } else if (first == NULL)
                scope_jinja_unexpected(reader, "an index");
        scope_jinja_expect(reader, OPERATOR, "]");
        return node;
}

/* Behind ".". */
static struct scope_jinja_node *parse_attribute(
        struct scope_jinja_reader *reader, struct scope_jinja_node *of)
{
        struct scope_jinja_node *node = pair(reader, SCOPE_JINJA_ATTRIBUTE, 0, of, NULL);
        if (node == NULL)
                return NULL;
        if (scope_jinja_at(reader, SCOPE_JINJA_TOKEN_INT, NULL)) {
                node->kind = SCOPE_JINJA_ITEM;
                node->b = parse_primary(reader);
                return node;
        }
        node->text = scope_jinja_peek(reader, 0)->text;
        scope_jinja_expect(reader, NAME, NULL);
        return node;
}

static struct scope_jinja_node *parse_call(
        struct scope_jinja_reader *reader, struct scope_jinja_node *of)
{
        struct scope_jinja_node *node = pair(reader, SCOPE_JINJA_CALL, 0, of, NULL);
        if (node != NULL)
                node->first = scope_jinja_parse_arguments(reader);
        return node;
}

static struct scope_jinja_node *parse_postfix(
        struct scope_jinja_reader *reader, struct scope_jinja_node *node)
{
        while (node != NULL && reader->run->err == SCOPE_OK) {
                if (scope_jinja_skip(reader, OPERATOR, "."))
                        node = parse_attribute(reader, node);
                else if (scope_jinja_skip(reader, OPERATOR, "["))
                        node = parse_subscript(reader, node);
                else if (scope_jinja_skip(reader, OPERATOR, "("))
                        node = parse_call(reader, node);
                else
                        return node;
        }
        return node;
}

struct scope_jinja_node *scope_jinja_parse_filters(
        struct scope_jinja_reader *reader, struct scope_jinja_node *over)
{
        struct scope_jinja_node *node = pair(reader, SCOPE_JINJA_FILTER, 0, over, NULL);
        if (node == NULL)
                return NULL;
        node->text = scope_jinja_peek(reader, 0)->text;
        scope_jinja_expect(reader, NAME, NULL);
        if (reader->run->err == SCOPE_OK && !scope_jinja_has_filter(node->text))
                (void)scope_jinja_fail(reader->run, SCOPE_ERR_UNSUPPORTED,
                        "filter '%.*s' is not among those that we have", (int)node->text.bytes,
                        node->text.at);
        if (scope_jinja_skip(reader, OPERATOR, "("))
                node->first = scope_jinja_parse_arguments(reader);
        return node;
}

/* A value right behind the name of a test is its argument: "is divisibleby 3". So is any name but
 * these, in Jinja too: "x is string if y" is an error. */
static struct scope_jinja_node *parse_test_argument(struct scope_jinja_reader *reader)
{
        const struct scope_jinja_token *token = scope_jinja_peek(reader, 0);
        bool value = token->kind == SCOPE_JINJA_TOKEN_STRING ||
                     token->kind == SCOPE_JINJA_TOKEN_INT ||
                     token->kind == SCOPE_JINJA_TOKEN_FLOAT ||
                     scope_jinja_at(reader, OPERATOR, "[") || scope_jinja_at(reader, OPERATOR, "{");
        if (token->kind == NAME)
                value = !scope_jinja_is(token->text, "else") &&
                        !scope_jinja_is(token->text, "or") && !scope_jinja_is(token->text, "and") &&
                        !scope_jinja_is(token->text, "is");
        if (!value)
                return NULL;
        struct scope_jinja_node *argument = scope_jinja_node(reader, SCOPE_JINJA_ARGUMENT);
        if (argument != NULL)
                argument->a = parse_postfix(reader, parse_primary(reader));
        return argument;
}

static struct scope_jinja_node *parse_test(
        struct scope_jinja_reader *reader, struct scope_jinja_node *of)
{
        struct scope_jinja_node *node = pair(reader, SCOPE_JINJA_TEST, 0, of, NULL);
        if (node == NULL)
                return NULL;
        node->flag = scope_jinja_skip(reader, NAME, "not");
        node->text = scope_jinja_peek(reader, 0)->text;
        scope_jinja_expect(reader, NAME, NULL);
        if (reader->run->err == SCOPE_OK && !scope_jinja_has_test(node->text))
                (void)scope_jinja_fail(reader->run, SCOPE_ERR_UNSUPPORTED,
                        "test '%.*s' is not among those that we have", (int)node->text.bytes,
                        node->text.at);
        if (scope_jinja_skip(reader, OPERATOR, "("))
                node->first = scope_jinja_parse_arguments(reader);
        else
                node->first = parse_test_argument(reader);
        return node;
}

/* ---- operators ---- */

static struct scope_jinja_node *parse_unary_deep(
        struct scope_jinja_reader *reader, bool with_filter)
{
        struct scope_jinja_node *node;
        if (scope_jinja_at(reader, OPERATOR, "-") || scope_jinja_at(reader, OPERATOR, "+")) {
                char operator= scope_jinja_peek(reader, 0)->text.at[0];
                reader->at++;
                node = pair(reader, SCOPE_JINJA_UNARY, operator, parse_unary(reader, false), NULL);
        } else
                node = parse_primary(reader);
        node = parse_postfix(reader, node);
        while (with_filter && node != NULL && reader->run->err == SCOPE_OK) {
                if (scope_jinja_skip(reader, OPERATOR, "|"))
                        node = scope_jinja_parse_filters(reader, node);
                else if (scope_jinja_skip(reader, NAME, "is"))
                        node = parse_test(reader, node);
                else if (scope_jinja_skip(reader, OPERATOR, "("))
                        node = parse_call(reader, node);
                else
                        break;
        }
        return node;
}

static struct scope_jinja_node *parse_unary(struct scope_jinja_reader *reader, bool with_filter)
{
        struct scope_jinja_node *node = NULL;
        if (scope_jinja_deeper(reader->run, &reader->depth))
                node = parse_unary_deep(reader, with_filter);
        reader->depth--;
        return node;
}

/* Levels of binary operators, loosest first; each row: token, what it is in the tree. */
static const struct {
        const char *token;
        char operator, level;
} binary_operators[] = {
        { "+", '+', 0 },
        { "-", '-', 0 },
        { "~", '~', 1 },
        { "*", '*', 2 },
        { "/", '/', 2 },
        { "//", 'd', 2 },
        { "%", '%', 2 },
        { "**", 'p', 3 },
};

static char binary_at(struct scope_jinja_reader *reader, int level)
{
        for (size_t i = 0; i < sizeof binary_operators / sizeof binary_operators[0]; i++)
                if (binary_operators[i].level == level &&
                        scope_jinja_skip(reader, OPERATOR, binary_operators[i].token))
                        return binary_operators[i].operator;
        return 0;
}

static struct scope_jinja_node *parse_binary(struct scope_jinja_reader *reader, int level)
{
        struct scope_jinja_node *node =
                level == 3 ? parse_unary(reader, true) : parse_binary(reader, level + 1);
        uint32_t deeper = 0;
        char operator;
        while (node != NULL && (operator= binary_at(reader, level)) != 0) {
                struct scope_jinja_node *right =
                        level == 3 ? parse_unary(reader, true) : parse_binary(reader, level + 1);
                node = pair(reader, SCOPE_JINJA_BINARY, operator, node, right);
                /* a long chain leans to the left: it is as deep as it is long */
                deeper++;
                if (!scope_jinja_deeper(reader->run, &reader->depth))
                        break;
        }
        reader->depth -= deeper;
        return node;
}

static char comparison_at(struct scope_jinja_reader *reader)
{
        static const struct {
                const char *token;
                char operator;
        } rows[] = { { "==", '=' }, { "!=", '!' }, { "<", '<' }, { ">", '>' }, { "<=", 'l' },
                { ">=", 'g' } };
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
                if (scope_jinja_skip(reader, OPERATOR, rows[i].token))
                        return rows[i].operator;
        if (scope_jinja_skip(reader, NAME, "in"))
                return 'i';
        const struct scope_jinja_token *next = scope_jinja_peek(reader, 1);
        if (scope_jinja_at(reader, NAME, "not") && next->kind == NAME &&
                scope_jinja_is(next->text, "in")) {
                reader->at += 2;
                return 'n';
        }
        return 0;
}

static struct scope_jinja_node *parse_comparison(struct scope_jinja_reader *reader)
{
        struct scope_jinja_node *node = parse_binary(reader, 0), *compare = NULL, **tail = NULL;
        char operator;
        while (node != NULL && (operator= comparison_at(reader)) != 0) {
                if (compare == NULL) {
                        compare = pair(reader, SCOPE_JINJA_COMPARE, 0, node, NULL);
                        if (compare == NULL)
                                return NULL;
                        tail = &compare->first;
                }
                struct scope_jinja_node *operand =
                        pair(reader, SCOPE_JINJA_OPERAND, operator, parse_binary(reader, 0), NULL);
                if (operand == NULL)
                        return NULL;
                *tail = operand;
                tail = &operand->next;
        }
        return compare != NULL ? compare : node;
}

static struct scope_jinja_node *parse_not(struct scope_jinja_reader *reader)
{
        struct scope_jinja_node *node = NULL;
        if (!scope_jinja_skip(reader, NAME, "not"))
                return parse_comparison(reader);
        if (scope_jinja_deeper(reader->run, &reader->depth))
                node = pair(reader, SCOPE_JINJA_UNARY, 'n', parse_not(reader), NULL);
        reader->depth--;
        return node;
}

/* "or" over "and". */
static struct scope_jinja_node *parse_logic(struct scope_jinja_reader *reader, bool any)
{
        struct scope_jinja_node *node = any ? parse_logic(reader, false) : parse_not(reader);
        uint32_t deeper = 0;
        while (node != NULL && scope_jinja_skip(reader, NAME, any ? "or" : "and")) {
                struct scope_jinja_node *right =
                        any ? parse_logic(reader, false) : parse_not(reader);
                node = pair(reader, any ? SCOPE_JINJA_OR : SCOPE_JINJA_AND, 0, node, right);
                deeper++;
                if (!scope_jinja_deeper(reader->run, &reader->depth))
                        break;
        }
        reader->depth -= deeper;
        return node;
}

static struct scope_jinja_node *parse_choice(struct scope_jinja_reader *reader)
{
        struct scope_jinja_node *node = parse_logic(reader, true);
        uint32_t deeper = 0;
        while (node != NULL && scope_jinja_skip(reader, NAME, "if")) {
                node = pair(reader, SCOPE_JINJA_CHOICE, 0, node, parse_logic(reader, true));
                if (node != NULL && scope_jinja_skip(reader, NAME, "else"))
                        node->c = parse_choice(reader);
                deeper++;
                if (!scope_jinja_deeper(reader->run, &reader->depth))
                        break;
        }
        reader->depth -= deeper;
        return node;
}

struct scope_jinja_node *scope_jinja_parse_iterable(struct scope_jinja_reader *reader)
{
        return parse_logic(reader, true);
}

struct scope_jinja_node *scope_jinja_parse_expression(struct scope_jinja_reader *reader, bool tuple)
{
        struct scope_jinja_node *first = NULL;
        if (scope_jinja_deeper(reader->run, &reader->depth))
                first = parse_choice(reader);
        reader->depth--;
        if (!tuple || first == NULL || !scope_jinja_at(reader, OPERATOR, ","))
                return first;
        struct scope_jinja_node *node = scope_jinja_node(reader, SCOPE_JINJA_ITEMS), **tail;
        if (node == NULL)
                return NULL;
        node->flag = true;
        node->first = first;
        tail = &first->next;
        while (scope_jinja_skip(reader, OPERATOR, ",")) {
                if (ends_expression(reader) || scope_jinja_at(reader, OPERATOR, ")"))
                        break;
                struct scope_jinja_node *item = scope_jinja_parse_expression(reader, false);
                if (item == NULL)
                        return NULL;
                *tail = item;
                tail = &item->next;
        }
        return node;
}
