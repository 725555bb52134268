/* The refiner in the real environment: sockets, libcurl and our own teacher on loopback. */
#include "tests/actors/world.h"

#include <pthread.h>

#include "cli/teacher_server.h"

struct service {
        struct scope_teacher_server *server;
        pthread_t thread;
};

static void *serve(void *arg)
{
        assert_ok(scope_teacher_server_run(arg));
        return NULL;
}

static struct scope_teacher_server_options service_options(void)
{
        return (struct scope_teacher_server_options){ .listen = "127.0.0.1:0",
                .model = "solver",
                .concurrency = 64,
                .script = { .latency = "uniform:1ms-20ms", .seed = 5 } };
}

static void service_start(struct service *service, struct world *world,
        const struct scope_teacher_server_options *options)
{
        struct scope_diag diag = { "" };
        if (scope_teacher_server_create(options, &service->server, &diag) != SCOPE_OK)
                fail_msg("%s", diag.text);
        assert_int_equal(pthread_create(&service->thread, NULL, serve, service->server), 0);
        (void)snprintf(world->options.teacher.url, sizeof world->options.teacher.url,
                "http://127.0.0.1:%u/v1", scope_teacher_server_port(service->server));
}

static struct scope_teacher_counts service_stop(struct service *service)
{
        scope_teacher_server_stop(service->server);
        assert_int_equal(pthread_join(service->thread, NULL), 0);
        struct scope_teacher_counts counts = scope_teacher_server_counts(service->server);
        scope_teacher_server_destroy(service->server);
        return counts;
}

static void run(struct world *world)
{
        struct scope_system_options options = world_options(world, 1);
        assert_ok(scope_system_create(&options, &world->system));
        world_add(world);
        if (scope_system_run(world->system) != SCOPE_OK)
                fail_msg("%s", scope_system_cause(world->system));
}

static uint32_t count_of(const struct world *world, enum scope_refine_verdict verdict)
{
        uint32_t count = 0;
        for (uint32_t i = 0; i < world->count; i++)
                count += !world->asked[i].error && world->asked[i].verdict == verdict;
        return count;
}

static void accepts_all(bool stream)
{
        struct world world;
        struct service service;
        struct scope_teacher_server_options options = service_options();
        world_init(&world, 60);
        world.options.teacher.stream = stream;
        world.options.teacher.concurrency = 8;
        service_start(&service, &world, &options);
        run(&world);
        assert_int_equal(count_of(&world, SCOPE_REFINE_ACCEPTED), 60);
        assert_close(world_gauge(&world, "teacher/calls"), 60, 0);
        assert_true(world_gauge(&world, "teacher/tokens_out") > 0);
        double p50 = world_gauge(&world, "teacher/latency_p50");
        assert_true(p50 > 0.001 && p50 < 1);
        world_fini(&world);
        assert_int_equal(service_stop(&service).calls, 60);
}

static void test_whole_bodies(void **state)
{
        (void)state;
        accepts_all(false);
}

static void test_streams(void **state)
{
        (void)state;
        accepts_all(true);
}

static void survives_faults(bool stream)
{
        struct world world;
        struct service service;
        struct scope_teacher_server_options options = service_options();
        (void)snprintf(options.script.faults, sizeof options.script.faults,
                "busy=0.04,error=0.04,unavailable=0.04,cut=0.04,garbage=0.04,wrong=0.04,"
                "keep_alive=0.04,error_chunk=0.04,length=0.04,empty=0.04");
        options.script.retry_after = SCOPE_TEACHER_RETRY_ABSENT; /* whole seconds are long here */
        world_init(&world, 200);
        world.options.teacher.stream = stream;
        world.options.teacher.max_retries = 5;
        world.options.teacher.backoff = (int64_t)REFINER_MS(10);
        service_start(&service, &world, &options);
        run(&world);
        /* nobody is lost; few rejections are rejected twice */
        assert_int_equal(world.answered, 200);
        assert_true(count_of(&world, SCOPE_REFINE_ACCEPTED) >= 185);
        assert_int_equal(count_of(&world, SCOPE_REFINE_SKIPPED), 0);
        assert_true(world_gauge(&world, "teacher/errors_busy") > 0);
        assert_true(world_gauge(&world, "teacher/errors_malformed") > 0);
        assert_true(world_gauge(&world, "teacher/errors_net") > 0);
        assert_true(world_gauge(&world, "teacher/retries") > 20);
        world_fini(&world);
        (void)service_stop(&service);
}

static void test_faults_in_whole_bodies(void **state)
{
        (void)state;
        survives_faults(false);
}

static void test_faults_in_streams(void **state)
{
        (void)state;
        survives_faults(true);
}

