/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker needs to begin a TLS session: an OpenSSL library context, the newest SSL_CTX, ticket keys. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gateway/base/clock.h"
#include "tls_tickets.h"

/* Forward secrecy and authenticated encryption, or no connection. AES-128 first: as strong as needed, and
 * faster. */
#define SUITES_1_3 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define SUITES_1_2                                                                                           \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"               \
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define GROUPS "X25519:P-256:P-384"
#define SIGNATURES                                                                                           \
    "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:"           \
    "RSA+SHA256:RSA+SHA384:RSA+SHA512"
#define SECURITY_LEVEL 2 /* at least 112 bits: RSA of 2048, no SHA-1 */
#define CLIENT_CHAIN_BYTES (32 << 10)
#define CLIENT_CHAIN_DEPTH 8

struct tls_context {
    /* fixed, but for OpenSSL's own locks and caches inside */
    OSSL_LIB_CTX *library;
    uint64_t epoch_zero_ns;
    /* the worker's */
    SSL_CTX *current;
    struct tls_tickets tickets;
    /* from the control thread */
    _Atomic(SSL_CTX *) offered; /* NULL: nothing newer than `current` */
    _Atomic uint64_t handshake_ns;
};

/* ---- tickets ------------------------------------------------------------------------------------- */

static int advance_tickets(struct tls_context *c)
{
    uint64_t now = clock_now_ns();
    uint64_t age_ns = now > c->epoch_zero_ns ? now - c->epoch_zero_ns : 0;
    return tls_tickets_advance(&c->tickets, age_ns / NS_PER_S / TLS_TICKET_EPOCH_S);
}

static int use_key(const struct tls_ticket_key *key, EVP_MAC_CTX *mac)
{
    char digest[] = "SHA256";
    uint8_t secret[sizeof(key->mac)];
    memcpy(secret, key->mac, sizeof(secret)); /* OSSL_PARAM wants it writable */
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string("key", secret, sizeof(secret)),
        OSSL_PARAM_construct_utf8_string("digest", digest, 0),
        OSSL_PARAM_construct_end(),
    };
    int ok = EVP_MAC_CTX_set_params(mac, params);
    OPENSSL_cleanse(secret, sizeof(secret));
    return ok;
}

static int seal_ticket(struct tls_context *c, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher,
                       EVP_MAC_CTX *mac)
{
    const struct tls_ticket_key *key = &c->tickets.now;
    int iv_len = EVP_CIPHER_get_iv_length(c->tickets.cipher);
    if (RAND_bytes_ex(c->library, iv, (size_t)iv_len, 0) != 1)
        return -1;
    memcpy(name, key->name, sizeof(key->name));
    return EVP_EncryptInit_ex2(cipher, c->tickets.cipher, key->cipher, iv, NULL) == 1 && use_key(key, mac)
               ? 1
               : -1;
}

/*
 * OpenSSL's answers: 0 no such key (a full handshake follows), 1 good, 2 good and to be replaced. Clients
 * of 1.3 use a ticket once, so that nobody can tell their connections apart by it: each use brings the next
 * one.
 */
static int open_ticket(struct tls_context *c, const uint8_t *name, const uint8_t *iv, EVP_CIPHER_CTX *cipher,
                       EVP_MAC_CTX *mac, bool once)
{
    bool renew;
    const struct tls_ticket_key *key = tls_tickets_find(&c->tickets, name, &renew);
    if (!key)
        return 0;
    if (EVP_DecryptInit_ex2(cipher, c->tickets.cipher, key->cipher, iv, NULL) != 1 || !use_key(key, mac))
        return -1;
    return renew || once ? 2 : 1;
}

static int on_ticket(SSL *ssl, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
    struct tls_context *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    if (advance_tickets(c) < 0)
        return -1;
    return seal ? seal_ticket(c, name, iv, cipher, mac)
                : open_ticket(c, name, iv, cipher, mac, SSL_version(ssl) == TLS1_3_VERSION);
}

/* A ticket must not outlive the client certificate behind it: each use brings a new one, so it could live for ever. */
static bool is_outlived(SSL_SESSION *session)
{
    const X509 *client = SSL_SESSION_get0_peer(session);
    return client && X509_cmp_current_time(X509_get0_notAfter(client)) <= 0;
}

