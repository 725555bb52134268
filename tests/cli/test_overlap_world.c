/* Simulated stages: each law does what its key says, every strategy comes to its bound on random
 * settings, and draws do not depend on the strategy. */
#include "tests/cli/played_run.h"

#include "base/rng.h"
#include "cli/idle_shares.h"

static struct scope_pipeline_options options;
static struct scope_overlap_world_result result;

static const char plain[] = "[data]\ntrain = \"builtin:chain?level=hard\"\n"
                            "[run]\nsteps = 16\n"
                            "[rollout]\nprompts_per_step = 4\ngroup_size = 4\nslots = 8\n"
                            "max_response = 512\n"
                            "[scope]\nstats_scope = \"window\"\n"
                            "[pipeline]\nage_max = 64\nqueue_groups = 64\n"
                            "[teacher]\ndeadline = \"24h\"\nidle_timeout = \"24h\"\n"
                            "circuit_failures = 1000000\nconcurrency = 2\n"
                            "[sim]\ndecode = \"constant:8s\"\nprm = \"constant:1s\"\n"
                            "learn = \"constant:5s\"\npublish = \"constant:1s\"\nswap = \"0s\"\n"
                            "refined = 0\n";

static void load(const char *const *sets, size_t count)
{
        load_options(&options, plain, sets, count);
}

/* What must hold in every run, whatever its setting. */
static void check_ledger(const struct scope_overlap_report *report)
{
        double wall_s = (double)result.virtual_ns * 1e-9, shares = report->useful;
        double error = scope_idle_error(result.usage, result.usage_count, wall_s);
        if (error > 0.005)
                fail_msg("an actor's busy and idle times miss its wall time by %.3f", error);
        for (int l = 0; l < SCOPE_LINKS; l++) {
                const struct scope_link_report *link = &report->links[l];
                if (fabs(link->mean - link->little) > 0.01 * fmax(link->mean, 0.1))
                        fail_msg("%s: depth %g, rate x sojourn %g", scope_link_words[l],
                                link->mean, link->little);
                assert_true(link->empty >= 0 && link->empty + link->full <= 1 + 1e-9);
        }
        for (int i = 0; i < SCOPE_WASTES; i++)
                shares += report->waste[i];
        assert_true(fabs(shares - 1) < 1e-6);
        assert_true(fabs(report->staleness_mean - report->aged_in_flight -
                            report->aged_before_teacher - report->aged_at_teacher -
                            report->aged_in_queue) < 1e-6);
        assert_true(report->newest_mean <= report->staleness_mean + 1e-9);
        assert_true(report->spans_per_sample > 0.5); /* repaired from its start, one has none */
}

/* Shares of an actor's time in the run before. */
static struct scope_idle_shares shares_of(const char *role)
{
        return scope_idle_shares_of(result.usage, result.usage_count, role);
}

static struct scope_overlap_report run_loaded(void)
{
        struct scope_overlap_report report = played_run(&options, &result);
        check_ledger(&report);
        return report;
}

static struct scope_overlap_report run(const char *const *sets, size_t count)
{
        load(sets, count);
        return run_loaded();
}

/* Seconds a step of the plain setting with this changed. */
static double step_s(const char *one, const char *other)
{
        const char *sets[2] = { one, other };
        struct scope_overlap_report report = run(sets, one == NULL ? 0 : other == NULL ? 1 : 2);
        return report.seconds / (double)report.steps;
}

/* 16 samples on 8 slots: two rounds. Two thirds of a repaired group are wrong, so it goes to PRM
 * and teacher. */
static void test_each_law_takes_the_time_it_says(void **state)
{
        (void)state;
        near(step_s(NULL, NULL), 16 + 5 + 1);
        near(step_s("sim.decode=\"constant:4s\"", NULL), 8 + 5 + 1);
        near(step_s("sim.learn=\"constant:9s\"", NULL), 16 + 9 + 1);
        near(step_s("sim.publish=\"constant:3s\"", NULL), 16 + 5 + 3);
        near(step_s("sim.swap=\"2s\"", NULL), 16 + 5 + 1 + 2);
        near(step_s("sim.refined=1.0", "solver.latency=\"constant:0s\""), 16 + 4 + 5 + 1);
        near(step_s("sim.refined=1.0", "sim.prm=\"constant:3s\""), 16 + 12 + 5 + 1);
        near(step_s("sim.refined=1.0", "solver.latency=\"constant:10s\""), 16 + 4 + 20 + 5 + 1);
}

