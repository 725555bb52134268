#include "tasks/parquet_thrift.h"

enum { DEPTH_MAX = 32 };

static uint8_t byte_of(struct scope_thrift *thrift)
{
        if (thrift->failed || thrift->at == thrift->end) {
                thrift->failed = true;
                return 0;
        }
        return *thrift->at++;
}

uint64_t scope_thrift_varint(struct scope_thrift *thrift)
{
        uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
                uint8_t byte = byte_of(thrift);
                value |= (uint64_t)(byte & 0x7f) << shift;
                if ((byte & 0x80) == 0)
                        return thrift->failed ? 0 : value;
        }
        thrift->failed = true;
        return 0;
}

int64_t scope_thrift_integer(struct scope_thrift *thrift)
{
        uint64_t value = scope_thrift_varint(thrift);
        return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

const uint8_t *scope_thrift_binary(struct scope_thrift *thrift, size_t *ret_bytes)
{
        uint64_t bytes = scope_thrift_varint(thrift);
        *ret_bytes = 0;
        if (thrift->failed || bytes > (uint64_t)(thrift->end - thrift->at)) {
                thrift->failed = true;
                return thrift->end;
        }
        const uint8_t *at = thrift->at;
        thrift->at += bytes;
        *ret_bytes = (size_t)bytes;
        return at;
}

bool scope_thrift_next(struct scope_thrift *thrift, struct scope_thrift_field *field)
{
        uint8_t head = byte_of(thrift);
        if (thrift->failed || (head & 15) == SCOPE_THRIFT_STOP)
                return false;
        field->type = head & 15;
        if (head >> 4 != 0)
                field->id += head >> 4;
        else
                field->id = (int32_t)(scope_thrift_integer(thrift) & 0xffff);
        return !thrift->failed;
}

static uint64_t list_of(struct scope_thrift *thrift, uint8_t *ret_type)
{
        uint8_t head = byte_of(thrift);
        uint64_t count = head >> 4;
        *ret_type = head & 15;
        if (count == 15)
                count = scope_thrift_varint(thrift);
        if (count > (uint64_t)(thrift->end - thrift->at)) /* one byte each, at least */
                thrift->failed = true;
        return thrift->failed ? 0 : count;
}

uint64_t scope_thrift_list(struct scope_thrift *thrift, enum scope_thrift_type type)
{
        uint8_t found;
        uint64_t count = list_of(thrift, &found);
        if (count > 0 && found != type)
                thrift->failed = true;
        return thrift->failed ? 0 : count;
}

static void skip_bytes(struct scope_thrift *thrift, size_t bytes)
{
        if (bytes > (size_t)(thrift->end - thrift->at))
                thrift->failed = true;
        else
                thrift->at += bytes;
}

/* A map: keys and values in turn; a list, a set: `count` elements of one type. */
static void skip_elements(struct scope_thrift *thrift, uint8_t type)
{
        uint8_t element, other;
        if (type != SCOPE_THRIFT_MAP) {
                uint64_t count = list_of(thrift, &element);
                for (uint64_t i = 0; i < count && !thrift->failed; i++)
                        if (element <= SCOPE_THRIFT_FALSE)
                                skip_bytes(thrift, 1); /* in a list a boolean is a byte */
                        else
                                scope_thrift_skip(thrift, element);
                return;
        }
        uint64_t count = scope_thrift_varint(thrift);
        if (count == 0)
                return;
        element = byte_of(thrift);
        other = element & 15;
        element >>= 4;
        for (uint64_t i = 0; i < 2 * count && !thrift->failed; i++) {
                uint8_t one = i % 2 == 0 ? element : other;
                if (one <= SCOPE_THRIFT_FALSE)
                        skip_bytes(thrift, 1);
                else
                        scope_thrift_skip(thrift, one);
        }
}

void scope_thrift_skip(struct scope_thrift *thrift, uint8_t type)
{
        struct scope_thrift_field field = { 0 };
        size_t bytes;
        if (thrift->failed || ++thrift->depth > DEPTH_MAX) {
                thrift->failed = true;
                return;
        }
        switch (type) {
        case SCOPE_THRIFT_TRUE:
        case SCOPE_THRIFT_FALSE:
                break;
        case SCOPE_THRIFT_I8:
                skip_bytes(thrift, 1);
                break;
        case SCOPE_THRIFT_I16:
        case SCOPE_THRIFT_I32:
        case SCOPE_THRIFT_I64:
                (void)scope_thrift_varint(thrift);
                break;
        case SCOPE_THRIFT_DOUBLE:
                skip_bytes(thrift, 8);
                break;
        case SCOPE_THRIFT_BINARY:
                (void)scope_thrift_binary(thrift, &bytes);
                break;
        case SCOPE_THRIFT_LIST:
        case SCOPE_THRIFT_SET:
        case SCOPE_THRIFT_MAP:
                skip_elements(thrift, type);
                break;
        case SCOPE_THRIFT_STRUCT:
                while (scope_thrift_next(thrift, &field))
                        scope_thrift_skip(thrift, field.type);
                break;
        default:
                thrift->failed = true;
                break;
        }
        thrift->depth--;
}
