/* tokenizer_simdjson.h - JSON of many megabytes, parsed whole and read in place.
 * Why: a real tokenizer.json has 11 MB and half a million texts; a tree with an allocation a node
 * takes over a second. libsimdjson checks all of it (UTF-8, numbers, depth) before anything is
 * read.
 * (1) Values and texts live as long as their document. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct scope_dom;

struct scope_dom_value {
        const void *document; /* NULL: absent */
        size_t at;
};

struct scope_dom_text {
        const char *at; /* NULL: not a text; no NUL behind it, and there may be some in it */
        size_t bytes;
};

enum scope_dom_type {
        SCOPE_DOM_ABSENT,
        SCOPE_DOM_NULL,
        SCOPE_DOM_BOOL,
        SCOPE_DOM_INTEGER, /* fits in 64 bits with a sign */
        SCOPE_DOM_NUMBER,
        SCOPE_DOM_TEXT,
        SCOPE_DOM_ARRAY,
        SCOPE_DOM_OBJECT,
};

/* Called for each element; anything but SCOPE_OK ends the walk. `key.at` is NULL in arrays. */
#define SCOPE_DOM_EACH(name)                                                                       \
        enum scope_err name(void *context, struct scope_dom_text key, struct scope_dom_value value)

enum { SCOPE_DOM_SPARE = 64 };

/* in      spare: SCOPE_DOM_SPARE more bytes behind `json` may be read: else it is copied first
 * owns    gives; `json` may go
 * errors  SCOPE_ERR_FORMAT: not JSON, or deeper than 64; SCOPE_ERR_MEMORY     thread  any */
enum scope_err scope_dom_parse(const char *json, size_t bytes, bool spare,
        struct scope_dom **ret_dom, struct scope_dom_value *ret_root);
void scope_dom_destroy(struct scope_dom *dom); /* accepts NULL */

/* What is absent or of another type gives ABSENT, NULL, false or 0.      thread  any */
enum scope_dom_type scope_dom_type(struct scope_dom_value value);
struct scope_dom_value scope_dom_get(struct scope_dom_value object, const char *key);
struct scope_dom_text scope_dom_text(struct scope_dom_value value);
bool scope_dom_integer(struct scope_dom_value value, int64_t *ret_integer);
bool scope_dom_is_true(struct scope_dom_value value);
size_t scope_dom_count(struct scope_dom_value value); /* elements or members */

/* Walks an array or an object in the order of the text; nothing else has elements.
 * errors  those of `each`     thread  any */
enum scope_err scope_dom_each(struct scope_dom_value value, SCOPE_DOM_EACH((*each)), void *context);

#ifdef __cplusplus
}
#endif
