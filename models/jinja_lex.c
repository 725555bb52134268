/* jinja_lex.c - a template cut into tokens, white space taken away as Jinja does it.
 * Rules (trim_blocks and lstrip_blocks are on): "-" at a tag takes all white space on its side; the
 * newline right after a block or comment goes; spaces before a block or comment that is the first
 * thing on its line go; "+" keeps them. Line ends become \n, and one at the very end goes. */
#include <string.h>

#include "base/text.h"
#include "models/jinja.h"
#include "models/jinja_parts.h"

enum { BRACKETS_MAX = 64 };

struct lexer {
        struct scope_jinja_reader *reader;
        struct scope_jinja_run *run;
        const char *source;
        size_t bytes, at;
        bool line_start; /* the last token ended with a newline */
        char brackets[BRACKETS_MAX];
        uint32_t bracket_count;
};

static void add(struct lexer *lexer, enum scope_jinja_token_kind kind, const char *at, size_t bytes)
{
        struct scope_jinja_reader *reader = lexer->reader;
        if (lexer->run->err != SCOPE_OK)
                return;
        if (reader->token_count == reader->token_capacity) {
                size_t capacity = reader->token_capacity == 0 ? 256 : reader->token_capacity * 2;
                struct scope_jinja_token *more =
                        scope_jinja_alloc(lexer->run, capacity * sizeof *more);
                if (more == NULL)
                        return;
                if (reader->token_count > 0)
                        memcpy(more, reader->tokens, reader->token_count * sizeof *more);
                reader->tokens = more;
                reader->token_capacity = capacity;
        }
        reader->tokens[reader->token_count++] =
                (struct scope_jinja_token){ kind, lexer->run->line, { at, bytes } };
}

/* Moves to `to`, counting lines. */
static void advance(struct lexer *lexer, size_t to)
{
        for (; lexer->at < to; lexer->at++)
                lexer->run->line += lexer->source[lexer->at] == '\n';
}

static bool starts(const struct lexer *lexer, size_t at, const char *words)
{
        size_t bytes = strlen(words);
        return lexer->bytes - at >= bytes && memcmp(lexer->source + at, words, bytes) == 0;
}

static size_t skip_space(const struct lexer *lexer, size_t at)
{
        for (;;) {
                size_t bytes = scope_jinja_space(lexer->source + at, lexer->bytes - at);
                if (bytes == 0)
                        return at;
                at += bytes;
        }
}

/* The text before a tag at `end`, whose sign is `sign`; what the tag takes of it is taken. */
static void add_data(struct lexer *lexer, size_t end, char sign, bool variable)
{
        const char *begin = lexer->source + lexer->at;
        size_t bytes = end - lexer->at;
        if (sign == '-') {
                struct scope_jinja_value kept = scope_jinja_strip(
                        (struct scope_jinja_string){ begin, bytes }, NULL, false, true);
                bytes = kept.as.string.bytes;
        } else if (sign != '+' && !variable) {
                size_t line = bytes;
                while (line > 0 && begin[line - 1] != '\n')
                        line--;
                if ((line > 0 || lexer->line_start) && line < bytes &&
                        skip_space(lexer, lexer->at + line) >= end)
                        bytes = line;
        }
        if (bytes > 0)
                add(lexer, SCOPE_JINJA_TOKEN_DATA, begin, bytes);
        advance(lexer, end);
}

/* Behind the end of a tag whose sign is `sign`: takes what it takes. */
static void trim_after(struct lexer *lexer, char sign, bool variable)
{
        size_t to = lexer->at;
        if (sign == '-')
                to = skip_space(lexer, to);
        else if (sign != '+' && !variable && to < lexer->bytes && lexer->source[to] == '\n')
                to++;
        advance(lexer, to);
        lexer->line_start = to > 0 && lexer->source[to - 1] == '\n';
}

/* ---- inside a tag ---- */

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static bool is_name(char c)
{
        return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
               (unsigned char)c >= 0x80;
}

static size_t digits(const struct lexer *lexer, size_t at)
{
        while (at < lexer->bytes && (is_digit(lexer->source[at]) ||
                                            (lexer->source[at] == '_' && at + 1 < lexer->bytes &&
                                                    is_digit(lexer->source[at + 1]))))
                at++;
        return at;
}

