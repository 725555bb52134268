#include "cli/placement.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

struct core_range {
        unsigned first, last;
};

/* "cpu", "cpu:0-1" or "cpu:3". */
static enum scope_err read_device(const struct scope_placement *placement, unsigned online,
        struct core_range *ret_range, struct scope_diag *diag)
{
        struct core_range range = { 0, online - 1 };
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
        if (range.last >= online)
                return scope_diag_set(diag, SCOPE_ERR_NOT_FOUND,
                        "placement of role \"%s\" names core %u; this machine has cores 0 to %u",
                        placement->role, range.last, online - 1);
        *ret_range = range;
        return SCOPE_OK;
}

/* Worker number of a core that some placement names. */
static unsigned worker_of(const struct scope_cores *cores, unsigned core)
{
        unsigned at = 0;
        while (cores->compute[at] != (int)core) {
                at++;
                scope_assert(at < cores->compute_count);
        }
        return at;
}

/* Actor `index` of `count` in a range of workers. */
static struct scope_workers part(
        const struct scope_cores *cores, struct core_range range, unsigned index, unsigned count)
{
        unsigned size = range.last - range.first + 1;
        unsigned begin = index % size, end = begin + 1;
        if (count <= size) {
                begin = index * size / count;
                end = (index + 1) * size / count;
        }
        return (struct scope_workers){ (uint16_t)worker_of(cores, range.first + begin),
                (uint16_t)(end - begin) };
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
        long found = sysconf(_SC_NPROCESSORS_ONLN);
        unsigned online = found < 1 ? 1 : found > SCOPE_CORES_MAX ? SCOPE_CORES_MAX
                                                                  : (unsigned)found;
        for (uint32_t i = 0; i < options->placement_count; i++) {
                enum scope_err err =
                        read_device(&options->placement[i], online, &ranges[i], diag);
                if (err != SCOPE_OK)
                        return err;
                for (unsigned core = ranges[i].first; core <= ranges[i].last; core++)
                        named[core] = true;
        }
        for (unsigned core = 0; core < online; core++)
                if (named[core] || (options->placement_count == 0 && core < 16))
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
