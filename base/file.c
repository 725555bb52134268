#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"

enum scope_err scope_err_from_errno(int error)
{
        switch (error) {
        case ENOSPC:
        case EDQUOT:
                return SCOPE_ERR_NO_SPACE;
        case ENOENT:
                return SCOPE_ERR_NOT_FOUND;
        case EEXIST:
                return SCOPE_ERR_EXISTS;
        case ENOMEM:
                return SCOPE_ERR_MEMORY;
        default:
                return SCOPE_ERR_IO;
        }
}

static enum scope_err fail(struct scope_diag *diag, const char *path, const char *what)
{
        int error = errno;
        return scope_diag_set(diag, scope_err_from_errno(error), "%s: %s: %s", path, what,
                strerror(error));
}

static enum scope_err read_all(int fd, const char *path, size_t count, char *bytes,
        struct scope_diag *diag)
{
        for (size_t done = 0; done < count;) {
                ssize_t got = read(fd, bytes + done, count - done);
                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0)
                        return fail(diag, path, "cannot read");
                if (got == 0)
                        return scope_diag_set(
                                diag, SCOPE_ERR_IO, "%s: shrank while being read", path);
                done += (size_t)got;
        }
        return SCOPE_OK;
}

enum scope_err scope_file_read_at(int fd, const char *path, void *ret_bytes, size_t count,
        uint64_t at, struct scope_diag *diag)
{
        for (size_t done = 0; done < count;) {
                ssize_t got = pread(fd, (char *)ret_bytes + done, count - done, (off_t)(at + done));
                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0)
                        return fail(diag, path, "cannot read");
                if (got == 0)
                        return scope_diag_set(diag, SCOPE_ERR_IO, "%s: ends too early", path);
                done += (size_t)got;
        }
        return SCOPE_OK;
}

enum scope_err scope_file_read(const char *path, size_t bytes_max, char **ret_bytes,
        size_t *ret_count, struct scope_diag *diag)
{
        struct stat status;
        char *bytes = NULL;
        enum scope_err err = SCOPE_OK;
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return fail(diag, path, "cannot open");
        if (fstat(fd, &status) != 0) {
                err = fail(diag, path, "cannot stat");
                goto fail;
        }
        if (!S_ISREG(status.st_mode)) {
                err = scope_diag_set(diag, SCOPE_ERR_FORMAT, "%s: not a regular file", path);
                goto fail;
        }
        if ((uint64_t)status.st_size > bytes_max) {
                err = scope_diag_set(diag, SCOPE_ERR_TOO_BIG, "%s: %lld bytes, the limit is %zu",
                        path, (long long)status.st_size, bytes_max);
                goto fail;
        }
        bytes = malloc((size_t)status.st_size + 1);
        if (bytes == NULL) {
                err = scope_diag_set(diag, SCOPE_ERR_MEMORY, "%s: out of memory", path);
                goto fail;
        }
        err = read_all(fd, path, (size_t)status.st_size, bytes, diag);
        if (err != SCOPE_OK)
                goto fail;
        bytes[status.st_size] = 0;
        (void)close(fd); /* read-only: nothing to lose */
        *ret_bytes = bytes;
        *ret_count = (size_t)status.st_size;
        return SCOPE_OK;
fail:
        free(bytes);
        (void)close(fd);
        return err;
}

static enum scope_err write_all(int fd, const char *path, const char *bytes, size_t count,
        struct scope_diag *diag)
{
        for (size_t done = 0; done < count;) {
                ssize_t put = write(fd, bytes + done, count - done);
                if (put < 0 && errno == EINTR)
                        continue;
                if (put < 0)
                        return fail(diag, path, "cannot write");
                done += (size_t)put;
        }
        if (fsync(fd) != 0)
                return fail(diag, path, "cannot flush to disk");
        return SCOPE_OK;
}

/* A rename is only durable once the directory is flushed. Some file systems refuse; then we did our
 * best. */
static void sync_parent(const char *path)
{
        char parent[SCOPE_PATH_BYTES_MAX];
        const char *slash = strrchr(path, '/');
        size_t count = slash == NULL ? 0 : (size_t)(slash - path);
        (void)snprintf(parent, sizeof parent, "%.*s", (int)count, path);
        const char *directory = slash == NULL ? "." : count == 0 ? "/" : parent;
        int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return;
        (void)fsync(fd);
        (void)close(fd);
}

enum scope_err scope_path_format(char *ret_path, struct scope_diag *diag, const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        int length = vsnprintf(ret_path, SCOPE_PATH_BYTES_MAX, format, arguments);
        va_end(arguments);
        if (length < 0 || length >= SCOPE_PATH_BYTES_MAX)
                return scope_diag_set(
                        diag, SCOPE_ERR_ARGUMENT, "%.200s...: path too long", ret_path);
        return SCOPE_OK;
}

enum scope_err scope_file_commit(const char *path, const void *bytes, size_t count,
        struct scope_diag *diag)
{
        char beside[SCOPE_PATH_BYTES_MAX];
        enum scope_err err = scope_path_format(beside, diag, "%s.tmp", path);
        if (err != SCOPE_OK)
                return err;
        int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0)
                return fail(diag, beside, "cannot create");
        err = write_all(fd, path, bytes, count, diag);
        if (close(fd) != 0 && err == SCOPE_OK)
                err = fail(diag, path, "cannot close");
        if (err == SCOPE_OK && rename(beside, path) != 0)
                err = fail(diag, path, "cannot rename into place");
        if (err != SCOPE_OK) {
                (void)unlink(beside); /* nothing of the failed attempt stays */
                return err;
        }
        sync_parent(path);
        return SCOPE_OK;
}

enum scope_err scope_directory_create(const char *path, struct scope_diag *diag)
{
        char part[SCOPE_PATH_BYTES_MAX];
        int length = snprintf(part, sizeof part, "%s", path);
        if (length <= 0 || (size_t)length >= sizeof part)
                return scope_diag_set(diag, SCOPE_ERR_ARGUMENT, "directory name empty or too long");
        for (char *at = part + 1;; at++) {
                if (*at != '/' && *at != 0)
                        continue;
                char held = *at;
                *at = 0;
                if (mkdir(part, 0755) != 0 && errno != EEXIST)
                        return fail(diag, part, "cannot create directory");
                *at = held;
                if (held == 0)
                        break;
        }
        struct stat status;
        if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode))
                return scope_diag_set(
                        diag, SCOPE_ERR_EXISTS, "%s: exists and is not a directory", path);
        return SCOPE_OK;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
        (void)status;
        (void)type;
        (void)walk;
        return remove(path);
}

void scope_directory_remove(const char *path)
{
        enum { OPEN_FILES_MAX = 16 };
        /* what stays is seen by whoever looks next */
        (void)nftw(path, remove_entry, OPEN_FILES_MAX, FTW_DEPTH | FTW_PHYS);
}
