/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS with OpenSSL between two memory buffers, so that both back ends move records as they move plain bytes. Each
 * thread has a library context of its own: OpenSSL 3.0 takes locks in a shared one.
 */
#include "tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "options.h"

#define PLAIN_BYTES 16384 /* of the largest record */

struct tls {
    OSSL_LIB_CTX *library;
    SSL_CTX *context;
    SSL_SESSION *session; /* --resume: the newest that a server gave */
    char version[16], suite[64];
    bool complained;
    char plain[PLAIN_BYTES];
};

/* The session of one connection. `sealed` belongs to the kernel while conn->sending. */
struct tls_conn {
    SSL *ssl;
    BIO *in, *out; /* owned by `ssl` */
    char *sealed;
    size_t sealed_bytes;
};

/* Copies, here and where it is used: OpenSSL spoils a session once one of the connections that share it moves on. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    SSL_SESSION_free(tls->session);
    tls->session = SSL_SESSION_dup(session);
    return 0;
}

static void resume(struct tls *tls, SSL *ssl)
{
    SSL_SESSION *own = tls->session ? SSL_SESSION_dup(tls->session) : NULL;

    if (own)
        SSL_set_session(ssl, own);
    SSL_SESSION_free(own);
}

static int set_up(struct tls *tls, const struct options *o)
{
    int version = o->tls_12 ? TLS1_2_VERSION : TLS1_3_VERSION;

    tls->library = OSSL_LIB_CTX_new();
    tls->context = tls->library ? SSL_CTX_new_ex(tls->library, NULL, TLS_client_method()) : NULL;
    if (!tls->context || !SSL_CTX_set_min_proto_version(tls->context, version) ||
        !SSL_CTX_set_max_proto_version(tls->context, version))
        return -ENOMEM;
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_app_data(tls->context, tls);
    SSL_CTX_set_session_cache_mode(tls->context, SSL_SESS_CACHE_OFF);
    if (o->resume) {
        SSL_CTX_set_session_cache_mode(tls->context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(tls->context, keep_session);
    }
    return 0;
}

struct tls *tls_create(const struct options *o)
{
    struct tls *tls = calloc(1, sizeof(*tls));

    if (tls && set_up(tls, o) == 0)
        return tls;
    fprintf(stderr, "bench-load: TLS cannot be set up\n");
    tls_destroy(tls);
    return NULL;
}

void tls_destroy(struct tls *tls)
{
    if (!tls)
        return;
    SSL_SESSION_free(tls->session);
    SSL_CTX_free(tls->context);
    OSSL_LIB_CTX_free(tls->library);
    free(tls);
}

static struct tls_conn *conn_create(struct tls *tls)
{
    struct tls_conn *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->ssl = SSL_new(tls->context);
    t->in = BIO_new(BIO_s_mem());
    t->out = BIO_new(BIO_s_mem());
    if (!t->ssl || !t->in || !t->out) {
        BIO_free(t->in);
        BIO_free(t->out);
        SSL_free(t->ssl);
        free(t);
        return NULL;
    }
    SSL_set_bio(t->ssl, t->in, t->out);
    SSL_set_connect_state(t->ssl);
    resume(tls, t->ssl);
    return t;
}

void tls_forget(struct conn *conn)
{
    struct tls_conn *t = conn->tls;

    if (!t)
        return;
    conn->tls = NULL;
    /* OpenSSL takes an end without a farewell for a fault, and would not resume the session again. */
    SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(t->ssl);
    free(t->sealed);
    free(t);
}

/* Why it failed is said once a thread; how often is counted. */
static void fail(struct client *c, struct conn *conn)
{
    const char *why = ERR_reason_error_string(ERR_peek_error());

    if (!c->tls->complained)
        fprintf(stderr, "bench-load: TLS: %s\n", why ? why : "the server ended the handshake");
    c->tls->complained = true;
    ERR_clear_error();
    c->stats->tls_failures++;
    client_on_end(c, conn, -EPROTO);
}

