/* The equation checker on arbitrary bytes: what is in bounds, and that a text has the equations of
 * its lines. */
#include <stdint.h>
#include <string.h>

#include "algorithm/equations.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size < 1 || size > 8192)
                return 0;
        struct scope_string text = { (const char *)data, (uint32_t)size };
        struct scope_equations all = scope_equations_check(text), parts = { 0 };
        for (uint32_t begin = 0, end; begin < text.bytes; begin = end) {
                const char *newline = memchr(text.at + begin, '\n', text.bytes - begin);
                end = newline != NULL ? (uint32_t)(newline - text.at) + 1 : text.bytes;
                struct scope_equations one = scope_equations_check(
                        (struct scope_string){ text.at + begin, end - begin });
                parts.right += one.right;
                parts.wrong += one.wrong;
                parts.unjudged += one.unjudged;
        }
        scope_assert(parts.right == all.right && parts.wrong == all.wrong &&
                parts.unjudged == all.unjudged);
        uint32_t ends[2] = { text.bytes / 2, text.bytes };
        float p[2];
        scope_equations_judge(text, ends, 2, p);
        scope_assert((p[0] == 0 || p[0] == 1) && (p[1] == 0 || p[1] == 1));
        return 0;
}
