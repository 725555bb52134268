#include "runtime/thread.h"

#include <signal.h>

#include "base/check.h"

enum scope_err scope_thread_create(pthread_t *ret_thread, void *(*main)(void *), void *arg)
{
        sigset_t all, before;
        (void)sigfillset(&all);
        int failed = pthread_sigmask(SIG_SETMASK, &all, &before);
        scope_assert(failed == 0); /* only bad arguments fail */
        int started = pthread_create(ret_thread, NULL, main, arg); /* it inherits the mask */
        failed = pthread_sigmask(SIG_SETMASK, &before, NULL);
        scope_assert(failed == 0);
        return started == 0 ? SCOPE_OK : SCOPE_ERR_INTERNAL;
}
