#include "tests/runtime/fixture.h"

#include "base/planted.h"
#include "base/rng.h"
#include "runtime/ledger.h"

/* A small world that uses every door: askers ask servers with deadlines and monitor them,
 * servers answer now, later, by compute, wrongly or never; a keeper owns the ledger.
 * Whatever the seed does to it, what was promised must hold, and after the faults heal it must
 * finish its work. */

enum { ASKERS = 3, SERVERS = 3, WORK = 40, KEY_MAX = 512, SLOTS = 4 };

struct world {
        struct scope_system *system;
        struct scope_address askers[ASKERS], servers[SERVERS], keeper;
        unsigned done[ASKERS]; /* survives an asker's death, as a ledger would */
        bool drained;
        const char *wrong;
        /* What the keeper knows apart from the ledger. */
        uint64_t values[KEY_MAX][SLOTS];
        uint64_t admitted;
};

struct seat {
        struct world *world;
        unsigned number;
};

static void wrong(struct world *world, const char *what)
{
        if (world->wrong == NULL)
                world->wrong = what;
}

/* --- askers ----------------------------------------------------------------------------------- */

struct asker {
        struct seat *seat;
        uint64_t sequence[SERVERS];
        uint32_t watched[SERVERS]; /* incarnation, 0 = none */
        uint64_t open;             /* requests that were not answered */
};

enum { TICK = 1, PROBE = 2 };

static enum scope_err asker_init(struct scope_actor *self, void *state, void *args)
{
        (void)self;
        ((struct asker *)state)->seat = args;
        return SCOPE_OK;
}

static void asker_work(struct scope_actor *self, struct asker *asker)
{
        struct world *world = asker->seat->world;
        uint64_t draw = scope_random(self, 0);
        unsigned s = (unsigned)(draw % SERVERS);
        struct scope_message *message = NULL;
        if (scope_message_create(self, (uint16_t)(draw >> 8 & 1 ? KIND_A : KIND_B), SCOPE_LANE_DATA,
                    8, &message) != SCOPE_OK)
                return;
        uint64_t stamp = (uint64_t)scope_self(self).incarnation << 32 | (asker->sequence[s] + 1);
        memcpy(message->payload, &stamp, sizeof stamp);
        enum scope_err err;
        if (message->kind == KIND_A)
                err = scope_request(self, world->servers[s], &message, 1 + (draw >> 16) % (50 * MS),
                        "work", NULL);
        else
                err = scope_send(self, world->servers[s], &message);
        if (err == SCOPE_OK) {
                asker->sequence[s]++;
                asker->open += message == NULL && (draw >> 8 & 1) != 0;
        }
        scope_message_free(message);
        if (asker->watched[s] == 0 && scope_monitor(self, world->servers[s]) == SCOPE_OK)
                asker->watched[s] = 1;
        if ((draw >> 40 & 7) == 0)
                (void)scope_file_append(self, "log", "line\n", 5, 0); /* its end is seen below */
}

static void asker_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct asker *asker = state;
        struct world *world = asker->seat->world;
        unsigned *done = &world->done[asker->seat->number];
        switch (message->kind) {
        case SCOPE_KIND_START:
                (void)scope_timer_start(self, TICK, MS, NULL); /* 256 are free */
                break;
        case SCOPE_KIND_TIMER:
                if (scope_draining(self))
                        break;
                for (int i = 0; i < 4; i++)
                        asker_work(self, asker);
                (void)scope_timer_start(self, TICK, MS, NULL); /* as many as fire */
                break;
        case SCOPE_KIND_DOWN:
                for (unsigned s = 0; s < SERVERS; s++)
                        if (world->servers[s].actor == message->sender.actor)
                                asker->watched[s] = 0;
                break;
        case SCOPE_KIND_ERROR:
        case KIND_C:
                if (asker->open-- == 0)
                        wrong(world, "an answer to nothing");
                *done += message->kind == KIND_C;
                break;
        default:
                break;
        }
        scope_message_free(message);
}

