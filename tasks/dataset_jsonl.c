/* dataset_jsonl.c - problems from a file with one JSON object a line. */
#include <jansson.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "tasks/dataset.h"
#include "tasks/dataset_rows.h"

enum { FILE_BYTES_MAX = 1 << 30, LINE_BYTES_MAX = 4 << 20 };

static enum scope_err read_line(struct scope_dataset_rows *rows, uint64_t number, const char *bytes,
        size_t count, struct scope_diag *diag)
{
        json_error_t error;
        if (count > LINE_BYTES_MAX)
                return scope_dataset_rows_fault(
                        rows, number, "the line is longer than 4 MiB", diag);
        json_t *object = json_loadb(bytes, count, 0, &error);
        if (object == NULL) {
                char what[240];
                (void)snprintf(what, sizeof what, "not JSON: %.180s (column %d)", error.text,
                        error.column);
                return scope_dataset_rows_fault(rows, number, what, diag);
        }
        enum scope_err err = scope_dataset_rows_add(rows, number, object, diag);
        json_decref(object);
        return err;
}

static bool is_blank(const char *bytes, size_t count)
{
        for (size_t i = 0; i < count; i++)
                if (strchr(" \t\r", bytes[i]) == NULL || bytes[i] == 0)
                        return false;
        return true;
}

static enum scope_err read_lines(
        struct scope_dataset_rows *rows, const char *bytes, size_t count, struct scope_diag *diag)
{
        size_t at = count >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
        uint64_t number = 0;
        while (at < count) {
                const char *newline = memchr(bytes + at, '\n', count - at);
                size_t end = newline != NULL ? (size_t)(newline - bytes) : count;
                number++;
                if (!is_blank(bytes + at, end - at)) {
                        enum scope_err err = read_line(rows, number, bytes + at, end - at, diag);
                        if (err != SCOPE_OK)
                                return err;
                }
                at = end + 1;
        }
        return SCOPE_OK;
}

enum scope_err scope_dataset_open_jsonl(const char *path, const struct scope_dataset_keys *keys,
        struct scope_dataset **ret_dataset, struct scope_diag *diag)
{
        struct scope_dataset_rows *rows = NULL;
        char *bytes = NULL;
        size_t count;
        enum scope_err err = scope_file_read(path, FILE_BYTES_MAX, &bytes, &count, diag);
        if (err == SCOPE_OK)
                err = scope_dataset_rows_create(path, keys, &rows, diag);
        if (err == SCOPE_OK)
                err = read_lines(rows, bytes, count, diag);
        if (err == SCOPE_OK)
                err = scope_dataset_rows_finish(rows, ret_dataset, diag);
        free(bytes);
        if (err != SCOPE_OK)
                scope_dataset_rows_destroy(rows);
        return err;
}
