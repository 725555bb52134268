/* gemm_packed_cpu.c - a tile of rows x columns is kept in registers while k runs.
 * Every tile form adds the same products in the same order, so the form does not show in the
 * result. */
#include "kernels/gemm_packed.h"

#include <math.h>

#include "base/check.h"
#include "kernels/cpu.h"
#include "kernels/simd.h"

enum {
        HALF_PANEL = SCOPE_PANEL / 2,
        VECTORS = SCOPE_PANEL / SIMD_WIDTH, /* of one panel's row */
        PAIRS = VECTORS / 2,                /* that lie in the two halves of the panel */
        TILE_ROWS = VECTORS == 2 ? 8 : VECTORS == 4 ? 3 : 1,
        SHORT_ROWS = VECTORS == 2 ? 8 : VECTORS == 4 ? 6 : 4, /* int8: of one pair of vectors */
        ALONE = VECTORS == 2 ? 4 : VECTORS == 4 ? 3 : 1, /* panels of one row at once */
        LINE = 64,
        NEAR = 4096, /* bytes; what memory takes to answer, at its speed, and some more */
        NEAR_BLOCKS = 2, /* int8 */
};

/* One row of one panel goes out; the last panel may be narrower than 32. */
SIMD_INLINE void put(const struct scope_gemm_packed_args *args, uint32_t row, uint32_t panel,
        const simd_vec *sum)
{
        uint32_t first = panel * SCOPE_PANEL;
        uint32_t width = args->n - first < SCOPE_PANEL ? args->n - first : SCOPE_PANEL;
        float *y = args->y + (size_t)row * args->n + first;
        float out[SCOPE_PANEL];
        if (width == SCOPE_PANEL && args->bias == NULL) {
                SIMD_UNROLL
                for (int v = 0; v < VECTORS; v++)
                        simd_store(y + v * SIMD_WIDTH,
                                args->accumulate ? simd_load(y + v * SIMD_WIDTH) + sum[v] : sum[v]);
                return;
        }
        memcpy(out, sum, sizeof out);
        for (uint32_t i = 0; i < width; i++) {
                float value = args->bias != NULL ? out[i] + args->bias[first + i] : out[i];
                y[i] = args->accumulate ? y[i] + value : value;
        }
}

SIMD_INLINE simd_int load_words(const void *from)
{
        simd_int value;
        memcpy(&value, from, sizeof value);
        return value;
}

/* Bytes of one k of a panel. */
SIMD_INLINE size_t step_of(const enum scope_form weights)
{
        return weights == SCOPE_FORM_F32 ? 4 * SCOPE_PANEL : 2 * SCOPE_PANEL;
}

/* Columns [h W, h W + W) and [16 + h W, ...) of one k: what each form makes of two vectors. */
SIMD_INLINE void load_weights(const unsigned char *from, const enum scope_form weights,
        const int h, simd_vec *ret_low, simd_vec *ret_high)
{
        if (weights == SCOPE_FORM_F32) {
                *ret_low = simd_load((const float *)(const void *)from + h * SIMD_WIDTH);
                *ret_high = simd_load(
                        (const float *)(const void *)from + HALF_PANEL + h * SIMD_WIDTH);
        } else {
                simd_int words = load_words(from + h * 4 * SIMD_WIDTH);
                *ret_low = (simd_vec)(words << 16);
                *ret_high = (simd_vec)(words & (int32_t)0xffff0000);
        }
}

/* Memory works ahead while we multiply: `next` is what is read after these panels, `near` how far
 * before its use it is asked for. 0: a panel before, by several tiles, each its share of it. */
struct ahead {
        const unsigned char *next;
        size_t step, near, panel_bytes;
};

/* sum += x[., first, first + count) times that part of the panels: `from` is where it begins and
 * `ahead` what is asked for meanwhile. */
