/* A recording made by hand, so that every time and word in it is known: what is read out of it, the
 * run that is made of it again, and what is said where it does not fit. */
#include "tests/cli/played_run.h"

#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/idle_shares.h"
#include "cli/recording.h"
#include "cli/trail_file.h"
#include "tasks/chain.h"
#include "tasks/dataset.h"
#include "tasks/latency_law.h"
#include "tasks/teacher_script.h"

enum { GROUPS = 8, BATCH = 4, SAMPLES = 4, SLOTS = 8 };
static const uint64_t SECOND = 1000000000u;

static struct scope_pipeline_options options;
static struct scope_overlap_world_result result;
static char directory[] = "/tmp/scope-recording-XXXXXX";

static const char plain[] = "[data]\ntrain = \"builtin:chain?level=hard\"\n"
                            "[run]\nsteps = 12\n"
                            "[rollout]\nprompts_per_step = 4\ngroup_size = 4\nslots = 8\n"
                            "max_response = 128\n"
                            "[scope]\nstats_scope = \"window\"\n"
                            "[pipeline]\nage_max = 64\nqueue_groups = 64\n"
                            "[teacher]\ndeadline = \"24h\"\nidle_timeout = \"24h\"\n"
                            "circuit_failures = 1000000\nconcurrency = 2\n"
                            "[sim]\nrefined = 0\nswap = \"0s\"\n";

/* --- the recording -------------------------------------------------------------------------- */

static FILE *open_part(const char *name)
{
        char path[256];
        (void)snprintf(path, sizeof path, "%s/%s", directory, name);
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        return file;
}

static void put(FILE *file, struct scope_text *text)
{
        assert_false(text->failed);
        (void)fprintf(file, "%s\n", text->bytes);
        scope_text_fini(text);
}

static void write_event(FILE *file, enum scope_audit_kind kind, uint64_t group, uint32_t sample,
        uint64_t value, uint64_t since_s, uint64_t now_s)
{
        const struct scope_audit event = { .kind = kind,
                .group = group,
                .sample = sample,
                .value = value,
                .version = kind == SCOPE_AUDIT_SAMPLED ? 0 : value,
                .since_ns = since_s * SECOND,
                .now_ns = now_s * SECOND };
        scope_trail_write_event(file, &event);
}

/* Steps of an engine: so much for a round of tokens, each token, each token of a prompt; and two
 * that took weights, 3 ms each. */
struct law {
        double round_ns, token_ns, prompt_ns;
};
static void write_steps(FILE *file, const struct law *law)
{
        static const uint32_t steps[][3] = { { 8, 8, 0 }, { 8, 32, 0 }, { 4, 8, 0 }, { 1, 3, 0 },
                { 8, 8, 120 }, { 6, 10, 40 }, { 2, 2, 0 }, { 5, 20, 7 }, { 3, 9, 0 }, { 1, 0, 0 },
                { 0, 0, 0 } };
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
                uint32_t running = steps[i][0], tokens = steps[i][1], prompts = steps[i][2];
                double ns = tokens == 0 ? 3e6
                                        : law->round_ns * ceil((double)tokens / running) +
                                                  law->token_ns * tokens + law->prompt_ns * prompts;
                const struct scope_audit event = { .kind = SCOPE_AUDIT_DECODED,
                        .sample = running,
                        .value = tokens,
                        .version = prompts,
                        .since_ns = SECOND,
                        .now_ns = 1000 * SECOND, /* it waited for cores */
                        .service_ns = (uint64_t)ns };
                scope_trail_write_event(file, &event);
        }
}

/* Each batch of 16 samples is submitted at once to 8 slots: half of them wait 8 s. */
static void write_trail(double cores, const struct law *law)
{
        struct scope_overlap_setting setting = { .strategy = "serial",
                .prompts_per_step = BATCH,
                .group_size = SAMPLES,
                .slots = SLOTS,
                .teacher_concurrency = 2,
                .queue_groups = 64,
                .cores = cores };
        FILE *file = open_part("trail_000000.jsonl");
        scope_trail_write_begin(file, &setting, 0);
        if (law != NULL)
                write_steps(file, law);
        for (uint64_t batch = 0; batch < GROUPS / BATCH; batch++) {
                uint64_t begin = 1 + 100 * batch;
                for (uint32_t i = 0; i < BATCH * SAMPLES; i++)
                        write_event(file, SCOPE_AUDIT_SAMPLED, batch * BATCH + i / SAMPLES,
                                i % SAMPLES, 40, begin, begin + (i < SLOTS ? 8 : 16));
                write_event(file, SCOPE_AUDIT_STEPPED, 0, 0, batch + 1, begin + 50, begin + 55);
                write_event(file, SCOPE_AUDIT_EXPORTED, 0, 0, batch + 1, begin + 55, begin + 56);
        }
        assert_int_equal(fclose(file), 0);
}

