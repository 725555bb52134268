/* grade_normalise.c - an answer in one notation out of many.
 * Why: most right answers differ from the gold one in how they are written only (algorithm.md 2.2,
 * 2.3). Stages: symbols (commands, wrappers, spacing), words (units, "and", mixed numbers), shape
 * (braces of fractions, roots and exponents), and last what concerns an answer as a whole. */
#include "algorithm/grade_parts.h"

#include <string.h>

/* Where \text{...} began and ended, until the words are settled. */
#define TEXT_OPEN '\x01'
#define TEXT_CLOSE '\x02'

void grade_line_add(struct grade_line *line, const char *at, uint32_t count)
{
        if (line->failed || count > GRADE_LINE_BYTES - line->count) {
                line->failed = true;
                return;
        }
        if (count > 0)
                memcpy(line->at + line->count, at, count);
        line->count += count;
}

void grade_line_char(struct grade_line *line, char c)
{
        grade_line_add(line, &c, 1);
}

void grade_line_text(struct grade_line *line, const char *text)
{
        grade_line_add(line, text, (uint32_t)strlen(text));
}

static struct scope_string string_of(const struct grade_line *line)
{
        return (struct scope_string){ line->at, line->count };
}

/* ---- symbols ---- */

enum symbol { SYMBOL_PLAIN, SYMBOL_DROP, SYMBOL_TEXT, SYMBOL_SIZE, SYMBOL_DEGREE };

/* What becomes of commands; one that is not listed stays. */
static const struct {
        const char *name;
        enum symbol kind;
        const char *becomes;
} commands[] = {
        { "left", SYMBOL_SIZE, NULL }, { "right", SYMBOL_SIZE, NULL },
        { "big", SYMBOL_SIZE, NULL }, { "Big", SYMBOL_SIZE, NULL },
        { "bigl", SYMBOL_SIZE, NULL }, { "bigr", SYMBOL_SIZE, NULL },
        { "Bigl", SYMBOL_SIZE, NULL }, { "Bigr", SYMBOL_SIZE, NULL },
        { "text", SYMBOL_TEXT, NULL }, { "mathrm", SYMBOL_TEXT, NULL },
        { "mathbf", SYMBOL_TEXT, NULL }, { "textbf", SYMBOL_TEXT, NULL },
        { "textit", SYMBOL_TEXT, NULL }, { "mathit", SYMBOL_TEXT, NULL },
        { "mbox", SYMBOL_TEXT, NULL }, { "operatorname", SYMBOL_TEXT, NULL },
        { "displaystyle", SYMBOL_DROP, NULL }, { "textstyle", SYMBOL_DROP, NULL },
        { "limits", SYMBOL_DROP, NULL }, { "degree", SYMBOL_DEGREE, NULL },
        { "pounds", SYMBOL_DROP, NULL }, { "euro", SYMBOL_DROP, NULL },
        { "quad", SYMBOL_PLAIN, " " }, { "qquad", SYMBOL_PLAIN, " " },
        { "dfrac", SYMBOL_PLAIN, "\\frac" }, { "tfrac", SYMBOL_PLAIN, "\\frac" },
        { "cfrac", SYMBOL_PLAIN, "\\frac" }, { "leq", SYMBOL_PLAIN, "\\le" },
        { "leqslant", SYMBOL_PLAIN, "\\le" }, { "geq", SYMBOL_PLAIN, "\\ge" },
        { "geqslant", SYMBOL_PLAIN, "\\ge" }, { "neq", SYMBOL_PLAIN, "\\ne" },
        { "lt", SYMBOL_PLAIN, "<" }, { "gt", SYMBOL_PLAIN, ">" },
        { "cdot", SYMBOL_PLAIN, "*" }, { "times", SYMBOL_PLAIN, "*" },
        { "ast", SYMBOL_PLAIN, "*" }, { "div", SYMBOL_PLAIN, "/" },
        { "lbrace", SYMBOL_PLAIN, "\\{" }, { "rbrace", SYMBOL_PLAIN, "\\}" },
        { "dots", SYMBOL_PLAIN, "..." }, { "ldots", SYMBOL_PLAIN, "..." },
        { "cdots", SYMBOL_PLAIN, "..." }, { "colon", SYMBOL_PLAIN, ":" },
        { "dbinom", SYMBOL_PLAIN, "\\binom" }, { "tbinom", SYMBOL_PLAIN, "\\binom" },
        { "langle", SYMBOL_PLAIN, "(" }, { "rangle", SYMBOL_PLAIN, ")" },
        { "lvert", SYMBOL_PLAIN, "|" }, { "rvert", SYMBOL_PLAIN, "|" },
        { "vert", SYMBOL_PLAIN, "|" }, { "mid", SYMBOL_PLAIN, "|" },
        { "varnothing", SYMBOL_PLAIN, "\\emptyset" }, { "to", SYMBOL_PLAIN, "\\rightarrow" },
        { "thinspace", SYMBOL_PLAIN, " " }, { "textdegree", SYMBOL_DEGREE, NULL },
        { "bigg", SYMBOL_SIZE, NULL }, { "Bigg", SYMBOL_SIZE, NULL },
        { "middle", SYMBOL_SIZE, NULL }, { "mathsf", SYMBOL_TEXT, NULL },
        { "boldsymbol", SYMBOL_TEXT, NULL }, { "textnormal", SYMBOL_TEXT, NULL },
        { "bf", SYMBOL_DROP, NULL }, { "rm", SYMBOL_DROP, NULL },
};

