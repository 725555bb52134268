/* gemm_packed.h - y = x W^T for few rows and weights that are used again and again, packed once.
 * Why: decoding reads every weight for a handful of rows; in packed order it reads memory straight
 * through, and half or a quarter of it where weights are rounded to bf16 or 8 bits. x, y and sums
 * stay f32, but for int8: there x is rounded to 16 bits (a scale for 32 neighbours: an error of at
 * most 2^-16 of the largest), so that integer units multiply; sums of 32 products are exact.
 * (1) Element y[i,j] is one chain over k in rising order, whatever m is, whatever other rows hold
 *     and whatever panels are asked for: a sample does not depend on its batch or on the cores.
 * (2) A number in x that is not finite makes its row's results not finite. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        SCOPE_PANEL = 32,       /* output columns that lie together */
        SCOPE_SCALE_BLOCK = 32, /* int8: neighbours along k that share a scale */
};

/* A panel, its columns c in [0, 32):
 *   f32   [k][32] floats
 *   bf16  [k][16] words: column j in the low half of word j, column 16 + j in the high half
 *   int8  [blocks of 32 along k] of a scale a column (bf16, 16 words as above), then 16 times two
 *         neighbours along k: [16] words of four bytes, column j of the first and second in bytes
 *         0 and 2, column 16 + j in bytes 1 and 3; a weight is byte * scale. Bytes 0 and 2 hold 128
 *         more: so half a word is 256 high + low + 128, a factor as it stands */
enum scope_form {
        SCOPE_FORM_F32,
        SCOPE_FORM_BF16,
        SCOPE_FORM_INT8,
};

struct scope_gemm_packed_args {
        const float *x;     /* [m,k] */
        const void *packed; /* W [n,k] through scope_gemm_pack; 64-byte aligned */
        const void *next;   /* what will be read after this, to be fetched early; NULL = unknown */
        const float *bias;  /* [n], NULL = none */
        float *y;           /* [m,n]: only columns of panels [panel_begin, panel_end) are touched */
        /* int8 only: scope_gemm_packed_scratch(m, k) bytes, 64-byte aligned, where x is rounded to.
         * `rounded`: it still holds this x from the call before. */
        void *scratch;
        bool rounded;
        uint32_t m, n, k, panel_begin, panel_end;
        enum scope_form weights;
        bool accumulate;    /* y += */
};

static inline uint32_t scope_panel_count(uint32_t n)
{
        return n / SCOPE_PANEL + (n % SCOPE_PANEL != 0);
}

/* Bytes of the scales and weights of one block of int8. */
enum { SCOPE_SCALED_BYTES = SCOPE_PANEL * 2 + SCOPE_PANEL * SCOPE_SCALE_BLOCK };

/* Always whole cache lines. */
static inline size_t scope_panel_bytes(enum scope_form weights, uint32_t k)
{
        if (weights == SCOPE_FORM_INT8)
                return (size_t)(k / SCOPE_SCALE_BLOCK + (k % SCOPE_SCALE_BLOCK != 0))
                        * SCOPE_SCALED_BYTES;
        return (size_t)k * SCOPE_PANEL * (weights == SCOPE_FORM_F32 ? 4 : 2);
}

static inline size_t scope_gemm_packed_bytes(enum scope_form weights, uint32_t n, uint32_t k)
{
        return scope_panel_count(n) * scope_panel_bytes(weights, k);
}

#define SCOPE_SHORT_MAX 32767.0f
#define SCOPE_SHORT_TINY 1e-30f /* blocks of x with nothing larger are 0 */

/* Rows of x rounded for int8: [m, blocks, 32] 16-bit numbers, then of each block [m, blocks] the
 * scale and 128 times the sum of its numbers. */
static inline size_t scope_gemm_packed_scratch(uint32_t m, uint32_t k)
{
        size_t blocks = k / SCOPE_SCALE_BLOCK + (k % SCOPE_SCALE_BLOCK != 0);
        return m * blocks * (SCOPE_SCALE_BLOCK * sizeof(int16_t) + sizeof(float) + sizeof(int32_t));
}

/* Where weight (i, lane) of a block of int8 stands behind the scales. */
static inline uint32_t scope_int8_place(uint32_t i, uint32_t lane)
{
        return i / 2 * (2 * SCOPE_PANEL) + lane % (SCOPE_PANEL / 2) * 4 + i % 2 * 2
                + lane / (SCOPE_PANEL / 2);
}

/* What is added, modulo 256, to the weights of a lane. */
static inline uint8_t scope_int8_shift(uint32_t lane)
{
        return lane < SCOPE_PANEL / 2 ? 128 : 0;
}

/* bf16 is the upper half of a float. */
static inline float scope_bf16_value(uint16_t bits)
{
        union {
                uint32_t bits;
                float value;
        } of = { .bits = (uint32_t)bits << 16 };
        return of.value;
}

/* Packs panels [begin, end) of w [n,k], rounding to nearest; columns past n are 0. `packed` is the
 * whole matrix's memory.
 * thread  any: panels do not overlap */
void scope_gemm_pack(enum scope_form weights, const float *w, uint32_t n, uint32_t k,
        uint32_t begin, uint32_t end, void *packed);
