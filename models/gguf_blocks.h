/* gguf_blocks.h - how numbers are packed inside a GGUF tensor.
 * Why: a row of a table a type: what a block holds, how it is unpacked, how it is packed.
 * Unpacking does the very operations of the reference (f32, in its order), so it is equal bit for
 * bit to gguf-py's dequantize. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { /* the numbers of the format for what we also write */
        SCOPE_GGUF_TENSOR_F32 = 0,
        SCOPE_GGUF_TENSOR_F16 = 1,
        SCOPE_GGUF_TENSOR_Q8_0 = 8,
        SCOPE_GGUF_TENSOR_BF16 = 30,
};

struct scope_gguf_block {
        const char *name;
        uint32_t type;
        uint16_t elements, bytes; /* of one block */
        /* NULL: known, but not read or not written */
        void (*unpack)(const uint8_t *bytes, size_t blocks, float *ret_values);
        void (*pack)(const float *values, size_t blocks, uint8_t *ret_bytes);
};

/* NULL: nobody knows this type.                          thread  any */
const struct scope_gguf_block *scope_gguf_block(uint32_t type);
