/* config_internal.h - what config.c and config_print.c share; nobody else includes it. */
#pragma once

#include "cli/config.h"

enum { SCOPE_ORIGIN_DEFAULT = UINT16_MAX };

/* Where a value came from. */
struct scope_origin {
        uint32_t line, column; /* 0: the source has no places */
        uint16_t source;       /* index into sources, or SCOPE_ORIGIN_DEFAULT */
};

struct scope_config {
        const struct scope_config_section *sections;
        size_t *first_origin; /* of each section in `origins`: element by element, row by row */
        struct scope_origin *origins;
        char **sources; /* file names and --set arguments, in the order they were applied */
        size_t source_count;
        struct scope_text errors;
        unsigned error_count;
};

/* "configs/x.toml:14:1", "--set a.b=c", "default".              thread  any */
void scope_origin_print(const struct scope_config *config, const struct scope_origin *origin,
        struct scope_text *text);

/* The struct and the origin of one row of one element of a section; element 0 of a table. */
void *scope_config_base(const struct scope_config_section *section, uint32_t element);
struct scope_origin *scope_config_origin(const struct scope_config *config,
        const struct scope_config_section *section, uint32_t element,
        const struct scope_option *row);

size_t scope_row_count(const struct scope_config_section *section);
