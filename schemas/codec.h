/* codec.h - records to bytes and back.
 * Why: one place knows FlatBuffers; everything that arrives is verified before it is believed.
 * (1) encode writes one size-prefix-free FlatBuffer with its file identifier. (2) decode verifies
 * the buffer (depth, tables, bounds), then its meaning: lengths agree, token ids < vocabulary,
 * numbers finite, log-probabilities <= 0, enums known, segments and spans cover what they must. It
 * accepts or changes nothing. Rules for evolving the schema stand at the head of messages.fbs.
 * thread  any; encode uses one builder a thread and allocates only while it grows */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "schemas/records.h"

#ifdef __cplusplus
extern "C" {
#endif

struct scope_arena;

/* One row a record: SCOPE_RECORD_MAP(X) with X(name, struct). */
#define SCOPE_RECORD_MAP(X)                                                                        \
        X(prompt) X(lease) X(trajectory) X(score_request) X(score_answer) X(select_request)        \
        X(select_answer) X(refine_request) X(refine_answer) X(group) X(weights) X(control)

/* What decode needs to know of the world. */
struct scope_codec_limits {
        uint32_t vocab;             /* token ids must be below; 0 = SCOPE_VOCAB_MAX */
        uint64_t version_newest;    /* versions must not be above; UINT64_MAX = not known */
        uint32_t group_samples_max; /* G; 0 = SCOPE_GROUP_SAMPLES_MAX */
};

/* enum scope_err scope_encode_NAME(const struct scope_NAME *record, const uint8_t **ret_bytes,
 * uint32_t *ret_count)
 *   bytes live until the next encode on this thread: copy them into a message at once.
 *   errors  SCOPE_ERR_TOO_BIG: over SCOPE_MESSAGE_BYTES_MAX; SCOPE_ERR_MEMORY
 * enum scope_err scope_decode_NAME(const uint8_t *bytes, size_t count, const struct
 *   scope_codec_limits *limits,
 *                                  struct scope_arena *arena, struct scope_NAME *ret_record)
 *   `bytes` 8-aligned. Arrays of records are built in `arena`; scalars point into `bytes`.
 *   errors  SCOPE_ERR_VERIFY: not a valid buffer, wrong identifier; SCOPE_ERR_FORMAT: valid, but
 *   means nothing;
 *           SCOPE_ERR_MEMORY: arena too small */
#define X(name)                                                                                    \
        enum scope_err scope_encode_##name(const struct scope_##name *record,                      \
                const uint8_t **ret_bytes, uint32_t *ret_count);                                   \
        enum scope_err scope_decode_##name(const uint8_t *bytes, size_t count,                     \
                const struct scope_codec_limits *limits, struct scope_arena *arena,                \
                struct scope_##name *ret_record);
SCOPE_RECORD_MAP(X)
#undef X

#ifdef __cplusplus
}
#endif
