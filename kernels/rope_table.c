/* rope_table.c - the angles of rope.h, the same for every table of kernels. */
#include <math.h>
#include <stddef.h>

#include "base/check.h"
#include "kernels/rope.h"

static double scaled(const struct scope_rope_scaling *scaling, double frequency)
{
        const double pi = 3.14159265358979323846;
        if (!scaling->on)
                return frequency;
        /* How often the wave turns within the original context. */
        double turns = scaling->original_positions * frequency / (2 * pi);
        double low = scaling->low_freq_factor, high = scaling->high_freq_factor;
        if (turns > high)
                return frequency;
        if (turns < low)
                return frequency / scaling->factor;
        double keep = (turns - low) / (high - low);
        return (1 - keep) * frequency / scaling->factor + keep * frequency;
}

void scope_rope_table(const struct scope_rope_table_args *args, float *table)
{
        scope_assert(args->theta > 0.0f);
        scope_assert(args->head_dim % 2 == 0);
        const uint32_t half = args->head_dim / 2;
        for (uint32_t i = 0; i < half; i++) {
                double frequency =
                        scaled(&args->scaling, pow(args->theta, -2.0 * i / args->head_dim));
                for (uint32_t p = 0; p < args->positions; p++) {
                        float *row = table + (size_t)p * args->head_dim;
                        row[i] = (float)cos(p * frequency);
                        row[half + i] = (float)sin(p * frequency);
                }
        }
}
