#include "tasks/parquet_meta.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tasks/parquet_thrift.h"

enum {
        FOOTER_TAIL = 8,
        CONVERTED_LIST = 3,
        CONVERTED_DECIMAL = 5,
        LOGICAL_LIST = 3,
        LOGICAL_DECIMAL = 5
};

/* One element of the schema as it is written. */
struct element {
        const uint8_t *name;
        size_t name_bytes;
        int64_t type, repetition, children, converted;
        int32_t logical; /* which field of the union is set; 0 = none */
};

struct reading {
        struct scope_thrift thrift;
        struct scope_parquet_meta *meta;
        uint64_t file_bytes;
        const char *what; /* is wrong; NULL = nothing yet */
};

static bool wrong(struct reading *r, const char *what)
{
        if (r->what == NULL)
                r->what = what;
        r->thrift.failed = true;
        return false;
}

/* ---- schema ---- */

static int32_t read_union(struct scope_thrift *thrift)
{
        struct scope_thrift_field field = { 0 };
        int32_t set = 0;
        while (scope_thrift_next(thrift, &field)) {
                set = field.id;
                scope_thrift_skip(thrift, field.type);
        }
        return set;
}

static struct element read_element(struct scope_thrift *thrift)
{
        struct scope_thrift_field field = { 0 };
        struct element element = { .type = -1, .converted = -1 };
        while (scope_thrift_next(thrift, &field)) {
                bool integer = field.type == SCOPE_THRIFT_I32;
                if (field.id == 4 && field.type == SCOPE_THRIFT_BINARY)
                        element.name = scope_thrift_binary(thrift, &element.name_bytes);
                else if (field.id == 1 && integer)
                        element.type = scope_thrift_integer(thrift);
                else if (field.id == 3 && integer)
                        element.repetition = scope_thrift_integer(thrift);
                else if (field.id == 5 && integer)
                        element.children = scope_thrift_integer(thrift);
                else if (field.id == 6 && integer)
                        element.converted = scope_thrift_integer(thrift);
                else if (field.id == 10 && field.type == SCOPE_THRIFT_STRUCT)
                        element.logical = read_union(thrift);
                else
                        scope_thrift_skip(thrift, field.type);
        }
        return element;
}

/* Puts one element under `parent`. */
static bool add_node(struct reading *r, const struct element *element, uint16_t parent)
{
        struct scope_parquet_meta *meta = r->meta;
        struct scope_parquet_node *node = &meta->nodes[meta->node_count],
                                  *above = &meta->nodes[parent];
        if (element->name == NULL || element->name_bytes >= sizeof node->name ||
                memchr(element->name, 0, element->name_bytes) != NULL)
                return wrong(r, "a column without a name, or with one over 127 bytes");
        if (element->repetition < 0 || element->repetition > 2 || element->children < 0 ||
                element->children > SCOPE_PARQUET_NODES_MAX)
                return wrong(r, "the schema is malformed");
        memcpy(node->name, element->name, element->name_bytes);
        node->parent = parent;
        node->children = (uint16_t)element->children;
        node->leaf = -1;
        node->optional = element->repetition == 1;
        node->repeated = element->repetition == 2;
        node->is_list = element->converted == CONVERTED_LIST || element->logical == LOGICAL_LIST;
        node->decimal =
                element->converted == CONVERTED_DECIMAL || element->logical == LOGICAL_DECIMAL;
        node->max_def = (uint8_t)(above->max_def + (node->optional || node->repeated));
        node->max_rep = (uint8_t)(above->max_rep + node->repeated);
        if (meta->node_count == 0) /* the root has no levels */
                node->optional = node->repeated = false, node->max_def = node->max_rep = 0;
        /* LIST: a repeated thing inside, and where that is a group of one, its only child */
        bool item =
                meta->node_count > 0 && above->is_list && above->children == 1 && node->repeated;
        bool inner = meta->node_count > 0 && above->inlined && above->repeated &&
                     above->children == 1 && meta->nodes[above->parent].is_list;
        node->inlined = item || inner;
        if (element->children == 0) {
                if (element->type < 0 || element->type >= SCOPE_PARQUET_TYPES)
                        return wrong(r, "a column of no known type");
                node->type = (uint8_t)element->type;
                node->leaf = (int16_t)meta->leaf_count;
                meta->leaf_node[meta->leaf_count++] = (uint16_t)meta->node_count;
        }
        meta->node_count++;
        return true;
}

