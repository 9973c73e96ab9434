/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TLS filter's two tables: the operations its user calls, and the handlers the loop below it calls.
 * Whatever belongs to a connection of a plain listener is passed on, at the price of one branch.
 */
#include <errno.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include "gateway/base/clock.h"
#include "tls_conn.h"

#define BUFFER_BYTES (60u << 10)       /* a send of three records: the 64 KiB class */
#define BUFFER_CLASS_BYTES (16u << 20) /* per class and worker; address space until used */
#define BUFFERS_MIN 4

static const struct net_ops tls_ops;

static struct tls *filter_of(struct net *net)
{
    return (struct tls *)net;
}

static struct tls_conn *conn_of(struct tls *f, const struct net_conn *outer)
{
    return &f->conns[outer->index];
}

/* The loop's idea of a connection, from the user's. */
static struct net_conn *below(struct tls *f, struct net_conn *nc)
{
    return TG_UNLIKELY(nc->tls) ? &conn_of(f, nc)->net : nc;
}

static struct tls_conn *of_loop(struct net_conn *nc)
{
    return TG_CONTAINER_OF(nc, struct tls_conn, net);
}

/* ---- what the loop tells ------------------------------------------------------------------------- */

static bool speaks_tls(const struct tls *f, int listener)
{
    for (uint32_t i = 0; i < f->listener_count; i++)
        if (f->listeners[i] == listener)
            return true;
    return false;
}

static struct net_conn *begin(struct tls *f, struct net_conn *outer, int fd)
{
    struct tls_conn *t = conn_of(f, outer);
    outer->fd = fd;
    outer->tls = true;
    *t = (struct tls_conn){.net = {.fd = fd, .index = outer->index, .tls = true},
                           .outer = outer,
                           .filter = f,
                           .timer.kind = f->options.timer_kind};
    timer_arm(f->options.wheel, &t->timer, clock_now_ns() + tls_context_handshake_ns(f->options.context));
    return &t->net;
}

static struct net_conn *on_accepted(void *owner, int fd)
{
    struct tls *f = owner;
    struct net_conn *nc = f->options.net.handlers->accepted(f->options.net.owner, fd);
    return nc && speaks_tls(f, f->inner->listener) ? begin(f, nc, fd) : nc;
}

static void on_received(void *owner, struct net_conn *nc, char *data, size_t len)
{
    struct tls *f = owner;
    if (TG_LIKELY(!nc->tls))
        f->options.net.handlers->received(f->options.net.owner, nc, data, len);
    else
        tls_conn_received(f, of_loop(nc), data, len);
}

static void on_eof(void *owner, struct net_conn *nc)
{
    struct tls *f = owner;
    if (TG_LIKELY(!nc->tls))
        f->options.net.handlers->eof(f->options.net.owner, nc);
    else
        tls_conn_eof(f, of_loop(nc));
}

static void on_failed(void *owner, struct net_conn *nc, int error)
{
    struct tls *f = owner;
    f->options.net.handlers->failed(f->options.net.owner, nc->tls ? of_loop(nc)->outer : nc, error);
}

static void on_sent(void *owner, struct net_conn *nc, int result)
{
    struct tls *f = owner;
    if (TG_LIKELY(!nc->tls))
        f->options.net.handlers->sent(f->options.net.owner, nc, result);
    else
        tls_conn_sent(f, of_loop(nc), result);
}

static void on_closed(void *owner, struct net_conn *nc)
{
    struct tls *f = owner;
    if (nc->tls) {
        struct tls_conn *t = of_loop(nc);
        tls_conn_release(f, t);
        nc = t->outer;
        nc->fd = -1;
        nc->sending = false;
    }
    f->options.net.handlers->closed(f->options.net.owner, nc);
}

static struct net_conn *conn_at(void *owner, uint32_t index)
{
    struct tls *f = owner;
    return below(f, f->options.net.handlers->conn(f->options.net.owner, index));
}

static const struct net_handlers tls_handlers = {
    .accepted = on_accepted,
    .received = on_received,
    .eof = on_eof,
    .failed = on_failed,
    .sent = on_sent,
    .closed = on_closed,
    .conn = conn_at,
};

/* ---- what the user asks for ---------------------------------------------------------------------- */

static int plain_listen(struct net *net, int fd)
{
    struct tls *f = filter_of(net);
    return f->inner->ops->listen(f->inner, fd);
}

int tls_listen(struct net *net, int fd)
{
    struct tls *f = filter_of(net);
    if (f->listener_count == TG_ARRAY_SIZE(f->listeners))
        return -ENOSPC;
    f->listeners[f->listener_count++] = fd;
    return plain_listen(net, fd);
}

static void tls_accept_stop(struct net *net)
{
    struct tls *f = filter_of(net);
    f->inner->ops->accept_stop(f->inner);
}

static void tls_receive_start(struct net *net, struct net_conn *nc)
{
    struct tls *f = filter_of(net);
    f->inner->ops->receive_start(f->inner, below(f, nc));
}

