#include "cli/jsonl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/output.h"

struct scope_jsonl {
        int fd;
        char *name;   /* as messages say it */
        char *line;
        size_t bytes; /* its capacity */
        size_t count; /* of the line last read */
        size_t at, end; /* what was read ahead: ahead[at, end) */
        uint64_t number;
        json_t *object;
        char ahead[1 << 16];
};

enum scope_err scope_jsonl_open(
        const char *path, struct scope_jsonl **ret_reader, struct scope_diag *diag)
{
        bool standard = path == NULL || strcmp(path, "-") == 0;
        struct scope_jsonl *reader = calloc(1, sizeof *reader);
        enum scope_err err = SCOPE_OK;
        if (reader != NULL) {
                reader->fd = STDIN_FILENO;
                reader->name = strdup(standard ? "stdin" : path);
        }
        if (reader == NULL || reader->name == NULL) {
                scope_jsonl_close(reader);
                return scope_diag_set(diag, SCOPE_ERR_MEMORY, "out of memory");
        }
        if (!standard)
                reader->fd = open(path, O_RDONLY | O_CLOEXEC);
        if (reader->fd < 0)
                err = scope_diag_set(
                        diag, scope_err_from_errno(errno), "%s: %s", path, strerror(errno));
        if (err != SCOPE_OK) {
                scope_jsonl_close(reader);
                return err;
        }
        *ret_reader = reader;
        return SCOPE_OK;
}

void scope_jsonl_close(struct scope_jsonl *reader)
{
        if (reader == NULL)
                return;
        if (reader->fd > STDIN_FILENO)
                (void)close(reader->fd); /* only read from */
        json_decref(reader->object);
        free(reader->name);
        free(reader->line);
        free(reader);
}

enum scope_err scope_jsonl_bad(const struct scope_jsonl *reader, enum scope_err err,
        struct scope_diag *diag, const char *format, ...)
{
        char what[512];
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(what, sizeof what, format, arguments); /* cut is fine */
        va_end(arguments);
        return scope_diag_set(
                diag, err, "%s:%llu: %s", reader->name, (unsigned long long)reader->number, what);
}

/* The next byte; EOF at the end of the file, or with *ret_failed. */
static int read_byte(struct scope_jsonl *reader, bool *ret_failed)
{
        while (reader->at == reader->end) {
                ssize_t count = read(reader->fd, reader->ahead, sizeof reader->ahead);
                if (count < 0 && errno == EINTR)
                        continue;
                *ret_failed = count < 0;
                if (count <= 0)
                        return EOF;
                reader->at = 0;
                reader->end = (size_t)count;
        }
        return (unsigned char)reader->ahead[reader->at++];
}

bool scope_jsonl_ready(struct scope_jsonl *reader)
{
        struct pollfd file = { .fd = reader->fd, .events = POLLIN };
        for (; reader->at < reader->end; reader->at++) { /* blank lines are no question */
                char c = reader->ahead[reader->at];
                if (c == '\n')
                        reader->number++;
                else if (c != ' ' && c != '\t' && c != '\r')
                        break;
        }
        if (memchr(reader->ahead + reader->at, '\n', reader->end - reader->at) != NULL)
                return true;
        return poll(&file, 1, 0) != 0;
}

json_t *scope_jsonl_take(struct scope_jsonl *reader, size_t *ret_bytes)
{
        *ret_bytes = reader->count;
        return json_incref(reader->object);
}

/* Bounded getline: the line without its newline; *ret_count SIZE_MAX at the end of the file. */
static enum scope_err read_line(
        struct scope_jsonl *reader, size_t *ret_count, struct scope_diag *diag)
{
        size_t count = 0;
        bool failed = false;
        int c;
        reader->number++;
        while ((c = read_byte(reader, &failed)) != EOF && c != '\n') {
                if (count == SCOPE_JSONL_BYTES_MAX)
                        return scope_jsonl_bad(reader, SCOPE_ERR_TOO_BIG, diag,
                                "longer than %d bytes", SCOPE_JSONL_BYTES_MAX);
                if (count == reader->bytes) {
                        size_t bytes = reader->bytes != 0 ? 2 * reader->bytes : 4096;
                        char *line = realloc(reader->line, bytes);
                        if (line == NULL)
                                return scope_jsonl_bad(
                                        reader, SCOPE_ERR_MEMORY, diag, "out of memory");
                        reader->line = line;
                        reader->bytes = bytes;
                }
                reader->line[count++] = (char)c;
        }
        if (failed)
                return scope_jsonl_bad(reader, SCOPE_ERR_IO, diag, "cannot be read");
        reader->count = count;
        *ret_count = c == EOF && count == 0 ? SIZE_MAX : count;
        return SCOPE_OK;
}

