#include "cli/teacher_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "actors/prm_answer.h"
#include "base/check.h"
#include "cli/recording.h"
#include "base/rng.h"
#include "runtime/clock.h"
#include "tasks/dataset.h"
#include "tasks/pooling_script.h"
#include "tasks/teacher_solutions.h"

enum {
        REQUEST_BYTES_MAX = 8 << 20,
        CONCURRENCY_MAX = 4096,
        CONNECTIONS_SPARE = 128, /* over the concurrency, so that there is someone to say 429 */
        IDLE_S = 120,            /* a connection without a request */
        BLOCK_BYTES = 64 << 10,
};

/* NEW -(body is here)-> WAITING -(latency over)-> DUE: the answer may go out. GONE: client left. */
enum state { STATE_NEW, STATE_WAITING, STATE_DUE, STATE_GONE };

struct call {
        struct scope_teacher_server *server;
        struct MHD_Connection *connection;
        struct scope_text request;
        struct scope_teacher_response response;
        uint64_t due_ns; /* UINT64_MAX: never */
        enum state state;
        bool active; /* it counts against the concurrency */
};

struct scope_teacher_server {
        struct scope_teacher_script script;
        struct scope_teacher_server_options options;
        struct scope_recording *recording; /* NULL = none */
        uint64_t *latency_values;          /* of a recorded law */
        struct scope_dataset *dataset; /* and its solutions; NULL = none */
        struct scope_teacher_solutions *solutions;
        char *key; /* "Bearer ..." as callers must send it; NULL = none asked for */
        struct MHD_Daemon *daemon;
        int socket, stop_event;
        uint16_t port;
        bool stopping;
        struct scope_teacher_counts counts;
        uint32_t active_count, waiting_count;
        struct call **waiting; /* [concurrency]: suspended */
        struct pollfd *polls;  /* [concurrency + 2] */
};

/* ---- waiting ---- */

static void suspend(struct call *call)
{
        struct scope_teacher_server *server = call->server;
        scope_assert(server->waiting_count < server->options.concurrency);
        uint64_t latency = call->response.latency_ns;
        call->due_ns = call->response.hang ? UINT64_MAX : scope_clock_ns(CLOCK_MONOTONIC) + latency;
        call->state = STATE_WAITING;
        server->waiting[server->waiting_count++] = call;
        MHD_suspend_connection(call->connection);
}

static void resume(struct scope_teacher_server *server, uint32_t index, enum state state)
{
        struct call *call = server->waiting[index];
        server->waiting[index] = server->waiting[--server->waiting_count];
        call->state = state;
        server->counts.gone += state == STATE_GONE;
        MHD_resume_connection(call->connection);
}

/* ---- sending ---- */

/* The next bytes of the body; the latency stands between `lead` and the rest. */
static ssize_t next_block(void *context, uint64_t position, char *block, size_t bytes)
{
        struct call *call = context;
        const struct scope_teacher_response *response = &call->response;
        size_t count = response->body.count, at = (size_t)position;
        if (call->state == STATE_GONE || call->server->stopping)
                return MHD_CONTENT_READER_END_WITH_ERROR;
        if (call->state == STATE_NEW && at >= response->lead) {
                suspend(call);
                return 0;
        }
        size_t end = call->state == STATE_NEW ? response->lead : count;
        if (at >= response->cut)
                return MHD_CONTENT_READER_END_WITH_ERROR;
        if (at >= count)
                return MHD_CONTENT_READER_END_OF_STREAM;
        if (end > response->cut)
                end = response->cut;
        size_t piece = end - at < bytes ? end - at : bytes;
        memcpy(block, response->body.bytes + at, piece);
        return (ssize_t)piece;
}

