/* equation_text.c - one line of a solution as plain ASCII arithmetic. */
#include "algorithm/equation_parts.h"

#include <string.h>

struct writer {
        struct equation_line *line;
        struct scope_string in;
        uint32_t at;
        uint8_t fraction; /* arguments of \frac that are still to come */
        uint8_t depth;    /* of braces, since the fraction began */
};

static void put(struct writer *writer, const char *text)
{
        struct equation_line *line = writer->line;
        for (; *text != 0 && line->bytes < EQUATION_LINE_BYTES; text++)
                line->text[line->bytes++] = *text;
}

static void put_char(struct writer *writer, char c)
{
        const char text[2] = { c, 0 };
        put(writer, text);
}

static bool take(struct writer *writer, const char *word)
{
        size_t bytes = strlen(word);
        if (writer->in.bytes - writer->at < bytes ||
                memcmp(writer->in.at + writer->at, word, bytes) != 0)
                return false;
        writer->at += (uint32_t)bytes;
        return true;
}

static char ahead(const struct writer *writer, uint32_t distance)
{
        uint32_t at = writer->at + distance;
        return at < writer->in.bytes ? writer->in.at[at] : 0;
}

/* Signs and commands with one meaning each; what is not listed stays and stops the judge. */
static bool take_sign(struct writer *writer)
{
        static const struct {
                const char *from, *to;
        } signs[] = {
                { "\\times", "*" }, { "\\cdot", "*" }, { "\\div", "/" }, { "\\left", "" },
                { "\\right", "" }, { "\\$", "$" }, { "\\%", "%" }, { "\\,", "" }, { "\\!", "" },
                { "\\;", " " }, { "\\:", " " }, { "\\ ", " " }, { "\\(", " " }, { "\\)", " " },
                { "\\[", " " }, { "\\]", " " }, { "\\text", " " }, { "\\mathrm", " " },
                { "\\textbf", " " }, { "\\mathbf", " " }, { "\\boxed", " " }, { "\\quad", " " },
                { "\\\\", ";" }, { "{,}", "" }, { "&", " " }, { "\xc3\x97", "*" },
                { "\xc3\xb7", "/" }, { "\xe2\x88\x92", "-" }, { "\xe2\x80\x93", "-" },
                { "\xe2\x8b\x85", "*" }, { "\xc2\xb7", "*" }, { "\xc2\xb2", "^2" },
                { "\xc2\xb3", "^3" }, { "\xc2\xa3", "$" }, { "\xe2\x82\xac", "$" },
                { "\xc2\xa0", " " }, { "\xe2\x80\xaf", " " },
        };
        for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
                size_t bytes = strlen(signs[i].from);
                bool word = equation_is_letter(signs[i].from[bytes - 1]);
                if (word && equation_is_letter(ahead(writer, (uint32_t)bytes)))
                        continue; /* \textstyle, \timesx */
                if (take(writer, signs[i].from)) {
                        put(writer, signs[i].to);
                        return true;
                }
        }
        return false;
}

/* \frac{a}{b} becomes ((a)/(b)): its braces are parentheses, with a slash between. */
static bool take_fraction(struct writer *writer)
{
        if (writer->fraction != 0)
                return false; /* within a fraction: stays, and is not judged */
        uint32_t at = writer->at;
        if ((take(writer, "\\frac") || take(writer, "\\dfrac") || take(writer, "\\tfrac")) &&
                ahead(writer, 0) == '{') {
                put(writer, "(");
                writer->fraction = 2;
                writer->depth = 0;
                return true;
        }
        writer->at = at;
        return false;
}

static void brace(struct writer *writer, char c)
{
        put_char(writer, c == '{' ? '(' : ')');
        if (writer->fraction == 0)
                return;
        writer->depth = (uint8_t)(writer->depth + (c == '{' ? 1 : -1));
        if (writer->depth != 0)
                return;
        writer->fraction--;
        if (writer->fraction == 0)
                put(writer, ")");
        else if (ahead(writer, 0) == '{')
                put(writer, "/");
        else
                writer->fraction = 0; /* \frac{a}b: unbalanced now, so not judged */
}

/* A comma with three digits behind it that belong to the number before. */
static bool is_thousands(const struct writer *writer, uint32_t digits)
{
        return digits >= 1 && digits <= 3 && equation_is_digit(ahead(writer, 1)) &&
                equation_is_digit(ahead(writer, 2)) && equation_is_digit(ahead(writer, 3)) &&
                !equation_is_digit(ahead(writer, 4));
}

void equation_plain(struct scope_string text, struct equation_line *line,
        void (*mark)(void *context, struct scope_string inside), void *context)
{
        struct writer writer = { .line = line, .in = text };
        uint32_t digits = 0; /* since the number's begin or its last comma */
        line->bytes = 0;
        while (writer.at < text.bytes && line->bytes < EQUATION_LINE_BYTES) {
                char c = ahead(&writer, 0);
                if (c == '<' && ahead(&writer, 1) == '<') {
                        uint32_t begin = writer.at + 2, end = begin;
                        while (end + 1 < text.bytes &&
                                (text.at[end] != '>' || text.at[end + 1] != '>'))
                                end++;
                        if (end + 1 < text.bytes) {
                                mark(context, (struct scope_string){ text.at + begin,
                                                      end - begin });
                                writer.at = end + 2;
                                continue;
                        }
                }
                if (c == ',' && is_thousands(&writer, digits)) {
                        digits = 0;
                        writer.at++;
                        continue;
                }
                digits = equation_is_digit(c) ? digits + 1 : 0;
                if (take_fraction(&writer) || take_sign(&writer))
                        continue;
                writer.at++;
                if (c == '{' || c == '}')
                        brace(&writer, c);
                else
                        put_char(&writer, c);
        }
}
