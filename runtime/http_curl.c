#include "runtime/http_curl.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <curl/curl.h>
#include <uv.h>

#include "base/check.h"
#include "runtime/http_retry.h"

/* Rules of the two libraries that shape this file: curl's callbacks may not call curl back, so
 * that what they decide is noted and done by `settle` after every action; a uv handle is freed in
 * its close callback only; new calls are added when no completion is being read. */
struct scope_http_client {
        uv_loop_t *loop;
        CURLM *multi;
        uv_timer_t timer; /* curl's one timeout */
        struct scope_http_handler handler;
        struct scope_http_call *calls; /* under way */
        unsigned call_count, inside, handles_open;
        bool in_timer, cancelled_inside, closing;
};

struct scope_http_call {
        struct scope_http_client *client;
        struct scope_http_call *next, **link; /* *link == this */
        void *owner;
        CURL *easy;
        struct curl_slist *headers;
        uv_timer_t idle;
        uint64_t idle_ms, bytes_max, header_bytes;
        struct scope_http_retry retry;
        struct scope_http_result result;
        CURLcode code;      /* how it ended, for curl */
        enum scope_err err; /* why a callback broke off */
        bool cancelled;
        char words[CURL_ERROR_SIZE];
};

struct watch {
        uv_poll_t poll;
        struct scope_http_client *client;
        curl_socket_t socket;
};

/* --- what may be asked ------------------------------------------------------------------------ */

static bool is_loopback(const char *host)
{
        struct in_addr v4;
        if (strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
                return true; /* curl resolves "localhost" to loopback without asking anybody */
        return inet_pton(AF_INET, host, &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127;
}

static enum scope_err check_parts(CURLU *parts, struct scope_diag *diag)
{
        char *scheme = NULL, *host = NULL, *user = NULL;
        enum scope_err err = SCOPE_OK;
        if (curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
                curl_url_get(parts, CURLUPART_HOST, &host, 0) != CURLUE_OK)
                err = scope_diag_set(diag, SCOPE_ERR_ARGUMENT, "URL: needs a scheme and a host");
        else if (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0)
                err = scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "URL: scheme '%.20s' is not allowed, use https (or http on this machine)",
                        scheme);
        else if (curl_url_get(parts, CURLUPART_USER, &user, 0) == CURLUE_OK)
                err = scope_diag_set(
                        diag, SCOPE_ERR_ARGUMENT, "URL: must not contain a user or password");
        else if (strcmp(scheme, "http") == 0 && !is_loopback(host))
                err = scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "URL: http to '%.200s' would travel unencrypted, use https", host);
        curl_free(scheme);
        curl_free(host);
        curl_free(user);
        return err;
}

enum scope_err scope_http_url_check(const char *url, struct scope_diag *diag)
{
        CURLU *parts = curl_url();
        enum scope_err err;
        if (parts == NULL)
                return scope_diag_set(diag, SCOPE_ERR_MEMORY, "out of memory");
        if (url == NULL || curl_url_set(parts, CURLUPART_URL, url, 0) != CURLUE_OK)
                err = scope_diag_set(diag, SCOPE_ERR_ARGUMENT, "URL: malformed");
        else
                err = check_parts(parts, diag);
        curl_url_cleanup(parts);
        return err;
}

static bool has_control(const char *text)
{
        for (; *text != 0; text++)
                if (iscntrl((unsigned char)*text) && *text != '\t')
                        return true;
        return false;
}

static enum scope_err check_request(
        const struct scope_http_request *request, struct scope_diag *diag)
{
        size_t method_bytes = request->method == NULL ? 0 : strlen(request->method);
        if (method_bytes == 0 || method_bytes > 16 ||
                strspn(request->method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != method_bytes)
                return scope_diag_set(diag, SCOPE_ERR_ARGUMENT, "HTTP method: 1 to 16 capitals");
        for (const char *const *header = request->headers; header != NULL && *header != NULL;
                header++)
                if (has_control(*header) || strchr(*header, ':') == NULL)
                        return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                                "HTTP header %d: not of the form 'Name: value'",
                                (int)(header - request->headers) + 1);
        if (request->bearer != NULL && has_control(request->bearer))
                return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "the API key contains a control character (a line end at its end?)");
        if (request->timeout_ns == 0)
                return scope_diag_set(diag, SCOPE_ERR_ARGUMENT, "HTTP call without a timeout");
        return scope_http_url_check(request->url, diag);
}

