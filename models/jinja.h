/* jinja.h - the part of the Jinja language that chat templates are written in.
 * Why: a model's directory or file brings its chat format as a Jinja program, and that program is
 * bytes from outside. Read once, run for every prompt, as transformers runs it: trim_blocks,
 * lstrip_blocks, sandboxed, loop controls, {% generation %}.
 * What there is: text, {{ }}, {% %}, {# #}, raw; if, for (with if, else, break, continue), set
 * (also blocks and attributes of a namespace), macro, filter; literals, attributes, items, slices,
 * calls, every operator, inline if; the filters, tests and methods of the tables in jinja_filter.c,
 * jinja_test.c and jinja_method.c. Anything else is refused by name and line.
 * (1) A template is bounded in source, depth, steps, memory and output. (2) A template that was
 * read is read-only: any thread may run it. (3) It reaches nothing: no file, clock or chance. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct json_t; /* of jansson */
struct scope_jinja;
struct scope_text;
struct tm;

enum {
        SCOPE_JINJA_SOURCE_MAX = 1 << 20, /* bytes */
        SCOPE_JINJA_STEPS_MAX = 4000000,  /* nodes visited and pieces of 64 bytes handled */
        SCOPE_JINJA_MEMORY_MAX = 64 << 20,
        SCOPE_JINJA_OUTPUT_MAX = 8 << 20,
        SCOPE_JINJA_DEPTH_MAX = 250, /* of nesting, in the source, in values and in calls */
};

/* Reads a template.
 * in      name: stands in every error, as "NAME:LINE: CONSTRUCT: what"
 * owns    gives *ret_jinja
 * errors  SCOPE_ERR_FORMAT: not Jinja; SCOPE_ERR_UNSUPPORTED: Jinja, but not of this part;
 *         SCOPE_ERR_TOO_BIG: source or nesting; SCOPE_ERR_MEMORY
 * thread  any */
enum scope_err scope_jinja_compile(const char *name, const char *source, size_t bytes,
        struct scope_jinja **ret_jinja, struct scope_diag *diag);

/* Runs it and appends what it writes.
 * in      variables: a JSON object, borrowed; now: what strftime_now gives, NULL = there is no such
 *         function
 * errors  SCOPE_ERR_FORMAT: what the template does with these values is an error in Jinja as well;
 *         SCOPE_ERR_REFUSED: it called raise_exception; SCOPE_ERR_UNSUPPORTED; SCOPE_ERR_LIMIT:
 *         over a bound of above; SCOPE_ERR_MEMORY. Nothing was appended then
 * thread  any */
enum scope_err scope_jinja_render(const struct scope_jinja *jinja, const struct json_t *variables,
        const struct tm *now, struct scope_text *text, struct scope_diag *diag);

/* Accepts NULL. */
void scope_jinja_destroy(struct scope_jinja *jinja);