/* A server that leaves a call for the next one asks for fewer at once, and is no failure. */
static void test_a_preempted_stream_slows_down(void **state)
{
        (void)state;
        struct world world;
        struct service service;
        struct scope_teacher_server_options options = service_options();
        (void)snprintf(options.script.faults, sizeof options.script.faults, "preempt=0.3");
        world_init(&world, 60);
        world.options.teacher.stream = true;
        world.options.teacher.concurrency = 8;
        world.options.teacher.max_retries = 20;
        world.options.teacher.backoff = (int64_t)REFINER_MS(2);
        world.options.teacher.circuit_failures = 2;
        service_start(&service, &world, &options);
        run(&world);
        assert_int_equal(count_of(&world, SCOPE_REFINE_ACCEPTED), 60);
        assert_true(world_gauge(&world, "teacher/errors_busy") > 0);
        assert_close(world_gauge(&world, "teacher/errors"),
                world_gauge(&world, "teacher/errors_busy"), 0);
        world_fini(&world);
        (void)service_stop(&service);
}

static void test_a_hanging_teacher_costs_the_deadline_only(void **state)
{
        (void)state;
        struct world world;
        struct service service;
        struct scope_teacher_server_options options = service_options();
        (void)snprintf(options.script.faults, sizeof options.script.faults, "hang=1");
        world_init(&world, 4);
        for (uint32_t i = 0; i < 4; i++)
                world.asked[i].timeout_ns = REFINER_MS(300);
        service_start(&service, &world, &options);
        run(&world);
        for (uint32_t i = 0; i < 4; i++) {
                assert_int_equal(world.asked[i].verdict, SCOPE_REFINE_FAILED);
                assert_true(world.asked[i].took_ns >= REFINER_MS(300));
                assert_true(world.asked[i].took_ns < REFINER_MS(1200));
        }
        assert_close(world_gauge(&world, "teacher/errors_timeout"), 4, 0);
        world_fini(&world);
        (void)service_stop(&service);
}

static void test_a_huge_body_is_cut_off(void **state)
{
        (void)state;
        struct world world;
        struct service service;
        struct scope_teacher_server_options options = service_options();
        (void)snprintf(options.script.faults, sizeof options.script.faults, "huge=1");
        options.script.huge_bytes = 8 << 20;
        world_init(&world, 1);
        world.options.teacher.max_retries = 0;
        world.options.teacher.response_max = 1 << 16;
        service_start(&service, &world, &options);
        run(&world);
        assert_int_equal(world.asked[0].verdict, SCOPE_REFINE_FAILED);
        assert_close(world_gauge(&world, "teacher/errors_malformed"), 1, 0);
        world_fini(&world);
        (void)service_stop(&service);
}

static void test_nobody_listens(void **state)
{
        (void)state;
        struct world world;
        struct service service;
        struct scope_teacher_server_options options = service_options();
        world_init(&world, 20);
        service_start(&service, &world, &options); /* for a port that is free afterwards */
        (void)service_stop(&service);
        for (uint32_t i = 10; i < 20; i++)
                world.asked[i].at_ns = REFINER_MS(1500);
        run(&world);
        assert_int_equal(
                count_of(&world, SCOPE_REFINE_FAILED) + count_of(&world, SCOPE_REFINE_SKIPPED), 20);
        for (uint32_t i = 10; i < 20; i++)
                assert_int_equal(world.asked[i].verdict, SCOPE_REFINE_SKIPPED);
        assert_int_equal(world.states, 1);
        assert_false(world.up[0]);
        world_fini(&world);
}

static void test_the_key_opens_and_a_wrong_one_is_fatal(void **state)
{
        (void)state;
        for (int wrong = 0; wrong < 2; wrong++) {
                struct world world;
                struct service service;
                struct scope_teacher_server_options options = service_options();
                (void)snprintf(options.api_key_env, sizeof options.api_key_env, "SCOPE_TEST_KEY");
                assert_int_equal(setenv("SCOPE_TEST_KEY", wrong ? "other" : REFINER_KEY, 1), 0);
                world_init(&world, 2);
                world.asked[1].at_ns = REFINER_MS(300);
                service_start(&service, &world, &options);
                run(&world);
                assert_int_equal(world.asked[0].verdict,
                        wrong ? SCOPE_REFINE_FAILED : SCOPE_REFINE_ACCEPTED);
                assert_int_equal(world.asked[1].verdict,
                        wrong ? SCOPE_REFINE_SKIPPED : SCOPE_REFINE_ACCEPTED);
                assert_int_equal(strstr(world.words, "teacher.api_key_env") != NULL, wrong);
                world_fini(&world);
                (void)service_stop(&service);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_whole_bodies),
                cmocka_unit_test(test_streams),
                cmocka_unit_test(test_faults_in_whole_bodies),
                cmocka_unit_test(test_faults_in_streams),
                cmocka_unit_test(test_a_preempted_stream_slows_down),
                cmocka_unit_test(test_a_hanging_teacher_costs_the_deadline_only),
                cmocka_unit_test(test_a_huge_body_is_cut_off),
                cmocka_unit_test(test_nobody_listens),
                cmocka_unit_test(test_the_key_opens_and_a_wrong_one_is_fatal),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
