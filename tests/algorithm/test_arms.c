/* The tables: standards are valid, selecting keys exist, arms set what exists, state is sized. */
#include "tests/test.h"

#include "algorithm/arms.h"
#include "tests/algorithm/defaults.h"

static const struct {
        const char *section;
        const struct scope_option *table;
        size_t bytes;
} tables[] = {
        { "scope", scope_scope_option_table, sizeof(struct scope_scope_options) },
        { "scope", scope_statistics_option_table, sizeof(struct scope_statistics_options) },
        { "scope", scope_localise_option_table, sizeof(struct scope_localise_options) },
        { "scope", scope_select_option_table, sizeof(struct scope_select_options) },
        { "loss", scope_advantage_option_table, sizeof(struct scope_advantage_options) },
        { "loss", scope_objective_option_table, sizeof(struct scope_objective_options) },
        { "loss", scope_correction_option_table, sizeof(struct scope_correction_options) },
        { "grade", scope_grade_option_table, sizeof(struct scope_grade_options) },
        { "pipeline", scope_admission_option_table, sizeof(struct scope_admission_options) },
};
enum { TABLE_COUNT = sizeof tables / sizeof *tables };

static const struct scope_option *option_find(const char *section, const char *key)
{
        const struct scope_option *found = NULL;
        for (int i = 0; i < TABLE_COUNT; i++) {
                for (const struct scope_option *row = tables[i].table; row->key != NULL; row++) {
                        if (strcmp(tables[i].section, section) != 0 || strcmp(row->key, key) != 0)
                                continue;
                        if (found != NULL)
                                fail_msg("%s.%s stands twice", section, key);
                        found = row;
                }
        }
        return found;
}

static void test_standard_values_are_valid_and_keys_unique(void **state)
{
        (void)state;
        static max_align_t room[64];
        for (int i = 0; i < TABLE_COUNT; i++) {
                assert_true(tables[i].bytes <= sizeof room);
                options_default(room, tables[i].table);
                for (const struct scope_option *row = tables[i].table; row->key != NULL; row++) {
                        assert_true(row->offset < tables[i].bytes);
                        assert_non_null(row->help);
                        assert_ptr_equal(option_find(tables[i].section, row->key), row);
                }
        }
}

static bool names_choice(const struct scope_option *row, const char *name)
{
        for (int i = 0; row->names != NULL && row->names[i] != NULL; i++) {
                if (strcmp(row->names[i], name) == 0)
                        return true;
        }
        return row->names == NULL; /* a number or switch selects it */
}

static void test_choices_are_those_of_their_keys(void **state)
{
        (void)state;
        for (const struct scope_station_choice *row = scope_station_choices; row->station != NULL;
                row++) {
                assert_non_null(row->help);
                if (strcmp(row->section, "prm") == 0)
                        continue; /* its table is the PRM actor's */
                const struct scope_option *option = option_find(row->section, row->key);
                assert_non_null(option);
                if (!names_choice(option, row->name))
                        fail_msg("%s.%s has no %s", row->section, row->key, row->name);
        }
}

/* Every name a key of ours may take at a listed station has its row. */
static bool station_has(const char *station, const char *name)
{
        const struct scope_station_choice *row = scope_station_choices;
        while (row->station != NULL &&
                (strcmp(row->station, station) != 0 || strcmp(row->name, name) != 0))
                row++;
        return row->station != NULL;
}

static void test_every_name_has_its_row(void **state)
{
        (void)state;
        static const struct {
                const char *station, *section, *key;
        } stations[] = {
                { "statistics", "scope", "stats_scope" }, { "localise", "scope", "prefix_cap" },
                { "advantage", "loss", "adv_std" }, { "suffix", "loss", "suffix_form" },
                { "aggregate", "loss", "agg" }, { "correction", "loss", "correction" },
                { "stale", "pipeline", "stale" },
        };
        for (size_t i = 0; i < sizeof stations / sizeof *stations; i++) {
                const struct scope_option *option = option_find(stations[i].section,
                        stations[i].key);
                for (int k = 0; option->names[k] != NULL; k++)
                        assert_true(station_has(stations[i].station, option->names[k]));
        }
}

static void test_arms_set_what_exists(void **state)
{
        (void)state;
        static max_align_t room[64];
        for (const struct scope_arm *arm = scope_arms; arm->name != NULL; arm++) {
                assert_ptr_equal(scope_arm_find(arm->name), arm);
                for (const struct scope_arm_set *set = arm->sets; set->key != NULL; set++) {
                        char section[32];
                        const char *dot = strchr(set->key, '.');
                        (void)snprintf(section, sizeof section, "%.*s", (int)(dot - set->key),
                                set->key);
                        const struct scope_option *option = option_find(section, dot + 1);
                        assert_non_null(option);
                        option_set(room, option, set->value); /* fails when it is not valid */
                        assert_string_not_equal(option->standard, set->value);
                }
        }
        assert_non_null(scope_arm_find("scope"));
        assert_non_null(scope_arm_find("grpo"));
        assert_non_null(scope_arm_find("replace"));
        assert_null(scope_arm_find("nothing"));
        SCOPE_DEFAULTS(scope, options);
        assert_non_null(scope_arm_find(options.arm));
}

static void test_only_the_window_is_saved(void **state)
{
        (void)state;
        size_t saved = 0;
        for (const struct scope_station_choice *row = scope_station_choices; row->station != NULL;
                row++)
                saved += row->state_bytes != NULL ? row->state_bytes(128) : 0;
        assert_int_equal(saved, 2 * scope_length_window_bytes(128));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_standard_values_are_valid_and_keys_unique),
                cmocka_unit_test(test_choices_are_those_of_their_keys),
                cmocka_unit_test(test_every_name_has_its_row),
                cmocka_unit_test(test_arms_set_what_exists),
                cmocka_unit_test(test_only_the_window_is_saved),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
