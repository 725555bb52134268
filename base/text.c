#include "base/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/utf8.h"

static bool reserve(struct scope_text *text, size_t more)
{
        size_t limit = text->limit != 0 ? text->limit : SIZE_MAX / 2;
        if (text->failed || more >= limit || text->count > limit - more - 1) {
                text->failed = true;
                return false;
        }
        size_t need = text->count + more + 1;
        if (need <= text->capacity)
                return true;
        size_t capacity = text->capacity != 0 ? text->capacity : 256;
        while (capacity < need)
                capacity *= 2;
        char *bytes = realloc(text->bytes, capacity);
        if (bytes == NULL) {
                text->failed = true;
                return false;
        }
        text->bytes = bytes;
        text->capacity = capacity;
        return true;
}

void scope_text_add(struct scope_text *text, const char *bytes, size_t count)
{
        if (!reserve(text, count))
                return;
        if (count != 0)
                memcpy(text->bytes + text->count, bytes, count);
        text->count += count;
        text->bytes[text->count] = 0;
}

void scope_text_string(struct scope_text *text, const char *string)
{
        scope_text_add(text, string, strlen(string));
}

void scope_text_format(struct scope_text *text, const char *format, ...)
{
        va_list args, again;
        va_start(args, format);
        va_copy(again, args);
        int count = vsnprintf(NULL, 0, format, args);
        va_end(args);
        if (count >= 0 && reserve(text, (size_t)count)) {
                (void)vsnprintf(text->bytes + text->count, (size_t)count + 1, format, again);
                text->count += (size_t)count;
        }
        va_end(again);
}

void scope_text_clear(struct scope_text *text)
{
        text->count = 0;
        text->failed = false;
        text->depth = 0;
        text->first_bits = 0;
        if (text->bytes != NULL)
                text->bytes[0] = 0;
}

void scope_text_fini(struct scope_text *text)
{
        free(text->bytes);
        *text = (struct scope_text){ 0 };
}

static void json_string(struct scope_text *text, const char *value, size_t count)
{
        const unsigned char *at = (const unsigned char *)value;
        scope_text_add(text, "\"", 1);
        size_t plain = 0;
        for (size_t i = 0; i < count;) {
                size_t sequence = scope_utf8_sequence(at + i, count - i);
                if (sequence > 1 ||
                        (sequence == 1 && at[i] >= 0x20 && at[i] != '"' && at[i] != '\\')) {
                        i += sequence;
                        continue;
                }
                scope_text_add(text, value + plain, i - plain);
                if (sequence == 0)
                        scope_text_string(text, "\\ufffd");
                else if (at[i] == '"' || at[i] == '\\')
                        scope_text_format(text, "\\%c", at[i]);
                else if (at[i] == '\n')
                        scope_text_string(text, "\\n");
                else if (at[i] == '\t')
                        scope_text_string(text, "\\t");
                else
                        scope_text_format(text, "\\u%04x", at[i]);
                plain = ++i;
        }
        scope_text_add(text, value + plain, count - plain);
        scope_text_add(text, "\"", 1);
}

static void json_begin(struct scope_text *text, const char *key)
{
        uint64_t bit = (uint64_t)1 << text->depth;
        if (text->depth != 0 && (text->first_bits & bit) == 0)
                scope_text_add(text, ",", 1);
        text->first_bits &= ~bit;
        if (key != NULL) {
                json_string(text, key, strlen(key));
                scope_text_add(text, ":", 1);
        }
}

void scope_json_open(struct scope_text *text, const char *key, char bracket)
{
        scope_assert(text->depth < 62);
        json_begin(text, key);
        scope_text_add(text, &bracket, 1);
        text->depth++;
        text->first_bits |= (uint64_t)1 << text->depth;
}

void scope_json_close(struct scope_text *text, char bracket)
{
        scope_assert(text->depth > 0);
        text->depth--;
        scope_text_add(text, &bracket, 1);
}

void scope_json_bytes(struct scope_text *text, const char *key, const char *value, size_t count)
{
        json_begin(text, key);
        json_string(text, value, count);
}

void scope_json_text(struct scope_text *text, const char *key, const char *value)
{
        scope_json_bytes(text, key, value, strlen(value));
}

void scope_json_double(struct scope_text *text, const char *key, double value)
{
        char digits[40];
        json_begin(text, key);
        if (!isfinite(value)) {
                scope_text_string(text, "null");
                return;
        }
        for (int precision = 6; precision <= 17; precision++) {
                (void)snprintf(digits, sizeof digits, "%.*g", precision, value);
                if (strtod(digits, NULL) == value)
                        break;
        }
        scope_text_string(text, digits);
}

void scope_json_int(struct scope_text *text, const char *key, int64_t value)
{
        json_begin(text, key);
        scope_text_format(text, "%lld", (long long)value);
}

void scope_json_uint(struct scope_text *text, const char *key, uint64_t value)
{
        json_begin(text, key);
        scope_text_format(text, "%llu", (unsigned long long)value);
}

void scope_json_bool(struct scope_text *text, const char *key, bool value)
{
        json_begin(text, key);
        scope_text_string(text, value ? "true" : "false");
}

void scope_json_raw(struct scope_text *text, const char *key, const char *json, size_t count)
{
        json_begin(text, key);
        scope_text_add(text, json, count);
}
