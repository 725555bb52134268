#include "tests/runtime/real.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "runtime/spin.h"

/* --- ping-pong -------------------------------------------------------------------------------- */

struct ping_args {
        struct scope_system *system;
        struct scope_address pong;
        uint64_t rounds, seen, begin_ns, end_ns;
        unsigned errors;
};

struct ping {
        struct ping_args *args;
};

static void ping_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct ping_args *args = ((struct ping *)state)->args;
        struct scope_message *next;
        uint64_t correlation;
        if (message->kind == SCOPE_KIND_START)
                args->begin_ns = scope_now_ns(self);
        else if (message->kind != KIND_PING || message->tag != args->seen++)
                args->errors++;
        scope_message_free(message);
        if (args->seen == args->rounds) {
                args->end_ns = scope_now_ns(self);
                scope_system_drain(args->system, MS(5000));
                return;
        }
        next = message_of(self, KIND_PING, args->seen);
        assert_ok(scope_request(self, args->pong, &next, MS(5000), "pong", &correlation));
}

static void pong_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        (void)state;
        if (message->kind == KIND_PING) {
                struct scope_message *reply = message_of(self, KIND_PING, 0);
                scope_reply(self, message, &reply);
        }
        scope_message_free(message);
}

static const struct scope_actor_class ping_class = { .name = "ping",
        .state_bytes = sizeof(struct ping),
        .init = keep_args,
        .receive = ping_receive };
static const struct scope_actor_class pong_class = {
        .name = "pong", .state_bytes = sizeof(void *), .init = keep_args, .receive = pong_receive
};

static void ping_pong(unsigned loops, uint64_t rounds)
{
        struct scope_system_options options = options_of(loops);
        struct ping_args args = { .rounds = rounds };
        struct scope_system_cpu cpu;
        struct scope_actor_usage usage;
        args.system = system_of(&options);
        args.pong = add(args.system, "pong", loops - 1, &pong_class, NULL);
        (void)add(args.system, "ping", 0, &ping_class, &args);
        assert_ok(scope_system_run(args.system));
        assert_int_equal(args.errors, 0);
        assert_int_equal(args.seen, rounds);
        assert_true(scope_system_cpu(args.system, &cpu));
        assert_true(cpu.loops_ns > 0);
        assert_true(scope_system_usage(args.system, 0, &usage));
        assert_int_equal(usage.messages, rounds + 1);
        print_message("# ping-pong over %u loop(s): %.2f us a round trip\n", loops,
                (double)(args.end_ns - args.begin_ns) / 1000 / (double)rounds);
        scope_system_destroy(args.system);
}

static void test_ping_pong_on_one_loop(void **state)
{
        (void)state;
        ping_pong(1, 50000);
}

static void test_ping_pong_over_two_loops(void **state)
{
        (void)state;
        ping_pong(2, 5000);
}

/* --- jobs that only take time ----------------------------------------------------------------- */

enum { TIMED_JOBS = 6, TIMED_LONG = 99 };

struct timed {
        struct scope_system *system;
        uint64_t due_ns, early_ns; /* early: by how much the worst end came before it was due */
        atomic_uint ran;
        unsigned ended;
        bool hang;
};

static enum scope_err count_run(void *arg, unsigned rank, unsigned size)
{
        struct timed *timed = arg;
        (void)rank;
        (void)size;
        atomic_fetch_add_explicit(&timed->ran, 1, memory_order_relaxed);
        return SCOPE_OK;
}

/* Each follows the one before at once, counted from when that was due; the last one also runs. */
static void timed_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct timed *timed = *(struct timed **)state;
        bool start = message->kind == SCOPE_KIND_START;
        uint64_t now_ns = scope_now_ns(self);
        struct scope_job job = { .cores = 2, .cost_only = true, .timed = true, .arg = timed };
        scope_message_free(message);
        if (!start && now_ns < timed->due_ns && timed->due_ns - now_ns > timed->early_ns)
                timed->early_ns = timed->due_ns - now_ns;
        timed->ended += !start;
        if (timed->ended == TIMED_JOBS) {
                if (!timed->hang) {
                        scope_system_drain(timed->system, MS(5000));
                        return;
                }
                job.cost_ns = MS(3600000);
                assert_ok(scope_compute(self, &job, TIMED_LONG));
                scope_fail_for_good(self, SCOPE_ERR_DEVICE, "with a job under way");
                return;
        }
        job.cost_ns = MS(2);
        job.since_ns = start ? 0 : timed->due_ns;
        timed->due_ns = (start ? now_ns : timed->due_ns) + job.cost_ns;
        if (timed->ended + 1 == TIMED_JOBS) {
                job.run = count_run;
                job.cost_only = false;
        }
        assert_ok(scope_compute(self, &job, timed->ended));
}

