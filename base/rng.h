/* rng.h - random numbers that depend on names, never on time or thread.
 * Why: a sample must come out the same whatever ran before it: its stream is a hash of
 * (run seed, group, sample), and a draw is a pure function of (stream, counter).
 * Generator: splitmix64 over a 64-bit counter (Steele, Lea, Flood 2014). Not for secrets. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct scope_rng {
        uint64_t state;
};

/* The splitmix64 finaliser: a bijection of 64 bits.                  thread  any */
uint64_t scope_hash64(uint64_t value);

/* Order-dependent: H(a, b) != H(b, a).                               thread  any */
uint64_t scope_hash_pair(uint64_t a, uint64_t b);

/* FNV-1a then finalised; stable over versions.                       thread  any */
uint64_t scope_hash_bytes(const void *data, size_t bytes);

/* As scope_hash_bytes for big blocks: eight bytes at a time; another function, as stable. */
uint64_t scope_hash_words(const void *data, size_t bytes);

/* Sample seed = H(run seed, group, sample), nothing else (DESIGN 2). thread  any */
uint64_t scope_sample_seed(uint64_t run_seed, uint64_t group, uint64_t sample);

struct scope_rng scope_rng_make(uint64_t seed);
uint64_t scope_rng_next(struct scope_rng *rng);
/* 0..bound-1, unbiased; bound > 0 */
uint64_t scope_rng_below(struct scope_rng *rng, uint64_t bound);
double scope_rng_uniform(struct scope_rng *rng);                 /* [0, 1), 53 bits */
double scope_rng_normal(struct scope_rng *rng);                  /* mean 0, variance 1 */

/* The `counter`-th draw of stream `seed` as a float in [0, 1), 24 bits. thread  any */
float scope_rng_at(uint64_t seed, uint64_t counter);

#ifdef __cplusplus
}
#endif
