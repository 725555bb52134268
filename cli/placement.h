/* placement.h - which cores and devices do what: [[placement]] read against this machine.
 * Why: roles are placed by name in a file, jobs run on workers by number; in between a range is
 * shared out among the actors of a role, and what is not here is refused before anything starts.
 * (1) Workers are the named cores in rising order; without any placement all that this process may
 * use, at most 16, do all work.
 * (2) `count` actors share their range: its parts where there are enough cores, else turns. */
#pragma once

#include "actors/stages.h"
#include "base/limits.h"

struct scope_cores {
        int compute[SCOPE_CORES_MAX], loop; /* core numbers; -1 = not pinned */
        unsigned compute_count, rollout_count;
        struct scope_workers rollout[SCOPE_ROLLOUTS_MAX], learner, prm; /* never empty */
};

/* errors  SCOPE_ERR_UNSUPPORTED: a device this build lacks, by name; SCOPE_ERR_NOT_FOUND: a core
 *         this machine lacks; SCOPE_ERR_ARGUMENT: a role or device nobody knows, too many rollouts
 * thread  setup */
enum scope_err scope_cores_find(const struct scope_pipeline_options *options,
        struct scope_cores *ret_cores, struct scope_diag *diag);
