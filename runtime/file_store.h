/* file_store.h - append and replace below one directory, for the I/O thread.
 * Why: actors write run files by name; whatever name or full disk they meet, nothing outside the
 * directory is touched and no file is left half written.
 * (1) Names are relative, of plain components; symbolic links are not followed, also not by
 * parents. (2) A failed append leaves the file as long as it was; where even that failed, or the
 * program was killed, the torn last line is cut off by the next append of lines.
 * (3) Replace shows the old bytes or the new ones, never a mixture. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct scope_file_store;

/* Relative, no empty component, no component that begins with a dot, no control character, and not
 * too long.                                                         thread  any */
bool scope_file_name_valid(const char *name);

/* Opens `directory`, which exists.
 * errors  SCOPE_ERR_NOT_FOUND, SCOPE_ERR_IO, SCOPE_ERR_MEMORY     owns  gives     thread  setup */
enum scope_err scope_file_store_create(const char *directory, struct scope_file_store **ret_store);
void scope_file_store_destroy(struct scope_file_store *store); /* accepts NULL */

/* Parents are created. Bytes that end in a line end are lines: they begin a line, too.
 * errors  SCOPE_ERR_ARGUMENT: the name; SCOPE_ERR_REFUSED: a link or no regular file;
 *         SCOPE_ERR_NO_SPACE, SCOPE_ERR_IO     thread  any one at a time; blocks */
enum scope_err scope_file_store_append(struct scope_file_store *store, const char *name,
        const void *bytes, size_t count);

/* As append; flushed to disk before it is seen. */
enum scope_err scope_file_store_replace(struct scope_file_store *store, const char *name,
        const void *bytes, size_t count);