/* 200 tokens each, eight at a time: at 100 tokens/s of all of them a round takes 80 ms; at more
 * than they can use, what a step takes at least. The learner goes through prompts as well. */
static void test_laws_by_the_token(void **state)
{
        (void)state;
        const char *const length = "sim.length=\"constant:200\"";
        const char *learn[] = { length, "sim.learn=\"tokens:1000\"" };
        const char *prm[] = { length, "sim.prm=\"tokens:1000,3s\"", "sim.refined=1.0" };
        const char *prompts[] = { length, "sim.decode=\"tokens:1e6,20ms\"",
                "sim.prefill_rate=10" };
        near(step_s("sim.decode=\"tokens:100,20ms\"", length), 2 * 16 + 5 + 1);
        near(step_s("sim.decode=\"tokens:1e6,20ms\"", length), 2 * 4 + 5 + 1);
        struct scope_overlap_report report = run(learn, 2);
        double step = report.seconds / (double)report.steps;
        double tokens = report.useful_tokens_per_s * step; /* of a batch, prompts with them */
        assert_true(tokens > 16 * (200 + 5) && tokens < 16 * (200 + 64));
        near(step, 16 + 1 + tokens / 1000);
        report = run(prm, 3); /* of nearly every group, less than 3 s of tokens */
        assert_true(report.prm_s > 2.5 && report.prm_s < 3.001);
        report = run(prompts, 3); /* of every group once, not of every sample */
        step = report.seconds / (double)report.steps;
        assert_true(step > 2 * 4 + 6 + 4 * 0.5 && step < 2 * 4 + 6 + 4 * 3);
        assert_true(report.groups_per_s / report.bound_groups_per_s > 0.98);
        /* calls that take no time, ten seconds apart, of nearly every group */
        step = step_s("sim.refined=1.0", "teacher.rate=0.1");
        assert_true(step > 16 + 4 + 26 + 5 + 1 && step < 16 + 4 + 30.1 + 5 + 1);
}

/* One link to all hosts: the last of four has new weights after four transfers. */
static void test_a_transfer_takes_the_links_time_for_each_host(void **state)
{
        (void)state;
        char toml[sizeof plain + 64];
        (void)snprintf(toml, sizeof toml, "%s[[placement]]\nrole = \"rollout\"\ncount = 8\n",
                plain);
        for (int hosts = 1; hosts <= 8; hosts *= 2) {
                char size[64];
                const char *const sets[] = { size, "sim.transfer=\"constant:2s\"" };
                (void)snprintf(size, sizeof size, "sim.rollouts_per_host=%d", 8 / hosts);
                load_options(&options, toml, sets, 2);
                struct scope_overlap_report report = run_loaded();
                /* four groups, each on a rollout of its own: two samples of each at a time */
                double step = report.seconds / (double)report.steps;
                if (step < 8 + 5 + 1 + 2 || step > 8 + 5 + 1 + 2 * hosts + 1)
                        fail_msg("%d hosts: %g s a step", hosts, step);
                if (hosts == 8)
                        assert_true(shares_of("rollout").idle[SCOPE_IDLE_WEIGHTS] > 0.1);
        }
}

/* async: new weights in the middle of samples; keeping KV costs nothing, prefilling it does. */
static void test_recomputing_kv_costs_what_prefill_rate_says(void **state)
{
        (void)state;
        const char *keep[] = { "pipeline.strategy=async", "pipeline.eta=4" };
        const char *fast[] = { keep[0], keep[1], "pipeline.kv=recompute", "sim.prefill_rate=1e9" };
        const char *slow[] = { keep[0], keep[1], "pipeline.kv=recompute", "sim.prefill_rate=40" };
        double kept = run(keep, 2).groups_per_s, quick = run(fast, 4).groups_per_s;
        assert_true(fabs(kept - quick) < 0.02 * kept);
        assert_true(run(slow, 4).groups_per_s < 0.9 * kept);
}

