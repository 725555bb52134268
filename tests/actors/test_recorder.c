/* The recorder in the simulated environment, fed by a scripted peer, on good disks and bad ones. */
#include "tests/test.h"

#include <jansson.h>

#include "actors/messages.h"
#include "actors/stages.h"
#include "runtime/ledger.h"
#include "runtime/simulation.h"
#include "runtime/system.h"

extern const struct scope_actor_class scope_recorder_class;

enum { STEPS = 6, TOKENS = 3, TICK = 1 };
static const uint64_t MS = 1000000u, SECOND = 1000000000u;

/* What the peer sends and what the display was shown. */
struct world {
        struct scope_system *system;
        struct scope_pipeline_options options;
        struct scope_stages stages;
        uint64_t tick_ns, step;
        bool finish; /* says FINISHED after the last step */
        uint32_t steps_shown, rollouts_shown, notices;
        bool finished_shown;
        char student[64];
};

struct peer {
        struct world *world;
        struct scope_outbox outbox;
};

static struct scope_string string_of(const char *text)
{
        return (struct scope_string){ text, (uint32_t)strlen(text) };
}

static void send_control(struct scope_actor *self, struct peer *peer, uint16_t kind,
        const struct scope_control *control)
{
        struct scope_message *message = NULL;
        assert_ok(scope_message_of_control(self, kind, SCOPE_LANE_CONTROL, control, &message));
        scope_outbox_send(self, &peer->outbox, peer->world->stages.recorder, &message);
}

/* Two rollouts; of even groups the second one is repaired. */
static void send_group(struct scope_actor *self, struct peer *peer, uint64_t number)
{
        static const uint32_t tokens[TOKENS] = { 1, 2, 3 }, ends[2] = { 4, 8 };
        static const float logp[TOKENS] = { -0.5f, -0.25f, 0 }, p[2] = { 0.9f, 0.1f };
        static const struct scope_segment whole = { 0, TOKENS, SCOPE_SOURCE_POLICY,
                SCOPE_LOSS_POLICY, 1 };
        static const struct scope_segment mixed[2] = { { 0, 2, SCOPE_SOURCE_POLICY,
                                                               SCOPE_LOSS_POLICY, 1 },
                { 2, 1, SCOPE_SOURCE_TEACHER, SCOPE_LOSS_LIKELIHOOD, 1 } };
        static const struct scope_version_span span = { 0, TOKENS, 0, 1, 1 },
                                               part = { 0, 2, 0, 1, 1 };
        bool repaired = number % 2 == 0;
        struct scope_trajectory rollouts[2] = {
                { .group = number,
                        .sample = 0,
                        .parent = SCOPE_NO_PARENT,
                        .graded = true,
                        .reward = 1,
                        .prompt = tokens,
                        .prompt_count = 1,
                        .tokens = tokens,
                        .logp = logp,
                        .token_count = TOKENS,
                        .segments = &whole,
                        .segment_count = 1,
                        .spans = &span,
                        .span_count = 1,
                        .text = string_of("line\n\"one\""),
                        .gold = string_of("7") },
        };
        rollouts[1] = rollouts[0];
        rollouts[1].sample = 1;
        if (repaired) {
                rollouts[1].parent = 1;
                rollouts[1].branch = 2;
                rollouts[1].segments = mixed;
                rollouts[1].segment_count = 2;
                rollouts[1].spans = &part;
        }
        struct scope_group group = { .group = number,
                .problem = 10 + number,
                .path = repaired ? SCOPE_GROUP_REPAIRED : SCOPE_GROUP_DEGRADED,
                .repaired = repaired ? 1 : SCOPE_NO_PARENT,
                .kept_steps = repaired,
                .steps = 2,
                .trajectories = rollouts,
                .trajectory_count = 2,
                .problem_text = string_of("1+6="),
                .gold = string_of("7") };
        if (repaired) {
                group.student = string_of("good\n\nba");
                group.student_step_ends = ends;
                group.student_step_p = p;
                group.student_step_count = 2;
        }
        struct scope_message *message = NULL;
        assert_ok(scope_message_of_group(
                self, SCOPE_KIND_ROLLOUTS, SCOPE_LANE_DATA, &group, &message));
        scope_outbox_send(self, &peer->outbox, peer->world->stages.recorder, &message);
}

