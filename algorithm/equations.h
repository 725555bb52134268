/* equations.h - the arithmetic that a step says, judged exactly.
 * Why: a process reward model for text nobody generated: "16 - 3 = 13", "$2 x 9 = $18",
 * "<<9*2=18>>", "20% of 50 = 10", "\frac{1}{2} \times 6 = 3". What is false is wrong whatever the
 * rest of the step says; what is no plain arithmetic is never judged.
 * (1) Numbers are exact rationals. (2) In doubt no verdict: unknowns, functions, clock times,
 * conversions within a dimension ("2 hours = 120 minutes"), rounding that may be meant. */
#pragma once

#include <stdint.h>

#include "schemas/records.h"

struct scope_equations {
        uint32_t right, wrong, unjudged; /* equals signs, by verdict */
};

/* Every equals sign of a text. A line counts up to 4,096 bytes.     thread  any; pure */
struct scope_equations scope_equations_check(struct scope_string text);

/* ret_p[j] = 0 where step j says something false, else 1: nothing speaks against it.
 * in      step_ends: exclusive byte offsets, rising     thread  any; pure */
void scope_equations_judge(struct scope_string text, const uint32_t *step_ends,
        uint32_t step_count, float *ret_p);
