/* tokenizer_pattern.c - patterns written for Oniguruma, as PCRE2 has to read them.
 * \s is Unicode's White_Space (PCRE2 has U+180E besides), \d is Nd. Constructs that mean something
 * else there (^ $ \w \h sets in sets {n}? (?i) and so on) or that may run without bound are refused
 * by name. */
#include "models/tokenizer_pattern.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define WHITE_SPACE                                                                                \
        "\\x{9}-\\x{D}\\x{20}\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}"         \
        "\\x{202F}\\x{205F}\\x{3000}"

struct translator {
        const char *text;
        size_t bytes, at;
        struct scope_text *out;
        struct scope_diag *diag;
        bool in_class;
        size_t class_begin; /* where the first thing of the class stands */
};

static enum scope_err refuse(struct translator *t, size_t bytes, const char *why)
{
        size_t left = t->bytes - t->at;
        return scope_diag_set(t->diag, SCOPE_ERR_UNSUPPORTED,
                "pattern, byte %zu: \"%.*s\" is not supported: %s", t->at,
                (int)(bytes < left ? bytes : left), t->text + t->at, why);
}

static bool ahead(const struct translator *t, const char *word)
{
        size_t bytes = strlen(word);
        return t->bytes - t->at >= bytes && memcmp(t->text + t->at, word, bytes) == 0;
}

static void copy(struct translator *t, size_t bytes)
{
        scope_text_add(t->out, t->text + t->at, bytes);
        t->at += bytes;
}

static bool is_hex(char c)
{
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* \xHH, \x{H...}, \uHHHH. */
static enum scope_err translate_code(struct translator *t)
{
        char kind = t->text[t->at + 1];
        bool braces = kind == 'x' && t->at + 2 < t->bytes && t->text[t->at + 2] == '{';
        size_t begin = t->at + (braces ? 3 : 2), end = begin;
        size_t max = kind == 'u' ? 4 : braces ? 6 : 2;
        while (end < t->bytes && end - begin < max && is_hex(t->text[end]))
                end++;
        bool whole = braces ? end > begin && end < t->bytes && t->text[end] == '}'
                            : end - begin == max;
        if (!whole)
                return refuse(t, 6, "not a character's number");
        if (kind == 'x' && !braces && t->text[begin] >= '8')
                return refuse(t, 4, "half a character; write \\x{...}");
        scope_text_format(t->out, "\\x{%.*s}", (int)(end - begin), t->text + begin);
        t->at = end + braces;
        return SCOPE_OK;
}

/* After a set within a class, a "-" would not begin a range in both engines alike. */
static enum scope_err after_set(struct translator *t)
{
        if (t->in_class && t->at + 1 < t->bytes && t->text[t->at] == '-'
                && t->text[t->at + 1] != ']')
                return refuse(t, 2, "a range that begins with a set");
        return SCOPE_OK;
}

static enum scope_err translate_set(struct translator *t, char letter)
{
        if (letter == 'S' && t->in_class)
                return refuse(t, 2, "the complement of a set within a class");
        const char *set = letter == 's' ? t->in_class ? WHITE_SPACE : "[" WHITE_SPACE "]"
                : letter == 'S'         ? "[^" WHITE_SPACE "]"
                : letter == 'd'         ? "\\p{Nd}"
                                        : "\\P{Nd}";
        scope_text_string(t->out, set);
        t->at += 2;
        return after_set(t);
}

static enum scope_err translate_property(struct translator *t)
{
        const char *end = t->at + 2 < t->bytes
                ? memchr(t->text + t->at + 2, '}', t->bytes - t->at - 2)
                : NULL;
        if (t->at + 2 >= t->bytes || t->text[t->at + 2] != '{' || end == NULL)
                return refuse(t, 3, "a property without braces");
        copy(t, (size_t)(end - t->text) + 1 - t->at);
        return after_set(t);
}

static enum scope_err translate_escape(struct translator *t)
{
        char letter = t->at + 1 < t->bytes ? t->text[t->at + 1] : 0;
        bool word = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z')
                || (letter >= '0' && letter <= '9');
        if (letter <= 0)
                return refuse(t, 2, "a backslash before no ASCII character");
        if (!word || strchr("rntfea", letter) != NULL || (!t->in_class && strchr("Az", letter))) {
                copy(t, 2);
                return SCOPE_OK;
        }
        if (strchr("sSdD", letter) != NULL)
                return translate_set(t, letter);
        if (letter == 'p' || letter == 'P')
                return translate_property(t);
        if (letter == 'x' || letter == 'u')
                return translate_code(t);
        return refuse(t, 2, "its meaning differs between engines");
}

static enum scope_err translate_in_class(struct translator *t)
{
        char c = t->text[t->at];
        if (c == '[' || ahead(t, "&&"))
                return refuse(t, 2, "a set within a set");
        if (c == ']' && t->at == t->class_begin)
                return refuse(t, 1, "an empty class");
        t->in_class = c != ']';
        copy(t, 1);
        return SCOPE_OK;
}

/* Some letters side by side have one character they fold with: Oniguruma finds it, PCRE2 does not.
 * in      at: behind the "(?i:" */
static bool folds_alike(const struct translator *t, size_t at)
{
        static const char *const ligatures[] = { "ss", "st", "ff", "fi", "fl" };
        for (; at < t->bytes && t->text[at] != ')'; at++) {
                if ((unsigned char)t->text[at] >= 0x80)
                        return false;
                for (size_t i = 0; i < sizeof ligatures / sizeof *ligatures; i++)
                        if (at + 1 < t->bytes && (t->text[at] | 0x20) == ligatures[i][0]
                                && (t->text[at + 1] | 0x20) == ligatures[i][1])
                                return false;
        }
        return true;
}

static enum scope_err translate_group(struct translator *t)
{
        static const char *const known[] = { "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:" };
        if (!ahead(t, "(?") && !ahead(t, "(*")) {
                copy(t, 1);
                return SCOPE_OK;
        }
        for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
                if (!ahead(t, known[i]))
                        continue;
                if (known[i][2] == 'i' && !folds_alike(t, t->at + 4))
                        return refuse(t, 4, "letters that fold to one character");
                copy(t, strlen(known[i]));
                return SCOPE_OK;
        }
        return refuse(t, 4, "a group of this kind");
}

