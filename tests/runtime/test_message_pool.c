#include "tests/test.h"

#include <pthread.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "runtime/message_pool.h"

static void test_blocks_are_aligned_cleared_and_reused(void **state)
{
        (void)state;
        struct scope_message_pool pool;
        scope_message_pool_init(&pool, 1 << 20);
        scope_message_pool_enter(&pool);
        struct scope_message *first = NULL, *second = NULL;
        assert_ok(scope_message_pool_take(&pool, 100, false, &first));
        assert_int_equal((uintptr_t)first->payload % 16, 0);
        assert_int_equal(first->bytes, 100);
        memset(first->payload, 0xff, 100);
        first->tag = first->correlation = 5;
        first->flags = 0xff;
        scope_message_release(first);
        assert_ok(scope_message_pool_take(&pool, 1, false, &second));
        assert_ptr_equal(first, second);
        assert_int_equal(second->tag + second->correlation + second->flags, 0);
        scope_message_release(second);
        scope_message_pool_enter(NULL);
        scope_message_pool_fini(&pool);
}

static void test_every_size_up_to_the_limit_and_none_above(void **state)
{
        (void)state;
        struct scope_message_pool pool;
        scope_message_pool_init(&pool, 1u << 30);
        scope_message_pool_enter(&pool);
        for (uint32_t bytes = 1; bytes <= SCOPE_MESSAGE_BYTES_MAX; bytes *= 4) {
                struct scope_message *message = NULL;
                assert_ok(scope_message_pool_take(&pool, bytes, false, &message));
                message->payload[0] = message->payload[bytes - 1] = 1;
                scope_message_release(message);
        }
        struct scope_message *message = NULL;
        assert_int_equal(scope_message_pool_take(&pool, SCOPE_MESSAGE_BYTES_MAX + 1, false,
                                 &message),
                SCOPE_ERR_TOO_BIG);
        scope_message_pool_enter(NULL);
        scope_message_pool_fini(&pool);
}

static void test_cap_refuses_but_not_exempt_blocks_and_trims_first(void **state)
{
        (void)state;
        struct scope_message_pool pool;
        scope_message_pool_init(&pool, 4 << 20);
        scope_message_pool_enter(&pool);
        struct scope_message *big = NULL, *other = NULL, *small = NULL;
        assert_ok(scope_message_pool_take(&pool, 3 << 20, false, &big));
        assert_int_equal(scope_message_pool_take(&pool, 1 << 20, false, &other), SCOPE_ERR_MEMORY);
        assert_ok(scope_message_pool_take(&pool, 0, true, &small));
        scope_message_release(small);
        scope_message_release(big);
        assert_ok(scope_message_pool_take(&pool, 1 << 20, false, &other));
        scope_message_release(other);
        scope_message_pool_enter(NULL);
        scope_message_pool_fini(&pool);
}

static void test_release_drops_the_attachment(void **state)
{
        (void)state;
        struct scope_message_pool pool;
        scope_message_pool_init(&pool, 1 << 20);
        struct scope_message *message = NULL;
        assert_ok(scope_message_pool_take(&pool, 8, false, &message));
        assert_ok(scope_buffer_create(64, &message->attachment));
        scope_message_release(message);
        scope_message_pool_fini(&pool);
}

enum { HANDED = 4000 };

struct exchange {
        _Atomic(struct scope_message *) slot;
};

static void *free_elsewhere(void *argument)
{
        struct exchange *exchange = argument;
        for (unsigned i = 0; i < HANDED;) {
                struct scope_message *message = atomic_exchange(&exchange->slot, NULL);
                if (message == NULL) {
                        (void)sched_yield();
                        continue;
                }
                scope_message_release(message);
                i++;
        }
        return NULL;
}

static void test_blocks_freed_by_other_threads_come_home(void **state)
{
        (void)state;
        struct scope_message_pool pool;
        struct exchange exchange = { NULL };
        scope_message_pool_init(&pool, 256 << 10);
        scope_message_pool_enter(&pool);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, free_elsewhere, &exchange), 0);
        for (unsigned i = 0; i < HANDED; i++) {
                struct scope_message *message = NULL;
                assert_ok(scope_message_pool_take(&pool, 64, false, &message));
                message->payload[0] = 1;
                while (atomic_load(&exchange.slot) != NULL)
                        (void)sched_yield();
                atomic_store(&exchange.slot, message);
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(pool.bytes_held <= 128 << 10);
        scope_message_pool_enter(NULL);
        scope_message_pool_fini(&pool);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_blocks_are_aligned_cleared_and_reused),
                cmocka_unit_test(test_every_size_up_to_the_limit_and_none_above),
                cmocka_unit_test(test_cap_refuses_but_not_exempt_blocks_and_trims_first),
                cmocka_unit_test(test_release_drops_the_attachment),
                cmocka_unit_test(test_blocks_freed_by_other_threads_come_home),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