static enum MHD_Result send_answer(struct call *call)
{
        const struct scope_teacher_response *answer = &call->response;
        bool stream = strcmp(answer->content_type, "text/event-stream") == 0;
        uint64_t size = stream ? MHD_SIZE_UNKNOWN : answer->body.count;
        if (answer->body.failed)
                return MHD_NO;
        struct MHD_Response *response =
                MHD_create_response_from_callback(size, BLOCK_BYTES, next_block, call, NULL);
        if (response == NULL)
                return MHD_NO;
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->content_type);
        if (answer->retry_after[0] != 0)
                (void)MHD_add_response_header(
                        response, MHD_HTTP_HEADER_RETRY_AFTER, answer->retry_after);
        enum MHD_Result queued =
                MHD_queue_response(call->connection, (unsigned)answer->status, response);
        MHD_destroy_response(response);
        return queued;
}

/* A small answer at once, outside the script. */
static enum MHD_Result send_text(struct call *call, unsigned status, struct scope_text *body)
{
        if (body->failed)
                return MHD_NO;
        struct MHD_Response *response =
                MHD_create_response_from_buffer(body->count, body->bytes, MHD_RESPMEM_MUST_COPY);
        scope_text_fini(body);
        if (response == NULL)
                return MHD_NO;
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
        enum MHD_Result queued = MHD_queue_response(call->connection, status, response);
        MHD_destroy_response(response);
        return queued;
}

static enum MHD_Result send_error(
        struct call *call, unsigned status, const char *message, const char *type)
{
        struct scope_text body = { 0 };
        scope_json_open(&body, NULL, '{');
        scope_json_open(&body, "error", '{');
        scope_json_text(&body, "message", message);
        scope_json_text(&body, "type", type);
        scope_json_close(&body, '}');
        scope_json_close(&body, '}');
        return send_text(call, status, &body);
}

static enum MHD_Result send_health(struct call *call)
{
        const struct scope_teacher_server *server = call->server;
        struct scope_text body = { 0 };
        scope_json_open(&body, NULL, '{');
        scope_json_text(&body, "status", "ok");
        scope_json_uint(&body, "active", server->active_count);
        scope_json_uint(&body, "calls", server->counts.calls);
        scope_json_uint(&body, "faults", server->counts.faults);
        scope_json_uint(&body, "throttled", server->counts.throttled);
        scope_json_uint(&body, "gone", server->counts.gone);
        scope_json_close(&body, '}');
        return send_text(call, MHD_HTTP_OK, &body);
}

static enum MHD_Result send_models(struct call *call)
{
        struct scope_text body = { 0 };
        scope_json_open(&body, NULL, '{');
        scope_json_text(&body, "object", "list");
        scope_json_open(&body, "data", '[');
        scope_json_open(&body, NULL, '{');
        scope_json_text(&body, "id", call->server->options.model);
        scope_json_text(&body, "object", "model");
        scope_json_text(&body, "owned_by", "scope-runtime");
        scope_json_close(&body, '}');
        scope_json_close(&body, ']');
        scope_json_close(&body, '}');
        return send_text(call, MHD_HTTP_OK, &body);
}

/* ---- receiving ---- */