/* --- ends of a call --------------------------------------------------------------------------- */

static void handle_closed(struct scope_http_client *client)
{
        if (--client->handles_open == 0 && client->closing)
                free(client);
}

static void call_closed(uv_handle_t *handle)
{
        struct scope_http_call *call = handle->data;
        struct scope_http_client *client = call->client;
        free(call);
        handle_closed(client);
}

static void call_unlink(struct scope_http_call *call)
{
        *call->link = call->next;
        if (call->next != NULL)
                call->next->link = call->link;
}

static void call_push(struct scope_http_call **list, struct scope_http_call *call)
{
        call->next = *list;
        call->link = list;
        if (*list != NULL)
                (*list)->link = &call->next;
        *list = call;
}

/* Takes the call from curl and wipes what it knew; the memory goes with the idle timer's handle. */
static void call_detach(struct scope_http_call *call)
{
        /* Handles that are not there are fine. */
        (void)curl_multi_remove_handle(call->client->multi, call->easy);
        curl_easy_cleanup(call->easy);
        call->easy = NULL;
        for (struct curl_slist *header = call->headers; header != NULL; header = header->next)
                explicit_bzero(header->data, strlen(header->data));
        curl_slist_free_all(call->headers);
        call->headers = NULL;
        call_unlink(call);
        call->client->call_count--;
        uv_close((uv_handle_t *)&call->idle, call_closed);
}

static enum scope_err err_from_curl(CURLcode code)
{
        switch (code) {
        case CURLE_OK:
                return SCOPE_OK;
        case CURLE_OPERATION_TIMEDOUT:
                return SCOPE_ERR_DEADLINE;
        case CURLE_FILESIZE_EXCEEDED:
                return SCOPE_ERR_TOO_BIG;
        case CURLE_OUT_OF_MEMORY:
                return SCOPE_ERR_MEMORY;
        default: /* the URL was checked before, so that even "unsupported" is the peer's doing */
                return SCOPE_ERR_NET;
        }
}

static void say(struct scope_http_call *call, const char *words)
{
        size_t count = 0;
        for (; words[count] != 0 && count + 1 < sizeof call->result.text; count++)
                call->result.text[count] =
                        iscntrl((unsigned char)words[count]) ? '?' : words[count];
        call->result.text[count] = 0;
}

static void call_done(struct scope_http_call *call, enum scope_err err, const char *words)
{
        struct scope_http_client *client = call->client;
        long status = 0;
        if (curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK)
                call->result.status = (int32_t)status;
        call->result.retry_after_ns = scope_http_retry_ns(&call->retry, time(NULL));
        if (err != SCOPE_OK)
                say(call, words);
        call_detach(call);
        if (!call->cancelled)
                client->handler.done(call->owner, err, &call->result);
}

static void call_over(struct scope_http_call *call)
{
        enum scope_err err = call->err;
        const char *words = call->words[0] != 0 ? call->words : curl_easy_strerror(call->code);
        if (err == SCOPE_OK)
                err = err_from_curl(call->code);
        else
                words = scope_err_text(err); /* curl only knows that a callback broke off */
        call_done(call, err, words);
}

/* After every action: completions, then calls cancelled from inside a callback. Completions are
 * read to the end before anybody is told, since who is told may start calls. */
