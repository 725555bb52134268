/* rope.h - rotary positions, the two halves of a head rotated against each other (as Hugging
 * Face orders them). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* In place: (a, b) = (x[i], x[i + head_dim/2]) of each head becomes (a cos - b sin, b cos + a sin).
 * inverse turns back, which is the gradient. */
struct scope_rope_args {
        float *x;                  /* [rows, heads, head_dim] */
        const uint32_t *positions; /* [rows], each < the table's */
        const float *table; /* [positions, head_dim]: head_dim/2 cosines, then as many sines */
        uint32_t rows, heads, head_dim;
        bool inverse;
};

/* Llama 3.1's stretching of the context: waves shorter than original_positions / high_freq_factor
 * stay, those longer than original_positions / low_freq_factor turn `factor` times slower, those
 * between are blended. */
struct scope_rope_scaling {
        bool on;
        float factor, low_freq_factor, high_freq_factor;
        uint32_t original_positions;
};
struct scope_rope_table_args {
        float theta; /* > 0 */
        struct scope_rope_scaling scaling;
        uint32_t positions, head_dim;
};

/* Fills table[positions, head_dim] for angle = position * frequency_i, frequency_i =
 * theta^(-2i/head_dim), scaled.     thread  any */
void scope_rope_table(const struct scope_rope_table_args *args, float *table);
