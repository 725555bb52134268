#include "models/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/text.h"
#include "models/half.h"

enum { LENGTH_BYTES = 8, CHUNK_BYTES = 1 << 16 };

static const struct {
        const char *name;
        uint8_t bits, dtype;
} dtypes[] = {
        { "F32", 32, SCOPE_DTYPE_F32 },
        { "BF16", 16, SCOPE_DTYPE_BF16 },
        { "F16", 16, SCOPE_DTYPE_F16 },
        { "F64", 64, SCOPE_DTYPE_COUNT },
        { "I64", 64, SCOPE_DTYPE_COUNT },
        { "U64", 64, SCOPE_DTYPE_COUNT },
        { "C64", 64, SCOPE_DTYPE_COUNT },
        { "I32", 32, SCOPE_DTYPE_COUNT },
        { "U32", 32, SCOPE_DTYPE_COUNT },
        { "I16", 16, SCOPE_DTYPE_COUNT },
        { "U16", 16, SCOPE_DTYPE_COUNT },
        { "I8", 8, SCOPE_DTYPE_COUNT },
        { "U8", 8, SCOPE_DTYPE_COUNT },
        { "BOOL", 8, SCOPE_DTYPE_COUNT },
        { "F8_E4M3", 8, SCOPE_DTYPE_COUNT },
        { "F8_E5M2", 8, SCOPE_DTYPE_COUNT },
        { "F8_E8M0", 8, SCOPE_DTYPE_COUNT },
        { "F8_E4M3FNUZ", 8, SCOPE_DTYPE_COUNT },
        { "F8_E5M2FNUZ", 8, SCOPE_DTYPE_COUNT },
        { "F6_E2M3", 6, SCOPE_DTYPE_COUNT },
        { "F6_E3M2", 6, SCOPE_DTYPE_COUNT },
        { "F4", 4, SCOPE_DTYPE_COUNT },
};

static enum scope_err bad(struct scope_diag *diag, const char *name, const char *what)
{
        return scope_diag_set(
                diag, SCOPE_ERR_FORMAT, "safetensors header: \"%.100s\" %s", name, what);
}

/* --- header ------------------------------------------------------------------------------ */

/* Depth is bounded before the JSON reader recurses. */
static enum scope_err check_depth(const char *header, size_t bytes, struct scope_diag *diag)
{
        int depth = 0;
        bool text = false;
        for (size_t i = 0; i < bytes; i++) {
                if (text && header[i] == '\\')
                        i++;
                else if (header[i] == '"')
                        text = !text;
                else if (!text && (header[i] == '{' || header[i] == '['))
                        depth++;
                else if (!text && (header[i] == '}' || header[i] == ']'))
                        depth--;
                if (depth > SCOPE_SAFETENSORS_DEPTH_MAX)
                        return scope_diag_set(diag, SCOPE_ERR_FORMAT,
                                "safetensors header: nested deeper than %d",
                                SCOPE_SAFETENSORS_DEPTH_MAX);
        }
        return SCOPE_OK;
}

static enum scope_err read_shape(const char *name, json_t *shape, unsigned bits,
        struct scope_safetensor *tensor, struct scope_diag *diag)
{
        uint64_t total = bits;
        json_t *value;
        size_t i;
        if (!json_is_array(shape) || json_array_size(shape) > SCOPE_SAFETENSORS_RANK_MAX)
                return bad(diag, name, "has no shape, or one of too high a rank");
        tensor->rank = (uint8_t)json_array_size(shape);
        json_array_foreach(shape, i, value) {
                if (!json_is_integer(value) || json_integer_value(value) < 0)
                        return bad(diag, name, "has a shape that is not made of counts");
                tensor->shape[i] = (uint64_t)json_integer_value(value);
                if (__builtin_mul_overflow(total, tensor->shape[i], &total))
                        return bad(diag, name, "has a shape too large to count");
        }
        if (total % CHAR_BIT != 0 || total / CHAR_BIT != tensor->end - tensor->begin)
                return bad(diag, name, "has data_offsets that do not fit its shape and dtype");
        return SCOPE_OK;
}