/* Samples 0 and 1 say a wrong result from the second step on. */
static void write_sample(FILE *file, uint64_t group, uint32_t sample, const struct scope_text *text)
{
        struct scope_text line = { 0 };
        char words[512];
        (void)snprintf(words, sizeof words, "%s", text->bytes);
        char *second = strstr(words, "\n\n");
        assert_non_null(second);
        for (char *at = second; sample < 2 && *at != 0; at++)
                if (at[-1] == '=' || at[-1] == '{')
                        *at = (char)('0' + (*at - '0' + 1) % 10);
        scope_json_open(&line, NULL, '{');
        scope_json_uint(&line, "group", group);
        scope_json_uint(&line, "sample", sample);
        scope_json_text(&line, "finish", "stop");
        scope_json_text(&line, "text", words);
        scope_json_close(&line, '}');
        put(file, &line);
}

static void write_words(void)
{
        struct scope_chain_options chains;
        struct scope_diag diag;
        FILE *index = open_part("rollouts/index.jsonl"),
             *stream = open_part("rollouts/stream.jsonl");
        assert_ok(scope_chain_options_parse("builtin:chain?level=hard", &chains, &diag));
        for (uint64_t group = 0; group < GROUPS; group++) {
                struct scope_text problem = { 0 }, solution = { 0 }, line = { 0 };
                struct scope_chain chain;
                scope_chain_make(&chains, group, &chain);
                scope_chain_write_problem(&chain, &problem);
                scope_chain_write_solution(&chain, &solution);
                scope_json_open(&line, NULL, '{');
                scope_json_uint(&line, "group", group);
                scope_json_uint(&line, "problem", group);
                scope_json_text(&line, "text", problem.bytes);
                scope_json_close(&line, '}');
                put(index, &line);
                for (uint32_t sample = 0; sample < SAMPLES; sample++)
                        write_sample(stream, group, sample, &solution);
                scope_text_fini(&problem);
                scope_text_fini(&solution);
        }
        assert_int_equal(fclose(index), 0);
        assert_int_equal(fclose(stream), 0);
}

static void write_call(
        FILE *file, uint64_t group, const char *prefix, const char *end, const char *content)
{
        struct scope_chain_options chains;
        struct scope_text problem = { 0 }, answer = { 0 }, line = { 0 };
        struct scope_chain chain;
        struct scope_diag diag;
        char said[256];
        assert_ok(scope_chain_options_parse("builtin:chain?level=hard", &chains, &diag));
        scope_chain_make(&chains, group, &chain);
        scope_chain_write_problem(&chain, &problem);
        scope_chain_write_answer(&chain, &answer);
        (void)snprintf(said, sizeof said, "\\boxed{%s}", answer.bytes);
        scope_json_open(&line, NULL, '{');
        scope_json_text(&line, "of", "teacher");
        scope_json_uint(&line, "group", group);
        scope_json_uint(&line, "ns", 10 * SECOND);
        scope_json_text(&line, "end", end);
        scope_json_text(&line, "problem", problem.bytes);
        scope_json_text(&line, "prefix", prefix);
        scope_json_text(&line, "content", content != NULL ? content : said);
        scope_json_close(&line, '}');
        put(file, &line);
        scope_text_fini(&problem);
        scope_text_fini(&answer);
}

static void write_replies(void)
{
        FILE *file = open_part("rollouts/replies.jsonl");
        for (uint64_t group = 0; group < GROUPS; group++) {
                (void)fprintf(file,
                        "{\"of\":\"prm\",\"group\":%llu,\"ns\":1000000000,\"scores\":["
                        "{\"sample\":0,\"p\":[0.75,0.25]},{\"sample\":1,\"p\":[0.5]}]}\n",
                        (unsigned long long)group);
                write_call(file, group, "what was kept", "ok", NULL);
        }
        write_call(file, GROUPS, "x", "busy", ""); /* of no group that is kept */
        write_call(file, GROUPS, "x", "ok", "second");
        assert_int_equal(fclose(file), 0);
}

static int write_recording(void **state)
{
        char path[256];
        (void)state;
        if (access(directory, F_OK) != 0) {
                memcpy(directory + sizeof directory - 7, "XXXXXX", 6);
                assert_non_null(mkdtemp(directory));
        }
        (void)snprintf(path, sizeof path, "%s/rollouts", directory);
        assert_ok(scope_directory_create(path, NULL));
        write_trail(0, NULL);
        write_words();
        write_replies();
        return 0;
}

