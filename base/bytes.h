/* bytes.h - reading numbers out of bytes that nobody has checked yet.
 * Why: a parser of outside bytes is a list of "is there still so much?"; here that is asked once,
 * in one place, and never with a sum that can wrap.
 * (1) at <= count. (2) A read past the end sets `failed`, gives 0 or NULL and moves nothing; so
 * does every read after it: check once, at the end of a run of reads. Little-endian. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct scope_bytes {
        const uint8_t *data; /* borrowed */
        size_t count, at;
        bool failed;
};

/* owns  borrows data     thread  any */
struct scope_bytes scope_bytes_make(const void *data, size_t count);

size_t scope_bytes_left(const struct scope_bytes *bytes); /* 0 when failed */
uint8_t scope_bytes_u8(struct scope_bytes *bytes);
uint16_t scope_bytes_u16(struct scope_bytes *bytes);
uint32_t scope_bytes_u32(struct scope_bytes *bytes);
uint64_t scope_bytes_u64(struct scope_bytes *bytes);

/* The next `count` bytes where they lie, or NULL. */
const uint8_t *scope_bytes_take(struct scope_bytes *bytes, uint64_t count);

#ifdef __cplusplus
}
#endif
