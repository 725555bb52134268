/* dataset_parquet.c - problems from a Parquet file: columns put together to rows, rows judged as
 * those of a .jsonl are. Only columns that a data set can need are read. */
#include <jansson.h>

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "tasks/dataset.h"
#include "tasks/dataset_rows.h"
#include "tasks/parquet.h"
#include "tasks/parquet_column.h"

enum { FILE_BYTES_MAX = 1 << 30 };

/* One column as it is walked. */
struct walk {
        uint16_t node;
        struct scope_parquet_column column;
        size_t entry, value;                       /* the next ones */
        size_t index[SCOPE_PARQUET_DEPTH_MAX + 1]; /* in the list of each repetition level */
        char path[256];
};

struct table {
        const char *name;
        const uint8_t *bytes;
        const struct scope_parquet_meta *meta;
        struct walk *walks;
        size_t walk_count;
        struct scope_dataset_rows *rows;
        struct scope_diag *diag;
        uint64_t row; /* of the file */
};

/* Where a value goes: a key of an object, or a place in a list. */
struct slot {
        json_t *container;
        const char *key;
        size_t index;
};

static json_t *slot_get(const struct slot *slot)
{
        return json_is_object(slot->container) ? json_object_get(slot->container, slot->key)
                                               : json_array_get(slot->container, slot->index);
}

/* Takes `value`; false: out of memory, or no place for it. */
static bool slot_put(const struct slot *slot, json_t *value)
{
        if (value == NULL)
                return false;
        if (json_is_object(slot->container))
                return json_object_set_new(slot->container, slot->key, value) == 0;
        if (slot->index < json_array_size(slot->container))
                return json_array_set_new(slot->container, slot->index, value) == 0;
        if (slot->index > json_array_size(slot->container)) {
                json_decref(value);
                return false;
        }
        return json_array_append_new(slot->container, value) == 0;
}

/* What stands in the slot, made by `make` where nothing does; NULL: something else does. */
static json_t *slot_open(const struct slot *slot, bool list)
{
        json_t *there = slot_get(slot);
        if (there == NULL && slot_put(slot, list ? json_array() : json_object()))
                there = slot_get(slot);
        bool fits = list ? json_is_array(there) : json_is_object(there);
        return fits ? there : NULL;
}

static json_t *json_of(
        const struct scope_parquet_node *node, const struct scope_parquet_value *value)
{
        switch (node->type) {
        case SCOPE_PARQUET_BOOLEAN:
                return json_boolean(value->as.integer != 0);
        case SCOPE_PARQUET_FLOAT:
        case SCOPE_PARQUET_DOUBLE: {
                json_t *real = json_real(value->as.real);
                return real != NULL ? real : json_null(); /* NaN and infinity are no JSON */
        }
        case SCOPE_PARQUET_BYTE_ARRAY:
                return json_stringn((const char *)value->as.bytes, value->count);
        default:
                return json_integer(value->as.integer);
        }
}

/* Puts one entry of a column into its row. False: the levels do not fit together. */
static bool place(const struct table *table, struct walk *walk, json_t *row)
{
        const struct scope_parquet_node *nodes = table->meta->nodes;
        uint8_t def = walk->column.defs[walk->entry], rep = walk->column.reps[walk->entry];
        uint16_t chain[SCOPE_PARQUET_DEPTH_MAX + 1];
        size_t count = 0;
        struct slot slot = { .container = row };
        for (uint16_t at = walk->node; at != 0 && count <= SCOPE_PARQUET_DEPTH_MAX;
                at = nodes[at].parent)
                chain[count++] = at;
        while (count-- > 0) {
                const struct scope_parquet_node *node = &nodes[chain[count]];
                if (!node->inlined) {
                        if (slot.key != NULL || slot.container != row) {
                                json_t *object = slot_open(&slot, false);
                                if (object == NULL)
                                        return false;
                                slot.container = object;
                        }
                        slot.key = node->name;
                }
                if (node->optional && def < node->max_def)
                        return slot_get(&slot) != NULL || slot_put(&slot, json_null());
                if (!node->repeated)
                        continue;
                json_t *list = slot_open(&slot, true);
                if (list == NULL)
                        return false;
                if (def < node->max_def)
                        return json_array_size(list) == 0; /* an empty one */
                size_t *index = &walk->index[node->max_rep];
                *index = rep < node->max_rep ? 0 : *index + (rep == node->max_rep);
                slot = (struct slot){ .container = list, .key = "", .index = *index };
        }
        if (walk->value >= walk->column.value_count)
                return false;
        json_t *there = slot_get(&slot);
        return there == NULL &&
               slot_put(&slot, json_of(&nodes[walk->node], &walk->column.values[walk->value++]));
}

