#include "base/utf8.h"

#include <string.h>

#include "base/text.h"

/* What the second byte may be, by the first. */
static bool second_fits(uint8_t first, uint8_t second)
{
        uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
        uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
        return second >= low && second <= high;
}

static size_t promised(uint8_t first)
{
        if (first < 0x80)
                return 1;
        if (first < 0xc2 || first > 0xf4)
                return 0;
        return first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
}

size_t scope_utf8_sequence(const uint8_t *at, size_t left)
{
        size_t count = promised(at[0]);
        if (count <= 1)
                return count;
        if (count > left || !second_fits(at[0], at[1]))
                return 0;
        for (size_t i = 2; i < count; i++)
                if ((at[i] & 0xc0) != 0x80)
                        return 0;
        return count;
}

size_t scope_utf8_mistake(const uint8_t *at, size_t left, bool *ret_open)
{
        size_t count = promised(at[0]), good = 1;
        *ret_open = false;
        if (count < 2)
                return 1;
        while (good < count && good < left
                && (good == 1 ? second_fits(at[0], at[1]) : (at[good] & 0xc0) == 0x80))
                good++;
        *ret_open = good == left && good < count;
        return good;
}

bool scope_utf8_valid(const uint8_t *bytes, size_t count)
{
        for (size_t i = 0; i < count;) {
                uint64_t eight;
                if (count - i >= sizeof eight) {
                        memcpy(&eight, bytes + i, sizeof eight);
                        if ((eight & 0x8080808080808080u) == 0) {
                                i += sizeof eight;
                                continue;
                        }
                }
                size_t sequence = scope_utf8_sequence(bytes + i, count - i);
                if (sequence == 0)
                        return false;
                i += sequence;
        }
        return true;
}

void scope_utf8_repair(const uint8_t *bytes, size_t count, struct scope_text *text)
{
        size_t good = 0; /* from here to i: not yet appended */
        bool open;
        if (count == 0)
                return; /* bytes may be NULL then */
        for (size_t i = 0; i < count;) {
                size_t sequence = scope_utf8_sequence(bytes + i, count - i);
                if (sequence != 0) {
                        i += sequence;
                        continue;
                }
                scope_text_add(text, (const char *)bytes + good, i - good);
                scope_text_string(text, "\xef\xbf\xbd");
                i += scope_utf8_mistake(bytes + i, count - i, &open);
                good = i;
        }
        scope_text_add(text, (const char *)bytes + good, count - good);
}

uint32_t scope_utf8_character(const uint8_t *at, uint32_t *ret_bytes)
{
        if (at[0] < 0x80) {
                *ret_bytes = 1;
                return at[0];
        }
        if (at[0] < 0xe0) {
                *ret_bytes = 2;
                return (at[0] & 0x1fu) << 6 | (at[1] & 0x3fu);
        }
        if (at[0] < 0xf0) {
                *ret_bytes = 3;
                return (at[0] & 0xfu) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu);
        }
        *ret_bytes = 4;
        return (at[0] & 7u) << 18 | (at[1] & 0x3fu) << 12 | (at[2] & 0x3fu) << 6 | (at[3] & 0x3fu);
}