static enum scope_err read_entry(const char *name, json_t *entry, uint64_t data_bytes,
        struct scope_safetensor *tensor, struct scope_diag *diag)
{
        const char *dtype = json_string_value(json_object_get(entry, "dtype"));
        json_t *offsets = json_object_get(entry, "data_offsets");
        json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
        size_t kind = 0, kinds = sizeof dtypes / sizeof *dtypes;
        if (dtype == NULL || json_array_size(offsets) != 2 || !json_is_integer(begin)
                || !json_is_integer(end))
                return bad(diag, name, "lacks dtype or data_offsets");
        while (kind < kinds && strcmp(dtypes[kind].name, dtype) != 0)
                kind++;
        if (kind == kinds)
                return scope_diag_set(diag, SCOPE_ERR_UNSUPPORTED,
                        "safetensors header: \"%.100s\" has unknown dtype \"%.40s\"", name, dtype);
        if (json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin)
                || (uint64_t)json_integer_value(end) > data_bytes)
                return bad(diag, name, "has data_offsets outside the file");
        tensor->begin = (uint64_t)json_integer_value(begin);
        tensor->end = (uint64_t)json_integer_value(end);
        tensor->dtype = dtypes[kind].dtype;
        return read_shape(name, json_object_get(entry, "shape"), dtypes[kind].bits, tensor, diag);
}

static int by_place(const void *left, const void *right)
{
        const struct scope_safetensor *a = left, *b = right;
        if (a->begin != b->begin)
                return a->begin < b->begin ? -1 : 1;
        return a->end < b->end ? -1 : a->end > b->end;
}

static int by_name(const void *left, const void *right)
{
        return strcmp(((const struct scope_safetensor *)left)->name,
                ((const struct scope_safetensor *)right)->name);
}

/* Every byte of the data belongs to exactly one tensor. */
static enum scope_err check_cover(struct scope_safetensors *file, struct scope_diag *diag)
{
        uint64_t at = 0;
        qsort(file->tensors, file->count, sizeof *file->tensors, by_place);
        for (uint32_t i = 0; i < file->count; i++) {
                const struct scope_safetensor *tensor = &file->tensors[i];
                if (tensor->begin != at)
                        return bad(diag, tensor->name, tensor->begin < at
                                ? "overlaps the tensor before it" : "leaves a hole before it");
                at = tensor->end;
        }
        if (at != file->data_bytes)
                return scope_diag_set(diag, SCOPE_ERR_FORMAT,
                        "safetensors header: covers %llu of %llu bytes of data",
                        (unsigned long long)at, (unsigned long long)file->data_bytes);
        qsort(file->tensors, file->count, sizeof *file->tensors, by_name);
        return SCOPE_OK;
}

static enum scope_err check_metadata(json_t *metadata, struct scope_diag *diag)
{
        const char *key;
        json_t *value;
        if (!json_is_object(metadata))
                return bad(diag, "__metadata__", "is not an object");
        json_object_foreach(metadata, key, value)
                if (!json_is_string(value))
                        return bad(diag, "__metadata__", "holds something else than text");
        return SCOPE_OK;
}

static enum scope_err read_entries(json_t *root, struct scope_safetensors *file,
        struct scope_diag *diag)
{
        const char *name;
        json_t *entry;
        size_t used = 0;
        json_object_foreach(root, name, entry) {
                struct scope_safetensor *tensor = &file->tensors[file->count];
                enum scope_err err = SCOPE_OK;
                if (strcmp(name, "__metadata__") == 0) {
                        err = check_metadata(entry, diag);
                } else {
                        err = read_entry(name, entry, file->data_bytes, tensor, diag);
                        tensor->name = strcpy(file->names + used, name); /* sized by the caller */
                        used += strlen(name) + 1;
                        file->count++;
                }
                if (err != SCOPE_OK)
                        return err;
        }
        return check_cover(file, diag);
}

