/* chain_options.c - the words of "builtin:chain?...": apart from chain.c, which is arithmetic. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tasks/chain.h"

#define KEYS "ops, operands, values, mul, level, count, seed"

static const char prefix[] = "builtin:chain";

static bool read_whole(const char *text, uint64_t *ret_value, const char **ret_end)
{
        char *end;
        if (*text < '0' || *text > '9')
                return false;
        errno = 0;
        *ret_value = strtoull(text, &end, 10);
        *ret_end = end;
        return errno == 0;
}

/* "5-8", or "5" for 5-5. */
static bool read_range(const char *text, uint64_t *ret_low, uint64_t *ret_high)
{
        const char *end;
        if (!read_whole(text, ret_low, &end))
                return false;
        *ret_high = *ret_low;
        if (*end == '-' && !read_whole(end + 1, ret_high, &end))
                return false;
        return *end == 0 && *ret_low <= *ret_high;
}

static enum scope_err bad(
        struct scope_diag *diag, const char *key, const char *value, const char *want)
{
        return scope_diag_set(diag, SCOPE_ERR_FORMAT, "%s: %s=%s: %s", prefix, key, value, want);
}

static enum scope_err set_level(
        struct scope_chain_options *options, const char *value, struct scope_diag *diag)
{
        bool easy = strcmp(value, "easy") == 0;
        if (!easy && strcmp(value, "hard") != 0)
                return bad(diag, "level", value, "known levels are easy and hard");
        options->ops_min = easy ? 3 : 5;
        options->ops_max = easy ? 6 : 8;
        return SCOPE_OK;
}

static enum scope_err set_range(struct scope_chain_options *options, const char *key,
        const char *value, struct scope_diag *diag)
{
        uint64_t low = 0, high = 0;
        bool range = read_range(value, &low, &high);
        if (strcmp(key, "ops") == 0) {
                if (!range || low < 1 || high > SCOPE_CHAIN_OPS_MAX)
                        return bad(diag, key, value, "want a range within 1-64, as in ops=5-8");
                options->ops_min = (uint32_t)low;
                options->ops_max = (uint32_t)high;
        } else if (strcmp(key, "operands") == 0) {
                if (!range || low != 1 || high < 2 || high > 9999)
                        return bad(diag, key, value, "want 1-N, N in 2..9999, as in operands=1-9");
                options->operand_max = (int32_t)high;
        } else {
                if (!range || low != 0 || high < 2 || high > 999999)
                        return bad(diag, key, value, "want 0-N, N in 2..999999, as in values=0-99");
                options->value_max = (int32_t)high;
        }
        return SCOPE_OK;
}

static enum scope_err set(struct scope_chain_options *options, const char *key, const char *value,
        struct scope_diag *diag)
{
        char *end;
        const char *stop;
        if (strcmp(key, "ops") == 0 || strcmp(key, "operands") == 0 || strcmp(key, "values") == 0)
                return set_range(options, key, value, diag);
        if (strcmp(key, "level") == 0)
                return set_level(options, value, diag);
        if (strcmp(key, "mul") == 0) {
                options->mul_share = strtod(value, &end);
                if (*value == 0 || *end != 0 ||
                        !(options->mul_share >= 0 && options->mul_share <= 0.9))
                        return bad(diag, key, value, "want a number in 0..0.9");
                return SCOPE_OK;
        }
        bool count = strcmp(key, "count") == 0;
        if (!count && strcmp(key, "seed") != 0)
                return bad(diag, key, value, "unknown key; known are " KEYS);
        uint64_t *field = count ? &options->count : &options->seed;
        if (!read_whole(value, field, &stop) || *stop != 0 || (count && *field == 0))
                return bad(diag, key, value, "want a whole number");
        return SCOPE_OK;
}

/* One "key=value" of `count` bytes. */
static enum scope_err set_pair(struct scope_chain_options *options, const char *pair, size_t count,
        struct scope_diag *diag)
{
        char word[64];
        if (count >= sizeof word)
                return scope_diag_set(diag, SCOPE_ERR_FORMAT, "%s: '%.*s' is too long", prefix,
                        (int)sizeof word, pair);
        memcpy(word, pair, count);
        word[count] = 0;
        char *equals = strchr(word, '=');
        if (equals == NULL)
                return scope_diag_set(diag, SCOPE_ERR_FORMAT,
                        "%s: '%s' is no key=value; keys are " KEYS, prefix, word);
        *equals = 0;
        return set(options, word, equals + 1, diag);
}

enum scope_err scope_chain_options_parse(
        const char *spec, struct scope_chain_options *ret_options, struct scope_diag *diag)
{
        struct scope_chain_options options = { .ops_min = 5,
                .ops_max = 8,
                .operand_max = 9,
                .value_max = 99,
                .mul_share = 0.34,
                .count = 1 << 20 };
        size_t skip = strlen(prefix);
        if (strncmp(spec, prefix, skip) != 0 || (spec[skip] != 0 && spec[skip] != '?'))
                return scope_diag_set(
                        diag, SCOPE_ERR_FORMAT, "'%.100s' does not start with '%s?'", spec, prefix);
        const char *at = spec + skip + (spec[skip] == '?');
        while (*at != 0) {
                size_t count = strcspn(at, "&");
                enum scope_err err = set_pair(&options, at, count, diag);
                if (err != SCOPE_OK)
                        return err;
                at += count + (at[count] == '&');
        }
        if (options.value_max < options.operand_max)
                return scope_diag_set(diag, SCOPE_ERR_FORMAT,
                        "%s: values=0-%d is smaller than operands=1-%d: the first value would not "
                        "fit",
                        prefix, options.value_max, options.operand_max);
        *ret_options = options;
        return SCOPE_OK;
}