static const struct scope_actor_class timed_class = {
        .name = "timed", .state_bytes = sizeof(void *), .init = keep_args, .receive = timed_receive
};

static struct timed run_timed(bool hang, enum scope_err wanted)
{
        struct scope_system_options options = options_of(1);
        struct timed timed = { .hang = hang };
        timed.system = system_of(&options);
        (void)add(timed.system, "timed", 0, &timed_class, &timed);
        assert_int_equal(scope_system_run(timed.system), wanted);
        scope_system_destroy(timed.system);
        return timed;
}

static void test_timed_jobs_take_their_time_and_no_worker(void **state)
{
        (void)state;
        struct timed timed = run_timed(false, SCOPE_OK);
        assert_int_equal(timed.ended, TIMED_JOBS);
        assert_int_equal(timed.early_ns, 0);
        assert_true(atomic_load(&timed.ran) >= 1); /* on each of its cores, once */
        assert_true(atomic_load(&timed.ran) <= 2);
}

static void test_a_timed_job_does_not_outlive_its_actor(void **state)
{
        (void)state;
        (void)run_timed(true, SCOPE_ERR_DEVICE); /* an hour would be too long to wait */
}

/* --- many senders, small mailboxes ------------------------------------------------------------ */

enum { SENDERS = 8, SENT = 4000 };

struct stress {
        struct scope_system *system;
        struct scope_address sink;
        atomic_uint refused;
        unsigned received[SENDERS], out_of_order, ended;
};

struct sender {
        struct stress *stress;
        struct scope_message *held; /* refused by the full mailbox */
        unsigned sent, number;
        bool ended;
};

static enum scope_err sender_init(struct scope_actor *self, void *state, void *args)
{
        struct sender *sender = state;
        sender->stress = args;
        sender->number = (unsigned)atoi(scope_self_name(self) + 1);
        return SCOPE_OK;
}

/* Sends until the sink is full, then asks itself to go on: others get their turns between. */
static void sender_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct sender *sender = state;
        scope_message_free(message);
        for (int burst = 0; burst < 50; burst++) {
                if (sender->ended)
                        return;
                bool last = sender->sent == SENT;
                if (sender->held == NULL)
                        sender->held = message_of(self, last ? KIND_END : KIND_PING,
                                (uint64_t)sender->number << 32 | sender->sent);
                enum scope_err err = scope_send(self, sender->stress->sink, &sender->held);
                if (err == SCOPE_ERR_AGAIN) {
                        assert_non_null(sender->held);
                        atomic_fetch_add(&sender->stress->refused, 1);
                        break;
                }
                assert_ok(err);
                assert_null(sender->held);
                sender->ended = last;
                sender->sent += !last;
        }
        if (!sender->ended) {
                struct scope_message *again = message_of(self, KIND_AGAIN, 0);
                assert_ok(scope_send(self, scope_self(self), &again));
        }
}

static void sink_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct stress *stress = *(struct stress **)state;
        unsigned number = (unsigned)(message->tag >> 32);
        (void)self;
        if (message->kind == KIND_PING && (uint32_t)message->tag != stress->received[number]++)
                stress->out_of_order++;
        if (message->kind == KIND_END && ++stress->ended == SENDERS)
                scope_system_drain(stress->system, MS(5000));
        scope_message_free(message);
}

static const struct scope_actor_class sender_class = { .name = "sender",
        .state_bytes = sizeof(struct sender),
        .init = sender_init,
        .receive = sender_receive };
static const struct scope_actor_class sink_class = {
        .name = "sink", .state_bytes = sizeof(void *), .init = keep_args, .receive = sink_receive
};

static void test_many_senders_into_a_small_mailbox_lose_nothing(void **state)
{
        struct scope_system_options options = options_of(3);
        struct stress stress = { 0 };
        (void)state;
        stress.system = system_of(&options);
        assert_ok(scope_system_add(stress.system,
                &(struct scope_actor_options){ .name = "sink",
                        .class_ = &sink_class,
                        .args = &stress,
                        .mailbox = { 8, 8, 16 },
                        .essential = true },
                &stress.sink));
        for (unsigned i = 0; i < SENDERS; i++) {
                char name[16];
                (void)snprintf(name, sizeof name, "s%u", i);
                (void)add(stress.system, name, i % 3, &sender_class, &stress);
        }
        assert_ok(scope_system_run(stress.system));
        for (unsigned i = 0; i < SENDERS; i++)
                assert_int_equal(stress.received[i], SENT);
        assert_int_equal(stress.out_of_order, 0);
        assert_true(atomic_load(&stress.refused) > 0);
        scope_system_destroy(stress.system);
}

