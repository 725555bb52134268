/* played_run.h - a run of played stages in virtual time, and what its trail says of it. */
#pragma once

#include <math.h>

#include "cli/overlap_report.h"
#include "cli/overlap_world.h"
#include "cli/run_overlap.h"
#include "tests/cli/load_options.h"

static inline struct scope_overlap_report played_run(
        struct scope_pipeline_options *options, struct scope_overlap_world_result *ret_result)
{
        struct scope_overlap_trail *trail = NULL;
        struct scope_overlap_report report;
        struct scope_diag diag = { "" };
        const char *key;
        if (scope_pipeline_options_check(options, &key, &diag) != SCOPE_OK)
                fail_msg("%s", diag.text);
        struct scope_overlap_setting setting = scope_overlap_setting_of(options, 1, 0);
        if (scope_overlap_setting_simulated(&setting, options, 1, &diag) != SCOPE_OK)
                fail_msg("%s", diag.text);
        assert_ok(scope_overlap_trail_create(&setting, &trail));
        if (scope_overlap_world_run(
                    options, scope_overlap_trail_event, trail, ret_result, &diag) != SCOPE_OK)
                fail_msg("%s", diag.text);
        assert_ok(scope_overlap_trail_report(trail, NULL, 0, &report));
        scope_overlap_trail_destroy(trail);
        return report;
}

static inline void near(double value, double expected)
{
        if (fabs(value - expected) > 0.02 * expected)
                fail_msg("%g s a step, not %g", value, expected);
}
