/* gguf.c - the header: metadata, tensor entries, and the checks that let them be believed.
 * A header may be parsed from the first part of a file only; SCOPE_ERR_AGAIN asks for more of it.
 * Every number is compared with the size of the whole file first, so that a lie ends at once. */
#include "models/gguf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/file.h"
#include "models/gguf_blocks.h"

enum {
        MAGIC = 0x46554747, /* "GGUF" */
        VALUE_BYTES_MIN = 8 + 1 + 4 + 1,
        TENSOR_BYTES_MIN = 8 + 1 + 4 + 8 + 4 + 8,
        KEY_BYTES_MAX = 1 << 16,
        ALIGNMENT_STANDARD = 32,
        OPEN_BYTES = 4 << 20,
        CHUNK_BYTES = 1 << 16,
};
#define ELEMENTS_MAX ((uint64_t)1 << 40)

static const struct {
        const char *name;
        uint8_t bytes; /* 0: not of one size */
} types[SCOPE_GGUF_TYPES] = {
        [SCOPE_GGUF_U8] = { "u8", 1 },     [SCOPE_GGUF_I8] = { "i8", 1 },
        [SCOPE_GGUF_U16] = { "u16", 2 },   [SCOPE_GGUF_I16] = { "i16", 2 },
        [SCOPE_GGUF_U32] = { "u32", 4 },   [SCOPE_GGUF_I32] = { "i32", 4 },
        [SCOPE_GGUF_F32] = { "f32", 4 },   [SCOPE_GGUF_BOOL] = { "bool", 1 },
        [SCOPE_GGUF_TEXT] = { "text", 0 }, [SCOPE_GGUF_ARRAY] = { "array", 0 },
        [SCOPE_GGUF_U64] = { "u64", 8 },   [SCOPE_GGUF_I64] = { "i64", 8 },
        [SCOPE_GGUF_F64] = { "f64", 8 },
};

struct reader {
        struct scope_bytes bytes; /* the part of the file that is here */
        uint64_t file_bytes;
        struct scope_gguf *file;
        struct scope_diag *diag;
};

/* Are `count` more bytes here? AGAIN: not here, but the file has them. */
static enum scope_err enough(struct reader *reader, uint64_t count, const char *what)
{
        if (count <= scope_bytes_left(&reader->bytes))
                return SCOPE_OK;
        if (count <= reader->file_bytes - reader->bytes.at)
                return SCOPE_ERR_AGAIN;
        return scope_diag_set(reader->diag, SCOPE_ERR_FORMAT,
                "gguf: byte %zu: %s needs %llu bytes, the file has %llu more", reader->bytes.at,
                what, (unsigned long long)count,
                (unsigned long long)(reader->file_bytes - reader->bytes.at));
}

static enum scope_err read_text(
        struct reader *reader, const char *what, struct scope_gguf_text *ret_text)
{
        enum scope_err err = enough(reader, 8, what);
        if (err != SCOPE_OK)
                return err;
        uint64_t count = scope_bytes_u64(&reader->bytes);
        err = enough(reader, count, what);
        if (err != SCOPE_OK)
                return err;
        ret_text->bytes = (const char *)scope_bytes_take(&reader->bytes, count);
        ret_text->count = (size_t)count;
        return SCOPE_OK;
}

/* --- values ------------------------------------------------------------------------------ */

static enum scope_err bad_value(
        struct reader *reader, const struct scope_gguf_value *value, const char *what)
{
        return scope_diag_set(reader->diag, SCOPE_ERR_FORMAT, "gguf: \"%.*s\" %s",
                (int)(value->key.count < 100 ? value->key.count : 100), value->key.bytes, what);
}

