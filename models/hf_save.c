/* hf_save.c - writing. Everything goes into DIRECTORY.tmp and onto the disk; then the two
 * directories change places in one step, and what was there before is removed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/text.h"
#include "models/hf_directory.h"
#include "models/hf_files.h"
#include "models/safetensors.h"

static enum scope_err fail(struct scope_diag *diag, const char *path, const char *what)
{
        int error = errno;
        return scope_diag_set(diag, scope_err_from_errno(error), "%s: %s: %s", path, what,
                strerror(error));
}

/* Removes a directory of plain files. One that holds directories is not ours and stays. */
static void remove_directory(const char *path)
{
        char file[SCOPE_PATH_BYTES_MAX];
        DIR *directory = opendir(path);
        struct dirent *entry;
        if (directory == NULL)
                return;
        while ((entry = readdir(directory)) != NULL) {
                int length = snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0
                        && length > 0 && (size_t)length < sizeof file)
                        (void)unlink(file); /* what cannot be removed keeps rmdir from succeeding */
        }
        (void)closedir(directory);
        (void)rmdir(path);
}

/* --- weights ----------------------------------------------------------------------------- */

static enum scope_err put_file(const char *directory, const char *name,
        const struct scope_safetensors_item *items, uint32_t count, enum scope_dtype dtype,
        struct scope_diag *diag)
{
        char path[SCOPE_PATH_BYTES_MAX], place[64];
        (void)snprintf(place, sizeof place, "/%.60s", name);
        enum scope_err err = scope_path_format(path, diag, "%s%s", directory, place);
        return err == SCOPE_OK ? scope_safetensors_write(path, items, count, dtype, diag) : err;
}

static uint64_t bytes_of(const struct scope_safetensors_item *item, enum scope_dtype dtype)
{
        return (uint64_t)item->rows * item->columns * (dtype == SCOPE_DTYPE_F32 ? 4 : 2);
}

/* The end of the shard that begins at `begin`: at least one tensor, then as many as fit. */
static uint32_t shard_end(const struct scope_safetensors_item *items, uint32_t count,
        uint32_t begin, const struct scope_model_save_options *options)
{
        uint64_t bytes = bytes_of(&items[begin], options->dtype);
        uint32_t end = begin + 1;
        while (end < count && bytes + bytes_of(&items[end], options->dtype) <= options->shard_bytes)
                bytes += bytes_of(&items[end++], options->dtype);
        return end;
}

/* model-00001-of-00003.safetensors, ... and the index that says what is where. */
static enum scope_err put_shards(const char *directory, const struct scope_safetensors_item *items,
        uint32_t count, const struct scope_model_save_options *options, struct scope_diag *diag)
{
        struct scope_text index = { 0 };
        char name[64], path[SCOPE_PATH_BYTES_MAX];
        uint32_t shards = 0, shard = 0;
        uint64_t total = 0;
        for (uint32_t begin = 0; begin < count; shards++)
                begin = shard_end(items, count, begin, options);
        for (uint32_t i = 0; i < count; i++)
                total += bytes_of(&items[i], options->dtype);
        scope_json_open(&index, NULL, '{');
        scope_json_open(&index, "metadata", '{');
        scope_json_uint(&index, "total_size", total);
        scope_json_close(&index, '}');
        scope_json_open(&index, "weight_map", '{');
        enum scope_err err = SCOPE_OK;
        for (uint32_t begin = 0, end; begin < count && err == SCOPE_OK; begin = end) {
                end = shard_end(items, count, begin, options);
                (void)snprintf(
                        name, sizeof name, "model-%05u-of-%05u.safetensors", ++shard, shards);
                for (uint32_t i = begin; i < end; i++)
                        scope_json_text(&index, items[i].name, name);
                err = put_file(
                        directory, name, items + begin, end - begin, options->dtype, diag);
        }
        scope_json_close(&index, '}');
        scope_json_close(&index, '}');
        scope_text_string(&index, "\n");
        if (err == SCOPE_OK && index.failed)
                err = scope_diag_set(diag, SCOPE_ERR_MEMORY, "%s: out of memory", directory);
        if (err == SCOPE_OK)
                err = scope_path_format(path, diag, "%s/model.safetensors.index.json", directory);
        if (err == SCOPE_OK)
                err = scope_file_commit(path, index.bytes, index.count, diag);
        scope_text_fini(&index);
        return err;
}