static void tls_receive_stop(struct net *net, struct net_conn *nc)
{
    struct tls *f = filter_of(net);
    f->inner->ops->receive_stop(f->inner, below(f, nc));
}

static void tls_send(struct net *net, struct net_conn *nc, const char *data, size_t len)
{
    struct tls *f = filter_of(net);
    if (TG_LIKELY(!nc->tls)) {
        f->inner->ops->send(f->inner, nc, data, len);
        return;
    }
    struct tls_conn *t = conn_of(f, nc);
    TG_ASSERT(!nc->sending);
    nc->sending = true;
    t->plain = data;
    t->plain_len = len;
    if (t->state != TLS_OPEN)
        t->send_error = -EPIPE;
    tls_conn_pump(f, t);
}

static void tls_send_end(struct net *net, struct net_conn *nc)
{
    struct tls *f = filter_of(net);
    if (nc->tls)
        tls_conn_end(f, conn_of(f, nc));
    f->inner->ops->send_end(f->inner, below(f, nc));
}

static void tls_watch_hangup(struct net *net, struct net_conn *nc)
{
    struct tls *f = filter_of(net);
    f->inner->ops->watch_hangup(f->inner, below(f, nc));
}

static void tls_close(struct net *net, struct net_conn *nc)
{
    struct tls *f = filter_of(net);
    if (nc->tls && !nc->closing) {
        nc->closing = true;
        tls_conn_end(f, conn_of(f, nc));
    }
    f->inner->ops->close(f->inner, below(f, nc)); /* last: it may call on_closed() */
}

/* Connections that found no buffer try again, around every look at the network: that is when buffers come
 * back. */
static void feed_starved(struct tls *f)
{
    struct tls_conn *t = f->starved, *next;
    f->starved = NULL;
    for (; t; t = next) {
        next = t->starved_next;
        t->starved = false;
        tls_conn_pump(f, t); /* may close t, and no other */
    }
}

static uint32_t tls_turn(struct net *net, uint64_t timeout_ns)
{
    struct tls *f = filter_of(net);
    feed_starved(f);
    uint32_t events = f->inner->ops->turn(f->inner, timeout_ns);
    feed_starved(f);
    return events;
}

void tls_timer_fired(struct net *net, struct timer *timer)
{
    tls_conn_timeout(filter_of(net), TG_CONTAINER_OF(timer, struct tls_conn, timer));
}

/* ---- life ---------------------------------------------------------------------------------------- */

static void tls_destroy(struct net *net)
{
    struct tls *f = filter_of(net);
    if (f->inner)
        f->inner->ops->destroy(f->inner);
    for (uint32_t i = 0; f->conns && i < f->options.net.conns_max; i++)
        SSL_free(f->conns[i].ssl); /* of connections that the loop's end cut off */
    BIO_meth_free(f->bio);
    tg_arena_finish(&f->arena);
    free(f);
}

static int reserve(struct tls *f)
{
    size_t conns = f->options.net.conns_max * sizeof(*f->conns);
    size_t buffers = buffer_pool_bytes(BUFFER_BYTES, BUFFER_CLASS_BYTES, BUFFERS_MIN);
    int rc = tg_arena_init(&f->arena, conns + buffers + TLS_SCRATCH_BYTES + (1u << 16), TG_ARENA_PRIVATE);
    if (rc < 0)
        return rc;
    f->conns = tg_arena_alloc(&f->arena, conns, TG_CACHE_SEPARATION);
    f->scratch = tg_arena_alloc(&f->arena, TLS_SCRATCH_BYTES, 4096);
    f->bio = tls_conn_bio();
    if (!f->conns || !f->scratch || !f->bio)
        return -ENOMEM;
    return buffer_pool_init(&f->buffers, &f->arena, BUFFER_BYTES, BUFFER_CLASS_BYTES, BUFFERS_MIN);
}

int tls_create(const struct tls_options *options, struct net **net, char *why, size_t why_len)
{
    struct tls *f = calloc(1, sizeof(*f));
    why[0] = '\0';
    if (!f)
        return -ENOMEM;
    f->options = *options;
    struct net_options inner = options->net;
    inner.handlers = &tls_handlers;
    inner.owner = f;
    int rc = reserve(f);
    if (rc == 0)
        rc = net_create(options->wanted, &inner, &f->inner, why, why_len);
    if (rc < 0) {
        tls_destroy(&f->net);
        return rc;
    }
    tg_arena_seal(&f->arena);
    f->ops = tls_ops;
    f->ops.name = f->inner->ops->name;
    f->net.ops = &f->ops;
    *net = &f->net;
    return 0;
}

static const struct net_ops tls_ops = {
    .destroy = tls_destroy,
    .listen = plain_listen,
    .accept_stop = tls_accept_stop,
    .receive_start = tls_receive_start,
    .receive_stop = tls_receive_stop,
    .send = tls_send,
    .send_end = tls_send_end,
    .watch_hangup = tls_watch_hangup,
    .close = tls_close,
    .turn = tls_turn,
};