static enum scope_err read_elements(struct reader *reader, struct scope_gguf_value *value)
{
        const unsigned width = types[value->element].bytes;
        const size_t begin = reader->bytes.at;
        enum scope_err err = SCOPE_OK;
        uint64_t bytes;
        struct scope_gguf_text text;
        if (__builtin_mul_overflow(value->count, width != 0 ? width : 8u, &bytes))
                return bad_value(reader, value, "has more elements than can be counted");
        err = enough(reader, bytes, "an array");
        if (err == SCOPE_OK && width != 0)
                (void)scope_bytes_take(&reader->bytes, bytes); /* it is there */
        for (uint64_t i = 0; i < value->count && width == 0 && err == SCOPE_OK; i++)
                err = read_text(reader, "a text", &text);
        value->bytes = reader->bytes.data + begin;
        value->byte_count = reader->bytes.at - begin;
        for (size_t i = 0; i < value->byte_count && value->element == SCOPE_GGUF_BOOL
                        && err == SCOPE_OK; i++)
                if (value->bytes[i] > 1)
                        err = bad_value(reader, value, "holds a bool that is neither 0 nor 1");
        return err;
}

static enum scope_err read_value(struct reader *reader, struct scope_gguf_value *value)
{
        enum scope_err err = read_text(reader, "a key", &value->key);
        if (err != SCOPE_OK)
                return err;
        if (value->key.count == 0 || value->key.count > KEY_BYTES_MAX)
                return scope_diag_set(reader->diag, SCOPE_ERR_FORMAT,
                        "gguf: byte %zu: a key of %zu bytes", reader->bytes.at, value->key.count);
        err = enough(reader, 4, "a type");
        if (err != SCOPE_OK)
                return err;
        uint32_t type = scope_bytes_u32(&reader->bytes), element = type;
        value->count = 1;
        if (type == SCOPE_GGUF_ARRAY) {
                err = enough(reader, 12, "an array");
                if (err != SCOPE_OK)
                        return err;
                element = scope_bytes_u32(&reader->bytes);
                value->count = scope_bytes_u64(&reader->bytes);
        }
        if (type >= SCOPE_GGUF_TYPES || element >= SCOPE_GGUF_TYPES)
                return bad_value(reader, value, "has a type that nobody knows");
        if (element == SCOPE_GGUF_ARRAY)
                return bad_value(reader, value, "is an array of arrays");
        value->type = (uint8_t)type;
        value->element = (uint8_t)element;
        return read_elements(reader, value);
}

static int compare(struct scope_gguf_text a, struct scope_gguf_text b)
{
        int order = memcmp(a.bytes, b.bytes, a.count < b.count ? a.count : b.count);
        if (order != 0)
                return order;
        return a.count < b.count ? -1 : a.count > b.count;
}

static int by_key(const void *left, const void *right)
{
        return compare(((const struct scope_gguf_value *)left)->key,
                ((const struct scope_gguf_value *)right)->key);
}

static enum scope_err read_values(struct reader *reader)
{
        struct scope_gguf *file = reader->file;
        for (uint32_t i = 0; i < file->value_count; i++) {
                enum scope_err err = read_value(reader, &file->values[i]);
                if (err != SCOPE_OK)
                        return err;
        }
        qsort(file->values, file->value_count, sizeof *file->values, by_key);
        for (uint32_t i = 1; i < file->value_count; i++)
                if (compare(file->values[i - 1].key, file->values[i].key) == 0)
                        return bad_value(reader, &file->values[i], "stands twice");
        const struct scope_gguf_value *value = scope_gguf_find(file, "general.alignment");
        file->alignment = ALIGNMENT_STANDARD;
        if (value == NULL)
                return SCOPE_OK;
        if (value->type != SCOPE_GGUF_U32)
                return bad_value(reader, value, "is not a u32");
        int64_t alignment = scope_gguf_integer_at(value, 0);
        if (alignment < 1 || alignment > SCOPE_GGUF_ALIGNMENT_MAX
                || (alignment & (alignment - 1)) != 0)
                return bad_value(reader, value, "is not a power of two of at most 65536");
        file->alignment = (uint32_t)alignment;
        return SCOPE_OK;
}

/* --- tensor entries ---------------------------------------------------------------------- */

static enum scope_err bad_tensor(
        struct reader *reader, const struct scope_gguf_tensor *tensor, const char *what)
{
        return scope_diag_set(reader->diag, SCOPE_ERR_FORMAT, "gguf: tensor \"%.*s\" %s",
                (int)tensor->name.count, tensor->name.bytes, what);
}

