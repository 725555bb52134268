/* sim_draw.h - the configuration of one simulated run.
 * Why: a bug often needs one odd setting; each seed draws its own. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct scope_pipeline_options;
struct scope_teacher_script_options;

/* What is no option of a run but of its world. */
struct scope_sim_setting {
        uint32_t rollouts, slots;
        uint64_t decode_ns, microbatch_ns, heal_ns;
};

/* Changes `options`, which hold the standard values, and `script` as `seed` says.
 * teacher_faults: the script may be wrong, slow and rude      thread  any; pure */
struct scope_sim_setting scope_sim_draw(uint64_t seed, bool teacher_faults,
        struct scope_pipeline_options *options, struct scope_teacher_script_options *script);
