#include "actors/idle.h"

#include "runtime/actor.h"

#define X(name, word, help) word,
const char *const scope_idle_words[SCOPE_IDLE_COUNT] = { SCOPE_IDLE_MAP(X) };
#undef X

#define X(name, word, help) help,
const char *const scope_idle_help[SCOPE_IDLE_COUNT] = { SCOPE_IDLE_MAP(X) };
#undef X

uint64_t scope_service_ns(const struct scope_actor *self, uint64_t since_ns, uint64_t waited_ns)
{
        uint64_t ns = scope_now_ns(self) - since_ns, waits_ns = scope_waited_ns(self) - waited_ns;
        return waits_ns < ns ? ns - waits_ns : 0;
}
