#include "cli/core_times.h"

#include <math.h>
#include <string.h>

const char *const scope_core_words[SCOPE_CORE_COUNT] = {
#define X(name, word, what) word,
        SCOPE_CORE_MAP(X)
#undef X
};

/* What the jobs call it: runtime/trace_work.h. */
static enum scope_core_use use_of(const char *what)
{
        static const char *const whats[SCOPE_CORE_COUNT] = {
#define X(name, word, what) what,
                SCOPE_CORE_MAP(X)
#undef X
        };
        for (int use = 0; use < SCOPE_CORE_OTHER; use++)
                if (strcmp(what, whats[use]) == 0)
                        return (enum scope_core_use)use;
        return SCOPE_CORE_OTHER;
}

struct scope_core_times scope_core_times_of(
        const struct scope_system *system, unsigned cores, double wall_s)
{
        struct scope_core_times times = { .saving_s = 0 };
        struct scope_system_work work;
        double busy = 0;
        for (unsigned i = 0; system != NULL && scope_system_work(system, i, &work); i++) {
                double seconds = (double)work.ns * 1e-9;
                if (work.io) {
                        times.saving_s += seconds;
                        continue;
                }
                times.seconds[use_of(work.what)] += seconds;
                busy += seconds;
        }
        times.seconds[SCOPE_CORE_IDLE] = fmax(0, cores * wall_s - busy);
        return times;
}
