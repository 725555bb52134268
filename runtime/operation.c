/* operation.c - what an actor asks the world for: compute, files, HTTP.
 * Why: limits, names, lifetimes and the way back to the actor are the same in every environment. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "runtime/core.h"

enum { JOBS_MAX = 64, FILES_MAX = 1024, CALLS_MAX = 256, FILE_NAME_BYTES_MAX = 256 };

static struct scope_operation *operation_take(struct scope_loop *loop)
{
        size_t own = loop->system->ops->operation_bytes;
        struct scope_operation *operation = loop->operations_free;
        if (operation == NULL)
                return calloc(1, sizeof(*operation) + own);
        loop->operations_free = operation->next;
        memset(operation, 0, sizeof(*operation) + own);
        return operation;
}

static void operation_recycle(struct scope_operation *operation)
{
        struct scope_loop *loop = operation->loop;
        if (operation->done != NULL)
                scope_message_release(operation->done);
        free(operation->name);
        free(operation->bytes);
        *operation = (struct scope_operation){ .next = loop->operations_free, .loop = loop };
        loop->operations_free = operation;
}

static const struct {
        enum scope_pending_kind pending;
        enum scope_kind done;
        uint32_t max, payload_bytes;
} kinds[SCOPE_OPERATION_KINDS] = {
        [SCOPE_OPERATION_COMPUTE] = { SCOPE_PENDING_COMPUTE, SCOPE_KIND_COMPUTE_DONE, JOBS_MAX, 0 },
        [SCOPE_OPERATION_APPEND] = { SCOPE_PENDING_FILE, SCOPE_KIND_FILE_DONE, FILES_MAX, 0 },
        [SCOPE_OPERATION_REPLACE] = { SCOPE_PENDING_FILE, SCOPE_KIND_FILE_DONE, FILES_MAX, 0 },
        [SCOPE_OPERATION_HTTP] = { SCOPE_PENDING_HTTP, SCOPE_KIND_HTTP_DONE, CALLS_MAX,
                sizeof(struct scope_http_result) },
};

/* An operation with its slot and its completion in hand, so that its end cannot fail. */
static enum scope_err operation_prepare(struct scope_actor *self, enum scope_operation_kind kind,
        const char *what, uint64_t tag, struct scope_operation **ret_operation)
{
        struct scope_loop *loop = self->loop;
        if (loop->system->ops->start == NULL)
                return SCOPE_ERR_UNSUPPORTED;
        if (self->life != SCOPE_ACTOR_RUNNING && self->life != SCOPE_ACTOR_DRAINING)
                return SCOPE_ERR_DOWN;
        struct scope_pending *slot = NULL;
        enum scope_err err =
                scope_pending_take(&self->pending, kinds[kind].pending, kinds[kind].max, &slot);
        if (err != SCOPE_OK)
                return err;
        slot->actor = self;
        struct scope_operation *operation = operation_take(loop);
        if (operation != NULL)
                operation->loop = loop;
        if (operation == NULL ||
                scope_message_pool_take(&loop->pool, kinds[kind].payload_bytes, true,
                        &operation->done) != SCOPE_OK) {
                if (operation != NULL)
                        operation_recycle(operation);
                scope_pending_free(&self->pending, slot);
                return SCOPE_ERR_MEMORY;
        }
        slot->operation = operation;
        slot->tag = tag;
        slot->trace = loop->trace;
        scope_wait_begin(slot, what, loop->now_ns, UINT32_MAX);
        scope_wait_graph_arm(loop);
        operation->actor = scope_self(self);
        operation->kind = kind;
        operation->pending = slot->id;
        operation->tag = tag;
        operation->trace = loop->trace;
        operation->begin_ns = loop->now_ns;
        operation->queued_ns = 0;
        operation->what = what;
        *ret_operation = operation;
        return SCOPE_OK;
}

