/* output.h - an answer on standard output.
 * Why: data goes there, and whoever reads it must learn that some is missing: a full disk or a
 * closed pipe is an error of the command, said the same way by all of them. */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "cli/commands.h"

struct scope_text;

/* Writes a text that is finished, flushes it, and ends the text.
 * out     DONE; PRECONDITION, said on stderr, where not all of it was written; also PRECONDITION
 *         where the text failed while it was built
 * owns    takes what `text` holds
 * thread  owner */
enum scope_exit scope_output(struct scope_text *text);

/* The same of bytes, for who says the error himself.
 * errors  SCOPE_ERR_IO    thread  owner */
enum scope_err scope_output_bytes(const char *bytes, size_t count, struct scope_diag *diag);

/* Ends JSON with a line, as every answer of --json does, and writes it.    thread  owner */
enum scope_exit scope_output_json(struct scope_text *text);
