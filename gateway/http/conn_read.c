/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests in. Bytes are parsed where the kernel put them; only what is left of an incomplete request is copied to
 * a buffer, and that buffer lives until the request is complete.
 */
#include "conn.h"

/* Room beyond the largest request: what else one receive may carry. */
#define SLACK_BYTES (64u << 10)
/* A length that is only announced reserves no memory: so much of a body must have come before it gets its whole room. */
#define WHOLE_ROOM_PART 16

static enum tg_status status_of_refusal(uint16_t http)
{
    switch (http) {
    case 414:
        return TG_TARGET_TOO_LONG;
    case 417:
        return TG_EXPECTATION;
    case 431:
        return TG_HEAD_TOO_LARGE;
    case 501:
        return TG_NOT_IMPLEMENTED;
    case 505:
        return TG_VERSION;
    default:
        return TG_BAD_REQUEST;
    }
}

/* A slot at the end of the connection's queue of answers. NULL: none left, and the connection is closed. */
static struct task *open_task(struct http *h, struct conn *c)
{
    struct task *t = task_open(h->tasks, &h->door, c->net.index);
    if (!t) {
        conn_close(h, c);
        return NULL;
    }
    t->minor = 1;
    t->reply = h->error_reply;
    if (c->last)
        c->last->next = t;
    else
        c->first = t;
    c->last = t;
    c->pending++;
    return t;
}

/* A request need not be in order to be one whose answer has no body. One empty line may come first. */
static bool is_head(struct tg_str request)
{
    size_t at = request.len >= 2 && memcmp(request.ptr, "\r\n", 2) == 0 ? 2 : 0;
    return request.len - at >= 5 && memcmp(request.ptr + at, "HEAD ", 5) == 0;
}

/* Nothing behind the start of @request is served: answer, then close. */
static void refuse(struct http *h, struct conn *c, struct tg_str request, enum tg_status status, const char *reason)
{
    struct task *t = open_task(h, c);
    c->phase = CONN_DISCARD;
    if (!t)
        return;
    t->close_after = true;
    t->head_only = is_head(request);
    if (status == TG_OVERLOADED)
        t->retry_after_ms = atomic_load_explicit(&h->tasks->admission->retry_after_s, memory_order_relaxed) * 1000;
    if (reason)
        tg_error_set(&t->error, "", "%s", reason);
    metrics_add(h->metrics, METRIC_REQUESTS_MALFORMED, 1);
    if (reason)
        task_refuse(h->tasks, t, status);
    else
        task_finish(h->tasks, t, status);
}

static const struct http_route *find_route(const struct http *h, struct tg_str path)
{
    for (const struct http_route *r = h->routes; r->path.ptr; r++)
        if (tg_str_eq(r->path, path))
            return r;
    return NULL;
}

/* One coding in one line; two lines would be two codings. */
static enum http_coding coding_of(const struct http_request *req)
{
    if (req->head->repeated >> HTTP_H_CONTENT_ENCODING & 1)
        return HTTP_CODING_UNKNOWN;
    return http_coding_of(http_header_str(req->base, req->head, HTTP_H_CONTENT_ENCODING));
}

static void refuse_coded(struct http *h, struct task *t, enum http_coding coding, enum http_decoded why)
{
    bool large = why == HTTP_DECODED_TOO_LARGE || why == HTTP_DECODED_TOO_SLOW;
    metrics_add(h->metrics, METRIC_DECODE_FAILED, 1);
    tg_error_set(&t->error, "", "%s %s", http_coding_name(coding), http_decoded_reason(why));
    task_refuse(h->tasks, t, large ? TG_TOO_LARGE : TG_BAD_REQUEST);
}

/* Every handler sees what the client meant. False if the task was refused. */
static bool decode_body(struct http *h, struct task *t, struct http_request *req)
{
    enum http_coding coding = coding_of(req);
    if (coding == HTTP_CODING_UNKNOWN)
        task_finish(h->tasks, t, TG_CODING);
    if (coding == HTTP_CODING_UNKNOWN || coding == HTTP_CODING_IDENTITY)
        return coding == HTTP_CODING_IDENTITY;
    enum http_decoded result = http_coder_decode(&h->coder, coding, h->settings->body_bytes_max, &req->body);
    if (result != HTTP_DECODED) {
        refuse_coded(h, t, coding, result);
        return false;
    }
    metrics_add(h->metrics, METRIC_DECODED, 1);
    return true;
}

