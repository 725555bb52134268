#include "models/gguf_write.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/limits.h"
#include "models/gguf_blocks.h"

enum { VERSION = 3, ALIGNMENT = 32, BUFFER_BYTES = 1 << 20 };
#define F16_MAX 65504.0f
#define BF16_MAX 0x1.fep127f

/* --- bytes ------------------------------------------------------------------------------- */

static void put(struct scope_text *text, uint64_t value, int width)
{
        char bytes[8];
        for (int i = 0; i < width; i++)
                bytes[i] = (char)(value >> 8 * i);
        scope_text_add(text, bytes, (size_t)width);
}

static void put_bytes(struct scope_text *text, const char *bytes, size_t count)
{
        put(text, count, 8);
        scope_text_add(text, bytes, count);
}

static void put_key(struct scope_gguf_writer *writer, const char *key, enum scope_gguf_type type)
{
        put_bytes(&writer->values, key, strlen(key));
        put(&writer->values, type, 4);
        writer->value_count++;
}

void scope_gguf_put_uint(struct scope_gguf_writer *writer, const char *key, uint32_t value)
{
        put_key(writer, key, SCOPE_GGUF_U32);
        put(&writer->values, value, 4);
}

void scope_gguf_put_real(struct scope_gguf_writer *writer, const char *key, float value)
{
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        put_key(writer, key, SCOPE_GGUF_F32);
        put(&writer->values, bits, 4);
}

void scope_gguf_put_bool(struct scope_gguf_writer *writer, const char *key, bool value)
{
        put_key(writer, key, SCOPE_GGUF_BOOL);
        put(&writer->values, value, 1);
}

void scope_gguf_put_text(
        struct scope_gguf_writer *writer, const char *key, const char *bytes, size_t count)
{
        put_key(writer, key, SCOPE_GGUF_TEXT);
        put_bytes(&writer->values, bytes, count);
}

void scope_gguf_put_array(struct scope_gguf_writer *writer, const char *key,
        enum scope_gguf_type element, uint64_t count)
{
        scope_assert(element == SCOPE_GGUF_TEXT || element == SCOPE_GGUF_I32);
        put_key(writer, key, SCOPE_GGUF_ARRAY);
        put(&writer->values, element, 4);
        put(&writer->values, count, 8);
}

void scope_gguf_put_text_element(struct scope_gguf_writer *writer, const char *bytes, size_t count)
{
        put_bytes(&writer->values, bytes, count);
}

void scope_gguf_put_int_element(struct scope_gguf_writer *writer, int32_t value)
{
        put(&writer->values, (uint32_t)value, 4);
}

void scope_gguf_writer_fini(struct scope_gguf_writer *writer)
{
        scope_text_fini(&writer->values);
        *writer = (struct scope_gguf_writer){ .value_count = 0 };
}

/* --- tensors ----------------------------------------------------------------------------- */

uint32_t scope_gguf_source_row(uint32_t head_rows, uint32_t at)
{
        if (head_rows == 0)
                return at;
        const uint32_t within = at % head_rows;
        return at - within + within % 2 * (head_rows / 2) + within / 2;
}

