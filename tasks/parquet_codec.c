#include "tasks/parquet_codec.h"

#include <snappy-c.h>
#include <stdbool.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

enum codec { CODEC_NONE = 0, CODEC_SNAPPY = 1, CODEC_GZIP = 2, CODEC_ZSTD = 6 };

const char *scope_parquet_codec_name(uint32_t codec)
{
        static const char *const names[] = { "UNCOMPRESSED", "SNAPPY", "GZIP", "LZO", "BROTLI",
                "LZ4", "ZSTD", "LZ4_RAW" };
        return codec < sizeof names / sizeof names[0] ? names[codec] : "an unknown compression";
}

static bool gunzip(const uint8_t *from, size_t from_bytes, uint8_t *to, size_t to_bytes)
{
        z_stream stream = { .next_in = (uint8_t *)(uintptr_t)from,
                .avail_in = (unsigned)from_bytes,
                .next_out = to,
                .avail_out = (unsigned)to_bytes };
        if (inflateInit2(&stream, 15 + 32) != Z_OK) /* gzip or zlib, by its header */
                return false;
        int result = inflate(&stream, Z_FINISH);
        bool whole = result == Z_STREAM_END && stream.total_out == to_bytes;
        (void)inflateEnd(&stream);
        return whole;
}

enum scope_err scope_parquet_decompress(
        uint32_t codec, const uint8_t *from, size_t from_bytes, uint8_t *to, size_t to_bytes)
{
        size_t length = to_bytes;
        bool good = false;
        if (from_bytes > UINT32_MAX || to_bytes > UINT32_MAX)
                return SCOPE_ERR_FORMAT;
        switch (codec) {
        case CODEC_NONE:
                good = from_bytes == to_bytes;
                if (good && to_bytes > 0)
                        memcpy(to, from, to_bytes);
                break;
        case CODEC_SNAPPY:
                good = snappy_uncompressed_length((const char *)from, from_bytes, &length) ==
                               SNAPPY_OK &&
                       length == to_bytes &&
                       snappy_uncompress((const char *)from, from_bytes, (char *)to, &length) ==
                               SNAPPY_OK;
                break;
        case CODEC_GZIP:
                good = gunzip(from, from_bytes, to, to_bytes);
                break;
        case CODEC_ZSTD:
                good = ZSTD_decompress(to, to_bytes, from, from_bytes) == to_bytes;
                break;
        default:
                return SCOPE_ERR_UNSUPPORTED;
        }
        return good ? SCOPE_OK : SCOPE_ERR_FORMAT;
}