/* Characters beyond ASCII that people type for a command. */
static const struct {
        const char *bytes, *becomes;
} characters[] = {
        { "\xe2\x88\x92", "-" }, { "\xe2\x80\x93", "-" }, { "\xc3\x97", "*" },
        { "\xc2\xb7", "*" }, { "\xc3\xb7", "/" }, { "\xcf\x80", "\\pi" },
        { "\xe2\x88\x9e", "\\infty" }, { "\xe2\x88\x88", "\\in" }, { "\xe2\x89\xa4", "\\le" },
        { "\xe2\x89\xa5", "\\ge" }, { "\xe2\x89\xa0", "\\ne" }, { "\xe2\x88\xaa", "\\cup" },
        { "\xe2\x88\x9a", "\\sqrt" }, { "\xc2\xb1", "\\pm" }, { "\xe2\x82\xac", "" },
        { "\xc2\xa3", "" }, { "\xc2\xa0", " " },
};

struct symbols {
        struct scope_string text;
        uint32_t at;
        bool matrix, ratio;   /* has environments; keeps percent signs */
        bool angles;          /* has trigonometric functions: degrees mean something */
        uint64_t text_braces; /* bit d: the brace open at depth d belongs to a text wrapper */
        uint32_t depth;
        struct grade_line *out;
};

static void emit(struct symbols *symbols, const char *text)
{
        grade_line_text(symbols->out, text);
}

static void emit_space(struct symbols *symbols)
{
        struct grade_line *out = symbols->out;
        if (out->count == 0 || out->at[out->count - 1] != ' ')
                grade_line_char(out, ' ');
}

static void emit_degree(struct symbols *symbols)
{
        if (symbols->angles)
                emit(symbols, "\\degree ");
}

static void open_brace(struct symbols *symbols, bool is_text)
{
        if (symbols->depth == GRADE_DEPTH_MAX) {
                symbols->out->failed = true;
                return;
        }
        uint64_t bit = (uint64_t)1 << symbols->depth++;
        symbols->text_braces = is_text ? symbols->text_braces | bit : symbols->text_braces & ~bit;
        grade_line_char(symbols->out, is_text ? TEXT_OPEN : '{');
}