/* Takes the same time for every wrong key of one length. */
static bool key_fits(const struct call *call)
{
        const char *key = call->server->key;
        if (key == NULL)
                return true;
        const char *given = MHD_lookup_connection_value(
                call->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
        size_t count = strlen(key);
        unsigned differ = 0;
        if (given == NULL || strlen(given) != count)
                return false;
        for (size_t i = 0; i < count; i++)
                differ |= (unsigned char)key[i] ^ (unsigned char)given[i];
        return differ == 0;
}

/* A completion, or scores of steps: as late and as broken as the script says. */
static enum MHD_Result answer(struct call *call, bool scores)
{
        struct scope_teacher_server *server = call->server;
        struct scope_teacher_response *response = &call->response;
        if (call->request.failed)
                return send_error(call, MHD_HTTP_CONTENT_TOO_LARGE, "the request is too large",
                        "invalid_request_error");
        if (server->active_count == server->options.concurrency) {
                server->counts.throttled++;
                return send_error(call, MHD_HTTP_TOO_MANY_REQUESTS, "too many calls at once",
                        "rate_limit_exceeded");
        }
        uint64_t random =
                scope_hash_pair((uint64_t)server->options.script.seed, server->counts.calls);
        (scores ? scope_pooling_script_answer : scope_teacher_script_answer)(&server->script,
                call->request.bytes, call->request.count, random, time(NULL), response);
        server->counts.calls++;
        server->counts.faults += response->fault != SCOPE_TEACHER_FAULT_NONE;
        server->active_count++;
        call->active = true;
        if (!response->hang && (response->lead > 0 || response->latency_ns == 0)) {
                if (response->latency_ns == 0)
                        call->state = STATE_DUE;
                return send_answer(call);
        }
        suspend(call);
        return MHD_YES;
}

static enum MHD_Result route(struct call *call, const char *url, const char *method)
{
        bool get = strcmp(method, "GET") == 0, post = strcmp(method, "POST") == 0;
        bool health = strcmp(url, "/health") == 0, models = strcmp(url, "/v1/models") == 0;
        bool completions = strcmp(url, "/v1/chat/completions") == 0;
        bool pooling = strcmp(url, "/pooling") == 0 || strcmp(url, "/v1/pooling") == 0;
        if (!health && !models && !completions && !pooling)
                return send_error(call, MHD_HTTP_NOT_FOUND, "no such path", "not_found_error");
        if (completions || pooling ? !post : !get)
                return send_error(call, MHD_HTTP_METHOD_NOT_ALLOWED, "no such method here",
                        "invalid_request_error");
        if (health)
                return send_health(call);
        if (!key_fits(call))
                return send_error(call, MHD_HTTP_UNAUTHORIZED, "no key, or a wrong one",
                        "authentication_error");
        return models ? send_models(call) : answer(call, pooling);
}

/* Called first with the headers, then with pieces of the body, then at its end, and again after a
 * suspension. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
        const char *method, const char *version, const char *upload, size_t *upload_count,
        void **request_context)
{
        struct scope_teacher_server *server = context;
        struct call *call = *request_context;
        (void)version;
        if (call == NULL) {
                call = calloc(1, sizeof *call);
                if (call == NULL)
                        return MHD_NO;
                call->server = server;
                call->connection = connection;
                call->request.limit = REQUEST_BYTES_MAX;
                *request_context = call;
                return MHD_YES;
        }
        if (*upload_count > 0) {
                scope_text_add(&call->request, upload, *upload_count);
                *upload_count = 0;
                return MHD_YES;
        }
        if (server->stopping || call->state == STATE_GONE)
                return MHD_NO; /* closes the connection */
        return call->state == STATE_DUE ? send_answer(call) : route(call, url, method);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **request_context,
        enum MHD_RequestTerminationCode code)
{
        struct scope_teacher_server *server = context;
        struct call *call = *request_context;
        (void)connection;
        (void)code;
        if (call == NULL)
                return;
        scope_assert(call->state != STATE_WAITING);
        if (call->active)
                server->active_count--;
        scope_text_fini(&call->request);
        scope_text_fini(&call->response.body);
        free(call);
        *request_context = NULL;
}

/* ---- the loop ---- */

/* Milliseconds until something is due, rounded up; -1 = nothing is. */
static int wait_ms(const struct scope_teacher_server *server)
{
        MHD_UNSIGNED_LONG_LONG daemon_ms;
        uint64_t now = scope_clock_ns(CLOCK_MONOTONIC), wait = UINT64_MAX;
        if (MHD_get_timeout(server->daemon, &daemon_ms) == MHD_YES)
                wait = daemon_ms;
        for (uint32_t i = 0; i < server->waiting_count; i++) {
                uint64_t due = server->waiting[i]->due_ns;
                uint64_t ms = due <= now ? 0 : (due - now + 999999) / 1000000;
                if (due != UINT64_MAX && ms < wait)
                        wait = ms;
        }
        return wait == UINT64_MAX ? -1 : wait > 60000 ? 60000 : (int)wait;
}

