#include "kernels/gemm_packed.h"

#include <math.h>
#include <string.h>

#include "base/check.h"

enum { HALF = SCOPE_PANEL / 2, STRIP = SCOPE_SCALE_BLOCK }; /* a strip has one scale */

/* To nearest, ties to even; what is not a number stays so. */
static uint16_t bf16_of(float value)
{
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        if ((bits & 0x7fffffff) > 0x7f800000)
                return (uint16_t)(bits >> 16 | 0x40);
        return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Where column `lane` stands among the 32 halves of 16 words. */
static uint32_t half_of(uint32_t lane)
{
        return lane < HALF ? 2 * lane : 2 * (lane - HALF) + 1;
}

/* One column's `count` <= 32 weights from `i` on. */
static void pack_strip(enum scope_form weights, const float *from, uint32_t i, uint32_t count,
        uint32_t lane, void *panel)
{
        if (weights == SCOPE_FORM_F32) {
                float *out = (float *)panel + (size_t)i * SCOPE_PANEL + lane;
                for (uint32_t at = 0; at < count; at++)
                        out[at * SCOPE_PANEL] = from[at];
        } else if (weights == SCOPE_FORM_BF16) {
                uint16_t *out = (uint16_t *)panel + (size_t)i * SCOPE_PANEL + half_of(lane);
                for (uint32_t at = 0; at < count; at++)
                        out[at * SCOPE_PANEL] = bf16_of(from[at]);
        } else {
                unsigned char *block =
                        (unsigned char *)panel + i / SCOPE_SCALE_BLOCK * (size_t)SCOPE_SCALED_BYTES;
                uint8_t *out = block + 2 * SCOPE_PANEL;
                float highest = 0;
                for (uint32_t at = 0; at < count; at++)
                        highest = fabsf(from[at]) > highest ? fabsf(from[at]) : highest;
                uint16_t scale = bf16_of(highest / 127);
                float inverse = scale != 0 ? 1 / scope_bf16_value(scale) : 0;
                memcpy(block + half_of(lane) * sizeof scale, &scale, sizeof scale);
                for (uint32_t at = 0; at < count; at++) { /* the scale was rounded: 127.3 / 127 */
                        float rounded = nearbyintf(from[at] * inverse);
                        out[scope_int8_place(at, lane)] = (uint8_t)(
                                (int)fmaxf(-127, fminf(127, rounded)) + scope_int8_shift(lane));
                }
        }
}

void scope_gemm_pack(enum scope_form weights, const float *w, uint32_t n, uint32_t k,
        uint32_t begin, uint32_t end, void *packed)
{
        size_t bytes = scope_panel_bytes(weights, k);
        scope_assert(begin <= end && end <= scope_panel_count(n));
        for (uint32_t panel = begin; panel < end; panel++) {
                unsigned char *out = (unsigned char *)packed + panel * bytes;
                uint32_t first = panel * SCOPE_PANEL;
                uint32_t lanes = n - first < SCOPE_PANEL ? n - first : SCOPE_PANEL;
                if (lanes < SCOPE_PANEL || weights == SCOPE_FORM_INT8)
                        memset(out, 0, bytes);
                for (uint32_t i = 0; i < k; i += STRIP) /* so that it is written in cache */
                        for (uint32_t lane = 0; lane < lanes; lane++)
                                pack_strip(weights, w + (size_t)(first + lane) * k + i, i,
                                        k - i < STRIP ? k - i : STRIP, lane, out);
        }
}