SIMD_INLINE void multiply(const float *x, size_t k, size_t count, const unsigned char *from,
        const unsigned char *ahead, size_t ahead_step, size_t panel_bytes,
        simd_vec (*sum)[4][VECTORS], const int rows, const int panels,
        const enum scope_form weights)
{
        for (size_t i = 0; i < count; i++, from += step_of(weights), ahead += ahead_step) {
                SIMD_UNROLL
                for (int p = 0; p < panels; p++) {
                        __builtin_prefetch(ahead + (size_t)p * panel_bytes, 0, 3);
                        if (weights == SCOPE_FORM_F32)
                                __builtin_prefetch(ahead + (size_t)p * panel_bytes + LINE, 0, 3);
                        SIMD_UNROLL
                        for (int h = 0; h < PAIRS; h++) {
                                simd_vec low, high;
                                load_weights(from + (size_t)p * panel_bytes, weights, h, &low,
                                        &high);
                                SIMD_UNROLL
                                for (int r = 0; r < rows; r++) {
                                        float value = x[(size_t)r * k + i];
                                        sum[r][p][h] += value * low;
                                        sum[r][p][h + PAIRS] += value * high;
                                }
                        }
                }
        }
}

SIMD_INLINE void tile(const struct scope_gemm_packed_args *args, uint32_t row, uint32_t panel,
        const struct ahead *ahead, const int rows, const int panels,
        const enum scope_form weights)
{
        size_t k = args->k, bytes = ahead->panel_bytes, first = 0, near = ahead->near;
        const float *x = args->x + row * k;
        const unsigned char *from = (const unsigned char *)args->packed + panel * bytes;
        simd_vec sum[8][4][VECTORS]; /* rows x panels of it are used: registers */
        SIMD_UNROLL
        for (int r = 0; r < rows; r++)
                SIMD_UNROLL
                for (int p = 0; p < panels; p++)
                        SIMD_UNROLL
                        for (int v = 0; v < VECTORS; v++)
                                sum[r][p][v] = (simd_vec){ 0 };
        if (near != 0) {
                first = near < bytes ? k - near / step_of(weights) : 0;
                multiply(x, k, first, from, from + near, step_of(weights), bytes, sum, rows,
                        panels, weights);
        }
        multiply(x + first, k, k - first, from + first * step_of(weights), ahead->next,
                ahead->step, bytes, sum, rows, panels, weights);
        SIMD_UNROLL
        for (int r = 0; r < rows; r++)
                SIMD_UNROLL
                for (int p = 0; p < panels; p++)
                        put(args, row + (uint32_t)r, panel + (uint32_t)p, sum[r][p]);
}

/* Where `panel` begins, or what the caller says comes after its last one. */
static const unsigned char *next_panel(const struct scope_gemm_packed_args *args, uint32_t panel)
{
        size_t bytes = scope_panel_bytes(args->weights, args->k);
        if (panel < args->panel_end || args->next == NULL)
                return (const unsigned char *)args->packed
                        + (panel < args->panel_end ? panel : args->panel_begin) * bytes;
        return args->next;
}

#define ROWS_CASE(rows)                                                                            \
        case rows:                                                                                 \
                TILE(rows);                                                                        \
                break;
#define ROWS_SWITCH(count)                                                                         \
        switch (count) {                                                                           \
                ROWS_CASE(1)                                                                       \
                ROWS_CASE(2)                                                                       \
                ROWS_CASE(3)                                                                       \
                ROWS_CASE(4)                                                                       \
                ROWS_CASE(5)                                                                       \
                ROWS_CASE(6)                                                                       \
                ROWS_CASE(7)                                                                       \
                ROWS_CASE(8)                                                                       \
        default:                                                                                   \
                break;                                                                             \
        }

/* All rows of one panel, in tiles as equal as can be: a tile of one row leaves most multipliers
 * idle. */
SIMD_INLINE void panel_rows(const struct scope_gemm_packed_args *args, uint32_t panel,
        const enum scope_form weights)
{
        const uint32_t most = weights == SCOPE_FORM_BF16 && TILE_ROWS == 3 ? 2 : TILE_ROWS;
        uint32_t tiles = (args->m + most - 1) / most;
        struct ahead ahead = { next_panel(args, panel + 1), step_of(weights) / tiles, 0,
                scope_panel_bytes(weights, args->k) };
        for (uint32_t row = 0, rows; row < args->m; row += rows, tiles--) {
                rows = (args->m - row + tiles - 1) / tiles;
#define TILE(count)                                                                                \
        if (count <= TILE_ROWS)                                                                    \
                tile(args, row, panel, &ahead, count <= TILE_ROWS ? count : 1, 1, weights)
                ROWS_SWITCH(rows)
#undef TILE
                ahead.next += ahead.step * args->k;
        }
}

