#include "tests/runtime/real.h"

#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "runtime/spin.h"
#include "tests/runtime/http_peer.h"

/* --- compute ---------------------------------------------------------------------------------- */

enum { JOBS = 40 };

struct compute_args {
        struct scope_system *system;
        pthread_barrier_t barrier;
        atomic_uint ranks, io_runs, inside, left;
        unsigned done, failed, submitted;
        bool fail_with_job;
};

static enum scope_err run_gang(void *arg, unsigned rank, unsigned size)
{
        struct compute_args *args = arg;
        if (size != 2)
                return SCOPE_ERR_INTERNAL;
        atomic_fetch_add(&args->ranks, 1 + rank);
        for (int i = 0; i < 3; i++)
                (void)pthread_barrier_wait(&args->barrier);
        return SCOPE_OK;
}

static enum scope_err run_io(void *arg, unsigned rank, unsigned size)
{
        struct compute_args *args = arg;
        atomic_fetch_add(&args->io_runs, size + rank);
        usleep(1000);
        return SCOPE_ERR_NO_SPACE;
}

static void compute_next(struct scope_actor *self, struct compute_args *args)
{
        bool io = args->submitted % 4 == 3;
        struct scope_job job = {
                .run = io ? run_io : run_gang, .arg = args, .cores = 2, .io = io, .what = "gang"
        };
        assert_ok(scope_compute(self, &job, args->submitted++));
}

static void compute_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct compute_args *args = *(struct compute_args **)state;
        if (message->kind == SCOPE_KIND_START)
                for (int i = 0; i < 8; i++)
                        compute_next(self, args);
        if (message->kind == SCOPE_KIND_COMPUTE_DONE) {
                bool io = message->tag % 4 == 3;
                if (message->err != (io ? SCOPE_ERR_NO_SPACE : SCOPE_OK))
                        args->failed++;
                if (++args->done == JOBS)
                        scope_system_drain(args->system, MS(5000));
                if (args->submitted < JOBS)
                        compute_next(self, args);
        }
        scope_message_free(message);
}

static const struct scope_actor_class compute_class = { .name = "compute",
        .state_bytes = sizeof(void *),
        .init = keep_args,
        .receive = compute_receive };

static void test_gangs_meet_and_report_back(void **state)
{
        struct compute_args args = { 0 };
        struct scope_system_options options = options_of(1);
        struct scope_system_cpu cpu;
        (void)state;
        (void)pthread_barrier_init(&args.barrier, NULL, 2);
        args.system = system_of(&options);
        (void)add(args.system, "compute", 0, &compute_class, &args);
        assert_ok(scope_system_run(args.system));
        assert_int_equal(args.done, JOBS);
        assert_int_equal(args.failed, 0);
        assert_int_equal(atomic_load(&args.ranks), 3 * JOBS * 3 / 4);
        assert_int_equal(atomic_load(&args.io_runs), JOBS / 4);
        assert_true(scope_system_cpu(args.system, &cpu));
        assert_true(cpu.compute_ns > 0);
        scope_system_destroy(args.system);
        (void)pthread_barrier_destroy(&args.barrier);
}

static enum scope_err run_slow(void *arg, unsigned rank, unsigned size)
{
        struct compute_args *args = arg;
        (void)rank;
        (void)size;
        atomic_fetch_add(&args->inside, 1);
        usleep(30000);
        atomic_fetch_add(&args->left, 1);
        return SCOPE_OK;
}

static void slow_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct compute_args *args = *(struct compute_args **)state;
        if (message->kind == SCOPE_KIND_START) {
                struct scope_job job = { .run = run_slow, .arg = args, .cores = 2, .what = "slow" };
                for (int i = 0; i < 4; i++)
                        assert_ok(scope_compute(self, &job, 1));
                args->submitted++;
                if (args->fail_with_job && args->submitted == 1)
                        scope_fail(self, SCOPE_ERR_DEVICE, "broke with jobs under way");
                else if (!args->fail_with_job)
                        scope_system_abort(args->system);
        } else if (++args->done == 4)
                scope_system_drain(args->system, MS(5000));
        scope_message_free(message);
}

static const struct scope_actor_class slow_class = {
        .name = "slow", .state_bytes = sizeof(void *), .init = keep_args, .receive = slow_receive
};

