/* options.h - the command line, parsed.
 * Why: main stays a page; every command sees the same struct and the same spelling of options.
 *   scope-runtime [COMMAND] [CONFIG...] [--set a.b=c] [--resume[=STEP]] ... */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"
#include "cli/commands.h"

enum { SCOPE_WORDS_MAX = 64, SCOPE_RESUME_NO = -1, SCOPE_RESUME_LATEST = -2 };

struct scope_arguments {
        const struct scope_command *command; /* NULL: none was named, nor a configuration */
        const char *words[SCOPE_WORDS_MAX];  /* what is no option: mostly configuration files */
        const char *sets[SCOPE_WORDS_MAX];   /* of --set, in their order */
        uint32_t word_count, set_count;
        const char *name; /* NULL: not given */
        int64_t max_steps; /* -1: not given */
        int64_t resume;    /* a step, or one of SCOPE_RESUME_* */
        bool dry_run, json, help, version, verbose, quiet;
};

/* Reads argv[1..]; fills the command's own flags, defaults first.
 * in      commands: ends with NULL
 * owns    *ret_arguments borrows argv
 * errors  SCOPE_ERR_ARGUMENT: unknown or malformed option, with the nearest known one in diag
 * thread  setup */
enum scope_err scope_arguments_parse(int argc, char *const *argv,
        const struct scope_command *const *commands, struct scope_arguments *ret_arguments,
        struct scope_diag *diag);

/* What --help says: of everything, or of one command.       thread  any */
void scope_arguments_help(const struct scope_command *const *commands,
        const struct scope_command *command, struct scope_text *text);
