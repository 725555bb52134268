#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/planted.h"
#include "cli/sim_run.h"
#include "tests/test.h"

/* A simulator that stays silent is worth nothing until it has caught bugs that are known to be
 * there. Bugs are looked for in a child, because one may be caught by an assert. */

enum { SEEDS = 1000, ALL_FAULTS = (1 << SCOPE_FAULT_COUNT) - 1 };

/* The pipeline bears the first on purpose (no station relies on the order of two messages) and
 * hardly ever does the second. tests/runtime/test_planted catches both. */
static bool is_elsewhere(enum scope_planted bug)
{
        return bug == SCOPE_PLANTED_ORDER_BROKEN || bug == SCOPE_PLANTED_LEDGER_END_TWICE;
}

struct find {
        uint64_t seed;
        char words[160];
};

/* The child tells each seed before it runs it, and what it found in the end. */
static void child(const struct scope_sim_parts *parts, enum scope_planted bug, int out)
{
        static struct scope_sim_seed seed;
        struct find find = { 0 };
        scope_planted_mask = UINT64_C(1) << bug;
        (void)freopen("/dev/null", "w", stderr); /* words of an assert are no result */
        for (; find.seed < SEEDS && find.words[0] == '\0'; find.seed++) {
                if (write(out, &find, sizeof find) != sizeof find)
                        _exit(2);
                if (scope_sim_run(parts, find.seed, ALL_FAULTS, &seed) == SCOPE_OK)
                        continue;
                (void)snprintf(find.words, sizeof find.words, "%.150s", seed.violation);
                if (write(out, &find, sizeof find) != sizeof find)
                        _exit(2);
                _exit(0);
        }
        _exit(1);
}

static bool hunt(const struct scope_sim_parts *parts, enum scope_planted bug, struct find *ret_find)
{
        int ends[2], status = 0;
        *ret_find = (struct find){ .seed = SEEDS };
        assert_int_equal(pipe(ends), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
                child(parts, bug, ends[1]);
        (void)close(ends[1]);
        while (read(ends[0], ret_find, sizeof *ret_find) == (ssize_t)sizeof *ret_find)
                continue;
        (void)close(ends[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
                (void)snprintf(ret_find->words, sizeof ret_find->words, "an assert");
        return ret_find->words[0] != '\0';
}

static void test_every_planted_bug_is_caught(void **state)
{
        (void)state;
        struct scope_sim_parts *parts = NULL;
        struct find find;
        int caught = 0, missed = 0;
        assert_ok(scope_sim_parts_create(&parts));
        for (int bug = 0; bug < SCOPE_PLANTED_COUNT; bug++) {
                const char *name = scope_planted_name((enum scope_planted)bug);
                if (is_elsewhere((enum scope_planted)bug))
                        continue;
                if (!hunt(parts, (enum scope_planted)bug, &find)) {
                        print_message("# %s: not caught in %d seeds\n", name, SEEDS);
                        missed++;
                        continue;
                }
                for (char *at = find.words; *at != '\0'; at++)
                        if (*at == '\n')
                                *at = ' ';
                print_message("# %s: seed %llu: %s\n", name, (unsigned long long)find.seed,
                        find.words);
                caught++;
        }
        print_message("# %d bugs caught\n", caught);
        scope_sim_parts_destroy(parts);
        assert_int_equal(missed, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_planted_bug_is_caught),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
