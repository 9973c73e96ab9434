/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network loop of one worker: accepts, receives, sends, sleeps. Two implementations fill the same table,
 * io_uring (uring.c) and epoll (epoll.c); one is chosen at start-up (net.c) and never mixed.
 *
 * A connection is a slot of the owner's, known here by its index. It is not reused before closed() was called:
 * the kernel may still hold operations on it.
 * Thread: everything here belongs to the worker that created the loop.
 */
#ifndef TG_NET_H
#define TG_NET_H

#include <sys/types.h>
#include "tg/def.h"

struct gate;

/* Embedded first in the owner's connection. */
struct net_conn {
    int32_t fd; /* -1: slot is free */
    uint32_t index;
    uint16_t ops; /* operations the kernel holds */
    bool receiving, stopping, closing, sending, watching;
    bool tls; /* set by the filter of tls.h */
};

/* What the loop tells its owner. No callback may block. */
struct net_handlers {
    /** A connection came in. Return its slot (zeroed net_conn with index set), or NULL to refuse it: @fd is closed. */
    struct net_conn *(*accepted)(void *owner, int fd);
    /** Bytes arrived; the memory may be written to and is valid until the callback returns. */
    void (*received)(void *owner, struct net_conn *nc, char *data, size_t len);
    /** The peer sends nothing more (it may still read). */
    void (*eof)(void *owner, struct net_conn *nc);
    /** The connection broke. The owner closes it. */
    void (*failed)(void *owner, struct net_conn *nc, int error);
    /** The send ended: all bytes (0) or negative errno. */
    void (*sent)(void *owner, struct net_conn *nc, int result);
    /** The kernel holds nothing of this connection any more; its slot may be reused. */
    void (*closed)(void *owner, struct net_conn *nc);
    /** Find the slot of an index given earlier. */
    struct net_conn *(*conn)(void *owner, uint32_t index);
};

struct net_options {
    const struct net_handlers *handlers;
    void *owner;
    int wake_fd;         /* eventfd: written by other threads to end a sleep */
    /** A turn's wait is over, nothing is delivered yet: what the owner knew of the time is old. NULL: not told. */
    void (*woke)(void *context);
    void *woke_context;
    uint32_t conns_max;
    uint32_t buffers;    /* receive buffers, power of two */
    uint32_t buffer_bytes;
    struct gate *gate;   /* decides who comes in (gate.h); NULL: everybody */
};

struct net; /* each implementation defines its own, with `const struct net_ops *ops` first */

struct net_ops {
    const char *name; /* "io_uring", "epoll" */
    int (*create)(const struct net_options *options, struct net **net);
    void (*destroy)(struct net *net);
    /** Accept from @fd until accept_stop(). The descriptor stays the caller's. */
    int (*listen)(struct net *net, int fd);
    void (*accept_stop)(struct net *net);
    /** Begin or go on receiving. Idempotent. */
    void (*receive_start)(struct net *net, struct net_conn *nc);
    /** Receive no more for now; bytes already on their way still arrive. Idempotent. */
    void (*receive_stop)(struct net *net, struct net_conn *nc);
    /** Send all of @data, which must stay put until sent(). One at a time per connection. */
    void (*send)(struct net *net, struct net_conn *nc, const char *data, size_t len);
    /** All is sent and nothing will follow: let the peer know, which may still send. Not while a send is under way. */
    void (*send_end)(struct net *net, struct net_conn *nc);
    /** After eof(): report failed() when the peer is gone altogether (reset), not only half-closed. Call once. */
    void (*watch_hangup)(struct net *net, struct net_conn *nc);
    /** Drop the connection: no callback but closed() follows. Idempotent. */
    void (*close)(struct net *net, struct net_conn *nc);
    /**
     * Submit what was asked, wait up to @timeout_ns (0: do not wait) for something to happen, deliver it.
     * Returns the number of events delivered.
     */
    uint32_t (*turn)(struct net *net, uint64_t timeout_ns);
};

struct net {
    const struct net_ops *ops;
    int listener; /* during accepted(): where the connection came in */
};

/** The send_end() of both loops: a connection is a socket. */
void net_send_end(struct net *net, struct net_conn *nc);

extern const struct net_ops net_uring, net_epoll;

/**
 * Pick an implementation. @wanted "auto", "io_uring", "epoll". On success *net is ready; *why says why io_uring was
 * passed over (empty if it was not). Returns 0 or negative errno.
 */
int net_create(const char *wanted, const struct net_options *options, struct net **net, char *why, size_t why_len);

/**
 * Open a listening TCP socket. @address "host:port", "[v6]:port" or ":port" (all addresses, both families).
 * @reuse_port  several workers listen on the same port. Returns the descriptor or negative errno; @error gets one
 * line for a person.
 */
int listen_open(const char *address, int backlog, bool reuse_port, char *error, size_t error_len);

/**
 * Is nobody else listening there? SO_REUSEPORT would let two gateways share a port without a word.
 * Returns 0 or negative errno with one line in @error.
 */
int listen_check_free(const char *address, char *error, size_t error_len);

/* The file of a Unix socket, as we made it: what bears its name later may be another's. */
struct listen_file {
    char path[108];
    dev_t device;
    ino_t inode;
};

#define LISTEN_UNIX "unix:" /* in front of a path, where an address is expected */

/**
 * Open a listening Unix socket, readable and writable for owner and group. A socket file that nobody answers on is
 * replaced; anything else in its place is an error. Returns the descriptor or negative errno with one line in @error.
 */
int listen_unix_open(const char *path, int backlog, struct listen_file *file, char *error, size_t error_len);
/** Remove the file, if it is still ours. */
void listen_unix_remove(struct listen_file *file);

/**
 * Sockets passed by a service manager (LISTEN_PID, LISTEN_FDS): checked to be listening stream sockets, made
 * non-blocking and closed on exec. The variables are removed. Returns how many there are, 0 for none, or negative
 * errno with one line in @error.
 */
int listen_inherit(int *fds, uint32_t most, char *error, size_t error_len);
/** In a process that the one they were passed to has forked: close them, it has no use for them. */
void listen_inherit_drop(void);

/** The bound address as text, "127.0.0.1:9484" or "unix:/path". */
void listen_name(int fd, char *out, size_t cap);

#endif
