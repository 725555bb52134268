#include "base/base64.h"

#include <stdint.h>
#include <string.h>

#include "base/text.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void add(struct scope_text *text, const void *bytes, size_t count)
{
        enum { CHUNK = 192 }; /* of bytes; whole groups of three */
        const uint8_t *data = bytes;
        char chunk[CHUNK / 3 * 4];
        for (size_t at = 0; at < count; at += CHUNK) {
                size_t left = count - at < CHUNK ? count - at : CHUNK, made = 0;
                for (size_t i = at; i < at + left; i += 3) {
                        size_t some = at + left - i < 3 ? at + left - i : 3;
                        uint32_t word = (uint32_t)data[i] << 16;
                        word |= some > 1 ? (uint32_t)data[i + 1] << 8 : 0;
                        word |= some > 2 ? (uint32_t)data[i + 2] : 0;
                        chunk[made++] = digits[word >> 18 & 63];
                        chunk[made++] = digits[word >> 12 & 63];
                        chunk[made++] = some > 1 ? digits[word >> 6 & 63] : '=';
                        chunk[made++] = some > 2 ? digits[word & 63] : '=';
                }
                scope_text_add(text, chunk, made);
        }
}

void scope_json_base64(struct scope_text *text, const char *key, const void *bytes, size_t count)
{
        scope_json_raw(text, key, "\"", 1);
        add(text, bytes, count);
        scope_text_add(text, "\"", 1);
}

static uint32_t sextet(char c)
{
        const char *found = c != 0 ? strchr(digits, c) : NULL;
        return found != NULL ? (uint32_t)(found - digits) : 64;
}

bool scope_base64_decode(
        const char *at, size_t count, void *ret_bytes, size_t max, size_t *ret_count)
{
        uint8_t *bytes = ret_bytes;
        size_t made = 0, pad = 0;
        if (count % 4 != 0)
                return false;
        while (count > 0 && pad < 2 && at[count - 1 - pad] == '=')
                pad++;
        if (count / 4 * 3 - pad > max)
                return false;
        for (size_t i = 0; i < count; i += 4) {
                uint32_t word = 0;
                for (size_t j = i; j < i + 4; j++) {
                        uint32_t six = j + pad >= count ? 0 : sextet(at[j]);
                        if (six == 64)
                                return false;
                        word = word << 6 | six;
                }
                for (int j = 16; j >= 0 && made < count / 4 * 3 - pad; j -= 8)
                        bytes[made++] = (uint8_t)(word >> j & 255);
        }
        *ret_count = made;
        return true;
}
