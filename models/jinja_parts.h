/* jinja_parts.h - between the files of the interpreter: tokens, tree, and who does what.
 * The way of a template: jinja_lex.c (text to tokens), jinja_parse.c and jinja_expression.c (tokens
 * to a tree), jinja_run.c (statements) and jinja_eval.c (expressions) over the tree. */
#pragma once

#include "models/jinja_value.h"

enum scope_jinja_token_kind {
        SCOPE_JINJA_TOKEN_DATA,
        SCOPE_JINJA_TOKEN_BLOCK_BEGIN,
        SCOPE_JINJA_TOKEN_BLOCK_END,
        SCOPE_JINJA_TOKEN_VARIABLE_BEGIN,
        SCOPE_JINJA_TOKEN_VARIABLE_END,
        SCOPE_JINJA_TOKEN_NAME,
        SCOPE_JINJA_TOKEN_STRING,
        SCOPE_JINJA_TOKEN_INT,
        SCOPE_JINJA_TOKEN_FLOAT,
        SCOPE_JINJA_TOKEN_OPERATOR,
        SCOPE_JINJA_TOKEN_END,
};
struct scope_jinja_token {
        enum scope_jinja_token_kind kind;
        uint32_t line;
        struct scope_jinja_string text; /* STRING: decoded */
};

/* What a node uses of its fields stands behind its name. */
enum scope_jinja_node_kind {
        /* expressions */
        SCOPE_JINJA_CONST,     /* value */
        SCOPE_JINJA_NAME,      /* text */
        SCOPE_JINJA_ITEMS,     /* first..: a list, or a tuple where flag */
        SCOPE_JINJA_PAIRS,     /* first..: key, value, key, value */
        SCOPE_JINJA_UNARY,     /* a; operator - + n(ot) */
        SCOPE_JINJA_BINARY,    /* a, b; operator + - * / d(iv) % p(ow) ~ */
        SCOPE_JINJA_AND,       /* a, b */
        SCOPE_JINJA_OR,        /* a, b */
        SCOPE_JINJA_COMPARE,   /* a; first..: OPERAND */
        SCOPE_JINJA_OPERAND,   /* a; operator = ! < > l(e) g(e) i(n) n(ot in) */
        SCOPE_JINJA_CHOICE,    /* a if b else c (may be NULL) */
        SCOPE_JINJA_ATTRIBUTE, /* a.text */
        SCOPE_JINJA_ITEM,      /* a[b] */
        SCOPE_JINJA_SLICE,     /* a[b:c:d], each may be NULL */
        SCOPE_JINJA_CALL,      /* a(first..: ARGUMENT) */
        SCOPE_JINJA_FILTER,    /* a|text(first..) */
        SCOPE_JINJA_TEST,      /* a is text(first..); flag: is not */
        SCOPE_JINJA_ARGUMENT,  /* a; text = its name, empty: by place */
        /* statements */
        SCOPE_JINJA_DATA,   /* text */
        SCOPE_JINJA_OUTPUT, /* a */
        SCOPE_JINJA_IF,     /* a; first..: then; b: else, a chain of statements */
        SCOPE_JINJA_FOR,    /* a: target, b: what, c: if; first..: body; d: else */
        SCOPE_JINJA_SET,    /* a: target, b: value; or first..: the block, c: filters of it */
        SCOPE_JINJA_TARGET, /* text.text2: attribute of a namespace, as a target */
        SCOPE_JINJA_MACRO_DEFINITION, /* text; a..: ARGUMENT with defaults; first..: body */
        SCOPE_JINJA_FILTER_BLOCK,     /* a: FILTER chain over BLOCK_TEXT; first..: body */
        SCOPE_JINJA_BLOCK_TEXT,       /* the text of the block under way */
        SCOPE_JINJA_GROUP,            /* first..: statements, {% generation %} */
        SCOPE_JINJA_BREAK,
        SCOPE_JINJA_CONTINUE,
};
struct scope_jinja_node {
        enum scope_jinja_node_kind kind;
        uint32_t line;
        char operator;
        bool flag;
        struct scope_jinja_string text, text2;
        struct scope_jinja_value value;
        struct scope_jinja_node *a, *b, *c, *d, *first, *next;
};

/* Reading: `run` gives memory and errors. */
struct scope_jinja_reader {
        struct scope_jinja_run *run;
        struct scope_jinja_token *tokens;
        size_t token_count, token_capacity, at;
        uint32_t depth, loops;
};

/* Fills reader->tokens from `source`, which is changed (line ends). */
void scope_jinja_lex(struct scope_jinja_reader *reader, char *source, size_t bytes);

/* An expression; with `tuple`, commas make a tuple. */
struct scope_jinja_node *scope_jinja_parse_expression(
        struct scope_jinja_reader *reader, bool tuple);
/* An expression without an inline if: what `for` walks over. */
struct scope_jinja_node *scope_jinja_parse_iterable(struct scope_jinja_reader *reader);
/* "name(arguments)|name..." over `over`; the first name is at hand. */
struct scope_jinja_node *scope_jinja_parse_filters(
        struct scope_jinja_reader *reader, struct scope_jinja_node *over);
struct scope_jinja_node *scope_jinja_parse_arguments(struct scope_jinja_reader *reader);