static void test_abort_with_jobs_under_way_waits_for_their_memory(void **state)
{
        struct compute_args args = { 0 };
        struct scope_system_options options = options_of(1);
        (void)state;
        args.system = system_of(&options);
        (void)add(args.system, "slow", 0, &slow_class, &args);
        assert_int_equal(scope_system_run(args.system), SCOPE_ERR_CANCELLED);
        assert_int_equal(atomic_load(&args.left), atomic_load(&args.inside)); /* none runs on */
        scope_system_destroy(args.system);
        unsigned inside = atomic_load(&args.inside);
        assert_in_range(inside, 0, 4);
        usleep(50000);
        assert_int_equal(atomic_load(&args.inside), inside); /* nothing runs on afterwards */
        assert_int_equal(args.done, 0);
}

static void test_jobs_of_a_dead_incarnation_do_not_report_to_the_next(void **state)
{
        struct compute_args args = { .fail_with_job = true };
        struct scope_system_options options = options_of(1);
        (void)state;
        args.system = system_of(&options);
        (void)add(args.system, "slow", 0, &slow_class, &args);
        assert_ok(scope_system_run(args.system));
        assert_int_equal(args.submitted, 2);
        assert_int_equal(args.done, 4);
        scope_system_destroy(args.system);
}

/* --- files ------------------------------------------------------------------------------------ */

struct file_args {
        struct scope_system *system;
        unsigned done, out_of_order;
        enum scope_err refused;
};

static void file_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct file_args *args = *(struct file_args **)state;
        if (message->kind == SCOPE_KIND_START) {
                for (unsigned i = 0; i < 100; i++) {
                        char line[32];
                        int count = snprintf(line, sizeof line, "line %u\n", i);
                        assert_ok(i % 10 == 9
                                          ? scope_file_replace(
                                                    self, "sub/status", line, (size_t)count, i)
                                          : scope_file_append(self, "log", line, (size_t)count, i));
                }
                args->refused = scope_file_append(self, "../out", "x", 1, 0);
        }
        if (message->kind == SCOPE_KIND_FILE_DONE) {
                if (message->err != SCOPE_OK || message->tag != args->done)
                        args->out_of_order++;
                if (++args->done == 100)
                        scope_system_drain(args->system, MS(5000));
        }
        scope_message_free(message);
}

static const struct scope_actor_class file_class = {
        .name = "file", .state_bytes = sizeof(void *), .init = keep_args, .receive = file_receive
};

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
        (void)status;
        (void)type;
        (void)walk;
        return remove(path);
}

static void test_files_are_written_in_order(void **state)
{
        struct file_args args = { 0 };
        struct scope_system_options options = options_of(1);
        char directory[] = "/tmp/scope-real-XXXXXX", path[128], *bytes = NULL;
        size_t count = 0;
        (void)state;
        assert_non_null(mkdtemp(directory));
        options.directory = directory;
        args.system = system_of(&options);
        (void)add(args.system, "file", 0, &file_class, &args);
        assert_ok(scope_system_run(args.system));
        scope_system_destroy(args.system);
        assert_int_equal(args.out_of_order, 0);
        assert_int_equal(args.refused, SCOPE_ERR_ARGUMENT);
        (void)snprintf(path, sizeof path, "%s/sub/status", directory);
        assert_ok(scope_file_read(path, 1000, &bytes, &count, NULL));
        assert_string_equal(bytes, "line 99\n");
        free(bytes);
        (void)snprintf(path, sizeof path, "%s/log", directory);
        assert_ok(scope_file_read(path, 10000, &bytes, &count, NULL));
        assert_memory_equal(bytes, "line 0\nline 1\n", 14);
        assert_int_equal(count, 9 * 7 + 81 * 8);
        free(bytes);
        (void)nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        options.directory = "/tmp/scope-no-such-directory";
        assert_int_equal(scope_system_create(&options, &args.system), SCOPE_ERR_NOT_FOUND);
}

/* --- HTTP ------------------------------------------------------------------------------------- */

enum { CALL_ECHO, CALL_CHUNKED, CALL_HANG, CALL_CANCELLED, CALL_REFUSED, CALLS };

struct http_args {
        struct scope_system *system;
        int port;
        bool leave_hanging;
        unsigned done, bad_urls;
        char body[CALLS][64];
        struct scope_http_result result[CALLS];
        enum scope_err err[CALLS];
};

static uint64_t http_call(struct scope_actor *self, struct http_args *args, const char *path,
        uint64_t timeout_ns, uint64_t tag)
{
        char url[128];
        uint64_t call = 0;
        (void)snprintf(url, sizeof url, "http://127.0.0.1:%d%s", args->port, path);
        assert_ok(scope_http_start(self,
                &(struct scope_http_request){ .method = "POST",
                        .url = url,
                        .body = "hello",
                        .body_bytes = 5,
                        .response_bytes_max = 60,
                        .timeout_ns = timeout_ns },
                tag, &call));
        return call;
}

