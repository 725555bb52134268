#include "tests/runtime/http_peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

struct http_peer_connection {
        struct http_peer *peer;
        int fd, index;
        char text[HTTP_PEER_REQUEST_BYTES + 1];
};

static bool http_peer_say(int fd, const char *bytes, size_t count)
{
        while (count > 0) {
                ssize_t put = send(fd, bytes, count, MSG_NOSIGNAL);
                if (put <= 0)
                        return false;
                bytes += put;
                count -= (size_t)put;
        }
        return true;
}

static bool http_peer_text(int fd, const char *text)
{
        return http_peer_say(fd, text, strlen(text));
}

static bool http_peer_chunk(int fd, const char *text)
{
        char head[32];
        (void)snprintf(head, sizeof head, "%zx\r\n", strlen(text));
        return http_peer_text(fd, head) && http_peer_text(fd, text) && http_peer_text(fd, "\r\n");
}

static bool http_peer_answer(int fd, const char *status, const char *headers, const char *body)
{
        char head[1024];
        (void)snprintf(head, sizeof head, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n", status,
                headers, strlen(body));
        return http_peer_text(fd, head) && http_peer_text(fd, body);
}

static void http_peer_wait_for_close(int fd)
{
        char byte[256];
        while (recv(fd, byte, sizeof byte, 0) > 0)
                ;
}

/* Body paths; false = close the connection. */
static bool http_peer_stream(int fd, const char *path)
{
        static const char chunked[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        static const char big[] =
                "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        if (strcmp(path, "/chunked") == 0) {
                bool good = http_peer_text(fd, chunked);
                for (int i = 0; good && i < 5; i++) {
                        good = http_peer_chunk(fd, "chunk ");
                        usleep(2000);
                }
                return good && http_peer_text(fd, "0\r\n\r\n");
        }
        if (strcmp(path, "/blank") == 0) { /* keep-alive lines, then the answer */
                bool good = http_peer_text(fd, chunked);
                for (int i = 0; good && i < 8; i++) {
                        usleep(40000);
                        good = http_peer_chunk(fd, "\n");
                }
                return good && http_peer_chunk(fd, "answer") && http_peer_text(fd, "0\r\n\r\n");
        }
        if (strcmp(path, "/endless") == 0) {
                bool good = http_peer_text(fd, chunked);
                while (good)
                        good = http_peer_chunk(fd, big);
                return false;
        }
        if (strcmp(path, "/huge") == 0)
                return http_peer_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 4000000000\r\n\r\nx");
        if (strcmp(path, "/headers") == 0) {
                bool good = http_peer_text(fd, "HTTP/1.1 200 OK\r\n");
                while (good)
                        good = http_peer_text(fd, "X-Filler: ") && http_peer_text(fd, big) &&
                               http_peer_text(fd, "\r\n");
                return false;
        }
        if (strcmp(path, "/hang_body") == 0) {
                (void)http_peer_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
                http_peer_wait_for_close(fd);
                return false;
        }
        if (strcmp(path, "/cut") == 0) {
                (void)http_peer_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
                return false;
        }
        if (strcmp(path, "/cut_chunked") == 0) {
                (void)http_peer_text(fd, chunked);
                (void)http_peer_chunk(fd, "half");
                return false;
        }
        return http_peer_answer(fd, "404 Not Found", "", "");
}

