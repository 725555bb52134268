/* hf_directory.c - reading. config.json says what tensors there must be; each is found, and found
 * to be of the right shape, before the parameters are allocated. */
#include "models/hf_directory.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "models/gguf_model.h"
#include "models/hf_config.h"
#include "models/hf_files.h"
#include "models/safetensors.h"

enum { ALIGN = 64, SHARDS_MAX = 1024, SHARD_NAME_BYTES = 96, INDEX_BYTES_MAX = 16 << 20 };

struct shard {
        char name[SHARD_NAME_BYTES];
        struct scope_safetensors file;
};

struct loader {
        const char *directory;
        char path[SCOPE_PATH_BYTES_MAX]; /* of the file that is being read */
        json_t *index;                   /* NULL: one file holds all */
        struct shard *shards;            /* [SHARDS_MAX], those that were needed so far */
        uint32_t shard_count;
        struct scope_diag *diag;
};

static enum scope_err loader_path(struct loader *loader, const char *name)
{
        return scope_path_format(loader->path, loader->diag, "%s/%s", loader->directory, name);
}

/* --- which file holds what --------------------------------------------------------------- */

/* A name of a file right here, so that an index cannot lead elsewhere. */
static bool is_plain(const char *name)
{
        const char *ending = ".safetensors";
        const size_t count = strlen(name), end = strlen(ending);
        return count > end && count < SHARD_NAME_BYTES && name[0] != '.'
                && strchr(name, '/') == NULL && strcmp(name + count - end, ending) == 0;
}

static enum scope_err open_shard(struct loader *loader, const char *name, uint32_t *ret_shard)
{
        for (uint32_t i = 0; i < loader->shard_count; i++)
                if (strcmp(loader->shards[i].name, name) == 0) {
                        *ret_shard = i;
                        return SCOPE_OK;
                }
        if (!is_plain(name))
                return scope_diag_set(loader->diag, SCOPE_ERR_FORMAT,
                        "%s: \"%.100s\" is no name of a safetensors file", loader->path, name);
        if (loader->shard_count == SHARDS_MAX)
                return scope_diag_set(loader->diag, SCOPE_ERR_TOO_BIG,
                        "%s: over %d files", loader->path, SHARDS_MAX);
        struct shard *shard = &loader->shards[loader->shard_count];
        enum scope_err err = loader_path(loader, name);
        if (err == SCOPE_OK)
                err = scope_safetensors_open(loader->path, &shard->file, loader->diag);
        if (err != SCOPE_OK)
                return err;
        (void)snprintf(shard->name, sizeof shard->name, "%s", name); /* is_plain: it fits */
        *ret_shard = loader->shard_count++;
        return SCOPE_OK;
}

static enum scope_err open_index(struct loader *loader)
{
        char *bytes = NULL;
        size_t count = 0;
        json_error_t error;
        enum scope_err err =
                scope_file_read(loader->path, INDEX_BYTES_MAX, &bytes, &count, loader->diag);
        if (err != SCOPE_OK)
                return err;
        loader->index = json_loadb(bytes, count, JSON_REJECT_DUPLICATES, &error);
        free(bytes);
        if (loader->index == NULL)
                return scope_diag_set(loader->diag, SCOPE_ERR_FORMAT, "%s:%d:%d: %s", loader->path,
                        error.line, error.column, error.text);
        if (!json_is_object(json_object_get(loader->index, "weight_map")))
                return scope_diag_set(
                        loader->diag, SCOPE_ERR_FORMAT, "%s: no weight_map", loader->path);
        return SCOPE_OK;
}

/* The shard with this tensor; without an index there is but one file. */
static enum scope_err shard_of(struct loader *loader, const char *name, uint32_t *ret_shard)
{
        if (loader->index == NULL)
                return open_shard(loader, "model.safetensors", ret_shard);
        const char *file = json_string_value(
                json_object_get(json_object_get(loader->index, "weight_map"), name));
        enum scope_err err = loader_path(loader, "model.safetensors.index.json");
        if (err == SCOPE_OK && file == NULL)
                err = scope_diag_set(loader->diag, SCOPE_ERR_NOT_FOUND, "%s: no tensor \"%s\"",
                        loader->path, name);
        return err == SCOPE_OK ? open_shard(loader, file, ret_shard) : err;
}

/* --- tensors ----------------------------------------------------------------------------- */

