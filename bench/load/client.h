/* SPDX-License-Identifier: Apache-2.0 */
/* One thread of the generator: its connections, its schedule, its counts. */
#ifndef BENCH_LOAD_CLIENT_H
#define BENCH_LOAD_CLIENT_H

#include <pthread.h>
#include <stdatomic.h>

#include "io.h"
#include "pacer.h"
#include "request.h"
#include "response.h"
#include "stats.h"

struct options;
struct tls;
struct tls_conn;

/* Greeting: the TLS handshake, where there is TLS. Bytes move while greeting and open. */
enum conn_state { CONN_DOWN, CONN_CONNECTING, CONN_GREETING, CONN_OPEN, CONN_CLOSING };

/* A request in flight. */
struct slot {
    uint64_t due_ns, sent_ns;
    char number[REQUEST_DIGITS];
};

struct conn {
    int fd;
    enum conn_state state;
    uint16_t in_flight, oldest; /* of `slots`, a ring of --pipeline places */
    uint16_t held;              /* operations the kernel still has: the io_uring back end's own count */
    bool active, dirty, ready, sending, opened_before;
    uint8_t filling;                /* which half of `out` takes new requests; the other may be on its way */
    uint32_t filled, to_send, sent; /* bytes: waiting in the filling half; whole and part of `outgoing` */
    uint64_t began_ns;              /* to connect */
    uint64_t deadline_ns;           /* connecting: give up then; down: try again then */
    const char *outgoing;           /* what `to_send` and `sent` count in */
    struct tls_conn *tls;           /* its TLS session while it is greeting or open, NULL without TLS */
    char *out;                      /* two halves of --pipeline requests each */
    struct slot *slots;
    struct conn *next_dirty, *next_ready;
    struct response response;
};

/* Shared by all threads of a run; the times are set between the two barriers. */
struct run {
    const struct options *options;
    const struct request_set *requests;
    const struct io *io;
    pthread_barrier_t connected, started;
    uint64_t start_ns, measure_ns, end_ns;
    _Atomic bool stop; /* set by a signal: end the window now */
};

struct client {
    struct run *run;
    const struct options *o;
    const struct io *io;
    void *io_state;
    uint64_t now_ns, end_ns;
    struct conn *dirty;                     /* has requests to send */
    struct conn *ready_first, **ready_last; /* open loop: has room for another request */
    uint32_t next_request, outstanding, open_count, sweep_at;
    uint64_t sweep_ns;
    char number[REQUEST_DIGITS];
    bool sending, measuring, reconnecting;
    size_t id_hint; /* where in the answer the id was found last */
    struct pacer pacer;
    struct response_memo memo;
    struct tls *tls; /* NULL without --tls */
    struct stats *stats;
    struct conn *conns;
    uint32_t conn_count, active_count, index;
    int error; /* why the thread could not start, as a negative errno */
    char *out_bytes;
    struct slot *slots;
    pthread_t thread;
    _Atomic uint64_t progress; /* answers in the window so far, for the line on the terminal */
};

static inline bool conn_is_live(const struct conn *conn)
{
    return conn->state == CONN_GREETING || conn->state == CONN_OPEN;
}

/* What back ends report, and TLS when a handshake is over. `rc` is 0 or a negative errno. */
void client_on_open(struct client *c, struct conn *conn, int rc);
void client_on_bytes(struct client *c, struct conn *conn, const char *bytes, size_t len);
void client_on_sent(struct client *c, struct conn *conn, int sent_or_errno);
void client_on_end(struct client *c, struct conn *conn, int rc);
void client_on_gone(struct client *c, struct conn *conn);

/* What TLS hands back: answers unsealed, and records to send, which stay untouched until they are sent. */
void client_on_plain(struct client *c, struct conn *conn, const char *bytes, size_t len);
void client_send(struct client *c, struct conn *conn, const char *bytes, uint32_t len);

/**
 * Prepares thread `index` of --threads with its share of the connections.
 * Returns 0, -ENOMEM, or what the back end said. client_destroy() undoes it, also after a failure.
 */
int client_create(struct client *c, struct run *run, uint32_t index);
void client_destroy(struct client *c);

/* The body of the thread: connect, wait for the others, run, drain. `arg` is the client. */
void *client_main(void *arg);

#endif
