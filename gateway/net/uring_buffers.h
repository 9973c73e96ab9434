/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory that io_uring receives into, provided ahead so that a connection owns none while it is idle.
 * Incremental, one buffer serves receive after receive until it is full: what is touched stays small and warm, and
 * buffers may be large, so that a burst or a piece of a large body comes in one go. Kernels before 6.12 give a whole
 * buffer to every receive.
 * Thread: the ring's submitter.
 */
#ifndef TG_NET_URING_BUFFERS_H
#define TG_NET_URING_BUFFERS_H

#include <liburing.h>
#include "tg/def.h"

#define URING_BUFFER_GROUP 0
#define URING_BUFFERS_JOINED 4 /* incremental: so many of the buffers asked for make one */

struct uring_buffers {
    struct io_uring_buf_ring *ring;
    char *memory;
    uint32_t *used; /* incremental: bytes of each buffer that receives have filled */
    uint32_t count, bytes;
    bool incremental;
};

/**
 * Provide @count buffers of @bytes each, @count a power of two. @incremental is tried out: it fails with -EOPNOTSUPP where
 * receives do not land as they should. Returns 0 or negative errno, and then nothing is left behind.
 */
int uring_buffers_open(struct uring_buffers *b, struct io_uring *ring, uint32_t count, uint32_t bytes,
                       bool incremental);
/** After the ring has gone. */
void uring_buffers_finish(struct uring_buffers *b);

/** Where the bytes of a completion lie that names buffer @id. Completions must be looked up in their order. */
char *uring_buffers_at(const struct uring_buffers *b, uint32_t id);
/** The @len bytes at uring_buffers_at() are read; the kernel gets the buffer back once it has filled it. */
void uring_buffers_consumed(struct uring_buffers *b, uint32_t id, uint32_t len);

#endif
