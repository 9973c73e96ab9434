/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network loop on io_uring: multishot accept and receive from a ring of provided buffers, so that idle
 * connections own no memory; one system call per turn submits, waits and collects.
 */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "net.h"
#include "uring_buffers.h"
#include "uring_limits.h"

#define SQ_ENTRIES 4096
#define CQ_ENTRIES 32768
/* TASKRUN_FLAG: is_quiet() sees it; R_DISABLED: until uring_limit() */
#define COMMON_FLAGS                                                                                         \
    (IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_R_DISABLED)
#define LISTENERS_MAX 16
#define ACCEPT_RETRY_NS (20 * NS_PER_MS) /* after EMFILE and the like */

enum op { OP_ACCEPT, OP_RECV, OP_SEND, OP_HANGUP, OP_WAKE, OP_IGNORE };

struct uring {
    struct net net;
    struct net_options options;
    struct io_uring ring;
    struct uring_buffers buffers;
    uint64_t wake_count;      /* where reads of the eventfd go */
    uint64_t accept_retry_ns; /* 0: nothing to retry */
    uint32_t listener_count;
    int listeners[LISTENERS_MAX];
    bool listener_armed[LISTENERS_MAX];
    bool accepting;
};

static uint64_t encode(enum op op, uint32_t index)
{
    return (uint64_t)op << 32 | index;
}

static struct io_uring_sqe *sqe_get(struct uring *u)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    while (!sqe) {
        io_uring_submit(&u->ring);
        sqe = io_uring_get_sqe(&u->ring);
    }
    return sqe;
}

/* ---- arming ----------------------------------------------------------------------------------------- */