static uint64_t padded(uint64_t bytes)
{
        return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static uint64_t row_bytes(const struct scope_gguf_item *item)
{
        const struct scope_gguf_block *block = scope_gguf_block(item->type);
        scope_assert(block != NULL && block->pack != NULL);
        scope_assert(item->columns % block->elements == 0);
        return (uint64_t)item->columns / block->elements * block->bytes;
}

static void header(const struct scope_gguf_writer *writer, const struct scope_gguf_item *items,
        uint32_t count, struct scope_text *text)
{
        uint64_t at = 0;
        scope_text_add(text, "GGUF", 4);
        put(text, VERSION, 4);
        put(text, count, 8);
        put(text, writer->value_count, 8);
        scope_text_add(text, writer->values.bytes, writer->values.count);
        for (uint32_t i = 0; i < count; i++) {
                put_bytes(text, items[i].name, strlen(items[i].name));
                put(text, items[i].rank, 4);
                put(text, items[i].columns, 8);
                if (items[i].rank == 2)
                        put(text, items[i].rows, 8);
                put(text, items[i].type, 4);
                put(text, at, 8);
                at += padded(row_bytes(&items[i]) * items[i].rows);
        }
        while (text->count % ALIGNMENT != 0 && !text->failed)
                put(text, 0, 1);
}

struct output {
        FILE *stream;
        const char *path;
        uint8_t *row;   /* packed */
        float *numbers; /* of a vector in another order */
        struct scope_diag *diag;
};

static enum scope_err fail(const struct output *out, const char *what)
{
        int error = errno;
        return scope_diag_set(out->diag, scope_err_from_errno(error), "%s: %s: %s", out->path, what,
                strerror(error));
}

static enum scope_err emit(struct output *out, const void *bytes, size_t count)
{
        if (fwrite(bytes, 1, count, out->stream) == count)
                return SCOPE_OK;
        return fail(out, "cannot write");
}

/* A number outside would become infinite, or worse. Q8_0 keeps its largest / 127 as f16. */
static enum scope_err check_row(
        struct output *out, const struct scope_gguf_item *item, const float *values)
{
        const float max = item->type == SCOPE_GGUF_TENSOR_F16 ? F16_MAX
                : item->type == SCOPE_GGUF_TENSOR_BF16        ? BF16_MAX
                : item->type == SCOPE_GGUF_TENSOR_Q8_0        ? F16_MAX * 127.0f
                                                              : INFINITY;
        for (uint32_t i = 0; i < item->columns; i++)
                if (!isfinite(values[i]) || fabsf(values[i]) > max)
                        return scope_diag_set(out->diag, SCOPE_ERR_ARGUMENT,
                                "%s: %s holds %g, which %s cannot: export as F32", out->path,
                                item->name, (double)values[i], scope_gguf_block(item->type)->name);
        return SCOPE_OK;
}

static enum scope_err emit_item(struct output *out, const struct scope_gguf_item *item)
{
        const struct scope_gguf_block *block = scope_gguf_block(item->type);
        const size_t bytes = (size_t)row_bytes(item);
        static const char zeros[ALIGNMENT];
        const size_t padding = (size_t)(padded(bytes * item->rows) - bytes * item->rows);
        enum scope_err err = SCOPE_OK;
        for (uint32_t row = 0; row < item->rows && err == SCOPE_OK; row++) {
                const float *values = item->values;
                if (item->rank == 2) {
                        values += (size_t)scope_gguf_source_row(item->head_rows, row)
                                * item->columns;
                } else if (item->head_rows != 0) {
                        for (uint32_t i = 0; i < item->columns; i++)
                                out->numbers[i] =
                                        values[scope_gguf_source_row(item->head_rows, i)];
                        values = out->numbers;
                }
                err = check_row(out, item, values);
                if (err != SCOPE_OK)
                        return err;
                block->pack(values, item->columns / block->elements, out->row);
                err = emit(out, out->row, bytes);
        }
        return err == SCOPE_OK ? emit(out, zeros, padding) : err;
}

static enum scope_err emit_all(struct output *out, const struct scope_gguf_writer *writer,
        const struct scope_gguf_item *items, uint32_t count)
{
        struct scope_text text = { 0 };
        uint32_t columns_max = 1;
        for (uint32_t i = 0; i < count; i++)
                columns_max = items[i].columns > columns_max ? items[i].columns : columns_max;
        out->row = malloc(columns_max * sizeof(float)); /* no packed row is larger */
        out->numbers = malloc(columns_max * sizeof(float));
        header(writer, items, count, &text);
        enum scope_err err = SCOPE_OK;
        if (text.failed || writer->values.failed || out->row == NULL || out->numbers == NULL)
                err = scope_diag_set(out->diag, SCOPE_ERR_MEMORY, "%s: out of memory", out->path);
        if (err == SCOPE_OK)
                err = emit(out, text.bytes, text.count);
        for (uint32_t i = 0; i < count && err == SCOPE_OK; i++)
                err = emit_item(out, &items[i]);
        scope_text_fini(&text);
        free(out->row);
        free(out->numbers);
        return err;
}

enum scope_err scope_gguf_write(const char *path, const struct scope_gguf_writer *writer,
        const struct scope_gguf_item *items, uint32_t count, struct scope_diag *diag)
{
        char beside[SCOPE_PATH_BYTES_MAX];
        struct output out = { .path = path, .diag = diag };
        enum scope_err err = scope_path_format(beside, diag, "%s.tmp", path);
        if (err != SCOPE_OK)
                return err;
        if (access(path, F_OK) == 0)
                return scope_diag_set(
                        diag, SCOPE_ERR_EXISTS, "%s: exists: remove it or name another", path);
        out.stream = fopen(beside, "wbe");
        if (out.stream == NULL)
                return fail(&out, "cannot create");
        (void)setvbuf(out.stream, NULL, _IOFBF, BUFFER_BYTES); /* only speed */
        err = emit_all(&out, writer, items, count);
        if (err == SCOPE_OK && (fflush(out.stream) != 0 || fsync(fileno(out.stream)) != 0))
                err = fail(&out, "cannot flush to disk");
        if (fclose(out.stream) != 0 && err == SCOPE_OK)
                err = fail(&out, "cannot close");
        if (err == SCOPE_OK && rename(beside, path) != 0)
                err = fail(&out, "cannot rename into place");
        if (err != SCOPE_OK)
                (void)unlink(beside); /* half of a file helps nobody */
        return err;
}
