/* Sends that cannot leave: they wait, or come back. */
#include "tests/test.h"

#include "runtime/outbox.h"
#include "runtime/simulation.h"
#include "runtime/system.h"

enum { ASK = SCOPE_KIND_USER, ITEM, ITEMS = 100 };

struct world {
        struct scope_system *system;
        struct scope_address other;
        enum scope_err came_back;
        uint64_t tag;
        uint32_t got;
        bool in_order;
};

struct sender {
        struct world *world;
        struct scope_outbox outbox;
};

static enum scope_err keep_world(struct scope_actor *self, void *state, void *args)
{
        (void)self;
        *(struct world **)state = args;
        return SCOPE_OK;
}

static struct scope_message *message_of(struct scope_actor *self, uint16_t kind, uint64_t tag)
{
        struct scope_message *message = NULL;
        assert_ok(scope_message_create(self, kind, SCOPE_LANE_DATA, 0, &message));
        message->tag = tag;
        return message;
}

static void asker_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct sender *sender = state;
        if (message->kind == SCOPE_KIND_START) {
                struct scope_message *ask = message_of(self, ASK, 42);
                struct scope_address dead = sender->world->other;
                dead.incarnation = 7;
                scope_outbox_request(
                        self, &sender->outbox, dead, &ask, 1000000000, "one that is dead");
                assert_null(ask);
        }
        if (message->kind == SCOPE_KIND_ERROR) {
                sender->world->came_back = message->err;
                sender->world->tag = message->tag;
                scope_system_drain(sender->world->system, 1000000000);
        }
        scope_message_free(message);
}

static void flooder_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct sender *sender = state;
        if (message->kind == SCOPE_KIND_START)
                for (uint64_t i = 0; i < ITEMS; i++) {
                        struct scope_message *item = message_of(self, ITEM, i);
                        scope_outbox_send(self, &sender->outbox, sender->world->other, &item);
                }
        if (message->kind == SCOPE_KIND_TIMER)
                assert_true(scope_outbox_timer(self, &sender->outbox, message));
        scope_message_free(message);
}

static void sender_fini(struct scope_actor *self, void *state)
{
        (void)self;
        scope_outbox_fini(&((struct sender *)state)->outbox);
}

static void taker_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct world *world = *(struct world **)state;
        (void)self;
        if (message->kind == ITEM) {
                world->in_order = world->in_order && message->tag == world->got;
                if (++world->got == ITEMS)
                        scope_system_drain(world->system, 1000000000);
        }
        scope_message_free(message);
}

static const struct scope_actor_class asker_class = { .name = "asker",
        .state_bytes = sizeof(struct sender),
        .init = keep_world,
        .receive = asker_receive,
        .fini = sender_fini };
static const struct scope_actor_class flooder_class = { .name = "flooder",
        .state_bytes = sizeof(struct sender),
        .init = keep_world,
        .receive = flooder_receive,
        .fini = sender_fini };
static const struct scope_actor_class taker_class = { .name = "taker",
        .state_bytes = sizeof(struct world *),
        .init = keep_world,
        .receive = taker_receive };

static void run(struct world *world, const struct scope_actor_class *class_)
{
        struct scope_system_options options = { .seed = 1,
                .loops = 1,
                .compute_threads = 1,
                .restarts_max = 1,
                .restart_window_ns = 1000000000,
                .wait_report_ns = 10000000000u };
        struct scope_sim_options sim = { .seed = 1, .stop_ns = 60000000000u, .events_max = 100000 };
        struct scope_address address;
        assert_ok(scope_simulation_create(&options, &sim, &world->system));
        assert_ok(scope_system_add(world->system,
                &(struct scope_actor_options){ .name = "taker",
                        .class_ = &taker_class,
                        .args = world,
                        .mailbox = { 8, 8, 8 } },
                &world->other));
        assert_ok(scope_system_add(world->system,
                &(struct scope_actor_options){ .name = "sender", .class_ = class_, .args = world },
                &address));
        assert_ok(scope_system_run(world->system));
        scope_system_destroy(world->system);
}

static void test_request_to_the_dead_comes_back_as_an_error(void **state)
{
        (void)state;
        struct world world = { .tag = 0 };
        run(&world, &asker_class);
        assert_int_equal(world.came_back, SCOPE_ERR_DOWN);
        assert_int_equal(world.tag, 42);
}

static void test_full_mailbox_delays_and_keeps_the_order(void **state)
{
        (void)state;
        struct world world = { .in_order = true };
        run(&world, &flooder_class);
        assert_int_equal(world.got, ITEMS);
        assert_true(world.in_order);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_request_to_the_dead_comes_back_as_an_error),
                cmocka_unit_test(test_full_mailbox_delays_and_keeps_the_order),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
