/* trace_work.h - what compute threads do, by name.
 * Why: where the time of a step goes is asked of every run. A job's time is charged to its `what`;
 * a job that does several things says which one it does now.
 * (1) Written by one thread, read by any. (2) Names are static text, told apart by what they say;
 * a thread that has used up its SCOPE_WORK_NAMES charges the rest to the last of them. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { SCOPE_WORK_NAMES = 24 };

/* Of one thread. Zeroed is empty. Counters are relaxed: they order nothing but name before time. */
struct scope_work {
        struct {
                _Atomic(const char *) what; /* set once, with release; readers acquire */
                _Atomic uint64_t ns;
        } kinds[SCOPE_WORK_NAMES];
        unsigned at;
        uint64_t mark_ns;
};

/* From here on this thread works on `what`; until end.     thread  the work's own */
void scope_work_begin(struct scope_work *work, const char *what, uint64_t now_ns);
void scope_work_end(struct scope_work *work, uint64_t now_ns);

/* Called inside a job: charges the time from now on to `what`. Returns what it was charged to
 * before, to go back to. NULL only asks. On a thread that runs no job: NULL, and nothing happens.
 * thread  any */
const char *scope_work_is(const char *what);

/* Time of one name, in the order of first use; false past the end. What is under way is not in it
 * before it ends.     thread  any */
bool scope_work_read(
        struct scope_work *work, unsigned index, const char **ret_what, uint64_t *ret_ns);