static enum scope_err build_row(struct table *table, json_t *row)
{
        for (size_t i = 0; i < table->walk_count; i++) {
                struct walk *walk = &table->walks[i];
                const struct scope_parquet_column *column = &walk->column;
                bool first = true;
                while (walk->entry < column->entry_count &&
                        (first || column->reps[walk->entry] > 0)) {
                        if ((first && column->reps[walk->entry] != 0) || !place(table, walk, row))
                                return scope_diag_set(table->diag, SCOPE_ERR_FORMAT,
                                        "%.300s: row %llu: column \"%s\" is malformed, or no UTF-8",
                                        table->name, (unsigned long long)table->row, walk->path);
                        walk->entry++;
                        first = false;
                }
                if (first)
                        return scope_diag_set(table->diag, SCOPE_ERR_FORMAT,
                                "%.300s: column \"%s\" has fewer rows than its row group",
                                table->name, walk->path);
        }
        return SCOPE_OK;
}

static enum scope_err read_group(struct table *table, uint32_t group)
{
        const struct scope_parquet_meta *meta = table->meta;
        enum scope_err err = SCOPE_OK;
        for (size_t i = 0; i < table->walk_count && err == SCOPE_OK; i++) {
                struct walk *walk = &table->walks[i];
                const struct scope_parquet_node *node = &meta->nodes[walk->node];
                walk->entry = walk->value = 0;
                err = scope_parquet_column_read(table->name, walk->path, table->bytes, node,
                        &meta->chunks[(size_t)group * meta->leaf_count + (size_t)node->leaf],
                        &walk->column, table->diag);
        }
        for (uint64_t r = 0; r < meta->group_rows[group] && err == SCOPE_OK; r++) {
                json_t *row = json_object();
                table->row++;
                err = row == NULL ? SCOPE_ERR_MEMORY : build_row(table, row);
                if (err == SCOPE_OK)
                        err = scope_dataset_rows_add(table->rows, table->row, row, table->diag);
                json_decref(row);
        }
        for (size_t i = 0; i < table->walk_count; i++)
                scope_parquet_column_fini(&table->walks[i].column);
        return err;
}

/* The columns that a data set can need; false: out of memory. */
static bool choose_columns(struct table *table, const struct scope_dataset_keys *keys)
{
        static const struct scope_dataset_keys none = { NULL, NULL, NULL };
        table->walks = calloc(table->meta->leaf_count + 1u, sizeof *table->walks);
        if (table->walks == NULL)
                return false;
        for (uint32_t leaf = 0; leaf < table->meta->leaf_count; leaf++) {
                struct walk *walk = &table->walks[table->walk_count];
                walk->node = table->meta->leaf_node[leaf];
                scope_parquet_path(table->meta, walk->node, walk->path, sizeof walk->path);
                if (scope_dataset_rows_wants(keys != NULL ? keys : &none, walk->path))
                        table->walk_count++;
        }
        return true;
}

enum scope_err scope_dataset_of_parquet(const char *name, const uint8_t *bytes, size_t count,
        const struct scope_dataset_keys *keys, struct scope_dataset **ret_dataset,
        struct scope_diag *diag)
{
        struct scope_parquet_meta meta = { 0 };
        struct table table = { .name = name, .bytes = bytes, .meta = &meta, .diag = diag };
        enum scope_err err = scope_parquet_meta_read(name, bytes, count, &meta, diag);
        if (err == SCOPE_OK)
                err = scope_dataset_rows_create(name, keys, &table.rows, diag);
        if (err == SCOPE_OK && !choose_columns(&table, keys))
                err = scope_diag_set(diag, SCOPE_ERR_MEMORY, "%.300s: out of memory", name);
        if (err == SCOPE_OK && table.walk_count == 0)
                err = scope_diag_set(diag, SCOPE_ERR_FORMAT,
                        "%.300s: no column holds problems; say which: data.prompt_key, "
                        "data.answer_key",
                        name);
        for (uint32_t group = 0; group < meta.group_count && err == SCOPE_OK; group++)
                err = read_group(&table, group);
        if (err == SCOPE_OK)
                err = scope_dataset_rows_finish(table.rows, ret_dataset, diag);
        if (err != SCOPE_OK)
                scope_dataset_rows_destroy(table.rows);
        free(table.walks);
        scope_parquet_meta_fini(&meta);
        return err;
}

enum scope_err scope_dataset_open_parquet(const char *path, const struct scope_dataset_keys *keys,
        struct scope_dataset **ret_dataset, struct scope_diag *diag)
{
        char *bytes = NULL;
        size_t count;
        enum scope_err err = scope_file_read(path, FILE_BYTES_MAX, &bytes, &count, diag);
        if (err == SCOPE_OK)
                err = scope_dataset_of_parquet(
                        path, (const uint8_t *)bytes, count, keys, ret_dataset, diag);
        free(bytes);
        return err;
}
