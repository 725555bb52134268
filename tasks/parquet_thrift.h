/* parquet_thrift.h - Thrift's compact protocol, as far as a Parquet footer needs it.
 * Why: what stands around the data of a Parquet file is written in it, and comes from outside.
 * (1) Nothing is read beyond `end`; after a fault everything gives 0 and `failed` stays set.
 * (2) Nesting is bounded. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum scope_thrift_type { /* the numbers of the protocol */
        SCOPE_THRIFT_STOP = 0,
        SCOPE_THRIFT_TRUE = 1,
        SCOPE_THRIFT_FALSE = 2,
        SCOPE_THRIFT_I8 = 3,
        SCOPE_THRIFT_I16 = 4,
        SCOPE_THRIFT_I32 = 5,
        SCOPE_THRIFT_I64 = 6,
        SCOPE_THRIFT_DOUBLE = 7,
        SCOPE_THRIFT_BINARY = 8,
        SCOPE_THRIFT_LIST = 9,
        SCOPE_THRIFT_SET = 10,
        SCOPE_THRIFT_MAP = 11,
        SCOPE_THRIFT_STRUCT = 12,
};

struct scope_thrift {
        const uint8_t *at, *end;
        bool failed;
        uint32_t depth;
};

struct scope_thrift_field {
        int32_t id;
        uint8_t type; /* enum scope_thrift_type */
};

uint64_t scope_thrift_varint(struct scope_thrift *thrift);
int64_t scope_thrift_integer(struct scope_thrift *thrift); /* zigzag: I16, I32, I64 */
/* Bytes of a BINARY, inside the buffer. */
const uint8_t *scope_thrift_binary(struct scope_thrift *thrift, size_t *ret_bytes);
/* The next field of a struct; false at its end. `field` begins with id 0. */
bool scope_thrift_next(struct scope_thrift *thrift, struct scope_thrift_field *field);
/* Elements of a list of `type`; a list of others, or longer than what is left, is a fault. */
uint64_t scope_thrift_list(struct scope_thrift *thrift, enum scope_thrift_type type);
/* The value of a field that nobody wants. */
void scope_thrift_skip(struct scope_thrift *thrift, uint8_t type);