SIMD_INLINE void all_panels(
        const struct scope_gemm_packed_args *args, const enum scope_form weights)
{
        uint32_t panel = args->panel_begin, end = args->panel_end;
        struct ahead ahead = { NULL, step_of(weights), NEAR, scope_panel_bytes(weights, args->k) };
        /* Few rows leave registers free: several panels at once keep the multipliers busy. */
        if (args->m == 1)
                for (; panel + ALONE <= end; panel += ALONE) {
                        ahead.next = next_panel(args, panel + ALONE);
                        tile(args, 0, panel, &ahead, 1, ALONE, weights);
                }
        if (args->m == 2 && VECTORS == 2)
                for (; panel + 2 <= end; panel += 2) {
                        ahead.next = next_panel(args, panel + 2);
                        tile(args, 0, panel, &ahead, 2, 2, weights);
                }
        for (; panel < end; panel++)
                panel_rows(args, panel, weights);
}

/* --- int8 --------------------------------------------------------------------------------- */

typedef int16_t simd_short __attribute__((vector_size(4 * SIMD_WIDTH)));
typedef uint32_t simd_uint __attribute__((vector_size(4 * SIMD_WIDTH)));

/* What the rows of one tile were rounded to. */
struct rounded {
        const int16_t *values; /* [rows, blocks, 32] */
        const float *scales;   /* [rows, blocks] */
        const int32_t *sums;   /* [rows, blocks]: 128 times the block's */
        size_t blocks;
};

static struct rounded rounded_at(const struct scope_gemm_packed_args *args, uint32_t row)
{
        size_t blocks = (args->k + SCOPE_SCALE_BLOCK - 1) / SCOPE_SCALE_BLOCK;
        const int16_t *values = args->scratch;
        const float *scales = (const float *)(const void *)(values
                + args->m * blocks * SCOPE_SCALE_BLOCK);
        const int32_t *sums = (const int32_t *)(const void *)(scales + args->m * blocks);
        return (struct rounded){ values + row * blocks * SCOPE_SCALE_BLOCK, scales + row * blocks,
                sums + row * blocks, blocks };
}

/* Plain loops over 32 numbers: the compiler knows what to do. */
static float round_block(const float *x, int16_t *ret_values, int32_t *ret_sum)
{
        uint32_t bits[SCOPE_SCALE_BLOCK], highest_bits = 0;
        float highest;
        memcpy(bits, x, sizeof bits);
        for (int i = 0; i < SCOPE_SCALE_BLOCK; i++) { /* as integers NaN is largest */
                uint32_t magnitude = bits[i] & 0x7fffffff;
                highest_bits = magnitude > highest_bits ? magnitude : highest_bits;
        }
        memcpy(&highest, &highest_bits, sizeof highest);
        *ret_sum = 0;
        if (highest_bits >= 0x7f800000 || highest < SCOPE_SHORT_TINY) {
                memset(ret_values, 0, SCOPE_SCALE_BLOCK * sizeof *ret_values);
                return highest_bits >= 0x7f800000 ? NAN : 0;
        }
        float scale = highest / SCOPE_SHORT_MAX, inverse = 1 / scale;
        for (int i = 0; i < SCOPE_SCALE_BLOCK; i++) {
                float shifted = x[i] * inverse + 12582912.0f; /* 1.5 * 2^23: simd_exp says why */
                int32_t word;
                memcpy(&word, &shifted, sizeof word);
                ret_values[i] = (int16_t)(word - 0x4b400000);
                *ret_sum += 128 * (word - 0x4b400000);
        }
        return scale;
}

static void round_rows(const struct scope_gemm_packed_args *args)
{
        struct rounded to = rounded_at(args, 0);
        int16_t *values = (int16_t *)args->scratch;
        float *scales = (float *)args->scratch + (size_t)(to.scales - (float *)args->scratch);
        int32_t *sums = (int32_t *)args->scratch + (size_t)(to.sums - (int32_t *)args->scratch);
        for (uint32_t row = 0; row < args->m; row++)
                for (size_t b = 0; b < to.blocks; b++, values += SCOPE_SCALE_BLOCK) {
                        size_t first = b * SCOPE_SCALE_BLOCK, left = args->k - first;
                        const float *x = args->x + (size_t)row * args->k + first;
                        float part[SCOPE_SCALE_BLOCK] = { 0 };
                        if (left < SCOPE_SCALE_BLOCK)
                                x = memcpy(part, x, left * sizeof *part);
                        *scales++ = round_block(x, values, sums++);
                }
}