static void settle(struct scope_http_client *client)
{
        struct scope_http_call *over = NULL, *call, *next;
        CURLMsg *message;
        int left;
        while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
                if (message->msg != CURLMSG_DONE)
                        continue;
                (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
                call->code = message->data.result; /* `message` goes with the handle's removal */
                (void)curl_multi_remove_handle(client->multi, call->easy);
                call_unlink(call);
                call_push(&over, call);
        }
        while ((call = over) != NULL)
                call_over(call);
        if (!client->cancelled_inside)
                return;
        client->cancelled_inside = false;
        for (call = client->calls; call != NULL; call = next) {
                next = call->next;
                if (call->cancelled)
                        call_detach(call);
        }
}

/* --- curl and uv, tied ------------------------------------------------------------------------ */

static void act(struct scope_http_client *client, curl_socket_t socket, int events)
{
        int running;
        client->inside++;
        (void)curl_multi_socket_action(client->multi, socket, events, &running);
        client->inside--;
        settle(client);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
        struct watch *watch = poll->data;
        int flags = status < 0 ? CURL_CSELECT_ERR : 0;
        if ((events & UV_READABLE) != 0)
                flags |= CURL_CSELECT_IN;
        if ((events & UV_WRITABLE) != 0)
                flags |= CURL_CSELECT_OUT;
        act(watch->client, watch->socket, flags);
}

static void on_timer(uv_timer_t *timer)
{
        struct scope_http_client *client = timer->data;
        client->in_timer = true;
        act(client, CURL_SOCKET_TIMEOUT, 0);
        client->in_timer = false;
}

static int timer_wanted(CURLM *multi, long timeout_ms, void *arg)
{
        struct scope_http_client *client = arg;
        (void)multi;
        if (timeout_ms < 0)
                (void)uv_timer_stop(&client->timer); /* fails never */
        else if (!client->closing) /* 0 from inside the timer would fire in the same round */
                (void)uv_timer_start(&client->timer, on_timer,
                        timeout_ms == 0 && client->in_timer ? 1 : (uint64_t)timeout_ms, 0);
        return 0;
}

static void watch_closed(uv_handle_t *handle)
{
        struct watch *watch = handle->data;
        struct scope_http_client *client = watch->client;
        free(watch);
        handle_closed(client);
}

static struct watch *watch_create(struct scope_http_client *client, curl_socket_t socket)
{
        struct watch *watch = calloc(1, sizeof *watch);
        if (watch == NULL)
                return NULL;
        if (uv_poll_init_socket(client->loop, &watch->poll, socket) != 0) {
                free(watch);
                return NULL;
        }
        watch->poll.data = watch;
        watch->client = client;
        watch->socket = socket;
        client->handles_open++;
        (void)curl_multi_assign(client->multi, socket, watch); /* the socket is known */
        return watch;
}

static int socket_wanted(CURL *easy, curl_socket_t socket, int what, void *arg, void *socket_arg)
{
        struct scope_http_client *client = arg;
        struct watch *watch = socket_arg;
        int events = 0;
        (void)easy;
        if (what == CURL_POLL_REMOVE) {
                if (watch != NULL) {
                        (void)curl_multi_assign(client->multi, socket, NULL);
                        uv_close((uv_handle_t *)&watch->poll, watch_closed);
                }
                return 0;
        }
        if (watch == NULL && (watch = watch_create(client, socket)) == NULL)
                return -1;
        if (what != CURL_POLL_OUT)
                events |= UV_READABLE;
        if (what != CURL_POLL_IN)
                events |= UV_WRITABLE;
        return uv_poll_start(&watch->poll, events, on_poll) == 0 ? 0 : -1;
}

/* --- one call's callbacks --------------------------------------------------------------------- */

static void on_idle(uv_timer_t *timer)
{
        struct scope_http_call *call = timer->data;
        call_done(call, SCOPE_ERR_DEADLINE, "no byte came within the idle timeout");
}

static void heard(struct scope_http_call *call)
{
        if (call->idle_ms > 0 && !call->cancelled)
                (void)uv_timer_start(&call->idle, on_idle, call->idle_ms, 0);
}

