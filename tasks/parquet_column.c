#include "tasks/parquet_column.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tasks/parquet_codec.h"
#include "tasks/parquet_thrift.h"

enum page_type { PAGE_DATA = 0, PAGE_INDEX = 1, PAGE_DICTIONARY = 2, PAGE_DATA_V2 = 3 };
enum encoding {
        ENCODING_PLAIN = 0,
        ENCODING_PLAIN_DICTIONARY = 2,
        ENCODING_RLE = 3,
        ENCODING_RLE_DICTIONARY = 8
};

struct scope_parquet_page {
        struct scope_parquet_page *next;
        uint8_t bytes[];
};

struct header {
        int64_t type, raw_bytes, bytes; /* raw: decompressed; bytes: as it lies */
        int64_t values, encoding, def_encoding, rep_encoding, def_bytes, rep_bytes;
        bool compressed, has_body;
};

struct reading {
        const char *name, *path;
        const struct scope_parquet_node *node;
        const struct scope_parquet_chunk *chunk;
        struct scope_parquet_column *column;
        struct scope_diag *diag;
        enum scope_err err;
};

/* A span that is read from its begin. */
struct cursor {
        const uint8_t *at, *end;
};

static bool fail(struct reading *r, enum scope_err err, const char *what)
{
        if (r->err == SCOPE_OK)
                r->err = scope_diag_set(
                        r->diag, err, "%.300s: column \"%s\": %s", r->name, r->path, what);
        return false;
}

static bool lack(struct reading *r, const char *what)
{
        char words[320];
        (void)snprintf(words, sizeof words,
                "%s is not among those that we read; convert the file: python3 -c \"import pandas; "
                "pandas.read_parquet('IN.parquet').to_json('OUT.jsonl', orient='records', "
                "lines=True)\"",
                what);
        return fail(r, SCOPE_ERR_UNSUPPORTED, words);
}

static const char *encoding_name(int64_t encoding)
{
        static const char *const names[] = { "PLAIN", "", "PLAIN_DICTIONARY", "RLE", "BIT_PACKED",
                "DELTA_BINARY_PACKED", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY",
                "RLE_DICTIONARY", "BYTE_STREAM_SPLIT" };
        return encoding >= 0 && encoding < 10 ? names[encoding] : "unknown";
}

static bool lack_encoding(struct reading *r, int64_t encoding)
{
        char words[64];
        (void)snprintf(words, sizeof words, "encoding %s", encoding_name(encoding));
        return lack(r, words);
}

/* ---- page headers ---- */

static void read_body(struct scope_thrift *thrift, int32_t kind, struct header *header)
{
        struct scope_thrift_field field = { 0 };
        /* fields 1.. of DataPageHeader (5), DictionaryPageHeader (7), DataPageHeaderV2 (8) */
        while (scope_thrift_next(thrift, &field)) {
                int64_t *to = field.id == 1                ? &header->values
                              : kind == 8 && field.id == 4 ? &header->encoding
                              : kind == 8 && field.id == 5 ? &header->def_bytes
                              : kind == 8 && field.id == 6 ? &header->rep_bytes
                              : kind != 8 && field.id == 2 ? &header->encoding
                              : kind == 5 && field.id == 3 ? &header->def_encoding
                              : kind == 5 && field.id == 4 ? &header->rep_encoding
                                                           : NULL;
                if (to != NULL && field.type == SCOPE_THRIFT_I32)
                        *to = scope_thrift_integer(thrift);
                else if (kind == 8 && field.id == 7 && field.type <= SCOPE_THRIFT_FALSE)
                        header->compressed = field.type == SCOPE_THRIFT_TRUE;
                else
                        scope_thrift_skip(thrift, field.type);
        }
        header->has_body = true;
}

