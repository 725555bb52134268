#include "base/bytes.h"

#include "base/check.h"

struct scope_bytes scope_bytes_make(const void *data, size_t count)
{
        scope_assert(data != NULL || count == 0);
        return (struct scope_bytes){ .data = data, .count = count };
}

size_t scope_bytes_left(const struct scope_bytes *bytes)
{
        scope_assert(bytes->at <= bytes->count);
        return bytes->failed ? 0 : bytes->count - bytes->at;
}

const uint8_t *scope_bytes_take(struct scope_bytes *bytes, uint64_t count)
{
        if (bytes->failed || count > scope_bytes_left(bytes)) {
                bytes->failed = true;
                return NULL;
        }
        const uint8_t *taken = bytes->data + bytes->at;
        bytes->at += (size_t)count;
        return taken;
}

static uint64_t number(struct scope_bytes *bytes, unsigned width)
{
        const uint8_t *taken = scope_bytes_take(bytes, width);
        uint64_t value = 0;
        for (unsigned i = width; taken != NULL && i > 0; i--)
                value = value << 8 | taken[i - 1];
        return value;
}

uint8_t scope_bytes_u8(struct scope_bytes *bytes)
{
        return (uint8_t)number(bytes, 1);
}

uint16_t scope_bytes_u16(struct scope_bytes *bytes)
{
        return (uint16_t)number(bytes, 2);
}

uint32_t scope_bytes_u32(struct scope_bytes *bytes)
{
        return (uint32_t)number(bytes, 4);
}

uint64_t scope_bytes_u64(struct scope_bytes *bytes)
{
        return number(bytes, 8);
}
