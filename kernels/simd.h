/* simd.h - one vector type, as wide as this variant's registers, and its few operations.
 * Why: the same source becomes SSE2, AVX2 or AVX-512 code; arithmetic is written with C operators.
 * (1) Loads and stores need no alignment. (2) exp is good to 2 ulp on [-87, 88], 0 below, finite
 * above. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
enum { SIMD_WIDTH = 16 };
#elif defined(__AVX2__)
enum { SIMD_WIDTH = 8 };
#else
enum { SIMD_WIDTH = 4 };
#endif

typedef float simd_vec __attribute__((vector_size(4 * SIMD_WIDTH)));
typedef int32_t simd_int __attribute__((vector_size(4 * SIMD_WIDTH)));
typedef float simd_loose __attribute__((vector_size(4 * SIMD_WIDTH), aligned(4), may_alias));

/* In front of a loop whose count is constant and whose arrays are to live in registers. */
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wpass-failed" /* a loop around another may stay a loop */
#define SIMD_UNROLL _Pragma("unroll")
#else
#define SIMD_UNROLL _Pragma("GCC unroll 32")
#endif
#define SIMD_INLINE static inline __attribute__((always_inline))

static inline simd_vec simd_load(const float *from)
{
        return *(const simd_loose *)from;
}

static inline void simd_store(float *to, simd_vec value)
{
        *(simd_loose *)to = value;
}

static inline simd_vec simd_set(float value)
{
        return (simd_vec){ 0 } + value;
}

/* The first `count` < SIMD_WIDTH floats; the other lanes hold `fill`. */
static inline simd_vec simd_load_part(const float *from, size_t count, float fill)
{
#if defined(__AVX512F__)
        __mmask16 lanes = (__mmask16)((1u << count) - 1);
        return (simd_vec)_mm512_mask_loadu_ps((__m512)simd_set(fill), lanes, from);
#else
        float lanes[SIMD_WIDTH];
        for (size_t i = 0; i < SIMD_WIDTH; i++)
                lanes[i] = i < count ? from[i] : fill;
        return simd_load(lanes);
#endif
}

static inline void simd_store_part(float *to, size_t count, simd_vec value)
{
#if defined(__AVX512F__)
        _mm512_mask_storeu_ps(to, (__mmask16)((1u << count) - 1), (__m512)value);
#else
        for (size_t i = 0; i < count; i++)
                to[i] = value[i];
#endif
}

static inline simd_vec simd_max(simd_vec a, simd_vec b)
{
#if defined(__AVX512F__)
        return (simd_vec)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
        return (simd_vec)_mm256_max_ps((__m256)a, (__m256)b);
#else
        simd_int greater = a > b;
        return (simd_vec)(((simd_int)a & greater) | ((simd_int)b & ~greater));
#endif
}

static inline simd_vec simd_min(simd_vec a, simd_vec b)
{
        return -simd_max(-a, -b);
}

/* Pairwise, so the order does not depend on how the compiler schedules it. */
static inline float simd_sum(simd_vec value)
{
#if defined(__AVX512F__)
        return _mm512_reduce_add_ps((__m512)value);
#else
        float lanes[SIMD_WIDTH];
        simd_store(lanes, value);
        for (size_t half = SIMD_WIDTH / 2; half > 0; half /= 2)
                for (size_t i = 0; i < half; i++)
                        lanes[i] += lanes[i + half];
        return lanes[0];
#endif
}

static inline float simd_largest(simd_vec value)
{
#if defined(__AVX512F__)
        return _mm512_reduce_max_ps((__m512)value);
#else
        float largest = value[0];
        for (size_t i = 1; i < SIMD_WIDTH; i++)
                largest = value[i] > largest ? value[i] : largest;
        return largest;
#endif
}

/* Lanes `first` + i < limit keep their value, the others become 0. */
static inline simd_vec simd_keep_below(simd_vec value, int32_t first, int32_t limit)
{
        simd_int lane = { 0 };
        for (int32_t i = 0; i < SIMD_WIDTH; i++)
                lane[i] = i;
        return (simd_vec)((simd_int)value & (lane + first < limit));
}

/* exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln 2 / 2, exp(r) by a degree-6 minimax
 * polynomial. */
static inline simd_vec simd_exp(simd_vec x)
{
        const float round =
                12582912.0f; /* 1.5 * 2^23: adding it leaves an integer in the low bits */
        simd_int alive = x >= -87.0f;
        x = simd_max(simd_min(x, simd_set(88.0f)), simd_set(-87.0f));
        simd_vec shifted = x * 1.44269504f + round;
        simd_vec n = shifted - round;
        simd_vec r = x - n * 0.693359375f;
        r = r - n * -2.12194440e-4f;
        simd_vec p = simd_set(1.9875691500e-4f);
        p = p * r + 1.3981999507e-3f;
        p = p * r + 8.3334519073e-3f;
        p = p * r + 4.1665795894e-2f;
        p = p * r + 1.6666665459e-1f;
        p = p * r + 5.0000001201e-1f;
        p = p * (r * r) + r + 1.0f;
        simd_int power = ((simd_int)shifted - 0x4b400000 + 127) << 23;
        return (simd_vec)((simd_int)(p * (simd_vec)power) & alive);
}