static bool read_header(struct reading *r, struct cursor *in, struct header *ret_header)
{
        struct scope_thrift thrift = { .at = in->at, .end = in->end };
        struct scope_thrift_field field = { 0 };
        struct header header = { .type = -1,
                .raw_bytes = -1,
                .bytes = -1,
                .values = -1,
                .encoding = -1,
                .def_encoding = ENCODING_RLE,
                .rep_encoding = ENCODING_RLE,
                .compressed = true };
        while (scope_thrift_next(&thrift, &field)) {
                int64_t *to = field.id == 1   ? &header.type
                              : field.id == 2 ? &header.raw_bytes
                              : field.id == 3 ? &header.bytes
                                              : NULL;
                if (to != NULL && field.type == SCOPE_THRIFT_I32)
                        *to = scope_thrift_integer(&thrift);
                else if ((field.id == 5 || field.id == 7 || field.id == 8) &&
                         field.type == SCOPE_THRIFT_STRUCT)
                        read_body(&thrift, field.id, &header);
                else
                        scope_thrift_skip(&thrift, field.type);
        }
        if (thrift.failed || header.bytes < 0 || header.raw_bytes < 0 ||
                header.bytes > thrift.end - thrift.at)
                return fail(r, SCOPE_ERR_FORMAT, "a page header is malformed");
        if (header.raw_bytes > SCOPE_PARQUET_PAGE_MAX)
                return fail(r, SCOPE_ERR_TOO_BIG, "a page is over 64 MiB");
        bool index = header.type == PAGE_INDEX;
        if (!index && (!header.has_body || header.values < 0 || header.values > INT32_MAX ||
                              header.def_bytes < 0 || header.rep_bytes < 0))
                return fail(r, SCOPE_ERR_FORMAT, "a page header is malformed");
        in->at = thrift.at;
        *ret_header = header;
        return true;
}

/* ---- memory ---- */

static void *grow(struct reading *r, void *items, size_t wanted, size_t *capacity, size_t bytes)
{
        if (wanted <= *capacity)
                return items;
        size_t more = *capacity * 2 > wanted ? *capacity * 2 : wanted;
        void *grown = realloc(items, more * bytes + 1);
        if (grown == NULL)
                (void)fail(r, SCOPE_ERR_MEMORY, "out of memory");
        else
                *capacity = more;
        return grown;
}

static bool room_for(struct reading *r, size_t entries)
{
        struct scope_parquet_column *column = r->column;
        size_t capacity = column->entry_capacity, wanted = column->entry_count + entries;
        if (wanted > SCOPE_PARQUET_ENTRIES_MAX)
                return fail(r, SCOPE_ERR_TOO_BIG, "a row group has over 8 million entries");
        uint8_t *defs = grow(r, column->defs, wanted, &capacity, 1);
        if (defs == NULL)
                return false;
        column->defs = defs;
        capacity = column->entry_capacity;
        uint8_t *reps = grow(r, column->reps, wanted, &capacity, 1);
        if (reps == NULL)
                return false;
        column->reps = reps;
        column->entry_capacity = capacity;
        struct scope_parquet_value *values = grow(r, column->values, column->value_count + entries,
                &column->value_capacity, sizeof *values);
        if (values != NULL)
                column->values = values;
        return values != NULL;
}

/* The decompressed bytes of a part of a page; they live as long as the column. */
static bool unpack(struct reading *r, const uint8_t *from, size_t from_bytes, size_t bytes,
        bool compressed, struct cursor *ret_in)
{
        uint32_t codec = compressed ? r->chunk->codec : 0;
        if (codec == 0) {
                *ret_in = (struct cursor){ from, from + from_bytes };
                return true;
        }
        r->column->page_bytes += bytes;
        if (r->column->page_bytes > SCOPE_PARQUET_COLUMN_MAX)
                return fail(r, SCOPE_ERR_TOO_BIG, "a row group has over 1 GiB");
        struct scope_parquet_page *page = malloc(sizeof *page + bytes + 1);
        if (page == NULL)
                return fail(r, SCOPE_ERR_MEMORY, "out of memory");
        page->next = r->column->pages;
        r->column->pages = page;
        enum scope_err err = scope_parquet_decompress(codec, from, from_bytes, page->bytes, bytes);
        if (err == SCOPE_ERR_UNSUPPORTED) {
                char words[64];
                (void)snprintf(
                        words, sizeof words, "compression %s", scope_parquet_codec_name(codec));
                return lack(r, words);
        }
        if (err != SCOPE_OK)
                return fail(r, err, "a page does not decompress to the size it says");
        *ret_in = (struct cursor){ page->bytes, page->bytes + bytes };
        return true;
}

/* ---- runs and packed bits ---- */

struct runs {
        struct cursor in;
        uint32_t width, value; /* bits; of the run under way */
        uint64_t left;         /* in the run */
        uint64_t bit;          /* of the packed run under way, from in.at */
        bool packed;
};