static SSL_TICKET_RETURN on_opened(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t name_len,
                                   SSL_TICKET_STATUS status, void *context)
{
    (void)ssl;
    (void)name;
    (void)name_len;
    (void)context;
    bool good = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;
    if (!good || is_outlived(session))
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

/* ---- protocol ------------------------------------------------------------------------------------ */

/* A client that offers only what we do not speak is told so: nothing good comes of one side believing in
 * HTTP/2. */
static int on_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in, unsigned in_len,
                   void *context)
{
    static const uint8_t ours[] = "\x08http/1.1\x08http/1.0";
    uint8_t *chosen = NULL;
    (void)ssl;
    (void)context;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static bool set_protocol(struct tls_context *c, SSL_CTX *ctx, bool only_1_3)
{
    SSL_CTX_set_security_level(ctx, SECURITY_LEVEL);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* the client keeps its session, in a ticket */
    SSL_CTX_set_timeout(ctx, TLS_TICKET_EPOCH_S);
    SSL_CTX_set_max_cert_list(ctx, CLIENT_CHAIN_BYTES);
    SSL_CTX_set_verify_depth(ctx, CLIENT_CHAIN_DEPTH);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    SSL_CTX_set_app_data(ctx, c);
    return SSL_CTX_set_min_proto_version(ctx, only_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_ciphersuites(ctx, SUITES_1_3) == 1 && SSL_CTX_set_cipher_list(ctx, SUITES_1_2) == 1 &&
           SSL_CTX_set1_groups_list(ctx, GROUPS) == 1 && SSL_CTX_set1_sigalgs_list(ctx, SIGNATURES) == 1 &&
           SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) == 1 &&
           SSL_CTX_set_session_ticket_cb(ctx, NULL, on_opened, NULL) == 1;
}

/* ---- certificates -------------------------------------------------------------------------------- */

/* The text of OpenSSL's last complaint. */
static const char *reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    return text ? text : "unknown reason";
}

static BIO *text_bio(struct tg_str text)
{
    return BIO_new_mem_buf(text.ptr, (int)text.len);
}

/* The next certificate of a PEM text, NULL at its end or where it is broken. */
static X509 *next_certificate(struct tls_context *c, BIO *text)
{
    X509 *certificate = X509_new_ex(c->library, NULL);
    if (certificate && PEM_read_bio_X509(text, &certificate, NULL, NULL))
        return certificate;
    X509_free(certificate);
    return NULL;
}

/* Did reading stop because the text was over, not because of what was in it? */
static bool at_end(void)
{
    unsigned long e = ERR_peek_last_error();
    return ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
}

static int use_chain(struct tls_context *c, SSL_CTX *ctx, struct tg_str pem, char error[TLS_ERROR_BYTES])
{
    BIO *text = text_bio(pem);
    X509 *certificate = text ? next_certificate(c, text) : NULL;
    const char *fault = certificate ? NULL : "no PEM certificate in it";
    if (certificate && SSL_CTX_use_certificate(ctx, certificate) != 1)
        fault = "the certificate is refused";
    X509_free(certificate);
    while (!fault && (certificate = next_certificate(c, text))) {
        if (SSL_CTX_add1_chain_cert(ctx, certificate) != 1)
            fault = "a certificate of the chain is refused";
        X509_free(certificate);
    }
    if (!fault && !at_end())
        fault = "a certificate of the chain is broken";
    if (fault)
        snprintf(error, TLS_ERROR_BYTES, "%s: %s", fault, reason());
    BIO_free(text);
    return fault ? -EINVAL : 0;
}

static int refuse_password(char *out, int cap, int writing, void *asked)
{
    (void)out;
    (void)cap;
    (void)writing;
    *(bool *)asked = true;
    return -1;
}

static int use_key_file(struct tls_context *c, SSL_CTX *ctx, struct tg_str pem, char error[TLS_ERROR_BYTES])
{
    bool encrypted = false;
    BIO *text = text_bio(pem);
    EVP_PKEY *key =
        text ? PEM_read_bio_PrivateKey_ex(text, NULL, refuse_password, &encrypted, c->library, NULL) : NULL;
    /* Asked for by name: OpenSSL keeps a key of another kind than the certificate's beside it, and finds no
     * fault. */
    bool ok = key && X509_check_private_key(SSL_CTX_get0_certificate(ctx), key) == 1 &&
              SSL_CTX_use_PrivateKey(ctx, key) == 1;
    if (encrypted)
        snprintf(error, TLS_ERROR_BYTES, "the key is encrypted, and nobody is here to enter its passphrase");
    else if (!key)
        snprintf(error, TLS_ERROR_BYTES, "no PEM private key in it: %s", reason());
    else if (!ok)
        snprintf(error, TLS_ERROR_BYTES, "the key is not the certificate's: %s", reason());
    EVP_PKEY_free(key);
    BIO_free(text);
    return ok ? 0 : -EINVAL;
}

static int add_client_ca(SSL_CTX *ctx, X509 *ca)
{
    return X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca) == 1 && SSL_CTX_add_client_CA(ctx, ca) == 1
               ? 0
               : -EINVAL;
}

static int use_client_ca(struct tls_context *c, SSL_CTX *ctx, struct tg_str pem, char error[TLS_ERROR_BYTES])
{
    BIO *text = text_bio(pem);
    X509 *ca;
    int rc = text ? 0 : -ENOMEM;
    uint32_t count = 0;
    while (rc == 0 && (ca = next_certificate(c, text))) {
        rc = add_client_ca(ctx, ca);
        X509_free(ca);
        count++;
    }
    if (rc == 0 && (count == 0 || !at_end()))
        rc = -EINVAL;
    if (rc < 0)
        snprintf(error, TLS_ERROR_BYTES, "%s: %s",
                 count ? "a certificate in it is refused" : "no PEM certificate in it", reason());
    BIO_free(text);
    return rc;
}

