/* messages_caf.h - the same ping-pong in CAF, when the build found it. */
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "0.17.6", or NULL when CAF is not built in. */
const char *scope_bench_caf_version(void);
/* Nanoseconds a round trip; 0 when CAF is not built in. */
double scope_bench_caf_round_trip(uint64_t rounds);

#ifdef __cplusplus
}
#endif
