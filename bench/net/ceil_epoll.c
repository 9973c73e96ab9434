/* SPDX-License-Identifier: Apache-2.0 */
/* The least-work server on epoll: one thread, one read and one send for each ready connection. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ceil.h"

#define EVENTS_MAX 1024

/* `in` is kept only while a request is incomplete, `out` only while the socket is full. */
struct conn {
    int fd;
    struct ceil_block *in, *out;
};

static int epoll_fd, listen_fd;
static char read_buffer[CEIL_BLOCK_BYTES], write_buffer[CEIL_BLOCK_BYTES];

static void close_conn(struct conn *conn)
{
    if (conn->in)
        ceil_block_give(conn->in);
    if (conn->out)
        ceil_block_give(conn->out);
    close(conn->fd);
    free(conn);
}

static void accept_all(void)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET};
    struct conn *conn;
    int fd;

    while ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        conn = calloc(1, sizeof(*conn));
        if (!conn) {
            close(fd);
            return;
        }
        conn->fd = fd;
        event.data.ptr = conn;
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
    }
}

/* Returns false when the connection is broken. What the socket does not take waits in a block. */
static bool send_out(struct conn *conn, const char *bytes, size_t len)
{
    ssize_t n = send(conn->fd, bytes, len, MSG_NOSIGNAL);

    if (n < 0 && errno != EAGAIN)
        return false;
    n = n < 0 ? 0 : n;
    if ((size_t)n == len)
        return true;
    conn->out = ceil_block_take();
    conn->out->len = (uint32_t)(len - (size_t)n);
    memcpy(conn->out->bytes, bytes + n, conn->out->len);
    return true;
}

/* Answers what is whole, keeps the rest. Without progress on a full buffer the request is too large. */
static bool serve(struct conn *conn, const char *in, size_t len)
{
    size_t used = 0, n, wrote;

    while (!conn->out) {
        n = ceil_answer(in + used, len - used, write_buffer, sizeof(write_buffer), &wrote);
        if (n == SIZE_MAX || (wrote && !send_out(conn, write_buffer, wrote)))
            return false;
        if (n == 0)
            break;
        used += n;
    }
    if (used == len)
        return true;
    if (len - used == CEIL_BLOCK_BYTES)
        return false;
    conn->in = ceil_block_take();
    conn->in->len = (uint32_t)(len - used);
    memcpy(conn->in->bytes, in + used, len - used);
    return true;
}

/* The kept part is copied in front of what comes now. */
static size_t restore(struct conn *conn)
{
    size_t len = 0;

    if (conn->in) {
        len = conn->in->len;
        memcpy(read_buffer, conn->in->bytes, len);
        ceil_block_give(conn->in);
        conn->in = NULL;
    }
    return len;
}

static bool read_all(struct conn *conn)
{
    size_t room, kept;
    ssize_t n;

    do {
        kept = restore(conn);
        room = sizeof(read_buffer) - kept;
        n = recv(conn->fd, read_buffer + kept, room, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return false;
        if (kept + (size_t)(n < 0 ? 0 : n) && !serve(conn, read_buffer, kept + (size_t)(n < 0 ? 0 : n)))
            return false;
    } while (n > 0 && (size_t)n == room && !conn->out);
    return true;
}

static bool flush(struct conn *conn)
{
    struct ceil_block *block = conn->out;
    bool alive;

    if (!block)
        return true;
    conn->out = NULL;
    alive = send_out(conn, block->bytes, block->len);
    ceil_block_give(block);
    return alive;
}

static void on_event(const struct epoll_event *event)
{
    struct conn *conn = event->data.ptr;
    bool stalled;

    if (!conn) {
        accept_all();
        return;
    }
    stalled = conn->out != NULL;
    if (!flush(conn) || (!conn->out && (stalled || event->events & ~(uint32_t)EPOLLOUT) && !read_all(conn)))
        close_conn(conn);
}

int main(int argc, char **argv)
{
    static struct epoll_event events[EVENTS_MAX];
    struct epoll_event event = {.events = EPOLLIN};
    struct ceil_options options;
    int n;

    ceil_parse_options(argc, argv, &options);
    listen_fd = ceil_listen(options.port, true);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &event))
        return 1;
    for (;;) {
        n = epoll_wait(epoll_fd, events, EVENTS_MAX, options.spin ? 0 : -1);
        for (int i = 0; i < n; i++)
            on_event(&events[i]);
    }
}