static enum scope_err operation_start(struct scope_actor *self, struct scope_operation *operation,
        const struct scope_http_request *request, uint64_t *ret_call)
{
        uint64_t id = operation->pending;
        bool compute = operation->kind == SCOPE_OPERATION_COMPUTE;
        self->jobs += compute;
        enum scope_err err = self->system->ops->start(operation, request);
        if (err != SCOPE_OK) {
                self->jobs -= compute;
                struct scope_pending *slot = scope_pending_find(&self->pending, id);
                scope_assert(slot != NULL);
                scope_pending_free(&self->pending, slot);
                operation_recycle(operation);
                return err;
        }
        if (ret_call != NULL)
                *ret_call = id;
        return SCOPE_OK;
}

enum scope_err scope_compute(struct scope_actor *self, const struct scope_job *job, uint64_t tag)
{
        scope_assert(job->run != NULL || job->cost_only);
        struct scope_operation *operation = NULL;
        enum scope_err err = operation_prepare(self, SCOPE_OPERATION_COMPUTE,
                job->what != NULL ? job->what : "compute", tag, &operation);
        if (err != SCOPE_OK)
                return err;
        operation->job = *job;
        operation->job.workers = self->workers;
        if (operation->job.cores == 0)
                operation->job.cores = 1;
        return operation_start(self, operation, NULL, NULL);
}

/* --- files ------------------------------------------------------------------------------------ */

/* Below the run directory, and nothing a shell or a log would trip over. */
static bool name_is_good(const char *name)
{
        size_t count = name != NULL ? strlen(name) : 0;
        if (count == 0 || count >= FILE_NAME_BYTES_MAX || name[0] == '/' || name[count - 1] == '/')
                return false;
        for (const char *at = name; *at != '\0'; at++) {
                bool first = at == name || at[-1] == '/';
                if ((unsigned char)*at < 0x20 || *at == '\\' || *at == 0x7f)
                        return false;
                if (first && (*at == '/' || (at[0] == '.' && at[1] == '.' &&
                                                    (at[2] == '/' || at[2] == '\0'))))
                        return false;
        }
        return true;
}

static enum scope_err file_start(struct scope_actor *self, enum scope_operation_kind kind,
        const char *name, const void *bytes, size_t count, uint64_t tag)
{
        if (self->system->options.directory == NULL)
                return SCOPE_ERR_REFUSED;
        if (!name_is_good(name))
                return SCOPE_ERR_ARGUMENT;
        struct scope_operation *operation = NULL;
        enum scope_err err = operation_prepare(self, kind,
                kind == SCOPE_OPERATION_APPEND ? "file append" : "file replace", tag, &operation);
        if (err != SCOPE_OK)
                return err;
        operation->name = strdup(name);
        operation->bytes = malloc(count != 0 ? count : 1);
        operation->count = count;
        if (operation->name == NULL || operation->bytes == NULL) {
                scope_pending_free(&self->pending,
                        scope_pending_find(&self->pending, operation->pending));
                operation_recycle(operation);
                return SCOPE_ERR_MEMORY;
        }
        if (count != 0)
                memcpy(operation->bytes, bytes, count);
        return operation_start(self, operation, NULL, NULL);
}

enum scope_err scope_file_append(struct scope_actor *self, const char *name, const void *bytes,
        size_t count, uint64_t tag)
{
        return file_start(self, SCOPE_OPERATION_APPEND, name, bytes, count, tag);
}

enum scope_err scope_file_replace(struct scope_actor *self, const char *name, const void *bytes,
        size_t count, uint64_t tag)
{
        return file_start(self, SCOPE_OPERATION_REPLACE, name, bytes, count, tag);
}

/* --- HTTP ------------------------------------------------------------------------------------- */

/* Plain HTTP stays on this machine: a bearer token must not cross a network in the clear. */
static bool url_is_good(const char *url)
{
        static const char *const hosts[] = { "127.0.0.1", "localhost", "[::1]" };
        if (url == NULL || strpbrk(url, " \t\r\n") != NULL)
                return false;
        if (strncmp(url, "https://", 8) == 0)
                return url[8] != '\0' && url[8] != '/';
        if (strncmp(url, "http://", 7) != 0)
                return false;
        for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
                size_t count = strlen(hosts[i]);
                const char *after = url + 7 + count;
                if (strncmp(url + 7, hosts[i], count) == 0 &&
                        (*after == '\0' || *after == ':' || *after == '/' || *after == '?'))
                        return strchr(url, '@') == NULL;
        }
        return false;
}

