/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers out, in order of requests: each is written when it is first in the queue and final, into a buffer that is
 * sent once per turn. A buffer that is with the kernel is never written to.
 */
#include "gateway/base/clock.h"
#include "conn.h"

#define OUT_BYTES (12u << 10)         /* room asked for: lands in the 16 KiB class */
#define OUT_BUFFERS_MAX 4             /* unsent beyond this: wait for the peer before writing more */
#define SEND_BYTES_MAX (256u << 10)   /* one send; the write time limit counts from each */
#define DIRECT_BYTES_MIN (2u << 10)   /* with less room left, a new buffer is begun for a body of unknown length */

static const char continue_text[] = "HTTP/1.1 100 Continue\r\n\r\n";

/* Where @len bytes can go in one piece, NULL if no buffer is left. A lone answer gets no room for others. */
static char *out_reserve(struct http *h, struct conn *c, size_t len)
{
    struct buffer *b = c->out_last;
    bool with_kernel = c->net.sending && b == c->out;
    if (!b || with_kernel || buffer_capacity(b) - b->len < len) {
        b = buffer_get(h->buffers, c->pending > 1 ? TG_MAX(len, OUT_BYTES) : len);
        if (!b)
            return NULL;
        if (c->out_last)
            c->out_last->next = b;
        else
            c->out = b;
        c->out_last = b;
        c->out_buffers++;
    }
    return b->data + b->len;
}

static void out_commit(struct conn *c, size_t len)
{
    c->out_last->len += (uint32_t)len;
}

static bool append(struct http *h, struct conn *c, const char *data, size_t len)
{
    char *at = out_reserve(h, c, len);
    if (!at)
        return false;
    memcpy(at, data, len);
    out_commit(c, len);
    return true;
}

/* An attempt left a buffer without a byte in it: nothing of that kind may come to be sent. */
static void out_drop_empty(struct http *h, struct conn *c)
{
    struct buffer *empty = c->out_last, *before = NULL;
    if (!empty || empty->len > 0)
        return;
    for (struct buffer *b = c->out; b != empty; b = b->next)
        before = b;
    *(before ? &before->next : &c->out) = NULL;
    c->out_last = before;
    c->out_buffers--;
    buffer_put(h->buffers, empty);
}

static const char *date_now(struct http *h)
{
    uint64_t second = h->now_ns / NS_PER_S;
    if (second != h->date_second || h->date[0] == '\0') {
        http_format_date(h->date, time(NULL));
        h->date_second = second;
    }
    return h->date;
}

static size_t write_body(struct http *h, struct task *t)
{
    struct tg_json_writer w;
    if (!t->reply)
        return 0;
    tg_json_writer_init(&w, h->scratch, h->scratch_bytes);
    t->reply->write(h->context, t, &w);
    if (TG_UNLIKELY(w.overflow)) {
        t->status = TG_INTERNAL;
        t->reply = h->error_reply;
        tg_json_writer_init(&w, h->scratch, h->scratch_bytes);
        t->reply->write(h->context, t, &w);
    }
    return w.len;
}

/* Large enough to be compressed for one client and not for another: caches must be told. */
static bool varies(const struct http *h, size_t body_len)
{
    uint64_t least = h->settings->gzip_bytes_min;
    return least > 0 && body_len >= least && body_len <= HTTP_COMPRESS_BYTES_MAX;
}

/* Bytes of the compressed body, 0 if it goes out as it is. */
static size_t compress_body(struct http *h, const struct task *t, size_t body_len)
{
    if (!t->gzip || !varies(h, body_len))
        return 0;
    size_t len = http_coder_compress(&h->coder, (struct tg_str){h->scratch, body_len});
    metrics_add(h->metrics, METRIC_COMPRESSED, len > 0);
    return len;
}

static struct http_response response_of(struct http *h, const struct task *t, size_t body_len, bool close)
{
    return (struct http_response){
        .status = t->reply ? tg_status_info(t->status)->http : 204,
        .minor = t->minor,
        .close = close,
        .content_type = t->reply ? t->reply->content_type : NULL,
        .content_length = body_len,
        .date = date_now(h),
        .allow = t->allow,
        .accept_encoding = t->status == TG_CODING ? HTTP_CODINGS : NULL,
        .retry_after_s = (t->retry_after_ms + 999) / 1000,
        .trace_id = t->trace_id[0] ? t->trace_id : NULL,
        .max_age_s = t->reply ? 0 : 86400,
    };
}