/*
 * A ticket carries the verdict on the client that first got it. So sessions belong to the rules they were
 * made under: other rules, other context, and the client has to show its certificate again.
 */
static bool set_session_rules(struct tls_context *c, SSL_CTX *ctx, const struct tls_material *m)
{
    uint8_t hash[32], mode = (uint8_t)m->client_auth;
    struct tg_str ca = m->client_auth == TLS_CLIENT_NONE ? (struct tg_str){0} : m->client_ca;
    size_t len = 0;
    bool ok = EVP_Q_mac(c->library, "HMAC", NULL, "SHA256", NULL, &mode, 1,
                        (const uint8_t *)(ca.ptr ? ca.ptr : ""), ca.len, hash, sizeof(hash), &len) != NULL;
    return ok && SSL_CTX_set_session_id_context(ctx, hash, sizeof(hash)) == 1;
}

static int set_clients(struct tls_context *c, SSL_CTX *ctx, const struct tls_material *m,
                       char error[TLS_ERROR_BYTES])
{
    static const int modes[] = {
        [TLS_CLIENT_NONE] = SSL_VERIFY_NONE,
        [TLS_CLIENT_OPTIONAL] = SSL_VERIFY_PEER,
        [TLS_CLIENT_REQUIRED] = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
    };
    char why[TLS_ERROR_BYTES];
    SSL_CTX_set_verify(ctx, modes[m->client_auth], NULL);
    int rc = m->client_auth == TLS_CLIENT_NONE ? 0 : use_client_ca(c, ctx, m->client_ca, why);
    if (rc < 0)
        snprintf(error, TLS_ERROR_BYTES, "tls.client_ca: %.200s", why);
    return rc;
}

static int set_identity(struct tls_context *c, SSL_CTX *ctx, const struct tls_material *m,
                        char error[TLS_ERROR_BYTES])
{
    char why[TLS_ERROR_BYTES];
    const char *key = "tls.certificate";
    int rc = use_chain(c, ctx, m->certificate, why);
    if (rc == 0) {
        key = "tls.key";
        rc = use_key_file(c, ctx, m->key, why);
    }
    if (rc < 0)
        snprintf(error, TLS_ERROR_BYTES, "%s: %.200s", key, why);
    return rc;
}

int tls_context_build(struct tls_context *c, const struct tls_material *m, SSL_CTX **built,
                      char error[TLS_ERROR_BYTES])
{
    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new_ex(c->library, NULL, TLS_server_method());
    int rc = ctx && set_protocol(c, ctx, m->only_1_3) && set_session_rules(c, ctx, m) ? 0 : -ENOMEM;
    if (rc < 0)
        snprintf(error, TLS_ERROR_BYTES, "cannot set up TLS: %s", reason());
    if (rc == 0)
        rc = set_identity(c, ctx, m, error);
    if (rc == 0)
        rc = set_clients(c, ctx, m, error);
    ERR_clear_error();
    if (rc < 0)
        SSL_CTX_free(ctx);
    else
        *built = ctx;
    return rc;
}

/* ---- handing over -------------------------------------------------------------------------------- */

void tls_context_offer(struct tls_context *c, SSL_CTX *built, uint64_t handshake_ns)
{
    atomic_store_explicit(&c->handshake_ns, handshake_ns, memory_order_relaxed);
    /* X1 publishes what was built; pairs with X2. What nobody took over is still ours to free. */
    SSL_CTX_free(atomic_exchange_explicit(&c->offered, built, memory_order_acq_rel));
}

static void take_offered(struct tls_context *c)
{
    SSL_CTX *next = atomic_exchange_explicit(&c->offered, NULL, memory_order_acquire); /* X2 */
    if (!next)
        return;
    SSL_CTX_free(c->current); /* sessions under way hold references of their own */
    c->current = next;
}

SSL *tls_context_session(struct tls_context *c)
{
    if (TG_UNLIKELY(atomic_load_explicit(&c->offered, memory_order_relaxed) != NULL))
        take_offered(c);
    return c->current ? SSL_new(c->current) : NULL;
}

uint64_t tls_context_handshake_ns(const struct tls_context *c)
{
    return atomic_load_explicit(&c->handshake_ns, memory_order_relaxed);
}

int tls_context_create(const uint8_t seed[TLS_SEED_BYTES], uint64_t epoch_zero_ns,
                       struct tls_context **context)
{
    struct tls_context *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->epoch_zero_ns = epoch_zero_ns;
    c->library = OSSL_LIB_CTX_new();
    if (!c->library || tls_tickets_init(&c->tickets, c->library, seed) < 0) {
        tls_context_destroy(c);
        return -ENOMEM;
    }
    *context = c;
    return 0;
}

void tls_context_destroy(struct tls_context *c)
{
    if (!c)
        return;
    SSL_CTX_free(atomic_load_explicit(&c->offered, memory_order_acquire));
    SSL_CTX_free(c->current);
    tls_tickets_finish(&c->tickets);
    OSSL_LIB_CTX_free(c->library);
    free(c);
}
