/* SPDX-License-Identifier: Apache-2.0 */
/* A server that does on loopback what directories and other nodes should not: one behaviour for each path. */
#ifndef CLIENT_SERVER_H
#define CLIENT_SERVER_H

#include <stdbool.h>
#include <stdint.h>

struct server;

/** Listens on 127.0.0.1, on a port of the kernel's choice, for TLS with a certificate that nobody has signed or plain. */
struct server *server_start(bool tls);
void server_stop(struct server *s);
uint16_t server_port(const struct server *s);
/** Connections accepted, and requests read, so far. */
uint32_t server_connections(const struct server *s);
uint32_t server_requests(const struct server *s);
/** Where /elsewhere redirects to. */
void server_redirect_to(struct server *s, const char *url);

#endif