static bool is_blank(const char *line, size_t count)
{
        for (size_t i = 0; i < count; i++)
                if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
                        return false;
        return true;
}

enum scope_err scope_jsonl_next(
        struct scope_jsonl *reader, const json_t **ret_object, struct scope_diag *diag)
{
        json_error_t error;
        size_t count = 0;
        json_decref(reader->object);
        reader->object = NULL;
        *ret_object = NULL;
        do {
                enum scope_err err = read_line(reader, &count, diag);
                if (err != SCOPE_OK || count == SIZE_MAX)
                        return err;
        } while (is_blank(reader->line, count));
        reader->object = json_loadb(
                reader->line, count, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
        if (reader->object == NULL)
                return scope_jsonl_bad(reader, SCOPE_ERR_FORMAT, diag, "column %d: %s",
                        error.column, error.text);
        if (!json_is_object(reader->object))
                return scope_jsonl_bad(
                        reader, SCOPE_ERR_FORMAT, diag, "not an object; write {\"key\": ...}");
        *ret_object = reader->object;
        return SCOPE_OK;
}

enum scope_err scope_jsonl_text(const struct scope_jsonl *reader, const json_t *object,
        const char *key, const char **ret_bytes, size_t *ret_count, struct scope_diag *diag)
{
        const json_t *value = json_object_get(object, key);
        if (!json_is_string(value))
                return scope_jsonl_bad(reader, SCOPE_ERR_FORMAT, diag, "\"%s\" %s", key,
                        value == NULL ? "is missing" : "is not a text");
        *ret_bytes = json_string_value(value);
        *ret_count = json_string_length(value);
        return SCOPE_OK;
}

enum scope_err scope_jsonl_answer(const struct scope_jsonl *reader, const json_t *object,
        const char *key, struct scope_jsonl_answer *ret_answer, struct scope_diag *diag)
{
        const json_t *value = json_object_get(object, key);
        if (json_is_string(value)) {
                ret_answer->bytes = json_string_value(value);
                ret_answer->count = json_string_length(value);
                return SCOPE_OK;
        }
        if (!json_is_number(value))
                return scope_jsonl_bad(reader, SCOPE_ERR_FORMAT, diag, "\"%s\" %s", key,
                        value == NULL ? "is missing" : "is neither a text nor a number");
        if (json_is_integer(value))
                (void)snprintf(ret_answer->digits, sizeof ret_answer->digits,
                        "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        else
                (void)snprintf(ret_answer->digits, sizeof ret_answer->digits, "%.15g",
                        json_real_value(value));
        ret_answer->bytes = ret_answer->digits;
        ret_answer->count = strlen(ret_answer->digits);
        return SCOPE_OK;
}

enum scope_err scope_jsonl_ids(const struct scope_jsonl *reader, const json_t *object,
        const char *key, struct scope_jsonl_ids *ids, struct scope_diag *diag)
{
        const json_t *list = json_object_get(object, key);
        size_t count = json_array_size(list);
        if (!json_is_array(list))
                return scope_jsonl_bad(reader, SCOPE_ERR_FORMAT, diag, "\"%s\" %s", key,
                        list == NULL ? "is missing" : "is not a list of token ids");
        if (count > ids->max)
                return scope_jsonl_bad(reader, SCOPE_ERR_TOO_BIG, diag,
                        "\"%s\" has %zu token ids, the limit is %zu", key, count, ids->max);
        for (size_t i = 0; i < count; i++) {
                const json_t *id = json_array_get(list, i);
                json_int_t value = json_integer_value(id);
                if (!json_is_integer(id) || value < 0 || value >= UINT32_MAX)
                        return scope_jsonl_bad(reader, SCOPE_ERR_FORMAT, diag,
                                "\"%s\"[%zu] is not a token id", key, i);
                if (ids->vocab != 0 && value >= ids->vocab)
                        return scope_jsonl_bad(reader, SCOPE_ERR_FORMAT, diag,
                                "\"%s\"[%zu] = %lld, the vocabulary has %u tokens", key, i,
                                (long long)value, ids->vocab);
                ids->ids[i] = (uint32_t)value;
        }
        ids->count = count;
        return SCOPE_OK;
}

enum scope_err scope_jsonl_put(struct scope_text *object, struct scope_diag *diag)
{
        scope_text_string(object, "\n");
        if (object->failed)
                return scope_diag_set(diag, SCOPE_ERR_MEMORY, "out of memory for an answer");
        enum scope_err err = scope_output_bytes(object->bytes, object->count, diag);
        scope_text_clear(object);
        return err;
}

void scope_jsonl_unspelled(uint64_t count)
{
        if (count != 0)
                (void)fprintf(stderr, "warning: %" PRIu64 " texts have bytes that no token of this "
                                      "model spells; they were left out\n", count);
}