/* --- timers ----------------------------------------------------------------------------------- */

struct tick_args {
        struct scope_system *system;
        unsigned ticks;
};

/* Each wait is over, or nearly, by the time the loop gets to arming its timer. */
static void tick_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct tick_args *args = *(struct tick_args **)state;
        uint64_t timer;
        scope_message_free(message);
        if (++args->ticks == 400)
                scope_system_drain(args->system, MS(5000));
        else
                assert_ok(scope_timer_start(self, 0, args->ticks % 4 * 1000, &timer));
}

static const struct scope_actor_class tick_class = { .name = "tick",
        .state_bytes = sizeof(void *),
        .init = keep_args,
        .receive = tick_receive };

static void test_timers_due_at_once_fire_at_once(void **state)
{
        struct scope_system_options options = options_of(1);
        struct tick_args args = { 0 };
        (void)state;
        args.system = system_of(&options);
        (void)add(args.system, "tick", 0, &tick_class, &args);
        assert_ok(scope_system_run(args.system));
        assert_int_equal(args.ticks, 400);
        scope_system_destroy(args.system);
}

/* --- drain, abort ----------------------------------------------------------------------------- */

struct busy_args {
        struct scope_system *system;
        bool never_idle;
        atomic_uint ticks, drains, finis;
};

static void busy_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct busy_args *args = *(struct busy_args **)state;
        uint64_t timer;
        scope_message_free(message);
        atomic_fetch_add(&args->ticks, 1);
        if (!scope_draining(self))
                assert_ok(scope_timer_start(self, 0, MS(1), &timer));
}

static void busy_drain(struct scope_actor *self, void *state)
{
        struct busy_args *args = *(struct busy_args **)state;
        (void)self;
        atomic_fetch_add(&args->drains, 1);
}

static bool busy_idle(const void *state)
{
        const struct busy_args *args = *(struct busy_args *const *)state;
        return !args->never_idle;
}

static void busy_fini(struct scope_actor *self, void *state)
{
        struct busy_args *args = *(struct busy_args **)state;
        (void)self;
        atomic_fetch_add(&args->finis, 1);
}

static const struct scope_actor_class busy_class = { .name = "busy",
        .state_bytes = sizeof(void *),
        .init = keep_args,
        .receive = busy_receive,
        .drain = busy_drain,
        .idle = busy_idle,
        .fini = busy_fini };

static struct busy_args *busy_for_signal;

static void on_signal(int number)
{
        (void)number;
        scope_system_drain(busy_for_signal->system, MS(5000));
}

static void busy_start(struct busy_args *args, pthread_t *thread)
{
        struct scope_system_options options = options_of(2);
        args->system = system_of(&options);
        (void)add(args->system, "one", 0, &busy_class, args);
        (void)add(args->system, "two", 1, &busy_class, args);
        assert_int_equal(pthread_create(thread, NULL, run_main, args->system), 0);
        while (atomic_load(&args->ticks) < 10)
                usleep(1000);
}

static void test_drain_from_another_thread_stops_every_actor(void **state)
{
        struct busy_args args = { 0 };
        pthread_t thread;
        (void)state;
        busy_start(&args, &thread);
        scope_system_drain(args.system, MS(5000));
        (void)pthread_join(thread, NULL);
        assert_int_equal(atomic_load(&args.drains), 2);
        scope_system_destroy(args.system);
        assert_int_equal(atomic_load(&args.finis), 2);
}

static void test_drain_from_a_signal_handler(void **state)
{
        struct busy_args args = { 0 };
        pthread_t thread;
        (void)state;
        busy_start(&args, &thread);
        busy_for_signal = &args;
        (void)signal(SIGUSR1, on_signal);
        assert_int_equal(raise(SIGUSR1), 0);
        (void)pthread_join(thread, NULL);
        (void)signal(SIGUSR1, SIG_DFL);
        assert_int_equal(atomic_load(&args.drains), 2);
        scope_system_destroy(args.system);
}

