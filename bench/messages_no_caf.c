/* messages_no_caf.c - stands in for messages_caf.cc where libcaf is not installed. */
#include "bench/messages_caf.h"

#include <stddef.h>

const char *scope_bench_caf_version(void)
{
        return NULL;
}

double scope_bench_caf_round_trip(uint64_t rounds)
{
        (void)rounds;
        return 0;
}
