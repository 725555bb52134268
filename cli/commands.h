/* commands.h - what `scope-runtime WORD` can be: one row a command, one file a command.
 * Why: --help, the parser and main read the same rows; a new command is a file and a line in
 * commands.c. */
#pragma once

#include "base/option.h"

struct scope_arguments;

enum scope_exit {
        SCOPE_EXIT_DONE = 0,
        SCOPE_EXIT_FAILED = 1,        /* the run failed */
        SCOPE_EXIT_USAGE = 2,         /* bad configuration or command line */
        SCOPE_EXIT_PRECONDITION = 3,  /* a file, device, port or memory is missing */
        SCOPE_EXIT_INTERRUPTED = 130, /* a checkpoint was written */
};

/* Options that change what a command does, and that this one has a use for. What only changes how
 * much is said, and in which form (--json, --quiet, --verbose), every one takes. */
enum scope_takes {
        SCOPE_TAKES_SET = 1,
        SCOPE_TAKES_NAME = 2,
        SCOPE_TAKES_MAX_STEPS = 4,
        SCOPE_TAKES_RESUME = 8,
        SCOPE_TAKES_DRY_RUN = 16,
        /* of whoever reads a configuration */
        SCOPE_TAKES_CONFIG = SCOPE_TAKES_SET | SCOPE_TAKES_NAME | SCOPE_TAKES_MAX_STEPS,
        SCOPE_TAKES_ALL = 31
};

struct scope_command {
        const char *name;  /* "check", "bench arms" */
        const char *words; /* what follows it, for --help: "CONFIG..." */
        const char *help;
        const struct scope_option *flags; /* its own, as --key; a key of one letter as -k */
        void *base;                       /* the struct they fill, with their defaults first */
        unsigned takes;                   /* enum scope_takes */
        enum scope_exit (*run)(const struct scope_arguments *arguments);
};

/* Ends with NULL. "run" is what a command line without a command means. */
extern const struct scope_command *const scope_commands[];

extern const struct scope_command scope_bench_arms_command;
extern const struct scope_command scope_bench_overlap_command;
extern const struct scope_command scope_check_command;
extern const struct scope_command scope_configs_command;
extern const struct scope_command scope_detokenize_command;
extern const struct scope_command scope_eval_command;
extern const struct scope_command scope_generate_command;
extern const struct scope_command scope_grade_command;
extern const struct scope_command scope_export_command;
extern const struct scope_command scope_import_command;
extern const struct scope_command scope_plan_command;
extern const struct scope_command scope_quickstart_command;
extern const struct scope_command scope_run_command;
extern const struct scope_command scope_samples_command;
extern const struct scope_command scope_score_command;
extern const struct scope_command scope_sim_command;
extern const struct scope_command scope_teacher_command;
extern const struct scope_command scope_tokenize_command;
extern const struct scope_command scope_trace_command;
extern const struct scope_command scope_warmup_command;
