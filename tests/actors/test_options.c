/* Every key of the configuration: it has words and a default that holds, it does something, and a
 * test says what. Add a key, and this test asks for the other three. */
#include "tests/test.h"

#include "actors/options.h"
#include "cli/load.h"

enum { KEYS_MAX = 320, FILE_BYTES_MAX = 1 << 17 };

/* Where the effect of each key is tested; the file must speak of the key. */
static const struct {
        const char *file, *keys; /* below tests/; apart by spaces */
} proofs[] = {
        { "actors/test_evaluator.c",
                "data.eval eval.problems eval.samples eval.temperature eval.top_p" },
        { "actors/test_groups.c",
                "rollout.prompts_per_step rollout.group_size rollout.temperature rollout.top_p "
                "rollout.max_response rollout.attempts rollout.min_group rollout.lease_timeout "
                "prm.timeout teacher.next_on_reject pipeline.strategy pipeline.teacher_groups "
                "pipeline.drop_all_equal" },
        { "actors/test_learner.c",
                "run.steps loss.kl_beta learner.lr learner.weight_decay learner.warmup "
                "learner.minibatch_prompts learner.passes checkpoint.every eval.every" },
        { "actors/test_options.c", "prm.path" },
        { "actors/test_prm.c", "prm.backend prm.tau" },
        { "actors/test_prm_http.c",
                "prm.model prm.concurrency prm.max_retries prm.circuit_failures "
                "prm.circuit_reset prm.response_max" },
        { "actors/test_prompts.c", "data.train rollout.max_prompt" },
        { "actors/test_queue.c", "pipeline.queue_groups" },
        { "actors/test_recorder.c", "metrics.rollouts metrics.show_every" },
        { "actors/test_refiner.c",
                "teacher.model teacher.style teacher.on_down teacher.calls_max "
                "teacher.max_retries teacher.temperature teacher.deadline "
                "teacher.connect_timeout teacher.idle_timeout teacher.circuit_failures" },
        { "actors/test_refiner_http.c",
                "teacher.url teacher.api_key_env teacher.stream teacher.backoff "
                "teacher.response_max" },
        { "actors/test_rollout.c", "run.seed pipeline.update pipeline.kv" },
        { "actors/test_call_gate.c", "teacher.concurrency teacher.rate" },
        { "actors/world.c", "teacher.retry_temperature" },
        { "algorithm/test_admission.c", "pipeline.eta pipeline.age_max pipeline.stale" },
        { "algorithm/test_advantage.c",
                "loss.adv_std loss.adv_eps loss.adv_members loss.prm_reward "
                "loss.prm_reward_coef" },
        { "algorithm/test_correction.c",
                "loss.correction loss.tis loss.tis_cap loss.seq_mask loss.seq_mask_lo "
                "loss.seq_mask_hi loss.k3_max loss.token_mask loss.mixed_on_reject" },
        { "algorithm/test_grade.c",
                "grade.percent grade.require_reduced grade.list_ordered grade.fallback "
                "grade.base_subscript_strict grade.relation_to_interval grade.reward" },
        { "algorithm/test_localise.c", "scope.prefix_cap" },
        { "algorithm/test_mix.c", "teacher.leak_filter" },
        { "algorithm/test_objective.c",
                "loss.clip_enable loss.clip_lo loss.clip_hi loss.clip_dual loss.suffix_form "
                "loss.suffix_use_adv loss.suffix_lambda loss.suffix_gamma loss.agg "
                "loss.agg_const loss.entropy_coef" },
        { "algorithm/test_select.c",
                "scope.min_failures scope.repairs_per_group scope.gauss_denom "
                "scope.prefer_located scope.zero_prefix scope.allow_truncated scope.force_k" },
        { "algorithm/test_statistics.c",
                "scope.stats_scope scope.stats_window scope.stats_members" },
        { "cli/test_load.c", "run.name scope.arm" },
        { "end_to_end/test_prompts.py",
                "data.prompt_format data.system data.instruction data.blank_line_hint "
                "data.template_variables data.template_date data.prompt_key data.answer_key "
                "data.solution_key" },
        { "cli/test_warmup.c",
                "warmup.path warmup.prm_path warmup.target warmup.lr warmup.beta2 warmup.batch "
                "warmup.warmup warmup.steps_max warmup.test_every warmup.test_from "
                "warmup.test_problems warmup.test_samples warmup.prm_steps warmup.prm_lr" },
        { "end_to_end/test_bad_input.py", "run.dir model.path checkpoint.keep" },
        { "end_to_end/test_trace.py", "metrics.trail" },
        { "end_to_end/test_replay.py", "metrics.tokens" },
        { "end_to_end/test_teacher.py", "teacher.retry_after_max teacher.circuit_reset" },
        { "end_to_end/test_prm_http.py", "prm.url prm.api_key_env" },
        { "end_to_end/test_score.py", "prm.max_len" },
        { "models/test_decode_team.c", "rollout.dtype" },
        { "models/test_engine.c", "rollout.slots" },
        { "models/test_recompute.c", "learner.recompute" },
        { "models/test_trainer.c", "learner.beta1 learner.beta2 learner.eps learner.grad_clip "
                                   "learner.microbatch_tokens learner.ranks" },
        { "cli/test_overlap_world.c",
                "sim.decode sim.length sim.prm sim.learn sim.publish sim.swap "
                "sim.prefill_rate sim.refined sim.transfer sim.rollouts_per_host "
                "rollout.straggler pipeline.partial_rollout" },
        { "cli/test_recording.c", "stages.rollout stages.prm stages.teacher stages.learner "
                                  "stages.replay" },
        { "cli/test_plan.c",
                "plan.shape plan.prm_shape plan.prompt_tokens plan.response_tokens plan.longest "
                "plan.decode_rate plan.prm_rate plan.learn_rate plan.refined "
                "plan.teacher_tokens_in plan.teacher_tokens_out plan.price_in plan.price_out "
                "plan.bandwidth plan.compute plan.use_bandwidth plan.use_compute "
                "plan.teacher_latency plan.publish plan.swap plan.device_memory" },
        { "tasks/test_teacher_script.c", "solver.latency solver.faults" },
};
enum { PROOFS = sizeof proofs / sizeof proofs[0] };