static void close_brace(struct symbols *symbols)
{
        bool is_text = symbols->depth > 0 &&
                (symbols->text_braces >> (symbols->depth - 1) & 1) != 0;
        symbols->depth -= symbols->depth > 0;
        grade_line_char(symbols->out, is_text ? TEXT_CLOSE : '}');
}

static void skip_spaces(struct symbols *symbols)
{
        while (symbols->at < symbols->text.bytes &&
                scope_is_space(symbols->text.at[symbols->at]))
                symbols->at++;
}

/* A command of letters; symbols->at stands behind its backslash. */
static void named_command(struct symbols *symbols)
{
        struct scope_string text = symbols->text;
        uint32_t begin = symbols->at, end = begin;
        while (end < text.bytes && scope_is_letter(text.at[end]))
                end++;
        symbols->at = end;
        for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
                if (strlen(commands[i].name) != end - begin ||
                        memcmp(commands[i].name, text.at + begin, end - begin) != 0)
                        continue;
                if (commands[i].kind == SYMBOL_PLAIN)
                        emit(symbols, commands[i].becomes);
                if (commands[i].kind == SYMBOL_SIZE && end < text.bytes && text.at[end] == '.')
                        symbols->at++;
                if (commands[i].kind == SYMBOL_DEGREE)
                        emit_degree(symbols);
                if (commands[i].kind != SYMBOL_TEXT)
                        return;
                skip_spaces(symbols);
                if (symbols->at < text.bytes && text.at[symbols->at] == '{') {
                        symbols->at++;
                        open_brace(symbols, true);
                }
                return;
        }
        grade_line_add(symbols->out, text.at + begin - 1, end - begin + 1);
        /* A letter must not grow into the command when spaces go. */
        if (end < text.bytes && scope_is_space(text.at[end]))
                emit_space(symbols);
}

static void backslash(struct symbols *symbols)
{
        struct scope_string text = symbols->text;
        if (++symbols->at == text.bytes)
                return;
        char c = text.at[symbols->at];
        if (scope_is_letter(c)) {
                named_command(symbols);
                return;
        }
        symbols->at++;
        bool letter_follows = symbols->at < text.bytes && scope_is_letter(text.at[symbols->at]);
        if (c == '\\' && letter_follows && !symbols->matrix)
                symbols->at--; /* a backslash escaped once too often */
        else if (c == '\\')
                emit(symbols, "\\\\");
        else if (c == '{' || c == '}')
                emit(symbols, c == '{' ? "\\{" : "\\}");
        else if (strchr(",;: ~", c) != NULL)
                emit_space(symbols);
        else if (c == '%' && symbols->ratio)
                grade_line_char(symbols->out, '%');
        else if ((unsigned char)c >= ' ' && strchr("!$%()[]", c) == NULL)
                grade_line_char(symbols->out, c);
}

/* ^\circ and ^{\circ} are degrees, and go. */
static bool skip_degree(struct symbols *symbols)
{
        uint32_t start = symbols->at++;
        skip_spaces(symbols);
        bool braced = symbols->at < symbols->text.bytes && symbols->text.at[symbols->at] == '{';
        symbols->at += braced;
        skip_spaces(symbols);
        if (scope_string_begins(symbols->text, symbols->at, "\\circ")) {
                symbols->at += 5;
                skip_spaces(symbols);
                bool closed = symbols->at < symbols->text.bytes &&
                        symbols->text.at[symbols->at] == '}';
                if (!braced || closed) {
                        symbols->at += braced;
                        emit_degree(symbols);
                        return true;
                }
        }
        symbols->at = start;
        return false;
}

static bool foreign_character(struct symbols *symbols)
{
        if (scope_string_begins(symbols->text, symbols->at, "\xc2\xb0")) {
                symbols->at += 2;
                emit_degree(symbols);
                return true;
        }
        for (size_t i = 0; i < sizeof characters / sizeof *characters; i++) {
                if (!scope_string_begins(symbols->text, symbols->at, characters[i].bytes))
                        continue;
                symbols->at += (uint32_t)strlen(characters[i].bytes);
                emit(symbols, characters[i].becomes);
                if (characters[i].becomes[0] == '\\')
                        emit_space(symbols);
                return true;
        }
        return false;
}

