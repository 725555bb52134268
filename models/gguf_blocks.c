#include "models/gguf_blocks.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "models/half.h"

enum { BLOCK = 32, SUPER = 256 };

static float half_at(const uint8_t *bytes)
{
        return scope_f16_widen((uint16_t)(bytes[0] | bytes[1] << 8));
}

/* --- plain ------------------------------------------------------------------------------- */

static void unpack_f32(const uint8_t *bytes, size_t blocks, float *ret_values)
{
        memcpy(ret_values, bytes, blocks * sizeof *ret_values); /* little-endian machines only */
}

static void pack_f32(const float *values, size_t blocks, uint8_t *ret_bytes)
{
        memcpy(ret_bytes, values, blocks * sizeof *values);
}

static void unpack_f16(const uint8_t *bytes, size_t blocks, float *ret_values)
{
        scope_f16_widen_all(bytes, blocks, ret_values);
}

static void pack_f16(const float *values, size_t blocks, uint8_t *ret_bytes)
{
        scope_f16_narrow_all(values, blocks, ret_bytes);
}

static void unpack_bf16(const uint8_t *bytes, size_t blocks, float *ret_values)
{
        scope_bf16_widen_all(bytes, blocks, ret_values);
}

static void pack_bf16(const float *values, size_t blocks, uint8_t *ret_bytes)
{
        scope_bf16_narrow_all(values, blocks, ret_bytes);
}

/* --- blocks of 32 ------------------------------------------------------------------------ */

static void unpack_q8_0(const uint8_t *bytes, size_t blocks, float *ret_values)
{
        for (size_t b = 0; b < blocks; b++, bytes += 2 + BLOCK, ret_values += BLOCK) {
                const float d = half_at(bytes);
                for (int i = 0; i < BLOCK; i++)
                        ret_values[i] = (float)(int8_t)bytes[2 + i] * d;
        }
}

/* d = largest / 127, then halves away from zero: what llama.cpp does. Values are finite; a d below
 * FLT_MIN is 0 as f16 anyway. */
static void pack_q8_0(const float *values, size_t blocks, uint8_t *ret_bytes)
{
        for (size_t b = 0; b < blocks; b++, values += BLOCK, ret_bytes += 2 + BLOCK) {
                float largest = 0.0f;
                for (int i = 0; i < BLOCK; i++)
                        largest = fmaxf(largest, fabsf(values[i]));
                const float d = largest / 127.0f, inverse = d >= FLT_MIN ? 1.0f / d : 0.0f;
                scope_f16_narrow_all(&d, 1, ret_bytes);
                for (int i = 0; i < BLOCK; i++)
                        ret_bytes[2 + i] = (uint8_t)(int8_t)roundf(values[i] * inverse);
        }
}

static void unpack_q4_0(const uint8_t *bytes, size_t blocks, float *ret_values)
{
        for (size_t b = 0; b < blocks; b++, bytes += 2 + BLOCK / 2, ret_values += BLOCK) {
                const float d = half_at(bytes);
                for (int i = 0; i < BLOCK / 2; i++) {
                        ret_values[i] = d * (float)((bytes[2 + i] & 15) - 8);
                        ret_values[i + BLOCK / 2] = d * (float)((bytes[2 + i] >> 4) - 8);
                }
        }
}

static void unpack_q4_1(const uint8_t *bytes, size_t blocks, float *ret_values)
{
        for (size_t b = 0; b < blocks; b++, bytes += 4 + BLOCK / 2, ret_values += BLOCK) {
                const float d = half_at(bytes), m = half_at(bytes + 2);
                for (int i = 0; i < BLOCK / 2; i++) {
                        ret_values[i] = d * (float)(bytes[4 + i] & 15) + m;
                        ret_values[i + BLOCK / 2] = d * (float)(bytes[4 + i] >> 4) + m;
                }
        }
}

/* The fifth bits of a block's 32 numbers, as one word. */
static uint32_t word_at(const uint8_t *bytes)
{
        return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16
                | (uint32_t)bytes[3] << 24;
}

static void unpack_q5_0(const uint8_t *bytes, size_t blocks, float *ret_values)
{
        for (size_t b = 0; b < blocks; b++, bytes += 6 + BLOCK / 2, ret_values += BLOCK) {
                const float d = half_at(bytes);
                const uint32_t high = word_at(bytes + 2);
                for (int i = 0; i < BLOCK; i++) {
                        int low = i < BLOCK / 2 ? bytes[6 + i] & 15 : bytes[6 + i - BLOCK / 2] >> 4;
                        ret_values[i] = d * (float)((low | (int)(high >> i & 1) << 4) - 16);
                }
        }
}

static void unpack_q5_1(const uint8_t *bytes, size_t blocks, float *ret_values)
{
        for (size_t b = 0; b < blocks; b++, bytes += 8 + BLOCK / 2, ret_values += BLOCK) {
                const float d = half_at(bytes), m = half_at(bytes + 2);
                const uint32_t high = word_at(bytes + 4);
                for (int i = 0; i < BLOCK; i++) {
                        int low = i < BLOCK / 2 ? bytes[8 + i] & 15 : bytes[8 + i - BLOCK / 2] >> 4;
                        ret_values[i] = d * (float)(low | (int)(high >> i & 1) << 4) + m;
                }
        }
}

/* --- blocks of 256 ----------------------------------------------------------------------- */