/* The object of all entries, or NULL with `diag` set. Two entries of one name would hide one of
 * them. */
static json_t *parse_json(const char *header, size_t bytes, struct scope_diag *diag)
{
        json_error_t error;
        json_t *root = json_loadb(header, bytes, JSON_REJECT_DUPLICATES, &error);
        if (root == NULL)
                (void)scope_diag_set(diag, SCOPE_ERR_FORMAT, "safetensors header, byte %d: %s",
                        error.position, error.text);
        return root;
}

enum scope_err scope_safetensors_parse(const char *header, size_t header_bytes, uint64_t data_bytes,
        struct scope_safetensors *ret_file, struct scope_diag *diag)
{
        struct scope_safetensors file = { .fd = -1, .data_bytes = data_bytes };
        if (header_bytes > SCOPE_SAFETENSORS_HEADER_BYTES_MAX)
                return scope_diag_set(diag, SCOPE_ERR_TOO_BIG,
                        "safetensors header: %zu bytes, the limit is %d", header_bytes,
                        SCOPE_SAFETENSORS_HEADER_BYTES_MAX);
        if (header_bytes == 0 || header[0] != '{')
                return scope_diag_set(diag, SCOPE_ERR_FORMAT,
                        "safetensors header: does not begin with {");
        enum scope_err err = check_depth(header, header_bytes, diag);
        if (err != SCOPE_OK)
                return err;
        json_t *root = parse_json(header, header_bytes, diag);
        if (root == NULL)
                return SCOPE_ERR_FORMAT;
        if (json_object_size(root) > SCOPE_SAFETENSORS_COUNT_MAX)
                err = scope_diag_set(diag, SCOPE_ERR_TOO_BIG,
                        "safetensors header: %zu tensors, the limit is %d", json_object_size(root),
                        SCOPE_SAFETENSORS_COUNT_MAX);
        /* Decoded names are never longer than the header they stand in. */
        file.names = err == SCOPE_OK ? malloc(header_bytes + 1) : NULL;
        file.tensors = err == SCOPE_OK ? calloc(json_object_size(root) + 1, sizeof *file.tensors)
                                       : NULL;
        if (err == SCOPE_OK)
                err = file.names != NULL && file.tensors != NULL ? read_entries(root, &file, diag)
                                                                 : SCOPE_ERR_MEMORY;
        json_decref(root);
        if (err != SCOPE_OK) {
                scope_safetensors_fini(&file);
                return err;
        }
        *ret_file = file;
        return SCOPE_OK;
}

const struct scope_safetensor *scope_safetensors_find(const struct scope_safetensors *file,
        const char *name)
{
        struct scope_safetensor key = { .name = name };
        return bsearch(&key, file->tensors, file->count, sizeof key, by_name);
}

void scope_safetensors_fini(struct scope_safetensors *file)
{
        if (file->tensors != NULL && file->fd >= 0)
                (void)close(file->fd); /* read-only: nothing to lose */
        free(file->tensors);
        free(file->names);
        *file = (struct scope_safetensors){ .fd = -1 };
}

/* --- files ------------------------------------------------------------------------------- */

static enum scope_err fail(struct scope_diag *diag, const char *path, const char *what)
{
        int error = errno;
        return scope_diag_set(diag, scope_err_from_errno(error), "%s: %s: %s", path, what,
                strerror(error));
}

static uint64_t length_of(const uint8_t *bytes)
{
        uint64_t length = 0;
        for (int i = LENGTH_BYTES - 1; i >= 0; i--)
                length = length << 8 | bytes[i];
        return length;
}