/* Sizes: every product is checked; a row is whole blocks. */
static enum scope_err measure(struct reader *reader, struct scope_gguf_tensor *tensor)
{
        const struct scope_gguf_block *block = scope_gguf_block(tensor->type);
        if (block == NULL)
                return scope_diag_set(reader->diag, SCOPE_ERR_UNSUPPORTED,
                        "gguf: tensor \"%.*s\" has type %u, which nobody knows",
                        (int)tensor->name.count, tensor->name.bytes, tensor->type);
        tensor->elements = 1;
        for (unsigned i = 0; i < tensor->rank; i++)
                if (tensor->shape[i] == 0 || tensor->shape[i] > ELEMENTS_MAX
                        || __builtin_mul_overflow(
                                tensor->elements, tensor->shape[i], &tensor->elements)
                        || tensor->elements > ELEMENTS_MAX)
                        return bad_tensor(reader, tensor, "has an impossible shape");
        if (tensor->shape[0] % block->elements != 0)
                return bad_tensor(reader, tensor, "has rows that are not whole blocks");
        tensor->bytes = tensor->elements / block->elements * block->bytes; /* below 2^49 */
        if (tensor->begin % reader->file->alignment != 0)
                return bad_tensor(reader, tensor, "does not begin at the alignment");
        return SCOPE_OK;
}

static enum scope_err read_tensor(struct reader *reader, struct scope_gguf_tensor *tensor)
{
        enum scope_err err = read_text(reader, "a tensor's name", &tensor->name);
        if (err != SCOPE_OK)
                return err;
        if (tensor->name.count == 0 || tensor->name.count > SCOPE_GGUF_NAME_BYTES_MAX)
                return scope_diag_set(reader->diag, SCOPE_ERR_FORMAT,
                        "gguf: byte %zu: a tensor's name of %zu bytes", reader->bytes.at,
                        tensor->name.count);
        err = enough(reader, 4, "a tensor's rank");
        if (err != SCOPE_OK)
                return err;
        uint32_t rank = scope_bytes_u32(&reader->bytes);
        if (rank < 1 || rank > SCOPE_GGUF_RANK_MAX)
                return bad_tensor(reader, tensor, "has not 1 to 4 dimensions");
        tensor->rank = (uint8_t)rank;
        err = enough(reader, 8 * (uint64_t)rank + 4 + 8, "a tensor's entry");
        if (err != SCOPE_OK)
                return err;
        for (uint32_t i = 0; i < rank; i++)
                tensor->shape[i] = scope_bytes_u64(&reader->bytes);
        tensor->type = scope_bytes_u32(&reader->bytes);
        tensor->begin = scope_bytes_u64(&reader->bytes);
        return measure(reader, tensor);
}

static int by_place(const void *left, const void *right)
{
        const struct scope_gguf_tensor *a = left, *b = right;
        return a->begin < b->begin ? -1 : a->begin > b->begin;
}

static int by_name(const void *left, const void *right)
{
        return compare(((const struct scope_gguf_tensor *)left)->name,
                ((const struct scope_gguf_tensor *)right)->name);
}

/* In the file, one after the other, no two of one name. */
static enum scope_err check_places(struct reader *reader)
{
        struct scope_gguf *file = reader->file;
        uint64_t at = 0;
        qsort(file->tensors, file->tensor_count, sizeof *file->tensors, by_place);
        for (uint32_t i = 0; i < file->tensor_count; i++) {
                const struct scope_gguf_tensor *tensor = &file->tensors[i];
                if (tensor->begin < at)
                        return bad_tensor(reader, tensor, "overlaps the one before it");
                if (tensor->begin > file->data_bytes
                        || tensor->bytes > file->data_bytes - tensor->begin)
                        return bad_tensor(reader, tensor, "ends outside the file");
                at = tensor->begin + tensor->bytes;
        }
        qsort(file->tensors, file->tensor_count, sizeof *file->tensors, by_name);
        for (uint32_t i = 1; i < file->tensor_count; i++)
                if (compare(file->tensors[i - 1].name, file->tensors[i].name) == 0)
                        return bad_tensor(reader, &file->tensors[i], "stands twice");
        return SCOPE_OK;
}

