/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One TLS session between the loop's bytes and the user's. OpenSSL reads straight from the receive buffer and
 * writes into a bounded buffer of ours; it never sees the socket, and never waits.
 *
 * Callbacks into the user may close the connection. Within a receive callback of the loop it stays readable
 * until the end; everywhere else such a call comes last.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>
#include "gateway/base/clock.h"
#include "tls_conn.h"

#define RECORD_BYTES (16u << 10)
#define RECORD_OVERHEAD 64       /* header, nonce, type, tag: less than this */
#define SEND_RECORDS 3           /* fit one 64 KiB buffer */
#define CONTROL_BYTES 1024       /* room for tickets, key updates and alerts beside data */
#define HANDSHAKE_OUT_BYTES 8192 /* a server's flight; a longer one goes in several sends */
#define HANDSHAKE_IN_MAX (64u << 10)
#define REFUSAL_NS (2 * NS_PER_S) /* how long a refused client may take to go */

static const char plain_answer[] =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 21\r\n"
    "Connection: close\r\n\r\nthis port speaks TLS\n";

static const struct net_handlers *user(const struct tls *f)
{
    return f->options.net.handlers;
}

/* ---- OpenSSL's side of the wire ------------------------------------------------------------------ */

static int bio_read(BIO *bio, char *to, size_t len, size_t *got)
{
    struct tls_conn *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (t->in_len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    *got = TG_MIN(len, t->in_len);
    memcpy(to, t->in, *got);
    t->in += *got;
    t->in_len -= *got;
    return 1;
}

/* Full is an answer: OpenSSL keeps the rest and is asked again once the buffer is gone. */
static int bio_write(BIO *bio, const char *from, size_t len, size_t *put)
{
    struct tls_conn *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (!t->fill)
        t->fill =
            buffer_get(&t->filter->buffers, t->state == TLS_HANDSHAKE ? HANDSHAKE_OUT_BYTES : CONTROL_BYTES);
    size_t room = t->fill ? buffer_capacity(t->fill) - t->fill->len : 0;
    *put = TG_MIN(len, room);
    if (*put == 0) {
        BIO_set_retry_write(bio);
        return 0;
    }
    memcpy(t->fill->data + t->fill->len, from, *put);
    t->fill->len += (uint32_t)*put;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *tls_conn_bio(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "taskgate connection");
    if (m && BIO_meth_set_read_ex(m, bio_read) == 1 && BIO_meth_set_write_ex(m, bio_write) == 1 &&
        BIO_meth_set_ctrl(m, bio_ctrl) == 1)
        return m;
    BIO_meth_free(m);
    return NULL;
}

static int begin_session(struct tls *f, struct tls_conn *t)
{
    SSL *ssl = tls_context_session(f->options.context);
    BIO *bio = ssl ? BIO_new(f->bio) : NULL;
    if (!bio) {
        SSL_free(ssl);
        return -ENOMEM;
    }
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_accept_state(ssl);
    t->ssl = ssl;
    t->state = TLS_HANDSHAKE;
    return 0;
}

static void drop_fill(struct tls *f, struct tls_conn *t)
{
    if (t->fill)
        buffer_put(&f->buffers, t->fill);
    t->fill = NULL;
}

/*
 * Last words go past the loop: they are few bytes, nothing of this connection is on its way, and nobody waits
 * for them. A peer whose window is full does not get them.
 */
static void send_last(struct tls *f, struct tls_conn *t)
{
    if (t->fill && !t->net.sending)
        send(t->net.fd, t->fill->data, t->fill->len, MSG_DONTWAIT | MSG_NOSIGNAL);
    drop_fill(f, t);
}

/* ---- out ----------------------------------------------------------------------------------------- */

static void starve(struct tls *f, struct tls_conn *t)
{
    if (t->starved)
        return;
    t->starved = true;
    t->starved_next = f->starved;
    f->starved = t;
}

/* Up to a buffer of the user's bytes. There is room for all of it, so OpenSSL has no reason to stop. */
static bool encrypt(struct tls *f, struct tls_conn *t)
{
    size_t len = TG_MIN(t->plain_len, SEND_RECORDS * (size_t)RECORD_BYTES), written;
    t->fill = buffer_get(&f->buffers, len + SEND_RECORDS * RECORD_OVERHEAD + CONTROL_BYTES);
    if (!t->fill) {
        starve(f, t);
        return false;
    }
    ERR_clear_error();
    for (; len > 0; len -= written) {
        if (SSL_write_ex(t->ssl, t->plain, TG_MIN(len, (size_t)RECORD_BYTES), &written) != 1) {
            t->send_error = -EPIPE;
            drop_fill(f, t);
            return false;
        }
        t->plain += written;
        t->plain_len -= written;
    }
    return true;
}

static void send_fill(struct tls *f, struct tls_conn *t)
{
    t->out = t->fill;
    t->fill = NULL;
    f->inner->ops->send(f->inner, &t->net, t->out->data, t->out->len);
}

/* The send of the user's ended, or whatever it was we sent failed. */
static void report_send(struct tls *f, struct tls_conn *t, int result)
{
    t->plain_len = 0;
    if (t->outer->sending) {
        t->outer->sending = false;
        user(f)->sent(f->options.net.owner, t->outer, result);
    } else if (result < 0 && t->state != TLS_REFUSED) {
        user(f)->failed(f->options.net.owner, t->outer, result);
    }
}

void tls_conn_pump(struct tls *f, struct tls_conn *t)
{
    if (t->pumping || t->outer->closing)
        return;
    t->pumping = true;
    while (!t->net.sending && t->send_error == 0 && (t->fill || (t->plain_len > 0 && encrypt(f, t))))
        send_fill(f, t);
    t->pumping = false;
    bool done = !t->net.sending && t->plain_len == 0 && t->outer->sending;
    if (t->send_error < 0 || done)
        report_send(f, t, t->send_error);
}

/* ---- handshake ----------------------------------------------------------------------------------- */

/* The peer may read why; the user learns that the connection is over when it is. */
static void refuse(struct tls *f, struct tls_conn *t)
{
    metrics_add(f->options.metrics, METRIC_TLS_FAILED, 1);
    t->state = TLS_REFUSED;
    t->in_len = 0;
    send_last(f, t);
    SSL_free(t->ssl);
    t->ssl = NULL;
    shutdown(t->net.fd, SHUT_WR);
    timer_arm(f->options.wheel, &t->timer, clock_now_ns() + REFUSAL_NS);
}

static void opened(struct tls *f, struct tls_conn *t)
{
    t->state = TLS_OPEN;
    timer_cancel(f->options.wheel, &t->timer);
    metrics_add(f->options.metrics, METRIC_TLS_HANDSHAKES, 1);
    if (SSL_session_reused(t->ssl))
        metrics_add(f->options.metrics, METRIC_TLS_RESUMED, 1);
}

/* As far as the bytes at hand go. A flight that exceeds its buffer is sent in several turns. */
static void shake_hands(struct tls *f, struct tls_conn *t)
{
    for (;;) {
        ERR_clear_error();
        int rc = SSL_do_handshake(t->ssl), error = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, rc);
        if (error == SSL_ERROR_NONE) {
            opened(f, t);
            return;
        }
        bool flight =
            error == SSL_ERROR_WANT_WRITE && t->in_len == 0; /* nobody talks before the flight is out */
        if (error != SSL_ERROR_WANT_READ && !flight) {
            refuse(f, t);
            return;
        }
        tls_conn_pump(f, t);
        if (!flight || t->net.sending || !t->ssl || t->outer->closing)
            return;
    }
}