static bool http_peer_retry(int fd, const char *form)
{
        static const struct {
                const char *form, *headers;
        } forms[] = {
                { "seconds", "Retry-After: 7\r\n" },
                { "ms", "retry-after-ms: 250\r\nRetry-After: 9\r\n" },
                { "date", "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                          "Retry-After: Sun, 06 Nov 1994 08:49:57 GMT\r\n" },
                { "past", "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n" },
                { "garbage", "Retry-After: soon\r\n" },
                { "none", "" },
        };
        for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
                if (strcmp(form, forms[i].form) == 0)
                        return http_peer_answer(
                                fd, "429 Too Many Requests", forms[i].headers, "later");
        return false;
}

static bool http_peer_serve(int fd, const char *path, const char *head, const char *body)
{
        if (strcmp(path, "/echo") == 0)
                return http_peer_answer(fd, "200 OK", "", body);
        if (strcmp(path, "/auth") == 0)
                return http_peer_answer(fd, "200 OK", "",
                        strstr(head, "\r\nAuthorization: Bearer canary-4711\r\n") != NULL &&
                                        strstr(head, "\r\nX-One: 1\r\n") != NULL
                                ? "yes"
                                : "no");
        if (strcmp(path, "/redirect") == 0)
                return http_peer_answer(fd, "302 Found", "Location: /echo\r\n", "");
        if (strncmp(path, "/retry/", 7) == 0)
                return http_peer_retry(fd, path + 7);
        if (strcmp(path, "/hang") == 0) {
                http_peer_wait_for_close(fd);
                return false;
        }
        if (strcmp(path, "/garbage") == 0) {
                (void)http_peer_say(fd, "\x00\xff\x7f not http at all \r\n\r\n", 24);
                return false;
        }
        return http_peer_stream(fd, path);
}

/* One request: head and Content-Length bytes of body. False = the peer went away. */
static bool http_peer_receive(struct http_peer_connection *connection, char **ret_body)
{
        size_t have = 0;
        for (;;) {
                connection->text[have] = 0;
                char *end = strstr(connection->text, "\r\n\r\n");
                const char *length = strcasestr(connection->text, "\r\nContent-Length:");
                size_t body = length == NULL ? 0 : strtoul(length + 17, NULL, 10);
                if (end != NULL && have >= (size_t)(end - connection->text) + 4 + body) {
                        *ret_body = end + 4;
                        return true;
                }
                if (have == HTTP_PEER_REQUEST_BYTES)
                        return false;
                ssize_t got = recv(
                        connection->fd, connection->text + have, HTTP_PEER_REQUEST_BYTES - have, 0);
                if (got <= 0)
                        return false;
                have += (size_t)got;
        }
}

static void *http_peer_connection_main(void *arg)
{
        struct http_peer_connection *connection = arg;
        struct http_peer *peer = connection->peer;
        char *body, method[16], path[256];
        while (http_peer_receive(connection, &body)) {
                atomic_fetch_add(&peer->requests, 1);
                if (sscanf(connection->text, "%15s %255s", method, path) != 2 ||
                        !http_peer_serve(connection->fd, path, connection->text, body))
                        break;
        }
        pthread_mutex_lock(&peer->lock);
        peer->fds[connection->index] = -1;
        pthread_mutex_unlock(&peer->lock);
        close(connection->fd);
        free(connection);
        return NULL;
}

static void *http_peer_main(void *arg)
{
        struct http_peer *peer = arg;
        for (int index = 0; index < HTTP_PEER_CONNECTIONS; index++) {
                int fd = accept(peer->listener, NULL, NULL);
                if (fd < 0)
                        break;
                struct http_peer_connection *connection = calloc(1, sizeof *connection);
                connection->peer = peer;
                connection->fd = fd;
                connection->index = index;
                pthread_mutex_lock(&peer->lock);
                peer->fds[index] = fd;
                if (peer->stopping)
                        (void)shutdown(fd, SHUT_RDWR);
                pthread_mutex_unlock(&peer->lock);
                atomic_fetch_add(&peer->connections, 1);
                if (pthread_create(&peer->threads[index], NULL, http_peer_connection_main,
                            connection) != 0)
                        abort();
        }
        return NULL;
}

struct http_peer *http_peer_start(void)
{
        struct http_peer *peer = calloc(1, sizeof *peer);
        struct sockaddr_in address = { .sin_family = AF_INET,
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t bytes = sizeof address;
        (void)pthread_mutex_init(&peer->lock, NULL);
        peer->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (peer->listener < 0 || bind(peer->listener, (struct sockaddr *)&address, bytes) != 0 ||
                listen(peer->listener, 256) != 0 ||
                getsockname(peer->listener, (struct sockaddr *)&address, &bytes) != 0 ||
                pthread_create(&peer->thread, NULL, http_peer_main, peer) != 0)
                abort();
        peer->port = ntohs(address.sin_port);
        return peer;
}

void http_peer_stop(struct http_peer *peer)
{
        pthread_mutex_lock(&peer->lock);
        peer->stopping = true;
        for (int i = 0; i < HTTP_PEER_CONNECTIONS; i++)
                if (peer->fds[i] > 0)
                        (void)shutdown(peer->fds[i], SHUT_RDWR);
        pthread_mutex_unlock(&peer->lock);
        (void)shutdown(peer->listener, SHUT_RDWR);
        (void)pthread_join(peer->thread, NULL);
        for (unsigned i = 0; i < atomic_load(&peer->connections); i++)
                (void)pthread_join(peer->threads[i], NULL);
        close(peer->listener);
        (void)pthread_mutex_destroy(&peer->lock);
        free(peer);
}
