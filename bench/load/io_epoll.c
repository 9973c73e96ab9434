/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes by epoll, edge-triggered: for kernels and containers that refuse io_uring. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"
#include "clock.h"
#include "options.h"

#define EVENTS_MAX 1024
#define READ_BYTES 65536

struct epoll {
    struct client *client;
    int fd;
    struct epoll_event events[EVENTS_MAX];
    char bytes[READ_BYTES];
};

static int epoll_connect(void *io, struct conn *conn)
{
    struct epoll *e = io;
    const struct options *o = e->client->o;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = conn};

    conn->to_send = conn->sent = 0;
    if (connect(conn->fd, (const struct sockaddr *)&o->addr, o->addr_len) && errno != EINPROGRESS)
        return -errno;
    return epoll_ctl(e->fd, EPOLL_CTL_ADD, conn->fd, &event) ? -errno : 0;
}

/* What does not fit now goes on at the next edge; conn->sent tells from where. */
static void epoll_send(void *io, struct conn *conn, const char *bytes, uint32_t len)
{
    struct epoll *e = io;
    ssize_t n = send(conn->fd, bytes, len, MSG_NOSIGNAL);

    if (n >= 0)
        client_on_sent(e->client, conn, (int)n);
    else if (errno != EAGAIN)
        client_on_sent(e->client, conn, -errno);
}

static void epoll_close(void *io, struct conn *conn)
{
    struct epoll *e = io;

    client_on_gone(e->client, conn);
}

static void on_writable(struct epoll *e, struct conn *conn)
{
    socklen_t len = sizeof(int);
    int error = 0;

    if (conn->state == CONN_CONNECTING) {
        getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        client_on_open(e->client, conn, -error);
    } else if (conn_is_live(conn) && conn->sending) {
        /* Reporting nothing sent makes the client offer the rest again. */
        client_on_sent(e->client, conn, 0);
    }
}

/* Reads until the socket is empty; a short read already says so. */
static void on_readable(struct epoll *e, struct conn *conn)
{
    ssize_t n = READ_BYTES;

    while (n == READ_BYTES && conn_is_live(conn)) {
        n = recv(conn->fd, e->bytes, READ_BYTES, 0);
        if (n > 0)
            client_on_bytes(e->client, conn, e->bytes, (size_t)n);
        else if (n == 0 || errno != EAGAIN)
            client_on_end(e->client, conn, n == 0 ? 0 : -errno);
    }
}

/* A close may lie behind the last answer in the same event, where a short read would hide it. */
static void dispatch(struct epoll *e, const struct epoll_event *event)
{
    struct conn *conn = event->data.ptr;

    if (event->events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
        on_writable(e, conn);
    if (event->events & EPOLLIN)
        on_readable(e, conn);
    if (event->events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP))
        on_readable(e, conn);
}

static int wait_for_events(struct epoll *e, uint64_t wait_ns)
{
    struct timespec ts = {.tv_sec = (time_t)(wait_ns / NS_PER_S), .tv_nsec = (long)(wait_ns % NS_PER_S)};

    return epoll_pwait2(e->fd, e->events, EVENTS_MAX, &ts, NULL);
}

static void epoll_turn(void *io, uint64_t wait_ns)
{
    struct epoll *e = io;
    int n = wait_for_events(e, wait_ns);

    e->client->now_ns = clock_ns();
    for (int i = 0; i < n; i++)
        dispatch(e, &e->events[i]);
}

static void epoll_destroy(void *io)
{
    struct epoll *e = io;

    close(e->fd);
    free(e);
}

static void *epoll_create_client(struct client *client, uint32_t connections, uint32_t buffer_bytes)
{
    struct epoll *e = calloc(1, sizeof(*e));

    if (!e)
        return NULL;
    e->client = client;
    e->fd = epoll_create1(EPOLL_CLOEXEC);
    if (e->fd >= 0)
        return e;
    free(e);
    return NULL;
}

const struct io io_epoll_backend = {
    .name = "epoll",
    .create = epoll_create_client,
    .destroy = epoll_destroy,
    .connect = epoll_connect,
    .send = epoll_send,
    .close = epoll_close,
    .turn = epoll_turn,
};
