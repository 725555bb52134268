#include "algorithm/interval.h"

#include <math.h>

/* 97.5 % quantile of Student's t, by the expansion of Hill (1970); within 1 % from 3 degrees on. */
static double student(double degrees)
{
        static const double exact[] = { 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306,
                2.262, 2.228 };
        const double z = 1.959964;
        if (degrees < 1)
                return NAN;
        if (degrees <= 10)
                return exact[(int)degrees - 1];
        return z + (z * z * z + z) / (4 * degrees) +
               (5 * pow(z, 5) + 16 * z * z * z + 3 * z) / (96 * degrees * degrees);
}

struct scope_interval scope_interval_of(const double *values, uint32_t count)
{
        double sum = 0, square = 0;
        for (uint32_t i = 0; i < count; i++)
                sum += values[i];
        double mean = sum / count;
        for (uint32_t i = 0; i < count; i++)
                square += (values[i] - mean) * (values[i] - mean);
        double deviation = count > 1 ? sqrt(square / (count - 1)) : NAN;
        return (struct scope_interval){ mean,
                student((double)count - 1) * deviation / sqrt(count) };
}