/* Calls `each` with every "section.key" of the tables; returns how many there are. */
static uint32_t each_key(
        void (*each)(void *context, const char *path, const struct scope_option *row),
        void *context)
{
        uint32_t count = 0;
        for (const struct scope_option_section *section = scope_option_sections;
                section->section != NULL; section++)
                for (const struct scope_option *row = section->rows; row->key != NULL; row++) {
                        char path[128];
                        (void)snprintf(path, sizeof path, "%s.%s", section->section, row->key);
                        if (each != NULL)
                                each(context, path, row);
                        count++;
                }
        return count;
}

static void has_words_and_a_default(void *context, const char *path, const struct scope_option *row)
{
        struct scope_config *config = context;
        char assignment[512];
        if (row->help == NULL || row->help[0] == 0 || strchr(row->help, '\n') != NULL)
                fail_msg("%s: one line of help is missing", path);
        if (row->standard == NULL)
                fail_msg("%s has no default", path);
        (void)snprintf(assignment, sizeof assignment, "%s=%s", path, row->standard);
        if (scope_config_set(config, assignment) != SCOPE_OK)
                fail_msg("%s", scope_config_errors(config));
}

static void test_every_key_has_help_and_a_default_that_holds(void **state)
{
        (void)state;
        static struct scope_pipeline_options options;
        struct scope_config *config = NULL;
        struct scope_diag diag = { "" };
        const char *key = NULL;
        assert_ok(scope_config_create(scope_load_sections(&options), &config));
        assert_true(each_key(has_words_and_a_default, config) > 100);
        if (scope_pipeline_options_check(&options, &key, &diag) != SCOPE_OK)
                fail_msg("%s: %s", key, diag.text);
        scope_config_destroy(config);
}

struct listed {
        char paths[KEYS_MAX][64];
        uint32_t count;
};

static void appears_once(void *context, const char *path, const struct scope_option *row)
{
        struct listed *listed = context;
        (void)row;
        for (uint32_t i = 0; i < listed->count; i++)
                if (strcmp(listed->paths[i], path) == 0)
                        fail_msg("%s stands in two tables", path);
        assert_true(listed->count < KEYS_MAX && strlen(path) < sizeof listed->paths[0]);
        (void)snprintf(listed->paths[listed->count++], sizeof listed->paths[0], "%s", path);
}

