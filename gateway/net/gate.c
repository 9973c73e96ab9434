/* SPDX-License-Identifier: Apache-2.0 */
/* Who comes in: by number of connections, and by what a trusted balancer says about them. */
#include "gate.h"

#include <errno.h>
#include <string.h>

#include "proxy.h"

static struct gate_conn *conn_of(struct gate *g, const struct net_conn *nc)
{
    return &g->conns[nc->index];
}

/* ---- coming ---------------------------------------------------------------------------------------------- */

/* False for a Unix socket, whose peers have no address, and for a peer that is gone already. */
static bool peer_of(int fd, struct address *out)
{
    struct sockaddr_storage s;
    socklen_t len = sizeof(s);
    return getpeername(fd, (struct sockaddr *)&s, &len) == 0 && address_of_socket(&s, out);
}

static bool is_trusted(const struct gate *g, const struct address *a)
{
    for (uint32_t i = 0; i < g->trusted_count; i++)
        if (address_prefix_holds(&g->trusted[i], a))
            return true;
    return false;
}

/* Count a connection from @a. False if its peer has its share. */
static bool count(struct gate *g, const struct address *a, struct gate_conn *c)
{
    uint64_t peer = peers_key(a);
    if (peers_limit(g->peers) == 0)
        return true;
    if (!peers_enter(g->peers, peer)) {
        metrics_add(g->metrics, METRIC_PEER_REFUSED, 1);
        return false;
    }
    c->peer = peer;
    return true;
}

static bool may_come(struct gate *g, int fd, struct gate_conn *c)
{
    struct address a;
    if ((!g->proxy && peers_limit(g->peers) == 0) || !peer_of(fd, &a))
        return true;
    if (!g->proxy)
        return count(g, &a, c);
    c->waiting = true;
    if (is_trusted(g, &a))
        return true;
    metrics_add(g->metrics, METRIC_PROXY_REFUSED, 1);
    return false;
}

static struct net_conn *on_accepted(void *owner, int fd)
{
    struct gate *g = owner;
    struct gate_conn c = {0};
    if (!may_come(g, fd, &c))
        return NULL;
    struct net_conn *nc = g->handlers->accepted(g->owner, fd);
    if (nc)
        *conn_of(g, nc) = c;
    else if (c.peer)
        peers_leave(g->peers, c.peer);
    return nc;
}

/* ---- PROXY headers --------------------------------------------------------------------------------------- */

static void drop_header(struct gate *g, struct gate_conn *c)
{
    if (c->header)
        buffer_put(g->buffers, c->header);
    c->header = NULL;
    c->waiting = false;
}

/* To those behind the gate it is a connection that broke. */
static void turn_away(struct gate *g, struct net_conn *nc)
{
    drop_header(g, conn_of(g, nc));
    g->handlers->failed(g->owner, nc, -EPROTO);
}

/* Add to what has come before; what is not taken is behind the longest header. False if no buffer is left. */
static bool keep(struct gate *g, struct gate_conn *c, const char *data, size_t len)
{
    if (!c->header)
        c->header = buffer_get(g->buffers, PROXY_HEADER_MAX);
    if (!c->header)
        return false;
    size_t n = TG_MIN(len, (size_t)PROXY_HEADER_MAX - c->header->len);
    memcpy(c->header->data + c->header->len, data, n);
    c->header->len += (uint32_t)n;
    return true;
}

/* What has come so far: what was kept, and these bytes. Without a buffer, a header in pieces is as good as none. */
static enum proxy_result look(struct gate *g, struct gate_conn *c, const char *data, size_t len,
                              struct proxy_header *h)
{
    if (c->header) {
        keep(g, c, data, len);
        return proxy_parse(c->header->data, c->header->len, h);
    }
    enum proxy_result r = proxy_parse(data, len, h);
    return r == PROXY_MORE && !keep(g, c, data, len) ? PROXY_MALFORMED : r;
}

/* The header is whole. What follows it in these bytes is the connection's own; @before of its bytes came earlier. */
static void let_in(struct gate *g, struct net_conn *nc, const struct proxy_header *h, char *data, size_t len,
                   size_t before)
{
    struct gate_conn *c = conn_of(g, nc);
    size_t used = h->bytes - before;
    drop_header(g, c);
    if (h->has_source && !count(g, &h->source, c))
        turn_away(g, nc);
    else if (len > used)
        g->handlers->received(g->owner, nc, data + used, len - used);
}

static void on_header(struct gate *g, struct net_conn *nc, char *data, size_t len)
{
    struct gate_conn *c = conn_of(g, nc);
    struct proxy_header h;
    size_t before = c->header ? c->header->len : 0;
    enum proxy_result r = look(g, c, data, len, &h);
    if (r == PROXY_DONE) {
        let_in(g, nc, &h, data, len, before);
    } else if (r == PROXY_MALFORMED) {
        metrics_add(g->metrics, METRIC_PROXY_REFUSED, 1);
        turn_away(g, nc);
    }
}

/* ---- afterwards ------------------------------------------------------------------------------------------- */

static void on_received(void *owner, struct net_conn *nc, char *data, size_t len)
{
    struct gate *g = owner;
    if (g->proxy && TG_UNLIKELY(conn_of(g, nc)->waiting)) /* else nobody does: one line of memory less to touch */
        on_header(g, nc, data, len);
    else
        g->handlers->received(g->owner, nc, data, len);
}

static void on_eof(void *owner, struct net_conn *nc)
{
    struct gate *g = owner;
    g->handlers->eof(g->owner, nc);
}

static void on_failed(void *owner, struct net_conn *nc, int error)
{
    struct gate *g = owner;
    g->handlers->failed(g->owner, nc, error);
}

static void on_sent(void *owner, struct net_conn *nc, int result)
{
    struct gate *g = owner;
    g->handlers->sent(g->owner, nc, result);
}

static void on_closed(void *owner, struct net_conn *nc)
{
    struct gate *g = owner;
    struct gate_conn *c = conn_of(g, nc);
    drop_header(g, c);
    if (c->peer)
        peers_leave(g->peers, c->peer);
    c->peer = 0;
    g->handlers->closed(g->owner, nc);
}

static struct net_conn *conn_at(void *owner, uint32_t index)
{
    struct gate *g = owner;
    return g->handlers->conn(g->owner, index);
}

static const struct net_handlers gate_handlers = {
    .accepted = on_accepted,
    .received = on_received,
    .eof = on_eof,
    .failed = on_failed,
    .sent = on_sent,
    .closed = on_closed,
    .conn = conn_at,
};

int gate_init(struct gate *g, struct tg_arena *arena, uint32_t conns_max)
{
    g->conns = tg_arena_alloc(arena, (size_t)conns_max * sizeof(*g->conns), 64);
    return g->conns ? 0 : -ENOMEM;
}

void gate_attach(struct gate *g, struct net_options *options)
{
    g->handlers = options->handlers;
    g->owner = options->owner;
    options->handlers = &gate_handlers;
    options->owner = g;
}