static int remove_recording(void **state)
{
        (void)state;
        scope_directory_remove(directory);
        return 0;
}

static void remove_part(const char *name)
{
        char path[256];
        (void)snprintf(path, sizeof path, "%s/%s", directory, name);
        assert_int_equal(unlink(path), 0);
}

/* --- running it ----------------------------------------------------------------------------- */

static void load(const char *const *sets)
{
        const char *all[16];
        char replay[128];
        size_t count = 0;
        (void)snprintf(replay, sizeof replay, "stages.replay=\"%s\"", directory);
        for (all[count++] = replay; *sets != NULL; sets++) {
                assert_true(count < sizeof all / sizeof *all);
                all[count++] = *sets;
        }
        load_options(&options, plain, all, count);
}

#define ALL_REPLAYED                                                                               \
        "stages.rollout=replay", "stages.prm=replay", "stages.teacher=replay",                     \
                "stages.learner=replay"

/* Seconds a step. */
static double step_s(const char *const *sets)
{
        load(sets);
        struct scope_overlap_report report = played_run(&options, &result);
        assert_true(report.refined_consumed > 0.99 || report.refined_generated < 0.01);
        return report.seconds / (double)report.steps;
}

/* 16 samples on 8 slots, four scorings, two rounds of calls; eight groups are recorded and 48 are
 * trained, so it began again. */
static void test_a_replayed_run_takes_the_recorded_times(void **state)
{
        (void)state;
        near(step_s((const char *const[]){ ALL_REPLAYED, NULL }), 16 + 4 + 20 + 5 + 1);
        assert_int_equal(result.trained, 48);
        near(step_s((const char *const[]){ ALL_REPLAYED, "rollout.slots=16", NULL }),
                8 + 4 + 20 + 5 + 1);
}

static void test_what_if_it_had_overlapped(void **state)
{
        (void)state;
        double serial = step_s((const char *const[]){ ALL_REPLAYED, NULL });
        double async = step_s((const char *const[]){
                ALL_REPLAYED, "pipeline.strategy=async", "pipeline.eta=2", NULL });
        near(async, 20); /* the teacher binds */
        assert_true(async < serial / 2);
}

/* What it computes for a batch: decoding, four scores, the step, the export. */
static void test_stages_that_shared_cores_take_turns_again(void **state)
{
        (void)state;
        static const char *const async[] = { ALL_REPLAYED, "pipeline.strategy=async",
                "pipeline.eta=2", "teacher.concurrency=16", NULL };
        near(step_s(async), 16);
        write_trail(2, NULL);
        near(step_s((const char *const[]){ ALL_REPLAYED, NULL }), 16 + 4 + 20 + 5 + 1);
        near(step_s(async), 16 + 4 + 5 + 1);
        write_trail(0, NULL);
}

/* What a step took says what a token costs, whoever ran beside it. */
static void test_steps_make_a_law(void **state)
{
        (void)state;
        struct scope_recording *recording = NULL;
        struct scope_recorded_law law;
        struct scope_diag diag = { "" };
        assert_ok(scope_recording_load(directory, &recording, &diag));
        assert_false(scope_recording_step_law(recording, &law)); /* no engine that computes */
        scope_recording_destroy(recording);
        static const struct law laws[] = { { 1e6, 2e4, 5e3 }, { 0, 2e4, 5e3 }, { 1e6, 0, 0 } };
        for (size_t i = 0; i < sizeof laws / sizeof laws[0]; i++) {
                write_trail(2, &laws[i]);
                assert_ok(scope_recording_load(directory, &recording, &diag));
                assert_true(scope_recording_step_law(recording, &law));
                assert_close(law.round_ns, laws[i].round_ns, 10);
                assert_close(law.token_ns, laws[i].token_ns, 10);
                assert_close(law.prompt_ns, laws[i].prompt_ns, 10);
                assert_close(law.swap_ns, 3e6, 1);
                scope_recording_destroy(recording);
        }
        write_trail(0, NULL);
}

