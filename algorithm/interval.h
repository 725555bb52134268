/* interval.h - means of few values with their 95 % intervals.
 * Why: a difference between arms is worth what its interval says; both benches use the same one. */
#pragma once

#include <stdint.h>

struct scope_interval {
        double mean, half; /* half: of the 95 % interval (Student's t); NAN with one value */
};

/* in      count >= 1     thread  any; pure */
struct scope_interval scope_interval_of(const double *values, uint32_t count);