/* The daemon does not watch suspended connections, so that a hang-up is ours to see. */
static uint32_t fill_polls(struct scope_teacher_server *server, int epoll)
{
        server->polls[0] = (struct pollfd){ .fd = server->stop_event, .events = POLLIN };
        server->polls[1] = (struct pollfd){ .fd = epoll, .events = POLLIN };
        for (uint32_t i = 0; i < server->waiting_count; i++) {
                const union MHD_ConnectionInfo *info = MHD_get_connection_info(
                        server->waiting[i]->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
                server->polls[2 + i] =
                        (struct pollfd){ .fd = info->connect_fd, .events = POLLRDHUP };
        }
        return 2 + server->waiting_count;
}

/* From the end, because resume moves the last one into the place. */
static void resume_some(struct scope_teacher_server *server, uint32_t polled)
{
        uint64_t now = scope_clock_ns(CLOCK_MONOTONIC);
        for (uint32_t i = server->waiting_count; i > 0; i--) {
                short seen = i + 1 < polled ? server->polls[i + 1].revents : 0;
                if ((seen & (POLLRDHUP | POLLHUP | POLLERR)) != 0)
                        resume(server, i - 1, STATE_GONE);
                else if (server->waiting[i - 1]->due_ns <= now)
                        resume(server, i - 1, STATE_DUE);
        }
}

enum scope_err scope_teacher_server_run(struct scope_teacher_server *server)
{
        const union MHD_DaemonInfo *info =
                MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
        scope_assert(info != NULL);
        enum scope_err err = SCOPE_OK;
        while (err == SCOPE_OK && !server->stopping) {
                uint32_t polled = fill_polls(server, info->epoll_fd);
                int ready = poll(server->polls, polled, wait_ms(server));
                if (ready < 0 && errno != EINTR)
                        err = SCOPE_ERR_IO;
                if (ready <= 0)
                        polled = 0; /* revents say nothing */
                server->stopping = polled > 0 && server->polls[0].revents != 0;
                resume_some(server, polled);
                if (MHD_run(server->daemon) != MHD_YES)
                        err = SCOPE_ERR_IO;
        }
        server->stopping = true;
        while (server->waiting_count > 0)
                resume(server, server->waiting_count - 1, STATE_DUE);
        (void)MHD_run(server->daemon);
        return err;
}

void scope_teacher_server_stop(struct scope_teacher_server *server)
{
        const uint64_t one = 1;
        /* Fails only when the counter is full: then it is readable already. */
        ssize_t written = write(server->stop_event, &one, sizeof one);
        (void)written;
}

/* ---- setting up ---- */

union address {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
};

/* "HOST:PORT" or "[HOST]:PORT", numeric. */
static bool read_address(const char *words, union address *ret_address, socklen_t *ret_bytes)
{
        char host[64];
        char *end;
        const char *colon = strrchr(words, ':');
        size_t count = colon != NULL ? (size_t)(colon - words) : 0;
        bool six = words[0] == '[' && count > 2 && words[count - 1] == ']';
        const char *begin = words + six;
        count -= six ? 2 : 0;
        if (colon == NULL || count == 0 || count >= sizeof host || colon[1] < '0' || colon[1] > '9')
                return false;
        memcpy(host, begin, count);
        host[count] = 0;
        unsigned long port = strtoul(colon + 1, &end, 10);
        if (*end != 0 || port > 65535)
                return false;
        *ret_address = (union address){ 0 };
        if (six) {
                ret_address->six.sin6_family = AF_INET6;
                ret_address->six.sin6_port = htons((uint16_t)port);
                *ret_bytes = sizeof ret_address->six;
                return inet_pton(AF_INET6, host, &ret_address->six.sin6_addr) == 1;
        }
        ret_address->four.sin_family = AF_INET;
        ret_address->four.sin_port = htons((uint16_t)port);
        *ret_bytes = sizeof ret_address->four;
        return inet_pton(AF_INET, host, &ret_address->four.sin_addr) == 1;
}

static bool is_loopback(const union address *address)
{
        if (address->any.sa_family == AF_INET6)
                return IN6_IS_ADDR_LOOPBACK(&address->six.sin6_addr);
        return (ntohl(address->four.sin_addr.s_addr) >> 24) == 127;
}

static enum scope_err start_listening(struct scope_teacher_server *server, struct scope_diag *diag)
{
        const char *words = server->options.listen;
        union address address;
        socklen_t bytes;
        const int on = 1;
        if (!read_address(words, &address, &bytes))
                return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "listen '%s': want ADDRESS:PORT, as 127.0.0.1:8089, port 0 for any", words);
        if (!is_loopback(&address) && server->key == NULL)
                return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "listen '%s': others could reach it; name a key with api_key_env first",
                        words);
        server->socket =
                socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (server->socket < 0)
                return scope_diag_set(diag, SCOPE_ERR_IO, "no socket: %s", strerror(errno));
        (void)setsockopt(server->socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(server->socket, &address.any, bytes) != 0 || listen(server->socket, 128) != 0)
                return errno == EADDRINUSE ? scope_diag_set(diag, SCOPE_ERR_EXISTS,
                                                     "listen '%s': the port is in use; choose "
                                                     "another one, or port 0 for any",
                                                     words)
                                           : scope_diag_set(diag, SCOPE_ERR_IO, "listen '%s': %s",
                                                     words, strerror(errno));
        if (getsockname(server->socket, &address.any, &bytes) != 0)
                return scope_diag_set(
                        diag, SCOPE_ERR_IO, "listen '%s': %s", words, strerror(errno));
        /* The port stands in the same place of both kinds. */
        server->port = ntohs(address.four.sin_port);
        return SCOPE_OK;
}