static bool next_run(struct runs *runs)
{
        struct scope_thrift head = { .at = runs->in.at, .end = runs->in.end };
        if (runs->packed)
                head.at += (runs->bit + 7) / 8;
        uint64_t word = scope_thrift_varint(&head);
        size_t left = (size_t)(head.end - head.at), bytes = (runs->width + 7) / 8;
        runs->in.at = head.at;
        runs->packed = (word & 1) != 0;
        runs->bit = 0;
        if (head.failed || word >> 1 == 0 || word >> 1 > SCOPE_PARQUET_ENTRIES_MAX)
                return false;
        if (runs->packed) {
                runs->left = (word >> 1) * 8;
                return (word >> 1) * runs->width <= left;
        }
        if (bytes > left)
                return false;
        runs->left = word >> 1;
        runs->value = 0;
        for (size_t i = 0; i < bytes; i++)
                runs->value |= (uint32_t)*runs->in.at++ << (8 * i);
        return true;
}

static bool next_in_runs(struct runs *runs, uint32_t *ret_value)
{
        if (runs->left == 0 && !next_run(runs))
                return false;
        runs->left--;
        if (runs->packed) {
                uint64_t value = 0;
                for (uint32_t i = 0; i < runs->width; i++, runs->bit++)
                        value |= (uint64_t)(runs->in.at[runs->bit / 8] >> (runs->bit % 8) & 1) << i;
                runs->value = (uint32_t)value;
        }
        *ret_value = runs->value;
        return true;
}

static uint32_t bits_for(uint32_t max)
{
        uint32_t bits = 0;
        while (max >> bits != 0)
                bits++;
        return bits;
}

/* `count` levels of at most `max`. */
static bool read_levels(
        struct reading *r, struct cursor in, uint32_t max, size_t count, uint8_t *ret_levels)
{
        struct runs runs = { .in = in, .width = bits_for(max) };
        for (size_t i = 0; i < count; i++) {
                uint32_t level;
                if (!next_in_runs(&runs, &level) || level > max)
                        return fail(r, SCOPE_ERR_FORMAT, "its levels are malformed");
                ret_levels[i] = (uint8_t)level;
        }
        return true;
}

/* ---- values ---- */

static uint64_t little_endian(const uint8_t *at, size_t bytes)
{
        uint64_t value = 0;
        for (size_t i = 0; i < bytes; i++)
                value |= (uint64_t)at[i] << (8 * i);
        return value;
}

static bool plain_bytes(struct cursor *in, struct scope_parquet_value *value)
{
        if (in->end - in->at < 4)
                return false;
        uint64_t bytes = little_endian(in->at, 4);
        if (bytes > (uint64_t)(in->end - in->at - 4))
                return false;
        value->as.bytes = in->at + 4;
        value->count = (uint32_t)bytes;
        in->at += 4 + bytes;
        return true;
}

static bool plain_number(struct cursor *in, uint8_t type, struct scope_parquet_value *value)
{
        size_t bytes = type == SCOPE_PARQUET_INT32 || type == SCOPE_PARQUET_FLOAT ? 4 : 8;
        if ((size_t)(in->end - in->at) < bytes)
                return false;
        uint64_t word = little_endian(in->at, bytes);
        uint32_t half = (uint32_t)word;
        float single;
        in->at += bytes;
        if (type == SCOPE_PARQUET_FLOAT) {
                memcpy(&single, &half, sizeof single);
                value->as.real = (double)single;
        } else if (type == SCOPE_PARQUET_DOUBLE)
                memcpy(&value->as.real, &word, sizeof value->as.real);
        else
                value->as.integer = bytes == 4 ? (int64_t)(int32_t)half : (int64_t)word;
        return true;
}

static bool read_plain(
        struct reading *r, struct cursor in, size_t count, struct scope_parquet_value *ret_values)
{
        uint8_t type = r->node->type;
        for (size_t i = 0; i < count; i++) {
                bool good;
                if (type == SCOPE_PARQUET_BOOLEAN) {
                        good = i / 8 < (size_t)(in.end - in.at);
                        if (good)
                                ret_values[i].as.integer = in.at[i / 8] >> (i % 8) & 1;
                } else if (type == SCOPE_PARQUET_BYTE_ARRAY)
                        good = plain_bytes(&in, &ret_values[i]);
                else
                        good = plain_number(&in, type, &ret_values[i]);
                if (!good)
                        return fail(r, SCOPE_ERR_FORMAT, "a page holds fewer values than it says");
        }
        return true;
}