static int connected(void *arg, char *remote, char *local, int remote_port, int local_port)
{
        (void)remote;
        (void)local;
        (void)remote_port;
        (void)local_port;
        heard(arg);
        return CURL_PREREQFUNC_OK;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *arg)
{
        struct scope_http_call *call = arg;
        count *= size;
        heard(call);
        call->header_bytes += count;
        if (call->header_bytes > SCOPE_HTTP_HEADER_BYTES_MAX)
                call->err = SCOPE_ERR_TOO_BIG;
        if (call->err != SCOPE_OK || call->cancelled)
                return 0;
        scope_http_retry_header(&call->retry, bytes, count);
        return count;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
        struct scope_http_call *call = arg;
        count *= size;
        heard(call);
        if (call->cancelled)
                return 0;
        if (count > call->bytes_max - call->result.bytes)
                call->err = SCOPE_ERR_TOO_BIG;
        else
                call->err = call->client->handler.data(call->owner, bytes, count);
        if (call->err != SCOPE_OK || call->cancelled)
                return 0; /* curl takes it as an error even when count is 0, which it never is */
        call->result.bytes += count;
        return count;
}

/* --- start ------------------------------------------------------------------------------------ */

static bool header_add(struct scope_http_call *call, const char *line)
{
        struct curl_slist *more = curl_slist_append(call->headers, line);
        if (more != NULL)
                call->headers = more;
        return more != NULL;
}

static bool headers_build(struct scope_http_call *call, const struct scope_http_request *request)
{
        static const char prefix[] = "Authorization: Bearer ";
        bool good = header_add(call, "Expect:"); /* no 100-continue pause before big bodies */
        for (const char *const *header = request->headers;
                good && header != NULL && *header != NULL; header++)
                good = header_add(call, *header);
        if (!good || request->bearer == NULL)
                return good;
        size_t bytes = sizeof prefix + strlen(request->bearer);
        char *line = malloc(bytes);
        if (line == NULL)
                return false;
        (void)snprintf(line, bytes, "%s%s", prefix, request->bearer);
        good = header_add(call, line);
        explicit_bzero(line, bytes);
        free(line);
        return good;
}

static long ms_from_ns(uint64_t ns)
{
        uint64_t ms = ns / 1000000 + (ns % 1000000 != 0);
        return ms > INT32_MAX ? INT32_MAX : (long)ms;
}

static CURLcode set_method(CURL *easy, const struct scope_http_request *request)
{
        CURLcode code = CURLE_OK;
        if (strcmp(request->method, "HEAD") == 0)
                return curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        if (strcmp(request->method, "GET") == 0 && request->body_bytes == 0)
                return curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
        code |= curl_easy_setopt(easy, CURLOPT_POST, 1L);
        code |= curl_easy_setopt(
                easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_bytes);
        code |= curl_easy_setopt(
                easy, CURLOPT_COPYPOSTFIELDS, request->body_bytes == 0 ? "" : request->body);
        code |= curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
        return code;
}

/* Plain text stays on this machine, so no proxy may carry it. HTTP/1.1: with HTTP/2 each request
 * costs 2.6 times the CPU, and plain-text HTTP/2 is broken in the curl of Debian 12. */
static CURLcode set_transport(CURL *easy, const struct scope_http_request *request)
{
        bool plain = strncasecmp(request->url, "http:", 5) == 0;
        CURLcode code = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, plain ? "http" : "https");
        code |= curl_easy_setopt(easy, CURLOPT_URL, request->url);
        if (plain)
                code |= curl_easy_setopt(easy, CURLOPT_PROXY, "");
        code |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
        code |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
        code |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        code |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
        code |= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* name servers may be slow */
        code |= curl_easy_setopt(easy, CURLOPT_USERAGENT, "scope-runtime");
        code |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                ms_from_ns(request->connect_timeout_ns == 0 ? request->timeout_ns
                                                            : request->connect_timeout_ns));
        code |= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, ms_from_ns(request->timeout_ns));
        return code;
}