static enum scope_err read_key(struct scope_teacher_server *server, struct scope_diag *diag)
{
        const char *name = server->options.api_key_env;
        if (name[0] == 0)
                return SCOPE_OK;
        const char *key = getenv(name);
        if (key == NULL || key[0] == 0)
                return scope_diag_set(
                        diag, SCOPE_ERR_ARGUMENT, "api_key_env: the variable %s is not set", name);
        size_t bytes = strlen(key) + sizeof "Bearer ";
        server->key = malloc(bytes);
        if (server->key == NULL)
                return scope_diag_set(diag, SCOPE_ERR_MEMORY, "out of memory");
        (void)snprintf(server->key, bytes, "Bearer %s", key);
        return SCOPE_OK;
}

static enum scope_err start_daemon(struct scope_teacher_server *server, struct scope_diag *diag)
{
        uint32_t concurrency = (uint32_t)server->options.concurrency;
        server->waiting = calloc(concurrency, sizeof *server->waiting);
        server->polls = calloc(concurrency + 2, sizeof *server->polls);
        server->stop_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (server->waiting == NULL || server->polls == NULL || server->stop_event < 0)
                return scope_diag_set(diag, SCOPE_ERR_MEMORY, "out of memory or descriptors");
        server->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
                on_request, server, MHD_OPTION_LISTEN_SOCKET, server->socket,
                MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_CONNECTION_LIMIT,
                concurrency + CONNECTIONS_SPARE, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
                MHD_OPTION_END);
        if (server->daemon == NULL)
                return scope_diag_set(
                        diag, SCOPE_ERR_IO, "the HTTP server does not start: %s", strerror(errno));
        server->socket = -1; /* the daemon closes it */
        return SCOPE_OK;
}