/* Only what did not complete the handshake counts: a client may put its first request right behind it. */
static void bound_handshake(struct tls *f, struct tls_conn *t, size_t len)
{
    if (t->state != TLS_HANDSHAKE)
        return;
    t->handshake_bytes += (uint32_t)TG_MIN(len, HANDSHAKE_IN_MAX);
    if (t->handshake_bytes >= HANDSHAKE_IN_MAX)
        refuse(f, t);
}

/* Every TLS handshake begins with a record of type 22, HTTP and our own frames with a letter. */
static bool refuse_plaintext(struct tls *f, struct tls_conn *t, const char *data)
{
    if (data[0] < 'A' || data[0] > 'Z')
        return false;
    size_t len = sizeof(plain_answer) - 1;
    t->fill = buffer_get(&f->buffers, len);
    if (t->fill) {
        memcpy(t->fill->data, plain_answer, len);
        t->fill->len = (uint32_t)len;
    }
    refuse(f, t);
    return true;
}

/* ---- in ------------------------------------------------------------------------------------------ */

static void deliver(struct tls *f, struct tls_conn *t, size_t *len)
{
    if (*len > 0)
        user(f)->received(f->options.net.owner, t->outer, f->scratch, *len);
    *len = 0;
}

/* Decrypt all that came, and hand it over in as few pieces as the scratch memory allows. Returns OpenSSL's
 * reason to stop. */
