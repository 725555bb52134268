#include "cli/placement.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "runtime/topology_hwloc.h"

enum { DEFAULT_CORES_MAX = 16 };

struct core_range {
        unsigned first, last;
};

/* The cores of the machine that this process may use. */
struct allowed {
        bool core[SCOPE_CORES_MAX];
        unsigned first, last;
};

static void find_allowed(const struct scope_topology *here, struct allowed *ret_allowed)
{
        struct allowed allowed = { .first = SCOPE_CORES_MAX - 1 };
        for (unsigned i = 0; i < here->core_count; i++) {
                unsigned core = here->cores[i] < 0 ? 0 : (unsigned)here->cores[i];
                allowed.core[core] = true;
                allowed.first = core < allowed.first ? core : allowed.first;
                allowed.last = core > allowed.last ? core : allowed.last;
        }
        *ret_allowed = allowed;
}

/* "cpu", "cpu:0-1" or "cpu:3". */
static enum scope_err read_device(const struct scope_placement *placement,
        const struct allowed *allowed, struct core_range *ret_range, struct scope_diag *diag)
{
        struct core_range range = { allowed->first, allowed->last };
        const char *device = placement->device;
        int used = 0;
        if (strncmp(device, "cuda:", 5) == 0)
                return scope_diag_set(diag, SCOPE_ERR_UNSUPPORTED,
                        "placement of role \"%s\" names device \"%s\", and there is no CUDA here: "
                        "this build has no CUDA plug-in; use \"cpu:0-1\", or run it where there "
                        "are GPUs",
                        placement->role, device);
        bool good = strcmp(device, "cpu") == 0;
        if (!good && sscanf(device, "cpu:%u-%u%n", &range.first, &range.last, &used) == 2)
                good = device[used] == 0;
        else if (!good && sscanf(device, "cpu:%u%n", &range.first, &used) == 1) {
                good = device[used] == 0;
                range.last = range.first;
        }
        if (!good || range.last < range.first)
                return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "placement of role \"%s\": \"%s\" is not a device; write \"cpu\", "
                        "\"cpu:0-1\" or \"cuda:0\"",
                        placement->role, device);
        for (unsigned core = range.first; strcmp(device, "cpu") != 0 && core <= range.last; core++)
                if (core > allowed->last || !allowed->core[core])
                        return scope_diag_set(diag, SCOPE_ERR_NOT_FOUND,
                                "placement of role \"%s\" names core %u; what this program may "
                                "use lies from %u to %u",
                                placement->role, core, allowed->first, allowed->last);
        *ret_range = range;
        return SCOPE_OK;
}

/* Number of the first worker whose core is not below `core`. */
static unsigned worker_from(const struct scope_cores *cores, unsigned core)
{
        unsigned at = 0;
        while (at < cores->compute_count && cores->compute[at] < (int)core)
                at++;
        return at;
}

/* Actor `index` of `count` in a range of workers. */
static struct scope_workers part(
        const struct scope_cores *cores, struct core_range range, unsigned index, unsigned count)
{
        unsigned first = worker_from(cores, range.first);
        unsigned size = worker_from(cores, range.last + 1) - first;
        scope_assert(size > 0);
        unsigned begin = index % size, end = begin + 1;
        if (count <= size) {
                begin = index * size / count;
                end = (index + 1) * size / count;
        }
        return (struct scope_workers){ (uint16_t)(first + begin), (uint16_t)(end - begin) };
}

static enum scope_err place(struct scope_cores *cores, const struct scope_placement *placement,
        struct core_range range, struct scope_diag *diag)
{
        struct scope_workers all = part(cores, range, 0, 1);
        if (strcmp(placement->as, "thread") != 0)
                return scope_diag_set(diag, SCOPE_ERR_UNSUPPORTED,
                        "placement of role \"%s\": as = \"%s\" is not to be had; use \"thread\"",
                        placement->role, placement->as);
        bool rollout = strcmp(placement->role, "rollout") == 0;
        bool learner = strcmp(placement->role, "learner") == 0;
        if (!rollout && !learner && strcmp(placement->role, "prm") != 0)
                return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "placement: role \"%s\" is not known; roles are rollout, learner, prm",
                        placement->role);
        unsigned count = (unsigned)placement->count;
        if (!rollout && count != 1)
                return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "placement of role \"%s\": count is %u; there is one", placement->role,
                        count);
        if (learner)
                cores->learner = all;
        else if (!rollout)
                cores->prm = all;
        if (!rollout)
                return SCOPE_OK;
        if (cores->rollout_count + count > SCOPE_ROLLOUTS_MAX)
                return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "placement: %u rollouts; the limit is %d", cores->rollout_count + count,
                        SCOPE_ROLLOUTS_MAX);
        for (unsigned i = 0; i < count; i++)
                cores->rollout[cores->rollout_count++] = part(cores, range, i, count);
        return SCOPE_OK;
}

/* What no placement spoke of may use everything. */
static void fill(struct scope_cores *cores, bool colocated)
{
        struct scope_workers all = { 0, (uint16_t)cores->compute_count };
        if (cores->rollout_count == 0)
                cores->rollout[cores->rollout_count++] = all;
        if (cores->learner.count == 0 || colocated)
                cores->learner = all;
        if (cores->prm.count == 0 || colocated)
                cores->prm = all;
        /* colocated: the stages take turns, each on everything */
        for (unsigned i = 0; i < cores->rollout_count && colocated; i++)
                cores->rollout[i] = all;
}

enum scope_err scope_cores_find(const struct scope_pipeline_options *options,
        struct scope_cores *ret_cores, struct scope_diag *diag)
{
        struct core_range ranges[SCOPE_PLACEMENTS_MAX];
        struct scope_cores cores = { .loop = -1 };
        bool named[SCOPE_CORES_MAX] = { false };
        struct scope_topology here;
        struct allowed allowed;
        scope_topology_read(&here);
        find_allowed(&here, &allowed);
        for (uint32_t i = 0; i < options->placement_count; i++) {
                enum scope_err err =
                        read_device(&options->placement[i], &allowed, &ranges[i], diag);
                if (err != SCOPE_OK)
                        return err;
                for (unsigned core = ranges[i].first; core <= ranges[i].last; core++)
                        named[core] = allowed.core[core];
        }
        /* Physical cores come first in the list: so few share one as can be. */
        for (unsigned i = 0; options->placement_count == 0 && i < here.core_count &&
                i < DEFAULT_CORES_MAX; i++)
                named[here.cores[i] < 0 ? 0 : here.cores[i]] = true;
        for (unsigned core = allowed.first; core <= allowed.last; core++)
                if (named[core])
                        cores.compute[cores.compute_count++] = (int)core;
        for (uint32_t i = 0; i < options->placement_count; i++) {
                enum scope_err err = place(&cores, &options->placement[i], ranges[i], diag);
                if (err != SCOPE_OK)
                        return err;
        }
        const struct scope_strategy *strategy = scope_strategy_find(options->pipeline.strategy);
        fill(&cores, strategy != NULL && strategy->colocated);
        if (options->learner.ranks > cores.learner.count)
                return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "learner.ranks is %lld, and the learner has %u cores",
                        (long long)options->learner.ranks, cores.learner.count);
        *ret_cores = cores;
        return SCOPE_OK;
}