static bool asker_idle(const void *state)
{
        return ((const struct asker *)state)->open == 0;
}

static const struct scope_actor_class asker_class = { .name = "asker",
        .state_bytes = sizeof(struct asker), .init = asker_init, .receive = asker_receive,
        .idle = asker_idle };

/* --- servers ---------------------------------------------------------------------------------- */

enum { HELD = 16 };

struct server {
        struct seat *seat;
        uint64_t last[ASKERS]; /* stamp of the newest message of each asker */
        struct scope_reply_to later[HELD];
        struct scope_message *held[HELD]; /* by compute */
};

static enum scope_err server_init(struct scope_actor *self, void *state, void *args)
{
        (void)self;
        ((struct server *)state)->seat = args;
        return SCOPE_OK;
}

static void server_fini(struct scope_actor *self, void *state)
{
        (void)self;
        struct server *server = state;
        for (int i = 0; i < HELD; i++)
                scope_message_free(server->held[i]);
}

static void server_check_order(struct server *server, const struct scope_message *message)
{
        struct world *world = server->seat->world;
        uint64_t stamp = 0;
        memcpy(&stamp, message->payload, sizeof stamp);
        for (unsigned a = 0; a < ASKERS; a++)
                if (world->askers[a].actor == message->sender.actor) {
                        if (stamp <= server->last[a])
                                wrong(world, "messages of one sender came out of order");
                        server->last[a] = stamp;
                }
}

static void server_answer(struct scope_actor *self, struct server *server,
        struct scope_message **request)
{
        uint64_t draw = scope_random(self, 0);
        unsigned place = (unsigned)(draw >> 8) % HELD;
        struct scope_job job = { .cost_only = true, .cores = 1, .cost_ns = draw % (3 * MS),
                .what = "serve" };
        struct scope_message *answer = NULL;
        switch (draw & 7) {
        case 0: /* nothing: freed unanswered */
                return;
        case 1:
                scope_reply_error(self, *request, SCOPE_ERR_REFUSED);
                return;
        case 2:
                if (server->later[place].correlation == 0 &&
                        scope_timer_start(self, place, draw % (60 * MS), NULL) == SCOPE_OK)
                        server->later[place] = scope_reply_later(*request);
                return;
        case 3:
                if (server->held[place] == NULL && scope_compute(self, &job, place) == SCOPE_OK) {
                        server->held[place] = *request;
                        *request = NULL;
                }
                return;
        case 4: { /* passed on, once: data that is no request of ours to answer any more */
                struct world *world = server->seat->world;
                unsigned other = (server->seat->number + 1) % SERVERS;
                if (other != 0)
                        (void)scope_send(self, world->servers[other], request);
                return;
        }
        default:
                if (scope_message_create(self, KIND_C, SCOPE_LANE_DATA, 0, &answer) == SCOPE_OK)
                        scope_reply(self, *request, &answer);
        }
}

static void server_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct server *server = state;
        struct scope_message *answer = NULL;
        switch (message->kind) {
        case KIND_A:
                server_answer(self, server, &message);
                break;
        case KIND_B:
                server_check_order(server, message);
                break;
        case SCOPE_KIND_TIMER:
                if (server->later[message->tag].correlation == 0)
                        wrong(server->seat->world, "a timer nobody started");
                answer = fixture_message(self, KIND_C);
                scope_reply_to(self, &server->later[message->tag], &answer);
                server->later[message->tag] = (struct scope_reply_to){ .correlation = 0 };
                break;
        case SCOPE_KIND_COMPUTE_DONE:
                if (server->held[message->tag] == NULL) {
                        wrong(server->seat->world, "a job nobody started");
                        break;
                }
                if (message->err != SCOPE_OK)
                        scope_fail(self, message->err, "a job failed");
                answer = fixture_message(self, KIND_C);
                scope_reply(self, server->held[message->tag], &answer);
                scope_message_free(server->held[message->tag]);
                server->held[message->tag] = NULL;
                break;
        default:
                break;
        }
        scope_message_free(message);
}