/* Six-bit scales and minima of eight groups of 32, in twelve bytes. */
static void scale_min(const uint8_t *packed, int group, uint8_t *ret_scale, uint8_t *ret_min)
{
        if (group < 4) {
                *ret_scale = packed[group] & 63;
                *ret_min = packed[group + 4] & 63;
        } else {
                *ret_scale = (uint8_t)((packed[group + 4] & 15) | (packed[group - 4] >> 6) << 4);
                *ret_min = (uint8_t)((packed[group + 4] >> 4) | (packed[group] >> 6) << 4);
        }
}

/* Q4_K and Q5_K: the latter has a fifth bit of each number in high[32], bit = group. */
static void unpack_k(const uint8_t *bytes, const uint8_t *high, const uint8_t *low,
        float *ret_values)
{
        const float d = half_at(bytes), d_min = half_at(bytes + 2);
        for (int group = 0; group < SUPER / BLOCK; group++) {
                uint8_t scale, min;
                scale_min(bytes + 4, group, &scale, &min);
                const float s = d * (float)scale, m = d_min * (float)min;
                const uint8_t *nibbles = low + group / 2 * BLOCK;
                for (int i = 0; i < BLOCK; i++) {
                        int q = group % 2 == 0 ? nibbles[i] & 15 : nibbles[i] >> 4;
                        if (high != NULL)
                                q |= (high[i] >> group & 1) << 4;
                        ret_values[group * BLOCK + i] = s * (float)q - m;
                }
        }
}

static void unpack_q4_k(const uint8_t *bytes, size_t blocks, float *ret_values)
{
        for (size_t b = 0; b < blocks; b++, bytes += 144, ret_values += SUPER)
                unpack_k(bytes, NULL, bytes + 16, ret_values);
}

static void unpack_q5_k(const uint8_t *bytes, size_t blocks, float *ret_values)
{
        for (size_t b = 0; b < blocks; b++, bytes += 176, ret_values += SUPER)
                unpack_k(bytes, bytes + 16, bytes + 48, ret_values);
}

/* Four low bits in low[128], two high ones in high[64], a signed scale for each 16 numbers. */
static void unpack_q6_k(const uint8_t *bytes, size_t blocks, float *ret_values)
{
        for (size_t b = 0; b < blocks; b++, bytes += 210, ret_values += SUPER) {
                const uint8_t *low = bytes, *high = bytes + 128, *scales = bytes + 192;
                const float d = half_at(bytes + 208);
                for (int i = 0; i < SUPER; i++) {
                        const int half = i / 128, group = i % 128 / 32, l = i % 32;
                        const int byte = low[half * 64 + group % 2 * 32 + l];
                        const int four = group < 2 ? byte & 15 : byte >> 4;
                        const int two = high[half * 32 + l] >> 2 * group & 3;
                        const float s = d * (float)(int8_t)scales[i / 16];
                        ret_values[i] = s * (float)((four | two << 4) - 32);
                }
        }
}

/* --- the table --------------------------------------------------------------------------- */

static const struct scope_gguf_block blocks[] = {
        { "F32", SCOPE_GGUF_TENSOR_F32, 1, 4, unpack_f32, pack_f32 },
        { "F16", SCOPE_GGUF_TENSOR_F16, 1, 2, unpack_f16, pack_f16 },
        { "BF16", SCOPE_GGUF_TENSOR_BF16, 1, 2, unpack_bf16, pack_bf16 },
        { "Q8_0", SCOPE_GGUF_TENSOR_Q8_0, BLOCK, 34, unpack_q8_0, pack_q8_0 },
        { "Q4_0", 2, BLOCK, 18, unpack_q4_0, NULL },
        { "Q4_1", 3, BLOCK, 20, unpack_q4_1, NULL },
        { "Q5_0", 6, BLOCK, 22, unpack_q5_0, NULL },
        { "Q5_1", 7, BLOCK, 24, unpack_q5_1, NULL },
        { "Q4_K", 12, SUPER, 144, unpack_q4_k, NULL },
        { "Q5_K", 13, SUPER, 176, unpack_q5_k, NULL },
        { "Q6_K", 14, SUPER, 210, unpack_q6_k, NULL },
        { "Q8_1", 9, BLOCK, 40, NULL, NULL },
        { "Q2_K", 10, SUPER, 84, NULL, NULL },
        { "Q3_K", 11, SUPER, 110, NULL, NULL },
        { "Q8_K", 15, SUPER, 292, NULL, NULL },
        { "IQ2_XXS", 16, SUPER, 66, NULL, NULL },
        { "IQ2_XS", 17, SUPER, 74, NULL, NULL },
        { "IQ3_XXS", 18, SUPER, 98, NULL, NULL },
        { "IQ1_S", 19, SUPER, 50, NULL, NULL },
        { "IQ4_NL", 20, BLOCK, 18, NULL, NULL },
        { "IQ3_S", 21, SUPER, 110, NULL, NULL },
        { "IQ2_S", 22, SUPER, 82, NULL, NULL },
        { "IQ4_XS", 23, SUPER, 136, NULL, NULL },
        { "I8", 24, 1, 1, NULL, NULL },
        { "I16", 25, 1, 2, NULL, NULL },
        { "I32", 26, 1, 4, NULL, NULL },
        { "I64", 27, 1, 8, NULL, NULL },
        { "F64", 28, 1, 8, NULL, NULL },
        { "IQ1_M", 29, SUPER, 56, NULL, NULL },
        { "TQ1_0", 34, SUPER, 54, NULL, NULL },
        { "TQ2_0", 35, SUPER, 66, NULL, NULL },
        { "MXFP4", 39, BLOCK, 17, NULL, NULL },
};

const struct scope_gguf_block *scope_gguf_block(uint32_t type)
{
        for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
                if (blocks[i].type == type)
                        return &blocks[i];
        return NULL;
}