static enum scope_err open_checked(int fd, const char *path, struct scope_safetensors *ret_file,
        struct scope_diag *diag)
{
        struct stat status;
        uint8_t length_bytes[LENGTH_BYTES];
        if (fstat(fd, &status) != 0)
                return fail(diag, path, "cannot stat");
        if (!S_ISREG(status.st_mode) || status.st_size < LENGTH_BYTES)
                return scope_diag_set(diag, SCOPE_ERR_FORMAT,
                        "%s: not a safetensors file: too short", path);
        enum scope_err err = scope_file_read_at(fd, path, length_bytes, LENGTH_BYTES, 0, diag);
        uint64_t length = length_of(length_bytes), rest = (uint64_t)status.st_size - LENGTH_BYTES;
        if (err != SCOPE_OK)
                return err;
        if (length > rest)
                return scope_diag_set(diag, SCOPE_ERR_FORMAT,
                        "%s: the header would have %llu bytes, the file has %llu more", path,
                        (unsigned long long)length, (unsigned long long)rest);
        if (length > SCOPE_SAFETENSORS_HEADER_BYTES_MAX)
                return scope_diag_set(diag, SCOPE_ERR_TOO_BIG,
                        "%s: a header of %llu bytes, the limit is %d", path,
                        (unsigned long long)length, SCOPE_SAFETENSORS_HEADER_BYTES_MAX);
        char *header = malloc(length + 1);
        if (header == NULL)
                return scope_diag_set(diag, SCOPE_ERR_MEMORY, "%s: out of memory", path);
        err = scope_file_read_at(fd, path, header, length, LENGTH_BYTES, diag);
        struct scope_diag why = { "" };
        if (err == SCOPE_OK) {
                err = scope_safetensors_parse(header, length, rest - length, ret_file, &why);
                if (err != SCOPE_OK)
                        (void)scope_diag_set(diag, err, "%.400s: %.400s", path, why.text);
        }
        free(header);
        if (err == SCOPE_OK)
                ret_file->data_begin = LENGTH_BYTES + length;
        return err;
}

enum scope_err scope_safetensors_open(const char *path, struct scope_safetensors *ret_file,
        struct scope_diag *diag)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return fail(diag, path, "cannot open");
        enum scope_err err = open_checked(fd, path, ret_file, diag);
        if (err != SCOPE_OK)
                (void)close(fd);
        else
                ret_file->fd = fd;
        return err;
}

enum scope_err scope_safetensors_read(const struct scope_safetensors *file,
        const struct scope_safetensor *tensor, float *ret_values, struct scope_diag *diag)
{
        uint8_t chunk[CHUNK_BYTES];
        uint64_t at = file->data_begin + tensor->begin, left = tensor->end - tensor->begin;
        scope_assert(file->fd >= 0);
        if (tensor->dtype == SCOPE_DTYPE_F32)
                return scope_file_read_at(
                        file->fd, "safetensors", ret_values, left, at, diag);
        if (tensor->dtype == SCOPE_DTYPE_COUNT)
                return scope_diag_set(diag, SCOPE_ERR_UNSUPPORTED,
                        "safetensors: \"%.100s\" is not F32, BF16 or F16", tensor->name);
        while (left > 0) {
                size_t step = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;
                enum scope_err err = scope_file_read_at(
                        file->fd, "safetensors", chunk, step, at, diag);
                if (err != SCOPE_OK)
                        return err;
                if (tensor->dtype == SCOPE_DTYPE_BF16)
                        scope_bf16_widen_all(chunk, step / 2, ret_values);
                else
                        scope_f16_widen_all(chunk, step / 2, ret_values);
                ret_values += step / 2;
                at += step;
                left -= step;
        }
        return SCOPE_OK;
}

/* --- writing ----------------------------------------------------------------------------- */

static uint64_t item_bytes(const struct scope_safetensors_item *item, enum scope_dtype dtype)
{
        return (uint64_t)item->rows * item->columns * (dtype == SCOPE_DTYPE_F32 ? 4 : 2);
}