static int read_records(struct tls *f, struct tls_conn *t)
{
    size_t have = 0, got;
    int error = SSL_ERROR_NONE;
    while (error == SSL_ERROR_NONE && !t->outer->closing) {
        ERR_clear_error();
        int rc = SSL_read_ex(t->ssl, f->scratch + have, TLS_SCRATCH_BYTES - have, &got);
        have += rc == 1 ? got : 0;
        error = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, rc);
        if (error != SSL_ERROR_NONE || TLS_SCRATCH_BYTES - have < RECORD_BYTES)
            deliver(f, t, &have);
    }
    return error;
}

static void read_open(struct tls *f, struct tls_conn *t)
{
    int error = read_records(f, t);
    if (t->outer->closing)
        return;
    if (error == SSL_ERROR_ZERO_RETURN && !t->eof) {
        t->eof = true; /* close_notify: it may go on reading */
        user(f)->eof(f->options.net.owner, t->outer);
    } else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_ZERO_RETURN) {
        t->state = TLS_REFUSED; /* a broken record, or more key updates than answers fit: no good-bye but the
                                   alert */
        send_last(f, t);
        user(f)->failed(f->options.net.owner, t->outer, -EPROTO);
    }
    if (!t->outer->closing)
        tls_conn_pump(f, t); /* tickets and the like */
}

void tls_conn_received(struct tls *f, struct tls_conn *t, const char *data, size_t len)
{
    if (t->outer->closing || t->state >= TLS_ENDED)
        return;
    if (t->state == TLS_HELLO) {
        if (refuse_plaintext(f, t, data))
            return;
        if (begin_session(f, t) < 0) {
            user(f)->failed(f->options.net.owner, t->outer, -ENOMEM);
            return;
        }
    }
    t->in = data;
    t->in_len = len;
    if (t->state == TLS_HANDSHAKE) {
        shake_hands(f, t);
        bound_handshake(f, t, len);
    }
    if (t->state == TLS_OPEN && !t->outer->closing)
        read_open(f, t);
    t->in_len = 0;
}

void tls_conn_eof(struct tls *f, struct tls_conn *t)
{
    if (t->state == TLS_HANDSHAKE)
        metrics_add(f->options.metrics, METRIC_TLS_FAILED, 1);
    if (t->state < TLS_OPEN || t->state == TLS_REFUSED) {
        user(f)->failed(f->options.net.owner, t->outer, -ECONNRESET);
    } else if (!t->eof) {
        t->eof = true;
        user(f)->eof(f->options.net.owner, t->outer);
    }
}

void tls_conn_sent(struct tls *f, struct tls_conn *t, int result)
{
    buffer_put(&f->buffers, t->out);
    t->out = NULL;
    t->send_error = result;
    if (t->pumping)
        return;
    if (result == 0 && t->state == TLS_HANDSHAKE)
        shake_hands(f, t);
    tls_conn_pump(f, t);
}

/* ---- the end ------------------------------------------------------------------------------------- */

void tls_conn_end(struct tls *f, struct tls_conn *t)
{
    if (t->state != TLS_OPEN)
        return;
    t->state = TLS_ENDED;
    ERR_clear_error();
    SSL_shutdown(t->ssl); /* 0: the peer's has not come, and we do not wait for it */
    send_last(f, t);
}

void tls_conn_timeout(struct tls *f, struct tls_conn *t)
{
    if (t->state != TLS_REFUSED)
        metrics_add(f->options.metrics, METRIC_TLS_FAILED, 1);
    user(f)->failed(f->options.net.owner, t->outer, -ETIMEDOUT);
}

static void leave_starved(struct tls *f, struct tls_conn *t)
{
    struct tls_conn **link = &f->starved;
    while (*link != t)
        link = &(*link)->starved_next;
    *link = t->starved_next;
}

void tls_conn_release(struct tls *f, struct tls_conn *t)
{
    timer_cancel(f->options.wheel, &t->timer);
    if (t->starved)
        leave_starved(f, t);
    if (t->out)
        buffer_put(&f->buffers, t->out);
    drop_fill(f, t);
    SSL_free(t->ssl);
    t->ssl = NULL;
    t->out = NULL;
}
