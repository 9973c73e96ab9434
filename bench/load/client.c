/* SPDX-License-Identifier: Apache-2.0 */
/* Connections and requests: opening, filling, matching answers to requests, giving up. */
#include "client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "flow.h"
#include "options.h"
#include "tls.h"

#define RETRY_NS (100 * NS_PER_MS)

/* Half of a connection's out-buffer: as much as can ever be in flight. */
static size_t half_bytes(const struct client *c)
{
    return (size_t)c->o->pipeline * c->run->requests->bytes_max;
}

static void mark_dirty(struct client *c, struct conn *conn)
{
    if (conn->dirty)
        return;
    conn->dirty = true;
    conn->next_dirty = c->dirty;
    c->dirty = conn;
}

static void mark_ready(struct client *c, struct conn *conn)
{
    if (conn->ready || !conn->active || conn->state != CONN_OPEN || conn->in_flight == c->o->pipeline)
        return;
    conn->ready = true;
    conn->next_ready = NULL;
    *c->ready_last = conn;
    c->ready_last = &conn->next_ready;
}

/* The connection that has waited longest; one that closed or filled up meanwhile is passed over. */
static struct conn *take_ready(struct client *c)
{
    struct conn *conn;

    while ((conn = c->ready_first) != NULL) {
        c->ready_first = conn->next_ready;
        if (!c->ready_first)
            c->ready_last = &c->ready_first;
        conn->ready = false;
        if (conn->state == CONN_OPEN && conn->in_flight < c->o->pipeline)
            return conn;
    }
    return NULL;
}

/* Puts one more request into the out-buffer. */
static void put_request(struct client *c, struct conn *conn, uint64_t due_ns)
{
    const struct request *r = &c->run->requests->items[c->next_request];
    uint32_t place = (uint32_t)conn->oldest + conn->in_flight;
    struct slot *slot;

    if (place >= c->o->pipeline)
        place -= c->o->pipeline;
    slot = &conn->slots[place];
    slot->due_ns = due_ns;
    slot->sent_ns = c->now_ns;
    memcpy(slot->number, c->number, REQUEST_DIGITS);
    request_render(r, c->number, conn->out + conn->filling * half_bytes(c) + conn->filled);
    request_number_next(c->number);
    if (++c->next_request == c->run->requests->count)
        c->next_request = 0;
    conn->filled += r->len;
    conn->in_flight++;
    c->outstanding++;
    mark_dirty(c, conn);
}

static void fill(struct client *c, struct conn *conn)
{
    while (conn->in_flight < c->o->pipeline)
        put_request(c, conn, c->now_ns);
}

void flow_touch(struct client *c, struct conn *conn)
{
    put_request(c, conn, c->now_ns);
}

void flow_pace(struct client *c)
{
    uint64_t limit = TG_MIN(c->now_ns, c->end_ns - 1);
    struct conn *conn;

    while (pacer_due_ns(&c->pacer) <= limit && (conn = take_ready(c)) != NULL) {
        put_request(c, conn, pacer_due_ns(&c->pacer));
        pacer_advance(&c->pacer);
        mark_ready(c, conn);
    }
}

void client_send(struct client *c, struct conn *conn, const char *bytes, uint32_t len)
{
    conn->outgoing = bytes;
    conn->to_send = len;
    conn->sent = 0;
    conn->sending = true;
    c->io->send(c->io_state, conn, bytes, len);
}

static void start_send(struct client *c, struct conn *conn)
{
    char *bytes = conn->out + conn->filling * half_bytes(c);

    uint32_t len = conn->filled;

    conn->filled = 0;
    conn->filling ^= 1;
    if (c->measuring)
        c->stats->bytes_out += len;
    if (c->tls)
        tls_send(c, conn, bytes, len);
    else
        client_send(c, conn, bytes, len);
}

/* One send for each connection with something to say, however many requests that is. */
void flow_flush(struct client *c)
{
    struct conn *conn;

    while ((conn = c->dirty) != NULL) {
        c->dirty = conn->next_dirty;
        conn->dirty = false;
        if (conn->state == CONN_OPEN && conn->filled && !conn->sending)
            start_send(c, conn);
    }
}

void client_on_sent(struct client *c, struct conn *conn, int sent)
{
    if (sent < 0) {
        conn->sending = false;
        client_on_end(c, conn, sent);
        return;
    }
    conn->sent += (uint32_t)sent;
    if (conn->sent < conn->to_send) {
        c->io->send(c->io_state, conn, conn->outgoing + conn->sent, conn->to_send - conn->sent);
        return;
    }
    conn->sending = false;
    if (c->tls)
        tls_send_rest(c, conn);
    if (conn->filled)
        mark_dirty(c, conn);
}

static bool holds_id(struct client *c, struct tg_str body, const char number[REQUEST_DIGITS])
{
    const struct request_set *set = c->run->requests;
    char id[REQUEST_ID_MAX];
    const char *hit;

    memcpy(id, set->id, set->id_len);
    memcpy(id + set->id_number_at, number, REQUEST_DIGITS);
    if (c->id_hint + set->id_len <= body.len && !memcmp(body.ptr + c->id_hint, id, set->id_len))
        return true;
    hit = body.len ? memmem(body.ptr, body.len, id, set->id_len) : NULL;
    if (hit)
        c->id_hint = (size_t)(hit - body.ptr);
    return hit != NULL;
}

