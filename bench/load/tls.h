/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS between connections and back ends: requests go in as plain text and leave as records, answers come the other
 * way. Certificates are not checked: this measures a server, it does not trust one.
 */
#ifndef BENCH_LOAD_TLS_H
#define BENCH_LOAD_TLS_H

#include <stdbool.h>
#include <stdint.h>

struct client;
struct conn;
struct options;

/* Returns the TLS of one thread, or NULL after one line on stderr. */
struct tls *tls_create(const struct options *o);
void tls_destroy(struct tls *tls);

/* The TCP connection stands: begins the handshake. client_on_open() follows with its outcome. */
void tls_greet(struct client *c, struct conn *conn);

/* Seals plain text and sends it, after what is on its way already. */
void tls_send(struct client *c, struct conn *conn, const char *bytes, uint32_t len);

/* What could not go out while something else was on its way. */
void tls_send_rest(struct client *c, struct conn *conn);

/* Records from the server; what they held goes to client_on_plain(). */
void tls_on_bytes(struct client *c, struct conn *conn, const char *bytes, uint32_t len);

/* Forgets the session of a connection that is gone. */
void tls_forget(struct conn *conn);

/* Version and cipher suite of the last handshake, "" before the first. */
const char *tls_version(const struct tls *tls);
const char *tls_suite(const struct tls *tls);

#endif
