#include "runtime/loop.h"

#include <stdatomic.h>
#include <stdlib.h>

#include <uv.h>

#include "base/check.h"
#include "runtime/core.h"
#include "runtime/spin.h"

enum state { AWAKE, ASLEEP, NOTIFIED };

enum {
        TURNS_MAX = 256,        /* before the loop looks around again */
        POLL_NS = 200000,       /* a busy loop looks at its sockets this often */
        CPU_READ_NS = 10000000, /* and at its own CPU time */
        SLEEP_MS_MAX =
                1000 * 3600 /* uv counts in milliseconds; waking for nothing once an hour is fine */
};

struct scope_uv_loop {
        struct scope_loop *core;
        uv_loop_t uv;
        uv_async_t async;
        uv_timer_t timer;
        uv_prepare_t prepare;
        uint64_t armed_ns; /* what the timer is set to; UINT64_MAX = not set */
        uint64_t polled_ns, cpu_begin_ns, cpu_read_ns;
        struct scope_spin spin;
        _Alignas(64) atomic_int state;
        _Atomic uint64_t cpu_ns; /* relaxed: a counter */
};

static void on_async(uv_async_t *async)
{
        (void)async; /* that uv_run returns is all we want */
}

static void on_timer(uv_timer_t *timer)
{
        struct scope_uv_loop *loop = timer->data;
        loop->armed_ns = UINT64_MAX;
        uv_stop(&loop->uv); /* for on_prepare's reason */
}

/* uv_run runs due timers before it waits for events. What they started (a core's timer, the end of
 * an HTTP call) must not wait with it: stopped here, it only looks. */
static void on_prepare(uv_prepare_t *prepare)
{
        struct scope_uv_loop *loop = prepare->data;
        if (loop->core->ready_count != 0)
                uv_stop(&loop->uv);
}

enum scope_err scope_uv_loop_create(
        struct scope_loop *core, bool spin, struct scope_uv_loop **ret_loop)
{
        struct scope_uv_loop *loop = aligned_alloc(64, (sizeof *loop + 63) / 64 * 64);
        if (loop == NULL)
                return SCOPE_ERR_MEMORY;
        *loop = (struct scope_uv_loop){ .core = core, .armed_ns = UINT64_MAX };
        loop->spin.budget_ns = spin ? SCOPE_SPIN_NS_MAX : 0;
        if (uv_loop_init(&loop->uv) != 0) {
                free(loop);
                return SCOPE_ERR_INTERNAL;
        }
        if (uv_async_init(&loop->uv, &loop->async, on_async) != 0) {
                (void)uv_loop_close(&loop->uv); /* has no handle yet */
                free(loop);
                return SCOPE_ERR_INTERNAL;
        }
        (void)uv_timer_init(&loop->uv, &loop->timer); /* these three cannot fail */
        (void)uv_prepare_init(&loop->uv, &loop->prepare);
        (void)uv_prepare_start(&loop->prepare, on_prepare);
        loop->timer.data = loop->prepare.data = loop;
        *ret_loop = loop;
        return SCOPE_OK;
}

struct uv_loop_s *scope_uv_loop_handle(struct scope_uv_loop *loop)
{
        return &loop->uv;
}

void scope_uv_loop_wake(struct scope_uv_loop *loop)
{
        /* Release: what we bring; pairs with the acquire in look_around. */
        if (atomic_exchange_explicit(&loop->state, NOTIFIED, memory_order_acq_rel) != ASLEEP)
                return;
        /* libuv 1.44 reads its own "pending" flag without order before it decides to write. */
        atomic_thread_fence(memory_order_seq_cst);
        (void)uv_async_send(&loop->async); /* fails never: the handle is open */
}

/* True when there is more to do at once. */
static bool look_around(struct scope_uv_loop *loop)
{
        /* Acquire: pairs with the release in scope_uv_loop_wake. */
        (void)atomic_exchange_explicit(&loop->state, AWAKE, memory_order_acq_rel);
        return scope_loop_turns(loop->core, TURNS_MAX);
}

