#include "kernels/gemm_packed.h"

#include <math.h>
#include <string.h>

#include "kernels/ref.h"

static float half_at(const unsigned char *words, uint32_t lane)
{
        uint16_t bits;
        uint32_t half = lane < SCOPE_PANEL / 2 ? 2 * lane : 2 * (lane - SCOPE_PANEL / 2) + 1;
        memcpy(&bits, words + half * sizeof bits, sizeof bits);
        return scope_bf16_value(bits);
}

/* W[j,p] as it was packed. */
static float weight_at(const struct scope_gemm_packed_args *args, uint32_t j, uint32_t p)
{
        uint32_t lane = j % SCOPE_PANEL;
        const unsigned char *panel = (const unsigned char *)args->packed
                + j / SCOPE_PANEL * scope_panel_bytes(args->weights, args->k);
        if (args->weights == SCOPE_FORM_F32)
                return ((const float *)(const void *)panel)[(size_t)p * SCOPE_PANEL + lane];
        if (args->weights == SCOPE_FORM_BF16)
                return half_at(panel + (size_t)p * SCOPE_PANEL * 2, lane);
        const unsigned char *block = panel + p / SCOPE_SCALE_BLOCK * (size_t)SCOPE_SCALED_BYTES;
        uint8_t byte = block[SCOPE_PANEL * 2 + scope_int8_place(p % SCOPE_SCALE_BLOCK, lane)];
        return half_at(block, lane) * (float)(int8_t)(byte - scope_int8_shift(lane));
}

/* x[i,p], rounded where the form asks for it. */
static double value_at(const struct scope_gemm_packed_args *args, size_t i, uint32_t p)
{
        const float *x = args->x + i * args->k;
        uint32_t begin = p / SCOPE_SCALE_BLOCK * SCOPE_SCALE_BLOCK;
        float highest = 0;
        if (args->weights != SCOPE_FORM_INT8)
                return x[p];
        for (uint32_t j = begin; j < begin + SCOPE_SCALE_BLOCK && j < args->k; j++) {
                if (!isfinite(x[j]))
                        return NAN;
                highest = fabsf(x[j]) > highest ? fabsf(x[j]) : highest;
        }
        float scale = highest / SCOPE_SHORT_MAX;
        return highest < SCOPE_SHORT_TINY ? 0 : (double)nearbyintf(x[p] * (1 / scale)) * scale;
}

enum scope_err scope_gemm_packed_ref(const struct scope_gemm_packed_args *args,
        struct scope_stream *stream)
{
        (void)stream;
        uint32_t begin = args->panel_begin * SCOPE_PANEL, end = args->panel_end * SCOPE_PANEL;
        end = end < args->n ? end : args->n;
        for (uint32_t j = begin; j < end; j++)
                for (size_t i = 0; i < args->m; i++) {
                        float *y = args->y + i * args->n + j;
                        double sum = args->bias != NULL ? args->bias[j] : 0;
                        for (uint32_t p = 0; p < args->k; p++)
                                sum += value_at(args, i, p) * weight_at(args, j, p);
                        *y = (float)(args->accumulate ? *y + sum : sum);
                }
        return SCOPE_OK;
}
