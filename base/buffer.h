/* buffer.h - a refcounted block of bytes that several actors may read.
 * Why: weights and other big data are shared by handle, not copied into messages.
 * (1) Written only while one reference exists; read-only after it is sent. (2) The last drop
 * frees. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct scope_buffer;

/* Zeroed, 64-byte aligned, one reference.
 * errors  SCOPE_ERR_MEMORY     owns  gives     thread  any */
enum scope_err scope_buffer_create(size_t bytes, struct scope_buffer **ret_buffer);

/* One more reference; returns its argument.                        thread  any */
struct scope_buffer *scope_buffer_keep(struct scope_buffer *buffer);

/* One reference less; NULL is allowed.                             thread  any */
void scope_buffer_drop(struct scope_buffer *buffer);

void *scope_buffer_data(struct scope_buffer *buffer);
size_t scope_buffer_bytes(const struct scope_buffer *buffer);

#ifdef __cplusplus
}
#endif