/* Under any strategy the same CPU-seconds a batch: tokens at 25 ms, four scores, step, export. */
static void test_a_law_shares_the_cores_under_any_strategy(void **state)
{
        (void)state;
        static const struct law law = { .token_ns = 25e6 };
        static const char *const async[] = { ALL_REPLAYED, "pipeline.strategy=async",
                "pipeline.eta=2", "teacher.concurrency=16", NULL };
        write_trail(2, &law);
        double serial = step_s((const char *const[]){ ALL_REPLAYED, NULL });
        assert_true(serial > 16 * 30 * 0.025 + 30 && serial < 16 * 60 * 0.025 + 30);
        near(step_s(async), serial - 20);
        /* the learner stands back for decoding, which waits for the scores (4 s a step) alone */
        struct scope_idle_shares rollout =
                scope_idle_shares_of(result.usage, result.usage_count, "rollout");
        struct scope_idle_shares learner =
                scope_idle_shares_of(result.usage, result.usage_count, "learner");
        assert_true(rollout.idle[SCOPE_IDLE_CORES] < 4.1 / (serial - 20));
        assert_true(learner.idle[SCOPE_IDLE_CORES] > rollout.idle[SCOPE_IDLE_CORES]);
        write_trail(0, NULL);
}

static void test_recorded_and_drawn_stages_mix(void **state)
{
        (void)state;
        near(step_s((const char *const[]){ "stages.rollout=replay", "stages.prm=replay",
                     "stages.teacher=sim", "stages.learner=sim", "solver.latency=\"constant:2s\"",
                     "sim.learn=\"constant:3s\"", "sim.publish=\"constant:1s\"", NULL }),
                16 + 4 + 4 + 3 + 1);
        near(step_s((const char *const[]){ "stages.rollout=sim", "stages.learner=replay",
                     "sim.decode=\"constant:4s\"", NULL }),
                8 + 5 + 1);
}

static void test_times_are_drawn_from_a_trace(void **state)
{
        (void)state;
        char decode[128], learn[128];
        (void)snprintf(decode, sizeof decode, "sim.decode=\"trace:%s\"", directory);
        (void)snprintf(learn, sizeof learn, "sim.learn=\"trace:%s\"", directory);
        near(step_s((const char *const[]){ decode, learn, "sim.publish=\"constant:1s\"", NULL }),
                16 + 5 + 1);
}

/* --- reading it ----------------------------------------------------------------------------- */

static void test_groups_samples_and_scores(void **state)
{
        (void)state;
        struct scope_recording *recording = NULL;
        struct scope_diag diag = { "" };
        float p[2];
        assert_ok(scope_recording_load(directory, &recording, &diag));
        assert_int_equal(scope_recording_groups(recording), GROUPS);
        for (uint64_t id = 0; id < 3 * GROUPS; id++) {
                const struct scope_recorded_group *group = scope_recording_group(recording, id);
                assert_int_equal(group->problem, id % GROUPS);
                for (uint32_t s = 0; s < SAMPLES; s++)
                        assert_int_equal(scope_recording_sample(recording, group, s)->service_ns,
                                8 * SECOND);
        }
        assert_true(scope_recording_scores(recording, 3, 0, 2, p));
        assert_true(p[0] == 0.75f && p[1] == 0.25f);
        assert_false(scope_recording_scores(recording, 3, 0, 3, p)); /* of other steps */
        assert_false(scope_recording_scores(recording, 3, 2, 2, p));
        assert_int_equal(scope_recording_cost(recording, SCOPE_COST_LEARN, 5), 5 * SECOND);
        assert_int_equal(scope_recording_cost(recording, SCOPE_COST_EXPORT, 5), SECOND);
        assert_int_equal(scope_recording_cost(recording, SCOPE_COST_PRM, 100), SECOND);
        scope_recording_destroy(recording);
}

static struct scope_text problem_text(uint64_t index)
{
        struct scope_chain_options chains;
        struct scope_chain chain;
        struct scope_text text = { 0 };
        struct scope_diag diag;
        assert_ok(scope_chain_options_parse("builtin:chain?level=hard", &chains, &diag));
        scope_chain_make(&chains, index, &chain);
        scope_chain_write_problem(&chain, &text);
        return text;
}

static void expect_call(struct scope_recording *recording, uint64_t problem, const char *prefix,
        enum scope_teacher_recorded_end end, const char *content)
{
        struct scope_text text = problem_text(problem);
        struct scope_teacher_recorded call;
        assert_true(scope_recording_call(recording,
                (struct scope_string){ text.bytes, (uint32_t)text.count },
                (struct scope_string){ prefix, (uint32_t)strlen(prefix) }, &call));
        scope_text_fini(&text);
        assert_int_equal(call.end, end);
        assert_int_equal(call.latency_ns, 10 * SECOND);
        assert_memory_equal(call.content.at, content, strlen(content));
}

