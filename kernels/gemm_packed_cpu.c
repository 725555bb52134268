/* gemm_packed_cpu.c - a tile of rows x panels is kept in registers while k runs.
 * Every tile form adds the same products in the same order, so the form does not show in the
 * result. */
#include "kernels/gemm_packed.h"

#include "base/check.h"
#include "kernels/cpu.h"
#include "kernels/simd.h"

enum {
        HALF_PANEL = SCOPE_PANEL / 2,
        VECTORS = SCOPE_PANEL / SIMD_WIDTH, /* of one panel's row */
        PAIRS = VECTORS / 2,                /* that lie in the two halves of the panel */
        TILE_ROWS = VECTORS == 2 ? 8 : VECTORS == 4 ? 3 : 1,
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

typedef int8_t simd_bytes __attribute__((vector_size(SIMD_WIDTH)));

SIMD_INLINE simd_int load_words(const void *from)
{
        simd_int value;
        memcpy(&value, from, sizeof value);
        return value;
}

/* SIMD_WIDTH signed bytes as floats. */
SIMD_INLINE simd_vec load_bytes(const void *from)
{
#if defined(__AVX512F__)
        return (simd_vec)_mm512_cvtepi32_ps(
                _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)from)));
#elif defined(__AVX2__)
        return (simd_vec)_mm256_cvtepi32_ps(
                _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)from)));
#else
        simd_bytes bytes;
        memcpy(&bytes, from, sizeof bytes);
        return __builtin_convertvector(bytes, simd_vec);
#endif
}

/* Bytes of one k of a panel. */
SIMD_INLINE size_t step_of(const enum scope_form weights)
{
        return weights == SCOPE_FORM_F32 ? 4 * SCOPE_PANEL
                : weights == SCOPE_FORM_BF16 ? 2 * SCOPE_PANEL : SCOPE_PANEL;
}

/* Columns [h W, h W + W) and [16 + h W, ...) of one k: what each form makes of two vectors. */
SIMD_INLINE void load_weights(const unsigned char *from, const enum scope_form weights,
        const int h, const simd_vec *scale, simd_vec *ret_low, simd_vec *ret_high)
{
        if (weights == SCOPE_FORM_F32) {
                *ret_low = simd_load((const float *)(const void *)from + h * SIMD_WIDTH);
                *ret_high = simd_load(
                        (const float *)(const void *)from + HALF_PANEL + h * SIMD_WIDTH);
        } else if (weights == SCOPE_FORM_BF16) {
                simd_int words = load_words(from + h * 4 * SIMD_WIDTH);
                *ret_low = (simd_vec)(words << 16);
                *ret_high = (simd_vec)(words & (int32_t)0xffff0000);
        } else {
                *ret_low = load_bytes(from + h * SIMD_WIDTH) * scale[0];
                *ret_high = load_bytes(from + HALF_PANEL + h * SIMD_WIDTH) * scale[1];
        }
}

/* What is read next, and how far into it one k comes: memory works ahead while we multiply. */
struct ahead {
        const unsigned char *at;
        size_t step, panel_bytes;
};

/* sum += x[., first, first + count) times that part of the panels: `from` is where it begins. */
SIMD_INLINE void multiply(const float *x, size_t k, size_t count, const unsigned char *from,
        struct ahead *ahead, simd_vec (*sum)[4][VECTORS], const int rows, const int panels,
        const enum scope_form weights)
{
        simd_vec scale[4][PAIRS][2];
        size_t panel_bytes = ahead->panel_bytes;
        const unsigned char *next = ahead->at;
        if (weights == SCOPE_FORM_INT8) {
                SIMD_UNROLL
                for (int p = 0; p < panels; p++)
                        SIMD_UNROLL
                        for (int h = 0; h < PAIRS; h++)
                                load_weights(from + (size_t)p * panel_bytes, SCOPE_FORM_BF16, h,
                                        NULL, &scale[p][h][0], &scale[p][h][1]);
                from += 2 * SCOPE_PANEL;
        }
        for (size_t i = 0; i < count; i++, from += step_of(weights), next += ahead->step) {
                SIMD_UNROLL
                for (int p = 0; p < panels; p++) {
                        __builtin_prefetch(next + (size_t)p * panel_bytes, 0, 2);
                        if (weights == SCOPE_FORM_F32)
                                __builtin_prefetch(next + (size_t)p * panel_bytes + 64, 0, 2);
                        SIMD_UNROLL
                        for (int h = 0; h < PAIRS; h++) {
                                simd_vec low, high;
                                load_weights(from + (size_t)p * panel_bytes, weights, h,
                                        scale[p][h], &low, &high);
                                SIMD_UNROLL
                                for (int r = 0; r < rows; r++) {
                                        float value = x[(size_t)r * k + i];
                                        sum[r][p][h] += value * low;
                                        sum[r][p][h + PAIRS] += value * high;
                                }
                        }
                }
        }
        ahead->at = next;
}