static enum scope_err read_tensors(struct reader *reader)
{
        struct scope_gguf *file = reader->file;
        for (uint32_t i = 0; i < file->tensor_count; i++) {
                enum scope_err err = read_tensor(reader, &file->tensors[i]);
                if (err != SCOPE_OK)
                        return err;
        }
        const uint64_t mask = file->alignment - 1;
        file->data_begin = (reader->bytes.at + mask) & ~mask; /* at is a place in memory: fits */
        if (file->data_begin > reader->file_bytes) {
                if (file->tensor_count != 0)
                        return scope_diag_set(reader->diag, SCOPE_ERR_FORMAT,
                                "gguf: the file ends before its data");
                file->data_begin = reader->file_bytes;
        }
        file->data_bytes = reader->file_bytes - file->data_begin;
        return check_places(reader);
}

/* --- the whole header -------------------------------------------------------------------- */

static enum scope_err check_version(struct reader *reader, uint32_t version)
{
        if (version == 2 || version == 3)
                return SCOPE_OK;
        return scope_diag_set(reader->diag, SCOPE_ERR_UNSUPPORTED,
                "gguf: version %u; 2 and 3 are read%s", version,
                (version & 0xffffffu) == 0 && version != 0
                        ? " (the file is for big-endian machines)" : "");
}

static enum scope_err read_counts(struct reader *reader)
{
        struct scope_gguf *file = reader->file;
        if (reader->file_bytes < 24)
                return scope_diag_set(reader->diag, SCOPE_ERR_FORMAT,
                        "gguf: %llu bytes are no header", (unsigned long long)reader->file_bytes);
        enum scope_err err = enough(reader, 24, "the header");
        if (err != SCOPE_OK)
                return err;
        if (scope_bytes_u32(&reader->bytes) != MAGIC)
                return scope_diag_set(
                        reader->diag, SCOPE_ERR_FORMAT, "gguf: does not begin with \"GGUF\"");
        file->version = scope_bytes_u32(&reader->bytes);
        err = check_version(reader, file->version);
        if (err != SCOPE_OK)
                return err;
        uint64_t tensors = scope_bytes_u64(&reader->bytes);
        uint64_t values = scope_bytes_u64(&reader->bytes);
        if (tensors > reader->file_bytes / TENSOR_BYTES_MIN
                || values > reader->file_bytes / VALUE_BYTES_MIN)
                return scope_diag_set(reader->diag, SCOPE_ERR_FORMAT,
                        "gguf: %llu tensors and %llu values do not fit into %llu bytes",
                        (unsigned long long)tensors, (unsigned long long)values,
                        (unsigned long long)reader->file_bytes);
        if (tensors > SCOPE_GGUF_TENSORS_MAX || values > SCOPE_GGUF_VALUES_MAX)
                return scope_diag_set(reader->diag, SCOPE_ERR_TOO_BIG,
                        "gguf: %llu tensors and %llu values, the limits are %d and %d",
                        (unsigned long long)tensors, (unsigned long long)values,
                        SCOPE_GGUF_TENSORS_MAX, SCOPE_GGUF_VALUES_MAX);
        file->tensor_count = (uint32_t)tensors;
        file->value_count = (uint32_t)values;
        return SCOPE_OK;
}

enum scope_err scope_gguf_parse(const uint8_t *header, size_t count, uint64_t file_bytes,
        struct scope_gguf *ret_file, struct scope_diag *diag)
{
        struct scope_gguf file = { .fd = -1 };
        struct reader reader = { .bytes = scope_bytes_make(header, count),
                .file_bytes = file_bytes, .file = &file, .diag = diag };
        scope_assert(count <= file_bytes);
        enum scope_err err = read_counts(&reader);
        if (err != SCOPE_OK)
                return err;
        file.values = calloc((size_t)file.value_count + 1, sizeof *file.values);
        file.tensors = calloc((size_t)file.tensor_count + 1, sizeof *file.tensors);
        if (file.values == NULL || file.tensors == NULL)
                err = scope_diag_set(diag, SCOPE_ERR_MEMORY, "gguf: out of memory");
        if (err == SCOPE_OK)
                err = read_values(&reader);
        if (err == SCOPE_OK)
                err = read_tensors(&reader);
        if (err != SCOPE_OK) {
                scope_gguf_fini(&file);
                return err;
        }
        *ret_file = file;
        return SCOPE_OK;
}

