/* parquet_codec.h - the compressions of Parquet pages, over Debian's libraries. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* "SNAPPY"; never NULL. */
const char *scope_parquet_codec_name(uint32_t codec);

/* Fills exactly `to_bytes`.
 * errors  SCOPE_ERR_UNSUPPORTED: a codec we lack; SCOPE_ERR_FORMAT: it gives fewer or more bytes
 * thread  any */
enum scope_err scope_parquet_decompress(
        uint32_t codec, const uint8_t *from, size_t from_bytes, uint8_t *to, size_t to_bytes);