SIMD_INLINE void tile(const struct scope_gemm_packed_args *args, uint32_t row, uint32_t panel,
        struct ahead ahead, const int rows, const int panels, const enum scope_form weights)
{
        size_t k = args->k;
        const float *x = args->x + row * k;
        const unsigned char *from =
                (const unsigned char *)args->packed + panel * ahead.panel_bytes;
        simd_vec sum[8][4][VECTORS]; /* rows x panels of it are used: registers */
        SIMD_UNROLL
        for (int r = 0; r < rows; r++)
                SIMD_UNROLL
                for (int p = 0; p < panels; p++)
                        SIMD_UNROLL
                        for (int v = 0; v < VECTORS; v++)
                                sum[r][p][v] = (simd_vec){ 0 };
        if (weights != SCOPE_FORM_INT8)
                multiply(x, k, k, from, &ahead, sum, rows, panels, weights);
        else
                for (size_t i = 0; i < k; i += SCOPE_SCALE_BLOCK, from += SCOPE_SCALED_BYTES)
                        multiply(x + i, k, k - i < SCOPE_SCALE_BLOCK ? k - i : SCOPE_SCALE_BLOCK,
                                from, &ahead, sum, rows, panels, weights);
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

/* Rows [0, m) of one panel, TILE_ROWS at a time. Each tile asks memory for its share of the next
 * panel. */
SIMD_INLINE void panel_rows(const struct scope_gemm_packed_args *args, uint32_t panel,
        const enum scope_form weights)
{
        uint32_t row = 0, tiles = (args->m + TILE_ROWS - 1) / TILE_ROWS;
        struct ahead ahead = { next_panel(args, panel + 1), step_of(weights) / tiles,
                scope_panel_bytes(weights, args->k) };
        for (; row + TILE_ROWS <= args->m; row += TILE_ROWS, ahead.at += ahead.step * args->k)
                tile(args, row, panel, ahead, TILE_ROWS, 1, weights);
        switch (args->m - row) {
#define CASE(rows)                                                                                 \
        case rows:                                                                                 \
                tile(args, row, panel, ahead, rows < TILE_ROWS ? rows : 1, 1, weights);            \
                break;
                CASE(1)
                CASE(2)
                CASE(3)
                CASE(4)
                CASE(5)
                CASE(6)
                CASE(7)
#undef CASE
        default:
                break;
        }
}

SIMD_INLINE void all_panels(
        const struct scope_gemm_packed_args *args, const enum scope_form weights)
{
        uint32_t panel = args->panel_begin, end = args->panel_end;
        struct ahead ahead = { NULL, step_of(weights), scope_panel_bytes(weights, args->k) };
        /* Few rows leave registers free: several panels at once keep the multipliers busy. */
        if (args->m == 1 && VECTORS <= 4)
                for (; panel + 8 / VECTORS <= end; panel += 8 / VECTORS) {
                        ahead.at = next_panel(args, panel + 8 / VECTORS);
                        tile(args, 0, panel, ahead, 1, VECTORS == 2 ? 4 : 2, weights);
                }
        if (args->m == 2 && VECTORS == 2)
                for (; panel + 2 <= end; panel += 2) {
                        ahead.at = next_panel(args, panel + 2);
                        tile(args, 0, panel, ahead, 2, 2, weights);
                }
        for (; panel < end; panel++)
                panel_rows(args, panel, weights);
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
                all_panels(args, SCOPE_FORM_INT8);
                break;
        }
        return SCOPE_OK;
}
