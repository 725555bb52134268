/* fuzz_pooling_reply.c - any body through the reader of a scoring server's reply.
 * The first byte says how many steps each of three texts has. What is believed are probabilities;
 * what is not leaves the scores alone. */
#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"
#include "tasks/pooling_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
        float p[9] = { -1, -1, -1, -1, -1, -1, -1, -1, -1 };
        if (count < 1)
                return 0;
        const uint32_t counts[] = { data[0] & 3, data[0] >> 2 & 3, data[0] >> 4 & 3 };
        uint32_t texts = 1 + (data[0] >> 6) % 3, total = 0;
        for (uint32_t i = 0; i < texts; i++)
                total += counts[i];
        bool believed = scope_pooling_read(data + 1, count - 1, counts, texts, p) == NULL;
        for (uint32_t i = 0; i < 9; i++)
                scope_assert(believed && i < total ? p[i] >= 0 && p[i] <= 1 : p[i] < 0);
        return 0;
}