/* <=, >=, != */
static bool ascii_sign(struct symbols *symbols)
{
        static const char *const signs[][2] = { { "<=", "\\le" }, { ">=", "\\ge" },
                { "!=", "\\ne" } };
        for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
                if (!scope_string_begins(symbols->text, symbols->at, signs[i][0]))
                        continue;
                symbols->at += 2;
                emit(symbols, signs[i][1]);
                emit_space(symbols);
                return true;
        }
        return false;
}

/* {,} and ,\! before three digits are thousands wherever they stand; another comma may be. */
static void comma(struct symbols *symbols)
{
        struct scope_string text = symbols->text;
        bool braced = text.at[symbols->at] == '{';
        uint32_t after = symbols->at + (braced ? 3 : 1), digits = 0;
        bool thin = scope_string_begins(text, after, "\\!");
        symbols->at = after;
        after += thin ? 2 : 0;
        while (thin && after < text.bytes && scope_is_space(text.at[after]))
                after++;
        while (after + digits < text.bytes && scope_is_digit(text.at[after + digits]))
                digits++;
        const struct grade_line *out = symbols->out;
        bool number = out->count > 0 && scope_is_digit(out->at[out->count - 1]);
        if ((braced || thin) && digits == 3 && number)
                symbols->at = after;
        else
                grade_line_char(symbols->out, ',');
}

static void next_symbol(struct symbols *symbols)
{
        struct scope_string text = symbols->text;
        char c = text.at[symbols->at];
        if (c == '\\') {
                backslash(symbols);
        } else if (c == '^' && skip_degree(symbols)) {
                return;
        } else if (((unsigned char)c & 0x80) != 0 && foreign_character(symbols)) {
                return;
        } else if (ascii_sign(symbols)) {
                return;
        } else if (c == ',' || scope_string_begins(text, symbols->at, "{,}")) {
                comma(symbols);
        } else {
                symbols->at++;
                if (c == '{')
                        open_brace(symbols, false);
                else if (c == '}')
                        close_brace(symbols);
                else if (scope_is_space(c) || c == '~')
                        emit_space(symbols);
                else if ((unsigned char)c >= ' ' && c != '$' && (c != '%' || symbols->ratio))
                        grade_line_char(symbols->out, c);
        }
}

static void rewrite_symbols(struct scope_string answer, bool ratio, struct grade_line *out)
{
        struct symbols symbols = { .text = answer, .ratio = ratio, .out = out };
        static const char *const turns[] = { "sin", "cos", "tan", "cot", "sec", "csc" };
        for (uint32_t i = 0; i < answer.bytes; i++) {
                symbols.matrix = symbols.matrix || scope_string_begins(answer, i, "\\begin");
                for (size_t k = 0; k < sizeof turns / sizeof *turns; k++)
                        symbols.angles = symbols.angles ||
                                (scope_string_begins(answer, i, turns[k]) && i > 0 &&
                                        answer.at[i - 1] == '\\') ||
                                (scope_string_begins(answer, i, turns[k]) && i + 3 < answer.bytes &&
                                        answer.at[i + 3] == '(');
        }
        while (symbols.at < answer.bytes && !out->failed)
                next_symbol(&symbols);
}

/* ---- words ---- */

static const char *const units[] = {
        "degree", "degrees", "cm", "mm", "km", "inch", "inches", "foot", "feet", "ft", "yard",
        "yards", "yd", "mile", "miles", "mi", "second", "seconds", "sec", "minute", "minutes",
        "min", "hour", "hours", "hr", "hrs", "day", "days", "week", "weeks", "month", "months",
        "year", "years", "dollar", "dollars", "cent", "cents", "centimeter", "centimeters",
        "meter", "meters", "metre", "metres", "kilometer", "kilometers", "millimeter",
        "millimeters", "gram", "grams", "kg", "kilogram", "kilograms", "liter", "liters", "ml",
        "mph", "unit", "units", "square", "cubic", "sq", "per", "percent", "point", "points",
        "radian", "radians", "rad",
};
/* Units too short to tell from a product of variables; only inside a text wrapper. */
static const char *const short_units[] = { "m", "s", "g", "h", "l", "in", "L" };

