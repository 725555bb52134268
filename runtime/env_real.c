/* env_real.c - the real environment: loops on libuv, the compute pool, files, HTTP.
 * Why: behind env.h the core knows no thread, socket or file; this file joins it to those that do.
 * (1) A loop's HTTP client is made by its first call. (2) Jobs and files come back through
 * scope_operation_post, HTTP ends on its own loop. (3) Taken apart in this order: threads of loops
 * (run), compute pool, what it posted, HTTP clients, loops. */
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "runtime/compute_pool.h"
#include "runtime/core.h"
#include "runtime/env.h"
#include "runtime/file_store.h"
#include "runtime/http_curl.h"
#include "runtime/loop.h"
#include "runtime/spin.h"
#include "runtime/system.h"
#include "runtime/thread.h"
#include "runtime/topology_hwloc.h"

struct real_loop {
        struct scope_uv_loop *uv;
        struct scope_http_client *http; /* NULL until the first call */
        pthread_t thread;
        int core; /* to pin to, or -1 */
};

struct real_env {
        struct scope_compute_pool *pool;
        struct scope_file_store *files; /* NULL: no directory was given */
        unsigned loop_count, started;
        struct real_loop loops[];
};

/* What follows struct scope_operation. */
struct real_operation {
        struct scope_timer_node node;   /* COMPUTE, timed: first, so that the node is the whole */
        struct scope_operation *operation;
        struct scope_compute_task task; /* COMPUTE, APPEND, REPLACE */
        struct scope_http_call *call;   /* HTTP */
};

static uint64_t real_now_ns(struct scope_loop *loop)
{
        return scope_clock_now(&loop->clock);
}

static void real_wake(struct scope_loop *loop)
{
        const struct real_loop *real = loop->env;
        scope_uv_loop_wake(real->uv);
}

/* --- operations ------------------------------------------------------------------------------- */

static void task_done(struct scope_compute_task *task, enum scope_err err)
{
        struct scope_operation *operation = task->owner;
        operation->queued_ns = task->queued_ns;
        scope_operation_post(operation, err);
}

static enum scope_err run_file(void *arg, unsigned rank, unsigned size)
{
        struct scope_operation *operation = arg;
        const struct real_env *env = operation->loop->system->env;
        (void)rank;
        (void)size;
        return operation->kind == SCOPE_OPERATION_APPEND
                       ? scope_file_store_append(
                                 env->files, operation->name, operation->bytes, operation->count)
                       : scope_file_store_replace(
                                 env->files, operation->name, operation->bytes, operation->count);
}

static enum scope_err http_data(void *owner, const void *bytes, size_t count)
{
        return scope_operation_data(owner, bytes, count);
}

static void http_done(void *owner, enum scope_err err, const struct scope_http_result *result)
{
        struct scope_operation *operation = owner;
        operation->http = *result;
        scope_operation_finish(operation, err);
}

static enum scope_err http_start(
        struct scope_operation *operation, const struct scope_http_request *request)
{
        static const struct scope_http_handler handler = { .data = http_data, .done = http_done };
        struct real_operation *real = scope_operation_env(operation);
        struct real_loop *loop = operation->loop->env;
        enum scope_err err = SCOPE_OK;
        if (loop->http == NULL)
                err = scope_http_client_create(
                        scope_uv_loop_handle(loop->uv), &handler, &loop->http);
        if (err == SCOPE_OK)
                err = scope_http_client_start(loop->http, request, operation, NULL, &real->call);
        return err;
}

static void submit_job(struct scope_operation *operation)
{
        const struct real_env *env = operation->loop->system->env;
        struct real_operation *real = scope_operation_env(operation);
        real->task.job = operation->job;
        scope_compute_pool_submit(env->pool, &real->task);
}

/* A timed job's cost is over: what is left of it needs a worker, or nothing. */
static void cost_over(void *owner, struct scope_timer_node *node)
{
        struct scope_operation *operation = ((struct real_operation *)node)->operation;
        (void)owner;
        if (operation->job.run == NULL || operation->job.cost_only)
                scope_operation_finish(operation, SCOPE_OK);
        else
                submit_job(operation);
}

static enum scope_err start_timed(struct scope_operation *operation)
{
        struct scope_loop *loop = operation->loop;
        struct real_operation *real = scope_operation_env(operation);
        uint64_t since_ns = operation->job.since_ns != 0 ? operation->job.since_ns : loop->now_ns;
        real->operation = operation;
        real->node = (struct scope_timer_node){ .at_ns = since_ns + operation->job.cost_ns,
                .fire = cost_over };
        return scope_timer_heap_add(&loop->timers, &real->node);
}

