/* Groups, the owner, with everybody else scripted: prompts, rollout and reward, PRM, selector,
 * teacher, queue and learner. A plan says who fails how, and what must come of it. */
#include "tests/actors/world.h"

#include "algorithm/select.h"
#include "tests/algorithm/defaults.h"

extern const struct scope_actor_class scope_groups_class;

enum { BATCH = 2, SAMPLES = 4, STEPS = 3, FORGED = 9, PENDING_MAX = 256, LEASE_TICK = 1000 };
#define SIZES                                                                                      \
        "[run]\nsteps = 3\nseed = 8\n[rollout]\nprompts_per_step = 2\ngroup_size = 4\n"           \
        "temperature = 0.7\ntop_p = 0.9\nmax_response = 90\n"
#define SERIAL SIZES "[pipeline]\nstrategy = \"serial\"\n"
#define ASYNC SIZES "[pipeline]\nstrategy = \"async\"\neta = 1\nage_max = 1\n"

struct plan {
        const char *name, *toml;
        uint32_t wrong;          /* samples of each group that are */
        float share;             /* their reward; then they have a verdict too */
        uint32_t equal_below;    /* groups of lower number are all right */
        uint32_t lost, lost_attempts, lost_below; /* samples >= lost of these groups do not come */
        bool forge;              /* stale and second copies of every sample */
        bool prm_error, slow_prm, slow_teacher, teacher_down;
        uint8_t verdicts[2];     /* of each group's first and next try */
        uint32_t finish_after;   /* groups taken; 0 = as the steps say */
        uint32_t silent_from, crash_s; /* groups from here on are never sampled in the first life */
        bool mute_prm, mute_rollout;   /* the first lease of each group, that is */
        /* what comes of it */
        uint32_t ended[SCOPE_OUTCOME_COUNT], live;
        uint32_t paths[SCOPE_GROUP_PATH_COUNT];
        uint32_t leases, scores, selects, refines, smallest;
};

struct pending {
        struct scope_reply_to to;
        struct scope_message *late; /* answered when due */
};
struct seen {
        const struct plan *plan;
        struct pending pending[PENDING_MAX];
        uint32_t pending_count, scored, taken, tries[64], last_sample[64];
        uint32_t at_teacher, at_teacher_max;
        uint32_t paths[SCOPE_GROUP_PATH_COUNT], smallest;
        uint64_t batch[BATCH], version;
        bool finished, reborn;
};

static struct seen *seen_of(struct station *station)
{
        return station->test;
}

/* --- prompts, rollout, reward ----------------------------------------------------------------- */

static void give_prompt(
        struct scope_actor *peer, struct station *station, struct scope_message *asked)
{
        static const uint32_t tokens[] = { 3, 12, 8, 15 };
        struct scope_prompt prompt = { .text = { "1+6=", 4 }, .gold = { "7", 1 } };
        struct scope_message *message = NULL;
        int64_t credit = BATCH * (station->stages.admission.eta + 1) +
                station->options.pipeline.teacher_groups;
        assert_true(scope_ledger_counts(station->ledger).live < (uint64_t)credit);
        assert_false(seen_of(station)->finished);
        prompt.tokens = tokens;
        prompt.token_count = 4;
        assert_ok(scope_message_of_prompt(
                peer, SCOPE_KIND_PROMPT, SCOPE_LANE_CONTROL, &prompt, &message));
        scope_reply(peer, asked, &message);
}

static void deliver(struct scope_actor *peer, struct station *station,
        const struct scope_lease *lease, uint32_t sample, uint64_t token, uint32_t worker)
{
        const struct plan *plan = seen_of(station)->plan;
        bool right = sample >= plan->wrong || lease->group < plan->equal_below;
        struct station_sample record;
        struct scope_message *message = NULL;
        station_sample(station, lease->group, sample,
                right ? "1+6=7\n\n\\boxed{7}" : "1+6=7\n\n7+1=8\n\n\\boxed{8}",
                seen_of(station)->version, &record);
        record.trajectory.graded = true;
        record.trajectory.reward = right ? 1 : plan->share;
        if (plan->share > 0)
                record.trajectory.verdict = right ? SCOPE_VERDICT_CORRECT : SCOPE_VERDICT_WRONG;
        record.trajectory.lease = token;
        record.trajectory.worker = worker;
        assert_ok(scope_message_of_trajectory(
                peer, SCOPE_KIND_GRADED, SCOPE_LANE_DATA, &record.trajectory, &message));
        station_ask(peer, station, message, 0);
}