static void tick(struct scope_actor *self, struct peer *peer)
{
        struct world *world = peer->world;
        uint64_t step = ++world->step, timer;
        struct scope_metric gauges[2] = { { string_of("teacher/rejected"), 2 },
                { string_of("teacher/calls"), (double)step } };
        struct scope_metric metrics[2] = { { string_of("reward/mean"), 0.5 },
                { string_of("time/step"), 0.25 } };
        struct scope_metric eval[2] = { { string_of("eval/pass@1"), (double)step / 10 },
                { string_of("time/eval"), 2 } };
        send_control(self, peer, SCOPE_KIND_NOTE,
                &(struct scope_control){ .metrics = gauges, .metric_count = 2 });
        send_control(self, peer, SCOPE_KIND_NOTE,
                &(struct scope_control){ .text = string_of("{\"event\":\"tick\"}") });
        send_group(self, peer, step);
        send_control(self, peer, SCOPE_KIND_STEP,
                &(struct scope_control){ .step = step, .metrics = metrics, .metric_count = 2 });
        if (step % 3 == 0)
                send_control(self, peer, SCOPE_KIND_STEP,
                        &(struct scope_control){
                                .step = step, .metrics = eval, .metric_count = 2 });
        if (step < STEPS)
                assert_ok(scope_timer_start(self, TICK, world->tick_ns, &timer));
        else if (world->finish)
                send_control(
                        self, peer, SCOPE_KIND_FINISHED, &(struct scope_control){ .step = step });
        else
                scope_system_drain(world->system, 100 * SECOND);
}

static enum scope_err peer_init(struct scope_actor *self, void *state, void *args)
{
        (void)self;
        ((struct peer *)state)->world = args;
        return SCOPE_OK;
}

static void peer_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct peer *peer = state;
        if (message->kind == SCOPE_KIND_START ||
                (message->kind == SCOPE_KIND_TIMER &&
                        !scope_outbox_timer(self, &peer->outbox, message)))
                tick(self, peer);
        scope_message_free(message);
}

static bool peer_idle(const void *state)
{
        return ((const struct peer *)state)->outbox.count == 0;
}

static void peer_fini(struct scope_actor *self, void *state)
{
        (void)self;
        scope_outbox_fini(&((struct peer *)state)->outbox);
}

static const struct scope_actor_class peer_class = { .name = "peer",
        .state_bytes = sizeof(struct peer),
        .init = peer_init,
        .receive = peer_receive,
        .idle = peer_idle,
        .fini = peer_fini };

/* --- a run ------------------------------------------------------------------------------------ */

static void step_shown(
        void *context, uint64_t step, const struct scope_metric *metrics, uint32_t count)
{
        (void)step;
        assert_true(count >= 2 && metrics[0].name.bytes > 0);
        ((struct world *)context)->steps_shown++;
}

static void rollout_shown(void *context, uint64_t step, const struct scope_rollout_view *view)
{
        struct world *world = context;
        assert_int_equal(step % 2, 0);
        assert_in_range(view->group, 1, step);
        world->rollouts_shown++;
        (void)snprintf(world->student, sizeof world->student, "%.*s", (int)view->student.bytes,
                view->student.at);
        assert_int_equal(view->kept_steps * 2, view->step_count); /* 1 of 2, or not repaired */
}

static void finished_shown(void *context)
{
        struct world *world = context;
        world->finished_shown = true;
        scope_system_drain(world->system, 100 * SECOND);
}

static void noticed(void *context, const struct scope_notice *notice)
{
        (void)notice;
        ((struct world *)context)->notices++;
}

static uint64_t peak_rss(void)
{
        return 12345;
}

static const struct scope_display display = { step_shown, rollout_shown, finished_shown };