static const struct scope_actor_class server_class = { .name = "server",
        .state_bytes = sizeof(struct server), .init = server_init, .receive = server_receive,
        .fini = server_fini };

/* --- the keeper of the ledger ----------------------------------------------------------------- */

struct keeper {
        struct seat *seat;
};

static enum scope_err keeper_init(struct scope_actor *self, void *state, void *args)
{
        (void)self;
        ((struct keeper *)state)->seat = args;
        return SCOPE_OK;
}

static void keeper_step(struct scope_actor *self, struct world *world)
{
        struct scope_ledger *ledger = scope_actor_ledger(self);
        uint64_t draw = scope_random(self, 0);
        uint64_t key = world->admitted > 20 ? world->admitted - draw % 20 : 1 + draw % 20;
        uint32_t slot = (uint32_t)(draw >> 8) % SLOTS;
        uint64_t value = draw | 1, winner = 0;
        switch (draw >> 16 & 3) {
        case 0:
                if (world->admitted + 1 < KEY_MAX &&
                        scope_ledger_admit(ledger, ++world->admitted) != SCOPE_OK)
                        wrong(world, "a new key was refused");
                break;
        case 1:
                if (scope_ledger_set(ledger, key, slot, value, NULL) == SCOPE_OK &&
                        world->values[key][slot] == 0)
                        world->values[key][slot] = value;
                if (scope_ledger_get(ledger, key, slot, &winner) == SCOPE_OK &&
                        winner != world->values[key][slot])
                        wrong(world, "the first value of a slot did not win");
                break;
        default:
                if (scope_ledger_end(ledger, key, slot, 0) != SCOPE_OK &&
                        scope_ledger_live(ledger, key))
                        wrong(world, "a live key did not end");
        }
}

static void keeper_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct world *world = ((struct keeper *)state)->seat->world;
        bool all = true;
        for (int a = 0; a < ASKERS; a++)
                all = all && world->done[a] >= WORK;
        if (message->kind == SCOPE_KIND_START || message->kind == SCOPE_KIND_TIMER) {
                for (int i = 0; i < 8; i++)
                        keeper_step(self, world);
                if (!scope_draining(self))
                        (void)scope_timer_start(self, TICK, MS, NULL); /* as many as fire */
        }
        if (all && !world->drained) {
                world->drained = true;
                scope_system_drain(world->system, 60ull * SECOND);
        }
        scope_message_free(message);
}

static const struct scope_actor_class keeper_class = { .name = "keeper",
        .state_bytes = sizeof(struct keeper), .init = keeper_init, .receive = keeper_receive };

/* --- running it ------------------------------------------------------------------------------- */

static const char *invariant(void *context, struct scope_system *system)
{
        struct world *world = context;
        const char *broken = scope_simulation_check(system);
        return broken != NULL ? broken : world->wrong;
}

static void seat_add(struct world *world, const char *name, unsigned number,
        const struct scope_actor_class *class_, struct seat *seat,
        struct scope_address *ret_address)
{
        char full[32];
        (void)snprintf(full, sizeof full, "%s%u", name, number);
        *seat = (struct seat){ .world = world, .number = number };
        assert_ok(scope_system_add(world->system,
                &(struct scope_actor_options){ .name = full, .class_ = class_, .args = seat,
                        .mailbox = { 8, 8, 8 }, .essential = true },
                ret_address));
        ret_address->incarnation = 0;
}

