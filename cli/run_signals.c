#include "cli/run_signals.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "runtime/system.h"

static const uint64_t DRAIN_NS = (uint64_t)60 * 1000000000u;

/* A handler knows nothing but what stands here. It runs on the main thread only: those of the
 * runtime take no signals. */
static struct scope_system *target;
static volatile sig_atomic_t count;

static void say(const char *words)
{
        ssize_t put = write(STDERR_FILENO, words, strlen(words));
        (void)put; /* nobody reads it: then nobody misses it */
}

static void handle(int number)
{
        int before = errno;
        (void)number;
        count++;
        if (count == 1) {
                say("\nstopping: the step under way is finished and saved; once more to stop at "
                    "once\n");
                scope_system_drain(target, DRAIN_NS); /* safe in a handler: an atomic and a wake */
        } else {
                scope_system_abort(target);
        }
        errno = before;
}

static void install(void (*handler)(int))
{
        struct sigaction action = { .sa_handler = handler };
        (void)sigemptyset(&action.sa_mask);
        action.sa_flags = SA_RESTART;
        (void)sigaction(SIGINT, &action, NULL); /* these fail only for a bad number */
        (void)sigaction(SIGTERM, &action, NULL);
}

void scope_signals_start(struct scope_system *system)
{
        scope_assert(target == NULL);
        target = system;
        count = 0;
        install(handle);
}

int scope_signals_stop(void)
{
        install(SIG_DFL);
        target = NULL;
        return (int)count;
}
