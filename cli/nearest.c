#include "cli/nearest.h"

#include <string.h>

enum { WORD_MAX = 63 };

static unsigned least(unsigned a, unsigned b)
{
        return a < b ? a : b;
}

/* Optimal string alignment distance, three rows of the table at a time. */
unsigned scope_edit_distance(const char *a, const char *b)
{
        size_t m = strnlen(a, WORD_MAX), n = strnlen(b, WORD_MAX);
        unsigned rows[3][WORD_MAX + 1];
        for (size_t j = 0; j <= n; j++)
                rows[0][j] = (unsigned)j;
        for (size_t i = 1; i <= m; i++) {
                unsigned *now = rows[i % 3], *last = rows[(i - 1) % 3];
                now[0] = (unsigned)i;
                for (size_t j = 1; j <= n; j++) {
                        unsigned cost = a[i - 1] != b[j - 1];
                        now[j] = least(least(last[j] + 1, now[j - 1] + 1), last[j - 1] + cost);
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                                now[j] = least(now[j], rows[(i - 2) % 3][j - 2] + 1);
                }
        }
        return rows[m % 3][n];
}

unsigned scope_edit_distance_max(const char *written)
{
        unsigned allowed = (unsigned)(strlen(written) / 3);
        return allowed > 1 ? allowed : 1;
}