static void test_draws_do_not_depend_on_the_strategy(void **state)
{
        (void)state;
        /* whom the selector picks is a matter of statistics: here of the group alone */
        const char *serial[] = { "sim.refined=0.5", "sim.decode=\"lognormal:8s,0.8\"",
                "solver.latency=\"lognormal:8s,0.8\"", "scope.stats_scope=group" };
        const char *other_sets[] = { serial[0], serial[1], serial[2], serial[3],
                "pipeline.strategy=pipelined" };
        struct scope_overlap_report one = run(serial, 4), other = run(other_sets, 5);
        assert_true(fabs(one.stage.decode - other.stage.decode) < 1e-6);
        assert_true(fabs(one.stage.teacher - other.stage.teacher) < 1e-3); /* seen in turns */
        assert_true(fabs(one.stage.prm - other.stage.prm) < 1e-6);
}

/* Constant times: what each waits for can be reckoned by hand. A batch is 16 s of decoding, 5 of
 * training, 1 of publication. */
static void test_idle_time_is_charged_to_its_cause(void **state)
{
        (void)state;
        (void)run(NULL, 0); /* serial */
        struct scope_idle_shares learner = shares_of("learner"), rollout = shares_of("rollout");
        assert_true(fabs(learner.busy - 5.0 / 22) < 0.02);
        assert_true(fabs(learner.idle[SCOPE_IDLE_WEIGHTS] - 1.0 / 22) < 0.01);
        assert_true(fabs(learner.idle[SCOPE_IDLE_STARVED] + learner.idle[SCOPE_IDLE_STARTUP] -
                            16.0 / 22) < 0.02);
        assert_true(fabs(rollout.busy - 16.0 / 22) < 0.02);
        assert_true(rollout.idle[SCOPE_IDLE_BARRIER] > 4.5 / 22); /* while the learner trains */
        assert_true(rollout.idle[SCOPE_IDLE_WEIGHTS] > 0.8 / 22); /* and publishes */
        const char *async[] = { "pipeline.strategy=async", "pipeline.eta=0" };
        (void)run(async, 2);
        assert_true(shares_of("rollout").idle[SCOPE_IDLE_CREDIT] > 0.15);
        const char *prefill[] = { "pipeline.strategy=async", "pipeline.eta=4",
                "pipeline.kv=recompute", "sim.prefill_rate=40", "sim.swap=\"1s\"" };
        (void)run(prefill, 5);
        assert_true(shares_of("rollout").idle[SCOPE_IDLE_PREFILL] > 0.05);
        assert_true(shares_of("rollout").idle[SCOPE_IDLE_WEIGHTS] > 0.03);
        const char *busy[] = { "sim.refined=1", "solver.latency=\"constant:1s\"",
                "solver.faults=\"busy=0.3\"", "teacher.max_retries=30" };
        (void)run(busy, 2);
        assert_true(shares_of("prm").idle[SCOPE_IDLE_BARRIER] > 0.1);
        (void)run(busy, 4);
        assert_true(shares_of("refiner").idle[SCOPE_IDLE_THROTTLED] > 0.05);
}

/* --- options of the flow -------------------------------------------------------------------- */

/* Heavy tails: a batch waits for its longest sample, unless the rest may go on with the next. */
static void test_partial_rollouts_do_not_wait_for_the_tail(void **state)
{
        (void)state;
        const char *sets[] = { "pipeline.strategy=async", "pipeline.eta=0",
                "sim.decode=\"pareto:4s,1.3,200s\"", "rollout.slots=16", "run.steps=30",
                "pipeline.partial_rollout=3.0" };
        struct scope_overlap_report whole = run(sets, 5), partial = run(sets, 6);
        assert_true(partial.groups_per_s > 1.3 * whole.groups_per_s);
        assert_true(shares_of("rollout").idle[SCOPE_IDLE_BARRIER] > 0.05); /* they stand still */
        assert_true(partial.spans_per_sample > 1.02 && whole.spans_per_sample < 1.001);
        assert_true(whole.staleness_max == 0 && partial.staleness_max > 0);
        double ratio = partial.groups_per_s / partial.bound_groups_per_s;
        if (ratio < 0.85 || ratio > 1.05)
                fail_msg("partial rollouts are at %.3f of their bound", ratio);
}

