#include "base/rng.h"

#include <math.h>
#include <string.h>

#include "base/check.h"

static const uint64_t GOLDEN = 0x9e3779b97f4a7c15u;

uint64_t scope_hash64(uint64_t value)
{
        value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
        value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
        return value ^ (value >> 31);
}

uint64_t scope_hash_pair(uint64_t a, uint64_t b)
{
        return scope_hash64(scope_hash64(a + GOLDEN) + b * 0xd1342543de82ef95u + 1);
}

uint64_t scope_hash_bytes(const void *data, size_t bytes)
{
        const uint8_t *at = data;
        uint64_t hash = 0xcbf29ce484222325u;
        for (size_t i = 0; i < bytes; i++)
                hash = (hash ^ at[i]) * 0x100000001b3u;
        return scope_hash64(hash);
}

uint64_t scope_hash_words(const void *data, size_t bytes)
{
        const uint8_t *at = data;
        uint64_t hash = 0xcbf29ce484222325u ^ bytes, word = 0;
        size_t i = 0;
        for (; i + 8 <= bytes; i += 8) {
                memcpy(&word, at + i, 8);
                hash = (hash ^ word) * 0x9ddfea08eb382d69u;
                hash ^= hash >> 29;
        }
        word = 0;
        if (i < bytes)
                memcpy(&word, at + i, bytes - i);
        return scope_hash64(hash ^ word);
}

uint64_t scope_sample_seed(uint64_t run_seed, uint64_t group, uint64_t sample)
{
        return scope_hash_pair(scope_hash_pair(run_seed, group), sample);
}

struct scope_rng scope_rng_make(uint64_t seed)
{
        return (struct scope_rng){ .state = scope_hash64(seed + GOLDEN) };
}

uint64_t scope_rng_next(struct scope_rng *rng)
{
        rng->state += GOLDEN;
        return scope_hash64(rng->state);
}

uint64_t scope_rng_below(struct scope_rng *rng, uint64_t bound)
{
        scope_assert(bound > 0);
        uint64_t threshold = (0 - bound) % bound; /* 2^64 mod bound: reject below it */
        for (int tries = 0; tries < 128; tries++) {
                uint64_t draw = scope_rng_next(rng);
                if (draw >= threshold)
                        return draw % bound;
        }
        return 0; /* probability below 2^-128: a bound on the loop, not a case */
}

double scope_rng_uniform(struct scope_rng *rng)
{
        return (double)(scope_rng_next(rng) >> 11) * 0x1p-53;
}

double scope_rng_normal(struct scope_rng *rng)
{
        double u = 1.0 - scope_rng_uniform(rng); /* (0, 1] */
        double v = scope_rng_uniform(rng);
        return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v); /* Box-Muller */
}

float scope_rng_at(uint64_t seed, uint64_t counter)
{
        uint64_t draw = scope_hash64(scope_hash64(seed + GOLDEN) + (counter + 1) * GOLDEN);
        return (float)(draw >> 40) * 0x1p-24f;
}
