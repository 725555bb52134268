/* The queue between scripted groups and a scripted learner. */
#include "tests/actors/world.h"

extern const struct scope_actor_class scope_queue_class;

enum { GROUPS = 6 };

/* What happens at 1 s, 2 s, ...: groups are offered, the learner pulls, the queue dies. */
struct moment {
        uint64_t offer[GROUPS]; /* ids, from 1 */
        uint32_t pull;          /* with the version below */
        bool crash;
};
struct script {
        const char *toml;
        uint64_t version;            /* of the learner */
        uint64_t oldest[GROUPS + 1]; /* of each group */
        struct moment moments[4];
        /* what comes out */
        uint64_t order[GROUPS + 1];
        uint32_t taken, rejected, failed;
};
struct seen {
        const struct script *script;
        uint64_t order[GROUPS + 1];
        uint32_t count, taken;
};

static void offer(struct scope_actor *peer, struct station *station, uint64_t id)
{
        const struct script *script = ((struct seen *)station->test)->script;
        struct station_sample samples[2];
        struct scope_trajectory rows[2];
        struct scope_message *message = NULL;
        for (uint32_t i = 0; i < 2; i++) {
                station_sample(station, id, i, "1+6=7", script->oldest[id], &samples[i]);
                samples[i].trajectory.graded = true;
                rows[i] = samples[i].trajectory;
        }
        struct scope_group group = { .group = id,
                .version_oldest = script->oldest[id],
                .repaired = SCOPE_NO_PARENT,
                .trajectories = rows,
                .trajectory_count = 2 };
        assert_ok(
                scope_message_of_group(peer, SCOPE_KIND_GROUP, SCOPE_LANE_DATA, &group, &message));
        station_ask(peer, station, message, id);
}

static void begin(struct scope_actor *peer, struct station *station)
{
        for (uint64_t id = 1; id <= GROUPS; id++)
                assert_ok(scope_ledger_admit(station->ledger, id));
        for (uint64_t i = 0; i < 4; i++)
                station_timer(peer, i, REFINER_MS(1000) * (i + 1));
}

static void hear(struct scope_actor *peer, struct station *station, struct scope_message **message)
{
        struct seen *seen = station->test;
        if ((*message)->kind == SCOPE_KIND_TIMER) {
                const struct moment *now = &seen->script->moments[(*message)->tag];
                for (uint32_t i = 0; i < GROUPS && now->offer[i] != 0; i++)
                        offer(peer, station, now->offer[i]);
                if (now->pull > 0)
                        station_control(peer, station, SCOPE_KIND_PULL,
                                (struct scope_control){
                                        .value = now->pull, .version = seen->script->version });
                if (now->crash)
                        station_crash(peer, station);
        } else if ((*message)->kind == SCOPE_KIND_BATCH) {
                struct scope_group group;
                assert_ok(
                        scope_message_read_group(peer, *message, &station->stages.limits, &group));
                assert_true(seen->count < GROUPS);
                seen->order[seen->count++] = group.group;
        } else if ((*message)->kind == SCOPE_KIND_TAKEN) {
                seen->taken++;
        }
}

#define SERIAL "[pipeline]\nqueue_groups = "
#define ASYNC "[pipeline]\nstrategy = \"async\"\neta = 1\nage_max = 3\nqueue_groups = "

static const struct script scripts[] = {
        /* a full queue: two are taken, the third is parked until there is room */
        { .toml = ASYNC "2", .moments = { { .offer = { 1, 2, 3 } } }, .taken = 2 },
        { .toml = ASYNC "2",
                .moments = { { .offer = { 1, 2, 3 } }, { .pull = 1 } },
                .order = { 1 },
                .taken = 3 },
        /* a stream goes in order of arrival, and waits for what is pulled */
        { .toml = ASYNC "4",
                .moments = { { .pull = 3 }, { .offer = { 5, 2 } }, { .offer = { 4, 1 } } },
                .order = { 5, 2, 4 },
                .taken = 4 },
        /* age is judged when handed over: age_max trains, age_max + 1 does not */
        { .toml = ASYNC "4",
                .version = 10,
                .oldest = { 0, 7, 6, 10 },
                .moments = { { .offer = { 1, 2, 3 } }, { .pull = 3 } },
                .order = { 1, 3 },
                .taken = 3,
                .rejected = 1 },
        /* behind a barrier: whole, and by id */
        { .toml = SERIAL "4", .moments = { { .pull = 3 }, { .offer = { 3, 1 } } }, .taken = 2 },
        { .toml = SERIAL "4",
                .moments = { { .pull = 3 }, { .offer = { 3, 1 } }, { .offer = { 2 } } },
                .order = { 1, 2, 3 },
                .taken = 3 },
        /* offered twice, or ended meanwhile: taken once */
        { .toml = ASYNC "4",
                .moments = { { .offer = { 1, 1, 2 } }, { .pull = 4 } },
                .order = { 1, 2 },
                .taken = 3 },
        /* a new life: what was held failed, what was handed over lives on */
        { .toml = ASYNC "4",
                .moments = { { .offer = { 1, 2, 3 } }, { .pull = 1 }, { .crash = true },
                        { .offer = { 4 }, .pull = 1 } },
                .order = { 1, 4 },
                .taken = 4,
                .failed = 2 },
};

static void test_groups_are_handed_over_as_the_table_says(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
                const struct script *script = &scripts[i];
                struct seen seen = { .script = script };
                struct station station = {
                        .class_ = &scope_queue_class, .begin = begin, .hear = hear, .test = &seen
                };
                station_init(&station, script->toml);
                station_run(&station, "queue");
                struct scope_ledger_counts counts = scope_ledger_counts(station.ledger);
                assert_memory_equal(seen.order, script->order, sizeof seen.order);
                assert_int_equal(seen.taken, script->taken);
                assert_int_equal(counts.ended[SCOPE_REJECTED_STALE], script->rejected);
                assert_int_equal(counts.ended[SCOPE_FAILED], script->failed);
                assert_int_equal(station_heard(&station, SCOPE_KIND_GROUP_END),
                        script->rejected + script->failed);
                assert_int_equal(counts.live, GROUPS - script->rejected - script->failed);
                station_fini(&station);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_groups_are_handed_over_as_the_table_says),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
