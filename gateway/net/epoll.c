/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network loop on epoll, for hosts that refuse io_uring (containers do). Level-triggered: what is not read in
 * one turn is reported in the next, so no connection can keep the loop to itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "gateway/base/clock.h"
#include "net.h"

#define EVENTS_PER_TURN 512
#define ACCEPTS_PER_TURN 64
#define RECEIVE_BYTES (64u << 10)
#define LISTENERS_MAX 16
#define ACCEPT_RETRY_NS (20 * NS_PER_MS) /* after EMFILE and the like */

/* epoll data: what kind of descriptor, and its number. */
enum kind { KIND_LISTENER, KIND_WAKE, KIND_CONN };

/* What epoll must remember of a connection. */
struct watch {
    const char *data; /* being sent */
    size_t len;
    uint32_t events; /* registered interest */
    bool registered;
};

struct epoll_loop {
    struct net net;
    struct net_options options;
    int epoll_fd;
    bool accepting;
    uint64_t accept_retry_ns; /* 0: nothing to retry */
    uint32_t listener_count;
    int listeners[LISTENERS_MAX];
    uint32_t closing_count; /* closed while their events may still be in this turn's list */
    struct watch *watches;
    struct net_conn **closing;
    char buffer[RECEIVE_BYTES];
    struct epoll_event events[EVENTS_PER_TURN];
};

static uint64_t encode(enum kind kind, uint32_t index)
{
    return (uint64_t)kind << 32 | index;
}

static void interest(struct epoll_loop *l, struct net_conn *nc)
{
    struct watch *w = &l->watches[nc->index];
    uint32_t events = (nc->receiving ? (uint32_t)EPOLLIN : 0) | (nc->sending ? (uint32_t)EPOLLOUT : 0);
    if (w->registered && w->events == events)
        return;
    struct epoll_event e = {.events = events, .data.u64 = encode(KIND_CONN, nc->index)};
    epoll_ctl(l->epoll_fd, w->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, nc->fd, &e);
    w->registered = true;
    w->events = events;
}

/* ---- the table's operations ---------------------------------------------------------------------------- */

static int watch_listener(const struct epoll_loop *l, int fd)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.u64 = encode(KIND_LISTENER, (uint32_t)fd)};
    return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

/* Who waits there unanswered would end every sleep; closing a descriptor that others share does not help. */
static void leave_listeners(const struct epoll_loop *l)
{
    for (uint32_t i = 0; i < l->listener_count; i++)
        epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, l->listeners[i], NULL);
}

static int epoll_listen(struct net *net, int fd)
{
    struct epoll_loop *l = (struct epoll_loop *)net;
    if (l->listener_count == LISTENERS_MAX)
        return -ENOSPC;
    l->listeners[l->listener_count++] = fd;
    l->accepting = true;
    return watch_listener(l, fd);
}

static void epoll_accept_stop(struct net *net)
{
    struct epoll_loop *l = (struct epoll_loop *)net;
    l->accepting = false;
    l->accept_retry_ns = 0;
    leave_listeners(l);
}

static void epoll_receive_start(struct net *net, struct net_conn *nc)
{
    if (nc->closing)
        return;
    nc->receiving = true;
    interest((struct epoll_loop *)net, nc);
}

static void epoll_receive_stop(struct net *net, struct net_conn *nc)
{
    nc->receiving = false;
    interest((struct epoll_loop *)net, nc);
}

