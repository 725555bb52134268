/* topology_hwloc.h - which cores this process may use, and a thread bound to one.
 * Why: unpinned gang workers often land on one core and then two threads are no faster than one.
 * (1) Only cores the process is allowed to run on are listed. (2) Everything here degrades: a
 * machine that cannot be read or a thread that cannot be bound costs speed, never the run. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/limits.h"

/* Core numbers are the operating system's, one hardware thread each: first one of every physical
 * core, then the siblings, so that a prefix of the list shares as little as possible. */
struct scope_topology {
        unsigned core_count, physical_count;
        int cores[SCOPE_CORES_MAX];
};

/* Never fails: where hwloc cannot tell, the process's affinity mask is the list.       thread  any
 * */
void scope_topology_read(struct scope_topology *ret_topology);

/* True when a waiting thread may look for work briefly (spin.h). Loops and workers seldom work at
 * the same moment and a looking thread yields, so each kind is counted alone.       thread  any */
bool scope_topology_may_spin(const struct scope_topology *topology, unsigned loops,
        unsigned compute);

/* Binds the calling thread; -1 does nothing.
 * errors  SCOPE_ERR_REFUSED: the system does not allow it; carry on unbound      thread  any */
enum scope_err scope_thread_pin(int core);