/* ---- the usual answer: its head is copied whole, its body written straight to where it is sent from ------------ */

/* Bodies of three digits are by far the most. */
static inline uint32_t digits_of(size_t n)
{
    if (TG_LIKELY(n - 100 < 900))
        return 3;
    return 1 + (n >= 10) + (n >= 100) + (n >= 1000) + (n >= 10000);
}

static bool is_usual(const struct task *t, bool close)
{
    return t->status == TG_OK && t->reply && t->minor == 1 && !close && !t->head_only && t->trace_id[0] && !t->special;
}

static __attribute__((noinline)) void make_usual(struct http *h, const struct task *t, struct http_usual *u, uint32_t digits)
{
    static const size_t least[HTTP_USUAL_DIGITS] = {0, 10, 100, 1000, 10000};
    static const char name[] = "Content-Length: ";
    struct http_response r = response_of(h, t, least[digits - 1], false);
    u->len = (uint32_t)http_write_head(u->text, sizeof(u->text), &r);
    u->content_type = t->reply->content_type;
    u->second = h->date_second;
    const char *at = u->len > 0 ? memmem(u->text, u->len, name, sizeof(name) - 1) : NULL;
    TG_ASSERT(at);
    u->digits_at = (uint32_t)(at - u->text) + (uint32_t)sizeof(name) - 1;
}

/* The usual head for a body of about @body_len bytes: exactly those that have as many digits fit it. */
static inline const struct http_usual *usual_for(struct http *h, const struct task *t, size_t body_len)
{
    uint32_t digits = digits_of(body_len);
    struct http_usual *u = &h->usual[digits - 1];
    if (TG_UNLIKELY(u->second != h->date_second || u->content_type != t->reply->content_type))
        make_usual(h, t, u, digits);
    return u;
}

/* Digits as many as there are places; three, the most common, without a loop. */
static inline void put_digits(char *at, uint32_t n, uint32_t digits)
{
    if (TG_LIKELY(digits == 3)) {
        at[0] = (char)('0' + n / 100);
        at[1] = (char)('0' + n / 10 % 10);
        at[2] = (char)('0' + n % 10);
        return;
    }
    for (char *p = at + digits; p > at; n /= 10)
        *--p = (char)('0' + n % 10);
}

/* The trace id is the last line's. */
static inline void put_usual(char *at, const struct http_usual *u, const struct task *t, size_t body_len)
{
    memcpy(at, u->text, u->len);
    memcpy(at + u->len - 4 - sizeof(t->trace_id), t->trace_id, sizeof(t->trace_id));
    put_digits(at + u->digits_at, (uint32_t)body_len, digits_of(body_len));
}

/* False if the answer is not one of these after all: then nothing was written. */
static bool write_usual(struct http *h, struct conn *c, struct task *t)
{
    const struct http_usual *guess = usual_for(h, t, h->body_guess), *u = guess;
    char *at = out_reserve(h, c, DIRECT_BYTES_MIN);
    if (!at)
        return false;
    struct tg_json_writer w;
    tg_json_writer_init(&w, at + guess->len, buffer_capacity(c->out_last) - c->out_last->len - guess->len);
    t->reply->write(h->context, t, &w);
    if (w.overflow || varies(h, w.len)) {
        out_drop_empty(h, c);
        return false;
    }
    if (TG_UNLIKELY(digits_of(w.len) != digits_of(h->body_guess))) {
        u = usual_for(h, t, w.len);
        memmove(at + u->len, at + guess->len, w.len);
    }
    put_usual(at, u, t, w.len);
    h->body_guess = w.len;
    out_commit(c, u->len + w.len);
    return true;
}

/* A body like the last one would have to be written anew: it is too long, or would be compressed for others. */
static bool guess_usual(const struct http *h)
{
    return h->body_guess < DIRECT_BYTES_MIN / 2 && !varies(h, h->body_guess);
}

/* Any answer, by way of the scratch memory. False if no buffer is left for it: nothing was written then. */
static __attribute__((noinline)) bool write_any(struct http *h, struct conn *c, struct task *t, bool close)
{
    size_t plain_len = write_body(h, t), gzip_len = compress_body(h, t, plain_len);
    size_t body_len = gzip_len > 0 ? gzip_len : plain_len;
    char *at = out_reserve(h, c, HTTP_HEAD_BYTES_MAX + body_len);
    if (!at)
        return false;
    struct http_response r = response_of(h, t, body_len, close);
    r.gzip = gzip_len > 0;
    r.vary = varies(h, plain_len);
    size_t head_len = http_write_head(at, HTTP_HEAD_BYTES_MAX, &r);
    TG_ASSERT(head_len > 0);
    size_t sent_body = t->head_only ? 0 : body_len;
    memcpy(at + head_len, gzip_len > 0 ? h->coder.room : h->scratch, sent_body);
    out_commit(c, head_len + sent_body);
    h->body_guess = plain_len;
    return true;
}

