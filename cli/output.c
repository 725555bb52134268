#include "cli/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum scope_err scope_output_bytes(const char *bytes, size_t count, struct scope_diag *diag)
{
        if (fwrite(bytes, 1, count, stdout) == count && fflush(stdout) == 0)
                return SCOPE_OK;
        return scope_diag_set(diag, SCOPE_ERR_IO, "standard output: %s: the answer is not whole",
                strerror(errno));
}

enum scope_exit scope_output(struct scope_text *text)
{
        struct scope_diag diag = { "" };
        enum scope_err err = SCOPE_OK;
        if (text->failed)
                err = scope_diag_set(&diag, SCOPE_ERR_MEMORY, "out of memory for the answer");
        else if (text->count > 0)
                err = scope_output_bytes(text->bytes, text->count, &diag);
        scope_text_fini(text);
        if (err != SCOPE_OK)
                (void)fprintf(stderr, "error: %s\n", diag.text);
        return err == SCOPE_OK ? SCOPE_EXIT_DONE : SCOPE_EXIT_PRECONDITION;
}

enum scope_exit scope_output_json(struct scope_text *text)
{
        scope_text_string(text, "\n");
        return scope_output(text);
}
