/* record_kind.h - what a record is made of, as rows. Inside schemas/ only.
 * Why tables: twelve records and eight parts of them share one encoder and one decoder
 * (codec_flatbuffers.cc), so that a bound or a check is written once. A row says where a field
 * stands in the C struct and on the wire, how long it may be and what its values must satisfy;
 * what ties several fields together is the `meaning` function. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "schemas/codec.h"

#ifdef __cplusplus
extern "C" {
#endif

enum scope_field_type {
        SCOPE_FIELD_U8,
        SCOPE_FIELD_BOOL,
        SCOPE_FIELD_U32,
        SCOPE_FIELD_U64,
        SCOPE_FIELD_F32,
        SCOPE_FIELD_F64,
        SCOPE_FIELD_TEXT, /* this and what follows are not kept in the table itself */
        SCOPE_FIELD_U32S,
        SCOPE_FIELD_U64S,
        SCOPE_FIELD_F32S,
        SCOPE_FIELD_PARTS, /* an array of other records */
};

/* What every value of a field must satisfy. Floating point must be finite in any case. */
enum scope_field_rule {
        SCOPE_RULE_ANY,
        SCOPE_RULE_AT_MOST, /* `max`; of arrays and texts it bounds the length, with any rule */
        SCOPE_RULE_TOKEN,   /* < vocabulary */
        SCOPE_RULE_SAMPLE,  /* < G */
        SCOPE_RULE_VERSION, /* <= newest version known */
        SCOPE_RULE_RISING,  /* each larger than the one before */
        SCOPE_RULE_NOT_FALLING,
        SCOPE_RULE_NOT_POSITIVE,
        SCOPE_RULE_NOT_NEGATIVE,
        SCOPE_RULE_PROBABILITY, /* 0..1 */
};

/* The length of an array against its count field. */
enum scope_field_length {
        SCOPE_LENGTH_OWN,          /* it fills the count field */
        SCOPE_LENGTH_SAME,         /* an earlier row filled it: equal */
        SCOPE_LENGTH_SAME_OR_NONE, /* equal, or NULL */
};

struct scope_record_field {
        uint8_t type, rule, length; /* the enums above */
        uint16_t at, count_at;      /* bytes into the C struct */
        uint16_t slot;              /* FlatBuffers vtable offset */
        uint32_t max;
        const struct scope_record_kind *part;
};

enum { SCOPE_RECORD_FIELDS_MAX = 20 };

struct scope_record_kind {
        char identifier[5]; /* of the buffer; empty for parts */
        uint32_t field_count, bytes;
        const struct scope_record_field *fields;
        bool (*meaning)(
                const void *record, const struct scope_codec_limits *limits); /* may be NULL */
};

#define X(name) extern const struct scope_record_kind scope_##name##_kind;
SCOPE_RECORD_MAP(X)
#undef X

#ifdef __cplusplus
}
#endif