static enum scope_err put_weights(const char *directory, const struct scope_layout *layout,
        const float *parameters, const struct scope_model_save_options *options,
        struct scope_diag *diag)
{
        const uint32_t count = layout->tensor_count;
        struct scope_safetensors_item *items = calloc(count, sizeof *items);
        if (items == NULL)
                return scope_diag_set(diag, SCOPE_ERR_MEMORY, "%s: out of memory", directory);
        for (uint32_t i = 0; i < count; i++) {
                const struct scope_tensor *tensor = &layout->tensors[i];
                items[i] = (struct scope_safetensors_item){ tensor->name,
                        parameters + tensor->offset, tensor->rows, tensor->columns, tensor->rank };
        }
        enum scope_err err = shard_end(items, count, 0, options) == count
                ? put_file(directory, "model.safetensors", items, count, options->dtype, diag)
                : put_shards(directory, items, count, options, diag);
        free(items);
        return err;
}

/* --- the swap ---------------------------------------------------------------------------- */

/* A replaced directory is removed: only what looks like a model may be. */
static enum scope_err check_target(const char *directory, bool *ret_exists, struct scope_diag *diag)
{
        char path[SCOPE_PATH_BYTES_MAX];
        struct stat status;
        enum scope_err err = scope_path_format(path, diag, "%s/config.json", directory);
        *ret_exists = lstat(directory, &status) == 0;
        if (err != SCOPE_OK || !*ret_exists)
                return err;
        if (!S_ISDIR(status.st_mode) || access(path, F_OK) != 0)
                return scope_diag_set(diag, SCOPE_ERR_EXISTS,
                        "%s: exists and holds no config.json: not replaced", directory);
        return SCOPE_OK;
}

static void sync_directory(const char *path)
{
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return; /* some file systems refuse: then we did our best */
        (void)fsync(fd);
        (void)close(fd);
}

static enum scope_err swap(const char *beside, const char *directory, bool exists,
        struct scope_diag *diag)
{
        char parent[SCOPE_PATH_BYTES_MAX], aside[SCOPE_PATH_BYTES_MAX];
        enum scope_err err = scope_path_format(aside, diag, "%s.old", directory);
        sync_directory(beside);
        if (err != SCOPE_OK)
                return err;
        if (!exists) {
                if (rename(beside, directory) != 0)
                        return fail(diag, directory, "cannot rename into place");
        } else if (renameat2(AT_FDCWD, beside, AT_FDCWD, directory, RENAME_EXCHANGE) == 0) {
                remove_directory(beside);
        } else { /* no exchange here: a moment without the directory, never half of one */
                remove_directory(aside);
                if (rename(directory, aside) != 0)
                        return fail(diag, directory, "cannot rename aside");
                if (rename(beside, directory) != 0) {
                        err = fail(diag, directory, "cannot rename into place");
                        (void)rename(aside, directory); /* the old one back */
                        return err;
                }
                remove_directory(aside);
        }
        err = scope_path_format(parent, diag, "%s/..", directory);
        if (err == SCOPE_OK)
                sync_directory(parent);
        return err;
}

enum scope_err scope_model_save(const char *directory, const struct scope_layout *layout,
        const float *parameters, const char *like, struct scope_diag *diag)
{
        const struct scope_model_save_options options = {
                .like = like, .dtype = SCOPE_DTYPE_F32, .shard_bytes = SCOPE_SHARD_BYTES
        };
        return scope_model_save_as(directory, layout, parameters, &options, diag);
}

enum scope_err scope_model_save_as(const char *directory, const struct scope_layout *layout,
        const float *parameters, const struct scope_model_save_options *options,
        struct scope_diag *diag)
{
        char plain[SCOPE_PATH_BYTES_MAX], beside[SCOPE_PATH_BYTES_MAX];
        bool exists = false;
        enum scope_err err = scope_path_format(plain, diag, "%s", directory);
        for (size_t count = strlen(plain); err == SCOPE_OK && count > 1 && plain[count - 1] == '/';)
                plain[--count] = 0; /* DIR/.tmp would be inside */
        directory = plain;
        if (err == SCOPE_OK)
                err = check_target(directory, &exists, diag);
        if (err == SCOPE_OK)
                err = scope_path_format(beside, diag, "%s.tmp", directory);
        if (err != SCOPE_OK)
                return err;
        remove_directory(beside); /* what an earlier, killed attempt left */
        err = scope_directory_create(beside, diag);
        if (err == SCOPE_OK)
                err = scope_hf_files_write(
                        beside, &layout->config, options->like, options->dtype, diag);
        if (err == SCOPE_OK)
                err = put_weights(beside, layout, parameters, options, diag);
        if (err == SCOPE_OK)
                err = swap(beside, directory, exists, diag);
        if (err != SCOPE_OK)
                remove_directory(beside);
        return err;
}
