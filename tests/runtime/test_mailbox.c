#include "tests/test.h"

#include <pthread.h>

#include "base/error.h"
#include "runtime/mailbox.h"

static const uint32_t four[SCOPE_LANE_COUNT] = { 4, 4, 4 };

static void test_push_to_full_lane_is_refused_and_pop_makes_room(void **state)
{
        (void)state;
        struct scope_mailbox box;
        scope_mailbox_init(&box, four);
        struct scope_message messages[5] = { 0 };
        for (int round = 0; round < 3; round++) {
                for (int i = 0; i < 5; i++)
                        messages[i] = (struct scope_message){ .lane = SCOPE_LANE_DATA };
                for (int i = 0; i < 4; i++) {
                        assert_true(scope_mailbox_reserve(&box, &messages[i]));
                        scope_mailbox_append(&box, &messages[i]);
                }
                assert_false(scope_mailbox_reserve(&box, &messages[4]));
                assert_int_equal(messages[4].flags, 0);
                assert_int_equal(box.lanes[SCOPE_LANE_DATA].counted, 4);
                for (int i = 0; i < 4; i++)
                        assert_ptr_equal(scope_mailbox_pop(&box), &messages[i]);
                assert_null(scope_mailbox_pop(&box));
                assert_true(scope_mailbox_empty(&box));
        }
}

static void test_lanes_go_by_rank_and_do_not_share_slots(void **state)
{
        (void)state;
        struct scope_mailbox box;
        scope_mailbox_init(&box, (const uint32_t[]){ 1, 1, 1 });
        struct scope_message data = { .lane = SCOPE_LANE_DATA };
        struct scope_message control = { .lane = SCOPE_LANE_CONTROL };
        struct scope_message system = { .lane = SCOPE_LANE_SYSTEM };
        struct scope_message *all[] = { &data, &control, &system };
        for (int i = 0; i < 3; i++) {
                assert_true(scope_mailbox_reserve(&box, all[i]));
                scope_mailbox_append(&box, all[i]);
        }
        for (int i = 2; i >= 0; i--)
                assert_ptr_equal(scope_mailbox_pop(&box), all[i]);
}

static void test_uncounted_messages_need_no_slot(void **state)
{
        (void)state;
        struct scope_mailbox box;
        scope_mailbox_init(&box, (const uint32_t[]){ 1, 1, 1 });
        struct scope_message counted = { .lane = SCOPE_LANE_DATA }, reply = counted;
        assert_true(scope_mailbox_reserve(&box, &counted));
        scope_mailbox_append(&box, &counted);
        scope_mailbox_append(&box, &reply);
        assert_int_equal(box.queued, 2);
        assert_int_equal(box.lanes[SCOPE_LANE_DATA].counted, 1);
        assert_ptr_equal(scope_mailbox_pop(&box), &counted);
        assert_ptr_equal(scope_mailbox_pop(&box), &reply);
}

static void test_other_loops_share_the_bound_and_are_not_starved(void **state)
{
        (void)state;
        struct scope_mailbox box;
        scope_mailbox_init(&box, four);
        struct scope_message messages[5];
        for (int i = 0; i < 5; i++)
                messages[i] = (struct scope_message){ .lane = SCOPE_LANE_DATA };
        for (int i = 0; i < 4; i++) {
                assert_true(scope_mailbox_reserve(&box, &messages[i]));
                scope_mailbox_append(&box, &messages[i]);
        }
        assert_false(scope_mailbox_reserve_shared(&box, &messages[4]));
        assert_ptr_equal(scope_mailbox_pop(&box), &messages[0]);
        assert_true(scope_mailbox_reserve_shared(&box, &messages[4]));
        scope_mailbox_append_shared(&box, &messages[4]);
        assert_false(scope_mailbox_empty(&box));
        for (int i = 1; i < 5; i++)
                assert_ptr_equal(scope_mailbox_pop(&box), &messages[i]);
        assert_null(scope_mailbox_pop(&box));
}

enum { SENDERS = 3, PER_SENDER = 20000, CAPACITY = 64 };

struct sender {
        struct scope_mailbox *box;
        struct scope_message *messages;
        uint64_t refused;
};

static void *send_all(void *argument)
{
        struct sender *sender = argument;
        for (unsigned i = 0; i < PER_SENDER;) {
                struct scope_message *message = &sender->messages[i];
                if (!scope_mailbox_reserve_shared(sender->box, message)) {
                        sender->refused++;
                        (void)sched_yield();
                        continue;
                }
                scope_mailbox_append_shared(sender->box, message);
                i++;
        }
        return NULL;
}

static void test_threads_lose_nothing_and_keep_each_senders_order(void **state)
{
        (void)state;
        struct scope_mailbox box;
        scope_mailbox_init(&box, (const uint32_t[]){ 1, 1, CAPACITY });
        struct sender senders[SENDERS];
        pthread_t threads[SENDERS];
        for (uint32_t s = 0; s < SENDERS; s++) {
                senders[s] = (struct sender){ .box = &box,
                        .messages = calloc(PER_SENDER, sizeof(struct scope_message)) };
                assert_non_null(senders[s].messages);
                for (unsigned i = 0; i < PER_SENDER; i++) {
                        senders[s].messages[i].lane = SCOPE_LANE_DATA;
                        senders[s].messages[i].sender.actor = s;
                        senders[s].messages[i].tag = i;
                }
                assert_int_equal(pthread_create(&threads[s], NULL, send_all, &senders[s]), 0);
        }
        uint64_t next[SENDERS] = { 0 };
        for (unsigned got = 0; got < SENDERS * PER_SENDER;) {
                struct scope_message *message = scope_mailbox_pop(&box);
                if (message == NULL) {
                        (void)sched_yield();
                        continue;
                }
                assert_int_equal(message->tag, next[message->sender.actor]++);
                assert_true(box.lanes[SCOPE_LANE_DATA].counted <= CAPACITY);
                got++;
        }
        for (unsigned s = 0; s < SENDERS; s++) {
                assert_int_equal(pthread_join(threads[s], NULL), 0);
                free(senders[s].messages);
        }
        assert_true(scope_mailbox_empty(&box));
        assert_int_equal(box.lanes[SCOPE_LANE_DATA].local_free +
                                 atomic_load(&box.shared_free[SCOPE_LANE_DATA]),
                CAPACITY);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_push_to_full_lane_is_refused_and_pop_makes_room),
                cmocka_unit_test(test_lanes_go_by_rank_and_do_not_share_slots),
                cmocka_unit_test(test_uncounted_messages_need_no_slot),
                cmocka_unit_test(test_other_loops_share_the_bound_and_are_not_starved),
                cmocka_unit_test(test_threads_lose_nothing_and_keep_each_senders_order),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
