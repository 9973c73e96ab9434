/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS 1.3 and 1.2 in front of a network loop.
 *
 * The store (control thread) reads certificate, key and client CA and builds one SSL_CTX per worker; a
 * context (worker) takes over the newest one whenever a connection begins. The filter is itself a `struct
 * net`: it wraps the io_uring or epoll loop, handshakes and decrypts what comes in on its TLS listeners,
 * encrypts what goes out, and hands everything of the other listeners straight through. Who uses the loop
 * never knows.
 */
#ifndef TG_TLS_H
#define TG_TLS_H

#include <openssl/types.h>
#include "gateway/base/metrics.h"
#include "gateway/base/timer.h"
#include "net.h"

#define TLS_ERROR_BYTES 256

enum tls_client_auth { TLS_CLIENT_NONE, TLS_CLIENT_OPTIONAL, TLS_CLIENT_REQUIRED };

/* What an operator decides. Paths are copied by whom they are given to. */
struct tls_settings {
    const char *certificate, *key; /* PEM: leaf first, then its chain; key readable by its owner alone */
    const char *client_ca;         /* PEM, may be empty without client_auth */
    enum tls_client_auth client_auth;
    bool only_1_3;
    uint64_t handshake_ns; /* a client has this long */
};

/* ---- one worker's context (tls_context.c) -------------------------------------------------------- */

/* The files as read, before OpenSSL has seen them. */
struct tls_material {
    struct tg_str certificate, key, client_ca;
    enum tls_client_auth client_auth;
    bool only_1_3;
};

#define TLS_SEED_BYTES 32

struct tls_context;

/**
 * An empty context with an OpenSSL library context of its own, so that workers never wait for each other's
 * locks.
 * @seed  the beginning of the ticket keys: contexts with the same seed resume each other's sessions
 * @epoch_zero_ns  when that beginning was, in clock_now_ns() time
 */
int tls_context_create(const uint8_t seed[TLS_SEED_BYTES], uint64_t epoch_zero_ns,
                       struct tls_context **context);
void tls_context_destroy(struct tls_context *c);

/**
 * Check @material and turn it into an SSL_CTX for this context. Returns 0 or negative errno with one line in
 * @error. Thread: any; the context may be serving meanwhile.
 */
int tls_context_build(struct tls_context *c, const struct tls_material *material, SSL_CTX **built,
                      char error[TLS_ERROR_BYTES]);

/** New connections use @built from now on; the context owns it. Thread: control. */
void tls_context_offer(struct tls_context *c, SSL_CTX *built, uint64_t handshake_ns);

/** A server side for a new connection, of the newest SSL_CTX; NULL out of memory. Thread: the worker. */
SSL *tls_context_session(struct tls_context *c);

/** How long a client may take to shake hands. Thread: the worker. */
uint64_t tls_context_handshake_ns(const struct tls_context *c);

/* ---- the files (tls_store.c), control thread ----------------------------------------------------- */

struct tls_store;

/** Read the files and prepare @contexts contexts. Returns 0 or negative errno with one line in @error. */
int tls_store_open(const struct tls_settings *settings, uint32_t contexts, struct tls_store **store,
                   char error[TLS_ERROR_BYTES]);
void tls_store_close(struct tls_store *s);

struct tls_context *tls_store_context(struct tls_store *s, uint32_t index);

/**
 * Read the files again under @settings, whether they changed or not. On failure everything stays as it was.
 * Returns 0 or negative errno with one line in @error.
 */
int tls_store_reload(struct tls_store *s, const struct tls_settings *settings, char error[TLS_ERROR_BYTES]);

/**
 * Look at the files; once they changed and then stayed the same from one look to the next, read them again.
 * Returns 1 if they were taken over, 0 if there was nothing to do, negative errno with one line in @error.
 */
int tls_store_look(struct tls_store *s, char error[TLS_ERROR_BYTES]);

/* ---- the filter (tls.c), worker ------------------------------------------------------------------ */

struct tls_options {
    const char *wanted;     /* as for net_create() */
    struct net_options net; /* the user's handlers, which will see plaintext */
    struct tls_context *context;
    struct timer_wheel *wheel;
    uint32_t timer_kind; /* of the filter's timers: hand those to tls_timer_fired() */
    struct metrics *metrics;
};

/** Like net_create(), with a filter in front. */
int tls_create(const struct tls_options *options, struct net **net, char *why, size_t why_len);

/** Accept from @fd until accept_stop(), and speak TLS with who comes. @net was made by tls_create(). */
int tls_listen(struct net *net, int fd);

void tls_timer_fired(struct net *net, struct timer *timer);

#endif
