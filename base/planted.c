#include "base/planted.h"

#include <stddef.h>

#ifdef SCOPE_PLANTED_BUGS
_Thread_local uint64_t scope_planted_mask;
#endif

const char *scope_planted_name(enum scope_planted bug)
{
        static const char *const names[] = {
#define X(name) #name,
                SCOPE_PLANTED_MAP(X)
#undef X
        };
        return (unsigned)bug < SCOPE_PLANTED_COUNT ? names[bug] : NULL;
}