static void dispatch(struct http *h, struct task *t, struct http_request *req)
{
    const struct http_head *head = req->head;
    const struct http_route *route = find_route(h, http_span_str(req->base, head->path));
    if (head->method == HTTP_OPTIONS) {
        t->reply = NULL;
        t->allow = route ? route->allow : NULL;
        task_finish(h->tasks, t, TG_OK);
    } else if (!route) {
        task_finish(h->tasks, t, TG_NOT_FOUND);
    } else if (!(route->methods >> head->method & 1)) {
        t->allow = route->allow;
        task_finish(h->tasks, t, TG_METHOD);
    } else if (req->body.len == 0 || !http_has_header(head, HTTP_H_CONTENT_ENCODING) || decode_body(h, t, req)) {
        route->handler(h->context, t, req);
    }
}

static bool wants_gzip(const struct http *h, const struct http_head *head, const char *base)
{
    return h->settings->gzip_bytes_min > 0 && http_has_header(head, HTTP_H_ACCEPT_ENCODING) &&
           http_accepts_gzip(http_header_str(base, head, HTTP_H_ACCEPT_ENCODING));
}

/* The limit may have been lowered below what a connection has had already. */
static bool had_its_share(const struct http *h, const struct conn *c)
{
    return h->settings->requests_max > 0 && c->requests >= h->settings->requests_max;
}

/* The last byte of a request is in. */
static void serve(struct http *h, struct conn *c, const struct http_head *head, const char *base, struct tg_str body)
{
    struct task *t = open_task(h, c);
    if (!t)
        return;
    metrics_add(h->metrics, METRIC_REQUESTS, 1);
    c->requests++;
    c->want_continue = false;
    t->minor = head->minor;
    t->head_only = head->method == HTTP_HEAD;
    t->gzip = wants_gzip(h, head, base);
    t->close_after = !head->keep_alive || h->draining || had_its_share(h, c);
    c->phase = t->close_after ? CONN_DISCARD : CONN_HEAD;
    c->scanned = 0;
    c->need = 0;
    c->since_ns = h->now_ns; /* what came behind it in the same packet is another request, with its own time */
    struct http_request req = {.head = head, .base = base, .body = body};
    dispatch(h, t, &req);
    c->paused = c->pending >= h->settings->pipeline_max;
}

/* The client holds its body back until it is told to go on; an earlier answer still to be written comes first. */
static void offer_continue(struct http *h, struct conn *c)
{
    c->want_continue = true;
    conn_mark_dirty(h, c);
}

static void begin_body(struct http *h, struct conn *c, const struct http_head *head)
{
    c->phase = head->body == HTTP_BODY_LENGTH ? CONN_LENGTH : CONN_CHUNKED;
    c->since_ns = h->now_ns;
    if (head->expect_continue)
        offer_continue(h, c);
}

/* A head and what became of it: @bytes as http_parse_head() returns them. */
struct taken {
    const struct http_head *head;
    int bytes;
    struct http_head room;
    struct http_refusal why;
};

/* As it was said to be when it came before, or parsed. */
static void take_head(struct http *h, struct conn *c, const char *data, size_t len, size_t *scanned, struct taken *t)
{
    struct http_known *known = &h->known[c->net.index % HTTP_KNOWN_HEADS];
    const struct http_limits *limits = &h->settings->limits;
    t->head = *scanned == 0 ? http_known_find(known, data, len, limits) : NULL;
    if (TG_LIKELY(t->head)) {
        t->bytes = (int)known->len;
        return;
    }
    t->head = &t->room;
    t->bytes = http_parse_head(data, len, scanned, limits, &t->room, &t->why);
    if (t->bytes > 0)
        http_known_keep(known, data, (size_t)t->bytes, limits, &t->room);
}