/* Send what the socket takes. Returns 1 done, 0 the socket is full, negative errno. */
static int push(struct net_conn *nc, struct watch *w)
{
    while (w->len > 0) {
        ssize_t n = send(nc->fd, w->data, w->len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
        w->data += n;
        w->len -= (size_t)n;
    }
    return 1;
}

static void push_and_report(struct epoll_loop *l, struct net_conn *nc)
{
    int rc = push(nc, &l->watches[nc->index]);
    if (rc == 0) {
        interest(l, nc);
        return;
    }
    nc->sending = false;
    if (l->watches[nc->index].events & EPOLLOUT)
        interest(l, nc);
    l->options.handlers->sent(l->options.owner, nc, rc < 0 ? rc : 0);
}

static void epoll_send(struct net *net, struct net_conn *nc, const char *data, size_t len)
{
    struct epoll_loop *l = (struct epoll_loop *)net;
    TG_ASSERT(!nc->sending);
    l->watches[nc->index].data = data;
    l->watches[nc->index].len = len;
    nc->sending = true;
    push_and_report(l, nc);
}

/* Errors and hang-ups are always reported. */
static void epoll_watch_hangup(struct net *net, struct net_conn *nc)
{
    (void)net;
    (void)nc;
}

/* The slot must outlive this turn's events: it is handed back when they are through. */
static void epoll_close(struct net *net, struct net_conn *nc)
{
    struct epoll_loop *l = (struct epoll_loop *)net;
    if (nc->closing)
        return;
    nc->closing = true;
    close(nc->fd); /* leaves the epoll set by itself */
    l->closing[l->closing_count++] = nc;
}

/* ---- events -------------------------------------------------------------------------------------------- */

static void add_conn(struct epoll_loop *l, int listener, int fd)
{
    l->net.listener = listener;
    struct net_conn *nc = l->accepting ? l->options.handlers->accepted(l->options.owner, fd) : NULL;
    if (!nc) {
        close(fd);
        return;
    }
    nc->fd = fd;
    nc->receiving = true;
    l->watches[nc->index] = (struct watch){0};
    interest(l, nc);
}

/* No descriptor or no memory is left: look again in a while. */
static void pause_accepting(struct epoll_loop *l)
{
    l->accept_retry_ns = clock_now_ns() + ACCEPT_RETRY_NS;
    leave_listeners(l);
}

static void resume_accepting(struct epoll_loop *l)
{
    l->accept_retry_ns = 0;
    for (uint32_t i = 0; i < l->listener_count; i++)
        watch_listener(l, l->listeners[i]);
}

static void on_listener(struct epoll_loop *l, int listener)
{
    for (uint32_t i = 0; i < ACCEPTS_PER_TURN && l->accepting && l->accept_retry_ns == 0; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
            add_conn(l, listener, fd);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            pause_accepting(l);
        else if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

static void on_readable(struct epoll_loop *l, struct net_conn *nc)
{
    const struct net_handlers *h = l->options.handlers;
    ssize_t n = recv(nc->fd, l->buffer, sizeof(l->buffer), MSG_DONTWAIT);
    if (n > 0) {
        h->received(l->options.owner, nc, l->buffer, (size_t)n);
    } else if (n == 0) {
        nc->receiving = false;
        interest(l, nc);
        h->eof(l->options.owner, nc);
    } else if (errno != EAGAIN && errno != EINTR) {
        h->failed(l->options.owner, nc, -errno);
    }
}

static void on_conn(struct epoll_loop *l, struct net_conn *nc, uint32_t events)
{
    if (!nc->closing && nc->sending && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
        push_and_report(l, nc);
    if (!nc->closing && nc->receiving && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
        on_readable(l, nc);
    if (!nc->closing && !nc->receiving && !nc->sending && (events & (EPOLLERR | EPOLLHUP)))
        l->options.handlers->failed(l->options.owner, nc, -ECONNRESET);
}

static void dispatch(struct epoll_loop *l, const struct epoll_event *e)
{
    uint32_t index = (uint32_t)e->data.u64;
    uint64_t count;
    switch ((enum kind)(e->data.u64 >> 32)) {
    case KIND_LISTENER:
        on_listener(l, (int)index);
        break;
    case KIND_WAKE:
        if (read(l->options.wake_fd, &count, sizeof(count)) < 0)
            break; /* somebody else's wake-up took it */
        break;
    case KIND_CONN: {
        struct net_conn *nc = l->options.handlers->conn(l->options.owner, index);
        if (!nc->closing && nc->fd >= 0)
            on_conn(l, nc, e->events);
        break;
    }
    }
}

static uint32_t finish_closing(struct epoll_loop *l)
{
    uint32_t n = l->closing_count;
    while (l->closing_count > 0) {
        struct net_conn *nc = l->closing[--l->closing_count];
        nc->fd = -1;
        l->options.handlers->closed(l->options.owner, nc);
    }
    return n;
}

static int timeout_ms(struct epoll_loop *l, uint64_t timeout_ns)
{
    if (l->accept_retry_ns) {
        if (clock_now_ns() >= l->accept_retry_ns)
            resume_accepting(l);
        timeout_ns = TG_MIN(timeout_ns, ACCEPT_RETRY_NS);
    }
    if (timeout_ns == UINT64_MAX)
        return -1;
    uint64_t ms = (timeout_ns + NS_PER_MS - 1) / NS_PER_MS;
    return (int)TG_MIN(ms, (uint64_t)INT32_MAX);
}

static uint32_t epoll_turn(struct net *net, uint64_t timeout_ns)
{
    struct epoll_loop *l = (struct epoll_loop *)net;
    uint32_t closed = finish_closing(l);
    int n = epoll_wait(l->epoll_fd, l->events, EVENTS_PER_TURN, closed ? 0 : timeout_ms(l, timeout_ns));
    if (timeout_ns > 0 && l->options.woke)
        l->options.woke(l->options.woke_context);
    for (int i = 0; i < n; i++)
        dispatch(l, &l->events[i]);
    return (n > 0 ? (uint32_t)n : 0) + closed + finish_closing(l);
}

/* ---- life cycle ---------------------------------------------------------------------------------------- */

static void epoll_destroy(struct net *net)
{
    struct epoll_loop *l = (struct epoll_loop *)net;
    if (!l)
        return;
    if (l->epoll_fd >= 0)
        close(l->epoll_fd);
    free(l->watches);
    free(l->closing);
    free(l);
}

static int epoll_open(const struct net_options *options, struct net **net)
{
    struct epoll_loop *l = calloc(1, sizeof(*l));
    if (!l)
        return -ENOMEM;
    l->net.ops = &net_epoll;
    l->options = *options;
    l->watches = calloc(options->conns_max, sizeof(*l->watches));
    l->closing = calloc(options->conns_max, sizeof(*l->closing));
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int rc = l->epoll_fd < 0 ? -errno : l->watches && l->closing ? 0 : -ENOMEM;
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = encode(KIND_WAKE, 0)};
    if (rc == 0 && epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, options->wake_fd, &e) < 0)
        rc = -errno;
    if (rc < 0) {
        epoll_destroy(&l->net);
        return rc;
    }
    *net = &l->net;
    return 0;
}

const struct net_ops net_epoll = {
    .name = "epoll",
    .create = epoll_open,
    .destroy = epoll_destroy,
    .listen = epoll_listen,
    .accept_stop = epoll_accept_stop,
    .receive_start = epoll_receive_start,
    .receive_stop = epoll_receive_stop,
    .send = epoll_send,
    .send_end = net_send_end,
    .watch_hangup = epoll_watch_hangup,
    .close = epoll_close,
    .turn = epoll_turn,
};
