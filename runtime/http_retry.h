/* http_retry.h - when a server wants to be asked again.
 * Why: Retry-After comes as seconds, as a date, or as retry-after-ms; a wrong reading either
 * hammers the teacher or waits for ever. Pure: bytes in, nanoseconds out. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Larger wishes are cut to this. */
#define SCOPE_HTTP_RETRY_NS_MAX ((int64_t)86400 * 1000000000)

/* Zeroed = nothing said. */
struct scope_http_retry {
        int64_t after_ns, after_ms_ns; /* value + 1; 0 = none */
        int64_t until_s, date_s;       /* Retry-After as a date, the server's own Date; 0 = none */
};

/* Takes one header line, line end included or not. A status line forgets what an earlier (1xx)
 * response said. Lines that are not understood change nothing. */
void scope_http_retry_header(struct scope_http_retry *retry, const char *line, size_t count);

/* -1 = the server did not say. retry-after-ms is finer and wins; a date counts from the server's
 * own clock where it tells it, else from `now`; a date in the past is 0. */
int64_t scope_http_retry_ns(const struct scope_http_retry *retry, time_t now);