/* {n}, {n,}, {n,m}, not followed by "?" or "+". */
static enum scope_err translate_count(struct translator *t)
{
        size_t end = t->at + 1, commas = 0;
        while (end < t->bytes && ((t->text[end] >= '0' && t->text[end] <= '9')
                || (t->text[end] == ',' && end > t->at + 1 && commas++ == 0)))
                end++;
        if (end == t->at + 1 || end >= t->bytes || t->text[end] != '}')
                return refuse(t, 4, "not a count; write \\{ for the character");
        if (end + 1 < t->bytes && (t->text[end + 1] == '?' || t->text[end + 1] == '+'))
                return refuse(t, end + 2 - t->at, "its meaning differs between engines");
        copy(t, end + 1 - t->at);
        return SCOPE_OK;
}

static enum scope_err translate_one(struct translator *t)
{
        char c = t->text[t->at];
        if (c == '\\')
                return translate_escape(t);
        if (t->in_class)
                return translate_in_class(t);
        if (c == '^' || c == '$' || c == 0)
                return refuse(t, 1, "its meaning differs between engines");
        if (c == '(')
                return translate_group(t);
        if (c == '{')
                return translate_count(t);
        if (c == '[') {
                t->in_class = true;
                t->class_begin = t->at + (ahead(t, "[^") ? 2 : 1);
                copy(t, t->class_begin - t->at);
                return SCOPE_OK;
        }
        copy(t, 1);
        return SCOPE_OK;
}

enum scope_err scope_pattern_translate(
        const char *text, size_t bytes, struct scope_text *ret_pattern, struct scope_diag *diag)
{
        struct translator t = { .text = text, .bytes = bytes, .out = ret_pattern, .diag = diag };
        enum scope_err err = SCOPE_OK;
        while (err == SCOPE_OK && t.at < bytes)
                err = translate_one(&t);
        return err;
}