static bool read_indices(
        struct reading *r, struct cursor in, size_t count, struct scope_parquet_value *ret_values)
{
        if (count == 0)
                return true;
        if (in.at == in.end || *in.at > 32)
                return fail(r, SCOPE_ERR_FORMAT, "its indices are malformed");
        struct runs runs = { .in = { in.at + 1, in.end }, .width = *in.at };
        for (size_t i = 0; i < count; i++) {
                uint32_t index;
                if (!next_in_runs(&runs, &index) || index >= r->column->dictionary_count)
                        return fail(r, SCOPE_ERR_FORMAT, "an index is not in its dictionary");
                ret_values[i] = r->column->dictionary[index];
        }
        return true;
}

static bool read_boolean_runs(
        struct reading *r, struct cursor in, size_t count, struct scope_parquet_value *ret_values)
{
        if (in.end - in.at < 4)
                return fail(r, SCOPE_ERR_FORMAT, "its booleans are malformed");
        struct runs runs = { .in = { in.at + 4, in.end }, .width = 1 };
        for (size_t i = 0; i < count; i++) {
                uint32_t bit;
                if (!next_in_runs(&runs, &bit))
                        return fail(r, SCOPE_ERR_FORMAT, "its booleans are malformed");
                ret_values[i].as.integer = bit;
        }
        return true;
}

static bool read_values(struct reading *r, int64_t encoding, struct cursor in, size_t count)
{
        struct scope_parquet_column *column = r->column;
        struct scope_parquet_value *to = column->values + column->value_count;
        column->value_count += count;
        if (encoding == ENCODING_PLAIN)
                return read_plain(r, in, count, to);
        if (encoding == ENCODING_PLAIN_DICTIONARY || encoding == ENCODING_RLE_DICTIONARY)
                return read_indices(r, in, count, to);
        if (encoding == ENCODING_RLE && r->node->type == SCOPE_PARQUET_BOOLEAN)
                return read_boolean_runs(r, in, count, to);
        return lack_encoding(r, encoding);
}

/* ---- pages ---- */

static bool take_dictionary(struct reading *r, const struct header *header, struct cursor page)
{
        struct scope_parquet_column *column = r->column;
        struct cursor in;
        if (column->dictionary != NULL || header->values > SCOPE_PARQUET_ENTRIES_MAX)
                return fail(r, SCOPE_ERR_FORMAT, "has two dictionaries, or one that is too big");
        if (header->encoding != ENCODING_PLAIN && header->encoding != ENCODING_PLAIN_DICTIONARY)
                return lack_encoding(r, header->encoding);
        if (!unpack(r, page.at, (size_t)(page.end - page.at), (size_t)header->raw_bytes, true, &in))
                return false;
        /* a text has at least its length; a boolean needs no dictionary */
        if (r->node->type == SCOPE_PARQUET_BOOLEAN || header->values > (in.end - in.at) / 4)
                return fail(r, SCOPE_ERR_FORMAT, "its dictionary is malformed");
        column->dictionary = calloc((size_t)header->values + 1, sizeof *column->dictionary);
        if (column->dictionary == NULL)
                return fail(r, SCOPE_ERR_MEMORY, "out of memory");
        column->dictionary_count = (size_t)header->values;
        return read_plain(r, in, column->dictionary_count, column->dictionary);
}

/* The levels in front of the values of a v1 page: a length, then runs. */
static bool take_levels(struct reading *r, struct cursor *in, int64_t encoding, uint32_t max,
        size_t count, uint8_t *ret_levels)
{
        if (max == 0) {
                memset(ret_levels, 0, count);
                return true;
        }
        if (encoding != ENCODING_RLE)
                return lack_encoding(r, encoding);
        uint64_t bytes = in->end - in->at >= 4 ? little_endian(in->at, 4) : UINT64_MAX;
        if (bytes > (uint64_t)(in->end - in->at) - 4)
                return fail(r, SCOPE_ERR_FORMAT, "its levels are longer than the page");
        struct cursor levels = { in->at + 4, in->at + 4 + bytes };
        in->at = levels.end;
        return read_levels(r, levels, max, count, ret_levels);
}

/* Counts the new entries that have a value, and reads those. */
static bool take_values(struct reading *r, const struct header *header, struct cursor in)
{
        struct scope_parquet_column *column = r->column;
        size_t present = 0, count = (size_t)header->values;
        for (size_t i = 0; i < count; i++)
                present += column->defs[column->entry_count + i] == r->node->max_def;
        column->entry_count += count;
        return read_values(r, header->encoding, in, present);
}