static bool is_listed(const char *word, uint32_t bytes, const char *const *list, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                if (strlen(list[i]) == bytes && memcmp(list[i], word, bytes) == 0)
                        return true;
        }
        return false;
}

static bool is_unit(const char *word, uint32_t bytes, bool wrapped)
{
        const size_t short_count = sizeof short_units / sizeof *short_units;
        return is_listed(word, bytes, units, sizeof units / sizeof *units) ||
                (wrapped && is_listed(word, bytes, short_units, short_count));
}

static bool all_units(struct scope_string text)
{
        bool any = false;
        for (uint32_t i = 0; i < text.bytes;) {
                uint32_t end = i;
                while (end < text.bytes && scope_is_letter(text.at[end]))
                        end++;
                if (end == i) {
                        if (strchr(" ./", text.at[i]) == NULL)
                                return false;
                        i++;
                        continue;
                }
                if (!is_unit(text.at + i, end - i, true))
                        return false;
                any = true;
                i = end;
        }
        return any;
}

static void trim_end(struct grade_line *line)
{
        while (line->count > 0 &&
                (line->at[line->count - 1] == ' ' || line->at[line->count - 1] == '.'))
                line->count--;
}

/* Whether what stands before a unit is a quantity. */
static bool is_quantity(const struct grade_line *line, uint32_t end)
{
        for (uint32_t i = 0; i < end; i++) {
                if (scope_is_digit(line->at[i]) || line->at[i] == '\\')
                        return true;
        }
        return false;
}

/* Where a text wrapper that ends the line and says a unit (or, after a space, anything) begins. */
static uint32_t wrapped_unit(const struct grade_line *line, uint32_t end)
{
        if (end == 0 || line->at[end - 1] != TEXT_CLOSE)
                return end;
        uint32_t open = end - 1;
        while (open > 0 && line->at[open] != TEXT_OPEN)
                open--;
        struct scope_string content = { line->at + open + 1, end - open - 2 };
        bool unit = line->at[open] == TEXT_OPEN && is_quantity(line, open) &&
                (all_units(content) || (content.bytes > 0 && content.at[0] == ' '));
        return unit ? open : end;
}

/* Where a bare word that ends the line and is a unit begins. */
static uint32_t bare_unit(const struct grade_line *line, uint32_t end)
{
        uint32_t begin = end;
        while (begin > 0 && scope_is_letter(line->at[begin - 1]))
                begin--;
        if (begin == 0 || begin == end || !is_unit(line->at + begin, end - begin, false))
                return end;
        char before = line->at[begin - 1];
        bool apart = before == ' ' || before == '}' || before == ')' || before == TEXT_CLOSE ||
                scope_is_digit(before);
        return apart && is_quantity(line, begin) ? begin : end;
}

/* Takes one unit off the end, with its exponent: `cm`, `\text{ cm}^2`. */
static bool strip_unit(struct grade_line *line, bool ratio)
{
        trim_end(line);
        uint32_t end = line->count;
        if (end >= 2 && line->at[end - 2] == '^' && scope_is_digit(line->at[end - 1]))
                end -= 2;
        else if (end >= 4 && line->at[end - 1] == '}' && line->at[end - 3] == '{' &&
                line->at[end - 4] == '^')
                end -= 4;
        uint32_t begin = wrapped_unit(line, end);
        if (begin == end)
                begin = bare_unit(line, end);
        if (begin == end)
                return false;
        bool percent = end - begin >= 7 && memcmp(line->at + begin, "percent", 7) == 0;
        line->count = begin;
        trim_end(line);
        if (percent && ratio)
                grade_line_char(line, '%');
        return !percent;
}

