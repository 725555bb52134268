#include <stdio.h>
#include <string.h>

#include "cli/sim_run.h"
#include "tests/test.h"

/* The whole pipeline under faults. `scope-runtime sim` runs the same seeds, and more of them. */

enum { SEEDS = 400, AGAIN = 25, ALL_FAULTS = (1 << SCOPE_FAULT_COUNT) - 1 };

static struct scope_sim_parts *parts;

static int setup(void **state)
{
        (void)state;
        return scope_sim_parts_create(&parts) == SCOPE_OK ? 0 : -1;
}

static int teardown(void **state)
{
        (void)state;
        scope_sim_parts_destroy(parts);
        return 0;
}

static void run(uint64_t seed, uint32_t faults, struct scope_sim_seed *ret)
{
        enum scope_err err = scope_sim_run(parts, seed, faults, ret);
        if (err != SCOPE_OK)
                fail_msg("seed %llu: %s: %s", (unsigned long long)seed, scope_err_name(err),
                        ret->violation);
}

static void all_seen(const char *what, const uint64_t *counts, int count)
{
        for (int i = 0; i < count; i++)
                if (counts[i] == 0)
                        fail_msg("%s %d never happened", what, i);
}

static void test_every_seed_keeps_every_promise_and_all_paths_are_taken(void **state)
{
        (void)state;
        static struct scope_sim_seed seed;
        uint64_t events = 0, transitions = 0, faults[SCOPE_FAULT_COUNT] = { 0 };
        uint64_t outcomes[SCOPE_OUTCOME_COUNT] = { 0 }, paths[SCOPE_GROUP_PATH_COUNT] = { 0 };
        uint64_t failures[SCOPE_FAILURE_COUNT] = { 0 };
        for (uint64_t i = 0; i < SEEDS; i++) {
                run(i, ALL_FAULTS, &seed);
                events += seed.result.events;
                transitions |= seed.result.transitions;
                for (int k = 0; k < SCOPE_FAULT_COUNT; k++)
                        faults[k] += seed.result.faults[k];
                for (int k = 0; k < SCOPE_OUTCOME_COUNT; k++)
                        outcomes[k] += seed.coverage.outcomes[k];
                for (int k = 0; k < SCOPE_GROUP_PATH_COUNT; k++)
                        paths[k] += seed.coverage.paths[k];
                for (int k = 0; k < SCOPE_FAILURE_COUNT; k++)
                        failures[k] += seed.coverage.failures[k];
        }
        print_message("# %llu events a seed\n", (unsigned long long)(events / SEEDS));
        assert_true(events / SEEDS >= 3000);
        all_seen("fault", faults, SCOPE_FAULT_COUNT);
        all_seen("outcome", outcomes, SCOPE_OUTCOME_COUNT);
        all_seen("path", paths, SCOPE_GROUP_PATH_COUNT);
        all_seen("failure", failures, SCOPE_FAILURE_MALFORMED); /* nothing here is malformed */
        static const uint8_t arrows[][2] = { { 0, 1 }, { 1, 2 }, { 2, 3 }, { 3, 4 }, { 2, 5 },
                { 3, 5 }, { 5, 0 } }; /* those of runtime/actor.h */
        for (size_t i = 0; i < sizeof arrows / sizeof arrows[0]; i++)
                assert_true((transitions >> (arrows[i][0] * 8 + arrows[i][1]) & 1) != 0);
}

static void test_a_seed_has_one_trace(void **state)
{
        (void)state;
        static struct scope_sim_seed one, two;
        for (uint64_t i = 0; i < AGAIN; i++) {
                run(i, ALL_FAULTS, &one);
                free(malloc(4096 + 4096 * i)); /* other addresses */
                run(i, ALL_FAULTS, &two);
                assert_true(one.result.trace_hash == two.result.trace_hash);
                assert_true(one.result.events == two.result.events);
                assert_true(one.admitted == two.admitted && one.steps == two.steps);
        }
}

static void test_without_faults_nothing_is_lost(void **state)
{
        (void)state;
        static struct scope_sim_seed seed;
        for (uint64_t i = 0; i < AGAIN; i++) {
                run(i, 0, &seed);
                assert_int_equal(seed.coverage.outcomes[SCOPE_FAILED], 0);
                for (int k = 0; k < SCOPE_FAULT_COUNT; k++)
                        assert_int_equal(seed.result.faults[k], 0);
        }
}

static void test_seeds_that_once_failed(void **state)
{
        (void)state;
        static struct scope_sim_seed seed;
        char line[256];
        FILE *file = fopen(SCOPE_SEEDS, "r");
        assert_non_null(file);
        while (fgets(line, sizeof line, file) != NULL)
                if (line[0] >= '0' && line[0] <= '9') {
                        run(strtoull(line, NULL, 10), ALL_FAULTS, &seed);
                        run(strtoull(line, NULL, 10), 0, &seed);
                }
        (void)fclose(file); /* only read */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_seed_keeps_every_promise_and_all_paths_are_taken),
                cmocka_unit_test(test_a_seed_has_one_trace),
                cmocka_unit_test(test_without_faults_nothing_is_lost),
                cmocka_unit_test(test_seeds_that_once_failed),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
