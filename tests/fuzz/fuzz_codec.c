/* fuzz_codec.c - any bytes through the message codec.
 * The first byte picks the record. What decode accepts must encode again and decode once more,
 * so that every pointer and length that it handed out is read. Seeds are the valid examples,
 * put in by the mutator. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "schemas/codec.h"
#include "tests/schemas/examples.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t count, size_t count_max, unsigned int seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t count, size_t count_max);

static const struct scope_codec_limits limits = {
        .vocab = 21, .version_newest = 42, .group_samples_max = 8
};
static struct scope_arena arena;

#define X(name)                                                                                    \
        static void try_##name(const uint8_t *bytes, size_t count)                                 \
        {                                                                                          \
                struct scope_##name record;                                                        \
                const uint8_t *again;                                                              \
                uint32_t again_count;                                                              \
                if (scope_decode_##name(bytes, count, &limits, &arena, &record) != SCOPE_OK)       \
                        return;                                                                    \
                scope_assert(scope_encode_##name(&record, &again, &again_count) == SCOPE_OK);      \
                scope_assert(scope_decode_##name(again, again_count, &limits, &arena, &record) ==  \
                             SCOPE_OK);                                                            \
        }                                                                                          \
        static void seed_##name(const uint8_t **ret_bytes, uint32_t *ret_count)                    \
        {                                                                                          \
                scope_assert(                                                                      \
                        scope_encode_##name(&example_##name, ret_bytes, ret_count) == SCOPE_OK);   \
        }
SCOPE_RECORD_MAP(X)
#undef X

static const struct {
        void (*try)(const uint8_t *bytes, size_t count);
        void (*seed)(const uint8_t **ret_bytes, uint32_t *ret_count);
} targets[] = {
#define X(name) { try_##name, seed_##name },
        SCOPE_RECORD_MAP(X)
#undef X
};
enum { TARGET_COUNT = sizeof targets / sizeof targets[0] };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
        if (arena.base == NULL)
                scope_assert(scope_arena_init(&arena, 4 << 20) == SCOPE_OK);
        if (count == 0)
                return 0;
        scope_arena_reset(&arena);
        uint8_t *aligned = malloc(count);
        memcpy(aligned, data + 1, count - 1);
        targets[data[0] % TARGET_COUNT].try(aligned, count - 1);
        free(aligned);
        return 0;
}

/* Now and then starts from a valid buffer: from nothing, the offsets are hard to guess. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t count, size_t count_max, unsigned int seed)
{
        if (count == 0 || seed % 16 == 0) {
                const uint8_t *bytes;
                uint32_t seed_count;
                targets[seed / 16 % TARGET_COUNT].seed(&bytes, &seed_count);
                if (seed_count + 1u <= count_max) {
                        data[0] = (uint8_t)(seed / 16 % TARGET_COUNT);
                        memcpy(data + 1, bytes, seed_count);
                        count = seed_count + 1u;
                }
        }
        return LLVMFuzzerMutate(data, count, count_max);
}
