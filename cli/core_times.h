/* core_times.h - what the cores of a run were busy with.
 * Why: the bubble ledger says who waited for whom; this says which work took the machine's time.
 * The names add up: cores x wall time = all of them together, "idle" included. */
#pragma once

#include <stdint.h>

#include "runtime/system.h"

#define SCOPE_CORE_MAP(X)                                                                          \
        X(DECODE, "decode", "decode")                                                              \
        X(PREFILL, "prefill", "prefill")                                                           \
        X(PACK, "pack", "pack weights")                                                            \
        X(PRM, "prm", "score steps")                                                               \
        X(REFERENCE, "reference", "reference log-probabilities")                                   \
        X(FORWARD, "forward", "forward")                                                           \
        X(BACKWARD, "backward", "backward")                                                        \
        X(UPDATE, "update", "update")                                                              \
        X(EXPORT, "export", "export weights")                                                      \
        X(EVALUATE, "evaluate", "evaluate")                                                        \
        X(OTHER, "other", "")                                                                      \
        X(IDLE, "idle", "")

enum scope_core_use {
#define X(name, word, what) SCOPE_CORE_##name,
        SCOPE_CORE_MAP(X)
#undef X
        SCOPE_CORE_COUNT
};

extern const char *const scope_core_words[SCOPE_CORE_COUNT];

struct scope_core_times {
        double seconds[SCOPE_CORE_COUNT];
        double saving_s; /* of the thread that writes files: beside the cores */
};

/* Since the start: `cores` compute threads have lived for wall_s seconds.     thread  any */
struct scope_core_times scope_core_times_of(
        const struct scope_system *system, unsigned cores, double wall_s);
