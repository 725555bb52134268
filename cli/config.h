/* config.h - from TOML files and --set to filled structs, with the origin of every value.
 * Why: one engine for every table of the configuration: rows (base/option.h) say what there is, and
 * nobody else parses text.
 * (1) Defaults < files from left to right < --set. Tables merge, lists of tables replace.
 * (2) Every fault is reported with FILE:LINE:COLUMN, the first ERRORS_MAX of them; a value that is
 * refused leaves its field as it was. (3) After scope_config_finish returned SCOPE_OK every field
 * holds a checked value. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/option.h"
#include "base/text.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One table of the file. Sections that share a name share the table. */
struct scope_config_section {
        const char *name;                /* "rollout" */
        const struct scope_option *rows; /* ends with a NULL key; a NULL default = must be given */
        void *base;                      /* the struct the rows describe, or the first of a list */
        uint32_t *count;                 /* of a list [[name]]: how many there are; else NULL */
        uint32_t count_max;              /* of a list */
        size_t stride;                   /* of a list: bytes from one struct to the next */
        const char *help;
};

struct scope_config;

/* Fills every struct with its defaults. `sections` ends with a NULL name.
 * owns    keeps `sections` and what it points to; gives *ret_config
 * errors  SCOPE_ERR_MEMORY; a default that its own row refuses is our bug and asserted
 * thread  setup */
enum scope_err scope_config_create(
        const struct scope_config_section *sections, struct scope_config **ret_config);

/* Applies a file, or a document already in memory, on top of what is there.
 * errors  SCOPE_ERR_FORMAT: something in it was refused, see scope_config_errors;
 *         SCOPE_ERR_NOT_FOUND, SCOPE_ERR_IO: no such file (reported as well)
 * thread  setup */
enum scope_err scope_config_file(struct scope_config *config, const char *path);
enum scope_err scope_config_text(
        struct scope_config *config, const char *name, const char *bytes, size_t count);

/* Applies "a.b=c": c is a TOML value, or a bare word where the key wants text.
 * errors  SCOPE_ERR_FORMAT, reported     thread  setup */
enum scope_err scope_config_set(struct scope_config *config, const char *assignment);

/* Reports what must be given and was not.
 * errors  SCOPE_ERR_FORMAT: there are errors, of this call or of any before
 * thread  setup */
enum scope_err scope_config_finish(struct scope_config *config);

/* Gives `path` another default, as "arm replace" does: only where no file and no --set spoke.
 * errors  SCOPE_ERR_FORMAT: no such key, or refused by its row; reported     thread  setup */
enum scope_err scope_config_preset(
        struct scope_config *config, const char *path, const char *words, const char *origin);

/* Reports a fault that rows cannot say, at the place `path` ("rollout.slots") got its value.
 * thread  setup */
void scope_config_report(struct scope_config *config, const char *path, const char *words);

/* The reports so far, a line each; "" when there are none.       owns  borrows until destroy */
const char *scope_config_errors(const struct scope_config *config);

/* The value at `path` as a number; false where there is no such number.        thread  any */
bool scope_config_number(
        const struct scope_config *config, const char *path, double *ret_number);

/* The text at `path`; NULL where there is no such text.       owns  borrows     thread  any */
const char *scope_config_word(const struct scope_config *config, const char *path);

/* Everything as one TOML file, with the origin of each value as a comment; as JSON, in `key` of an
 * open object, or at the top where `key` is NULL.                              thread  any */
void scope_config_print(const struct scope_config *config, struct scope_text *text);
void scope_config_json(
        const struct scope_config *config, const char *key, struct scope_text *text);

/* The keys there are: for people, and as a JSON array.                         thread  any */
void scope_config_print_keys(
        const struct scope_config_section *sections, struct scope_text *text);
void scope_config_json_keys(
        const struct scope_config_section *sections, struct scope_text *text);

/* Accepts NULL. */
void scope_config_destroy(struct scope_config *config);

#ifdef __cplusplus
}
#endif