/* --- files ------------------------------------------------------------------------------- */

static enum scope_err fail(struct scope_diag *diag, const char *path, const char *what)
{
        int error = errno;
        return scope_diag_set(diag, scope_err_from_errno(error), "%s: %s: %s", path, what,
                strerror(error));
}

/* Reads the header: a first part, and twice as much as long as it is not all. */
static enum scope_err read_header(int fd, uint64_t file_bytes, struct scope_gguf *ret_file,
        struct scope_diag *diag)
{
        const uint64_t max = file_bytes < SCOPE_GGUF_HEADER_BYTES_MAX
                ? file_bytes : (uint64_t)SCOPE_GGUF_HEADER_BYTES_MAX;
        uint64_t count = max < OPEN_BYTES ? max : OPEN_BYTES, done = 0;
        uint8_t *header = NULL;
        enum scope_err err = SCOPE_ERR_AGAIN;
        while (err == SCOPE_ERR_AGAIN) {
                uint8_t *larger = realloc(header, count + 1);
                if (larger == NULL) {
                        err = scope_diag_set(diag, SCOPE_ERR_MEMORY, "out of memory");
                        break;
                }
                header = larger;
                err = scope_file_read_at(fd, "header", header + done, count - done, done, diag);
                done = count;
                if (err == SCOPE_OK)
                        err = scope_gguf_parse(header, count, file_bytes, ret_file, diag);
                if (err == SCOPE_ERR_AGAIN && count == max)
                        err = scope_diag_set(diag, SCOPE_ERR_TOO_BIG,
                                "the header has over %d bytes", SCOPE_GGUF_HEADER_BYTES_MAX);
                count = max - count < count ? max : 2 * count;
        }
        if (err != SCOPE_OK)
                free(header);
        else
                ret_file->header = header;
        return err;
}

enum scope_err scope_gguf_open(
        const char *path, struct scope_gguf *ret_file, struct scope_diag *diag)
{
        struct stat status;
        struct scope_diag why = { "" };
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return fail(diag, path, "cannot open");
        enum scope_err err = SCOPE_OK;
        if (fstat(fd, &status) != 0)
                err = fail(diag, path, "cannot stat");
        else if (!S_ISREG(status.st_mode))
                err = scope_diag_set(diag, SCOPE_ERR_FORMAT, "%s: not a regular file", path);
        if (err == SCOPE_OK) {
                err = read_header(fd, (uint64_t)status.st_size, ret_file, &why);
                if (err != SCOPE_OK)
                        (void)scope_diag_set(diag, err, "%.400s: %.200s", path, why.text);
        }
        if (err != SCOPE_OK)
                (void)close(fd);
        else
                ret_file->fd = fd;
        return err;
}

void scope_gguf_fini(struct scope_gguf *file)
{
        if (file->values != NULL && file->fd >= 0)
                (void)close(file->fd); /* read-only: nothing to lose */
        free(file->values);
        free(file->tensors);
        free(file->header);
        *file = (struct scope_gguf){ .fd = -1 };
}

/* --- looking things up ------------------------------------------------------------------- */

static struct scope_gguf_text text_of(const char *string)
{
        return (struct scope_gguf_text){ string, strlen(string) };
}

bool scope_gguf_text_is(struct scope_gguf_text text, const char *string)
{
        return text.bytes != NULL && compare(text, text_of(string)) == 0;
}

const struct scope_gguf_value *scope_gguf_find(const struct scope_gguf *file, const char *key)
{
        struct scope_gguf_value wanted = { .key = text_of(key) };
        return bsearch(&wanted, file->values, file->value_count, sizeof wanted, by_key);
}