static enum scope_err find(struct loader *loader, const struct scope_tensor *wanted,
        const struct scope_safetensors **ret_file, const struct scope_safetensor **ret_found)
{
        uint32_t shard = 0;
        enum scope_err err = shard_of(loader, wanted->name, &shard);
        if (err == SCOPE_OK)
                err = loader_path(loader, loader->shards[shard].name);
        if (err != SCOPE_OK)
                return err;
        const struct scope_safetensor *found =
                scope_safetensors_find(&loader->shards[shard].file, wanted->name);
        if (found == NULL)
                return scope_diag_set(loader->diag, SCOPE_ERR_NOT_FOUND, "%s: no tensor \"%s\"",
                        loader->path, wanted->name);
        uint64_t rows = found->rank == 2 ? found->shape[0] : 1;
        uint64_t columns = found->rank == 2 ? found->shape[1] : found->shape[0];
        if (found->rank != wanted->rank || rows != wanted->rows || columns != wanted->columns)
                return scope_diag_set(loader->diag, SCOPE_ERR_FORMAT,
                        "%s: \"%s\" should have %u x %u numbers by config.json, has %llu x %llu "
                        "(rank %u)", loader->path, wanted->name, wanted->rows, wanted->columns,
                        (unsigned long long)rows, (unsigned long long)columns, found->rank);
        if (found->dtype == SCOPE_DTYPE_COUNT)
                return scope_diag_set(loader->diag, SCOPE_ERR_UNSUPPORTED,
                        "%s: \"%s\" is not F32, BF16 or F16: convert the model first",
                        loader->path, wanted->name);
        *ret_file = &loader->shards[shard].file;
        *ret_found = found;
        return SCOPE_OK;
}

static enum scope_err load_tensors(struct loader *loader, struct scope_model *model)
{
        const struct scope_layout *layout = model->layout;
        const struct scope_safetensors *file = NULL;
        const struct scope_safetensor *found = NULL;
        enum scope_err err = SCOPE_OK;
        for (uint32_t i = 0; i < layout->tensor_count && err == SCOPE_OK; i++)
                err = find(loader, &layout->tensors[i], &file, &found);
        if (err != SCOPE_OK)
                return err;
        /* float_count is a multiple of 16: every tensor begins at one and is padded to one. */
        size_t bytes = layout->float_count * sizeof(float);
        model->parameters = aligned_alloc(ALIGN, bytes);
        if (model->parameters == NULL)
                return scope_diag_set(loader->diag, SCOPE_ERR_MEMORY,
                        "%s: out of memory: %zu bytes", loader->path, bytes);
        memset(model->parameters, 0, bytes);
        for (uint32_t i = 0; i < layout->tensor_count && err == SCOPE_OK; i++) {
                err = find(loader, &layout->tensors[i], &file, &found);
                if (err == SCOPE_OK)
                        err = scope_safetensors_read(file, found,
                                model->parameters + layout->tensors[i].offset, loader->diag);
        }
        return err;
}

static enum scope_err load_weights(struct loader *loader, struct scope_model *model)
{
        loader->shards = calloc(SHARDS_MAX, sizeof *loader->shards);
        if (loader->shards == NULL)
                return scope_diag_set(
                        loader->diag, SCOPE_ERR_MEMORY, "%s: out of memory", loader->directory);
        enum scope_err err = loader_path(loader, "model.safetensors");
        const bool whole = err == SCOPE_OK && access(loader->path, F_OK) == 0;
        if (err == SCOPE_OK)
                err = loader_path(loader, "model.safetensors.index.json");
        if (err == SCOPE_OK && !whole && access(loader->path, F_OK) == 0)
                err = open_index(loader);
        if (err == SCOPE_OK)
                err = load_tensors(loader, model);
        for (uint32_t i = 0; i < loader->shard_count; i++)
                scope_safetensors_fini(&loader->shards[i].file);
        free(loader->shards);
        json_decref(loader->index);
        return err;
}

static enum scope_err load_directory(const char *directory, struct scope_model *ret_model,
        struct scope_diag *diag)
{
        struct loader loader = { .directory = directory, .diag = diag };
        struct scope_model model = { 0 };
        struct scope_model_config config;
        enum scope_err err = scope_hf_config_load(directory, &config, diag);
        if (err == SCOPE_OK)
                err = scope_layout_create(&config, &model.layout);
        if (err == SCOPE_OK)
                err = load_weights(&loader, &model);
        if (err != SCOPE_OK) {
                scope_model_fini(&model);
                return err;
        }
        *ret_model = model;
        return SCOPE_OK;
}

enum scope_err scope_model_load(
        const char *path, struct scope_model *ret_model, struct scope_diag *diag)
{
        return scope_is_gguf(path) ? scope_gguf_model_load(path, ret_model, diag)
                                   : load_directory(path, ret_model, diag);
}

void scope_model_fini(struct scope_model *model)
{
        scope_layout_destroy(model->layout);
        free(model->parameters);
        *model = (struct scope_model){ 0 };
}
