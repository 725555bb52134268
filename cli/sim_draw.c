#include "cli/sim_draw.h"

#include <stdio.h>

#include "actors/options.h"
#include "algorithm/strategy.h"
#include "base/rng.h"
#include "base/text.h"
#include "tasks/teacher_script.h"

static const int64_t MS = 1000000, SECOND = 1000000000;

static int64_t between(struct scope_rng *rng, int64_t low, int64_t high)
{
        return low + (int64_t)scope_rng_below(rng, (uint64_t)(high - low) + 1);
}

static bool one_in(struct scope_rng *rng, uint64_t count)
{
        return scope_rng_below(rng, count) == 0;
}

/* async, the one with most freedom, half of the time. */
static const struct scope_strategy *draw_strategy(struct scope_rng *rng)
{
        uint64_t count = 0;
        while (scope_strategies[count].name != NULL)
                count++;
        if (one_in(rng, 2))
                return scope_strategy_find("async");
        return &scope_strategies[scope_rng_below(rng, count)];
}

static void draw_pipeline(struct scope_rng *rng, struct scope_pipeline_options *options)
{
        struct scope_pipeline_table *pipeline = &options->pipeline;
        const struct scope_strategy *strategy = draw_strategy(rng);
        (void)snprintf(pipeline->strategy, sizeof pipeline->strategy, "%s", strategy->name);
        pipeline->admission.eta = strategy->eta >= 0 ? strategy->eta : between(rng, 0, 3);
        pipeline->admission.age_max = pipeline->admission.eta + between(rng, 0, 2);
        pipeline->admission.stale = (int)between(rng, SCOPE_STALE_PLAIN, SCOPE_STALE_MASK);
        pipeline->update = (int)between(rng, SCOPE_UPDATE_IN_FLIGHT, SCOPE_UPDATE_DRAIN);
        pipeline->kv = (int)between(rng, SCOPE_KV_KEEP, SCOPE_KV_RECOMPUTE);
        pipeline->teacher_groups = one_in(rng, 2) || strategy->in_order ? 0 : between(rng, 1, 3);
        if (!strategy->in_order && one_in(rng, 3)) {
                pipeline->admission.partial_rollout = 1 + 0.5 * (double)between(rng, 0, 3);
                pipeline->admission.age_max++;
                pipeline->update = SCOPE_UPDATE_IN_FLIGHT;
        }
        pipeline->drop_all_equal = one_in(rng, 3);
        int64_t batch = options->rollout.prompts_per_step;
        pipeline->queue_groups = strategy->in_order
                                         ? (strategy->eta + 1) * batch + between(rng, 0, 2)
                                         : between(rng, 1, 6);
        options->scope.statistics.stats_scope =
                (int)between(rng, strategy->stage_barrier ? SCOPE_STATS_BATCH : SCOPE_STATS_WINDOW,
                        SCOPE_STATS_GROUP);
}

static void draw_rollout(struct scope_rng *rng, struct scope_pipeline_options *options)
{
        struct scope_rollout_options *rollout = &options->rollout;
        rollout->prompts_per_step = between(rng, 1, 4);
        rollout->group_size = between(rng, 2, 6);
        rollout->attempts = between(rng, 1, 4);
        rollout->min_group = one_in(rng, 2) ? 0 : between(rng, 1, rollout->group_size);
        rollout->max_prompt = 32;
        rollout->max_response = 64;
        options->learner.microbatch_tokens = between(rng, 96, 400);
        options->learner.passes = between(rng, 1, 2);
        options->learner.ranks = 1;
        if (rollout->prompts_per_step % 2 == 0 && one_in(rng, 2))
                options->learner.minibatch_prompts = rollout->prompts_per_step / 2;
}

static void draw_teacher(struct scope_rng *rng, struct scope_pipeline_options *options)
{
        struct scope_teacher_options *teacher = &options->teacher;
        (void)snprintf(teacher->url, sizeof teacher->url, "http://127.0.0.1/v1");
        teacher->style = (int)between(rng, SCOPE_STYLE_INSTRUCT, SCOPE_STYLE_CONTINUE);
        teacher->on_down = (int)between(rng, SCOPE_DOWN_DEGRADE, SCOPE_DOWN_WAIT);
        teacher->stream = one_in(rng, 2);
        teacher->concurrency = between(rng, 1, 4);
        teacher->calls_max = one_in(rng, 8) ? between(rng, 1, 20) : 0;
        teacher->max_retries = between(rng, 0, 3);
        teacher->next_on_reject = between(rng, 0, 2);
        teacher->deadline = between(rng, 1, 20) * SECOND / 2;
        teacher->backoff = between(rng, 10, 250) * MS;
        teacher->retry_after_max = 2 * SECOND;
        teacher->circuit_failures = between(rng, 1, 5);
        teacher->circuit_reset = between(rng, 1, 8) * SECOND / 4;
        teacher->response_max = 1 << 16;
        options->prm.timeout = between(rng, 1, 10) * SECOND;
        options->prm.backend = one_in(rng, 10) ? SCOPE_PRM_OFF : SCOPE_PRM_ARITHMETIC;
        if (one_in(rng, 4))
                options->loss.advantage.prm_reward = SCOPE_PRM_REWARD_MEAN;
        if (one_in(rng, 10))
                options->scope.select.force_k = 0;
}

