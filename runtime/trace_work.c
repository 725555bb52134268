#include "runtime/trace_work.h"

#include <stddef.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "runtime/spin.h"

static _Thread_local struct scope_work *work_here;

static const char *name_at(struct scope_work *work, unsigned index)
{
        /* pairs with the release below: who sees the name sees the text */
        return atomic_load_explicit(&work->kinds[index].what, memory_order_acquire);
}

static unsigned find(struct scope_work *work, const char *what)
{
        for (unsigned i = 0; i < SCOPE_WORK_NAMES; i++) {
                const char *name = name_at(work, i);
                if (name == NULL) {
                        atomic_store_explicit(
                                &work->kinds[i].what, what, memory_order_release);
                        return i;
                }
                if (name == what || strcmp(name, what) == 0)
                        return i;
        }
        return SCOPE_WORK_NAMES - 1;
}

static void charge(struct scope_work *work, uint64_t now_ns)
{
        _Atomic uint64_t *ns = &work->kinds[work->at].ns;
        if (now_ns > work->mark_ns)
                atomic_store_explicit(ns,
                        atomic_load_explicit(ns, memory_order_relaxed) + now_ns - work->mark_ns,
                        memory_order_relaxed);
        work->mark_ns = now_ns;
}

void scope_work_begin(struct scope_work *work, const char *what, uint64_t now_ns)
{
        scope_assert(work_here == NULL);
        work->at = find(work, what != NULL ? what : "unnamed");
        work->mark_ns = now_ns;
        work_here = work;
}

void scope_work_end(struct scope_work *work, uint64_t now_ns)
{
        scope_assert(work_here == work);
        charge(work, now_ns);
        work_here = NULL;
}

const char *scope_work_is(const char *what)
{
        struct scope_work *work = work_here;
        if (work == NULL)
                return NULL;
        const char *before = name_at(work, work->at);
        if (what == NULL || before == what)
                return before;
        charge(work, scope_clock_ns(CLOCK_MONOTONIC));
        work->at = find(work, what);
        return before;
}

bool scope_work_read(
        struct scope_work *work, unsigned index, const char **ret_what, uint64_t *ret_ns)
{
        const char *what = index < SCOPE_WORK_NAMES ? name_at(work, index) : NULL;
        if (what == NULL)
                return false;
        *ret_what = what;
        *ret_ns = atomic_load_explicit(&work->kinds[index].ns, memory_order_relaxed);
        return true;
}
