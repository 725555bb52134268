/* load.h - from a command line to the options of a pipeline.
 * Why: run, check, eval and the others read the same files in the same order and say the same. */
#pragma once

#include "actors/options.h"
#include "cli/commands.h"
#include "cli/config.h"

/* Applies the configuration files, --set, --name, --max-steps and what the arm presets; checks the
 * whole; prints errors to stderr.
 * out     ret_config: for printing; NULL unless SCOPE_EXIT_DONE
 * owns    *ret_config keeps `options`; gives it: scope_config_destroy
 * thread  setup */
enum scope_exit scope_load(const struct scope_arguments *arguments,
        struct scope_pipeline_options *options, struct scope_config **ret_config);

/* The same, also without a configuration file: then standard values, --set and the rest. */
enum scope_exit scope_load_standard(const struct scope_arguments *arguments,
        struct scope_pipeline_options *options, struct scope_config **ret_config);

/* The text of "configs/NAME.toml" as the program carries it; NULL: it has none of that name. Taken
 * where there is no such file.     thread  any */
const char *scope_configs_carried(const char *path);

/* Every section of the file over `options`, for scope_config_create; ends with a NULL name.
 * owns    static memory, the same at every call     thread  setup */
const struct scope_config_section *scope_load_sections(struct scope_pipeline_options *options);

/* What the configuration amounts to and what it would do, on stdout; nothing is started.
 * thread  setup */
enum scope_exit scope_dry_run(const struct scope_arguments *arguments);
