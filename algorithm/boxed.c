#include "algorithm/boxed.h"

#include <stddef.h>
#include <string.h>

#include "base/limits.h"
#include "schemas/scope_string.h"

/* Length of a box command at `at`, or 0. A backslash that is itself escaped begins no command. */
static uint32_t box_command(struct scope_string text, uint32_t at)
{
        static const char *const commands[] = { "\\boxed", "\\fbox" };
        if (text.at[at] != '\\')
                return 0;
        for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
                uint32_t bytes = (uint32_t)strlen(commands[i]);
                if (!scope_string_begins(text, at, commands[i]))
                        continue;
                if (at + bytes < text.bytes && scope_is_letter(text.at[at + bytes]))
                        continue;
                uint32_t slashes = 0;
                while (slashes < at && text.at[at - slashes - 1] == '\\')
                        slashes++;
                return slashes % 2 == 0 ? bytes : 0;
        }
        return 0;
}

uint32_t scope_boxed_count(struct scope_string text)
{
        uint32_t count = 0;
        for (uint32_t i = 0; i < text.bytes; i++)
                count += box_command(text, i) != 0;
        return count;
}

uint32_t scope_boxed_first(struct scope_string text)
{
        uint32_t i = 0;
        while (i < text.bytes && box_command(text, i) == 0)
                i++;
        return i;
}

struct scope_string scope_boxed_skip_reasoning(struct scope_string text)
{
        static const char *const tags[] = { "</think>", "</reasoning>" };
        for (uint32_t i = text.bytes; i-- > 0;) {
                for (size_t k = 0; k < sizeof tags / sizeof *tags; k++) {
                        uint32_t end = i + (uint32_t)strlen(tags[k]);
                        if (text.at[i] == '<' && scope_string_begins(text, i, tags[k]))
                                return (struct scope_string){ text.at + end, text.bytes - end };
                }
        }
        return text;
}

uint32_t scope_boxed_close(struct scope_string text, uint32_t open)
{
        uint32_t depth = 0;
        for (uint32_t i = open; i < text.bytes; i++) {
                if (text.at[i] == '\\')
                        i++;
                else if (text.at[i] == '{')
                        depth++;
                else if (text.at[i] == '}' && --depth == 0)
                        return i;
        }
        return text.bytes;
}

/* End of an argument without braces of its own: up to white space, a dollar or a closing brace of
 * the surrounding text. text.bytes + 1 when a brace inside it never closes. */
static uint32_t bare_end(struct scope_string text, uint32_t at)
{
        uint32_t i = at;
        while (i < text.bytes && !scope_is_space(text.at[i]) && text.at[i] != '$' &&
                text.at[i] != '}') {
                if (text.at[i] == '{') {
                        i = scope_boxed_close(text, i);
                        if (i == text.bytes)
                                return text.bytes + 1;
                } else if (text.at[i] == '\\' && i + 1 < text.bytes) {
                        i++;
                }
                i++;
        }
        return i;
}

/* Trims, and accepts what is neither empty nor over the limit. */
static bool accept(const char *at, uint32_t bytes, struct scope_string *ret_answer)
{
        struct scope_string text = scope_string_trim((struct scope_string){ at, bytes });
        if (text.bytes == 0 || text.bytes > SCOPE_ANSWER_BYTES_MAX)
                return false;
        *ret_answer = text;
        return true;
}

bool scope_boxed_find(struct scope_string response, struct scope_string *ret_answer)
{
        struct scope_string text = scope_boxed_skip_reasoning(response);
        uint32_t at = text.bytes, command = 0;
        while (at > 0 && command == 0)
                command = box_command(text, --at);
        if (command == 0)
                return false;
        at += command; /* a box inside a box begins later, so the innermost one was found */
        while (at < text.bytes && scope_is_space(text.at[at]))
                at++;
        if (at == text.bytes)
                return false;
        bool braced = text.at[at] == '{';
        uint32_t end = braced ? scope_boxed_close(text, at) : bare_end(text, at);
        at += braced;
        if (end > text.bytes || (braced && end == text.bytes))
                return false;
        return accept(text.at + at, end - at, ret_answer);
}

/* A byte that may stand inside a number whose digit follows at `at + 1`. */
static bool joins_number(struct scope_string text, uint32_t at)
{
        char c = text.at[at];
        if (c == ',') /* of thousands only */
                return at + 3 < text.bytes && scope_is_digit(text.at[at + 1]) &&
                        scope_is_digit(text.at[at + 2]) && scope_is_digit(text.at[at + 3]) &&
                        (at + 4 == text.bytes || !scope_is_digit(text.at[at + 4]));
        return c == '.' || c == '/';
}

bool scope_boxed_last_number(struct scope_string response, struct scope_string *ret_answer)
{
        struct scope_string text = scope_boxed_skip_reasoning(response);
        uint32_t end = text.bytes;
        while (end > 0 && !scope_is_digit(text.at[end - 1]))
                end--;
        if (end == 0)
                return false;
        uint32_t at = end - 1;
        while (at > 0 && (scope_is_digit(text.at[at - 1]) || joins_number(text, at - 1)))
                at--;
        while (!scope_is_digit(text.at[at]) && text.at[at] != '.')
                at++;
        if (at > 0 && text.at[at - 1] == '-') {
                char before = at > 1 ? text.at[at - 2] : ' ';
                if (!scope_is_digit(before) && !scope_is_letter(before) && before != ')')
                        at--;
        }
        return accept(text.at + at, end - at, ret_answer);
}
