#include "algorithm/steps.h"

#include <stdbool.h>

#include "base/check.h"
#include "schemas/scope_string.h"

/* End of the delimiter that begins with the newline at `at`; `at` when it is a lone newline. */
static uint32_t delimiter_end(struct scope_string text, uint32_t at)
{
        uint32_t newlines = 0, end = at;
        for (uint32_t i = at; i < text.bytes && scope_is_space(text.at[i]); i++) {
                if (text.at[i] != '\n')
                        continue;
                newlines++;
                end = i + 1;
        }
        return newlines >= 2 ? end : at;
}

uint32_t scope_steps_split(struct scope_string text, uint32_t *ret_ends, uint32_t capacity)
{
        scope_assert(capacity >= 1);
        uint32_t count = 0;
        bool solid = false; /* the open step has a visible byte */
        for (uint32_t i = 0; i < text.bytes;) {
                uint32_t end = text.at[i] == '\n' ? delimiter_end(text, i) : i;
                if (end == i) {
                        solid = solid || !scope_is_space(text.at[i]);
                        i++;
                        continue;
                }
                if (solid && count + 1 < capacity) {
                        ret_ends[count++] = end;
                        solid = false;
                }
                i = end;
        }
        if (solid)
                ret_ends[count++] = text.bytes;
        else if (count > 0)
                ret_ends[count - 1] = text.bytes;
        scope_assert(count <= capacity);
        return count;
}

struct scope_string scope_steps_text(struct scope_string text, const uint32_t *ends, uint32_t index)
{
        uint32_t begin = index > 0 ? ends[index - 1] : 0, end = ends[index];
        scope_assert(begin <= end && end <= text.bytes);
        while (begin < end && scope_is_space(text.at[begin]))
                begin++;
        while (end > begin && scope_is_space(text.at[end - 1]))
                end--;
        return (struct scope_string){ text.at + begin, end - begin };
}

enum scope_err scope_steps_token_ends(const uint32_t *ends, uint32_t count,
        const uint32_t *token_bytes, uint32_t token_count, uint32_t *ret_token_ends)
{
        uint64_t total = 0;
        for (uint32_t t = 0; t < token_count; t++)
                total += token_bytes[t];
        if (count > 0 && ends[count - 1] > total)
                return SCOPE_ERR_SHAPE;
        uint64_t covered = 0;
        uint32_t token = 0;
        for (uint32_t step = 0; step < count; step++) {
                scope_assert(step == 0 || ends[step] > ends[step - 1]);
                while (covered < ends[step])
                        covered += token_bytes[token++];
                ret_token_ends[step] = token;
        }
        return SCOPE_OK;
}
