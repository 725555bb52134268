#include "runtime/file_store.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum { NAME_BYTES_MAX = 1024, TORN_BLOCK_BYTES = 4096 };

struct scope_file_store {
        int directory;
};

bool scope_file_name_valid(const char *name)
{
        size_t count = strlen(name);
        if (count == 0 || count > NAME_BYTES_MAX)
                return false;
        for (size_t at = 0; at < count; at++) {
                bool first = at == 0 || name[at - 1] == '/';
                if (iscntrl((unsigned char)name[at]) ||
                        (first && (name[at] == '.' || name[at] == '/')))
                        return false;
        }
        return name[count - 1] != '/';
}

enum scope_err scope_file_store_create(const char *directory, struct scope_file_store **ret_store)
{
        struct scope_file_store *store = malloc(sizeof *store);
        if (store == NULL)
                return SCOPE_ERR_MEMORY;
        store->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (store->directory < 0) {
                free(store);
                return scope_err_from_errno(errno);
        }
        *ret_store = store;
        return SCOPE_OK;
}

void scope_file_store_destroy(struct scope_file_store *store)
{
        if (store == NULL)
                return;
        (void)close(store->directory); /* read-only: nothing to lose */
        free(store);
}

static enum scope_err failed(void)
{
        return errno == ELOOP || errno == ENOTDIR || errno == EISDIR || errno == ENXIO
                       ? SCOPE_ERR_REFUSED
                       : scope_err_from_errno(errno);
}

/* One level down, created where it is missing; `parent` is closed. */
static int descend(int parent, const char *component)
{
        int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
        int child = openat(parent, component, flags);
        if (child < 0 && errno == ENOENT &&
                (mkdirat(parent, component, 0755) == 0 || errno == EEXIST))
                child = openat(parent, component, flags);
        int error = errno;
        (void)close(parent);
        errno = error;
        return child;
}

/* The directory that holds `name`, which is cut to its last component. */
static enum scope_err open_parent(const struct scope_file_store *store, const char *name,
        int *ret_parent, const char **ret_last)
{
        char component[NAME_BYTES_MAX + 1];
        const char *slash;
        if (!scope_file_name_valid(name))
                return SCOPE_ERR_ARGUMENT;
        int parent = fcntl(store->directory, F_DUPFD_CLOEXEC, 0);
        for (; parent >= 0 && (slash = strchr(name, '/')) != NULL; name = slash + 1) {
                (void)snprintf(component, sizeof component, "%.*s", (int)(slash - name), name);
                parent = descend(parent, component);
        }
        if (parent < 0)
                return failed();
        *ret_parent = parent;
        *ret_last = name;
        return SCOPE_OK;
}

static enum scope_err write_all(int fd, const char *bytes, size_t count)
{
        for (size_t done = 0; done < count;) {
                ssize_t put = write(fd, bytes + done, count - done);
                if (put < 0 && errno == EINTR)
                        continue;
                if (put < 0)
                        return failed();
                done += (size_t)put;
        }
        return SCOPE_OK;
}

/* Cuts what stands behind the last line end. *size is the file's size, before and after. */
static enum scope_err cut_torn_line(int fd, off_t *size)
{
        char block[TORN_BLOCK_BYTES];
        off_t end = *size;
        while (end > 0) {
                size_t count = end < TORN_BLOCK_BYTES ? (size_t)end : TORN_BLOCK_BYTES;
                ssize_t got = pread(fd, block, count, end - (off_t)count);
                if (got != (ssize_t)count)
                        return SCOPE_ERR_IO;
                const char *line_end = memrchr(block, '\n', count);
                if (line_end != NULL) {
                        end -= (off_t)count - (line_end - block + 1);
                        break;
                }
                end -= (off_t)count;
        }
        if (end == *size)
                return SCOPE_OK;
        if (ftruncate(fd, end) != 0)
                return failed();
        *size = end;
        return SCOPE_OK;
}

static enum scope_err append(int fd, const char *bytes, size_t count)
{
        struct stat status;
        enum scope_err err = SCOPE_OK;
        if (fstat(fd, &status) != 0)
                return failed();
        if (!S_ISREG(status.st_mode))
                return SCOPE_ERR_REFUSED;
        off_t size = status.st_size;
        if (count > 0 && bytes[count - 1] == '\n')
                err = cut_torn_line(fd, &size);
        if (err != SCOPE_OK)
                return err;
        err = write_all(fd, bytes, count);
        if (err != SCOPE_OK)
                (void)ftruncate(fd, size); /* where this fails too, the next append of lines cuts */
        return err;
}

enum scope_err scope_file_store_append(
        struct scope_file_store *store, const char *name, const void *bytes, size_t count)
{
        int parent;
        enum scope_err err = open_parent(store, name, &parent, &name);
        if (err != SCOPE_OK)
                return err;
        /* Non-blocking, so that a named pipe in the way is refused and not waited for. */
        int fd = openat(parent, name,
                O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
        err = fd < 0 ? failed() : append(fd, bytes, count);
        if (fd >= 0 && close(fd) != 0 && err == SCOPE_OK)
                err = failed();
        (void)close(parent); /* read-only */
        return err;
}

static enum scope_err write_beside(int parent, const char *beside, const void *bytes, size_t count)
{
        int fd =
                openat(parent, beside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (fd < 0)
                return failed();
        enum scope_err err = write_all(fd, bytes, count);
        if (err == SCOPE_OK && fsync(fd) != 0)
                err = failed();
        if (close(fd) != 0 && err == SCOPE_OK)
                err = failed();
        return err;
}

/* A rename would put a plain file in the place of a link; what is there must be ours to replace. */
static enum scope_err check_replaceable(int parent, const char *name)
{
        struct stat status;
        if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
                return errno == ENOENT ? SCOPE_OK : failed();
        return S_ISREG(status.st_mode) ? SCOPE_OK : SCOPE_ERR_REFUSED;
}

enum scope_err scope_file_store_replace(
        struct scope_file_store *store, const char *name, const void *bytes, size_t count)
{
        char beside[NAME_BYTES_MAX + 8];
        int parent;
        enum scope_err err = open_parent(store, name, &parent, &name);
        if (err != SCOPE_OK)
                return err;
        (void)snprintf(
                beside, sizeof beside, ".%s.tmp", name); /* no valid name begins with a dot */
        err = check_replaceable(parent, name);
        if (err == SCOPE_OK)
                err = write_beside(parent, beside, bytes, count);
        if (err == SCOPE_OK && renameat(parent, beside, parent, name) != 0)
                err = failed();
        if (err != SCOPE_OK)
                (void)unlinkat(parent, beside, 0); /* nothing of the failed attempt stays */
        else
                (void)fsync(parent); /* some file systems refuse; then we did our best */
        (void)close(parent);
        return err;
}
