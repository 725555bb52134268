/* idle.h - why an actor does nothing: the words of the bubble ledger.
 * Why: overlap is worth what it takes away from these; every actor's wall time is split among them
 * and its own turns, and nothing is left over (runtime/trace.h).
 * (1) An actor that waits for work says "starved"; groups, who withholds work, says why
 * (groups_idle.c). (2) COMPUTING and CALLING are work done elsewhere for the actor: busy. */
#pragma once

#include <stdint.h>

struct scope_actor;

#define SCOPE_IDLE_MAP(X)                                                                          \
        X(COMPUTING, "computing", "its job runs")                                                  \
        X(CALLING, "calling", "calls to a server are under way")                                   \
        X(STARVED, "starved", "nothing has arrived")                                               \
        X(BLOCKED, "blocked", "what it makes finds no room")                                       \
        X(BARRIER, "barrier", "work is there, but the whole batch must arrive first")              \
        X(CREDIT, "credit", "as many groups live as may")                                          \
        X(WEIGHTS, "weights", "new weights are published or taken")                                \
        X(PREFILL, "prefill", "contexts are computed again under new weights")                     \
        X(THROTTLED, "throttled", "the server asked for patience")                                 \
        X(CORES, "cores", "its job waits for free cores")                                          \
        X(FAILURE, "failure", "it, or the server it calls, is down")                               \
        X(STARTUP, "startup", "the first work is on its way")                                      \
        X(TAIL, "tail", "the run ends: no more work comes")                                        \
        X(OTHER, "other", "none of these")

enum scope_idle {
#define X(name, word, help) SCOPE_IDLE_##name,
        SCOPE_IDLE_MAP(X)
#undef X
        SCOPE_IDLE_COUNT
};
enum { SCOPE_IDLE_FIRST = SCOPE_IDLE_STARVED }; /* those before are busy */

extern const char *const scope_idle_words[SCOPE_IDLE_COUNT];
extern const char *const scope_idle_help[SCOPE_IDLE_COUNT];

/* From since_ns to now, less what this actor's jobs waited for cores: what it would take alone.
 * in      waited_ns: what scope_waited_ns said then     thread  owner */
uint64_t scope_service_ns(const struct scope_actor *self, uint64_t since_ns, uint64_t waited_ns);