static enum scope_err real_start(
        struct scope_operation *operation, const struct scope_http_request *request)
{
        const struct real_env *env = operation->loop->system->env;
        struct real_operation *real = scope_operation_env(operation);
        if (operation->kind == SCOPE_OPERATION_HTTP)
                return http_start(operation, request);
        real->task.done = task_done;
        real->task.owner = operation;
        if (operation->kind == SCOPE_OPERATION_COMPUTE) {
                if (operation->job.timed)
                        return start_timed(operation);
                if (operation->job.run == NULL) /* only a cost, which only the simulator charges */
                        scope_operation_post(operation, SCOPE_OK);
                else
                        submit_job(operation);
                return SCOPE_OK;
        }
        real->task.job = (struct scope_job){
                .run = run_file, .arg = operation, .io = true, .what = operation->what
        };
        scope_compute_pool_submit(env->pool, &real->task);
        return SCOPE_OK;
}

/* Jobs and files run on and are posted as ever; one that only waits has not begun. */
static void real_cancel(struct scope_operation *operation)
{
        struct real_operation *real = scope_operation_env(operation);
        if (operation->kind == SCOPE_OPERATION_COMPUTE && real->node.position != 0) {
                scope_timer_heap_remove(&operation->loop->timers, &real->node);
                scope_operation_finish(operation, SCOPE_ERR_CANCELLED);
                return;
        }
        if (operation->kind != SCOPE_OPERATION_HTTP)
                return;
        scope_http_client_cancel(real->call);
        scope_operation_finish(operation, SCOPE_ERR_CANCELLED);
}

/* --- running ---------------------------------------------------------------------------------- */

static void *loop_main(void *arg)
{
        struct real_loop *loop = arg;
        (void)pthread_setname_np(pthread_self(), "scope-loop"); /* only for people who look */
        (void)scope_thread_pin(loop->core);                     /* unbound is slower, not wrong */
        scope_uv_loop_drive(loop->uv);
        return NULL;
}

static enum scope_err real_run(struct scope_system *system)
{
        struct real_env *env = system->env;
        enum scope_err err = SCOPE_OK;
        cpu_set_t before;
        for (env->started = 1; env->started < env->loop_count; env->started++) {
                struct real_loop *loop = &env->loops[env->started];
                if (scope_thread_create(&loop->thread, loop_main, loop) == SCOPE_OK)
                        continue;
                err = SCOPE_ERR_INTERNAL;
                scope_system_abort(system);
                break;
        }
        bool pinned = env->loops[0].core >= 0 &&
                      pthread_getaffinity_np(pthread_self(), sizeof before, &before) == 0 &&
                      scope_thread_pin(env->loops[0].core) == SCOPE_OK;
        scope_uv_loop_drive(env->loops[0].uv);
        for (unsigned i = 1; i < env->started; i++)
                (void)pthread_join(env->loops[i].thread, NULL);
        if (pinned) /* the thread is the caller's again */
                (void)pthread_setaffinity_np(pthread_self(), sizeof before, &before);
        return err;
}

/* --- made and taken apart --------------------------------------------------------------------- */

static void real_still(struct scope_system *system)
{
        struct real_env *env = system->env;
        if (env != NULL && env->pool != NULL)
                scope_compute_pool_stop(env->pool);
}

static void real_destroy(struct scope_system *system)
{
        struct real_env *env = system->env;
        if (env == NULL)
                return;
        scope_compute_pool_destroy(env->pool);
        for (unsigned i = 0; i < env->loop_count && env->loops[i].uv != NULL; i++) {
                scope_uv_loop_finish_posted(env->loops[i].uv);
                scope_http_client_destroy(env->loops[i].http);
                scope_uv_loop_destroy(env->loops[i].uv);
        }
        scope_file_store_destroy(env->files);
        free(env);
        system->env = NULL;
}

static const struct scope_env_ops real_ops = {
        .name = "real",
        .operation_bytes = sizeof(struct real_operation),
        .now_ns = real_now_ns,
        .wake = real_wake,
        .start = real_start,
        .cancel = real_cancel,
        .run = real_run,
        .still = real_still,
        .destroy = real_destroy,
};