static void test_a_straggler_is_not_waited_for(void **state)
{
        (void)state;
        const char *sets[] = { "pipeline.strategy=async", "pipeline.eta=2",
                "sim.decode=\"pareto:4s,1.1,400s\"", "rollout.slots=64", "run.steps=30",
                "rollout.straggler=\"30s\"", "rollout.min_group=2" };
        struct scope_overlap_report all = run(sets, 5), cut = run(sets, 7);
        assert_true(all.to_reward_s[2] > 100); /* p99 */
        assert_true(cut.to_reward_s[1] < 31 && cut.to_reward_s[2] < 40);
        assert_true(cut.groups_per_s > all.groups_per_s);
        assert_int_equal(result.trained, 30 * 4); /* with the samples that came */
        assert_int_equal(result.failed, 0);
        assert_true(all.waste[SCOPE_WASTE_CUT] == 0);
        assert_true(cut.waste[SCOPE_WASTE_CUT] > 0.01); /* what the stragglers had by then */
}

/* The API has room to spare: a group there need not hold a place in decoding. */
static void test_the_teachers_own_credit_keeps_decoding_busy(void **state)
{
        (void)state;
        const char *sets[] = { "pipeline.strategy=async", "pipeline.eta=1", "sim.refined=0.5",
                "solver.latency=\"constant:60s\"", "teacher.concurrency=64", "rollout.slots=32",
                "run.steps=30", "pipeline.teacher_groups=16" };
        struct scope_overlap_report kept = run(sets, 7);
        assert_true(shares_of("groups").idle[SCOPE_IDLE_CREDIT] > 0.4);
        struct scope_overlap_report freed = run(sets, 8);
        assert_true(freed.groups_per_s > 1.2 * kept.groups_per_s);
}

/* No call outlives what age the group has left, whatever teacher.deadline says. */
static void test_a_call_ends_before_its_group_is_too_old(void **state)
{
        (void)state;
        const char *sets[] = { "pipeline.strategy=async", "pipeline.eta=1", "sim.refined=0.7",
                "solver.latency=\"pareto:10s,1.05,3000s\"", "teacher.concurrency=64",
                "run.steps=40", "pipeline.teacher_groups=32", "pipeline.age_max=2" };
        struct scope_overlap_report loose = run(sets, 7), hard = run(sets, 8);
        assert_true(loose.staleness_max > 2 && hard.staleness_max <= 2);
        assert_true(hard.to_refined_s[2] < 0.5 * loose.to_refined_s[2]);
        assert_true(hard.refined_of_eligible < loose.refined_of_eligible);
        assert_int_equal(result.trained, 40 * 4);
        /* only those that come back with the deadline are too old after all */
        assert_true((double)result.stale < 0.25 * (double)result.trained);
}

static void test_filtered_groups_are_replaced(void **state)
{
        (void)state;
        const char *sets[] = { "sim.refined=0.5", "pipeline.drop_all_equal=true" };
        struct scope_overlap_report report = run(sets, 2);
        assert_int_equal(result.trained, 16 * 4); /* batches stay whole */
        assert_true(result.filtered > 10);
        assert_true(report.waste[SCOPE_WASTE_FILTERED] > 0.1);
}

/* --- random settings ------------------------------------------------------------------------ */

struct drawn {
        char words[13][96]; /* 8 and 9: strategy and eta; 10 and on: where stages serve tokens */
        size_t count;
};

static void law(struct drawn *drawn, struct scope_rng *rng, const char *key, double most_s)
{
        double mean = most_s * (0.1 + 0.9 * scope_rng_uniform(rng));
        int kind = (int)scope_rng_below(rng, 4);
        char *words = drawn->words[drawn->count];
        size_t bytes = sizeof drawn->words[0];
        if (kind == 0)
                (void)snprintf(words, bytes, "%s=\"constant:%.3fs\"", key, mean);
        else if (kind == 1)
                (void)snprintf(words, bytes, "%s=\"uniform:%.3fs-%.3fs\"", key, mean / 2, mean);
        else if (kind == 2)
                (void)snprintf(words, bytes, "%s=\"lognormal:%.3fs,0.9\"", key, mean);
        else
                (void)snprintf(words, bytes, "%s=\"pareto:%.3fs,1.5\"", key, mean / 3);
        drawn->count++;
}

