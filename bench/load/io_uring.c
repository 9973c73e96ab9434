/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes by io_uring: one submission and one wait per turn, multishot receive into a ring of shared buffers. */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "client.h"
#include "clock.h"
#include "options.h"

#define SQ_ENTRIES 4096
#define BUFFER_GROUP 0
#define BUFFERS_MIN 64
#define BUFFERS_MAX 4096

/* Connections are aligned well past 4, which leaves two bits of user_data for the operation. */
enum op { OP_CONNECT, OP_RECV, OP_SEND, OP_MASK = 3 };

struct uring {
    struct io_uring ring;
    struct client *client;
    struct io_uring_buf_ring *buffers;
    char *bytes;
    uint32_t buffer_bytes, buffer_count;
};

static struct io_uring_sqe *get_sqe(struct uring *u)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

    while (!sqe) {
        io_uring_submit(&u->ring);
        sqe = io_uring_get_sqe(&u->ring);
    }
    return sqe;
}

static void tag(struct io_uring_sqe *sqe, struct conn *conn, enum op op)
{
    io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)conn | op);
    conn->held++;
}

static void arm_recv(struct uring *u, struct conn *conn)
{
    struct io_uring_sqe *sqe = get_sqe(u);

    io_uring_prep_recv_multishot(sqe, conn->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BUFFER_GROUP;
    tag(sqe, conn, OP_RECV);
}

static int uring_connect(void *io, struct conn *conn)
{
    struct uring *u = io;
    struct io_uring_sqe *sqe = get_sqe(u);

    io_uring_prep_connect(sqe, conn->fd, (const struct sockaddr *)&u->client->o->addr, u->client->o->addr_len);
    tag(sqe, conn, OP_CONNECT);
    return 0;
}

static void uring_send(void *io, struct conn *conn, const char *bytes, uint32_t len)
{
    struct io_uring_sqe *sqe = get_sqe(io);

    io_uring_prep_send(sqe, conn->fd, bytes, len, MSG_NOSIGNAL);
    tag(sqe, conn, OP_SEND);
}

/* Shutting down makes the kernel end what it still holds for the socket; the last completion lets go of it. */
static void uring_close(void *io, struct conn *conn)
{
    struct uring *u = io;

    shutdown(conn->fd, SHUT_RDWR);
    if (conn->held == 0)
        client_on_gone(u->client, conn);
}

static char *buffer_at(struct uring *u, uint32_t id)
{
    return u->bytes + (size_t)id * u->buffer_bytes;
}

static void give_buffer(struct uring *u, uint32_t id)
{
    io_uring_buf_ring_add(u->buffers, buffer_at(u, id), u->buffer_bytes, (unsigned short)id,
                          io_uring_buf_ring_mask(u->buffer_count), 0);
    io_uring_buf_ring_advance(u->buffers, 1);
}

static void on_recv(struct uring *u, struct conn *conn, const struct io_uring_cqe *cqe)
{
    uint32_t id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;

    if (cqe->res > 0)
        client_on_bytes(u->client, conn, buffer_at(u, id), (size_t)cqe->res);
    if (cqe->flags & IORING_CQE_F_BUFFER)
        give_buffer(u, id);
    if (cqe->res <= 0 && cqe->res != -ENOBUFS)
        client_on_end(u->client, conn, cqe->res);
    else if (!(cqe->flags & IORING_CQE_F_MORE) && conn_is_live(conn))
        arm_recv(u, conn);
}

static void on_connect(struct uring *u, struct conn *conn, int rc)
{
    if (rc == 0 && conn->state == CONN_CONNECTING)
        arm_recv(u, conn);
    client_on_open(u->client, conn, rc);
}

static void dispatch(struct uring *u, const struct io_uring_cqe *cqe)
{
    struct conn *conn = (struct conn *)(uintptr_t)(cqe->user_data & ~(uint64_t)OP_MASK);
    enum op op = (enum op)(cqe->user_data & OP_MASK);
    bool last = !(cqe->flags & IORING_CQE_F_MORE);

    /* Held until the handler returns, so that a connection dropped in it does not vanish under it. */
    if (op == OP_RECV)
        on_recv(u, conn, cqe);
    else if (op == OP_CONNECT)
        on_connect(u, conn, cqe->res);
    else if (conn_is_live(conn))
        client_on_sent(u->client, conn, cqe->res);
    conn->held -= last;
    if (conn->held == 0 && conn->state == CONN_CLOSING)
        client_on_gone(u->client, conn);
}

/* Without this flag in view nothing waits for us in the kernel, and a spinning thread saves the system call. */
static bool kernel_has_work(struct uring *u)
{
    unsigned flags = __atomic_load_n(u->ring.sq.kflags, __ATOMIC_RELAXED);

    return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

static void enter(struct uring *u, uint64_t wait_ns)
{
    struct __kernel_timespec ts = {.tv_sec = (long long)(wait_ns / NS_PER_S),
                                   .tv_nsec = (long long)(wait_ns % NS_PER_S)};
    struct io_uring_cqe *cqe;

    if (wait_ns)
        io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &ts, NULL);
    else if (io_uring_sq_ready(&u->ring) || kernel_has_work(u))
        io_uring_submit_and_get_events(&u->ring);
}

static void uring_turn(void *io, uint64_t wait_ns)
{
    struct uring *u = io;
    struct io_uring_cqe *cqe;
    unsigned head, seen = 0;

    enter(u, wait_ns);
    u->client->now_ns = clock_ns();
    io_uring_for_each_cqe(&u->ring, head, cqe)
    {
        dispatch(u, cqe);
        seen++;
    }
    io_uring_cq_advance(&u->ring, seen);
}

static int add_buffers(struct uring *u, uint32_t connections)
{
    struct io_uring_buf_reg reg = {.bgid = BUFFER_GROUP};
    size_t ring_bytes;

    for (u->buffer_count = BUFFERS_MIN; u->buffer_count < connections && u->buffer_count < BUFFERS_MAX;)
        u->buffer_count *= 2;
    ring_bytes = u->buffer_count * sizeof(struct io_uring_buf);
    u->buffers = mmap(NULL, ring_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    u->bytes = malloc((size_t)u->buffer_count * u->buffer_bytes);
    if (u->buffers == MAP_FAILED || !u->bytes)
        return -ENOMEM;
    reg.ring_addr = (uint64_t)(uintptr_t)u->buffers;
    reg.ring_entries = u->buffer_count;
    for (uint32_t i = 0; i < u->buffer_count; i++)
        give_buffer(u, i);
    return io_uring_register_buf_ring(&u->ring, &reg, 0);
}

static int init_ring(struct uring *u)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
                 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
        .cq_entries = 8 * SQ_ENTRIES,
    };
    int rc = io_uring_queue_init_params(SQ_ENTRIES, &u->ring, &params);

    if (rc == 0)
        io_uring_register_ring_fd(&u->ring);
    return rc;
}

static void uring_destroy(void *io)
{
    struct uring *u = io;

    io_uring_queue_exit(&u->ring);
    if (u->buffers && u->buffers != MAP_FAILED)
        munmap(u->buffers, u->buffer_count * sizeof(struct io_uring_buf));
    free(u->bytes);
    free(u);
}

static void *uring_create(struct client *client, uint32_t connections, uint32_t buffer_bytes)
{
    struct uring *u = calloc(1, sizeof(*u));
    int rc;

    if (!u)
        return NULL;
    u->client = client;
    u->buffer_bytes = buffer_bytes;
    rc = init_ring(u);
    if (rc) {
        free(u);
        errno = -rc;
        return NULL;
    }
    rc = add_buffers(u, connections);
    if (rc) {
        uring_destroy(u);
        errno = -rc;
        return NULL;
    }
    return u;
}

const struct io io_uring_backend = {
    .name = "io_uring",
    .create = uring_create,
    .destroy = uring_destroy,
    .connect = uring_connect,
    .send = uring_send,
    .close = uring_close,
    .turn = uring_turn,
};
