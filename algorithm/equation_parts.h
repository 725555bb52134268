/* equation_parts.h - what the files of the equation checker share; nobody else includes it.
 * Why: a line becomes plain text (equation_text.c), plain text becomes tokens (equation_lex.c),
 * tokens around an equals sign become two values (equations.c). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "schemas/records.h"

enum { EQUATION_LINE_BYTES = 4096, EQUATION_TOKENS_MAX = 1024 };

enum equation_kind {
        EQUATION_NUMBER,
        EQUATION_OP, /* op: + - * / ^ */
        EQUATION_OPEN,
        EQUATION_CLOSE,
        EQUATION_EQUALS,
        EQUATION_WORD,  /* may be a unit: "apples", "km", "/hour" */
        EQUATION_STOP,  /* a sentence's or list's end */
        EQUATION_OTHER, /* an unknown, a function, a time: nothing beside it is judged */
};

struct equation_token {
        uint8_t kind;
        char op;
        bool glued; /* nothing between it and the token before */
        bool bullet; /* an operator at the line's start, with a blank behind it */
        bool percent, money;
        uint8_t decimals;
        uint16_t begin, end; /* of the number's digits or the word, in the plain text */
};

struct equation_line {
        char text[EQUATION_LINE_BYTES];
        uint32_t bytes;
        /* one more, for what no longer fits */
        struct equation_token tokens[EQUATION_TOKENS_MAX + 1];
        uint32_t count;
};

/* Writes `text`, one line, as plain text: LaTeX, Unicode signs and thousands commas gone. Marks
 * like <<3*4=12>> are left out and handed to `mark`. */
void equation_plain(struct scope_string text, struct equation_line *line,
        void (*mark)(void *context, struct scope_string inside), void *context);

/* line->tokens of line->text. */
void equation_lex(struct equation_line *line);

static inline bool equation_is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static inline bool equation_is_letter(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