/* Some score over HTTP, with the teacher's script and its faults. Draws of its own: the others stay
 * what they were. */
static void draw_scorer(uint64_t seed, struct scope_pipeline_options *options)
{
        struct scope_rng rng = scope_rng_make(scope_hash_pair(seed, 3));
        struct scope_prm_options *prm = &options->prm;
        if (prm->backend != SCOPE_PRM_ARITHMETIC || !one_in(&rng, 3))
                return;
        prm->backend = SCOPE_PRM_HTTP;
        (void)snprintf(prm->url, sizeof prm->url, "http://127.0.0.1");
        prm->concurrency = between(&rng, 1, 4);
        prm->max_retries = between(&rng, 0, 3);
        prm->circuit_failures = between(&rng, 1, 5);
        prm->circuit_reset = between(&rng, 1, 8) * SECOND / 4;
        prm->response_max = 1 << 16;
}

/* Each of them now and then; never so often that nothing is ever repaired. */
static void draw_script(
        struct scope_rng *rng, bool faults, struct scope_teacher_script_options *script)
{
        static const char *const names[] = {
#define X(name, key) key,
                SCOPE_TEACHER_FAULT_MAP(X)
#undef X
        };
        long long ms = (long long)between(rng, 20, 400);
        if (one_in(rng, 3)) /* slow, and some of them very */
                (void)snprintf(script->latency, sizeof script->latency, "pareto:%lldms,1.2",
                        ms / 4);
        else
                (void)snprintf(script->latency, sizeof script->latency, "uniform:5ms-%lldms", ms);
        script->retry_after =
                (int)between(rng, SCOPE_TEACHER_RETRY_SECONDS, SCOPE_TEACHER_RETRY_ABSENT);
        script->retry_delay = SECOND;
        script->huge_bytes = 80000;
        struct scope_text words = { .limit = sizeof script->faults };
        for (size_t i = 0; i < sizeof names / sizeof names[0] && faults; i++)
                if (one_in(rng, 3))
                        scope_text_format(&words, "%s%s=0.0%lld", words.count > 0 ? "," : "",
                                names[i], (long long)between(rng, 1, 7));
        if (words.count > 0)
                (void)snprintf(script->faults, sizeof script->faults, "%s", words.bytes);
        scope_text_fini(&words);
}

struct scope_sim_setting scope_sim_draw(uint64_t seed, bool teacher_faults,
        struct scope_pipeline_options *options, struct scope_teacher_script_options *script)
{
        struct scope_rng rng = scope_rng_make(scope_hash_pair(seed, 1));
        options->run.seed = (int64_t)(seed & 0xffffffff);
        draw_rollout(&rng, options);
        draw_pipeline(&rng, options);
        draw_teacher(&rng, options);
        draw_scorer(seed, options);
        draw_script(&rng, teacher_faults, script);
        int64_t samples = options->rollout.prompts_per_step * options->rollout.group_size;
        options->run.steps = 2 + between(&rng, 120, 240) / (samples + 4);
        options->checkpoint.every = between(&rng, 0, 4);
        options->eval.every = one_in(&rng, 2) ? 0 : between(&rng, 2, 5);
        options->eval.problems = between(&rng, 1, 3);
        options->eval.samples = between(&rng, 1, 2);
        options->metrics.show_every = between(&rng, 0, 2);
        options->metrics.rollouts = !one_in(&rng, 4);
        /* some live with their faults to the end, the drain included */
        int64_t heal_s = one_in(&rng, 4) ? 300 : one_in(&rng, 3) ? 40 : 10;
        struct scope_sim_setting setting = { .rollouts = (uint32_t)between(&rng, 1, 3),
                .slots = (uint32_t)between(&rng, 1, 6),
                .decode_ns = (uint64_t)(between(&rng, 1, 40) * MS / 4),
                .microbatch_ns = (uint64_t)(between(&rng, 1, 40) * MS),
                .heal_ns = (uint64_t)(between(&rng, 1, heal_s) * SECOND) };
        /* About as long as one rollout needs for all that can be under way, and for one sample
         * where there are more slots than samples: shorter ones are a bad setting. */
        int64_t groups = (int64_t)scope_admission_credit(&options->pipeline.admission,
                                 (uint64_t)options->rollout.prompts_per_step) +
                         options->pipeline.teacher_groups;
        int64_t rounds = groups * options->rollout.group_size / (int64_t)setting.slots + 1;
        options->rollout.lease_timeout = between(&rng, 3, 12) * rounds *
                                         options->rollout.max_response *
                                         (int64_t)setting.decode_ns / 4;
        if (options->pipeline.admission.partial_rollout > 0)
                options->rollout.lease_timeout += 60 * SECOND; /* they stand still in between */
        if (!scope_strategy_find(options->pipeline.strategy)->eval_barrier && one_in(&rng, 4))
                options->rollout.straggler =
                        options->rollout.lease_timeout / between(&rng, 2, 8);
        return setting;
}
