/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers for io_uring's receives, and the trial that shows whether one can serve several of them. */
#include "uring_buffers.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define REGISTER_INCREMENTAL 2 /* IOU_PBUF_RING_INC, which the headers of liburing 2.3 lack; in the field they call pad */

/* ---- use --------------------------------------------------------------------------------------------------- */

static char *start_of(const struct uring_buffers *b, uint32_t id)
{
    return b->memory + (size_t)id * b->bytes;
}

static void provide(struct uring_buffers *b, uint32_t id)
{
    b->used[id] = 0;
    io_uring_buf_ring_add(b->ring, start_of(b, id), b->bytes, (unsigned short)id, (int)b->count - 1, 0);
    io_uring_buf_ring_advance(b->ring, 1);
}

char *uring_buffers_at(const struct uring_buffers *b, uint32_t id)
{
    TG_ASSERT(id < b->count);
    return start_of(b, id) + b->used[id];
}

void uring_buffers_consumed(struct uring_buffers *b, uint32_t id, uint32_t len)
{
    b->used[id] += len;
    TG_ASSERT(b->used[id] <= b->bytes);
    if (!b->incremental || b->used[id] == b->bytes)
        provide(b, id);
}

/* ---- trial --------------------------------------------------------------------------------------------------- */

static bool receive(struct io_uring *ring, int fd, struct io_uring_cqe *result)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    struct io_uring_cqe *cqe;
    io_uring_prep_recv(sqe, fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = URING_BUFFER_GROUP;
    if (io_uring_submit_and_wait(ring, 1) != 1 || io_uring_peek_cqe(ring, &cqe) < 0)
        return false;
    *result = *cqe;
    io_uring_cqe_seen(ring, cqe);
    return true;
}

/* The byte is there before the receive begins, so that the wait ends. */
static bool lands(struct uring_buffers *b, struct io_uring *ring, const int pair[2], char byte)
{
    struct io_uring_cqe cqe;
    if (write(pair[1], &byte, 1) != 1 || !receive(ring, pair[0], &cqe))
        return false;
    uint32_t id = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
    if (cqe.res != 1 || !(cqe.flags & IORING_CQE_F_BUFFER) || id != 0 || *uring_buffers_at(b, id) != byte)
        return false;
    uring_buffers_consumed(b, id, 1);
    return true;
}

/* A kernel may take the flag and mean something else by it: the second byte must lie behind the first. */
static int try_out(struct uring_buffers *b, struct io_uring *ring)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    bool good = lands(b, ring, pair, 'a') && lands(b, ring, pair, 'b');
    close(pair[0]);
    close(pair[1]);
    return good ? 0 : -EOPNOTSUPP;
}

/* ---- life cycle ------------------------------------------------------------------------------------------------ */

static void *map(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static int register_ring(const struct uring_buffers *b, struct io_uring *ring)
{
    struct io_uring_buf_reg r = {
        .ring_addr = (unsigned long)b->ring,
        .ring_entries = b->count,
        .bgid = URING_BUFFER_GROUP,
        .pad = b->incremental ? REGISTER_INCREMENTAL : 0,
    };
    return io_uring_register_buf_ring(ring, &r, 0);
}

int uring_buffers_open(struct uring_buffers *b, struct io_uring *ring, uint32_t count, uint32_t bytes,
                       bool incremental)
{
    *b = (struct uring_buffers){.count = count, .bytes = bytes, .incremental = incremental};
    b->ring = map(count * sizeof(struct io_uring_buf));
    b->memory = map((size_t)count * bytes);
    b->used = calloc(count, sizeof(*b->used));
    int rc = b->ring && b->memory && b->used ? register_ring(b, ring) : -ENOMEM;
    if (rc < 0)
        goto free_memory;
    io_uring_buf_ring_init(b->ring);
    for (uint32_t i = 0; i < count; i++)
        provide(b, i);
    rc = incremental ? try_out(b, ring) : 0;
    if (rc == 0)
        return 0;
    io_uring_unregister_buf_ring(ring, URING_BUFFER_GROUP);
free_memory:
    uring_buffers_finish(b);
    return rc;
}

void uring_buffers_finish(struct uring_buffers *b)
{
    if (b->memory)
        munmap(b->memory, (size_t)b->count * b->bytes);
    if (b->ring)
        munmap(b->ring, b->count * sizeof(struct io_uring_buf));
    free(b->used);
    *b = (struct uring_buffers){0};
}