/* The file that proves `path`, NULL where none is named. */
static const char *proof_of(const char *path)
{
        for (uint32_t i = 0; i < PROOFS; i++) {
                size_t bytes = strlen(path);
                const char *at = proofs[i].keys;
                while ((at = strstr(at, path)) != NULL) {
                        bool begins = at == proofs[i].keys || at[-1] == ' ';
                        if (begins && (at[bytes] == 0 || at[bytes] == ' '))
                                return proofs[i].file;
                        at += bytes;
                }
        }
        return NULL;
}

static void is_proved(void *context, const char *path, const struct scope_option *row)
{
        static char text[FILE_BYTES_MAX];
        char name[256];
        const char *proof = proof_of(path);
        (void)context;
        if (proof == NULL)
                fail_msg("%s: write down which test shows what it does", path);
        (void)snprintf(name, sizeof name, "tests/%s", proof);
        FILE *file = fopen(test_source(name), "rb");
        if (file == NULL)
                fail_msg("%s is proved by %s, which is not there", path, name);
        size_t count = fread(text, 1, sizeof text - 1, file);
        (void)fclose(file);
        text[count] = 0;
        if (strstr(text, row->key) == NULL)
                fail_msg("%s is proved by %s, which does not mention it", path, name);
}

static void test_every_key_is_proved_by_a_test_that_mentions_it(void **state)
{
        (void)state;
        static struct listed listed;
        uint32_t named = 0;
        (void)each_key(appears_once, &listed);
        assert_int_equal(each_key(is_proved, NULL), listed.count);
        for (uint32_t i = 0; i < PROOFS; i++)
                for (const char *at = proofs[i].keys; at != NULL; at = strchr(at + 1, ' '))
                        named++;
        assert_int_equal(named, listed.count); /* nothing is proved that is gone */
}

/* What rows cannot say, and the key that is blamed. */
#define FLOW "pipeline.strategy=\"async\"", "scope.stats_scope=\"window\""
static const struct {
        const char *set[4], *key;
} refusals[] = {
        { { "learner.minibatch_prompts=3", "rollout.prompts_per_step=16" },
                "learner.minibatch_prompts" },
        { { "rollout.min_group=9", "rollout.group_size=8" }, "rollout.min_group" },
        { { "learner.microbatch_tokens=99", "rollout.max_prompt=50" },
                "learner.microbatch_tokens" },
        { { "pipeline.strategy=\"hasty\"" }, "pipeline.strategy" },
        { { "pipeline.strategy=\"async\"", "scope.stats_scope=\"batch\"" }, "scope.stats_scope" },
        { { "pipeline.queue_groups=3" }, "pipeline.queue_groups" },
        { { "pipeline.eta=5", "pipeline.age_max=4" }, "pipeline.age_max" },
        { { "rollout.straggler=\"1s\"" }, "rollout.straggler" },
        { { "pipeline.teacher_groups=4" }, "pipeline.teacher_groups" },
        { { "pipeline.partial_rollout=2.0" }, "pipeline.partial_rollout" },
        { { FLOW, "pipeline.partial_rollout=0.5" }, "pipeline.partial_rollout" },
        { { FLOW, "pipeline.partial_rollout=2.0", "pipeline.update=\"drain\"" },
                "pipeline.update" },
        { { FLOW, "pipeline.partial_rollout=2.0", "pipeline.age_max=2" }, "pipeline.age_max" },
        { { "prm.backend=\"likelihood\"" }, "prm.path" },
        { { "prm.backend=\"native\"" }, "prm.path" },
        { { "prm.backend=\"http\"" }, "prm.url" },
        { { "loss.clip_dual=0.5" }, "loss.clip_dual" },
};

static void test_values_that_do_not_go_together_are_refused(void **state)
{
        (void)state;
        static struct scope_pipeline_options options;
        for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
                struct scope_config *config = NULL;
                struct scope_diag diag = { "" };
                const char *key = "";
                assert_ok(scope_config_create(scope_load_sections(&options), &config));
                for (size_t s = 0; s < 4 && refusals[i].set[s] != NULL; s++)
                        assert_ok(scope_config_set(config, refusals[i].set[s]));
                assert_int_equal(
                        scope_pipeline_options_check(&options, &key, &diag), SCOPE_ERR_ARGUMENT);
                assert_string_equal(key, refusals[i].key);
                assert_non_null(strstr(diag.text, strchr(key, '.') + 1)); /* it names the key */
                scope_config_destroy(config);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_key_has_help_and_a_default_that_holds),
                cmocka_unit_test(test_every_key_is_proved_by_a_test_that_mentions_it),
                cmocka_unit_test(test_values_that_do_not_go_together_are_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