/* The result, and in `text` the violation if there was one. */
static struct scope_sim_result simulate(uint64_t seed, uint32_t faults, char *text, size_t bytes)
{
        struct world *world = calloc(1, sizeof(*world));
        struct seat seats[ASKERS + SERVERS + 1];
        struct scope_system_options options = fixture_options();
        struct scope_sim_options sim = { .seed = seed, .faults = faults, .heal_ns = 2ull * SECOND,
                .stop_ns = 120ull * SECOND, .events_max = 2000000, .invariant = invariant,
                .context = world };
        assert_non_null(world);
        options.seed = seed;
        options.restarts_max = 60;
        assert_ok(scope_simulation_create(&options, &sim, &world->system));
        for (unsigned a = 0; a < ASKERS; a++)
                seat_add(world, "asker", a, &asker_class, &seats[a], &world->askers[a]);
        for (unsigned s = 0; s < SERVERS; s++)
                seat_add(world, "server", s, &server_class, &seats[ASKERS + s],
                        &world->servers[s]);
        seat_add(world, "keeper", 0, &keeper_class, &seats[ASKERS + SERVERS], &world->keeper);
        enum scope_err err = scope_system_run(world->system);
        struct scope_sim_result result;
        scope_simulation_result(world->system, &result);
        text[0] = '\0';
        if (result.violation != NULL)
                (void)snprintf(text, bytes, "%s", result.violation);
        else if (err != SCOPE_OK)
                (void)snprintf(text, bytes, "run: %s: %s", scope_err_name(err),
                        scope_system_cause(world->system));
        scope_system_destroy(world->system);
        free(world);
        return result;
}

enum { ALL_FAULTS = (1 << SCOPE_FAULT_COUNT) - 1 };

#ifndef SCOPE_PLANTED_BUGS

enum { SEEDS = 300 };

static void test_random_worlds_keep_every_promise(void **state)
{
        (void)state;
        uint64_t faults[SCOPE_FAULT_COUNT] = { 0 }, transitions = 0, events = 0;
        char text[512];
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
                struct scope_sim_result result = simulate(seed, ALL_FAULTS, text, sizeof text);
                if (text[0] != '\0')
                        fail_msg("seed %llu: %s", (unsigned long long)seed, text);
                events += result.events;
                transitions |= result.transitions;
                for (int fault = 0; fault < SCOPE_FAULT_COUNT; fault++)
                        faults[fault] += result.faults[fault];
        }
        assert_true(events / SEEDS > 500);
        print_message("# %llu events a seed\n", (unsigned long long)(events / SEEDS));
        for (int fault = 0; fault < SCOPE_FAULT_COUNT; fault++)
                if (fault < SCOPE_FAULT_HTTP_SLOW || fault > SCOPE_FAULT_HTTP_BUSY)
                        assert_true(faults[fault] > 0);
        enum { NEW, READY, RUNNING, DRAINING, STOPPED, FAILED };
        static const uint8_t steps[][2] = { { NEW, READY }, { READY, RUNNING },
                { RUNNING, DRAINING }, { DRAINING, STOPPED }, { RUNNING, FAILED },
                { DRAINING, FAILED }, { FAILED, NEW } };
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
                assert_true((transitions >> (steps[i][0] * 8 + steps[i][1]) & 1) != 0);
}

static void test_one_seed_has_one_hash_and_others_differ(void **state)
{
        (void)state;
        char text[512];
        for (uint64_t seed = 0; seed < 20; seed++) {
                struct scope_sim_result one = simulate(seed, ALL_FAULTS, text, sizeof text);
                free(malloc(4096 + 4096 * seed)); /* other addresses */
                struct scope_sim_result two = simulate(seed, ALL_FAULTS, text, sizeof text);
                struct scope_sim_result other =
                        simulate(seed + 1000, ALL_FAULTS, text, sizeof text);
                assert_true(one.trace_hash == two.trace_hash);
                assert_true(one.events == two.events && one.virtual_ns == two.virtual_ns);
                assert_true(one.trace_hash != other.trace_hash);
        }
}

static void test_without_faults_none_happen(void **state)
{
        (void)state;
        char text[512];
        struct scope_sim_result result = simulate(5, 0, text, sizeof text);
        assert_string_equal(text, "");
        for (int fault = 0; fault < SCOPE_FAULT_COUNT; fault++)
                assert_int_equal(result.faults[fault], 0);
}

static void wait_for_ever(struct scope_actor *self, struct script *script,
        struct scope_message *message)
{
        (void)self;
        (void)script;
        scope_message_free(message);
}

