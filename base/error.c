#include "base/error.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

static const char *const names[SCOPE_ERR_COUNT] = {
        "OK",
#define X(name, text) #name,
        SCOPE_ERR_MAP(X)
#undef X
};

static const char *const texts[SCOPE_ERR_COUNT] = {
        "done",
#define X(name, text) text,
        SCOPE_ERR_MAP(X)
#undef X
};

const char *scope_err_name(enum scope_err err)
{
        return (unsigned)err < SCOPE_ERR_COUNT ? names[err] : "UNKNOWN";
}

const char *scope_err_text(enum scope_err err)
{
        return (unsigned)err < SCOPE_ERR_COUNT ? texts[err] : "unknown error";
}

enum scope_err scope_diag_set(struct scope_diag *diag, enum scope_err err, const char *format, ...)
{
        if (diag != NULL) {
                va_list args;
                va_start(args, format);
                (void)vsnprintf(diag->text, sizeof diag->text, format, args); /* cut is fine */
                va_end(args);
        }
        return err;
}
