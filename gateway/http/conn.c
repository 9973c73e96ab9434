/* SPDX-License-Identifier: Apache-2.0 */
/* A connection's life: accepted, timed, closed; and the door's turn. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include "gateway/base/clock.h"
#include "conn.h"

/* How long a closed connection's leftover input is thrown away so that the last answer arrives. */
#define LINGER_NS (2 * NS_PER_S)

_Static_assert(sizeof(struct conn) == HTTP_CONN_BYTES, "an idle connection costs this much");

static struct conn *conn_of(struct net_conn *nc)
{
    return (struct conn *)nc;
}

/* ---- room for those who come ---------------------------------------------------------------------------- */

#define SPARE_PART 64 /* of all slots one in so many is kept free for who comes: closing takes until the next turn */
#define LOOK_MAX 32   /* slots looked at for each connection that comes: where few are silent, a refusal must stay cheap */

static bool is_idle(const struct conn *c)
{
    return c->net.fd >= 0 && !conn_gone(c) && !c->first && !c->out && !conn_mid_request(c) && !c->lingering;
}

/* A hand goes round the slots, so that who has just been looked at has the longest time left. */
static struct conn *next_idle(struct http *h, uint64_t silent_ns)
{
    for (uint32_t looked = 0; looked < TG_MIN(h->conn_count, (uint32_t)LOOK_MAX); looked++) {
        struct conn *c = &h->conns[h->hand];
        h->hand = h->hand + 1 < h->conn_count ? h->hand + 1 : 0;
        if (is_idle(c) && h->now_ns >= c->since_ns + silent_ns)
            return c;
    }
    return NULL;
}

/* Nobody keeps others out by holding connections and saying nothing. */
static void make_room(struct http *h)
{
    uint64_t silent_ns = h->settings->idle_full_ns;
    if (silent_ns == 0 || h->free_count > h->conn_count / SPARE_PART + 1)
        return;
    struct conn *c = next_idle(h, silent_ns);
    if (!c)
        return;
    metrics_add(h->metrics, METRIC_CONNECTIONS_EVICTED, 1);
    conn_close(h, c);
}

/* ---- coming and going --------------------------------------------------------------------------------- */

