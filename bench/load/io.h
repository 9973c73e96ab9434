/* SPDX-License-Identifier: Apache-2.0 */
/* How bytes move: one table for io_uring, one for epoll. Both belong to the one thread that runs the client. */
#ifndef BENCH_LOAD_IO_H
#define BENCH_LOAD_IO_H

#include <stddef.h>
#include <stdint.h>

struct client;
struct conn;

/*
 * A connection goes: connect -> client_on_open -> send, bytes ... -> close -> client_on_gone. What a back end learns
 * of it, it says through the client_on_ calls in client.h.
 */
struct io {
    const char *name;
    /* Returns NULL and sets errno when the kernel refuses. */
    void *(*create)(struct client *client, uint32_t connections, uint32_t buffer_bytes);
    void (*destroy)(void *io);
    /* Starts to connect conn->fd. Returns 0 or a negative errno; the outcome comes through client_on_open. */
    int (*connect)(void *io, struct conn *conn);
    /* The bytes stay untouched until client_on_sent. One call at a time for a connection. */
    void (*send)(void *io, struct conn *conn, const char *bytes, uint32_t len);
    /* Ends the connection; client_on_gone follows, at once or later, when the kernel holds nothing of it. */
    void (*close)(void *io, struct conn *conn);
    /* Hands over what has happened, waiting up to `wait_ns` if nothing has. Sets the client's clock after waiting. */
    void (*turn)(void *io, uint64_t wait_ns);
};

extern const struct io io_uring_backend;
extern const struct io io_epoll_backend;

#endif
