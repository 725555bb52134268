/* file.h - whole files in, whole files out.
 * Why: a file is either the old one or the new one, never half of each: write beside, fsync,
 * rename, fsync the directory. Readers are bounded before they allocate. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Reads all of `path` into heap memory, NUL-terminated past the end.
 * owns    gives *ret_bytes: free()
 * errors  SCOPE_ERR_NOT_FOUND, SCOPE_ERR_TOO_BIG: over bytes_max, SCOPE_ERR_IO, SCOPE_ERR_MEMORY
 * thread  any, blocks */
enum scope_err scope_file_read(const char *path, size_t bytes_max, char **ret_bytes,
        size_t *ret_count, struct scope_diag *diag);

/* Exactly `count` bytes from place `at` of an open file; `path` is for messages.
 * errors  SCOPE_ERR_IO: also when the file ends before     thread  any, blocks */
enum scope_err scope_file_read_at(int fd, const char *path, void *ret_bytes, size_t count,
        uint64_t at, struct scope_diag *diag);

/* Replaces `path` by exactly these bytes, or leaves it as it was.
 * errors  SCOPE_ERR_NO_SPACE, SCOPE_ERR_IO     thread  any, blocks */
enum scope_err scope_file_commit(const char *path, const void *bytes, size_t count,
        struct scope_diag *diag);

/* A path into `ret_path` [SCOPE_PATH_BYTES_MAX].
 * errors  SCOPE_ERR_ARGUMENT: too long     thread  any */
enum scope_err scope_path_format(char *ret_path, struct scope_diag *diag, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* Creates `path` and its parents (mode 0755); an existing directory is fine.
 * errors  SCOPE_ERR_IO, SCOPE_ERR_NO_SPACE     thread  any, blocks */
enum scope_err scope_directory_create(const char *path, struct scope_diag *diag);

/* Removes `path` and all below it; follows no link. What cannot be removed stays.
 * thread  any, blocks */
void scope_directory_remove(const char *path);

/* NO_SPACE for ENOSPC and EDQUOT, NOT_FOUND for ENOENT, EXISTS for EEXIST, else IO. */
enum scope_err scope_err_from_errno(int error);

#ifdef __cplusplus
}
#endif