static struct drawn draw(uint64_t seed)
{
        struct scope_rng rng = scope_rng_make(seed);
        struct drawn drawn = { .words = { "" } };
        law(&drawn, &rng, "sim.decode", 30);
        law(&drawn, &rng, "solver.latency", 20);
        law(&drawn, &rng, "sim.learn", 40);
        law(&drawn, &rng, "sim.prm", 1);
        (void)snprintf(drawn.words[4], sizeof drawn.words[4], "sim.refined=%.2f",
                scope_rng_uniform(&rng));
        (void)snprintf(drawn.words[5], sizeof drawn.words[5], "rollout.slots=%d",
                (int)(4 + scope_rng_below(&rng, 29)));
        (void)snprintf(drawn.words[6], sizeof drawn.words[6], "teacher.concurrency=%d",
                (int)(1 + scope_rng_below(&rng, 8)));
        (void)snprintf(drawn.words[7], sizeof drawn.words[7], "run.steps=40");
        drawn.count = 8;
        return drawn;
}

static struct scope_overlap_report with(struct drawn *drawn, const char *strategy, int eta)
{
        (void)snprintf(drawn->words[8], sizeof drawn->words[8], "pipeline.strategy=%s", strategy);
        (void)snprintf(drawn->words[9], sizeof drawn->words[9], "pipeline.eta=%d", eta);
        const char *sets[13];
        size_t count = drawn->words[10][0] != 0 ? 13 : 10;
        for (size_t i = 0; i < count; i++)
                sets[i] = drawn->words[i];
        return run(sets, count);
}

/* Ordered strategies on the settings of seeds [0, seeds). */
static void check_ordered(struct drawn (*draw_setting)(uint64_t), uint64_t seeds, double most)
{
        static const char *const strategies[] = { "serial", "one_step_off", "pipelined",
                "teacher_overlap", "teacher_overlap_deep" };
        double least = INFINITY;
        for (uint64_t seed = 0; seed < seeds; seed++) {
                struct drawn drawn = draw_setting(seed);
                for (size_t i = 0; i < sizeof strategies / sizeof strategies[0]; i++) {
                        struct scope_overlap_report report = with(&drawn, strategies[i], 0);
                        double ratio = report.groups_per_s / report.bound_groups_per_s;
                        if (ratio < 0.97 || ratio > most)
                                fail_msg("seed %d: %s is at %.4f of its bound", (int)seed,
                                        strategies[i], ratio);
                        least = fmin(least, ratio);
                }
        }
        print_message("# least measured/bound %.4f\n", least);
}

static void test_strategies_come_to_their_bound_on_random_settings(void **state)
{
        (void)state;
        check_ordered(draw, 24, 1.0005);
}

/* Stages by the token: decoders that slots share, prompts, a learner, a PRM; a teacher with a
 * rate. */
static struct drawn draw_served(uint64_t seed)
{
        struct scope_rng rng = scope_rng_make(seed + 1000);
        struct drawn drawn = draw(seed);
        static const char *const lengths[] = { "constant:60", "uniform:50-120",
                "lognormal:70,0.6,200", "pareto:45,1.5,200" };
        (void)snprintf(drawn.words[0], sizeof drawn.words[0], "sim.decode=\"tokens:%.3g,%.3gms\"",
                20 * pow(20, scope_rng_uniform(&rng)), 10 + 200 * scope_rng_uniform(&rng));
        (void)snprintf(drawn.words[2], sizeof drawn.words[2], "sim.learn=\"tokens:%.3g\"",
                40 * pow(20, scope_rng_uniform(&rng)));
        (void)snprintf(drawn.words[3], sizeof drawn.words[3], "sim.prm=\"tokens:%.3g\"",
                1000 * pow(10, scope_rng_uniform(&rng)));
        (void)snprintf(drawn.words[10], sizeof drawn.words[10], "sim.length=\"%s\"",
                lengths[scope_rng_below(&rng, 4)]);
        (void)snprintf(drawn.words[11], sizeof drawn.words[11], "sim.prefill_rate=%.3g",
                10 * pow(100, scope_rng_uniform(&rng)));
        (void)snprintf(drawn.words[12], sizeof drawn.words[12], "teacher.rate=%.3g",
                scope_rng_below(&rng, 2) == 0 ? 0 : 0.1 + scope_rng_uniform(&rng));
        return drawn;
}

static void test_strategies_come_to_their_bound_where_stages_serve_tokens(void **state)
{
        (void)state;
        check_ordered(draw_served, 20, 1.005);
}