const struct scope_gguf_tensor *scope_gguf_tensor(const struct scope_gguf *file, const char *name)
{
        struct scope_gguf_tensor wanted = { .name = text_of(name) };
        return bsearch(&wanted, file->tensors, file->tensor_count, sizeof wanted, by_name);
}

static enum scope_err wrong_type(const struct scope_gguf_value *value, const char *wanted,
        struct scope_diag *diag)
{
        return scope_diag_set(diag, SCOPE_ERR_FORMAT, "gguf: \"%.*s\" is %s%s, not %s",
                (int)(value->key.count < 100 ? value->key.count : 100), value->key.bytes,
                value->type == SCOPE_GGUF_ARRAY ? "an array of " : "", types[value->element].name,
                wanted);
}

static bool is_integer(unsigned type)
{
        return type <= SCOPE_GGUF_I32 || type == SCOPE_GGUF_U64 || type == SCOPE_GGUF_I64;
}

static bool is_real(unsigned type)
{
        return type == SCOPE_GGUF_F32 || type == SCOPE_GGUF_F64;
}

int64_t scope_gguf_integer_at(const struct scope_gguf_value *array, uint64_t i)
{
        const unsigned width = types[array->element].bytes;
        scope_assert(i < array->count);
        scope_assert(is_integer(array->element) || array->element == SCOPE_GGUF_BOOL);
        struct scope_bytes bytes = scope_bytes_make(array->bytes + i * width, width);
        switch (array->element) {
        case SCOPE_GGUF_I8:
                return (int8_t)scope_bytes_u8(&bytes);
        case SCOPE_GGUF_U16:
                return scope_bytes_u16(&bytes);
        case SCOPE_GGUF_I16:
                return (int16_t)scope_bytes_u16(&bytes);
        case SCOPE_GGUF_U32:
                return scope_bytes_u32(&bytes);
        case SCOPE_GGUF_I32:
                return (int32_t)scope_bytes_u32(&bytes);
        case SCOPE_GGUF_U64:
        case SCOPE_GGUF_I64:
                return (int64_t)scope_bytes_u64(&bytes);
        default: /* U8, BOOL */
                return scope_bytes_u8(&bytes);
        }
}

double scope_gguf_real_at(const struct scope_gguf_value *array, uint64_t i)
{
        scope_assert(i < array->count);
        scope_assert(is_real(array->element));
        if (array->element == SCOPE_GGUF_F64) {
                double value;
                memcpy(&value, array->bytes + i * sizeof value, sizeof value);
                return value;
        }
        float value;
        memcpy(&value, array->bytes + i * sizeof value, sizeof value);
        return (double)value;
}

enum scope_err scope_gguf_uint(const struct scope_gguf *file, const char *key, uint64_t *ret_value,
        struct scope_diag *diag)
{
        const struct scope_gguf_value *value = scope_gguf_find(file, key);
        if (value == NULL)
                return scope_diag_set(diag, SCOPE_ERR_NOT_FOUND, "gguf: no \"%s\"", key);
        if (!is_integer(value->type) || scope_gguf_integer_at(value, 0) < 0)
                return wrong_type(value, "a count", diag);
        *ret_value = (uint64_t)scope_gguf_integer_at(value, 0);
        return SCOPE_OK;
}

enum scope_err scope_gguf_real(const struct scope_gguf *file, const char *key, double *ret_value,
        struct scope_diag *diag)
{
        const struct scope_gguf_value *value = scope_gguf_find(file, key);
        if (value == NULL)
                return scope_diag_set(diag, SCOPE_ERR_NOT_FOUND, "gguf: no \"%s\"", key);
        if (!is_real(value->type))
                return wrong_type(value, "a real number", diag);
        *ret_value = scope_gguf_real_at(value, 0);
        return SCOPE_OK;
}

enum scope_err scope_gguf_bool(
        const struct scope_gguf *file, const char *key, bool *ret_value, struct scope_diag *diag)
{
        const struct scope_gguf_value *value = scope_gguf_find(file, key);
        if (value == NULL)
                return scope_diag_set(diag, SCOPE_ERR_NOT_FOUND, "gguf: no \"%s\"", key);
        if (value->type != SCOPE_GGUF_BOOL)
                return wrong_type(value, "a bool", diag);
        *ret_value = value->bytes[0] != 0;
        return SCOPE_OK;
}