static CURLcode set_callbacks(struct scope_http_call *call)
{
        CURL *easy = call->easy;
        CURLcode code = curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
        code |= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
        code |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->words);
        code |= curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, connected);
        code |= curl_easy_setopt(easy, CURLOPT_PREREQDATA, call);
        code |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
        code |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
        code |= curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)call->bytes_max);
        code |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
        code |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
        return code;
}

enum scope_err scope_http_client_start(struct scope_http_client *client,
        const struct scope_http_request *request, void *owner, struct scope_diag *diag,
        struct scope_http_call **ret_call)
{
        scope_assert(!client->closing && client->inside == 0);
        enum scope_err err = check_request(request, diag);
        if (err != SCOPE_OK)
                return err;
        if (client->call_count >= SCOPE_HTTP_CALLS_MAX)
                return scope_diag_set(diag, SCOPE_ERR_LIMIT, "too many HTTP calls in flight");
        struct scope_http_call *call = calloc(1, sizeof *call);
        if (call == NULL)
                return scope_diag_set(diag, SCOPE_ERR_MEMORY, "out of memory");
        call->client = client;
        call->owner = owner;
        call->idle_ms =
                request->idle_timeout_ns == 0 ? 0 : (uint64_t)ms_from_ns(request->idle_timeout_ns);
        call->bytes_max = request->response_bytes_max;
        call->result.retry_after_ns = -1;
        (void)uv_timer_init(client->loop, &call->idle); /* cannot fail */
        call->idle.data = call;
        client->handles_open++;
        client->call_count++;
        call_push(&client->calls, call);
        call->easy = curl_easy_init();
        if (call->easy == NULL || !headers_build(call, request) ||
                (set_method(call->easy, request) | set_transport(call->easy, request) |
                        set_callbacks(call)) != CURLE_OK)
                goto fail;
        uv_update_time(client->loop); /* turns may have taken long: timers start from now */
        if (curl_multi_add_handle(client->multi, call->easy) != CURLM_OK)
                goto fail;
        *ret_call = call;
        return SCOPE_OK;
fail:
        call_detach(call);
        return scope_diag_set(diag, SCOPE_ERR_MEMORY, "curl cannot start a call");
}

void scope_http_client_cancel(struct scope_http_call *call)
{
        call->cancelled = true;
        if (call->client->inside > 0)
                call->client->cancelled_inside = true;
        else
                call_detach(call);
}

/* --- the client ------------------------------------------------------------------------------- */

static void curl_begin(void)
{
        (void)curl_global_init(CURL_GLOBAL_DEFAULT); /* a failure shows in curl_multi_init */
}

enum scope_err scope_http_client_create(struct uv_loop_s *loop,
        const struct scope_http_handler *handler, struct scope_http_client **ret_client)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        (void)pthread_once(&once, curl_begin);
        struct scope_http_client *client = calloc(1, sizeof *client);
        if (client == NULL)
                return SCOPE_ERR_MEMORY;
        client->multi = curl_multi_init();
        if (client->multi == NULL) {
                free(client);
                return SCOPE_ERR_INTERNAL;
        }
        client->loop = loop;
        client->handler = *handler;
        client->handles_open = 1;
        (void)uv_timer_init(loop, &client->timer);
        client->timer.data = client;
        (void)curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
        (void)curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
        (void)curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, timer_wanted);
        (void)curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
        *ret_client = client;
        return SCOPE_OK;
}

static void client_closed(uv_handle_t *handle)
{
        handle_closed(handle->data);
}

void scope_http_client_destroy(struct scope_http_client *client)
{
        if (client == NULL)
                return;
        scope_assert(client->inside == 0 && !client->closing);
        client->closing = true;
        while (client->calls != NULL)
                call_done(client->calls, SCOPE_ERR_CANCELLED, "the client is shutting down");
        (void)curl_multi_cleanup(client->multi); /* takes its sockets back through socket_wanted */
        uv_close((uv_handle_t *)&client->timer, client_closed);
}
