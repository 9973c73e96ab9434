/* SPDX-License-Identifier: Apache-2.0 */
/* The least-work server on io_uring: multishot accept and receive, one send per connection and turn. */
#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ceil.h"

#define SQ_ENTRIES 4096
#define BUFFERS 256
#define BUFFER_BYTES 32768

/* `out` fills, `sending` is with the kernel: the one in flight never grows. Both are gone while it is quiet. */
struct conn {
    int fd;
    uint32_t held, sent;
    bool dirty, dead;
    struct ceil_block *in, *out, *sending;
    struct conn *next_dirty;
};

enum op { OP_RECV, OP_SEND, OP_MASK = 1 };

static struct io_uring ring;
static struct io_uring_buf_ring *buffer_ring;
static char *buffers;
static struct conn *dirty;
static int listen_fd;

static struct io_uring_sqe *get_sqe(void)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

    while (!sqe) {
        io_uring_submit(&ring);
        sqe = io_uring_get_sqe(&ring);
    }
    return sqe;
}

static void tag(struct io_uring_sqe *sqe, struct conn *conn, enum op op)
{
    io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)conn | op);
    conn->held++;
}

/* The only operation without a connection: its user_data is 0. */
static void arm_accept(void)
{
    struct io_uring_sqe *sqe = get_sqe();

    io_uring_prep_multishot_accept(sqe, listen_fd, NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(sqe, 0);
}

static void arm_recv(struct conn *conn)
{
    struct io_uring_sqe *sqe = get_sqe();

    io_uring_prep_recv_multishot(sqe, conn->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    tag(sqe, conn, OP_RECV);
}

static void arm_send(struct conn *conn)
{
    struct io_uring_sqe *sqe = get_sqe();
    const struct ceil_block *block = conn->sending;

    io_uring_prep_send(sqe, conn->fd, block->bytes + conn->sent, block->len - conn->sent, MSG_NOSIGNAL);
    tag(sqe, conn, OP_SEND);
}

static void kill_conn(struct conn *conn)
{
    if (conn->dead)
        return;
    conn->dead = true;
    shutdown(conn->fd, SHUT_RDWR);
}

static void give_block(struct ceil_block **block)
{
    if (*block)
        ceil_block_give(*block);
    *block = NULL;
}

/* Waits for the kernel to let go, and for the list of connections with something to send. */
static void free_if_over(struct conn *conn)
{
    if (!conn->dead || conn->held || conn->dirty)
        return;
    give_block(&conn->in);
    give_block(&conn->out);
    give_block(&conn->sending);
    close(conn->fd);
    free(conn);
}

static void mark_dirty(struct conn *conn)
{
    if (conn->dirty)
        return;
    conn->dirty = true;
    conn->next_dirty = dirty;
    dirty = conn;
}

static void on_accept(const struct io_uring_cqe *cqe)
{
    struct conn *conn = cqe->res >= 0 ? calloc(1, sizeof(*conn)) : NULL;

    if (conn) {
        conn->fd = cqe->res;
        arm_recv(conn);
    } else if (cqe->res >= 0) {
        close(cqe->res);
    }
    if (!(cqe->flags & IORING_CQE_F_MORE))
        arm_accept();
}

/* Keeps an incomplete request, or requests there is no room to answer yet. */
static void keep(struct conn *conn, const char *in, size_t len)
{
    if (len == 0)
        return;
    if (!conn->in)
        conn->in = ceil_block_take();
    if (len > CEIL_BLOCK_BYTES - conn->in->len) {
        kill_conn(conn);
        return;
    }
    memmove(conn->in->bytes + conn->in->len, in, len);
    conn->in->len += (uint32_t)len;
}

static size_t answer(struct conn *conn, const char *in, size_t len)
{
    size_t used, wrote;

    if (!conn->out)
        conn->out = ceil_block_take();
    used = ceil_answer(in, len, conn->out->bytes + conn->out->len, CEIL_BLOCK_BYTES - conn->out->len, &wrote);
    conn->out->len += (uint32_t)wrote;
    if (used == SIZE_MAX)
        kill_conn(conn);
    else if (conn->out->len)
        mark_dirty(conn);
    else
        give_block(&conn->out);
    return used == SIZE_MAX ? len : used;
}

static void serve_kept(struct conn *conn)
{
    struct ceil_block *in = conn->in;
    size_t used = answer(conn, in->bytes, in->len);

    conn->in = NULL;
    keep(conn, in->bytes + used, in->len - used);
    ceil_block_give(in);
}

static void on_bytes(struct conn *conn, const char *bytes, size_t len)
{
    size_t used;

    if (conn->dead)
        return;
    if (conn->in) {
        keep(conn, bytes, len);
        if (!conn->dead)
            serve_kept(conn);
        return;
    }
    used = answer(conn, bytes, len);
    keep(conn, bytes + used, len - used);
}

static void give_buffer(uint32_t id)
{
    io_uring_buf_ring_add(buffer_ring, buffers + (size_t)id * BUFFER_BYTES, BUFFER_BYTES, (unsigned short)id,
                          io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(buffer_ring, 1);
}

static void on_recv(struct conn *conn, const struct io_uring_cqe *cqe)
{
    uint32_t id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;

    if (cqe->res > 0)
        on_bytes(conn, buffers + (size_t)id * BUFFER_BYTES, (size_t)cqe->res);
    if (cqe->flags & IORING_CQE_F_BUFFER)
        give_buffer(id);
    if (cqe->res <= 0 && cqe->res != -ENOBUFS)
        kill_conn(conn);
    else if (!(cqe->flags & IORING_CQE_F_MORE) && !conn->dead)
        arm_recv(conn);
}

static void on_sent(struct conn *conn, const struct io_uring_cqe *cqe)
{
    if (cqe->res < 0) {
        kill_conn(conn);
        return;
    }
    conn->sent += (uint32_t)cqe->res;
    if (conn->sent < conn->sending->len) {
        arm_send(conn);
        return;
    }
    give_block(&conn->sending);
    if (conn->in)
        serve_kept(conn);
    if (conn->out)
        mark_dirty(conn);
}

static void dispatch(const struct io_uring_cqe *cqe)
{
    struct conn *conn = (struct conn *)(uintptr_t)(cqe->user_data & ~(uint64_t)OP_MASK);

    if (!conn) {
        on_accept(cqe);
        return;
    }
    if ((cqe->user_data & OP_MASK) == OP_RECV)
        on_recv(conn, cqe);
    else
        on_sent(conn, cqe);
    conn->held -= !(cqe->flags & IORING_CQE_F_MORE);
    free_if_over(conn);
}

static void flush_dirty(void)
{
    struct conn *conn;

    while ((conn = dirty) != NULL) {
        dirty = conn->next_dirty;
        conn->dirty = false;
        if (!conn->dead && conn->out && !conn->sending) {
            conn->sending = conn->out;
            conn->out = NULL;
            conn->sent = 0;
            arm_send(conn);
        }
        free_if_over(conn);
    }
}

static void turn(bool spin)
{
    struct io_uring_cqe *cqe;
    unsigned head, seen = 0;

    if (spin)
        io_uring_submit_and_get_events(&ring);
    else
        io_uring_submit_and_wait(&ring, 1);
    io_uring_for_each_cqe(&ring, head, cqe)
    {
        dispatch(cqe);
        seen++;
    }
    io_uring_cq_advance(&ring, seen);
    flush_dirty();
}

static int set_up(void)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                              IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
                                     .cq_entries = 8 * SQ_ENTRIES};
    struct io_uring_buf_reg reg = {.ring_entries = BUFFERS};
    int rc = io_uring_queue_init_params(SQ_ENTRIES, &ring, &params);

    if (rc)
        return rc;
    io_uring_register_ring_fd(&ring);
    buffers = malloc((size_t)BUFFERS * BUFFER_BYTES);
    buffer_ring = mmap(NULL, BUFFERS * sizeof(struct io_uring_buf), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!buffers || buffer_ring == MAP_FAILED)
        return -ENOMEM;
    reg.ring_addr = (uint64_t)(uintptr_t)buffer_ring;
    for (uint32_t i = 0; i < BUFFERS; i++)
        give_buffer(i);
    return io_uring_register_buf_ring(&ring, &reg, 0);
}

int main(int argc, char **argv)
{
    struct ceil_options options;
    int rc;

    ceil_parse_options(argc, argv, &options);
    listen_fd = ceil_listen(options.port, false);
    rc = set_up();
    if (rc) {
        fprintf(stderr, "ceil-uring: io_uring: %s\n", strerror(-rc));
        return 1;
    }
    arm_accept();
    for (;;)
        turn(options.spin);
}