static bool read_schema(struct reading *r)
{
        uint64_t count = scope_thrift_list(&r->thrift, SCOPE_THRIFT_STRUCT);
        uint16_t open[SCOPE_PARQUET_DEPTH_MAX]; /* groups that still want children */
        uint16_t left[SCOPE_PARQUET_DEPTH_MAX];
        uint32_t depth = 0;
        if (r->meta->nodes != NULL || count < 2 || count > SCOPE_PARQUET_NODES_MAX)
                return wrong(r, "the schema has no columns, or over 1023");
        r->meta->nodes = calloc((size_t)count, sizeof *r->meta->nodes);
        if (r->meta->nodes == NULL)
                return wrong(r, "out of memory");
        for (uint64_t i = 0; i < count && !r->thrift.failed; i++) {
                struct element element = read_element(&r->thrift);
                while (depth > 0 && left[depth - 1] == 0)
                        depth--;
                if (r->thrift.failed || (i > 0 && depth == 0))
                        return wrong(r, "the schema is malformed");
                if (!add_node(r, &element, i > 0 ? open[depth - 1] : 0))
                        return false;
                if (i > 0)
                        left[depth - 1]--;
                if (element.children > 0) {
                        if (depth == SCOPE_PARQUET_DEPTH_MAX)
                                return wrong(r, "columns nest deeper than 16");
                        open[depth] = (uint16_t)i;
                        left[depth++] = (uint16_t)element.children;
                }
        }
        while (depth > 0 && left[depth - 1] == 0)
                depth--;
        return depth == 0 ? true : wrong(r, "the schema is malformed");
}

/* ---- row groups ---- */

static bool read_chunk_meta(struct reading *r, struct scope_parquet_chunk *chunk)
{
        struct scope_thrift_field field = { 0 };
        int64_t data = -1, dictionary = -1, bytes = -1, values = -1, codec = -1;
        while (scope_thrift_next(&r->thrift, &field)) {
                int64_t *to = field.id == 4    ? &codec
                              : field.id == 5  ? &values
                              : field.id == 7  ? &bytes
                              : field.id == 9  ? &data
                              : field.id == 11 ? &dictionary
                                               : NULL;
                if (to != NULL &&
                        (field.type == SCOPE_THRIFT_I32 || field.type == SCOPE_THRIFT_I64))
                        *to = scope_thrift_integer(&r->thrift);
                else
                        scope_thrift_skip(&r->thrift, field.type);
        }
        int64_t begin = dictionary > 0 && dictionary < data ? dictionary : data;
        if (values == 0) { /* an empty row group lies anywhere */
                *chunk = (struct scope_parquet_chunk){ 0 };
                return true;
        }
        if (begin < 4 || bytes < 0 || values < 0 || codec < 0 || codec > 255 ||
                (uint64_t)begin > r->file_bytes ||
                (uint64_t)bytes > r->file_bytes - (uint64_t)begin)
                return wrong(r, "a column lies outside of the file");
        *chunk = (struct scope_parquet_chunk){ (uint64_t)begin, (uint64_t)bytes, (uint64_t)values,
                (uint32_t)codec };
        return true;
}

static bool read_chunk(struct reading *r, struct scope_parquet_chunk *chunk)
{
        struct scope_thrift_field field = { 0 };
        bool found = false;
        while (scope_thrift_next(&r->thrift, &field)) {
                if (field.id == 1)
                        return wrong(r, "a column lies in another file");
                if (field.id == 8)
                        return wrong(r, "a column is encrypted");
                if (field.id == 3 && field.type == SCOPE_THRIFT_STRUCT)
                        found = read_chunk_meta(r, chunk);
                else
                        scope_thrift_skip(&r->thrift, field.type);
        }
        return found ? true : wrong(r, "a column without metadata");
}

static bool read_group(struct reading *r, uint32_t group)
{
        struct scope_parquet_meta *meta = r->meta;
        struct scope_thrift_field field = { 0 };
        int64_t rows = -1;
        bool columns = false;
        while (scope_thrift_next(&r->thrift, &field)) {
                if (field.id == 1 && field.type == SCOPE_THRIFT_LIST) {
                        if (scope_thrift_list(&r->thrift, SCOPE_THRIFT_STRUCT) != meta->leaf_count)
                                return wrong(r, "a row group lacks columns of the schema");
                        columns = true;
                        for (uint32_t i = 0; i < meta->leaf_count; i++)
                                if (!read_chunk(
                                            r, &meta->chunks[(size_t)group * meta->leaf_count + i]))
                                        return false;
                } else if (field.id == 3 && field.type == SCOPE_THRIFT_I64)
                        rows = scope_thrift_integer(&r->thrift);
                else
                        scope_thrift_skip(&r->thrift, field.type);
        }
        if (rows < 0 || !columns)
                return wrong(r, "a row group is malformed");
        meta->group_rows[group] = (uint64_t)rows;
        return true;
}