enum scope_err scope_http_start(struct scope_actor *self, const struct scope_http_request *request,
        uint64_t tag, uint64_t *ret_call)
{
        if (request->method == NULL || !url_is_good(request->url))
                return SCOPE_ERR_ARGUMENT;
        struct scope_operation *operation = NULL;
        enum scope_err err =
                operation_prepare(self, SCOPE_OPERATION_HTTP, "http", tag, &operation);
        if (err != SCOPE_OK)
                return err;
        operation->http.retry_after_ns = -1;
        return operation_start(self, operation, request, ret_call);
}

void scope_http_cancel(struct scope_actor *self, uint64_t call)
{
        struct scope_pending *slot = scope_pending_find(&self->pending, call);
        if (slot != NULL && slot->kind == SCOPE_PENDING_HTTP)
                scope_pending_drop(self, slot);
}

/* --- the way back ----------------------------------------------------------------------------- */

enum scope_err scope_operation_data(struct scope_operation *operation, const void *bytes,
        size_t count)
{
        struct scope_loop *loop = operation->loop;
        if (operation->pending == 0)
                return SCOPE_ERR_CANCELLED;
        if (count > SCOPE_MESSAGE_BYTES_MAX)
                return SCOPE_ERR_TOO_BIG;
        struct scope_message *message = NULL;
        enum scope_err err =
                scope_message_pool_take(&loop->pool, (uint32_t)count, false, &message);
        if (err != SCOPE_OK)
                return err;
        memcpy(message->payload, bytes, count);
        message->kind = SCOPE_KIND_HTTP_DATA;
        message->lane = SCOPE_LANE_CONTROL;
        message->tag = operation->tag;
        message->trace = operation->trace;
        message->target = operation->actor;
        message->correlation = operation->pending;
        scope_loop_arrive(loop, loop->system->actors[operation->actor.actor], message);
        return SCOPE_OK;
}

void scope_operation_finish(struct scope_operation *operation, enum scope_err err)
{
        struct scope_loop *loop = operation->loop;
        struct scope_actor *actor = loop->system->actors[operation->actor.actor];
        /* jobs of one actor wait at the same time: together no longer than it did */
        uint64_t queued_ns = operation->queued_ns / (actor->jobs > 0 ? actor->jobs : 1);
        if (operation->actor.incarnation == actor->incarnation)
                actor->usage.queued_ns += queued_ns;
        actor->usage.waited_ns += queued_ns;
        struct scope_pending *slot = scope_pending_find(&actor->pending, operation->pending);
        if (slot != NULL) {
                struct scope_message *done = operation->done;
                scope_assert(slot->operation == operation);
                slot->operation = NULL;
                operation->done = NULL;
                done->kind = (uint16_t)kinds[operation->kind].done;
                done->lane = SCOPE_LANE_CONTROL;
                done->tag = operation->tag;
                done->trace = operation->trace;
                done->err = err;
                done->target = operation->actor;
                done->correlation = slot->id;
                if (operation->kind == SCOPE_OPERATION_HTTP)
                        memcpy(done->payload, &operation->http, sizeof operation->http);
                scope_loop_arrive(loop, actor, done);
        }
        bool compute = operation->kind == SCOPE_OPERATION_COMPUTE;
        operation_recycle(operation);
        if (compute)
                scope_supervisor_job_ended(actor);
}

void scope_operation_post(struct scope_operation *operation, enum scope_err err)
{
        struct scope_loop *loop = operation->loop;
        operation->err = err;
        struct scope_operation *head = atomic_load_explicit(&loop->finished, memory_order_relaxed);
        do {
                operation->next = head;
                /* Release: the results; pairs with the acquire in scope_loop_collect. */
        } while (!atomic_compare_exchange_weak_explicit(&loop->finished, &head, operation,
                memory_order_release, memory_order_relaxed));
        if (head == NULL)
                loop->system->ops->wake(loop);
}
