/* jinja_value.h - what a template computes with, and the memory of one run.
 * Why: values are Python's, as far as a chat template can see them: str() and repr(), truth,
 * equality, code points as the units of text.
 * (1) An error is sticky: the first is kept, everything after it does nothing and gives undefined.
 * (2) Memory of a run is given back all at once. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct json_t;
struct scope_jinja_frame;
struct scope_jinja_node;
struct scope_text;
struct tm;

enum scope_jinja_kind {
        SCOPE_JINJA_UNDEFINED,
        SCOPE_JINJA_NONE,
        SCOPE_JINJA_BOOL,
        SCOPE_JINJA_INT,
        SCOPE_JINJA_FLOAT,
        SCOPE_JINJA_STRING,
        SCOPE_JINJA_LIST,
        SCOPE_JINJA_TUPLE,
        SCOPE_JINJA_GENERATOR, /* what map, select, items give: truthy, read once */
        SCOPE_JINJA_DICT,
        SCOPE_JINJA_NAMESPACE,
        SCOPE_JINJA_LOOP,
        SCOPE_JINJA_MACRO,
        SCOPE_JINJA_FUNCTION, /* a global one */
        SCOPE_JINJA_METHOD,   /* bound to a value */
};

struct scope_jinja_string {
        const char *at;
        size_t bytes;
};

struct scope_jinja_value {
        enum scope_jinja_kind kind;
        union {
                bool truth;
                int64_t integer;
                double real;
                struct scope_jinja_string string; /* UNDEFINED: what is undefined, for an error */
                struct scope_jinja_list *list;    /* LIST, TUPLE, GENERATOR */
                struct scope_jinja_dict *dict;    /* DICT, NAMESPACE */
                struct scope_jinja_loop *loop;
                struct scope_jinja_macro *macro;
                struct scope_jinja_method *method;
                uint32_t function;
        } as;
};

struct scope_jinja_list {
        struct scope_jinja_value *items;
        size_t count, capacity;
};
struct scope_jinja_pair {
        struct scope_jinja_value key, value;
};
struct scope_jinja_dict {
        struct scope_jinja_pair *pairs;
        size_t count, capacity;
};
struct scope_jinja_loop {
        const struct scope_jinja_list *items;
        size_t index0;
};
struct scope_jinja_macro {
        const struct scope_jinja_node *node;
        struct scope_jinja_frame *frame; /* where it was defined */
};
struct scope_jinja_method {
        struct scope_jinja_value self;
        struct scope_jinja_string name;
};

/* Memory taken piece by piece and given back all at once, up to `max` bytes. */
struct scope_jinja_memory {
        struct scope_jinja_chunk *chunks;
        size_t used, max;
};
void *scope_jinja_take(struct scope_jinja_memory *memory, size_t bytes); /* zeroed; NULL: full */
void scope_jinja_memory_fini(struct scope_jinja_memory *memory);

struct scope_jinja_run {
        const char *name; /* of the template */
        struct scope_jinja_memory memory;
        struct scope_text *out; /* where text goes now */
        const struct tm *now;
        uint64_t steps;
        uint32_t depth;
        enum scope_err err;
        struct scope_diag *diag;
        uint32_t line; /* of the node that runs */
};

/* The first error: "NAME:LINE: what". Gives undefined. */
struct scope_jinja_value scope_jinja_fail(struct scope_jinja_run *run, enum scope_err err,
        const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Counts work; false: over the bound, and the error is set. */
bool scope_jinja_step(struct scope_jinja_run *run, size_t bytes);

/* ---- making ---- */
void *scope_jinja_alloc(struct scope_jinja_run *run, size_t bytes); /* NULL: the error is set */
struct scope_jinja_value scope_jinja_bool(bool truth);
struct scope_jinja_value scope_jinja_int(int64_t integer);
struct scope_jinja_value scope_jinja_text(const char *at, size_t bytes);
struct scope_jinja_value scope_jinja_words(const char *words);
struct scope_jinja_value scope_jinja_undefined(const char *name, size_t bytes);
struct scope_jinja_value scope_jinja_copy(
        struct scope_jinja_run *run, const char *at, size_t bytes);
struct scope_jinja_value scope_jinja_list(struct scope_jinja_run *run, enum scope_jinja_kind kind);
void scope_jinja_push(
        struct scope_jinja_run *run, struct scope_jinja_value list, struct scope_jinja_value item);
struct scope_jinja_value scope_jinja_dict(struct scope_jinja_run *run, enum scope_jinja_kind kind);
void scope_jinja_put(struct scope_jinja_run *run, struct scope_jinja_value dict,
        struct scope_jinja_value key, struct scope_jinja_value value);
struct scope_jinja_value scope_jinja_of_json(
        struct scope_jinja_run *run, const struct json_t *json);

/* ---- asking ---- */
bool scope_jinja_truth(const struct scope_jinja_value *value);
bool scope_jinja_is_number(struct scope_jinja_value value); /* bools count, as in Python */
double scope_jinja_number(struct scope_jinja_value value);
bool scope_jinja_equal(
        struct scope_jinja_run *run, struct scope_jinja_value a, struct scope_jinja_value b);
/* -1, 0, 1; sets an error where Python has no order. `operator` is for its words. */
int scope_jinja_order(struct scope_jinja_run *run, struct scope_jinja_value a,
        struct scope_jinja_value b, const char *operator);
struct scope_jinja_value *scope_jinja_find(
        struct scope_jinja_run *run, struct scope_jinja_value dict, struct scope_jinja_value key);
const char *scope_jinja_kind_name(struct scope_jinja_value value);
/* The items of anything that can be iterated, as a list; a generator is empty afterwards. */
struct scope_jinja_value scope_jinja_iterate(
        struct scope_jinja_run *run, struct scope_jinja_value value);

/* ---- text ---- */
struct scope_jinja_string scope_jinja_str(
        struct scope_jinja_run *run, struct scope_jinja_value value);
void scope_jinja_write(struct scope_jinja_run *run, struct scope_jinja_value value, bool repr,
        struct scope_text *text);
size_t scope_jinja_characters(struct scope_jinja_string string); /* code points */
/* Bytes before character `index`; the whole where there are fewer. */
size_t scope_jinja_byte_of(struct scope_jinja_string string, size_t index);
/* Bytes of the white-space character at `at`, or 0. */
size_t scope_jinja_space(const char *at, size_t bytes);
/* Bytes of the character at `at`, at least 1. */
size_t scope_jinja_character(const char *at, size_t bytes);