static void test_drain_ends_after_its_timeout(void **state)
{
        struct busy_args args = { .never_idle = true };
        pthread_t thread;
        (void)state;
        busy_start(&args, &thread);
        uint64_t begin_ns = scope_clock_ns(CLOCK_MONOTONIC);
        scope_system_drain(args.system, MS(60));
        (void)pthread_join(thread, NULL);
        uint64_t waited_ns = scope_clock_ns(CLOCK_MONOTONIC) - begin_ns;
        assert_true(waited_ns >= MS(55) && waited_ns < MS(5000));
        scope_system_destroy(args.system);
        assert_int_equal(atomic_load(&args.finis), 2);
}

static void test_abort_stops_at_once(void **state)
{
        struct busy_args args = { .never_idle = true };
        pthread_t thread;
        (void)state;
        busy_start(&args, &thread);
        scope_system_abort(args.system);
        (void)pthread_join(thread, NULL);
        assert_string_equal(scope_system_cause(args.system), "aborted");
        scope_system_destroy(args.system);
        assert_int_equal(atomic_load(&args.finis), 2);
}

/* --- failure ---------------------------------------------------------------------------------- */

struct fragile_args {
        struct scope_system *system;
        unsigned starts, fails_max;
        char notices[512];
};

static void fragile_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct fragile_args *args = *(struct fragile_args **)state;
        uint64_t timer;
        if (message->kind == SCOPE_KIND_START)
                args->starts++;
        if (message->kind == SCOPE_KIND_START && args->starts <= args->fails_max) {
                /* Neither the timer nor the job may reach the next incarnation. */
                assert_ok(scope_timer_start(self, 99, MS(1), &timer));
                scope_fail(self, SCOPE_ERR_DEVICE, "broke as told");
        } else if (message->kind == SCOPE_KIND_START)
                assert_ok(scope_timer_start(self, 1, MS(30), &timer));
        else if (message->kind == SCOPE_KIND_TIMER && message->tag == 1)
                scope_system_drain(args->system, MS(5000));
        else
                args->starts += 1000;
        scope_message_free(message);
}

static const struct scope_actor_class fragile_class = { .name = "fragile",
        .state_bytes = sizeof(void *),
        .init = keep_args,
        .receive = fragile_receive };

static void on_notice(void *context, const struct scope_notice *notice)
{
        struct fragile_args *args = context;
        size_t have = strlen(args->notices);
        (void)snprintf(args->notices + have, sizeof args->notices - have, "%s ", notice->name);
}

static void test_failed_actor_comes_back(void **state)
{
        struct fragile_args args = { .fails_max = 2 };
        struct scope_system_options options = options_of(1);
        struct scope_actor_usage usage;
        (void)state;
        options.notice = on_notice;
        options.notice_context = &args;
        args.system = system_of(&options);
        (void)add(args.system, "fragile", 0, &fragile_class, &args);
        assert_ok(scope_system_run(args.system));
        assert_int_equal(args.starts, 3);
        assert_true(scope_system_usage(args.system, 0, &usage));
        assert_int_equal(usage.restarts, 2);
        assert_string_equal(args.notices, "restart restart ");
        scope_system_destroy(args.system);
}

static void test_too_many_failures_end_the_system_with_the_first_cause(void **state)
{
        struct fragile_args args = { .fails_max = 100 };
        struct scope_system_options options = options_of(2);
        (void)state;
        options.restarts_max = 2;
        args.system = system_of(&options);
        (void)add(args.system, "pong", 0, &pong_class, NULL);
        (void)add(args.system, "fragile", 1, &fragile_class, &args);
        assert_int_equal(scope_system_run(args.system), SCOPE_ERR_DEVICE);
        assert_non_null(strstr(scope_system_cause(args.system), "fragile"));
        assert_non_null(strstr(scope_system_cause(args.system), "broke as told"));
        scope_system_destroy(args.system);
}

/* --- deadlines and waits ---------------------------------------------------------------------- */

struct hold {
        void *args;
        struct scope_message *held;
};

static void hold_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct hold *hold = state;
        (void)self;
        if (message->kind == KIND_PING && hold->held == NULL)
                hold->held = message;
        else
                scope_message_free(message);
}

static void hold_fini(struct scope_actor *self, void *state)
{
        struct hold *hold = state;
        (void)self;
        scope_message_free(hold->held);
}

static const struct scope_actor_class hold_class = { .name = "hold",
        .state_bytes = sizeof(struct hold),
        .init = keep_args,
        .receive = hold_receive,
        .fini = hold_fini };

struct asker_args {
        struct scope_system *system;
        struct scope_address hold;
        uint64_t begin_ns, waited_ns;
        enum scope_err err;
        unsigned waits;
        char wait[256];
};