static bool read_groups(struct reading *r)
{
        struct scope_parquet_meta *meta = r->meta;
        uint64_t count = scope_thrift_list(&r->thrift, SCOPE_THRIFT_STRUCT);
        if (meta->nodes == NULL || meta->chunks != NULL || count > SCOPE_PARQUET_GROUPS_MAX)
                return wrong(r, "row groups before the schema, or over 65536");
        if (count * meta->leaf_count > (uint64_t)(r->thrift.end - r->thrift.at))
                return wrong(r, "a row group lacks columns of the schema");
        meta->group_count = (uint32_t)count;
        meta->chunks = calloc((size_t)count * meta->leaf_count + 1, sizeof *meta->chunks);
        meta->group_rows = calloc((size_t)count + 1, sizeof *meta->group_rows);
        if (meta->chunks == NULL || meta->group_rows == NULL)
                return wrong(r, "out of memory");
        for (uint32_t i = 0; i < meta->group_count; i++)
                if (!read_group(r, i))
                        return false;
        return true;
}

/* ---- the whole ---- */

static void read_file_meta(struct reading *r)
{
        struct scope_thrift_field field = { 0 };
        while (scope_thrift_next(&r->thrift, &field)) {
                bool list = field.type == SCOPE_THRIFT_LIST;
                if (field.id == 2 && list)
                        (void)read_schema(r);
                else if (field.id == 4 && list)
                        (void)read_groups(r);
                else
                        scope_thrift_skip(&r->thrift, field.type);
        }
        if (!r->thrift.failed && (r->meta->nodes == NULL || r->meta->chunks == NULL))
                (void)wrong(r, "the footer has no schema or no row groups");
}

enum scope_err scope_parquet_meta_read(const char *name, const uint8_t *bytes, size_t count,
        struct scope_parquet_meta *ret_meta, struct scope_diag *diag)
{
        uint32_t footer = 0;
        *ret_meta = (struct scope_parquet_meta){ 0 };
        if (count < 4 + FOOTER_TAIL || memcmp(bytes, "PAR1", 4) != 0)
                return scope_diag_set(
                        diag, SCOPE_ERR_FORMAT, "%.300s: does not begin as a Parquet file", name);
        if (memcmp(bytes + count - 4, "PARE", 4) == 0)
                return scope_diag_set(
                        diag, SCOPE_ERR_UNSUPPORTED, "%.300s: its footer is encrypted", name);
        if (memcmp(bytes + count - 4, "PAR1", 4) != 0)
                return scope_diag_set(
                        diag, SCOPE_ERR_FORMAT, "%.300s: does not end as a Parquet file", name);
        for (int i = 0; i < 4; i++)
                footer |= (uint32_t)bytes[count - FOOTER_TAIL + (size_t)i] << (8 * i);
        if (footer > count - 4 - FOOTER_TAIL)
                return scope_diag_set(
                        diag, SCOPE_ERR_FORMAT, "%.300s: its footer is longer than the file", name);
        const uint8_t *end = bytes + count - FOOTER_TAIL;
        struct reading reading = { .thrift = { .at = end - footer, .end = end },
                .meta = ret_meta,
                .file_bytes = count - FOOTER_TAIL - footer };
        read_file_meta(&reading);
        if (!reading.thrift.failed)
                return SCOPE_OK;
        scope_parquet_meta_fini(ret_meta);
        return scope_diag_set(diag, SCOPE_ERR_FORMAT, "%.300s: %s", name,
                reading.what != NULL ? reading.what : "its footer is malformed");
}

void scope_parquet_meta_fini(struct scope_parquet_meta *meta)
{
        free(meta->nodes);
        free(meta->chunks);
        free(meta->group_rows);
        meta->nodes = NULL;
        meta->chunks = NULL;
        meta->group_rows = NULL;
}

void scope_parquet_path(
        const struct scope_parquet_meta *meta, uint16_t node, char *ret_path, size_t bytes)
{
        uint16_t up[SCOPE_PARQUET_DEPTH_MAX + 1];
        size_t count = 0, at = 0;
        ret_path[0] = 0;
        for (; node != 0 && count <= SCOPE_PARQUET_DEPTH_MAX; node = meta->nodes[node].parent)
                if (!meta->nodes[node].inlined)
                        up[count++] = node;
        while (count > 0 && at < bytes) {
                const char *name = meta->nodes[up[--count]].name;
                int added = snprintf(ret_path + at, bytes - at, "%s%s", at > 0 ? "." : "", name);
                at += added > 0 ? (size_t)added : 0;
        }
}
