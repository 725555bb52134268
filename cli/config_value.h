/* config_value.h - one option row: a value in, a value out.
 * Why: the configuration, --set, flags and defaults obey one set of types, ranges and units.
 * Durations are int64 ns and written with ns, us, ms, s, m, h or d; sizes are int64 bytes and
 * written with B, kB, MB, GB, TB, KiB, MiB, GiB or TiB. A row whose min and max are equal has no
 * range. */
#pragma once

#include "base/option.h"
#include "base/text.h"
#include "cli/config_toml.h"

/* Checks `value` and stores it in the field of the struct at `base`.
 * errors  SCOPE_ERR_ARGUMENT: wrong type, unit, name or range; diag ends a sentence that begins
 *         with the key, as in "... is 99, out of range 2 to 64"; the field is untouched
 * thread  any */
enum scope_err scope_option_assign(const struct scope_option *row, void *base,
        const struct scope_toml_value *value, struct scope_diag *diag);

/* The same from words of a command line or of the row itself: a TOML value, or a bare word taken
 * as text where the row wants text.       errors  as above     thread  any */
enum scope_err scope_option_parse(
        const struct scope_option *row, void *base, const char *words, struct scope_diag *diag);

/* The field as TOML; reading it back gives the same value.                     thread  any */
void scope_option_print(const struct scope_option *row, const void *base, struct scope_text *text);

/* The field as JSON; durations in seconds, sizes in bytes.                     thread  any */
void scope_option_json(const struct scope_option *row, const void *base, const char *key,
        struct scope_text *text);

/* "integer", "2 to 64" (empty where there is no range), of the row.            thread  any */
const char *scope_option_type_name(const struct scope_option *row);
void scope_option_print_range(const struct scope_option *row, struct scope_text *text);

/* The field as a number where it has one.                                      thread  any */
bool scope_option_number(const struct scope_option *row, const void *base, double *ret_number);

/* Quoted and escaped as a TOML basic string.                                   thread  any */
void scope_toml_quote(const char *string, struct scope_text *text);