static void asker_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct asker_args *args = *(struct asker_args **)state;
        uint64_t correlation;
        if (message->kind == SCOPE_KIND_START) {
                struct scope_message *ask = message_of(self, KIND_PING, 5);
                args->begin_ns = scope_now_ns(self);
                assert_ok(
                        scope_request(self, args->hold, &ask, MS(150), "an answer", &correlation));
        } else {
                args->waited_ns = scope_now_ns(self) - args->begin_ns;
                args->err = message->kind == SCOPE_KIND_ERROR && message->tag == 5
                                    ? message->err
                                    : SCOPE_ERR_INTERNAL;
                scope_system_drain(args->system, MS(50));
        }
        scope_message_free(message);
}

static const struct scope_actor_class asker_class = {
        .name = "asker", .state_bytes = sizeof(void *), .init = keep_args, .receive = asker_receive
};

static void on_wait(void *context, const struct scope_notice *notice)
{
        struct asker_args *args = context;
        if (strcmp(notice->name, "wait") != 0)
                return;
        args->waits++;
        (void)snprintf(args->wait, sizeof args->wait, "%s", notice->text);
}

static void test_unanswered_request_ends_at_its_deadline_and_was_reported(void **state)
{
        struct asker_args args = { 0 };
        struct scope_system_options options = options_of(2);
        (void)state;
        options.wait_report_ns = MS(40);
        options.notice = on_wait;
        options.notice_context = &args;
        args.system = system_of(&options);
        args.hold = add(args.system, "hold", 1, &hold_class, NULL);
        (void)add(args.system, "asker", 0, &asker_class, &args);
        (void)scope_system_run(args.system);
        assert_int_equal(args.err, SCOPE_ERR_DEADLINE);
        assert_true(args.waited_ns >= MS(150) && args.waited_ns < MS(3000));
        assert_int_equal(args.waits, 1);
        assert_non_null(strstr(args.wait, "asker waits for hold: an answer"));
        scope_system_destroy(args.system);
}

/* --- set up and given up ---------------------------------------------------------------------- */

static void test_system_that_never_ran_is_taken_apart(void **state)
{
        struct busy_args args = { 0 };
        struct scope_system_options options = options_of(3);
        (void)state;
        struct scope_system *system = system_of(&options);
        (void)add(system, "busy", 2, &busy_class, &args);
        scope_system_destroy(system);
        assert_int_equal(atomic_load(&args.finis), 1);
        scope_system_destroy(NULL);
}

static void test_pinned_loops_give_the_thread_back(void **state)
{
        struct scope_system_options options = options_of(2);
        struct ping_args args = { .rounds = 10 };
        int loop_cores[2] = { 0, 100000 }, compute_cores[2] = { -1, 0 };
        cpu_set_t before, after;
        (void)state;
        options.loop_cores = loop_cores;
        options.compute_cores = compute_cores;
        args.system = system_of(&options);
        args.pong = add(args.system, "pong", 1, &pong_class, NULL);
        (void)add(args.system, "ping", 0, &ping_class, &args);
        CPU_ZERO(&before);
        CPU_ZERO(&after);
        (void)pthread_getaffinity_np(pthread_self(), sizeof before, &before);
        assert_ok(scope_system_run(args.system));
        (void)pthread_getaffinity_np(pthread_self(), sizeof after, &after);
        assert_true(CPU_EQUAL(&before, &after));
        scope_system_destroy(args.system);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ping_pong_on_one_loop),
                cmocka_unit_test(test_ping_pong_over_two_loops),
                cmocka_unit_test(test_timed_jobs_take_their_time_and_no_worker),
                cmocka_unit_test(test_a_timed_job_does_not_outlive_its_actor),
                cmocka_unit_test(test_many_senders_into_a_small_mailbox_lose_nothing),
                cmocka_unit_test(test_timers_due_at_once_fire_at_once),
                cmocka_unit_test(test_drain_from_another_thread_stops_every_actor),
                cmocka_unit_test(test_drain_from_a_signal_handler),
                cmocka_unit_test(test_drain_ends_after_its_timeout),
                cmocka_unit_test(test_abort_stops_at_once),
                cmocka_unit_test(test_failed_actor_comes_back),
                cmocka_unit_test(test_too_many_failures_end_the_system_with_the_first_cause),
                cmocka_unit_test(test_unanswered_request_ends_at_its_deadline_and_was_reported),
                cmocka_unit_test(test_system_that_never_ran_is_taken_apart),
                cmocka_unit_test(test_pinned_loops_give_the_thread_back),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
