/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP connection. Shared by conn.c (life and time), conn_read.c (requests in), conn_write.c (answers out). */
#ifndef TG_HTTP_CONN_H
#define TG_HTTP_CONN_H

#include <stdalign.h>
#include "http.h"

enum conn_phase {
    CONN_HEAD,    /* before or within a request head */
    CONN_LENGTH,  /* within a body of known length */
    CONN_CHUNKED, /* within a chunked body */
    CONN_DISCARD, /* no further request will be served; input is thrown away */
};

/*
 * An idle connection is this struct and nothing else. With thousands of them each request finds it in no cache: three
 * lines of memory, no more.
 */
struct conn {
    alignas(64) struct net_conn net;
    struct timer timer;
    uint64_t since_ns; /* start of the phase, or of the silence */
    /* reading */
    struct buffer *in; /* an incomplete request, NULL if none */
    size_t scanned;    /* http_parse_head()'s progress */
    size_t need;       /* bytes before parsing makes sense again */
    uint32_t head_len, body_len, raw_at; /* chunked: decoded body follows the head, undecoded bytes start at raw_at */
    struct http_chunked chunked;
    uint32_t requests;
    uint8_t phase;
    bool paused;    /* too many unanswered requests: not read for now */
    bool eof;       /* the peer sends no more */
    bool want_continue; /* 100 is owed before the body comes */
    bool want_probe;    /* 100 to find out whether the peer is still there */
    bool released;      /* the kernel is done with it; the slot is freed when no list holds it */
    /* answering, in order of requests */
    uint16_t pending;
    bool dirty, starved, close_after, lingering;
    struct task *first, *last;
    struct buffer *out, *out_last; /* `out` is with the kernel while net.sending */
    uint32_t out_at;           /* bytes of `out` the kernel has taken */
    uint32_t out_buffers;
    uint64_t write_since_ns;
    struct conn *dirty_next;
};

/* conn.c */
void conn_close(struct http *h, struct conn *c);
void conn_arm(struct http *h, struct conn *c);
void conn_mark_dirty(struct http *h, struct conn *c);

/* conn_read.c */
void conn_received(struct http *h, struct conn *c, char *data, size_t len);
void conn_resume_reading(struct http *h, struct conn *c);
bool conn_mid_request(const struct conn *c);
/** The request did not arrive in time: 408, then close. */
void conn_request_timeout(struct http *h, struct conn *c);

/* conn_write.c */
void conn_flush(struct http *h, struct conn *c);
void conn_sent(struct http *h, struct conn *c, int result);

static inline bool conn_gone(const struct conn *c)
{
    return c->net.closing;
}

#endif
