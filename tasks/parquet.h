/* parquet.h - the part of Parquet that data sets are kept in, from bytes to problems.
 * Why: verl, TRL and the hub keep prompts in it. What pyarrow writes by default is read, and what
 * parquet_column.h lists; flat columns, lists and structs of any mix. Nothing is written.
 * (1) Bytes are hostile: every length is checked before use, every loop is bounded. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct scope_dataset;
struct scope_dataset_keys;

/* A file that is in memory.
 * in      name: for errors; keys: NULL = found out
 * owns    borrows bytes until it returns; gives *ret_dataset
 * errors  SCOPE_ERR_FORMAT, SCOPE_ERR_UNSUPPORTED: an encoding, compression or type by name, with
 *         the line that converts the file; SCOPE_ERR_TOO_BIG, SCOPE_ERR_MEMORY
 * thread  any */
enum scope_err scope_dataset_of_parquet(const char *name, const uint8_t *bytes, size_t count,
        const struct scope_dataset_keys *keys, struct scope_dataset **ret_dataset,
        struct scope_diag *diag);
