/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP door of one worker: connections, requests in, answers out in order.
 *
 * Every request gets a task slot when its last byte is in; answers are written when their turn comes. A connection
 * owns memory only while a request is incomplete or an answer is on its way.
 * Thread: the worker.
 */
#ifndef TG_HTTP_H
#define TG_HTTP_H

#include "gateway/net/net.h"
#include "gateway/task/task.h"
#include "coding.h"
#include "known.h"
#include "parse.h"
#include "respond.h"

/* Reloadable: a worker reads one snapshot per turn. */
struct http_settings {
    struct http_limits limits;
    uint64_t body_bytes_max;
    uint32_t pipeline_max, requests_max;
    uint64_t header_ns, body_ns, idle_ns, write_ns;
    uint64_t idle_full_ns; /* silence after which a connection may go for a new one; 0: none does */
    uint64_t gzip_bytes_min; /* answers from this size on are compressed for who accepts it; 0: none */
};

/* A complete request, valid while its handler runs. */
struct http_request {
    const struct http_head *head;
    const char *base; /* of the head's spans */
    struct tg_str body; /* decoded */
};

/** Decide or start: must end in task_finish/task_refuse now, or later through the task's door. */
typedef void http_handler(void *context, struct task *t, const struct http_request *req);

/* What lies under one path. */
struct http_route {
    struct tg_str path;
    uint32_t methods; /* bit per enum http_method */
    const char *allow;
    http_handler *handler;
};

/*
 * The head of a usual answer as it stood last, to be copied whole: only the digits of its length and the trace id
 * differ from one answer to the next. One for each number of digits.
 */
#define HTTP_USUAL_DIGITS 5
#define HTTP_USUAL_BYTES HTTP_HEAD_BYTES_MAX
struct http_usual {
    const char *content_type; /* it was made for; NULL: not made yet */
    uint64_t second;
    uint32_t len, digits_at;
    char text[HTTP_USUAL_BYTES];
};

struct conn;
#define HTTP_CONN_BYTES 192 /* for sizing memory; conn.c checks it */

/* Heads that a worker remembers: more than one, for clients that take turns. A power of two. */
#define HTTP_KNOWN_HEADS 8

struct http {
    struct task_door door;
    struct net *net;
    struct timer_wheel *wheel;
    struct buffer_pool *buffers;
    struct tasks *tasks;
    struct metrics *metrics;
    const struct http_settings *settings;
    const struct http_route *routes;
    const struct task_reply *error_reply; /* body of an answer that no handler saw */
    void *context;                        /* handed to handlers and replies */
    struct conn *conns;
    uint32_t *free_conns;
    uint32_t conn_count, free_count;
    uint32_t hand; /* the connection to be looked at next when room is needed */
    struct conn *dirty;     /* connections with answers to write or send */
    struct conn *starved;   /* ... that found no buffer */
    char *scratch;          /* where bodies are written before their length is known */
    size_t scratch_bytes;
    struct http_coder coder;
    char date[HTTP_DATE_BYTES + 1];
    uint64_t date_second;
    struct http_usual usual[HTTP_USUAL_DIGITS];
    struct http_known known[HTTP_KNOWN_HEADS]; /* by the connection's number: its last head, or another's */
    size_t body_guess;      /* length of the last body: the next may well be alike */
    uint64_t now_ns;
    bool draining;          /* every answer closes its connection */
};

extern const struct net_handlers http_net_handlers; /* owner: struct http */

/* The largest answer that is compressed: longer ones would hold up the worker's other connections. */
#define HTTP_COMPRESS_BYTES_MAX (1u << 20)

/* What decoding bodies of up to @body_bytes_max and compressing answers takes from the arena. */
static inline size_t http_coder_bytes(size_t body_bytes_max)
{
    return HTTP_CODER_STATE_BYTES + TG_MAX(body_bytes_max + 1, (size_t)HTTP_COMPRESS_BYTES_MAX) + 8192;
}

/** Connection slots, scratch and coder memory from @arena. Returns 0 or -ENOMEM. */
int http_init(struct http *h, struct tg_arena *arena, uint32_t conns_max, size_t scratch_bytes,
              size_t body_bytes_max);

/** Write and send what became ready: once per connection per turn. */
void http_flush(struct http *h);

/** The wheel's callback for timers of kind TIMER_CONN. */
void http_timer_fired(struct http *h, struct timer *timer);

/** From now on: answers say Connection: close, and connections without a request in progress are closed. */
void http_drain(struct http *h);

/** Drop every connection (the drain time is over). */
void http_close_all(struct http *h);

static inline uint32_t http_conns_open(const struct http *h)
{
    return h->conn_count - h->free_count;
}

#endif