static void test_async_comes_to_its_bound_where_stages_serve_tokens(void **state)
{
        (void)state;
        double least = INFINITY;
        for (uint64_t seed = 0; seed < 20; seed++) {
                struct drawn drawn = draw_served(seed);
                (void)snprintf(drawn.words[7], sizeof drawn.words[7], "run.steps=60");
                struct scope_overlap_report report = with(&drawn, "async", 0);
                int eta = (int)ceil(2 * fmax(report.knee, 0)) + 3;
                report = with(&drawn, "async", eta < 20 ? eta : 20);
                double ratio = report.groups_per_s / report.bound_groups_per_s;
                if (ratio < 0.9 || ratio > 1.0005)
                        print_message("# seed %d eta %d: %.3f of the bound by %s\n", (int)seed,
                                eta, ratio, scope_bound_term_name(report.binding));
                least = fmin(least, ratio);
        }
        print_message("# least measured/bound %.4f\n", least);
        assert_true(least >= 0.9);
}

static void test_async_comes_to_its_bound_beyond_the_knee(void **state)
{
        (void)state;
        double least = INFINITY;
        for (uint64_t seed = 0; seed < 24; seed++) {
                struct drawn drawn = draw(seed);
                /* long enough that what the start left in the pipe does not count */
                (void)snprintf(drawn.words[7], sizeof drawn.words[7], "run.steps=200");
                struct scope_overlap_report report = with(&drawn, "async", 0);
                int eta = (int)ceil(2 * fmax(report.knee, 0)) + 3;
                report = with(&drawn, "async", eta < 20 ? eta : 20);
                double ratio = report.groups_per_s / report.bound_groups_per_s;
                if (ratio > 1.0005)
                        print_message("# seed %d: %.3f of the bound: refined made %.3f, trained "
                                      "%.3f\n",
                                (int)seed, ratio, report.refined_generated,
                                report.refined_consumed);
                if (ratio < 0.9)
                        print_message("# seed %d eta %d: %.3f of the bound by %s\n", (int)seed,
                                eta, ratio, scope_bound_term_name(report.binding));
                least = fmin(least, ratio);
        }
        print_message("# least measured/bound %.4f\n", least);
        assert_true(least >= 0.9);
}

static void test_what_cannot_be_simulated_is_refused(void **state)
{
        (void)state;
        struct scope_diag diag = { "" };
        load(NULL, 0);
        (void)snprintf(options.sim.decode, sizeof options.sim.decode, "gauss:3s");
        assert_int_equal(scope_overlap_world_run(&options, NULL, NULL, &result, &diag),
                SCOPE_ERR_FORMAT);
        assert_non_null(strstr(diag.text, "gauss"));
        load(NULL, 0);
        (void)snprintf(options.data.train, sizeof options.data.train, "a.jsonl");
        assert_int_equal(scope_overlap_world_run(&options, NULL, NULL, &result, &diag),
                SCOPE_ERR_ARGUMENT);
        assert_non_null(strstr(diag.text, "a.jsonl"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each_law_takes_the_time_it_says),
                cmocka_unit_test(test_laws_by_the_token),
                cmocka_unit_test(test_a_transfer_takes_the_links_time_for_each_host),
                cmocka_unit_test(test_recomputing_kv_costs_what_prefill_rate_says),
                cmocka_unit_test(test_idle_time_is_charged_to_its_cause),
                cmocka_unit_test(test_partial_rollouts_do_not_wait_for_the_tail),
                cmocka_unit_test(test_a_straggler_is_not_waited_for),
                cmocka_unit_test(test_the_teachers_own_credit_keeps_decoding_busy),
                cmocka_unit_test(test_a_call_ends_before_its_group_is_too_old),
                cmocka_unit_test(test_filtered_groups_are_replaced),
                cmocka_unit_test(test_draws_do_not_depend_on_the_strategy),
                cmocka_unit_test(test_strategies_come_to_their_bound_on_random_settings),
                cmocka_unit_test(test_async_comes_to_its_bound_beyond_the_knee),
                cmocka_unit_test(test_strategies_come_to_their_bound_where_stages_serve_tokens),
                cmocka_unit_test(test_async_comes_to_its_bound_where_stages_serve_tokens),
                cmocka_unit_test(test_what_cannot_be_simulated_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
