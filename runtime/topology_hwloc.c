#include "runtime/topology_hwloc.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include <hwloc.h>

#include "base/check.h"

static void add_core(struct scope_topology *topology, int core)
{
        if (core < SCOPE_CORES_MAX && topology->core_count < SCOPE_CORES_MAX)
                topology->cores[topology->core_count++] = core;
}

/* The n-th allowed hardware thread of every core, for n = 0, 1, ... until no core has one. */
static void list_by_sibling(
        hwloc_topology_t hw, hwloc_const_cpuset_t allowed, struct scope_topology *topology)
{
        int core_count = hwloc_get_nbobjs_by_type(hw, HWLOC_OBJ_CORE);
        for (int sibling = 0, found = 1; found > 0; sibling++) {
                found = 0;
                for (int index = 0; index < core_count; index++) {
                        hwloc_obj_t core =
                                hwloc_get_obj_by_type(hw, HWLOC_OBJ_CORE, (unsigned)index);
                        int unit = -1, left = sibling;
                        do
                                unit = hwloc_bitmap_next(core->cpuset, unit);
                        while (unit >= 0 &&
                                (!hwloc_bitmap_isset(allowed, (unsigned)unit) || left-- > 0));
                        if (unit < 0)
                                continue;
                        add_core(topology, unit);
                        found++;
                }
                if (sibling == 0)
                        topology->physical_count = topology->core_count;
        }
}

static bool read_hwloc(struct scope_topology *topology)
{
        hwloc_topology_t hw;
        if (hwloc_topology_init(&hw) != 0)
                return false;
        hwloc_cpuset_t allowed = hwloc_bitmap_alloc();
        if (allowed != NULL && hwloc_topology_load(hw) == 0 &&
                hwloc_get_cpubind(hw, allowed, HWLOC_CPUBIND_PROCESS) == 0)
                list_by_sibling(hw, allowed, topology);
        hwloc_bitmap_free(allowed);
        hwloc_topology_destroy(hw);
        return topology->core_count > 0;
}

void scope_topology_read(struct scope_topology *ret_topology)
{
        cpu_set_t mask;
        memset(ret_topology, 0, sizeof *ret_topology);
        if (read_hwloc(ret_topology))
                return;
        CPU_ZERO(&mask);
        if (sched_getaffinity(0, sizeof mask, &mask) == 0)
                for (int core = 0; core < CPU_SETSIZE; core++)
                        if (CPU_ISSET(core, &mask))
                                add_core(ret_topology, core);
        if (ret_topology->core_count == 0)
                add_core(ret_topology, -1); /* one core, whichever it is */
        ret_topology->physical_count = ret_topology->core_count;
}

bool scope_topology_may_spin(
        const struct scope_topology *topology, unsigned loops, unsigned compute)
{
        return loops <= topology->core_count && compute <= topology->core_count;
}

enum scope_err scope_thread_pin(int core)
{
        cpu_set_t mask;
        if (core < 0)
                return SCOPE_OK;
        if (core >= CPU_SETSIZE)
                return SCOPE_ERR_REFUSED;
        CPU_ZERO(&mask);
        CPU_SET(core, &mask);
        return pthread_setaffinity_np(pthread_self(), sizeof mask, &mask) == 0 ? SCOPE_OK
                                                                               : SCOPE_ERR_REFUSED;
}
