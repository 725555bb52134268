#include "cli/idle_shares.h"

#include <math.h>
#include <string.h>

#include "base/text.h"

static bool is_of(const char *name, const char *role)
{
        size_t count = strlen(role);
        return strncmp(name, role, count) == 0 && (name[count] == 0 || name[count] == '-');
}

double scope_idle_seconds(const struct scope_actor_usage *usage, enum scope_idle cause)
{
        double sum = 0;
        for (int i = 0; i < SCOPE_IDLE_CAUSES && usage->idle[i].cause != NULL; i++) {
                bool known = false;
                for (int word = 0; word < SCOPE_IDLE_OTHER; word++)
                        known |= strcmp(usage->idle[i].cause, scope_idle_words[word]) == 0;
                if (known ? strcmp(usage->idle[i].cause, scope_idle_words[cause]) == 0
                          : cause == SCOPE_IDLE_OTHER)
                        sum += (double)usage->idle[i].ns * 1e-9;
        }
        return sum;
}

double scope_idle_busy_s(const struct scope_actor_usage *usage)
{
        double sum = (double)usage->busy_ns * 1e-9;
        for (int word = 0; word < SCOPE_IDLE_FIRST; word++)
                sum += scope_idle_seconds(usage, (enum scope_idle)word);
        return sum;
}

struct scope_idle_shares scope_idle_shares_of(
        const struct scope_actor_usage *usage, unsigned count, const char *role)
{
        struct scope_idle_shares shares = { 0 };
        for (unsigned u = 0; u < count; u++) {
                if (!is_of(usage[u].name, role))
                        continue;
                shares.count++;
                shares.alive_s += (double)usage[u].alive_ns * 1e-9;
                shares.busy += scope_idle_busy_s(&usage[u]);
                for (int i = SCOPE_IDLE_FIRST; i < SCOPE_IDLE_COUNT; i++)
                        shares.idle[i] += scope_idle_seconds(&usage[u], (enum scope_idle)i);
        }
        if (shares.alive_s <= 0)
                return shares;
        shares.busy /= shares.alive_s;
        for (int i = SCOPE_IDLE_FIRST; i < SCOPE_IDLE_COUNT; i++)
                shares.idle[i] /= shares.alive_s;
        return shares;
}

void scope_idle_shares_json(const struct scope_actor_usage *usage, unsigned count,
        const char *idle_key, const char *busy_key, struct scope_text *text)
{
        scope_json_open(text, idle_key, '{');
        for (unsigned u = 0; u < count; u++) {
                double alive = fmax(1e-9, (double)usage[u].alive_ns * 1e-9);
                scope_json_open(text, usage[u].name, '{');
                for (int i = SCOPE_IDLE_FIRST; i < SCOPE_IDLE_COUNT; i++) {
                        double seconds = scope_idle_seconds(&usage[u], (enum scope_idle)i);
                        if (seconds > 0)
                                scope_json_double(text, scope_idle_words[i], seconds / alive);
                }
                scope_json_close(text, '}');
        }
        scope_json_close(text, '}');
        scope_json_open(text, busy_key, '{');
        for (unsigned u = 0; u < count; u++)
                scope_json_double(text, usage[u].name,
                        scope_idle_busy_s(&usage[u]) /
                                fmax(1e-9, (double)usage[u].alive_ns * 1e-9));
        scope_json_close(text, '}');
}

double scope_idle_error(const struct scope_actor_usage *usage, unsigned count, double wall_s)
{
        double worst = 0;
        for (unsigned u = 0; u < count && wall_s > 0; u++) {
                double sum = scope_idle_busy_s(&usage[u]);
                for (int i = SCOPE_IDLE_FIRST; i < SCOPE_IDLE_COUNT; i++)
                        sum += scope_idle_seconds(&usage[u], (enum scope_idle)i);
                worst = fmax(worst, fabs(sum - wall_s) / wall_s);
        }
        return worst;
}