static enum scope_err env_build(
        struct scope_system *system, const struct scope_system_options *options)
{
        struct scope_topology topology;
        struct real_env *env = calloc(1, sizeof *env + options->loops * sizeof env->loops[0]);
        if (env == NULL)
                return SCOPE_ERR_MEMORY;
        system->env = env;
        env->loop_count = options->loops;
        scope_topology_read(&topology);
        bool spin = scope_topology_may_spin(&topology, options->loops, options->compute_threads);
        for (unsigned i = 0; i < env->loop_count; i++) {
                struct real_loop *loop = &env->loops[i];
                loop->core = options->loop_cores == NULL ? -1 : options->loop_cores[i];
                system->loops[i].env = loop;
                enum scope_err err = scope_uv_loop_create(&system->loops[i], spin, &loop->uv);
                if (err != SCOPE_OK)
                        return err;
        }
        if (options->directory != NULL) {
                enum scope_err err = scope_file_store_create(options->directory, &env->files);
                if (err != SCOPE_OK)
                        return err;
        }
        return scope_compute_pool_create(
                &(struct scope_compute_pool_options){ .threads = options->compute_threads,
                        .cores = options->compute_cores,
                        .spin = spin },
                &env->pool);
}

/* A peer that hangs up is an error of one call, not the end of the program. */
static void ignore_broken_pipes(void)
{
        struct sigaction action;
        if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL)
                (void)signal(SIGPIPE, SIG_IGN);
}

enum scope_err scope_system_create(
        const struct scope_system_options *options, struct scope_system **ret_system)
{
        struct scope_system *system = NULL;
        enum scope_err err = scope_core_create(options, &real_ops, &system);
        if (err != SCOPE_OK)
                return err;
        err = env_build(system, options);
        if (err != SCOPE_OK) {
                scope_system_destroy(system);
                return err;
        }
        ignore_broken_pipes();
        *ret_system = system;
        return SCOPE_OK;
}

bool scope_system_cpu(const struct scope_system *system, struct scope_system_cpu *ret_cpu)
{
        struct scope_compute_usage usage;
        *ret_cpu = (struct scope_system_cpu){ 0 };
        if (system->ops != &real_ops)
                return false;
        const struct real_env *env = system->env;
        for (unsigned i = 0; i < env->loop_count; i++)
                ret_cpu->loops_ns += scope_uv_loop_cpu_ns(env->loops[i].uv);
        for (unsigned i = 0; scope_compute_pool_usage(env->pool, i, &usage); i++) {
                ret_cpu->compute_ns += usage.cpu_ns;
                ret_cpu->jobs_ns +=
                        usage.busy_ns < usage.cpu_ns ? usage.busy_ns : usage.cpu_ns;
        }
        return true;
}

/* Names in the order in which workers, one after another, first used them. */
static bool work_is_new(const struct real_env *env, unsigned worker, unsigned index,
        const char *what)
{
        const char *other;
        uint64_t ns;
        bool io = worker == scope_compute_pool_threads(env->pool);
        for (unsigned w = io ? worker : 0; w <= worker; w++)
                for (unsigned i = 0; w < worker || i < index; i++) {
                        if (!scope_compute_pool_work(env->pool, w, i, &other, &ns))
                                break;
                        if (strcmp(other, what) == 0)
                                return false;
                }
        return true;
}

static uint64_t work_sum(const struct real_env *env, const char *what, bool io)
{
        unsigned threads = scope_compute_pool_threads(env->pool);
        const char *other;
        uint64_t ns, sum = 0;
        for (unsigned w = io ? threads : 0; w < threads + io; w++)
                for (unsigned i = 0; scope_compute_pool_work(env->pool, w, i, &other, &ns); i++)
                        sum += strcmp(other, what) == 0 ? ns : 0;
        return sum;
}

bool scope_system_work(
        const struct scope_system *system, unsigned index, struct scope_system_work *ret_work)
{
        const char *what;
        uint64_t ns;
        if (system->ops != &real_ops)
                return false;
        const struct real_env *env = system->env;
        unsigned threads = scope_compute_pool_threads(env->pool);
        for (unsigned w = 0; w <= threads; w++)
                for (unsigned i = 0; scope_compute_pool_work(env->pool, w, i, &what, &ns); i++) {
                        if (!work_is_new(env, w, i, what) || index-- > 0)
                                continue;
                        *ret_work = (struct scope_system_work){ what,
                                work_sum(env, what, w == threads), w == threads };
                        return true;
                }
        return false;
}