/* Sums of neighbouring products, modulo 2^32. */
SIMD_INLINE simd_uint multiply_pairs(simd_short a, simd_short b)
{
#if defined(__AVX512F__)
        return (simd_uint)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
        return (simd_uint)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
        return (simd_uint)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
        simd_uint sum;
        for (int i = 0; i < SIMD_WIDTH; i++)
                sum[i] = (uint32_t)(a[2 * i] * b[2 * i])
                        + (uint32_t)(a[2 * i + 1] * b[2 * i + 1]);
        return sum;
#endif
}

/* sum += one block of 32 along k, of `pairs` pairs of vectors from h on in each of the panels. Half
 * words multiply as they stand, 256 high + low + 128, and their upper bytes alone: what low gives
 * is the difference, which is small, so sums may go round. */
SIMD_INLINE void add_block(const struct rounded *x, size_t block, const unsigned char *from,
        const unsigned char *ahead, size_t panel_bytes, const int h, simd_vec (*sum)[4][VECTORS],
        const int rows, const int panels, const int pairs)
{
        simd_uint whole[8][4][VECTORS];
        const int16_t *values = x->values + block * SCOPE_SCALE_BLOCK;
        SIMD_UNROLL
        for (int r = 0; r < rows; r++)
                SIMD_UNROLL
                for (int p = 0; p < panels; p++)
                        SIMD_UNROLL
                        for (int v = 0; v < 2 * pairs; v++)
                                whole[r][p][v] = (simd_uint){ 0 };
        for (size_t i = 0; i < SCOPE_SCALE_BLOCK / 2; i++)
                SIMD_UNROLL
                for (int p = 0; p < panels; p++) {
                        const unsigned char *line = from + (size_t)p * panel_bytes
                                + (i + 1) * LINE;
                        __builtin_prefetch(ahead + (size_t)p * panel_bytes + i * LINE, 0, 3);
                        SIMD_UNROLL
                        for (int v = 0; v < pairs; v++) {
                                simd_short words = (simd_short)load_words(
                                        line + (size_t)(h + v) * 4 * SIMD_WIDTH);
                                SIMD_UNROLL
                                for (int r = 0; r < rows; r++) {
                                        int32_t two;
                                        memcpy(&two, values + (size_t)r * x->blocks
                                                        * SCOPE_SCALE_BLOCK + 2 * i, sizeof two);
                                        simd_short both = (simd_short)((simd_int){ 0 } + two);
                                        whole[r][p][2 * v] += multiply_pairs(both, words);
                                        whole[r][p][2 * v + 1] += multiply_pairs(both, words >> 8);
                                }
                        }
                }
        SIMD_UNROLL
        for (int p = 0; p < panels; p++) {
                __builtin_prefetch(
                        ahead + (size_t)p * panel_bytes + SCOPE_SCALED_BYTES - LINE, 0, 3);
                SIMD_UNROLL
                for (int v = 0; v < pairs; v++) {
                        simd_vec low, high;
                        load_weights(from + (size_t)p * panel_bytes, SCOPE_FORM_BF16, h + v, &low,
                                &high);
                        SIMD_UNROLL
                        for (int r = 0; r < rows; r++) {
                                float scale = x->scales[(size_t)r * x->blocks + block];
                                uint32_t more = (uint32_t)x->sums[(size_t)r * x->blocks + block];
                                simd_uint upper = whole[r][p][2 * v + 1];
                                simd_uint lower = whole[r][p][2 * v] - (upper << 8) - more;
                                sum[r][p][h + v] +=
                                        __builtin_convertvector((simd_int)lower, simd_vec)
                                        * (low * scale);
                                sum[r][p][h + v + PAIRS] +=
                                        __builtin_convertvector((simd_int)upper, simd_vec)
                                        * (high * scale);
                        }
                }
        }
}

