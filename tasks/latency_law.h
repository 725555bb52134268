/* latency_law.h - how long a scripted teacher takes, as a distribution written in one word.
 * Why: overlap is measured against constant, spread and heavy-tailed latency alike. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/rng.h"

enum scope_latency_kind {
        SCOPE_LATENCY_CONSTANT,
        SCOPE_LATENCY_UNIFORM,   /* low, high */
        SCOPE_LATENCY_LOGNORMAL, /* mean, sigma of the logarithm */
        SCOPE_LATENCY_PARETO,    /* smallest, exponent alpha: the smaller, the heavier the tail */
        SCOPE_LATENCY_EMPIRICAL, /* one of `values`, each equally likely; not written in a word */
};

struct scope_latency_law {
        enum scope_latency_kind kind;
        double a, b; /* seconds, then seconds or the pure number */
        double cap;  /* seconds; a longer draw is cut to it */
        const uint64_t *values; /* [count] ns, of EMPIRICAL, borrowed; count > 0 */
        uint64_t count;
};

enum { SCOPE_LATENCY_SECONDS_MAX = 3600 }; /* of a draw: tails are cut there */

/* What serves tokens: so many a second, all that it serves together, in no less than this. */
struct scope_tokens_law {
        double rate, least_s; /* rate 0 = this is none */
};

/* Reads "constant:20ms", "uniform:10ms-50ms", "lognormal:200ms,0.8" or "pareto:50ms,1.5", the last
 * two with ",2s" behind for the longest draw; units us, ms, s, m; a bare number is seconds.
 * errors  SCOPE_ERR_FORMAT, `diag` says what is right     thread  any; pure */
enum scope_err scope_latency_law_parse(
        const char *words, struct scope_latency_law *ret_law, struct scope_diag *diag);

/* The same words for a number of tokens, without units: "lognormal:800,0.6,4096". Draws are
 * tokens x 10^9.
 * errors  as above */
enum scope_err scope_length_law_parse(
        const char *words, struct scope_latency_law *ret_law, struct scope_diag *diag);

/* "tokens:3000" (a second) or "tokens:3000,12ms".
 * errors  as above; a law of another kind gives rate 0 and SCOPE_OK */
enum scope_err scope_tokens_law_parse(
        const char *words, struct scope_tokens_law *ret_law, struct scope_diag *diag);

/* thread  any; pure but for `rng` */
uint64_t scope_latency_law_draw_ns(const struct scope_latency_law *law, struct scope_rng *rng);
