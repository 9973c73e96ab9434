/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What TLS costs a worker: handshakes (full and resumed) and records of 1 KiB and 16 KiB, on one thread,
 * without a network. The server side is the gateway's own context; a client of the same library sits at the
 * other end of two memory buffers, and its share is measured apart.
 */
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "gateway/base/clock.h"
#include "gateway/net/tls.h"

#define FULL_HANDSHAKES 2000
#define RESUMED_HANDSHAKES 4000
#define RECORDS 200000

struct pair {
    SSL *server, *client;
    uint64_t server_ns, client_ns;
};

static char folder[] = "/tmp/tls-bench-XXXXXX", certificate[64], key[64];
static SSL_SESSION *ticket; /* the newest that the client was given */

static void fail(const char *what)
{
    fprintf(stderr, "tls_bench: %s failed\n", what);
    exit(1);
}

/* ---- files --------------------------------------------------------------------------------------- */

static void write_files(EVP_PKEY *k, X509 *x)
{
    snprintf(certificate, sizeof(certificate), "%s/c.pem", folder);
    snprintf(key, sizeof(key), "%s/k.pem", folder);
    FILE *f = fopen(certificate, "w");
    if (!f || PEM_write_X509(f, x) != 1 || fclose(f) != 0)
        fail("writing the certificate");
    umask(0077);
    f = fopen(key, "w");
    if (!f || PEM_write_PrivateKey(f, k, NULL, NULL, 0, NULL, NULL) != 1 || fclose(f) != 0)
        fail("writing the key");
}

static void make_files(void)
{
    EVP_PKEY *k = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    if (!k || !x || !mkdtemp(folder))
        fail("making a key");
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)"bench",
                               -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_set_pubkey(x, k);
    if (X509_sign(x, k, EVP_sha256()) <= 0)
        fail("signing");
    write_files(k, x);
    X509_free(x);
    EVP_PKEY_free(k);
}

static void remove_files(void)
{
    unlink(certificate);
    unlink(key);
    rmdir(folder);
}

/* ---- both ends ----------------------------------------------------------------------------------- */

static int on_ticket(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(ticket);
    ticket = session;
    return 1; /* ours now */
}

static SSL_CTX *client_context(int version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx)
        fail("the client's context");
    SSL_CTX_set_min_proto_version(ctx, version);
    SSL_CTX_set_max_proto_version(ctx, version);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_ticket);
    return ctx;
}

static void connect_pair(struct pair *p, struct tls_context *server, SSL_CTX *client, SSL_SESSION *session)
{
    BIO *up = BIO_new(BIO_s_mem()), *down = BIO_new(BIO_s_mem());
    uint64_t t0 = clock_now_ns();
    p->server = tls_context_session(server);
    uint64_t t1 = clock_now_ns();
    p->client = SSL_new(client);
    if (!up || !down || !p->server || !p->client)
        fail("a session");
    BIO_up_ref(up);
    BIO_up_ref(down);
    SSL_set_bio(p->server, up, down);
    SSL_set_bio(p->client, down, up);
    SSL_set_accept_state(p->server);
    SSL_set_connect_state(p->client);
    if (session)
        SSL_set_session(p->client, session);
    p->server_ns += t1 - t0;
}

static void shake_hands(struct pair *p)
{
    char byte;
    while (!SSL_is_init_finished(p->server) || !SSL_is_init_finished(p->client)) {
        uint64_t t0 = clock_now_ns();
        SSL_do_handshake(p->client);
        uint64_t t1 = clock_now_ns();
        SSL_do_handshake(p->server);
        uint64_t t2 = clock_now_ns();
        p->client_ns += t1 - t0;
        p->server_ns += t2 - t1;
    }
    SSL_read(p->client, &byte, 1); /* takes the tickets */
}

static void disconnect(struct pair *p)
{
    SSL_set_shutdown(p->client,
                     SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* else its ticket counts as spoilt */
    SSL_free(p->client);
    uint64_t t0 = clock_now_ns();
    SSL_free(p->server);
    p->server_ns += clock_now_ns() - t0;
}

/* ---- what is measured ---------------------------------------------------------------------------- */

static void measure_handshakes(struct tls_context *server, int version, bool resume, int count)
{
    SSL_CTX *client = client_context(version);
    struct pair p = {0};
    int reused = 0;
    for (int i = -1; i < count; i++) {
        if (i == 0)
            p = (struct pair){0}; /* the one before warmed up, and brought a ticket */
        SSL_SESSION *session = resume && ticket ? ticket : NULL;
        if (session)
            SSL_SESSION_up_ref(session);
        connect_pair(&p, server, client, session);
        shake_hands(&p);
        reused += SSL_session_reused(p.server);
        disconnect(&p);
        SSL_SESSION_free(session);
    }
    printf("%-8s %-8s handshake   server %8.1f us   client %8.1f us   resumed %d of %d\n",
           version == TLS1_3_VERSION ? "TLS 1.3" : "TLS 1.2", resume ? "resumed" : "full",
           (double)p.server_ns / 1e3 / count, (double)p.client_ns / 1e3 / count, reused, count);
    SSL_SESSION_free(ticket);
    ticket = NULL;
    SSL_CTX_free(client);
}

static void measure_records(struct tls_context *server, int version, int bytes, int count)
{
    static char data[16384], back[16384];
    SSL_CTX *client = client_context(version);
    struct pair p = {0};
    connect_pair(&p, server, client, NULL);
    shake_hands(&p);
    uint64_t seal_ns = 0, open_ns = 0;
    for (int i = 0; i < count; i++) {
        if (SSL_write(p.client, data, bytes) != bytes)
            fail("a record of the client");
        uint64_t t0 = clock_now_ns();
        if (SSL_read(p.server, back, bytes) != bytes)
            fail("opening a record");
        uint64_t t1 = clock_now_ns();
        if (SSL_write(p.server, data, bytes) != bytes)
            fail("sealing a record");
        uint64_t t2 = clock_now_ns();
        if (SSL_read(p.client, back, bytes) != bytes)
            fail("a record of the server");
        open_ns += t1 - t0;
        seal_ns += t2 - t1;
    }
    printf("%-8s %5d B record       open %8.0f ns   seal %8.0f ns   %s\n",
           version == TLS1_3_VERSION ? "TLS 1.3" : "TLS 1.2", bytes, (double)open_ns / count,
           (double)seal_ns / count, SSL_get_cipher(p.server));
    disconnect(&p);
    SSL_SESSION_free(ticket);
    ticket = NULL;
    SSL_CTX_free(client);
}

int main(void)
{
    static const int versions[] = {TLS1_3_VERSION, TLS1_2_VERSION};
    char error[TLS_ERROR_BYTES];
    struct tls_store *store = NULL;
    make_files();
    struct tls_settings settings = {.certificate = certificate, .key = key, .handshake_ns = NS_PER_S};
    int rc = tls_store_open(&settings, 1, &store, error);
    remove_files();
    if (rc < 0)
        fail(error);
    struct tls_context *server = tls_store_context(store, 0);
    for (size_t i = 0; i < TG_ARRAY_SIZE(versions); i++) {
        measure_handshakes(server, versions[i], false, FULL_HANDSHAKES);
        measure_handshakes(server, versions[i], true, RESUMED_HANDSHAKES);
        measure_records(server, versions[i], 1024, RECORDS);
        measure_records(server, versions[i], 16384, RECORDS / 10);
    }
    tls_store_close(store);
    return 0;
}