enum scope_err scope_gguf_text(const struct scope_gguf *file, const char *key,
        struct scope_gguf_text *ret_value, struct scope_diag *diag)
{
        const struct scope_gguf_value *value = scope_gguf_find(file, key);
        size_t at = 0;
        if (value == NULL)
                return scope_diag_set(diag, SCOPE_ERR_NOT_FOUND, "gguf: no \"%s\"", key);
        if (value->type != SCOPE_GGUF_TEXT)
                return wrong_type(value, "a text", diag);
        bool there = scope_gguf_text_next(value, &at, ret_value);
        scope_assert(there);
        return SCOPE_OK;
}

enum scope_err scope_gguf_array(const struct scope_gguf *file, const char *key,
        enum scope_gguf_type kind, const struct scope_gguf_value **ret_array,
        struct scope_diag *diag)
{
        const struct scope_gguf_value *value = scope_gguf_find(file, key);
        scope_assert(kind == SCOPE_GGUF_TEXT || kind == SCOPE_GGUF_I64 || kind == SCOPE_GGUF_F64);
        if (value == NULL)
                return scope_diag_set(diag, SCOPE_ERR_NOT_FOUND, "gguf: no \"%s\"", key);
        bool fits = kind == SCOPE_GGUF_I64 ? is_integer(value->element)
                : kind == SCOPE_GGUF_F64   ? is_real(value->element)
                                           : value->element == SCOPE_GGUF_TEXT;
        if (value->type != SCOPE_GGUF_ARRAY || !fits)
                return wrong_type(value, kind == SCOPE_GGUF_I64 ? "an array of integers"
                                : kind == SCOPE_GGUF_F64        ? "an array of reals"
                                                                : "an array of texts", diag);
        *ret_array = value;
        return SCOPE_OK;
}

bool scope_gguf_text_next(
        const struct scope_gguf_value *array, size_t *at, struct scope_gguf_text *ret_text)
{
        scope_assert(array->element == SCOPE_GGUF_TEXT && *at <= array->byte_count);
        if (*at == array->byte_count)
                return false;
        struct scope_bytes bytes =
                scope_bytes_make(array->bytes + *at, array->byte_count - *at);
        ret_text->count = (size_t)scope_bytes_u64(&bytes);
        ret_text->bytes = (const char *)scope_bytes_take(&bytes, ret_text->count);
        scope_assert(!bytes.failed); /* _parse walked the same bytes */
        *at += bytes.at;
        return true;
}

/* --- tensors ----------------------------------------------------------------------------- */

enum scope_err scope_gguf_read(const struct scope_gguf *file,
        const struct scope_gguf_tensor *tensor, float *ret_values, struct scope_diag *diag)
{
        const struct scope_gguf_block *block = scope_gguf_block(tensor->type);
        uint8_t chunk[CHUNK_BYTES];
        uint64_t at = file->data_begin + tensor->begin, left;
        scope_assert(file->fd >= 0 && block != NULL);
        if (block->unpack == NULL)
                return scope_diag_set(diag, SCOPE_ERR_UNSUPPORTED,
                        "gguf: tensor \"%.*s\" is %s, which is not read: requantise the file, "
                        "to Q8_0 for instance", (int)tensor->name.count, tensor->name.bytes,
                        block->name);
        const size_t step_max = CHUNK_BYTES / block->bytes;
        for (left = tensor->elements / block->elements; left > 0;) {
                size_t step = left < step_max ? (size_t)left : step_max;
                enum scope_err err = scope_file_read_at(
                        file->fd, "gguf", chunk, step * block->bytes, at, diag);
                if (err != SCOPE_OK)
                        return err;
                block->unpack(chunk, step, ret_values);
                ret_values += step * block->elements;
                at += step * block->bytes;
                left -= step;
        }
        return SCOPE_OK;
}
