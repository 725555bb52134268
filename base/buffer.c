#include "base/buffer.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct scope_buffer {
        size_t bytes;
        atomic_uint references;
        _Alignas(64) uint8_t data[];
};

enum scope_err scope_buffer_create(size_t bytes, struct scope_buffer **ret_buffer)
{
        size_t total = (sizeof(struct scope_buffer) + bytes + 63) & ~(size_t)63;
        if (total < bytes)
                return SCOPE_ERR_MEMORY;
        struct scope_buffer *buffer = aligned_alloc(64, total);
        if (buffer == NULL)
                return SCOPE_ERR_MEMORY;
        memset(buffer, 0, total);
        buffer->bytes = bytes;
        atomic_init(&buffer->references, 1);
        *ret_buffer = buffer;
        return SCOPE_OK;
}

struct scope_buffer *scope_buffer_keep(struct scope_buffer *buffer)
{
        /* relaxed: the caller already holds a reference, nothing is published by this */
        unsigned before = atomic_fetch_add_explicit(&buffer->references, 1, memory_order_relaxed);
        scope_assert(before > 0);
        return buffer;
}

void scope_buffer_drop(struct scope_buffer *buffer)
{
        if (buffer == NULL)
                return;
        /* acq_rel: pairs with every other drop, so that the last one sees all reads finished */
        unsigned before = atomic_fetch_sub_explicit(&buffer->references, 1, memory_order_acq_rel);
        scope_assert(before > 0);
        if (before == 1)
                free(buffer);
}

void *scope_buffer_data(struct scope_buffer *buffer)
{
        return buffer->data;
}

size_t scope_buffer_bytes(const struct scope_buffer *buffer)
{
        return buffer->bytes;
}
