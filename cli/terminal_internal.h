/* terminal_internal.h - what the terminal_*.c files share; nobody else includes it. */
#pragma once

#include "cli/terminal.h"

#define SCOPE_BOLD "1"
#define SCOPE_DIM "2"
#define SCOPE_RED "31"
#define SCOPE_GREEN "32"
#define SCOPE_YELLOW "33"

/* `string` in a colour, where there are colours. */
void scope_terminal_paint(struct scope_text *text, const struct scope_terminal_style *style,
        const char *color, const char *string);

/* The sign, or what stands for it in ASCII. */
static inline const char *scope_terminal_sign(
        const struct scope_terminal_style *style, const char *unicode, const char *ascii)
{
        return style->unicode ? unicode : ascii;
}

/* Columns that UTF-8 text takes which scope_terminal_clean wrote or we did, colours not counted. */
unsigned scope_terminal_columns(const char *string);

/* "8.4 s", "12m05", "1h03"; "1.9k", "3.2M". NAN prints "-". */
void scope_terminal_print_time(struct scope_text *text, double seconds);
void scope_terminal_print_count(struct scope_text *text, double number);
