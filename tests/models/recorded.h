/* recorded.h - tensors that an oracle recorded, out of a safetensors file.
 * Why: its dtype enum and that of the messages cannot be seen together. */
#pragma once

#include <stddef.h>

struct recorded;

struct recorded *recorded_open(const char *path);
void recorded_close(struct recorded *recorded);
/* The tensor `name`, which must have `count` numbers; free() it. */
float *recorded_read(const struct recorded *recorded, const char *name, size_t count);