/* ---- out --------------------------------------------------------------------------------------------- */

static bool make_room(struct tls_conn *t, size_t bytes)
{
    char *grown;

    if (bytes <= t->sealed_bytes)
        return true;
    grown = realloc(t->sealed, bytes);
    if (!grown)
        return false;
    t->sealed = grown;
    t->sealed_bytes = bytes;
    return true;
}

/* Copied out of OpenSSL's buffer, which may move while the kernel still reads. */
void tls_send_rest(struct client *c, struct conn *conn)
{
    struct tls_conn *t = conn->tls;
    size_t waiting = t ? BIO_ctrl_pending(t->out) : 0;

    if (waiting == 0 || conn->sending)
        return;
    if (!make_room(t, waiting)) {
        client_on_end(c, conn, -ENOMEM);
        return;
    }
    BIO_read(t->out, t->sealed, (int)waiting);
    client_send(c, conn, t->sealed, (uint32_t)waiting);
}

void tls_send(struct client *c, struct conn *conn, const char *bytes, uint32_t len)
{
    if (SSL_write(conn->tls->ssl, bytes, (int)len) != (int)len)
        fail(c, conn);
    else
        tls_send_rest(c, conn);
}

/* ---- in ---------------------------------------------------------------------------------------------- */

static void note_handshake(struct client *c, const SSL *ssl)
{
    snprintf(c->tls->version, sizeof(c->tls->version), "%s", SSL_get_version(ssl));
    snprintf(c->tls->suite, sizeof(c->tls->suite), "%s", SSL_get_cipher_name(ssl));
    if (c->measuring)
        c->stats->resumed += (uint64_t)SSL_session_reused(ssl);
}

/* One step of the handshake. A connection may be dropped in here, and opened again: look at it before going on. */
static void shake(struct client *c, struct conn *conn)
{
    SSL *ssl = conn->tls->ssl;
    int rc = SSL_do_handshake(ssl);

    if (rc != 1 && SSL_get_error(ssl, rc) != SSL_ERROR_WANT_READ) {
        fail(c, conn);
        return;
    }
    if (rc == 1)
        note_handshake(c, ssl);
    tls_send_rest(c, conn);
    if (rc == 1 && conn->state == CONN_GREETING)
        client_on_open(c, conn, 0);
}

void tls_greet(struct client *c, struct conn *conn)
{
    conn->tls = conn_create(c->tls);
    if (conn->tls)
        shake(c, conn);
    else
        client_on_end(c, conn, -ENOMEM);
}

/* Returns the bytes of plain text, 0 for none, or -1 after an end of the session, which was reported. */
static int read_plain(struct client *c, struct conn *conn)
{
    SSL *ssl = conn->tls->ssl;
    int n = SSL_read(ssl, c->tls->plain, PLAIN_BYTES);

    if (n > 0)
        return n;
    switch (SSL_get_error(ssl, n)) {
    case SSL_ERROR_WANT_READ:
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        client_on_end(c, conn, 0);
        return -1;
    default:
        fail(c, conn);
        return -1;
    }
}

void tls_on_bytes(struct client *c, struct conn *conn, const char *bytes, uint32_t len)
{
    int n;

    if (BIO_write(conn->tls->in, bytes, (int)len) != (int)len) {
        client_on_end(c, conn, -ENOMEM);
        return;
    }
    if (conn->state == CONN_GREETING)
        shake(c, conn);
    while (conn->state == CONN_OPEN && (n = read_plain(c, conn)) > 0)
        client_on_plain(c, conn, c->tls->plain, (size_t)n);
    if (conn->state == CONN_OPEN)
        tls_send_rest(c, conn);
}

const char *tls_version(const struct tls *tls)
{
    return tls->version;
}

const char *tls_suite(const struct tls *tls)
{
    return tls->suite;
}
