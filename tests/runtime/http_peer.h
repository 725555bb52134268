/* http_peer.h - a small HTTP server for tests, one thread a connection, rude on request.
 * Why: timeouts, cuts and endless bodies need a peer that misbehaves exactly as told. The path
 * says how. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { HTTP_PEER_CONNECTIONS = 512, HTTP_PEER_REQUEST_BYTES = 65536 };

struct http_peer {
        int listener, port;
        pthread_t thread;
        atomic_uint connections, requests;
        pthread_mutex_t lock;
        int fds[HTTP_PEER_CONNECTIONS];
        pthread_t threads[HTTP_PEER_CONNECTIONS];
        bool stopping;
};

/* Listens on a port of its own choice on 127.0.0.1. */
struct http_peer *http_peer_start(void);
/* Cuts connections and waits for its threads. */
void http_peer_stop(struct http_peer *peer);