/* Length and header, padded with spaces so that the data begins at a multiple of 8. */
static void header_text(const struct scope_safetensors_item *items, uint32_t count,
        enum scope_dtype dtype, struct scope_text *text)
{
        uint64_t at = 0;
        scope_text_add(text, "\0\0\0\0\0\0\0", LENGTH_BYTES);
        scope_json_open(text, NULL, '{');
        scope_json_open(text, "__metadata__", '{');
        scope_json_text(text, "format", "pt"); /* transformers refuses files without it */
        scope_json_close(text, '}');
        for (uint32_t i = 0; i < count; i++) {
                scope_json_open(text, items[i].name, '{');
                scope_json_text(text, "dtype", dtype == SCOPE_DTYPE_F32 ? "F32" : "BF16");
                scope_json_open(text, "shape", '[');
                if (items[i].rank == 2)
                        scope_json_uint(text, NULL, items[i].rows);
                scope_json_uint(text, NULL, items[i].columns);
                scope_json_close(text, ']');
                scope_json_open(text, "data_offsets", '[');
                scope_json_uint(text, NULL, at);
                scope_json_uint(text, NULL, at += item_bytes(&items[i], dtype));
                scope_json_close(text, ']');
                scope_json_close(text, '}');
        }
        scope_json_close(text, '}');
        while (text->count % LENGTH_BYTES != 0 && !text->failed)
                scope_text_string(text, " ");
        for (int i = 0; i < LENGTH_BYTES && !text->failed; i++)
                text->bytes[i] = (char)((text->count - LENGTH_BYTES) >> 8 * i);
}

static enum scope_err write_bytes(int fd, const char *path, const void *bytes, size_t count,
        struct scope_diag *diag)
{
        for (size_t done = 0; done < count;) {
                ssize_t put = write(fd, (const char *)bytes + done, count - done);
                if (put < 0 && errno == EINTR)
                        continue;
                if (put < 0)
                        return fail(diag, path, "cannot write");
                done += (size_t)put;
        }
        return SCOPE_OK;
}

static enum scope_err write_item(int fd, const char *path,
        const struct scope_safetensors_item *item, enum scope_dtype dtype, struct scope_diag *diag)
{
        uint8_t chunk[CHUNK_BYTES];
        size_t left = (size_t)item->rows * item->columns;
        const float *values = item->values;
        enum scope_err err = SCOPE_OK;
        if (dtype == SCOPE_DTYPE_F32)
                return write_bytes(fd, path, values, left * sizeof *values, diag);
        while (left > 0 && err == SCOPE_OK) {
                size_t step = left < CHUNK_BYTES / 2 ? left : CHUNK_BYTES / 2;
                scope_bf16_narrow_all(values, step, chunk);
                err = write_bytes(fd, path, chunk, 2 * step, diag);
                values += step;
                left -= step;
        }
        return err;
}

enum scope_err scope_safetensors_write(const char *path, const struct scope_safetensors_item *items,
        uint32_t count, enum scope_dtype dtype, struct scope_diag *diag)
{
        struct scope_text header = { 0 };
        scope_assert(dtype == SCOPE_DTYPE_F32 || dtype == SCOPE_DTYPE_BF16);
        header_text(items, count, dtype, &header);
        if (header.failed) {
                scope_text_fini(&header);
                return scope_diag_set(diag, SCOPE_ERR_MEMORY, "%s: out of memory", path);
        }
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        enum scope_err err = fd >= 0 ? write_bytes(fd, path, header.bytes, header.count, diag)
                                     : fail(diag, path, "cannot create");
        scope_text_fini(&header);
        for (uint32_t i = 0; i < count && err == SCOPE_OK; i++)
                err = write_item(fd, path, &items[i], dtype, diag);
        if (err == SCOPE_OK && fsync(fd) != 0)
                err = fail(diag, path, "cannot flush to disk");
        if (fd >= 0 && close(fd) != 0 && err == SCOPE_OK)
                err = fail(diag, path, "cannot close");
        return err;
}