/* Length of "digits space digits / digits" at `at`, a mixed number; 0 if it is none. */
static uint32_t mixed_number(struct scope_string text, uint32_t at, uint32_t *ret_top,
        uint32_t *ret_slash)
{
        uint32_t i = at;
        while (i < text.bytes && scope_is_digit(text.at[i]))
                i++;
        if (i == at || i == text.bytes || text.at[i] != ' ')
                return 0;
        uint32_t top = ++i;
        while (i < text.bytes && scope_is_digit(text.at[i]))
                i++;
        if (i == top || i == text.bytes || text.at[i] != '/')
                return 0;
        uint32_t slash = i++;
        while (i < text.bytes && scope_is_digit(text.at[i]))
                i++;
        if (i == slash + 1)
                return 0;
        *ret_top = top;
        *ret_slash = slash;
        return i - at;
}

/* " and " and " or " at `at`: how long; 0 if neither. */
static uint32_t conjunction(struct scope_string text, uint32_t at)
{
        return scope_string_begins(text, at, " and ")  ? 5
               : scope_string_begins(text, at, " or ") ? 4
                                                       : 0;
}

static void rewrite_words(const struct grade_line *in, struct grade_line *out)
{
        struct scope_string text = string_of(in);
        for (uint32_t i = 0; i < text.bytes;) {
                uint32_t top, slash, length = conjunction(text, i);
                if (length > 0) {
                        if (out->count > 0 && out->at[out->count - 1] != ',')
                                grade_line_char(out, ',');
                        i += length;
                        continue;
                }
                bool number_begins = i == 0 || !scope_is_digit(text.at[i - 1]);
                length = number_begins ? mixed_number(text, i, &top, &slash) : 0;
                if (length == 0) {
                        grade_line_char(out, text.at[i++]);
                        continue;
                }
                grade_line_add(out, text.at + i, top - 1 - i);
                grade_line_add(out, "\\frac{", 6);
                grade_line_add(out, text.at + top, slash - top);
                grade_line_add(out, "}{", 2);
                grade_line_add(out, text.at + slash + 1, i + length - slash - 1);
                grade_line_char(out, '}');
                i += length;
        }
}

/* Removes the marks of text wrappers. */
static void unwrap_text(const struct grade_line *in, struct grade_line *out)
{
        for (uint32_t i = 0; i < in->count; i++) {
                if (in->at[i] != TEXT_OPEN && in->at[i] != TEXT_CLOSE)
                        grade_line_char(out, in->at[i]);
        }
}

/* ---- shape ---- */

/* Whether the comma at `at` separates thousands: three digits behind it, no more, and digits
 * before. */
static bool is_thousands(struct scope_string text, uint32_t at)
{
        uint32_t before = 0, after = 0;
        while (before < at && scope_is_digit(text.at[at - before - 1]))
                before++;
        while (at + 1 + after < text.bytes && scope_is_digit(text.at[at + 1 + after]))
                after++;
        return after == 3 && before >= 1 && before <= 3;
}

/* Spaces go, but one that keeps a letter from growing into a command; then thousands, where
 * wanted, and a zero in front of a bare decimal point. A comma inside brackets is never one of
 * thousands. */
static void rewrite_spacing(const struct grade_line *in, bool thousands, struct grade_line *out)
{
        struct scope_string text = string_of(in);
        uint32_t brackets = 0;
        bool in_command = false;
        for (uint32_t i = 0; i < text.bytes; i++) {
                char c = text.at[i], next = i + 1 < text.bytes ? text.at[i + 1] : '\0';
                char before = out->count > 0 ? out->at[out->count - 1] : '\0';
                if (c == ' ') {
                        if (in_command && scope_is_letter(next))
                                grade_line_char(out, ' ');
                        in_command = false;
                        continue;
                }
                in_command = c == '\\' || (in_command && scope_is_letter(c));
                bool bracket = c == '(' || c == '[' || (c == '{' && before == '\\');
                bool closes = c == ')' || c == ']' || (c == '}' && before == '\\');
                brackets += bracket;
                brackets -= closes && brackets > 0;
                if (c == ',' && thousands && brackets == 0 && is_thousands(text, i))
                        continue;
                if (c == '.' && scope_is_digit(next) && !scope_is_digit(before))
                        grade_line_char(out, '0');
                grade_line_char(out, c);
        }
}