static void run(struct world *world, uint64_t seed, uint32_t faults)
{
        struct scope_system_options options = { .seed = seed,
                .loops = 1,
                .compute_threads = 1,
                .directory = "run",
                .restarts_max = 3,
                .restart_window_ns = SECOND,
                .wait_report_ns = 10 * SECOND,
                .notice = noticed,
                .notice_context = world };
        struct scope_sim_options sim = { .seed = seed,
                .faults = faults,
                .heal_ns = 3 * SECOND,
                .stop_ns = 300 * SECOND,
                .events_max = 1000000,
                .context = world };
        world->options.metrics.rollouts = true;
        world->options.metrics.show_every = 2;
        world->options.eval.every = 3;
        world->options.run.steps = STEPS;
        world->stages.options = &world->options;
        world->stages.limits.version_newest = UINT64_MAX;
        world->stages.resources.peak_rss = peak_rss;
        world->stages.resources.evaluator = (struct scope_engine *)world; /* that there is one */
        world->stages.display = &display;
        world->stages.display_context = world;
        assert_ok(scope_simulation_create(&options, &sim, &world->system));
        struct scope_ledger *ledger = scope_system_ledger(world->system);
        for (uint64_t group = 1; group <= 3; group++)
                assert_ok(scope_ledger_admit(ledger, group));
        assert_ok(scope_ledger_end(ledger, 1, SCOPE_TRAINED, 1));
        struct scope_address peer;
        assert_ok(scope_system_add(world->system,
                &(struct scope_actor_options){
                        .name = "peer", .class_ = &peer_class, .args = world, .essential = true },
                &peer));
        assert_ok(scope_system_add(world->system,
                &(struct scope_actor_options){ .name = "recorder",
                        .class_ = &scope_recorder_class,
                        .args = &world->stages,
                        .essential = true },
                &world->stages.recorder));
        enum scope_err err = scope_system_run(world->system);
        if (err != SCOPE_OK)
                fail_msg("seed %llu: %s", (unsigned long long)seed,
                        scope_system_cause(world->system));
}

/* The lines of a file as JSON. */
static uint32_t lines_of(struct world *world, const char *name, json_t **ret_lines, uint32_t max)
{
        size_t bytes = 0, begin = 0;
        uint32_t count = 0;
        const char *text = scope_simulation_file(world->system, name, &bytes);
        if (text == NULL)
                fail_msg("no file %s", name);
        for (size_t at = 0; at < bytes; at++) {
                if (text[at] != '\n')
                        continue;
                json_error_t error;
                assert_true(count < max);
                ret_lines[count] = json_loadb(text + begin, at - begin, 0, &error);
                if (ret_lines[count++] == NULL)
                        fail_msg("%s: %s: %.*s", name, error.text, (int)(at - begin), text + begin);
                begin = at + 1;
        }
        assert_int_equal(begin, bytes);
        return count;
}

static void free_lines(json_t **lines, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++)
                json_decref(lines[i]);
}

static double number_at(const json_t *object, const char *key)
{
        const json_t *value = json_object_get(object, key);
        if (!json_is_number(value))
                fail_msg("no number %s", key);
        return json_number_value(value);
}

static void check_metrics(struct world *world)
{
        json_t *lines[2 * STEPS];
        uint32_t count = lines_of(world, "metrics.jsonl", lines, 2 * STEPS);
        assert_int_equal(count, STEPS);
        for (uint32_t i = 0; i < count; i++) {
                assert_close(number_at(lines[i], "step"), i + 1, 0);
                assert_close(number_at(lines[i], "reward/mean"), 0.5, 0);
                assert_close(number_at(lines[i], "teacher/calls"), i + 1, 0);
                assert_int_equal(json_object_get(lines[i], "eval/pass@1") != NULL, i % 3 == 2);
        }
        free_lines(lines, count);
}

/* Every index line leads to its rollouts. */
static void check_rollouts(struct world *world)
{
        json_t *lines[2 * STEPS];
        size_t bytes = 0;
        const char *stream = scope_simulation_file(world->system, "rollouts/stream.jsonl", &bytes);
        uint32_t count = lines_of(world, "rollouts/index.jsonl", lines, 2 * STEPS);
        assert_int_equal(count, STEPS);
        size_t end = 0;
        for (uint32_t i = 0; i < count; i++) {
                size_t at = (size_t)number_at(lines[i], "offset");
                const json_t *lengths = json_object_get(lines[i], "bytes");
                assert_int_equal(json_array_size(lengths), 2);
                for (size_t s = 0; s < 2; s++) {
                        size_t length = (size_t)json_integer_value(json_array_get(lengths, s));
                        json_t *rollout = json_loadb(stream + at, length, 0, NULL);
                        assert_non_null(rollout);
                        assert_close(number_at(rollout, "group"), number_at(lines[i], "group"), 0);
                        assert_close(number_at(rollout, "sample"), (double)s, 0);
                        assert_string_equal(json_string_value(json_object_get(rollout, "text")),
                                "line\n\"one\"");
                        json_decref(rollout);
                        at += length;
                }
                end = at > end ? at : end;
        }
        assert_int_equal(end, bytes);
        free_lines(lines, count);
}