/* Helpers of both parsers. */
struct scope_jinja_token *scope_jinja_peek(struct scope_jinja_reader *reader, size_t ahead);
bool scope_jinja_at(
        struct scope_jinja_reader *reader, enum scope_jinja_token_kind kind, const char *text);
bool scope_jinja_skip(
        struct scope_jinja_reader *reader, enum scope_jinja_token_kind kind, const char *text);
void scope_jinja_expect(
        struct scope_jinja_reader *reader, enum scope_jinja_token_kind kind, const char *text);
struct scope_jinja_node *scope_jinja_node(
        struct scope_jinja_reader *reader, enum scope_jinja_node_kind kind);
void scope_jinja_unexpected(struct scope_jinja_reader *reader, const char *wanted);
/* Deeper by one; false: too deep, and the error is set. The caller takes it back. */
bool scope_jinja_deeper(struct scope_jinja_run *run, uint32_t *depth);

/* ---- running ---- */

/* Names of one scope; they shadow those of `parent`. */
struct scope_jinja_frame {
        struct scope_jinja_frame *parent;
        struct scope_jinja_value names; /* a DICT */
};
struct scope_jinja_arguments {
        struct scope_jinja_value place; /* LIST */
        struct scope_jinja_value named; /* DICT */
};

struct scope_jinja_value scope_jinja_eval(struct scope_jinja_run *run,
        struct scope_jinja_frame *frame, const struct scope_jinja_node *node);
struct scope_jinja_value scope_jinja_call_macro(struct scope_jinja_run *run,
        const struct scope_jinja_macro *macro, const struct scope_jinja_arguments *arguments);
void scope_jinja_run_template(struct scope_jinja_run *run, struct scope_jinja_frame *frame,
        const struct scope_jinja_node *statements);

/* value.name, value[key], value[begin:end:stride] (UNDEFINED = not given) */
struct scope_jinja_value scope_jinja_attribute(struct scope_jinja_run *run,
        struct scope_jinja_value value, struct scope_jinja_string name);
struct scope_jinja_value scope_jinja_item(
        struct scope_jinja_run *run, struct scope_jinja_value value, struct scope_jinja_value key);
struct scope_jinja_value scope_jinja_slice(struct scope_jinja_run *run,
        struct scope_jinja_value value, const struct scope_jinja_value bounds[3]);
/* Python cannot hash what may change, and a tuple may hold such a thing: false, and an error. */
bool scope_jinja_is_key(struct scope_jinja_run *run, struct scope_jinja_value key);
bool scope_jinja_contains(
        struct scope_jinja_run *run, struct scope_jinja_value value, struct scope_jinja_value item);
struct scope_jinja_value scope_jinja_arithmetic(struct scope_jinja_run *run, char operator,
        struct scope_jinja_value a, struct scope_jinja_value b);

struct scope_jinja_value scope_jinja_apply_filter(struct scope_jinja_run *run,
        struct scope_jinja_string name, struct scope_jinja_value value,
        const struct scope_jinja_arguments *arguments);
bool scope_jinja_apply_test(struct scope_jinja_run *run, struct scope_jinja_string name,
        struct scope_jinja_value value, const struct scope_jinja_arguments *arguments);
bool scope_jinja_has_filter(struct scope_jinja_string name);
bool scope_jinja_has_test(struct scope_jinja_string name);
/* A bound method, or UNDEFINED where the kind of value has none of that name. */
struct scope_jinja_value scope_jinja_bind(
        struct scope_jinja_run *run, struct scope_jinja_value self, struct scope_jinja_string name);
struct scope_jinja_value scope_jinja_call_method(struct scope_jinja_run *run,
        const struct scope_jinja_method *method, const struct scope_jinja_arguments *arguments);
/* A global function of that name, or UNDEFINED. */
struct scope_jinja_value scope_jinja_global(
        struct scope_jinja_run *run, struct scope_jinja_string name);
struct scope_jinja_value scope_jinja_call_global(struct scope_jinja_run *run, uint32_t function,
        const struct scope_jinja_arguments *arguments);

/* Argument `index`, by place or by `name`; UNDEFINED where it is not given. */
struct scope_jinja_value scope_jinja_argument(struct scope_jinja_run *run,
        const struct scope_jinja_arguments *arguments, size_t index, const char *name);
/* json.dumps(value, ensure_ascii=False, indent, sort_keys) */
void scope_jinja_json(struct scope_jinja_run *run, struct scope_jinja_value value, int64_t indent,
        bool sort_keys, struct scope_text *text);
bool scope_jinja_is(struct scope_jinja_string text, const char *words);
/* Python's replace, strip, on plain text. */
struct scope_jinja_value scope_jinja_replace(struct scope_jinja_run *run,
        struct scope_jinja_string text, struct scope_jinja_string from,
        struct scope_jinja_string to, int64_t count);
struct scope_jinja_value scope_jinja_strip(struct scope_jinja_string text,
        const struct scope_jinja_string *set, bool left, bool right);
/* u(pper), l(ower), c(apitalize), t(itle); ASCII only, else an error. */
struct scope_jinja_value scope_jinja_case(
        struct scope_jinja_run *run, struct scope_jinja_string text, char form);