static void take_number(struct lexer *lexer)
{
        const char *s = lexer->source;
        size_t begin = lexer->at, at = digits(lexer, begin), end = lexer->bytes;
        bool whole = true, after_dot = begin > 0 && s[begin - 1] == '.';
        if (s[begin] == '0' && at == begin + 1 && at < end && strchr("xXoObB", s[at]) != NULL) {
                (void)scope_jinja_fail(
                        lexer->run, SCOPE_ERR_UNSUPPORTED, "a number that is not decimal");
                return;
        }
        if (!after_dot && at + 1 < end && s[at] == '.' && is_digit(s[at + 1])) {
                at = digits(lexer, at + 1);
                whole = false;
        }
        if (!after_dot && at + 1 < end && (s[at] == 'e' || s[at] == 'E')) {
                size_t sign = at + 1 + (s[at + 1] == '+' || s[at + 1] == '-');
                if (sign < end && is_digit(s[sign])) {
                        at = digits(lexer, sign);
                        whole = false;
                }
        }
        add(lexer, whole ? SCOPE_JINJA_TOKEN_INT : SCOPE_JINJA_TOKEN_FLOAT, s + begin, at - begin);
        advance(lexer, at);
}

static void add_code_point(struct scope_text *text, uint32_t c)
{
        char bytes[4];
        size_t count = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        static const unsigned char leads[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
        for (size_t i = count; i > 1; i--, c >>= 6)
                bytes[i - 1] = (char)(0x80 | (c & 63));
        bytes[0] = (char)(leads[count] | c);
        scope_text_add(text, bytes, count);
}

/* The number of `wanted` hexadecimal digits at `at`; UINT32_MAX where they are not there. */
static uint32_t hexadecimal(const char *at, size_t bytes, size_t wanted)
{
        uint32_t value = 0;
        if (bytes < wanted)
                return UINT32_MAX;
        for (size_t i = 0; i < wanted; i++) {
                static const char digits_of[] = "0123456789abcdef";
                const char *found =
                        at[i] != 0 ? strchr(digits_of, at[i] | (at[i] >= 'A' ? 32 : 0)) : NULL;
                if (found == NULL)
                        return UINT32_MAX;
                value = value << 4 | (uint32_t)(found - digits_of);
        }
        return value;
}

/* One escape behind its backslash; gives how many bytes it takes. */
static size_t take_escape(
        struct lexer *lexer, const char *at, size_t bytes, struct scope_text *text)
{
        static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
        const char *simple = at[0] != 0 ? strchr(from, at[0]) : NULL;
        size_t wanted = at[0] == 'x' ? 2 : at[0] == 'u' ? 4 : at[0] == 'U' ? 8 : 0, used = 1;
        uint32_t value = 0;
        if (simple != NULL) {
                scope_text_add(text, &to[simple - from], 1);
                return 1;
        }
        if (at[0] == '\n')
                return 1;
        if (at[0] >= '0' && at[0] <= '7') {
                for (used = 0; used < 3 && used < bytes && at[used] >= '0' && at[used] <= '7';)
                        value = value * 8 + (uint32_t)(at[used++] - '0');
                add_code_point(text, value);
                return used;
        }
        if (wanted == 0 && at[0] != 'N') { /* none: Python keeps the backslash */
                scope_text_string(text, "\\");
                return 0;
        }
        value = wanted > 0 ? hexadecimal(at + 1, bytes - 1, wanted) : UINT32_MAX;
        if (value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
                (void)scope_jinja_fail(lexer->run,
                        at[0] == 'N' ? SCOPE_ERR_UNSUPPORTED : SCOPE_ERR_FORMAT,
                        "the escape \\%c in a string", at[0]);
        else
                add_code_point(text, value);
        return 1 + wanted < bytes ? 1 + wanted : bytes;
}

static void take_string(struct lexer *lexer)
{
        size_t begin = lexer->at + 1, end = begin;
        char quote = lexer->source[lexer->at];
        struct scope_text text = { .limit = SCOPE_JINJA_SOURCE_MAX };
        while (end < lexer->bytes && lexer->source[end] != quote)
                end += lexer->source[end] == '\\' ? 2 : 1;
        if (end >= lexer->bytes) {
                (void)scope_jinja_fail(
                        lexer->run, SCOPE_ERR_FORMAT, "a string without its end: %c", quote);
                return;
        }
        for (size_t at = begin; at < end;) {
                const char *slash = memchr(lexer->source + at, '\\', end - at);
                size_t plain = slash != NULL ? (size_t)(slash - lexer->source) : end;
                scope_text_add(&text, lexer->source + at, plain - at);
                at = plain;
                if (slash != NULL)
                        at += 1 + take_escape(lexer, slash + 1, end - at - 1, &text);
        }
        struct scope_jinja_value copy = scope_jinja_copy(lexer->run, text.bytes, text.count);
        scope_text_fini(&text);
        if (lexer->run->err == SCOPE_OK)
                add(lexer, SCOPE_JINJA_TOKEN_STRING, copy.as.string.at, copy.as.string.bytes);
        advance(lexer, end + 1);
}

static void take_operator(struct lexer *lexer)
{
        static const char *const operators[] = { "//", "**", "==", "!=", ">=", "<=", "+", "-", "*",
                "/", "%", "~", "(", ")", "[", "]", "{", "}", "<", ">", "=", ".", ":", "|", ",",
                ";" };
        static const char open[] = "([{", close[] = ")]}";
        for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
                if (!starts(lexer, lexer->at, operators[i]))
                        continue;
                const char *opened = strchr(open, operators[i][0]),
                           *closed = strchr(close, operators[i][0]);
                if (opened != NULL && lexer->bracket_count == BRACKETS_MAX) {
                        (void)scope_jinja_fail(lexer->run, SCOPE_ERR_TOO_BIG,
                                "over %d brackets are open", BRACKETS_MAX);
                        return;
                }
                if (opened != NULL)
                        lexer->brackets[lexer->bracket_count++] = close[opened - open];
                if (closed != NULL && (lexer->bracket_count == 0 ||
                                              lexer->brackets[--lexer->bracket_count] != *closed)) {
                        (void)scope_jinja_fail(
                                lexer->run, SCOPE_ERR_FORMAT, "'%c' closes nothing", *closed);
                        return;
                }
                add(lexer, SCOPE_JINJA_TOKEN_OPERATOR, operators[i], strlen(operators[i]));
                advance(lexer, lexer->at + strlen(operators[i]));
                return;
        }
        (void)scope_jinja_fail(
                lexer->run, SCOPE_ERR_FORMAT, "unexpected '%c'", lexer->source[lexer->at]);
}

/* The end of a tag at hand: true, and its sign. */
static bool at_end(const struct lexer *lexer, const char *end, bool variable, char *ret_sign)
{
        char sign = lexer->source[lexer->at];
        bool signed_ = sign == '-' || (sign == '+' && !variable);
        if (lexer->bracket_count > 0)
                return false;
        *ret_sign = 0;
        if (signed_ && starts(lexer, lexer->at + 1, end)) {
                *ret_sign = sign;
                return true;
        }
        return starts(lexer, lexer->at, end);
}

static void take_tag(struct lexer *lexer, bool variable)
{
        const char *end = variable ? "}}" : "%}";
        uint32_t opened = lexer->run->line;
        char sign;
        lexer->bracket_count = 0;
        while (lexer->run->err == SCOPE_OK) {
                advance(lexer, skip_space(lexer, lexer->at));
                if (lexer->at >= lexer->bytes) {
                        lexer->run->line = opened;
                        (void)scope_jinja_fail(lexer->run, SCOPE_ERR_FORMAT,
                                "'%s' without its '%s'", variable ? "{{" : "{%", end);
                        return;
                }
                char c = lexer->source[lexer->at];
                if (at_end(lexer, end, variable, &sign)) {
                        add(lexer,
                                variable ? SCOPE_JINJA_TOKEN_VARIABLE_END
                                         : SCOPE_JINJA_TOKEN_BLOCK_END,
                                lexer->source + lexer->at, 2);
                        advance(lexer, lexer->at + 2 + (sign != 0));
                        trim_after(lexer, sign, variable);
                        return;
                }
                if (is_digit(c)) {
                        take_number(lexer);
                } else if (is_name(c)) {
                        size_t to = lexer->at;
                        while (to < lexer->bytes && is_name(lexer->source[to]))
                                to++;
                        add(lexer, SCOPE_JINJA_TOKEN_NAME, lexer->source + lexer->at,
                                to - lexer->at);
                        advance(lexer, to);
                } else if (c == '\'' || c == '"') {
                        take_string(lexer);
                } else
                        take_operator(lexer);
        }
}

/* ---- the whole ---- */

static void take_comment(struct lexer *lexer)
{
        size_t end = lexer->at;
        while (end + 2 <= lexer->bytes && memcmp(lexer->source + end, "#}", 2) != 0)
                end++;
        if (end + 2 > lexer->bytes) {
                (void)scope_jinja_fail(lexer->run, SCOPE_ERR_FORMAT, "'{#' without its '#}'");
                return;
        }
        char sign = end > lexer->at ? lexer->source[end - 1] : 0;
        advance(lexer, end + 2);
        trim_after(lexer, sign == '-' || sign == '+' ? sign : 0, false);
}

/* "{% WORD %}" at `at`: its length and signs, or 0. Only "-" may stand at the end of "raw". */
static size_t word_tag(
        const struct lexer *lexer, size_t at, const char *word, char *ret_begin, char *ret_end)
{
        size_t to = at + 2;
        *ret_begin = *ret_end = 0;
        if (!starts(lexer, at, "{%"))
                return 0;
        if (to < lexer->bytes && (lexer->source[to] == '-' || lexer->source[to] == '+'))
                *ret_begin = lexer->source[to++];
        to = skip_space(lexer, to);
        if (!starts(lexer, to, word))
                return 0;
        to = skip_space(lexer, to + strlen(word));
        if (to < lexer->bytes && (lexer->source[to] == '-' || lexer->source[to] == '+'))
                *ret_end = lexer->source[to++];
        return starts(lexer, to, "%}") ? to + 2 - at : 0;
}

/* What stands between {% raw %} and {% endraw %}; the first is at hand and `bytes` long. */
static void take_raw(struct lexer *lexer, size_t bytes, char sign)
{
        char begin, end;
        advance(lexer, lexer->at + bytes);
        if (sign == '-')
                advance(lexer, skip_space(lexer, lexer->at));
        lexer->line_start = lexer->source[lexer->at - 1] == '\n';
        for (size_t at = lexer->at; at + 2 <= lexer->bytes; at++) {
                size_t closing = word_tag(lexer, at, "endraw", &begin, &end);
                if (closing == 0)
                        continue;
                add_data(lexer, at, begin, false);
                advance(lexer, at + closing);
                trim_after(lexer, end, false);
                return;
        }
        (void)scope_jinja_fail(
                lexer->run, SCOPE_ERR_FORMAT, "'{%% raw %%}' without its '{%% endraw %%}'");
}

static void take_one(struct lexer *lexer, size_t tag)
{
        char kind = lexer->source[tag + 1], begin, end;
        size_t raw = word_tag(lexer, tag, "raw", &begin, &end);
        char sign = tag + 2 < lexer->bytes ? lexer->source[tag + 2] : 0;
        if (sign != '-' && sign != '+')
                sign = 0;
        add_data(lexer, tag, sign, kind == '{');
        if (raw > 0) {
                take_raw(lexer, raw, end);
                return;
        }
        if (kind != '#')
                add(lexer,
                        kind == '{' ? SCOPE_JINJA_TOKEN_VARIABLE_BEGIN
                                    : SCOPE_JINJA_TOKEN_BLOCK_BEGIN,
                        lexer->source + tag, 2);
        advance(lexer, tag + 2 + (sign != 0));
        if (kind == '#')
                take_comment(lexer);
        else
                take_tag(lexer, kind == '{');
}

static size_t normalise_line_ends(char *source, size_t bytes)
{
        size_t to = 0;
        for (size_t at = 0; at < bytes; at++) {
                if (source[at] == '\r' && at + 1 < bytes && source[at + 1] == '\n')
                        continue;
                source[to++] = source[at] == '\r' ? '\n' : source[at];
        }
        return to > 0 && source[to - 1] == '\n' ? to - 1 : to;
}

void scope_jinja_lex(struct scope_jinja_reader *reader, char *source, size_t bytes)
{
        struct lexer lexer = { .reader = reader,
                .run = reader->run,
                .source = source,
                .bytes = normalise_line_ends(source, bytes),
                .line_start = true };
        lexer.run->line = 1;
        while (lexer.run->err == SCOPE_OK && lexer.at < lexer.bytes) {
                size_t tag = lexer.at;
                while (tag < lexer.bytes && !starts(&lexer, tag, "{{") &&
                        !starts(&lexer, tag, "{%") && !starts(&lexer, tag, "{#"))
                        tag++;
                if (tag == lexer.bytes)
                        add_data(&lexer, tag, '+', false);
                else
                        take_one(&lexer, tag);
        }
        add(&lexer, SCOPE_JINJA_TOKEN_END, "", 0);
}