static void sample(struct scope_actor *peer, struct station *station, struct scope_message *asked)
{
        struct seen *seen = seen_of(station);
        const struct plan *plan = seen->plan;
        struct scope_lease lease;
        assert_ok(scope_message_read_lease(peer, asked, &station->stages.limits, &lease));
        assert_true(seen->pending_count < PENDING_MAX);
        assert_int_equal(lease.run_seed, station->options.run.seed);
        assert_int_equal(lease.response_max, station->options.rollout.max_response);
        assert_close(lease.temperature, station->options.rollout.temperature, 1e-6);
        assert_close(lease.top_p, station->options.rollout.top_p, 1e-6);
        seen->pending[seen->pending_count].to = scope_reply_later(asked);
        if (plan->silent_from > 0 && lease.group >= plan->silent_from && !seen->reborn)
                return;
        if (plan->mute_rollout && lease.attempt == 0)
                return;
        for (uint32_t i = 0; i < lease.sample_count; i++) {
                bool lost = lease.samples[i] >= plan->lost && lease.group < plan->lost_below &&
                        lease.attempt < plan->lost_attempts;
                if (plan->forge)
                        deliver(peer, station, &lease, lease.samples[i], lease.token + 7, FORGED);
                if (!lost)
                        deliver(peer, station, &lease, lease.samples[i], lease.token, 0);
                if (plan->forge && !lost)
                        deliver(peer, station, &lease, lease.samples[i], lease.token, FORGED);
        }
        station_timer(peer, seen->pending_count++, REFINER_MS(10));
}

static void lease_done(struct scope_actor *peer, struct pending *pending)
{
        struct scope_control control = { 0 };
        struct scope_message *message = NULL;
        assert_ok(scope_message_of_control(
                peer, SCOPE_KIND_LEASE_DONE, SCOPE_LANE_CONTROL, &control, &message));
        scope_reply_to(peer, &pending->to, &message);
}

/* --- PRM, selector, teacher ------------------------------------------------------------------- */

static void score(struct scope_actor *peer, struct station *station, struct scope_message *asked)
{
        static const float p[] = { 0.9f, 0.2f, 0.1f };
        struct scope_step_scores scores[SAMPLES];
        struct scope_score_request request;
        struct scope_message *message = NULL;
        assert_ok(scope_message_read_score_request(
                peer, asked, &station->stages.limits, &request));
        struct scope_score_answer answer = {
                .group = request.group, .scores = scores, .score_count = request.item_count
        };
        assert_int_equal(request.item_count, seen_of(station)->plan->wrong); /* failures only */
        for (uint32_t i = 0; i < request.item_count; i++)
                scores[i] = (struct scope_step_scores){ request.items[i].sample, p,
                        request.items[i].step_count, 1 };
        seen_of(station)->scored++;
        if (seen_of(station)->plan->prm_error) {
                scope_reply_error(peer, asked, SCOPE_ERR_INTERNAL);
                return;
        }
        assert_ok(scope_message_of_score_answer(
                peer, SCOPE_KIND_SCORED, SCOPE_LANE_DATA, &answer, &message));
        scope_reply(peer, asked, &message);
}

/* Odd groups wait a second. */
static void score_later(
        struct scope_actor *peer, struct station *station, struct scope_message **message)
{
        struct seen *seen = seen_of(station);
        if (seen->plan->mute_prm) {
                (void)scope_reply_later(*message);
                return;
        }
        if (!seen->plan->slow_prm || (*message)->trace % 2 == 0) {
                score(peer, station, *message);
                return;
        }
        seen->pending[seen->pending_count].late = *message;
        *message = NULL;
        station_timer(peer, seen->pending_count++, REFINER_MS(1000));
}

