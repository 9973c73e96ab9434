/* SPDX-License-Identifier: Apache-2.0 */
/* Restrictions of a ring. They cannot be lifted again, and cost a bit test per operation. */
#include "uring_limits.h"

#include <string.h>
#include "gateway/base/log.h"
#include "tg/def.h"

#define SQE_FLAGS IOSQE_BUFFER_SELECT

static const uint8_t operations[] = {IORING_OP_ACCEPT, IORING_OP_RECV,         IORING_OP_SEND,
                                     IORING_OP_READ,   IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL};

/* What is registered once the ring runs: the buffers, and the descriptor that liburing gives back at the end. */
static const uint8_t registrations[] = {IORING_REGISTER_PBUF_RING, IORING_UNREGISTER_PBUF_RING,
                                        IORING_UNREGISTER_RING_FDS};

int uring_limit(struct io_uring *ring)
{
    struct io_uring_restriction r[TG_ARRAY_SIZE(operations) + TG_ARRAY_SIZE(registrations) + 1] = {0};
    unsigned n = 0;
    for (size_t i = 0; i < TG_ARRAY_SIZE(operations); i++)
        r[n++] = (struct io_uring_restriction){.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = operations[i]};
    for (size_t i = 0; i < TG_ARRAY_SIZE(registrations); i++)
        r[n++] = (struct io_uring_restriction){.opcode = IORING_RESTRICTION_REGISTER_OP,
                                               .register_op = registrations[i]};
    r[n++] = (struct io_uring_restriction){.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = SQE_FLAGS};
    int rc = io_uring_register((unsigned)ring->ring_fd, IORING_REGISTER_RESTRICTIONS, r, n);
    if (rc < 0)
        log_debug("io_uring: operations are not limited: %s", strerror(-rc)); /* a second fence, not the first */
    return io_uring_register((unsigned)ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}
