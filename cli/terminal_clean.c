/* terminal_clean.c - text from outside made harmless and countable. */
#include <string.h>

#include "cli/terminal.h"
#include "cli/terminal_internal.h"

struct character {
        uint32_t code; /* of a valid sequence */
        unsigned bytes;
        bool valid;
};

/* RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF. */
static struct character decode(const unsigned char *at, size_t count)
{
        static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
        unsigned bytes = at[0] < 0x80 ? 1 : at[0] >> 5 == 6 ? 2 : at[0] >> 4 == 14 ? 3 : 4;
        struct character bad = { .code = at[0], .bytes = 1 };
        if (bytes == 1)
                return (struct character){ at[0], 1, true };
        if (bytes > count || (bytes == 4 && at[0] >> 3 != 30))
                return bad;
        uint32_t code = at[0] & (0x7fu >> bytes);
        for (unsigned i = 1; i < bytes; i++) {
                if (at[i] >> 6 != 2)
                        return bad;
                code = code << 6 | (at[i] & 0x3fu);
        }
        if (code < least[bytes] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
                return bad;
        return (struct character){ code, bytes, true };
}

/* Moves the cursor, turns the writing direction, or cannot be seen: never printed as it is. */
static bool is_hidden(uint32_t code)
{
        return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xad || code == 0x61c ||
                (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
                (code >= 0x2060 && code <= 0x206f) || code == 0xfeff ||
                (code >= 0xfff9 && code <= 0xfffb) || (code >= 0xe0000 && code <= 0xe0fff);
}

/* Terminals give East Asian characters and most pictures two columns, combining marks none. */
static unsigned columns_of(uint32_t code)
{
        if ((code >= 0x300 && code < 0x370) || (code >= 0x20d0 && code < 0x2100) ||
                (code >= 0xfe00 && code < 0xfe10))
                return 0;
        if ((code >= 0x1100 && code < 0x1160) || (code >= 0x2e80 && code < 0xa4d0) ||
                (code >= 0xac00 && code < 0xd7a4) || (code >= 0xf900 && code < 0xfb00) ||
                (code >= 0xfe30 && code < 0xfe70) || (code >= 0xff00 && code < 0xff61) ||
                (code >= 0xffe0 && code < 0xffe7) || (code >= 0x1f300 && code < 0x1fb00) ||
                (code >= 0x20000 && code < 0x40000))
                return 2;
        return 1;
}

/* One character as it will stand there: at most 12 bytes. Returns its columns. */
static unsigned render(const struct scope_terminal_style *style, struct character c,
        const unsigned char *at, char out[16])
{
        if (!c.valid)
                return (unsigned)snprintf(out, 16, "\\x%02x", c.code);
        if (c.code == '\n') {
                (void)snprintf(out, 16, "%s", scope_terminal_sign(style, "⏎", "|"));
                return 1;
        }
        if (c.code == '\t') {
                (void)snprintf(out, 16, " ");
                return 1;
        }
        if (c.code < 0x80 && is_hidden(c.code))
                return (unsigned)snprintf(out, 16, "\\x%02x", c.code);
        if (is_hidden(c.code) || (!style->unicode && c.code >= 0x80))
                return (unsigned)snprintf(
                        out, 16, c.code > 0xffff ? "\\U%08x" : "\\u%04x", c.code);
        memcpy(out, at, c.bytes);
        out[c.bytes] = 0;
        return columns_of(c.code);
}

void scope_terminal_clean(struct scope_text *text, const struct scope_terminal_style *style,
        struct scope_terminal_words words, unsigned columns_max)
{
        const char *ellipsis = scope_terminal_sign(style, "…", "...");
        unsigned spare = style->unicode ? 1 : 3, used = 0, columns;
        size_t fits = text->count; /* up to where the ellipsis would still fit behind it */
        char out[16];
        for (size_t i = 0; i < words.count;) {
                const unsigned char *at = (const unsigned char *)words.bytes + i;
                struct character c = decode(at, words.count - i);
                columns = render(style, c, at, out);
                if (used + columns > columns_max) {
                        if (columns_max < spare || text->failed)
                                return;
                        text->count = fits;
                        scope_text_string(text, ellipsis);
                        return;
                }
                scope_text_string(text, out);
                used += columns;
                if (used + spare <= columns_max)
                        fits = text->count;
                i += c.bytes;
        }
}

unsigned scope_terminal_columns(const char *string)
{
        unsigned columns = 0;
        const unsigned char *at = (const unsigned char *)string;
        while (*at != 0) {
                if (at[0] == 0x1b && at[1] == '[') { /* a colour: up to its "m" */
                        while (*at != 0 && *at != 'm')
                                at++;
                        at += *at != 0;
                        continue;
                }
                struct character c = decode(at, strlen((const char *)at));
                columns += columns_of(c.code);
                at += c.bytes;
        }
        return columns;
}