static void choose(struct scope_actor *peer, struct station *station, struct scope_message *asked)
{
        struct scope_choice choices[SAMPLES];
        struct scope_select_request request;
        struct scope_message *message = NULL;
        assert_ok(scope_message_read_select_request(
                peer, asked, &station->stages.limits, &request));
        if (station->stages.strategy->stage_barrier)
                assert_int_equal(seen_of(station)->scored % BATCH, 0);
        struct scope_select_answer answer = { .group = request.group, .choices = choices };
        answer.choice_count =
                scope_select_rank(&station->options.scope.select, &request, choices);
        assert_ok(scope_message_of_select_answer(
                peer, SCOPE_KIND_SELECTED, SCOPE_LANE_DATA, &answer, &message));
        scope_reply(peer, asked, &message);
}

static void refine(struct scope_actor *peer, struct station *station, struct scope_message *asked)
{
        static const uint32_t suffix[] = { 20, 9, 18, 1 }; /* only its length counts here */
        struct seen *seen = seen_of(station);
        struct scope_refine_request request;
        struct scope_message *message = NULL;
        assert_ok(scope_message_read_refine_request(
                peer, asked, &station->stages.limits, &request));
        seen->at_teacher -= seen->plan->slow_teacher;
        uint32_t try = seen->tries[request.group]++;
        assert_true(try < 2 && request.group < 64);
        assert_int_equal(request.kept_steps, 1);
        assert_true(try == 0 || request.sample != seen->last_sample[request.group]);
        seen->last_sample[request.group] = request.sample;
        struct scope_refine_answer answer = { .group = request.group,
                .sample = request.sample,
                .verdict = seen->plan->verdicts[try],
                .calls = 1 };
        if (answer.verdict == SCOPE_REFINE_ACCEPTED) {
                answer.tokens = suffix;
                answer.token_count = 4;
                answer.text = string_from("\\boxed{7}");
        }
        assert_ok(scope_message_of_refine_answer(
                peer, SCOPE_KIND_REFINED, SCOPE_LANE_DATA, &answer, &message));
        scope_reply(peer, asked, &message);
}

/* The slow one answers after a second. */
static void refine_later(
        struct scope_actor *peer, struct station *station, struct scope_message **message)
{
        struct seen *seen = seen_of(station);
        if (!seen->plan->slow_teacher) {
                refine(peer, station, *message);
                return;
        }
        if (++seen->at_teacher > seen->at_teacher_max)
                seen->at_teacher_max = seen->at_teacher;
        seen->pending[seen->pending_count].late = *message;
        *message = NULL;
        station_timer(peer, seen->pending_count++, REFINER_MS(1000));
}

/* --- queue and learner ------------------------------------------------------------------------ */

static void finish(struct scope_actor *peer, struct station *station)
{
        seen_of(station)->finished = true;
        station_control(peer, station, SCOPE_KIND_FINISHED, (struct scope_control){ 0 });
}

static void train(struct scope_actor *peer, struct station *station, uint64_t group)
{
        struct seen *seen = seen_of(station);
        seen->batch[seen->taken % BATCH] = group;
        if (++seen->taken % BATCH != 0)
                return;
        station->progress.step = ++seen->version; /* as the learner does, in the same turn */
        for (uint32_t i = 0; i < BATCH; i++) {
                assert_ok(scope_ledger_end(
                        station->ledger, seen->batch[i], SCOPE_TRAINED, seen->version));
                station_control(peer, station, SCOPE_KIND_GROUP_END,
                        (struct scope_control){ .group = seen->batch[i],
                                .value = SCOPE_TRAINED,
                                .version = seen->version });
        }
        if (seen->version == STEPS)
                finish(peer, station);
}

