#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void scope_check_fail(const char *file, int line, const char *condition)
{
        (void)fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
        abort();
}