static enum scope_err open_data(struct scope_teacher_server *server, struct scope_diag *diag)
{
        const struct scope_teacher_server_options *options = &server->options;
        const struct scope_dataset_keys keys = { options->prompt_key, options->answer_key,
                options->solution_key };
        if (options->data[0] == 0 || strncmp(options->data, "builtin:", 8) == 0)
                return SCOPE_OK;
        enum scope_err err =
                scope_dataset_open_keyed(options->data, &keys, &server->dataset, diag);
        if (err == SCOPE_OK)
                err = scope_teacher_solutions_create(server->dataset, &server->solutions, diag);
        server->script.solutions = server->solutions;
        return err;
}

/* Answers as a recorded run's teacher did. */
static enum scope_err open_recording(struct scope_teacher_server *server, struct scope_diag *diag)
{
        const char *directory = server->options.replay;
        if (directory[0] == 0)
                return SCOPE_OK;
        enum scope_err err = scope_recording_load(directory, &server->recording, diag);
        if (err == SCOPE_OK && scope_recording_calls(server->recording) == 0)
                err = scope_diag_set(diag, SCOPE_ERR_NOT_FOUND,
                        "%s: the teacher is not in this recording: no call of it was kept; record "
                        "a run that repairs (scope.arm), with metrics.rollouts = true",
                        directory);
        server->script.recorded = scope_recording_call;
        server->script.recorded_context = server->recording;
        return err;
}

static enum scope_err open_script(struct scope_teacher_server *server, struct scope_diag *diag)
{
        struct scope_teacher_script_options options = server->options.script;
        struct scope_latency_law law;
        enum scope_err err = scope_recording_law(options.latency, SCOPE_RECORDED_TEACHER, &law,
                &server->latency_values, diag);
        options.law = &law;
        if (err == SCOPE_OK)
                err = scope_teacher_script_init(&server->script, &options, diag);
        server->script.options.law = NULL; /* it was copied */
        return err == SCOPE_OK ? open_recording(server, diag) : err;
}

enum scope_err scope_teacher_server_create(const struct scope_teacher_server_options *options,
        struct scope_teacher_server **ret_server, struct scope_diag *diag)
{
        scope_assert(options->concurrency >= 1 && options->concurrency <= CONCURRENCY_MAX);
        struct scope_teacher_server *server = calloc(1, sizeof *server);
        if (server == NULL)
                return scope_diag_set(diag, SCOPE_ERR_MEMORY, "out of memory");
        server->options = *options;
        server->socket = server->stop_event = -1;
        enum scope_err err = open_script(server, diag);
        server->script.judge = scope_prm_exact;
        if (err == SCOPE_OK && options->replay[0] == 0)
                err = open_data(server, diag);
        if (err == SCOPE_OK)
                err = read_key(server, diag);
        if (err == SCOPE_OK)
                err = start_listening(server, diag);
        if (err == SCOPE_OK)
                err = start_daemon(server, diag);
        if (err != SCOPE_OK) {
                scope_teacher_server_destroy(server);
                return err;
        }
        *ret_server = server;
        return SCOPE_OK;
}

uint16_t scope_teacher_server_port(const struct scope_teacher_server *server)
{
        return server->port;
}

struct scope_teacher_counts scope_teacher_server_counts(const struct scope_teacher_server *server)
{
        return server->counts;
}

void scope_teacher_server_destroy(struct scope_teacher_server *server)
{
        if (server == NULL)
                return;
        if (server->daemon != NULL)
                MHD_stop_daemon(server->daemon);
        if (server->socket >= 0)
                (void)close(server->socket);
        if (server->stop_event >= 0)
                (void)close(server->stop_event);
        free(server->waiting);
        free(server->polls);
        if (server->key != NULL)
                explicit_bzero(server->key, strlen(server->key));
        free(server->key);
        scope_teacher_solutions_destroy(server->solutions);
        scope_dataset_destroy(server->dataset);
        scope_recording_destroy(server->recording);
        free(server->latency_values);
        free(server);
}