static void take(struct scope_actor *peer, struct station *station, struct scope_message *offered)
{
        struct seen *seen = seen_of(station);
        struct scope_group group;
        assert_ok(scope_message_read_group(peer, offered, &station->stages.limits, &group));
        if (seen->plan->finish_after > 0 && seen->taken + 1 == seen->plan->finish_after)
                finish(peer, station);
        scope_reply_taken(peer, offered);
        assert_ok(scope_ledger_set(station->ledger, group.group, SCOPE_SLOT_QUEUED, 1, NULL));
        seen->paths[group.path]++;
        for (uint32_t i = 0; i < group.trajectory_count; i++)
                assert_int_not_equal(group.trajectories[i].worker, FORGED);
        if (group.path == SCOPE_GROUP_REPAIRED)
                assert_int_equal(group.trajectories[group.repaired].segment_count, 2);
        if (seen->smallest == 0 || group.trajectory_count < seen->smallest)
                seen->smallest = group.trajectory_count;
        if (seen->plan->crash_s > 0)
                return;
        train(peer, station, group.group);
}

/* --- the script ------------------------------------------------------------------------------- */

static void begin(struct scope_actor *peer, struct station *station)
{
        const struct plan *plan = seen_of(station)->plan;
        if (plan->teacher_down)
                station_control(peer, station, SCOPE_KIND_TEACHER, (struct scope_control){ 0 });
        if (plan->crash_s > 0)
                station_timer(peer, LEASE_TICK, REFINER_MS(1000) * plan->crash_s);
}

static void due(struct scope_actor *peer, struct station *station, uint64_t tag)
{
        struct seen *seen = seen_of(station);
        if (tag == LEASE_TICK) {
                seen->reborn = true;
                station_crash(peer, station);
                return;
        }
        struct pending *pending = &seen->pending[tag];
        if (pending->late == NULL)
                lease_done(peer, pending);
        else if (pending->late->kind == SCOPE_KIND_SCORE)
                score(peer, station, pending->late);
        else
                refine(peer, station, pending->late);
        scope_message_free(pending->late);
        pending->late = NULL;
}

static void hear(
        struct scope_actor *peer, struct station *station, struct scope_message **message)
{
        switch ((*message)->kind) {
        case SCOPE_KIND_TIMER:
                due(peer, station, (*message)->tag);
                break;
        case SCOPE_KIND_PROMPT_WANTED:
                give_prompt(peer, station, *message);
                break;
        case SCOPE_KIND_LEASE:
                sample(peer, station, *message);
                break;
        case SCOPE_KIND_SCORE:
                score_later(peer, station, message);
                break;
        case SCOPE_KIND_SELECT:
                choose(peer, station, *message);
                break;
        case SCOPE_KIND_REFINE:
                refine_later(peer, station, message);
                break;
        case SCOPE_KIND_GROUP:
                take(peer, station, *message);
                break;
        default:
                break;
        }
}