static void test_a_system_that_stands_still_is_a_violation(void **state)
{
        (void)state;
        struct scope_system *system = NULL;
        struct script sleeper = { .receive = wait_for_ever };
        struct scope_system_options options = fixture_options();
        struct scope_sim_options sim = fixture_sim();
        assert_ok(scope_simulation_create(&options, &sim, &system));
        fixture_add(system, "sleeper", &sleeper, NULL, true);
        assert_int_equal(scope_system_run(system), SCOPE_ERR_VERIFY);
        struct scope_sim_result result;
        scope_simulation_result(system, &result);
        assert_non_null(strstr(result.violation, "nothing can happen"));
        scope_system_destroy(system);
}

/* A long job that yields at once, a short and more urgent one after 10 ms. */
static void two_jobs(struct scope_actor *self, struct script *script, struct scope_message *message)
{
        uint64_t *ended_ns = script->context, timer;
        struct scope_job job = { .cores = 1, .priority = 2, .cost_only = true, .yields = true,
                .cost_ns = 100 * MS };
        if (message->kind == SCOPE_KIND_START) {
                assert_ok(scope_compute(self, &job, 0));
                assert_ok(scope_timer_start(self, 0, 10 * MS, &timer));
        }
        if (message->kind == SCOPE_KIND_TIMER) {
                job = (struct scope_job){ .cores = 1, .priority = 1, .cost_only = true,
                        .cost_ns = 5 * MS };
                assert_ok(scope_compute(self, &job, 1));
        }
        if (message->kind == SCOPE_KIND_COMPUTE_DONE) {
                ended_ns[message->tag] = scope_now_ns(self);
                ended_ns[2] = scope_waited_ns(self);
                if (++script->number == 2)
                        stop(script);
        }
        scope_message_free(message);
}

static void test_jobs_that_yield_make_room_where_they_are_asked_to(void **state)
{
        (void)state;
        for (int yields = 0; yields <= 1; yields++) {
                uint64_t ended_ns[3];
                struct scope_system *system = NULL;
                struct script script = { .receive = two_jobs, .context = ended_ns };
                struct scope_system_options options = fixture_options();
                struct scope_sim_options sim = fixture_sim();
                options.compute_threads = 1;
                sim.yields = yields == 1;
                assert_ok(scope_simulation_create(&options, &sim, &system));
                fixture_add(system, "two", &script, NULL, true);
                assert_ok(fixture_run(system));
                scope_system_destroy(system);
                /* a turn takes a microsecond */
                assert_int_equal(ended_ns[1] / MS, yields ? 15 : 105);
                assert_int_equal(ended_ns[0] / MS, yields ? 105 : 100);
                assert_int_equal(ended_ns[2] / MS, yields ? 5 : 90);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_jobs_that_yield_make_room_where_they_are_asked_to),
                cmocka_unit_test(test_random_worlds_keep_every_promise),
                cmocka_unit_test(test_one_seed_has_one_hash_and_others_differ),
                cmocka_unit_test(test_without_faults_none_happen),
                cmocka_unit_test(test_a_system_that_stands_still_is_a_violation),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

enum { SEEDS = 1000 };

static void test_every_planted_bug_is_caught(void **state)
{
        (void)state;
        char text[512];
        for (int bug = 0; bug < SCOPE_PLANTED_RUNTIME_COUNT; bug++) {
                uint64_t seed = 0;
                scope_planted_mask = UINT64_C(1) << bug;
                do
                        (void)simulate(seed, ALL_FAULTS, text, sizeof text);
                while (text[0] == '\0' && ++seed < SEEDS);
                scope_planted_mask = 0;
                if (seed == SEEDS)
                        fail_msg("%s was not caught in %d seeds",
                                scope_planted_name((enum scope_planted)bug), SEEDS);
                print_message("# %s: seed %llu: %s\n", scope_planted_name((enum scope_planted)bug),
                        (unsigned long long)seed, text);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_planted_bug_is_caught),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
