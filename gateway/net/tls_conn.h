/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One TLS connection. The loop works with `net`, the user with `outer`: the two have the same index and
 * different ideas of what is being sent. tls.c owns the tables, tls_conn.c the session.
 */
#ifndef TG_TLS_CONN_H
#define TG_TLS_CONN_H

#include <openssl/bio.h>
#include "gateway/base/buffers.h"
#include "tls.h"

enum tls_state {
    TLS_HELLO, /* nothing has come yet, and nothing is allocated */
    TLS_HANDSHAKE,
    TLS_OPEN,
    TLS_ENDED,   /* our close_notify is out; what still comes is thrown away */
    TLS_REFUSED, /* the handshake failed: the alert may arrive, then the connection goes */
};

struct tls_conn {
    struct net_conn net;
    struct net_conn *outer;
    struct timer timer; /* the handshake's, then the refusal's */
    struct tls *filter;
    SSL *ssl;
    const char *in;    /* ciphertext being read; only during a callback */
    const char *plain; /* being sent for the user */
    size_t in_len, plain_len;
    struct buffer *out;  /* with the kernel while net.sending */
    struct buffer *fill; /* ciphertext to go next; never the one in `out` */
    struct tls_conn *starved_next;
    uint32_t handshake_bytes;
    int32_t send_error;
    uint8_t state;
    bool eof;     /* the user knows that no more comes */
    bool pumping; /* sent() is being awaited by a loop, not by a callback */
    bool starved;
};

struct tls {
    struct net net;
    struct net_ops ops; /* the filter's, under the inner loop's name */
    struct net *inner;
    struct tls_options options;
    struct tls_conn *conns; /* by index; pages are touched when used */
    struct tls_conn *starved;
    BIO_METHOD *bio;
    struct tg_arena arena;
    struct buffer_pool buffers; /* ciphertext on its way out */
    uint32_t listener_count;
    int listeners[16];
    char *scratch; /* plaintext of one callback */
};

/* tls_conn.c */
BIO_METHOD *tls_conn_bio(void);
void tls_conn_received(struct tls *f, struct tls_conn *t, const char *data, size_t len);
void tls_conn_eof(struct tls *f, struct tls_conn *t);
void tls_conn_sent(struct tls *f, struct tls_conn *t, int result);
/** Encrypt and send what the user gave, as far as there is room now. */
void tls_conn_pump(struct tls *f, struct tls_conn *t);
/** Say close_notify, once, if the connection is in a state to. */
void tls_conn_end(struct tls *f, struct tls_conn *t);
void tls_conn_timeout(struct tls *f, struct tls_conn *t);
/** Give everything back: the kernel is done with it. */
void tls_conn_release(struct tls *f, struct tls_conn *t);

#define TLS_SCRATCH_BYTES (80u << 10) /* the largest receive of a loop, and a record that began before it */

#endif