#define ACCEPT { SCOPE_REFINE_ACCEPTED }
static const struct plan plans[] = {
        { .name = "one failure never asks the PRM", .toml = ASYNC, .wrong = 1,
                .ended = { 6 }, .paths = { 6 }, .leases = 6, .smallest = 4 },
        { .name = "two failures are repaired", .toml = ASYNC, .wrong = 2, .verdicts = ACCEPT,
                .ended = { 6 }, .paths = { 0, 6 }, .leases = 6, .scores = 6, .selects = 6,
                .refines = 6, .smallest = 4 },
        { .name = "failures with three quarters of a reward are repaired too", .toml = ASYNC,
                .wrong = 2, .share = 0.75f, .verdicts = ACCEPT, .ended = { 6 },
                .paths = { 0, 6 }, .leases = 6, .scores = 6, .selects = 6, .refines = 6,
                .smallest = 4 },
        { .name = "a barrier between scores and selections", .toml = SERIAL, .wrong = 2,
                .slow_prm = true, .verdicts = ACCEPT, .ended = { 6 }, .paths = { 0, 6 },
                .leases = 6, .scores = 6, .selects = 6, .refines = 6, .smallest = 4 },
        { .name = "a slot is set once, by the newest lease", .toml = ASYNC, .wrong = 1,
                .forge = true, .ended = { 6 }, .paths = { 6 }, .leases = 6, .smallest = 4 },
        { .name = "what is missing is leased again", .toml = ASYNC, .wrong = 1, .lost = 2,
                .lost_attempts = 1, .lost_below = 99, .ended = { 6 }, .paths = { 6 },
                .leases = 12, .smallest = 4 },
        { .name = "incomplete groups go on with n < G", .toml = ASYNC, .wrong = 1, .lost = 3,
                .lost_attempts = 9, .lost_below = 99, .ended = { 6 }, .paths = { 6 },
                .leases = 18, .smallest = 3 },
        { .name = "too few samples end FAILED and are replaced", .toml = ASYNC, .lost = 1,
                .lost_attempts = 9, .lost_below = 2, .ended = { 6, 0, 0, 2 }, .paths = { 6 },
                .leases = 12, .smallest = 4 },
        { .name = "rollout.min_group decides what is too few", .toml = SIZES "min_group = 4\n",
                .lost = 3, .lost_attempts = 9, .lost_below = 2, .ended = { 6, 0, 0, 2 },
                .paths = { 6 }, .leases = 12, .smallest = 4 },
        { .name = "rollout.attempts = 1 leases once", .toml = SIZES "attempts = 1\n", .lost = 3,
                .lost_attempts = 9, .lost_below = 99, .ended = { 6 }, .paths = { 6 },
                .leases = 6, .smallest = 3 },
        { .name = "a dead teacher: degraded, and the PRM is not asked", .toml = ASYNC, .wrong = 2,
                .teacher_down = true, .ended = { 6 }, .paths = { 0, 0, 0, 6 }, .leases = 6,
                .smallest = 4 },
        { .name = "a dead PRM: degraded", .toml = SERIAL, .wrong = 2, .prm_error = true,
                .ended = { 6 }, .paths = { 0, 0, 0, 6 }, .leases = 6, .scores = 6,
                .smallest = 4 },
        { .name = "a silent PRM: degraded after prm.timeout",
                .toml = SERIAL "[prm]\ntimeout = \"2s\"\n", .wrong = 2, .mute_prm = true,
                .ended = { 6 }, .paths = { 0, 0, 0, 6 }, .leases = 6, .scores = 6,
                .smallest = 4 },
        { .name = "a silent rollout: leased again after rollout.lease_timeout",
                .toml = SIZES "lease_timeout = \"2s\"\n", .wrong = 1, .mute_rollout = true,
                .ended = { 6 }, .paths = { 6 }, .leases = 12, .smallest = 4 },
        { .name = "no PRM: plain", .toml = ASYNC "[prm]\nbackend = \"off\"\n", .wrong = 2,
                .ended = { 6 }, .paths = { 6 }, .leases = 6, .smallest = 4 },
        { .name = "a rejection tries the next choice", .toml = ASYNC, .wrong = 2,
                .verdicts = { SCOPE_REFINE_WRONG_ANSWER, SCOPE_REFINE_ACCEPTED }, .ended = { 6 },
                .paths = { 0, 6 }, .leases = 6, .scores = 6, .selects = 6, .refines = 12,
                .smallest = 4 },
        { .name = "two rejections keep the group", .toml = ASYNC, .wrong = 2,
                .verdicts = { SCOPE_REFINE_LEAKS, SCOPE_REFINE_EMPTY }, .ended = { 6 },
                .paths = { 0, 0, 6 }, .leases = 6, .scores = 6, .selects = 6, .refines = 12,
                .smallest = 4 },
        { .name = "teacher.next_on_reject = 0 keeps it after one",
                .toml = ASYNC "[teacher]\nnext_on_reject = 0\n", .wrong = 2,
                .verdicts = { SCOPE_REFINE_LEAKS }, .ended = { 6 }, .paths = { 0, 0, 6 },
                .leases = 6, .scores = 6, .selects = 6, .refines = 6, .smallest = 4 },
        { .name = "a teacher that fails: degraded", .toml = ASYNC, .wrong = 2,
                .verdicts = { SCOPE_REFINE_FAILED }, .ended = { 6 }, .paths = { 0, 0, 0, 6 },
                .leases = 6, .scores = 6, .selects = 6, .refines = 6, .smallest = 4 },
        { .name = "groups without contrast are FILTERED and replaced",
                .toml = ASYNC "drop_all_equal = true\n", .wrong = 1, .equal_below = 3,
                .ended = { 6, 0, 3 }, .paths = { 6 }, .leases = 9, .smallest = 4 },
        { .name = "and kept by default", .toml = ASYNC, .wrong = 1, .equal_below = 3,
                .ended = { 6 }, .paths = { 6 }, .leases = 6, .smallest = 4 },
        { .name = "finished: nothing is admitted any more", .toml = SERIAL, .wrong = 1,
                .finish_after = 2, .ended = { 2 }, .paths = { 2 }, .leases = 2, .smallest = 4 },
        { .name = "a new life: lost groups FAILED, queued ones live on", .toml = ASYNC,
                .wrong = 1, .silent_from = 2, .crash_s = 5, .ended = { 0, 0, 0, 2 }, .live = 4,
                .paths = { 4 }, .leases = 6, .smallest = 4 },
};