/* `pairs` of PAIRS at a time; of the passes over a panel each asks for its share of the next. */
SIMD_INLINE void tile_int8(const struct scope_gemm_packed_args *args, uint32_t row, uint32_t panel,
        uint32_t pass, uint32_t passes, const int rows, const int pairs)
{
        struct rounded x = rounded_at(args, row);
        const unsigned char *next = next_panel(args, panel + 1);
        const unsigned char *begin = (const unsigned char *)args->packed
                + panel * scope_panel_bytes(SCOPE_FORM_INT8, args->k);
        simd_vec sum[8][4][VECTORS];
        SIMD_UNROLL
        for (int r = 0; r < rows; r++)
                SIMD_UNROLL
                for (int v = 0; v < VECTORS; v++)
                        sum[r][0][v] = (simd_vec){ 0 };
        SIMD_UNROLL
        for (int h = 0; h < PAIRS; h += pairs, pass++)
                for (size_t b = 0; b < x.blocks; b++) {
                        size_t at = b * SCOPE_SCALED_BYTES;
                        add_block(&x, b, begin + at, (b % passes == pass ? next : begin) + at, 0, h,
                                sum, rows, 1, pairs);
                }
        SIMD_UNROLL
        for (int r = 0; r < rows; r++)
                put(args, row + (uint32_t)r, panel, sum[r][0]);
}

/* One row and ALONE panels, a line of each in turn: as many streams for memory. */
static void alone_int8(const struct scope_gemm_packed_args *args, uint32_t panel)
{
        struct rounded x = rounded_at(args, 0);
        size_t bytes = scope_panel_bytes(SCOPE_FORM_INT8, args->k);
        size_t last = x.blocks > NEAR_BLOCKS ? x.blocks - NEAR_BLOCKS : 0; /* asks for its own */
        const unsigned char *next = next_panel(args, panel + ALONE);
        const unsigned char *from = (const unsigned char *)args->packed + panel * bytes;
        simd_vec sum[1][4][VECTORS];
        memset(sum, 0, sizeof sum);
        for (size_t b = 0; b < x.blocks; b++, from += SCOPE_SCALED_BYTES)
                add_block(&x, b, from, b < last ? from + NEAR_BLOCKS * SCOPE_SCALED_BYTES
                                                : next + (b - last) * SCOPE_SCALED_BYTES,
                        bytes, 0, sum, 1, ALONE, PAIRS);
        for (uint32_t p = 0; p < ALONE; p++)
                put(args, 0, panel + p, sum[0][p]);
}

/* More than two rows fill the registers with one pair of vectors, and read the panel once for
 * each: it is in the first cache. */
static void panel_int8(const struct scope_gemm_packed_args *args, uint32_t panel)
{
        const uint32_t many = (args->m + SHORT_ROWS - 1) / SHORT_ROWS;
        if (args->m == 1) {
                tile_int8(args, 0, panel, 0, 1, 1, PAIRS);
                return;
        }
        if (args->m == 2) {
                tile_int8(args, 0, panel, 0, 1, 2, PAIRS);
                return;
        }
        for (uint32_t row = 0, rows, tiles = many; row < args->m; row += rows, tiles--) {
                rows = (args->m - row + tiles - 1) / tiles;
#define TILE(count)                                                                                \
        if (count <= SHORT_ROWS)                                                                   \
                tile_int8(args, row, panel, (many - tiles) * PAIRS, many * PAIRS,                  \
                        count <= SHORT_ROWS ? count : 1, 1)
                ROWS_SWITCH(rows)
#undef TILE
        }
}

static void all_int8(const struct scope_gemm_packed_args *args)
{
        uint32_t panel = args->panel_begin;
        if (!args->rounded)
                round_rows(args);
        if (args->m == 1)
                for (; panel + ALONE <= args->panel_end; panel += ALONE)
                        alone_int8(args, panel);
        for (; panel < args->panel_end; panel++)
                panel_int8(args, panel);
}

enum scope_err SCOPE_CPU(gemm_packed)(const struct scope_gemm_packed_args *args,
        struct scope_stream *stream)
{
        (void)stream;
        scope_assert(args->panel_end <= scope_panel_count(args->n));
        switch (args->weights) {
        case SCOPE_FORM_F32:
                all_panels(args, SCOPE_FORM_F32);
                break;
        case SCOPE_FORM_BF16:
                all_panels(args, SCOPE_FORM_BF16);
                break;
        case SCOPE_FORM_INT8:
                all_int8(args);
                break;
        }
        return SCOPE_OK;
}
