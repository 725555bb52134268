#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/placement.h"
#include "tests/test.h"

static struct scope_pipeline_options options;
static struct scope_cores cores;
static struct scope_diag diag;

static void add(const char *role, const char *device, int64_t count)
{
        struct scope_placement *placement = &options.placement[options.placement_count++];
        *placement = (struct scope_placement){ .count = count };
        (void)snprintf(placement->role, sizeof placement->role, "%s", role);
        (void)snprintf(placement->device, sizeof placement->device, "%s", device);
        (void)snprintf(placement->as, sizeof placement->as, "thread");
}

static int clear(void **state)
{
        (void)state;
        memset(&options, 0, sizeof options);
        (void)snprintf(options.pipeline.strategy, sizeof options.pipeline.strategy, "async");
        return 0;
}

static void expect_refused(enum scope_err expected, const char *words)
{
        assert_int_equal(scope_cores_find(&options, &cores, &diag), expected);
        if (strstr(diag.text, words) == NULL)
                fail_msg("\"%s\" does not say \"%s\"", diag.text, words);
        (void)clear(NULL);
}

static void test_without_placement_all_do_everything(void **state)
{
        (void)state;
        assert_ok(scope_cores_find(&options, &cores, &diag));
        assert_int_equal(cores.rollout_count, 1);
        assert_int_equal(cores.rollout[0].count, cores.compute_count);
        assert_int_equal(cores.learner.count, cores.compute_count);
        assert_int_equal(cores.prm.count, cores.compute_count);
        add("rollout", "cpu", 1);
        assert_ok(scope_cores_find(&options, &cores, &diag));
        assert_int_equal(cores.rollout[0].count, cores.compute_count);
}

static void test_roles_keep_to_their_cores(void **state)
{
        (void)state;
        if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
                test_skip("this machine has one core");
        add("learner", "cpu:1", 1);
        add("rollout", "cpu:0-1", 2);
        add("prm", "cpu:0", 1);
        assert_ok(scope_cores_find(&options, &cores, &diag));
        assert_int_equal(cores.compute_count, 2);
        assert_int_equal(cores.compute[0], 0);
        assert_int_equal(cores.learner.first, 1);
        assert_int_equal(cores.learner.count, 1);
        assert_int_equal(cores.prm.first, 0);
        assert_int_equal(cores.rollout_count, 2);
        for (unsigned i = 0; i < 2; i++) {
                assert_int_equal(cores.rollout[i].first, i);
                assert_int_equal(cores.rollout[i].count, 1);
        }
        (void)snprintf(options.pipeline.strategy, sizeof options.pipeline.strategy,
                "sync_colocated"); /* takes turns on everything */
        assert_ok(scope_cores_find(&options, &cores, &diag));
        assert_int_equal(cores.rollout[1].count, 2);
        assert_int_equal(cores.learner.count, 2);
}

/* As in a container that was given some of the machine's cores. */
static void test_only_cores_that_may_be_used_are_taken(void **state)
{
        (void)state;
        cpu_set_t before, one;
        if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
                test_skip("this machine has one core");
        assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
        CPU_ZERO(&one);
        CPU_SET(1, &one);
        assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
        assert_ok(scope_cores_find(&options, &cores, &diag));
        assert_int_equal(cores.compute_count, 1);
        assert_int_equal(cores.compute[0], 1);
        add("rollout", "cpu", 1);
        assert_ok(scope_cores_find(&options, &cores, &diag));
        assert_int_equal(cores.compute_count, 1);
        assert_int_equal(cores.rollout[0].first, 0);
        (void)clear(NULL);
        add("rollout", "cpu:0-1", 1);
        expect_refused(SCOPE_ERR_NOT_FOUND, "names core 0; what this program may use lies from 1");
        assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

static void test_more_actors_than_cores_take_turns(void **state)
{
        (void)state;
        add("rollout", "cpu:0", 3);
        assert_ok(scope_cores_find(&options, &cores, &diag));
        assert_int_equal(cores.rollout_count, 3);
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(cores.rollout[i].first, 0);
                assert_int_equal(cores.rollout[i].count, 1);
        }
}

static void test_what_is_not_here_is_refused(void **state)
{
        (void)state;
        add("rollout", "cuda:0-3", 4);
        expect_refused(SCOPE_ERR_UNSUPPORTED, "no CUDA plug-in");
        add("rollout", "cpu:0-9999", 1);
        expect_refused(SCOPE_ERR_NOT_FOUND, "what this program may use lies from");
        add("rollout", "cpu:1-0", 1);
        expect_refused(SCOPE_ERR_ARGUMENT, "is not a device");
        add("rollout", "cpu:0x", 1);
        expect_refused(SCOPE_ERR_ARGUMENT, "is not a device");
        add("critic", "cpu:0", 1);
        expect_refused(SCOPE_ERR_ARGUMENT, "role \"critic\" is not known");
        add("learner", "cpu:0", 2);
        expect_refused(SCOPE_ERR_ARGUMENT, "there is one");
        add("rollout", "cpu:0", SCOPE_ROLLOUTS_MAX);
        add("rollout", "cpu:0", 1);
        expect_refused(SCOPE_ERR_ARGUMENT, "rollouts; the limit is");
        add("learner", "cpu:0", 1);
        options.learner.ranks = 2;
        expect_refused(SCOPE_ERR_ARGUMENT, "learner.ranks is 2");
        add("rollout", "cpu:0", 1);
        (void)snprintf(options.placement[0].as, sizeof options.placement[0].as, "process");
        expect_refused(SCOPE_ERR_UNSUPPORTED, "use \"thread\"");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_without_placement_all_do_everything, clear),
                cmocka_unit_test_setup(test_roles_keep_to_their_cores, clear),
                cmocka_unit_test_setup(test_only_cores_that_may_be_used_are_taken, clear),
                cmocka_unit_test_setup(test_more_actors_than_cores_take_turns, clear),
                cmocka_unit_test_setup(test_what_is_not_here_is_refused, clear),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
