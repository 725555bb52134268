#include "tasks/latency_law.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

/* What a law is about, and the words that are read. */
struct reader {
        const char *at;
        double most; /* of a draw */
        bool times;  /* else tokens, and no unit */
};

/* An amount at the front of what is left, in seconds or tokens; moves past it. */
static bool take_amount(struct reader *reader, double *ret_amount)
{
        static const struct {
                const char *unit;
                double seconds;
        } units[] = { { "us", 1e-6 }, { "ms", 1e-3 }, { "s", 1 }, { "m", 60 } };
        char *end;
        if (*reader->at < '0' || *reader->at > '9')
                return false;
        *ret_amount = strtod(reader->at, &end);
        reader->at = end;
        for (size_t i = 0; reader->times && i < sizeof units / sizeof units[0]; i++)
                if (strncmp(end, units[i].unit, strlen(units[i].unit)) == 0) {
                        *ret_amount *= units[i].seconds;
                        reader->at = end + strlen(units[i].unit);
                        break;
                }
        return *ret_amount >= 0 && *ret_amount <= reader->most;
}

/* The second number: an amount after '-', or a pure number in (0, 100] after ','. */
static bool take_second(struct reader *reader, char separator, double *ret_value)
{
        char *end;
        if (separator == 0)
                return true;
        if (*reader->at != separator)
                return false;
        reader->at++;
        if (separator == '-')
                return take_amount(reader, ret_value);
        *ret_value = strtod(reader->at, &end);
        bool some = end != reader->at;
        reader->at = end;
        return some && *ret_value > 0 && *ret_value <= 100;
}

/* The longest draw, where one is given. */
static bool take_cap(struct reader *reader, char separator, double *ret_cap)
{
        if (separator != ',' || *reader->at != ',')
                return true;
        reader->at++;
        return take_amount(reader, ret_cap) && *ret_cap > 0;
}

/* False: these are no law. */
static bool parse(const char *words, struct reader reader, struct scope_latency_law *ret_law)
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
                        .cap = reader.most };
                reader.at = words + skip;
                if (!take_amount(&reader, &law.a) ||
                        !take_second(&reader, kinds[i].separator, &law.b) ||
                        !take_cap(&reader, kinds[i].separator, &law.cap) || *reader.at != 0 ||
                        (law.kind == SCOPE_LATENCY_UNIFORM && law.b < law.a))
                        return false;
                *ret_law = law;
                return true;
        }
        return false;
}

enum scope_err scope_latency_law_parse(
        const char *words, struct scope_latency_law *ret_law, struct scope_diag *diag)
{
        struct reader reader = { .most = SCOPE_LATENCY_SECONDS_MAX, .times = true };
        if (parse(words, reader, ret_law))
                return SCOPE_OK;
        return scope_diag_set(diag, SCOPE_ERR_FORMAT,
                "latency '%.100s': want constant:20ms, uniform:10ms-50ms, lognormal:200ms,0.8 "
                "(mean, sigma) or pareto:50ms,1.5 (smallest, exponent), the last two with ,2s "
                "behind for the longest, at most an hour; or trace:RUN, the times recorded in that "
                "run's directory",
                words);
}

enum scope_err scope_length_law_parse(
        const char *words, struct scope_latency_law *ret_law, struct scope_diag *diag)
{
        struct reader reader = { .most = SCOPE_RESPONSE_TOKENS_MAX };
        if (parse(words, reader, ret_law))
                return SCOPE_OK;
        return scope_diag_set(diag, SCOPE_ERR_FORMAT,
                "length '%.100s': want constant:200, uniform:100-400, lognormal:800,0.6 (mean, "
                "sigma) or pareto:100,1.5 (smallest, exponent), the last two with ,4096 behind for "
                "the longest, at most %d tokens; or trace:RUN, the lengths recorded in that run's "
                "directory",
                words, SCOPE_RESPONSE_TOKENS_MAX);
}

enum scope_err scope_tokens_law_parse(
        const char *words, struct scope_tokens_law *ret_law, struct scope_diag *diag)
{
        static const char kind[] = "tokens:";
        struct scope_tokens_law law = { .rate = 0 };
        struct reader reader = { .most = SCOPE_LATENCY_SECONDS_MAX, .times = true };
        *ret_law = law;
        if (strncmp(words, kind, sizeof kind - 1) != 0)
                return SCOPE_OK;
        char *end;
        law.rate = strtod(words + sizeof kind - 1, &end);
        reader.at = end;
        bool good = end != words + sizeof kind - 1 && law.rate > 0 && law.rate <= 1e12;
        if (good && *reader.at == ',') {
                reader.at++;
                good = take_amount(&reader, &law.least_s);
        }
        if (!good || *reader.at != 0)
                return scope_diag_set(diag, SCOPE_ERR_FORMAT,
                        "'%.100s': want tokens:3000 (a second), or tokens:3000,12ms with the "
                        "least that a step takes",
                        words);
        *ret_law = law;
        return SCOPE_OK;
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
