/* half.h - the two 16-bit floats of files: IEEE binary16 and bfloat16.
 * Why: checkpoints are stored in them; we compute in f32. Widening is exact; narrowing rounds to
 * the nearest, ties to even, and keeps NaN a NaN. thread  any */
#pragma once

#include <stddef.h>
#include <stdint.h>

float scope_f16_widen(uint16_t half);
uint16_t scope_f16_narrow(float value);
float scope_bf16_widen(uint16_t half);
uint16_t scope_bf16_narrow(float value);

/* Of little-endian bytes, which need not be aligned; `bytes` and values may not overlap. */
void scope_f16_widen_all(const uint8_t *bytes, size_t count, float *ret_values);
void scope_bf16_widen_all(const uint8_t *bytes, size_t count, float *ret_values);
void scope_f16_narrow_all(const float *values, size_t count, uint8_t *ret_bytes);
void scope_bf16_narrow_all(const float *values, size_t count, uint8_t *ret_bytes);