static void test_calls_come_in_their_order_and_again(void **state)
{
        (void)state;
        struct scope_recording *recording = NULL;
        struct scope_teacher_recorded call;
        struct scope_diag diag = { "" };
        assert_ok(scope_recording_load(directory, &recording, &diag));
        expect_call(recording, GROUPS, "x", SCOPE_TEACHER_RECORDED_STATUS, "");
        expect_call(recording, GROUPS, "x", SCOPE_TEACHER_RECORDED_WHOLE, "second");
        expect_call(recording, GROUPS, "x", SCOPE_TEACHER_RECORDED_STATUS, "");
        expect_call(recording, 0, "never sent", SCOPE_TEACHER_RECORDED_WHOLE, "\\boxed{");
        assert_false(scope_recording_call(recording, (struct scope_string){ "1+1=", 4 },
                (struct scope_string){ "", 0 }, &call));
        scope_recording_destroy(recording);
}

/* --- what does not fit ---------------------------------------------------------------------- */

static void refused(const char *const *sets, const char *words)
{
        struct scope_diag diag = { "" };
        const char *key;
        load(sets);
        enum scope_err err = scope_pipeline_options_check(&options, &key, &diag);
        if (err == SCOPE_OK)
                err = scope_overlap_world_run(&options, NULL, NULL, &result, &diag);
        if (err == SCOPE_OK || strstr(diag.text, words) == NULL)
                fail_msg("wanted \"%s\", got %s \"%s\"", words, scope_err_name(err), diag.text);
}

static void test_a_mix_that_cannot_be_is_refused(void **state)
{
        (void)state;
        refused((const char *const[]){ "stages.prm=replay", NULL },
                "recorded scores are of recorded rollouts");
        refused((const char *const[]){ "stages.teacher=replay", "stages.replay=\"\"", NULL },
                "names no run");
        refused((const char *const[]){ "stages.rollout=sim", "data.train=\"x.jsonl\"", NULL },
                "solutions of builtin:chain");
        refused((const char *const[]){ ALL_REPLAYED, "rollout.group_size=8", NULL },
                "have 4 samples");
        refused((const char *const[]){ ALL_REPLAYED, "rollout.prompts_per_step=2", NULL },
                "4 groups");
        refused((const char *const[]){ ALL_REPLAYED, "data.train=\"builtin:chain?level=easy\"",
                        NULL },
                "is not the one that was recorded");
}

static void test_what_is_not_in_it_is_named(void **state)
{
        (void)state;
        static const char *const sets[] = { ALL_REPLAYED, NULL };
        remove_part("rollouts/replies.jsonl");
        refused(sets, "the prm is not in this recording");
        FILE *file = open_part("rollouts/replies.jsonl");
        (void)fprintf(file, "{\"of\":\"prm\",\"group\":0,\"ns\":0,\"scores\":[]}\n");
        assert_int_equal(fclose(file), 0);
        refused(sets, "the teacher is not in this recording");
        remove_part("rollouts/stream.jsonl");
        refused(sets, "the rollout is not in this recording");
        file = open_part("rollouts/stream.jsonl");
        (void)fprintf(file, "{\"group\":0}\n");
        assert_int_equal(fclose(file), 0);
        refused(sets, "stream.jsonl:1");
        file = open_part("trail_000000.jsonl");
        (void)fprintf(file, "{\"trail\":999}\n");
        assert_int_equal(fclose(file), 0);
        refused(sets, "has schema 999");
        file = open_part("trail_000000.jsonl");
        (void)fprintf(file, "{\"trail\":%d}\n", SCOPE_TRAIL_SCHEMA - 1);
        assert_int_equal(fclose(file), 0);
        refused(sets, "this trail has schema 3; this version reads schema 4");
        remove_part("trail_000000.jsonl");
        refused(sets, "metrics.trail");
        scope_directory_remove(directory);
        refused(sets, directory);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_replayed_run_takes_the_recorded_times),
                cmocka_unit_test(test_what_if_it_had_overlapped),
                cmocka_unit_test(test_stages_that_shared_cores_take_turns_again),
                cmocka_unit_test(test_steps_make_a_law),
                cmocka_unit_test(test_a_law_shares_the_cores_under_any_strategy),
                cmocka_unit_test(test_recorded_and_drawn_stages_mix),
                cmocka_unit_test(test_times_are_drawn_from_a_trace),
                cmocka_unit_test(test_groups_samples_and_scores),
                cmocka_unit_test(test_calls_come_in_their_order_and_again),
                cmocka_unit_test(test_a_mix_that_cannot_be_is_refused),
                cmocka_unit_test(test_what_is_not_in_it_is_named),
        };
        return cmocka_run_group_tests(tests, write_recording, remove_recording);
}