static bool take_page_v1(struct reading *r, const struct header *header, struct cursor page)
{
        struct scope_parquet_column *column = r->column;
        size_t count = (size_t)header->values, at = column->entry_count;
        struct cursor in;
        return room_for(r, count) &&
               unpack(r, page.at, (size_t)(page.end - page.at), (size_t)header->raw_bytes, true,
                       &in) &&
               take_levels(
                       r, &in, header->rep_encoding, r->node->max_rep, count, column->reps + at) &&
               take_levels(
                       r, &in, header->def_encoding, r->node->max_def, count, column->defs + at) &&
               take_values(r, header, in);
}

static bool take_page_v2(struct reading *r, const struct header *header, struct cursor page)
{
        struct scope_parquet_column *column = r->column;
        size_t count = (size_t)header->values, at = column->entry_count;
        int64_t levels = header->rep_bytes + header->def_bytes;
        struct cursor in;
        if (levels > page.end - page.at || levels > header->raw_bytes)
                return fail(r, SCOPE_ERR_FORMAT, "its levels are longer than the page");
        if (!room_for(r, count))
                return false;
        struct cursor reps = { page.at, page.at + header->rep_bytes },
                      defs = { reps.end, reps.end + header->def_bytes };
        memset(column->reps + at, 0, count);
        memset(column->defs + at, 0, count);
        if (r->node->max_rep > 0 &&
                !read_levels(r, reps, r->node->max_rep, count, column->reps + at))
                return false;
        if (r->node->max_def > 0 &&
                !read_levels(r, defs, r->node->max_def, count, column->defs + at))
                return false;
        return unpack(r, defs.end, (size_t)(page.end - defs.end),
                       (size_t)(header->raw_bytes - levels), header->compressed, &in) &&
               take_values(r, header, in);
}

static void read_pages(struct reading *r, const uint8_t *bytes)
{
        struct cursor in = { bytes + r->chunk->begin, bytes + r->chunk->begin + r->chunk->bytes };
        while (r->err == SCOPE_OK && r->column->entry_count < r->chunk->value_count) {
                struct header header;
                if (in.at == in.end) {
                        (void)fail(r, SCOPE_ERR_FORMAT, "it ends before its last value");
                        return;
                }
                if (!read_header(r, &in, &header))
                        return;
                struct cursor page = { in.at, in.at + header.bytes };
                in.at = page.end;
                if (header.type == PAGE_DICTIONARY)
                        (void)take_dictionary(r, &header, page);
                else if (header.type == PAGE_DATA)
                        (void)take_page_v1(r, &header, page);
                else if (header.type == PAGE_DATA_V2)
                        (void)take_page_v2(r, &header, page);
                else if (header.type != PAGE_INDEX)
                        (void)fail(r, SCOPE_ERR_FORMAT, "a page of no known type");
        }
        if (r->err == SCOPE_OK && r->column->entry_count != r->chunk->value_count)
                (void)fail(r, SCOPE_ERR_FORMAT, "its pages hold more values than it says");
}

enum scope_err scope_parquet_column_read(const char *name, const char *path, const uint8_t *bytes,
        const struct scope_parquet_node *node, const struct scope_parquet_chunk *chunk,
        struct scope_parquet_column *ret_column, struct scope_diag *diag)
{
        struct reading reading = { .name = name,
                .path = path,
                .node = node,
                .chunk = chunk,
                .column = ret_column,
                .diag = diag };
        *ret_column = (struct scope_parquet_column){ 0 };
        if (node->decimal)
                (void)lack(&reading, "a decimal");
        else if (node->type == SCOPE_PARQUET_INT96 || node->type == SCOPE_PARQUET_FIXED)
                (void)lack(&reading, node->type == SCOPE_PARQUET_INT96
                                             ? "type INT96"
                                             : "type FIXED_LEN_BYTE_ARRAY");
        else
                read_pages(&reading, bytes);
        if (reading.err != SCOPE_OK)
                scope_parquet_column_fini(ret_column);
        return reading.err;
}

void scope_parquet_column_fini(struct scope_parquet_column *column)
{
        while (column->pages != NULL) {
                struct scope_parquet_page *next = column->pages->next;
                free(column->pages);
                column->pages = next;
        }
        free(column->defs);
        free(column->reps);
        free(column->values);
        free(column->dictionary);
        *column = (struct scope_parquet_column){ 0 };
}
