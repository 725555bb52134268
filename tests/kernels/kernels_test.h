/* kernels_test.h - one body over all tables: random arguments, comparison with "ref", slopes. */
#pragma once

#include <math.h>
#include <stdbool.h>

#include "base/rng.h"
#include "kernels/kernels.h"
#include "tests/test.h"

enum { TEST_ARRAYS_MAX = 24 };

/* Arrays of one test, freed together. */
struct arrays {
        float *taken[TEST_ARRAYS_MAX];
        size_t count;
        struct scope_rng rng;
};

static inline float *arrays_zeros(struct arrays *arrays, size_t count)
{
        size_t bytes = (count * sizeof(float) + 64 + 63) & ~(size_t)63;
        float *floats = aligned_alloc(64, bytes);
        assert_non_null(floats);
        assert_true(arrays->count < TEST_ARRAYS_MAX);
        memset(floats, 0, bytes);
        arrays->taken[arrays->count++] = floats;
        return floats;
}

static inline float *arrays_random(struct arrays *arrays, size_t count, double scale)
{
        float *floats = arrays_zeros(arrays, count);
        for (size_t i = 0; i < count; i++)
                floats[i] = (float)(scale * scope_rng_normal(&arrays->rng));
        return floats;
}

static inline float *arrays_copy(struct arrays *arrays, const float *from, size_t count)
{
        float *floats = arrays_zeros(arrays, count);
        memcpy(floats, from, count * sizeof(float));
        return floats;
}

static inline void arrays_free(struct arrays *arrays)
{
        for (size_t i = 0; i < arrays->count; i++)
                free(arrays->taken[i]);
        arrays->count = 0;
}

/* Every element within tolerance * the largest magnitude (at least 1: arguments are). */
static inline void assert_near(const struct scope_kernels *table, const char *what,
        const float *got, const float *want, size_t count, double tolerance)
{
        double scale = 1.0;
        for (size_t i = 0; i < count; i++)
                scale = fmax(scale, fabs((double)want[i]));
        for (size_t i = 0; i < count; i++)
                if (!(fabs((double)got[i] - want[i]) <= tolerance * scale))
                        fail_msg("%s %s: %s[%zu] = %.9g, expected %.9g", table->name,
                                table->variant, what, i, (double)got[i], (double)want[i]);
}

static inline double inner(const float *a, const float *b, size_t count)
{
        double sum = 0.0;
        for (size_t i = 0; i < count; i++)
                sum += (double)a[i] * b[i];
        return sum;
}

/* `gradient` must be the slope of value(context) along random directions of x[count]. */
static inline void assert_slope(const struct scope_kernels *table, const char *what, float *x,
        const float *gradient, size_t count, double (*value)(void *context), void *context)
{
        const double step = 1e-2, at[4] = { -2, -1, 1, 2 }, weight[4] = { 1, -8, 8, -1 };
        struct arrays arrays = { .rng = scope_rng_make(count) };
        float *saved = arrays_copy(&arrays, x, count);
        for (int trial = 0; trial < 3; trial++) {
                float *direction = arrays_random(&arrays, count, 1.0 / sqrt((double)count));
                double slope = 0.0, length = 0.0;
                for (int i = 0; i < 4; i++) {
                        for (size_t j = 0; j < count; j++)
                                x[j] = (float)(saved[j] + at[i] * step * direction[j]);
                        slope += weight[i] * value(context) / (12.0 * step);
                }
                memcpy(x, saved, count * sizeof(float));
                for (size_t j = 0; j < count; j++)
                        length += fabs((double)direction[j] * gradient[j]);
                double expected = inner(direction, gradient, count);
                if (!(fabs(slope - expected) <= 1e-3 * length + 1e-4))
                        fail_msg("%s %s: d/d%s is %.7g, its slope %.7g", table->name,
                                table->variant, what, expected, slope);
        }
        arrays_free(&arrays);
}

/* Runs `body` once for every table this machine can run. */
static inline void for_each_table(void (*body)(const struct scope_kernels *table))
{
        const struct scope_kernels *table;
        (void)scope_kernels_pick(SCOPE_DEVICE_CPU); /* for its one thread a product */
        for (size_t i = 0; (table = scope_kernels_at(i)) != NULL; i++)
                body(table);
}
