/* teacher_server.h - the scripted teacher behind HTTP, as an OpenAI-compatible service.
 * Why: the refiner must not know that its teacher is local, so the teacher is a server like any
 * other.
 *   POST /v1/chat/completions     GET /v1/models     GET /health
 * (1) One thread does everything; waiting calls are suspended, not blocked on. (2) At most
 * `concurrency` calls are in work, the next gets a 429 at once. (3) A call whose client went away
 * frees its place. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "tasks/teacher_script.h"

struct scope_teacher_server_options {
        struct scope_teacher_script_options script;
        char listen[128];     /* "127.0.0.1:8089", "[::1]:0"; port 0 = any free one */
        char model[64];       /* its name in /v1/models */
        char api_key_env[64]; /* variable that holds the key callers must send; "" = no key */
        int64_t concurrency;
        char data[512]; /* a file whose worked solutions it serves too; "" or builtin:...: none */
        char prompt_key[128], answer_key[128], solution_key[128]; /* of that file */
        char replay[512]; /* a run's directory: answers as its teacher did; "" = none */
};

struct scope_teacher_server;

struct scope_teacher_counts {
        uint64_t calls;     /* answered by the script, faults included */
        uint64_t faults;    /* of them, with a fault */
        uint64_t throttled; /* over the concurrency */
        uint64_t gone;      /* the client went away first */
};

/* Listens; answers only while it runs.
 * owns    gives *ret_server
 * errors  SCOPE_ERR_EXISTS: port in use; SCOPE_ERR_ARGUMENT: bad address, not this machine's own
 *         without a key, key variable not set; SCOPE_ERR_FORMAT: latency, faults or data;
 *         SCOPE_ERR_UNSUPPORTED, SCOPE_ERR_NOT_FOUND: data; SCOPE_ERR_IO; SCOPE_ERR_MEMORY; all
 *         with words in diag
 * thread  setup */
enum scope_err scope_teacher_server_create(const struct scope_teacher_server_options *options,
        struct scope_teacher_server **ret_server, struct scope_diag *diag);

uint16_t scope_teacher_server_port(const struct scope_teacher_server *server);
struct scope_teacher_counts scope_teacher_server_counts(const struct scope_teacher_server *server);

/* Serves until stop; then breaks off the calls in work and returns.
 * errors  SCOPE_ERR_IO: the system's event queue failed     thread  owner, blocks */
enum scope_err scope_teacher_server_run(struct scope_teacher_server *server);

/* Makes run return. May be called before it, again, and from a signal handler.    thread  any */
void scope_teacher_server_stop(struct scope_teacher_server *server);

/* Accepts NULL.     thread  owner, not while it runs */
void scope_teacher_server_destroy(struct scope_teacher_server *server);