/* Rates count answers that came inside the window, latencies those whose request was due inside it. */
static void count_answer(struct client *c, const struct slot *slot, const struct response *r)
{
    struct stats *s = c->stats;

    if (c->measuring) {
        s->responses++;
        s->status[r->head.status]++;
    }
    if (slot->due_ns >= c->run->measure_ns && slot->due_ns < c->end_ns) {
        histogram_record(stats_is_refusal(r->head.status) ? &s->refusal : &s->latency,
                         c->now_ns - slot->due_ns);
        if (c->o->rate > 0)
            histogram_record(&s->service, c->now_ns - slot->sent_ns);
    }
    if (c->o->verify && r->head.status == 200 && !holds_id(c, r->body, slot->number))
        s->mismatched++;
}

static void on_answer(struct client *c, struct conn *conn)
{
    count_answer(c, &conn->slots[conn->oldest], &conn->response);
    if (++conn->oldest == c->o->pipeline)
        conn->oldest = 0;
    conn->in_flight--;
    c->outstanding--;
}

/* After a burst of answers: ask again, or let the schedule know that there is room. */
void flow_go_on(struct client *c, struct conn *conn)
{
    if (!c->sending || !conn->active)
        return;
    if (c->o->rate > 0)
        mark_ready(c, conn);
    else
        fill(c, conn);
}

/* Reads every whole answer in the bytes. Returns 0, 1 when the server wants to close, or a negative errno. */
static int read_answers(struct client *c, struct conn *conn, struct tg_str in)
{
    enum response_result result;
    size_t used;

    while (in.len) {
        if (conn->in_flight == 0)
            return -EPROTO;
        result = response_feed(&conn->response, &c->memo, in, &used);
        if (result == RESPONSE_BAD)
            return -EPROTO;
        if (result == RESPONSE_MORE)
            return 0;
        on_answer(c, conn);
        if (conn->response.head.close)
            return 1;
        in.ptr += used;
        in.len -= used;
    }
    return 0;
}

void client_on_bytes(struct client *c, struct conn *conn, const char *bytes, size_t len)
{
    if (!conn_is_live(conn))
        return;
    if (c->tls)
        tls_on_bytes(c, conn, bytes, (uint32_t)len);
    else
        client_on_plain(c, conn, bytes, len);
}

void client_on_plain(struct client *c, struct conn *conn, const char *bytes, size_t len)
{
    int rc;

    if (c->measuring)
        c->stats->bytes_in += len;
    rc = read_answers(c, conn, (struct tg_str){bytes, len});
    if (rc == 0) {
        flow_go_on(c, conn);
        return;
    }
    if (rc == -EPROTO)
        c->stats->malformed++;
    flow_drop(c, conn);
}

void client_on_end(struct client *c, struct conn *conn, int rc)
{
    if (conn->state == CONN_GREETING)
        client_on_open(c, conn, rc ? rc : -ECONNRESET);
    if (conn->state != CONN_OPEN)
        return;
    if (rc == 0 && conn->in_flight && response_ends_at_close(&conn->response))
        on_answer(c, conn);
    flow_drop(c, conn);
}

void flow_drop(struct client *c, struct conn *conn)
{
    c->stats->lost += conn->in_flight;
    c->outstanding -= conn->in_flight;
    conn->in_flight = conn->oldest = 0;
    conn->filled = 0;
    if (conn->state == CONN_OPEN)
        c->open_count--;
    conn->state = CONN_CLOSING;
    response_restart(&conn->response);
    c->io->close(c->io_state, conn);
}

void client_on_gone(struct client *c, struct conn *conn)
{
    close(conn->fd);
    tls_forget(conn);
    conn->fd = -1;
    conn->state = CONN_DOWN;
    conn->sending = false;
    /* A connection that failed to open waits for its deadline; one that worked is opened again at once. */
    if (c->reconnecting && conn->deadline_ns <= c->now_ns)
        flow_connect(c, conn);
}

static int open_socket(const struct options *o)
{
    int fd = socket(o->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

    if (fd < 0)
        return -errno;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

void flow_connect(struct client *c, struct conn *conn)
{
    int rc = open_socket(c->o);

    if (rc < 0) {
        conn->deadline_ns = c->now_ns + RETRY_NS;
        c->stats->connect_errors++;
        c->error = rc;
        return;
    }
    conn->fd = rc;
    conn->state = CONN_CONNECTING;
    conn->began_ns = c->now_ns;
    conn->deadline_ns = c->now_ns + (uint64_t)(c->o->timeout * 1e9);
    rc = c->io->connect(c->io_state, conn);
    if (rc)
        client_on_open(c, conn, rc);
}

static void fail_to_open(struct client *c, struct conn *conn, int rc)
{
    conn->deadline_ns = c->now_ns + RETRY_NS;
    c->stats->connect_errors++;
    c->error = rc;
    flow_drop(c, conn);
}

static void open_up(struct client *c, struct conn *conn)
{
    conn->state = CONN_OPEN;
    conn->deadline_ns = 0;
    c->open_count++;
    if (conn->opened_before)
        c->stats->reconnects++;
    conn->opened_before = true;
    if (c->measuring)
        histogram_record(&c->stats->opening, c->now_ns - conn->began_ns);
    flow_go_on(c, conn);
}

void client_on_open(struct client *c, struct conn *conn, int rc)
{
    if (conn->state != CONN_CONNECTING && conn->state != CONN_GREETING)
        return;
    if (rc) {
        fail_to_open(c, conn, rc);
    } else if (c->tls && conn->state == CONN_CONNECTING) {
        conn->state = CONN_GREETING;
        tls_greet(c, conn);
    } else {
        open_up(c, conn);
    }
}