static void arm_accept(struct uring *u, uint32_t listener)
{
    struct io_uring_sqe *sqe = sqe_get(u);
    io_uring_prep_multishot_accept(sqe, u->listeners[listener], NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(sqe, encode(OP_ACCEPT, listener));
    u->listener_armed[listener] = true;
}

static void arm_wake(struct uring *u)
{
    struct io_uring_sqe *sqe = sqe_get(u);
    io_uring_prep_read(sqe, u->options.wake_fd, &u->wake_count, sizeof(u->wake_count), 0);
    io_uring_sqe_set_data64(sqe, encode(OP_WAKE, 0));
}

static void arm_receive(struct uring *u, struct net_conn *nc)
{
    struct io_uring_sqe *sqe = sqe_get(u);
    io_uring_prep_recv_multishot(sqe, nc->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = URING_BUFFER_GROUP;
    io_uring_sqe_set_data64(sqe, encode(OP_RECV, nc->index));
    nc->receiving = true;
    nc->ops++;
}

/* ---- the table's operations -------------------------------------------------------------------------- */

static int uring_listen(struct net *net, int fd)
{
    struct uring *u = (struct uring *)net;
    if (u->listener_count == LISTENERS_MAX)
        return -ENOSPC;
    u->listeners[u->listener_count] = fd;
    u->accepting = true;
    arm_accept(u, u->listener_count++);
    return 0;
}

static void cancel(struct uring *u, uint64_t user_data)
{
    struct io_uring_sqe *sqe = sqe_get(u);
    io_uring_prep_cancel64(sqe, user_data, 0);
    io_uring_sqe_set_data64(sqe, encode(OP_IGNORE, 0));
}

static void uring_accept_stop(struct net *net)
{
    struct uring *u = (struct uring *)net;
    u->accepting = false;
    u->accept_retry_ns = 0;
    for (uint32_t i = 0; i < u->listener_count; i++)
        if (u->listener_armed[i])
            cancel(u, encode(OP_ACCEPT, i));
}

static void uring_receive_start(struct net *net, struct net_conn *nc)
{
    nc->stopping = false;
    if (!nc->receiving && !nc->closing)
        arm_receive((struct uring *)net, nc);
}

static void uring_receive_stop(struct net *net, struct net_conn *nc)
{
    if (!nc->receiving || nc->stopping)
        return;
    nc->stopping = true;
    cancel((struct uring *)net, encode(OP_RECV, nc->index));
}

static void uring_send(struct net *net, struct net_conn *nc, const char *data, size_t len)
{
    struct io_uring_sqe *sqe = sqe_get((struct uring *)net);
    TG_ASSERT(!nc->sending);
    io_uring_prep_send(sqe, nc->fd, data, len, MSG_NOSIGNAL | MSG_WAITALL); /* WAITALL: io_uring finishes short sends */
    io_uring_sqe_set_data64(sqe, encode(OP_SEND, nc->index));
    nc->sending = true;
    nc->ops++;
}

/*
 * No events are asked for: errors and hang-ups are always reported. io_uring counts the peer's half-close among them,
 * which is why we watch at all, so the watch is multishot: the first report is the half-close, only a later one is news.
 */
static void uring_watch_hangup(struct net *net, struct net_conn *nc)
{
    struct io_uring_sqe *sqe = sqe_get((struct uring *)net);
    io_uring_prep_poll_multishot(sqe, nc->fd, 0);
    io_uring_sqe_set_data64(sqe, encode(OP_HANGUP, nc->index));
    nc->watching = true;
    nc->ops++;
}

static void finish_close(struct uring *u, struct net_conn *nc)
{
    if (nc->ops > 0)
        return;
    close(nc->fd);
    nc->fd = -1;
    u->options.handlers->closed(u->options.owner, nc);
}

static void uring_close(struct net *net, struct net_conn *nc)
{
    struct uring *u = (struct uring *)net;
    if (nc->closing)
        return;
    nc->closing = true;
    if (nc->watching)
        cancel(u, encode(OP_HANGUP, nc->index)); /* the only operation that no end of the connection ends */
    if (nc->ops > 0)
        shutdown(nc->fd, SHUT_RDWR); /* ends what the kernel holds; finish_close() comes with the last of it */
    else
        finish_close(u, nc);
}

/* ---- completions -------------------------------------------------------------------------------------- */

static void on_accept(struct uring *u, uint32_t listener, int res, bool more)
{
    if (res >= 0) {
        u->net.listener = u->listeners[listener];
        struct net_conn *nc = u->accepting ? u->options.handlers->accepted(u->options.owner, res) : NULL;
        if (nc) {
            nc->fd = res;
            arm_receive(u, nc);
        } else {
            close(res);
        }
    }
    if (more)
        return;
    u->listener_armed[listener] = false;
    if (!u->accepting)
        return;
    if (res >= 0 || res == -ECONNABORTED)
        arm_accept(u, listener);
    else
        u->accept_retry_ns = clock_now_ns() + ACCEPT_RETRY_NS;
}

static void on_receive(struct uring *u, struct net_conn *nc, int res, uint32_t flags)
{
    const struct net_handlers *h = u->options.handlers;
    if (flags & IORING_CQE_F_BUFFER) { /* its operation still counts: a close in received() must not free the slot */
        uint32_t id = flags >> IORING_CQE_BUFFER_SHIFT;
        if (res > 0 && !nc->closing)
            h->received(u->options.owner, nc, uring_buffers_at(&u->buffers, id), (size_t)res);
        uring_buffers_consumed(&u->buffers, id, res > 0 ? (uint32_t)res : 0);
    }
    if (!(flags & IORING_CQE_F_MORE)) {
        nc->receiving = false;
        nc->ops--;
    }
    if (nc->closing) {
        finish_close(u, nc);
        return;
    }
    if (res == 0)
        h->eof(u->options.owner, nc);
    else if (res < 0 && res != -ENOBUFS && res != -ECANCELED)
        h->failed(u->options.owner, nc, res);
    else if (!nc->receiving && !nc->stopping)
        arm_receive(u, nc);
    else if (!nc->receiving)
        nc->stopping = false;
}

static void on_send(struct uring *u, struct net_conn *nc, int res)
{
    nc->ops--;
    nc->sending = false;
    if (nc->closing)
        finish_close(u, nc);
    else
        u->options.handlers->sent(u->options.owner, nc, res < 0 ? res : 0);
}

static void on_hangup(struct uring *u, struct net_conn *nc, int res, uint32_t flags)
{
    bool gone = res < 0 || (res & (POLLERR | POLLHUP));
    if (!(flags & IORING_CQE_F_MORE)) {
        nc->watching = false;
        nc->ops--;
    }
    if (nc->closing)
        finish_close(u, nc);
    else if (gone)
        u->options.handlers->failed(u->options.owner, nc, -ECONNRESET);
    else if (!nc->watching)
        uring_watch_hangup(&u->net, nc);
}

static void dispatch(struct uring *u, const struct io_uring_cqe *cqe)
{
    uint32_t index = (uint32_t)cqe->user_data;
    switch ((enum op)(cqe->user_data >> 32)) {
    case OP_ACCEPT:
        on_accept(u, index, cqe->res, cqe->flags & IORING_CQE_F_MORE);
        break;
    case OP_RECV:
        on_receive(u, u->options.handlers->conn(u->options.owner, index), cqe->res, cqe->flags);
        break;
    case OP_SEND:
        on_send(u, u->options.handlers->conn(u->options.owner, index), cqe->res);
        break;
    case OP_HANGUP:
        on_hangup(u, u->options.handlers->conn(u->options.owner, index), cqe->res, cqe->flags);
        break;
    case OP_WAKE:
        arm_wake(u);
        break;
    case OP_IGNORE:
        break;
    }
}

static uint32_t collect(struct uring *u)
{
    struct io_uring_cqe *cqe;
    unsigned head;
    uint32_t n = 0;
    io_uring_for_each_cqe(&u->ring, head, cqe)
    {
        struct io_uring_cqe copy = *cqe;
        dispatch(u, &copy);
        n++;
    }
    io_uring_cq_advance(&u->ring, n);
    return n;
}

static uint64_t retry_accept(struct uring *u, uint64_t timeout_ns)
{
    if (TG_LIKELY(u->accept_retry_ns == 0))
        return timeout_ns;
    if (clock_now_ns() < u->accept_retry_ns)
        return TG_MIN(timeout_ns, ACCEPT_RETRY_NS);
    u->accept_retry_ns = 0;
    for (uint32_t i = 0; i < u->listener_count; i++)
        if (!u->listener_armed[i])
            arm_accept(u, i);
    return timeout_ns;
}

/* Nothing to hand in, and the kernel has flagged nothing to take: a look that comes back empty costs no call. */
static bool is_quiet(const struct uring *u)
{
    unsigned flags = IO_URING_READ_ONCE(*u->ring.sq.kflags);
    return io_uring_sq_ready(&u->ring) == 0 && !(flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW));
}

static uint32_t uring_turn(struct net *net, uint64_t timeout_ns)
{
    struct uring *u = (struct uring *)net;
    timeout_ns = retry_accept(u, timeout_ns);
    if (timeout_ns == 0) {
        if (!is_quiet(u))
            io_uring_submit_and_get_events(&u->ring);
    } else if (timeout_ns == UINT64_MAX) {
        io_uring_submit_and_wait(&u->ring, 1);
    } else {
        struct io_uring_cqe *cqe;
        struct __kernel_timespec ts = {.tv_sec = (long long)(timeout_ns / NS_PER_S),
                                       .tv_nsec = (long long)(timeout_ns % NS_PER_S)};
        io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &ts, NULL);
    }
    if (timeout_ns > 0 && u->options.woke)
        u->options.woke(u->options.woke_context);
    return collect(u);
}