static bool notified(void *arg)
{
        struct scope_uv_loop *loop = arg;
        /* Relaxed: look_around acquires. */
        return atomic_load_explicit(&loop->state, memory_order_relaxed) == NOTIFIED;
}

static void poll(struct scope_uv_loop *loop, uv_run_mode mode)
{
        (void)uv_run(&loop->uv, mode); /* whether handles are left is no news: ours are */
        loop->polled_ns = scope_clock_ns(CLOCK_MONOTONIC);
}

static void arm(struct scope_uv_loop *loop, uint64_t next_ns, uint64_t now_ns)
{
        if (next_ns == loop->armed_ns)
                return;
        loop->armed_ns = next_ns;
        if (next_ns == UINT64_MAX) {
                (void)uv_timer_stop(&loop->timer);
                return;
        }
        uint64_t ms = next_ns > now_ns ? (next_ns - now_ns + 999999) / 1000000 : 0;
        uv_update_time(&loop->uv); /* turns ran since it was read: the timer counts from now */
        (void)uv_timer_start(&loop->timer, on_timer, ms < SLEEP_MS_MAX ? ms : SLEEP_MS_MAX, 0);
}

static void rest(struct scope_uv_loop *loop)
{
        int awake = AWAKE;
        uint64_t begin_ns;
        if (scope_spin_until(&loop->spin, notified, loop))
                return;
        begin_ns = scope_clock_ns(CLOCK_MONOTONIC);
        arm(loop, scope_loop_next_ns(loop->core), begin_ns);
        /* Relaxed: nothing is handed over here. It fails when we were notified meanwhile. */
        if (!atomic_compare_exchange_strong_explicit(
                    &loop->state, &awake, ASLEEP, memory_order_relaxed, memory_order_relaxed))
                return;
        poll(loop, UV_RUN_ONCE);
        scope_spin_slept(&loop->spin, loop->polled_ns - begin_ns);
}

static void read_cpu(struct scope_uv_loop *loop)
{
        uint64_t used_ns = scope_clock_ns(CLOCK_THREAD_CPUTIME_ID) - loop->cpu_begin_ns;
        atomic_store_explicit(&loop->cpu_ns, used_ns, memory_order_relaxed);
        loop->cpu_read_ns = loop->core->now_ns;
}

void scope_uv_loop_drive(struct scope_uv_loop *loop)
{
        struct scope_loop *core = loop->core;
        loop->cpu_begin_ns = scope_clock_ns(CLOCK_THREAD_CPUTIME_ID);
        scope_loop_enter(core);
        while (!scope_system_finished(core->system)) {
                bool more = look_around(loop);
                if (scope_system_finished(core->system))
                        break;
                if (!more)
                        rest(loop);
                if (core->now_ns > loop->polled_ns + POLL_NS)
                        poll(loop, UV_RUN_NOWAIT);
                if (core->now_ns > loop->cpu_read_ns + CPU_READ_NS)
                        read_cpu(loop);
        }
        scope_loop_leave(core);
        read_cpu(loop);
}

uint64_t scope_uv_loop_cpu_ns(const struct scope_uv_loop *loop)
{
        return atomic_load_explicit(&loop->cpu_ns, memory_order_relaxed);
}

void scope_uv_loop_finish_posted(struct scope_uv_loop *loop)
{
        /* Acquire: pairs with the release in scope_operation_post. */
        struct scope_operation *operation =
                atomic_exchange_explicit(&loop->core->finished, NULL, memory_order_acquire);
        while (operation != NULL) {
                struct scope_operation *next = operation->next;
                scope_operation_finish(operation, operation->err);
                operation = next;
        }
}

void scope_uv_loop_destroy(struct scope_uv_loop *loop)
{
        if (loop == NULL)
                return;
        uv_close((uv_handle_t *)&loop->async, NULL);
        uv_close((uv_handle_t *)&loop->timer, NULL);
        uv_close((uv_handle_t *)&loop->prepare, NULL);
        (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
        int left = uv_loop_close(&loop->uv);
        scope_assert(left == 0); /* a handle that nobody closed */
        free(loop);
}