/* The head again, now that the body is in: spans are offsets, so it parses the same wherever the bytes moved. */
static void serve_with_body(struct http *h, struct conn *c, const char *base, uint64_t body_len)
{
    struct taken taken;
    size_t scanned = 0;
    take_head(h, c, base, c->head_len, &scanned, &taken);
    if (taken.bytes != (int)c->head_len) { /* the limits were lowered meanwhile */
        refuse(h, c, (struct tg_str){base, c->head_len}, taken.bytes < 0 ? status_of_refusal(taken.why.status) : TG_HEAD_TOO_LARGE, NULL);
        return;
    }
    serve(h, c, taken.head, base, (struct tg_str){base + c->head_len, body_len});
}

/* Returns bytes of the request, 0 if more must come. @len shrinks when chunk framing is taken out in place. */
static size_t read_chunked(struct http *h, struct conn *c, char *data, size_t *len)
{
    size_t consumed = 0, produced = 0;
    enum http_chunked_result r =
        http_chunked_decode(&c->chunked, data + c->raw_at, *len - c->raw_at, &consumed, data + c->head_len + c->body_len,
                            h->settings->body_bytes_max - c->body_len, &produced);
    c->body_len += (uint32_t)produced;
    size_t end = c->raw_at + consumed;
    switch (r) {
    case HTTP_CHUNKED_MORE:
        c->raw_at = c->head_len + c->body_len;
        *len = c->raw_at;
        return 0;
    case HTTP_CHUNKED_DONE:
        serve_with_body(h, c, data, c->body_len);
        return end;
    case HTTP_CHUNKED_FULL:
        refuse(h, c, (struct tg_str){data, c->head_len}, TG_TOO_LARGE, NULL);
        return 0;
    default:
        refuse(h, c, (struct tg_str){data, c->head_len}, TG_BAD_REQUEST, "malformed chunked body");
        return 0;
    }
}

static size_t read_length(struct http *h, struct conn *c, char *data, size_t len)
{
    if (len < c->need)
        return 0;
    size_t end = c->need;
    serve_with_body(h, c, data, end - c->head_len);
    return end;
}

static size_t read_head(struct http *h, struct conn *c, char *data, size_t *len)
{
    struct taken taken;
    take_head(h, c, data, *len, &c->scanned, &taken);
    const struct http_head *head = taken.head;
    int n = taken.bytes;
    if (n == 0)
        return 0;
    if (n < 0) {
        refuse(h, c, (struct tg_str){data, *len}, status_of_refusal(taken.why.status), taken.why.reason);
        return 0;
    }
    c->head_len = (uint32_t)n;
    if (head->body == HTTP_BODY_NONE) {
        serve(h, c, head, data, (struct tg_str){data + n, 0});
        return (size_t)n;
    }
    if (head->body == HTTP_BODY_LENGTH) {
        if (head->content_length > h->settings->body_bytes_max) {
            refuse(h, c, (struct tg_str){data, (size_t)n}, TG_TOO_LARGE, NULL);
            return 0;
        }
        c->need = (size_t)n + head->content_length;
        if (*len >= c->need) {
            size_t end = c->need;
            serve(h, c, head, data, (struct tg_str){data + n, head->content_length});
            return end;
        }
        begin_body(h, c, head);
        return 0;
    }
    begin_body(h, c, head);
    c->chunked = (struct http_chunked){0};
    c->body_len = 0;
    c->raw_at = (uint32_t)n;
    return read_chunked(h, c, data, len);
}

static size_t read_one(struct http *h, struct conn *c, char *data, size_t *len)
{
    switch ((enum conn_phase)c->phase) {
    case CONN_HEAD:
        return read_head(h, c, data, len);
    case CONN_LENGTH:
        return read_length(h, c, data, *len);
    case CONN_CHUNKED:
        return read_chunked(h, c, data, len);
    default:
        return 0;
    }
}

/* Serve every complete request. Returns bytes used up; what is left of *len begins an incomplete one. */
static size_t read_all(struct http *h, struct conn *c, char *data, size_t *len)
{
    size_t at = 0;
    while (at < *len && !c->paused && c->phase != CONN_DISCARD && !conn_gone(c)) {
        size_t rest = *len - at, n = read_one(h, c, data + at, &rest);
        *len = at + rest;
        if (n == 0)
            break;
        at += n;
    }
    return at;
}

bool conn_mid_request(const struct conn *c)
{
    return c->phase == CONN_LENGTH || c->phase == CONN_CHUNKED || (c->phase == CONN_HEAD && c->in && !c->paused);
}