static void rewrite_shape(struct grade_work *work, struct scope_string text, uint32_t depth,
        struct grade_line *out);

/* Copies one argument at `at` in braces: a group, a command or one character; returns where it
 * ends. */
static uint32_t shape_argument(struct grade_work *work, struct scope_string text, uint32_t at,
        uint32_t depth, struct grade_line *out)
{
        while (at < text.bytes && text.at[at] == ' ')
                at++;
        if (at == text.bytes)
                return at;
        bool group = text.at[at] == '{';
        uint32_t begin = at + group, end = at + 1;
        if (group) {
                end = scope_boxed_close(text, at);
        } else if (text.at[at] == '\\') {
                while (end < text.bytes && scope_is_letter(text.at[end]))
                        end++;
        }
        grade_line_char(out, '{');
        rewrite_shape(work, grade_part(text, begin, end), depth + 1, out);
        grade_line_char(out, '}');
        return group && end < text.bytes ? end + 1 : end;
}

/* Braces round every argument of \frac and \sqrt; none round an exponent or index of one
 * character. */
static void rewrite_shape(struct grade_work *work, struct scope_string text, uint32_t depth,
        struct grade_line *out)
{
        if (depth > GRADE_DEPTH_MAX || !grade_spend(work, text.bytes / 2 + 1)) {
                out->failed = true;
                return;
        }
        for (uint32_t i = 0; i < text.bytes;) {
                bool root = scope_string_begins(text, i, "\\sqrt");
                bool choose = scope_string_begins(text, i, "\\binom");
                bool fraction = choose || scope_string_begins(text, i, "\\frac");
                if (fraction || root) {
                        grade_line_add(out, text.at + i, 5 + choose);
                        i += 5 + choose;
                        while (root && i < text.bytes && text.at[i] == '[') {
                                while (i < text.bytes && text.at[i] != ']')
                                        grade_line_char(out, text.at[i++]);
                                if (i < text.bytes)
                                        grade_line_char(out, text.at[i++]);
                        }
                        i = shape_argument(work, text, i, depth, out);
                        if (fraction)
                                i = shape_argument(work, text, i, depth, out);
                } else if ((text.at[i] == '^' || text.at[i] == '_') && i + 3 < text.bytes &&
                        text.at[i + 1] == '{' && text.at[i + 3] == '}' && text.at[i + 2] != '\\') {
                        grade_line_char(out, text.at[i]);
                        grade_line_char(out, text.at[i + 2]);
                        i += 4;
                } else {
                        grade_line_char(out, text.at[i++]);
                }
        }
}

/* ---- the answer as a whole ---- */

static bool is_text_only(struct scope_string text)
{
        for (uint32_t i = 0; i < text.bytes; i++) {
                char c = text.at[i];
                if (!scope_is_letter(c) && strchr(" ,()'-", c) == NULL)
                        return false;
        }
        return text.bytes > 0;
}

/* Whether the text from `begin` to `end` is one letter or a whole number. */
static bool is_symbol(struct scope_string text, uint32_t begin, uint32_t end)
{
        if (end == begin + 1 && scope_is_letter(text.at[begin]))
                return true;
        for (uint32_t i = begin; i < end; i++) {
                if (!scope_is_digit(text.at[i]))
                        return false;
        }
        return end > begin;
}