static struct net_conn *on_accepted(void *owner, int fd)
{
    struct http *h = owner;
    make_room(h);
    if (h->free_count == 0 || h->draining) {
        metrics_add(h->metrics, METRIC_CONNECTIONS_REFUSED, 1);
        return NULL;
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    uint32_t index = h->free_conns[--h->free_count];
    struct conn *c = &h->conns[index];
    *c = (struct conn){.net = {.fd = fd, .index = index}, .timer.kind = TIMER_CONN, .since_ns = h->now_ns};
    metrics_add(h->metrics, METRIC_CONNECTIONS, 1);
    metrics_bump(&h->metrics->connections_open, 1);
    conn_arm(h, c);
    return &c->net;
}

static void release_buffers(struct http *h, struct buffer *b)
{
    while (b) {
        struct buffer *next = b->next;
        buffer_put(h->buffers, b);
        b = next;
    }
}

void conn_close(struct http *h, struct conn *c)
{
    if (conn_gone(c))
        return;
    timer_cancel(h->wheel, &c->timer);
    while (c->first) {
        struct task *t = c->first;
        c->first = t->next;
        task_close(h->tasks, t);
    }
    c->last = NULL;
    c->pending = 0;
    if (c->in)
        buffer_put(h->buffers, c->in);
    c->in = NULL;
    h->net->ops->close(h->net, &c->net); /* last: it may call on_closed() */
}

static void on_closed(void *owner, struct net_conn *nc)
{
    struct http *h = owner;
    struct conn *c = conn_of(nc);
    release_buffers(h, c->out); /* the kernel no longer reads them */
    c->out = c->out_last = NULL;
    c->released = true;
    metrics_add(h->metrics, METRIC_CONNECTIONS_CLOSED, 1);
    metrics_bump(&h->metrics->connections_open, (uint64_t)-1);
    if (!c->dirty) /* else http_flush() finds it on a list and frees the slot */
        h->free_conns[h->free_count++] = c->net.index;
}

static void on_received(void *owner, struct net_conn *nc, char *data, size_t len)
{
    conn_received(owner, conn_of(nc), data, len);
}

static void on_sent(void *owner, struct net_conn *nc, int result)
{
    conn_sent(owner, conn_of(nc), result);
}

static void on_failed(void *owner, struct net_conn *nc, int error)
{
    (void)error; /* whatever it was, the peer is gone */
    conn_close(owner, conn_of(nc));
}

/*
 * The peer stopped sending. It may still read, so running tasks get their answers; but a client that is gone
 * altogether looks just the same until something is sent to it. An interim 100 is legal before any HTTP/1.1
 * answer: a half-closed client skips it, a vanished one's host answers with a reset, which frees its tasks.
 */
static void on_eof(void *owner, struct net_conn *nc)
{
    struct http *h = owner;
    struct conn *c = conn_of(nc);
    c->eof = true;
    if (conn_mid_request(c)) /* truncated: nobody is left to complete it */
        c->phase = CONN_DISCARD;
    if (c->lingering || (!c->first && !c->out)) {
        conn_close(h, c);
        return;
    }
    if (c->first && c->first->state != TASK_FINAL && c->first->minor == 1 && !c->out) {
        c->want_probe = true;
        h->net->ops->watch_hangup(h->net, nc);
    }
    conn_mark_dirty(h, c);
}

static struct net_conn *conn_at(void *owner, uint32_t index)
{
    return &((struct http *)owner)->conns[index].net;
}

const struct net_handlers http_net_handlers = {
    .accepted = on_accepted,
    .received = on_received,
    .eof = on_eof,
    .failed = on_failed,
    .sent = on_sent,
    .closed = on_closed,
    .conn = conn_at,
};

/* ---- time ----------------------------------------------------------------------------------------------- */

/* Until when the connection may stay as it is; UINT64_MAX while it waits for us. */
static uint64_t deadline(const struct http *h, const struct conn *c, enum metric *which)
{
    const struct http_settings *s = h->settings;
    *which = METRIC_TIMEOUT_WRITE;
    if (c->net.sending)
        return c->write_since_ns + s->write_ns;
    *which = METRIC_TIMEOUT_IDLE;
    if (c->lingering)
        return c->since_ns + LINGER_NS;
    if (conn_mid_request(c)) {
        *which = c->phase == CONN_HEAD ? METRIC_TIMEOUT_HEADER : METRIC_TIMEOUT_BODY;
        return c->since_ns + (c->phase == CONN_HEAD ? s->header_ns : s->body_ns);
    }
    return c->first || c->out ? UINT64_MAX : c->since_ns + s->idle_ns;
}

/* Timers are lazy: one that fires early is set again, so an active connection costs no timer work. */
void conn_arm(struct http *h, struct conn *c)
{
    enum metric which;
    uint64_t when = deadline(h, c, &which);
    if (when == UINT64_MAX || conn_gone(c))
        return;
    if (!timer_is_armed(&c->timer) || timer_when_ns(&c->timer) > when + (2ull << TIMER_TICK_SHIFT))
        timer_arm(h->wheel, &c->timer, when);
}

void http_timer_fired(struct http *h, struct timer *timer)
{
    struct conn *c = TG_CONTAINER_OF(timer, struct conn, timer);
    enum metric which;
    if (h->now_ns < deadline(h, c, &which)) {
        conn_arm(h, c);
        return;
    }
    metrics_add(h->metrics, which, 1);
    if (which == METRIC_TIMEOUT_HEADER || which == METRIC_TIMEOUT_BODY)
        conn_request_timeout(h, c);
    else
        conn_close(h, c);
}

/* ---- the door ------------------------------------------------------------------------------------------- */

void conn_mark_dirty(struct http *h, struct conn *c)
{
    if (c->dirty || conn_gone(c))
        return;
    c->dirty = true;
    c->dirty_next = h->dirty;
    h->dirty = c;
}

static void on_ready(const struct task_door *door, struct task *t)
{
    struct http *h = TG_CONTAINER_OF(door, struct http, door);
    struct conn *c = &h->conns[t->owner];
    if (c->first == t)
        conn_mark_dirty(h, c);
}

static void flush_one(struct http *h, struct conn *c)
{
    c->dirty = false;
    c->starved = false;
    if (c->released)
        h->free_conns[h->free_count++] = c->net.index;
    else if (!conn_gone(c))
        conn_flush(h, c);
}

void http_flush(struct http *h)
{
    struct conn *starved = h->starved;
    h->starved = NULL;
    for (struct conn *c = starved, *next; c; c = next) {
        next = c->dirty_next;
        flush_one(h, c);
    }
    while (h->dirty) {
        struct conn *c = h->dirty;
        h->dirty = c->dirty_next;
        flush_one(h, c);
    }
}

static void drain_one(struct http *h, struct conn *c)
{
    if (is_idle(c))
        conn_close(h, c);
}

void http_drain(struct http *h)
{
    h->draining = true;
    for (uint32_t i = 0; i < h->conn_count; i++)
        drain_one(h, &h->conns[i]);
}

void http_close_all(struct http *h)
{
    for (uint32_t i = 0; i < h->conn_count; i++)
        if (h->conns[i].net.fd >= 0)
            conn_close(h, &h->conns[i]);
}

static int coder_init(struct http *h, struct tg_arena *arena, size_t body_bytes_max)
{
    size_t room_bytes = TG_MAX(body_bytes_max + 1, (size_t)HTTP_COMPRESS_BYTES_MAX);
    char *state = tg_arena_alloc(arena, HTTP_CODER_STATE_BYTES, 64);
    char *room = tg_arena_alloc(arena, room_bytes, 4096);
    return state && room ? http_coder_init(&h->coder, state, room, room_bytes) : -ENOMEM;
}

int http_init(struct http *h, struct tg_arena *arena, uint32_t conns_max, size_t scratch_bytes, size_t body_bytes_max)
{
    h->door.ready = on_ready;
    h->conns = tg_arena_alloc(arena, (size_t)conns_max * sizeof(*h->conns), TG_CACHE_SEPARATION);
    h->free_conns = tg_arena_alloc(arena, (size_t)conns_max * sizeof(*h->free_conns), 64);
    h->scratch = tg_arena_alloc(arena, scratch_bytes, 4096);
    if (!h->conns || !h->free_conns || !h->scratch)
        return -ENOMEM;
    h->scratch_bytes = scratch_bytes;
    h->conn_count = conns_max;
    for (uint32_t i = 0; i < conns_max; i++) {
        h->conns[i].net.fd = -1;
        h->free_conns[h->free_count++] = conns_max - 1 - i; /* slot 0 first: used slots stay together */
    }
    return coder_init(h, arena, body_bytes_max);
}