static void run(const struct plan *plan, struct station *station, struct seen *seen)
{
        *seen = (struct seen){ .plan = plan };
        *station = (struct station){
                .class_ = &scope_groups_class, .begin = begin, .hear = hear, .test = seen
        };
        station_init(station, plan->toml);
        station_run(station, "groups");
}

static void check(const struct plan *plan, struct station *station)
{
        const struct seen *seen = seen_of(station);
        struct scope_ledger_counts counts = scope_ledger_counts(station->ledger);
        for (uint32_t i = 0; i < SCOPE_OUTCOME_COUNT; i++)
                assert_int_equal(counts.ended[i], plan->ended[i]);
        assert_int_equal(counts.live, plan->live);
        for (uint32_t i = 0; i < SCOPE_GROUP_PATH_COUNT; i++)
                assert_int_equal(seen->paths[i], plan->paths[i]);
        assert_int_equal(station_heard(station, SCOPE_KIND_LEASE), plan->leases);
        assert_int_equal(station_heard(station, SCOPE_KIND_SCORE), plan->scores);
        assert_int_equal(station_heard(station, SCOPE_KIND_SELECT), plan->selects);
        assert_int_equal(station_heard(station, SCOPE_KIND_REFINE), plan->refines);
        assert_int_equal(seen->smallest, plan->smallest);
        /* each finished group was shown to the recorder too */
        assert_int_equal(station_heard(station, SCOPE_KIND_ROLLOUTS),
                station_heard(station, SCOPE_KIND_GROUP));
}

static void test_groups_end_as_planned(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
                static struct seen seen;
                struct station station;
                print_message("# %s\n", plans[i].name); /* the last one is the failing one */
                run(&plans[i], &station, &seen);
                check(&plans[i], &station);
                station_fini(&station);
        }
}

static void test_groups_at_the_teacher_are_counted_apart(void **state)
{
        (void)state;
        static struct seen seen;
        static const int64_t credits[] = { 1, 2 };
        for (size_t i = 0; i < 2; i++) {
                struct station station;
                char toml[256];
                (void)snprintf(toml, sizeof toml, "%s%s%lld\n", ASYNC, "teacher_groups = ",
                        (long long)credits[i]);
                run(&(struct plan){ .toml = toml,
                            .wrong = 2,
                            .slow_teacher = true,
                            .verdicts = ACCEPT },
                        &station, &seen);
                assert_int_equal(seen.at_teacher_max, credits[i]);
                assert_true(seen.paths[SCOPE_GROUP_REPAIRED] >= credits[i]);
                assert_int_equal(seen.paths[SCOPE_GROUP_REPAIRED] +
                                seen.paths[SCOPE_GROUP_DEGRADED],
                        BATCH * STEPS);
                station_fini(&station);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_groups_end_as_planned),
                cmocka_unit_test(test_groups_at_the_teacher_are_counted_apart),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