static void drop_input(struct http *h, struct conn *c)
{
    if (c->in)
        buffer_put(h->buffers, c->in);
    c->in = NULL;
}

static size_t room_for(const struct conn *c, size_t bytes)
{
    return bytes >= c->need / WHOLE_ROOM_PART ? TG_MAX(bytes, c->need) : bytes;
}

/* What came of a request is as much of it as will be read. */
static void refuse_input(struct http *h, struct conn *c, enum tg_status status)
{
    struct tg_str request = c->in ? (struct tg_str){c->in->data, c->in->len} : (struct tg_str){NULL, 0};
    refuse(h, c, request, status, NULL);
    if (!conn_gone(c))
        drop_input(h, c);
}

/* A request begins to be incomplete, or a paused connection keeps what came too early. */
static bool grow_input(struct http *h, struct conn *c, size_t more)
{
    size_t have = c->in ? c->in->len : 0, want = room_for(c, have + more);
    if (c->in && buffer_capacity(c->in) >= want)
        return true;
    size_t most = h->settings->limits.head_bytes_max + h->settings->body_bytes_max + SLACK_BYTES;
    struct buffer *b = want <= most ? buffer_get(h->buffers, want) : NULL;
    if (!b) {
        refuse_input(h, c, TG_OVERLOADED);
        return false;
    }
    if (c->in) {
        memcpy(b->data, c->in->data, have);
        b->len = c->in->len;
        buffer_put(h->buffers, c->in);
    }
    c->in = b;
    return true;
}

static void keep(struct http *h, struct conn *c, const char *data, size_t len)
{
    if (len == 0 || !grow_input(h, c, len))
        return;
    memcpy(c->in->data + c->in->len, data, len);
    c->in->len += (uint32_t)len;
}

static void read_buffered(struct http *h, struct conn *c)
{
    if (c->in->len < c->need)
        return;
    size_t len = c->in->len, used = read_all(h, c, c->in->data, &len);
    if (conn_gone(c))
        return;
    if (used == len || c->phase == CONN_DISCARD) {
        drop_input(h, c);
        return;
    }
    if (used > 0)
        memmove(c->in->data, c->in->data + used, len - used);
    c->in->len = (uint32_t)(len - used);
    grow_input(h, c, 0); /* a body of known length gets its whole room early, not piece by piece */
}

/* After reading: clocks for what is incomplete, and no more input than can be answered. */
static void settle(struct http *h, struct conn *c, bool was_mid_request)
{
    if (conn_gone(c))
        return;
    if (conn_mid_request(c) && !was_mid_request && c->phase == CONN_HEAD)
        c->since_ns = h->now_ns;
    if (c->paused)
        h->net->ops->receive_stop(h->net, &c->net);
    conn_arm(h, c);
}

void conn_received(struct http *h, struct conn *c, char *data, size_t len)
{
    metrics_add(h->metrics, METRIC_BYTES_IN, len);
    if (c->phase == CONN_DISCARD)
        return;
    bool was_mid_request = conn_mid_request(c);
    if (c->in || c->paused) {
        keep(h, c, data, len);
        if (c->in && !c->paused && c->phase != CONN_DISCARD)
            read_buffered(h, c);
    } else {
        size_t used = read_all(h, c, data, &len);
        if (!conn_gone(c) && c->phase != CONN_DISCARD)
            keep(h, c, data + used, len - used);
    }
    settle(h, c, was_mid_request);
}

/* What came too early is read, and nothing comes behind it: a request that is not whole now never will be. */
static void end_of_input(struct http *h, struct conn *c)
{
    if (conn_mid_request(c))
        c->phase = CONN_DISCARD;
    conn_mark_dirty(h, c);
}

void conn_request_timeout(struct http *h, struct conn *c)
{
    refuse_input(h, c, TG_REQUEST_TIMEOUT);
    conn_arm(h, c);
}

void conn_resume_reading(struct http *h, struct conn *c)
{
    c->paused = false;
    c->since_ns = h->now_ns;
    if (c->in)
        read_buffered(h, c);
    if (conn_gone(c))
        return;
    if (c->eof)
        end_of_input(h, c);
    else if (!c->paused && c->phase != CONN_DISCARD)
        h->net->ops->receive_start(h->net, &c->net);
    conn_arm(h, c);
}
