#include "models/half.h"

#include <string.h>

static uint32_t bits_of(float value)
{
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        return bits;
}

static float float_of(uint32_t bits)
{
        float value;
        memcpy(&value, &bits, sizeof value);
        return value;
}

float scope_f16_widen(uint16_t half)
{
        uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = half >> 10 & 0x1fu;
        uint32_t fraction = half & 0x3ffu;
        if (exponent == 0) { /* zero and subnormal: fraction * 2^-24 is exact */
                float value = (float)fraction * 0x1p-24f;
                return sign != 0 ? -value : value;
        }
        return float_of(
                sign | (exponent == 31 ? 255u << 23 : (exponent + 112) << 23) | fraction << 13);
}

uint16_t scope_f16_narrow(float value)
{
        uint32_t bits = bits_of(value), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
        if (magnitude > 0x7f800000u)                /* NaN: quiet, its upper bits kept */
                return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
        if (magnitude >= 0x477ff000u)               /* 65520 and up round to infinity */
                return (uint16_t)(sign | 0x7c00u);
        if (magnitude < 0x38800000u) {              /* below 2^-14: adding 0.5 rounds at 2^-24 */
                uint32_t rounded = bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f);
                return (uint16_t)(sign | rounded);
        }
        magnitude += 0xfffu + (magnitude >> 13 & 1); /* ties to even; a carry is the next power */
        return (uint16_t)(sign | (magnitude - (112u << 23)) >> 13);
}

float scope_bf16_widen(uint16_t half)
{
        return float_of((uint32_t)half << 16);
}

uint16_t scope_bf16_narrow(float value)
{
        uint32_t bits = bits_of(value);
        if ((bits & 0x7fffffffu) > 0x7f800000u)
                return (uint16_t)(bits >> 16 | 0x40u);
        return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

static uint16_t pair_at(const uint8_t *bytes)
{
        return (uint16_t)(bytes[0] | bytes[1] << 8);
}

void scope_f16_widen_all(const uint8_t *bytes, size_t count, float *ret_values)
{
        for (size_t i = 0; i < count; i++)
                ret_values[i] = scope_f16_widen(pair_at(bytes + 2 * i));
}

void scope_bf16_widen_all(const uint8_t *bytes, size_t count, float *ret_values)
{
        for (size_t i = 0; i < count; i++)
                ret_values[i] = scope_bf16_widen(pair_at(bytes + 2 * i));
}

static void put_pair(uint16_t half, uint8_t *ret_bytes)
{
        ret_bytes[0] = (uint8_t)half;
        ret_bytes[1] = (uint8_t)(half >> 8);
}

void scope_f16_narrow_all(const float *values, size_t count, uint8_t *ret_bytes)
{
        for (size_t i = 0; i < count; i++)
                put_pair(scope_f16_narrow(values[i]), ret_bytes + 2 * i);
}

void scope_bf16_narrow_all(const float *values, size_t count, uint8_t *ret_bytes)
{
        for (size_t i = 0; i < count; i++)
                put_pair(scope_bf16_narrow(values[i]), ret_bytes + 2 * i);
}