static void check_status(struct world *world, const char *state)
{
        json_t *status;
        assert_int_equal(lines_of(world, "status.json", &status, 1), 1);
        assert_string_equal(json_string_value(json_object_get(status, "state")), state);
        assert_close(number_at(status, "steps"), STEPS, 0);
        const json_t *groups = json_object_get(status, "groups");
        assert_close(number_at(groups, "admitted"), 3, 0);
        assert_close(number_at(groups, "trained"), 1, 0);
        assert_close(number_at(groups, "live"), 2, 0);
        const json_t *teacher = json_object_get(status, "teacher");
        assert_close(number_at(teacher, "calls"), STEPS, 0);
        assert_close(number_at(teacher, "rejected"), 2, 0);
        assert_close(number_at(teacher, "salvaged"), STEPS / 2, 0);
        assert_close(number_at(teacher, "degraded"), STEPS / 2, 0);
        const json_t *eval = json_object_get(status, "eval");
        assert_close(number_at(json_object_get(eval, "before"), "pass@1"), 0.3, 1e-12);
        assert_close(number_at(json_object_get(eval, "after"), "pass@1"), 0.6, 1e-12);
        const json_t *seconds = json_object_get(status, "seconds");
        assert_close(number_at(seconds, "step"), 0.25 * STEPS, 1e-12);
        assert_close(number_at(seconds, "eval"), 4, 1e-12);
        assert_close(number_at(status, "peak_rss_bytes"), 12345, 0);
        json_decref(status);
}

static void test_a_run_leaves_every_file_whole(void **state)
{
        (void)state;
        struct world world = { .tick_ns = SECOND, .finish = true };
        run(&world, 1, 0);
        check_metrics(&world);
        check_rollouts(&world);
        check_status(&world, "done");
        json_t *events[STEPS];
        assert_int_equal(lines_of(&world, "events.jsonl", events, STEPS), STEPS);
        assert_string_equal(json_string_value(json_object_get(events[0], "event")), "tick");
        assert_close(number_at(events[1], "t"), 1, 0.01);
        free_lines(events, STEPS);
        assert_int_equal(world.steps_shown, STEPS + 2); /* the evaluations too */
        assert_int_equal(world.rollouts_shown, STEPS / 2);
        assert_string_equal(world.student, "good\n\nba");
        assert_true(world.finished_shown);
        assert_int_equal(world.notices, 0);
        scope_system_destroy(world.system);
}

static void test_drain_before_the_end_is_interrupted(void **state)
{
        (void)state;
        struct world world = { .tick_ns = SECOND };
        run(&world, 1, 0);
        check_metrics(&world);
        check_rollouts(&world);
        check_status(&world, "interrupted");
        assert_false(world.finished_shown);
        scope_system_destroy(world.system);
}

static void test_bad_disks_lose_and_repeat_nothing(void **state)
{
        (void)state;
        uint64_t full = 0, failed = 0;
        uint32_t told = 0;
        for (uint64_t seed = 0; seed < 300; seed++) {
                struct world world = { .tick_ns = 300 * MS, .finish = true };
                struct scope_sim_result result;
                run(&world, seed,
                        1u << SCOPE_FAULT_FILE_FULL | 1u << SCOPE_FAULT_FILE_FAIL |
                                1u << SCOPE_FAULT_FILE_SLOW | 1u << SCOPE_FAULT_MESSAGE_DELAY |
                                1u << SCOPE_FAULT_MAILBOX_FULL | 1u << SCOPE_FAULT_TIMER_LATE);
                check_metrics(&world);
                check_rollouts(&world);
                check_status(&world, "done");
                scope_simulation_result(world.system, &result);
                full += result.faults[SCOPE_FAULT_FILE_FULL];
                failed += result.faults[SCOPE_FAULT_FILE_FAIL];
                told += world.notices > 0;
                scope_system_destroy(world.system);
        }
        assert_true(full > 100 && failed > 100 && told > 100);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_run_leaves_every_file_whole),
                cmocka_unit_test(test_drain_before_the_end_is_interrupted),
                cmocka_unit_test(test_bad_disks_lose_and_repeat_nothing),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