static bool write_answer(struct http *h, struct conn *c, struct task *t, bool close)
{
    return (is_usual(t, close) && guess_usual(h) && write_usual(h, c, t)) || write_any(h, c, t, close);
}

static void pop(struct http *h, struct conn *c)
{
    struct task *t = c->first;
    c->first = t->next;
    if (!c->first)
        c->last = NULL;
    c->pending--;
    task_close(h->tasks, t);
}

static void starve(struct http *h, struct conn *c)
{
    if (c->starved)
        return;
    c->starved = true;
    c->dirty = true; /* keeps it off the other list */
    c->dirty_next = h->starved;
    h->starved = c;
}

static void write_answers(struct http *h, struct conn *c)
{
    while (c->first && c->first->state == TASK_FINAL && c->out_buffers < OUT_BUFFERS_MAX && !c->close_after) {
        bool last = !c->first->next && !conn_mid_request(c) && !c->paused;
        bool close = c->first->close_after || (last && (h->draining || c->eof));
        if (!write_answer(h, c, c->first, close)) {
            starve(h, c);
            return;
        }
        pop(h, c);
        c->close_after = close;
    }
    bool owed = c->want_continue && !c->first && conn_mid_request(c); /* it may have been given up meanwhile */
    bool probe = c->want_probe && c->first && c->first->state != TASK_FINAL;
    if (owed || probe)
        append(h, c, continue_text, sizeof(continue_text) - 1); /* without buffers it can be done without */
    c->want_continue &= c->first != NULL;
    c->want_probe = false;
}

static void send_next(struct http *h, struct conn *c)
{
    uint32_t len = TG_MIN(c->out->len - c->out_at, SEND_BYTES_MAX);
    c->write_since_ns = h->now_ns;
    metrics_add(h->metrics, METRIC_BYTES_OUT, len);
    h->net->ops->send(h->net, &c->net, c->out->data + c->out_at, len);
}

/* All answers are out and there will be no more: close so that the last bytes arrive even if input is unread. */
static void end(struct http *h, struct conn *c)
{
    if (c->eof) {
        conn_close(h, c);
        return;
    }
    h->net->ops->send_end(h->net, &c->net);
    c->phase = CONN_DISCARD;
    c->lingering = true;
    c->since_ns = h->now_ns;
    h->net->ops->receive_start(h->net, &c->net);
    conn_arm(h, c);
}

void conn_flush(struct http *h, struct conn *c)
{
    if (c->lingering)
        return;
    date_now(h); /* for all its answers */
    write_answers(h, c);
    if (c->out && !c->net.sending)
        send_next(h, c);
    if (conn_gone(c))
        return;
    if (!c->out && (c->close_after || (c->eof && !c->first && !c->paused)))
        end(h, c);
    else if (c->paused && c->pending <= h->settings->pipeline_max / 2 && !c->close_after)
        conn_resume_reading(h, c);
    else
        conn_arm(h, c);
}

static void release_sent(struct http *h, struct conn *c)
{
    struct buffer *b = c->out;
    c->out_at += TG_MIN(b->len - c->out_at, SEND_BYTES_MAX);
    if (c->out_at < b->len)
        return;
    c->out = b->next;
    if (!c->out)
        c->out_last = NULL;
    c->out_at = 0;
    c->out_buffers--;
    buffer_put(h->buffers, b);
}

void conn_sent(struct http *h, struct conn *c, int result)
{
    if (result < 0) {
        conn_close(h, c);
        return;
    }
    release_sent(h, c);
    if (h->draining && !c->first && !c->paused && !conn_mid_request(c))
        c->close_after = true; /* its last answer was written when the end was not yet near */
    if (c->out || c->first || c->close_after || c->eof || c->paused) {
        conn_mark_dirty(h, c);
    } else {
        if (!conn_mid_request(c))
            c->since_ns = h->now_ns; /* the silence begins */
        conn_arm(h, c);
    }
}