static void http_begin(struct scope_actor *self, struct http_args *args)
{
        uint64_t call;
        if (args->leave_hanging) {
                (void)http_call(self, args, "/hang", MS(60000), CALL_HANG);
                if (args->done++ == 0)
                        scope_fail(self, SCOPE_ERR_DEVICE, "broke with a call under way");
                else
                        scope_system_abort(args->system);
                return;
        }
        (void)http_call(self, args, "/echo", MS(5000), CALL_ECHO);
        (void)http_call(self, args, "/chunked", MS(5000), CALL_CHUNKED);
        (void)http_call(self, args, "/hang", MS(100), CALL_HANG);
        (void)http_call(self, args, "/retry/seconds", MS(5000), CALL_REFUSED);
        scope_http_cancel(self, http_call(self, args, "/echo", MS(5000), CALL_CANCELLED));
        args->bad_urls +=
                scope_http_start(self,
                        &(struct scope_http_request){
                                .method = "GET", .url = "http://example.com/", .timeout_ns = 1 },
                        0, &call) == SCOPE_ERR_ARGUMENT;
}

static void http_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct http_args *args = *(struct http_args **)state;
        if (message->kind == SCOPE_KIND_START)
                http_begin(self, args);
        if (message->kind == SCOPE_KIND_HTTP_DATA)
                (void)snprintf(args->body[message->tag] + strlen(args->body[message->tag]),
                        64 - strlen(args->body[message->tag]), "%.*s", (int)message->bytes,
                        (const char *)message->payload);
        if (message->kind == SCOPE_KIND_HTTP_DONE) {
                assert_int_equal(message->bytes, sizeof args->result[0]);
                memcpy(&args->result[message->tag], message->payload, message->bytes);
                args->err[message->tag] = message->err;
                if (++args->done == CALLS - 1)
                        scope_system_drain(args->system, MS(5000));
        }
        scope_message_free(message);
}

static const struct scope_actor_class http_class = {
        .name = "http", .state_bytes = sizeof(void *), .init = keep_args, .receive = http_receive
};

static void test_http_calls_come_back_as_messages(void **state)
{
        struct http_args args = { 0 };
        struct scope_system_options options = options_of(2);
        struct http_peer *peer = http_peer_start();
        (void)state;
        args.port = peer->port;
        args.err[CALL_CANCELLED] = SCOPE_ERR_COUNT;
        args.system = system_of(&options);
        (void)add(args.system, "http", 1, &http_class, &args);
        assert_ok(scope_system_run(args.system));
        scope_system_destroy(args.system);
        http_peer_stop(peer);
        assert_ok(args.err[CALL_ECHO]);
        assert_string_equal(args.body[CALL_ECHO], "hello");
        assert_int_equal(args.result[CALL_ECHO].status, 200);
        assert_string_equal(args.body[CALL_CHUNKED], "chunk chunk chunk chunk chunk ");
        assert_int_equal(args.result[CALL_CHUNKED].bytes, 30);
        assert_int_equal(args.err[CALL_HANG], SCOPE_ERR_DEADLINE);
        assert_int_equal(args.result[CALL_REFUSED].status, 429);
        assert_true(args.result[CALL_REFUSED].retry_after_ns == 7000000000);
        assert_int_equal(args.err[CALL_CANCELLED], SCOPE_ERR_COUNT);
        assert_string_equal(args.body[CALL_CANCELLED], "");
        assert_int_equal(args.bad_urls, 1);
}

static void test_hanging_calls_hold_up_neither_restart_nor_abort(void **state)
{
        struct http_args args = { .leave_hanging = true };
        struct scope_system_options options = options_of(1);
        struct http_peer *peer = http_peer_start();
        (void)state;
        uint64_t begin_ns = scope_clock_ns(CLOCK_MONOTONIC);
        args.port = peer->port;
        args.system = system_of(&options);
        (void)add(args.system, "http", 0, &http_class, &args);
        assert_int_equal(scope_system_run(args.system), SCOPE_ERR_CANCELLED);
        scope_system_destroy(args.system);
        http_peer_stop(peer);
        assert_int_equal(args.done, 2);
        assert_true(scope_clock_ns(CLOCK_MONOTONIC) - begin_ns < MS(5000));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_gangs_meet_and_report_back),
                cmocka_unit_test(test_abort_with_jobs_under_way_waits_for_their_memory),
                cmocka_unit_test(test_jobs_of_a_dead_incarnation_do_not_report_to_the_next),
                cmocka_unit_test(test_files_are_written_in_order),
                cmocka_unit_test(test_http_calls_come_back_as_messages),
                cmocka_unit_test(test_hanging_calls_hold_up_neither_restart_nor_abort),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