/* ---- life cycle --------------------------------------------------------------------------------------- */

static int ring_open(struct uring *u)
{
    static const unsigned attempts[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
        IORING_SETUP_COOP_TASKRUN,
    };
    int rc = -EINVAL;
    for (size_t i = 0; rc == -EINVAL && i < TG_ARRAY_SIZE(attempts); i++) {
        struct io_uring_params p = {.flags = attempts[i] | COMMON_FLAGS, .cq_entries = CQ_ENTRIES};
        rc = io_uring_queue_init_params(SQ_ENTRIES, &u->ring, &p);
    }
    if (rc < 0)
        return rc;
    io_uring_register_ring_fd(&u->ring); /* saves a descriptor lookup per call; fine without */
    rc = uring_limit(&u->ring);
    if (rc < 0)
        io_uring_queue_exit(&u->ring);
    return rc;
}

static int buffers_open(struct uring *u)
{
    const struct net_options *o = &u->options;
    int rc = -EINVAL;
    if (o->buffers >= 2 * URING_BUFFERS_JOINED)
        rc = uring_buffers_open(&u->buffers, &u->ring, o->buffers / URING_BUFFERS_JOINED,
                                o->buffer_bytes * URING_BUFFERS_JOINED, true);
    if (rc == 0)
        return 0;
    log_debug("io_uring: every receive takes a whole buffer: %s", strerror(-rc));
    return uring_buffers_open(&u->buffers, &u->ring, o->buffers, o->buffer_bytes, false);
}

static void uring_destroy(struct net *net)
{
    struct uring *u = (struct uring *)net;
    if (!u)
        return;
    io_uring_queue_exit(&u->ring);
    uring_buffers_finish(&u->buffers);
    free(u);
}

static int uring_create(const struct net_options *options, struct net **net)
{
    struct uring *u = calloc(1, sizeof(*u));
    if (!u)
        return -ENOMEM;
    u->net.ops = &net_uring;
    u->options = *options;
    int rc = ring_open(u);
    if (rc < 0) {
        free(u);
        return rc;
    }
    rc = buffers_open(u);
    if (rc < 0) {
        uring_destroy(&u->net);
        return rc;
    }
    arm_wake(u);
    *net = &u->net;
    return 0;
}

const struct net_ops net_uring = {
    .name = "io_uring",
    .create = uring_create,
    .destroy = uring_destroy,
    .listen = uring_listen,
    .accept_stop = uring_accept_stop,
    .receive_start = uring_receive_start,
    .receive_stop = uring_receive_stop,
    .send = uring_send,
    .send_end = net_send_end,
    .watch_hangup = uring_watch_hangup,
    .close = uring_close,
    .turn = uring_turn,
};
