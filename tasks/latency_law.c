#include "tasks/latency_law.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A duration at the front of `text`, in seconds; moves past it. */
static bool take_duration(const char **text, double *ret_seconds)
{
        static const struct {
                const char *unit;
                double seconds;
        } units[] = { { "us", 1e-6 }, { "ms", 1e-3 }, { "s", 1 }, { "m", 60 } };
        char *end;
        if (**text < '0' || **text > '9')
                return false;
        *ret_seconds = strtod(*text, &end);
        *text = end;
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
                if (strncmp(end, units[i].unit, strlen(units[i].unit)) == 0) {
                        *ret_seconds *= units[i].seconds;
                        *text = end + strlen(units[i].unit);
                        break;
                }
        return *ret_seconds >= 0 && *ret_seconds <= SCOPE_LATENCY_SECONDS_MAX;
}

/* The second number: a duration after '-', or a pure number in (0, 100] after ','. */
static bool take_second(const char **text, char separator, double *ret_value)
{
        char *end;
        if (separator == 0)
                return true;
        if (**text != separator)
                return false;
        ++*text;
        if (separator == '-')
                return take_duration(text, ret_value);
        *ret_value = strtod(*text, &end);
        bool some = end != *text;
        *text = end;
        return some && *ret_value > 0 && *ret_value <= 100;
}

/* The longest draw, where one is given. */
static bool take_cap(const char **text, char separator, double *ret_cap)
{
        if (separator != ',' || **text != ',')
                return true;
        ++*text;
        return take_duration(text, ret_cap) && *ret_cap > 0;
}

enum scope_err scope_latency_law_parse(
        const char *words, struct scope_latency_law *ret_law, struct scope_diag *diag)
{
        static const struct {
                const char *name;
                char separator;
        } kinds[] = {
                [SCOPE_LATENCY_CONSTANT] = { "constant:", 0 },
                [SCOPE_LATENCY_UNIFORM] = { "uniform:", '-' },
                [SCOPE_LATENCY_LOGNORMAL] = { "lognormal:", ',' },
                [SCOPE_LATENCY_PARETO] = { "pareto:", ',' },
        };
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
                size_t skip = strlen(kinds[i].name);
                if (strncmp(words, kinds[i].name, skip) != 0)
                        continue;
                struct scope_latency_law law = { .kind = (enum scope_latency_kind)i,
                        .cap = SCOPE_LATENCY_SECONDS_MAX };
                const char *at = words + skip;
                if (!take_duration(&at, &law.a) || !take_second(&at, kinds[i].separator, &law.b) ||
                        !take_cap(&at, kinds[i].separator, &law.cap) || *at != 0 ||
                        (law.kind == SCOPE_LATENCY_UNIFORM && law.b < law.a))
                        break;
                *ret_law = law;
                return SCOPE_OK;
        }
        return scope_diag_set(diag, SCOPE_ERR_FORMAT,
                "latency '%.100s': want constant:20ms, uniform:10ms-50ms, lognormal:200ms,0.8 "
                "(mean, sigma) or pareto:50ms,1.5 (smallest, exponent), the last two with ,2s "
                "behind for the longest, at most an hour; or trace:RUN, the times recorded in that "
                "run's directory",
                words);
}

uint64_t scope_latency_law_draw_ns(const struct scope_latency_law *law, struct scope_rng *rng)
{
        double seconds = law->a;
        switch (law->kind) {
        case SCOPE_LATENCY_CONSTANT:
                break;
        case SCOPE_LATENCY_UNIFORM:
                seconds += (law->b - law->a) * scope_rng_uniform(rng);
                break;
        case SCOPE_LATENCY_LOGNORMAL: /* E = exp(mu + sigma^2 / 2) is the mean given */
                seconds *= exp(law->b * scope_rng_normal(rng) - law->b * law->b / 2);
                break;
        case SCOPE_LATENCY_PARETO:
                seconds *= pow(1 - scope_rng_uniform(rng), -1 / law->b);
                break;
        case SCOPE_LATENCY_EMPIRICAL:
                return law->values[scope_rng_below(rng, law->count)];
        }
        return (uint64_t)(fmin(seconds, law->cap) * 1e9);
}
