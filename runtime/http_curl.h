/* http_curl.h - HTTP calls on a libuv loop, through libcurl's multi interface.
 * Why: a teacher that is slow, silent, endless or rude costs its own call and nothing else.
 * (1) A call that started gets zero or more `data` and exactly one `done`, unless it is cancelled:
 * then nothing more. (2) Both come from the loop, never from inside start. (3) https anywhere,
 * http to this machine only; no redirect is followed. (4) Our copy of the bearer is wiped
 * when the call ends; neither it nor any header is in a text we hand out. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "runtime/actor.h"

struct uv_loop_s;
struct scope_http_client;
struct scope_http_call;

enum {
        SCOPE_HTTP_HEADER_BYTES_MAX = 65536, /* of one response */
        SCOPE_HTTP_CALLS_MAX = 4096,         /* of one client */
};

struct scope_http_handler {
        /* The next bytes of the body. Not SCOPE_OK ends the call with that result.
         * They may call scope_http_client_cancel, but not start. */
        enum scope_err (*data)(void *owner, const void *bytes, size_t count);
        /* The call is over and gone. May start another one, unless it was CANCELLED.
         * SCOPE_OK: a whole response came, whatever its status. SCOPE_ERR_DEADLINE: a timeout;
         * TOO_BIG: over response_bytes_max; CANCELLED: the client goes; NET: the rest. */
        void (*done)(void *owner, enum scope_err err, const struct scope_http_result *result);
};

/* SCOPE_OK when calls to `url` would be allowed; says in `diag` why not.
 * errors  SCOPE_ERR_ARGUMENT, SCOPE_ERR_MEMORY     thread  any */
enum scope_err scope_http_url_check(const char *url, struct scope_diag *diag);

/* A client lives on `loop`, which outlives it.
 * errors  SCOPE_ERR_MEMORY, SCOPE_ERR_INTERNAL     owns  gives     thread  loop */
enum scope_err scope_http_client_create(struct uv_loop_s *loop,
        const struct scope_http_handler *handler, struct scope_http_client **ret_client);

/* timeout_ns bounds the whole call and must be set; connect_timeout_ns bounds the connection;
 * idle_timeout_ns bounds every silence after it, the wait for the first byte included. 0 = no such
 * bound.
 * errors  SCOPE_ERR_ARGUMENT: URL, method, header or timeout, `diag` says why; SCOPE_ERR_LIMIT;
 *         SCOPE_ERR_MEMORY     owns  copies all of `request`     thread  loop */
enum scope_err scope_http_client_start(struct scope_http_client *client,
        const struct scope_http_request *request, void *owner, struct scope_diag *diag,
        struct scope_http_call **ret_call);

/* Neither data nor done will come.                                        thread  loop */
void scope_http_client_cancel(struct scope_http_call *call);

/* Calls under way are done with SCOPE_ERR_CANCELLED. Handles close and memory goes when the loop
 * next runs. Not from `done` or `data`. Accepts NULL.                      thread  loop */
void scope_http_client_destroy(struct scope_http_client *client);