/* a/b of one symbol each, the sign apart: where the slash stands, 0 if it is not so. */
static uint32_t simple_slash(struct scope_string text)
{
        uint32_t begin = text.bytes > 0 && text.at[0] == '-', slash = begin;
        while (slash < text.bytes && text.at[slash] != '/')
                slash++;
        bool simple = slash < text.bytes && is_symbol(text, begin, slash) &&
                is_symbol(text, slash + 1, text.bytes);
        return simple ? slash : 0;
}

static struct scope_string strip_outer(struct scope_string text)
{
        while (text.bytes >= 2 && text.at[0] == '{' && scope_boxed_close(text, 0) == text.bytes - 1)
                text = (struct scope_string){ text.at + 1, text.bytes - 2 };
        while (text.bytes > 1 && (text.at[text.bytes - 1] == '.' || text.at[text.bytes - 1] == ' '))
                text.bytes--;
        bool choice = text.bytes == 3 && text.at[0] == '(' && scope_is_letter(text.at[1]) &&
                text.at[2] == ')';
        if (choice)
                text = (struct scope_string){ text.at + 1, 1 };
        return text;
}

/* Sets with a name of their own, in one notation. */
static struct scope_string well_known(struct scope_string text)
{
        static const char *const names[][2] = { { "\\{\\}", "\\emptyset" },
                { "nosolution", "\\emptyset" }, { "nosolutions", "\\emptyset" },
                { "\\mathbb{R}", "(-\\infty,\\infty)" }, { "\\R", "(-\\infty,\\infty)" },
                { "allrealnumbers", "(-\\infty,\\infty)" },
                { "allreals", "(-\\infty,\\infty)" } };
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                size_t bytes = strlen(names[i][0]);
                bool same = bytes == text.bytes;
                for (size_t k = 0; k < bytes && same; k++) {
                        char c = text.at[k];
                        bool upper = c >= 'A' && c <= 'Z' && names[i][0][0] != '\\';
                        same = names[i][0][k] == (upper ? (char)(c - 'A' + 'a') : c);
                }
                if (same)
                        return (struct scope_string){ names[i][1],
                                (uint32_t)strlen(names[i][1]) };
        }
        return text;
}

static void rewrite_whole(struct scope_string text, struct grade_line *out)
{
        text = well_known(strip_outer(text));
        uint32_t slash = simple_slash(text);
        bool lower = is_text_only(text);
        if (slash > 0) {
                bool minus = text.at[0] == '-';
                if (minus)
                        grade_line_char(out, '-');
                grade_line_add(out, "\\frac{", 6);
                grade_line_add(out, text.at + minus, slash - minus);
                grade_line_add(out, "}{", 2);
                grade_line_add(out, text.at + slash + 1, text.bytes - slash - 1);
                grade_line_char(out, '}');
                return;
        }
        for (uint32_t i = 0; i < text.bytes; i++) {
                char c = text.at[i];
                bool leading = i == 0 || strchr("([,", text.at[i - 1]) != NULL;
                if (c == '+' && leading && text.bytes > 1)
                        continue;
                grade_line_char(out, lower && c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c);
        }
}

void grade_normalise(struct grade_work *work, struct scope_string answer, bool thousands,
        struct grade_line *ret_line)
{
        bool ratio = work->options->percent == SCOPE_GRADE_PERCENT_RATIO;
        struct grade_line one, two;
        one.count = two.count = 0;
        one.failed = two.failed = !grade_spend(work, 2 * answer.bytes);
        rewrite_symbols(answer, ratio, &one);
        for (int i = 0; i < 8 && strip_unit(&one, ratio); i++)
                ;
        unwrap_text(&one, &two);
        one.count = 0;
        rewrite_words(&two, &one);
        two.count = 0;
        rewrite_spacing(&one, thousands, &two);
        one.count = 0;
        rewrite_shape(work, string_of(&two), 0, &one);
        ret_line->count = 0;
        ret_line->failed = false;
        rewrite_whole(string_of(&one), ret_line);
        ret_line->failed = ret_line->failed || one.failed || two.failed;
}
