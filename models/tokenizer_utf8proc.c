/* tokenizer_utf8proc.c - form C: decompose, order marks by class, compose. Only around characters
 * that may change; the rest of the text is copied. utf8proc's own ordering moves marks one place at
 * a time, n squared on a hostile text, so ordering is ours. */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/text.h"
#include "base/utf8.h"
#include "models/tokenizer_normalise.h"

enum { DECOMPOSED_MAX = 32, FEW = 24 };

/* Starters that no normalisation changes and that never join what stands before them: the most
 * frequent ones, not all (tests/models/test_tokenizer_unicode.c checks them against utf8proc). */
bool scope_nfc_is_safe(uint32_t c)
{
        static const uint32_t ranges[][2] = { { 0x400, 0x482 }, { 0x5d0, 0x5ea }, { 0x621, 0x64a },
                { 0xe01, 0xe30 }, { 0x10d0, 0x10fa }, { 0x2010, 0x2027 }, { 0x2030, 0x205e },
                { 0x2190, 0x22ff }, { 0x2500, 0x27ff }, { 0x3001, 0x3029 }, { 0x3041, 0x3096 },
                { 0x30a0, 0x30ff }, { 0x3400, 0x4dbf }, { 0x4e00, 0x9fff }, { 0xac00, 0xd7a3 },
                { 0xfe0f, 0xfe0f }, { 0xff01, 0xffbe }, { 0xfffd, 0xfffd }, { 0x1f300, 0x1faff } };
        if (c < 0x300)
                return true;
        for (size_t i = 0; i < sizeof ranges / sizeof *ranges && c >= ranges[i][0]; i++)
                if (c <= ranges[i][1])
                        return true;
        return false;
}

/* Skips what is safe; where it stops, or `bytes`. ret_last: where the last safe one begins. */
static size_t skip_safe(const uint8_t *at, size_t from, size_t bytes, size_t *ret_last)
{
        uint32_t count;
        while (from < bytes) {
                if (at[from] >= 0xcc && !scope_nfc_is_safe(scope_utf8_character(at + from, &count)))
                        break;
                *ret_last = from;
                from += at[from] < 0x80 ? 1 : at[from] < 0xe0 ? 2 : at[from] < 0xf0 ? 3 : 4;
        }
        return from;
}

bool scope_nfc_quick(const uint8_t *at, size_t bytes)
{
        size_t last;
        return skip_safe(at, 0, bytes, &last) == bytes;
}

struct points {
        utf8proc_int32_t *at, *spare; /* spare: as large, while ordering */
        size_t count, capacity;
};

static uint32_t class_of(utf8proc_int32_t point)
{
        return (uint32_t)utf8proc_get_property(point)->combining_class;
}

/* Marks [begin, end) by class, equals in their order. */
static void order_marks(struct points *points, size_t begin, size_t end)
{
        size_t starts[257] = { 0 };
        if (end - begin <= FEW) {
                for (size_t i = begin + 1; i < end; i++) {
                        utf8proc_int32_t point = points->at[i];
                        size_t place = i;
                        for (; place > begin && class_of(points->at[place - 1]) > class_of(point);
                                place--)
                                points->at[place] = points->at[place - 1];
                        points->at[place] = point;
                }
                return;
        }
        for (size_t i = begin; i < end; i++)
                starts[(class_of(points->at[i]) & 255) + 1]++;
        for (size_t i = 1; i < 257; i++)
                starts[i] += starts[i - 1];
        for (size_t i = begin; i < end; i++)
                points->spare[starts[class_of(points->at[i]) & 255]++] = points->at[i];
        memcpy(points->at + begin, points->spare, (end - begin) * sizeof *points->at);
}

static void order(struct points *points)
{
        for (size_t i = 0; i < points->count;) {
                size_t end = i;
                while (end < points->count && class_of(points->at[end]) != 0)
                        end++;
                if (end - i > 1)
                        order_marks(points, i, end);
                i = end > i ? end : i + 1;
        }
}

static bool reserve(struct points *points)
{
        if (points->capacity - points->count >= DECOMPOSED_MAX)
                return true;
        size_t capacity = 2 * points->capacity + 8 * DECOMPOSED_MAX;
        utf8proc_int32_t *at = realloc(points->at, capacity * sizeof *at);
        if (at != NULL)
                points->at = at;
        utf8proc_int32_t *spare = realloc(points->spare, capacity * sizeof *spare);
        if (spare != NULL)
                points->spare = spare;
        if (at == NULL || spare == NULL)
                return false;
        points->capacity = capacity;
        return true;
}

/* Form C of one stretch. */
static enum scope_err compose(
        const uint8_t *at, size_t bytes, struct points *points, struct scope_text *ret_text)
{
        points->count = 0;
        for (size_t i = 0; i < bytes;) {
                uint32_t count;
                utf8proc_int32_t point = (utf8proc_int32_t)scope_utf8_character(at + i, &count);
                if (!reserve(points))
                        return SCOPE_ERR_MEMORY;
                int boundary = 0;
                utf8proc_ssize_t made = utf8proc_decompose_char(point, points->at + points->count,
                        DECOMPOSED_MAX, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, &boundary);
                if (made < 0 || made > DECOMPOSED_MAX)
                        return SCOPE_ERR_MEMORY; /* no character is that long */
                points->count += (size_t)made;
                i += count;
        }
        order(points);
        utf8proc_ssize_t composed = utf8proc_normalize_utf32(points->at,
                (utf8proc_ssize_t)points->count, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
        for (utf8proc_ssize_t i = 0; i < composed; i++) {
                utf8proc_uint8_t character[4];
                utf8proc_ssize_t count = utf8proc_encode_char(points->at[i], character);
                scope_text_add(ret_text, (const char *)character, (size_t)count);
        }
        return SCOPE_OK;
}

enum scope_err scope_nfc(const uint8_t *at, size_t bytes, struct scope_text *ret_text)
{
        struct points points = { 0 };
        enum scope_err err = SCOPE_OK;
        size_t from = 0;
        while (from < bytes && err == SCOPE_OK) {
                size_t begin = from, end = skip_safe(at, from, bytes, &begin);
                if (end == bytes)
                        begin = bytes; /* the last safe one joins with what follows it: nothing */
                scope_text_add(ret_text, (const char *)at + from, begin - from);
                uint32_t count;
                while (end < bytes && !scope_nfc_is_safe(scope_utf8_character(at + end, &count)))
                        end += count;
                if (begin < end)
                        err = compose(at + begin, end - begin, &points, ret_text);
                from = end;
        }
        free(points.at);
        free(points.spare);
        return err;
}
